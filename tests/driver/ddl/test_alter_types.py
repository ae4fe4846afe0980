"""ALTER COLUMN TYPE to another affinity: no row is written, and rows of before are read as under the new type, now and
as of then, by index as by scan."""

from __future__ import annotations

import random
import sqlite3
from typing import Any

import pytest

from entitydb_dialect import driver

from ..asking import moment, rows

TYPES = ["INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB"]
VALUES: list[Any] = [None, 0, 1, -3, 2.5, 3.0, "x", "7", "2.50", "", "007", b"x", 2**40, "1e3"]


def under(value: Any, *types: str) -> tuple[Any, str]:
    """What a row has after its column had these types in turn, said by SQLite."""
    lite = sqlite3.connect(":memory:")
    try:
        for i, declared in enumerate(types):
            lite.execute(f"CREATE TABLE t{i} (c {declared})")
            lite.execute(f"INSERT INTO t{i} VALUES (?)", (value,))
            value, kind = lite.execute(f"SELECT c, typeof(c) FROM t{i}").fetchone()
        return value, kind
    finally:
        lite.close()


def test_no_row_is_written(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)")
    db.executemany("INSERT INTO t(a, b) VALUES (?, ?)", [(i, str(i)) for i in range(1000)])
    db.commit()
    before = db.database.stats()["pages_written"]
    db.execute("ALTER TABLE t ALTER COLUMN a TYPE TEXT, ALTER COLUMN b TYPE INTEGER")
    db.commit()
    assert db.database.stats()["pages_written"] - before < 20
    assert rows(db, "SELECT a, b FROM t WHERE id = 8") == [("7", 7)]
    assert rows(db, "SELECT count(*) FROM t WHERE typeof(a) = 'text' AND typeof(b) = 'integer'") == [(1000,)]


def test_an_index_finds_as_of_before_what_a_scan_finds(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.execute("CREATE INDEX t_a ON t(a)")
    db.execute("INSERT INTO t(a) VALUES ('1'), ('01'), ('x')")
    before = moment(db)
    db.execute("ALTER TABLE t ALTER COLUMN a TYPE INTEGER")
    db.execute("INSERT INTO t(a) VALUES (1)")
    db.commit()
    for as_of, ids in ((before, [(1,), (2,)]), (None, [(1,), (2,), (4,)])):
        for column in ("a", "+a"):
            assert rows(db, f"SELECT id FROM t WHERE {column} = 1 ORDER BY id", as_of=as_of) == ids
        assert rows(db, "SELECT a FROM t WHERE a > 0 AND a < 9", as_of=as_of) == [(1,)] * len(ids)


def test_rows_keep_their_value_when_another_column_changes(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER)")
    db.execute("INSERT INTO t VALUES (1, '1', 2), (2, 'x', 3)")
    before = moment(db)
    db.execute("ALTER TABLE t ALTER COLUMN a TYPE INTEGER")
    db.execute("CREATE INDEX t_a ON t(a)")
    assert rows(db, "UPDATE t SET b = b + 1 RETURNING a, typeof(a), b") == [(1, "integer", 3), ("x", "text", 4)]
    assert rows(db, "DELETE FROM t WHERE id = 2 RETURNING *") == [(2, "x", 4)]
    assert rows(db, "INSERT INTO t VALUES (1, 0, 0) ON CONFLICT DO UPDATE SET b = a + excluded.b RETURNING *") == [
        (1, 1, 1)
    ]
    db.commit()
    assert rows(db, "SELECT a, typeof(a), b FROM t", as_of=before) == [(1, "integer", 2), ("x", "text", 3)]


def test_a_unique_column_is_judged_under_the_new_type(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a BLOB UNIQUE)")
    db.execute("INSERT INTO t VALUES (1), ('1')")
    db.commit()
    with pytest.raises(driver.IntegrityError, match=r"UNIQUE constraint failed: t\.a"):
        db.execute("ALTER TABLE t ALTER COLUMN a TYPE INTEGER")
    db.rollback()
    db.execute("DELETE FROM t WHERE a = '1'")
    db.execute("ALTER TABLE t ALTER COLUMN a TYPE INTEGER")
    with pytest.raises(driver.IntegrityError, match=r"UNIQUE constraint failed: t\.a"):
        db.execute("INSERT INTO t VALUES ('1')")


def test_what_is_computed_over_it_follows(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a TEXT, v AS (typeof(a)), s AS (typeof(a)) STORED)")
    db.execute("CREATE INDEX t_v ON t(v)")
    db.execute("CREATE INDEX t_e ON t(a || '!')")
    db.execute("CREATE INDEX t_p ON t(a) WHERE typeof(a) = 'integer'")
    db.execute("INSERT INTO t(a) VALUES ('5')")
    before = moment(db)
    db.execute("ALTER TABLE t ALTER COLUMN a TYPE INTEGER")
    db.commit()
    assert rows(db, "SELECT a, v FROM t WHERE v = 'integer'") == [(5, "integer")]
    assert rows(db, "SELECT a FROM t WHERE a || '!' = '5!' AND typeof(a) = 'integer'") == [(5,)]
    assert rows(db, "SELECT a, v FROM t WHERE v = 'integer'", as_of=before) == [(5, "integer")]


def test_constraints_are_asked_about_the_new_values(db: driver.Connection) -> None:
    db.execute("CREATE TABLE p(a TEXT UNIQUE)")
    db.execute("CREATE TABLE t(a TEXT REFERENCES p(a), b TEXT CHECK (typeof(b) = 'text'))")
    db.execute("INSERT INTO p VALUES ('01')")
    db.execute("INSERT INTO t VALUES ('01', '2')")
    db.commit()
    with pytest.raises(driver.IntegrityError, match="CHECK constraint failed"):
        db.execute("ALTER TABLE t ALTER COLUMN b TYPE INTEGER")
    db.execute("ALTER TABLE t ALTER COLUMN a TYPE INTEGER")
    with pytest.raises(driver.IntegrityError, match="FOREIGN KEY constraint failed"):
        db.commit()
    db.rollback()
    assert rows(db, "SELECT * FROM t") == [("01", "2")]


def test_like_sqlite_through_chains_of_types(db: driver.Connection, rng: random.Random) -> None:
    for turn in range(40):
        types = [rng.choice(TYPES)]
        db.execute(f"CREATE TABLE t{turn}(id INTEGER PRIMARY KEY, a {types[0]}, b)")
        if rng.random() < 0.5:
            db.execute(f"CREATE INDEX i{turn} ON t{turn}(a)")
        model: dict[int, tuple[Any, int]] = {}
        moments: list[tuple[int, dict[int, tuple[Any, int]]]] = []
        for _ in range(rng.randrange(1, 4)):
            for _ in range(rng.randrange(1, 6)):
                value = rng.choice(VALUES)
                key = rows(db, f"INSERT INTO t{turn}(a) VALUES (?) RETURNING id", (value,))[0][0]
                model[key] = (value, len(types) - 1)
            if rng.random() < 0.5:
                db.execute(f"UPDATE t{turn} SET b = 1 WHERE id % 2")
            moments.append((moment(db), dict(model)))
            types.append(rng.choice(TYPES))
            db.execute(f"ALTER TABLE t{turn} ALTER COLUMN a TYPE {types[-1]}")
        db.commit()
        now = [under(value, *types[since:]) for value, since in model.values()]
        found = rows(db, f"SELECT a, typeof(a) FROM t{turn} ORDER BY id")
        assert found == now, (types, model)
        for value, _ in set(now):
            by_index = rows(db, f"SELECT id FROM t{turn} WHERE a IS ? ORDER BY id", (value,))
            assert by_index == rows(db, f"SELECT id FROM t{turn} NOT INDEXED WHERE a IS ? ORDER BY id", (value,))
        for then, held in moments:
            past = rows(db, f"SELECT id, a, typeof(a) FROM t{turn} ORDER BY id", as_of=then)
            assert [row[0] for row in past] == list(held)
            for key, value, _ in past:
                again = rows(db, f"SELECT id FROM t{turn} WHERE a IS ? AND id = ?", (value, key), as_of=then)
                assert again == [(key,)], (types, held, value)
                assert (key,) in rows(db, f"SELECT id FROM t{turn} WHERE a IS ?", (value,), as_of=then)
