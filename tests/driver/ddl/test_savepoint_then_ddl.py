"""DDL as the first statement of a transaction that SAVEPOINT or BEGIN opened, after the schema has moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from entitydb_dialect import driver

OPENINGS = [("SAVEPOINT s",), ("BEGIN",), ("BEGIN", "SAVEPOINT s"), ("SAVEPOINT s", "SAVEPOINT r")]
DEFINITIONS = ["CREATE TABLE u(a)", "DROP TABLE t", "CREATE INDEX i ON t(a)", "ALTER TABLE t ADD b, ADD c"]


@pytest.mark.slow
@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("definition", DEFINITIONS)
@pytest.mark.parametrize("foreign", [False, True])
def test_ddl_behind_a_savepoint_follows_the_schema(
    connect: Callable[..., driver.Connection], opening: tuple[str, ...], definition: str, foreign: bool
) -> None:
    db = connect()
    db.cursor().execute("CREATE TABLE t(a)")
    db.cursor().execute("CREATE TABLE child(t REFERENCES t)")   # so that DROP TABLE has rows to look at
    db.commit()
    mover = connect() if foreign else db
    mover.cursor().execute("CREATE TABLE moved(a)")
    mover.commit()

    for sql in opening:
        db.cursor().execute(sql)
    db.cursor().execute(definition)
    if "SAVEPOINT s" in opening:
        db.cursor().execute("ROLLBACK TO s")
        assert db.cursor().execute("SELECT * FROM t").fetchall() == []
        db.cursor().execute(definition)
    db.commit()
    assert ("t" in db.catalog()) is (definition != "DROP TABLE t")
    assert "moved" in db.catalog()
    with_index = connect().catalog().get("t")
    assert (with_index is not None and bool(with_index.indexes)) is definition.startswith("CREATE INDEX")
