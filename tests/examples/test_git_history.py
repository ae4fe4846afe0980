"""The git example on generated repositories, in which everything happens that is hard to follow.

The example itself compares the database with git, from a second process; the tests see to it that this comparison
would notice, and compare once more on their own.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from .conftest import EXAMPLES, Run
from .make_repository import make_repository

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(scope="module")
def git_history() -> ModuleType:
    spec = importlib.util.spec_from_file_location("git_history", EXAMPLES / "git_history.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["git_history"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def git(folder: Path, *arguments: str, **options: object) -> bytes:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, stdout=subprocess.PIPE, **options).stdout


@pytest.mark.slow
def test_every_commit_of_a_hard_history_reads_as_git_lists_it(run: Run, tmp_path: Path, seed: int) -> None:
    repository = make_repository(tmp_path / "repository", commits=150, seed=seed, files=40)
    database = tmp_path / "history.edb"
    result = run("git_history.py", repository, "--database", database, "--checks", "150", "--seed", str(seed))
    assert result.returncode == 0, f"seed {seed}\n{result.stdout.decode()}{result.stderr.decode()}"
    rows = dict(line.strip("│ ").split("│", 1) for line in result.stdout.decode().splitlines() if line.count("│") == 3)
    shown = {name.strip(): value.strip() for name, value in rows.items()}
    assert shown["commits"] == "150"
    assert shown["commits compared with git"] == "150"
    assert shown["differences"] == "0"
    for name in ("versions of rows", "seconds to load", "file size", "all files, now"):
        assert shown[name]
    assert sum(name.startswith("all files, ") for name in shown) == 4


@pytest.mark.slow
def test_the_check_tells_another_repository(run: Run, tmp_path: Path, seed: int) -> None:
    """The same history but for the content of one file in the middle: exactly that is found."""
    def history(changed: bytes) -> bytes:
        commits = []
        for number in range(1, 31):
            data = changed if number == 15 else b"content %d" % number
            path = b"middle" if number in (15, 16) else b"other"
            commits.append(b"commit refs/heads/main\ncommitter A <a@b> %d +0000\ndata 0\nM 100644 inline %s\n"
                           b"data %d\n%s\n" % (number * 100, path, len(data), data))
        return b"".join(commits)

    folders = [tmp_path / name for name in ("one", "two")]
    for folder, changed in zip(folders, (b"as it was", b"tampered!"), strict=True):
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(folder)], check=True)
        git(folder, "fast-import", "--quiet", input=history(changed))
    database = tmp_path / "history.edb"
    loaded = run("git_history.py", folders[0], "--database", database, "--checks", "5")
    assert loaded.returncode == 0, loaded.stderr.decode()
    other = run("git_history.py", folders[1], "--database", database, "--check-only", "--checks", "30")
    report = json.loads(other.stdout)
    # Names of commits follow from their contents, so this already differs.
    assert len(report["errors"]) == 1
    same = run("git_history.py", folders[0], "--database", database, "--check-only", "--checks", "30")
    assert json.loads(same.stdout)["errors"] == []


@pytest.mark.slow
def test_the_check_notices_a_wrong_row(git_history: ModuleType, run: Run, tmp_path: Path, seed: int) -> None:
    """A file changed behind the last commit is wrong as of now, and not as of any commit."""
    repository = make_repository(tmp_path / "repository", commits=40, seed=seed, files=20)
    database = tmp_path / "history.edb"
    assert run("git_history.py", repository, "--database", database, "--checks", "3").returncode == 0
    engine = create_engine(f"entitydb:///{database}")
    with Session(engine) as session:
        file = session.scalars(select(git_history.File).limit(1)).one()
        path, file.mode = file.path, "100600"
        session.commit()
        now = time.time_ns()
        last = session.scalars(select(git_history.Commit).order_by(git_history.Commit.number.desc()).limit(1)).one()
        session.expunge(last)
    with git_history.Repository(repository) as opened:
        rng = random.Random(seed)
        told = git_history.told_by(opened)
        good = git_history.check_commit(engine, opened, last, last.moment, rng, told)
        bad = git_history.check_commit(engine, opened, last, now, rng, told)
        with Session(engine) as session:
            assert git_history.check_tags(session, last.number, told) == []
            session.get_one(git_history.Commit, last.number).tags.clear()
            session.get_one(git_history.Commit, 1).tags.add("merge")
            tags = git_history.check_tags(session, last.number, told)
            assert [line.split()[1] for line in tags] == ["merges,", "commits"]
    engine.dispose()
    assert good == []
    assert len(bad) == 1
    assert repr(path) in bad[0]
    assert "100600" in bad[0]


def test_paths_that_are_not_utf8_come_back_byte_by_byte(git_history: ModuleType) -> None:
    engine = create_engine("entitydb://")
    git_history.Base.metadata.create_all(engine)
    paths = [b"plain", "grün".encode(), b"gr\xfcn", b"\xff", b"%FF", b'"\\377"', b"line\nend", b"\xed\xa0\x80",
             b"\\xff"]
    with Session(engine) as session:
        session.add_all(git_history.File(path=os.fsdecode(path), mode="100644", blob="0") for path in paths)
        session.commit()
        found = session.scalars(select(git_history.File.path)).all()
        assert sorted(map(os.fsencode, found)) == sorted(paths)
        for path in paths:
            assert session.get_one(git_history.File, os.fsdecode(path)).path == os.fsdecode(path)
        like = select(func.count()).where(git_history.File.path.like("gr%n"))
        assert session.scalar(like) >= 1


def test_moments_increase_and_never_lie_ahead(git_history: ModuleType) -> None:
    now = 2_000_000_000 * 10**9
    seconds = [100, 100, 50, 200, 4_000_000_000, 200, 300, 1_999_999_999, 2_000_000_000, 2_000_000_000]
    made = git_history.moments(seconds, now)
    assert all(later - earlier >= 1_000 for earlier, later in itertools.pairwise(made))
    assert made[-1] < now
    assert made[0] == 100 * 10**9
    assert made[3] == 200 * 10**9
    assert made[4] == made[3] + 1_000, "a time ahead counts as just after the commit before"
    assert made[6] == 300 * 10**9, "and those after it keep theirs"
    assert git_history.moments([0, 0], now) == [1_000, 2_000], "the file itself is of moment 0"


def test_odd_commit_objects_are_read(git_history: ModuleType) -> None:
    read = git_history.read_commit
    latin = b"tree 1\nauthor J\xf6rg <j@x> 1 +0000\ncommitter J <j@x> 7 +0000\nencoding ISO-8859-1\n\nsch\xf6n"
    assert read(latin) == {"author": "Jörg <j@x>", "message": "schön", "git_time": 7}
    assert read(latin.replace(b"ISO-8859-1", b"no-such"))["git_time"] == 7
    assert read(b"tree 1\nauthor A <a> 1 +0\ncommitter A <a> not-a-time +0\n\n")["git_time"] == 0
    assert read(b"tree 1\ncommitter nobody\n\nx") == {"author": ">", "message": "x", "git_time": 0}
    odd = b"tree 1\nparent 1\nparent 2\nauthor A\x01\xff" + b"x" * 2000 + b"\xc3\xa4 <a> 1 +0\n\n"
    (author, merge), whole = git_history.tags_of(odd), git_history.author_tag("J. \u0085Ö <j@x>")
    assert (author[:9], len(author.encode()), merge) == ("author:A\ufffd", 907, "merge")
    assert whole == "author:J. Ö <j@x>"


@pytest.mark.slow
def test_a_database_is_never_written_over(run: Run, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository", commits=3)
    database = tmp_path / "precious"
    database.write_bytes(b"precious")
    result = run("git_history.py", repository, "--database", database)
    assert result.returncode == 2
    assert b"exists" in result.stderr
    assert database.read_bytes() == b"precious"


@pytest.mark.slow
def test_made_repositories_hold_what_is_hard(tmp_path: Path, seed: int) -> None:
    """Over a few hundred commits each of the hard things happens: else the tests above prove little."""
    folder = make_repository(tmp_path / "repository", commits=600, seed=seed, files=60)
    assert int(git(folder, "rev-list", "--first-parent", "--count", "HEAD")) == 600
    raw = git(folder, "log", "--first-parent", "--diff-merges=first-parent", "--raw", "-M", "-z", "--format=%H %ct")
    statuses = {word.split()[-1][:1] for word in raw.split(b"\0") if word.lstrip(b"\n").startswith(b":")}
    assert statuses >= {b"A", b"M", b"D", b"T", b"R"}, f"seed {seed}"
    modes = {line.split()[1] for line in raw.replace(b"\0", b"\n").split(b"\n") if line.startswith(b":")}
    assert modes >= {b"100644", b"100755", b"120000", b"160000", b"000000"}, f"seed {seed}"
    times = [int(line) for line in git(folder, "log", "--first-parent", "--reverse", "--format=%ct").split()]
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(steps) < 0 < max(steps), f"seed {seed}"
    assert 0 in steps, f"seed {seed}"
    trees = git(folder, "log", "--first-parent", "--format=%T").split()
    assert any(a == b for a, b in itertools.pairwise(trees)), f"no empty commit, seed {seed}"
    assert int(git(folder, "rev-list", "--merges", "--count", "HEAD")) > 0, f"seed {seed}"
