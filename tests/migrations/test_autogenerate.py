"""`alembic check` is quiet about models as people write them, and speaks when they change."""

from __future__ import annotations

import pytest

from .conftest import Project

CONVENTION = """
    metadata.naming_convention = {
        "ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s", "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    }
"""

COMMON = """
    import enum

    class Colour(enum.Enum):
        RED = 1
        DARK_BLUE = 2

    table = Table(
        "common", metadata,
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
        Column("flag", Boolean(create_constraint=True, name="flag_bool"), nullable=False, server_default=false()),
        Column("colour", Enum(Colour, create_constraint=True, name="colour"), server_default="RED"),
        Column("word", Enum("a", "b", native_enum=False, length=20)),
        Column("price", Numeric(10, 2), server_default="0.00"), Column("rate", Numeric, server_default=text("0")),
        Column("real", Float), Column("double", Double), Column("small", SmallInteger, server_default="-1"),
        Column("name", String(40), unique=True), Column("text", Text, server_default=""),
        Column("wide", Unicode(10), index=True), Column("quoted", String, server_default="it's"),
        Column("body", JSON, server_default="{}"), Column("raw", LargeBinary(16)), Column("key", Uuid),
        Column("day", Date, server_default=func.current_date()), Column("hour", Time),
        Column("made", DateTime(timezone=True), server_default=func.now(), nullable=False),
        Column("stamp", TIMESTAMP, server_default=text("CURRENT_TIMESTAMP")),
        Column("span", Interval), Column("sum", Integer, server_default=text("(1 + 2)")),
        Column("folded", String(9, collation="NOCASE")),
        Column("call", Text, server_default=func.lower("ABC")), Column("null", Integer, server_default=text("NULL")),
        Column("twice", Integer, Computed("small * 2")), Column("kept", Integer, Computed("small * 3", persisted=True)),
        CheckConstraint("price >= 0", name="price"),
    )
    Index("common_some", table.c.name, unique=True, sqlite_where=text("flag"))
    Index("common_two", table.c.day, table.c.hour)
    Index("common_folded", table.c.name.collate("NOCASE"), table.c.folded, table.c.small.desc())
    Index("common_exact", table.c.folded.collate("BINARY").desc(), table.c.wide.collate("BINARY"))
    Index("common_anyway", table.c.folded.collate("NOCASE"))
    Table(
        "child", metadata,
        Column("a", Integer, primary_key=True), Column("b", String(10), primary_key=True),
        Column("common_id", ForeignKey("common.id", name="c_c", ondelete="CASCADE", onupdate="SET NULL"), index=True),
        Column("late", ForeignKey("common.id", name="c_late", deferrable=True, initially="DEFERRED")),
        Column("parent_a", Integer), Column("parent_b", String(10)),
        ForeignKeyConstraint(["parent_a", "parent_b"], ["child.a", "child.b"]),
        UniqueConstraint("common_id", "late", name="c_once"),
    )
    Table("numbered", metadata, Column("id", Integer, Identity(), primary_key=True), Column("x", Integer))
    Table("link", metadata, Column("l", ForeignKey("common.id"), primary_key=True),
          Column("r", ForeignKey("common.id"), primary_key=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["entitydb", "sqlite+entitydb"])
@pytest.mark.parametrize("convention", ["", CONVENTION])
def test_common_models_are_clean_after_upgrade(project: Project, scheme: str, convention: str) -> None:
    project.use(project.url.replace("entitydb", scheme, 1))
    project.models(convention + COMMON)
    project.alembic("revision", message="first", autogenerate=True)
    project.alembic("upgrade", "head")
    assert "No new upgrade operations detected" in project.alembic("check")
    project.alembic("downgrade", "base")
    project.alembic("upgrade", "head")
    assert "No new upgrade operations detected" in project.alembic("check")


@pytest.mark.slow
def test_models_that_were_created_directly_are_clean(project: Project) -> None:
    project.models(COMMON)
    project._python(f"import models, sqlalchemy; models.metadata.create_all(sqlalchemy.create_engine({project.url!r}))")
    project.alembic("stamp", "head")
    assert "No new upgrade operations detected" in project.alembic("check")


TAGGED = """
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
    from entitydb_dialect import Tagged

    class Base(DeclarativeBase):
        pass

    class Article(Tagged, Base):
        __tablename__ = "article"
        id: Mapped[int] = mapped_column(primary_key=True)

    class Badge(Tagged, Base):
        __tablename__ = "badge"
        code: Mapped[str] = mapped_column(primary_key=True)

    metadata = Base.metadata
"""


@pytest.mark.slow
def test_of_tags_migrations_see_nothing(project: Project) -> None:
    """Neither the engine's table of tags nor, on a table without an integer key, the row id is to be migrated."""
    project.models(TAGGED)
    project.alembic("revision", message="first", autogenerate=True)
    (script,) = (project.scripts / "versions").glob("*_first.py")
    assert "entitydb_tags" not in script.read_text()
    assert "rowid" not in script.read_text()
    project.alembic("upgrade", "head")
    assert "No new upgrade operations detected" in project.alembic("check")
    assert all("rowid" not in str(sql) for (sql,) in project.sql("SELECT sql FROM sqlite_master"))
    project._python(f"""
        from models import Article, Badge
        from sqlalchemy import create_engine
        from sqlalchemy.orm import Session
        with Session(create_engine({project.url!r})) as session:
            session.add_all([Article(id=1, tags={{"a"}}), Badge(code="x", tags={{"b"}})])
            session.commit()
    """)
    assert set(project.sql("SELECT type, tag FROM entitydb_tags")) == {("article", "a"), ("badge", "b")}
    assert "No new upgrade operations detected" in project.alembic("check")
    project.alembic("downgrade", "base")
    assert project.sql("SELECT * FROM entitydb_tags") == []


CHANGES = [
    ('Column("name", String(40), unique=True)', 'Column("name", String(41), unique=True)', "modify_type"),
    ('Column("price", Numeric(10, 2), server_default="0.00")', 'Column("price", Numeric(12, 2), server_default="0.00")',
     "modify_type"),
    ('Column("small", SmallInteger, server_default="-1")', 'Column("small", SmallInteger, server_default="1")',
     "modify_default"),
    ('server_default=text("(1 + 2)")', 'server_default=text("(1 + 3)")', "modify_default"),
    ('server_default=func.lower("ABC")', 'server_default=func.lower("ABD")', "modify_default"),
    ('server_default="it\'s"', 'server_default="its"', "modify_default"),
    ('Column("text", Text, server_default="")', 'Column("text", Text)', "modify_default"),
    ('Column("span", Interval)', 'Column("span", Interval, nullable=False)', "modify_nullable"),
    ('Column("wide", Unicode(10), index=True)', 'Column("wide", Unicode(10))', "remove_index"),
    ('Index("common_two", table.c.day, table.c.hour)', 'Index("common_two", table.c.hour, table.c.day)',
     "remove_index"),
    ('name.collate("NOCASE")', 'name', "remove_index"),
    ('name.collate("NOCASE")', 'name.collate("RTRIM")', "remove_index"),
    ('folded.collate("BINARY")', 'folded', "remove_index"),
    ('wide.collate("BINARY")', 'wide', None),
    ('folded.collate("NOCASE")', 'folded', None),
    ('unique=True, sqlite_where', 'sqlite_where', "remove_index"),
    ('ondelete="CASCADE"', 'ondelete="RESTRICT"', "remove_fk"),
    ('deferrable=True, initially="DEFERRED"', "", "remove_fk"),
    ('UniqueConstraint("common_id", "late", name="c_once")',
     'UniqueConstraint("late", "common_id", name="c_once")', None),
    ('UniqueConstraint("common_id", "late", name="c_once")',
     'UniqueConstraint("late", "parent_a", name="c_once")', "remove_constraint"),
    ('Column("x", Integer)', 'Column("y", Integer)', "add_column"),
]  # fmt: skip


@pytest.mark.slow
def test_what_changes_is_found(project: Project) -> None:
    """All in one process: each change is compared with one database, and rolled back after its migration."""
    import json
    import textwrap

    head = "import sqlalchemy as sa\nfrom sqlalchemy import *\nmetadata = MetaData()\n"
    cases = [(textwrap.dedent(COMMON.replace(old, new)), found) for old, new, found in CHANGES]
    assert all(old in COMMON for old, _, _ in CHANGES)
    printed = project._python(f"""
        import json
        from alembic.autogenerate import compare_metadata, produce_migrations
        from alembic.migration import MigrationContext
        from alembic.operations import Operations
        from sqlalchemy import create_engine

        def metadata(text):
            names = {{}}
            exec({head!r} + text, names)
            return names["metadata"]

        engine = create_engine({project.url!r})
        metadata({textwrap.dedent(COMMON)!r}).create_all(engine)
        found = []
        for text, _ in {cases!r}:
            with engine.connect() as connection:
                context = MigrationContext.configure(connection, opts={{"compare_server_default": True}})
                wanted = metadata(text)
                kinds = [d[0][0] if isinstance(d, list) else d[0] for d in compare_metadata(context, wanted)]
                for group in produce_migrations(context, wanted).upgrade_ops.ops:
                    for op in group.ops:
                        Operations(context).invoke(op)
                found.append([kinds, [str(d) for d in compare_metadata(context, wanted)]])
        print(json.dumps(found))
    """)
    for (old, new, kind), (kinds, left) in zip(CHANGES, json.loads(printed), strict=True):
        assert (kind in kinds) if kind else kinds == [], (old, new, kinds)
        assert left == [], (old, new)
