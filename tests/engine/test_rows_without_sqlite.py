"""Rows are changed under their constraints without any SQLite connection (engine/table/constraints.h).

NOT NULL, unique keys and foreign keys with their actions are judged by the engine itself. What is SQL (CHECK,
generated columns, a DEFAULT that is an expression, WHERE and expressions of indexes) needs an evaluator
(engine/eval/evaluator.h); without one the change is refused before anything is written.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .bare_tables import (
    CASCADE,
    INTEGER,
    NO_ACTION,
    NOCASE,
    RESTRICT,
    SET_DEFAULT,
    SET_NULL,
    TEXT,
    Column,
    ForeignKey,
    Index,
    Table,
    create,
    delete,
    insert,
    judge,
    rows,
    update,
)
from .bare_txn import Database, EngineError


def parents(**options):
    return Table("parent", [Column("id", INTEGER), Column("name", TEXT)], rowid_column=0, **options)


def children(on_delete=NO_ACTION, on_update=NO_ACTION, *, indexed=True, **column):
    return Table(
        "child",
        [Column("id", INTEGER), Column("parent_id", INTEGER, **column)],
        rowid_column=0,
        indexes=[Index("child_parent", [1])] if indexed else [],
        foreign_keys=[ForeignKey([1], "parent", on_delete, on_update)],
    )


@pytest.fixture
def family(conn):
    """Makes parent and child, with parents 1 and 2 and the child 10 of parent 1; -> their ids."""

    def make(*args, **options):
        with conn.statement(writes=True) as statement:
            parent, child = create(statement, parents()), create(statement, children(*args, **options))
        with conn.statement(writes=True) as statement:
            insert(statement, parent, 1, None, "one")
            insert(statement, parent, 2, None, "two")
            insert(statement, child, 10, None, 1)
            judge(statement)
        conn.commit()
        return parent, child

    return make


def fails(code, words=""):
    return pytest.raises(EngineError, match=f"^{code}: .*{words}")


def test_a_row_with_a_foreign_key_is_inserted_and_survives(open_database, tmp_path):
    database = open_database("f.edb")
    conn = database.connect()
    with conn.statement(writes=True) as statement:
        parent, child = create(statement, parents()), create(statement, children())
    with conn.statement(writes=True) as statement:
        insert(statement, child, 10, None, "7")      # the column makes it a number; the parent comes in this statement
        insert(statement, parent, 7, None, "seven")
        judge(statement)
    conn.commit()
    with conn.statement() as statement:
        assert rows(statement, parent) == {7: [None, "seven"]}
        assert rows(statement, child) == {10: [None, 7]}
    conn.close()


def test_a_row_whose_parent_is_missing_is_refused(conn, family):
    _parent, child = family()
    with conn.statement(writes=True) as statement:
        insert(statement, child, 11, None, 3)
        with fails("FOREIGNKEY"):
            judge(statement)
    with conn.statement(writes=True) as statement:
        insert(statement, child, 12, None, None)     # NULL refers to nothing
        judge(statement)
        assert sorted(rows(statement, child)) == [10]
    conn.commit()
    with conn.statement() as statement:
        assert rows(statement, child) == {10: [None, 1], 12: [None, None]}


def test_the_commit_judges_what_no_statement_did(conn, family):
    _parent, child = family()
    with conn.statement(writes=True) as statement:
        insert(statement, child, 11, None, 3)
    with fails("FOREIGNKEY"):
        conn.commit()


@pytest.mark.parametrize("indexed", [True, False], ids=["index", "scan"])
def test_the_deletion_of_a_parent_deletes_its_children(conn, family, indexed):
    parent, child = family(CASCADE, indexed=indexed)
    with conn.statement(writes=True) as statement:
        insert(statement, child, 11, None, 2)
        judge(statement)
    with conn.statement(writes=True) as statement:
        assert delete(statement, parent, 1)
        judge(statement)
    conn.commit()
    with conn.statement() as statement:
        assert sorted(rows(statement, parent)) == [2]
        assert rows(statement, child) == {11: [None, 2]}


def test_cascades_go_through_a_table_that_refers_to_itself(conn):
    tree = Table(
        "node", [Column("id", INTEGER), Column("up", INTEGER)], rowid_column=0,
        foreign_keys=[ForeignKey([1], "node", CASCADE)],
    )  # fmt: skip
    with conn.statement(writes=True) as statement:
        node = create(statement, tree)
    with conn.statement(writes=True) as statement:
        for i in range(1, 30):
            insert(statement, node, i, None, i - 1 or None)
        judge(statement)
    with conn.statement(writes=True) as statement:
        delete(statement, node, 3)
        judge(statement)
    conn.commit()
    with conn.statement() as statement:
        assert sorted(rows(statement, node)) == [1, 2]


def test_set_null_and_set_default(conn):
    table = children(SET_DEFAULT, SET_NULL, number=2)
    with conn.statement(writes=True) as statement:
        parent, child = create(statement, parents()), create(statement, table)
    with conn.statement(writes=True) as statement:
        for i in (1, 2, 3):
            insert(statement, parent, i, None, None)
        insert(statement, child, 10, None, 1)
        insert(statement, child, 11, None, 3)
        judge(statement)
    with conn.statement(writes=True) as statement:
        delete(statement, parent, 1)
        update(statement, parent, 3, None, None, to=33)
        judge(statement)
    conn.commit()
    with conn.statement() as statement:
        assert rows(statement, child) == {10: [None, 2], 11: [None, None]}


def test_the_update_of_a_parent_goes_on_to_its_children(conn, family):
    parent, child = family(NO_ACTION, CASCADE)
    with conn.statement(writes=True) as statement:
        assert update(statement, parent, 1, None, "one", to=100)
        judge(statement)
    conn.commit()
    with conn.statement() as statement:
        assert rows(statement, child) == {10: [None, 100]}


@pytest.mark.parametrize("action", [NO_ACTION, RESTRICT], ids=["no action", "restrict"])
def test_a_parent_with_children_is_not_deleted(conn, family, action):
    parent, child = family(action)
    with conn.statement(writes=True) as statement:
        with fails("FOREIGNKEY"):
            delete(statement, parent, 1)
            judge(statement)
    with conn.statement(writes=True) as statement:
        delete(statement, child, 10)
        judge(statement)
    with conn.statement(writes=True) as statement:
        delete(statement, parent, 1)
        judge(statement)
    conn.commit()


def test_a_child_and_the_deletion_of_its_parent_do_not_both_commit(database, connect):
    one, other = connect(), connect()
    with one.statement(writes=True) as statement:
        parent, child = create(statement, parents()), create(statement, children())
        insert(statement, parent, 1, None, None)
    one.commit()
    with one.statement(writes=True) as first, other.statement(writes=True) as second:
        insert(first, child, 10, None, 1)
        delete(second, parent, 1)
        judge(first), judge(second)
    one.commit()
    with fails("CONFLICT"):
        other.commit()


def test_not_null_and_unique_keys(conn):
    table = Table(
        "t",
        [Column("a", TEXT, not_null=True), Column("b", TEXT)],
        indexes=[Index("pk", [0], unique=True, primary_key=True), Index("u", [1], unique=True, collation=NOCASE)],
    )
    with conn.statement(writes=True) as statement:
        t = create(statement, table)
    with conn.statement(writes=True) as statement:
        insert(statement, t, 1, "a", "x")
        with fails("NOTNULL", "t.a"):
            insert(statement, t, 2, None, "y")
        with fails("PRIMARYKEY"):
            insert(statement, t, 2, "a", "y")
        with fails("UNIQUE"):
            insert(statement, t, 2, "b", "X")
        with fails("PRIMARYKEY"):
            insert(statement, t, 1, "b", "y")
        insert(statement, t, 2, "b", None)
        insert(statement, t, 3, "c", "X", replace=True)
    conn.commit()
    with conn.statement() as statement:
        assert rows(statement, t) == {2: ["b", None], 3: ["c", "X"]}


REFUSED = {
    "a CHECK constraint": Table("t", [Column("a", INTEGER)], checks=["a > 0"]),
    "a generated column": Table("t", [Column("a", INTEGER), Column("b", INTEGER, expression="a + 1")]),
    "a partial index": Table("t", [Column("a", INTEGER)], indexes=[Index("i", [0], where="a > 0")]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_only_sqlite_can_evaluate_is_refused(conn, what):
    table = REFUSED[what]
    with conn.statement(writes=True) as statement:
        t = create(statement, table)
        other = create(statement, Table("other", [Column("a")]))
    conn.commit()
    with conn.statement(writes=True) as statement:
        with fails("MISUSE", f"table t has {what}.*no SQLite connection"):
            insert(statement, t, 1, *[1] * len(table.columns))
        insert(statement, other, 1, b"x")            # the transaction goes on
    conn.commit()
    with conn.statement() as statement:
        assert rows(statement, t) == {}
        assert rows(statement, other) == {1: [b"x"]}


def test_a_default_that_is_an_expression_is_refused_when_an_action_needs_it(conn, family):
    parent, _ = family(SET_DEFAULT, default="1 + 1")
    with conn.statement(writes=True) as statement:
        with fails("MISUSE", "a DEFAULT that is an expression"):
            delete(statement, parent, 1)
        assert sorted(rows(statement, parent)) == [1, 2]
    conn.rollback()


@pytest.mark.slow
def test_it_works_where_no_sqlite_has_loaded_the_library(tmp_path):
    """A new interpreter, in which nothing has given the library SQLite's functions: a call of one would end it.

    It runs in a folder of its own, so that it finds the installed package, not the checkout's.
    """
    tests = str(Path(__file__).resolve().parents[1])
    program = f"import sys; sys.path.append({tests!r}); from {__name__} import insert_and_cascade; insert_and_cascade()"
    result = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def insert_and_cascade():
    """In memory: a parent and its child, and the parent's deletion."""
    database = Database()
    conn = database.connect()
    with conn.statement(writes=True) as statement:
        parent, child = create(statement, parents()), create(statement, children(CASCADE))
    with conn.statement(writes=True) as statement:
        insert(statement, parent, 1, None, "one")
        insert(statement, child, 10, None, 1)
        judge(statement)
    conn.commit()
    with conn.statement(writes=True) as statement:
        delete(statement, parent, 1)
        judge(statement)
    conn.commit()
    with conn.statement() as statement:
        assert not rows(statement, parent)
        assert not rows(statement, child)
    conn.close()
    database.close()
