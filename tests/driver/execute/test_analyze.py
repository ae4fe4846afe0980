"""ANALYZE: statistics are taken, kept in the file and serve after reopening; names mean what they mean to SQLite."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from entitydb_dialect._native import lib

from entitydb_dialect import driver

ROWS = [(i % 100, f"x{i % 7}") for i in range(20_000)]


def make(path: Path | str, *, analyze: bool) -> None:
    with closing(driver.connect(path)) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, b TEXT)")
        db.execute("CREATE INDEX t_ab ON t(a, b)")
        db.executemany("INSERT INTO t(a, b) VALUES (?, ?)", ROWS)
        if analyze:
            db.execute("ANALYZE")
        db.commit()
        if analyze:
            db.execute("ANALYZE")   # of what the transaction before could not sample
            db.commit()


def pages_to_plan(path: Path) -> int:
    """Pages of trees looked at to plan a query for the first time in a process that has the file not open."""
    with closing(driver.connect(path)) as db:
        db.execute("SELECT * FROM t WHERE id = 1").fetchall()
        lib.edb_pages_touched()
        db.execute("EXPLAIN QUERY PLAN SELECT * FROM t WHERE a = ? AND b = ? AND id > ?", (1, "x", 5)).fetchall()
        return int(lib.edb_pages_touched())


def test_statistics_serve_after_reopening(tmp_path: Path) -> None:
    for name, analyze in (("plain", False), ("analyzed", True)):
        make(tmp_path / name, analyze=analyze)
    assert 0 < pages_to_plan(tmp_path / "analyzed") < pages_to_plan(tmp_path / "plain") / 4
    with closing(driver.connect(tmp_path / "analyzed")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_statistics_of_a_table_that_has_moved_on_do_not_serve(tmp_path: Path) -> None:
    make(tmp_path / "t", analyze=True)
    kept = pages_to_plan(tmp_path / "t")
    with closing(driver.connect(tmp_path / "t")) as db:
        db.executemany("INSERT INTO t(a, b) VALUES (?, ?)", ROWS[:5000])
        db.commit()
    assert pages_to_plan(tmp_path / "t") > 4 * kept


def test_a_rolled_back_analyze_keeps_nothing(tmp_path: Path) -> None:
    make(tmp_path / "t", analyze=False)
    with closing(driver.connect(tmp_path / "t")) as db:
        before = pages_to_plan(tmp_path / "t")
        db.execute("ANALYZE")
        db.rollback()
    assert pages_to_plan(tmp_path / "t") == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", "t", "T", "main", "main.t", "t_ab", '"t"', "temp", "other.u", "s"])
def test_names_are_those_of_sqlite(tmp_path: Path, name: str) -> None:
    make(tmp_path / "t", analyze=False)
    with closing(driver.connect(tmp_path / "t", isolation_level=None)) as db:
        db.execute("CREATE TEMP TABLE s(a)")
        db.execute(f"ATTACH '{tmp_path / 'other.edb'}' AS other")
        db.execute("CREATE TABLE other.u(a)")
        number = db.last_commit[0]
        db.execute(f"ANALYZE {name}")
        assert (db.last_commit[0] > number) == (name not in ("temp", "s"))
        assert db.execute("SELECT count(*) FROM t WHERE a = 5").fetchall() == [(200,)]


@pytest.mark.parametrize("name", ["nosuch", "main.nosuch", "nowhere.t"])
def test_what_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    make(tmp_path / "t", analyze=False)
    with closing(driver.connect(tmp_path / "t")) as db:
        with pytest.raises(driver.OperationalError, match=r"no such|unknown"):
            db.execute(f"ANALYZE {name}")


def test_a_read_only_database_is_not_analyzed(tmp_path: Path) -> None:
    make(tmp_path / "t", analyze=False)
    with closing(driver.connect(tmp_path / "t", read_only=True)) as db:
        with pytest.raises(driver.Error, match=r"read-?only"):
            db.execute("ANALYZE")
