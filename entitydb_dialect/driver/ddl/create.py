"""CREATE TABLE and CREATE INDEX as catalog entries.

SQLite itself is the parser: the statement runs in a scratch in-memory database and is read back through its pragmas.
Only what those do not tell is taken from the tokens: CHECK constraints, names of constraints, AUTOINCREMENT,
DEFERRABLE, tag columns, and how long history is kept.

`Table.extra` (stored as JSON, for the layers above the engine) has these keys, each left out when empty:

    primary_key   {"name": str}                                        only when the constraint has a name
    unique        [{"name": str or null, "columns": [str, ...]}]
    check         [{"name": str or null, "sql": str, "column": str or null}]   the text between the parentheses
    foreign_keys  [{"name": str or null, "columns": [str], "table": str, "referred": [str], "on_update": str,
                    "on_delete": str, "match": str, "deferrable": bool, "initially_deferred": bool, "timing": str}]
                  "timing" is what the statement says of DEFERRABLE and INITIALLY, left out when it says nothing;
                  "referred" is [] when the statement names no columns (then the parent's primary key is meant)
    retention     str                                                  how long its history is kept; see retention.py
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import apsw

from ..._exceptions import NotSupportedError, OperationalError
from .._catalog import COLLATIONS, Column, Index, Part, Table, Value, refuse_reserved
from ..sql.tokens import WORD, Token, closing, find, is_name, quote, tokens, unquote
from .retention import kept_for, taken_retention
from .scratch import scratch
from .tag_columns import tagged, taken_from_table
from .unversioned import bare_table, without_history

BLOB, TEXT, NUMERIC, INTEGER, REAL = (ord(letter) for letter in "ABCDE")

MAX_COLUMNS = 2000
MAX_INDEXES = 64


def affinity(declared: str, strict: bool) -> int:
    """SQLite's affinity of a declared type."""
    upper = declared.upper()
    if strict and upper == "ANY":
        return BLOB
    if "INT" in upper:
        return INTEGER
    if "CHAR" in upper or "CLOB" in upper or "TEXT" in upper:
        return TEXT
    if not upper or "BLOB" in upper:
        return BLOB
    if "REAL" in upper or "FLOA" in upper or "DOUB" in upper:
        return REAL
    return NUMERIC


# A type that means an integer: INTEGER, INT8, BIGINT(20), UNSIGNED BIG INT.
_INTEGER_WORD = re.compile(r"\b(?:TINY|SMALL|MEDIUM|BIG)?INT(?:EGER)?[0-9]*\b")


def _collation(name: str, what: str) -> int:
    try:
        return COLLATIONS.index(name.upper())
    except ValueError:
        raise NotSupportedError(f"collation {name} of {what}: EntityDB has BINARY, NOCASE and RTRIM only") from None


# ---- defaults ----

_CONSTANT_WORDS = {"TRUE", "FALSE", "NULL"}
_CLOCK_WORDS = {"CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME"}


def _default(db: apsw.Connection, sql: str, declared: str) -> tuple[bool, Value]:
    """Is a default constant, and if so its value, after the column's affinity."""
    items = tokens(sql)
    lone = len(items) == 1
    if any(t.upper in _CLOCK_WORDS for t in items):
        return False, None
    if not lone and any(t.kind == WORD and t.upper not in _CONSTANT_WORDS for t in items):
        return False, None  # a function, which may answer differently each time
    found = _evaluated(db, sql, declared)
    return (False, None) if found is None else (True, found[0])


def _evaluated(db: apsw.Connection, sql: str, declared: str) -> tuple[Value] | None:
    """What a default gives a row now, after the column's affinity; None: SQLite takes the text for no default."""
    for text in (f"({sql})", sql):  # the pragma leaves the parentheses out; a bare name may have none
        try:
            db.execute(f'CREATE TEMP TABLE "default"(x {declared} DEFAULT {text})')
        except apsw.Error:
            continue
        db.execute('INSERT INTO temp."default" DEFAULT VALUES')
        value = db.execute('SELECT x FROM temp."default"').fetchall()[0][0]
        db.execute('DROP TABLE temp."default"')
        return (value,)
    return None


def default_now(sql: str, declared: str) -> tuple[Value, bool]:
    """What a default that is no constant gives now, after the column's affinity.

    Returns:
        The value, and whether each row gets one of its own: it calls a function like random(), which answers
        differently within one statement. The time of day does not.
    """
    with scratch() as db:
        found = _evaluated(db, sql, declared)
        rows = db.execute("SELECT DISTINCT name FROM pragma_function_list WHERE NOT flags & 0x800").fetchall()
    changing = {str(name) for (name,) in rows}
    items = tokens(sql)
    calls = {unquote(a.text).lower() for a, b in pairwise(items) if b.text == "(" and is_name(a)}
    return (None if found is None else found[0]), bool(calls & changing)


# ---- what the tokens tell ----


def _split(items: list[Token]) -> list[list[Token]]:
    """The parts between commas at depth 0."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in items:
        if token.upper == "(":
            depth += 1
        elif token.upper == ")":
            depth -= 1
        if token.upper == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _names(items: list[Token]) -> list[str]:
    """The column names of a parenthesised list: the first token of each part."""
    return [unquote(part[0].text) for part in _split(items) if part]


def _references(items: list[Token], at: int) -> dict[str, Any]:
    """What follows REFERENCES at `at`."""
    table = unquote(items[at + 1].text) if at + 1 < len(items) else ""
    referred: list[str] = []
    at += 2
    if at < len(items) and items[at].upper == "(":
        end = closing(items, at)
        referred = _names(items[at + 1 : end])
        at = end + 1
    actions = {"DELETE": "NO ACTION", "UPDATE": "NO ACTION"}
    match, deferrable, deferred = "NONE", False, False
    timing: list[str] = []
    words = [t.upper for t in items]
    while at < len(items):
        word, after = words[at], words[at + 1 : at + 4]
        if word == "ON" and after and after[0] in actions:
            two = after[1:2] in (["SET"], ["NO"])
            actions[after[0]] = " ".join(after[1 : 3 if two else 2])
            at += 4 if two else 3
        elif word == "MATCH":
            match = after[0] if after else match
            at += 2
        elif word == "NOT" and after[:1] == ["DEFERRABLE"]:
            timing += words[at : at + 2]
            at += 2
        elif word == "DEFERRABLE":
            deferrable = True
            timing.append(word)
            at += 1
        elif word == "INITIALLY":
            deferred = deferrable and after[:1] == ["DEFERRED"]
            timing += words[at : at + 2]
            at += 2
        else:
            break
    return {
        "table": table,
        "referred": referred,
        "on_update": actions["UPDATE"],
        "on_delete": actions["DELETE"],
        "match": match,
        "deferrable": deferrable,
        "initially_deferred": deferred,
        **({"timing": " ".join(timing)} if timing else {}),
    }


_CLOCK_FUNCTIONS = {"DATE", "TIME", "DATETIME", "JULIANDAY", "STRFTIME", "UNIXEPOCH", "TIMEDIFF"}


_CHANCE_FUNCTIONS = {"RANDOM", "RANDOMBLOB", "CHANGES", "TOTAL_CHANGES", "LAST_INSERT_ROWID"}


def _refuse_clock(items: list[Token], where: str = "a CHECK constraint") -> None:
    """A CHECK or an index that asks the clock, which SQLite refuses when it is first evaluated, or chance: what was
    true once might not be true again."""
    for i, token in enumerate(items):
        if token.kind == WORD and token.upper in _CHANCE_FUNCTIONS and [t.upper for t in items[i + 1 : i + 2]] == ["("]:
            what = "CHECK constraints" if where == "a CHECK constraint" else "partial index WHERE clauses"
            raise OperationalError(f"non-deterministic functions prohibited in {what}")
        call = token.kind == WORD and token.upper in _CLOCK_FUNCTIONS and items[i + 1 : i + 2]
        asks = call and items[i + 1].upper == "(" and (
            (items[i + 2 : i + 3] and items[i + 2].upper == ")")
            or any(t.text.upper() == "'NOW'" for t in items[i + 2 : closing(items, i + 1)])
        )
        if asks or (token.kind == WORD and token.upper in _CLOCK_WORDS):
            raise OperationalError(f"non-deterministic use of {token.text.lower()}() in {where}")


class _Constraints:
    """Walks the column list of a CREATE TABLE and collects `extra`."""

    def __init__(self, sql: str, items: list[Token]) -> None:
        self.sql = sql
        self.primary_key: str | None = None
        self.unique: list[dict[str, Any]] = []
        self.check: list[dict[str, Any]] = []
        self.foreign_keys: list[dict[str, Any]] = []
        self.autoincrement = False
        self.expressions: dict[str, str] = {}  # of generated columns, by lower-case name
        for part in _split(items):
            if not part:
                continue
            if part[0].kind == WORD and part[0].upper in ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"):
                self._walk(part, 0, None)
            else:
                self._walk(part, 1, unquote(part[0].text))

    def _walk(self, items: list[Token], at: int, column: str | None) -> None:
        name: str | None = None
        while at < len(items):
            word = items[at].upper
            opening = at + 1 < len(items) and items[at + 1].upper == "("
            if word == "CONSTRAINT" and at + 1 < len(items) and is_name(items[at + 1]):
                name = unquote(items[at + 1].text)
                at += 2
                continue
            if word == "(":
                at = closing(items, at) + 1
                continue
            if word == "CHECK" and opening:
                end = closing(items, at + 1)
                if end < len(items):
                    text = self.sql[items[at + 1].end : items[end].start].strip()
                    _refuse_clock(items[at + 2 : end])
                    self.check.append({"name": name, "sql": text, "column": column})
                name, at = None, end + 1
                continue
            if word == "AS" and opening and column is not None:
                end = closing(items, at + 1)
                if end < len(items):
                    self.expressions[column.lower()] = self.sql[items[at + 1].end : items[end].start].strip()
                name, at = None, end + 1
                continue
            if word == "PRIMARY":
                self.primary_key = name or self.primary_key
                name = None
            elif word == "UNIQUE":
                columns = [column] if column is not None else []
                if opening:
                    columns = _names(items[at + 2 : closing(items, at + 1)])
                self.unique.append({"name": name, "columns": columns})
                name = None
            elif word == "FOREIGN":
                start = next((i for i in range(at, len(items)) if items[i].upper == "("), len(items))
                end = closing(items, start)
                columns = _names(items[start + 1 : end])
                if end + 1 < len(items) and items[end + 1].upper == "REFERENCES":
                    self.foreign_keys.append({"name": name, "columns": columns, **_references(items, end + 1)})
                    name, at = None, end + 2
                    continue
            elif word == "REFERENCES" and column is not None:
                self.foreign_keys.append({"name": name, "columns": [column], **_references(items, at)})
                name = None
            elif word == "AUTOINCREMENT":
                self.autoincrement = True
            elif word in ("NOT", "NULL", "DEFAULT", "COLLATE"):
                name = None
            at += 1

    def extra(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.primary_key is not None:
            found["primary_key"] = {"name": self.primary_key}
        for key in ("unique", "check", "foreign_keys"):
            if getattr(self, key):
                found[key] = getattr(self, key)
        return found


def _refuse_conflict_clauses(items: list[Token]) -> None:
    """UNIQUE ON CONFLICT REPLACE and the like would need to be kept and obeyed."""
    words = [t.upper for t in items]
    for i in range(len(words) - 2):
        if words[i] == "ON" and words[i + 1] == "CONFLICT" and words[i + 2] != "ABORT":
            raise NotSupportedError(
                f"ON CONFLICT {words[i + 2]} in a table definition: EntityDB constraints always abort the statement;"
                " use INSERT OR ... in the statement instead"
            )


# ---- tables and indexes ----


_STORED = 3  # PRAGMA table_xinfo: 2 a VIRTUAL column, 3 a STORED one


def _columns(
    db: apsw.Connection, name: str, strict: bool, expressions: Mapping[str, str]
) -> tuple[list[Column], list[int]]:
    """Columns, and the position of each in the primary key (0: not in it). expressions: by lower-case column name."""
    columns, key = [], []
    info: list[Any] = db.execute(f"PRAGMA main.table_xinfo({quote(name)})").fetchall()
    for position, column, declared, not_null, default_sql, in_key, hidden in info:
        collation = db.column_metadata("main", name, column)[1]
        constant, value = (False, None) if default_sql is None else _default(db, default_sql, declared)
        columns.append(
            Column(
                position,
                column,
                declared,
                affinity(declared, strict),
                _collation(collation, f"{name}.{column}"),
                bool(not_null),
                default_sql,
                constant,
                value,
                expression=expressions.get(column.lower()) if hidden else None,
                stored=hidden == _STORED,
            )
        )
        key.append(in_key)
    if len(columns) > MAX_COLUMNS:
        raise OperationalError(f"too many columns on {name}")
    return columns, key


def _index(db: apsw.Connection, row: tuple[Any, ...], sql: str, table: Table | None = None) -> Index:
    """An index of the scratch database: `row` is one of PRAGMA index_list. table: whose it is, of CREATE INDEX."""
    _, name, unique, origin, partial = row
    where = _where(sql) if partial else None
    parts: list[Part] = []
    made: list[Column] = []
    info: list[Any] = db.execute(f"PRAGMA main.index_xinfo({quote(name)})").fetchall()
    for seq, column, _, descending, collation, is_key in info:
        if not is_key:
            continue
        if column == -1 or (column < 0 and table is None):
            raise NotSupportedError(f"index {name} is on the row id: EntityDB indexes columns and expressions")
        if column < 0:
            assert table is not None
            hidden = _expression(db, table, made, _indexed(sql)[seq], f"index {name}")
            known = [*table.columns, *made]
            column = next((i for i, c in enumerate(known) if c == hidden), len(known))
            made += [hidden] if column == len(known) else []
        parts.append(Part(column, _collation(collation, f"index {name}"), bool(descending)))
    return Index(0, name, sql, bool(unique), origin == "pk", origin != "c", 0, tuple(parts), where, tuple(made))


# ---- expressions of indexes ----


def _indexed(sql: str) -> list[str]:
    """What a CREATE INDEX that SQLite has accepted is on, term by term, without ASC, DESC and outer COLLATE."""
    items = tokens(sql)
    opening = find(items, "ON") + 2
    found = []
    for term in _split(items[opening + 1 : closing(items, opening)]):
        if term[-1].upper in ("ASC", "DESC"):
            term = term[:-1]
        while len(term) > 2 and term[-2].upper == "COLLATE":
            term = term[:-2]
        found.append(sql[term[0].start : term[-1].end])
    return found


_TYPES = {"": "", "INT": "INTEGER", "NUM": "NUMERIC", "REAL": "REAL", "TEXT": "TEXT"}


def _expression(db: apsw.Connection, table: Table, made: list[Column], text: str, what: str) -> Column:
    """The hidden column of an expression: one that the table has, or a new one. Its affinity and collation are those
    that SQLite gives the expression, so that a comparison with either comes out the same."""
    for column in (*table.columns, *made):
        if column.hidden and column.expression == text:
            return column
    source = f"main.{quote(table.name)}"
    db.execute(f'CREATE TEMP TABLE "expression" AS SELECT ({text}\n) AS x FROM {source} LIMIT 0')
    declared: list[Any] = db.execute('PRAGMA temp.table_info("expression")').fetchall()
    db.execute('DROP TABLE temp."expression"')
    db.execute(f'CREATE INDEX main."expression" ON {quote(table.name)}(({text}\n))')
    info: list[Any] = db.execute('PRAGMA main.index_xinfo("expression")').fetchall()
    db.execute('DROP INDEX main."expression"')
    type_ = _TYPES[declared[0][2]]
    id_ = max([table.next_column, *(column.id + 1 for column in made)])
    name = f"entitydb expression {id_}"
    return Column(
        id_, name, type_, affinity(type_, False), _collation(info[0][4], what), False, None, expression=text,
        hidden=True,
    )


def _where(sql: str) -> str:
    """The condition of a CREATE INDEX that SQLite has accepted."""
    items = tokens(sql)
    behind = items[find(items, "WHERE", find(items, "ON")) + 1 :]
    _refuse_clock(behind, "an index")
    return sql[behind[0].start : behind[-1].end]


def without_schema(sql: str) -> str:
    """CREATE or ALTER without the schema's name before that of the object, which the scratch database does not know."""
    items = tokens(sql)
    dot = next((i for i, t in enumerate(items) if t.text == "."), 0)
    if not dot:
        return sql
    return sql[: items[dot - 1].start] + sql[items[dot + 1].start :]


def within(sql: str, schema: str) -> str:
    """A view's text without the name of its own schema, so that it holds whatever its file is attached as. A view sees
    its own schema only."""
    items = tokens(sql)
    at = [i for i, t in enumerate(items) if is_name(t) and unquote(t.text).lower() == schema.lower()]
    if not all(i + 1 < len(items) and items[i + 1].text == "." for i in at):
        return sql  # something else has the name, too
    for i in reversed(at):
        sql = sql[: items[i].start] + sql[items[i + 1].end :].lstrip()
    return sql


def table_text(sql: str) -> str:
    """A CREATE TABLE statement as SQLite keeps it: without the schema and IF NOT EXISTS."""
    with scratch() as db:
        db.execute(sql)
        return _kept(db, "table")


def _kept(db: apsw.Connection, kind: str) -> str:
    rows = db.execute(
        # SQLite's own begin with "sqlite_"; in LIKE, an underscore alone would be any letter.
        "SELECT sql FROM main.sqlite_master"
        " WHERE type = ? AND sql IS NOT NULL AND name NOT LIKE 'sqlite!_%' ESCAPE '!'",
        (kind,),
    ).fetchall()
    return str(rows[-1][0])


def under_type(value: Value, declared: str) -> Value:
    """A value as a column of the type stores it."""
    with scratch() as db:
        db.execute(f"CREATE TABLE x(y {declared})")
        db.execute("INSERT INTO x VALUES (?)", (value,))
        kept: Value = db.execute("SELECT y FROM x").fetchall()[0][0]
        return kept


def parse_table(sql: str, name: str) -> Table:
    """The table a CREATE TABLE statement makes, ids still 0.

    Raises apsw.Error for what SQLite refuses, NotSupportedError for what EntityDB does not do yet.
    """
    refuse_reserved(name)
    sql, tags = taken_from_table(sql)
    sql, unversioned = bare_table(sql)
    sql, kept = taken_retention(sql)
    items = tokens(sql)
    opening = next((i for i, t in enumerate(items) if t.upper == "("), len(items))
    end = closing(items, opening)
    with scratch() as db:
        db.execute(sql)
        text = _kept(db, "table")
        options = [t.upper for t in items[end + 1 :]]
        strict, without_rowid = "STRICT" in options, "WITHOUT" in options
        _refuse_conflict_clauses(items[opening:end])
        constraints = _Constraints(sql, items[opening + 1 : end])
        columns, key = _columns(db, name, strict, constraints.expressions)
        listed = db.execute(f"PRAGMA main.index_list({quote(name)})").fetchall()
        # Constraints in the order written: the pragma lists the newest first.
        indexes = [_index(db, row, "") for row in reversed(listed)]
    if len(indexes) > MAX_INDEXES:
        raise OperationalError(f"too many indexes on {name}: at most {MAX_INDEXES}")
    rowid_column = -1
    if sum(map(bool, key)) == 1 and not without_rowid:
        # Any integer key of one column takes the row id's place and numbers itself, not only one declared exactly
        # INTEGER: then BIGINT keys do as well. (INTEGER PRIMARY KEY DESC is an ordinary index in SQLite, and a POINT
        # has the affinity by its letters alone.)
        position = key.index(1)
        primary = next((i for i in indexes if i.primary_key), None)
        declared = columns[position].type.upper()
        alias = primary is None or (declared != "INTEGER" and not primary.parts[0].descending)
        if columns[position].affinity == INTEGER and alias and _INTEGER_WORD.search(declared):
            rowid_column = position
            indexes = [i for i in indexes if not i.primary_key]
    table = Table(
        0,
        name,
        text,
        without_rowid,
        strict,
        constraints.autoincrement,
        rowid_column,
        tuple(columns),
        tuple(indexes),
        constraints.extra(),
    )
    table = without_history(table, unversioned)
    if kept is not None:
        table = kept_for(table, kept)
    return tagged(table, tags) if tags else table


def index_text(sql: str, table: str) -> str:
    """A CREATE INDEX without the schema and IF NOT EXISTS, on `table`: what the scratch database can run."""
    items = tokens(sql)
    on = find(items, "ON")
    index_name = next((i for i in range(on - 1, -1, -1) if is_name(items[i])), -1)
    if index_name < 0 or on + 2 >= len(items):
        raise OperationalError("incomplete input")
    unique = "UNIQUE " if any(t.upper == "UNIQUE" for t in items[:index_name]) else ""
    written = items[on + 1].text
    target = written if unquote(written).lower() == table.lower() else quote(table)
    return f"CREATE {unique}INDEX main.{items[index_name].text} ON {target}{sql[items[on + 1].end :]}"


def parse_index(sql: str, table: Table) -> Index:
    """The index a CREATE INDEX statement makes on a table, tree id still 0.

    Raises apsw.Error for what SQLite refuses, NotSupportedError for what EntityDB does not do yet.
    """
    with scratch() as db:
        db.execute(_plain_create(table))
        try:
            db.execute(index_text(sql, table.name))
        except apsw.SQLError as error:
            if "no such function" in str(error):
                raise NotSupportedError(
                    f"{error}: an index may use SQLite's own functions only, since whoever opens the file must get the"
                    " same answer"
                ) from error
            raise
        made = db.execute(f"PRAGMA main.index_list({quote(table.name)})").fetchall()[0]
        index = _index(db, made, _kept(db, "index").replace("INDEX main.", "INDEX ", 1), table)
    refuse_reserved(index.name)
    if len(table.indexes) >= MAX_INDEXES:
        raise OperationalError(f"too many indexes on {table.name}: at most {MAX_INDEXES}")
    if len(table.columns) + len(index.made) > MAX_COLUMNS:
        raise OperationalError(f"too many columns and expressions of indexes on {table.name}: at most {MAX_COLUMNS}")
    return index


def _plain_create(table: Table) -> str:
    """A table of the same column names, types and collations, without constraints."""
    columns = ", ".join(f"{quote(c.name)} {c.type} COLLATE {COLLATIONS[c.collation]}" for c in table.visible)
    return f"CREATE TABLE main.{quote(table.name)}({columns})"


__all__ = [
    "MAX_COLUMNS",
    "MAX_INDEXES",
    "affinity",
    "index_text",
    "parse_index",
    "parse_table",
    "table_text",
    "under_type",
    "within",
    "without_schema",
]
