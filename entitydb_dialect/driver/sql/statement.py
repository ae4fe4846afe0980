"""What kind of statement an SQL text is, and what the driver has to know of it.

A text is read once; statements are cached for the process. What is not understood is OTHER and goes to SQLite
unchanged, to be refused there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from .cores import Core, cores
from .text import Reader, Text
from .tokens import LIST, NAMES, WORD

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


class Statement(Text):
    """One statement, or several with `several` set, and its tokens.

    What is said below of one kind of statement has its default in all others.
    """

    kind = OTHER
    verb = ""  # the deciding keyword, upper case; "ROLLBACK TO" apart from "ROLLBACK"
    verb_at = 0  # its token
    several = False  # more than one statement
    row_in = False  # (a, b) IN ...: the engine has to leave comparisons of texts to SQLite
    asks_schema = False  # it may ask for sqlite_master or pragma_...()

    # of an INSERT, UPDATE or DELETE
    schema: str | None = None  # of the table written to
    table = ""  # written to
    alias = ""  # of it
    columns: tuple[str, ...] | None = None  # an INSERT's column list
    list_at = -1  # where an INSERT without column list would have it: an offset in the SQL
    default_values = False  # INSERT ... DEFAULT VALUES
    plain_values = False  # INSERT whose rows come from VALUES without a subquery: reads no table
    sets: tuple[str, ...] = ()  # the columns an UPDATE sets
    conflict = ""  # INSERT OR ..., UPDATE OR ...: the word behind OR
    returning_at = -1  # the token RETURNING
    on_conflict_at = -1  # the token ON of the first ON CONFLICT (...) DO ...

    # of other kinds
    ddl: Ddl | None = None
    name = ""  # of a PRAGMA, lower case, or of a savepoint
    argument: str | None = None  # of a PRAGMA, unquoted
    assignment = False  # PRAGMA name = value
    label_sql = ""  # of a LABEL: the query for the labels

    def __init__(self, sql: str) -> None:
        super().__init__(sql)
        self._classify()

    @classmethod
    def of(cls, text: Text) -> Statement:
        """The statement that a text is, whose tokens are known."""
        made = cls.__new__(cls)
        made.sql, made.kinds, made.starts, made.ends = text.sql, text.kinds, text.starts, text.ends
        made.uppers, made.partners = text.uppers, text.partners
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

    def _classify(self) -> None:
        words = self.uppers
        present = frozenset(words)
        start = 0
        if ";" in present:
            while start < len(words) and words[start] == ";":
                start += 1
            self.several = _is_several(words, start)
        if start == len(words):
            self.kind = EMPTY
            return
        verb = words[start] if self.kinds[start] == WORD else ""
        if verb == "WITH":
            start = _behind_with(self, start + 1)
            verb = self.upper(start)
        self.verb, self.verb_at = verb, start
        classify = _BY_VERB.get(verb)
        if classify is not None:
            classify(self, start + 1, present)
        if "_" in self.sql and self.kind in _MAY_ASK:
            upper = self.sql.upper()
            self.asks_schema = "SQLITE_" in upper or "PRAGMA_" in upper
        if "IN" in present:
            self.row_in = _has_row_in(self)


_MAY_ASK = frozenset((READ, WRITE, OTHER))


def _is_several(words: Sequence[str], start: int) -> bool:
    """Is there anything behind a semicolon that is not one itself? A trigger's body does not count."""
    if "TRIGGER" in words[start : start + 3]:
        return False
    behind = words[words.index(";", start) :] if ";" in words[start:] else ()
    return any(word != ";" for word in behind)


def _behind_with(text: Text, at: int) -> int:
    """What follows WITH [RECURSIVE] name [(...)] AS [[NOT] MATERIALIZED] (...), ..., from the token behind WITH on."""
    reader = Reader(text, at)
    reader.take("RECURSIVE")
    while reader.name() is not None:
        reader.group()
        if not reader.take("AS"):
            break
        reader.take("NOT")
        reader.take("MATERIALIZED")
        reader.group()
        if not reader.take(","):
            break
    return reader.at


# ---- queries ----


def _explain(statement: Statement, at: int, present: frozenset[str]) -> None:
    statement.kind = READ


def _query(statement: Statement, at: int, present: frozenset[str]) -> None:
    statement.kind = READ
    if statement.upper(at) == "ENTITYDB_LABEL" and not statement.several:
        statement.label_sql = _label(statement, Reader(statement, at))
        if statement.label_sql:
            statement.kind = LABEL


def _label(statement: Statement, reader: Reader) -> str:
    """Behind SELECT: the statement without the function's name, if entitydb_label(...) is its one column; else ''."""
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


# Words that an expression can follow; behind any other word or name a parenthesis holds a function's arguments.
_BEFORE_EXPRESSION = frozenset((
    *("ALL", "AND", "BETWEEN", "BY", "CASE", "DISTINCT", "ELSE", "ESCAPE", "FROM", "GLOB", "HAVING", "IN", "IS"),
    *("LIKE", "LIMIT", "MATCH", "NOT", "OFFSET", "ON", "OR", "REGEXP", "RETURNING", "SELECT", "THEN", "WHEN", "WHERE"),
))  # fmt: skip


def _has_row_in(text: Text) -> bool:
    """Is there a row value (or a subquery of several columns) on the left of IN?"""
    words = text.uppers
    at = -1
    for _ in range(words.count("IN")):
        at = words.index("IN", at + 1)
        end = at - 2 if text.upper(at - 1) == "NOT" else at - 1
        if end >= 0 and text.kinds[end] == LIST:
            return True
        if text.upper(end) != ")" or text.partners[end] < 0:
            continue
        start = text.partners[end]
        calls = start > 0 and text.is_name(start - 1) and words[start - 1] not in _BEFORE_EXPRESSION
        if not calls and _has_comma(text, start, end):
            return True
    return False


def _has_comma(text: Text, opening: int, closing: int) -> bool:
    """Is there a comma in a group, not counting inner groups?"""
    at = opening + 1
    while at < closing:
        if text.uppers[at] == "," or text.kinds[at] == LIST:
            return True
        at = text.closing(at) + 1 if text.uppers[at] == "(" else at + 1
    return False


_LOCKS = (("UPDATE",), ("SHARE",), ("NO", "KEY", "UPDATE"), ("KEY", "SHARE"))


def locks_rows(sql: str) -> bool:
    """Is there a FOR UPDATE or the like? SQLite has none, so this is asked about what it refused."""
    words = Text(sql).uppers
    behind = [words[i + 1 : i + 4] for i, word in enumerate(words) if word == "FOR"]
    return any(tuple(rest[: len(lock)]) == lock for rest in behind for lock in _LOCKS)


# ---- changes ----


def _insert(statement: Statement, at: int, present: frozenset[str]) -> None:
    at = _target(statement, at, present, "INTO")
    words = statement.uppers
    following = statement.upper(at)
    if following == "(":
        end = statement.closing(at)
        statement.columns = _names(statement, at + 1, end)
        at = end + 1
        following = statement.upper(at)
    else:
        statement.list_at = statement.ends[min(at, len(words)) - 1]
    if following == "DEFAULT":
        statement.default_values = statement.plain_values = True
    elif following == "VALUES":
        statement.plain_values = "SELECT" not in present or "SELECT" not in words[at:]
    if "CONFLICT" in present:
        statement.on_conflict_at = _conflict_at(statement, at)


def _update(statement: Statement, at: int, present: frozenset[str]) -> None:
    at = _target(statement, at, present, None)
    statement.sets = _sets(statement, statement.find("SET", at))


def _delete(statement: Statement, at: int, present: frozenset[str]) -> None:
    _target(statement, at, present, "FROM")


def _target(statement: Statement, at: int, present: frozenset[str], word: str | None) -> int:
    """[OR ...] [word] [schema.]table [AS alias], and where RETURNING is. -> the token behind the target"""
    statement.kind = WRITE
    if statement.upper(at) == "OR":
        statement.conflict = statement.upper(at + 1)
        at += 2
    if statement.upper(at) == word:
        at += 1
    if statement.is_name(at):
        statement.table = statement.name_at(at)
        at += 1
        if statement.upper(at) == ".":
            statement.schema, statement.table = statement.table, ""
            at += 1
            if statement.is_name(at):
                statement.table = statement.name_at(at)
                at += 1
    if statement.upper(at) == "AS":
        at += 1
        if statement.is_name(at):
            statement.alias = statement.name_at(at)
            at += 1
    if "RETURNING" in present and not statement.several:
        statement.returning_at = statement.find("RETURNING", at)
    return at


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
            elif words[at] in _BEHIND_SETS:
                return tuple(names)
            else:
                begins = words[at] == ","
            at += 1
    return tuple(names)


def _conflict_at(text: Text, start: int) -> int:
    """Index of the first ON CONFLICT; -1: none."""
    level = last = 0
    found: list[int] = []
    words = text.uppers
    for i in range(start, len(words)):
        upper = words[i]
        level += (upper == "(") - (upper == ")")
        if level or upper not in ("ON", "DO"):
            continue
        if upper == "DO":
            last = i
        elif text.upper(i + 1) == "CONFLICT" and text.upper(i + 2) in ("(", "DO"):
            found.append(i)
    # A condition of a join may look like it, but for the DO behind.
    return next((at for at in found if last >= at + 2), -1)


# ---- the schema, transactions, settings ----


def _define(statement: Statement, at: int, present: frozenset[str]) -> None:
    statement.kind = DDL
    reader = Reader(statement, at)
    verb = statement.verb
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


def _control(statement: Statement, at: int, present: frozenset[str]) -> None:
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


def _pragma(statement: Statement, at: int, present: frozenset[str]) -> None:
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
    "EXPLAIN": _explain,
    "SELECT": _query,
    "VALUES": _explain,
    "INSERT": _insert,
    "REPLACE": _insert,
    "UPDATE": _update,
    "DELETE": _delete,
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
    "CONTROL",
    "DDL",
    "EMPTY",
    "LABEL",
    "LONG",
    "OTHER",
    "PRAGMA",
    "READ",
    "WRITE",
    "Ddl",
    "Statement",
    "locks_rows",
    "parse",
]
