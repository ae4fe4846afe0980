"""Make a git repository whose history is hard to follow: input for the git example.

    python make_repository.py FOLDER [--commits 3000] [--seed 1] [--files 400]

The stream for `git fast-import` is drawn from a seed. In it happen: renames of files and folders, changes of mode,
deletes and re-creations of the same path, files that become folders and folders that become files, symbolic links,
submodules, empty and binary and large contents, contents seen before, paths with blanks, quotes, line ends and bytes
that are not UTF-8, merges, empty commits, commits of one second, and clocks that go backwards or far ahead.
"""

from __future__ import annotations

import argparse
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

MODES = (b"100644", b"100644", b"100644", b"100644", b"100755", b"120000")
NAMES = (
    b"README", b"main.c", b"data.bin", "größe.txt".encode(), "日本.md".encode(), b"latin-\xe4\xf6.txt", b"\xff\xfe",
    b"with blank.txt", b'"quoted".txt', b"back\\slash", b"line\nend", b"tab\there", b"percent%20",
    b"'; DROP TABLE file", b"-n", b".hidden", b"UPPER", b"upper", b"e\xcc\x81", b"\xc3\xa9",
)
FOLDERS = (b"", b"", b"src/", b"src/deep/er/", b"docs/", "Ordner mit ü/".encode(), b"raw-\x80/", b"README/")


def quoted(path: bytes) -> bytes:
    """A path as fast-import reads it back byte by byte."""
    plain = all(32 < byte < 127 and byte not in b'"\\' for byte in path)
    return path if plain else b'"' + b"".join(b"\\%03o" % byte for byte in path) + b'"'


class History:
    """Draws commits, and knows which paths exist in the one before."""

    def __init__(self, seed: int, files: int) -> None:
        self.random = random.Random(seed)
        self.most_files = files
        self.paths: dict[bytes, bytes] = {}     # path -> mode
        self.gone: list[bytes] = []
        self.contents: list[bytes] = [b"", b"\0", b"same in many files\n"]
        self.time = 1_100_000_000
        self.mark = 0

    def content(self, mode: bytes) -> bytes:
        draw = self.random.random()
        if mode == b"120000":
            return self.random.choice(NAMES)
        if draw < 0.25:
            return self.random.choice(self.contents)
        size = 200_000 if draw > 0.995 else self.random.choice((3, 80, 1_000, 9_000))
        made = self.random.randbytes(size) if draw < 0.5 else b"%d line\n" % self.random.randrange(10**6) * (size // 10)
        self.contents.append(made)
        return made

    def path(self) -> bytes:
        if self.gone and self.random.random() < 0.4:
            return self.random.choice(self.gone)
        stem = self.random.choice(FOLDERS) + self.random.choice(NAMES)
        return stem if self.random.random() < 0.2 else stem + b".%d" % self.random.randrange(self.most_files)

    def forget(self, path: bytes) -> None:
        """A path or everything below it is no longer there."""
        for known in [known for known in self.paths if known == path or known.startswith(path + b"/")]:
            del self.paths[known]
            self.gone.append(known)
        self.gone = self.gone[-200:]

    def put(self, path: bytes, mode: bytes, data: bytes) -> bytes:
        """One line of fast-import that makes the path what it says, above files and folders in its way too."""
        self.forget(path)
        parts = path.split(b"/")
        for depth in range(1, len(parts)):
            self.forget(b"/".join(parts[:depth]))
        self.paths[path] = mode
        if mode == b"160000":
            return b"M 160000 %s %s\n" % (data, quoted(path))
        return b"M %s inline %s\ndata %d\n%s\n" % (mode, quoted(path), len(data), data)

    def change(self) -> bytes:
        """One line of fast-import."""
        draw = self.random.random()
        known = self.random.choice(list(self.paths)) if self.paths else None
        if known is None or draw < (0.35 if len(self.paths) < self.most_files else 0.05):
            mode = self.random.choice(MODES)
            return self.put(self.path(), mode, self.content(mode))
        if draw < 0.60:
            mode = self.paths[known] if self.paths[known] != b"160000" else b"100644"
            return self.put(known, mode, self.content(mode))
        if draw < 0.68:
            mode = self.random.choice(MODES)
            return self.put(known, mode, self.content(mode))
        if draw < 0.71:
            return self.put(self.path(), b"160000", b"%040x" % self.random.randrange(1, 16**40))
        if draw < 0.78:
            folder = known.rpartition(b"/")[0] if draw < 0.72 else b""
            return self.delete(folder or known)
        if draw < 0.90:
            return self.rename(known)
        return self.delete(known)

    def delete(self, path: bytes) -> bytes:
        self.forget(path)
        return b"D %s\n" % quoted(path)

    def rename(self, old: bytes) -> bytes:
        new = self.path()
        if new == old or new.startswith(old + b"/") or old.startswith(new + b"/"):
            return self.delete(old)
        mode = self.paths[old]
        line = b"R %s %s\n" % (quoted(old), quoted(new))
        self.put(new, mode, b"")
        self.forget(old)
        return line

    def next_time(self) -> int:
        draw = self.random.random()
        if draw < 0.15:
            return self.time                                        # the same second
        if draw < 0.25:
            return max(0, self.time - self.random.randrange(10**7)) # a clock that is slow, or a rebased commit
        if draw < 0.252:
            return 4_000_000_000 + self.random.randrange(1000)      # a clock that is decades ahead
        self.time += self.random.randrange(1, 200_000)
        return self.time

    def commit(self, branch: bytes, changes: bytes, header: bytes = b"") -> bytes:
        """A commit to the branch; header: lines saying what it comes from."""
        self.mark += 1
        message = self.random.choice((b"", b"Change things\n", "Änderung №%d\n".encode() % self.mark, b"latin \xe4\n"))
        who = "Zoë Ñandú <zoe@example.org>".encode()
        return b"commit %s\nmark :%d\nauthor %s %d +0200\ncommitter %s %d -0730\ndata %d\n%s\n%s%s\n" % (
            branch, self.mark, who, self.time, who, self.next_time(), len(message), message, header, changes)

    def stream(self, commits: int) -> Iterator[bytes]:
        """`commits` commits in first-parent order, and some beside them that reach it by merges."""
        for number in range(commits):
            lines = b"".join(self.change() for _ in range(self.random.choice((0, 1, 1, 2, 3, 8))))
            if number and self.random.random() < 0.08:
                # What a merge brings is everything that differs from the first parent. The side commit starts from
                # there, so it may say D and R of the paths that exist.
                first = self.mark
                yield self.commit(b"refs/heads/side", lines, b"from :%d\n" % first)
                side = self.mark
                merged = self.put(self.path(), b"100644", self.content(b"100644"))
                # fast-import starts a merge from its first parent's tree: repeat what the side brought.
                yield self.commit(b"refs/heads/main", lines + merged, b"from :%d\nmerge :%d\n" % (first, side))
            else:
                yield self.commit(b"refs/heads/main", lines)
        yield b"done\n"


def make_repository(folder: Path, commits: int = 200, seed: int = 1, files: int = 100) -> Path:
    """A bare repository in the folder, which must not exist."""
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(folder)], check=True)
    importer = subprocess.Popen(["git", "-C", str(folder), "fast-import", "--quiet", "--done", "--force"],
                                stdin=subprocess.PIPE)
    assert importer.stdin is not None
    with importer.stdin as stream:
        for piece in History(seed, files).stream(commits):
            stream.write(piece)
    if importer.wait():
        raise RuntimeError(f"git fast-import failed on seed {seed} ({commits} commits, {files} files)")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--commits", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=400)
    arguments = parser.parse_args()
    print(make_repository(arguments.folder, arguments.commits, arguments.seed, arguments.files))


if __name__ == "__main__":
    main()
