"""Open databases: a thin owner of the engine's handle.

A Database may be shared by connections of any threads. A file is opened once per connection (the engine shares one map
per file and process); a memory database lives as long as its Database or one of its connections does, so that an Engine
can own it. After a fork the child must not touch it: every entry says so, and closing there only forgets it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import apsw

from .. import _exceptions as ex
from .. import _native
from .._native import ffi, lib
from ._errors import check, int64, translate

SYNCHRONOUS = {"normal": 1, "full": 2}

# What the walk of the engine cannot judge; asked about a database that it finds sound. Modules that can run SQL
# stand above this one: they put their checks here.
SQL_CHECKS: list[Callable[[Database], list[Breach]]] = []


@dataclass(frozen=True)
class Options:
    """How to open a database. None: what the file or the engine says."""

    page_size: int | None = None  # bytes, a power of two from 512 to 32,768; counts at creation only
    synchronous: str | None = None  # "full" or "normal"
    read_only: bool = False
    create: bool = True  # make the file if it is missing
    timeout: float = 5.0  # seconds to wait for the committer lock
    spill_bytes: int | None = None  # of a transaction's writes kept in memory


@dataclass(frozen=True)
class Breach:
    """Something `check` found: an invariant that does not hold."""

    invariant: str  # "I3" of ARCHITECTURE.md
    page: int
    sentence: str


class Database:
    """An open database.

    Args:
        path: the file, or None for a memory database.
        options: see Options.

    Raises:
        OperationalError: the file cannot be opened, made or locked.
        DatabaseError: it is not an EntityDB database, or one of another version.
        DamageError: it is damaged beyond opening.
        ProgrammingError: an option differs from the one in force.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, options: Options | None = None) -> None:
        options = options or Options()
        if options.synchronous is not None and options.synchronous not in SYNCHRONOUS:
            raise ex.ProgrammingError(f"synchronous is {options.synchronous!r}; it may be 'full' or 'normal'")
        self.path = None if path is None else os.fspath(path)
        self.options = options
        native = ffi.new("edb_options *")
        native.page_size = options.page_size or 0
        native.synchronous = -1 if options.synchronous is None else SYNCHRONOUS[options.synchronous]
        native.read_only = options.read_only
        native.create = options.create and not options.read_only
        native.busy_ms = max(0, round(options.timeout * 1000))
        native.spill_bytes = options.spill_bytes or 0
        name = ffi.NULL if self.path is None else ffi.new("char[]", os.fsencode(self.path))
        out = ffi.new("edb **")
        check(lib.edb_open(name, native, out))
        self._handle: Any = out[0]
        self._pid = os.getpid()

    @property
    def handle(self) -> Any:
        """The engine's handle. Raises ProgrammingError once closed."""
        if self._handle is None:
            raise ex.ProgrammingError("Cannot operate on a closed database.")
        return self._handle

    def close(self) -> None:
        """Gives the handle back; connections still open keep the database open. Closing twice is harmless."""
        handle, self._handle = self._handle, None
        if handle is not None and self._pid == os.getpid():
            lib.edb_close(handle)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    def resolve(self, moment_ns: int) -> tuple[int, int, int, bool]:
        """(commit number, its time, the moment to ask again with, settled) of a moment; times in nanoseconds.

        The answer includes everything committed at or before the moment, and never changes when settled.
        """
        number, commit_ns, resolved = ffi.new("uint64_t *"), ffi.new("int64_t *"), ffi.new("int64_t *")
        settled = ffi.new("_Bool *")
        check(lib.edb_resolve(self.handle, int64(moment_ns), number, commit_ns, resolved, settled))
        return number[0], commit_ns[0], resolved[0], bool(settled[0])

    def newest_commit(self) -> int:
        """The number of the newest commit, whoever made it, that a statement which begins now sees."""
        return int(lib.edb_newest(self.handle))

    def stats(self) -> dict[str, int]:
        """The engine's counters."""
        out = ffi.new("edb_stats *")
        check(lib.edb_get_stats(self.handle, out))
        return {name: int(getattr(out, name)) for name, _ in ffi.typeof("edb_stats").fields}

    def check(self) -> tuple[list[Breach], dict[str, int]]:
        """Walks the whole file. -> every breach, and how many pages of each sort and versions there are."""
        found: list[Breach] = []

        def report(_: Any, invariant: Any, page: int, sentence: Any) -> None:
            found.append(Breach(ffi.string(invariant).decode(), page, ffi.string(sentence).decode(errors="replace")))

        _load_functions()
        callback = ffi.callback("edb_report_fn", report)
        out = ffi.new("edb_check_result *")
        check(lib.edb_check(self.handle, callback, ffi.NULL, out))
        if not found:
            for check_by_sql in SQL_CHECKS:
                found += check_by_sql(self)
        return found, {name: int(getattr(out, name)) for name, _ in ffi.typeof("edb_check_result").fields}


@lru_cache(maxsize=1)
def _load_functions() -> None:
    """Shows the engine SQLite's functions, by which it computes generated columns; any connection does it too."""
    try:
        with closing(apsw.Connection(":memory:")) as raw:
            raw.enable_load_extension(True)
            raw.load_extension(_native.__file__, "sqlite3_entitydb_init")
    except apsw.Error as error:
        raise translate(error) from error


class MemoryDatabase:
    """A memory database made at first use and forgotten by `renew`; an Engine has one."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self._lock = threading.Lock()
        self._database: Database | None = None

    def get(self) -> Database:
        with self._lock:
            if self._database is None:
                self._database = Database(None, self.options)
            return self._database

    def renew(self) -> None:
        """The next `get` starts an empty database; connections of the old one keep theirs."""
        with self._lock:
            self._database = None


_named: WeakValueDictionary[str, MemoryDatabase] = WeakValueDictionary()
_named_lock = threading.Lock()


def named_memory(name: str, make: Callable[[], MemoryDatabase]) -> MemoryDatabase:
    """The memory database of a name, shared in this process as long as somebody holds it."""
    with _named_lock:
        found = _named.get(name)
        if found is None:
            found = _named[name] = make()
        return found


def is_held(name: str) -> bool:
    """Does somebody in this process hold the memory database of a name?"""
    with _named_lock:
        return name in _named
