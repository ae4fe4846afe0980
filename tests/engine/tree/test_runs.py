"""How full leaves are whose keys arrive in order, in many runs beside each other, as in an index with few values."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ..bare_tree import BareTree

PAGE, HEAD, ENTRY = 1024, 64, 1 + 16 + 1 + 8        # an entry is its key and its size, the value's size, a slot


def key(run: int, number: int) -> bytes:
    return run.to_bytes(8, "big") + number.to_bytes(8, "big")


def filled(path: Path, batches: list[list[bytes]]) -> float:
    """The share of the tree's pages that entries take, all of the keys living."""
    tree = BareTree(path, PAGE, 0)
    try:
        for batch in batches:
            tree.apply(dict.fromkeys(batch, b""))
        keys, pages, whole = tree.keys_since(0)
        assert whole
        assert sorted(keys) == sorted(key for batch in batches for key in batch)
        return len(keys) * ENTRY / (pages * (PAGE - HEAD))
    finally:
        tree.close()


@pytest.mark.parametrize("batch", [1, 7, 40, 400])
def test_runs_beside_each_other_fill_their_leaves(tmp_path: Path, rng: random.Random, batch: int) -> None:
    runs = [rng.randrange(10) for _ in range(4000)]
    keys = [key(run, number) for number, run in enumerate(runs)]
    assert filled(tmp_path / "t.edb", [keys[at : at + batch] for at in range(0, len(keys), batch)]) > 0.75


@pytest.mark.parametrize("batch", [1, 40])
def test_keys_at_random_fill_leaves_as_cuts_in_the_middle_do(tmp_path: Path, rng: random.Random, batch: int) -> None:
    """By ln 2 (Yao, "On random 2-3 trees", 1978)."""
    keys = [key(0, number) for number in rng.sample(range(2**60), 4000)]
    assert 0.6 < filled(tmp_path / "t.edb", [keys[at : at + batch] for at in range(0, len(keys), batch)]) < 0.75


@pytest.mark.parametrize("batch", [1, 40])
def test_runs_much_shorter_than_a_leaf_are_as_keys_at_random(tmp_path: Path, rng: random.Random, batch: int) -> None:
    keys = [key(rng.randrange(1000), number) for number in range(4000)]
    assert 0.6 < filled(tmp_path / "t.edb", [keys[at : at + batch] for at in range(0, len(keys), batch)]) < 0.75


def test_a_bulk_load_is_no_run_of_what_comes_later(tmp_path: Path, rng: random.Random) -> None:
    """Its keys are all of one age; single ones that come between are cut around in the middle."""
    keys = [key(0, 1000 * number) for number in range(2000)]
    later = [[key(0, 1000 * number + rng.randrange(1, 1000))] for number in rng.sample(range(2000), 1000)]
    assert filled(tmp_path / "t.edb", [keys, *later]) > 0.6


def test_falling_keys_leave_halves(tmp_path: Path) -> None:
    keys = [key(0, 4000 - number) for number in range(4000)]
    assert filled(tmp_path / "t.edb", [[one] for one in keys]) > 0.45
