"""Random histories on small pages: what a pinned commit shows never changes, and every page is accounted for."""

from __future__ import annotations

import struct

import pytest

from ..bare_pager import (
    ANY_CLOCK,
    DURABLE,
    FULL,
    NO_CREATE,
    NONE,
    NORMAL,
    PUBLISHED,
    READ_ONLY,
    WRITE,
    BarePager,
    PagerError,
    apply,
    failpoint,
    logging,
    random_changes,
    read_log,
)


@pytest.mark.slow
@pytest.mark.parametrize("page_size", [512, 8192])
@pytest.mark.parametrize("synchronous", [FULL, NORMAL])
@pytest.mark.parametrize("memory", [False, True])
def test_pinned_commits_never_change(tmp_path, rng, page_size, synchronous, memory):
    path = tmp_path / "a.edb"
    if memory:                                      # no second connection sees it, so it pins its own past
        db = BarePager(None, page_size)
        readers = []
    else:
        db = BarePager(path, page_size, synchronous)
        readers = [BarePager(path) for _ in range(4)]
    history, held = [[]], {}
    for i in range(600):
        changes = random_changes(rng, len(history[-1]))
        if rng.random() < 0.1:
            db.begin()
            for index, value in changes.items():
                db.set(index, value)
            db.abort()
        else:
            number, _ = db.commit(changes, wait=rng.random() < 0.7)
            history.append(apply(history[-1], changes))
            assert number == len(history) - 1
        for reader in readers:
            if reader in held and rng.random() < 0.5:
                assert reader.pinned_values() == history[held[reader]]
            if rng.random() < 0.2:
                reader.unpin()
                held.pop(reader, None)
            if reader not in held and rng.random() < 0.3:
                held[reader] = reader.pin(rng.choice((PUBLISHED, DURABLE if synchronous == FULL else PUBLISHED)))[0]
        if i % 37 == 0:
            assert db.values() == history[-1]
            db.check()
        if i % 150 == 149 and not memory:
            for connection in (db, *readers):
                connection.close()
            held.clear()
            db, readers = BarePager(path), [BarePager(path) for _ in range(4)]
            assert db.pin()[0] == len(history) - 1
            assert db.pinned_values() == history[-1]
            db.unpin()
    db.check()
    for connection in (db, *readers):
        connection.close()


def test_a_nested_pin_protects_both_commits(tmp_path, rng):
    """One slot reads commit 1 and, inside, a newer one: pages between the two must not be written over."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512, NORMAL) as db, BarePager(path) as outer:
        values = []
        for i in range(30):
            db.commit({0: i + 1}, wait=False)
            values = [i + 1]
        for _ in range(200):
            low, _ = outer.pin()
            for _ in range(rng.randrange(3)):
                changes = random_changes(rng, len(values), 6)
                db.commit(changes, wait=False)
                values = apply(values, changes)
            expected = values
            high, _ = outer.pin()                   # low stays announced
            for _ in range(rng.randrange(6)):
                changes = random_changes(rng, len(values), 6)
                db.commit(changes, wait=False)
                values = apply(values, changes)
            assert outer.pinned_values() == expected
            assert db.stats()["oldest"] == low <= high
            outer.unpin()


def test_hot_row_leaves_the_file_small(tmp_path):
    """Pages replaced are used again: thousands of commits on one value take no room that grows."""
    with BarePager(tmp_path / "a.edb", 512, NORMAL) as db:
        for i in range(5000):
            db.commit({0: i + 1}, wait=False)
            if i == 1000:
                early = db.stats()
        late = db.stats()
        db.check()
    lists = (5000 - 1000) * (8 + 33) // 400         # the two things that do grow: times and links
    assert late["pages"] - early["pages"] <= lists + 60


def test_a_large_commit_writes_its_pages_once(tmp_path):
    """Zeros go ahead of small commits, and a large one notices that it is none by the pages it has drawn."""
    with BarePager(tmp_path / "a.edb", 8192, NORMAL) as db:
        db.commit({0: 1})
        before = db.stats()["written"]
        with logging(tmp_path / "log"):
            db.commit({k: k for k in range(1, 1200)})
        pages = db.stats()["written"] - before
        db.check()
    assert pages > 1000
    written = sum(entry.size for entry in read_log(tmp_path / "log") if entry.kind == WRITE)
    assert written < pages * 8192 + (2 << 20)


@pytest.mark.slow
def test_a_long_pin_lets_the_file_grow_and_its_end_shrinks_nothing_but_reuses(tmp_path):
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db, BarePager(path) as reader:
        db.commit({k: k + 1 for k in range(40)})
        reader.pin()
        before = reader.pinned_values()
        for i in range(600):
            db.commit({i % 40: 1000 + i})
        assert reader.pinned_values() == before
        db.check()
        reader.unpin()
        pages = db.stats()["pages"]
        for i in range(600):
            db.commit({i % 40: 5000 + i})
        assert db.stats()["pages"] <= pages + 60
        db.check()


def test_commit_times_of_all_commits_are_kept(tmp_path, rng):
    path = tmp_path / "a.edb"
    times = [0]
    db = BarePager(path, 512, NORMAL)
    for i in range(400):
        times.append(db.commit({0: i + 1})[1])
        if rng.random() < 0.01:
            db.close()
            db = BarePager(path)
    db.pin()
    assert [db.time_of(n) for n in range(len(times))] == times
    assert times == sorted(set(times))
    db.check()
    db.close()


def test_commit_at_a_given_time(tmp_path):
    with BarePager(tmp_path / "a.edb", 512) as db:
        assert db.commit({0: 1}, 1_000)[1] == 1_000
        for wrong in (1_000, 999, 2**62):
            db.begin()
            db.set(0, 2)
            with pytest.raises(PagerError, match="commit time") as caught:
                db.check_time(wrong)
            assert caught.value.name == "COMMIT_TIME"
            db.abort()
        db.settle(5_000)
        with pytest.raises(PagerError, match="already asked"):
            db.commit({0: 2}, 5_000)
        assert db.commit({0: 3}, 5_001) == (2, 5_001)
        assert db.values() == [3]
        db.check()


def test_a_settled_moment_between_check_and_publish_refuses_the_commit(tmp_path):
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db, BarePager(path) as reader:
        db.begin()
        db.set(0, 1)
        db.check_time(1_000)
        db.prepare()
        reader.settle(1_000)
        with pytest.raises(PagerError, match="already asked"):
            db.publish(1_000)
        assert reader.pin()[0] == 0
        assert db.commit({0: 2}, 1_001) == (1, 1_001)
        db.check()
        db.close()
    with BarePager(path) as db:
        assert db.values() == [2]


@pytest.mark.parametrize("point", ["commit:stamped", "commit:record-written"])
def test_settled_while_a_commit_is_being_published(tmp_path, point):
    """A moment asked about between drawing the clock and publishing: the commit gets a later time, nobody waits."""
    path = tmp_path / "a.edb"
    asked = []
    with BarePager(path, 512) as db, BarePager(path) as reader:
        db.commit({0: 1})

        def action(name):
            if name == point and len(asked) < 3:
                moment = lib_clock() + 1_000_000_000    # after whatever the committer drew
                reader.settle(moment)
                asked.append((moment, reader.pin()[0]))
                reader.unpin()

        with failpoint(action):
            number, drawn = db.commit({0: 2})
        assert len(asked) == 3
        for moment, seen in asked:
            assert seen == number - 1
            assert drawn > moment
        assert reader.values() == [2]


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", [NORMAL, FULL])
def test_a_reader_that_stays_holds_back_no_more_than_it_needs(tmp_path, synchronous, records):
    """Pages that were made and dropped since are used again, and those behind held back ones in the queue, too."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512, synchronous) as db, BarePager(path) as reader:
        db.commit(dict.fromkeys(range(400), 1))
        seen = reader.values()
        reader.pin()
        pages, changed = db.stats()["pages"], 0
        for i in range(800):
            before = db.stats()["written"]
            db.commit({(i * 7 + k) % 400: i + 100 for k in range(40)})
            changed += db.stats()["written"] - before
        grown = db.stats()["pages"] - pages
        assert changed > (9000 if records == "pages" else 1000)
        assert grown < 2000, f"{grown} pages for the {pages} of the reader"
        assert reader.pinned_values() == seen
        db.check()
        reader.unpin()


def test_what_a_power_loss_could_bring_back_is_told_to_all_who_ask(tmp_path):
    """A record was written with a time that a reader has taken back; one with a later time stands over it, unsynced."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db, BarePager(path) as reader, BarePager(path) as other:
        first = db.commit({0: 1})[0]
        taken, killed_already = [], []

        def action(name):
            if name == "commit:record-written" and not taken:
                taken.append(lib_clock() + 1_000_000)
                assert reader.settle(taken[0]) == 0     # nobody publishes: the mark on the disk says it
                assert mark(path) == (first + 1, taken[0])
                assert other.settle(taken[0] - 1) == 0
                assert mark(path) == (first + 1, taken[0])
            elif name == "commit:published":
                assert reader.settle(lib_clock()) == 0      # the mark says enough

        with failpoint(action):
            number, drawn = db.commit({0: 2}, wait=False)
        assert drawn > taken[0]

        def killed(name):       # who takes it back again comes no further
            if name == "settle:taken-back" and not killed_already:
                killed_already.append(name)
                return "IO"
            if name == "commit:record-written" and len(taken) == 1:
                taken.append(lib_clock() + 1_000_000)
                with pytest.raises(PagerError, match="IO"):
                    reader.settle(taken[1])
                assert other.settle(taken[0] - 1) == 0
                assert mark(path) == (number + 1, taken[0])     # it never says less than before
            return None

        with failpoint(killed):
            number, drawn = db.commit({0: 3}, wait=False)
        for moment in (taken[1], drawn - 1, drawn):
            assert [side.settle(moment) for side in (reader, other)] == [number, number]
        db.wait(number, force=True)
        assert reader.settle(drawn) == 0


def mark(path):
    number, time_ns = struct.unpack_from("<QQ", path.read_bytes(), 6144 + 8)
    return number, time_ns


def lib_clock() -> int:
    import time
    return time.time_ns()


def test_ids_are_never_given_twice(tmp_path):
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as a, BarePager(path) as b:
        got = [c.next_id(7, 5) for c in (a, b, a, b)] + [a.next_id(7, 100), b.next_id(7, 5)]
        assert got == [5, 6, 7, 8, 100, 101]


def test_aborted_and_failed_commits_leave_everything_as_before(tmp_path, rng):
    path = tmp_path / "a.edb"
    with BarePager(path, 512, NORMAL) as db:
        values = []
        for _ in range(150):
            changes = random_changes(rng, len(values))
            point = rng.choice(("commit:alloc", "commit:prepared", "commit:stamped", "commit:record-written"))
            countdown, error = rng.randrange(1, 12), rng.choice(("FULL", "IO"))

            def action(name, point=point, error=error):
                nonlocal countdown
                if name == point:
                    countdown -= 1
                    return error if countdown == 0 else None

            try:
                with failpoint(action):
                    db.commit(changes, wait=False)
                values = apply(values, changes)
            except PagerError as failure:
                assert failure.name == error
            assert db.values() == values
            db.check()
    with BarePager(path) as db:
        assert db.values() == values


def test_open_options(tmp_path):
    path = tmp_path / "a.edb"
    with pytest.raises(PagerError) as caught:
        BarePager(path, flags=NO_CREATE)
    assert caught.value.name == "CANTOPEN"
    with pytest.raises(PagerError, match="No such file"):
        BarePager(tmp_path / "missing" / "a.edb")
    with pytest.raises(PagerError, match="power of two"):
        BarePager(path, 1000)
    with BarePager(path, 512, NORMAL) as db:
        db.commit({0: 1})
        with pytest.raises(PagerError, match="synchronous=normal") as caught:
            BarePager(path, synchronous=FULL)
        assert caught.value.name == "SETTING"
        with BarePager(path, flags=READ_ONLY) as reader:
            assert reader.values() == [1]
            with pytest.raises(PagerError) as caught:
                reader.begin()
            assert caught.value.name == "READONLY"
            db.commit({0: 2})
            assert reader.values() == [2]
    with BarePager(path, synchronous=FULL) as db:
        assert db.values() == [2]
        assert db.stats()["oldest"] == NONE


def test_clock_that_went_wrong_is_refused(tmp_path, native):
    path = tmp_path / "a.edb"
    lib, year = native.lib, 366 * 86400 * 10**9
    try:
        with BarePager(path, 512) as db:
            db.commit({0: 1})
            lib.test_clock_jump(2 * year)
            with pytest.raises(PagerError, match="set forward") as caught:
                db.commit({0: 2})
            assert caught.value.name == "CLOCK"
            lib.test_clock_jump(0)
            db.commit({0: 2})
            lib.test_clock_jump(-3600 * 10**9)
            with pytest.raises(PagerError, match="ahead of the clock"):
                db.commit({0: 3})
            lib.test_clock_jump(-30 * 10**9)         # a small step back is common: times go on from the last
            last = db.pin()[1]
            db.unpin()
            assert db.commit({0: 3})[1] == last + 1
        lib.test_clock_jump(-3600 * 10**9)
        with BarePager(path, flags=ANY_CLOCK) as db:
            db.commit({0: 4})
            assert db.values() == [4]
        lib.test_clock_jump(5 * year)                # unused for years: that is no reason to refuse
        with BarePager(path) as db:
            db.commit({0: 5})
    finally:
        lib.test_clock_jump(0)
