"""Odd values, long expressions, interrupts: what a question about tags may contain, and that it can be ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from entitydb_dialect._native import lib

from entitydb_dialect import _exceptions as ex
from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]
INSERT = "INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)"
LEAST, MOST = -(2**63), 2**63 - 1


@pytest.fixture
def db(connect: Connect) -> driver.Connection:
    db = connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    db.execute("INSERT INTO t(id) VALUES (1), (2), (3)")
    db.execute(INSERT, ("t", 1, "a"))
    db.commit()
    return db


def ask(db: driver.Connection, sql: str, *parameters: Any) -> list[Any]:
    return [value for (value,) in db.execute(sql, parameters).fetchall()]


@pytest.mark.parametrize(
    ("value", "entity"),
    [(2.0, 2), ("3", 3), (" 3 ", 3), (2.5, None), ("x", None), (b"2", None), (float("inf"), None), (float("nan"), None),
     (float(LEAST), LEAST), (2.0**63, None), (9.21e18, 9_210_000_000_000_000_000), (9.3e18, None), (MOST, MOST),
     (None, None)],
)  # fmt: skip
def test_an_entity_is_compared_as_sqlite_compares_numbers(db: driver.Connection, value: Any, entity: Any) -> None:
    """Beside each: a column of the same affinity in a table of SQLite's own."""
    entities = [1, 2, 3, LEAST, MOST, 9_210_000_000_000_000_000]
    db.executemany("INSERT OR IGNORE INTO t(id) VALUES (?)", [(e,) for e in entities])
    db.executemany(INSERT, [("t", e, "a") for e in entities])
    db.execute("CREATE TEMP TABLE beside(entity INTEGER)")
    db.executemany("INSERT INTO beside VALUES (?)", [(e,) for e in entities])
    wanted = [] if entity is None else [entity]
    assert ask(db, "SELECT entity FROM beside WHERE entity = ?", value) == wanted
    assert ask(db, "SELECT entity FROM entitydb_tags WHERE type = 't' AND entity = ?", value) == wanted
    assert ask(db, "SELECT entity FROM entitydb_tags WHERE type = 't' AND tag = 'a' AND entity = ?", value) == wanted
    assert ask(db, "SELECT entity FROM entitydb_tagged('t', 'a') WHERE entity = ?", value) == wanted
    for op in (">", ">=", "<", "<="):
        expected = sorted(ask(db, f"SELECT entity FROM beside WHERE entity {op} ?", value))
        assert sorted(ask(db, f"SELECT entity FROM entitydb_tags WHERE entity {op} ?", value)) == expected
        assert ask(db, f"SELECT entity FROM entitydb_tagged('t', 'a') WHERE entity {op} ?", value) == expected


def test_a_type_is_the_whole_text(db: driver.Connection) -> None:
    """What stands behind a NUL belongs to it, and no table has such a name."""
    assert ask(db, "SELECT tag FROM entitydb_tags WHERE type = ?", "t\0") == []
    assert ask(db, "SELECT tag FROM entitydb_tags WHERE type = ?", b"t") == []
    for type_ in ("t\0", "t\0x"):
        with pytest.raises(ex.OperationalError, match="no table t"):
            db.execute(INSERT, (type_, 1, "b"))
        with pytest.raises(ex.OperationalError, match="no table t"):
            ask(db, "SELECT entity FROM entitydb_tagged(?, 'a')", type_)


def test_arguments_of_an_expression_are_texts(db: driver.Connection) -> None:
    with pytest.raises(ex.ProgrammingError, match="the type is a text"):
        ask(db, "SELECT entity FROM entitydb_tagged(?, 'a')", b"t")
    with pytest.raises(ex.ProgrammingError, match="the expression is a text"):
        ask(db, "SELECT entity FROM entitydb_tagged('t', ?)", b"a")
    db.execute(INSERT, ("t", 1, "5"))
    assert ask(db, "SELECT entity FROM entitydb_tagged('t', 5)") == [1]
    assert ask(db, "SELECT entity FROM entitydb_tagged('t', ?)", None) == []
    with pytest.raises(ex.ProgrammingError, match="byte 1"):
        ask(db, "SELECT entity FROM entitydb_tagged('t', ?)", "a\0b")


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT entity, type, expression FROM entitydb_tagged('T', 'a|b')", [(1, "T", "a|b"), (2, "T", "a|b")]),
        ("SELECT t.v, g.expression FROM t JOIN entitydb_tagged g ON g.type = 't' AND g.expression = t.v", [
            ("a", "a"), ("b", "b"),
        ]),
        ("SELECT expression, count(*) FROM entitydb_tagged WHERE type = 't' AND expression IN ('a', 'b') GROUP BY 1", [
            ("a", 1), ("b", 1),
        ]),
        ("SELECT entity FROM entitydb_tagged WHERE type = 'T' AND expression = 'a' AND type = 'T'", [(1,)]),
        ("SELECT entity FROM entitydb_tagged WHERE type = 'T' AND expression = 'a' AND type = 't'", []),
    ],
)  # fmt: skip
def test_arguments_of_an_expression_are_columns(db: driver.Connection, sql: str, rows: list[Any]) -> None:
    db.execute("UPDATE t SET v = CASE id WHEN 1 THEN 'a' WHEN 2 THEN 'b' END")
    db.execute(INSERT, ("t", 2, "b"))
    assert sorted(db.execute(sql).fetchall()) == rows


def test_a_blob_is_the_type_of_no_entity(db: driver.Connection) -> None:
    assert ask(db, "SELECT id FROM entitydb_entities WHERE type = ?", "t") == [1, 2, 3]
    for type_ in (b"t", None, "t\0"):
        assert ask(db, "SELECT id FROM entitydb_entities WHERE type = ?", type_) == []
        assert ask(db, "SELECT id FROM entitydb_entities WHERE type = ? AND id = 1", type_) == []


@pytest.mark.slow
@pytest.mark.parametrize("column", ["n", "x", "z", "r"])
@pytest.mark.parametrize(
    "condition",
    [
        "g.tag = t.{0}",
        "g.tag > t.{0}",
        "g.tag <= t.{0}",
        "g.tag BETWEEN t.{0} AND 'b'",
        "g.tag = CAST(t.{0} AS INTEGER)",
        "g.tag = t.{0} || ''",
        "g.namespace = 'n' AND g.value = t.{0}",
        "g.namespace = t.{0} AND g.value = t.{0}",
        "g.namespace = t.{0}",
        "g.type = t.{0}",
        "g.type = t.{0} AND g.entity = t.{0}",
        "g.entity = t.{0}",
        "g.tag GLOB t.{0} || '*'",
        "g.tag IN (t.{0}, 'abc')",
    ],
)
def test_texts_are_compared_with_columns_as_sqlite_compares_them(
    db: driver.Connection, condition: str, column: str
) -> None:
    """Of numeric affinity: '05' = 5. The other side is computed without a look into the trees."""
    db.execute("ALTER TABLE t RENAME TO one")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, x TEXT, z, r REAL)")
    db.execute("INSERT INTO t VALUES (1, 5, '5', 5, 5.0), (2, 9, '05', '05', 9.5), (3, 'abc', 'abc', x'35', NULL)")
    db.execute("CREATE TABLE \"05\"(id INTEGER PRIMARY KEY)")
    db.execute("INSERT INTO \"05\" VALUES (5)")
    db.executemany(INSERT, [("one", 1, tag) for tag in ("5", "05", "5.0", "9.5", "abc", "n:5", "n:05", "5:05", "5:5")])
    db.execute(INSERT, ("05", 5, "q"))
    sql = "SELECT t.id, g.type, g.tag FROM t CROSS JOIN {} g ON " + condition.format(column)
    found = db.execute(sql.format("entitydb_tags")).fetchall()
    assert sorted(found) == sorted(db.execute(sql.format("(SELECT * FROM entitydb_tags LIMIT -1 OFFSET 0)")).fetchall())
    sql = f"SELECT t.id, e.type, e.id FROM t CROSS JOIN {{}} e ON e.type = t.{column}"
    found = db.execute(sql.format("entitydb_entities")).fetchall()
    beside = db.execute(sql.format("(SELECT * FROM entitydb_entities LIMIT -1 OFFSET 0)")).fetchall()
    assert sorted(found) == sorted(beside)


@pytest.mark.parametrize(
    ("expression", "tag"),
    [('"a"', "a"), ('"say ""hi"""', 'say "hi"'), ('""""', '"'), ('"""a"""', '"a"'), ('"a"*', "ab"), ('"a b"', "a b"),
     ('a:"', None), ('"a', None), ('"a""', None), ('"', None), ('"""', None), ("*", "x"), ('""*', "x"), ('""', None),
     ("a*b", None), ("a**", None)],
)  # fmt: skip
def test_quotes_in_expressions(db: driver.Connection, expression: str, tag: str | None) -> None:
    db.execute("DELETE FROM entitydb_tags")
    if tag is None:
        with pytest.raises((ex.ProgrammingError, ex.DataError)):
            ask(db, "SELECT entity FROM entitydb_tagged('t', ?)", expression)
        return
    db.execute(INSERT, ("t", 2, tag))
    if expression not in ("*", '""*'):      # these mean every row that has a tag
        db.execute(INSERT, ("t", 3, "other"))
    assert ask(db, "SELECT entity FROM entitydb_tagged('t', ?)", expression) == [2]


def allocations(db: driver.Connection, expression: str) -> int:
    """Of the engine; its arenas take 2 MiB at once."""
    lib.test_alloc_fail(0, False)
    ask(db, "SELECT entity FROM entitydb_tagged('t', ?)", expression)
    return int(lib.test_alloc_passed())


@pytest.mark.parametrize("operator", ["|", "&"])
def test_an_expression_of_many_tags_takes_memory_by_its_length(db: driver.Connection, operator: str) -> None:
    """Each tag once had room for all of the text behind it: 8,000 took 200 MB."""
    assert allocations(db, operator.join(f"x{i}" for i in range(8000))) < 40


def test_an_expression_of_many_tags_is_answered(db: driver.Connection) -> None:
    db.executemany(INSERT, [("t", 2, f"x{i}") for i in range(1500)])
    sql, names = "SELECT entity FROM entitydb_tagged('t', ?)", [f"x{i}" for i in range(1500)]
    assert ask(db, sql, "&".join(names)) == ask(db, sql, "|".join(names)) == [2]
    assert ask(db, sql, "!" + "&!".join(names)) == [1, 3]


# ---- interrupts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expression", ["a & b", "*", "a & !a", "!(a | b)"])
def test_looking_for_entities_can_be_interrupted_before_the_first_is_found(
    db: driver.Connection, expression: str
) -> None:
    """The expression is the value of a function that interrupts: SQLite itself looks for that only between rows."""
    db.executemany("INSERT INTO t(id) VALUES (?)", [(i,) for i in range(10, 60)])
    db.executemany(INSERT, [("t", i, "ab"[i % 2]) for i in range(10, 60)])
    db.commit()

    def late(text: str) -> str:
        db.interrupt()
        return text

    db.create_function("late", 1, late)
    with pytest.raises(ex.OperationalError, match="looking for entities by tags was interrupted"):
        ask(db, "SELECT entity FROM entitydb_tagged('t', late(?))", expression)
    assert len(ask(db, "SELECT entity FROM entitydb_tagged('t', ?)", "a|b")) == 51


def test_looking_through_tags_without_entities_can_be_interrupted(db: driver.Connection) -> None:
    db.executemany(INSERT, [("t", 1, f"n:{i}") for i in range(50)])
    db.execute("DELETE FROM entitydb_tags WHERE namespace = 'n'")
    db.commit()

    def late(text: str) -> str:
        db.interrupt()
        return text

    db.create_function("late", 1, late)
    with pytest.raises(ex.OperationalError, match="looking for tags was interrupted"):
        ask(db, "SELECT entity FROM entitydb_tags WHERE namespace = late('n')")


def test_a_definition_that_takes_many_tags_away_is_interrupted_whole(connect: Connect) -> None:
    db = connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT TAG 'v')")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, f"value {i}") for i in range(3000)])
    db.commit()
    raised: list[BaseException] = []

    def alter() -> None:
        try:
            while not raised:
                db.execute("SAVEPOINT s")
                db.execute("ALTER TABLE t ALTER COLUMN v DROP TAG")
                db.execute("ROLLBACK TO s")
                db.execute("RELEASE s")
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=alter)
    thread.start()
    while thread.is_alive():            # it may be anywhere: say it until it is heard
        db.interrupt()
        thread.join(0.001)
    assert isinstance(raised[0], ex.OperationalError)
    assert "interrupted" in str(raised[0])
    db.rollback()
    assert ask(db, "SELECT count(*) FROM entitydb_tags") == [3000]
    with pytest.raises(ex.ProgrammingError, match="a value of the column"):
        db.execute("DELETE FROM entitydb_tags WHERE entity = 1")
