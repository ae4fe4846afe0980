"""The bar of test_plans.py is one that SQLite's own planner mostly reaches, and not always."""

from __future__ import annotations

import random

import pytest

from .test_plans import EACH, MOST, QUERIES
from .yardstick import far_plans


@pytest.mark.slow
def test_sqlites_own_plans_are_seldom_far_from_the_best(rng: random.Random) -> None:
    """If they often were, the bar would say nothing; if they never were, operations would not be measured."""
    worlds = max(30, QUERIES // EACH)
    far = [text for _ in range(worlds) for text in far_plans(rng, EACH)]
    listed = "\n".join(far)
    print(f"{len(far)} of {worlds * EACH} plans of SQLite's are far from the best\n\n{listed}")
    assert 0 < len(far) <= MOST * worlds * EACH
