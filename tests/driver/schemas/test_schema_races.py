"""DDL that nets out to nothing, beside DDL that does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from entitydb_dialect import SerializationFailure, driver


def test_an_index_made_and_dropped_gives_its_tree_to_nobody_else(connect: Callable[..., driver.Connection]) -> None:
    """The catalog is unchanged then, but the tree's id is spent: a transaction that drew the same id must not commit.
    It did, and the pages of the first tree were lost (`check`: I36)."""
    first, second = connect(), connect()
    first.execute("CREATE TABLE t (a)")
    first.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(500)])
    first.commit()
    first.execute("SELECT 1")
    second.execute("SELECT 1")
    first.execute("CREATE INDEX i ON t (a)")
    second.execute("CREATE INDEX j ON t (a)")
    first.execute("DROP INDEX i")
    first.commit()
    with pytest.raises(SerializationFailure):
        second.commit()
    second.rollback()
    second.execute("CREATE INDEX j ON t (a)")
    second.commit()
