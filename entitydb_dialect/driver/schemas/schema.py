"""A schema: what SQLite was told of one database's catalog, and DDL as edits of that catalog.

A Connection is the schema `main`; each database it attaches is another. SQLite's schema holds only declarations
(`CREATE VIRTUAL TABLE x USING entitydb(id)`); the engine's catalog is the truth. DDL edits the catalog and the
declarations inside the transaction, under a savepoint of the driver, so both roll back together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import apsw

from ... import _exceptions as ex
from ..._native import lib
from .. import _catalog
from .._errors import CODES, check, translate
from ..ddl import create as _ddl
from ..ddl import replace as _replace
from ..ddl import statements as _edit
from ..rewrite.generated_columns import own_function
from ..rewrite.schema_names import rewritten
from ..sql.analysis import Ddl
from ..sql.tokens import quote

if TYPE_CHECKING:
    from .._connection import Connection
    from .._database import Database

_SAVEPOINT_STEPS = '"entitydb steps"'
_SAVEPOINT = '"entitydb ddl"'


class Declared(NamedTuple):
    """A table as SQLite knows it."""

    name: str
    payload: bytes
    table: _catalog.Table


_Either: TypeAlias = Declared | _catalog.View


class Schema:
    """Declarations and DDL of one database of a connection."""

    _title = "main"  # its name in SQL
    _place = "main"  # the same, quoted where that is needed
    _suffix = ""  # behind the names of its modules
    _counted = ""  # the same for entitydb_count()

    _session: Any
    _writing: Any  # options of contexts that write to it, by in_transaction
    _declared: dict[str, Declared]
    _views: dict[str, _catalog.View]
    _settings: dict[str, _catalog.Setting]

    def __init__(self) -> None:
        self._declared = {}
        self._views = {}
        self._settings = {}
        # What ROLLBACK returns to; None: no own DDL.
        self._before: tuple[dict[str, Declared], dict[str, _catalog.View], dict[str, _catalog.Setting]] | None = None

    def _whole(self) -> Connection:
        """The connection it is a schema of."""
        raise NotImplementedError

    @property
    def database(self) -> Database:
        raise NotImplementedError

    def _run(self, sql: str, parameters: Any = (), *, writes: bool = False, as_of: int | None = None) -> list[Any]:
        """Runs a statement of the driver's own to its end; when it writes, to this schema."""
        raise NotImplementedError

    @property
    def _catalog_sql(self) -> str:
        return f"SELECT payload FROM entitydb_catalog{self._suffix}"

    # ---- its catalog ----

    def _read(self, as_of: int | None) -> tuple[dict[str, _catalog.Table], dict[str, _catalog.View]]:
        """Tables and views by lower-case name, own DDL included, or those of a moment."""
        whole = self._whole()
        if as_of is None and whole._raw.in_transaction and not whole._fresh:
            return {name: declared.table for name, declared in self._declared.items()}, self._views
        tables, views, _ = sorted_catalog(self._run(self._catalog_sql, as_of=as_of))
        return {name: declared.table for name, declared in tables.items()}, views

    def setting(self, name: str, as_of: int | None = None) -> str | None:
        """A value kept with the schema, as PRAGMA user_version is."""
        whole = self._whole()
        whole._check_open()
        if as_of is None and whole._raw.in_transaction and not whole._fresh:
            found = self._settings.get(name)
        else:
            found = sorted_catalog(self._run(self._catalog_sql, as_of=as_of))[2].get(name)
        return None if found is None else found.sql

    # ---- what transactions do to it ----

    def _undo_ddl(self) -> None:
        """After ROLLBACK."""
        if self._before is not None:
            self._declared, self._views, self._settings = self._before
            self._before = None
            self._whole()._schema_moved()

    def _reread(self) -> None:
        """After ROLLBACK TO: catalog and declarations both went back to the savepoint; read what is there."""
        if self._before is not None:
            self._declared, self._views, self._settings = sorted_catalog(self._run(self._catalog_sql))
            self._whole()._schema_moved()

    # ---- declarations ----

    def _declare(self, wanted: dict[str, Declared], views: dict[str, _catalog.View]) -> None:
        whole = self._whole()
        old: list[_Either] = [v for key, v in self._views.items() if views.get(key) != v]
        old += [d for key, d in self._declared.items() if wanted.get(key) != d]
        new: list[_Either] = [d for key, d in wanted.items() if self._declared.get(key) != d]
        new += [v for key, v in views.items() if self._views.get(key) != v]
        if old:
            whole._drain()
        try:
            self._replace_declarations(old, new)
        except apsw.Error:
            # SQLite connects a table before it drops it. One it has forgotten in a rollback, and that another
            # connection has dropped since, cannot be connected any more: take all declarations out of its
            # schema instead.
            whole._raw.execute("PRAGMA writable_schema = ON")
            whole._raw.execute(f"DELETE FROM {self._place}.sqlite_master")
            whole._raw.execute("PRAGMA writable_schema = RESET")
            self._replace_declarations([], [*wanted.values(), *views.values()])
        self._declared, self._views = wanted, views
        whole._schema_moved()

    def _replace_declarations(self, old: Iterable[_Either], new: Iterable[_Either]) -> None:
        raw = self._whole()._raw
        run = raw.execute
        run("BEGIN")
        try:
            for declared in old:
                run(self._undeclaration(declared))
            for declared in new:
                try:
                    run(self._declaration(declared))
                except apsw.SQLError:
                    # A view made where its file was main, and that says so, cannot be made here; it is not there.
                    if self._title == "main" or not isinstance(declared, _catalog.View):
                        raise
            run("COMMIT")
        except BaseException:
            if raw.in_transaction:
                run("ROLLBACK")
            raise

    def _undeclaration(self, declared: _Either) -> str:
        kind = "VIEW" if isinstance(declared, _catalog.View) else "TABLE"
        return f"DROP {kind} IF EXISTS {self._place}.{quote(declared.name)}"

    def _declaration(self, declared: _Either) -> str:
        if isinstance(declared, _catalog.View):
            asking = rewritten(declared.sql, self._title)
            if asking is not None:
                self._whole()._show()
            return _ddl.view_in(asking or declared.sql, self._place)
        name = f"{self._place}.{quote(declared.name)}"
        return f"CREATE VIRTUAL TABLE {name} USING entitydb{self._suffix}({declared.table.id})"

    # ---- DDL ----

    def _own_ddl(self, op: str, name: str, entry: _catalog.Entry | None) -> None:
        self._edit_catalog([(op, name, entry)])

    def _edit_catalog(
        self, edits: list[tuple[str, str, _catalog.Entry | None]], then: Callable[[], None] | None = None
    ) -> None:
        """Edits the catalog, then SQLite's declarations, all or nothing.

        Args:
            edits: what entitydb_ddl is told: its operation, the name until now, the new entry.
            then: run behind them, with the new declarations; what it raises undoes everything.
        """
        whole = self._whole()
        whole._drain()
        outermost = not whole._raw.in_transaction
        self._follow_if_fresh()
        if self._before is None:
            self._before = dict(self._declared), dict(self._views), dict(self._settings)
        whole._fresh = False
        whole._control.execute(f"SAVEPOINT {_SAVEPOINT}")
        try:
            # A context of its own for each: a statement does not see what was written after it began. The declarations
            # go first, because SQLite connects a table before it drops it.
            declared, views = dict(self._declared), dict(self._views)
            for _, name, entry in edits:
                if isinstance(entry, _catalog.Setting):
                    continue
                old = views.pop(name.lower(), None) or declared.pop(name.lower(), None)
                if old is not None:
                    self._run(self._undeclaration(old), writes=True)
            tell = f"INSERT INTO entitydb_ddl{self._suffix}(op, name, payload) VALUES (?, ?, ?)"
            for op, name, entry in edits:
                payload = None if entry is None else _catalog.encode(entry)
                row = (op, name, payload)
                self._run(tell, row, writes=True)
            tables, new_views, settings = sorted_catalog(self._run(self._catalog_sql))
            new: list[_Either] = [d for key, d in tables.items() if declared.get(key) != d]
            for made in [*new, *(v for key, v in new_views.items() if views.get(key) != v)]:
                self._run(self._declaration(made), writes=True)
            if then is not None:
                then()
        except BaseException:
            if whole._raw.in_transaction:
                whole._control.execute(f"ROLLBACK TO {_SAVEPOINT}")
                whole._control.execute(f"RELEASE {_SAVEPOINT}")
            lib.edb_conn_settle(whole._session, not whole._raw.in_transaction)
            whole._schema_moved()
            if outermost:
                self._before = None
            raise
        whole._execute_control(f"RELEASE {_SAVEPOINT}")
        self._declared, self._views, self._settings = tables, new_views, settings
        whole._schema_moved()
        if outermost:
            whole._committed()

    def _follow_if_fresh(self) -> None:
        """In a transaction that SAVEPOINT or BEGIN has opened, here is the last chance to follow the schema."""
        whole = self._whole()
        if whole._fresh:
            whole._end_statement(whole._open_statement(True, None, True, self))
            whole._fresh = False

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Several steps of one statement, under a savepoint of their own; inside a transaction."""
        whole = self._whole()
        self._follow_if_fresh()
        before = dict(self._declared), dict(self._views), dict(self._settings)
        whole._control.execute(f"SAVEPOINT {_SAVEPOINT_STEPS}")
        try:
            yield
        except BaseException:
            if whole._raw.in_transaction:
                whole._control.execute(f"ROLLBACK TO {_SAVEPOINT_STEPS}")
                whole._control.execute(f"RELEASE {_SAVEPOINT_STEPS}")
                self._declared, self._views, self._settings = before
                whole._schema_moved()
            raise
        whole._control.execute(f"RELEASE {_SAVEPOINT_STEPS}")

    def _ddl(self, ddl: Ddl, sql: str, parameters: Any = ()) -> None:
        """CREATE, DROP and ALTER of tables, indexes and views as edits of the catalog."""
        if ddl.schema is not None and ddl.verb != "DROP":
            sql = _ddl.without_schema(sql)
        try:
            if ddl.verb == "ALTER":
                _edit.alter_table(self, ddl, sql)
            elif ddl.what == "VIEW":
                (_edit.create_view if ddl.verb == "CREATE" else _edit.drop_view)(self, ddl, sql)
            elif ddl.replaces:
                _replace.replace_table(self, ddl, sql, parameters)
            elif ddl.as_select:
                _edit.create_as(self, ddl, sql, parameters)
            elif ddl.verb == "CREATE":
                (self._create_table if ddl.what == "TABLE" else self._create_index)(ddl, sql)
            else:
                (self._drop_table if ddl.what == "TABLE" else self._drop_index)(ddl)
        except apsw.Error as error:
            raise own_function(self._whole()._raw, error) or translate(error) from error

    def _taken(self, name: str) -> str | None:
        """What has a name already, as SQLite says it."""
        written = name if name.isidentifier() else quote(name)
        if name.lower() in self._declared:
            return f"table {written} already exists"
        if name.lower() in self._views:
            return f"view {written} already exists"
        if self._find_index(name):
            return f"there is already an index named {written}"
        return None

    def _find_index(self, name: str) -> tuple[_catalog.Table, _catalog.Index] | None:
        lowered = name.lower()
        for declared in self._declared.values():
            for index in declared.table.indexes:
                if index.name.lower() == lowered:
                    return declared.table, index
        return None

    def _create_table(self, ddl: Ddl, sql: str) -> None:
        taken = self._taken(ddl.name)
        if taken is not None:
            if ddl.if_clause and self._find_index(ddl.name) is None:
                return
            raise ex.OperationalError(taken)
        table = _ddl.parse_table(sql, ddl.name)
        self._own_ddl("create", table.name, table)

    def _drop_table(self, ddl: Ddl) -> None:
        declared = self._declared.get(ddl.name.lower())
        if declared is None:
            if ddl.name.lower() in self._views:
                raise ex.OperationalError(f"use DROP VIEW to delete view {ddl.name}")
            if ddl.if_clause:
                return
            raise ex.OperationalError(f"no such table: {ddl.written}")
        if not self._refers_to(declared):
            self._own_ddl("drop", declared.name, None)
            return
        with self._all_or_nothing():
            self._delete_all(declared)
            self._own_ddl("drop", declared.name, None)

    def _refers_to(self, parent: Declared) -> bool:
        """Does a foreign key of another table mean this one, and are they enforced?"""
        if not self._whole()._raw.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, -1):
            return False
        name = parent.name.lower()
        return any(
            key["table"].lower() == name
            for declared in self._declared.values()
            if declared is not parent
            for key in declared.table.extra.get("foreign_keys", ())
        )

    def _delete_all(self, declared: Declared) -> None:
        """What DROP TABLE does first under foreign keys: their actions run, and those that hinder it are heard. A key
        that fits nothing hinders nothing."""
        whole = self._whole()
        stmt = whole._open_statement(True, None, True, self)
        try:
            before = whole._enter(stmt)
            try:
                whole._raw.execute(f"DELETE FROM {self._place}.{quote(declared.name)}").fetchall()
            finally:
                whole._leave(before)
            check(lib.edb_stmt_judge(stmt))
        except apsw.Error as error:
            if CODES["FKMISMATCH"] != lib.edb_last_code():
                raise translate(error) from error
        finally:
            whole._end_statement(stmt)

    def _create_index(self, ddl: Ddl, sql: str) -> None:
        declared = self._declared.get(ddl.table.lower())
        if declared is None:
            if ddl.table.lower() in self._views:
                raise ex.OperationalError("views may not be indexed")
            raise ex.OperationalError(f"no such table: {self._title}.{ddl.table}")
        if self._find_index(ddl.name):
            if ddl.if_clause:
                return
            raise ex.OperationalError(f"index {ddl.name} already exists")
        if ddl.name.lower() in self._declared:
            raise ex.OperationalError(f"there is already a table named {ddl.name}")
        index = _ddl.parse_index(sql, declared.table)
        self._own_ddl("replace", declared.name, declared.table.with_index(index))

    def _drop_index(self, ddl: Ddl) -> None:
        found = self._find_index(ddl.name)
        if found is None:
            if ddl.if_clause:
                return
            raise ex.OperationalError(f"no such index: {ddl.written}")
        table, index = found
        if index.automatic:
            raise ex.OperationalError("index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped")
        self._own_ddl("replace", table.name, table.without_index(index.name))


def sorted_catalog(
    rows: Iterable[Any],
) -> tuple[dict[str, Declared], dict[str, _catalog.View], dict[str, _catalog.Setting]]:
    """The catalog's payloads as tables, views and settings."""
    tables: dict[str, Declared] = {}
    views: dict[str, _catalog.View] = {}
    settings: dict[str, _catalog.Setting] = {}
    for (payload,) in rows:
        entry = _catalog.decode(payload)
        if isinstance(entry, _catalog.Table):
            tables[entry.name.lower()] = Declared(entry.name, payload, entry)
        elif isinstance(entry, _catalog.View):
            views[entry.name.lower()] = entry
        elif isinstance(entry, _catalog.Setting):
            settings[entry.name] = entry
    return tables, views, settings
