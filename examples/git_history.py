"""Load the history of a git repository into EntityDB, and prove that every past listing can be read again.

    python examples/git_history.py REPOSITORY [--database FILE] [--checks N] [--seed S]

Every commit, in first-parent order, becomes one transaction with the commit's own time. The models know nothing of
history: `File` has one row for each path that exists now. Commits are tagged with their author, and merges as such.
Afterwards a second process, which has only the database file, asks for the files and for commits by tag as of random
commits, and compares them with what git says.

A commit changes what differs from its first parent, so a merge brings everything it merged. Renames are a delete and
an insert. Times are made strictly increasing, a microsecond apart at least (rebased commits and slow clocks go
backwards); a time that still lies ahead counts as just after the commit before.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import click
import sqlalchemy as sa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy import BigInteger, Engine, LargeBinary, create_engine, delete, insert, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, foreign, mapped_column, relationship

from entitydb_dialect import Tag, Tagged, at, begin_at, exact_tag, tagged

GITLINK = "160000"          # a submodule: its commit is in another repository
GONE = "000000"
NANOSECONDS = 10**9
APART = 1_000               # nanoseconds between two commits: what a datetime can tell apart
BATCH_BYTES = 16 * 2**20    # of contents in one INSERT


# ---- models ----

class Base(DeclarativeBase):
    pass


class GitPath(sa.TypeDecorator[str]):
    """A path as git has it: bytes. TEXT where they are UTF-8, as nearly always; the bytes themselves where not.

    In Python it is what os.fsdecode() makes of it, so that it can be given to open().
    """

    impl = sa.Unicode
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> Any:
        if value is None:
            return None
        try:
            value.encode()
        except UnicodeEncodeError:          # a lone surrogate stands for a byte that is no UTF-8
            return os.fsencode(value)
        return value

    def process_result_value(self, value: Any, dialect: Any) -> str | None:
        return os.fsdecode(value) if isinstance(value, bytes) else value


class Commit(Tagged, Base):
    """Tagged with its author, and with "merge" where it is one."""

    __tablename__ = "commit"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sha: Mapped[str] = mapped_column(unique=True)
    author: Mapped[str]
    message: Mapped[str]
    git_time: Mapped[int] = mapped_column(BigInteger)       # seconds since 1970, as git has it
    moment: Mapped[int] = mapped_column(BigInteger)         # nanoseconds since 1970: the time of the transaction


class Content(Base):
    __tablename__ = "content"

    blob: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)


class File(Base):
    __tablename__ = "file"

    path: Mapped[str] = mapped_column(GitPath, primary_key=True)
    mode: Mapped[str]
    blob: Mapped[str] = mapped_column(index=True)
    size: Mapped[int | None] = mapped_column(BigInteger)    # None: a submodule

    # No foreign key: a submodule has no content here.
    content: Mapped[Content | None] = relationship(
        primaryjoin=lambda: foreign(File.blob) == Content.blob, viewonly=True)


# ---- git ----

class Change(NamedTuple):
    """One path of one commit."""

    path: str
    existed: bool
    mode: str           # GONE: it was deleted
    blob: str


class Listed(NamedTuple):
    """A file as `git ls-tree -r -l` has it."""

    mode: str
    blob: str
    size: int | None


class Repository:
    """Reads a repository through git's plumbing, which no configuration changes. A context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open = ExitStack()
        self._objects: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Repository:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _git(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start git; __exit__ ends what still runs."""
        process = self._open.enter_context(subprocess.Popen(
            ["git", "-C", str(self.folder), *arguments], stdout=subprocess.PIPE, **options))
        self._open.callback(process.kill)       # runs before the wait of the context above
        return process

    def output(self, *arguments: str) -> bytes:
        return subprocess.run(["git", "-C", str(self.folder), *arguments], check=True, stdout=subprocess.PIPE).stdout

    def commits(self) -> list[tuple[str, str | None]]:
        """(commit, its first parent) of HEAD's history, the oldest first."""
        lines = self.output("rev-list", "--first-parent", "--reverse", "--parents", "HEAD").decode().splitlines()
        return [(names[0], names[1] if len(names) > 1 else None) for names in map(str.split, lines)]

    def changes(self, commits: Iterable[tuple[str, str | None]]) -> Iterator[tuple[str, list[Change]]]:
        """(commit, what differs from its first parent) for each of the commits, in their order."""
        questions = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - closed by __exit__
        questions.writelines(f"{sha} {parent or ''}".strip().encode() + b"\n" for sha, parent in commits)
        questions.seek(0)
        process = self._git("diff-tree", "--stdin", "--always", "--root", "-r", "-z", "--raw", "--no-renames",
                            "--no-abbrev", "--no-ext-diff", stdin=questions)
        sha, found = None, []
        words = split_at_nul(process.stdout)
        for word in words:
            if not word.startswith(b":"):
                if sha is not None:
                    yield sha, found
                sha, found = word.decode().strip(), []
                continue
            old_mode, mode, _, blob, _ = word[1:].decode().split(" ")
            found.append(Change(os.fsdecode(next(words)), old_mode != GONE, mode, blob))
        if sha is not None:
            yield sha, found
        if process.wait():
            raise RuntimeError(f"git diff-tree failed on {self.folder}")

    def objects(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """(name, content) of each object, in their order."""
        if self._objects is None:
            self._objects = self._git("cat-file", "--batch", stdin=subprocess.PIPE)
        questions, answers = self._objects.stdin, self._objects.stdout
        for name in names:
            questions.write(f"{name}\n".encode())
            questions.flush()
            header = answers.readline().split()
            if len(header) != 3:
                raise RuntimeError(f"git has no object {name} in {self.folder} (a partial clone?)")
            data = answers.read(int(header[2]))
            answers.read(1)
            yield name, data

    def listing(self, commit: str) -> dict[str, Listed]:
        found = {}
        for line in self.output("ls-tree", "-r", "-l", "-z", "--full-tree", commit).split(b"\0")[:-1]:
            about, path = line.split(b"\t", 1)
            mode, _, blob, size = about.decode().split()
            found[os.fsdecode(path)] = Listed(mode, blob, None if size == "-" else int(size))
        return found


def split_at_nul(stream: Any) -> Iterator[bytes]:
    rest = b""
    while piece := stream.read1(2**20):
        *words, rest = (rest + piece).split(b"\0")
        yield from words
    if rest:
        yield rest


def read_commit(data: bytes) -> dict[str, Any]:
    """What we keep of a commit object. Old tools wrote odd ones: nothing in it may stop the load."""
    head, _, message = data.partition(b"\n\n")
    fields = dict(line.split(b" ", 1) for line in reversed(head.split(b"\n")) if b" " in line)
    encoding = fields.get(b"encoding", b"utf-8").decode("ascii", "replace")

    def text(value: bytes) -> str:
        try:
            return value.decode(encoding, "replace")
        except LookupError:
            return value.decode("utf-8", "replace")

    try:
        seconds = int(fields.get(b"committer", b"").rsplit(b" ", 2)[1])
    except (IndexError, ValueError):
        seconds = 0
    author = fields.get(b"author", b"").rpartition(b">")[0] + b">"
    return {"author": text(author), "message": text(message), "git_time": seconds}


def author_tag(author: str) -> str:
    """Whatever somebody has called himself, as a tag: without control characters, and not too long."""
    plain = "".join(character for character in author if character.isprintable())
    return "author:" + plain.encode("utf-8", "replace")[:900].decode("utf-8", "ignore")


def tags_of(data: bytes) -> list[str]:
    """The tags of a commit object."""
    head, _, _ = data.partition(b"\n\n")
    merges = sum(line.startswith(b"parent ") for line in head.split(b"\n")) > 1
    return [author_tag(read_commit(data)["author"]), *(["merge"] if merges else [])]


def moments(seconds: Iterable[int], now: int) -> list[int]:
    """Commit times in nanoseconds: strictly increasing, at least APART, and none later than now."""
    times = list(seconds)
    made, last = [], 0
    for number, time_s in enumerate(times):
        latest = now - (len(times) - number) * APART        # leaves room for all that come after
        time_ns = time_s * NANOSECONDS
        last = max(last + APART, time_ns if time_ns <= latest else 0)
        made.append(last)
    return made


def when(moment_ns: int) -> datetime:
    """A moment as a datetime: as an int, one of the first days of 1970 looks like a time in seconds or milliseconds."""
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=moment_ns // 1000)


# ---- load ----

class Loaded(NamedTuple):
    commits: int
    versions: int       # rows inserted or updated, of all tables
    deletes: int
    seconds: float


def load(engine: Engine, repository: Repository, console: Console) -> Loaded:
    history = repository.commits()
    commits = [{"number": number, "sha": sha, "tags": tags_of(data), **read_commit(data)}
               for number, (sha, data) in enumerate(repository.objects(sha for sha, _ in history), 1)]
    for commit, moment in zip(commits, moments([c["git_time"] for c in commits], time.time_ns()), strict=True):
        commit["moment"] = moment
    sizes: dict[str, int] = {}          # of all blobs stored so far
    versions = deletes = 0
    started = time.perf_counter()
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TimeRemainingColumn(), console=console)
    with bar:
        changes = repository.changes(history)
        pairs = zip(commits, changes, strict=True)
        for commit, (sha, changed) in bar.track(pairs, len(commits), description="commits"):
            if sha != commit["sha"]:
                raise RuntimeError(f"git answered {sha} where {commit['sha']} was asked for")
            with begin_at(engine, when(commit["moment"])) as connection, Session(connection) as session:
                if commit["number"] == 1:
                    Base.metadata.create_all(connection)    # the tables exist from the first commit on
                added, removed = store(session, repository, commit, changed, sizes)
            versions += added
            deletes += removed
    return Loaded(len(commits), versions, deletes, time.perf_counter() - started)


def store(session: Session, repository: Repository, commit: dict[str, Any], changed: list[Change],
          sizes: dict[str, int]) -> tuple[int, int]:
    """One commit in the session's transaction. -> rows inserted or updated, rows deleted."""
    session.execute(insert(Commit), [{name: value for name, value in commit.items() if name != "tags"}])
    session.execute(insert(Tag), [{"type": "commit", "entity": commit["number"], "tag": tag} for tag in commit["tags"]])
    # A dictionary keeps the order and drops what comes twice.
    new = list(dict.fromkeys(c.blob for c in changed if c.mode not in (GONE, GITLINK) and c.blob not in sizes))
    for batch in batches(repository.objects(new), BATCH_BYTES):
        session.execute(insert(Content), [{"blob": blob, "data": data} for blob, data in batch])
        sizes.update((blob, len(data)) for blob, data in batch)

    def rows(wanted: Callable[[Change], bool]) -> list[dict[str, Any]]:
        return [{"path": c.path, "mode": c.mode, "blob": c.blob, "size": None if c.mode == GITLINK else sizes[c.blob]}
                for c in changed if c.mode != GONE and wanted(c)]

    gone = [c.path for c in changed if c.mode == GONE]
    inserted, updated = rows(lambda c: not c.existed), rows(lambda c: c.existed)
    for first in range(0, len(gone), 500):      # SQL has a limit on parameters
        session.execute(delete(File).where(File.path.in_(gone[first:first + 500])),
                        execution_options={"synchronize_session": False})
    if inserted:
        session.execute(insert(File), inserted)
    if updated:
        session.execute(update(File), updated)  # by primary key
    return 1 + len(new) + len(inserted) + len(updated), len(gone)


def batches(pairs: Iterable[tuple[str, bytes]], most_bytes: int) -> Iterator[list[tuple[str, bytes]]]:
    batch: list[tuple[str, bytes]] = []
    held = 0
    for pair in pairs:
        batch.append(pair)
        held += len(pair[1])
        if held >= most_bytes:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


# ---- check: in a process of its own, from the file alone ----

def listed(session: Session) -> dict[str, Listed]:
    return {file.path: Listed(file.mode, file.blob, file.size) for file in session.scalars(select(File))}


def differences(is_: dict[str, Listed], should: dict[str, Listed]) -> list[str]:
    return [f"{path!r}: {is_.get(path)} in the database, {should.get(path)} in git"
            for path in sorted(is_.keys() | should.keys()) if is_.get(path) != should.get(path)]


class Told(NamedTuple):
    """What git says of all commits."""

    merges: set[str]
    authors: list[str]      # in the order of the commits


def told_by(repository: Repository) -> Told:
    merges = repository.output("rev-list", "--first-parent", "--merges", "HEAD").decode().split()
    objects = repository.objects(sha for sha, _ in repository.commits())
    return Told(set(merges), [read_commit(data)["author"] for _, data in objects])


def check_tags(past: Session, number: int, told: Told) -> list[str]:
    """What is wrong with the commits by tag, when there were so many."""
    by_tag = select(Commit.sha).order_by(Commit.number)
    wrong = []
    found = set(past.scalars(by_tag.where(tagged(Commit, "merge"))))
    known = set(past.scalars(select(Commit.sha)))
    if found != told.merges & known:
        wrong.append(f"{len(found)} merges, {len(told.merges & known)} in git")
    author = told.authors[number - 1]
    count = len(past.scalars(by_tag.where(tagged(Commit, exact_tag(author_tag(author))))).all())
    if count != sum(author_tag(other) == author_tag(author) for other in told.authors[:number]):
        wrong.append(f"{count} commits of {author!r}, another number in git")
    return wrong


def check_commit(engine: Engine, repository: Repository, commit: Commit, until: int, rng: random.Random,
                 told: Told) -> list[str]:
    """Everything that is wrong as of the commit; until: the last moment before the next one."""
    wrong = []
    should = repository.listing(commit.sha)
    with at(engine, when(commit.moment)) as past:
        wrong += differences(listed(past), should)
        last = past.scalars(select(Commit).order_by(Commit.number.desc()).limit(1)).one()
        if (last.number, last.sha) != (commit.number, commit.sha):
            wrong.append(f"the last commit is {last.number} {last.sha}")
        wrong += check_tags(past, commit.number, told)
        readable = [path for path, entry in should.items() if entry.mode != GITLINK]
        for path in rng.sample(readable, min(5, len(readable))):
            file = past.get(File, path)
            data = file.content.data if file is not None and file.content is not None else None
            if data != next(repository.objects([should[path].blob]))[1]:
                wrong.append(f"{path!r}: other contents than in git")
    with at(engine, when(until)) as past:
        wrong += [f"just before the next commit, {line}" for line in differences(listed(past), should)]
    return [f"as of commit {commit.number} ({commit.sha}): {line}" for line in wrong]


def check(engine: Engine, repository: Repository, checks: int, seed: int) -> dict[str, Any]:
    """-> what the parent process prints: errors and times."""
    rng = random.Random(seed)
    with Session(engine) as session:
        commits = session.scalars(select(Commit).order_by(Commit.number)).all()
    history = repository.commits()
    if [commit.sha for commit in commits] != [sha for sha, _ in history]:
        return {"errors": [f"{len(commits)} commits in the database, {len(history)} others in git"], "checked": 0,
                "listings": []}
    told = told_by(repository)
    # The ends are always among them.
    chosen = sorted({0, len(commits) - 1, *rng.sample(range(len(commits)), min(checks, len(commits)))})
    errors = []
    for index in chosen:
        until = commits[index + 1].moment - 1 if index + 1 < len(commits) else time.time_ns()
        errors += check_commit(engine, repository, commits[index], until, rng, told)
    places = {"early": len(commits) // 10, "middle": len(commits) // 2, "late": len(commits) * 9 // 10}
    return {
        "errors": errors,
        "checked": len(chosen),
        "listings": [*(time_listing(engine, name, commits[place]) for name, place in places.items()),
                     time_listing(engine, "now", None)],
    }


def time_listing(engine: Engine, name: str, commit: Commit | None) -> dict[str, Any]:
    query = select(File.path, File.mode, File.blob, File.size)
    best = None
    with engine.connect() as connection:
        for _ in range(7):
            started = time.perf_counter()
            rows = connection.execute(query, execution_options={"as_of": when(commit.moment) if commit else None}).all()
            best = min(time.perf_counter() - started, best or 1e9)
    return {"name": name, "commit": commit.number if commit else None, "rows": len(rows), "seconds": best}


# ---- command line ----

@click.command()
@click.argument("repository", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--database", type=click.Path(path_type=Path),
              help="A new file [default: one that is deleted at the end].")
@click.option("--checks", default=100, show_default=True, help="How many random commits to compare with git.")
@click.option("--seed", type=int, help="Chooses the commits [default: a random one, printed].")
@click.option("--check-only", is_flag=True, help="Check a database loaded before, and print the result as JSON.")
def main(repository: Path, database: Path | None, checks: int, seed: int | None, check_only: bool) -> None:
    """Load the history of REPOSITORY, a commit a transaction, and compare the past with what git says."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    if check_only:
        if database is None:
            raise click.UsageError("--check-only needs --database")
        with Repository(repository) as git:
            json.dump(check(create_engine(f"entitydb:///{database}"), git, checks, seed), sys.stdout)
        return
    console = Console()
    with ExitStack() as stack:
        if database is None:
            database = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="git-history-"))) / "history.edb"
        elif database.exists():
            raise click.UsageError(f"{database} exists; name a new file, or add --check-only")
        # A load that was cut off is begun anew, so no commit has to wait for the disk.
        engine = create_engine(f"entitydb:///{database}?synchronous=normal")
        with Repository(repository) as git:
            loaded = load(engine, git, Console(stderr=True))
        engine.dispose()
        console.print(f"checking {checks} commits in another process, seed {seed}", highlight=False)
        answer = subprocess.run(
            [sys.executable, __file__, str(repository), "--database", str(database), "--checks", str(checks),
             "--seed", str(seed), "--check-only"], stdout=subprocess.PIPE, check=True)
        report = json.loads(answer.stdout)
        console.print(table(loaded, report, database.stat().st_size))
    for line in report["errors"][:20]:
        click.echo(line.encode("utf-8", "backslashreplace"), err=True)
    if report["errors"]:
        raise click.ClickException(f"{len(report['errors'])} differences from git")


def table(loaded: Loaded, report: dict[str, Any], file_bytes: int) -> Table:
    made = Table("", "", show_header=False)
    made.columns[1].justify = "right"
    made.add_row("commits", f"{loaded.commits:,}")
    made.add_row("versions of rows", f"{loaded.versions:,}")
    made.add_row("deletes", f"{loaded.deletes:,}")
    made.add_row("seconds to load", f"{loaded.seconds:.1f}")
    made.add_row("file size", f"{file_bytes / 2**20:.1f} MiB", end_section=True)
    made.add_row("commits compared with git", f"{report['checked']:,}")
    made.add_row("differences", f"{len(report['errors']):,}", end_section=True)
    for listing in report["listings"]:
        when = listing["name"] if listing["commit"] is None else f"{listing['name']} (commit {listing['commit']:,})"
        made.add_row(f"all files, {when}", f"{listing['rows']:,} rows in {listing['seconds'] * 1e3:.2f} ms")
    return made


if __name__ == "__main__":
    main()
