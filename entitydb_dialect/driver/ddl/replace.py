"""CREATE OR REPLACE TABLE t (...) AS SELECT ... FROM t: a table made anew that continues the old one's history.

To any database, a table made anew, filled from the old one and renamed is another table. This statement says that it is
the same one: it keeps its id, columns that are taken over keep their places in stored rows, and a row that is the same
as before keeps its version. It is what Alembic's batch mode becomes.

How: the query is run into a TEMP table of the new definition, so that SQLite itself judges every constraint on every
new row and stores values as the new types have them. Then the catalog entry is edited to the new columns, without
constraints; rows that differ from the TEMP table are written; and the entry gets its constraints and indexes. A row's
counterpart is known by the row id where the query takes all its rows from t, else by primary key. Only where it is the
row that the query made it of are columns that were taken as they are not compared. Foreign keys do not act meanwhile,
and are asked about at the end.

The integer primary key is what rows are stored by. It may be dropped, and a new column may become it, which then shows
the ids rows have. But where its column stays and is not the key any more, or another column of the query becomes it,
the table is another one after all, and its history begins here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import apsw

from ... import _exceptions as ex
from .._catalog import Column, Table, rowid_name
from ..schemas.lookup import schema_of, schema_with
from ..sql.tokens import STRING, Token, closing, find, is_name, quote, tokens, unquote
from . import alter as _alter
from . import create as _ddl
from .retention import taken_retention
from .tag_columns import tagged, taken_from_table

if TYPE_CHECKING:
    from ..schemas.schema import Schema
    from ..sql.statement import Ddl

_COPY_NAME = "entitydb replaced"
_COPY = quote(_COPY_NAME)
_SAVEPOINT = '"entitydb replace"'


# ---- the statement ----


def _parts(sql: str) -> tuple[str, str | None]:
    """The CREATE TABLE statement of the new table, without a schema, and the query; None: there is none."""
    items = tokens(sql)
    while items[-1].text == ";":
        items.pop()
    opening = next((i for i, t in enumerate(items) if t.upper in ("(", "AS")), len(items))
    if opening == len(items) or items[opening].upper == "AS":
        raise ex.NotSupportedError("CREATE OR REPLACE TABLE without a list of columns: write the columns out")
    behind = find(items, "AS", closing(items, opening) + 1)
    last = items[behind - 1] if behind >= 0 else items[-1]
    text = f"CREATE TABLE {items[opening - 1].text} {sql[items[opening].start : last.end]}"
    if behind < 0:
        return text, None
    if behind + 1 >= len(items):
        raise ex.OperationalError("incomplete input")
    return text, sql[items[behind + 1].start : items[-1].end]


# Of each result column: the column it takes its values from (lower case), and whether it takes them as they are.
_Sources: TypeAlias = list[tuple[str | None, bool]]


@dataclass
class _Query:
    """What the tokens of a query tell of it."""

    sources: _Sources
    # The query with the old row id as its last column; None: its rows are not those of t one by one.
    with_ids: str | None = None


def _row_id(*tables: Table) -> str:
    """A name of the row id in all of them; "": there is none."""
    return rowid_name(column.name for table in tables for column in table.visible) or ""


_NOT_ONE_BY_ONE = {"GROUP", "HAVING", "WINDOW", "UNION", "EXCEPT", "INTERSECT", "LIMIT", "JOIN", ","}


_VALUES = {"NULL", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"}  # whatever columns there are


def _column_named(items: list[Token]) -> str | None:
    """The column that [schema.][table.]column means."""
    if len(items) % 2 == 0 or len(items) > 5:
        return None
    if len(items) == 1 and (items[0].kind == STRING or items[0].upper in _VALUES):
        return None
    if not all(is_name(t) if i % 2 == 0 else t.upper == "." for i, t in enumerate(items)):
        return None
    return unquote(items[-1].text).lower()


def _source(items: list[Token]) -> tuple[str | None, bool]:
    """Of the tokens of one result column."""
    alias = find(items, "AS")
    if alias == len(items) - 2 > 0:
        items = items[:alias]
    if len(items) > 4 and items[0].upper == "CAST" and closing(items, 1) == len(items) - 1:
        to = find(items, "AS", 2)
        return (_column_named(items[2:to]) if to > 0 else None), False
    column = _column_named(items)
    return column, column is not None


def _is_replaced(schema: Schema, written: str | None, table: str) -> bool:
    """Does a name in the query, with what is written before its dot, mean the table that is replaced?"""
    session = schema.session
    found = schema_with(session, table) if written is None else schema_of(session, written)
    return found is schema


def _read_query(query: str, old: Table, schema: Schema) -> _Query:
    items = tokens(query)
    come_from = find(items, "FROM")
    if not items or items[0].upper != "SELECT" or come_from < 0 or items[1].upper == "DISTINCT":
        return _Query([])
    listed = _ddl._split(items[1:come_from])
    if any(part and part[-1].upper == "*" for part in listed):
        sources: _Sources = [(c.name.lower(), True) for c in old.visible] if len(listed) == 1 else []
    else:
        sources = [_source(part) for part in listed]
    at, written = come_from + 1, None
    if items[at + 1 : at + 2] and items[at + 1].upper == ".":
        at, written = at + 2, unquote(items[at].text)
    if at >= len(items) or not is_name(items[at]) or unquote(items[at].text).lower() != old.name.lower():
        return _Query(sources)
    if not _is_replaced(schema, written, old.name):
        return _Query(sources)
    called, at = items[at], at + 1
    if at < len(items) and items[at].upper == "AS":
        at += 1
    if at < len(items) and is_name(items[at]) and items[at].upper not in ("WHERE", "ORDER", *_NOT_ONE_BY_ONE):
        called, at = items[at], at + 1
    level = 0
    for token in items[at:]:
        level += (token.upper == "(") - (token.upper == ")")
        if level == 0 and token.upper in _NOT_ONE_BY_ONE:
            return _Query(sources)
    if at < len(items) and items[at].upper not in ("WHERE", "ORDER"):
        return _Query(sources)
    ids = _row_id(old)
    start = items[come_from].start
    return _Query(sources, f"{query[:start]}, {called.text}.{ids} {query[start:]}" if ids else None)


# ---- what becomes of columns and rows ----


@dataclass
class _Plan:
    old: Table
    bare: Table  # the new columns under the old id, with the indexes that certainly stay right, without constraints
    new: Table
    moving: list[Column]  # of the new ones, those whose values may differ from before; computed ones always
    match: str  # joins the row o of the table and the row n of the copy; "" where rows have no counterparts
    ids: str  # the copy's column that takes the old row id: its own row id, or a new integer primary key; "": none


def _plain(table: Table) -> list[Column]:
    """The columns that are written and not computed."""
    return [c for c in table.visible if c.expression is None]


def _continued(query: _Query, names: list[str], old: Table, parsed: Table) -> dict[str, str]:
    """New column names, lower case, to those of the old columns they continue."""
    known = {c.name.lower() for c in _plain(old)}
    found: dict[str, str] = {}
    for name, (source, _) in zip(names, query.sources, strict=False):
        if source is not None and source in known and source not in found.values():
            found[name.lower()] = source
    for name in names:
        key = name.lower()
        if key not in found and key in known and key not in found.values():
            found[key] = key
    stored = {c.name.lower(): c.stored for c in old.visible if c.expression is not None}
    for column in parsed.visible:
        key = column.name.lower()
        if column.expression is not None and stored.get(key) is column.stored:
            found[key] = key
    return found


def _match(
    old: Table, new: Table, row_id: str, shows_ids: bool, one_by_one: bool, exact: set[str]
) -> tuple[str, bool]:
    """What joins the row o of the table and the row n of the copy, and whether n was made of this very o.

    Args:
        row_id: the copy's column that takes the old row id; "": there is none.
        shows_ids: the primary key does.
        one_by_one: the copy's rows are those of the table.
        exact: lower-case names of the columns that are taken as they are.
    """
    if row_id:
        return f"o.{row_id} = n.{row_id}", True
    key = [new.columns[i] for i in new.primary_key]
    match = " AND ".join(f"o.{quote(c.name)} = n.{quote(c.name)}" for c in key)
    if shows_ids:
        return match, True
    was = {old.columns[i].id for i in old.primary_key}
    if not was or not was <= {c.id for c in key}:
        return "", False  # no two rows of the copy have the key, but several of the table may
    return match, one_by_one and all(c.name.lower() in exact for c in key)


def _plan(old: Table, parsed: Table, query: _Query, names: list[str]) -> _Plan | None:
    """None: it is another table after all."""
    if len(query.sources) != len(names):
        query = replace(query, sources=[])
    continued = _continued(query, names, old, parsed)

    def key_of(table: Table) -> str | None:
        return table.columns[table.rowid_column].name.lower() if table.rowid_column >= 0 else None

    key, old_key = key_of(parsed), key_of(old)
    goes_on = old_key in continued.values()  # the old key as a column
    shows_ids = key is not None and key not in continued and key not in {name.lower() for name in names}
    if key is not None and not shows_ids:
        if old_key is None or continued.get(key) != old_key:
            return None
    elif goes_on or (shows_ids and query.with_ids is None):
        return None
    every = {c.name.lower(): continued.get(c.name.lower(), "") for c in parsed.columns}
    new = tagged(_alter._merge(old, parsed, (), every, rekeyed=True), {})  # those kept beside those declared
    ids = ""
    if shows_ids and key is not None:
        ids = key
    elif key is None and query.with_ids is not None and not new.without_rowid:
        ids = _row_id(old, new)
    exact = {
        name.lower()
        for name, (source, itself) in zip(names, query.sources, strict=False)
        if itself and continued.get(name.lower()) == source
    }
    match, is_itself = _match(old, new, ids if not shows_ids else "", shows_ids, query.with_ids is not None, exact)
    before = {c.id for c in old.columns}
    moving = []
    for column in new.columns:
        # Under another affinity it has another id.
        stays = is_itself and column.id in before and column.name.lower() in exact
        if not stays or (new.strict and not old.strict) or column.expression is not None:
            moving.append(column)
    unsure = {c.id for c in moving}
    kept = tuple(i for i in new.indexes if i.tree and not unsure & {new.columns[part.column].id for part in i.parts})
    # The others are filled when the rows are what they shall be.
    new = replace(new, indexes=tuple(i if i in kept else replace(i, tree=0) for i in new.indexes))
    bare = replace(
        new,
        without_rowid=False,
        columns=tuple(replace(c, not_null=False) for c in new.columns),
        indexes=kept,
        extra={k: v for k, v in new.extra.items() if k == "next_column"},
    )
    return _Plan(old, bare, new, moving, match, ids)


# ---- doing it ----


def _fill_copy(schema: Schema, plan: _Plan | None, text: str, names: list[str], query: str, parameters: Any) -> None:
    """The TEMP table of the new definition, with the query's rows."""
    items = tokens(text)
    schema.run(f"CREATE TEMP TABLE {_COPY} {text[items[3].start :]}", writes=True)
    columns = [quote(name) for name in names]
    if plan is not None and plan.ids:
        columns.append(quote(plan.ids))
    try:
        schema.run(f"INSERT INTO temp.{_COPY}({', '.join(columns)}) {query}", parameters, writes=True)
    except ex.Error as error:
        named = unquote(items[2].text)
        error.args = tuple(str(a).replace(f"{_COPY_NAME}.", f"{named}.") for a in error.args)
        raise


def _copied(schema: Schema, table: Table, where: str = "") -> None:
    """Rows of the copy into the table."""
    columns = ", ".join(quote(c.name) for c in _plain(table))
    ids = "" if table.without_rowid else _row_id(table)
    order = f" ORDER BY n.{ids}" if ids else ""
    into = f"{schema.sql_name}.{quote(table.name)}({columns})"
    schema.run(f"INSERT INTO {into} SELECT {columns} FROM temp.{_COPY} AS n{where}{order}", writes=True)


def _write_differences(schema: Schema, plan: _Plan) -> None:
    table = f"{schema.sql_name}.{quote(plan.new.name)}"
    if not plan.match:
        schema.run(f"DELETE FROM {table}", writes=True)
        _copied(schema, plan.new)
        return
    schema.run(
        f"DELETE FROM {table} AS o WHERE NOT EXISTS (SELECT 1 FROM temp.{_COPY} AS n WHERE {plan.match})", writes=True
    )
    moving = [quote(c.name) for c in plan.moving if c.expression is None or c.stored]
    if moving:
        # What is computed is computed again for every row written.
        written = [quote(c.name) for c in plan.moving if c.expression is None] or [quote(_plain(plan.new)[0].name)]
        differs = " OR ".join(f"o.{c} COLLATE BINARY IS NOT n.{c} OR typeof(o.{c}) <> typeof(n.{c})" for c in moving)
        put = ", ".join(f"{c} = n.{c}" for c in written)
        schema.run(
            f"UPDATE {table} AS o SET {put} FROM temp.{_COPY} AS n WHERE {plan.match} AND ({differs})", writes=True
        )
    _copied(schema, plan.new, f" WHERE NOT EXISTS (SELECT 1 FROM {table} AS o WHERE {plan.match})")


def _judge_foreign(schema: Schema, table: Table, rows_changed: bool) -> None:
    tables = {key: d.table for key, d in schema.declared.items()}
    owners = [table]
    if rows_changed:
        owners += [t for t in tables.values() if t.id != table.id]
    for owner in owners:
        for key in owner.extra.get("foreign_keys", []):
            if owner is table or key["table"].lower() == table.name.lower():
                check = _alter._foreign_rows(schema.sql_name, owner, key, tables)
                if check is not None and schema.run(check.sql):
                    raise ex.IntegrityError(check.failed)


def _columns_of(schema: Schema, query: str, parameters: Any) -> list[str]:
    """The names of a query's columns."""
    schema.run(f"CREATE TEMP TABLE {_COPY} AS SELECT * FROM ({query}) LIMIT 0", parameters, writes=True)
    try:
        return [row[1] for row in schema.run(f"PRAGMA temp.table_info({_COPY})")]
    finally:
        schema.run(f"DROP TABLE temp.{_COPY}", writes=True)


def _known(names: Iterable[str], table: Table) -> None:
    known = {c.name.lower() for c in table.visible}
    for name in names:
        if name.lower() not in known:
            raise ex.OperationalError(f"table {table.name} has no column named {name}")


def _replace(
    schema: Schema, old: Table | None, parsed: Table, text: str, query: str | None, parameters: Any, enforced: bool
) -> None:
    session = schema.session
    names = [] if query is None else _columns_of(schema, query, parameters)
    _known(names, parsed)
    read = _Query([]) if query is None or old is None else _read_query(query, old, schema)
    plan = None if old is None else _plan(old, parsed, read, names or [c.name for c in _plain(old)])
    if query is None:
        # No rows; the columns of the same names go on.
        names = [c.name for c in _plain(parsed)]
        query = f"SELECT {', '.join('1' for _ in names)} WHERE 0"
    elif plan is not None and plan.ids and read.with_ids is not None:
        query = read.with_ids
    changes = session.raw.total_changes()
    _fill_copy(schema, plan, text, names, query, parameters)
    try:
        if plan is None:
            edits: list[Any] = [] if old is None else [("drop", old.name, None)]
            schema.edit_catalog([*edits, ("create", parsed.name, parsed)], lambda: _copied(schema, parsed))
        else:
            changes = session.raw.total_changes()
            schema.edit_catalog([("judged", plan.old.name, plan.bare)], lambda: _write_differences(schema, plan))
            schema.edit_catalog([("judged", plan.new.name, plan.new)])
    finally:
        if session.raw.in_transaction:
            schema.run(f"DROP TABLE IF EXISTS temp.{_COPY}", writes=True)
    if enforced:
        _judge_foreign(schema, schema.declared[parsed.name.lower()].table, session.raw.total_changes() != changes)


def replace_table(schema: Schema, ddl: Ddl, sql: str, parameters: Any) -> None:
    """CREATE OR REPLACE TABLE, all of it or nothing."""
    session = schema.session
    if ddl.if_clause:
        raise ex.OperationalError('near "EXISTS": syntax error')
    declared = schema.declared.get(ddl.name.lower())
    if declared is None:
        taken = schema.name_conflict(ddl.name)
        if taken is not None:
            raise ex.OperationalError(taken)
    text, query = _parts(sql)
    parsed = _ddl.parse_table(text, ddl.name)
    text, _ = taken_retention(taken_from_table(text)[0])  # the copy is SQLite's
    session.drain()
    enforced = bool(session.raw.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, -1))
    session.control.execute(f"SAVEPOINT {_SAVEPOINT}")
    session.raw.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)
    try:
        _replace(schema, None if declared is None else declared.table, parsed, text, query, parameters, enforced)
    except BaseException:
        if session.raw.in_transaction:
            session.control.execute(f"ROLLBACK TO {_SAVEPOINT}")
            session.control.execute(f"RELEASE {_SAVEPOINT}")
            session.rolled_back_to()
        raise
    finally:
        session.raw.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, enforced)
    session.control.execute(f"RELEASE {_SAVEPOINT}")


__all__ = ["replace_table"]
