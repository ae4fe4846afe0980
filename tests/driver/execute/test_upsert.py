"""INSERT ... ON CONFLICT: row by row, as plain SQLite does it.

Duplicates within one statement, conflicts that an earlier DO UPDATE made, constraints that no clause is for, several
clauses, and RETURNING in between all depend on the rows being taken one after the other.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import apsw
import pytest

from entitydb_dialect import driver

from ..beside import Beside

Connect = Callable[..., driver.Connection]

SCHEMA = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER UNIQUE, b TEXT, c TEXT COLLATE NOCASE DEFAULT 'x', n NOT NULL"
    " DEFAULT 0, d, CHECK (n <> 13), UNIQUE (b, c))",
    "CREATE TABLE s(x, y)",
)


@pytest.fixture
def both(db: driver.Connection) -> Beside:
    return Beside(db, *SCHEMA)


def test_duplicates_within_one_statement_are_taken_in_turn(both: Beside) -> None:
    both.run("INSERT INTO t(id, n) VALUES (1, 5)")
    found = both.run(
        "INSERT INTO t(id, n) VALUES (1, 10), (1, 20), (2, 5), (2, 7) ON CONFLICT (id) DO UPDATE SET n = n + excluded.n"
        " RETURNING id, n"
    )
    assert found == [(1, 15), (1, 35), (2, 5), (2, 12)]


def test_constraints_of_no_clause_are_not_swallowed(both: Beside) -> None:
    both.run("INSERT INTO t(id, a, b, c) VALUES (1, 1, 'k', 'v')")
    for sql in (
        "INSERT INTO t(id, n) VALUES (1, NULL) ON CONFLICT DO NOTHING",
        "INSERT INTO t(id, n) VALUES (1, 13) ON CONFLICT (id) DO NOTHING",
        "INSERT INTO t(id, a) VALUES (2, 1) ON CONFLICT (id) DO NOTHING",
        "INSERT INTO t(id, b, c) VALUES (2, 'k', 'V') ON CONFLICT (a) DO UPDATE SET n = 1",
        "INSERT INTO t(id) VALUES (1) ON CONFLICT (id) DO UPDATE SET n = NULL",
        "INSERT INTO t(id) VALUES (1) ON CONFLICT (id) DO UPDATE SET n = 13",
    ):
        assert "constraint failed" in both.run(sql)


def test_do_nothing_says_nothing_of_its_rows(both: Beside) -> None:
    both.run("INSERT INTO t(id, a) VALUES (1, 1)")
    found = both.run("INSERT INTO t(id, a) VALUES (5, 1), (6, 2), (6, 3), (7, 4) ON CONFLICT DO NOTHING RETURNING id")
    assert found == [(6,), (7,)]


def test_where_false_leaves_the_row(both: Beside) -> None:
    both.run("INSERT INTO t(id, n) VALUES (1, 5), (2, 50)")
    sql = "INSERT INTO t(id, n) VALUES (1, 7), (2, 7) ON CONFLICT (id) DO UPDATE SET n = excluded.n WHERE n < 10"
    assert both.run(sql + " RETURNING id, n") == [(1, 7)]


def test_several_clauses_are_judged_in_their_order(both: Beside) -> None:
    both.run("INSERT INTO t(id, a, b, c) VALUES (1, 10, 'p', 'q'), (2, 20, 'r', 's')")
    for row in ("1, 20, 'r', 's'", "2, 10, 'z', 'z'", "3, 10, 'r', 'S'", "3, 30, 'r', 's'", "4, 10, 'n', 'n'"):
        both.run(
            f"INSERT INTO t(id, a, b, c) VALUES ({row}) ON CONFLICT (a) DO UPDATE SET n = n + 1"
            " ON CONFLICT (b, c) DO NOTHING ON CONFLICT DO UPDATE SET n = n + 100"
        )
    both.run("INSERT INTO t(id, a) VALUES (1, 99) ON CONFLICT DO NOTHING ON CONFLICT (a) DO NOTHING")


def test_names_mean_the_row_and_excluded_the_other(both: Beside) -> None:
    both.run("INSERT INTO t(id, a, b, c) VALUES (1, 1, 'one', 'two')")
    both.run(
        "INSERT INTO t(a, b) VALUES (1, 'new') ON CONFLICT (a) DO UPDATE SET b = t.b || '/' || excluded.b || '/' || b,"
        " c = upper(c) || excluded.c, n = (SELECT count(*) FROM s) + excluded.rowid * 0 RETURNING *"
    )
    both.run("INSERT INTO t AS q(a, b) VALUES (1, 'w') ON CONFLICT (a) DO UPDATE SET (b, n) = (q.b || 'x', 7)")
    both.run("INSERT INTO t(a) VALUES (1) ON CONFLICT (a) DO UPDATE SET id = id + 100, a = '42' RETURNING id, a")
    both.run("INSERT INTO t(a) VALUES (42) ON CONFLICT (a) DO UPDATE SET id = 'x'")
    both.run("INSERT INTO t(a) VALUES (42) ON CONFLICT (a) DO UPDATE SET nosuch = 1")


def test_targets_have_to_be_unique(both: Beside) -> None:
    wanted = "ON CONFLICT clause does not match any PRIMARY KEY or UNIQUE constraint"
    for target in ("(n)", "(b)", "(a, b)", "(b, c COLLATE BINARY)", "(a + 1)", "(id, a)"):
        assert both.run(f"INSERT INTO t(a) VALUES (1) ON CONFLICT {target} DO NOTHING") == wanted
    for target in ("(rowid)", "(c, b)", "(b, c COLLATE NOCASE)", "(id)", "(t.a)", '("A")'):
        both.run(f"INSERT INTO t(id, a) VALUES (1, 1) ON CONFLICT {target} DO NOTHING")


def test_parameters_of_all_parts_are_counted_across_the_statement(both: Beside) -> None:
    sql = (
        "INSERT INTO t(id, n) VALUES (?, ?)"
        " ON CONFLICT (id) DO UPDATE SET n = excluded.n + ? WHERE n < ? RETURNING n, ?"
    )
    for values in ((1, 2, 3, 4, 5), (1, 2, 3, 4, 5), (1, 9, 1, 1, "end")):
        both.run(sql, values)
    named = "INSERT INTO t(id, n) VALUES (:i, :n) ON CONFLICT (id) DO UPDATE SET n = :n * 2 + :k RETURNING n + :k AS z"
    for n in (4, 5):
        both.run(named, {"i": 3, "n": n, "k": 10})
    both.run("INSERT INTO t(id, n) VALUES (?2, ?1) ON CONFLICT (id) DO UPDATE SET n = ?3 RETURNING ?2", (7, 3, 8))
    with pytest.raises(driver.ProgrammingError):
        both.mine.execute(sql, (1, 2, 3))
    with pytest.raises(driver.ProgrammingError):
        both.mine.execute(named, {"i": 3, "n": 4})
    both.compare()


def test_insert_select_and_executemany(both: Beside) -> None:
    both.tables, both.rowids = ["t"], False
    both.run("INSERT INTO s VALUES (1, 10), (2, 20), (1, 30), (NULL, 40)")
    sql = "INSERT INTO t(a, n) SELECT x, y FROM s WHERE true ON CONFLICT (a) DO UPDATE SET n = n * 100 + excluded.n"
    both.run(sql)
    both.run(sql + " RETURNING a, n")
    many = "INSERT INTO t(a, n) VALUES (?, ?) ON CONFLICT (a) DO UPDATE SET n = n + ?"
    values = [(1, 1, 5), (8, 1, 5), (8, 1, 5)]
    cursor = both.mine.cursor().executemany(many, values)
    both.theirs.executemany(many, values)
    assert cursor.rowcount == 3
    both.compare()


def test_a_function_may_upsert_inside_an_upsert(both: Beside) -> None:
    def nested(value: int) -> int:
        both.mine.execute(
            "INSERT INTO t(id, n) VALUES (100, ?) ON CONFLICT (id) DO UPDATE SET n = n + excluded.n RETURNING n",
            (value,),
        ).fetchall()
        return value * 2

    both.mine.create_function("nested", 1, nested)
    both.mine.execute("INSERT INTO t(id, n) VALUES (1, 1), (2, 2)")
    found = both.mine.execute(
        "INSERT INTO t(id, n) VALUES (1, 5), (2, 6)"
        " ON CONFLICT (id) DO UPDATE SET n = nested(excluded.n) RETURNING id, n"
    ).fetchall()
    assert found == [(1, 10), (2, 12)]
    assert both.mine.execute("SELECT n FROM t WHERE id = 100").fetchall() == [(11,)]


def _random_statement(rng: random.Random) -> tuple[str, tuple[Any, ...]]:
    def value() -> Any:
        return rng.choice([None, 1, 2, 3, "1", "a", "A", "b", 2.0, 7])

    rows = rng.randint(1, 4)
    values: list[Any] = []
    for _ in range(rows):
        values += [rng.choice([1, 2, 3, 4, 5, 6]), value(), value(), value(), rng.choice([1, 2, 3, 13, "z", 4, None])]
    sql = f"INSERT INTO t(id, a, b, c, n) VALUES {', '.join(['(?, ?, ?, ?, ?)'] * rows)}"
    targets = ["(id)", "(a)", "(b, c)", "(c, b)"]
    rng.shuffle(targets)
    for target in targets[: rng.choice([0, 1, 1, 2, 3])] + ([""] if rng.random() < 0.4 else []):
        sql += f" ON CONFLICT {target} DO "
        if rng.random() < 0.3:
            sql += "NOTHING"
            continue
        settings = ["n = n || excluded.n", "a = excluded.a", "b = excluded.b", "c = c || b", "id = id + 1", "n = ?",
                    "(b, c) = (excluded.c, t.b)"]
        chosen = rng.sample(settings, rng.randint(1, 3))
        sql += "UPDATE SET " + ", ".join(chosen)
        values += [rng.randint(1, 15)] * sum("?" in one for one in chosen)
        if rng.random() < 0.4:
            sql += rng.choice([" WHERE excluded.n > 2", " WHERE t.a IS NOT excluded.a", " WHERE b <> ?"])
            if sql.endswith("?"):
                values.append(value())
    if rng.random() < 0.5:
        sql += " RETURNING " + rng.choice(["*", "id, n || ?", "a, typeof(a), c = 'A'", "(SELECT max(x) FROM s), b"])
        if sql.endswith("?"):
            values.append("!")
    return sql, tuple(values)


@pytest.mark.slow
def test_random_upserts_are_those_of_plain_sqlite(both: Beside, rng: random.Random) -> None:
    for _ in range(400):
        both.run(*_random_statement(rng))
        if rng.random() < 0.05:
            both.run("DELETE FROM t WHERE id % 2 = ?", (rng.randint(0, 1),))


def test_lastrowid_and_rowcount(both: Beside) -> None:
    cursor = both.mine.cursor()
    sql = "INSERT INTO t(id, n) VALUES (?, 1) ON CONFLICT (id) DO UPDATE SET n = n + 1"
    assert (cursor.execute(sql, (7,)).rowcount, cursor.lastrowid) == (1, 7)
    assert (cursor.execute(sql, (3,)).rowcount, cursor.lastrowid) == (1, 3)
    assert (cursor.execute(sql, (7,)).rowcount, cursor.lastrowid) == (1, 3)
    assert cursor.execute(sql + " WHERE n > 5", (7,)).rowcount == 0
    assert cursor.execute("INSERT INTO t(id) VALUES (3), (4) ON CONFLICT DO NOTHING").rowcount == 1
    assert cursor.lastrowid == 4


def test_subqueries_see_the_rows_written_so_far(both: Beside) -> None:
    """Of this statement too: by inserts, by updates, and in the WHERE."""
    both.run("INSERT INTO t(id, n) VALUES (1, 5)")
    both.run(
        "INSERT INTO t(id, n) VALUES (2, 1), (1, 0), (3, 1), (1, 0), (2, 0)"
        " ON CONFLICT (id) DO UPDATE SET n = (SELECT count(*) * 100 + sum(n) FROM t AS o WHERE o.id < 3 + excluded.n)"
        " WHERE (SELECT max(id) FROM t AS o WHERE o.id >= excluded.id) > 1 RETURNING id, n"
    )
    both.run("INSERT INTO s SELECT id, n FROM t")
    # What does not depend on the row is asked for each row too (SQLite asks once).
    state = dict(both.mine.execute("SELECT id, n FROM t").fetchall())
    wanted = []
    for key in (3, 2, 1):
        state[key] = sum(state.values())
        wanted.append((key, state[key]))
    sql = "INSERT INTO t(id) VALUES (3), (2), (1) ON CONFLICT (id) DO UPDATE SET n = (SELECT sum(n) FROM t)"
    assert both.mine.execute(sql + " RETURNING id, n").fetchall() == wanted


def test_a_connection_closes_after_an_upsert_that_asked_its_own_table(connect: Connect) -> None:
    connection = connect()
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
    for _ in range(2):
        connection.execute("INSERT INTO t VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = (SELECT max(n) + 1 FROM t)")
    assert connection.execute("SELECT n FROM t").fetchall() == [(2,)]
    connection.close()


def test_several_columns_are_set_from_one_subquery(both: Beside) -> None:
    both.run("INSERT INTO t VALUES (1, 1, 'b', 'c', 0), (2, 2, 'd', 'e', 3)")
    both.run("INSERT INTO s VALUES (1, 'one'), (2, 'two'), (2, 'zwei')")
    sql = "INSERT INTO t(id, a, n) VALUES (1, 7, 0), (2, 8, 0), (3, 9, 0) ON CONFLICT (id) DO UPDATE SET "
    both.run(sql + "(b, n) = (SELECT y, t.n + x + excluded.a FROM s WHERE x = t.id ORDER BY y LIMIT 1) RETURNING *")
    both.run(sql + "(b, n) = (VALUES (excluded.a || ?, ? + n)), c = ?", ("!", 5, "z"))
    both.run(sql + "(b, c) = (WITH w AS (SELECT ? AS p) SELECT p, a FROM w), (n) = (SELECT ?)", ("v", 6))
    both.run(sql + "(b, c) = (SELECT x, y FROM s WHERE false)")
    for wrong in ("(b, c) = (SELECT 1)", "(b, c) = (SELECT 1, 2, 3)"):
        with pytest.raises(driver.OperationalError):
            both.mine.execute(sql + wrong)


def test_more_clauses_than_are_kept(db: driver.Connection) -> None:
    """Each says what it said, with its own parameters, however many others were said in between."""
    both = Beside(db, SCHEMA[0])
    both.rowids = False
    for number in (*range(40), *range(40), *range(39, -1, -3), 0):
        where = ("", " WHERE ?2 > 0", f" WHERE excluded.n <> {number}")[number % 3]
        columns = "n = t.n + excluded.n + ?2" if number % 2 else f"b = '{number}' || ?2, n = t.n + 1"
        both.run(f"INSERT INTO t(a, n) VALUES (?1, {number + 20}) ON CONFLICT (a) DO UPDATE SET {columns}{where}",
                 (number % 7, number))  # fmt: skip
        both.run("INSERT INTO t(a) VALUES (?) ON CONFLICT DO NOTHING", (number % 11,))


def test_a_clause_that_is_in_use_is_not_lost(connect: Connect) -> None:
    """A function in it executes as many others as are kept, on the same connection."""
    db = connect(isolation_level=None)
    db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, n)")
    db.execute("CREATE TABLE u(a INTEGER PRIMARY KEY, n)")
    db.execute("INSERT INTO t VALUES (1, 0), (2, 0)")

    def others(n: int) -> int:
        for i in range(30):
            db.execute(f"INSERT INTO u VALUES (1, 1) ON CONFLICT (a) DO UPDATE SET n = n + {i}")
        return n + 1

    db.create_function("others", 1, others)
    sql = "INSERT INTO t VALUES (1, 5), (2, 6) ON CONFLICT (a) DO UPDATE SET n = others(excluded.n) WHERE ? > 0"
    for _ in range(3):
        db.execute(sql, (1,))
    assert db.execute("SELECT a, n FROM t ORDER BY a").fetchall() == [(1, 6), (2, 7)]
    assert db.execute("SELECT n FROM u").fetchall() == [(1 + 6 * sum(range(30)),)]


ASKED = (
    "excluded.d",
    '"excluded"."d" || [EXCLUDED].[c]',
    "excluded.a + ? * 2 - excluded.n",
    "(excluded.a IS NULL OR NOT excluded.a BETWEEN ? AND 4)",
    "excluded.d = 'K' AND excluded.c = 'V'",
    "?",
    "'it''s' || x'41' || 1.5 || NULL",
    "d || excluded.d || t.c || coalesce(excluded.n, ?)",
    "CASE excluded.a WHEN 1 THEN c ELSE excluded.c END",
    "(SELECT max(y) FROM s WHERE x = excluded.a)",
    "excluded.n + id",
    "excluded",
    "excluded.missing",
    "excluded.d.c",
)
BROKEN = ("excluded.a, 5", "excluded.a) AND (1", "excluded.a) FROM s WHERE (1", "excluded.", "(excluded.a", ")")


@pytest.mark.parametrize("expression", ASKED)
def test_expressions_mean_the_same_whether_they_look_at_the_row_or_not(both: Beside, expression: str) -> None:
    both.run("INSERT INTO s VALUES (1, 'found'), (2, 2.5)")
    both.run("INSERT INTO t(id, a, c) VALUES (1, 1, 'v'), (2, 2, 'w')")
    for value in (1, -7, 2.5, "text", "12", "", b"", b"\x00\x01", None, "long" * 5000, 2**62):
        given = (value,) * expression.count("?")
        for target in ("d", "n", "id"):
            both.run(
                "INSERT INTO t(a, c, d, n) VALUES (1, 'V', 'K', 3), (2, NULL, 'L', 4) ON CONFLICT (a) DO UPDATE SET"
                f" {target} = {expression}",
                given,
            )
        both.run(
            "INSERT INTO t(a, n) VALUES (1, 3) ON CONFLICT (a) DO UPDATE SET n = excluded.n + 1"
            f" WHERE {expression} RETURNING n",
            given,
        )


@pytest.mark.parametrize("expression", BROKEN)
def test_expressions_that_are_none_are_refused_whole(both: Beside, expression: str) -> None:
    both.run("INSERT INTO t(id, a, c) VALUES (1, 1, 'v')")
    for clause in (f"SET n = {expression}", f"SET (n, d, c) = ({expression})", f"SET n = 1 WHERE {expression}"):
        sql = f"INSERT INTO t(a) VALUES (1) ON CONFLICT (a) DO UPDATE {clause}"
        for side, error in ((both.mine, driver.Error), (both.theirs, apsw.Error)):
            with pytest.raises(error):
                side.execute(sql)
    both.compare(expression)


def test_one_column_in_parentheses_takes_any_expression(both: Beside) -> None:
    both.run("INSERT INTO t(id, a, n) VALUES (1, 1, 7)")
    for value in ("(excluded.n) + 1", "n + 1", "-n", "(1)", "(SELECT 4)", "(excluded.n) || (n)"):
        both.run(f"INSERT INTO t(a, n) VALUES (1, 3) ON CONFLICT (a) DO UPDATE SET (n) = {value} RETURNING n")


def test_a_table_of_the_name_excluded(db: driver.Connection) -> None:
    both = Beside(db, "CREATE TABLE excluded(id INTEGER PRIMARY KEY, excluded, n)")
    both.run("INSERT INTO excluded VALUES (1, 'old', 1)")
    for value in ("excluded", "excluded.excluded", "excluded.n", "n + excluded.n", "kept.n + 1"):
        for alias in ("", " AS kept", " AS excluded"):
            both.run(
                f"INSERT INTO excluded{alias} VALUES (1, 'new', 5) ON CONFLICT (id) DO UPDATE SET n = {value}"
                " RETURNING id, n"
            )


def test_more_parameters_than_one_call_takes_and_more_clauses_than_the_first_room(both: Beside) -> None:
    both.run("INSERT INTO t(id, a, b, c) VALUES (1, 1, 'k', 'v')")
    many = " + ".join("?" * 300)
    both.run(f"INSERT INTO t(a) VALUES (1) ON CONFLICT (a) DO UPDATE SET n = {many}", tuple(range(300)))
    texts = tuple(f"text {i}" * i for i in range(300))
    both.run(f"INSERT INTO t(a) VALUES (1) ON CONFLICT (a) DO UPDATE SET d = {many.replace('+', '||')}", texts)
    clauses = " ".join("ON CONFLICT (b, c) DO UPDATE SET n = ?" for _ in range(50))
    both.run(f"INSERT INTO t(a) VALUES (1) {clauses} ON CONFLICT (a) DO UPDATE SET n = ?", tuple(range(51)))
