"""past_session(): a read-only Session of one moment, what at() gives.

For an Engine it is a Session on the Engine with the option `as_of`. For a Session it is a *child* on the parent's
connection, so that it stands in the parent's transaction: its `do_orm_execute` gives every statement the moment and
marks its objects with it (the identity token), lazy, deferred and eager loads included. The child never ends the
parent's transaction; when that ends, the child lets go of the connection and takes the next one at its next statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from sqlalchemy import event, exc, inspect
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import ORMExecuteState, Session

from .._exceptions import PastWriteError
from .as_of import Schema, is_then
from .loads import KeepsMoments
from .moments import Moment
from .sources import Source, ns_in, unscoped


class PastSession(KeepsMoments, Session):
    """A Session that reads as of one moment and refuses to write. Made by at()."""

    def __init__(self, source: Session | Engine | Connection, moment_ns: int, schema: Schema = "today") -> None:
        self.moment_ns = moment_ns
        self.schema = schema
        self._source = source
        self._lost_changes = False  # its objects were changed when a transaction of the parent's ended
        self._told: set[Any] = set()  # states of changed objects, when a write was refused
        bind = source.execution_options(as_of=moment_ns, schema=schema) if isinstance(source, Engine) else None
        super().__init__(bind=bind, autoflush=False, expire_on_commit=False, join_transaction_mode="rollback_only")
        event.listen(self, "do_orm_execute", _give_moment)
        event.listen(self, "before_flush", _refuse_flush)

    def get_bind(self, mapper: Any = None, **kw: Any) -> Any:
        source = self._source
        if isinstance(source, Engine):
            return self.bind
        if isinstance(source, Connection):
            return source
        kw = {key: value for key, value in kw.items() if not key.startswith("_sa_")}
        return source.connection(bind_arguments={"mapper": mapper, **kw})

    def connection(self, *args: Any, **kw: Any) -> Connection:
        if isinstance(self._source, Engine):
            return super().connection(*args, **kw)
        raise exc.InvalidRequestError(
            "the connection of this past Session is its parent's and reads now; execute on the Session itself"
        )

    def get(self, entity: Any, ident: Any, **kw: Any) -> Any:
        kw.setdefault("identity_token", self.moment_ns)
        return super().get(entity, ident, **kw)

    # Writes are refused where they are asked for. A flush may never come.

    def _refuse(self, *args: Any, **kw: Any) -> NoReturn:
        self._tell()
        raise PastWriteError("this Session reads a past moment; write in an ordinary Session")

    add = add_all = delete = merge = _refuse
    bulk_save_objects = bulk_insert_mappings = bulk_update_mappings = _refuse
    begin_nested = _refuse

    def _changes(self) -> set[Any]:
        """The states of the objects that were changed."""
        changed = [*self.new, *self.deleted, *(obj for obj in self.dirty if self.is_modified(obj))]
        return {inspect(obj) for obj in changed}

    def _tell(self) -> None:
        """A write is refused now: what has been changed so far needs no second error."""
        self._told |= self._changes()

    def _changed(self) -> bool:
        """Were objects changed, and nobody told?"""
        return self._lost_changes or not self._changes() <= self._told

    def _end_with_parent(self) -> None:
        """Ends our transaction when the parent's has ended, without a flush; what is loaded stays loaded."""
        if not self.in_transaction():
            return
        if self._changes():
            self._lost_changes = self._changed()  # at() raises at the end of its block
            self.expunge_all()
        self.commit()


def _give_moment(state: ORMExecuteState) -> None:
    session = state.session
    assert isinstance(session, PastSession)
    if state.is_insert or state.is_update or state.is_delete:
        session._tell()
        raise PastWriteError("this Session reads a past moment; write in an ordinary Session")
    state.update_execution_options(
        as_of=session.moment_ns, schema=session.schema, identity_token=session.moment_ns
    )


def _refuse_flush(session: Session, flush_context: Any, instances: Any) -> None:
    assert isinstance(session, PastSession)
    session._tell()
    raise PastWriteError("objects of a past moment cannot be changed; load them in an ordinary Session to change them")


@contextmanager
def past_session(source: Source, moment: Moment, schema: Schema = "today") -> Iterator[Session]:
    """A Session of a moment for a block; see `at`."""
    is_then(schema)
    ns = ns_in(source, moment)
    parent = unscoped(source)
    past = PastSession(parent, ns, schema)

    def ended(_session: Session, transaction: Any) -> None:
        if transaction.parent is None:
            past._end_with_parent()

    listening = isinstance(parent, Session)
    if listening:
        event.listen(parent, "after_transaction_end", ended)
    try:
        yield past
        if past._changed():
            raise PastWriteError(
                "objects of a past moment were changed; load them in an ordinary Session to change them"
            )
    finally:
        if listening:
            event.remove(parent, "after_transaction_end", ended)
        past.close()


__all__ = ["PastSession", "past_session"]
