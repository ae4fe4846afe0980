"""CREATE OR REPLACE TABLE: a table made anew that continues the old one's history."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import _exceptions as ex
from entitydb_dialect import driver

from ..asking import rows


def versions(db: driver.Connection) -> int:
    return db.database.check()[1]["versions"]


@pytest.fixture
def history(db: driver.Connection) -> list[int]:
    """t(id, a, b) with rows 1 to 3, then row 1 changed, then row 2 deleted: the moments."""
    moments = []
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER)")
    for sql in (
        "INSERT INTO t VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30)",
        "UPDATE t SET a = 'uno' WHERE id = 1",
        "DELETE FROM t WHERE id = 2",
    ):
        db.execute(sql)
        db.commit()
        moments.append(db.last_commit[1])
    return moments


BEFORE = [
    [(1, "one", 10), (2, "two", 20), (3, "three", 30)],
    [(1, "uno", 10), (2, "two", 20), (3, "three", 30)],
    [(1, "uno", 10), (3, "three", 30)],
]


@pytest.mark.parametrize(
    ("sql", "asks", "now"),
    [
        # As it is; renamed; in another order; under an alias.
        ("t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER) AS SELECT * FROM t", "id, a, b", BEFORE[2]),
        ("t(id INTEGER PRIMARY KEY, x TEXT, y INTEGER) AS SELECT t.id, t.a AS x, b AS y FROM t", "id, x, y", BEFORE[2]),
        ("main.t(b INTEGER, a TEXT, id INTEGER PRIMARY KEY) AS SELECT b, id, a FROM main.t", "id, a, b", BEFORE[2]),
        ('"t"(id INTEGER PRIMARY KEY, a TEXT, b INTEGER) AS SELECT o.id, o.b, o."a" FROM "t" o', "id, a, b", BEFORE[2]),
        # More constraints.
        ("t(id INTEGER PRIMARY KEY, a TEXT NOT NULL UNIQUE, b INTEGER CHECK (b > 5)) AS SELECT * FROM t ORDER BY 1",
         "id, a, b", BEFORE[2]),
    ],
)  # fmt: skip
def test_what_stays_the_same_keeps_its_versions(
    db: driver.Connection, history: list[int], sql: str, asks: str, now: list[Any]
) -> None:
    before = versions(db)
    db.execute(f"CREATE OR REPLACE TABLE {sql}")
    db.commit()
    changed = versions(db) - before
    assert db.execute(f"SELECT {asks} FROM t ORDER BY id").fetchall() == now
    for moment, then in zip(history, BEFORE, strict=True):
        assert rows(db, f"SELECT {asks} FROM t ORDER BY id", as_of=moment) == then
    entries = sum(len(table.indexes) * len(now) for table in db.catalog().values())
    assert changed <= 1 + entries, "the catalog's entry and new indexes, no row"


def test_a_column_is_dropped_and_another_of_its_name_is_new(db: driver.Connection, history: list[int]) -> None:
    columns = "id INTEGER PRIMARY KEY, a TEXT, b INTEGER DEFAULT 5"
    db.execute(f"CREATE OR REPLACE TABLE t({columns}) AS SELECT id, b AS a FROM t")
    db.commit()
    assert db.execute("SELECT * FROM t").fetchall() == [(1, "10", 5), (3, "30", 5)]
    assert rows(db, "SELECT * FROM t", as_of=history[0]) == [(1, "10", None), (2, "20", None), (3, "30", None)]


def test_rows_whose_values_change_get_versions_and_the_others_do_not(
    db: driver.Connection, history: list[int]
) -> None:
    before = versions(db)
    db.execute("CREATE OR REPLACE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER)"
               " AS SELECT id, a, CASE id WHEN 3 THEN 31 ELSE b END AS b FROM t")
    db.commit()
    assert db.execute("SELECT * FROM t").fetchall() == [(1, "uno", 10), (3, "three", 31)]
    assert versions(db) - before == 2, "the catalog's entry and row 3"
    assert rows(db, "SELECT * FROM t", as_of=history[2]) == BEFORE[2]


def test_a_type_of_another_affinity(db: driver.Connection, history: list[int]) -> None:
    db.execute("CREATE OR REPLACE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT UNIQUE)"
               " AS SELECT id, a, CAST(t.b AS TEXT) AS b FROM t")
    db.commit()
    assert db.execute("SELECT b, typeof(b) FROM t").fetchall() == [("10", "text"), ("30", "text")]
    assert rows(db, "SELECT b, typeof(b) FROM t", as_of=history[0]) == [("10", "text"), ("20", "text"), ("30", "text")]
    assert db.execute("SELECT id FROM t WHERE b = '30'").fetchall() == [(3,)]


def test_rows_may_come_and_go(db: driver.Connection, history: list[int]) -> None:
    db.execute("CREATE OR REPLACE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INTEGER) AS"
               " SELECT id, a, b FROM t WHERE id <> 1 UNION ALL SELECT 7, 'seven', 70")
    db.commit()
    assert db.execute("SELECT * FROM t").fetchall() == [(3, "three", 30), (7, "seven", 70)]
    assert rows(db, "SELECT * FROM t", as_of=history[2]) == BEFORE[2]
    db.execute("CREATE OR REPLACE TABLE t(id INTEGER PRIMARY KEY, c TEXT)")
    assert db.execute("SELECT * FROM t").fetchall() == []
    db.rollback()
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(2,)]


def test_tables_without_an_integer_key(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(a TEXT, b INTEGER)")
    db.execute("INSERT INTO t VALUES ('x', 1), ('x', 1), (NULL, NULL)")
    db.execute("CREATE TABLE k(a TEXT, b INTEGER, c, PRIMARY KEY (a, b)) WITHOUT ROWID")
    db.execute("INSERT INTO k VALUES ('x', 1, 'one'), ('x', 2, 'two')")
    db.commit()
    moment, before = db.last_commit[1], versions(db)
    db.execute("CREATE OR REPLACE TABLE t(b INTEGER, a TEXT, rowid TEXT) AS SELECT t.a, t.b FROM t")
    db.execute("CREATE OR REPLACE TABLE k(b INTEGER, a TEXT, c, PRIMARY KEY (b, a)) WITHOUT ROWID AS SELECT * FROM k")
    db.commit()
    assert db.execute("SELECT a, b FROM t").fetchall() == [("x", 1), ("x", 1), (None, None)]
    assert db.execute("SELECT a, b, c FROM k ORDER BY b").fetchall() == [("x", 1, "one"), ("x", 2, "two")]
    assert rows(db, "SELECT a, b FROM t", as_of=moment) == [("x", 1), ("x", 1), (None, None)]
    assert rows(db, "SELECT a, b, c FROM k ORDER BY b", as_of=moment) == [("x", 1, "one"), ("x", 2, "two")]
    assert versions(db) - before == 2 + 2, "two catalog entries, two entries of the new key"
    with pytest.raises(ex.IntegrityError):
        db.execute("INSERT INTO k VALUES (1, 'x', 'again')")


def test_generated_columns_are_computed_anew(db: driver.Connection) -> None:
    text = "id INTEGER PRIMARY KEY, a INTEGER, v AS (a * 2), s AS ({}) STORED"
    db.execute(f"CREATE TABLE t({text.format('a + 1')})")
    db.execute("INSERT INTO t(id, a) VALUES (1, 10), (2, 20)")
    db.execute("CREATE INDEX t_v ON t(v)")
    db.commit()
    moment, before = db.last_commit[1], versions(db)
    db.execute(f"CREATE OR REPLACE TABLE t({text.format('a + 1')}, UNIQUE (v, s)) AS SELECT id, a FROM t")
    db.commit()
    assert db.execute("SELECT * FROM t").fetchall() == [(1, 10, 20, 11), (2, 20, 40, 21)]
    assert versions(db) - before == 1 + 2, "the catalog's entry, the new constraint's"
    db.execute(f"CREATE OR REPLACE TABLE t({text.format('a + 5')}, w TEXT AS (a || '!')) AS SELECT id, a FROM t")
    db.commit()
    assert db.execute("SELECT * FROM t").fetchall() == [(1, 10, 20, 15, "10!"), (2, 20, 40, 25, "20!")]
    assert rows(db, "SELECT id, a, s FROM t", as_of=moment) == [(1, 10, 11), (2, 20, 21)]
    # A computed column becomes one that is written, and the other way round.
    db.execute("CREATE OR REPLACE TABLE t(id INTEGER PRIMARY KEY, a, v INTEGER UNIQUE, s, w) AS SELECT * FROM t")
    db.execute("UPDATE t SET v = v + 1")
    assert db.execute("SELECT * FROM t").fetchall() == [(1, 10, 21, 15, "10!"), (2, 20, 41, 25, "20!")]
    text = "id INTEGER PRIMARY KEY, a, v, s AS (a || v) STORED, w"
    db.execute(f"CREATE OR REPLACE TABLE t({text}) AS SELECT id, a, v FROM t")
    db.commit()
    assert db.execute("SELECT * FROM t").fetchall() == [(1, 10, 21, "1021", None), (2, 20, 41, "2041", None)]
    with pytest.raises(ex.OperationalError, match="generated column"):
        db.execute("CREATE OR REPLACE TABLE t(id INTEGER PRIMARY KEY, a, v AS (a)) AS SELECT id, a, v FROM t")
    assert rows(db, "SELECT id, a FROM t", as_of=moment) == [(1, 10), (2, 20)]


def test_values_may_change_places_under_a_unique_constraint(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, u INTEGER UNIQUE)")
    db.execute("INSERT INTO t VALUES (1, 1), (2, 2)")
    db.execute("CREATE OR REPLACE TABLE t(id INTEGER PRIMARY KEY, u INTEGER UNIQUE) AS SELECT id, 3 - u AS u FROM t")
    db.commit()
    assert db.execute("SELECT id, u FROM t ORDER BY u").fetchall() == [(2, 1), (1, 2)]


def test_another_integer_key_makes_another_table(db: driver.Connection, history: list[int]) -> None:
    db.execute("CREATE OR REPLACE TABLE t(id INTEGER, a TEXT, b INTEGER PRIMARY KEY) AS SELECT * FROM t")
    db.commit()
    assert db.execute("SELECT id, a, b FROM t WHERE b = 30").fetchall() == [(3, "three", 30)]
    assert rows(db, "SELECT * FROM t", as_of=history[0]) == list(BEFORE[0])


def test_the_integer_key_may_be_dropped_and_made_anew(db: driver.Connection, history: list[int]) -> None:
    before = versions(db)
    db.execute("CREATE OR REPLACE TABLE t(a TEXT, b INTEGER) AS SELECT a, b FROM t")
    db.commit()
    assert db.execute("SELECT * FROM t").fetchall() == [("uno", 10), ("three", 30)]
    for moment, then in zip(history, BEFORE, strict=True):
        assert rows(db, "SELECT a, b FROM t", as_of=moment) == [row[1:] for row in then]
    db.execute("CREATE OR REPLACE TABLE t(nr BIGINT PRIMARY KEY, a TEXT, b INTEGER) AS SELECT a, b FROM t")
    db.commit()
    assert db.execute("SELECT * FROM t").fetchall() == [(1, "uno", 10), (3, "three", 30)]
    assert db.execute("SELECT a FROM t WHERE nr = 3").fetchall() == [("three",)]
    assert versions(db) - before == 2, "entries of the catalog"
    for moment, then in zip(history, BEFORE, strict=True):
        assert rows(db, "SELECT a, b FROM t", as_of=moment) == [row[1:] for row in then]
    db.execute("INSERT INTO t(a) VALUES ('new')")
    assert db.execute("SELECT nr FROM t WHERE a = 'new'").fetchall() == [(4,)]
    db.commit()


def test_it_creates_a_table_that_is_not_there(db: driver.Connection) -> None:
    db.execute("CREATE OR REPLACE TABLE t(a INTEGER DEFAULT 4, b TEXT) AS SELECT 1 AS b UNION SELECT 2")
    db.execute("CREATE OR REPLACE TABLE u(a)")
    db.commit()
    assert db.execute("SELECT * FROM t").fetchall() == [(4, "1"), (4, "2")]
    assert db.execute("SELECT * FROM u").fetchall() == []


@pytest.mark.parametrize(
    ("sql", "error", "says"),
    [
        ("t(id INTEGER PRIMARY KEY, a TEXT UNIQUE) AS SELECT id, 'same' AS a FROM t", ex.IntegrityError,
         r"UNIQUE constraint failed: t\.a"),
        ("t(id INTEGER PRIMARY KEY, a TEXT NOT NULL) AS SELECT id FROM t", ex.IntegrityError, r"t\.a"),
        ("t(id INTEGER PRIMARY KEY, b, CONSTRAINT small CHECK (b < 15)) AS SELECT id, b FROM t", ex.IntegrityError,
         "small"),
        ("t(id INTEGER PRIMARY KEY) STRICT AS SELECT id, 1 AS c FROM t", ex.OperationalError, "no column named c"),
        ("t(id INTEGER PRIMARY KEY, a INTEGER) STRICT AS SELECT id, a FROM t", ex.IntegrityError, "cannot store TEXT"),
        ("t(id INTEGER PRIMARY KEY, b REFERENCES p(id)) AS SELECT id, b FROM t", ex.IntegrityError, "FOREIGN KEY"),
        ("t(id INTEGER PRIMARY KEY) AS SELECT missing FROM t", ex.OperationalError, "no such column"),
        ("t(id INTEGER PRIMARY KEY) AS", ex.OperationalError, "incomplete"),
        ("t(id INTEGER PRIMARY KEY, ) AS SELECT 1", ex.OperationalError, "syntax"),
        ("t AS SELECT * FROM t", ex.NotSupportedError, "list of columns"),
        ("v(a)", ex.OperationalError, "already exists"),
        ("t_b(a)", ex.OperationalError, "already"),
        ("entitydb_t(a)", ex.OperationalError, "reserved"),
    ],
)  # fmt: skip
def test_what_fails_leaves_everything(
    db: driver.Connection, history: list[int], sql: str, error: type[Exception], says: str
) -> None:
    db.execute("CREATE TABLE p(id INTEGER PRIMARY KEY)")
    db.execute("CREATE VIEW v AS SELECT 1 AS one")
    db.execute("CREATE INDEX t_b ON t(b)")
    db.commit()
    schema = db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 2").fetchall()
    db.execute("INSERT INTO t VALUES (8, 'eight', 80)")
    with pytest.raises(error, match=says):
        db.execute(f"CREATE OR REPLACE TABLE {sql}")
    assert db.execute("SELECT * FROM t").fetchall() == [*BEFORE[2], (8, "eight", 80)]
    assert db.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 2").fetchall() == schema
    assert db.execute("SELECT name FROM temp.sqlite_master").fetchall() == []
    with pytest.raises(ex.IntegrityError):
        db.execute("INSERT INTO t VALUES (8, 'again', 80)")
    assert db.execute("PRAGMA foreign_keys").fetchall() == [(1,)]
    db.commit()


def test_foreign_keys_stand_and_do_not_act(db: driver.Connection) -> None:
    db.execute("CREATE TABLE p(id INTEGER PRIMARY KEY, code TEXT UNIQUE, up REFERENCES p(id))")
    db.execute("CREATE TABLE c(id INTEGER PRIMARY KEY, code REFERENCES p(code) ON DELETE CASCADE ON UPDATE CASCADE)")
    db.execute("INSERT INTO p VALUES (1, 'a', NULL), (2, 'b', 1)")
    db.execute("INSERT INTO c VALUES (1, 'a'), (2, 'b')")
    db.commit()
    same = "p(id INTEGER PRIMARY KEY, code VARCHAR(9) UNIQUE, up INTEGER REFERENCES p(id))"
    db.execute(f"CREATE OR REPLACE TABLE {same} AS SELECT * FROM p")
    assert db.execute("SELECT * FROM c").fetchall() == [(1, "a"), (2, "b")]
    with pytest.raises(ex.IntegrityError, match="FOREIGN KEY"):
        db.execute(f"CREATE OR REPLACE TABLE {same} AS SELECT id, upper(code) AS code, up FROM p")
    with pytest.raises(ex.IntegrityError, match="FOREIGN KEY"):
        db.execute(f"CREATE OR REPLACE TABLE {same} AS SELECT * FROM p WHERE id <> 2")
    assert db.execute("SELECT * FROM c").fetchall() == [(1, "a"), (2, "b")]
    db.execute("DELETE FROM p WHERE id = 2")
    assert db.execute("SELECT * FROM c").fetchall() == [(1, "a")], "they act again"
    db.commit()


def test_two_of_them_conflict_with_writers(connect: Callable[..., driver.Connection], history: list[int]) -> None:
    one, two = connect(), connect()
    two.execute("INSERT INTO t VALUES (9, 'nine', 90)")
    one.execute("CREATE OR REPLACE TABLE t(id INTEGER PRIMARY KEY, a TEXT NOT NULL) AS SELECT id, a FROM t")
    two.commit()
    with pytest.raises(ex.SerializationFailure):
        one.commit()
    one.isolation_level = None
    one.execute("CREATE OR REPLACE TABLE t(id INTEGER PRIMARY KEY, a TEXT NOT NULL) AS SELECT id, a FROM t")
    assert one.execute("SELECT count(*) FROM t").fetchall() == [(3,)]


@pytest.mark.parametrize("killed", [False, True])
def test_killed_or_not_it_is_all_or_nothing(
    path: Path, connect: Callable[..., driver.Connection], history: list[int], killed: bool
) -> None:
    connect().close()
    pid = os.fork()
    if not pid:
        db = driver.connect(path)
        db.execute("CREATE OR REPLACE TABLE t(id INTEGER PRIMARY KEY, a TEXT) AS SELECT id, a || '!' AS a FROM t")
        if not killed:
            db.commit()
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)
    db = connect()
    now = BEFORE[2] if killed else [(1, "uno!"), (3, "three!")]
    assert db.execute("SELECT * FROM t").fetchall() == now


def test_like_the_four_statements_in_sqlite(connect: Callable[..., driver.Connection], rng: random.Random) -> None:
    """Random tables are made anew in SQLite by four statements and here by one; what they hold is the same."""
    types = ["INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", ""]
    values: list[Any] = [None, 0, 1, -3, 2.5, 3.0, "x", "7", "2.50", "", b"x", 2**40]
    defaults = ["1", "'5'", "NULL", "(1 + 2)"]
    db, lite = connect(), sqlite3.connect(":memory:")
    for turn in range(12):
        key = rng.choice(["id INTEGER PRIMARY KEY", "id INTEGER", "id TEXT PRIMARY KEY"])
        old = [("id", key), *((f"c{i}", f"c{i} {rng.choice(types)}") for i in range(rng.randrange(1, 5)))]
        create = f"t{turn}({', '.join(text for _, text in old)})"
        made_rows = [[i, *(rng.choice(values) for _ in old[1:])] for i in range(1, 9)]
        for one in (db, lite):
            one.execute(f"CREATE TABLE {create}")
            one.executemany(f"INSERT INTO t{turn} VALUES ({', '.join('?' * len(old))})", made_rows)
        db.commit()
        moment = db.last_commit[1]
        before = db.execute(f"SELECT * FROM t{turn} ORDER BY id").fetchall()
        kept = [name for name, _ in old[1:] if rng.random() < 0.8]
        rng.shuffle(kept)
        new, items = [key], [f"t{turn}.id"]
        for name in kept:
            declared, called = rng.choice(types), rng.choice([name, f"{name}_new"])
            new.insert(rng.randrange(len(new) + 1), f"{called} {declared}")
            cast = f"CAST(t{turn}.{name} AS {declared or 'BLOB'})" if rng.random() < 0.3 else f"t{turn}.{name}"
            items.append(f"{cast} AS {called}")
        if rng.random() < 0.5:
            new.append(f"fresh {rng.choice(types)} DEFAULT {rng.choice(defaults)}")
        body, query = f"({', '.join(new)})", f"SELECT {', '.join(items)} FROM t{turn}"
        names = ", ".join(item.split(" AS ")[-1].split(".")[-1] for item in items)
        lite.execute(f"CREATE TABLE made{body}")
        lite.execute(f"INSERT INTO made({names}) {query}")
        lite.execute(f"DROP TABLE t{turn}")
        lite.execute(f"ALTER TABLE made RENAME TO t{turn}")
        db.execute(f"CREATE OR REPLACE TABLE t{turn}{body} AS {query}")
        db.commit()
        asked = f"SELECT *, {', '.join(f'typeof({n})' for n in names.split(', '))} FROM t{turn} ORDER BY id"
        assert db.execute(asked).fetchall() == lite.execute(asked).fetchall(), (create, body, query)
        # Before: the columns that were taken over, under their names and types of today.
        then = rows(db, f"SELECT {names} FROM t{turn} ORDER BY id", as_of=moment)
        places = [0, *(1 + [n for n, _ in old[1:]].index(name) for name in kept)]
        lite.execute(f"CREATE TABLE past{body}")
        lite.executemany(
            f"INSERT INTO past({names}) VALUES ({', '.join('?' * len(places))})",
            [tuple(row[place] for place in places) for row in before],
        )
        assert then == lite.execute(f"SELECT {names} FROM past ORDER BY id").fetchall(), (create, body, query)
        lite.execute("DROP TABLE past")
    lite.close()


KEYS = [
    "id INTEGER PRIMARY KEY, a TEXT, b TEXT", "id TEXT PRIMARY KEY, a TEXT, b TEXT", "id, a TEXT, b TEXT",
    "id INTEGER, a TEXT, b TEXT, PRIMARY KEY (a, id)", "id TEXT, a TEXT, b TEXT, PRIMARY KEY (id)) WITHOUT ROWID",
]  # fmt: skip
QUERIES = [
    "SELECT id, a, b FROM o", "SELECT * FROM o", "SELECT o.id, o.a, o.b FROM t JOIN o ON t.id = o.id",
    "SELECT t.id, o.a, t.b FROM t JOIN o ON t.id = o.id", "SELECT id, a, b FROM (SELECT id, b AS a, a AS b FROM t)",
    "SELECT id, a, b FROM t UNION SELECT id + 10, a, b FROM o", "SELECT id + 1 AS id, a, b FROM t",
    "SELECT id + 1 AS id, a, b FROM t WHERE id < 3", "SELECT max(id) AS id, a, min(b) AS b FROM t GROUP BY a",
    "SELECT id, b AS a, a AS b FROM t", "SELECT id, b AS a, b FROM t", "SELECT id, NULL AS a, b FROM t WHERE id = 1",
    "SELECT id, 'a' || id AS a, 'b' AS b FROM t", "SELECT id, CURRENT_DATE AS b, a FROM t",
    "SELECT id, t.'b' AS a, b FROM t", "SELECT id, a, b FROM x.t", "SELECT id, a, b FROM main.t",
    "SELECT id, a, b FROM t AS o ORDER BY b DESC", "SELECT id, a, b FROM o LIMIT 2", "SELECT DISTINCT id, a, b FROM t",
    "WITH t AS (SELECT * FROM o) SELECT * FROM t",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("definition", KEYS)
@pytest.mark.parametrize("temporary", [False, True])
def test_the_rows_are_those_of_the_query_whatever_it_reads(
    db: driver.Connection, definition: str, temporary: bool
) -> None:
    """Where the query reads t row by row, columns that it takes as they are need not be compared: nowhere else, and
    not where another table has the name."""
    db.execute("ATTACH ':memory:' AS x")
    end = "" if "WITHOUT" in definition else ")"
    filled = {"main.t": ("m", "n"), "main.o": ("o", "p"), "x.t": ("x", "y")}
    if temporary:
        filled["temp.t"] = ("u", "v")
    for table, (a, b) in filled.items():
        db.execute(f"CREATE TABLE {table}({definition}{end}")
        db.execute(f"INSERT INTO {table}(id, a, b) VALUES (1, '{a}1', '{b}1'), (2, '{a}2', '{b}2'), (3, '{a}3', NULL)")
    db.execute("INSERT INTO o(id, a, b) VALUES (5, 'o5', 'p5')")
    db.commit()
    for target in ("main.t", "x.t"):
        for query in QUERIES:
            db.execute(f"CREATE TEMP TABLE expected({definition}{end}")
            db.execute(f"INSERT INTO temp.expected({', '.join(_columns(db, query))}) {query}")
            expected = sorted(db.execute("SELECT id, a, b FROM temp.expected").fetchall(), key=repr)
            db.execute(f"CREATE OR REPLACE TABLE {target}({definition}{end} AS {query}")
            found = sorted(db.execute(f"SELECT id, a, b FROM {target}").fetchall(), key=repr)
            assert found == expected, (target, query)
            db.rollback()


def _columns(db: driver.Connection, query: str) -> list[str]:
    return [str(column[0]) for column in db.execute(query).description]


def test_one_column_may_become_two(db: driver.Connection, history: list[int]) -> None:
    db.execute("CREATE OR REPLACE TABLE t(id INTEGER PRIMARY KEY, c TEXT, b TEXT) AS SELECT id, a AS c, a AS b FROM t")
    assert db.execute("SELECT * FROM t").fetchall() == [(1, "uno", "uno"), (3, "three", "three")]


@pytest.mark.parametrize(
    ("before", "after", "query"),
    [
        ("k TEXT, v INT", "k TEXT PRIMARY KEY, v INT) WITHOUT ROWID", "SELECT k, v FROM d WHERE v IN (7, 10)"),
        ("k TEXT, v INT", "k TEXT PRIMARY KEY, v INT)", "SELECT k, max(v) AS v FROM d GROUP BY k"),
        ("k TEXT, v INT, PRIMARY KEY (k, v)", "k TEXT PRIMARY KEY, v INT)", "SELECT k, max(v) AS v FROM d GROUP BY k"),
        ("k TEXT, v INT UNIQUE, PRIMARY KEY (v)", "k TEXT PRIMARY KEY, v INT)", "SELECT k, v FROM d WHERE v > 1"),
    ],
)
def test_several_rows_may_have_had_what_becomes_the_key(
    db: driver.Connection, before: str, after: str, query: str
) -> None:
    db.execute(f"CREATE TABLE d({before})")
    db.execute("INSERT INTO d VALUES ('x', 1), ('x', 10), ('y', 7)")
    expected = sorted(db.execute(query).fetchall())
    db.execute(f"CREATE OR REPLACE TABLE d({after} AS {query}")
    assert sorted(db.execute("SELECT * FROM d").fetchall()) == expected


def test_rows_without_a_key_are_not_taken_for_each_other(db: driver.Connection) -> None:
    db.execute("CREATE TABLE d(k TEXT PRIMARY KEY, v INT)")
    db.execute("INSERT INTO d VALUES ('x', 1), (NULL, 2), (NULL, 3)")
    db.execute("CREATE OR REPLACE TABLE d(k TEXT PRIMARY KEY, v INT) AS SELECT k, v FROM d UNION SELECT NULL, 4")
    assert sorted(db.execute("SELECT * FROM d").fetchall(), key=repr) == [("x", 1), (None, 2), (None, 3), (None, 4)]
