"""Database: entities without SQL.

    with Database("app.edb") as db:
        db.execute("CREATE TABLE IF NOT EXISTS note(id INTEGER PRIMARY KEY, text TEXT)")
        ids = db.put_many("note", [{"text": "one"}, {"text": "two"}], tags=["status:new"])
        db.get_many("note", ids)
        db.by_tag("status:new", type="note")

Rows are put and read in C, many in one call, without the GIL. They are the rows of SQL and of the ORM: the same tables,
the same constraints, foreign keys and tags, the same history.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, NamedTuple, overload

from sqlalchemy import exc

from .. import driver
from .._exceptions import ProgrammingError
from .._moments import missing, name_of
from ..history import Moment
from ..history.moments import Nanoseconds, clock_ns, to_ns
from .shapes import Row, Tags, ids_of, tags_of, tuples_of


class Version(NamedTuple):
    """One version of a row.

    Attributes:
        valid_from: nanoseconds since 1970 UTC, when the commit that wrote it was.
        valid_to: when it was replaced or deleted, not included; None: it is current.
        row: its values by column.
    """

    valid_from: int
    valid_to: int | None
    row: dict[str, Any]


class Database:
    """One file, or memory, and one connection to it. Threads each open their own; they share the file.

    Args:
        path: of the file, which is made if it is missing; ":memory:" for one that goes with this object.
        options: those of driver.connect(): read_only, synchronous, page_size, busy_timeout, ...
    """

    def __init__(self, path: str | os.PathLike[str], **options: Any) -> None:
        self._connection = driver.connect(path, isolation_level=None, **options)

    @property
    def connection(self) -> driver.Connection:
        """The connection that all of it goes through, for SQL."""
        return self._connection

    def execute(self, sql: str, parameters: Any = ()) -> list[Any]:
        """Runs a statement of SQL. -> its rows."""
        cursor = self._connection.execute(sql, parameters)
        return [] if cursor.description is None else cursor.fetchall()

    def close(self) -> None:
        """Rolls back what is open. Closing twice is harmless."""
        self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self, isolation_level: str | None = None) -> Iterator[Database]:
        """Makes one transaction of what is done inside: committed at the end, rolled back by an exception.

        Without it each call is a transaction of its own.

        Raises:
            SerializationFailure: at the end, when another transaction changed the same data; nothing is left.
            ProgrammingError: one is open.
        """
        connection = self._connection
        if connection.in_transaction:
            raise ProgrammingError("a transaction is open already")
        connection.isolation_level = isolation_level or "REPEATABLE READ"
        try:
            connection.execute("BEGIN")
            yield self
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        finally:
            connection.isolation_level = None

    # ---- rows ----

    def put_many(
        self, type: str, rows: Iterable[Row], *, tags: Tags | None = None, columns: Sequence[str] | None = None
    ) -> list[int]:
        """Puts rows into a table, as one statement: all of them or none.

        A row whose primary key is there changes that row, in the columns given; any other is inserted.

        Args:
            type: the table's name.
            rows: mappings with the same keys; or sequences of values.
            tags: texts that every row gets; or a list of texts for each row.
            columns: of rows that are sequences; None: all columns of the table.

        Returns:
            The ids of the rows (SQL's rowid), in their order.

        Raises:
            IntegrityError, DataError, ProgrammingError, OperationalError: what is wrong, and with which row.
            SerializationFailure: outside a transaction, when another transaction changed the same data.
        """
        names, listed = tuples_of(rows, columns, self._columns(type) if columns is None else columns)
        if not listed:
            return []
        given, apart = (None, False) if tags is None else tags_of(tags, len(listed))
        return self._connection.put_rows(type, names, listed, given, apart=apart).ids.tolist()

    def _columns(self, type: str) -> list[str]:
        table = self._connection.catalog().get(type.lower())
        return [] if table is None else [c.name for c in table.visible if c.expression is None]

    @overload
    def get_many(
        self, type: str, ids: Iterable[int], *, as_of: Moment | None = ..., columns: Sequence[str] | None = ...,
        tuples: Literal[False] = ...,
    ) -> list[dict[str, Any] | None]: ...

    @overload
    def get_many(
        self, type: str, ids: Iterable[int], *, as_of: Moment | None = ..., columns: Sequence[str] | None = ...,
        tuples: Literal[True],
    ) -> list[tuple[Any, ...] | None]: ...

    def get_many(
        self,
        type: str,
        ids: Iterable[int],
        *,
        as_of: Moment | None = None,
        columns: Sequence[str] | None = None,
        tuples: bool = False,
    ) -> Any:
        """Reads rows by their ids, in any order.

        Args:
            ids: integers; a NumPy array of int64 or an array("q") is read where it is.
            as_of: the moment to read; None: now.
            columns: their names; None: all.
            tuples: rows are tuples in the order of the columns; else dictionaries.

        Returns:
            For each id its row, or None where there is none.
        """
        return self._connection.get_rows(type, ids_of(ids), columns, self._ns(as_of), dicts=not tuples)[1]

    def get(
        self, type: str, id: int, *, as_of: Moment | None = None, columns: Sequence[str] | None = None
    ) -> dict[str, Any] | None:
        """One row, or None; as get_many()."""
        return self.get_many(type, [id], as_of=as_of, columns=columns)[0]

    def rows(
        self, type: str, *, as_of: Moment | None = None, columns: Sequence[str] | None = None, batch: int = 1024
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """All rows of a table with their ids, ascending, read in batches. Without `as_of`, they are those of the
        moment when the iteration begins."""
        moment = self._ns(as_of)
        if moment is None and not self._connection.in_transaction:
            moment = self._connection.database.resolve(clock_ns())[2]
        after = None
        while True:
            found = self._connection.row_ids(type, after, batch, moment)
            for id_, row in zip(found, self.get_many(type, found, as_of=moment, columns=columns), strict=True):
                if row is not None:
                    yield id_, row
            if len(found) < batch:
                return
            after = found[-1]

    def delete_many(self, type: str, ids: Iterable[int]) -> int:
        """Deletes rows, with their tags. -> how many there were."""
        return self._connection.delete_rows(type, ids_of(ids))

    def history(self, type: str, id: int, *, as_of: Moment | None = None, limit: int | None = None) -> list[Version]:
        """The committed versions of a row up to a moment, the newest first.

        Args:
            limit: the most versions wanted; None: all.
        """
        times = self._connection.row_times(type, id, self._ns(as_of), 1 << 62 if limit is None else limit)
        found = []
        for begun, ended in times:
            row = self.get(type, id, as_of=Nanoseconds(begun))
            assert row is not None
            found.append(Version(begun, ended, row))
        return found

    # ---- tags ----

    @overload
    def by_tag(self, expression: str, *, type: str, as_of: Moment | None = ...) -> list[int]: ...

    @overload
    def by_tag(self, expression: str, *, type: None = ..., as_of: Moment | None = ...) -> dict[str, list[int]]: ...

    def by_tag(self, expression: str, *, type: str | None = None, as_of: Moment | None = None) -> Any:
        """The ids of the rows that a tag expression means, ascending: `status:live & !draft`, `rbac:perm:*`.

        Args:
            type: the table; None: all tables, and then the ids are given by table, those without any left out.
        """
        moment = self._ns(as_of)
        if type is not None:
            return self._connection.tagged_ids(type, expression, moment).tolist()
        found = {
            table.name: self._connection.tagged_ids(table.name, expression, moment).tolist()
            for table in self._connection.catalog(moment).values()
        }
        return {name: ids for name, ids in found.items() if ids}

    def by_tags(
        self, expressions: Iterable[str], *, type: str, as_of: Moment | None = None
    ) -> list[list[int]]:
        """The rows of many tag expressions in one call, which costs less than by_tag() for each.

        Returns:
            For each expression the ids of the rows that it means, ascending.
        """
        return self._connection.tagged_ids_many(type, expressions, self._ns(as_of))

    def tag_values(
        self, namespace: str, *, type: str | None = None, as_of: Moment | None = None
    ) -> dict[str, int]:
        """The values of a namespace, in order, each with the number of rows that have it."""
        cursor = self._connection.cursor()
        cursor.as_of = self._ns(as_of)
        sql = "SELECT value, count(*) FROM entitydb_tags WHERE namespace = ?"
        parameters = [namespace]
        if type is not None:
            sql += " AND type = ?"
            parameters.append(type)
        return dict(cursor.execute(f"{sql} GROUP BY value ORDER BY value", parameters).fetchall())

    def tags(self, type: str, id: int, *, as_of: Moment | None = None) -> set[str]:
        """The tags of a row."""
        cursor = self._connection.cursor()
        cursor.as_of = self._ns(as_of)
        cursor.execute("SELECT tag FROM entitydb_tags WHERE type = ? AND entity = ?", (type, id))
        return {tag for (tag,) in cursor.fetchall()}

    def add_tags(self, type: str, ids: Iterable[int], tags: Iterable[str]) -> int:
        """Gives tags to rows. -> how many they did not have."""
        given, pairs = list(tags), [int(id_) for id_ in ids]
        return self._write_tags(
            "INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)",
            [(type, id_, tag) for id_ in pairs for tag in given],
        )

    def remove_tags(self, type: str, ids: Iterable[int], tags: Iterable[str]) -> int:
        """Takes tags from rows. -> how many they had."""
        taken, pairs = list(tags), [int(id_) for id_ in ids]
        return self._write_tags(
            "DELETE FROM entitydb_tags WHERE type = ? AND entity = ? AND tag = ?",
            [(type, id_, tag) for id_ in pairs for tag in taken],
        )

    def _ns(self, moment: Moment | None) -> int | None:
        if moment is None:
            return None
        name = name_of(moment)
        if name is None:
            return to_ns(moment)
        found = self._connection.named_moment(*name)
        if found is None:
            raise exc.NoResultFound(missing(name))
        return found

    def _write_tags(self, sql: str, parameters: list[tuple[str, int, str]]) -> int:
        if not parameters:
            return 0
        if self._connection.in_transaction:
            return self._connection.executemany(sql, parameters).rowcount
        with self.transaction():
            return self._connection.executemany(sql, parameters).rowcount


__all__ = ["Database", "Version"]
