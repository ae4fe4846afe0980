"""The analysis says what a statement is, and no input makes it fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entitydb_dialect.driver.sql import statement as kinds
from entitydb_dialect.driver.sql.script import split_statements
from entitydb_dialect.driver.sql.tokens import tokens, unquote


@pytest.mark.parametrize(
    ("sql", "kind", "verb"),
    [
        ("SELECT 1", kinds.READ, "SELECT"),
        ("  -- c\n /* d */ select 1", kinds.READ, "SELECT"),
        ("VALUES (1), (2)", kinds.READ, "VALUES"),
        ("EXPLAIN QUERY PLAN DELETE FROM t", kinds.READ, "EXPLAIN"),
        ("WITH a AS (SELECT 1) SELECT * FROM a", kinds.READ, "SELECT"),
        (
            "WITH RECURSIVE a(x) AS (SELECT 1 UNION SELECT x + 1 FROM a), b AS MATERIALIZED (SELECT 2) DELETE FROM t",
            kinds.WRITE,
            "DELETE",
        ),
        (
            "with [replace] as not materialized (values (')')) replace into t select * from [replace]",
            kinds.WRITE,
            "REPLACE",
        ),
        ("INSERT INTO t VALUES (1)", kinds.WRITE, "INSERT"),
        ("UPDATE OR IGNORE t SET a = 1", kinds.WRITE, "UPDATE"),
        ("begin immediate", kinds.CONTROL, "BEGIN"),
        ("END TRANSACTION", kinds.CONTROL, "COMMIT"),
        ("ROLLBACK", kinds.CONTROL, "ROLLBACK"),
        ("ROLLBACK TRANSACTION TO SAVEPOINT a", kinds.CONTROL, "ROLLBACK TO"),
        ("release a", kinds.CONTROL, "RELEASE"),
        ("PRAGMA table_info(t)", kinds.PRAGMA, "PRAGMA"),
        ("CREATE TABLE t(a)", kinds.DDL, "CREATE"),
        ("VACUUM", kinds.DDL, "VACUUM"),
        ("", kinds.EMPTY, ""),
        (" ; -- nothing", kinds.EMPTY, ""),
        ("SELEC 1", kinds.OTHER, "SELEC"),
        ("'text'", kinds.OTHER, ""),
    ],
)
def test_kind_of_statement(sql: str, kind: str, verb: str) -> None:
    found = kinds.parse(sql)
    assert (found.kind, found.verb) == (kind, verb)


@pytest.mark.parametrize(
    ("sql", "schema", "table", "columns"),
    [
        ('INSERT INTO "a b"(x, "y""z", [w]) VALUES (1, 2, 3)', None, "a b", ("x", 'y"z', "w")),
        ("INSERT OR REPLACE INTO main.t AS u(a) SELECT 1", "main", "t", ("a",)),
        ("insert into t select 1", None, "t", None),
        ("REPLACE INTO t(a) VALUES (1)", None, "t", ("a",)),
        ("UPDATE temp.t SET a = 1", "temp", "t", None),
        ("DELETE FROM `t`", None, "t", None),
    ],
)
def test_target_of_a_write(sql: str, schema: str | None, table: str, columns: tuple[str, ...] | None) -> None:
    found = kinds.parse(sql)
    assert (found.schema, found.table, found.columns) == (schema, table, columns)


@pytest.mark.parametrize(
    ("sql", "returning", "on_conflict"),
    [
        ("INSERT INTO t(a) VALUES (1) RETURNING a", True, False),
        ("INSERT INTO t(a) VALUES ('RETURNING')", False, False),
        ("INSERT INTO t(a) SELECT x FROM (SELECT 1 AS x) -- RETURNING", False, False),
        ("INSERT INTO t(a) VALUES (1) ON CONFLICT DO NOTHING", False, True),
        ("INSERT INTO t(a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2 RETURNING a", True, True),
        ("INSERT INTO t(a) SELECT a FROM b JOIN c ON conflict = 1", False, False),
        ("DELETE FROM t WHERE a IN (SELECT 1) RETURNING *", True, False),
    ],
)
def test_clauses_virtual_tables_lack(sql: str, returning: bool, on_conflict: bool) -> None:
    found = kinds.parse(sql)
    assert (found.returning, found.on_conflict_at >= 0) == (returning, on_conflict)


@pytest.mark.parametrize(
    ("sql", "several"),
    [
        ("SELECT 1;", False),
        ("SELECT 1; ;; -- x", False),
        ("SELECT 1; SELECT 2", True),
        ("SELECT ';' /* ; */", False),
        ("CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; SELECT 2; END", False),
    ],
)
def test_several_statements_are_noticed(sql: str, several: bool) -> None:
    assert kinds.parse(sql).several is several


def test_plain_values_reads_no_table() -> None:
    assert kinds.parse("INSERT INTO t(a) VALUES (?)").plain_values
    assert kinds.parse("INSERT INTO t DEFAULT VALUES").plain_values
    assert not kinds.parse("INSERT INTO t(a) VALUES ((SELECT max(a) FROM t))").plain_values
    assert not kinds.parse("INSERT INTO t(a) SELECT 1").plain_values


def test_ddl_is_taken_apart() -> None:
    ddl = kinds.parse('CREATE UNIQUE INDEX IF NOT EXISTS main."i x" ON "t y"(a)').ddl
    assert ddl is not None
    assert (ddl.verb, ddl.what, ddl.unique, ddl.if_clause, ddl.schema, ddl.name, ddl.table) == (
        "CREATE",
        "INDEX",
        True,
        True,
        "main",
        "i x",
        "t y",
    )
    ddl = kinds.parse("CREATE TEMPORARY TABLE t AS SELECT 1").ddl
    assert ddl is not None
    assert (ddl.temporary, ddl.as_select, ddl.name) == (True, True, "t")
    ddl = kinds.parse("drop table if exists temp.[t]").ddl
    assert ddl is not None
    assert (ddl.verb, ddl.what, ddl.if_clause, ddl.schema, ddl.name) == ("DROP", "TABLE", True, "temp", "t")


def test_script_is_split_outside_trigger_bodies() -> None:
    script = """CREATE TABLE a(x); -- one; two
        CREATE TEMP TRIGGER b AFTER INSERT ON a BEGIN SELECT CASE WHEN 1 THEN 2 END; SELECT ';'; END;
        ; SELECT 1"""
    found = split_statements(script)
    assert [s.split()[0] for s in found] == ["CREATE", "CREATE", "SELECT"]
    assert found[1].endswith("END")


_PIECES = st.sampled_from(
    [
        "SELECT",
        "WITH",
        "INSERT",
        "INTO",
        "CREATE",
        "TABLE",
        "INDEX",
        "TEMP",
        "IF",
        "NOT",
        "EXISTS",
        "AS",
        "ON",
        "CONFLICT",
        "PRAGMA",
        "ROLLBACK",
        "TO",
        "BEGIN",
        "TRIGGER",
        "(",
        ")",
        ",",
        ";",
        ".",
        "'",
        '"',
        "[",
        "`",
        "--",
        "/*",
        "*/",
        "\n",
        "x'00'",
        "'a''b'",
        '"a""b"',
        "?1",
        ":a",
        "1.5e3",
        "0x1F",
        "=",
        "é",
        "\0",
        "VALUES",
        "DEFAULT",
        "RETURNING",
        *("ON CONFLICT", "DO UPDATE SET", "DO NOTHING", "INSERT INTO t(a) VALUES (1)", "WHERE", "COLLATE"),
        "INSERT INTO t VALUES (1) ON CONFLICT (",
        "t",
    ]
)


@pytest.mark.slow
@given(st.one_of(st.text(), st.lists(_PIECES).map(" ".join), st.lists(_PIECES).map("".join)))
def test_no_text_makes_the_analysis_fail(sql: str) -> None:
    kinds.parse(sql)
    split_statements(sql)
    found = tokens(sql)
    assert all(sql[t.start : t.end] == t.text for t in found)
    for token in found:
        unquote(token.text)


@pytest.mark.slow
@given(st.text(alphabet=" \t\nabc'\"`[]().,;-*/=<>|!0123456789.eExX?:@$#é", max_size=60))
def test_tokens_cover_everything_but_space_and_comments(sql: str) -> None:
    at = 0
    for token in tokens(sql):
        between = sql[at : token.start]
        assert not between.strip(" \t\n\f\r") or between.lstrip().startswith(("--", "/*"))
        at = token.end
