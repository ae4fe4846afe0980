"""verify() and newest_hash(): what the time API says of tamper evidence. tests/format/test_verify.py forges files."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import create_engine, exc, text
from sqlalchemy.ext.asyncio import create_async_engine

from entitydb_dialect import DamageError, Verification, newest_hash, verify


def filled(path: Path) -> str:
    url = f"entitydb:///{path}"
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)"))
    for i in range(5):
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO t (v) VALUES (:v)"), {"v": f"row {i}"})
    engine.dispose()
    return url


def test_a_hash_is_exported_and_checked_later(tmp_path: Path) -> None:
    engine = create_engine(filled(tmp_path / "a.edb"))
    known = newest_hash(engine)
    assert known[0] == 6
    with engine.begin() as connection:
        connection.execute(text("UPDATE t SET v = 'changed'"))
    found = verify(engine, expected=known)
    assert (found.ok, found.commits, found.first, found.last, found.reduced) == (True, 7, 1, 7, 0)
    assert found.newest == newest_hash(engine) != known
    assert found.require() is found
    engine.dispose()


def test_an_expected_commit_that_is_another_or_missing_is_a_break(tmp_path: Path) -> None:
    engine = create_engine(filled(tmp_path / "a.edb"))
    number, digest = newest_hash(engine)
    other = verify(engine, expected=(number, "0" * 64))
    assert other.first_break is not None
    assert other.first_break.commit == number
    assert other.first_break.time is not None
    with pytest.raises(DamageError, match=rf"history was changed: commit {number}, or one before it, is not the one"):
        other.require()
    missing = verify(engine, expected=(number + 1, digest))
    assert not missing.ok
    assert "is missing" in str(missing.first_break)
    with pytest.raises(exc.ArgumentError, match="is not what newest_hash"):
        verify(engine, expected=(number, "abc"))
    engine.dispose()


def test_since_and_progress(tmp_path: Path) -> None:
    engine = create_engine(filled(tmp_path / "a.edb"))
    told: list[tuple[int, int]] = []
    found: Verification = verify(engine, since="2001-01-01", progress=lambda done, of: told.append((done, of)))
    assert found.commits == 6
    assert told
    with engine.connect() as connection:
        assert verify(connection, since=2**62).commits == 0
    engine.dispose()


def test_in_the_event_loop(tmp_path: Path) -> None:
    filled(tmp_path / "a.edb")

    async def run() -> None:
        engine = create_async_engine(f"entitydb+aio:///{tmp_path / 'a.edb'}")
        async with engine.connect() as connection:
            known = await connection.run_sync(newest_hash)
            found = await connection.run_sync(verify, expected=known)
        assert found.require().newest == known
        await engine.dispose()

    asyncio.run(run())
