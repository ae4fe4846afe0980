"""Damaged, truncated and foreign files: an error that names the place, or what was committed; never anything else."""

from __future__ import annotations

import os
import resource
import signal
import struct
from pathlib import Path

import pytest

from ..bare_pager import (
    NO_CREATE,
    READ_ONLY,
    RECORD_SIZE,
    RING,
    RING_OFFSET,
    BarePager,
    PagerError,
    apply,
    random_changes,
)

DAMAGE = {"CORRUPT", "NOTADB", "VERSION"}


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def make(path: Path, rng, commits: int = 120) -> list[list[int]]:
    history = [[]]
    with BarePager(path, 512) as db:
        for _ in range(commits):
            changes = random_changes(rng, len(history[-1]))
            db.commit(changes)
            history.append(apply(history[-1], changes))
    return history


def read(path: Path, flags: int = 0) -> tuple[int, list[int]]:
    with BarePager(path, flags=flags | NO_CREATE) as db:
        number, _ = db.pin()
        values = db.pinned_values()
        db.unpin()
        db.check()
        db.pin()
        for commit in range(number + 1):
            db.time_of(commit)
        return number, values


@pytest.mark.slow
def test_flipped_bytes_are_an_error_or_change_nothing(tmp_path, rng):
    path, bad = tmp_path / "a.edb", tmp_path / "bad.edb"
    history = make(path, rng)
    whole = path.read_bytes()
    with BarePager(path) as db:
        first, pages = db.stats()["first"], db.stats()["pages"]
    front = range(RING_OFFSET)
    ring = range(RING_OFFSET, RING_OFFSET + RING * RECORD_SIZE)
    newest = len(history) - 1
    record = range(RING_OFFSET + newest * RECORD_SIZE, RING_OFFSET + newest * RECORD_SIZE + 1200)
    body = range(first * 512, pages * 512)
    places = [rng.choice(part) for part in (front, ring, record, body) for _ in range(60)]
    found = {"page": 0, "header": 0, "record": 0}
    for place in [*places, 16, 20, 60, (mark := 4096), mark + 9, 4092, record[0], record[20], record[200]]:
        image = bytearray(whole)
        image[place] ^= 1 << rng.randrange(8)
        bad.write_bytes(image)
        try:
            number, values = read(bad)
            assert number == newest or place in range(4096, 8192)
            assert values == history[newest]
        except PagerError as failure:
            assert failure.name in DAMAGE, failure
            text = str(failure)
            assert "bad.edb" in text
            for word in found:
                found[word] += word in text
    assert all(found.values()), found


@pytest.mark.slow
def test_flipped_bytes_met_by_a_writer_leave_the_rest_usable(tmp_path, rng):
    path, bad = tmp_path / "a.edb", tmp_path / "bad.edb"
    history = make(path, rng, 60)
    whole = path.read_bytes()
    with BarePager(path) as db:
        first, pages = db.stats()["first"], db.stats()["pages"]
    for _ in range(60):
        image = bytearray(whole)
        image[rng.randrange(first * 512, pages * 512)] ^= 1 << rng.randrange(8)
        bad.write_bytes(image)
        values = history[-1]
        with BarePager(bad) as db:
            for _ in range(20):
                changes = random_changes(rng, len(values))
                try:
                    db.commit(changes)
                except PagerError as failure:
                    assert failure.name == "CORRUPT"
                    assert "page" in str(failure)
                else:
                    values = apply(values, changes)
            try:
                assert db.values() == values
            except PagerError as failure:
                assert failure.name == "CORRUPT"


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1, 15, 16, 4095, 8192, 100_000, RING_OFFSET + RING * RECORD_SIZE, -512])
def test_truncated_file(tmp_path, rng, size):
    path = tmp_path / "a.edb"
    make(path, rng)
    with BarePager(path) as db:
        used = db.stats()["pages"] * 512
    os.truncate(path, size if size >= 0 else used + size)
    with pytest.raises(PagerError) as caught:
        read(path)
    assert caught.value.name == ("NOTADB" if 0 <= size < 16 else "CORRUPT")


def test_foreign_and_newer_files(tmp_path, rng):
    path = tmp_path / "a.edb"
    for content in (b"SQLite format 3\0" + bytes(5000), b"x", rng.randbytes(2_000_000), bytes(3)):
        path.write_bytes(content)
        with pytest.raises(PagerError, match="is not an EntityDB database"):
            BarePager(path)
        assert path.read_bytes() == content
    path.unlink()
    make(path, rng, 3)
    whole = path.read_bytes()
    for offset, value in ((16, 2), (24, 32), (24, 63), (28, 1)):
        header = bytearray(whole[:4096])
        struct.pack_into("<I", header, offset, value)
        struct.pack_into("<I", header, 4092, crc32c(bytes(header[:4092])))
        path.write_bytes(header + whole[4096:])
        with pytest.raises(PagerError, match="another version") as caught:
            BarePager(path)
        assert caught.value.name == "VERSION"
    with pytest.raises(PagerError, match="not a regular file"):
        BarePager(Path("/dev/null"))
    with pytest.raises(PagerError) as caught:
        BarePager(tmp_path)
    assert caught.value.name == "CANTOPEN"


def test_an_empty_file_and_a_creation_cut_short_become_databases(tmp_path):
    for name, content in (("empty", b""), ("cut", bytes(1_500_000))):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(PagerError):
            BarePager(path, flags=READ_ONLY)
        with BarePager(path, 512) as db:
            db.commit({0: 1})
        assert read(path) == (1, [1])


@pytest.mark.parametrize("records", ["pages"], indirect=True)
def test_a_stale_page_is_found(tmp_path):
    """A write that the disk lost: the page before it is whole, but is not the one its parent means."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        for i in range(50):
            before = path.read_bytes()
            db.commit({0: 2 + i})
        first, pages = db.stats()["first"], db.stats()["pages"]
    after = bytearray(path.read_bytes())
    stale = [p for p in range(first, pages) if before[p * 512:p * 512 + 512] != after[p * 512:p * 512 + 512]]
    assert stale
    for page in stale:
        image = bytearray(after)
        image[page * 512:page * 512 + 512] = before[page * 512:page * 512 + 512]
        path.write_bytes(image)
        with pytest.raises(PagerError, match=f"page {page} ") as caught:
            read(path)
        assert caught.value.name == "CORRUPT"


def test_a_full_disk_aborts_the_commit_and_nothing_else(tmp_path):
    """The limit on file sizes stands for the disk: what cannot grow is refused before any page is lost."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        size = path.stat().st_size
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with BarePager(path) as db:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, limits[1]))
            with pytest.raises(PagerError) as caught:
                db.commit({k: k + 1 for k in range(4000)})
            assert caught.value.name == "FULL"
            assert db.values() == [1]
            db.check()
            db.commit({0: 2})
            assert db.values() == [2]
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            db.commit({k: k + 1 for k in range(4000)})
            db.check()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert read(path) == (3, [k + 1 for k in range(4000)])
