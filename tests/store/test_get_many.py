"""get_many(), rows(), history(), by_tag() and transactions of a Database."""

from __future__ import annotations

import random
import threading
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entitydb_dialect import Database
from entitydb_dialect import _exceptions as ex


@pytest.fixture
def filled(db: Database) -> Database:
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b TEXT DEFAULT 'x', c AS (a || b))")
    db.put_many("t", [{"id": i, "a": i * 10} for i in (-5, 1, 2, 3, 50)], tags=[["n"], ["n"], [], [], ["n"]])
    return db


def moment(db: Database) -> int:
    return db.connection.last_commit[1]


@pytest.mark.parametrize(
    "made",
    [list, tuple, iter, lambda ids: array("q", ids), np.array, lambda ids: np.array(ids, dtype="int32"),
     lambda ids: np.array([i for i in ids for _ in range(2)])[::2]],
)  # fmt: skip
def test_rows_come_in_the_order_asked_for(filled: Database, made: Any) -> None:
    ids = made([50, 1, 99, 1, -5])
    found = filled.get_many("t", ids)
    assert [None if row is None else row["id"] for row in found] == [50, 1, None, 1, -5]
    assert found[1] == {"id": 1, "a": 10, "b": "x", "c": "10x"}


def test_rows_are_dictionaries_or_tuples_of_the_columns_asked_for(filled: Database) -> None:
    assert filled.get_many("t", [1, 7], columns=["C", "id"]) == [{"c": "10x", "id": 1}, None]
    assert filled.get_many("t", [1, 7], columns=["c", "id"], tuples=True) == [("10x", 1), None]
    assert filled.get_many("t", []) == []
    assert filled.get("t", 2) == {"id": 2, "a": 20, "b": "x", "c": "20x"}
    assert filled.get("t", 77) is None
    with pytest.raises(ex.OperationalError, match="no column named z"):
        filled.get_many("t", [1], columns=["z"])


@pytest.mark.parametrize("ids", [["a"], [2**63], [1.5], [None], np.array([1.5])])
def test_what_is_no_id_is_refused(filled: Database, ids: Any) -> None:
    with pytest.raises(ex.ProgrammingError, match="no integers of 64 bits"):
        filled.get_many("t", ids)


def test_the_past_is_read_under_the_columns_of_now(filled: Database) -> None:
    before = moment(filled)
    filled.execute("ALTER TABLE t ADD COLUMN d DEFAULT 5")
    filled.put_many("t", [{"id": 1, "a": "new"}, {"id": 4, "a": 0}])
    assert filled.get("t", 1) == {"id": 1, "a": "new", "b": "x", "c": "newx", "d": 5}
    assert filled.get("t", 1, as_of=before) == {"id": 1, "a": 10, "b": "x", "c": "10x", "d": None}
    assert filled.get("t", 4, as_of=before) is None
    assert filled.by_tag("n", type="t", as_of=before) == [-5, 1, 50]
    filled.delete_many("t", [1])
    assert filled.by_tag("n", type="t") == [-5, 50]
    assert filled.by_tag("n", as_of=before) == {"t": [-5, 1, 50]}
    assert filled.tag_values("", as_of=before) == {"n": 3}
    filled.execute("CREATE TABLE late(id INTEGER PRIMARY KEY)")
    with pytest.raises(ex.OperationalError, match="not made yet"):
        filled.get_many("late", [1], as_of=before)


def test_all_rows_of_one_moment_are_iterated_in_batches(filled: Database) -> None:
    walk = filled.rows("t", batch=2)
    assert next(walk)[0] == -5
    filled.put_many("t", [{"id": 100, "a": 0}, {"id": 2, "a": "changed"}])
    filled.delete_many("t", [50])
    assert [(id_, row["a"]) for id_, row in walk] == [(1, 10), (2, 20), (3, 30), (50, 500)]
    assert [id_ for id_, _ in filled.rows("t", columns=["id"])] == [-5, 1, 2, 3, 100]
    filled.put_many("t", [{"id": 2**63 - 1}])
    assert [id_ for id_, _ in filled.rows("t", batch=1)][-1] == 2**63 - 1


def test_history_is_every_committed_version(filled: Database) -> None:
    times = [moment(filled)]
    for value in ("b", "c"):
        filled.put_many("t", [{"id": 1, "a": value}])
        times.append(moment(filled))
    filled.delete_many("t", [1])
    gone = moment(filled)
    filled.put_many("t", [{"id": 1, "a": "again"}])
    back = moment(filled)
    found = [(v.valid_from, v.valid_to, v.row["a"]) for v in filled.history("t", 1)]
    assert found == [(back, None, "again"), (times[2], gone, "c"), (times[1], times[2], "b"), (times[0], times[1], 10)]
    assert [v.row["a"] for v in filled.history("t", 1, limit=2)] == ["again", "c"]
    assert [v.row["a"] for v in filled.history("t", 1, as_of=times[1])] == ["b", 10]
    assert filled.history("t", 77) == []


def test_history_is_whole_after_many_splits(tmp_path: Path, rng: random.Random) -> None:
    with Database(tmp_path / "small.edb", page_size=512, synchronous="normal") as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)")
        versions: dict[int, list[tuple[int, int | None, str]]] = {}
        living: dict[int, tuple[int, str]] = {}
        for step in range(400):
            id_ = rng.randrange(1, 25)
            if id_ in living and rng.random() < 0.3:
                db.delete_many("t", [id_])
                begun, text = living.pop(id_)
                versions.setdefault(id_, []).insert(0, (begun, moment(db), text))
                continue
            text = f"{step} " + "x" * rng.randrange(60)
            db.put_many("t", [(id_, text)])
            if id_ in living:
                versions.setdefault(id_, []).insert(0, (living[id_][0], moment(db), living[id_][1]))
            living[id_] = moment(db), text
        for id_ in range(1, 25):
            expected = versions.get(id_, [])
            if id_ in living:
                expected = [(living[id_][0], None, living[id_][1]), *expected]
            assert [(v.valid_from, v.valid_to, v.row["a"]) for v in db.history("t", id_)] == expected


def test_a_transaction_is_one_commit_or_none(filled: Database) -> None:
    number = filled.connection.last_commit[0]
    with filled.transaction():
        filled.put_many("t", [{"id": 7}])
        filled.add_tags("t", [7], ["x"])
        assert filled.get("t", 7) is not None
        assert filled.by_tag("x", type="t") == [7]
        with pytest.raises(ex.ProgrammingError, match="open already"), filled.transaction():
            pass
    assert filled.connection.last_commit[0] == number + 1

    def fails() -> None:
        with filled.transaction():
            filled.put_many("t", [{"id": 8}], tags=["y"])
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert filled.get("t", 8) is None
    assert filled.by_tag("y") == {}


def test_two_databases_of_one_file_conflict_and_see_each_other(filled: Database, path: Path) -> None:
    with Database(path) as other:

        def both() -> None:
            with filled.transaction():
                filled.put_many("t", [{"id": 1, "a": 1}])
                other.put_many("t", [{"id": 1, "a": 2}])

        with pytest.raises(ex.SerializationFailure):
            both()
        assert filled.get("t", 1) == other.get("t", 1)
        with filled.transaction("SERIALIZABLE"):
            assert filled.get("t", 1, columns=["a"]) == {"a": 2}
            with pytest.raises(ex.ProgrammingError):
                filled.connection.isolation_level = "READ COMMITTED"


def test_threads_with_databases_of_their_own_read_and_write_at_once(filled: Database, path: Path) -> None:
    failed: list[BaseException] = []

    def work(first: int) -> None:
        try:
            with Database(path) as mine:
                for i in range(20):
                    ids = mine.put_many("t", [{"a": first} for _ in range(10)], tags=[f"thread:{first}"])
                    assert {row["a"] for row in mine.get_many("t", ids) if row} == {first}
                    assert len(mine.by_tag(f"thread:{first}", type="t")) == 10 * (i + 1)
        except BaseException as error:
            failed.append(error)

    filled.add_tags("t", [1], ["first"])
    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert filled.tag_values("thread") == {"1": 200, "2": 200, "3": 200}


def test_without_row_ids_in_sql_rows_have_them_here(db: Database) -> None:
    db.execute("CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID")
    ids = db.put_many("w", [{"k": "a", "v": 1}, {"k": "b", "v": 2}], tags=["t"])
    assert db.get_many("w", ids, tuples=True) == [("a", 1), ("b", 2)]
    assert db.by_tag("t", type="w") == ids
    assert [id_ for id_, _ in db.rows("w")] == ids
    assert db.delete_many("w", ids[:1]) == 1
    assert db.by_tag("t", type="w") == ids[1:]


def test_closing_twice_is_harmless_and_a_closed_one_says_so(path: Path) -> None:
    db = Database(path)
    db.close()
    db.close()
    with pytest.raises(ex.ProgrammingError, match="closed"):
        db.get_many("t", [1])
