"""Columns whose values are tags, declared in CREATE TABLE or by ALTER TABLE, kept by whatever changes the row."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import _exceptions as ex
from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]


def tags(db: driver.Connection) -> list[Any]:
    return sorted(db.execute("SELECT entity, tag FROM entitydb_tags").fetchall())


@pytest.fixture
def db(connect: Connect) -> driver.Connection:
    db = connect(page_size=8192)
    db.execute("CREATE TABLE a(id INTEGER PRIMARY KEY, status VARCHAR(20) TAG 'status', n INTEGER tag 'num', tag TEXT)")
    db.execute("INSERT INTO a VALUES (1, 'live', 5, 'x'), (2, NULL, 7, 'y'), (3, 'draft', NULL, 'z')")
    db.commit()
    return db


EXPECTED = [(1, "num:5"), (1, "status:live"), (2, "num:7"), (3, "status:draft")]


def test_values_are_tags_and_null_is_none(db: driver.Connection) -> None:
    assert tags(db) == EXPECTED
    assert db.execute("SELECT entity FROM entitydb_tagged('a', 'status:live | num:7')").fetchall() == [(1,), (2,)]
    sql = db.execute("SELECT sql FROM sqlite_master").fetchall()[0][0]
    assert "tag TEXT" in sql
    assert "TAG" not in sql, "the text is one that SQLite reads"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("UPDATE a SET status = 'new' WHERE id = 1", [(1, "num:5"), (1, "status:new"), *EXPECTED[2:]]),
        ("UPDATE a SET status = NULL, n = 6", [(1, "num:6"), (2, "num:6"), (3, "num:6")]),
        ("UPDATE a SET tag = 'other'", EXPECTED),
        ("UPDATE a SET n = n, status = status", EXPECTED),
        ("DELETE FROM a WHERE id < 3", EXPECTED[3:]),
        ("REPLACE INTO a(id, n) VALUES (1, 9)", [(1, "num:9"), *EXPECTED[2:]]),
        ("INSERT INTO a(id, n) VALUES (1, 9) ON CONFLICT DO UPDATE SET n = excluded.n",
         [(1, "num:9"), *EXPECTED[1:]]),
        ("UPDATE a SET id = 10, status = 'moved' WHERE id = 3", [*EXPECTED[:3], (10, "status:moved")]),
        ("INSERT INTO a(id, status, n) SELECT id + 3, status, 1 FROM a WHERE id = 1",
         [*EXPECTED, (4, "num:1"), (4, "status:live")]),
        ("DROP TABLE a", []),
    ],
)  # fmt: skip
def test_tags_follow_the_column_whatever_changes_it(db: driver.Connection, change: str, expected: Any) -> None:
    before = db.last_commit[1]
    db.execute(change)
    assert tags(db) == expected
    db.rollback()
    assert tags(db) == EXPECTED
    db.execute(change)
    db.commit()
    assert tags(db) == expected
    cursor = db.cursor()
    cursor.as_of = before
    assert sorted(cursor.execute("SELECT entity, tag FROM entitydb_tags").fetchall()) == EXPECTED


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO entitydb_tags(type, entity, tag) VALUES ('a', 1, 'status:other')",
        "INSERT INTO entitydb_tags(type, entity, tag) VALUES ('a', 1, 'num:5')",
        "DELETE FROM entitydb_tags WHERE tag = 'status:live'",
        "DELETE FROM entitydb_tags",
    ],
)
def test_a_declared_namespace_is_not_written_by_hand(db: driver.Connection, change: str) -> None:
    with pytest.raises(ex.ProgrammingError, match=r"is a value of the column a\.(status|n)"):
        db.execute(change)
    assert tags(db) == EXPECTED


@pytest.mark.parametrize("value", [b"\x00", "x" * 1020, "a\nb"])
def test_a_value_that_is_no_tag_is_an_error_of_its_row(db: driver.Connection, value: Any) -> None:
    for sql in ("INSERT INTO a(status) VALUES (?)", "UPDATE a SET status = ? WHERE id = 1"):
        with pytest.raises(ex.DataError, match="status"):
            db.execute(sql, (value,))
    db.execute("INSERT INTO a(tag) VALUES (?)", (value,))
    assert tags(db) == EXPECTED


def test_other_tables_may_have_tags_of_the_namespace(db: driver.Connection) -> None:
    db.execute("CREATE TABLE b(id INTEGER PRIMARY KEY)")
    db.execute("INSERT INTO b VALUES (1)")
    db.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('b', 1, 'status:live')")
    assert len(tags(db)) == 5
    db.execute("DELETE FROM entitydb_tags WHERE type = 'b'")
    assert tags(db) == EXPECTED


def test_a_column_becomes_a_tag_column_and_stops_being_one(db: driver.Connection) -> None:
    moments = []
    for sql in ("ALTER TABLE a ALTER COLUMN tag SET TAG 't'", "ALTER TABLE a ALTER COLUMN tag DROP TAG"):
        db.commit()
        moments.append((db.last_commit[1], tags(db)))
        db.execute(sql)
    db.commit()
    moments.append((db.last_commit[1], tags(db)))
    declared = sorted([*EXPECTED, (1, "t:x"), (2, "t:y"), (3, "t:z")])
    assert [found for _, found in moments] == [EXPECTED, declared, EXPECTED]
    cursor = db.cursor()
    for moment, found in moments:
        cursor.as_of = moment
        assert sorted(cursor.execute("SELECT entity, tag FROM entitydb_tags").fetchall()) == found


@pytest.mark.parametrize(
    ("alter", "expected"),
    [
        ("ALTER TABLE a RENAME COLUMN status TO state", EXPECTED),
        ("ALTER TABLE a RENAME TO b", EXPECTED),
        ("ALTER TABLE a DROP COLUMN n", [e for e in EXPECTED if "num" not in e[1]]),
        ("ALTER TABLE a ALTER COLUMN n TYPE TEXT", EXPECTED),
        ("ALTER TABLE a ALTER COLUMN n TYPE REAL", [(1, "num:5.0"), (1, "status:live"), (2, "num:7.0"), EXPECTED[3]]),
        ("ALTER TABLE a ALTER COLUMN n SET NOT NULL", None),
        ("ALTER TABLE a ADD COLUMN c TEXT TAG 'c' DEFAULT 'd'",
         sorted([*EXPECTED, (1, "c:d"), (2, "c:d"), (3, "c:d")])),
        ("ALTER TABLE a ADD COLUMN c TEXT TAG 'c'", EXPECTED),
        ("CREATE OR REPLACE TABLE a(id INTEGER PRIMARY KEY, n INTEGER, status TEXT)"
         " AS SELECT id, n + 1 AS n, status FROM a",
         [(1, "num:6"), (1, "status:live"), (2, "num:8"), (3, "status:draft")]),
    ],
)  # fmt: skip
def test_ddl_keeps_tag_columns(db: driver.Connection, alter: str, expected: Any) -> None:
    if expected is None:
        with pytest.raises(ex.IntegrityError):
            db.execute(alter)
        expected = EXPECTED
    else:
        db.execute(alter)
    assert tags(db) == expected
    table = "b" if "TO b" in alter else "a"
    db.execute(f"INSERT INTO {table}(id) VALUES (77)")
    column = next(c for c in db.catalog()[table].columns if c.tag == "status")
    db.execute(f"UPDATE {table} SET {column.name} = 'after' WHERE id = 77")
    db.commit()
    assert (77, "status:after") in tags(db)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("CREATE TABLE b(x TAG '')", "no namespace"),
        ("CREATE TABLE b(x TEXT TAG 'a:b')", "no namespace"),
        ("CREATE TABLE b(x TEXT TAG 'a', y TEXT TAG 'a')", "has the namespace"),
        ("CREATE TABLE b(x TEXT, y AS (x) TAG 'a')", "VIRTUAL"),
        ("ALTER TABLE a ALTER COLUMN tag SET TAG 'status'", "has the namespace"),
        ("ALTER TABLE a ALTER COLUMN tag SET TAG status", "in quotes"),
        ("ALTER TABLE a ALTER COLUMN nothing SET TAG 'x'", "no such column"),
    ],
)
def test_what_cannot_be_declared_is_said(db: driver.Connection, sql: str, said: str) -> None:
    with pytest.raises(ex.OperationalError, match=said):
        db.execute(sql)
    assert tags(db) == EXPECTED


def test_tags_of_the_namespace_given_by_hand_are_in_the_way(db: driver.Connection) -> None:
    db.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('a', 1, 't:mine')")
    with pytest.raises(ex.ProgrammingError, match="take them away first"):
        db.execute("ALTER TABLE a ALTER COLUMN tag SET TAG 't'")
    db.execute("DELETE FROM entitydb_tags WHERE tag = 't:mine'")
    db.execute("ALTER TABLE a ALTER COLUMN tag SET TAG 't'")
    assert (1, "t:x") in tags(db)


def test_a_stored_generated_column_can_be_a_tag_column(db: driver.Connection) -> None:
    db.execute("CREATE TABLE g(id INTEGER PRIMARY KEY, x TEXT, y TEXT AS (upper(x)) STORED TAG 'up')")
    db.execute("INSERT INTO g(x) VALUES ('ab')")
    db.execute("UPDATE g SET x = 'cd'")
    assert db.execute("SELECT tag FROM entitydb_tags WHERE type = 'g'").fetchall() == [("up:CD",)]


def test_columns_named_tag_and_texts_in_defaults_are_no_clause(connect: Connect) -> None:
    db = connect()
    db.execute("CREATE TABLE t(tag TEXT DEFAULT 'tag', tag2 TEXT CHECK (tag2 <> 'tag'), \"TAG\"\"x\" TEXT)")
    db.execute("INSERT INTO t DEFAULT VALUES")
    assert tags(db) == []


def test_a_temporary_table_is_sqlites_own_and_has_no_tags(connect: Connect) -> None:
    """Nor does the clause become a part of the type: with 'point', which has INT in it, '07' would be 7."""
    db = connect()
    db.execute("CREATE TEMP TABLE u(x TEXT TAG 'point', y VARCHAR(20) TAG 'b' NOT NULL)")
    db.execute("INSERT INTO u VALUES ('07', 'b')")
    assert db.execute("SELECT x FROM u").fetchall() == [("07",)]
    assert [row[2] for row in db.execute("PRAGMA temp.table_info(u)").fetchall()] == ["TEXT", "VARCHAR(20)"]
    assert tags(db) == []


@pytest.mark.parametrize("long", ["", "x" * 3000])
@pytest.mark.parametrize("change", [
    "UPDATE OR REPLACE r SET s = 'c', u = 2 WHERE id = 1", "UPDATE OR REPLACE r SET s = 'c', id = 2 WHERE id = 1",
    "INSERT INTO r VALUES (9, 'x', 1, '') ON CONFLICT(u) DO UPDATE SET s = 'c', id = 1",
])  # fmt: skip
def test_the_old_value_is_that_of_the_row_and_not_of_one_that_is_replaced(
    connect: Connect, change: str, long: str
) -> None:
    """Both are loaded: from the transaction's own writes, or from chains."""
    db = connect()
    db.execute("CREATE TABLE r(id INTEGER PRIMARY KEY, s TEXT TAG 's', u UNIQUE, v)")
    db.execute("INSERT INTO r VALUES (1, 'a', 1, ?), (2, 'b', 2, ?)", (long, long * 3))
    for _ in range(2):
        db.execute("SAVEPOINT s")
        db.execute(change)
        rows = db.execute("SELECT id, 's:' || s FROM r").fetchall()
        assert "s:c" in {tag for _, tag in rows}
        assert tags(db) == rows
        db.execute("ROLLBACK TO s")
        db.commit()


def test_a_table_made_anew_says_its_tag_columns_with_any_type(db: driver.Connection) -> None:
    db.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('a', 1, 'by hand')")
    db.execute("UPDATE a SET tag = '07' WHERE id = 1")
    db.execute(
        "CREATE OR REPLACE TABLE a(id INTEGER PRIMARY KEY, status VARCHAR(20) TAG 'state', tag TEXT TAG 'point')"
        " AS SELECT id, status, tag FROM a"
    )
    expected = [(1, "by hand"), (1, "point:07"), (1, "state:live"), (2, "point:y"), (3, "point:z"), (3, "state:draft")]
    assert tags(db) == expected
    assert [c.type for c in db.catalog()["a"].columns] == ["INTEGER", "VARCHAR(20)", "TEXT"]


def test_random_changes_leave_the_tags_that_the_columns_say(connect: Connect, rng: random.Random) -> None:
    db = connect(spill_bytes=rng.choice([1 << 26, 4096]))
    db.execute("CREATE TABLE a(id INTEGER PRIMARY KEY, s TEXT TAG 's', n INTEGER TAG 'n', u UNIQUE)")
    db.commit()
    past = []
    for _ in range(60):
        for _ in range(rng.randrange(1, 6)):
            values = rng.choice([None, "a", "b", "ä:b"]), rng.choice([None, 1, 2]), rng.randrange(12)
            sql = rng.choice([
                "INSERT OR REPLACE INTO a(s, n, id) VALUES (?, ?, ?)", "UPDATE a SET s = ?, n = ? WHERE id >= ?",
                "UPDATE OR REPLACE a SET s = ?, n = ?, u = id % 3 WHERE id >= ?",
                "UPDATE OR REPLACE a SET s = ?, n = ?, id = id + 20 WHERE id = ?",
                "DELETE FROM a WHERE s = ? OR n = ? OR id = ?",
            ])  # fmt: skip
            db.execute(sql, values)
        (db.rollback if rng.random() < 0.2 else db.commit)()
        rows = db.execute("SELECT id, 's:' || s FROM a UNION ALL SELECT id, 'n:' || n FROM a").fetchall()
        past.append((db.last_commit[1], sorted(row for row in rows if row[1] is not None)))
        assert tags(db) == past[-1][1]
    db.rollback()
    cursor = db.cursor()
    for moment, expected in past:
        cursor.as_of = moment
        assert sorted(cursor.execute("SELECT entity, tag FROM entitydb_tags").fetchall()) == expected


@pytest.mark.parametrize(
    "sql", ["ALTER TABLE a ALTER COLUMN status SET TAG 'status'", "ALTER TABLE a ALTER tag DROP TAG"]
)
def test_declaring_what_is_declared_changes_nothing(db: driver.Connection, sql: str) -> None:
    before = db.last_commit, db.database.check()[1]["versions"]
    db.execute(sql)
    db.commit()
    assert (db.last_commit, db.database.check()[1]["versions"]) == before
