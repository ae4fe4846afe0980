"""Random histories of tags through SQL, compared with a model now, within transactions and at every past moment."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from entitydb_dialect import driver

from .model import State, random_node, text_of

TABLES = ["article", "person"]
# Quotes, blanks, colons, texts that begin each other; ones that are long for a page of 512 bytes.
TAGS = [
    "a", "a:", "a:b", "a:b:c", "ab", "status:live", "status:draft", "status:live again", 'say "hi"', "x & y", "*",
    "no(t)", "größe:ß", "größe:straße", "z" * 72, "long:" + "y" * 60, "\u2603",
    "rbac:perm:*",
]  # fmt: skip


def namespace_of(tag: str) -> str:
    return tag.partition(":")[0] if ":" in tag else ""


class History:
    """One database, changed at random, beside its model."""

    def __init__(self, db: driver.Connection, rng: random.Random) -> None:
        self.db, self.rng = db, rng
        self.now = State({name: {} for name in TABLES})
        self.past: list[tuple[int, State]] = []  # moment, state

    def row(self, table: str) -> int | None:
        return self.rng.choice(list(self.now.rows[table])) if self.now.rows[table] else None

    def insert(self, table: str) -> None:
        entity = self.rng.randrange(-5, 40)
        verb = "INSERT OR REPLACE" if entity in self.now.rows[table] else "INSERT"
        self.db.execute(f"{verb} INTO {table} VALUES (?, ?)", (entity, "v"))
        if entity in self.now.rows[table]:
            self.now.delete(table, entity)
        self.now.rows[table][entity] = "v"

    def delete(self, table: str) -> None:
        if self.rng.random() < 0.1:
            low = self.rng.randrange(40)
            self.db.execute(f"DELETE FROM {table} WHERE id >= ?", (low,))
            for entity in [e for e in self.now.rows[table] if e >= low]:
                self.now.delete(table, entity)
        elif (entity := self.row(table)) is not None:
            self.db.execute(f"DELETE FROM {table} WHERE id = ?", (entity,))
            self.now.delete(table, entity)

    def move(self, table: str) -> None:
        entity, new = self.row(table), self.rng.randrange(40, 60)
        if entity is not None and new not in self.now.rows[table]:
            self.db.execute(f"UPDATE {table} SET id = ? WHERE id = ?", (new, entity))
            self.now.move(table, entity, new)

    def change(self, table: str) -> None:
        self.db.execute(f"UPDATE {table} SET v = v || 'x'")

    def add(self, table: str) -> None:
        wanted = [(table, entity, self.rng.choice(TAGS)) for _ in range(4) if (entity := self.row(table)) is not None]
        cursor = self.db.cursor()
        cursor.executemany("INSERT INTO entitydb_tags(type, entity, tag) VALUES (?, ?, ?)", wanted)
        if wanted:
            assert cursor.rowcount == len(set(wanted) - self.now.tags)
        self.now.tags |= set(wanted)

    def remove(self, table: str) -> None:
        if self.rng.random() < 0.2:
            tag = self.rng.choice(TAGS)
            cursor = self.db.execute("DELETE FROM entitydb_tags WHERE tag = ?", (tag,))
            gone = {t for t in self.now.tags if t[2] == tag}
        else:
            entity = self.row(table)
            ns = self.rng.choice(["a", "status", "", "größe"])
            cursor = self.db.execute(
                "DELETE FROM entitydb_tags WHERE type = ? AND entity = ? AND namespace = ?", (table, entity, ns)
            )
            gone = {t for t in self.now.tags if t[:2] == (table, entity) and namespace_of(t[2]) == ns}
        assert cursor.rowcount == len(gone)
        self.now.tags -= gone

    def step(self) -> None:
        doing = self.rng.choice(
            [self.insert, self.insert, self.delete, self.move, self.change, self.add, self.add, self.remove]
        )
        doing(self.rng.choice(TABLES))

    def transaction(self) -> None:
        before = self.now.copy()
        for _ in range(self.rng.randrange(1, 6)):
            if self.rng.random() < 0.3:
                kept = self.now.copy()
                self.db.execute("SAVEPOINT s")
                self.step()
                self.step()
                if self.rng.random() < 0.5:
                    self.db.execute("ROLLBACK TO s")
                    self.now = kept
                self.db.execute("RELEASE s")
            else:
                self.step()
        if self.rng.random() < 0.3:
            self.compare(None, self.now)
        if self.rng.random() < 0.2:
            self.db.rollback()
            self.now = before
            return
        number = self.db.last_commit[0]
        self.db.commit()
        if self.db.last_commit[0] != number:
            self.past.append((self.db.last_commit[1], self.now.copy()))

    def compare(self, moment: int | None, state: State) -> None:
        """Answers at a moment (None: now) with those of the model."""
        cursor = self.db.cursor()
        cursor.as_of = moment

        def ask(sql: str, *parameters: Any) -> list[Any]:
            return cursor.execute(sql, parameters).fetchall()

        assert set(ask("SELECT type, entity, tag FROM entitydb_tags")) == state.tags
        assert len(ask("SELECT 1 FROM entitydb_tags")) == len(state.tags)
        table, tag = self.rng.choice(TABLES), self.rng.choice(TAGS)
        entity = self.rng.randrange(-5, 60)
        found = ask("SELECT tag FROM entitydb_tags WHERE type = ? AND entity = ?", table, entity)
        assert {t for (t,) in found} == state.of(table, entity)
        found = ask("SELECT type, entity FROM entitydb_tags WHERE tag = ?", tag)
        assert sorted(found) == sorted(t[:2] for t in state.tags if t[2] == tag)
        top = tag + "\uffff"
        found = ask("SELECT entity, tag FROM entitydb_tags WHERE type = ? AND tag >= ? AND tag < ?", table, tag, top)
        assert sorted(found) == sorted(t[1:] for t in state.tags if t[0] == table and tag <= t[2] < top)
        namespace = namespace_of(tag)
        value = tag[len(namespace) + 1 :] if namespace else tag
        found = ask("SELECT count(*) FROM entitydb_tags WHERE namespace = ? AND value = ?", namespace, value)
        assert found == [(len([t for t in state.tags if t[2] == tag]),)]
        for _ in range(3):
            node = random_node(self.rng, TAGS)
            text = text_of(node, self.rng)
            meant = [e for (e,) in ask("SELECT entity FROM entitydb_tagged(?, ?)", table, text)]
            assert meant == state.meant(table, node), text
        quoted = '"' + tag.replace('"', '""') + '"'
        joined = ask(
            f"SELECT id FROM {table} WHERE id IN (SELECT entity FROM entitydb_tagged(?, ?)) AND id > 3", table, quoted
        )
        assert sorted(joined) == sorted((e,) for e in state.rows[table] if e > 3 and tag in state.of(table, e))


@pytest.mark.parametrize("round_", range(4))
def test_tags_are_what_the_model_says_at_every_moment(
    connect: Callable[..., driver.Connection], rng: random.Random, round_: int
) -> None:
    db = connect(spill_bytes=rng.choice([1 << 26, 4096]))
    for name in TABLES:
        db.execute(f"CREATE TABLE {name}(id INTEGER PRIMARY KEY, v TEXT)")
    db.commit()
    history = History(db, rng)
    for _ in range(60):
        history.transaction()
    db.rollback()
    again = connect()
    for moment, state in history.past:
        history.db = rng.choice([db, again])
        history.compare(moment, state)
    history.db = again
    history.compare(None, history.now)
