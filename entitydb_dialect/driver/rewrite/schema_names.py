"""Statements that ask for the schema: sqlite_master by our name. See answers/master.py for who answers.

Where a table is named, `sqlite_master` becomes `entitydb_schema AS sqlite_master` and `x.sqlite_master` becomes
`entitydb_schema('x') AS sqlite_master`, so that columns are found under the name that was written. TEMP's own, names of
CTEs and what a statement writes to (which SQLite refuses) stay.
"""

from __future__ import annotations

from ..sql.tokens import NO_ALIAS, QUOTED, STRING, WORD, Token, is_name, quote, tokens, unquote

NAMES = ("sqlite_master", "sqlite_schema")
OURS = "entitydb_schema"
_BEFORE = ("FROM", "JOIN", ",", "(", "IN")  # what stands before a table that is read


def _is_cte(items: list[Token], i: int) -> bool:
    """Is the name at i defined by WITH here: name [(columns)] AS [[NOT] MATERIALIZED] ( ...?"""
    at = i + 1
    if at < len(items) and items[at].text == "(":
        while at < len(items) and items[at].text != ")":
            at += 1
        at += 1
    words = [t.upper for t in items[at : at + 4]]
    if words[:1] != ["AS"]:
        return False
    rest = [w for w in words[1:] if w not in ("NOT", "MATERIALIZED")]
    return rest[:1] == ["("]


def _has_alias(items: list[Token], i: int) -> bool:
    if i + 1 >= len(items):
        return False
    token = items[i + 1]
    return token.upper == "AS" or (is_name(token) and token.upper not in NO_ALIAS)


def _in_place(items: list[Token], i: int, first: int, home: str) -> str | None:
    """What to write for the table name at i whose first token is `first`; None: it stays."""
    before = items[first - 1].upper if first else ""
    two_before = items[first - 2].upper if first > 1 else ""
    if before not in _BEFORE or (before == "FROM" and two_before == "DELETE"):
        return None
    schema = unquote(items[first].text) if first < i else home
    if schema.lower() == "temp":
        return None
    if i + 1 < len(items) and items[i + 1].text == "(":
        return None
    argument = "" if schema.lower() == "main" else "('" + schema.replace("'", "''") + "')"
    alias = "" if _has_alias(items, i) or before == "IN" else f" AS {quote(unquote(items[i].text))}"
    return f"{OURS}{argument}{alias}"


def rewritten(sql: str, home: str = "main") -> str | None:
    """The statement with `entitydb_schema` for sqlite_master; None: it does not ask for the schema.

    Args:
        home: the schema that a name without one means.
    """
    lowered = sql.lower()
    if "sqlite_" not in lowered and "pragma_" not in lowered:
        return None
    items = tokens(sql)
    named = [i for i, t in enumerate(items) if t.kind in (WORD, QUOTED) and unquote(t.text).lower() in NAMES]
    asks = any(t.kind in (WORD, QUOTED) and unquote(t.text).lower().startswith("pragma_") for t in items)
    ctes = {unquote(items[i].text).lower() for i in named if _is_cte(items, i)}
    out, at = [], 0
    for i in named:
        first = i
        if i >= 2 and items[i - 1].text == "." and items[i - 2].kind in (WORD, QUOTED, STRING):
            first = i - 2
        elif unquote(items[i].text).lower() in ctes:
            continue
        if i + 1 < len(items) and items[i + 1].text == ".":
            if first < i and unquote(items[first].text).lower() != "temp":  # of a column: the schema is told by FROM
                out.append(sql[at : items[first].start])
                at = items[i].start
            continue
        put = _in_place(items, i, first, home)
        if put is not None:
            out += [sql[at : items[first].start], put]
            at, asks = items[i].end, True
    return "".join(out) + sql[at:] if asks else None
