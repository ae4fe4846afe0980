"""Places where nothing can be written: reading works wherever the bytes can be read, and writing is refused by the
statement that writes, in SQLite's words; not at connecting, and not at COMMIT.

With a read-only file, folder or mount, or no room for the lock file; with and without `read_only=True`.
"""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver
from format.forger import Forger

from .bank import audit, check_clean, make_bank, open_bank, transfer
from .children import Say
from .places import MS_RDONLY, MS_REMOUNT, as_nobody, fill_up, mount

WRITES = [
    "INSERT INTO t VALUES (2, 'b')", "UPDATE t SET v = 'x'", "UPDATE t SET v = 'x' WHERE 0",
    "DELETE FROM t WHERE id = 99", "INSERT INTO t SELECT 5, 5 WHERE 0", "CREATE TABLE u(a)",
    "CREATE INDEX another ON t(id, v)", "DROP TABLE t", "ALTER TABLE t ADD COLUMN z", "CREATE VIEW w AS SELECT 1",
    "DROP INDEX tv", "PRAGMA user_version = 3", "INSERT INTO t VALUES (1, 'a') ON CONFLICT DO NOTHING",
    "REPLACE INTO t VALUES (1, 'c')",
]
READS = ["SELECT * FROM t", "BEGIN", "SELECT count(*) FROM t WHERE v > 'a'", "CREATE TEMP TABLE IF NOT EXISTS mine(a)",
         "PRAGMA user_version", "EXPLAIN QUERY PLAN DELETE FROM t"]


def make(path: Path, module: Any) -> None:
    with closing(module.connect(path)) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
        db.execute("CREATE INDEX tv ON t(v)")
        db.execute("INSERT INTO t VALUES (1, 'a')")
        db.commit()


def outcome(db: Any, statement: str) -> str:
    """Of one statement in a transaction of its own. Whatever fails, fails there and not at COMMIT."""
    try:
        db.execute(statement).fetchall()
    except (driver.OperationalError, sqlite3.OperationalError) as error:
        db.rollback()
        return f"{error.sqlite_errorcode & 0xff} {error}"
    db.commit()
    return "done"


def outcomes(path: Path, module: Any, read_only: bool) -> dict[str, str]:
    if module is driver:
        db: Any = driver.connect(path, read_only=read_only)
    else:
        db = sqlite3.connect(f"file:{path}?mode={'ro' if read_only else 'rw'}", uri=True)
    with closing(db):
        return {statement: outcome(db, statement) for statement in [*READS, *WRITES, *READS]}


def judged(path: Path, other: Path, read_only: bool) -> None:
    """What SQLite refuses of its own file there, and how, against what is refused of ours."""
    ours, theirs = outcomes(path, driver, read_only), outcomes(other, sqlite3, read_only)
    for statement in READS:
        assert (ours[statement], theirs[statement]) == ("done", "done"), statement
    for statement in WRITES:
        assert ours[statement].startswith("8 attempt to write a readonly database: "), (statement, ours[statement])
        assert str(path) in ours[statement]
        assert theirs[statement] in ("done", "8 attempt to write a readonly database"), statement


@pytest.mark.slow
@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(("file_mode", "folder_mode", "lock_mode"), [
    (0o444, 0o777, 0o666), (0o444, 0o777, 0o444), (0o444, 0o777, None), (0o444, 0o555, 0o666), (0o444, 0o555, 0o444),
    (0o444, 0o555, None), (0o666, 0o555, 0o444), (0o666, 0o555, None), (0o666, 0o777, 0o444),
])
def test_without_the_right_to_write(
    open_folder: Path, native: object, read_only: bool, file_mode: int, folder_mode: int, lock_mode: int | None
) -> None:
    """File, folder and lock file, each writable or not; None: there is no lock file."""
    path, other = open_folder / "a.edb", open_folder / "a.sqlite"
    for one, module in ((path, driver), (other, sqlite3)):
        make(one, module)
        one.chmod(0o444)
    path.chmod(file_mode)
    lock = open_folder / "a.edb-lock"
    if lock_mode is None:
        lock.unlink()
    else:
        lock.chmod(lock_mode)
    open_folder.chmod(folder_mode)
    assert as_nobody(lambda say: judged(path, other, read_only)) == []


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("leave_lock_file", [False, True])
def test_on_a_read_only_mount(small_disk: Path, native: object, read_only: bool, leave_lock_file: bool) -> None:
    path, other = small_disk / "a.edb", small_disk / "a.sqlite"
    make(path, driver)
    make(other, sqlite3)
    if not leave_lock_file:
        (small_disk / "a.edb-lock").unlink()
    mount("tmpfs", str(small_disk), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=4m")
    try:
        judged(path, other, read_only)
    finally:
        mount("tmpfs", str(small_disk), "tmpfs", MS_REMOUNT, "size=4m")


def test_a_new_database_where_nothing_can_be_made(open_folder: Path, native: object) -> None:
    """There is nothing to read: refused at connecting. A file of no bytes may become a database, but not here."""
    (open_folder / "empty.edb").touch(0o666)
    (open_folder / "empty.edb").chmod(0o666)
    open_folder.chmod(0o555)

    def work(say: Say) -> None:
        for name, words in (("new.edb", "cannot open"), ("empty.edb", "attempt to write a readonly database")):
            with pytest.raises(driver.OperationalError, match=words):
                driver.connect(open_folder / name)
            say(name)

    assert as_nobody(work) == ["new.edb", "empty.edb"]
    assert (open_folder / "empty.edb").stat().st_size == 0


def test_a_reader_without_a_lock_file_keeps_writers_out(open_folder: Path, native: object) -> None:
    """So what it reads is never written over. And a writer keeps it out, for its pins would not be seen."""
    path = open_folder / "a.edb"
    make(path, driver)
    path.chmod(0o444)
    (open_folder / "a.edb-lock").unlink()
    open_folder.chmod(0o555)
    if os.getuid():
        pytest.skip("only root may write all the same")
    with closing(driver.connect(path)) as writer:
        writer.execute("UPDATE t SET v = 'b'")
        writer.commit()
        (open_folder / "a.edb-lock").chmod(0o444)

        def refused(say: Say) -> None:
            with pytest.raises(driver.OperationalError, match="a writer has the database open"):
                driver.connect(path)
            say("refused")

        assert as_nobody(refused) == ["refused"]

    def reads(say: Say) -> None:
        with closing(driver.connect(path)) as db:
            say(str(db.execute("SELECT v FROM t").fetchall()))

    assert as_nobody(reads) == ["[('b',)]"]


@pytest.mark.parametrize("read_only", [False, True])
def test_no_room_for_the_lock_file(small_disk: Path, native: object, read_only: bool) -> None:
    """Everything can be read; the statement that writes says what is missing. After making room it is opened anew."""
    path, ballast = small_disk / "a.edb", small_disk / "ballast"
    make(path, driver)
    (small_disk / "a.edb-lock").unlink()
    fill_up(ballast)
    for _ in range(2):
        told = outcomes(path, driver, read_only)
        for statement in READS:
            assert told[statement] == "done", statement
        for statement in WRITES:
            assert told[statement].startswith("8 attempt to write" if read_only else "13 "), told[statement]
            assert str(path) in told[statement]
    ballast.unlink()
    with closing(driver.connect(path)) as db:
        db.execute("UPDATE t SET v = 'b'")
        db.commit()
    assert outcomes(path, driver, True)["SELECT * FROM t"] == "done"


@pytest.mark.parametrize("read_only", [False, True])
def test_no_room_for_pages_that_a_lost_commit_would_need(small_disk: Path, native: object, read_only: bool) -> None:
    """After a power loss the file may be shorter than its newest commit says, by pages that are free. On a full disk
    it can be read all the same, and written as soon as there is room."""
    path, ballast = small_disk / "a.edb", small_disk / "ballast"
    make(path, driver)
    with closing(driver.connect(path)) as db:
        db.execute("UPDATE t SET v = 'b'")
        db.execute("CREATE TABLE u(a)")     # so that the commit writes pages
        db.commit()
    forged = Forger(path.read_bytes())
    held = forged.record.pages
    del forged.data[held * forged.size :]
    forged.record = replace(forged.record, pages=held + 8, durable=forged.record.number - 1)
    for page in range(held, held + 8):
        forged.add_free(page, made=forged.record.number)
    data = bytearray(forged.sealed())
    data[4096:4120] = bytes(24)             # the mark that the commit is durable
    path.write_bytes(data)
    fill_up(ballast)
    with closing(driver.connect(path, read_only=read_only)) as db:
        assert db.execute("SELECT * FROM t").fetchall() == [(1, "b")]
        db.rollback()
        if read_only:
            assert outcome(db, "UPDATE t SET v = 'c'").startswith("8 ")
        else:
            db.execute("UPDATE t SET v = 'c'")
            with pytest.raises(driver.OperationalError) as caught:
                db.commit()
            assert caught.value.engine_name == "FULL"
        assert db.execute("SELECT * FROM t").fetchall() == [(1, "b")]
        db.rollback()
        ballast.unlink()
        if not read_only:
            db.execute("UPDATE t SET v = 'c'")
            db.commit()
            assert path.stat().st_size >= (held + 8) * forged.size
    with closing(driver.connect(path)) as db:
        assert db.execute("SELECT * FROM t").fetchall() == [(1, "b" if read_only else "c")]
        assert db.database.check()[0] == []


def test_a_file_that_may_only_be_read(open_folder: Path, native: object) -> None:
    """With and without a lock file that can be written; and the folder may be written or not."""
    path = open_folder / "bank.edb"
    make_bank(path)
    path.chmod(0o444)

    def work(say: Say) -> None:
        db = open_bank(path)
        assert audit(db) == 0
        db.rollback()
        with pytest.raises(driver.OperationalError) as caught:
            transfer(db, random.Random(1), 0, 0)
        assert (caught.value.engine_name, caught.value.sqlite_errorcode) == ("READONLY", 8)
        say("refused")
        assert audit(db) == 0
        db.close()

    lock = open_folder / "bank.edb-lock"
    for lock_mode, folder_mode in ((0o666, 0o777), (0o444, 0o555), (None, 0o555), (None, 0o777)):
        open_folder.chmod(0o777)
        if lock_mode is None:
            lock.unlink(missing_ok=True)
        else:
            lock.chmod(lock_mode)
        open_folder.chmod(folder_mode)
        assert as_nobody(work) == ["refused"], f"lock file {lock_mode}, folder {folder_mode:o}"
    open_folder.chmod(0o777)
    lock.unlink(missing_ok=True)
    path.chmod(0o666)
    db = open_bank(path)
    transfer(db, random.Random(1), 0, 0)
    db.close()
    check_clean(path)


def test_a_read_only_file_system_can_be_read(small_disk: Path, native: object) -> None:
    path = small_disk / "bank.edb"
    make_bank(path)
    for leave_lock_file in (True, False):
        if not leave_lock_file:
            (small_disk / "bank.edb-lock").unlink()
        mount("tmpfs", str(small_disk), "tmpfs", MS_REMOUNT | MS_RDONLY, "size=4m")
        try:
            db = open_bank(path)
            assert audit(db) == 0
            db.rollback()
            with pytest.raises(driver.OperationalError) as caught:
                transfer(db, random.Random(1), 0, 0)
            assert caught.value.engine_name == "READONLY"
            assert "bank.edb" in str(caught.value)
            assert audit(db) == 0
            db.close()
            with pytest.raises(driver.OperationalError, match=r"new\.edb") as caught:
                driver.connect(small_disk / "new.edb")
            assert caught.value.engine_name == "CANTOPEN"
        finally:
            mount("tmpfs", str(small_disk), "tmpfs", MS_REMOUNT, "size=4m")
    db = open_bank(path)
    transfer(db, random.Random(1), 0, 0)
    db.close()
    check_clean(path)
