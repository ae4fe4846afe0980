"""Transactions side by side: what conflicts, what does not, and what every moment shows afterwards."""

from __future__ import annotations

import multiprocessing
import queue
import threading

import pytest

from ..bare_txn import CODES, NORMAL, Database, Duplicate, EngineError, ffi, lib, raw
from .test_txn import rows


def conflict(connection):
    with pytest.raises(EngineError) as error:
        connection.commit()
    assert error.value.name == "CONFLICT", error.value
    return error.value.message


# ---- rows -------------------------------------------------------------------------------------------------------


def test_the_second_of_two_updates_of_one_row_fails_and_says_which(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    a.put(tree, 5, b"0")
    a.commit()
    a.put(tree, 5, b"a")
    b.put(tree, 5, b"b")
    a.commit()
    assert f"row 5 of table {tree}" in conflict(b)
    b.put(tree, 5, b"again")
    b.commit()
    assert a.get(tree, 5, transaction=False) == b"again"


def test_updates_of_different_rows_commit_in_either_order(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    for first, second in ((a, b), (b, a)):
        a.put(tree, 1, b"a")
        b.put(tree, 2, b"b")
        a.delete(tree, 3)
        first.commit()
        second.commit()


def test_an_update_of_a_row_deleted_meanwhile_does_not_bring_it_back(connect):
    """The tombstone is long in history: the current page knows nothing of the row."""
    a, b = connect(), connect()
    tree = a.make_tree()
    for key in range(10):
        a.put(tree, key, b"x" * 20)
    a.commit()
    assert b.get(tree, 5) is not None           # fixes the moment
    a.delete(tree, 5)
    a.commit()
    for _ in range(60):                         # time splits
        for key in (4, 6):
            a.put(tree, key, b"%d" % _ * 9)
        a.commit()
    b.put(tree, 5, b"updated")
    assert "does not any more" in conflict(b)
    assert a.get(tree, 5, transaction=False) is None


@pytest.mark.slow
@pytest.mark.parametrize("size", [40, 150, 700, 3000])
@pytest.mark.parametrize("kept", ["first", "last", "middle"])
def test_a_tree_that_shrank_to_an_untouched_page_has_changed(connect, size, kept):
    """Deleting nearly everything may leave an old page as the root: it was not written, but the tree was."""
    a, b = connect(), connect()
    tree = a.make_tree()
    with a.statement(writes=True) as statement:
        for key in range(size):
            statement.put(tree, key, b"x" * 20)
    a.commit()
    low = {"first": 0, "middle": size // 2, "last": size - 3}[kept]
    for width in (size // 4, size // 16, 3):
        low_now = min(max(0, low - width // 2), size - width) if kept == "middle" else low if not low else size - width
        here = set(b.scan(tree))
        victims = [key for key in range(size) if raw(key) in here and not low_now <= key < low_now + width]
        with a.statement(writes=True) as statement:
            for key in victims:
                statement.put(tree, key, None)
        a.commit()
        if victims:
            b.put(tree, victims[0], b"back")
            conflict(b)
            assert b.get(tree, victims[0]) is None
        b.rollback()


def test_a_delete_of_a_row_updated_meanwhile_conflicts(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    a.put(tree, 5, b"0")
    a.commit()
    b.delete(tree, 5)
    a.put(tree, 5, b"1")
    a.commit()
    conflict(b)
    assert a.get(tree, 5, transaction=False) == b"1"


def test_a_row_deleted_and_made_again_meanwhile_conflicts(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    a.put(tree, 5, b"0")
    a.commit()
    b.put(tree, 5, b"b")
    a.delete(tree, 5)
    a.commit()
    a.put(tree, 5, b"0")
    a.commit()
    conflict(b)


def test_two_inserts_of_one_row_id_conflict(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    a.put(tree, 5, b"a")
    b.put(tree, 5, b"b")
    a.commit()
    assert "does now" in conflict(b)


def test_an_insert_over_a_row_deleted_meanwhile_conflicts(connect):
    """Seen at T, gone now: what the insert saw is not what it would replace."""
    a, b = connect(), connect()
    tree = a.make_tree()
    a.put(tree, 5, b"0")
    a.commit()
    assert b.get(tree, 5) == b"0"
    a.delete(tree, 5)
    a.commit()
    with b.statement(writes=True) as statement:
        assert statement.get(tree, 5, now=True) is None
        assert statement.get(tree, 5) == b"0"
        statement.put(tree, 5, b"b")
    conflict(b)


def test_an_own_row_that_came_and_went_does_not_delete_a_foreign_one(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    b.put(tree, 5, b"b")
    b.delete(tree, 5)
    b.put(tree, 6, b"b")
    a.put(tree, 5, b"a")
    a.commit()
    conflict(b)
    assert a.get(tree, 5, transaction=False) == b"a"


def test_what_was_rolled_back_does_not_conflict(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    b.put(tree, 1, b"b")
    lib.txn_savepoint(b.conn, 0)
    b.put(tree, 5, b"b")
    lib.txn_rollback_savepoint(b.conn, 0)
    a.put(tree, 5, b"a")
    a.commit()
    b.commit()
    assert a.scan(tree, transaction=False) == rows({1: b"b", 5: b"a"})


def test_a_transaction_that_wrote_after_reading_keeps_its_moment(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    a.put(tree, 1, b"0")
    a.commit()
    assert b.get(tree, 1) == b"0"
    a.put(tree, 1, b"1")
    a.commit()
    b.put(tree, 2, b"b")
    assert b.get(tree, 1) == b"0"
    b.commit()                                  # write skew is allowed under snapshot isolation
    assert b.get(tree, 1, transaction=False) == b"1"


def test_write_skew_is_allowed(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    for key in (1, 2):
        a.put(tree, key, b"on duty")
    a.commit()
    assert len(a.scan(tree)) == len(b.scan(tree)) == 2
    a.delete(tree, 1)
    b.delete(tree, 2)
    a.commit()
    b.commit()
    assert a.scan(tree, transaction=False) == {}


@pytest.mark.parametrize("round", range(6))
def test_random_interleavings_follow_the_model_at_every_moment(open_database, rng, round):
    """Snapshot isolation: a commit fails exactly if a key it wrote has changed since T; then all moments are read."""
    database = open_database(synchronous=NORMAL, spill=4_000 if round % 2 else 0)
    connections = [database.connect() for _ in range(4)]
    trees = [connections[0].make_tree() for _ in range(2)]
    states = [{}, {}, {}]                       # by commit number: {(tree, key): (value, from)}
    times = [0, database.time_of(1), database.time_of(2)]
    open_ = [None] * len(connections)           # T, writes, savepoints
    conflicts = 0
    for _ in range(900):
        i = rng.randrange(len(connections))
        connection = connections[i]
        action = rng.random()
        if open_[i] is None:
            open_[i] = (len(states) - 1, {}, [])
            with connection.statement(writes=rng.random() < 0.5) as statement:
                assert statement.moment == open_[i][0]
            continue
        moment, writes, savepoints = open_[i]
        if action < 0.62:
            key = (rng.choice(trees), rng.randrange(25))
            value = None if rng.random() < 0.25 else rng.randbytes(rng.randrange(60))
            connection.put(*key, value)
            writes[key] = value
        elif action < 0.7:
            savepoints.append(dict(writes))
            lib.txn_savepoint(connection.conn, len(savepoints) - 1)
        elif action < 0.76 and savepoints:
            level = rng.randrange(len(savepoints))
            lib.txn_rollback_savepoint(connection.conn, level)
            writes.clear()
            writes.update(savepoints[level])
            del savepoints[level + 1:]
        elif action < 0.86:
            expected = {key: value for key, (value, _) in states[moment].items()} | writes
            for tree in trees:
                assert connection.scan(tree) == rows({
                    key: value for (of, key), value in expected.items() if of == tree and value is not None})
        elif action < 0.9:
            connection.rollback()
            open_[i] = None
        else:
            newest = states[-1]
            fails = any(states[moment].get(key, (None, 0))[1] != newest.get(key, (None, 0))[1] for key in writes)
            if fails:
                conflict(connection)
                conflicts += 1
            else:
                connection.commit()
                changed = {key: value for key, value in writes.items() if newest.get(key, (None, 0))[0] != value}
                if changed:
                    state = dict(newest)
                    for key, value in changed.items():
                        state.pop(key, None)
                        if value is not None:
                            state[key] = (value, len(states))
                    states.append(state)
                    assert connection.last_commit()[0] == len(states) - 1
                    times.append(connection.last_commit()[1])
            open_[i] = None
    assert conflicts > 5
    assert len(states) > 20
    for connection in connections[1:]:
        connection.close()
    connection = connections[0]
    connection.rollback()
    for number in range(1, len(states)):
        with connection.statement(as_of=times[number]) as statement:
            assert statement.moment == number
            for tree in trees:
                assert statement.scan(tree) == rows({
                    key: value for (of, key), (value, _) in states[number].items() if of == tree})
    connection.close()


# ---- schema -----------------------------------------------------------------------------------------------------


def test_a_write_made_under_an_older_schema_conflicts(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    b.put(tree, 1, b"b")
    with a.statement(writes=True) as statement:
        statement.change_schema()
    a.commit()
    assert "schema" in conflict(b)


def test_two_schema_changes_conflict_and_reads_do_not(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    assert b.get(tree, 1) is None
    for connection in (a, b):
        with connection.statement(writes=True) as statement:
            statement.change_schema()
    a.commit()
    assert b.scan(tree) == {}
    conflict(b)


def test_an_index_filled_while_its_table_changed_is_refused(connect):
    a, b = connect(), connect()
    table, other = a.make_tree(), a.make_tree()
    a.put(table, 1, b"x")
    a.commit()

    def fill():
        with b.statement(writes=True) as statement:
            index = statement.make_tree(0)
            for key in statement.scan(table):
                statement.put(index, b"x" + key, b"")
            statement.expect_unchanged(table)

    fill()
    a.put(table, 2, b"x")
    a.commit()
    assert "index" in conflict(b)
    fill()
    a.put(other, 2, b"x")                       # another table may change
    a.commit()
    b.commit()
    fill()
    a.put(other, 3, b"x")
    a.put(table, 1, b"x")                       # net effect: the table stood still
    a.commit()
    b.commit()


# ---- unique keys ------------------------------------------------------------------------------------------------


def unique_error(connection):
    with pytest.raises(EngineError) as error:
        connection.commit()
    assert (error.value.name, error.value.message) == ("UNIQUE", "UNIQUE constraint failed: t.u")


def add(connection, tree, prefix, row):
    with connection.statement(writes=True) as statement:
        statement.put_unique(tree, prefix, row)


def test_two_inserts_of_one_unique_value_are_one_row_and_one_error(connect):
    a, b = connect(), connect()
    tree = a.make_tree(0)
    add(a, tree, b"v", 1)
    add(b, tree, b"v", 2)
    a.commit()
    unique_error(b)
    assert list(a.scan(tree, transaction=False)) == [b"v" + raw(1)]
    with pytest.raises(Duplicate):
        add(b, tree, b"v", 2)                   # now the statement sees it
    b.rollback()


def test_unique_values_that_differ_do_not_collide(connect):
    a, b = connect(), connect()
    tree = a.make_tree(0)
    add(a, tree, b"v", 1)
    add(b, tree, b"va", 2)
    with b.statement(writes=True) as statement:
        statement.put(tree, b"v" + raw(3), b"")  # a NULL part: not flagged
    a.commit()
    b.commit()
    assert len(a.scan(tree, transaction=False)) == 3


def test_a_value_freed_by_the_other_or_oneself_can_be_taken(connect):
    a, b = connect(), connect()
    tree = a.make_tree(0)
    add(a, tree, b"v", 1)
    a.commit()
    with b.statement(writes=True) as statement:     # b moves v to another row
        statement.delete_index(tree, b"v", 1)
        statement.put_unique(tree, b"v", 2)
    add(a, tree, b"w", 5)
    a.commit()
    b.commit()
    assert list(a.scan(tree, transaction=False)) == [b"v" + raw(2), b"w" + raw(5)]
    with a.statement(writes=True) as statement:
        statement.delete_index(tree, b"w", 5)
    a.commit()
    add(b, tree, b"w", 6)
    add(a, tree, b"x", 7)
    a.commit()
    b.commit()


@pytest.mark.slow
def test_a_transaction_whose_moment_is_old_judges_uniqueness_by_now(connect):
    a, b = connect(), connect()
    tree = a.make_tree(0)
    assert b.scan(tree) == {}                   # fixes T
    add(a, tree, b"v", 1)
    a.commit()
    with pytest.raises(Duplicate):              # not visible at T, but there
        add(b, tree, b"v", 2)
    with a.statement(writes=True) as statement:
        statement.delete_index(tree, b"v", 1)
    a.commit()
    add(b, tree, b"v", 2)
    b.commit()


def test_a_unique_value_given_back_by_rollback_to_a_savepoint_collides_again(connect):
    a, b = connect(), connect()
    tree = a.make_tree(0)
    add(b, tree, b"w", 9)
    add(b, tree, b"v", 2)
    lib.txn_savepoint(b.conn, 0)
    with b.statement(writes=True) as statement:
        statement.delete_index(tree, b"v", 2)
    lib.txn_rollback_savepoint(b.conn, 0)
    add(a, tree, b"v", 1)
    a.commit()
    unique_error(b)


def test_between_the_unique_check_and_publishing_nobody_slips_in(open_database):
    """A committer stands at each of its failpoints; another inserts the same value and must fail in either order."""
    for point in ("txn:locked", "txn:validated", "txn:applied", "txn:prepared"):
        database = open_database(f"{point}.edb")
        a, b = database.connect(), database.connect()
        tree = a.make_tree(0)
        reached, go_on = threading.Event(), threading.Event()

        @ffi.callback("int(*)(const char *)")
        def stop(name, point=point, reached=reached, go_on=go_on):
            if ffi.string(name).decode() == point and not reached.is_set():
                reached.set()
                assert go_on.wait(60)
            return 0

        add(a, tree, b"v", 1)
        add(b, tree, b"v", 2)
        outcomes = queue.Queue()

        def commit(connection, name, outcomes=outcomes):
            try:
                connection.commit()
                outcomes.put((name, "done"))
            except EngineError as error:
                outcomes.put((name, error.name))

        lib.test_failpoint(stop)
        first = threading.Thread(target=commit, args=(a, "a"))
        first.start()
        assert reached.wait(60)
        second = threading.Thread(target=commit, args=(b, "b"))
        second.start()
        # While the committer stands still, reads of now and of every moment complete.
        reader = database.connect()
        assert reader.scan(tree, transaction=False) == {}
        _, _, resolved, _ = database.resolve(2**62)
        before = reader.scan(tree, as_of=resolved)
        go_on.set()
        first.join()
        second.join()
        lib.test_failpoint(ffi.NULL)
        assert dict([outcomes.get(), outcomes.get()]) == {"a": "done", "b": "UNIQUE"}
        assert reader.scan(tree, as_of=resolved) == before == {}
        assert list(reader.scan(tree, transaction=False)) == [b"v" + raw(1)]
        for connection in (a, b, reader):
            connection.close()


@pytest.mark.parametrize("point", ["txn:locked", "txn:validated", "txn:applied", "txn:prepared"])
@pytest.mark.parametrize("code", ["FULL", "IO", "NOMEM"])
def test_a_commit_that_fails_half_way_leaves_nothing_and_can_be_retried(database, connect, point, code):
    a = connect()
    tree = a.make_tree()
    a.put(tree, 1, b"kept")
    a.commit()
    free = database.stats().pages - database.stats().free_pages

    @ffi.callback("int(*)(const char *)")
    def fail(name):
        return CODES[code] if ffi.string(name).decode() == point else 0

    new = b"new" * 50                           # too much for a record: the commit draws pages
    for key in range(200):
        a.put(tree, key, new)
    lib.test_failpoint(fail)
    with pytest.raises(EngineError) as error:
        a.prepare()
    lib.test_failpoint(ffi.NULL)
    assert error.value.name == code
    assert a.get(tree, 7) == new                # still there, to be rolled back or tried again
    a.commit()
    assert len(a.scan(tree, transaction=False)) == 200
    assert database.stats().pages - database.stats().free_pages > free


# ---- threads and processes --------------------------------------------------------------------------------------


def increment(path, tree, keys, times, seed, results):
    """Adds 1 to random rows, `times` times, retrying what conflicts; puts the retries."""
    import random

    rng = random.Random(seed)
    database = Database(path)
    connection = database.connect()
    retries = 0
    for _ in range(times):
        while True:
            a, b = rng.sample(range(keys), 2)
            try:
                with connection.statement(writes=True) as statement:
                    for key in (a, b):
                        statement.put(tree, key, b"%d" % (int(statement.get(tree, key)) + 1))
                connection.commit()
                break
            except EngineError as error:
                if error.name not in ("CONFLICT", "BUSY"):
                    results.put(repr(error))
                    raise
                retries += 1
    connection.close()
    database.close()
    results.put(retries)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["threads", "processes"])
def test_no_increment_is_lost(open_database, tmp_path, how, seed):
    database = open_database(synchronous=NORMAL)
    connection = database.connect()
    tree = connection.make_tree()
    keys, workers, times = 12, 4, 150
    for key in range(keys):
        connection.put(tree, key, b"0")
    connection.commit()
    context = multiprocessing.get_context("spawn")
    results = queue.Queue() if how == "threads" else context.Queue()
    start = threading.Thread if how == "threads" else context.Process
    running = [start(target=increment, args=(str(tmp_path / "t.edb"), tree, keys, times, seed + i, results))
               for i in range(workers)]
    for one in running:
        one.start()
    outcomes = [results.get(timeout=100) for _ in running]
    for one in running:
        one.join()
    assert all(isinstance(outcome, int) for outcome in outcomes), outcomes
    values = connection.scan(tree, transaction=False).values()
    assert sum(int(value) for value in values) == 2 * workers * times
    newest = database.resolve(2**62)[0]
    for number in range(2, newest + 1):         # every commit is whole at its moment
        total = sum(int(value) for value in connection.scan(tree, as_of=database.time_of(number)).values())
        assert total == 2 * (number - 2)
    connection.close()


def hold_and_commit(path, tree, key, barrier, order, results):
    database = Database(path)
    connection = database.connect()
    connection.put(tree, key, b"mine")
    barrier.wait(60)
    if order:
        barrier.wait(60)                        # the other has committed
    try:
        connection.commit()
        results.put((key, "done"))
    except EngineError as error:
        results.put((key, error.name))
    if not order:
        barrier.wait(60)
    connection.close()
    database.close()


@pytest.mark.slow
@pytest.mark.parametrize("keys", [(1, 2), (2, 1), (1, 1)])
def test_two_processes_with_uncommitted_writes_commit_in_either_order(open_database, tmp_path, keys):
    connection = open_database().connect()
    tree = connection.make_tree()
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    both = [context.Process(target=hold_and_commit, args=(str(tmp_path / "t.edb"), tree, key, barrier, order, results))
            for order, key in enumerate(keys)]
    for one in both:
        one.start()
    outcomes = sorted([results.get(timeout=100), results.get(timeout=100)])
    for one in both:
        one.join()
    if keys == (1, 1):
        assert outcomes == [(1, "CONFLICT"), (1, "done")]
    else:
        assert outcomes == [(1, "done"), (2, "done")]
    assert connection.scan(tree, transaction=False) == rows(dict.fromkeys(keys, b"mine"))
    connection.close()


@pytest.mark.parametrize("point", ["txn:prepared", "commit:prepared", "commit:stamped", "commit:record-written"])
def test_a_slow_committer_never_shows_in_a_moment_asked_meanwhile(open_database, point):
    """As-of asked while a commit stands still between taking the lock and publishing is equal later."""
    database = open_database()
    writer, reader = database.connect(), database.connect()
    tree = writer.make_tree()
    for step in range(12):
        reached, go_on = threading.Event(), threading.Event()

        @ffi.callback("int(*)(const char *)")
        def stop(name, reached=reached, go_on=go_on):
            if ffi.string(name) == point.encode() and not reached.is_set():
                reached.set()
                assert go_on.wait(60)
            return 0

        writer.put(tree, step, b"x")
        lib.test_failpoint(stop)
        thread = threading.Thread(target=writer.commit)
        thread.start()
        assert reached.wait(60)
        number, _, resolved, _ = database.resolve(2**62)
        seen = reader.scan(tree, as_of=resolved)
        go_on.set()
        thread.join()
        lib.test_failpoint(ffi.NULL)
        assert len(seen) == step
        assert database.resolve(resolved)[0] == number
        assert reader.scan(tree, as_of=resolved) == seen
        assert writer.last_commit()[1] > resolved
    writer.close()
    reader.close()
