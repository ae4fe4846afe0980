"""Who committed what: the last commit of each Session, of each Connection and of an Engine.

A Session gives its connection back when it commits, and a pool lends one connection to many. So a commit belongs to the
checkout of the connection it was made on (SQLAlchemy's PoolProxiedConnection, a new one for each), and to the Session
that began the transaction there. That is heard in SQLAlchemy's event `after_begin`; everything else the dialect tells.

With a pool that lends one connection to several at the same time (SingletonThreadPool, StaticPool) they share one
transaction, and its commit belongs to the one that began last.
"""

from __future__ import annotations

import threading
from typing import Any, Literal
from weakref import WeakKeyDictionary, ref

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session, SessionTransaction


class _Checkout:
    """What is known of one. Moments are int nanoseconds."""

    __slots__ = ("made", "seen", "session")

    def __init__(self) -> None:
        # The last commit of the connection, whoever has made it; None: there was none.
        self.seen: int | Literal["nothing"] | None = "nothing"
        self.made: int | None = None  # its own last commit
        self.session: ref[Session] | None = None  # that began the running transaction


# In one table: of each there are six looks at it in a transaction, and several tables would cost as many.
_checkouts: WeakKeyDictionary[Any, _Checkout] = WeakKeyDictionary()


def _of(checkout: Any) -> _Checkout:
    found = _checkouts.get(checkout)
    if found is None:
        found = _checkouts[checkout] = _Checkout()
    return found


def _begun(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if getattr(connection.dialect, "history_backend", None) is not None:
        found = _of(connection.connection)
        if found.session is None:  # a Session that joins in a transaction does not commit it
            found.session = ref(session)


def committer(checkout: Any) -> Session | None:
    """The Session that began the running transaction of a checkout."""
    found = _checkouts.get(checkout)
    return None if found is None or found.session is None else found.session()


class Commits:
    """The commits of one backend, as far as somebody may ask whose they are. Moments are int nanoseconds.

    A dialect calls `begins()` in do_begin(), and `ended()` behind everything that may have committed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: int | None = None
        self._of_session: WeakKeyDictionary[Session, int] = WeakKeyDictionary()
        if not event.contains(Session, "after_begin", _begun):
            event.listen(Session, "after_begin", _begun)

    def begins(self, checkout: Any, last_ns: int | None) -> None:
        """A transaction begins.

        Args:
            checkout: the PoolProxiedConnection.
            last_ns: the last commit of the connection below it, whoever has made it; None: there is none.
        """
        found = _of(checkout)
        found.seen = last_ns
        found.session = None

    def ended(self, checkout: Any, last_ns: int | None) -> None:
        """A transaction may have been committed, or nothing happened: then `last_ns` is what it was."""
        if last_ns is None:
            return
        found = _of(checkout)
        seen, found.seen = found.seen, last_ns
        if seen in (last_ns, "nothing"):
            return  # also where no transaction has begun: the commit is of an earlier checkout
        found.made = last_ns
        session = None if found.session is None else found.session()
        if session is not None:
            self._of_session[session] = last_ns
        with self._lock:
            self._newest = last_ns if self._newest is None else max(self._newest, last_ns)

    def of_checkout(self, checkout: Any) -> int | None:
        found = _checkouts.get(checkout)
        return None if found is None else found.made

    def of_session(self, session: Session) -> int | None:
        return self._of_session.get(session)

    def newest(self) -> int | None:
        """The last commit of all."""
        return self._newest


__all__ = ["Commits", "committer"]
