"""CHECK and FOREIGN KEY constraints: against plain SQLite, between two connections, and in history."""

from __future__ import annotations

import random
from collections.abc import Callable

import apsw
import pytest

from entitydb_dialect import driver

ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
NAMES = ("a", "b", "c", "d")


class Miscounted(Exception):
    """SQLite let a violation pass, or saw one where there is none."""


class Both:
    """Runs everything here and in plain SQLite with its foreign keys on; outcomes must be the same."""

    def __init__(self, db: driver.Connection) -> None:
        self.db = db
        db.isolation_level = None
        self.sqlite = apsw.Connection(":memory:")
        self.sqlite.execute("PRAGMA foreign_keys = ON")
        self.tables: list[str] = []
        self.log: list[str] = []

    def run(self, sql: str) -> str | None:
        self.log.append(sql)
        ours = theirs = None
        try:
            self.db.execute(sql).fetchall()
        except driver.Error as error:
            ours = str(error)
        try:
            self.sqlite.execute(sql).fetchall()
        except apsw.Error as error:
            theirs = str(error)
        failed = "FOREIGN KEY constraint failed"
        if ours != theirs and {ours, theirs} == {failed, None}:
            # SQLite counts violations instead of looking, and REPLACE can make it miscount: it is its own judge then.
            dangling = bool(self.sqlite.execute("PRAGMA foreign_key_check").fetchall())
            assert dangling is (ours is not None), "\n".join(self.log)
            raise Miscounted
        assert ours == theirs, "\n".join(self.log[-40:])
        assert self.db.in_transaction == self.sqlite.in_transaction, "\n".join(self.log[-40:])
        return ours

    def same(self) -> None:
        for table in self.tables:
            sql = f"SELECT * FROM {table} ORDER BY rowid"
            assert self.db.execute(sql).fetchall() == self.sqlite.execute(sql).fetchall(), "\n".join(self.log[-40:])


@pytest.fixture
def both(db: driver.Connection) -> Both:
    return Both(db)


@pytest.fixture
def db(connect: Callable[..., driver.Connection]) -> driver.Connection:
    return connect()


def random_schema(both: Both, rng: random.Random) -> dict[str, list[str]]:
    """Tables with keys of one and two columns, of every action, to tables made before and after and to themselves."""
    columns = {}
    for name in NAMES:
        collation = rng.choice(("", " COLLATE NOCASE"))
        parts = ["id INTEGER PRIMARY KEY", f"k TEXT{collation} UNIQUE", "x INT", "y INT", "UNIQUE(x, y)"]
        columns[name] = ["id", "k", "x", "y"]
        keys = []
        for i in range(rng.randrange(3)):
            to = rng.choice(NAMES)
            shape = rng.choice(("id", "k", "xy", "primary"))
            actions = f" ON DELETE {rng.choice(ACTIONS)} ON UPDATE {rng.choice(ACTIONS)}"
            actions += rng.choice(("", "", " DEFERRABLE INITIALLY DEFERRED"))
            if shape == "xy":
                default = rng.choice(("", " DEFAULT 1"))
                parts[-1:-1] = [f"f{i} INT{default}", f"g{i} INT{default}"]
                keys.append(f"FOREIGN KEY (f{i}, g{i}) REFERENCES {to}(x, y){actions}")
                columns[name] += [f"f{i}", f"g{i}"]
            else:
                type_ = "TEXT" if shape == "k" else "INT"
                target = {"id": "(id)", "k": "(k)", "primary": ""}[shape]
                check = rng.choice(("", "", f" CHECK (f{i} <> 3)"))
                parts[-1:-1] = [f"f{i} {type_} DEFAULT 1{check}"]
                keys.append(f"FOREIGN KEY (f{i}) REFERENCES {to}{target}{actions}")
                columns[name].append(f"f{i}")
        both.run(f"CREATE TABLE {name}({', '.join(parts + keys)})")
        both.tables.append(name)
        if rng.random() < 0.5 and "f0" in columns[name]:
            both.run(f"CREATE INDEX {name}_f0 ON {name}(f0)")
    return columns


def random_value(rng: random.Random, column: str) -> str:
    if rng.random() < 0.15 and column != "id":
        return "NULL"
    if column == "k":
        return rng.choice(("'1'", "'2'", "'a'", "'A'", "'b'", "'3'"))
    return str(rng.randrange(1, 5))


def random_change(rng: random.Random, columns: dict[str, list[str]]) -> str:
    table = rng.choice(NAMES)
    named = columns[table]
    kind = rng.random()
    if kind < 0.5:
        chosen = rng.sample(named, rng.randrange(1, len(named) + 1))
        rows = ", ".join(
            "(" + ", ".join(random_value(rng, c) for c in chosen) + ")" for _ in range(rng.choice((1, 1, 2, 3)))
        )
        verb = rng.choice(("INSERT", "INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"))
        if "id" not in chosen:      # ids that SQLite would use again are given
            chosen = ["id", *chosen]
            rows = ", ".join(f"({rng.randrange(1, 9)}, {row.strip('(), ')})" for row in rows.split("), ("))
        return f"{verb} INTO {table}({', '.join(chosen)}) VALUES {rows}"
    where = rng.choice((f"WHERE id = {rng.randrange(1, 6)}", f"WHERE {rng.choice(named)} = {rng.randrange(1, 5)}", ""))
    if kind < 0.8:
        column = rng.choice(named)
        value = rng.choice((random_value(rng, column), random_value(rng, column), f"{column} + 1"))
        return f"UPDATE {table} SET {column} = {value} {where}"
    return f"DELETE FROM {table} {where}"


@pytest.mark.slow
@pytest.mark.parametrize("number", range(25))
def test_random_changes_end_as_in_sqlite(both: Both, rng: random.Random, number: int) -> None:
    columns = random_schema(both, rng)
    for _ in range(60):
        try:
            step_once(both, rng, columns)
        except Miscounted:
            return
        both.same()


def step_once(both: Both, rng: random.Random, columns: dict[str, list[str]]) -> None:
    step = rng.random()
    if step < 0.06 and not both.sqlite.in_transaction:
        both.run("BEGIN")
    elif step < 0.12 and both.sqlite.in_transaction:
        if both.run("COMMIT"):
            both.run("ROLLBACK")    # a deferred key: SQLite keeps the transaction too
    elif step < 0.14 and both.sqlite.in_transaction:
        both.run("PRAGMA defer_foreign_keys = ON")
    else:
        both.run(random_change(rng, columns))


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1, 0, 'x')",
        "INSERT INTO t VALUES (1, 5, 'bad')",
        "INSERT INTO t VALUES (1, NULL, NULL)",
        "INSERT INTO t VALUES (1, '7', 'x'), (2, -1, 'x')",
        "INSERT OR IGNORE INTO t VALUES (1, 7, 'x'), (2, -1, 'x'), (3, 8, 'BAD')",
        "INSERT OR REPLACE INTO t VALUES (1, -7, 'x')",
        "INSERT INTO t(id, a) VALUES (NULL, -1)",
        "INSERT INTO t VALUES (-1, 5, 'x')",
        "INSERT INTO t VALUES (1, 5, 'a'); UPDATE t SET a = -a; UPDATE t SET id = -1; UPDATE t SET b = 'Bad'",
    ],
)
def test_checks_end_as_in_sqlite(both: Both, sql: str) -> None:
    both.tables.append("t")
    both.run(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a INT CONSTRAINT positive CHECK (a > 0),"
        " b TEXT COLLATE NOCASE CHECK (b <> 'bad'), CHECK (id >= 0 AND typeof(a) IN ('integer', 'null')))"
    )
    for one in sql.split("; "):
        both.run(one)
        both.same()


@pytest.mark.parametrize(
    "check",
    ["random() > 0", "a > (SELECT 1)", "a > ?", "CURRENT_TIMESTAMP > a", "date('now') > a", "mine(a)", "b > 0"],
)
def test_checks_that_would_not_stay_true_are_refused(db: driver.Connection, check: str) -> None:
    db.create_function("mine", 1, lambda x: True, deterministic=True)
    with pytest.raises(driver.Error):
        db.execute(f"CREATE TABLE t(a, CHECK ({check}))")
    assert "t" not in db.catalog()


def family(db: driver.Connection, on_delete: str = "NO ACTION", more: str = "") -> None:
    db.execute("CREATE TABLE p(id INTEGER PRIMARY KEY, k TEXT UNIQUE)")
    db.execute(f"CREATE TABLE c(id INTEGER PRIMARY KEY, p INT REFERENCES p ON DELETE {on_delete} {more})")
    db.execute("INSERT INTO p VALUES (1, 'one'), (2, 'two')")
    db.commit()


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("child_first", [False, True])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_child_and_the_end_of_its_parent_cannot_both_commit(
    connect: Callable[..., driver.Connection], action: str, child_first: bool, indexed: bool
) -> None:
    one, two = connect(), connect()
    family(one, action)
    if indexed:
        one.execute("CREATE INDEX c_p ON c(p)")
        one.commit()
    for db in (one, two):
        db.execute("SELECT * FROM p").fetchall()
    one.execute("INSERT INTO c VALUES (1, 1)")
    two.execute("DELETE FROM p WHERE id = 1")
    first, second = (one, two) if child_first else (two, one)
    first.commit()
    with pytest.raises(driver.SerializationFailure):
        second.commit()
    rows = one.execute("SELECT c.id, p.id FROM c LEFT JOIN p ON p.id = c.p").fetchall()
    assert rows == ([(1, 1)] if child_first else [])


def test_unrelated_families_commit_side_by_side(connect: Callable[..., driver.Connection]) -> None:
    one, two = connect(), connect()
    family(one)
    one.execute("INSERT INTO c VALUES (1, 1)")
    two.execute("DELETE FROM p WHERE id = 2")
    one.commit()
    two.commit()


def test_a_parent_inserted_by_another_is_not_seen_before_its_commit(connect: Callable[..., driver.Connection]) -> None:
    one, two = connect(), connect()
    family(one)
    one.execute("INSERT INTO p VALUES (3, 'three')")
    with pytest.raises(driver.IntegrityError, match=r"^FOREIGN KEY constraint failed$"):
        two.execute("INSERT INTO c VALUES (1, 3)")
    two.rollback()
    one.commit()
    two.execute("INSERT INTO c VALUES (1, 3)")
    two.commit()


def test_a_failed_statement_leaves_the_transaction_and_nothing_of_itself(db: driver.Connection) -> None:
    family(db, "CASCADE")
    db.execute("INSERT INTO c VALUES (1, 1)")
    with pytest.raises(driver.IntegrityError):
        db.execute("INSERT INTO c VALUES (2, 2), (3, 9)")
    assert db.in_transaction
    db.commit()
    assert db.execute("SELECT * FROM c").fetchall() == [(1, 1)]


def test_a_deferred_key_can_be_mended_after_a_refused_commit(db: driver.Connection) -> None:
    family(db, more="DEFERRABLE INITIALLY DEFERRED")
    db.execute("INSERT INTO c VALUES (1, 9)")
    with pytest.raises(driver.IntegrityError, match=r"^FOREIGN KEY constraint failed$"):
        db.commit()
    assert db.in_transaction
    db.execute("INSERT INTO p VALUES (9, 'nine')")
    db.commit()
    assert db.execute("SELECT * FROM c").fetchall() == [(1, 9)]


def test_cascades_are_part_of_the_same_commit(db: driver.Connection) -> None:
    family(db, "CASCADE")
    db.execute("INSERT INTO c VALUES (1, 1), (2, 1), (3, 2)")
    db.commit()
    number, before = db.last_commit
    assert db.execute("DELETE FROM p WHERE id = 1").rowcount == 1       # direct rows alone
    db.commit()
    assert db.last_commit[0] == number + 1
    assert db.execute("SELECT id FROM c").fetchall() == [(3,)]
    db.commit()
    past = db.cursor()
    past.as_of = before
    assert past.execute("SELECT id FROM c").fetchall() == [(1,), (2,), (3,)]


def test_foreign_keys_hold_at_every_past_moment(db: driver.Connection, rng: random.Random) -> None:
    db.isolation_level = None
    db.execute("CREATE TABLE p(id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE c(id INTEGER PRIMARY KEY, p INT REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE)")
    moments = []
    for _ in range(120):
        sql = rng.choice((
            "INSERT OR IGNORE INTO p VALUES (?1)", "INSERT OR REPLACE INTO c VALUES (?1, ?2)",
            "DELETE FROM p WHERE id = ?1", "UPDATE OR IGNORE p SET id = ?1 WHERE id = ?2",
        ))
        values = (rng.randrange(8), rng.randrange(8))
        try:
            db.execute(sql, values[: 2 if "?2" in sql else 1])
        except driver.IntegrityError:
            pass
        moments.append(db.last_commit[1])
    for moment in moments:
        cursor = db.cursor()
        cursor.as_of = moment
        assert cursor.execute("SELECT * FROM c WHERE p NOT IN (SELECT id FROM p)").fetchall() == []


def test_dropping_a_parent_acts_and_fails_as_in_sqlite(both: Both) -> None:
    for action in ("CASCADE", "SET NULL", "NO ACTION", "RESTRICT"):
        both.tables = ["c"]
        both.run("CREATE TABLE p(id INTEGER PRIMARY KEY)")
        both.run(f"CREATE TABLE c(id INTEGER PRIMARY KEY, p INT REFERENCES p ON DELETE {action})")
        both.run("INSERT INTO p VALUES (1), (2)")
        both.run("INSERT INTO c VALUES (1, 1), (2, NULL)")
        both.run("DROP TABLE p")
        both.same()
        both.run("DROP TABLE c")
        both.run("DROP TABLE IF EXISTS p")


def test_long_chains_end_with_an_error_not_a_crash(db: driver.Connection) -> None:
    db.execute("CREATE TABLE n(id INTEGER PRIMARY KEY, up INT REFERENCES n ON DELETE CASCADE)")
    db.execute("CREATE INDEX n_up ON n(up)")
    db.executemany("INSERT INTO n VALUES (?, ?)", [(i, i - 1 if i else None) for i in range(1500)])
    db.commit()
    with pytest.raises(driver.OperationalError, match="too many levels of trigger recursion"):
        db.execute("DELETE FROM n WHERE id = 0")
    db.rollback()
    db.execute("DELETE FROM n WHERE id = 900")
    assert db.execute("SELECT count(*) FROM n").fetchone() == (900,)


def test_foreign_keys_are_a_matter_of_the_connection(connect: Callable[..., driver.Connection]) -> None:
    one, two = connect(), connect()
    family(one)
    assert one.execute("PRAGMA foreign_keys").fetchall() == [(1,)]
    one.execute("PRAGMA foreign_keys = OFF")
    one.execute("INSERT INTO c VALUES (1, 9)")
    one.execute("PRAGMA foreign_keys = ON")         # does nothing inside a transaction
    one.execute("INSERT INTO c VALUES (2, 9)")
    one.commit()
    with pytest.raises(driver.IntegrityError):
        two.execute("INSERT INTO c VALUES (3, 9)")


@pytest.mark.parametrize(
    ("parent", "reference"),
    [("p(a)", "p(a)"), ("p(a, b, PRIMARY KEY(a, b))", "p"), ("p(a UNIQUE)", "p(b)"), ("q(a)", "p(a)")],
)
def test_a_key_that_fits_nothing_says_so(both: Both, parent: str, reference: str) -> None:
    both.tables = ["c"]
    both.run(f"CREATE TABLE {parent}")
    both.run(f"CREATE TABLE c(x REFERENCES {reference})")
    assert both.run("INSERT INTO c VALUES (1)")
    assert both.run("INSERT INTO c VALUES (NULL)")
    both.same()


def test_values_match_under_the_parents_affinity_and_collation(both: Both) -> None:
    both.tables = ["p", "c"]
    both.run("CREATE TABLE p(k TEXT COLLATE NOCASE PRIMARY KEY, n REAL UNIQUE)")
    both.run("CREATE TABLE c(k TEXT REFERENCES p ON DELETE CASCADE, i INT REFERENCES p(k), n INT REFERENCES p(n))")
    both.run("INSERT INTO p VALUES ('Abc', 1), ('12', 2.5)")
    for values in ("'aBC', NULL, 1", "'abd', NULL, NULL", "NULL, 12, NULL", "NULL, 13, NULL", "NULL, NULL, 2.5"):
        both.run(f"INSERT INTO c VALUES ({values})")
        both.same()
    for sql in ("UPDATE p SET k = 'ABC' WHERE k = 'abc'", "DELETE FROM p WHERE k = '12'", "DELETE FROM p"):
        both.run(sql)
        both.same()


def test_foreign_key_check_finds_what_came_in_while_keys_were_off(both: Both) -> None:
    both.run("CREATE TABLE p(a INT, b TEXT COLLATE NOCASE, PRIMARY KEY(a, b))")
    both.run("CREATE TABLE c(id INTEGER PRIMARY KEY, a INT, b TEXT, FOREIGN KEY (a, b) REFERENCES p)")
    both.run("PRAGMA foreign_keys = OFF")
    both.run("INSERT INTO p VALUES (1, 'x')")
    both.run("INSERT INTO c VALUES (1, 1, 'X'), (2, 1, 'y'), (3, NULL, 'y'), (4, 2, 'x')")
    for sql in ("PRAGMA foreign_key_check", "PRAGMA foreign_key_check(c)", "PRAGMA foreign_key_check(p)"):
        assert both.db.execute(sql).fetchall() == both.sqlite.execute(sql).fetchall()
    both.run("PRAGMA foreign_keys = ON")
    assert both.run("INSERT INTO c VALUES (5, 2, 'x')") == "FOREIGN KEY constraint failed"


def test_random_transactions_beside_each_other_leave_nothing_dangling(
    connect: Callable[..., driver.Connection], rng: random.Random
) -> None:
    connections = [connect() for _ in range(3)]
    first = connections[0]
    first.execute("CREATE TABLE p(id INTEGER PRIMARY KEY, k TEXT UNIQUE)")
    first.execute("CREATE TABLE c(id INTEGER PRIMARY KEY, p INT REFERENCES p ON DELETE SET NULL ON UPDATE CASCADE)")
    first.execute("CREATE TABLE d(id INTEGER PRIMARY KEY, k TEXT REFERENCES p(k) DEFERRABLE INITIALLY DEFERRED)")
    first.execute("CREATE INDEX d_k ON d(k)")
    first.commit()
    changes = (
        "INSERT OR REPLACE INTO p VALUES (:a, :k)", "INSERT INTO c VALUES (:b, :a)", "INSERT INTO d VALUES (:b, :k)",
        "DELETE FROM p WHERE id = :a", "DELETE FROM d WHERE id = :b", "UPDATE p SET id = :b WHERE id = :a",
        "UPDATE p SET k = :k WHERE id = :a", "UPDATE c SET p = :a WHERE id = :b",
    )
    lost, moments, steps = 0, [], 0
    while steps < 400 or not lost:  # some seeds have no conflict among so few
        steps += 1
        db = rng.choice(connections)
        try:
            if rng.random() < 0.3:
                db.commit()
                moments.append(db.last_commit[1])
            else:
                db.execute(rng.choice(changes), {"a": rng.randrange(5), "b": rng.randrange(9), "k": rng.choice("xyz")})
        except (driver.SerializationFailure, driver.IntegrityError) as error:
            lost += isinstance(error, driver.SerializationFailure)
            db.rollback()
    for db in connections:
        db.rollback()
    for moment in {*moments} - {0}:
        cursor = connections[0].cursor()
        cursor.as_of = moment
        assert cursor.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_table_may_refer_to_itself_by_the_same_columns_in_another_order(both: Both) -> None:
    """One unique index finds the parent and the children then, each by its own columns."""
    both.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y, UNIQUE (x, y), FOREIGN KEY (y, x) REFERENCES t(x, y))")
    both.tables = ["t"]
    assert both.run("INSERT INTO t VALUES (1, 1, 2)") == "FOREIGN KEY constraint failed"
    assert both.run("INSERT INTO t VALUES (1, 1, 2), (2, 2, 1), (3, 3, 3)") is None
    assert both.run("DELETE FROM t WHERE id = 1") == "FOREIGN KEY constraint failed"
    assert both.run("UPDATE t SET x = 5 WHERE id = 2") == "FOREIGN KEY constraint failed"
    both.same()


@pytest.mark.parametrize("action", ["RESTRICT", "CASCADE", "SET NULL"])
@pytest.mark.parametrize("clause", ["OR IGNORE", "OR FAIL", "OR ROLLBACK"])
def test_what_fails_behind_a_row_aborts_whatever_the_or_clause_says(both: Both, clause: str, action: str) -> None:
    """The clause is for the row's own constraints, not for its children's."""
    both.run("CREATE TABLE p(id INTEGER PRIMARY KEY, u UNIQUE)")
    both.run(f"CREATE TABLE c(id INTEGER PRIMARY KEY, p NOT NULL CHECK (p <> 9) REFERENCES p(u) ON UPDATE {action})")
    both.run("INSERT INTO p VALUES (1, 5), (2, 6), (3, 7)")
    both.run("INSERT INTO c VALUES (1, 6)")
    both.tables = ["p", "c"]
    both.run("BEGIN")
    both.run("INSERT INTO p VALUES (4, 10)")
    assert both.run(f"UPDATE {clause} p SET u = CASE id WHEN 2 THEN 9 ELSE u + 20 END") is not None
    both.same()
    assert both.db.in_transaction
    both.run("COMMIT")
    both.same()


@pytest.mark.parametrize("returning", ["", " RETURNING id"])
def test_or_fail_keeps_rows_only_when_their_foreign_keys_hold(both: Both, returning: str) -> None:
    both.run("CREATE TABLE p(id INTEGER PRIMARY KEY)")
    both.run("CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p)")
    both.run("INSERT INTO p VALUES (1)")
    both.tables = ["p", "c"]
    wanted = "FOREIGN KEY constraint failed"
    assert both.run(f"INSERT OR FAIL INTO c VALUES (1, 7), (1, 1){returning}") == wanted
    assert both.run(f"INSERT OR FAIL INTO c VALUES (1, 1), (1, 1){returning}") == "UNIQUE constraint failed: c.id"
    both.same()


@pytest.mark.parametrize("returning", ["", " RETURNING id"])
def test_a_deferred_key_in_autocommit_leaves_no_transaction_open(both: Both, returning: str) -> None:
    both.run("CREATE TABLE p(id INTEGER PRIMARY KEY)")
    both.run("CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p DEFERRABLE INITIALLY DEFERRED)")
    both.tables = ["p", "c"]
    assert both.run(f"INSERT INTO c VALUES (1, 7){returning}") == "FOREIGN KEY constraint failed"
    both.same()


@pytest.mark.parametrize("parent", ["TEXT", "INTEGER", "REAL", "BLOB", "TEXT COLLATE NOCASE"])
@pytest.mark.parametrize("child", ["", "TEXT", "INTEGER", "NUMERIC"])
def test_foreign_key_check_compares_as_the_key_does(both: Both, parent: str, child: str) -> None:
    """Under the parent's affinity and collation, whatever the child's column is."""
    both.run(f"CREATE TABLE p(x {parent} UNIQUE)")
    both.run(f"CREATE TABLE c(id INTEGER PRIMARY KEY, y {child} COLLATE RTRIM REFERENCES p(x))")
    both.run("INSERT INTO p VALUES ('1'), ('a'), (2.0), (x'62')")
    for i, value in enumerate(("1", "'1'", "1.0", "'A'", "'a '", "'2'", "2", "'b'", "x'62'", "9")):
        both.run(f"INSERT INTO c VALUES ({i}, {value})")
    assert both.db.execute("PRAGMA foreign_key_check").fetchall() == []


SELF = "CREATE TABLE t(id INTEGER PRIMARY KEY, p REFERENCES t(id) ON DELETE {}, u UNIQUE)"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE OR REPLACE t SET u = 2 WHERE id = 1", "UPDATE OR REPLACE t SET id = 2 WHERE id = 1",
        "UPDATE OR REPLACE t SET u = 2, p = 99 WHERE id = 1", "UPDATE OR REPLACE t SET u = 2, p = NULL WHERE id = 1",
        "UPDATE OR REPLACE t SET u = 2, p = 4 WHERE id IN (1, 3)", "UPDATE OR REPLACE t SET u = 4, id = 2 WHERE id = 1",
        "UPDATE OR REPLACE t SET u = 2 WHERE id = 1 RETURNING id, u",
    ],
)  # fmt: skip
def test_a_row_that_goes_with_the_one_it_replaces_does_not_come_back(both: Both, sql: str) -> None:
    """Row 1 is a child of row 2, which is in its way."""
    both.tables = ["t"]
    both.run(SELF.format("CASCADE"))
    both.run("CREATE INDEX tp ON t(p)")
    both.run("INSERT INTO t VALUES (2, NULL, 2), (1, 2, 1), (3, NULL, 3), (4, NULL, 4)")
    cursor = both.db.cursor()
    found = cursor.execute(sql).fetchall()
    wanted = both.sqlite.execute(sql).fetchall()
    assert (found, cursor.rowcount) == (wanted, both.sqlite.changes())
    both.same()


@pytest.mark.parametrize("action", ["SET NULL", "SET DEFAULT"])
@pytest.mark.parametrize("indexed", [False, True])
def test_a_row_that_is_changed_by_what_it_replaces_is_refused(
    db: driver.Connection, action: str, indexed: bool
) -> None:
    """It would refer to a row that is not there. SQLite lets it, and then the index lacks the row."""
    db.execute(SELF.format(action).replace("p REF", "p DEFAULT 3 REF"))
    if indexed:
        db.execute("CREATE INDEX tp ON t(p)")
    db.execute("INSERT INTO t VALUES (2, NULL, 2), (1, 2, 1), (3, NULL, 3)")
    db.commit()
    before = db.execute("SELECT * FROM t ORDER BY id").fetchall()
    for change in ("u = 2", "id = 2", "u = 2, p = 3"):
        with pytest.raises(driver.IntegrityError, match="FOREIGN KEY constraint failed"):
            db.execute(f"UPDATE OR REPLACE t SET {change} WHERE id = 1")
        assert db.execute("SELECT * FROM t ORDER BY id").fetchall() == before
    db.execute("UPDATE OR REPLACE t SET u = 2 WHERE id = 3")   # no child of it: row 1 is changed, and row 3 is not
    parent = None if action == "SET NULL" else 3
    assert db.execute("SELECT * FROM t ORDER BY id").fetchall() == [(1, parent, 1), (3, None, 2)]
    db.commit()
