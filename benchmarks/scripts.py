"""Dumps, long lists of literals and schemas of many tables, against SQLite; CPU time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from .measure import Row, Setting, benchmark, open_ours, raced, remove, show

GROUP = "scripts"
INSERTS = 5_000
ROWS = 20_000
DUMP, LITERALS, TABLES = 3.0, 3.0, 5.0  # the most that ours may take


def cpu_raced(
    name: str, ours: Callable[[], Any], other: Callable[[], Any], at_most: float | None, *, rounds: int, against: str
) -> Row:
    """What is timed changes something, so a sample is one run."""
    clock = time.process_time
    return raced(GROUP, name, ours, other, against, rounds=rounds, again=False, clock=clock, at_most=at_most)


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
                both = partial(work, ours), partial(work, theirs)
                yield cpu_raced(name, *both, bound, rounds=rounds, against="sqlite3 module")
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
        made = partial(created, urls[0], paths[0]), partial(created, urls[1], paths[1])
        name = f"create_all() of {number:,} tables, an index each"
        yield cpu_raced(name, *made, TABLES, rounds=1, against="pysqlite")
        asked = partial(connected, urls[0]), partial(connected, urls[1])
        yield cpu_raced(f"first query of a connection, {number:,} tables", *asked, None, rounds=9, against="pysqlite")
    finally:
        for path in paths:
            remove(path)
