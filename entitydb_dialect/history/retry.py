"""run_transaction(): a function in a transaction, again when another transaction was first."""

from __future__ import annotations

import random as _random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

from sqlalchemy import exc
from sqlalchemy.orm import Session

from .._exceptions import SerializationFailure

T = TypeVar("T")

FIRST_S = 0.005  # the longest pause before the second attempt; then it doubles
MOST_S = 1.0


def lost_a_race(error: BaseException | None) -> bool:
    """Is it a SerializationFailure, or what SQLAlchemy has wrapped around one?

    One that is raised inside the default of a column comes as a StatementError.
    """
    while isinstance(error, exc.StatementError) and not isinstance(error, SerializationFailure):
        error = error.orig
    return isinstance(error, SerializationFailure)


def pause_s(attempt: int, random: Callable[[], float]) -> float:
    """How long to wait behind an attempt that lost, in seconds: at random, so that those who met do not meet again.

    Args:
        attempt: from 1.
        random: gives numbers from 0 up to 1.
    """
    longest: float = min(MOST_S, FIRST_S * 2.0 ** min(attempt - 1, 30))
    return longest * random()


def judge_attempts(attempts: int) -> None:
    if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
        raise exc.ArgumentError(f"attempts is a number from 1, not {attempts!r}")


def run_transaction(
    session_factory: Callable[[], AbstractContextManager[Session]],
    fn: Callable[[Session], T],
    attempts: int = 10,
    *,
    sleep: Callable[[float], object] = time.sleep,
    random: Callable[[], float] = _random.random,
) -> T:
    """Runs fn(session) in a transaction and commits it; again, with a new Session, where that loses a race.

    fn may run several times, so it does nothing but what its transaction does. Any other error rolls back and is
    raised.

    Args:
        session_factory: makes a Session: a sessionmaker, or `lambda: Session(engine)`.
        fn: gets the Session and neither commits nor rolls back. What it returns is returned; objects of the Session
            are detached by then.
        attempts: how often at most.
        sleep: waits so many seconds between attempts, at random up to 5 ms, 10 ms, ... 1 s.
        random: gives numbers from 0 up to 1.

    Raises:
        SerializationFailure: of the last attempt.
        ArgumentError: attempts is no number from 1.

    Example:
        run_transaction(sessionmaker(engine), lambda session: session.get(Account, 1).withdraw(10))
    """
    judge_attempts(attempts)
    for attempt in range(1, attempts + 1):
        try:
            with session_factory() as session, session.begin():
                result = fn(session)
            return result
        except Exception as error:
            if attempt == attempts or not lost_a_race(error):
                raise
        sleep(pause_s(attempt, random))
    raise AssertionError("unreachable")


__all__ = ["judge_attempts", "lost_a_race", "pause_s", "run_transaction"]
