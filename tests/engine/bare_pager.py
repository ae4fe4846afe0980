"""A store of numbers on the bare pager of a test build, and the files that a power loss leaves of it."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from entitydb_dialect._native import ffi, lib

NONE = 2**64 - 1
PUBLISHED, DURABLE = 0, 1
NORMAL, FULL = 1, 2
READ_ONLY, NO_CREATE, ANY_CLOCK = 1, 2, 4
RING_OFFSET, RECORD_SIZE, RING = 8192, 4096, 512
NAMES = {ffi.string(lib.edb_code_name(code)).decode(): code for code in range(lib.edb_code_count())}


class PagerError(Exception):
    def __init__(self, code: int) -> None:
        self.name = ffi.string(lib.edb_code_name(code)).decode()
        super().__init__(self.name, ffi.string(lib.edb_message()).decode())


def done(code: int) -> None:
    if code:
        raise PagerError(code)


class BarePager:
    """One connection: a reader slot, and at most one commit at a time."""

    redo = False            # its commits write redo records where they can

    def __init__(self, path: Path | None, page_size: int = 0, synchronous: int = -1, flags: int = 0,
                 busy_ms: int = 5000) -> None:
        out = ffi.new("test_pager **")
        name = str(path).encode() if path else ffi.NULL
        done(lib.test_pager_open(name, page_size, synchronous, flags, busy_ms, out))
        self.handle = out[0]
        self.page_size = int(lib.test_pager_page_size(self.handle))
        lib.test_pager_redo(self.handle, self.redo)

    def close(self) -> None:
        if self.handle is not None:
            lib.test_pager_close(self.handle)
            self.handle = None

    def __enter__(self) -> BarePager:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # writing

    def begin(self) -> None:
        done(lib.test_pager_begin(self.handle))

    def set(self, index: int, value: int) -> None:
        done(lib.test_pager_set(self.handle, index, value))

    def prepare(self) -> None:
        done(lib.test_pager_prepare(self.handle))

    def check_time(self, time_ns: int) -> None:
        done(lib.test_pager_check_time(self.handle, time_ns))

    def publish(self, time_ns: int = 0) -> tuple[int, int]:
        number, drawn = ffi.new("uint64_t *"), ffi.new("int64_t *")
        done(lib.test_pager_publish(self.handle, time_ns, number, drawn))
        return number[0], drawn[0]

    def abort(self) -> None:
        lib.test_pager_abort(self.handle)

    def wait(self, number: int, force: bool = False) -> None:
        done(lib.test_pager_wait(self.handle, number, force))

    def commit(self, changes: dict[int, int], time_ns: int = 0, wait: bool = True) -> tuple[int, int]:
        """One commit of these values, acknowledged. -> its number and time."""
        self.begin()
        try:
            for index, value in changes.items():
                self.set(index, value)
            self.prepare()
        except PagerError:
            self.abort()
            raise
        result = self.publish(time_ns)
        if wait:
            self.wait(result[0])
        return result

    # giving the end of the file back

    def avoid(self, cut: int) -> None:
        done(lib.test_pager_avoid(self.handle, cut))

    def move(self, cut: int, most: int) -> bool:
        """One commit that moves at most so many pages from the cut on. -> whether none is left there."""
        whole = ffi.new("_Bool *")
        self.begin()
        try:
            done(lib.test_pager_move(self.handle, cut, most, whole))
            self.prepare()
        except PagerError:
            self.abort()
            raise
        self.wait(self.publish()[0], force=True)
        return whole[0]

    def trim(self, cut: int) -> bool:
        """The commit that ends the file there, if it can."""
        end = ffi.new("_Bool *")
        self.begin()
        try:
            done(lib.test_pager_trim(self.handle, cut, end))
            if end[0]:
                self.prepare()
        except PagerError:
            self.abort()
            raise
        if not end[0]:
            self.abort()
            return False
        self.wait(self.publish()[0], force=True)
        return True

    def truncate(self) -> int:
        """All of it, bit by bit. -> by how many bytes the file is shorter."""
        size, shorter = ffi.new("uint64_t *"), 0
        while True:
            done(lib.test_pager_truncate(self.handle, size))
            if not size[0]:
                return shorter
            shorter += size[0]

    def compact(self, slack: int = 8, most: int = 8, rounds: int = 200) -> bool:
        """Commits that move everything to the front of the file, and end it there. -> whether they could."""
        self.move(2**39, 0)             # what redo commits have left in memory goes to the file
        stats = self.stats()
        queue = stats["free"] * 11 // (self.page_size - 48)     # its pages are written anew while others hold them
        cut = stats["pages"] - stats["free"] + queue + slack
        if stats["pages"] <= cut:
            self.truncate()
            return True
        self.avoid(cut)
        try:
            for _ in range(rounds):
                if self.move(cut, most) and self.trim(cut):
                    self.truncate()
                    return True
            return False
        finally:
            self.avoid(0)

    # reading

    def pin(self, which: int = PUBLISHED) -> tuple[int, int]:
        number, time_ns = ffi.new("uint64_t *"), ffi.new("int64_t *")
        done(lib.test_pager_pin(self.handle, which, number, time_ns))
        return number[0], time_ns[0]

    def unpin(self, oldest: int = NONE) -> None:
        lib.test_pager_unpin(self.handle, oldest)

    def idle(self) -> None:
        """Lets others have the slot."""
        lib.test_pager_idle(self.handle)

    def pinned_values(self) -> list[int]:
        room = lib.test_pager_size(self.handle)
        values = ffi.new("uint64_t[]", room + 1)
        done(lib.test_pager_values(self.handle, values, room))
        return list(values)[:room]

    def values(self) -> list[int]:
        self.pin()
        try:
            return self.pinned_values()
        finally:
            self.unpin()

    def time_of(self, number: int) -> int:
        time_ns = ffi.new("int64_t *")
        done(lib.test_pager_time(self.handle, number, time_ns))
        return time_ns[0]

    def settle(self, moment_ns: int) -> int:
        """-> the commit that must be durable before the answer is final, 0: none"""
        until = ffi.new("uint64_t *")
        done(lib.test_pager_settle(self.handle, moment_ns, until))
        return until[0]

    def check(self) -> None:
        """Every page of the newest commit is accounted for exactly once."""
        text, breaches = ffi.new("char[]", 65536), ffi.new("uint64_t *")
        self.pin()
        try:
            done(lib.test_pager_check(self.handle, text, 65536, breaches))
        finally:
            self.unpin()
        assert breaches[0] == 0, ffi.string(text).decode()

    def stats(self) -> dict[str, int]:
        out = ffi.new("uint64_t[10]")
        lib.test_pager_stats(self.handle, out)
        names = "published durable pages free bytes syncs read written oldest first"
        return dict(zip(names.split(), out, strict=True))

    def next_id(self, tree: int, at_least: int) -> int:
        return lib.test_pager_id(self.handle, tree, at_least)


def apply(values: list[int], changes: dict[int, int]) -> list[int]:
    """The model: the values after a commit."""
    values = list(values)
    for index, value in changes.items():
        if index == len(values):
            values.append(value)
        else:
            values[index] = value
    return values


def random_changes(rng: random.Random, size: int, most: int = 60) -> dict[int, int]:
    """A commit's changes: mostly few and hot ones, sometimes many; new indexes only at the end."""
    changes: dict[int, int] = {}
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8, 25))):
        top = size + sum(index >= size for index in changes)
        index = rng.randrange(min(top + 1, most)) if rng.random() < 0.6 else rng.randrange(min(top + 1, 4))
        changes[index] = 0 if rng.random() < 0.2 else rng.randrange(1, 2**60)
    return changes


_failpoint_actions: list[Any] = []


# It is never freed: a thread in the background may be on its way into it when it is taken away.
@ffi.callback("int(*)(const char *)", error=NAMES["MISUSE"])
def _at_failpoint(name: Any) -> int:
    outcome = _failpoint_actions[-1](ffi.string(name).decode()) if _failpoint_actions else None
    return NAMES[outcome] if outcome else 0


@contextmanager
def failpoint(action) -> Iterator[None]:
    """Calls action(name) at every failpoint of this process; its result (an error's name, or None) is the outcome."""
    _failpoint_actions.append(action)
    lib.test_failpoint(_at_failpoint)
    try:
        yield
    finally:
        lib.test_failpoint(ffi.NULL)
        _failpoint_actions.remove(action)


# ---- power loss -------------------------------------------------------------------------------------------------

WRITE, SYNC, EXTEND, NOTE, SYNC_START, TRUNCATE = 1, 2, 3, 4, 5, 6
SECTOR = 512


@dataclass
class Entry:
    kind: int
    pid: int
    offset: int
    size: int
    data: bytes


@contextmanager
def logging(path: Path) -> Iterator[None]:
    done(lib.test_log_start(str(path).encode()))
    try:
        yield
    finally:
        lib.test_log_start(ffi.NULL)


def note(text: str) -> None:
    lib.test_log_note(text.encode())


def read_log(path: Path) -> list[Entry]:
    raw, at, entries = path.read_bytes(), 0, []
    while at < len(raw):
        kind, pid, _inode, offset, size = struct.unpack_from("<IIQQQ", raw, at)
        at += 32
        data = b""
        if kind in (WRITE, NOTE):
            data = raw[at:at + size]
            at += size
        entries.append(Entry(kind, pid, offset, size, data))
    return entries


@dataclass
class Disk:
    """What is certainly on the disk at a position of the log, and what may be."""

    image: bytearray = field(default_factory=bytearray)
    waiting: list[Entry] = field(default_factory=list)

    def apply(self, entry: Entry, sectors: list[int] | None = None) -> None:
        if entry.kind == EXTEND:
            self.image.extend(bytes(max(0, entry.size - len(self.image))))
            return
        if entry.kind == TRUNCATE:
            del self.image[entry.size:]
            return
        end = entry.offset + len(entry.data)
        if len(self.image) < end:
            self.image.extend(bytes(end - len(self.image)))
        if sectors is None:
            self.image[entry.offset:end] = entry.data
            return
        for sector in sectors:
            start = sector * SECTOR
            piece = entry.data[start:start + SECTOR]
            self.image[entry.offset + start:entry.offset + start + len(piece)] = piece

    def lose_power(self, rng: random.Random) -> bytes:
        """What is left: of the unsynced writes each is kept, lost or torn at sectors; those of one place reordered.

        What a file system journals, its size, changes in order: what was written behind a cut is not cut off by it."""
        left = Disk(bytearray(self.image))
        waiting = list(self.waiting)
        keep = rng.choice((0.0, 0.5, 0.9, 0.98, 1.0))
        torn = rng.choice((0.0, 0.0, 0.02, 0.3))
        if rng.random() < 0.5:
            cuts = [-1, *(i for i, entry in enumerate(waiting) if entry.kind == TRUNCATE), len(waiting)]
            for before, after in pairwise(cuts):
                part = waiting[before + 1:after]
                rng.shuffle(part)
                waiting[before + 1:after] = part
        for entry in waiting:
            if entry.kind in (EXTEND, TRUNCATE) or rng.random() < keep:
                sectors = None
                if entry.kind == WRITE and rng.random() < torn:
                    sectors = [s for s in range(-(-len(entry.data) // SECTOR)) if rng.random() < 0.5]
                left.apply(entry, sectors)
        return bytes(left.image)


def power_losses(log: list[Entry], points: set[int]) -> Iterator[tuple[int, Disk, list[str]]]:
    """For each position: the disk there, and the notes before it. The disk is the same object, changed on the way."""
    disk, notes, started = Disk(), [], {}
    for position, entry in enumerate(log):
        if position in points:
            yield position, disk, notes
        if entry.kind == NOTE:
            notes.append(entry.data.decode())
        elif entry.kind == SYNC_START:
            started[entry.pid, entry.offset] = len(disk.waiting)       # of a thread: a process may sync twice at once
        elif entry.kind == SYNC:
            covered = started.pop((entry.pid, entry.offset))
            for waiting in disk.waiting[:covered]:
                disk.apply(waiting)
            del disk.waiting[:covered]
            started = {who: max(0, count - covered) for who, count in started.items()}
        else:
            disk.waiting.append(entry)
