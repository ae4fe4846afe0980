"""put_many() and delete_many(): what SQL would have done of the same rows, and what it would have said."""

from __future__ import annotations

import random
from array import array
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import Database
from entitydb_dialect import _exceptions as ex

TABLES = {
    "plain": ("id INTEGER PRIMARY KEY, a TEXT, b INTEGER, c REAL, d NUMERIC, e BLOB, f", "id"),
    "defaults": ("id INTEGER PRIMARY KEY, a TEXT DEFAULT 'x', b INTEGER NOT NULL DEFAULT 7, c DEFAULT (1 + 2)", "id"),
    "checked": ("id INTEGER PRIMARY KEY, a TEXT NOT NULL, b INTEGER CHECK (b < 5), c UNIQUE, UNIQUE (a, b)", "id"),
    "generated": ("id INTEGER PRIMARY KEY, a TEXT, b AS (upper(a)), c AS (a || id) STORED UNIQUE", "id"),
    "text_key": ("a TEXT PRIMARY KEY, b INTEGER, c", "a"),
    "two_keys": ("a, b COLLATE NOCASE, c, PRIMARY KEY (a, b)", "a, b"),
    "no_rowid": ("a TEXT PRIMARY KEY, b INTEGER, c", "a"),
    "strict": ("id INTEGER PRIMARY KEY, a TEXT, b INT, c ANY", "id"),
    "no_key": ("a, b INTEGER", ""),
    "tagged": ("id INTEGER PRIMARY KEY, a TEXT TAG 'a', b INTEGER TAG 'b'", "id"),
    "child": ("id INTEGER PRIMARY KEY, b UNIQUE,"
              " a REFERENCES parent(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED", "id"),
}
OPTIONS = {"no_rowid": "WITHOUT ROWID", "strict": "STRICT"}
VALUES = [None, 0, 1, 3, 5, -1, 2**40, 2**63 - 1, 1.0, 2.5, "", "a", "A", "b", "3", "7.5", "ä", b"", b"a", True]


def make(db: Database, name: str) -> list[str]:
    db.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
    db.execute("INSERT INTO parent VALUES (0), (1), (3), (5)")
    db.execute(f"CREATE TABLE {name}({TABLES[name][0]}){OPTIONS.get(name, '')}")
    info = db.execute(f"PRAGMA table_xinfo({name})")
    return [row[1] for row in info if row[6] == 0]


def by_sql(db: Database, name: str, columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    """The same as statements of SQL, all of them or none."""
    key = [c for c in TABLES[name][1].split(", ") if c]
    insert = f"INSERT INTO {name}({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    where = " AND ".join(f"{c} = ?" for c in key)
    with db.transaction():
        for row in rows:
            given = dict(zip(columns, row, strict=True))
            known = key and set(key) <= set(columns) and [given[c] for c in key]
            if not known or not db.execute(f"SELECT 1 FROM {name} WHERE {where}", known):
                db.execute(insert, row)
            else:
                sets = ", ".join(f"{c} = ?" for c in columns)
                db.execute(f"UPDATE {name} SET {sets} WHERE {where}", [*row, *known])


def state(db: Database, name: str) -> Any:
    rows = db.execute(f"SELECT * FROM {name}")
    return sorted(rows, key=repr), sorted(db.execute("SELECT entity, tag FROM entitydb_tags"))


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_rows_are_put_as_sql_puts_them(db: Database, name: str, tmp_path: Path, rng: random.Random) -> None:
    with Database(tmp_path / "other.edb") as other:
        columns = make(db, name)
        make(other, name)
        failed = 0
        for _ in range(60):
            chosen = rng.sample(columns, rng.randrange(1, len(columns) + 1))
            if "id" in columns and "id" not in chosen:
                chosen.append("id")  # ids that are given out may differ
            good_ids = rng.random() < 0.95
            rows = [
                tuple(rng.randrange(1, 12) if c == "id" and good_ids else rng.choice(VALUES[1:]) for c in chosen)
                for _ in range(rng.choice([1, 1, 2, 5]))
            ]
            errors: list[str | None] = [None, None]
            try:
                ids = db.put_many(name, rows, columns=chosen)
                assert len(ids) == len(rows)
            except ex.Error as error:
                errors[0] = type(error).__name__
            try:
                by_sql(other, name, chosen, rows)
            except ex.Error as error:
                errors[1] = type(error).__name__
            assert errors[0] == errors[1], (chosen, rows)
            failed += errors[0] is not None
            assert state(db, name) == state(other, name), (chosen, rows)
        assert failed < 60


def test_ids_are_those_of_the_rows_in_their_order(db: Database) -> None:
    make(db, "text_key")
    first = db.put_many("text_key", [{"a": "x"}, {"a": "y"}, {"a": "z"}])
    again = db.put_many("text_key", [{"a": "z", "b": 1}, {"a": "new", "b": 2}, {"a": "x", "b": 3}])
    assert again == [first[2], max(first) + 1, first[0]]
    rows = db.execute("SELECT rowid, a, b FROM text_key ORDER BY a")
    assert rows == [(again[1], "new", 2), (first[0], "x", 3), (first[1], "y", None), (first[2], "z", 1)]


@pytest.mark.parametrize(
    "rows",
    [
        [{"id": 1, "a": "x"}, {"a": "y", "id": 2}],
        [OrderedDict(id=1, a="x"), OrderedDict(id=2, a="y")],
        iter([{"id": 1, "a": "x"}, {"id": 2, "a": "y"}]),
    ],
)
def test_rows_may_be_mappings(db: Database, rows: Any) -> None:
    make(db, "plain")
    assert db.put_many("plain", rows) == [1, 2]
    assert db.execute("SELECT id, a FROM plain") == [(1, "x"), (2, "y")]


@pytest.mark.parametrize(
    "rows", [[(1, "x"), (2, "y")], [[1, "x"], [2, "y"]], ((1, "x"), (2, "y")), zip((1, 2), "xy", strict=True)]
)
def test_rows_may_be_sequences(db: Database, rows: Any) -> None:
    make(db, "plain")
    assert db.put_many("plain", rows, columns=["id", "A"]) == [1, 2]
    assert db.execute("SELECT id, a FROM plain") == [(1, "x"), (2, "y")]
    assert db.put_many("child", []) == []


def test_sequences_without_columns_have_all_that_are_written(db: Database) -> None:
    make(db, "generated")
    db.put_many("generated", [(1, "x")])
    assert db.execute("SELECT * FROM generated") == [(1, "x", "X", "x1")]


@pytest.mark.parametrize(
    ("rows", "options", "error", "said"),
    [
        ([{"a": 1}, {"b": 1}], {}, ex.ProgrammingError, "row 1 has no value for a"),
        ([{"a": 1}, {"a": 1, "b": 1}], {}, ex.ProgrammingError, "row 1 has a value for b"),
        ([{"z": 1}], {}, ex.OperationalError, "no column named z"),
        ([(1, 2)], {"columns": ["a"]}, ex.ProgrammingError, "row 0 of those put into plain: it has 2 values for 1"),
        ([(1, 2)], {"columns": ["a", "A"]}, ex.ProgrammingError, "given twice"),
        ([{"a": 1}], {"columns": ["a"]}, ex.ProgrammingError, "name their columns themselves"),
        ([{"a": object()}], {}, ex.ProgrammingError, "no None, bool, int"),
        ([{"a": (1,)}], {}, ex.ProgrammingError, r"row 0 .*plain\.a is no None"),
        ([{"a": 1}, {"a": 2**63}], {}, ex.DataError, r"row 1 .*plain\.a does not fit"),
        ([{"id": 1}, {"id": "x"}], {}, ex.IntegrityError, "row 1 .*mismatch"),
        ([{"id": 1}], {"tags": ["a", ""]}, ex.DataError, "row 0 .*empty"),
        ([{"id": 1}], {"tags": "ab"}, ex.ProgrammingError, "give a list"),
        ([{"id": 1}], {"tags": [["a"], ["b"]]}, ex.ProgrammingError, "each of the 1 rows"),
        ([{"id": 1}], {"tags": [[5]]}, ex.ProgrammingError, "5 is no tag"),
        ([{"id": 1}], {"tags": ["a", ["b"]]}, ex.ProgrammingError, "each of the 1 rows"),
        ([{}], {}, ex.ProgrammingError, "without a value"),
    ],
)
def test_what_cannot_be_put_is_named_and_nothing_is(
    db: Database, rows: Any, options: Any, error: type[Exception], said: str
) -> None:
    make(db, "plain")
    db.put_many("plain", [{"id": 7}], tags=["t"])
    with pytest.raises(error, match=said):
        db.put_many("plain", rows, **options)
    with db.transaction():
        db.put_many("plain", [{"id": 8}])
        with pytest.raises(error, match=said):
            db.put_many("plain", rows, **options)
    assert db.execute("SELECT id FROM plain") == [(7,), (8,)]
    assert db.tags("plain", 7) == {"t"}


def test_an_unknown_table_and_a_view_are_named(db: Database) -> None:
    db.execute("CREATE VIEW v AS SELECT 1 AS a")
    for name in ("nothing", "v"):
        with pytest.raises(ex.OperationalError, match=f"no such table: {name}|{name} is a view"):
            db.put_many(name, [{"a": 1}])
        with pytest.raises(ex.OperationalError, match=f"no such table: {name}"):
            db.get_many(name, [1])
        with pytest.raises(ex.OperationalError, match=f"no such table: {name}"):
            db.by_tag("a", type=name)


def test_tags_in_any_order_and_given_twice_are_the_tags_of_each_row(db: Database, rng: random.Random) -> None:
    """Those of a row are written in the order of their ids, those that are the same for all rows are read once."""
    make(db, "plain")
    texts = [f"kind:{i}" for i in range(30)]
    apart = [rng.choices(texts, k=rng.choice((0, 1, 2, 40))) for _ in range(50)]
    alike = [*rng.sample(texts, 12), *texts[:4]]
    ids = db.put_many("plain", [{"a": i} for i in range(50)], tags=apart)
    same = db.put_many("plain", [{"a": i} for i in range(50)], tags=alike)
    db.put_many("plain", [{"id": i} for i in (*ids, *same)], tags=["last", "last"])
    for id_, tags in (*zip(ids, apart, strict=True), *((id_, alike) for id_ in same)):
        assert db.tags("plain", id_) == {*tags, "last"}
    assert db.by_tag("last", type="plain") == sorted([*ids, *same])


def test_tags_are_given_to_all_rows_or_to_each(db: Database) -> None:
    make(db, "plain")
    one, two = db.put_many("plain", [{"a": 1}, {"a": 2}], tags=["x", "y:1"])
    assert (db.tags("plain", one), db.tags("plain", two)) == ({"x", "y:1"}, {"x", "y:1"})
    db.put_many("plain", [{"id": one}, {"id": two}], tags=[["z"], []])
    assert (db.tags("plain", one), db.tags("plain", two)) == ({"x", "y:1", "z"}, {"x", "y:1"})
    assert db.tag_values("y") == {"1": 2}
    assert db.tag_values("y", type="parent") == {}
    assert (db.add_tags("plain", [one, two], ["z", "w"]), db.remove_tags("plain", [one, two], ["x", "no"])) == (3, 2)
    assert db.tags("plain", two) == {"y:1", "z", "w"}
    assert db.by_tag("z & !x", type="plain") == [one, two]
    assert db.by_tag("z") == {"plain": [one, two]}


def test_a_declared_namespace_is_not_put_by_hand(db: Database) -> None:
    make(db, "tagged")
    with pytest.raises(ex.ProgrammingError, match=r"row 0 .*a value of the column tagged\.a"):
        db.put_many("tagged", [{"id": 1}], tags=["a:x"])
    db.put_many("tagged", [{"id": 1, "a": "x"}], tags=["c:x"])
    assert db.tags("tagged", 1) == {"a:x", "c:x"}


def test_rows_are_deleted_with_what_follows_from_it(db: Database) -> None:
    make(db, "child")
    db.put_many("child", [{"id": i, "a": i} for i in (1, 3)], tags=["t"])
    assert db.delete_many("parent", [1, 99, 1]) == 1
    assert db.by_tag("t") == {"child": [3]}
    assert db.delete_many("child", array("q", [3])) == 1
    assert db.execute("SELECT count(*) FROM child") == [(0,)]
    assert db.delete_many("child", []) == 0


def test_foreign_keys_are_judged_when_the_rows_are_all_there(db: Database) -> None:
    db.execute("CREATE TABLE node(id INTEGER PRIMARY KEY, up REFERENCES node(id))")
    db.put_many("node", [{"id": 1, "up": 2}, {"id": 2, "up": None}])
    with pytest.raises(ex.IntegrityError, match="FOREIGN KEY"):
        db.put_many("node", [{"id": 3, "up": 1}, {"id": 4, "up": 9}])
    assert db.execute("SELECT id FROM node") == [(1,), (2,)]


def test_the_table_of_sql_does_nothing_by_itself(db: Database) -> None:
    with pytest.raises(ex.ProgrammingError, match="put_many"):
        db.execute("INSERT INTO entitydb_put(op) VALUES ('put')")
    assert db.execute("SELECT * FROM entitydb_put") == []
