"""How long a table's history is kept: `RETENTION '90 days'` behind the list of columns of a CREATE TABLE, among the
options that SQLite knows, and ALTER TABLE ... SET RETENTION.

SQLite has no such option. So the clause is taken out of the text before SQLite parses it, and the catalog keeps what it
says beside the text, in `extra`. 'forever' is what holds for a table of which nothing is said.
"""

from __future__ import annotations

from dataclasses import replace

from ..._exceptions import OperationalError
from ..._spans import FOREVER, NotASpan, span_text
from .._catalog import Table
from ..sql.tokens import STRING, Token, closing, tokens, unquote


def _options(items: list[Token]) -> int:
    """Where what stands behind a table's list of columns begins."""
    opening = next((i for i, t in enumerate(items) if t.upper in ("(", "AS")), len(items))
    if opening == len(items) or items[opening].upper == "AS":
        return len(items)
    return closing(items, opening) + 1


def taken_retention(sql: str) -> tuple[str, str | None]:
    """A CREATE TABLE without the clause, and the text in it; None: it has none."""
    items = tokens(sql)
    at = _options(items)
    while at + 1 < len(items) and items[at].upper != "AS":
        if items[at].upper == "RETENTION" and items[at + 1].kind == STRING:
            said = unquote(items[at + 1].text)
            return _without(sql, items, at), said
        at += 1
    return sql, None


def _without(sql: str, items: list[Token], at: int) -> str:
    """The text without the two tokens of the clause, and without the comma that joins it to other options."""
    first, last = at, at + 1
    if items[at - 1].text == ",":
        first -= 1
    elif last + 1 < len(items) and items[last + 1].text == ",":
        last += 1
    behind = sql[items[last].end :]
    return sql[: items[first - 1].end] + (behind if not behind.strip() or behind[0].isspace() else f" {behind}")


def kept_for(table: Table, said: str) -> Table:
    """The table with its history kept for a span. Raises OperationalError for a text that is none."""
    try:
        span = span_text(said)
    except NotASpan as error:
        raise OperationalError(f"table {table.name}: {error}") from None
    return replace(table, extra={**table.extra, "retention": span})


def retention(table: Table) -> str:
    """How long a table's history is kept."""
    return str(table.extra.get("retention", FOREVER))


__all__ = ["kept_for", "retention", "taken_retention"]
