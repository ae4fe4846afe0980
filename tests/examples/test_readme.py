"""What the README shows besides the quickstart runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from .conftest import EXAMPLES


def block_with(words: str) -> str:
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    (block,) = [b for b in re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL) if words in b]
    return str(block)


def test_a_conflict_is_run_again(tmp_path: Path) -> None:
    engine = create_engine(f"entitydb:///{tmp_path}/app.edb")
    names: dict[str, Any] = {"Session": Session, "engine": engine}
    exec(block_with("SerializationFailure"), names)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER)"))
        connection.execute(text("INSERT INTO t VALUES (1, 0)"))
    add = text("UPDATE t SET n = n + 1 WHERE id = 1")
    attempts = 0

    def work(session: Session) -> int:
        nonlocal attempts
        attempts += 1
        session.execute(add)
        if attempts < 3:  # somebody else is first
            with engine.begin() as connection:
                connection.execute(add)
        return attempts

    assert names["in_transaction"](work) == 3
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT n FROM t")) == 3
    assert (tmp_path / "app.edb-lock").exists()
