"""SQL as tokens, by SQLite's lexical rules.

It never fails: what SQLite would reject becomes a token of kind BAD, and SQLite says so when it gets the text. One
regular expression matches one token; nothing here looks at a whole statement. White space and comments make no tokens.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ... import _exceptions as ex

WORD = "word"  # a bare identifier or keyword
QUOTED = "quoted"  # "x", [x], `x`
STRING = "string"  # 'x'
NUMBER = "number"
BLOB = "blob"  # x'00'
VARIABLE = "variable"  # ?, ?1, :a, @a, $a
OPERATOR = "operator"  # one or more signs
BAD = "bad"  # an unterminated quote

_MOST_VARIABLES = 32766  # of a statement; SQLite's

_ONE = re.compile(
    r"""
    (?P<space>[ \t\n\f\r]+|--[^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<blob>[xX]'[^']*')
  | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
  | (?P<number>0[xX][0-9a-fA-F]+|(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?)
  | (?P<string>'[^']*(?:''[^']*)*')
  | (?P<quoted>"[^"]*(?:""[^"]*)*"|`[^`]*(?:``[^`]*)*`|\[[^\]]*\])
  | (?P<variable>\?[0-9]*|[:@\#$][A-Za-z0-9_$\x80-\U0010ffff]+)
  | (?P<bad>["'`\[].*\Z)
  | (?P<operator>->>|->|\|\||<<|>>|<=|>=|<>|!=|==|.)
    """,
    re.VERBOSE | re.DOTALL,
)


class Token(NamedTuple):
    kind: str
    text: str  # as written
    start: int  # offset in the SQL
    end: int
    upper: str  # of a WORD or OPERATOR: the text in upper case, else ""


def tokens(sql: str) -> list[Token]:
    """The tokens of one or more statements, comments and white space left out."""
    found = []
    for match in _ONE.finditer(sql):
        kind = match.lastgroup
        if kind == "space":
            continue
        assert kind is not None
        text = match.group()
        upper = text.upper() if kind in (WORD, OPERATOR) else ""
        found.append(Token(kind, text, match.start(), match.end(), upper))
    return found


# Words that may follow a table's name and are no alias of it.
NO_ALIAS = frozenset((
    *("WHERE", "GROUP", "ORDER", "LIMIT", "HAVING", "WINDOW", "JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS"),
    *("NATURAL", "UNION", "EXCEPT", "INTERSECT", "INDEXED", "NOT", "ON", "USING"),
    *("RETURNING", "SET", "VALUES", "SELECT", "DO"),
))  # fmt: skip


def is_name(token: Token) -> bool:
    """Can this token be a name? (SQLite takes 'x' for one as well.)"""
    return token.kind in (WORD, QUOTED, STRING)


def unquote(text: str) -> str:
    """The name a token stands for."""
    first = text[:1]
    if first in ("'", '"', "`") and len(text) > 1:
        return text[1:-1].replace(first * 2, first)
    if first == "[" and len(text) > 1:
        return text[1:-1]
    return text


def quote(name: str) -> str:
    """A name as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def variables(items: list[Token]) -> tuple[dict[int, int], dict[str, int], int]:
    """Numbers, from 0, of the parameters by their tokens' offsets and by name, and how many; as SQLite counts."""
    numbers: dict[int, int] = {}
    by_name: dict[str, int] = {}
    count = 0
    for token in items:
        if token.kind != VARIABLE:
            continue
        text = token.text
        if text == "?":
            number = count
        elif text[0] == "?":
            number = int(text[1:]) - 1 if len(text) < 10 else -1
            if not 0 <= number < _MOST_VARIABLES:
                raise ex.OperationalError(f"variable number must be between ?1 and ?{_MOST_VARIABLES}")
        else:
            number = by_name.setdefault(text, count)
        numbers[token.start] = number
        count = max(count, number + 1)
    return numbers, by_name, count


def split_statements(sql: str) -> list[str]:
    """The statements of a script, without their semicolons; trigger bodies stay whole; empty ones are left out."""
    result = []
    start: int | None = None
    end = 0
    head: list[str] = []
    depth = 0  # BEGIN and CASE inside a trigger's body, waiting for their END
    for token in tokens(sql):
        if token.text == ";" and depth == 0:
            if start is not None:
                result.append(sql[start:end])
            start, head = None, []
            continue
        if start is None:
            start = token.start
        end = token.end
        if len(head) < 4:
            head.append(token.upper)
        if head[:1] == ["CREATE"] and "TRIGGER" in head:
            if token.upper in ("BEGIN", "CASE"):
                depth += 1
            elif token.upper == "END" and depth:
                depth -= 1
    if start is not None:
        result.append(sql[start:end])
    return result


def find(items: list[Token], word: str, start: int = 0, *, depth: int = 0) -> int:
    """Index of the first bare word at a depth of parentheses, counted from `start`; -1: none."""
    level = 0
    for i in range(start, len(items)):
        upper = items[i].upper
        if upper == "(":
            level += 1
        elif upper == ")":
            level -= 1
        elif level == depth and upper == word:
            return i
    return -1


def closing(items: list[Token], opening: int) -> int:
    """Index of the parenthesis that closes the one at `opening`; the number of tokens when none does."""
    level = 0
    for i in range(opening, len(items)):
        if items[i].upper == "(":
            level += 1
        elif items[i].upper == ")":
            level -= 1
            if level == 0:
                return i
    return len(items)
