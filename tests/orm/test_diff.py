"""diff(): against the whole states of both moments, for every kind of target."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, ForeignKey, create_engine, delete, event, exc, func, insert, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from entitydb_dialect import at, commit_moment, diff


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column("owner_name")
    balance: Mapped[int]
    opened: Mapped[dt.date]
    notes: Mapped[list[Note]] = relationship(back_populates="account")


class Note(Base):
    __tablename__ = "note"
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[str]
    account: Mapped[Account] = relationship(back_populates="notes")


class Person(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012


class Manager(Person):
    __tablename__ = "manager"
    id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    budget: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "manager"}  # noqa: RUF012


MODELS: list[Any] = [Account, Note, Person, Manager]


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    engine = create_engine(f"entitydb:///{tmp_path / 'test.edb'}")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def change(session: Session, rng: random.Random) -> None:
    key = rng.randrange(8)
    account = session.get(Account, key)
    choice = rng.randrange(7)
    if account is None:
        session.add(Account(id=key, owner=rng.choice("ab"), balance=rng.randrange(3), opened=dt.date(2020, 1, 1 + key)))
    elif choice == 0:
        session.execute(delete(Account).where(Account.id == key))
    elif choice == 1:
        session.execute(update(Account).values(balance=(Account.balance + 1) % 3))
    elif choice == 2:
        account.balance = rng.randrange(3)
    elif choice == 3:
        session.merge(Note(account_id=key, name=rng.choice("xyz"), body=rng.choice("pq")))
    elif choice == 4:
        session.execute(delete(Note).where(Note.name == rng.choice("xyz")))
    elif manager := session.get(Manager, key):
        manager.name, manager.budget = rng.choice([("m", 2), ("n", manager.budget), (manager.name, rng.randrange(5))])
        if rng.random() < 0.2:
            session.delete(manager)
    elif not session.get(Person, key):
        session.add(Manager(id=key, name="m", budget=1) if rng.random() < 0.7 else Person(id=key, name="p"))


def states(engine: Engine, statement: Any, moment: int) -> dict[Any, dict[str, Any]]:
    with at(engine, moment) as past:
        return {
            tuple(obj.__mapper__.primary_key_from_instance(obj)): {
                attribute.key: getattr(obj, attribute.key) for attribute in obj.__mapper__.column_attrs
            }
            for obj in past.scalars(statement)
        }


def wanted(engine: Engine, statement: Any, a: int, b: int) -> dict[Any, Any]:
    old, new = states(engine, statement, a), states(engine, statement, b)
    return {key: (old.get(key), new.get(key)) for key in old.keys() | new.keys() if old.get(key) != new.get(key)}


@pytest.mark.slow
def test_against_whole_states(engine: Engine, rng: random.Random) -> None:
    moments = []
    with Session(engine) as session:
        for _ in range(40):
            for _ in range(rng.choice([1, 1, 4])):
                change(session, rng)
                session.flush()
                session.expire_all()
            session.commit()
            moments.append(commit_moment(session))
    statements = [
        *((model, select(model)) for model in (Account, Note, Manager)),
        *((s, s) for s in (
            select(Account).where(Account.balance == 1),
            select(Account).where(Account.balance > 0, Account.owner == "a"),
            select(Account).where(Account.notes.any(Note.body == "p")),
            select(Account).where(func.lower(Account.owner) == "a"),
            select(Account).order_by(Account.balance, Account.id).limit(3),
            select(Note).where(Note.body == "p"),
        )),
    ]  # fmt: skip
    with Session(engine) as session:
        for target, statement in statements:
            for _ in range(4):
                a, b = rng.choice(moments), rng.choice(moments)
                found = {row.key: (row.old, row.new) for row in diff(session, target, a, b)}
                assert found == wanted(engine, statement, a, b), (target, a, b)


def grown(engine: Engine) -> tuple[int, int]:
    with Session(engine) as session:
        rows = [{"id": n, "owner": "x", "balance": 0, "opened": dt.date(2020, 1, 1)} for n in range(2000)]
        session.execute(insert(Account), rows)
        session.commit()
        a = commit_moment(session)
        session.execute(update(Account).where(Account.id.in_([5, 1999])).values(balance=7, opened=dt.date(2021, 2, 3)))
        session.execute(delete(Account).where(Account.id == 9))
        session.commit()
        return a, commit_moment(session)


@pytest.mark.slow
def test_values_are_those_of_attributes(engine: Engine) -> None:
    a, b = grown(engine)
    assert [(row.key, row.operation, row.changed) for row in diff(engine, Account, a, b)][:2] == [
        ((5,), "update", {"balance": (0, 7), "opened": (dt.date(2020, 1, 1), dt.date(2021, 2, 3))}),
        (
            (9,), "delete",
            {"id": (9, None), "owner": ("x", None), "balance": (0, None), "opened": (dt.date(2020, 1, 1), None)},
        ),
    ]  # fmt: skip
    backwards = diff(engine, (Account, 9), b, a)
    assert [(row.operation, row.old is None) for row in backwards] == [("insert", True)]
    assert diff(engine, (Account, 77), a, b) == []


def test_the_whole_database_and_single_tables_by_columns(engine: Engine) -> None:
    a, b = grown(engine)
    for target in (None, "account", Account.__table__):
        found = diff(engine, target, a, b)
        assert [(row.table, row.key, row.operation) for row in found] == [
            ("account", 5, "update"), ("account", 9, "delete"), ("account", 1999, "update")
        ]  # fmt: skip
        assert found[0].changed == {"balance": (0, 7), "opened": ("2020-01-01", "2021-02-03")}


def test_only_changed_rows_are_looked_at(engine: Engine) -> None:
    a, b = grown(engine)
    visited = []
    with engine.connect() as connection:
        for target in (Account, select(Account).where(Account.balance == 7)):
            before = connection.exec_driver_sql("SELECT entitydb_visited()").scalar_one()
            assert len(diff(connection, target, a, b)) in (2, 3)
            visited.append(connection.exec_driver_sql("SELECT entitydb_visited()").scalar_one() - before)
    assert max(visited) < 60


def test_an_object(engine: Engine) -> None:
    a, b = grown(engine)
    with Session(engine) as session:
        account = session.get_one(Account, 5)
        ((row),) = diff(session, account, a, b)
        assert row.changed["balance"] == (0, 7)


def test_bad_targets(engine: Engine) -> None:
    a, b = grown(engine)
    fresh = Account(id=1)
    for target in (5, object(), fresh, (Account, (1, 2)), select(Account.id), select(func.count())):
        with pytest.raises(exc.ArgumentError):
            diff(engine, target, a, b)
    with pytest.raises(exc.ArgumentError):
        diff(engine, Account, "soon", b)


def test_nothing_is_written(engine: Engine) -> None:
    a, b = grown(engine)
    said: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    diff(engine, Account, a, b)
    assert all(sql.lstrip().upper().startswith("SELECT") for sql in said)
