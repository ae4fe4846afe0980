"""Tag: a tag on an entity, mapped to the engine's table entitydb_tags.

The engine makes the table. Here it stands in a MetaData of its own, so that nobody's create_all(), drop_all() or
autogenerate meets it. An INSERT of a tag that is there, and a DELETE of one that is not, are nothing to the engine;
therefore two Sessions that give the same tag both succeed, and no counts of rows are compared.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, MetaData, Table, Text, inspect
from sqlalchemy.orm import Mapped, registry

TAGS = Table(
    "entitydb_tags",
    MetaData(),
    Column("type", Text, primary_key=True),
    Column("entity", BigInteger, primary_key=True, autoincrement=False),
    Column("tag", Text, primary_key=True),
    Column("namespace", Text),
    Column("value", Text),
)

_REGISTRY = registry(metadata=TAGS.metadata)


class Tag:
    """A tag on a row: the name of the row's table, its row id, the text. The Sessions of `Tagged` objects write them.

    It is here for joins (`select(Article.title, Tag.tag).join(Article.tags)`) and for the `binds` of a Session that has
    several databases.
    """

    type: Mapped[str]
    entity: Mapped[int]
    tag: Mapped[str]

    def __init__(self, type: str, tag: str) -> None:
        self.type = type
        self.tag = tag

    def __repr__(self) -> str:
        return f"<Tag {self.tag!r} on {self.type} {self.entity}>"


def map_tag() -> None:
    """Maps Tag, at first and again behind SQLAlchemy's clear_mappers()."""
    if inspect(Tag, raiseerr=False) is None:
        _REGISTRY.map_imperatively(
            Tag, TAGS, include_properties=["type", "entity", "tag"], confirm_deleted_rows=False
        )
        _REGISTRY.configure()


map_tag()

__all__ = ["TAGS", "Tag", "map_tag"]
