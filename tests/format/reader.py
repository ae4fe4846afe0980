"""A reader of database files in plain Python, written from docs/format.md and from nothing else.

It shares no code with the engine, so that a test which finds both to agree has found the description to be true. It
reads whole files into memory and knows no locks: the file must be closed, or a copy.

    file = File(path.read_bytes())
    for tree in file.trees():
        for key, begun, value in file.scan(tree, moment=7): ...

Whatever is not as the description says raises Damaged, which names the page.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property

from . import packs
from .primitives import (
    FOREVER,
    RECORD,
    RECORD_MAGIC,
    Damaged,
    Ref,
    crc32c,
    i64,
    page_checksum,
    u16,
    u32,
    u40,
    u48,
    u64,
    varint,
    varint_bytes,
)
from .redo import Left, Redo, groups, redo_record

MAGIC = b"EntityDB\r\n\x1a\n\0\0\0"
MARK_MAGIC = 0x4B52414D
MARK, SETTLED, RING = 4096, 6144, 8192
SLOTS = 512                         # of the ring of a new file
COLD_FIRST = 1 << 39                # the first cold id; pages of the file have smaller numbers
COLD_PAGE, COLD_CHAIN, COLD_PACKED = 1, 2, 3
REDO, COLD, LINKS, STRIPS = 1, 2, 4, 8      # required features: redo records, cold ids, records with links, strips
SHORT_TAGS = 16                             # taggings in trees of their new names
UNVERSIONED = 128                           # columns without history
NEW = REDO | COLD | LINKS | STRIPS          # those of a new file
FEATURES = NEW | SHORT_TAGS | UNVERSIONED   # all that are known
LINKED = 4                          # of the flags of a record
GROUP = 256                         # links before a seal is kept
LEAF, INTERIOR, ARRAY, ARRAY_INTERIOR, OVERFLOW, FREE, STRIP = 1, 2, 3, 4, 5, 6, 7
TAG_TREES = {"tags": 0, "tag names": 8, "postings": 0, "entities' tags": 0}  # their key sizes
WIDE_TAG_TREES = {"tags": 0, "tag names": 8, "tag postings": 0, "tags of entities": 0}  # of files that had tags before


# ---- what stands in a record --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class List:
    """A list in pages: its top page, the interior levels above the pages of elements, its elements' count."""

    root: Ref
    levels: int
    count: int


@dataclass(frozen=True)
class FreeEntry:
    page: int
    made: int
    freed: int


@dataclass
class Record:
    """A page record."""

    offset: int
    checksum: int
    flags: int
    number: int
    time_ns: int
    durable: int
    schema: int
    horizon: int
    pages: int
    trees: List
    stamps: List
    free_head: int
    free_seq: int
    free_chain: int
    free_entries: int
    free_next: int
    free_index: int
    before: int
    cold: List
    cold_first: int
    cold_since: int
    tail: list[int]
    young: list[FreeEntry]
    listed: list[Ref]
    links_from: int = 0             # 0: the record is not linked
    links: List = List(Ref(0, 0), 0, 0)
    seal: bytes = bytes(32)
    newest_links: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class Cold:
    """What a cold id stands for."""

    ref: Ref
    kind: int
    commit: int
    tree: int
    place: int = 0                  # in a strip: offset of the pack times 16, and which page of it


@dataclass(frozen=True)
class Strip:
    """Packed history: what stands for the ids first .. first + ids - 1 (indexes of the list)."""

    first: int
    ids: int
    head: int
    entries: int
    pages: tuple[Ref, ...]
    packs: dict[tuple[int, int], bytes]     # by page and offset in it

    def holds(self, index: int) -> bool:
        return self.first <= index < self.first + self.ids


def _list(data: bytes, at: int) -> List:
    return List(Ref(u64(data, at), u32(data, at + 8)), u32(data, at + 12), u64(data, at + 16))


def _links(slot: bytes, number: int) -> tuple[int, List, bytes, list[bytes]] | None:
    """What a linked page record says of links."""
    first, links, n = u64(slot, 256), _list(slot, 264), u32(slot, 320)
    older = links.count - links.count // (GROUP + 1)
    if not 1 <= first <= number or links.count >= FOREVER or not 1 <= n <= 16 or older % 16:
        return None
    if links.count != older + older // GROUP or older + n != number - first + 1:
        return None
    return first, links, slot[288:320], [slot[at : at + 32] for at in range(328, 328 + 32 * n, 32)]


def record(data: bytes, offset: int) -> Record | Redo | None:
    """The record in a slot; None when it is not whole, or says the impossible."""
    slot = data[offset : offset + RECORD]
    size = u32(slot, 8)
    if u32(slot, 12) & 2:
        return redo_record(slot, offset)
    if u32(slot, 4) != RECORD_MAGIC or not 256 <= size <= RECORD or u32(slot, 0) != crc32c(slot[4:size]):
        return None
    n_young, n_tail, n_list = u32(slot, 156), u32(slot, 160), u32(slot, 164)
    number, stamps = u64(slot, 16), _list(slot, 88)
    at, linked = 256, _links(slot, number) if u32(slot, 12) & LINKED else (0, List(Ref(0, 0), 0, 0), bytes(32), [])
    if linked is None:
        return None
    if linked[0]:
        at = 328 + 32 * len(linked[3])
    if not 1 <= n_tail <= 64 or n_young > 96 or at + 8 * n_tail + 17 * n_young + 9 * n_list > size:
        return None
    if stamps.count + n_tail != number + 1 or u32(slot, 12) & ~(1 | LINKED):
        return None
    if number >= FOREVER or u64(slot, 32) > number:
        return None
    cold = _list(slot, 172)
    if cold.count >= 2**39 - 2**20 or u64(slot, 196) > cold.count:
        return None
    tail = [i64(slot, at + 8 * i) for i in range(n_tail)]
    at += 8 * n_tail
    young = [FreeEntry(u40(slot, p), u48(slot, p + 5), u48(slot, p + 11)) for p in range(at, at + 17 * n_young, 17)]
    at += 17 * n_young
    listed = [Ref(u40(slot, p), u32(slot, p + 5)) for p in range(at, at + 9 * n_list, 9)]
    return Record(
        offset, u32(slot, 0), u32(slot, 12), number, i64(slot, 24), u64(slot, 32), u64(slot, 40), u64(slot, 48),
        u64(slot, 56), _list(slot, 64), stamps, u64(slot, 112), u64(slot, 120), u64(slot, 128), u64(slot, 136),
        u64(slot, 144), u32(slot, 152), u32(slot, 168), cold, u64(slot, 196),
        u64(slot, 204) or number + 1, tail, young, listed, *linked,
    )


@dataclass(frozen=True)
class Tree:
    """The state of a tree."""

    id: int
    root: Ref
    key_size: int
    since: int
    born: int
    changed: int
    live: int
    next_id: int
    recent: tuple[tuple[int, Ref], ...]
    older: List


@dataclass(frozen=True)
class Entry:
    """A version in a node. `value`: bytes in a leaf (of an overflow chain: its 20-byte pointer), a Ref above."""

    key: bytes
    begun: int
    value: bytes | Ref
    live: bool                      # stands in the first directory
    tombstone: bool = False
    overflow: bool = False
    cell: int = 0                   # its cell's offset
    slot: int = 0                   # its directory entry's offset


@dataclass
class Node:
    page: int
    level: int
    owner: int
    key_size: int
    newest: int
    oldest: int
    entries: list[Entry] = field(default_factory=list)

    def at(self, moment: int) -> list[Entry]:
        """Of each key the newest version with begun <= moment, tombstones included."""
        seen: dict[bytes, Entry] = {}
        for entry in self.entries:
            if entry.begun <= moment and entry.key not in seen:
                seen[entry.key] = entry
        return list(seen.values())


# ---- the file -----------------------------------------------------------------------------------------------------


def _whole_header(header: bytes) -> bool:
    """As it was written; or torn when features were entered: their bits, or the checksum, are missing."""
    def with_bits(flipped: int) -> int:
        other = bytearray(header[:4092])
        other[24] ^= flipped
        return crc32c(other)

    return u32(header, 4092) in {with_bits(flipped) for flipped in range(FEATURES + 1)}


class File:
    """A file at its newest commit that counts.

    Args:
        data: the whole file.

    `newest` is its record, `base` the page record that it is based on (itself, where it is one), `behind` the redo
    records behind that.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        if data[:16] != MAGIC.ljust(16, b"\0"):
            raise Damaged("this is not an EntityDB database")
        header = data[:4096]
        if len(header) < 4096 or not _whole_header(header):
            raise Damaged("the header's checksum is wrong")
        self.version, self.page_size, self.required, self.optional = (
            u32(header, 16), u32(header, 20), u64(header, 24), u64(header, 32),
        )
        self.created_ns, self.id, self.ring = i64(header, 40), header[48:64], u32(header, 64)
        if self.version != 1 or self.required & ~FEATURES or self.ring not in (256, SLOTS):
            raise Damaged("this is another version of the format")
        if self.page_size not in (512, 1024, 2048, 4096, 8192, 16384, 32768):
            raise Damaged("an impossible page size")
        self.first_page = -(-(RING + self.ring * RECORD) // self.page_size)
        self.durable_mark = self._mark(MARK)
        self.settled_mark = self._mark(SETTLED)
        self.records = self._records()
        self.newest = self._choose()
        based = self._based(self.newest.number)
        assert based is not None
        self.base, self.behind = based
        if self.base.cold.count and not self.required & COLD:
            raise Damaged("there are cold ids, of which the header says nothing")
        if self.strips and not self.required & STRIPS:
            raise Damaged("there are strips, of which the header says nothing")

    def _mark(self, at: int) -> tuple[int, int] | None:
        mark = self.data[at : at + 24]
        if u32(mark, 4) != MARK_MAGIC or u32(mark, 0) != crc32c(mark[4:24]) or u64(mark, 8) >= FOREVER:
            return None
        return u64(mark, 8), i64(mark, 16)

    def _records(self) -> dict[int, Record | Redo]:
        found = {}
        for slot in range(self.ring):
            rc = record(self.data, RING + slot * RECORD)
            if rc is None or rc.number % self.ring != slot:
                continue
            if self.settled_mark and self.settled_mark[0] == rc.number and rc.time_ns <= self.settled_mark[1]:
                continue
            found[rc.number] = rc
        return found

    def _choose(self) -> Record | Redo:
        if not self.records:
            raise Damaged("no record is left")
        claimed = max([rc.durable for rc in self.records.values()] + [self.durable_mark[0] if self.durable_mark else 0])
        number = claimed
        while self._follows(number):
            number += 1
        while number > claimed and not (self._whole(claimed, number) and self._based(number)):
            number -= 1
        if number not in self.records:
            raise Damaged(f"the record of commit {number}, which was durable, is gone")
        if self._based(number) is None:
            raise Damaged(f"a record that commit {number}, which was durable, needs is gone")
        return self.records[number]

    def _follows(self, number: int) -> bool:
        """Whether the record of the next commit is there, and was written upon this one's, if that is there."""
        after, before = self.records.get(number + 1), self.records.get(number)
        return after is not None and (before is None or after.before == before.checksum)

    def _based(self, number: int) -> tuple[Record, list[Redo]] | None:
        """The page record that a commit is based on, and the redo records from there to it; None: one is missing."""
        behind: list[Redo] = []
        at = number
        while isinstance(rc := self.records.get(at), Redo):
            behind.insert(0, rc)
            at -= 1
            if rc.base > at or rc.base != behind[-1].base or not self._follows(at):
                return None
        return (rc, behind) if rc is not None and (not behind or behind[0].base == at) else None

    def _whole(self, claimed: int, number: int) -> bool:
        """Whether every page that the records claimed+1 .. number list, as the newest lists it, is there."""
        wanted: dict[int, int] = {}
        for n in range(claimed + 1, number + 1):
            wanted.update({ref.page: ref.tag for ref in self.records[n].listed})
        for page, tag in wanted.items():
            raw = self.data[page * self.page_size : (page + 1) * self.page_size]
            if tag and (len(raw) < self.page_size or u64(raw, 8) != page or u32(raw, 0) != tag
                        or page_checksum(raw) != tag):
                return False
        return True

    # ---- pages

    def raw(self, page: int) -> bytes:
        if not self.first_page <= page < len(self.data) // self.page_size:
            raise Damaged("a pointer leads outside the file", page)
        return self.data[page * self.page_size : (page + 1) * self.page_size]

    def page(self, ref: Ref, *kinds: int) -> bytes:
        """The page, checked against the pointer to it."""
        raw = self.raw(ref.page)
        if u32(raw, 0) != ref.tag or page_checksum(raw) != ref.tag or u64(raw, 8) != ref.page:
            raise Damaged("it is not the page that the pointer means", ref.page)
        if kinds and raw[4] not in kinds:
            raise Damaged("a page of another kind than expected", ref.page)
        return raw

    def writer(self, page: int) -> int:
        """The commit that wrote the page."""
        return u64(self.raw(page), 16)

    # ---- lists

    def room(self, size: int) -> int:
        """Elements of this size in a page."""
        return (self.page_size - 32) // size

    def list_pages(self, what: List) -> Iterator[tuple[int, Ref]]:
        """Every page of a list: its level and the pointer to it, a page before those below it."""
        def walk(ref: Ref, level: int) -> Iterator[tuple[int, Ref]]:
            page = self.page(ref, ARRAY_INTERIOR if level else ARRAY)
            if page[5] != level:
                raise Damaged("a list's page of the wrong level", ref.page)
            yield level, ref
            if level:
                for i in range(u32(page, 28)):
                    yield from walk(Ref(u64(page, 32 + 12 * i), u32(page, 40 + 12 * i)), level - 1)

        if what.count:
            yield from walk(what.root, what.levels)

    def elements(self, what: List, size: int) -> list[bytes]:
        found = []
        for level, ref in self.list_pages(what):
            if level == 0:
                page = self.page(ref)
                count = u32(page, 28)
                if count > self.room(size):
                    raise Damaged("a page of a list says that it holds too much", ref.page)
                found += [page[32 + i * size : 32 + (i + 1) * size] for i in range(count)]
        if len(found) < what.count:
            raise Damaged("a list is shorter than its count", what.root.page)
        return found[: what.count]

    # ---- history

    @cached_property
    def cold(self) -> dict[int, Cold]:
        """By cold id, those that are not pruned."""
        rc, found = self.base, {}
        for level, ref, first in self._cold_pages():
            page = self.page(ref)
            for i in range(min(u32(page, 28), self.room(24)) if level == 0 else 0):
                at = 32 + 24 * i
                if rc.cold_first <= first + i < rc.cold.count:
                    if u32(page, at + 20) and page[at + 5] != COLD_PACKED:
                        raise Damaged("an element of the list of cold ids holds what it should not", ref.page)
                    found[COLD_FIRST + first + i] = Cold(
                        Ref(u40(page, at), u32(page, at + 12)), page[at + 5], u48(page, at + 6), u32(page, at + 16),
                        u32(page, at + 20),
                    )
        if sorted(found) != list(range(COLD_FIRST + rc.cold_first, COLD_FIRST + rc.cold.count)):
            raise Damaged("the list of cold ids is shorter than its count", rc.cold.root.page)
        commits = [rc.cold_since, *(cold.commit for cold in found.values()), rc.number]
        if found and commits != sorted(commits):
            raise Damaged("cold ids do not ascend by commits", rc.cold.root.page)
        return found

    def cold_pages(self) -> list[Ref]:
        return [ref for _, ref, _ in self._cold_pages()]

    def _cold_pages(self) -> Iterator[tuple[int, Ref, int]]:
        """Of the list: level, page, and index of its first element. What holds pruned elements alone is not there."""
        rc = self.base

        def walk(ref: Ref, level: int, first: int) -> Iterator[tuple[int, Ref, int]]:
            page = self.page(ref, ARRAY_INTERIOR if level else ARRAY)
            if page[5] != level:
                raise Damaged("a list's page of the wrong level", ref.page)
            yield level, ref, first
            span = self.room(24) * self.room(12) ** (level - 1) if level else 0
            for i in range(u32(page, 28) if level else 0):
                below = Ref(u64(page, 32 + 12 * i), u32(page, 40 + 12 * i))
                if (below.page == 0) != (first + (i + 1) * span <= rc.cold_first):
                    raise Damaged("a page of the list of cold ids is missing, or should be", ref.page)
                if below.page:
                    yield from walk(below, level - 1, first + i * span)

        if rc.cold.count:
            yield from walk(rc.cold.root, rc.cold.levels, 0)

    def place(self, ref: Ref) -> Ref:
        """Where the page is that a reference means."""
        if ref.page < COLD_FIRST:
            return ref
        cold = self.cold.get(ref.page)
        if ref.tag or cold is None or cold.kind != COLD_PAGE:
            raise Damaged(f"{ref.page} is no cold id of a page")
        return cold.ref

    def is_packed(self, ref: Ref) -> bool:
        """Whether it is the cold id of a page in a strip."""
        return ref.tag == 0 and ref.page in self.cold and self.cold[ref.page].kind == COLD_PACKED

    # ---- strips

    @cached_property
    def strips(self) -> dict[int, Strip]:
        """By the first of their ids, as an index."""
        found: dict[int, Strip] = {}
        packed = {id_ - COLD_FIRST: cold for id_, cold in self.cold.items() if cold.kind == COLD_PACKED}
        end, strip = 0, None
        for index, cold in packed.items():
            if strip is None or not strip.holds(index):
                if index < end:
                    raise Damaged("two strips stand for one cold id", cold.ref.page)
                strip = self._strip(self.page(cold.ref, STRIP))
                if strip.first != index:
                    raise Damaged("the first id of a strip does not lead into it", cold.ref.page)
                end = strip.first + strip.ids
                if end > self.base.cold.count or end - 1 not in packed:
                    raise Damaged("the last id of a strip does not lead into it", cold.ref.page)
                found[index] = strip
            if cold.ref not in strip.pages or (cold.ref.page, cold.place // 16) not in strip.packs:
                raise Damaged("a cold id leads to no pack of its strip", cold.ref.page)
        return found

    def _strip(self, inside: bytes) -> Strip:
        """The strip that a page is one of."""
        said = inside[44:72]
        first, head, ids, entries = u64(inside, 48), u64(inside, 56), u32(inside, 44), u64(inside, 64)
        if not 1 <= ids <= 4096 or inside[5] or any(inside[6:8]):
            raise Damaged("an impossible strip", u64(inside, 8))
        ref, pages, data, places = Ref(head, u32(self.raw(head), 0)), list[Ref](), b"", list[tuple[int, int]]()
        while ref.page:
            page = self.page(ref, STRIP)
            here = u32(page, 28)
            if page[44:72] != said or not 1 <= here <= self.page_size - 72:
                raise Damaged("a page of a strip says something else than the others", ref.page)
            pages.append(ref)
            data += page[72 : 72 + here]
            places += [(ref.page, 72 + i) for i in range(here)]
            ref = Ref(u64(page, 32), u32(page, 40))
        found, at = {}, 0
        while at < len(data):
            size = u32(data[at : at + 4].ljust(4, b"\xff"), 0)
            if at + 4 + size > len(data):
                raise Damaged("a strip ends within a pack", head)
            found[places[at]] = data[at + 4 : at + 4 + size]
            at += 4 + size
        return Strip(first, ids, head, entries, tuple(pages), found)

    def strip_of(self, id_: int) -> Strip:
        """That which stands for a cold id."""
        return next(strip for strip in self.strips.values() if strip.holds(id_ - COLD_FIRST))

    def packed(self, id_: int) -> packs.Node:
        """The tree page that the id, one of a page in a strip, stands for."""
        cold = self.cold[id_]
        pages = self._unpacked(cold.ref.page, cold.place // 16)
        if cold.place % 16 >= len(pages):
            raise Damaged("a pack does not have the page that a cold id means", cold.ref.page)
        node = pages[cold.place % 16]
        if not isinstance(node, packs.Node):
            raise Damaged("a cold id leads to no page of a tree", cold.ref.page)
        if any(entry.form == packs.OVERFLOW for entry in node.entries):
            raise Damaged("a leaf with a large value in a chain was packed", cold.ref.page)
        return node

    def _unpacked(self, page: int, offset: int) -> list[packs.Node | bytes]:
        known = self._packs.get((page, offset))
        if known is None:
            (pack,) = (s.packs[page, offset] for s in self.strips.values() if (page, offset) in s.packs)
            if 1 << pack[2] != self.page_size:
                raise Damaged("a pack of pages of another size", page)
            known = self._packs[page, offset] = packs.pages(pack)
        return known

    @cached_property
    def _packs(self) -> dict[tuple[int, int], list[packs.Node | bytes]]:
        return {}

    def times(self) -> list[int]:
        """The time of every commit, from commit 0 on."""
        rc = self.base
        stored = [i64(element, 0) for element in self.elements(rc.stamps, 8)]
        return stored + rc.tail + [redo.time_ns for redo in self.behind]

    # ---- links and seals

    def links(self) -> tuple[int, list[bytes]]:
        """The first commit that has a link, and the links from there on, all kept seals being right; 0: none has."""
        rc, links = self.base, list[bytes]()
        for i, element in enumerate(self.elements(rc.links, 32)):
            if i % (GROUP + 1) == GROUP:
                if element != seal(links):
                    raise Damaged(f"the seal kept behind {len(links)} links is wrong")
            else:
                links.append(element)
        links += rc.newest_links
        if rc.links_from and seal(links) != rc.seal:
            raise Damaged("the newest seal is wrong")
        first = rc.links_from
        for redo in self.behind:
            if redo.link is None:
                if first:
                    raise Damaged(f"commit {redo.number} has no link")
                continue
            first = first or redo.number
            links.append(redo.link)
        return first, links

    def contents(self) -> dict[int, bytes]:
        """What each commit wrote, as a hash, from what every moment shows."""
        last = self.newest.number
        wholes: dict[int, bytes] = dict.fromkeys(range(1, last + 1), b"")
        unversioned = self.unversioned()
        for tree in sorted(self.trees(), key=lambda tree: tree.id):
            before: dict[bytes, tuple[int, bytes]] = {}
            without = unversioned.get(tree.id, set())
            for number in range(tree.born, last + 1):
                now = {
                    key: (begun, row_without(value, without) if without else value)
                    for key, begun, value in self.scan(tree, number)
                }
                entries, made = list[bytes](), 0
                for key in sorted(before.keys() | now.keys()):
                    made += key not in now or now[key][0] == number
                    if key not in now:
                        entries.append(struct.pack("<I", len(key) << 1 | 1) + key)
                    elif now[key][0] == number:
                        value = now[key][1]
                        entries.append(struct.pack("<I", len(key) << 1) + key)
                        entries.append(struct.pack("<I", len(value)) + value)
                    elif now[key] != before.get(key):
                        raise Damaged(f"a version of commit {now[key][0]} in tree {tree.id} changes at {number}")
                if entries:
                    digest = hashlib.sha256(b"".join(entries)).digest()
                    wholes[number] += struct.pack("<IQ", tree.id, made) + digest
                before = now
        return {number: hashlib.sha256(whole).digest() for number, whole in wholes.items()}

    def unversioned(self) -> dict[int, set[int]]:
        """By tree: the places in its rows of columns without history, whatever catalog said so."""
        found: dict[int, set[int]] = {}
        if not self.required & UNVERSIONED:
            return found
        catalog = self.tree(0)
        first = max(self.base.horizon, catalog.born)
        for number in range(first, self.newest.number + 1):
            for _, begun, payload in self.scan(catalog, number):
                if number in (first, begun) and (table := decode_payload(payload)).unversioned:
                    found.setdefault(table.id, set()).update(table.unversioned)
        return found

    def reduced(self) -> dict[int, tuple[bytes, bytes]]:
        """Of the commits of which something was erased: the content at first, and now."""
        tree = self.tree_named("reduced contents")
        return {} if tree is None else {rowid(k): (v[:32], v[32:]) for k, _, v in self.scan(tree)}

    def broken(self) -> list[int]:
        """The commits that do not fit their links."""
        first, links = self.links()
        contents, times, reduced = self.contents(), self.times(), self.reduced()
        found = []
        for number, kept in enumerate(links, first):
            original, now = reduced.get(number, (contents[number], contents[number]))
            if link(number, times[number], original) != kept or now != contents[number]:
                found.append(number)
        return found

    def number_at(self, moment_ns: int) -> int:
        """The newest commit at or before a moment."""
        return sum(time <= moment_ns for time in self.times()) - 1

    # ---- free space

    def free_pages(self) -> tuple[list[int], list[int], int]:
        """Pages that are free, pages that hold the queue, and the page reserved for its next: as the base has them."""
        rc = self.base
        free, chain = [entry.page for entry in rc.young], []
        at, index, left = rc.free_head, rc.free_index, 0
        for i in range(rc.free_chain):
            page = self.raw(at)
            if u32(page, 0) != page_checksum(page) or page[4] != FREE or u64(page, 8) != at:
                raise Damaged("a page of the free queue is damaged", at)
            if u64(page, 40) != rc.free_seq + i:
                raise Damaged("a page of the free queue has another's place", at)
            count = u32(page, 28)
            free += [u40(page, 48 + 11 * k) for k in range(index, count)]
            left += count - index
            chain.append(at)
            at, index = u64(page, 32), 0
        if left != rc.free_entries:
            raise Damaged("the free queue holds another number of pages than the record says")
        if rc.free_chain and at != rc.free_next:
            raise Damaged("the free queue ends elsewhere than the record says", at)
        return free, chain, rc.free_next

    # ---- trees

    def stored_trees(self) -> list[Tree]:
        """As the base has them."""
        return [tree for i, state in enumerate(self.elements(self.base.trees, 128))
                if (tree := decode_tree(i, state)).root.page]

    @cached_property
    def left(self) -> dict[int, Left]:
        """What the redo records behind the base leave of the trees that they change."""
        stored, found = {tree.id: tree for tree in self.stored_trees()}, dict[int, Left]()
        for rc in self.behind:
            if any(self.data[rc.offset + 52 : rc.offset + 64]):
                raise Damaged(f"the record of commit {rc.number} holds what it should not")
            before = -1
            for group in groups(rc.changes):
                tree = stored.get(group.tree)
                if tree is None or (group.next_id is None and tree.id == 0):
                    raise Damaged(f"commit {rc.number} changes a tree that does not exist, or the catalog")
                if tree.id not in found:
                    living = {key: value for key, _, value in self.stored(tree)}
                    most = (self.page_size - 64) // 4 - 40
                    found[tree.id] = Left(tree.key_size, most, living, tree.live, tree.next_id, tree.changed)
                if group.next_id is None and before != tree.id and found[tree.id].changed == rc.number:
                    raise Damaged(f"commit {rc.number} changes tree {tree.id} twice")
                before = tree.id if group.next_id is None else before
                found[tree.id].apply(rc.number, group)
        return found

    def trees(self) -> list[Tree]:
        return [replace(tree, live=left.live, next_id=left.next_id, changed=left.changed)
                if (left := self.left.get(tree.id)) else tree for tree in self.stored_trees()]

    def tree(self, id_: int) -> Tree:
        for tree in self.trees():
            if tree.id == id_:
                return tree
        raise LookupError(id_)

    def roots(self, tree: Tree) -> list[tuple[int, Ref]]:
        """(since, root), oldest first; the last is the current one."""
        older = [(u64(e, 0), Ref(u64(e, 8), u32(e, 16))) for e in self.elements(tree.older, 24)]
        return [*older, *tree.recent, (tree.since, tree.root)]

    def root_at(self, tree: Tree, moment: int) -> Ref | None:
        answer = None
        for since, root in self.roots(tree):
            if since <= moment:
                answer = root
        return answer

    def node(self, ref: Ref) -> Node:
        if self.is_packed(ref):
            return node_of(self.packed(ref.page), ref.page)
        ref = self.place(ref)
        return decode_node(self.page(ref, LEAF, INTERIOR), ref.page)

    def scan(self, tree: Tree, moment: int = FOREVER) -> Iterator[tuple[bytes, int, bytes]]:
        """(key, commit that wrote it, value) of all that lived at the moment, by key."""
        left = self.left.get(tree.id) if moment > self.base.number else None
        if left is None:
            yield from self.stored(tree, moment)
            return
        found: dict[bytes, tuple[int, bytes | None]] = {k: (begun, v) for k, begun, v in self.stored(tree)}
        found.update({key: version for key in left.versions if (version := left.at(key, moment))})
        for key, (begun, value) in sorted(found.items()):
            if value is not None:
                yield key, begun, value

    def stored(self, tree: Tree, moment: int = FOREVER) -> Iterator[tuple[bytes, int, bytes]]:
        """The same of what pages have: nothing of redo commits behind the base."""
        def walk(ref: Ref, low: bytes, high: bytes | None, above: int) -> Iterator[tuple[bytes, int, bytes]]:
            node = self.node(ref)
            if node.level >= above:
                raise Damaged("a child's level is not below its parent's", ref.page)
            seen = node.at(moment)
            for i, entry in enumerate(seen):
                if node.level == 0:
                    if not entry.tombstone and low <= entry.key and (high is None or entry.key < high):
                        assert isinstance(entry.value, bytes)
                        value = self.overflow(entry.value) if entry.overflow else entry.value
                        yield entry.key, entry.begun, value
                    continue
                assert isinstance(entry.value, Ref)
                if not entry.value.page:
                    continue
                until = seen[i + 1].key if i + 1 < len(seen) else None
                if high is not None and (until is None or high < until):
                    until = high
                if until is None or max(low, entry.key) < until:
                    yield from walk(entry.value, max(low, entry.key), until, node.level)

        root = self.root_at(tree, moment)
        if root is not None:
            yield from walk(root, b"", None, 256)

    def overflow_pages(self, pointer: bytes) -> Iterator[tuple[Ref, bytes]]:
        length, ref = u64(pointer, 0), Ref(u64(pointer, 8), u32(pointer, 16))
        while length:
            page = self.page(ref, OVERFLOW)
            here = u32(page, 28)
            if not 0 < here <= min(length, self.page_size - 48):
                raise Damaged("an impossible piece of a large value", ref.page)
            yield ref, page[48 : 48 + here]
            length -= here
            ref = Ref(u64(page, 32), u32(page, 40))
        if ref.page:
            raise Damaged("a large value's chain goes on behind its end", ref.page)

    def overflow(self, pointer: bytes) -> bytes:
        return b"".join(piece for _, piece in self.overflow_pages(pointer))

    # ---- what the catalog says

    def catalog(self, moment: int = FOREVER) -> dict[str, TableInfo]:
        tables = self.trees()
        if not tables or tables[0].id != 0:
            return {}
        found = {}
        for key, _, payload in self.scan(tables[0], moment):
            table = decode_payload(payload)
            if rowid(key) != table.id:
                raise Damaged("a table's key in the catalog is not its id")
            if table.unversioned and not self.required & UNVERSIONED:
                raise Damaged("there are columns without history, of which the header says nothing")
            if table.kind == 1:
                found[table.name] = table
        return found

    def labels(self, moment: int = FOREVER) -> dict[str, int]:
        """The commit that each label names."""
        for _, _, payload in self.scan(self.tree(0), moment):
            entry = decode_payload(payload)
            if entry.kind == 4 and entry.name == "labels":
                return {key.decode(): begun for key, begun, _ in self.scan(self.tree(entry.id), moment)}
        return {}

    def tree_named(self, name: str, moment: int = FOREVER) -> Tree | None:
        """A tree that belongs to no table."""
        for _, _, payload in self.scan(self.tree(0), moment):
            entry = decode_payload(payload)
            if entry.kind == 4 and entry.name == name:
                return self.tree(entry.id)
        return None

    def info(self, number: int) -> list[object] | None:
        """What is said of a commit: actor, reason and metadata; None: nothing."""
        tree = self.tree_named("transaction info", number)
        if tree is None:
            return None
        found = {key: (begun, value) for key, begun, value in self.scan(tree, number)}
        if set(found) != {b"info"}:
            raise Damaged("something is said under another key")
        begun, value = found[b"info"]
        said = decode_row(value)
        if len(said) != 3 or not all(text is None or isinstance(text, str) for text in said):
            raise Damaged("what is said of a transaction is not three texts")
        return said if begun == number else None

    def actor_at(self, number: int) -> list[str]:
        """The actors whose commit it is: one at most."""
        tree = self.tree_named("transactions of actors", number)
        return [] if tree is None else [k.decode() for k, begun, _ in self.scan(tree, number) if begun == number]

    def statistics(self, moment: int = FOREVER) -> dict[tuple[int, int], tuple[int, list[float]]]:
        """By tree and column (of an index: 2**32 - 1): the count that was, and the numbers."""
        for _, _, payload in self.scan(self.tree(0), moment):
            entry = decode_payload(payload)
            if entry.kind == 4 and entry.name == "statistics":
                return {
                    struct.unpack(">II", key): (struct.unpack_from("<Q", value)[0],
                                                list(struct.unpack(f"<{len(value) // 8 - 1}d", value[8:])))
                    for key, _, value in self.scan(self.tree(entry.id), moment)
                }
        return {}

    def tag_trees(self, moment: int = FOREVER) -> dict[str, Tree]:
        """The four trees of tags by name; none before the first tag."""
        trees = self.trees()
        if not trees or trees[0].id != 0:
            return {}
        entries = [decode_payload(payload) for _, _, payload in self.scan(trees[0], moment)]
        sizes = TAG_TREES | WIDE_TAG_TREES
        found = {e.name: self.tree(e.id) for e in entries if e.kind == 4 and e.name in sizes}
        if found and set(found) not in (set(TAG_TREES), set(WIDE_TAG_TREES)):
            raise Damaged("some of the trees of tags are missing")
        if "postings" in found and not self.required & SHORT_TAGS:
            raise Damaged("there are tags, of which the header says nothing")
        for name, tree in found.items():
            if tree.key_size != sizes[name]:
                raise Damaged("a tree of tags has keys of the wrong kind", tree.root.page)
        return found

    def dictionary(self, moment: int = FOREVER) -> dict[int, str]:
        """Every tag by its id."""
        trees = self.tag_trees(moment)
        if not trees:
            return {}
        ids = {key.decode(): (u32(value, 0), begun) for key, begun, value in self.scan(trees["tags"], moment)
               if len(value) == 4}
        names = {rowid(key): (value.decode(), begun) for key, begun, value in self.scan(trees["tag names"], moment)}
        if {text: (id_, begun) for id_, (text, begun) in names.items()} != ids or len(names) != len(ids):
            raise Damaged("texts and ids of tags do not lead to each other")
        taken = {id_: begun for id_, (_, begun) in names.items()}
        for text, (id_, begun) in ids.items():
            judge_tag(text)
            at = tag_hash(text.encode())
            while at != id_:
                if taken.get(at, FOREVER) > begun:
                    raise Damaged(f"the id of the tag {text!r} is not the next free one behind its hash")
                at = (at + 1) % 2**32
        return {id_: text for id_, (text, _) in names.items()}

    def tags(self, moment: int = FOREVER) -> dict[tuple[int, int, str], int]:
        """By type, entity and text of the tag: the commit that gave it."""
        trees, texts = self.tag_trees(moment), self.dictionary(moment)
        if not trees:
            return {}

        wide = "tag postings" in trees

        def walk(name: str) -> Iterator[tuple[bytes, int]]:
            for key, begun, value in self.scan(trees[name], moment):
                if (len(key) != 16 if wide else not 9 <= len(key) <= 17) or value:
                    raise Damaged("an entry of the taggings has a key or a value of an impossible size")
                yield key, begun

        entity = rowid if wide else short_entity
        postings = {(key[4:8], entity(key[8:]), key[:4]): begun
                    for key, begun in walk("tag postings" if wide else "postings")}
        reverse = {(key[:4], entity(key[4:-4]), key[-4:]): begun
                   for key, begun in walk("tags of entities" if wide else "entities' tags")}
        if postings != reverse:
            raise Damaged("postings and tags of entities are not the same")
        rows = {table.id: {id_ for id_, _ in self.rows(table, moment)} for table in self.catalog(moment).values()}
        found = {}
        for (type_, id_of_row, id_), begun in reverse.items():
            key = int.from_bytes(type_, "big"), id_of_row
            if key[1] not in rows.get(key[0], ()):
                raise Damaged("a tag of a row that does not exist")
            found[(*key, texts[int.from_bytes(id_, "big")])] = begun
        return found

    def rows(self, table: TableInfo, moment: int = FOREVER) -> list[tuple[int, list[object]]]:
        """(row id, its columns in declared order), by row id. Of moments, columns without history are None."""
        hidden = set() if moment == FOREVER else set(table.unversioned)
        found = []
        for key, _, value in self.scan(self.tree(table.id), moment):
            stored, id_, values = decode_row(value), rowid(key), []
            for place, column in enumerate(table.columns):
                if place == table.rowid_column:
                    values.append(id_)
                elif column.id in hidden:
                    values.append(None)
                elif column.id < len(stored):
                    values.append(stored[column.id])
                elif held := [i for i in column.earlier if i < len(stored) and i not in hidden]:
                    values.append(under_affinity(stored[held[0]], column.affinity))
                else:
                    values.append(decode_row(column.added_value)[0] if column.added_value else None)
            found.append((id_, values))
        return found


def link(number: int, time_ns: int, content: bytes) -> bytes:
    return hashlib.sha256(struct.pack("<Qq", number, time_ns) + content).digest()


def seal(links: Sequence[bytes]) -> bytes:
    """The seal of the last of these commits, which begin with the first that has a link."""
    value = bytes(32)
    for one in links:
        value = hashlib.sha256(value + one).digest()
    return value


def under_affinity(value: object, affinity: int) -> object:
    """The value as SQLite stores it in a column of this affinity."""
    types = {0x41: "BLOB", 0x42: "TEXT", 0x43: "NUMERIC", 0x44: "INTEGER", 0x45: "REAL"}
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"CREATE TABLE t (c {types[affinity]})")
        db.execute("INSERT INTO t VALUES (?)", (value,))
        return db.execute("SELECT c FROM t").fetchone()[0]


def tag_hash(text: bytes) -> int:
    """The 64-bit FNV-1a, its halves combined."""
    value = 0xCBF29CE484222325
    for byte in text:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value >> 32 ^ value % 2**32


def judge_tag(text: str) -> None:
    if not 1 <= len(text.encode()) <= 1024 or text[0] == ":" or any(c < " " or "\x7f" <= c <= "\x9f" for c in text):
        raise Damaged(f"{text!r} is no tag")


def decode_tree(id_: int, state: bytes) -> Tree:
    if len(state) != 128 or any(state[14:16]):
        raise Damaged(f"the state of tree {id_} holds what it should not")
    recent = tuple((u64(state, p), Ref(u64(state, p + 8), u32(state, p + 16))) for p in (48, 68))
    return Tree(
        id_, Ref(u64(state, 0), u32(state, 8)), state[12], u64(state, 16), u64(state, 24), u64(state, 112),
        u64(state, 32), u64(state, 40), recent[: state[13]],
        List(Ref(u64(state, 88), u32(state, 104)), u32(state, 108), u64(state, 96)),
    )


def short_entity(data: bytes) -> int:
    """An entity in the key of a tagging."""
    negative = data[0] < 0x80
    size = 0x7F - data[0] if negative else data[0] - 0x80
    number = int.from_bytes(data[1:], "big") - (1 << 8 * size if negative else 0)
    least, end = 0 if size == 0 else 1 << 8 * (size - 1), min(1 << 8 * size, 1 << 63)
    if len(data) != 1 + size or size > 8 or not least <= (~number if negative else number) < end:
        raise Damaged("a tagging has an entity that is none")
    return number


def node_of(packed: packs.Node, number: int) -> Node:
    """A node that was unpacked: everything that its directories say follows from its entries."""
    if (packed.kind == LEAF) != (packed.level == 0):
        raise Damaged("a node's header is impossible", number)
    entries = list[Entry]()
    for one in packed.entries:
        newest, ended = not entries or entries[-1].key != one.key, one.form == packs.TOMBSTONE
        entries.append(Entry(one.key, one.begun, one.value, newest and not ended, ended))
    times = [entry.begun for entry in entries] or [0]
    return Node(number, packed.level, packed.owner, packed.key_size, max(times), min(times), entries)


def decode_node(page: bytes, number: int) -> Node:
    """A node, strictly: everything that the description says of its directories must be true."""
    leaf, live, dead = page[4] == LEAF, u16(page, 28), u16(page, 30)
    node = Node(number, page[5], u32(page, 24), u16(page, 50), u64(page, 32), u64(page, 40))
    if (node.level == 0) != leaf or any(page[52:64]) or 64 + 8 * live + 16 * dead > len(page):
        raise Damaged("a node's header is impossible", number)

    def cell(at: int, begun: int, lives: bool, tombstone: bool, slot: int) -> Entry:
        if at < u16(page, 48):
            raise Damaged("a cell lies below the heap", number)
        p, size = at, node.key_size
        if not size:
            size, p = varint(page, p)
        key = page[p : p + size]
        p += size
        if not leaf:
            return Entry(key, begun, Ref(u40(page, p), u32(page, p + 5)), lives, cell=at, slot=slot)
        info, p = varint(page, p)
        if p + (info >> 1) > len(page):
            raise Damaged("a cell reaches beyond its page", number)
        return Entry(key, begun, page[p : p + (info >> 1)], lives, tombstone, bool(info & 1), at, slot)

    living, ended = [], []
    for at in range(64, 64 + 8 * live, 8):
        word = u64(page, at)
        living.append(cell(word & 0xFFFF, word >> 16, True, False, at))
    start = 64 + 8 * live
    for at in range(start, start + 16 * dead, 16):
        word, state = u64(page, at), u64(page, at + 8)
        ended.append((cell(word & 0xFFFF, word >> 16, False, bool(state & 0x8000), at), state >> 16, state & 0x7FFF))
    node.entries = sorted(living + [e for e, _, _ in ended], key=lambda e: (e.key, -e.begun))
    in_order = [e for e in node.entries if e.live], [e for e in node.entries if not e.live]
    if in_order != (living, [e[0] for e in ended]):
        raise Damaged("a node's entries are not in order", number)
    follower: dict[bytes, int] = {}
    states = {id(e): (to, rank) for e, to, rank in ended}
    rank = 0
    keys: dict[bytes, int] = {}
    for entry in node.entries:
        first = entry.key not in follower
        keys.setdefault(entry.key, rank)
        if entry.live:
            if not first or entry.tombstone:
                raise Damaged("a living entry is not the newest of its key", number)
            rank += 1
        else:
            if first and leaf and not entry.tombstone:
                raise Damaged("the newest version of a key lives and stands with the ended", number)
            if first and not leaf:
                raise Damaged("the newest entry of a key of an interior node stands with the ended", number)
            if states[id(entry)] != (follower.get(entry.key, FOREVER), keys[entry.key]):
                raise Damaged("the second directory misstates an end or a rank", number)
        follower[entry.key] = entry.begun
    times = [e.begun for e in node.entries]
    if times and (max(times), min(times)) != (node.newest, node.oldest):
        raise Damaged("a node misstates its newest or oldest version", number)
    return node


# ---- keys and rows ------------------------------------------------------------------------------------------------


def rowid(key: bytes) -> int:
    """A row id is a signed number with the sign bit turned over, so that keys order as numbers."""
    return int.from_bytes(key, "big") - 2**63


def _double(ordered: int) -> float:
    bits = ordered ^ 2**63 if ordered >> 63 else ordered ^ (2**64 - 1)
    return float(struct.unpack("<d", bits.to_bytes(8, "little"))[0])


def decode_key(key: bytes, descending: list[bool]) -> tuple[list[object], bytes]:
    """The values of the parts (text under its collation; whole numbers as int), and what follows them."""
    values: list[object] = []
    for down in descending:
        part = bytes(byte ^ 255 for byte in key) if down else key
        if not part:
            raise Damaged("a key ends before its parts do")
        kind, at = part[0], 1
        if kind == 0x10:
            values.append(None)
        elif kind == 0x20:
            double = _double(int.from_bytes(part[1:9], "big"))
            at = 9
            if double != double or part[1:9] == bytes.fromhex("7fffffffffffffff"):
                raise Damaged("a number that no key holds")
            if abs(double) >= 2.0**53:
                rest = int.from_bytes(part[9:11], "big") - 32768
                at = 11
                values.append(int(double) + rest if abs(double) < 2.0**64 else double)
            else:
                values.append(int(double) if double == int(double) else double)
        elif kind in (0x30, 0x40):
            out = bytearray()
            while True:
                byte = part[at : at + 1]
                if byte != b"\0":
                    if not byte:
                        raise Damaged("a part of a key does not end")
                    out += byte
                    at += 1
                    continue
                at += 2
                if part[at - 1 : at] == b"\0":
                    break
                if part[at - 1 : at] != b"\xff":
                    raise Damaged("a wrong escape in a key")
                out += b"\0"
            values.append(bytes(out) if kind == 0x40 else out.decode("utf-8", "surrogateescape"))
        else:
            raise Damaged("a key's part of an unknown class")
        key = key[at:]
    return values, key


def decode_row(row: bytes) -> list[object]:
    head, at = varint(row, 0)
    n, width = head >> 2, {0: 1, 1: 2, 2: 4}.get(head & 3, 0)
    if not width or at + n * (1 + width) > len(row):
        raise Damaged("a row's head does not fit")
    types, ends, data = row[at : at + n], at + n, row[at + n * (1 + width) :]
    values: list[object] = []
    start = 0
    for i, kind in enumerate(types):
        end = int.from_bytes(row[ends + i * width : ends + (i + 1) * width], "little")
        piece = data[start:end]
        if end < start or end > len(data):
            raise Damaged("a column lies outside its row")
        decode: dict[int, tuple[tuple[int, ...] | None, Callable[[bytes], object]]] = {
            0: ((0,), lambda p: None),
            1: ((0,), lambda p: 0),
            2: ((0,), lambda p: 1),
            3: ((1, 2, 4, 8), lambda p: int.from_bytes(p, "little", signed=True)),
            4: ((8,), lambda p: struct.unpack("<d", p)[0]),
            5: (None, lambda p: p.decode("utf-8", "surrogateescape")),
            6: (None, bytes),
        }
        if kind not in decode or (decode[kind][0] is not None and len(piece) not in (decode[kind][0] or ())):
            raise Damaged("a column of an unknown type or an impossible size")
        values.append(decode[kind][1](piece))
        start = end
    return values


def row_without(row: bytes, ids: set[int]) -> bytes:
    """The row with NULL in some places."""
    head, at = varint(row, 0)
    n, width = head >> 2, 1 << (head & 3)
    decode_row(row)
    types, data = row[at : at + n], row[at + n * (1 + width) :]
    ends = [int.from_bytes(row[at + n + i * width : at + n + (i + 1) * width], "little") for i in range(n)]
    spans = enumerate(zip([0, *ends], ends, strict=False))
    pieces = [b"" if i in ids else data[start:end] for i, (start, end) in spans]
    size = sum(map(len, pieces))
    code = 0 if size < 1 << 8 else 1 if size < 1 << 16 else 2
    out, sofar = bytearray(varint_bytes(n << 2 | code)), 0
    out += bytes(0 if i in ids else kind for i, kind in enumerate(types))
    for piece in pieces:
        sofar += len(piece)
        out += sofar.to_bytes(1 << code, "little")
    return bytes(out) + b"".join(pieces)


# ---- payloads -----------------------------------------------------------------------------------------------------


@dataclass
class ColumnInfo:
    id: int
    name: str
    type: str
    affinity: int
    collation: int
    not_null: bool
    default: str | None
    default_value: bytes | None
    added_value: bytes | None                   # in rows written before the column was added
    expression: str | None                      # of a generated column
    stored: bool                                # a generated column that rows have
    hidden: bool                                # the expression of an index
    earlier: tuple[int, ...]                    # ids it had under types of another affinity, newest first
    tag: str | None = None                      # the namespace that its values are tags of


@dataclass
class IndexInfo:
    tree: int
    name: str
    sql: str
    flags: int
    parts: list[tuple[int, int, bool]]          # column's position, collation, descending
    where: str | None = None                    # of a partial one


@dataclass
class TableInfo:
    id: int
    name: str
    sql: str
    flags: int
    rowid_column: int                           # -1: none
    columns: list[ColumnInfo]
    indexes: list[IndexInfo]
    extra: str
    kind: int = 1                               # 1 table, 2 view, 3 setting, 4 tree
    unversioned: tuple[int, ...] = ()           # ids of columns without history: those that it has, and had


class _Payload:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise Damaged("a payload ends too early")
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value, self.at = varint(self.data, self.at)
        return value

    def bytes(self) -> bytes:
        size = self.varint()
        if self.at + size > len(self.data):
            raise Damaged("a payload ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def str(self) -> str:
        return self.bytes().decode()


def decode_payload(data: bytes) -> TableInfo:
    p = _Payload(data)
    format_, kind = p.byte(), p.byte()
    if format_ != 1 or kind not in (1, 2, 3, 4):
        raise Damaged("a payload of an unknown format or kind")
    id_, name, sql = p.varint(), p.str(), p.str()
    if kind != 1:
        if p.at != len(data):
            raise Damaged("a payload goes on behind its end")
        return TableInfo(id_, name, sql, 0, -1, [], [], "", kind)
    flags, rowid_column = p.varint(), p.varint()
    columns = []
    for _ in range(p.varint()):
        column, cname, ctype = p.varint(), p.str(), p.str()
        affinity, collation, cflags = p.byte(), p.byte(), p.byte()
        default = p.str() if cflags & 2 else None
        value = p.bytes() if cflags & 4 else None
        added = p.bytes() if cflags & 64 else None
        expression = p.str() if cflags & 24 else None
        earlier = tuple(p.varint() for _ in range(p.varint())) if cflags & 128 else ()
        if cflags & 24 == 24 or (cflags & 32 and not cflags & 8) or (cflags & 24 and cflags & 2):
            raise Damaged("an impossible kind of generated column")
        columns.append(ColumnInfo(column, cname, ctype, affinity, collation, bool(cflags & 1), default, value, added,
                                  expression, bool(cflags & 16), bool(cflags & 32), earlier))
    indexes = []
    for _ in range(p.varint()):
        tree, iname, isql, iflags, reserved = p.varint(), p.str(), p.str(), p.byte(), p.varint()
        if reserved:
            raise Damaged("a reserved field of an index is used")
        where = p.str() if iflags & 8 else None
        parts = [(p.varint(), p.byte(), bool(p.byte() & 1)) for _ in range(p.varint())]
        indexes.append(IndexInfo(tree, iname, isql, iflags, parts, where))
    for _ in range(p.varint()):                 # CHECK constraints
        p.str(), p.str()
    referring = set[int]()
    for _ in range(p.varint()):                 # foreign keys
        p.str()
        kflags, on_delete, on_update = p.byte(), p.byte(), p.byte()
        if kflags > 3 or on_delete > 4 or on_update > 4:
            raise Damaged("an impossible foreign key")
        for _ in range(p.varint()):
            referring.add(p.varint())
            if kflags & 2:
                p.str()
    if flags & 8:
        _tag_columns(p, columns)
    unversioned = _unversioned(p) if flags & 16 else ()
    for position, column_ in enumerate(columns):
        keyed = any(position == part for index in indexes for part, _, _ in index.parts) or position in referring
        if column_.id in unversioned and (
            keyed or column_.tag is not None or column_.expression is not None or position == rowid_column - 1
        ):
            raise Damaged("a column without history has one elsewhere")
    table = TableInfo(id_, name, sql, flags, rowid_column - 1, columns, indexes, p.str(), unversioned=unversioned)
    if p.at != len(data):
        raise Damaged("a payload goes on behind its end")
    return table


def _unversioned(p: _Payload) -> tuple[int, ...]:
    ids = tuple(p.varint() for _ in range(p.varint()))
    if not ids or list(ids) != sorted(set(ids)) or ids[-1] > 0xFFFF:
        raise Damaged("impossible columns without history")
    return ids


def _tag_columns(p: _Payload, columns: list[ColumnInfo]) -> None:
    count = p.varint()
    if not count:
        raise Damaged("a table without tag columns says that it has some")
    for _ in range(count):
        place, namespace = p.varint(), p.str()
        if place >= len(columns):
            raise Damaged("a tag column beyond the last")
        column = columns[place]
        if column.tag is not None or (column.expression is not None and not column.stored):
            raise Damaged("an impossible tag column")
        if not namespace or ":" in namespace or namespace in [other.tag for other in columns]:
            raise Damaged("an impossible namespace of a tag column")
        judge_tag(namespace)
        column.tag = namespace
