"""A session: the engine's connection and the in-memory SQLite connection that speaks SQL for it.

It is what the helpers of the driver need of a connection. Connection is the PEP 249 object around it, which only users
of the driver and cursors know.

SQLite's schemas hold only declarations (`CREATE VIRTUAL TABLE x USING entitydb(id)`); the engine's catalog is the
truth. The engine numbers its schemas: a statement begun under another number than the one declared answers SCHEMA, and
the declarations are made anew. That happens between transactions only, and half-fetched cursors are read into memory
before, because SQLite cannot drop a table that is being read. Own DDL edits the catalog and the declarations inside the
transaction, under a savepoint of the driver, so both roll back together.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any
from weakref import WeakSet

import apsw

from .._exceptions import DamageError, OperationalError
from .._native import lib
from . import _catalog, _isolation
from ._contexts import RETRIES, SCHEMA
from ._database import SQL_CHECKS, Breach, Database
from ._errors import check, engine_error, translate
from ._transactions import Transactions
from .answers import integrity
from .answers import master as _master
from .answers import moments as _moments
from .rewrite.choices import template_of
from .rewrite.indexes import Indexes
from .rewrite.prepare import Prepared, prepare
from .rewrite.schemas import Located
from .schemas.attached import Attachment
from .schemas.content import Content
from .schemas.definitions import SchemaThen
from .schemas.histories import Histories, HistoryTable
from .schemas.lookup import schema_of, schema_with
from .schemas.names import PastNames, table_then
from .schemas.schema import MainSchema, Schema
from .sql.statement import BOUND_BY_COLUMN, IS_COLUMN, LIMITS_JOIN, LISTS_QUERY, LONG, MAY_FIND_ONE, Statement

_TEMPORARY = "SELECT name FROM temp.sqlite_master WHERE type IN ('table', 'view')"
_MOST_PREPARED = 2000  # statements kept
_MOST_TEMPLATES = 1000
_MAY_KEEP_LITERALS = MAY_FIND_ONE | BOUND_BY_COLUMN | LISTS_QUERY | IS_COLUMN | LIMITS_JOIN
_LONGEST_TEMPLATE = 4096  # characters
_MOST_NEEDS = 60  # of parameters, that the short way has bits for

# Handles of a parent process: the child must neither use nor free them.
_kept: list[Any] = []

# So that a fork can find the cursors with rows to fetch: they must not step in the child, where nobody keeps the pages
# under them from being used again.
_open: WeakSet[Session] = WeakSet()


def _forked() -> None:
    for session in list(_open):
        for cursor in session.fetching():
            _kept.append(cursor._give_up())
            cursor._fetching = False


os.register_at_fork(after_in_child=_forked)


class Session(Transactions):
    """What the driver knows of one connection."""

    def __init__(
        self, database: Database, *, isolation_level: str | None = "DEFERRED", owns_database: bool = False
    ) -> None:
        super().__init__(database, owns_database=owns_database)
        self.main = MainSchema(self)
        self.attached: dict[str, Attachment] = {}  # by lower-case name
        self.histories = Histories(self)
        self.past_names = PastNames(self)
        self.schema_then = SchemaThen(self)
        # What is attached, in order, SQLite's own (None) too; empty: nothing.
        self.attach_order: tuple[tuple[str, Attachment | None], ...] = ()
        self.answers_registered = False  # sqlite_master and pragma_...() can be asked
        self.catalog_snapshot: _master.Snapshot | None = None  # the catalogs as the running statement sees them
        self.temporary_names: frozenset[str] = frozenset()  # lower-case names of TEMP tables and views
        self.temporary_names_stale = False  # there may be others by now
        self.makes_temporary = False  # a statement has made or dropped TEMP tables, or views
        self.hidden_compares = 0  # Statement.compares of views and TEMP triggers, which queries may use
        self.total_changes = 0  # rows changed through the connection's cursors
        # Aggregates by lower-case name, with the numbers of arguments they were made for. RETURNING has to know them.
        self.aggregates: dict[str, set[int]] = {}
        self.collations: set[str] = set()  # that the user has made, in lower case
        # What follows of the declarations, until they change.
        self.schema_changes = 0  # counts how often they did
        self._generates: bool | None = None  # None: not asked for yet
        self._indexes: list[Indexes] | None = None  # None: not asked for yet
        self.prepared: dict[str, Prepared] = {}  # by the text as it was given
        self.known = {}  # those that are executed the short way, by their text too
        self.supplied = {}  # see execute/known.py
        self.tails = {}
        self.index_words = ()
        self.templates = {}
        self.constants = frozenset()
        self._plain_found = False  # what texts are plain has been found out
        self.closed = False
        _open.add(self)
        try:
            _isolation.choose(self, isolation_level)
            _moments.register(self)
            self.redeclare()
        except BaseException:
            self.close()
            raise

    def schemas(self) -> list[Schema]:
        return [self.main, *self.attached.values()] if self.attached else [self.main]

    # ---- the catalog ----

    def catalog(
        self, as_of: int | None = None, schema: str = "main"
    ) -> tuple[dict[str, _catalog.Table], dict[str, _catalog.View]]:
        """Tables and views by lower-case name; none of a schema of SQLite's own."""
        self.check_open()
        found = schema_of(self, schema)
        return ({}, {}) if found is None else found.read_catalog(as_of)

    @property
    def generates(self) -> bool:
        """Has any table declared generated columns, or expressions as indexes?"""
        if self._generates is None:
            self._generates = any(d.table.generates for schema in self.schemas() for d in schema.declared.values())
        return self._generates

    def register_answers(self) -> None:
        """Before what asks for the schema: the functions of answers/master.py are there."""
        if not self.answers_registered:
            _master.register(self)
            self.answers_registered = True

    def fix_snapshot(self) -> None:
        """Statements that ask for the schema are told what there is now, until `catalog_snapshot` is None again."""
        self.catalog_snapshot = _master.Snapshot(self, always=True)

    # ---- TEMP tables ----

    def temporary_tables(self) -> frozenset[str]:
        """Lower-case names of the TEMP tables and views, which are SQLite's own."""
        if self.temporary_names_stale:
            self.temporary_names_stale = False
            rows: list[Any] = []
            if any(row[1] == "temp" for row in self.raw.execute("PRAGMA database_list")):  # asking it makes it
                rows = self.raw.execute(_TEMPORARY).fetchall()
            found = frozenset(name.lower() for (name,) in rows)
            if found != self.temporary_names:
                self.temporary_names = found
                self.forget_prepared()
        return self.temporary_names

    def temporary_tables_changed(self) -> None:
        self.temporary_names_stale = self.makes_temporary

    # ---- declarations ----

    def redeclare(self) -> None:
        schemas = self.schemas()
        for _ in range(RETRIES):
            for schema in schemas:
                check(lib.edb_conn_schema(schema.engine, self.number_out))
                lib.edb_conn_declared(schema.engine, self.number_out[0])
            code = lib.edb_stmt_begin(self.engine, self.now_options[0], self.stmt_out)
            if code == 0:
                break
            if code != SCHEMA:
                raise engine_error(code)
        else:
            raise engine_error(SCHEMA)
        stmt = self.stmt_out[0]
        try:
            before = self.enter(stmt)
            try:
                for schema in schemas:
                    rows = self.raw.execute(schema.catalog_sql).fetchall()
                    wanted = Content.of(rows)
                    schema.content.settings = wanted.settings
                    if wanted != schema.content:
                        schema.declare(wanted)
            finally:
                self.leave(before)
        except apsw.Error as error:
            raise translate(error) from error
        finally:
            self.end_statement(stmt)

    def schema_changed(self) -> None:
        """Forgets what followed of the declarations."""
        self.schema_changes += 1
        self._generates = None
        self.histories.follow()
        self.past_names.forget()
        self.schema_then.forget()
        self.functions_changed()

    def functions_changed(self) -> None:
        """An expression with a function of the connection's own means something else than in an index."""
        self._indexes = None
        self.forget_prepared()

    # ---- prepared statements ----

    def prepare(self, sql: str, statement: Statement, is_ours: bool = True) -> Prepared:
        """A statement as it is run with the schema of now; see rewrite/prepare.py.

        Args:
            is_ours: it changes a table of ours.
        """
        if self.temporary_names_stale:
            self.temporary_tables()
        found = self.prepared.get(sql)
        if found is None or found.is_ours is not is_ours:
            found = prepare(statement, self, is_ours)
            if len(sql) < LONG:
                if len(self.prepared) >= _MOST_PREPARED:
                    self.prepared.clear()
                self.prepared[sql] = found
            if not self._plain_found:
                self._find_plain()
            self._remember_template(found, statement)
        return found

    def _find_plain(self) -> None:
        """Finds out which texts need not be looked at; see engine/python/short_new.c."""
        self._plain_found = True
        self.plain = not (self.attach_order or self.temporary_names or (self.generates and self._writes_generated()))
        groups = {words for one in self.indexes for words in one.partial_words + one.expression_words}
        self.index_words = tuple(tuple(word.upper().encode() for word in words) for words in groups)
        self.constants = frozenset(constant for one in self.indexes for constant in one.constants)

    def _remember_template(self, prepared: Prepared, given: Statement) -> None:
        """What was made of a text is made of others; see rewrite/choices.py."""
        choices, constants = prepared.choices, self.constants
        if choices is None and not given.flags & _MAY_KEEP_LITERALS:
            return
        if not prepared.keeps_literals or prepared.apart is not None or not given.sql.isascii():
            return
        needs = () if choices is None else tuple((need.number, need.value) for need in choices.needs)
        if not self.plain or len(needs) > _MOST_NEEDS or len(given.sql) > _LONGEST_TEMPLATE:
            return
        if len(self.templates) >= _MOST_TEMPLATES:
            self.templates.clear()
        make = partial(choices.template, constants) if choices is not None else None
        texts = {} if choices is not None else {0: template_of(prepared.statement, constants)}
        self.templates[template_of(given, constants)] = needs, texts, make, prepared.compares

    def _writes_generated(self) -> bool:
        """Has a table generated columns that are its user's, and no index's?"""
        tables = (declared.table for declared in self.main.declared.values() if declared.table.generates)
        return any(column.expression is not None and not column.hidden for table in tables for column in table.columns)

    def forget_prepared(self) -> None:
        self.prepared.clear()
        self.known.clear()
        self.supplied.clear()
        self.tails.clear()
        self.templates.clear()
        self.plain = self._plain_found = False

    @property
    def temporary(self) -> frozenset[str]:
        return self.temporary_tables()

    @property
    def indexes(self) -> list[Indexes]:
        """The partial indexes and those on expressions that are declared now."""
        if self._indexes is None:
            own: frozenset[str] = frozenset()
            schemas = self.schemas()
            tables = [declared.table for schema in schemas for declared in schema.declared.values()]
            hidden = any(column.hidden for table in tables for column in table.columns)
            if hidden or any(index.where is not None for table in tables for index in table.indexes):
                rows = self.raw.execute("SELECT name FROM pragma_function_list WHERE NOT builtin").fetchall()
                own = frozenset(name.lower() for (name,) in rows)
            found = (
                Indexes.of([declared.table for declared in schema.declared.values()], own, schema.name.lower())
                for schema in schemas
            )
            self._indexes = [one for one in found if one is not None]
        return self._indexes

    def locate(self, schema: str | None, name: str) -> Located | None:
        """The table that a name in a statement means; None: none of ours."""
        found = self.schema_meant(schema, name)
        declared = None if found is None else found.declared.get(name.lower())
        if found is None or declared is None:
            return None
        return Located(declared.table, found.sql_name, found.count_argument)

    def schema_meant(self, schema: str | None, name: str) -> Schema | None:
        """The schema of ours that a table's or view's name in a statement means; None: one of SQLite's."""
        if self.attach_order:
            return schema_with(self, name) if schema is None else schema_of(self, schema)
        if (schema is not None and schema.lower() != "main") or name.lower() in self.temporary_tables():
            return None
        return self.main

    def means(self, schema: str | None, name: str) -> bool:
        """Is there a table or view that a name means, of ours or of SQLite's?"""
        found = self.schema_meant(schema, name)
        if found is not None:
            return name.lower() in found.declared or name.lower() in found.views
        return bool(self.raw.table_exists(schema, name))

    def view(self, schema: str | None, name: str) -> tuple[_catalog.View, str] | None:
        """The view of ours that a name means, and the name of its database; None: it means none."""
        found = self.schema_meant(schema, name)
        view = None if found is None else found.views.get(name.lower())
        return None if found is None or view is None else (view, found.name)

    def own(self, schema: str | None, name: str) -> str:
        """A table of the engine's own with the schema whose it is, as it is written. Raises OperationalError."""
        found = self.main if schema is None else schema_of(self, schema)
        if found is None:
            raise OperationalError(f"no such table: {schema}.{name}")
        return f"{found.sql_name}.{name}"

    def history(self, schema: str | None, name: str, starless: bool = False) -> HistoryTable | None:
        """The history table of a table of ours, or of one that was; None: the name means none.

        Args:
            starless: its version columns are hidden.
        """
        found = self.schema_meant(schema, name)
        declared = None if found is None else found.declared.get(name.lower())
        if found is None or declared is not None:
            return None if found is None or declared is None else self.histories.of(found, declared, starless)
        then = table_then(found, name)
        return None if then is None else self.histories.then(found, then, starless)

    # ---- cursors ----

    def drain(self) -> None:
        """Reads half-fetched cursors into memory, because SQLite cannot change a schema under them."""
        for cursor in self.fetching():
            cursor._drain()
        self.reap()

    # ---- the end ----

    def close(self) -> None:
        """Rolls back what is open. Closing twice is harmless."""
        if self.closed:
            return
        self.closed = True
        if self.inherited():
            _kept.append((self.engine, self.raw, list(self.orphans), self.attached))
            self.engine = self.raw = self.database = None
            return
        for cursor in self.fetching():
            cursor._abandon()
        self.reap()
        self.free()

    def free_attached(self) -> None:
        for attached in getattr(self, "attached", {}).values():
            attached.close()


def _partial_index_breaches(database: Database) -> list[Breach]:
    """Whether partial indexes have the entries of the rows they are for."""
    try:
        session = Session(database)
    except DamageError as error:
        return [Breach("I33", 0, str(error))]
    try:
        return integrity.breaches(session)
    finally:
        session.close()


SQL_CHECKS.append(_partial_index_breaches)

__all__ = ["Session"]
