"""entitydb_moment(): what stands for a point in time in SQL, as nanoseconds.

    entitydb_moment(x)              as of x: the last nanosecond that x can mean
    entitydb_moment(x, 'start')     where x begins: the first one

x is what _moments.py says: nanoseconds, ISO 8601 text, or the name of a moment. NULL is NULL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from ... import _exceptions as ex
from ..._moments import LAST_NS, Name, NotAMoment, missing, name_of, to_ns
from ..._native import ffi, lib
from .._errors import check

if TYPE_CHECKING:
    from .._session import Session


def register(session: Session) -> None:
    """Makes the function on the SQLite connection."""
    known = ref(session)

    def moment(value: Any, which: Any = None) -> int | None:
        if value is None:
            return None
        owner = known()
        assert owner is not None
        return _ns_of(owner, value, start=which == "start")

    session.raw.create_scalar_function("entitydb_moment", moment, deterministic=True)


def _ns_of(session: Session, value: Any, *, start: bool) -> int:
    name = name_of(value)
    if name is not None:
        found = named_moment(session, name)
        if found is None:
            raise ex.OperationalError(missing(name))
        return found
    try:
        return int(to_ns(value, start=start))
    except NotAMoment as error:
        raise ex.ProgrammingError(str(error)) from None


def named_moment(session: Session, name: Name) -> int | None:
    """The moment of a name in main; None: it has none."""
    if name.kind == "label":
        return next((ns for (ns,) in session.run(_LABEL, (name.value,), as_of=LAST_NS)), None)
    if name.kind == "transaction":
        return _of_transaction(session, name.value)
    return _of_revision(session, name.value)


_LABEL = "SELECT moment FROM entitydb_labels WHERE label = ?"


def _of_transaction(session: Session, number: str) -> int | None:
    database = session.main.database
    if not number.strip().isdecimal() or not 0 < int(number) <= database.newest_commit():
        return None
    out = ffi.new("int64_t *")
    check(lib.edb_commit_time(database.handle, int(number), out))
    return int(out[0])


def _of_revision(session: Session, revision: str) -> int | None:
    """The last moment at which alembic_version had a revision; the last of all while it has."""
    history = session.history("main", "alembic_version")
    if history is None:
        return None
    zeros = "0, " * history.arguments
    query = f"SELECT valid_to FROM {history.name}({zeros}0, 0, 'all') WHERE version_num = ?"
    ends = [LAST_NS if end is None else int(end) - 1 for (end,) in session.run(query, (revision,))]
    return max(ends, default=None)


__all__ = ["named_moment", "register"]
