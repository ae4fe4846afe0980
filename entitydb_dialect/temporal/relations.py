"""The relationships of past classes: those of the model, tied to the moment of the object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Table, and_, exc
from sqlalchemy.orm import Mapper, RelationshipProperty, foreign, relationship, remote
from sqlalchemy.orm.interfaces import MANYTOONE

from .comparing import past_comparator
from .expressions import over_history, own_tables
from .tables import AS_OF, history_table

PastClass = Callable[[type[Any]], type[Any]]


def past_relationship(prop: RelationshipProperty[Any], past_class: PastClass) -> RelationshipProperty[Any]:
    """A relationship of a model for the past class of the model.

    What it loads has the moment of the object that it is loaded for: beside the conditions of the model the two `as_of`
    are equal. It is viewonly.

    Args:
        past_class: gives the past class of a model.

    Raises:
        ArgumentError: the relationship is joined by columns of what is no table.
    """
    target = prop.mapper
    tables = own_tables(prop.parent) | own_tables(target)
    local_table = _table(prop.local_remote_pairs[0][0], prop)
    local = history_table(local_table).c[AS_OF]
    options: dict[str, Any] = {}
    if prop.secondary is not None:
        secondary = history_table(prop.secondary)
        tables.add(prop.secondary)  # type: ignore[arg-type]
        between = remote(foreign(secondary.c[AS_OF]))
        target_pair = next(pair for pair in prop.secondary_synchronize_pairs or ())
        far = history_table(_table(target_pair[0], prop)).c[AS_OF]
        options["secondary"] = secondary
        options["secondaryjoin"] = and_(over_history(prop.secondaryjoin, tables, local), between == far)
        tie = local == between
    else:
        far = history_table(_table(prop.local_remote_pairs[0][1], prop)).c[AS_OF]
        tie = foreign(local) == remote(far) if prop.direction is MANYTOONE else local == remote(foreign(far))
    if prop.order_by:
        options["order_by"] = [over_history(one, tables, far) for one in prop.order_by]
    if prop.query_class is not None:
        options["query_class"] = prop.query_class
    return relationship(
        lambda: past_class(target.class_),
        primaryjoin=and_(over_history(prop.primaryjoin, tables, local), tie),
        viewonly=True,
        uselist=prop.uselist,
        collection_class=prop.collection_class,
        lazy=_lazy(prop, target),
        innerjoin=prop.innerjoin,
        join_depth=prop.join_depth,
        omit_join=prop.omit_join if prop.omit_join is False else None,
        distinct_target_key=prop.distinct_target_key,
        comparator_factory=past_comparator(prop.comparator_factory),  # type: ignore[arg-type]
        info=dict(prop.info),
        doc=prop.doc,
        **options,
    )


def _table(column: Any, prop: RelationshipProperty[Any]) -> Table:
    if not isinstance(column.table, Table):
        raise exc.ArgumentError(f"{prop} joins {column.table!r}, which is not a table")
    return column.table


def _lazy(prop: RelationshipProperty[Any], target: Mapper[Any]) -> Any:
    """How it is loaded if the query says nothing.

    A joined load over several tables needs the moment of the statement inside a parenthesis, where only a statement of
    one moment has it (compiling.py); what the model asks for must work with any statement.
    """
    if prop.lazy in ("joined", False) and (prop.secondary is not None or len(target._with_polymorphic_mappers) > 1
                                           or target.local_table is not target.persist_selectable):  # fmt: skip
        return "selectin"
    return prop.lazy


__all__ = ["past_relationship"]
