"""Generated columns under the virtual table alone: what a payload may say that no CREATE TABLE would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import apsw
import pytest

from entitydb_dialect.driver import _catalog
from entitydb_dialect.driver.ddl import create as _ddl

from .helpers import Database, Raw


def payload(*columns: tuple[str, str | None], **changes: Any) -> bytes:
    """A table t(a, ...) with generated columns of these names and expressions, which nobody has looked at."""
    table = _ddl.parse_table(f"CREATE TABLE t({', '.join(name for name, _ in columns)})", "t")
    pairs = zip(table.columns, (expression for _, expression in columns), strict=True)
    made = [replace(c, expression=e, **(changes if e else {})) for c, e in pairs]
    return _catalog.encode(replace(table, columns=tuple(made)))


def create(raw: Raw, what: bytes) -> None:
    with raw.savepoint():
        raw.run("INSERT INTO entitydb_ddl(op, payload) VALUES ('create', ?)", (what,))
        raw.declare("t", raw.db.last_insert_rowid())


def with_flags(what: bytes, flags: int) -> bytes:
    """The payload with other flags of the last column, which is generated: they stand before its expression."""
    at = what.index(b"\x01x\x00A\x00") + 5
    return what[:at] + bytes([flags]) + what[at + 1 :]


@pytest.mark.parametrize("flags", [24, 32, 16 | 32, 8 | 2, 16 | 6])
def test_impossible_flags_are_refused(raw: Raw, flags: int) -> None:
    what = payload(("a", None), ("x", "a"))
    assert with_flags(what, 8) == what
    with pytest.raises(apsw.CorruptError, match="impossible"):
        create(raw, with_flags(what, flags))


@pytest.mark.parametrize("expression", [
    "(SELECT 1)", "1) UNION SELECT (2",
    "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT max(i) FROM n)",
    "nothing_known(a)", "no_column", "1 +", "", ")", "?", "load_extension('x')", "'", "/*",
    "(SELECT sql FROM sqlite_master)", "a MATCH 'b'", "raise(ABORT, 'x')",
])  # fmt: skip
@pytest.mark.parametrize("stored", [False, True])
def test_an_expression_that_is_none_is_an_error_and_nothing_worse(raw: Raw, expression: str, stored: bool) -> None:
    create(raw, payload(("a", None), ("x", expression), stored=stored))
    outcomes = []
    for sql in ("INSERT INTO t(a) VALUES (1)", "SELECT * FROM t", "UPDATE t SET a = 2", "DELETE FROM t"):
        try:
            outcomes.append(raw.rows(sql))
        except apsw.Error as error:
            outcomes.append(str(error))
    assert outcomes[0] in ([], outcomes[0])
    if expression != "?":           # a parameter that nobody binds is NULL
        assert isinstance(outcomes[0], str), outcomes


def test_columns_that_mean_each_other_are_damage(raw: Raw) -> None:
    create(raw, payload(("a", None), ("x", "y"), ("y", "z + 1"), ("z", "x")))
    with pytest.raises(apsw.CorruptError, match="generated column loop on"):
        raw.run("INSERT INTO t(a) VALUES (1)")


@pytest.mark.slow
def test_a_long_chain_is_refused_before_the_stack_is_used_up(raw: Raw) -> None:
    columns: list[tuple[str, str | None]] = [("a", None)]
    columns += [(f"c{i}", f"c{i + 1}") for i in range(1500)]
    create(raw, payload(*columns, ("c1500", "a")))
    with pytest.raises(apsw.SQLError, match="more than 250 generated columns"):
        raw.run("INSERT INTO t(a) VALUES (1)")


def test_a_chain_that_doubles_at_each_step_is_computed_once_each(raw: Raw) -> None:
    columns: list[tuple[str, str | None]] = [("c0", None)]
    create(raw, payload(*columns, *((f"c{i}", f"c{i - 1} + c{i - 1}") for i in range(1, 61))))
    raw.run("INSERT INTO t(c0) VALUES (1)")
    assert raw.rows("SELECT c60 FROM t WHERE c59 > 5") == [(1 << 60,)]


def test_what_a_statement_supplies_for_one_is_not_looked_at(raw: Raw) -> None:
    raw.create_table("CREATE TABLE t(a, g AS (a + 1), h AS (a + 2) STORED)", "t")
    raw.run("INSERT INTO t(a, g, h) VALUES (1, 'g', 'h')")
    raw.run("UPDATE t SET g = 'x', h = 'y', a = 2")
    assert raw.rows("SELECT * FROM t") == [(2, 3, 4)]


def test_tables_of_one_name_and_other_expressions_are_told_apart(connect: Callable[[], Raw]) -> None:
    raw = connect()
    for factor in range(1, 50):
        raw.create_table(f"CREATE TABLE t(a, g AS (a * {factor}))", "t")
        raw.run("INSERT INTO t(a) VALUES (2)")
        assert raw.rows("SELECT g FROM t") == [(2 * factor,)]
        raw.drop_table("t")


def test_check_finds_an_entry_that_is_not_what_the_row_gives(database: Database, raw: Raw) -> None:
    """The index of another expression over the same column: as many entries, but not those of the rows."""
    raw.create_table("CREATE TABLE t(a, g AS (a + 1))", "t")
    raw.create_index("CREATE INDEX tg ON t(g)", "t")
    raw.run("INSERT INTO t(a) VALUES (1), (2)")
    known = raw.table("t")
    columns = tuple(replace(c, expression="a + 7") if c.name == "g" else c for c in known.columns)
    with raw.savepoint():
        what = _catalog.encode(replace(known, columns=columns))
        raw.run("INSERT INTO entitydb_ddl(op, payload) VALUES ('replace', ?)", (what,))
        raw.redeclare("t")
    found = database.check()
    assert [(invariant, "no entry in index tg" in sentence) for invariant, _, sentence in found] == [("I33", True)] * 2
    raw.run("DROP TABLE t")
    raw.run("INSERT INTO entitydb_ddl(op, name) VALUES ('drop', 't')")
