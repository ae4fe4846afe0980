"""Forged redo records: an error that names the record's commit, or what the file says without it; never a crash, and
never rows that no commit left.

What is forged has whole checksums, and the records behind it follow upon it, unless that is what is forged. Some of it
is damage to whoever opens the file, the rest to whoever reads at, commits to or checks a commit that needs it: a
process cannot know what a commit left without the changes of all commits before it, from the base on.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

from .forger import Forger, encode_groups, encode_redo, put, varint_bytes
from .reader import MARK, RECORD, SLOTS, Damaged, File, Record, crc32c, u32
from .redo import Change, Group, groups

Forge = Callable[[Forger, int], None]
QUERIES = ["SELECT id, v FROM t ORDER BY id", "SELECT id FROM t WHERE v >= 'v' ORDER BY v", "SELECT * FROM u"]
WRITES = [
    "INSERT INTO t(v) VALUES ('new')", "UPDATE t SET v = 'last' WHERE id = 2", "DELETE FROM t", "CREATE TABLE w(a)",
    "INSERT INTO u VALUES (7, 'x')",
]  # fmt: skip
AT_OPENING: list[Forge] = []
AT_USE: list[tuple[str, Forge]] = []


def at_opening(forge: Forge) -> Forge:
    """Marks what nobody can open: f.redo[i] is no record, or does not follow upon the one before."""
    AT_OPENING.append(forge)
    return forge


def at_use(sentence: str) -> Callable[[Forge], Forge]:
    """Marks what is met by who replays f.redo[i], and what is said of it."""
    def add(forge: Forge) -> Forge:
        AT_USE.append((sentence, forge))
        return forge
    return add


def make(path: Path) -> dict[str, Any]:
    """Two commits with pages, and six redo records behind them. -> moments and rows of each commit."""
    db = driver.connect(path, page_size=512)
    moments: list[int] = []
    rows: list[list[Any]] = []

    def commit() -> None:
        db.commit()
        moments.append(db.last_commit[1])
        rows.append([[list(row) for row in db.execute(query).fetchall()] for query in QUERIES])
        db.rollback()

    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    db.execute("CREATE TABLE u(id INTEGER PRIMARY KEY, v TEXT)")
    db.execute("CREATE INDEX tv ON t(v)")
    db.executemany("INSERT INTO t(v) VALUES (?)", [(f"v{i}",) for i in range(30)])
    commit()
    db.execute("INSERT INTO u VALUES (1, ?)", ("large" * 1000,))
    commit()
    for i in range(6):
        db.execute("INSERT INTO t(v) VALUES (?)", (f"v{100 + i}",))
        db.execute("UPDATE t SET v = ? WHERE id BETWEEN ? AND ?", (f"w{i}", 5 * i, 5 * i + 3))
        db.execute("DELETE FROM t WHERE id = ?", (5 * i + 4,))
        commit()
    db.close()
    return {"moments": moments, "rows": rows}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, native: Any) -> tuple[bytes, dict[str, Any]]:
    path = tmp_path_factory.mktemp("redo") / "redo.edb"
    contents = make(path)
    return path.read_bytes(), contents


def with_groups(f: Forger, i: int, change: Callable[[list[Group]], Sequence[Group]]) -> None:
    f.redo[i] = replace(f.redo[i], changes=encode_groups(change(groups(f.redo[i].changes))))


def with_changes(f: Forger, i: int, change: Callable[[list[Change]], Sequence[Change]]) -> None:
    """Other changes of the table t, which come first."""
    table = f.file.catalog()["t"].id
    with_groups(f, i, lambda found: [
        replace(group, changes=tuple(change(list(group.changes)))) if group.changes and group.tree == table else group
        for group in found
    ])


def seal(f: Forger, at: int) -> None:
    """The record at a place of the file gets a checksum that is right for the size that it says."""
    put(f.data, at, crc32c(f.data[at + 4 : at + u32(f.data, at + 8)]), 4)


def row_key(id_: int) -> bytes:
    return (id_ + 2**63).to_bytes(8, "big")


# ---- what cannot be opened -------------------------------------------------------------------------------------------


@at_opening
def a_base_that_has_no_pages(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], base=f.redo[i].number - 1 if i else f.redo[i].number - 2)
    if not i:                       # the commit before the base has pages too, but is not the newest that has
        assert isinstance(f.file.records[f.redo[i].base], Record)


@at_opening
def a_base_that_is_too_far(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], base=(f.redo[i].number - 256) % 2**64)


@at_opening
def a_base_that_is_the_commit_itself(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], base=f.redo[i].number)


@at_opening
def a_base_yet_to_come(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], base=f.redo[i].number + 1)


@at_opening
def a_record_that_does_not_follow_upon_the_one_before(f: Forger, i: int) -> None:
    f.chained = False
    f.redo[i] = replace(f.redo[i], before=f.redo[i].before ^ 1)
    rechain(f, i % len(f.redo) + 1)


@at_opening
def a_record_that_knew_itself_durable(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], durable=f.redo[i].number)


@at_opening
def a_record_that_is_both(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], flags=3)


@at_opening
def a_record_with_an_unknown_flag(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], flags=8 | 2)


@at_opening
def a_record_that_says_that_it_has_pages(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], flags=0)


@at_opening
def a_record_with_another_number(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], number=f.redo[i].number + 5)


@at_opening
def a_record_of_a_round_before(f: Forger, i: int) -> None:
    """Of the same slot."""
    f.redo[i] = replace(f.redo[i], number=(f.redo[i].number - SLOTS) % 2**64)


@at_opening
def a_record_of_a_round_to_come(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], number=f.redo[i].number + SLOTS, base=f.redo[i].base + SLOTS)


def rechain(f: Forger, i: int) -> None:
    """f.redo[i] and those behind it follow upon f.redo[i - 1] as it stands there."""
    for k in range(i, len(f.redo)):
        f.redo[k] = replace(f.redo[k], before=u32(encode_redo(f.redo[k - 1]), 0))


# ---- what cannot be replayed -----------------------------------------------------------------------------------------


@at_use("it changes a tree that does not exist")
def an_unknown_tree(f: Forger, i: int) -> None:
    with_groups(f, i, lambda found: [*found, Group(999, (Change(row_key(1), b"x"),))])


@at_use("it changes a tree that does not exist")
def the_next_id_of_an_unknown_tree(f: Forger, i: int) -> None:
    with_groups(f, i, lambda found: [Group(999, next_id=7), *found])


@at_use("it changes a tree that cannot be")
def a_tree_that_cannot_be(f: Forger, i: int) -> None:
    with_groups(f, i, lambda found: [*found, Group(2**32, (Change(row_key(1), b"x"),))])


@at_use("it changes the catalog")
def the_catalog(f: Forger, i: int) -> None:
    """Who changes it writes pages: others look at it again only then."""
    with_groups(f, i, lambda found: [*found, Group(0, (Change(row_key(1), None),))])


@at_use("it changes a tree twice")
def a_tree_twice(f: Forger, i: int) -> None:
    with_groups(f, i, lambda found: [*found, found[0]])


@at_use("it changes the catalog")
def the_catalog_without_a_change(f: Forger, i: int) -> None:
    with_groups(f, i, lambda found: [*found, Group(0)])


@at_use("it changes nothing")
def a_group_of_no_changes(f: Forger, i: int) -> None:
    """Of the table whose keys come next, and which nothing was compared with yet."""
    with_groups(f, i, lambda found: [Group(f.file.catalog()["t"].id), *found])


@at_use("it changes nothing")
def a_group_of_changes_that_are_none(f: Forger, i: int) -> None:
    """A tombstone over nothing."""
    with_groups(f, i, lambda found: [*found, Group(f.file.catalog()["u"].id, (Change(row_key(99), None, True),))])


@at_use("its keys do not ascend")
def keys_that_descend(f: Forger, i: int) -> None:
    with_changes(f, i, lambda changes: changes[::-1])


@at_use("its keys do not ascend")
def a_key_twice(f: Forger, i: int) -> None:
    with_changes(f, i, lambda changes: [changes[0], *changes])


@at_use("its keys do not ascend")
def a_key_twice_in_two_groups(f: Forger, i: int) -> None:
    with_groups(f, i, lambda found: [found[0], *found])


@at_use("its keys do not ascend")
def many_keys_that_do_not_ascend_at_the_end(f: Forger, i: int) -> None:
    """More than are applied at once."""
    with_changes(f, i, lambda changes: [Change(row_key(n), b"\0") for n in [*range(-64, 0), -1]])


@at_use("a key is too large")
def a_key_that_is_too_large(f: Forger, i: int) -> None:
    """Of the index, whose keys vary; with one byte less it would fit."""
    index = f.file.catalog()["t"].indexes[0].tree
    with_groups(f, i, lambda found: [
        replace(g, changes=(*g.changes, Change(b"\xff" * 73, b""))) if g.tree == index else g for g in found])


@at_use("a key is too large")
def a_key_of_an_impossible_size(f: Forger, i: int) -> None:
    table = f.file.catalog()["t"].id
    f.redo[i] = replace(f.redo[i], changes=varint_bytes(table << 1) + b"\1" + varint_bytes(2**63))


@at_use("a key has not the size of its tree's keys")
def a_key_that_is_no_row_id(f: Forger, i: int) -> None:
    with_changes(f, i, lambda changes: [Change(b"", b"\0"), *changes])


@at_use("it gives row ids anew")
def a_next_id_that_was_given_out(f: Forger, i: int) -> None:
    table = f.file.catalog()["t"].id
    with_groups(f, i, lambda found: [*found, Group(table, next_id=1)])


@at_use("a number ends behind it")
def a_number_that_does_not_end(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], changes=f.redo[i].changes + b"\x80")


@at_use("a number ends behind it")
def a_number_of_too_many_bytes(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], changes=b"\xff" * 10 + b"\1" + f.redo[i].changes)


@at_use("a number ends behind it")
def a_group_with_fewer_changes_than_it_says(f: Forger, i: int) -> None:
    table = f.file.catalog()["t"].id
    f.redo[i] = replace(f.redo[i], changes=varint_bytes(table << 1) + varint_bytes(2**64 - 1))


@at_use("a number ends behind it")
def a_group_without_a_count(f: Forger, i: int) -> None:
    table = f.file.catalog()["t"].id
    f.redo[i] = replace(f.redo[i], changes=f.redo[i].changes + varint_bytes(table << 1))


@at_use("a key or a value ends behind it")
def a_key_that_ends_behind_the_record(f: Forger, i: int) -> None:
    table = f.file.catalog()["t"].id
    f.redo[i] = replace(f.redo[i], changes=varint_bytes(table << 1) + b"\1" + varint_bytes(8 << 2) + b"\x80" + bytes(6))


@at_use("a key or a value ends behind it")
def a_value_that_ends_behind_the_record(f: Forger, i: int) -> None:
    table = f.file.catalog()["t"].id
    change = varint_bytes(8 << 2) + row_key(1) + varint_bytes(2**64 - 1)
    f.redo[i] = replace(f.redo[i], changes=varint_bytes(table << 1) + b"\1" + change + bytes(100))


@at_use("ends behind it")
def changes_without_their_last_byte(f: Forger, i: int) -> None:
    f.redo[i] = replace(f.redo[i], changes=f.redo[i].changes[:-1])


# ---- the tests -------------------------------------------------------------------------------------------------------


class Judge:
    """Reads, writes and checks a forged file in a process that must survive it."""

    def __init__(self, made: tuple[bytes, dict[str, Any]], ask: Any, folder: Path) -> None:
        self.data, self.contents, self.ask, self.path = *made, ask, folder / "forged.edb"

    def __call__(self, data: bytes, writes: Sequence[str] = WRITES) -> dict[str, Any]:
        self.path.write_bytes(data)
        answer: dict[str, Any] = self.ask(self.path, moments=self.contents["moments"], queries=QUERIES, writes=writes)
        self.path.with_name("forged.edb-lock").unlink(missing_ok=True)
        return answer

    def earlier(self, answer: dict[str, Any], number: int) -> None:
        """An earlier commit is the newest, and all is what it and those before it left."""
        assert answer["opened"] is None
        assert answer["check"] == []
        rows = self.contents["rows"]
        assert answer["rows"] == [rows[min(n, number - 1)] for n in [*range(len(rows)), number - 1]]
        assert all(isinstance(result, list) for result in answer["writes"]), answer["writes"]


@pytest.fixture
def judge(made: Any, ask: Any, tmp_path: Path) -> Judge:
    return Judge(made, ask, tmp_path)


def is_damage(error: Sequence[Any], number: int) -> str:
    kind, _, message = error
    assert kind == "DamageError", error
    assert "forged.edb" in message
    assert re.search(rf"the record of commit {number}\b", message), message
    return str(message)


def every_error(answer: dict[str, Any]) -> list[Any]:
    results = [*[one for at in answer["rows"] for one in at], *answer["writes"], answer["check"]]
    assert all(isinstance(result, dict) for result in results), results
    return [result["error"] for result in results]


def without_mark(data: bytes) -> bytes:
    return data[:MARK] + bytes(24) + data[MARK + 24 :]


@pytest.fixture(params=[-1, 2, 0], ids=["the last", "one between", "the first"])
def place(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_records_written_anew_are_the_same(made: Any, judge: Judge) -> None:
    f = Forger(made[0])
    assert len(f.redo) == 6
    for i in range(6):
        with_groups(f, i, lambda found: found)
    assert f.sealed() == made[0]
    judge.earlier(judge(f.sealed()), f.redo[-1].number)


@pytest.mark.slow
@pytest.mark.parametrize(("sentence", "forge"), AT_USE, ids=[forge.__name__ for _, forge in AT_USE])
def test_what_cannot_be_replayed_is_named_by_all(
    made: Any, judge: Judge, place: int, sentence: str, forge: Forge
) -> None:
    f = Forger(made[0])
    forge(f, place)
    answer = judge(f.sealed())
    assert answer["opened"] is None
    for error in every_error(answer):
        assert sentence in is_damage(error, f.redo[place].number)
    with pytest.raises(Damaged):
        File(f.sealed()).trees()


@pytest.mark.slow
@pytest.mark.parametrize("forge", AT_OPENING, ids=[forge.__name__ for forge in AT_OPENING])
def test_what_is_no_record_is_named_at_opening(made: Any, judge: Judge, place: int, forge: Forge) -> None:
    """Where its commit was durable. Where nobody knows of it, it was never made, nor what was built upon it."""
    f = Forger(made[0])
    number = f.redo[place].number
    forge(f, place)
    data = f.sealed()
    answer = judge(data)
    assert answer["opened"], "it was opened"
    is_damage(answer["opened"], number)
    with pytest.raises(Damaged):
        File(data)
    assert judge.path.read_bytes() == data, "what cannot be opened is left alone"
    if max(rc.durable for rc in File(made[0]).records.values()) < number and "durable" not in forge.__name__:
        assert File(without_mark(data)).newest.number == number - 1
        judge.earlier(judge(without_mark(data)), number - 1)


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 4, 63, 4097, 2**31, 2**32 - 1])
def test_a_size_out_of_bounds(made: Any, judge: Judge, place: int, size: int) -> None:
    f = Forger(made[0])
    put(f.data, f.redo[place].offset + 8, size, 4)
    if 4 <= size <= RECORD + 1:
        seal(f, f.redo[place].offset)
    is_damage(judge(bytes(f.data))["opened"], f.redo[place].number)


@pytest.mark.slow
def test_what_stands_behind_the_size_does_not_matter(made: Any, judge: Judge) -> None:
    """Old records, which were longer."""
    f = Forger(made[0])
    for rc in f.redo:
        f.data[rc.offset + 64 + len(rc.changes) : rc.offset + RECORD] = b"\xee" * (RECORD - 64 - len(rc.changes))
    judge.earlier(judge(f.sealed()), f.redo[-1].number)


@pytest.mark.slow
def test_a_redo_record_far_from_what_was_durable_is_named_by_check(made: Any, judge: Judge, tmp_path: Path) -> None:
    """I7. And of the page record that it is based on, what it says of free pages: I5."""
    path = tmp_path / "long.edb"
    db = driver.connect(path, page_size=512)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    db.commit()
    for i in range(600):
        db.execute("INSERT OR REPLACE INTO t VALUES (1, ?)", (f"v{i}",))
        db.commit()
    db.close()
    f = Forger(path.read_bytes())
    assert f.redo
    assert f.record.young
    f.redo[-1] = replace(f.redo[-1], durable=f.redo[-1].number - 257)
    judge.path.write_bytes(f.sealed())
    assert {found for found, _, _ in judge.ask(judge.path)["check"]} == {"I7"}
    f = Forger(path.read_bytes())
    young = f.record.young
    f.record = replace(f.record, young=[replace(young[0], freed=f.record.number + 1), *young[1:]])
    judge.path.write_bytes(f.sealed())
    assert [found[:2] for found in judge.ask(judge.path)["check"]] == [["I5", young[0].page]]


@pytest.mark.slow
def test_numbers_of_a_redo_record_at_their_extremes(made: Any, judge: Judge, rng: random.Random) -> None:
    """With the mark that vouches for it, and without: rows that some commit left, or damage."""
    known = {str(rows) for rows in judge.contents["rows"]}
    values = {0, 1, 2, 64, 127, 128, 255, 256, 511, 512, 2**64 - 1}
    values |= {2**n + d for n in (16, 31, 32, 47, 48, 63) for d in (-1, 0, 1)}
    fields = {"size": (8, 4), "flags": (12, 4), "number": (16, 8), "time": (24, 8), "durable": (32, 8), "base": (40, 8),
              "before": (48, 4), "zero": (52, 8), "first change": (64, 8)}
    cases = [(field, v) for field, (_, size) in fields.items() for v in sorted(values) if v < 2 ** (8 * size)]
    for field, value in rng.sample(cases, 60):
        f = Forger(made[0])
        at = f.redo[-1].offset
        put(f.data, at + fields[field][0], value, fields[field][1])
        if 4 <= u32(f.data, at + 8) <= RECORD:
            seal(f, at)
        data = bytes(f.data) if rng.random() < 0.5 else without_mark(bytes(f.data))
        answer = judge(data)
        if answer["opened"]:
            assert answer["opened"][0] == "DamageError"
            continue
        for rows in answer["rows"]:
            if all(isinstance(one, list) for one in rows):
                assert str(rows) in known or rows == [[], [], []] or field in ("time", "first change"), (field, value)
        for result in [one for rows in answer["rows"] for one in rows] + answer["writes"]:
            assert isinstance(result, list) or "DatabaseError" in result["error"][1], (field, value, result)


def spoil(rng: random.Random, changes: bytes) -> bytes:
    out = bytearray(changes)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(out))
        kind = rng.randrange(5)
        if kind == 0:
            del out[at : at + rng.randrange(1, 9)]
        elif kind == 1:
            out[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 2 and len(out) > 20:
            size = rng.randrange(1, 20)
            out[at : at + size] = out[(start := rng.randrange(len(out) - size)) : start + size]
        else:
            out[at] = rng.choice([0, 1, 2, 127, 128, 255, rng.randrange(256)])
        if not out:
            return b""
    return bytes(out)


@pytest.mark.slow
def test_forged_changes_are_to_the_engine_what_they_are_to_the_reader(
    made: Any, judge: Judge, rng: random.Random
) -> None:
    """Bytes of changes at random: both find the same rows, or neither finds any."""
    read = refused = 0
    for _ in range(150):
        f = Forger(made[0])
        i = rng.randrange(len(f.redo))
        f.redo[i] = replace(f.redo[i], changes=spoil(rng, f.redo[i].changes)[:4032])
        data = f.sealed()
        answer = judge(data, WRITES)
        assert answer["opened"] is None
        for result in [one for rows in answer["rows"] for one in rows] + answer["writes"]:
            assert isinstance(result, list) or "DatabaseError" in result["error"][1], result
        file = File(data)
        try:
            trees = file.trees()
        except Damaged:
            refused += 1
            assert isinstance(answer["check"], dict), "the engine replays what the reader does not"
            assert all(isinstance(result, dict) for rows in answer["rows"] for result in rows)
            continue
        read += 1
        assert isinstance(answer["check"], list), answer["check"]
        table = next(tree for tree in trees if tree.id == file.catalog()["t"].id)
        for moment, rows in zip([*range(1, len(answer["rows"])), file.newest.number], answer["rows"], strict=True):
            assert len(list(file.scan(table, moment))) == table.live or moment < file.newest.number
            try:
                expected = [row for _, row in file.rows(file.catalog(moment)["t"], moment)]
            except (Damaged, UnicodeError):
                continue
            if isinstance(rows[0], list):
                assert rows[0] == [[id_, value] for id_, value in expected], f"at {moment}"
    assert read > 10
    assert refused > 10
