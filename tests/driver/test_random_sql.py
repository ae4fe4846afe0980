"""Random schemas, changes and queries as SQL text: rows, counts, errors and transactions are those of plain SQLite."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import apsw
import pytest

from entitydb_dialect import driver
from entitydb_dialect.driver._errors import translate

from .beside import kinds
from .random_sql import Maker

FOREIGN = "FOREIGN KEY constraint failed"
RESTRICTED = 1811  # SQLite's code for RESTRICT, which it takes for a trigger


class Miscounted(Exception):
    """SQLite, which counts violations of foreign keys as they come and go, was wrong about their number."""


class Side:
    """EntityDB and SQLite, one behind the other."""

    def __init__(self, mine: driver.Connection, maker: Maker, *, foreign: bool) -> None:
        self.mine, self.theirs, self.maker = mine, apsw.Connection(":memory:"), maker
        mine.isolation_level = None
        self.foreign = foreign
        self.theirs.execute(f"PRAGMA foreign_keys = {int(foreign)}")
        mine.execute(f"PRAGMA foreign_keys = {int(foreign)}")
        self.log: list[str] = []
        self.succeeded = self.failed = 0
        for sql in maker.schema():
            self.run(sql)

    def where(self) -> str:
        return "\n".join(f"{sql};" for sql in self.log)

    def run(self, sql: str) -> None:
        self.log.append(sql)
        cursor = self.mine.cursor()
        error: Any = None
        try:
            mine: Any = kinds(cursor.execute(sql).fetchall())
        except driver.Error as found:
            mine, error = str(found), found
        before = self.theirs.total_changes()
        theirs_error: Any = None
        try:
            theirs: Any = kinds(self.theirs.execute(sql).fetchall())
        except apsw.Error as found:
            theirs, theirs_error = str(found), found
        if isinstance(theirs, list) and isinstance(mine, list):
            if " ORDER BY a." not in sql:
                mine, theirs = sorted(mine, key=repr), sorted(theirs, key=repr)
            if sql.split()[0] in ("INSERT", "UPDATE", "DELETE"):
                assert cursor.rowcount == self.theirs.total_changes() - before or self.foreign, self.where()
            self.succeeded += 1
        elif self.foreign and mine != theirs and FOREIGN in (mine, theirs):
            judge = self.theirs if mine == FOREIGN else self.mine
            dangling = bool(judge.execute("PRAGMA foreign_key_check").fetchall())
            assert dangling is (mine == FOREIGN), self.where() + f"\n  mine {mine}\ntheirs {theirs}"
            raise Miscounted
        else:
            self.failed += 1
        assert mine == theirs, self.where() + f"\n  mine {mine}\ntheirs {theirs}"
        if theirs_error is not None:
            wanted = translate(theirs_error)
            code = {RESTRICTED: 787}.get(theirs_error.extendedresult, theirs_error.extendedresult)
            mine, theirs = (type(error), error.sqlite_errorcode or code), (type(wanted), code)
            assert mine == theirs, self.where() + f"\n  mine {mine}\ntheirs {theirs}"
        mine, theirs = self.mine.in_transaction, self.theirs.in_transaction
        assert mine == theirs, self.where() + f"\n  mine {mine}\ntheirs {theirs} (in transaction)"

    def same(self) -> None:
        for table in self.maker.tables:
            sql = f"SELECT * FROM {table.name}"
            mine, theirs = (sorted(kinds(db.execute(sql).fetchall()), key=repr) for db in (self.mine, self.theirs))
            assert mine == theirs, self.where() + f"\n  mine {mine}\ntheirs {theirs}"

    def random_steps(self, rng: random.Random, number: int) -> None:
        for _ in range(number):
            kind = rng.random()
            if kind < 0.07:
                self.run(rng.choice(("COMMIT", "ROLLBACK", "COMMIT")) if self.theirs.in_transaction else "BEGIN")
            elif kind < 0.13 and self.theirs.in_transaction:
                self.run(rng.choice(("SAVEPOINT s", "ROLLBACK TO s", "RELEASE s")))
            elif kind < 0.35:
                self.run(self.maker.query())
            else:
                self.run(self.maker.statement())
                if rng.random() < 0.3:
                    self.same()
        self.same()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(6))
def test_changes_and_queries_end_as_in_sqlite(
    connect: Callable[..., driver.Connection], rng: random.Random, number: int
) -> None:
    side = Side(connect(), Maker(rng), foreign=False)
    side.random_steps(rng, 120)
    assert side.succeeded > 20


@pytest.mark.parametrize("number", range(4))
def test_changes_under_foreign_keys_end_as_in_sqlite(
    connect: Callable[..., driver.Connection], rng: random.Random, number: int
) -> None:
    side = Side(connect(), Maker(rng, foreign=True), foreign=True)
    try:
        side.random_steps(rng, 100)
    except Miscounted:
        return
    assert side.succeeded > 15


def test_an_update_from_that_fails_half_way_leaves_nothing(db: driver.Connection) -> None:
    """SQLite opens no savepoint of its own for it."""
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
    db.execute("INSERT INTO t VALUES (4, 1), (8, 2)")
    for returning in ("", " RETURNING id"):
        with pytest.raises(driver.IntegrityError, match=r"UNIQUE constraint failed: t\.id"):
            db.execute(f"UPDATE t SET id = f.n + 10 FROM (SELECT 1 AS n) AS f{returning}")
        assert db.execute("SELECT * FROM t").fetchall() == [(4, 1), (8, 2)]


def test_the_first_of_several_faults_is_the_one_sqlite_names(connect: Callable[..., driver.Connection]) -> None:
    """NOT NULL, then types (at once where there is a CHECK, else behind the row id), CHECK, row id, unique keys."""
    maker = Maker(random.Random(0), tables=0)
    side = Side(connect(), maker, foreign=False)
    for rule in ("", "CHECK (b <> 5)"):
        side.run(f"CREATE TABLE s(id INTEGER PRIMARY KEY, a INT UNIQUE, b INT NOT NULL {rule}, c TEXT UNIQUE) STRICT")
        side.run("INSERT INTO s VALUES (1, 1, 1, 'a'), (2, 2, 2, 'b')")
        rows = ("1, 'x', NULL, x''", "1, 1, 5, x''", "1, 'x', 5, 'a'", "3, 1, 5, 'a'", "3, 1, 4, 'b'", "1, 1, 4, 'b'")
        for row in rows:
            side.run(f"INSERT INTO s VALUES ({row})")
            side.run(f"UPDATE s SET (id, a, b, c) = ({row}) WHERE id = 2")
        side.run("DROP TABLE s")
    side.run("CREATE TABLE n(a NOT NULL DEFAULT NULL, b NOT NULL, c NOT NULL DEFAULT 1)")
    side.run("INSERT OR REPLACE INTO n VALUES (NULL, NULL, NULL)")
    side.run("INSERT INTO n VALUES (NULL, NULL, NULL)")
    assert side.failed > 15
