"""Files of earlier versions: with a smaller ring, without links, without redo records, without strips, and headers torn
when they got their first."""

from __future__ import annotations

import gzip
import os
import random
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.bare_pager import SYNC, SYNC_START, WRITE, Disk, logging, note, power_losses, read_log
from engine.bare_pager import Entry as Logged
from entitydb_dialect import driver

from .forger import encode_record, put
from .reader import FEATURES, LINKS, NEW, REDO, SHORT_TAGS, STRIPS, File, Record, crc32c, u32, u64
from .redo import Redo

LARGE = "x" * 5000                  # more than a redo record holds
ROWS = [(1, LARGE), (2, "two")]


def older(path: Path, **said: int) -> bytes:
    """A file whose commits all wrote pages, and no links; without features. said: what its records say otherwise."""
    db = driver.connect(path, page_size=1024)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
    db.commit()
    db.execute("INSERT INTO t VALUES (1, ?), (2, 'two')", (LARGE,))
    db.commit()
    db.close()
    data = bytearray(path.read_bytes())
    assert all(isinstance(rc, Record) for rc in File(bytes(data)).records.values())
    before = 0
    for _, rc in sorted(File(bytes(data)).records.items()):
        assert isinstance(rc, Record)
        record = encode_record(replace(rc, flags=rc.flags & 1, links_from=0, before=before, **said))
        data[rc.offset : rc.offset + len(record)] = record
        before = u32(record, 0)
    put(data, 24, 0, 8)
    put(data, 4092, crc32c(data[:4092]), 4)
    path.write_bytes(data)
    Path(f"{path}-lock").unlink()
    assert File(bytes(data)).links() == (0, [])
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


def test_an_older_file_gets_the_features_with_its_first_commits(tmp_path: Path, native: Any) -> None:
    path = tmp_path / "older.edb"
    before = older(path)
    assert rows(path) == rows(path, read_only=True) == ROWS
    assert path.read_bytes()[:4096] == before[:4096]
    write(path, LARGE + "y")
    assert File(path.read_bytes()).required == LINKS
    write(path, "small")
    data = path.read_bytes()
    file = File(data)
    assert file.required == LINKS | REDO
    assert isinstance(file.newest, Redo)
    assert data[32:4092] == before[32:4092]
    assert rows(path) == [(1, LARGE), (2, "small")]
    assert file.rows(file.catalog()["t"]) == [(1, [1, LARGE]), (2, [2, "small"])]


@pytest.mark.parametrize("kept", ["the features", "the checksum"])
@pytest.mark.parametrize("features", [REDO, LINKS, REDO | LINKS])
def test_a_header_torn_when_it_got_features(tmp_path: Path, native: Any, kept: str, features: int) -> None:
    """Of the sectors of the header a power loss keeps one and not the other. No record needed them then."""
    path = tmp_path / "torn.edb"
    old = older(path)
    new = bytearray(old)
    put(new, 24, features, 8)
    put(new, 4092, crc32c(new[:4092]), 4)
    first, last = (new, old) if kept == "the features" else (old, new)
    torn = bytes(first[:512]) + bytes(last[512:])
    path.write_bytes(torn)
    assert File(torn).newest.number == 2
    assert rows(path) == rows(path, read_only=True) == ROWS
    write(path, LARGE)
    write(path, "small")
    assert File(path.read_bytes()).required == LINKS | REDO
    assert rows(path) == [(1, LARGE), (2, "small")]


def test_links_begin_with_the_first_commit_of_this_version(tmp_path: Path, native: Any) -> None:
    """Also behind a base without links, and behind redo records without."""
    pages, redo = tmp_path / "older.edb", tmp_path / "small.edb"
    older(pages)
    small_ring(redo)
    for path in (pages, redo):
        before = File(path.read_bytes()).newest.number
        db = driver.connect(path)
        proof = db.database.verify(expected=(before, bytes(32)))
        assert (proof.first, proof.last) == (0, 0)
        assert [one.commit for one in proof.breaks] == [before]
        assert db.database.newest_seal() == (0, bytes(32))
        db.close()
        for i in range(40):
            write(path, LARGE + str(i) if path == pages and i % 8 > 5 else f"small {i}")
            if i % 13 == 0:
                db = driver.connect(path)
                proof = db.database.verify()
                assert (proof.first, proof.last, proof.breaks) == (before + 1, before + 1 + i, ())
                assert db.database.newest_seal() == (before + 1 + i, proof.seal)
                db.close()
        file = File(path.read_bytes())
        assert file.links()[0] == before + 1
        assert file.broken() == []


def test_a_torn_header_is_no_excuse_for_other_damage(tmp_path: Path, native: Any) -> None:
    path = tmp_path / "damaged.edb"
    data = bytearray(older(path))
    data[24] = 1
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(driver.DatabaseError, match=r"the file header .* is damaged"):
        driver.connect(path)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("required", [FEATURES + 1, (FEATURES + 1) | (FEATURES ^ 2), 1 << 63])
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


# ---- strips ---------------------------------------------------------------------------------------------------------

BEFORE_STRIPS = NEW ^ STRIPS
Moments = dict[int, list[Any]]


def update(path: Path, moments: Moments, times: int) -> None:
    """More history; moments: gets some of its moments, and the rows then."""
    with closing(driver.connect(path, isolation_level=None, synchronous="normal")) as db:
        for n in range(times):
            db.execute("UPDATE t SET v = ? || id WHERE id % 3 = ?", (f"{len(moments)} {n} ", n % 3))
            if n % 10 == 0:
                moments[db.last_commit[1]] = db.execute("SELECT id, v FROM t ORDER BY id").fetchall()


def without_strips(path: Path) -> Moments:
    """A file with all features but strips, and its rows at some moments."""
    with closing(driver.connect(path, page_size=512, isolation_level=None)) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
        db.executemany("INSERT INTO t VALUES (?, 'first')", [(i,) for i in range(60)])
    moments: Moments = {}
    update(path, moments, 60)
    data = bytearray(path.read_bytes())
    put(data, 24, BEFORE_STRIPS, 8)
    put(data, 4092, crc32c(data[:4092]), 4)
    path.write_bytes(data)
    Path(f"{path}-lock").unlink()
    return moments


def pack(path: Path) -> driver.Packed:
    with closing(driver.connect(path)) as db:
        return db.database.pack()


def shows(path: Path, moments: Moments) -> File:
    """What was there at each moment. -> the file"""
    with closing(driver.connect(path)) as db:
        for moment, expected in moments.items():
            cursor = db.cursor()
            cursor.as_of = moment
            assert cursor.execute("SELECT id, v FROM t ORDER BY id").fetchall() == expected
        assert db.database.check()[0] == []
        assert db.database.verify().breaks == ()
    return File(path.read_bytes())


def test_a_file_of_before_strips_gets_the_feature_when_it_is_packed(tmp_path: Path, native: Any) -> None:
    path = tmp_path / "older.edb"
    moments = without_strips(path)
    before = path.read_bytes()[:4096]
    assert shows(path, moments).required == BEFORE_STRIPS
    update(path, moments, 11)
    assert path.read_bytes()[:4096] == before, "nothing but packing needs it"
    assert pack(path).windows
    file = shows(path, moments)
    assert file.required == NEW
    assert file.strips
    assert path.read_bytes()[32:4092] == before[32:4092]
    update(path, moments, 300)
    assert pack(path).windows
    with closing(driver.connect(path)) as db:
        db.database.compact()
    assert shows(path, moments).required == NEW


def test_a_file_of_the_first_version_is_packed(tmp_path: Path, native: Any) -> None:
    """What has no cold id stays as it is."""
    path = tmp_path / "small.edb"
    expected = small_ring(path)
    assert pack(path) == driver.Packed(0, 0)
    assert not File(path.read_bytes()).required & STRIPS
    moments: Moments = {}
    with closing(driver.connect(path)) as db:
        moments[db.database.stats()["last_commit_ns"]] = expected
    update(path, moments, 300)
    assert not File(path.read_bytes()).required & STRIPS
    assert pack(path).windows
    file = shows(path, moments)
    assert file.required & STRIPS
    assert file.strips


@pytest.mark.parametrize("kept", ["the feature", "the checksum"])
def test_a_header_torn_when_it_got_strips(tmp_path: Path, native: Any, kept: str) -> None:
    path = tmp_path / "torn.edb"
    moments = without_strips(path)
    old = path.read_bytes()
    new = bytearray(old)
    put(new, 24, NEW, 8)
    put(new, 4092, crc32c(new[:4092]), 4)
    first, last = (new, old) if kept == "the feature" else (old, new)
    path.write_bytes(bytes(first[:512]) + bytes(last[512:]))
    shows(path, moments)
    update(path, moments, 11)
    header = bytearray(path.read_bytes()[:4096])
    if kept == "the checksum":
        assert not u64(header, 24) & STRIPS
    assert u32(header, 4092) == crc32c(header[:4092]), "the first commit mends it"
    assert pack(path).windows
    assert shows(path, moments).required == NEW


@pytest.mark.slow
def test_a_power_loss_while_a_file_gets_strips(tmp_path: Path, native: Any, rng: random.Random) -> None:
    """There are never strips of which the header says nothing (the reader refuses such a file)."""
    live, path = tmp_path / "live.edb", tmp_path / "left.edb"
    moments = without_strips(live)
    image = live.read_bytes()
    with logging(tmp_path / "log"):
        with closing(driver.connect(live)) as db:
            note("begin")
            assert db.database.pack().windows
            note("end")
    before = [Logged(WRITE, 0, 0, len(image), image), Logged(SYNC_START, 0, 0, 0, b""), Logged(SYNC, 0, 0, 0, b"")]
    log = before + read_log(tmp_path / "log")
    first, last = (next(i for i, entry in enumerate(log) if entry.data == mark) for mark in (b"begin", b"end"))
    header = next(i for i, one in enumerate(log) if one.kind == WRITE and one.offset == 0 and i > first)
    points = {*range(header - 1, header + 4), last, *rng.sample(range(first, last), min(20, last - first))}
    met: set[tuple[int, bool]] = set()
    for _, disk, _ in power_losses(log, points):
        assert isinstance(disk, Disk)
        for _ in range(3):
            left = disk.lose_power(rng)
            path.write_bytes(left)
            Path(f"{path}-lock").unlink(missing_ok=True)
            file = File(left)
            met.add((file.required & STRIPS, bool(file.strips)))
            shows(path, moments)
            pack(path)
            file = shows(path, moments)
            assert file.required == NEW
            assert file.strips
    assert met == {(0, False), (STRIPS, False), (STRIPS, True)}


def test_what_has_no_cold_id_is_not_erased(tmp_path: Path, native: Any) -> None:
    path = tmp_path / "a.edb"
    older(path, cold_since=0)
    erase = "INSERT INTO entitydb_erasures(subject_table, key_hash, row_id) VALUES ('t', '', ?)"
    with closing(driver.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM t")
        with pytest.raises(driver.NotSupportedError, match="a large value was written by a version without cold ids"):
            db.execute(erase, (1,))
        db.execute(erase, (2,))
        assert db.execute("SELECT count(*) FROM entitydb_erasures").fetchall() == [(1,)]
        versions = db.execute("SELECT entity FROM entitydb_versions WHERE type = 't' AND operation = 'insert'")
        assert [row[0] for row in versions.fetchall()] == [1], "all of it is there, and nothing of the other"
        assert db.database.check()[0] == []


# ---- tags whose keys are wide --------------------------------------------------------------------------------------

ENTITIES = [-300, -1, 0, 1, 2, 255, 256, 65536, 2**40]
GIVEN = {(entity, text) for entity in (-300, -1, 0, 256, 2**40) for text in ("a", "b")}


def wide_tags(path: Path) -> None:
    path.write_bytes(gzip.decompress((Path(__file__).parent / "kept" / "wide_tags.edb.gz").read_bytes()))
    file = File(path.read_bytes())
    assert "tag postings" in file.tag_trees()
    assert not file.required & SHORT_TAGS


def status(entity: int) -> tuple[int, str]:
    return entity, f"status:{('live', 'dead')[entity % 2]}"


def test_a_file_with_tags_of_wide_keys_opens_and_goes_on(tmp_path: Path, native: Any) -> None:
    """Everything that reads or writes tags does so in their old trees, at every moment."""
    path = tmp_path / "wide.edb"
    wide_tags(path)
    db = driver.connect(path, isolation_level=None)
    assert db.database.check()[0] == []

    def tags(as_of: int | None = None) -> set[tuple[int, str]]:
        cursor = db.cursor()
        cursor.as_of = as_of
        return set(cursor.execute("SELECT entity, tag FROM entitydb_tags"))

    def of_tag(text: str) -> list[int]:
        sql = "SELECT entity FROM entitydb_tagged('t', ?)"
        return [entity for (entity,) in db.execute(sql, (text,))]

    file = File(path.read_bytes())
    first, second = (int(when) for when in file.times()[-2:])
    before = GIVEN | {status(entity) for entity in ENTITIES}
    now = before - {(-300, "a"), (-1, "a"), status(256)} | {(256, "status:gone")}
    assert tags(first) == before
    assert tags(second) == tags() == now
    assert of_tag("b") == [-300, -1, 0, 256, 2**40]
    assert of_tag("b & status:live") == [-300, 0, 2**40]
    assert of_tag("a | status:dead") == [-1, 0, 1, 255, 256, 2**40]

    db.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('t', 65536, 'new'), ('t', -1, 'a')")
    db.execute("DELETE FROM t WHERE id = 2")
    db.execute("UPDATE t SET id = -7 WHERE id = 1")
    db.execute("DELETE FROM entitydb_tags WHERE type = 't' AND entity = 0 AND tag = 'b'")
    now = now - {status(2), status(1), (0, "b")} | {(65536, "new"), (-1, "a"), (-7, "status:dead")}
    assert tags() == now
    assert tags(second) != now
    assert of_tag("new | a") == [-1, 0, 256, 65536, 2**40]
    db.database.pack()
    db.database.compact()
    assert tags() == now
    assert tags(first) == before
    assert db.database.check()[0] == []
    assert db.database.verify().breaks == ()
    db.close()
    file = File(path.read_bytes())
    assert {(entity, text) for _, entity, text in file.tags()} == now
    assert not file.required & SHORT_TAGS
