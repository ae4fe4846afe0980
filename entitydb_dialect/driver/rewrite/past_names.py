"""Names of tables that were dropped, made again or renamed, where a statement reads as of when they were there.

Before a statement is prepared, such a name becomes the one that stands for its table as it was last:

    SELECT a FROM old FOR SYSTEM_TIME AS OF ?
    SELECT a FROM main.entitydb_then_7_1767225600000000000 AS "old" FOR SYSTEM_TIME AS OF ?

Which table is meant depends on the moment, so it is done for each execution; system_time.py does the rest, once for
each text that comes of it. Under the option as_of, what has no clause gets one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..sql.cores import shadowed
from ..sql.periods import AS_OF
from ..sql.sources import FROM, TARGET, Lost, Source, qualified, sources
from ..sql.statement import Statement
from ..sql.text import Edit, Range, Text, edited
from ..sql.tokens import quote
from .system_time import moment_sql, parts_of_view

_FUNCTIONS = ("json_", "jsonb_", "pragma_", "entitydb_")  # begin what has arguments in FROM and is no table


class PastNames(Protocol):
    """What names of tables have meant."""

    def meant_others(self, schema: str | None, name: str) -> bool:
        """May a name, as it is written, have meant something else than it means now?"""

    def meant_then(self, schema: str | None, name: str, ns: int | None) -> str | None:
        """What to read from instead of a table's name, as of a moment (None: all of them): a name, to which the moment
        is given, or a query in parentheses, which has it. None: the name itself.

        Raises OperationalError: there was no such table then.
        """


def names_dated(statement: Statement) -> bool:
    """Has a table a moment of its own: FOR SYSTEM_TIME, or arguments that no function of SQLite's or ours takes?"""
    if not statement.names_moment:
        return False
    try:
        found = sources(statement)
    except Lost:
        return False
    return any(
        one.periods or (one.arguments is not None and not one.name.lower().startswith(_FUNCTIONS)) for one in found
    )


def renamed(
    statement: Statement, names: PastNames, moment_of: Callable[[Range], int | None], as_of: int | None
) -> str | None:
    """The statement with the names that stand for tables of the past; None: it has none.

    Args:
        moment_of: the nanoseconds of the moment that stands at tokens; None: it depends on rows.
        as_of: the moment of the statement itself.
    """
    try:
        found = sources(statement)
    except Lost:
        return None
    ctes = frozenset(shadowed(statement))
    edits: list[Edit] = []
    for source in found:
        if source.role == TARGET or (source.schema is None and source.name.lower() in ctes):
            continue
        if names.meant_others(source.schema, source.name):
            edits += _edits(statement, source, names, moment_of, as_of)
    return statement.edited(edits).sql if edits else None


def view_then(sql: str, home: str, names: PastNames, ns: int) -> str:
    """A view's query in parentheses, with everything it reads as of a moment.

    Args:
        sql: its CREATE VIEW.
        home: the database that it is in.
    """
    text = Text(sql)
    listed, query = parts_of_view(text)
    body = Text(text.span((query, len(text))).rstrip("; \n\t\r\f"))
    ctes = frozenset(shadowed(body))
    edits: list[Edit] = []
    for source in sources(body):
        ours = source.arguments is None and names.meant_others(source.schema or home, source.name)
        if ours and not (source.schema is None and source.name.lower() in ctes):
            pinned = _Pinned(names)
            edits += _edits(body, source._replace(schema=source.schema or home), pinned, lambda _: None, ns)
    ready = edited(body.sql, edits)
    if not listed:
        return f"({ready})"
    return f'(WITH "entitydb view"{listed} AS ({ready}) SELECT * FROM "entitydb view")'


class _Pinned:
    """The same names, none of which means itself: so each reference gets the moment."""

    def __init__(self, names: PastNames) -> None:
        self._names = names
        self.meant_others = names.meant_others

    def meant_then(self, schema: str | None, name: str, ns: int | None) -> str | None:
        found = self._names.meant_then(schema, name, ns)
        return f"{quote(schema or 'main')}.{quote(name)}" if found is None else found


def _query_edits(text: Text, source: Source, query: str) -> list[Edit]:
    """What puts a query in the place of a name, which has been read at its moment already."""
    starts, ends = text.starts, text.ends
    found = [Edit(starts[one.tokens[0]], ends[one.tokens[1] - 1], "") for one in source.periods]
    behind = ends[min(source.end, len(text)) - 1]
    alias = ""
    if source.alias < 0 and source.role == FROM:
        alias = f" AS {quote(source.name)}"
        if source.schema is not None:
            found += [Edit(*span, "") for span in qualified(text, source.schema, source.name)]
    return [Edit(starts[source.tokens[0]], behind, query + alias), *found]


def _edits(
    statement: Text, source: Source, names: PastNames, moment_of: Callable[[Range], int | None], as_of: int | None
) -> list[Edit]:
    tokens = _moment(source)
    dated = bool(source.periods) or source.arguments is not None
    if not dated and as_of is None:
        return []
    ns = moment_of(tokens) if tokens is not None else None if dated else as_of
    name = names.meant_then(source.schema, source.name, ns)
    if name is None:
        return []
    if name.startswith("("):
        # What the text says of the moment stays in it, so that parameters keep their numbers.
        said = "" if tokens is None else f" WHERE {moment_sql(statement, tokens)[0]} IS NOT NULL"
        return _query_edits(statement, source, f"(SELECT * FROM {name}{said})" if said else name)
    starts, ends = statement.starts, statement.ends
    clause = "" if dated else f" FOR SYSTEM_TIME AS OF {as_of}"
    called = " FOR SYSTEM_TIME AS OF " if source.arguments is not None else ""  # before its parentheses
    found = [Edit(starts[source.tokens[0]], ends[source.tokens[1] - 1], name + called)]
    behind = ends[min(source.end, len(statement)) - 1]
    if source.alias < 0 and source.role == FROM:
        found.append(Edit(behind, behind, f" AS {quote(source.name)}{clause}"))
        if source.schema is not None:
            found += [Edit(*span, "") for span in qualified(statement, source.schema, source.name)]
    elif clause:
        found.append(Edit(behind, behind, clause))
    return found


def _moment(source: Source) -> Range | None:
    """The tokens of its one moment; None: it has none, or several."""
    if len(source.periods) == 1 and source.periods[0].kind == AS_OF:
        return source.periods[0].moments[0]
    if not source.periods and source.role == FROM and source.arguments is not None:
        first, end = source.arguments
        return (first, end) if first < end else None
    return None


__all__ = ["PastNames", "names_dated", "renamed", "view_then"]
