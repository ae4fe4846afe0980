"""ATTACH and DETACH: what may be attached, and who else changes it."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

from ..asking import rows
from ..attached import check, refused

Connect = Callable[..., driver.Connection]


@pytest.fixture
def db(two: driver.Connection) -> driver.Connection:
    return two


# ---- attaching ----


def test_an_attached_file_is_a_database_of_ours_and_stays(connect: Connect, other: Path) -> None:
    db = connect()
    db.execute("ATTACH DATABASE :file AS :name", {"file": str(other), "name": "x y"})
    db.execute('CREATE TABLE "x y".t(a)')
    db.execute('INSERT INTO "X Y".t VALUES (5)')
    db.commit()
    db.close()
    assert other.read_bytes()[:8] == b"EntityDB"
    with driver.connect(other) as alone:
        assert rows(alone, "SELECT a FROM t") == [(5,)]
    alone.close()


@pytest.mark.parametrize(
    ("name", "head"),
    [("new.edb", b"EntityDB"), ("new.db", b"EntityDB"), ("new", b"EntityDB"), ("new.sqlite", b"SQLite f"),
     ("NEW.SQLITE3", b"SQLite f")],
)
def test_what_a_missing_file_becomes(db: driver.Connection, tmp_path: Path, name: str, head: bytes) -> None:
    db.execute(f"ATTACH '{tmp_path / name}' AS n")
    db.execute("CREATE TABLE n.t(a)")
    db.commit()
    db.execute("DETACH n")
    assert (tmp_path / name).read_bytes()[:8] == head


def test_files_are_what_their_first_bytes_say(db: driver.Connection, tmp_path: Path) -> None:
    ours, plain, empty = tmp_path / "a.sqlite", tmp_path / "b.edb", tmp_path / "empty"
    driver.connect(ours).close()
    with sqlite3.connect(plain) as made:
        made.execute("CREATE TABLE p(a)")
    made.close()
    empty.touch()
    for name in (ours, plain, empty):
        db.execute(f"ATTACH '{name}' AS n")
        db.execute("CREATE TABLE n.more(a)")
        db.commit()
        db.execute("DETACH n")
    assert ours.read_bytes()[:8] == empty.read_bytes()[:8] == b"EntityDB"
    assert plain.read_bytes()[:8] == b"SQLite f"
    (tmp_path / "garbage").write_bytes(b"neither the one nor the other" * 100)
    assert "not a database" in refused(db, f"ATTACH '{tmp_path / 'garbage'}' AS n", driver.Error)
    assert [row[1] for row in rows(db, "PRAGMA database_list")] == ["main", "x"]


def test_relative_paths_and_uris(db: driver.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    db.execute("ATTACH 'rel.edb' AS a")
    db.execute("ATTACH 'file:with%20blank.edb?mode=rwc#part' AS b")
    db.execute(f"ATTACH 'file://localhost{tmp_path}/third.edb' AS c")
    files = {row[1]: row[2] for row in rows(db, "PRAGMA database_list")}
    assert files["a"] == str(tmp_path / "rel.edb")
    assert files["b"] == str(tmp_path / "with blank.edb")
    assert files["c"] == str(tmp_path / "third.edb")
    assert refused(db, "ATTACH 'file:missing.edb?mode=rw' AS d")
    assert refused(db, "ATTACH 'file:missing.edb?mode=ro' AS d")
    assert refused(db, "ATTACH 'file://elsewhere/x.edb' AS d") == "invalid uri authority: elsewhere"
    assert refused(db, "ATTACH 'file:x.edb?mode=odd' AS d") == "no such access mode: odd"
    assert not (tmp_path / "missing.edb").exists()


def test_memory_databases_are_fresh_or_shared_by_name(connect: Connect) -> None:
    one, two = connect(), connect()
    for db in (one, two):
        db.execute("ATTACH ':memory:' AS own")
        db.execute("ATTACH 'file:test_attach?mode=memory' AS shared")
    one.execute("CREATE TABLE own.t(a)")
    one.execute("CREATE TABLE shared.t(a)")
    one.execute("INSERT INTO shared.t VALUES (1)")
    one.commit()
    before = one.last_commit[1]
    one.execute("UPDATE shared.t SET a = 2")
    one.commit()
    assert rows(two, "SELECT a FROM shared.t") == [(2,)]
    assert "no such table" in refused(two, "SELECT * FROM own.t")
    past = two.cursor()
    past.as_of = before
    assert past.execute("SELECT a FROM shared.t").fetchall() == [(1,)]     # it has a history like any other
    two.commit()


def test_what_is_refused(db: driver.Connection, other: Path, tmp_path: Path) -> None:
    assert refused(db, f"ATTACH '{tmp_path / 'n.edb'}' AS X") == "database X is already in use"
    assert refused(db, "ATTACH ':memory:' AS main") == "database main is already in use"
    assert "encrypt" in refused(db, "ATTACH ':memory:' AS k KEY 'secret'", driver.NotSupportedError)
    assert "incomplete" in refused(db, "ATTACH ':memory:'")
    assert refused(db, "ATTACH")
    assert refused(db, "ATTACH '/nowhere/at/all.edb' AS n")
    assert refused(db, "DETACH nothing") == "no such database: nothing"
    assert refused(db, "DETACH main") == "cannot detach database main"
    with pytest.raises(driver.ProgrammingError):
        db.execute("ATTACH ? AS n", ())
    assert not (tmp_path / "n.edb").exists()
    db.execute("SELECT 1").fetchall()
    assert "within transaction" in refused(db, "ATTACH ':memory:' AS n")
    assert refused(db, "DETACH x") == "database x is locked"
    db.rollback()
    assert rows(db, "SELECT a FROM x.t WHERE id = 1") == [("x",)]


def test_detach_waits_for_cursors_and_forgets_everything(db: driver.Connection, other: Path) -> None:
    db.isolation_level = None
    reading = db.execute("SELECT a FROM x.t")
    assert reading.fetchone() == ("x",)
    assert refused(db, "DETACH x") == "database x is locked"
    assert reading.fetchall() == [("y",)]
    on_main = db.execute("SELECT a FROM t UNION ALL SELECT 'more'")
    assert on_main.fetchone() == ("main",)
    db.execute("DETACH DATABASE 'x'")
    assert on_main.fetchall() == [("more",)]
    assert refused(db, "SELECT * FROM x.t") == "no such table: x.t"
    assert rows(db, "SELECT name FROM sqlite_master") == [("t",)]
    db.execute(f"ATTACH '{other}' AS x")
    assert rows(db, "SELECT count(*) FROM x.t") == [(2,)]


@pytest.mark.slow
def test_a_failed_attach_leaves_nothing(db: driver.Connection, tmp_path: Path) -> None:
    for i in range(130):
        try:
            db.execute(f"ATTACH ':memory:' AS m{i}")
        except driver.OperationalError as error:
            assert "too many attached databases" in str(error)
            break
    else:
        pytest.fail("there is a limit")
    count = len(rows(db, "PRAGMA database_list"))
    assert refused(db, f"ATTACH '{tmp_path / 'late.edb'}' AS late")
    assert len(rows(db, "PRAGMA database_list")) == count
    for i in range(count - 2):
        db.execute(f"DETACH m{i}")
    assert rows(db, "SELECT a FROM x.t WHERE id = 2") == [("y",)]


def test_the_same_file_may_have_several_names_and_one_of_them_written(
    db: driver.Connection, path: Path, other: Path
) -> None:
    db.execute(f"ATTACH '{other}' AS again")
    db.execute(f"ATTACH '{path}' AS own")
    db.execute("INSERT INTO again.t(a) VALUES ('z')")
    assert "same database" in refused(db, "INSERT INTO x.t(a) VALUES ('w')", driver.NotSupportedError)
    assert rows(db, "SELECT count(*) FROM x.t") == [(2,)]
    db.commit()
    assert rows(db, "SELECT count(*) FROM x.t") == [(3,)]
    db.rollback()
    db.execute("CREATE TABLE own.made(a)")
    db.commit()
    assert rows(db, "SELECT * FROM main.made") == []


def test_read_only(db: driver.Connection, connect: Connect, other: Path) -> None:
    db.execute("DETACH x")
    db.execute(f"ATTACH 'file:{other}?mode=ro' AS x")
    assert rows(db, "SELECT a FROM x.t ORDER BY id") == [("x",), ("y",)]
    db.commit()
    for sql in ("INSERT INTO x.t VALUES (3, 'z')", "CREATE TABLE x.u(a)", "DROP TABLE x.t"):
        assert "reading only" in refused(db, sql)
        db.rollback()
    db.execute("INSERT INTO t SELECT id + 10, a FROM x.t")
    db.commit()
    reader = connect(read_only=True)
    reader.execute(f"ATTACH '{other}' AS x")      # a connection that only reads attaches for reading only
    assert "reading only" in refused(reader, "DELETE FROM x.t")
    reader.rollback()


def test_closing_closes_all(connect: Connect, other: Path) -> None:
    db = connect()
    db.execute(f"ATTACH '{other}' AS x")
    db.execute("CREATE TABLE x.t(a)")
    half = db.execute("SELECT * FROM x.sqlite_master")
    db.close()
    db.close()
    with pytest.raises(driver.ProgrammingError):
        half.fetchone()
    assert not Path(f"{other}-lock").exists() or check(other) == []
    with driver.connect(other) as again:
        assert rows(again, "SELECT * FROM sqlite_master") == []      # not committed


# ---- other processes and connections ----


def _change(path: str, answers: Any) -> None:
    with driver.connect(path, isolation_level=None) as db:
        for sql in iter(answers.recv, None):
            db.execute(sql)
            answers.send("done")
    db.close()


@pytest.mark.slow
def test_schema_changes_of_another_process_are_followed(db: driver.Connection, other: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_change, args=(str(other), there))
    process.start()

    def elsewhere(sql: str) -> None:
        here.send(sql)
        assert here.recv() == "done"

    elsewhere("ALTER TABLE t ADD COLUMN more DEFAULT 5")
    assert rows(db, "SELECT id, more FROM x.t ORDER BY id") == [(1, 5), (2, 5)]
    db.commit()
    elsewhere("CREATE TABLE made AS SELECT 1 AS one")
    db.execute("INSERT INTO x.made VALUES (2)")
    db.commit()
    elsewhere("DROP TABLE made")
    refused(db, "SELECT * FROM x.made")
    db.rollback()
    half = db.execute("SELECT a FROM t UNION ALL SELECT a FROM x.t")
    assert half.fetchone() == ("main",)
    elsewhere("ALTER TABLE t RENAME COLUMN a TO b")
    assert half.fetchall() == [("x",), ("y",)]
    db.commit()
    assert rows(db, "SELECT b FROM x.t ORDER BY id") == [("x",), ("y",)]
    db.rollback()
    here.send(None)
    process.join()
    assert process.exitcode == 0


def test_two_names_of_one_file_follow_each_other(db: driver.Connection, other: Path) -> None:
    db.isolation_level = None
    db.execute(f"ATTACH '{other}' AS y")
    db.execute("CREATE TABLE y.made(a)")
    db.execute("INSERT INTO x.made VALUES (1)")
    assert rows(db, "SELECT a FROM y.made") == [(1,)]
    db.execute("DROP TABLE x.made")
    refused(db, "SELECT * FROM y.made")


def test_a_view_holds_whatever_its_file_is_attached_as(db: driver.Connection, other: Path) -> None:
    db.execute("CREATE VIEW x.v AS SELECT x.t.a FROM x.t WHERE id = 2")
    db.commit()
    db.execute("DETACH x")
    db.execute(f"ATTACH '{other}' AS renamed")
    assert rows(db, "SELECT * FROM v") == [("y",)]
    db.execute("ALTER TABLE renamed.t RENAME TO u")
    assert rows(db, "SELECT * FROM renamed.v") == [("y",)]
    db.commit()
    with driver.connect(other) as alone:
        assert rows(alone, "SELECT * FROM v") == [("y",)]
    alone.close()


def test_a_view_of_another_main_hinders_nothing(db: driver.Connection, other: Path) -> None:
    db.execute("DETACH x")
    with driver.connect(other) as alone:
        alone.execute("CREATE VIEW v AS SELECT a FROM main.t")
    alone.close()
    db.execute(f"ATTACH '{other}' AS x")
    assert rows(db, "SELECT a FROM x.t WHERE id = 1") == [("x",)]
    assert refused(db, "SELECT * FROM x.v")
    db.rollback()


def test_a_function_that_asks_the_other_database(db: driver.Connection) -> None:
    db.create_function("theirs", 1, lambda i: db.execute("SELECT a FROM x.t WHERE id = ?", (i,)).fetchone()[0])
    assert rows(db, "SELECT a, theirs(id) FROM t") == [("main", "x")]
    db.execute("UPDATE x.t SET a = theirs(1) || theirs(2)")
    assert rows(db, "SELECT a FROM x.t") == [("xy",), ("xy",)]
    db.rollback()


def test_fork_does_not_close_the_parents_files(db: driver.Connection) -> None:
    half = db.execute("SELECT a FROM x.t")
    half.fetchone()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            db.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert half.fetchall() == [("y",)]
    db.execute("INSERT INTO x.t(a) VALUES ('on')")
    db.commit()


def test_figures_of_each_database(db: driver.Connection, tmp_path: Path) -> None:
    db.execute("ATTACH ':memory:' AS m")
    for schema in ("main", "x", "m"):
        assert rows(db, f"PRAGMA {schema}.page_size") == [(512,)]
        db.execute(f"PRAGMA {schema}.page_size = 4096")
        assert rows(db, f"PRAGMA {schema}.page_size") == [(512,)]
    before = rows(db, "PRAGMA x.page_count")[0][0]
    db.execute("INSERT INTO x.t(a) SELECT hex(zeroblob(3000))")
    db.commit()
    assert rows(db, "PRAGMA x.page_count")[0][0] > before
    assert rows(db, "PRAGMA main.freelist_count")[0][0] >= 0


def test_no_attach_cut_short_or_shuffled_does_more_than_fail(
    db: driver.Connection, rng: random.Random, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)     # a word may become a file's name
    for sql in ("ATTACH DATABASE ':memory:' AS more", "ATTACH 'a' || 'b' AS ( 'c' )", "DETACH DATABASE more ;"):
        words = sql.split(" ")
        tries = [words[:n] for n in range(1, len(words) + 1)]
        tries += [[w for i, w in enumerate(words) if i != n] for n in range(len(words))]
        tries += [rng.sample(words, len(words)) for _ in range(20)]
        for attempt in tries:
            try:
                db.execute(" ".join(attempt))
            except driver.Error:
                pass
            for name in [row[1] for row in rows(db, "PRAGMA database_list")][2:]:
                db.execute("DETACH ?", (name,))
            assert rows(db, "SELECT count(*) FROM x.t") == [(2,)]
            db.rollback()
