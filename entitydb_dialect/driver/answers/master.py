"""sqlite_master, sqlite_schema and the pragma_... functions inside queries.

SQLite's own would tell of declarations. A rewrite of the statement puts `entitydb_schema`, a table-valued function of
this module, in the place of sqlite_master and sqlite_schema; functions with SQLite's names take the place of
pragma_table_info and the like. All answer from the catalog as the statement sees it: they read it in the
context of the statement that is being stepped, so views may be made over them and cursors of several moments mix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import ref

import apsw

from .._catalog import Table, View
from ..rewrite.schema_names import OURS
from ..schemas.content import Content
from ..schemas.lookup import schema_of
from ..sql.tokens import quote
from .pragma import ABOUT, Shown, about, table_list

if TYPE_CHECKING:
    from .._session import Session


class _Module:
    """A read-only eponymous virtual table over a function: its columns, then one hidden column a parameter.

    A plan that has a parameter's value only later is refused, so that a join orders itself by them.
    """

    def __init__(self, columns: tuple[str, ...], parameters: tuple[str, ...], rows: Callable[..., list[Any]]) -> None:
        self.columns, self.parameters, self.rows = columns, parameters, rows

    def Create(self, *_: Any) -> tuple[str, _Module]:
        columns = [quote(c) for c in self.columns] + [f"{quote(p)} HIDDEN" for p in self.parameters]
        return f"CREATE TABLE x({', '.join(columns)})", self

    Connect = Create

    def BestIndexObject(self, o: Any) -> bool:
        first, given = len(self.columns), {}
        for i in range(o.nConstraint):
            column = o.get_aConstraint_iColumn(i)
            if column >= first and o.get_aConstraint_op(i) == apsw.SQLITE_INDEX_CONSTRAINT_EQ:
                if not o.get_aConstraint_usable(i):
                    return False
                given[column - first] = i
        for number, parameter in enumerate(sorted(given)):
            o.set_aConstraintUsage_argvIndex(given[parameter], number + 1)
            o.set_aConstraintUsage_omit(given[parameter], True)
        o.idxNum = sum(1 << parameter for parameter in given)
        o.estimatedCost, o.estimatedRows = (20.0, 20) if given else (1e6, 1000)
        return True

    def Open(self) -> _Rows:
        return _Rows(self)

    def Disconnect(self) -> None:
        """Nothing is held."""

    Destroy = Disconnect


class _Rows:
    """A cursor of a _Module."""

    def __init__(self, module: _Module) -> None:
        self.module = module
        self.rows: list[Any] = []
        self.at = 0

    def Filter(self, given: int, _: Any, values: tuple[Any, ...]) -> None:
        arguments = [None] * len(self.module.parameters)
        left = iter(values)
        for i in range(len(arguments)):
            if given >> i & 1:
                arguments[i] = next(left)
        self.rows = [(*row, *arguments) for row in self.module.rows(*arguments)]
        self.at = 0

    def Eof(self) -> bool:
        return self.at >= len(self.rows)

    def Next(self) -> None:
        self.at += 1

    def Column(self, i: int) -> Any:
        return self.at if i < 0 else self.rows[self.at][i]

    def Rowid(self) -> int:
        return self.at

    def Close(self) -> None:
        self.rows = []


def master_rows(tables: Iterable[Table], views: Iterable[View]) -> list[tuple[Any, ...]]:
    """(type, name, tbl_name, rootpage, sql), as SQLite would list them. rootpage: the number of the tree."""
    entries: list[Table | View] = sorted([*tables, *views], key=lambda e: e.id)
    rows: list[tuple[Any, ...]] = []
    for entry in entries:
        if isinstance(entry, View):
            rows.append(("view", entry.name, entry.name, 0, entry.sql))
            continue
        rows.append(("table", entry.name, entry.name, entry.id, entry.sql))
        for index in entry.indexes:
            if not (entry.without_rowid and index.primary_key):     # the table itself, to SQLite
                rows.append(("index", index.name, entry.name, index.tree, index.sql or None))
    return rows


def register(session: Session) -> None:
    """Makes the functions on the SQLite connection."""
    known = ref(session)

    def make(name: str, columns: tuple[str, ...], parameters: tuple[str, ...], rows: Callable[..., list[Any]]) -> None:
        module = _Module(columns, parameters, rows)
        session.raw.create_module(
            name, module, use_bestindex_object=True, eponymous_only=True, read_only=True
        )

    def owner() -> Session:
        found = known()
        assert found is not None
        return found

    def master(schema: Any = None) -> list[Any]:
        session = owner()
        name = "main" if schema is None else str(schema)
        if schema_of(session, name) is None:
            columns = "type, name, tbl_name, rootpage, sql"
            return list(session.raw.execute(f"SELECT {columns} FROM {quote(name)}.sqlite_master"))
        tables, views = snapshot_of(session).schema(name)
        return master_rows(tables.values(), views.values())

    make(OURS, ("type", "name", "tbl_name", "rootpage", "sql"), ("schema",), master)

    def listing(arg: Any = None) -> list[Any]:
        return table_list(owner(), arg, None, snapshot_of(owner()).schema)[1]

    make("pragma_table_list", ("schema", "name", "type", "ncol", "wr", "strict"), ("arg",), listing)

    def one(pragma: str) -> Callable[..., list[Any]]:
        def rows(arg: Any = None, schema: Any = None) -> list[Any]:
            if arg is None:
                return []
            session = owner()
            named = None if schema is None else str(schema)
            found = about(session, pragma, str(arg), named, snapshot_of(session).schema)
            if found is not None:
                return found[1]
            prefix = "" if named is None else quote(named) + "."
            return list(session.raw.execute(f"PRAGMA {prefix}{pragma}({quote(str(arg))})"))

        return rows

    for pragma, columns in ABOUT.items():
        make(f"pragma_{pragma}", columns, ("arg", "schema"), one(pragma))


class Snapshot:
    """The catalogs as one statement sees them, read when first asked for.

    `always`: for every statement until it is taken away; all is read at once.
    """

    def __init__(self, session: Session, *, always: bool = False) -> None:
        self.statement = session.running
        self.always = always
        self._session = ref(session)
        self._schemas: dict[str, Shown] = {}
        if always:
            titles = [schema.name for schema in session.schemas()]
            self._schemas = {title.lower(): session.catalog(None, title) for title in titles}

    def schema(self, name: str) -> Shown:
        """Tables and views of a schema by lower-case name; none for one of SQLite's own."""
        found = self._schemas.get(name.lower())
        if found is None:
            session = self._session()
            assert session is not None
            schema = schema_of(session, name)
            found = {}, {}
            if schema is not None:
                content = Content.of(session.raw.execute(schema.catalog_sql))
                found = {key: declared.table for key, declared in content.tables.items()}, content.views
            self._schemas[name.lower()] = found
        return found


def snapshot_of(session: Session) -> Snapshot:
    """For the statement that is being stepped. A context sees one state from its beginning to its end."""
    known = session.catalog_snapshot
    if known is not None and known.always:
        return known
    if known is None or known.statement is None or known.statement is not session.running:
        known = session.catalog_snapshot = Snapshot(session)
    return known


__all__ = ["Snapshot", "register"]
