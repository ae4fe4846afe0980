"""What the README shows besides the quickstart runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from .conftest import EXAMPLES


def block_with(words: str) -> str:
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    (block,) = [b for b in re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL) if words in b]
    return str(block)


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


def test_a_conflict_is_run_again(tmp_path: Path) -> None:
    engine = create_engine(f"entitydb:///{tmp_path}/app.edb")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add(Account(id=1, balance=100))
        session.commit()
    take = text("UPDATE account SET balance = balance - 1 WHERE id = 1")
    attempts = 0

    class Slow(Session):
        def flush(self, objects: Any = None) -> None:
            nonlocal attempts
            if self.dirty:
                attempts += 1
                if attempts < 3:  # somebody else is first
                    with engine.begin() as connection:
                        connection.execute(take)
            super().flush(objects)

    exec(block_with("run_transaction"), {"Session": Slow, "engine": engine, "Account": Account})
    assert attempts == 3
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT balance FROM account")) == 88
    assert (tmp_path / "app.edb-lock").exists()
