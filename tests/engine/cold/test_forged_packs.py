"""Packs whose bytes are not as they were written end in the damage error, or give pages that can be used.

Three kinds: bytes of the pack itself; bytes of the plain content, compressed anew, so that zstd finds nothing wrong;
and every number of the content set to each extreme.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from format import packs
from format.primitives import Damaged, varint
from format.reader import decode_node

from .made_pages import CORRUPT, PackError, node, pack, same_entries, tree_pages, unpack

EXTREMES = (0, 1, 2, 7, 127, 128, 255, 2**16 - 1, 2**31, 2**32 - 1, 2**40, 2**48 - 1, 2**63, 2**64 - 1)


def varint_bytes(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def compressed(head: bytes, content: bytes) -> bytes:
    return head[:4] + (len(content) & 0xFFFFFFFF).to_bytes(4, "little") + zstandard.compress(content)


def joined(streams: list[bytes]) -> bytes:
    return b"".join([varint_bytes(len(streams)), *(varint_bytes(len(s)) for s in streams), *streams])


def survives(forged: bytes, page_size: int) -> bool:
    """Whether the pack was taken; what it gives is then a page in order, by the engine's and the reader's measure."""
    try:
        pages = unpack(forged, page_size)
    except PackError as error:
        assert error.args[0] == CORRUPT, error
        assert "pack" in error.args[1]
        return False
    for page in pages:
        if page[4] in (1, 2):
            assert same_entries(page, page)
            decode_node(page, 1)
    return True


def agrees(forged: bytes, page_size: int) -> None:
    """The reader, if it takes the pack too, sees the same. (The engine does not look at what no page needs.)"""
    taken = survives(forged, page_size)
    try:
        read = packs.pages(forged)
    except Damaged:
        return
    if taken:
        for page, seen in zip(unpack(forged, page_size), read, strict=True):
            if isinstance(seen, packs.Node):
                meant = decode_node(page, 1)
                assert [(e.key, e.begun, e.value) for e in seen.entries] == [
                    (e.key, e.begun, e.value) for e in meant.entries]


@pytest.fixture
def some_packs(native: Any, tmp_path: Path, rng: random.Random) -> list[tuple[bytes, int]]:
    found = []
    for key_size in (8, 0):
        pages = tree_pages(tmp_path / "t.edb", rng.randrange(2**32), 512, key_size, 40)
        kinds: dict[int, list[bytes]] = {}
        for page in pages:
            kinds.setdefault(page[4], []).append(page)
        found += [(pack(same[:8]), 512) for same in kinds.values()]
        found.append((pack(rng.sample(pages, 6)), 512))
    return found


def test_pages_of_another_size_are_refused(some_packs: list[tuple[bytes, int]]) -> None:
    for packed, _ in some_packs:
        with pytest.raises(PackError, match="another size"):
            unpack(packed, 1024)


def test_a_page_that_the_pack_does_not_have_is_refused(some_packs: list[tuple[bytes, int]]) -> None:
    page = node(512, True, 8, [])
    assert page
    assert unpack(pack([page]), 512, page=0)
    packed = pack([page, page])
    forged = compressed(packed[:1] + b"\x01" + packed[2:4], packs.plain(packed))
    assert not survives(forged, 512)


def test_a_truncated_pack_is_refused(some_packs: list[tuple[bytes, int]], rng: random.Random) -> None:
    for packed, size in some_packs:
        for n in {*range(12), *(rng.randrange(len(packed)) for _ in range(40)), len(packed) - 1}:
            assert not survives(packed[:n], size)


def test_flipped_bits_of_a_pack_crash_nothing(some_packs: list[tuple[bytes, int]], rng: random.Random) -> None:
    for packed, size in some_packs:
        for _ in range(150):
            forged = bytearray(packed)
            for _ in range(rng.choice([1, 1, 3])):
                forged[rng.randrange(len(forged))] ^= 1 << rng.randrange(8)
            survives(bytes(forged), size)


def test_a_content_that_says_another_size_is_refused(some_packs: list[tuple[bytes, int]]) -> None:
    for packed, size in some_packs:
        content = packs.plain(packed)
        for said in (0, 1, len(content) - 1, len(content) + 1, 2 * packed[1] * size + 1024, 2**20, 2**31, 2**32 - 1):
            assert not survives(packed[:4] + said.to_bytes(4, "little") + packed[8:], size)


def test_a_frame_that_unpacks_to_more_than_it_says_is_refused(some_packs: list[tuple[bytes, int]]) -> None:
    packed, size = some_packs[0]
    bomb = zstandard.compress(bytes(1 << 28))
    assert not survives(packed[:8] + bomb, size)


@pytest.mark.parametrize("times", [40, pytest.param(1500, marks=pytest.mark.slow)])
def test_flipped_bits_of_the_content_crash_nothing(
    some_packs: list[tuple[bytes, int]], rng: random.Random, times: int
) -> None:
    for packed, size in some_packs:
        content = packs.plain(packed)
        for _ in range(times):
            forged = bytearray(content)
            for _ in range(rng.choice([1, 1, 2, 5])):
                forged[rng.randrange(len(forged))] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
            agrees(compressed(packed, bytes(forged)), size)


def numbers(stream: bytes) -> Iterator[tuple[int, int]]:
    """Where each varint of a stream begins and ends."""
    at = 0
    while at < len(stream):
        try:
            _, after = varint(stream, at)
        except Damaged:
            return
        yield at, after
        at = after


@pytest.mark.parametrize("share", [0.04, pytest.param(1, marks=pytest.mark.slow)])
def test_each_number_at_its_extremes_crashes_nothing(
    some_packs: list[tuple[bytes, int]], rng: random.Random, share: float
) -> None:
    refused = 0
    for packed, size in some_packs:
        streams = packs.streams(packs.plain(packed))
        for i, stream in enumerate(streams):
            # The last stream says what there is: all of it. Of the others a sample.
            places = list(numbers(stream))
            if i < len(streams) - 1:
                places = rng.sample(places, min(len(places), 4))
            for at, after in places:
                for value in EXTREMES:
                    if rng.random() < share or (share == 1 and i == len(streams) - 1):
                        forged = [*streams]
                        forged[i] = stream[:at] + varint_bytes(value) + stream[after:]
                        refused += not survives(compressed(packed, joined(forged)), size)
    assert refused > 20


@pytest.mark.parametrize("share", [0.1, pytest.param(1, marks=pytest.mark.slow)])
def test_streams_that_are_cut_or_missing_crash_nothing(
    some_packs: list[tuple[bytes, int]], rng: random.Random, share: float
) -> None:
    for packed, size in some_packs:
        streams = packs.streams(packs.plain(packed))
        for i in range(len(streams)):
            if rng.random() < share:
                agrees(compressed(packed, joined(streams[:i] + streams[i + 1 :])), size)
                agrees(compressed(packed, joined([*streams[:i], b"", *streams[i + 1 :]])), size)
                agrees(compressed(packed, joined([*streams[:i], streams[i][:-1], *streams[i + 1 :]])), size)
                agrees(compressed(packed, joined([*streams[:i], streams[i] * 2, *streams[i + 1 :]])), size)
        for sizes in ([0] * 5, [2**32 - 1] * len(streams), [2**63, 2**63, *map(len, streams)]):
            content = b"".join([varint_bytes(len(sizes)), *map(varint_bytes, sizes), *streams])
            assert not survives(compressed(packed, content), size)


def test_rows_that_grow_beyond_a_page_are_refused(native: Any) -> None:
    """A row in which nothing differs costs a byte; here 4,000 of them say that they are of a page."""
    big = packs.encode_row([(5, b"x" * 100)])
    page = node(512, True, 8, [(bytes(8), 9, big, False), (bytes(8), 8, big, False), (bytes(8), 7, big, False)])
    assert page
    packed = pack([page] * 16)
    streams = packs.streams(packs.plain(packed))
    said = [varint(streams[-1], at)[0] for at, _ in numbers(streams[-1])]
    assert said[1:8] == [1, 3, 8, 1, 3, 3, 1]
    # 800 versions: of commits 1 .. 800, each a row like the one before.
    said[5] = said[6] = 800
    for i in range(16):
        said[8 + 7 * i + 6] = 2**32 - 1
    streams[-1] = b"".join(map(varint_bytes, said))
    streams[0] = bytes([1] + [0] * 799)
    streams[3] = varint_bytes(799)
    streams[4] = bytes([0] + [1] * 799)
    streams[5] = bytes(800)
    streams[6] = bytes([3]) * 800
    streams[8] = bytes(799)
    forged = compressed(packed, joined(streams))
    assert len(packs.versions(packs.contents(forged)[0][0])) == 800
    with pytest.raises(PackError, match="larger than a page"):
        unpack(forged, 512)
