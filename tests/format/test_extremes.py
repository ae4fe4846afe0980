"""Every number that a file says, at its extremes, with checksums that are right: rows or an error, and no crash.

0, 1, the largest, the largest but one, the sign bit alone, all bits but the sign's, and what overflows when something
is added to it or it is multiplied by a size. One number at a time; test_forged.py has random ones together.

The slow ones draw some of all cases, others every time; ENTITYDB_TEST_EXTREMES=all asks for all of them (an hour).
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from .forger import Forger, put
from .reader import (
    ARRAY,
    ARRAY_INTERIOR,
    FREE,
    INTERIOR,
    LEAF,
    MARK,
    MARK_MAGIC,
    OVERFLOW,
    RECORD,
    RING,
    SETTLED,
    SLOTS,
    Ref,
    crc32c,
    u16,
    u32,
    u64,
    varint,
)

QUERIES = [
    "SELECT * FROM plain ORDER BY id", "SELECT * FROM hot ORDER BY id", "SELECT * FROM big ORDER BY id",
    "SELECT id FROM indexed WHERE b >= 'b' ORDER BY b, id", "SELECT count(*), max(id) FROM hot",
]
WRITES = [
    "INSERT INTO plain(v) VALUES ('new')", "UPDATE indexed SET b = b || 'x'", "DELETE FROM hot WHERE id < 20",
    "UPDATE wide SET v = 'y'", "CREATE TABLE another(a, b UNIQUE)", "INSERT OR REPLACE INTO big SELECT id, v FROM big",
]


def extremes(size: int) -> list[int]:
    """Numbers of so many bytes."""
    top, sign = 2 ** (8 * size), 2 ** (8 * size - 1)
    values = {0, 1, 2, sign - 1, sign, sign + 1, top - 1, top - 2}
    if size >= 4:       # a little less than where adding a page, a slot or a header, or multiplying, goes round
        values |= {top - 64, top - 256, top - 512, top - 4096, top // 12, top // 24, top // 128, top // 512 + 1}
    if size == 8:
        values |= {2**32 - 1, 2**32, 2**40 - 1, 2**40, 2**48 - 1, 2**48, 2**62}
    return sorted(values)


Case = TypeVar("Case")


def some(rng: random.Random, cases: list[Case]) -> list[Case]:
    return cases if os.environ.get("ENTITYDB_TEST_EXTREMES") == "all" else rng.sample(cases, min(len(cases), 20))


def seal_record(data: bytearray, at: int) -> None:
    size = u32(data, at + 8)
    if 4 <= size <= RECORD:
        put(data, at, crc32c(data[at + 4 : at + size]), 4)


def mark(number: int, time_ns: int) -> bytes:
    out = bytearray(24)
    put(out, 4, MARK_MAGIC, 4)
    put(out, 8, number, 8)
    put(out, 16, time_ns, 8)
    put(out, 0, crc32c(out[4:]), 4)
    return bytes(out)


class Judge:
    """Asks about forged files, in one process that has to survive them."""

    def __init__(self, sample: tuple[bytes, Any], ask: Any, folder: Path) -> None:
        self.data, self.ask, self.path = sample[0], ask, folder / "forged.edb"
        moments = sample[1]["moments"]
        self.moments = [moments[len(moments) // 2]]

    def judge(self, data: bytes, what: str) -> dict[str, Any]:
        self.path.write_bytes(data)
        answer = self.ask(self.path, moments=self.moments, queries=QUERIES, writes=WRITES)
        self.path.with_name("forged.edb-lock").unlink(missing_ok=True)
        if answer["opened"]:
            assert "DatabaseError" in answer["opened"][1], (what, answer["opened"])
            return answer
        check = answer["check"]
        assert isinstance(check, list) or "DatabaseError" in check["error"][1], (what, check)
        for result in [one for at in answer["rows"] for one in at] + answer["writes"]:
            assert isinstance(result, list) or "DatabaseError" in result["error"][1], (what, result)
        return answer


@pytest.fixture
def judge(sample: Any, ask: Any, tmp_path: Path) -> Judge:
    return Judge(sample, ask, tmp_path)


# ---- records and marks -------------------------------------------------------------------------------------------

RECORD_FIELDS = {
    "size": (8, 4), "flags": (12, 4), "number": (16, 8), "time": (24, 8), "durable": (32, 8), "schema": (40, 8),
    "horizon": (48, 8), "pages": (56, 8), "trees root": (64, 8), "trees tag": (72, 4), "trees levels": (76, 4),
    "trees count": (80, 8), "times root": (88, 8), "times tag": (96, 4), "times levels": (100, 4),
    "times count": (104, 8), "first chain page": (112, 8), "its sequence": (120, 8), "chain pages": (128, 8),
    "chain entries": (136, 8), "reserved": (144, 8), "entries taken": (152, 4), "young": (156, 4), "times": (160, 4),
    "listed": (164, 4), "before": (168, 4), "first time": (256, 8),
}


def variable_fields(data: bytes, at: int) -> Iterator[tuple[str, int, int]]:
    """Of the first and the last entry of each of a record's lists."""
    young, times, listed = u32(data, at + 156), u32(data, at + 160), u32(data, at + 164)
    yield "last time", 256 + 8 * (times - 1), 8
    for i in {0, young - 1} if young else ():
        for part, place, size in (("page", 0, 5), ("made", 5, 6), ("freed", 11, 6)):
            yield f"young {part}", 256 + 8 * times + 17 * i + place, size
    for i in {0, listed - 1} if listed else ():
        for part, place, size in (("page", 0, 5), ("tag", 5, 4)):
            yield f"listed {part}", 256 + 8 * times + 17 * young + 9 * i + place, size


def of_record(sample: tuple[bytes, Any], at: int) -> list[tuple[str, int, int]]:
    fixed = [(name, *field) for name, field in RECORD_FIELDS.items()]
    return [*fixed, *variable_fields(sample[0], at)]


@pytest.mark.slow
@pytest.mark.parametrize("marked", [True, False], ids=["marked", "not marked"])
def test_numbers_of_the_newest_record(sample: Any, judge: Judge, rng: random.Random, marked: bool) -> None:
    """With the mark that vouches for its commit, and without."""
    at = Forger(sample[0]).record.offset
    cases = [(field, value) for field in of_record(sample, at) for value in extremes(field[2])]
    for (name, place, size), value in some(rng, cases):
        data = bytearray(sample[0])
        put(data, at + place, value, size)
        seal_record(data, at)
        if not marked:
            data[MARK : MARK + 24] = bytes(24)
        judge.judge(bytes(data), f"{name} = {value}")


@pytest.mark.slow
def test_commit_numbers_that_add_up_to_nothing(sample: Any, judge: Judge) -> None:
    """Number and count of times agree, in the slot where they belong, and so high that counting on goes round."""
    f = Forger(sample[0])
    slot = f.record.number % SLOTS
    for base in (2**48, 2**63, 2**64):
        for less in (1, 2):
            number = base - less * SLOTS + slot
            data = bytearray(sample[0])
            at = f.record.offset
            put(data, at + 16, number, 8)
            put(data, at + 104, number - len(f.record.tail) + 1, 8)
            for durable in (number, number - 1, f.record.durable):
                put(data, at + 32, durable, 8)
                seal_record(data, at)
                judge.judge(bytes(data), f"commit {number}, durable {durable}")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["newest", "another"])
def test_a_durable_number_beyond_the_record_itself(sample: Any, judge: Judge, place: str) -> None:
    """It cannot have been known. Such a record is none; where its commit was durable, the file is damaged."""
    f = Forger(sample[0])
    number = f.record.number
    at = f.record.offset if place == "newest" else RING + (number - 3) % SLOTS * RECORD
    own = u64(sample[0], at + 16)
    for durable in (own + 1, number + 1, 2**48, 2**63, 2**64 - 200, 2**64 - 2, 2**64 - 1):
        data = bytearray(sample[0])
        put(data, at + 32, durable, 8)
        seal_record(data, at)
        answer = judge.judge(bytes(data), f"durable {durable}")
        if place == "newest":
            assert answer["opened"][0] == "DamageError"
            assert f"commit {number}" in answer["opened"][2]
        else:
            assert answer["opened"] is None
            assert answer["check"] == []


@pytest.mark.slow
def test_numbers_of_the_marks(sample: Any, judge: Judge) -> None:
    """A commit number that cannot be says nothing; one that is not there is damage."""
    number = Forger(sample[0]).record.number
    for value in extremes(8):
        data = bytearray(sample[0])
        data[MARK : MARK + 24] = mark(value, 0)
        answer = judge.judge(bytes(data), f"durable mark {value}")
        if number < value < 2**48 - 1:
            assert answer["opened"][0] == "DamageError"
        else:
            assert answer["opened"] is None
            assert answer["check"] == []
    for time_ns in extremes(8):
        for of in (number, number + 1):
            data = bytearray(sample[0])
            data[SETTLED : SETTLED + 24] = mark(of, time_ns)
            judge.judge(bytes(data), f"settled mark {of}, {time_ns}")
        data[SETTLED : SETTLED + 24] = mark(time_ns, 2**63 - 1)
        judge.judge(bytes(data), f"settled mark {time_ns}")


@pytest.mark.slow
def test_a_reserved_page_that_is_none(sample: Any, judge: Judge) -> None:
    """The next chain page would be written there: over the header, into the ring, or far behind the end."""
    whole = Forger(sample[0])
    for page in (0, 1, 16, whole.file.first_page - 1, whole.record.pages, 2**40 - 1, 2**55, 2**63, 2**64 - 1):
        f = Forger(sample[0])
        f.record = replace(f.record, free_next=page)
        data = f.sealed()
        answer = judge.judge(data, f"reserved {page}")
        assert answer["opened"] is None
        refused = [result["error"] for result in answer["writes"] if "error" in result]
        assert refused                          # the others are small: they draw no page
        for error in refused:
            assert error[0] == "DamageError", error
            assert f"reserves page {page}, which is not one" in error[2]
        assert judge.path.read_bytes()[: RING + SLOTS * RECORD] == data[: RING + SLOTS * RECORD]
        assert judge.path.stat().st_size == len(data)


@pytest.mark.slow
def test_no_time_is_left(sample: Any, judge: Judge) -> None:
    """Somebody asked about the last moment there is: every commit would have to be later."""
    number = Forger(sample[0]).record.number
    data = bytearray(sample[0])
    data[SETTLED : SETTLED + 24] = mark(number + 1, 2**63 - 1)
    answer = judge.judge(bytes(data), "settled to the end")
    assert answer["check"] == []
    for result in answer["writes"][:-1]:    # the last one changes nothing
        assert "there is no time later" in result["error"][2]


@pytest.mark.slow
def test_numbers_of_the_header(sample: Any, judge: Judge) -> None:
    for name, at, size in (("version", 16, 4), ("page size", 20, 4), ("required", 24, 8), ("optional", 32, 8),
                           ("created", 40, 8), ("ring", 64, 4)):
        for value in extremes(size):
            data = bytearray(sample[0])
            put(data, at, value, size)
            put(data, 4092, crc32c(data[:4092]), 4)
            judge.judge(bytes(data), f"{name} = {value}")


# ---- pages --------------------------------------------------------------------------------------------------------

HEADER = [("kind", 4, 1), ("level", 5, 1), ("flags", 6, 2), ("own number", 8, 8), ("writer", 16, 8), ("owner", 24, 4)]
COUNT = [("count", 28, 4)]
REF = [("page", 0, 8), ("tag", 8, 4)]
STATE = [
    ("root", 0, 8), ("tag", 8, 4), ("key size", 12, 1), ("recent", 13, 1), ("since", 16, 8), ("born", 24, 8),
    ("live", 32, 8), ("next id", 40, 8), ("recent since", 48, 8), ("recent page", 56, 8), ("recent tag", 64, 4),
    ("second since", 68, 8), ("second page", 76, 8), ("older page", 88, 8), ("older count", 96, 8),
    ("older tag", 104, 4), ("older levels", 108, 4), ("changed", 112, 8),
]


def used(f: Forger) -> dict[int, list[int]]:
    """The pages that are what they say, by kind."""
    found: dict[int, list[int]] = {}
    for page in range(f.file.first_page, f.record.pages):
        if u64(f.page(page), 8) == page:
            found.setdefault(f.page(page)[4], []).append(page)
    return found


def node_fields(page: memoryview) -> Iterator[tuple[str, int, int]]:
    live, dead = u16(page, 28), u16(page, 30)
    yield from (("live", 28, 2), ("dead", 30, 2), ("newest", 32, 8), ("oldest", 40, 8), ("heap", 48, 2),
                ("key size", 50, 2))
    for name, at in (("first living", 64), ("last living", 64 + 8 * (live - 1))) if live else ():
        yield name, at, 8
        yield f"{name}'s cell", at, 2
    for name, at in (("first dead", 64 + 8 * live), ("last dead", 64 + 8 * live + 16 * (dead - 1))) if dead else ():
        yield from ((name, at, 8), (f"{name}'s cell", at, 2), (f"{name}'s end", at + 8, 8),
                    (f"{name}'s rank", at + 8, 2))
    if live:
        cell = u64(page, 64) & 0xFFFF
        size = u16(page, 50)
        if not size:
            size, behind = varint(page, cell)
            yield "key length", cell, 1
            cell = behind
        cell += size
        if page[4] == INTERIOR:
            yield from (("child", cell, 5), ("child's tag", cell + 5, 4))
        else:
            yield "value length", cell, 1


def page_fields(f: Forger, number: int) -> Iterator[tuple[str, int, int]]:
    page = f.page(number)
    kind, count = page[4], u32(page, 28)
    yield from HEADER
    if kind in (LEAF, INTERIOR):
        yield from node_fields(page)
        return
    yield from COUNT
    if kind == OVERFLOW:
        yield from (("next", 32, 8), ("next tag", 40, 4))
    elif kind == FREE:
        yield from (("next", 32, 8), ("sequence", 40, 8), ("entry's page", 48, 5), ("entry's commit", 53, 6))
    elif kind == ARRAY_INTERIOR:
        for i in {0, count - 1}:
            yield from ((name, 32 + 12 * i + at, size) for name, at, size in REF)
    elif kind == ARRAY:
        yield "element", 32, 8
        yield "last element", f.size - 16, 8


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LEAF, INTERIOR, ARRAY, ARRAY_INTERIOR, OVERFLOW, FREE])
def test_numbers_of_pages(sample: Any, judge: Judge, rng: random.Random, kind: int) -> None:
    """Each number of some pages of each kind."""
    whole = Forger(sample[0])
    pages = used(whole)[kind]
    chosen = rng.sample(pages, min(len(pages), 3))
    cases = [(n, field, value) for n in chosen for field in page_fields(whole, n) for value in extremes(field[2])]
    for number, (name, at, size), value in some(rng, cases):
        f = Forger(sample[0])
        put(f.page(number), at, value, size)
        judge.judge(f.sealed(), f"page {number} of kind {kind}, {name} = {value}")


@pytest.mark.slow
@pytest.mark.parametrize("table", ["plain", "hot", "indexed_b", "catalog"])
def test_numbers_of_the_state_of_a_tree(sample: Any, judge: Judge, rng: random.Random, table: str) -> None:
    whole = Forger(sample[0])
    catalog = whole.file.catalog()
    tree = {"plain": catalog["plain"].id, "hot": catalog["hot"].id, "catalog": 0,
            "indexed_b": next(index.tree for index in catalog["indexed"].indexes if index.name == "indexed_b")}[table]
    for (name, at, size), value in some(rng, [(field, value) for field in STATE for value in extremes(field[2])]):
        f = Forger(sample[0])
        put(f.state(tree), at, value, size)
        judge.judge(f.sealed(), f"{table}, {name} = {value}")


# ---- catalog, rows and values -------------------------------------------------------------------------------------


def huge_varints() -> list[bytes]:
    def encoded(value: int) -> bytes:
        out = bytearray()
        while value >= 128:
            out.append(value & 127 | 128)
            value >>= 7
        return bytes([*out, value])

    numbers = [encoded(value) for value in (2**16, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1)]
    return [*numbers, b"\xff" * 10, b"\xff" * 3]


def spoilt(value: bytes) -> Iterator[bytes]:
    """Each byte as another number, and each replaced by one that is huge."""
    for at in range(len(value)):
        for byte in (0, 1, 127, 128, 255):
            yield value[:at] + bytes([byte]) + value[at + 1 :]
        for varint_ in huge_varints():
            yield value[:at] + varint_ + value[at + 1 :]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["catalog", "plain", "hot", "big"])
def test_numbers_of_what_trees_hold(sample: Any, judge: Judge, rng: random.Random, where: str) -> None:
    """The catalog's entries, rows and pointers to large values."""
    whole = Forger(sample[0])
    tree = 0 if where == "catalog" else whole.file.catalog()[where].id
    nodes, todo = [], [whole.file.tree(tree).root]
    while todo:
        node = whole.file.node(todo.pop())
        todo += [e.value for e in node.entries if node.level and e.live and e.value.page]
        if not node.level and any(e.live and e.value for e in node.entries):
            nodes.append(node)
    living = [(node, entry) for node in nodes for entry in node.entries if entry.live]
    cases = [(node, entry, value) for node, entry in living for value in spoilt(entry.value)]
    for node, entry, value in some(rng, cases):
        f = Forger(sample[0])
        node = f.file.node(Ref(node.page, u32(f.page(node.page), 0)))
        entries = [replace(e, value=value) if (e.key, e.begun) == (entry.key, entry.begun) else e for e in node.entries]
        try:
            f.rebuild(node.page, entries)
        except AssertionError:              # it does not fit any more
            continue
        judge.judge(f.sealed(), f"{where}, page {node.page}, {entry.key!r}: {entry.value!r} -> {value!r}")
