"""The shape of a statement against a model, for texts read anew and for tokens that are known."""

from __future__ import annotations

import random

import pytest
import statement_model
from test_sqltokens import KINDS, Read

FLAGS = ("several", "row_in", "asks_schema", "default_values", "plain_values", "of_commit", "plain_list")
FLAGS += ("bound_by_column", "may_shorten", "may_chain", "orders_otherwise", "updates_from", "has_terms")
FLAGS += ("may_find_one", "lists_query", "bounds_row", "is_column")
VERBS = ("NOTHING", "SELECT", "VALUES", "EXPLAIN", "INSERT", "REPLACE", "UPDATE", "DELETE", "OTHER")
PIECES = (
    *("SELECT", "VALUES", "EXPLAIN", "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH", "RECURSIVE", "AS", "NOT"),
    *("MATERIALIZED", "OR", "IGNORE", "INTO", "FROM", "SET", "DEFAULT", "ON", "CONFLICT", "DO", "NOTHING", "RETURNING"),
    "entitydb_transaction_info",
    *("IN", "TRIGGER", "entitydb_label", "t", '"t"', "'t'", "[t]", "main", ".", ",", ";", "(", ")", "=", "?", "1"),
    *("(a, b)", "(a)", "(?, ?)", "f(a, b)", "WHERE", "sqlite_master", '"PRAGMA_x"', "sqlitex", "?,?,?,?,?,?,?,?", "||"),
    *("<", "<=", ">", ">=", "BETWEEN", "AND", "CAST", "CAST(a AS INT)", "-", "x'00'"),
    *("count(*)", "MIN", "ORDER BY", "GROUP BY", "NULLS LAST", "COLLATE", "JOIN", "FROM a, b", "a.x = b.x"),
    *("x = a.x", '"a".x = y', "a.x = ?", "1 = x", "x = -1", "ORDER"),
    *("IN (SELECT", "(a, b) < (1, 2)", "> (-1,", "IS", "IS NULL", "NULL"),
)  # fmt: skip
BEGINNINGS = (
    "", "INSERT INTO t", "INSERT OR", "REPLACE INTO main.t AS x", "UPDATE t SET a = 1", "DELETE FROM", ";;", "SELECT",
    "WITH a(b) AS MATERIALIZED (SELECT 1),", "INSERT INTO t(a, b) VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET",
    "CREATE TEMP TRIGGER t", "SELECT * FROM a, b JOIN c ON a.x = b.x AND",
    "SELECT * FROM a, (b, c) WHERE a.x = b.x AND",
)  # fmt: skip


def flags(native, shape: dict[str, int]) -> set[str]:
    return {name for name in FLAGS if shape["flags"] & getattr(native.lib, f"SQL_{name.upper()}")}


def places(read: Read, first: str, end: str = "") -> tuple[int, int]:
    """The offsets of a part of the statement: of one token, or of those up to another part."""
    start = read.shape[first]
    last = read.shape[end] - 1 if end else start
    return (read.starts[start], read.ends[last]) if 0 <= start <= last else (0, 0)


def random_sql(rng: random.Random) -> str:
    pieces = [rng.choice(PIECES) for _ in range(rng.randrange(14))]
    return " ".join([rng.choice(BEGINNINGS), *(piece.lower() if rng.random() < 0.2 else piece for piece in pieces)])


@pytest.mark.slow
def test_the_shape_of_a_random_statement_is_that_of_the_model(native, rng: random.Random) -> None:
    for _ in range(20_000):
        sql = random_sql(rng)
        read = Read(native, sql.encode())
        texts = [sql[start:end] for start, end in zip(read.starts, read.ends, strict=True)]
        kinds = [KINDS[kind] for kind in read.kinds]
        model = statement_model.Shape(texts, kinds, [word.decode() for word in read.words], read.partners)
        expected = {name: value for name, value in model.found.items() if name != "kind"}
        assert {name: read.shape[name] for name in expected} == expected, sql
        assert VERBS[read.shape["kind"]] == model.found["kind"], sql
        assert flags(native, read.shape) == model.flags, sql
        assert places(read, "table") == (read.shape["table_start"], read.shape["table_end"]), sql
        assert places(read, "columns", "columns_end") == (read.shape["list_start"], read.shape["list_end"]), sql


def test_known_tokens_have_the_shape_of_their_text(native, rng: random.Random) -> None:
    head = native.ffi.sizeof("sql_shape")
    for _ in range(2_000):
        read = Read(native, random_sql(rng).encode())
        room = native.ffi.new("int32_t[]", head // 4 + read.count)
        offsets = [native.ffi.new("int32_t[]", numbers) for numbers in (read.starts, read.ends)]
        words = b"\n".join(read.words)
        native.lib.sql_read_tokens(read.kinds, read.codes, *offsets, read.count, words, len(words), room)
        assert bytes(native.ffi.buffer(room)) == read.packed[: head + 4 * read.count]


@pytest.mark.parametrize("upper", [False, True])
def test_every_word_has_a_code_of_its_own(native, upper: bool) -> None:
    words = [
        *statement_model.BEFORE_EXPRESSION, *statement_model.VERBS, "AS", "CONFLICT", "DEFAULT", "DO", "ENTITYDB_LABEL",
        "ENTITYDB_TRANSACTION_INFO", "INTO", "MATERIALIZED", "RECURSIVE", "SET", "TRIGGER", "WITH",
        "COLLATE", "COUNT", "GROUP", "MIN", "NULLS", "ORDER", "JOIN", "NULL",
    ]  # fmt: skip
    words = sorted(set(words))
    read = Read(native, " ".join(word if upper else word.lower() for word in words).encode())
    assert len(set(read.codes)) == len(words)
    assert all(code > 0x80 for code in read.codes)
    around = [word[:-1] for word in words] + [word + "X" for word in words]
    assert all(
        code == 0 for word in around if word not in words and len(word) > 1
        for code in Read(native, word.encode()).codes
    )
