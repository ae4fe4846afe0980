"""The temporal tree against a model, at every past moment, on pages small enough to split constantly."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..bare_tree import FOREVER, BareTree
from ..tree_model import STYLES, Batch, Model, history


def judge(tree: BareTree, batches: Iterator[Batch], rnd: random.Random, check_every: int = 7) -> Model:
    """Drive the tree and ask it about every moment there was."""
    model = Model()
    for count, batch in enumerate(batches):
        number = tree.apply(batch, calls=rnd.choice([1, 1, 2, 5]))
        model.apply(number, batch)
        assert tree.live() == len(model.rows)
        if count % check_every == 0:
            assert tree.check() == []
    assert tree.check() == []
    compare(tree, model, rnd)
    return model


def compare(tree: BareTree, model: Model, rnd: random.Random) -> None:
    keys = sorted({key for rows in model.at.values() for key in rows} | {b"\x80" + bytes(7)})
    for moment, rows in [*model.at.items(), (FOREVER, model.rows)]:
        expected = [(key, len(value), value[:32], begun) for key, (value, begun) in sorted(rows.items())]
        assert tree.scan(moment) == expected
        assert tree.scan(moment, backward=True, turn=rnd.random() < 0.3) == expected[::-1]
        for key in rnd.sample(keys, min(8, len(keys))):
            assert tree.get(moment, key) == (rows[key][0] if key in rows else None)
            assert tree.scan(moment, key, most=3) == [row for row in expected if row[0] >= key][:3]
            assert tree.scan(moment, key, backward=True, most=3) == [row for row in expected if row[0] <= key][::-1][:3]


def walks(keys: list[bytes], rnd: random.Random) -> Iterator[list[tuple[bytes, str]]]:
    """Keys in the orders in which joins ask for them, with steps of the cursor in between."""
    near = sorted(rnd.choices(keys, k=len(keys)), key=lambda key: keys.index(key) + rnd.randrange(6))
    for order in (keys, keys[::-1], near, rnd.sample(keys, len(keys))):
        yield [(key, rnd.choice("--np")) for key in order]


def grown(path: Path, rnd: random.Random, style: str, key_size: int) -> tuple[BareTree, Model, list[bytes]]:
    """A tree with a random history, its model, and every key that ever lived, and one more."""
    tree, model = BareTree(path, 512, key_size), Model()
    for batch in history(rnd.randrange(2**32), key_size, 12 if style == "bulk" else 40, style=style):
        model.apply(tree.apply(batch), batch)
    return tree, model, sorted({key for rows in model.at.values() for key in rows} | {b"\x80" + bytes(7)})


@pytest.mark.slow
@pytest.mark.parametrize("key_size", [8, 0])
@pytest.mark.parametrize("style", ["mix", *STYLES])
def test_keys_asked_one_after_the_other_are_found_as_each_alone(
    tmp_path: Path, seed: int, style: str, key_size: int
) -> None:
    """A key is looked for in the leaf of the one before, whose entries are of other moments too."""
    rnd = random.Random(f"{seed} {style} {key_size}")
    tree, model, keys = grown(tmp_path / "t.edb", rnd, style, key_size)
    try:
        keys = keys if len(keys) < 400 else keys[:150] + sorted(rnd.sample(keys[150:], 250))
        moments = [(FOREVER, model.rows), *model.at.items()]
        for moment, rows in moments[:2] + rnd.sample(moments[2:], min(10, len(moments) - 2)):
            living = [(key, (begun, len(value), value[:32])) for key, (value, begun) in sorted(rows.items())]
            names, there = [key for key, _ in living], dict(living)
            for visits in walks(keys, rnd):
                wanted = []
                for key, step in visits:
                    at = bisect_left(names, key)
                    to = at + {"-": 0, "n": 1, "p": -1}[step]
                    sought, stepped = (living[i][1] if 0 <= i < len(living) else None for i in (at, to))
                    wanted.append([there.get(key), sought, stepped if sought else None])
                assert tree.visit(moment, visits)[0] == wanted
    finally:
        tree.close()


def test_keys_in_order_are_found_without_a_way_down_for_each(tmp_path: Path) -> None:
    tree = BareTree(tmp_path / "t.edb", 512, 8)
    try:
        keys = [(i + (1 << 63)).to_bytes(8, "big") for i in range(2000)]
        first = tree.apply(dict.fromkeys(keys, b"v" * 12))
        tree.apply(dict.fromkeys(keys[::7], b"w"))
        for moment in (FOREVER, first):
            _, touched = tree.visit(moment, [(key, "-") for key in keys])
            assert touched <= len(keys)  # each alone is found by three pages or more, twice
            _, touched = tree.visit(moment, [(key, "-") for key in keys[::-1]])
            assert touched <= len(keys)
    finally:
        tree.close()


def leaps(names: list[bytes], keys: list[bytes], rnd: random.Random) -> list[tuple[bytes, str]]:
    """Some of the keys in order, near each other and far apart, of which each is sought from the one before."""
    visits, stands, at = [], b"", 0
    while at < len(keys):
        key = keys[at]
        if key >= stands:
            visits.append((key, "o"))
            place = bisect_left(names, key)
            if place == len(names):
                break
            stands = names[place]
        at += rnd.choice((1, 1, 2, rnd.randrange(1, 20), rnd.randrange(1, len(keys) + 1)))
    return visits


def judge_which(tree: BareTree, moment: int, rows: dict[bytes, tuple[bytes, int]], keys: list[bytes],
                rnd: random.Random) -> None:
    """Asked for are keys of one size at a time, from one to 64 of them, near each other and far apart."""
    for size in {len(key) for key in keys}:
        some = [key for key in keys if len(key) == size]
        while some:
            n = min(rnd.choice((1, 3, 64)), len(some))
            asked = sorted(rnd.sample(some, n)) if rnd.random() < 0.5 else some[:n]
            assert tree.which(moment, asked)[0] == [key in rows for key in asked]
            some = some[n:]


def judge_leaps(tree: BareTree, moment: int, rows: dict[bytes, tuple[bytes, int]], keys: list[bytes],
                rnd: random.Random) -> None:
    living = [(key, (begun, len(value), value[:32])) for key, (value, begun) in sorted(rows.items())]
    names, there = [key for key, _ in living], dict(living)
    for _ in range(4):
        visits = leaps(names, keys, rnd)
        found = tree.visit(moment, visits)[0]
        for (key, _), (same, sought, stays) in zip(visits, found, strict=True):
            place = bisect_left(names, key)
            assert same == there.get(key)
            assert sought == stays == (living[place][1] if place < len(living) else None), key


@pytest.mark.slow
@pytest.mark.parametrize("key_size", [8, 0])
@pytest.mark.parametrize("style", ["mix", *STYLES])
def test_leaps_along_the_keys_and_many_keys_at_once_find_what_is_found_from_the_root(
    tmp_path: Path, seed: int, style: str, key_size: int
) -> None:
    rnd = random.Random(f"{seed} {style} {key_size}")
    tree, model, keys = grown(tmp_path / "t.edb", rnd, style, key_size)
    try:
        moments = [(FOREVER, model.rows), *model.at.items()]
        for moment, rows in moments[:2] + rnd.sample(moments[2:], min(10, len(moments) - 2)):
            judge_leaps(tree, moment, rows, keys, rnd)
            judge_which(tree, moment, rows, keys, rnd)
    finally:
        tree.close()


@pytest.mark.parametrize("spread", ["even", "clustered", "doubling", "one after the other", "few bytes"])
def test_leaps_among_postings_find_what_is_found_from_the_root(tmp_path: Path, seed: int, spread: str) -> None:
    """Keys with a common beginning, whose places are guessed from the numbers behind it."""
    rnd = random.Random(f"{seed} {spread}")
    numbers = {
        "even": lambda: [1000 * i for i in range(400)],
        "clustered": lambda: [rnd.choice((0, 10**6, 2**62)) + rnd.randrange(500) for _ in range(400)],
        "doubling": lambda: [2**i + j for i in range(64) for j in range(6)],
        "one after the other": lambda: list(range(400)),
        "few bytes": lambda: [rnd.randrange(2**64) for _ in range(400)],
    }[spread]()
    size = 8 if spread != "few bytes" else 3
    keys = sorted({tag + (number % 2**64).to_bytes(8, "big")[:size]
                   for tag in (b"", b"tag1type", b"tag2type", b"tag2typf") for number in numbers})
    tree = BareTree(tmp_path / "t.edb", rnd.choice((512, 4096)), 0)
    try:
        first = tree.apply({key: b"" for key in keys if rnd.random() < 0.7})
        then = dict.fromkeys((row[0] for row in tree.scan(first)), (b"", first))
        gone = {key for key in then if rnd.random() < 0.3}
        tree.apply(dict.fromkeys(gone))
        for moment, rows in ((first, then), (FOREVER, {key: row for key, row in then.items() if key not in gone})):
            judge_leaps(tree, moment, rows, keys, rnd)
            judge_leaps(tree, moment, rows, sorted({key[:-1] for key in keys} | {key + b"\0" for key in keys}), rnd)
            judge_which(tree, moment, rows, keys, rnd)
            judge_which(tree, moment, rows, sorted({key[:-1] for key in keys} | {key + b"\0" for key in keys}), rnd)
    finally:
        tree.close()


@contextmanager
def every_seventh_deleted(path: Path) -> Iterator[tuple[BareTree, list[bytes], int]]:
    """A tree of 3,000 keys of 16 bytes in a row, all of which it had at the moment."""
    tree = BareTree(path, 512, 0)
    try:
        keys = [b"tag1type" + (i + (1 << 63)).to_bytes(8, "big") for i in range(3000)]
        first = tree.apply(dict.fromkeys(keys, b""))
        tree.apply(dict.fromkeys(keys[::7]))
        yield tree, keys, first
    finally:
        tree.close()


def test_leaps_along_the_keys_do_not_go_down_from_the_root(tmp_path: Path) -> None:
    with every_seventh_deleted(tmp_path / "t.edb") as (tree, keys, first):
        for moment in (FOREVER, first):
            height = tree.visit(moment, [(keys[0], "-")])[1] // 2   # one way down for the version, one for the seek
            for apart in (5, 20, 40, 200):
                along, anew = (tree.visit(moment, [(key, how) for key in keys[::apart]])[1] for how in "o-")
                versions = height * len(keys[::apart])
                assert along - versions <= 0.7 * (anew - versions), apart


def test_many_keys_are_looked_for_by_one_way_down_to_each_leaf(tmp_path: Path) -> None:
    with every_seventh_deleted(tmp_path / "t.edb") as (tree, keys, first):
        for moment in (FOREVER, first):
            height = tree.which(moment, keys[:1])[1]
            for apart in (1, 5, 40):
                asked = keys[::apart][:64]
                found, touched = tree.which(moment, asked)
                assert found == [moment == first or i * apart % 7 != 0 for i in range(len(asked))]
                leaves = min(len(asked), 2 + len(asked) * apart // 8)   # of at least eight entries each
                assert touched <= leaves + height * (1 + leaves // 4)
        assert tree.which(FOREVER, [])[0] == []


def test_keys_that_no_leaf_holds_are_not_there(tmp_path: Path) -> None:
    """Before the first key ever written, behind the last, and where nothing lives any more."""
    tree = BareTree(tmp_path / "t.edb", 512, 8)
    try:
        assert tree.which(FOREVER, [bytes(8), b"\xff" * 8])[0] == [False, False]
        keys = [(i + (1 << 63)).to_bytes(8, "big") for i in range(1000)]
        first = tree.apply(dict.fromkeys(keys, b""))
        assert tree.which(FOREVER, [bytes(8), keys[0], keys[-1], b"\xff" * 8])[0] == [False, True, True, False]
        assert tree.which(first - 1, [bytes(8), *keys[:60]])[0] == [False] * 61
        tree.apply(dict.fromkeys(keys[100:900]))
        asked = keys[::16]
        assert tree.which(FOREVER, asked)[0] == [not 100 <= i < 900 for i in range(0, 1000, 16)]
        assert all(tree.which(first, asked)[0])
    finally:
        tree.close()


@pytest.mark.slow
@pytest.mark.parametrize("key_size", [8, 0])
@pytest.mark.parametrize("style", ["mix", *STYLES])
def test_every_moment_reads_as_the_model(tmp_path: Path, seed: int, style: str, key_size: int) -> None:
    for turn in range(3):
        rnd = random.Random(f"{seed} {style} {key_size} {turn}")
        page_size = rnd.choice([512, 512, 1024])
        tree = BareTree(tmp_path / f"{turn}.edb", page_size, key_size)
        try:
            commits = rnd.choice([20, 40, 60] if style == "bulk" else [30, 100, 200])  # bulk has many keys in each
            judge(tree, history(rnd.randrange(2**32), key_size, commits, style=style), rnd)
        finally:
            tree.close()


@pytest.mark.slow
def test_large_values_live_in_chains(tmp_path: Path, seed: int) -> None:
    rnd = random.Random(seed)
    tree = BareTree(tmp_path / "t.edb", 512, 8)
    try:
        judge(tree, history(seed, 8, 60, largest=5000), rnd)
    finally:
        tree.close()


@pytest.mark.slow
def test_history_survives_reopening(tmp_path: Path, seed: int) -> None:
    rnd = random.Random(seed)
    tree = BareTree(tmp_path / "t.edb", 512, 0)
    model = judge(tree, history(seed, 0, 80), rnd)
    tree.close()
    tree = BareTree(tmp_path / "t.edb", 0, 0)
    try:
        compare(tree, model, rnd)
        assert tree.check() == []
    finally:
        tree.close()


def test_a_change_that_changes_nothing_stores_no_version(tmp_path: Path) -> None:
    tree = BareTree(tmp_path / "t.edb", 512, 8)
    try:
        key = (1 << 63).to_bytes(8, "big")
        first = tree.apply({key: b"one"})
        tree.apply({key: b"one"})
        tree.apply({bytes(8): None})
        assert tree.scan(FOREVER) == [(key, 3, b"one", first)]
    finally:
        tree.close()


def test_reading_one_hot_row_costs_the_same_at_every_moment(tmp_path: Path) -> None:
    tree = BareTree(tmp_path / "t.edb", 512, 8)
    try:
        keys = [(i + (1 << 63)).to_bytes(8, "big") for i in range(200)]
        tree.apply(dict.fromkeys(keys, b"x" * 20))
        numbers = [tree.apply({keys[77]: b"%d" % i}) for i in range(3000)]
        now = tree.pages_touched(FOREVER)
        for number in numbers[:: len(numbers) // 20]:
            assert tree.pages_touched(number) <= now + 2
        assert tree.check() == []
    finally:
        tree.close()


def test_an_emptied_queue_leaves_one_page_to_read(tmp_path: Path) -> None:
    tree = BareTree(tmp_path / "t.edb", 512, 8)
    try:
        keys = [(i + (1 << 63)).to_bytes(8, "big") for i in range(4000)]
        for i in range(0, 4000, 50):
            batch: Batch = dict.fromkeys(keys[i : i + 50], b"job")
            if i:
                batch |= dict.fromkeys(keys[i - 50 : i], None)
            tree.apply(batch)
        assert tree.live() == 50
        assert tree.pages_touched(FOREVER) <= 12
        tree.apply(dict.fromkeys(keys[3950:], None))
        assert tree.pages_touched(FOREVER) <= 2
        assert tree.check() == []
    finally:
        tree.close()


def test_a_leaf_changed_whole_becomes_one_leaf(tmp_path: Path) -> None:
    """Each version of each key is in one page and takes its room once, however often all keys are changed at once."""
    tree = BareTree(tmp_path / "t.edb", 512, 8)
    try:
        keys = [(i + (1 << 63)).to_bytes(8, "big") for i in range(500)]
        tree.apply(dict.fromkeys(keys, b"0" * 12))
        assert tree.check() == []
        loaded = tree.pages
        for i in range(1, 9):
            tree.apply(dict.fromkeys(keys, b"%d" % i * 12))
        assert tree.check() == []
        assert tree.pages <= loaded * 9 * 1.2
    finally:
        tree.close()


def test_a_bulk_load_in_key_order_fills_its_pages(tmp_path: Path) -> None:
    tree = BareTree(tmp_path / "t.edb", 1024, 8)
    try:
        keys = [(i + (1 << 63)).to_bytes(8, "big") for i in range(20000)]
        tree.apply(dict.fromkeys(keys, b"v" * 12), calls=4)
        assert tree.check() == []
        entry, room = 8 + 8 + 1 + 12, 1024 - 64
        assert tree.pages <= 20000 / (room // entry) * 1.1 + 4
    finally:
        tree.close()
