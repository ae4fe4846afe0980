"""What history takes of a file when one column changes, with and without a history of that column.

    python benchmarks/unversioned.py [rows] [updates of each row]

A tenth of the rows is updated in each commit, one an hour: when the row's visitor was seen last, in nanoseconds, in a
row of six columns. Then history is packed, and the file made as short as it can be. Bytes an update are those of the
file beyond what it took when the rows had been inserted.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text

from entitydb_dialect import compact, pack, verify

TABLE = (
    "CREATE TABLE visitor(id INTEGER PRIMARY KEY, name TEXT, mail TEXT, born TEXT, level INTEGER, seen INTEGER{clause})"
)
ROW = "(:i, 'visitor ' || :i, 'v' || :i || '@example.org', '1990-01-01', 1, 0)"

START, HOUR = 1_767_225_600 * 10**9, 3600 * 10**9  # nanoseconds


def size_of(engine: Engine, path: Path) -> int:
    while pack(engine).windows:
        pass
    compact(engine)
    return path.stat().st_size


def measure(rows: int, updates: int, clause: str) -> dict[str, Any]:
    source = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.edb"
        engine = create_engine(f"entitydb:///{path}?packing=off")
        with engine.begin() as connection:
            connection.execute(text(TABLE.format(clause=clause)))
            connection.execute(text(f"INSERT INTO visitor VALUES {ROW}"), [{"i": i} for i in range(rows)])
        empty = size_of(engine, path)
        begun = time.perf_counter()
        for hour in range(10 * updates):
            now = START + hour * HOUR
            chosen = source.sample(range(rows), rows // 10)
            with engine.begin() as connection:
                connection.execute(
                    text("UPDATE visitor SET seen = :seen WHERE id = :i"),
                    [{"seen": now + source.randrange(HOUR), "i": i} for i in chosen],
                )
        written = time.perf_counter() - begun
        before = path.stat().st_size
        after = size_of(engine, path)
        begun = time.perf_counter()
        with engine.connect() as connection:
            for _ in range(20):
                connection.execute(text("SELECT max(seen), count(name) FROM visitor")).all()
        read = (time.perf_counter() - begun) / 20
        proved = verify(engine).ok
        engine.dispose()
    return {
        "bytes an update, unpacked": (before - empty) / (rows * updates),
        "bytes an update, packed": (after - empty) / (rows * updates),
        "us an update": written / (rows * updates) * 1e6,
        "us a scan of now": read * 1e6,
        "proved": proved,
    }


def main() -> None:
    rows, updates = (int(argument) for argument in (*sys.argv[1:], "1000", "100")[:2])
    plain, without = measure(rows, updates, ""), measure(rows, updates, " UNVERSIONED")
    print(f"{'':28} {'plain':>12} {'unversioned':>12}")
    for name, value in plain.items():
        print(f"{name:28} {value:>12.1f} {without[name]:>12.1f}")
    assert plain["proved"]
    assert without["proved"]


if __name__ == "__main__":
    main()
