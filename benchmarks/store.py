"""Entities and tags at full size: Database, SQL by tag, and the room that tags take.

Beside SQLite with an indexed table of tags, the same with a history kept by triggers, and figures of the Go server that
this project descends from. Those are rates, so what stands on the other side of such a row is the time its rate gives.
"""

from __future__ import annotations

import os
import threading
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw

from entitydb_dialect import Database

from .measure import Row, Setting, benchmark, chunks, file_bytes, open_sqlite, race, raced, remove, show, timed

GROUP = "entities"
BATCH = 10_000
TABLE = "CREATE TABLE entity(id INTEGER PRIMARY KEY, name TEXT NOT NULL, n INTEGER NOT NULL)"
TAG_TABLE = """
CREATE TABLE tag(entity INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (entity, tag)) WITHOUT ROWID;
CREATE INDEX tag_entities ON tag(tag, entity);
"""
TAG_HISTORY = """
CREATE TABLE tag_history(entity INTEGER NOT NULL, tag TEXT NOT NULL, valid_from INTEGER NOT NULL, valid_to INTEGER);
CREATE INDEX tag_then ON tag_history(tag, valid_from, valid_to, entity);
CREATE INDEX tag_open ON tag_history(entity, tag, valid_to);
CREATE TABLE clock(now INTEGER);
INSERT INTO clock VALUES (1);
CREATE TRIGGER tag_given AFTER INSERT ON tag BEGIN
    INSERT INTO tag_history VALUES (new.entity, new.tag, (SELECT now FROM clock), NULL);
END;
CREATE TRIGGER tag_taken AFTER DELETE ON tag BEGIN
    UPDATE tag_history SET valid_to = (SELECT now FROM clock)
    WHERE entity = old.entity AND tag = old.tag AND valid_to IS NULL;
END;
"""


def rate(name: str, n: int, seconds: float, per_second: int, what: str, bound: float | None = 1.0) -> Row:
    """A row against a rate."""
    note = f"{n / seconds:,.0f} a second"
    return Row(GROUP, name, seconds, n / per_second, "s", f"{what}{per_second:,} a second", at_most=bound, note=note)


def best(work: Callable[[], Any], rounds: int = 5) -> float:
    return min(timed(work)[0] for _ in range(rounds))


def entities_of(first: int, end: int) -> list[tuple[str, int]]:
    return [(f"entity number {i}", i % 1000) for i in range(first, end)]


def rows_of(n: int) -> list[tuple[str, int]]:
    return entities_of(0, n)


@benchmark
def store(setting: Setting) -> Iterator[Row]:
    n = setting.size(500_000, 20_000)
    show(f"entities: {n:,} put and read without SQL")
    yield from putting(setting, n)
    yield from getting(setting, n)
    yield from absent(setting, n)
    n = setting.size(1_000_000, 20_000)
    show(f"entities: {n:,} with 10 tags each out of 5,000, in four databases")
    yield from many_tags(setting, n)
    yield from many_versions(setting)


# ---- Database ----


def putting(setting: Setting, n: int) -> Iterator[Row]:
    batches = list(chunks(rows_of(n), BATCH))
    tags = ["status:live", "kind:article"]
    taken: dict[str, list[float]] = {"ours": [], "other": []}

    def ours(path: Path) -> float:
        with Database(path) as db:
            db.execute(TABLE)
            return timed(lambda: [db.put_many("entity", b, tags=tags, columns=["name", "n"]) for b in batches])[0]

    def other(path: Path) -> float:
        db = open_sqlite(path, setting, "FULL")
        db.execute(f"{TABLE}; {TAG_TABLE}")

        def put(first: int, batch: list[tuple[str, int]]) -> None:
            with db:
                numbered = [(first + i, *row) for i, row in enumerate(batch)]
                db.executemany("INSERT INTO entity VALUES (?, ?, ?)", numbered)
                db.executemany("INSERT INTO tag VALUES (?, ?)", [(row[0], tag) for row in numbered for tag in tags])

        seconds = timed(lambda: [put(1 + i * BATCH, b) for i, b in enumerate(batches)])[0]
        db.close()
        return seconds

    for _ in range(3):
        for side, work in (("ours", ours), ("other", other)):
            path = setting.folder / f"put.{side}"
            remove(path)
            taken[side].append(work(path))
            remove(path)
    seconds = min(taken["ours"])
    yield rate(f"put_many() of {n:,} with two tags each, batches of {BATCH:,}", n, seconds, 500_000, "the aim, ")
    yield rate("the same, the ancestor", n, seconds, 100_000, "its figure, ")
    yield Row(GROUP, "the same, beside SQLite with an indexed tag table", seconds, min(taken["other"]), "s", "SQLite",
              samples=taken, at_most=1.0)


def getting(setting: Setting, n: int) -> Iterator[Row]:
    path = setting.folder / "get"
    remove(path)
    with Database(path) as db:
        db.execute(TABLE)
        for batch in chunks(rows_of(n), BATCH):
            db.put_many("entity", batch, tags=["status:live"], columns=["name", "n"])
        moment = db.connection.last_commit[1]
        db.execute("UPDATE entity SET n = n + 1 WHERE id % 3 = 0")
        ids = [array("q", part) for part in chunks(list(range(1, n + 1)), BATCH)]

        def get(database: Database, **how: Any) -> None:
            for part in ids:
                database.get_many("entity", part, as_of=moment, **how)

        one = best(lambda: get(db, tuples=True))
        yield rate(f"get_many() of {n:,} as of a moment, tuples", n, one, 2_500_000, "the aim, ")
        yield rate("the same, dictionaries", n, best(lambda: get(db)), 2_500_000, "the aim of tuples, ", None)

        def two() -> None:
            with Database(path) as left, Database(path) as right:
                threads = [threading.Thread(target=lambda d=d: get(d, tuples=True)) for d in (left, right)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

        seconds = best(two)
        yield rate("get_many() of as many as of a moment, tuples, on each of two threads", 2 * n, seconds, 4_500_000,
                   "1.8 times the aim of one thread, ")
        yield Row(GROUP, "the same, for each row, beside one thread", seconds / (2 * n), one / n, "s", "one thread",
                  note=f"{2 * one / seconds:.2f} times the rate; docs/limits.md, Threads, says what bounds it")

        cursor = db.connection.cursor()
        cursor.as_of = moment
        keys = setting.random("keys").sample(range(1, n + 1), 2000)
        seconds = best(lambda: [cursor.execute("SELECT * FROM entity WHERE id = ?", (k,)).fetchall() for k in keys])
        yield rate("SQL, one row by key as of a moment", len(keys), seconds, 200_000, "the aim, ")
        yield rate("the same, the ancestor", len(keys), seconds, 3_333, "its figure, ")
    remove(path)


# ---- what is not there ----


def absent(setting: Setting, n: int) -> Iterator[Row]:
    """Filters of keys: two databases alike, one with filters where they pay, as always, and one without."""
    rng, distinct = setting.random("absent"), setting.size(200_000, 5_000)
    paths = [setting.folder / name for name in ("filters.auto", "filters.off", "filters.on")]
    for path in paths:
        remove(path)
        with Database(path, synchronous="normal") as db:
            db.execute(TABLE)
            for first in range(0, n, BATCH):
                db.put_many("entity", [(2 * i, *row) for i, row in enumerate(entities_of(first, first + BATCH), first)])
            for first in range(0, distinct, BATCH):
                ids = range(2 * first, 2 * min(first + BATCH, distinct), 2)
                db.put_many("entity", [(i,) for i in ids], columns=["id"], tags=[[f"account:{i}"] for i in ids])
    there = [array("q", (2 * rng.randrange(n) for _ in range(BATCH))) for _ in range(5)]
    gone = [array("q", (i + 1 for i in part)) for part in there]
    tags = [f"account:{2 * rng.randrange(distinct) + 1}" for _ in range(BATCH)]
    few = [2 * rng.randrange(n) for _ in range(4_000)]
    with Database(paths[0]) as auto, Database(paths[1]) as off, Database(paths[2]) as on:
        for db, mode in ((auto, "auto"), (off, "off"), (on, "on")):
            db.execute("SELECT entitydb_bloom(?)", (mode,))

        def get(db: Database, parts: list[array[int]]) -> None:
            for part in parts:
                db.get_many("entity", part, tuples=True)

        def beside(name: str, work: Callable[[Database], Any], at_most: float | None, with_: Database = auto) -> Row:
            return raced(GROUP, name, lambda: work(with_), lambda: work(off), "without filters", again=False,
                         at_most=at_most)

        yield beside(f"get_many() of {BATCH:,} ids of {n:,}, all there", lambda db: get(db, there), 1.05)
        yield beside("get() of a row that is there", lambda db: [db.get("entity", i) for i in few], 1.05)
        yield beside("the same ids, with a filter all the same", lambda db: get(db, there), None, on)
        for _ in range(20):
            get(auto, gone)
            auto.by_tags(tags, type="entity")
        yield beside(f"get_many() of {BATCH:,} ids, none there", lambda db: get(db, gone), 0.25)
        yield beside(f"by_tags() of {BATCH:,} tags, none of the {distinct:,} there",
                     lambda db: db.by_tags(tags, type="entity"), 0.25)
        stats = auto.connection.database.stats()
        yield Row(GROUP, "share of absent keys that a filter lets pass", stats["filter_wrong"] / stats["filter_asked"],
                  0.01, "", "as configured", at_most=1.1)
        yield Row(GROUP, "bytes of these filters", stats["filter_bytes"], (n + distinct) * 1.25, "bytes",
                  "10 bits a key", at_most=1.1)
        begun = [(2 * i + 1, *row) for i, row in enumerate(entities_of(0, BATCH))]

        def put(db: Database) -> None:
            db.execute("BEGIN")
            db.put_many("entity", begun, columns=["id", "name", "n"])
            db.execute("ROLLBACK")

        yield beside(f"put_many() of {BATCH:,} new rows with ids", put, 1.05)
    for path in paths:
        remove(path)


# ---- many tags ----


def named_tags(count: int) -> list[str]:
    return [f"{('status', 'owner', 'rbac:perm:entity', 'location')[i % 4]}:value number {i}" for i in range(count)]


def many_tags(setting: Setting, n: int) -> Iterator[Row]:
    rng = setting.random("tags")
    texts = named_tags(5000)
    # Tag 0 is on a tenth of the entities, tag 1 on a thousandth; the others are even.
    of_entity = [rng.sample(range(2, len(texts)), 10) for _ in range(n)]
    for entity in range(0, n, 10):
        of_entity[entity][0] = 0
    for entity in range(0, n, 1000):
        of_entity[entity][1] = 1
    ours, plain, sqlite = (setting.folder / name for name in ("tags", "tags.plain", "tags.sqlite"))
    for path in (ours, plain, sqlite):
        remove(path)

    with Database(ours) as db:
        db.execute(TABLE)
        for first in range(0, n, BATCH):
            db.put_many("entity", entities_of(first, min(first + BATCH, n)), columns=["name", "n"])
        bare = used(db)
        for first in range(0, n, BATCH):
            part = of_entity[first : first + BATCH]
            db.put_many("entity", [(first + 1 + i,) for i in range(len(part))], columns=["id"],
                        tags=[[texts[t] for t in tags] for tags in part])
        with_tags = used(db) - bare
        db.tag_values("status")
        in_memory = db.connection.database.stats()["intern_bytes"]
        yield Row(GROUP, f"bytes of {10 * n:,} tags out of 5,000 in the file, interned", with_tags,
                  without_interning(setting, plain, n, of_entity, texts), "bytes",
                  "the engine's own tables of texts, with the same two orders", at_most=0.3)
        repeated = sum(len(texts[t]) for tags in of_entity for t in tags)
        yield Row(GROUP, "bytes of the tags' texts in memory, interned", in_memory, repeated, "bytes",
                  "each text where it is used", at_most=0.3)

        other = open_sqlite(sqlite, setting, "NORMAL")
        other.execute(f"{TABLE}; {TAG_TABLE}")
        with other:
            other.executemany("INSERT INTO entity VALUES (?, ?, ?)", ((i + 1, *r) for i, r in enumerate(rows_of(n))))
            other.executemany("INSERT INTO tag VALUES (?, ?)",
                              ((i + 1, texts[t]) for i, tags in enumerate(of_entity) for t in tags))
        other.execute("ANALYZE")
        yield from asking(db, other, texts, with_tags, file_bytes(sqlite))
        other.close()
    for path in (ours, plain, sqlite):
        remove(path)


def used(db: Database) -> int:
    """Bytes of pages in use."""
    stats = db.connection.database.stats()
    return (stats["pages"] - stats["free_pages"]) * stats["page_size"]


def without_interning(setting: Setting, path: Path, n: int, of_entity: list[list[int]], texts: list[str]) -> int:
    """The same taggings as rows of (entity, tag) with a key and an index over both orders."""
    with Database(path) as db:
        db.execute("CREATE TABLE tag(entity INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (entity, tag))")
        db.execute("CREATE INDEX tag_entities ON tag(tag, entity)")
        before = used(db)
        for first in range(0, n, BATCH):
            part = of_entity[first : first + BATCH]
            db.put_many("tag", [(first + 1 + i, texts[t]) for i, tags in enumerate(part) for t in tags],
                        columns=["entity", "tag"])
        return used(db) - before


def asking(db: Database, other: apsw.Connection, texts: list[str], ours_bytes: int, other_bytes: int) -> Iterator[Row]:
    cursor, rare, often, even = db.connection.cursor(), texts[1], texts[0], texts[100]
    ours_sql = "SELECT entity FROM entitydb_tagged('entity', ?)"
    ours_rows = "SELECT e.* FROM entity AS e WHERE e.id IN (SELECT entity FROM entitydb_tagged('entity', ?))"
    their_rows = "SELECT e.* FROM entity AS e WHERE e.id IN (SELECT entity FROM tag WHERE tag = ?)"
    theirs = "SELECT entity FROM tag WHERE tag = ? ORDER BY entity"
    both = "SELECT a.entity FROM tag AS a JOIN tag AS b ON b.entity = a.entity AND b.tag = ? WHERE a.tag = ? ORDER BY 1"

    def ask(sql: str, *parameters: Any) -> list[Any]:
        return cursor.execute(sql, parameters).fetchall()

    def they(sql: str, *parameters: Any) -> list[Any]:
        return other.execute(sql, parameters).fetchall()

    quoted = [f'"{text}"' for text in (rare, often, even)]
    yield raced(GROUP, "SQL, ids of the entities of a tag", lambda: ask(ours_sql, quoted[2]),
                lambda: they(theirs, even), "SQLite", at_most=1.5)
    yield raced(GROUP, "SQL, rows of the entities of a tag", lambda: sorted(ask(ours_rows, quoted[2])),
                lambda: sorted(they(their_rows, even)), "SQLite", at_most=1.5)
    found = race({"both": lambda: db.by_tag(f"{quoted[0]} & {quoted[1]}", type="entity"),
                  "rare": lambda: db.by_tag(quoted[0], type="entity")}, alike=False)
    yield Row(GROUP, f"entities with a tag of {len(ask(ours_sql, quoted[0])):,} and one of "
              f"{len(ask(ours_sql, quoted[1])):,}", min(found["both"]), min(found["rare"]), "s",
              "those with the rarer tag alone", samples=found, at_most=2.0)
    yield raced(GROUP, "the same in SQL", lambda: ask(ours_sql, f"{quoted[0]} & {quoted[1]}"),
                lambda: they(both, often, rare), "SQLite", at_most=1.5)
    single = best(lambda: [ask(ours_sql, quoted[0]) for _ in range(100)])
    count = len(ask(ours_sql, quoted[0]))
    yield Row(GROUP, "the same tag, beside the ancestor's 100 us", single / 100, 100e-6 + count * 1e-6, "s",
              "100 us and 1 us an entity", at_most=1.0)
    yield Row(GROUP, "bytes of the tags in the file", ours_bytes, other_bytes, "bytes",
              "SQLite's whole file, rows and tag table")


# ---- many versions ----


def many_versions(setting: Setting) -> Iterator[Row]:
    """Tags given and taken a hundred times: what a question of the past costs."""
    n, versions = setting.size(20_000, 1_000), setting.size(100, 10)
    ours, history = setting.folder / "versions", setting.folder / "versions.sqlite"
    for path in (ours, history):
        remove(path)
    rng = setting.random("versions")
    with Database(ours, synchronous="normal") as db:
        other = open_sqlite(history, setting, "NORMAL")
        other.execute(f"{TABLE}; {TAG_TABLE}; {TAG_HISTORY}")
        db.execute(TABLE)
        ids = db.put_many("entity", rows_of(n), columns=["name", "n"])
        on: set[int] = set()
        moments: list[tuple[int, int]] = []
        for version in range(versions):
            turned = rng.sample(ids, n // 10)
            given, taken = [i for i in turned if i not in on], [i for i in turned if i in on]
            with db.transaction():
                db.add_tags("entity", given, ["flag:on"])
                db.remove_tags("entity", taken, ["flag:on"])
            with other:
                other.execute("UPDATE clock SET now = ?", (version + 1,))
                other.executemany("INSERT INTO tag VALUES (?, 'flag:on')", [(i,) for i in given])
                other.executemany("DELETE FROM tag WHERE entity = ? AND tag = 'flag:on'", [(i,) for i in taken])
            on ^= set(turned)
            moments.append((db.connection.last_commit[1], version + 1))
        past, number = moments[versions // 2]
        now = len(db.by_tag("flag:on", type="entity"))
        then = len(db.by_tag("flag:on", type="entity", as_of=past))
        times = race({"now": lambda: db.by_tag("flag:on", type="entity"),
                      "then": lambda: db.by_tag("flag:on", type="entity", as_of=past)}, again=False)
        yield Row(GROUP, f"entities of a tag as of a moment, {versions} versions", min(times["then"]) / max(then, 1),
                  min(times["now"]) / max(now, 1), "s", "now, for each entity", samples=times, at_most=1.1)
        sql = "SELECT entity FROM tag_history WHERE tag = 'flag:on' AND valid_from <= ?1 AND " \
              "(valid_to > ?1 OR valid_to IS NULL) ORDER BY entity"
        yield raced(GROUP, "the same", lambda: db.by_tag("flag:on", type="entity", as_of=past),
                    lambda: [e for (e,) in other.execute(sql, (number,))], "SQLite, history by triggers", at_most=1.0)
        other.close()
        yield Row(GROUP, "bytes of that history", os.path.getsize(ours), file_bytes(history), "bytes",
                  "SQLite, history by triggers")
    for path in (ours, history):
        remove(path)
