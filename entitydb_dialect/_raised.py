"""What SQLAlchemy raises for the exceptions of our own: one class for each, which is both.

SQLAlchemy puts its own OperationalError around a SerializationFailure, so `except SerializationFailure` would miss it.
Here it is a WrappedSerializationFailure: SQLAlchemy's OperationalError, with everything that has, and a
SerializationFailure. `.orig` is the driver's exception, as ever.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import event, exc

from . import _exceptions as ex


# DontWrapMixin: it is an exception of the driver by its second parent, and would be wrapped once more on the way out.
class WrappedSerializationFailure(exc.OperationalError, ex.SerializationFailure, exc.DontWrapMixin):
    """A SerializationFailure, as SQLAlchemy raises it."""


class WrappedHorizonError(exc.OperationalError, ex.HorizonError, exc.DontWrapMixin):
    """A HorizonError, as SQLAlchemy raises it."""


class WrappedPastWriteError(exc.ProgrammingError, ex.PastWriteError, exc.DontWrapMixin):
    """A PastWriteError, as SQLAlchemy raises it."""


class WrappedDamageError(exc.DatabaseError, ex.DamageError, exc.DontWrapMixin):
    """A DamageError, as SQLAlchemy raises it."""


_WRAPPED: dict[type, Any] = {
    ex.SerializationFailure: WrappedSerializationFailure,
    ex.HorizonError: WrappedHorizonError,
    ex.PastWriteError: WrappedPastWriteError,
    ex.DamageError: WrappedDamageError,
}


def listen(dialect: Any) -> None:
    """Has a dialect object raise them."""
    event.listen(dialect, "handle_error", _raised)


def _raised(context: Any) -> Any:
    """SQLAlchemy's handler of errors: what to raise instead, or None."""
    plain, kind = context.sqlalchemy_exception, _WRAPPED.get(type(context.original_exception))
    if kind is None or plain is None:
        return None
    error = kind(
        plain.statement,
        plain.params,
        plain.orig,
        plain.hide_parameters,
        connection_invalidated=plain.connection_invalidated,
        code=plain.code,
        ismulti=plain.ismulti,
    )
    error.detail = plain.detail
    for name in ("sqlite_errorcode", "sqlite_errorname", "engine_code", "engine_name"):
        setattr(error, name, getattr(plain.orig, name))
    return error


__all__ = [
    "WrappedDamageError",
    "WrappedHorizonError",
    "WrappedPastWriteError",
    "WrappedSerializationFailure",
    "listen",
]
