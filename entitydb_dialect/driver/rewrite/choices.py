"""What is made of a text for indexes that SQLite cannot use by itself, where values of parameters decide it.

A term that tells the engine of a partial index may be added only if a parameter has the value of a constant in the
index's WHERE. Those are the needs of an edit. Which of them the parameters fulfil chooses the text.

What is made of a text is made of all texts that differ from it in literals only, but for those that an index has too.
So the short way (engine/python/short_template.c) keeps it by the text with `%s` in the place of such literals, its
template. So it does with what one_row.py, equal_by_is.py, join_limits.py and list_lengths.py have made of a text, which
no literal decides.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..sql.statement import Statement
from ..sql.text import Edit, edited, pieces
from ..sql.tokens import NUMBER, OPERATOR, STRING, unquote

_DIGITS = frozenset("0123456789.")


class Variant:
    """A text that SQLite is given.

    Attributes:
        sql: the text.
        description: of its result's columns, as PEP 249 has it; () for none; None until it has run once.
    """

    __slots__ = ("description", "sql")

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.description: tuple[Any, ...] | None = None


class Need(NamedTuple):
    """A parameter's number, its name (empty: it has none), and the value that it has to have."""

    number: int
    name: str
    value: str | int | float


class Choices:
    """What is made of one text.

    Attributes:
        needs: of all edits, each once. What parameters fulfil is a number, with a bit for each that is.
    """

    def __init__(self, statement: Statement, edits: list[Edit]) -> None:
        """Raises OperationalError for a parameter's number that SQLite does not take."""
        needs = sorted({need for edit in edits for way in edit.needs for need in way})
        numbers, by_name, _ = statement.parameters if needs else ({}, {}, 0)
        names = {number: name[1:] for name, number in by_name.items()}
        self.needs = tuple(
            Need(numbers[start], names.get(numbers[start], ""), value_of(constant)) for start, constant in needs
        )
        self._statement = statement
        bits = {need: 1 << i for i, need in enumerate(needs)}
        self._edits = [(edit, [sum(bits[need] for need in way) for way in edit.needs]) for edit in edits]
        self._variants: dict[int, Variant] = {}

    def choose(self, parameters: Any) -> Variant:
        held = self.fulfilled(parameters) if self.needs else 0
        variant = self._variants.get(held)
        if variant is None:
            variant = self._variants[held] = Variant(edited(self._statement.sql, self._made(held)))
        return variant

    def fulfilled(self, parameters: Any) -> int:
        """Which needs are fulfilled."""
        by_number = isinstance(parameters, Sequence)
        by_name = isinstance(parameters, Mapping)
        held = 0
        for i, (number, name, wanted) in enumerate(self.needs):
            if by_number:
                value = parameters[number] if number < len(parameters) else None
            else:
                value = parameters.get(name) if by_name else None
            if is_value(value, wanted):
                held |= 1 << i
        return held

    def _made(self, held: int) -> list[Edit]:
        return [edit for edit, ways in self._edits if not ways or any(way & held == way for way in ways)]

    def template(self, constants: Collection[str], held: int) -> str:
        """template_of() the text for these needs."""
        return template_of(self._statement, constants, self._made(held))


def template_of(statement: Statement, constants: Collection[str], edits: Iterable[Edit] = ()) -> str:
    """The text, edited, with `%s` in the place of literals that decide nothing, and `%%` for `%`.

    Args:
        constants: the literals in indexes, as they are written.
    """
    holes = [
        Edit(start, end, "%s")
        for i, (kind, start, end) in enumerate(zip(statement.kinds, statement.starts, statement.ends, strict=True))
        if _is_hole(statement, i, kind, statement.sql[start:end], constants)
    ]
    found = pieces(statement.sql, (*(edit._replace(text=_escaped(edit.text)) for edit in edits), *holes))
    found[::2] = map(_escaped, found[::2])
    return "".join(found)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _is_hole(statement: Statement, at: int, kind: int, written: str, constants: Collection[str]) -> bool:
    """A decimal number, or a text behind a comparison: elsewhere it may be a name. short_template.c says the same."""
    if kind == NUMBER:
        return _DIGITS.issuperset(written) and written not in constants
    if kind != STRING or at == 0 or statement.kinds[at - 1] != OPERATOR:
        return False
    return statement.uppers[at - 1][-1] in "=<>" and written not in constants


def value_of(constant: str) -> str | int | float:
    """The value of a constant in an index's WHERE; NaN, which nothing equals: none that is known."""
    if constant[0] == "'":
        return unquote(constant)
    if constant.isdigit():
        return int(constant)
    return float(constant) if constant[-1:].isdigit() and "x" not in constant else math.nan


def is_value(value: object, wanted: str | int | float) -> bool:
    """Is a parameter's value the one that is wanted?"""
    if isinstance(wanted, str):
        return type(value) is str and value == wanted
    if isinstance(wanted, int):
        return isinstance(value, int) and value == wanted
    return type(value) is float and value == wanted


__all__ = ["Choices", "Need", "Variant", "is_value", "template_of", "value_of"]
