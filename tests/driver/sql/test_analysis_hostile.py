"""Hostile SQL text: the analysis neither fails nor takes long, and what it does not understand goes to SQLite as it is.

How long is counted in lines of Python run, not in seconds: twice the text may take about twice the lines.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import apsw
import pytest

from entitydb_dialect import driver
from entitydb_dialect.driver.ddl.create import parse_index, parse_table
from entitydb_dialect.driver.rewrite.indexes import Indexes
from entitydb_dialect.driver.rewrite.prepare import prepare
from entitydb_dialect.driver.rewrite.schemas import Located
from entitydb_dialect.driver.schemas.histories import HistoryTable
from entitydb_dialect.driver.sql.script import split_statements
from entitydb_dialect.driver.sql.statement import Statement, locks_rows
from entitydb_dialect.driver.sql.tokens import tokens

CORPUS = (
    "WITH RECURSIVE a(x, y) AS MATERIALIZED (SELECT 1, 'it''s' UNION ALL SELECT x + 1, y FROM a WHERE x < ?1),"
    " b AS (VALUES (1)) SELECT count(*) FILTER (WHERE x > :low) OVER w, \"q\"\"q\".[b c] FROM a AS \"q\"\"q\" JOIN b"
    " ON (x, y) IN (SELECT 1, 2) WINDOW w AS (PARTITION BY y ORDER BY x) ORDER BY 1 LIMIT 5 OFFSET 1;",
    "INSERT OR REPLACE INTO main.t AS u(a, \"b\", [c]) VALUES (1, ?, x'00'), (-1.5e3, :a, NULL) -- end\n",
    "INSERT INTO t(a) SELECT x FROM s WHERE true ON CONFLICT (a COLLATE NOCASE, lower(b)) WHERE c > 1 DO UPDATE SET"
    " (a, b) = (excluded.a || ?, (SELECT max(x) FROM s)), c = c + 1 WHERE t.c < ? ON CONFLICT DO NOTHING"
    " RETURNING *, a + ?, (SELECT count(*) FROM t) AS n",
    "UPDATE OR IGNORE t AS x SET (a, b) = (1, 2), c = x.c FROM s JOIN r USING (k) WHERE x.id = s.id RETURNING id",
    "DELETE FROM \"t\" WHERE a IN (1, 2) AND (a, b) NOT IN (VALUES (1, 2)) RETURNING rowid",
    "CREATE TABLE IF NOT EXISTS main.t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT DEFAULT 'x' CHECK (a > ')')"
    ", CONSTRAINT c FOREIGN KEY (a) REFERENCES p(x) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED) STRICT",
    "CREATE UNIQUE INDEX IF NOT EXISTS i ON t(a DESC, lower(b)) WHERE c IS NOT NULL",
    "ALTER TABLE t ADD COLUMN a INT DEFAULT (1), DROP COLUMN b, ALTER COLUMN c TYPE TEXT USING c || 'x'",
    "CREATE TEMP TRIGGER r AFTER INSERT ON x BEGIN INSERT INTO y VALUES (CASE WHEN 1 THEN 2 END); SELECT ';'; END",
    "EXPLAIN QUERY PLAN SELECT min(a) FROM t WHERE b = 1", "PRAGMA main.table_info('t')", "PRAGMA user_version = -5",
    "SELECT name FROM main.sqlite_master, pragma_table_info(name) /* unfinished",
    "SAVEPOINT \"s p\"", "ROLLBACK TRANSACTION TO SAVEPOINT x", "ATTACH 'x.edb' AS other", "VACUUM INTO 'x'",
    "SELECT entitydb_label('x') AS l WHERE 1", "REPLACE INTO t DEFAULT VALUES RETURNING f(a) OVER (), g(b)",
)  # fmt: skip

# Each makes a text whose length grows with n.
SHAPES: dict[str, Callable[[int], str]] = {
    "open parentheses": lambda n: "(" * n,
    "closed parentheses": lambda n: ")" * n,
    "nested expression": lambda n: "SELECT " + "(" * n + "1" + ")" * n,
    "nested in a row value": lambda n: "SELECT " + "(" * n + "1, 2" + ")" * n + " IN (1)",
    "nested functions": lambda n: "SELECT " + "f(" * n + "1" + ")" * n,
    "nested functions returned": lambda n: "DELETE FROM t RETURNING " + "f(" * n + "1" + ")" * n,
    "functions in a row returned": lambda n: "DELETE FROM t RETURNING 1" + ", f(1)" * n,
    "open functions returned": lambda n: "DELETE FROM t RETURNING " + "f(" * n,
    "columns": lambda n: "SELECT a" + ", a" * n + " FROM t",
    "rows": lambda n: "INSERT INTO t(a) VALUES (1)" + ", (?)" * n,
    "names in INSERT": lambda n: "INSERT INTO t(a" + ", b" * n + ") VALUES (1)",
    "ON CONFLICT": lambda n: "INSERT INTO t VALUES (1)" + " ON CONFLICT (a) DO NOTHING" * n,
    "ON CONFLICT with rows": lambda n: "INSERT INTO t VALUES (1)" + " ON CONFLICT (a) DO UPDATE SET a = ?, b = :c" * n,
    "open ON CONFLICT": lambda n: "INSERT INTO t VALUES (1)" + " ON CONFLICT (" * n,
    "ON CONFLICT in conditions": lambda n: "INSERT INTO t SELECT 1" + " ON CONFLICT DO" * n,
    "nested target": lambda n: "INSERT INTO t VALUES (1) ON CONFLICT (" + "(" * n + "a" + ")" * n + ") DO NOTHING",
    "COLLATE": lambda n: "INSERT INTO t VALUES (1) ON CONFLICT (a" + " COLLATE b" * n + ") DO NOTHING",
    "targets": lambda n: "INSERT INTO t VALUES (1) ON CONFLICT (a" + ", a" * n + ") DO NOTHING",
    "SET": lambda n: "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = ?" + ", a = ?" * n,
    "WITH": lambda n: "WITH a AS (SELECT 1)" + ", a AS (SELECT 1)" * n + " DELETE FROM t",
    "nested WITH": lambda n: "WITH a AS (" * n,
    "semicolons": lambda n: ";" * n,
    "statements": lambda n: "SELECT 1;" * n,
    "comments": lambda n: "SELECT 1" + " -- c\n" * n,
    "open comments": lambda n: "/*" * n,
    "stars and slashes": lambda n: "/*/" * n,
    "quotes": lambda n: "'" * n,
    "double quotes": lambda n: '"' * n,
    "brackets": lambda n: "[" * n,
    "back quotes": lambda n: "`a`" * n,
    "quotes in turn": lambda n: "'\"`[" * n,
    "blobs": lambda n: "x'" * n,
    "dots": lambda n: "a." * n,
    "numbers": lambda n: "1e" * n,
    "digits": lambda n: "SELECT " + "1" * n,
    "variables": lambda n: "SELECT ?" + ", ?1, :a, @b, $c" * n,
    "signs": lambda n: "-" * n + "+" * n,
    "sqlite_master": lambda n: "SELECT 1 FROM sqlite_master" + ", main.sqlite_master" * n,
    "min with a condition": lambda n: "SELECT min(a) FROM t WHERE a" + " AND a" * n,
    "IN": lambda n: "SELECT (1, 2) IN (1)" + " AND (1, 2) NOT IN (1)" * n,
    "FOR UPDATE": lambda n: "SELECT 1 " + "FOR UPDATE " * n,
    "triggers": lambda n: "CREATE TEMP TRIGGER a AFTER INSERT ON t BEGIN " + "SELECT CASE WHEN 1 THEN 2 END; " * n,
    "ALTER": lambda n: "ALTER TABLE t ADD a" + ", ADD a" * n,
    "PRAGMA": lambda n: "PRAGMA x(" + "a" * n + " b" * n,
    "NULs": lambda n: "SELECT \0" * n,
    "letters": lambda n: "é" * n,
}


def _lines(run: Callable[[], Any]) -> int:
    """How many lines of Python this runs."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count


class _Schemas:
    """A database with a partial index and one on an expression, so that every rewrite has something to do."""

    generates = True
    temporary: frozenset[str] = frozenset()

    def __init__(self) -> None:
        table = parse_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c, d AS (a + 1))", "t")
        for sql in ("CREATE INDEX i ON t(a) WHERE c > 1", "CREATE INDEX j ON t(lower(b))"):
            table = table.with_index(parse_index(sql, table))
        self.table = table
        found = Indexes.of([table], frozenset(), "main")
        assert found is not None
        self.indexes = [found]

    def locate(self, schema: str | None, name: str) -> Located | None:
        return Located(self.table, "main", "") if name == "t" else None

    def means(self, schema: str | None, name: str) -> bool:
        return name == "t"

    def view(self, schema: str | None, name: str) -> None:
        return None

    def own(self, schema: str | None, name: str) -> str:
        return f"main.{name}"

    def history(self, schema: str | None, name: str, starless: bool) -> HistoryTable | None:
        return HistoryTable("main.entitydb_history_1", 1) if name == "t" else None


SCHEMAS = _Schemas()


def _prepare(sql: str) -> None:
    with suppress(driver.OperationalError, driver.NotSupportedError):
        prepare(Statement(sql), SCHEMAS)


def _everything(sql: str) -> None:
    _prepare(sql)
    locks_rows(sql)
    split_statements(sql)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_twice_the_text_takes_twice_the_work(shape: str) -> None:
    make = SHAPES[shape]
    once, twice = (_lines(lambda n=n: _everything(make(n))) for n in (150, 300))
    assert twice < 2.5 * once + 500


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["nested expression", "nested functions returned", "quotes in turn", "open comments"])
def test_a_megabyte_is_taken(shape: str) -> None:
    per_piece = len(SHAPES[shape](11)) - len(SHAPES[shape](10))
    _everything(SHAPES[shape](1_000_000 // per_piece))


@pytest.mark.parametrize("sql", CORPUS)
def test_every_prefix_and_suffix_is_taken(sql: str) -> None:
    for at in range(len(sql) + 1):
        _everything(sql[:at])
        _everything(sql[at:])


def test_lone_surrogates_and_nuls_are_taken(rng: random.Random) -> None:
    strange = ("\ud800", "\udfff", "\0", "\uffff", "\U0010ffff", "\x1a", "\x85", "\u2028", "'", '"')
    for _ in range(300):
        sql = rng.choice(CORPUS)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(sql) + 1)
            sql = sql[:at] + rng.choice(strange) + sql[at + rng.randint(0, 2) :]
        _everything(sql)
        assert all(sql[t.start : t.end] == t.text for t in tokens(sql))


@pytest.mark.parametrize("sql", ["SELECT '\ud800'", "SELECT 1 -- \udfff", "\ud800", "INSERT INTO t VALUES ('\udc80')"])
def test_a_lone_surrogate_is_a_data_error(db: driver.Connection, sql: str) -> None:
    db.execute("CREATE TABLE t(a)")
    with pytest.raises(driver.DataError):
        db.execute(sql)
    assert db.execute("SELECT count(*) FROM t").fetchall() == [(0,)]


@pytest.mark.slow
def test_statements_cut_short_or_mixed_up_end_as_in_sqlite(db: driver.Connection, rng: random.Random) -> None:
    """Prefixes of statements, and statements with tokens of others in them: the same error, or the same rows. DDL and
    what ends transactions are left out (another test shuffles those)."""
    plain = apsw.Connection(":memory:")
    db.isolation_level = None
    for connection in (db, plain):
        for sql in (
            "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b, c)",
            "CREATE TABLE s(x, k, id)",
            "CREATE TABLE r(k)",
            "INSERT INTO s VALUES (1, 2, 3)",
            "INSERT INTO t VALUES (1, 'a', 2, 3)",
        ):
            connection.execute(sql)
    chosen = [
        sql
        for sql in CORPUS
        if sql.split()[0] in ("WITH", "INSERT", "UPDATE", "DELETE", "SELECT", "REPLACE")
        and "sqlite_master" not in sql
        and "entitydb_label" not in sql
    ]
    pieces = [[sql[t.start : t.end] for t in tokens(sql)] for sql in chosen]
    compared = 0
    for _ in range(1500):
        words = list(rng.choice(pieces))
        if rng.random() < 0.5:
            words = words[: rng.randrange(len(words) + 1)]
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            if words:
                words[rng.randrange(len(words))] = rng.choice(rng.choice(pieces))
        sql = " ".join(words)
        answers = [_answer(connection, sql) for connection in (db, plain)]
        if answers[0] == answers[1] or (_gives_ids(sql) and all(isinstance(a, list) and len(a) == 1 for a in answers)):
            compared += 1
            continue
        # Syntax errors may be named by another word when the statement was taken apart.
        assert all(isinstance(answer, str) for answer in answers), (sql, answers)
    assert compared > 1000
    assert db.execute("SELECT * FROM t").fetchall() == plain.execute("SELECT * FROM t").fetchall()


def _gives_ids(sql: str) -> bool:
    """Does it return an automatic id? Those of rows that were rolled back are not given again here."""
    return sql.split()[:1] in (["INSERT"], ["REPLACE"]) and "RETURNING" in sql


def _answer(connection: Any, sql: str) -> Any:
    """Rows, or the sentence; every change is rolled back."""
    connection.execute("BEGIN")
    try:
        return sorted(map(repr, connection.execute(sql, [1] * 9 if "?" in sql else ()).fetchall()))
    except (driver.Error, apsw.Error) as error:
        return str(error)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def test_what_is_not_understood_goes_to_sqlite_unchanged(db: driver.Connection) -> None:
    for sql in ("SELEC 1", "FROBNICATE t", "(SELECT 1)", "'text'", "1", "SELECT * FROM t WHERE", "?", "x'0"):
        with pytest.raises(driver.Error) as found:
            db.execute(sql)
        plain = apsw.Connection(":memory:")
        with pytest.raises(apsw.Error) as wanted:
            plain.execute(sql).fetchall()
        assert str(found.value) == str(wanted.value)
    for sql in ("\0", "SELECT '\0'", "INSERT INTO t\0 VALUES (1)"):
        with pytest.raises((driver.ProgrammingError, driver.OperationalError)):
            db.execute(sql)
