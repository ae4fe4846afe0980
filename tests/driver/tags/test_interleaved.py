"""Transactions of three connections, interleaved at random, beside a model that knows what each has seen.

At REPEATABLE READ the model says which COMMIT fails: one that gives a tag another has taken meanwhile or the other way
round, one that tags a row another has deleted, one that deletes a row another has tagged (though it inserts it again),
one that writes a row another has written; and no other. At each level the state after a COMMIT is the one before with
what the transaction wrote.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

ROWS, TAGS = 5, ["a", "b:1", "b:2"]
INSERT = "INSERT INTO entitydb_tags(type, entity, tag) VALUES ('t', ?, ?)"
DELETE = "DELETE FROM entitydb_tags WHERE type = 't' AND entity = ? AND tag = ?"
Key = Any  # a row's id, or (id, tag)


class Versions:
    """What was committed: of each key, by commit, the value; None: it is not there."""

    def __init__(self) -> None:
        self.of: dict[Key, list[tuple[int, Any]]] = {}

    def at(self, key: Key, moment: int) -> tuple[int, Any]:
        """The commit that wrote what is there, 0 if nothing is; and what."""
        for number, value in reversed(self.of.get(key, [])):
            if number <= moment:
                return (number, value) if value is not None else (0, None)
        return 0, None

    def put(self, key: Key, number: int, value: Any) -> None:
        if self.at(key, number)[1] != value:
            self.of.setdefault(key, []).append((number, value))

    def changed(self, keys: Callable[[Key], bool], since: int) -> bool:
        return any(versions[-1][0] > since for key, versions in self.of.items() if keys(key))

    def living(self, moment: int) -> dict[Key, Any]:
        found = {key: self.at(key, moment)[1] for key in self.of}
        return {key: value for key, value in found.items() if value is not None}


class Base:
    def __init__(self, number: int) -> None:
        self.rows, self.tags, self.number = Versions(), Versions(), number


class Conflict(Exception):
    pass


class Transaction:
    """What one transaction sees and has written. At READ COMMITTED each statement has a moment of its own."""

    def __init__(self, base: Base, level: str) -> None:
        self.base, self.level, self.moment = base, level, base.number
        self.rows: dict[int, Any] = {}
        self.tags: dict[tuple[int, str], bool | None] = {}
        self.seen: dict[tuple[str, Key], int] = {}
        self.returned: set[int] = set()     # rows that it has deleted and inserted again

    def begin_statement(self) -> None:
        if self.level == "READ COMMITTED":
            self.moment = self.base.number

    def row(self, id_: int) -> Any:
        return self.rows[id_] if id_ in self.rows else self.base.rows.at(id_, self.moment)[1]

    def tag(self, key: tuple[int, str]) -> Any:
        return self.tags[key] if key in self.tags else self.base.tags.at(key, self.moment)[1]

    def tag_now(self, key: tuple[int, str]) -> Any:
        return self.tags[key] if key in self.tags else self.base.tags.at(key, self.base.number)[1]

    def write_row(self, id_: int, value: Any) -> None:
        if id_ not in self.rows:
            here, now = self.base.rows.at(id_, self.moment)[0], self.base.rows.at(id_, self.base.number)[0]
            if here != now and here:
                raise Conflict
            self.seen["row", id_] = here
        self.rows[id_] = value

    def write_tag(self, key: tuple[int, str], value: bool | None) -> None:
        if key not in self.tags:
            self.seen["tag", key] = self.base.tags.at(key, self.moment)[0]
        self.tags[key] = value

    # ---- statements: what they answer

    def insert(self, id_: int, value: Any) -> str | int:
        there = self.rows[id_] if id_ in self.rows else self.base.rows.at(id_, self.base.number)[1]
        if there is not None:
            return "UNIQUE"
        if id_ not in self.rows:
            self.seen["row", id_] = self.base.rows.at(id_, self.moment)[0]
        if self.seen["row", id_]:
            self.returned.add(id_)
        self.rows[id_] = value
        return 1

    def update(self, id_: int, value: Any) -> int:
        if self.row(id_) is None:
            return 0
        self.write_row(id_, value)
        return 1

    def delete(self, id_: int) -> int:
        if self.row(id_) is None:
            return 0
        self.write_row(id_, None)
        for tag in TAGS:
            if self.tag((id_, tag)):
                self.write_tag((id_, tag), None)
        return 1

    def give(self, id_: int, tag: str) -> str | int:
        if self.row(id_) is None:
            return "no row"
        had = self.tag_now((id_, tag))
        self.write_tag((id_, tag), True)
        return int(not had)

    def take(self, id_: int, tag: str) -> int:
        if not self.tag((id_, tag)) or not self.tag_now((id_, tag)):
            return 0
        self.write_tag((id_, tag), None)
        return 1

    # ---- COMMIT

    def fails(self) -> bool:
        """At REPEATABLE READ."""
        base = self.base
        if base.number <= self.moment:
            return False
        for id_ in self.rows:
            if base.rows.at(id_, base.number)[0] != self.seen["row", id_]:
                return True
        for key, value in self.tags.items():
            number, there = base.tags.at(key, base.number)
            if number != self.seen["tag", key] and bool(there) != bool(value):
                return True
        if base.rows.changed(lambda key: True, self.moment):
            for (id_, _), value in self.tags.items():
                there = self.rows[id_] if id_ in self.rows else base.rows.at(id_, base.number)[1]
                if value and there is None:
                    return True
        if base.tags.changed(lambda key: True, self.moment):
            for id_, value in self.rows.items():
                left = [t for t in TAGS if (self.tags[id_, t] if (id_, t) in self.tags
                                            else base.tags.at((id_, t), base.number)[1])]
                if value is None and left:
                    return True
                there = [t for t in TAGS if base.tags.at((id_, t), base.number)[1]]
                if id_ in self.returned and any((id_, t) not in self.tags for t in there):
                    return True
        return False

    def commit(self, number: int) -> None:
        for id_, value in self.rows.items():
            self.base.rows.put(id_, number, value)
        for key, given in self.tags.items():
            self.base.tags.put(key, number, given)
        self.base.number = number

    def changes(self) -> bool:
        base = self.base
        return any(base.rows.at(id_, base.number)[1] != value for id_, value in self.rows.items()) or any(
            base.tags.at(key, base.number)[1] != value for key, value in self.tags.items()
        )


def state(db: driver.Connection, moment: int | None = None) -> tuple[Any, Any]:
    cursor = db.cursor()
    cursor.as_of = moment
    rows = dict(cursor.execute("SELECT id, v FROM t").fetchall())
    given = dict.fromkeys(cursor.execute("SELECT entity, tag FROM entitydb_tags").fetchall(), True)
    return rows, given


def step(db: driver.Connection, mine: Transaction, rng: random.Random, serial: int) -> None:
    """One statement in both. Raises Conflict where the model says so, SerializationFailure where the engine does."""
    id_, tag = rng.randrange(ROWS), rng.choice(TAGS)
    what, sql, parameters = rng.choice([
        (lambda: mine.insert(id_, serial), "INSERT INTO t VALUES (?, ?)", (id_, serial)),
        (lambda: mine.update(id_, serial), "UPDATE t SET v = ?2 WHERE id = ?1", (id_, serial)),
        (lambda: mine.delete(id_), "DELETE FROM t WHERE id = ?", (id_,)),
        *[(lambda: mine.give(id_, tag), INSERT, (id_, tag))] * 3,
        *[(lambda: mine.take(id_, tag), DELETE, (id_, tag))] * 2,
    ])
    mine.begin_statement()
    failed: type[Exception] | None = None
    found: Any = None
    try:
        found = db.execute(sql, parameters).rowcount
    except driver.SerializationFailure:
        failed = driver.SerializationFailure
    except driver.IntegrityError as error:
        found = "UNIQUE" if "UNIQUE" in str(error) else "no row"
    try:
        wanted: Any = what()
    except Conflict:
        assert failed is not None, (sql, parameters, found)
        raise
    if failed:
        raise AssertionError(f"{sql} {parameters} failed, and the model says {wanted}")
    assert found == wanted, (sql, parameters)


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(3))
@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ"])
@pytest.mark.parametrize("spill_bytes", [1 << 26, 4096])
def test_commits_fail_where_the_model_says(
    connect: Callable[..., driver.Connection], rng: random.Random, level: str, spill_bytes: int, round_: int
) -> None:
    sides = [connect(synchronous="normal", spill_bytes=spill_bytes) for _ in range(3)]
    sides[0].execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER)")
    sides[0].execute("INSERT INTO t VALUES (0, 0), (1, 0)")
    sides[0].execute(INSERT, (0, "a"))
    sides[0].commit()
    base = Base(sides[0].last_commit[0])
    for id_ in (0, 1):
        base.rows.put(id_, base.number, 0)
    base.tags.put((0, "a"), base.number, True)
    for side in sides:
        side.isolation_level = level
    running: dict[driver.Connection, Transaction] = {}
    past = []
    failures = commits = 0
    for serial in range(1, 700):
        side = rng.choice(sides)
        if side not in running:
            side.execute("SELECT v FROM t").fetchall()
            running[side] = Transaction(base, level)
        mine = running[side]
        if rng.random() < 0.7:
            try:
                step(side, mine, rng, serial)
            except Conflict:
                side.rollback()
                failures += 1
                del running[side]
            continue
        del running[side]
        fails, before = mine.fails(), side.last_commit[0]
        try:
            side.commit()
        except driver.SerializationFailure as error:
            assert fails or level == "READ COMMITTED", str(error)
            side.rollback()
            failures += 1
            continue
        assert not fails or level == "READ COMMITTED"
        if side.last_commit[0] != before:
            mine.commit(side.last_commit[0])
            past.append(side.last_commit)
            commits += 1
        else:
            assert not mine.changes()
        if side.last_commit[0] != before or rng.random() < 0.2:
            assert state(side) == (base.rows.living(base.number), base.tags.living(base.number))
            side.rollback()
    assert commits > 30
    assert failures > 0
    for side in sides:
        side.rollback()
    for number, moment in rng.sample(past, 20):
        assert state(sides[0], moment) == (base.rows.living(number), base.tags.living(number))
