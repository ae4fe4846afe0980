"""The scanner of SQL text against a model, and on bytes that are no text."""

from __future__ import annotations

import random

import pytest
import token_model

KINDS = ("word", "operator", "quoted", "string", "number", "blob", "variable", "list", "bad")
PIECES = (
    *("SELECT", "x", "X", "'", '"', "`", "[", "]", "(", ")", "?", "?1", "?, ", "(?,?)", ", ", " ", "--", "\n", "/*"),
    *("*/", "0x1F", "0x", "1.5e-3", "1e", "1.", "..", ".5", "1_0", ":a", "@", "$a", "#", "é", "日本", "'it''s'"),
    *("x'00'", "->>", "->", "<=", "||", "!", "\0", "\x0b", "\ud800", "a$", "_b", "''", "?,?,?,?,?,?,?,?,?", "/"),
    *("-", "e5", "E+", ";"),
    "(?),(?),(?),(?),(?),(?),(?),(?),(?)",
)  # fmt: skip

Found = tuple[str, int, int, int]  # kind, start, end, partner


class Read:
    """What sql_read() gives for some bytes."""

    def __init__(self, native, data: bytes) -> None:
        head = native.ffi.sizeof("sql_shape")
        size = len(data)
        memory = native.ffi.new("char[]", max(size, 1))
        native.ffi.memmove(memory, data, size)
        # The room is one of bytes, of just the size that is asked for, so that the sanitizers see what goes beyond it.
        room = native.ffi.new("int32_t[]", head // 4 + 4 * size)
        used = native.lib.sql_read(memory, size, room)
        self.packed = bytes(native.ffi.buffer(room))[:used]
        shape = native.ffi.cast("sql_shape *", room)
        self.shape = {name: getattr(shape, name) for name, _ in native.ffi.typeof("sql_shape").fields}
        self.count = shape.tokens
        assert used == head + 14 * self.count + shape.words <= head + 16 * size
        numbers = [room[head // 4 + i] for i in range(3 * self.count)]
        self.partners, self.starts, self.ends = (numbers[i * self.count : (i + 1) * self.count] for i in range(3))
        at = head + 12 * self.count
        self.kinds, self.codes = self.packed[at : at + self.count], self.packed[at + self.count : at + 2 * self.count]
        self.words = self.packed[at + 2 * self.count :].split(b"\n") if self.count else []

    @property
    def found(self) -> list[Found]:
        kinds = [KINDS[kind] for kind in self.kinds]
        return list(zip(kinds, self.starts, self.ends, self.partners, strict=True))


def scan(native, data: bytes) -> list[Found]:
    return Read(native, data).found


def spread(sql: str, found: list[Found]) -> list[token_model.Token]:
    """The tokens with lists as what they consist of."""
    result: list[token_model.Token] = []
    for kind, start, end, _ in found:
        text = sql[start:end]
        if kind == "list":
            inner = token_model.tokens(text)
            assert {one for _, one, _ in inner} <= {"?", ",", "(", ")"}
            result += [(kind, one, at + start) for kind, one, at in inner]
        else:
            result.append((kind, text, start))
    return result


def in_bytes(sql: str, found: list[Found]) -> list[tuple[str, int, int]]:
    """Kinds and offsets in bytes."""
    places = [len(sql[:at].encode(errors="surrogatepass")) for at in range(len(sql) + 1)]
    return [(kind, places[start], places[end]) for kind, start, end, _ in found]


@pytest.mark.slow
def test_random_text_has_the_tokens_of_the_model(native, rng: random.Random) -> None:
    for _ in range(20_000):
        sql = "".join(rng.choice(PIECES) for _ in range(rng.randrange(15)))
        data = sql.encode(errors="surrogatepass")
        read = Read(native, data)
        found = read.found
        assert spread(sql, found) == token_model.tokens(sql), sql
        whole = [(kind, sql[start:end], start) for kind, start, end, _ in found]
        assert [partner for *_, partner in found] == token_model.partners(whole), sql
        upper = [data[a:b].upper() if kind in ("word", "operator") else b"" for kind, a, b in in_bytes(sql, found)]
        assert read.words == upper, sql


@pytest.mark.parametrize("separator", [",", ", ", " ,\n"])
@pytest.mark.parametrize("count", [7, 8, 1000])
def test_a_list_of_parameters_is_one_token_from_eight_on(native, count: int, separator: str) -> None:
    sql = f"a IN ({separator.join('?' * count)}) AND b = ?"
    kinds = [kind for kind, *_ in scan(native, sql.encode())]
    assert ("list" in kinds) == (count >= 8)
    assert len(kinds) == (9 if count >= 8 else 7 + 2 * count)


@pytest.mark.parametrize("row", ["(?)", "(?, ?)", "( ? ,? , ? )"])
@pytest.mark.parametrize("count", [7, 8, 1000])
def test_rows_of_parameters_are_one_token_from_eight_on(native, count: int, row: str) -> None:
    found = scan(native, f"VALUES {', '.join([row] * count)}, (1)".encode())
    assert (found[1][0] == "list") == (count >= 8)


@pytest.mark.parametrize(
    "sql", ["?,?,?,?,?,?,?,?1", "?,?,?,?,?,?,?,:a", "?,?,?,?,?,?,?,", "(?),(?),(?),(?),(?),(?),(?),(1)"]
)
def test_what_is_no_bare_parameter_is_in_no_list(native, sql: str) -> None:
    assert "list" not in [kind for kind, *_ in scan(native, sql.encode())]


@pytest.mark.slow
def test_any_bytes_are_taken(native, rng: random.Random) -> None:
    """Bytes that are no UTF-8 too: SQLite says what it thinks of them. Under the sanitizers a read outside would end
    the process, since the memory is of just this size."""
    common = b"'\"`[]()?,. \n-/*xX0e\xc3\xa9\xff\x80\0"
    for _ in range(5_000):
        size = rng.randrange(40)
        data = bytes(rng.choice(common) if rng.random() < 0.8 else rng.randrange(256) for _ in range(size))
        read = Read(native, data)
        assert read.count <= size
        assert all(a <= b for a, b in zip(read.starts, read.ends, strict=True))
        assert all(a <= b for a, b in zip(read.ends, read.starts[1:], strict=False))
