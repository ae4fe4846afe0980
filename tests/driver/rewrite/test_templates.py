"""Texts that differ in literals only from one that the driver has looked at (rewrite/choices.py, and
engine/python/short_template.c): of each the driver would have made what it was run as."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from entitydb_dialect import driver
from entitydb_dialect.driver.rewrite.choices import is_value, value_of
from entitydb_dialect.driver.rewrite.prepare import prepare
from entitydb_dialect.driver.sql.statement import Statement
from entitydb_dialect.driver.sql.tokens import NUMBER, STRING, tokens, unquote

from ..beside import Beside
from .corpus import FOLDER, opened, read
from .test_unseen import is_unseen, judge

Connect = Callable[..., driver.Connection]

NUMBERS = ("0", "1", "2", "2.5", "5", "7", "16", "1e2", "0x10", ".5", "100", "12345678901234567890")
TEXTS = ("'on'", "'it''s'", "'%'", "'%s'", "'ä'", "''", "'x'", "'5'")


def others(random: Random, sql: str) -> Iterator[str]:
    """The text with other literals in the places of some of its own."""
    found = [token for token in tokens(sql) if token.kind in (NUMBER, STRING)]
    for _ in range(6 if found else 0):
        pieces, at = [], 0
        for token in found:
            text = random.choice(NUMBERS if token.kind == NUMBER else TEXTS)
            pieces += (sql[at : token.start], text if random.random() < 0.6 else token.text)
            at = token.end
        yield "".join((*pieces, sql[at:]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["expression_indexes.txt", "names.txt", "partial_indexes.txt"])
def test_what_is_made_of_one_is_made_of_all(name: str, seed: int) -> None:
    random = Random(seed)
    group = read(FOLDER / name)
    judged = 0
    with opened(group) as db:
        db.execute("BEGIN")
        for statement in group.statements:
            if statement.many or Statement(statement.sql).kind not in ("read", "write"):
                continue
            for sql in (statement.sql, *others(random, statement.sql)):
                for _ in range(2):
                    db._session.known.pop(sql, None)
                    try:
                        db.execute(sql, statement.parameters).fetchall()
                    except driver.Error:
                        continue
                    if is_unseen(db, sql):
                        judge(db, sql, statement.parameters)
                        judged += bool(prepare(Statement(sql), db._session).choices)
                    if not db.in_transaction:
                        db.execute("BEGIN")
    assert judged > (0 if name == "names.txt" else 100)


SCHEMA = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c REAL)",
    "CREATE INDEX some ON t(a) WHERE b = 'on'",
    "CREATE INDEX few ON t(b) WHERE a = 7 AND c > 2.5",
    "CREATE INDEX low ON t(lower(b))",
    "CREATE INDEX part ON t(substr(b, 2, 1))",
)


@pytest.fixture
def both(connect: Connect) -> Beside:
    both = Beside(connect(), *SCHEMA)
    for i in range(200):
        both.run("INSERT INTO t VALUES (?, ?, ?, ?)", (i, i % 9, ("on", "On", "off", "%s", None)[i % 5], i / 4))
    both.run("SELECT 1")
    return both


FORMS = (
    "SELECT id FROM t WHERE b = 'on' AND a = {} ORDER BY id",
    "SELECT id FROM t WHERE b = {} AND a > 3 ORDER BY id",
    "SELECT id FROM t WHERE lower(b) = {} ORDER BY id",
    "SELECT id FROM t WHERE substr(b, 2, {}) = 'n' ORDER BY id",
    "SELECT id, {} FROM t WHERE a = 7 AND c > {} ORDER BY id",
    "SELECT lower(b), count(*) FROM t WHERE a < {} GROUP BY lower(b)",
    "SELECT id % {} FROM t WHERE lower(b) LIKE '%' AND a = 1 ORDER BY id",
    "UPDATE t SET c = {} WHERE b = 'on' AND a = 2",
    "DELETE FROM t WHERE lower(b) = 'of' AND a = {}",
    "SELECT id AS '{0}' FROM t AS 't{0}' WHERE lower(b) > 'o' ORDER BY id",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_answers_are_those_of_sqlite(both: Beside, form: str) -> None:
    unseen = 0
    for literal in (1, 2, 3, 4, 7, 2.5, 0.25, 11, 30, "'on'", "'off'", "'%s'", "'%%'"):
        if "'{" in form and isinstance(literal, str):
            continue
        sql = form.format(literal, literal)
        both.run(sql)
        unseen += is_unseen(both.mine, sql)
    assert unseen >= (0 if "'{" in form else 3)


VALUES = ("on", "off", 7, 7.0, True, 2.5, "7", None, b"on", 8)


@pytest.mark.slow
@pytest.mark.parametrize("sql", ["SELECT id FROM t WHERE b = ? AND a > 1 ORDER BY id",
                                 "SELECT id FROM t WHERE a = ? AND c > ? ORDER BY id",
                                 "UPDATE t SET c = c + 1 WHERE b = ? AND a = ?",
                                 "SELECT ? FROM t WHERE c > ?2 AND a = ? ORDER BY id"])  # fmt: skip
def test_values_of_parameters_choose_the_text(both: Beside, sql: str) -> None:
    count = sql.count("?")
    for first in VALUES:
        for second in VALUES[: None if count > 1 else 1]:
            given: Any = (first, second, 7)[:count]
            both.run(sql, given)
            both.run(sql, list(given))
    known = both.mine._session.known[sql]
    prepared = prepare(Statement(sql), both.mine._session)
    assert known.variants is not None
    assert prepared.choices is not None
    assert {mask: variant.sql for mask, variant in known.variants.items()} == {
        prepared.choices.fulfilled(given): prepared.variant(given).sql
        for first in VALUES for second in VALUES for given in [(first, second, 7)[:count]]
    }  # fmt: skip
    assert len(known.variants) > 1


def test_what_the_schema_forgets_is_made_anew(both: Beside) -> None:
    """Templates are for the schema of now, and its functions."""
    def ask(n: int) -> bool:
        sql = f"SELECT id FROM t WHERE lower(b) = 'off' AND a = {n}"
        both.run(sql)
        return is_unseen(both.mine, sql)

    assert [ask(n) for n in (20, 21, 22)] == [False, True, True]
    both.run("CREATE INDEX later ON t(a) WHERE lower(b) = 'off'")
    assert [ask(n) for n in (23, 24)] == [False, True]
    both.mine.create_function("lower", 1, lambda value: "off", deterministic=True)
    both.theirs.create_scalar_function("lower", lambda value: "off", 1, deterministic=True)
    assert [ask(n) for n in (25, 26)] == [False, True]
    both.run("CREATE TEMP TABLE t(id, a, b)")
    assert [ask(n) for n in (27, 28)] == [False, False]


def test_a_constant_has_one_value() -> None:
    pairs = ("'a''b'", "a'b"), ("7", 7), ("7", True), ("2.5", 2.5)
    assert [is_value(value, value_of(text)) for text, value in pairs] == [True, True, False, True]
    assert not any(is_value(value, value_of("0x10")) for value in (16, 16.0, "0x10", None))
    assert unquote("'a''b'") == value_of("'a''b'")
