"""The keys written since a moment: against what a model remembers of every commit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ..bare_tree import BareTree
from ..tree_model import STYLES, Batch, Model, history


class Written(Model):
    """A model that also knows which keys each commit gave a value."""

    def __init__(self) -> None:
        super().__init__()
        self.by: dict[int, set[bytes]] = {}

    def apply(self, number: int, batch: Batch) -> None:
        super().apply(number, batch)
        self.by[number] = {key for key in batch if key in self.rows and self.rows[key][1] == number}

    def since(self, moment: int) -> set[bytes]:
        return set().union(*(keys for number, keys in self.by.items() if number > moment))


def judge(tree: BareTree, model: Written, since: int) -> int:
    """-> how many pages were looked at."""
    keys, pages, whole = tree.keys_since(since)
    assert whole
    assert set(keys) == model.since(since), since
    return pages


@pytest.mark.slow
@pytest.mark.parametrize("key_size", [8, 0])
def test_every_key_written_since_is_told_and_no_other(tmp_path: Path, seed: int, key_size: int) -> None:
    rnd = random.Random(f"since {seed} {key_size}")
    tree, model = BareTree(tmp_path / "t.edb", 512, key_size), Written()
    try:
        for batch in history(rnd.randrange(2**32), key_size, 100):
            model.apply(tree.apply(batch, calls=rnd.choice([1, 1, 3])), batch)
            judge(tree, model, rnd.choice(sorted(model.at)))
        for since in [0, *model.at]:
            judge(tree, model, since)
    finally:
        tree.close()


@pytest.mark.slow
@pytest.mark.parametrize("key_size", [8, 0])
@pytest.mark.parametrize("style", ["mix", *STYLES])
def test_every_key_written_since_every_moment(tmp_path: Path, seed: int, style: str, key_size: int) -> None:
    rnd = random.Random(f"since {seed} {style} {key_size}")
    tree, model = BareTree(tmp_path / "t.edb", 512, key_size), Written()
    try:
        for batch in history(rnd.randrange(2**32), key_size, 40 if style == "bulk" else 150, style=style):
            model.apply(tree.apply(batch), batch)
            judge(tree, model, rnd.choice(sorted(model.at)[-6:]))
        for since in [0, *model.at]:
            judge(tree, model, since)
    finally:
        tree.close()


def test_what_nobody_wrote_is_passed_by_its_pages(tmp_path: Path) -> None:
    tree, model = BareTree(tmp_path / "t.edb", 512, 8), Written()
    try:
        batch = {n.to_bytes(8, "big"): b"x" * 20 for n in range(5000)}
        moment = tree.apply(batch)
        model.apply(moment, batch)
        whole = judge(tree, model, 0)
        for n in range(20):
            batch = {(4990).to_bytes(8, "big"): b"%d" % n}
            model.apply(tree.apply(batch), batch)
        assert 5 * judge(tree, model, moment) < whole
        assert judge(tree, model, max(model.at)) == 0
    finally:
        tree.close()


def test_a_key_that_came_and_went_is_told_from_history(tmp_path: Path) -> None:
    """It lived for one commit, and the page that knew it has been replaced since."""
    tree, model = BareTree(tmp_path / "t.edb", 512, 8), Written()

    def put(batch: dict[bytes, bytes | None]) -> int:
        number = tree.apply(batch)
        model.apply(number, batch)
        return number

    try:
        moment = put({n.to_bytes(8, "big"): b"x" * 20 for n in (4, 6)})
        put({(5).to_bytes(8, "big"): b"brief"})
        gone = put({(5).to_bytes(8, "big"): None})
        for n in range(80):
            put({k.to_bytes(8, "big"): b"%d" % n * 5 for k in (4, 6)})
        judge(tree, model, moment)
        assert (5).to_bytes(8, "big") in tree.keys_since(moment)[0]
        assert (5).to_bytes(8, "big") not in tree.keys_since(gone)[0]
    finally:
        tree.close()


def test_a_walk_that_would_be_long_is_given_up(tmp_path: Path) -> None:
    tree = BareTree(tmp_path / "t.edb", 512, 8)
    try:
        tree.apply({n.to_bytes(8, "big"): b"x" * 20 for n in range(5000)})
        keys, pages, whole = tree.keys_since(0, 10)
        assert not whole
        assert pages <= 11
        assert 0 < len(set(keys)) < 5000
        keys, needed, whole = tree.keys_since(0)
        assert whole
        assert tree.keys_since(0, needed)[2]
        assert not tree.keys_since(0, needed - 1)[2]
    finally:
        tree.close()
