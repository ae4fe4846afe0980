from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from typing_extensions import Self

_A = TypeVar("_A")
_R = TypeVar("_R")

def tagged_many(context: int, table: int, expressions: tuple[str, ...], /) -> list[list[int]] | int: ...
def uncollected(function: Callable[[_A], _R], argument: _A, /) -> _R: ...

class Session:
    running: Any
    current: Any
    known: dict[str, Any]
    orphans: Any
    total_changes: int
    names_settled: int
    lost: str | None
    supplied: dict[str, tuple[int, int, Any] | None]
    hidden_compares: int
    plain: bool
    tails: dict[tuple[str, str], tuple[int, int, tuple[Any, ...]]]
    index_words: tuple[tuple[bytes, ...], ...]
    templates: dict[str, tuple[tuple[tuple[int, Any], ...], dict[int, str], Callable[[int], str] | None, int]]
    constants: frozenset[str]
    closed: bool
    temporary_names_stale: bool
    outgrown: bool
    can_restart: bool
    read_committed: bool
    autocommit: bool
    def acquire(self) -> bool: ...
    def acquire_to_end(self) -> bool: ...
    def release(self) -> None: ...
    def attach(
        self, engine: int, sqlite: int, as_context: Callable[[int], Any], as_error: Callable[[Any], BaseException], /
    ) -> None: ...
    def finalize(self) -> None: ...
    def fetching(self) -> list[Any]: ...

class Known:
    @property
    def prepared(self) -> Any: ...
    @property
    def sql(self) -> str: ...
    @property
    def returns(self) -> bool: ...
    @property
    def taken(self) -> int: ...
    @property
    def variants(self) -> dict[int, Known] | None: ...
    def __init__(
        self,
        session: Session,
        prepared: Any,
        in_order: Callable[[Any], tuple[Any, ...]] | None,
        writes: bool,
        gives_id: bool,
        returns: bool,
        compares: int,
        supplied: int,
        columns: int,
        captured: int,
        total: int,
        parts: tuple[tuple[str, tuple[Any, ...], tuple[int, ...] | None], ...],
        /,
    ) -> None: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...
    def each(self, sets: Sequence[Any], /) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def close(self, force: bool = ..., /) -> None: ...

class Cursor:
    _session: Any
    _raw: Any
    _source: Any
    _stmt: Any
    _fetching: bool
    _rows: Any
    _error: Any
    _next_rows: int
    _closed: bool
    _executing: bool
    description: Any
    rowcount: int
    lastrowid: int | None
    as_of: int | None
    schema_then: bool
    def execute(self, sql: str, parameters: Any = ..., /) -> Self: ...
    def _run(self, sql: str, known: Known, parameters: Any, /) -> bool: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
