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


def scan(native, data: bytes) -> list[Found]:
    out = native.ffi.new("sql_token[]", len(data) + 1)
    count = native.lib.sql_tokens(native.ffi.from_buffer("char[]", data), len(data), out)
    assert count <= len(data)
    return [(KINDS[t.kind], t.start, t.end, t.partner) for t in out[0:count]]


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


def test_random_text_has_the_tokens_of_the_model(native, rng: random.Random) -> None:
    for _ in range(20_000):
        sql = "".join(rng.choice(PIECES) for _ in range(rng.randrange(15)))
        found = scan(native, sql.encode(errors="surrogatepass"))
        assert spread(sql, found) == token_model.tokens(sql), sql
        whole = [(kind, sql[start:end], start) for kind, start, end, _ in found]
        assert [partner for *_, partner in found] == token_model.partners(whole), sql


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


def test_any_bytes_are_taken(native, rng: random.Random) -> None:
    """Bytes that are no UTF-8 too: SQLite says what it thinks of them. Under the sanitizers a read outside would end
    the process, since the memory is of just this size."""
    common = b"'\"`[]()?,. \n-/*xX0e\xc3\xa9\xff\x80\0"
    for _ in range(5_000):
        size = rng.randrange(40)
        data = bytes(rng.choice(common) if rng.random() < 0.8 else rng.randrange(256) for _ in range(size))
        memory = native.ffi.new("char[]", data)[0:size] if size else native.ffi.new("char[]", 1)
        out = native.ffi.new("sql_token[]", size + 1)
        count = native.lib.sql_tokens(memory, size, out)
        assert count <= size
        ends = [0, *(t.end for t in out[0:count])]
        assert all(ends[i] <= out[i].start < out[i].end for i in range(count) if data.isascii())
