"""Filters of keys: when they are made, grow, learn and are given up, and that answers do not depend on them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.bare_pager import failpoint
from entitydb_dialect import Database
from entitydb_dialect import _exceptions as ex

ROWS = 2000


@pytest.fixture
def rows(db: Database) -> Database:
    """Rows with even ids; nothing was asked for yet."""
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    bloom(db, "off")
    db.put_many("t", [(2 * i, f"v{i}") for i in range(ROWS)])
    bloom(db, "auto")
    return db


def stats(db: Database, name: str) -> int:
    return db.connection.database.stats()[name]


def bloom(db: Database, mode: str, rate: float | None = None) -> None:
    if rate is None:
        db.execute("SELECT entitydb_bloom(?)", (mode,))
    else:
        db.execute("SELECT entitydb_bloom(?, ?)", (mode, rate))


def ask(db: Database, ids: Any) -> list[Any]:
    return db.get_many("t", ids, columns=["v"], tuples=True)


ABSENT = [2 * i + 1 for i in range(500)]
PRESENT = [2 * i for i in range(500)]


def child(path: Path, program: str, **environment: str) -> str:
    """What a program prints that another process runs; it has `db`."""
    source = f"from entitydb_dialect import Database\ndb = Database({str(path)!r})\n{program}\ndb.close()\n"
    return subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True,
                          cwd=path.parent, env={**os.environ, **environment}).stdout


# ---- when they are made


def test_many_looks_in_vain_make_one(rows: Database) -> None:
    asked = 0
    while not stats(rows, "filters") and asked < 200:
        asked += 1
        assert ask(rows, ABSENT) == [None] * len(ABSENT)
    assert stats(rows, "filters_made") == 1
    assert asked > 2                        # the first cannot have paid for it
    denied = stats(rows, "filter_denied")
    assert ask(rows, ABSENT) == [None] * len(ABSENT)
    assert stats(rows, "filter_denied") - denied > 0.95 * len(ABSENT)


def test_looks_that_find_something_make_none(rows: Database) -> None:
    for _ in range(300):
        assert None not in ask(rows, PRESENT)
    assert stats(rows, "filters") == stats(rows, "filters_made") == 0


def test_one_that_is_asked_for_what_is_there_is_given_up(rows: Database) -> None:
    while not stats(rows, "filters"):
        ask(rows, ABSENT)
    for _ in range(2000):
        assert None not in ask(rows, PRESENT)
        if not stats(rows, "filters"):
            break
    assert stats(rows, "filters_given_up") == 1
    assert stats(rows, "filter_bytes") == 0
    made = [0, 0]                           # the next one needs more reason
    while not stats(rows, "filters"):
        ask(rows, ABSENT)
        made[1] += 1
    bloom(rows, "auto")
    while not stats(rows, "filters"):
        ask(rows, ABSENT)
        made[0] += 1
    assert made[1] > made[0]


def test_single_looks_count_together(rows: Database) -> None:
    for i in range(20_000):
        assert rows.get("t", 2 * i + 1) is None
        if stats(rows, "filters"):
            break
    assert stats(rows, "filters") == 1


def test_one_that_only_learns_is_given_up(rows: Database) -> None:
    """A load that nobody asks anything must not pay for it for ever."""
    while not stats(rows, "filters"):
        ask(rows, ABSENT)
    puts = 0
    while stats(rows, "filters") and puts < 300:
        puts += 1
        rows.put_many("t", [("x",)] * 200, columns=["v"])
    assert stats(rows, "filters_given_up") == 1


def test_it_can_be_switched(rows: Database) -> None:
    bloom(rows, "on")
    assert ask(rows, [1]) == [None]
    assert stats(rows, "filters") == 1
    bloom(rows, "off")
    asked = stats(rows, "filter_asked")
    assert ask(rows, ABSENT) == [None] * len(ABSENT)
    assert (stats(rows, "filters"), stats(rows, "filter_asked")) == (0, asked)
    for mode, rate in (("perhaps", 0.01), ("on", 0.0), ("on", 0.6), ("on", -1.0)):
        with pytest.raises(ex.Error, match="entitydb_bloom"):
            bloom(rows, mode, rate)


@pytest.mark.slow
@pytest.mark.parametrize(("value", "made"), [("on", 1), ("TRUE", 1), ("0", 0), ("auto", 0)])
def test_the_environment_says_how(path: Path, rows: Database, value: str, made: int) -> None:
    program = "assert db.get_many('t', [1, 2], columns=['v']) == [None, {'v': 'v1'}]\n" \
              "print(db.connection.database.stats()['filters_made'])"
    assert int(child(path, program, ENTITYDB_BLOOM=value)) == made


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "least", "most"), [("0.5", 0, 700), ("0.0001", 4000, 9000), ("7", 2000, 3500)])
def test_the_environment_says_the_rate(path: Path, rows: Database, rate: str, least: int, most: int) -> None:
    program = "db.get_many('t', [1])\nprint(db.connection.database.stats()['filter_bytes'])"
    assert least < int(child(path, program, ENTITYDB_BLOOM="on", ENTITYDB_BLOOM_RATE=rate)) < most


# ---- what they hold


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_the_rate_is_as_asked_for_within_a_tenth(db: Database, rate: float) -> None:
    n, asked = 20_000, 400_000
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    db.put_many("t", [(i * 7919, "x") for i in range(n)])
    bloom(db, "on", rate)
    assert ask(db, array("q", (i * 7919 + 1 + i % 7918 for i in range(asked)))).count(None) == asked
    assert stats(db, "filter_asked") == asked
    assert stats(db, "filter_wrong") / asked == pytest.approx(rate, rel=0.1)


@pytest.mark.slow
def test_it_grows_with_the_tree_in_steps(db: Database) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    bloom(db, "on")
    for i in range(80):
        db.put_many("t", [(2 * k, "x") for k in range(500 * i, 500 * (i + 1))])
        asked, wrong = stats(db, "filter_asked"), stats(db, "filter_wrong")
        ids = [2 * k + 1 for k in range(5000)] + [2 * k for k in range(0, 500 * (i + 1), 97)]
        assert ask(db, ids) == [None] * 5000 + [("x",)] * len(range(0, 500 * (i + 1), 97))
        wrong, asked = stats(db, "filter_wrong") - wrong, stats(db, "filter_asked") - asked
        assert wrong < 0.02 * asked
    assert 3 < stats(db, "filters_made") < 12
    assert stats(db, "filters_caught_up") == 0


@pytest.mark.slow
def test_rows_that_come_and_go_do_not_make_it_grow_for_ever(db: Database) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    bloom(db, "on")
    for i in range(40):
        db.put_many("t", [(k, "x") for k in range(1000 * i, 1000 * (i + 1))])
        db.delete_many("t", range(1000 * (i - 1), 1000 * i))
        assert ask(db, [1000 * i, 1000 * i - 1, 10**9]) == [("x",), None, None]
    assert stats(db, "filters_made") > 3
    assert stats(db, "filter_bytes") < 8000


def test_commits_of_this_process_are_learned_as_they_are_made(rows: Database, path: Path) -> None:
    bloom(rows, "on")
    ask(rows, ABSENT)
    with Database(path) as other:
        for db in (rows, other):
            for id_ in (1, 3, 5):
                db.put_many("t", [{"id": id_ + (db is other) * 10, "v": "new"}])
            with db.transaction():
                db.put_many("t", [(i, "many") for i in range(100_001, 100_041, 2)])
                db.delete_many("t", [0, 2])
        assert ask(rows, [1, 3, 5, 7, 11, 100_001, 100_039, 100_041, 2, 4]) == \
            [("new",)] * 3 + [None, ("new",), ("many",), ("many",), None, None, ("v2",)]
        assert ask(other, [1, 7]) == [("new",), None]
    assert stats(rows, "filters_made") == 1
    assert stats(rows, "filters_caught_up") == 0


@pytest.mark.slow
def test_commits_of_other_processes_are_found_in_the_tree(rows: Database, path: Path) -> None:
    bloom(rows, "on")
    ask(rows, ABSENT)
    before = rows.connection.last_commit[1]
    child(path, "db.put_many('t', [{'id': 1, 'v': 'brief'}])\ndb.delete_many('t', [1])\n"
                "db.put_many('t', [{'id': 3, 'v': 'there'}, {'id': -5, 'v': 'there'}])")
    assert ask(rows, [1, 3, 5, -5, -7]) == [None, ("there",), None, ("there",), None]
    assert stats(rows, "filters_caught_up") == 1
    assert rows.get_many("t", [1, 3], as_of=before) == [None, None]
    assert (stats(rows, "filters_made"), stats(rows, "filters_caught_up")) == (1, 1)
    rows.put_many("t", [{"id": 5, "v": "own"}])     # from here on it knows this process's commits again
    assert ask(rows, [5, 7]) == [("own",), None]
    assert stats(rows, "filters_caught_up") == 1


@pytest.mark.slow
def test_own_commits_behind_those_of_others_do_not_hide_them(rows: Database, path: Path) -> None:
    bloom(rows, "on")
    ask(rows, ABSENT)
    child(path, "db.put_many('t', [{'id': 1, 'v': 'theirs'}])")
    rows.put_many("t", [("new",)], columns=["v"])
    rows.delete_many("t", [0])
    assert ask(rows, [1, 3, 0, 2 * ROWS - 1]) == [("theirs",), None, None, ("new",)]


@pytest.mark.slow
def test_what_came_and_went_is_there_as_of_then(rows: Database, path: Path) -> None:
    """The filter is asked about moments between its base and now."""
    bloom(rows, "on")
    ask(rows, ABSENT)
    rows.put_many("t", [{"id": 1, "v": "brief"}])
    then = rows.connection.last_commit[1]
    rows.delete_many("t", [1])
    child(path, "db.put_many('t', [{'id': 3, 'v': 'brief'}])\ndb.delete_many('t', [3])")
    made = stats(rows, "filters_made")
    assert ask(rows, [1, 3]) == [None, None]
    for _ in range(2):
        assert rows.get_many("t", [1, 3, 5], columns=["v"], as_of=then, tuples=True) == [("brief",), None, None]
    assert stats(rows, "filters_made") == made


def test_the_past_before_its_base_gets_one_with_an_earlier_base(rows: Database) -> None:
    then = rows.connection.last_commit[1]
    rows.put_many("t", [{"id": 1, "v": "later"}])
    rows.delete_many("t", range(200))
    bloom(rows, "on")
    assert ask(rows, [1, 2, 3, 300]) == [None, None, None, ("v150",)]
    asked = stats(rows, "filter_asked")
    then_there = rows.get_many("t", [1, 2, 3, 300], columns=["v"], as_of=then, tuples=True)
    assert then_there == [None, ("v1",), None, ("v150",)]
    assert stats(rows, "filters_made") == 2
    assert stats(rows, "filter_asked") == asked + 4
    assert ask(rows, [1, 2, 3, 300]) == [None, None, None, ("v150",)]
    assert stats(rows, "filters_made") == 2


def test_a_table_without_rows_and_one_that_did_not_exist(db: Database) -> None:
    db.execute("CREATE TABLE first(id INTEGER PRIMARY KEY)")
    before = db.connection.last_commit[1]
    bloom(db, "on")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    assert ask(db, [1, 2]) == [None, None]
    with pytest.raises(ex.OperationalError, match="not made yet"):
        db.get_many("t", [1], as_of=before)
    with db.transaction():
        db.execute("CREATE TABLE late(id INTEGER PRIMARY KEY)")
        assert db.get_many("late", [1]) == [None]
        db.put_many("late", [{"id": 1}])
        assert db.get_many("late", [1, 2]) == [{"id": 1}, None]


# ---- own writes


def test_own_writes_are_seen_and_taken_back(rows: Database) -> None:
    bloom(rows, "on")
    ask(rows, ABSENT)
    rows.execute("BEGIN")
    rows.put_many("t", [{"id": 1, "v": "own"}])
    assert ask(rows, [1, 3, 0]) == [("own",), None, ("v0",)]
    rows.execute("SAVEPOINT s")
    rows.put_many("t", [{"id": 3, "v": "own"}, {"id": 1, "v": "changed"}])
    rows.delete_many("t", [0])
    assert ask(rows, [3, 1, 0]) == [("own",), ("changed",), None]
    rows.execute("ROLLBACK TO s")
    assert ask(rows, [3, 1, 0]) == [None, ("own",), ("v0",)]
    rows.execute("ROLLBACK")
    assert ask(rows, [3, 1, 0]) == [None, None, ("v0",)]
    rows.put_many("t", [{"id": 5, "v": "a"}, {"id": 5, "v": "b"}])      # twice in one statement
    assert ask(rows, [5]) == [("b",)]


@pytest.mark.slow
def test_a_failed_commit_leaves_no_promise_behind(rows: Database, path: Path) -> None:
    """The next commit gets the number that the failed one would have had."""
    bloom(rows, "on")
    ask(rows, ABSENT)
    with Database(path) as other:
        for id_ in (1, 3):
            rows.execute("BEGIN")
            rows.put_many("t", [{"id": id_, "v": "never"}, {"id": 0, "v": "never"}])
            if id_ == 1:
                other.put_many("t", [{"id": 0, "v": "other"}])
            else:
                child(path, "db.put_many('t', [{'id': 0, 'v': 'child'}, {'id': 7, 'v': 'child'}])")
            with pytest.raises(ex.SerializationFailure):
                rows.execute("COMMIT")
            rows.execute("CREATE TABLE IF NOT EXISTS beside(id INTEGER PRIMARY KEY)")
            rows.put_many("beside", [{"id": id_}])
            assert ask(rows, [1, 3, 5, 7]) == [None, None, None, ("child",) if id_ == 3 else None]


BEHIND_THE_FILTERS = "txn:applied", "txn:prepared", "commit:prepared", "commit:stamped", "commit:record-written"


@pytest.mark.slow
@pytest.mark.parametrize("by", ["this process", "another"])
@pytest.mark.parametrize("name", BEHIND_THE_FILTERS)
def test_a_commit_that_fails_behind_the_filters_promises_nothing(
    rows: Database, path: Path, name: str, by: str
) -> None:
    """It has brought its keys to the filter under a number that the next commit gets, for other keys."""
    bloom(rows, "on")
    assert ask(rows, ABSENT) == [None] * len(ABSENT)
    failed: list[str] = []

    def fail(at: str) -> str | None:
        if at != name or failed:
            return None
        failed.append(at)
        return "IO"

    with failpoint(fail), pytest.raises(ex.Error):
        rows.put_many("t", [{"id": 1, "v": "never"}])
    assert failed
    keys = list(range(3, 203, 2))
    if by == "another":
        child(path, f"db.put_many('t', [{{'id': i, 'v': 'next'}} for i in {keys}])")
    else:
        rows.put_many("t", [{"id": i, "v": "next"} for i in keys])
    assert ask(rows, [1, *keys]) == [None] + [("next",)] * len(keys)
    assert rows.connection.database.check()[0] == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["on", "off"])
def test_a_put_is_judged_by_the_newest_commit_too(rows: Database, path: Path, mode: str) -> None:
    """A transaction of an earlier moment meets a row that another process has inserted since, when it is put."""
    bloom(rows, mode)
    ask(rows, ABSENT)
    rows.execute("BEGIN")
    assert ask(rows, [1, 3]) == [None, None]
    child(path, "db.put_many('t', [{'id': 1, 'v': 'theirs'}])")
    assert ask(rows, [1, 3]) == [None, None]
    with pytest.raises(ex.SerializationFailure, match="row 1 of table t was changed by another"):
        rows.put_many("t", [{"id": 1, "v": "ours"}])
    rows.put_many("t", [{"id": 3, "v": "ours"}])
    rows.execute("COMMIT")
    assert ask(rows, [1, 3]) == [("theirs",), ("ours",)]


@pytest.mark.parametrize("mode", ["on", "off"])
def test_at_serializable_what_is_denied_has_been_read(rows: Database, path: Path, mode: str) -> None:
    bloom(rows, mode)
    ask(rows, ABSENT)
    rows.add_tags("t", [0], ["first"])
    with Database(path) as other:

        def skew(look: Callable[[], Any], write: Callable[[], Any]) -> None:
            with rows.transaction("SERIALIZABLE"):
                look()
                rows.put_many("t", [{"id": 0, "v": "changed"}])
                write()

        with pytest.raises(ex.SerializationFailure):
            skew(lambda: ask(rows, [1]), lambda: other.put_many("t", [{"id": 1, "v": "theirs"}]))
        with pytest.raises(ex.SerializationFailure):
            skew(lambda: rows.by_tag("new:a", type="t"), lambda: other.add_tags("t", [2], ["new:a"]))
        skew(lambda: ask(rows, [3]), lambda: other.put_many("t", [{"id": 5, "v": "theirs"}]))
    assert ask(rows, [0, 1]) == [("changed",), ("theirs",)]


# ---- tags


@pytest.mark.slow
def test_absent_tags_are_denied_and_new_ones_are_found(rows: Database, path: Path) -> None:
    rows.add_tags("t", range(0, 200, 2), ["kind:old"])
    before = rows.connection.last_commit[1]
    bloom(rows, "on")
    assert rows.by_tag("kind:new", type="t") == []
    assert stats(rows, "filter_denied") == 1
    rows.add_tags("t", [4, 2], ["kind:new"])
    assert rows.by_tag("kind:new", type="t") == [2, 4]
    assert rows.by_tag("kind:new", type="t", as_of=before) == []
    child(path, "db.add_tags('t', [6], ['kind:child'])")
    assert rows.by_tag("kind:child | kind:none", type="t") == [6]
    with rows.transaction():
        rows.add_tags("t", [8], ["kind:own"])
        assert rows.by_tag("kind:own", type="t") == [8]
        rows.execute("SAVEPOINT s")
        rows.add_tags("t", [10], ["kind:undone"])
        rows.execute("ROLLBACK TO s")
        assert rows.by_tag("kind:undone", type="t") == []
    assert rows.execute("SELECT entity FROM entitydb_tags WHERE tag = 'kind:own'") == [(8,)]
    assert rows.execute("SELECT entity FROM entitydb_tags WHERE tag = 'kind:undone'") == []


# ---- I42


def test_the_check_finds_a_filter_that_denies_what_is_there(rows: Database, native: Any) -> None:
    rows.add_tags("t", [0, 2], ["kind:a", "kind:b"])
    bloom(rows, "on")
    ask(rows, ABSENT)
    rows.put_many("t", [{"id": 1, "v": "later"}])
    rows.delete_many("t", [1, 4])
    rows.by_tags(["kind:a", "kind:c"], type="t")
    check = rows.connection.database.check
    assert check()[0] == []
    assert native.lib.test_filters_forget(rows.connection._session.engine) == 2
    said = [str(breach) for breach in check()[0]]
    bloom(rows, "auto")
    assert len(said) == 2
    assert all("I42" in one for one in said)
    assert check()[0] == []


# ---- threads and memory


@pytest.mark.slow
@pytest.mark.parametrize(("bytes_", "kept"), [(0, 0), (2000, 1), (4000, 2), (100_000, 4)])
def test_the_room_they_take_is_bounded(path: Path, bytes_: int, kept: int) -> None:
    """Of four filters of about 1,500 bytes those stay that were asked last."""
    program = """
for name in "abcd":
    db.execute(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY)")
    db.put_many(name, [{"id": 2 * i} for i in range(1000)])
for name in "abcd":
    assert db.get_many(name, [1, 2, 3], tuples=True) == [None, (2,), None]
stats = db.connection.database.stats()
made = stats["filters_made"]
kept = stats["filters"]
for name in "dcba"[:kept]:
    assert db.get_many(name, [1, 2, 3], tuples=True) == [None, (2,), None]
assert db.connection.database.stats()["filters_made"] == made
print(kept, stats["filter_bytes"])
"""
    found, taken = map(int, child(path, program, ENTITYDB_BLOOM="on", ENTITYDB_BLOOM_CACHE_SIZE=str(bytes_)).split())
    assert found == kept
    assert taken <= bytes_
    assert (taken > 1000 * kept) == (kept > 0)


@pytest.mark.slow
def test_threads_share_one_and_never_miss_what_was_committed(rows: Database, path: Path) -> None:
    bloom(rows, "on", 0.5)
    failed: list[BaseException] = []
    done = threading.Event()
    known = [0] * 2                         # thread i has committed the ids up to known[i] of its own

    def write(i: int) -> None:
        try:
            with Database(path) as mine:
                for n in range(1, 60):
                    mine.put_many("t", [(1_000_001 + 2 * (i * 100_000 + n * 20 + k), f"{i}") for k in range(20)])
                    known[i] = n
        except BaseException as error:
            failed.append(error)

    def read() -> None:
        try:
            with Database(path) as mine:
                while not done.is_set():
                    upto = list(known)
                    for i, last in enumerate(upto):
                        ids = [1_000_001 + 2 * (i * 100_000 + n * 20 + k) for n in range(1, last + 1) for k in (0, 19)]
                        assert ask(mine, ids) == [(f"{i}",)] * len(ids)
                        assert ask(mine, [id_ + 1 for id_ in ids]) == [None] * len(ids)
        except BaseException as error:
            failed.append(error)

    writers = [threading.Thread(target=write, args=(i,)) for i in range(2)]
    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in writers + readers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert failed == []


@pytest.mark.parametrize("on", [False, True], ids=["once", "from then on"])
def test_without_memory_there_is_no_filter_and_no_wrong_answer(rows: Database, native: Any, on: bool) -> None:
    """Every allocation fails in turn, while a filter is made, asked and taught."""
    lib = native.lib
    n, failed, asked = 0, True, False
    while failed:
        n += 1
        bloom(rows, "on")
        lib.test_alloc_fail(n, on)
        try:
            got = ask(rows, [*PRESENT, *ABSENT])
        except (ex.Error, MemoryError):
            got = None
        failed = lib.test_alloc_passed() >= n
        lib.test_alloc_fail(0, False)
        assert got in (None, [(f"v{i}",) for i in range(500)] + [None] * 500)
        asked |= got is not None and failed
        assert ask(rows, [1, 2]) == [None, ("v1",)]
    assert n > 5
    assert asked or on      # some failures cost the filter, and nothing else
