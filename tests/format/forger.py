"""Changes bytes of a database file and makes it whole again, so that only what was meant to be wrong is wrong.

    forged = Forger(path.read_bytes())
    forged.page(17)[40] ^= 1
    path.write_bytes(forged.sealed())

A changed page has another checksum, hence another tag, which must be patched into whatever points to it, and so on up
to the record. sealed() walks down from the newest page record, through whatever pointers now stand there, and seals
pages from below; pages of the free queue, which nothing tags, are sealed too. Each redo record behind it says the
checksum of the record before, so they are written anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .primitives import varint_bytes
from .reader import (
    ARRAY,
    ARRAY_INTERIOR,
    COLD_FIRST,
    COLD_PACKED,
    FREE,
    INTERIOR,
    LEAF,
    OVERFLOW,
    RECORD,
    RECORD_MAGIC,
    STRIP,
    Entry,
    File,
    FreeEntry,
    Record,
    Ref,
    Strip,
    crc32c,
    page_checksum,
    u16,
    u32,
    u40,
    u64,
    varint,
)
from .redo import Change, Group, Redo


def put(to: bytearray | memoryview, at: int, value: int, size: int) -> None:
    to[at : at + size] = value.to_bytes(size, "little")


def encode_record(rc: Record) -> bytes:
    out = bytearray(RECORD)
    put(out, 4, RECORD_MAGIC, 4)
    times = 328 + 32 * len(rc.newest_links) if rc.links_from else 256
    for at, size, value in (
        (8, 4, times + 8 * len(rc.tail) + 17 * len(rc.young) + 9 * len(rc.listed)), (12, 4, rc.flags),
        (16, 8, rc.number),
        (32, 8, rc.durable), (40, 8, rc.schema), (48, 8, rc.horizon), (56, 8, rc.pages),
        (64, 8, rc.trees.root.page), (72, 4, rc.trees.root.tag), (76, 4, rc.trees.levels), (80, 8, rc.trees.count),
        (88, 8, rc.stamps.root.page), (96, 4, rc.stamps.root.tag), (100, 4, rc.stamps.levels),
        (104, 8, rc.stamps.count),
        (112, 8, rc.free_head), (120, 8, rc.free_seq), (128, 8, rc.free_chain), (136, 8, rc.free_entries),
        (144, 8, rc.free_next), (152, 4, rc.free_index), (156, 4, len(rc.young)), (160, 4, len(rc.tail)),
        (164, 4, len(rc.listed)), (168, 4, rc.before), (172, 8, rc.cold.root.page), (180, 4, rc.cold.root.tag),
        (184, 4, rc.cold.levels), (188, 8, rc.cold.count), (196, 8, rc.cold_first), (204, 8, rc.cold_since),
    ):
        put(out, at, value, size)
    out[24:32] = rc.time_ns.to_bytes(8, "little", signed=True)
    if rc.links_from:
        for at, size, value in (
            (256, 8, rc.links_from), (264, 8, rc.links.root.page), (272, 4, rc.links.root.tag),
            (276, 4, rc.links.levels),
            (280, 8, rc.links.count), (320, 4, len(rc.newest_links)),
        ):
            put(out, at, value, size)
        out[288:320] = rc.seal
        out[328:times] = b"".join(rc.newest_links)
    at = times
    for time in rc.tail:
        out[at : at + 8] = time.to_bytes(8, "little", signed=True)
        at += 8
    for entry in rc.young:
        put(out, at, entry.page, 5)
        put(out, at + 5, entry.made, 6)
        put(out, at + 11, entry.freed, 6)
        at += 17
    for ref in rc.listed:
        put(out, at, ref.page, 5)
        put(out, at + 5, ref.tag, 4)
        at += 9
    put(out, 0, crc32c(out[4:at]), 4)
    return bytes(out)


def encode_redo(rc: Redo, extra: bytes = bytes(12)) -> bytes:
    """As many bytes as are in use."""
    out = bytearray(64)
    link = rc.link or b""
    for at, size, value in (
        (4, 4, RECORD_MAGIC), (8, 4, 64 + len(link) + len(rc.changes)),
        (12, 4, rc.flags), (16, 8, rc.number), (32, 8, rc.durable),
        (40, 8, rc.base), (48, 4, rc.before),
    ):
        put(out, at, value, size)
    out[24:32] = rc.time_ns.to_bytes(8, "little", signed=True)
    out[52:64] = extra
    out += link + rc.changes
    put(out, 0, crc32c(out[4:]), 4)
    return bytes(out)


def encode_change(change: Change) -> bytes:
    head = len(change.key) << 2 | (change.value is None) << 1 | change.always
    out = varint_bytes(head) + change.key
    return out if change.value is None else out + varint_bytes(len(change.value)) + change.value


def encode_groups(groups: Sequence[Group]) -> bytes:
    """The changes of a redo record."""
    out = b""
    for group in groups:
        if group.next_id is not None:
            out += varint_bytes(group.tree << 1 | 1) + varint_bytes(group.next_id)
        else:
            out += varint_bytes(group.tree << 1) + varint_bytes(len(group.changes))
            out += b"".join(encode_change(change) for change in group.changes)
    return out


class Forger:
    """A file to be forged. `record` is the newest page record, `redo` the redo records behind it: change their fields
    freely before sealed()."""

    def __init__(self, data: bytes) -> None:
        self.file = File(data)              # what it was
        self.data = bytearray(data)
        self.record = self.file.base
        self.redo = list(self.file.behind)
        self.chained = True                 # each redo record gets the checksum of the record before
        self.size = self.file.page_size
        self.flips: list[int] = []          # bytes of the sealed file that get their lowest bit turned over

    def page(self, number: int) -> memoryview:
        return memoryview(self.data)[number * self.size : (number + 1) * self.size]

    def state(self, tree: int) -> memoryview:
        """The 128 bytes of a tree's state."""
        pages = [ref.page for level, ref in self.file.list_pages(self.record.trees) if level == 0]
        room = self.file.room(128)
        return self.page(pages[tree // room])[32 + tree % room * 128 :][:128]

    def add_free(self, page: int, made: int | None = None, freed: int | None = None) -> None:
        """Another free page in the record."""
        made = self.file.writer(page) if made is None else made
        entry = FreeEntry(page, made, self.record.number if freed is None else freed)
        self.record = replace(self.record, young=[*self.record.young, entry])

    def rebuild(self, number: int, entries: list[Entry], *, marked: bool = True) -> None:
        """Lays a node out anew from its entries, in their order. marked False: each goes to the directory that its
        `live` says; else to where it belongs."""
        page = self.page(number)
        leaf, fixed = page[4] == LEAF, u16(page, 50)
        newest = {entry.key: i for i, entry in reversed(list(enumerate(entries)))}
        if marked:
            entries = [replace(e, live=newest[e.key] == i and not e.tombstone) for i, e in enumerate(entries)]
        live, dead = [e for e in entries if e.live], [e for e in entries if not e.live]
        heap, words = self.size, {}
        for entry in [*reversed(dead), *reversed(live)]:
            cell = entry.key if fixed else varint_bytes(len(entry.key)) + entry.key
            if leaf:
                cell += varint_bytes(len(entry.value) << 1 | entry.overflow) + entry.value
            else:
                cell += entry.value.page.to_bytes(5, "little") + entry.value.tag.to_bytes(4, "little")
            heap -= len(cell)
            page[heap : heap + len(cell)] = cell
            words[id(entry)] = entry.begun << 16 | heap
        at = 64
        for entry in live:
            put(page, at, words[id(entry)], 8)
            at += 8
        rank, own, before = 0, 0, None
        for entry in entries:
            first = before is None or before.key != entry.key
            own = rank if first else own
            if entry.live:
                rank += 1
            else:
                ended = 2**48 - 1 if first else before.begun
                put(page, at, words[id(entry)], 8)
                put(page, at + 8, ended << 16 | entry.tombstone << 15 | own, 8)
                at += 16
            before = entry
        assert at <= heap, "the entries do not fit"
        page[at:heap] = bytes(heap - at)
        put(page, 28, len(live), 2)
        put(page, 30, len(dead), 2)
        put(page, 32, max(e.begun for e in entries), 8)
        put(page, 40, min(e.begun for e in entries), 8)
        put(page, 48, heap, 2)

    # ---- strips

    def element(self, id_: int) -> memoryview:
        """The 24 bytes of a cold id."""
        room, index = self.file.room(24), id_ - COLD_FIRST
        page = next(ref.page for level, ref, first in self.file._cold_pages()
                    if level == 0 and first <= index < first + room)
        return self.page(page)[32 + index % room * 24 :][:24]

    def draw(self) -> int:
        """A page behind all others."""
        at = self.record.pages
        self.record = replace(self.record, pages=at + 1)
        missing = (at + 1) * self.size - len(self.data)
        if missing > 0:
            self.data += bytes(missing)
        return at

    def put_strip(
        self, first: int, ids: int, packs: Sequence[tuple[bytes, Sequence[int]]], *, entries: int = 0,
        replaced: Strip | None = None, most: int = 1 << 20
    ) -> list[int]:
        """Writes a strip: packs, and which ids (indexes of the list) their pages have. In the place of another's pages,
        if any. most: bytes of data in a page. -> its pages"""
        numbers, data, places = list[int](), b"", list[tuple[int, int]]()
        for pack, indexes in packs:
            places += [(len(data) << 4 | i, index) for i, index in enumerate(indexes)]
            data += len(pack).to_bytes(4, "little") + pack
        room = min(most, self.size - 72)
        old = [ref.page for ref in replaced.pages] if replaced else []
        for _ in range(0, len(data), room):
            numbers.append(old.pop(0) if old else self.draw())
        for page in old:
            self.add_free(page)
        for i, number in enumerate(numbers):
            page, piece = self.page(number), data[i * room : (i + 1) * room]
            page[:] = bytes(self.size)
            for at, size, value in (
                (4, 1, STRIP), (8, 8, number), (16, 8, self.record.number), (28, 4, len(piece)),
                (32, 8, [*numbers, 0][i + 1]), (44, 4, ids), (48, 8, first), (56, 8, numbers[0]), (64, 8, entries),
            ):
                put(page, at, value, size)
            page[72 : 72 + len(piece)] = piece
        for place, index in places:
            at, element = place >> 4, self.element(COLD_FIRST + index)
            put(element, 0, numbers[at // room], 5)
            element[5] = COLD_PACKED
            put(element, 20, (72 + at % room) << 4 | place & 15, 4)
        return numbers

    # ---- sealing

    def sealed(self) -> bytes:
        """The file, whole again."""
        seals: dict[int, int] = {}
        open_: set[int] = set()

        def seal(number: int, what: str) -> int | None:
            """-> the tag; None where a forged pointer leads nowhere, or back up."""
            if not self.file.first_page <= number < len(self.data) // self.size or number in open_:
                return None
            if number not in seals:
                page = self.page(number)
                open_.add(number)
                for at, size, tag_at, below in self._pointers(page, what):
                    tag = seal(int.from_bytes(page[at : at + size], "little"), below)
                    if tag is not None:
                        put(page, tag_at, tag, 4)
                open_.discard(number)
                seals[number] = page_checksum(b"\0\0\0\0" + page[4:])
                put(page, 0, seals[number], 4)
            return seals[number]

        rc = self.record
        for name in ("trees", "stamps", "links", "cold"):
            what = getattr(rc, name)
            tag = seal(what.root.page, name) if what.count else None
            if tag is not None:
                rc = replace(rc, **{name: replace(what, root=Ref(what.root.page, tag))})
        for number in range(self.file.first_page, min(rc.pages, len(self.data) // self.size)):
            if number not in seals and self.page(number)[4] == FREE:
                seal(number, "free")
        rc = replace(rc, listed=[Ref(ref.page, seals.get(ref.page, ref.tag) if ref.tag else 0) for ref in rc.listed])
        self.data[rc.offset : rc.offset + RECORD] = before = encode_record(rc)
        for redo in self.redo:
            before = encode_redo(replace(redo, before=u32(before, 0)) if self.chained else redo)
            self.data[redo.offset : redo.offset + len(before)] = before
        out = bytearray(self.data)
        for at in self.flips:
            out[at] ^= 1
        return bytes(out)

    def _pointers(self, page: memoryview, what: str) -> Iterator[tuple[int, int, int, str]]:
        """(place of a page number, its size, place of the tag, what is there) of all pointers in a page."""
        kind, count = page[4], u32(page, 28)
        if kind == ARRAY_INTERIOR:
            for i in range(min(count, self.file.room(12))):
                yield 32 + 12 * i, 8, 40 + 12 * i, what
        elif kind == ARRAY and what == "trees":
            for at in range(32, 32 + 128 * min(count, self.file.room(128)), 128):
                yield at, 8, at + 8, "node"
                for recent in range(min(page[at + 13], 2)):
                    yield at + 56 + 20 * recent, 8, at + 64 + 20 * recent, "node"
                if u64(page, at + 96):
                    yield at + 88, 8, at + 104, "roots"
        elif kind == ARRAY and what == "roots":
            for at in range(32, 32 + 24 * min(count, self.file.room(24)), 24):
                yield at + 8, 8, at + 16, "node"
        elif kind == ARRAY and what == "cold":
            for at in range(32, 32 + 24 * min(count, self.file.room(24)), 24):
                yield at, 5, at + 12, "history"
        elif kind == OVERFLOW:
            yield 32, 8, 40, "value"
        elif kind == STRIP:
            yield 32, 8, 40, "strip"
        elif kind in (LEAF, INTERIOR):
            yield from self._cells(page)

    def _cells(self, page: memoryview) -> Iterator[tuple[int, int, int, str]]:
        live, dead, fixed = u16(page, 28), u16(page, 30), u16(page, 50)
        slots = [*range(64, 64 + 8 * live, 8), *range(64 + 8 * live, 64 + 8 * live + 16 * dead, 16)]
        for slot in slots:
            if slot + 8 > self.size:
                return
            at = u64(page, slot) & 0xFFFF
            size = fixed
            try:
                if not fixed:
                    size, at = varint(page, at)
                at += size
                if page[4] == INTERIOR:
                    if u40(page, at):
                        yield at, 5, at + 5, "node"
                    continue
                info, at = varint(page, at)
                if info & 1:
                    yield at + 8, 8, at + 16, "value"
            except Exception:               # a forged cell: nothing to patch in it
                continue
