"""The table entitydb_transactions: one row for each commit, found by id, by time and by actor."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver, transaction_info

from .asking import moment, rows, visits

Row = tuple[Any, ...]
ALL = "SELECT id, committed_at, actor, reason, metadata, label FROM entitydb_transactions"
ACTORS = ("ann", "Ann", "bob", "a", "5", "05")


def fill(db: driver.Connection, rng: random.Random, commits: int) -> list[Row]:
    """-> the rows that there must be."""
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.commit()
    rows: list[Row] = [(1, db.last_commit[1], None, None, None, None)]
    for i in range(commits):
        actor = rng.choice((None, *ACTORS))
        reason = rng.choice((None, "r" * rng.randrange(300)))
        metadata = {"i": i} if rng.random() < 0.3 else {}
        label = None
        db.execute("INSERT INTO t(a) VALUES (?)", (i,))
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            label = rng.choice(("nightly", "release", f"v{i}"))
            db.execute("SELECT entitydb_label(?)", (label,))
        with transaction_info(actor, reason, **metadata):
            db.commit()
        number, ns = db.last_commit
        rows.append((number, ns, actor, reason, f'{{"i":{i}}}' if metadata else None, label))
    return rows


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    db = driver.connect(tmp_path_factory.mktemp("transactions") / "t.edb", page_size=512, synchronous="normal")
    rows = fill(db, random.Random(7), 250)
    yield db, rows
    db.close()


def ask(db: driver.Connection, sql: str, *parameters: object) -> list[Row]:
    found = db.execute(sql, parameters).fetchall()
    db.rollback()
    return found


def test_there_is_a_row_for_every_commit(filled: tuple[driver.Connection, list[Row]]) -> None:
    db, rows = filled
    assert ask(db, ALL) == rows
    assert ask(db, f"{ALL} ORDER BY id DESC") == rows[::-1]
    assert ask(db, f"{ALL} ORDER BY committed_at DESC, actor LIMIT 3") == rows[:-4:-1]
    assert ask(db, "SELECT rowid FROM entitydb_transactions ORDER BY rowid") == [row[:1] for row in rows]
    assert ask(db, "SELECT count(*) FROM entitydb_transactions") == [(len(rows),)]


def test_as_of_a_moment_it_shows_what_there_was(filled: tuple[driver.Connection, list[Row]]) -> None:
    db, rows = filled
    for at in (0, 1, 7, 100, 249):
        cursor = db.cursor()
        cursor.as_of = rows[at][1]
        assert cursor.execute(ALL).fetchall() == rows[: at + 1]
        by_actor = cursor.execute(f"{ALL} WHERE actor = 'ann' ORDER BY id").fetchall()
        assert by_actor == [row for row in rows[: at + 1] if row[2] == "ann"]
    db.rollback()


@pytest.mark.slow
def test_random_conditions_leave_what_they_say(filled: tuple[driver.Connection, list[Row]], rng: random.Random) -> None:
    """SQLite judges the same conditions over a copy of the rows."""
    db, rows = filled
    db.execute("CREATE TEMP TABLE IF NOT EXISTS copy(id INTEGER PRIMARY KEY, committed_at INTEGER, actor TEXT, "
               "reason TEXT, metadata TEXT, label TEXT)")
    db.execute("DELETE FROM copy")
    db.executemany("INSERT INTO copy VALUES (?, ?, ?, ?, ?, ?)", rows)
    db.commit()
    times = [row[1] for row in rows]
    odd: list[Any] = [None, "x", b"x", "5", " 7 ", 2.5, -3, 0, 10**18, -(2**63), 2**63 - 1, 1e300, -1e300, "05", 5]

    def term() -> tuple[str, Any]:
        column = rng.choice(("id", "committed_at", "actor", "rowid", "label"))
        value = rng.choice(odd)
        if rng.random() < 0.8:
            value = {"id": rng.randrange(260), "committed_at": rng.choice(times) + rng.randrange(-1, 2),
                     "actor": rng.choice(ACTORS), "rowid": rng.randrange(260), "label": "nightly"}[column]  # fmt: skip
        return f"{column} {rng.choice(('=', '<', '>', '<=', '>=', '=', 'IS', '<>'))} ?", value

    for _ in range(1500):
        terms = [term() for _ in range(rng.randrange(1, 4))]
        where = rng.choice((" AND ", " AND ", " OR ")).join(sql for sql, _ in terms)
        order = rng.choice(("id", "id DESC", "committed_at", "committed_at DESC, label", "actor, id", "rowid DESC"))
        sql = f"SELECT id, committed_at, actor, reason, metadata, label FROM {{}} WHERE {where} ORDER BY {order}"
        parameters = [value for _, value in terms]
        expected = db.execute(sql.format("copy"), parameters).fetchall()
        assert db.execute(sql.format("entitydb_transactions"), parameters).fetchall() == expected, (sql, parameters)
    db.rollback()


def test_joins_and_lists_leave_what_they_say(filled: tuple[driver.Connection, list[Row]]) -> None:
    db, rows = filled
    found = ask(db, f"{ALL} WHERE id IN (3, 1, 9999, NULL, 3) ORDER BY id")
    assert found == [rows[0], rows[2]]
    found = ask(db, "WITH w(a) AS (VALUES ('bob'), ('nobody'), (NULL)) SELECT w.a, x.id FROM w LEFT JOIN "
                    "entitydb_transactions AS x ON x.actor = w.a ORDER BY w.a, x.id")  # fmt: skip
    assert found == [(None, None), *[("bob", row[0]) for row in rows if row[2] == "bob"], ("nobody", None)]
    found = ask(db, "SELECT count(*) FROM t JOIN entitydb_transactions AS x ON x.id = t.id + 1")
    assert found == [(250,)]
    found = ask(db, "SELECT t.id FROM entitydb_transactions AS x JOIN t ON t.id = x.id - 1 WHERE x.actor = '05'")
    assert found == [(row[0] - 1,) for row in rows if row[2] == "05"]


@pytest.mark.parametrize(
    ("sql", "plan"),
    [
        ("", ["SCAN entitydb_transactions"]),
        ("WHERE reason = 'x'", ["SCAN entitydb_transactions"]),
        ("AS x WHERE id = 5", ["SEARCH x USING TRANSACTIONS (id=?)"]),
        ("AS x WHERE rowid = 5", ["SEARCH x USING TRANSACTIONS (id=?)"]),
        ("AS x WHERE committed_at >= 5 AND committed_at < 7",
         ["SEARCH x USING TRANSACTIONS (committed_at>=? AND committed_at<?)"]),
        ("AS x WHERE actor = 'ann' AND id > 3 ORDER BY id DESC", ["SEARCH x USING TRANSACTIONS (actor=? AND id>?)"]),
        ("AS x WHERE actor = 'ann' COLLATE NOCASE", ["SCAN x"]),
        ("AS x ORDER BY committed_at", ["SCAN x"]),
        ("AS x ORDER BY actor", ["SCAN x", "USE TEMP B-TREE FOR ORDER BY"]),
    ],
)  # fmt: skip
def test_plans_are_told_in_words(filled: tuple[driver.Connection, list[Row]], sql: str, plan: list[str]) -> None:
    db, _ = filled
    assert [row[3] for row in ask(db, f"EXPLAIN QUERY PLAN SELECT * FROM entitydb_transactions {sql}")] == plan


@pytest.mark.parametrize(
    ("where", "most"),
    [("id = 17", 1), ("id > 240", 11), ("actor = 'bob'", 80), ("actor = 'bob' AND id > 240", 11), ("actor = 'x'", 0),
     ("committed_at > (SELECT max(committed_at) FROM entitydb_transactions)", 2), ("id < 1", 0), ("id = 'x'", 0)],
)  # fmt: skip
def test_only_what_a_condition_leaves_is_visited(
    filled: tuple[driver.Connection, list[Row]], where: str, most: int
) -> None:
    db, _ = filled

    def visited() -> int:
        return int(db._session.control.execute("SELECT entitydb_visited()").fetchall()[0][0])

    before = visited()
    ask(db, f"SELECT id FROM entitydb_transactions WHERE {where}")
    assert visited() - before <= most + (251 if "max" in where else 0)


def test_the_planner_starts_with_the_few_transactions_of_an_actor(filled: tuple[driver.Connection, list[Row]]) -> None:
    db, _ = filled
    plan = ask(db, "EXPLAIN QUERY PLAN SELECT * FROM t JOIN entitydb_transactions AS x ON t.id = x.id - 1 "
                   "WHERE x.actor = 'bob'")  # fmt: skip
    assert [row[3].split(" (")[0] for row in plan] == [
        "SEARCH x USING TRANSACTIONS", "SEARCH t USING INTEGER PRIMARY KEY"
    ]  # fmt: skip


def test_own_changes_are_no_transaction_yet_and_other_commits_are_seen_by_the_isolation_level(
    connect: Callable[..., driver.Connection],
) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TABLE t(a)")
    one.commit()
    count = "SELECT count(*) FROM entitydb_transactions"
    one.execute("INSERT INTO t VALUES (1)")
    assert one.execute(count).fetchall() == [(1,)]
    two.execute("INSERT INTO t VALUES (2)")
    two.commit()
    assert one.execute(count).fetchall() == [(1,)]
    one.commit()
    assert one.execute(count).fetchall() == [(3,)]
    one.rollback()
    one.isolation_level = "READ COMMITTED"
    assert one.execute(count).fetchall() == [(3,)]
    two.execute("INSERT INTO t VALUES (2)")
    two.commit()
    assert one.execute(count).fetchall() == [(4,)]


def test_reading_it_makes_no_serializable_transaction_fail(connect: Callable[..., driver.Connection]) -> None:
    one, two = connect(isolation_level="SERIALIZABLE"), connect()
    with transaction_info(actor="ann"):
        one.execute("CREATE TABLE t(a)")
        one.commit()
        one.execute("CREATE TABLE u(a)")
        one.commit()
        assert len(one.execute(f"{ALL} WHERE actor = 'ann'").fetchall()) == 2
        one.execute("INSERT INTO t VALUES (1)")
        two.execute("INSERT INTO u VALUES (1)")
        two.commit()
        one.commit()
    assert one.execute("SELECT count(*) FROM entitydb_transactions").fetchall() == [(4,)]


def test_an_empty_database_has_none() -> None:
    db = driver.connect()
    assert db.execute(ALL).fetchall() == []
    assert db.execute(f"{ALL} WHERE actor = 'ann' AND committed_at > 5").fetchall() == []
    db.close()


def test_half_fetched_rows_stay_what_they_were(connect: Callable[..., driver.Connection], rng: random.Random) -> None:
    one, two = connect(synchronous="normal"), connect(synchronous="normal")
    rows = fill(one, rng, 40)
    cursor = one.execute(ALL)
    first = [cursor.fetchone() for _ in range(5)]
    for i in range(60):
        with transaction_info(actor="late", reason="l" * 400):
            two.execute("INSERT INTO t(a) VALUES (?)", (i,))
            two.commit()
    assert first + cursor.fetchall() == rows


def test_a_join_walks_the_labels_of_all_commits_once(connect: Callable[..., driver.Connection]) -> None:
    db = connect(synchronous="normal")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
    for i in range(50):
        db.execute("INSERT INTO t(n) VALUES (?)", (i,))
        db.execute("SELECT entitydb_label(?)", (f"v{i}",))
        db.commit()
    sql = "SELECT t.n, x.label FROM t CROSS JOIN entitydb_transactions AS x ON x.id = t.id"
    assert ask(db, sql) == [(i, f"v{i}") for i in range(50)]
    assert visits(db, sql) <= 50 + 50 + 2 * 50  # rows, transactions; labels of the first, and of all


def test_who_has_met_no_transaction_with_something_said_sees_the_first(
    connect: Callable[..., driver.Connection],
) -> None:
    one, two, late = connect(), connect(), connect()
    one.execute("CREATE TABLE t(a)")
    before = moment(one)
    said = "SELECT id, actor FROM entitydb_transactions WHERE id = ?"
    assert rows(one, said, (1,)) == [(1, None)]  # keeps its snapshot
    assert rows(late, said, (1,)) == [(1, None)]
    late.rollback()
    with transaction_info(actor="ann"):
        two.execute("INSERT INTO t VALUES (1)")
        two.commit()
    assert rows(late, said, (2,)) == [(2, "ann")]
    assert rows(late, said, (2,), as_of=before) == []
    assert rows(late, "SELECT id FROM entitydb_transactions WHERE actor = 'ann'") == [(2,)]
    assert rows(one, said, (1,)) == [(1, None)]
    assert rows(one, said, (2,)) == []
    one.rollback()
    assert rows(one, said, (2,)) == [(2, "ann")]
