"""Models written for SQLite or PostgreSQL: what compiles and runs unchanged, and what is refused by name."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.schema import CreateIndex, CreateTable

MakeEngine = Callable[..., Engine]

URLS = ["entitydb://", "sqlite+entitydb://"]


def ddl(construct: Any, url: str = "entitydb://") -> str:
    return str(construct.compile(dialect=sa.create_engine(url).dialect))


def column_ddl(type_: Any, url: str = "entitydb://", **options: Any) -> str:
    table = sa.Table("t", sa.MetaData(), sa.Column("c", type_, **options))
    return ddl(CreateTable(table), url).split("(", 1)[1].strip()[:-1].strip()


def compiled(statement: Any) -> str:
    return " ".join(str(statement.compile(dialect=sa.create_engine("entitydb://").dialect)).split())


def keyed(*columns: Any, **options: Any) -> sa.Table:
    own = [sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Integer, unique=True)]
    return sa.Table("t", sa.MetaData(), *own, sa.Column("b", sa.String), *columns, **options)


# ---- types ----


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (sa.BigInteger().with_variant(sa.Integer(), "sqlite"), "INTEGER"),
        (sa.BigInteger().with_variant(sa.Integer(), "postgresql"), "BIGINT"),
        (sa.JSON().with_variant(sa.Text(), "sqlite"), "TEXT"),
        (sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), "JSON"),
        (postgresql.JSONB().with_variant(sa.JSON(), "sqlite"), "JSON"),
        (postgresql.ARRAY(sa.Integer).with_variant(sa.JSON(), "sqlite"), "JSON"),
        (postgresql.INET().with_variant(sa.String(45), "sqlite"), "VARCHAR(45)"),
        (postgresql.JSONB(), "JSONB"),
        (postgresql.UUID(), "CHAR(32)"),
        (sa.UUID(), "CHAR(32)"),
        (sa.Uuid(), "CHAR(32)"),
        (postgresql.BYTEA(), "BLOB"),
        (postgresql.DOUBLE_PRECISION(), "DOUBLE PRECISION"),
        (postgresql.TIMESTAMP(), "TIMESTAMP"),
        (postgresql.ENUM("a", "bcd", name="e"), "VARCHAR(3)"),
        (sqlite.DATETIME(), "DATETIME"),
        (sqlite.JSON(), "JSON"),
    ],
    ids=repr,
)
def test_types_compile(url: str, type_: Any, text: str) -> None:
    assert column_ddl(type_, url) == f"c {text}"


@pytest.mark.parametrize(
    "type_",
    [sa.DateTime(timezone=True), sa.DateTime(True), sa.TIMESTAMP(timezone=True), postgresql.TIMESTAMP(timezone=True)],
    ids=repr,
)
def test_a_zone_is_declared_under_our_own_name(type_: Any) -> None:
    assert column_ddl(type_, "entitydb://") == "c TIMESTAMP WITH TIME ZONE"
    assert column_ddl(type_, "sqlite+entitydb://") in ("c DATETIME", "c TIMESTAMP")


@pytest.mark.parametrize(
    "type_",
    [
        postgresql.ARRAY(sa.Integer),
        sa.ARRAY(sa.Integer),
        postgresql.INET(),
        postgresql.CIDR(),
        postgresql.MACADDR(),
        postgresql.HSTORE(),
        postgresql.INT4RANGE(),
        postgresql.TSVECTOR(),
        postgresql.INTERVAL(),
        postgresql.BIT(3),
        postgresql.MONEY(),
        postgresql.CITEXT(),
    ],
    ids=repr,
)
def test_types_without_a_counterpart_are_refused_by_name(type_: Any) -> None:
    name = type(type_).__name__
    with pytest.raises(exc.CompileError, match=rf"EntityDB has no type {name}.*with_variant"):
        column_ddl(type_)


@pytest.mark.parametrize("type_", [postgresql.UUID(as_uuid=True), sa.UUID(), sa.Uuid()], ids=repr)
def test_uuids_that_look_like_numbers_stay_what_they_are(engine: Engine, type_: Any) -> None:
    table = sa.Table("t", sa.MetaData(), sa.Column("id", type_, primary_key=True))
    table.create(engine)
    values = [uuid.UUID(text * 4) for text in ("12345678", "1234e567", "00000001", "99999999")]
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"id": value} for value in values])
        assert set(connection.scalars(sa.select(table.c.id))) == set(values)
        for value in values:
            assert connection.scalar(sa.select(table.c.id).where(table.c.id == value)) == value


def test_jsonb_is_asked_as_on_postgresql(engine: Engine) -> None:
    columns = [sa.Column("id", sa.Integer, primary_key=True), sa.Column("j", postgresql.JSONB)]
    table = sa.Table("t", sa.MetaData(), *columns)
    table.create(engine)
    value = {"n": 5, "s": "x", "yes": True, "no": False, "none": None, "f": 1.5, "l": [1, "two", {"k": 3}]}
    with engine.begin() as connection:
        connection.execute(table.insert().values(id=1, j=value))
        j = table.c.j
        assert connection.scalar(sa.select(j)) == value
        assert connection.scalar(sa.select(j["l"])) == [1, "two", {"k": 3}]
        assert connection.scalar(sa.select(j["l"][2]["k"].as_integer())) == 3
        texts = sa.select(*(j[key].astext for key in ("n", "s", "yes", "no", "none", "f", "?")))
        assert tuple(connection.execute(texts).one()) == ("5", "x", "true", "false", None, "1.5", None)
        for key, text in {"n": "5", "yes": "true", "s": "x", "f": "1.5"}.items():
            assert connection.scalar(sa.select(table.c.id).where(j[key].astext == text)) == 1
            assert connection.scalar(sa.select(table.c.id).where(j[key].astext == text + "0")) is None
        assert connection.scalar(sa.select(j["l"][1].astext)) == "two"
        assert connection.scalar(sa.select(table.c.id).where(j["n"].astext.cast(sa.Integer) == 5)) == 1


def test_enum_of_postgresql_needs_no_type_of_its_own(engine: Engine) -> None:
    colour = postgresql.ENUM("red", "green", name="colour", metadata=sa.MetaData())
    table = sa.Table("t", sa.MetaData(), sa.Column("c", colour))
    colour.create(engine, checkfirst=True)
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(table.insert().values(c="red"))
        assert connection.scalar(sa.select(table.c.c)) == "red"
    table.drop(engine)
    colour.drop(engine, checkfirst=True)


# ---- keys ----


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    ("type_", "options"),
    [
        (sa.BigInteger(), {}),
        (sa.SmallInteger(), {}),
        (sa.BigInteger().with_variant(sa.Integer(), "sqlite"), {}),
        (postgresql.BIGINT(), {}),
        (sa.BigInteger(), {"sqlite_autoincrement": True}),
        (sa.Integer(), {"sqlite_autoincrement": True}),
    ],
    ids=repr,
)
def test_any_single_integer_key_numbers_itself(make_engine: MakeEngine, url: str, type_: Any, options: Any) -> None:
    engine = make_engine(f"{url}?page_size=512")
    columns = [sa.Column("id", type_, primary_key=True), sa.Column("a", sa.Integer)]
    table = sa.Table("t", sa.MetaData(), *columns, **options)
    table.create(engine)
    with engine.begin() as connection:
        assert connection.execute(table.insert().values(a=1)).inserted_primary_key == (1,)
        connection.execute(table.insert(), [{"a": 2}, {"a": 3}])
        assert connection.scalars(sa.select(table.c.id)).all() == [1, 2, 3]


@pytest.mark.parametrize("default", [sa.Identity(always=True), sa.Sequence("s")], ids=["identity", "sequence"])
def test_identity_and_sequence_keys_number_themselves(engine: Engine, default: Any) -> None:
    columns = [sa.Column("id", sa.BigInteger, default, primary_key=True), sa.Column("a", sa.Integer)]
    table = sa.Table("t", sa.MetaData(), *columns)
    table.create(engine)
    with engine.begin() as connection:
        rows = [{"a": n} for n in range(5)]
        statement = table.insert().returning(table.c.id, table.c.a, sort_by_parameter_order=True)
        assert [tuple(row) for row in connection.execute(statement, rows)] == [(n + 1, n) for n in range(5)]


# ---- options ----


@pytest.mark.parametrize(
    "options",
    [
        {"postgresql_tablespace": "x"},
        {"postgresql_partition_by": "LIST (a)"},
        {"postgresql_inherits": "q"},
        {"postgresql_on_commit": "DROP"},
        {"mysql_engine": "InnoDB"},
        {"sqlite_with_rowid": True},
    ],
    ids=repr,
)
def test_table_options_of_others_are_accepted(engine: Engine, options: dict[str, Any]) -> None:
    keyed(**options).create(engine)
    assert sa.inspect(engine).has_table("t")


def test_table_options_of_sqlite_are_honoured(engine: Engine) -> None:
    columns = [sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Text)]
    strict = {"sqlite_strict": True} if _knows_strict() else {}
    sa.Table("t", sa.MetaData(), *columns, sqlite_with_rowid=False, **strict).create(engine)
    options = sa.inspect(engine).get_table_options("t")
    assert options.get("sqlite_with_rowid") is False
    assert options.get("sqlite_strict", False) is _knows_strict()


def _knows_strict() -> bool:
    return any("strict" in options for _, options in sqlite.base.SQLiteDialect.construct_arguments or [])


@pytest.mark.parametrize(
    "options",
    [
        {"postgresql_using": "gin"},
        {"postgresql_ops": {"a": "int4_ops"}},
        {"postgresql_include": ["b"]},
        {"postgresql_concurrently": True},
        {"postgresql_with": {"fillfactor": 50}},
        {"mysql_length": 3},
    ],
    ids=repr,
)
def test_index_options_of_others_are_accepted(engine: Engine, options: dict[str, Any]) -> None:
    table = keyed()
    sa.Index("ix", table.c.a, **options)
    table.create(engine)
    assert [index["column_names"] for index in sa.inspect(engine).get_indexes("t")] == [["a"]]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("option", ["sqlite_where", "postgresql_where"])
def test_the_where_of_an_index_is_never_left_out(url: str, option: str) -> None:
    table = keyed()
    index = sa.Index("ix", table.c.b, unique=True, **{option: table.c.a > 5})
    assert ddl(CreateIndex(index), url) == "CREATE UNIQUE INDEX ix ON t (b) WHERE a > 5"


def test_sqlite_where_wins_over_postgresql_where() -> None:
    table = keyed()
    index = sa.Index("ix", table.c.b, sqlite_where=table.c.a > 5, postgresql_where=table.c.a > 6)
    assert ddl(CreateIndex(index)) == "CREATE INDEX ix ON t (b) WHERE a > 5"


def test_conflict_clauses_in_a_table_are_refused_not_ignored(engine: Engine) -> None:
    column = sa.Column("c", sa.Integer, unique=True, sqlite_on_conflict_unique="IGNORE")
    with pytest.raises(exc.NotSupportedError, match="ON CONFLICT IGNORE in a table definition"):
        keyed(column).create(engine)


# ---- statements ----


@pytest.mark.parametrize("insert", [postgresql.insert, sqlite.insert], ids=["postgresql", "sqlite"])
def test_both_inserts_upsert(engine: Engine, insert: Any) -> None:
    table = keyed()
    table.create(engine)
    statement = insert(table)
    upsert = statement.on_conflict_do_update(
        index_elements=[table.c.a],
        set_={"b": statement.excluded.b + table.c.b},
        where=table.c.b != "keep",
    ).returning(table.c.id, table.c.b)
    nothing = insert(table).on_conflict_do_nothing(index_elements=["a"]).returning(table.c.id)
    with engine.begin() as connection:
        assert connection.execute(upsert, {"a": 1, "b": "x"}).all() == [(1, "x")]
        assert connection.execute(upsert, {"a": 1, "b": "y"}).all() == [(1, "yx")]
        assert connection.execute(nothing, {"a": 1, "b": "z"}).all() == []
        connection.execute(table.update().values(b="keep"))
        assert connection.execute(upsert, {"a": 1, "b": "z"}).all() == []
        assert connection.execute(sa.select(table)).all() == [(1, 1, "keep")]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("constraint", "columns"),
    [("key", "(a, b)"), ("uq_ab", "(a, b)"), ("t_a_key", "(a)"), ("t_pkey", "(id)"), ("primary", "(id)")],
)
def test_a_constraint_of_on_conflict_becomes_its_columns(constraint: str, columns: str, named: bool) -> None:
    key = sa.UniqueConstraint("a", "b", name="uq_ab")
    table = keyed(key)
    target: Any = {"key": key, "primary": table.primary_key}.get(constraint, constraint)
    statement = postgresql.insert(table).values(a=1)
    if named:
        statement = statement.on_conflict_do_nothing(constraint=target)
        assert compiled(statement).endswith(f" ON CONFLICT {columns} DO NOTHING")
    else:
        statement = statement.on_conflict_do_update(constraint=target, set_={"b": statement.excluded.b})
        assert f" ON CONFLICT {columns} DO UPDATE SET b = excluded.b" in compiled(statement)


def test_an_upsert_on_a_constraint_overwrites_no_other_row(engine: Engine) -> None:
    table = keyed(sa.UniqueConstraint("b", name="uq_b"))
    table.create(engine)
    statement = postgresql.insert(table)
    statement = statement.on_conflict_do_update(constraint="uq_b", set_={"a": statement.excluded.a})
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
        with pytest.raises(exc.IntegrityError, match=r"t\.a"), connection.begin_nested():
            connection.execute(statement, {"a": 1, "b": "new"})
        connection.execute(statement, {"a": 5, "b": "x"})
        assert connection.execute(sa.select(table.c.a, table.c.b).order_by("b")).all() == [(5, "x"), (2, "y")]


def test_an_unknown_constraint_of_on_conflict_is_refused_by_name() -> None:
    statement = postgresql.insert(keyed()).values(a=1).on_conflict_do_nothing(constraint="nobody")
    with pytest.raises(exc.CompileError, match=r"ON CONSTRAINT nobody.*index_elements"):
        compiled(statement)


def _array() -> Any:
    return sa.column("ar", postgresql.ARRAY(sa.Integer))


def _jsonb() -> Any:
    return sa.column("j", postgresql.JSONB)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (lambda: _jsonb().contains({"a": 1}), "operator @>"),
        (lambda: _jsonb().has_key("a"), r"operator \?"),
        (lambda: _jsonb()["a", "b"].astext, "operator #>>"),
        (lambda: _array().contains([1]), "operator @>"),
        (lambda: _array().overlap([1]), "operator &&"),
        (lambda: _array()[1], "cannot be subscripted"),
        (lambda: _array()[1:2], "cannot be subscripted"),
        (lambda: postgresql.array([1, 2]), "array"),
        (lambda: sa.func.to_tsvector("x").op("@@")(sa.func.to_tsquery("x")), "operator @@"),
    ],
)
def test_operators_without_a_counterpart_are_refused_by_name(expression: Callable[[], Any], message: str) -> None:
    with pytest.raises(exc.CompileError, match=message):
        compiled(sa.select(expression()))


# ---- a model ----


def test_a_model_written_for_postgresql_works_unchanged(engine: Engine) -> None:
    class Base(DeclarativeBase):
        pass

    class Author(Base):
        __tablename__ = "author"
        __table_args__ = (sa.CheckConstraint("length(name) > 0"), {"postgresql_tablespace": "fast"})

        id: Mapped[uuid.UUID] = mapped_column(postgresql.UUID(as_uuid=True), primary_key=True, default=uuid.uuid4)
        name: Mapped[str] = mapped_column(sa.Text, unique=True)
        about: Mapped[dict[str, Any]] = mapped_column(postgresql.JSONB, default=dict)
        made: Mapped[Any] = mapped_column(postgresql.TIMESTAMP(), server_default=sa.func.now())
        books: Mapped[list[Book]] = relationship(back_populates="author", passive_deletes=True)

    class Book(Base):
        __tablename__ = "book"
        __table_args__ = (sa.Index("ix_book_title", "title", postgresql_using="btree"),)

        id: Mapped[int] = mapped_column(sa.BigInteger, sa.Identity(), primary_key=True)
        author_id: Mapped[uuid.UUID] = mapped_column(sa.ForeignKey("author.id", ondelete="CASCADE", onupdate="CASCADE"))
        title: Mapped[str] = mapped_column(sa.String(200))
        state: Mapped[str] = mapped_column(postgresql.ENUM("new", "read", name="state"), server_default="new")
        author: Mapped[Author] = relationship(back_populates="books")

    Base.metadata.create_all(engine)
    with Session(engine) as session:
        author = Author(name="Ada", about={"born": 1815, "tags": ["x"]}, books=[Book(title="A"), Book(title="B")])
        session.add(author)
        session.commit()
        assert [(book.id, book.state) for book in author.books] == [(1, "new"), (2, "new")]
        assert author.made is not None
        assert session.scalars(sa.select(Author).where(Author.about["born"].as_integer() == 1815)).one() is author
        upsert = postgresql.insert(Author).values(name="Ada", about={"born": 0})
        upsert = upsert.on_conflict_do_update(index_elements=[Author.name], set_={"about": upsert.excluded.about})
        assert session.scalars(upsert.returning(Author), execution_options={"populate_existing": True}).one() is author
        assert author.about == {"born": 0}
        session.delete(author)
        session.commit()
        assert session.scalar(sa.select(sa.func.count()).select_from(Book)) == 0
