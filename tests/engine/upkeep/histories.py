"""Random histories of a small database, and what it held at each of their moments."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from entitydb_dialect import driver
from format.reader import COLD_PACKED, STRIP, File

PAGE_SIZES = [512, 1024, 8192]


def connect(path: Path, **options: Any) -> driver.Connection:
    return driver.connect(str(path), isolation_level=None, synchronous="normal", **options)


def contents(db: driver.Connection, as_of: int | None = None) -> list[list[Any]]:
    found = []
    for sql in ("SELECT * FROM t ORDER BY id", "SELECT id FROM t ORDER BY a, id", "SELECT * FROM big ORDER BY id"):
        cursor = db.cursor()
        cursor.as_of = as_of
        found.append(cursor.execute(sql).fetchall())
    return found


class History:
    """A database, and what it held at every moment."""

    def __init__(self, path: Path, rng: random.Random, page_size: int) -> None:
        self.path, self.rng = path, rng
        self.db = connect(path, page_size=page_size)
        self.db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB)")
        self.db.execute("CREATE INDEX ta ON t(a)")
        self.db.execute("CREATE TABLE big(id INTEGER PRIMARY KEY, b BLOB)")
        self.moments: list[tuple[int, list[list[Any]]]] = []

    def commit(self, size: int) -> None:
        rng, db = self.rng, self.db
        db.execute("BEGIN")
        for _ in range(size):
            key, what = rng.randrange(200), rng.random()
            if what < 0.7:
                row = (key, str(rng.randrange(99)), rng.randbytes(rng.choice((3, 40, 700, 3000))))
                db.execute("INSERT OR REPLACE INTO t VALUES (?, ?, ?)", row)
            elif what < 0.8:
                db.execute("DELETE FROM t WHERE id = ?", (key,))
            else:
                db.execute("UPDATE t SET a = a || 'x' WHERE id = ?", (key,))
        if rng.random() < 0.3:
            db.execute("INSERT OR REPLACE INTO big VALUES (?, ?)", (rng.randrange(4), rng.randbytes(30_000)))
        if rng.random() < 0.1:
            db.execute("DELETE FROM big WHERE id = ?", (rng.randrange(4),))
        db.execute("COMMIT")
        moment = db.last_commit[1]
        if moment and (rng.random() < 0.4 or not self.moments):
            self.moments.append((moment, contents(db, moment)))

    @contextmanager
    def held(self) -> Iterator[None]:
        """A reader keeps the pages of now, so that the file grows by what is replaced meanwhile."""
        reader = connect(self.path)
        cursor = reader.execute("SELECT * FROM t")
        cursor.fetchone()
        try:
            yield
        finally:
            cursor.close()
            reader.close()

    @contextmanager
    def beside(self, *works: Callable[[driver.Connection, random.Random], None]) -> Iterator[None]:
        """Threads that do this over and over meanwhile, each with a connection of its own; none may fail."""
        stop, failures = threading.Event(), list[BaseException]()

        def run(work: Callable[[driver.Connection, random.Random], None], seed: int) -> None:
            db, own = connect(self.path), random.Random(seed)
            try:
                while not stop.is_set():
                    work(db, own)
            except BaseException as error:
                failures.append(error)
            finally:
                db.close()

        threads = [threading.Thread(target=run, args=(work, self.rng.randrange(99))) for work in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert failures == []

    def read(self, db: driver.Connection, own: random.Random) -> None:
        moment, expected = own.choice(self.moments)
        assert contents(db, moment) == expected

    def write(self, db: driver.Connection, own: random.Random) -> None:
        db.execute("INSERT OR REPLACE INTO t VALUES (?, 'w', ?)", (5000 + own.randrange(50), own.randbytes(30)))

    def grow(self, commits: int) -> None:
        with self.held():
            for _ in range(commits):
                self.commit(self.rng.choice((1, 5, 30)))

    def leave_free(self) -> None:
        """A file of which a good part is free, and which goes on behind that."""
        rows = [(i, self.rng.randbytes(20)) for i in range(1000, 2500)]
        self.db.executemany("INSERT OR REPLACE INTO t VALUES (?, 'y', ?)", rows)
        with self.held():
            for n in range(30):
                self.db.execute("UPDATE t SET b = ? WHERE id >= 1000 AND id % 30 = ?", (self.rng.randbytes(9), n))
                self.commit(4)

    def prune(self) -> None:
        """Lets the older part of the moments go."""
        numbers = [self.db.database.resolve(moment)[0] for moment, _ in self.moments]
        reached = self.db.database.prune(self.rng.choice(numbers))["horizon"]
        self.moments = [m for number, m in zip(numbers, self.moments, strict=True) if number >= reached]

    def judge(self) -> None:
        now = contents(self.db)
        for moment, expected in self.moments:
            assert contents(self.db, moment) == expected
        assert self.db.database.check()[0] == []
        assert self.db.database.verify().breaks == ()
        self.db.close()
        self.db = connect(self.path)
        assert contents(self.db) == now
        for moment, expected in self.moments:
            assert contents(self.db, moment) == expected


def packed_bytes(file: File) -> Iterator[bytes]:
    """All keys and values in strips, after every pack was unpacked. Nothing else looks like a page of a strip."""
    used = {ref.page for strip in file.strips.values() for ref in strip.pages}
    for page in range(file.first_page, len(file.data) // file.page_size):
        assert page in used or file.raw(page)[4] != STRIP, f"page {page} is free, and has packs"
    for id_, cold in file.cold.items():
        for entry in file.packed(id_).entries if cold.kind == COLD_PACKED else ():
            yield entry.key
            if isinstance(entry.value, bytes):
                yield entry.value


def is_short(db: driver.Connection) -> bool:
    stats = db.database.stats()
    return stats["pages"] <= 1.05 * (stats["pages"] - stats["free_pages"]) + 40
