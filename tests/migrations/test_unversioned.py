"""Columns without history in migrations: autogenerate sees info["versioned"], op.set_unversioned() and
op.drop_unversioned() carry it out and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from entitydb_dialect import driver

from .conftest import Project

BEFORE = """
    Table(
        "page", metadata, Column("id", Integer, primary_key=True), Column("title", String(20)),
        Column("loses", Integer), Column("gains", Integer, info={"versioned": False}),
        Column("stays", Integer, info={"versioned": False}), Column("goes", Integer, info={"versioned": False}),
    )
    Table("gone", metadata, Column("id", Integer, primary_key=True), Column("n", Integer, info={"versioned": False}))
"""
AFTER = """
    Table(
        "page", metadata, Column("id", Integer, primary_key=True), Column("title", String(20)),
        Column("loses", Integer, info={"versioned": False}), Column("gains", Integer, info={"versioned": True}),
        Column("stays", Integer, info={"versioned": False}), Column("comes", Integer, info={"versioned": False}),
    )
    Table("made", metadata, Column("id", Integer, primary_key=True), Column("n", Integer, info={"versioned": False}))
"""


def unversioned(project: Project) -> dict[str, list[str]]:
    with driver.connect(project.folder / "app.edb") as db:
        return {
            name: [c.name for c in table.columns if c.unversioned]
            for name, table in db.catalog().items() if name != "alembic_version"
        }  # fmt: skip


def _script(project: Project, name: str) -> Path:
    (found,) = [path for path in (project.scripts / "versions").iterdir() if path.name.endswith(f"_{name}.py")]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "options"), [("entitydb", ""), ("sqlite+entitydb", "    options = {'render_as_batch': True}\n")]
)
def test_what_autogenerate_writes_goes_up_down_and_up(project: Project, scheme: str, options: str) -> None:
    project.use(project.url.replace("entitydb", scheme, 1))
    project.models(options + BEFORE)
    project.alembic("revision", message="first", autogenerate=True)
    project.alembic("upgrade", "head")
    assert "No new upgrade operations detected" in project.alembic("check")
    before = {"page": ["gains", "stays", "goes"], "gone": ["n"]}
    assert unversioned(project) == before
    project.sql("INSERT INTO page VALUES (1, 'a', 2, 3, 4, 5)")
    project.models(options + AFTER)
    project.alembic("revision", message="second", autogenerate=True)
    text = _script(project, "second").read_text()
    assert (text.count(".set_unversioned("), text.count(".drop_unversioned(")) == (6, 2)
    for _ in range(2):
        project.alembic("upgrade", "head")
        assert "No new upgrade operations detected" in project.alembic("check")
        assert unversioned(project) == {"page": ["loses", "stays", "comes"], "made": ["n"]}
        project.alembic("downgrade", "-1")
        assert {name: sorted(columns) for name, columns in unversioned(project).items()} == {
            name: sorted(columns) for name, columns in before.items()
        }
    assert project.sql("SELECT id, title, loses, gains, stays FROM page") == [(1, "a", 2, 3, 4)]


@pytest.mark.slow
@pytest.mark.parametrize("recreate", ["never", "always"])
def test_a_batch_keeps_sets_and_drops_it(python: Callable[..., str], recreate: str) -> None:
    code = f"""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from sqlalchemy import Column, Integer, MetaData, Table, create_engine, inspect, pool

    engine = create_engine("entitydb://", poolclass=pool.StaticPool)
    made = MetaData()
    Table("a", made, Column("id", Integer, primary_key=True), Column("x", Integer, info={{"versioned": False}}))
    made.create_all(engine)
    with engine.connect() as connection:
        operations = Operations(MigrationContext.configure(connection))
        def told():
            print([c["name"] for c in inspect(connection).get_columns("a") if c.get("info") == {{"versioned": False}}])
        with operations.batch_alter_table("a", recreate={recreate!r}) as batch:
            batch.add_column(Column("y", Integer))
        told()
        with operations.batch_alter_table("a", recreate={recreate!r}) as batch:
            batch.set_unversioned("y")
        told()
        with operations.batch_alter_table("a", recreate={recreate!r}) as batch:
            batch.drop_unversioned("x")
            batch.add_column(Column("z", Integer, info={{"versioned": False}}))
        told()
"""
    assert python(code).splitlines() == ["['x']", "['x', 'y']", "['y', 'z']"]


@pytest.mark.slow
def test_it_does_nothing_over_other_databases(python: Callable[..., str]) -> None:
    code = """
    import io
    import entitydb_migrations
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    for name in "sqlite", "postgresql":
        written = io.StringIO()
        context = MigrationContext.configure(dialect_name=name, opts={"as_sql": True, "output_buffer": written})
        operations = Operations(context)
        operations.set_unversioned("a", "x")
        with operations.batch_alter_table("a", recreate="never") as batch:
            batch.drop_unversioned("x")
        print(repr(written.getvalue()))
"""
    assert python(code).splitlines() == ["''", "''"]
