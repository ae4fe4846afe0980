"""Tags in attached files, in files that cannot be written, in memory, and at moments before the first tag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import _exceptions as ex
from entitydb_dialect import driver

from ..attached import refused

Connect = Callable[..., driver.Connection]
INSERT = "INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)"


def tags(db: driver.Connection) -> list[Any]:
    return sorted(db.execute("SELECT type, entity, tag FROM entitydb_tags").fetchall())


# ---- attached ------------------------------------------------------------------------------------------------------


@pytest.fixture
def db(two: driver.Connection, other: Path) -> driver.Connection:
    """main and x have a table t. In x rows 1 and 2 of t have tags, and those of u, which has a tag column."""
    with driver.connect(other) as beside:
        beside.execute("CREATE TABLE u(id INTEGER PRIMARY KEY, t REFERENCES t(id) ON DELETE CASCADE, s TEXT TAG 's')")
        beside.execute("INSERT INTO u VALUES (1, 1, 'live'), (2, 2, 'dead')")
        beside.executemany(INSERT, [("t", 1, "a"), ("t", 2, "a"), ("u", 1, "b"), ("u", 2, "b")])
    beside.close()
    two.execute(INSERT, ("t", 1, "main's"))
    two.commit()
    return two


def tags_in(path: Path) -> list[Any]:
    """As main of a connection of its own."""
    with driver.connect(path) as beside:
        found = tags(beside)
    beside.close()
    return found


@pytest.mark.parametrize(
    ("sql", "left"),
    [
        ("DELETE FROM x.t WHERE id = 1", [("t", 2, "a"), ("u", 2, "b"), ("u", 2, "s:dead")]),
        ("DELETE FROM x.u", [("t", 1, "a"), ("t", 2, "a")]),
        ("DROP TABLE x.u", [("t", 1, "a"), ("t", 2, "a")]),
        ("UPDATE x.u SET id = id + 10, s = 'new'", [
            ("t", 1, "a"), ("t", 2, "a"), ("u", 11, "b"), ("u", 11, "s:new"), ("u", 12, "b"), ("u", 12, "s:new"),
        ]),
        ("INSERT OR REPLACE INTO x.u VALUES (1, 1, NULL), (3, 1, 'third')", [
            ("t", 1, "a"), ("t", 2, "a"), ("u", 2, "b"), ("u", 2, "s:dead"), ("u", 3, "s:third"),
        ]),
        ("ALTER TABLE x.u ALTER COLUMN s DROP TAG", [("t", 1, "a"), ("t", 2, "a"), ("u", 1, "b"), ("u", 2, "b")]),
        ("ALTER TABLE x.t ALTER COLUMN a SET TAG 'is'", [
            ("t", 1, "a"), ("t", 1, "is:x"), ("t", 2, "a"), ("t", 2, "is:y"), ("u", 1, "b"), ("u", 1, "s:live"),
            ("u", 2, "b"), ("u", 2, "s:dead"),
        ]),
    ],
)  # fmt: skip
def test_rows_of_an_attached_file_take_their_tags_along(
    db: driver.Connection, other: Path, sql: str, left: list[Any]
) -> None:
    before = tags_in(other)
    db.execute(sql)
    db.rollback()
    assert tags_in(other) == before
    db.execute(sql)
    db.commit()
    assert tags_in(other) == left
    assert tags(db) == [("t", 1, "main's")], "main's have not changed"


def test_the_first_tags_of_a_file_can_be_those_of_a_column_of_an_attached_table(
    two: driver.Connection, other: Path
) -> None:
    two.execute("CREATE TABLE x.v(id INTEGER PRIMARY KEY, s TEXT TAG 's')")
    two.execute("INSERT INTO x.v VALUES (1, 'live')")
    two.commit()
    assert tags_in(other) == [("v", 1, "s:live")]
    assert tags(two) == []


def test_an_attached_file_deletes_and_its_main_tags_at_once(db: driver.Connection, other: Path) -> None:
    with driver.connect(other) as beside:
        db.execute("DELETE FROM x.t WHERE id = 1")
        beside.execute(INSERT, ("t", 1, "late"))
    with pytest.raises(ex.SerializationFailure, match="tagged row 1 of table t"):
        db.commit()
    db.rollback()
    beside.close()


def test_columns_that_are_called_like_the_tables_of_tags_are_columns(db: driver.Connection) -> None:
    db.execute("CREATE TABLE x.odd(id INTEGER PRIMARY KEY, entitydb_tags)")
    db.execute("INSERT INTO x.odd VALUES (1, 7)")
    for sql in (
        "SELECT x.entitydb_tags FROM x.odd x", "SELECT 1, x.entitydb_tags FROM x.odd x ORDER BY 1, x.entitydb_tags",
        "SELECT max(0, x.entitydb_tags) FROM x.odd x",
        "SELECT 1 FROM x.odd x WHERE x.entitydb_tags IN (6, x.entitydb_tags)",
        "SELECT (x.entitydb_tags) FROM x.odd x GROUP BY x.entitydb_tags, x.id", "UPDATE x.odd SET entitydb_tags = 7",
    ):  # fmt: skip
        db.execute(sql).fetchall()
    db.commit()
    for sql in ("SELECT main.entitydb_tags.tag FROM main.entitydb_tags", "SELECT tag FROM Main.entitydb_tags"):
        assert db.execute(sql).fetchall() == [("main's",)]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        (INSERT.replace("?, ?, ?", "'t', 1, 'b'") + " RETURNING tag", "RETURNING"),
        ("DELETE FROM entitydb_tags WHERE tag = 'main''s' RETURNING tag", "RETURNING"),
        (INSERT.replace("?, ?, ?", "'t', 1, 'b'") + " ON CONFLICT DO UPDATE SET tag = 'c'", "DO UPDATE"),
    ],
)  # fmt: skip
def test_clauses_that_the_table_of_tags_cannot_do_are_refused_by_name(
    db: driver.Connection, sql: str, said: str
) -> None:
    assert said in refused(db, sql, ex.NotSupportedError)
    assert tags(db) == [("t", 1, "main's")]


def test_a_tag_that_is_there_is_no_conflict(db: driver.Connection) -> None:
    for sql in ("INSERT OR IGNORE INTO", "INSERT OR REPLACE INTO", "INSERT INTO"):
        end = " ON CONFLICT DO NOTHING" if sql == "INSERT INTO" else ""
        db.execute(f"{sql} entitydb_tags(type, entity, tag) VALUES ('t', 1, 'main''s'){end}")
        assert tags(db) == [("t", 1, "main's")]


# ---- files that cannot be written, memory, the past ------------------------------------------------------------------


@pytest.mark.parametrize("has_tags", [False, True])
def test_a_file_opened_for_reading_shows_its_tags_and_takes_none(connect: Connect, has_tags: bool) -> None:
    db = connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.execute("INSERT INTO t VALUES (1), (2)")
    if has_tags:
        db.execute(INSERT, ("t", 1, "a"))
    db.commit()
    wanted = [("t", 1, "a")] if has_tags else []
    reader = connect(read_only=True)
    for _ in range(2):
        assert tags(reader) == wanted
        assert reader.execute("SELECT entity FROM entitydb_tagged('t', 'a')").fetchall() == [e[1:2] for e in wanted]
        for sql in (
            "INSERT INTO entitydb_tags(type, entity, tag) VALUES ('t', 2, 'b')", "DELETE FROM entitydb_tags",
            "DELETE FROM entitydb_tags WHERE 0",
            "INSERT INTO entitydb_tags(type, entity, tag) SELECT 't', 1, 'b' WHERE 0",
            "ALTER TABLE t ADD COLUMN s TEXT TAG 's'",
        ):  # fmt: skip
            assert "read" in refused(reader, sql)
        reader.rollback()


def test_before_the_first_tag_there_are_none(connect: Connect) -> None:
    """And no trees for them: those are made later."""
    db = connect()
    db.execute("CREATE TABLE before(id INTEGER PRIMARY KEY)")
    db.commit()
    moments = [db.last_commit[1]]
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    db.execute("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    db.commit()
    moments.append(db.last_commit[1])
    db.execute("ALTER TABLE t ALTER COLUMN v SET TAG 'v'")
    db.execute(INSERT, ("t", 1, "a"))
    cursor = db.cursor()

    def nothing() -> None:
        for moment in moments:
            cursor.as_of = moment
            assert cursor.execute("SELECT * FROM entitydb_tags").fetchall() == []
            assert cursor.execute("SELECT * FROM entitydb_tags WHERE tag = 'a'").fetchall() == []
            assert cursor.execute("SELECT * FROM entitydb_tags WHERE namespace = 'v'").fetchall() == []
        assert cursor.execute("SELECT entity FROM entitydb_tagged('t', 'a | v:*')").fetchall() == []
        assert cursor.execute("SELECT entity FROM entitydb_tagged('t', '!a')").fetchall() == [(1,), (2,)]

    nothing()                           # while the transaction that makes the trees is open
    assert len(tags(db)) == 3
    db.commit()
    nothing()
    assert len(tags(db)) == 3
    cursor.as_of = moments[0]
    with pytest.raises(ex.OperationalError, match="no table t"):
        cursor.execute("SELECT entity FROM entitydb_tagged('t', 'a')").fetchall()
    cursor.as_of = moments[1]
    with pytest.raises(ex.PastWriteError):
        cursor.execute(INSERT, ("t", 1, "b"))


def test_trees_that_were_rolled_back_are_made_again(connect: Connect) -> None:
    """What a connection knows of them ends with what made them."""
    db = connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.execute("INSERT INTO t VALUES (1)")
    db.commit()
    for undo in (("SAVEPOINT s", "ROLLBACK TO s"), ("SELECT 1", "ROLLBACK"), ("SAVEPOINT s", "ROLLBACK TO s")):
        db.execute(undo[0])
        db.execute(INSERT, ("t", 1, "a"))
        assert tags(db) == [("t", 1, "a")]
        db.execute(undo[1])
        assert tags(db) == []
        assert db.execute("SELECT entity FROM entitydb_tagged('t', 'a')").fetchall() == []
        db.execute("CREATE TABLE IF NOT EXISTS next_one(id INTEGER PRIMARY KEY)")   # takes a number that was theirs
    with pytest.raises(ex.DataError):
        db.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('t', 1, 'b'), ('t', 1, ':')")
    assert tags(db) == []
    db.execute(INSERT, ("t", 1, "c"))
    db.commit()
    assert tags(db) == [("t", 1, "c")]


def test_names_of_types_are_those_of_the_statements_catalog(connect: Connect) -> None:
    """The table that was asked for last is kept from one statement to the next; definitions come and go between."""
    db, second = connect(), connect()

    def made(name: str) -> None:
        db.execute(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY)")
        db.execute(f"INSERT INTO {name} VALUES (1)")
        db.execute(INSERT, (name, 1, name))
        assert tags(db) == [(name, 1, name)]

    made("one")
    db.rollback()
    made("two")
    db.execute("SAVEPOINT s")
    db.execute("ALTER TABLE two RENAME TO three")
    assert tags(db) == [("three", 1, "two")]
    db.execute("ROLLBACK TO s")
    assert tags(db) == [("two", 1, "two")]
    with pytest.raises(ex.OperationalError, match="no table three"):
        db.execute(INSERT, ("three", 1, "x"))
    db.commit()
    assert tags(second) == [("two", 1, "two")]
    second.rollback()
    db.execute("ALTER TABLE two RENAME TO four")
    assert tags(second) == [("two", 1, "two")]
    second.rollback()
    db.commit()
    assert tags(second) == [("four", 1, "two")]
    db.execute("DROP TABLE four")
    made("four")
    db.commit()


def test_databases_in_memory_have_tags(tmp_path: Path) -> None:
    db = driver.connect(":memory:")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT TAG 's')")
    db.execute("INSERT INTO t VALUES (1, 'live'), (2, NULL)")
    db.execute(INSERT, ("t", 2, "a"))
    db.commit()
    then = db.last_commit[1]
    assert tags(db) == [("t", 1, "s:live"), ("t", 2, "a")]
    db.execute("DELETE FROM t WHERE id = 1")
    db.commit()
    second = driver.connect(db.database)
    assert tags(second) == [("t", 2, "a")]
    cursor = second.cursor()
    cursor.as_of = then
    assert cursor.execute("SELECT entity FROM entitydb_tagged('t', 's:live|a')").fetchall() == [(1,), (2,)]
    assert db.database.check()[0] == []
    second.close()
    db.close()
