"""An attached database as a schema of SQLAlchemy's, attached by a `connect` listener."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    exc,
    inspect,
    select,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from entitydb_dialect import at, begin_at, commit_moment, driver


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"entitydb:///{tmp_path / 'main.edb'}?page_size=512", pool_size=2)

    @event.listens_for(made, "connect")
    def attach(connection: Any, record: Any) -> None:
        connection.execute("ATTACH ? AS archive", (str(tmp_path / "archive.edb"),))

    yield made
    made.dispose()
    for name in ("main.edb", "archive.edb"):
        if (tmp_path / name).exists():
            database = driver.Database(tmp_path / name)
            breaches, _ = database.check()
            database.close()
            assert breaches == []


metadata = MetaData()
parent = Table("parent", metadata, Column("id", Integer, primary_key=True), Column("name", String, unique=True),
               schema="archive")
child = Table("child", metadata, Column("id", Integer, primary_key=True),
              Column("parent", ForeignKey("archive.parent.id", ondelete="CASCADE"), index=True), schema="archive")
here = Table("here", metadata, Column("id", Integer, primary_key=True), Column("name", String))


def create(engine: Engine) -> None:
    metadata.create_all(engine, tables=[here])
    metadata.create_all(engine, tables=[parent, child])


def test_all_tables_of_two_files_at_once_are_refused_with_the_way_out(engine: Engine) -> None:
    with pytest.raises(exc.NotSupportedError, match="commit or roll back in between"):
        metadata.create_all(engine)
    create(engine)
    assert metadata.create_all(engine) is None
    metadata.drop_all(engine, tables=[parent, child])
    assert inspect(engine).get_table_names(schema="archive") == []


def test_reflection(engine: Engine) -> None:
    create(engine)
    with engine.begin() as connection:
        connection.execute(text("CREATE VIEW archive.names AS SELECT name FROM parent"))
    found = inspect(engine)
    assert found.get_schema_names() == ["main", "archive"]
    assert found.get_table_names(schema="archive") == ["child", "parent"]
    assert found.get_table_names() == ["here"]
    assert found.get_view_names(schema="archive") == ["names"]
    assert "SELECT name FROM parent" in found.get_view_definition("names", schema="archive")
    assert [c["name"] for c in found.get_columns("child", schema="archive")] == ["id", "parent"]
    assert found.get_pk_constraint("parent", schema="archive")["constrained_columns"] == ["id"]
    (key,) = found.get_foreign_keys("child", schema="archive")
    assert (key["referred_schema"], key["referred_table"]) == ("archive", "parent")
    assert key["options"] == {"ondelete": "CASCADE"}
    assert [i["name"] for i in found.get_indexes("child", schema="archive")] == ["ix_archive_child_parent"]
    assert found.get_unique_constraints("parent", schema="archive")[0]["column_names"] == ["name"]
    assert found.has_table("parent", schema="archive")
    assert not found.has_table("here", schema="archive")
    again = MetaData()
    again.reflect(engine, schema="archive")
    assert sorted(again.tables) == ["archive.child", "archive.parent"]


def test_it_survives_the_pool(engine: Engine) -> None:
    create(engine)
    for number in range(1, 4):
        with engine.connect() as connection:
            connection.execute(parent.insert(), {"id": number})
            connection.commit()
            connection.execute(parent.insert(), {"id": 100})      # rolled back on its return to the pool
    with engine.connect() as one, engine.connect() as two:
        for connection in (one, two):
            assert connection.execute(select(parent.c.id)).scalars().all() == [1, 2, 3]


def test_moments(engine: Engine) -> None:
    create(engine)
    with engine.begin() as connection:
        connection.execute(parent.insert(), {"id": 1, "name": "before"})
    with engine.connect() as connection:
        connection.execute(parent.update().values(name="after"))
        connection.commit()
        moment = commit_moment(connection)
        for ns, name in ((moment - 1, "before"), (moment, "after")):
            assert connection.scalar(select(parent.c.name), execution_options={"as_of": ns}) == name


def test_history_is_imported_into_the_file_written(tmp_path: Path, engine: Engine) -> None:
    with begin_at(engine, 10**18) as connection:
        metadata.create_all(connection, tables=[parent])
        connection.execute(parent.insert(), {"id": 1, "name": "old"})
    metadata.create_all(engine, tables=[here])
    with pytest.raises(exc.OperationalError), begin_at(engine, 10**18) as connection:
        connection.execute(parent.insert(), {"id": 2})
    with engine.connect() as connection:
        assert connection.scalar(select(parent.c.name), execution_options={"as_of": 10**18}) == "old"


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "note"
    __table_args__ = {"schema": "archive"}  # noqa: RUF012 - as SQLAlchemy has it
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


def test_entities_and_past_sessions(engine: Engine) -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        note = Note(text="first")
        session.add(note)
        session.commit()
        moment = commit_moment(session)
        note.text = "second"
        session.add_all([Note(text=f"{i}") for i in range(3)])
        session.commit()
        with at(session, moment) as past:
            assert past.scalars(select(Note.text)).all() == ["first"]
        assert session.get(Note, 1).text == "second"
        assert len(session.scalars(select(Note)).all()) == 4
