"""edb_prune through SQL: what is kept reads as ever, what is not raises HorizonError, and readers go on."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver
from entitydb_dialect import transaction_info as said
from format.reader import File
from format.test_reader import every_page_once

ROWS = "SELECT id, k, v FROM t ORDER BY id"


def fill(db: Any, rng: random.Random, commits: int, moments: list[tuple[int, int, list[Any]]]) -> None:
    """Commits of one row and of many, with labels and transaction info, large values and deletions.

    moments gets (commit, its time, the rows) of each."""
    for i in range(commits):
        with said(actor=rng.choice(["ann", "bob"]), reason=f"change {i}"):
            many = rng.random() < 0.3
            for id_ in rng.sample(range(60), 30 if many else 1):
                size = rng.choice([3, 30, 30, 700])
                if rng.random() < 0.15:
                    db.execute("DELETE FROM t WHERE id = ?", (id_,))
                else:
                    db.execute("INSERT OR REPLACE INTO t VALUES (?, ?, ?)", (id_, f"key {i % 7}", f"{i} " + "x" * size))
            db.commit()
        if db.last_commit:
            moments.append((*db.last_commit[:2], db.execute(ROWS).fetchall()))
        db.rollback()


def start(path: Path | None) -> Any:
    db = driver.connect(path, page_size=512, synchronous="normal") if path else driver.connect(page_size=512)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, k TEXT, v TEXT)")
    db.execute("CREATE INDEX tk ON t(k)")
    db.commit()
    return db


def at(db: Any, ns: int, sql: str = ROWS) -> list[Any]:
    cursor = db.cursor()
    cursor.as_of = ns
    rows = cursor.execute(sql).fetchall()
    db.rollback()
    return rows


def judge(db: Any, horizon: int, moments: list[tuple[int, int, list[Any]]]) -> None:
    assert db.database.check()[0] == []
    for number, ns, rows in moments:
        if number >= horizon:
            assert at(db, ns) == rows
            assert at(db, ns, "SELECT count(*) FROM t WHERE k > ''") == [(len(rows),)]
        else:
            with pytest.raises(driver.HorizonError, match="before the oldest kept commit"):
                at(db, ns)
            db.rollback()


@pytest.mark.parametrize("memory", [False, True])
def test_what_is_kept_reads_as_before(tmp_path: Path, rng: random.Random, memory: bool) -> None:
    path = None if memory else tmp_path / "t.edb"
    moments: list[tuple[int, int, list[Any]]] = []
    with closing(start(path)) as db:
        for _ in range(4):
            fill(db, rng, 40, moments)
            horizon = moments[rng.randrange(len(moments) // 3, len(moments))][0]
            would = db.database.prune(horizon, dry_run=True)
            result = db.database.prune(horizon, step_pages=rng.choice([1, 20, 0]))
            assert result["horizon"] >= would["horizon"]
            assert result["left"] == 0
            assert result["pages"] >= would["pages"]
            judge(db, result["horizon"], moments)
        before = db.database.check()[1]
        last = db.database.prune(moments[-1][0])
        after = db.database.check()[1]
        # Those that lay in memory before went without having been counted.
        assert before["pages_history"] - after["pages_history"] <= last["pages"]
        judge(db, last["horizon"], moments)
        fill(db, rng, 30, moments)
        judge(db, last["horizon"], moments)
    if path:
        every_page_once(File(path.read_bytes()))
        with closing(driver.connect(path)) as db:
            judge(db, last["horizon"], moments)


def test_versions_and_changes_end_at_the_horizon(tmp_path: Path, rng: random.Random) -> None:
    with closing(start(tmp_path / "t.edb")) as db:
        moments: list[tuple[int, int, list[Any]]] = []
        fill(db, rng, 120, moments)
        horizon, ns, kept = moments[70]
        cursor = db.cursor()
        whole = cursor.execute("SELECT id, valid_from, valid_to, k, v FROM t FOR SYSTEM_TIME ALL").fetchall()
        db.rollback()
        assert db.database.prune(horizon)["horizon"] == horizon
        found = cursor.execute("SELECT id, valid_from, valid_to, k, v FROM t FOR SYSTEM_TIME ALL").fetchall()
        assert sorted(found, key=repr) == sorted([v for v in whole if v[2] is None or v[2] > ns], key=repr)
        assert {(id_, k, v) for id_, begun, _, k, v in found if begun <= ns} == set(kept)
        by_index = cursor.execute(
            "SELECT id, valid_from, valid_to, k, v FROM t FOR SYSTEM_TIME ALL WHERE k > ''"
        ).fetchall()
        assert sorted(by_index, key=repr) == sorted(found, key=repr)
        for sql in ("SELECT * FROM entitydb_changes", "SELECT * FROM entitydb_versions",
                    "SELECT rows_changed, tables_changed, actor, reason FROM entitydb_transactions"):
            cursor.execute(sql).fetchall()


def test_a_reader_keeps_what_it_reads(tmp_path: Path, rng: random.Random) -> None:
    """A half fetched statement goes on; a transaction keeps its moment, and holds the horizon back."""
    path = tmp_path / "t.edb"
    moments: list[tuple[int, int, list[Any]]] = []
    with closing(start(path)) as db, closing(driver.connect(path)) as reader, closing(driver.connect(path)) as old:
        fill(db, rng, 30, moments)
        old.execute("BEGIN")
        seen = old.execute(ROWS).fetchall()
        began = moments[-1][0]
        half = reader.cursor()
        half.as_of = moments[2][1]
        half.execute(ROWS)
        first = half.fetchmany(1)
        fill(db, rng, 60, moments)
        result = db.database.prune(moments[-1][0])
        assert result["horizon"] <= began
        assert old.execute(ROWS).fetchall() == seen
        fill(db, rng, 60, moments)          # pages are used again
        assert first + half.fetchall() == moments[2][2]
        assert old.execute(ROWS).fetchall() == seen
        old.rollback()
        reader.rollback()
        horizon = db.database.prune(moments[-5][0])["horizon"]
        assert horizon == moments[-5][0]
        judge(db, horizon, moments)


def test_progress_ends_it_and_the_next_call_goes_on(tmp_path: Path, rng: random.Random) -> None:
    moments: list[tuple[int, int, list[Any]]] = []
    with closing(start(tmp_path / "t.edb")) as db:
        fill(db, rng, 80, moments)
        horizon = moments[-1][0]
        would = db.database.prune(horizon, dry_run=True)
        told: list[dict[str, int]] = []
        with pytest.raises(driver.Error, match="goes with the next call"):
            db.database.prune(horizon, step_pages=5, progress=lambda so_far: told.append(so_far) or len(told) == 3)
        assert [one["steps"] for one in told] == [1, 2, 3]
        judge(db, horizon, moments)
        rest = db.database.prune(horizon)
        assert told[-1]["pages"] + rest["pages"] == would["pages"]
        assert told[-1]["entries"] + rest["entries"] == would["entries"]
        assert db.database.prune(horizon)["steps"] == 0
        with pytest.raises(driver.HorizonError, match="there is no commit"):
            db.database.prune(10**6)


def test_pages_are_used_again(tmp_path: Path, rng: random.Random) -> None:
    """A file that is pruned as fast as it is written does not grow."""
    path = tmp_path / "t.edb"
    with closing(start(path)) as db:
        pages = []
        for _ in range(12):
            moments: list[tuple[int, int, list[Any]]] = []
            fill(db, rng, 40, moments)
            db.database.prune(moments[-1][0])
            pages.append(db.database.stats()["pages"])
        assert pages[-1] <= pages[3] * 1.3
