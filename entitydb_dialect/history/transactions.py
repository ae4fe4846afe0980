"""Transaction: a commit, mapped to the table entitydb_transactions.

The database makes the table. Here it stands in a MetaData of its own, so that nobody's create_all(), drop_all() or
autogenerate meets it. What is committed does not change, so a flush of a changed Transaction is refused.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NoReturn

from sqlalchemy import JSON, BigInteger, Column, MetaData, Table, Text, TypeDecorator, event
from sqlalchemy.orm import Mapped, deferred, registry

from .._exceptions import PastWriteError
from .moments import from_ns


class _Metadata(TypeDecorator[dict[str, Any]]):
    """A JSON object; where there is none it is read as an empty one."""

    impl = JSON
    cache_ok = True

    def coerce_compared_value(self, op: Any, value: Any) -> Any:
        return self.impl_instance.coerce_compared_value(op, value)  # as SQLAlchemy wants it of JSON

    def process_result_value(self, value: Any, dialect: Any) -> dict[str, Any]:
        return {} if value is None else dict(value)


TRANSACTIONS = Table(
    "entitydb_transactions",
    MetaData(),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("committed_at", BigInteger),
    Column("actor", Text),
    Column("reason", Text),
    Column("metadata", _Metadata),
    Column("label", Text),
    Column("rows_changed", BigInteger),
    Column("tables_changed", JSON),
)

_REGISTRY = registry(metadata=TRANSACTIONS.metadata)


class Transaction:
    """A commit: when, by whom and why. Read-only.

    Attributes:
        id: the commit's number; of two commits the later has the larger.
        committed_at: int nanoseconds since 1970 UTC, a moment that shows the commit.
        actor, reason: what `transaction_info()` said; None: nothing.
        metadata: the rest of it, a dict.
        label: the label that the commit was given last; None: it has none.
        rows_changed: how many rows it inserted, updated and deleted. Loaded when it is asked for, as `tables_changed`.
        tables_changed: the names of their tables.

    Example:
        session.scalars(select(Transaction).where(Transaction.actor == "ann").order_by(Transaction.id.desc()))
    """

    id: Mapped[int]
    committed_at: Mapped[int]
    actor: Mapped[str | None]
    reason: Mapped[str | None]
    metadata: Mapped[dict[str, Any]]
    label: Mapped[str | None]
    rows_changed: Mapped[int]
    tables_changed: Mapped[list[str]]

    @property
    def committed(self) -> dt.datetime:
        """The same as `committed_at`, as an aware datetime in UTC."""
        return from_ns(self.committed_at)

    def __repr__(self) -> str:
        return f"<Transaction {self.id} of {self.committed.isoformat()} by {self.actor!r}>"


def _refuse(_mapper: Any, _connection: Any, _target: Any) -> NoReturn:
    raise PastWriteError("Transaction objects are read-only: what is committed does not change")


_REGISTRY.map_imperatively(
    Transaction,
    TRANSACTIONS,
    properties={name: deferred(TRANSACTIONS.columns[name]) for name in ("rows_changed", "tables_changed")},
)
for _name in ("before_insert", "before_update", "before_delete"):
    event.listen(Transaction, _name, _refuse)
_REGISTRY.configure()

__all__ = ["TRANSACTIONS", "Transaction"]
