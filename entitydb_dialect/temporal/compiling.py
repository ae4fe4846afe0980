"""What a dialect's compiler needs of temporal entities.

A compiler that can read history tables takes `TemporalCompiler` among its bases, before SQLAlchemy's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import exc
from sqlalchemy.sql.elements import BindParameter, ColumnClause
from sqlalchemy.sql.selectable import Alias, FromGrouping, Join
from sqlalchemy.sql.visitors import iterate

from .criteria import with_past_criteria
from .joins import refuse_mixed_joins
from .tables import AS_OF, HistoryAlias, is_history


class TemporalCompiler:
    """The part of a compiler that renders references to history tables."""

    def visit_select(self, select_stmt: Any, *args: Any, **kw: Any) -> str:
        if not self.stack:  # type: ignore[attr-defined]
            select_stmt = with_past_criteria(select_stmt)
        refuse_mixed_joins(select_stmt)
        return str(super().visit_select(select_stmt, *args, **kw))  # type: ignore[misc]

    def visit_join(self, join: Any, *args: Any, **kw: Any) -> str:
        right = join.right.element if isinstance(join.right, FromGrouping) else join.right
        if isinstance(right, Join) and self._one_moment() is None:
            self._refuse_nested(right)
        return str(super().visit_join(join, *args, **kw))  # type: ignore[misc]

    def _refuse_nested(self, join: Join) -> None:
        """SQLite does not show the tables of a join in parentheses what stands outside of them: here, the moment."""
        for leaf in _leaves(join):
            dated = isinstance(leaf, HistoryAlias) and not any(_is_column(one) for one in leaf.arguments)
            if (isinstance(leaf, HistoryAlias) and not dated) or is_history(_unaliased(leaf)):
                raise exc.CompileError(
                    "a joined load or a join of several tables within a statement of several moments, or of versions: "
                    "load the relationship by selectinload(), or join its tables one by one"
                )

    def visit_history_alias(self, alias: HistoryAlias, asfrom: bool = False, **kw: Any) -> str:
        if not asfrom:
            return str(super().visit_alias(alias, asfrom=asfrom, **kw))  # type: ignore[misc]
        kw["history_arguments"] = self._arguments(alias.arguments)
        return str(super().visit_alias(alias, asfrom=True, **kw))  # type: ignore[misc]

    def visit_table(self, table: Any, asfrom: bool = False, history_arguments: str | None = None, **kw: Any) -> str:
        text: str = super().visit_table(table, asfrom=asfrom, **kw)  # type: ignore[misc]
        if not is_history(table) or not asfrom:
            return text
        if history_arguments is None:
            moment = self._one_moment()
            history_arguments = "" if moment is None else self._arguments([moment])
        if self.preparer.schema_for_object(table) is None:  # type: ignore[attr-defined]
            # A common table expression of this name must not stand in its place.
            text = f"main.{text}"
        return text + history_arguments

    def _arguments(self, arguments: list[Any]) -> str:
        return "(" + ", ".join(self.process(one) for one in arguments) + ")"  # type: ignore[attr-defined]

    def _one_moment(self) -> BindParameter[Any] | None:
        """The moment of all temporal entities of the statement; None: they have several, or none."""
        moments: dict[str, BindParameter[Any]] = {}
        for element in iterate(self.stack[0]["selectable"]):  # type: ignore[attr-defined]
            if isinstance(element, HistoryAlias):
                moment = element.arguments[0]
                if getattr(moment, "key", None) == AS_OF:
                    continue  # that of another entity
                if len(element.arguments) > 1 or not isinstance(moment, BindParameter):
                    return None
                moments[moment.key] = moment
        return moments.popitem()[1] if len(moments) == 1 else None


def _leaves(element: Any) -> Iterator[Any]:
    """The tables and aliases of a join."""
    if isinstance(element, FromGrouping):
        yield from _leaves(element.element)
    elif isinstance(element, Join):
        yield from _leaves(element.left)
        yield from _leaves(element.right)
    else:
        yield element


def _unaliased(element: Any) -> Any:
    return element.element if isinstance(element, Alias) else element


def _is_column(argument: Any) -> bool:
    return isinstance(argument, ColumnClause) and argument.table is not None


__all__ = ["TemporalCompiler"]
