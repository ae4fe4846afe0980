"""The versions of a model that has several tables: joined inheritance.

A version of such an object ends when a row in any of its tables changes. So the points in time at which one did are
collected, the tables are joined as of each, and a version lasts until the next point.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Table, and_, case, func, literal_column, null, or_, select, union_all
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.selectable import FromClause, Subquery

from .tables import AS_OF, OPERATION, TRANSACTION, VALID_FROM, VALID_TO, at_moment, over_versions


class Interval(NamedTuple):
    """Which versions: a kind of engine/vtab/history.h and its moments."""

    kind: str
    first: ColumnElement[Any] | None = None
    last: ColumnElement[Any] | None = None


class _Part(NamedTuple):
    table: Table  # a history table
    key: list[Any]  # its columns that are the key of the object
    always: bool  # every object has a row in it


def tables_of(mapper: Mapper[Any]) -> list[_Part]:
    """The history tables of the objects of a past class, those of its subclasses too; the base's is the first."""
    base = mapper.base_mapper
    keys: dict[Any, list[Any]] = {base.local_table: [c for c in base.primary_key if c.key != AS_OF]}
    parts = [_Part(base.local_table, keys[base.local_table], True)]  # type: ignore[arg-type]
    for one in base.self_and_descendants:
        if one.local_table in keys or not (mapper.isa(one) or one.isa(mapper)):
            continue
        pairs: dict[Any, Any] = dict(one._inherits_equated_pairs or ())
        keys[one.local_table] = [pairs[column] for column in keys[one.inherits.local_table]]  # type: ignore[union-attr]
        parts.append(_Part(one.local_table, keys[one.local_table], mapper.isa(one)))  # type: ignore[arg-type]
    return parts


def joined_versions(mapper: Mapper[Any], interval: Interval) -> Subquery:
    """A query of the versions of a past class's objects, with the columns of all its tables."""
    parts = tables_of(mapper)
    points = _points(parts)
    moment: ColumnElement[Any] = points.c[AS_OF]
    joined: FromClause = points
    columns: list[Any] = []
    for number, part in enumerate(parts):
        reference = at_moment(part.table, moment)
        same = and_(*(reference.c[column.key] == points.c[f"key{i}"] for i, column in enumerate(part.key)))
        joined = joined.join(reference, same, isouter=not part.always)
        kept = [c for c in reference.c if c.key not in (VALID_FROM, VALID_TO, OPERATION, TRANSACTION)]
        columns += [column.label(f"t{number}_{column.key}") for column in kept]
    versions = select(*columns, *(points.c[key] for key in (VALID_FROM, VALID_TO, OPERATION, TRANSACTION)))
    return versions.select_from(joined).where(*_in_interval(points, interval)).subquery()


def _points(parts: list[_Part]) -> Subquery:
    """When a row of an object changed: its key, when, how, until when, and the moment to read its tables at.

    The tables of a deleted object are read the nanosecond before the deletion.
    """
    changes = []
    for part in parts:
        table = over_versions(part.table, "changes")
        deleted, inserted = (2, 1) if part.always else (0, 0)
        changes.append(
            select(
                *(table.c[column.key].label(f"key{i}") for i, column in enumerate(part.key)),
                table.c[AS_OF].label("at"),
                case(
                    (table.c[OPERATION] == literal_column("'delete'"), literal_column(str(deleted))),
                    (table.c[OPERATION] == literal_column("'insert'"), literal_column(str(inserted))),
                    else_=literal_column("0"),
                ).label("change"),
                table.c[TRANSACTION].label("number"),
            )
        )
    every = union_all(*changes).subquery()
    key = [every.c[f"key{i}"] for i in range(len(parts[0].key))]
    one = (
        select(*key, every.c.at, func.max(every.c.change).label("change"), func.max(every.c.number).label("number"))
        .group_by(*key, every.c.at)
        .subquery()
    )
    key = [one.c[f"key{i}"] for i in range(len(parts[0].key))]
    is_deletion = one.c.change == literal_column("2")
    following = func.lead(one.c.at).over(partition_by=key, order_by=one.c.at)
    operation = case(
        (is_deletion, literal_column("'delete'")),
        (one.c.change == literal_column("1"), literal_column("'insert'")),
        else_=literal_column("'update'"),
    )
    return select(
        *key,
        case((is_deletion, one.c.at - literal_column("1")), else_=one.c.at).label(AS_OF),
        one.c.at.label(VALID_FROM),
        case((is_deletion, one.c.at), else_=following).label(VALID_TO),
        operation.label(OPERATION),
        one.c.number.label(TRANSACTION),
    ).subquery()


def _in_interval(points: FromClause, interval: Interval) -> list[ColumnElement[bool]]:
    kind, first, last = interval
    if kind == "changes":
        return []
    begun, ended = points.c[VALID_FROM], points.c[VALID_TO]
    found: list[ColumnElement[bool]] = [points.c[OPERATION] != literal_column("'delete'")]
    if kind == "all":
        return found
    assert first is not None
    assert last is not None
    if kind == "contained in":
        return [*found, begun >= first, ended <= last]
    found.append(or_(ended.is_(null()), ended > first))
    if kind == "between":
        return [*found, begun <= last]
    return [*found, begun < last, first < last]


__all__ = ["Interval", "joined_versions", "tables_of"]
