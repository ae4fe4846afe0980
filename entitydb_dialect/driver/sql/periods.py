"""FOR SYSTEM_TIME behind a table's name: which moment or interval it says.

    FOR SYSTEM_TIME AS OF m | FROM a TO b | BETWEEN a AND b | CONTAINED IN (a, b) | ALL

A moment is an expression of operands with arithmetic signs and || between them. `TIMESTAMP` or `DATE` before a text,
and `TRANSACTION` before a number, are taken too.
"""

from __future__ import annotations

from typing import NamedTuple

from .text import Range, Text
from .tokens import CONSTANTS, LIST, OPERATOR, QUOTED, WORD

AS_OF, FROM_TO, BETWEEN, CONTAINED_IN, ALL = "as of", "from to", "between", "contained in", "all"

_BINARY = frozenset(("+", "-", "*", "/", "%", "||", "&", "|", "<<", ">>", "->", "->>"))
_UNARY = frozenset(("+", "-", "~"))


class Period(NamedTuple):
    """A clause FOR SYSTEM_TIME.

    Attributes:
        tokens: all of it.
        kind: one of the constants of this module; "" if what follows FOR SYSTEM_TIME is none of them.
        moments: the tokens of its moments, in their order.
    """

    tokens: Range
    kind: str
    moments: tuple[Range, ...] = ()


def is_period(text: Text, at: int) -> bool:
    """Does a clause begin here?"""
    return text.upper(at) == "FOR" and text.upper(at + 1) == "SYSTEM_TIME"


def read_period(text: Text, at: int) -> Period:
    """The clause that begins at a token."""
    start, at = at, at + 2
    word, next_word = text.upper(at), text.upper(at + 1)
    if word == "ALL":
        return Period((start, at + 1), ALL)
    if word == "AS" and next_word == "OF":
        end = behind_moment(text, at + 2)
        return Period((start, end), AS_OF if end > at + 2 else "", ((at + 2, end),))
    if word == "CONTAINED" and next_word == "IN" and text.upper(at + 2) == "(":
        closing = text.closing(at + 2)
        found = _two(text, at + 3, ",")
        fits = found is not None and found[1][1] == closing
        return Period((start, min(closing + 1, len(text))), CONTAINED_IN if fits else "", found or ())
    if word in ("FROM", "BETWEEN"):
        found = _two(text, at + 1, "TO" if word == "FROM" else "AND")
        if found is not None:
            return Period((start, found[1][1]), FROM_TO if word == "FROM" else BETWEEN, found)
    return Period((start, at), "")


def _two(text: Text, at: int, between: str) -> tuple[Range, Range] | None:
    end = behind_moment(text, at)
    if end == at or text.upper(end) != between:
        return None
    last = behind_moment(text, end + 1)
    return None if last == end + 1 else ((at, end), (end + 1, last))


def behind_moment(text: Text, at: int) -> int:
    """The token behind the expression that begins at one; that one itself if none begins there."""
    end = _behind_operand(text, at)
    while end > at:
        if text.upper(end) == "COLLATE":
            end += 2
        elif text.kinds[end : end + 1] == bytes((OPERATOR,)) and text.upper(end) in _BINARY:
            behind = _behind_operand(text, end + 1)
            if behind == end + 1:
                return end
            end = behind
        else:
            return min(end, len(text))
    return at


def _behind_operand(text: Text, at: int) -> int:
    """Likewise, of one operand."""
    start = at
    while text.upper(at) in _UNARY:
        at += 1
    if at >= len(text):
        return start
    kind, upper = text.kinds[at], text.uppers[at]
    if upper == "(":
        return min(text.closing(at) + 1, len(text))
    if kind == LIST or kind in CONSTANTS:
        return at + 1
    if kind not in (WORD, QUOTED):
        return start
    if upper in ("TIMESTAMP", "DATE", "TRANSACTION") and text.upper(at + 1) != "(" and text.upper(at + 1) != ".":
        behind = _behind_operand(text, at + 1)
        if behind > at + 1:
            return behind
    if upper == "CASE":
        return _behind_case(text, at)
    at += 1
    while text.upper(at) == "." and text.is_name(at + 1):
        at += 2
    return min(text.closing(at) + 1, len(text)) if text.upper(at) == "(" else at


def _behind_case(text: Text, at: int) -> int:
    depth = 0
    while at < len(text):
        depth += (text.uppers[at] == "CASE") - (text.uppers[at] == "END")
        at += 1
        if depth == 0:
            return at
    return at


__all__ = ["ALL", "AS_OF", "BETWEEN", "CONTAINED_IN", "FROM_TO", "Period", "behind_moment", "is_period", "read_period"]
