"""Indexes and constraints that name a column twice: SQLite takes them. They answer queries, judge rows and are told."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import apsw
import pytest

from entitydb_dialect import driver

from ..asking import plan
from ..beside import Beside

Connect = Callable[..., driver.Connection]

TABLES = (
    "id INTEGER PRIMARY KEY, a TEXT, b",
    "id INTEGER PRIMARY KEY, a TEXT, b, UNIQUE(a, a)",
    "id INTEGER, a TEXT, b, PRIMARY KEY(a, a)",
    "id INTEGER, a TEXT, b, PRIMARY KEY(id, id)",
    "id, a TEXT, b, UNIQUE(a, b, a)",
    "id INTEGER, a TEXT COLLATE NOCASE, b, UNIQUE(a, a COLLATE BINARY)",
    "id INTEGER, a TEXT, b, UNIQUE(a, a DESC), UNIQUE(a)",
)
INDEXES = (
    "CREATE INDEX i ON t(a, a)",
    "CREATE INDEX i ON t(a, b, a)",
    "CREATE INDEX i ON t(b, b DESC, a)",
    "CREATE INDEX i ON t(a, a COLLATE NOCASE)",
    "CREATE UNIQUE INDEX i ON t(a, a DESC)",
    "CREATE INDEX i ON t(lower(a), lower(a))",
    "CREATE UNIQUE INDEX i ON t(b, b) WHERE b > 0",
    "CREATE INDEX i ON t(id, b, id)",
)
TARGETS = ("", "(a)", "(a, a)", "(a, b)", "(a, b, a)", "(b, a, a)", "(b, b) WHERE b > 0", "(id, id)", "(id)")
# In an order that no plan decides: rows of equal ids, and texts that are equal without case, are told apart at last.
ASKED = (
    "SELECT * FROM t WHERE a = 'x' ORDER BY id, b, a COLLATE BINARY",
    "SELECT * FROM t WHERE a = 'x' AND b = 2 ORDER BY id, a COLLATE BINARY",
    "SELECT * FROM t WHERE a = 'x' AND a = 'y'",
    "SELECT * FROM t WHERE a = 'x' AND a > 'a' AND b IS 2 ORDER BY id, a COLLATE BINARY",
    "SELECT * FROM t WHERE a > 'x' AND a < 'z' ORDER BY a, b, id",
    "SELECT * FROM t WHERE a = 'x' COLLATE NOCASE ORDER BY a, b, id, a COLLATE BINARY",
    "SELECT * FROM t WHERE lower(a) = 'x' ORDER BY id, b, a COLLATE BINARY",
    "SELECT * FROM t WHERE a IN ('x', 'X') AND b IN (1, 2, 3, 4, 5) ORDER BY id, b, a COLLATE BINARY",
    "SELECT * FROM t WHERE b = 1 AND id = 1 ORDER BY a, a COLLATE BINARY",
    "SELECT b, a FROM t ORDER BY b, a, id, a COLLATE BINARY",
    "SELECT a, b FROM t ORDER BY a DESC, b DESC, id, a COLLATE BINARY",
    "SELECT lower(a), count(*) FROM t GROUP BY a ORDER BY 1, 2",
    "SELECT DISTINCT b FROM t ORDER BY b DESC",
    "SELECT lower(min(a)), lower(max(a)), max(b) FROM t",
    "SELECT name, \"unique\", origin, partial FROM pragma_index_list('t') ORDER BY name",
    "PRAGMA index_info(i)",
    "PRAGMA index_xinfo(i)",
    "PRAGMA index_info(sqlite_autoindex_t_1)",
    "PRAGMA index_xinfo(sqlite_autoindex_t_1)",
    "PRAGMA table_info(t)",
)


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "index"), list(itertools.product(TABLES, INDEXES)))
def test_as_sqlite_has_them(connect: Connect, rng: random.Random, columns: str, index: str) -> None:
    both = Beside(connect(), f"CREATE TABLE t({columns})", index)
    both.rowids = False
    both.tables = []
    for n in range(30):
        row = f"({n % 9}, '{rng.choice(['x', 'X', 'y', 'z'])}', {rng.randint(-2, 5)})"
        both.run(f"INSERT OR IGNORE INTO t VALUES {row}")
        both.run(f"INSERT INTO t VALUES {row} ON CONFLICT{rng.choice(TARGETS)} DO UPDATE SET b = b + 1")
        both.run(f"UPDATE OR IGNORE t SET a = '{rng.choice('xyz')}' WHERE id = {rng.randint(0, 8)}")
    for sql in ASKED:
        both.run(sql)
    both.run("DELETE FROM t WHERE a = 'x'")
    both.run("SELECT * FROM t ORDER BY 1, 2, 3")
    both.mine.commit()


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ("x, y, UNIQUE(x, y)", "a, b, FOREIGN KEY(a, a) REFERENCES p(x, y) ON DELETE CASCADE"),
        ("x, y, UNIQUE(x, x)", "a, b, FOREIGN KEY(a, b) REFERENCES p(x, x) ON DELETE CASCADE"),
        ("x, y, UNIQUE(x, x)", "a, b, FOREIGN KEY(a) REFERENCES p(x)"),
        ("x PRIMARY KEY, y", "a, b, FOREIGN KEY(a, a) REFERENCES p"),
        ("x, y, PRIMARY KEY(x, x)", "a, b, FOREIGN KEY(a, a) REFERENCES p"),
        ("x, y, PRIMARY KEY(x, y)", "a, b, FOREIGN KEY(a, a) REFERENCES p ON DELETE SET NULL"),
    ],
)
def test_in_foreign_keys(connect: Connect, parent: str, child: str) -> None:
    both = Beside(connect())
    both.theirs.execute("COMMIT")
    both.theirs.execute("PRAGMA foreign_keys = ON")
    for sql in (
        f"CREATE TABLE p({parent})", f"CREATE TABLE c({child})", "INSERT INTO p VALUES (1, 1)",
        "INSERT INTO p VALUES (2, 1)", "INSERT INTO c VALUES (1, 1)", "INSERT INTO c VALUES (1, 2)",
        "INSERT INTO c VALUES (2, 2)", "DELETE FROM p WHERE x = 1", "SELECT * FROM c ORDER BY 1, 2",
        "UPDATE p SET x = 5", "DELETE FROM p", "SELECT * FROM c ORDER BY 1, 2", "PRAGMA foreign_key_list(c)",
    ):
        found = []
        for run in (both.mine.execute, both.theirs.execute):  # Beside counts rows that foreign keys change
            try:
                found.append([tuple(row) for row in run(sql).fetchall()])
            except (driver.Error, apsw.Error) as error:
                found.append([(str(error),)])
        assert found[0] == found[1], sql
    both.mine.commit()


def test_the_parts_behind_a_repeated_one_are_in_order(connect: Connect) -> None:
    db = connect()
    db.execute("CREATE TABLE t(a, b)")
    db.execute("CREATE INDEX i ON t(a, a, b)")
    assert plan(db, "SELECT a, b FROM t ORDER BY a, b") == "SCAN t USING INDEX i"
