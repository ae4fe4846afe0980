"""create_all, drop_all, reflection, and the SQL the dialect compiles."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    exc,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import TypeDecorator

import entitydb_dialect

# SQLAlchemy 2.0's SQLite dialect reflects none.
_HAS_OPTIONS = "get_table_options" in vars(SQLiteDialect)


def schema() -> MetaData:
    metadata = MetaData()
    Table(
        "dep",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("code", String(10), nullable=False, unique=True),
        Column("Region Name", String(20), server_default="here"),
        UniqueConstraint("code", "Region Name", name="uq_code_region"),
        CheckConstraint("length(code) > 1", name="ck_code"),
    )
    Table(
        "emp",
        metadata,
        Column(
            "dep_id",
            Integer,
            ForeignKey("dep.id", name="fk_dep", ondelete="CASCADE", onupdate="SET NULL"),
            primary_key=True,
        ),
        Column("nr", Integer, primary_key=True),
        Column("name", String(50), nullable=False, index=True),
        Column("pay", Numeric(10, 2), server_default=text("0")),
        Column("hired", DateTime, server_default=text("CURRENT_TIMESTAMP")),
        Index("ix_emp_pay_name", "pay", "name", unique=True),
    )
    Table(
        "task",
        metadata,
        Column("id", BigInteger, primary_key=True),
        Column("dep_id", Integer),
        Column("emp_nr", Integer),
        Column("parent_id", BigInteger, ForeignKey("task.id", deferrable=True, initially="DEFERRED")),
        ForeignKeyConstraint(["dep_id", "emp_nr"], ["emp.dep_id", "emp.nr"], name="fk_emp"),
    )
    Table("plain", metadata, Column("a", Text), Column("b", SmallInteger))
    Table("rowless", metadata, Column("k", String(5), primary_key=True), Column("v", Integer), sqlite_with_rowid=False)
    return metadata


def described(engine: Engine) -> dict[str, Any]:
    inspector = inspect(engine)
    found = {}
    for name in inspector.get_table_names():
        found[name] = {
            "columns": [{**c, "type": repr(c["type"])} for c in inspector.get_columns(name)],
            "pk": inspector.get_pk_constraint(name),
            "fks": sorted(inspector.get_foreign_keys(name), key=lambda k: k["constrained_columns"]),
            "indexes": [
                {k: v for k, v in i.items() if k != "unique"} | {"unique": bool(i["unique"])}
                for i in inspector.get_indexes(name)
            ],
            "uniques": sorted(inspector.get_unique_constraints(name), key=lambda u: u["column_names"]),
            "checks": inspector.get_check_constraints(name),
            "options": inspector.get_table_options(name) if _HAS_OPTIONS else {},
        }
    return found


def test_reflection_says_what_sqlite_says(engine: Engine) -> None:
    other = create_engine("sqlite://")
    schema().create_all(other)
    schema().create_all(engine)
    assert described(engine) == described(other)
    other.dispose()


def test_reflected_tables_make_the_same_statements(engine: Engine) -> None:
    schema().create_all(engine)
    reflected = MetaData()
    reflected.reflect(engine)
    assert set(reflected.tables) == {"dep", "emp", "task", "plain", "rowless"}
    again = create_engine("entitydb://")
    reflected.create_all(again)
    assert described(again) == described(engine)
    again.dispose()


def test_timing_of_foreign_keys_is_reflected_as_written(engine: Engine) -> None:
    other = create_engine("sqlite://")
    timings = ["", "DEFERRABLE", "NOT DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"]
    timings.append("NOT DEFERRABLE INITIALLY IMMEDIATE")
    columns = ", ".join(f"c{i} INTEGER" for i in range(len(timings)))
    keys = ", ".join(f"CONSTRAINT k{i} FOREIGN KEY(c{i}) REFERENCES p(a) {words}" for i, words in enumerate(timings))
    found = []
    for each in (engine, other):
        with each.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE p(a INTEGER PRIMARY KEY)")
            connection.exec_driver_sql(f"CREATE TABLE t({columns}, {keys})")
        found.append(inspect(each).get_foreign_keys("t"))
    other.dispose()
    assert found[0] == found[1]
    assert [key["options"] for key in found[0]][-1] == {"deferrable": False, "initially": "IMMEDIATE"}


def test_indexes_of_constraints_are_reflected_when_asked_for(engine: Engine) -> None:
    other = create_engine("sqlite://")
    found = []
    for each in (engine, other):
        with each.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE t(a INTEGER PRIMARY KEY, b UNIQUE, c)")
            connection.exec_driver_sql("CREATE INDEX ic ON t(c)")
        with each.connect() as connection:
            reflect = each.dialect.get_indexes
            found.append([[i["name"] for i in reflect(connection, "t")],
                          sorted(i["name"] for i in reflect(connection, "t", include_auto_indexes=True))])  # fmt: skip
    other.dispose()
    assert found[0] == found[1] == [["ic"], ["ic", "sqlite_autoindex_t_1"]]


def test_multi_reflection_equals_single(engine: Engine) -> None:
    schema().create_all(engine)
    inspector = inspect(engine)
    columns = inspector.get_multi_columns()
    for name in inspector.get_table_names():
        assert [c["name"] for c in columns[(None, name)]] == [c["name"] for c in inspector.get_columns(name)]
        assert inspector.get_multi_pk_constraint()[(None, name)] == inspector.get_pk_constraint(name)
        assert inspector.get_multi_indexes()[(None, name)] == inspector.get_indexes(name)
        assert inspector.get_multi_foreign_keys()[(None, name)] == inspector.get_foreign_keys(name)


def test_create_and_drop_are_transactional_and_repeatable(engine: Engine) -> None:
    metadata = schema()
    metadata.create_all(engine)
    metadata.create_all(engine)
    with engine.connect() as connection:
        metadata.drop_all(connection)
        assert inspect(connection).get_table_names() == []
        connection.rollback()
    assert len(inspect(engine).get_table_names()) == 5
    metadata.drop_all(engine)
    metadata.drop_all(engine)
    assert inspect(engine).get_table_names() == []
    assert inspect(engine).get_view_names() == []


def test_names_that_are_not_there(engine: Engine) -> None:
    inspector = inspect(engine)
    assert not inspector.has_table("nope")
    for method in ("get_columns", "get_indexes", "get_pk_constraint", "get_foreign_keys", "get_unique_constraints"):
        with pytest.raises(exc.NoSuchTableError):
            getattr(inspector, method)("nope")
    with pytest.raises(exc.NoSuchTableError):
        Table("nope", MetaData(), autoload_with=engine)


def test_temp_tables_are_reflected_apart(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE scratch(a INTEGER PRIMARY KEY, b TEXT NOT NULL)"))
        inspector = inspect(connection)
        assert inspector.get_table_names() == []
        assert inspector.get_temp_table_names() == ["scratch"]
        assert inspector.has_table("scratch")
        assert [c["name"] for c in inspector.get_columns("scratch")] == ["a", "b"]
        connection.rollback()


def test_schema_of_a_moment_is_reflected(engine: Engine) -> None:
    metadata = MetaData()
    first = Table("first", metadata, Column("id", Integer, primary_key=True))
    metadata.create_all(engine)
    with engine.connect() as connection:
        connection.execute(insert(first))
        connection.commit()
        moment = entitydb_dialect.commit_moment(connection)
    Table("second", metadata, Column("id", Integer, primary_key=True))
    metadata.create_all(engine)
    assert inspect(engine).get_table_names() == ["first", "second"]
    assert inspect(engine.execution_options(as_of=moment)).get_table_names() == ["first"]


def test_index_made_later_is_used_and_reflected(engine: Engine) -> None:
    metadata = MetaData()
    table = Table("t", metadata, Column("id", Integer, primary_key=True), Column("a", String(10)))
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(table), [{"a": f"v{i % 7}"} for i in range(100)])
    index = Index("ix_a", table.c.a)
    index.create(engine)
    with engine.connect() as connection:
        assert len(connection.execute(select(table.c.id).where(table.c.a == "v3")).all()) == 14
    assert [i["name"] for i in inspect(engine).get_indexes("t")] == ["ix_a"]
    index.drop(engine)
    assert inspect(engine).get_indexes("t") == []


@pytest.mark.parametrize("kind", [Integer, BigInteger, SmallInteger])
def test_integer_keys_of_one_column_number_themselves(engine: Engine, kind: Any) -> None:
    metadata = MetaData()
    table = Table("t", metadata, Column("id", kind, primary_key=True), Column("a", Integer))
    metadata.create_all(engine)
    with engine.begin() as connection:
        assert connection.execute(insert(table).values(a=1)).inserted_primary_key == (1,)
        assert connection.execute(insert(table).values(id=10, a=1)).inserted_primary_key == (10,)
        assert connection.execute(insert(table).values(a=1)).inserted_primary_key == (11,)


def test_variants_for_sqlite_hold_here_too(engine: Engine) -> None:
    class Upper(TypeDecorator[str]):
        impl = String
        cache_ok = True

        def process_bind_param(self, value: Any, dialect: Any) -> Any:
            return value.upper()

    table = Table(
        "t",
        MetaData(),
        Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
        Column("a", String(10).with_variant(Upper(), "sqlite")),
        Column("b", String(10).with_variant(Text, "postgresql")),
    )
    ddl = str(CreateTable(table).compile(dialect=engine.dialect))
    assert "id INTEGER" in ddl
    assert "b VARCHAR(10)" in ddl
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table).values(a="x", b="y"))
        assert connection.execute(select(table)).one() == (1, "X", "y")


@pytest.mark.parametrize("make", [sqlite.insert, postgresql.insert])
def test_upserts_of_both_dialects(engine: Engine, make: Any) -> None:
    table = Table("t", MetaData(), Column("id", Integer, primary_key=True), Column("a", Integer))
    table.create(engine)
    with engine.begin() as connection:
        assert connection.execute(make(table).values(id=1, a=1).on_conflict_do_nothing()).rowcount == 1
        assert connection.execute(make(table).values(id=1, a=2).on_conflict_do_nothing()).rowcount == 0
        statement = make(table)
        statement = statement.on_conflict_do_update(
            index_elements=[table.c.id], set_={"a": table.c.a + statement.excluded.a}, where=table.c.a < 100
        ).returning(table.c.id, table.c.a)
        values = [{"id": 1, "a": 5}, {"id": 2, "a": 6}, {"id": 1, "a": 100}, {"id": 1, "a": 7}]
        assert connection.execute(statement.values(values)).all() == [(1, 6), (2, 6), (1, 106)]


def test_returning_of_every_change(engine: Engine) -> None:
    table = Table("t", MetaData(), Column("id", Integer, primary_key=True), Column("a", Integer))
    table.create(engine)
    with engine.begin() as connection:
        rows = connection.execute(insert(table).returning(table.c.id, table.c.a + 1), [{"a": 1}, {"a": 2}])
        assert rows.all() == [(1, 2), (2, 3)]
        changed = connection.execute(table.update().where(table.c.a == 2).values(a=7).returning(table))
        assert (changed.rowcount, changed.all()) == (1, [(2, 7)])
        assert connection.execute(table.delete().returning(table.c.a)).scalars().all() == [1, 7]


def test_many_rows_are_inserted_with_one_statement_in_order(engine: Engine) -> None:
    table = Table("t", MetaData(), Column("id", Integer, primary_key=True), Column("a", Integer))
    table.create(engine)
    executed: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        executed.append(statement)

    with engine.begin() as connection:
        values = [{"a": a} for a in range(500, 0, -1)]
        insert_sorted = insert(table).returning(table.c.id, table.c.a, sort_by_parameter_order=True)
        rows = connection.execute(insert_sorted, values).all()
    assert [tuple(row) for row in rows] == [(i + 1, 500 - i) for i in range(500)]
    assert len(executed) == 1


def test_index_for_some_rows_does_not_become_one_for_all(engine: Engine) -> None:
    table = Table("t", MetaData(), Column("a", Integer))
    index = Index("i", table.c.a, unique=True, postgresql_where=table.c.a > 5)
    assert "WHERE a > 5" in str(CreateIndex(index).compile(dialect=engine.dialect))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"a": 1}, {"a": 1}, {"a": 6}])
        with pytest.raises(exc.IntegrityError), connection.begin_nested():
            connection.execute(table.insert(), {"a": 6})


@pytest.mark.parametrize("persisted", [True, False, None])
def test_computed_columns_are_made_reflected_and_fetched(engine: Engine, persisted: bool | None) -> None:
    table = Table(
        "t", MetaData(), Column("id", Integer, primary_key=True), Column("a", Integer),
        Column("b", Integer, Computed("a + 1", persisted=persisted)),
    )  # fmt: skip
    table.create(engine)
    with engine.begin() as connection:
        assert connection.execute(table.insert().returning(table.c.b), {"a": 4}).scalar_one() == 5
        connection.execute(table.update().values(a=table.c.b))
        assert connection.execute(select(table)).all() == [(1, 5, 6)]
    columns = inspect(engine).get_columns("t")
    assert columns[2]["computed"] == {"sqltext": "a + 1", "persisted": bool(persisted)}
    assert [column["default"] for column in columns] == [None, None, None]
    reflected = Table("t", MetaData(), autoload_with=engine)
    assert reflected.c.b.computed is not None
    assert "computed" not in columns[1]


def test_initially_alone_is_taken_as_postgresql_takes_it(engine: Engine) -> None:
    metadata = MetaData()
    Table("p", metadata, Column("id", Integer, primary_key=True))
    Table("late", metadata, Column("id", Integer, ForeignKey("p.id", initially="DEFERRED"), primary_key=True))
    Table("soon", metadata, Column("id", Integer, ForeignKey("p.id", initially="IMMEDIATE"), primary_key=True))
    metadata.create_all(engine)
    options = {name: inspect(engine).get_foreign_keys(name)[0]["options"] for name in ("late", "soon")}
    assert options == {"late": {"deferrable": True, "initially": "DEFERRED"}, "soon": {}}


INDEXES = [
    ("a", {"column_names": ["a"]}),
    ("a COLLATE BINARY", {"column_names": ["a"]}),
    ("b COLLATE NOCASE", {"column_names": ["b"]}),
    ("a COLLATE NOCASE", {"column_names": [None], "expressions": ["a COLLATE NOCASE"]}),
    ("b COLLATE BINARY", {"column_names": [None], "expressions": ["b COLLATE BINARY"]}),
    ("a DESC, b", {"column_names": ["a", "b"], "column_sorting": {"a": ("desc",)}}),
    ("b COLLATE RTRIM DESC, a", {"column_names": [None, "a"], "expressions": ["b COLLATE RTRIM DESC", "a"]}),
    ("lower(a) COLLATE NOCASE DESC", {"column_names": [None], "expressions": ["lower(a) COLLATE NOCASE DESC"]}),
    ('"q x" COLLATE NOCASE, a DESC', {
        "column_names": [None, "a"], "expressions": ['"q x" COLLATE NOCASE', "a"], "column_sorting": {"a": ("desc",)},
    }),
]  # fmt: skip


@pytest.mark.parametrize(("elements", "told"), INDEXES)
def test_an_index_is_reflected_with_collations_and_order(elements: str, told: dict[str, Any]) -> None:
    create = 'CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b TEXT COLLATE NOCASE, "q x" TEXT)'
    engines = [create_engine("entitydb://"), create_engine("entitydb://")]
    with engines[0].begin() as connection:
        connection.exec_driver_sql(create)
        connection.exec_driver_sql(f"CREATE INDEX i ON t({elements})")
    metadata = MetaData()
    metadata.reflect(engines[0])
    metadata.create_all(engines[1])  # what was reflected makes the same index
    for engine in engines:
        (found,) = inspect(engine).get_indexes("t")
        assert {key: found[key] for key in found if key not in ("name", "unique", "dialect_options")} == told
