"""RETURNING and ON CONFLICT as the ORM uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class Word(Base):
    __tablename__ = "word"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(unique=True)
    count: Mapped[int] = mapped_column(server_default="1")


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    engine = create_engine(f"entitydb:///{tmp_path}/orm.edb")
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.mark.slow
def test_flush_inserts_many_with_few_statements_and_right_ids(engine: Any) -> None:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    with Session(engine) as session:
        words = [Word(text=f"w{i}") for i in range(2500)]
        session.add_all(words)
        session.flush()
        assert len(statements) <= 4
        assert [word.id for word in words] == sorted(word.id for word in words)
        session.commit()
        for word in words[::500]:
            assert session.scalar(select(Word.text).where(Word.id == word.id)) == word.text
        assert {word.count for word in words[:5]} == {1}


@pytest.mark.parametrize("make", [sqlite_insert, postgresql_insert])
def test_upsert_gives_back_entities(engine: Any, make: Any) -> None:
    with Session(engine) as session:
        for texts in (["a", "b", "a"], ["b", "c"]):
            statement = make(Word).values([{"text": text} for text in texts])
            statement = statement.on_conflict_do_update(index_elements=["text"], set_={"count": Word.count + 1})
            found = session.scalars(statement.returning(Word), execution_options={"populate_existing": True}).all()
            assert [word.text for word in found] == texts
        session.commit()
        counts = session.execute(select(Word.text, Word.count).order_by(Word.text)).all()
        assert counts == [("a", 2), ("b", 2), ("c", 1)]


def test_bulk_insert_and_update_return_rows(engine: Any) -> None:
    with Session(engine) as session:
        rows = [{"text": text} for text in "zyx"]
        found = session.scalars(insert(Word).returning(Word, sort_by_parameter_order=True), rows).all()
        assert [word.text for word in found] == list("zyx")
        statement = update(Word).values(count=9).where(Word.text > "x").returning(Word.text)
        changed = session.execute(statement).scalars().all()
        assert sorted(changed) == ["y", "z"]
        session.commit()
        assert session.scalar(select(func.sum(Word.count))) == 19
