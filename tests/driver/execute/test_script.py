"""Scripts, of which INSERTs of constants are executed together: what comes of them is as in the sqlite3 module."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver
from entitydb_dialect.driver.execute import write

from ..asking import rows

Connect = Callable[..., driver.Connection]

SCHEMA = (
    "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT UNIQUE COLLATE NOCASE)",
    "CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p, n INT NOT NULL CHECK (n < 90), g AS (n * 2))",
    "CREATE INDEX c_part ON c(n) WHERE n > 5",
    "CREATE TABLE s(a INT, b TEXT) STRICT",
)  # fmt: skip
# Automatic ids are left out: those of rows that were refused are not given again here.
STATE = ("SELECT * FROM p ORDER BY id", "SELECT p, n, g FROM c ORDER BY 1, 2", "SELECT * FROM s ORDER BY 1, 2")


STRICT = ("NULL", "'x'", "x''", "1")  # the third is refused


def state(connection: Any) -> list[Any]:
    return [connection.execute(sql).fetchall() for sql in STATE]


def outcome(connection: Any, script: str) -> list[Any]:
    """What a script comes to: an error or none, whether a transaction is open, counts, and what is there."""
    before = connection.total_changes
    try:
        connection.executescript(script)
        failed = ""
    except (sqlite3.Error, driver.Error) as error:
        failed = f"{type(error).__name__}: {error}"
    found = [failed, connection.in_transaction, connection.total_changes - before]
    found += state(connection)
    connection.rollback()
    return [*found, state(connection)]


def random_insert(rng: random.Random) -> str:
    number = rng.choice(("NULL", "-3", "+4", "5.5", "'6'", "x'07'", str(rng.randrange(40))))
    return rng.choice((
        f"INSERT INTO p VALUES ({rng.randrange(60)}, 'name {rng.randrange(60)}')",
        f"INSERT INTO p(name, id) VALUES ('; {rng.randrange(999)}', {rng.randrange(60, 99)}), ('b', 0)",
        f"INSERT INTO c(p, n) VALUES ({rng.choice(('NULL', '1', '2', '77'))}, {rng.randrange(95)})",
        f"INSERT INTO c(n) VALUES ({number})",
        "INSERT INTO c VALUES (NULL, 1, 2)",
        "INSERT INTO c(n, g) VALUES (50, 3)",
        f"INSERT INTO s VALUES ({rng.randrange(9)}, {rng.choice(STRICT)})",
        "INSERT INTO nothing VALUES (1)",
        "INSERT INTO p VALUES ((SELECT max(id) FROM p) + 100, NULL)",
    ))  # fmt: skip


def random_script(rng: random.Random) -> str:
    statements = []
    for _ in range(rng.randrange(1, 9)):
        kind = random_insert(rng)
        alike = [random_insert(rng) for _ in range(30)]
        same = [one for one in alike if one.split("VALUES")[0] == kind.split("VALUES")[0]]
        saved = ["SAVEPOINT x", *same, "RELEASE x"]
        statements += rng.choice(([kind], [kind, *same], ["UPDATE c SET n = n + 1"], saved))
    begin = rng.choice(("BEGIN; ", "BEGIN; ", ""))
    return begin + ";\n".join(statements) + rng.choice((";", "", "; COMMIT", "; -- end"))


@pytest.mark.slow
@pytest.mark.parametrize("keys", ["ON", "OFF"])
def test_random_scripts_come_to_the_same(rng: random.Random, keys: str) -> None:
    for _ in range(40):
        sides: list[Any] = [driver.connect(), sqlite3.connect(":memory:")]
        for side in sides:
            side.execute(f"PRAGMA foreign_keys = {keys}")
            side.executescript(";".join(SCHEMA) + "; INSERT INTO p VALUES (1, 'one'), (2, 'two')")
        for _ in range(4):
            script = random_script(rng)
            ours, theirs = (outcome(side, script) for side in sides)
            if "generated column" in theirs[0] or "has 3 columns but" in theirs[0] or "INSERT INTO s" in script:
                ours[0], theirs[0] = bool(ours[0]), bool(theirs[0])
            assert ours == theirs, script
        assert sides[0].database.check()[0] == []
        for side in sides:
            side.close()


@pytest.mark.slow
def test_inserts_of_constants_are_one_statement_to_the_engine(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = connect()
    db.executescript(";".join(SCHEMA))
    begun = []

    def counted(*arguments: Any) -> Any:
        begun.append(arguments)
        return begin(*arguments)

    begin = write.begin_prepared
    monkeypatch.setattr(write, "begin_prepared", counted)
    inserts = ";".join(f"INSERT INTO p VALUES ({i}, 'n{i}')" for i in range(500))
    db.executescript(f"BEGIN; {inserts}; COMMIT")
    assert len(begun) == 1
    commits = db.last_commit[0]
    db.executescript(inserts.replace("VALUES (", "VALUES (1000 + ").replace("'n", "'m"))
    assert db.last_commit[0] - commits == 500, "outside of a transaction each is one by itself"
    assert rows(db, "SELECT count(*), max(id) FROM p") == [(1000, 1499)]
    assert db.total_changes == 1000


def test_one_that_fails_leaves_those_before_it(connect: Connect) -> None:
    db = connect()
    db.executescript(";".join(SCHEMA))
    inserts = [f"INSERT INTO p VALUES ({i % 70}, 'n{i}')" for i in range(100)]
    with pytest.raises(driver.IntegrityError, match=r"UNIQUE constraint failed: p\.id"):
        db.executescript("BEGIN;" + ";".join(inserts))
    assert db.in_transaction
    assert rows(db, "SELECT count(*), max(id) FROM p") == [(70, 69)]
    db.commit()
    assert rows(db, "SELECT count(*) FROM p") == [(70,)]
