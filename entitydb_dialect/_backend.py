"""EntityDB behind the time API: the protocol of `history/backend.py` over the driver's connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any
from weakref import ref

from sqlalchemy import exc
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session

from .driver import Connection as DriverConnection
from .driver._catalog import rowid_name
from .driver.ddl.undrop import NeverThere, NotDropped
from .driver.sql.tokens import quote
from .history import Commits, committer
from .history.backend import ChangesBackend

_CHANGES = """SELECT transaction_id, committed_at, type, entity, operation, tag, old_row, new_row
FROM entitydb_changes"""
_IN_ORDER = "ORDER BY transaction_id"
_AT_ONCE = 500  # changes
# A value of a column's type that no row has.
_OTHER = "{0} = CASE typeof({0}) WHEN 'text' THEN hex(randomblob(16)) WHEN 'blob' THEN randomblob(16) ELSE random() END"


def unwrapped(dbapi_connection: Any) -> Any:
    """The driver's connection inside a connection of the dialect for asyncio; any other connection as it is."""
    return getattr(dbapi_connection, "driver_connection", None) or dbapi_connection


def driver_connection(connection: Connection) -> DriverConnection:
    """The driver's connection under a Connection of SQLAlchemy's."""
    found = connection.connection.driver_connection
    assert isinstance(found, DriverConnection)
    return found


def _lent(checkout: Any) -> Any:
    """The driver's connection below a PoolProxiedConnection, whose own attribute for it asks pool and dialect."""
    return unwrapped(getattr(checkout, "dbapi_connection", checkout))


def _last_commit(driver: Any) -> int | None:
    number, ns = driver.last_commit
    return ns if number else None


def _shape(connection: Connection, table: str) -> tuple[list[str], list[str], str]:
    """The columns of a table that are written, all of them, and a name for its row id. Those without history stay as
    they are, whatever is done to bring the past back: nothing is known of their values."""
    found = connection.exec_driver_sql(f"PRAGMA table_xinfo({quote(table)})").all()
    columns = [(row[1], row[6]) for row in found if row[6] != 1]
    keys = [row for row in found if row[5]]
    row_id = rowid_name(name for name, _ in columns)
    if row_id is None and len(keys) == 1 and keys[0][2].upper() == "INTEGER":
        row_id = quote(keys[0][1])
    if not found or row_id is None:
        raise exc.InvalidRequestError(
            f"there is no table {table!r} any more" if not found else f"no name is left for the row ids of {table!r}"
        )
    bare = _without_history(connection, table)
    return [name for name, hidden in columns if not hidden and name not in bare], [name for name, _ in columns], row_id


def _without_history(connection: Connection, table: str) -> set[str]:
    found = driver_connection(connection).catalog().get(table.lower())
    return set() if found is None else {column.name for column in found.columns if column.unversioned}


class _OfSession:
    """What the Session that began a checkout's transaction says of it in its `info`; None: nothing, or no Session."""

    def __init__(self, checkout: Any) -> None:
        self._checkout = ref(checkout)

    def __call__(self) -> Any:
        checkout = self._checkout()
        given_back = checkout is None or not checkout.is_valid
        session = None if given_back else committer(checkout)
        return None if session is None else session.info.get("transaction_info")


class EntityBackend(ChangesBackend):
    """The backend of one dialect object."""

    def __init__(self) -> None:
        self._commits = Commits()

    # What the dialect tells of its connections, which it knows as PoolProxiedConnections.

    def begins(self, checkout: Any) -> None:
        """Before a transaction."""
        driver = _lent(checkout)
        self._commits.begins(checkout, _last_commit(driver))
        driver.transaction_info = _OfSession(checkout)

    def ended(self, checkout: Any) -> None:
        """Behind what may have been a commit."""
        self._commits.ended(checkout, _last_commit(_lent(checkout)))

    # The protocol.

    def resolve(self, connection: Connection, moment_ns: int) -> int:
        return driver_connection(connection).database.resolve(moment_ns)[2]

    def read_as_of(self, cursor: Any, moment_ns: int) -> None:
        cursor.as_of = moment_ns

    def read_schema_then(self, cursor: Any) -> None:
        cursor.schema_then = True

    def last_commit(self, bind: Engine | Connection, session: Session | None) -> int | None:
        if isinstance(bind, Connection):
            checkout = bind.connection
            self.ended(checkout)  # a COMMIT may have been said in SQL
            return self._commits.of_checkout(checkout)
        return self._commits.newest() if session is None else self._commits.of_session(session)

    @contextmanager
    def begin_at(self, connection: Connection, moment_ns: int) -> Iterator[None]:
        driver = driver_connection(connection)
        driver.set_commit_time(moment_ns)
        try:
            with connection.begin():
                yield
        finally:
            if not connection.invalidated:
                driver.set_commit_time(0)

    def find_label(self, connection: Connection, label: str, as_of_ns: int) -> int | None:
        driver = driver_connection(connection)
        found = driver.find_label(label, driver.database.resolve(as_of_ns)[2])
        return None if found is None else found[1]

    def named_moment(self, connection: Connection, kind: str, value: str) -> int | None:
        return driver_connection(connection).named_moment(kind, value)

    def labels_at(self, connection: Connection, moment_ns: int) -> list[str]:
        driver = driver_connection(connection)
        number, commit_ns, _, _ = driver.database.resolve(moment_ns)
        return driver.labels_of(number, commit_ns)

    def commit_at(self, connection: Connection, moment_ns: int) -> int:
        return driver_connection(connection).database.resolve(moment_ns)[0]

    def newest_commit(self, connection: Connection) -> Callable[[], int]:
        return driver_connection(connection).database.newest_commit

    def changes(
        self, connection: Connection, after: int, upto: int | None, table: str | None, entity: int | None
    ) -> Iterator[Any]:
        conditions = ["transaction_id > ?"]
        parameters: list[Any] = [after]
        for condition, value in (("transaction_id <= ?", upto), ("type = ?", table), ("entity = ?", entity)):
            if value is not None:
                conditions.append(condition)
                parameters.append(value)
        sql = f"{_CHANGES} WHERE {' AND '.join(conditions)} {_IN_ORDER}"
        # Rows as the driver has them: SQLAlchemy's own cost more than the change does.
        cursor: Any = connection.exec_driver_sql(sql, tuple(parameters)).cursor
        return chain.from_iterable(iter(partial(cursor.fetchmany, _AT_ONCE), []))

    def read_row(self, connection: Connection, table: str, entity: int) -> dict[str, Any] | None:
        _, columns, row_id = _shape(connection, table)
        bare = _without_history(connection, table)
        names = ", ".join("NULL" if column in bare else quote(column) for column in columns)
        sql = f"SELECT {names} FROM {quote(table)} WHERE {row_id} = ?"
        row = connection.exec_driver_sql(sql, (entity,)).first()
        return None if row is None else dict(zip(columns, row, strict=True))

    def write_row(self, connection: Connection, table: str, entity: int, row: dict[str, Any] | None) -> None:
        stored, _, row_id = _shape(connection, table)
        name = quote(table)
        if row is None:
            connection.exec_driver_sql(f"DELETE FROM {name} WHERE {row_id} = ?", (entity,))
            return
        columns = [column for column in stored if column in row]
        values = tuple(row[column] for column in columns)
        sets = ", ".join(f"{quote(column)} = ?" for column in columns)
        sql = f"UPDATE {name} SET {sets} WHERE {row_id} = ?"
        if not connection.exec_driver_sql(sql, (*values, entity)).rowcount:
            names = ", ".join([row_id, *map(quote, columns)])
            places = ", ".join("?" * (len(columns) + 1))
            connection.exec_driver_sql(f"INSERT INTO {name} ({names}) VALUES ({places})", (entity, *values))

    def set_aside(self, connection: Connection, table: str, entity: int, columns: Sequence[str]) -> None:
        stored, _, row_id = _shape(connection, table)
        sets = ", ".join(_OTHER.format(quote(column)) for column in stored if column in columns)
        connection.exec_driver_sql(f"UPDATE {quote(table)} SET {sets} WHERE {row_id} = ?", (entity,))

    def write_tag(self, connection: Connection, table: str, entity: int, tag: str, present: bool) -> None:
        where = "type = ? AND entity = ? AND tag = ?"
        found = connection.exec_driver_sql(f"SELECT 1 FROM entitydb_tags WHERE {where}", (table, entity, tag)).first()
        if (found is not None) == present:
            return
        if present:
            sql = "INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)"
        else:
            sql = f"DELETE FROM entitydb_tags WHERE {where}"
        connection.exec_driver_sql(sql, (table, entity, tag))

    def undrop(self, connection: Connection, names: Sequence[str], moment_ns: int | None) -> list[int]:
        driver = driver_connection(connection)
        try:
            found = [driver.undrop(name, moment_ns) for name in names]
        except NeverThere as error:
            raise exc.NoSuchTableError(str(error)) from error
        except NotDropped as error:
            raise exc.InvalidRequestError(str(error)) from error
        for sql in [*(one.makes for one in found), *(sql for one in found for sql in one.statements)]:
            connection.exec_driver_sql(sql)
        tags = [tag for one in found for tag in one.tags]
        if tags:
            connection.exec_driver_sql("INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)", tags)
        return [one.ns for one in found]

    def defer_foreign_keys(self, connection: Connection) -> None:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")


__all__ = ["EntityBackend", "driver_connection", "unwrapped"]
