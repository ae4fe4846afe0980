"""Columns without history, at random: what every moment shows, what transactions see, and what is proved, whatever was
packed, pruned and compacted."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from entitydb_dialect._native import lib

from entitydb_dialect import driver

Row: TypeAlias = tuple[Any, ...]  # a, seen, b, note; seen and note have no history
Rows: TypeAlias = dict[int, Row]

TABLE = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, seen INTEGER UNVERSIONED, b INTEGER, note TEXT UNVERSIONED)"
KEYS = range(1, 31)


def kept(row: Row | None) -> Row | None:
    """What of a row has a history."""
    return None if row is None else (row[0], row[2])


@dataclass
class World:
    path: Path
    rng: random.Random
    longest: int  # bytes of a note; from 100 on some lie in pages of their own
    now: Rows = field(default_factory=dict)
    states: list[tuple[int, Rows]] = field(default_factory=list)  # (moment, what it shows)
    readers: list[tuple[Any, Rows]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.db = driver.connect(self.path, page_size=512, packing=False)
        self.db.execute(TABLE)
        self.db.commit()
        self.note()

    def note(self) -> None:
        moment = self.db.last_commit[1]
        if not self.states or self.states[-1][0] != moment:
            self.states.append((moment, dict(self.now)))

    def word(self) -> str:
        return "n" * self.rng.randrange(self.longest)

    def change(self) -> None:
        key = self.rng.choice(KEYS)
        chance = self.rng.random()
        if key not in self.now:
            seen = self.rng.choice([None, 0, 10**6])
            self.now[key] = (self.rng.choice("xyz"), seen, self.rng.randrange(3), self.word())
            self.db.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?)", (key, *self.now[key]))
        elif chance < 0.1:
            del self.now[key]
            self.db.execute("DELETE FROM t WHERE id = ?", (key,))
        else:
            a, seen, b, note = self.now[key]
            if chance < 0.7:
                seen, note = self.rng.randrange(10**9), self.word()
            else:
                b = self.rng.randrange(3)
            self.now[key] = a, seen, b, note
            self.db.execute("UPDATE t SET seen = ?, b = ?, note = ? WHERE id = ?", (seen, b, note, key))

    def step(self) -> None:
        before = dict(self.now)
        for _ in range(self.rng.randint(1, 8)):
            self.change()
        if self.rng.random() < 0.1:
            self.db.rollback()
            self.now = before
        else:
            self.db.commit()
            self.note()
        chance = self.rng.random()
        if chance < 0.04:
            self.db.database.pack()
        elif chance < 0.08 and len(self.readers) < 3:
            reader = driver.connect(self.path, isolation_level=self.rng.choice(["REPEATABLE READ", "SERIALIZABLE"]))
            reader.execute("BEGIN")
            assert read(reader) == self.now
            self.readers.append((reader, dict(self.now)))
        elif chance < 0.1 and self.readers:
            self.leave(self.rng.randrange(len(self.readers)))

    def leave(self, which: int) -> None:
        reader, seen = self.readers.pop(which)
        assert read(reader) == seen
        reader.close()

    def judge(self) -> None:
        assert read(self.db) == self.now
        self.db.rollback()
        for moment, rows in self.states:
            shown = read(self.db, moment)
            assert {key: kept(row) for key, row in shown.items()} == {key: kept(row) for key, row in rows.items()}
            assert {(row[1], row[3]) for row in shown.values()} <= {(None, None)}
        told = "a, b, valid_from, valid_to, seen, note"
        versions = f"SELECT {told} FROM t FOR SYSTEM_TIME ALL WHERE id = ? ORDER BY valid_from"
        for key in KEYS:
            found = self.db.execute(versions, (key,)).fetchall()
            assert found == [(*row, low, high, None, None) for row, low, high in self.runs(key)]
        count = "SELECT count(*) FROM entitydb_changes WHERE committed_at > ?"
        assert self.db.execute(count, (self.states[0][0],)).fetchone()[0] == sum(
            kept(old.get(key)) != kept(new.get(key))
            for (_, old), (_, new) in zip(self.states, self.states[1:], strict=False) for key in KEYS
        )  # fmt: skip
        self.db.rollback()
        assert self.db.database.check()[0] == []
        assert self.db.database.verify().breaks == ()

    def runs(self, key: int) -> list[tuple[Row, int, int | None]]:
        found: list[tuple[Row, int, int | None]] = []
        before: Row | None = None
        for moment, rows in self.states:
            row = kept(rows.get(key))
            if row == before:
                continue
            if before is not None:
                found[-1] = (*found[-1][:2], moment)
            if row is not None:
                found.append((row, moment, None))
            before = row
        return found


def read(db: Any, moment: int | None = None) -> Rows:
    cursor = db.cursor()
    cursor.as_of = moment
    return {row[0]: tuple(row[1:]) for row in cursor.execute("SELECT * FROM t").fetchall()}


@pytest.mark.parametrize("seed", range(6))
def test_the_past_shows_nothing_of_them_and_transactions_see_all(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    world = World(tmp_path / "a.edb", rng, 60 if seed % 2 else 300)
    for _ in range(rng.randrange(150, 350)):
        world.step()
    world.judge()
    world.db.database.pack()
    while world.readers:
        world.leave(0)
    world.db.database.pack()
    world.judge()
    world.db.database.compact()
    world.judge()
    at = rng.randrange(len(world.states))
    world.db.database.prune(world.db.database.resolve(world.states[at][0])[0])
    for moment, rows in world.states[at:]:
        assert {key: kept(row) for key, row in read(world.db, moment).items()} == {
            key: kept(row) for key, row in rows.items()
        }
    assert read(world.db) == world.now
    world.db.rollback()
    assert world.db.database.verify().breaks == ()
    world.db.close()


def test_packs_have_no_values_of_them(tmp_path: Path) -> None:
    """Nor has the file, when it was packed, compacted and what is free was written over."""
    db = driver.connect(tmp_path / "a.edb", packing=False)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, seen TEXT UNVERSIONED)")
    db.executemany("INSERT INTO t VALUES (?, 'kept', 'first')", [(i,) for i in range(300)])
    db.commit()
    for n in range(60):
        db.execute("UPDATE t SET seen = ?", (f"secret-{n:04}" * 3,))
        db.commit()
    while db.database.pack().windows:
        pass
    db.database.compact()
    db.close()
    stored = (tmp_path / "a.edb").read_bytes()
    assert b"secret-0059" in stored
    assert b"secret-0030" not in stored


def test_packing_waits_for_an_open_transaction(tmp_path: Path) -> None:
    db = driver.connect(tmp_path / "a.edb", packing=False)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, pad TEXT, n INTEGER UNVERSIONED)")
    db.executemany("INSERT INTO t VALUES (?, ?, 0)", [(i, "x" * 100) for i in range(300)])
    db.commit()
    reader = driver.connect(tmp_path / "a.edb")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    for _ in range(40):
        db.execute("UPDATE t SET n = n + 1")
        db.commit()
    assert db.database.pack().windows == 0
    assert reader.execute("SELECT sum(n) FROM t").fetchone() == (0,)
    reader.close()
    assert db.database.pack().windows > 0
    db.close()


def test_a_file_says_that_it_has_such_columns_when_the_first_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a.edb"

    def required() -> int:
        return int.from_bytes(path.read_bytes()[24:32], "little")

    db = driver.connect(path)
    db.execute("CREATE TABLE a(x)")
    db.commit()
    assert not required() & 128
    db.execute("CREATE TABLE b(x UNVERSIONED)")
    db.rollback()
    assert not required() & 128
    db.execute("ALTER TABLE a ADD COLUMN y UNVERSIONED")
    db.commit()
    assert required() & 128
    db.close()
    with driver.connect(path) as again:
        assert [c.unversioned for c in again.catalog()["a"].columns] == [False, True]


def faults(act: Any) -> int:
    """Runs it with its first allocation failing, then with the second, until none is left. -> how many failed it"""
    failed = 0
    for n in itertools.count(1):
        lib.test_alloc_fail(n, False)
        try:
            act()
        except (driver.Error, MemoryError):
            failed += 1
        finally:
            passed = lib.test_alloc_passed()
            lib.test_alloc_fail(0, False)
        if passed < n:
            return failed
    raise AssertionError


@pytest.mark.slow
def test_every_allocation_may_fail(tmp_path: Path, native: Any) -> None:
    """An error leaves all as it was, and what succeeds is right."""
    db = driver.connect(tmp_path / "a.edb", page_size=512, packing=False)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, seen INTEGER UNVERSIONED, note TEXT UNVERSIONED)")
    db.executemany("INSERT INTO t VALUES (?, 'a', 0, ?)", [(i, "n" * (9 if i else 600)) for i in range(12)])
    db.commit()
    count = itertools.count(1)
    made = 0

    def update() -> None:
        nonlocal made
        db.rollback()
        n = next(count)
        db.execute("UPDATE t SET seen = ?, note = note || ?", (n, n % 10))
        db.commit()
        made = n

    def alter() -> None:
        db.rollback()
        db.execute("CREATE TABLE u(x UNVERSIONED)")
        db.execute("INSERT INTO u VALUES (1)")
        db.execute("ALTER TABLE t ADD COLUMN late UNVERSIONED")
        db.execute("ALTER TABLE t ALTER COLUMN a SET UNVERSIONED")
        db.execute("DROP TABLE u")
        db.commit()
        db.execute("ALTER TABLE t ALTER COLUMN a DROP UNVERSIONED")
        db.execute("ALTER TABLE t DROP COLUMN late")
        db.commit()

    def ask() -> None:
        db.rollback()
        moment = db.execute("SELECT min(committed_at) FROM entitydb_transactions WHERE id > 1").fetchone()[0]
        for sql in (
            f"SELECT * FROM t FOR SYSTEM_TIME AS OF {moment}", "SELECT *, valid_from FROM t FOR SYSTEM_TIME ALL",
            "SELECT * FROM entitydb_versions", "SELECT * FROM entitydb_changes", "SELECT * FROM entitydb_entities",
            f"SELECT *, valid_from, valid_to FROM t FOR SYSTEM_TIME AS OF {moment}",
        ):  # fmt: skip
            db.execute(sql).fetchall()

    for act in (update, alter, ask, db.database.verify, db.database.pack, update):
        for _ in range(20):
            update()
        assert faults(act) > 0
        db.rollback()
        assert {row[0] for row in db.execute("SELECT seen FROM t").fetchall()} == {made}
        db.rollback()
        assert db.database.verify().breaks == ()
    assert db.database.check()[0] == []
    db.close()
