"""entitydb_versions and entitydb_changes: random histories of several tables and their tags, beside a model."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

Row = tuple[Any, ...]
TABLES = ("article", "person", "gone")
TAGS = ("a", "status:live", "status:draft", "größe:ß")


class Past:
    """Tables and tags changed at random, and what each commit did."""

    def __init__(self, db: driver.Connection, rng: random.Random, commits: int) -> None:
        self.db, self.rng = db, rng
        for table in TABLES:
            db.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, n INTEGER, name TEXT)")
        db.commit()
        self.rows: dict[str, dict[int, Row]] = {table: {} for table in TABLES}
        self.tags: set[tuple[str, int, str]] = set()
        self.changes: list[Row] = []  # as entitydb_changes has them, but for the order within a commit
        for _ in range(commits):
            self.commit()
        db.execute("DROP TABLE gone")
        db.commit()
        self.dropped = {tagging for tagging in self.tags if tagging[0] == "gone"}
        now = self.commit_of()
        self.changes += [(*now, kind, entity, "untag", tag, None, None) for kind, entity, tag in self.dropped]

    def commit_of(self) -> tuple[int, int]:
        return self.db.last_commit

    def commit(self) -> None:
        rng, db = self.rng, self.db
        rows = {table: dict(of) for table, of in self.rows.items()}
        tags = set(self.tags)
        for _ in range(rng.choice([1, 2, 5, 30])):
            table, key = rng.choice(TABLES), rng.randrange(15)
            choice = rng.random()
            if choice < 0.2:
                db.execute(f"DELETE FROM {table} WHERE id = ?", (key,))
                rows[table].pop(key, None)
                tags = {tagging for tagging in tags if tagging[:2] != (table, key)}
            elif choice < 0.6:
                row = (rng.randrange(4), rng.choice(["x", "y" * 300, 'say "hi"\n']))
                db.execute(f"INSERT INTO {table} VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET n = excluded.n,"
                           " name = excluded.name", (key, *row))  # fmt: skip
                rows[table][key] = row
            elif rows[table]:
                key, tag = rng.choice(sorted(rows[table])), rng.choice(TAGS)
                if choice < 0.9:
                    db.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)", (table, key, tag))
                    tags.add((table, key, tag))
                else:
                    db.execute("DELETE FROM entitydb_tags WHERE type = ? AND entity = ? AND tag = ?", (table, key, tag))
                    tags.discard((table, key, tag))
        db.commit()
        if rows == self.rows and tags == self.tags:
            return
        now = self.commit_of()
        for table in TABLES:
            for key in self.rows[table].keys() | rows[table].keys():
                was, is_ = self.rows[table].get(key), rows[table].get(key)
                if was != is_:
                    operation = "insert" if was is None else "delete" if is_ is None else "update"
                    self.changes.append((*now, table, key, operation, None, was, is_))
        self.changes += [(*now, kind, entity, "tag", tag, None, None) for kind, entity, tag in tags - self.tags]
        self.changes += [(*now, kind, entity, "untag", tag, None, None) for kind, entity, tag in self.tags - tags]
        self.rows, self.tags = rows, tags


def image(text: str | None) -> Row | None:
    return None if text is None else tuple(json.loads(text).values())[1:]


def key(row: Row) -> str:
    return repr(row)


@pytest.fixture
def past(connect: Callable[..., driver.Connection], rng: random.Random) -> Past:
    return Past(connect(), rng, 60)


def asked(past: Past, condition: str = "1", *parameters: Any) -> list[Row]:
    sql = f"SELECT * FROM entitydb_changes WHERE {condition} ORDER BY transaction_id"
    return [(*row[:6], image(row[6]), image(row[7])) for row in past.db.execute(sql, parameters)]


def test_changes_of_every_commit_in_order(past: Past) -> None:
    found = asked(past)
    assert [row[0] for row in found] == sorted(row[0] for row in past.changes)
    assert sorted(found, key=key) == sorted(past.changes, key=key)
    assert [row for row in found if row[2] == "gone"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("transaction_id > :n", lambda row, n: row[0] > n),
        ("transaction_id >= :n AND transaction_id < :n + 9", lambda row, n: n <= row[0] < n + 9),
        ("transaction_id = :n", lambda row, n: row[0] == n),
        ("transaction_id <= :n AND type = 'ARTICLE'", lambda row, n: row[0] <= n and row[2] == "article"),
        ("type = 'person' AND entity = 7", lambda row, n: row[2:4] == ("person", 7)),
        ("entity = 3", lambda row, n: row[3] == 3),
        ("type = 'gone' AND operation = 'delete'", lambda row, n: row[2] == "gone" and row[4] == "delete"),
        ("type = 'nobody'", lambda row, n: False),
        ("transaction_id > -5 AND transaction_id < 1e9", lambda row, n: True),
        ("transaction_id > :n + 0.5", lambda row, n: row[0] > n + 0.5),
        ("transaction_id < 0 OR entity = NULL OR entity = 'x'", lambda row, n: False),
    ],
)
def test_changes_by_what_they_are_found_by(past: Past, condition: str, holds: Callable[[Row, int], bool]) -> None:
    commits = sorted({row[0] for row in past.changes})
    for n in (commits[0] - 1, commits[len(commits) // 2], commits[-1]):
        wanted = [row for row in past.changes if holds(row, n)]
        found = past.db.execute(
            f"SELECT * FROM entitydb_changes WHERE {condition} ORDER BY transaction_id", {"n": n}
        ).fetchall()
        found = [(*row[:6], image(row[6]), image(row[7])) for row in found]
        assert sorted(found, key=key) == sorted(wanted, key=key)


def test_changes_as_of_a_moment_are_those_until_then(past: Past) -> None:
    number, moment, *_ = past.changes[len(past.changes) // 2]
    cursor = past.db.cursor()
    cursor.as_of = moment
    found = [(*row[:6], image(row[6]), image(row[7])) for row in cursor.execute("SELECT * FROM entitydb_changes")]
    wanted = [row for row in past.changes if row[0] <= number]
    assert sorted(found, key=key) == sorted(wanted, key=key)


def test_versions_tell_what_changes_tell(past: Past) -> None:
    found = past.db.execute("SELECT * FROM entitydb_versions").fetchall()
    begun = {
        (row[2], row[3], row[1], row[4], row[0], row[6] if row[4] == "delete" else row[7])
        for row in past.changes if row[5] is None
    }  # fmt: skip
    assert {(type_, entity, since, operation, number, image(content))
            for type_, entity, since, _, operation, number, content in found} == begun  # fmt: skip
    assert len(found) == len(begun)
    ends: dict[tuple[str, int], list[int]] = {}
    for row in past.changes:
        if row[5] is None:
            ends.setdefault((row[2], row[3]), []).append(row[1])
    for type_, entity, since, until, operation, *_ in found:
        later = [moment for moment in ends[type_, entity] if moment > since]
        assert until == (since if operation == "delete" else min(later, default=None))
    of_one = past.db.execute("SELECT * FROM entitydb_versions WHERE type = 'Article' AND entity = 5").fetchall()
    assert sorted(of_one, key=key) == sorted((row for row in found if row[:2] == ("article", 5)), key=key)


@pytest.mark.slow
def test_many_changes_come_in_windows_of_whole_commits(db: driver.Connection) -> None:
    """More changes than a window holds, in commits of very different sizes."""
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    db.commit()
    sizes = [1, 40_000, 3, 20_000, 1, 1, 33_000]
    for n, size in enumerate(sizes):
        upsert = "INSERT INTO t VALUES (?, ?) ON CONFLICT DO UPDATE SET n = excluded.n"
        db.executemany(upsert, [(k, n) for k in range(size)])
        db.commit()
    found = db.execute(
        "SELECT transaction_id, count(*), min(entity), max(entity) FROM"
        " (SELECT transaction_id, entity FROM entitydb_changes ORDER BY transaction_id) GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [row[1:] for row in found] == [(size, 0, size - 1) for size in sizes]
    entities = [row for (row,) in db.execute("SELECT transaction_id FROM entitydb_changes ORDER BY transaction_id")]
    assert entities == sorted(entities)


@pytest.mark.parametrize(
    ("query", "plan"),
    [
        ("entitydb_changes", "SCAN entitydb_changes"),
        ("entitydb_changes AS c WHERE transaction_id > 5", "SEARCH c USING CHANGES (transaction_id>?)"),
        (
            "entitydb_changes AS c WHERE transaction_id BETWEEN 5 AND 6 AND type = 'person'",
            "SEARCH c USING CHANGES (type=? AND transaction_id>=? AND transaction_id<=?)",
        ),
        ("entitydb_versions AS v WHERE type = 'a' AND entity = 1", "SEARCH v USING VERSIONS (type=? AND entity=?)"),
        ("entitydb_changes AS c ORDER BY transaction_id", "SCAN c"),
    ],
)
def test_plans_in_words(db: driver.Connection, query: str, plan: str) -> None:
    assert [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {query}")] == [plan]


def test_how_much_each_commit_changed(past: Past) -> None:
    rows: dict[int, list[str]] = {}
    for number, _, table, _, _, tag, *_ in past.changes:
        if tag is None:
            rows.setdefault(number, []).append(table)
    found = past.db.execute("SELECT id, rows_changed, tables_changed FROM entitydb_transactions").fetchall()
    assert {number: (count, set(json.loads(names))) for number, count, names in found} == {
        number: (len(rows.get(number, [])), set(rows.get(number, []))) for number, *_ in found
    }
