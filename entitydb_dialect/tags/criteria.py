"""Criteria for WHERE: the objects with a tag, with all of several, with any, or as an expression says.

Each is `id IN (SELECT entity FROM entitydb_tagged(type, expression))`. The engine merges the sorted lists of the tags
and gives the entities, so it costs what the lists cost and not what the table does. Type and expression are bind
parameters: a statement is compiled once for all tags.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    BindParameter,
    Integer,
    Text,
    and_,
    column,
    exc,
    false,
    func,
    inspect,
    literal,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.util import AliasedInsp, _WrapUserEntity
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.operators import ColumnOperators
from sqlalchemy.types import TypeDecorator

from .entities import EntityTable, entity_tables, identities
from .texts import TagError, term


class _Term(TypeDecorator[str]):
    """A tag as a parameter: sent as an expression."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str:
        return term(value)


def tagged(entity: Any, tag: Any) -> ColumnElement[bool]:
    """The objects that have a tag.

    Args:
        entity: a mapped class or an alias of one. A class with an integer key need not be `Tagged`.
        tag: the tag, such as "status:live"; with a "*" at the end all tags that begin so, such as "rbac:perm:*"; an
            `exact_tag` where the "*" is meant. Or a `bindparam()` that will have one of these.

    Returns:
        A criterion for the WHERE of any statement, for exists(), with_loader_criteria() and the rest.

    Raises:
        TagError: it is not a tag. For a bindparam() the execution raises it, as StatementError.
        ArgumentError: it is not a mapped class, or its row id is not mapped.

    Example:
        session.scalars(select(Article).where(tagged(Article, "status:live"), ~tagged(Article, "hidden")))
    """
    if isinstance(tag, str):
        term(tag)
    return _criterion(entity, _parameter(tag, _Term()))


def tagged_all(entity: Any, tags: Iterable[str]) -> ColumnElement[bool]:
    """The objects that have all of several tags, each as in `tagged`; of no tags: all objects."""
    terms = _terms(tags)
    return _criterion(entity, literal(" & ".join(terms), Text())) if terms else true()


def tagged_any(entity: Any, tags: Iterable[str]) -> ColumnElement[bool]:
    """The objects that have one of several tags or more, each as in `tagged`; of no tags: no object."""
    terms = _terms(tags)
    return _criterion(entity, literal(" | ".join(terms), Text())) if terms else false()


def tagged_expression(entity: Any, expression: Any) -> ColumnElement[bool]:
    """The objects that an expression over tags means.

    Args:
        entity: as in `tagged`.
        expression: tags with `&` (both), `|` (one of them), `!` (not) and parentheses; `&` binds more than `|`. A tag
            with a blank or one of these characters is written in double quotes, and a quote in it is doubled. A "*"
            directly behind a tag means all that begin so. Or a `bindparam()`.

    Returns:
        A criterion. Where the expression cannot be read, the statement raises ProgrammingError, which names the place.

    Example:
        select(Article).where(tagged_expression(Article, 'status:live & (topic:* | "to read") & !hidden'))
    """
    return _criterion(entity, _parameter(expression, Text()))


def _terms(tags: Iterable[str]) -> list[str]:
    if isinstance(tags, (str, bytes)):
        raise TagError(f"{tags!r} is one tag, where several are expected: write [{tags!r}]")
    return [term(tag) for tag in tags]


def _parameter(text: Any, type_: Any) -> ColumnElement[str]:
    if not isinstance(text, (str, ColumnOperators)):
        raise TagError(f"{text!r} is not a text")
    coerced = type_coerce(text, type_)
    if not isinstance(coerced.clause, BindParameter):
        raise exc.ArgumentError(f"{text!r} is neither a text nor a bindparam()")
    return coerced


def _criterion(entity: Any, expression: ColumnElement[str]) -> ColumnElement[bool]:
    if isinstance(entity, _WrapUserEntity):
        # with_loader_criteria() tries what a lambda does, with something in place of the class. Only parameters count.
        return _is_tagged(literal(0), "", expression)
    mapper = mapper_of(entity)
    tables = entity_tables(mapper)
    criteria = [_is_tagged(row_id_of(entity, table), table.type, expression) for table in tables]
    if len(tables) == 1:
        return criteria[0]
    # Rows of a union of tables, whose row ids say nothing without the class.
    discriminator = inspect(entity).selectable.corresponding_column(mapper.polymorphic_on)
    kinds = [discriminator.in_(identities(mapper, table)) for table in tables]
    return or_(*(and_(kind, criterion) for kind, criterion in zip(kinds, criteria, strict=True)))


def _is_tagged(row_id: Any, type_: str, expression: ColumnElement[str]) -> ColumnElement[bool]:
    found = func.entitydb_tagged(literal(type_, Text()), expression).table_valued(column("entity", Integer))
    criterion: ColumnElement[bool] = row_id.in_(select(found.c.entity))
    return criterion


def mapper_of(entity: Any) -> Mapper[Any]:
    """The mapper of a mapped class or of an alias of one.

    Raises:
        ArgumentError: it is none.
    """
    inspected = inspect(entity, raiseerr=False)
    if not isinstance(inspected, (Mapper, AliasedInsp)):
        raise exc.ArgumentError(f"{entity!r} is not a mapped class or an alias of one")
    return inspected.mapper


def row_id_of(entity: Any, table: EntityTable) -> Any:
    """The attribute of a mapped class or of an alias that is the row id in a table.

    Raises:
        ArgumentError: there is none.
    """
    if table.row_id.table is not None:
        attribute = getattr(inspect(entity).entity, table.row_id_key, None)
        if attribute is not None:
            return attribute
    raise exc.ArgumentError(
        f"{entity!r} does not map the row id of the table {table.type}: make the class `Tagged`, or ask for each of "
        "its concrete subclasses"
    )


__all__ = ["mapper_of", "row_id_of", "tagged", "tagged_all", "tagged_any", "tagged_expression"]
