"""Keys that a tree is known not to have: own writes count, and at SERIALIZABLE asking is reading."""

from __future__ import annotations

import pytest

from ..bare_txn import SERIALIZABLE, EngineError

TEXT = b"a text, longer than eight bytes"


@pytest.fixture(params=[8, 0], ids=["row ids", "texts"])
def tree(conn, request):
    return conn.make_tree(request.param), 77 if request.param else TEXT


def test_own_writes_are_found(conn, tree):
    tree, key = tree
    conn.put(tree, key, b"before")
    with conn.statement(writes=True) as statement:
        assert statement.get_absent(tree, key) == statement.get_absent(tree, key, now=True) == b"before"
        statement.put(tree, key, b"after")
        assert statement.get_absent(tree, key) == b"before"     # as the statement found it
        assert statement.get_absent(tree, key, now=True) == b"after"
        statement.put(tree, key, None)
        assert statement.get_absent(tree, key, now=True) is None
    with conn.statement() as statement:
        assert statement.get_absent(tree, key) is None
    conn.rollback()


@pytest.mark.parametrize("now", [False, True])
def test_it_counts_as_read_as_a_look_does(conn, connect, tree, now):
    """A look with now=True is one that no answer depends on (now_peek)."""
    tree, key = tree
    other = connect()
    conn.isolation(SERIALIZABLE)
    with conn.statement(writes=True) as statement:
        assert statement.get_absent(tree, key, now) is None
        statement.put(tree, 5 if isinstance(key, int) else b"another", b"x")
    other.put(tree, key, b"theirs")
    other.commit()
    if now:
        conn.commit()
    else:
        with pytest.raises(EngineError, match="CONFLICT"):
            conn.commit()


def test_a_row_known_to_be_absent_is_not_looked_up(conn):
    """What is said is believed, even where it is wrong, until something else is looked up or the statement ends."""
    tree = conn.make_tree()
    conn.put(tree, 1, b"there")
    conn.commit()
    with conn.statement() as statement:
        statement.row_absent(tree, 1)
        assert statement.get(tree, 1) is statement.get(tree, 1, now=True) is statement.newest(tree, 1) is None
        assert statement.get(tree, 2) is None
        assert statement.get(tree, 1) == b"there"
        statement.row_absent(tree, 1)
    assert conn.get(tree, 1) == b"there"


def test_own_writes_and_other_trees_are_looked_up_all_the_same(conn):
    tree, another = conn.make_tree(), conn.make_tree()
    conn.put(another, 1, b"there")
    conn.put(tree, 1, b"own")
    with conn.statement() as statement:
        statement.row_absent(tree, 1)
        assert statement.get(another, 1) == b"there"
        statement.row_absent(tree, 1)
        assert statement.get(tree, 1) == b"own"
    conn.rollback()


def test_a_row_known_to_be_absent_counts_as_read(conn, connect):
    tree, other = conn.make_tree(), connect()
    conn.isolation(SERIALIZABLE)
    with conn.statement(writes=True) as statement:
        statement.row_absent(tree, 1)
        assert statement.get(tree, 1) is None
        statement.put(tree, 2, b"x")
    other.put(tree, 1, b"theirs")
    other.commit()
    with pytest.raises(EngineError, match="CONFLICT"):
        conn.commit()
