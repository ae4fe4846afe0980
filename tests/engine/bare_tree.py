"""A bare tree of a test build, with Python values."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from entitydb_dialect._native import ffi, lib

from .tree_model import Batch

FOREVER = 2**64 - 1


class TreeError(Exception):
    pass


def done(code: int) -> None:
    if code:
        raise TreeError(code, ffi.string(lib.edb_message()).decode())


class Event(NamedTuple):
    """What a commit did to a key: the version before and from then on, as (from, first 32 bytes of the value)."""

    key: bytes
    commit: int
    was: tuple[int, bytes] | None
    now: tuple[int, bytes] | None


class BareTree:
    def __init__(self, path: Path | None, page_size: int, key_size: int) -> None:
        out = ffi.new("test_tree **")
        done(lib.test_tree_open(str(path).encode() if path else ffi.NULL, page_size, key_size, out))
        self.tree = out[0]
        self.room = ffi.new("uint8_t[]", 1 << 24)

    def close(self) -> None:
        lib.test_tree_close(self.tree)

    def apply(self, batch: Batch, calls: int = 1) -> int:
        """Commit the batch; -> its commit number. `calls`: applied in so many portions."""
        parts = []
        for key in sorted(batch):
            value = batch[key]
            parts.append(struct.pack("<BII", value is None, len(key), len(value or b"")) + key + (value or b""))
        number = ffi.new("uint64_t *")
        done(lib.test_tree_apply(self.tree, b"".join(parts), len(parts), calls, number))
        return int(number[0])

    def get(self, moment: int, key: bytes) -> bytes | None:
        size = ffi.new("int64_t *")
        done(lib.test_tree_get(self.tree, moment, key, len(key), self.room, len(self.room), size))
        return None if size[0] < 0 else bytes(ffi.buffer(self.room, size[0]))

    def visit(
        self, moment: int, visits: list[tuple[bytes, str]]
    ) -> tuple[list[list[tuple[int, int, bytes] | None]], int]:
        """Of each key and step ("n" next, "p" prev, "-" none, "o" none, and the key is not before where the cursor
        stands): the version of the key, the first entry from it on, and the entry that is stepped to from there, as
        (from, size of the value, its first 32 bytes); and pages touched."""
        packed = b"".join(step.encode() + struct.pack("<I", len(key)) + key for key, step in visits)
        used, touched = ffi.new("size_t *"), ffi.new("uint64_t *")
        done(lib.test_tree_visit(self.tree, moment, packed, len(visits), self.room, len(self.room), used, touched))
        data, at, found = bytes(ffi.buffer(self.room, used[0])), 0, []
        while at < len(data):
            three: list[tuple[int, int, bytes] | None] = []
            for _ in range(3):
                there, begun, size = struct.unpack_from("<BQI", data, at)
                at += 13 + min(size, 32)
                three.append((begun, size, data[at - min(size, 32) : at]) if there else None)
            found.append(three)
        return found, int(touched[0])

    def which(self, moment: int, keys: list[bytes]) -> tuple[list[bool], int]:
        """Which of at most 64 ascending keys of one size there are; and pages touched."""
        found, touched = ffi.new("bool[]", len(keys) + 1), ffi.new("uint64_t *")
        size = len(keys[0]) if keys else 0
        done(lib.test_tree_which(self.tree, moment, b"".join(keys), size, len(keys), found, touched))
        return list(found)[: len(keys)], int(touched[0])

    def scan(
        self, moment: int, key: bytes | None = None, backward: bool = False, turn: bool = False, most: int = 1 << 30
    ) -> list[tuple[bytes, int, bytes, int]]:
        """(key, size of the value, its first 32 bytes, from) from `key` on, or from the end concerned."""
        used = ffi.new("size_t *")
        done(
            lib.test_tree_scan(
                self.tree, moment, ffi.NULL if key is None else ffi.from_buffer(key or b"\0"), len(key or b""),
                backward, turn, most, self.room, len(self.room), used,
            )
        )
        data, at, rows = bytes(ffi.buffer(self.room, used[0])), 0, []
        while at < len(data):
            key_size, size, begun = struct.unpack_from("<IIQ", data, at)
            at += 16
            found, value = data[at : at + key_size], data[at + key_size : at + key_size + min(size, 32)]
            rows.append((found, size, value, begun))
            at += key_size + len(value)
        return rows

    def changed(self, moment: int, low: bytes, high: bytes | None, keys_alone: bool = False) -> tuple[bool, int]:
        """Whether [low, high) changed since the moment; and pages touched."""
        changed, touched = ffi.new("bool *"), ffi.new("uint64_t *")
        no = ffi.NULL
        done(
            lib.test_tree_changed(
                self.tree, moment, low, len(low), no if high is None else high, len(high or b""), keys_alone,
                changed, touched,
            )
        )
        return bool(changed[0]), int(touched[0])

    def events(self, after: int, upto: int, low: bytes = b"", high: bytes | None = None) -> tuple[list[Event], int]:
        """What the commits after < n <= upto did to keys of [low, high), in the walk's order; and pages touched."""
        used, touched = ffi.new("size_t *"), ffi.new("uint64_t *")
        no = ffi.NULL
        done(
            lib.test_tree_events(
                self.tree, after, upto, low, len(low), no if high is None else high, len(high or b""),
                self.room, len(self.room), used, touched,
            )
        )
        data, at, found = bytes(ffi.buffer(self.room, used[0])), 0, []
        while at < len(data):
            (key_size,) = struct.unpack_from("<I", data, at)
            key = data[at + 4 : at + 4 + key_size]
            (commit,) = struct.unpack_from("<Q", data, at + 4 + key_size)
            at += 12 + key_size
            versions: list[tuple[int, bytes] | None] = []
            for _ in range(2):
                there, begun, size = struct.unpack_from("<BQI", data, at)
                at += 13 + min(size, 32)
                versions.append((begun, data[at - min(size, 32) : at]) if there else None)
            found.append(Event(key, commit, versions[0], versions[1]))
        return found, int(touched[0])

    def keys_since(self, since: int, most_pages: int = 2**63) -> tuple[list[bytes], int, bool]:
        """The keys written after the moment, some several times; pages looked at; whether all keys are there."""
        used, pages, whole = ffi.new("size_t *"), ffi.new("uint64_t *"), ffi.new("bool *")
        done(lib.test_tree_since(self.tree, since, most_pages, self.room, len(self.room), used, pages, whole))
        data, at, found = bytes(ffi.buffer(self.room, used[0])), 0, []
        while at < len(data):
            size = int.from_bytes(data[at : at + 4], "little")
            found.append(data[at + 4 : at + 4 + size])
            at += 4 + size
        return found, int(pages[0]), bool(whole[0])

    def prune(self, horizon: int, most_pages: int = 2**40) -> tuple[int, bool]:
        """Lets go what answers only for moments before the commit. -> pages freed; whether all of it is gone"""
        over, pages = ffi.new("bool *"), ffi.new("uint64_t *")
        done(lib.test_tree_prune(self.tree, horizon, most_pages, over, pages))
        return int(pages[0]), bool(over[0])

    def check(self) -> list[str]:
        text, pages = ffi.new("char[]", 1 << 16), ffi.new("uint64_t *")
        done(lib.test_tree_check(self.tree, text, len(text), pages))
        self.pages = int(pages[0])
        return ffi.string(text).decode().splitlines()

    def pages_touched(self, moment: int) -> int:
        """Pages that a scan of the whole tree at the moment touches."""
        return int(lib.test_tree_pages(self.tree, moment))

    def live(self) -> int:
        return int(lib.test_tree_live(self.tree))
