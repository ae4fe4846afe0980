"""Past classes: for each model a class of its objects as of a moment.

A past class is a Python subclass of the model, so its objects have the model's methods, hybrids and association
proxies. It is mapped to the history table with the model's key and the moment as its key. So the past and the present
of a row, and the row at two moments, are different objects of one Session, and whatever is loaded for an object knows
its moment.

It is mapped imperatively in a registry of its own; nothing is added to the model's registry and MetaData. It is made
when it is first asked for, together with the classes that its relationships lead to.
"""

from __future__ import annotations

import copyreg
import threading
from typing import Any, NoReturn, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Table, and_, exc, inspect
from sqlalchemy.orm import (
    ColumnProperty,
    CompositeProperty,
    Mapper,
    RelationshipProperty,
    SynonymProperty,
    column_property,
    composite,
    registry,
    synonym,
)
from sqlalchemy.orm.descriptor_props import ConcreteInheritedProperty

from ..history.past_models import OWN, Past, model_of
from .comparing import PastRelationship
from .expressions import NoHistory, history_column, moment_of_row, over_history, own_tables
from .guards import guard_past, guard_present
from .relations import past_relationship
from .tables import AS_OF, has_history, history_table

T = TypeVar("T")

# In the info of a property that past classes cannot have: the Refused that they have instead of it.
INSTEAD = "entitydb_past_attribute"

_making = threading.RLock()
_registries: WeakKeyDictionary[registry, registry] = WeakKeyDictionary()
_metaclasses: WeakKeyDictionary[type, type] = WeakKeyDictionary()


def past_class(model: type[T]) -> type[T]:
    """The class of a model's past objects: a subclass of the model.

    It stands where a class is asked for and the moment comes from elsewhere: `isinstance()`, `of_type()`,
    `selectin_polymorphic()`, the attributes of `with_parent()`. To query, use `temporal()`.

    Raises:
        ArgumentError: it is not a mapped class, or is not mapped to a table.
    """
    mapper = inspect(model, raiseerr=False)
    if not isinstance(mapper, Mapper):
        raise exc.ArgumentError(f"{model!r} is not a mapped class")
    model = mapper.class_
    if issubclass(model, Past):
        return model
    found: type[T] | None = model.__dict__.get(OWN)
    if found is None:
        mapper.registry.configure(cascade=True)
        with _making:
            _make_all(mapper)
            found = model.__dict__[OWN]
        inspect(found).registry.configure(cascade=True)
    return found


def _make_all(first: Mapper[Any]) -> None:
    """Makes the past class of a model, of its whole hierarchy, and of whatever their relationships lead to."""
    todo, made = [first], []
    while todo:
        hierarchy = list(todo.pop().base_mapper.self_and_descendants)
        for mapper in hierarchy:
            if OWN in mapper.class_.__dict__:
                continue
            _make_class(mapper)
            made.append(mapper)
            todo += [prop.mapper for prop in mapper.relationships if has_history(prop.mapper)]
    try:
        for mapper in made:
            _map(mapper)
    except BaseException:
        for mapper in made:
            type.__delattr__(mapper.class_, OWN)
        raise
    for mapper in made:
        # Whichever models lead to these, and those of the registry that do not are not many.
        for other in mapper.registry.mappers:
            guard_present(other)


# ---- classes ----


def _make_class(mapper: Mapper[Any]) -> None:
    model = mapper.class_
    parent = None if mapper.inherits is None or mapper.concrete else mapper.inherits.class_.__dict__[OWN]
    namespace = {
        "__abstract__": True,  # or a declarative base would map it
        "__module__": model.__module__,
        "__qualname__": f"{model.__qualname__}",
        "__doc__": model.__doc__,
        "__init__": _refuse_construction,
        "_entitydb_model": model,
    }
    past = _metaclass(type(model))(model.__name__, (Past, model) if parent is None else (parent,), namespace)
    type.__setattr__(model, OWN, past)


def _refuse_construction(self: Any, *args: Any, **kw: Any) -> None:
    model = model_of(type(self))
    raise TypeError(f"{model.__name__} objects of the past are loaded, not made; make one of {model!r}")


def _metaclass(of: type) -> type:
    """The metaclass of past classes: one by which pickle finds them, since they have no name in a module."""
    found = _metaclasses.get(of)
    if found is None:
        found = _metaclasses[of] = type("PastMeta", (of,), {})
        copyreg.pickle(found, lambda past: (past_class, (past._entitydb_model,)))
    return found


# ---- mapping ----


def _map(mapper: Mapper[Any]) -> None:
    model = mapper.class_
    past = model.__dict__[OWN]
    if not has_history(mapper):
        raise exc.ArgumentError(f"{model!r} is not mapped to a table, so it has no history of its own")
    tables = own_tables(mapper)
    as_of = moment_of_row(mapper)
    table = history_table(mapper.local_table)
    inherits = mapper.inherits if not mapper.concrete else None
    options: dict[str, Any] = {}
    if inherits is None:
        key = [*(history_column(column) for column in mapper.primary_key), as_of]
        options["primary_key"] = key
    else:
        options["inherits"] = inspect(inherits.class_.__dict__[OWN])
        if mapper.inherit_condition is not None:
            above = moment_of_row(inherits)
            options["inherit_condition"] = and_(over_history(mapper.inherit_condition, tables, as_of), above == as_of)
            pairs: Any = mapper._inherits_equated_pairs
            below = [history_column(column) for _, column in pairs]
            options["inherit_foreign_keys"] = [*below, as_of]
    if mapper.polymorphic_on is not None and (inherits is None or inherits.polymorphic_on is not mapper.polymorphic_on):
        options["polymorphic_on"] = over_history(mapper.polymorphic_on, tables, as_of)
    if mapper.polymorphic_identity is not None:
        options["polymorphic_identity"] = mapper.polymorphic_identity
    for name in ("polymorphic_load", "polymorphic_abstract"):
        if getattr(mapper, name, None):
            options[name] = getattr(mapper, name)
    if mapper.with_polymorphic is not None and mapper.polymorphic_load is None:
        options["with_polymorphic"] = _with_polymorphic(mapper)
    properties, refused = _properties(mapper, inherits, tables, as_of)
    properties[AS_OF] = as_of
    if inherits is not None:
        above = moment_of_row(inherits)
        properties[AS_OF] = as_of if above is as_of else [as_of, above]
    mapped = {column for prop in properties.values() for column in getattr(prop, "columns", ())}
    # Of the columns behind the table's own only the moment is mapped; what else the model leaves out is left out.
    options["exclude_properties"] = {column for column in table.c if column not in mapped and column is not as_of}
    registered = _registries.get(mapper.registry)
    if registered is None:
        registered = _registries[mapper.registry] = registry()
    # Given the table, the mapper of a class without one of its own would not know that it shares it.
    registered.map_imperatively(past, None if mapper.single else table, properties=properties, **options)
    if inherits is not None:
        past.__bases__ = (*past.__bases__, model)
    for prop in inspect(past)._props.values():
        if isinstance(prop, RelationshipProperty):
            # SQLAlchemy makes this object of a fixed class; criteria and types given to it are of the past.
            past.__dict__[prop.key].__class__ = PastRelationship
    for name, reason in refused.items():
        type.__setattr__(past, name, mapper._props[name].info.get(INSTEAD, Refused)(name, reason))
    guard_past(past)


def _with_polymorphic(mapper: Mapper[Any]) -> Any:
    classes, selectable = mapper.with_polymorphic  # type: ignore[misc]
    if selectable is not None:
        raise exc.ArgumentError(f"{mapper.class_!r} is loaded by a query of its own, which has no history")
    if classes == "*":
        return "*"
    return [inspect(one).class_.__dict__[OWN] for one in classes]


def _properties(
    mapper: Mapper[Any], inherits: Mapper[Any] | None, tables: set[Table], as_of: ColumnElement[Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The properties that a mapper adds to those of the one it inherits from; and those it cannot have, and why."""
    found: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for key, prop in mapper._props.items():
        if inherits is not None and inherits._props.get(key) is prop:
            continue
        if isinstance(prop, ConcreteInheritedProperty):
            continue
        try:
            made = _property(prop, mapper, tables, as_of)
        except NoHistory as error:
            refused[key] = str(error)
        else:
            if made is not None:
                found[key] = made
    return found, refused


class Refused:
    """An attribute that past objects do not have. The model's own, which they would inherit, reads the present."""

    def __init__(self, key: str, reason: str) -> None:
        self._key, self._reason = key, reason

    def __get__(self, instance: Any, owner: type[Any]) -> Any:
        raise self.error(owner)

    def __set__(self, instance: Any, value: Any) -> NoReturn:
        raise self.error(type(instance))

    def error(self, owner: type[Any]) -> exc.InvalidRequestError:
        return exc.InvalidRequestError(
            f"{owner.__name__}.{self._key} cannot be read by temporal() and versions(): {self._reason}; read it within "
            "at(), or from an object of a TemporalSession"
        )


def _property(prop: Any, mapper: Mapper[Any], tables: set[Table], as_of: ColumnElement[Any]) -> Any:
    if isinstance(prop, ColumnProperty):
        if inspect(mapper.class_).inherits is not None and prop.parent is not mapper:
            return None  # inherited
        return column_property(
            *(over_history(column, tables, as_of) for column in prop.columns),
            deferred=prop.deferred,
            group=prop.group,
            raiseload=prop.raiseload,
            comparator_factory=prop.comparator_factory,
            info=dict(prop.info),
            doc=getattr(prop, "doc", None),
        )
    if isinstance(prop, RelationshipProperty):
        if prop.parent is not mapper:
            return None
        if prop.entity.is_aliased_class:
            raise NoHistory("it leads to an aliased class")
        if not has_history(prop.mapper):
            raise NoHistory(f"{prop.mapper.class_.__name__} has no history of its own")
        return past_relationship(prop, past_class)
    if isinstance(prop, CompositeProperty):
        if prop.parent is not mapper:
            return None
        options: dict[str, Any] = {"return_none_on": prop.return_none_on} if hasattr(prop, "return_none_on") else {}
        return composite(
            prop.composite_class,
            *(one.key for one in prop.props),
            deferred=prop.deferred,
            group=prop.group,
            comparator_factory=prop.comparator_factory,
            info=dict(prop.info),
            **options,
        )
    if isinstance(prop, SynonymProperty):
        if prop.parent is not mapper:
            return None
        return synonym(prop.name, comparator_factory=prop.comparator_factory, info=dict(prop.info))
    raise exc.ArgumentError(f"{prop} is of a kind that past classes do not have: {type(prop).__name__}")


__all__ = ["INSTEAD", "Refused", "past_class"]
