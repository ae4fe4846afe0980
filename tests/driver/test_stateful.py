"""Two connections as one state machine, judged by a model: transactions, savepoints, conflicts, every past moment.

The model is a dictionary per commit. A transaction reads the state it began at with its own writes laid over it; it may
commit when nobody changed a row it wrote and no unique value of its is taken in the newest state.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from entitydb_dialect import SerializationFailure, driver

Row = tuple[int, int]       # unique value, counter (never the same twice)
Rows = dict[int, Row]
IDS, UNIQUES = st.integers(1, 6), st.integers(1, 6)
SIDES = st.sampled_from((0, 1))


@dataclass
class Transaction:
    base: Rows | None = None                # fixed by the first statement that reads or writes the present
    own: dict[int, Row | None] = field(default_factory=dict)
    savepoints: list[dict[int, Row | None]] = field(default_factory=list)

    def view(self) -> Rows:
        return {k: v for k, v in {**(self.base or {}), **self.own}.items() if v is not None}


class TwoConnections(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "t.edb"
        self.sides = [driver.connect(path, page_size=512, synchronous="normal") for _ in range(2)]
        self.running: list[Transaction | None] = [None, None]
        self.newest: Rows = {}
        self.history: list[tuple[int, Rows]] = []
        self.counter = 0

    @initialize()
    def create(self) -> None:
        cursor = self.sides[0].cursor()
        cursor.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, u INTEGER UNIQUE, n INTEGER)")
        self.sides[0].commit()
        self.remember(self.sides[0])

    def remember(self, side: driver.Connection) -> None:
        self.history.append((side.last_commit[1], dict(self.newest)))

    def begin(self, side: int, fix: bool = True) -> Transaction:
        running = self.running[side]
        if running is None:
            running = self.running[side] = Transaction()
        if fix and running.base is None:
            running.base = dict(self.newest)
        return running

    def write(self, side: int, sql: str, parameters: tuple[Any, ...]) -> str:
        """-> "done", or the name of the error."""
        try:
            self.sides[side].cursor().execute(sql, parameters)
        except driver.Error as error:
            return type(error).__name__
        return "done"

    def lose(self, side: int) -> None:
        """A statement that met a conflict: the transaction cannot commit any more."""
        self.sides[side].rollback()
        self.running[side] = None

    def changed_since(self, running: Transaction, key: int) -> bool:
        return (running.base or {}).get(key) != self.newest.get(key)

    def taken(self, running: Transaction, key: int, unique: int) -> bool:
        """Whether another row has the value, in the newest state with own writes over it."""
        now = {**self.newest, **running.own}
        return any(row and row[0] == unique and k != key for k, row in now.items())

    def taken_in_vain(self, running: Transaction, unique: int) -> bool:
        """Whether a row has the value in the newest state that was written here too: of two versions of that row,
        either may be judged by, for the transaction cannot commit any more."""
        return any(row[0] == unique and k in running.own and self.changed_since(running, k)
                   for k, row in self.newest.items())

    @rule(side=SIDES, key=IDS, unique=UNIQUES)
    def insert(self, side: int, key: int, unique: int) -> None:
        running = self.begin(side)
        self.counter += 1
        answer = self.write(side, "INSERT INTO t VALUES (?, ?, ?)", (key, unique, self.counter))
        now = {**self.newest, **running.own}
        if now.get(key) or self.taken(running, key, unique):
            assert answer in ("IntegrityError", "SerializationFailure"), answer
        elif answer == "SerializationFailure":
            assert self.changed_since(running, key)
        elif answer == "IntegrityError":
            assert self.taken_in_vain(running, unique)
        else:
            assert answer == "done", answer
            running.own[key] = (unique, self.counter)
        if answer == "SerializationFailure":
            self.lose(side)

    @rule(side=SIDES, key=IDS, unique=UNIQUES)
    def update(self, side: int, key: int, unique: int) -> None:
        running = self.begin(side)
        self.counter += 1
        answer = self.write(side, "UPDATE t SET u = ?, n = ? WHERE id = ?", (unique, self.counter, key))
        if key not in running.view():
            assert answer == "done", answer
            return
        if answer == "SerializationFailure":
            assert self.changed_since(running, key)
            self.lose(side)
        elif self.taken(running, key, unique) and running.view()[key][0] != unique:
            assert answer == "IntegrityError", answer
        elif answer == "IntegrityError":
            assert self.taken_in_vain(running, unique) or self.taken(running, key, unique)
        else:  # a value that stays is not judged again, but by COMMIT
            assert answer == "done", answer
            running.own[key] = (unique, self.counter)

    @rule(side=SIDES, key=IDS)
    def delete(self, side: int, key: int) -> None:
        running = self.begin(side)
        answer = self.write(side, "DELETE FROM t WHERE id = ?", (key,))
        if answer == "SerializationFailure":
            assert key in running.view()
            assert self.changed_since(running, key)
            self.lose(side)
            return
        assert answer == "done", answer
        if key in running.view():
            running.own[key] = None

    @rule(side=SIDES)
    def savepoint(self, side: int) -> None:
        running = self.begin(side, fix=False)
        self.sides[side].cursor().execute(f"SAVEPOINT s{len(running.savepoints)}")
        running.savepoints.append(dict(running.own))

    @precondition(lambda self: any(t and t.savepoints for t in self.running))
    @rule(data=st.data(), keep=st.booleans())
    def end_savepoint(self, data: st.DataObject, keep: bool) -> None:
        side = data.draw(st.sampled_from([i for i, t in enumerate(self.running) if t and t.savepoints]))
        running = self.running[side]
        assert running is not None
        depth = data.draw(st.integers(0, len(running.savepoints) - 1))
        cursor = self.sides[side].cursor()
        if keep:
            cursor.execute(f"RELEASE s{depth}")
            del running.savepoints[depth:]
        else:
            cursor.execute(f"ROLLBACK TO s{depth}")
            running.own = dict(running.savepoints[depth])
            del running.savepoints[depth + 1 :]

    @rule(side=SIDES)
    def commit(self, side: int) -> None:
        running = self.running[side]
        before = self.sides[side].last_commit
        try:
            self.sides[side].commit()
        except SerializationFailure:
            assert running is not None
            assert any(self.changed_since(running, key) for key in running.own) or self.unique_lost(running)
            self.lose(side)
            return
        except driver.IntegrityError:
            assert running is not None
            assert self.unique_lost(running)
            self.lose(side)
            return
        self.running[side] = None
        if running is None:
            return
        net = {key: row for key, row in running.own.items() if row != (running.base or {}).get(key)}
        assert not any(self.changed_since(running, key) for key in net)
        assert not self.unique_lost(running)
        if net:
            self.newest = {k: v for k, v in {**self.newest, **net}.items() if v is not None}
            assert self.sides[side].last_commit != before
            self.remember(self.sides[side])

    def unique_lost(self, running: Transaction) -> bool:
        return any(row and self.taken(running, key, row[0]) for key, row in running.own.items())

    @rule(side=SIDES)
    def roll_back(self, side: int) -> None:
        self.sides[side].rollback()
        self.running[side] = None

    @rule(side=SIDES, by_unique=st.booleans())
    def read(self, side: int, by_unique: bool) -> None:
        running = self.begin(side)
        cursor = self.sides[side].cursor()
        order = "u" if by_unique else "id"
        found = cursor.execute(f"SELECT id, u, n FROM t WHERE {order} > 0 ORDER BY {order}").fetchall()
        assert found == sorted(((k, *v) for k, v in running.view().items()), key=lambda row: row[1 if by_unique else 0])
        assert cursor.execute("SELECT count(*) FROM t").fetchall() == [(len(found),)]

    @rule(side=SIDES, data=st.data())
    def read_the_past(self, side: int, data: st.DataObject) -> None:
        moment, rows = data.draw(st.sampled_from(self.history))
        self.begin(side, fix=False)
        cursor = self.sides[side].cursor()
        cursor.as_of = moment
        found = cursor.execute("SELECT id, u, n FROM t ORDER BY id").fetchall()
        assert found == sorted((k, *v) for k, v in rows.items())
        assert cursor.execute("SELECT count(*) FROM t").fetchall() == [(len(rows),)]

    @invariant()
    def answers_of_the_newest_moment_are_settled(self) -> None:
        if self.history:
            moment, rows = self.history[-1]
            cursor = self.sides[0].cursor()
            cursor.as_of = moment
            assert cursor.execute("SELECT id FROM t ORDER BY id").fetchall() == [(key,) for key in sorted(rows)]
            if self.running[0] is None:
                self.sides[0].rollback()

    def teardown(self) -> None:
        for side in self.sides:
            side.rollback()
        database = driver.Database(Path(self.folder.name) / "t.edb")
        breaches, _ = database.check()
        database.close()
        for side in self.sides:
            side.close()
        self.folder.cleanup()
        assert breaches == []


TestTwoConnections = pytest.mark.slow(TwoConnections.TestCase)
TestTwoConnections.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
