"""The dialect: SQLite's SQL, EntityDB's catalog, and the moment of each statement.

What is inherited from SQLAlchemy's SQLite dialect: types, compilers, quoting. What is not: reflection, which comes from
the engine's catalog and parses no text; isolation levels. Nothing of a statement is rewritten for `as_of`: the moment
goes down to the cursor.
"""

# SQLAlchemy's SQLite dialect is not typed.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import String, text
from sqlalchemy import schema as sa_schema
from sqlalchemy.dialects.sqlite.base import SQLiteDialect, SQLiteExecutionContext
from sqlalchemy.engine import reflection
from sqlalchemy.engine.reflection import ReflectionDefaults
from sqlalchemy.sql.compiler import InsertmanyvaluesSentinelOpts

from . import _plugin, _raised
from ._backend import EntityBackend, unwrapped
from ._compilers import EntityCompiler, EntityDDLCompiler, EntityTypeCompiler, variant
from ._spans import FOREVER
from ._types import Instant, is_instant, reflected
from .driver import _isolation
from .driver._catalog import COLLATIONS, Column, Index, Table, View
from .driver.schemas.definitions import Readable
from .history import apply_as_of, is_then, keep_apart, ns_of

# SQLAlchemy refuses to reflect an option it does not know; 2.0 before 2.0.37 does not know STRICT.
_KNOWS_STRICT = any("strict" in options for _, options in SQLiteDialect.construct_arguments or [])


class EntityExecutionContext(SQLiteExecutionContext):
    pass


class EntityDialect(SQLiteDialect):
    """What does not depend on the driver."""

    name = "entitydb"

    statement_compiler = EntityCompiler
    ddl_compiler = EntityDDLCompiler
    type_compiler_cls = EntityTypeCompiler
    execution_ctx_cls = EntityExecutionContext

    supports_statement_cache = True

    insert_returning = True
    update_returning = True
    delete_returning = True
    update_returning_multifrom = True
    supports_sane_rowcount_returning = True
    postfetch_lastrowid = True
    use_insertmanyvalues = True
    # The engine gives ids in the order of VALUES, so rows need no sentinel column to be told apart.
    insertmanyvalues_implicit_sentinel = (
        InsertmanyvaluesSentinelOpts.AUTOINCREMENT | InsertmanyvaluesSentinelOpts.IDENTITY
    )

    # sqlite_... options of tables and indexes are honoured, too.
    construct_arguments: Any = [(sa_schema.Table, {"retention": None})]  # noqa: RUF012 - as SQLAlchemy has it

    default_isolation_level: Any = _isolation.DEFAULT

    def __init__(self, **kwargs: Any) -> None:
        # It leaves dates to converters of the sqlite3 module; here the types keep making them of texts.
        kwargs.pop("native_datetime", None)
        super().__init__(**kwargs)
        self.history_backend = EntityBackend()
        keep_apart()
        _raised.listen(self)
        _plugin.bring()

    def type_descriptor(self, typeobj: Any) -> Any:
        found = variant(typeobj, self.name)
        if self.name != "sqlite" and is_instant(found):
            return found.adapt(Instant)
        return super().type_descriptor(found)

    def _resolve_type_affinity(self, type_: str) -> Any:
        return reflected(type_) or super()._resolve_type_affinity(type_)

    # ---- isolation ----

    def get_isolation_level_values(self, dbapi_connection: Any) -> Any:
        return list(_isolation.LEVELS)

    def set_isolation_level(self, dbapi_connection: Any, level: Any) -> None:
        dbapi_connection.isolation_level = level

    def reset_isolation_level(self, dbapi_connection: Any) -> None:
        # On the way back to the pool, in autocommit mode without a rollback: a BEGIN said by hand may be open, or lost.
        dbapi_connection.rollback()
        super().reset_isolation_level(dbapi_connection)

    def get_isolation_level(self, dbapi_connection: Any) -> Any:
        return _isolation.name_of(dbapi_connection.isolation_level)

    def get_default_isolation_level(self, dbapi_connection: Any) -> Any:
        return self.get_isolation_level(dbapi_connection)

    def detect_autocommit_setting(self, dbapi_connection: Any) -> bool:
        return dbapi_connection.isolation_level is None

    # ---- executing ----

    def do_begin(self, dbapi_connection: Any) -> None:
        self.history_backend.begins(dbapi_connection)

    def do_commit(self, dbapi_connection: Any) -> None:
        dbapi_connection.commit()
        self.history_backend.ended(dbapi_connection)

    def do_ping(self, dbapi_connection: Any) -> bool:
        unwrapped(dbapi_connection).ping()
        return True

    def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        if context is not None:
            apply_as_of(self.history_backend, cursor, context)
        cursor.execute(statement, parameters)
        self._may_have_committed(cursor, context)

    def do_execute_no_params(self, cursor: Any, statement: Any, context: Any = None) -> None:
        self.do_execute(cursor, statement, (), context)

    def do_executemany(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        if context is not None:
            apply_as_of(self.history_backend, cursor, context)
        cursor.executemany(statement, parameters)
        self._may_have_committed(cursor, context)

    def _may_have_committed(self, cursor: Any, context: Any) -> None:
        if context is not None and cursor.connection.isolation_level is None:
            self.history_backend.ended(context.root_connection.connection)

    # ---- reflection ----

    def _catalog(self, connection: Any, schema: str | None) -> tuple[dict[str, Table], dict[str, View]]:
        """Tables and views by lower-case name; none for a schema that is SQLite's own."""
        past = self._readable(connection, schema)
        if past is not None:
            return past.tables, past.views
        found: tuple[dict[str, Table], dict[str, View]]
        found = unwrapped(connection.connection.dbapi_connection).schema(None, schema or "main")
        return found

    def _readable(self, connection: Any, schema: str | None) -> Readable | None:
        """What can be read as of the connection's moment; None: it reads now."""
        options = connection.get_execution_options()
        if options.get("as_of") is None:
            return None
        ns, then = ns_of(options["as_of"], connection, self.history_backend), is_then(options.get("schema"))
        driver: Any = unwrapped(connection.connection.dbapi_connection)
        found: Readable = driver.readable(ns, schema or "main", then=then)
        return found

    def _tables(self, connection: Any, schema: str | None) -> dict[str, Table]:
        return self._catalog(connection, schema)[0]

    def _is_ours(self, connection: Any, schema: str | None) -> bool:
        driver: Any = unwrapped(connection.connection.dbapi_connection)
        return schema is None or bool(driver.has_schema(schema))

    def _table(self, connection: Any, name: str, schema: str | None) -> Table | None:
        past = self._readable(connection, schema)
        if past is not None:
            return past.tables.get(name.lower()) or past.aliases.get(name.lower())
        return self._tables(connection, schema).get(name.lower())

    @reflection.cache
    def get_schema_names(self, connection: Any, **kw: Any) -> list[str]:
        return list(super().get_schema_names(connection))

    @reflection.cache
    def get_table_names(
        self, connection: Any, schema: str | None = None, sqlite_include_internal: bool = False, **kw: Any
    ) -> list[str]:
        if not self._is_ours(connection, schema):
            return list(super().get_table_names(connection, schema, sqlite_include_internal))
        return sorted(table.name for table in self._tables(connection, schema).values())

    @reflection.cache
    def get_view_names(
        self, connection: Any, schema: str | None = None, sqlite_include_internal: bool = False, **kw: Any
    ) -> list[str]:
        if not self._is_ours(connection, schema):
            return list(super().get_view_names(connection, schema, sqlite_include_internal))
        return sorted(view.name for view in self._catalog(connection, schema)[1].values())

    @reflection.cache
    def has_table(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> bool:
        self._ensure_has_table_connection(connection)
        if self._table(connection, table_name, schema) is not None:
            return True
        past = self._readable(connection, schema)
        if past is not None:
            return table_name.lower() in past.views or self._is_temporary(connection, table_name, schema)
        return bool(super().has_table(connection, table_name, schema))

    def _is_temporary(self, connection: Any, name: str, schema: str | None) -> bool:
        driver: Any = unwrapped(connection.connection.dbapi_connection)
        return schema is None and name.lower() in driver.temporary_tables()

    @reflection.cache
    def get_view_definition(self, connection: Any, view_name: str, schema: str | None = None, **kw: Any) -> Any:
        past = self._readable(connection, schema)
        view = None if past is None else past.views.get(view_name.lower())
        return super().get_view_definition(connection, view_name, schema) if view is None else view.sql

    @reflection.cache
    def get_columns(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        table = self._table(connection, table_name, schema)
        if table is None:
            past = self._readable(connection, schema)
            if past is not None and table_name.lower() in past.views:
                return self._columns_of_view(connection, past.views[table_name.lower()], schema)
            return super().get_columns(connection, table_name, schema)
        key = table.primary_key
        return [
            {
                "name": column.name,
                "type": self._reflected_type(column),
                "nullable": not (column.not_null or (table.without_rowid and i in key)),
                "default": column.default_sql,
                "primary_key": key.index(i) + 1 if i in key else 0,
                **_computed(column),
                **_info(column),
            }
            for i, column in enumerate(table.visible)
        ]

    def _columns_of_view(self, connection: Any, view: View, schema: str | None) -> list[dict[str, Any]]:
        """Those that reading it as of the connection's moment gives."""
        quoted = self.identifier_preparer.quote
        name = quoted(view.name) if schema is None else f"{quoted(schema)}.{quoted(view.name)}"
        with connection.exec_driver_sql(f"SELECT * FROM {name} LIMIT 0") as result:
            described = [(column, declared or "") for column, declared, *_ in result.cursor.description]
        return [
            {
                "name": column,
                "type": self._resolve_type_affinity(declared.upper()),
                "nullable": True,
                "default": None,
                "primary_key": 0,
            }
            for column, declared in described
        ]

    def _reflected_type(self, column: Column) -> Any:
        found: Any = self._resolve_type_affinity(column.type.upper())
        if column.collation and isinstance(found, String):
            found.collation = COLLATIONS[column.collation]
        return found

    @reflection.cache
    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        table = self._table(connection, table_name, schema)
        if table is None:
            return super().get_pk_constraint(connection, table_name, schema)
        columns = [table.columns[i].name for i in table.primary_key]
        if not columns:
            return ReflectionDefaults.pk_constraint()
        return {"constrained_columns": columns, "name": table.extra.get("primary_key", {}).get("name")}

    @reflection.cache
    def get_foreign_keys(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        table = self._table(connection, table_name, schema)
        if table is None:
            return super().get_foreign_keys(connection, table_name, schema)
        found = []
        for key in table.extra.get("foreign_keys", []):
            options: dict[str, Any] = {}
            for action in ("delete", "update"):
                if key[f"on_{action}"] != "NO ACTION":
                    options[f"on{action}"] = key[f"on_{action}"]
            words = key.get("timing", "").split()
            if "DEFERRABLE" in words:
                options["deferrable"] = "NOT" not in words
            if "INITIALLY" in words:
                options["initially"] = words[-1]
            found.append(
                {
                    "name": key["name"],
                    "constrained_columns": list(key["columns"]),
                    "referred_schema": schema,
                    "referred_table": key["table"],
                    "referred_columns": list(key["referred"]) or self._parent_key(connection, key["table"], schema),
                    "options": options,
                }
            )
        return found or ReflectionDefaults.foreign_keys()

    def _parent_key(self, connection: Any, name: str, schema: str | None) -> list[str]:
        parent = self._table(connection, name, schema)
        return [] if parent is None else [parent.columns[i].name for i in parent.primary_key]

    @reflection.cache
    def get_indexes(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        table = self._table(connection, table_name, schema)
        if table is None:
            return super().get_indexes(connection, table_name, schema, **kw)
        found = [
            {
                "name": index.name,
                "column_names": [table.columns[part.column].name for part in index.parts],
                "unique": index.unique,
                "dialect_options": {} if index.where is None else {"sqlite_where": text(index.where)},
                **_elements(table, index, self.identifier_preparer.quote),
            }
            for index in table.indexes
            if not index.automatic or kw.get("include_auto_indexes")
        ]
        found.sort(key=lambda index: str(index["name"]))
        return found or ReflectionDefaults.indexes()

    @reflection.cache
    def get_unique_constraints(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        table = self._table(connection, table_name, schema)
        if table is None:
            return super().get_unique_constraints(connection, table_name, schema)
        found = [
            {"name": unique["name"], "column_names": list(unique["columns"])}
            for unique in table.extra.get("unique", [])
        ]
        return found or ReflectionDefaults.unique_constraints()

    @reflection.cache
    def get_check_constraints(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        table = self._table(connection, table_name, schema)
        if table is None:
            return super().get_check_constraints(connection, table_name, schema)
        found = [{"sqltext": check["sql"], "name": check["name"]} for check in table.extra.get("check", [])]
        found.sort(key=lambda check: check["name"] or "~")
        return found or ReflectionDefaults.check_constraints()

    @reflection.cache
    def get_table_options(self, connection: Any, table_name: str, schema: str | None = None, **kw: Any) -> Any:
        table = self._table(connection, table_name, schema)
        if table is None:
            return super().get_table_options(connection, table_name, schema)
        options = {}
        if table.without_rowid:
            options["sqlite_with_rowid"] = False
        if table.strict and _KNOWS_STRICT:
            options["sqlite_strict"] = True
        if table.extra.get("retention", FOREVER) != FOREVER:
            options["entitydb_retention"] = table.extra["retention"]
        return options or ReflectionDefaults.table_options()


def _elements(table: Table, index: Index, quote: Callable[[str], str]) -> dict[str, Any]:
    """What an index says beside its columns: expressions, a collation that is not the column's, descending order."""
    names: list[str | None] = []
    expressions = []
    sorting = {}
    twice = len({part.column for part in index.parts}) < len(index.parts)  # sorting tells columns by their names
    for part in index.parts:
        column = table.columns[part.column]
        expression = column.expression if column.hidden else column.name
        if part.collation != column.collation:
            text = expression if column.hidden else quote(column.name)
            expression = f"{text} COLLATE {COLLATIONS[part.collation]}"
        plain = expression == column.name and not (twice and part.descending)
        names.append(column.name if plain else None)
        if part.descending and plain:
            sorting[column.name] = ("desc",)
        expressions.append(f"{expression} DESC" if part.descending and not plain else expression)
    found: dict[str, Any] = {}
    if None in names:
        found.update(column_names=names, expressions=expressions)
    if sorting:
        found["column_sorting"] = sorting
    return found


def _info(column: Column) -> dict[str, Any]:
    """What a model says of such a column in its `info`."""
    said: dict[str, Any] = {} if column.tag is None else {"tag": column.tag}
    if column.unversioned:
        said["versioned"] = False
    return {"info": said} if said else {}


def _computed(column: Column) -> dict[str, Any]:
    if column.expression is None:
        return {}
    return {"computed": {"sqltext": column.expression, "persisted": column.stored}}
