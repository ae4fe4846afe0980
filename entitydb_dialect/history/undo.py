"""undo(): the inverse of one transaction, as changes of the running one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import exc
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session, scoped_session

from .._moments import name_of
from .backend import ChangesBackend
from .changes import Change, changes_between
from .sources import bound, session_of, telling
from .transactions import Transaction


class UndoConflict(exc.InvalidRequestError):
    """A transaction cannot be undone, because later ones have changed what it did."""

    def __init__(self, transaction: int, writers: list[Change]) -> None:
        self.transaction = transaction
        self.writers = writers  # the later changes of its rows; empty: the running transaction made them
        later = ", ".join(
            f"transaction {change.transaction_id} ({change.operation} of {change.table} {change.entity})"
            for change in writers[:5]
        )
        more = f" and {len(writers) - 5} more" if len(writers) > 5 else ""
        super().__init__(
            f"transaction {transaction} cannot be undone: what it did was changed by "
            f"{later + more if writers else 'the running transaction, which has not been committed'}; "
            "undo these first, the latest before the others, or write the values yourself"
        )


def undo(session: Session | scoped_session[Any], transaction: int | str | Transaction) -> list[Change]:
    """Makes the changes that take back what one transaction did, in the Session's running transaction.

    A row that it inserted is deleted, one that it deleted comes back under its row id, and of one that it updated the
    columns that it changed get their old values; tags likewise. Objects in the Session are expired. All or nothing, in
    a savepoint.

    Args:
        session: a Session. It is flushed first.
        transaction: its number, as in `Change.transaction_id`; or a `Transaction`, as in `HistoryEntry.transaction`; or
            `transaction(number)`.

    Returns:
        The changes that were taken back, in their order.

    Raises:
        ArgumentError: it is none of these.
        NoResultFound: there is no such transaction, or it changed no rows and no tags.
        UndoConflict: later transactions have changed what it did; `writers` are their changes. Other columns of a row
            do not count.
        IntegrityError: a constraint of today does not allow it, such as a foreign key to a row that has gone since.
    """
    found = session_of(session, "undo")
    number = _number(transaction)
    backend = telling(bound(found)[1], found)
    with found.begin_nested():
        found.flush()
        connection = found.connection()
        done = _changes_of(connection, backend, number)
        _refuse_conflicts(connection, backend, number, done)
        backend.defer_foreign_keys(connection)
        _write_rows(connection, backend, [change for change in done if change.tag is None])
        for change in done:
            if change.tag is not None:
                backend.write_tag(connection, change.table, change.entity, change.tag, change.operation == "untag")
    found.expire_all()
    return done


def _number(transaction: Any) -> int:
    if isinstance(transaction, Transaction):
        return transaction.id
    name = name_of(transaction)
    if name is not None and name.kind == "transaction" and name.value.strip().isdecimal():
        return int(name.value)
    if isinstance(transaction, bool) or not isinstance(transaction, int):
        raise exc.ArgumentError(f"{transaction!r} is not the number of a transaction, nor a Transaction")
    return transaction


def _changes_of(connection: Connection, backend: ChangesBackend, transaction: int) -> list[Change]:
    newest = backend.newest_commit(connection)()
    if not 1 <= transaction <= newest:
        raise exc.NoResultFound(f"there is no transaction {transaction!r}: the newest is {newest}")
    done = list(changes_between(connection, backend, transaction - 1, transaction, None, None))
    if not done:
        raise exc.NoResultFound(f"transaction {transaction} changed no rows and no tags, so there is nothing to undo")
    return done


def _refuse_conflicts(connection: Connection, backend: ChangesBackend, transaction: int, done: list[Change]) -> None:
    hurt = [change for change in done if change.tag is None and not _stands(connection, backend, change)]
    if hurt:
        writers = [
            later for change in hurt
            for later in changes_between(connection, backend, transaction, None, change.table, change.entity)
            if later.tag is None
        ]  # fmt: skip
        raise UndoConflict(transaction, writers)


def _stands(connection: Connection, backend: ChangesBackend, change: Change) -> bool:
    """Is what a change did still there?"""
    row = backend.read_row(connection, change.table, change.entity)
    if change.operation == "update":
        return row is not None and all(row.get(name) == new for name, (_, new) in change.changed.items())
    return row == change.new


def _write_rows(connection: Connection, backend: ChangesBackend, rows: list[Change]) -> None:
    """Rows go before others get, or come with, their unique values."""
    for change in rows:
        if change.operation == "insert":
            backend.write_row(connection, change.table, change.entity, None)
    _write_updated(connection, backend, [change for change in rows if change.operation == "update"])
    for change in rows:
        if change.operation == "delete":
            backend.write_row(connection, change.table, change.entity, change.old)


def _write_updated(connection: Connection, backend: ChangesBackend, waiting: list[Change]) -> None:
    """A row waits until another has given up the unique value that it gets. Where all wait for one another, they give
    up their own for some that nobody has."""
    is_aside = False
    while waiting:
        refused: list[Change] = []
        for change in waiting:
            try:
                backend.write_row(connection, change.table, change.entity, _image(connection, backend, change))
            except exc.IntegrityError as error:
                refused.append(change)
                why = error
        if len(refused) == len(waiting):
            if is_aside:
                raise why
            is_aside = True
            for change in refused:
                backend.set_aside(connection, change.table, change.entity, list(change.changed))
        waiting = refused[::-1]  # of values that all moved on by one row the last is free first


def _image(connection: Connection, backend: ChangesBackend, change: Change) -> dict[str, Any]:
    """The row that takes an update back."""
    row = backend.read_row(connection, change.table, change.entity)
    return {**(row or {}), **{name: old for name, (old, _) in change.changed.items()}}


__all__ = ["UndoConflict", "undo"]
