"""Every statement of the corpus comes to what is written there, when it is new and when it is known.

A difference that is meant is made by record.py, and is then a part of the commit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .boundary import watched
from .corpus import FOLDER, played, read, write


@pytest.fixture(autouse=True)
def listening() -> Iterator[None]:
    with watched():
        yield


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.txt")))
def test_statements_come_to_what_is_written(name: str) -> None:
    group = read(FOLDER / name)
    differences = []
    for statement, answers in zip(group.statements, played(group), strict=True):
        for when, answer in zip(("new", "known"), answers, strict=False):
            if answer != statement.gives:
                wanted, found = "\n    ".join(statement.gives), "\n    ".join(answer)
                differences.append(f"{statement.sql}\n  wanted\n    {wanted}\n  {when}\n    {found}")
    assert not differences, f"{len(differences)} of {len(group.statements)}:\n" + "\n".join(differences[:10])


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.txt")))
def test_files_are_written_as_they_are_read(name: str, tmp_path: Path) -> None:
    write(tmp_path / name, read(FOLDER / name))
    assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()
