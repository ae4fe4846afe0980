"""Parameters of a statement, and pieces of its text that are executed by themselves with parameters of their own."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from .text import Edit, Range, Text
from .tokens import LIST, VARIABLE, parameters_of


class Piece(NamedTuple):
    """A piece of a statement."""

    sql: str  # its parameters as they were written
    numbered: str  # its parameters as ?1, ?2, ...
    uses: Sequence[int]  # which of the whole statement's parameters these are, from 0


class Numbering:
    """Numbers the parameters of pieces of a text anew, in the order in which each piece uses them."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._tokens = [i for i, kind in enumerate(text.kinds) if kind in (VARIABLE, LIST)]
        self._starts = [text.starts[i] for i in self._tokens]
        self.begin()

    def begin(self) -> None:
        """Anew, for a piece with parameters of its own."""
        self._places: dict[int, int] = {}  # of the whole statement's parameters among those used here

    @property
    def uses(self) -> tuple[int, ...]:
        """Numbers of the parameters in the spans since begin(), in the order of their new numbers."""
        return tuple(self._places)

    def piece(self, span: Range) -> Piece:
        """The SQL between two offsets as a piece of its own."""
        written = self._text.sql[span[0] : span[1]]
        if self._bare:
            counts = self._counted
            first, last = self._within(span)
            return Piece(written, written, range(counts[first], counts[last]))
        self.begin()
        numbered = self.span(span)
        return Piece(written, written if self._is_bare(span) else numbered, self.uses)

    def span(self, span: Range) -> str:
        """The SQL between two offsets with its parameters as ?1, ?2, ..."""
        sql, (at, end) = self._text.sql, span
        first, last = self._within(span)
        if first == last:
            return sql[at:end]
        numbers = self._text.parameters[0]
        pieces = []
        for token in self._tokens[first:last]:
            for begin, behind in self._each(token):
                if span[0] <= begin < end:
                    number = self._places.setdefault(numbers[begin], len(self._places))
                    pieces.append(f"{sql[at:begin]}?{number + 1}")
                    at = behind
        return "".join(pieces) + sql[at:end]

    def edits(self, span: Range) -> list[Edit]:
        """What makes a text of which the part between two offsets is a piece have that numbered as the piece is."""
        if self._bare:
            return []
        self.begin()
        first, last = self._within(span)
        ranges = [(self._text.starts[token], self._text.ends[token]) for token in self._tokens[first:last]]
        if self._is_bare(span):
            return []
        return [Edit(start, end, self.span((start, end))) for start, end in ranges]

    def _within(self, span: Range) -> Range:
        """Which of the tokens have parameters in a span; it may begin within a list."""
        first, last = bisect_left(self._starts, span[0]), bisect_left(self._starts, span[1])
        inside = first > 0 and self._text.ends[self._tokens[first - 1]] > span[0]
        return first - inside, last

    def _each(self, token: int) -> list[Range]:
        """Where the parameters of a token stand: one, or those of a list."""
        text = self._text
        if text.kinds[token] == VARIABLE:
            return [(text.starts[token], text.ends[token])]
        return [(at, at + 1) for at in parameters_of(text.starts[token], text.written(token))]

    def _is_bare(self, span: Range) -> bool:
        """Are they bare ? alone, which say the same where they stand now?"""
        first, last = self._within(span)
        return all(self._is_bare_token(token) for token in self._tokens[first:last])

    def _is_bare_token(self, token: int) -> bool:
        text = self._text
        return text.kinds[token] == LIST or text.ends[token] - text.starts[token] == 1

    @cached_property
    def _bare(self) -> bool:
        return all(map(self._is_bare_token, self._tokens))

    @cached_property
    def _counted(self) -> list[int]:
        """How many parameters stand before each token, and in all; of bare ones."""
        text = self._text
        each = [1 if text.kinds[i] == VARIABLE else text.written(i).count("?") for i in self._tokens]
        return [0, *accumulate(each)]


__all__ = ["Numbering", "Piece"]
