"""What the driver does with a statement's text: the first sight of it, and a text that is known.

Both sides get the same statement with the same values, in an open transaction that is rolled back behind each sample.
First sight: every text differs from all before in a literal, so that no cache of either side has it; it is read,
prepared and executed. Known: one text, executed again and again. What counts is CPU time, the median of samples that
the sides take in turns.
"""

from __future__ import annotations

import gc
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from typing import Any, NamedTuple

from .measure import Row, Setting, benchmark, open_ours, remove, show

GROUP = "texts"
ROWS = 1_000
FIRST_SIGHT, KNOWN = 2.5, 1.0  # the most that ours may take
KNOWN_TIMES = 10  # as many statements in a sample of a known text as of new ones: they are shorter

SCHEMA = (
    "CREATE TABLE region(id INTEGER PRIMARY KEY, name TEXT)",
    "CREATE TABLE owner(id INTEGER PRIMARY KEY, region_id INTEGER, name TEXT)",
    "CREATE TABLE item(id INTEGER PRIMARY KEY, owner_id INTEGER, code TEXT UNIQUE, kind TEXT, price REAL)",
    "CREATE INDEX item_owner ON item(owner_id)",
)
INDEXES = (
    "CREATE INDEX item_new ON item(owner_id) WHERE kind = 'new'",
    "CREATE INDEX item_lower ON item(lower(code))",
)


class Text(NamedTuple):
    """A statement to measure."""

    name: str
    sql: str  # {n}: a literal that is another in each text
    parameters: tuple[Any, ...] = ()
    batch: int = 20  # statements in a sample


def listed(number: int) -> str:
    return ", ".join("?" * number)


JOIN = (
    "SELECT item.id, item.code, owner.name, region.name FROM item JOIN owner ON owner.id = item.owner_id"
    " JOIN region ON region.id = owner.region_id WHERE item.id = ? AND item.price > -{n} AND region.name <> ?"
    " ORDER BY item.code, owner.name LIMIT 10"
)
TEXTS = (
    Text("IN list of 100 parameters", f"SELECT id, code FROM item WHERE price > {{n}} AND id IN ({listed(100)})",
         tuple(range(1, 101))),
    Text("IN list of 1,000 parameters", f"SELECT id, code FROM item WHERE price > {{n}} AND id IN ({listed(1000)})",
         tuple(range(1, 1001)), batch=4),
    Text("SELECT by key", "SELECT id, owner_id, code, kind, price FROM item WHERE id = ? AND price > -{n}", (7,)),
    Text("join of two tables", "SELECT item.id, item.code, owner.name FROM item JOIN owner ON owner.id = item.owner_id"
         " WHERE item.id = ? AND item.price > -{n}", (7,)),
    Text("join of three tables", JOIN, (7, "nowhere")),
    Text("INSERT", "INSERT INTO item(owner_id, kind, price) VALUES (?, ?, {n})", (7, "old")),
    Text("INSERT of 100 rows", "INSERT INTO item(owner_id, kind, price) VALUES (?, ?, {n})" + ", (?, ?, ?)" * 99,
         (7, "old", *(7, "old", 1.5) * 99), batch=4),
    Text("UPDATE", "UPDATE item SET price = {n}, kind = ? WHERE id = ?", ("old", 7)),
    Text("DELETE", "DELETE FROM item WHERE id = ? AND price <> -{n}", (2 * ROWS,)),
    Text("INSERT with ON CONFLICT", "INSERT INTO item(owner_id, code, kind, price) VALUES (?, ?, ?, {n})"
         " ON CONFLICT (code) DO UPDATE SET price = excluded.price + ?, kind = excluded.kind", (7, "c7", "old", 2)),
    Text("INSERT with RETURNING", "INSERT INTO item(owner_id, kind, price) VALUES (?, ?, {n}) RETURNING id, price",
         (7, "old")),
)  # fmt: skip
INDEXED = (
    Text("SELECT by a partial index", "SELECT id FROM item WHERE owner_id = ? AND kind = ? AND price > -{n}",
         (7, "new")),
    Text("SELECT by an index on an expression", "SELECT id FROM item WHERE lower(code) = ? AND price > -{n}", ("c7",)),
    Text("join of three tables, beside both", JOIN, (7, "nowhere")),
    Text("INSERT, beside both", "INSERT INTO item(owner_id, kind, price) VALUES (?, ?, {n})", (7, "old")),
)  # fmt: skip


def fill(side: Any, indexes: tuple[str, ...]) -> None:
    for sql in SCHEMA + indexes:
        side.execute(sql)
    side.execute("BEGIN")
    side.executemany("INSERT INTO region VALUES (?, ?)", [(i, f"region {i}") for i in range(10)])
    side.executemany("INSERT INTO owner VALUES (?, ?, ?)", [(i, i % 10, f"owner {i}") for i in range(100)])
    side.executemany("INSERT INTO item VALUES (?, ?, ?, ?, ?)",
                     [(i, i % 100, f"c{i}", ("new", "old")[i % 2], float(i)) for i in range(ROWS)])
    side.execute("COMMIT")


def sampled(side: Any, texts: list[str], parameters: tuple[Any, ...]) -> tuple[float, list[Any]]:
    """CPU seconds of one statement, and the answers."""
    cursor = side.cursor()
    side.execute("BEGIN")
    started = time.process_time()
    answers = [cursor.execute(sql, parameters).fetchall() for sql in texts]
    taken = time.process_time() - started
    side.execute("ROLLBACK")
    return taken / len(texts), answers


def in_turns(
    sides: dict[str, Any], text: Text, made: Callable[[], list[str]], rounds: int
) -> dict[str, list[float]]:
    """Samples of both sides, after a first one that only warms up. made: the statements of a sample."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        texts = made()
        answers = []
        for name in list(sides) if number % 2 else list(reversed(sides)):
            seconds, answer = sampled(sides[name], texts, text.parameters)
            answers.append(answer)
            if number:
                taken[name].append(seconds)
        if "RETURNING" not in text.sql and answers[0] != answers[1]:  # ids are not used again in ours
            raise AssertionError(f"different answers: {texts[0]}")
    gc.collect()
    return taken


@benchmark
def texts(setting: Setting) -> Iterator[Row]:
    """The cost of a statement's text: never seen before, and known."""
    show("texts: first sight and known, against the sqlite3 module")
    rounds = setting.size(41, 9)
    numbers = count(1)
    for name, indexes, group in (("plain", (), TEXTS), ("indexed", INDEXES, INDEXED)):
        paths = setting.folder / f"texts-{name}.edb", setting.folder / f"texts-{name}.sqlite"
        try:
            with closing(open_ours(paths[0])) as ours, closing(sqlite3.connect(paths[1])) as theirs:
                theirs.isolation_level = None
                theirs.execute("PRAGMA journal_mode = WAL")
                sides = {"ours": ours, "sqlite3": theirs}
                for side in sides.values():
                    fill(side, indexes)
                for text in group:
                    yield from measured(sides, text, numbers, rounds)
        finally:
            for path in paths:
                remove(path)


def measured(sides: dict[str, Any], text: Text, numbers: Iterator[int], rounds: int) -> Iterator[Row]:
    known = [text.sql.replace("{n}", "0")] * (text.batch * KNOWN_TIMES)

    def new() -> list[str]:
        return [text.sql.replace("{n}", f"0.{next(numbers)}") for _ in range(text.batch)]

    collecting = gc.isenabled()
    gc.disable()
    try:
        first = in_turns(sides, text, new, rounds)
        again = in_turns(sides, text, lambda: known, rounds)
    finally:
        if collecting:
            gc.enable()
    for kind, taken, bound in (("first sight", first, FIRST_SIGHT), ("known", again, KNOWN)):
        ours, other = (statistics.median(taken[name]) for name in sides)
        yield Row(GROUP, f"{text.name}, {kind}", ours, other, "s", "sqlite3 module", at_most=bound, samples=taken)
