"""Queries over tags and tables begin with what there is least of: counted in entries visited, of 20,000 rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from entitydb_dialect import driver

from ..asking import visited

JOINED = "t.type = 'article' AND t.entity = a.id"


@pytest.fixture(scope="module")
def db() -> Iterator[driver.Connection]:
    with driver.connect(":memory:") as db:
        db.execute("CREATE TABLE article(id INTEGER PRIMARY KEY, title TEXT, author INTEGER)")
        db.execute("CREATE TABLE author(id INTEGER PRIMARY KEY, name TEXT)")
        rows = range(1, 20_001)
        db.executemany("INSERT INTO article VALUES (?, ?, ?)", [(i, f"t{i}", i % 50) for i in rows])
        db.executemany("INSERT INTO author VALUES (?, ?)", [(i, f"a{i}") for i in range(50)])
        tags = [(i, tag) for i in rows for tag in ("common", f"n:{i % 100}", "rare" if i % 2000 == 1 else None) if tag]
        db.executemany("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('article', ?, ?)", tags)
        db.commit()
        yield db


@pytest.mark.parametrize(
    ("sql", "parameters", "rows", "most"),
    [
        (f"SELECT a.* FROM article AS a JOIN entitydb_tags AS t ON {JOINED} WHERE t.tag = 'rare'", (), 10, 20),
        (f"SELECT a.* FROM article AS a JOIN entitydb_tags AS t ON {JOINED} WHERE t.tag = ?", ("rare",), 10, 20),
        (f"SELECT a.* FROM entitydb_tags AS t, article AS a WHERE {JOINED} AND t.tag = ?", ("rare",), 10, 20),
        ("SELECT * FROM article WHERE id IN (SELECT entity FROM entitydb_tagged('article', ?))", ("rare",), 10, 20),
        ("SELECT * FROM article WHERE id IN (SELECT entity FROM entitydb_tags WHERE type = 'article' AND tag = 'rare')",
         (), 10, 20),
        ("SELECT a.*, u.name FROM article AS a JOIN author AS u ON u.id = a.author WHERE a.id IN"
         " (SELECT entity FROM entitydb_tagged('article', ?))", ("rare",), 10, 30),
        ("SELECT a.* FROM article AS a JOIN entitydb_tagged('article', ?) AS t ON t.entity = a.id",
         ("rare & common",), 10, 20),
        (f"SELECT a.id FROM article AS a JOIN entitydb_tags AS t ON {JOINED} JOIN entitydb_tags AS s ON"
         " s.type = 'article' AND s.entity = a.id WHERE t.tag = 'rare' AND s.tag = ?", ("common",), 10, 30),
        ("SELECT 1 FROM article AS a WHERE id = 5 AND EXISTS (SELECT 1 FROM entitydb_tagged('article', 'common') AS t"
         " WHERE t.entity = a.id)", (), 1, 2),
        (f"SELECT t.tag FROM article AS a JOIN entitydb_tags AS t ON {JOINED} WHERE a.id = 7", (), 2, 3),
        ("SELECT tag, count(*) FROM entitydb_tags WHERE namespace = 'n' GROUP BY tag", (), 100, 20_000),
    ],
)  # fmt: skip
def test_what_there_is_least_of_comes_first(
    db: driver.Connection, sql: str, parameters: tuple[str, ...], rows: int, most: int
) -> None:
    before = visited(db)
    assert len(db.execute(sql, parameters).fetchall()) == rows
    assert visited(db) - before <= most
