"""at() over a database that is not EntityDB: whatever a past Session loads is of its moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, event, exc, select, text, update
from sqlalchemy.orm import Session, joinedload, scoped_session, selectinload, sessionmaker

from entitydb_dialect import HorizonError, PastWriteError
from entitydb_dialect.history import at

from .conftest import Account, Entry
from .fake import FakeBackend


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["engine", "session", "scoped_session", "connection"])
@pytest.mark.parametrize("load", [None, joinedload, selectinload])
def test_every_source_reads_as_of_the_moment(
    engine: Engine, backend: FakeBackend, moments: list[int], kind: str, load: object
) -> None:
    options = [load(Account.entries)] if callable(load) else []
    with Session(engine) as session, engine.connect() as connection:
        scoped = scoped_session(sessionmaker(engine))
        source = {"engine": engine, "session": session, "scoped_session": scoped, "connection": connection}[kind]
        for i, moment in enumerate(moments):
            backend.seen.clear()
            with at(source, moment) as past:  # type: ignore[arg-type]
                account = past.scalars(select(Account).options(*options)).unique().one()
                assert (account.balance, [entry.amount for entry in account.entries]) == (
                    i, [10 * n for n in range(1, i + 1)]
                )  # fmt: skip
                assert past.get(Account, 1) is account
                past.expire(account)
                assert account.balance == i
            assert set(backend.seen) == {moment}
        scoped.remove()
        assert session.get_one(Account, 1).balance == 3


def test_the_nanosecond_before_a_commit_does_not_show_it(engine: Engine, moments: list[int]) -> None:
    for i in range(1, 4):
        with at(engine, moments[i] - 1) as past:
            assert past.get_one(Account, 1).balance == i - 1


def test_past_objects_stand_beside_present_ones(engine: Engine, moments: list[int]) -> None:
    with Session(engine) as session:
        now = session.get_one(Account, 1)
        with at(session, moments[1]) as one, at(session, moments[2]) as two:
            assert [s.get_one(Account, 1).balance for s in (one, two, session)] == [1, 2, 3]
            assert len({id(s.get_one(Account, 1)) for s in (one, two, session)}) == 3
        assert session.get_one(Account, 1) is now


def test_the_parents_transaction_may_end_before_anything_is_read(engine: Engine, moments: list[int]) -> None:
    with Session(engine) as session, at(session, moments[2]) as past:
        session.add(Entry(account_id=1, amount=99))
        session.commit()
        assert past.get_one(Account, 1).balance == 2


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_it_goes_on_when_the_parents_transaction_ends(engine: Engine, moments: list[int], end: str) -> None:
    with Session(engine) as session, at(session, moments[2]) as past:
        account = past.get_one(Account, 1)
        session.add(Entry(account_id=1, amount=99))
        session.flush()
        getattr(session, end)()
        assert [entry.amount for entry in account.entries] == [10, 20]
    with Session(engine) as session:
        kept = session.scalars(select(Entry).where(Entry.amount == 99)).all()
        assert len(kept) == (end == "commit")


def test_the_listener_on_the_parent_goes_with_the_block(engine: Engine, moments: list[int]) -> None:
    with Session(engine) as session:
        with at(session, moments[0]):
            assert len(list(session.dispatch.after_transaction_end)) == 1
        assert len(list(session.dispatch.after_transaction_end)) == 0


def test_writes_are_refused(engine: Engine, moments: list[int]) -> None:
    with Session(engine) as session, at(session, moments[1]) as past:
        account = past.get_one(Account, 1)
        for write in (
            lambda: past.add(Entry(amount=1)),
            lambda: past.delete(account),
            lambda: past.merge(Account(id=1, balance=9)),
            lambda: past.execute(update(Account).values(balance=9)),
            lambda: past.execute(text("DELETE FROM account")),
            lambda: past.begin_nested(),
        ):
            with pytest.raises(PastWriteError):
                write()
        with pytest.raises(exc.InvalidRequestError, match="its parent's"):
            past.connection()
    with Session(engine) as session:
        assert session.get_one(Account, 1).balance == 3


def test_a_changed_object_is_refused_at_flush_and_at_the_end(engine: Engine, moments: list[int]) -> None:
    with Session(engine) as session:
        with pytest.raises(PastWriteError), at(session, moments[1]) as past:
            past.get_one(Account, 1).balance = 9
        with pytest.raises(PastWriteError), at(session, moments[1]) as past:  # noqa: PT012
            past.get_one(Account, 1).balance = 9
            session.commit()
        assert session.get_one(Account, 1).balance == 3


WRITES: dict[str, Callable[[Session], object]] = {
    "flush": lambda past: past.flush(),
    "commit": lambda past: past.commit(),
    "add": lambda past: past.add(Entry(amount=1)),
    "delete": lambda past: past.delete(past.get_one(Account, 1)),
    "merge": lambda past: past.merge(Account(id=1, balance=9)),
    "update": lambda past: past.execute(update(Account).values(balance=9)),
    "nested": lambda past: past.begin_nested(),
}


@pytest.mark.slow
@pytest.mark.parametrize("end", [None, "commit", "rollback", "close"])
@pytest.mark.parametrize("kind", ["engine", "session"])
@pytest.mark.parametrize("write", list(WRITES))
def test_a_refused_write_is_told_once(
    engine: Engine, moments: list[int], write: str, kind: str, end: str | None
) -> None:
    """Neither the end of the block nor that of the parent's transaction raises for what was told before."""
    with Session(engine) as session:
        source: Any = {"engine": engine, "session": session}[kind]
        with at(source, moments[1]) as past:
            past.get_one(Account, 1).balance = 9
            with pytest.raises(PastWriteError):
                WRITES[write](past)
            if end is not None:
                getattr(session, end)()
        with pytest.raises(PastWriteError), at(source, moments[1]) as past:  # noqa: PT012
            past.get_one(Account, 1).balance = 9
            WRITES[write](past)
        with pytest.raises(PastWriteError), at(source, moments[1]) as past:  # noqa: PT012
            with pytest.raises(PastWriteError):
                past.add(Entry(amount=1))
            past.get_one(Account, 1).balance = 9  # behind it: nobody has been told
        assert session.get_one(Account, 1).balance == 3


def test_a_moment_before_the_history_is_the_backends_error(engine: Engine, moments: list[int]) -> None:
    with at(engine, 0) as past, pytest.raises(HorizonError):
        past.get(Account, 1)


def test_a_past_session_on_an_engine_has_a_connection(engine: Engine, moments: list[int]) -> None:
    seen: list[str] = []
    event.listen(engine, "commit", lambda connection: seen.append("commit"))
    with at(engine, moments[2]) as past:
        assert past.connection().scalar(select(Account.balance)) == 2
    assert seen == []


def test_what_is_no_source_or_no_moment(engine: Engine) -> None:
    with pytest.raises(exc.ArgumentError, match="not a Session"), at(object(), 0):  # type: ignore[arg-type]
        pass
    with pytest.raises(exc.ArgumentError, match="not a moment"), at(engine, 1.5):  # type: ignore[arg-type]
        pass
