"""`IS NULL` about a row id is decided without a look at the rows, and means what it means to SQLite."""

from __future__ import annotations

import pytest

from entitydb_dialect import driver

from ..asking import moment, rows, visited
from ..beside import Beside

NOTHING = (
    "SELECT * FROM a WHERE id IS NULL",
    "SELECT b.id, max(b.v) FROM a, b WHERE a.id IS NULL GROUP BY b.id ORDER BY b.id DESC LIMIT 20",
    "SELECT count(*) FROM a JOIN b ON a.v = b.v WHERE b.id ISNULL",
    "SELECT * FROM a WHERE NOT (id IS NOT NULL)",
    "DELETE FROM a WHERE id IS NULL",
)
MEANINGS = (
    "SELECT b.id, a.id FROM b LEFT JOIN a ON a.id = b.v WHERE a.id IS NULL ORDER BY 1",
    "SELECT b.id, a.id IS NULL FROM b LEFT JOIN a ON a.id = b.v ORDER BY 1",
    "SELECT a.id IS NULL, b.id IS NULL FROM b RIGHT JOIN a ON a.id = b.v ORDER BY 1, 2",
    "SELECT a.id IS NULL, b.id IS NOT NULL FROM b FULL JOIN a ON a.id = b.v AND b.id > 5 ORDER BY 1, 2",
    "SELECT id IS NULL, count(*) FROM (SELECT id FROM a WHERE v > 1000)",
    "SELECT (SELECT id FROM a WHERE v = 1000) IS NULL",
    "SELECT v FROM b WHERE v NOT IN (SELECT id FROM a) ORDER BY 1",
    "SELECT count(id), count(*) FROM a",
    "SELECT max(id) IS NULL FROM a WHERE v = 1000",
    "INSERT INTO a(id, v) VALUES (NULL, 1) RETURNING id IS NULL",
)


@pytest.fixture
def both(db: driver.Connection) -> Beside:
    found = Beside(db, "CREATE TABLE a(id INTEGER PRIMARY KEY, v INTEGER)",
                   "CREATE TABLE b(id INTEGER PRIMARY KEY, v INTEGER)", "CREATE INDEX a_v ON a(v)")
    found.fill("a", [(i, i % 7) for i in range(20)])
    found.fill("b", [(i, i * 3 if i % 4 else None) for i in range(30)])
    db.commit()
    return found


@pytest.mark.parametrize("sql", NOTHING)
def test_no_entry_is_visited(both: Beside, sql: str) -> None:
    before = visited(both.mine)
    found = both.mine.execute(sql).fetchall()
    assert visited(both.mine) == before
    assert found == [tuple(row) for row in both.theirs.execute(sql)]


@pytest.mark.parametrize("sql", MEANINGS)
def test_it_means_what_it_means_to_sqlite(both: Beside, sql: str) -> None:
    both.run(sql)


def test_a_column_that_may_have_been_null_is_asked(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER)")
    db.execute("INSERT INTO t VALUES (1, NULL)")
    db.commit()
    at = moment(db)
    db.execute("CREATE TABLE new(id INTEGER PRIMARY KEY, v INTEGER NOT NULL)")
    db.execute("INSERT INTO new SELECT id, 1 FROM t")
    db.execute("DROP TABLE t")
    db.execute("ALTER TABLE new RENAME TO t")
    db.commit()
    assert rows(db, "SELECT id FROM t WHERE v IS NULL", as_of=at) == [(1,)]
    assert rows(db, "SELECT id FROM t WHERE v IS NULL") == []
