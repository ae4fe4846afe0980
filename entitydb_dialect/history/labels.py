"""Labels: commits by name.

`SELECT entitydb_label('release 3')` labels the commit that the running transaction becomes. The Alembic plug-in labels
each revision: `alembic:` and its id. The functions here find the moment of a label, and the labels of a moment.
"""

from __future__ import annotations

import warnings

from sqlalchemy import exc

from .._exceptions import EntityDBWarning
from .moments import LAST_NS, Moment, Nanoseconds, ns_of
from .sources import Source, connected


def label_moment(source: Source, label: str, *, as_of: Moment | None = None) -> int:
    """The moment of the newest commit with a label: what that commit left is seen as of it.

    Args:
        source: an Engine, a Connection or a Session. What it has labelled and not committed is not seen.
        label: as it was given.
        as_of: of several commits with the label, the newest at or before this moment; None: now.

    Returns:
        Nanoseconds since 1970 UTC, a moment for `as_of`, `at()` and `resolve()`.

    Warns:
        EntityDBWarning: the commit was given another label of this kind (the same text up to its colon) afterwards, as
            when Alembic runs several revisions in one transaction. They share the moment, and it shows what the last
            of them left.

    Raises:
        NoResultFound: no commit has the label.

    Example:
        with at(engine, label_moment(engine, "alembic:1975ea83b712")) as past:
            print(past.scalars(select(User)).all())
    """
    with connected(source) as (connection, backend):
        as_of_ns = LAST_NS if as_of is None else ns_of(as_of, connection, backend)
        ns = backend.find_label(connection, label, as_of_ns)
        if ns is None:
            raise exc.NoResultFound(f"no commit is labelled {label!r}")
        kind = label.partition(":")[0] + ":"
        alike = [other for other in backend.labels_at(connection, ns) if other.startswith(kind)]
    if label.startswith(kind) and alike[-1] != label:
        warnings.warn(
            f"{label!r} shares its commit with {', '.join(repr(o) for o in alike if o != label)}: its moment shows what"
            f" {alike[-1]!r} left. For a moment of each, commit after each (Alembic: transaction_per_migration=True)",
            EntityDBWarning,
            stacklevel=2,
        )
    return Nanoseconds(ns)


def labels(source: Source, moment: Moment) -> list[str]:
    """The labels of the commit that a moment names (the newest at or before it), in the order they were given.

    Args:
        source: an Engine, a Connection or a Session.
        moment: see `resolve`.

    Raises:
        OperationalError (HorizonError): there is no such commit.
    """
    with connected(source) as (connection, backend):
        return backend.labels_at(connection, ns_of(moment, connection, backend))


__all__ = ["label_moment", "labels"]
