"""The transaction of an entry of history(): its columns, which come with the entry's version, and the object that is
made of them when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Dialect, Text, inspect, type_coerce
from sqlalchemy.orm import InstrumentedAttribute, Session, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value

from ..history.transactions import TRANSACTIONS, Transaction

_NAMES = ("actor", "reason", "metadata", "label")


def said_columns() -> list[Any]:
    """What is selected of Transaction. The metadata are a text: most are never looked at."""
    columns: list[InstrumentedAttribute[Any]] = [getattr(Transaction, name) for name in _NAMES]
    return [type_coerce(one, Text) if one.key == "metadata" else one for one in columns]


def transaction_of(
    session: Session | None, dialect: Dialect, number: int, committed_at: int, said: Sequence[Any]
) -> Transaction:
    """The transaction as an object of the Session.

    Args:
        session: None: it belongs to none.
        dialect: of the connection that `said` was read by.
        said: the values of said_columns().
    """
    values = dict(zip(_NAMES, said, strict=True), id=number, committed_at=committed_at)
    read = TRANSACTIONS.c.metadata.type.result_processor(dialect, None)
    if read is not None:
        values["metadata"] = read(values["metadata"])
    made: Transaction = inspect(Transaction).class_manager.new_instance()
    for name, value in values.items():
        set_committed_value(made, name, value)
    make_transient_to_detached(made)
    # Not session.merge(): the Session of a past moment refuses that, and this is no write.
    return made if session is None else Session.merge(session, made, load=False)


__all__ = ["said_columns", "transaction_of"]
