"""Makes the corpus anew: writes behind each statement what it comes to now. Then look at what `git diff` shows.

    python -m tests.driver.rewrite.record [FILE ...]

To add statements, write `sql:` lines (and `with:` lines) into a file of the corpus and run this; the format is told in
corpus.py. Without a file all are made anew.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .boundary import watched
from .corpus import FOLDER, played, read, write


def main(names: list[str]) -> None:
    for path in [Path(name) for name in names] or sorted(FOLDER.glob("*.txt")):
        group = read(path)
        with watched():
            answers = played(group)
        for statement, (first, *again) in zip(group.statements, answers, strict=True):
            if any(other != first for other in again):
                sys.exit(f"{path.name}: executed again it comes to something else: {statement.sql}")
            statement.gives = first
        write(path, group)


if __name__ == "__main__":
    main(sys.argv[1:])
