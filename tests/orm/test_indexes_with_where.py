"""Partial indexes as models declare them: made, reflected, unique, met by upserts, and used by queries of the ORM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Index, MetaData, Table, create_engine, event, exc, func, inspect, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str]
    kind: Mapped[str] = mapped_column(server_default="person")
    deleted: Mapped[bool] = mapped_column(default=False)
    visits: Mapped[int] = mapped_column(default=0)


KINDS = ("person", "firm", "robot")
Index("one_living", Account.email, unique=True, sqlite_where=Account.deleted.is_(False))
Index("firms", Account.visits, postgresql_where=Account.kind == "firm", postgresql_using="btree")
Index("loud", Account.email, sqlite_where=func.upper(Account.kind) == "ROBOT", postgresql_include=["visits"])


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"entitydb:///{tmp_path}/orm.edb")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        for i in range(200):
            session.add(Account(id=i, email=f"{i % 50}@example", kind=KINDS[i % 3], deleted=i >= 50, visits=i % 9))
        session.commit()
    yield engine
    engine.dispose()


def plan(engine: Engine, statement: Any) -> str:
    """What EXPLAIN QUERY PLAN says of the statement with the parameters that it is executed with."""
    found = []

    def explain(connection: Any, cursor: Any, sql: str, parameters: Any, context: Any, many: bool) -> None:
        found.extend(row[3] for row in cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall())

    event.listen(engine, "before_cursor_execute", explain)
    try:
        with Session(engine) as session:
            session.execute(statement)
    finally:
        event.remove(engine, "before_cursor_execute", explain)
    return "; ".join(found)


def test_queries_with_bound_parameters_use_them(engine: Engine) -> None:
    living = select(Account).where(Account.deleted.is_(False), Account.email == "7@example")
    assert plan(engine, living) == "SEARCH account USING INDEX one_living (email=?)"
    firms = select(Account.id).where(Account.kind == "firm", Account.visits > 7)
    assert plan(engine, firms) == "SEARCH account USING INDEX firms (visits>?)"
    assert "USING INDEX" not in plan(engine, select(Account.id).where(Account.kind == "person", Account.visits > 7))
    robots = select(Account.id).where(func.upper(Account.kind) == "ROBOT", Account.email == "7@example")
    assert plan(engine, robots) == "SEARCH account USING INDEX loud (email=?)"
    change = update(Account).where(Account.kind == "firm", Account.visits == 3).values(visits=4)
    assert "USING INDEX firms" in plan(engine, change.execution_options(synchronize_session=False))
    with Session(engine) as session:
        assert session.scalars(living).one().id == 7
        assert session.scalars(firms.order_by(Account.id)).all() == [i for i in range(200) if i % 3 == 1 and i % 9 > 7]


def test_unique_among_the_rows_it_is_for(engine: Engine) -> None:
    with Session(engine) as session:
        session.add(Account(email="3@example", deleted=True))
        session.commit()
        session.add(Account(email="3@example", deleted=False))
        with pytest.raises(exc.IntegrityError, match=r"UNIQUE constraint failed: account\.email"):
            session.commit()
        session.rollback()
        session.get_one(Account, 3).deleted = True
        session.add(Account(email="3@example", deleted=False))
        session.commit()


@pytest.mark.parametrize("insert", [sqlite_insert, postgresql_insert])
def test_upserts_name_it_by_index_where(engine: Engine, insert: Any) -> None:
    statement = insert(Account).values(email="3@example", deleted=False, visits=5)
    upsert = statement.on_conflict_do_update(
        index_elements=[Account.email],
        index_where=Account.deleted.is_(False),
        set_={"visits": Account.visits + statement.excluded.visits},
    ).returning(Account.id, Account.visits)
    with Session(engine) as session:
        assert session.execute(upsert).all() == [(3, 8)]
        ignored = statement.on_conflict_do_nothing(index_elements=["email"], index_where=text("deleted IS 0"))
        assert session.execute(ignored).rowcount == 0
        with pytest.raises(exc.OperationalError, match="does not match any PRIMARY KEY or UNIQUE constraint"):
            session.execute(statement.on_conflict_do_nothing(index_elements=["email"]))


def test_reflection_gives_back_what_makes_the_same_index(engine: Engine, tmp_path: Path) -> None:
    indexes = {index["name"]: index for index in inspect(engine).get_indexes("account")}
    wheres = {name: str(index["dialect_options"]["sqlite_where"]) for name, index in indexes.items()}
    assert wheres == {"one_living": "deleted IS 0", "firms": "kind = 'firm'", "loud": "upper(kind) = 'ROBOT'"}
    metadata = MetaData()
    metadata.reflect(engine)
    other = create_engine(f"entitydb:///{tmp_path}/other.edb")
    metadata.create_all(other)
    again = inspect(other).get_indexes("account")
    assert {index["name"]: str(index["dialect_options"]["sqlite_where"]) for index in again} == wheres
    table = Table("account", MetaData(), autoload_with=other)
    assert {index.name: index.unique for index in table.indexes} == {"one_living": True, "firms": False, "loud": False}
    other.dispose()
