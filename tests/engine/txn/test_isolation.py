"""Isolation levels of bare transactions: whose T a statement has, what counts as read, and what COMMIT makes of it."""

from __future__ import annotations

import pytest

from ..bare_txn import (
    NORMAL,
    READ_COMMITTED,
    REPEATABLE_READ,
    SERIALIZABLE,
    EngineError,
    lib,
    raw,
)

LEVELS = (READ_COMMITTED, REPEATABLE_READ, SERIALIZABLE)


def name_of_failure(connection):
    with pytest.raises(EngineError) as error:
        connection.commit()
    return error.value.name


@pytest.fixture
def pair(connect):
    """(a, b, tree): rows 0, 10 .. 90; b is at SERIALIZABLE."""
    a, b = connect(), connect()
    tree = a.make_tree()
    for key in range(0, 100, 10):
        a.put(tree, key, b"0")
    a.commit()
    b.isolation(SERIALIZABLE)
    return a, b, tree


# ---- the setting ------------------------------------------------------------------------------------------------


def test_a_level_is_set_between_transactions_and_stays(connect):
    a = connect()
    tree = a.make_tree()
    for level in LEVELS:
        a.isolation(level)
        for _ in range(2):
            a.put(tree, 1, b"%d" % level)
            with pytest.raises(EngineError, match="between transactions"):
                a.isolation(REPEATABLE_READ)
            a.commit()
    for level in (0, 4, -1):
        with pytest.raises(EngineError, match="no isolation level"):
            a.isolation(level)


# ---- READ COMMITTED ---------------------------------------------------------------------------------------------


def test_each_statement_reads_the_newest_commit_and_own_writes(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    b.isolation(READ_COMMITTED)
    a.put(tree, 1, b"a")
    a.commit()
    assert b.get(tree, 1) == b"a"
    b.put(tree, 2, b"own")
    a.put(tree, 1, b"b")
    assert b.get(tree, 1) == b"a", "not committed"
    a.commit()
    assert b.get(tree, 1) == b"b"
    assert b.get(tree, 2) == b"own"
    a.delete(tree, 1)
    a.commit()
    assert list(b.scan(tree).values()) == [b"own"]
    b.commit()


def test_an_update_is_judged_by_what_its_statement_saw(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    b.isolation(READ_COMMITTED)
    a.put(tree, 1, b"a")
    a.put(tree, 2, b"a")
    a.commit()
    b.put(tree, 2, b"first write")              # the transaction is older than what comes now
    a.put(tree, 1, b"b")
    a.commit()
    b.put(tree, 1, b"c")
    b.commit()
    assert a.get(tree, 1, transaction=False) == b"c"


def test_what_was_committed_after_the_statement_conflicts(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    b.isolation(READ_COMMITTED)
    for change in (b"b", None):
        a.put(tree, 1, b"a")
        a.commit()
        b.put(tree, 1, b"mine")
        a.put(tree, 1, change)
        a.commit()
        b.put(tree, 1, b"mine again")           # over an own write: still what the first statement saw
        assert name_of_failure(b) == "CONFLICT"
        assert a.get(tree, 1, transaction=False) == change


def test_an_insert_beside_a_committed_insert_conflicts(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    b.isolation(READ_COMMITTED)
    b.put(tree, 1, b"mine")
    a.put(tree, 1, b"theirs")
    a.commit()
    b.get(tree, 1)
    assert name_of_failure(b) == "CONFLICT"


def test_a_read_committed_transaction_goes_never_back_in_time(open_database):
    """At full a reader outside sees the durable commit; who has written, or read a newer one, does not go back."""
    database = open_database()
    a, b = database.connect(), database.connect()
    tree = a.make_tree()
    b.isolation(READ_COMMITTED)
    a.put(tree, 1, b"a")
    a.prepare()
    a.publish()                                 # published, not durable
    a.settle()
    assert b.get(tree, 1) is None
    with b.statement(writes=True) as statement:
        assert statement.get(tree, 1) == b"a"
        moment = statement.moment
    with b.statement() as statement:
        assert statement.moment == moment
        assert statement.get(tree, 1) == b"a"
    b.rollback()


def test_a_schema_changed_after_a_write_is_a_conflict_and_before_it_is_followed(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    b.isolation(READ_COMMITTED)
    assert b.get(tree, 1) is None
    with a.statement(writes=True) as statement:
        table = statement.change_schema()
    a.commit()
    with b.statement(writes=True) as statement:
        assert statement.get(0, table) is not None
        statement.put(tree, 1, b"b")
    with a.statement(writes=True) as statement:
        statement.change_schema(None, table)
    a.commit()
    with pytest.raises(EngineError, match="changed the schema") as error:
        b.get(tree, 1)
    assert error.value.name == "CONFLICT"
    assert name_of_failure(b) == "CONFLICT"


@pytest.mark.parametrize("round", range(4))
def test_random_interleavings_follow_the_newest_commit(open_database, rng, round):
    """Statements see the newest commit and own writes; COMMIT fails exactly if a row is not as its writer saw it."""
    database = open_database(synchronous=NORMAL, spill=3_000 if round % 2 else 0)
    connections = [database.connect() for _ in range(4)]
    tree = connections[0].make_tree()
    for connection in connections:
        connection.isolation(READ_COMMITTED)
    newest, number, running = {}, 1, {}         # newest: {key: (value, its commit)}
    conflicts = commits = 0
    for _ in range(900):
        connection = rng.choice(connections)
        if connection not in running:
            connection.get(tree, 0)             # SQLite tells of savepoints inside a transaction only
            running[connection] = {}, []
        writes, savepoints = running[connection]
        action = rng.random()
        if action < 0.45:
            key, value = rng.randrange(20), None if rng.random() < 0.3 else rng.randbytes(rng.randrange(50))
            connection.put(tree, key, value)
            seen = writes[key][1] if key in writes else newest.get(key, (None, 0))[1]
            writes[key] = (value, seen)
        elif action < 0.7:
            expected = {key: value for key, (value, _) in (newest | writes).items() if value is not None}
            assert connection.scan(tree) == {raw(key): value for key, value in expected.items()}
        elif action < 0.76:
            savepoints.append(dict(writes))
            lib.txn_savepoint(connection.conn, len(savepoints) - 1)
        elif action < 0.82 and savepoints:
            level = rng.randrange(len(savepoints))
            lib.txn_rollback_savepoint(connection.conn, level)
            writes.clear()
            writes.update(savepoints[level])
            del savepoints[level + 1:]
        elif action > 0.86:
            del running[connection]
            if any(newest.get(key, (None, 0))[1] != seen for key, (_, seen) in writes.items()):
                assert name_of_failure(connection) == "CONFLICT"
                connection.rollback()
                conflicts += 1
                continue
            connection.commit()
            changed = {key: value for key, (value, _) in writes.items() if newest.get(key, (None, 0))[0] != value}
            if changed:
                number += 1
                commits += 1
                assert connection.last_commit()[0] == number
            for key, value in changed.items():
                newest.pop(key, None)
                if value is not None:
                    newest[key] = (value, number)
    assert conflicts > 3
    assert commits > 15


# ---- SERIALIZABLE: what counts as read --------------------------------------------------------------------------


def read_get(b, tree):
    b.get(tree, 20)


def read_nothing(b, tree):
    assert b.get(tree, 25) is None


def read_now(b, tree):
    with b.statement() as statement:
        statement.get(tree, 20, now=True)


def read_all(b, tree):
    b.scan(tree)


def read_all_backward(b, tree):
    with b.statement() as statement:
        statement.scan(tree, backward=True)


def read_from(b, tree, key=20, steps=0):
    with b.statement() as statement:
        cursor = statement.cursor(tree)
        cursor.seek(key)
        for _ in range(steps):
            cursor.next()
        cursor.close()


def read_back_from(b, tree, key=20, steps=0):
    with b.statement() as statement:
        cursor = statement.cursor(tree)
        cursor.seek_last(key)
        for _ in range(steps):
            cursor.prev()
        cursor.close()


def read_first(b, tree):
    read_from(b, tree, None)


def read_last(b, tree):
    read_back_from(b, tree, None)


def read_turning(b, tree):
    """20 30 40 30 20 10"""
    with b.statement() as statement:
        cursor = statement.cursor(tree)
        cursor.seek(20)
        for step in (cursor.next, cursor.next, cursor.prev, cursor.prev, cursor.prev):
            step()
        assert cursor.at()[0][-1] == 10
        cursor.close()


READS = [
    # what is read, keys whose change must fail the reader, keys whose change must not
    (read_get, [20], [10, 19, 21, 30]),
    (read_nothing, [25], [20, 24, 26, 30]),
    (read_now, [20], [10, 21, 30]),
    (read_all, [-5, 0, 15, 90, 1000], []),
    (read_all_backward, [-5, 0, 15, 90, 1000], []),
    (lambda b, tree: read_from(b, tree, 20), [20], [19, 10, 21, 30]),
    (lambda b, tree: read_from(b, tree, 21), [21, 25, 30], [20, 31, 40]),
    (lambda b, tree: read_from(b, tree, 20, 2), [20, 25, 30, 35, 40], [19, 10, 41, 50]),
    (lambda b, tree: read_from(b, tree, 91), [91, 1000], [90, 80]),
    (lambda b, tree: read_back_from(b, tree, 20), [20], [19, 10, 21, 30]),
    (lambda b, tree: read_back_from(b, tree, 29), [20, 25, 29], [10, 30]),
    (lambda b, tree: read_back_from(b, tree, 20, 1), [20, 15, 10], [21, 9, 0]),
    (lambda b, tree: read_back_from(b, tree, -1), [-1, -1000], [0, 10]),
    (read_first, [-1000, -1, 0], [1, 10]),
    (read_last, [90, 91, 1000], [89, 80]),
    (read_turning, [10, 15, 20, 30, 35, 40], [9, 0, 41, 50]),
]


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("read", "fails", "passes"), READS)
def test_what_was_read_must_stay_and_nothing_else(pair, read, fails, passes, own):
    """own: the reader has written to the tree, so that its cursors merge."""
    a, b, tree = pair
    for key, conflict in [*((key, True) for key in fails), *((key, False) for key in passes)]:
        before = a.get(tree, key, transaction=False)
        if own:
            b.put(tree, 55, b"own")
        read(b, tree)
        b.put(tree, 55, b"own too")
        # Away where it is, in where it is not; twice a key: change and back.
        a.put(tree, key, None if before else b"new")
        a.commit()
        if conflict:
            assert name_of_failure(b) == "CONFLICT", key
        else:
            b.commit()
        a.put(tree, key, before)
        a.delete(tree, 55)
        a.commit()


def test_a_row_deleted_and_made_again_is_another(pair):
    a, b, tree = pair
    b.get(tree, 20)
    b.put(tree, 1, b"b")
    a.delete(tree, 20)
    a.commit()
    a.put(tree, 20, b"0")
    a.commit()
    assert name_of_failure(b) == "CONFLICT"


def test_a_row_that_came_and_went_changed_nothing(pair):
    a, b, tree = pair
    b.scan(tree)                                # before the others
    b.rollback()
    read_from(b, tree, 21, 0)
    b.put(tree, 1, b"b")
    a.put(tree, 25, b"0")
    a.commit()
    a.delete(tree, 25)
    a.commit()
    b.commit()


def test_whoever_wrote_nothing_is_not_judged(pair):
    a, b, tree = pair
    b.scan(tree)
    a.put(tree, 20, b"a")
    a.commit()
    b.commit()
    b.scan(tree)
    b.put(tree, 30, b"b")
    lib.txn_rollback_to(b.conn, 0)
    a.put(tree, 20, b"aa")
    a.commit()
    b.commit()


def test_reads_of_a_savepoint_rolled_back_count(pair):
    a, b, tree = pair
    b.put(tree, 500, b"b")
    lib.txn_savepoint(b.conn, 0)
    b.get(tree, 20)
    lib.txn_rollback_savepoint(b.conn, 0)
    a.put(tree, 20, b"a")
    a.commit()
    assert name_of_failure(b) == "CONFLICT"


def test_reads_of_a_transaction_rolled_back_do_not_count_for_the_next(pair):
    a, b, tree = pair
    b.scan(tree)
    b.rollback()
    b.put(tree, 500, b"b")
    a.put(tree, 20, b"a")
    a.commit()
    b.commit()


def test_reads_as_of_a_moment_do_not_count(pair):
    a, b, tree = pair
    moment = a.last_commit()[1]
    b.put(tree, 500, b"b")
    assert b.get(tree, 20, as_of=moment) == b"0"
    b.scan(tree, as_of=moment)
    a.put(tree, 20, b"a")
    a.commit()
    b.commit()


def test_the_other_levels_note_nothing(connect):
    a = connect()
    tree = a.make_tree()
    for level in (READ_COMMITTED, REPEATABLE_READ):
        a.isolation(level)
        a.put(tree, 1, b"a")
        a.scan(tree)
        a.get(tree, 1)
        assert a.reads() == (0, 0, 0)
        a.commit()


def test_a_cursor_open_at_commit_counts_as_far_as_it_went(pair):
    a, b, tree = pair
    for key, conflict in ((20, True), (25, True), (30, True), (31, False), (40, False)):
        with b.statement() as statement:
            cursor = statement.cursor(tree)
            cursor.seek(20)
            cursor.next()
            b.put(tree, 500, b"%d" % key)
            a.put(tree, key, b"a")
            a.commit()
            if conflict:
                assert name_of_failure(b) == "CONFLICT"
            else:
                b.commit()
            cursor.next()                       # it goes on, in its own moment, and is nobody's read any more
            assert cursor.at()[0][-1] == 40
            cursor.close()
        a.put(tree, key, None if key % 10 else b"0")
        a.commit()


def test_a_unique_key_looked_for_at_serializable_is_read_at_the_transactions_moment(connect):
    """To refuse it for a row the transaction does not see would not be serial: COMMIT says conflict instead."""
    a, b = connect(), connect()
    with a.statement(writes=True) as statement:
        index = statement.make_tree(0)
        tree = statement.make_tree()
    a.commit()
    b.isolation(SERIALIZABLE)
    b.get(tree, 1)
    with a.statement(writes=True) as statement:
        statement.put_unique(index, b"key", 1)
    a.commit()
    with b.statement(writes=True) as statement:
        assert statement.prefix(index, b"key") is None
        statement.put_unique(index, b"key", 2)
    assert name_of_failure(b) == "CONFLICT"
    with b.statement(writes=True) as statement:
        assert statement.prefix(index, b"key") is not None


def test_a_unique_key_that_was_free_and_rolled_back_counts(connect):
    a, b = connect(), connect()
    with a.statement(writes=True) as statement:
        index = statement.make_tree(0)
        tree = statement.make_tree()
    a.commit()
    b.isolation(SERIALIZABLE)
    b.put(tree, 1, b"b")
    mark = lib.txn_mark(b.conn)
    with b.statement(writes=True) as statement:
        statement.put_unique(index, b"key", 2)
    lib.txn_rollback_to(b.conn, mark)
    with a.statement(writes=True) as statement:
        statement.put_unique(index, b"kex", 1)
    a.commit()
    b.commit()
    b.put(tree, 1, b"bb")
    mark = lib.txn_mark(b.conn)
    with b.statement(writes=True) as statement:
        statement.put_unique(index, b"key", 2)
    lib.txn_rollback_to(b.conn, mark)
    with a.statement(writes=True) as statement:
        statement.put_unique(index, b"key", 1)
    a.commit()
    assert name_of_failure(b) == "CONFLICT"


# ---- SERIALIZABLE: memory ---------------------------------------------------------------------------------------


def test_walks_by_key_are_one_range_whatever_their_length(pair):
    _, b, tree = pair
    with b.statement() as statement:
        for key in range(3000):
            statement.get(tree, key)
        for key in range(3000):
            statement.get(tree, key)
    assert b.reads()[:2] == (0, 1)


@pytest.mark.slow
@pytest.mark.parametrize("key_size", [8, 0])
def test_scattered_reads_are_bounded_in_memory_and_none_is_forgotten(open_database, rng, key_size):
    database = open_database(synchronous=NORMAL)
    a, b = database.connect(), database.connect()
    tree = a.make_tree(key_size)
    b.isolation(SERIALIZABLE)

    def name(n):
        return n if key_size else b"%09d" % n * 5

    read = rng.sample(range(0, 10**9, 2), 20_000)
    for victim in rng.sample(read, 12):
        b.get(tree, name(1))                    # fixes T
        with b.statement() as statement:
            for key in read:
                statement.get(tree, name(key))
        assert b.reads()[1] <= 4096
        assert b.reads()[2] < 1 << 20
        b.put(tree, name(10**9 + 1), b"b")
        a.put(tree, name(victim), rng.randbytes(4))
        a.commit()
        assert name_of_failure(b) == "CONFLICT"
        b.rollback()


def test_few_scattered_reads_are_exact_after_merging(open_database, rng):
    database = open_database(synchronous=NORMAL)
    a, b = database.connect(), database.connect()
    tree = a.make_tree()
    b.isolation(SERIALIZABLE)
    read = rng.sample(range(0, 10**6, 2), 1500)
    for _ in range(5):
        b.put(tree, -1, rng.randbytes(4))
        with b.statement() as statement:
            for _ in range(5):
                for key in rng.sample(read, len(read)):
                    statement.get(tree, key)
        for key in rng.sample(read, 20):
            a.put(tree, key + 1, rng.randbytes(4))
        a.commit()
        b.commit()


@pytest.mark.slow
def test_very_many_trees_read_stay_within_the_bound(open_database):
    database = open_database(synchronous=NORMAL)
    a, b = database.connect(), database.connect()
    with a.statement(writes=True) as statement:
        trees = [statement.make_tree() for _ in range(120)]
    a.commit()
    b.isolation(SERIALIZABLE)
    with b.statement() as statement:
        for tree in trees:
            for key in range(0, 8200, 2):
                statement.get(tree, key)
    whole, _, size = b.reads()
    assert size < 9 << 20
    assert whole > 0
    b.put(trees[0], 1, b"b")
    a.put(trees[-1], 0, b"a")
    a.commit()
    assert name_of_failure(b) == "CONFLICT"


# ---- SERIALIZABLE: random histories -----------------------------------------------------------------------------


class Serial:
    """One transaction as it went: what it did and what it was told."""

    def __init__(self, connection):
        self.connection = connection
        self.steps = []

    def replay(self, state):
        """Does it again upon `state`, alone; what it was told must be the same."""
        for what, tree, argument, answer in self.steps:
            rows = {key: value for (of, key), value in state.items() if of == tree}
            if what == "put":
                state.pop((tree, argument), None)
                if answer is not None:
                    state[tree, argument] = answer
            elif what == "get":
                assert rows.get(argument) == answer
            elif what == "range":
                low, most = argument
                found = sorted((key, value) for key, value in rows.items() if key >= low)[:most]
                assert found == answer
            else:
                low, most = argument
                found = sorted(((key, value) for key, value in rows.items() if key <= low), reverse=True)[:most]
                assert found == answer


def random_step(rng, serial, trees):
    tree, key = rng.choice(trees), rng.randrange(14)
    connection = serial.connection
    what = rng.choice(["put", "put", "get", "range", "reverse"])
    if what == "put":
        value = None if rng.random() < 0.3 else rng.randbytes(8)
        connection.put(tree, key, value)
        serial.steps.append((what, tree, key, value))
    elif what == "get":
        serial.steps.append((what, tree, key, connection.get(tree, key)))
    else:
        most, rows = rng.randrange(1, 4), []
        with connection.statement() as statement:
            cursor = statement.cursor(tree)
            cursor.seek(key) if what == "range" else cursor.seek_last(key)
            while (at := cursor.at()) is not None:
                rows.append((int.from_bytes(at[0], "big") - 2**63, at[1]))
                if len(rows) == most:
                    break
                cursor.next() if what == "range" else cursor.prev()
            cursor.close()
        serial.steps.append((what, tree, (key, most), rows))


@pytest.mark.slow
@pytest.mark.parametrize("round", range(8))
def test_committed_transactions_equal_their_order_of_commits(open_database, rng, round):
    """Small random transactions, interleaved; those that committed, done one after the other, are told the same."""
    database = open_database(synchronous=NORMAL, spill=2_000 if round % 2 else 0)
    connections = [database.connect() for _ in range(4)]
    trees = [connections[0].make_tree() for _ in range(2)]
    for connection in connections:
        connection.isolation(SERIALIZABLE)
    running, state, outcomes = {}, {}, {True: 0, False: 0}
    skipped = 0
    for _ in range(700):
        connection = rng.choice(connections)
        serial = running.setdefault(connection, Serial(connection))
        if len(serial.steps) < rng.randrange(1, 6):
            random_step(rng, serial, trees)
            continue
        del running[connection]
        before = connection.last_commit()[0]
        try:
            connection.commit()
        except EngineError as error:
            assert error.name == "CONFLICT"
            outcomes[False] += 1
            continue
        outcomes[True] += 1
        if connection.last_commit()[0] == before:
            skipped += 1                        # it changed nothing: it stands somewhere before, see the next test
        else:
            serial.replay(state)
    for connection in connections:
        connection.rollback()
    found = {(tree, int.from_bytes(key, "big") - 2**63): value
             for tree in trees for key, value in connections[0].scan(tree, transaction=False).items()}
    assert found == state
    assert min(outcomes.values()) > 10
    assert outcomes[True] > skipped


def test_readers_see_a_prefix_of_the_order_of_commits(open_database, rng):
    """A transaction that only reads is told what holds behind some commit, all of its reads behind the same one."""
    database = open_database(synchronous=NORMAL)
    writers = [database.connect() for _ in range(2)]
    reader = database.connect()
    tree = writers[0].make_tree()
    for connection in (*writers, reader):
        connection.isolation(SERIALIZABLE)
    observer = database.connect()
    states, begun, reads = [{}], None, 0
    for _ in range(400):
        writer = rng.choice(writers)
        seen = writer.get(tree, rng.randrange(6)) or b""
        writer.put(tree, rng.randrange(6), (seen + rng.randbytes(2))[-8:])
        if rng.random() < 0.7:
            try:
                writer.commit()
                states.append(observer.scan(tree, transaction=False))
            except EngineError as error:
                assert error.name == "CONFLICT"
        if rng.random() < 0.5:
            rows = reader.scan(tree)
            begun = rows if begun is None else begun
            assert rows == begun
            assert rows in states
            reads += 1
        if rng.random() < 0.15:
            reader.commit()
            begun = None
    assert reads > 50
