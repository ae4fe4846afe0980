"""References that have a moment of their own: they become history tables (engine/vtab/history.h).

    SELECT * FROM t FOR SYSTEM_TIME AS OF :m AS x
    SELECT * FROM main.entitydb_history_1(entitydb_moment(:m)) AS x

The same of `t(:m) AS x`. The schema's name keeps a CTE from capturing the table. Its version columns are hidden, so
that `*` and NATURAL JOIN have the table's columns alone; columns that are hidden cannot be named from outside of a join
in parentheses, so there they are visible where the statement names one. A view becomes its query, with every table at
the moment.

A quoted name that ends in " history" is the history table of the table before it, with visible columns, if nothing has
the whole name:

    SELECT * FROM "t history"(:m)
    SELECT * FROM main.entitydb_history_2(:m) AS "t history"
"""

from __future__ import annotations

from typing import NamedTuple

from ... import _exceptions as ex
from ..._moments import NotAMoment, to_ns
from .._catalog import OWN_PREFIX, View
from ..sql.cores import shadowed
from ..sql.periods import ALL, AS_OF, BETWEEN, CONTAINED_IN, FROM_TO, Period
from ..sql.sources import FROM, IN, TARGET, Lost, Source, qualified, sources
from ..sql.statement import Statement
from ..sql.text import Edit, Range, Text, edited
from ..sql.tokens import NUMBER, VARIABLE, quote
from .own_periods import entities_over, tags_over
from .schema_names import NAMES
from .schemas import HistoryName, Schemas

_SUFFIX = " history"
_VERSION = frozenset(("as_of", "valid_from", "valid_to", "operation", "transaction_id"))
_DATED_OWN = ("entitydb_tags", "entitydb_entities")  # tables of the engine's own that take a moment
_DEEPEST = 100  # views within views
_CLAUSE_OF = {
    FROM_TO: "FROM a TO b",
    BETWEEN: "BETWEEN a AND b",
    CONTAINED_IN: "CONTAINED IN (a, b)",
    ALL: "ALL",
}
_CLAUSES = "AS OF moment, FROM a TO b, BETWEEN a AND b, CONTAINED IN (a, b) or ALL"


class _At(NamedTuple):
    """What a reference reads: a kind of periods.py, and its moments as SQL."""

    kind: str
    moments: tuple[str, ...]

    def arguments(self, zeros: int) -> str:
        found = ["0"] * zeros
        found += self.moments or ("0", "0")
        return ", ".join(found if self.kind == AS_OF else [*found, f"'{self.kind}'"])


def rewrite(statement: Statement, schemas: Schemas) -> list[Edit]:
    """What makes the references ones to history tables.

    Raises:
        PastWriteError: one is to be changed.
        NotSupportedError: it is none of a table or view of ours.
        OperationalError, ProgrammingError: the clause or the moment is none.
    """
    return edits(statement, schemas) if statement.names_moment else []


def edits(text: Text, schemas: Schemas) -> list[Edit]:
    try:
        found = sources(text)
    except Lost:
        raise ex.NotSupportedError(
            "FOR SYSTEM_TIME behind a subquery or a join in parentheses: put it behind the tables in it"
        ) from None
    ctes = frozenset(shadowed(text))
    return [edit for source in found for edit in _edits_of(text, source, schemas, ctes)]


def _edits_of(text: Text, source: Source, schemas: Schemas, ctes: frozenset[str]) -> list[Edit]:
    if source.periods:
        if source.role == TARGET:
            raise ex.PastWriteError(f"{source.written} FOR SYSTEM_TIME: the past does not change; write to the table")
        _refuse(source, schemas, ctes)
        return _dated(text, source, schemas, _of_period(text, source))
    if source.arguments is not None and source.role == FROM:
        if schemas.locate(source.schema, source.name) is None and schemas.view(source.schema, source.name) is None:
            return _named_history(text, source, schemas, ctes)
        _refuse(source, schemas, ctes)
        return _dated(text, source, schemas, _of_call(text, source))
    return _named_history(text, source, schemas, ctes)


# ---- what is read ----


def _of_period(text: Text, source: Source) -> _At:
    if len(source.periods) > 1:
        raise ex.OperationalError(f"{source.written} has two clauses FOR SYSTEM_TIME")
    period = source.periods[0]
    if not period.kind:
        near = text.written(period.tokens[1]) if period.tokens[1] < len(text) else "the end"
        raise ex.OperationalError(f"near {near!r}: syntax error; behind FOR SYSTEM_TIME stands {_CLAUSES}")
    return _At(period.kind, tuple(_moment(text, at, _is_start(period, i)) for i, at in enumerate(period.moments)))


def _is_start(period: Period, number: int) -> bool:
    """Of a moment coarser than a nanosecond: is its first one meant? An interval begins with the begin of what is said,
    and ends with the end of it, if that is included."""
    return period.kind != AS_OF and (number == 0 or period.kind == FROM_TO)


def _of_call(text: Text, source: Source) -> _At:
    assert source.arguments is not None
    first, end = source.arguments
    commas = [at for at in range(first, end) if text.upper(at) == "," and _level(text, first, at) == 0]
    if first >= end or commas:
        raise ex.OperationalError(
            f"{source.written}(...): behind a table stands one moment; for intervals write FOR SYSTEM_TIME"
        )
    return _At(AS_OF, (_moment(text, source.arguments, False),))


def _level(text: Text, first: int, at: int) -> int:
    return sum((text.upper(i) == "(") - (text.upper(i) == ")") for i in range(first, at))


def _moment(text: Text, tokens: Range, start: bool) -> str:
    """A moment as SQL that gives nanoseconds. Parameters are numbered, since a view may say it several times."""
    first, end = tokens
    literal = _integer(text, tokens)
    if literal is not None:
        try:
            return str(int(to_ns(literal)))
        except NotAMoment as error:
            raise ex.ProgrammingError(str(error)) from None
    numbered = [
        Edit(text.starts[i], text.ends[i], f"?{text.parameters[0][text.starts[i]] + 1}")
        for i in range(first, end)
        if text.kinds[i] == VARIABLE and text.written(i) == "?"
    ]
    _, (offset, behind) = moment_sql(text, tokens)
    moved = [edit._replace(start=edit.start - offset, end=edit.end - offset) for edit in numbered]
    sql, _ = moment_sql(text, tokens, edited(text.sql[offset:behind], moved))
    return f"{sql[:-1]}, 'start')" if start else sql


def moment_sql(text: Text, tokens: Range, put: str | None = None) -> tuple[str, Range]:
    """A moment as SQL that gives nanoseconds, and where its expression stands, in offsets.

    Args:
        put: instead of the expression.
    """
    first, end = tokens
    word = text.upper(first) if end > first + 1 and text.upper(first + 1) not in ("(", ".") else ""
    if word in ("TIMESTAMP", "DATE", "TRANSACTION"):
        first += 1
    span = text.starts[first], text.ends[end - 1]
    sql = text.sql[span[0] : span[1]] if put is None else put
    return f"entitydb_moment('transaction:' || ({sql}))" if word == "TRANSACTION" else f"entitydb_moment({sql})", span


def _integer(text: Text, tokens: Range) -> int | None:
    """The integer literal that a moment is; None: it is something else."""
    first, end = tokens
    sign = text.upper(first)
    digits = text.written(end - 1).replace("_", "")
    if end - first != 1 + (sign in ("-", "+")) or text.kinds[end - 1] != NUMBER or not digits.isdecimal():
        return None
    return -int(digits) if sign == "-" else int(digits)


# ---- what it is read from ----


def _refuse(source: Source, schemas: Schemas, ctes: frozenset[str]) -> None:
    """What has no history to read."""
    name, written = source.name.lower(), source.written
    if source.schema is None and name in ctes:
        raise ex.NotSupportedError(
            f"{written} is a common table expression here, which has no history: put FOR SYSTEM_TIME behind the tables"
            f" in it, or write main.{written} if the table is meant"
        )
    if source.periods and source.arguments is not None:
        raise ex.NotSupportedError(f"{written}(...) FOR SYSTEM_TIME: a function has no history")


def _dated(text: Text, source: Source, schemas: Schemas, at: _At) -> list[Edit]:
    named = source.in_group and any(
        text.is_name(i) and text.name_at(i).lower() in _VERSION for i in range(len(text))
    )  # fmt: skip
    sql = _sql_of(schemas, source.schema, source.name, at, not named, 0)
    if source.role == IN and sql.startswith("("):
        sql = f"(SELECT * FROM {sql})"
    starts, ends = text.starts, text.ends
    behind = ends[min(source.end, len(text)) - 1]
    alias = ""
    found = [Edit(starts[one.tokens[0]], ends[one.tokens[1] - 1], "") for one in source.periods]
    if source.alias < 0 and source.role != IN:
        alias = f" AS {quote(source.name)}"
        if source.schema is not None:
            found += [Edit(*span, "") for span in qualified(text, source.schema, source.name)]
    return [Edit(starts[source.tokens[0]], behind, sql + alias), *found]


def _sql_of(schemas: Schemas, schema: str | None, name: str, at: _At, starless: bool, depth: int) -> str:
    """What to read from instead of a table or a view, without an alias."""
    view = schemas.view(schema, name)
    if view is not None:
        return _of_view(schemas, *view, at, depth)
    if name.lower() in _DATED_OWN:
        return _of_own(schemas, schema, name, at)
    history = schemas.history(schema, name, starless)
    if history is not None:
        return f"{history.name}({at.arguments(history.arguments)})"
    written = name if schema is None else f"{schema}.{name}"
    if not schemas.means(schema, name) and not name.lower().startswith(("sqlite_", "pragma_", OWN_PREFIX)):
        raise ex.OperationalError(f"no such table: {written}")
    raise ex.NotSupportedError(f"{written} FOR SYSTEM_TIME: it is none of EntityDB's tables, and has no history")


def _of_own(schemas: Schemas, schema: str | None, name: str, at: _At) -> str:
    if at.kind == AS_OF:
        return f"{schemas.own(schema, name)}({at.arguments(0)})"
    if name.lower() == "entitydb_tags":
        return tags_over(schemas.own(schema, "entitydb_changes"), at.kind, at.moments)
    return entities_over(schemas.own(schema, "entitydb_versions"), at.kind, at.moments)


def _of_view(schemas: Schemas, view: View, home: str, at: _At, depth: int) -> str:
    """A view's query, with everything it reads at the moment."""
    if at.kind != AS_OF:
        raise ex.NotSupportedError(_no_versions(schemas, view, home, _CLAUSE_OF[at.kind]))
    if depth > _DEEPEST:
        raise ex.OperationalError(f"view {view.name} is circularly defined")
    names, body = _query_of(view)
    ctes = frozenset(shadowed(body))
    made: list[Edit] = []
    for source in sources(body):
        name = source.name.lower()
        if source.schema is None and name in ctes:
            continue
        if name in NAMES or name.startswith("pragma_"):
            raise ex.NotSupportedError(f"view {view.name} FOR SYSTEM_TIME: it asks for the schema, which has no moment")
        if source.arguments is not None:
            continue
        made += _dated(body, source._replace(schema=source.schema or home), schemas, at)
    ready = edited(body.sql, made)
    if not names:
        return f"({ready})"
    return f'(WITH "entitydb view"{names} AS ({ready}) SELECT * FROM "entitydb view")'


def _query_of(view: View) -> tuple[str, Text]:
    """A view's list of names, as for parts_of_view(), and its query."""
    text = Text(view.sql)
    names, query = parts_of_view(text)
    return names, Text(text.span((query, len(text))).rstrip("; \n\t\r\f"))


def _no_versions(schemas: Schemas, view: View, home: str, clause: str) -> str:
    """Why a view has no intervals, and what to write.

    The versions of several tables side by side are no rows that the view ever had: they are of different times. And a
    row of a view has no key by which what a query gives before and after a commit would be one row that changed.
    """
    tables = ", ".join(f"{table} FOR SYSTEM_TIME {clause}" for table in _tables_of(schemas, view, home))
    return (
        f"{view.name} FOR SYSTEM_TIME {clause}: the rows of a view have no versions of their own; read {view.name} FOR "
        f"SYSTEM_TIME AS OF each moment{', or the versions of what it reads: ' + tables if tables else ''}"
    )


def _tables_of(schemas: Schemas, view: View, home: str) -> list[str]:
    """The tables that a view reads, and those that the views in it do, as they are written; each once."""
    found: list[str] = []
    views = [(view, home)]
    for one, schema in views:
        _, body = _query_of(one)
        ctes = frozenset(shadowed(body))
        for source in sources(body):
            if source.arguments is not None or (source.schema is None and source.name.lower() in ctes):
                continue
            inner = schemas.view(source.schema or schema, source.name)
            if inner is not None:
                views += [inner] if inner not in views else []
            elif source.name.lower() in _DATED_OWN or schemas.locate(source.schema or schema, source.name) is not None:
                written = source.written if source.schema or schema == "main" else f"{quote(schema)}.{source.written}"
                found += [written] if written not in found else []
    return found


def parts_of_view(text: Text) -> tuple[str, int]:
    """The list of names with its parentheses, or "", and the first token of the query."""
    at = text.find("VIEW") + 2
    while text.upper(at) not in ("(", "AS") and at < len(text):
        at += 1
    names = ""
    if text.upper(at) == "(":
        names = text.span((at, text.closing(at) + 1))
        at = text.closing(at) + 1
    return names, at + 1


# ---- "t history" ----


def _named_history(text: Text, source: Source, schemas: Schemas, ctes: frozenset[str]) -> list[Edit]:
    """`"t history"`, by its name, unless it is that of a common table expression, which has no arguments."""
    name = source.name.lower()
    if not name.endswith(_SUFFIX) or (source.schema is None and source.arguments is None and name in ctes):
        return []
    history = schemas.history(source.schema, source.name[: -len(_SUFFIX)], False)
    if history is None or schemas.means(source.schema, source.name):
        return []
    if source.role == TARGET:
        raise ex.PastWriteError(f"{source.written}: the past does not change; write to the table itself")
    return _replaced(text, source, history)


def _replaced(text: Text, source: Source, history: HistoryName) -> list[Edit]:
    """The name, zeros before its arguments, and an alias where it has none."""
    starts, ends = text.starts, text.ends
    found = [Edit(starts[source.tokens[0]], ends[source.tokens[1] - 1], history.name)]
    if source.arguments is not None and history.arguments and source.arguments[0] < source.arguments[1]:
        at = starts[source.arguments[0]]
        found.append(Edit(at, at, "0, " * history.arguments))
    if source.alias < 0 and source.role != IN:
        behind = ends[min(source.end, len(text)) - 1]
        found.append(Edit(behind, behind, f" AS {quote(source.name)}"))
        if source.schema is not None:
            found += [Edit(*span, "") for span in qualified(text, source.schema, source.name)]
    return found


__all__ = ["edits", "moment_sql", "parts_of_view", "rewrite"]
