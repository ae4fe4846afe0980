"""Ten revisions with data at each: every row is read at every revision, under the schema of then and under today's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from sqlalchemy import Engine, MetaData, create_engine, func, inspect, select, text

import installation
from entitydb_dialect import at, label_moment

from .conftest import Project, runner

# A revision's upgrade, and what is then done with the data, each list in a transaction of its own.
REVISIONS: list[tuple[str, list[list[str]]]] = [
    (
        """
        op.create_table("author", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20)))
        op.create_table(
            "book", sa.Column("id", sa.Integer, primary_key=True), sa.Column("title", sa.String(30), nullable=False),
            sa.Column("price", sa.Integer), sa.Column("by", sa.Integer, sa.ForeignKey("author.id", name="book_by")),
        )
        op.create_table("draft", sa.Column("id", sa.Integer, primary_key=True), sa.Column("note", sa.Text))
        op.create_index("book_title", "book", ["title"])
        op.execute("CREATE VIEW dear AS SELECT title FROM book WHERE price > 10")
        """,
        [
            ["INSERT INTO author VALUES (1, 'Ursula'), (2, 'Stanislaw')",
             "INSERT INTO book VALUES (1, 'Exile', 8, 1), (2, 'Solaris', 12, 2), (3, 'Eden', NULL, 2)",
             "INSERT INTO draft VALUES (1, 'first'), (2, 'second')"],
            ["UPDATE book SET price = 11 WHERE id = 1", "DELETE FROM draft WHERE id = 1"],
        ],
    ),
    (
        """
        op.add_column("book", sa.Column("pages", sa.Integer, server_default="100"))
        op.drop_index("book_title", "book")
        """,
        [["INSERT INTO book VALUES (4, 'Malafrena', 7, 1, 350)", "UPDATE book SET pages = 80 WHERE id = 2"]],
    ),
    (
        'op.alter_column("book", "title", new_column_name="name")',
        [["UPDATE book SET name = 'Planet of Exile' WHERE id = 1", "INSERT INTO draft VALUES (3, 'third')"]],
    ),
    (
        'op.alter_column("book", "price", type_=sa.String(10), existing_type=sa.Integer)',
        [["UPDATE book SET price = '9.50' WHERE id = 1"], ["INSERT INTO book VALUES (5, 'Fiasco', 'dear', 2, 300)"]],
    ),
    (
        """
        with op.batch_alter_table("author", recreate="always") as batch:
            batch.alter_column("name", new_column_name="first_name")
            batch.add_column(sa.Column("born", sa.Text))
        """,
        [["UPDATE author SET born = '1929' WHERE id = 1", "INSERT INTO author VALUES (3, 'Karel', '1890')"]],
    ),
    (
        'op.rename_table("book", "work")',
        [["DELETE FROM work WHERE id = 3", "UPDATE work SET pages = pages + 1"]],
    ),
    (
        """
        op.drop_table("draft")
        op.execute("DROP VIEW dear")
        """,
        [["UPDATE author SET first_name = 'Ursula K.' WHERE id = 1"]],
    ),
    (
        """
        op.create_table("draft", sa.Column("body", sa.Text), sa.Column("id", sa.String(5), primary_key=True))
        op.execute("CREATE VIEW dear AS SELECT id AS only FROM draft")
        """,
        [["INSERT INTO draft VALUES ('anew', 'x'), ('once', 'y')"], ["UPDATE draft SET body = 'new' WHERE id = 'x'"]],
    ),
    (
        """
        with op.batch_alter_table("work") as batch:
            batch.drop_column("pages")
            batch.add_column(sa.Column("isbn", sa.String(13), server_default="none"))
        op.create_index("work_name", "work", ["name"])
        """,
        [["INSERT INTO work VALUES (6, 'R.U.R.', '1', 3, '978')", "UPDATE work SET isbn = '979' WHERE id = 2"]],
    ),
    (
        """
        op.rename_table("author", "person")
        op.alter_column("person", "born", type_=sa.Integer, existing_type=sa.Text)
        op.create_table("author", sa.Column("id", sa.Integer, primary_key=True), sa.Column("pen_name", sa.Text))
        """,
        [["INSERT INTO author VALUES (1, 'Boz')", "INSERT INTO person VALUES (4, 'Anna', 1950)"],
         ["UPDATE person SET born = 1921 WHERE id = 2"]],
    ),
]  # fmt: skip

# What today's tables were, newest first: (first revision, name, today's columns by the names of then).
LINEAGES: dict[str, list[tuple[int, str, dict[str, str]]]] = {
    "work": [
        (9, "work", {"id": "id", "name": "name", "price": "price", "by": "by", "isbn": "isbn"}),
        (6, "work", {"id": "id", "name": "name", "price": "price", "by": "by"}),
        (3, "book", {"id": "id", "name": "name", "price": "price", "by": "by"}),
        (1, "book", {"id": "id", "title": "name", "price": "price", "by": "by"}),
    ],
    "person": [
        (10, "person", {"id": "id", "first_name": "first_name", "born": "born"}),
        (5, "author", {"id": "id", "first_name": "first_name", "born": "born"}),
        (1, "author", {"id": "id", "name": "first_name"}),
    ],
    "draft": [(8, "draft", {"body": "body", "id": "id"})],
    "author": [(10, "author", {"id": "id", "pen_name": "pen_name"})],
}
# What today's type makes of values of then.
TODAY: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("work", "price"): lambda value: None if value is None else str(value),
    ("person", "born"): lambda value: None if value is None else int(value),
}

DRIVE = """
import json
from alembic import command
from alembic.config import Config
from entitydb_dialect import driver

revisions = json.loads(open("revisions.json").read())
copies = []
def keep(revision):
    db.commit()
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    tables = {}
    for name in names:
        cursor = db.execute(f'SELECT * FROM "{name}"')
        rows = [list(row) for row in cursor.fetchall()]
        tables[name] = {"columns": [column[0] for column in cursor.description], "rows": rows}
    db.commit()
    copies.append({"revision": revision, "moment": db.last_commit[1], "tables": tables})

for number, transactions in enumerate(revisions, 1):
    command.upgrade(Config("alembic.ini"), str(number))
    db = driver.connect("app.edb")
    for statements in transactions:
        for sql in statements:
            db.execute(sql)
        keep(number)
    db.close()
print(json.dumps(copies))
"""


class Copy(NamedTuple):
    """All tables and views as they were, columns in order, rows by name."""

    revision: int
    moment: int
    tables: dict[str, tuple[list[str], list[tuple[Any, ...]]]]


class History(NamedTuple):
    engine: Engine
    copies: list[Copy]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Made once; nothing here writes to it."""
    folder = tmp_path_factory.mktemp("ten")
    site = installation.site(folder)
    python = runner(site, folder)
    project = Project(folder, python, site)
    project.models("")
    for number, (upgrade, _) in enumerate(REVISIONS, 1):
        project.revision(str(number), upgrade, before=str(number - 1) if number > 1 else None)
    (project.folder / "revisions.json").write_text(json.dumps([data for _, data in REVISIONS]))
    printed = python(DRIVE, PYTHONDONTWRITEBYTECODE="1")
    copies = []
    for one in json.loads(printed.splitlines()[-1]):
        tables = {
            name: (kept["columns"], [tuple(row) for row in kept["rows"]]) for name, kept in one["tables"].items()
        }
        copies.append(Copy(one["revision"], one["moment"], tables))
    assert {copy.revision for copy in copies} == set(range(1, len(REVISIONS) + 1))
    engine = create_engine(project.url)
    yield History(engine, copies)
    engine.dispose()


@pytest.mark.slow
def test_rows_under_the_schema_of_then(history: History) -> None:
    for copy in (*history.copies, *reversed(history.copies)):
        with at(history.engine, copy.moment, schema="then") as past:
            for name, (columns, rows) in copy.tables.items():
                result = past.execute(text(f'SELECT * FROM "{name}"'))
                assert (copy.revision, name, list(result.keys())) == (copy.revision, name, columns)
                assert (copy.revision, name, result.all()) == (copy.revision, name, rows)
                for number, column in enumerate(columns):
                    values = past.scalars(text(f'SELECT x."{column}" FROM main."{name}" AS x')).all()
                    assert sorted(map(repr, values)) == sorted(repr(row[number]) for row in rows)


@pytest.mark.slow
def test_reflection_agrees_with_what_is_read(history: History) -> None:
    for copy in history.copies:
        past = history.engine.execution_options(as_of=copy.moment, schema="then")
        inspector = inspect(past)
        assert sorted(inspector.get_table_names() + inspector.get_view_names()) == sorted(copy.tables)
        metadata = MetaData()
        metadata.reflect(past, views=True)
        with past.connect() as connection:
            for name, (columns, rows) in copy.tables.items():
                table = metadata.tables[name]
                assert [column.name for column in table.columns] == columns
                assert connection.execute(select(table)).all() == rows
                assert connection.scalar(select(func.count()).select_from(table)) == len(rows)


@pytest.mark.slow
def test_types_and_indexes_of_then_are_reflected(history: History) -> None:
    first, last = history.copies[0], history.copies[-1]
    then = inspect(history.engine.execution_options(as_of=first.moment, schema="then"))
    types = [str(column["type"]) for column in then.get_columns("book")]
    assert types == ["INTEGER", "VARCHAR(30)", "INTEGER", "INTEGER"]
    assert [index["name"] for index in then.get_indexes("book")] == ["book_title"]
    assert [key["referred_table"] for key in then.get_foreign_keys("book")] == ["author"]
    now = inspect(history.engine.execution_options(as_of=last.moment, schema="then"))
    assert [index["name"] for index in now.get_indexes("work")] == ["work_name"]
    assert [key["referred_table"] for key in now.get_foreign_keys("work")] == ["person"]
    today = inspect(history.engine.execution_options(as_of=first.moment))
    assert today.get_table_names() == ["alembic_version", "draft", "person", "work"]
    assert [column["name"] for column in today.get_columns("work")] == ["id", "name", "price", "by", "isbn"]
    assert [column["name"] for column in today.get_columns("draft")] == ["id", "note"]  # the one of then


def expected_today(copy: Copy, table: str, columns: list[str]) -> list[tuple[Any, ...]] | None:
    """A table of today as of a copy's moment; None: it was not there."""
    for since, name, names in LINEAGES[table]:
        if since <= copy.revision:
            had, rows = copy.tables[name]
            places = {names[column]: place for place, column in enumerate(had) if column in names}
            made = []
            for row in rows:
                values = {column: row[place] for column, place in places.items()}
                as_today = {c: TODAY.get((table, c), lambda value: value)(v) for c, v in values.items()}
                made.append(tuple(as_today.get(column) for column in columns))
            return made
    return None


@pytest.mark.slow
def test_rows_under_todays_model(history: History) -> None:
    """Models of today's tables, reflected now."""
    metadata = MetaData()
    metadata.reflect(history.engine, only=list(LINEAGES))
    read = 0
    for copy in history.copies:
        with at(history.engine, copy.moment) as past:
            for name in LINEAGES:
                table = metadata.tables[name]
                columns = [column.name for column in table.columns]
                expected = expected_today(copy, name, columns)
                if expected is None:
                    continue
                assert past.execute(select(table)).all() == expected
                read += len(expected)
    assert read > 50


def test_tables_that_are_no_more_are_read_under_todays_schema_too(history: History) -> None:
    for copy in history.copies:
        if copy.revision < 7:
            with at(history.engine, copy.moment) as past:
                assert past.execute(text("SELECT * FROM draft")).all() == copy.tables["draft"][1]


def test_the_revision_is_a_moment(history: History) -> None:
    for number in range(1, len(REVISIONS) + 1):
        last = [copy for copy in history.copies if copy.revision == number][-1]
        with at(history.engine, f"alembic:{number}", schema="then") as past:
            for name, (_, rows) in last.tables.items():
                if name != "alembic_version":
                    assert past.execute(text(f'SELECT * FROM "{name}"')).all() == rows
        with at(history.engine, label_moment(history.engine, f"alembic:{number}"), schema="then") as past:
            assert past.scalar(text("SELECT version_num FROM alembic_version")) == str(number)
