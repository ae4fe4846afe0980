"""Queries over tags that are half fetched while the transaction goes on writing, spills, rolls back and commits."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]
INSERT = "INSERT INTO entitydb_tags(type, entity, tag) VALUES ('t', ?, ?)"
QUERIES = (
    "SELECT entity, tag FROM entitydb_tags",
    "SELECT entity, tag, value FROM entitydb_tags WHERE tag >= 'n:1' AND tag < 'o'",
    "SELECT entity, tag FROM entitydb_tags WHERE namespace = 'n'",
    "SELECT entity, tag FROM entitydb_tags WHERE type = 't' AND tag = 'n:1'",
    "SELECT entity FROM entitydb_tagged('t', 'n:1 | n:2')",
    "SELECT entity FROM entitydb_tagged('t', 'n:* & !n:3')",
    "SELECT entity FROM entitydb_tagged('t', 'long:*')",
    "SELECT g.tag, h.tag FROM entitydb_tags g JOIN entitydb_tags h ON h.type = g.type AND h.entity = g.entity",
    "SELECT t.id, g.tag FROM t JOIN entitydb_tags g ON g.type = 't' AND g.entity = t.id",
)


def test_a_query_goes_on_with_what_it_saw_when_it_began(connect: Connect) -> None:
    db = connect(spill_bytes=4096)
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(200)])
    db.commit()
    for sql in QUERIES[:6]:
        db.executemany(INSERT, [(i, f"n:{i % 5}") for i in range(200)])
        wanted = db.execute(sql).fetchall()
        assert len(wanted) >= 40
        half = db.execute(sql)
        found = half.fetchmany(7)
        db.executemany(INSERT, [(i, f"n:{i % 5}:late") for i in range(200)])    # spills
        db.execute("DELETE FROM entitydb_tags WHERE tag = 'n:1'")
        found += half.fetchmany(7)
        db.execute("DELETE FROM t WHERE id > 100")
        found += half.fetchall()
        assert found == wanted, sql
        db.rollback()


@pytest.mark.parametrize("round_", range(3))
def test_nothing_that_happens_beside_a_half_fetched_query_harms_it(
    connect: Connect, rng: random.Random, round_: int
) -> None:
    """Rows or an error; the sanitizer has the last word."""
    db, other = connect(spill_bytes=4096), connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(60)])
    db.commit()
    half: list[Any] = []
    tags = [f"n:{i}" for i in range(6)] + ["long:" + "x" * 60, "a"]
    for step in range(250):
        kind = rng.random()
        try:
            if kind < 0.3:
                half.append(db.execute(rng.choice(QUERIES)))
            elif kind < 0.55 and half:
                cursor = rng.choice(half)
                if not cursor.fetchmany(rng.choice((1, 3, 20))):
                    half.remove(cursor)
            elif kind < 0.7:
                ids = [id_ for (id_,) in db.execute("SELECT id FROM t").fetchall()]
                if ids:
                    db.executemany(INSERT, [(rng.choice(ids), rng.choice(tags)) for _ in range(rng.choice((1, 80)))])
            elif kind < 0.75:
                db.execute("DELETE FROM entitydb_tags WHERE tag = ?", (rng.choice(tags),))
            elif kind < 0.8:
                db.execute("DELETE FROM t WHERE id = ?", (rng.randrange(60),))
            elif kind < 0.85:
                db.execute(f"SAVEPOINT s{step % 3}")
            elif kind < 0.9:
                db.execute(f"ROLLBACK TO s{step % 3}")
            elif kind < 0.93:
                db.rollback()
            elif kind < 0.96:
                db.commit()
            else:
                other.execute("INSERT OR IGNORE INTO t VALUES (?)", (rng.randrange(60),))
                other.execute("INSERT INTO entitydb_tags(type, entity, tag) SELECT 't', max(id), 'other' FROM t")
                other.commit()
        except driver.SerializationFailure:
            db.rollback()
            other.rollback()
        except driver.OperationalError as error:
            assert "no such savepoint" in str(error) or "rolled back" in str(error), error
    for cursor in half:
        cursor.close()
    db.rollback()
    other.rollback()
