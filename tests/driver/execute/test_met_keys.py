"""A parent that was found once in a transaction is known; when it goes, however it goes, its next child is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from entitydb_dialect import driver

from .test_foreign_keys import Both

SCHEMA = (
    "CREATE TABLE p(id INTEGER PRIMARY KEY, u TEXT UNIQUE, w, UNIQUE (id, u))",
    "CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p, u TEXT REFERENCES p(u), "
    "FOREIGN KEY (p, u) REFERENCES p(id, u))",
    "CREATE TABLE s(id INTEGER PRIMARY KEY, up INTEGER REFERENCES s)",
    "INSERT INTO p VALUES (1, 'one', 0), (2, 'two', 0), (3, 'three', 0)",
    "INSERT INTO s VALUES (1, 1), (2, 1)",
)
MEET = "INSERT INTO c VALUES (NULL, 1, 'one')"

# What is done behind the first child; the next one is tried afterwards.
WAYS = {
    "deleted": ["DELETE FROM c", "DELETE FROM p WHERE id = 1"],
    "row id changed": ["DELETE FROM c", "UPDATE p SET id = 9 WHERE id = 1"],
    "key changed": ["DELETE FROM c", "UPDATE p SET u = 'other' WHERE id = 1"],
    "replaced by another": ["DELETE FROM c", "REPLACE INTO p VALUES (9, 'one', 0)"],
    "replaced by itself": ["DELETE FROM c", "REPLACE INTO p VALUES (1, 'one', 1)"],
    "deleted and back": ["DELETE FROM c", "DELETE FROM p", "INSERT INTO p VALUES (1, 'one', 2)"],
    "deferred": ["PRAGMA defer_foreign_keys = ON", "DELETE FROM p WHERE id = 1"],
    "changed beside": ["UPDATE p SET w = 1 WHERE id = 1"],
    "child changed": ["UPDATE c SET p = 2, u = 'two'", "DELETE FROM p WHERE id = 1"],
    "refused deletion": ["DELETE FROM p WHERE id = 1"],
    "ignored": ["INSERT OR IGNORE INTO c VALUES (1, 2, 'two')"],
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "again",
    [
        MEET,
        "INSERT INTO c VALUES (NULL, 1, NULL)",
        "INSERT INTO c VALUES (NULL, NULL, 'one')",
        "UPDATE c SET p = 1, u = 'one'",
        "INSERT OR REPLACE INTO c VALUES (1, 1, 'one')",
    ],
)
def test_a_parent_that_went_is_missed(db: driver.Connection, way: str, again: str) -> None:
    both = Both(db)
    for sql in SCHEMA:
        both.run(sql)
    both.run("BEGIN")
    both.run(MEET)
    both.run(MEET)
    for sql in WAYS[way]:
        both.run(sql)
    both.run(again)
    both.run(MEET)
    both.run("COMMIT")
    if db.in_transaction:
        both.run("ROLLBACK")


@pytest.mark.parametrize("undo", [["ROLLBACK TO s"], ["ROLLBACK TO s", "RELEASE s"], ["ROLLBACK", "BEGIN"]])
def test_a_parent_whose_insertion_is_undone_is_missed(db: driver.Connection, undo: list[str]) -> None:
    both = Both(db)
    for sql in SCHEMA:
        both.run(sql)
    both.run("BEGIN")
    both.run("SAVEPOINT s")
    both.run("INSERT INTO p VALUES (7, 'seven', 0)")
    both.run("INSERT INTO c VALUES (NULL, 7, 'seven')")
    both.run("INSERT INTO c VALUES (NULL, 7, 'seven')")
    for sql in undo:
        both.run(sql)
    both.run("INSERT INTO c VALUES (NULL, 7, 'seven')")
    both.run(MEET)
    both.run("COMMIT")


def test_a_parent_that_a_failed_statement_had_inserted_is_missed(db: driver.Connection) -> None:
    both = Both(db)
    for sql in SCHEMA:
        both.run(sql)
    both.run("BEGIN")
    both.run("INSERT INTO s VALUES (5, 5), (6, 5), (7, 77)")
    both.run("INSERT INTO s VALUES (8, 5)")
    both.run("INSERT INTO s VALUES (8, 1)")
    both.run("INSERT INTO s VALUES (5, 5), (6, 5), (1, 1)")
    both.run("INSERT INTO s VALUES (9, 5)")
    both.run("COMMIT")


def test_a_row_that_replaces_its_own_parent_is_its_child_no_more(db: driver.Connection) -> None:
    both = Both(db)
    for sql in (*SCHEMA, "CREATE TABLE r(id INTEGER PRIMARY KEY, k UNIQUE, up REFERENCES r(k))"):
        both.run(sql)
    both.run("BEGIN")
    both.run("INSERT INTO r VALUES (1, 'a', NULL), (2, 'b', 'a'), (3, 'c', 'a')")
    both.run("DELETE FROM r WHERE id > 1")
    both.run("INSERT OR REPLACE INTO r VALUES (1, 'z', 'a')")
    both.run("COMMIT")


@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_a_parent_that_another_transaction_deletes_is_missed_at_the_latest_at_commit(
    connect: Callable[..., driver.Connection], level: str
) -> None:
    one, two = connect(isolation_level=level), connect(isolation_level=None)
    for sql in SCHEMA:
        two.execute(sql)
    one.execute(MEET)
    two.execute("DELETE FROM p WHERE id = 1")

    def go_on() -> None:
        one.execute(MEET)
        one.commit()

    with pytest.raises(driver.Error):
        go_on()
    one.rollback()
    assert one.execute("SELECT count(*) FROM c").fetchall() == [(0,)]


@pytest.mark.slow
def test_more_keys_than_are_remembered_are_all_judged(db: driver.Connection) -> None:
    both = Both(db)
    both.run("CREATE TABLE p(k TEXT PRIMARY KEY)")
    both.run("CREATE TABLE c(k TEXT REFERENCES p)")
    keys = [f"{'x' * (i % 50)}{i}" for i in range(3000)]
    both.run("BEGIN")
    for text in (f"({key!r})" for key in keys):
        both.run(f"INSERT INTO p VALUES {text}")
    for round_ in range(2):
        for key in keys[round_::7]:
            both.run(f"INSERT INTO c VALUES ({key!r})")
    both.run("DELETE FROM c")
    both.run("DELETE FROM p WHERE rowid % 3 = 0")
    for key in keys[:400]:
        both.run(f"INSERT INTO c VALUES ({key!r})")
    both.run("COMMIT")
