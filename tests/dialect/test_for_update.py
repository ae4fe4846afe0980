"""with_for_update() where there are no row locks: programs written for SQLite run, and are told once what holds."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, exc, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from entitydb_dialect import EntityDBWarning, RowLockWarning, SerializationFailure


class Base(DeclarativeBase):
    pass


class Thing(Base):
    __tablename__ = "thing"
    id: Mapped[int] = mapped_column(primary_key=True)
    a: Mapped[int] = mapped_column(default=0)
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - as SQLAlchemy has it


@pytest.fixture(params=["entitydb", "sqlite+entitydb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"{request.param}:///{tmp_path}/test.edb?page_size=512")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Thing(id=1), Thing(id=2)])
        session.commit()
    yield engine
    engine.dispose()


def _merge(session: Session) -> Any:
    thing = session.get_one(Thing, 1)
    thing.a += 1
    session.flush()
    return thing


ASKED: dict[str, Callable[[Session], Any]] = {
    "select": lambda s: s.execute(select(Thing).with_for_update()).all(),
    "read": lambda s: s.execute(select(Thing).with_for_update(read=True)).all(),
    "of": lambda s: s.execute(select(Thing).with_for_update(of=Thing)).all(),
    "key_share": lambda s: s.execute(select(Thing.id).with_for_update(key_share=True)).all(),
    "subquery": lambda s: s.execute(select(select(Thing.id).with_for_update().subquery())).all(),
    "query": lambda s: s.query(Thing).with_for_update().first(),
    "get": lambda s: s.get(Thing, 1, with_for_update=True, populate_existing=True),
    "refresh": lambda s: s.refresh(s.get_one(Thing, 1), with_for_update=True),
    "dict": lambda s: s.refresh(s.get_one(Thing, 1), with_for_update={"read": True}),
    "versioned": lambda s: s.refresh(_merge(s), with_for_update=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", list(ASKED))
def test_every_way_to_ask_runs_and_warns_under_our_own_name(engine: Engine, how: str) -> None:
    with Session(engine) as session, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        assert ASKED[how](session) != []
        session.commit()
    caught = [warning for warning in caught if issubclass(warning.category, RowLockWarning)]
    assert len(caught) == (engine.dialect.name == "entitydb")
    for warning in caught:
        assert issubclass(warning.category, RuntimeWarning)
        assert issubclass(warning.category, EntityDBWarning)
        assert warning.filename == __file__
        assert "SerializationFailure" in str(warning.message)


def test_a_place_is_told_once(engine: Engine) -> None:
    with Session(engine) as session, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for limit in range(1, 4):
            for column in (Thing.id, Thing.a):
                session.execute(select(column).limit(limit).with_for_update()).all()
    assert len(caught) == (engine.dialect.name == "entitydb")


@pytest.mark.parametrize("words", [{"nowait": True}, {"skip_locked": True}, {"nowait": True, "read": True}])
def test_what_only_locks_can_do_is_refused_under_our_own_name(engine: Engine, words: dict[str, bool]) -> None:
    with Session(engine) as session:
        query = select(Thing.id).with_for_update(**words)
        if engine.dialect.name == "sqlite":
            assert session.execute(query).all() == [(1,), (2,)]
        else:
            with pytest.raises(exc.CompileError, match=rf"{next(iter(words))}.*no row locks"):
                session.execute(query)


@pytest.mark.filterwarnings("ignore::entitydb_dialect.RowLockWarning")
def test_the_later_commit_fails(engine: Engine) -> None:
    with Session(engine) as one, Session(engine) as two:
        for session in (one, two):
            session.execute(select(Thing).where(Thing.id == 1).with_for_update()).scalar_one().a += 1
        one.commit()
        with pytest.raises(exc.OperationalError) as caught:
            two.commit()
        assert isinstance(caught.value.orig, SerializationFailure)


def test_asyncio_is_warned_too(tmp_path: Path) -> None:
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    async def main() -> None:
        engine = create_async_engine(f"entitydb+aio:///{tmp_path}/test.edb?page_size=512")
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(engine) as session:
            with pytest.warns(RowLockWarning):
                assert (await session.execute(select(Thing).with_for_update())).all() == []
        await engine.dispose()

    asyncio.run(main())
