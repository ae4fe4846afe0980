"""A state machine of one connection: writes, savepoints, statements of several moments, half-read cursors."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ..bare_txn import Database, lib, raw

KEYS = st.integers(0, 30)
VALUES = st.binary(max_size=90)


class OneConnection(RuleBasedStateMachine):
    """The model: the state by commit number, the transaction's state over it, and its savepoints."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(Path(self.folder.name) / "t.edb", spill=3_000)
        self.conn = self.database.connect()
        self.tree = self.conn.make_tree()
        self.states = {1: (self.conn.last_commit()[1], {})}
        self.state, self.stack = {}, []
        self.reading = []               # (statement, cursor, rows still to come)

    def teardown(self):
        for statement, cursor, _ in self.reading:
            cursor.close()
            statement.end()
        self.conn.close()
        breaches, _ = self.database.check()
        self.database.close()
        self.folder.cleanup()
        assert breaches == []

    def newest(self):
        return self.states[max(self.states)][1]

    @rule(key=KEYS, value=VALUES)
    def put(self, key, value):
        self.conn.put(self.tree, key, value)
        self.state[key] = value

    @rule(key=KEYS)
    def delete(self, key):
        self.conn.delete(self.tree, key)
        self.state.pop(key, None)

    @rule(low=KEYS, count=st.integers(1, 60), value=VALUES)
    def put_many(self, low, count, value):
        with self.conn.statement(writes=True) as statement:
            for key in range(low, low + count):
                statement.put(self.tree, key, value)
                self.state[key] = value

    @precondition(lambda self: len(self.stack) < 5)
    @rule()
    def savepoint(self):
        self.stack.append(dict(self.state))
        lib.txn_savepoint(self.conn.conn, len(self.stack) - 1)

    @precondition(lambda self: self.stack)
    @rule(data=st.data())
    def release(self, data):
        level = data.draw(st.integers(0, len(self.stack) - 1))
        lib.txn_release(self.conn.conn, level)
        del self.stack[level:]

    @precondition(lambda self: self.stack and not self.reading)
    @rule(data=st.data())
    def rollback_to(self, data):
        level = data.draw(st.integers(0, len(self.stack) - 1))
        lib.txn_rollback_savepoint(self.conn.conn, level)
        self.state = dict(self.stack[level])
        del self.stack[level + 1:]

    @rule()
    def commit(self):
        changed = self.state != self.newest()
        self.conn.commit()
        self.stack = []
        number, ns = self.conn.last_commit()
        assert number == max(self.states) + changed
        self.states.setdefault(number, (ns, dict(self.state)))

    @precondition(lambda self: not self.reading)
    @rule()
    def rollback(self):
        self.conn.rollback()
        self.stack = []
        self.state = dict(self.newest())

    @rule(data=st.data())
    def ask_the_past(self, data):
        number = data.draw(st.sampled_from(sorted(self.states)))
        ns, state = self.states[number]
        assert self.conn.scan(self.tree, as_of=ns) == {raw(key): value for key, value in state.items()}

    @precondition(lambda self: len(self.reading) < 4)
    @rule(data=st.data(), past=st.booleans(), backward=st.booleans())
    def open_cursor(self, data, past, backward):
        ns, state = self.states[data.draw(st.sampled_from(sorted(self.states)))]
        statement = self.conn.begin(as_of=ns) if past else self.conn.begin()
        rows = sorted((state if past else self.state).items(), reverse=backward)
        cursor = statement.cursor(self.tree)
        cursor.seek_last() if backward else cursor.seek()
        self.reading.append((statement, cursor, [(raw(key), value) for key, value in rows] + [None, backward]))

    @precondition(lambda self: self.reading)
    @rule(data=st.data(), steps=st.integers(1, 8))
    def step_cursor(self, data, steps):
        statement, cursor, rows = data.draw(st.sampled_from(self.reading))
        for _ in range(steps):
            assert cursor.at() == rows[0]
            if rows[0] is None:
                self.reading = [one for one in self.reading if one[1] is not cursor]
                cursor.close()
                statement.end()
                return
            cursor.prev() if rows[-1] else cursor.next()
            del rows[0]

    @invariant()
    def own_writes_are_seen(self):
        assert self.conn.scan(self.tree) == {raw(key): value for key, value in self.state.items()}
        for key in (0, 7, 29):
            assert self.conn.get(self.tree, key) == self.state.get(key)


OneConnection.TestCase.settings = settings(max_examples=60, stateful_step_count=50)
TestOneConnection = pytest.mark.slow(OneConnection.TestCase)
