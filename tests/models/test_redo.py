"""The protocol of redo records holds whatever happens, and would not without any of its rules."""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest

from .attack import FAILURES, Style, attack
from .redo import RULES, USUAL, Ring

ATTACKS = int(os.environ.get("ENTITYDB_MODEL_ATTACKS") or 100)     # tox -e long takes more
MOST = 5000             # attacks until a missing rule is found out; the rarest takes some 60

# What finds out soonest that a rule is missing; None: anything does.
STYLES: dict[str, Style | None] = {
    "intent": None,
    "look again": None,
    "own numbers": None,
    "pages verify": None,
    "pins": None,
    "settled mark": Style(full=True, pages=0.02, asks=0.6, rounds=20, steps=1000),
    "sync at opening": Style(full=True, pages=1.0, power=0.5, rounds=30, steps=80),
    "syncs announced": Style(full=False, pages=1.0, rounds=20, steps=300),
    "validation": None,
    "void for all": Style(full=True, pages=0.02, asks=0.6, rounds=20, steps=1000),
    "voided": None,
}
SMALL_RINGS = (Ring(unsynced=6, small=10), Ring(unsynced=7, small=9), Ring(unsynced=14, small=9))


def test_each_rule_is_tried() -> None:
    assert set(STYLES) == RULES
    assert USUAL.holds
    assert not any(ring.holds for ring in SMALL_RINGS)


@pytest.mark.parametrize("attacks", [10, pytest.param(ATTACKS, marks=pytest.mark.slow, id="at length")])
def test_nothing_promised_is_broken(rng: random.Random, attacks: int) -> None:
    done: Counter[str] = Counter()
    for _ in range(attacks):
        seed = rng.getrandbits(32)
        try:
            done.update(attack(seed))
        except FAILURES as error:
            raise AssertionError(f"attack({seed})") from error
    assert done["recovered"] == 10 * attacks
    assert done["commits"] > done["redo records"] > 2 * attacks, done


@pytest.mark.slow
@pytest.mark.parametrize("rule", sorted(RULES))
def test_something_is_broken_without(rule: str, rng: random.Random) -> None:
    assert found_out(rng, RULES - {rule}, USUAL, STYLES[rule])


@pytest.mark.slow
@pytest.mark.parametrize("ring", SMALL_RINGS)
def test_something_is_broken_in_a_smaller_ring(ring: Ring, rng: random.Random) -> None:
    assert found_out(rng, RULES, ring, Style(full=False, pages=0.05, syncs=0.0))


def found_out(rng: random.Random, rules: frozenset[str], ring: Ring, style: Style | None) -> bool:
    for _ in range(MOST):
        try:
            attack(rng.getrandbits(32), rules, ring, style)
        except FAILURES:
            return True
    return False
