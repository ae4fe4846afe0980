"""DDL beyond tables and indexes: ALTER TABLE, views, CREATE TABLE AS. Each an edit of the catalog by the schema."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import apsw

from ... import _exceptions as ex
from .._catalog import Entry, Setting, Table, View
from ..rewrite.schema_names import rewritten
from ..sql.analysis import Ddl
from ..sql.tokens import find, quote, tokens
from . import alter as _alter
from . import create as _ddl

if TYPE_CHECKING:
    from ..schemas.schema import Schema


def alter_table(schema: Schema, ddl: Ddl, sql: str) -> None:
    """All actions of the statement, in their order, or none."""
    actions = _alter.actions(sql)
    if len(actions) == 1:
        _alter_once(schema, ddl, sql)
        return
    with schema._all_or_nothing():
        for action in actions:
            _alter_once(schema, ddl, action)


def _alter_once(schema: Schema, ddl: Ddl, sql: str) -> None:
    declared = schema._declared.get(ddl.name.lower())
    if declared is None:
        if ddl.name.lower() in schema._views:
            raise ex.OperationalError(f"view {ddl.name} may not be altered")
        if ddl.if_clause:
            return
        raise ex.OperationalError(f"no such table: {ddl.written}")
    tables = {key: d.table for key, d in schema._declared.items()}
    change = _alter.alter(sql, declared.table, tables, list(schema._views.values()), schema._place)
    if not change.tables:
        return
    if not change.before:
        _edit_tables(schema, declared.table, change)
        return
    with schema._all_or_nothing():
        for update in change.before:
            schema._run(update, writes=True)
        _edit_tables(schema, declared.table, change)


def _edit_tables(schema: Schema, altered: Table, change: _alter.Change) -> None:
    judged = bool(change.checks or change.updates)
    edits: list[tuple[str, str, Entry | None]] = []
    for name, table in change.tables:
        mine = table.id == altered.id
        edits.append(("judged" if judged and mine else "replace", name, table))
    edits += [("replace", view.name, view) for view in change.views]

    def then() -> None:
        for check in change.checks:
            if schema._run(check.sql):
                raise (ex.IntegrityError if check.integrity else ex.OperationalError)(check.failed)
        for update in change.updates:
            schema._run(update, writes=True)

    schema._edit_catalog(edits, then)


# ---- views ----


def _view_text(sql: str, name: str) -> str:
    """A CREATE VIEW as SQLite keeps it: without the schema and IF NOT EXISTS. Raises apsw.Error for bad syntax."""
    with _ddl.scratch() as db:
        db.execute(sql)
        rows = db.execute("SELECT sql FROM main.sqlite_master WHERE type = 'view' AND name = ?", (name,)).fetchall()
    return str(rows[0][0])


def create_view(schema: Schema, ddl: Ddl, sql: str) -> None:
    taken = schema._taken(ddl.name)
    if taken is not None:
        if ddl.if_clause and schema._find_index(ddl.name) is None:
            return
        raise ex.OperationalError(taken)
    if ddl.name.lower().startswith("entitydb_"):
        raise ex.OperationalError(f"object name reserved for internal use: {ddl.name}")
    if schema._title != "main":
        sql = _ddl.within(sql, schema._title)
    schema._own_ddl("create", ddl.name, View(0, ddl.name, _view_text(sql, ddl.name)))


def drop_view(schema: Schema, ddl: Ddl, sql: str) -> None:
    view = schema._views.get(ddl.name.lower())
    if view is None:
        if ddl.name.lower() in schema._declared:
            raise ex.OperationalError(f"use DROP TABLE to delete table {ddl.name}")
        if ddl.if_clause:
            return
        raise ex.OperationalError(f"no such view: {ddl.written}")
    schema._own_ddl("drop", view.name, None)


# ---- CREATE TABLE ... AS ----

_MODEL = '"entitydb model"'


def create_as(schema: Schema, ddl: Ddl, sql: str, parameters: Any) -> None:
    taken = schema._taken(ddl.name)
    if taken is not None:
        if ddl.if_clause and schema._find_index(ddl.name) is None:
            return
        raise ex.OperationalError(taken)
    items = tokens(sql)
    while items[-1].text == ";":
        items.pop()
    behind = items[find(items, "AS") + 1 :]
    if not behind:
        raise ex.OperationalError("incomplete input")
    query = sql[behind[0].start : behind[-1].end]
    asking = rewritten(query)
    if asking is not None:
        schema._whole()._show(fixed=True)  # the query does not see the table it makes
        query = asking
    try:
        _create_as(schema, ddl, query, parameters)
    finally:
        schema._whole()._tells = None


def _create_as(schema: Schema, ddl: Ddl, query: str, parameters: Any) -> None:
    """The columns are those of a TEMP table that SQLite makes of the query, empty; then the query's rows go in."""
    limited = f"CREATE TEMP TABLE {_MODEL} AS SELECT * FROM ({query}) LIMIT 0"
    schema._run(limited, parameters, writes=True)
    try:
        text = schema._run("SELECT sql FROM temp.sqlite_master WHERE name = ?", (_MODEL.strip('"'),))[0][0]
    finally:
        schema._run(f"DROP TABLE temp.{_MODEL}", writes=True)
    columns = text[text.index("(") :]
    bare = re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", ddl.name) and ddl.name.upper() not in apsw.keywords
    table = _ddl.parse_table(f"CREATE TABLE {ddl.name if bare else quote(ddl.name)}{columns}", ddl.name)

    def fill() -> None:
        schema._run(f"INSERT INTO {schema._place}.{quote(ddl.name)} {query}", parameters, writes=True)

    schema._edit_catalog([("create", table.name, table)], fill)


# ---- settings ----


def set_setting(schema: Schema, name: str, value: str) -> None:
    """A value that is kept with the schema and rolls back with it."""
    known = schema._settings.get(name)
    if known is None:
        schema._own_ddl("create", name, Setting(0, name, value))
    elif known.sql != value:
        schema._own_ddl("replace", name, Setting(known.id, name, value))
