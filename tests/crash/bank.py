"""A database in which something must hold after every commit: money moves between two tables and never gets lost.

    debit, credit   accounts; the sum of all balances is constant; credit has an index on its balances
    transfer        what was moved, by whom, as which of his transfers: the sum of its amounts is what debit lacks

Each transaction with a transfer says who made it, and as which: what is said is there if and only if the transfer is.

Tags say of each transfer which accounts it is of, and by whom it was: an account lacks what its transfers moved. Of the
transfers of an account one, the last, has the tag that says so, which it takes from the one before.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entitydb_dialect import driver

ACCOUNTS, BALANCE = 12, 1000
TAG = "INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)"
TOTAL = 2 * ACCOUNTS * BALANCE


def open_bank(path: Path, **options: object) -> driver.Connection:
    return driver.connect(path, page_size=1024, timeout=20.0, **options)  # type: ignore[arg-type]


def make_bank(path: Path, **options: object) -> None:
    db = open_bank(path, **options)
    db.execute("CREATE TABLE debit(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)")
    db.execute("CREATE TABLE credit(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)")
    db.execute("CREATE INDEX credit_balance ON credit(balance)")
    db.execute("CREATE TABLE transfer(id INTEGER PRIMARY KEY, who INTEGER TAG 'who', nth INTEGER, amount INTEGER, "
               "note TEXT, UNIQUE (who, nth))")
    for table in ("debit", "credit"):
        db.executemany(f"INSERT INTO {table} VALUES (?, ?)", [(i, BALANCE) for i in range(ACCOUNTS)])
        db.executemany(TAG, [(table, i, "account") for i in range(ACCOUNTS)])
    db.execute("SELECT entitydb_transaction_info(json_object('actor', 'founder'))")
    db.commit()
    db.close()


def enter(db: driver.Connection, debit: int, credit: int, row: tuple[int, int, int, str]) -> None:
    """A transfer's row and its tags. What is last of an account conflicts as the account's balance does."""
    id_ = db.execute("INSERT INTO transfer(who, nth, amount, note) VALUES (?, ?, ?, ?)", row).lastrowid
    db.execute("SELECT entitydb_transaction_info(json_object('actor', 'teller ' || ?, 'nth', ?))", row[:2])
    last = f"last:{debit}"
    db.execute("DELETE FROM entitydb_tags WHERE type = 'transfer' AND tag = ?", (last,))
    db.executemany(TAG, [("transfer", id_, tag) for tag in (f"debit:{debit}", f"credit:{credit}", last)])


def transfer(db: driver.Connection, rng: random.Random, who: int, nth: int) -> None:
    """One transfer, repeated until nobody was faster. Its note is sometimes long, so that pages are allocated."""
    while True:
        try:
            amount, one, two = rng.randrange(1, 50), rng.randrange(ACCOUNTS), rng.randrange(ACCOUNTS)
            db.execute("UPDATE debit SET balance = balance - ? WHERE id = ?", (amount, one))
            db.execute("UPDATE credit SET balance = balance + ? WHERE id = ?", (amount, two))
            note = "n" * rng.choice((0, 5, 40, 3000))
            enter(db, one, two, (who, nth, amount, note))
            db.commit()
            return
        except driver.SerializationFailure:
            db.rollback()


def audit(db: driver.Connection, as_of: int | None = None) -> int:
    """Demands what must hold at a moment. -> transfers there."""
    cursor = db.cursor()
    cursor.as_of = as_of

    def ask(sql: str) -> list[tuple[int, ...]]:
        return cursor.execute(sql).fetchall()

    ((total, debits, moved, count),) = ask(
        "SELECT (SELECT sum(balance) FROM debit) + (SELECT sum(balance) FROM credit), "
        "(SELECT sum(balance) FROM debit), "
        "(SELECT coalesce(sum(amount), 0) FROM transfer), (SELECT count(*) FROM transfer)"
    )
    assert total == TOTAL, f"{total - TOTAL} appeared"
    assert debits == TOTAL // 2 - moved
    by_index = ask("SELECT balance, id FROM credit WHERE balance > -1000000000 ORDER BY balance, id")
    assert by_index == sorted(ask("SELECT balance, id FROM credit"))
    assert len(by_index) == ACCOUNTS
    audit_tags(ask)
    said = ask("SELECT CAST(substr(actor, 8) AS INTEGER), metadata ->> 'nth' FROM entitydb_transactions "
               "WHERE actor GLOB 'teller *'")
    assert sorted(said) == sorted(ask("SELECT who, nth FROM transfer WHERE who >= 0"))
    one = ask("SELECT metadata ->> 'nth' FROM entitydb_transactions WHERE actor = 'teller 0'")
    assert sorted(one) == sorted(ask("SELECT nth FROM transfer WHERE who = 0"))
    return count


def audit_tags(ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
    for table, sign in (("debit", -1), ("credit", 1)):
        moved = ask(
            "SELECT CAST(g.value AS INTEGER), sum(t.amount) FROM entitydb_tags g JOIN transfer t ON t.id = g.entity "
            f"WHERE g.type = 'transfer' AND g.namespace = '{table}' GROUP BY 1"
        )
        balances = dict(ask(f"SELECT id, balance FROM {table}"))
        assert balances == {i: BALANCE + sign * dict(moved).get(i, 0) for i in range(ACCOUNTS)}
        assert ask(f"SELECT entity FROM entitydb_tagged('{table}', 'account')") == [(i,) for i in range(ACCOUNTS)]
    ((many, one_each),) = ask(
        "SELECT count(*), count(DISTINCT tag) FROM entitydb_tags WHERE type = 'transfer' AND namespace = 'last'"
    )
    moving = ask("SELECT count(DISTINCT tag) FROM entitydb_tags WHERE type = 'transfer' AND namespace = 'debit'")
    assert [(many,)] == [(one_each,)] == moving
    declared = "SELECT entity, CAST(value AS INTEGER) FROM entitydb_tags WHERE type = 'transfer' AND namespace = 'who'"
    assert sorted(ask(declared)) == sorted(ask("SELECT id, who FROM transfer"))


def transfers(db: driver.Connection) -> dict[int, set[int]]:
    """Which transfers of whom are there."""
    found: dict[int, set[int]] = {}
    for who, nth in db.execute("SELECT who, nth FROM transfer"):
        found.setdefault(who, set()).add(nth)
    return found


def check_clean(path: Path) -> None:
    database = driver.Database(path)
    try:
        assert database.check()[0] == []
    finally:
        database.close()
