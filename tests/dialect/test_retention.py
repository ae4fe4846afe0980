"""Table(..., entitydb_retention=...): declared with the table, kept by the catalog, reflected, kept by every ALTER."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, create_engine, exc, inspect

from entitydb_dialect._spans import FOREVER, NotASpan, span_ns, span_text

URLS = ["entitydb://", "sqlite+entitydb://"]
DAY_NS = 86_400 * 10**9


@pytest.mark.parametrize(
    ("written", "text", "ns"),
    [
        ("90 days", "90 days", 90 * DAY_NS),
        ("  1  Day ", "1 day", DAY_NS),
        ("1 days", "1 day", DAY_NS),
        ("2 weeks", "2 weeks", 14 * DAY_NS),
        ("12 MONTHS", "12 months", 360 * DAY_NS),
        ("3 years", "3 years", 1095 * DAY_NS),
        ("36 hours", "36 hours", 3 * DAY_NS // 2),
        ("5 minutes", "5 minutes", 300 * 10**9),
        ("1 second", "1 second", 10**9),
        (dt.timedelta(days=90), "90 days", 90 * DAY_NS),
        (dt.timedelta(hours=25), "25 hours", 25 * DAY_NS // 24),
        (dt.timedelta(seconds=61), "61 seconds", 61 * 10**9),
        ("Forever", FOREVER, None),
        ("292 years", "292 years", 292 * 365 * DAY_NS),
    ],
)
def test_a_span_has_one_form_and_its_nanoseconds(written: Any, text: str, ns: int | None) -> None:
    assert (span_text(written), span_ns(written)) == (text, ns)
    assert span_text(text) == text


@pytest.mark.parametrize(
    "written",
    [
        "", "90", "days", "-1 days", "0 days", "1.5 days", "90 d", "90 days ago", "1 day 2 hours", "300 years",
        "999999999 years", "\u0661 day", 90, None,
        dt.timedelta(0), dt.timedelta(days=-1), dt.timedelta(milliseconds=1500),
    ],
)  # fmt: skip
def test_what_is_no_span_is_refused(written: Any) -> None:
    with pytest.raises(NotASpan, match="history"):
        span_text(written)


@pytest.mark.parametrize("url", URLS)
def test_the_option_of_a_table_is_kept_and_reflected(url: str) -> None:
    engine = create_engine(url)
    metadata = MetaData()
    Table("a", metadata, Column("id", Integer, primary_key=True), entitydb_retention=dt.timedelta(days=90))
    Table("b", metadata, Column("id", Text, primary_key=True), entitydb_retention="1 Year", sqlite_with_rowid=False)
    Table("c", metadata, Column("id", Integer, primary_key=True), entitydb_retention="forever")
    Table("d", metadata, Column("id", Integer, primary_key=True))
    metadata.create_all(engine)
    reflected = MetaData()
    reflected.reflect(engine)
    assert {name: dict(table.dialect_kwargs) for name, table in reflected.tables.items()} == {
        "a": {"entitydb_retention": "90 days"},
        "b": {"entitydb_retention": "1 year", "sqlite_with_rowid": False},
        "c": {},
        "d": {},
    }
    copied = create_engine(url)
    reflected.create_all(copied)
    assert inspect(copied).get_table_options("a") == {"entitydb_retention": "90 days"}


@pytest.mark.parametrize("url", ["sqlite://", "postgresql://"])
def test_the_option_means_nothing_to_other_databases(url: str) -> None:
    from sqlalchemy.dialects import registry
    from sqlalchemy.schema import CreateTable

    table = Table("a", MetaData(), Column("id", Integer, primary_key=True), entitydb_retention="90 days")
    dialect = registry.load(url.partition(":")[0])()
    assert "RETENTION" not in str(CreateTable(table).compile(dialect=dialect))


def test_an_option_that_is_no_span_names_the_table() -> None:
    table = Table("a", MetaData(), Column("id", Integer, primary_key=True), entitydb_retention="soon")
    with pytest.raises(exc.CompileError, match="table a: entitydb_retention: 'soon'"):
        table.create(create_engine("entitydb://"))


@pytest.mark.parametrize(
    ("statement", "left"),
    [
        ("ALTER TABLE a ADD COLUMN y INT", "7 days"),
        ("ALTER TABLE a RENAME COLUMN x TO z", "7 days"),
        ("ALTER TABLE a ALTER COLUMN x TYPE TEXT", "7 days"),
        ("ALTER TABLE a ADD CONSTRAINT k CHECK (x > 0)", "7 days"),
        ("CREATE INDEX i ON a(x)", "7 days"),
        ("CREATE OR REPLACE TABLE a (id INTEGER PRIMARY KEY, x INT) AS SELECT id, x FROM a", "7 days"),
        ("CREATE OR REPLACE TABLE a (id INTEGER PRIMARY KEY, x INT) RETENTION '1 day' AS SELECT id, x FROM a", "1 day"),
        ("CREATE OR REPLACE TABLE a (id INTEGER PRIMARY KEY) RETENTION 'forever'", None),
        ("ALTER TABLE a SET RETENTION '2 days'", "2 days"),
        ("ALTER TABLE a SET RETENTION 'forever'", None),
        ("ALTER TABLE a ADD COLUMN y INT, SET RETENTION '3 days'", "3 days"),
    ],
)
def test_what_changes_a_table_keeps_its_retention_unless_it_says_another(statement: str, left: str | None) -> None:
    engine = create_engine("entitydb://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE a (id INTEGER PRIMARY KEY, x INT) STRICT, RETENTION '7 days'")
        connection.exec_driver_sql("INSERT INTO a(x) VALUES (1), (2)")
        connection.exec_driver_sql(statement)
    options = inspect(engine).get_table_options("a")
    assert options.get("entitydb_retention") == left


@pytest.mark.parametrize(
    "options", ["RETENTION '1 day'", "STRICT, RETENTION '1 day'", "RETENTION '1 day', STRICT", "retention\n'1  DAY'",
                "WITHOUT ROWID, RETENTION '1 day', STRICT"],
)  # fmt: skip
def test_the_clause_stands_anywhere_among_the_options(options: str) -> None:
    engine = create_engine("entitydb://")
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE a (id INTEGER PRIMARY KEY, retention TEXT) {options}")
        kept = connection.exec_driver_sql("SELECT sql FROM sqlite_master").scalar_one()
    found = inspect(engine).get_table_options("a")
    assert found["entitydb_retention"] == "1 day"
    assert (found.get("sqlite_with_rowid"), found.get("sqlite_strict", "STRICT" in options)) == (
        (False if "WITHOUT" in options else None), "STRICT" in options
    )
    engine = create_engine("sqlite://")  # which reads the text that the catalog shows
    with engine.begin() as connection:
        connection.exec_driver_sql(kept)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("CREATE TABLE b (x INT) RETENTION 'soon'", "table b: 'soon' is no span"),
        ("CREATE TABLE b (x INT) RETENTION 5", "syntax error"),
        ("CREATE TABLE b (x INT) RETENTION '1 day' RETENTION '1 day'", "syntax error"),
        ("CREATE TABLE b (x INT) RETENTION '1 day', RETENTION '1 day'", "unknown table option: RETENTION|syntax error"),
        ("ALTER TABLE a SET RETENTION 5", "wants a span, a text in quotes"),
        ("ALTER TABLE a SET RETENTION", "incomplete input"),
        ("ALTER TABLE a SET RETENTION ''", "table a: '' is no span"),
    ],
)
def test_a_clause_that_says_no_span_is_refused_and_changes_nothing(statement: str, message: str) -> None:
    engine = create_engine("entitydb://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE a (id INTEGER PRIMARY KEY) RETENTION '7 days'")
    with pytest.raises(exc.DBAPIError, match=message), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    assert inspect(engine).get_table_names() == ["a"]
    assert inspect(engine).get_table_options("a") == {"entitydb_retention": "7 days"}


def test_a_dump_says_it_and_a_copy_has_it() -> None:
    engine, other = create_engine("entitydb://"), create_engine("entitydb://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE a (id INTEGER PRIMARY KEY) RETENTION '7 days'")
    source: Any = engine.raw_connection().driver_connection
    for copies in (lambda target: target.executescript("\n".join(source.iterdump())), source.backup):
        other.dispose()
        other = create_engine("entitydb://")
        copies(other.raw_connection().driver_connection)
        assert inspect(other).get_table_options("a") == {"entitydb_retention": "7 days"}
