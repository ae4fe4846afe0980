"""More connections than the lock file has slots for readers."""

from __future__ import annotations

from pathlib import Path

import pytest

from entitydb_dialect import driver

SLOTS = 1024


@pytest.mark.slow
def test_connections_without_a_transaction_are_not_counted(tmp_path: Path) -> None:
    database = driver.Database(tmp_path / "app.edb")
    many = [driver.connect(database) for _ in range(SLOTS + 100)]
    many[0].execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    many[0].commit()
    for connection in many:
        connection.isolation_level = None
    for i, connection in enumerate(many):
        connection.execute("INSERT INTO t VALUES (?)", (i,))
    for connection in many:
        assert connection.execute("SELECT count(*) FROM t").fetchall() == [(len(many),)]

    *begun, late = many[: SLOTS + 1]
    for connection in (*begun, late):
        connection.isolation_level = "REPEATABLE READ"
    for connection in begun:
        connection.execute("SELECT * FROM t WHERE id = 0").fetchall()
    with pytest.raises(driver.OperationalError, match="all 1024 reader slots are taken"):
        late.execute("SELECT * FROM t WHERE id = 0")
    begun[0].commit()
    assert late.execute("SELECT count(*) FROM t").fetchall() == [(len(many),)]
    for connection in many:
        connection.close()
    database.close()
