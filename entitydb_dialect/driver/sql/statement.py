"""What kind of statement an SQL text is, and what the driver has to know of it.

A text is read once; statements are cached for the process. What is not understood is OTHER and goes to SQLite
unchanged, to be refused there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from ..._native import lib
from .cores import Core, cores
from .text import Reader, Text
from .tokens import BLANK, NAMES, QUOTES, WORD, shape_of, unquote

READ = "read"  # SELECT, VALUES, WITH ... SELECT, EXPLAIN
WRITE = "write"  # INSERT, REPLACE, UPDATE, DELETE
DDL = "ddl"  # CREATE, DROP, ALTER, ATTACH, VACUUM, ...
CONTROL = "control"  # BEGIN, COMMIT, END, ROLLBACK, SAVEPOINT, RELEASE
PRAGMA = "pragma"
LABEL = "label"  # SELECT entitydb_label(...)
INFO = "info"  # SELECT entitydb_transaction_info(...)
EMPTY = "empty"  # white space and comments
OTHER = "other"  # everything else: SQLite's to refuse


@dataclass(frozen=True)
class Ddl:
    """A CREATE, DROP, ALTER and the like, taken apart as far as the driver routes it."""

    verb: str  # CREATE, DROP, ALTER, ATTACH, DETACH, VACUUM, REINDEX, ANALYZE
    what: str = ""  # TABLE, INDEX, VIEW, TRIGGER, VIRTUAL
    temporary: bool = False
    unique: bool = False
    if_clause: bool = False  # IF [NOT] EXISTS
    schema: str | None = None  # as written before the dot
    name: str = ""
    table: str = ""  # of CREATE INDEX
    as_select: bool = False  # CREATE TABLE ... AS
    replaces: bool = False  # CREATE OR REPLACE TABLE

    @property
    def written(self) -> str:
        """The name as messages have it."""
        return self.name if self.schema is None else f"{self.schema}.{self.name}"

    @property
    def is_temporary(self) -> bool:
        return self.temporary or (self.schema is not None and self.schema.lower() == "temp")


ROW_IN: int = lib.SQL_ROW_IN
BOUND_BY_COLUMN: int = lib.SQL_BOUND_BY_COLUMN
EQUAL_BY_COLUMN: int = lib.SQL_EQUAL_BY_COLUMN
TOLD = ROW_IN | BOUND_BY_COLUMN | EQUAL_BY_COLUMN
EDB_ROW_IN: int = lib.EDB_ROW_IN
EDB_BOUND_BY_COLUMN: int = lib.EDB_BOUND_BY_COLUMN
EDB_EQUAL_BY_COLUMN: int = lib.EDB_EQUAL_BY_COLUMN
EDB_SETS_ROWS: int = lib.EDB_SETS_ROWS
SEVERAL: int = lib.SQL_SEVERAL
IS_OF_COMMIT: int = lib.SQL_OF_COMMIT
NAMES_MOMENT: int = lib.SQL_NAMES_MOMENT
ASKS_SCHEMA: int = lib.SQL_ASKS_SCHEMA
PLAIN_VALUES: int = lib.SQL_PLAIN_VALUES
DEFAULT_VALUES: int = lib.SQL_DEFAULT_VALUES
PLAIN_LIST: int = lib.SQL_PLAIN_LIST
# What rewrites look for; see native/sqlstatement.h.
MAY_SHORTEN: int = lib.SQL_MAY_SHORTEN
MAY_CHAIN: int = lib.SQL_MAY_CHAIN
MAY_FIND_ONE: int = lib.SQL_MAY_FIND_ONE
ORDERS_OTHERWISE: int = lib.SQL_ORDERS_OTHERWISE
UPDATES_FROM: int = lib.SQL_UPDATES_FROM
HAS_TERMS: int = lib.SQL_HAS_TERMS
LISTS_QUERY: int = lib.SQL_LISTS_QUERY
BOUNDS_ROW: int = lib.SQL_BOUNDS_ROW
IS_COLUMN: int = lib.SQL_IS_COLUMN
SETS_ROWS: int = lib.SQL_SETS_ROWS
LIMITS_JOIN: int = lib.SQL_LIMITS_JOIN
_MAY_ASK = frozenset((READ, WRITE, OTHER))
_SHAPES = {
    lib.SQL_NOTHING: (EMPTY, ""),
    lib.SQL_OTHER: (OTHER, ""),
    **{getattr(lib, f"SQL_{verb}"): (READ, verb) for verb in ("SELECT", "VALUES", "EXPLAIN")},
    **{getattr(lib, f"SQL_{verb}"): (WRITE, verb) for verb in ("INSERT", "REPLACE", "UPDATE", "DELETE")},
}


class Statement(Text):
    """One statement, or several with `several` set, and its tokens.

    What is said below of one kind of statement has its default in all others.
    """

    kind = OTHER
    verb = ""  # the deciding keyword, upper case; "ROLLBACK TO" apart from "ROLLBACK"
    verb_at = 0  # its token
    several = False  # more than one statement
    flags = 0  # SQL_..., of its shape
    compares = 0  # what the engine has to be told of: (a, b) IN ..., bounds that are columns, and equalities
    names_moment = False  # it may name a history table or FOR SYSTEM_TIME, or give arguments to what it reads from
    asks_schema = False  # it may ask for sqlite_master or pragma_...()

    # of an INSERT, UPDATE or DELETE
    schema: str | None = None  # of the table written to
    table = ""  # written to
    target = ""  # the same as it is written
    alias = ""  # of it
    columns: tuple[str, ...] | None = None  # an INSERT's column list
    head = ""  # an INSERT's table and column list up to the last one, as they are written
    _list_behind = -1  # the token behind which an INSERT without one would have it
    default_values = False  # INSERT ... DEFAULT VALUES
    plain_values = False  # INSERT whose rows come from VALUES without a subquery: reads no table
    set_at = -1  # the token SET of an UPDATE
    conflict = ""  # INSERT OR ..., UPDATE OR ...: the word behind OR
    returning_at = -1  # the token RETURNING
    on_conflict_at = -1  # the token ON of the first ON CONFLICT (...) DO ...

    # of other kinds
    ddl: Ddl | None = None
    name = ""  # of a PRAGMA, lower case, or of a savepoint
    argument: str | None = None  # of a PRAGMA, unquoted
    assignment = False  # PRAGMA name = value
    values_sql = ""  # of a LABEL and an INFO: the query for what is given

    def __init__(self, sql: str) -> None:
        super().__init__(sql)
        self._classify()

    @classmethod
    def of(cls, text: Text) -> Statement:
        """The statement that a text is, whose tokens are known."""
        made = cls.of_packed(text.sql, text.packed)
        made._classify()
        return made

    @cached_property
    def cores(self) -> list[Core]:
        """Its query cores; see cores.py."""
        return cores(self)

    @property
    def returning(self) -> bool:
        return self.returning_at >= 0

    @property
    def takes_apart(self) -> bool:
        """Has it a clause that virtual tables cannot do?"""
        return self.kind is WRITE and max(self.returning_at, self.on_conflict_at) >= 0

    @cached_property
    def list_at(self) -> int:
        """Where an INSERT without column list would have it: an offset in the SQL. -1: it has one, or is no INSERT."""
        return self.ends[self._list_behind] if self._list_behind >= 0 else -1

    @cached_property
    def sets(self) -> tuple[str, ...]:
        """The columns an UPDATE sets."""
        return _sets(self, self.set_at) if self.set_at >= 0 else ()

    def _classify(self) -> None:
        """Takes over the shape."""
        (
            _, _, number, flags, self.verb_at, conflict, schema, table, alias, table_start, table_end,
            columns, columns_end, list_start, list_end, list_behind, set_at, on_conflict, returning,
        ) = shape_of(self.packed)  # fmt: skip
        kind, verb = _SHAPES[number]
        self.flags = flags
        if flags & TOLD:
            self.compares = (
                (EDB_ROW_IN if flags & ROW_IN else 0)
                | (EDB_BOUND_BY_COLUMN if flags & BOUND_BY_COLUMN else 0)
                | (EDB_EQUAL_BY_COLUMN if flags & EQUAL_BY_COLUMN else 0)
            )
        if flags & SEVERAL:
            self.several = True
        if kind is WRITE:
            self.kind, self.verb = WRITE, verb
            if table >= 0:
                name = self.sql[table_start:table_end]
                self.target = name
                self.table = name if name[0] not in QUOTES else unquote(name)
            if schema >= 0:
                self.schema = self.name_at(schema)
            if alias >= 0:
                self.alias = self.name_at(alias)
            if conflict >= 0:
                self.conflict = self.upper(conflict)
            if columns >= 0:
                written = self.sql[list_start:list_end]
                self.head = self.sql[table_start:list_end]
                if flags & PLAIN_LIST and "-" not in written and "/" not in written:  # no comments
                    self.columns = tuple([name.strip(BLANK) for name in written.split(",")])
                else:
                    self.columns = _names(self, columns, columns_end)
            self._list_behind, self.set_at = list_behind, set_at
            self.on_conflict_at, self.returning_at = on_conflict, returning
            if flags & PLAIN_VALUES:
                self.plain_values = True
                self.default_values = bool(flags & DEFAULT_VALUES)
        elif kind is OTHER:
            self.verb = verb = self.upper(self.verb_at) if self.verb_at < len(self) else ""
            if verb in _BY_VERB and self.kinds[self.verb_at] == WORD:
                _BY_VERB[verb](self, self.verb_at + 1)
        else:
            self.kind, self.verb = kind, verb
            if flags & IS_OF_COMMIT and not self.several:
                self.values_sql = _given(self, Reader(self, self.verb_at + 1))
                if self.values_sql:
                    self.kind = LABEL if self.uppers[self.verb_at + 1] == "ENTITYDB_LABEL" else INFO
        if flags & NAMES_MOMENT:
            self.names_moment = True
        if flags & ASKS_SCHEMA and self.kind in _MAY_ASK:
            self.asks_schema = True


def _given(statement: Statement, reader: Reader) -> str:
    """Behind SELECT: the statement without the function's name, if a call of it is its one column; else ''."""
    at = reader.at
    reader.at += 1
    if reader.peek() != "(":
        return ""
    reader.group()
    if reader.take("AS") or reader.peek() not in ("", ";", "FROM", "WHERE"):
        reader.name()
    if reader.peek() not in ("", ";", "FROM", "WHERE"):
        return ""
    return statement.sql[: statement.starts[at]] + statement.sql[statement.ends[at] :]


_LOCKS = (("UPDATE",), ("SHARE",), ("NO", "KEY", "UPDATE"), ("KEY", "SHARE"))


def locks_rows(sql: str) -> bool:
    """Is there a FOR UPDATE or the like? SQLite has none, so this is asked about what it refused."""
    words = Text(sql).uppers
    behind = [words[i + 1 : i + 4] for i, word in enumerate(words) if word == "FOR"]
    return any(tuple(rest[: len(lock)]) == lock for rest in behind for lock in _LOCKS)


# ---- changes ----


def _names(text: Text, start: int, end: int) -> tuple[str, ...]:
    kinds = text.kinds
    return tuple([text.name_at(i) for i in range(start, min(end, len(kinds))) if kinds[i] in NAMES])


_BEHIND_SETS = frozenset(("FROM", "WHERE", "RETURNING", "ORDER", "LIMIT", ";"))


def _sets(text: Text, at: int) -> tuple[str, ...]:
    """The columns assigned behind SET, the token `at`: those in front of each `=` that a comma or SET precedes."""
    names: list[str] = []
    words, end = text.uppers, len(text)
    begins = at >= 0
    at += 1
    while begins and at < end:
        if words[at] == "(":
            names += _names(text, at + 1, text.closing(at))
            at = text.closing(at)
        elif text.is_name(at):
            names.append(text.name_at(at))
        at += 1
        begins = False
        while at < end and not begins:
            if words[at] == "(":
                at = text.closing(at)
            elif words[at] in _BEHIND_SETS and words[at - 1] != "DISTINCT":
                return tuple(names)
            else:
                begins = words[at] == ","
            at += 1
    return tuple(names)


# ---- the schema, transactions, settings ----


def _define(statement: Statement, at: int) -> None:
    statement.kind = DDL
    reader = Reader(statement, at)
    verb = statement.verb
    if verb == "ANALYZE":
        schema, name = reader.qualified()
        statement.ddl = Ddl(verb, schema=schema, name=name)
        return
    if verb not in ("CREATE", "DROP", "ALTER"):
        statement.ddl = Ddl(verb)
        return
    replaces = verb == "CREATE" and reader.take("OR", "REPLACE", "TABLE")
    if replaces:
        reader.at -= 1
    temporary = reader.take("TEMP") or reader.take("TEMPORARY")
    unique = reader.take("UNIQUE")
    what = reader.peek()
    reader.at += 1
    if what == "VIRTUAL":
        reader.take("TABLE")
    if_clause = reader.take("IF", "NOT", "EXISTS") or reader.take("IF", "EXISTS")
    schema, name = reader.qualified()
    table = ""
    as_select = False
    if verb == "CREATE" and what == "INDEX":
        reader.take("ON")
        table = reader.name() or ""
    elif verb == "CREATE" and what == "TABLE":
        as_select = reader.peek() == "AS"
    statement.ddl = Ddl(verb, what, temporary, unique, if_clause, schema, name, table, as_select, replaces)


def _control(statement: Statement, at: int) -> None:
    statement.kind = CONTROL
    reader = Reader(statement, at)
    verb = statement.verb
    if verb == "ROLLBACK":
        reader.take("TRANSACTION")
        if reader.take("TO"):
            statement.verb = "ROLLBACK TO"
            reader.take("SAVEPOINT")
            statement.name = reader.name() or ""
    elif verb in ("SAVEPOINT", "RELEASE"):
        if verb == "RELEASE":
            reader.take("SAVEPOINT")
        statement.name = reader.name() or ""
    elif verb == "END":
        statement.verb = "COMMIT"


def _pragma(statement: Statement, at: int) -> None:
    statement.kind = PRAGMA
    reader = Reader(statement, at)
    statement.schema, name = reader.qualified()
    statement.name = name.lower()
    if reader.peek() in ("=", "("):
        statement.assignment = reader.peek() == "="
        parts = []
        for at in range(reader.at + 1, len(statement)):
            if statement.uppers[at] in (")", ";"):
                break
            parts.append(statement.name_at(at))
        statement.argument = "".join(parts)


_BY_VERB = {
    **dict.fromkeys(("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"), _control),
    **dict.fromkeys(("CREATE", "DROP", "ALTER", "ATTACH", "DETACH", "VACUUM", "REINDEX", "ANALYZE"), _define),
    "PRAGMA": _pragma,
}

LONG = 50_000  # characters; longer statements (rows written as literals) hardly come twice
_cached = lru_cache(maxsize=4096)(Statement)


def parse(sql: str) -> Statement:
    """The statement that a text is. Never raises."""
    return _cached(sql) if len(sql) < LONG else Statement(sql)


__all__ = [
    "BOUNDS_ROW",
    "CONTROL",
    "DDL",
    "EMPTY",
    "HAS_TERMS",
    "INFO",
    "IS_COLUMN",
    "LABEL",
    "LIMITS_JOIN",
    "LISTS_QUERY",
    "LONG",
    "MAY_CHAIN",
    "MAY_FIND_ONE",
    "MAY_SHORTEN",
    "ORDERS_OTHERWISE",
    "OTHER",
    "PRAGMA",
    "READ",
    "UPDATES_FROM",
    "WRITE",
    "Ddl",
    "Statement",
    "locks_rows",
    "parse",
]
