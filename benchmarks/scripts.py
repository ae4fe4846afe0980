"""Dumps, long lists of literals and schemas of many tables, against SQLite; CPU time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from .measure import Row, Setting, benchmark, open_ours, remove, show

GROUP = "scripts"
INSERTS = 5_000
ROWS = 20_000
DUMP, LITERALS, TABLES = 3.0, 3.0, 5.0  # the most that ours may take


def cpu(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def in_turns(ours: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each, after a first time that only warms up."""
    taken: dict[str, list[float]] = {"ours": [], "sqlite3": []}
    for number in range(rounds + 1):
        sides = [("ours", ours), ("sqlite3", theirs)]
        for name, work in sides if number % 2 else reversed(sides):
            seconds = cpu(work)
            if number:
                taken[name].append(seconds)
    return taken


def row(name: str, taken: dict[str, list[float]], at_most: float | None, against: str = "sqlite3 module") -> Row:
    ours, other = (min(taken[side]) for side in taken)
    return Row(GROUP, name, ours, other, "s", against, at_most=at_most, samples=taken)


@benchmark
def scripts(setting: Setting) -> Iterator[Row]:
    """What is written as text: dumps, lists of literals, and schemas."""
    show("scripts: dumps, literals and many tables")
    rounds = setting.size(9, 3)
    yield from texts_of_literals(setting, rounds)
    yield from many_tables(setting, setting.size(2_000, 200))


def texts_of_literals(setting: Setting, rounds: int) -> Iterator[Row]:
    paths = setting.folder / "scripts.edb", setting.folder / "scripts.sqlite"
    numbers = count()

    def dump(side: Any) -> None:
        table = f"t{next(numbers)}"
        inserts = ";".join(f"INSERT INTO {table} VALUES({i},{i % 7},'name {i}')" for i in range(INSERTS))
        side.executescript(f"CREATE TABLE {table}(id INTEGER PRIMARY KEY,a INT,b TEXT); BEGIN;{inserts};ROLLBACK")

    def insert(side: Any) -> None:
        values = ",".join(f"({i},'n{i}')" for i in range(ROWS))
        side.execute("BEGIN")
        side.execute(f"INSERT INTO known(a, b) VALUES {values} -- {next(numbers)}")
        side.execute("ROLLBACK")

    def listed(side: Any) -> None:
        ids = ",".join(map(str, range(ROWS)))
        side.execute(f"SELECT count(*) FROM known WHERE id IN ({ids}) -- {next(numbers)}").fetchall()

    try:
        with closing(open_ours(paths[0])) as ours, closing(sqlite3.connect(paths[1])) as theirs:
            theirs.isolation_level = None
            for side in (ours, theirs):
                side.execute("CREATE TABLE known(id INTEGER PRIMARY KEY, a INT, b TEXT)")
            for name, work, bound in (
                (f"a dump of {INSERTS:,} INSERTs", dump, DUMP),
                (f"INSERT of {ROWS:,} rows of literals", insert, LITERALS),
                (f"IN list of {ROWS:,} literals", listed, LITERALS),
            ):
                yield row(name, in_turns(lambda: work(ours), lambda: work(theirs), rounds), bound)  # noqa: B023
    finally:
        for path in paths:
            remove(path)


def many_tables(setting: Setting, number: int) -> Iterator[Row]:
    metadata = sa.MetaData()
    for i in range(number):
        sa.Table(
            f"t{i}", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.String(20), index=True),
            sa.Column("b", sa.Integer),
        )  # fmt: skip
    paths = setting.folder / "tables.edb", setting.folder / "tables.sqlite"
    urls = f"entitydb:///{paths[0]}?synchronous=normal", f"sqlite:///{paths[1]}"

    def created(url: str, path: Path) -> None:
        remove(path)
        engine = sa.create_engine(url)
        metadata.create_all(engine)
        engine.dispose()

    def connected(url: str) -> None:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT * FROM t1").fetchall()
        engine.dispose()

    try:
        made = in_turns(lambda: created(urls[0], paths[0]), lambda: created(urls[1], paths[1]), 1)
        yield row(f"create_all() of {number:,} tables, an index each", made, TABLES, "pysqlite")
        asked = in_turns(lambda: connected(urls[0]), lambda: connected(urls[1]), 9)
        yield row(f"first query of a connection, {number:,} tables", asked, None, "pysqlite")
    finally:
        for path in paths:
            remove(path)
