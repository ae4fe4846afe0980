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
from ..sql.text import Edit, Range
from ..sql.tokens import quote

_FUNCTIONS = ("json_", "jsonb_", "pragma_", "entitydb_")  # begin what has arguments in FROM and is no table


class PastNames(Protocol):
    """What names of tables have meant."""

    def meant_others(self, schema: str | None, name: str) -> bool:
        """Has a name, as it is written, meant another table than it means now?"""

    def meant_then(self, schema: str | None, name: str, ns: int | None) -> str | None:
        """What to read from instead of a table's name, as of a moment (None: all of them); None: the name itself.

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


def _edits(
    statement: Statement, source: Source, names: PastNames, moment_of: Callable[[Range], int | None], as_of: int | None
) -> list[Edit]:
    tokens = _moment(source)
    dated = bool(source.periods) or source.arguments is not None
    if not dated and as_of is None:
        return []
    ns = moment_of(tokens) if tokens is not None else None if dated else as_of
    name = names.meant_then(source.schema, source.name, ns)
    if name is None:
        return []
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


__all__ = ["PastNames", "names_dated", "renamed"]
