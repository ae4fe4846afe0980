"""changes(): what commits did to rows and tags, in their order; a feed that goes on where one left off."""

from __future__ import annotations

import asyncio
import datetime as dt
import marshal
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from itertools import dropwhile, islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from sqlalchemy import Table, exc, inspect
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Mapper

from .backend import ChangesBackend
from .moments import Moment, from_ns, name_of, ns_of, to_ns
from .past import PastSession
from .sources import Source, is_async, unscoped, with_changes

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

TableLike: TypeAlias = "type[Any] | Mapper[Any] | Table | str"

Start: TypeAlias = "tuple[int, int] | Moment"  # of a feed: a token's numbers, or a moment

_TOKEN = re.compile(r"(\d{1,18}):(\d{1,18})", re.ASCII)
_BATCH = 1000  # changes that follow_changes() reads at once
_LEAST_WAIT, _LONGEST_WAIT = 0.001, 0.05  # seconds between looks for a new commit, which read memory and no file


class Change(NamedTuple):
    """What one transaction did to one row, or to one tag of a row. A transaction's changes are net: a row inserted and
    deleted by one is not among them."""

    transaction_id: int
    committed_at: int  # nanoseconds since 1970 UTC
    table: str  # as it is called now, or was called last
    entity: int  # the row id
    operation: str  # "insert", "update", "delete"; of a tag "tag", "untag"
    tag: str | None
    old_row: bytes | None  # see `old`
    new_row: bytes | None
    position: int  # among the changes of its transaction, from 1

    @property
    def committed(self) -> dt.datetime:
        """The same as `committed_at`, as an aware datetime in UTC."""
        return from_ns(self.committed_at)

    @property
    def old(self) -> dict[str, Any] | None:
        """The row before, by names of columns, with values as SQLite has them; None of an insert and of a tag."""
        return _row(self.old_row)

    @property
    def new(self) -> dict[str, Any] | None:
        """The row from then on; None of a delete and of a tag."""
        return _row(self.new_row)

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """The columns whose values differ: (before, after). Of an insert and a delete all, with None on one side."""
        return differing(self.old, self.new)

    @property
    def token(self) -> str:
        """Given to `changes(since=)`, it goes on behind this change. It stays good as long as the history is kept."""
        return f"{self.transaction_id}:{self.position}"


def _row(marshalled: bytes | None) -> dict[str, Any] | None:
    if marshalled is None:
        return None
    names, values = marshal.loads(marshalled)
    return dict(zip(names, values, strict=True))


def differing(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, tuple[Any, Any]]:
    """What differs between two rows: name -> (before, after)."""
    old, new = old or {}, new or {}
    names = [*new, *(name for name in old if name not in new)]
    pairs = {name: (old.get(name), new.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if name not in old or name not in new or _differ(*pair)}


def _differ(a: Any, b: Any) -> bool:
    return type(a) is not type(b) or a != b


def table_name(table: TableLike) -> str:
    """The name of the one table that is meant.

    Raises:
        ArgumentError: it is no table, or a class that is mapped to several.
    """
    if isinstance(table, str):
        return table
    if isinstance(table, Table):
        return table.name
    mapper = inspect(table, raiseerr=False)
    if not isinstance(mapper, Mapper):
        raise exc.ArgumentError(f"{table!r} is not a table, a mapped class or the name of a table")
    if len(mapper.tables) != 1 or not isinstance(mapper.tables[0], Table):
        name = mapper.class_.__name__
        raise exc.ArgumentError(f"{name} is mapped to several tables: ask for the changes of one Table")
    return mapper.tables[0].name


def start_of(since: Moment | None) -> Start:
    """What `since` says.

    Raises:
        ArgumentError: it is neither a token nor a moment.
    """
    if since is None:
        return 1, 0
    if isinstance(since, str) and (match := _TOKEN.fullmatch(since)):
        return int(match[1]), int(match[2])
    return since if name_of(since) is not None else to_ns(since)


def position_of(start: Start, backend: ChangesBackend, connection: Connection) -> tuple[int, int]:
    """The commit that a feed goes on behind, and how many changes of the next one it has had."""
    if isinstance(start, tuple):
        return max(start[0] - 1, 0), start[1]
    return backend.commit_at(connection, ns_of(start, connection, backend)), 0


def changes_between(
    connection: Connection, backend: ChangesBackend, after: int, upto: int | None, table: str | None, entity: int | None
) -> Iterator[Change]:
    """The changes of the commits after < n <= upto, one table's, or one row's."""
    transaction, position = 0, 0
    make = tuple.__new__  # Change._make() without the check of its length
    for row in backend.changes(connection, after, upto, table, entity):
        if row[0] == transaction:
            position += 1
        else:
            transaction, position = row[0], 1
        yield make(Change, row + (position,))  # noqa: RUF005 - one tuple instead of a list and a tuple


def changes(
    source: Source, since: Moment | None = None, *, limit: int | None = None, table: TableLike | None = None
) -> Iterator[Change]:
    """What transactions did, in the order in which they were committed.

    Args:
        source: an Engine, a Connection or a Session. What it has written and not committed is not there. Of a Session
            that at() gives, the feed ends with its moment.
        since: the `token` of a change, or a moment: what came after it. None: from the beginning.
        limit: at most so many changes.
        table: of this table alone: a mapped class of one table, a Table or a name. A token belongs to the feed of the
            table it was got from.

    Returns:
        An iterator, which reads as it goes. It ends with the newest commit there was when it began.

    Raises:
        ArgumentError: `since` is neither a token nor a moment; `limit` is negative; `table` is no single table.
        HorizonError (as OperationalError): the moment lies before the kept history.

    Example:
        for change in changes(session, since=last_token):
            print(change.table, change.operation, change.changed)
    """
    name = None if table is None else table_name(table)
    if limit is not None and limit < 0:
        raise exc.ArgumentError(f"limit {limit} is negative")
    return _feed(source, start_of(since), limit, name)


def _feed(source: Source, start: Start, limit: int | None, table: str | None) -> Iterator[Change]:
    if limit == 0:
        return
    past = unscoped(source)
    with with_changes(source) as (connection, backend):
        after, had = position_of(start, backend, connection)
        upto = backend.commit_at(connection, past.moment_ns) if isinstance(past, PastSession) else None
        found = changes_between(connection, backend, after, upto, table, None)
        if had:
            found = dropwhile(lambda change: change.transaction_id == after + 1 and change.position <= had, found)
        yield from islice(found, limit)


def follow_changes(
    source: AsyncEngine, since: Moment | None = None, *, table: TableLike | None = None
) -> AsyncIterator[Change]:
    """The same for asyncio, without an end: behind the newest change it waits for the next commit, of whatever process.

    Waiting looks at a number in shared memory, every millisecond at first and every 50 at last; no file is read.

    Args:
        source: an AsyncEngine. (An AsyncSession or AsyncConnection would stay in one transaction, which sees no news.)
        since, table: see `changes`.

    Raises:
        ArgumentError: at once, as `changes`; the source is no AsyncEngine.

    Example:
        async for change in follow_changes(engine, since=token):
            await publish(change)
    """
    if not is_async(source) or not hasattr(source, "sync_engine") or hasattr(source, "sync_connection"):
        raise exc.ArgumentError(f"{source!r} is not an AsyncEngine: in its transaction no other commit is ever seen")
    return _following(source, start_of(since), None if table is None else table_name(table))


async def _following(source: AsyncEngine, start: Start, table: str | None) -> AsyncIterator[Change]:
    wait = _LEAST_WAIT
    while True:
        async with source.connect() as connection:
            batch, start, newest, look = await connection.run_sync(partial(_read_batch, start=start, table=table))
        for change in batch:
            yield change
        if len(batch) == _BATCH:
            continue
        wait = _LEAST_WAIT
        while look() == newest:
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)


def _read_batch(
    connection: Connection, start: Start, table: str | None
) -> tuple[list[Change], Start, int, Callable[[], int]]:
    """Changes; where to go on; the newest commit from before they were read, and how to look whether it still is."""
    with with_changes(connection) as (_, backend):
        look = backend.newest_commit(connection)
        newest = look()
        after, had = position_of(start, backend, connection)
        batch = list(_feed(connection, (after + 1, had), _BATCH, table))
        last = batch[-1] if batch else None
        return batch, (after + 1, had) if last is None else (last.transaction_id, last.position), newest, look


__all__ = ["Change", "TableLike", "changes", "changes_between", "differing", "follow_changes", "table_name"]
