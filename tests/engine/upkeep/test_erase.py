"""Erasing rows and columns: gone from every moment, every index, and after compacting from the bytes of the file."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver
from format.reader import File

from .histories import packed_bytes

Row = tuple[Any, ...]
Moment = tuple[int, dict[int, Row]]


def connect(path: Path, **options: Any) -> driver.Connection:
    return driver.connect(str(path), isolation_level=None, synchronous="normal", **options)


def erase(db: driver.Connection, *rows: int, columns: str | None = None, table: str = "t") -> None:
    """What the row was, which does not live any more, or has NULL in the columns."""
    db.execute("BEGIN")
    for row in rows:
        db.execute(
            "INSERT INTO entitydb_erasures(subject_table, key_hash, columns, reason, actor, row_id)"
            " VALUES (?, ?, ?, 'asked for', 'ann', ?)",
            (table, "0" * 64, columns, row),
        )
    db.execute("COMMIT")


class History:
    """A database, and what its table held at moments."""

    def __init__(self, path: Path, rng: random.Random, page_size: int) -> None:
        self.path, self.rng = path, rng
        self.db = connect(path, page_size=page_size)
        self.db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB, c INTEGER)")
        self.db.execute("CREATE INDEX ta ON t(a)")
        self.db.execute("CREATE UNIQUE INDEX tc ON t(c, id DESC)")
        self.db.execute("CREATE INDEX low ON t(lower(a)) WHERE c > 3")
        self.now: dict[int, Row] = {}
        self.moments: list[Moment] = []

    def commit(self, size: int, keys: int = 60) -> None:
        rng = self.rng
        self.db.execute("BEGIN")
        for _ in range(size):
            key, what = rng.randrange(keys), rng.random()
            if what < 0.8:
                a = rng.choice(("x" * rng.randrange(60), f"Name {rng.randrange(30)}", None, f"{key} is {rng.random()}"))
                row = (key, a, rng.randbytes(rng.choice((0, 3, 40, 300, 3000))), rng.choice((None, rng.randrange(9))))
                self.db.execute("INSERT OR REPLACE INTO t VALUES (?, ?, ?, ?)", row)
                self.now[key] = row
            else:
                self.db.execute("DELETE FROM t WHERE id = ?", (key,))
                self.now.pop(key, None)
        self.db.execute("COMMIT")
        self.note()

    def note(self) -> None:
        if self.db.last_commit[1] and self.rng.random() < 0.5:
            self.moments.append((self.db.last_commit[1], dict(self.now)))

    def erase(self, *rows: int) -> None:
        marks = ", ".join("?" * len(rows))
        self.db.execute(f"DELETE FROM t WHERE id IN ({marks})", rows)
        for row in rows:
            self.now.pop(row, None)
        erase(self.db, *rows)
        for _, then in self.moments:
            for row in rows:
                then.pop(row, None)

    def erase_columns(self, row: int, *columns: str) -> None:
        self.db.execute(f"UPDATE t SET {', '.join(f'{name} = NULL' for name in columns)} WHERE id = ?", (row,))
        erase(self.db, row, columns="\n".join(columns))
        for then in (self.now, *(then for _, then in self.moments)):
            if row in then:
                names = ("id", "a", "b", "c")
                then[row] = tuple(
                    None if name in columns else value for name, value in zip(names, then[row], strict=True)
                )

    def ever(self) -> list[int]:
        """Rows that there is a version of."""
        return sorted({row for _, then in self.moments for row in then})

    def judge(self) -> None:
        for moment, then in [*self.moments, (None, self.now)]:
            cursor = self.db.cursor()
            cursor.as_of = moment
            rows = [then[key] for key in sorted(then)]
            assert [tuple(row) for row in cursor.execute("SELECT * FROM t ORDER BY id").fetchall()] == rows

            def found(sql: str, cursor: Any = cursor) -> list[Any]:
                return sorted(row[0] for row in cursor.execute(sql).fetchall())

            assert found("SELECT id FROM t WHERE a >= 'Name' ORDER BY a") == [
                row[0] for row in rows if row[1] is not None and row[1] >= "Name"
            ]
            assert found("SELECT id FROM t WHERE a = 'Name 7'") == [row[0] for row in rows if row[1] == "Name 7"]
            assert found("SELECT id FROM t WHERE c = 4 ORDER BY c") == [row[0] for row in rows if row[3] == 4]
            assert found("SELECT id FROM t WHERE c > 3 AND lower(a) = 'name 7'") == [
                row[0] for row in rows if row[3] is not None and row[3] > 3 and row[1] == "Name 7"
            ]
            ordered = cursor.execute("SELECT a, id FROM t ORDER BY a, id").fetchall()
            assert len(ordered) == len(rows)
        assert self.db.database.check()[0] == []
        assert self.db.database.verify().breaks == ()

    def reopen(self) -> None:
        self.db.close()
        self.db = connect(self.path)


PAGE_SIZES = [512, 1024, 8192]


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_rows_are_gone_from_every_moment(tmp_path: Path, rng: random.Random, page_size: int) -> None:
    history = History(tmp_path / "a.edb", rng, page_size)
    for _ in range(4):
        for _ in range(rng.randrange(5, 40)):
            history.commit(rng.choice((1, 3, 20)))
        ever = history.ever()
        history.erase(*rng.sample(ever, min(len(ever), rng.choice((1, 2, 8)))))
        history.judge()
    history.db.database.compact()
    history.judge()
    history.reopen()
    history.commit(20)
    history.judge()


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_columns_are_null_at_every_moment(tmp_path: Path, rng: random.Random, page_size: int) -> None:
    history = History(tmp_path / "a.edb", rng, page_size)
    for _ in range(4):
        for _ in range(rng.randrange(5, 40)):
            history.commit(rng.choice((1, 3, 20)))
        ever = history.ever()
        history.erase_columns(rng.choice(ever), *rng.choice((("a",), ("b",), ("a", "b"), ("c",))))
        history.judge()
    history.erase(rng.choice(history.ever()))
    history.judge()
    history.reopen()
    history.commit(20)
    history.judge()


@pytest.mark.slow
@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_random_histories_with_pack_prune_and_compact(tmp_path: Path, rng: random.Random, page_size: int) -> None:
    history = History(tmp_path / "a.edb", rng, page_size)
    for _ in range(12):
        for _ in range(rng.randrange(5, 40)):
            history.commit(rng.choice((1, 3, 20)), rng.choice((5, 60, 300)))
        what, ever = rng.random(), history.ever()
        if rng.random() < 0.4:
            history.db.database.pack()
        if what < 0.3 and history.moments:
            numbers = [history.db.database.resolve(moment)[0] for moment, _ in history.moments]
            reached = history.db.database.prune(rng.choice(numbers))["horizon"]
            history.moments = [m for number, m in zip(numbers, history.moments, strict=True) if number >= reached]
        elif what < 0.5:
            history.db.database.compact()
        elif what < 0.8 and ever:
            history.erase(*rng.sample(ever, min(len(ever), rng.choice((1, 2, 8, 40)))))
        elif ever:
            history.erase_columns(rng.choice(ever), *rng.choice((("a",), ("b",), ("a", "b", "c"))))
        if rng.random() < 0.3:
            history.reopen()
        history.judge()


MARKS = [b"Marker-One", b"MARKER-TWO", b"marker-one", b"Marker_Three"]


@pytest.mark.parametrize("page_size", PAGE_SIZES)
@pytest.mark.parametrize("whole", [True, False])
def test_no_byte_of_what_was_erased_is_left(tmp_path: Path, rng: random.Random, page_size: int, whole: bool) -> None:
    path = tmp_path / "a.edb"
    history = History(path, rng, page_size)

    def some() -> None:
        for _ in range(8):
            history.commit(rng.choice((1, 30)))

    some()
    for n in range(70):
        values = (f"Marker-One {n:03}", b"Marker_Three" * rng.choice((1, 10, 400)), n % 9)
        history.db.execute("INSERT OR REPLACE INTO t VALUES (7, ?, ?, ?)", values)
        if n % 10 == 3:
            history.db.execute("UPDATE t SET a = ? WHERE id = 7", (f"MARKER-TWO {n}" + "y" * 30,))
            some()
    history.moments.clear()
    history.now = {row[0]: tuple(row) for row in history.db.execute("SELECT * FROM t").fetchall()}
    assert any(mark in path.read_bytes() for mark in MARKS)
    some()
    if whole:
        history.erase(7)
    else:
        history.erase_columns(7, "a", "b")
    done = history.db.database.compact()
    assert done.bytes_held == 0
    found = path.read_bytes()
    assert [mark for mark in MARKS if mark in found] == []
    history.judge()
    some()
    history.judge()
    history.db.close()
    found = path.read_bytes()
    assert [mark for mark in MARKS if mark in found] == []


@pytest.mark.slow
@pytest.mark.parametrize("page_size", PAGE_SIZES)
@pytest.mark.parametrize("whole", [True, False])
def test_no_byte_of_what_was_erased_is_left_in_strips(
    tmp_path: Path, rng: random.Random, page_size: int, whole: bool
) -> None:
    """Packed before, merged, erased from the middle of it, and packed again."""
    path = tmp_path / "a.edb"
    history = History(path, rng, page_size)
    history.now = {i: (i, f"Name {i}", b"b" * 30, i % 9) for i in range(60)}
    history.db.executemany("INSERT INTO t VALUES (?, ?, ?, ?)", list(history.now.values()))

    def change(times: int, *, marked: bool) -> None:
        for n in range(times):
            history.db.execute("BEGIN")
            for key in rng.sample(range(8, 60), 12):
                row = (key, f"Name {rng.randrange(99)}", rng.randbytes(20), rng.randrange(9))
                history.db.execute("INSERT OR REPLACE INTO t VALUES (?, ?, ?, ?)", row)
                history.now[key] = row
            if marked:
                values = (rng.choice((f"Marker-One {n}", f"MARKER-TWO {n}")), b"Marker_Three", n % 9)
                history.now[7] = (7, *values)
                history.db.execute("INSERT OR REPLACE INTO t VALUES (7, ?, ?, ?)", values)
            history.db.execute("COMMIT")
            history.note()

    def marks() -> set[bytes]:
        data = path.read_bytes()
        unpacked = list(packed_bytes(File(data)))
        return {mark for mark in MARKS if mark in data or any(mark in one for one in unpacked)}

    for marked in (False, True, True, False):
        change(100, marked=marked)
        if marked:
            history.db.database.pack()
    assert history.db.database.compact().bytes_held == 0
    file = File(path.read_bytes())
    if page_size == 512:
        assert max(strip.ids for strip in file.strips.values()) > 256
    assert {mark for mark in MARKS if any(mark in one for one in packed_bytes(file))} == set(MARKS)
    if whole:
        history.erase(7)
    else:
        history.erase_columns(7, "a", "b")
    history.judge()
    if rng.random() < 0.5:
        history.db.database.pack()
    assert history.db.database.compact().bytes_held == 0
    assert marks() == set()
    change(30, marked=False)
    assert history.db.database.pack().windows
    history.judge()
    history.db.database.compact()
    assert File(path.read_bytes()).strips
    assert marks() == set()
    history.judge()


def test_neighbours_of_many_erased_keys_are_found(tmp_path: Path, rng: random.Random) -> None:
    """Index entries of one row alone, over many pages: all separators between are keys of it."""
    db = connect(tmp_path / "a.edb", page_size=512)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.execute("CREATE INDEX ta ON t(a)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, a) for i, a in enumerate(("a", "mm", "mmz", "z"), 1)])
    for n in rng.sample(range(400), 400):
        db.execute("INSERT OR REPLACE INTO t VALUES (9, ?)", (f"mm{n:03}" + "q" * 20,))
    moment = db.last_commit[1]
    db.execute("DELETE FROM t WHERE id = 9")
    erase(db, 9)
    for as_of in (None, moment):
        cursor = db.cursor()
        cursor.as_of = as_of
        found = cursor.execute("SELECT a FROM t WHERE a >= 'm' ORDER BY a").fetchall()
        assert [row[0] for row in found] == ["mm", "mmz", "z"]
    db.executemany("INSERT INTO t VALUES (?, ?)", [(100 + n, f"mm{n:03}") for n in range(300)])
    count = db.execute("SELECT count(*) FROM t WHERE a BETWEEN 'mm000' AND 'mm299'").fetchone()
    assert count is not None
    assert count[0] == 300
    assert db.database.check()[0] == []
    assert db.database.verify().breaks == ()


def test_receipts(tmp_path: Path) -> None:
    db = connect(tmp_path / "a.edb")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    for a in "xyz":
        db.execute("INSERT OR REPLACE INTO t VALUES (1, ?)", (a,))
    assert db.execute("SELECT * FROM entitydb_erasures").fetchall() == []
    db.execute("DELETE FROM t")
    erase(db, 1)
    number, moment = db.database.newest_commit(), db.last_commit[1]
    found = db.execute("SELECT * FROM entitydb_erasures").fetchall()
    assert [tuple(row) for row in found] == [("t", "0" * 64, None, 3, "asked for", "ann", number, moment, None)]
    db.database.prune(number)
    assert db.execute("SELECT versions FROM entitydb_erasures").fetchall() == [(3,)]
    assert db.database.check()[0] == []


def test_what_cannot_be_erased_is_refused(tmp_path: Path) -> None:
    db = connect(tmp_path / "a.edb")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, g TEXT AS (a || '!') STORED)")
    db.execute("CREATE TABLE u(id INTEGER PRIMARY KEY, a TEXT)")
    db.execute("INSERT INTO t(id, a) VALUES (1, 'x')")
    db.execute("INSERT INTO u(id, a) VALUES (1, 'x')")
    for table, row, columns, kind, message in (
        ("t", 1, None, driver.ProgrammingError, "lives: delete it"),
        ("t", 2, None, driver.OperationalError, "no version of such a row"),
        ("none", 1, None, driver.OperationalError, "none"),
        ("u", 1, "no", driver.OperationalError, "no column no"),
        ("u", 1, "id", driver.NotSupportedError, "the row's key"),
        ("t", 1, "a", driver.NotSupportedError, "generated columns"),
        ("u", 1, "", driver.ProgrammingError, "names none"),
        ("u", 1, "a", driver.Error, "set it to NULL"),
    ):
        with pytest.raises(kind, match=message):
            erase(db, row, columns=columns, table=table)
        db.execute("ROLLBACK") if db.in_transaction else None
    db.execute("BEGIN")
    db.execute("DELETE FROM u")
    with pytest.raises(driver.ProgrammingError, match="lives: delete it"):
        db.execute("INSERT INTO entitydb_erasures(subject_table, key_hash, row_id) VALUES ('u', '', 1)")
    db.execute("ROLLBACK")
    assert db.execute("SELECT a FROM u").fetchall() == [("x",)]
    assert db.execute("SELECT * FROM entitydb_erasures").fetchall() == []


def test_what_was_rolled_back_is_not_erased(tmp_path: Path) -> None:
    db = connect(tmp_path / "a.edb")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    moment = db.last_commit[1]
    db.execute("DELETE FROM t")
    insert = "INSERT INTO entitydb_erasures(subject_table, key_hash, row_id) VALUES ('t', '', ?)"
    db.execute("BEGIN")
    db.execute(insert, (1,))
    db.execute("ROLLBACK")
    db.execute("BEGIN")
    db.execute("SAVEPOINT s")
    db.execute(insert, (1,))
    db.execute("ROLLBACK TO s")
    db.execute(insert, (2,))
    db.execute("COMMIT")
    cursor = db.cursor()
    cursor.as_of = moment
    assert cursor.execute("SELECT * FROM t").fetchall() == [(1, "x")]
    assert db.database.check()[0] == []


def test_who_saw_the_row_before_cannot_write_it_again(tmp_path: Path) -> None:
    db, other = connect(tmp_path / "a.edb"), connect(tmp_path / "a.edb")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    other.execute("BEGIN")
    other.execute("UPDATE t SET a = a || '!'")
    db.execute("DELETE FROM t WHERE id = 1")
    erase(db, 1)
    with pytest.raises(driver.SerializationFailure):
        other.execute("COMMIT")
    assert db.execute("SELECT * FROM t").fetchall() == [(2, "y")]


def test_a_reader_of_an_older_moment_reads_on_without_the_row(tmp_path: Path) -> None:
    db, other = connect(tmp_path / "a.edb"), connect(tmp_path / "a.edb")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.execute("CREATE INDEX ta ON t(a)")
    db.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    db.execute("UPDATE t SET a = 'z' WHERE id = 1")
    other.execute("BEGIN")
    assert sorted(other.execute("SELECT id, a FROM t ORDER BY a").fetchall()) == [(1, "z"), (2, "y")]
    db.execute("UPDATE t SET a = NULL WHERE id = 1")
    erase(db, 1, columns="a")
    assert sorted(other.execute("SELECT id, a FROM t ORDER BY a").fetchall()) == [(1, None), (2, "y")]
    other.execute("COMMIT")


KILLED = """
import os, sys
from entitydb_dialect import driver
db = driver.connect(sys.argv[1], isolation_level=None)
db.execute("INSERT INTO entitydb_erasures(subject_table, key_hash, row_id) VALUES ('t', '', 7)")
db.database.compact()
"""


@pytest.mark.parametrize("point", ["erase:looked", "erase:rewritten", "txn:prepared", "zero:half"])
def test_killed_while_it_erases(tmp_path: Path, rng: random.Random, point: str) -> None:
    history = History(tmp_path / "a.edb", rng, 512)
    for _ in range(20):
        history.commit(10)
        history.db.execute("INSERT OR REPLACE INTO t VALUES (7, 'Marker-One', ?, 7)", (b"Marker_Three" * 100,))
        history.now[7] = (7, "Marker-One", b"Marker_Three" * 100, 7)
    history.db.execute("DELETE FROM t WHERE id = 7")
    history.now.pop(7)
    history.db.close()
    environment = {**os.environ, "ENTITYDB_FAILPOINT": point}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(history.path)], env=environment, check=False, cwd=history.path.parent
    )
    assert done.returncode == -signal.SIGKILL
    history.db = connect(history.path)
    receipts = history.db.execute("SELECT count(*) FROM entitydb_erasures").fetchone()
    assert receipts is not None
    erased = bool(receipts[0])
    assert erased == (point == "zero:half")
    if erased:
        for _, then in history.moments:
            then.pop(7, None)
    history.judge()
    if not erased:
        history.erase(7)
    assert history.db.database.compact().bytes_held == 0
    found = history.path.read_bytes()
    assert [mark for mark in MARKS if mark in found] == []
    history.judge()
