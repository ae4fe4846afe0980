"""The statements of a script against a model."""

from __future__ import annotations

import random

import pytest
import token_model

PIECES = (
    *("SELECT", "CREATE", "TEMP", "TRIGGER", "t", "BEGIN", "begin", "CASE", "END", ";", ";", ";;", "-- ;\n", "/* ; */"),
    *("';'", '";"', "[;]", "x", "1", "(", ")", ",", "INSERT INTO t VALUES (1, 'a;b')", "INSERT INTO", "VALUES", "NULL"),
    *("INSERT INTO main.t(a, [b]) VALUES", "(-1.5, x'00', +2)", "é", "'open", "a()", '"q"', "?", "OR", "INSERT"),
)  # fmt: skip


KEYWORDS = ("SELECT", "CREATE", "TRIGGER", "BEGIN", "CASE", "END", "OR", "NULL", "INSERT", "INTO", "VALUES")


def split(sql: str) -> list[str]:
    """The statements, without their semicolons; trigger bodies stay whole; empty ones are left out."""
    result = []
    start: int | None = None
    end = depth = 0
    head: list[str] = []
    for kind, text, at in token_model.tokens(sql):
        if text == ";" and depth == 0:
            if start is not None:
                result.append(sql[start:end])
            start, head = None, []
            continue
        start = at if start is None else start
        end = at + len(text)
        upper = text.upper() if kind == "word" else ""
        head = [*head, upper][:4]
        if head[0] == "CREATE" and "TRIGGER" in head:
            depth += upper in ("BEGIN", "CASE")
            depth -= upper == "END" and depth > 0
    return [*result, sql[start:end]] if start is not None else result


def values_end(statement: str) -> int:
    """Where VALUES ends in an INSERT of constants alone; 0: it is another statement."""
    found = token_model.tokens(statement)
    words = [text.upper() if kind == "word" else text if kind == "operator" else "" for kind, text, _ in found]
    if words[:2] != ["INSERT", "INTO"] or "VALUES" not in words:
        return 0
    at = words.index("VALUES")
    named = ("string", "quoted")
    head = all(
        kind in named or word in (".", "(", ")", ",") or (kind == "word" and word not in KEYWORDS)
        for (kind, _, _), word in zip(found[2:at], words[2:at], strict=True)
    )
    rest = all(
        kind in ("number", "string", "blob") or word in ("NULL", "(", ")", ",", "-", "+")
        for (kind, _, _), word in zip(found[at + 1 :], words[at + 1 :], strict=True)
    )
    return found[at][2] + len("VALUES") if head and rest else 0


def statements(native, sql: str) -> list[tuple[str, int]]:
    data = sql.encode()
    memory = native.ffi.new("char[]", max(len(data), 1))  # of just this size, for the sanitizers
    native.ffi.memmove(memory, data, len(data))
    piece = native.ffi.new("sql_piece *")
    found, at = [], 0
    while native.lib.sql_next(memory, len(data), at, piece):
        assert at <= piece.start < piece.end <= piece.next <= len(data)
        head = len(data[piece.start : piece.head].decode()) if piece.head else 0
        found.append((data[piece.start : piece.end].decode(), head))
        at = piece.next
    return found


@pytest.mark.slow
def test_a_random_script_has_the_statements_of_the_model(native, rng: random.Random) -> None:
    for _ in range(10_000):
        sql = rng.choice(("", " ", "")).join(f"{rng.choice(PIECES)} " for _ in range(rng.randrange(20)))
        expected = [(statement, values_end(statement)) for statement in split(sql)]
        assert statements(native, sql) == expected, sql


@pytest.mark.parametrize("size", [0, 1, 7])
def test_what_is_behind_the_bytes_is_not_read(native, size: int) -> None:
    piece = native.ffi.new("sql_piece *")
    assert native.lib.sql_next(b"SELECT;SELECT", size, 0, piece) == (size > 0)
    assert piece.end == min(size, 6)
    assert not native.lib.sql_next(b"SELECT", 6, 6, piece)
