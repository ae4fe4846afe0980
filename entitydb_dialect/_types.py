"""DateTime(timezone=True): an instant, kept as UTC.

Stored is what SQLite's own CURRENT_TIMESTAMP and datetime() write, `2024-05-01 10:30:00`, with six digits of a second
behind it where there are any. So there is one text for each instant, texts order as instants do, and they compare with
what the database writes by itself. A value without a zone is taken as UTC, as moments are.
"""

# SQLAlchemy's SQLite dialect is not typed.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from sqlalchemy import types as sqltypes
from sqlalchemy.dialects.sqlite import base as sqlite

# How the type is declared, and what else is reflected as it.
INSTANT = "TIMESTAMP WITH TIME ZONE"
_NAMES = (INSTANT, "DATETIME WITH TIME ZONE", "TIMESTAMPTZ")


class Instant(sqlite.DATETIME):
    """DateTime(timezone=True) as we keep it."""

    def bind_processor(self, dialect: Any) -> Callable[[Any], str | None]:
        return _stored

    def result_processor(self, dialect: Any, coltype: object) -> Callable[[Any], dt.datetime | None]:
        return _loaded


def is_instant(type_: Any) -> bool:
    """Is it a DateTime with a zone, and not one of SQLite's with a storage format of its own?"""
    return isinstance(type_, sqltypes.DateTime) and type_.timezone and not isinstance(type_, sqlite.DATETIME)


def reflected(name: str) -> Any:
    """The type of a column declared with a zone; None: it is another."""
    return sqltypes.TIMESTAMP(timezone=True) if " ".join(name.upper().split()) in _NAMES else None


def _stored(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dt.datetime):
        if not isinstance(value, dt.date):
            raise TypeError(f"DateTime(timezone=True) takes a datetime or a date, not {value!r}")
        value = dt.datetime(value.year, value.month, value.day)
    if value.utcoffset() is not None:
        value = value.astimezone(dt.timezone.utc)
    return dt.datetime.isoformat(value.replace(tzinfo=None), " ")  # of a subclass too


def _loaded(value: Any) -> dt.datetime | None:
    if value is None:
        return None
    # Python 3.10 does not know the letter, which other programs may have written.
    found = dt.datetime.fromisoformat(value[:-1] + "+00:00" if value[-1:] in ("Z", "z") else value)
    if found.utcoffset() is None:
        return found.replace(tzinfo=dt.timezone.utc)
    return found.astimezone(dt.timezone.utc)


__all__ = ["INSTANT", "Instant", "is_instant", "reflected"]
