"""A schema: what SQLite was told of one database's catalog, and edits of that catalog.

A connection has the schema `main`; each database it attaches is another. SQLite's schema holds only declarations
(`CREATE VIRTUAL TABLE x USING entitydb(id)`); the engine's catalog is the truth. DDL edits the catalog and the
declarations inside the transaction, under a savepoint of the driver, so both roll back together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from weakref import ref

import apsw

from ..._native import lib
from .. import _catalog
from ..rewrite.schema_names import rewritten
from ..sql.statement import Statement
from ..sql.tokens import quote, tokens
from .content import Content, Declaration, Declared
from .unversioned import refuse_with_history

if TYPE_CHECKING:
    from .._database import Database
    from .._session import Session

_SAVEPOINT_STEPS = '"entitydb steps"'
_SAVEPOINT = '"entitydb ddl"'


# Tables that each database has.
OVER_ENTITIES = (
    "entitydb_changes", "entitydb_entities", "entitydb_tagged", "entitydb_tags", "entitydb_transactions",
    "entitydb_versions",
)  # fmt: skip
_AT_ONCE = 20  # as many new tables are declared through sqlite_master, without connecting each


class Schema:
    """Declarations and catalog of one database of a connection."""

    def __init__(self, session: Session, name: str, engine: Any) -> None:
        self._session = ref(session)
        self.name = name  # in SQL
        self.sql_name = "main" if name == "main" else quote(name)  # as it is written into statements
        self.engine = engine  # the engine's handle, an edb_conn; the session's own for main
        self.module_suffix = ""  # what the names of its modules end in
        self.count_argument = ""  # what entitydb_count() is told besides the table
        self.write_options: list[Any] = []  # options of contexts that write to it, by in_transaction
        self.content = Content()  # what is declared
        self.before_ddl: Content | None = None  # what ROLLBACK returns to; None: no own DDL
        self.declares_own = False  # the tables over its entities, too

    @property
    def session(self) -> Session:
        """Whose schema it is."""
        found = self._session()
        assert found is not None
        return found

    @property
    def declared(self) -> dict[str, Declared]:
        """The tables that are declared, by lower-case name."""
        return self.content.tables

    @property
    def views(self) -> dict[str, _catalog.View]:
        """The views that are declared, by lower-case name."""
        return self.content.views

    @property
    def settings(self) -> dict[str, _catalog.Setting]:
        return self.content.settings

    @property
    def database(self) -> Database:
        raise NotImplementedError

    def run(self, sql: str, parameters: Any = (), *, writes: bool = False, as_of: int | None = None) -> list[Any]:
        """Runs a statement of the driver's own to its end; when it writes, to this schema."""
        return self.session.run(sql, parameters, writes=writes, as_of=as_of, schema=self)

    # ---- its catalog ----

    @property
    def catalog_sql(self) -> str:
        """A query for the payloads of its catalog."""
        return f"SELECT payload FROM entitydb_catalog{self.module_suffix}"

    def read_catalog(self, as_of: int | None) -> tuple[dict[str, _catalog.Table], dict[str, _catalog.View]]:
        """Tables and views by lower-case name, own DDL included, or those of a moment."""
        if as_of is None and self._is_declared():
            return {name: declared.table for name, declared in self.declared.items()}, self.views
        found = Content.of(self.run(self.catalog_sql, as_of=as_of))
        return {name: declared.table for name, declared in found.tables.items()}, found.views

    def setting(self, name: str, as_of: int | None = None) -> str | None:
        """A value kept with the schema, as PRAGMA user_version is."""
        self.session.check_open()
        if as_of is None and self._is_declared():
            found = self.settings.get(name)
        else:
            found = Content.of(self.run(self.catalog_sql, as_of=as_of)).settings.get(name)
        return None if found is None else found.sql

    def _is_declared(self) -> bool:
        """Are the declarations those of what the next statement sees?"""
        session = self.session
        return bool(session.raw.in_transaction) and not session.can_restart

    def find_index(self, name: str) -> tuple[_catalog.Table, _catalog.Index] | None:
        """An index and its table."""
        return self.content.find_index(name)

    def name_conflict(self, name: str) -> str | None:
        """What has a name already, as SQLite says it; None: it is free."""
        written = name if name.isidentifier() else quote(name)
        if name.lower() in self.declared:
            return f"table {written} already exists"
        if name.lower() in self.views:
            return f"view {written} already exists"
        if self.find_index(name):
            return f"there is already an index named {written}"
        return None

    # ---- what transactions do to it ----

    def undo_ddl(self) -> None:
        """After ROLLBACK."""
        if self.before_ddl is not None:
            self.content = self.before_ddl
            self.before_ddl = None
            self.session.schema_changed()

    def reread_catalog(self) -> None:
        """After ROLLBACK TO: catalog and declarations both went back to the savepoint; read what is there."""
        if self.before_ddl is not None:
            self.content = Content.of(self.run(self.catalog_sql))
            self.session.schema_changed()

    # ---- declarations ----

    def declare(self, wanted: Content) -> None:
        """Makes SQLite's declarations those of a content."""
        session = self.session
        old: list[Declaration] = [v for key, v in self.views.items() if wanted.views.get(key) != v]
        old += [d for key, d in self.declared.items() if wanted.tables.get(key) != d]
        tables = [d for key, d in wanted.tables.items() if self.declared.get(key) != d]
        views = [v for key, v in wanted.views.items() if self.views.get(key) != v]
        if old:
            session.drain()
        try:
            self._replace_declarations(old, tables, views)
        except apsw.Error:
            # SQLite connects a table before it drops it. One it has forgotten in a rollback, and that another
            # connection has dropped since, cannot be connected any more: take all declarations out of its
            # schema instead.
            session.raw.execute("PRAGMA writable_schema = ON")
            session.raw.execute(f"DELETE FROM {self.sql_name}.sqlite_master")
            session.raw.execute("PRAGMA writable_schema = RESET")
            if self.declares_own:
                self.declare_own()
            self._replace_declarations([], list(wanted.tables.values()), wanted.views.values())
        self.content = wanted
        session.schema_changed()

    def declare_own(self) -> None:
        """Declares the tables over its entities by their names. Without, a name means those of main, whatever schema is
        written before it; and one that only another schema has means that schema's, so main's are declared with it."""
        for name in OVER_ENTITIES:
            table = f"{self.sql_name}.{name}"
            self.session.raw.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS {table} USING {name}{self.module_suffix}")
        self.declares_own = True

    def _replace_declarations(
        self, old: Iterable[Declaration], tables: Sequence[Declared], views: Iterable[_catalog.View]
    ) -> None:
        raw = self.session.raw
        run = raw.execute
        run("BEGIN")
        try:
            for declared in old:
                run(self._undeclaration(declared))
            if len(tables) < _AT_ONCE:
                for declared in tables:
                    run(self._declaration(declared))
            else:
                self._declare_at_once(tables)
            for view in views:
                try:
                    run(self._declaration(view))
                except apsw.SQLError:
                    # A view made where its file was main, and that says so, cannot be made here; it is not there.
                    if self.name == "main":
                        raise
            run("COMMIT")
        except BaseException:
            if raw.in_transaction:
                run("ROLLBACK")
            raise

    def _declare_at_once(self, tables: Iterable[Declared]) -> None:
        """Writes the declarations into SQLite's schema, which is then read as that of a file is: a table is connected
        when a statement names it first."""
        raw = self.session.raw
        rows = [(d.name, self._virtual_table(d, quote(d.name))) for d in tables]
        raw.execute("PRAGMA writable_schema = ON")
        try:
            raw.executemany(
                f"INSERT INTO {self.sql_name}.sqlite_master(type, name, tbl_name, rootpage, sql)"
                " VALUES ('table', ?1, ?1, 0, ?2)", rows
            )  # fmt: skip
        finally:
            raw.execute("PRAGMA writable_schema = RESET")

    def _undeclaration(self, declared: Declaration) -> str:
        kind = "VIEW" if isinstance(declared, _catalog.View) else "TABLE"
        return f"DROP {kind} IF EXISTS {self.sql_name}.{quote(declared.name)}"

    def _declaration(self, declared: Declaration) -> str:
        if isinstance(declared, _catalog.View):
            asking = rewritten(declared.sql, self.name)
            if asking is not None:
                self.session.register_answers()
            self.session.hidden_compares |= Statement(declared.sql).compares
            return _view_in(asking or declared.sql, self.sql_name)
        return self._virtual_table(declared, f"{self.sql_name}.{quote(declared.name)}")

    def _virtual_table(self, declared: Declared, name: str) -> str:
        return f"CREATE VIRTUAL TABLE {name} USING entitydb{self.module_suffix}({declared.table.id})"

    # ---- edits ----

    def edit_entry(self, op: str, name: str, entry: _catalog.Entry | None) -> None:
        """One edit; see edit_catalog."""
        self.edit_catalog([(op, name, entry)])

    def edit_catalog(
        self, edits: list[tuple[str, str, _catalog.Entry | None]], then: Callable[[], None] | None = None
    ) -> None:
        """Edits the catalog, then SQLite's declarations, all or nothing.

        Args:
            edits: what entitydb_ddl is told: its operation, the name until now, the new entry.
            then: run behind them, with the new declarations; what it raises undoes everything.
        """
        session = self.session
        session.drain()
        outermost = not session.raw.in_transaction
        self._follow_if_untouched()
        if self.before_ddl is None:
            self.before_ddl = self.content
        session.can_restart = False
        session.control.execute(f"SAVEPOINT {_SAVEPOINT}")
        try:
            # A context of its own for each: a statement does not see what was written after it began. The declarations
            # go first, because SQLite connects a table before it drops it.
            content = self.content.copy()
            for _, name, entry in edits:
                old = None if isinstance(entry, _catalog.Setting) else content.drop(name)
                if old is not None:
                    self.run(self._undeclaration(old), writes=True)
            made = [content.add(payload) for edit in edits for payload in self._edit(*edit)]
            for declaration in made:
                if declaration is not None:
                    self.run(self._declaration(declaration), writes=True)
            if then is not None:
                then()
        except BaseException:
            if session.raw.in_transaction:
                session.control.execute(f"ROLLBACK TO {_SAVEPOINT}")
                session.control.execute(f"RELEASE {_SAVEPOINT}")
            lib.edb_conn_settle(session.engine, not session.raw.in_transaction)
            session.schema_changed()
            if outermost:
                self.before_ddl = None
            raise
        session.execute_control(f"RELEASE {_SAVEPOINT}")
        self.content = content
        session.schema_changed()
        if outermost:
            session.committed()

    def _edit(self, op: str, name: str, entry: _catalog.Entry | None) -> list[bytes]:
        """Tells the engine of one edit. -> the entry as it keeps it, if it does."""
        if isinstance(entry, _catalog.Table):
            refuse_with_history(entry)
        payload = None if entry is None else _catalog.encode(entry)
        tell = f"INSERT INTO entitydb_ddl{self.module_suffix}(op, name, payload) VALUES (?, ?, ?)"
        self.run(tell, (op, name, payload), writes=True)
        if entry is None:
            return []
        made = self.session.raw.last_insert_rowid()
        return [payload for (payload,) in self.run(f"{self.catalog_sql} WHERE id = ?", (made,))]

    def _follow_if_untouched(self) -> None:
        """In a transaction that SAVEPOINT or BEGIN has opened, here is the last chance to follow the schema."""
        session = self.session
        if session.can_restart:
            session.end_statement(session.open_statement(True, None, True, self))
            session.can_restart = False

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Several edits of one statement, under a savepoint of their own; inside a transaction."""
        session = self.session
        self._follow_if_untouched()
        before = self.content
        session.control.execute(f"SAVEPOINT {_SAVEPOINT_STEPS}")
        try:
            yield
        except BaseException:
            if session.raw.in_transaction:
                session.control.execute(f"ROLLBACK TO {_SAVEPOINT_STEPS}")
                session.control.execute(f"RELEASE {_SAVEPOINT_STEPS}")
                self.content = before
                session.schema_changed()
            raise
        session.control.execute(f"RELEASE {_SAVEPOINT_STEPS}")


class MainSchema(Schema):
    """The database that the connection was opened for."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, "main", session.engine)
        self.write_options = session.now_options[2:]

    @property
    def database(self) -> Database:
        found = self.session.database
        assert found is not None
        return found


def _view_in(sql: str, sql_name: str) -> str:
    """A CREATE VIEW with the schema before the view's name."""
    items = tokens(sql)
    name = items[next(i for i, t in enumerate(items) if t.upper == "VIEW") + 1]
    return f"{sql[: name.start]}{sql_name}.{sql[name.start :]}"


__all__ = ["MainSchema", "Schema"]
