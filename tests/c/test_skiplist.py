"""The private write list against a sorted Python list."""

from __future__ import annotations

import bisect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


class List:
    def __init__(self, native) -> None:
        self.ffi, self.lib = native.ffi, native.lib
        self.list = self.ffi.gc(self.lib.test_list_new(), self.lib.test_list_free)
        self.seq = 0

    def add(self, tree: int, key: bytes, value: bytes = b"", tombstone: bool = False, seq: int | None = None):
        self.seq += 1
        seq = self.seq if seq is None else seq
        node = self.lib.test_list_add(self.list, tree, key, len(key), seq, value, len(value), tombstone)
        assert node
        return node

    def get(self, node):
        if not node:
            return None
        out = self.ffi.new("test_node *")
        self.lib.test_node_get(node, out)
        key, value = (bytes(self.ffi.buffer(*pair)) for pair in ((out.key, out.key_size), (out.value, out.value_size)))
        return out.tree, key, out.seq, value, bool(out.tombstone)

    def __iter__(self):
        node = self.lib.test_list_first(self.list)
        while node:
            yield self.get(node)
            node = self.lib.test_list_next(node)

    def seek(self, tree: int, key: bytes):
        return self.get(self.lib.test_list_seek(self.list, tree, key, len(key)))

    def before(self, tree: int, key: bytes):
        return self.get(self.lib.test_list_before(self.list, tree, key, len(key)))

    def sound(self) -> bool:
        return self.lib.test_list_sound(self.list)


def order(entry):
    return entry[0], entry[1], -entry[2]


trees = st.integers(0, 20)
keys = st.one_of(
    st.binary(max_size=3),
    st.lists(st.sampled_from([0, 1, 255]), max_size=16).map(bytes),
    st.integers(0, 400).map(lambda i: i.to_bytes(8, "big")),
    # Alike in what a link holds, different behind.
    st.binary(max_size=2).map(lambda b: b"0123456789ab" + b),
)
# Single additions and ascending runs, whose place the fingers remember.
additions = st.lists(
    st.one_of(
        st.tuples(trees, keys, st.binary(max_size=5), st.booleans()).map(lambda t: [t]),
        st.tuples(trees, st.integers(0, 300), st.integers(1, 12)).map(
            lambda t: [(t[0], i.to_bytes(8, "big"), b"v", False) for i in range(t[1], t[1] + t[2])]
        ),
    ),
    max_size=30,
).map(lambda runs: [one for run in runs for one in run])


@pytest.mark.slow
@settings(max_examples=400)
@given(additions=additions, probes=st.lists(st.tuples(trees, keys), max_size=15))
def test_list_orders_and_finds_as_a_sorted_list(native, additions, probes) -> None:
    tested, model = List(native), []
    for tree, key, value, tombstone in additions:
        tested.add(tree, key, value, tombstone)
        bisect.insort(model, (tree, key, tested.seq, value, tombstone), key=order)
    assert list(tested) == model
    assert tested.sound()
    assert tested.lib.test_list_count(tested.list) == len(model)
    for tree, key in probes + [(tree, key) for tree, key, _, _, _ in model]:
        at = bisect.bisect_left(model, (tree, key), key=lambda entry: entry[:2])
        assert tested.seek(tree, key) == (model[at] if at < len(model) else None)
        assert tested.before(tree, key) == (model[at - 1] if at else None)


def test_sequences_may_arrive_in_any_order(native, rng) -> None:
    tested, model = List(native), []
    for seq in rng.sample(range(1, 500), 300):
        key = rng.choice([b"a", b"ab", b"", b"0123456789abc"])
        tested.add(3, key, seq=seq)
        model.append((3, key, seq, b"", False))
    assert list(tested) == sorted(model, key=order)
    assert tested.sound()


@pytest.mark.parametrize("trees", [1, 3, 20])
def test_trees_that_take_turns_in_ascending_order(native, trees) -> None:
    """A table and its indexes, filled row by row: more trees than fingers too."""
    tested = List(native)
    for i in range(3000):
        tested.add(i % trees, (i // trees).to_bytes(8, "big"))
    assert [entry[:2] for entry in tested] == [
        (tree, i.to_bytes(8, "big")) for tree in range(trees) for i in range(len(range(tree, 3000, trees)))
    ]
    assert tested.sound()


def test_cursor_keeps_its_place_while_nodes_are_added(native, rng) -> None:
    tested = List(native)
    for i in range(0, 2000, 10):
        tested.add(1, i.to_bytes(8, "big"), b"old")
    node, met = tested.lib.test_list_first(tested.list), []
    while node:
        entry = tested.get(node)
        if entry[3] == b"old":
            met.append(int.from_bytes(entry[1], "big"))
        for _ in range(3):
            tested.add(1, rng.randrange(2000).to_bytes(8, "big"), b"new")
        node = tested.lib.test_list_next(node)
    assert met == list(range(0, 2000, 10))
    assert tested.sound()


@pytest.mark.slow
@settings(max_examples=50)
@given(sizes=st.lists(st.one_of(st.integers(0, 300), st.integers(0, 300000)), max_size=100))
def test_arena_pieces_are_aligned_and_apart(native, sizes) -> None:
    assert native.lib.test_arena(native.ffi.new("uint32_t[]", sizes), len(sizes))


def test_arena_grows_over_many_chunks(native, rng) -> None:
    sizes = [rng.randrange(400) for _ in range(40000)] + [5 << 20, 1 << 20, 2 << 20] + [9] * 1000
    assert native.lib.test_arena(native.ffi.new("uint32_t[]", sizes), len(sizes))
