"""What brings a dropped table or column back: statements for the running transaction.

A table is made by its CREATE TABLE of then, which gives it constraints, and filled with the rows of then under their
row ids; its indexes and tags follow. It is another table to the catalog: its history begins anew, and that of the
dropped one stays where it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ... import _exceptions as ex
from ..._moments import LAST_NS
from .._catalog import Table, rowid_name
from ..schemas.names import moment_text, table_then, then_name
from ..sql.tokens import quote
from .text import TableText
from .unversioned import declared, table_text

if TYPE_CHECKING:
    from ..schemas.names import Meaning, Names
    from ..schemas.schema import Schema

_ROW = '"entitydb row"'  # the column of a history table that has the row's id
_TAGS = "SELECT entity, namespace, tag FROM entitydb_tags WHERE type = ?"


class NotDropped(ex.ProgrammingError):
    """It was not dropped, or there is no place for it; the message says what to do."""


class NeverThere(NotDropped):
    """There was no such table or column, or not then."""


class Undrop(NamedTuple):
    """How something is brought back.

    Attributes:
        ns: as of which moment.
        makes: makes the table or column. Where several are brought back that refer to each other, all are made first.
        statements: in this order, behind it.
        tags: (type, entity, tag) of the rows; to be given behind them.
    """

    ns: int
    makes: str
    statements: list[str]
    tags: list[tuple[str, int, str]]


def undrop(schema: Schema, name: str, as_of: int | None) -> Undrop:
    """How a table, or a column as `table.column`, is brought back.

    Args:
        as_of: a moment at which it was there (nanoseconds); None: as it was last.

    Raises:
        NeverThere: it was never there, or not then.
        NotDropped: it is there, or has another name; its name is taken.
    """
    past = schema.session.past_names
    past.follow()
    table, dot, column = name.rpartition(".")
    if dot and not past.ever(schema, name) and table.lower() in schema.declared:
        return _column(schema, schema.declared[table.lower()].table, column, as_of)
    return _table(schema, name, as_of)


# ---- a table ----


def _table(schema: Schema, name: str, as_of: int | None) -> Undrop:
    meaning = _dropped(schema, schema.session.past_names.of(schema), name, as_of)
    assert meaning.ended is not None
    ns = meaning.ended - 1 if as_of is None else as_of
    last = schema.session.schema_then.of(schema).last(meaning.table, ns)
    source = then_name(meaning.table, last)
    found = table_then(schema, source)
    assert found is not None
    then = found.table
    for index in then.indexes:
        holder = None if index.automatic else schema.find_index(index.name)
        if holder is not None:
            raise NotDropped(
                f"the index {index.name} of table {then.name} cannot be made again: table {holder[0].name} has one of"
                " that name; drop it first"
            )
    place = f"{schema.sql_name}.{quote(then.name)}"
    namespaces = {column.tag: column.name for column in then.columns if column.tag is not None}
    statements = [f"ALTER TABLE {place} ALTER COLUMN {quote(c)} SET TAG {_text(tag)}" for tag, c in namespaces.items()]
    statements.append(_copy(then, place, f"{schema.sql_name}.{source} FOR SYSTEM_TIME AS OF {ns}"))
    statements += [_index(index.sql, schema.sql_name) for index in then.indexes if not index.automatic]
    tags = [
        (then.name, entity, tag)
        for entity, namespace, tag in schema.run(_TAGS, (then.name,), as_of=ns)
        if namespace not in namespaces
    ]
    return Undrop(ns, table_text(then), statements, tags)


def _dropped(schema: Schema, names: Names, name: str, as_of: int | None) -> Meaning:
    """What is meant, of the tables that had a name and were dropped."""
    if name.lower() in schema.declared or name.lower() in schema.views:
        kind = "table" if name.lower() in schema.declared else "view"
        raise NotDropped(
            f"there is a {kind} {name} now: rename it or drop it before undrop(); as_of reads the past of a name"
        )
    meanings = names.of(name)
    if not meanings:
        raise NeverThere(f"there never was a table {name}{_those(names)}")
    if as_of is None:
        gone = [one for one in meanings if one.ended is not None and names.behind(one) is None]
        meaning = gone[-1] if gone else meanings[-1]
    else:
        at = names.at(name, as_of)
        if at is None:
            raise NeverThere(
                f"{schema.session.past_names.missing(schema, name, as_of)}; undrop() needs a moment at which it was"
                f" there{_when(meanings)}"
            )
        meaning = at
    if meaning.ended is None:
        raise NotDropped(f"the running transaction has dropped table {name}: roll it back instead")
    became = names.behind(meaning)
    if became is not None:
        raise NotDropped(
            f"table {name} was not dropped but renamed to {became} at {moment_text(meaning.ended)}:"
            f" rename that one, or undrop {became} if it is no more"
        )
    return meaning


def _those(names: Names) -> str:
    found = sorted(names.dropped())
    return f"; tables that were dropped: {', '.join(found[:10])}{', ...' if len(found) > 10 else ''}" if found else ""


def _when(meanings: list[Meaning]) -> str:
    begun, ended = meanings[-1].begun, meanings[-1].ended
    return f", as from {moment_text(begun)} until before {moment_text(ended or LAST_NS)}"


def _index(sql: str, schema: str) -> str:
    """A CREATE INDEX for a schema."""
    text = TableText(sql)
    at = next(i for i, token in enumerate(text.items) if token.upper == "ON") - 1
    return f"{sql[: text.items[at].start]}{schema}.{sql[text.items[at].start :]}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _copy(then: Table, place: str, source: str) -> str:
    """An INSERT of the rows of then. Columns without history get their defaults."""
    written = [column for column in then.visible if column.expression is None and not column.unversioned]
    columns = ", ".join(quote(column.name) for column in written)
    row_id = None if then.rowid_column >= 0 else rowid_name(column.name for column in then.columns)
    if row_id is None:
        return f"INSERT INTO {place} ({columns}) SELECT {columns} FROM {source} ORDER BY {_ROW}"
    return f"INSERT INTO {place} ({row_id}, {columns}) SELECT {_ROW}, {columns} FROM {source} ORDER BY {_ROW}"


# ---- a column ----


def _column(schema: Schema, table: Table, name: str, as_of: int | None) -> Undrop:
    if any(column.name.lower() == name.lower() for column in table.visible):
        raise NotDropped(f"there is a column {table.name}.{name} now: rename it or drop it before undrop()")
    definitions = schema.session.schema_then.of(schema)
    for last in [as_of] if as_of is not None else definitions.ends(table.id):
        found = table_then(schema, then_name(table.id, last))
        then = None if found is None else found.table
        column = next((c for c in then.visible if c.name.lower() == name.lower()), None) if then is not None else None
        if then is None or column is None:
            continue
        if any(column.id in (one.id, *one.earlier) for one in table.columns):
            now = next(one.name for one in table.columns if column.id in (one.id, *one.earlier))
            raise NotDropped(f"column {table.name}.{name} was not dropped but renamed to {now}: rename that one")
        return _columns_back(schema, table, then, column.name, last, definitions.last(table.id, last))
    if as_of is None:
        raise NeverThere(f"table {table.name} never had a column {name}")
    raise NeverThere(f"table {table.name} had no column {name} at {moment_text(as_of)}")


def _columns_back(schema: Schema, table: Table, then: Table, name: str, ns: int, last: int) -> Undrop:
    column = next(one for one in then.visible if one.name == name)
    row_id = rowid_name(column.name for column in table.columns)
    if row_id is None:
        raise NotDropped(f"no name is left for the row ids of {table.name}, so its rows cannot be told apart")
    text = TableText(then.sql)
    if column.not_null:
        text = TableText(text.without(name, lambda segment: segment.kind == "NOT"))
    start, end = text.column(name)
    definition = text.sql[text.items[start].start : text.items[end - 1].end]
    place, quoted = f"{schema.sql_name}.{quote(table.name)}", quote(name)
    tag = "" if column.tag is None else f" TAG {_text(column.tag)}"
    statements = []
    if column.expression is None and not column.unversioned:  # nothing is known of its values
        source = f"{schema.sql_name}.{then_name(table.id, last)} FOR SYSTEM_TIME AS OF {ns}"
        statements.append(
            f"UPDATE {place} SET {quoted} = then_.value FROM (SELECT {_ROW} AS id, {quoted} AS value FROM {source})"
            f" AS then_ WHERE then_.id = {quote(table.name)}.{row_id}"
        )
    if column.not_null:
        statements.append(f"ALTER TABLE {place} ALTER COLUMN {quoted} SET NOT NULL")
    return Undrop(ns, f"ALTER TABLE {place} ADD COLUMN {definition}{tag}{declared(column)}", statements, [])


__all__ = ["NotDropped", "Undrop", "undrop"]
