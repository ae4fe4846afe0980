"""SQLite's lexical rules as one regular expression: what native/sqltokens.c has to agree with.

It knows no lists: a token of kind "list" is compared as what it consists of.
"""

from __future__ import annotations

import re

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

Token = tuple[str, str, int]  # kind, text, offset


def tokens(sql: str) -> list[Token]:
    found = ((match.lastgroup or "", match.group(), match.start()) for match in _ONE.finditer(sql))
    return [token for token in found if token[0] != "space"]


def partners(listed: list[Token]) -> list[int]:
    """Of each parenthesis the index of the one that closes or opens it; -1: none does, or it is something else."""
    result = [-1] * len(listed)
    opened: list[int] = []
    for i, (kind, text, _) in enumerate(listed):
        if kind == "operator" and text == "(":
            opened.append(i)
        elif kind == "operator" and text == ")" and opened:
            result[i] = opened.pop()
            result[result[i]] = i
    return result
