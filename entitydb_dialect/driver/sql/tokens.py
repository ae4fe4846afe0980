"""SQL as tokens, by SQLite's lexical rules.

The scanner is native/sqltokens.c; native/sqlstatement.h says what sql_read() gives. It never fails: what SQLite would
reject becomes a token of kind BAD, and SQLite says so when it gets the text. White space and comments make no tokens.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from typing import NamedTuple

from ... import _exceptions as ex
from ..._native import ffi, lib

WORD: int = lib.SQL_WORD  # a bare identifier or keyword
OPERATOR: int = lib.SQL_OPERATOR  # one or more signs
QUOTED: int = lib.SQL_QUOTED  # "x", [x], `x`
STRING: int = lib.SQL_STRING  # 'x'
NUMBER: int = lib.SQL_NUMBER
BLOB: int = lib.SQL_BLOB  # x'00'
VARIABLE: int = lib.SQL_VARIABLE  # ?, ?1, :a, @a, $a
LIST: int = lib.SQL_LIST  # at least eight bare ? with commas between, or as many rows of them: (?, ?), (?, ?)
BAD: int = lib.SQL_BAD  # an unterminated quote, and all that is behind it

NAMES = frozenset((WORD, QUOTED, STRING))  # what can be a name: SQLite takes 'x' for one as well
CONSTANTS = frozenset((NUMBER, STRING, BLOB, VARIABLE))  # what is a value by itself
QUOTES = "'\"`["
BLANK = " \t\n\f\r"  # what is white space to SQLite
MOST_VARIABLES = 32766  # of a statement; SQLite's
_new = ffi.new_allocator(should_clear_after_alloc=False)  # what is written before it is read


class Token(NamedTuple):
    kind: int
    text: str  # as written
    start: int  # offset in the SQL
    end: int
    upper: str  # of a WORD or OPERATOR: the text with its ASCII letters in upper case, else ""


class Shape(NamedTuple):
    """What kind of statement a text is, and where its parts begin; see sql_shape in native/sqlstatement.h."""

    tokens: int
    words: int
    kind: int
    flags: int
    verb: int
    conflict: int
    schema: int
    table: int
    alias: int
    table_start: int
    table_end: int
    columns: int
    columns_end: int
    list_start: int
    list_end: int
    list_behind: int
    set: int
    on_conflict: int
    returning: int


class Columns(NamedTuple):
    """The tokens of a text, one property a column."""

    kinds: bytes
    codes: bytes  # keywords and signs as numbers: what sql_read_tokens() needs
    starts: list[int]  # offsets in the SQL
    ends: list[int]  # likewise, excluded
    partners: list[int]  # of a parenthesis the index of the one that closes or opens it; -1: none does, or no such
    uppers: list[str]  # of a WORD or OPERATOR the text with its ASCII letters in upper case, else ""


_SHAPE = struct.Struct(f"={len(Shape._fields)}i")
_HEAD = _SHAPE.size
shape_of: Callable[[bytes], tuple[int, ...]] = _SHAPE.unpack_from  # packed -> the fields of Shape


def scan(sql: str) -> bytes:
    """The shape and the tokens of one or more statements, as sql_read() gives them."""
    try:
        data = sql.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which SQLite will refuse
        data = sql.encode(errors="surrogatepass")
    size = len(data)
    room = _new("int32_t[]", _HEAD // 4 + 4 * size)
    packed: bytes = ffi.buffer(room, lib.sql_read(data, size, room))[:]
    return packed


def columns(packed: bytes) -> Columns:
    """The tokens that scan() gave."""
    count, words = shape_of(packed)[:2]
    numbers = array("i", packed[_HEAD : _HEAD + 12 * count]).tolist()
    kinds = _HEAD + 12 * count
    codes, at = kinds + count, kinds + 2 * count
    return Columns(
        packed[kinds:codes],
        packed[codes:at],
        numbers[count : 2 * count],
        numbers[2 * count :],
        numbers[:count],
        packed[at : at + words].decode(errors="surrogatepass").split("\n") if count else [],
    )


def joined(kinds: bytes, codes: bytes, starts: list[int], ends: list[int], uppers: list[str]) -> bytes:
    """What scan() would give for a text with these tokens."""
    count = len(kinds)
    room = _new("int32_t[]", _HEAD // 4 + count)
    places = array("i", starts + ends).tobytes()
    numbers = ffi.from_buffer("int32_t[]", places)
    words = "\n".join(uppers).encode(errors="surrogatepass")
    lib.sql_read_tokens(kinds, codes, numbers, numbers + count, count, words, len(words), room)
    return b"".join((ffi.buffer(room), places, kinds, codes, words))


def tokens(sql: str) -> list[Token]:
    """The tokens of one or more statements."""
    kinds, _, starts, ends, _, uppers = columns(scan(sql))
    return [
        Token(kind, sql[start:end], start, end, upper)
        for kind, start, end, upper in zip(kinds, starts, ends, uppers, strict=True)
    ]


def parameters_of(start: int, text: str) -> list[int]:
    """Where the parameters of a LIST stand in the SQL."""
    return [start + i for i, sign in enumerate(text) if sign == "?"]


# Words that a query can begin with.
QUERIES = frozenset(("SELECT", "VALUES", "WITH"))

# Words that may follow a table's name and are no alias of it.
NO_ALIAS = frozenset((
    *("WHERE", "GROUP", "ORDER", "LIMIT", "HAVING", "WINDOW", "JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS"),
    *("NATURAL", "UNION", "EXCEPT", "INTERSECT", "INDEXED", "NOT", "ON", "USING"),
    *("RETURNING", "SET", "VALUES", "SELECT", "DO"),
))  # fmt: skip


def is_name(token: Token) -> bool:
    """Can this token be a name?"""
    return token.kind in NAMES


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


def as_text(sql: object) -> str:
    """SQL, or ProgrammingError for what is none. A subclass of str is one."""
    if isinstance(sql, str):
        return sql
    raise ex.ProgrammingError(f"SQL is a text, not {type(sql).__name__}")


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
