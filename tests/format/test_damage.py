"""Damaged files: opening, reading everything at many moments and checking give exactly right rows or a clean error.

Everything is read in another process, which must survive. The moments are those of the sample's commits; rows as of one
are known. After damage the newest commit may be another one only where the description allows it: bytes of the ring or
of the marks; then what is read is what that earlier commit held.

All of it happens to three files: one whose newest record has pages, one that ends in redo records, and one whose
history is packed.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from .forger import put
from .reader import (
    ARRAY,
    FEATURES,
    FREE,
    INTERIOR,
    LEAF,
    MARK,
    OVERFLOW,
    RECORD,
    RING,
    SETTLED,
    SLOTS,
    STRIP,
    File,
    Record,
    crc32c,
)
from .redo import Redo

TABLES = ("plain", "hot", "big", "indexed")
QUERIES = [f"SELECT * FROM {name} ORDER BY id" for name in TABLES]
INDEXED = "SELECT id FROM indexed WHERE b >= 'b' ORDER BY b, id"
ERRORS = {"DamageError", "DatabaseError", "OperationalError"}


def rows_at(contents: dict[str, Any], commit: int) -> list[Any]:
    found = [contents["rows"][name][commit] for name in TABLES]
    return [None if rows is None else [list(row) for row in rows] for rows in found]


class Judge:
    """What may come of reading a damaged copy of the sample."""

    def __init__(self, sample: tuple[bytes, dict[str, Any]], ask: Any, folder: Path, rng: random.Random) -> None:
        self.data, self.contents, self.ask, self.folder, self.rng = *sample, ask, folder, rng
        self.path = folder / "damaged.edb"
        self.moments = self.contents["moments"]
        self.last = len(self.moments) - 1

    def read(self, data: bytes, several: int = 3) -> tuple[dict[str, Any], list[int]]:
        self.path.write_bytes(data)
        asked = sorted(self.rng.sample(range(2, self.last), several))
        answer = self.ask(self.path, moments=[self.moments[i] for i in asked], queries=[*QUERIES, INDEXED])
        (self.folder / "damaged.edb-lock").unlink(missing_ok=True)
        return answer, asked

    def clean(self, error: list[Any]) -> str:
        kind, bases, message = error
        assert kind in ERRORS, error
        assert "DatabaseError" in bases or kind == "DatabaseError"
        return str(message)

    def judge(self, data: bytes, *, pages: set[int] | None = None, fallback: bool = False) -> bool:
        """-> whether the damage was noticed. pages: of these one is named by every error; fallback: an earlier commit
        may be the newest."""
        answer, asked = self.read(data)
        if answer["opened"]:
            message = self.clean(answer["opened"])
            assert "damaged.edb" in message
            return True
        noticed = False
        newest = [self.last]
        if fallback:            # the newest commit is one whose rows are what is read now, of all tables
            now = list(enumerate(answer["rows"][-1]))
            newest = [n for n in range(self.last + 1) if all(isinstance(r, dict) or self.same(q, r, n) for q, r in now)]
            assert newest, "these rows were never there together"
            noticed = self.last not in newest
        for at, results in zip([*asked, None], answer["rows"], strict=True):
            for query, result in enumerate(results):
                if isinstance(result, dict):
                    noticed = True
                    message = self.clean(result["error"])
                    if pages is not None:
                        assert "damaged.edb" in message, message
                        assert any(f"page {page} " in message for page in pages), f"{pages}: {message}"
                    continue
                commits = [n if at is None else min(at, n) for n in newest]
                assert any(self.same(query, result, n) for n in commits), f"wrong rows of query {query} at {commits}"
        check = answer["check"]
        if isinstance(check, dict):
            self.clean(check["error"])
            noticed = True
        elif check:
            noticed = True
            if pages is not None:
                assert pages & {page for _, page, _ in check}, check
        return noticed

    def same(self, query: int, result: list[Any], commit: int) -> bool:
        if query < len(QUERIES):
            return bool(result == rows_at(self.contents, commit)[query])
        rows = self.contents["rows"]["indexed"][commit] or []
        return result == [[id_] for b, id_ in sorted((row[2], row[0]) for row in rows) if b >= "b"]


@pytest.fixture(params=["sample", "redone", "packed"])
def judge(request: pytest.FixtureRequest, ask: Any, tmp_path: Path, rng: random.Random) -> Judge:
    return Judge(request.getfixturevalue(request.param), ask, tmp_path, rng)


def bytes_used(rc: Record | Redo) -> int:
    if isinstance(rc, Redo):
        return 64 + 32 * bool(rc.link) + len(rc.changes)
    links = 72 + 32 * len(rc.newest_links) if rc.links_from else 0
    return 256 + links + 8 * len(rc.tail) + 17 * len(rc.young) + 9 * len(rc.listed)


def flipped(data: bytes, at: int, bit: int) -> bytes:
    out = bytearray(data)
    out[at] ^= 1 << bit
    return bytes(out)


def used_pages(file: File) -> dict[int, list[int]]:
    """Pages in use by kind; those of the free queue too."""
    free, chain, reserved = file.free_pages()
    unused = {*free, reserved}
    found: dict[int, list[int]] = {}
    for page in range(file.first_page, file.base.pages):
        if page not in unused:
            found.setdefault(file.raw(page)[4], []).append(page)
    assert set(chain) == set(found.get(FREE, []))
    return found


@pytest.mark.slow
def test_the_sample_itself_is_right(judge: Judge) -> None:
    assert judge.judge(judge.data, pages=set()) is False


@pytest.mark.slow
@pytest.mark.parametrize("kind", [LEAF, INTERIOR, ARRAY, OVERFLOW, FREE])
def test_a_flipped_bit_of_a_page_is_named(judge: Judge, rng: random.Random, kind: int) -> None:
    file = File(judge.data)
    pages = used_pages(file)[kind]
    for page in rng.choices(pages, k=30 if kind in (LEAF, INTERIOR) else 12):
        for at in (rng.randrange(64), rng.randrange(file.page_size)):
            data = flipped(judge.data, page * file.page_size + at, rng.randrange(8))
            assert judge.judge(data, pages={page}), f"nobody noticed byte {at} of page {page}"


@pytest.mark.slow
def test_a_flipped_bit_of_a_strip_is_named(packed: Any, ask: Any, tmp_path: Path, rng: random.Random) -> None:
    """By who reads a page of history in it, and by check: wherever it is, also where no pack begins."""
    judge = Judge(packed, ask, tmp_path, rng)
    file = File(judge.data)
    for page in used_pages(file)[STRIP]:
        for at in (rng.randrange(72), rng.randrange(file.page_size)):
            data = flipped(judge.data, page * file.page_size + at, rng.randrange(8))
            assert judge.judge(data, pages={page}), f"nobody noticed byte {at} of page {page}"


@pytest.mark.slow
def test_a_page_that_is_another_page_is_named(judge: Judge, rng: random.Random) -> None:
    """Stale, misdirected and lost writes: whole pages, with whole checksums, in the wrong place."""
    file = File(judge.data)
    used = [page for kind, pages in used_pages(file).items() if kind != FREE for page in pages]
    free, _, _ = file.free_pages()
    for _ in range(30):
        page, other = rng.choice(used), rng.choice([*used, *free])
        if page == other:
            continue
        data = bytearray(judge.data)
        at, size = page * file.page_size, file.page_size
        data[at : at + size] = data[other * size : (other + 1) * size]
        if rng.random() < 0.3:
            data[at : at + size] = bytes(size)
        assert judge.judge(bytes(data), pages={page})


@pytest.mark.slow
def test_bytes_outside_what_is_used_do_not_matter(judge: Judge, rng: random.Random) -> None:
    file = File(judge.data)
    free, _, reserved = file.free_pages()
    spare = [page * file.page_size + rng.randrange(file.page_size) for page in [*free, reserved]]
    spare += [rc.offset + rng.randrange(bytes_used(rc), RECORD) for rc in [file.base, *file.behind]]
    spare += range(file.base.pages * file.page_size, len(judge.data), 5000)
    spare += [MARK + 24 + rng.randrange(1000), SETTLED + 24 + rng.randrange(1000)]
    data = bytearray(judge.data)
    for at in spare:
        data[at] ^= 1 << rng.randrange(8)
    assert not judge.judge(bytes(data))


@pytest.mark.slow
def test_flipped_bits_of_the_header_are_noticed(judge: Judge, rng: random.Random) -> None:
    for at in [*range(72), *rng.sample(range(72, 4096), 20)]:
        # Known features, the lowest bits of byte 24, may be missing after a power loss: test_older_files.py
        bit = rng.choice([bit for bit in range(8) if at != 24 or not FEATURES >> bit & 1])
        data = flipped(judge.data, at, bit)
        assert judge.judge(data), (at, bit)
        answer, _ = judge.read(data)
        assert answer["opened"]
        if at < 16:
            assert "is not an EntityDB database" in answer["opened"][2]


@pytest.mark.slow
def test_flipped_bits_of_marks_and_ring_give_a_commit_or_an_error(judge: Judge, rng: random.Random) -> None:
    file = File(judge.data)
    newest = file.newest
    used = bytes_used(newest)
    places = [MARK + i for i in range(24)] + [SETTLED + i for i in range(24)]
    fixed = 64 if isinstance(newest, Redo) else 176
    places += [newest.offset + at for at in [*range(0, fixed, 5), *rng.sample(range(fixed, used), 20)]]
    needed = [rc.offset + at for rc in [file.base, *file.behind] for at in rng.sample(range(bytes_used(rc)), 2)]
    places += needed
    places += [RING + rng.randrange(SLOTS * RECORD) for _ in range(40)]
    for at in places:
        noticed = judge.judge(flipped(judge.data, at, rng.randrange(8)), fallback=at < MARK + 24)
        assert noticed or not (newest.offset <= at < newest.offset + used or at in needed)


@pytest.mark.slow
def test_the_newest_record_and_the_mark_damaged_together(judge: Judge, rng: random.Random) -> None:
    """Without the mark nothing says that the newest record was there: an earlier commit answers, whole."""
    file = File(judge.data)
    data = bytearray(flipped(judge.data, MARK + 9, 0))
    for back in range(3):
        rc = file.records[file.newest.number - back]
        data[rc.offset + rng.randrange(bytes_used(rc))] ^= 4
        assert judge.judge(bytes(data), fallback=True) or file.strips       # packing changed no row


@pytest.mark.slow
def test_whole_stretches_overwritten(judge: Judge, rng: random.Random) -> None:
    for _ in range(30):
        data = bytearray(judge.data)
        at = rng.choice([rng.randrange(len(data)), rng.randrange(RING, len(data) // 2), 0, 4096, RING])
        size = rng.choice([1, 16, 512, 4096, 100_000])
        piece = rng.choice([bytes(size), b"\xff" * size, rng.randbytes(size)])[: len(data) - at]
        data[at : at + len(piece)] = piece
        judge.judge(bytes(data), fallback=at < RING + SLOTS * RECORD)


@pytest.mark.slow
def test_truncated_files_are_refused_or_name_the_page(judge: Judge, rng: random.Random) -> None:
    file = File(judge.data)
    end = file.base.pages * file.page_size
    sizes = [0, 1, 15, 16, 100, 4095, 4096, 4120, 8191, RING, RING + 1, RING + RECORD, RING + SLOTS * RECORD - 1,
             RING + SLOTS * RECORD, file.first_page * file.page_size + 1, end - 1, end - file.page_size]
    for size in [*sizes, *[rng.randrange(end) for _ in range(15)]]:
        answer, _ = judge.read(judge.data[:size])
        assert answer["opened"], f"{size} bytes were opened"
        message = judge.clean(answer["opened"])
        assert "damaged.edb" in message
    assert not judge.judge(judge.data[:end]), "what is behind the last page is spare"


@pytest.mark.slow
def test_files_that_are_not_databases(judge: Judge, rng: random.Random) -> None:
    for data in (b"x", b"SQLite format 3\0" + bytes(4096), bytes(20_000), bytes(3_000_000), rng.randbytes(2_000_000),
                 b"EntityDB", b"EntityDB\r\n\x1a\n", b"EntityDB\n" + bytes(3_000_000)):
        answer, _ = judge.read(data)
        assert answer["opened"][0] == "DatabaseError", answer["opened"]
        assert "is not an EntityDB database" in answer["opened"][2]
        assert judge.path.read_bytes() == data, "what is not ours is left alone"


@pytest.mark.parametrize("field", ["version", "feature", "another feature", "ring"])
def test_files_of_another_version_are_refused_politely(judge: Judge, field: str) -> None:
    data = bytearray(judge.data)
    at, size, value = {"version": (16, 4, 2), "feature": (24, 8, 1 << 40), "another feature": (24, 8, 2 * FEATURES + 1),
                       "ring": (64, 4, 128)}[field]
    put(data, at, value, size)
    put(data, 4092, crc32c(data[:4092]), 4)
    answer, _ = judge.read(bytes(data))
    assert answer["opened"][0] == "DatabaseError"
    assert "another version of EntityDB" in answer["opened"][2]


def test_an_optional_feature_is_no_hindrance(judge: Judge) -> None:
    data = bytearray(judge.data)
    put(data, 32, 1 << 7, 8)
    put(data, 4092, crc32c(data[:4092]), 4)
    assert not judge.judge(bytes(data), pages=set())


def test_an_impossible_page_size_is_damage(judge: Judge) -> None:
    for size in (0, 1, 256, 1000, 65536, 2**31):
        data = bytearray(judge.data)
        put(data, 20, size, 4)
        put(data, 4092, crc32c(data[:4092]), 4)
        answer, _ = judge.read(bytes(data))
        assert answer["opened"][0] == "DamageError"


def test_a_damaged_lock_file_is_no_danger(judge: Judge, rng: random.Random, tmp_path: Path) -> None:
    """Nobody has the database open, so what the lock file says is not believed."""
    path = tmp_path / "locked.edb"
    path.write_bytes(judge.data)
    for content in (b"", b"x", rng.randbytes(100_000), bytes(102_016), b"\xff" * 102_016):
        (tmp_path / "locked.edb-lock").write_bytes(content)
        answer = judge.ask(path, moments=[], queries=QUERIES)
        assert answer["opened"] is None
        assert answer["check"] == []
        assert answer["rows"] == [rows_at(judge.contents, judge.last)]


def with_damaged_root(data: bytes, table: str) -> tuple[bytes, int]:
    file = File(data)
    page = file.tree(file.catalog()[table].id).root.page
    return flipped(data, page * file.page_size + 100, 0), page


def test_damage_does_not_spread(judge: Judge) -> None:
    """What does not need the damaged page is read as ever. (Redo records need the trees that they change.)"""
    table = "wide" if File(judge.data).behind else "big"
    answer, asked = judge.read(with_damaged_root(judge.data, table)[0])
    for at, results in zip([*asked, None], answer["rows"], strict=True):
        commit = judge.last if at is None else at
        for query in (0, 1, 3) if table == "big" else (0, 1, 2, 3):
            assert results[query] == rows_at(judge.contents, commit)[query]
    assert table == "wide" or isinstance(answer["rows"][-1][2], dict)


def test_a_damaged_page_that_redo_records_need_is_named_to_all(
    redone: Any, ask: Any, tmp_path: Path, rng: random.Random
) -> None:
    """Nobody can say what the newest commit left of any tree."""
    judge = Judge(redone, ask, tmp_path, rng)
    data, page = with_damaged_root(judge.data, "big")
    answer, _ = judge.read(data)
    for result in [one for at in answer["rows"] for one in at] + [answer["check"]]:
        assert f"page {page} " in judge.clean(result["error"])
