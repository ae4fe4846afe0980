"""Several Databases of one file, and what each of them must see: a model for random histories.

A row is (value, tags). The model keeps the rows of every commit; a transaction has those of its moment (of the newest
commit at READ COMMITTED) under its own writes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from entitydb_dialect import _exceptions as ex

Rows = dict[int, tuple[str, frozenset[str]]]
Own = dict[int, "tuple[str, frozenset[str]] | None"]
REFUSED = (ex.SerializationFailure, ex.IntegrityError, ex.OperationalError)


class Store(Protocol):
    """What the world does with a Database, here or in another process."""

    def run(self, sql: str) -> Any: ...
    def put(self, rows: list[tuple[int, str]], tags: list[list[str]]) -> Any: ...
    def delete(self, ids: list[int]) -> Any: ...
    def get(self, ids: list[int], as_of: int | None) -> list[str | None]: ...
    def tagged(self, tag: str, as_of: int | None) -> list[int]: ...
    def tagged_many(self, expressions: list[str], as_of: int | None) -> list[list[int]]: ...
    def last_ns(self) -> int: ...


def under(rows: Rows, own: Own) -> Rows:
    """Rows with own writes over them."""
    merged = {**rows, **own}
    return {id_: row for id_, row in merged.items() if row is not None}


class Session:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.base: Rows | None = None       # of its transaction's moment; None: READ COMMITTED, or no transaction
        self.own: Own | None = None         # None: no transaction
        self.saved: Own | None = None       # at its savepoint


class World:
    """Args:
        spread: ids are drawn from so many; the fewer, the more often a row comes back.
    """

    def __init__(self, rng: random.Random, stores: Iterable[Store], spread: int) -> None:
        self.rng = rng
        self.sessions = [Session(store) for store in stores]
        self.ids = sorted({rng.choice([rng.randrange(spread), rng.randrange(-(2**40), 2**40)]) for _ in range(spread)})
        self.commits: list[tuple[int, Rows]] = []
        self.asked = {True: 0, False: 0}    # ids that were there, and that were not
        self.values = 0                     # no value comes twice, so that every put is a change

    @property
    def newest(self) -> Rows:
        return self.commits[-1][1]

    def committed(self, store: Store, rows: Rows) -> None:
        """A transaction that deletes again what it has put changes nothing, and is no commit."""
        if self.commits and rows == self.newest:
            return
        moment = store.last_ns()
        assert not self.commits or moment > self.commits[-1][0]
        self.commits.append((moment, rows))

    # ---- what is done

    def rows(self, n: int) -> Own:
        made: Own = {}
        for id_ in self.rng.sample(self.ids, min(n, len(self.ids))):
            self.values += 1
            made[id_] = f"v{self.values}", frozenset(self.rng.sample(TAGS, self.rng.randrange(3)))
        return made

    def write(self, session: Session) -> None:
        """Puts new rows, or deletes some; in a transaction, or as one."""
        seen = self.seen(session)
        if self.rng.random() < 0.3 and seen:
            change: Own = dict.fromkeys(self.rng.sample(sorted(seen), self.rng.randint(1, min(8, len(seen)))))
        else:
            # Rows that are there keep their tags: a put changes the columns that are given, and adds tags.
            change = {id_: (row[0], row[1] | seen.get(id_, ("", frozenset()))[1])
                      for id_, row in self.rows(self.rng.choice([1, 3, 20, 150])).items() if row is not None}
        try:
            if None in change.values():
                session.store.delete(list(change))
            else:
                session.store.put([(id_, row[0]) for id_, row in change.items() if row],
                                  [sorted(row[1]) for row in change.values() if row])
        except REFUSED:
            if session.own is None:
                raise
            self.end(session, commit=False)
            return
        if session.own is None:
            self.committed(session.store, under(self.newest, change))
        else:
            session.own.update(change)

    def begin(self, session: Session) -> None:
        level = self.rng.choice(["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
        session.store.run(f"level {level}")
        session.store.run("BEGIN")
        session.store.get([], None)         # fixes the moment
        session.base = None if level == "READ COMMITTED" else dict(self.newest)
        session.own, session.saved = {}, None

    def end(self, session: Session, *, commit: bool) -> None:
        own, session.own, session.base = session.own, None, None
        try:
            session.store.run("COMMIT" if commit else "ROLLBACK")
        except ex.SerializationFailure:     # nothing of it is left
            commit = False
        session.store.run("level none")
        if commit and own:
            rows = under(self.newest, own)
            self.committed(session.store, rows)

    def savepoint(self, session: Session) -> None:
        assert session.own is not None
        if session.saved is None:
            session.store.run("SAVEPOINT s")
            session.saved = dict(session.own)
        else:
            session.store.run("ROLLBACK TO s")
            session.own = dict(session.saved)

    # ---- what is seen

    def seen(self, session: Session) -> Rows:
        if session.own is None:
            return self.newest
        return under(self.newest if session.base is None else session.base, session.own)

    def look(self, session: Session) -> None:
        as_of, rows = None, self.seen(session)
        if self.rng.random() < 0.3:
            as_of, rows = self.rng.choice(self.commits)
        ids = self.rng.choices([*self.ids, *range(2**41, 2**41 + len(self.ids))], k=self.rng.choice([1, 5, 60]))
        if self.rng.random() < 0.3:
            ids.sort()
        found = session.store.get(ids, as_of)
        expected = [rows[id_][0] if id_ in rows else None for id_ in ids]
        wrong = [row for row in zip(ids, found, expected, strict=True) if row[1] != row[2]]
        assert not wrong, as_of
        for value in expected:
            self.asked[value is not None] += 1
        if as_of is None and session.own and session.base is None:
            return      # of a row that it has written, tags that others have given meanwhile are seen beside its own
        tags = self.rng.choices([*TAGS, *ABSENT], k=6)
        having = [sorted(id_ for id_, row in rows.items() if tag in row[1]) for tag in tags]
        assert session.store.tagged(tags[0], as_of) == having[0], tags[0]
        either = f"{tags[1]} | {tags[2]}", sorted({*having[1], *having[2]})
        assert session.store.tagged_many([*tags, either[0]], as_of) == [*having, either[1]], (tags, as_of)

    def drop(self) -> None:
        """Another table in the place of the one there is; the moments before are not asked about any more."""
        store = self.rng.choice(self.sessions).store
        store.run("DROP TABLE t")
        store.run("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)")
        self.commits = [(store.last_ns(), {})]

    def step(self) -> None:
        if self.rng.random() < 0.02 and all(session.own is None for session in self.sessions):
            self.drop()
        session = self.rng.choice(self.sessions)
        steps: list[Callable[[], None]] = [lambda: self.write(session)] * 3
        if session.own is None:
            steps.append(lambda: self.begin(session))
        else:
            steps += [lambda: self.savepoint(session), lambda: self.end(session, commit=True),
                      lambda: self.end(session, commit=False)]
        self.rng.choice(steps)()
        for other in {session, self.rng.choice(self.sessions)}:
            self.look(other)


TAGS = [f"kind:{n}" for n in range(40)]
ABSENT = [f"other:{n}" for n in range(20)]

__all__ = ["Rows", "Session", "Store", "World"]
