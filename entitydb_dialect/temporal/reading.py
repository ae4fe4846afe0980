"""history(), blame(), previous() and next_version(): the versions of single objects, read by one query."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter, itemgetter
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Dialect, Select, and_, exc, inspect, or_, select, tuple_
from sqlalchemy.orm import Bundle, Mapper, Session, object_session, scoped_session, undefer
from sqlalchemy.orm.util import AliasedClass

from ..history import Moment, from_ns, ns_in
from ..history.changes import differing
from ..history.diff import key_names, mapped_target
from ..history.moments import refuse_inverted
from ..history.past_models import model_of
from ..history.past_objects import moment_of_state
from ..history.sources import session_of
from ..history.transactions import Transaction
from .entities import Versions, versions
from .guards import is_past
from .said import said_columns, transaction_of
from .tag_events import TagEvent, identity_of, may_have_tags, tag_events
from .twins import past_class

T = TypeVar("T")

_AT_ONCE = 200  # versions that are in memory at the same time
_KEPT = "_entitydb_history"  # the attribute of a past class that is its _Query


class _Of(NamedTuple):
    """What the entries of a history have in common."""

    names: list[str]  # of the attributes that are columns
    dialect: Dialect


class HistoryEntry(Generic[T]):
    """One version of an object, its deletion, or a change of its tags alone. `changed` and `transaction` are made when
    they are asked for.

    Attributes:
        object: the object as it was; of a deletion as it was deleted. It is read-only, and what is loaded for it is of
            `valid_from`.
        key: its primary key.
        valid_from: when the version began, int nanoseconds since 1970 UTC, included.
        valid_to: when it ended, excluded; None: it is current. Of a deletion `valid_from`.
        operation: "insert", "update" or "delete"; "tag" of a transaction that changed the object's tags and nothing
            else: then `object` and `valid_to` are those of the version that got or lost them.
        transaction_id: the number of the transaction that began it.
        tags_added, tags_removed: the tags that the object got and lost by that transaction. Of classes that are
            `Tagged`; others have none here.
    """

    __slots__ = ("_before", "_of", "_tags", "_version")

    # How fast a history is depends on this, so what is not asked of most entries is left in the rows.
    def __init__(
        self, version: Sequence[Any], before: Sequence[Any] | None, of: _Of, tags: TagEvent | None
    ) -> None:
        self._version = version
        self._before = before
        self._of = of
        self._tags = tags

    @property
    def object(self) -> T:
        found: T = self._version[0]
        return found

    @property
    def key(self) -> tuple[Any, ...]:
        return _key_of(self._version)

    @property
    def valid_from(self) -> int:
        began: int = _told(self._version, _FROM)
        return began

    @property
    def valid_to(self) -> int | None:
        ended: int | None = _told(self._version, _TO)
        return ended

    @property
    def operation(self) -> str:
        name: str = _told(self._version, _OPERATION)
        return name

    @property
    def transaction_id(self) -> int:
        number: int = _told(self._version, _TRANSACTION)
        return number

    @property
    def tags_added(self) -> frozenset[str]:
        return self._tags.added if self._tags else _NO_TAGS

    @property
    def tags_removed(self) -> frozenset[str]:
        return self._tags.removed if self._tags else _NO_TAGS

    @property
    def changed(self) -> dict[str, tuple[Any, Any]]:
        """The attributes that are columns and differ from the version before: name -> (old, new). Of an insert all,
        with None before; of a delete all, with None behind; of a change of tags none."""
        if self.operation == "tag":
            return {}
        before = None if self.operation == "insert" or self._before is None else self._before[0]
        old = _values(before, self._of.names)
        return differing(old, None if self.operation == "delete" else _values(self.object, self._of.names))

    @property
    def transaction(self) -> Transaction:
        """The transaction that began it: when, by whom, why. An object of the Session that the history was read by."""
        session = object_session(self.object)
        said = _told_from(self._version, _SAID)
        return transaction_of(session, self._of.dialect, self.transaction_id, self.valid_from, said)

    def __eq__(self, other: Any) -> bool:
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


_NO_TAGS: frozenset[str] = frozenset()
_FROM, _TO, _OPERATION, _TRANSACTION, _SAID = range(5)  # of what is told of a version


class _Told(Bundle[Any]):
    """Columns that are read from the row when they are asked for: (how each is read, the row)."""

    inherit_cache = True

    def create_row_processor(self, query: Any, procs: Sequence[Any], labels: Sequence[str]) -> Any:
        return lambda row: (procs, row)


def _told(version: Sequence[Any], which: int) -> Any:
    procs, row = version[1]
    return procs[which](row)


def _told_from(version: Sequence[Any], first: int) -> tuple[Any, ...]:
    procs, row = version[1]
    return tuple(proc(row) for proc in procs[first:])


def history(
    session: Session | scoped_session[Any], target: Any, *, since: Moment | None = None, until: Moment | None = None
) -> Iterator[HistoryEntry[Any]]:
    """The history of an object, oldest first; of several, one object after the other.

    One query, whose rows are read as the iterator goes; of a class that is `Tagged` another for the tags of each few
    hundred versions. What has not been committed is not there.

    Args:
        session: a Session.
        target: an object, or (class, primary key). A mapped class: all its objects. A `select()` of one mapped class:
            the objects that it gives now.
        since, until: only what began in this time; both are included.

    Raises:
        ArgumentError: the target is none of these; `since` is later than `until`; a moment is none.
        NoResultFound: with the first entry, of (class, primary key) without `since` and `until`: it was never there.

    Example:
        for entry in history(session, account):
            print(entry.transaction.committed, entry.operation, entry.changed, entry.transaction.actor)
            print(entry.tags_added, entry.tags_removed)
    """
    found = session_of(session, "history")
    low = None if since is None else int(ns_in(found, since, start=True))
    high = None if until is None else int(ns_in(found, until))
    if low is not None and high is not None:
        refuse_inverted((low, since), (high, until))
    entries = _history(found, target, low, high)
    return _at_least_one(entries, target) if isinstance(target, tuple) and low is high is None else entries


def _history(session: Session, target: Any, low: int | None, high: int | None) -> Iterator[HistoryEntry[Any]]:
    mapper, condition = _wanted(target)
    single = condition is not None and not isinstance(target, Select)
    return _entries(session, mapper, condition, single, low, high)


def _at_least_one(entries: Iterator[HistoryEntry[Any]], target: tuple[Any, ...]) -> Iterator[HistoryEntry[Any]]:
    first = next(entries, None)
    if first is None:
        name = getattr(target[0], "__name__", target[0])
        raise exc.NoResultFound(
            f"{name} {target[1]!r} was never there, or is not committed yet; to ask for what may have no history, "
            "give history() a select(), or since= and until="
        )
    yield first
    yield from entries


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
    return mapper.class_, tuple(getattr(target, name) for name in key_names(mapper))


def _key_columns(mapper: Mapper[Any], entity: Any) -> list[ColumnElement[Any]]:
    return [getattr(entity, name) for name in key_names(mapper)]


def _names(mapper: Mapper[Any]) -> list[str]:
    """The attributes that are columns of the class's tables and have a history; not SQLite's row id."""
    columns = ((prop.key, prop.columns[0]) for prop in mapper.column_attrs)
    return [
        key for key, column in columns
        if getattr(column, "table", None) is not None and not column.system and column.info.get("versioned", True)
    ]  # fmt: skip


class _Query(NamedTuple):
    """The versions of a mapper's objects with their transactions, and what conditions on them are made of."""

    versions: Versions[Any]
    statement: Select[Any]
    names: list[str]


def _query(mapper: Mapper[Any]) -> _Query:
    """Made once for a mapper, and kept by its past class."""
    past = past_class(mapper.class_)
    found: _Query | None = past.__dict__.get(_KEPT)
    if found is None:
        v = versions(mapper.class_)
        statement = (
            select(v.entity, _Told("told", v.valid_from, v.valid_to, v.operation, v.transaction_id, *said_columns()))
            .join(Transaction, Transaction.id == v.transaction_id)
            .order_by(*_key_columns(mapper, v.entity), v.valid_from)
            .options(*(undefer(getattr(v.entity, prop.key)) for prop in mapper.column_attrs if prop.deferred))
            .execution_options(yield_per=_AT_ONCE)
        )
        found = _Query(v, statement, _names(mapper))
        type.__setattr__(past, _KEPT, found)
    return found


def _entries(
    session: Session, mapper: Mapper[Any], condition: Any, single: bool, low: int | None, high: int | None
) -> Iterator[HistoryEntry[Any]]:
    v, statement, names = _query(mapper)
    if condition is not None:
        statement = statement.where(condition(v.entity))
    if low is not None:  # and the version that was there before, to compare with
        statement = statement.where(or_(v.valid_from >= low, v.valid_to >= low, v.valid_to.is_(None)))
    if high is not None:
        statement = statement.where(v.valid_from <= high)
    rows = session.execute(statement)
    telling = _Telling(_Of(names, session.get_bind(mapper).dialect), single, low, high)
    tagged = may_have_tags(mapper)
    for chunk in rows.partitions():
        yield from telling.entries(chunk, tag_events(session, telling.new_objects(chunk)) if tagged else {})
    yield from telling.end()


_identity_key = attrgetter("_sa_instance_state.key")


def _key_of(version: Sequence[Any]) -> tuple[Any, ...]:
    key: tuple[Any, ...] = _identity_key(version[0])[1]
    return key[:-1]  # behind its own key stands the moment


class _Telling:
    """Makes entries of versions, which come object by object and in the order of time, and of what became of tags."""

    def __init__(self, of: _Of, single: bool, low: int | None, high: int | None) -> None:
        self._of, self._single, self._low, self._high = of, single, low, high
        self._key: tuple[Any, ...] | None = None
        self._before: Any = None  # the row of the version before, of the object with this key
        self._events: deque[TagEvent] = deque()  # of it, which are not told yet

    def new_objects(self, rows: Sequence[Any]) -> list[Any]:
        """One version of each object whose tags are not known yet."""
        found = {_key_of(row): row[0] for row in rows}
        return [one for key, one in found.items() if key != self._key]

    def entries(
        self, rows: Sequence[Any], events: dict[tuple[str, int], list[TagEvent]]
    ) -> Iterator[HistoryEntry[Any]]:
        of, low, single = self._of, self._low, self._single
        if single and low is None and not (events or self._events):
            yield from map(HistoryEntry, rows, [self._before, *rows[:-1]], repeat(of), repeat(None))
            self._key, self._before = _key_of(rows[-1]), rows[-1]
            return
        for row in rows:
            if self._before is None or not (single or _key_of(row) == self._key):
                yield from self.end()
                self._key = _key_of(row)
                identity = identity_of(row[0]) if events else None
                self._events = deque(events.get(identity, ()) if identity else ())
            tags = None
            if self._events:
                began = _told(row, _FROM)
                yield from self._tags_until(began)
                if self._events and self._events[0].committed_at == began:
                    tags = self._events.popleft()
            before, self._before = self._before, row
            if low is None or _told(row, _FROM) >= low:
                yield HistoryEntry(row, before, of, tags)

    def end(self) -> Iterator[HistoryEntry[Any]]:
        """What is left to tell of the object."""
        yield from self._tags_until(None)
        self._before = None

    def _tags_until(self, moment: int | None) -> Iterator[HistoryEntry[Any]]:
        while self._events and (moment is None or self._events[0].committed_at < moment):
            event = self._events.popleft()
            late = self._high is not None and event.committed_at > self._high
            early = self._low is not None and event.committed_at < self._low
            if self._before is None or early or late:
                continue
            told = (event.committed_at, _told(self._before, _TO), "tag", event.transaction_id, *event.said)
            version = (self._before[0], ([itemgetter(i) for i in range(len(told))], told))
            yield HistoryEntry(version, self._before, self._of, event)


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
        ArgumentError: it is no object.
        NoResultFound: it is not there.

    Example:
        blame(session, account)["balance"].transaction.actor
    """
    past = not isinstance(target, (type, tuple)) and is_past(target)
    until = moment_of_state(inspect(target)) if past else None
    found: dict[str, Blame] = {}
    for entry in _history(session_of(session, "blame"), target, None, until):
        if entry.operation == "delete":
            found = {}
            continue
        for name, (_, value) in entry.changed.items():
            found[name] = Blame(value, entry.valid_from, entry.transaction)
    if not found:
        raise exc.NoResultFound(f"{target!r} is not there, so nobody has set it")
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
    state: Any = inspect(obj, raiseerr=False)
    session = None if state is None or not hasattr(state, "session") else object_session(obj)
    if session is None:
        raise exc.ArgumentError(f"{obj!r} is not in a Session, which could load its other versions")
    moment = moment_of_state(state)
    if forward and moment is None:
        return None
    mapper, condition = _wanted(obj)
    v = versions(mapper.class_)
    statement = select(v.entity).where(condition(v.entity), v.operation != "delete").limit(1)
    if forward:
        statement = statement.where(v.valid_from > moment).order_by(v.valid_from)
    elif moment is not None:
        statement = statement.where(v.valid_to <= moment).order_by(v.valid_from.desc())
    else:
        statement = statement.where(v.valid_to.is_not(None)).order_by(v.valid_from.desc())
    return session.scalars(statement).first()


__all__ = ["Blame", "HistoryEntry", "blame", "history", "next_version", "previous"]
