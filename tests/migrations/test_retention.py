"""How long history is kept, in migrations: autogenerate sees entitydb_retention, op.set_retention() carries it out."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

CODE = """
    import datetime as dt
    import json
    from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from sqlalchemy import Column, Integer, MetaData, Table, create_engine, inspect, pool

    def metadata(span):
        made = MetaData()
        options = {} if span is None else {"entitydb_retention": span}
        Table("a", made, Column("id", Integer, primary_key=True), **options)
        return made

    def run(operations, directives):
        for group in directives.ops:
            for op in group.ops:
                operations.invoke(op)

    engine = create_engine("URL", poolclass=pool.StaticPool)
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["entitydb", "sqlite+entitydb"])
def test_each_change_is_found_carried_out_and_reversed(python: Callable[..., str], scheme: str) -> None:
    code = CODE.replace("URL", f"{scheme}://") + """
    found = []
    for before, after in [(None, "9 days"), ("9 days", None), ("1 day", "2 days"), ("7 days", dt.timedelta(days=7)),
                          ("1 week", "7 days"), (None, "forever")]:
        metadata(None).drop_all(engine)
        metadata(before).create_all(engine)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection)
            operations = Operations(context)
            diffs = [[verb, was, now] for verb, _, _, was, now in compare_metadata(context, metadata(after))]
            script = produce_migrations(context, metadata(after))
            run(operations, script.upgrade_ops)
            quiet = compare_metadata(context, metadata(after))
            run(operations, script.downgrade_ops)
            back = compare_metadata(context, metadata(before))
        found.append([diffs, quiet, back])
    print(json.dumps(found))
"""
    assert json.loads(python(code)) == [
        [[["set_retention", "forever", "9 days"]], [], []],
        [[["set_retention", "9 days", "forever"]], [], []],
        [[["set_retention", "1 day", "2 days"]], [], []],
        [[], [], []],
        [[["set_retention", "1 week", "7 days"]], [], []],
        [[], [], []],
    ]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["entitydb", "sqlite+entitydb"])
def test_what_is_rendered_runs(python: Callable[..., str], scheme: str) -> None:
    """Of a new table, of one that is there, and of both in a batch."""
    code = CODE.replace("URL", f"{scheme}://") + """
    import sqlalchemy as sa
    for before, batch in [(False, False), (True, False), (True, True)]:
        metadata(None).drop_all(engine)
        if before:
            metadata(None).create_all(engine)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"render_as_batch": batch})
            op = Operations(context)
            script = produce_migrations(context, metadata(dt.timedelta(days=3)))
            code = render_python_code(script.upgrade_ops, render_as_batch=batch)
            space = {"op": op, "sa": sa}
            exec("def upgrade():\\n    " + code, space)
            space["upgrade"]()
            connection.commit()
        print(inspect(engine).get_table_options("a").get("entitydb_retention"))
"""
    assert python(code).splitlines() == ["3 days"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("recreate", ["never", "always"])
def test_a_batch_sets_it_in_place_and_with_a_new_table(python: Callable[..., str], recreate: str) -> None:
    code = CODE.replace("URL", "entitydb://") + f"""
    metadata("1 day").create_all(engine)
    with engine.connect() as connection:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("a", recreate={recreate!r}) as batch:
            batch.add_column(Column("x", Integer))
        print(inspect(connection).get_table_options("a"))
        with operations.batch_alter_table("a", recreate={recreate!r}) as batch:
            batch.add_column(Column("y", Integer))
            batch.set_retention("2 days")
        print(inspect(connection).get_table_options("a"))
"""
    assert python(code).splitlines() == ["{'entitydb_retention': '1 day'}", "{'entitydb_retention': '2 days'}"]


@pytest.mark.slow
def test_it_does_nothing_over_other_databases_and_refuses_what_is_no_span(python: Callable[..., str]) -> None:
    code = CODE.replace("URL", "sqlite://") + """
    import io
    import entitydb_migrations
    for name in "sqlite", "postgresql":
        written = io.StringIO()
        context = MigrationContext.configure(dialect_name=name, opts={"as_sql": True, "output_buffer": written})
        operations = Operations(context)
        operations.set_retention("a", "9 days")
        with operations.batch_alter_table("a", recreate="never") as batch:
            batch.set_retention("9 days")
        print(repr(written.getvalue()))
    try:
        operations.set_retention("a", "soon")
    except ValueError as error:
        print(error)
"""
    first, second, error = python(code).splitlines()
    assert (first, second) == ("''", "''")
    assert error.startswith("'soon' is no span")
