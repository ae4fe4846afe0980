"""Statements with more parameters than SQLite was built for: 32,766, where some builds take 250,000.

Parameters that are elements of IN (...) or of rows of VALUES are written into the text, so that the others fit:

    SELECT * FROM t WHERE a IN (?, ?, ...) AND b = ?     with 7, 'x', 0.1, ... and 5

becomes

    SELECT * FROM t WHERE a IN (7, 'x', 0.1, ...) AND b = ?1

A constant means in these places what a parameter with its value means, since neither has an affinity or a collation.
SQLite reads the digits that Python writes of a float as that float again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from ... import _exceptions as ex
from .._errors import binding_error, wrong_number
from ..sql.statement import Statement
from ..sql.tokens import LIST, MOST_VARIABLES, VARIABLE, parameters_of

SHORTEST = 2 * MOST_VARIABLES  # no shorter text has too many parameters


def has_too_many(statement: Statement) -> bool:
    """Has it more parameters than SQLite takes, all of them bare? For texts longer than SHORTEST."""
    count = 0
    for at, kind in enumerate(statement.kinds):
        if kind == LIST:
            count += statement.written(at).count("?")
        elif kind == VARIABLE:
            if statement.written(at) != "?":
                return False
            count += 1
    return count > MOST_VARIABLES


def with_fewer(statement: Statement, parameters: Any) -> tuple[str, Sequence[Any]]:
    """The text and the parameters that are left.

    Raises ProgrammingError when the parameters do not fit, OperationalError when too many have to stay.
    """
    places = list(_places(statement))
    if not isinstance(parameters, Sequence) or isinstance(parameters, (str, bytes)):
        raise ex.ProgrammingError("parameters are of unsupported type")
    if len(parameters) != len(places):
        raise wrong_number(len(places), len(parameters))
    refused = binding_error(parameters)
    if refused is not None:
        raise refused
    kept: list[Any] = []
    pieces: list[str] = []
    at = 0
    for (start, is_element), value in zip(places, parameters, strict=True):
        text = _literal(value) if is_element else None
        if text is None:
            kept.append(value)
            text = f"?{len(kept)}"
        pieces += (statement.sql[at:start], text)
        at = start + 1
    if len(kept) > MOST_VARIABLES:
        raise ex.OperationalError("too many SQL variables")
    pieces.append(statement.sql[at:])
    return "".join(pieces), kept


def _places(statement: Statement) -> Iterator[tuple[int, bool]]:
    """Where each parameter stands, and whether it is an element of IN (...) or of a row of VALUES."""
    kinds, starts, words = statement.kinds, statement.starts, statement.uppers
    inside: list[str] = []  # what each parenthesis that is open holds: "IN", "ROW" or something else
    row_end = -1  # the token with which the last row ended
    for at, kind in enumerate(kinds):
        before = words[at - 1] if at else ""
        is_row = before == "VALUES" or (before == "," and row_end == at - 2)
        if kind == LIST:
            written = statement.written(at)
            is_list_of_rows = written[0] == "("
            is_element = is_row if is_list_of_rows else _is_element(words, at, inside)
            for start in parameters_of(starts[at], written):
                yield start, is_element
            if is_list_of_rows and is_row:
                row_end = at
        elif kind == VARIABLE:
            yield starts[at], _is_element(words, at, inside)
        elif words[at] == "(":
            inside.append("ROW" if is_row else "IN" if before == "IN" else "")
        elif words[at] == ")" and inside and inside.pop() == "ROW":
            row_end = at


def _is_element(words: list[str], at: int, inside: list[str]) -> bool:
    behind = words[at + 1] if at + 1 < len(words) else ""
    return bool(inside and inside[-1]) and words[at - 1] in ("(", ",") and behind in (",", ")")


def _literal(value: Any) -> str | None:
    """A value as SQL; None: it stays a parameter, and will be refused."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(int(value)) if -(2**63) <= value < 2**63 else None
    if isinstance(value, float):
        if math.isnan(value):
            return "NULL"  # as it is bound
        return repr(float(value)) if math.isfinite(value) else "9e999" if value > 0 else "-9e999"
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return None
        quoted = "'" + value.replace("'", "''") + "'"
        return quoted if "\0" not in value else "(" + quoted.replace("\0", "'||char(0)||'") + ")"
    return f"x'{bytes(memoryview(value)).hex()}'"


__all__ = ["SHORTEST", "has_too_many", "with_fewer"]
