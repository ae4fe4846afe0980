"""Spans of time, as users write how long history is kept: `90 days`, `1 year`, a timedelta, or `forever`.

A month is 30 days and a year 365 days, whatever the calendar says: a span counts back from a clock, not from a date.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TypeAlias

Span: TypeAlias = "str | dt.timedelta"

FOREVER = "forever"
_DAY = 86_400
_SECONDS = {
    "second": 1, "minute": 60, "hour": 3600, "day": _DAY, "week": 7 * _DAY, "month": 30 * _DAY, "year": 365 * _DAY,
}  # fmt: skip
_WRITTEN = re.compile(r"\s*([0-9]{1,9})\s+(second|minute|hour|day|week|month|year)s?\s*", re.ASCII | re.IGNORECASE)
_LAST_SECOND = (1 << 63) // 10**9  # what int64 nanoseconds hold


class NotASpan(ValueError):
    """What somebody gave is no span of time; the message says what would be one."""


def span_text(span: Span) -> str:
    """A span in its one form: `forever`, or a number above 0 and a unit in the singular or plural.

    Raises:
        NotASpan: it is none, or longer than 292 years, which is what a moment holds.
    """
    if isinstance(span, dt.timedelta):
        seconds = span // dt.timedelta(seconds=1)
        if seconds <= 0 or span % dt.timedelta(seconds=1):
            raise NotASpan(f"{span!r} is no span to keep history for: it is a whole number of seconds, at least one")
        unit = next(u for u in ("day", "hour", "minute", "second") if seconds % _SECONDS[u] == 0)
        return _checked(seconds // _SECONDS[unit], unit, span)
    if isinstance(span, str):
        if span.strip().lower() == FOREVER:
            return FOREVER
        match = _WRITTEN.fullmatch(span)
        if match is not None and int(match[1]) > 0:
            return _checked(int(match[1]), match[2].lower(), span)
    raise NotASpan(
        f"{span!r} is no span to keep history for: write a number and seconds, minutes, hours, days, weeks, months or"
        " years ('90 days'), or 'forever'"
    )


def _checked(number: int, unit: str, span: Span) -> str:
    if number * _SECONDS[unit] >= _LAST_SECOND:
        raise NotASpan(f"{span!r} is longer than 292 years; to keep all history say 'forever'")
    return f"{number} {unit}{'' if number == 1 else 's'}"


def span_ns(span: Span) -> int | None:
    """Its nanoseconds; None: forever. Raises as `span_text`."""
    text = span_text(span)
    if text == FOREVER:
        return None
    number, _, unit = text.partition(" ")
    return int(number) * _SECONDS[unit.removesuffix("s")] * 10**9


__all__ = ["FOREVER", "NotASpan", "Span", "span_ns", "span_text"]
