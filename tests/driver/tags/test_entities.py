"""The table entitydb_entities: the rows of all tables, with when they were made and changed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

from ..asking import visited

Connect = Callable[..., driver.Connection]


@pytest.fixture
def db(connect: Connect) -> driver.Connection:
    db = connect(page_size=4096)
    db.execute("CREATE TABLE a(id INTEGER PRIMARY KEY, t TEXT, g AS (t || '!'))")
    db.execute("CREATE TABLE b(k TEXT PRIMARY KEY, r REAL, x BLOB)")
    db.execute("INSERT INTO a VALUES (1, 'one'), (2, 'two')")
    db.execute("INSERT INTO b VALUES ('k', 2, x'00ff'), ('l', 1e300, NULL)")
    db.commit()
    return db


def test_every_row_of_every_table_is_an_entity(db: driver.Connection) -> None:
    rows = db.execute("SELECT type, id, content FROM entitydb_entities").fetchall()
    assert [(t, i, json.loads(c)) for t, i, c in sorted(rows)] == [
        ("a", 1, {"id": 1, "t": "one", "g": "one!"}),
        ("a", 2, {"id": 2, "t": "two", "g": "two!"}),
        ("b", 1, {"k": "k", "r": 2.0, "x": "00FF"}),
        ("b", 2, {"k": "l", "r": 1e300, "x": None}),
    ]


def test_lives_are_counted_from_the_last_insertion(db: driver.Connection) -> None:
    made = db.last_commit[1]
    ask = "SELECT created_at, updated_at, versions FROM entitydb_entities WHERE type = 'A' AND id = 1"
    assert db.execute(ask).fetchall() == [(made, made, 1)]
    db.execute("UPDATE a SET t = 'x' WHERE id = 1")
    assert db.execute(ask).fetchall() == [(made, None, 1)], "not committed yet"
    db.commit()
    changed = db.last_commit[1]
    assert db.execute(ask).fetchall() == [(made, changed, 2)]
    db.execute("DELETE FROM a WHERE id = 1")
    db.commit()
    assert db.execute(ask).fetchall() == []
    db.execute("INSERT INTO a VALUES (1, 'again')")
    assert db.execute(ask).fetchall() == [(None, None, 0)]
    db.commit()
    again = db.last_commit[1]
    assert db.execute(ask).fetchall() == [(again, again, 1)]
    cursor = db.cursor()
    cursor.as_of = changed
    assert cursor.execute(ask).fetchall() == [(made, changed, 2)]


def test_the_past_has_the_tables_and_columns_of_then(db: driver.Connection) -> None:
    before = db.last_commit[1]
    db.execute("ALTER TABLE a ADD COLUMN later DEFAULT 5")
    db.execute("DROP TABLE b")
    db.commit()
    ask = "SELECT content FROM entitydb_entities WHERE id = 1 ORDER BY type"
    assert [json.loads(c) for (c,) in db.execute(ask).fetchall()] == [{"id": 1, "t": "one", "g": "one!", "later": 5}]
    cursor = db.cursor()
    cursor.as_of = before
    assert [len(json.loads(c)) for (c,) in cursor.execute(ask).fetchall()] == [3, 3]


def test_one_entity_is_a_lookup_and_one_type_a_walk(db: driver.Connection) -> None:
    db.executemany("INSERT INTO a VALUES (?, 'x')", [(i,) for i in range(3, 200)])
    db.commit()
    for where, expected, visits in [
        ("type = 'a' AND id = 5", 1, 1), ("type = 'b'", 2, 2), ("id = 1", 2, 2), ("type = 'nothing'", 0, 0),
        ("type = 'a' AND id = 'x'", 0, 0), ("type = 'a' AND id IN (1, 5, 500)", 2, 2),
        ("type = 'a' AND id = 1 OR type = 'b' AND id = 1", 2, 2),
    ]:  # fmt: skip
        before = visited(db)
        assert len(db.execute(f"SELECT type, id FROM entitydb_entities WHERE {where}").fetchall()) == expected, where
        assert visited(db) - before <= visits, where


def test_entities_join_tags_and_tables(db: driver.Connection) -> None:
    db.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('a', 2, 'x'), ('b', 1, 'x')")
    rows = db.execute(
        "SELECT e.type, e.content ->> 't', a.t FROM entitydb_tags AS g JOIN entitydb_entities AS e ON e.type = g.type"
        " AND e.id = g.entity LEFT JOIN a ON e.type = 'a' AND a.id = e.id WHERE g.tag = 'x' ORDER BY 1"
    ).fetchall()
    assert rows == [("a", "two", "two"), ("b", None, None)]


def test_content_is_what_json_object_of_sqlite_makes(db: driver.Connection, rng: random.Random) -> None:
    values: list[Any] = [
        None, 0, -5, 2**63 - 1, 0.1, -2.0, 1e-7, 1e22, 123456789.123, float("inf"), "", 'q"\\/', "\x01\n\t", "ä\u2603𝄞",
    ]  # fmt: skip
    db.execute('CREATE TABLE c(id INTEGER PRIMARY KEY, "odd ""name" , y)')
    for i in range(40):
        db.execute("INSERT INTO c VALUES (?, ?, ?)", (i, rng.choice(values), rng.choice(values)))
    rows = db.execute(
        "SELECT e.content, json_object('id', c.id, 'odd \"name', c.\"odd \"\"name\", 'y', c.y) FROM c"
        " JOIN entitydb_entities AS e ON e.type = 'c' AND e.id = c.id"
    ).fetchall()
    assert len(rows) == 40
    for ours, theirs in rows:
        assert json.loads(ours) == json.loads(theirs)
