"""Full disks, missing rights, wrong places: an error of the right class that names the file, and a database that goes
on."""

from __future__ import annotations

import contextlib
import os
import random
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from engine.bare_pager import failpoint
from entitydb_dialect import driver

from .bank import audit, check_clean, enter, make_bank, open_bank, transfer
from .children import FAILPOINTS, Say
from .places import as_nobody, run

FULL_POINTS = ("txn:locked", "txn:validated", "txn:applied", "txn:prepared", "commit:alloc", "commit:prepared")


def fill(db: driver.Connection, rng: random.Random) -> driver.OperationalError:
    """Writes until the disk is full. What fails is a whole transaction."""
    nth = 1000
    while True:
        assert nth < 3000, "the disk is never full"
        try:
            db.executemany("INSERT INTO transfer(who, nth, amount, note) VALUES (?, ?, 0, ?)",
                           [(-9, nth * 100 + i, rng.randbytes(1000).hex()) for i in range(100)])
            db.commit()
            nth += 1
        except driver.OperationalError as error:
            return error


def survives_full_disk(path: Path, make_room: Callable[[], None] = lambda: None) -> Callable[[Say], None]:
    """The same for every way of being full: reads go on, small commits may, and after making room all do."""
    def work(say: Say) -> None:
        rng, db = random.Random(4), open_bank(path)
        other = open_bank(path)
        transfer(db, rng, 0, 0)
        rows = audit(other)
        other.rollback()
        error = fill(db, rng)
        assert error.engine_name == "FULL", error
        assert str(path) in str(error), error
        assert not db.in_transaction
        full = audit(db)
        db.rollback()
        assert audit(other) == full >= rows
        other.rollback()
        assert db.database.check()[0] == []
        # Smaller ones go on as long as free pages are found; what fails leaves nothing.
        done, told = 0, set()
        for nth in range(1, 30):
            try:
                transfer(db, rng, 0, nth)
                done += 1
            except driver.OperationalError as again:
                told.add(again.engine_name)
                db.rollback()
            assert audit(db) == full + done
            db.rollback()
        assert told <= {"FULL"}
        make_room()
        transfer(db, rng, 1, 0)
        assert audit(db) == full + done + 1
        db.close()
        other.close()
        say("survived")
    return work


@pytest.mark.parametrize("point", FULL_POINTS)
def test_a_commit_that_finds_no_space_leaves_nothing(
    tmp_path: Path, rng: random.Random, native: object, point: str
) -> None:
    path = tmp_path / "bank.edb"
    make_bank(path)
    db, other = open_bank(path), open_bank(path)
    transfer(db, rng, 0, 0)
    for nth in range(1, 5):
        with failpoint(lambda name: "FULL" if name == point else None):
            with pytest.raises(driver.OperationalError) as caught:
                transfer(db, rng, 0, nth)
        assert caught.value.engine_name == "FULL"
        assert caught.value.sqlite_errorcode == 13
        assert not db.in_transaction
        for connection in (db, other):
            assert audit(connection) == nth
            connection.rollback()
        transfer(db, rng, 0, nth)
    db.close()
    other.close()
    check_clean(path)


# What comes after publishing, or after a sync that went well, is asked for no result.
IO_POINTS = [point for point in FAILPOINTS if point not in ("commit:published", "sync:after", "pin:between-loads")]


@pytest.mark.parametrize("point", IO_POINTS)
def test_an_input_output_error_of_a_commit_is_told(
    tmp_path: Path, rng: random.Random, native: object, point: str
) -> None:
    """Before the sync nothing was committed; at the sync nobody knows, and the database demands to be reopened."""
    path = tmp_path / "bank.edb"
    make_bank(path)
    db = open_bank(path)
    transfer(db, rng, 0, 0)
    with failpoint(lambda name: "IO" if name == point else None):
        with pytest.raises(driver.OperationalError) as caught:
            transfer(db, rng, 0, 1)
    assert not db.in_transaction
    synced = point.startswith("sync:")
    if synced:
        assert caught.value.engine_name in ("IO", "POISONED")
        with pytest.raises(driver.OperationalError, match="reopen"):
            transfer(db, rng, 0, 2)
    db.close()
    db = open_bank(path)
    count = audit(db)
    db.rollback()
    assert count in ((1, 2) if synced else (1,))
    transfer(db, rng, 1, 0)
    assert audit(db) == count + 1
    db.close()
    check_clean(path)


def test_a_limit_on_file_size_is_a_full_disk(tmp_path: Path, native: object) -> None:
    path = tmp_path / "bank.edb"
    make_bank(path)

    def work(say: Say) -> None:
        limit = path.stat().st_size + 300_000
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        survives_full_disk(path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard)))(say)

    assert run(work) == ["survived"]
    check_clean(path)


def test_a_full_file_system(small_disk: Path, native: object) -> None:
    path, ballast = small_disk / "bank.edb", small_disk / "ballast"
    make_bank(path)
    ballast.write_bytes(bytes(1_000_000))
    assert run(survives_full_disk(path, ballast.unlink)) == ["survived"]
    check_clean(path)


def test_no_room_for_a_new_database(small_disk: Path, native: object) -> None:
    (small_disk / "ballast").write_bytes(bytes(4_500_000))
    with pytest.raises(driver.OperationalError) as caught:
        driver.connect(small_disk / "new.edb")
    assert caught.value.engine_name == "FULL"
    (small_disk / "ballast").unlink()
    db = driver.connect(small_disk / "new.edb")
    db.execute("CREATE TABLE t(a)")
    db.commit()
    db.close()
    check_clean(small_disk / "new.edb")


# ---- rights: as somebody who is not root --------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["file", "folder", "new"])
def test_no_permission(open_folder: Path, native: object, case: str) -> None:
    path = open_folder / "bank.edb"
    if case != "new":
        make_bank(path)
    if case == "file":
        path.chmod(0)
    else:
        open_folder.chmod(0o555 if case == "new" else 0)
    engine = sa.create_engine(f"entitydb:///{path}")    # loads the dialect while its files can be read

    def work(say: Say) -> None:
        with pytest.raises(driver.OperationalError) as caught:
            driver.connect(path)
        assert caught.value.engine_name == "CANTOPEN"
        assert str(path) in str(caught.value)
        assert "ermission denied" in str(caught.value)
        say("refused")
        with contextlib.suppress(sa.exc.OperationalError), engine.connect():
            say("connected")

    assert as_nobody(work) == ["refused"]


def test_places_where_no_file_can_be(tmp_path: Path, native: object) -> None:
    (tmp_path / "plain").write_text("x")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, word in {
        "missing/new.edb": "No such file", "plain/new.edb": "Not a directory", "folder": "directory",
    }.items():
        with pytest.raises(driver.OperationalError) as caught:
            driver.connect(tmp_path / name)
        assert caught.value.engine_name == "CANTOPEN"
        assert str(tmp_path / name) in str(caught.value)
        assert word in str(caught.value)
        engine = sa.create_engine(f"entitydb:///{tmp_path / name}")
        with pytest.raises(sa.exc.OperationalError, match="cannot open"):
            engine.connect()
    with pytest.raises(driver.OperationalError, match="not a regular file"):
        driver.connect(tmp_path / "pipe")
    with pytest.raises(driver.OperationalError):
        driver.connect(tmp_path / "not there.edb", read_only=True)
    assert not (tmp_path / "not there.edb").exists()


def test_a_database_that_vanishes_under_its_connections_is_still_theirs(
    tmp_path: Path, rng: random.Random, native: object
) -> None:
    """Unlinked files live on; a new file of the same name is another database."""
    path = tmp_path / "bank.edb"
    make_bank(path)
    old = open_bank(path)
    transfer(old, rng, 0, 0)
    path.unlink()
    with pytest.raises(driver.OperationalError, match=r"bank\.edb"):     # its lock file is the old one's
        driver.connect(path)
    transfer(old, rng, 0, 1)
    assert audit(old) == 2
    old.close()
    new = driver.connect(path)
    assert new.catalog() == {}
    new.close()


# ---- fork ---------------------------------------------------------------------------------------------------------


def test_fork_with_open_connections(tmp_path: Path, rng: random.Random, native: object) -> None:
    """The child is refused and told what to do, opens anew beside the parent, and its end takes nothing away from the
    parent: neither locks nor pins nor what was half read."""
    path = tmp_path / "bank.edb"
    make_bank(path)
    db = open_bank(path)
    transfer(db, rng, 0, 0)
    db.execute("UPDATE debit SET balance = balance - 7 WHERE id = 1")
    db.execute("UPDATE credit SET balance = balance + 7 WHERE id = 1")
    enter(db, 1, 1, (0, 1, 7, ""))
    reader = open_bank(path)
    database = db.database
    half = reader.execute("SELECT id FROM debit ORDER BY id")
    rows = half.fetchmany(4)
    engine = sa.create_engine(f"entitydb:///{path}?page_size=1024")
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM debit").all()

    def inherited(say: Say) -> None:
        for attempt in (lambda: db.execute("SELECT 1"), db.commit, lambda: half.fetchall(), lambda: db.database,
                        database.stats, lambda: driver.connect(database)):
            with pytest.raises(driver.OperationalError, match="fork"):
                attempt()
        engine.dispose(close=False)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM transfer").scalar() == 1
        mine = open_bank(path)
        transfer(mine, random.Random(5), 1, 0)
        assert audit(mine) == 2
        mine.close()
        db.close()
        reader.close()
        say("fine")

    assert run(inherited) == ["fine"]

    def careless(say: Say) -> None:
        """Ends without closing, garbage collection included."""
        say("gone")

    assert run(careless) == ["gone"]
    rows += half.fetchall()
    assert rows == [(i,) for i in range(12)]
    try:
        db.commit()
        mine = 1
    except driver.SerializationFailure:
        mine = 0                            # the child changed one of the rows
    assert audit(db) == 2 + mine
    db.close()
    reader.close()
    engine.dispose()
    check_clean(path)


@pytest.mark.slow
def test_fork_while_threads_commit(tmp_path: Path, native: object) -> None:
    """The child of a process whose other threads hold locks finds a database that works."""
    path = tmp_path / "bank.edb"
    make_bank(path, synchronous="normal")

    def parent(say: Say) -> None:
        import threading

        stop = threading.Event()
        failures: list[BaseException] = []

        def commit(who: int) -> None:
            try:
                db, nth = open_bank(path), 0
                while not stop.is_set():
                    transfer(db, random.Random(nth), who, nth)
                    nth += 1
                db.close()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=commit, args=(who,)) for who in range(2)]
        for thread in threads:
            thread.start()
        for i in range(15):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    mine = open_bank(path)
                    audit(mine)
                    mine.rollback()
                    transfer(mine, random.Random(i), 100 + i, 0)
                    mine.close()
                    code = 0
                finally:
                    os._exit(code)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
        assert not failures, failures
        say("fine")

    assert run(parent) == ["fine"]
    db = open_bank(path)
    assert audit(db) >= 15
    db.close()
    check_clean(path)
