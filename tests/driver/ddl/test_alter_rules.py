"""ALTER TABLE beside constraints that are enforced: they follow renames, and what is left of them goes on holding."""

from __future__ import annotations

import pytest

from entitydb_dialect import driver


@pytest.fixture
def family(db: driver.Connection) -> driver.Connection:
    db.execute("CREATE TABLE p(id INTEGER PRIMARY KEY, k TEXT UNIQUE)")
    db.execute("CREATE TABLE c(id INTEGER PRIMARY KEY, k TEXT REFERENCES p(k) ON UPDATE CASCADE, n INT CHECK (n > 0))")
    db.execute("INSERT INTO p VALUES (1, 'a'), (2, 'b')")
    db.execute("INSERT INTO c VALUES (1, 'a', 1), (2, 'b', 2)")
    db.commit()
    return db


def test_a_check_follows_its_column(family: driver.Connection) -> None:
    family.execute("ALTER TABLE c RENAME COLUMN n TO number")
    family.commit()
    with pytest.raises(driver.IntegrityError, match="CHECK constraint failed"):
        family.execute("UPDATE c SET number = 0")
    family.execute("UPDATE c SET number = 7")
    family.commit()


def test_a_foreign_key_follows_both_tables(family: driver.Connection) -> None:
    family.execute("ALTER TABLE p RENAME TO parent")
    family.execute("ALTER TABLE parent RENAME COLUMN k TO word")
    family.execute("ALTER TABLE c RENAME COLUMN k TO parent_word")
    family.execute("ALTER TABLE c RENAME TO child")
    family.commit()
    with pytest.raises(driver.IntegrityError, match="FOREIGN KEY"):
        family.execute("INSERT INTO child VALUES (3, 'nobody', 1)")
    family.execute("UPDATE parent SET word = 'z' WHERE id = 1")
    family.commit()
    assert family.execute("SELECT parent_word FROM child ORDER BY id").fetchall() == [("z",), ("b",)]
    with pytest.raises(driver.IntegrityError, match="FOREIGN KEY"):
        family.execute("DELETE FROM parent")


def test_columns_before_it_may_go(family: driver.Connection) -> None:
    """Constraints name columns by position: those shift."""
    family.execute("CREATE TABLE w(x INT, y INT, z TEXT REFERENCES p(k), n INT CHECK (n > 0), UNIQUE (z, n))")
    family.execute("CREATE INDEX w_n ON w(n)")
    family.execute("INSERT INTO w VALUES (1, 2, 'a', 3)")
    family.execute("ALTER TABLE w DROP COLUMN x")
    family.execute("ALTER TABLE w DROP COLUMN y")
    family.commit()
    for sql, message in (
        ("INSERT INTO w VALUES ('nobody', 1)", "FOREIGN KEY"),
        ("INSERT INTO w VALUES ('a', 0)", "CHECK"),
        ("INSERT INTO w VALUES ('a', 3)", r"UNIQUE constraint failed: w\.z, w\.n"),
    ):
        with pytest.raises(driver.IntegrityError, match=message):
            family.execute(sql)
    assert family.execute("SELECT z FROM w WHERE n = 3").fetchall() == [("a",)]
    family.commit()


def test_upsert_and_returning_know_an_added_column(family: driver.Connection) -> None:
    family.execute("ALTER TABLE p ADD COLUMN extra INT NOT NULL DEFAULT 5")
    family.commit()
    rows = family.execute(
        "INSERT INTO p(id, k) VALUES (1, 'x'), (3, 'c') ON CONFLICT (id) DO UPDATE SET extra = extra + 1 RETURNING *"
    ).fetchall()
    assert sorted(map(tuple, rows)) == [(1, "a", 6), (3, "c", 5)]
    family.commit()


def test_foreign_keys_hold_before_and_after_a_new_type(family: driver.Connection) -> None:
    family.execute("CREATE TABLE q(id INTEGER PRIMARY KEY)")
    family.execute("INSERT INTO q VALUES (1)")
    family.execute("CREATE TABLE r(q TEXT)")
    family.execute("INSERT INTO r VALUES ('1')")
    family.execute("ALTER TABLE r ALTER COLUMN q TYPE INTEGER")
    family.execute("ALTER TABLE r ADD FOREIGN KEY (q) REFERENCES q")
    family.commit()
    with pytest.raises(driver.IntegrityError):
        family.execute("INSERT INTO r VALUES (2)")
