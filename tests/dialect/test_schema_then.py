"""The option schema="then", wherever a moment is given, and what the inspector tells with it and without."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import Engine, MetaData, Table, create_engine, inspect, select, text
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session

from entitydb_dialect import at, commit_moment

ALL = text("SELECT * FROM t")
THEN, TODAY = {"id": 1, "a": "one"}, {"id": 1, "b": "one"}


class Past:
    """As of `moment`, t(id, a) holds a row; now the column is called b."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = create_engine(url)
        self.moment = self.do(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)", "INSERT INTO t VALUES (1, 'one')",
            "CREATE INDEX t_a ON t (a)", "CREATE VIEW v AS SELECT a FROM t",
            "CREATE TABLE gone (x INTEGER)", "INSERT INTO gone VALUES (5)",
        )  # fmt: skip
        self.do(
            "DROP INDEX t_a", "ALTER TABLE t RENAME COLUMN a TO b", "DROP VIEW v", "CREATE VIEW v AS SELECT id FROM t",
            "DROP TABLE gone", "CREATE TABLE fresh (y)",
        )  # fmt: skip

    def do(self, *statements: str) -> int:
        with self.engine.begin() as connection:
            for sql in statements:
                connection.exec_driver_sql(sql)
        return commit_moment(self.engine)


@pytest.fixture(params=["entitydb", "sqlite+entitydb"])
def past(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Past]:
    made = Past(f"{request.param}:///{tmp_path}/test.edb")
    yield made
    made.engine.dispose()


def row(result: Any) -> dict[str, Any]:
    return dict(result.mappings().one())


def test_at(past: Past) -> None:
    schemas: list[tuple[Literal["then", "today"], dict[str, Any]]] = [("then", THEN), ("today", TODAY)]
    for schema, expected in schemas:
        with at(past.engine, past.moment, schema=schema) as then:
            assert row(then.execute(ALL)) == expected
        with Session(past.engine) as session, at(session, past.moment, schema=schema) as then:
            assert row(then.execute(ALL)) == expected
            assert row(session.execute(ALL)) == TODAY
    with at(past.engine, past.moment) as then:
        assert row(then.execute(ALL)) == TODAY


def test_options(past: Past) -> None:
    engine, options = past.engine, {"as_of": past.moment, "schema": "then"}
    with engine.connect() as connection:
        assert row(connection.execute(ALL, execution_options=options)) == THEN
        assert row(connection.execute(ALL.execution_options(**options))) == THEN
        assert row(connection.execute(ALL)) == TODAY
    with engine.execution_options(**options).connect() as connection:
        assert row(connection.execute(ALL)) == THEN
        assert row(connection.execute(ALL.execution_options(schema="today"))) == TODAY
    with engine.connect() as connection:
        dated = text("SELECT * FROM t FOR SYSTEM_TIME AS OF :m")
        assert row(connection.execute(dated, {"m": past.moment})) == TODAY
        assert row(connection.execute(dated, {"m": past.moment}, execution_options={"schema": "then"})) == THEN


def test_another_schema_is_refused(past: Past) -> None:
    with pytest.raises(ArgumentError, match='"today" or of "then"'), at(past.engine, past.moment, schema="old"):  # type: ignore[call-overload]
        pass
    wrong = past.engine.execution_options(as_of=past.moment, schema=True)
    with wrong.connect() as connection, pytest.raises(ArgumentError, match='"today" or of "then"'):
        connection.execute(ALL)
    with pytest.raises(ArgumentError, match='"today" or of "then"'):
        inspect(wrong).get_table_names()


def test_reflection_under_the_schema_of_then(past: Past) -> None:
    then = past.engine.execution_options(as_of=past.moment, schema="then")
    inspector = inspect(then)
    assert (inspector.get_table_names(), inspector.get_view_names()) == (["gone", "t"], ["v"])
    assert [column["name"] for column in inspector.get_columns("t")] == ["id", "a"]
    assert [index["name"] for index in inspector.get_indexes("t")] == ["t_a"]
    assert [column["name"] for column in inspector.get_columns("v")] == ["a"]
    assert inspector.get_view_definition("v") == "CREATE VIEW v AS SELECT a FROM t"
    assert [inspector.has_table(name) for name in ("t", "gone", "v", "fresh")] == [True, True, True, False]
    with then.connect() as connection:
        for name, rows in (("t", [(1, "one")]), ("v", [("one",)]), ("gone", [(5,)])):
            assert connection.execute(select(Table(name, MetaData(), autoload_with=connection))).all() == rows
        with pytest.raises(OperationalError, match=r"no such table: fresh at .*; it was made at"):
            connection.execute(text("SELECT * FROM fresh"))


def test_reflection_under_todays(past: Past) -> None:
    then = past.engine.execution_options(as_of=past.moment)
    inspector = inspect(then)
    assert (inspector.get_table_names(), inspector.get_view_names()) == (["gone", "t"], ["v"])
    assert [column["name"] for column in inspector.get_columns("t")] == ["id", "b"]
    assert inspector.get_indexes("t") == []
    assert inspector.get_view_definition("v") == "CREATE VIEW v AS SELECT id FROM t"
    assert [inspector.has_table(name) for name in ("t", "gone", "v", "fresh")] == [True, True, True, False]
    with then.connect() as connection:
        for name, rows in (("t", [(1, "one")]), ("v", [(1,)]), ("gone", [(5,)])):
            assert connection.execute(select(Table(name, MetaData(), autoload_with=connection))).all() == rows


def test_asyncio(tmp_path: Path) -> None:
    asyncio_ext = pytest.importorskip("sqlalchemy.ext.asyncio")
    pytest.importorskip("greenlet")
    past = Past(f"entitydb:///{tmp_path}/test.edb")

    async def ask() -> list[dict[str, Any]]:
        engine = asyncio_ext.create_async_engine(f"entitydb+aio:///{tmp_path}/test.edb")
        async with at(engine, past.moment, schema="then") as then:
            found = [row(await then.execute(ALL))]
        async with engine.connect() as connection:
            found.append(row(await connection.execute(ALL, execution_options={"as_of": past.moment, "schema": "then"})))
            found.append(row(await connection.execute(ALL)))
        await engine.dispose()
        return found

    assert asyncio.run(ask()) == [THEN, THEN, TODAY]
    past.engine.dispose()
