"""What a statement of the driver comes to: the texts that reach SQLite, and what the engine is told beside them.

Nothing of the driver's inside is assumed but that it makes its connection by `apsw.Connection(...)`, binds it to the
engine by `SELECT entitydb_bind(...)`, has the engine's functions in globals called `lib`, and executes the sets of
executemany() by what `_each()` of execute/write.py gives.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest.mock import patch

import apsw

from entitydb_dialect import _native
from entitydb_dialect.driver.execute import write


class Told(NamedTuple):
    """A text that SQLite was given."""

    sql: str
    parameters: Any  # a list or a dict; a list of those when `many`
    many: bool


@dataclass
class Seen:
    """What one statement came to."""

    texts: list[Told] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)  # which columns an INSERT names, a 0 or 1 each
    row_in: bool = False  # the engine was told of a row value beside IN
    error: str = ""
    inside: int = 0  # calls of apsw that are running: what is said within belongs to a step of them


_seen: list[Seen] = []  # the statement being watched, if any

# What the driver says on its own account, at times of its own: transactions, catalogs, declarations.
_OWN = re.compile(
    "SELECT payload FROM entitydb_catalog|SELECT name FROM temp.sqlite_master WHERE|SELECT .* FROM pragma_function_list"
    "|PRAGMA database_list$|SELECT entitydb_((un)?bind|names|history)|(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)( |$)"
    "|INSERT INTO entitydb_ddl|CREATE VIRTUAL TABLE .* USING entitydb|DROP (TABLE|VIEW) IF EXISTS "
)


def _watching(connection: Any) -> Seen | None:
    watched = _seen and getattr(connection, "is_the_drivers", False) and not _seen[-1].inside
    return _seen[-1] if watched else None


class _Cursor(apsw.Cursor):
    def execute(self, statements: str, bindings: Any = None, **options: Any) -> Any:
        if statements.startswith("SELECT entitydb_bind("):
            self.connection.is_the_drivers = True
        seen = _watching(self.connection)
        if seen is None:
            return super().execute(statements, bindings, **options)
        seen.texts.append(Told(statements, [] if bindings is None else bindings, False))
        seen.inside += 1
        try:
            return super().execute(statements, bindings, **options)
        finally:
            seen.inside -= 1

    def executemany(self, statements: str, sequenceofbindings: Any, **options: Any) -> Any:
        seen = _watching(self.connection)
        if seen is None:
            return super().executemany(statements, sequenceofbindings, **options)
        seen.texts.append(Told(statements, list(sequenceofbindings), True))
        seen.inside += 1
        try:
            return super().executemany(statements, sequenceofbindings, **options)
        finally:
            seen.inside -= 1


class _Each:
    """What executes a text for many sets, overheard."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def each(self, sets: Any) -> Any:
        given = list(sets)
        if _seen and not _seen[-1].inside:
            _seen[-1].texts.append(Told(self._real.sql, given, True))
        return self._real.each(given)

    @property
    def taken(self) -> Any:
        return self._real.taken


class _Connection(apsw.Connection):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.is_the_drivers = False
        self.cursor_factory = _Cursor


class _Lib:
    """The engine's functions, two of them overheard."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def edb_stmt_supplied(self, stmt: Any, bits: Any, number: int) -> Any:
        if _seen:
            _seen[-1].masks.append("".join("01"[bits[i // 8] >> i % 8 & 1] for i in range(number)))
        return self._real.edb_stmt_supplied(stmt, bits, number)

    def edb_stmt_compares(self, stmt: Any, what: int) -> Any:
        if _seen and what & self._real.EDB_ROW_IN:
            _seen[-1].row_in = True
        return self._real.edb_stmt_compares(stmt, what)


@contextmanager
def watched() -> Iterator[None]:
    """Connections that the driver opens within can be asked by `watch`."""
    connection, lib = apsw.Connection, _native.lib
    heard = _Lib(lib)
    ours = [module for name, module in sys.modules.items() if name.startswith("entitydb_dialect")]
    modules = [module for module in ours if vars(module).get("lib") is lib]
    apsw.Connection = _Connection  # type: ignore[misc]
    for module in modules:
        module.lib = heard  # type: ignore[attr-defined]
    each = write._each
    try:
        with patch.object(write, "_each", lambda *arguments: _Each(each(*arguments))):
            yield
    finally:
        apsw.Connection = connection  # type: ignore[misc]
        for module in modules:
            module.lib = lib  # type: ignore[attr-defined]


def watch(run: Callable[[], Any], sql: str) -> Seen:
    """What running a statement, whose text is `sql`, came to."""
    seen = Seen()
    _seen.append(seen)
    try:
        run()
    except Exception as error:
        seen.error = _named(error)
    finally:
        _seen.pop()
    seen.texts = [_without_numbers(told) for told in seen.texts if told.sql == sql or not _OWN.match(told.sql)]
    return seen


def _named(error: Exception) -> str:
    """Its class; with its sentence when that is the driver's, for SQLite's differ between its versions."""
    cause = error.__cause__
    is_sqlites = isinstance(cause, apsw.Error) and str(cause) == str(error)
    return type(error).__name__ if is_sqlites else f"{type(error).__name__}: {error}"


def _without_numbers(told: Told) -> Told:
    """Attached databases are numbered by the process."""
    return told._replace(sql=re.sub(r"(entitydb_count\(\d+, '(?:[^']|'')*'), \d+\)", r"\1, ...)", told.sql))


__all__ = ["Seen", "Told", "watch", "watched"]
