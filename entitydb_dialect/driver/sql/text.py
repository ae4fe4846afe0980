"""A text that has been read: SQL and its tokens, and what is needed to walk over them and to edit them.

Tokens are kept packed, as they were read, and laid out as columns, one list for each property, when somebody looks at
them: of most texts only the shape is asked. An edited text gets its tokens from those of the text before: only what an
edit puts in is read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import _exceptions as ex
from .tokens import LIST, MOST_VARIABLES, NAMES, VARIABLE, WORD, Columns, columns, joined, parameters_of, scan, unquote

if TYPE_CHECKING:
    from typing_extensions import Self

Range = tuple[int, int]  # of tokens, or of offsets in the SQL; the end is excluded


class Edit(NamedTuple):
    """A piece of SQL to put in the place of another.

    Attributes:
        start, end: offsets in the text that is edited; equal where something is put in between.
        text: what stands there afterwards.
        needs: what must be true of parameters for the edit to be made, in one way or another: sets of (offset of the
            parameter in the text, constant that has to be its value). Empty: it is made whatever they are.
    """

    start: int
    end: int
    text: str
    needs: tuple[frozenset[tuple[int, str]], ...] = ()


def edited(sql: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made, those that begin at one place in their order."""
    return "".join(pieces(sql, edits))


def pieces(sql: str, edits: Iterable[Edit]) -> list[str]:
    """What edited() joins: by turns what stays of the text and what an edit puts in; first and last what stays."""
    out: list[str] = []
    at = 0
    for edit in sorted(edits, key=_place):
        out += (sql[at : edit.start], edit.text)
        at = edit.end
    out.append(sql[at:])
    return out


def _place(edit: Edit) -> int:
    return edit.start


class Text:
    """SQL and its tokens.

    Attributes:
        sql: the text.
        packed: its shape and tokens; see tokens.scan().
        kinds, codes, starts, ends, partners, uppers: of each token; see tokens.Columns.
    """

    kinds: bytes
    codes: bytes
    starts: list[int]
    ends: list[int]
    partners: list[int]
    uppers: list[str]

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.packed = scan(sql)

    @classmethod
    def of_packed(cls, sql: str, packed: bytes) -> Self:
        """A text of which is known what scan() gives."""
        made = cls.__new__(cls)
        made.sql, made.packed = sql, packed
        return made

    def __getattr__(self, name: str) -> Any:
        """Called for what is not there yet: the columns, which are then kept."""
        if name not in Columns._fields:
            raise AttributeError(name)
        found = columns(self.packed)
        self.kinds, self.codes, self.starts, self.ends, self.partners, self.uppers = found
        return getattr(self, name)

    def __len__(self) -> int:
        return len(self.kinds)

    def upper(self, at: int) -> str:
        """The word or sign at a place in upper case; an empty text for other tokens and behind the end."""
        try:
            return self.uppers[at] if at >= 0 else ""
        except IndexError:
            return ""

    def written(self, at: int) -> str:
        """A token as it is written."""
        return self.sql[self.starts[at] : self.ends[at]]

    def name_at(self, at: int) -> str:
        """The name that a token stands for."""
        written = self.sql[self.starts[at] : self.ends[at]]
        return written if self.kinds[at] == WORD else unquote(written)

    def is_name(self, at: int) -> bool:
        """Can the token be a name? False behind the end."""
        return at < len(self.kinds) and self.kinds[at] in NAMES

    def span(self, tokens: Range) -> str:
        """The SQL from the first token of a range to its last one."""
        return self.sql[self.starts[tokens[0]] : self.ends[tokens[1] - 1]]

    def closing(self, opening: int) -> int:
        """Index of the parenthesis that closes the one at `opening`; the number of tokens when none does."""
        found = self.partners[opening]
        return len(self.kinds) if found < 0 else found

    def find(self, word: str, start: int = 0) -> int:
        """Index of the first bare word outside of parentheses that open behind `start`; -1: none."""
        if word not in self.uppers:
            return -1
        level = 0
        for i in range(start, len(self.uppers)):
            upper = self.uppers[i]
            if upper == "(":
                level += 1
            elif upper == ")":
                level -= 1
            elif level == 0 and upper == word:
                return i
        return -1

    @cached_property
    def parameters(self) -> tuple[dict[int, int], dict[str, int], int]:
        """Numbers, from 0, of the parameters by their offsets and by name, and how many; as SQLite counts.

        Raises OperationalError for a number that SQLite does not take.
        """
        numbers: dict[int, int] = {}
        by_name: dict[str, int] = {}
        count = 0
        for at, kind in enumerate(self.kinds):
            if kind == LIST:
                for start in parameters_of(self.starts[at], self.written(at)):
                    numbers[start] = count
                    count += 1
            elif kind == VARIABLE:
                written = self.written(at)
                if written == "?":
                    number = count
                elif written[0] == "?":
                    number = int(written[1:]) - 1 if len(written) < 10 else -1
                    if not 0 <= number < MOST_VARIABLES:
                        raise ex.OperationalError(f"variable number must be between ?1 and ?{MOST_VARIABLES}")
                else:
                    number = by_name.setdefault(written, count)
                numbers[self.starts[at]] = number
                count = max(count, number + 1)
        return numbers, by_name, count

    def edited(self, edits: Iterable[Edit]) -> Text:
        """The text with all edits made. An edit replaces whole tokens."""
        edits = sorted(edits, key=_place)
        kinds, codes = b"", b""
        starts: list[int] = []
        ends: list[int] = []
        uppers: list[str] = []

        def take_over(text: Text, first: int, until: int, moved: int) -> None:
            nonlocal kinds, codes
            kinds += text.kinds[first:until]
            codes += text.codes[first:until]
            starts.extend(start + moved for start in text.starts[first:until])
            ends.extend(end + moved for end in text.ends[first:until])
            uppers.extend(text.uppers[first:until])

        first = moved = 0  # the next token to take over, and by how much its offsets change
        for edit in edits:
            until = bisect_left(self.starts, edit.start, first)
            take_over(self, first, until, moved)
            fragment = Text(edit.text)
            take_over(fragment, 0, len(fragment), edit.start + moved)
            first = bisect_left(self.starts, max(edit.start, edit.end), until)
            moved += len(edit.text) - (edit.end - edit.start)
        take_over(self, first, len(self), moved)
        return Text.of_packed(edited(self.sql, edits), joined(kinds, codes, starts, ends, uppers))


class Reader:
    """A walk over the tokens of a text that never runs off their end."""

    def __init__(self, text: Text, at: int = 0) -> None:
        self.text = text
        self.at = at
        self._uppers = text.uppers
        self._end = len(text.uppers)

    def peek(self) -> str:
        return self._uppers[self.at] if self.at < self._end else ""

    def is_at_end(self) -> bool:
        return self.at >= self._end

    def take(self, *words: str) -> bool:
        """Goes past the words if they are all there."""
        behind = self.at + len(words)
        if behind <= self._end and self._uppers[self.at : behind] == list(words):
            self.at = behind
            return True
        return False

    def name(self) -> str | None:
        """A name, and past it; None: there is none."""
        if self.text.is_name(self.at):
            self.at += 1
            return self.text.name_at(self.at - 1)
        return None

    def qualified(self) -> tuple[str | None, str]:
        """[schema.]name"""
        first = self.name()
        if first is not None and self.peek() == ".":
            self.at += 1
            return first, self.name() or ""
        return None, first or ""

    def group(self) -> None:
        """Goes past a parenthesised group."""
        if self.peek() == "(":
            self.at = self.text.closing(self.at) + 1


__all__ = ["Edit", "Range", "Reader", "Text", "edited", "pieces"]
