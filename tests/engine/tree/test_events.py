"""What commits did to keys: each change of each key exactly once, against what a model holds at every moment."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ..bare_tree import BareTree, Event
from ..tree_model import STYLES, Model, history


def events_of(model: Model, after: int, upto: int, low: bytes, high: bytes | None) -> list[Event]:
    """What a walk must find, sorted."""
    found = []
    before: dict[bytes, tuple[bytes, int]] = {}
    for commit, rows in sorted(model.at.items()):
        for key in before.keys() | rows.keys():
            was, now = before.get(key), rows.get(key)
            if was != now and after < commit <= upto and key >= low and (high is None or key < high):
                found.append(Event(key, commit, was and (was[1], was[0][:32]), now and (now[1], now[0][:32])))
        before = rows
    return sorted(found, key=lambda event: event[:2])


def behind(key: bytes) -> bytes | None:
    """What comes behind a key, all keys that begin with it, and nothing else."""
    head = key.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None


@pytest.mark.slow
@pytest.mark.parametrize("key_size", [8, 0])
@pytest.mark.parametrize("style", ["mix", *STYLES])
def test_every_change_is_told_once(tmp_path: Path, seed: int, style: str, key_size: int) -> None:
    rnd = random.Random(f"events {seed} {style} {key_size}")
    tree = BareTree(tmp_path / "t.edb", 512, key_size)
    model = Model()
    try:
        commits = 40 if style == "bulk" else 150  # which has many keys in each
        for number, batch in enumerate(history(rnd.randrange(2**32), key_size, commits, style=style)):
            model.apply(tree.apply(batch), batch)
            if number % 10 and number < commits - 5:
                continue
            keys = sorted({key for rows in model.at.values() for key in rows})
            moments = [0, *sorted(model.at)]
            for which in ("whole", "range", "range", *["one key"] * 8):
                after, upto = (0, 2**40) if which == "whole" else sorted(rnd.choices(moments, k=2))
                low = b"" if which == "whole" else rnd.choice([b"", *keys])
                high = None
                if which == "range":
                    high = rnd.choice([None, *(key for key in keys if key > low), low + b"\0"])
                if which == "one key":  # as far as keys have one size
                    low = rnd.choice([*keys, rnd.randbytes(8)])
                    high = behind(low)
                found, _ = tree.events(after, upto, low, high)
                wanted = events_of(model, after, upto, low, high)
                assert sorted(found, key=lambda event: event[:2]) == wanted, (after, upto, low, high)
    finally:
        tree.close()


def test_changes_of_a_key_in_one_leaf_come_oldest_first(tmp_path: Path) -> None:
    tree = BareTree(tmp_path / "t.edb", 8192, 8)
    try:
        for n in range(20):
            tree.apply({k.to_bytes(8, "big"): b"%d" % n for k in (1, 2)})
        found, _ = tree.events(0, 2**40)
        assert [(event.key[-1], event.commit) for event in found] == [(k, n + 2) for k in (1, 2) for n in range(20)]
    finally:
        tree.close()


def test_few_changes_are_found_without_a_walk_over_all_pages(tmp_path: Path) -> None:
    """Recent ones by what was written since, early ones by what began before."""
    tree = BareTree(tmp_path / "t.edb", 512, 8)
    try:
        for n in range(0, 5000, 50):
            early = tree.apply({k.to_bytes(8, "big"): b"x" * 20 for k in range(n, n + 50)})
            if n == 100:
                third = early
        for n in range(20):
            last = tree.apply({(2500).to_bytes(8, "big"): b"%d" % n})
        every = tree.pages_touched(last)
        recent, touched = tree.events(last - 20, last)
        assert len(recent) == 20
        assert 10 * touched < every
        first, touched = tree.events(third - 1, third)
        assert len(first) == 50
        assert 5 * touched < every
    finally:
        tree.close()


def test_what_one_key_was_when_a_leaf_began_is_known_from_the_leaf_before(tmp_path: Path) -> None:
    tree = BareTree(tmp_path / "t.edb", 512, 8)
    low = b"\0" * 7 + b"\xff"
    try:
        first = tree.apply({k.to_bytes(8, "big"): b"x" * 20 for k in range(200, 300)})
        for n in range(400):
            tree.apply({low: b"%d" % n})
        one, touched = tree.events(first, 2**40, low, behind(low))
        same, beside = tree.events(first, 2**40, low, b"\0" * 6 + b"\x01\x01")
        assert [event for event in same if event.key == low] == one
        assert len(one) == 400
        assert 1.5 * touched < beside
    finally:
        tree.close()
