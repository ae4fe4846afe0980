"""Random transactions with tags at SERIALIZABLE, interleaved, then done again one after the other in another database.

Whatever statements were told - rows, how many were changed, errors - they must be told again when the committed
transactions run alone in the order of their commits; those that changed nothing run behind the commit they read.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from entitydb_dialect import driver

SCHEMA = (
    "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)",
    "CREATE TABLE d(id INTEGER PRIMARY KEY, s TEXT TAG 's', t REFERENCES t(id) ON DELETE CASCADE)",
)
READS = (
    ("SELECT type, entity, tag FROM entitydb_tags ORDER BY 1, 2, 3", 0),
    ("SELECT count(*) FROM entitydb_tags", 0),
    ("SELECT entity FROM entitydb_tags WHERE type = 't' AND tag = 'n:' || ? ORDER BY 1", 1),
    ("SELECT tag FROM entitydb_tags WHERE type = 't' AND entity = ? ORDER BY 1", 1),
    ("SELECT count(*) FROM entitydb_tags WHERE type = 'd' AND entity = ? AND tag = 's:' || ?", 2),
    ("SELECT tag, entity FROM entitydb_tags WHERE namespace = 's' ORDER BY 1, 2", 0),
    ("SELECT count(*) FROM entitydb_tags WHERE namespace = 'n' AND value = ?", 1),
    ("SELECT entity, tag FROM entitydb_tags WHERE tag >= 'n:' || ? AND tag < 'n:5' ORDER BY 1, 2", 1),
    ("SELECT entity FROM entitydb_tagged('t', 'n:' || ?)", 1),
    ("SELECT entity FROM entitydb_tagged('t', 'n:' || ? || ' & !n:' || ?)", 2),
    ("SELECT entity FROM entitydb_tagged('t', 'n:' || ? || ' & n:' || ?)", 2),
    ("SELECT entity FROM entitydb_tagged('d', 's:*')", 0),
    ("SELECT entity FROM entitydb_tagged('t', '*') LIMIT ?", 1),
    ("SELECT entity FROM entitydb_tagged('t', 'n:1|n:2') WHERE entity >= ? LIMIT 2", 1),
    ("SELECT entity FROM entitydb_tagged('t', '!n:1') WHERE entity = ?", 1),
    ("SELECT id, n FROM t WHERE id IN (SELECT entity FROM entitydb_tagged('t', 'n:' || ?)) ORDER BY 1", 1),
    ("SELECT id, s FROM d ORDER BY 1", 0),
)
INTO = "INSERT INTO entitydb_tags(type, entity, tag) "
WRITES = (
    (INTO + "VALUES ('t', ?, 'n:' || ?)", 2),
    (INTO + "VALUES ('t', ?, 'n:' || ?), ('t', ?, 'n:' || ?)", 4),
    (INTO + "VALUES ('d', ?, 'n:' || ?)", 2),
    (INTO + "SELECT 't', id, 'n:' || n FROM t WHERE id < ?", 1),
    (INTO + "SELECT 't', entity, 'n:' || ? FROM entitydb_tagged('t', 'n:' || ?)", 2),
    ("DELETE FROM entitydb_tags WHERE tag = 'n:' || ?", 1),
    ("DELETE FROM entitydb_tags WHERE type = 't' AND entity = ?", 1),
    ("DELETE FROM entitydb_tags WHERE type = 't' AND entity = ? AND tag = 'n:' || ?", 2),
    ("INSERT INTO t VALUES (?, ?)", 2),
    ("INSERT OR REPLACE INTO t VALUES (?, ?)", 2),
    ("UPDATE t SET n = ? WHERE id = ?", 2),
    ("UPDATE OR REPLACE t SET id = ? WHERE id = ?", 2),
    ("UPDATE t SET n = (SELECT count(*) FROM entitydb_tagged('t', 'n:' || ?)) WHERE id = ?", 2),
    ("DELETE FROM t WHERE id = ?", 1),
    ("DELETE FROM t WHERE id IN (SELECT entity FROM entitydb_tagged('t', 'n:' || ?))", 1),
    ("INSERT INTO d VALUES (?, 's' || ?, ?)", 3),
    ("UPDATE d SET s = 's' || ? WHERE id = ?", 2),
    ("DELETE FROM d WHERE id = ?", 1),
)
VALUES = 6
Step = tuple[str, Any]


def answer_of(side: driver.Connection, step: Step) -> Any:
    try:
        cursor = side.execute(*step)
        return cursor.fetchall(), cursor.rowcount
    except driver.IntegrityError as error:
        return str(error)


@dataclass
class Transaction:
    began: int | None = None  # the commit it reads
    steps: list[tuple[Step, Any]] = field(default_factory=list)
    savepoints: int = 0


def random_step(rng: random.Random, running: Transaction) -> Step:
    kind = rng.random()
    if kind < 0.06:
        running.savepoints += 1
        return f"SAVEPOINT s{running.savepoints}", ()
    if kind < 0.12 and running.savepoints:
        running.savepoints = rng.randrange(1, running.savepoints + 1)
        return f"ROLLBACK TO s{running.savepoints}", ()
    sql, n = rng.choice(READS if kind < 0.5 else WRITES)
    return sql, tuple(rng.randrange(VALUES) for _ in range(n))


def dump(side: driver.Connection) -> list[Any]:
    asked = ("* FROM t", "* FROM d", "type, entity, tag FROM entitydb_tags")
    return [sorted(side.execute(f"SELECT {what}").fetchall()) for what in asked]


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(4))
@pytest.mark.parametrize("spill_bytes", [1 << 26, 4096])
def test_committed_transactions_can_be_done_one_after_the_other(
    connect: Callable[..., driver.Connection], rng: random.Random, round_: int, spill_bytes: int
) -> None:
    options = {"isolation_level": "SERIALIZABLE", "synchronous": "normal", "spill_bytes": spill_bytes}
    sides = [connect(**options) for _ in range(3)]
    for sql in SCHEMA:
        sides[0].execute(sql)
    sides[0].commit()
    commits = first = sides[0].last_commit[0]
    running: dict[driver.Connection, Transaction] = {}
    done: list[tuple[tuple[int, int], Transaction]] = []
    failures = 0
    for number in range(5000):
        if number > 500 and failures:
            break
        side = rng.choice(sides)
        mine = running.setdefault(side, Transaction())
        try:
            if len(mine.steps) < rng.choice([1, 2, 3, 5]):
                step = random_step(rng, mine)
                if mine.began is None and not step[0].startswith(("SAVEPOINT", "ROLLBACK")):
                    mine.began = commits
                mine.steps.append((step, answer_of(side, step)))
                continue
            side.commit()
        except driver.SerializationFailure:
            side.rollback()
            failures += 1
        else:
            if side.last_commit[0] > commits:
                commits = side.last_commit[0]
                done.append(((commits, 0), mine))
            elif mine.began is not None:
                done.append(((mine.began, 1), mine))
        del running[side]

    for side in sides:
        side.rollback()
    with closing(driver.connect(":memory:")) as alone:
        for sql in SCHEMA:
            alone.execute(sql)
        alone.commit()
        for position, transaction in sorted(done, key=lambda one: one[0]):
            for step, told in transaction.steps:
                assert answer_of(alone, step) == told, (position, step)
            alone.commit()
        assert dump(sides[0]) == dump(alone)
    assert commits > first + 10
    assert failures > 0
