"""Write sets against a model: a plain list of writes with sequence numbers, looked through for every question.

The spill limit is tiny in most tests, so that a few hundred writes make several sorted runs.
"""

from __future__ import annotations

import itertools
import random

import pytest

TOMBSTONE = 1
EVER = 2**64 - 1


class Model:
    """All writes in order; those rolled back are taken out."""

    def __init__(self):
        self.writes = []                # (seq, tree, key, value or None, seen_from)
        self.seq = 0

    def put(self, tree, key, value, seen):
        self.seq += 1
        self.writes.append((self.seq, tree, key, value, seen))

    def rollback(self, seq):
        self.writes = [write for write in self.writes if write[0] <= seq]

    def visible(self, tree, seq):
        """key -> (value, seq, seen_from) of the newest write up to seq."""
        return {key: (value, at, seen) for at, of, key, value, seen in self.writes if of == tree and at <= seq}


class Writes:
    """The C write set; values come back as bytes, tombstones as None."""

    def __init__(self, native, spill=1 << 40):
        self.ffi, self.lib = native.ffi, native.lib
        out = self.ffi.new("writeset **")
        assert self.lib.ws_new(spill, out) == 0
        self.ws = out[0]
        self.entry = self.ffi.new("test_entry *")

    def close(self):
        self.lib.ws_unref(self.ws)

    def put(self, tree, key, value, seen=0):
        return self.lib.ws_put(self.ws, tree, key, len(key), value if value is not None else b"", len(value or b""),
                               TOMBSTONE if value is None else 0, seen)

    def decode(self):
        e = self.entry
        key = bytes(self.ffi.buffer(e.key, e.key_size))
        value = None if e.flags & TOMBSTONE else bytes(self.ffi.buffer(e.value, e.value_size))
        return key, (value, e.seq, e.seen_from)

    def get(self, tree, key, seq=EVER):
        found = self.lib.test_ws_get(self.ws, tree, key, len(key), seq, self.entry)
        return self.decode()[1] if found else None

    def cursor(self, tree, seq=EVER):
        return Cursor(self, tree, seq)

    def scan(self, tree, seq=EVER, backward=False):
        cursor = self.cursor(tree, seq)
        found = []
        cursor.seek_last(None) if backward else cursor.seek(None)
        while (at := cursor.at()) is not None:
            found.append(at)
            cursor.prev() if backward else cursor.next()
        cursor.close()
        return found


class Cursor:
    def __init__(self, writes, tree, seq):
        self.writes, self.lib, ffi = writes, writes.lib, writes.ffi
        out = ffi.new("ws_cursor **")
        assert self.lib.ws_cursor_open(writes.ws, tree, seq, out) == 0
        self.wc = out[0]
        self.null = ffi.NULL

    def close(self):
        self.lib.ws_cursor_close(self.wc)

    def seek(self, key):
        return self.lib.ws_cursor_seek(self.wc, self.null if key is None else key, len(key or b""))

    def seek_last(self, key):
        return self.lib.ws_cursor_seek_last(self.wc, self.null if key is None else key, len(key or b""))

    def next(self):
        return self.lib.ws_cursor_next(self.wc)

    def prev(self):
        return self.lib.ws_cursor_prev(self.wc)

    def at(self):
        return self.writes.decode() if self.lib.test_ws_at(self.wc, self.writes.entry) else None


@pytest.fixture
def make(native):
    made = []

    def new(spill=1 << 40):
        made.append(Writes(native, spill))
        return made[-1]

    yield new
    for writes in made:
        writes.close()


def random_key(rng, among=400):
    number = rng.randrange(among)
    return b"key%03d" % number + b"." * (number % 5)


def fill(rng, writes, model, count, marks):
    """Random puts, deletes, marks and rollbacks over three trees."""
    for _ in range(count):
        action = rng.random()
        if action < 0.04:
            marks.append(model.seq)
        elif action < 0.07 and marks:
            mark = marks[rng.randrange(len(marks))]
            marks[:] = [m for m in marks if m <= mark]
            writes.lib.ws_rollback(writes.ws, mark)
            model.rollback(mark)
        else:
            tree, key = rng.choice([1, 2, 7]), random_key(rng)
            value = None if rng.random() < 0.2 else rng.randbytes(rng.randrange(80))
            assert writes.put(tree, key, value, seen=model.seq % 11) == 0
            model.put(tree, key, value, model.seq % 11)
            assert writes.lib.ws_seq(writes.ws) == model.seq


def same(rng, writes, model, seq):
    for tree in (1, 2, 7, 9):
        expected = sorted(model.visible(tree, seq).items())
        assert writes.scan(tree, seq) == expected
        assert writes.scan(tree, seq, backward=True) == expected[::-1]
        for _ in range(30):
            key = random_key(rng)
            assert writes.get(tree, key, seq) == model.visible(tree, seq).get(key)


@pytest.mark.slow
@pytest.mark.parametrize("spill", [1 << 40, 20_000, 1])
@pytest.mark.parametrize("round", range(4))
def test_random_writes_read_as_the_model_at_every_mark(make, rng, spill, round):
    writes, model, marks = make(spill), Model(), [0]
    for _ in range(4):
        fill(rng, writes, model, 400, marks)
        for seq in [0, model.seq // 3, model.seq, EVER, *rng.sample(marks, min(3, len(marks)))]:
            same(rng, writes, model, seq)
    if spill < 1 << 40:
        assert writes.lib.ws_runs(writes.ws) > 2


@pytest.mark.parametrize("spill", [1 << 40, 20_000])
def test_seeking_and_turning_round_walk_the_model(make, rng, spill):
    writes, model = make(spill), Model()
    fill(rng, writes, model, 1500, [0])
    rows = sorted(model.visible(2, EVER).items())
    keys = [key for key, _ in rows]
    cursor = writes.cursor(2)
    for _ in range(300):
        key = random_key(rng) + rng.choice([b"", b"!", b"~"])
        if rng.random() < 0.5:
            cursor.seek(key)
            place = sum(k < key for k in keys)
        else:
            cursor.seek_last(key)
            place = sum(k <= key for k in keys) - 1
        for _ in range(rng.randrange(12)):
            if not 0 <= place < len(rows):
                break
            assert cursor.at() == rows[place]
            if rng.random() < 0.5:
                place += 1
                assert cursor.next() == (place < len(rows))
            else:
                place -= 1
                assert cursor.prev() == (place >= 0)
        assert cursor.at() == (rows[place] if 0 <= place < len(rows) else None)
    cursor.close()


@pytest.mark.parametrize("spill", [1 << 40, 8_000])
def test_an_open_cursor_sees_neither_younger_writes_nor_a_spill(make, rng, spill):
    writes, model = make(spill), Model()
    for i in range(0, 400, 2):
        writes.put(1, b"%05d" % i, b"old%d" % i)
        model.put(1, b"%05d" % i, b"old%d" % i, 0)
    expected = sorted(model.visible(1, model.seq).items())
    runs = writes.lib.ws_runs(writes.ws)
    cursor, found = writes.cursor(1, model.seq), []
    cursor.seek(None)
    while (at := cursor.at()) is not None:
        found.append(at)
        for _ in range(3):              # before, at and behind the cursor
            writes.put(1, b"%05d" % rng.randrange(400), None if rng.random() < 0.5 else b"new" * 9)
        cursor.next()
    cursor.close()
    assert found == expected
    assert (writes.lib.ws_runs(writes.ws) > runs) == (spill == 8_000)


def test_an_open_cursor_loses_what_is_rolled_back_and_keeps_its_place(make):
    writes = make(4_000)
    for i in range(100):
        writes.put(1, b"%03d" % i, b"x" * 40)
    cursor = writes.cursor(1, 100)
    cursor.seek(b"010")
    writes.lib.ws_rollback(writes.ws, 50)
    assert cursor.at()[0] == b"010"
    rest = []
    while cursor.next():
        rest.append(cursor.at()[0])
    cursor.close()
    assert rest == [b"%03d" % i for i in range(11, 50)]


def test_rolling_back_twice_and_writing_between_keeps_the_dead_dead(make):
    writes = make()
    for value in (b"a", b"b", b"c"):
        writes.put(1, b"k", value)
    writes.lib.ws_rollback(writes.ws, 2)
    assert writes.get(1, b"k") == (b"b", 2, 0)
    writes.put(1, b"k", b"d")
    assert writes.lib.ws_seq(writes.ws) == 4
    writes.lib.ws_rollback(writes.ws, 3)        # a mark set after the first rollback
    assert writes.get(1, b"k") == (b"b", 2, 0)
    writes.lib.ws_rollback(writes.ws, 0)
    assert writes.get(1, b"k") is None
    assert writes.scan(1) == []


def test_prefixes_are_found_in_list_and_runs(make):
    writes = make(4_000)
    for i in range(300):
        writes.put(3, b"%04d" % (7 * i % 300) + b"suffix", b"v" * 30)
    assert writes.lib.ws_runs(writes.ws) > 1
    for i in range(300):
        assert writes.lib.ws_has_prefix(writes.ws, 3, b"%04d" % i, 4)
    for prefix in (b"0300", b"00001", b"9", b"0000t"):
        assert not writes.lib.ws_has_prefix(writes.ws, 3, prefix, len(prefix))
    assert not writes.lib.ws_has_prefix(writes.ws, 4, b"0000", 4)


def test_trees_are_listed_ascending(make, native):
    writes = make()
    for tree in (9, 2, 7, 2, 0, 9):
        writes.put(tree, b"k", b"v")
    trees = native.ffi.new("uint32_t[8]")
    assert writes.lib.ws_trees(writes.ws, trees, 8) == 4
    assert list(trees[0:4]) == [0, 2, 7, 9]


def test_a_spill_that_fails_keeps_all_writes(make, native, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    writes = make(1)
    assert writes.put(1, b"a", b"1") == 0
    written = 1
    while (code := writes.put(1, b"b%03d" % written, b"x" * 100)) == 0:
        written += 1
    assert native.ffi.string(native.lib.edb_code_name(code)) == b"CANTOPEN"
    assert b"TMPDIR" in native.ffi.string(native.lib.edb_message())
    assert len(writes.scan(1)) == written
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert writes.put(1, b"c", b"2") == 0
    assert len(writes.scan(1)) == written + 1
    assert list(tmp_path.iterdir()) == []               # the file has no name


def test_values_and_keys_of_all_sizes_survive_a_spill(make, rng):
    writes, model = make(1 << 20), Model()
    sizes = [0, 1, 7, 8, 9, 255, 4096, 300_000, 2_000_000]
    for i, size in enumerate(sizes * 3):
        key, value = bytes([i]) * rng.randrange(0, 3000), rng.randbytes(size)
        writes.put(5, key, value)
        model.put(5, key, value, 0)
    assert writes.scan(5) == sorted(model.visible(5, EVER).items())
    assert writes.lib.ws_runs(writes.ws) > 1


@pytest.mark.slow
def test_many_runs_merge_in_random_order(make, rng):
    writes, model = make(1), Model()
    keys = [b"%06d" % i for i in range(4000)]
    rng.shuffle(keys)
    for key in keys:
        writes.put(1, key, key * 4)
        model.put(1, key, key * 4, 0)
    assert writes.lib.ws_runs(writes.ws) > 20
    assert writes.scan(1) == sorted(model.visible(1, EVER).items())
    assert writes.scan(1, backward=True) == sorted(model.visible(1, EVER).items(), reverse=True)
    random.Random(1).shuffle(keys)
    for key in keys[:300]:
        assert writes.get(1, key)[0] == key * 4


# ---- writes that wait: out of order, and not looked at

def alike(rng, n):
    """Keys that differ early, late, by their length, by zeros, or not at all; at times with beginnings in order."""
    stem = bytes(rng.randrange(2) for _ in range(rng.randrange(40)))
    numbers = itertools.count()
    kinds = [
        lambda: rng.randbytes(rng.randrange(12)),
        lambda: stem + rng.randbytes(2),
        lambda: stem + bytes(rng.randrange(20)),
        lambda: stem + b"%08d" % rng.randrange(n),
        lambda: stem[:rng.randrange(len(stem) + 1)],
        lambda: rng.randrange(n).to_bytes(8, "big") + stem,
        lambda: stem + bytes([rng.randrange(3)]) + next(numbers).to_bytes(8, "big"),        # as an index's by row id
        lambda: stem + bytes([rng.randrange(3)]) + (n - next(numbers)).to_bytes(8, "big"),
    ]
    chosen = rng.sample(kinds, rng.randrange(1, len(kinds) + 1))
    found = [rng.choice(chosen)() for _ in range(n)]
    if rng.random() < 0.4:
        beginning = rng.randrange(len(stem) + 12)
        found.sort(key=lambda key: key[:beginning], reverse=rng.random() < 0.7)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 20, 300, 3000])
@pytest.mark.parametrize("spill", [1 << 40, 200_000])
def test_writes_that_waited_are_in_the_order_of_their_keys(make, rng, spill, n):
    for _ in range(6):
        tested, model = make(spill), Model()
        for tree in (5, 5, 9):
            for key in alike(rng, n):
                value = None if rng.random() < 0.2 else rng.randbytes(rng.randrange(4))
                assert tested.put(tree, key, value, 3) == 0
                model.put(tree, key, value, 3)
            if rng.random() < 0.3:
                mark = rng.randrange(model.seq + 1)
                tested.lib.ws_rollback(tested.ws, mark)
                model.rollback(mark)
                model.seq = tested.lib.ws_seq(tested.ws)
        for seq in (EVER, rng.randrange(model.seq + 1)):
            for tree in (5, 9):
                expected = sorted(model.visible(tree, seq).items())
                assert tested.scan(tree, seq) == expected
                assert tested.scan(tree, seq, backward=True) == expected[::-1]


@pytest.mark.parametrize("look", ["get", "prefix", "scan", "spill"])
def test_whatever_looks_first_finds_what_waits(make, rng, look):
    tested = make(20_000 if look == "spill" else 1 << 40)
    keys = [b"%05d" % i for i in range(500)]
    rng.shuffle(keys)
    for key in keys:
        assert tested.put(7, key, key) == 0
    if look == "get":
        assert all(tested.get(7, key)[0] == key for key in keys)
    elif look == "prefix":
        assert all(tested.lib.ws_has_prefix(tested.ws, 7, key[:4], 4) for key in keys)
        assert not tested.lib.ws_has_prefix(tested.ws, 7, b"0050", 4)
    elif look == "spill":
        assert tested.lib.ws_runs(tested.ws) > 0
    assert [key for key, _ in tested.scan(7)] == sorted(keys)


@pytest.mark.parametrize("spill", [1 << 40, 1 << 14])
def test_row_ids_written_in_order_are_known_when_somebody_asks(make, rng, spill):
    """The filter that spares looks at the list gets keys written in order only when it is asked."""
    writes, model = make(spill), Model()
    keys = [(2 * i).to_bytes(8, "big") for i in range(600)]
    for i, key in enumerate(keys):
        model.put(1, key, b"%d" % i, 0)
        assert writes.put(1, key, b"%d" % i) == 0
        if i % 100 == 99:                           # an index's keys come between, in any order
            for odd in rng.sample(range(i), 5):
                model.put(1, (2 * odd + 1).to_bytes(8, "big"), b"odd", 0)
                assert writes.put(1, (2 * odd + 1).to_bytes(8, "big"), b"odd") == 0
            there = model.visible(1, EVER)
            for number in rng.sample(range(2 * i + 4), 50):
                key = number.to_bytes(8, "big")
                assert writes.get(1, key) == there.get(key)


def test_what_waits_is_found_when_there_is_no_memory_to_sort_in(make, native, rng):
    tested = make()
    keys = [b"%05d" % i for i in range(300)]
    rng.shuffle(keys)
    for key in keys:
        assert tested.put(7, key, key) == 0
    native.lib.test_alloc_fail(1, True)
    try:
        assert all(tested.get(7, key)[0] == key for key in keys)
    finally:
        native.lib.test_alloc_fail(0, False)
    assert [key for key, _ in tested.scan(7)] == sorted(keys)


def test_an_open_cursor_goes_on_while_other_writes_wait_and_settle(make, rng):
    tested = make()
    keys = [b"%05d" % i for i in range(0, 3000, 10)]
    for key in rng.sample(keys, len(keys)):
        assert tested.put(7, key, b"old") == 0
    cursor = tested.cursor(7, tested.lib.ws_seq(tested.ws))
    cursor.seek(None)
    met = []
    while (at := cursor.at()) is not None:
        met.append(at[0])
        for _ in range(3):
            assert tested.put(7, b"%05d" % rng.randrange(3000), b"new") == 0
        if len(met) % 7 == 0:
            tested.get(7, keys[0])
        cursor.next()
    cursor.close()
    assert met == keys
