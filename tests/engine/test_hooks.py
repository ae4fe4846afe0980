"""What features of the layers above keep on statements and connections (engine/txn/hooks.h).

A test build has two features. Each keeps a number, and counts how often its number was freed.
"""

from __future__ import annotations

import itertools

import pytest

from .bare_txn import Database, EngineError, done, ffi, lib, raw

FIRST, SECOND = 0, 1
unused = itertools.count(1)


@pytest.fixture
def numbers():
    """Two numbers that no other test has used."""
    return next(unused), next(unused)


def freed(feature, number, *, conn=False):
    return lib.test_hooks_freed(feature, conn, number)


def test_two_features_keep_data_on_one_statement_and_each_is_freed_once(conn, numbers):
    first, second = numbers
    statement = conn.begin()
    done(lib.test_hooks_stmt_set(statement.stmt, FIRST, first))
    done(lib.test_hooks_stmt_set(statement.stmt, SECOND, second))
    assert lib.test_hooks_stmt(statement.stmt, FIRST) == first
    assert lib.test_hooks_stmt(statement.stmt, SECOND) == second
    assert freed(FIRST, first) == freed(SECOND, second) == 0
    statement.end()
    assert freed(FIRST, first) == freed(SECOND, second) == 1
    assert freed(FIRST, second) == freed(SECOND, first) == 0
    with conn.statement() as another:       # it may have the memory of the one before
        assert lib.test_hooks_stmt(another.stmt, FIRST) == lib.test_hooks_stmt(another.stmt, SECOND) == 0
    assert freed(FIRST, first) == freed(SECOND, second) == 1


def test_data_is_freed_when_other_data_replaces_it(conn, numbers):
    before, after = numbers
    with conn.statement() as statement:
        done(lib.test_hooks_stmt_set(statement.stmt, FIRST, before))
        done(lib.test_hooks_stmt_set(statement.stmt, FIRST, after))
        assert (freed(FIRST, before), freed(FIRST, after)) == (1, 0)
        done(lib.test_hooks_stmt_set(statement.stmt, FIRST, 0))
        assert lib.test_hooks_stmt(statement.stmt, FIRST) == 0
        assert freed(FIRST, after) == 1
    assert (freed(FIRST, before), freed(FIRST, after)) == (1, 1)


def test_data_of_an_ended_statement_lives_until_its_last_user_lets_go(conn, numbers):
    statement = conn.begin()
    done(lib.test_hooks_stmt_set(statement.stmt, FIRST, numbers[0]))
    user = ffi.new("edb_stmt **")
    before = lib.edb_stmt_enter(statement.stmt)
    done(lib.stmt_acquire(conn.conn, False, True, user))
    lib.edb_stmt_restore(conn.conn, before)
    statement.end()
    assert freed(FIRST, numbers[0]) == 0
    lib.stmt_release(user[0])
    assert freed(FIRST, numbers[0]) == 1


def test_data_of_a_connection_outlives_its_statements_and_its_handle(numbers):
    first, second = numbers
    database = Database()
    conn = database.connect()
    done(lib.test_hooks_conn_set(conn.conn, FIRST, first))
    done(lib.test_hooks_conn_set(conn.conn, SECOND, second))
    statement = conn.begin()
    assert lib.test_hooks_conn(conn.conn, FIRST) == first
    assert lib.test_hooks_conn(conn.conn, SECOND) == second
    assert lib.test_hooks_stmt(statement.stmt, FIRST) == 0
    conn.close()
    assert freed(FIRST, first, conn=True) == freed(SECOND, second, conn=True) == 0
    statement.end()                         # the last reference
    assert freed(FIRST, first, conn=True) == freed(SECOND, second, conn=True) == 1
    assert freed(FIRST, first) == 0
    database.close()


def of_database(conn):
    """The number kept with the connection's database, and how many of such have been freed."""
    freed_of_all = ffi.new("uint64_t *")
    return lib.test_hooks_db(conn.conn, freed_of_all), freed_of_all[0]


def test_data_of_a_file_is_one_for_all_who_have_it_open_here(tmp_path):
    """Each connection of the driver opens the file for itself."""
    databases = [Database(tmp_path / name) for name in ("a.edb", "b.edb", "a.edb")]
    conns = [database.connect() for database in databases]
    numbers, before = [of_database(conn)[0] for conn in conns], of_database(conns[0])[1]
    assert numbers[0] == numbers[2] != numbers[1]
    for at in (0, 2):
        assert of_database(conns[1])[1] == before
        conns[at].close()
        databases[at].close()
    assert of_database(conns[1])[1] == before + 1
    again = Database(tmp_path / "a.edb")
    conn = again.connect()
    assert of_database(conn)[0] not in numbers
    for one in (conn, again, conns[1], databases[1]):
        one.close()


def test_memory_databases_have_data_of_their_own():
    databases = [Database(), Database()]
    conns = [database.connect() for database in databases for _ in range(2)]
    numbers = [of_database(conn)[0] for conn in conns]
    assert numbers[0] == numbers[1] != numbers[2] == numbers[3]
    for one in (*conns, *databases):
        one.close()


def told(database):
    """What commits have told of a database since the last call: published numbers, and (tree, changed, number, key,
    whether it is a tombstone)."""
    out = ffi.new("test_told[]", 1024)
    n = lib.test_hooks_told(out, 1024)
    assert n < 1024
    return [one.number if one.published
            else (one.tree, one.changed, one.number, bytes(one.key)[: one.key_size], one.tombstone)
            for one in out[0:n] if one.database == database]


def test_a_commit_tells_what_it_puts_into_each_tree_and_that_it_is_published(conn):
    number = of_database(conn)[0]
    trees = [conn.make_tree(), conn.make_tree(0)]
    made = conn.last_commit()[0]
    told(number)
    with conn.statement(writes=True) as statement:
        statement.put(trees[1], b"b", b"1")
        statement.put(trees[0], 7, b"2")
        statement.put(trees[0], 5, b"3")
        statement.put(trees[0], 7, b"4")
    conn.prepare()
    assert told(number) == [
        (trees[0], made - 1, made + 1, raw(5), False),
        (trees[0], made - 1, made + 1, raw(7), False),
        (trees[1], made, made + 1, b"b", False),
    ]
    conn.publish()
    conn.settle()
    assert told(number) == [made + 1]
    conn.delete(trees[0], 5)
    conn.commit()
    assert told(number) == [(trees[0], made + 1, made + 2, raw(5), True), made + 2]


def test_what_is_rolled_back_is_not_told_and_what_fails_is_not_published(conn, connect):
    number, other = of_database(conn)[0], connect()
    tree = conn.make_tree()
    told(number)
    with conn.statement(writes=True) as statement:
        statement.put(tree, 1, b"a")
        mark = lib.txn_mark(conn.conn)
        statement.put(tree, 2, b"b")
        lib.txn_rollback_to(conn.conn, mark)
    conn.commit()
    first = conn.last_commit()[0]
    assert told(number) == [(tree, first - 1, first, raw(1), False), first]
    conn.put(tree, 1, b"c")
    other.put(tree, 1, b"d")
    other.commit()
    with pytest.raises(EngineError, match="CONFLICT"):
        conn.commit()
    assert told(number) == [(tree, first, first + 1, raw(1), False), first + 1]
    conn.put(tree, 3, b"e")
    conn.prepare()
    conn.rollback()
    assert told(number) == [(tree, first + 1, first + 2, raw(3), False)]
    conn.put(tree, 4, b"f")
    conn.commit()
    assert told(number) == [(tree, first + 1, first + 2, raw(4), False), first + 2]


def test_a_large_commit_is_told_in_portions_and_each_says_what_was_before(conn):
    number, tree = of_database(conn)[0], conn.make_tree()
    made = conn.last_commit()[0]
    told(number)
    with conn.statement(writes=True) as statement:
        for key in range(300):
            statement.put(tree, key, b"x")
    conn.commit()
    out = ffi.new("test_told[]", 1024)
    n = lib.test_hooks_told(out, 1024)
    found = [one for one in out[0:n] if one.database == number]
    assert [one.published for one in found] == [False] * 300 + [True]
    assert [bytes(one.key) for one in found[:-1]] == [raw(key) for key in range(300)]
    assert {(one.tree, one.changed, one.number) for one in found[:-1]} == {(tree, made, made + 1)}
    begins = [one.begins for one in found[:-1]]
    assert begins == sorted(begins, reverse=True)
    assert 0 < sum(begins) < 300


def test_a_database_is_told_of_commits_of_every_connection_here(tmp_path):
    databases = [Database(tmp_path / "a.edb"), Database(tmp_path / "a.edb"), Database(tmp_path / "b.edb")]
    first, second, third = (database.connect() for database in databases)
    number = of_database(first)[0]
    of_database(third)
    tree = second.make_tree()
    third.make_tree()
    assert [one for one in told(number) if isinstance(one, int)] == [second.last_commit()[0]]
    second.put(tree, 1, b"x")
    second.commit()
    assert len(told(number)) == 2
    for one in (first, second, third, *databases):
        one.close()
