"""The interning table against a Python dict; its bound, its counts, failing memory, and threads."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PLENTY = 1 << 30


class Table:
    def __init__(self, native, most: int = PLENTY) -> None:
        self.ffi, self.lib = native.ffi, native.lib
        made = self.lib.intern_new(most)
        if not made:
            raise MemoryError
        self.table = self.ffi.gc(made, self.lib.intern_free)

    def free(self) -> None:
        self.ffi.release(self.table)

    def put(self, text: bytes, number: int):
        return self.lib.test_intern_put(self.table, text, len(text), number)

    def find(self, text: bytes):
        return self.lib.test_intern_find(self.table, text, len(text))

    def find_id(self, number: int):
        return self.lib.test_intern_find_id(self.table, number)

    def read(self, entry) -> tuple[bytes, int] | None:
        if not entry:
            return None
        size, number = self.ffi.new("size_t *"), self.ffi.new("uint64_t *")
        text = self.lib.test_intern_text(entry, size, number)
        return bytes(self.ffi.buffer(text, size[0])), number[0]

    def counts(self) -> dict[str, int]:
        out = self.ffi.new("uint64_t[5]")
        self.lib.test_intern_count(self.table, out)
        return dict(zip(("hits", "misses", "entries", "refused", "bytes"), out, strict=True))


class Model:
    """What a table that is never full knows."""

    def __init__(self) -> None:
        self.ids: dict[bytes, int] = {}
        self.texts: dict[int, bytes] = {}
        self.hits = self.misses = self.refused = 0

    def put(self, text: bytes, number: int) -> tuple[bytes, int] | None:
        if self.ids.get(text, number) != number or self.texts.get(number, text) != text:
            self.refused += 1
            return None
        self.ids[text], self.texts[number] = number, text
        return text, number

    def found(self, there: bool) -> bool:
        self.hits += there
        self.misses += not there
        return there

    def find(self, text: bytes) -> tuple[bytes, int] | None:
        return (text, self.ids[text]) if self.found(text in self.ids) else None

    def find_id(self, number: int) -> tuple[bytes, int] | None:
        return (self.texts[number], number) if self.found(number in self.texts) else None


texts = st.one_of(
    st.binary(max_size=2), st.integers(0, 300).map(lambda i: b"tag:%d" % i), st.binary(min_size=500, max_size=3000)
)
numbers = st.integers(0, 40) | st.sampled_from([2**64 - 1, 2**63, 2**32, 1 << 40]) | st.integers(0, 2**64 - 1)
steps = st.lists(st.tuples(st.sampled_from(["put", "put", "find", "find_id"]), texts, numbers), max_size=60)


@pytest.mark.slow
@settings(max_examples=150)
@given(steps=steps)
def test_a_table_answers_as_two_dicts(native, steps) -> None:
    tested, model = Table(native), Model()
    for what, text, number in steps:
        arguments = {"put": (text, number), "find": (text,), "find_id": (number,)}[what]
        assert tested.read(getattr(tested, what)(*arguments)) == getattr(model, what)(*arguments), (what, arguments)
    counts = tested.counts()
    assert (counts["hits"], counts["misses"], counts["entries"], counts["refused"]) == (
        model.hits, model.misses, len(model.ids), model.refused
    )


def test_a_text_has_one_entry_for_ever(native, rng) -> None:
    """Through all growing; found by text, by id and by being put again."""
    tested, entries = Table(native), {}
    for number in {rng.getrandbits(64) for _ in range(20_000)}:
        entries[number] = tested.put(b"%d" % number, number)
    for number, entry in entries.items():
        text = b"%d" % number
        assert entry == tested.find(text) == tested.find_id(number) == tested.put(text, number)
        assert tested.read(entry) == (text, number)
    counts = tested.counts()
    assert (counts["entries"], counts["refused"]) == (len(entries), 0)
    assert (counts["hits"], counts["misses"]) == (2 * len(entries), 0)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 2**20, 2**32, 2**48])
def test_ids_that_are_multiples_are_spread(native, step) -> None:
    """By their low or by their high bits alone all would be in one chain, which takes minutes."""
    tested = Table(native)
    for i in range(50_000):
        assert tested.put(b"%d" % i, i * step)
    assert all(tested.read(tested.find_id(i * step)) == (b"%d" % i, i * step) for i in range(0, 50_000, 97))


def test_texts_with_any_bytes_are_told_apart(native) -> None:
    tested = Table(native)
    for number, text in enumerate((b"", b"\0", b"\0\0", b"a", b"a\0", b"a\0b")):
        assert tested.put(text, number)
    assert [tested.read(tested.find(text)) for text in (b"", b"a\0b")] == [(b"", 0), (b"a\0b", 5)]


@pytest.mark.slow
@pytest.mark.parametrize("most", [0, 1, 5000, 10_000, 100_000, 1 << 20, 5 << 20])
def test_a_full_table_keeps_what_it_has_and_its_bound(native, rng, most) -> None:
    tested, kept, refused = Table(native, most), {}, 0
    empty = tested.counts()["bytes"]
    for number in range(60_000):
        text = b"text of tag %d" % number + b"." * rng.randrange(100)
        entry = tested.put(text, number)
        if entry:
            kept[number] = text, entry
        else:
            refused += 1
    counts = tested.counts()
    assert counts["entries"] == len(kept)
    assert counts["refused"] == refused > 0
    assert counts["bytes"] <= max(most, empty)
    for number, (text, entry) in kept.items():
        assert entry == tested.find(text) == tested.find_id(number) == tested.put(text, number)
    assert not tested.find(b"text of tag %d" % 60_000)
    # Chunks and slots double: at least a quarter is used, where there is anything to use.
    if most >= 100_000:
        assert sum(24 + len(text) for text, _ in kept.values()) > most / 4


def test_a_text_that_is_too_large_is_not_kept(native) -> None:
    tested = Table(native, 100_000)
    assert not tested.put(bytes(100_000), 1)
    assert tested.put(b"small", 1)
    assert tested.counts()["entries"] == 1


@contextmanager
def failing(native, nth: int, on: bool) -> Iterator[None]:
    native.lib.test_alloc_fail(nth, on)
    try:
        yield
    finally:
        native.lib.test_alloc_fail(0, False)


@pytest.mark.slow
@pytest.mark.parametrize("on", [False, True])
def test_each_allocation_fails_and_the_table_stays_right(native, on) -> None:
    gc.collect()
    for nth in itertools.count(1):
        before = native.lib.test_alloc_live()
        tested, kept = None, {}
        with failing(native, nth, on):
            try:
                tested = Table(native)
            except MemoryError:
                pass        # the table itself: nothing is there, and nothing may be left
            for number in range(400) if tested else ():
                text = b"%d" % number * 30
                kept[number] = text, tested.put(text, number)
            passed = native.lib.test_alloc_passed()
        if tested:
            for number, (text, entry) in kept.items():
                assert tested.find(text) == tested.find_id(number) == entry
            assert tested.counts()["refused"] == sum(not entry for _, entry in kept.values())
            # Memory is back: what was refused is taken in.
            for number, (text, _) in kept.items():
                assert tested.read(tested.put(text, number)) == (text, number)
            tested.free()
        assert native.lib.test_alloc_live() == before
        if passed < nth:
            assert all(entry for _, entry in kept.values())
            break
    assert nth > 5, "nothing failed"


def test_slots_fill_up_where_they_cannot_grow(native) -> None:
    """64 slots grow at two thirds; without memory for more they take seven eighths."""
    tested = Table(native)
    assert tested.put(b"first", 0)
    with failing(native, 1, True):
        # A few of these need no new chunk of the arena.
        kept = sum(bool(tested.put(b"%d" % number, number)) for number in range(1, 100))
    assert kept + 1 == 56
    assert tested.put(b"more", 1000)


@pytest.mark.parametrize(("writers", "readers"), [(1, 3), (4, 4)])
def test_threads_see_whole_entries_that_never_move(native, seed, writers, readers) -> None:
    assert native.lib.test_intern_threads(writers, readers, 5000, PLENTY, seed) > 4000


def test_more_threads_than_counters_lose_no_count(native, seed) -> None:
    assert native.lib.test_intern_threads(4, 40, 500, PLENTY, seed) > 400


def test_threads_fill_a_table_to_its_bound(native, seed) -> None:
    kept = native.lib.test_intern_threads(4, 4, 5000, 200_000, seed)
    assert 500 < kept < 5000
