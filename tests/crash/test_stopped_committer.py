"""A committer stopped (SIGSTOP) at any point: every read in other processes completes, as-of included; writers say whom
they wait for; and when it goes on, its commit is whole."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from entitydb_dialect import driver

from .bank import audit, check_clean, make_bank, open_bank, transfer
from .children import FAILPOINTS, Child, Say


@pytest.mark.slow
@pytest.mark.parametrize("point", FAILPOINTS)
def test_reads_complete_beside_a_stopped_committer(tmp_path: Path, native: object, point: str) -> None:
    path = tmp_path / "bank.edb"
    make_bank(path)

    def commit(say: Say) -> None:
        db = open_bank(path)
        transfer(db, random.Random(1), 0, 0)
        say(str(db.last_commit[1]))
        # Set late, so that opening and the first transfer do not pass it.
        os.environ["ENTITYDB_FAILPOINT"] = f"{point}=stop"
        transfer(db, random.Random(2), 0, 1)
        say(str(db.last_commit[1]))
        db.close()

    def read(say: Say) -> None:
        db = open_bank(path)
        say(str(audit(db)))
        db.rollback()
        first = int(os.read(begin, 40))
        asked = []
        for _ in range(3):
            before = time.time_ns()
            asked.append((before, audit(db, before)))
            say(f"now {asked[-1][1]}")
            assert audit(db, first) == 1
            assert audit(db, first - 1) == 0
            db.rollback()
            now = audit(db)
            assert audit(db) == now
            db.rollback()
        fresh = open_bank(path)                     # a process that opens it meanwhile, too
        assert audit(fresh) in (1, 2)
        fresh.close()
        say("done")
        os.read(begin, 1)
        for moment, count in asked:
            assert audit(db, moment) == count, "an answer was not final"
        assert audit(db) == 2
        db.rollback()
        transfer(db, random.Random(3), 1, 0)
        say("wrote")
        db.close()

    begin, start = os.pipe()
    with Child(read) as reader, Child(commit) as committer:
        reader.await_lines()
        (first,) = committer.await_lines()
        assert committer.await_stop(), f"{point} was not passed"
        os.write(start, first.encode())
        lines = reader.await_lines(4)
        assert lines[-1] == "done"
        assert not committer.ended()
        committer.go_on()
        committer.await_lines()
        assert committer.join() == 0
        os.write(start, b"x")
        assert reader.await_lines() == ["wrote"]
        assert reader.join() == 0
    os.close(begin)
    os.close(start)
    check_clean(path)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["txn:applied", "commit:stamped", "commit:record-written"])
def test_writers_name_the_process_they_wait_for(tmp_path: Path, native: object, point: str) -> None:
    path = tmp_path / "bank.edb"
    make_bank(path)

    def commit(say: Say) -> None:
        db = open_bank(path)
        os.environ["ENTITYDB_FAILPOINT"] = f"{point}=stop"
        transfer(db, random.Random(2), 0, 0)
        db.close()

    def wait(say: Say) -> None:
        db = driver.connect(path, timeout=0.1)
        os.read(begin, 1)
        db.execute("INSERT INTO transfer(who, nth, amount) VALUES (5, 5, 0)")
        with pytest.raises(driver.OperationalError) as caught:
            db.commit()
        assert caught.value.engine_name == "BUSY"
        say(str(caught.value))
        assert not db.in_transaction, "what failed is rolled back"
        assert db.execute("SELECT count(*) FROM transfer").fetchall() in ([(0,)], [(1,)])
        db.rollback()
        os.read(begin, 1)
        transfer(db, random.Random(3), 1, 0)
        assert audit(db) == 2
        db.close()

    begin, start = os.pipe()
    with Child(wait) as waiter, Child(commit) as committer:
        assert committer.await_stop()
        os.write(start, b"x")
        (message,) = waiter.await_lines()
        assert f"process {committer.pid} " in message
        assert "bank.edb" in message
        committer.go_on()
        assert committer.join() == 0
        os.write(start, b"x")
        assert waiter.join() == 0
    os.close(begin)
    os.close(start)
    check_clean(path)


@pytest.mark.slow
def test_a_stopped_reader_delays_no_writer(tmp_path: Path, native: object) -> None:
    """It keeps its pages, and finds them again."""
    path = tmp_path / "bank.edb"
    make_bank(path)

    def read(say: Say) -> None:
        db = open_bank(path)
        cursor = db.execute("SELECT balance FROM credit ORDER BY id")
        rows = cursor.fetchmany(3)
        say("half")
        os.read(begin, 1)
        rows += cursor.fetchall()
        assert rows == [(1000,)] * 12
        say("whole")
        db.close()

    begin, start = os.pipe()
    with Child(read) as reader:
        reader.await_lines()
        os.kill(reader.pid, signal.SIGSTOP)
        assert reader.await_stop()

        def write(say: Say) -> None:
            db = open_bank(path)
            for nth in range(300):
                transfer(db, random.Random(nth), 0, nth)
            audit(db)
            db.close()

        with Child(write) as writer:
            assert writer.join() == 0
        reader.go_on()
        os.write(start, b"x")
        assert reader.await_lines() == ["whole"]
        assert reader.join() == 0
    os.close(begin)
    os.close(start)
    check_clean(path)
