"""Whether history is what it was: hashes of commits that are chained, computed anew from what the file holds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from sqlalchemy import exc

from ._exceptions import DamageError, HorizonError
from ._health import opened
from .driver import Database
from .history import Moment
from .history.sources import Source, ns_in

Expected = tuple[int, str]
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_HASH = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Break:
    """Where history is not what it was.

    Args:
        commit: the number of the commit, of several that cannot be told apart the first; None: it cannot be said.
        time: when it was committed, in UTC, by the clock that the file shows now; None as above.
        table: the table or index that it wrote to, where that is known.
        sentence: what was found.
    """

    commit: int | None
    time: datetime | None
    table: str | None
    sentence: str

    def __str__(self) -> str:
        return self.sentence if self.time is None else f"{self.sentence} (committed {self.time.isoformat()})"


@dataclass(frozen=True)
class Verification:
    """What verify() found.

    Args:
        commits: how many commits were compared with what the file holds of them.
        first: the first commit that has a hash; 0: none has yet.
        last: the newest commit.
        newest: its number and its hash, computed anew: what newest_hash() says of a file that is whole.
        reduced: of the commits compared, those of which something was erased on purpose.
        breaks: what is wrong, ascending by commit; those that name none come first.
    """

    commits: int
    first: int
    last: int
    newest: Expected
    reduced: int
    breaks: tuple[Break, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Is everything as it was?"""
        return not self.breaks

    @property
    def first_break(self) -> Break | None:
        """The break of the oldest commit; of those that name none, if there are no others."""
        return next((one for one in self.breaks if one.commit is not None), next(iter(self.breaks), None))

    def require(self) -> Verification:
        """Itself, if everything is as it was.

        Raises:
            DamageError: it is not; the message is the first break.
        """
        if self.first_break is not None:
            raise DamageError(f"history was changed: {self.first_break}")
        return self


def newest_hash(source: Source) -> Expected:
    """The number of the newest commit, and the hash that stands for it and everything before it.

    Keep it where those who can write to the file cannot, and give it to verify() later. The commit is durable when this
    returns. (0, 64 zeros) of a file without commits that have a hash.
    """
    with opened(source) as database:
        number, seal = database.newest_seal()
    return number, seal.hex()


def _seal_of(expected: Expected) -> tuple[int, bytes]:
    number, text = expected
    if number < 1 or not _HASH.fullmatch(text):
        raise exc.ArgumentError(f"{expected!r} is not what newest_hash() gives: a commit's number and 64 hex digits")
    return number, bytes.fromhex(text)


def _commit_at(database: Database, ns: int) -> int:
    """The newest commit at or before a moment; 0: that is before all that are kept."""
    try:
        return database.resolve(ns)[0]
    except HorizonError:
        return 0


def verify(
    source: Source,
    *,
    since: Moment | None = None,
    expected: Expected | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Verification:
    """Proves that what each commit wrote, and when, is what it wrote then, or says which is not.

    The file is checked first, as by check(): what is wrong with it is a break that names no commit.

    Args:
        source: a Session, an Engine or a Connection.
        since: only what commits after this moment wrote is compared; that hashes follow upon each other always is.
        expected: what newest_hash() gave at some time, kept elsewhere. Then it is a break too if that commit is
            missing, or if it or one before it is another.
        progress: called with how much is done, and of how much. What it raises ends the verification.

    Returns:
        What was found. `verify(engine).require()` raises if that is not good.
    """
    wanted = None if expected is None else _seal_of(expected)
    ns = None if since is None else ns_in(source, since)
    with opened(source) as database:
        found = [Break(None, None, None, f"{one.invariant}: {one.sentence}") for one in database.check()[0]]
        number = 0 if ns is None else _commit_at(database, ns)
        proof = database.verify(number, wanted, progress)
    for one in proof.breaks:
        time = None if one.time_ns is None else _EPOCH + timedelta(microseconds=one.time_ns // 1000)
        found.append(Break(one.commit, time, one.table, one.sentence))
    return Verification(
        commits=proof.last - proof.proved_after if proof.first else 0,
        first=proof.first,
        last=proof.last,
        newest=(proof.last, proof.seal.hex()),
        reduced=proof.reduced,
        breaks=tuple(found),
    )


__all__ = ["Break", "Verification", "newest_hash", "verify"]
