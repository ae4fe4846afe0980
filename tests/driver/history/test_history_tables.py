"""History tables, asked directly: a table at a moment of each reference's own, and its versions, beside a model."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from entitydb_dialect._native import lib

from entitydb_dialect import driver

Row = tuple[Any, ...]
NAMES = ["a", "b", "c", "ä", "z" * 40, None]
BODIES = ["", "short", "long" * 300]


class Version(NamedTuple):
    row: Row
    begun: int  # commit time
    ended: int | None
    operation: str


def declare_history(db: driver.Connection, table: str) -> None:
    (table_id,) = db.execute("SELECT id FROM entitydb_catalog WHERE name = ?", (table,)).fetchone()
    own = lib.edb_conn_id(db._session.engine)
    db._session.raw.execute("SELECT entitydb_history(?, ?, ?, 0, NULL)", (f"{table} history", own, table_id))


class History:
    """A table changed at random, and every state of it."""

    def __init__(self, db: driver.Connection, rng: random.Random, commits: int) -> None:
        self.db, self.rng = db, rng
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, n INTEGER, body TEXT)")
        db.execute("CREATE INDEX by_n ON t (n)")
        db.execute("CREATE INDEX by_name ON t (name, n)")
        db.commit()
        declare_history(db, "t")
        self.rows: dict[int, Row] = {}
        self.states: list[tuple[int, dict[int, Row]]] = []
        self.versions: list[Version] = []
        self._current: dict[int, tuple[int, str]] = {}
        for _ in range(commits):
            self.commit()

    def row(self) -> Row:
        return (self.rng.choice(NAMES), self.rng.choice([None, *range(5)]), self.rng.choice(BODIES))

    def commit(self) -> None:
        rng, new = self.rng, dict(self.rows)
        for _ in range(rng.choice([1, 1, 3, 20])):
            key = rng.randrange(40)
            choice = rng.random()
            if choice < 0.25:
                self.db.execute("DELETE FROM t WHERE id = ?", (key,))
                new.pop(key, None)
            elif choice < 0.3:
                self.db.execute("DELETE FROM t WHERE id > ?", (key,))
                new = {k: v for k, v in new.items() if k <= key}
            else:
                row = self.row()
                self.db.execute("INSERT OR REPLACE INTO t VALUES (?, ?, ?, ?)", (key, *row))
                new[key] = (key, *row)
        self.db.commit()
        if new == self.rows:
            return
        now = self.db.last_commit[1]
        for key in self.rows.keys() | new.keys():
            was, row = self.rows.get(key), new.get(key)
            if was == row:
                continue
            if was is not None:
                begun, operation = self._current.pop(key)
                self.versions.append(Version(was, begun, now, operation))
                if row is None:
                    self.versions.append(Version(was, now, now, "delete"))
            if row is not None:
                self._current[key] = (now, "insert" if was is None else "update")
        self.rows = new
        self.states.append((now, new))

    def all_versions(self) -> list[Version]:
        return self.versions + [
            Version(self.rows[key], begun, None, operation) for key, (begun, operation) in self._current.items()
        ]

    def at(self, moment: int) -> dict[int, Row]:
        return [state for begun, state in self.states if begun <= moment][-1]

    def ask(self, sql: str, *parameters: Any) -> list[Row]:
        return list(self.db._session.raw.execute(sql, parameters))


def key(row: Row) -> Any:
    return [(value is not None, str(type(value)), value if value is not None else 0) for value in row]


def same(found: list[Row], wanted: list[Row]) -> None:
    assert sorted(found, key=key) == sorted(wanted, key=key)


CONDITIONS: list[tuple[str, Callable[[Row], bool]]] = [
    ("1", lambda row: True),
    ("id = 7", lambda row: row[0] == 7),
    ("id BETWEEN 10 AND 20", lambda row: 10 <= row[0] <= 20),
    ("id IN (3, 9, 31)", lambda row: row[0] in (3, 9, 31)),
    ("n = 2", lambda row: row[2] == 2),
    ("n IN (1, 4) AND id < 20", lambda row: row[2] in (1, 4) and row[0] < 20),
    ("n > 2", lambda row: row[2] is not None and row[2] > 2),
    ("n IS NULL", lambda row: row[2] is None),
    ("name = 'a' AND n = 1", lambda row: row[1] == "a" and row[2] == 1),
    ("name >= 'b' AND name < 'd'", lambda row: row[1] is not None and "b" <= row[1] < "d"),
    ("n = 3 OR id = 5", lambda row: row[2] == 3 or row[0] == 5),
    ("name = 'b' OR n = 0 OR id = 11", lambda row: row[1] == "b" or row[2] == 0 or row[0] == 11),
]


@pytest.fixture
def history(db: driver.Connection, rng: random.Random) -> History:
    return History(db, rng, 60)


def test_a_reference_reads_as_of_its_own_moment(history: History) -> None:
    rng = history.rng
    for condition, holds in CONDITIONS:
        for _ in range(4):
            begun, _ = rng.choice(history.states)
            moment = begun + rng.choice([0, 0, 1])
            wanted = [row for row in history.at(moment).values() if holds(row)]
            columns = "id, name, n, body"
            same(history.ask(f'SELECT {columns} FROM "t history"(?) WHERE {condition}', moment), wanted)
            same(history.ask(f'SELECT {columns} FROM "t history" WHERE as_of = ? AND ({condition})', moment), wanted)
            ordered = history.ask(f'SELECT id FROM "t history"(?) WHERE {condition} ORDER BY id DESC', moment)
            assert ordered == sorted(((row[0],) for row in wanted), reverse=True)


@pytest.mark.parametrize("kind", ["", ", 0, 'all'"])
def test_an_or_may_walk_several_indexes(db: driver.Connection, kind: str) -> None:
    """SQLite then compares the arguments with their hidden columns once more."""
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    db.execute("CREATE INDEX by_n ON t (n)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(k, k % 500) for k in range(2000)])
    db.commit()
    declare_history(db, "t")
    raw, moment = db._session.raw, db.last_commit[1]
    sql = f'SELECT id FROM "t history"(?{kind}) WHERE id = 5 OR n = 7'
    assert "MULTI-INDEX OR" in str(list(raw.execute(f"EXPLAIN QUERY PLAN {sql}", (moment,))))
    assert sorted(raw.execute(sql, (moment,))) == [(5,), (7,), (507,), (1007,), (1507,)]


def test_a_table_with_indexes_on_expressions_has_its_moment_behind_zeros(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    db.execute("CREATE INDEX by_lower ON t (lower(name))")
    db.execute("ALTER TABLE t ADD COLUMN n INTEGER")
    db.execute("INSERT INTO t VALUES (1, 'A', 5)")
    db.commit()
    raw = db._session.raw
    declare_history(db, "t")
    for condition in ("1", "id = 1 OR id = 2 OR id = 3"):
        (row,) = raw.execute(f'SELECT * FROM "t history"(0, ?) WHERE {condition}', (db.last_commit[1],))
        assert row[:3] == (1, "A", 5)
        (row,) = raw.execute(f"SELECT * FROM \"t history\"(0, 0, 0, 'all') WHERE {condition}")
        assert row[:3] == (1, "A", 5)


def test_two_moments_are_joined(history: History) -> None:
    rng = history.rng
    for kind in ("JOIN", "LEFT JOIN", "FULL JOIN"):
        for _ in range(5):
            (first, _), (second, _) = rng.choice(history.states), rng.choice(history.states)
            then, later = history.at(first), history.at(second)
            found = history.ask(
                f'SELECT a.id, a.n, b.id, b.n FROM "t history"(?1) AS a {kind} "t history"(?2) AS b ON b.id = a.id',
                first, second,
            )  # fmt: skip
            keys = then.keys() & later.keys() if kind == "JOIN" else then.keys()
            if kind == "FULL JOIN":
                keys = then.keys() | later.keys()
            nothing = (None, None, None)
            wanted = [(then.get(k, nothing)[0], then.get(k, nothing)[2], later.get(k, nothing)[0],
                       later.get(k, nothing)[2]) for k in keys]  # fmt: skip
            same(found, wanted)


def test_a_moment_may_be_a_column(history: History) -> None:
    moments = [begun for begun, _ in history.states[::7]]
    history.ask("CREATE TEMP TABLE m (at)")
    for moment in moments:
        history.ask("INSERT INTO m VALUES (?)", moment)
    wanted = [(moment, *row) for moment in moments for row in history.at(moment).values()]
    same(history.ask('SELECT m.at, h.id, h.name, h.n, h.body FROM m JOIN "t history" AS h ON h.as_of = m.at'), wanted)
    same(history.ask('SELECT m.at, h.id, h.name, h.n, h.body FROM m, "t history"(m.at) AS h'), wanted)
    counts = history.ask('SELECT at, (SELECT count(*) FROM "t history"(m.at)) FROM m')
    same(counts, [(moment, len(history.at(moment))) for moment in moments])


def wanted_versions(history: History, kind: str, low: int, high: int) -> list[Version]:
    def fits(version: Version) -> bool:
        ended = version.ended if version.ended is not None else 2**63
        if version.operation == "delete":
            return kind == "changes"
        if kind == "from to":
            return version.begun < high and ended > low and low < high
        if kind == "between":
            return version.begun <= high and ended > low
        if kind == "contained in":
            return version.begun >= low and ended <= high
        return True

    return [version for version in history.all_versions() if fits(version)]


@pytest.mark.slow
def test_versions_of_every_kind_of_interval(history: History) -> None:
    rng = history.rng
    moments = [begun for begun, _ in history.states]
    for condition, holds in CONDITIONS:
        for kind in ("all", "changes", "from to", "between", "contained in"):
            low, high = sorted(rng.choices(moments, k=2))
            low, high = low + rng.choice([0, 0, -1, 1]), high + rng.choice([1, 2])
            found = history.ask(
                "SELECT id, name, n, body, valid_from, valid_to, operation FROM"
                f' "t history"(?1, ?2, ?3) WHERE {condition}', low, high, kind,
            )  # fmt: skip
            wanted = [(*v.row, *v[1:]) for v in wanted_versions(history, kind, low, high) if holds(v.row)]
            same(found, wanted)


def test_the_version_that_a_moment_saw(history: History) -> None:
    rng = history.rng
    for _ in range(10):
        moment, _ = rng.choice(history.states)
        found = history.ask(
            'SELECT id, valid_from, valid_to, operation FROM "t history"(?) WHERE n >= 0 OR n IS NULL', moment
        )
        wanted = [
            (v.row[0], *v[1:]) for v in history.all_versions()
            if v.begun <= moment and (v.ended is None or v.ended > moment)
        ]  # fmt: skip
        same(found, wanted)


def test_the_transaction_of_a_version_is_its_commit(history: History) -> None:
    found = history.ask("""SELECT DISTINCT valid_from, transaction_id FROM "t history"(0, 0, 'changes')""")
    assert len({moment for moment, _ in found}) == len({number for _, number in found}) == len(found)
    assert [number for _, number in sorted(found)] == sorted(number for _, number in found)


def test_bad_arguments_are_refused(history: History) -> None:
    for sql, parameters, message in [
        ('SELECT * FROM "t history"', (), "needs a moment"),
        ('SELECT * FROM "t history"(?)', ("soon",), "nanoseconds"),
        ('SELECT * FROM "t history"(?)', (1.5,), "nanoseconds"),
        ("SELECT * FROM \"t history\"(5, 4, 'between')", (), "later than the second"),
        ("SELECT * FROM \"t history\"(5, 6, 'about')", (), "kind"),
        ('SELECT * FROM "t history" WHERE as_of > 5', (), "needs a moment"),
        ('SELECT count(*) FROM "t history" AS h CROSS JOIN t ON h.as_of = t.n', (), "needs a moment"),
    ]:
        with pytest.raises(Exception, match=message):
            history.ask(sql, *parameters)


def test_a_moment_that_is_null_finds_nothing(history: History) -> None:
    assert history.ask('SELECT * FROM "t history"(NULL)') == []
    assert history.ask("SELECT * FROM \"t history\"(NULL, 5, 'from to')") == []


def test_own_writes_are_no_versions_before_they_are_committed(history: History) -> None:
    before = history.ask("SELECT count(*) FROM \"t history\"(0, 0, 'all')")
    history.db.execute("UPDATE t SET n = 99")
    assert history.ask("SELECT count(*) FROM \"t history\"(0, 0, 'all')") == before
    history.db.rollback()


def test_a_column_that_the_table_has_keeps_its_name(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, valid_from TEXT, operation TEXT)")
    db.execute("INSERT INTO t VALUES (1, 'x', 'y')")
    db.commit()
    raw = db._session.raw
    declare_history(db, "t")
    ((*row, entitydb_from, entitydb_operation),) = raw.execute(
        "SELECT valid_from, operation, entitydb_valid_from, entitydb_operation FROM \"t history\"(0, 0, 'all')"
    )
    assert row == ["x", "y"]
    assert (entitydb_from, entitydb_operation) == (db.last_commit[1], "insert")
