"""Cold ids hold through packing, pruning, erasing, kills and power losses, and would not without any of their rules."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from .cold import FAILURES, RULES, Attack

ATTACKS = int(os.environ.get("ENTITYDB_MODEL_ATTACKS") or 100)     # tox -e long takes more
MOST = 600              # attacks until a missing rule is found out; the rarest takes some 20


@pytest.mark.parametrize("attacks", [10, pytest.param(ATTACKS, marks=pytest.mark.slow, id="at length")])
def test_nothing_promised_is_broken(rng: random.Random, attacks: int) -> None:
    done: Counter[str] = Counter()
    for _ in range(attacks):
        seed = rng.getrandbits(32)
        try:
            done.update(Attack(seed).run())
        except FAILURES as error:
            raise AssertionError(f"Attack({seed})") from error
    for what in ("commits", "packed", "merged", "dissolved", "pruned", "erased", "read"):
        assert done[what] > attacks, done


@pytest.mark.parametrize("rule", sorted(RULES))
def test_something_is_broken_without(rule: str, rng: random.Random) -> None:
    for _ in range(MOST):
        try:
            Attack(rng.getrandbits(32), RULES - {rule}).run()
        except FAILURES:
            return
    pytest.fail(f"nothing shows that the rule is needed: {rule}")
