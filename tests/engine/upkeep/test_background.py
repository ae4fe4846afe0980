"""Upkeep in the background: what it does, when, and that it is nobody's burden."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from entitydb_dialect._native import lib

from entitydb_dialect import driver
from entitydb_dialect._spans import span_ns

from ..bare_pager import failpoint
from .histories import History, connect, contents

LONG = 120.0                    # seconds; only a failure takes so long


@contextmanager
def told(point: str, times: int = 1) -> Iterator[threading.Event]:
    """An event that is set when the process has come to a failpoint so often."""
    event, met = threading.Event(), [0]

    def count(name: str) -> None:
        met[0] += name == point
        if met[0] >= times:
            event.set()

    with failpoint(count):
        yield event


def history_of(path: Path, rng: random.Random, **options: Any) -> History:
    history = History(path, rng, 512)
    history.db.close()
    history.db = connect(path, packing=True, **options)
    history.db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, f"a{i}", b"b" * 30) for i in range(400)])
    return history


def update(history: History, rounds: int) -> None:
    for n in range(rounds):
        values = n % 10, history.rng.randbytes(20), n % 7
        history.db.execute("UPDATE t SET a = a || ?, b = ? WHERE id % 7 = ?", values)
        history.moments.append((history.db.last_commit[1], contents(history.db)))


def test_history_is_packed_by_itself(tmp_path: Path, rng: random.Random) -> None:
    with told("pack:published", 4) as packed:
        history = history_of(tmp_path / "a.edb", rng)
        for _ in range(40):
            update(history, 5)
            if packed.is_set():
                break
        assert packed.wait(LONG)
        while history.db.database.stats()["pack_pages"] == 0:   # counted when it has come to the end
            update(history, 1)
        history.judge()                             # and the file is closed while it may be at work
    assert history.db.database.check()[0] == []


def test_what_is_less_than_a_window_follows_when_nothing_more_comes(tmp_path: Path, rng: random.Random) -> None:
    with told("pack:published") as packed:
        history = history_of(tmp_path / "a.edb", rng)
        update(history, 4)
        assert packed.wait(LONG)
        history.judge()


def test_nothing_is_packed_where_it_is_switched_off(tmp_path: Path, rng: random.Random) -> None:
    history = History(tmp_path / "a.edb", rng, 512)
    history.db.close()
    history.db = connect(history.path, packing=False)
    history.db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, f"a{i}", b"b" * 30) for i in range(400)])
    update(history, 40)
    assert history.db.database.stats()["pack_windows"] == 0
    history.db.close()
    history.db = connect(history.path, packing=False)
    assert history.db.database.pack().windows > 1
    history.judge()


def test_the_environment_says_whether(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENTITYDB_PACKING", "perhaps")
    with pytest.raises(driver.ProgrammingError, match="ENTITYDB_PACKING is 'perhaps'; it may be 'on' or 'off'"):
        driver.connect(str(tmp_path / "a.edb"))
    connect(tmp_path / "a.edb", packing=True).close()


@pytest.mark.parametrize("point", ["pack:stored", "pack:prepared"])
def test_closing_ends_it_wherever_it_is(tmp_path: Path, rng: random.Random, point: str) -> None:
    with told(point) as there:
        history = history_of(tmp_path / "a.edb", rng)
        while not there.is_set():
            update(history, 5)
        history.db.close()
    history.db = connect(history.path)
    history.judge()


def test_one_that_was_killed_leaves_it_to_others(tmp_path: Path, rng: random.Random) -> None:
    """Killed while it holds the lock of upkeep and the committer lock, in the middle of a window."""
    history = History(tmp_path / "a.edb", rng, 512)
    program = f"""if True:
        from entitydb_dialect import driver
        db = driver.connect({str(history.path)!r}, isolation_level=None, packing=True, synchronous="normal")
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, str(i), b"b" * 30) for i in range(400)])
        while True:
            db.execute("UPDATE t SET a = a || 'x', b = ?", (bytes(20),))
    """
    environment = {**os.environ, "ENTITYDB_FAILPOINT": "pack:prepared=kill"}
    child = subprocess.run([sys.executable, "-c", program], env=environment, check=False, timeout=LONG, cwd=tmp_path)
    assert child.returncode == -signal.SIGKILL
    history.db.close()
    with told("pack:published") as packed:
        history.db = connect(history.path, packing=True)
        update(history, 3)
        assert packed.wait(LONG)
        history.judge()


def test_a_forked_child_has_its_own(tmp_path: Path, rng: random.Random) -> None:
    with told("pack:published") as packed:
        history = history_of(tmp_path / "a.edb", rng)
        update(history, 3)
        pid = os.fork()
        if pid == 0:
            try:
                packed.clear()
                history.db.close()                  # the parent's: it only forgets it
                mine = connect(history.path, packing=True)
                for n in range(300):
                    mine.execute("UPDATE t SET b = ? WHERE id % 9 = ?", (os.urandom(20), n % 9))
                    if packed.is_set():
                        break
                done = packed.wait(LONG)
                mine.close()
                os._exit(0 if done else 2)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        update(history, 3)
        history.judge()


def test_a_memory_database_has_it_too() -> None:
    with told("pack:published") as packed:
        db = driver.connect(isolation_level=None, packing=True)
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
        db.executemany("INSERT INTO t VALUES (?, ?)", [(i, "x" * 50) for i in range(5000)])
        moment = db.last_commit[1]
        n = 0
        while not packed.is_set():
            n += 1
            db.execute("UPDATE t SET a = ? || id", (n,))
        cursor = db.cursor()
        cursor.as_of = moment
        assert cursor.execute("SELECT count(*), min(a), max(a) FROM t").fetchall() == [(5000, "x" * 50, "x" * 50)]
        db.close()


def test_what_fails_is_counted_and_nobody_else_notices(tmp_path: Path, rng: random.Random) -> None:
    failed = threading.Event()

    def fail(name: str) -> str | None:
        if name != "pack:prepared":
            return None
        failed.set()
        return "IO"

    with failpoint(fail):
        history = history_of(tmp_path / "a.edb", rng)
        while not failed.is_set():
            update(history, 5)
        while history.db.database.stats()["upkeep_failures"] == 0:
            update(history, 1)
        assert history.db.database.stats()["pack_windows"] == 0
    history.judge()


def counted(db: driver.Connection, moment: int) -> int | None:
    """How many rows there were; None: that moment is not kept."""
    cursor = db.cursor()
    cursor.as_of = moment
    try:
        return int(cursor.execute("SELECT count(*) FROM t").fetchone()[0])
    except driver.HorizonError:
        return None


def test_tables_let_their_history_go_by_themselves(tmp_path: Path) -> None:
    db = connect(tmp_path / "a.edb", page_size=512)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT) RETENTION '1 second'")
    db.executemany("INSERT INTO t VALUES (?, 'first')", [(i,) for i in range(500)])
    first, n = db.last_commit[1], 0
    while counted(db, first) == 500:
        n += 1
        db.execute("UPDATE t SET a = ? WHERE id % 10 = ?", (f"then {n}", n % 10))
    assert counted(db, first) is None
    assert counted(db, db.last_commit[1]) == 500
    assert db.database.check()[0] == []
    db.close()


def test_one_table_that_keeps_its_history_keeps_all(tmp_path: Path) -> None:
    db = connect(tmp_path / "a.edb", page_size=512, packing=True)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT) RETENTION '1 second'")
    text = '"retention":"1 second"'                 # as the catalog writes it, in texts that mean something else
    db.execute(f"CREATE TABLE other(a TEXT DEFAULT '{text}', CHECK (a <> '{text}'))")
    db.executemany("INSERT INTO t VALUES (?, 'first')", [(i,) for i in range(500)])
    first = db.last_commit[1]
    with told("pack:published", 3) as packed:       # before each it looks at what the tables ask for
        n = 0
        while not packed.is_set():
            n += 1
            db.execute("UPDATE t SET a = ? WHERE id % 10 = ?", (f"then {n}", n % 10))
    assert counted(db, first) == 500
    assert db.database.stats()["pruned_pages"] == 0
    db.close()


@pytest.mark.parametrize("unit", ["second", "minute", "hour", "day", "week", "month", "year"])
@pytest.mark.parametrize("number", [1, 2, 17, 200])
def test_spans_mean_in_the_engine_what_they_mean_to_the_dialect(native: Any, unit: str, number: int) -> None:
    text = f"{number} {unit}{'' if number == 1 else 's'}"
    assert lib.retention_span_ns(text.encode()) == span_ns(text)


@pytest.mark.parametrize("text", ["forever", "", "days", "0 days", "-1 days", "90days", "3 moons", "9999999999 years"])
def test_what_is_no_span_is_none(native: Any, text: str) -> None:
    assert lib.retention_span_ns(text.encode()) == 0
