"""Column(info={"versioned": False}), UNVERSIONED in SQL: declared, refused, altered, reflected, dumped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, Text, create_engine, exc, insert, text

from entitydb_dialect import check, commit_moment, driver, undrop, verify

URLS = ["entitydb://", "sqlite+entitydb://"]


def unversioned(engine: Engine, table: str = "t") -> list[str]:
    """As reflection has them."""
    reflected = Table(table, MetaData(), autoload_with=engine)
    return [c.name for c in reflected.columns if c.info == {"versioned": False}]


def run(engine: Engine, *statements: str) -> int:
    with engine.begin() as connection:
        for sql in statements:
            connection.execute(text(sql))
    return commit_moment(engine)


def rows(engine: Engine, as_of: int | None = None, what: str = "*", table: str = "t") -> list[Any]:
    options = {} if as_of is None else {"as_of": as_of}
    with engine.connect() as connection:
        found = connection.execute(text(f"SELECT {what} FROM {table} ORDER BY 1"), execution_options=options)
        return [tuple(row) for row in found]


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    made = create_engine(f"entitydb:///{tmp_path / 'a.edb'}")
    yield made
    assert not check(made)
    verify(made).require()
    made.dispose()


@pytest.mark.parametrize("url", URLS)
def test_a_column_of_a_model_is_unversioned_and_is_reflected_as_one(url: str) -> None:
    engine = create_engine(url)
    table = Table(
        "t",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("seen", String(20), nullable=False, server_default="never", info={"versioned": False, "other": 1}),
        Column("kept", Text, info={"versioned": True}),
        Column("counted", Integer, info={"versioned": False}),
    )
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(insert(table).values(kept="k", counted=1))
    assert unversioned(engine) == ["seen", "counted"]
    assert rows(engine) == [(1, "never", "k", 1)]
    assert rows(engine, commit_moment(engine)) == [(1, None, "k", None)]


def test_info_that_is_no_bool_is_named() -> None:
    table = Table("a", MetaData(), Column("s", String, info={"versioned": 0}))
    with pytest.raises(exc.CompileError, match=r"a\.s: info\['versioned'\] is 0"):
        table.create(create_engine("entitydb://"))


def test_where_the_word_stands_and_where_it_is_a_name(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INTEGER UNVERSIONED DEFAULT 1,"
        " b TEXT NOT NULL DEFAULT 'x' unversioned, c UNVERSIONED, unversioned TEXT,"
        " d VARCHAR(10) CHECK (d <> 'unversioned') UNVERSIONED COLLATE NOCASE)",
        "ALTER TABLE t ADD COLUMN e REAL UNVERSIONED",
        "ALTER TABLE t ADD COLUMN f REAL",
        "INSERT INTO t(unversioned) VALUES ('u')",
    )
    assert unversioned(engine) == ["a", "b", "c", "d", "e"]
    assert rows(engine, commit_moment(engine)) == [(1, None, None, None, "u", None, None, None)]


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (["CREATE TABLE t(a INTEGER PRIMARY KEY UNVERSIONED)"], "primary key"),
        (["CREATE TABLE t(a TEXT PRIMARY KEY UNVERSIONED)"], "primary key"),
        (["CREATE TABLE t(a TEXT UNIQUE UNVERSIONED)"], "unique"),
        (["CREATE TABLE t(a TEXT UNVERSIONED, b, UNIQUE (b, a))"], "unique"),
        (["CREATE TABLE t(a TEXT UNVERSIONED)", "CREATE INDEX i ON t(a)"], "index i has it"),
        (["CREATE TABLE t(a TEXT UNVERSIONED)", "CREATE INDEX i ON t(lower(a))"], "index i has it"),
        (["CREATE TABLE t(a TEXT UNVERSIONED, b)", "CREATE INDEX i ON t(b) WHERE a > 1"], "index i has it"),
        (["CREATE TABLE p(x INTEGER PRIMARY KEY)", "CREATE TABLE t(a REFERENCES p UNVERSIONED)"], "refers to p"),
        (["CREATE TABLE t(a UNVERSIONED, b AS (a + 1))"], "b is generated from it"),
        (["CREATE TABLE t(a, b AS (a + 1) STORED UNVERSIONED)"], "it is generated"),
        (["CREATE TABLE t(a TEXT TAG 'x' UNVERSIONED)"], "tags of 'x'"),
        (["CREATE TABLE t(a TEXT UNVERSIONED)", "ALTER TABLE t ALTER COLUMN a SET TAG 'x'"], "tags of 'x'"),
        (["CREATE TABLE t(a)", "CREATE INDEX i ON t(a)", "ALTER TABLE t ALTER COLUMN a SET UNVERSIONED"], "index i"),
        (["CREATE TABLE t(a UNVERSIONED)", "ALTER TABLE t ADD COLUMN b AS (a)"], "generated from it"),
    ],
)
def test_what_would_have_a_history_elsewhere_is_refused(engine: Engine, statements: list[str], why: str) -> None:
    run(engine, "CREATE TABLE kept(x)", *statements[:-1])
    with pytest.raises(exc.OperationalError, match=rf"t\.[ab] cannot be UNVERSIONED: .*{why}"):
        run(engine, statements[-1])


def test_a_column_begins_and_ceases_to_have_none(engine: Engine) -> None:
    """Each moment is told by what the column was then."""
    run(engine, "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, k)")
    first = run(engine, "INSERT INTO t VALUES (1, 10, 'a'), (2, 20, 'a')")
    without = run(engine, "ALTER TABLE t ALTER COLUMN n SET UNVERSIONED")
    assert (unversioned(engine), rows(engine)) == (["n"], [(1, 10, "a"), (2, 20, "a")])
    counted = run(engine, "UPDATE t SET n = n + 1 WHERE id = 1")
    again = run(engine, "ALTER TABLE t ALTER COLUMN n DROP UNVERSIONED")
    last = run(engine, "UPDATE t SET n = n + 100 WHERE id = 1")
    run(engine, "UPDATE t SET n = 0")
    for _ in range(2):
        assert rows(engine, first) == [(1, 10, "a"), (2, 20, "a")]
        assert rows(engine, without) == rows(engine, counted) == [(1, None, "a"), (2, None, "a")]
        assert rows(engine, again) == [(1, 11, "a"), (2, 20, "a")]
        assert rows(engine, last) == [(1, 111, "a"), (2, 20, "a")]
        assert rows(engine) == [(1, 0, "a"), (2, 0, "a")]
        versions = rows(engine, None, "valid_from, n", "t FOR SYSTEM_TIME ALL WHERE id = 1")
        assert [n for _, n in versions][-3:] == [11, 111, 0]
        driver_pack(engine)
    assert unversioned(engine) == []


def driver_pack(engine: Engine) -> None:
    raw: Any = engine.raw_connection()
    raw.driver_connection.database.pack()
    raw.close()


def test_it_stays_with_the_column_whatever_is_altered(engine: Engine) -> None:
    run(engine, "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER DEFAULT 5 UNVERSIONED, k)")
    run(engine, "INSERT INTO t(k) VALUES (1)")
    run(engine, "ALTER TABLE t RENAME COLUMN n TO m")
    run(engine, "ALTER TABLE t ALTER COLUMN m TYPE TEXT")
    run(engine, "ALTER TABLE t ALTER COLUMN m SET NOT NULL")
    run(engine, "ALTER TABLE t ADD CONSTRAINT c CHECK (m <> '')")
    run(engine, "ALTER TABLE t RENAME TO u")
    moment = run(engine, "UPDATE u SET m = '7'")
    assert unversioned(engine, "u") == ["m"]
    assert rows(engine, moment, "m", "u") == [(None,)]
    assert rows(engine, None, "m", "u") == [("7",)]
    run(engine, "CREATE OR REPLACE TABLE u(id INTEGER PRIMARY KEY, k, m TEXT, z) AS SELECT id, k, m, NULL AS z FROM u")
    assert unversioned(engine, "u") == ["m"]
    run(engine, "ALTER TABLE u DROP COLUMN m", "ALTER TABLE u ADD COLUMN m TEXT")
    assert unversioned(engine, "u") == []
    moment = run(engine, "UPDATE u SET m = 'x'")
    assert rows(engine, moment, "m", "u") == [("x",)]


def test_a_batch_may_say_it(engine: Engine) -> None:
    first = run(engine, "CREATE TABLE t(id INTEGER PRIMARY KEY, n)", "INSERT INTO t VALUES (1, 2)")
    run(engine, "CREATE OR REPLACE TABLE t(id INTEGER PRIMARY KEY, n UNVERSIONED) AS SELECT id, n FROM t")
    assert unversioned(engine) == ["n"]
    assert (rows(engine, first), rows(engine, commit_moment(engine))) == ([(1, 2)], [(1, None)])
    assert rows(engine) == [(1, 2)]


def test_dumps_and_copies_keep_it(engine: Engine, tmp_path: Path) -> None:
    run(engine, "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER NOT NULL UNVERSIONED, k)")
    run(engine, "INSERT INTO t VALUES (1, 2, 3)")
    raw: Any = engine.raw_connection()
    dump = list(raw.driver_connection.iterdump())
    assert dump[1] == "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER UNVERSIONED NOT NULL, k);"
    with driver.connect(tmp_path / "b.edb") as copy, driver.connect(tmp_path / "c.edb") as other:
        copy.executescript("\n".join(dump))
        raw.driver_connection.backup(other)
        for found in (copy, other):
            assert found.execute("SELECT * FROM t").fetchall() == [(1, 2, 3)]
            assert [c.name for c in found.catalog()["t"].columns if c.unversioned] == ["n"]
    raw.close()


def test_what_comes_back_has_none_either(engine: Engine) -> None:
    run(
        engine, "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER NOT NULL DEFAULT 7 UNVERSIONED, k)",
        "INSERT INTO t VALUES (1, 2, 3)",
    )  # fmt: skip
    run(engine, "DROP TABLE t")
    with engine.begin() as connection:
        undrop(connection, "t")
    assert (unversioned(engine), rows(engine)) == (["n"], [(1, 7, 3)])
    run(engine, "ALTER TABLE t DROP COLUMN n")
    with engine.begin() as connection:
        undrop(connection, "t.n")
    assert (unversioned(engine), rows(engine, None, "id, n")) == (["n"], [(1, 7)])


def test_a_column_that_was_dropped_is_proved_as_before(engine: Engine) -> None:
    run(engine, "CREATE TABLE t(id INTEGER PRIMARY KEY, n UNVERSIONED, k)", "CREATE TABLE gone(n UNVERSIONED)")
    run(engine, "INSERT INTO t VALUES (1, 2, 3)", "INSERT INTO gone VALUES (1)")
    run(engine, "UPDATE t SET n = 5", "UPDATE gone SET n = 7")
    run(engine, "ALTER TABLE t DROP COLUMN n", "DROP TABLE gone")
    run(engine, "UPDATE t SET k = 5")
    driver_pack(engine)
    verify(engine).require()


def test_said_before_there_are_rows_it_costs_no_other_place(engine: Engine) -> None:
    """As a migration says it, behind CREATE TABLE, in its transaction or another one."""
    run(engine, "CREATE TABLE t(id INTEGER PRIMARY KEY, n)", "ALTER TABLE t ALTER COLUMN n SET UNVERSIONED")
    run(engine, "CREATE TABLE u(id INTEGER PRIMARY KEY, n)")
    run(engine, "ALTER TABLE u ALTER COLUMN n SET UNVERSIONED", "INSERT INTO u VALUES (1, 2)")
    run(engine, "CREATE TABLE v(id INTEGER PRIMARY KEY, n)", "INSERT INTO v VALUES (1, 2)", "DELETE FROM v")
    run(engine, "ALTER TABLE v ALTER COLUMN n SET UNVERSIONED")
    run(engine, "CREATE TABLE w(id INTEGER PRIMARY KEY, n)", "INSERT INTO w VALUES (1, 2)")
    run(engine, "DELETE FROM w")
    run(engine, "ALTER TABLE w ALTER COLUMN n SET UNVERSIONED")
    raw: Any = engine.raw_connection()
    catalog = raw.driver_connection.catalog()
    raw.close()
    assert {name: (catalog[name].columns[1].id, catalog[name].columns[1].earlier) for name in "tuvw"} == {
        "t": (1, ()), "u": (1, ()), "v": (1, ()), "w": (2, (1,)),
    }  # fmt: skip
    assert rows(engine, commit_moment(engine), table="u") == [(1, None)]


def test_rows_of_another_transaction_count_too(engine: Engine) -> None:
    run(engine, "CREATE TABLE t(id INTEGER PRIMARY KEY, n)")
    with engine.connect() as one, engine.connect() as other:
        one.execute(text("ALTER TABLE t ALTER COLUMN n SET UNVERSIONED"))
        other.execute(text("INSERT INTO t VALUES (1, 2)"))
        other.commit()
        with pytest.raises(exc.OperationalError):
            one.commit()
    assert unversioned(engine) == []


def test_what_was_dropped_is_read_without_them(engine: Engine) -> None:
    run(engine, "CREATE TABLE t(id INTEGER PRIMARY KEY, n UNVERSIONED, k)", "CREATE VIEW v AS SELECT id, n, k FROM t")
    moment = run(engine, "INSERT INTO t VALUES (1, 2, 3)")
    run(engine, "UPDATE t SET n = 7")
    run(engine, "DROP VIEW v", "DROP TABLE t")
    assert rows(engine, moment) == [(1, None, 3)]
    assert rows(engine, None, "id, n, k", "t FOR SYSTEM_TIME ALL") == [(1, None, 3)]
    then = engine.execution_options(as_of=moment, schema="then")
    with then.connect() as connection:
        assert connection.execute(text("SELECT * FROM t")).all() == [(1, None, 3)]
        assert connection.execute(text("SELECT * FROM v")).all() == [(1, None, 3)]
    told = "SELECT content FROM entitydb_versions WHERE type = 't'"
    with engine.connect() as connection:
        assert connection.execute(text(told)).scalars().all() == ['{"id":1,"n":null,"k":3}']


def test_joins_groups_and_orders_of_the_past_meet_null(engine: Engine) -> None:
    """With so many rows that a join makes an index for itself."""
    run(engine, "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER UNVERSIONED, k INTEGER)")
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO t VALUES (:i, :n, :n)"), [{"i": i, "n": i % 50} for i in range(1, 2001)]
        )
    moment = commit_moment(engine)
    run(engine, "UPDATE t SET n = n + 1")
    run(engine, "ANALYZE")
    joined = "t AS a JOIN t AS b ON a.{0} = b.{0} WHERE a.id <= 10 AND b.id > 10"
    assert rows(engine, moment, "count(*)", joined.format("n")) == [(0,)]
    assert rows(engine, moment, "count(*)", joined.format("k"))[0][0] == 10 * 40 - 10
    assert rows(engine, None, "count(*)", joined.format("n"))[0][0] == 10 * 40 - 10
    assert rows(engine, moment, "n, count(*)", "t GROUP BY n") == [(None, 2000)]
    assert rows(engine, moment, "count(*)", "t WHERE n IN (1, 2, 3) OR n > 5") == [(0,)]
    assert rows(engine, moment, "max(n), min(n), sum(n), count(n)", "t") == [(None, None, None, 0)]
    with engine.connect() as connection:
        sql = text("SELECT id FROM t ORDER BY n DESC, id DESC LIMIT 3")
        found = connection.execute(sql, execution_options={"as_of": moment}).scalars().all()
        assert found == [2000, 1999, 1998]


def test_rows_are_erased_as_others_are(engine: Engine) -> None:
    run(engine, "CREATE TABLE t(id INTEGER PRIMARY KEY, n TEXT UNVERSIONED, k TEXT)")
    run(engine, "INSERT INTO t VALUES (1, 'n', 'k'), (2, 'n', 'k')")
    for i in range(5):
        run(engine, f"UPDATE t SET n = 'n{i}'", f"UPDATE t SET k = 'k{i}' WHERE id = 1")
    moment = commit_moment(engine)
    driver_pack(engine)
    erase = "INSERT INTO entitydb_erasures(subject_table, key_hash, row_id{}) VALUES ('t', '', {}{})"
    run(engine, "UPDATE t SET n = NULL WHERE id = 2")
    run(engine, erase.format(", columns", 2, ", char(10) || 'n'"))
    run(engine, "DELETE FROM t WHERE id = 1")
    run(engine, erase.format("", 1, ""))
    assert rows(engine, moment) == [(2, None, "k")]
    assert verify(engine).reduced > 0
