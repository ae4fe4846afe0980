"""CREATE TABLE and CREATE INDEX become the catalog entries SQLite's own pragmas describe."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import apsw
import pytest

from entitydb_dialect.driver import DamageError, NotSupportedError, OperationalError
from entitydb_dialect.driver import _catalog as cat
from entitydb_dialect.driver._catalog import COLLATIONS, decode, decode_value, encode, encode_value
from entitydb_dialect.driver.answers.pragma import _foreign_keys, _index_info, _index_list, _table_info
from entitydb_dialect.driver.ddl.create import parse_index, parse_table

TYPES = [
    "INTEGER",
    "INT",
    "BIGINT",
    "VARCHAR(20)",
    "TEXT",
    "NUMERIC(10, 2)",
    "REAL",
    "DOUBLE PRECISION",
    "BLOB",
    "",
    "DATETIME",
    "BOOLEAN",
    "FLOAT",
    "CLOB",
    "CHARINT",
    "my type",
]
DEFAULTS = [
    "",
    "DEFAULT 1",
    "DEFAULT -2.5",
    "DEFAULT 'x''y'",
    "DEFAULT (1 + 2)",
    "DEFAULT NULL",
    "DEFAULT x'00ff'",
    "DEFAULT TRUE",
    "DEFAULT CURRENT_TIMESTAMP",
    "DEFAULT (random())",
    "DEFAULT bare",
    'DEFAULT "text"',
    "DEFAULT '12'",
]
NAMES = ["a", "b", '"c d"', "[e]", "`f``g`", "h", '"order"', "né"]


def random_table(rng: random.Random) -> str:
    names = rng.sample(NAMES, rng.randint(1, len(NAMES)))
    columns, constraints = [], []
    keyed = False
    for name in names:
        parts = [name, rng.choice(TYPES), rng.choice(DEFAULTS)]
        if rng.random() < 0.3:
            parts.append(rng.choice(["NOT NULL", "CONSTRAINT nn NOT NULL"]))
        if rng.random() < 0.3:
            parts.append(f"COLLATE {rng.choice(['NOCASE', 'rtrim', 'BINARY'])}")
        if rng.random() < 0.2:
            parts.append("UNIQUE")
        if rng.random() < 0.2:
            parts.append("CHECK (1 < 2)")
        if rng.random() < 0.2:
            parts.append(
                rng.choice(
                    [
                        "REFERENCES other",
                        "REFERENCES other(x) ON DELETE CASCADE",
                        "CONSTRAINT fk REFERENCES other(x) ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED",
                    ]
                )
            )
        if not keyed and rng.random() < 0.2:
            keyed = True
            parts.append("PRIMARY KEY")
        columns.append(" ".join(parts))
    if not keyed and rng.random() < 0.6:
        keyed = True
        key = rng.sample(names, rng.randint(1, min(3, len(names))))
        constraints.append(f"{rng.choice(['', 'CONSTRAINT pk '])}PRIMARY KEY ({', '.join(key)})")
    for _ in range(rng.randint(0, 2)):
        some = rng.sample(names, rng.randint(1, min(3, len(names))))
        constraints.append(f"CONSTRAINT u UNIQUE ({', '.join(n + rng.choice(['', ' DESC']) for n in some)})")
    if rng.random() < 0.3:
        constraints.append(f"FOREIGN KEY ({names[0]}) REFERENCES parent (id) ON DELETE SET DEFAULT")
    options = " WITHOUT ROWID" if keyed and rng.random() < 0.3 else ""
    return f"CREATE TABLE IF NOT EXISTS t ({', '.join(columns + constraints)}){options}"


def pragmas(sql: str) -> dict[str, Any]:
    db = apsw.Connection(":memory:")
    db.execute(sql)
    found: dict[str, Any] = {
        "columns": db.execute("PRAGMA table_xinfo(t)").fetchall(),
        "indexes": db.execute("PRAGMA index_list(t)").fetchall(),
        "keys": db.execute("PRAGMA foreign_key_list(t)").fetchall(),
    }
    for index in found["indexes"]:
        found[index[1]] = [row for row in db.execute(f'PRAGMA index_xinfo("{index[1]}")').fetchall() if row[5]]
    return found


@pytest.mark.parametrize("round_", range(150))
def test_table_reads_back_as_sqlite_says(rng: random.Random, round_: int) -> None:
    sql = random_table(rng)
    expected = pragmas(sql)
    table = parse_table(sql, "t")
    assert decode(encode(table)) == table, sql
    assert _table_info(table, True)[1] == expected["columns"], sql
    promoted = table.rowid_column >= 0 and any(row[3] == "pk" for row in expected["indexes"])
    indexes = [row[1:] for row in expected["indexes"] if not (promoted and row[3] == "pk")]
    assert [row[1:] for row in _index_list(table)[1]] == indexes, sql
    for index in table.indexes:
        rows = [row for row in _index_info(table, index, True)[1] if row[5]]
        # SQLite answers a collation's name as it was written.
        assert rows == [(*row[:4], row[4].upper(), row[5]) for row in expected[index.name]], sql
    assert _foreign_keys(table)[1] == expected["keys"], sql


@pytest.mark.parametrize("default", [d for d in DEFAULTS if d and "random" not in d and "CURRENT" not in d])
@pytest.mark.parametrize("declared", ["INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", ""])
def test_constant_default_is_what_sqlite_stores(default: str, declared: str) -> None:
    db = apsw.Connection(":memory:")
    db.execute(f"CREATE TABLE t(a {declared} {default}, b)")
    db.execute("INSERT INTO t(b) VALUES (1)")
    expected = db.execute("SELECT a FROM t").fetchall()[0][0]
    column = parse_table(f"CREATE TABLE t(a {declared} {default}, b)", "t").columns[0]
    assert column.default_constant
    assert (column.default, type(column.default)) == (expected, type(expected))


@pytest.mark.parametrize("default", ["CURRENT_TIMESTAMP", "current_date", "(random())", "(datetime('now'))"])
def test_changing_default_is_not_frozen(default: str) -> None:
    column = parse_table(f"CREATE TABLE t(a DEFAULT {default})", "t").columns[0]
    assert column.default_sql is not None
    assert not column.default_constant


def test_names_checks_and_keys_are_kept() -> None:
    table = parse_table(
        """CREATE TABLE main."t"(
            id INTEGER CONSTRAINT pk PRIMARY KEY AUTOINCREMENT,
            a TEXT CONSTRAINT "a check" CHECK (length(a) > (0) AND a <> ')') DEFAULT 'x',
            b INT CONSTRAINT fk REFERENCES p(x) ON DELETE SET NULL ON UPDATE CASCADE MATCH FULL
                DEFERRABLE INITIALLY DEFERRED,
            CONSTRAINT u UNIQUE (a, b), CHECK (b > 0),
            FOREIGN KEY (a, b) REFERENCES q ON DELETE NO ACTION NOT DEFERRABLE)""",
        "t",
    )
    assert table.autoincrement
    assert table.rowid_column == 0
    assert table.extra["primary_key"] == {"name": "pk"}
    assert table.extra["unique"] == [{"name": "u", "columns": ["a", "b"]}]
    assert [(c["name"], c["sql"], c["column"]) for c in table.extra["check"]] == [
        ("a check", "length(a) > (0) AND a <> ')'", "a"),
        (None, "b > 0", None),
    ]
    first, second = table.extra["foreign_keys"]
    assert first == {
        "name": "fk",
        "columns": ["b"],
        "table": "p",
        "referred": ["x"],
        "on_update": "CASCADE",
        "on_delete": "SET NULL",
        "match": "FULL",
        "deferrable": True,
        "initially_deferred": True,
        "timing": "DEFERRABLE INITIALLY DEFERRED",
    }
    assert (second["columns"], second["table"], second["referred"], second["on_delete"], second["deferrable"]) == (
        ["a", "b"],
        "q",
        [],
        "NO ACTION",
        False,
    )


@pytest.mark.parametrize(
    ("sql", "is_rowid"),
    [
        ("CREATE TABLE t(a INTEGER PRIMARY KEY)", True),
        ("CREATE TABLE t(a BIGINT NOT NULL, PRIMARY KEY (a))", True),
        ("CREATE TABLE t(a SMALLINT PRIMARY KEY)", True),
        ("CREATE TABLE t(a INTEGER PRIMARY KEY DESC)", False),
        ("CREATE TABLE t(a BIGINT PRIMARY KEY DESC)", False),
        ("CREATE TABLE t(a UNSIGNED BIG INT PRIMARY KEY)", True),
        ("CREATE TABLE t(a int8(20) PRIMARY KEY)", True),
        ("CREATE TABLE t(a TEXT PRIMARY KEY)", False),
        ("CREATE TABLE t(a POINT PRIMARY KEY)", False),
        ("CREATE TABLE t(a FLOATING POINT PRIMARY KEY)", False),
        ("CREATE TABLE t(a INTEGER, b, PRIMARY KEY (a, b))", False),
        ("CREATE TABLE t(a INTEGER PRIMARY KEY) WITHOUT ROWID", False),
    ],
)
def test_integer_key_of_one_column_is_the_row_id(sql: str, is_rowid: bool) -> None:
    table = parse_table(sql, "t")
    assert (table.rowid_column == 0) is is_rowid
    assert any(index.primary_key for index in table.indexes) is not is_rowid


def test_index_has_the_parts_sqlite_says() -> None:
    table = parse_table("CREATE TABLE t(a TEXT COLLATE NOCASE, b, c)", "t")
    index = parse_index('CREATE UNIQUE INDEX IF NOT EXISTS main."i x" ON t(b DESC, a, c COLLATE rtrim)', table)
    assert (index.name, index.unique, index.automatic) == ("i x", True, False)
    assert [(p.column, COLLATIONS[p.collation], p.descending) for p in index.parts] == [
        (1, "BINARY", True),
        (0, "NOCASE", False),
        (2, "RTRIM", False),
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t(a PRIMARY KEY ON CONFLICT REPLACE)",
        "CREATE TABLE t(a UNIQUE ON CONFLICT IGNORE)",
    ],
)
def test_what_is_not_there_is_refused(sql: str) -> None:
    with pytest.raises(NotSupportedError):
        parse_table(sql, "t")


def test_an_expression_of_an_index_is_a_hidden_column() -> None:
    table = parse_table("CREATE TABLE t(a, b)", "t")
    sql = "CREATE INDEX i ON t(lower( a ) COLLATE NOCASE DESC, b, CAST(b AS int), lower( a ))"
    index = parse_index(sql, table)
    assert [(p.column, COLLATIONS[p.collation], p.descending) for p in index.parts] == [
        (2, "NOCASE", True), (1, "BINARY", False), (3, "BINARY", False), (2, "BINARY", False),
    ]  # fmt: skip
    assert [(c.id, c.expression, c.type, c.hidden) for c in index.made] == [
        (2, "lower( a )", "", True), (3, "CAST(b AS int)", "INTEGER", True),
    ]  # fmt: skip
    assert table.with_index(index).visible == table.columns


def test_an_index_on_the_row_id_is_refused() -> None:
    with pytest.raises((NotSupportedError, apsw.SQLError)):
        parse_index("CREATE INDEX i ON t(rowid)", parse_table("CREATE TABLE t(a, b)", "t"))


def test_reserved_names_are_refused() -> None:
    with pytest.raises(OperationalError, match="reserved"):
        parse_table("CREATE TABLE entitydb_x(a)", "entitydb_x")
    with pytest.raises(apsw.SQLError, match="reserved"):
        parse_table("CREATE TABLE sqlite_x(a)", "sqlite_x")


@pytest.mark.parametrize(
    "value",
    [
        None,
        0,
        1,
        -1,
        127,
        128,
        -128,
        -129,
        32767,
        32768,
        2**31,
        -(2**63),
        2**63 - 1,
        0.0,
        1.5,
        -1e300,
        "",
        "é" * 300,
        b"",
        b"\0" * 70000,
    ],
)
def test_value_survives_its_row(value: cat.Value) -> None:
    back = decode_value(encode_value(value))
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize("kind", range(9))
@pytest.mark.parametrize("size", range(10))
def test_a_value_of_any_type_and_size_is_a_value_or_refused(kind: int, size: int) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(decode_value(bytes([1 << 2, kind, size]) + b"0" * size), cat.Value | None)


def test_damaged_payload_is_damage(rng: random.Random) -> None:
    payload = encode(parse_table("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT DEFAULT 'x' UNIQUE)", "t"))
    for _ in range(500):
        broken = bytearray(payload[: rng.randint(0, len(payload))] if rng.random() < 0.3 else payload)
        if broken:
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        # Anything but a table or DamageError fails the test.
        with contextlib.suppress(DamageError):
            assert isinstance(decode(bytes(broken)), cat.Table)
