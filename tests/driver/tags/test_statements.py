"""Each kind of statement over entitydb_tags and entitydb_tagged: it does what it does to tables, or says why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import _exceptions as ex
from entitydb_dialect import driver
from entitydb_dialect.driver._catalog import OWN_TABLES
from entitydb_dialect.driver.ddl.scratch import OWN_COLUMNS

Connect = Callable[..., driver.Connection]
INSERT = "INSERT INTO entitydb_tags(type, entity, tag) VALUES "


def tags(db: driver.Connection) -> list[Any]:
    return sorted(db.execute("SELECT type, entity, tag FROM entitydb_tags").fetchall())


@pytest.fixture
def db(connect: Connect) -> driver.Connection:
    db = connect(page_size=8192)
    db.execute("CREATE TABLE a(id INTEGER PRIMARY KEY, s TEXT TAG 's', x TEXT)")
    db.execute("CREATE TABLE b(id INTEGER PRIMARY KEY, n INTEGER)")
    db.execute("INSERT INTO a VALUES (1, 'live', 'p'), (2, 'draft', 'q'), (3, NULL, 'r')")
    db.execute("INSERT INTO b VALUES (1, 10), (2, 20)")
    db.execute(INSERT + "('a', 1, 'h:1'), ('b', 2, 'h:2'), ('b', 1, 'plain')")
    db.commit()
    return db


EXPECTED = [("a", 1, "h:1"), ("a", 1, "s:live"), ("a", 2, "s:draft"), ("b", 1, "plain"), ("b", 2, "h:2")]


# ---- RETURNING, ON CONFLICT, OR ... ----


@pytest.mark.parametrize(
    "sql",
    [
        INSERT + "('a', 2, 'n') RETURNING *",
        INSERT + "('a', 2, 'n'), ('a', 3, 'n') ON CONFLICT DO NOTHING RETURNING tag",
        "DELETE FROM entitydb_tags WHERE type = 'b' RETURNING tag",
        "WITH w AS (SELECT 1) DELETE FROM main.ENTITYDB_TAGS RETURNING 1",
        "INSERT INTO entitydb_labels(label) VALUES ('x') RETURNING label",
    ],
)
def test_returning_is_refused_by_name_and_nothing_is_written(db: driver.Connection, sql: str) -> None:
    with pytest.raises(ex.NotSupportedError, match=r"(?i)RETURNING on entitydb_(tags|labels)"):
        db.execute(sql)
    assert not db.in_transaction
    assert tags(db) == EXPECTED


@pytest.mark.parametrize("terms", ["", "(type, entity, tag)", "(TAG,type,entity)"])
def test_a_tag_that_is_there_is_passed_over_with_and_without_a_clause(db: driver.Connection, terms: str) -> None:
    clause = f"ON CONFLICT {terms} DO NOTHING"
    for sql in (INSERT + "('a', 1, 'h:1'), ('a', 1, 'new')", INSERT + f"('a', 1, 'h:1'), ('a', 1, 'more') {clause}"):
        assert db.execute(sql).rowcount == 1
    assert tags(db) == sorted([*EXPECTED, ("a", 1, "new"), ("a", 1, "more")])


@pytest.mark.parametrize(
    ("clause", "error", "said"),
    [
        ("ON CONFLICT DO UPDATE SET tag = 'x'", ex.NotSupportedError, "DO UPDATE on entitydb_tags"),
        ("ON CONFLICT (type, entity, tag) DO UPDATE SET tag = excluded.tag", ex.NotSupportedError, "DO UPDATE"),
        ("ON CONFLICT (key) DO NOTHING", ex.OperationalError, "does not match any"),
        ("ON CONFLICT (type, entity) DO NOTHING", ex.OperationalError, "does not match any"),
        ("ON CONFLICT (type, entity, lower(tag)) DO NOTHING", ex.OperationalError, "does not match any"),
        ("ON CONFLICT (type, entity, tag COLLATE NOCASE) DO NOTHING", ex.OperationalError, "does not match any"),
        ("ON CONFLICT (type, entity, tag) WHERE 1 DO NOTHING", ex.OperationalError, "does not match any"),
        ("ON CONFLICT DO NOTHING ON CONFLICT (tag) DO NOTHING", ex.OperationalError, "near"),
    ],
)  # fmt: skip
def test_a_clause_that_would_mean_something_else_is_refused(
    db: driver.Connection, clause: str, error: type[Exception], said: str
) -> None:
    for row in ("('a', 1, 'h:1')", "('a', 2, 'n')"):
        with pytest.raises(error, match=said):
            db.execute(INSERT + f"{row} {clause}")
    assert tags(db) == EXPECTED


@pytest.mark.parametrize("word", ["IGNORE", "REPLACE", "FAIL", "ABORT", "ROLLBACK"])
def test_insert_or_something_means_present_tags_and_not_missing_rows(db: driver.Connection, word: str) -> None:
    """Like a foreign key in SQLite, which OR ... does not reach: the statement is undone, and nothing else."""
    into = INSERT.replace("INSERT", f"INSERT OR {word}")
    assert db.execute(into + "('a', 1, 'h:1'), ('a', 1, 'h:9')").rowcount == 1
    expected = sorted([*EXPECTED, ("a", 1, "h:9")])
    for row, error in (("99, 'x'", ex.IntegrityError), ("1, ''", ex.DataError), ("1, 's:x'", ex.ProgrammingError)):
        with pytest.raises(error):
            db.execute(into + f"('a', 3, 'first'), ('a', {row})")
        assert db.in_transaction
        assert tags(db) == expected
    assert db.execute("REPLACE INTO entitydb_tags(type, entity, tag) VALUES ('a', 1, 'h:9')").rowcount == 0


# ---- the names ----


@pytest.mark.parametrize("name", ["entitydb_tags", "Entitydb_Tagged", '"entitydb_mine"'])
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE {}(x)", "CREATE TABLE IF NOT EXISTS {}(x)", "CREATE TABLE {} AS SELECT 1",
        "CREATE VIEW {} AS SELECT 1", "CREATE OR REPLACE TABLE {}(x)", "CREATE INDEX {} ON a(x)",
        "ALTER TABLE a RENAME TO {}", "CREATE TEMP TABLE {}(x)", "CREATE TABLE temp.{}(x)",
        "CREATE TEMP VIEW {} AS SELECT 1", "CREATE TEMP TABLE {} AS SELECT 1",
        "CREATE VIRTUAL TABLE temp.{} USING fts5(x)", "ALTER TABLE temp.u RENAME TO {}",
        "CREATE TRIGGER temp.{} AFTER INSERT ON u BEGIN SELECT 1; END",
    ],
)  # fmt: skip
def test_names_that_begin_like_ours_are_given_to_nothing(db: driver.Connection, sql: str, name: str) -> None:
    """A TEMP table, or one of a file of SQLite's, would stand before the engine's."""
    db.execute("CREATE TEMP TABLE u(x)")
    db.commit()
    with pytest.raises(ex.OperationalError, match="reserved"):
        db.execute(sql.format(name))
    assert tags(db) == EXPECTED


def test_a_file_of_sqlites_gets_no_table_of_the_name(db: driver.Connection, tmp_path: Path) -> None:
    db.execute("ATTACH ? AS sq", (str(tmp_path / "s.sqlite"),))
    with pytest.raises(ex.OperationalError, match="reserved"):
        db.execute("CREATE TABLE sq.entitydb_tags(x)")
    assert tags(db) == EXPECTED


@pytest.mark.parametrize(
    ("sql", "done"),
    [
        ("ALTER TABLE {} RENAME TO z", "altered"), ("ALTER TABLE main.{} ADD COLUMN z", "altered"),
        ("DROP TABLE {}", "dropped"), ("DROP TABLE IF EXISTS {}", "dropped"), ("DROP VIEW {}", "dropped"),
        ("CREATE INDEX i ON {}(tag)", "indexed"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["entitydb_tags", "ENTITYDB_tagged"])
def test_the_engines_tables_are_neither_altered_nor_dropped(
    db: driver.Connection, sql: str, done: str, name: str
) -> None:
    with pytest.raises(ex.OperationalError, match=f"table {name} may not be {done}"):
        db.execute(sql.format(name))
    assert tags(db) == EXPECTED


def test_tables_that_list_tables_do_not_list_ours(db: driver.Connection) -> None:
    tags(db)
    db.execute("SELECT * FROM entitydb_tagged('a', 's:live')").fetchall()
    for sql in (
        "SELECT name FROM sqlite_master", "SELECT name FROM main.sqlite_schema", "SELECT name FROM pragma_table_list",
        "SELECT tbl_name FROM sqlite_master",
    ):  # fmt: skip
        assert [name for (name,) in db.execute(sql).fetchall() if name.startswith("entitydb")] == []
    for sql in ("PRAGMA table_list", "PRAGMA main.table_list", "PRAGMA table_list('entitydb_tags')"):
        assert [row for row in db.execute(sql).fetchall() if row[1].startswith("entitydb")] == []
    columns = ["type", "entity", "tag", "namespace", "value", "since"]
    for sql in ("PRAGMA table_info(entitydb_tags)", "SELECT * FROM pragma_table_info('entitydb_tags')"):
        assert [row[1] for row in db.execute(sql).fetchall()] == columns


def test_all_of_the_engines_tables_are_known_by_name(db: driver.Connection) -> None:
    names = {name for (name,) in db.execute("PRAGMA module_list").fetchall() if name.startswith("entitydb_")}
    assert names == OWN_TABLES


def test_the_scratch_database_has_the_columns_that_the_engine_declares(db: driver.Connection) -> None:
    assert set(OWN_COLUMNS) == OWN_TABLES - {"entitydb_ddl", "entitydb_put"}, "these are only written to"
    for name, declared in OWN_COLUMNS.items():
        rows = db.execute(f"PRAGMA table_xinfo({name})").fetchall()
        assert ", ".join(row[1] + " HIDDEN" * row[6] for row in rows) == declared


# ---- views and triggers ----


@pytest.mark.parametrize(
    ("query", "renamed", "rows"),
    [
        ("SELECT a.x, t.tag FROM a JOIN entitydb_tags AS t ON t.type = 'b' AND t.entity = a.id AND a.id = 2",
         'SELECT "c".y, t.tag FROM "c" JOIN entitydb_tags AS t ON t.type = \'b\' AND t.entity = "c".id AND "c".id = 2',
         [("q", "h:2")]),
        ("SELECT x FROM a WHERE id IN (SELECT entity FROM entitydb_tagged('b', 'plain'))",
         'SELECT y FROM "c" WHERE id IN (SELECT entity FROM entitydb_tagged(\'b\', \'plain\'))', [("p",)]),
        ("SELECT entitydb_tags.tag, x FROM a, entitydb_tags WHERE entity = id AND type = 'b' AND key IS NOT NULL",
         'SELECT entitydb_tags.tag, y FROM "c", entitydb_tags WHERE entity = id AND type = \'b\' AND key IS NOT NULL',
         [("h:2", "q"), ("plain", "p")]),
        ("SELECT label, x FROM entitydb_labels, a WHERE place = id", 'SELECT label, y FROM entitydb_labels, "c"'
         " WHERE place = id", []),
    ],
)  # fmt: skip
def test_views_over_tags_follow_what_alter_table_renames(
    db: driver.Connection, query: str, renamed: str, rows: list[Any]
) -> None:
    db.execute(f"CREATE VIEW v AS {query}")
    assert sorted(db.execute("SELECT * FROM v").fetchall()) == rows
    db.execute("ALTER TABLE a RENAME TO c")
    db.execute("ALTER TABLE c RENAME COLUMN x TO y")
    assert db.execute("SELECT sql FROM sqlite_master WHERE name = 'v'").fetchone()[0] == f"CREATE VIEW v AS {renamed}"
    assert sorted(db.execute("SELECT * FROM v").fetchall()) == rows
    with pytest.raises(ex.OperationalError, match="error in view v after drop column"):
        db.execute("ALTER TABLE c DROP COLUMN y")
    with pytest.raises(ex.OperationalError, match="cannot modify v because it is a view"):
        db.execute("DELETE FROM v")


def test_a_view_is_as_of_the_moment_of_its_query(db: driver.Connection) -> None:
    db.execute("CREATE VIEW v AS SELECT type, entity, tag FROM entitydb_tags")
    db.commit()
    before = db.last_commit[1]
    db.execute("DELETE FROM entitydb_tags WHERE type = 'b'")
    db.commit()
    assert sorted(db.execute("SELECT * FROM v").fetchall()) == EXPECTED[:3]
    cursor = db.cursor()
    cursor.as_of = before
    assert sorted(cursor.execute("SELECT * FROM v").fetchall()) == EXPECTED


def test_triggers_neither_stand_on_tags_nor_write_them(db: driver.Connection) -> None:
    db.execute("CREATE TEMP TABLE u(x)")
    with pytest.raises(ex.NotSupportedError, match="no triggers"):
        db.execute("CREATE TRIGGER t AFTER INSERT ON entitydb_tags BEGIN SELECT 1; END")
    with pytest.raises(ex.OperationalError, match="cannot create triggers on virtual tables"):
        db.execute("CREATE TEMP TRIGGER t AFTER INSERT ON entitydb_tags BEGIN SELECT 1; END")
    changes = INSERT + "('a', 2, new.x)", "DELETE FROM entitydb_tags", "REPLACE INTO entitydb_labels VALUES (1)"
    for change in changes:
        with pytest.raises(ex.NotSupportedError, match="it would change table entitydb_"):
            db.execute(f"CREATE TEMP TRIGGER t AFTER INSERT ON u BEGIN {change}; END")
    db.execute("CREATE TEMP TABLE counted(n)")
    counting = "INSERT INTO counted SELECT count(*) FROM entitydb_tags"
    db.execute(f"CREATE TEMP TRIGGER t AFTER INSERT ON u BEGIN {counting}; END")
    db.execute("INSERT INTO u VALUES (1)")
    assert db.execute("SELECT n FROM counted").fetchall() == [(5,)]
    assert tags(db) == EXPECTED


# ---- EXPLAIN QUERY PLAN ----


@pytest.mark.parametrize(
    ("query", "plan"),
    [
        ("entitydb_tags", ["SCAN entitydb_tags"]),
        ("entitydb_tags AS t WHERE entity = 1", ["SCAN t"]),
        ("entitydb_tags AS t WHERE since > 5", ["SCAN t"]),
        ("main.entitydb_tags WHERE type = 'a'", ["SEARCH main.entitydb_tags USING TAGS BY ROW (type=?)"]),
        ("entitydb_tags AS t WHERE type = 'a' AND entity = 1", ["SEARCH t USING TAGS BY ROW (type=? AND entity=?)"]),
        ("entitydb_tags AS t WHERE type = 'a' AND entity = 1 AND tag > 'b'",
         ["SEARCH t USING TAGS BY ROW (type=? AND entity=?)"]),
        ("entitydb_tags AS t WHERE type = 'a' AND entity = 1 AND namespace = 'h'",
         ["SEARCH t USING TAGS BY ROW (type=? AND entity=?)"]),
        ("entitydb_tags AS t WHERE type = 'a' AND entity = 1 AND tag = 'h:1'",
         ["SEARCH t USING TAGS BY ROW (type=? AND entity=? AND tag=?)"]),
        ("entitydb_tags AS t WHERE type = 'a' AND entity = 1 AND namespace = 'h' AND value = '1'",
         ["SEARCH t USING TAGS BY ROW (type=? AND entity=? AND namespace=? AND value=?)"]),
        ("entitydb_tags AS t WHERE tag = 'h:1'", ["SEARCH t USING TAGS BY TEXT (tag=?)"]),
        ("entitydb_tags AS t WHERE tag = 'h:1' AND entity = 1", ["SEARCH t USING TAGS BY TEXT (tag=?)"]),
        ("entitydb_tags AS t WHERE tag = 'h:1' AND type = 'a'", ["SEARCH t USING TAGS BY TEXT (tag=? AND type=?)"]),
        ("entitydb_tags AS t WHERE namespace = 'h'", ["SEARCH t USING TAGS BY TEXT (namespace=?)"]),
        ("entitydb_tags AS t WHERE value = '1'", ["SCAN t"]),
        ("entitydb_tags AS t WHERE tag >= 'h' AND tag < 'i'", ["SEARCH t USING TAGS BY TEXT (tag>=? AND tag<?)"]),
        ("entitydb_tags AS t WHERE tag > 'h' AND tag <= 'i' AND type = 'a'",
         ["SEARCH t USING TAGS BY TEXT (tag>? AND tag<=? AND type=?)"]),
        ("entitydb_tags AS t WHERE tag GLOB 'h*'", ["SEARCH t USING TAGS BY TEXT (tag GLOB ? AND tag>=? AND tag<?)"]),
        ("entitydb_tags AS t WHERE tag IN ('h:1', 'h:2')", ["SEARCH t USING TAGS BY TEXT (tag=?)"]),
        ("a LEFT JOIN entitydb_tags AS t ON t.type = 'a' AND t.entity = a.id AND t.tag = 'h:1'",
         ["SCAN a", "SEARCH t USING TAGS BY ROW (type=? AND entity=? AND tag=?) LEFT-JOIN"]),
        ("entitydb_tagged('a', 'h:1')", ["SEARCH entitydb_tagged USING TAG EXPRESSION (type=? AND expression=?)"]),
        ("entitydb_tagged('a', 'h:1') AS g WHERE entity = 5",
         ["SEARCH g USING TAG EXPRESSION (type=? AND expression=? AND entity=?)"]),
        ("entitydb_tagged('a', 'h:1') AS g WHERE entity >= 5",
         ["SEARCH g USING TAG EXPRESSION (type=? AND expression=? AND entity>?)"]),
        ("a WHERE id IN (SELECT entity FROM entitydb_tagged('a', ?1))",
         ["SEARCH a USING INTEGER PRIMARY KEY (rowid=?)", "LIST SUBQUERY 1",
          "SEARCH entitydb_tagged USING TAG EXPRESSION (type=? AND expression=?)", "REUSE LIST SUBQUERY 1"]),
        ("entitydb_entities", ["SCAN entitydb_entities"]),
        ("entitydb_entities AS e WHERE type = 'a'", ["SEARCH e USING ENTITIES (type=?)"]),
        ("entitydb_entities AS e WHERE id = 5", ["SEARCH e USING ENTITIES (id=?)"]),
        ("entitydb_entities AS e WHERE type = 'a' AND id = 5", ["SEARCH e USING ENTITIES (type=? AND id=?)"]),
        ("entitydb_labels", ["SCAN entitydb_labels VIRTUAL TABLE INDEX 0:"]),
    ],
)  # fmt: skip
def test_plans_say_which_conditions_lead_to_tags_and_entities(
    db: driver.Connection, query: str, plan: list[str]
) -> None:
    sql = f"EXPLAIN QUERY PLAN SELECT * FROM {query}"
    assert [row[3] for row in db.execute(sql, ("x",) if "?1" in sql else ()).fetchall()] == plan
