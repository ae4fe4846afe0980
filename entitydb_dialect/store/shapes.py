"""What rows, ids and tags may be given as, brought to the one form that the driver takes."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias

from .._exceptions import ProgrammingError

Row: TypeAlias = Mapping[str, Any] | Sequence[Any]
Tags: TypeAlias = Iterable[str] | Iterable[Iterable[str]]


def _of_mappings(rows: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Rows that have the same keys; the first says which."""
    names = tuple(rows[0])
    if not names:
        raise ProgrammingError("a row without a value cannot be put: give one column at least, None will do")
    take = itemgetter(*names)
    try:
        found = list(map(take, rows)) if len(names) > 1 else [(take(row),) for row in rows]
    except KeyError as error:
        at = next(i for i, row in enumerate(rows) if error.args[0] not in row)
        raise ProgrammingError(f"row {at} has no value for {error.args[0]}, which row 0 has") from None
    width = len(names)
    if any(len(row) != width for row in rows):
        at = next(i for i, row in enumerate(rows) if len(row) != width)
        more = next(name for name in rows[at] if name not in rows[0])
        raise ProgrammingError(f"row {at} has a value for {more}, which row 0 has not")
    return names, found


def tuples_of(
    rows: Iterable[Row], columns: Sequence[str] | None, all_columns: Sequence[str]
) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    """The columns, and a tuple of their values for each row.

    Args:
        rows: mappings with the same keys, or sequences of values in the order of `columns`.
        columns: of sequences; None: all of the table's.
    """
    listed: list[Any] = rows if isinstance(rows, list) else list(rows)
    if not listed:
        return (), []
    if isinstance(listed[0], Mapping):
        if columns is not None:
            raise ProgrammingError("rows that are mappings name their columns themselves")
        return _of_mappings(listed)
    if isinstance(listed[0], tuple):
        return all_columns if columns is None else columns, listed
    return all_columns if columns is None else columns, [tuple(row) for row in listed]


def tags_of(tags: Tags, count: int) -> tuple[list[Any], bool]:
    """The tags as lists, and whether they are a list for each row."""
    if isinstance(tags, str):
        raise ProgrammingError(f"the tags are the text {tags!r}; give a list of texts")
    listed = list(tags)
    if all(isinstance(tag, str) for tag in listed):
        return listed, False
    apart = [list(of_row) if not isinstance(of_row, str) else of_row for of_row in listed]
    if len(apart) != count or any(isinstance(of_row, str) for of_row in apart):
        raise ProgrammingError(f"the tags are neither texts for every row nor a list for each of the {count} rows")
    if not all(type(tag) is str for tag in chain.from_iterable(apart)):
        wrong = next(tag for tag in chain.from_iterable(apart) if type(tag) is not str)
        raise ProgrammingError(f"{wrong!r} is no tag: a tag is a str")
    return apart, True


def ids_of(ids: Any) -> Any:
    """A buffer of int64: what is one is taken as it is, anything else is converted."""
    try:
        view = memoryview(ids)
    except TypeError:
        view = None
    if view is not None and view.contiguous and view.ndim == 1 and view.itemsize == 8 and view.format in ("q", "l"):
        return ids
    try:
        return array("q", ids.tolist() if hasattr(ids, "tolist") else ids)
    except (TypeError, OverflowError) as error:
        raise ProgrammingError(f"the ids are no integers of 64 bits: {error}") from None


__all__ = ["Row", "Tags", "ids_of", "tags_of", "tuples_of"]
