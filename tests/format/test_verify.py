"""Tamper evidence: what commits wrote gives their links, whatever made them; and what is changed afterwards is found.

The reader computes contents, links and seals again in plain Python. The forger changes bytes and makes all checksums
right.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver
from entitydb_dialect.driver import Proof

from .forger import Forger, encode_groups, put
from .primitives import Ref, u32
from .reader import COLD_FIRST, LEAF, Damaged, Entry, File, link, seal
from .redo import groups


def verify(path: Path, **options: Any) -> Proof:
    with closing(driver.connect(path)) as db:
        return db.database.verify(**options)


def write_something(rng: random.Random, db: driver.Connection, step: int) -> None:
    """One transaction of a random kind; perhaps it changes nothing."""
    def value() -> str:
        return "v" * rng.choice((1, 3, 20, 90, 300)) + str(rng.randrange(8))

    kind = rng.randrange(12)
    if kind == 0:
        db.execute(f"CREATE TABLE n{step}(id INTEGER PRIMARY KEY, a, b UNIQUE)")
        db.execute(f"INSERT INTO n{step}(a, b) VALUES (?, ?)", (value(), step))
    elif kind == 1:
        db.execute(f"CREATE INDEX i{step} ON t(n, id)")
    elif kind == 2 and step > 3:
        names = [name for name in db.catalog() if name.startswith("n")]
        if names:
            db.execute(f"DROP TABLE {rng.choice(names)}")
    elif kind == 3:
        db.executemany("INSERT INTO t(v, n) VALUES (?, ?)", [(value(), n) for n in range(rng.choice((1, 2, 40)))])
    elif kind == 4:
        db.execute("DELETE FROM t WHERE id % 3 = ?", (rng.randrange(3),))
    elif kind == 5:
        db.execute("SAVEPOINT s")
        db.execute("UPDATE t SET v = ?", (value(),))
        db.execute("INSERT INTO t(v) VALUES ('gone')")
        db.execute("ROLLBACK TO s")
        db.execute("UPDATE t SET n = n + 1 WHERE id % 7 = 3")
    elif kind == 6:
        db.execute("REPLACE INTO t(id, v, n) VALUES (?, ?, ?)", (rng.randrange(1, 40), value(), step))
    elif kind == 7:
        db.execute("INSERT INTO t(v) VALUES (?)", ("long" * rng.randrange(300, 1500),))
    elif kind == 8:
        db.execute("SELECT entitydb_label(?)", (f"label {rng.randrange(4)}",))
        db.execute("UPDATE t SET n = ? WHERE id = ?", (step, rng.randrange(1, 30)))
    else:
        db.execute("UPDATE t SET v = ?, n = n + ? WHERE id = ?", (value(), rng.randrange(2), rng.randrange(1, 40)))
        db.execute("INSERT INTO t(v, n) VALUES (?, ?)", (value(), step))


def make(path: Path, rng: random.Random, steps: int, page_size: int = 512, others: int = 1) -> None:
    """A random history by several connections, proved after some of its steps."""
    conns = [driver.connect(path, page_size=page_size, synchronous="normal") for _ in range(1 + others)]
    conns[0].execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, n INTEGER)")
    conns[0].executemany("INSERT INTO t(v, n) VALUES (?, ?)", [(f"row {n}", n) for n in range(30)])
    conns[0].commit()
    for step in range(steps):
        db = rng.choice(conns)
        db.rollback()
        try:
            write_something(rng, db, step)
            db.commit()
        except driver.Error:
            db.rollback()
        if step % 10 == 0:
            assert db.database.verify().breaks == (), step
    for db in conns:
        db.close()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, native: Any) -> bytes:
    path = tmp_path_factory.mktemp("history") / "history.edb"
    make(path, random.Random(11), 320)
    return path.read_bytes()


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, native: Any) -> bytes:
    path = tmp_path_factory.mktemp("short") / "short.edb"
    make(path, random.Random(12), 70)
    return path.read_bytes()


@pytest.fixture(scope="module")
def shown(short: bytes) -> Any:
    """What every moment of it shows."""
    return visible(short)


@pytest.mark.parametrize("page_size", [512, 8192])
def test_any_history_is_proved_by_the_engine_and_by_the_reader(
    tmp_path: Path, native: Any, rng: random.Random, page_size: int
) -> None:
    path = tmp_path / "a.edb"
    for _ in range(2):
        make_more = path.exists()
        if not make_more:
            make(path, rng, 60, page_size)
        else:
            with closing(driver.connect(path)) as db:
                for step in range(1000, 1040):
                    write_something(rng, db, step)
                    db.commit()
        proof, file = verify(path), File(path.read_bytes())
        first, links = file.links()
        assert (proof.first, proof.last, proof.breaks) == (1, file.newest.number, ())
        assert (first, seal(links)) == (1, proof.seal)
        assert file.broken() == []


def test_groups_of_links_keep_their_seal(history: bytes) -> None:
    file = File(history)
    assert file.newest.number > 256
    assert len(file.links()[1]) == file.newest.number


@pytest.mark.parametrize("processors", [1, 2])
def test_commits_so_large_that_a_thread_hashes_them_are_proved(tmp_path: Path, native: Any, processors: int) -> None:
    """Versions, values that change nothing, deletions and values in chains; with and without a second processor.

    verify() hashes what the leaves have, one version after the other."""
    path, allowed = tmp_path / "a.edb", os.sched_getaffinity(0)
    if len(allowed) < processors:
        pytest.skip("there is one processor")
    os.sched_setaffinity(0, set(list(allowed)[:processors]))
    try:
        with closing(driver.connect(path, isolation_level=None)) as db:
            db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, n INTEGER)")
            db.executemany("INSERT INTO t(v, n) VALUES (?, ?)", [(f"row {n} " * 8, n % 5) for n in range(9_000)])
            db.execute("BEGIN")
            db.execute("UPDATE t SET n = n + (id % 3)")
            db.execute("DELETE FROM t WHERE id % 7 = 2")
            db.execute("UPDATE t SET v = printf('%.*c', id, 'v') WHERE id % 50 = 0")
            db.execute("COMMIT")
    finally:
        os.sched_setaffinity(0, allowed)
    assert verify(path).breaks == ()


def test_memory_databases_are_proved_too(native: Any, rng: random.Random) -> None:
    with closing(driver.connect(":memory:")) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, n INTEGER)")
        db.commit()
        for step in range(50):
            write_something(rng, db, step)
            db.commit()
        proof = db.database.verify()
        assert (proof.first, proof.breaks) == (1, ())
        assert db.database.newest_seal() == (proof.last, proof.seal)


def test_a_seal_exported_is_expected_later(tmp_path: Path, native: Any, rng: random.Random) -> None:
    path = tmp_path / "a.edb"
    make(path, rng, 20)
    with closing(driver.connect(path)) as db:
        known = db.database.newest_seal()
        db.execute("INSERT INTO t(v) VALUES ('more')")
        db.commit()
        assert db.database.verify(expected=known).breaks == ()
        wrong = known[0], bytes([known[1][0] ^ 1]) + known[1][1:]
        assert [one.commit for one in db.database.verify(expected=wrong).breaks] == [known[0]]
        missing = db.database.verify(expected=(known[0] + 2, known[1])).breaks
        assert [one.commit for one in missing] == [known[0] + 2]
        assert "missing" in missing[0].sentence


def test_progress_is_told_and_can_stop(history: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.edb"
    path.write_bytes(history)
    told: list[tuple[int, int]] = []
    verify(path, progress=lambda done, of: told.append((done, of)))
    assert [done for done, _ in told] == list(range(len(told)))
    assert all(of == len(told) for _, of in told)

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(path, progress=stop)


def test_since_looks_at_later_commits_alone(history: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.edb"
    for number, page, at in values(Forger(history), 40):
        forger = Forger(history)
        forger.page(page)[at] ^= 1
        path.write_bytes(forger.sealed())
        broken = verify(path, since=number - 1).breaks
        assert {one.commit for one in broken} == {number}, broken
        if all("or its time" in one.sentence for one in broken):
            break                   # and not in a copy that later moments read, too
    proof = verify(path, since=number)
    assert (proof.proved_after, proof.breaks) == (number, ())


# ---- forgeries ------------------------------------------------------------------------------------------------------


def leaves(file: File) -> list[int]:
    """Every page that is a leaf of a tree, whether reached or free."""
    return [page for page in range(file.first_page, min(file.base.pages, len(file.data) // file.page_size))
            if file.raw(page)[4] == LEAF]


def values(forger: Forger, least: int) -> Iterator[tuple[int, int, int]]:
    """(commit, page, place) of the last byte of values of the table t, written by commits from `least` on."""
    tree = forger.file.catalog()["t"].id
    reached = set(reached_leaves(forger.file, tree))
    for page in sorted(reached):
        node = forger.file.node(ref_of(forger.file, page))
        for entry in node.entries:
            assert isinstance(entry.value, bytes)
            if entry.begun >= least and not entry.tombstone and not entry.overflow and entry.value:
                start = bytes(forger.page(page)).index(entry.value, entry.cell)
                yield entry.begun, page, start + len(entry.value) - 1


def ref_of(file: File, page: int) -> Ref:
    return Ref(page, u32(file.raw(page), 0))


def reached_leaves(file: File, tree: int) -> Iterator[int]:
    seen: set[int] = set()

    def walk(ref: Any) -> Iterator[int]:
        if ref.page >= COLD_FIRST:
            ref = file.place(ref)
        if ref.page in seen or not ref.page:
            return
        seen.add(ref.page)
        node = file.node(ref)
        if node.level == 0:
            yield ref.page
            return
        for entry in node.entries:
            yield from walk(entry.value)

    for _, root in file.roots(file.tree(tree)):
        yield from walk(root)


def visible(data: bytes) -> Any:
    """What every moment shows: of each tree the entries at each commit; and the times."""
    file = File(data)
    last = file.newest.number
    return [[list(file.scan(tree, n)) for n in range(tree.born, last + 1)] for tree in file.trees()], file.times()


FEW_OR_MANY = pytest.mark.parametrize("times", [12, pytest.param(200, marks=pytest.mark.slow)])


@FEW_OR_MANY
def test_a_changed_value_is_found_in_whichever_page_and_its_commit_named(
    short: bytes, shown: Any, tmp_path: Path, rng: random.Random, times: int
) -> None:
    """Also in a copy that a split by time has carried over, which moments after the split read."""
    path, found = tmp_path / "a.edb", 0
    places = list(values(Forger(short), 1))
    for number, page, at in rng.sample(places, min(times, len(places))):
        forger = Forger(short)
        forger.page(page)[at] ^= 1
        path.write_bytes(forger.sealed())
        broken = verify(path).breaks
        if not broken:
            assert visible(path.read_bytes()) == shown, (number, page, at)
            continue
        found += 1
        assert {one.commit for one in broken} == {number}, (number, page, at)
        assert all(one.table in (None, "t") for one in broken)
    assert found > times // 2


def forge_node(forger: Forger, rng: random.Random) -> str:
    """Changes a version, removes one, or exchanges the commits of two, in some leaf."""
    tree = rng.choice([tree.id for tree in forger.file.stored_trees() if tree.live > 3])
    page = rng.choice(list(reached_leaves(forger.file, tree)))
    entries: list[Entry] = list(forger.file.node(ref_of(forger.file, page)).entries)
    if not entries:
        return "nothing"
    i = rng.randrange(len(entries))
    what = rng.choice(("removed", "moved", "exchanged", "ended"))
    if what == "removed" and len(entries) > 1:
        del entries[i]
    elif what == "moved":
        entries[i] = replace(entries[i], begun=entries[i].begun + rng.choice((-1, 1)))
    elif what == "exchanged":
        k = rng.randrange(len(entries))
        entries[i], entries[k] = (replace(entries[i], value=entries[k].value, overflow=entries[k].overflow),
                                  replace(entries[k], value=entries[i].value, overflow=entries[i].overflow))
        if entries[i].tombstone or entries[k].tombstone:
            return "nothing"
    elif what == "ended":
        entries[i] = replace(entries[i], tombstone=not entries[i].tombstone, value=b"", overflow=False)
    forger.rebuild(page, sorted(entries, key=lambda e: (e.key, -e.begun)))
    return f"{what} {tree} {page} {i}"


@FEW_OR_MANY
def test_what_any_moment_shows_cannot_be_changed_unnoticed(
    short: bytes, shown: Any, tmp_path: Path, rng: random.Random, times: int
) -> None:
    path, found = tmp_path / "a.edb", 0
    for _ in range(times):
        forger = Forger(short)
        try:
            what = forge_node(forger, rng)
        except AssertionError:
            continue                    # it does not fit the page any more
        path.write_bytes(forger.sealed())
        try:
            broken = verify(path).breaks
            with closing(driver.connect(path)) as db:
                wrong = db.database.check()[0]
        except driver.DatabaseError:
            found += 1
            continue
        if broken:
            found += 1
        elif not wrong:
            try:
                same = visible(path.read_bytes()) == shown
            except Damaged:
                same = True             # the reader is stricter than that
            assert same, what
    assert found > times // 4


def test_a_changed_time_names_its_commit(history: bytes, tmp_path: Path, rng: random.Random) -> None:
    path = tmp_path / "a.edb"
    file = File(history)
    stored = file.base.stamps.count
    for number in [*rng.sample(range(1, stored), 6), stored, file.base.number]:
        forger = Forger(history)
        if number < stored:
            pages = [ref.page for level, ref in file.list_pages(file.base.stamps) if level == 0]
            put(forger.page(pages[number // file.room(8)]), 32 + number % file.room(8) * 8, file.times()[number] + 1, 8)
        else:
            tail = list(forger.record.tail)
            tail[number - stored] += 1
            forger.record = replace(forger.record, tail=tail)
        path.write_bytes(forger.sealed())
        assert {one.commit for one in verify(path).breaks} == {number}


def test_a_changed_link_or_kept_seal_is_found(history: bytes, tmp_path: Path, rng: random.Random) -> None:
    path = tmp_path / "a.edb"
    file = File(history)
    pages, room = [ref.page for level, ref in file.list_pages(file.base.links) if level == 0], file.room(32)
    for place in [256, *rng.sample(range(256), 6)]:
        forger = Forger(history)
        forger.page(pages[place // room])[32 + place % room * 32] ^= 1
        path.write_bytes(forger.sealed())
        broken = verify(path).breaks
        assert {one.commit for one in broken} == ({1, 257} if place == 256 else {place + 1}), place
    forger = Forger(history)
    forger.record = replace(forger.record, seal=bytes(32))
    path.write_bytes(forger.sealed())
    assert verify(path).breaks


def test_links_changed_with_what_they_are_made_of_are_found_in_their_group(history: bytes, tmp_path: Path) -> None:
    """Who also computes the seals anew is found by a hash that was kept elsewhere, and by nothing else."""
    path = tmp_path / "a.edb"
    path.write_bytes(history)
    file = File(history)
    with closing(driver.connect(path)) as db:
        known = db.database.newest_seal()
    number, page, at = next(place for place in values(Forger(history), 20) if place[0] < 250)
    forger = Forger(history)
    forger.page(page)[at] ^= 1
    forged = File(forger.sealed())
    try:
        content = forged.contents()[number]
    except Damaged:
        pytest.skip("a copy of this value stands in another page")
    pages, room = [ref.page for level, ref in file.list_pages(file.base.links) if level == 0], file.room(32)

    def put_element(place: int, value: bytes) -> None:
        forger.page(pages[place // room])[32 + place % room * 32 :][:32] = value

    place = number - 1
    put_element(place, link(number, file.times()[number], content))
    path.write_bytes(forger.sealed())
    assert [one.commit for one in verify(path).breaks] == [1]
    links = file.links()[1][: len(file.links()[1]) - len(file.behind)]
    links[number - 1] = link(number, file.times()[number], content)
    put_element(256, seal(links[:256]))
    forger.record = replace(forger.record, seal=seal(links))
    path.write_bytes(forger.sealed())
    assert verify(path).breaks == ()
    assert [one.commit for one in verify(path, expected=known).breaks] == [known[0]]


def test_a_forged_redo_record_is_found(history: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.edb"
    path.write_bytes(history)
    with closing(driver.connect(path)) as db:
        for i in range(5):
            db.execute("UPDATE t SET v = ? WHERE id = (SELECT max(id) FROM t)", (f"redo {i}",))
            db.commit()
    data = path.read_bytes()
    for i in range(3):
        for what in ("link", "time", "changes"):
            forger = Forger(data)
            redo = forger.redo[-1 - i]
            if what == "link":
                assert redo.link is not None
                redo = replace(redo, link=bytes([redo.link[0] ^ 1]) + redo.link[1:])
            elif what == "time":
                redo = replace(redo, time_ns=redo.time_ns + 1)
            else:
                made = groups(redo.changes)
                change = made[0].changes[0]
                assert change.value is not None
                change = replace(change, value=change.value[:-1] + b"!")
                made[0] = replace(made[0], changes=(change, *made[0].changes[1:]))
                redo = replace(redo, changes=encode_groups(made))
            forger.redo[-1 - i] = redo
            path.write_bytes(forger.sealed())
            assert redo.number in {one.commit for one in verify(path).breaks}, (i, what)


# ---- what is erased on purpose ---------------------------------------------------------------------------------------


def test_a_reduced_commit_stays_proved(tmp_path: Path, native: Any) -> None:
    """As erasing will do it: the value goes, and the commit that takes it says the content before and after."""
    path = tmp_path / "a.edb"
    with closing(driver.connect(path, page_size=512)) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
        db.executemany("INSERT INTO t(v) VALUES (?)", [(f"value {i}",) for i in range(40)])
        db.commit()
        for i in range(30):
            db.execute("UPDATE t SET v = ? WHERE id = 7", (f"secret {i:02}",))
            db.commit()
        db.execute("CREATE INDEX to_the_file ON t(id)")             # a page record
        db.commit()
    before = File(path.read_bytes()).contents()

    def erase(value: bytes) -> bytes:
        forger = Forger(path.read_bytes())
        for page in leaves(forger.file):
            raw = bytes(forger.page(page))
            at = raw.find(value)
            while at >= 0:
                forger.page(page)[at : at + len(value)] = b"." * len(value)
                at = raw.find(value, at + 1)
        return forger.sealed()

    number, data = 1 + 5, path.read_bytes()     # the fifth update, behind the first commit
    gone = erase(b"secret 04")
    now = File(gone).contents()
    assert {n for n in before if now[n] != before[n]} == {number}
    path.write_bytes(gone)
    assert {one.commit for one in verify(path).breaks} == {number}
    path.write_bytes(data)
    with closing(driver.connect(path)) as db:
        native.lib.test_reduce(number, before[number], now[number])
        db.execute("INSERT INTO t(v) VALUES ('erased')")
        db.commit()
        assert [one.commit for one in db.database.verify().breaks] == [number], "it is still there"
    path.write_bytes(erase(b"secret 04"))
    proof = verify(path)
    assert (proof.breaks, proof.reduced) == ((), 1)
    file = File(path.read_bytes())
    assert file.broken() == []
    assert file.reduced() == {number: (before[number], now[number])}
    with closing(driver.connect(path)) as db:
        assert db.database.check()[0] == []


def test_commits_up_to_the_horizon_are_proved_by_their_hashes_alone(history: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.edb"
    for number, page, at in values(Forger(history), 20):
        if number >= 250:
            continue
        forger = Forger(history)
        forger.page(page)[at] ^= 1
        path.write_bytes(forger.sealed())
        # Not in a copy that later moments read: that is found whatever the horizon.
        broken = verify(path).breaks
        if broken and all("or its time" in one.sentence for one in broken):
            break
    for horizon in (number - 1, number):
        forger = Forger(history)
        forger.page(page)[at] ^= 1
        forger.record = replace(forger.record, horizon=horizon)
        path.write_bytes(forger.sealed())
        proof = verify(path)
        assert proof.proved_after == horizon
        assert {one.commit for one in proof.breaks} == ({number} if horizon < number else set())
