"""What docs/format.md says of tags is true: the reader made from it finds at every moment what SQL says."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from entitydb_dialect import driver

from .reader import File, tag_hash
from .test_reader import every_page_once

INSERT = "INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)"
# By the size of pages: tags as long as a key may be, and short ones that begin alike.
LONGEST = {512: 72, 8192: 1024}
REALS = [0.1 + 0.2, 1e15, -0.0, 1e400, 5e-324]
Tags = dict[tuple[str, int, str], int]


def as_text(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.15g}"
    return text if set(text) - set("-0123456789") else text + ".0"


class History:
    """A database changed at random, and what SQL said of its tags at each commit."""

    def __init__(self, path: Path, rng: random.Random, page_size: int) -> None:
        self.rng = rng
        self.db = driver.connect(path, page_size=page_size, synchronous="normal")
        longest = LONGEST[page_size]
        self.tags = ["a", "a:", "a:b", "größe:ß", "x" * longest, "n:" + "y" * (longest - 2), "ü" * (longest // 2)]
        self.tags += [f"n:{i}" for i in range(40)]
        self.said: dict[int, Tags] = {}

    def commit(self) -> None:
        before = self.db.last_commit[0]
        self.db.commit()
        number = self.db.last_commit[0]
        if number != before:
            rows = self.db.execute("SELECT type, entity, tag, since FROM entitydb_tags").fetchall()
            self.said[number] = {row[:3]: row[3] for row in rows}
            assert len(self.said[number]) == len(rows)
            self.db.rollback()

    def change(self, tables: list[str]) -> None:
        rng, table = self.rng, self.rng.choice(tables)
        ids = [id_ for (id_,) in self.db.execute(f"SELECT rowid FROM {table}").fetchall()]
        kind = rng.random()
        if kind < 0.35 or not ids:
            numbers = [None, 1, 1.0, 2**53 + 1, -0.5, "x", *(REALS if table == "one" else [])]
            values = rng.choice(["live", "dead", None, 7, 2.5, ""]), rng.choice(numbers)
            verb = rng.choice(["INSERT OR REPLACE INTO", "INSERT INTO"])
            low, high = (0, 30) if "REPLACE" in verb else (30, 10**6)
            if (id_ := rng.randrange(low, high)) not in ids or "REPLACE" in verb:
                self.db.execute(f"{verb} {table}(id, s, n) VALUES (?, ?, ?)", (id_, *values))
        elif kind < 0.7:
            given = [(table, rng.choice(ids), rng.choice(self.tags)) for _ in range(rng.choice((1, 20)))]
            self.db.executemany(INSERT, given)
        elif kind < 0.8:
            self.db.execute("DELETE FROM entitydb_tags WHERE type = ? AND entity = ? AND namespace IN ('', 'a', 'n')",
                            (table, rng.choice(ids)))
        elif kind < 0.85:
            self.db.execute(f"DELETE FROM {table} WHERE id IN (?, ?)", (rng.choice(ids), rng.choice(ids)))
        elif kind < 0.9:
            self.db.execute(f"UPDATE OR REPLACE {table} SET id = id + 1000000 WHERE id = ?", (rng.choice(ids),))
        else:
            values = rng.choice(["live", None]), rng.choice(ids)
            self.db.execute(f"UPDATE {table} SET s = ?, n = n + 1 WHERE id <= ?", values)


DEFINITIONS = {
    5: "CREATE TABLE two(id INTEGER PRIMARY KEY, s TEXT TAG 'state', n NUMERIC TAG 'number')",
    10: "ALTER TABLE one ALTER COLUMN s SET TAG 'state'",
    15: "ALTER TABLE one ALTER COLUMN n SET TAG 'real'",
    20: "ALTER TABLE two RENAME TO three",
    26: "ALTER TABLE one ADD COLUMN added TEXT DEFAULT 'new' TAG 'added'",
    30: "ALTER TABLE three ALTER COLUMN n DROP TAG",
    34: "ALTER TABLE three ALTER COLUMN n TYPE TEXT",
    38: "ALTER TABLE three ALTER COLUMN n SET TAG 'number'",
    44: "DROP TABLE three",
}


@pytest.mark.slow
@pytest.mark.parametrize("page_size", [512, 8192])
def test_tags_read_the_same_at_every_commit(tmp_path: Path, rng: random.Random, native: Any, page_size: int) -> None:
    path = tmp_path / "t.edb"
    history = History(path, rng, page_size)
    history.db.execute("CREATE TABLE one(id INTEGER PRIMARY KEY, s TEXT, n REAL)")
    history.db.execute("INSERT INTO one VALUES (1, 'live', 1)")
    history.commit()
    for step in range(55):
        if step in DEFINITIONS:
            history.db.execute(DEFINITIONS[step])
        tables = ["one", *(["two"] if 5 <= step < 20 else ["three"] if 20 <= step < 44 else [])]
        for _ in range(rng.randrange(1, 5)):
            history.change(tables)
        history.commit() if step in DEFINITIONS or rng.random() < 0.9 else history.db.rollback()
    history.db.close()

    file = File(path.read_bytes())
    times = file.times()
    assert set(history.said) == set(range(1, len(times)))
    for number, said in history.said.items():
        catalog = file.catalog(number)
        names = {table.id: table.name for table in catalog.values()}
        found = {(names[type_], entity, tag): times[begun] for (type_, entity, tag), begun in file.tags(number).items()}
        assert found == said, f"at {number}"
        for table in catalog.values():
            for place, column in enumerate(table.columns):
                if column.tag is not None:
                    head = f"{column.tag}:"
                    values = {id_: row[place] for id_, row in file.rows(table, number) if row[place] is not None}
                    wanted = {(id_, f"{head}{as_text(value)}") for id_, value in values.items()}
                    given = {(e, tag) for name, e, tag in said if name == table.name and tag.startswith(head)}
                    assert given == wanted, f"{table.name}.{column.name} at {number}"
    assert max(len(tag.encode()) for said in history.said.values() for _, _, tag in said) == LONGEST[page_size]
    every_page_once(file)


def test_a_file_without_tags_has_no_trees_for_them(tmp_path: Path, native: Any) -> None:
    path = tmp_path / "t.edb"
    with closing(driver.connect(path)) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
        db.execute("INSERT INTO t VALUES (1)")
        db.commit()
        before = db.last_commit[0]
        db.execute(INSERT, ("t", 1, "a"))
        db.commit()
    file = File(path.read_bytes())
    assert file.tag_trees(before) == file.tags(before) == {}
    assert {name: tree.born for name, tree in file.tag_trees().items()} == dict.fromkeys(
        ("tags", "tag names", "postings", "entities' tags"), before + 1
    )
    assert file.dictionary() == {tag_hash(b"a"): "a"}


@pytest.mark.slow
def test_ids_are_the_hash_or_the_next_number_that_is_free(tmp_path: Path, native: Any) -> None:
    """Of three texts one has the hash of another: found among 300,000."""
    seen: dict[int, str] = {}
    for i in range(300_000):
        text = f"t:{i}"
        if (other := seen.setdefault(tag_hash(text.encode()), text)) != text:
            break
    path = tmp_path / "t.edb"
    with closing(driver.connect(path)) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
        db.execute("INSERT INTO t VALUES (1)")
        db.executemany(INSERT, [("t", 1, text), ("t", 1, other), ("t", 1, "plain")])
        db.commit()
    assert File(path.read_bytes()).dictionary() == {
        tag_hash(text.encode()): text, tag_hash(text.encode()) + 1: other, tag_hash(b"plain"): "plain"
    }
