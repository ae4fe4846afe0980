"""history(), blame(), previous() and next_version(): the versions of single objects, read by one query."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, and_, exc, inspect, or_, select, tuple_
from sqlalchemy.orm import Mapper, Session, make_transient_to_detached, object_session, scoped_session, undefer
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import AliasedClass

from ..history import Moment, from_ns, ns_in
from ..history.changes import differing
from ..history.diff import mapped_target
from ..history.past_models import model_of
from ..history.sources import unscoped
from ..history.transactions import Transaction
from .entities import versions
from .guards import is_past
from .tables import AS_OF

T = TypeVar("T")

_AT_ONCE = 200  # versions that are in memory at the same time


class HistoryEntry(Generic[T]):
    """One version of an object, or its deletion. `changed` and `transaction` are made when they are asked for.

    Attributes:
        object: the object as it was; of a deletion as it was deleted. It is read-only, and what is loaded for it is of
            `valid_from`.
        key: its primary key.
        valid_from: when the version began, int nanoseconds since 1970 UTC, included.
        valid_to: when it ended, excluded; None: it is current. Of a deletion `valid_from`.
        operation: "insert", "update" or "delete".
        transaction_id: the number of the transaction that began it.
    """

    __slots__ = ("_before", "_names", "_said", "key", "object", "operation", "transaction_id", "valid_from", "valid_to")

    def __init__(
        self, found: T, key: tuple[Any, ...], version: tuple[int, int | None, str, int], said: tuple[Any, ...],
        before: Any, names: list[str],
    ) -> None:  # fmt: skip
        self.object = found
        self.key = key
        self.valid_from, self.valid_to, self.operation, self.transaction_id = version
        self._said, self._before, self._names = said, before, names

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """The attributes that are columns and differ from the version before: name -> (old, new). Of an insert all,
        with None before; of a delete all, with None behind."""
        old = None if self.operation == "insert" else _values(self._before, self._names)
        return differing(old, None if self.operation == "delete" else _values(self.object, self._names))

    @property
    def transaction(self) -> Transaction:
        """The transaction that began it: when, by whom, why. An object of the Session that the history was read by."""
        made: Transaction = inspect(Transaction).class_manager.new_instance()
        for name, value in zip(_SAID, (self.transaction_id, self.valid_from, *self._said), strict=True):
            set_committed_value(made, name, value)
        make_transient_to_detached(made)
        session = object_session(self.object)
        # Not session.merge(): the Session of a past moment refuses that, and this is no write.
        return made if session is None else Session.merge(session, made, load=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HistoryEntry) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[Any, ...]:
        return type(self.object), self.key, self.valid_from, self.operation

    def __repr__(self) -> str:
        name, when = type(self.object).__name__, from_ns(self.valid_from).isoformat()
        return f"<{self.operation} of {name} {self.key} at {when}>"


def _values(found: Any, names: list[str]) -> dict[str, Any] | None:
    return None if found is None else {name: getattr(found, name) for name in names if hasattr(found, name)}


# What an entry knows of its transaction.
_SAID = ("id", "committed_at", "actor", "reason", "metadata", "label")


def history(
    session: Session | scoped_session[Any], target: Any, *, since: Moment | None = None, until: Moment | None = None
) -> Iterator[HistoryEntry[Any]]:
    """The history of an object, oldest first; of several, one object after the other.

    One query, whose rows are read as the iterator goes. What has not been committed is not there.

    Args:
        session: a Session.
        target: an object, or (class, primary key). A mapped class: all its objects. A `select()` of one mapped class:
            the objects that it gives now.
        since, until: only what began in this time; both are included.

    Raises:
        ArgumentError: the target is none of these; `since` is later than `until`; a moment is none.

    Example:
        for entry in history(session, account):
            print(entry.transaction.committed, entry.operation, entry.changed, entry.transaction.actor)
    """
    found = unscoped(session)
    if not isinstance(found, Session):
        raise exc.ArgumentError(f"history() loads objects into a Session, not into {session!r}")
    low = None if since is None else int(ns_in(found, since, start=True))
    high = None if until is None else int(ns_in(found, until))
    if low is not None and high is not None and low > high:
        raise exc.ArgumentError(f"the interval ends before it begins: {since!r} is later than {until!r}")
    mapper, condition = _wanted(target)
    return _entries(found, mapper, condition, low, high)


def _wanted(target: Any) -> tuple[Mapper[Any], Any]:
    """The mapper, and what makes of a past entity the condition for the objects that are meant."""
    if isinstance(target, Select):
        described = target.column_descriptions
        mapper = inspect(described[0]["expr"], raiseerr=False) if len(described) == 1 else None
        if not isinstance(mapper, Mapper):
            raise exc.ArgumentError("history() of a select() needs one of one mapped class")
        keys = target.with_only_columns(*mapper.primary_key, maintain_column_froms=True)
        return mapper, lambda entity: tuple_(*_key_columns(mapper, entity)).in_(keys)
    if isinstance(target, AliasedClass):
        raise exc.ArgumentError(f"{target!r} is an alias: history() takes the mapped class")
    present = _present(target)
    mapper, key = mapped_target(present)
    if key is None:
        return mapper, None
    return mapper, lambda entity: and_(*(c == k for c, k in zip(_key_columns(mapper, entity), key, strict=True)))


def _present(target: Any) -> Any:
    """For a past object, its class and key; another target as it is."""
    if isinstance(target, (type, tuple)) or not is_past(target):
        return target
    mapper = inspect(model_of(type(target)))
    return mapper.class_, tuple(getattr(target, mapper.get_property_by_column(c).key) for c in mapper.primary_key)


def _key_columns(mapper: Mapper[Any], entity: Any) -> list[ColumnElement[Any]]:
    return [getattr(entity, mapper.get_property_by_column(column).key) for column in mapper.primary_key]


def _names(mapper: Mapper[Any]) -> list[str]:
    """The attributes that are columns of the class's tables."""
    return [prop.key for prop in mapper.column_attrs if getattr(prop.columns[0], "table", None) is not None]


def _entries(
    session: Session, mapper: Mapper[Any], condition: Any, low: int | None, high: int | None
) -> Iterator[HistoryEntry[Any]]:
    v = versions(mapper.class_)
    keys = _key_columns(mapper, v.entity)
    key_names = [mapper.get_property_by_column(column).key for column in mapper.primary_key]
    said = [getattr(Transaction, name) for name in _SAID[2:]]
    statement = (
        select(v.entity, v.valid_from, v.valid_to, v.operation, v.transaction_id, *said)
        .join(Transaction, Transaction.id == v.transaction_id)
        .order_by(*keys, v.valid_from)
        .options(*(undefer(getattr(v.entity, prop.key)) for prop in mapper.column_attrs if prop.deferred))
        .execution_options(yield_per=_AT_ONCE)
    )
    if condition is not None:
        statement = statement.where(condition(v.entity))
    if low is not None:  # and the version that was there before, to compare with
        statement = statement.where(or_(v.valid_from >= low, v.valid_to >= low, v.valid_to.is_(None)))
    if high is not None:
        statement = statement.where(v.valid_from <= high)
    names = _names(mapper)
    last_key, before = None, None
    for found, *rest in session.execute(statement):
        key = tuple([getattr(found, name) for name in key_names])
        if low is None or rest[0] >= low:
            version: Any = tuple(rest[:4])
            yield HistoryEntry(found, key, version, tuple(rest[4:]), before if key == last_key else None, names)
        last_key, before = key, found


# ---- who set what ----


@dataclass(frozen=True)
class Blame:
    """Where the value of an attribute comes from: when it was last set to it, and the transaction that did."""

    value: Any
    valid_from: int
    transaction: Transaction


def blame(session: Session | scoped_session[Any], target: Any) -> dict[str, Blame]:
    """For each attribute that is a column, since when it has the value it has, and who gave it and why.

    Args:
        session: a Session.
        target: an object, or (class, primary key). Of a past object, as of its moment.

    Raises:
        ArgumentError: it is no object, or it is not there.

    Example:
        blame(session, account)["balance"].transaction.actor
    """
    until = getattr(target, AS_OF) if not isinstance(target, (type, tuple)) and is_past(target) else None
    found: dict[str, Blame] = {}
    for entry in history(session, target, until=until):
        if entry.operation == "delete":
            found = {}
            continue
        for name, (_, value) in entry.changed.items():
            found[name] = Blame(value, entry.valid_from, entry.transaction)
    if not found:
        raise exc.ArgumentError(f"{target!r} is not there, so nobody has set it")
    return found


# ---- neighbours in time ----


def previous(obj: T) -> T | None:
    """The version of an object before the one it is of; of a present object before its current one. None: none was.

    Raises:
        ArgumentError: it is not an object in a Session.
    """
    return _neighbour(obj, forward=False)


def next_version(obj: T) -> T | None:
    """The version of an object after the one it is of. None: there is none; a present object is never followed by one.

    The last version is of the past class, too: it is the object as of the moment when that version began.

    Raises:
        ArgumentError: it is not an object in a Session.
    """
    return _neighbour(obj, forward=True)


def _neighbour(obj: T, *, forward: bool) -> T | None:
    state = inspect(obj, raiseerr=False)
    session = None if state is None or not hasattr(state, "session") else object_session(obj)
    if session is None:
        raise exc.ArgumentError(f"{obj!r} is not in a Session, which could load its other versions")
    past = is_past(obj)
    if forward and not past:
        return None
    mapper, condition = _wanted(obj)
    v = versions(mapper.class_)
    statement = select(v.entity).where(condition(v.entity), v.operation != "delete").limit(1)
    moment = getattr(obj, AS_OF, None)
    if forward:
        statement = statement.where(v.valid_from > moment).order_by(v.valid_from)
    elif past:
        statement = statement.where(v.valid_to <= moment).order_by(v.valid_from.desc())
    else:
        statement = statement.where(v.valid_to.is_not(None)).order_by(v.valid_from.desc())
    return session.scalars(statement).first()


__all__ = ["Blame", "HistoryEntry", "blame", "history", "next_version", "previous"]
