"""Transactions side by side that give and take tags, and change the rows they are on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import _exceptions as ex
from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]
INSERT = "INSERT INTO entitydb_tags(type, entity, tag) VALUES ('t', ?, ?)"
DELETE = "DELETE FROM entitydb_tags WHERE type = 't' AND entity = ? AND tag = ?"
LEVELS = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"]


@pytest.fixture(params=LEVELS)
def pair(connect: Connect, request: pytest.FixtureRequest) -> tuple[driver.Connection, driver.Connection]:
    """Two connections of one level; rows 1 to 4, of which 1 has the tag old."""
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    one.execute("INSERT INTO t VALUES (1, 0), (2, 0), (3, 0), (4, 0)")
    one.execute(INSERT, (1, "old"))
    one.commit()
    for connection in (one, two):
        connection.isolation_level = request.param
    return one, two


def tags(db: driver.Connection) -> list[Any]:
    found = sorted(db.execute("SELECT entity, tag FROM entitydb_tags").fetchall())
    db.rollback()
    return found


def both(pair: tuple[driver.Connection, driver.Connection], first: Any, second: Any) -> None:
    """Both begin with a look at rows of their own, one writes and then the other, and they commit in this order."""
    one, two = pair
    one.execute("SELECT v FROM t WHERE id = 3").fetchall()
    two.execute("SELECT v FROM t WHERE id = 4").fetchall()
    for connection, (sql, parameters) in ((one, first), (two, second)):
        connection.execute(sql, parameters)
    one.commit()
    two.commit()


APART = [  # neither sees what the other does
    ((INSERT, (2, "new")), (INSERT, (2, "other"))),
    ((INSERT, (1, "new")), (DELETE, (1, "old"))),
    ((INSERT, (1, "new")), (INSERT, (2, "new"))),
    ((INSERT, (1, "new")), ("UPDATE t SET v = 9 WHERE id = 1", ())),
    ((INSERT, (1, "old")), (DELETE, (1, "old"))),  # the first has changed nothing
    ((INSERT, (1, "new")), ("DELETE FROM t WHERE id = 2", ())),
    ((INSERT, (1, "new")), ("INSERT OR REPLACE INTO t VALUES (2, 9), (5, 9)", ())),
    ((DELETE, (1, "old")), ("INSERT OR REPLACE INTO t VALUES (2, 9)", ())),
    ((INSERT, (1, "old")), ("INSERT OR REPLACE INTO t VALUES (1, 9)", ())),  # the first has changed nothing
    (("INSERT OR REPLACE INTO t VALUES (2, 9)", ()), (INSERT, (2, "new"))),  # the new row has it
]
ALIKE = [  # both do the same
    ((INSERT, (2, "new")), (INSERT, (2, "new"))),
    ((INSERT, (1, "old")), (INSERT, (1, "old"))),
    ((DELETE, (1, "old")), (DELETE, (1, "old"))),
    (("DELETE FROM t WHERE id = 1", ()), (DELETE, (1, "old"))),
]
AGAINST = [
    ((DELETE, (1, "old")), (INSERT, (1, "old")), "the tag \"old\" of row 1 of table t"),
    (("DELETE FROM t WHERE id = 2", ()), (INSERT, (2, "new")), "row 2 of table t"),
    ((INSERT, (2, "new")), ("DELETE FROM t WHERE id = 2", ()), "row 2 of table t"),
    (("UPDATE t SET id = 20 WHERE id = 1", ()), (INSERT, (1, "new")), "row 1 of table t"),
    ((INSERT, (1, "new")), ("UPDATE t SET id = 20 WHERE id = 1", ()), "row 1 of table t"),
    ((INSERT, (2, "new")), ("INSERT OR REPLACE INTO t VALUES (2, 9)", ()), "row 2 of table t"),
    ((INSERT, (1, "new")), ("INSERT OR REPLACE INTO t VALUES (1, 9)", ()), "row 1 of table t"),
    ((INSERT, (2, "new")), ("UPDATE OR REPLACE t SET id = 2 WHERE id = 1", ()), "row 2 of table t"),
]


@pytest.mark.parametrize(("first", "second"), APART)
def test_transactions_that_do_not_meet_both_commit(
    pair: tuple[driver.Connection, driver.Connection], first: Any, second: Any
) -> None:
    both(pair, first, second)
    assert tags(pair[0]) == tags(pair[1])


@pytest.mark.parametrize(("first", "second"), ALIKE)
def test_transactions_that_do_the_same_both_commit_unless_they_are_serializable(
    pair: tuple[driver.Connection, driver.Connection], first: Any, second: Any
) -> None:
    """What the second was told, that it has changed something, would not be so one behind the other."""
    if pair[0].isolation_level == "SERIALIZABLE" and first != (INSERT, (1, "old")):
        with pytest.raises(ex.SerializationFailure, match="read"):
            both(pair, first, second)
        return
    both(pair, first, second)
    assert tags(pair[0]) == tags(pair[1])


@pytest.mark.parametrize(("first", "second", "said"), AGAINST)
def test_of_two_that_contradict_each_other_the_later_fails(
    pair: tuple[driver.Connection, driver.Connection], first: Any, second: Any, said: str
) -> None:
    with pytest.raises(ex.SerializationFailure) as caught:
        both(pair, first, second)
    assert said in str(caught.value) or pair[0].isolation_level == "SERIALIZABLE"
    pair[1].rollback()
    assert tags(pair[0]) == tags(pair[1])


DECLARED = "CREATE TABLE d(id INTEGER PRIMARY KEY, v TEXT TAG 'd')"
TABLES = [  # what one does to the tables, and what the other gives or takes meanwhile
    ("DROP TABLE t", (INSERT, (2, "new")), "tags of rows of table t"),
    ("DROP TABLE t", (INSERT, (1, "new")), "tags of rows of table t"),
    ("DROP TABLE t", (DELETE, (1, "old")), "tags of rows of table t"),
    ("ALTER TABLE t ALTER COLUMN v SET TAG 'mine'", (INSERT, (2, "mine:x")), "tags of rows of table t"),
    ("ALTER TABLE t ALTER COLUMN v SET TAG 'mine'", ("INSERT INTO t VALUES (5, 0)", ()), "altered it"),
    ("ALTER TABLE d ALTER COLUMN v DROP TAG", ("INSERT INTO d VALUES (5, 'x')", ()), "tags of rows of table d"),
    ("ALTER TABLE d ALTER COLUMN v DROP TAG", ("UPDATE d SET v = 'x'", ()), "tags of rows of table d"),
    ("ALTER TABLE d DROP COLUMN v", ("INSERT INTO d VALUES (5, 'x')", ()), "tags of rows of table d"),
    ("ALTER TABLE d ALTER COLUMN v SET TAG 'other'", ("INSERT INTO d VALUES (5, 'x')", ()), "altered it"),
    ("DROP TABLE d", ("INSERT INTO d VALUES (5, 'x')", ()), "tags of rows of table d"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("alters", "tags_it", "said"), TABLES)
@pytest.mark.parametrize("later", ["alters", "tags"])
def test_who_drops_a_table_or_changes_its_tag_columns_conflicts_with_who_tags_its_rows(
    pair: tuple[driver.Connection, driver.Connection], alters: str, tags_it: Any, said: str, later: str
) -> None:
    """What goes with the table, and what a column's tags are, was decided by the tags that were seen."""
    one, two = pair
    one.execute(DECLARED)
    one.execute("INSERT INTO d VALUES (1, 'a'), (2, 'b')")
    one.commit()
    one.execute(alters)
    two.execute(*tags_it)
    first, second = (two, one) if later == "alters" else (one, two)
    first.commit()
    with pytest.raises(ex.SerializationFailure) as caught:
        second.commit()
    if later == "alters" and two.isolation_level != "SERIALIZABLE":
        assert said in str(caught.value)
    second.rollback()
    one.execute("SELECT type, entity, tag FROM entitydb_tags").fetchall()   # each has a type


@pytest.mark.parametrize(
    "alters", ["DROP TABLE t", "ALTER TABLE t ALTER COLUMN v SET TAG 'mine'", "ALTER TABLE d ALTER COLUMN v DROP TAG"]
)
def test_who_changes_a_table_and_who_tags_rows_of_another_both_commit(
    pair: tuple[driver.Connection, driver.Connection], alters: str
) -> None:
    one, two = pair
    one.execute(DECLARED)
    one.execute("INSERT INTO d VALUES (1, 'a')")
    for name in ("before", "u"):        # tables whose ids, as the first part of keys, lie around
        one.execute(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY)")
        one.execute(f"INSERT INTO {name} VALUES (1), (2)")
    one.commit()
    one.execute(alters)
    into = "INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)"
    two.executemany(into, [("before", 1, "x"), ("u", 2, "mine:x"), ("u", 1, "d:x")])
    two.commit()
    one.commit()
    assert {"x", "mine:x", "d:x"} <= {tag for _, tag in tags(two)}


@pytest.mark.parametrize("undo", ["ROLLBACK TO s", "failing statement", "rollback"])
def test_what_was_undone_is_promised_again(pair: tuple[driver.Connection, driver.Connection], undo: str) -> None:
    """A promise is noted once for a table, and goes with what made it."""
    one, two = pair
    one.execute("SELECT v FROM t WHERE id = 3").fetchall()
    if undo == "failing statement":
        one.execute("INSERT INTO t VALUES (7, 7)")
        with pytest.raises(ex.IntegrityError):
            one.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('t', 2, 'x'), ('t', 99, 'x')")
    else:
        one.execute("SAVEPOINT s")
        one.execute(INSERT, (2, "x"))
        one.execute(undo) if undo.startswith("ROLLBACK TO") else one.rollback()
    one.execute(INSERT, (2, "y"))
    two.execute("DELETE FROM t WHERE id = 2")
    two.commit()
    with pytest.raises(ex.SerializationFailure):
        one.commit()


def test_who_deletes_a_row_at_serializable_has_read_the_tags_of_no_other(connect: Connect) -> None:
    """Row 1 has no tags, row 3 has: what is looked through ends before it."""
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    one.execute("INSERT INTO t VALUES (1), (2), (3)")
    one.execute(INSERT, (3, "x"))
    one.commit()
    for connection in (one, two):
        connection.isolation_level = "SERIALIZABLE"
    one.execute("DELETE FROM t WHERE id = 1")
    two.execute(INSERT, (2, "x"))
    two.commit()
    one.commit()
    assert tags(one) == [(2, "x"), (3, "x")]


def test_the_first_tags_of_a_file_conflict_and_the_second_try_succeeds(connect: Connect) -> None:
    """The trees of tags are made with the first, which is a change of the catalog."""
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    one.execute("INSERT INTO t VALUES (1), (2)")
    one.commit()
    one.execute(INSERT, (1, "a"))
    two.execute(INSERT, (2, "a"))
    one.commit()
    with pytest.raises(ex.SerializationFailure, match="schema"):
        two.commit()
    two.rollback()
    two.execute(INSERT, (2, "a"))
    two.commit()
    assert tags(one) == [(1, "a"), (2, "a")]


def test_a_reader_of_a_tag_conflicts_at_serializable_with_who_gives_it(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    one.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
    one.execute(INSERT, (1, "a"))
    one.commit()
    for connection in (one, two):
        connection.isolation_level = "SERIALIZABLE"
    found = one.execute("SELECT count(*) FROM entitydb_tagged('t', 'b')").fetchall()
    one.execute("UPDATE t SET v = ? WHERE id = 1", found[0])
    two.execute(INSERT, (2, "b"))
    two.commit()
    with pytest.raises(ex.SerializationFailure, match="read"):
        one.commit()
