"""Bytes per version of history in packs, and the time to pack and to unpack: `engine/cold` by itself.

A test build is needed: no other lets packs be made by hand. The reader of the tests finds the pages that are history.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entitydb_dialect._native import ffi, lib

from .measure import Row, Setting, benchmark, chunks, open_ours, remove, show
from .storage import COLUMNS, GROUP, INDEXES, UPDATES

PAGES = 8           # in a pack
LEVEL = 3           # of zstd
TIMED = 40          # packs that are timed, of each history
WORKLOADS = {
    "all columns change": ("account = ?, status = ?, balance = ?, note = ?", True),
    "two columns change": ("status = ?, balance = ?", False),
}


@benchmark
def packing(setting: Setting) -> Iterator[Row]:
    """History in packs of 8 pages, sorted by tree, key range and time."""
    if not lib.edb_is_test_build():
        show("packing: left out, it needs a test build (ENTITYDB_BUILD=test)")
        return
    rows = setting.size(20_000, 2_000)
    for name in WORKLOADS:
        show(f"packing: {rows:,} rows, {UPDATES} updates of each, {name}")
        path = setting.folder / "packing.edb"
        try:
            made(setting, path, rows, name)
            yield from packed(path, rows * (1 + UPDATES), name)
        finally:
            remove(path)


def made(setting: Setting, path: Path, rows: int, name: str) -> None:
    """The database: each row is updated so many times, a random tenth of them a commit."""
    rng = setting.random("packing")
    assignments, everything = WORKLOADS[name]

    def note() -> str:
        return " ".join(f"{rng.randrange(10**9):09}" for _ in range(10))

    def change() -> tuple[Any, ...]:
        two = rng.choice(("open", "closed", "held")), rng.random()
        return (rng.randrange(rows), *two, note()) if everything else two

    db = open_ours(path, synchronous="normal", packing=False)
    for sql in (f"CREATE TABLE item({COLUMNS.format(key=' PRIMARY KEY')})", *INDEXES):
        db.execute(sql)
    db.execute("BEGIN")
    db.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)", [
        (i, rng.randrange(rows), f"customer {rng.randrange(10**12):012}", "open", rng.random(), note())
        for i in range(1, rows + 1)])
    db.execute("COMMIT")
    for _ in range(UPDATES):
        order = list(range(1, rows + 1))
        rng.shuffle(order)
        for part in chunks(order, rows // 10):
            db.execute("BEGIN")
            db.executemany(f"UPDATE item SET {assignments} WHERE id = ?", [(*change(), i) for i in sorted(part)])
            db.execute("COMMIT")
    db.close()


def history(path: Path) -> list[bytes]:
    """The nodes that are history, by tree, level, key range and time."""
    from tests.format.reader import COLD_PAGE, File, Ref

    file = File(path.read_bytes())
    found = []
    for number, cold in file.cold.items():
        if cold.kind == COLD_PAGE:
            node = file.node(Ref(number, 0))
            place = node.owner, node.level, min((entry.key for entry in node.entries), default=b""), node.newest
            found.append((place, file.raw(cold.ref.page)))
    return [page for _, page in sorted(found)]


def packed(path: Path, versions: int, name: str) -> Iterator[Row]:
    pages = history(path)
    page_size = len(pages[0])
    out, size = ffi.new("uint8_t[]", lib.test_pack_bound(PAGES, page_size)), ffi.new("size_t *")
    total, timed, seconds = 0, 0, [0.0, 0.0, 0.0]
    groups = list(chunks(pages, PAGES))
    for i, group in enumerate(groups):
        raw = b"".join(group)
        if lib.test_pack(raw, len(group), page_size, LEVEL, out, size):
            raise RuntimeError(ffi.string(lib.edb_message()).decode())
        total += size[0]
        if len(group) == PAGES and i % max(len(groups) // TIMED, 1) == 0:
            each = [ffi.new("double *") for _ in seconds]
            if lib.test_pack_speed(raw, PAGES, page_size, LEVEL, 20, *each):
                raise RuntimeError(ffi.string(lib.edb_message()).decode())
            seconds = [sofar + one[0] / 20 for sofar, one in zip(seconds, each, strict=True)]
            timed += 1
    yield Row(GROUP, f"packed history, {name}: bytes a version", total / versions, len(pages) * page_size / versions,
              "bytes", "the same pages as they are")
    pack, unpack, opened = (one / max(timed, 1) for one in seconds)
    yield Row(GROUP, f"packed history, {name}: a page out of a pack", unpack, pack, "s", "packing all 8 pages",
              note=f"{opened * 1e6:.0f} us of it for the page, the rest for the pack")
