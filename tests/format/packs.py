"""A reader of packs in plain Python, written from docs/format.md, "Packs", and from nothing else. And a
writer of simple ones.

    for page in pages(pack):
        if isinstance(page, bytes): ...             # no tree page: its bytes, number and checksum 0
        else: page.entries                          # (key, from, form, value), by key, newest first

Whatever is not as the description says raises Damaged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import zstandard

from .primitives import FOREVER, Damaged, Ref, u32, varint

LEAF, INTERIOR = 1, 2
FIXED_STREAMS = 12
TOMBSTONE, VALUE, OVERFLOW = "tombstone", "value", "overflow"
ROW_SIZES: dict[int, tuple[int, ...] | None] = {0: (0,), 1: (0,), 2: (0,), 3: (1, 2, 4, 8), 4: (8,), 5: None, 6: None}


class Stream:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def varint(self, most: int | None = None) -> int:
        value, self.at = varint(self.data, self.at)
        if most is not None and value > most:
            raise Damaged("a number of a pack is too large")
        return value

    def bytes(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise Damaged("a stream of a pack ends early")
        self.at += size
        return self.data[self.at - size : self.at]


@dataclass(frozen=True)
class Entry:
    key: bytes
    begun: int
    form: str
    value: bytes | Ref


@dataclass
class Node:
    kind: int
    level: int
    owner: int
    key_size: int
    writer: int
    entries: list[Entry] = field(default_factory=list)


@dataclass
class Section:
    kind: int
    owner: int
    key_size: int
    keys: int
    versions: int
    commits: int
    columns: int
    streams: list[bytes] = field(default_factory=list)


@dataclass
class Page:
    section: int
    writer: int
    level: int = 0
    first: int = 0
    keys: int = 0
    low: int = 0
    high: int = 0
    kind: int = 0
    flags: int = 0
    rest: bytes = b""


def plain(pack: bytes) -> bytes:
    """The plain content, unpacked."""
    if len(pack) < 8 or pack[0] != 1 or not 1 <= pack[1] <= 16 or not 9 <= pack[2] <= 15 or pack[3]:
        raise Damaged("a pack does not begin as packs do")
    size = u32(pack, 4)
    if size > 2 * pack[1] * (1 << pack[2]) + 1024:
        raise Damaged("a pack says that it holds more than packs may")
    try:
        content = zstandard.ZstdDecompressor().decompress(pack[8:], max_output_size=size)
    except zstandard.ZstdError as error:
        raise Damaged(f"a pack: {error}") from error
    if len(content) != size:
        raise Damaged("a pack holds less than it says")
    return content


def streams(content: bytes) -> list[bytes]:
    head = Stream(content)
    sizes = [head.varint() for _ in range(head.varint(16 * (FIXED_STREAMS + 256) + 17))]
    if not sizes or sum(sizes) != len(content) - head.at:
        raise Damaged("the sizes of a pack's streams")
    return [head.bytes(size) for size in sizes]


def contents(pack: bytes) -> tuple[list[Section], list[Page]]:
    all_streams = streams(plain(pack))
    said, n = Stream(all_streams.pop()), pack[1]
    sections = []
    for _ in range(said.varint(n)):
        section = Section(*(said.varint() for _ in range(7)))
        if section.kind not in (LEAF, INTERIOR) or section.key_size not in (0, 8) or section.columns > 128:
            raise Damaged("a section of a pack")
        if section.keys > section.versions or section.commits > section.versions:
            raise Damaged("a section of a pack counts wrongly")
        sections.append(section)
    pages = []
    for _ in range(n):
        page = Page(said.varint(len(sections)), said.varint())
        if page.section:
            page.level, page.first, page.keys, page.low, page.high = (said.varint() for _ in range(5))
        else:
            page.kind, page.level, page.flags = said.varint(255), said.varint(255), said.varint(65535)
            if page.kind in (LEAF, INTERIOR):
                raise Damaged("a tree page of a pack has no section")
        pages.append(page)
    for section in sections:
        count = FIXED_STREAMS + 2 * section.columns
        section.streams, all_streams = all_streams[:count], all_streams[count:]
        if len(section.streams) < count:
            raise Damaged("a pack has too few streams")
    for page in pages:
        if not page.section:
            if not all_streams:
                raise Damaged("a pack has too few streams")
            page.rest = all_streams.pop(0)
    if all_streams or said.at < len(said.data):
        raise Damaged("a pack has too many streams")
    return sections, pages


def shared_bytes(one: bytes, other: bytes) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def section_keys(section: Section) -> list[bytes]:
    forms, data = Stream(section.streams[1]), Stream(section.streams[2])
    form = forms.varint()
    found: list[bytes] = []
    if form == 0:
        for _ in range(section.keys):
            shared, more = forms.varint(len(found[-1]) if found else 0), forms.varint()
            found.append((found[-1][:shared] if found else b"") + data.bytes(more))
            if len(found) > 1 and shared_bytes(found[-2], found[-1]) != shared:
                raise Damaged("a key of a pack shares more than it says")
    else:
        size, empty = form >> 1, form & 1 if section.keys else 0
        count = section.keys - empty
        differs = forms.bytes(size)
        planes = [data.bytes(count) for _ in range(size)]
        found = [b""] * empty
        before = bytes(size)
        for k in range(count):
            before = bytes((planes[i][k] + (before[i] if differs[i] else 0)) & 255 for i in range(size))
            found.append(before)
    if any(a >= b for a, b in pairwise(found)):
        raise Damaged("the keys of a pack do not ascend")
    if section.key_size and any(len(key) != section.key_size for key in found):
        raise Damaged("a key of a pack has another size")
    return found


def encode_row(columns: list[tuple[int, bytes]]) -> bytes:
    """Rows, of docs/format.md: of (type, bytes)."""
    data = b"".join(piece for _, piece in columns)
    code = 0 if len(data) < 256 else 1 if len(data) < 65536 else 2
    out = bytearray()
    head = len(columns) << 2 | code
    while head >= 128:
        out.append(head & 127 | 128)
        head >>= 7
    out.append(head)
    out += bytes(kind for kind, _ in columns)
    end = 0
    for _, piece in columns:
        end += len(piece)
        out += end.to_bytes(1 << code, "little")
    return bytes(out) + data


@dataclass(frozen=True)
class Version:
    key: int                        # which of the section's
    place: int                      # of its commit
    until: int
    holders: int
    entry: Entry


def versions(section: Section) -> list[Version]:
    keys = section_keys(section)
    parts = [Stream(data) for data in section.streams]
    commits, _, _, counts, begun, holders, forms, sizes, changed, children, tags, values = parts[:FIXED_STREAMS]
    heads, datas = parts[FIXED_STREAMS : FIXED_STREAMS + section.columns], parts[FIXED_STREAMS + section.columns :]
    numbers: list[int] = []
    for i in range(section.commits):
        numbers.append(commits.varint() + (numbers[-1] + 1 if i else 0))
    if any(number >= FOREVER for number in numbers):
        raise Damaged("an impossible commit number in a pack")
    child = 0

    def row(n: int, before: list[tuple[int, bytes]] | None) -> list[tuple[int, bytes]]:
        mask = int.from_bytes(changed.bytes((n + 7) // 8), "little") if before else (1 << n) - 1
        new = list(before or [(0, b"")] * n)
        for i in range(n):
            if mask >> i & 1:
                at = min(i, 127)
                if at >= section.columns:
                    raise Damaged("a column of a pack without a stream")
                head = heads[at].varint(2**32 - 1)
                kind, size = head & 7, head >> 3
                allowed = ROW_SIZES.get(kind, ())
                if allowed is not None and size not in allowed:
                    raise Damaged("a column of a pack of an impossible size")
                new[i] = kind, datas[at].bytes(size)
        return new

    found: list[Version] = []
    for k, key in enumerate(keys):
        place = section.commits - 1
        before: list[tuple[int, bytes]] | None = None
        for i in range(counts.varint() + 1):
            until = place if i else section.commits
            place -= begun.varint(place)
            wrong = holders.varint(65535)
            value: bytes | Ref = b""
            form = VALUE
            if section.kind == INTERIOR:
                said = children.varint()
                number = said >> 1
                child += -(number + 1 >> 1) if number & 1 else number >> 1
                if not 0 <= child < 2**40:
                    raise Damaged("an impossible child in a pack")
                value = Ref(child, u32(tags.bytes(4), 0) if said & 1 else 0)
            else:
                said = forms.varint()
                if said == 0:
                    form, until = TOMBSTONE, place + 1
                elif said == 1:
                    value = values.bytes(sizes.varint())
                elif said == 2:
                    form, value = OVERFLOW, values.bytes(20)
                else:
                    n = said - 2
                    before = row(n, before if before and len(before) == n else None)
                    value = encode_row(before)
            found.append(Version(k, place, until, wrong, Entry(key, numbers[place], form, value)))
    if len(found) != section.versions:
        raise Damaged("a section of a pack has another number of versions")
    return found


def pages(pack: bytes) -> list[Node | bytes]:
    sections, all_pages = contents(pack)
    tables = [versions(section) for section in sections]
    size = 1 << pack[2]
    found: list[Node | bytes] = []
    for bit, page in enumerate(all_pages):
        if not page.section:
            head = bytes([0, 0, 0, 0, page.kind, page.level]) + page.flags.to_bytes(2, "little") + bytes(8)
            if len(page.rest) > size - 24:
                raise Damaged("a page of a pack is larger than pages are")
            found.append((head + page.writer.to_bytes(8, "little") + page.rest).ljust(size, b"\0"))
            continue
        section = sections[page.section - 1]
        node = Node(section.kind, page.level, section.owner, section.key_size, page.writer)
        if page.first + page.keys > section.keys:
            raise Damaged("a page of a pack has keys that its section has not")
        for v in tables[page.section - 1]:
            expected = v.place < page.high and v.until >= page.low
            if page.first <= v.key < page.first + page.keys and expected != bool(v.holders >> bit & 1):
                node.entries.append(v.entry)
        if any((a.key, a.begun) == (b.key, b.begun) for a, b in pairwise(node.entries)):
            raise Damaged("a page of a pack has two versions of one key and commit")
        found.append(node)
    return found


# ---- writing: each page a section by itself, all values whole -------------------------------------------------------


def number(value: int) -> bytes:
    """A varint."""
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def numbers(values: Sequence[int]) -> bytes:
    return b"".join(map(number, values))


def section_streams(node: Node) -> tuple[list[bytes], list[int]]:
    """-> its streams, and how many keys, versions and commits there are."""
    commits = sorted({entry.begun for entry in node.entries})
    places = {commit: place for place, commit in enumerate(commits)}
    keys = [(key, list(entries)) for key, entries in groupby(node.entries, lambda entry: entry.key)]
    shared = [0, *(shared_bytes(one, other) for (one, _), (other, _) in pairwise(keys))]
    parts = [(share, key[share:]) for share, (key, _) in zip(shared, keys, strict=True)]
    begun, children, tags, values = list[int](), list[int](), b"", list[bytes]()
    for _, entries in keys:
        before = len(commits) - 1
        for entry in entries:
            begun.append(before - places[entry.begun])
            before = places[entry.begun]
    child = 0
    for entry in node.entries:
        if isinstance(entry.value, Ref):
            delta, child = entry.value.page - child, entry.value.page
            children.append((2 * delta if delta >= 0 else -2 * delta - 1) << 1 | bool(entry.value.tag))
            tags += entry.value.tag.to_bytes(4, "little") if entry.value.tag else b""
        elif entry.form != TOMBSTONE:
            values.append(entry.value)
    leaf = node.kind == LEAF
    forms = [{TOMBSTONE: 0, VALUE: 1, OVERFLOW: 2}[entry.form] for entry in node.entries] if leaf else []
    sizes = [len(e.value) for e in node.entries if leaf and e.form == VALUE and isinstance(e.value, bytes)]
    return [
        numbers([commit - (commits[i - 1] + 1 if i else 0) for i, commit in enumerate(commits)]),
        number(0) + numbers([part for share, rest in parts for part in (share, len(rest))]),
        b"".join(rest for _, rest in parts),
        numbers([len(entries) - 1 for _, entries in keys]), numbers(begun), bytes(len(node.entries)),
        numbers(forms), numbers(sizes), b"", numbers(children), tags, b"".join(values),
    ], [len(keys), len(node.entries), len(commits)]


def encode(pages: Sequence[Node | bytes], page_size: int) -> bytes:
    """A pack of these pages."""
    all_streams, rests, sections, said = list[bytes](), list[bytes](), list[bytes](), b""
    for page in pages:
        if isinstance(page, bytes):
            rests.append(page[24:].rstrip(b"\0"))
            said += numbers([0, int.from_bytes(page[16:24], "little"), page[4], page[5], page[6] | page[7] << 8])
            continue
        streams_, counts = section_streams(page)
        all_streams += streams_
        sections.append(numbers([page.kind, page.owner, page.key_size, *counts, 0]))
        said += numbers([len(sections), page.writer, page.level, 0, counts[0], 0, counts[2]])
    all_streams += [*rests, number(len(sections)) + b"".join(sections) + said]
    content = numbers([len(all_streams), *map(len, all_streams)]) + b"".join(all_streams)
    head = bytes([1, len(pages), page_size.bit_length() - 1, 0]) + len(content).to_bytes(4, "little")
    return head + zstandard.ZstdCompressor(level=3).compress(content)
