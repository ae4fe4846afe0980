"""Operations on ascending sequences of ids against Python's sets."""

from __future__ import annotations

import bisect

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

LEAST, MOST = -(2**63), 2**63 - 1


class Sets:
    def __init__(self, native, lists: list[list[int]]) -> None:
        self.ffi, self.lib = native.ffi, native.lib
        self.k = len(lists)
        # One list ends where the next begins: what is read or written outside its own shows in the results.
        self.flat = [number for one in lists for number in one]
        starts = [0]
        for one in lists:
            starts.append(starts[-1] + len(one))
        self.starts = self.ffi.new("size_t[]", starts)
        self.lists = lists

    def _run(self, room: int, call) -> list[int]:
        """Calls with the ids and with room for the results, behind which nothing may be written."""
        ids = self.ffi.new("int64_t[]", [*self.flat, 0])
        out = self.ffi.new("int64_t[]", [77] * (room + 1))
        n = call(ids, out)
        assert n <= room
        assert out[room] == 77
        return list(out[0:n])

    def intersect(self, in_place: bool = False) -> list[int]:
        room = min(map(len, self.lists), default=0)
        return self._run(room, lambda ids, out: self.lib.test_gallop_intersect(ids, self.starts, self.k, out, in_place))

    def union(self) -> list[int]:
        return self._run(len(self.flat), lambda ids, out: self.lib.test_gallop_union(ids, self.starts, self.k, out))

    def difference(self, in_place: bool = False) -> list[int]:
        return self._run(len(self.lists[0]),
                         lambda ids, out: self.lib.test_gallop_difference(ids, self.starts, out, in_place))


def ascending(numbers) -> list[int]:
    return sorted(set(numbers))


def runs(pairs) -> list[int]:
    return ascending(number for start, size in pairs for number in range(start, start + size))


edges = st.sampled_from([LEAST, LEAST + 1, -1, 0, 1, MOST - 1, MOST])
sets = st.one_of(
    st.lists(st.integers(0, 30) | edges, max_size=20).map(ascending),
    st.lists(st.integers(-1000, 1000), max_size=150).map(ascending),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 200)), max_size=8).map(runs),
    # A step through many ids: the other list is sparse beside it.
    st.tuples(st.integers(0, 5), st.integers(1, 9)).map(lambda t: list(range(t[0], 2500, t[1]))),
)
checked = settings(max_examples=150)


@pytest.mark.slow
@checked
@given(ids=sets, start=st.integers(0, 200), asked=st.integers(-1001, 2600) | edges)
def test_lower_bound_is_that_of_bisect(native, ids, start, asked) -> None:
    flat = native.ffi.new("int64_t[]", [*ids, asked])
    start = min(start, len(ids))
    assert native.lib.gallop_lower_bound(flat, len(ids), start, asked) == bisect.bisect_left(ids, asked, lo=start)


@pytest.mark.parametrize("count", [*range(20), 63, 64, 65, 127, 128, 129])
def test_every_place_is_found_from_every_place(native, count) -> None:
    ids = [3 * i for i in range(count)]
    flat = native.ffi.new("int64_t[]", [*ids, 0])
    for start in range(count + 1):
        for asked in range(-1, 3 * count + 2):
            assert native.lib.gallop_lower_bound(flat, count, start, asked) == bisect.bisect_left(ids, asked, lo=start)


@pytest.mark.slow
@checked
@given(lists=st.lists(sets, max_size=6), in_place=st.booleans())
@example(lists=[], in_place=False)
@example(lists=[[]], in_place=True)
@example(lists=[[LEAST, MOST], [LEAST, 0, MOST]], in_place=True)
def test_intersection_is_that_of_sets(native, lists, in_place) -> None:
    expected = set.intersection(*map(set, lists)) if lists else set()
    assert Sets(native, lists).intersect(in_place) == sorted(expected)


@pytest.mark.slow
@checked
@given(lists=st.lists(sets, max_size=9))
@example(lists=[[LEAST], [LEAST], [MOST], [MOST]])
def test_union_is_that_of_sets(native, lists) -> None:
    assert Sets(native, lists).union() == sorted(set().union(*lists))


@pytest.mark.slow
@checked
@given(ids=sets, without=sets, in_place=st.booleans())
@example(ids=[LEAST, 0, MOST], without=[LEAST, MOST], in_place=True)
def test_difference_is_that_of_sets(native, ids, without, in_place) -> None:
    assert Sets(native, [ids, without]).difference(in_place) == sorted(set(ids) - set(without))


@pytest.mark.slow
@pytest.mark.parametrize("short", [1, 15, 16, 17, 1000])
@pytest.mark.parametrize("ratio", [1, 4, 5, 100])
def test_lists_of_very_different_lengths(native, rng, short, ratio) -> None:
    long = ascending(rng.sample(range(20 * short * ratio), short * ratio))
    ids = ascending(rng.sample(long, short // 2) + rng.sample(range(20 * short * ratio), short - short // 2))
    expected = sorted(set(ids) & set(long))
    for lists in ([ids, long], [long, ids], [long, ids, long]):
        assert Sets(native, lists).intersect() == Sets(native, lists).intersect(in_place=True) == expected
    assert Sets(native, [ids, long]).union() == sorted({*ids, *long})
    for left, right in ((ids, long), (long, ids)):
        tested = Sets(native, [left, right])
        assert tested.difference() == tested.difference(in_place=True) == sorted(set(left) - set(right))


def test_union_of_many_lists(native, rng) -> None:
    lists = [ascending(rng.sample(range(3000), rng.randrange(40))) for _ in range(256)]
    assert Sets(native, lists).union() == sorted(set().union(*lists))


def test_nothing_is_allocated(native) -> None:
    tested = Sets(native, [list(range(0, 3000, 7)), list(range(0, 30000, 3)), list(range(100))])
    native.lib.test_alloc_fail(1, True)
    try:
        assert tested.intersect()
        assert tested.union()
        assert tested.difference()
        assert native.lib.test_alloc_passed() == 0
    finally:
        native.lib.test_alloc_fail(0, False)
