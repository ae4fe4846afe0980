"""Tag columns in migrations: autogenerate sees info["tag"], op.set_tag() and op.drop_tag() carry it out and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alembic
import pytest

from entitydb_dialect import driver

from .conftest import Project

_BRINGS_PLUGINS = tuple(map(int, alembic.__version__.split(".")[:2])) >= (1, 18)

BEFORE = """
    Table(
        "article", metadata, Column("id", Integer, primary_key=True),
        Column("gains", String(20)), Column("loses", String(20), info={"tag": "lost"}),
        Column("changes", String(20), info={"tag": "old"}), Column("stays", Integer, info={"tag": "it's"}),
        Column("one", Text, info={"tag": "first"}), Column("two", Text, info={"tag": "second"}),
        Column("leaves", Text, info={"tag": "handed on"}),
    )
    Table("dropped", metadata, Column("id", Integer, primary_key=True), Column("s", Text, info={"tag": "s"}))
"""
AFTER = """
    Table(
        "article", metadata, Column("id", Integer, primary_key=True),
        Column("gains", String(20), info={"tag": "gained"}), Column("loses", String(20)),
        Column("changes", String(20), info={"tag": "new"}), Column("stays", Integer, info={"tag": "it's"}),
        Column("one", Text, info={"tag": "second"}), Column("two", Text, info={"tag": "first"}),
        Column("comes", Text, server_default="c", info={"tag": "handed on", "other": 1}),
    )
    Table("created", metadata, Column("id", Integer, primary_key=True), Column("s", Text, info={"tag": "s"}))
    Table("entitydb_tags", metadata, Column("type", Text, primary_key=True), Column("tag", Text, primary_key=True))
"""
ROW = """INSERT INTO article(id, gains, loses, changes, stays, one, two, leaves)
         VALUES (1, 'g', 'l', 'c', 5, 'a', 'b', 'h')"""
TAGS_BEFORE = ["first:a", "handed on:h", "it's:5", "lost:l", "old:c", "second:b"]
TAGS_AFTER = ["first:b", "gained:g", "handed on:c", "it's:5", "new:c", "second:a"]
TAGS = "SELECT tag FROM entitydb_tags WHERE tag <> 'by hand' ORDER BY tag"


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
    project.sql(ROW)
    project.sql("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('article', 1, 'by hand')")
    assert [tag for (tag,) in project.sql(TAGS)] == TAGS_BEFORE
    project.models(options + AFTER)
    project.alembic("revision", message="second", autogenerate=True)
    assert "entitydb_tags" not in _script(project, "second").read_text()
    for _ in range(2):
        project.alembic("upgrade", "head")
        assert "No new upgrade operations detected" in project.alembic("check")
        assert [tag for (tag,) in project.sql(TAGS)] == TAGS_AFTER
        project.alembic("downgrade", "-1")
        project.models(options + BEFORE)
        project.alembic("stamp", "head")  # check wants the newest revision
        assert "No new upgrade operations detected" in project.alembic("check")
        project.alembic("stamp", _script(project, "first").name[:12])
        found = [tag for (tag,) in project.sql(TAGS)]
        assert found == [tag for tag in TAGS_BEFORE if "handed on" not in tag], "the column came back without values"
        project.models(options + AFTER)
    assert project.sql("SELECT tag FROM entitydb_tags WHERE tag = 'by hand'") == [("by hand",)]
    project.alembic("downgrade", "base")
    assert project.sql(TAGS) == []
    assert project.sql("PRAGMA integrity_check") == [("ok",)]


# Of a column (and another, where there is one) before and after: what autogenerate has to do.
CHANGES: list[tuple[list[str | None], list[str | None], list[str]]] = [
    ([None], ["a"], ["set_tag s a"]),
    (["a"], [None], ["drop_tag s"]),
    (["a"], ["b"], ["set_tag s b, was a"]),
    (["a"], ["a"], []),
    ([None], [None], []),
    (["a", "b"], ["b", "a"], ["drop_tag s", "drop_tag t", "set_tag s b", "set_tag t a"]),
    (["a", "b"], ["b", "c"], ["drop_tag t", "set_tag s b, was a", "set_tag t c"]),
    (["a", None], ["b", "a"], ["drop_tag s", "set_tag s b", "set_tag t a"]),
    (["a", "b"], [None, "a"], ["drop_tag s", "set_tag t a, was b"]),
]

CODE = """
    import json
    from alembic.autogenerate import compare_metadata, produce_migrations
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, pool

    def metadata(tags):
        made = MetaData()
        columns = [Column(name, String(9), info={} if tag is None else {"tag": tag}) for name, tag in zip("st", tags)]
        Table("a", made, Column("id", Integer, primary_key=True), *columns)
        return made

    def told(diff):
        verb, _, _, column, *more = diff
        if verb == "set_tag":
            return f"set_tag {column} {more[1]}" + (f", was {more[0]}" if more[0] else "")
        assert len(more) == 1 and more[0]
        return f"{verb} {column}"

    def run(operations, directives):
        for group in directives.ops:
            for op in group.ops:
                operations.invoke(op)

    found = []
    for before, after in CASES:
        engine = create_engine("URL", poolclass=pool.StaticPool)
        metadata(before).create_all(engine)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection)
            operations = Operations(context)
            diffs = compare_metadata(context, metadata(after))
            script = produce_migrations(context, metadata(after))
            run(operations, script.upgrade_ops)
            quiet = compare_metadata(context, metadata(after))
            run(operations, script.downgrade_ops)
            back = compare_metadata(context, metadata(before))
        found.append([[told(diff) for diff in diffs], [str(diff) for diff in quiet + back]])
    print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["entitydb", "sqlite+entitydb"])
def test_each_change_is_found_carried_out_and_reversed(python: Callable[..., str], scheme: str) -> None:
    cases = repr([[before, after] for before, after, _ in CHANGES])
    found = json.loads(python(CODE.replace("CASES", cases).replace("URL", f"{scheme}://")))
    for (before, after, expected), (diffs, left) in zip(CHANGES, found, strict=True):
        assert diffs == expected, (before, after)
        assert left == [], (before, after)


@pytest.mark.slow
def test_models_with_tags_mean_nothing_to_other_databases(python: Callable[..., str]) -> None:
    """SQLite's autogenerate, and the operations over SQLite and PostgreSQL, inside a batch and outside."""
    brought = "" if _BRINGS_PLUGINS else "    import entitydb_migrations\n"  # no engine of ours does it here
    cases = repr([[["a"], ["b"]], [[None], ["a"]], [["a"], [None]]])
    printed = python(
        brought + CODE.replace("CASES", cases).replace("URL", "sqlite://")
        + """
    import io
    for name in "sqlite", "postgresql":
        written = io.StringIO()
        context = MigrationContext.configure(dialect_name=name, opts={"as_sql": True, "output_buffer": written})
        operations = Operations(context)
        operations.set_tag("a", "s", "x")
        operations.drop_tag("a", "s", existing_namespace="x", schema="other")
        with operations.batch_alter_table("a", recreate="never") as batch:
            batch.set_tag("s", "x")
            batch.drop_tag("s")
        print(repr(written.getvalue()))
"""
    )
    assert printed.splitlines() == ["[[[], []], [[], []], [[], []]]", "''", "''"]


@pytest.mark.slow
def test_columns_that_the_configuration_leaves_out_are_left_alone(python: Callable[..., str]) -> None:
    code = CODE.split("found = []", maxsplit=1)[0] + """
    def object_filter(item, name, kind, reflected, other):
        return not (kind == "column" and name == "s")
    def name_filter(name, kind, parents):
        return not (kind == "column" and name == "t" and parents["table_name"] == "a")
    engine = create_engine("entitydb://", poolclass=pool.StaticPool)
    metadata(["a", "b"]).create_all(engine)
    with engine.connect() as connection:
        for options in {"include_object": object_filter}, {"include_name": name_filter}:
            context = MigrationContext.configure(connection, opts=options)
            print([told(diff) for diff in compare_metadata(context, metadata(["c", "d"])) if diff[0] == "set_tag"])
"""
    assert python(code).splitlines() == ["['set_tag t d, was b']", "['set_tag s c, was a']"]


@pytest.mark.slow
@pytest.mark.skipif(not _BRINGS_PLUGINS, reason="Alembic before 1.18 knows no plug-ins to choose among")
def test_env_py_may_turn_the_comparison_off(python: Callable[..., str]) -> None:
    code = CODE.split("found = []", maxsplit=1)[0] + """
    engine = create_engine("entitydb://", poolclass=pool.StaticPool)
    metadata(["a"]).create_all(engine)
    with engine.connect() as connection:
        for plugins in ["alembic.autogenerate.*"], ["alembic.autogenerate.*", "~alembic.autogenerate.entitydb"]:
            context = MigrationContext.configure(connection, opts={"autogenerate_plugins": plugins})
            print(len(compare_metadata(context, metadata(["b"]))))
"""
    assert python(code).splitlines() == ["1", "0"]


@pytest.mark.slow
def test_tables_of_an_attached_database(python: Callable[..., str], tmp_path: Path) -> None:
    code = CODE.split("found = []", maxsplit=1)[0] + f"""
    from sqlalchemy import event, text
    engine = create_engine("entitydb:///{tmp_path}/main.edb", poolclass=pool.StaticPool)
    event.listen(engine, "connect", lambda db, _: db.execute("ATTACH '{tmp_path}/other.edb' AS x"))
    """ + """
    def within(schema, tags):
        made = MetaData()
        metadata(tags).tables["a"].to_metadata(made, schema=schema)
        return made
    within("x", ["a", None]).create_all(engine)
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO x.a VALUES (1, 'one', 'two')"))
        context = MigrationContext.configure(connection, opts={"include_schemas": True})
        script = produce_migrations(context, within("x", ["b", "a"]))
        operations = Operations(context)
        run(operations, script.upgrade_ops)
        print(compare_metadata(context, within("x", ["b", "a"])))
        connection.commit()
    engine.dispose()
    with create_engine("entitydb:///TMP/other.edb").connect() as connection:
        print(sorted(connection.execute(text("SELECT tag FROM entitydb_tags")).scalars()))
    """.replace("TMP", str(tmp_path))
    assert python(code).splitlines() == ["[]", "['a:two', 'b:one']"]


CREATE = """
    op.create_table("t", sa.Column("id", sa.Integer, primary_key=True), sa.Column("b", sa.Integer),
                    sa.Column("a", sa.String(20), info={"tag": "a"}), sa.Column("c", sa.Text))
    op.execute("INSERT INTO t VALUES (1, 10, 'one', 'x'), (2, 20, 'two', 'y')")
    op.execute("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('t', 1, 'by hand'), ('t', 2, 'h:2')")
"""
HAND = [(1, "by hand"), (2, "h:2")]
T_TAGS = "SELECT entity, tag FROM entitydb_tags ORDER BY entity, tag"


def batch(body: str, options: str) -> str:
    lines = [f'with op.batch_alter_table("t", {options}) as batch:', *body.strip().splitlines()]
    return "\n    ".join(line.strip() for line in lines)


BATCHES = [
    ("pass", [(1, "a:one"), (2, "a:two")]),
    ('batch.set_tag("b", "n")', [(1, "a:one"), (1, "n:10"), (2, "a:two"), (2, "n:20")]),
    ('batch.set_tag("a", "z")', [(1, "z:one"), (2, "z:two")]),
    ('batch.drop_tag("a")', []),
    ('batch.drop_tag("a")\nbatch.set_tag("c", "a")', [(1, "a:x"), (2, "a:y")]),
    ('batch.drop_tag("a")\nbatch.drop_column("a")', []),
    ('batch.drop_tag("a")\nbatch.set_tag("a", "z")', [(1, "z:one"), (2, "z:two")]),
    ('batch.alter_column("a", new_column_name="name")\nbatch.set_tag("name", "z")', [(1, "z:one"), (2, "z:two")]),
    ('batch.alter_column("a", new_column_name="name")', [(1, "a:one"), (2, "a:two")]),
    ('batch.alter_column("b", type_=sa.String(9), existing_type=sa.Integer())\nbatch.set_tag("b", "n")',
     [(1, "a:one"), (1, "n:10"), (2, "a:two"), (2, "n:20")]),
    ('batch.add_column(sa.Column("d", sa.Text, server_default="e"))\nbatch.set_tag("d", "d")',
     [(1, "a:one"), (1, "d:e"), (2, "a:two"), (2, "d:e")]),
    ('batch.add_column(sa.Column("d", sa.Text, server_default="e", info={"tag": "d"}))\nbatch.set_tag("d", "d")',
     [(1, "a:one"), (1, "d:e"), (2, "a:two"), (2, "d:e")]),
    ('batch.drop_column("a")', []),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("recreate", ["auto", "never", "always"])
def test_a_batch_keeps_and_changes_tag_columns_and_keeps_tags_given_by_hand(
    python: Callable[..., str], recreate: str
) -> None:
    bodies = [batch(body, f'recreate="{recreate}"') for body, _ in BATCHES]
    printed = python(f"""
        import json
        import sqlalchemy as sa
        from alembic.migration import MigrationContext
        from alembic.operations import Operations
        from textwrap import dedent

        found = []
        for body in {bodies!r}:
            engine = sa.create_engine("entitydb://", poolclass=sa.pool.StaticPool)
            with engine.connect() as connection:
                op = Operations(MigrationContext.configure(connection))
                exec(dedent({CREATE!r}), {{"op": op, "sa": sa}})
                connection.commit()
                try:
                    exec(body, {{"op": op, "sa": sa}})
                except Exception as error:
                    found.append(repr(error))
                    continue
                connection.commit()
                rows = connection.exec_driver_sql({T_TAGS!r}).all()
                assert connection.exec_driver_sql("PRAGMA integrity_check").all() == [("ok",)]
                found.append([list(row) for row in rows])
        print(json.dumps(found))
    """)
    for (body, expected), found in zip(BATCHES, json.loads(printed), strict=True):
        assert found == [list(row) for row in sorted([*HAND, *expected])], body


@pytest.mark.slow
def test_a_batch_that_makes_the_table_anew_leaves_earlier_tags_to_earlier_moments(project: Project) -> None:
    project.revision("1", CREATE)
    project.alembic("upgrade", "1")
    ((moment,),) = project.sql("SELECT max(moment) FROM entitydb_labels")
    project.revision("2", batch('batch.drop_tag("a")\nbatch.set_tag("b", "n")', 'recreate="always"'), before="1")
    project.alembic("upgrade", "2")
    assert project.sql(T_TAGS) == sorted([*HAND, (1, "n:10"), (2, "n:20")])
    db = driver.connect(project.folder / "app.edb")
    cursor = db.cursor()
    cursor.as_of = moment
    assert cursor.execute(T_TAGS).fetchall() == sorted([*HAND, (1, "a:one"), (2, "a:two")])
    db.close()


@pytest.mark.slow
def test_scripts_of_the_operations_do_what_they_do(project: Project) -> None:
    columns = 'sa.Column("b", sa.Integer), sa.Column("a", sa.String(20)), sa.Column("c", sa.Text)'
    copy_from = f't = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), {columns})\n'
    project.revision("1", CREATE)
    project.revision("2", """op.set_tag("t", "b", "it's 100%")\nop.drop_tag("t", "a")""", before="1")
    project.revision("3", 'with op.batch_alter_table("t") as batch:\n    batch.set_tag("c", "c")', before="2")
    anew = batch('batch.drop_tag("b")\nbatch.set_tag("a", "z")', 'recreate="always", copy_from=t')
    project.revision("4", copy_from + anew, before="3")
    script = project.alembic("upgrade", "head", sql=True)
    for statement in (
        "ALTER TABLE t ALTER COLUMN b SET TAG 'it''s 100%';", "ALTER TABLE t ALTER COLUMN a DROP TAG;",
        "ALTER TABLE t ALTER COLUMN c SET TAG 'c';", "ALTER TABLE t ALTER COLUMN b DROP TAG;",
    ):  # fmt: skip
        assert statement in script
    db = driver.connect()
    db.executescript(script)
    found = db.execute(T_TAGS).fetchall()
    db.close()
    assert found == sorted([*HAND, (1, "z:one"), (1, "c:x"), (2, "z:two"), (2, "c:y")])
    project.alembic("upgrade", "head")
    assert project.sql(T_TAGS) == found


@pytest.mark.slow
def test_an_operation_that_says_what_is_so_changes_nothing(project: Project) -> None:
    project.revision("1", CREATE)
    project.alembic("upgrade", "1")

    def versions() -> Any:
        db = driver.connect(project.folder / "app.edb")
        found = db.database.check()[1]["versions"]
        db.close()
        return found

    counts = []
    for number, body in enumerate(["pass", 'op.set_tag("t", "a", "a")\nop.drop_tag("t", "b")'], 2):
        before = versions()
        project.revision(str(number), body, before=str(number - 1))
        project.alembic("upgrade", "head")
        counts.append(versions() - before)
    assert counts[0] == counts[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('op.set_tag("t", "nothing", "x")', 'no such column: "nothing"'),
        (batch('batch.set_tag("nothing", "x")', 'recreate="always"'), "No such column: 'nothing' in table 't'"),
        ('op.set_tag("t", "b", "a")', "has the namespace 'a'"),
        ('op.set_tag("t", "c", "h")', "take them away first"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_everything(project: Project, body: str, said: str) -> None:
    project.revision("1", CREATE)
    project.alembic("upgrade", "1")
    before = project.sql(T_TAGS)
    project.revision("2", body, before="1")
    with pytest.raises(AssertionError, match=said):
        project.alembic("upgrade", "2")
    assert project.sql(T_TAGS) == before
    assert project.sql("SELECT version_num FROM alembic_version") == [("1",)]


@pytest.mark.slow
def test_drop_tag_cannot_be_reversed_without_the_namespace(python: Callable[..., str]) -> None:
    python("""
        from entitydb_migrations._tags import DropTagOp, SetTagOp
        assert SetTagOp("t", "a", "x").reverse().reverse().to_diff_tuple() == ("set_tag", None, "t", "a", None, "x")
        changed = SetTagOp("t", "a", "x", existing_namespace="y", schema="s").reverse()
        assert changed.to_diff_tuple() == ("set_tag", "s", "t", "a", "x", "y")
        try:
            DropTagOp("t", "a").reverse()
        except ValueError as error:
            assert "existing_namespace" in str(error)
        else:
            raise AssertionError
    """)
