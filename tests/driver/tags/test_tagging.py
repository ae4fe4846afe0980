"""Tags in SQL: giving, taking, asking; what is no tag; what becomes of tags when rows go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import _exceptions as ex
from entitydb_dialect import driver

from ..asking import visited

Connect = Callable[..., driver.Connection]
INSERT = "INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)"


def tags(db: driver.Connection) -> list[Any]:
    return sorted(db.execute("SELECT type, entity, tag FROM entitydb_tags").fetchall())


@pytest.fixture
def db(connect: Connect) -> driver.Connection:
    db = connect(page_size=8192)
    db.execute("CREATE TABLE article(id INTEGER PRIMARY KEY, title TEXT)")
    db.execute("CREATE TABLE person(name TEXT PRIMARY KEY)")
    db.executemany("INSERT INTO article VALUES (?, 'x')", [(i,) for i in range(1, 11)])
    db.execute("INSERT INTO person VALUES ('ann'), ('bob')")
    db.commit()
    return db


def test_a_tag_has_a_namespace_a_value_and_the_time_of_its_commit(db: driver.Connection) -> None:
    db.executemany(INSERT, [("article", 1, "a:b:c"), ("article", 1, "plain"), ("article", 2, "empty:")])
    rows = db.execute("SELECT entity, tag, namespace, value, since FROM entitydb_tags").fetchall()
    assert sorted(rows) == [
        (1, "a:b:c", "a", "b:c", None), (1, "plain", "", "plain", None), (2, "empty:", "empty", "", None),
    ]  # fmt: skip
    db.commit()
    assert db.execute("SELECT DISTINCT since FROM entitydb_tags").fetchall() == [(db.last_commit[1],)]


def test_a_present_tag_is_not_given_again_and_an_absent_one_is_not_taken(db: driver.Connection) -> None:
    assert db.execute(INSERT, ("article", 1, "a")).rowcount == 1
    db.commit()
    number, since = db.last_commit
    assert db.execute(INSERT, ("article", 1, "a")).rowcount == 0
    assert db.execute("DELETE FROM entitydb_tags WHERE tag = 'never'").rowcount == 0
    db.commit()
    assert db.last_commit[0] == number, "nothing has changed, so there is no commit"
    assert db.execute("SELECT since FROM entitydb_tags").fetchall() == [(since,)]


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("", "empty"), ("a\nb", "control"), ("\x7f", "control"), ("\x85", "control"), ("a\x00b", "control"),
        ("x" * 1025, "1025 bytes"), ("é" * 513, "1026 bytes"), (":a", "colon"), (5, "no text"), (b"a", "no text"),
        (None, "no text"),
    ],
)  # fmt: skip
def test_what_is_no_tag_is_named_and_leaves_nothing(db: driver.Connection, tag: Any, said: str) -> None:
    with pytest.raises(ex.DataError, match=said):
        db.execute(INSERT, ("article", 1, tag))
    with pytest.raises(ex.DataError, match=said):
        db.execute(f"{INSERT}, ('article', 2, ?)", ("article", 1, "good", tag))
    assert tags(db) == [], "a statement is done whole or not at all"
    db.execute(INSERT, ("article", 1, "x" * 1024))
    db.commit()
    assert tags(db) == [("article", 1, "x" * 1024)]


@pytest.mark.parametrize(
    ("row", "error", "said"),
    [
        (("article", 99, "a"), ex.IntegrityError, "no row 99 in table article"),
        (("nobody", 1, "a"), ex.OperationalError, "no table nobody"),
        (("view", 1, "a"), ex.OperationalError, "no table view"),
        ((None, 1, "a"), ex.ProgrammingError, "the name of its table"),
        (("article", "one", "a"), ex.IntegrityError, "no row id"),
        (("article", None, "a"), ex.IntegrityError, "no row id"),
    ],
)
def test_only_rows_of_tables_are_tagged(db: driver.Connection, row: Any, error: type[Exception], said: str) -> None:
    db.execute("CREATE VIEW view AS SELECT 1")
    with pytest.raises(error, match=said):
        db.execute(INSERT, row)
    assert tags(db) == []


def test_a_tag_is_not_updated_and_its_parts_are_not_written(db: driver.Connection) -> None:
    db.execute(INSERT, ("article", 1, "a"))
    with pytest.raises(ex.NotSupportedError, match="no UPDATE"):
        db.execute("UPDATE entitydb_tags SET tag = 'b'")
    with pytest.raises(ex.ProgrammingError, match="follow from them"):
        db.execute("INSERT INTO entitydb_tags(type, entity, tag, namespace) VALUES ('article', 1, 'n:b', 'n')")
    assert tags(db) == [("article", 1, "a")]


def test_rows_with_a_text_key_are_tagged_by_their_row_id(db: driver.Connection) -> None:
    into = "INSERT INTO entitydb_tags(type, entity, tag) "
    db.execute(into + "SELECT 'person', rowid, 'a' FROM person WHERE name = 'bob'")
    found = db.execute(
        "SELECT name FROM person WHERE rowid IN (SELECT entity FROM entitydb_tagged('person', 'a'))"
    ).fetchall()
    assert found == [("bob",)]


def test_names_of_types_are_compared_as_names_of_tables_are(db: driver.Connection) -> None:
    db.execute(INSERT, ("ARTICLE", 1, "a"))
    assert tags(db) == [("article", 1, "a")]
    assert db.execute("SELECT entity FROM entitydb_tags WHERE type = 'Article'").fetchall() == [(1,)]
    assert db.execute("SELECT entity FROM entitydb_tagged('Article', 'a')").fetchall() == [(1,)]
    assert db.execute("SELECT entity FROM entitydb_tags WHERE type = 'nobody'").fetchall() == []


def test_a_renamed_table_keeps_its_tags(db: driver.Connection) -> None:
    db.execute(INSERT, ("article", 1, "a"))
    db.commit()
    before = db.last_commit[1]
    db.execute("ALTER TABLE article RENAME TO post")
    assert tags(db) == [("post", 1, "a")]
    db.commit()
    cursor = db.cursor()
    cursor.as_of = before
    assert cursor.execute("SELECT type FROM entitydb_tags").fetchall() == [("article",)]


@pytest.mark.parametrize(
    "goes",
    [
        "DELETE FROM article WHERE id = 1",
        "DELETE FROM article WHERE id < 3",
        "DELETE FROM article",
        "REPLACE INTO article VALUES (1, 'new')",
        "DROP TABLE article",
    ],
)
def test_tags_go_with_their_row_in_the_same_commit(db: driver.Connection, goes: str) -> None:
    db.executemany(INSERT, [("article", 1, "a"), ("article", 1, "b"), ("article", 9, "a"), ("person", 1, "a")])
    db.commit()
    before = db.last_commit[1]
    db.execute(goes)
    left = [row for row in tags(db) if row[:2] == ("article", 1)]
    assert left == []
    assert ("person", 1, "a") in tags(db)
    db.rollback()
    assert len(tags(db)) == 4
    db.execute(goes)
    db.commit()
    assert [row for row in tags(db) if row[:2] == ("article", 1)] == []
    cursor = db.cursor()
    cursor.as_of = before
    assert len(cursor.execute("SELECT * FROM entitydb_tags").fetchall()) == 4


def test_tags_go_with_rows_that_a_foreign_key_deletes(db: driver.Connection) -> None:
    db.execute("CREATE TABLE line(id INTEGER PRIMARY KEY, a REFERENCES article(id) ON DELETE CASCADE)")
    db.execute("INSERT INTO line VALUES (1, 1), (2, 2)")
    db.executemany(INSERT, [("line", 1, "a"), ("line", 2, "a")])
    db.execute("DELETE FROM article WHERE id = 1")
    assert tags(db) == [("line", 2, "a")]


def test_an_upsert_keeps_the_tags_of_the_row_it_changes(db: driver.Connection) -> None:
    db.execute(INSERT, ("article", 1, "a"))
    db.execute("INSERT INTO article VALUES (1, 'y') ON CONFLICT DO UPDATE SET title = excluded.title")
    assert tags(db) == [("article", 1, "a")]
    db.execute("INSERT INTO article VALUES (1, 'y') ON CONFLICT DO UPDATE SET id = 77")
    assert tags(db) == [("article", 77, "a")]


def test_a_row_that_gets_the_id_of_another_gets_its_own_tags_only(db: driver.Connection) -> None:
    db.executemany(INSERT, [("article", 1, "a"), ("article", 2, "b")])
    db.execute("UPDATE OR REPLACE article SET id = 2 WHERE id = 1")
    assert tags(db) == [("article", 2, "a")]


def test_a_deleted_and_inserted_row_begins_without_tags(db: driver.Connection) -> None:
    db.execute(INSERT, ("article", 1, "a"))
    db.execute("DELETE FROM article WHERE id = 1")
    db.execute("INSERT INTO article VALUES (1, 'again')")
    assert tags(db) == []


@pytest.mark.slow
def test_tags_with_one_hash_are_kept_apart(db: driver.Connection) -> None:
    """Ids are 32 bits of a hash; two texts that have the same are found among 300,000, and both are used."""
    seen: dict[int, str] = {}
    for i in range(300_000):
        text = f"t:{i}"
        if (other := seen.setdefault(_hash(text.encode()), text)) != text:
            break
    else:
        pytest.fail("no two texts have one hash")
    db.executemany(INSERT, [("article", 1, other), ("article", 2, text), ("article", 3, other)])
    db.commit()
    assert db.execute("SELECT entity FROM entitydb_tagged('article', ?)", (other,)).fetchall() == [(1,), (3,)]
    assert db.execute("SELECT entity FROM entitydb_tagged('article', ?)", (text,)).fetchall() == [(2,)]
    assert tags(db) == [("article", 1, other), ("article", 2, text), ("article", 3, other)]


def _hash(text: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in text:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return (value ^ value >> 32) & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("", 0), ("a &", 3), ("a b", 2), ("(a", 2), ("a)", 1), ('"a', 0), ("a |", 3), ("!", 1), ("& a", 0),
        ("(" * 200, 100),
    ],
)
def test_an_expression_that_cannot_be_read_names_the_place(db: driver.Connection, expression: str, place: int) -> None:
    with pytest.raises(ex.ProgrammingError, match=f"cannot be read at byte {place}:"):
        db.execute("SELECT * FROM entitydb_tagged('article', ?)", (expression,)).fetchall()


def test_an_expression_over_nothing_is_nothing(db: driver.Connection) -> None:
    ask = "SELECT entity FROM entitydb_tagged(?, ?)"
    assert db.execute(ask, ("article", "a")).fetchall() == []
    assert len(db.execute(ask, ("article", "!a")).fetchall()) == 10
    assert db.execute(ask, (None, "a")).fetchall() == db.execute(ask, ("article", None)).fetchall() == []
    with pytest.raises(ex.OperationalError, match="no table nobody"):
        db.execute(ask, ("nobody", "a")).fetchall()
    with pytest.raises(ex.DataError, match="control"):
        db.execute(ask, ("article", '"a\nb"')).fetchall()


def test_an_entity_is_looked_up_in_an_expression_and_a_lower_bound_is_begun_at(db: driver.Connection) -> None:
    db.executemany(INSERT, [("article", i, "a") for i in range(1, 11)])
    db.commit()
    ask = "SELECT entity FROM entitydb_tagged('article', 'a') WHERE "
    for where, expected in [("entity = 5", [5]), ("entity = 50", []), ("entity > 8", [9, 10]), ("entity >= 9.5", [10]),
                            ("entity = 'x'", []), ("rowid = 3", [3]), ("entity BETWEEN 4 AND 5", [4, 5])]:  # fmt: skip
        before = visited(db)
        assert [e for (e,) in db.execute(ask + where).fetchall()] == expected
        if "=" in where.split() and expected:
            assert visited(db) - before == 1
    assert db.execute(ask + "1 ORDER BY entity DESC LIMIT 1").fetchall() == [(10,)]


@pytest.mark.parametrize(
    ("where", "most"),
    [
        ("type = 'article' AND entity = 5", 2),
        ("type = 'article' AND entity = 5 AND tag = 'n:5'", 1),
        ("tag = 'n:5'", 1),
        ("tag = 'n:5' AND type = 'article'", 1),
        ("namespace = 'n' AND value = '5'", 1),
        ("tag GLOB 'n:1*'", 2),
        ("tag >= 'n:9' AND tag < 'o'", 1),
        ("namespace = 'm'", 1),
        ("tag IN ('n:5', 'n:6', 'no')", 2),
    ],
)
def test_conditions_reach_the_trees(db: driver.Connection, where: str, most: int) -> None:
    """Counted in entries visited, of 31."""
    for i in range(1, 11):
        db.executemany(INSERT, [("article", i, f"n:{i}"), ("article", i, "all"), ("article", i, f"o:{i}")])
    db.execute("DELETE FROM entitydb_tags WHERE tag = 'o:5'")
    db.executemany(INSERT, [("article", 1, "m:"), ("person", 1, "all")])
    db.commit()
    every = db.execute("SELECT type, entity, tag FROM entitydb_tags").fetchall()
    before = visited(db)
    found = db.execute(f"SELECT type, entity, tag FROM entitydb_tags WHERE {where}").fetchall()
    assert visited(db) - before <= most
    assert len(every) == 31
    beside = db.execute(
        f"SELECT type, entity, tag FROM (SELECT *, 0 + 0 FROM entitydb_tags LIMIT -1 OFFSET 0) WHERE {where}"
    ).fetchall()
    assert sorted(found) == sorted(beside) != []
