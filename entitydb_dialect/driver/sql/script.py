"""A script as its statements. The scanner is native/sqlscript.c."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..._native import ffi, lib

_MOST = 256 * 1024  # bytes that are executed as one


class Run(NamedTuple):
    """A statement of a script, or several INSERTs of constants into one table that follow each other.

    Attributes:
        script: in UTF-8.
        places: where in it each statement begins and ends.
    """

    script: bytes
    places: list[tuple[int, int]]

    @property
    def first(self) -> str:
        return _text(self.script, *self.places[0])

    @property
    def statements(self) -> list[str]:
        return [_text(self.script, *place) for place in self.places]

    @property
    def text(self) -> str:
        """All of it, with semicolons between statements."""
        return _text(self.script, self.places[0][0], self.places[-1][1])


def runs(sql: str) -> Iterator[Run]:
    """The statements of a script, without the semicolons behind them; trigger bodies stay whole; empty ones are left
    out. INSERTs of constants that begin alike, up to VALUES, come together."""
    data = sql.encode(errors="surrogatepass")
    piece = ffi.new("sql_piece *")
    at = 0
    head = b""  # how the statements so far begin; empty: nothing may follow them
    places: list[tuple[int, int]] = []
    while lib.sql_next(data, len(data), at, piece):
        start, end, at = piece.start, piece.end, piece.next
        insert = data[start : piece.head]  # empty unless it is one of constants
        if places and not (head and insert == head and end - places[0][0] < _MOST):
            yield Run(data, places)
            places = []
        if not places:
            head = insert
        places.append((start, end))
    if places:
        yield Run(data, places)


def _text(data: bytes, start: int, end: int) -> str:
    return data[start:end].decode(errors="surrogatepass")


def split_statements(sql: str) -> list[str]:
    """The statements of a script; see runs()."""
    return [statement for run in runs(sql) for statement in run.statements]


__all__ = ["Run", "runs", "split_statements"]
