"""CREATE, ALTER and DROP of tables, indexes and views: each an edit of the schema's catalog."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import apsw

from ... import _exceptions as ex
from ..._native import lib
from .._catalog import OWN_TABLES, Entry, Setting, Table, View, refuse_reserved
from .._errors import CODES, check, translate
from ..rewrite.schema_names import rewritten
from ..sql.tokens import find, quote, tokens
from . import alter as _alter
from . import create as _ddl
from .replace import replace_table
from .scratch import scratch

if TYPE_CHECKING:
    from ..schemas.content import Declared
    from ..schemas.schema import Schema
    from ..sql.statement import Ddl


def run_ddl(schema: Schema, ddl: Ddl, sql: str, parameters: Any = ()) -> None:
    """Carries out a statement as edits of the schema's catalog."""
    _refuse_own(ddl)
    if ddl.schema is not None and ddl.verb != "DROP":
        sql = _ddl.without_schema(sql)
    try:
        if ddl.verb == "ALTER":
            alter_table(schema, ddl, sql)
        elif ddl.what == "VIEW":
            if ddl.verb == "CREATE":
                create_view(schema, ddl, sql)
            else:
                drop_view(schema, ddl)
        elif ddl.replaces:
            replace_table(schema, ddl, sql, parameters)
        elif ddl.as_select:
            create_as(schema, ddl, sql, parameters)
        elif ddl.verb == "CREATE":
            (create_table if ddl.what == "TABLE" else create_index)(schema, ddl, sql)
        else:
            (drop_table if ddl.what == "TABLE" else drop_index)(schema, ddl)
    except apsw.Error as error:
        raise _own_function(schema.session.raw, error) or translate(error) from error


def _refuse_own(ddl: Ddl) -> None:
    """Raises OperationalError for what is to change a table of the engine's own, in the words of SQLite for its own."""
    indexes = ddl.verb == "CREATE" and ddl.what == "INDEX"
    name = ddl.table if indexes else ddl.name
    if name.lower() in OWN_TABLES and (indexes or ddl.verb != "CREATE"):
        done = "indexed" if indexes else "altered" if ddl.verb == "ALTER" else "dropped"
        raise ex.OperationalError(f"table {name} may not be {done}")


_MISSING = re.compile(r"no such function: (.+)$")


def _own_function(raw: apsw.Connection, error: apsw.Error) -> ex.NotSupportedError | None:
    """What to say when an expression of the schema uses a function that somebody registered with the connection."""
    match = _MISSING.search(str(error))
    if match is None:
        return None
    known = raw.execute("SELECT 1 FROM pragma_function_list WHERE name = ? AND NOT builtin", (match[1].lower(),))
    if not known.fetchall():
        return None
    return ex.NotSupportedError(
        f"{match[1]}() is a function of this process: what the schema keeps has to mean the same in every other"
    )


def _is_there(schema: Schema, ddl: Ddl) -> bool:
    """Before CREATE of a table or view: may it be left out, by IF NOT EXISTS? Raises OperationalError for a name that
    is taken otherwise."""
    conflict = schema.name_conflict(ddl.name)
    if conflict is None:
        return False
    if ddl.if_clause and schema.find_index(ddl.name) is None:
        return True
    raise ex.OperationalError(conflict)


# ---- tables ----


def create_table(schema: Schema, ddl: Ddl, sql: str) -> None:
    if _is_there(schema, ddl):
        return
    table = _ddl.parse_table(sql, ddl.name)
    schema.edit_entry("create", table.name, table)


def drop_table(schema: Schema, ddl: Ddl) -> None:
    declared = schema.declared.get(ddl.name.lower())
    if declared is None:
        if ddl.name.lower() in schema.views:
            raise ex.OperationalError(f"use DROP VIEW to delete view {ddl.name}")
        if ddl.if_clause:
            return
        raise ex.OperationalError(f"no such table: {ddl.written}")
    if not _is_referred_to(schema, declared):
        schema.edit_entry("drop", declared.name, None)
        return
    with schema.all_or_nothing():
        _delete_all(schema, declared)
        schema.edit_entry("drop", declared.name, None)


def _is_referred_to(schema: Schema, parent: Declared) -> bool:
    """Does a foreign key of another table mean this one, and are they enforced?"""
    if not schema.session.raw.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, -1):
        return False
    name = parent.name.lower()
    return any(
        key["table"].lower() == name
        for declared in schema.declared.values()
        if declared is not parent
        for key in declared.table.extra.get("foreign_keys", ())
    )


def _delete_all(schema: Schema, declared: Declared) -> None:
    """What DROP TABLE does first under foreign keys: their actions run, and those that hinder it are heard. A key that
    fits nothing hinders nothing."""
    session = schema.session
    stmt = session.open_statement(True, None, True, schema)
    try:
        before = session.enter(stmt)
        try:
            session.raw.execute(f"DELETE FROM {schema.sql_name}.{quote(declared.name)}").fetchall()
        finally:
            session.leave(before)
        check(lib.edb_stmt_judge(stmt))
    except apsw.Error as error:
        if CODES["FKMISMATCH"] != lib.edb_last_code():
            raise translate(error) from error
    finally:
        session.end_statement(stmt)


# ---- indexes ----


def create_index(schema: Schema, ddl: Ddl, sql: str) -> None:
    declared = schema.declared.get(ddl.table.lower())
    if declared is None:
        if ddl.table.lower() in schema.views:
            raise ex.OperationalError("views may not be indexed")
        raise ex.OperationalError(f"no such table: {schema.name}.{ddl.table}")
    if schema.find_index(ddl.name):
        if ddl.if_clause:
            return
        raise ex.OperationalError(f"index {ddl.name} already exists")
    if ddl.name.lower() in schema.declared:
        raise ex.OperationalError(f"there is already a table named {ddl.name}")
    index = _ddl.parse_index(sql, declared.table)
    schema.edit_entry("replace", declared.name, declared.table.with_index(index))


def drop_index(schema: Schema, ddl: Ddl) -> None:
    found = schema.find_index(ddl.name)
    if found is None:
        if ddl.if_clause:
            return
        raise ex.OperationalError(f"no such index: {ddl.written}")
    table, index = found
    if index.automatic:
        raise ex.OperationalError("index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped")
    schema.edit_entry("replace", table.name, table.without_index(index.name))


# ---- ALTER TABLE ----


def alter_table(schema: Schema, ddl: Ddl, sql: str) -> None:
    """All actions of the statement, in their order, or none."""
    actions = _alter.actions(sql)
    if len(actions) == 1:
        _alter_once(schema, ddl, sql)
        return
    with schema.all_or_nothing():
        for action in actions:
            _alter_once(schema, ddl, action)


def _alter_once(schema: Schema, ddl: Ddl, sql: str) -> None:
    declared = schema.declared.get(ddl.name.lower())
    if declared is None:
        if ddl.name.lower() in schema.views:
            raise ex.OperationalError(f"view {ddl.name} may not be altered")
        if ddl.if_clause:
            return
        raise ex.OperationalError(f"no such table: {ddl.written}")
    tables = {key: d.table for key, d in schema.declared.items()}
    change = _alter.alter(sql, declared.table, tables, list(schema.views.values()), schema.sql_name)
    if not change.tables:
        return
    if change.simpler is not None and _is_edited(schema, declared.table.name, change.simpler):
        return
    if not change.before:
        _edit_tables(schema, declared.table, change)
        return
    with schema.all_or_nothing():
        for update in change.before:
            schema.run(update, writes=True)
        _edit_tables(schema, declared.table, change)


def _is_edited(schema: Schema, name: str, table: Table) -> bool:
    """An edit that the engine may refuse."""
    try:
        schema.edit_entry("replace", name, table)
    except ex.ProgrammingError as error:
        if error.engine_name != "MISUSE":
            raise
        return False
    return True


def _edit_tables(schema: Schema, altered: Table, change: _alter.Change) -> None:
    judged = bool(change.checks or change.updates)
    edits: list[tuple[str, str, Entry | None]] = []
    for name, table in change.tables:
        mine = table.id == altered.id
        edits.append(("judged" if judged and mine else "replace", name, table))
    edits += [("replace", view.name, view) for view in change.views]

    def then() -> None:
        for query in change.checks:
            if schema.run(query.sql):
                raise (ex.IntegrityError if query.integrity else ex.OperationalError)(query.failed)
        for update in change.updates:
            schema.run(update, writes=True)

    schema.edit_catalog(edits, then)


# ---- views ----


def _view_text(sql: str, name: str) -> str:
    """A CREATE VIEW as SQLite keeps it: without the schema and IF NOT EXISTS. Raises apsw.Error for bad syntax."""
    with scratch() as db:
        db.execute(sql)
        rows = db.execute("SELECT sql FROM main.sqlite_master WHERE type = 'view' AND name = ?", (name,)).fetchall()
    return str(rows[0][0])


def create_view(schema: Schema, ddl: Ddl, sql: str) -> None:
    if _is_there(schema, ddl):
        return
    refuse_reserved(ddl.name)
    if schema.name != "main":
        sql = _ddl.within(sql, schema.name)
    schema.edit_entry("create", ddl.name, View(0, ddl.name, _view_text(sql, ddl.name)))


def drop_view(schema: Schema, ddl: Ddl) -> None:
    view = schema.views.get(ddl.name.lower())
    if view is None:
        if ddl.name.lower() in schema.declared:
            raise ex.OperationalError(f"use DROP TABLE to delete table {ddl.name}")
        if ddl.if_clause:
            return
        raise ex.OperationalError(f"no such view: {ddl.written}")
    schema.edit_entry("drop", view.name, None)


# ---- CREATE TABLE ... AS ----

_MODEL = '"entitydb model"'


def create_as(schema: Schema, ddl: Ddl, sql: str, parameters: Any) -> None:
    if _is_there(schema, ddl):
        return
    items = tokens(sql)
    while items[-1].text == ";":
        items.pop()
    behind = items[find(items, "AS") + 1 :]
    if not behind:
        raise ex.OperationalError("incomplete input")
    query = sql[behind[0].start : behind[-1].end]
    asking = rewritten(query)
    if asking is not None:
        schema.session.fix_snapshot()  # the query does not see the table it makes
        schema.session.register_answers()
        query = asking
    try:
        _create_as(schema, ddl, query, parameters)
    finally:
        schema.session.catalog_snapshot = None


def _create_as(schema: Schema, ddl: Ddl, query: str, parameters: Any) -> None:
    """The columns are those of a TEMP table that SQLite makes of the query, empty; then the query's rows go in."""
    limited = f"CREATE TEMP TABLE {_MODEL} AS SELECT * FROM ({query}) LIMIT 0"
    schema.run(limited, parameters, writes=True)
    try:
        text = schema.run("SELECT sql FROM temp.sqlite_master WHERE name = ?", (_MODEL.strip('"'),))[0][0]
    finally:
        schema.run(f"DROP TABLE temp.{_MODEL}", writes=True)
    columns = text[text.index("(") :]
    bare = re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", ddl.name) and ddl.name.upper() not in apsw.keywords
    table = _ddl.parse_table(f"CREATE TABLE {ddl.name if bare else quote(ddl.name)}{columns}", ddl.name)

    def fill() -> None:
        schema.run(f"INSERT INTO {schema.sql_name}.{quote(ddl.name)} {query}", parameters, writes=True)

    schema.edit_catalog([("create", table.name, table)], fill)


# ---- settings ----


def set_setting(schema: Schema, name: str, value: str) -> None:
    """A value that is kept with the schema and rolls back with it."""
    known = schema.settings.get(name)
    if known is None:
        schema.edit_entry("create", name, Setting(0, name, value))
    elif known.sql != value:
        schema.edit_entry("replace", name, Setting(known.id, name, value))


__all__ = ["run_ddl", "set_setting"]
