"""Tags of attached databases: each schema has its own, under the names that main's have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import _exceptions as ex
from entitydb_dialect import driver

Connect = Callable[..., driver.Connection]
INTO = "entitydb_tags(type, entity, tag) VALUES "


def tags(db: driver.Connection, place: str = "") -> list[Any]:
    return sorted(db.execute(f"SELECT type, entity, tag FROM {place}entitydb_tags").fetchall())


@pytest.fixture
def db(two: driver.Connection) -> driver.Connection:
    """main.t has the row 1, x.t the rows 1 and 2."""
    two.execute(f"INSERT INTO {INTO} ('t', 1, 'of:main')")
    two.commit()
    two.execute(f"INSERT INTO x.{INTO} ('t', 1, 'of:x'), ('t', 2, 'of:x')")
    two.execute("ALTER TABLE x.t ALTER COLUMN a SET TAG 'a'")
    two.commit()
    return two


MAIN = [("t", 1, "of:main")]
X = [("t", 1, "a:x"), ("t", 1, "of:x"), ("t", 2, "a:y"), ("t", 2, "of:x")]


def test_each_schema_shows_and_takes_its_own_tags(db: driver.Connection, other: Path) -> None:
    assert tags(db) == tags(db, "main.") == MAIN
    assert tags(db, "x.") == tags(db, '"X".') == X
    assert db.execute("SELECT entity FROM x.entitydb_tagged('t', 'a:* & of:x')").fetchall() == [(1,), (2,)]
    assert db.execute("SELECT entity FROM entitydb_tagged('t', 'of:*')").fetchall() == [(1,)]
    assert db.execute("SELECT type, id FROM x.entitydb_entities ORDER BY id").fetchall() == [("t", 1), ("t", 2)]
    assert db.execute("SELECT type, id FROM entitydb_entities").fetchall() == [("t", 1)]
    joined = "SELECT x.t.a, x.entitydb_tags.tag FROM x.t JOIN x.entitydb_tags ON entity = x.t.id WHERE namespace = 'of'"
    assert sorted(db.execute(joined).fetchall()) == [("x", "of:x"), ("y", "of:x")]
    assert db.execute("DELETE FROM x.entitydb_tags WHERE entity = 1 AND namespace = 'of'").rowcount == 1
    assert tags(db) == MAIN
    db.commit()
    db.execute("DETACH x")
    assert tags(db) == MAIN
    alone = driver.connect(other)
    assert tags(alone) == [row for row in X if row != ("t", 1, "of:x")]
    alone.close()


def test_views_of_an_attached_database_read_its_tags(db: driver.Connection, other: Path) -> None:
    db.execute("CREATE VIEW x.v AS SELECT type, entity, tag FROM entitydb_tags")
    db.execute("CREATE VIEW x.w AS SELECT entity FROM entitydb_tagged('t', 'a:y')")
    db.commit()
    db.execute("CREATE VIEW v AS SELECT type, entity, tag FROM entitydb_tags")
    db.commit()
    assert sorted(db.execute("SELECT * FROM x.v").fetchall()) == X
    assert db.execute("SELECT * FROM x.w").fetchall() == [(2,)]
    assert db.execute("SELECT * FROM v").fetchall() == MAIN
    db.commit()
    db.execute("DETACH x")
    db.execute("ATTACH ? AS y", (str(other),))
    assert sorted(db.execute("SELECT * FROM y.v").fetchall()) == tags(db, "y.") == X


def test_a_moment_holds_for_the_tags_of_all_schemas(db: driver.Connection) -> None:
    before = db.last_commit[1]
    db.execute("UPDATE x.t SET a = 'new'")
    db.commit()
    db.execute("DELETE FROM entitydb_tags")
    db.commit()
    assert (tags(db), {tag for _, _, tag in tags(db, "x.")}) == ([], {"a:new", "of:x"})
    cursor = db.cursor()
    cursor.as_of = before
    both = "SELECT tag FROM entitydb_tags UNION ALL SELECT tag FROM x.entitydb_tags ORDER BY 1"
    assert cursor.execute(both).fetchall() == [("a:x",), ("a:y",), ("of:main",), ("of:x",), ("of:x",)]


def test_tags_count_as_writing_their_file(db: driver.Connection) -> None:
    db.execute(f"INSERT INTO x.{INTO} ('t', 1, 'more')")
    with pytest.raises(ex.NotSupportedError, match="one database file"):
        db.execute(f"INSERT INTO {INTO} ('t', 1, 'more')")
    db.rollback()
    assert (tags(db), tags(db, "x.")) == (MAIN, X)
    with pytest.raises(ex.NotSupportedError, match="RETURNING on entitydb_tags"):
        db.execute(f"INSERT INTO x.{INTO} ('t', 1, 'more') RETURNING 1")
    assert db.execute(f"INSERT INTO x.{INTO} ('t', 1, 'of:x') ON CONFLICT DO NOTHING").rowcount == 0


@pytest.mark.parametrize("name", ["entitydb_tags", "entitydb_tagged", "entitydb_entities", "entitydb_transactions"])
def test_what_is_declared_for_it_is_shown_nowhere_and_cannot_be_changed(db: driver.Connection, name: str) -> None:
    for sql in ("SELECT name FROM sqlite_master", "SELECT name FROM x.sqlite_master",
                "SELECT name FROM pragma_table_list"):  # fmt: skip
        assert {found for (found,) in db.execute(sql).fetchall() if found.startswith("entitydb")} == set()
    for sql in (f"DROP TABLE x.{name}", f"ALTER TABLE x.{name} RENAME TO z", f"CREATE TABLE x.{name}(a)"):
        with pytest.raises(ex.OperationalError, match=r"may not be|reserved"):
            db.execute(sql)
    assert (tags(db), tags(db, "x.")) == (MAIN, X)


def test_a_schema_that_is_declared_anew_keeps_its_tags(db: driver.Connection, connect: Connect, other: Path) -> None:
    """Others drop tables that SQLite has forgotten in a rollback: it cannot drop what it cannot connect, so all
    declarations are taken out of its schema and made again."""
    for place, path in (("", None), ("x.", other)):
        db.execute(f"CREATE TABLE {place}gone(a)")
        db.commit()
        db.execute(f"CREATE TABLE {place}never(a)")
        db.rollback()
        second = connect() if path is None else driver.connect(path)
        second.execute("DROP TABLE gone")
        second.commit()
        second.close()
        assert (tags(db), tags(db, "x.")) == (MAIN, X)
        db.rollback()
        with pytest.raises(ex.OperationalError, match="no such table"):
            db.execute(f"SELECT * FROM {place}gone")


@pytest.mark.parametrize("place", ["nobody", "temp", "sq", "gone"])
@pytest.mark.parametrize("change", ["INSERT INTO {}.entitydb_tags(type, entity, tag) VALUES ('t', 1, 'n')",
                                    "DELETE FROM {}.entitydb_tags", "DELETE FROM {}.entitydb_labels"])  # fmt: skip
def test_no_tags_of_main_are_written_under_a_name_that_is_not_its_own(
    db: driver.Connection, tmp_path: Path, change: str, place: str
) -> None:
    db.commit()
    db.execute("ATTACH ? AS sq", (str(tmp_path / "s.sqlite"),))
    db.execute("ATTACH ':memory:' AS gone")
    db.execute("DETACH gone")
    with pytest.raises(ex.OperationalError, match=rf"no such table: {place}\.entitydb_"):
        db.execute(change.format(place))
    assert (tags(db), tags(db, "x.")) == (MAIN, X)
    db.commit()
    for schema in ("sq", "x"):
        db.execute(f"DETACH {schema}")
    with pytest.raises(ex.OperationalError, match=rf"no such table: {place}\.entitydb_"):
        db.executemany(change.format(place), [()])
    assert tags(db) == MAIN


def test_memory_and_temporary_neighbours_change_nothing(connect: Connect, tmp_path: Path) -> None:
    db = connect()
    db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.execute("INSERT INTO t VALUES (1)")
    db.execute(f"INSERT INTO {INTO} ('t', 1, 'of:main')")
    db.commit()
    db.execute("ATTACH ? AS sq", (str(tmp_path / "s.sqlite"),))
    assert tags(db) == MAIN
    db.commit()
    db.execute("ATTACH ':memory:' AS m")
    assert (tags(db), tags(db, "m.")) == (MAIN, [])
    db.execute("CREATE TABLE m.t AS SELECT tag FROM entitydb_tags")
    db.execute(f"INSERT INTO m.{INTO} ('t', 1, 'of:m')")
    db.execute("CREATE TABLE sq.copy AS SELECT tag FROM m.entitydb_tags")
    assert db.execute("SELECT m.t.tag, sq.copy.tag FROM m.t, sq.copy").fetchall() == [("of:main", "of:m")]
    db.commit()
