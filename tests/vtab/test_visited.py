"""entitydb_visited(): the measure of a plan that does not depend on the machine."""

import pytest

from entitydb_dialect import driver


@pytest.fixture
def connection():
    opened = driver.connect()
    opened.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, grp INT, note TEXT)")
    opened.execute("CREATE INDEX t_grp ON t(grp)")
    opened.executemany("INSERT INTO t VALUES(?, ?, 'n')", [(i, i % 10) for i in range(1000)])
    opened.commit()
    yield opened
    opened.close()


def visited(connection, sql):
    def count():
        return connection.execute("SELECT entitydb_visited()").fetchone()[0]

    before = count()
    connection.execute(sql).fetchall()
    return count() - before


@pytest.mark.parametrize(
    ("sql", "entries"),
    [
        ("SELECT * FROM t WHERE id = 7", 1),
        ("SELECT * FROM t WHERE id = 7000", 1),
        ("SELECT sum(length(note)) FROM t", 1001),   # and the search for the first
        ("SELECT id FROM t WHERE grp = 3", 101),     # the index alone
        ("SELECT note FROM t WHERE grp = 3", 201),   # and each row
    ],
)
def test_entries_of_trees_and_the_rows_behind_them_are_counted(connection, sql, entries):
    assert visited(connection, sql) in (entries, entries - 1)
