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


@pytest.mark.slow
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
    assert names - {"entitydb_history"} == OWN_TABLES  # that is no table, and makes some


def test_the_scratch_database_has_the_columns_that_the_engine_declares(db: driver.Connection) -> None:
    only_written = {"entitydb_ddl", "entitydb_put", "entitydb_set"}
    assert set(OWN_COLUMNS) == OWN_TABLES - only_written
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


@pytest.mark.slow
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
          "SEARCH entitydb_tagged USING TAG EXPRESSION (type=? AND expression=?)"]),
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


# ---- tables as wholes ----


def test_a_table_made_of_a_query_has_its_rows_and_none_of_its_tags(db: driver.Connection) -> None:
    db.execute("CREATE TABLE copied AS SELECT * FROM a")
    assert db.catalog()["copied"].columns[1].tag is None
    db.execute("CREATE TABLE taggings AS SELECT * FROM entitydb_tags")
    assert sorted(db.execute("SELECT type, entity, tag FROM taggings").fetchall()) == EXPECTED
    assert [column.name for column in db.catalog()["taggings"].columns] == [
        "type", "entity", "tag", "namespace", "value", "since",
    ]  # fmt: skip
    db.execute("CREATE TABLE live AS SELECT a.* FROM a, entitydb_tagged('a', 's:live') AS t WHERE t.entity = a.id")
    assert db.execute("SELECT id FROM live").fetchall() == [(1,)]
    assert tags(db) == EXPECTED


KEPT = [row for row in EXPECTED if row[0] == "b"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("definition", "query", "expected"),
    [
        ("id INTEGER PRIMARY KEY, s TEXT, x TEXT", "SELECT * FROM a", EXPECTED[:3]),
        ("id INTEGER PRIMARY KEY, s VARCHAR(9) TAG 's', x TEXT TAG 'x'", "SELECT * FROM a WHERE id <> 2",
         [("a", 1, "h:1"), ("a", 1, "s:live"), ("a", 1, "x:p"), ("a", 3, "x:r")]),
        ("id INTEGER PRIMARY KEY, x TEXT", "SELECT id, x FROM a", [("a", 1, "h:1")]),
        ("id INTEGER PRIMARY KEY, state TEXT", "SELECT id, s AS state FROM a", EXPECTED[:3]),
        ("id INTEGER PRIMARY KEY, s TEXT, x TEXT TAG 's'", "SELECT id, NULL AS s, x FROM a", None),
        ("id INTEGER PRIMARY KEY, s TEXT TAG 'z', x TEXT TAG 's'", "SELECT * FROM a",
         [("a", 1, "h:1"), ("a", 1, "s:p"), ("a", 1, "z:live"), ("a", 2, "s:q"), ("a", 2, "z:draft"), ("a", 3, "s:r")]),
        ("id INTEGER PRIMARY KEY, s TEXT, x TEXT", "SELECT a.* FROM a JOIN entitydb_tags AS t ON t.type = 'a'"
         " AND t.entity = a.id AND t.tag = 'h:1'", EXPECTED[:2]),
        ("id INTEGER PRIMARY KEY, s TEXT, x TEXT", "SELECT id + 1 AS id, s, x FROM a WHERE id < 3",
         [("a", 2, "s:live"), ("a", 3, "s:draft")]),
        ("id TEXT PRIMARY KEY, s TEXT, x TEXT", "SELECT 'k' || id AS id, s, x FROM a", []),
    ],
)  # fmt: skip
def test_a_table_made_anew_keeps_the_tags_of_rows_that_stay(
    db: driver.Connection, definition: str, query: str, expected: list[Any] | None
) -> None:
    """Where another column becomes the key it is another table, and its rows are others."""
    sql = f"CREATE OR REPLACE TABLE a({definition}) AS {query}"
    if expected is None:
        with pytest.raises(ex.OperationalError, match="has the namespace 's'"):
            db.execute(sql)
        expected = EXPECTED[:3]
    else:
        db.execute(sql)
    assert tags(db) == [*expected, *KEPT]
    db.rollback()
    assert tags(db) == EXPECTED


def test_vacuum_loses_nothing_and_copies_nothing(db: driver.Connection, tmp_path: Path) -> None:
    db.commit()
    db.execute("VACUUM")
    assert tags(db) == EXPECTED
    db.commit()
    with pytest.raises(ex.NotSupportedError, match=r"VACUUM INTO.*backup"):
        db.execute(f"VACUUM INTO '{tmp_path / 'v.sqlite'}'")
    assert tags(db) == EXPECTED


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("ALTER TABLE a RENAME TO b2", [("b2", *row[1:]) if row[0] == "a" else row for row in EXPECTED]),
        ("ALTER TABLE a DROP COLUMN s", [row for row in EXPECTED if not row[2].startswith("s:")]),
        ("ALTER TABLE a DROP COLUMN x", EXPECTED),
        ("ALTER TABLE a RENAME COLUMN s TO state", EXPECTED),
        ("DROP TABLE a", EXPECTED[3:]),
    ],
)
def test_altered_tables_keep_their_tags_and_dropped_ones_take_them(
    db: driver.Connection, sql: str, expected: list[Any]
) -> None:
    db.execute(sql)
    assert tags(db) == sorted(expected)
    db.rollback()
    assert tags(db) == EXPECTED
    db.execute(sql)
    db.commit()
    assert tags(db) == sorted(expected)


# ---- queries, scripts, counts ----


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("WITH live AS (SELECT entity FROM entitydb_tagged('a', 's:live')) SELECT x FROM a JOIN live ON entity = id",
         [("p",)]),
        ("WITH entitydb_tags AS (SELECT 7 AS tag) SELECT tag FROM entitydb_tags", [(7,)]),
        ("SELECT a.id, t.tag FROM a LEFT JOIN entitydb_tags AS t ON t.type = 'a' AND t.entity = a.id ORDER BY 1, 2",
         [(1, "h:1"), (1, "s:live"), (2, "s:draft"), (3, None)]),
        ("SELECT x.tag FROM entitydb_tags AS x JOIN entitydb_tags AS y USING (type, entity) WHERE y.tag = 'h:1'"
         " ORDER BY 1", [("h:1",), ("s:live",)]),
        ("SELECT t.type, t.entity, g.entity FROM entitydb_tags AS t, entitydb_tagged(t.type, t.tag) AS g"
         " WHERE t.type = 'b' ORDER BY 2", [("b", 1, 1), ("b", 2, 2)]),
        ("SELECT id FROM a WHERE EXISTS (SELECT 1 FROM entitydb_tags AS t WHERE t.type = 'a' AND t.entity = a.id"
         " AND t.tag = 'h:1')", [(1,)]),
        ("SELECT id FROM a WHERE (id, 'h:1') IN (SELECT entity, tag FROM entitydb_tags WHERE type = 'a')", [(1,)]),
        ("SELECT namespace, count(*), min(value) FROM entitydb_tags GROUP BY 1 ORDER BY 1",
         [("", 1, "plain"), ("h", 2, "1"), ("s", 2, "draft")]),
        ("SELECT count(*) FROM entitydb_tags", [(5,)]),
        ("SELECT min(tag), max(tag) FROM entitydb_tags", [("h:1", "s:live")]),
        ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i, tag FROM n"
         " JOIN entitydb_tags ON type = 'b' AND entity = i ORDER BY 1", [(1, "plain"), (2, "h:2")]),
        ("SELECT tag FROM entitydb_tags WHERE type = 'b' EXCEPT SELECT 'h:' || value FROM entitydb_tags", [("plain",)]),
    ],
)  # fmt: skip
def test_queries_read_tags_like_tables(db: driver.Connection, sql: str, rows: list[Any]) -> None:
    assert db.execute(sql).fetchall() == rows


@pytest.mark.parametrize(
    ("sql", "count", "expected"),
    [
        ("WITH w(t, e, g) AS (VALUES ('a', 2, 'w')) INSERT INTO entitydb_tags(type, entity, tag) SELECT * FROM w", 1,
         [*EXPECTED, ("a", 2, "w")]),
        ("WITH w(e) AS (VALUES (1)) DELETE FROM entitydb_tags WHERE type = 'b' AND entity IN (SELECT e FROM w)", 1,
         [row for row in EXPECTED if row != ("b", 1, "plain")]),
        ("INSERT INTO entitydb_tags(type, entity, tag) SELECT 'b', entity, tag FROM entitydb_tags WHERE type = 'a'", 3,
         [*EXPECTED, ("b", 1, "h:1"), ("b", 1, "s:live"), ("b", 2, "s:draft")]),
        ("DELETE FROM entitydb_tags WHERE namespace <> 's'", 3, [row for row in EXPECTED if row[2].startswith("s:")]),
        ("UPDATE a SET x = t.tag FROM entitydb_tags AS t WHERE t.type = 'a' AND t.entity = a.id AND namespace = 'h'", 1,
         EXPECTED),
        ("DELETE FROM a WHERE id IN (SELECT entity FROM entitydb_tagged('a', 'h:*'))", 1, EXPECTED[2:]),
        ("UPDATE a SET s = 'same'", 3,
         [("a", 1, "h:1"), ("a", 1, "s:same"), ("a", 2, "s:same"), ("a", 3, "s:same"), *KEPT]),
    ],
)  # fmt: skip
def test_changes_count_the_rows_of_what_is_written_to(
    db: driver.Connection, sql: str, count: int, expected: list[Any]
) -> None:
    """Of entitydb_tags those that came or went; the tags that a column gives and takes are counted nowhere."""
    before = db.total_changes
    cursor = db.cursor()
    cursor.execute("INSERT INTO b VALUES (9, 9)")
    assert cursor.lastrowid == 9
    cursor.execute(sql)
    assert cursor.rowcount == count
    assert cursor.lastrowid == 9, "a tagging has no row id"
    assert db.total_changes == before + 1 + count
    assert tags(db) == sorted(expected)


def test_batches_and_scripts_of_tags_count_and_fail_like_those_of_rows(db: driver.Connection) -> None:
    before = db.total_changes
    rows = [(1, "t"), (1, "t"), (1, "u"), (2, "u")]
    assert db.executemany(INSERT + "('a', ?, ?)", rows).rowcount == 3
    assert db.executemany("DELETE FROM entitydb_tags WHERE tag = ?", [("t",), ("never",), ("u",)]).rowcount == 3
    assert db.total_changes == before + 6
    with pytest.raises(ex.IntegrityError, match="no row 99"):
        db.executemany(INSERT + "('a', ?, ?)", [(1, "kept"), (99, "x"), (2, "not reached")])
    assert tags(db) == sorted([*EXPECTED, ("a", 1, "kept")])
    db.rollback()
    script = [INSERT + f"('a', 1, 'k{i % 7}');" for i in range(20)]
    db.executescript("\n".join(["BEGIN;", *script, "COMMIT;"]))
    assert db.total_changes == before + 6 + 7, "inserts that begin alike run together"
    assert len(tags(db)) == len(EXPECTED) + 7
    db.rollback()
    with pytest.raises(ex.IntegrityError, match="no row 99"):
        db.executescript("\n".join(["BEGIN;", INSERT + "('b', 1, 'one');", INSERT + "('b', 99, 'x');", "COMMIT;"]))
    assert ("b", 1, "one") in tags(db), "each statement is done or not by itself"
    db.rollback()
    db.executescript("CREATE TABLE c(id INTEGER PRIMARY KEY, v TEXT TAG 'v'); INSERT INTO c VALUES (1, 'x');"
                     "ALTER TABLE c ALTER COLUMN v SET TAG 'w'; DELETE FROM entitydb_tags WHERE tag = 'plain'")
    assert [row for row in tags(db) if row[0] == "c" or row[2] == "plain"] == [("c", 1, "w:x")]


def test_reading_tags_writes_nothing(db: driver.Connection, connect: Connect) -> None:
    """It works where nothing can be written, conflicts with nobody, and makes no commit."""
    reads = ("SELECT tag FROM entitydb_tags", "SELECT entity FROM entitydb_tagged('a', 'h:1 | s:draft')")
    guest = connect(read_only=True)
    for sql in reads:
        assert guest.execute(sql).fetchall()
    guest.commit()
    for sql in (INSERT + "('a', 1, 'x')", "DELETE FROM entitydb_tags WHERE type = 'b'"):
        with pytest.raises(ex.OperationalError, match="attempt to write a readonly database"):
            guest.execute(sql)
    reader = connect(isolation_level="SERIALIZABLE")
    number = reader.last_commit
    for sql in reads:
        reader.execute(sql).fetchall()
    db.execute("DELETE FROM entitydb_tags WHERE type = 'b'")
    db.execute("UPDATE a SET s = 'other'")
    db.commit()
    assert reader.execute(reads[1]).fetchall() == [(1,), (2,)], "a snapshot"
    reader.commit()
    assert reader.last_commit == number
    assert reader.execute(reads[1]).fetchall() == [(1,)]
