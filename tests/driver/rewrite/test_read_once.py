"""A new text is read once, a known one not at all; of an edit only what it puts in is read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from entitydb_dialect import driver
from entitydb_dialect.driver.sql import text as text_module
from entitydb_dialect.driver.sql.tokens import scan

Connect = Callable[..., driver.Connection]

STATEMENTS = (
    ("SELECT a, b FROM t WHERE a = ? AND lower(b) = 'x' ORDER BY lower(b)", (1,)),
    ("SELECT * FROM t WHERE c = ? AND a > 2", ("on",)),
    ("SELECT count(*) FROM t", ()),
    ("SELECT min(a) FROM t WHERE c = 'on'", ()),
    ("SELECT name FROM sqlite_master", ()),
    (f"SELECT a FROM t WHERE id IN ({', '.join('?' * 40)})", tuple(range(40))),
    ("INSERT INTO t(a, b) VALUES (?, ?)", (1, "X")),
    (f"INSERT INTO t(a, b) VALUES {', '.join(['(?, ?)'] * 20)}", tuple(range(40))),
    ("INSERT INTO t(id, a) VALUES (100, ?) ON CONFLICT (id) DO UPDATE SET a = a + ? WHERE a < 9", (1, 2)),
    ("INSERT INTO t(a) VALUES (?) RETURNING id, a + ?", (1, 2)),
    ("INSERT INTO g VALUES (?)", (1,)),
    ("UPDATE t SET a = ? WHERE lower(b) = 'x' AND c = 'on'", (5,)),
    ("DELETE FROM t WHERE c = 'on' AND a = ?", (1,)),
    ("EXPLAIN QUERY PLAN SELECT a FROM t WHERE lower(b) = 'x'", ()),
)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were read, in order."""
    texts: list[str] = []

    def counted(sql: str) -> bytes:
        texts.append(sql)
        return scan(sql)

    monkeypatch.setattr(text_module, "scan", counted)
    return texts


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("number", range(len(STATEMENTS)))
def test_a_text_is_read_once(connect: Connect, read: list[str], number: int, indexed: bool) -> None:
    db = connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c)")
    db.execute("CREATE TABLE g(a, d AS (a + 1))")
    db.execute("CREATE INDEX plain ON t(a)")
    if indexed:
        db.execute("CREATE INDEX some ON t(a) WHERE c = 'on'")
        db.execute("CREATE INDEX lowered ON t(lower(b))")
    db.commit()
    db.execute("SELECT 1 FROM t WHERE lower(b) = 'first'").fetchall()  # the indexes' own texts are read now
    sql, parameters = STATEMENTS[number]
    sql = f"{sql} -- {indexed}"  # another text in each case: statements are kept for the process
    read.clear()
    db.execute(sql, parameters).fetchall()
    assert read.count(sql) == 1
    assert not any(sql[:-10] in one for one in read if one != sql)
    db.rollback()
    read.clear()
    db.execute(sql, parameters).fetchall()
    assert read == []
