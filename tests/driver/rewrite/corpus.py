"""The corpus: statements, the schemas they are about, and what they come to. A file of it is a schema and statements:

    # A line of comment.
    main: CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)
    attached x: CREATE TABLE t(id INTEGER PRIMARY KEY)      an attached database; its first line makes it
    sqlite y: CREATE TABLE t(a)                             an attached file of SQLite's own
    temp: CREATE TEMP TABLE u(a)
    function: scalar lower 1                                or aggregate, window; the number of its arguments
    collation: mine

    sql: INSERT INTO t(a) VALUES (?) RETURNING id           what the user says
    with: ["x"]                                             and with which parameters, in JSON; none when left out
    mask: 01                                                which columns an INSERT names
    gives: INSERT INTO t(a) VALUES (?)                      what SQLite is given, several of them in their order
    gives: SELECT id FROM main."t" AS "t" WHERE "t"."entitydb returned" = 1
    with: []                                                with which parameters, if not the user's

`gives =` is the user's text. `sql$ ...$` and `gives$ ...$` have a text that ends in a space, `sql= "..."` and
`gives= "..."` one as JSON that would not stand on a line.
More about a statement: `many` (executemany; `with` has a list of sets), `past` (as of a moment), `row in` (the engine
is told of a row value beside IN), `error: Class` and `error: Class: sentence` (the driver's own; SQLite's is left out).
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from entitydb_dialect import driver

from .boundary import Seen, watch

FOLDER = Path(__file__).parent / "corpus"
_STATEMENT = ("sql: ", "sql$ ", "sql= ")
_numbers = count(1)


@dataclass
class Statement:
    sql: str
    parameters: Any = field(default_factory=list)
    many: bool = False
    past: bool = False
    gives: list[str] = field(default_factory=list)  # lines: what it comes to


@dataclass
class Group:
    """A file."""

    head: list[str] = field(default_factory=list)  # lines: comments and the schema
    statements: list[Statement] = field(default_factory=list)

    def schema(self) -> Iterator[tuple[str, str]]:
        """Its lines: what stands before the colon and behind."""
        for line in self.head:
            if line and not line.startswith("#"):
                what, _, text = line.partition(": ")
                yield what, text


# ---- values and texts on lines ----


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"blob": value.hex()}
    if isinstance(value, dict):
        return {name: _as_json(one) for name, one in value.items()}
    return [_as_json(one) for one in value] if isinstance(value, (list, tuple)) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return bytes.fromhex(value["blob"]) if "blob" in value else {k: _from_json(v) for k, v in value.items()}
    return [_from_json(one) for one in value] if isinstance(value, list) else value


def _dumped(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


def _line(word: str, text: str) -> str:
    if not text.isprintable() or not text or text[0] == " ":
        return f"{word}= {_dumped(text)}"
    return f"{word}$ {text}$" if text[-1] == " " else f"{word}: {text}"


def _text(line: str) -> str:
    """What _line() was given."""
    word, _, text = line.partition(" ")
    return str(json.loads(text)) if word[-1] == "=" else text[:-1] if word[-1] == "$" else text


# ---- files ----


def read(path: Path) -> Group:
    group = Group()
    lines = path.read_text(encoding="utf-8").split("\n")
    while lines and not lines[0].startswith(_STATEMENT):
        group.head.append(lines.pop(0))
    for line in lines:
        if line.startswith(_STATEMENT):
            group.statements.append(Statement(_text(line)))
        elif line and not line.startswith("#"):
            _take(group.statements[-1], line)
    return group


def _take(statement: Statement, line: str) -> None:
    """One line behind the statement's text."""
    if line in ("many", "past"):
        setattr(statement, line, True)
    elif line.startswith("with: ") and not any(given.startswith("gives") for given in statement.gives):
        statement.parameters = _from_json(json.loads(line.removeprefix("with: ")))
    else:
        statement.gives.append(line)


def write(path: Path, group: Group) -> None:
    lines = list(group.head)
    for statement in group.statements:
        lines.append(_line("sql", statement.sql))
        lines += ["many"] * statement.many + ["past"] * statement.past
        if statement.parameters:
            lines.append(f"with: {_dumped(_as_json(statement.parameters))}")
        lines += [*statement.gives, ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def _lines(statement: Statement, seen: Seen) -> list[str]:
    """What was seen as the lines of a file."""
    lines = [f"mask: {mask}" for mask in seen.masks] + ["row in"] * seen.row_in
    for told in seen.texts:
        lines.append("gives =" if told.sql == statement.sql else _line("gives", told.sql))
        given, own = _as_json(told.parameters), _as_json(statement.parameters)
        one_of_many = statement.many and not told.many and given in own
        if given != own and not one_of_many:
            lines.append(f"with: {_dumped(given)}")
    return lines + [f"error: {seen.error}"] * bool(seen.error)


# ---- running ----


class _Nothing:
    """An aggregate."""

    def step(self, *values: Any) -> None:
        """Takes a row."""

    inverse = value = finalize = step


def _register(connection: driver.Connection, what: str, name: str, number: int) -> None:
    if what == "scalar":
        connection.create_function(name, number, lambda *values: None)
    elif what == "aggregate":
        connection.create_aggregate(name, number, _Nothing)
    else:
        connection.create_window_function(name, number, _Nothing)


def _attach(connection: driver.Connection, stack: ExitStack, what: str, title: str, statements: list[str]) -> None:
    if what == "sqlite":
        file = f"{stack.enter_context(tempfile.TemporaryDirectory())}/other.sqlite"
        with closing(sqlite3.connect(file)) as theirs:
            for sql in statements:
                theirs.execute(sql)
            theirs.commit()
    else:
        name = f"corpus {next(_numbers)}"
        shared = driver.named_memory(name, lambda: driver.MemoryDatabase(driver.Options()))
        stack.callback(lambda held: None, shared)  # a shared database lives as long as somebody holds it
        with closing(driver.connect(shared)) as ours:
            for sql in statements:
                ours.execute(sql)
            ours.commit()
        file = f"file:{name}?mode=memory"
    connection.execute(f'ATTACH ? AS "{title}"', (file,))


@contextmanager
def opened(group: Group) -> Iterator[driver.Connection]:
    """A connection to memory with the schema."""
    with ExitStack() as stack:
        connection = stack.enter_context(closing(driver.connect(":memory:")))
        attached: dict[tuple[str, str], list[str]] = {}
        for what, text in group.schema():
            kind, _, title = what.partition(" ")
            if kind == "main":
                connection.execute(text)
            elif kind in ("attached", "sqlite"):
                attached.setdefault((kind, title), []).append(text)
            elif kind == "function":
                form, name, number = text.split()
                _register(connection, form, name, int(number))
            elif kind == "collation":
                connection.create_collation(text, lambda a, b: (a > b) - (a < b))
        connection.commit()
        for (kind, title), statements in attached.items():
            _attach(connection, stack, kind, title, statements)
        for what, text in group.schema():
            if what == "temp":
                connection.execute(text)
        connection.commit()
        yield connection


def _run(connection: driver.Connection, statement: Statement) -> list[str]:
    """What a statement comes to in a transaction that is rolled back."""
    cursor = connection.cursor()
    if statement.past:
        cursor.as_of = connection.last_commit[1]
    run = cursor.executemany if statement.many else cursor.execute
    seen = watch(lambda: run(statement.sql, statement.parameters), statement.sql)
    cursor.close()
    connection.rollback()
    return _lines(statement, seen)


_STAYS = ("SELECT", "VALUES", "WITH", "EXPLAIN", "INSERT", "REPLACE", "UPDATE", "DELETE")


def played(group: Group) -> list[list[list[str]]]:
    """What each statement comes to: when it is new, and when it is known. Others than reads and writes get a connection
    of their own, which they may change."""
    found: dict[int, list[list[str]]] = {}
    kept = {i for i, statement in enumerate(group.statements) if statement.sql.lstrip()[:8].upper().startswith(_STAYS)}
    with opened(group) as connection:
        for i in sorted(kept):
            found[i] = [_run(connection, group.statements[i]) for _ in range(2)]
    for i in range(len(group.statements)):
        if i not in kept:
            with opened(group) as connection:
                found[i] = [_run(connection, group.statements[i])]
    return [found[i] for i in range(len(group.statements))]


__all__ = ["FOLDER", "Group", "Statement", "opened", "played", "read", "write"]
