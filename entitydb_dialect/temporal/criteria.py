"""with_loader_criteria() of a model holds for its past classes too: a tenant's filter leaks nobody's past."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect
from sqlalchemy.orm import LoaderCriteriaOption, Mapper

from ..history.past_models import known_past_class
from .expressions import of_the_past

if TYPE_CHECKING:
    from typing_extensions import Self


class _PastCriteria(LoaderCriteriaOption):
    """The criteria of an option for the past classes of the models it is for.

    They hold for `temporal()` entities whatever `include_aliases` says: they are no second reading of something that
    the criteria hold for already.
    """

    __slots__ = ("original",)
    original: LoaderCriteriaOption
    _traverse_internals = LoaderCriteriaOption._traverse_internals  # what the key of a cached statement is made of

    def __init__(self) -> None:
        """Empty; of() fills it. The arguments of such a class have to be what its key is made of."""

    @classmethod
    def of(cls, original: LoaderCriteriaOption) -> Self:
        made = cls()
        for name in LoaderCriteriaOption.__slots__:
            if hasattr(original, name):
                setattr(made, name, getattr(original, name))
        made.original = original
        made.include_aliases = True
        return made

    def _all_mappers(self) -> Iterator[Mapper[Any]]:
        for mapper in self.original._all_mappers():
            past = known_past_class(mapper.class_)
            if past is not None:
                yield inspect(past)

    def _resolve_where_criteria(self, ext_info: Any) -> Any:
        # A lambda may name the model instead of its argument.
        return of_the_past(super()._resolve_where_criteria(ext_info), ext_info.mapper)


def with_past_criteria(statement: Any) -> Any:
    """A statement with the criteria of its options for past classes too."""
    options = [o for o in getattr(statement, "_with_options", ()) if isinstance(o, LoaderCriteriaOption)]
    # SQLAlchemy finds the parameters of loader options by their places among those of the statement: ours come last.
    past = [one for one in map(_PastCriteria.of, options) if any(one._all_mappers())]
    return statement.options(*past) if past else statement


__all__ = ["with_past_criteria"]
