"""FOR SYSTEM_TIME over an interval, of entitydb_tags and entitydb_entities: at every moment what AS OF shows there."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

TABLES = ("entitydb_tags", "entitydb_entities")
TAGS = ("status:live", "status:draft", "plain", "a:b:c", "x:")


def commit(db: driver.Connection) -> int:
    db.commit()
    return int(db.last_commit[1])


def a_history(db: driver.Connection, rng: random.Random, commits: int) -> list[int]:
    """Rows of two tables come, change, go and come again, with tags. -> the moments of the commits"""
    for table in ("t", "U"):
        db.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, a)")
    moments = [commit(db)]
    for number in range(commits):
        for _ in range(rng.choice((1, 1, 4))):
            table, id_ = rng.choice(("t", "u")), rng.randrange(1, 5)
            kind = rng.random()
            if kind < 0.4:
                upsert = "ON CONFLICT (id) DO UPDATE SET a = excluded.a"
                db.execute(f"INSERT INTO {table} VALUES (?, ?) {upsert}", (id_, number))
            elif kind < 0.55:
                db.execute(f"DELETE FROM {table} WHERE id = ?", (id_,))
            elif kind < 0.8 and db.execute(f"SELECT 1 FROM {table} WHERE id = ?", (id_,)).fetchone():
                db.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)",
                           (table, id_, rng.choice(TAGS)))  # fmt: skip
            else:
                db.execute("DELETE FROM entitydb_tags WHERE type = ? AND entity = ? AND tag = ?",
                           (table, id_, rng.choice(TAGS)))  # fmt: skip
        moments.append(commit(db))
    return sorted(set(moments))


def versions(db: driver.Connection, table: str, clause: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """The rows, sorted."""
    found = db.execute(f"SELECT * FROM {table} FOR SYSTEM_TIME {clause}", parameters).fetchall()
    return sorted(found, key=repr)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("number", range(3))
def test_at_every_moment_they_are_what_as_of_shows(
    db: driver.Connection, rng: random.Random, table: str, number: int
) -> None:
    moments = a_history(db, rng, 60)
    every = versions(db, table, "ALL")
    assert len(set(every)) == len(every) > 0
    numbers = dict(db.execute("SELECT id, committed_at FROM entitydb_transactions").fetchall())
    for *_, begun, ended, operation, transaction in every:
        assert (numbers[transaction], operation) in ((begun, "insert"), (begun, "update"))
        assert ended is None or begun < ended
    for moment in {*moments, *(m - 1 for m in moments[1:]), *(m + 1 for m in moments)}:
        there = [row[:-4] for row in every if row[-4] <= moment and (row[-3] is None or moment < row[-3])]
        assert there == versions(db, table, "AS OF ?", moment)


@pytest.mark.parametrize("table", TABLES)
def test_intervals_are_those_of_tables(db: driver.Connection, rng: random.Random, table: str) -> None:
    moments = a_history(db, rng, 25)
    every = versions(db, table, "ALL")
    later = 2**62
    for _ in range(40):
        a, b = sorted(rng.choice(moments) + rng.choice((-1, 0, 1)) for _ in range(2))
        found = [row for row in every if row[-4] < b and (row[-3] or later) > a]
        assert versions(db, table, "FROM ? TO ?", a, b) == found
        found = [row for row in every if row[-4] <= b and (row[-3] or later) > a]
        assert versions(db, table, "BETWEEN ? AND ?", a, b) == found
        found = [row for row in every if row[-4] >= a and row[-3] is not None and row[-3] <= b]
        assert versions(db, table, "CONTAINED IN (?, ?)", a, b) == found
    for clause in ("FROM ? TO ?", "BETWEEN ? AND ?", "CONTAINED IN (?, ?)"):
        assert versions(db, table, clause, None, moments[-1]) == versions(db, table, clause, moments[0], None) == []


def test_wherever_a_table_stands(db: driver.Connection) -> None:
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
    db.execute("INSERT INTO t VALUES (1, 'one'), (2, 'two')")
    db.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('t', 1, 'k:v'), ('t', 2, 'k:v')")
    db.execute("SELECT entitydb_label('tagged')")
    commit(db)
    db.execute("DELETE FROM entitydb_tags WHERE entity = 1")
    db.execute("UPDATE t SET a = 'zwei' WHERE id = 2")
    commit(db)
    sql = "SELECT t.a, g.valid_to IS NULL FROM t JOIN entitydb_tags FOR SYSTEM_TIME ALL g ON g.entity = t.id ORDER BY 1"
    assert db.execute(sql).fetchall() == [("one", 0), ("zwei", 1)]
    sql = "SELECT main.entitydb_tags.tag FROM main.entitydb_tags FOR SYSTEM_TIME BETWEEN ? AND ? WHERE entity = :id"
    assert db.execute(sql.replace(":id", "?"), ("label:tagged", "2200-01-01", 1)).fetchall() == [("k:v",)]
    sql = "SELECT entity FROM ENTITYDB_TAGS FOR SYSTEM_TIME ALL WHERE valid_to IS NULL"
    assert db.execute(f"SELECT count(*) FROM t WHERE id IN ({sql})").fetchone() == (1,)
    sql = "WITH e AS (SELECT * FROM entitydb_entities FOR SYSTEM_TIME ALL) SELECT id, operation, versions FROM e"
    assert db.execute(f"{sql} ORDER BY 1, 3").fetchall() == [(1, "insert", 1), (2, "insert", 1), (2, "update", 2)]
    plan = [row[3] for row in db.execute(
        "EXPLAIN QUERY PLAN SELECT tag FROM entitydb_tags FOR SYSTEM_TIME ALL WHERE type = 't' AND entity = 2"
    )]  # fmt: skip
    assert any("entitydb_changes" in line and "entity=?" in line for line in plan)
    for table in TABLES:
        with pytest.raises(driver.PastWriteError):
            db.execute(f"DELETE FROM {table} FOR SYSTEM_TIME ALL")


def test_of_attached_databases(db: driver.Connection, tmp_path: Path) -> None:
    db.execute(f"ATTACH '{tmp_path / 'other.edb'}' AS other")
    db.execute("CREATE TABLE other.t (id INTEGER PRIMARY KEY)")
    db.execute("INSERT INTO other.t VALUES (7)")
    db.execute("INSERT INTO other.entitydb_tags(type, entity, tag) VALUES ('t', 7, 'theirs')")
    commit(db)
    assert db.execute("SELECT tag FROM other.entitydb_tags FOR SYSTEM_TIME ALL").fetchall() == [("theirs",)]
    assert db.execute("SELECT id FROM other.entitydb_entities FOR SYSTEM_TIME ALL").fetchall() == [(7,)]
    for table in TABLES:
        assert db.execute(f"SELECT * FROM {table} FOR SYSTEM_TIME ALL").fetchall() == []
