"""Revisions as labels of the commits they ran in."""

from __future__ import annotations

import pytest

from entitydb_dialect import driver

from .conftest import Project


def revisions(project: Project) -> None:
    """1 - 2 - 3, each with a table."""
    for number in 1, 2, 3:
        project.revision(
            str(number), f'op.create_table("t{number}", sa.Column("id", sa.Integer, primary_key=True))',
            f'op.drop_table("t{number}")', str(number - 1) if number > 1 else None,
        )  # fmt: skip


def labels(project: Project) -> dict[str, int]:
    return dict(project.sql("SELECT label, number FROM entitydb_labels ORDER BY number, place"))  # type: ignore[arg-type]


def tables_at(project: Project, label: str) -> list[str]:
    ((ns,),) = project.sql(f"SELECT moment FROM entitydb_labels WHERE label = '{label}'")
    db = driver.connect(project.folder / "app.edb")
    tables = sorted(db.catalog(ns))  # type: ignore[arg-type]
    db.close()
    return tables


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["entitydb", "sqlite+entitydb"])
def test_a_transaction_for_each_revision_gives_each_its_moment(project: Project, scheme: str) -> None:
    project.use(project.url.replace("entitydb", scheme, 1))
    revisions(project)
    project.alembic("upgrade", "head", per_migration=True)
    found = labels(project)
    assert list(found) == ["alembic:1", "alembic:2", "alembic:3"]
    assert len(set(found.values())) == 3
    assert tables_at(project, "alembic:2") == ["alembic_version", "t1", "t2"]


@pytest.mark.slow
def test_revisions_of_one_transaction_share_its_moment(project: Project) -> None:
    revisions(project)
    project.alembic("upgrade", "head")
    found = labels(project)
    assert list(found) == ["alembic:1", "alembic:2", "alembic:3"], "in the order they ran"
    assert len(set(found.values())) == 1
    assert tables_at(project, "alembic:1") == ["alembic_version", "t1", "t2", "t3"]


@pytest.mark.slow
def test_downgrades_are_labelled_too_and_the_newest_counts(project: Project) -> None:
    revisions(project)
    project.alembic("upgrade", "head", per_migration=True)
    first = labels(project)
    project.alembic("downgrade", "1", per_migration=True)
    found = labels(project)
    assert found["alembic:3"] == first["alembic:3"] < found["alembic:2"] < found["alembic:1"]
    assert tables_at(project, "alembic:1") == ["alembic_version", "t1"]
    project.alembic("downgrade", "base", per_migration=True)
    assert tables_at(project, "alembic:base") == ["alembic_version"]
    assert "alembic:base" not in found


@pytest.mark.slow
def test_branches_and_merges(project: Project) -> None:
    project.revision("1", "pass")
    project.revision("a", "pass", before="1")
    project.revision("b", "pass", before="1")
    merge = project.scripts / "versions" / "m_.py"
    project.revision("m", "pass")
    merge.write_text(merge.read_text().replace("down_revision = None", "down_revision = ('a', 'b')"))
    project.alembic("upgrade", "head", per_migration=True)
    assert set(labels(project)) == {"alembic:1", "alembic:a", "alembic:b", "alembic:m"}
    project.alembic("downgrade", "1", per_migration=True)
    assert "alembic:base" not in labels(project)


@pytest.mark.slow
def test_a_stamp_is_labelled(project: Project) -> None:
    revisions(project)
    project.alembic("stamp", "2")
    assert list(labels(project)) == ["alembic:2"]


@pytest.mark.slow
@pytest.mark.parametrize("per_migration", [False, True])
def test_a_failed_or_killed_migration_leaves_no_label(project: Project, per_migration: bool) -> None:
    revisions(project)
    project.revision("4", "import os\nos.kill(os.getpid(), 9)", before="3")
    with pytest.raises(AssertionError):
        project.alembic("upgrade", "head", per_migration=per_migration)
    assert list(labels(project)) == (["alembic:1", "alembic:2", "alembic:3"] if per_migration else [])
    assert project.sql("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.slow
def test_a_version_table_of_another_name(project: Project) -> None:
    project.models('options = {"version_table": "versions", "version_table_schema": "main"}')
    revisions(project)
    project.alembic("upgrade", "2")
    assert list(labels(project)) == ["alembic:1", "alembic:2"]
    # Writes to a table of the usual name are no migrations then.
    project.revision("4", """
        op.execute("CREATE TABLE alembic_version(version_num)")
        op.bulk_insert(sa.table("alembic_version", sa.column("version_num")), [{"version_num": "x"}])
    """, before="3")
    project.alembic("upgrade", "4")
    assert list(labels(project)) == ["alembic:1", "alembic:2", "alembic:3", "alembic:4"]


@pytest.mark.slow
@pytest.mark.parametrize("per_migration", [False, True])
def test_a_script_labels_when_it_is_replayed(project: Project, per_migration: bool) -> None:
    revisions(project)
    script = project.alembic("upgrade", "head", sql=True, per_migration=per_migration)
    script += project.alembic("downgrade", "3:base", sql=True, per_migration=per_migration)
    assert "SELECT entitydb_label('alembic:2')" in script
    db = driver.connect(project.folder / "replayed.edb")
    db.executescript(script)
    found = dict(db.execute("SELECT label, number FROM entitydb_labels ORDER BY number, place").fetchall())
    db.close()
    assert list(found) == ["alembic:3", "alembic:2", "alembic:1", "alembic:base"]
    assert len(set(found.values())) == (4 if per_migration else 2)


@pytest.mark.slow
def test_labels_are_not_seen_by_autogenerate(project: Project) -> None:
    project.models('t = Table("t", metadata, Column("id", Integer, primary_key=True))')
    project.alembic("revision", message="first", autogenerate=True)
    project.alembic("upgrade", "head")
    assert len(labels(project)) == 1
    assert "No new upgrade operations detected" in project.alembic("check")
