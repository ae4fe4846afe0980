"""Expressions over tables, as expressions over their history tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnClause, ColumnElement, Table, exc, inspect
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.selectable import Alias

from ..history.past_models import model_of
from .tables import AS_OF, ROW, HistoryAlias, at_moment, history_table, is_history


def _original(element: Any) -> Any:
    return element._deannotate() if element._annotations else element


def _is_table_alias(element: Any) -> bool:
    return isinstance(element, Alias) and isinstance(element.element, Table)


def own_tables(mapper: Mapper[Any]) -> set[Table]:
    """The tables of a mapped class, of the classes above it and below it."""
    mappers = mapper.base_mapper.self_and_descendants
    return {table for one in mappers for table in one.tables if isinstance(table, Table)}


def history_column(column: Any) -> Any:
    """The column of the history table that a table's column is, with its marks for relationships."""
    found = history_table(column.table).c[ROW if column.system else column.key]  # SQLite's rowid, oid or _rowid_
    marks: dict[str, Any] = {name: True for name in ("remote", "foreign") if column._annotations.get(name)}
    return found._annotate(marks) if marks else found


def _criterion_column(column: Any, past: Mapper[Any]) -> Any:
    """Likewise, in a criterion of a statement; marked as the past class's, as its attributes are.

    Without the marks a joined load takes it for a column of another entity, and leaves it as it is.
    """
    return history_column(column)._annotate(
        {"parententity": past, "parentmapper": past, "entity_namespace": past, "proxy_key": column.key}
    )


class NoHistory(exc.ArgumentError):
    """An expression cannot be read as of the past."""


def _refuse_shared_table(column: Any) -> None:
    """Refuses a class without a table of its own in a query within an expression.

    SQLAlchemy adds the condition on the discriminator when it compiles the class's columns; those of history tables are
    of no class here, so the query would be of the whole table.
    """
    entity = column._annotations.get("parententity")
    if entity is not None and entity.mapper._single_table_criterion is not None:
        raise NoHistory(
            f"a query in it reads {entity.mapper.class_.__name__}, which shares its table with other classes"
        )


def of_the_past(criterion: Any, past: Mapper[Any]) -> Any:
    """A criterion over a model, as one over its past class.

    Args:
        past: the mapper of the past class.
    """
    if hasattr(criterion, "__clause_element__"):
        criterion = criterion.__clause_element__()
    model: Mapper[Any] = inspect(model_of(past.class_))
    return over_history(criterion, own_tables(model), moment_of_row(model), lambda c: _criterion_column(c, past))


def over_history(
    expression: Any,
    tables: set[Table],
    as_of: ColumnElement[Any],
    own_column: Callable[[Any], Any] = history_column,
) -> Any:
    """An expression of a mapped class over the history tables.

    Args:
        expression: over columns of `tables`; queries in it may have tables of their own.
        tables: those of the row that the expression belongs to.
        as_of: the moment of that row, which the tables of queries are read at.
        own_column: what stands for a column of `tables`.
    """
    inner: dict[Any, HistoryAlias] = {}

    def inner_column(element: Any, table: Any) -> Any:
        _refuse_shared_table(element)
        return alias(table).c[element.key]

    def alias(element: Any) -> HistoryAlias:
        found = inner.get(element)
        if found is None:
            name = element._orig_name if isinstance(element, Alias) else None
            table = element.element if isinstance(element, Alias) else element
            found = inner[element] = at_moment(history_table(table), as_of)
            if name is not None:
                found.name = name
        return found

    def replace(element: Any, **_: Any) -> Any:
        if isinstance(element, ColumnClause) and element.table is not None:
            table = _original(element.table)
            if is_history(table):
                return None
            if isinstance(table, Table):
                return own_column(element) if table in tables else inner_column(element, table)
            return inner_column(element, table) if _is_table_alias(table) else None
        if isinstance(element, Table) and not is_history(element):
            table = _original(element)
            return history_table(table) if table in tables else alias(table)
        return alias(_original(element)) if _is_table_alias(element) else None

    return _replaced(expression, replace)


def _replaced(expression: Any, replace: Callable[[Any], Any]) -> Any:
    """An expression with the elements replaced for which `replace` gives others.

    SQLAlchemy's replacement_traverse() does that but for what is marked "no_replacement_traverse", as criteria of any()
    and has() are. There the mark is against mixing up two readings of a table; here every reading is meant.
    """
    made: dict[int, Any] = {}
    given: list[Any] = []  # kept, so that no other object gets the id of one

    def clone(element: Any, **kw: Any) -> Any:
        if id(element) not in made:
            given.append(element)
            found = replace(element)
            if found is None and "replace" in kw:  # of a select(), whose tables have been replaced
                found = kw["replace"](element)
            if found is None:
                found = made[id(element)] = element._clone(**kw)
                found._copy_internals(clone=clone, **kw)
            made[id(element)] = found
            given.append(found)
            made[id(found)] = found
        return made[id(element)]

    return clone(expression, deferred_copy_internals=lambda element: _replaced(element, replace))


def moment_of_row(mapper: Mapper[Any]) -> Any:
    """The column with the moment of a row of a mapped class, in the history table of its own table."""
    return history_table(mapper.local_table).c[AS_OF]


__all__ = ["NoHistory", "history_column", "moment_of_row", "of_the_past", "over_history", "own_tables"]
