"""The files that comments, docstrings and pages name.

A name counts when it looks like a file or a path: `page.h`, `engine/tree/page.h`, `tests/format/`. It must be the end
of the path of a file or folder of the repository; a * in it stands for any characters. What C includes and Python
imports is checked by their compilers, and a string in code is no comment.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

# What is looked at, below these folders and in the root itself.
ENDINGS = (".c", ".h", ".py", ".md", ".toml", ".ini", ".in")
FOLDERS = ("benchmarks", "docs", "engine", "entitydb_dialect", "examples", "migrations", "native", "tests")

# Endings of what the build leaves beside the sources.
BUILT = (".o", ".so")

# Names of files that are not ours, and of files that the build or the reader of a page makes.
OTHERS = {
    "entitydb_dialect/_native.abi3.so",  # of the build
    "env.py",  # of an Alembic environment
    "sqlite3.h",
    "sqlite3ext.h",
    "test/dialect/test_suite.py",  # of SQLAlchemy
}

_URL = re.compile(r"\w+://\S+")
_FILE = re.compile(r"(?<![\w./*-])(?:[\w.*-]+/)*[\w*.-]*[\w*]\.(?:c|h|py|md|toml|ini)\b(?![\w(]|\.\w)")
_FOLDER = re.compile(rf"(?<![\w./*-])(?:{'|'.join(FOLDERS)})/[\w*./-]*[\w*/]")


def _c_comments(text: str) -> Iterator[tuple[int, str]]:
    for match in re.finditer(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|(/\*.*?\*/|//[^\n]*)', text, re.DOTALL):
        if match[1]:
            yield text.count("\n", 0, match.start()) + 1, match[1]


def _python_comments(text: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def _hash_comments(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if "#" in line:
            yield number, line.partition("#")[2]


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """The texts for readers in a file, each with the number of its first line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".c", ".h"):
        yield from _c_comments(text)
    elif path.suffix == ".py":
        yield from _python_comments(text)
    elif path.suffix == ".md":
        yield 1, text
    else:
        yield from _hash_comments(text)


def names(comment: str) -> Iterator[tuple[int, str]]:
    """The files and folders that a text names, each with its line in the text."""
    plain = _URL.sub(lambda url: " " * len(url[0]), comment)
    for match in sorted([*_FILE.finditer(plain), *_FOLDER.finditer(plain)], key=re.Match.start):
        yield plain.count("\n", 0, match.start()), match[0].strip("/")


def files(root: Path) -> list[Path]:
    """The files of the repository, without what builds and runs leave: the same in a new clone and in a used one."""
    found = [path for path in root.iterdir() if path.is_file()]
    for folder in FOLDERS:
        found += [
            path for path in (root / folder).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in BUILT
        ]
    return sorted(found)


def _ends(paths: list[str]) -> set[str]:
    """All ends of paths and of their folders: "docs/format.md" ends in "format.md" and lies in "docs"."""
    found = set()
    for path in paths:
        parts = path.split("/")
        found |= {"/".join(parts[start:end]) for end in range(1, len(parts) + 1) for start in range(end)}
    return found


def dead_citations(root: Path) -> list[str]:
    """The names of files that no file has."""
    all_files = files(root)
    ends = _ends([str(path.relative_to(root)) for path in all_files])
    found = []
    for path in all_files:
        if path.suffix not in ENDINGS:
            continue
        for line, comment in comments(path):
            for down, name in names(comment):
                known = name in ends or name in OTHERS
                if not known and not ("*" in name and any(fnmatchcase(end, name) for end in ends)):
                    found.append(f"{path.relative_to(root)}:{line + down}: {name}")
    return list(dict.fromkeys(found))
