"""Python's side of the primitives' binding: values in, bytes out."""

from __future__ import annotations

NULL, INTEGER, REAL, TEXT, BLOB = range(5)
COLLATIONS = {"BINARY": 0, "NOCASE": 1, "RTRIM": 2}

Value = None | int | float | str | bytes


class Primitives:
    def __init__(self, native) -> None:
        self.ffi, self.lib = native.ffi, native.lib
        self._kept: list[object] = []       # what the last values built point to

    def fill(self, out, value: Value) -> None:
        """Put a Python value into a test_value."""
        if value is None:
            out.type = NULL
        elif isinstance(value, int):
            out.type, out.integer = INTEGER, value
        elif isinstance(value, float):
            out.type, out.real = REAL, value
        else:
            data = value.encode() if isinstance(value, str) else value
            kept = self.ffi.new("uint8_t[]", data or b"\0")
            self._kept.append(kept)
            out.type, out.bytes, out.size = (TEXT if isinstance(value, str) else BLOB), kept, len(data)

    def values(self, values: list[Value]):
        self._kept = []
        array = self.ffi.new("test_value[]", len(values) + 1)
        for i, value in enumerate(values):
            self.fill(array[i], value)
        return array

    def read(self, value) -> Value:
        if value.type == NULL:
            return None
        if value.type == INTEGER:
            return value.integer
        if value.type == REAL:
            return value.real
        data = bytes(self.ffi.buffer(value.bytes, value.size))
        return data.decode(errors="surrogateescape") if value.type == TEXT else data  # damage may be no UTF-8

    def key(self, value: Value, collation: str = "BINARY", descending: bool = False) -> bytes:
        array = self.values([value])
        bound = self.lib.test_key_bound(array)
        out = self.ffi.new("uint8_t[]", bound)
        size = self.lib.test_key_encode(out, array, COLLATIONS[collation], descending)
        assert size <= bound
        return bytes(self.ffi.buffer(out, size))

    def part_size(self, key: bytes, descending: bool = False) -> int:
        return self.lib.test_key_part_size(self.ffi.from_buffer("uint8_t[]", key), len(key), descending)

    def decode(self, key: bytes, descending: bool = False, integral: bool = False) -> tuple[int, Value]:
        """Bytes used (0: invalid) and the value."""
        data = self.ffi.new("uint8_t[]", key or b"\0")
        scratch = self.ffi.new("uint8_t[]", len(key) + 1)
        out = self.ffi.new("test_value *")
        used = self.lib.test_key_decode(data, len(key), descending, integral, scratch, out)
        return used, self.read(out) if used else None

    def restores(self, value: Value, collation: str = "BINARY", integral: bool = False) -> bool:
        return self.lib.test_key_restores(self.values([value]), COLLATIONS[collation], integral)

    def row(self, values: list[Value]) -> bytes:
        array = self.values(values)
        bound = self.lib.test_row_bound(array, len(values))
        out = self.ffi.new("uint8_t[]", bound)
        size = self.lib.test_row_encode(out, array, len(values))
        assert size <= bound
        return bytes(self.ffi.buffer(out, size))

    def replaced(self, row: bytes, values: list[Value], changed: list[bool]) -> bytes | None:
        """The row with new values in the flagged columns, None if it is damaged."""
        room = len(row) + 5 * len(values) + 20 + sum(len(v) * 4 if isinstance(v, str | bytes) else 8 for v in values)
        data, out = self.ffi.from_buffer("uint8_t[]", row or b"\0"), self.ffi.new("uint8_t[]", room)
        flags = self.ffi.new("bool[]", changed or [False])
        size = self.lib.test_row_replace(data, len(row), self.values(values), flags, out, room)
        return None if size < 0 else bytes(self.ffi.buffer(out, size))

    def columns(self, row: bytes) -> list[Value] | None:
        """The row's columns, None if it is damaged."""
        data = self.ffi.new("uint8_t[]", row or b"\0")
        out = self.ffi.new("test_value[]", 4000)
        count = self.lib.test_row_decode(data, len(row), out, 4000)
        return None if count < 0 else [self.read(out[i]) for i in range(count)]
