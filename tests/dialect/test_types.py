"""Every generic type gives back what it was given."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.dialects import sqlite


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


NOW = dt.datetime(2024, 2, 29, 12, 34, 56, 789012)
CASES: list[tuple[str, Any, list[Any]]] = [
    ("integer", sa.Integer(), [0, 1, -1, 2**31, -(2**63), 2**63 - 1]),
    ("big", sa.BigInteger(), [2**62]),
    ("small", sa.SmallInteger(), [-5]),
    ("string", sa.String(20), ["", "abc", "é\u4e2d\U0001f600", "12", "1e5", "a\0b"]),
    ("text", sa.Text(), ["x" * 100_000]),
    ("unicode", sa.Unicode(20), ["ü"]),
    ("unicode_text", sa.UnicodeText(), ["ü"]),
    ("float", sa.Float(), [0.1, -1e300, 5e-324]),
    ("double", sa.Double(), [1 / 3]),
    ("numeric", sa.Numeric(10, 2, asdecimal=True), [decimal.Decimal("12.34"), decimal.Decimal("-5.00")]),
    ("boolean", sa.Boolean(), [True, False]),
    ("date", sa.Date(), [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    ("time", sa.Time(), [dt.time(23, 59, 59, 999999), dt.time(0)]),
    ("datetime", sa.DateTime(), [NOW, dt.datetime(1, 1, 1)]),
    ("interval", sa.Interval(), [dt.timedelta(days=3, microseconds=7), dt.timedelta(days=-1)]),
    ("binary", sa.LargeBinary(), [b"", b"\0\xff" * 5000]),
    ("pickle", sa.PickleType(), [{"a": [1, (2, 3)]}]),
    ("enum", sa.Enum(Colour), [Colour.RED]),
    ("enum_text", sa.Enum("a", "b", name="ab"), ["b"]),
    ("json", sa.JSON(), [{"a": [1, None, "é"]}, [1, 2], "text", True]),
    ("uuid", sa.Uuid(), [uuid.UUID(int=5), uuid.uuid5(uuid.NAMESPACE_DNS, "x")]),
    ("uuid_text", sa.Uuid(as_uuid=False), [str(uuid.UUID(int=5))]),
    ("native_datetime", sqlite.DATETIME(), [NOW]),
    ("timestamp", sa.TIMESTAMP(), [NOW]),
    ("clob", sa.CLOB(), ["c"]),
    ("blob", sa.BLOB(), [b"b"]),
    ("decimal", sa.DECIMAL(8, 3), [decimal.Decimal("1.125")]),
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Dialect .* does .*not.* support Decimal")
@pytest.mark.parametrize(("name", "type_", "values"), CASES, ids=[case[0] for case in CASES])
def test_values_come_back(engine: Engine, name: str, type_: Any, values: list[Any]) -> None:
    table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("v", type_))
    table.create(engine)
    values = [*values, None]
    with engine.begin() as connection:
        connection.execute(sa.insert(table), [{"v": value} for value in values])
    with engine.connect() as connection:
        found = connection.execute(sa.select(table.c.v).order_by(table.c.id)).scalars().all()
        assert found == values
        assert [type(v) for v in found] == [type(v) for v in values]
        if name not in ("pickle", "json", "interval"):
            for i, value in enumerate(values):
                condition = table.c.v.is_(None) if value is None else table.c.v == value
                assert i + 1 in connection.execute(sa.select(table.c.id).where(condition)).scalars().all()


def test_json_paths(engine: Engine) -> None:
    table = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("d", sa.JSON))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(table).values(d={"a": {"b": [10, 20]}, "s": "x"}))
        assert connection.scalar(sa.select(table.c.d["a"]["b"][1].as_integer())) == 20
        assert connection.scalar(sa.select(table.c.d[("a", "b")])) == [10, 20]
        assert connection.scalar(sa.select(table.c.id).where(table.c.d["s"].as_string() == "x")) == 1


def test_check_and_foreign_keys_are_kept_for_reflection(engine: Engine) -> None:
    metadata = sa.MetaData()
    sa.Table(
        "t",
        metadata,
        sa.Column("a", sa.Enum("x", "y", name="xy", create_constraint=True)),
        sa.Column("b", sa.Boolean(create_constraint=True, name="b_check")),
    )
    metadata.create_all(engine)
    checks = sa.inspect(engine).get_check_constraints("t")
    assert [check["name"] for check in checks] == ["b_check", "xy"]
    assert "IN ('x', 'y')" in checks[1]["sqltext"]
