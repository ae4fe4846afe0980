"""Statements that ask for the schema: sqlite_master by our name. See _master.py for who answers."""

from __future__ import annotations

from ._sql import QUOTED, STRING, WORD, tokens, unquote

_NAMES = ("sqlite_master", "sqlite_schema")
OURS = "entitydb_schema"


def rewritten(sql: str) -> str | None:
    """The statement with `entitydb_schema` for sqlite_master; None: it does not ask for the schema."""
    lowered = sql.lower()
    if "sqlite_" not in lowered and "pragma_" not in lowered:
        return None
    items = tokens(sql)
    out, at, found = [], 0, False
    for i, token in enumerate(items):
        if token.kind not in (WORD, QUOTED):
            continue
        name = unquote(token.text).lower()
        found = found or name.startswith("pragma_")
        if name not in _NAMES:
            continue
        start = token.start
        if i >= 2 and items[i - 1].text == ".":
            if items[i - 2].kind not in (WORD, QUOTED, STRING) or unquote(items[i - 2].text).lower() != "main":
                continue
            start = items[i - 2].start
        out += [sql[at:start], OURS]
        at, found = token.end, True
    return "".join(out) + sql[at:] if found else None
