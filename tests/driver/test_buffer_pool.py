"""ENTITYDB_BUFFER_POOL_SIZE: how much unpacked history a process keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from entitydb_dialect._native import lib

from entitydb_dialect import driver

NAME = "ENTITYDB_BUFFER_POOL_SIZE"


@pytest.fixture(autouse=True)
def bound_again(native: object) -> Iterator[None]:
    yield
    lib.edb_pool_limit(64 << 20)


def connect(path: Path) -> driver.Connection:
    return driver.connect(str(path), isolation_level=None, synchronous="normal")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A file with some MiB of packed history, and a moment that is read from it."""
    path = tmp_path_factory.mktemp("pool") / "a.edb"
    db = connect(path)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
    db.executemany("INSERT INTO t VALUES (?, ?)", [(i, f"{i:0200}") for i in range(10_000)])
    moment = db.last_commit[1]
    for n in range(3):
        db.execute("UPDATE t SET a = a || ?", (n,))
    assert moment
    assert db.database.pack().pages > 300
    db.close()
    return path, moment


def unpacked(db: driver.Connection, moment: int) -> int:
    """Pages that a scan as of the moment had to unpack."""
    before = db.database.stats()["pool_misses"]
    cursor = db.cursor()
    cursor.as_of = moment
    assert cursor.execute("SELECT count(*), sum(length(a)) FROM t").fetchone() == (10_000, 2_000_000)
    return db.database.stats()["pool_misses"] - before


def test_what_fits_the_pool_is_unpacked_once(packed: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    path, moment = packed
    monkeypatch.setenv(NAME, "16M")
    db = connect(path)
    assert db.database.stats()["pool_limit"] == 16 << 20
    assert unpacked(db, moment) > 200
    assert unpacked(db, moment) == 0
    db.close()


def test_a_pool_too_small_unpacks_again_and_stays_within_its_bound(
    packed: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, moment = packed
    monkeypatch.setenv(NAME, "1 MiB")
    db = connect(path)
    for _ in range(2):
        assert unpacked(db, moment) > 100
        assert db.database.stats()["pool_bytes"] <= 1 << 20
    db.close()


@pytest.mark.parametrize(("said", "meant"), [
    ("1048576", 1 << 20), ("2M", 2 << 20), ("2mb", 2 << 20), ("2048 KiB", 2 << 20), ("1g", 1 << 30),
    (" 1048577b ", (1 << 20) + 1),
])  # fmt: skip
def test_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, meant: int) -> None:
    monkeypatch.setenv(NAME, said)
    db = connect(tmp_path / "a.edb")
    assert db.database.stats()["pool_limit"] == meant
    db.close()


@pytest.mark.parametrize("said", ["", "M", "-1", "1.5G", "64X", "64iB", "1023K", "0", "9999999999G", "64 M M"])
def test_what_is_no_size_is_refused_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv(NAME, said)
    with pytest.raises(driver.ProgrammingError, match=f"{NAME} is {said!r}"):
        connect(tmp_path / "a.edb")
    assert not (tmp_path / "a.edb").exists()
