"""What kind of statement an SQL string is, and what the driver has to do about it.

One analysis per string, cached, so that a plain statement pays one lookup. It says only what the driver needs: does it
write, is it DDL that has to become an edit of the catalog, which columns an INSERT names, is there a clause that
virtual tables cannot do. What it does not understand is OTHER and goes to SQLite unchanged, to be refused there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from ... import _exceptions as ex
from ..rewrite.schema_names import rewritten
from ..rewrite.shortcuts import Least, least
from ..rewrite.upsert_returning import Pieces, conflict_at, take_apart
from .tokens import NO_ALIAS, WORD, Token, closing, find, is_name, tokens, unquote

READ = "read"  # SELECT, VALUES, WITH ... SELECT, EXPLAIN
WRITE = "write"  # INSERT, REPLACE, UPDATE, DELETE
DDL = "ddl"  # CREATE, DROP, ALTER, ATTACH, VACUUM, ...
CONTROL = "control"  # BEGIN, COMMIT, END, ROLLBACK, SAVEPOINT, RELEASE
PRAGMA = "pragma"
LABEL = "label"  # SELECT entitydb_label(...)
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


@dataclass(frozen=True)
class Counted:
    """`SELECT count(*) [AS label] FROM table [AS alias]` and nothing else: the engine knows the answer."""

    schema: str | None
    table: str
    label: str  # the result column's name


@dataclass(frozen=True)
class Analysis:
    kind: str
    verb: str = ""  # the deciding keyword, upper case; "ROLLBACK TO" apart from "ROLLBACK"
    several: bool = False  # more than one statement
    schema: str | None = None  # of the table written to
    table: str = ""  # written to
    columns: tuple[str, ...] | None = None  # an INSERT's column list
    default_values: bool = False  # INSERT ... DEFAULT VALUES
    plain_values: bool = False  # INSERT whose rows come from VALUES without a subquery: reads no table
    returning: bool = False
    pieces: Pieces | ex.Error | None = None  # with RETURNING or ON CONFLICT: the statement taken apart, or why not
    on_conflict: bool = False  # ON CONFLICT (...) DO ...
    ddl: Ddl | None = None
    name: str = ""  # of a PRAGMA, lower case, or of a savepoint
    argument: str | None = None  # of a PRAGMA, unquoted
    assignment: bool = False  # PRAGMA name = value
    counted: Counted | Least | None = None  # the statement is a bare SELECT count(*) or min(column) FROM table
    conflict: str = ""  # INSERT OR ..., UPDATE OR ...: the word behind OR
    schema_sql: str | None = None  # for statements that ask for sqlite_master or pragma_...(): what to run instead
    label_sql: str = ""  # of a LABEL: the query for the labels
    list_at: int = -1  # where an INSERT without column list would have it: an offset in the SQL
    sets: tuple[str, ...] = ()  # the columns an UPDATE sets
    row_in: bool = False  # (a, b) IN ...: the engine has to leave comparisons of texts to SQLite

    @property
    def returns_rows(self) -> bool:
        return self.kind in (READ, PRAGMA, OTHER)


class _Reader:
    """A walk over the tokens that never runs off their end."""

    def __init__(self, items: list[Token], at: int = 0) -> None:
        self.items = items
        self.at = at

    def peek(self, ahead: int = 0) -> str:
        i = self.at + ahead
        return self.items[i].upper if i < len(self.items) else ""

    def take(self, *words: str) -> bool:
        """Goes past the words if they are all there."""
        if all(self.peek(i) == word for i, word in enumerate(words)):
            self.at += len(words)
            return True
        return False

    def name(self) -> str | None:
        if self.at < len(self.items) and is_name(self.items[self.at]):
            self.at += 1
            return unquote(self.items[self.at - 1].text)
        return None

    def qualified(self) -> tuple[str | None, str]:
        """[schema.]name"""
        first = self.name()
        if first is not None and self.take("."):
            return first, self.name() or ""
        return None, first or ""

    def group(self) -> None:
        """Goes past a parenthesised group."""
        if self.peek() == "(":
            self.at = closing(self.items, self.at) + 1


_CONTROL = {"BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"}
_DDL = {"CREATE", "DROP", "ALTER", "ATTACH", "DETACH", "VACUUM", "REINDEX", "ANALYZE"}
_WRITES = {"INSERT", "REPLACE", "UPDATE", "DELETE"}


def _after_with(reader: _Reader) -> None:
    """Goes past WITH [RECURSIVE] name [(...)] AS [[NOT] MATERIALIZED] (...), ..."""
    reader.take("RECURSIVE")
    while True:
        if reader.name() is None:
            return
        reader.group()
        if not reader.take("AS"):
            return
        reader.take("NOT")
        reader.take("MATERIALIZED")
        reader.group()
        if not reader.take(","):
            return


def _sets(items: list[Token], at: int) -> tuple[str, ...]:
    """The columns assigned behind SET, the token `at`: those in front of each `=` that a comma or SET precedes."""
    names: list[str] = []
    begins = at >= 0
    while begins and at + 1 < len(items):
        at += 1
        if items[at].upper == "(":
            end = closing(items, at)
            names += [unquote(t.text) for t in items[at + 1 : end] if is_name(t)]
            at = end
        elif is_name(items[at]):
            names.append(unquote(items[at].text))
        level, begins = 0, False
        while at + 1 < len(items) and not begins:
            at += 1
            upper = items[at].upper
            level += (upper == "(") - (upper == ")")
            if level == 0 and upper in _BEHIND_SETS:
                return tuple(names)
            begins = level == 0 and upper == ","
    return tuple(names)


_BEHIND_SETS = frozenset(("FROM", "WHERE", "RETURNING", "ORDER", "LIMIT", ";"))


def _write(reader: _Reader, verb: str, several: bool, sql: str) -> Analysis:
    items = reader.items
    conflict = ""
    if reader.take("OR"):
        conflict = reader.peek()
        reader.at += 1
    if verb in ("INSERT", "REPLACE"):
        reader.take("INTO")
    elif verb == "DELETE":
        reader.take("FROM")
    schema, table = reader.qualified()
    alias = (reader.name() or "") if reader.take("AS") else ""
    returning = find(items, "RETURNING", reader.at)
    on_conflict = list_at = -1
    sets: tuple[str, ...] = ()
    columns = None
    default_values = plain_values = False
    if verb in ("INSERT", "REPLACE"):
        if reader.peek() == "(":
            end = closing(items, reader.at)
            columns = tuple(unquote(t.text) for t in items[reader.at + 1 : end] if is_name(t))
            reader.at = end + 1
        else:
            list_at = items[min(reader.at, len(items)) - 1].end
        default_values = reader.peek() == "DEFAULT"
        plain_values = default_values or (
            reader.peek() == "VALUES" and not any(t.upper == "SELECT" for t in items[reader.at :])
        )
        on_conflict = conflict_at(items, reader.at)
    elif verb == "UPDATE":
        sets = _sets(items, find(items, "SET", reader.at))
    pieces: Pieces | ex.Error | None = None
    if max(returning, on_conflict) >= 0 and not several:
        try:
            pieces = take_apart(sql, items, table, alias, conflict=on_conflict, returning=returning)
        except ex.Error as error:
            pieces = error
    return Analysis(
        WRITE, verb, several, schema, table, columns, default_values, plain_values, returning >= 0, pieces,
        on_conflict >= 0, conflict=conflict, list_at=list_at, sets=sets,
    )


def _ddl(reader: _Reader, verb: str, several: bool) -> Analysis:
    if verb not in ("CREATE", "DROP", "ALTER"):
        return Analysis(DDL, verb, several, ddl=Ddl(verb))
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
    ddl = Ddl(verb, what, temporary, unique, if_clause, schema, name, table, as_select, replaces)
    return Analysis(DDL, verb, several, ddl=ddl)


def _control(reader: _Reader, verb: str, several: bool) -> Analysis:
    name = ""
    if verb == "ROLLBACK":
        reader.take("TRANSACTION")
        if reader.take("TO"):
            verb = "ROLLBACK TO"
            reader.take("SAVEPOINT")
            name = reader.name() or ""
    elif verb in ("SAVEPOINT", "RELEASE"):
        if verb == "RELEASE":
            reader.take("SAVEPOINT")
        name = reader.name() or ""
    elif verb == "END":
        verb = "COMMIT"
    return Analysis(CONTROL, verb, several, name=name)


def _pragma(reader: _Reader, several: bool) -> Analysis:
    schema, name = reader.qualified()
    argument = None
    assignment = False
    if reader.peek() in ("=", "("):
        assignment = reader.peek() == "="
        reader.at += 1
        rest = reader.items[reader.at :]
        parts = []
        for token in rest:
            if token.upper in (")", ";"):
                break
            parts.append(unquote(token.text))
        argument = "".join(parts)
    return Analysis(
        PRAGMA, "PRAGMA", several, schema=schema, name=name.lower(), argument=argument, assignment=assignment
    )


def _counted(reader: _Reader, sql: str) -> Counted | None:
    """Behind SELECT: is the rest a bare count(*)?"""
    first = reader.at
    if not reader.take("COUNT", "(", "*", ")"):
        return None
    label = sql[reader.items[first].start : reader.items[reader.at - 1].end]
    if reader.take("AS") or reader.peek() != "FROM":
        label = reader.name() or ""
    if not label or not reader.take("FROM"):
        return None
    schema, table = reader.qualified()
    aliased = reader.take("AS") or (reader.at < len(reader.items) and reader.peek() != ";")
    if aliased and (reader.peek() in NO_ALIAS or not reader.name()):
        return None
    reader.take(";")
    return Counted(schema, table, label) if table and reader.at == len(reader.items) else None


def _label(reader: _Reader, sql: str) -> str:
    """Behind SELECT: the statement without the function's name, if entitydb_label(...) is its one column; else ''."""
    items, at = reader.items, reader.at
    if not reader.take("ENTITYDB_LABEL") or reader.peek() != "(":
        return ""
    reader.group()
    if reader.take("AS") or reader.peek() not in ("", ";", "FROM", "WHERE"):
        reader.name()
    if reader.peek() not in ("", ";", "FROM", "WHERE"):
        return ""
    return sql[: items[at].start] + sql[items[at].end :]


# Words that an expression can follow; behind any other word or name a parenthesis holds a function's arguments.
_BEFORE_EXPRESSION = frozenset((
    *("ALL", "AND", "BETWEEN", "BY", "CASE", "DISTINCT", "ELSE", "ESCAPE", "FROM", "GLOB", "HAVING", "IN", "IS"),
    *("LIKE", "LIMIT", "MATCH", "NOT", "OFFSET", "ON", "OR", "REGEXP", "RETURNING", "SELECT", "THEN", "WHEN", "WHERE"),
))  # fmt: skip


def _row_in(items: list[Token]) -> bool:
    """Is there a row value (or a subquery of several columns) on the left of IN?"""
    opened: list[tuple[int, bool]] = []  # open parentheses, and whether a comma was met in each
    for i, token in enumerate(items):
        upper = token.upper
        if upper == "(":
            opened.append((i, False))
        elif upper == "," and opened:
            opened[-1] = (opened[-1][0], True)
        elif upper == ")" and opened:
            start, comma = opened.pop()
            behind = _Reader(items, i + 1)
            behind.take("NOT")
            if comma and behind.peek() == "IN":
                before = items[start - 1] if start else None
                if before is None or not is_name(before) or before.upper in _BEFORE_EXPRESSION:
                    return True
    return False


_LOCKS = (("UPDATE",), ("SHARE",), ("NO", "KEY", "UPDATE"), ("KEY", "SHARE"))


def locks_rows(sql: str) -> bool:
    """Is there a FOR UPDATE or the like? SQLite has none, so this is asked about what it refused."""
    words = [token.upper for token in tokens(sql)]
    behind = [words[i + 1 : i + 4] for i, word in enumerate(words) if word == "FOR"]
    return any(tuple(rest[: len(lock)]) == lock for rest in behind for lock in _LOCKS)


def _several(items: list[Token]) -> bool:
    """Is there anything behind a semicolon that is not one itself? A trigger's body does not count."""
    if [t.upper for t in items[:3]].count("TRIGGER"):
        return False
    seen = False
    for token in items:
        if token.upper == ";":
            seen = True
        elif seen:
            return True
    return False


def _sort(sql: str, items: list[Token]) -> Analysis:
    start = 0
    while start < len(items) and items[start].upper == ";":
        start += 1
    items = items[start:]
    if not items:
        return Analysis(EMPTY)
    several = _several(items)
    reader = _Reader(items)
    verb = reader.peek() if items[0].kind == WORD else ""
    reader.at = 1
    if verb == "EXPLAIN":
        explains = reader.take("QUERY", "PLAN", "SELECT") or reader.take("SELECT")
        return Analysis(READ, verb, several, counted=least(items, reader.at, sql) if explains and not several else None)
    if verb == "WITH":
        _after_with(reader)
        verb = reader.peek()
        reader.at += 1
    if verb == "SELECT" and not several and reader.peek() == "ENTITYDB_LABEL":
        query = _label(reader, sql)
        return Analysis(LABEL, verb, label_sql=query) if query else Analysis(READ, verb)
    if verb == "SELECT":
        bare = not several and items[0].upper == "SELECT"       # WITH may give the table's name another meaning
        counted = (least(items, 1, sql) or _counted(reader, sql)) if bare else None
        return Analysis(READ, verb, several, counted=counted)
    if verb == "VALUES":
        return Analysis(READ, verb, several)
    if verb in _WRITES:
        return _write(reader, verb, several, sql)
    if verb in _CONTROL:
        return _control(reader, verb, several)
    if verb in _DDL:
        return _ddl(reader, verb, several)
    if verb == "PRAGMA":
        return _pragma(reader, several)
    return Analysis(OTHER, verb, several)


def _analyse(sql: str) -> Analysis:
    items = tokens(sql)
    analysis = _sort(sql, items)
    if analysis.kind in (READ, WRITE, OTHER):
        asking = rewritten(sql)
        if asking is not None:
            sql, items = asking, tokens(asking)
            analysis = replace(_sort(sql, items), schema_sql=sql)
    return replace(analysis, row_in=True) if _row_in(items) else analysis


_cached = lru_cache(maxsize=4096)(_analyse)
_LONG = 50_000  # characters; longer statements (rows written as literals) hardly come twice


def analyse(sql: str) -> Analysis:
    """The analysis of a statement. Never raises."""
    return _cached(sql) if len(sql) < _LONG else _analyse(sql)


__all__ = ["CONTROL", "DDL", "EMPTY", "LABEL", "OTHER", "PRAGMA", "READ", "WRITE", "Analysis", "Ddl", "analyse"]
