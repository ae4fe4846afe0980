"""sqlite_master, sqlite_schema and the pragma_... functions inside queries.

SQLite's own would tell of declarations. The names sqlite_master and sqlite_schema are replaced by
the analysis with `entitydb_schema`, a table-valued function of this module; functions with SQLite's names take
the place of pragma_table_info and the like. All answer from the catalog as the statement sees it: they read it in the
context of the statement that is being stepped, so views may be made over them and cursors of several moments mix.

EXPLAIN QUERY PLAN: the names of indexes for the numbers of trees.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import ref

import apsw

from .._catalog import Index, Table, View
from ..rewrite.schema_names import OURS
from ..schemas import attached as _attach
from ..schemas.schema import sorted_catalog
from ..sql.tokens import quote
from .pragma import ABOUT, Shown, about, table_list

if TYPE_CHECKING:
    from .._connection import Connection

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


def register(connection: Connection) -> None:
    """Makes the functions on a connection; they read what `connection._shown` holds."""
    known = ref(connection)

    def make(name: str, columns: tuple[str, ...], parameters: tuple[str, ...], rows: Callable[..., list[Any]]) -> None:
        module = _Module(columns, parameters, rows)
        connection._raw.create_module(
            name, module, use_bestindex_object=True, eponymous_only=True, read_only=True
        )

    def owner() -> Connection:
        found = known()
        assert found is not None
        return found

    def master(schema: Any = None) -> list[Any]:
        connection = owner()
        name = "main" if schema is None else str(schema)
        if _attach.schema_of(connection, name) is None:
            columns = "type, name, tbl_name, rootpage, sql"
            return list(connection._raw.execute(f"SELECT {columns} FROM {quote(name)}.sqlite_master"))
        tables, views = told(connection).schema(name)
        return master_rows(tables.values(), views.values())

    make(OURS, ("type", "name", "tbl_name", "rootpage", "sql"), ("schema",), master)

    def listing(arg: Any = None) -> list[Any]:
        return table_list(owner(), arg, None, told(owner()).schema)[1]

    make("pragma_table_list", ("schema", "name", "type", "ncol", "wr", "strict"), ("arg",), listing)

    def one(pragma: str) -> Callable[..., list[Any]]:
        def rows(arg: Any = None, schema: Any = None) -> list[Any]:
            if arg is None:
                return []
            connection = owner()
            named = None if schema is None else str(schema)
            found = about(connection, pragma, str(arg), named, told(connection).schema)
            if found is not None:
                return found[1]
            prefix = "" if named is None else quote(named) + "."
            return list(connection._raw.execute(f"PRAGMA {prefix}{pragma}({quote(str(arg))})"))

        return rows

    for pragma, columns in ABOUT.items():
        make(f"pragma_{pragma}", columns, ("arg", "schema"), one(pragma))


class Told:
    """The catalogs as one statement sees them, read when first asked for.

    `always`: for every statement until it is taken away; all is read at once.
    """

    def __init__(self, connection: Connection, *, always: bool = False) -> None:
        self.statement = connection._running
        self.always = always
        self._connection = ref(connection)
        self._schemas: dict[str, Shown] = {}
        if always:
            titles = [schema._title for schema in connection._schemas()]
            self._schemas = {title.lower(): connection.schema(None, title) for title in titles}

    def schema(self, name: str) -> Shown:
        """Tables and views of a schema by lower-case name; none for one of SQLite's own."""
        found = self._schemas.get(name.lower())
        if found is None:
            connection = self._connection()
            assert connection is not None
            schema = _attach.schema_of(connection, name)
            found = {}, {}
            if schema is not None:
                tables, views, _ = sorted_catalog(connection._raw.execute(schema._catalog_sql))
                found = {key: declared.table for key, declared in tables.items()}, views
            self._schemas[name.lower()] = found
        return found


def told(connection: Connection) -> Told:
    """For the statement that is being stepped. A context sees one state from its beginning to its end."""
    known = connection._tells
    if known is not None and known.always:
        return known
    if known is None or known.statement is None or known.statement is not connection._running:
        known = connection._tells = Told(connection)
    return known


# ---- EXPLAIN QUERY PLAN ----

_STEPS = "(?:[=isnNgl<>pP][k-][c-])*"
_PLAN = re.compile(rf"^(SCAN|SEARCH) (.*) VIRTUAL TABLE INDEX (\d+):([fr][o-])({_STEPS})(.*)$", re.DOTALL)
_SIGNS = {"=": "=?", "i": "=?", "s": " IS ?", "n": " IS NULL", "N": " IS NOT NULL"}
_SIGNS |= {">": ">?", "g": ">=?", "<": "<?", "l": "<=?"}


def _terms(names: list[str], steps: str) -> str:
    words, part = [], 0
    for at in range(0, len(steps) - 2, 3):
        sign = steps[at]
        words.append((names[part] if part < len(names) else "?") + _SIGNS.get(sign, "?"))
        part += sign in "=isn"
    return " AND ".join(words)


def explained(row: Any, indexes: list[tuple[int, str, Table, Index]]) -> Any:
    """A row of EXPLAIN QUERY PLAN as SQLite would put it for an ordinary table. Trees are numbered by database: when
    several have the number, the table's name decides."""
    if len(row) != 4 or not isinstance(row[3], str) or not (match := _PLAN.match(row[3])):
        return row
    _, name, tree, _, steps, rest = match.groups()
    steps = re.sub("(?:[pP]k-)+$", "", steps)  # terms of the driver's about partial indexes
    fitting = [(schema, table, index) for number, schema, table, index in indexes if number == int(tree)]
    if len(fitting) > 1:
        written = [one for one in fitting if f"{one[0]}.{one[1].name}".lower() == name.lower()]
        fitting = written or [one for one in fitting if one[1].name.lower() == name.lower()] or fitting
    found = fitting[0][1:] if len(fitting) == 1 else None
    if found is None:
        text = f"SEARCH {name} USING INTEGER PRIMARY KEY ({_terms(['rowid'], steps)})" if steps else f"SCAN {name}"
        if fitting:
            text = f"{'SEARCH' if steps else 'SCAN'} {name} USING INDEX"
    else:
        table, index = found
        columns = [table.columns[part.column] for part in index.parts]
        names = ["<expr>" if column.hidden else column.name for column in columns]
        what = f"{name} USING INDEX {index.name}"
        text = f"SEARCH {what} ({_terms(names, steps)})" if steps else f"SCAN {what}"
    return (*row[:3], text + rest)
