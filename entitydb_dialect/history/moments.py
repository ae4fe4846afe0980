"""Moments for the time API: as entitydb_dialect/_moments.py has them, with SQLAlchemy's exception; and those that a
database knows by a name."""

from __future__ import annotations

from sqlalchemy import exc
from sqlalchemy.engine import Connection

from .._moments import LAST_NS, Moment, Nanoseconds, NotAMoment, clock_ns, from_ns, label, missing, name_of, transaction
from .._moments import to_ns as _to_ns
from .backend import Backend


def to_ns(moment: Moment, *, start: bool = False) -> Nanoseconds:
    """The nanoseconds a moment stands for.

    Args:
        moment: see entitydb_dialect/_moments.py; no name.
        start: the first nanosecond instead of the last; what a commit time wants.

    Raises:
        ArgumentError: it is not a moment, or lies outside int64 nanoseconds (years 1678 to 2261).
    """
    try:
        return _to_ns(moment, start=start)
    except NotAMoment as error:
        raise exc.ArgumentError(str(error)) from None


def refuse_inverted(first: tuple[int, object], last: tuple[int, object]) -> None:
    """Raises ArgumentError for an interval that ends before it begins. Of each moment the nanoseconds, and what was
    written."""
    if first[0] > last[0]:
        raise exc.ArgumentError(f"the interval ends before it begins: {first[1]!r} is later than {last[1]!r}")


def ns_of(moment: Moment, connection: Connection, backend: Backend, *, start: bool = False) -> Nanoseconds:
    """The nanoseconds a moment stands for, a name's too.

    Args:
        start: as for to_ns().

    Raises:
        ArgumentError: it is not a moment.
        NoResultFound: the database knows nothing of that name.
    """
    name = name_of(moment)
    if name is None:
        return to_ns(moment, start=start)
    found = backend.named_moment(connection, name.kind, name.value)
    if found is None:
        raise exc.NoResultFound(missing(name))
    return Nanoseconds(found)


__all__ = [
    "LAST_NS",
    "Moment",
    "Nanoseconds",
    "clock_ns",
    "from_ns",
    "label",
    "name_of",
    "ns_of",
    "refuse_inverted",
    "to_ns",
    "transaction",
]
