"""A process whose sqlite3 module is DoltLite: makes a file from what it is told on its standard input.

Each line is a JSON list: a statement and the list of its rows, or "commit" and nothing. DoltLite takes the place of
SQLite in a whole process, so it must have one of its own. Nothing else of the benchmarks is imported here, for the same
reason.
"""

from __future__ import annotations

import json
import sys

import doltlite  # noqa: F401 - before sqlite3: it takes its place


def main(path: str) -> None:
    import sqlite3

    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN")
    for line in sys.stdin:
        statement, rows = json.loads(line)
        if statement == "commit":
            db.execute("COMMIT")
            db.execute("SELECT dolt_commit('-A', '-m', 'c')").fetchall()
            db.execute("BEGIN")
        elif rows:
            db.executemany(statement, rows)
        else:
            db.execute(statement)
    db.execute("COMMIT")
    db.close()


if __name__ == "__main__":
    main(sys.argv[1])
