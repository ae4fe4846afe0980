"""Tags in iterdump() and backup(): restored they are the same, on the same rows; SQLite is not told of them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from entitydb_dialect import _exceptions as ex
from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]
TAG = "INSERT INTO entitydb_tags(type, entity, tag) "

TABLES = """
    CREATE TABLE numbered(id INTEGER PRIMARY KEY, status VARCHAR(20) TAG 'status', "the n" INTEGER TAG 'it''s', x);
    CREATE TABLE "na""med"(name TEXT PRIMARY KEY, up TEXT AS (upper(name)) STORED TAG 'up', low AS (lower(name)));
    CREATE TABLE bare(a TEXT, "rowid" INTEGER);
    CREATE TABLE keyed(k TEXT COLLATE NOCASE, r REAL, v, PRIMARY KEY (r, k)) WITHOUT ROWID;
    CREATE TABLE plain(id INTEGER PRIMARY KEY, a);
    CREATE VIEW tagged AS SELECT numbered.x, t.tag FROM numbered JOIN entitydb_tags AS t
        ON t.type = 'numbered' AND t.entity = numbered.id;
    INSERT INTO numbered VALUES (7, 'live', 5, 'a'), (8, NULL, NULL, 'b'), (-3, 'it''s', NULL, 'c');
    INSERT INTO "na""med"(name) VALUES ('gone'), ('ann'), ('bob'), ('cid');
    INSERT INTO bare VALUES ('gone', 1), ('same', 2), ('same', 2), ('other', 2);
    INSERT INTO keyed VALUES ('gone', 0, 0), ('Zoë' || char(0) || 'x', 0.1, 1), ('b', -1e300, 2), ('b', 0.1, 3);
    INSERT INTO plain VALUES (1, 'p');
    DELETE FROM "na""med" WHERE name = 'gone'; DELETE FROM bare WHERE a = 'gone'; DELETE FROM keyed WHERE k = 'gone';
"""
BY_HAND = [
    (TAG + "SELECT 'numbered', id, ? FROM numbered WHERE id <> 8", "by:hand"),
    (TAG + "SELECT 'numbered', id, ? FROM numbered WHERE id = 7", "it's ✓"),
    (TAG + "SELECT 'na\"med', rowid, ? FROM \"na\"\"med\" WHERE name = 'cid'", "up"),
    (TAG + "SELECT 'bare', _rowid_, ? FROM bare WHERE a = 'same' ORDER BY _rowid_ DESC LIMIT 1", "the last one"),
    (TAG + "SELECT 'keyed', rowid, ? FROM keyed WHERE v = 1", "k:1"),
    (TAG + "SELECT 'keyed', rowid, ? FROM keyed WHERE v = 3", "k:3"),
]  # fmt: skip


def dump(db: driver.Connection, **options: Any) -> list[str]:
    return list(db.iterdump(**options))


def by_content(db: driver.Connection) -> list[Any]:
    """Of all taggings what their rows are."""
    ids = {"numbered": "id", "na\"med": "rowid", "bare": "_rowid_", "keyed": "rowid", "plain": "id"}
    found: list[Any] = []
    for name, row_id in ids.items():
        table = '"' + name.replace('"', '""') + '"'
        columns = "r.*" if name == "keyed" else f"r.{row_id}, r.*"  # a copy gives those others
        found += db.execute(
            f"SELECT t.type, t.tag, {columns} FROM entitydb_tags AS t JOIN {table} AS r ON r.{row_id} = t.entity"
            " WHERE t.type = ?", (name,)
        ).fetchall()  # fmt: skip
    assert len(found) == db.execute("SELECT count(*) FROM entitydb_tags").fetchone()[0]
    return sorted(found, key=repr)


@pytest.fixture
def db(connect: Connect) -> driver.Connection:
    db = connect(page_size=8192)
    db.executescript(TABLES)
    for sql, tag in BY_HAND:
        assert db.execute(sql, (tag,)).rowcount > 0
    db.commit()
    return db


@pytest.fixture
def empty() -> Iterator[driver.Connection]:
    made = driver.connect()
    yield made
    breaches, _ = made.database.check()
    made.close()
    assert breaches == []


def restored(source: driver.Connection, target: driver.Connection, way: str) -> None:
    if way == "backup":
        source.backup(target)
    else:
        target.executescript("\n".join(source.iterdump()))


@pytest.mark.parametrize("way", ["iterdump", "backup"])
def test_what_is_restored_has_the_same_tags_on_the_same_rows(
    db: driver.Connection, empty: driver.Connection, way: str
) -> None:
    expected, text = by_content(db), dump(db)
    assert len(expected) == 3 + 3 + 7
    restored(db, empty, way)
    assert by_content(empty) == expected
    assert dump(empty) == text
    assert empty.execute("SELECT x FROM tagged WHERE tag = 'it''s:5'").fetchall() == [("a",)]
    empty.execute("UPDATE numbered SET status = 'new' WHERE id = 8")
    assert empty.execute("SELECT entity FROM entitydb_tagged('numbered', 'status:new')").fetchall() == [(8,)]


def test_a_dump_declares_tag_columns_behind_the_table_and_tags_rows_behind_its_rows(db: driver.Connection) -> None:
    assert dump(db, filter="numbered") == [
        "BEGIN TRANSACTION;",
        """CREATE TABLE numbered(id INTEGER PRIMARY KEY, status VARCHAR(20), "the n" INTEGER, x);""",
        """ALTER TABLE "numbered" ALTER COLUMN "status" SET TAG 'status';""",
        """ALTER TABLE "numbered" ALTER COLUMN "the n" SET TAG 'it''s';""",
        """INSERT INTO "numbered" VALUES(-3,'it''s',NULL,'c');""",
        """INSERT INTO "numbered" VALUES(7,'live',5,'a');""",
        """INSERT INTO "numbered" VALUES(8,NULL,NULL,'b');""",
        "INSERT INTO entitydb_tags(type, entity, tag) VALUES('numbered',-3,'by:hand');",
        "INSERT INTO entitydb_tags(type, entity, tag) VALUES('numbered',7,'by:hand');",
        "INSERT INTO entitydb_tags(type, entity, tag) VALUES('numbered',7,'it''s ✓');",
        "COMMIT;",
    ]


def test_a_dump_without_tags_is_one_of_sqlites(connect: Connect) -> None:
    db = connect()
    db.executescript("CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE TABLE k(name TEXT PRIMARY KEY);"
                     "INSERT INTO t VALUES (7, 'x'); INSERT INTO k VALUES ('gone'), ('y');"
                     "DELETE FROM k WHERE name = 'gone'")
    db.execute(TAG + "VALUES ('t', 7, 'was'), ('k', 2, 'was')")
    db.execute("DELETE FROM entitydb_tags")
    db.commit()
    text = dump(db)
    assert text == [
        "BEGIN TRANSACTION;", "CREATE TABLE t(id INTEGER PRIMARY KEY, a);", """INSERT INTO "t" VALUES(7,'x');""",
        "CREATE TABLE k(name TEXT PRIMARY KEY);", """INSERT INTO "k" VALUES('y');""", "COMMIT;",
    ]  # fmt: skip
    plain = sqlite3.connect(":memory:")
    plain.executescript("\n".join(text))
    plain.close()


def test_of_a_dump_with_tags_sqlite_reads_all_other_lines(db: driver.Connection) -> None:
    ours = ('SET TAG ', "INSERT INTO entitydb_tags(")
    text = [line for line in dump(db) if not any(part in line for part in ours)]
    plain = sqlite3.connect(":memory:")
    plain.executescript("\n".join(text))
    for table in ("numbered", '"na""med"', "bare", "keyed"):
        every = f"SELECT * FROM {table} ORDER BY 1, 2"
        assert plain.execute(every).fetchall() == db.execute(every).fetchall()
    same = "SELECT _rowid_, * FROM bare"
    assert plain.execute(same).fetchall() == db.execute(same).fetchall()
    plain.close()


def test_a_backup_into_sqlite_leaves_tags_out(db: driver.Connection) -> None:
    db.execute("DROP VIEW tagged")
    plain = sqlite3.connect(":memory:")
    db.backup(plain)
    assert plain.execute("SELECT * FROM numbered").fetchall() == db.execute("SELECT * FROM numbered").fetchall()
    assert plain.execute("SELECT name FROM sqlite_master WHERE name LIKE 'entitydb%'").fetchall() == []
    plain.close()


@pytest.mark.parametrize("way", ["iterdump", "backup"])
def test_tags_of_rows_that_a_copy_cannot_tell_apart_are_an_error(
    connect: Connect, empty: driver.Connection, way: str
) -> None:
    db = connect()
    db.execute("CREATE TABLE a(rowid TEXT, _rowid_ TEXT, oid TEXT TAG 'oid')")
    db.execute("INSERT INTO a VALUES ('a', 'b', 'c')")
    db.commit()
    restored(db, empty, way)
    assert empty.execute("SELECT tag FROM entitydb_tags").fetchall() == [("oid:c",)], "a column's tags need no row id"
    empty.execute("DROP TABLE a")
    empty.commit()
    db.execute(TAG + "VALUES ('a', 1, 'x')")
    db.commit()
    with pytest.raises(ex.NotSupportedError, match="columns named rowid, _rowid_, oid"):
        restored(db, empty, way)
    assert empty.catalog() == {}


def test_a_dump_is_of_one_moment(db: driver.Connection, connect: Connect) -> None:
    other = connect()
    lines = db.iterdump()
    first = next(lines)
    other.execute("DELETE FROM entitydb_tags WHERE tag = 'by:hand'")
    other.commit()
    assert len([line for line in [first, *lines] if "'by:hand'" in line]) == 2


def test_random_tags_survive_dumps_and_backups(connect: Connect, rng: random.Random) -> None:
    db = connect(page_size=8192)
    db.execute("CREATE TABLE a(id INTEGER PRIMARY KEY, s TEXT TAG 's')")
    db.execute("CREATE TABLE b(k TEXT PRIMARY KEY)")
    db.execute("CREATE TABLE c(k INTEGER, l TEXT, PRIMARY KEY (k, l)) WITHOUT ROWID")
    for _ in range(100):
        db.execute("INSERT OR IGNORE INTO a VALUES (?, ?)", (rng.randrange(-50, 50), rng.choice(["x", "y", None])))
        db.execute("INSERT OR IGNORE INTO b VALUES (?)", (str(rng.randrange(60)),))
        db.execute("INSERT OR IGNORE INTO c VALUES (?, ?)", (rng.randrange(9), rng.choice(["l", "m", "'"])))
        table = rng.choice("abc")
        db.execute(f"DELETE FROM {table} WHERE rowid = ?", (rng.randrange(60),))
        table = rng.choice("abc")
        given = f"{rng.choice(['n', 'm', 'it''s'])}:{rng.randrange(5)}"
        db.execute(TAG + f"SELECT '{table}', rowid, ? FROM {table} ORDER BY random() LIMIT 2", (given,))
    db.commit()
    text = dump(db)
    assert sum("entitydb_tags" in line for line in text) > 20
    for way in ("iterdump", "backup"):
        copy = driver.connect()
        restored(db, copy, way)
        assert dump(copy) == text, way
        assert copy.database.check()[0] == []
        copy.close()
