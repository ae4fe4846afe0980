"""UPDATE and DELETE by executemany(): each run is a statement, whatever the others do. Against plain SQLite."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import apsw
import pytest

from entitydb_dialect import driver

SCHEMA = (
    "CREATE TABLE p(id INTEGER PRIMARY KEY, k TEXT UNIQUE, n INTEGER CHECK (n < 90))",
    "CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p, "
    "d INTEGER REFERENCES p DEFERRABLE INITIALLY DEFERRED, "
    "g INTEGER REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE, x INTEGER NOT NULL, up INTEGER REFERENCES c)",
    "CREATE INDEX c_x ON c(x)",
    "CREATE INDEX c_p ON c(p, x)",
    "CREATE TABLE w(a TEXT, b INTEGER, c, PRIMARY KEY (a, b)) WITHOUT ROWID",
)


class Both:
    def __init__(self, mine: driver.Connection) -> None:
        self.mine, self.theirs = mine, apsw.Connection(":memory:")
        self.theirs.execute("PRAGMA foreign_keys = ON")
        for sql in SCHEMA:
            mine.execute(sql)
            self.theirs.execute(sql)
        mine.commit()

    def run(self, sql: str) -> None:
        self.many(sql, None)

    def many(self, sql: str, parameters: Any) -> str | None:
        """One in both; what they say and what the tables hold must agree. -> the error."""
        wanted = found = None
        changes = self.theirs.total_changes()
        rowcount = None
        if self.theirs.get_autocommit():
            self.theirs.execute("BEGIN")
        try:
            if parameters is None:
                self.theirs.execute(sql)
            else:
                self.theirs.executemany(sql, list(parameters))
        except apsw.Error as error:
            wanted = str(error)
        cursor = self.mine.cursor()
        try:
            if parameters is None:
                cursor.execute(sql)
            else:
                rowcount = cursor.executemany(sql, parameters).rowcount
        except driver.Error as error:
            found = str(error)
        assert found == wanted, sql
        if rowcount is not None and "c" not in sql.split()[:3]:     # SQLite counts what follows from a change, too
            assert rowcount <= self.theirs.total_changes() - changes
        self.same(sql)
        return found

    def same(self, where: str) -> None:
        for table in "pcw":
            sql = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert self.mine.execute(sql).fetchall() == self.theirs.execute(sql).fetchall(), where

    def commit(self) -> None:
        self.mine.commit()
        if not self.theirs.get_autocommit():
            self.theirs.execute("COMMIT")
        self.same("COMMIT")


@pytest.fixture(params=[None, "SERIALIZABLE", "READ COMMITTED"])
def both(connect: Callable[..., driver.Connection], request: pytest.FixtureRequest) -> Both:
    made = Both(connect(isolation_level=request.param) if request.param else connect())
    made.many("INSERT INTO p VALUES (?, ?, ?)", [(i, f"k{i}", i) for i in range(1, 41)])
    rows = [(i, i % 5 + 1, None, i % 7 + 20, i % 4, None if i % 3 else 1) for i in range(1, 61)]
    made.many("INSERT INTO c VALUES (?, ?, ?, ?, ?, ?)", rows)
    made.many("INSERT INTO w VALUES (?, ?, ?)", [(f"a{i % 4}", i, i) for i in range(40)])
    made.commit()
    return made


def test_each_run_sees_what_the_one_before_did(both: Both) -> None:
    both.many("UPDATE c SET x = x + 1 WHERE id = ?", [(5,), (5,), (6,), (5,)])
    both.many("UPDATE c SET x = x * 2 WHERE x >= ?", [(3,), (4,), (5,), (3,)])
    both.many("DELETE FROM c WHERE id = ?", [(40,), (40,), (41,), (999,)])
    both.many("UPDATE w SET b = b + 100 WHERE b < ?", [(5,), (120,), (103,)])
    both.many("UPDATE p SET k = ? WHERE k = ?", [("new", "k9"), ("newer", "new"), ("k9", "newer"), ("k8", "nothing")])
    both.many("UPDATE p SET id = id + 100 WHERE id = ?", [(35,), (135,), (235,)])
    both.commit()


def test_a_key_that_a_run_gave_up_is_the_next_ones(both: Both) -> None:
    both.many("UPDATE p SET k = ? WHERE id = ?", [("spare", 11), ("k11", 12), ("k12", 11)])
    both.many("UPDATE p SET id = ? WHERE id = ?", [(50, 39), (39, 40), (40, 50)])
    both.commit()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("DELETE FROM p WHERE id = ?", [(30,), (31,), (2,), (32,)]),                        # has children
        ("DELETE FROM p WHERE id = ?", [(2,), (30,)]),
        ("DELETE FROM p WHERE id = ?", [(30,), (31,), (2,)]),
        ("DELETE FROM c WHERE id = ?", [(50,), (1,), (51,)]),                               # refers to itself
        ("UPDATE c SET p = ? WHERE id = ?", [(3, 1), (77, 2), (4, 3)]),                     # no such parent
        ("UPDATE c SET p = ? WHERE id = ?", [(77, 2), (3, 2)]),                             # mended too late
        ("UPDATE p SET id = ? WHERE id = ?", [(100, 30), (101, 3), (102, 31)]),
        ("UPDATE p SET n = ? WHERE id = ?", [(5, 1), (95, 2), (6, 3)]),                     # CHECK
        ("UPDATE c SET x = ? WHERE id = ?", [(5, 1), (None, 2), (6, 3)]),                   # NOT NULL
        ("UPDATE p SET k = ? WHERE id = ?", [("a", 1), ("k3", 2), ("b", 4)]),               # UNIQUE
        ("UPDATE p SET k = 'same' WHERE id > ?", [(39,), (37,), (36,)]),                    # of several rows
        ("UPDATE p SET id = ? WHERE id = ?", [(90, 30), ("x", 31), (91, 32)]),              # datatype
        ("UPDATE w SET a = ? WHERE b = ?", [("z", 1), ("a3", 1), (None, 2)]),
    ],
)
def test_a_run_that_fails_is_undone_alone(both: Both, sql: str, parameters: list[tuple[Any, ...]]) -> None:
    assert both.many(sql, parameters) is not None
    both.many("UPDATE c SET x = x + ? WHERE id = ?", [(1, 7), (2, 8)])
    both.commit()


def test_what_follows_from_a_run_is_the_next_ones_to_see(both: Both) -> None:
    both.many("DELETE FROM p WHERE id = ?", [(21,), (22,), (22,), (23,)])
    both.many("UPDATE p SET id = id + 1000 WHERE id = ?", [(24,), (1024,)])
    both.many("UPDATE c SET g = ? WHERE g = ?", [(25, 2024), (26, 25), (27, 26)])
    both.commit()


def test_deferred_keys_wait_for_the_commit(both: Both) -> None:
    assert both.many("UPDATE c SET d = ? WHERE id = ?", [(500, 1), (501, 2)]) is None
    with pytest.raises(driver.IntegrityError):
        both.mine.commit()
    assert both.many("UPDATE c SET d = ? WHERE d = ?", [(1, 500), (2, 501)]) is None
    both.commit()


def test_a_failed_run_and_the_savepoint_around_it(both: Both) -> None:
    both.many("UPDATE c SET x = ? WHERE id = ?", [(9, 1)])
    both.run("SAVEPOINT s")
    both.many("DELETE FROM p WHERE id = ?", [(30,), (2,), (31,)])
    both.many("UPDATE c SET x = ? WHERE id = ?", [(8, 1), (8, 2)])
    both.run("ROLLBACK TO s")
    both.many("UPDATE c SET x = x + ? WHERE id = ?", [(1, 1), (1, 1)])
    both.run("RELEASE s")
    both.commit()


def test_queries_in_a_change_see_all_before_it(both: Both) -> None:
    both.many("UPDATE c SET x = (SELECT max(x) FROM c) + ? WHERE id = ?", [(1, 1), (1, 2), (1, 3)])
    both.many("DELETE FROM c WHERE x > (SELECT avg(x) FROM c) + ?", [(2,), (2,), (1,)])
    both.many("UPDATE p SET n = ? WHERE id IN (SELECT p FROM c WHERE id = ?)", [(7, 4), (8, 4)])
    both.commit()


def test_parameters_that_do_not_fit_leave_what_was_done(both: Both) -> None:
    cursor = both.mine.cursor()
    for parameters in ([(5, 1), (6,)], [(5, 1), (object(), 2)], [(5, 1), (2**70, 2)]):
        with pytest.raises((driver.Error, TypeError, OverflowError)):
            cursor.executemany("UPDATE c SET x = ? WHERE id = ?", parameters)
        assert both.mine.execute("SELECT x FROM c WHERE id = 1").fetchone() == (5,)
        both.mine.rollback()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sql", "parameters"),
    [
        ("UPDATE c SET x = abs(?) WHERE id = ?", [(1, 1), (-(2**63), 2), (3, 3)]),      # before the table is opened
        ("UPDATE c SET x = abs(?) WHERE id = ?", [(-(2**63), 2), (3, 3)]),
        ("UPDATE c SET x = abs(?) - x WHERE id > ?", [(1, 50), (-(2**63), 2), (3, 3)]),
        ("UPDATE c SET x = 7 WHERE ? AND id = ?", [(0, 1), (1, 2), ("", 3)]),
        ("UPDATE c SET x = abs(?) WHERE ? AND id = ?", [(5, 1, 1), (6, 0, 2), (-(2**63), 1, 3)]),
        ("UPDATE c SET x = abs(x + ?) WHERE id >= ?", [(1, 50), (-(2**63) - 1 + 1, 59), (3, 3)]),
        ("DELETE FROM c WHERE id = abs(?)", [(55,), (-(2**63),), (56,)]),
        ("UPDATE c SET x = abs(?) WHERE id = ? OR id = ?", [(1, 1, 2), (-(2**63), 2, 3), (3, 3, 4)]),
    ],
)
def test_a_run_that_fails_before_or_behind_its_beginning(both: Both, sql: str, parameters: list[Any]) -> None:
    both.many(sql, parameters)
    both.many("UPDATE c SET x = x + ? WHERE id = ?", [(1, 1), (2, 2)])
    both.commit()


def test_a_function_that_fails_in_a_run(both: Both) -> None:
    def three(n: int) -> int:
        if n >= 3:
            raise ValueError("three")
        return n

    both.mine.create_function("three", 1, three)
    for sql in ("UPDATE c SET x = three(?) WHERE id = ?", "UPDATE c SET x = three(? + id % 3) WHERE id >= ?"):
        with pytest.raises((driver.Error, ValueError)):
            both.mine.executemany(sql, [(0, 50), (1, 51), (3, 52), (1, 53)])
        found = both.mine.execute("SELECT x FROM c WHERE id BETWEEN 50 AND 53").fetchall()
        both.mine.rollback()
        for parameters in [(0, 50), (1, 51), (3, 52)]:
            try:
                both.mine.execute(sql, parameters)
            except (driver.Error, ValueError):
                break
        assert both.mine.execute("SELECT x FROM c WHERE id BETWEEN 50 AND 53").fetchall() == found
        both.mine.rollback()


def test_a_generator_of_parameters_may_use_the_connection(both: Both) -> None:
    def parameters() -> Iterator[tuple[int, int]]:
        for i in range(1, 31):
            (x,) = both.mine.execute("SELECT x FROM c WHERE id = ?", (i,)).fetchone()
            yield x + 1, i

    both.mine.executemany("UPDATE c SET x = ? WHERE id = ?", parameters())
    both.theirs.execute("UPDATE c SET x = x + 1 WHERE id <= 30")
    both.same("generator")


def test_a_function_that_writes_between(both: Both) -> None:
    def note(n: int) -> int:
        both.mine.execute("INSERT INTO w VALUES ('noted', ?, NULL)", (n,))
        return n

    both.mine.create_function("note", 1, note)
    both.mine.executemany("UPDATE c SET x = note(?) WHERE id = ?", [(1000, 1), (1001, 2)])
    both.mine.executemany("UPDATE w SET c = ? WHERE b = ?", [(1, 1000), (2, 1001)])
    assert both.mine.execute("SELECT b, c FROM w WHERE a = 'noted' ORDER BY b").fetchall() == [(1000, 1), (1001, 2)]
    both.mine.rollback()


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(4))
def test_random_runs(both: Both, round_: int) -> None:
    rng = random.Random(round_)
    kinds: list[tuple[str, Callable[[], tuple[Any, ...]]]] = [
        ("UPDATE c SET x = x + ? WHERE id = ?", lambda: (rng.randrange(3), rng.randrange(70))),
        ("UPDATE c SET p = ?, up = ? WHERE x = ?",
         lambda: (rng.randrange(1, 45), rng.choice((None, 1, 2)), rng.randrange(5))),
        ("DELETE FROM c WHERE id = ?", lambda: (rng.randrange(2, 70),)),
        ("DELETE FROM p WHERE id = ?", lambda: (rng.randrange(6, 45),)),
        ("UPDATE p SET id = ?, k = ? WHERE id = ?",
         lambda: (rng.randrange(1, 60), f"k{rng.randrange(50)}", rng.randrange(1, 60))),
        ("UPDATE w SET b = b + ?, c = ? WHERE a = ?", lambda: (rng.randrange(3), rng.random(), f"a{rng.randrange(5)}")),
        ("DELETE FROM w WHERE a = ? AND b > ?", lambda: (f"a{rng.randrange(5)}", rng.randrange(60))),
    ]
    for _ in range(40):
        sql, one = rng.choice(kinds)
        both.many(sql, [one() for _ in range(rng.randrange(1, 8))])
        if rng.random() < 0.1:
            both.commit()


def test_a_table_that_is_declared_anew_by_the_first_run_is_no_run(connect: Callable[..., driver.Connection]) -> None:
    db, other = connect(), connect()
    both = Both(db)
    both.many("INSERT INTO c(id, x) VALUES (?, ?)", [(i, i) for i in range(1, 6)])
    both.commit()
    other.execute("CREATE TABLE more(a)")
    other.commit()
    both.many("UPDATE c SET x = abs(?) WHERE id = ?", [(50, 1), (-(2**63), 2), (3, 3)])
    db.rollback()
    both.theirs.execute("ROLLBACK")
    db.execute("CREATE TABLE yet(a)")
    with pytest.raises(driver.Error):
        db.executemany("UPDATE c SET x = abs(?) WHERE id = ?", [(60, 1), (-(2**63), 2), (3, 3)])
    assert db.execute("SELECT x FROM c ORDER BY id").fetchall() == [(60,), (2,), (3,), (4,), (5,)]
