"""What batch_alter_table() is told of the table comes to the same as over SQLite."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

CODE = """
    import json, warnings
    import sqlalchemy as sa
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    CREATE = '''CREATE TABLE t(
        id INTEGER PRIMARY KEY, st VARCHAR(9) CHECK (st IN ('a', 'b')), x INT, j TEXT, CONSTRAINT named CHECK (x < 9)
    )'''
    copied = lambda: sa.Table(
        "t", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("st", sa.String(9)),
        sa.Column("x", sa.Integer), sa.Column("j", sa.Text),
        sa.UniqueConstraint("x", name="of_the_copy"),
    )
    as_json = lambda inspector, table, column: column.update(type=sa.JSON()) if column["name"] == "j" else None
    ARGUMENTS = {
        "nothing": lambda: {},
        "table_args, a check": lambda: {"table_args": (sa.CheckConstraint("st < 'd'", name="wider"),)},
        "table_args, a unique": lambda: {"table_args": (sa.UniqueConstraint("x", name="one"),)},
        "table_kwargs": lambda: {"table_kwargs": {"sqlite_strict": False, "prefixes": []}},
        "copy_from": lambda: {"copy_from": copied()},
        "reflect_args": lambda: {"reflect_args": [sa.Column("x", sa.String(30))]},
        "reflect_kwargs": lambda: {"reflect_kwargs": {"listeners": [("column_reflect", as_json)]}},
    }
    STEPS = {
        "alter_column": lambda batch: batch.alter_column("st", nullable=False, existing_type=sa.String(9)),
        "type": lambda batch: batch.alter_column("st", type_=sa.String(20), existing_type=sa.String(9)),
        "drop_constraint": lambda batch: batch.drop_constraint("named", type_="check"),
        "add_column": lambda batch: batch.add_column(sa.Column("z", sa.Integer)),
        "create_index": lambda batch: batch.create_index("t_x", ["x"]),
    }

    def table(url, arguments, step):
        engine = sa.create_engine(url, poolclass=sa.pool.StaticPool)
        with warnings.catch_warnings(), engine.begin() as connection:
            warnings.simplefilter("ignore")
            connection.exec_driver_sql(CREATE)
            connection.exec_driver_sql("INSERT INTO t VALUES (1, 'a', 1, '{}'), (2, 'b', 2, NULL)")
            try:
                with Operations(MigrationContext.configure(connection)).batch_alter_table("t", **arguments()) as batch:
                    step(batch)
            except Exception as error:
                return type(error).__name__
            inspector = sa.inspect(connection)
            return [
                [(c["name"], str(c["type"]).upper(), c["nullable"]) for c in inspector.get_columns("t")],
                sorted((u["name"] or "", u["column_names"]) for u in inspector.get_unique_constraints("t")),
                sorted((c["name"] or "", c["sqltext"]) for c in inspector.get_check_constraints("t")),
                sorted(i["name"] for i in inspector.get_indexes("t")),
                [list(row) for row in connection.exec_driver_sql("SELECT id, st, x, j FROM t ORDER BY id")],
            ]

    print(json.dumps({
        f"{said}: {name}": [table(url, arguments, step) for url in ("sqlite://", "URL")]
        for said, arguments in ARGUMENTS.items() for name, step in STEPS.items()
        if said != "nothing" or name in ("add_column", "create_index")
    }))
"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["entitydb", "sqlite+entitydb"])
def test_what_is_said_of_the_table_is_as_over_sqlite(python: Callable[..., str], scheme: str) -> None:
    """All that a batch is told of its table, beside each kind of operation."""
    found = json.loads(python(CODE.replace("URL", f"{scheme}://")))
    assert len(found) == 32
    assert {name: ours for name, (_, ours) in found.items()} == {name: theirs for name, (theirs, _) in found.items()}
