"""Whatever happens to the lock file or the data file while a database is open: nobody writes past somebody alive.

Each test does one thing to one of the files under a living process, lets another process try its luck, and then demands
that everything acknowledged is there and the file is whole. A clear refusal of either side is right.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from crash.children import Child, Say

from ..bare_pager import READ_ONLY, BarePager, PagerError

SHORT_MS = 50           # how long an opener waits that is to be refused

Harm = Callable[[Path], None]


def lock_of(path: Path) -> Path:
    return path.with_name(path.name + "-lock")


def outcome(work: Callable[[Say], None], failpoint: str | None = None) -> list[str]:
    """What another process says; it must end well."""
    with Child(work, failpoint) as child:
        assert child.join() == 0, child.lines
        return child.lines


def try_to_commit(path: Path, flags: int = 0) -> list[str]:
    """Another process opens the database, and commits value 77 if it may. -> what became of it."""
    def work(say: Say) -> None:
        try:
            with BarePager(path, flags=flags, busy_ms=SHORT_MS) as db:
                db.values()
                db.commit({0: 77})
                say("committed")
        except PagerError as error:
            say(error.name)
            say(str(error))
    return outcome(work)


def whole(path: Path, values: list[int]) -> None:
    """After everybody has closed it: the file opens, is whole, can be written, and holds the values."""
    with BarePager(path) as db:
        assert db.values() == values
        db.check()
        db.commit({0: 99})
        assert db.values() == [99, *values[1:]]


def removed(path: Path) -> None:
    lock_of(path).unlink()


def replaced_by_nothing(path: Path) -> None:
    empty = path.with_name("empty")
    empty.write_bytes(b"")
    empty.rename(lock_of(path))


def replaced_by_a_copy(path: Path) -> None:
    """As a backup puts it back: the same bytes in another file."""
    copy = path.with_name("copy")
    copy.write_bytes(lock_of(path).read_bytes())
    copy.rename(lock_of(path))


def moved_away(path: Path) -> None:
    lock_of(path).rename(path.with_name("elsewhere"))


def moved_away_with_a_link_left(path: Path) -> None:
    path.with_name("own").write_bytes(b"")
    lock_of(path).unlink()
    lock_of(path).symlink_to(path.with_name("own"))


@pytest.mark.slow
@pytest.mark.parametrize("flags", [0, READ_ONLY])
@pytest.mark.parametrize("harm", [removed, replaced_by_nothing, replaced_by_a_copy, moved_away,
                                  moved_away_with_a_link_left])
def test_another_lock_file_while_the_database_is_open(tmp_path: Path, harm: Harm, flags: int) -> None:
    """Those who share the old one go on; nobody enters with a new one, to write or to read, until they have closed."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1, 1: 1})
        harm(path)
        name, message = try_to_commit(path, flags)
        assert name == "BUSY"
        assert "-lock is not the lock file that others have the database open with" in message
        db.commit({0: 2})
        with BarePager(path) as second:             # of the same process: it shares
            second.commit({1: 3})
            assert db.values() == [2, 3]
        with BarePager(path, flags=READ_ONLY, busy_ms=SHORT_MS) as reader:
            reader.pin()
            db.commit({0: 5})
            assert reader.pinned_values() == [2, 3]
        assert try_to_commit(path, flags)[0] == "BUSY"
        db.commit({0: 4})
        db.check()
    whole(path, [4, 3])
    assert try_to_commit(path) == ["committed"]


def test_a_reader_alone_keeps_writers_with_another_lock_file_out(tmp_path: Path) -> None:
    """They would not see its pin."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
    with BarePager(path, flags=READ_ONLY) as reader:
        reader.pin()
        lock_of(path).unlink()
        assert try_to_commit(path)[0] == "BUSY"
        assert reader.pinned_values() == [1]
    assert try_to_commit(path) == ["committed"]


@pytest.mark.slow
def test_a_second_name_of_the_data_file(tmp_path: Path) -> None:
    """A hard link has a lock file of its own, so it is refused; a symbolic link leads to the one of the file."""
    path, hard, soft = tmp_path / "a.edb", tmp_path / "hard.edb", tmp_path / "soft.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        os.link(path, hard)
        soft.symlink_to(path)
        name, message = try_to_commit(hard)
        assert name == "BUSY"
        assert "hard link" in message
        assert try_to_commit(soft) == ["committed"]
        assert not lock_of(soft).exists()
        assert db.values() == [77]
        with BarePager(hard) as second:             # in one process it is one database
            second.commit({0: 2})
        assert db.values() == [2]
        path.rename(tmp_path / "moved.edb")
        assert try_to_commit(tmp_path / "moved.edb")[0] == "BUSY"
        db.commit({0: 3})
    whole(hard, [3])


def test_a_lock_file_with_a_second_name(tmp_path: Path) -> None:
    """Two databases that are led to one lock file do not mix."""
    path, other = tmp_path / "a.edb", tmp_path / "b.edb"
    for one in (path, other):
        with BarePager(one, 512) as db:
            db.commit({0: 1})
    lock_of(other).unlink()
    os.link(lock_of(path), lock_of(other))
    with BarePager(path) as db:
        assert try_to_commit(other)[0] == "CANTOPEN"
        db.commit({0: 2})
    whole(path, [2])
    whole(other, [1])


def zeroed(lock: Path, before: bytes) -> None:
    with lock.open("r+b") as file:
        file.write(bytes(len(before)))


def restored(lock: Path, before: bytes) -> None:
    """A backup of the lock file, from when the database was open earlier, written over it."""
    with lock.open("r+b") as file:
        file.write(before)


def filled_with_ones(lock: Path, before: bytes) -> None:
    with lock.open("r+b") as file:
        file.write(b"\xff" * len(before))


@pytest.mark.slow
@pytest.mark.parametrize("harm", [zeroed, restored, filled_with_ones])
@pytest.mark.parametrize("begun", [False, True])
def test_a_lock_file_overwritten_in_place(tmp_path: Path, harm: Callable[[Path, bytes], None], begun: bool) -> None:
    """What it says is not believed: no read, no commit, and closing leaves the data file as it is."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        before = lock_of(path).read_bytes()
    with BarePager(path, busy_ms=SHORT_MS) as db:
        db.commit({0: 2})
        if begun:
            db.begin()
            db.set(0, 3)
        harm(lock_of(path), before)
        bytes_before = path.read_bytes()
        if begun:
            with pytest.raises(PagerError, match="overwritten") as caught:
                db.prepare()
            assert caught.value.name == "REPLACED"
            db.abort()
        for use in (db.begin, db.pin, lambda: db.settle(2**62)):
            with pytest.raises(PagerError, match="edb-lock: the lock file was overwritten") as caught:
                use()
            assert caught.value.name == "REPLACED"
        assert try_to_commit(path)[0] in ("BUSY", "CANTOPEN")
    assert path.read_bytes() == bytes_before
    whole(path, [2])


def test_a_copy_of_the_lock_file_from_minutes_ago(tmp_path: Path) -> None:
    """It is the same session's, but has forgotten what was committed since: nobody commits that again."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        copy = lock_of(path).read_bytes()

        def other(say: Say) -> None:
            with BarePager(path) as mine:
                mine.commit({0: 2})

        assert outcome(other) == []
        with lock_of(path).open("r+b") as file:
            file.write(copy)
        with pytest.raises(PagerError, match="overwritten") as caught:
            db.commit({0: 3})
        assert caught.value.name == "REPLACED"
    whole(path, [2])


@pytest.mark.slow
def test_what_a_process_committed_itself_is_not_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        copy = lock_of(path).read_bytes()
        for i in range(300):
            db.commit({0: 2 + i})
        with lock_of(path).open("r+b") as file:
            file.write(copy)
        with pytest.raises(PagerError, match="overwritten") as caught:
            db.commit({0: 3})
        assert caught.value.name == "REPLACED"
    whole(path, [301])


def test_a_lock_file_truncated_in_place(tmp_path: Path) -> None:
    """Memory that is gone cannot be read: the system ends the process, as when the data file is truncated. What it
    had acknowledged is there."""
    path = tmp_path / "a.edb"

    def work(say: Say) -> None:
        with BarePager(path, 512, busy_ms=SHORT_MS) as db:
            db.commit({0: 2})
            os.truncate(lock_of(path), 0)
            with pytest.raises(PagerError, match="overwritten"):
                db.begin()                          # looks before it touches
            say("refused")
            faulthandler.disable()                  # pytest's, which would tell about it, as a sanitizer would
            signal.signal(signal.SIGBUS, signal.SIG_DFL)
            db.pin()

    with Child(work) as child:
        assert child.join() == -signal.SIGBUS
        assert child.lines == ["refused"]
    whole(path, [2])


def test_killed_after_their_lock_file_was_removed(tmp_path: Path) -> None:
    path = tmp_path / "a.edb"

    def work(say: Say) -> None:
        with BarePager(path, 512) as db:
            db.commit({0: 1})
            lock_of(path).unlink()
            db.commit({0: 2})
            os.kill(os.getpid(), signal.SIGKILL)

    with Child(work) as child:
        assert child.join() == -signal.SIGKILL
    whole(path, [2])


@pytest.mark.slow
def test_a_forked_child_is_another_process(tmp_path: Path) -> None:
    """It cannot enter beside its parent with another lock file, and its end gives nothing of the parent's up."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        lock_of(path).unlink()

        def child(say: Say) -> None:
            with pytest.raises(PagerError) as caught:
                db.begin()
            say(caught.value.name)
            with pytest.raises(PagerError) as caught:
                BarePager(path, busy_ms=SHORT_MS)
            say(caught.value.name)

        assert outcome(child) == ["FORKED", "BUSY"]
        assert try_to_commit(path)[0] == "BUSY"
        db.commit({0: 2})
    whole(path, [2])


def test_a_data_file_replaced_by_rename(tmp_path: Path) -> None:
    """What the old process would commit would be lost with its file: refused. It can read. Others wait for its end."""
    path, new = tmp_path / "a.edb", tmp_path / "new.edb"
    with BarePager(new, 512) as db:
        db.commit({0: 10})
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        new.rename(path)
        with pytest.raises(PagerError, match="was replaced by another while it was open") as caught:
            db.commit({0: 2})
        assert caught.value.name == "REPLACED"
        assert db.values() == [1]
        assert try_to_commit(path)[0] == "CANTOPEN"
    whole(path, [10])


def test_both_files_replaced_by_rename(tmp_path: Path) -> None:
    """A restored backup: it can be used at once, and the old process cannot write."""
    path, new = tmp_path / "a.edb", tmp_path / "new.edb"
    with BarePager(new, 512) as db:
        db.commit({0: 10})
    with BarePager(path, 512) as db:
        db.commit({0: 1})
        new.rename(path)
        lock_of(new).rename(lock_of(path))
        assert try_to_commit(path) == ["committed"]
        with pytest.raises(PagerError) as caught:
            db.commit({0: 2})
        assert caught.value.name == "REPLACED"
    whole(path, [77])


@pytest.mark.slow
@pytest.mark.parametrize("commits", [1, 40, 300])
def test_a_data_file_overwritten_in_place(tmp_path: Path, commits: int) -> None:
    """Another database, with fewer or more commits, copied over the open one: nothing is written into it, not even
    at closing."""
    path, other = tmp_path / "a.edb", tmp_path / "b.edb"
    with BarePager(other, 512) as db:
        for i in range(commits):
            db.commit({0: i + 1})
    with BarePager(path, 512) as db:
        for i in range(40):
            db.commit({0: 1000 + i})
        assert other.stat().st_size == path.stat().st_size
        with path.open("r+b") as file:
            file.write(other.read_bytes())
        for _ in range(2):
            with pytest.raises(PagerError, match="is not the one that was written") as caught:
                db.commit({0: 2})
            assert caught.value.name == "REPLACED"
    assert path.read_bytes() == other.read_bytes()
    whole(path, [commits])


def test_an_older_copy_put_back_in_place(tmp_path: Path) -> None:
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        for i in range(300):
            db.commit({0: i + 1})
            if i == 99:
                shutil.copyfile(path, tmp_path / "backup")
        size = path.stat().st_size
        backup = (tmp_path / "backup").read_bytes().ljust(size, b"\0")
        with path.open("r+b") as file:
            file.write(backup)
        with pytest.raises(PagerError) as caught:
            db.commit({0: 2})
        assert caught.value.name == "REPLACED"
    assert path.read_bytes() == backup
    whole(path, [100])


def test_a_memory_database_has_no_files(tmp_path: Path) -> None:
    with BarePager(None, 512) as db:
        db.commit({0: 1})
        assert db.values() == [1]


@pytest.mark.slow
def test_lock_files_removed_all_the_time(tmp_path: Path, rng) -> None:
    """Processes open, commit and close while another removes the lock file again and again. No commit is lost,
    whoever came in."""
    path = tmp_path / "a.edb"
    with BarePager(path, 512) as db:
        db.commit(dict.fromkeys(range(4), 1))
    stop = tmp_path / "stop"

    def remove(say: Say) -> None:
        while not stop.exists():
            lock_of(path).unlink(missing_ok=True)

    def commit(me: int) -> Callable[[Say], None]:
        def work(say: Say) -> None:
            last, entered = 1, 0
            for i in range(2, 60):
                try:
                    with BarePager(path, busy_ms=2000) as db:
                        assert db.values()[me] == last
                        db.commit({me: i})
                        last, entered = i, entered + 1
                        db.check()
                except PagerError as error:
                    assert error.name in ("BUSY", "CANTOPEN"), error
            say(f"{last} {entered}")
        return work

    with Child(remove) as remover:
        children = [Child(commit(me)) for me in range(4)]
        said = []
        for child in children:
            with child:
                assert child.join() == 0, child.lines
                said.append(child.lines[-1].split())
        stop.touch()
        assert remover.join() == 0
    assert sum(int(entered) for _, entered in said) > 0
    whole(path, [int(last) for last, _ in said])
