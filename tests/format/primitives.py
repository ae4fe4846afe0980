"""Numbers, checksums and constants of the format, which every part of the reader shares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

RECORD_MAGIC = 0x43455245
RECORD = 4096                       # bytes of a slot of the ring
FOREVER = 2**48 - 1


class Damaged(Exception):
    """The file is not as the description says. `page`: where, 0 when it is no page."""

    def __init__(self, sentence: str, page: int = 0) -> None:
        super().__init__(sentence, page)
        self.page = page


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _table()


def crc32c(data: bytes) -> int:
    crc, table = 0xFFFFFFFF, _CRC
    for byte in bytes(data):
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


@lru_cache(maxsize=1 << 16)
def page_checksum(page: bytes) -> int:
    """A page's tag: never 0."""
    return crc32c(page[4:]) or 1        # cached: tests read the same pages again and again


def u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def u40(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 5], "little")


def u48(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 6], "little")


def u64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def i64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little", signed=True)


def varint_bytes(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def varint(data: bytes, at: int) -> tuple[int, int]:
    """-> the number, and where what follows it begins."""
    value = shift = 0
    while True:
        if at >= len(data) or shift >= 70:
            raise Damaged("a varint does not end")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


@dataclass(frozen=True)
class Ref:
    """A pointer to a page."""

    page: int
    tag: int
