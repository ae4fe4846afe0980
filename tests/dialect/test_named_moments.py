"""Moments by name, wherever Python takes a moment: label(...), transaction(...), alembic:..."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, exc, inspect, text
from sqlalchemy.orm import Session

from entitydb_dialect import (
    Database,
    at,
    begin_at,
    changes,
    diff,
    label,
    label_moment,
    labels,
    resolve,
    transaction,
)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Commits: 1 'one' (release 1, revision ab1), 2 'two', 3 'three' (revision ab2), 4 another table."""
    engine = create_engine(f"entitydb:///{tmp_path / 'x.edb'}")
    for statements in (
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)",
         "CREATE TABLE alembic_version (version_num TEXT PRIMARY KEY)",
         "INSERT INTO t VALUES (1, 'one')", "INSERT INTO alembic_version VALUES ('ab1')",
         "SELECT entitydb_label('release 1')"),
        ("UPDATE t SET a = 'two'",),
        ("UPDATE alembic_version SET version_num = 'ab2'", "UPDATE t SET a = 'three'"),
        ("CREATE TABLE u (id INTEGER PRIMARY KEY)",),
    ):  # fmt: skip
        with engine.begin() as connection:
            for sql in statements:
                connection.exec_driver_sql(sql)
    return engine


NAMED = [(label("release 1"), "one"), (transaction(2), "two"), ("alembic:ab1", "two"), ("alembic:ab2", "three"),
         (transaction(4), "three")]  # fmt: skip
_A = text("SELECT a FROM t")


def with_at(engine: Engine, moment: Any) -> Any:
    with at(engine, moment) as past:
        return past.scalar(_A)


def with_at_of_a_session(engine: Engine, moment: Any) -> Any:
    with Session(engine) as session, at(session, moment) as past:
        return past.scalar(_A)


def with_option_of_statement(engine: Engine, moment: Any) -> Any:
    with engine.connect() as connection:
        return connection.execute(_A, execution_options={"as_of": moment}).scalar()


def with_option_of_engine(engine: Engine, moment: Any) -> Any:
    past = engine.execution_options(as_of=moment)
    assert ("u" in inspect(past).get_table_names()) is (moment == transaction(4) or moment == "alembic:ab2")
    with past.connect() as connection:
        return connection.execute(_A).scalar()


def with_resolve(engine: Engine, moment: Any) -> Any:
    return with_at(engine, resolve(engine, moment))


def with_sql(engine: Engine, moment: Any) -> Any:
    with engine.connect() as connection:
        return connection.execute(text("SELECT a FROM t FOR SYSTEM_TIME AS OF :m"), {"m": moment}).scalar()


def with_store(engine: Engine, moment: Any) -> Any:
    with Database(str(engine.url.database)) as database:
        row = database.get("t", 1, as_of=moment)
        assert row is not None
        return row["a"]


WAYS = [with_at, with_at_of_a_session, with_option_of_statement, with_option_of_engine, with_resolve, with_sql,
        with_store]  # fmt: skip
MISSING = r"no commit is labelled|no transaction|never had the revision"


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("moment", "wanted"), NAMED)
def test_a_name_is_a_moment(engine: Engine, way: Callable[[Engine, Any], Any], moment: str, wanted: str) -> None:
    assert way(engine, moment) == wanted


@pytest.mark.parametrize("moment", [label("no"), transaction(99), transaction(0), "transaction:x", "alembic:no"])
def test_a_name_that_means_nothing(engine: Engine, moment: str) -> None:
    for way in (with_at, with_option_of_statement, with_resolve, with_store):
        with pytest.raises(exc.NoResultFound, match=MISSING):
            way(engine, moment)
    with pytest.raises(exc.OperationalError, match=MISSING):
        with_sql(engine, moment)


def test_functions_that_take_moments(engine: Engine) -> None:
    (row,) = diff(engine, "t", label("release 1"), transaction(3))
    assert (row.old, row.new) == ({"id": 1, "a": "one"}, {"id": 1, "a": "three"})
    assert {one.transaction_id for one in changes(engine, since=transaction(2))} == {3}
    assert labels(engine, transaction(1)) == ["release 1"]
    assert label_moment(engine, "release 1", as_of="alembic:ab1") == resolve(engine, label("release 1"))


def test_what_takes_no_name_says_so(engine: Engine) -> None:
    with pytest.raises(exc.ArgumentError, match="names a moment of a database"), begin_at(engine, label("release 1")):
        pass


def test_a_datetime_bound_in_sql_is_its_instant(engine: Engine) -> None:
    zone = dt.timezone(dt.timedelta(hours=5))
    now = dt.datetime.now(zone)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT entitydb_moment(:m)").bindparams(m=now)).scalar_one()
    assert found == resolve(engine, now)


@pytest.mark.parametrize("moment", [1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000])
def test_another_unit_is_refused_everywhere(engine: Engine, moment: int) -> None:
    with pytest.raises(exc.ArgumentError, match="2023-11-14"):
        with_option_of_statement(engine, moment)
    with pytest.raises(exc.ProgrammingError, match="2023-11-14"):
        with_sql(engine, moment)
