"""Random histories of tables and columns beside a model: a copy of every table at every commit, read back from all of
them, under the schema of then and, by what a column was called, under today's."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from entitydb_dialect import driver

TYPES = ("INTEGER", "TEXT", "REAL", "BLOB")
VALUES: tuple[Any, ...] = (None, 0, 1, -7, 2.5, "a", "12", "x y", b"\x00\xff", 10**12)


class Copy(NamedTuple):
    moment: int
    tables: dict[str, tuple[int, list[str], list[tuple[Any, ...]]]]  # by name: identity, columns, rows with their ids


class Histories:
    """A database that is changed at random."""

    def __init__(self, db: driver.Connection, rng: random.Random) -> None:
        self.db, self.rng = db, rng
        self.names: dict[str, int] = {}  # the tables there are, with a number that stays when they are renamed
        self.made = 0
        self.columns: dict[str, list[str]] = {}
        self.copies: list[Copy] = []
        self.log: list[str] = []

    def run(self, sql: str, parameters: tuple[Any, ...] = ()) -> bool:
        self.log.append(f"{sql} {parameters}")
        try:
            self.db.execute(sql, parameters)
        except driver.OperationalError as error:
            self.log.append(f"-- {error}")
            return False
        return True

    def free(self, of: list[str] | dict[str, int], letters: str) -> str:
        return self.rng.choice([name for name in letters if name not in of] or ["taken"])

    def step(self) -> None:
        rng = self.rng
        if not self.names or rng.random() < 0.12:
            self.create()
            return
        table = rng.choice(list(self.names))
        columns = self.columns[table]
        column = rng.choice(columns)
        what = rng.random()
        if what < 0.45:
            self.write(table)
        elif what < 0.55:
            name = self.free(columns, "abcdefgh")
            default = f" DEFAULT {rng.randint(1, 9)}" if rng.random() < 0.6 else ""
            if self.run(f"ALTER TABLE {table} ADD COLUMN {name} {rng.choice(TYPES)}{default}"):
                columns.append(name)
        elif what < 0.65:
            name = self.free(columns, "abcdefgh")
            if self.run(f"ALTER TABLE {table} RENAME COLUMN {column} TO {name}"):
                columns[columns.index(column)] = name
        elif what < 0.72:
            if len(columns) > 1 and self.run(f"ALTER TABLE {table} DROP COLUMN {column}"):
                columns.remove(column)
        elif what < 0.80:
            self.run(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE {rng.choice(TYPES)}")
        elif what < 0.88:
            self.run(f"CREATE INDEX i{len(self.log)} ON {table} ({column})")
        elif what < 0.95:
            name = self.free(self.names, "rstuvw")
            if name != "taken" and self.run(f"ALTER TABLE {table} RENAME TO {name}"):
                self.names[name], self.columns[name] = self.names.pop(table), self.columns.pop(table)
        elif self.run(f"DROP TABLE {table}"):
            del self.names[table], self.columns[table]

    def create(self) -> None:
        name = self.free(self.names, "rstuvw")
        columns = self.rng.sample("abcdefgh", self.rng.randint(1, 3))
        written = ", ".join(f"{column} {self.rng.choice(TYPES)}" for column in columns)
        if name != "taken" and self.run(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {written})"):
            self.made += 1
            self.names[name], self.columns[name] = self.made, columns
            for _ in range(3):
                self.write(name)

    def write(self, table: str) -> None:
        rng, columns = self.rng, self.columns[table]
        some = rng.sample(columns, rng.randint(1, len(columns)))
        values = tuple(rng.choice(VALUES) for _ in some)
        what = rng.random()
        if what < 0.6:
            places = ", ".join("?" * len(some))
            self.run(f"INSERT INTO {table} ({', '.join(some)}) VALUES ({places})", values)
        elif what < 0.9:
            sets = ", ".join(f"{column} = ?" for column in some)
            self.run(f"UPDATE {table} SET {sets} WHERE id % 3 = {rng.randint(0, 2)}", values)
        else:
            self.run(f"DELETE FROM {table} WHERE id % 4 = {rng.randint(0, 3)}")

    def commit(self) -> None:
        tables = {}
        for name, number in self.names.items():
            cursor = self.db.execute(f"SELECT * FROM {name} ORDER BY id")
            rows = cursor.fetchall()
            tables[name] = (number, [column[0] for column in cursor.description or ()], rows)
        self.db.commit()
        moment = self.db.last_commit[1]
        if not self.copies or self.copies[-1].moment < moment:
            self.copies.append(Copy(moment, tables))

    # ---- what is compared ----

    def ask(self, db: driver.Connection, sql: str, as_of: int, then: bool = True) -> Any:
        cursor = db.cursor()
        cursor.as_of, cursor.schema_then = as_of, then
        rows = cursor.execute(sql).fetchall()
        return [column[0] for column in cursor.description or ()], rows

    def compare(self, db: driver.Connection) -> None:
        for copy in self.rng.sample(self.copies, len(self.copies)):
            readable = db.readable(copy.moment, then=True)
            assert set(readable.tables) == set(copy.tables)
            for name, (_, columns, rows) in copy.tables.items():
                assert [column.name for column in readable.tables[name].visible] == columns
                assert self.ask(db, f"SELECT * FROM {name} ORDER BY id", copy.moment) == (columns, rows)
                column = self.rng.choice(columns)
                value = self.rng.choice([row[columns.index(column)] for row in rows] or [None])
                found = self.ask(
                    db, f"SELECT id FROM {name} WHERE {column} IS {literal(value)} ORDER BY id", copy.moment
                )
                assert found[1] == [(row[0],) for row in rows if same(row[columns.index(column)], value)]
            self.compare_today(db, copy)

    def compare_today(self, db: driver.Connection, copy: Copy) -> None:
        """All that reflection tells can be read, and gives the rows of then by their ids."""
        readable = db.readable(copy.moment)
        ids = {number: [row[0] for row in rows] for number, _, rows in copy.tables.values()}
        present = {number: name for name, number in self.names.items()}
        numbers = {name: number for name, (number, _, _) in copy.tables.items()}
        assert len(readable.tables) == len(copy.tables)
        for name, table in readable.tables.items():
            columns, rows = self.ask(db, f"SELECT * FROM {name} ORDER BY id", copy.moment, then=False)
            assert columns == [column.name for column in table.visible]
            number = numbers[name] if name in numbers else self.names[name]  # what a name meant then counts first
            assert [row[0] for row in rows] == ids[number]
            if present.get(number) == name:
                assert columns == ["id", *self.columns[name]]
        for name, table in readable.aliases.items():
            columns, rows = self.ask(db, f"SELECT * FROM {name} ORDER BY id", copy.moment, then=False)
            assert columns == [column.name for column in table.visible]
            assert [row[0] for row in rows] == ids[numbers[name]]


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return repr(value) if not isinstance(value, str) else f"'{value}'"


def same(a: Any, b: Any) -> bool:
    return a == b and isinstance(a, (int, float)) == isinstance(b, (int, float))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("commits", "steps", "round"), [*((25, 4, i) for i in range(4)), *((80, 6, i) for i in range(8))]
)
def test_random_histories(
    connect: Callable[..., driver.Connection], rng: random.Random, commits: int, steps: int, round: int, seed: int
) -> None:
    histories = Histories(connect(), rng)
    for _ in range(commits):
        for _ in range(rng.randint(1, steps)):
            histories.step()
        histories.commit()
    try:
        histories.compare(histories.db)
        histories.compare(connect())
    except BaseException:
        print(f"ENTITYDB_TEST_SEED={seed}", *histories.log, sep="\n")
        raise
