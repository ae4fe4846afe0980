"""What users write for a moment, and the nanoseconds it stands for."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest
from sqlalchemy.exc import ArgumentError

from entitydb_dialect import EntityDBWarning
from entitydb_dialect.history import from_ns, moments, to_ns

UTC = dt.timezone.utc
NOON = dt.datetime(2024, 2, 29, 12, 0, 0, 5, tzinfo=UTC)
NOON_NS = 1_709_208_000_000_005_000


@pytest.mark.parametrize(
    ("moment", "first", "last"),
    [
        (NOON, NOON_NS, NOON_NS + 999),
        (NOON.replace(tzinfo=None), NOON_NS, NOON_NS + 999),
        (NOON.astimezone(dt.timezone(dt.timedelta(hours=-7))), NOON_NS, NOON_NS + 999),
        (NOON.isoformat(), NOON_NS, NOON_NS + 999),
        (" 2024-02-29T12:00:00.000005Z ", NOON_NS, NOON_NS + 999),
        (dt.date(1970, 1, 2), 86_400 * 10**9, 2 * 86_400 * 10**9 - 1),
        ("1970-01-02", 86_400 * 10**9, 2 * 86_400 * 10**9 - 1),
        (dt.date(1969, 12, 31), -86_400 * 10**9, -1),
        (7, 7, 7),
        (moments.LAST_NS, moments.LAST_NS, moments.LAST_NS),
    ],
)
def test_a_coarse_moment_stands_for_its_last_nanosecond(moment: Any, first: int, last: int) -> None:
    assert to_ns(moment) == last
    assert to_ns(moment, start=True) == first


def test_a_timedelta_counts_back_from_the_clock() -> None:
    before = moments.clock_ns()
    assert before - 10**9 <= to_ns(dt.timedelta(seconds=-1)) <= time.time_ns() - 10**9


@pytest.mark.parametrize(
    "moment",
    [1.5, True, None, object(), "yesterday", "", "2024-13-01", b"2024-01-01", dt.timedelta(seconds=1), dt.time(1),
     dt.date(1, 1, 1), 2**63, -(2**63) - 1],
)  # fmt: skip
def test_what_is_not_a_moment(moment: Any) -> None:
    with pytest.raises(ArgumentError):
        to_ns(moment)


def test_a_naive_moment_beyond_the_clock_warns() -> None:
    future = dt.datetime.now(UTC).replace(tzinfo=None) + dt.timedelta(hours=2)
    with pytest.warns(EntityDBWarning, match="UTC"):
        to_ns(future)


def test_from_ns_names_the_microsecond() -> None:
    assert from_ns(NOON_NS) == from_ns(NOON_NS + 999) == NOON
    assert from_ns(-1) == dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert from_ns(NOON_NS).tzinfo is UTC
