"""Batch mode, made anew or not: the table stays the same one, and its history goes on."""

from __future__ import annotations

from typing import Any

import pytest

from entitydb_dialect import driver

from .conftest import Project

CREATE = """
    op.create_table(
        "p", sa.Column("id", sa.Integer, primary_key=True), sa.Column("up", sa.Integer, sa.ForeignKey("p.id")),
        sa.Column("name", sa.String(20), nullable=False),
    )
    op.create_table(
        "t", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.String(20)),
        sa.Column("b", sa.Integer, server_default="7"), sa.Column("p", sa.Integer, sa.ForeignKey("p.id", name="t_p")),
        sa.UniqueConstraint("a"), sa.CheckConstraint("b > 0", name="positive"),
    )
    op.create_index("t_b", "t", ["b"])
    op.execute("INSERT INTO p VALUES (1, NULL, 'root'), (2, 1, 'leaf')")
    op.execute("INSERT INTO t VALUES (1, 'one', 10, 1), (2, 'two', 20, 2)")
"""


def batch(body: str, table: str = "t", options: str = 'recreate="always"') -> str:
    lines = [f'with op.batch_alter_table("{table}", {options}) as batch:', *body.strip().splitlines()]
    return "\n    ".join(line.strip() for line in lines)


class Moments:
    """The database before a migration, and what it is as of then."""

    def __init__(self, project: Project, body: str, **keywords: Any) -> None:
        self.project = project
        project.revision("1", CREATE)
        project.alembic("upgrade", "1")
        db = driver.connect(project.folder / "app.edb")
        db.execute("UPDATE t SET b = b + 1")
        db.commit()
        self.moment = db.last_commit[1]
        db.execute("UPDATE t SET b = 12 WHERE id = 1")
        db.commit()
        self.versions = db.database.check()[1]["versions"]
        db.close()
        project.revision("2", body, before="1")
        project.alembic("upgrade", "2", **keywords)

    def then(self, sql: str) -> list[Any]:
        db = driver.connect(self.project.folder / "app.edb")
        cursor = db.cursor()
        cursor.as_of = self.moment
        rows = cursor.execute(sql).fetchall()
        assert db.database.check()[0] == []
        db.close()
        return rows

    def now(self, sql: str) -> list[Any]:
        return self.project.sql(sql)

    def written(self) -> int:
        db = driver.connect(self.project.folder / "app.edb")
        found = db.database.check()[1]["versions"] - self.versions
        db.close()
        return found


@pytest.mark.slow
def test_nothing_but_a_copy_changes_nothing(project: Project) -> None:
    moments = Moments(project, batch("pass"))
    assert moments.now("SELECT * FROM t") == [(1, "one", 12, 1), (2, "two", 21, 2)]
    assert moments.then("SELECT * FROM t") == [(1, "one", 11, 1), (2, "two", 21, 2)]
    (sql,) = moments.now("SELECT sql FROM sqlite_master WHERE name = 't'")[0]
    assert "tmp" not in sql
    assert sql.startswith("CREATE TABLE t")
    # The catalog's entry; the version, its key that goes and its key that comes; the label; the index, made again.
    assert moments.written() == 1 + 3 + 1 + 2


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["entitydb", "sqlite+entitydb"])
def test_rename_drop_add_and_order(project: Project, scheme: str) -> None:
    project.use(project.url.replace("entitydb", scheme, 1))
    moments = Moments(project, batch("""
        batch.alter_column("a", new_column_name="name", nullable=False)
        batch.drop_column("p")
        batch.add_column(sa.Column("c", sa.Integer, server_default="4", nullable=False), insert_before="b")
        batch.add_column(sa.Column("d", sa.Integer))
    """))
    names = [row[1] for row in moments.now("PRAGMA table_info(t)")]
    assert names == ["id", "name", "c", "b", "d"]
    assert moments.now("SELECT * FROM t") == [(1, "one", 4, 12, None), (2, "two", 4, 21, None)]
    assert moments.then("SELECT * FROM t") == [(1, "one", None, 11, None), (2, "two", None, 21, None)]
    assert moments.now("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL") == [("t_b",)]
    assert moments.now("PRAGMA foreign_key_list(t)") == []
    project.revision("3", 'op.execute("INSERT INTO t(name) VALUES (NULL)")', before="2")
    with pytest.raises(AssertionError, match="NOT NULL constraint failed"):
        project.alembic("upgrade", "3")


@pytest.mark.slow
def test_partial_reordering_makes_the_table_anew_by_itself(project: Project) -> None:
    moments = Moments(project, batch(
        'batch.alter_column("a", nullable=False)', options='partial_reordering=[("p", "b", "a", "id")]'
    ))
    assert [row[1] for row in moments.now("PRAGMA table_info(t)")] == ["p", "b", "a", "id"]
    assert moments.now("SELECT * FROM t") == [(1, 12, "one", 1), (2, 21, "two", 2)]
    assert moments.then("SELECT * FROM t") == [(1, 11, "one", 1), (2, 21, "two", 2)]


@pytest.mark.slow
def test_a_type_of_another_affinity(project: Project) -> None:
    moments = Moments(project, batch("""
        batch.alter_column("b", type_=sa.String(10), existing_server_default="7", server_default="none")
        batch.drop_constraint("positive", type_="check")
    """))
    assert moments.now("SELECT b, typeof(b) FROM t") == [("12", "text"), ("21", "text")]
    assert moments.then("SELECT b, typeof(b) FROM t") == [("11", "text"), ("21", "text")]
    assert moments.now("SELECT id FROM t WHERE b = '21'") == [(2,)]


@pytest.mark.slow
def test_constraints_come_and_go(project: Project) -> None:
    moments = Moments(project, batch("""
        batch.drop_constraint("positive", type_="check")
        batch.drop_constraint("t_p", type_="foreignkey")
        batch.create_check_constraint("small", sa.text("b < 100"))
        batch.create_unique_constraint("once", ["b", "p"])
        batch.create_foreign_key("t_up", "p", ["p"], ["id"], ondelete="SET NULL", initially="DEFERRED", deferrable=True)
        batch.drop_index("t_b")
        batch.create_index("t_a", ["a"])
    """))
    (sql,) = moments.now("SELECT sql FROM sqlite_master WHERE name = 't'")[0]
    for part in ("small", "once", "t_up", "DEFERRED"):
        assert part in sql
    assert "positive" not in sql
    assert "t_p" not in sql
    assert moments.now("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL") == [("t_a",)]
    assert moments.now("SELECT * FROM t") == [(1, "one", 12, 1), (2, "two", 21, 2)]
    assert moments.then("SELECT * FROM t") == [(1, "one", 11, 1), (2, "two", 21, 2)]


@pytest.mark.slow
@pytest.mark.parametrize("options", ["", 'recreate="always", '])
def test_unnamed_constraints_by_their_convention(project: Project, options: str) -> None:
    moments = Moments(project, batch(
        'batch.drop_constraint("uq_t_a", type_="unique")',
        options=options + 'naming_convention={"uq": "uq_%(table_name)s_%(column_0_name)s"}',
    ))
    (sql,) = moments.now("SELECT sql FROM sqlite_master WHERE name = 't'")[0]
    assert "UNIQUE" not in sql
    assert moments.then("SELECT id, a FROM t") == [(1, "one"), (2, "two")]


@pytest.mark.slow
def test_a_table_that_refers_to_itself_and_is_referred_to(project: Project) -> None:
    moments = Moments(project, batch("""
        batch.alter_column("name", new_column_name="title", type_=sa.Text())
        batch.add_column(sa.Column("n", sa.Integer))
    """, table="p"))
    (key,) = moments.now("PRAGMA foreign_key_list(p)")
    assert key[2:5] == ("p", "up", "id")
    assert moments.now("SELECT * FROM p") == [(1, None, "root", None), (2, 1, "leaf", None)]
    assert moments.now("SELECT * FROM t") == [(1, "one", 12, 1), (2, "two", 21, 2)], "no action of a foreign key ran"
    assert moments.then("SELECT t.a, p.title FROM t JOIN p ON p.id = t.p") == [("one", "root"), ("two", "leaf")]


@pytest.mark.slow
def test_another_primary_key(project: Project) -> None:
    project.revision("0", """
        op.create_table("k", sa.Column("a", sa.String(5), primary_key=True), sa.Column("b", sa.Integer))
        op.execute("INSERT INTO k VALUES ('x', 1), ('y', 2)")
    """)
    project.alembic("upgrade", "0")
    db = driver.connect(project.folder / "app.edb")
    db.execute("UPDATE k SET b = 3 WHERE a = 'x'")
    db.commit()
    moment = db.last_commit[1]
    db.close()
    project.revision("1", batch("""
        batch.drop_constraint("pk_k", type_="primary")
        batch.create_primary_key("k_pk", ["b", "a"])
    """, table="k", options='recreate="always", naming_convention={"pk": "pk_%(table_name)s"}'), before="0")
    project.alembic("upgrade", "1")
    db = driver.connect(project.folder / "app.edb")
    past = db.cursor()
    past.as_of = moment
    assert past.execute("SELECT a, b FROM k ORDER BY a").fetchall() == [("x", 3), ("y", 2)]
    assert [row[1] for row in db.execute("PRAGMA table_info(k)") if row[5]] == ["a", "b"]
    assert db.database.check()[0] == []
    db.close()


COPY_FROM = """
    t = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.String(20)),
                 sa.Column("b", sa.Integer), sa.Column("p", sa.Integer))
"""


@pytest.mark.slow
def test_copy_from_and_table_args(project: Project) -> None:
    body = COPY_FROM + batch(
        'batch.drop_column("p")', options='recreate="always", copy_from=t, table_args=[sa.CheckConstraint("b > 2")]'
    )
    moments = Moments(project, body)
    assert moments.now("SELECT * FROM t") == [(1, "one", 12), (2, "two", 21)]
    assert moments.then("SELECT * FROM t") == [(1, "one", 11), (2, "two", 21)]
    assert "CHECK (b > 2)" in str(moments.now("SELECT sql FROM sqlite_master WHERE name = 't'"))


@pytest.mark.slow
def test_a_script_of_it_continues_the_history_too(project: Project) -> None:
    moments = Moments(project, "pass")
    body = COPY_FROM + batch('batch.drop_column("p")', options='recreate="always", copy_from=t')
    project.revision("3", body, before="2")
    script = project.alembic("upgrade", "2:3", sql=True)
    assert "CREATE OR REPLACE TABLE t" in script
    assert "_alembic_tmp" not in script
    db = driver.connect(project.folder / "app.edb")
    db.executescript(script)
    db.close()
    assert moments.now("SELECT * FROM t") == [(1, "one", 12), (2, "two", 21)]
    assert moments.then("SELECT * FROM t") == [(1, "one", 11), (2, "two", 21)]


@pytest.mark.slow
@pytest.mark.parametrize("options", ["", 'recreate="never", ', 'recreate="always", '])
def test_all_ways_of_batch_end_the_same(project: Project, options: str) -> None:
    moments = Moments(project, batch("""
        batch.alter_column("a", new_column_name="name", nullable=False)
        batch.add_column(sa.Column("c", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch.create_index("t_c", ["c"])
        batch.create_unique_constraint("once", ["name", "c"])
    """, options=options))
    assert moments.now("SELECT * FROM t") == [(1, "one", 12, 1, 0), (2, "two", 21, 2, 0)]
    assert moments.then("SELECT * FROM t") == [(1, "one", 11, 1, None), (2, "two", 21, 2, None)]
    indexes = moments.now("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1")
    assert indexes == [("t_b",), ("t_c",)]


NEEDED = [
    # What fills existing rows.
    ('batch.add_column(sa.Column("c", sa.Integer, server_default=sa.text("(1 + 2)")))', False, [(3,), (3,)]),
    ('batch.add_column(sa.Column("c", sa.Integer, server_default=sa.text("5")))', False, [(5,), (5,)]),
    ('batch.add_column(sa.Column("c", sa.Integer, sa.Computed("b * 2", persisted=True)))', True, [(24,), (42,)]),
    ('batch.add_column(sa.Column("c", sa.Integer, sa.Computed("b * 2", persisted=False)))', False, [(24,), (42,)]),
    # Constraints that name what is dropped; a type of another kind, and one of the same.
    ('batch.drop_column("a")\nbatch.add_column(sa.Column("c", sa.Integer))', True, [(None,), (None,)]),
    ('batch.drop_column("p")\nbatch.alter_column("id", new_column_name="c")', True, [(1,), (2,)]),
    ('batch.alter_column("p", type_=sa.String(5))\nbatch.alter_column("a", new_column_name="c")', True,
     [("one",), ("two",)]),
    ('batch.alter_column("a", type_=sa.String(50), new_column_name="c")', False, [("one",), ("two",)]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("body", "anew", "values"), NEEDED)
def test_the_table_is_made_anew_where_that_is_needed(
    project: Project, body: str, anew: bool, values: list[Any]
) -> None:
    project.models('import logging\nlogging.basicConfig()\n'
                   'logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)')
    project.revision("1", CREATE)
    project.alembic("upgrade", "1")
    project.sql("UPDATE t SET b = b + 1")
    ((number,),) = project.sql("SELECT max(number) FROM entitydb_labels")
    ((moment,),) = project.sql("SELECT max(moment) FROM entitydb_labels")
    project.sql("UPDATE t SET b = 12 WHERE id = 1")
    project.revision("2", batch(body, options=""), before="1")
    assert ("CREATE OR REPLACE TABLE" in project.alembic("upgrade", "2", log=True)) is anew
    assert project.sql("SELECT c FROM t ORDER BY b") == values
    db = driver.connect(project.folder / "app.edb")
    past = db.cursor()
    past.as_of = moment
    assert past.execute("SELECT b FROM t").fetchall() == [(10,), (20,)], number
    assert db.database.check()[0] == []
    db.close()


@pytest.mark.slow
def test_the_primary_key_may_be_dropped_and_made_anew(project: Project) -> None:
    moments = Moments(project, batch("""
        batch.drop_column("id")
        batch.add_column(sa.Column("nr", sa.Integer, primary_key=True))
    """, options=""))
    assert moments.now("SELECT nr, a, b FROM t") == [(1, "one", 12), (2, "two", 21)]
    assert moments.then("SELECT a, b FROM t") == [("one", 11), ("two", 21)]


@pytest.mark.slow
@pytest.mark.parametrize("per_migration", [False, True])
def test_killed_half_way_it_was_not(project: Project, per_migration: bool) -> None:
    body = batch('batch.drop_column("p")') + "\nimport os\nos.kill(os.getpid(), 9)"
    with pytest.raises(AssertionError):
        Moments(project, body, per_migration=per_migration)
    assert project.sql("SELECT * FROM t") == [(1, "one", 12, 1), (2, "two", 21, 2)]
    assert project.sql("SELECT version_num FROM alembic_version") == [("1",)]
    assert project.sql("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.slow
def test_a_copy_that_fails_leaves_the_table(project: Project) -> None:
    with pytest.raises(AssertionError, match=r"UNIQUE constraint failed: t\.q"):
        Moments(project, batch("""
            batch.add_column(sa.Column("q", sa.Integer, server_default="1"))
            batch.create_unique_constraint("q_once", ["q"])
        """))
    assert project.sql("SELECT * FROM t") == [(1, "one", 12, 1), (2, "two", 21, 2)]
    assert project.sql("SELECT name FROM sqlite_master WHERE name LIKE '%tmp%'") == []


@pytest.mark.slow
def test_up_down_and_up_again_keeps_every_moment(project: Project) -> None:
    moments = Moments(project, batch('batch.add_column(sa.Column("c", sa.Integer))'))
    script = project.scripts / "versions" / "2_.py"
    down = batch('batch.drop_column("c")').replace("\n", "\n    ")
    script.write_text(script.read_text().replace("def downgrade():\n    pass", f"def downgrade():\n    {down}"))
    for _ in range(2):
        project.alembic("downgrade", "1")
        assert moments.then("SELECT * FROM t") == [(1, "one", 11, 1), (2, "two", 21, 2)]
        project.alembic("upgrade", "2")
        assert moments.then("SELECT * FROM t") == [(1, "one", 11, 1, None), (2, "two", 21, 2, None)]
    assert moments.now("SELECT * FROM t") == [(1, "one", 12, 1, None), (2, "two", 21, 2, None)]


@pytest.mark.slow
def test_the_four_statements_by_hand_make_another_table(project: Project) -> None:
    """Nothing says that they belong together: then, the name means the table that was dropped."""
    moments = Moments(project, """
        op.execute("CREATE TABLE made (id INTEGER PRIMARY KEY, a TEXT)")
        op.execute("INSERT INTO made SELECT id, a FROM t")
        op.execute("DROP TABLE t")
        op.execute("ALTER TABLE made RENAME TO t")
    """)
    assert moments.now("SELECT * FROM t") == [(1, "one"), (2, "two")]
    assert moments.now("SELECT count(*) FROM t FOR SYSTEM_TIME ALL") == [(2,)]
    assert [row[:2] for row in moments.then("SELECT id, a FROM t")] == [(1, "one"), (2, "two")]
