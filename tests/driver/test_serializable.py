"""Random transactions at SERIALIZABLE, interleaved, then done again one after the other on SQLite.

Whatever statements were told - rows, counts of rows, violated constraints - SQLite must be told, too, when the
committed transactions run alone in the order of their commits; those that changed nothing run behind the commit they
read.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import apsw
import pytest

from entitydb_dialect import driver

SCHEMA = """
CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER, u INTEGER UNIQUE, g INTEGER GENERATED ALWAYS AS (a % 3));
CREATE INDEX t_a ON t(a);
CREATE INDEX t_some ON t(a, id) WHERE u > 3;
CREATE INDEX t_g ON t(g);
CREATE INDEX t_sum ON t(a + u);
CREATE TABLE p(id INTEGER PRIMARY KEY, n INTEGER);
CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p ON DELETE CASCADE, q INTEGER REFERENCES p);
CREATE INDEX c_p ON c(p);
CREATE TABLE w(a TEXT COLLATE NOCASE, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
"""

READS = (
    ("SELECT * FROM t WHERE id = ?", 1),
    ("SELECT * FROM t WHERE u = ?", 1),
    ("SELECT id FROM t WHERE a = ? ORDER BY id", 1),
    ("SELECT id, u FROM t WHERE a BETWEEN ? AND ? ORDER BY id", 2),
    ("SELECT id FROM t WHERE id > ? ORDER BY id LIMIT 2", 1),
    ("SELECT id FROM t WHERE id < ? ORDER BY id DESC LIMIT 1", 1),
    ("SELECT count(*) FROM t", 0),
    ("SELECT count(*) FROM t WHERE a = ?", 1),
    ("SELECT max(a) FROM t", 0),
    ("SELECT max(id), min(u) FROM t WHERE a > ?", 1),
    ("SELECT t.id, p.n FROM t JOIN p ON p.id = t.a WHERE t.u > ? ORDER BY 1", 1),
    ("SELECT EXISTS (SELECT 1 FROM c WHERE p = ?)", 1),
    ("SELECT sum(n) FROM p", 0),
    ("SELECT id FROM t WHERE a = ? AND u > 3 ORDER BY id", 1),
    ("SELECT count(*), max(u) FROM t WHERE g = ?", 1),
    ("SELECT id, u FROM t WHERE a + u = ? ORDER BY id", 1),
    ("SELECT id FROM t WHERE a IN (?, ?) ORDER BY a DESC, id DESC", 2),
    ("SELECT b FROM w WHERE a = 'k' || ? ORDER BY b", 1),
    ("SELECT a, b FROM w WHERE a >= 'K3' AND b <> ? ORDER BY 1, 2 LIMIT 2", 1),
    ("WITH few(id) AS (SELECT id FROM t WHERE a < ?) SELECT count(*) FROM few JOIN c ON c.p = few.id", 1),
    ("SELECT p.id FROM p WHERE NOT EXISTS (SELECT 1 FROM c WHERE c.p = p.id AND c.q = ?) ORDER BY 1", 1),
)
WRITES = (
    ("INSERT INTO t VALUES (?, ?, ?)", 3),
    ("INSERT OR IGNORE INTO t VALUES (?, ?, ?)", 3),
    ("INSERT OR REPLACE INTO t VALUES (?, ?, ?)", 3),
    ("INSERT INTO t VALUES (?, ?, ?) ON CONFLICT(u) DO UPDATE SET a = a + 1 RETURNING id, a", 3),
    ("INSERT INTO t VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING id", 3),
    ("UPDATE t SET a = ? WHERE a = ?", 2),
    ("UPDATE t SET a = (SELECT count(*) FROM t WHERE a = ?) WHERE id = ?", 2),
    ("UPDATE t SET u = ? WHERE id = ?", 2),
    ("DELETE FROM t WHERE a = ? AND id < ?", 2),
    ("DELETE FROM t WHERE u = ?", 1),
    ("UPDATE t SET a = p.n FROM p WHERE p.id = t.u AND t.id = ?", 1),
    ("INSERT INTO w VALUES ('K' || ?, ?)", 2),
    ("DELETE FROM w WHERE a = 'k' || ?", 1),
    ("INSERT INTO w SELECT 'k' || id, count(*) FROM t WHERE a > ? GROUP BY id ON CONFLICT DO NOTHING", 1),
    ("INSERT INTO p VALUES (?, ?)", 2),
    ("UPDATE p SET n = n + ? WHERE id = ?", 2),
    ("DELETE FROM p WHERE id = ?", 1),
    ("INSERT INTO c VALUES (?, ?, ?)", 3),
    ("UPDATE c SET q = ? WHERE p = ?", 2),
    ("DELETE FROM c WHERE id = ?", 1),
)
VALUES = 7
Answer = tuple[str, Any]


def answer_of(execute: Callable[[str, Any], Any], step: tuple[str, Any], errors: type[Exception]) -> Answer:
    try:
        return "rows", execute(*step).fetchall()
    except errors:
        return "refused", None


@dataclass
class Transaction:
    began: int | None = None  # the commit it reads
    steps: list[tuple[tuple[str, Any], Answer]] = field(default_factory=list)
    savepoints: int = 0


def random_step(rng: random.Random, running: Transaction) -> tuple[str, Any]:
    kind = rng.random()
    if kind < 0.06:
        running.savepoints += 1
        return f"SAVEPOINT s{running.savepoints}", ()
    if kind < 0.12 and running.savepoints:
        running.savepoints = rng.randrange(1, running.savepoints + 1)
        return f"ROLLBACK TO s{running.savepoints}", ()
    sql, n = rng.choice(READS if kind < 0.6 else WRITES)
    return sql, tuple(rng.randrange(VALUES) for _ in range(n))


def dump(execute: Callable[[str, Any], Any]) -> dict[str, list[Any]]:
    return {name: execute(f"SELECT * FROM {name} ORDER BY 1, 2", ()).fetchall() for name in "tpcw"}


@pytest.mark.slow
@pytest.mark.parametrize("round", range(10))
def test_committed_transactions_can_be_done_one_after_the_other(
    connect: Callable[..., driver.Connection], rng: random.Random, round: int
) -> None:
    sides = [connect(isolation_level="SERIALIZABLE", synchronous="normal") for _ in range(rng.choice([3, 4]))]
    sides[0].executescript(SCHEMA)
    commits = first = sides[0].last_commit[0]
    running: dict[driver.Connection, Transaction] = {}
    done: list[tuple[tuple[int, int], Transaction]] = []
    failures = 0
    for _ in range(900):
        side = rng.choice(sides)
        mine = running.setdefault(side, Transaction())
        try:
            if len(mine.steps) < rng.choice([1, 2, 3, 5]):
                step = random_step(rng, mine)
                if mine.began is None and not step[0].startswith(("SAVEPOINT", "ROLLBACK")):
                    mine.began = commits
                mine.steps.append((step, answer_of(side.execute, step, driver.IntegrityError)))
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
    plain = apsw.Connection(":memory:")
    plain.execute("PRAGMA foreign_keys = ON").fetchall()
    plain.execute(SCHEMA)
    for position, transaction in sorted(done, key=lambda one: one[0]):
        plain.execute("BEGIN")
        for step, told in transaction.steps:
            again = answer_of(plain.execute, step, apsw.ConstraintError)
            assert again == told, (position, step)
        plain.execute("COMMIT")
    assert dump(sides[0].execute) == dump(plain.execute)
    assert commits > first + 10
    assert failures > 0
