"""prune(): history goes by a moment, by a span, or as the tables ask for it. tests/engine/upkeep has the pages."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, create_engine, exc, text
from sqlalchemy.ext.asyncio import create_async_engine

from entitydb_dialect import HorizonError, Pruned, at, check, prune, verify


def moments(engine: Engine, n: int, options: str = "") -> list[int]:
    """A table whose one row has had n values; the moment of each."""
    found = []
    with engine.begin() as connection:
        connection.execute(text(f"CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER, pad TEXT) {options}"))
        connection.execute(text("INSERT INTO t VALUES (1, -1, '')"))
    for value in range(n):
        with engine.begin() as connection:
            connection.execute(text("UPDATE t SET v = :v, pad = :pad"), {"v": value, "pad": "x" * 900})
        raw: Any = engine.raw_connection()
        found.append(raw.driver_connection.last_commit[1])
        raw.close()
    return found


def value_at(engine: Engine, moment: int) -> Any:
    with at(engine, moment) as past:
        return past.execute(text("SELECT v FROM t")).scalar_one()


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    made = create_engine(f"entitydb:///{tmp_path / 'a.edb'}")
    yield made
    made.dispose()


def test_what_the_moment_shows_and_everything_later_stays(engine: Engine) -> None:
    known = moments(engine, 60)
    would = prune(engine, known[40], dry_run=True)
    assert value_at(engine, known[0]) == 0
    told: list[int] = []
    done = prune(engine, known[40], progress=told.append)
    assert isinstance(done, Pruned)
    assert (done.bytes, done.versions, done.complete) == (would.bytes, would.versions, True)
    assert done.bytes > 0
    assert [value_at(engine, moment) for moment in known[40:]] == list(range(40, 60))
    for moment in (known[39], known[0]):
        with pytest.raises(exc.OperationalError, match="oldest kept commit") as error, at(engine, moment) as past:
            past.execute(text("SELECT v FROM t"))
        assert isinstance(error.value.orig, HorizonError)
    assert done.horizon is not None
    assert abs(done.horizon.timestamp() - known[40] / 1e9) < 1e-5
    assert check(engine) == []
    assert verify(engine).ok
    again = prune(engine, known[40])
    assert (again.commit, again.bytes) == (done.commit, 0)


@pytest.mark.parametrize("before", ["1 hour", dt.timedelta(hours=1), "forever", "2001-01-01", dt.date(2001, 1, 1)])
def test_what_is_not_so_old_stays(engine: Engine, before: Any) -> None:
    known = moments(engine, 30)
    assert prune(engine, before).bytes == 0
    assert value_at(engine, known[0]) == 0


@pytest.mark.parametrize("before", [dt.timedelta(seconds=1), "1 second"])
def test_a_span_counts_back_from_now(engine: Engine, before: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    known = moments(engine, 60)
    monkeypatch.setattr("entitydb_dialect._prune.clock_ns", lambda: known[50] + 10**9)
    assert prune(engine, before).bytes > 0
    assert value_at(engine, known[50]) == 50
    with pytest.raises(exc.OperationalError, match="oldest kept"):
        value_at(engine, known[49])


def test_tables_ask_and_the_longest_decides(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    known = moments(engine, 60, "RETENTION '2 days'")
    day = 86_400 * 10**9
    monkeypatch.setattr("entitydb_dialect._prune.clock_ns", lambda: known[50] + 2 * day)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE u (id INTEGER PRIMARY KEY)"))
    assert prune(engine).bytes == 0, "one table says nothing: everything is kept"
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE u SET RETENTION '3 days'"))
    assert prune(engine).bytes == 0, "the longer time decides"
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE u SET RETENTION '1 day'"))
    assert prune(engine, dry_run=True).bytes > 0
    assert prune(engine).bytes > 0
    assert value_at(engine, known[50]) == 50
    with pytest.raises(exc.OperationalError, match="oldest kept"):
        value_at(engine, known[49])


def test_an_open_transaction_keeps_what_it_reads(engine: Engine) -> None:
    known = moments(engine, 60)
    with engine.connect() as reader:
        before = reader.execute(text("SELECT v FROM t")).scalar_one()
        for value in range(60, 90):
            with engine.begin() as connection:
                connection.execute(text("UPDATE t SET v = :v"), {"v": value})
        done = prune(engine, time.time_ns())
        assert reader.execute(text("SELECT v FROM t")).scalar_one() == before == 59
    assert value_at(engine, known[59]) == 59
    assert prune(engine, time.time_ns()).commit > done.commit


def test_what_is_no_moment_is_refused(engine: Engine) -> None:
    moments(engine, 2)
    for wrong in ("soon", "90", object(), 3.5):
        with pytest.raises((exc.ArgumentError, ValueError), match="moment"):
            prune(engine, wrong)  # type: ignore[arg-type]


def test_from_an_async_program(tmp_path: Path) -> None:
    engine = create_engine(f"entitydb:///{tmp_path / 'a.edb'}")
    known = moments(engine, 40)
    engine.dispose()

    async def run() -> Pruned:
        later = create_async_engine(f"entitydb+aio:///{tmp_path / 'a.edb'}")
        async with later.connect() as connection:
            done = await connection.run_sync(prune, known[30])
        await later.dispose()
        return done

    assert asyncio.run(run()).bytes > 0


def test_a_reflected_table_still_says_it(engine: Engine) -> None:
    moments(engine, 1, "RETENTION '2 days'")
    metadata = MetaData()
    metadata.reflect(engine)
    assert metadata.tables["t"].dialect_kwargs["entitydb_retention"] == "2 days"
