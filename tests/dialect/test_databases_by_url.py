"""database_exists() and drop_database(): files, memory, and who has them open."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, exc, text

from entitydb_dialect import database_exists, driver, drop_database

SCHEMES = ["entitydb", "sqlite+entitydb", "entitydb+aio", "sqlite+entitydb_aio"]


def make(path: Path) -> None:
    with driver.connect(path, page_size=512) as connection:
        connection.execute("CREATE TABLE t(a)")
    connection.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_file_is_there_until_it_is_dropped(tmp_path: Path, scheme: str) -> None:
    url = f"{scheme}:///{tmp_path}/a.edb?timeout=1"
    assert not database_exists(url)
    assert os.listdir(tmp_path) == [], "asking makes nothing"
    for _ in range(2):
        make(tmp_path / "a.edb")
        assert database_exists(url)
        drop_database(url)
        assert os.listdir(tmp_path) == [], "the lock file is gone too"
        assert not database_exists(url)
    with pytest.raises(driver.OperationalError, match="No such file"):
        drop_database(url)


def test_the_url_of_an_engine_is_taken_and_its_connections_are_in_the_way(tmp_path: Path) -> None:
    engine = create_engine(f"entitydb:///{tmp_path}/a.edb")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
        with pytest.raises(driver.OperationalError, match="somebody has it open"):
            drop_database(engine.url)
    with pytest.raises(driver.OperationalError, match="dispose"):
        drop_database(engine.url)  # the pool has a connection
    assert database_exists(engine.url)
    engine.dispose()
    drop_database(engine.url)
    assert not database_exists(engine.url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))  # a new one, empty
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["rw", "ro"])
def test_another_process_is_in_the_way(tmp_path: Path, how: str) -> None:
    path = tmp_path / "a.edb"
    make(path)
    code = (
        "import sys; from entitydb_dialect import driver\n"
        f"c = driver.connect({str(path)!r}, read_only={how == 'ro'}); c.execute('SELECT * FROM t').fetchall()\n"
        "print('open', flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(driver.OperationalError, match="somebody has it open"):
            drop_database(f"entitydb:///{path}")
        with driver.connect(path) as connection:
            assert connection.execute("SELECT * FROM t").fetchall() == []
        connection.close()
        other.stdin.close()
    drop_database(f"entitydb:///{path}")
    assert os.listdir(tmp_path) == []


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE t(a)")
    connection.close()
    (tmp_path / "text").write_text("Entity")
    for name in ("text", "empty", "folder", "other.db"):
        url = f"entitydb:///{tmp_path}/{name}"
        assert not database_exists(url)
        with pytest.raises(driver.DatabaseError):
            drop_database(url)
        assert (tmp_path / name).exists()
    for url in ("sqlite:///x.db", f"sqlite:///{tmp_path}/other.db"):
        with pytest.raises(exc.ArgumentError, match="not a database of EntityDB"):
            database_exists(url)
        with pytest.raises(exc.ArgumentError, match="not a database of EntityDB"):
            drop_database(url)
    with pytest.raises(exc.ArgumentError, match="colour"):
        drop_database("entitydb:///x.edb?colour=red")


def test_memory() -> None:
    assert database_exists("entitydb://")
    drop_database("entitydb://")
    named = "entitydb:///file:exists?mode=memory"
    assert not database_exists(named)
    drop_database(named)
    engine = create_engine(named)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(a)"))
        assert database_exists(named)
        with pytest.raises(driver.OperationalError, match="holds it"):
            drop_database(named)
    engine.dispose()
