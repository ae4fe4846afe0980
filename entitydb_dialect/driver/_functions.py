"""What users of the sqlite3 module reach for on a connection besides statements: functions, collations, limits.

All of it goes to the SQLite connection underneath, where it lives as long as that does. Functions may use the
connection themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import apsw

from .. import _exceptions as ex
from ._errors import translate
from ._use import exclusive

if TYPE_CHECKING:
    from ._session import Session


class _Lazy:
    """The state of an aggregate: its object is made for the first row."""

    def __init__(self, new: Callable[[], Any]) -> None:
        self.new = new
        self.made: Any = None

    def step(self, *values: Any) -> None:
        if self.made is None:
            self.made = self.new()
        self.made.step(*values)

    def finalize(self) -> Any:
        return None if self.made is None else self.made.finalize()


def _check_int32(name: str, value: int) -> None:
    if not -(1 << 31) <= value < 1 << 31:
        raise ex.DataError(f"{name} is {value}, too large for SQLite")


class Functions:
    """A part of Connection."""

    _session: Session

    # ---- functions ----

    @exclusive
    def create_function(
        self, name: str, narg: int, func: Callable[..., Any] | None, *, deterministic: bool = False
    ) -> None:
        """Makes a Python function callable from SQL; None takes it back.

        Args:
            name: in SQL; the case of letters does not matter.
            narg: how many arguments it takes; -1: any number.
            func: gets None, int, float, str or bytes, and returns one of them.
            deterministic: it returns the same for the same arguments, so that SQLite need not call it for every row.
        """
        self._session.check_open()
        self._tell(self._session.raw.create_scalar_function, name, func, narg, deterministic=deterministic)

    @exclusive
    def create_aggregate(self, name: str, n_arg: int, aggregate_class: Callable[[], Any] | None) -> None:
        """Makes a class with `step` and `finalize` an aggregate, NULL over no rows; None takes it back."""
        self._session.check_open()
        start = None
        if aggregate_class is not None:
            new = aggregate_class

            def start() -> tuple[Any, Callable[..., None], Callable[[Any], Any]]:
                return _Lazy(new), _Lazy.step, _Lazy.finalize

        self._tell(self._session.raw.create_aggregate_function, name, start, n_arg)
        self._keep_aggregate(name, n_arg, start is not None)

    @exclusive
    def create_window_function(self, name: str, num_params: int, aggregate_class: Callable[[], Any] | None, /) -> None:
        """Makes a class with `step`, `inverse`, `value` and `finalize` an aggregate window function; None takes it
        back."""
        self._session.check_open()
        start = None
        if aggregate_class is not None:
            new = aggregate_class

            def start() -> tuple[Any, ...]:
                return (
                    new(),
                    lambda state, *values: state.step(*values),
                    lambda state: state.finalize(),
                    lambda state: state.value(),
                    lambda state, *values: state.inverse(*values),
                )

        self._tell(self._session.raw.create_window_function, name, start, num_params)
        self._keep_aggregate(name, num_params, start is not None)

    def _keep_aggregate(self, name: str, n_arg: int, made: bool) -> None:
        known = self._session.aggregates.setdefault(name.lower(), set())
        (known.add if made else known.discard)(n_arg)
        if not known:
            del self._session.aggregates[name.lower()]

    @exclusive
    def create_collation(self, name: str, callback: Callable[[str, str], int] | None) -> None:
        """Makes a Python collation usable in queries; None takes it back. Columns and indexes cannot have it: their
        order would depend on code that the file does not hold."""
        self._session.check_open()
        self._tell(self._session.raw.create_collation, name, callback)
        known = self._session.collations
        (known.discard if callback is None else known.add)(name.lower())

    def _tell(self, tell: Callable[..., None], *arguments: Any, **options: Any) -> None:
        try:
            tell(*arguments, **options)
        except apsw.MisuseError as error:
            raise ex.ProgrammingError(f"SQLite refuses the name {arguments[0]!r} or the number of arguments") from error
        except (apsw.Error, UnicodeEncodeError) as error:
            raise translate(error) from error
        self._session.functions_changed()

    # ---- SQLite's own knobs ----

    @exclusive
    def set_progress_handler(self, handler: Callable[[], object] | None, n: int) -> None:
        """Has `handler` called every `n` steps of SQLite's machine; what runs is interrupted when it returns something
        true. None takes it back."""
        self._session.check_open()
        if handler is None:
            self._session.raw.set_progress_handler(None)
        else:
            called = handler
            _check_int32("n", n)
            self._session.raw.set_progress_handler(lambda: bool(called()), n)

    @exclusive
    def getlimit(self, category: int, /) -> int:
        """One of SQLite's limits (sqlite3.SQLITE_LIMIT_...)."""
        self._session.check_open()
        return self._limit(category, -1)

    @exclusive
    def setlimit(self, category: int, limit: int, /) -> int:
        """Sets one of SQLite's limits for statements of this connection. -> what it was."""
        self._session.check_open()
        return self._limit(category, limit)

    def _limit(self, category: int, limit: int) -> int:
        if category not in range(12):
            raise ex.ProgrammingError("'category' is out of bounds")
        _check_int32("limit", limit)
        return int(self._session.raw.limit(category, limit))

    @exclusive
    def enable_load_extension(self, enable: bool, /) -> None:
        """Whether load_extension() and the SQL function of that name may be used."""
        self._session.check_open()
        self._session.raw.enable_load_extension(enable)

    @exclusive
    def load_extension(self, name: str, /, *, entrypoint: str | None = None) -> None:
        """Loads an extension of SQLite into this connection. Virtual tables of its modules must be TEMP."""
        self._session.check_open()
        self._tell(self._session.raw.load_extension, name, entrypoint)


__all__ = ["Functions"]
