"""Packing pages and unpacking them gives back what they hold: pages of real trees, and nodes of any entries."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from entitydb_dialect._native import ffi, lib
from hypothesis import given
from hypothesis import strategies as st

from format import packs
from format.reader import decode_node, page_checksum, u32, u64

from .made_pages import CORRUPT, PackError, groups, node, pack, same_entries, tree_pages, unpack

PAGE_SIZES = (512, 1024, 2048, 4096, 8192, 16384, 32768)
COLD = 1 << 39                      # the bit that marks a cold id


def judged(pages: list[bytes], number: int = 77) -> None:
    """Each page comes back, whole and alone; and the reader in Python sees the same."""
    size = len(pages[0])
    packed = pack(pages)
    found = unpack(packed, size, number)
    read = packs.pages(packed)
    assert len(found) == len(read) == len(pages)
    for i, (page, back, seen) in enumerate(zip(pages, found, read, strict=True)):
        assert u64(back, 8) == number + i
        assert u32(back, 0) == page_checksum(back)
        if page[4] not in (1, 2):
            assert back[4:8] + back[16:] == page[4:8] + page[16:]
            assert isinstance(seen, bytes)
            assert seen[4:8] + seen[16:] == page[4:8] + page[16:]
            continue
        assert same_entries(page, back)
        meant = decode_node(page, 0)
        assert isinstance(seen, packs.Node)
        assert (seen.kind, seen.level, seen.owner, seen.key_size, seen.writer) == (
            page[4], meant.level, meant.owner, meant.key_size, u64(page, 16))
        assert [(e.key, e.begun, e.value, e.form == packs.TOMBSTONE, e.form == packs.OVERFLOW)
                for e in seen.entries] == [(e.key, e.begun, e.value, e.tombstone, e.overflow) for e in meant.entries]
    alone = random.Random(len(packed)).randrange(len(pages))
    assert unpack(packed, size, number, alone) == [found[alone]]
    assert pack(found) == packed


@pytest.mark.parametrize("key_size", [8, 0])
@pytest.mark.parametrize("page_size", [512, 1024, 2048])
def test_pages_of_a_tree_come_back(
    native: Any, tmp_path: Path, rng: random.Random, page_size: int, key_size: int
) -> None:
    pages = tree_pages(tmp_path / "t.edb", rng.randrange(2**32), page_size, key_size, 40)
    assert pages
    for group in rng.sample(all_groups := groups(rng, pages), min(len(all_groups), 25)):
        judged(group)


@pytest.mark.slow
@pytest.mark.parametrize("key_size", [8, 0])
@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_pages_of_many_trees_come_back(
    native: Any, tmp_path: Path, rng: random.Random, page_size: int, key_size: int
) -> None:
    for _ in range(3):
        seed = rng.randrange(2**32)
        print("seed", seed)
        pages = tree_pages(tmp_path / "t.edb", seed, page_size, key_size, 120, rows=rng.random() < 0.8)
        for group in rng.sample(all_groups := groups(rng, pages), min(len(all_groups), 40)):
            judged(group)


def test_pages_of_two_trees_meet_in_a_pack(native: Any, tmp_path: Path, rng: random.Random) -> None:
    pages = [page for key_size in (8, 0)
             for page in tree_pages(tmp_path / "t.edb", rng.randrange(2**32), 1024, key_size, 20)]
    for _ in range(20):
        judged(rng.sample(pages, min(len(pages), rng.randint(1, 16))))


def keys(fixed: int) -> st.SearchStrategy[list[bytes]]:
    one = st.binary(min_size=8, max_size=8) if fixed else st.one_of(
        st.binary(max_size=12), st.binary(min_size=5, max_size=5), st.binary(max_size=4).map(lambda b: b"same" * 8 + b))
    return st.lists(one, unique=True, max_size=25).map(sorted)


COMMITS = st.one_of(st.integers(0, 20), st.integers(0, 2**48 - 2), st.just(2**48 - 2))
COLUMN = st.one_of(
    st.sampled_from([(0, b""), (1, b""), (2, b"")]),
    st.sampled_from([1, 2, 4, 8]).flatmap(lambda n: st.tuples(st.just(3), st.binary(min_size=n, max_size=n))),
    st.tuples(st.just(4), st.binary(min_size=8, max_size=8)),
    st.tuples(st.sampled_from([5, 6]), st.binary(max_size=20)),
)
# Rows, what only looks like them, and anything.
VALUES = st.one_of(
    st.lists(COLUMN, max_size=5).map(packs.encode_row),
    st.lists(COLUMN, min_size=1, max_size=3).map(packs.encode_row).flatmap(
        lambda row: st.tuples(st.integers(0, len(row) - 1), st.integers(0, 255)).map(
            lambda change: row[: change[0]] + bytes([change[1]]) + row[change[0] + 1 :])),
    st.binary(max_size=40),
)
OVERFLOWS = st.integers(0, 2**32 - 1).flatmap(
    lambda size: st.binary(min_size=12, max_size=12).map(lambda ref: size.to_bytes(8, "little") + ref))


@st.composite
def any_nodes(draw: st.DrawFn) -> list[bytes]:
    page_size, fixed = draw(st.sampled_from([512, 2048, 8192])), draw(st.sampled_from([8, 0]))
    leaf = draw(st.booleans())
    known = draw(keys(fixed))
    content = st.one_of(st.none(), VALUES.map(lambda v: (v, False)), OVERFLOWS.map(lambda v: (v, True)))
    numbers = st.one_of(st.integers(0, 2**40 - 1), st.integers(COLD, COLD + 50))
    child = st.tuples(numbers, st.sampled_from([0, 1, 2**32 - 1]))
    table = {}
    for key in known:
        for begun in draw(st.lists(COMMITS, min_size=1, max_size=4, unique=True)):
            table[key, begun] = draw(content) if leaf else (draw(child), False)
    made = []
    for _ in range(draw(st.integers(1, 6))):
        # Each page has some of the versions; now and then one of them is another, as if it came from elsewhere.
        entries = []
        for (key, begun), version in sorted(table.items(), key=lambda item: (item[0][0], -item[0][1])):
            if draw(st.booleans()):
                value, overflow = version if version is not None else (None, False)
                if leaf and draw(st.integers(0, 30)) == 0:
                    value, overflow = b"another", False
                entries.append((key, begun, value, overflow))
        if not leaf and not entries:
            entries = [(bytes(fixed), 0, (5, 6), False)]
        while (page := node(page_size, leaf, fixed, entries, draw(st.integers(1, 255)), draw(st.integers(0, 2**32 - 1)),
                            draw(st.integers(0, 2**48 - 2)))) is None:
            del entries[len(entries) // 2 :]
        made.append(page)
    return made


@pytest.mark.slow
@given(any_nodes())
def test_nodes_of_any_entries_come_back(pages: list[bytes]) -> None:
    judged(pages)


def test_a_tombstone_of_the_last_commit_and_versions_of_commit_0_come_back(native: Any) -> None:
    last = 2**48 - 2
    page = node(512, True, 8, [(bytes(8), last, None, False), (bytes(8), 0, b"first", False),
                               (b"\xff" * 8, last, b"", False)])
    assert page
    judged([page] * 16)


def test_rows_of_more_columns_than_there_are_streams_come_back(native: Any, rng: random.Random) -> None:
    rows = [[(3, rng.randbytes(1)) for _ in range(300)] for _ in range(3)]
    rows[1] = [*rows[0][:200], *rows[1][200:]]
    entries = [(bytes(8), 9 - i, packs.encode_row(row), False) for i, row in enumerate(rows)]
    page = node(8192, True, 8, [(key, begun, value, over) for key, begun, value, over in entries])
    assert page
    judged([page, page])


def test_full_pages_of_nothing_but_empty_values_come_back(native: Any) -> None:
    entries = [(i.to_bytes(8, "big"), 1, b"", False) for i in range(1923)]
    page = node(32768, True, 8, entries)
    assert page
    assert node(32768, True, 8, [*entries, (b"\xff" * 8, 1, b"", False)]) is None
    judged([page] * 3)


def test_each_level_of_zstd_gives_the_same_pages(native: Any, tmp_path: Path, rng: random.Random) -> None:
    pages = tree_pages(tmp_path / "t.edb", rng.randrange(2**32), 1024, 8, 30)[:8]
    meant = unpack(pack(pages), 1024)
    for level in (-5, 1, 2, 4, 5, 6, 9, 19):
        assert unpack(pack(pages, level), 1024) == meant


def test_what_pages_share_is_stored_once(native: Any, rng: random.Random) -> None:
    entries = [(i.to_bytes(8, "big"), i, rng.randbytes(40), False) for i in range(100)]
    page = node(8192, True, 8, entries)
    assert page
    assert len(pack([page] * 16)) < len(pack([page])) + 150


def test_entries_out_of_order_are_refused(native: Any) -> None:
    page = node(512, True, 8, [(b"b" * 8, 1, b"", False), (b"a" * 8, 1, b"", False)])
    assert page
    with pytest.raises(PackError, match="not in order") as caught:
        pack([page])
    assert caught.value.args[0] == CORRUPT


def test_steady_work_takes_no_memory(native: Any, tmp_path: Path, rng: random.Random) -> None:
    pages = tree_pages(tmp_path / "t.edb", rng.randrange(2**32), 4096, 8, 60)[:8]
    seconds = [ffi.new("double *") for _ in range(3)]
    before, after = ffi.new("test_buffer_counts *"), ffi.new("test_buffer_counts *")
    for _ in range(3):
        assert lib.test_pack_speed(b"".join(pages), len(pages), 4096, 3, 3, *seconds) == 0
    lib.test_buffers(before)
    passed = lib.test_alloc_passed()
    assert lib.test_pack_speed(b"".join(pages), len(pages), 4096, 3, 50, *seconds) == 0
    lib.test_buffers(after)
    assert after.taken > before.taken
    assert after.made - before.made < 5
    assert lib.test_alloc_passed() - passed < 25  # of 50 rounds: those of the test itself, and of a writer that grows


@pytest.mark.slow
def test_threads_unpack_at_once(native: Any, tmp_path: Path, rng: random.Random) -> None:
    """More of them than readers that wait are kept."""
    packed = []
    for key_size in (8, 0):
        pages = tree_pages(tmp_path / "t.edb", rng.randrange(2**32), 1024, key_size, 30)
        packed += [pack(group) for group in groups(rng, pages)[:20]]
    meant = [unpack(one, 1024) for one in packed]

    def work(turn: int) -> bool:
        which = random.Random(turn).choices(range(len(packed)), k=200)
        return all(unpack(packed[i], 1024) == meant[i] for i in which)

    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(work, range(24)))


def test_memory_that_is_missing_is_said(native: Any, tmp_path: Path, rng: random.Random) -> None:
    pages = tree_pages(tmp_path / "t.edb", rng.randrange(2**32), 1024, 0, 30)[:8]
    packed = pack(pages)
    out, n = ffi.new("uint8_t[]", 16 * 1024), ffi.new("unsigned *")
    room, size = ffi.new("uint8_t[]", lib.test_pack_bound(16, 1024)), ffi.new("size_t *")
    for work in (lambda: lib.test_unpack(packed, len(packed), 1024, -1, 1, out, n),
                 lambda: lib.test_pack(b"".join(pages), len(pages), 1024, 3, room, size)):
        nth = 1
        while True:
            lib.pack_readers_forget()
            lib.buffers_forget()
            live = lib.test_alloc_live()
            lib.test_alloc_fail(nth, False)
            code = work()
            passed = lib.test_alloc_passed()
            lib.test_alloc_fail(0, False)
            lib.pack_readers_forget()
            lib.buffers_forget()
            assert lib.test_alloc_live() == live
            if passed < nth:
                break
            assert code in (0, 1)
            nth += 1
        assert code == 0
        assert nth > 5
    assert bytes(ffi.buffer(room, size[0])) == packed
