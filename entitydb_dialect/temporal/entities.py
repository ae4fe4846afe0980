"""temporal() and versions(): a model at a moment, or its versions, as entities of any select()."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar, overload

from sqlalchemy import BigInteger, ColumnElement, Table, Text, exc, func, inspect, literal
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.orm.util import AliasedClass, AliasedInsp
from sqlalchemy.sql.selectable import FromClause, Join, Subquery
from sqlalchemy.sql.util import ClauseAdapter

from .._moments import name_of
from ..history import Moment, to_ns
from ..history.moments import refuse_inverted
from .lineage import Interval, joined_versions, tables_of
from .tables import OPERATION, TRANSACTION, VALID_FROM, VALID_TO, HistoryAlias, at_moment, moment_bind, over_versions
from .twins import past_class

T = TypeVar("T")

# A moment, or a column of another table with nanoseconds.
MomentOrColumn: TypeAlias = "Moment | ColumnElement[int] | InstrumentedAttribute[int]"


@dataclass(frozen=True)
class Versions(Generic[T]):
    """The versions of a model, and the columns that say when and how each came to be.

    Attributes:
        entity: the model's versions, for select(); its objects are of the model's past class, one for each version.
        valid_from: when the version began, in nanoseconds since 1970 UTC, included.
        valid_to: when it ended, excluded; NULL while it is current.
        operation: 'insert', 'update' or 'delete'. A deletion is a version with the deleted values that begins and ends
            when it happened.
        transaction_id: the number of the commit that began it.
    """

    entity: type[T]
    valid_from: ColumnElement[int]
    valid_to: ColumnElement[int | None]
    operation: ColumnElement[str]
    transaction_id: ColumnElement[int]


class Temporal(Generic[T]):
    """A model through time, to be said of which time: see `temporal()`."""

    def __init__(self, model: type[T]) -> None:
        self._past = past_class(model)

    def at(self, moment: MomentOrColumn) -> type[T]:
        """The model as of a moment; `temporal(Model, as_of=moment)` is the same."""
        column = _moment(moment)
        return _entity(self._past, lambda history: at_moment(history, column))

    def between(self, first: MomentOrColumn, last: MomentOrColumn) -> type[T]:
        """The versions that were valid at some time from `first` to `last`, both included.

        A date or text that is coarser than a nanosecond counts whole, here and below.
        """
        return self._versions("between", first, last)

    def from_to(self, first: MomentOrColumn, last: MomentOrColumn) -> type[T]:
        """The versions that were valid at some time from `first`, included, to `last`, excluded."""
        return self._versions("from to", first, last)

    def contained_in(self, first: MomentOrColumn, last: MomentOrColumn) -> type[T]:
        """The versions that began at or after `first` and ended at or before `last`."""
        return self._versions("contained in", first, last)

    def all(self) -> type[T]:
        """All versions. `versions()` has deletions too, and the columns."""
        return _versions_of(self._past, Interval("all"))

    def _versions(self, kind: str, first: MomentOrColumn, last: MomentOrColumn) -> type[T]:
        if not any(_is_column(moment) or name_of(moment) for moment in (first, last)):
            begin, end = to_ns(first, start=True), to_ns(last)  # type: ignore[arg-type]
            refuse_inverted((begin, first), (end, last))
        interval = Interval(kind, _moment(first, start=True), _moment(last, start=kind == "from to"))
        return _versions_of(self._past, interval)


@overload
def temporal(model: type[T]) -> Temporal[T]: ...
@overload
def temporal(model: type[T], *, as_of: MomentOrColumn) -> type[T]: ...
def temporal(model: type[T], *, as_of: MomentOrColumn | None = None) -> Any:
    """A model as of a moment, or its versions of a time, as an entity to select from and to join.

    It stands in a statement where an aliased class does. Each has a moment of its own, so one statement can join a
    model at several moments, and to itself of now. Its objects are of the model's past class: they are read-only, have
    the moment in their identity, and whatever is loaded for them later, and however, is of that moment.

    Args:
        model: a mapped class.
        as_of: a moment (see `resolve`), included; or a column with nanoseconds of what it is joined to. None: call
            `.between()`, `.from_to()`, `.contained_in()` or `.all()` on what is returned.

    Raises:
        ArgumentError: it is no moment, or the model is not mapped to a table.

    Example:
        then = temporal(Product, as_of=last_year)
        select(Product.name, then.price, Product.price).join(then, then.id == Product.id)
    """
    if as_of is None:
        return Temporal(model)
    return Temporal(model).at(as_of)


def versions(model: type[T]) -> Versions[T]:
    """Every version of a model's rows, each an object, with the columns that say when and how it came to be.

    Args:
        model: a mapped class: all versions and deletions. Or an entity of `temporal()`: the columns of its versions.

    Raises:
        ArgumentError: the model is not mapped to a table; or the entity has several tables and one moment, so that its
            rows are of no one version.

    Example:
        v = versions(Product)
        select(v.entity, v.valid_from, v.operation).where(v.entity.id == 7).order_by(v.valid_from)
    """
    insp = inspect(model, raiseerr=False)
    entity = model if isinstance(insp, AliasedInsp) else _versions_of(past_class(model), Interval("changes"))
    selectable = inspect(entity).selectable
    if not isinstance(selectable, (HistoryAlias, Subquery)) or VALID_FROM not in selectable.c:
        raise exc.ArgumentError(f"{model!r} has no columns of versions; use versions() of the mapped class")
    columns = (selectable.c[key] for key in (VALID_FROM, VALID_TO, OPERATION, TRANSACTION))
    return Versions(entity, *columns)


def _versions_of(past: type[T], interval: Interval) -> type[T]:
    mapper = inspect(past)
    if len(tables_of(mapper)) > 1:
        versions = joined_versions(mapper, interval)
        mappers = list(mapper.self_and_descendants)
        return AliasedClass(mapper, versions, with_polymorphic_mappers=mappers)  # type: ignore[return-value]
    return _entity(past, lambda history: over_versions(history, *interval))


def _entity(past: type[T], reference: Callable[[Table], HistoryAlias]) -> type[T]:
    mapper = inspect(past)
    return AliasedClass(mapper, _references(mapper._with_polymorphic_selectable, reference))  # type: ignore[return-value]


def _references(selectable: FromClause, reference: Callable[[Table], HistoryAlias]) -> FromClause:
    """What a past class is mapped to, with a reference in the place of each history table."""
    if isinstance(selectable, Join):
        left, right = _references(selectable.left, reference), _references(selectable.right, reference)
        on = ClauseAdapter(left).chain(ClauseAdapter(right)).traverse(selectable.onclause)
        return Join(left, right, on, isouter=selectable.isouter, full=selectable.full)
    assert isinstance(selectable, Table)
    return reference(selectable)


def _is_column(moment: Any) -> bool:
    return isinstance(moment, ColumnElement) or hasattr(moment, "__clause_element__")


def _moment(moment: Any, *, start: bool = False) -> ColumnElement[Any]:
    if name_of(moment) is not None:  # what it means only the database knows
        return func.entitydb_moment(literal(moment, Text()), type_=BigInteger())
    if not _is_column(moment):
        return moment_bind(to_ns(moment, start=start))
    return moment.__clause_element__() if hasattr(moment, "__clause_element__") else moment  # type: ignore[no-any-return]


__all__ = ["Temporal", "Versions", "temporal", "versions"]
