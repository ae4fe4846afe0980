"""Redo records: what stands in one, and what their changes leave of a tree. From docs/format.md, as reader.py."""

from __future__ import annotations

from dataclasses import dataclass, field

from .primitives import FOREVER, RECORD, RECORD_MAGIC, Damaged, Ref, crc32c, i64, u32, u64, varint

HEAD = 64                           # bytes before the changes, or before the link
ROOM = RECORD - HEAD - 32
LINKED = 4                          # of the flags
COMMITS = 255                       # a redo record is at most so many commits behind its base


@dataclass(frozen=True)
class Redo:
    offset: int
    checksum: int
    flags: int
    number: int
    time_ns: int
    durable: int
    base: int
    before: int
    changes: bytes
    link: bytes | None = None       # None: it is not linked

    @property
    def listed(self) -> list[Ref]:
        """It writes no pages."""
        return []


def redo_record(slot: bytes, offset: int) -> Redo | None:
    """The redo record in a slot; None when it is not whole, or says the impossible."""
    size = u32(slot, 8)
    if u32(slot, 4) != RECORD_MAGIC or not HEAD <= size <= RECORD or u32(slot, 0) != crc32c(slot[4:size]):
        return None
    flags, number, durable, base = u32(slot, 12), u64(slot, 16), u64(slot, 32), u64(slot, 40)
    link = slot[HEAD : HEAD + 32] if flags & LINKED else None
    head = HEAD + 32 if link is not None else HEAD
    if flags & ~LINKED != 2 or size < head:
        return None
    if number >= FOREVER or durable >= number or not 1 <= number - base <= COMMITS:
        return None
    return Redo(offset, u32(slot, 0), flags, number, i64(slot, 24), durable, base, u32(slot, 48), slot[head:size], link)


@dataclass(frozen=True)
class Change:
    key: bytes
    value: bytes | None             # None: a tombstone
    always: bool = False


@dataclass(frozen=True)
class Group:
    """Changes of a tree, or its next row id."""

    tree: int
    changes: tuple[Change, ...] = ()
    next_id: int | None = None


def _piece(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    if at + size > len(data):
        raise Damaged("a key or a value of a redo record ends behind it")
    return data[at : at + size], at + size


def groups(data: bytes) -> list[Group]:
    """The changes of a redo record, in order."""
    found, at = [], 0
    while at < len(data):
        head, at = varint(data, at)
        number, at = varint(data, at)
        if head & 1:
            found.append(Group(head >> 1, next_id=number))
            continue
        changes = []
        for _ in range(number):
            kind, at = varint(data, at)
            key, at = _piece(data, at, kind >> 2)
            value = None
            if not kind & 2:
                size, at = varint(data, at)
                value, at = _piece(data, at, size)
            changes.append(Change(key, value, bool(kind & 1)))
        found.append(Group(head >> 1, tuple(changes)))
    return found


@dataclass
class Left:
    """What the redo commits left of a tree, beside what its base has in pages."""

    key_size: int
    key_most: int                                   # bytes
    living: dict[bytes, bytes]                      # all of it
    live: int
    next_id: int
    changed: int
    versions: dict[bytes, list[tuple[int, bytes | None]]] = field(default_factory=dict)     # oldest first
    last: tuple[int, bytes] = (-1, b"")             # commit and key of the last change

    def apply(self, number: int, group: Group) -> None:
        if group.next_id is not None:
            if group.next_id < self.next_id:
                raise Damaged(f"commit {number} gives row ids anew")
            self.next_id = group.next_id
        made = sum(len(versions) for versions in self.versions.values())
        for change in group.changes:
            if len(change.key) > self.key_most or (self.key_size and len(change.key) != self.key_size):
                raise Damaged(f"commit {number} writes a key of an impossible size")
            if self.last[0] == number and self.last[1] >= change.key:
                raise Damaged(f"the keys that commit {number} writes do not ascend")
            self.last = number, change.key
            self._change(number, change)
        if group.next_id is None and made == sum(len(versions) for versions in self.versions.values()):
            raise Damaged(f"a group of commit {number} changes nothing")

    def _change(self, number: int, change: Change) -> None:
        before = self.living.get(change.key)
        if change.value is None and before is None:
            return                                  # nothing to end
        if change.value is not None and change.value == before and not change.always:
            return                                  # it stays as it is
        self.versions.setdefault(change.key, []).append((number, change.value))
        self.changed = number
        if change.value is None:
            del self.living[change.key]
        else:
            self.living[change.key] = change.value
        self.live += (change.value is not None) - (before is not None)

    def at(self, key: bytes, moment: int) -> tuple[int, bytes | None] | None:
        """The newest version of a key up to a moment, if a redo commit wrote it."""
        return max((v for v in self.versions.get(key, ()) if v[0] <= moment), key=lambda v: v[0], default=None)
