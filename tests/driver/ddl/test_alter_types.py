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


@pytest.mark.slow
def test_like_sqlite_through_chains_of_types(db: driver.Connection, rng: random.Random) -> None:
    for turn in range(40):
        types = [rng.choice(TYPES)]
        db.execute(f"CREATE TABLE t{turn}(id INTEGER PRIMARY KEY, a {types[0]}, b)")
        if rng.random() < 0.5:
            db.execute(f"CREATE INDEX i{turn} ON t{turn}(a)")
        model: dict[int, tuple[Any, int]] = {}
        moments: list[tuple[int, dict[int, tuple[Any, int]], int]] = []
        name = "a"
        for _ in range(rng.randrange(1, 5)):
            for _ in range(rng.randrange(1, 6)):
                value = rng.choice(VALUES)
                key = rows(db, f"INSERT INTO t{turn}({name}) VALUES (?) RETURNING id", (value,))[0][0]
                model[key] = (value, len(types) - 1)
            if rng.random() < 0.5:
                db.execute(f"UPDATE t{turn} SET b = 1 WHERE id % 2")
            moments.append((moment(db), dict(model), len(types)))
            types.append(rng.choice(TYPES))
            db.execute(f"ALTER TABLE t{turn} ALTER COLUMN {name} TYPE {types[-1]}")
            moments.append((moment(db), dict(model), len(types)))
            if rng.random() < 0.3:
                before, name = name, rng.choice("axy")
                db.execute(f"ALTER TABLE t{turn} RENAME COLUMN {before} TO {name}") if name != before else None
        if name != "a":
            db.execute(f"ALTER TABLE t{turn} RENAME COLUMN {name} TO a")
        db.commit()
        now = [under(value, *types[since:]) for value, since in model.values()]
        found = rows(db, f"SELECT a, typeof(a) FROM t{turn} ORDER BY id")
        assert found == now, (types, model)
        for value, _ in set(now):
            by_index = rows(db, f"SELECT id FROM t{turn} WHERE a IS ? ORDER BY id", (value,))
            assert by_index == rows(db, f"SELECT id FROM t{turn} NOT INDEXED WHERE a IS ? ORDER BY id", (value,))
        for then, held, had in moments:
            past = rows(db, f"SELECT id, a, typeof(a) FROM t{turn} ORDER BY id", as_of=then)
            wanted = [(key, *under(value, *types[since:had], types[-1])) for key, (value, since) in held.items()]
            assert past == wanted, (types, had)
            for key, value, _ in past:
                again = rows(db, f"SELECT id FROM t{turn} WHERE a IS ? AND id = ?", (value, key), as_of=then)
                assert again == [(key,)], (types, held, value)
                assert (key,) in rows(db, f"SELECT id FROM t{turn} WHERE a IS ?", (value,), as_of=then)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("types", "value"),
    [
        (("TEXT", "INTEGER", "TEXT"), "007"),
        (("TEXT", "INTEGER", "BLOB"), "007"),
        (("REAL", "INTEGER", "TEXT"), 2.0),
        (("TEXT", "REAL", "TEXT"), "1e3"),
        (("TEXT", "NUMERIC", "TEXT"), " 12"),
        (("TEXT", "REAL", "INTEGER", "TEXT", "BLOB"), "1e3"),
        (("REAL", "TEXT", "REAL", "TEXT"), 0.125),
    ],
)
@pytest.mark.parametrize("added", [False, True])
def test_every_moment_between_changes_has_the_value_of_then(
    db: driver.Connection, types: tuple[str, ...], value: Any, added: bool
) -> None:
    """As a column of today's type has it; also where the value is one that was added to a row that was there."""
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, b)")
    db.execute("INSERT INTO t(id, b) VALUES (1, 2)")
    text = "NULL" if not added else repr(value)
    db.execute(f"ALTER TABLE t ADD COLUMN a {types[0]} DEFAULT {text}")
    if not added:
        db.execute("UPDATE t SET a = ?", (value,))
    db.execute("ALTER TABLE t ADD COLUMN g AS (typeof(a))")
    moments = [moment(db)]
    for declared in types[1:]:
        db.execute(f"ALTER TABLE t ALTER COLUMN a TYPE {declared}")
        moments.append(moment(db))
    db.execute("CREATE INDEX t_a ON t(a)")
    db.execute("CREATE INDEX t_g ON t(g) WHERE a IS NOT NULL")
    db.commit()
    for had, then in enumerate(moments, 1):
        wanted, kind = under(value, *types[:had], types[-1])
        assert rows(db, "SELECT a, typeof(a), g FROM t", as_of=then) == [(wanted, kind, kind)], (types, had)
        assert rows(db, "SELECT id FROM t WHERE a IS ?", (wanted,), as_of=then) == [(1,)]
        assert rows(db, "SELECT id FROM t WHERE g = ? AND a IS NOT NULL", (kind,), as_of=then) == [(1,)]


def test_a_column_that_was_dropped_and_added_again_is_another(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.execute("INSERT INTO t VALUES (1, '007')")
    moments = [moment(db)]
    for sql in (
        "ALTER TABLE t ALTER COLUMN a TYPE INTEGER", "ALTER TABLE t ADD COLUMN b DEFAULT 1",
        "ALTER TABLE t DROP COLUMN a", "ALTER TABLE t ADD COLUMN a INTEGER DEFAULT 5",
        "ALTER TABLE t ALTER COLUMN a TYPE TEXT", "ALTER TABLE t ALTER COLUMN a TYPE BLOB",
    ):
        db.execute(sql)
        moments.append(moment(db))
    found = [rows(db, "SELECT a FROM t", as_of=then) for then in moments]
    assert found == [[(None,)]] * 4 + [[(5,)], [("5",)], [("5",)]]
