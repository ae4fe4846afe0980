"""What is kept of a pruned tree reads as ever: every moment from the horizon on, against the model."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from engine.bare_tree import FOREVER, BareTree
from engine.tree_model import Model, history


def judge(tree: BareTree, model: Model, horizon: int, newest: int, rnd: random.Random) -> None:
    """Scans, lookups, and walks over all versions, at each kept moment that a commit left."""
    assert tree.check() == []
    moments = [n for n in model.at if n >= horizon]
    for moment in [*moments, FOREVER]:
        rows = model.at[max(model.at) if moment == FOREVER else moment]
        expected = [(key, len(value), value[:32], begun) for key, (value, begun) in sorted(rows.items())]
        assert tree.scan(moment) == expected
    for moment in rnd.sample(moments, min(5, len(moments))):
        rows = model.at[moment]
        assert tree.scan(moment, backward=True) == tree.scan(moment)[::-1]
        for key in rnd.sample(sorted(rows), min(5, len(rows))):
            assert tree.get(moment, key) == rows[key][0]
        changed, _ = tree.changed(moment, b"", None)
        assert changed == (rows != model.rows)
    judge_events(tree, model, horizon, newest)
    judge_keys(tree, model, horizon, rnd)


def judge_events(tree: BareTree, model: Model, horizon: int, newest: int) -> None:
    events, _ = tree.events(0, newest)
    found = sorted((e.commit, e.key, e.was, e.now) for e in events)
    expected = []
    kept = [n for n in sorted(model.at) if n >= horizon]
    for before, after in itertools.pairwise(kept):
        old, new = model.at[before], model.at[after]
        for key in {*old, *new}:
            was, now = ((one[key][1], one[key][0][:32]) if key in one else None for one in (old, new))
            if was != now:
                expected.append((after, key, was, now))
    assert [e for e in found if e[0] > min(kept)] == sorted(expected)


def judge_keys(tree: BareTree, model: Model, horizon: int, rnd: random.Random) -> None:
    """Whoever knew the keys of a moment learns those that any kept moment behind it has."""
    since = rnd.choice([0, horizon, *model.at])
    keys, _, whole = tree.keys_since(since)
    assert whole
    assert {key for n, rows in model.at.items() if n >= horizon for key, (_, begun) in rows.items()
            if begun > since} <= set(keys)


@pytest.mark.parametrize("key_size", [0, 8])
@pytest.mark.parametrize("largest", [60, 2000])
def test_kept_moments_read_as_before(tmp_path: Path, seed: int, key_size: int, largest: int) -> None:
    rnd = random.Random(seed ^ key_size ^ largest)
    tree = BareTree(tmp_path / "t.edb", 512, key_size)
    model, horizon, freed = Model(), 0, 0
    try:
        for i, batch in enumerate(history(seed ^ key_size, key_size, 60, largest)):
            number = tree.apply(batch, calls=rnd.choice([1, 1, 3]))
            model.apply(number, batch)
            if i % 6 == 5 and rnd.random() < 0.8:
                horizon = max(horizon, rnd.choice([n for n in model.at if n > 2]))
                pages, over = tree.prune(horizon, rnd.choice([1, 7, 2**40]))
                freed += pages
                if over and rnd.random() < 0.5:
                    judge(tree, model, horizon, 2**47, rnd)
        while not tree.prune(horizon, 20)[1]:
            pass
        judge(tree, model, horizon, 2**47, rnd)
        assert tree.prune(number)[1]
        judge(tree, model, number, 2**47, rnd)
    finally:
        tree.close()
