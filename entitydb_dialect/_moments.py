"""Moments: what users may write for a point in time, and the nanoseconds it stands for.

Everything is int nanoseconds since 1970-01-01 UTC inside. "As of m" includes what was committed at or before m, so a
moment coarser than a nanosecond stands for its last one:

    aware datetime      the end of its microsecond
    naive datetime      taken as UTC; an EntityDBWarning when that lies beyond the clock
    date                the end of its UTC day
    text                ISO 8601, as datetime or date; or the name of a moment, as below
    int                 itself; refused when it looks like seconds, milliseconds or microseconds
    timedelta           zero or negative: that long before the statement's clock

A moment beyond the clock means now, and is not settled: asked again it may show more.

Some texts name a moment that a database knows. What they mean is found by whoever has one:

    label:release 3     that of the newest commit with the label
    transaction:123     that of commit 123
    alembic:ab12        the last one at which the table alembic_version had the revision ab12; now while it has

This module knows neither SQLAlchemy nor a database, so that the driver and the time API share it.
"""

from __future__ import annotations

import datetime as dt
import time
import warnings
from typing import NamedTuple, TypeAlias

from ._exceptions import EntityDBWarning

Moment: TypeAlias = dt.datetime | dt.date | dt.timedelta | str | int

LAST_NS = (1 << 63) - 1  # the last moment of all; as every moment beyond the clock it means now

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_YEAR_2000_NS = 946_684_800 * 10**9
_YEAR_2100_NS = 4_102_444_800 * 10**9
_LIKELY_NS = _YEAR_2100_NS // 1000  # from here on an int is nanoseconds; below it may be of another unit
_MICROSECOND = dt.timedelta(microseconds=1)
_DAY_NS = 86_400_000_000_000
_KINDS = (
    "an aware datetime, a date, ISO 8601 text, int nanoseconds since 1970 UTC, a negative timedelta, "
    "or a name: label('...'), transaction(...), 'alembic:...'"
)


class NotAMoment(ValueError):
    """What somebody gave is no moment; the message says what would be one."""


class Name(NamedTuple):
    """A moment that a database knows by a name."""

    kind: str  # one of NAMES
    value: str


NAMES = ("label", "transaction", "alembic")


def label(text: str) -> str:
    """The moment of the newest commit with a label, wherever a moment is taken."""
    return f"label:{text}"


def transaction(number: int) -> str:
    """The moment of a transaction by its number, wherever a moment is taken."""
    return f"transaction:{number}"


def name_of(moment: object) -> Name | None:
    """What a text names; None: it is no such text."""
    if not isinstance(moment, str):
        return None
    kind, colon, value = moment.partition(":")
    kind = kind.strip().lower()
    return Name(kind, value) if colon and kind in NAMES else None


def missing(name: Name) -> str:
    """That a database knows no moment of that name, as a sentence."""
    if name.kind == "label":
        return f"no commit is labelled {name.value!r}"
    if name.kind == "transaction":
        return f"there is no transaction {name.value!r}"
    return f"the table alembic_version never had the revision {name.value!r}"


class Nanoseconds(int):
    """Nanoseconds that no user has written: what a function here has found is a moment, whatever it looks like."""


def clock_ns() -> int:
    """The clock, in nanoseconds since 1970 UTC."""
    return time.time_ns()


def to_ns(moment: Moment, *, start: bool = False) -> Nanoseconds:
    """The nanoseconds a moment stands for.

    Args:
        moment: see this module.
        start: the first nanosecond instead of the last; what a commit time wants.

    Raises:
        NotAMoment: it is not a moment, lies outside int64 nanoseconds (years 1678 to 2261), or is the name of one.
    """
    if isinstance(moment, Nanoseconds):
        return moment
    ns = _to_ns(moment, start)
    if not -(1 << 63) <= ns <= LAST_NS:
        raise NotAMoment(f"moment {moment!r} lies outside the years 1678 to 2261")
    return Nanoseconds(ns)


def _to_ns(moment: Moment, start: bool) -> int:
    if isinstance(moment, bool):
        pass
    elif isinstance(moment, int):
        if 0 < moment < _LIKELY_NS:
            _refuse_other_units(moment)
        return moment
    elif isinstance(moment, dt.datetime):
        return _datetime_ns(moment, start)
    elif isinstance(moment, dt.date):
        day_ns = (moment - _EPOCH.date()).days * _DAY_NS
        return day_ns if start else day_ns + _DAY_NS - 1
    elif isinstance(moment, dt.timedelta):
        if moment > dt.timedelta(0):
            raise NotAMoment(f"moment {moment!r} lies in the future: a timedelta counts back from now; negate it")
        return clock_ns() + moment // _MICROSECOND * 1000
    elif isinstance(moment, str):
        return _to_ns(_parse(moment), start)
    raise NotAMoment(f"{moment!r} is not a moment: use {_KINDS}")


def _refuse_other_units(moment: int) -> None:
    """Raises NotAMoment for an int that means the first days of 1970, and days of our time in a coarser unit."""
    for unit, factor in (("seconds", 10**9), ("milliseconds", 10**6), ("microseconds", 10**3)):
        if _YEAR_2000_NS <= moment * factor < _YEAR_2100_NS:
            meant, said = from_ns(moment * factor), from_ns(moment)
            raise NotAMoment(
                f"moment {moment} is in nanoseconds since 1970, so {said.isoformat()}. It looks like the {unit} of "
                f"{meant.isoformat()}: write moment * {factor}, or a datetime; to mean 1970 write a datetime too"
            )


def _datetime_ns(moment: dt.datetime, start: bool) -> int:
    naive = moment.utcoffset() is None
    aware = moment.replace(tzinfo=dt.timezone.utc) if naive else moment
    ns = (aware - _EPOCH) // _MICROSECOND * 1000
    if naive and ns > clock_ns():
        warnings.warn(
            f"naive moment {moment.isoformat()} is taken as UTC and lies in the future, so it means now; "
            "for local time use moment.astimezone()",
            EntityDBWarning,
            stacklevel=7,
        )
    return ns if start else ns + 999


def _parse(text: str) -> dt.datetime | dt.date | int:
    stripped = text.strip()
    if stripped.isascii() and stripped.isdigit() and 16 <= len(stripped) <= 19:  # dates have fewer digits
        return int(stripped)
    if name_of(text) is not None:
        raise NotAMoment(f"{text!r} names a moment of a database, and none is known here")
    try:
        return dt.date.fromisoformat(stripped)
    except ValueError:
        pass
    # Python 3.10 does not know the letter.
    zulu = stripped[:-1] + "+00:00" if stripped[-1:] in ("Z", "z") else stripped
    try:
        return dt.datetime.fromisoformat(zulu)
    except ValueError:
        raise NotAMoment(
            f"{text!r} is not a moment: use ISO 8601 text such as 2024-05-01T12:00:00+00:00, 'label:...',"
            " 'transaction:...' or 'alembic:...'"
        ) from None


def from_ns(ns: int) -> dt.datetime:
    """The aware UTC datetime whose microsecond holds a moment."""
    return _EPOCH + dt.timedelta(microseconds=ns // 1000)


__all__ = [
    "LAST_NS",
    "NAMES",
    "Moment",
    "Name",
    "Nanoseconds",
    "NotAMoment",
    "clock_ns",
    "from_ns",
    "label",
    "missing",
    "name_of",
    "to_ns",
    "transaction",
]
