"""Redo records are what docs/format.md says: the reader finds behind them what the engine does, at every commit.

A history of small commits, large ones and changed definitions is copied as it stands, while the database is open, so
that copies end in redo records at every distance from their base.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

from .reader import RECORD, RING, SLOTS, Damaged, File
from .redo import COMMITS, Redo, groups
from .test_reader import every_page_once, indexes_agree

PAGE_SIZE = 512
QUERIES = {
    "alpha": "SELECT rowid, id, a, b, c FROM alpha ORDER BY rowid",
    "beta": "SELECT rowid, x, y FROM beta ORDER BY rowid",
}
DEFINITIONS = [
    "CREATE INDEX alpha_b ON alpha(b)", "CREATE TABLE beta(x INTEGER, y TEXT TAG 'why')",
    "CREATE INDEX beta_x ON beta(x)", "ANALYZE", "DROP INDEX alpha_b",
    "ALTER TABLE alpha ALTER COLUMN b SET DEFAULT 'none'",
]  # fmt: skip
TAGS = "SELECT type, entity, tag, since FROM entitydb_tags"


class History:
    """A database changed at random, and what SQL said at each commit."""

    def __init__(self, path: Path, rng: random.Random) -> None:
        self.path, self.rng = path, rng
        self.definitions = list(DEFINITIONS)
        self.db = driver.connect(path, page_size=PAGE_SIZE, synchronous=rng.choice(["normal", "full"]))
        self.said: dict[int, dict[str, Any]] = {}
        self.db.execute("CREATE TABLE alpha(id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c)")
        self.db.execute("CREATE INDEX alpha_ab ON alpha(a DESC, b)")
        self.commit()

    def commit(self) -> int:
        """-> its number, or that of the last, where it changed nothing."""
        db, before = self.db, self.db.last_commit[0]
        db.commit()
        number, ns = db.last_commit
        if number != before:
            self.said[number] = {
                "ns": ns, "rows": {name: db.execute(QUERIES[name]).fetchall() for name in db.catalog()},
                "labels": dict(db.execute("SELECT label, number FROM entitydb_labels").fetchall()),
                "info": db.execute("SELECT actor, reason, metadata FROM entitydb_transactions WHERE id = ?",
                                   [number]).fetchall(),
                "tags": {row[:3]: row[3] for row in db.execute(TAGS).fetchall()},
            }  # fmt: skip
            db.rollback()
        return number

    def value(self, room: int = 12) -> Any:
        rng = self.rng
        return rng.choice([None, rng.randrange(9), rng.random(), "x" * rng.randrange(room), rng.randbytes(5), ""])

    def change(self) -> None:
        rng, db, kind = self.rng, self.db, self.rng.random()
        id_ = rng.randrange(1, 60)
        if kind < 0.35:
            db.execute("INSERT OR REPLACE INTO alpha VALUES (?, ?, ?, ?)",
                       (id_, self.value(), self.value(), self.value(400)))
        elif kind < 0.5:
            db.execute("INSERT INTO alpha(a, b) VALUES (?, ?)", (self.value(), self.value()))
        elif kind < 0.7:
            until = id_ + rng.randrange(4)
            db.execute("UPDATE alpha SET c = ? WHERE id BETWEEN ? AND ?", (self.value(200), id_, until))
        elif kind < 0.85:
            db.execute("DELETE FROM alpha WHERE id BETWEEN ? AND ?", (id_, id_ + rng.randrange(4)))
        elif "beta" in db.catalog():
            if rng.random() < 0.7:
                db.execute("INSERT INTO beta VALUES (?, ?)", (rng.randrange(9), f"tag {rng.randrange(5)}"))
            else:
                db.execute("DELETE FROM beta WHERE x = ?", (rng.randrange(9),))

    def step(self) -> int:
        """Mostly a commit that fits a record."""
        rng, db = self.rng, self.db
        for _ in range(rng.choice((1, 1, 2, 4))):
            self.change()
        if rng.random() < 0.1:
            db.execute("SELECT entitydb_label(?)", [rng.choice(["one", "two", "äh"])])
        if rng.random() < 0.2:
            said = {"actor": rng.choice(["ann", "böb"]), "reason": "r" * rng.randrange(1, 50)}
            db.execute("SELECT entitydb_transaction_info(?)", [json.dumps(said)])
        if rng.random() < 0.02:
            db.execute("INSERT OR REPLACE INTO alpha(id, c) VALUES (?, ?)", (rng.randrange(1, 60), "large" * 1000))
        if self.definitions and rng.random() < 0.05:
            db.execute(self.definitions.pop(0))
        return self.commit()


def agrees(file: File, said: dict[int, dict[str, Any]], numbers: list[int]) -> None:
    times = file.times()
    assert times == sorted(set(times))
    assert len(times) == file.newest.number + 1
    for number in numbers:
        told = said[number]
        assert times[number] == told["ns"]
        catalog = file.catalog(number)
        assert sorted(catalog) == sorted(told["rows"])
        for name, rows in told["rows"].items():
            assert [(id_, *values) for id_, values in file.rows(catalog[name], number)] == rows, f"{name} at {number}"
        assert file.labels(number) == told["labels"]
        assert tuple(file.info(number) or (None, None, None)) == told["info"][0]
        actor = told["info"][0][0]
        assert file.actor_at(number) == ([] if actor is None else [actor])
        names = {table.id: table.name for table in catalog.values()}
        assert {(names[t], e, tag): times[n] for (t, e, tag), n in file.tags(number).items()} == told["tags"]


def states_agree(file: File) -> None:
    """What a tree's state says of it, redo records included."""
    tables = {table.id for table in file.catalog().values()}
    for tree in file.trees():
        entries = list(file.scan(tree))
        assert len(entries) == tree.live
        assert max((begun for _, begun, _ in entries), default=0) <= tree.changed <= file.newest.number
        if tree.id in tables and entries:
            assert int.from_bytes(entries[-1][0], "big") - 2**63 < tree.next_id


@pytest.fixture
def history(tmp_path: Path, rng: random.Random, native: Any) -> Iterator[History]:
    made = History(tmp_path / "t.edb", rng)
    yield made
    made.db.close()


@pytest.mark.slow
def test_copies_of_an_open_file_read_the_same_at_every_commit(
    history: History, rng: random.Random, tmp_path: Path
) -> None:
    distances, changes = set(), 0
    for step in range(420):
        number = history.step()
        if step % 30 < 29:
            continue
        data = history.path.read_bytes()
        file = File(data)
        assert file.newest.number == number
        distances.add(number - file.base.number)
        changes += sum(len(groups(rc.changes)) for rc in file.behind)
        recent = range(max(1, number - 5), number + 1)
        agrees(file, history.said, sorted({*recent, *rng.sample(sorted(history.said), 5)}))
        states_agree(file)
        every_page_once(file)
        indexes_agree(file, range(max(1, number - 2), number + 1))
        copy = tmp_path / "copy.edb"
        copy.write_bytes(data)
        with closing(driver.connect(copy)) as db:
            assert db.database.check()[0] == []
            for name, rows in history.said[number]["rows"].items():
                assert db.execute(QUERIES[name]).fetchall() == rows
    assert changes
    assert len(distances) > 3, distances
    history.db.close()
    file = File(history.path.read_bytes())
    agrees(file, history.said, sorted(history.said))
    states_agree(file)


@pytest.mark.slow
def test_the_base_is_at_most_so_many_commits_back(tmp_path: Path, native: Any) -> None:
    """The smallest commits there are: every 256th has pages."""
    path = tmp_path / "t.edb"
    with closing(driver.connect(path, page_size=PAGE_SIZE, synchronous="normal")) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
        db.commit()
        for i in range(800):
            db.execute("INSERT INTO t(v) VALUES (?)", (i,))
            db.commit()
    file = File(path.read_bytes())
    bases = {rc.base for rc in file.records.values() if isinstance(rc, Redo)}
    assert {number - COMMITS - 1 for number in bases} & bases
    assert file.newest.number - file.base.number <= COMMITS
    assert [values for _, values in file.rows(file.catalog()["t"])] == [[i + 1, i] for i in range(800)]
    every_page_once(file)


def damage(rng: random.Random, data: bytearray, file: File) -> None:
    """One loss: a page that only records behind the durable commit list; or a record, by power loss or decay. (More of
    it is no loss that a file survives: what says that a commit was durable may be lost together with its record.)"""
    number = file.newest.number
    durable = max(rc.durable for rc in file.records.values())
    listed = [ref for n in range(durable + 1, number + 1) for ref in file.records[n].listed if ref.tag]
    if listed and rng.random() < 0.3:
        at = rng.choice(listed).page * PAGE_SIZE
        data[at : at + PAGE_SIZE] = bytes(PAGE_SIZE)
        return
    near = rng.choice((number, number, number - 1, file.base.number, rng.randint(file.base.number, number)))
    at = RING + max(0, near) % SLOTS * RECORD
    kind = rng.randrange(3)
    if kind == 0:
        data[at + rng.randrange(100)] ^= 1 << rng.randrange(8)
    elif kind == 1:
        data[at + 64 : at + RECORD] = bytes(RECORD - 64)        # torn
    else:
        data[at : at + RECORD] = bytes(RECORD)


@pytest.mark.slow
def test_the_reader_chooses_the_commit_that_the_engine_does(
    history: History, rng: random.Random, tmp_path: Path
) -> None:
    """Records and pages lost: both stand at the same earlier commit and find there what was there, or both refuse."""
    lost, refused = set(), 0
    for _ in range(150):
        number = history.step()
        data = bytearray(history.path.read_bytes())
        damage(rng, data, File(bytes(data)))
        try:
            file: File | None = File(bytes(data))
        except Damaged:
            file = None
        copy = tmp_path / "copy.edb"
        copy.write_bytes(data)
        try:
            db = driver.connect(copy)
        except driver.DatabaseError as error:
            assert file is None, error
            refused += 1
            continue
        with closing(db):
            assert file is not None
            chosen = file.newest.number
            assert db.database.stats()["published"] == chosen
            lost.add(number - chosen)
            if chosen:
                agrees(file, history.said, [chosen])
                for name, rows in history.said[chosen]["rows"].items():
                    assert db.execute(QUERIES[name]).fetchall() == rows
    assert lost - {0}
    assert refused
