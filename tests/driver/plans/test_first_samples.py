"""The first samples of an index read few pages."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from entitydb_dialect import driver

from ..asking import rows

KIDS, EACH = 30_000, 100
SQL = "SELECT count(kid.born) FROM parent JOIN kid ON kid.parent = parent.id WHERE parent.id = 7"


def pages_read(path: Path, words: str) -> int:
    """By the first statement of a process that has the file open for the first time."""
    with closing(driver.connect(str(path))) as connection:
        connection.execute("SELECT entitydb_planner(?)", (words,))
        database = connection._session.main.database
        before = database.stats()["pages_read"]
        assert rows(connection, SQL) == [(EACH,)]
        return database.stats()["pages_read"] - before


def test_groups_that_are_alike_are_known_from_two_leaves(tmp_path: Path) -> None:
    """Entries of the middle of a leaf belong to groups that end in it."""
    path = tmp_path / "kids.edb"
    with closing(driver.connect(str(path), page_size=8192)) as one:
        one.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
        one.execute("CREATE TABLE kid(id INTEGER PRIMARY KEY, parent INTEGER, born INTEGER)")
        one.execute("CREATE INDEX kid_parent ON kid(parent)")
        one.executemany("INSERT INTO parent VALUES (?)", [(i,) for i in range(KIDS // EACH)])
        one.executemany("INSERT INTO kid VALUES (?, ?, ?)", [(i, i % (KIDS // EACH), i) for i in range(KIDS)])
        one.commit()
    assert pages_read(path, "") <= pages_read(path, "-statistics") + 2
