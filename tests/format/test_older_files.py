"""Files of earlier versions: with a smaller ring, without redo records, and headers torn when they got their first."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

from .forger import put
from .reader import File, Record, crc32c, u64
from .redo import Redo

LARGE = "x" * 5000                  # more than a redo record holds
ROWS = [(1, LARGE), (2, "two")]


def older(path: Path) -> bytes:
    """A file whose commits all wrote pages, without the feature of redo records."""
    db = driver.connect(path, page_size=1024)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    db.commit()
    db.execute("INSERT INTO t VALUES (1, ?), (2, 'two')", (LARGE,))
    db.commit()
    db.close()
    data = bytearray(path.read_bytes())
    assert all(isinstance(rc, Record) for rc in File(bytes(data)).records.values())
    put(data, 24, 0, 8)
    put(data, 4092, crc32c(data[:4092]), 4)
    path.write_bytes(data)
    Path(f"{path}-lock").unlink()
    return bytes(data)


def rows(path: Path, **options: Any) -> list[Any]:
    db = driver.connect(path, **options)
    try:
        return db.execute("SELECT id, v FROM t ORDER BY id").fetchall()
    finally:
        db.close()


def write(path: Path, value: str) -> None:
    db = driver.connect(path)
    db.execute("UPDATE t SET v = ? WHERE id = 2", (value,))
    db.commit()
    assert db.database.check()[0] == []
    db.close()


def small_ring(path: Path) -> list[tuple[int, str]]:
    """A file with a ring of 256 slots, which has 300 rows and ends with redo records. -> its rows"""
    path.write_bytes(gzip.decompress((Path(__file__).parent / "kept" / "small_ring.edb.gz").read_bytes()))
    file = File(path.read_bytes())
    assert file.ring == 256
    assert isinstance(file.newest, Redo)
    return [(i, f"{'changed' if i % 7 == 1 else 'value'} {i}") for i in range(1, 301)]


def test_a_file_with_a_smaller_ring_opens_and_goes_on(tmp_path: Path, native: Any) -> None:
    path = tmp_path / "small.edb"
    expected = small_ring(path)
    assert rows(path) == rows(path, read_only=True) == expected
    db = driver.connect(path)
    before = db.database.stats()["published"]
    for i in range(600):
        expected[i % 300] = (i % 300 + 1, f"new {i}")
        db.execute("UPDATE t SET v = ? WHERE id = ?", expected[i % 300][::-1])
        db.commit()
    assert db.database.stats()["published"] == before + 600
    assert db.database.check()[0] == []
    db.close()
    file = File(path.read_bytes())
    assert file.ring == 256
    assert all(rc.number - rc.base <= 127 for rc in file.records.values() if isinstance(rc, Redo))
    assert rows(path) == expected


def test_an_older_file_gets_the_feature_with_its_first_redo_record(tmp_path: Path, native: Any) -> None:
    path = tmp_path / "older.edb"
    before = older(path)
    assert rows(path) == rows(path, read_only=True) == ROWS
    assert path.read_bytes()[:4096] == before[:4096]
    write(path, LARGE + "y")
    assert path.read_bytes()[:4096] == before[:4096], "pages are known to whoever knew the file"
    write(path, "small")
    data = path.read_bytes()
    file = File(data)
    assert file.required == 1
    assert isinstance(file.newest, Redo)
    assert data[32:4092] == before[32:4092]
    assert rows(path) == [(1, LARGE), (2, "small")]
    assert file.rows(file.catalog()["t"]) == [(1, [1, LARGE]), (2, [2, "small"])]


@pytest.mark.parametrize("kept", ["the feature", "the checksum"])
def test_a_header_torn_when_it_got_the_feature(tmp_path: Path, native: Any, kept: str) -> None:
    """Of the sectors of the header a power loss keeps one and not the other. No redo record was written then."""
    path = tmp_path / "torn.edb"
    old = older(path)
    new = bytearray(old)
    put(new, 24, 1, 8)
    put(new, 4092, crc32c(new[:4092]), 4)
    first, last = (new, old) if kept == "the feature" else (old, new)
    torn = bytes(first[:512]) + bytes(last[512:])
    path.write_bytes(torn)
    assert File(torn).newest.number == 2
    assert rows(path) == rows(path, read_only=True) == ROWS
    write(path, LARGE)
    write(path, "small")
    assert path.read_bytes()[:4096] == new[:4096]
    assert rows(path) == [(1, LARGE), (2, "small")]


def test_a_torn_header_is_no_excuse_for_other_damage(tmp_path: Path, native: Any) -> None:
    path = tmp_path / "damaged.edb"
    data = bytearray(older(path))
    data[24] = 1
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(driver.DatabaseError, match=r"the file header .* is damaged"):
        driver.connect(path)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("required", [2, 3, 1 << 63])
def test_an_unknown_feature_is_refused(tmp_path: Path, native: Any, required: int, whole: bool) -> None:
    """Also beside a checksum that is right but for the feature of redo records."""
    path = tmp_path / "newer.edb"
    data = bytearray(older(path))
    put(data, 24, required, 8)
    put(data, 4092, crc32c(data[:4092]), 4)
    data[24] ^= not whole
    path.write_bytes(data)
    with pytest.raises(driver.DatabaseError, match="another version of EntityDB"):
        driver.connect(path)
    assert u64(path.read_bytes(), 24) == required ^ (not whole)
    assert not os.path.exists(f"{path}-lock") or path.read_bytes() == data
