"""What SQLite evaluates of a row, and in which order: expressions that fail must fail where they do in SQLite, and not
for rows that an index does not cover, or that were refused before."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from entitydb_dialect import driver

from ..beside import Beside

LEAST = -(2**63)  # of which abs() fails
# (schema, statement): each goes well in SQLite.
UNCOVERED = [
    (["CREATE INDEX i ON t(json_extract(j, '$.x')) WHERE a = 'json'"], "INSERT INTO t VALUES (1, 'text', 'not json')"),
    (["CREATE INDEX i ON t(abs(j)) WHERE a > 0"], f"INSERT INTO t VALUES (1, -1, {LEAST})"),
    (["CREATE INDEX i ON t(json_extract(j, '$.x')) WHERE json_valid(j)"], "INSERT INTO t VALUES (1, 0, 'not json')"),
    (["CREATE UNIQUE INDEX i ON t(abs(j)) WHERE a > 0"],
     f"INSERT INTO t VALUES (1, -1, {LEAST}) ON CONFLICT(abs(j)) WHERE a > 0 DO UPDATE SET a = 7"),
    (["INSERT INTO t VALUES (1, 'text', 'not json')"], "CREATE INDEX i ON t(json_extract(j, '$.x')) WHERE a = 'json'"),
    (["INSERT INTO t VALUES (1, 'text', 'not json')", "CREATE INDEX i ON t(json_extract(j, '$.x')) WHERE a = 'json'"],
     "UPDATE t SET a = 'other'"),
    (["CREATE INDEX i ON t(abs(j)) WHERE a > 0", f"INSERT INTO t VALUES (1, -1, {LEAST})"], "DELETE FROM t"),
    (["CREATE INDEX i ON t(abs(j)) WHERE a > 0", f"INSERT INTO t VALUES (1, -1, {LEAST})"],
     "REPLACE INTO t VALUES (1, -2, 0)"),
    (["CREATE INDEX i ON t(abs(j)) WHERE a > 0", f"INSERT INTO t VALUES (1, -1, {LEAST})"],
     "INSERT INTO t VALUES (1, -1, 5) ON CONFLICT DO UPDATE SET a = -7"),
    (["CREATE INDEX i ON t(abs(j)) WHERE a > 0", f"INSERT INTO t VALUES (1, -1, {LEAST})"],
     "ALTER TABLE t ADD COLUMN more DEFAULT 4"),
    (["CREATE INDEX i ON t(abs(j)) WHERE a > 0", f"INSERT INTO t VALUES (1, -1, {LEAST})",
      "ALTER TABLE t RENAME COLUMN j TO k"], "UPDATE t SET k = 1"),
]


@pytest.mark.parametrize(("schema", "sql"), UNCOVERED)
def test_an_index_evaluates_nothing_for_rows_it_does_not_cover(
    connect: Callable[..., driver.Connection], schema: list[str], sql: str
) -> None:
    both = Beside(connect(), "CREATE TABLE t(id INTEGER PRIMARY KEY, a, j)", *schema)
    assert both.run(sql) == []
    both.run("SELECT * FROM t")
    both.mine.commit()


# Each is said in another way, or not at all, when something is evaluated too early or too late.
ORDERED = [
    # a row that is refused before its indexes
    f"INSERT OR IGNORE INTO t VALUES (7, 0, {LEAST}, NULL)",
    f"INSERT INTO t VALUES (7, 0, {LEAST}, NULL)",
    f"INSERT OR IGNORE INTO t VALUES (7, 0, {LEAST}, -1)",
    f"INSERT INTO t VALUES (7, 0, {LEAST}, -1)",
    f"INSERT OR IGNORE INTO t VALUES (1, 0, {LEAST}, 5)",
    f"INSERT INTO t VALUES (1, 0, {LEAST}, 5)",
    f"INSERT INTO t VALUES (1, 0, {LEAST}, 5) ON CONFLICT DO NOTHING",
    f"INSERT INTO t VALUES (1, 0, {LEAST}, 5) ON CONFLICT(id) DO UPDATE SET n = n + 1",
    # a younger unique index refuses it, an older one fails
    f"INSERT OR IGNORE INTO t VALUES (7, 0, {LEAST}, 1)",
    f"INSERT INTO t VALUES (7, 0, {LEAST}, 1)",
    f"INSERT INTO t VALUES (7, 0, {LEAST}, 1) ON CONFLICT DO NOTHING",
    f"INSERT INTO t VALUES (7, 0, {LEAST}, 1) ON CONFLICT(n) DO UPDATE SET a = 9",
    f"REPLACE INTO t VALUES (7, 0, {LEAST}, 1)",
    # an older one refuses it, a younger one fails
    f"INSERT OR IGNORE INTO t VALUES (7, {LEAST}, 1, 5)",
    f"INSERT INTO t VALUES (7, {LEAST}, 1, 5) ON CONFLICT DO NOTHING",
    # a row is changed
    f"UPDATE OR IGNORE t SET b = {LEAST}, n = NULL",
    f"UPDATE OR IGNORE t SET b = {LEAST}, n = 2 WHERE id = 1",
    f"UPDATE t SET b = {LEAST}, n = 2 WHERE id = 1",
    f"UPDATE t SET b = {LEAST}",
    f"UPDATE OR REPLACE t SET b = {LEAST}, n = 2 WHERE id = 1",
]


@pytest.mark.slow
@pytest.mark.parametrize("sql", ORDERED)
@pytest.mark.parametrize("last", ["CREATE UNIQUE INDEX n_is ON t(n)", "CREATE UNIQUE INDEX n_is ON t(n) WHERE a < 9"])
def test_what_is_evaluated_before_a_row_is_refused(
    connect: Callable[..., driver.Connection], sql: str, last: str
) -> None:
    both = Beside(
        connect(),
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, n NOT NULL CHECK (n > 0))",
        "CREATE UNIQUE INDEX b_is ON t(abs(b))",
        "CREATE INDEX b_where ON t(id) WHERE abs(b) > 3",
        last,
        "CREATE INDEX a_is ON t(abs(a))",
        "INSERT INTO t VALUES (1, 1, 1, 1), (2, 2, 2, 2)",
    )
    both.run(sql)
    both.mine.commit()


def test_generated_columns_that_fail_in_rows_that_were_there_before(connect: Callable[..., driver.Connection]) -> None:
    """ALTER TABLE computes nothing; what needs the column fails then, and nothing else."""
    rows = f"INSERT INTO t VALUES (1, {LEAST}, 2), (2, 3, 4)"
    both = Beside(connect(), "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)", rows)
    for sql in (
        "ALTER TABLE t ADD COLUMN g AS (abs(a))",
        "CREATE INDEX b_is ON t(b)",
        "CREATE INDEX b_where ON t(b) WHERE b > 1",
        "CREATE INDEX g_where ON t(b) WHERE g > 1",
        "CREATE INDEX g_is ON t(g)",
        "CREATE INDEX g_some ON t(g) WHERE b > 2",
        "UPDATE t SET b = 5 WHERE id = 1",
        "UPDATE t SET b = 5 WHERE id = 2",
        "DELETE FROM t WHERE id = 1",
        "INSERT INTO t(id, a) VALUES (3, -3)",
        f"INSERT OR IGNORE INTO t(id, a) VALUES (3, {LEAST})",
    ):
        both.tables = []
        both.run(sql)
    both.tables = ["t"]
    both.compare()
    both.mine.commit()


def expression(rng: random.Random) -> str:
    column = rng.choice("abc")
    return rng.choice(
        [f"abs({column})", f"json_extract({column}, '$.x')", f"{column} || 'x'", f"json({column})", "abs(n)"]
    )


def condition(rng: random.Random) -> str:
    column = rng.choice("abc")
    return rng.choice([f"json_valid({column})", f"{column} > 0", f"abs({column}) > 1", f"{column} IS NOT NULL", "n < 3",
                       f"json({column}) <> '1'", f"typeof({column}) = 'integer' AND {column} > {LEAST}"])


def index(rng: random.Random, name: str) -> str:
    parts = rng.sample([expression(rng), rng.choice("abc"), "n"], rng.randint(1, 2))
    where = f" WHERE {condition(rng)}" if rng.random() < 0.6 else ""
    return f"CREATE {rng.choice(['UNIQUE ', ''])}INDEX {name} ON t({', '.join(parts)}){where}"


def value(rng: random.Random) -> str:
    return rng.choice(["NULL", "1", "2", "-1", str(LEAST), "'{\"x\": 1}'", "'not json'", "'1'", "0.5"])


def statement(rng: random.Random, targets: list[str]) -> str:
    values = f"({rng.randint(1, 6)}, {', '.join(value(rng) for _ in range(3))}, {rng.choice('12345N')})"
    values = values.replace("N)", "NULL)")
    sets = ", ".join(f"{column} = {value(rng)}" for column in rng.sample("abc", rng.randint(1, 2)))
    verb = rng.choice(["INSERT", "INSERT OR IGNORE", "REPLACE", "INSERT OR FAIL"])
    insert = f"{verb} INTO t(id, a, b, c, n) VALUES {values}"
    change = rng.choice(["UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE"])
    column = rng.choice("abc")
    where = rng.choice(["", f" WHERE json_valid({column})", f" WHERE {column} > 0", " WHERE n < 3"])
    upsert = f"INSERT INTO t(id, a, b, c, n) VALUES {values} ON CONFLICT"
    kinds = [insert, insert, f"{upsert} DO NOTHING", f"{change} t SET {sets} WHERE id = {rng.randint(1, 6)}",
             f"DELETE FROM t WHERE id = {rng.randint(1, 6)}", f"{upsert}{rng.choice(targets)} DO UPDATE SET {sets}",
             f"UPDATE t SET n = {rng.randint(1, 5)} WHERE id = {rng.randint(1, 6)}",
             f"SELECT * FROM t{where} ORDER BY id"]
    return rng.choice(kinds)


@pytest.mark.slow
@pytest.mark.parametrize("generated", ["", "g AS (abs(a))", "g AS (abs(a)) STORED", "g AS (json_extract(b, '$.x'))"])
@pytest.mark.parametrize("nth", range(25))
def test_at_random(connect: Callable[..., driver.Connection], rng: random.Random, generated: str, nth: int) -> None:
    columns = "id INTEGER PRIMARY KEY, a, b, c, n INT NOT NULL CHECK (n < 5)"
    both = Beside(connect(), f"CREATE TABLE t({columns}{', ' * bool(generated)}{generated})")
    targets = ["(id)"]
    for i in range(rng.randint(1, 4)):
        sql = index(rng, f"i{i}")
        both.run(sql)
        if sql.startswith("CREATE UNIQUE"):
            targets.append(sql[sql.index("t(") + 1:])
    for _ in range(40):
        both.run(statement(rng, targets))
        if rng.random() < 0.05:
            both.run("DROP INDEX IF EXISTS made")
            both.run(index(rng, "made"))
    both.mine.commit()


@pytest.mark.parametrize("order", [0, 1])
def test_of_several_constraints_that_a_target_means_the_youngest_counts(
    connect: Callable[..., driver.Connection], order: int
) -> None:
    indexes = ["CREATE UNIQUE INDEX full ON t(n)", "CREATE UNIQUE INDEX part ON t(n) WHERE a > 0"]
    both = Beside(connect(), "CREATE TABLE t(id INTEGER PRIMARY KEY, a, n)", *(indexes if order else indexes[::-1]))
    both.run("INSERT INTO t VALUES (1, 1, 1)")
    for a in (1, -1):
        for target in ("(n) WHERE a > 0", "(n)"):
            both.run(f"INSERT INTO t VALUES (2, {a}, 1) ON CONFLICT{target} DO UPDATE SET id = id + 10")
            both.run(f"INSERT INTO t VALUES (2, {a}, 1) ON CONFLICT{target} DO NOTHING")
    both.mine.commit()
