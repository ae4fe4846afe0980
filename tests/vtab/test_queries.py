"""Random queries give the rows plain SQLite gives, with whatever indexes there are.

The columns have every affinity and collation and hold values of every class, few enough to meet each other. Queries
compare columns with constants, parameters, columns of another table, lists and subqueries.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from .helpers import Pair

COLUMNS = {"i": "INTEGER", "r": "REAL", "n": "NUMERIC", "s": "TEXT", "nc": "TEXT COLLATE NOCASE",
           "rt": "TEXT COLLATE RTRIM", "b": "BLOB", "x": ""}
NUMERIC = ("id", "i", "r", "n")

VALUES: list[Any] = [
    None, None, 0, 1, 2, 3, -1, 12, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 0.0, 1.0, 1.5, 2.5, -1.0, 12.0, 9.3e18,
    1e300, 2.0**53, -0.0, 9223372036854775807.0, "0", "1", "1.0", "1.5", "2", "12", "012", " 12", "12 ", "1e0", "abc",
    "ABC", "abc ", "aBc", "b", "", " ", "!", "a\x00b", "2024-01-01", "3000", "zz", "é", "É", b"", b"1", b"abc", b"\x00",
    b"12", b"\xff",
]

INDEXES = [
    "i", "r", "n", "s", "nc", "rt", "b", "x", "i DESC", "s DESC", "x DESC", "b DESC", "i, s", "s, i", "n, r DESC, s",
    "nc, i", "x, n", "i DESC, n DESC", "s COLLATE NOCASE", "nc COLLATE BINARY", "s, nc, rt", "r DESC, i", "b, x",
    "rt, id", "id, s", "i, n, s", "x DESC, i", "s COLLATE RTRIM DESC, i",
]


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, str):
        if "\x00" in value:
            return f"CAST(x'{value.encode().hex()}' AS TEXT)"
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


class Query:
    """One random query and its bindings."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.bindings: list[Any] = []

    def column(self, table: str = "t", numeric: bool = False) -> str:
        return f"{table}.{self.rng.choice(NUMERIC if numeric else ['id', *COLUMNS])}"

    def value(self) -> str:
        value = self.rng.choice(VALUES)
        if self.rng.random() < 0.4:
            self.bindings.append(value)
            return "?"
        if self.rng.random() < 0.1:
            return f"CAST({literal(value)} AS {self.rng.choice(['TEXT', 'INTEGER', 'NUMERIC', 'BLOB'])})"
        return literal(value)

    def operand(self, other: str | None) -> str:
        if other and self.rng.random() < 0.5:
            return self.column(other)
        if self.rng.random() < 0.05:
            return f"(SELECT {self.column('u')} FROM u ORDER BY id LIMIT 1 OFFSET {self.rng.randrange(4)})"
        return self.value()

    def predicate(self, table: str, other: str | None, depth: int = 0) -> str:
        kind = self.rng.randrange(14)
        column = self.column(table)
        if kind <= 3:
            return f"{column} = {self.operand(other)}"
        if kind <= 6:
            return f"{column} {self.rng.choice(['<', '<=', '>', '>='])} {self.operand(other)}"
        if kind == 7:
            return f"{column} BETWEEN {self.operand(other)} AND {self.operand(other)}"
        if kind == 8:
            return f"{column} IN ({', '.join(self.value() for _ in range(self.rng.randrange(5)))})"
        if kind == 9:
            return f"{column} IN (SELECT {self.column('w')} FROM u AS w WHERE w.id < {self.rng.randrange(12)})"
        if kind == 10:
            operator = self.rng.choice(["IS NULL", "IS NOT NULL", "IS", "IS NOT"])
            return f"{column} {operator} {'' if operator.endswith('NULL') else self.operand(other)}"
        if kind == 11:
            return f"{column} = {self.operand(other)} COLLATE {self.rng.choice(['BINARY', 'NOCASE', 'RTRIM'])}"
        if kind == 12 and depth == 0:
            joiner = self.rng.choice([" OR ", " AND "])
            return "(" + joiner.join(self.predicate(table, other, 1) for _ in range(2)) + ")"
        if self.rng.random() < 0.3 and other is None:
            # Not in the condition of a LEFT JOIN: there plain SQLite 3.54 loses rows that match nothing.
            column, pattern = self.rng.choice(["s", "nc", "rt"]), self.rng.choice(["a%", "AB%", "1%", "%2", "_"])
            return f"{table}.{column} LIKE '{pattern}'"
        row = f"({self.column(table)}, {self.column(table)})"
        if self.rng.random() < 0.5:
            return f"{row} {self.rng.choice(['=', '<', '>='])} ({self.operand(other)}, {self.operand(other)})"
        # Of numeric columns only: SQLite checks a vector IN on virtual tables without the subquery's affinities, so
        # that a text '012' misses the 12 of an INTEGER column there, whatever the table answers.
        row = f"({self.column(table, True)}, {self.column(table, True)})"
        return f"{row} IN (SELECT {self.column('w')}, {self.column('w')} FROM u AS w)"

    def where(self, table: str, other: str | None = None) -> str:
        return " AND ".join(self.predicate(table, other) for _ in range(self.rng.choice([0, 1, 1, 2, 2, 3, 4]))) or "1"

    def order(self, table: str) -> list[str]:
        names = self.rng.sample(["id", *COLUMNS], self.rng.randrange(1, 4))
        return [f"{table}.{name}{self.rng.choice(['', ' DESC'])}" for name in names]


def single(q: Query) -> tuple[str, int | None]:
    """A query of one table, and how many of its columns have to come in order."""
    rng, where = q.rng, q.where("t")
    kind = rng.randrange(7)
    if kind == 0:
        # Which of several equal values is shown is free: only columns where equal values look alike.
        low, high = rng.choice("irs"), rng.choice("irs")
        return f"SELECT count(*), min({low}), max({high}) FROM t WHERE {where}", None
    if kind == 1:
        names = ", ".join(rng.sample(list(COLUMNS), rng.randrange(1, 3)))
        return f"SELECT count(*), sum(id) FROM t WHERE {where} GROUP BY {names}", None
    if kind == 2:
        names = rng.sample(["i", "r", "s"], rng.randrange(1, 3))
        return f"SELECT DISTINCT {', '.join(names)} FROM t WHERE {where} ORDER BY {', '.join(names)}", len(names)
    if kind == 3:
        return f"SELECT {', '.join(rng.sample(['id', *COLUMNS], 2))} FROM t WHERE {where}", None
    order = ", ".join([*q.order("t"), rng.choice(["t.id", "t.id DESC"])])
    limit = f" LIMIT {rng.randrange(1, 9)} OFFSET {rng.randrange(4)}" if kind == 4 else ""
    return f"SELECT t.id, {', '.join(rng.sample(list(COLUMNS), 2))} FROM t WHERE {where} ORDER BY {order}{limit}", 1


def joined(q: Query) -> tuple[str, int | None]:
    rng = q.rng
    join = rng.choice(["JOIN", "LEFT JOIN", "JOIN"])
    on = " AND ".join(q.predicate("t", "u") for _ in range(rng.choice([1, 1, 2])))
    if rng.random() < 0.3:
        return f"SELECT u.id FROM u WHERE EXISTS (SELECT 1 FROM t WHERE {on})", None
    if rng.random() < 0.2:
        return f"SELECT u.id, (SELECT count(*) FROM t WHERE {on}) FROM u", None
    where = q.where("u")
    if rng.random() < 0.5:
        column = rng.choice(list(COLUMNS))
        return f"SELECT t.id, u.id, t.{column} FROM u {join} t ON {on} WHERE {where} ORDER BY t.id, u.id", 2
    return f"SELECT count(*), sum(t.id) FROM u {join} t ON {on} WHERE {where}", None


def fill(pair: Pair, rng: random.Random, rows: int) -> None:
    columns = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
    for name, count in (("t", rows), ("u", 12)):
        pair.create_table(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY, {columns})", name)
        pair.both("BEGIN")
        for _ in range(count):
            row = [rng.choice(VALUES) for _ in COLUMNS]
            pair.both(f"INSERT INTO {name} VALUES (NULL, {', '.join('?' * len(row))})", row)
        pair.both("COMMIT")


@pytest.mark.slow
@pytest.mark.parametrize("n_indexes", [0, 1, 3, 6, 28])
def test_random_queries(pair: Pair, rng: random.Random, n_indexes: int) -> None:
    fill(pair, rng, 150)
    for number, columns in enumerate(rng.sample(INDEXES, n_indexes)):
        pair.create_index(f"CREATE INDEX ix{number} ON t({columns})", "t")
    for round_ in range(1500):
        query = Query(rng)
        sql, ordered = single(query) if rng.random() < 0.6 else joined(query)
        pair.ask(sql, query.bindings, ordered)
        if round_ % 300 == 299:     # some rows change, so that there are several versions and own writes
            change(pair, rng)
    pair.same_table("t")


def change(pair: Pair, rng: random.Random) -> None:
    if pair.raw.db.in_transaction:
        pair.both(rng.choice(["COMMIT", "ROLLBACK"]))
    else:
        pair.both("BEGIN")
    for _ in range(20):
        column = rng.choice(list(COLUMNS))
        pair.both(f"UPDATE t SET {column} = ? WHERE id = ?", (rng.choice(VALUES), rng.randrange(1, 150)))
    pair.both("DELETE FROM t WHERE id IN (?, ?)", (rng.randrange(1, 150), rng.randrange(1, 150)))


@pytest.mark.parametrize("collation", ["BINARY", "NOCASE", "RTRIM"])
def test_order_without_tie_break_is_monotonic(pair: Pair, rng: random.Random, collation: str) -> None:
    fill(pair, rng, 120)
    for number, columns in enumerate(("s", "nc", "rt", "x, s", "i DESC, s", f"s COLLATE {collation}")):
        pair.create_index(f"CREATE INDEX ix{number} ON t({columns})", "t")
    for _ in range(200):
        name = rng.choice(list(COLUMNS))
        direction = rng.choice(["", "DESC"])
        where = rng.choice(["1", "i > 0", "s < ?1", "nc = ?1"])
        query = f"SELECT {name} FROM t WHERE {where} ORDER BY {name} {direction}"
        rows = pair.raw.rows(query, ("abc",) if "?1" in query else ())
        declared = {"nc": "NOCASE", "rt": "RTRIM"}.get(name, "BINARY")
        pair.sqlite.execute("DROP TABLE IF EXISTS got")
        pair.sqlite.execute(f"CREATE TABLE got(p INTEGER PRIMARY KEY, v COLLATE {declared})")
        pair.sqlite.executemany("INSERT INTO got(v) VALUES (?)", rows)
        smaller, none = ("<", "IS NULL") if not direction else (">", "IS NOT NULL")
        wrong = list(pair.sqlite.execute(
            f"SELECT a.v, b.v FROM got a JOIN got b ON b.p = a.p + 1 WHERE b.v {smaller} a.v OR (b.v IS NULL "
            f"AND a.v IS NOT NULL AND 1 = {int(not direction)}) "
            f"OR (a.v IS NULL AND b.v IS NOT NULL AND 1 = {int(bool(direction))})"))
        assert wrong == [], (query, none)


def plan_of(pair: Pair, sql: str) -> str:
    return " ".join(row[3] for row in pair.raw.rows(f"EXPLAIN QUERY PLAN {sql}"))


def test_plans_use_the_index_and_its_order(pair: Pair) -> None:
    pair.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c REAL)", "t")
    pair.create_index("CREATE INDEX ab ON t(a, b DESC)", "t")
    for i in range(400):
        pair.raw.run("INSERT INTO t VALUES (NULL, ?, ?, ?)", (i % 20, f"x{i}", i / 2))
    own, tree = pair.raw.table("t").id, pair.raw.table("t").indexes[0].tree
    for sql, plan in [
        ("SELECT * FROM t", f"INDEX {own}:f-"),
        ("SELECT * FROM t WHERE id = 3", f"INDEX {own}:f-=kc"),
        ("SELECT * FROM t WHERE id IN (3, 4)", f"INDEX {own}:f-i--"),
        ("SELECT * FROM t WHERE id > 3 ORDER BY id DESC", f"INDEX {own}:ro>k-"),
        ("SELECT * FROM t WHERE a = 3", f"INDEX {tree}:f-=kc"),
        ("SELECT * FROM t WHERE a = 3 AND b > 'x'", f"INDEX {tree}:f-=kc>k-"),
        ("SELECT * FROM t WHERE a = 3 ORDER BY b DESC", f"INDEX {tree}:fo=kc"),
        ("SELECT * FROM t WHERE a = 3 ORDER BY b", f"INDEX {tree}:ro=kc"),
        ("SELECT a, b FROM t ORDER BY a, b DESC", f"INDEX {tree}:fo"),
        ("SELECT a, b FROM t ORDER BY a DESC, b", f"INDEX {tree}:ro"),
        ("SELECT count(*) FROM t GROUP BY b, a", f"INDEX {tree}:fo"),
        ("SELECT DISTINCT a FROM t", f"INDEX {tree}:fo"),
        ("SELECT * FROM t WHERE a IN (1, 2) ORDER BY a, b DESC", f"INDEX {tree}:foi--"),
    ]:
        got = plan_of(pair, sql)
        assert plan in got, (sql, got)
        assert "TEMP B-TREE" not in got, (sql, got)


def judged_by_sqlite(pair: Pair, sql: str) -> int:
    """How often the program of a query compares a row with a list."""
    return sum(row[1] in ("Found", "NotFound", "Ne", "Eq") for row in pair.raw.rows(f"EXPLAIN {sql}"))


def test_lists_of_row_ids_are_left_to_the_keys(pair: Pair, rng: random.Random) -> None:
    """Few or most of the rows, whatever the members are: SQLite does not compare again what the keys decide."""
    pair.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, s TEXT)", "t")
    pair.create_index("CREATE INDEX s ON t(s)", "t")
    pair.create_table("CREATE TABLE u(id INTEGER PRIMARY KEY, x)", "u")
    for i in range(150):
        pair.both("INSERT INTO t VALUES (?, ?)", (i - 20, f"{i}"))
    for value in [*VALUES, *range(-40, 200)]:
        pair.both("INSERT INTO u(x) VALUES (?)", (value,))
    assert judged_by_sqlite(pair, "SELECT s FROM t WHERE id IN (1, 2, 3, 4, 5)") == 0
    assert judged_by_sqlite(pair, "SELECT s FROM t WHERE id IN (SELECT x FROM u)") == 0
    assert judged_by_sqlite(pair, "SELECT id FROM t WHERE s IN ('1', '2', '3', '4', '5')") > 0
    pair.ask("SELECT * FROM t WHERE id IN (SELECT x FROM u)", (), None)
    pair.ask("SELECT * FROM t WHERE id IN (SELECT x FROM u) ORDER BY id DESC", (), 1)
    for _ in range(60):
        members = rng.choices([*VALUES, *range(-40, 200)], k=rng.choice((0, 1, 2, 3, 12, 60, 200)))
        given = [rng.random() < 0.5 for _ in members]
        listed = ", ".join("?" if bound else literal(value) for value, bound in zip(members, given, strict=True))
        bound = tuple(value for value, bound in zip(members, given, strict=True) if bound)
        pair.ask(f"SELECT * FROM t WHERE id IN ({listed})", bound, None)
        pair.ask(f"SELECT * FROM t WHERE id NOT IN ({listed}) AND s > '1'", bound, None)
        pair.ask(f"SELECT count(*), max(s) FROM t WHERE id IN ({listed}) AND s < '7'", bound, None)


def test_a_plan_made_while_the_table_was_empty_uses_the_index(pair: Pair) -> None:
    """Plans are kept, and rows of the running transaction are in no count: a table must not be planned as if empty."""
    pair.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INTEGER, c)", "t")
    pair.create_index("CREATE INDEX b ON t(b)", "t")
    trees = [index.tree for index in pair.raw.table("t").indexes]
    queries = [("SELECT * FROM t WHERE a = ?", trees[0]), ("SELECT * FROM t WHERE b > ?", trees[1]),
               ("SELECT c FROM t WHERE b = ? AND c > 1", trees[1])]

    def check() -> None:
        for sql, tree in queries:
            assert f"INDEX {tree}:" in plan_of(pair, sql.replace("?", "random()")), sql

    check()
    pair.raw.run("BEGIN")
    for i in range(50):
        pair.raw.run("INSERT INTO t VALUES (NULL, ?, ?, ?)", (f"x{i}", i, i))
    check()
    pair.raw.run("COMMIT")
    check()


def test_in_order_with_lists_of_several_parts(pair: Pair) -> None:
    pair.create_table("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c INTEGER)", "t")
    pair.create_index("CREATE INDEX abc ON t(a, b DESC, c)", "t")
    for i in range(300):
        pair.both("INSERT INTO t VALUES (NULL, ?, ?, ?)", (i % 5, i % 7, i % 11))
    for tail in ("", "ORDER BY a, b DESC, c", "ORDER BY a DESC, b, c DESC", "ORDER BY a, b DESC", "ORDER BY b"):
        for where in ("a IN (3, 1, 9, 1) AND b IN (5, 2)", "a IN (4, 2) AND b = 3 AND c > 4",
                      "a = 2 AND b IN (1, 6) AND c < 9", "a IN (1, 2) AND b > 3",
                      "a IN (SELECT a FROM t WHERE id < 4) AND b IS 2", "a IN () AND b = 1"):
            columns = "b, a, c" if tail == "ORDER BY b" else "a, b, c"
            pair.ask(f"SELECT {columns} FROM t WHERE {where} {tail}", (), tail.count(",") + 1 if tail else None)
