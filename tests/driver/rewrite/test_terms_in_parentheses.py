"""Terms that AND joins are found in parentheses too, as other rewrites and programs write them."""

from __future__ import annotations

import random
import re

import pytest

from entitydb_dialect import driver

from ..beside import Beside, text_to_run

SCHEMA = (
    "CREATE TABLE a(id INTEGER PRIMARY KEY, x INTEGER, y INTEGER)", "CREATE INDEX a_x ON a(x, y)",
    "CREATE TABLE b(id INTEGER PRIMARY KEY, x INTEGER, y INTEGER)", "CREATE INDEX b_x ON b(x)",
    "CREATE TABLE c(id INTEGER PRIMARY KEY, x INTEGER, y INTEGER)",
)


@pytest.fixture
def both(db: driver.Connection, rng: random.Random) -> Beside:
    found = Beside(db, *SCHEMA)
    for table in "abc":
        found.fill(table, [(i, rng.choice((None, 1, 2, 3)), rng.randrange(5)) for i in range(1, 30)])
    found.tables = []
    db.commit()
    return found


def added(both: Beside, sql: str) -> list[str]:
    """What the text to run says beyond the statement, in words."""
    plain = re.sub(r"[()]", " ", sql).split()
    made = re.sub(r"[()]", " ", text_to_run(both.mine, sql)).split()
    for word in plain:
        if word in made:
            made.remove(word)
    return made


@pytest.mark.parametrize("terms", [
    ("a.x = b.x", "b.x = c.x", "a.y > 1"),                              # an equality that follows
    ("a.x = b.x", "a.y IN (SELECT y FROM c WHERE x = 1)", "b.y > 1"),   # a list
    ("a.x IS b.x", "b.x > 1", "a.y > 1"),                               # IS that is =
    ("(a.x, a.y) > (1, 2)", "a.x = b.x", "b.y > 1"),                    # a row value's bound
])
def test_they_say_what_they_say_without(both: Beside, terms: tuple[str, str, str]) -> None:
    one, two, three = terms
    tables = "a, b, c" if "c.x" in two else "a, b"
    written = f"SELECT a.id, b.id FROM {tables} WHERE {{}} ORDER BY a.x, a.y, a.id, b.id LIMIT 400"
    wanted = added(both, written.format(f"{one} AND {two} AND {three}"))
    assert wanted
    for condition in (
        f"({one} AND {two}) AND {three}", f"{one} AND (({two}) AND ({three}))", f"(({one}) AND ({two} AND {three}))",
    ):
        assert sorted(added(both, written.format(condition))) == sorted(wanted)
        both.run(written.format(condition))


def test_what_or_joins_is_left_alone(both: Beside) -> None:
    sql = "SELECT a.id FROM a, b, c WHERE (a.x = b.x OR a.y = 1 AND b.x = c.x) AND (a.id = b.id) ORDER BY a.id"
    assert text_to_run(both.mine, sql) == sql
    both.run(sql)
