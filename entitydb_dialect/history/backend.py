"""What the time API needs of a database: the protocol Backend.

The functions of this package ask a Backend and nothing else, so any SQLAlchemy dialect can stand behind them. A dialect
takes part in two ways:

- It has a Backend in its attribute `history_backend`.
- Before it executes a statement it calls `apply_as_of()` of as_of.py, which carries out the execution option `as_of`;
  and `keep_apart()` of plain.py when it is made.

What holds for every backend:

1. A moment is an int: nanoseconds since 1970-01-01 00:00 UTC, within int64. `moments.py` makes it of what users write.
2. A moment is included. Reading as of m shows everything that was committed at or before m and nothing else, not even
   what the reading transaction itself has written. So a commit is seen as of its own moment, and not a nanosecond
   before.
3. Commit moments rise: each commit's is later than that of the commit before it.
4. A moment later than the clock means now.
5. A moment is settled when no later commit can get a moment at or before it: from then on it shows the same rows each
   time. Reading as of a moment settles it, unless it is later than the clock. What `resolve()` returns is settled.
6. Errors are the backend's own exceptions. A moment before the kept history is a HorizonError, a write as of a moment a
   PastWriteError. When a statement raises one, SQLAlchemy wraps it as any error of the driver; when a method of the
   Backend raises one, it comes as it is.
7. A Backend belongs to one dialect object, that is to one Engine and its copies with other options. Threads may call
   it at the same time, each with a connection of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session


class Backend(Protocol):
    """A database that keeps its history, as the functions of this package see it. Moments are int nanoseconds."""

    def resolve(self, connection: Connection, moment_ns: int) -> int:
        """The settled moment that shows the same as a moment shows now.

        Args:
            connection: any connection to the database.
            moment_ns: the moment asked about.

        Returns:
            The moment itself, or, when it is later than the clock, one that stands for now.

        Raises:
            HorizonError: the moment lies before the kept history.
        """
        ...

    def read_as_of(self, cursor: Any, moment_ns: int) -> None:
        """Makes the next statement of a PEP 249 cursor read as of a moment.

        Called by `apply_as_of()` right before the statement is executed. The statement may turn out to be
        a write, or the moment to lie before the kept history: executing it then raises PastWriteError or HorizonError.
        """
        ...

    def read_schema_then(self, cursor: Any) -> None:
        """Makes the next statement of a PEP 249 cursor read the past under the schema of then: each table that it reads
        as of a moment has the name and the columns of that moment. Called as `read_as_of()` is, before it."""
        ...

    def last_commit(self, bind: Engine | Connection, session: Session | None) -> int | None:
        """The moment of the last commit that a Session, a Connection or an Engine has made, and nobody else.

        Args:
            bind: a Connection: its last commit since it was taken from the pool. An Engine: the last commit on it.
            session: the Session that asks, if one does; `bind` is then what it is bound to. On an Engine its own last
                commit is meant, and on a Connection the Connection's.

        Returns:
            The moment; None when it has made no commit. A transaction that wrote nothing is no commit. `Commits` of
            commits.py keeps account.
        """
        ...

    def begin_at(self, connection: Connection, moment_ns: int) -> AbstractContextManager[None]:
        """A transaction that commits at a moment instead of the clock's time.

        Args:
            connection: one that is in no transaction.
            moment_ns: later than the last commit and than every settled moment, and not later than the clock.

        Returns:
            A context manager. Entering it begins the transaction; its end commits, an exception rolls back. After it
            the connection commits at the clock's time again.

        Raises:
            OperationalError: the moment is not allowed. It may be raised at the commit, which then keeps nothing.
        """
        ...

    def find_label(self, connection: Connection, label: str, as_of_ns: int) -> int | None:
        """The moment of the newest commit with a label.

        Args:
            as_of_ns: commits later than this moment do not count.

        Returns:
            The commit's own moment; None when no commit has the label.

        Raises:
            HorizonError: `as_of_ns` lies before the kept history.
        """
        ...

    def named_moment(self, connection: Connection, kind: str, value: str) -> int | None:
        """The moment that a name means, as `label:release 3` does.

        Args:
            kind: what stands before the colon: label, transaction or alembic; see entitydb_dialect/_moments.py.
            value: what stands behind it.

        Returns:
            The moment; None when there is none of that name.
        """
        ...

    def labels_at(self, connection: Connection, moment_ns: int) -> list[str]:
        """The labels of the newest commit at or before a moment, in the order they were given.

        Raises:
            HorizonError: there is no such commit.
        """
        ...


@runtime_checkable
class ChangesBackend(Backend, Protocol):
    """One that also tells what each transaction did, for changes(), diff(), undo() and undrop(). Its rows have numbers
    as ids."""

    def commit_at(self, connection: Connection, moment_ns: int) -> int:
        """The number of the newest transaction that was committed at or before a moment. Numbers rise by one, from 1.

        Raises:
            HorizonError: the moment lies before the kept history.
        """
        ...

    def newest_commit(self, connection: Connection) -> Callable[[], int]:
        """A function that tells the number of the newest transaction committed by anybody that a transaction sees which
        begins then. It is cheap, and stays good when the connection is closed."""
        ...

    def changes(
        self, connection: Connection, after: int, upto: int | None, table: str | None, entity: int | None
    ) -> Iterator[tuple[int, int, str, int, str, str | None, bytes | None, bytes | None]]:
        """What transactions did to rows and tags, in the order of the transactions.

        Args:
            after: what this transaction and those before it did is not wanted.
            upto: nor what those after this one did; None: all that the connection sees.
            table: of this table alone, by its name now or, if it was dropped, its last one.
            entity: of the row with this id alone.

        Returns:
            Of each change: the transaction, its moment, the table, the row id, "insert", "update", "delete", "tag" or
            "untag", the tag, and the row before and after, as `marshal.dumps((names, values))`.
        """
        ...

    def read_row(self, connection: Connection, table: str, entity: int) -> dict[str, Any] | None:
        """The row with an id as the transaction sees it, by columns; None: there is none. Columns without history are
        None, as changes have them."""
        ...

    def write_row(self, connection: Connection, table: str, entity: int, row: dict[str, Any] | None) -> None:
        """Makes a row what is given, but for columns without history; None: deletes it."""
        ...

    def set_aside(self, connection: Connection, table: str, entity: int, columns: Sequence[str]) -> None:
        """Gives columns of a row values of the same types that no other row has, so that others can have its own."""
        ...

    def write_tag(self, connection: Connection, table: str, entity: int, tag: str, present: bool) -> None:
        """Gives a row a tag or takes it away, where that is not so already."""
        ...

    def undrop(self, connection: Connection, names: Sequence[str], moment_ns: int | None) -> list[int]:
        """Brings back tables that were dropped, or columns (`table.column`), in the running transaction.

        Args:
            moment_ns: as of this moment; None: as it was last.

        Returns:
            For each the moment as of which it came back.

        Raises:
            NoSuchTableError: there was no such table or column, or not then.
            InvalidRequestError: it was not dropped, or its name is taken. The message says what to do.
        """
        ...

    def defer_foreign_keys(self, connection: Connection) -> None:
        """From now on foreign keys are judged at the end of the transaction."""
        ...


__all__ = ["Backend", "ChangesBackend"]
