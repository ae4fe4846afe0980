"""Power losses after real SQL transactions: unsynced writes are kept, lost, torn and reordered.

At `full` exactly the acknowledged commits are there, the one in flight or not; at `normal` some earlier state, whole.
More points: ENTITYDB_POWER_POINTS (default 200).
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from engine.bare_pager import SYNC, logging, note, power_losses, read_log
from entitydb_dialect import driver

POINTS = int(os.environ.get("ENTITYDB_POWER_POINTS") or 200)
QUERIES = {
    "item": "SELECT id, name, price, about FROM item ORDER BY id",
    "stock": "SELECT id, item, place, pieces FROM stock ORDER BY id",
    "later": "SELECT a, b FROM later ORDER BY rowid",
}
TAGS = "SELECT type, entity, tag FROM entitydb_tags"
TAG = "INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)"
State = dict[str, list[tuple[Any, ...]]]


def read(db: driver.Connection, as_of: int | None = None) -> State:
    state = {}
    for name in db.catalog(as_of):
        cursor = db.cursor()
        cursor.as_of = as_of
        state[name] = cursor.execute(QUERIES[name]).fetchall()
    cursor = db.cursor()
    cursor.as_of = as_of
    state["tags"] = sorted(cursor.execute(TAGS).fetchall())
    # Each row has the tags that its columns say, and no row that is gone has any.
    rows: dict[tuple[str, int], str | None] = {("item", row[0]): None for row in state["item"]}
    rows |= {("stock", id_): place for id_, _, place, _ in state["stock"]}
    assert {(t, e): tag for t, e, tag in state["tags"] if tag.startswith("place:")} == {
        row: f"place:{place}" for row, place in rows.items() if place is not None
    }
    assert {(t, e) for t, e, _ in state["tags"]} <= set(rows)
    db.rollback()
    return state


def change(db: driver.Connection, rng: random.Random, step: int) -> None:
    """One transaction of one to many rows, over both tables and their indexes."""
    kind = rng.random()
    if step == 15:
        db.execute("CREATE TABLE later(a, b TEXT UNIQUE)")
        db.executemany("INSERT INTO later VALUES (?, ?)", [(i, f"b{i}") for i in range(30)])
    elif step == 25:
        db.execute("CREATE INDEX stock_pieces ON stock(pieces, place)")
    elif kind < 0.15:
        given = [("item", rng.randrange(20), f"n:{rng.randrange(30)}") for _ in range(rng.choice((1, 3, 60)))]
        db.executemany(TAG, given)
    elif kind < 0.2:
        db.execute("DELETE FROM entitydb_tags WHERE type = 'item' AND entity = ?", (rng.randrange(20),))
    elif kind < 0.25:
        tagged = db.execute("SELECT id FROM stock WHERE item = ?", (rng.randrange(20),)).fetchall()
        db.executemany(TAG, [("stock", id_, "seen") for (id_,) in tagged])
        seen = "SELECT entity FROM entitydb_tagged('stock', 'seen')"
        db.execute(f"UPDATE stock SET place = place || 'x' WHERE id IN ({seen})")
    elif kind < 0.5:
        db.execute("UPDATE item SET price = price + 1 WHERE id = ?", (rng.randrange(20),))
        db.execute("INSERT INTO stock(item, place, pieces) VALUES (?, ?, ?)", (rng.randrange(20), f"p{step}", step))
    elif kind < 0.7:
        db.execute("UPDATE stock SET pieces = pieces + 1 WHERE item < ?", (rng.randrange(20),))
    elif kind < 0.8:
        db.execute("DELETE FROM stock WHERE item = ?", (rng.randrange(20),))
    elif kind < 0.9:
        db.execute("UPDATE item SET about = ? WHERE id = ?", ("long " * rng.randrange(400), rng.randrange(20)))
    else:
        db.executemany("INSERT INTO stock(item, place, pieces) VALUES (?, 'many', 0)",
                       [(rng.randrange(20),) for _ in range(rng.choice((50, 400)))])


def run(path: Path, log: Path, rng: random.Random, synchronous: str, transactions: int) -> dict[int, tuple[int, State]]:
    """A logged history. -> the time and the rows of each commit."""
    history: dict[int, tuple[int, State]] = {}

    def open_it() -> driver.Connection:
        return driver.connect(path, page_size=1024, synchronous=synchronous)

    def remember() -> None:
        number, ns = db.last_commit
        history[number] = ns, read(db)
        if synchronous == "full":
            assert db.database.stats()["durable"] >= number, "acknowledged and not durable"
        note(f"durable {db.database.stats()['durable']}")

    with logging(log):
        db = open_it()
        note("start 1")
        db.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT UNIQUE, price INTEGER, about)")
        db.execute("CREATE TABLE stock(id INTEGER PRIMARY KEY AUTOINCREMENT, item INTEGER, place TEXT TAG 'place', "
                   "pieces INTEGER)")
        db.execute("CREATE INDEX stock_item ON stock(item, place)")
        db.executemany("INSERT INTO item VALUES (?, ?, ?, NULL)", [(i, f"item {i}", i) for i in range(20)])
        db.commit()
        remember()
        for step in range(transactions):
            change(db, rng, step)
            if rng.random() < 0.1:
                db.rollback()
                continue
            note(f"start {db.database.stats()['published'] + 1}")
            try:
                db.commit()
            except driver.IntegrityError:
                continue
            if db.last_commit[0] not in history:
                remember()
            if rng.random() < 0.03:
                db.close()
                note(f"durable {max(history)}")
                db = open_it()
        db.close()
        note(f"durable {max(history)}")
    return history


def bounds(notes: list[str]) -> tuple[int, int]:
    """The newest commit that must be there, and the newest that may."""
    durable = [int(text.split()[1]) for text in notes if text.startswith("durable")]
    started = [int(text.split()[1]) for text in notes if text.startswith("start")]
    return max(durable, default=0), max(started, default=0)


@pytest.mark.slow
@pytest.mark.parametrize(("synchronous", "points"), [("full", POINTS), ("normal", POINTS // 3)])
def test_power_loss_after_sql_transactions(
    tmp_path: Path, rng: random.Random, native: Any, synchronous: str, points: int
) -> None:
    history = run(tmp_path / "live.edb", tmp_path / "log", rng, synchronous, 120)
    log = read_log(tmp_path / "log")
    first = next(i for i, entry in enumerate(log) if entry.data.startswith(b"start"))
    where = set(rng.sample(range(first, len(log)), min(points, len(log) - first)))
    # A few at least behind the begin of a commit, which is lost, and before one is known to be durable, which is not.
    begun = [i + 1 for i, entry in enumerate(log) if entry.data.startswith(b"start")]
    told = [i for i, entry in enumerate(log) if entry.data.startswith(b"durable")]
    where |= {*rng.sample(begun, 5), *rng.sample(told, 5)}
    behind = lost = 0
    path = tmp_path / "left.edb"
    for position, disk, notes in power_losses(log, where):
        least, most = bounds(notes)
        path.write_bytes(disk.lose_power(rng))
        (tmp_path / "left.edb-lock").unlink(missing_ok=True)        # the machine has started anew
        db = driver.connect(path)
        try:
            number = db.database.stats()["published"]
            assert least <= number <= most, f"position {position}: commit {number} of {least}..{most}"
            if synchronous == "full":
                assert most - least <= 1
            lost += most - number
            behind += number - least
            if number:
                assert read(db) == history[number][1], f"position {position}, commit {number}"
                for earlier in rng.sample(range(1, number + 1), min(2, number)):
                    assert read(db, history[earlier][0]) == history[earlier][1], f"position {position}, as of {earlier}"
            assert db.database.check()[0] == []
            # What is left can be gone on with.
            db.execute("CREATE TABLE IF NOT EXISTS after(n)")
            db.execute("INSERT INTO after VALUES (?)", (position,))
            db.commit()
            assert db.last_commit[0] == number + 1
            assert db.database.check()[0] == []
        finally:
            db.close()
    assert lost, "nothing was ever lost: the test proves nothing"
    assert behind, "no commit in flight was ever kept: the test proves nothing"


@pytest.mark.slow
def test_power_loss_while_history_is_pruned(tmp_path: Path, rng: random.Random, native: Any) -> None:
    """Pages that pruning frees are written again; none is that the commit may need which recovery stands at."""
    history: dict[int, tuple[int, State]] = {}
    with logging(tmp_path / "log"):
        db = driver.connect(tmp_path / "live.edb", page_size=1024)
        db.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT UNIQUE, price INTEGER, about)")
        db.execute("CREATE TABLE stock(id INTEGER PRIMARY KEY AUTOINCREMENT, item INTEGER, place TEXT TAG 'place', "
                   "pieces INTEGER)")
        db.executemany("INSERT INTO item VALUES (?, ?, ?, NULL)", [(i, f"item {i}", i) for i in range(20)])
        for step in range(90):
            if step not in (15, 25):
                change(db, rng, step)
            db.commit()
            history[db.last_commit[0]] = db.last_commit[1], read(db)
            note(f"durable {db.database.stats()['durable']}")
            if step % 9 == 8:
                horizon = rng.choice(sorted(history)[-12:])
                note(f"horizon {horizon}")
                db.database.prune(horizon, step_pages=rng.choice([5, 40]))
                note(f"durable {db.database.stats()['durable']}")
        db.close()
    log = read_log(tmp_path / "log")
    told = [i for i, entry in enumerate(log) if entry.data.startswith(b"horizon")]
    where = {i + rng.randrange(1, 40) for i in told for _ in range(POINTS // 20)}
    path, refused = tmp_path / "left.edb", 0
    for position, disk, notes in power_losses(log, {at for at in where if at < len(log)}):
        least, _ = bounds(notes)
        asked = max(int(text.split()[1]) for text in notes if text.startswith("horizon"))
        path.write_bytes(disk.lose_power(rng))
        (tmp_path / "left.edb-lock").unlink(missing_ok=True)
        db = driver.connect(path)
        try:
            number = db.database.stats()["published"]
            assert number >= least, f"position {position}: commit {number} of {least}"
            assert db.database.check()[0] == []
            known = [n for n in history if n <= number]
            assert read(db) == history[max(known)][1], f"position {position}, commit {number}"
            for earlier in rng.sample(known, min(6, len(known))):
                try:
                    assert read(db, history[earlier][0]) == history[earlier][1], f"position {position}, as of {earlier}"
                except driver.HorizonError:
                    assert earlier < asked
                    refused += 1
                    db.rollback()
            db.database.prune(asked if asked <= number else number)
            assert db.database.check()[0] == []
        finally:
            db.close()
    assert refused, "nothing was ever pruned: the test proves nothing"


@pytest.mark.parametrize("indexes", [0, 2])
def test_a_lone_one_row_commit_syncs_once(tmp_path: Path, native: Any, indexes: int) -> None:
    db = driver.connect(tmp_path / "t.edb")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
    for i in range(indexes):
        db.execute(f"CREATE INDEX i{i} ON t({'ab'[i]})")
    db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, i, i) for i in range(1000)])
    db.commit()
    with logging(tmp_path / "log"):
        for i in range(100):
            before = db.database.stats()["syncs"]
            if i % 3 == 0:
                db.execute("UPDATE t SET a = a + 1, b = 'x' WHERE id = ?", (i * 7,))
            elif i % 3 == 1:
                db.execute("INSERT INTO t(a, b) VALUES (?, ?)", (i, i))
            else:
                db.execute("DELETE FROM t WHERE id = ?", (i * 5 + 1,))
            db.commit()
            assert db.database.stats()["syncs"] == before + 1
            assert db.database.stats()["durable"] == db.last_commit[0]
    assert sum(entry.kind == SYNC for entry in read_log(tmp_path / "log")) == 100
    db.close()


def test_autocommit_rows_sync_once_each_too(tmp_path: Path, native: Any) -> None:
    db = driver.connect(tmp_path / "t.edb", isolation_level=None)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
    db.execute("INSERT INTO t VALUES (1, 0)")
    before = db.database.stats()["syncs"]
    for i in range(50):
        db.execute("UPDATE t SET n = ? WHERE id = 1", (i + 1,))
        db.execute("SELECT n FROM t").fetchall()
    assert db.database.stats()["syncs"] == before + 50
    db.close()


def test_a_transaction_that_changes_nothing_syncs_nothing(tmp_path: Path, native: Any) -> None:
    db = driver.connect(tmp_path / "t.edb")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
    db.execute("INSERT INTO t VALUES (1, 0)")
    db.commit()
    before, number = db.database.stats()["syncs"], db.last_commit[0]
    db.execute("UPDATE t SET n = 0 WHERE id = 1")
    db.commit()
    db.execute("INSERT INTO t VALUES (2, 0)")
    db.execute("DELETE FROM t WHERE id = 2")
    db.commit()
    assert (db.database.stats()["published"], db.database.stats()["syncs"]) == (number, before)
    db.close()
