"""The execution options `as_of` and `schema`: the moment of one statement, of a Connection or of an Engine, and under
which schema it reads the past.

A dialect calls `apply_as_of()` before each execution. Which option counts, what is a moment and what is refused is
decided here, the same for every database; reading as of the moment is the backend's.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from sqlalchemy import exc

from .backend import Backend
from .moments import Nanoseconds, clock_ns, ns_of
from .parents import refuse_other_parents
from .plain import first_load, models_among

Schema: TypeAlias = Literal["today", "then"]


def is_then(schema: object) -> bool:
    """Is the schema of then meant? Raises ArgumentError for what is no value of the option."""
    if schema not in (None, "today", "then"):
        raise exc.ArgumentError(f'schema={schema!r}: the past is read under the schema of "today" or of "then"')
    return schema == "then"


def apply_as_of(backend: Backend, cursor: Any, context: Any) -> None:
    """Has the next statement of a cursor read as of its moment, if it has one, under the schema that is meant.

    Args:
        backend: that of the dialect.
        cursor: the PEP 249 cursor that is about to execute.
        context: SQLAlchemy's ExecutionContext of the execution.

    Raises:
        ArgumentError: what an option says is not a moment, or no schema.
        InvalidRequestError: the Connection's option would have mapped classes of the past loaded into a Session; or the
            statement compares with an object of another moment, or loads the present as a past object.
    """
    moment = _option(context, "as_of")
    if is_then(_option(context, "schema")):
        backend.read_schema_then(cursor)
    ns = None if moment is None else ns_of(moment, context.root_connection, backend)
    refuse_other_parents(context, ns)
    if ns is None:
        _refuse_past_identity(context)
    else:
        if _loads_past_objects(context, moment):
            if ns > clock_ns():  # what stays in the Session shows the same each time it is asked for
                ns = Nanoseconds(backend.resolve(context.root_connection, ns))
            first_load(context, ns)
        backend.read_as_of(cursor, ns)


def _option(context: Any, name: str) -> Any:
    """SQLAlchemy lets the connection's options win over the statement's; of the past the statement knows better. What
    came with execute() is neither and stays."""
    options = context.execution_options  # with what all of them say
    if name not in options:
        return None
    found = options[name]
    statement: Any = getattr(context, "invoked_statement", None)
    has_own = statement is not None and name in statement._execution_options
    if has_own and found is context.root_connection.get_execution_options().get(name):
        return statement._execution_options[name]
    return found


def _loads_past_objects(context: Any, moment: Any) -> bool:
    """Would the execution load mapped classes of the past into a Session, whose objects nobody has given the moment?

    at() and TemporalSession mark their statements with an identity token; under an Engine with the option every
    statement has the same moment.
    """
    options = context.execution_options
    load_options = options.get("_sa_orm_load_options")
    if load_options is None:
        if "_result_disable_adapt_to_context" not in options:
            return False  # Core: rows, no identities
    elif load_options._identity_token is not None:
        return False
    connection = context.root_connection
    if connection.engine.get_execution_options().get("as_of") is moment:
        return False
    models = models_among(getattr(getattr(context.compiled, "compile_state", None), "_entities", ()))
    if models and connection.get_execution_options().get("as_of") is moment:
        raise exc.InvalidRequestError(
            f"the connection's as_of would load {models[0].__name__} objects of the past into a Session, which does "
            "not know the moment; use `with entitydb_dialect.at(session, moment) as past:` and query `past`, or give "
            'the statement the moment: `execution_options={"as_of": moment}`; or select columns'
        )
    return bool(models)


def _refuse_past_identity(context: Any) -> None:
    """Refuses to load rows of now as objects of a past moment.

    merge() of a past object does that in a Session of now, which knows no moment: it loads by the object's identity,
    moment included, and then gives what it has loaded the values of then. A flush would write them.
    """
    options = context.execution_options.get("_sa_orm_load_options")
    if options is None or options._identity_token is options._lazy_loaded_from is options._refresh_state is None:
        return  # as nearly always
    states = (one for one in (options._lazy_loaded_from, options._refresh_state) if one is not None)
    if any(isinstance(token, Nanoseconds) for token in (options._identity_token, *(s.identity_token for s in states))):
        models = models_among(context.compiled.compile_state._entities)
        if not models:
            return  # of a past class, which has its moment in its key
        name = models[0].__name__
        raise exc.InvalidRequestError(
            f"the Session would load the {name} of now as one of a past moment, as merge() of a past object does, and "
            f"write over it: to bring back what it was write `restore(session, ({name}, key), to=moment_of(obj))`; to "
            "look at it beside the present use a TemporalSession, or in a Session of its own the statement's `as_of`"
        )


__all__ = ["Schema", "apply_as_of", "is_then"]
