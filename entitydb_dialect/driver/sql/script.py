"""A script as its statements. The scanner is native/sqlscript.c."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..._native import ffi, lib

_MOST = 256 * 1024  # bytes that are executed as one


class Run(NamedTuple):
    """A statement of a script, or several INSERTs of constants into one table that follow each other.

    Attributes:
        text: all of it, with semicolons between statements.
        statements: one by one.
    """

    text: str
    statements: list[str]


def runs(sql: str) -> Iterator[Run]:
    """The statements of a script, without the semicolons behind them; trigger bodies stay whole; empty ones are left
    out. INSERTs of constants that begin alike, up to VALUES, come together."""
    data = sql.encode(errors="surrogatepass")
    piece = ffi.new("sql_piece *")
    at = begins = ends = 0
    head = b""  # how the statements so far begin; empty: nothing may follow them
    pieces: list[str] = []
    while lib.sql_next(data, len(data), at, piece):
        start, end, at = piece.start, piece.end, piece.next
        insert = data[start : piece.head]  # empty unless it is one of constants
        if pieces and not (head and insert == head and end - begins < _MOST):
            yield Run(_text(data, begins, ends), pieces)
            pieces = []
        if not pieces:
            begins, head = start, insert
        ends = end
        pieces.append(_text(data, start, end))
    if pieces:
        yield Run(_text(data, begins, ends), pieces)


def _text(data: bytes, start: int, end: int) -> str:
    return data[start:end].decode(errors="surrogatepass")


def split_statements(sql: str) -> list[str]:
    """The statements of a script; see runs()."""
    return [statement for run in runs(sql) for statement in run.statements]


__all__ = ["Run", "runs", "split_statements"]
