"""One thread at a time: every public method of a connection and of its cursors holds the connection's session.

Nobody waits for it. A second thread is told that it has no business here, instead of finding handles half changed. The
thread that holds it may come again, because a function called by SQL may use the connection; but not the cursor whose
statement calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import apsw

from .. import _exceptions as ex
from ._errors import CODES, engine_error, translate

if TYPE_CHECKING:
    from ._session import Session

_P = ParamSpec("_P")
_R = TypeVar("_R")
_S = TypeVar("_S")


def in_use(session: Session) -> ex.Error:
    """What a method raises that does not get the lock."""
    if session.inherited():  # the thread that held it is not here
        return engine_error(CODES["FORKED"], "the connection was inherited through fork(); open anew in the child")
    return ex.ProgrammingError("another thread is using this connection; a connection serves one thread at a time")


def recursive() -> ex.Error:
    """What a method raises of a cursor that is executing."""
    return ex.ProgrammingError(
        "Recursive use of cursors not allowed: a function called by a statement can use other cursors of the "
        "connection, and not the one that executes it"
    )


def exclusive(method: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[_S, _P], _R]:
    """A method of a connection, under its lock."""

    @wraps(method)
    def call(self: _S, /, *args: _P.args, **kw: _P.kwargs) -> _R:
        session: Session = self._session  # type: ignore[attr-defined]
        if not session.acquire():
            raise in_use(session)
        try:
            return method(self, *args, **kw)
        except apsw.Error as error:
            raise translate(error) from error
        finally:
            session.release()

    return call


def of_one_cursor(method: Callable[Concatenate[_S, _P], _R]) -> Callable[Concatenate[_S, _P], _R]:
    """A method of a cursor, under its connection's lock, and not while the cursor executes."""

    @wraps(method)
    def call(self: Any, /, *args: _P.args, **kw: _P.kwargs) -> _R:
        session: Session = self._session
        if not session.acquire():
            raise in_use(session)
        try:
            if self._executing:
                raise recursive()
            self._executing = True
            try:
                return method(self, *args, **kw)
            finally:
                self._executing = False
        except apsw.Error as error:
            raise translate(error) from error
        finally:
            session.release()

    return call


__all__ = ["exclusive", "in_use", "of_one_cursor", "recursive"]
