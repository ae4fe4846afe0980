"""Transactions of one connection, against a Python model and by the traps they must not fall into.

Trees are bare: tree ids instead of tables, bytes instead of rows. The fixtures check every file they made.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from pathlib import Path

import pytest

from ..bare_pager import failpoint
from ..bare_txn import FULL, NORMAL, Database, Duplicate, EngineError, done, ffi, lib, raw


def rows(pairs):
    return {raw(key): value for key, value in pairs.items()}


# ---- one transaction --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_commits_are_numbered_and_read_back_at_every_number(conn, rng):
    tree = conn.make_tree()
    model, moments = {}, []
    for _ in range(150):
        for _ in range(rng.randrange(1, 12)):
            key = rng.randrange(60)
            value = None if rng.random() < 0.3 else rng.randbytes(rng.randrange(40))
            conn.put(tree, key, value)
            model.pop(key, None) if value is None else model.update({key: value})
        before = conn.last_commit()
        conn.commit()
        if conn.last_commit() != before:
            moments.append((*conn.last_commit(), dict(model)))
    assert [number for number, _, _ in moments] == list(range(2, len(moments) + 2))
    for number, ns, expected in moments:
        with conn.statement(as_of=ns) as statement:
            assert statement.moment == number
            assert statement.scan(tree) == rows(expected)
            assert statement.scan(tree, backward=True) == rows(expected)
        with conn.statement(as_of=ns - 1) as statement:
            assert statement.moment == number - 1


def test_a_transaction_sees_its_own_writes_and_others_see_them_after_commit(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    a.put(tree, 1, b"one")
    assert a.get(tree, 1) == b"one"
    assert b.get(tree, 1, transaction=False) is None
    a.commit()
    assert b.get(tree, 1, transaction=False) == b"one"


def test_a_statement_does_not_see_what_it_writes_itself(conn):
    tree = conn.make_tree()
    for key in range(5):
        conn.put(tree, key, b"old")
    with conn.statement(writes=True) as statement:
        cursor, met = statement.cursor(tree), 0
        cursor.seek()
        while cursor.at() is not None:
            statement.put(tree, 100 + met, b"copy")
            met += 1
            cursor.next()
        cursor.close()
        assert met == 5
        assert statement.get(tree, 100) is None
        assert statement.get(tree, 100, now=True) == b"copy"
    assert conn.get(tree, 100) == b"copy"
    conn.commit()


def test_nothing_is_committed_when_nothing_changed(conn):
    tree = conn.make_tree()
    conn.put(tree, 1, b"x")
    conn.commit()
    number = conn.last_commit()[0]
    conn.put(tree, 1, b"x")                 # the same bytes again
    conn.put(tree, 2, b"y")
    conn.delete(tree, 2)                    # came and went
    conn.delete(tree, 3)                    # was never there
    conn.commit()
    assert conn.last_commit()[0] == number
    lib.txn_mark(conn.conn)
    conn.put(tree, 4, b"z")
    lib.txn_rollback_to(conn.conn, 0)
    conn.commit()
    assert conn.last_commit()[0] == number


def test_rolled_back_writes_are_gone_and_the_connection_goes_on(conn):
    tree = conn.make_tree()
    conn.put(tree, 1, b"kept")
    conn.commit()
    conn.put(tree, 1, b"lost")
    conn.delete(tree, 1)
    conn.rollback()
    assert conn.get(tree, 1) == b"kept"
    conn.put(tree, 2, b"next")
    conn.commit()
    assert conn.scan(tree) == rows({1: b"kept", 2: b"next"})


def test_rollback_after_prepare_leaves_nothing(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    a.put(tree, 1, b"x")
    a.prepare()
    a.prepare()                             # once a table of the transaction
    a.rollback()
    assert b.get(tree, 1, transaction=False) is None
    b.put(tree, 1, b"y")                    # the committer lock is free again
    b.commit()
    assert a.get(tree, 1, transaction=False) == b"y"


def test_prepare_and_publish_are_once_however_often_called(conn):
    tree = conn.make_tree()
    conn.put(tree, 1, b"x")
    for _ in range(3):
        conn.prepare()
    for _ in range(3):
        conn.publish()
    assert conn.last_commit()[0] == 2
    conn.settle()
    conn.publish()
    conn.prepare()
    assert conn.last_commit()[0] == 2


def test_trees_and_schema_numbers_roll_back(conn):
    with conn.statement(writes=True) as statement:
        first = statement.make_tree()
        mark = lib.txn_mark(conn.conn)
        statement.change_schema()
        statement.make_tree(0)
        third = statement.make_tree()
        statement.put(third, 1, b"x")
    with conn.statement() as statement:
        own = statement.schema()
        assert own >> 63
    lib.txn_rollback_to(conn.conn, mark)
    with conn.statement() as statement:
        assert statement.schema() == 0
    with conn.statement(writes=True) as statement:
        fourth = statement.make_tree()
        statement.change_schema()
        statement.put(fourth, 9, b"z")
    with conn.statement() as statement:
        assert statement.schema() not in (0, own)
    conn.commit()
    assert conn.schema() == conn.last_commit()[0] == 1
    assert conn.scan(fourth) == rows({9: b"z"})
    assert conn.scan(first) == {}
    assert conn.scan(third) == {}
    assert fourth > third


# ---- savepoints -------------------------------------------------------------------------------------------------


def test_a_mark_set_late_by_a_second_table_does_not_move(conn):
    """A then B written inside s1; B's table learns of the savepoint only then."""
    tree = conn.make_tree()
    conn.put(tree, 0, b"before")
    lib.txn_savepoint(conn.conn, 0)         # SAVEPOINT s1, told to A at its first write
    conn.put(tree, 1, b"A")
    lib.txn_savepoint(conn.conn, 0)         # told to B at its first write
    conn.put(tree, 2, b"B")
    lib.txn_rollback_savepoint(conn.conn, 0)
    lib.txn_rollback_savepoint(conn.conn, 0)
    assert conn.scan(tree) == rows({0: b"before"})
    conn.rollback()


def test_an_outer_mark_never_told_is_set_by_an_inner_one(conn):
    """s0; s1; INSERT (only mark 1 is told); RELEASE s1; ROLLBACK TO s0."""
    tree = conn.make_tree()
    lib.txn_savepoint(conn.conn, 1)
    conn.put(tree, 1, b"x")
    lib.txn_release(conn.conn, 1)
    lib.txn_rollback_savepoint(conn.conn, 0)
    assert conn.scan(tree) == {}
    conn.rollback()


def test_rolling_back_to_a_savepoint_keeps_it(conn):
    tree = conn.make_tree()
    conn.put(tree, 0, b"0")
    lib.txn_savepoint(conn.conn, 0)
    for value in (b"1", b"2"):
        conn.put(tree, 1, value)
        lib.txn_savepoint(conn.conn, 1)
        conn.put(tree, 2, value)
        lib.txn_rollback_savepoint(conn.conn, 0)
        assert conn.scan(tree) == rows({0: b"0"})
    conn.commit()
    assert conn.scan(tree) == rows({0: b"0"})


@pytest.mark.parametrize("spill", [0, 5_000])
def test_random_savepoints_follow_the_model(open_database, rng, spill):
    conn = open_database(spill=spill).connect()
    tree = conn.make_tree()
    state, stack = {}, []
    for _ in range(1200):
        action = rng.random()
        if action < 0.08 and len(stack) < 8:
            stack.append(dict(state))
            lib.txn_savepoint(conn.conn, len(stack) - 1)
        elif action < 0.13 and stack:
            level = rng.randrange(len(stack))
            lib.txn_release(conn.conn, level)
            del stack[level:]
        elif action < 0.18 and stack:
            level = rng.randrange(len(stack))
            lib.txn_rollback_savepoint(conn.conn, level)
            state = dict(stack[level])
            del stack[level + 1:]
        elif action < 0.2 and not stack:
            conn.commit()
        else:
            key, value = rng.randrange(80), None if rng.random() < 0.3 else rng.randbytes(60)
            conn.put(tree, key, value)
            state.pop(key, None) if value is None else state.update({key: value})
        if rng.random() < 0.05:
            assert conn.scan(tree) == rows(state)
    conn.commit()
    assert conn.scan(tree) == rows(state)
    conn.close()


def test_spilled_writes_roll_back_under_an_open_cursor(open_database):
    """Four times the spill limit, a savepoint set before the spill, a cursor open across ROLLBACK TO."""
    limit = 50_000
    conn = open_database(spill=limit).connect()
    tree = conn.make_tree()
    for key in range(0, 100, 2):
        conn.put(tree, key, b"committed")
    conn.commit()
    for key in range(1, 100, 2):
        conn.put(tree, key, b"own")
    lib.txn_savepoint(conn.conn, 0)
    with conn.statement(writes=True) as statement:
        for key in range(100, 100 + 4 * limit // 100):
            statement.put(tree, key, b"spilled" * 12)
    reading = conn.begin()
    cursor = reading.cursor(tree)
    cursor.seek(40)
    assert cursor.at() == (raw(40), b"committed")
    lib.txn_rollback_savepoint(conn.conn, 0)
    seen = []
    while cursor.at() is not None:
        seen.append(cursor.at())
        cursor.next()
    assert seen == [(raw(key), b"own" if key % 2 else b"committed") for key in range(40, 100)]
    cursor.close()
    reading.end()
    conn.commit()
    assert len(conn.scan(tree)) == 100
    conn.close()


def load_within(path, limit, results):
    """Twelve times the spill limit in one statement, with a cursor open, in five times the limit of memory: a
    generation that is being filled and one that the statement holds, each in chunks that round up."""
    database = Database(path, page_size=8192, spill=limit, synchronous=NORMAL)
    conn = database.connect()
    tree = conn.make_tree()
    conn.put(tree, -1, b"first")
    status = Path("/proc/self/status").read_text()
    used = int(next(line for line in status.splitlines() if line.startswith("VmData")).split()[1]) * 1024
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (used + 5 * limit, before[1]))
    try:
        with conn.statement(writes=True) as statement:
            cursor = statement.cursor(tree)
            cursor.seek()
            for key in range(12 * limit // 1000):
                statement.put(tree, key * 7919 % 1_000_003, b"x" * 1000)
            at = cursor.at()
            cursor.next()
            assert (at, cursor.at()) == ((raw(-1), b"first"), None)
            cursor.close()
        conn.commit()
        outcome = "done"
    except EngineError as error:
        outcome = str(error)
    resource.setrlimit(resource.RLIMIT_DATA, before)
    results.put(outcome)
    conn.close()
    database.close()


@pytest.mark.slow
def test_a_large_write_set_stays_within_memory(open_database, tmp_path, monkeypatch):
    limit = 8 << 20
    # Under the address sanitizer what was freed would be kept back, and count.
    sanitizer = os.environ.get("ASAN_OPTIONS", "")
    monkeypatch.setenv("ASAN_OPTIONS", f"{sanitizer}:quarantine_size_mb=0:thread_local_quarantine_size_kb=0")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    loading = context.Process(target=load_within, args=(str(tmp_path / "t.edb"), limit, results))
    loading.start()
    assert results.get(timeout=100) == "done"
    loading.join()
    conn = open_database(page_size=0).connect()
    assert len(conn.scan(1, transaction=False)) == 12 * limit // 1000 + 1
    conn.close()


def test_rolling_back_uncovers_the_older_write_under_an_open_cursor(conn):
    tree = conn.make_tree()
    for key in range(6):
        conn.put(tree, key, b"older")
    lib.txn_savepoint(conn.conn, 0)
    for key in range(9):
        conn.put(tree, key, b"newer")
    reading = conn.begin()
    cursor = reading.cursor(tree)
    cursor.seek(3)
    assert cursor.at() == (raw(3), b"newer")
    lib.txn_rollback_savepoint(conn.conn, 0)
    for key in (4, 5):
        cursor.next()
        assert cursor.at() == (raw(key), b"older")
    cursor.next()
    assert cursor.at() is None
    cursor.close()
    reading.end()
    conn.rollback()


# ---- row ids ----------------------------------------------------------------------------------------------------


def test_row_ids_ascend_are_never_reused_and_survive_reopening(open_database):
    database = open_database()
    conn = database.connect()
    tree = conn.make_tree()
    with conn.statement(writes=True) as statement:
        ids = [statement.next_id(tree) for _ in range(5)]
        for key in ids:
            statement.put(tree, key, b"x")
    assert ids == sorted(set(ids))
    assert ids[0] == 1
    conn.commit()
    conn.delete(tree, ids[-1])
    conn.commit()
    with conn.statement(writes=True) as statement:
        statement.use_id(tree, 1000)
        statement.use_id(tree, -5)
        statement.use_id(tree, 3)
        statement.put(tree, 1000, b"y")
        assert statement.next_id(tree) == 1001
    conn.commit()
    conn.delete(tree, 1000)
    conn.commit()
    conn.close()
    conn = open_database().connect()
    with conn.statement(writes=True) as statement:
        assert statement.next_id(tree) >= 1001
        statement.use_id(tree, 2**63 - 1)
        with pytest.raises(EngineError, match="no more row ids"):
            statement.next_id(tree)
    conn.rollback()
    conn.close()


# ---- moments ----------------------------------------------------------------------------------------------------


def test_before_the_first_commit_there_is_nothing_to_read(database, conn):
    with pytest.raises(EngineError, match="nothing has been committed") as error:
        conn.begin(as_of=5)
    assert error.value.name == "HORIZON"
    conn.make_tree()
    first = database.time_of(1)
    with pytest.raises(EngineError, match=f"first commit.*{first}") as error:
        conn.begin(as_of=first - 1)
    assert error.value.name == "HORIZON"
    with pytest.raises(EngineError):
        conn.begin(as_of=-1)
    assert database.resolve(first)[:2] == (1, first)


def test_the_future_means_now_and_is_settled_from_then_on(database, conn):
    tree = conn.make_tree()
    conn.put(tree, 1, b"x")
    conn.commit()
    number, _, resolved, settled = database.resolve(2**62)
    assert (number, settled) == (2, False)
    conn.put(tree, 1, b"y")
    conn.commit()
    assert conn.last_commit()[1] > resolved
    assert database.resolve(resolved)[0::3] == (2, True)
    assert conn.get(tree, 1, as_of=resolved) == b"x"
    assert conn.get(tree, 1, as_of=2**62) == b"y"


def test_a_moment_asked_for_is_never_given_to_a_later_commit(database, conn):
    tree = conn.make_tree()
    for value in range(30):
        now = database.resolve(2**62)
        asked = database.resolve(now[2])
        conn.put(tree, 1, b"%d" % value)
        conn.commit()
        assert conn.last_commit()[1] > now[2]
        assert database.resolve(now[2]) == asked


@pytest.mark.slow
def test_commit_times_are_found_in_tail_and_list(database, conn):
    tree = conn.make_tree()
    for value in range(200):                # more than the record holds
        conn.put(tree, 1, b"%d" % value)
        conn.commit()
    times = [database.time_of(number) for number in range(202)]
    assert times[0] == 0
    assert times == sorted(set(times))
    for number in range(1, 202):
        assert database.resolve(times[number])[:3] == (number, times[number], times[number])
        if number > 1:
            assert database.resolve(times[number] - 1)[0] == number - 1
            assert conn.get(tree, 1, as_of=times[number]) == b"%d" % (number - 2)
    with pytest.raises(EngineError):
        database.time_of(202)


def test_as_of_statements_see_no_own_writes_and_cannot_write(conn):
    tree = conn.make_tree()
    conn.put(tree, 1, b"x")
    conn.commit()
    _, ns = conn.last_commit()
    conn.put(tree, 1, b"own")
    assert conn.get(tree, 1, as_of=ns) == b"x"
    assert conn.get(tree, 1, as_of=2**62) == b"x"
    with pytest.raises(EngineError) as error:
        conn.begin(as_of=ns, writes=True)
    assert error.value.name == "PAST_WRITE"
    with conn.statement(as_of=ns) as statement, pytest.raises(EngineError) as error:
        statement.put(tree, 1, b"z")
    assert error.value.name == "PAST_WRITE"
    assert conn.get(tree, 1) == b"own"
    conn.rollback()


def test_a_commit_time_of_ones_own_must_lie_between_the_last_commit_and_the_clock(conn):
    tree = None
    year = 10**18
    conn.commit_time(year)
    tree = conn.make_tree()
    assert conn.last_commit() == (1, year)
    conn.commit_time(year + 5)
    conn.put(tree, 1, b"x")
    conn.commit()
    assert conn.last_commit() == (2, year + 5)
    for wrong in (year, year + 5, 2**62):
        conn.commit_time(wrong)
        conn.put(tree, 1, b"y")
        with pytest.raises(EngineError) as error:
            conn.commit()
        assert error.value.name == "COMMIT_TIME"
    conn.commit_time(0)
    conn.put(tree, 1, b"z")
    conn.commit()                           # the clock's again
    assert conn.last_commit()[1] > year + 5
    assert conn.get(tree, 1, as_of=year + 5) == b"x"


def test_a_settled_moment_is_refused_as_commit_time(database, conn):
    year = 10**18
    conn.commit_time(year)
    tree = conn.make_tree()
    database.resolve(year + 1000)
    conn.commit_time(year + 500)
    conn.put(tree, 1, b"x")
    with pytest.raises(EngineError) as error:
        conn.commit()
    assert error.value.name == "COMMIT_TIME"
    conn.commit_time(year + 1001)
    conn.put(tree, 1, b"x")
    conn.commit()


# ---- a transaction's moment -------------------------------------------------------------------------------------


@pytest.mark.parametrize("synchronous", [FULL, NORMAL])
def test_a_transaction_reads_at_its_moment_until_it_ends(open_database, synchronous):
    database = open_database(synchronous=synchronous)
    a, b = database.connect(), database.connect()
    tree = a.make_tree()
    a.put(tree, 1, b"first")
    a.commit()
    assert b.get(tree, 1) == b"first"
    for value in (b"second", b"third"):
        a.put(tree, 1, value)
        a.put(tree, 2, value)
        a.commit()
        assert b.scan(tree) == rows({1: b"first"})
        b.settle(autocommit=False)
    b.settle()
    assert b.scan(tree) == rows({1: b"third", 2: b"third"})
    b.settle()
    a.close()
    b.close()


def test_autocommit_reads_see_the_newest_commit_each_time(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    for value in (b"1", b"2", b"3"):
        a.put(tree, 1, value, transaction=False)
        a.commit()
        assert b.get(tree, 1, transaction=False) == value


def test_a_reader_at_full_does_not_see_what_is_not_durable_and_a_writer_does(open_database):
    database = open_database(synchronous=FULL)
    a, b = database.connect(), database.connect()
    tree = a.make_tree()
    a.put(tree, 1, b"durable")
    a.commit()
    a.put(tree, 1, b"published")
    a.prepare()
    number = database.newest()
    a.publish()                             # and nobody waits for the disk
    assert database.newest() == number      # what readers are told of is what they see
    assert b.get(tree, 1, transaction=False) == b"durable"
    assert b.get(tree, 1, transaction=False, writes=True) == b"published"
    b.settle()
    assert b.get(tree, 1) == b"durable"     # a transaction that begins by reading
    b.settle()
    assert b.get(tree, 1, writes=True) == b"published"
    b.rollback()
    syncs = database.stats().syncs
    assert b.get(tree, 1, as_of=2**62) == b"published"      # asks for a moment that only the newest commit answers
    assert database.stats().syncs == syncs + 1
    assert database.newest() == number + 1
    assert b.get(tree, 1, transaction=False) == b"published"
    a.close()
    b.close()


def test_an_answer_waits_for_a_commit_whose_time_was_taken_back(open_database):
    """Until that is durable with its later time, a power loss could bring back the record with the first one."""
    database = open_database(synchronous=FULL)
    a, b = database.connect(), database.connect()
    tree = a.make_tree()
    a.put(tree, 1, b"before")
    a.commit()
    taken = []

    def killed(name):           # who has taken it back comes no further
        if name == "settle:taken-back":
            return "IO"
        if name == "commit:record-written" and not taken:
            taken.append(time.time_ns())
            with pytest.raises(EngineError, match="IO"):
                b.get(tree, 1, as_of=taken[0])
            b.rollback()
        return None

    a.put(tree, 1, b"after")
    a.prepare()
    with failpoint(killed):
        a.publish()             # and nobody waits for the disk
    number, syncs = database.newest(), database.stats().syncs
    assert b.get(tree, 1, as_of=taken[0]) == b"before"
    assert database.stats().syncs == syncs + 1
    assert database.newest() == number + 1
    assert b.get(tree, 1, as_of=taken[0]) == b"before"
    assert database.stats().syncs == syncs + 1
    a.close()
    b.close()


def test_a_lone_commit_costs_one_sync(open_database):
    database = open_database(synchronous=FULL)
    conn = database.connect()
    tree = conn.make_tree()
    for key in range(10):
        before = database.stats().syncs
        conn.put(tree, key, b"x", transaction=False)
        conn.commit()
        assert database.stats().syncs == before + 1
    conn.close()


def test_a_long_transaction_pins_nothing_between_statements(database, connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    a.put(tree, 1, b"x")
    a.commit()
    b.get(tree, 1)
    assert database.stats().oldest_pin == 2**64 - 1
    statement = b.begin()
    assert database.stats().oldest_pin == 2
    other = b.begin()
    statement.end()
    assert database.stats().oldest_pin == 2
    other.end()
    assert database.stats().oldest_pin == 2**64 - 1
    b.settle()


# ---- statements -------------------------------------------------------------------------------------------------


def test_half_read_statements_of_several_moments_alternate(conn):
    tree = conn.make_tree()
    moments = []
    for generation in range(4):
        for key in range(40):
            conn.put(tree, key, b"%d" % generation)
        conn.commit()
        moments.append(conn.last_commit()[1])
    conn.put(tree, 7, b"own")
    statements = [conn.begin(as_of=ns) for ns in moments] + [conn.begin()]
    cursors = [statement.cursor(tree) for statement in statements]
    for cursor in cursors:
        cursor.seek()
    for key in range(40):
        values = []
        for cursor in cursors:
            assert cursor.at()[0] == raw(key)
            values.append(cursor.at()[1])
            cursor.next()
        assert values == [b"0", b"1", b"2", b"3", b"own" if key == 7 else b"3"]
        if key == 20:
            conn.put(tree, 30, b"late")     # not seen by the statement already open
            conn.commit()
    for cursor, statement in zip(cursors, statements, strict=True):
        cursor.close()
        statement.end()
    assert conn.get(tree, 30) == b"late"
    conn.settle()


def test_a_cursor_outlives_commit_rollback_and_close_of_its_connection(database):
    for ending in ("commit", "rollback", "close"):
        conn = database.connect()
        tree = conn.make_tree()
        for key in range(20):
            conn.put(tree, key, b"x")
        conn.commit()
        for key in range(20, 30):
            conn.put(tree, key, b"own")
        statement = conn.begin()
        cursor = statement.cursor(tree)
        cursor.seek(15)
        getattr(conn, ending)()
        seen = []
        while cursor.at() is not None:
            seen.append(cursor.at()[0])
            cursor.next()
        assert seen == [raw(key) for key in range(15, 30 if ending == "commit" else 20)]
        cursor.close()
        statement.end()
        if ending != "close":
            conn.close()


def test_a_closed_connection_and_an_old_statement_refuse(database):
    conn = database.connect()
    tree = conn.make_tree()
    old = conn.begin(writes=True)
    old.put(tree, 1, b"x")
    conn.commit()
    with pytest.raises(EngineError, match="another transaction") as error:
        old.put(tree, 2, b"y")
    assert error.value.name == "MISUSE"
    number = lib.edb_conn_id(conn.conn)
    kept = lib.conn_by_id(number)
    conn.close()
    assert lib.conn_by_id(number) == ffi.NULL
    options = ffi.new("edb_stmt_options *")
    assert lib.edb_stmt_begin(kept, options, ffi.new("edb_stmt **")) != 0
    lib.conn_unref(kept)
    old.end()


def test_implicit_statements_see_own_writes_at_once(conn):
    """A connection used without the driver's statements: cursors half read, writes between."""
    tree = conn.make_tree()
    out = ffi.new("edb_stmt **")

    def acquire(writes, transaction=False):
        done(lib.stmt_acquire(conn.conn, writes, transaction, out))
        return out[0]

    def write(key, transaction):
        stmt = acquire(True, transaction)
        done(lib.test_put(stmt, tree, raw(key), 8, b"x", 1))
        lib.stmt_release(stmt)
        if not transaction:
            conn.commit()

    def count():
        stmt = acquire(False)
        cursor = ffi.new("test_cursor **")
        done(lib.test_cursor_open(stmt, tree, cursor))
        done(lib.test_cursor_seek(cursor[0], ffi.NULL, 0))
        n, entry = 0, ffi.new("test_entry *")
        while lib.test_cursor_at(cursor[0], entry):
            n += 1
            done(lib.test_cursor_next(cursor[0]))
        lib.test_cursor_close(cursor[0])
        lib.stmt_release(stmt)
        return n

    half_read = [acquire(False)]
    assert acquire(False) == half_read[0]           # two cursors of one statement share a snapshot
    lib.stmt_release(half_read[0])
    for key in range(3):
        write(key, False)
        assert count() == key + 1
        half_read.append(acquire(False))
    for key in range(3, 6):
        write(key, True)
        assert count() == key + 1
        half_read.append(acquire(False, True))
    conn.commit()
    assert count() == 6
    for stmt in half_read:
        lib.stmt_release(stmt)
    assert conn.get(tree, 1, transaction=False) == b"x"


def test_a_nested_read_inside_an_autocommit_write_keeps_its_transaction(conn):
    tree = conn.make_tree()
    outer = conn.begin(writes=True, transaction=False)
    done(lib.txn_begin_write(outer.stmt))
    assert conn.get(tree, 1, transaction=False) is None
    conn.settle()                               # the driver, after the nested statement
    outer.put(tree, 1, b"x")
    assert conn.get(tree, 1, transaction=False) == b"x"
    conn.settle()
    outer.end()
    conn.commit()
    assert conn.last_commit()[0] == 2
    assert conn.get(tree, 1, transaction=False) == b"x"


def test_a_stale_declaration_is_refused_until_it_is_renewed(connect):
    a, b = connect(), connect()
    tree = a.make_tree()
    lib.edb_conn_declared(a.conn, a.schema())
    a.get(tree, 1)
    with b.statement(writes=True) as statement:
        statement.change_schema()
    b.commit()
    a.get(tree, 1)                              # a transaction keeps the schema it began with
    a.settle()
    for writes in (False, True):
        with pytest.raises(EngineError) as error:
            a.get(tree, 1, transaction=False, writes=writes)
        assert error.value.name == "SCHEMA"
    lib.edb_conn_declared(a.conn, a.schema())
    a.get(tree, 1)
    a.settle()


def test_catalogs_of_the_past_are_told_apart(conn):
    tables = {}

    def change(label, name):
        with conn.statement(writes=True) as statement:
            tables[label] = statement.change_schema(name, tables.get(label))
        conn.commit()
        return conn.last_commit()[1]

    tree = conn.make_tree()
    moments = [change(1, "a"), change(2, "b")]
    conn.put(tree, 1, b"x")
    conn.commit()
    moments += [conn.last_commit()[1], change(1, None), change(3, "c")]
    numbers = []
    for ns in moments:
        with conn.statement(as_of=ns) as statement:
            numbers.append(statement.schema())
    assert numbers[1] == numbers[2]
    assert len(set(numbers)) == 4
    again = []
    for ns in reversed(moments):
        with conn.statement(as_of=ns) as statement:
            again.append(statement.schema())
    assert again[::-1] == numbers


def test_interrupting_ends_a_commit_and_not_the_connection(conn):
    tree = conn.make_tree()
    with conn.statement(writes=True) as statement:
        for key in range(500):
            statement.put(tree, key, b"x")
    reading = conn.begin()
    lib.edb_conn_interrupt(conn.conn)
    with pytest.raises(EngineError) as error:
        conn.commit()
    assert error.value.name == "INTERRUPT"
    reading.end()
    assert conn.scan(tree) == {}
    conn.put(tree, 1, b"x")
    lib.edb_conn_interrupt(conn.conn)           # nothing is running: nothing to interrupt
    conn.commit()
    assert conn.scan(tree) == rows({1: b"x"})


def test_a_key_too_large_is_refused_when_it_is_written(conn):
    tree = conn.make_tree(0)
    with conn.statement(writes=True) as statement, pytest.raises(EngineError) as error:
        statement.put(tree, b"k" * 5000, b"v")
    assert error.value.name == "TOOBIG"
    conn.rollback()


@pytest.mark.parametrize("size", [0, 100, 127, 300, 600, 5_000, 200_000])
def test_values_of_every_size_are_read_back(conn, rng, size):
    tree = conn.make_tree()
    value = rng.randbytes(size)
    conn.put(tree, 1, value)
    assert conn.get(tree, 1) == value
    conn.commit()
    with conn.statement() as statement:
        found = ffi.new("bool *")
        entry = ffi.new("test_entry *")
        done(lib.test_get(statement.stmt, tree, raw(1), 8, False, entry, found))
        assert found[0]
        if not entry.flags:                     # no chain
            assert bytes(ffi.buffer(entry.value, entry.value_size)) == value
        else:
            assert int.from_bytes(bytes(ffi.buffer(entry.value, 8)), "little") == size
    conn.settle()
    conn.put(tree, 1, value)                    # equal: no commit
    number = conn.last_commit()[0]
    conn.commit()
    assert conn.last_commit()[0] == number


def test_a_memory_database_is_shared_by_its_connections(open_database):
    database = open_database(None)
    a, b = database.connect(), database.connect()
    tree = a.make_tree()
    a.put(tree, 1, b"x")
    a.commit()
    assert b.get(tree, 1, transaction=False) == b"x"
    a.close()
    b.close()


def test_a_read_only_database_refuses_to_write(open_database, tmp_path):
    conn = open_database().connect()
    tree = conn.make_tree()
    conn.put(tree, 1, b"x")
    conn.commit()
    conn.close()
    other = Database(tmp_path / "t.edb", read_only=True, create=False)
    reader = other.connect()
    assert reader.get(tree, 1, transaction=False) == b"x"
    with pytest.raises(EngineError) as error:
        reader.put(tree, 1, b"y")
    assert error.value.name == "READONLY"
    reader.close()
    other.close()


# ---- unique entries, one connection -------------------------------------------------------------------------------


def test_unique_entries_are_judged_with_own_writes(conn):
    tree = conn.make_tree(0)
    with conn.statement(writes=True) as statement:
        statement.put_unique(tree, b"a", 1)
        with pytest.raises(Duplicate):
            statement.put_unique(tree, b"a", 2)
        statement.delete_index(tree, b"a", 1)
        statement.put_unique(tree, b"a", 2)
    conn.commit()
    with conn.statement(writes=True) as statement:
        with pytest.raises(Duplicate):
            statement.put_unique(tree, b"a", 1)
        statement.put_unique(tree, b"b", 1)
        statement.delete_index(tree, b"a", 2)
        statement.put_unique(tree, b"a", 9)     # moved to another row
    conn.commit()
    assert list(conn.scan(tree)) == [b"a" + raw(9), b"b" + raw(1)]
    conn.settle()
