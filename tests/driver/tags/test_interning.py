"""Tags that a process has met in commits are looked up without the trees, and never wrongly."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]
INSERT = "INSERT INTO entitydb_tags(type, entity, tag) VALUES ('t', ?, ?)"


def counts(db: driver.Connection) -> tuple[int, int, int]:
    stats = db.database.stats()
    return stats["interned"], stats["intern_hits"], stats["intern_misses"]


def table(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.execute("INSERT INTO t VALUES (1), (2), (3)")
    db.commit()


def test_a_tag_is_kept_once_and_found_again_by_every_connection(connect: Connect) -> None:
    db, other = connect(), connect()
    table(db)
    db.execute(INSERT, (1, "a"))
    db.commit()
    assert counts(db)[0] == 0
    for connection in (db, other, db):
        assert connection.execute("SELECT tag FROM entitydb_tags WHERE tag = 'a'").fetchall() == [("a",)]
        connection.rollback()
    kept, hits, _ = counts(db)
    assert kept == 1
    assert hits >= 2
    assert db.database.stats()["intern_bytes"] > 0


def test_what_is_rolled_back_is_not_kept(connect: Connect) -> None:
    db, other = connect(), connect()
    table(db)
    db.execute(INSERT, (1, "first"))
    db.commit()
    db.execute(INSERT, (1, "never"))
    assert db.execute("SELECT entity FROM entitydb_tagged('t', 'never')").fetchall() == [(1,)]
    db.rollback()
    assert other.execute("SELECT entity FROM entitydb_tagged('t', 'never')").fetchall() == []
    other.rollback()
    db.execute("SAVEPOINT s")
    db.execute(INSERT, (2, "never"))
    db.execute("ROLLBACK TO s")
    db.execute(INSERT, (3, "never"))
    db.commit()
    assert other.execute("SELECT entity FROM entitydb_tagged('t', 'never')").fetchall() == [(3,)]


def test_before_it_was_given_a_kept_tag_has_no_entities(connect: Connect) -> None:
    db = connect()
    table(db)
    db.execute(INSERT, (1, "first"))
    db.commit()
    before = db.last_commit[1]
    db.execute(INSERT, (1, "late"))
    db.commit()
    ask = "SELECT entity FROM entitydb_tagged('t', 'late')"
    assert db.execute(ask).fetchall() == [(1,)]
    cursor = db.cursor()
    cursor.as_of = before
    assert cursor.execute(ask).fetchall() == []
    assert cursor.execute("SELECT * FROM entitydb_tags WHERE tag GLOB 'l*'").fetchall() == []


@pytest.mark.parametrize(("name", "value"), [("ENTITYDB_STRING_INTERN", "off"), ("ENTITYDB_INTERN_CACHE_SIZE", "100")])
def test_it_can_be_switched_off_and_bounded(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    db = connect()
    table(db)
    db.executemany(INSERT, [(i % 3 + 1, f"tag:{i}") for i in range(200)])
    db.commit()
    for _ in range(2):
        assert len(db.execute("SELECT tag FROM entitydb_tags").fetchall()) == 200
    assert counts(db)[:2] == (0, 0)
