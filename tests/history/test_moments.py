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
        (str(NOON_NS), NOON_NS, NOON_NS),
        (f" {moments.LAST_NS}\n", moments.LAST_NS, moments.LAST_NS),
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
    [1.5, True, None, object(), "yesterday", "", "2024-13-01", b"2024-01-01", "170920800000", "9" * 19, "1" * 20,
     "１" * 19, dt.timedelta(seconds=1), dt.time(1),
     dt.date(1, 1, 1), 2**63, -(2**63) - 1],
)  # fmt: skip
def test_what_is_not_a_moment(moment: Any) -> None:
    with pytest.raises(ArgumentError):
        to_ns(moment)


@pytest.mark.parametrize("year", [2000, 2024, 2099])
@pytest.mark.parametrize(
    ("unit", "factor"), [("seconds", 10**9), ("milliseconds", 10**6), ("microseconds", 10**3)]
)
def test_an_int_of_another_unit_is_refused_with_what_it_would_mean(year: int, unit: str, factor: int) -> None:
    when = dt.datetime(year, 6, 1, 10, 30, tzinfo=UTC)
    ns = int(when.timestamp()) * 10**9
    assert to_ns(ns) == ns
    for start in (False, True):
        with pytest.raises(ArgumentError) as caught:
            to_ns(ns // factor, start=start)
        message = str(caught.value)
        assert f"looks like the {unit} of {when.isoformat()}" in message
        assert f"moment * {factor}" in message
        assert from_ns(ns // factor).isoformat() in message
        assert from_ns(ns // factor).year == 1970


@pytest.mark.parametrize("ns", [0, 1, 10**8, 5 * 10**9, 10**11, 10**13, 10**14, 5 * 10**15, 10**18, -1_714_560_000])
def test_other_ints_are_nanoseconds(ns: int) -> None:
    assert to_ns(ns) == ns


def test_1970_is_asked_for_by_a_datetime() -> None:
    when = dt.datetime(1970, 1, 20, tzinfo=UTC)
    assert to_ns(when, start=True) == 19 * 86_400 * 10**9
    assert to_ns(to_ns(when)) == to_ns(when), "what was found once is a moment"
    with pytest.raises(ArgumentError, match="to mean 1970 write a datetime"):
        to_ns(int(to_ns(when)))


def test_a_naive_moment_beyond_the_clock_warns() -> None:
    future = dt.datetime.now(UTC).replace(tzinfo=None) + dt.timedelta(hours=2)
    with pytest.warns(EntityDBWarning, match="UTC"):
        to_ns(future)


def test_from_ns_names_the_microsecond() -> None:
    assert from_ns(NOON_NS) == from_ns(NOON_NS + 999) == NOON
    assert from_ns(-1) == dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert from_ns(NOON_NS).tzinfo is UTC
