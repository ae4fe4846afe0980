"""Pages to pack: those of real trees, and nodes made of any entries; packing and unpacking them."""

from __future__ import annotations

import random
import struct
from pathlib import Path

from entitydb_dialect._native import ffi, lib

from format.packs import encode_row
from format.reader import File, page_checksum, u32, u64

from ..bare_tree import BareTree
from ..tree_model import Batch, history

CORRUPT = 4


class PackError(Exception):
    pass


def done(code: int) -> None:
    if code:
        raise PackError(code, ffi.string(lib.edb_message()).decode())


def pack(pages: list[bytes], level: int = 3) -> bytes:
    size, page_size = ffi.new("size_t *"), len(pages[0])
    out = ffi.new("uint8_t[]", lib.test_pack_bound(len(pages), page_size))
    done(lib.test_pack(b"".join(pages), len(pages), page_size, level, out, size))
    return bytes(ffi.buffer(out, size[0]))


def unpack(packed: bytes, page_size: int, number: int = 1, page: int = -1) -> list[bytes]:
    """All pages, or one."""
    out, n = ffi.new("uint8_t[]", 16 * page_size), ffi.new("unsigned *")
    done(lib.test_unpack(packed, len(packed), page_size, page, number, out, n))
    found = bytes(ffi.buffer(out, page_size * (n[0] if page < 0 else 1)))
    return [found[i : i + page_size] for i in range(0, len(found), page_size)]


def same_entries(a: bytes, b: bytes) -> bool:
    """Whether two nodes say the same, but for their numbers and checksums."""
    x, y = ffi.new("uint64_t[]", len(a) // 8), ffi.new("uint64_t[]", len(b) // 8)
    ffi.buffer(x)[:], ffi.buffer(y)[:] = a, b
    return int(lib.test_same_node(ffi.cast("uint8_t *", x), ffi.cast("uint8_t *", y))) >= 0


def node(
    page_size: int, leaf: bool, fixed: int, entries: list[tuple[bytes, int, bytes | tuple[int, int] | None, bool]],
    level: int = 1, owner: int = 3, writer: int = 9,
) -> bytes | None:
    """A node of sorted (key, from, value or child or None, overflow); None: they do not fit."""
    batch = b""
    for key, begun, value, overflow in entries:
        page, tag = value if isinstance(value, tuple) else (0, 0)
        stored = value if isinstance(value, bytes) else b""
        flags = (value is None) | overflow << 1
        batch += struct.pack("<BQQIII", flags, begun, page, tag, len(key), len(stored)) + key + stored
    out = ffi.new("uint8_t[]", page_size)
    code = lib.test_node_make(out, page_size, leaf, 0 if leaf else level, owner, fixed, writer, batch, len(entries))
    if code == 21:
        return None
    done(code)
    return bytes(ffi.buffer(out))


def row(rng: random.Random, like: list[tuple[int, bytes]] | None = None) -> list[tuple[int, bytes]]:
    """Columns of a row; some of those of `like`."""
    def column() -> tuple[int, bytes]:
        kind = rng.randrange(7)
        size = {0: 0, 1: 0, 2: 0, 3: rng.choice([1, 2, 4, 8]), 4: 8}.get(kind, rng.choice([0, 1, 5, 12]))
        return kind, rng.randbytes(size)

    if like is None:
        return [column() for _ in range(rng.choice([1, 2, 6, 9, 9, 40]))]
    return [column() if rng.random() < 0.3 else kept for kept in like]


def dressed(rng: random.Random, batches: list[Batch]) -> list[Batch]:
    """The same histories with rows as many of the values, those of a key alike."""
    before: dict[bytes, list[tuple[int, bytes]]] = {}
    found = []
    for batch in batches:
        fresh: Batch = {}
        for key, value in batch.items():
            fresh[key] = value
            if value is not None and rng.random() < 0.8:
                before[key] = row(rng, before.get(key) if rng.random() < 0.9 else None)
                fresh[key] = encode_row(before[key])
        found.append(fresh)
    return found


def tree_pages(path: Path, seed: int, page_size: int, key_size: int, commits: int, rows: bool = True) -> list[bytes]:
    """All leaves, interior nodes and overflow pages that a tree with such a history leaves in its file."""
    rng = random.Random(seed)
    batches = list(history(seed, key_size, commits, largest=rng.choice([60, 2 * page_size])))
    tree = BareTree(path, page_size, key_size)
    for batch in dressed(rng, batches) if rows else batches:
        tree.apply(batch)
    tree.close()
    data = path.read_bytes()
    path.unlink()
    first = File(data).first_page
    pages = [data[at : at + page_size] for at in range(first * page_size, len(data) - page_size + 1, page_size)]
    return [page for i, page in enumerate(pages)
            if page[4] in (1, 2, 5) and u64(page, 8) == first + i and page_checksum(page) == u32(page, 0)]


def groups(rng: random.Random, pages: list[bytes]) -> list[list[bytes]]:
    """Pages as they may meet in packs: one kind and key range in order of time; as they lie; at random."""
    def place(page: bytes) -> tuple[int, bytes, int]:
        heap = int.from_bytes(page[48:50], "little") if page[4] != 5 else 48
        return page[4], page[-9:] if heap > len(page) - 12 else page[-12:-4], u64(page, 32)

    ordered = rng.choice([sorted(pages, key=place), pages, rng.sample(pages, len(pages))])
    found, at = [], 0
    while at < len(ordered):
        n = rng.randint(1, 16)
        found.append(ordered[at : at + n])
        at += n
    return found
