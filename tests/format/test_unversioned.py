"""Columns without history are as docs/format.md says: the reader shows every moment and proves every commit as the
engine does, before and after packing; and catalogs that say impossible things are refused."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver
from entitydb_dialect.driver import _catalog

from .forger import Forger, put, varint_bytes
from .primitives import Damaged, crc32c
from .reader import UNVERSIONED, File, decode_row, row_without, u64
from .test_forged_tags import change


def make(path: Path, rng: random.Random, commits: int) -> list[int]:
    """-> the moments of the commits."""
    db = driver.connect(path, page_size=512, packing=False)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, seen INTEGER UNVERSIONED, b, note TEXT UNVERSIONED)")
    db.execute("CREATE TABLE u(id INTEGER PRIMARY KEY, v)")
    moments = []
    for step in range(commits):
        key = rng.randrange(1, 20)
        row = (key, "a" * 20, step, None, "n" * rng.choice((1, 90)))
        db.execute("INSERT OR IGNORE INTO t VALUES (?, ?, ?, ?, ?)", row)
        if step == commits // 2:
            db.execute("ALTER TABLE t ADD COLUMN late TEXT UNVERSIONED")
            db.execute("ALTER TABLE t ALTER COLUMN b SET UNVERSIONED")
            db.execute("ALTER TABLE t DROP COLUMN note")
        if step == commits * 2 // 3:
            db.execute("ALTER TABLE t ALTER COLUMN seen DROP UNVERSIONED")
        db.execute("UPDATE t SET seen = ?, b = ? WHERE id % 3 = ?", (rng.randrange(10**9), step // 3, step % 3))
        if step % 11 == 5:
            db.execute("UPDATE t SET a = ? WHERE id % 2", (f"{step}" * 300,))    # some lie in pages of their own
        if step % 7 == 3:
            db.execute("DELETE FROM t WHERE id = ?", (rng.randrange(1, 20),))
        db.execute("INSERT INTO u(v) VALUES (?)", (step,))
        db.commit()
        moments.append(db.last_commit[1])
    db.close()
    return moments


def agree(path: Path, moments: list[int]) -> None:
    file = File(path.read_bytes())
    assert file.required & UNVERSIONED
    assert file.broken() == []
    with driver.connect(path, packing=False) as db:
        for number, moment in enumerate(moments, 1):
            cursor = db.cursor()
            cursor.as_of = moment
            rows = [row[1:] for row in cursor.execute("SELECT * FROM t ORDER BY id").fetchall()]
            then = file.catalog(number)["t"]
            shown = {c.name: i for i, c in enumerate(then.columns)}
            now = file.catalog()["t"].columns
            expected = [
                tuple(values[shown[c.name]] if c.name in shown else None for c in now[1:])
                for _, values in file.rows(then, number)
            ]
            assert rows == expected, number
        assert db.execute("SELECT * FROM t ORDER BY id").fetchall() == [
            tuple(values) for _, values in file.rows(file.catalog()["t"])
        ]
        db.rollback()
        assert db.database.verify().breaks == ()
        assert db.database.check()[0] == []


@pytest.mark.parametrize("seed", range(3))
def test_the_reader_shows_and_proves_what_the_engine_does(tmp_path: Path, native: Any, seed: int) -> None:
    path = tmp_path / "a.edb"
    moments = make(path, random.Random(seed), 90)
    agree(path, moments)
    with driver.connect(path, packing=False) as db:
        db.database.pack()
    agree(path, moments)
    with driver.connect(path, packing=False) as db:
        db.database.compact()
    agree(path, moments)


def test_a_row_without_columns_is_the_row_that_would_be_written(tmp_path: Path, native: Any) -> None:
    path = tmp_path / "a.edb"
    with driver.connect(path) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c)")
        values = [0, 1, -5, 1 << 40, 1.5, "x" * 300, b"y" * 200, "", None]
        for i, value in enumerate(values):
            db.execute("INSERT INTO t VALUES (?, ?, ?, ?)", (2 * i, value, "k" * 250, values[i - 1]))
            db.execute("INSERT INTO t VALUES (?, NULL, ?, NULL)", (2 * i + 1, "k" * 250))
        db.commit()
    file = File(path.read_bytes())
    stored = [value for _, _, value in file.scan(file.tree(file.catalog()["t"].id))]
    for full, empty in zip(stored[::2], stored[1::2], strict=True):
        assert row_without(full, {1, 3}) == row_without(empty, {1, 3, 9}) == empty
        assert decode_row(row_without(full, {2}))[2] is None


@pytest.fixture
def small(tmp_path: Path, native: Any) -> bytes:
    path = tmp_path / "small.edb"
    with driver.connect(path) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, n INTEGER UNVERSIONED)")
        db.execute("CREATE INDEX i ON t(a)")
        db.execute("INSERT INTO t VALUES (1, 'a', 2)")
        db.commit()
    return path.read_bytes()


def forged(data: bytes, ids: bytes) -> bytes:
    """The table's entry with another list of columns without history."""
    f = Forger(data)
    catalog = f.file.tree(0)
    (entry,) = [(key, value) for key, _, value in f.file.scan(catalog) if b"CREATE TABLE t" in value]
    table = _catalog.decode(entry[1])
    assert isinstance(table, _catalog.Table)
    kept = varint_bytes(1) + varint_bytes(2)
    extra = entry[1][entry[1].rindex(kept) + len(kept) :]
    change(f, 0, entry[0], entry[1][: entry[1].rindex(kept)] + ids + extra)
    return f.sealed()


@pytest.mark.parametrize("ids", [(), (0,), (1,), (2, 2), (2, 1), (2, 1 << 17)])
def test_impossible_columns_are_refused(tmp_path: Path, small: bytes, ids: tuple[int, ...]) -> None:
    """None; the key; one with an index; not ascending; beyond the last that there can be."""
    data = forged(small, varint_bytes(len(ids)) + b"".join(map(varint_bytes, ids)))
    with pytest.raises(Damaged, match="history"):
        File(data).catalog()
    path = tmp_path / "forged.edb"
    path.write_bytes(data)
    with pytest.raises(driver.DamageError, match="unversioned column"):
        driver.connect(path)


def test_places_of_columns_that_are_gone_are_read(tmp_path: Path, small: bytes) -> None:
    path = tmp_path / "forged.edb"
    path.write_bytes(forged(small, varint_bytes(2) + varint_bytes(2) + varint_bytes(40)))
    with driver.connect(path) as db:
        assert db.execute("SELECT * FROM t").fetchall() == [(1, "a", 2)]
        assert db.catalog()["t"].unversioned == (2, 40)


def test_check_finds_a_header_that_says_nothing_of_them(tmp_path: Path, small: bytes) -> None:
    data = bytearray(small)
    put(data, 24, u64(data, 24) & ~UNVERSIONED, 8)
    put(data, 4092, crc32c(data[:4092]), 4)
    with pytest.raises(Damaged, match="header says nothing"):
        File(bytes(data)).catalog()
    path = tmp_path / "forged.edb"
    path.write_bytes(bytes(data))
    with driver.connect(path) as db:
        assert [b.invariant for b in db.database.check()[0]] == ["I32"]


def test_what_was_said_of_a_column_stays_said(tmp_path: Path, small: bytes) -> None:
    """The engine refuses a request that takes it back, or says it of a place that had a history."""
    path = tmp_path / "a.edb"
    path.write_bytes(small)
    db = driver.connect(path)
    table = db.catalog()["t"]
    plain = tuple(replace(c, unversioned=False) for c in table.columns)
    without_index = tuple(replace(c, unversioned=c.name in ("a", "n")) for c in table.columns)
    for wrong in (replace(table, columns=plain, unversioned=()), replace(table, columns=without_index, indexes=())):
        with pytest.raises(driver.Error, match=r"has a history|has no history and cannot be given one"):
            db._session.main.edit_entry("replace", "t", wrong)
        db.rollback()
    db.close()
