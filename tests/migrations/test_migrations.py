"""Migrations as users write them: autogenerate, every operation without batch mode, up, down and up again."""

from __future__ import annotations

import pytest

from entitydb_dialect import driver

from .conftest import Project

MODELS = """
    class Colour(__import__("enum").Enum):
        RED = 1
        BLUE = 2

    parent = Table(
        "parent", metadata,
        Column("id", Integer, primary_key=True),
        Column("name", String(30), nullable=False, server_default="it's"),
        Column("made", DateTime, server_default=func.now()),
        Column("price", Numeric(10, 2), server_default=text("1.5")),
        Column("on", Boolean, server_default=true()),
        Column("colour", Enum(Colour)),
        Column("body", JSON),
        Column("raw", LargeBinary),
        Column("key", Uuid),
        Column("big", BigInteger, server_default=text("(1 + 2)")),
        UniqueConstraint("name", "price", name="parent_once"),
        UniqueConstraint("key"),
        Index("parent_made", "made"),
        Index("parent_some", "name", unique=True, sqlite_where=text("price > 1.5 AND body IS NULL")),
    )
    child = Table(
        "child", metadata,
        Column("a", Integer, primary_key=True),
        Column("b", String, primary_key=True),
        Column("parent_id", ForeignKey("parent.id", name="child_parent", ondelete="CASCADE"), index=True),
        Column("self_a", Integer), Column("self_b", String),
        ForeignKeyConstraint(["self_a", "self_b"], ["child.a", "child.b"]),
        CheckConstraint("a > 0", name="positive"),
    )
"""


@pytest.mark.slow
def test_autogenerate_is_clean_after_upgrade(project: Project) -> None:
    project.models(MODELS)
    project.alembic("revision", message="first", autogenerate=True)
    project.alembic("upgrade", "head")
    assert "No new upgrade operations detected" in project.alembic("check")
    project.alembic("downgrade", "base")
    assert project.sql("SELECT name FROM sqlite_master WHERE type = 'table'") == [("alembic_version",)]
    project.alembic("upgrade", "head")
    assert "No new upgrade operations detected" in project.alembic("check")


COMPUTED = """
    t = Table(
        "t", metadata,
        Column("id", Integer, primary_key=True), Column("a", String(20)), Column("the b", Integer),
        Column("v", Integer, Computed("id + 1")), Column("s", Integer, Computed("id * 2", persisted=True)),
    )
    Index("plain", t.c.v, unique=True)
    Index("lowered", func.lower(t.c.a))
    Index("several", func.coalesce(t.c["the b"], 0), t.c.id.desc(), func.lower(t.c.a) + "X", unique=True)
"""


@pytest.mark.slow
def test_computed_columns_and_indexes_on_expressions_are_compared(project: Project) -> None:
    project.models(COMPUTED)
    project.alembic("revision", message="first", autogenerate=True)
    project.alembic("upgrade", "head")
    assert "No new upgrade operations detected" in project.alembic("check")
    project.models(COMPUTED.replace("func.lower(t.c.a))", "func.upper(t.c.a))"))
    project.alembic("revision", message="second", autogenerate=True)
    project.alembic("upgrade", "head")
    assert "No new upgrade operations detected" in project.alembic("check")
    assert project.sql("SELECT sql FROM sqlite_master WHERE name = 'lowered'") == [
        ("CREATE INDEX lowered ON t (upper(a))",)
    ]
    project.alembic("downgrade", "-1")
    assert project.sql("SELECT sql FROM sqlite_master WHERE name = 'lowered'") == [
        ("CREATE INDEX lowered ON t (lower(a))",)
    ]


@pytest.mark.slow
def test_autogenerate_finds_what_changed(project: Project) -> None:
    project.models(MODELS)
    project.alembic("revision", message="first", autogenerate=True)
    project.alembic("upgrade", "head")
    changed = (
        MODELS.replace("String(30), nullable=False, server_default=\"it's\"", "String(40)")
        .replace('Column("raw", LargeBinary)', 'Column("fresh", Integer, server_default="5", nullable=False)')
        .replace('Column("big", BigInteger, server_default=text("(1 + 2)"))', 'Column("big", Text)')
        .replace('name="parent_once"', 'name="parent_twice"')
        .replace('Index("parent_made", "made")', 'Index("parent_big", "big", unique=True)')
        .replace('ondelete="CASCADE"', 'ondelete="SET NULL"')
    )
    project.models(changed)
    project.alembic("revision", message="second", autogenerate=True)
    (script,) = [p for p in (project.scripts / "versions").iterdir() if p.name.endswith("_second.py")]
    written = script.read_text()
    for part in ("alter_column", "add_column", "drop_column", "parent_twice", "drop_index", "parent_big", "SET NULL"):
        assert part in written, part
    assert "batch" not in written
    project.alembic("upgrade", "head")
    assert "No new upgrade operations detected" in project.alembic("check")
    project.alembic("downgrade", "base")
    project.alembic("upgrade", "head")
    assert "No new upgrade operations detected" in project.alembic("check")


EVERY = [
    ('op.add_column("t", sa.Column("c", sa.String(5), nullable=False, server_default="x"))',
     'op.drop_column("t", "c")'),
    ('op.add_column("t", sa.Column("p", sa.Integer, sa.ForeignKey("p.id", name="t_p")))',
     'op.drop_constraint("t_p", "t", type_="foreignkey")\nop.drop_column("t", "p")'),
    ('op.alter_column("t", "a", new_column_name="name")', 'op.alter_column("t", "name", new_column_name="a")'),
    ('op.alter_column("t", "a", nullable=False, existing_type=sa.String())',
     'op.alter_column("t", "a", nullable=True, existing_type=sa.String())'),
    ('op.alter_column("t", "b", type_=sa.String(9), server_default="7", nullable=False)',
     'op.alter_column("t", "b", type_=sa.Integer(), server_default=None, nullable=True)'),
    ('op.alter_column("t", "b", server_default=sa.text("1 + 2"))',
     'op.alter_column("t", "b", server_default=None)'),
    ('op.create_unique_constraint("t_once", "t", ["a"])', 'op.drop_constraint("t_once", "t", type_="unique")'),
    ('op.create_check_constraint("t_small", "t", "b < 10")', 'op.drop_constraint("t_small", "t", type_="check")'),
    ('op.create_foreign_key("t_t", "t", "p", ["b"], ["id"], ondelete="CASCADE")',
     'op.drop_constraint("t_t", "t", type_="foreignkey")'),
    ('op.create_index("t_ab", "t", ["a", sa.text("b DESC")], unique=True)', 'op.drop_index("t_ab", "t")'),
    ('op.create_index("t_some", "t", ["a"], unique=True, sqlite_where=sa.text("b > 1"))',
     'op.drop_index("t_some", "t")'),
    ('op.rename_table("t", "u")', 'op.rename_table("u", "t")'),
    ('with op.batch_alter_table("t") as batch:\n    batch.add_column(sa.Column("d", sa.Integer))\n'
     '    batch.alter_column("a", nullable=False)\n    batch.create_unique_constraint("t_d", ["d"])',
     'with op.batch_alter_table("t") as batch:\n    batch.drop_constraint("t_d", type_="unique")\n'
     '    batch.alter_column("a", nullable=True)\n    batch.drop_column("d")'),
]  # fmt: skip


def _first(project: Project) -> None:
    project.revision(
        "1",
        """
        op.create_table("p", sa.Column("id", sa.Integer, primary_key=True))
        op.create_table("t", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.String),
                        sa.Column("b", sa.Integer))
        op.execute("INSERT INTO p VALUES (1), (2)")
        op.execute("INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2)")
        """,
        'op.drop_table("t")\nop.drop_table("p")',
    )


@pytest.mark.slow
@pytest.mark.parametrize("per_migration", [False, True])
def test_every_operation_up_down_and_up(project: Project, per_migration: bool) -> None:
    _first(project)
    for number, (up, down) in enumerate(EVERY[:-2], 2):
        # Each leaves the table as the next finds it.
        project.revision(str(number), f"{up}\n{down}\n{up}\n{down}", down, str(number - 1))
    project.alembic("upgrade", "head", per_migration=per_migration)
    assert project.sql("SELECT * FROM t ORDER BY id") == [(1, "one", 1), (2, "two", 2)]
    assert project.sql("SELECT version_num FROM alembic_version") == [(str(len(EVERY) - 1),)]


@pytest.mark.slow
@pytest.mark.parametrize("place", range(len(EVERY)))
def test_an_operation_upgrades_downgrades_and_keeps_rows(project: Project, place: int) -> None:
    up, down = EVERY[place]
    _first(project)
    project.revision("2", up, down, "1")
    project.alembic("upgrade", "1")
    with driver.connect(project.folder / "app.edb") as db:
        before = db.execute("SELECT * FROM t ORDER BY id").fetchall()
    db.close()
    schema = project.sql("SELECT type, name, sql FROM sqlite_master ORDER BY 2")
    project.alembic("upgrade", "head")
    assert project.sql("SELECT type, name, sql FROM sqlite_master ORDER BY 2") != schema
    project.alembic("downgrade", "1")
    assert project.sql("SELECT id, a, b FROM t ORDER BY id") == [tuple(row) for row in before]
    assert project.sql("PRAGMA integrity_check") == [("ok",)]
    names = [row[1] for row in project.sql("PRAGMA table_info(t)")]
    assert names == ["id", "a", "b"]
    project.alembic("upgrade", "head")


@pytest.mark.slow
def test_a_failed_migration_leaves_nothing(project: Project) -> None:
    _first(project)
    project.revision("2", 'op.drop_column("t", "a")\nop.execute("SELECT nothing FROM nowhere")', before="1")
    project.alembic("upgrade", "1")
    with pytest.raises(AssertionError, match="nowhere"):
        project.alembic("upgrade", "head")
    assert project.sql("SELECT * FROM t ORDER BY id") == [(1, "one", 1), (2, "two", 2)]
    assert project.sql("SELECT version_num FROM alembic_version") == [("1",)]


@pytest.mark.slow
@pytest.mark.parametrize("per_migration", [False, True])
def test_a_killed_migration_is_before_or_after_its_transaction(project: Project, per_migration: bool) -> None:
    _first(project)
    project.revision("2", 'op.drop_column("t", "a")', before="1")
    project.revision("3", 'op.drop_column("t", "b")\nimport os\nos.kill(os.getpid(), 9)', before="2")
    with pytest.raises(AssertionError):
        project.alembic("upgrade", "head", per_migration=per_migration)
    tables = [name for (name,) in project.sql("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
    if per_migration:
        assert tables == ["alembic_version", "p", "t"]
        assert project.sql("SELECT version_num FROM alembic_version") == [("2",)]
        assert project.sql("SELECT * FROM t ORDER BY id") == [(1, 1), (2, 2)]
    else:
        assert tables == []
    assert project.sql("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.slow
def test_batch_mode_that_makes_the_table_anew_works(project: Project) -> None:
    _first(project)
    project.revision(
        "2",
        """
        with op.batch_alter_table("t", recreate="always") as batch:
            batch.add_column(sa.Column("c", sa.Integer, server_default="4"))
            batch.drop_column("b")
        """,
        before="1",
    )
    project.alembic("upgrade", "head")
    assert project.sql("SELECT id, a, c FROM t ORDER BY id") == [(1, "one", 4), (2, "two", 4)]


@pytest.mark.slow
def test_history_is_readable_across_migrations(project: Project) -> None:
    _first(project)
    project.revision("2", EVERY[0][0] + '\nop.drop_column("t", "b")\nop.rename_table("t", "u")', before="1")
    project.alembic("upgrade", "1")
    with driver.connect(project.folder / "app.edb") as db:
        db.execute("UPDATE t SET a = 'uno' WHERE id = 1")
        db.commit()
        moment = db.last_commit[1]
    db.close()
    project.alembic("upgrade", "head")
    with driver.connect(project.folder / "app.edb") as db:
        db.execute("DELETE FROM u")
        db.commit()
        past = db.cursor()
        past.as_of = moment
        rows = past.execute("SELECT id, a, c FROM u ORDER BY id").fetchall()
    db.close()
    assert [tuple(row) for row in rows] == [(1, "uno", None), (2, "two", None)]


@pytest.mark.slow
def test_offline_text_is_accepted_by_the_driver(project: Project) -> None:
    _first(project)
    for number, (up, down) in enumerate(EVERY[:-2], 2):
        project.revision(str(number), f"{up}\n{down}", "pass", str(number - 1))
    script = project.alembic("upgrade", "head", sql=True)
    db = driver.connect()
    db.executescript(script)
    assert [tuple(r) for r in db.execute("SELECT * FROM t ORDER BY id").fetchall()] == [(1, "one", 1), (2, "two", 2)]
    db.close()
