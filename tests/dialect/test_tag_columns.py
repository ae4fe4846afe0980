"""Column(info={"tag": ...}): declared with the table, kept by the engine, reflected."""

from __future__ import annotations

import pytest
from sqlalchemy import (
    Column,
    Computed,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    delete,
    exc,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy import update as update_table


@pytest.mark.parametrize("url", ["entitydb://", "sqlite+entitydb://"])
def test_a_column_of_a_model_is_a_tag_column_and_is_reflected_as_one(url: str) -> None:
    engine = create_engine(url)
    table = Table(
        "a",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("s", String(20), nullable=False, info={"tag": "it's", "other": 1}),
        Column("g", Text, Computed("upper(s)", persisted=True), info={"tag": "g"}),
        Column("plain", Text, info={"other": 2}),
    )
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table).values(s="x"))
        connection.execute(update_table(table).values(s="y"))
        found = connection.execute(text("SELECT tag FROM entitydb_tags")).scalars().all()
    assert sorted(found) == ["g:Y", "it's:y"]
    reflected = Table("a", MetaData(), autoload_with=engine)
    found = {c.name: c.info for c in reflected.columns}
    assert found == {"id": {}, "s": {"tag": "it's"}, "g": {"tag": "g"}, "plain": {}}


def test_a_namespace_that_is_no_text_is_named() -> None:
    table = Table("a", MetaData(), Column("s", String, info={"tag": 5}))
    with pytest.raises(exc.CompileError, match=r"a\.s: info\['tag'\] is 5"):
        table.create(create_engine("entitydb://"))


@pytest.mark.parametrize("url", ["entitydb://", "sqlite+entitydb://"])
def test_the_table_of_tags_is_there_and_is_no_table_of_the_users(url: str) -> None:
    engine = create_engine(url)
    metadata = MetaData()
    Table("a", metadata, Column("id", Integer, primary_key=True), Column("s", String, info={"tag": "s"}))
    columns = {"type": Text, "entity": Integer, "tag": Text}
    tags = Table("entitydb_tags", metadata, *(Column(n, t, primary_key=True) for n, t in columns.items()))
    metadata.create_all(engine)  # checks first, and finds it
    inspector = inspect(engine)
    assert inspector.get_table_names() == ["a"]
    assert inspector.get_view_names() == inspector.get_temp_table_names() == []
    assert inspector.has_table("entitydb_tags")
    reflected = MetaData()
    reflected.reflect(engine, views=True)
    assert list(reflected.tables) == ["a"]
    asked = Table("entitydb_tags", MetaData(), autoload_with=engine)
    assert [c.name for c in asked.columns] == ["type", "entity", "tag", "namespace", "value", "since"]
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO a VALUES (1, 'x')"))
        assert connection.execute(insert(tags), [{"type": "a", "entity": 1, "tag": "by:hand"}]).rowcount == 1
        assert sorted(connection.scalars(select(tags.c.tag))) == ["by:hand", "s:x"]
        assert connection.execute(delete(tags).where(tags.c.tag == "by:hand")).rowcount == 1
        assert list(connection.scalars(select(tags.c.tag))) == ["s:x"]
