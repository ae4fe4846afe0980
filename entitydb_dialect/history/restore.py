"""restore(): an object as it was, through the ordinary unit of work."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import exc, inspect
from sqlalchemy.orm import InstrumentedAttribute, Mapper, RelationshipProperty, Session, scoped_session

from .changes import differing
from .diff import mapped_target
from .moments import Moment
from .past import past_session
from .sources import session_of


class RestoreStep(NamedTuple):
    """What restore() does, or would do, to one object."""

    operation: str  # "insert", "update"; "remove": taken out of a relationship that it has joined since
    model: type[Any]
    key: tuple[Any, ...]
    changes: dict[str, tuple[Any, Any]]  # attribute -> (now, then); of "remove" relationship -> (its key, None)
    object: Any  # the object of the Session; None for an insert in a dry run


def restore(
    session: Session | scoped_session[Any],
    target: Any,
    *,
    to: Moment,
    cascade: Iterable[InstrumentedAttribute[Any] | str] = (),
    dry_run: bool = False,
) -> list[RestoreStep]:
    """Gives an object the values it had at a moment; one that was deleted since comes back.

    Only the object's own columns change, unless relationships are named. Those without history, info={"versioned":
    False}, stay as they are; of an object that comes back they get their defaults. What is named gets the members it
    had then: they are restored too, and those that joined since are taken out by the relationship's own rules
    (delete-orphan deletes them).

    Args:
        session: a Session. Pending changes of the objects concerned are written over.
        target: an object, or (class, primary key).
        to: the moment; see `resolve`.
        cascade: relationships of the object, as attributes or names. Attributes of the classes that these lead to go
            on from their objects: `[Author.books, Book.reviews]`.
        dry_run: only tells what would be done.

    Returns:
        What was done, the object itself first; nothing for what is as it was. The Session is flushed, in a savepoint,
        and not committed.

    Raises:
        ArgumentError: the target is no object, or the moment none; a relationship is not one of its class, nor of one
            that the others lead to.
        NoResultFound: the object was not there at the moment.
        IntegrityError: a constraint of today does not allow it. Nothing is done then.
        HorizonError (as OperationalError): the moment lies before the kept history.

    Example:
        restore(session, (Account, 1), to=yesterday, cascade=[Account.notes])
        session.commit()
    """
    found = session_of(session, "restore")
    mapper, key = mapped_target(target)
    if key is None:
        raise exc.ArgumentError(f"restore() needs an object or (class, primary key), not {target!r}")
    relationships = _relationships(mapper, cascade)
    if dry_run:
        with found.no_autoflush:
            return _Restoring(found, to, dry_run).run(mapper, key, relationships)
    with found.begin_nested():
        steps = _Restoring(found, to, dry_run).run(mapper, key, relationships)
        found.flush()
    return steps


def _relationships(
    mapper: Mapper[Any], given: Iterable[InstrumentedAttribute[Any] | str]
) -> list[RelationshipProperty[Any]]:
    """Those of the mapper, and of the classes that they lead to, and so on."""
    found: list[RelationshipProperty[Any]] = []
    waiting = list(given)
    reached = [mapper]
    while waiting:
        left = []
        for one in waiting:
            relationship = next((r for r in (_relationship(at, one) for at in reached) if r is not None), None)
            if relationship is None:
                left.append(one)
                continue
            if relationship.viewonly:
                name = f"{relationship.parent.class_.__name__}.{relationship.key}"
                raise exc.ArgumentError(f"{name} is viewonly: it cannot be restored")
            found.append(relationship)
            reached.append(relationship.mapper)
        if len(left) == len(waiting):
            names = ", ".join(sorted(mapper.relationships.keys())) or "none"
            raise exc.ArgumentError(f"{left[0]!r} is not a relationship of {mapper.class_.__name__}; it has: {names}")
        waiting = left
    return found


def _relationship(mapper: Mapper[Any], given: Any) -> RelationshipProperty[Any] | None:
    """The one that is given, by a name or an attribute; None: the mapper has none such."""
    if isinstance(given, str):
        return mapper.relationships.get(given)
    parent = inspect(getattr(given, "class_", None), raiseerr=False)
    if not isinstance(parent, Mapper) or not (mapper.isa(parent) or parent.isa(mapper)):
        return None
    return parent.relationships.get(given.key)


class _Restoring:
    def __init__(self, session: Session, to: Moment, dry_run: bool) -> None:
        self.session, self.to, self.dry_run = session, to, dry_run
        self.steps: list[RestoreStep] = []
        self.now: dict[Any, Any] = {}  # identity key -> the object of the Session; None in a dry run

    def run(
        self, mapper: Mapper[Any], key: tuple[Any, ...], relationships: list[RelationshipProperty[Any]]
    ) -> list[RestoreStep]:
        with past_session(self.session, self.to) as past:
            then = past.get(mapper.class_, key)
            if then is None:
                raise exc.NoResultFound(
                    f"{mapper.class_.__name__} {key} was not there at {self.to!r}; if that is wanted, delete the object"
                )
            waiting = deque([(self.restored(then), then)])
            met = {_identity(then)}
            while waiting:
                for pair in self.related(*waiting.popleft(), relationships):
                    if (identity := _identity(pair[1])) not in met:
                        met.add(identity)
                        waiting.append(pair)
        return self.steps

    def related(
        self, now: Any, then: Any, relationships: list[RelationshipProperty[Any]]
    ) -> Iterator[tuple[Any, Any]]:
        """The members of those relationships that the object has; see relate()."""
        for relationship in relationships:
            if inspect(then).mapper.isa(relationship.parent):
                yield from self.relate(now, then, relationship)

    def restored(self, then: Any) -> Any:
        """The object of the Session with the values of a past one; in a dry run None if there is none."""
        mapper: Mapper[Any] = inspect(then).mapper
        identity = _identity(then)
        key = identity[1]
        if identity in self.now:
            return self.now[identity]
        now = self.session.get(mapper.class_, key)
        names = _own_attributes(mapper)
        values = {name: getattr(then, name) for name in names}
        current = None if now is None else {name: getattr(now, name) for name in names}
        changes = differing(current, values)
        operation = "insert" if now is None else "update"
        if not self.dry_run:
            now = self.write(mapper, now, values, changes)
        self.now[identity] = now
        if changes:
            self.steps.append(RestoreStep(operation, mapper.class_, key, changes, now))
        return now

    def write(self, mapper: Mapper[Any], now: Any, values: dict[str, Any], changes: dict[str, Any]) -> Any:
        if now is None:
            now = mapper.class_manager.new_instance()
            for name, value in values.items():
                setattr(now, name, value)
            self.session.add(now)
        else:
            for name in changes:
                setattr(now, name, values[name])
        return now

    def relate(self, now: Any, then: Any, relationship: RelationshipProperty[Any]) -> list[tuple[Any, Any]]:
        """-> the members, as restored() gives them, with those of then."""
        name = relationship.key
        members = getattr(then, name)
        wanted = _members(members)
        restored = [self.restored(member) for member in wanted]
        kept = {_identity(member) for member in wanted}
        for member in _members(getattr(now, name)) if now is not None else []:
            model, key = _identity(member)
            if (model, key) not in kept:
                self.steps.append(RestoreStep("remove", type(member), key, {name: (key, None)}, member))
        pairs = list(zip(restored, wanted, strict=True))
        if self.dry_run:
            return pairs
        if not relationship.uselist:
            setattr(now, name, restored[0] if restored else None)
        elif isinstance(members, dict):
            setattr(now, name, dict(zip(members, restored, strict=True)))
        else:
            setattr(now, name, type(members)(restored) if isinstance(members, set) else restored)
        return pairs


def _identity(member: Any) -> tuple[type[Any], tuple[Any, ...]]:
    """What tells objects apart: the class at the root of its inheritance, and the primary key."""
    mapper: Mapper[Any] = inspect(member).mapper
    return mapper.base_mapper.class_, tuple(mapper.primary_key_from_instance(member))


def _members(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, (list, set, tuple)) else [value]


def _own_attributes(mapper: Mapper[Any]) -> list[str]:
    """The attributes that are columns which can be written, and have a history."""
    return [
        attribute.key for attribute in mapper.column_attrs
        if getattr(attribute.columns[0], "table", None) is not None and attribute.columns[0].computed is None
        and attribute.columns[0].info.get("versioned", True)
    ]  # fmt: skip


__all__ = ["RestoreStep", "restore"]
