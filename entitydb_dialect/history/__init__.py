"""The time API: read-only Sessions of a past moment, what counts as a moment, commit moments, labels, transactions.

It knows SQLAlchemy and no database. What it needs of one is the protocol in backend.py, which a dialect object carries
in its attribute `history_backend`. EntityDB's is entitydb_dialect/_backend.py.

    backend.py      the protocol Backend and what holds for every backend
    moments.py      what users write for a moment, as int nanoseconds
    sources.py      from a Session, an Engine or a Connection to its backend
    as_of.py        the execution option `as_of`, for dialects
    commits.py      who committed what, for backends
    past.py         the Session of a moment; at.py: at(); aio.py: the same for asyncio
    past_models.py  which past class a model has
    past_objects.py of which moment an object is
    loads.py        at which moment a Session with past objects reads
    parents.py      past objects that statements of another moment compare with
    plain.py        past objects in a Session of the program's own
    database.py     commit_moment(), resolve(), begin_at()
    labels.py       label_moment(), labels()
    changes.py      changes(), follow_changes(): what transactions did
    diff.py         diff(): what differs between two moments
    restore.py      restore(): an object as it was
    undo.py         undo(): the inverse of a transaction
    undrop.py       undrop(): a table or a column that was dropped
    transaction_info.py  transaction_info(): who and why
    transactions.py Transaction, mapped to the table of all commits
    retry.py        run_transaction()
"""

from __future__ import annotations

from .as_of import Schema, apply_as_of, is_then
from .at import at
from .backend import Backend
from .changes import Change, changes, follow_changes
from .commits import Commits, committer
from .database import begin_at, commit_moment, resolve
from .diff import RowDiff, diff
from .labels import label_moment, labels
from .moments import Moment, from_ns, label, ns_of, to_ns, transaction
from .plain import keep_apart
from .restore import RestoreStep, restore
from .retry import run_transaction
from .sources import AsyncSource, Source, ns_in
from .transaction_info import transaction_info
from .transactions import Transaction
from .undo import UndoConflict, undo
from .undrop import undrop

__all__ = [
    "AsyncSource",
    "Backend",
    "Change",
    "Commits",
    "Moment",
    "RestoreStep",
    "RowDiff",
    "Schema",
    "Source",
    "Transaction",
    "UndoConflict",
    "apply_as_of",
    "at",
    "begin_at",
    "changes",
    "commit_moment",
    "committer",
    "diff",
    "follow_changes",
    "from_ns",
    "is_then",
    "keep_apart",
    "label",
    "label_moment",
    "labels",
    "ns_in",
    "ns_of",
    "resolve",
    "restore",
    "run_transaction",
    "to_ns",
    "transaction",
    "transaction_info",
    "undo",
    "undrop",
]
