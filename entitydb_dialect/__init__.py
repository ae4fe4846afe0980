"""EntityDB: an embedded temporal database for SQLAlchemy.

    engine = create_engine("entitydb:///app.edb")

gives ordinary models a database that keeps every state. Any query can be asked as of any moment:

    session.execute(select(User.name), execution_options={"as_of": yesterday})
    with at(session, yesterday) as past:
        past.get(User, 1)
    then = temporal(User, as_of=yesterday)
    session.execute(select(User.name, then.name).join(then, then.id == User.id))
"""

from __future__ import annotations

from sqlalchemy.dialects import registry as _registry

from ._databases import database_exists, drop_database
from ._erase import Erased, erase, erased_key_hash, erasures
from ._exceptions import (
    DamageError,
    EntityDBWarning,
    HorizonError,
    PastWriteError,
    RowLockWarning,
    SerializationFailure,
)
from ._health import check, compact, pack, stats
from ._prune import Pruned, prune
from ._raised import (
    WrappedDamageError,
    WrappedHorizonError,
    WrappedPastWriteError,
    WrappedSerializationFailure,
)
from ._verify import Break, Verification, newest_hash, verify
from .driver import Breach, Compacted, Packed
from .history import (
    Change,
    Moment,
    RestoreStep,
    RowDiff,
    Transaction,
    UndoConflict,
    at,
    begin_at,
    changes,
    commit_moment,
    diff,
    follow_changes,
    label,
    label_moment,
    labels,
    resolve,
    restore,
    run_transaction,
    transaction,
    transaction_info,
    undo,
    undrop,
)
from .store import Database, Version
from .tags import (
    Tag,
    TagError,
    Tagged,
    TagSet,
    exact_tag,
    tag_values,
    tagged,
    tagged_all,
    tagged_any,
    tagged_expression,
)
from .temporal import (
    Blame,
    HistoryEntry,
    Temporal,
    TemporalSession,
    Versions,
    blame,
    history,
    moment_of,
    next_version,
    past_class,
    previous,
    temporal,
    versions,
)

# So that the URLs work in a checkout that is not installed too.
for _name, _module, _class in (
    ("entitydb", "apsw", "EntityDialect_apsw"),
    ("entitydb.apsw", "apsw", "EntityDialect_apsw"),
    ("entitydb.aio", "aio", "EntityDialect_aio"),
    ("sqlite.entitydb", "apsw", "EntityDialect_apsw_sqlite"),
    ("sqlite.entitydb_aio", "aio", "EntityDialect_aio_sqlite"),
):
    _registry.register(_name, f"entitydb_dialect.{_module}", _class)
del _name, _module, _class

__version__ = "0.1.0"

__all__ = [
    "Blame",
    "Breach",
    "Break",
    "Change",
    "Compacted",
    "DamageError",
    "Database",
    "EntityDBWarning",
    "Erased",
    "HistoryEntry",
    "HorizonError",
    "Moment",
    "Packed",
    "PastWriteError",
    "Pruned",
    "RestoreStep",
    "RowDiff",
    "RowLockWarning",
    "SerializationFailure",
    "Tag",
    "TagError",
    "TagSet",
    "Tagged",
    "Temporal",
    "TemporalSession",
    "Transaction",
    "UndoConflict",
    "Verification",
    "Version",
    "Versions",
    "WrappedDamageError",
    "WrappedHorizonError",
    "WrappedPastWriteError",
    "WrappedSerializationFailure",
    "at",
    "begin_at",
    "blame",
    "changes",
    "check",
    "commit_moment",
    "compact",
    "database_exists",
    "diff",
    "drop_database",
    "erase",
    "erased_key_hash",
    "erasures",
    "exact_tag",
    "follow_changes",
    "history",
    "label",
    "label_moment",
    "labels",
    "moment_of",
    "newest_hash",
    "next_version",
    "pack",
    "past_class",
    "previous",
    "prune",
    "resolve",
    "restore",
    "run_transaction",
    "stats",
    "tag_values",
    "tagged",
    "tagged_all",
    "tagged_any",
    "tagged_expression",
    "temporal",
    "transaction",
    "transaction_info",
    "undo",
    "undrop",
    "verify",
    "versions",
]
