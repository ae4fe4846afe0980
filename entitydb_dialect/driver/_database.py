"""Open databases: a thin owner of the engine's handle.

A Database may be shared by connections of any threads. A file is opened once per connection (the engine shares one map
per file and process); a memory database lives as long as its Database or one of its connections does, so that an Engine
can own it. After a fork the child must not touch it: every entry says so, and closing there only forgets it.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import apsw

from .. import _exceptions as ex
from .. import _native, _zstandard
from .._native import ffi, lib
from ._errors import check, int64, translate

_zstandard.tell_engine()

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
    packing: bool | None = None  # pack history in the background; None: ENTITYDB_PACKING, else yes
    pruning: bool | None = None  # and let go what the tables no longer ask for; None: ENTITYDB_PRUNING, else yes


def _wanted(option: bool | None, variable: str) -> bool:
    """An option, or what the environment says of it; without either it is wanted."""
    if option is not None:
        return option
    said = os.environ.get(variable, "on").lower()
    if said not in ("on", "off"):
        raise ex.ProgrammingError(f"{variable} is {said!r}; it may be 'on' or 'off'")
    return said == "on"


_POOL_SIZE = "ENTITYDB_BUFFER_POOL_SIZE"
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}


def _bound_pool() -> None:
    """Bounds the unpacked history that this process keeps, where the environment says to how many bytes."""
    said = os.environ.get(_POOL_SIZE)
    if said is None:
        return
    read = re.fullmatch(r"(\d+)\s*(?:([kmg])(?:i?b)?|b)?", said.strip().lower(), re.ASCII)
    size = int(read[1]) * _UNITS[read[2] or ""] if read else 0
    if not 2**20 <= size < 2**63:
        raise ex.ProgrammingError(f"{_POOL_SIZE} is {said!r}; it may be bytes, at least 1M, as 67108864, 64M or 1G")
    lib.edb_pool_limit(size)


@dataclass(frozen=True)
class Breach:
    """Something `check` found: an invariant that does not hold."""

    invariant: str  # "I3" of ARCHITECTURE.md
    page: int
    sentence: str


@dataclass(frozen=True)
class Compacted:
    """What `compact` did, in bytes."""

    bytes_before: int  # of the file
    bytes_after: int
    bytes_needed: int  # of what is in use, current and history
    bytes_held: int = 0  # of free pages that a reader may still need; all other free pages are zeros


@dataclass(frozen=True)
class Packed:
    """What `pack` did."""

    windows: int  # commits that packed something, those that packed it again with more beside it included
    pages: int  # pages of history in them


@dataclass(frozen=True)
class Break:
    """Something `verify` found: a commit that is not what it was."""

    commit: int | None  # its number; of several commits, the first; None: it cannot be said which
    time_ns: int | None  # nanoseconds; None as above
    table: str | None  # the table or index, where it is known
    sentence: str


@dataclass(frozen=True)
class Proof:
    """What `verify` found of a file."""

    first: int  # the first commit that has a hash; 0: none has
    last: int  # the newest commit
    proved_after: int  # what the commits after it wrote was compared
    reduced: int  # of these, commits of which a part was erased on purpose
    seal: bytes  # the hash of the newest commit, computed anew
    breaks: tuple[Break, ...]  # ascending by commit, those without one first


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
        native.unpacked = not _wanted(options.packing, "ENTITYDB_PACKING")
        native.unpruned = not _wanted(options.pruning, "ENTITYDB_PRUNING")
        _bound_pool()
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

    def commit_time(self, number: int) -> int:
        """The time of a commit, in nanoseconds. Raises HorizonError: there is no such commit."""
        out = ffi.new("int64_t *")
        check(lib.edb_commit_time(self.handle, number, out))
        return int(out[0])

    def newest_commit(self) -> int:
        """The number of the newest commit, whoever made it, that a statement which begins now sees."""
        return int(lib.edb_newest(self.handle))

    def stats(self) -> dict[str, int]:
        """The engine's counters."""
        out = ffi.new("edb_stats *")
        check(lib.edb_get_stats(self.handle, out))
        return {name: int(getattr(out, name)) for name, _ in ffi.typeof("edb_stats").fields}

    def prune(
        self, horizon: int, *, dry_run: bool = False, step_pages: int = 0,
        progress: Callable[[dict[str, int]], bool] | None = None,
    ) -> dict[str, int]:
        """Lets go the history that answers for moments before a commit alone (engine/edb.h, `edb_prune`).

        Args:
            horizon: number of the oldest commit whose state is kept.
            dry_run: only say what would go.
            step_pages: pages freed by a commit, about; 0 for the default.
            progress: called behind each step with what has gone; True ends the pruning, and the next call goes on.

        Returns:
            horizon (as far as transactions and readers have let it come), pages, bytes, entries, left, steps.

        Raises:
            HorizonError: there is no such commit.
            InterruptedError (as OperationalError): `progress` ended it.
        """
        def told(_: Any, so_far: Any) -> int:
            return progress is not None and bool(progress(figures(so_far)))

        def figures(result: Any) -> dict[str, int]:
            return {name: int(getattr(result, name)) for name, _ in ffi.typeof("edb_prune_result").fields}

        out = ffi.new("edb_prune_result *")
        callback = ffi.callback("edb_prune_fn", told, error=1)
        check(lib.edb_prune(self.handle, horizon, dry_run, step_pages, callback, ffi.NULL, out))
        return figures(out)

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

    def newest_seal(self) -> tuple[int, bytes]:
        """Number and seal of the newest commit, which is durable then; (0, zeros): no commit has one yet."""
        number, seal = ffi.new("uint64_t *"), ffi.new("uint8_t[32]")
        check(lib.edb_newest_seal(self.handle, number, seal))
        return int(number[0]), bytes(seal)

    def verify(
        self, since: int = 0, expected: tuple[int, bytes] | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> Proof:
        """Proves that what commits wrote is what they wrote then.

        Args:
            since: the number of a commit; what later ones wrote is compared.
            expected: number and seal of a commit, known from elsewhere.
            progress: called with how much is done, and of how much. What it raises ends the verification.
        """
        found: list[Break] = []
        raised: list[BaseException] = []

        def broken(_: Any, number: int, ns: int, table: Any, sentence: Any) -> None:
            name = ffi.string(table).decode(errors="replace") if table else None
            text = ffi.string(sentence).decode(errors="replace")
            found.append(Break(number or None, ns or None, name, text))

        def step(_: Any, done: int, of: int) -> int:
            try:
                if progress is not None:
                    progress(done, of)
            except BaseException as error:
                raised.append(error)
            return len(raised)

        options, out = ffi.new("edb_verify_options *"), ffi.new("edb_verify_result *")
        options.since = since
        if expected is not None:
            options.expected = expected[0]
            ffi.memmove(options.expected_seal, expected[1], 32)
        code = lib.edb_verify(
            self.handle, options, ffi.callback("edb_break_fn", broken), ffi.callback("edb_progress_fn", step), ffi.NULL,
            out,
        )
        if raised:
            raise raised[0]
        check(code)
        return Proof(
            int(out.first), int(out.last), int(out.proved_after), int(out.reduced), bytes(out.seal),
            tuple(sorted(found, key=lambda one: one.commit or 0)),
        )


    def compact(self, progress: Callable[[float], object] | None = None) -> Compacted:
        """Moves what is in use to the front of the file and gives the end back, in steps beside readers and writers.

        Args:
            progress: called after each step with the share that is done, 0 to 1; an exception ends it, and is raised
                when the file is sound again, which it is at once.

        Raises:
            OperationalError: another process is compacting the file, or it cannot be written.
        """
        out = ffi.new("edb_compact_result *")
        with _told(progress) as tell:
            check(lib.edb_compact(self.handle, ffi.callback("edb_compact_progress", tell), ffi.NULL, out))
        held = int(out.held) * self.stats()["page_size"]
        return Compacted(int(out.bytes_before), int(out.bytes_after), int(out.bytes_needed), held)

    def pack(self, progress: Callable[[float], object] | None = None) -> Packed:
        """Packs history that is not packed yet, in steps beside readers and writers.

        Args:
            progress: as of `compact`.

        Raises:
            OperationalError: zstd was not found, or the file cannot be written.
        """
        out = ffi.new("edb_pack_result *")
        with _told(progress) as tell:
            check(lib.edb_pack(self.handle, ffi.callback("edb_pack_progress", tell), ffi.NULL, out))
        return Packed(int(out.windows), int(out.pages))


@contextmanager
def _told(progress: Callable[[float], object] | None) -> Iterator[Callable[[Any, int, int], int]]:
    """Gives a function for the engine to tell how far it is. What `progress` raises ends the work, and is raised."""
    raised: list[BaseException] = []

    def tell(_: Any, done: int, total: int) -> int:
        try:
            if progress is not None:
                progress(done / total)
        except BaseException as error:
            raised.append(error)
        return len(raised)

    yield tell
    if raised:
        raise raised[0]


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
