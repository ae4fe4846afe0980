"""What the engine is told of a connection's commits: who and why.

Three say it. What is nearer to the transaction wins, key by key: SQL in the transaction (`SELECT
entitydb_transaction_info(...)`), the blocks around the code that commits, and the source that a layer above has given,
which the dialect asks for the `info` of the Session.

The engine keeps what it was told. So it is told before everything that may commit, and only when it is something else
than before. What SQL said belongs to the transaction and goes back with its savepoints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._native import ffi, lib
from .._transaction_info import Members, current, members_of, metadata_of
from ._errors import check

_NOTHING: Members = {}


class TransactionInfo:
    """That of one connection."""

    def __init__(self, engine: Any) -> None:
        self.source: Callable[[], Mapping[str, Any] | None] | None = None
        self._engine = engine
        self._said: Members = _NOTHING  # in SQL
        self._marks: list[tuple[str, Members]] = []  # what had been said at each savepoint, by its name
        self._told: Members = _NOTHING

    def say(self, members: Members) -> None:
        """SQL says more."""
        self._said = {**self._said, **members}

    def follow(self, verb: str, name: str) -> None:
        """After a SAVEPOINT, RELEASE or ROLLBACK TO."""
        if verb == "SAVEPOINT":
            self._marks.append((name.lower(), self._said))
            return
        for at in reversed(range(len(self._marks))):
            if self._marks[at][0] == name.lower():
                if verb == "ROLLBACK TO":
                    self._said = self._marks[at][1]
                    at += 1
                del self._marks[at:]
                return

    def ended(self) -> None:
        """The transaction is over."""
        if self._said or self._marks:
            self._said, self._marks = _NOTHING, []

    def tell(self) -> None:
        """Before what may commit.

        Raises:
            ProgrammingError, DataError: the source says what cannot be kept; nothing is committed then.
        """
        said = current.get() or _NOTHING
        if self.source is not None and (more := self.source()) is not None:
            said = {**members_of(more), **said}
        if self._said:
            said = {**said, **self._said}
        if said is not self._told and said != self._told:
            self._tell(said)
        self._told = said

    def _tell(self, members: Members) -> None:
        texts = (members.get("actor"), members.get("reason"), metadata_of(members))
        if texts == (None, None, None):
            check(lib.edb_conn_info(self._engine, ffi.NULL))
            return
        info = ffi.new("edb_info *")
        kept = []  # as long as the call lasts
        for name, text in zip(("actor", "reason", "metadata"), texts, strict=True):
            if text is not None:
                encoded = text.encode()
                kept.append(ffi.from_buffer(encoded, require_writable=False))
                setattr(info, name, kept[-1])
                setattr(info, f"{name}_size", len(encoded))
        check(lib.edb_conn_info(self._engine, info))


__all__ = ["TransactionInfo"]
