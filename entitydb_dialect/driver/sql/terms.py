"""Terms of conditions, compared as they are written, and which terms imply which.

A term has one form: white space, case of letters, parentheses around the whole and the table's name before a column
make no difference. A parameter may stand for a constant, if its value is that constant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from .._catalog import Table
from .text import Range, Text
from .tokens import BAD, BLOB, LIST, NUMBER, OPERATOR, QUOTED, STRING, VARIABLE, WORD

Words = tuple[str, ...]  # a term in its one form; a parameter is _PARAMETER and where it stands
Needs = frozenset[tuple[int, str]]  # where parameters stand, and the constants that have to be their values

COLUMN = "column "  # so begins the one form of a column's name
_PARAMETER = "parameter "
_ROWID = ("rowid", "oid", "_rowid_")
_SUBQUERY = frozenset(("SELECT", "VALUES", "WITH", "EXISTS"))
_ONE_FORM = {"==": "=", "!=": "<>"}


class Names(NamedTuple):
    """What names mean a column of the table in question."""

    columns: Collection[str]  # lower case
    qualifier: str  # lower case: what may stand before the dot
    bare: bool  # a column's name alone means it too
    rowid: bool  # so does `rowid`

    @classmethod
    def of(cls, table: Table, qualifier: str, *, bare: bool = True, rowid: bool = True) -> Names:
        return cls(frozenset(column.name.lower() for column in table.columns), qualifier, bare, rowid)


# ---- the one form ----


def stripped(text: Text, tokens: Range) -> Range:
    """Without parentheses around the whole."""
    start, end = tokens
    while end - start > 2 and text.uppers[start] == "(" and text.partners[start] == end - 1:
        start, end = start + 1, end - 1
    return start, end


def split(text: Text, tokens: Range, word: str) -> list[Range] | None:
    """The parts between AND or OR outside of parentheses and CASE; None: it cannot be followed."""
    start, end = tokens
    uppers = text.uppers
    parts: list[Range] = []
    at, cases, betweens = start, 0, 0
    while at < end:
        upper = uppers[at]
        if upper == "(":
            at = text.closing(at)
            if at >= end:
                return None
        elif upper == ")":
            return None
        elif upper == "CASE":
            cases += 1
        elif upper == "END":
            cases -= 1
            if cases < 0:
                return None
        elif cases:
            pass
        elif upper == "BETWEEN":
            betweens += 1
        elif upper == "AND" and betweens:
            betweens -= 1
        elif upper == word:
            parts.append((start, at))
            start = at + 1
        at += 1
    parts.append((start, end))
    return None if cases or any(a >= b for a, b in parts) else parts


def joined_by_and(text: Text, condition: Range) -> Iterator[Range]:
    """The terms that all have to be true: what AND joins, in parentheses too, each without those around it."""
    parts = split(text, stripped(text, condition), "AND") or ()
    for part in parts:
        if len(parts) > 1:
            yield from joined_by_and(text, part)
        else:
            yield stripped(text, part)


def top_level(text: Text, at: Range) -> list[int]:
    """The tokens that are in no parentheses and in no CASE."""
    found, i = [], at[0]
    while i < at[1]:
        found.append(i)
        if text.uppers[i] == "(":
            i = text.closing(i)
        elif text.uppers[i] == "CASE":
            depth = 1
            while depth and i + 1 < at[1]:
                i += 1
                depth += (text.uppers[i] == "CASE") - (text.uppers[i] == "END")
        i += 1
    return found


def items(text: Text, at: Range) -> list[Range]:
    """What stands between commas."""
    found, start = [], at[0]
    for i in top_level(text, at):
        if text.uppers[i] == ",":
            found.append((start, i))
            start = i + 1
    return [*found, (start, at[1])]


def without_order(text: Text, at: Range) -> Range:
    """A term of ORDER BY without ASC, DESC, NULLS FIRST and NULLS LAST."""
    start, end = at
    if text.upper(end - 2) == "NULLS":
        end -= 2
    return (start, end - 1) if text.upper(end - 1) in ("ASC", "DESC") else (start, end)


def _word(text: Text, at: int, end: int, names: Names) -> str | None:
    """One token in its one form; None: nothing that an index's WHERE could have."""
    kind = text.kinds[at]
    qualified = text.upper(at - 1) == "."
    if qualified and kind not in (WORD, QUOTED):
        return None
    if kind in (WORD, QUOTED):
        name = text.name_at(at).lower()
        call = at + 1 < end and text.uppers[at + 1] == "("
        if not call or kind == QUOTED:
            if name in names.columns:
                return f"{COLUMN}{name}" if qualified or names.bare else None
            if name in _ROWID:
                return f"{COLUMN}rowid" if qualified or names.rowid else None
        return None if qualified or kind == QUOTED else text.uppers[at]
    if kind == OPERATOR:
        return _ONE_FORM.get(text.uppers[at], text.uppers[at])
    if kind == NUMBER:
        return text.written(at).lower()
    if kind == VARIABLE:
        return f"{_PARAMETER}{text.starts[at]}"
    return text.written(at) if kind in (STRING, BLOB) else None


def words(text: Text, tokens: Range, names: Names) -> Words | None:
    """A term in its one form; None: it cannot be that of an index."""
    found: list[str] = []
    at, end = stripped(text, tokens)
    while at < end:
        if text.uppers[at] in _SUBQUERY or text.kinds[at] == BAD:
            return None
        if text.kinds[at] == LIST:
            found += _listed(text, at)
            at += 1
            continue
        if at + 1 < end and text.uppers[at + 1] == ".":
            if not text.is_name(at) or text.name_at(at).lower() != names.qualifier or at + 2 == end:
                return None
            at += 2
        word = _word(text, at, end, names)
        if word is None:
            return None
        if word in ("ISNULL", "NOTNULL"):
            found += ("IS", "NULL") if word == "ISNULL" else ("IS", "NOT", "NULL")
        else:
            found.append(word)
        at += 1
    return tuple(found)


def _listed(text: Text, at: int) -> list[str]:
    """The words of a LIST: parameters, commas and parentheses."""
    start, written = text.starts[at], text.written(at)
    return [f"{_PARAMETER}{start + i}" if sign == "?" else sign for i, sign in enumerate(written) if sign in "?,()"]


def expression_words(expression: str, table: Table) -> Words | None:
    """An expression over a table's columns in its one form; None: it has none."""
    text = Text(expression)
    return words(text, (0, len(text)), Names.of(table, table.name.lower(), rowid=False))


# ---- what is wanted ----


class Condition(NamedTuple):
    """An index's WHERE: a term, or several of which all or any have to hold."""

    words: Words
    all: tuple[Condition, ...] = ()
    any: tuple[Condition, ...] = ()


def condition(text: Text, tokens: Range, names: Names) -> Condition | None:
    """None: it cannot be followed."""
    tokens = stripped(text, tokens)
    found = words(text, tokens, names)
    alternatives, parts = split(text, tokens, "OR"), split(text, tokens, "AND")
    if found is None or alternatives is None or parts is None:
        return None
    several = alternatives if len(alternatives) > 1 else parts if len(parts) > 1 else []
    inner = [condition(text, part, names) for part in several]
    known = tuple(one for one in inner if one is not None)
    if len(known) < len(inner):
        return None
    return Condition(found, any=known) if len(alternatives) > 1 else Condition(found, all=known)


# ---- what is given ----


class Given(NamedTuple):
    """What a query demands of the rows of a table."""

    terms: set[Words]
    not_null: set[str]  # columns, in their one form


_COMPARISONS = frozenset(("=", "<>", "<", ">", "<=", ">="))
_OPERAND = frozenset((".", "+", "-", "*", "/", "%", "||"))
_CONDITIONAL = frozenset((
    *("AND", "BETWEEN", "CASE", "COLLATE", "ESCAPE", "GLOB", "IN", "IS", "ISNULL", "LIKE", "MATCH", "NOT", "NOTNULL"),
    *("NULL", "OR", "REGEXP"),
))  # fmt: skip


def _never_null(text: Text, tokens: Range, names: Names) -> str | None:
    """The column of `column comparison operand`, which is not true of NULL."""
    start, end = stripped(text, tokens)
    behind = start + (3 if end - start > 3 and text.uppers[start + 1] == "." else 1)
    column = words(text, (start, min(behind, end)), names)
    if not column or not column[0].startswith(COLUMN) or end < behind + 2:
        return None
    if _ONE_FORM.get(text.uppers[behind], text.uppers[behind]) not in _COMPARISONS:
        return None
    at = behind + 1
    while at < end:
        kind, upper = text.kinds[at], text.uppers[at]
        if upper == "(":
            at = text.closing(at)
        elif upper != ")" and (
            upper in _CONDITIONAL if kind == WORD else kind == OPERATOR and upper not in _OPERAND
        ):
            return None
        at += 1
    return column[0]


def take(given: Given, text: Text, tokens: Range, names: Names) -> None:
    """Adds the terms of a condition of the query."""
    tokens = stripped(text, tokens)
    parts = split(text, tokens, "AND")
    alternatives = split(text, tokens, "OR")
    if parts is None or alternatives is None:
        return
    if len(parts) > 1 and len(alternatives) == 1:
        for part in parts:
            take(given, text, part, names)
        return
    found = words(text, tokens, names)
    if found is not None:
        given.terms.add(found)
    column = _never_null(text, tokens, names) if len(alternatives) == 1 else None
    if column is not None:
        given.not_null.add(column)


# ---- what implies what ----

CONSTANT = frozenset("0123456789.'")  # how a number or a text begins


def _same(wanted: Words, given: Words) -> Needs | None:
    """What has to be true of parameters so that a term is the wanted one; None: it is another."""
    if wanted == given:
        return frozenset()
    if len(wanted) != len(given):
        return None
    needs = set()
    for one, other in zip(wanted, given, strict=True):
        if other.startswith(_PARAMETER) and one[0] in CONSTANT:
            needs.add((int(other[len(_PARAMETER) :]), one))
        elif one != other:
            return None
    return frozenset(needs)


def _fewest(found: Iterable[Needs | None]) -> Needs | None:
    return min((needs for needs in found if needs is not None), key=len, default=None)


def implied(wanted: Condition, given: Given) -> Needs | None:
    """What has to be true of parameters so that the terms imply a condition; None: they do not."""
    if wanted.words[1:] == ("IS", "NOT", "NULL") and wanted.words[0] in given.not_null:
        return frozenset()
    found = [_same(wanted.words, one) for one in given.terms]
    if wanted.all:
        parts = [implied(one, given) for one in wanted.all]
        if None not in parts:
            found.append(frozenset().union(*(part for part in parts if part is not None)))
    return _fewest([*found, *(implied(one, given) for one in wanted.any)])


__all__ = [
    "COLUMN",
    "CONSTANT",
    "Condition",
    "Given",
    "Names",
    "Needs",
    "Words",
    "condition",
    "expression_words",
    "implied",
    "items",
    "joined_by_and",
    "split",
    "stripped",
    "take",
    "top_level",
    "without_order",
    "words",
]
