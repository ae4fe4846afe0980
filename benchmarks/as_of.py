"""Reading the past against reading now: a table of 100 versions a row, and an index lookup of values gone by now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from entitydb_dialect._native import lib

from entitydb_dialect import driver

from .measure import Row, Setting, benchmark, chunks, open_ours, race, remove, show

GROUP = "as of"
VERSIONS = 100


def build(setting: Setting, connection: driver.Connection, rows: int) -> dict[str, int]:
    """Every row updated VERSIONS times, a tenth of the rows a commit. -> moments by name."""
    rng = setting.random("as_of")
    connection.execute(
        "CREATE TABLE item(id INTEGER PRIMARY KEY, n INTEGER, score REAL, name TEXT, note TEXT, tag INTEGER)")
    connection.execute("CREATE INDEX item_tag ON item(tag)")
    connection.execute("BEGIN")
    connection.executemany(
        "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?)",
        [(i, 0, rng.random(), f"name {i}", "x" * 40, rng.randrange(rows)) for i in range(1, rows + 1)])
    connection.execute("COMMIT")
    moments = {}
    for version in range(1, VERSIONS + 1):
        order = list(range(1, rows + 1))
        rng.shuffle(order)
        for part in chunks(order, rows // 10):
            connection.execute("BEGIN")
            connection.executemany(
                "UPDATE item SET n = ?, score = ?, note = ? WHERE id = ?",
                [(version, rng.random(), f"{version} {'y' * 36}", i) for i in part])
            connection.execute("COMMIT")
        for name, place in (("early", 10), ("middle", 50), ("late", 90)):
            if version == place:
                moments[name] = connection.last_commit[1]
    return moments


def ask(connection: driver.Connection, sql: str, moment: int | None, parameters: Any = ()) -> list[Any]:
    cursor = connection.cursor()
    cursor.as_of = moment
    return cursor.execute(sql, parameters).fetchall()


@benchmark
def as_of(setting: Setting) -> Iterator[Row]:
    """Scans, key and index reads of a past moment."""
    rows = setting.size(20_000, 5_000)
    path = setting.folder / "as_of.edb"
    connection = open_ours(path, synchronous="normal")
    try:
        show(f"as of: {rows:,} rows x {VERSIONS} versions")
        moments = build(setting, connection, rows)
        rng = setting.random("as_of keys")
        keys = [(rng.randrange(1, rows + 1),) for _ in range(2_000)]
        questions = {
            "scan, sum of a column": lambda m: ask(connection, "SELECT count(*), sum(length(name)) FROM item", m),
            "scan, three columns fetched": lambda m: len(ask(connection, "SELECT id, name, note FROM item", m)),
            "read by key": lambda m: sum(
                len(ask(connection, "SELECT id, name, note FROM item WHERE id = ?", m, key)) for key in keys),
            "index lookup": lambda m: sum(
                len(ask(connection, "SELECT id, name FROM item WHERE tag = ?", m, key)) for key in keys),
        }
        for name, question in questions.items():
            taken = race({"now": lambda q=question: q(None),
                          **{when: lambda q=question, m=moment: q(m) for when, moment in moments.items()}})
            for when in moments:
                yield Row(GROUP, f"{name}, {when}", min(taken[when]), min(taken["now"]), "s", "now", at_most=1.25,
                          samples={when: taken[when], "now": taken["now"]})
    finally:
        connection.close()
        remove(path)


@benchmark
def gone_value(setting: Setting) -> Iterator[Row]:
    """Pages touched by an index lookup, as of then, of a value that no row has now."""
    rows = setting.size(2_000, 300)
    path = setting.folder / "gone.edb"
    connection = open_ours(path, synchronous="normal")
    rng = setting.random("gone_value")

    def values() -> list[tuple[int, int]]:
        return [(rng.randrange(2**40), i) for i in range(1, rows + 1)]

    def pages(moment: int | None, wanted: list[int]) -> float:
        lib.edb_pages_touched()
        for value in wanted:
            if len(ask(connection, "SELECT id, name FROM thing WHERE value = ?", moment, (value,))) != 1:
                raise AssertionError(f"value {value} was not found as of {moment}")
        return lib.edb_pages_touched() / len(wanted)

    try:
        show(f"gone value: {rows:,} rows x up to 1,000 versions")
        connection.execute("CREATE TABLE thing(id INTEGER PRIMARY KEY, value INTEGER, name TEXT)")
        connection.execute("CREATE INDEX thing_value ON thing(value)")
        newest = values()
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO thing(value, id, name) VALUES (?, ?, 'a name of some length')", newest)
        connection.execute("COMMIT")
        first, first_moment = [value for value, _ in newest], connection.last_commit[1]
        for version in range(1, 1_001):
            before, before_moment = newest, connection.last_commit[1]
            newest = values()
            connection.execute("BEGIN")
            connection.executemany("UPDATE thing SET value = ? WHERE id = ?", newest)
            connection.execute("COMMIT")
            if version in (1, 100, 1_000):
                sample = rng.sample(range(rows), 200)
                now = pages(None, [newest[i][0] for i in sample])
                for when, moment, then in (("the first version", first_moment, first),
                                           ("the last but one", before_moment, [value for value, _ in before])):
                    yield Row(GROUP, f"index lookup of a value gone by now, {when}, {version:,} versions a row",
                              pages(moment, [then[i] for i in sample]), now, "pages", "now", at_most=1.25)
    finally:
        connection.close()
        remove(path)
