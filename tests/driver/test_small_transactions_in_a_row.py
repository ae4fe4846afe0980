"""A connection uses the memory of its last transaction's writes again: nothing of them may be left in it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from entitydb_dialect import driver


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_transactions_see_their_own_writes_and_no_others(tmp_path: Path, rng: random.Random, isolation: str) -> None:
    """Small and large ones, committed and rolled back, whole or to a savepoint, with rows left to fetch."""
    held: list[tuple[driver.Cursor, list[tuple[int, int, str]]]] = []
    rows: dict[int, tuple[int, str]] = {}
    with driver.connect(str(tmp_path / "t.edb"), isolation_level=isolation, synchronous="normal") as connection:
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER UNIQUE, v TEXT)")
        connection.execute("CREATE INDEX tv ON t(v)")
        connection.commit()
        for number in range(150):
            now = dict(rows)
            connection.execute("BEGIN")
            for _ in range(rng.choice([1, 1, 2, 5, 300])):
                id_, v = rng.randrange(400), f"{number} {rng.randrange(9)}"
                if rng.random() < 0.3:
                    connection.execute("DELETE FROM t WHERE id = ?", (id_,))
                    now.pop(id_, None)
                else:
                    connection.execute("INSERT OR REPLACE INTO t VALUES (?, ?, ?)", (id_, 1000 * number + id_, v))
                    now[id_] = (1000 * number + id_, v)
            if rng.random() < 0.3:
                connection.execute("SAVEPOINT s")
                connection.execute("DELETE FROM t WHERE id % 2")
                connection.execute("ROLLBACK TO s")
            wanted = [(id_, *now[id_]) for id_ in sorted(now)]
            assert connection.execute("SELECT * FROM t ORDER BY id").fetchall() == wanted
            assert connection.execute("SELECT id FROM t WHERE v >= '' ORDER BY v, id").fetchall() == [
                (id_,) for id_ in sorted(now, key=lambda id_: (now[id_][1], id_))
            ]
            if rng.random() < 0.3 and len(wanted) > 3:
                cursor = connection.execute("SELECT * FROM t ORDER BY id")
                assert cursor.fetchone() == wanted[0]
                held.append((cursor, wanted[1:]))
            if rng.random() < 0.6:
                connection.commit()
                rows = now
            else:
                held.clear()  # ROLLBACK ends them
                connection.rollback()
            if len(held) > 3:
                cursor, left = held.pop(0)
                assert cursor.fetchall() == left
        assert connection.execute("SELECT * FROM t ORDER BY id").fetchall() == [(i, *rows[i]) for i in sorted(rows)]
        connection.commit()
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
