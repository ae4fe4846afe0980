"""Several actions in one ALTER TABLE, as PostgreSQL has them: in their order, and all or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]


@pytest.fixture(params=["transaction", "autocommit"])
def db(request: pytest.FixtureRequest, connect: Connect) -> driver.Connection:
    db = connect(isolation_level=None if request.param == "autocommit" else "DEFERRED")
    db.execute("CREATE TABLE p(id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b INT DEFAULT 5)")
    db.execute("INSERT INTO t VALUES (1, '7', NULL), (2, '8', 2)")
    db.commit()
    return db


def _columns(db: driver.Connection) -> list[Any]:
    return [row[1:5] for row in db.execute("PRAGMA table_info(t)").fetchall()]


def test_actions_follow_each_other(db: driver.Connection) -> None:
    db.execute(
        "ALTER TABLE t ADD COLUMN n DECIMAL(10, 2) NOT NULL DEFAULT (2), DROP COLUMN b, ADD m TEXT DEFAULT ','"
        ", ALTER COLUMN a TYPE INTEGER, ALTER n DROP DEFAULT, RENAME COLUMN m TO mm"
        ", ADD CONSTRAINT few CHECK (n IN (1, 2, 3)), ADD p INT REFERENCES p (id);"
    )
    assert _columns(db) == [
        ("id", "INTEGER", 0, None),
        ("a", "INTEGER", 0, None),
        ("n", "DECIMAL(10, 2)", 1, None),
        ("mm", "TEXT", 0, "','"),
        ("p", "INT", 0, None),
    ]
    assert db.execute("SELECT * FROM t").fetchall() == [(1, 7, 2, ",", None), (2, 8, 2, ",", None)]
    with pytest.raises(driver.IntegrityError, match="few"):
        db.execute("UPDATE t SET n = 4")
    db.execute("ALTER TABLE t ADD COLUMN z, DROP CONSTRAINT few")
    db.execute("UPDATE t SET n = 4, z = 1")


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("ALTER TABLE t ADD COLUMN z, DROP COLUMN missing", driver.OperationalError),
        ("ALTER TABLE t DROP COLUMN a, ALTER COLUMN b SET NOT NULL", driver.IntegrityError),
        ("ALTER TABLE t ADD COLUMN z, ADD COLUMN z", driver.OperationalError),
        ("ALTER TABLE t RENAME COLUMN a TO c, DROP COLUMN a", driver.OperationalError),
        ("ALTER TABLE t ALTER a TYPE INT, ADD CONSTRAINT c CHECK (a < 8)", driver.IntegrityError),
        ("ALTER TABLE t ADD COLUMN z, RENAME TO s", driver.NotSupportedError),
        ("ALTER TABLE t ADD COLUMN z, ", driver.OperationalError),
        ("ALTER TABLE missing ADD COLUMN z, ADD COLUMN y", driver.OperationalError),
    ],
)
def test_all_or_none(db: driver.Connection, connect: Connect, sql: str, error: type[Exception]) -> None:
    before = _columns(db), db.execute("SELECT * FROM t").fetchall()
    db.commit()
    db.execute("INSERT INTO p VALUES (1)")
    with pytest.raises(error):
        db.execute(sql)
    assert (_columns(db), db.execute("SELECT * FROM t").fetchall()) == before
    db.execute("INSERT INTO t(a) VALUES ('works')")
    assert db.execute("SELECT count(*) FROM p").fetchall() == [(1,)]
    db.commit()
    other = connect()
    assert _columns(other) == before[0]


def test_several_actions_on_a_missing_table_with_if_exists(db: driver.Connection) -> None:
    db.execute("ALTER TABLE IF EXISTS missing ADD COLUMN a, ADD COLUMN b")


def test_several_actions_roll_back_with_the_transaction(connect: Connect) -> None:
    db = connect()
    db.execute("CREATE TABLE t(a)")
    db.commit()
    db.execute("SAVEPOINT s")
    db.execute("ALTER TABLE t ADD COLUMN b, ADD COLUMN c")
    db.execute("INSERT INTO t VALUES (1, 2, 3)")
    db.execute("ROLLBACK TO s")
    assert [name for name, *_ in _columns(db)] == ["a"]
    db.execute("ALTER TABLE t ADD COLUMN b, DROP COLUMN a")
    db.rollback()
    assert [name for name, *_ in _columns(db)] == ["a"]
