"""Rows as the user wants them: `row_factory`, `text_factory` and Row, as the sqlite3 module has them.

Cursors without either hand rows out as SQLite gives them and know nothing of this; setting one makes a cursor a
ShapedCursor (in _cursor.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, TypeAlias

RowFactory: TypeAlias = Callable[[Any, tuple[Any, ...]], Any]
TextFactory: TypeAlias = Callable[[bytes], Any]


@lru_cache(maxsize=512)
def _places(names: tuple[str, ...]) -> dict[str, int]:
    """Positions by lower-case name; of several columns with one name the first."""
    found: dict[str, int] = {}
    for i, name in enumerate(names):
        found.setdefault(name.lower(), i)
    return found


class Row:
    """A row that can be asked by position, slice and name of a column (in any case of letters): a `row_factory`.

        connection.row_factory = driver.Row
        connection.execute("SELECT 1 AS a").fetchone()["A"]
    """

    __slots__ = ("_names", "_values")

    def __init__(self, cursor: Any, values: tuple[Any, ...], /) -> None:
        self._names = tuple(column[0] for column in cursor.description or ())
        self._values = tuple(values)

    def keys(self) -> list[str]:
        """The columns' names."""
        return list(self._names)

    def __getitem__(self, key: int | slice | str, /) -> Any:
        if isinstance(key, str):
            at = _places(self._names).get(key.lower())
            if at is None:
                raise IndexError("No item with that key")
            return self._values[at]
        return self._values[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return self._names == other._names and self._values == other._values

    def __hash__(self) -> int:
        return hash((self._names, self._values))

    def __repr__(self) -> str:
        items = ", ".join(f"{name}={value!r}" for name, value in zip(self._names, self._values, strict=True))
        return f"<Row {items}>"


__all__ = ["Row", "RowFactory", "TextFactory"]
