"""Texts that become known without the driver's looking at them (engine/python/short_new.c): of each the driver would
have made nothing else than the text itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver
from entitydb_dialect.driver._session import Session
from entitydb_dialect.driver.execute.known import parts_of
from entitydb_dialect.driver.execute.write import supplied_by, target
from entitydb_dialect.driver.rewrite.prepare import Prepared, prepare
from entitydb_dialect.driver.sql.statement import READ, Statement

from ..beside import Beside
from .corpus import FOLDER, opened, read

Connect = Callable[..., driver.Connection]


def is_unseen(db: driver.Connection, sql: str) -> bool:
    known = db._session.known.get(sql)
    return known is not None and known.prepared is None


def run_for(session: Session, prepared: Prepared, sql: str, parameters: Any) -> str | None:
    """The text that SQLite was given; None: the driver has chosen it."""
    known = session.known[sql]
    if known.variants is None:
        return str(known.sql)
    assert prepared.choices is not None
    variant = known.variants.get(prepared.choices.fulfilled(parameters))
    return None if variant is None else str(variant.sql)


def judge(db: driver.Connection, sql: str, parameters: Any = ()) -> None:
    session, statement = db._session, Statement(sql)
    prepared = prepare(statement, session)
    assert not prepared.shows_schema
    if statement.takes_apart:
        judge_tail(session, prepared, sql)
    else:
        text = run_for(session, prepared, sql, parameters)
        assert text == prepared.variant(parameters).sql or (text is None and isinstance(parameters, dict)), sql
        assert prepared.statement.sql == sql or prepared.keeps_literals
    if statement.kind is READ:
        return
    assert target(session, statement) is session.main, sql
    supplied = supplied_by(session.main, prepared)
    if supplied is not None:
        _, columns, bits = session.supplied[statement.head]
        assert columns == supplied[1], sql
        assert bytes(bits) == bytes(supplied[0]), sql


def judge_tail(session: Session, prepared: Prepared, sql: str) -> None:
    """What is executed for ON CONFLICT and RETURNING, by what is remembered of the text that they are."""
    (_, *parts), apart = parts_of(session, prepared), prepared.apart
    assert apart is not None
    before, known = len(apart.change.uses), session.known[sql]
    assert known.sql == prepared.variant(None).sql == sql[: len(known.sql)]
    captured, uses, remembered = session.tails[prepared.statement.target, sql[len(known.sql) :]]
    assert (before + uses, bool(captured)) == (apart.total, prepared.statement.returning), sql
    moved = [(text, always, tuple(number + before for number in numbers)) for text, always, numbers in remembered]
    assert moved == parts, sql


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.txt")))
def test_the_driver_would_not_have_changed_them(name: str) -> None:
    group = read(FOLDER / name)
    with opened(group) as db:
        for statement in group.statements:
            if statement.many or Statement(statement.sql).kind not in ("read", "write"):
                continue
            db.execute("BEGIN")
            for _ in range(2):  # the first INSERT of a kind is looked at
                db._session.known.pop(statement.sql, None)
                try:
                    db.execute(statement.sql, statement.parameters).fetchall()
                except driver.Error:
                    continue
                if is_unseen(db, statement.sql):
                    judge(db, statement.sql, statement.parameters)
                if not db.in_transaction:  # OR ROLLBACK
                    db.execute("BEGIN")
            if db.in_transaction:
                db.rollback()


PLAIN = (
    "SELECT a, b FROM t WHERE a = 1", "VALUES (1)", "WITH c(x) AS (SELECT 1) SELECT x, b FROM c, t WHERE x = a",
    "SELECT * FROM t, u, v WHERE t.a = u.a AND u.b = v.b", "SELECT sum(b) FROM t ORDER BY 1",
    "DELETE FROM t WHERE a = 3", "UPDATE t SET a = 1 WHERE a = 3", "INSERT INTO t(a) VALUES (7)",
    "INSERT INTO t VALUES (8, 9)", "REPLACE INTO t(a) VALUES (1)", "SELECT a FROM t WHERE (a, b) IN (VALUES (1, 2))",
)  # fmt: skip
UPSERT = "INSERT INTO t(a, b) VALUES {} ON CONFLICT (a) DO UPDATE SET b = excluded.b + ? WHERE ? RETURNING a, b, ?"


def test_clauses_are_remembered_behind_other_changes(connect: Connect) -> None:
    """With other numbers of parameters in front of them."""
    both = Beside(connect(), "CREATE TABLE t(a INTEGER PRIMARY KEY, b)",
                  "CREATE TABLE u(a INTEGER PRIMARY KEY, b)")
    both.run("SELECT 1")
    both.run("SELECT 1")
    for rows in (1, 2, 5, 30, 3):
        values = [value for i in range(rows) for value in (i, f"{i} of {rows}")]
        sql = UPSERT.format(", ".join(["(?, ?)"] * rows))
        both.run(sql, (*values, 2, rows % 2, "listed"))
        assert is_unseen(both.mine, sql) == (rows > 1)
    for sql in ("DELETE FROM t WHERE a = ? RETURNING b, ?", "DELETE FROM t WHERE a IN (?, ?) AND b > ? RETURNING b, ?"):
        both.run(sql, range(sql.count("?")))
    assert is_unseen(both.mine, sql)
    both.run("DELETE FROM u WHERE a = ? RETURNING b, ?", (1, 2))  # of another table
    for sql in ("DELETE FROM t WHERE a = ?2 RETURNING b, ?", "DELETE FROM t WHERE a = 'ä' RETURNING b, ?"):
        both.run(sql, range(3 if "?2" in sql else 1))
        assert not is_unseen(both.mine, sql)


def test_remembered_clauses_that_fail_undo_the_change(connect: Connect) -> None:
    both = Beside(connect(), "CREATE TABLE t(a INTEGER PRIMARY KEY, b CHECK (b < 10))")
    for i in range(3):
        both.run(f"INSERT INTO t VALUES (?, {i}) RETURNING abs(?)", (i, -i))
    for sql, parameters in (
        ("INSERT INTO t VALUES (?, 4) RETURNING abs(?)", (3, -(2**63))),
        ("INSERT INTO t VALUES (1, 4) RETURNING abs(?)", (4,)),
        ("INSERT OR FAIL INTO t VALUES (8, 8), (9, 11) RETURNING abs(?)", (4,)),
    ):  # fmt: skip
        assert isinstance(both.run(sql, parameters), str)
        assert is_unseen(both.mine, sql)


LOOKED_AT = (
    "SELECT count(*) FROM t", "SELECT min(a) FROM t", "SELECT * FROM t, u, v WHERE t.a = u.a AND u.a = v.a",
    "SELECT * FROM t ORDER BY a COLLATE nocase", "SELECT a FROM t ORDER BY a NULLS LAST",
    "SELECT name FROM sqlite_master", "UPDATE t SET a = u.b FROM u WHERE u.a = t.a",
    "DELETE FROM t AS x RETURNING x.a", "INSERT INTO t DEFAULT VALUES",
    "INSERT INTO t(a) VALUES (1) ON CONFLICT DO NOTHING", "SELECT * FROM t FOR SYSTEM_TIME AS OF '2200-01-01'",
    "INSERT INTO main.t(a) VALUES (1)", "SELECT * FROM pragma_table_info('t')",
)  # fmt: skip


@pytest.fixture
def db(connect: Connect) -> driver.Connection:
    db = connect(isolation_level=None)
    db.executescript("CREATE TABLE t(a, b); CREATE TABLE u(a, b); CREATE TABLE v(a, b); INSERT INTO t VALUES (1, 2)")
    db.execute("BEGIN")
    for sql in ("INSERT INTO t(a) VALUES (0)", "SELECT 1"):
        db.execute(sql)
    return db


def ask(db: driver.Connection, sql: str) -> bool:
    """Executes it. -> whether it has become known unseen."""
    db.execute("SAVEPOINT s")
    db.execute("SELECT 1").fetchall()  # behind ROLLBACK TO it is the driver that looks, at the schema as well
    db.execute(sql).fetchall()
    db.execute("ROLLBACK TO s")
    return is_unseen(db, sql)


def test_plain_texts_are_not_looked_at(db: driver.Connection) -> None:
    assert [sql for sql in PLAIN if not ask(db, sql)] == []
    assert [sql for sql in LOOKED_AT if ask(db, sql)] == []


CHANGES = (
    "CREATE TEMP TABLE other(a)", "ATTACH ':memory:' AS other", "CREATE TABLE g(a, b AS (a + 1))",
    "CREATE INDEX some ON t(b) WHERE a = 3", "CREATE INDEX low ON t(lower(a))",
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_schema_with_what_the_driver_looks_for_has_texts_looked_at(db: driver.Connection, change: str) -> None:
    sql = "SELECT b, lower(a) FROM t WHERE a = 3"
    assert ask(db, sql)
    db.execute("COMMIT")
    db.execute(change)
    db.execute("BEGIN")
    assert not ask(db, sql)
    assert not ask(db, sql.lower())


def test_an_index_on_an_expression_matters_to_texts_that_name_it(db: driver.Connection) -> None:
    db.execute("COMMIT")
    db.execute("CREATE INDEX low ON t(lower(a))")
    db.execute("CREATE INDEX some ON u(b) WHERE a = 3")
    db.execute("BEGIN")
    db.execute("SELECT 1 FROM t")
    for sql in ("SELECT b FROM t WHERE a = 3", "SELECT b FROM u WHERE b = 3", "DELETE FROM v WHERE a = 1"):
        assert ask(db, sql), sql
    texts = "SELECT b FROM T WHERE [LOWER](a) = 3", "SELECT a FROM u WHERE b = 4", "DELETE FROM t WHERE lower(a) = 1"
    for sql in texts:
        assert not ask(db, sql), sql
