"""Transactions that are written out several times, with savepoints; and processes that tag at once."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crash.children import Child, Say
from engine.bare_pager import failpoint
from entitydb_dialect import driver

from .model import State, holds, random_node, text_of

Connect = Callable[..., driver.Connection]
INSERT = "INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)"
TAGS = ["a", "ab", *(f"n:{i}" for i in range(30)), "long:" + "x" * 60]


# ---- one large transaction -----------------------------------------------------------------------------------------


class Large:
    """One transaction of many changes, beside its model."""

    def __init__(self, db: driver.Connection, rng: random.Random) -> None:
        self.db, self.rng = db, rng
        self.now = State({"t": {}})

    def many(self) -> None:
        rng, rows = self.rng, self.now.rows["t"]
        kind = rng.random()
        if kind < 0.2 or len(rows) < 50:
            new = [i for i in rng.sample(range(400), 40) if i not in rows]
            self.db.executemany("INSERT INTO t VALUES (?, 'v', ?)", [(i, f"{i % 7}") for i in new])
            rows.update(dict.fromkeys(new, "v"))
            self.now.tags |= {("t", i, f"k:{i % 7}") for i in new}
        elif kind < 0.7:
            given = [("t", rng.choice(list(rows)), rng.choice(TAGS)) for _ in range(100)]
            self.db.executemany(INSERT, given)
            self.now.tags |= set(given)
        elif kind < 0.8:
            tag = rng.choice(TAGS)
            self.db.execute("DELETE FROM entitydb_tags WHERE type = 't' AND tag = ?", (tag,))
            self.now.tags = {t for t in self.now.tags if t[2] != tag}
        elif kind < 0.9:
            low = rng.randrange(400)
            self.db.execute("DELETE FROM t WHERE id BETWEEN ? AND ?", (low, low + 10))
            for entity in [i for i in rows if low <= i <= low + 10]:
                self.now.delete("t", entity)
        else:
            k = str(rng.randrange(7))
            self.db.execute("UPDATE t SET k = ? WHERE id % 5 = 0", (k,))
            fives = {i for i in rows if i % 5 == 0}
            self.now.tags = {t for t in self.now.tags if not (t[1] in fives and t[2].startswith("k:"))}
            self.now.tags |= {("t", i, f"k:{k}") for i in fives}

    def compare(self) -> None:
        ask = self.db.execute
        assert set(ask("SELECT type, entity, tag FROM entitydb_tags").fetchall()) == self.now.tags
        node = random_node(self.rng, TAGS)
        found = ask("SELECT entity FROM entitydb_tagged('t', ?)", (text_of(node, self.rng),)).fetchall()
        assert [e for (e,) in found] == self.now.meant("t", node)
        tag = self.rng.choice(TAGS)
        found = ask("SELECT entity FROM entitydb_tags WHERE tag = ?", (tag,)).fetchall()
        assert sorted(e for (e,) in found) == sorted(e for _, e, t in self.now.tags if t == tag)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
@pytest.mark.parametrize("first", [False, True], ids=["with tags", "first tags"])
def test_a_transaction_that_spills_is_what_the_model_says(
    connect: Connect, rng: random.Random, level: str, first: bool
) -> None:
    db = connect(spill_bytes=1 << 14)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, k TEXT TAG 'k')")
    if not first:
        db.execute("INSERT INTO t VALUES (1000, 'v', NULL)")
        db.execute("DELETE FROM t")
    db.commit()
    db.isolation_level = level
    written = 0

    def count(name: str) -> None:
        nonlocal written
        written += name == "spill:write"

    large = Large(db, rng)
    kept: list[tuple[str, State]] = []
    with failpoint(count):
        for i in range(120):
            kind = rng.random()
            if kind < 0.15:
                kept.append((f"s{i}", large.now.copy()))
                db.execute(f"SAVEPOINT s{i}")
            elif kind < 0.25 and kept:
                at = rng.randrange(len(kept))
                db.execute(f"ROLLBACK TO {kept[at][0]}")
                large.now = kept[at][1].copy()
                del kept[at + 1 :]
            elif kind < 0.3 and kept:
                at = rng.randrange(len(kept))
                db.execute(f"RELEASE {kept[at][0]}")
                del kept[at:]
            else:
                large.many()
            if i % 10 == 9:
                large.compare()
    assert written > 5, "it was not written out"
    db.commit()
    large.compare()
    db.rollback()
    large.db = connect()
    large.compare()


def test_equal_tags_of_two_large_transactions_agree(connect: Connect) -> None:
    """That equal writes are no conflict is remembered in what is written out, too."""
    one, two, three = (connect(spill_bytes=4096) for _ in range(3))
    one.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    one.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(300)])
    one.execute(INSERT, ("t", 0, "first"))
    one.commit()
    for side in (one, two):
        side.executemany(INSERT, [("t", i, f"n:{i % 50}") for i in range(300)])
    three.executemany(INSERT, [("t", i, "mine") for i in range(300)])
    three.execute("DELETE FROM entitydb_tags WHERE tag = 'first'")
    one.commit()
    two.commit()
    three.commit()
    assert one.execute("SELECT count(*) FROM entitydb_tags").fetchall() == [(600,)]
    one.rollback()
    for side in (one, two):
        side.execute("DELETE FROM entitydb_tags WHERE namespace = 'n'")
    one.commit()
    two.commit()
    three.executemany(INSERT, [("t", i, "late") for i in range(300)])
    one.execute("DELETE FROM t WHERE id = 299")
    one.commit()
    with pytest.raises(driver.SerializationFailure, match="deleted row 299 of table t"):
        three.commit()
    three.rollback()


# ---- processes -----------------------------------------------------------------------------------------------------


def worker(path: Path, level: str, seed: int, commits: int) -> Callable[[Say], None]:
    """Transactions of one to four changes; says of each its number and what it did, once it is committed."""
    def change(db: driver.Connection, rng: random.Random) -> Any:
        id_, tag, kind = rng.randrange(12), rng.choice(TAGS[:6]), rng.random()
        if kind < 0.5:
            try:
                db.execute(INSERT, ("t", id_, tag))
            except driver.IntegrityError:   # there is no such row
                return None
            return "give", id_, tag         # if it is there already, too: it stays, or is given again
        if kind < 0.7:
            cursor = db.execute("DELETE FROM entitydb_tags WHERE type = 't' AND entity = ? AND tag = ?", (id_, tag))
            return ("take", id_, tag) if cursor.rowcount else None
        if kind < 0.8:
            return ("gone", id_, "") if db.execute("DELETE FROM t WHERE id = ?", (id_,)).rowcount else None
        k = str(rng.randrange(3))
        if db.execute("INSERT INTO t VALUES (?, 'v', ?) ON CONFLICT DO UPDATE SET k = excluded.k", (id_, k)).rowcount:
            return "row", id_, k
        return None

    def work(say: Say) -> None:
        rng, done = random.Random(seed), 0
        db = driver.connect(path, page_size=512, timeout=30.0, spill_bytes=rng.choice([4096, 1 << 26]))
        db.isolation_level = level
        while done < commits:
            before = db.last_commit[0]
            try:
                changes = [change(db, rng) for _ in range(rng.randrange(1, 5))]
                db.commit()
            except (driver.SerializationFailure, driver.IntegrityError):
                db.rollback()
                continue
            if db.last_commit[0] != before:
                say(json.dumps([*db.last_commit, [c for c in changes if c]]))
                done += 1
        db.close()

    return work


def replay(state: State, changes: list[Any]) -> None:
    rows = state.rows["t"]
    for what, id_, text in changes:
        if what == "give":
            state.tags.add(("t", id_, text))
        elif what == "take":
            state.tags.discard(("t", id_, text))
        elif what == "gone":
            state.delete("t", id_)
        else:
            rows[id_] = "v"
            state.tags = {t for t in state.tags if not (t[1] == id_ and t[2].startswith("k:"))}
            state.tags.add(("t", id_, f"k:{text}"))
    assert all(id_ in rows for _, id_, _ in state.tags)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_processes_that_tag_at_once_end_as_their_commits_say(tmp_path: Path, rng: random.Random, level: str) -> None:
    """What each did, done again in the order of the commits, gives the state at each of them."""
    path = tmp_path / "shared.edb"
    db = driver.connect(path, page_size=512)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, k TEXT TAG 'k')")
    db.commit()
    db.close()
    children = [Child(worker(path, level, rng.getrandbits(32), 40)) for _ in range(3)]
    try:
        assert [child.join() for child in children] == [0, 0, 0], [child.lines[-1:] for child in children]
        told = sorted(json.loads(line) for child in children for line in child.lines)
    finally:
        for child in children:
            child.close()
    assert len(told) == 120
    database = driver.Database(path)
    assert database.check()[0] == []
    db = driver.connect(database)
    cursor = db.cursor()
    state = State({"t": {}})
    for _, moment, changes in told:
        replay(state, changes)
        cursor.as_of = moment
        assert {id_ for (id_,) in cursor.execute("SELECT id FROM t").fetchall()} == set(state.rows["t"])
        assert set(cursor.execute("SELECT type, entity, tag FROM entitydb_tags").fetchall()) == state.tags
    db.close()
    database.close()


# ---- expressions over many pages -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_expressions_over_many_pages_mean_the_same_at_every_moment(
    connect: Connect, rng: random.Random, level: str
) -> None:
    """Rare and common tags, whose postings are walked and leapt over within leaves and from the root."""
    db = connect()
    db.isolation_level = level
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    rows = sorted(rng.sample(range(-3000, 3000), 2000))
    db.executemany("INSERT INTO t VALUES (?)", [(i,) for i in rows])
    state, past = State({"t": dict.fromkeys(rows, "v")}), []
    shares = {"all": 1.0, "half": 0.5, "some": 0.1, "few": 0.01, "p:1": 0.3, "p:2": 0.02}
    for _ in range(3):
        for tag, share in shares.items():
            given = [("t", i, tag) for i in rows if rng.random() < share]
            db.executemany(INSERT, given)
            state.tags |= set(given)
            low = rng.choice(rows)
            db.execute("DELETE FROM entitydb_tags WHERE tag = ? AND entity BETWEEN ? AND ?", (tag, low, low + 300))
            state.tags = {t for t in state.tags if not (t[2] == tag and low <= t[1] <= low + 300)}
        db.commit()
        past.append((db.last_commit[1], state.copy()))
    cursor = db.cursor()
    for moment, then in [*past, (None, state)]:
        cursor.as_of = moment
        of: dict[int, set[str]] = {i: set() for i in rows}
        for _, i, tag in then.tags:
            of[i].add(tag)
        for _ in range(12):
            node = random_node(rng, [*shares, "none"])
            text = text_of(node, rng)
            wanted = [i for i in rows if holds(node, of[i])]
            found = cursor.execute("SELECT entity FROM entitydb_tagged('t', ?)", (text,)).fetchall()
            assert [i for (i,) in found] == wanted, text
            low = rng.choice(rows)
            beyond = "SELECT entity FROM entitydb_tagged('t', ?) WHERE entity > ?"
            found = cursor.execute(beyond, (text, low)).fetchmany(5)
            assert [i for (i,) in found] == [i for i in wanted if i > low][:5], text
