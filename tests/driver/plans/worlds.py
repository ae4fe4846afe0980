"""Random tables of up to 3,000 rows, as planners meet them: giant tenants, columns that follow others, rare flags."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field, replace
from typing import Any

INT, TEXT, REAL = "INT", "TEXT", "REAL"
KINDS = {
    "id": (INT, "{k} times the row number"),
    "few": (INT, "uniform among {k} values"),
    "zipf": (INT, "value v with weight 1/v, v up to {k}"),
    "giant": (INT, "1 in 95 of 100 rows, else 2 to 40"),
    "flag": (INT, "0, but 1 in one row of a hundred"),
    "unique": (INT, "all different, in random order"),
    "ascending": (INT, "grows with the row number"),
    "follows": (INT, "decided by the column before it: divided by 8"),
    "refers": (INT, "ids of {other}, uniform"),
    "prefers": (INT, "ids of {other}, low ones often"),
    "code": (TEXT, "'c' and a number, all different"),
    "name": (TEXT, "one of {k} names"),
    "measure": (REAL, "uniform"),
}


@dataclass
class Column:
    name: str
    kind: str
    type: str
    collation: str = ""
    nulls: float = 0.0          # the part of rows that have NULL
    k: int = 1                  # distinct values, or what the kind needs
    other: str = ""             # the table referred to
    values: list[Any] = field(default_factory=list)
    known: list[Any] = field(default_factory=list)      # ascending, without NULL

    @property
    def about(self) -> str:
        nulls = f", NULL in {self.nulls:.0%}" if self.nulls else ""
        return f"{self.name}: {KINDS[self.kind][1].format(k=self.k, other=self.other)}{nulls}"


@dataclass
class Index:
    name: str
    columns: list[str]
    sql: str
    where: str = ""
    where_column: str = ""


@dataclass
class Table:
    name: str
    columns: list[Column]
    rows: list[tuple[Any, ...]]
    size: int
    shuffled: bool              # the rows are not inserted in the order of id
    key: str                    # "rowid": id is the row id; "plain": no key; "key": PRIMARY KEY (id) WITHOUT ROWID
    indexes: list[Index] = field(default_factory=list)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def sql(self) -> str:
        parts = [f"{c.name} {c.type}{f' COLLATE {c.collation}' if c.collation else ''}" for c in self.columns]
        if self.key == "rowid":
            parts[0] = "id INTEGER PRIMARY KEY"
        elif self.key == "key":
            parts.append("PRIMARY KEY (id)")
        return f"CREATE TABLE {self.name}({', '.join(parts)}){' WITHOUT ROWID' if self.key == 'key' else ''}"

    def insert(self) -> str:
        return f"INSERT INTO {self.name} VALUES({', '.join('?' * len(self.columns))})"

    def about(self) -> str:
        return f"-- {len(self.rows)} rows; {'; '.join(column.about for column in self.columns)}"


class World:
    """Tables, their rows, and what changes them later."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.tables: list[Table] = []
        for number in range(rng.choice((1, 2, 3, 3, 4))):
            self.tables.append(self._table(f"t{number}"))
        for table in self.tables:
            for number in range(rng.choice((0, 1, 1, 2, 3, 4))):
                made = self._index(table, number)
                if made.sql not in [index.sql for index in table.indexes]:
                    table.indexes.append(made)

    def table(self, name: str) -> Table:
        return next(table for table in self.tables if table.name == name)

    def schema(self) -> list[str]:
        return [table.sql() for table in self.tables] + [i.sql for table in self.tables for i in table.indexes]

    def again(self, rng: random.Random) -> World:
        """The same tables, filled anew."""
        other = copy.copy(self)
        other.rng, other.tables = rng, []
        for table in self.tables:
            columns = [replace(column, values=[], known=[]) for column in table.columns]
            rows = other._filled(columns, table.size, table.shuffled)
            other.tables.append(replace(table, columns=columns, rows=rows))
        return other

    # ---- tables ----

    def _table(self, name: str) -> Table:
        rng = self.rng
        columns = [Column("id", "id", INT, k=rng.choice((1, 1, 3)))]
        kinds = [kind for kind in KINDS if kind != "id"] + ["refers", "refers", "giant", "few"]
        for number in range(rng.randint(2, 6)):
            kind = rng.choice(kinds)
            if kind == "follows" and columns[-1].type != INT:
                kind = "few"
            if "refer" in kind and not self.tables:
                kind = "zipf"
            column = Column(f"{'abcdefg'[number]}_{kind}", kind, KINDS[kind][0], k=rng.choice((2, 5, 20, 100)))
            column.collation = rng.choice(("", "", "NOCASE")) if column.type == TEXT else ""
            column.nulls = rng.choice((0, 0, 0, 0.05, 0.5, 0.97))
            column.other = rng.choice(self.tables).name if "refer" in kind else ""
            columns.append(column)
        size, shuffled = round(100 * 30 ** rng.random()), rng.random() < 0.4
        rows = self._filled(columns, size, shuffled)
        return Table(name, columns, rows, size, shuffled, rng.choice(("rowid", "rowid", "rowid", "plain", "key")))

    def _filled(self, columns: list[Column], n: int, shuffled: bool) -> list[tuple[Any, ...]]:
        for i, column in enumerate(columns):
            values = self._values(column, n, columns[:i])
            if column.nulls:
                values = [None if self.rng.random() < column.nulls else value for value in values]
            column.values = values
            column.known = sorted(value for value in values if value is not None)
        rows = list(zip(*(column.values for column in columns), strict=True))
        if shuffled:
            self.rng.shuffle(rows)
        return rows

    def _values(self, column: Column, n: int, before: list[Column]) -> list[Any]:
        rng, k = self.rng, column.k
        if column.kind in ("refers", "prefers"):
            ids = self.table(column.other).columns[0].values
            low = 1 if column.kind == "refers" else 3
            return [ids[int(len(ids) * rng.random() ** low)] for _ in range(n)]
        if column.kind == "zipf":
            return rng.choices(range(1, k + 1), [1 / v for v in range(1, k + 1)], k=n)
        if column.kind == "unique":
            return rng.sample(range(n * 10), n)
        if column.kind == "follows":
            return [None if v is None else v // 8 for v in before[-1].values]
        names = ("Name {}", "name {}") if column.collation else ("name {}",)
        make = {
            "id": lambda i: (i + 1) * k,
            "few": lambda i: rng.randrange(k),
            "giant": lambda i: 1 if rng.random() < 0.95 else rng.randint(2, 40),
            "flag": lambda i: int(rng.random() < 0.01),
            "ascending": lambda i: i * 10 + rng.randrange(10),
            "code": lambda i: f"c{i * 7919 % 100_003}",
            "name": lambda i: rng.choice(names).format(rng.randrange(k)),
            "measure": lambda i: rng.random() * 1000,
        }[column.kind]
        return [make(i) for i in range(n)]

    # ---- indexes ----

    def _index(self, table: Table, number: int) -> Index:
        rng = self.rng
        others = table.columns[1:]
        chosen = rng.sample(others, min(len(others), rng.choice((1, 1, 2, 2, 3))))
        if rng.random() < 0.1:
            chosen.append(table.columns[0])
        parts = []
        for column in chosen:
            own = column.type == TEXT and rng.random() < 0.2
            collation = f" COLLATE {rng.choice(('NOCASE', 'BINARY'))}" if own else ""
            parts.append(column.name + collation + rng.choice(("", "", "", " DESC")))
        # NULLs never collide, so one column whose values all differ is enough.
        unique = "UNIQUE " if any(c.kind in ("unique", "code") for c in chosen) and rng.random() < 0.3 else ""
        name, where, where_column = f"{table.name}_{number}", "", ""
        if rng.random() < 0.15:
            column = rng.choice(table.columns[1:])
            where, where_column = self.narrow(column), column.name
        sql = f"CREATE {unique}INDEX {name} ON {table.name}({', '.join(parts)}){f' WHERE {where}' if where else ''}"
        return Index(name, [column.name for column in chosen], sql, where, where_column)

    def narrow(self, column: Column) -> str:
        rng = self.rng
        if column.type == INT and column.known and rng.random() < 0.6:
            return f"{column.name} {rng.choice(('=', '>', '<='))} {rng.choice(column.known)}"
        return f"{column.name} IS {rng.choice(('NOT NULL', 'NOT NULL', 'NULL'))}"

    # ---- changes ----

    def changes(self) -> list[tuple[str, list[tuple[Any, ...]]]]:
        """Statements with rows of parameters: rows go, half of them come back, others change in a column of no key."""
        rng = self.rng
        found: list[tuple[str, list[tuple[Any, ...]]]] = []
        for table in self.tables:
            ids = [(row[0],) for row in table.rows]
            gone = rng.sample(table.rows, len(ids) // rng.choice((3, 20)))
            found.append((f"DELETE FROM {table.name} WHERE id = ?", [row[:1] for row in gone]))
            found.append((table.insert(), gone[: len(gone) // 2]))
            plain = [c for c in table.columns[1:] if c.kind not in ("unique", "code")]
            if plain:
                column = rng.choice(plain)
                some = rng.sample(ids, len(ids) // rng.choice((2, 10)))
                found.append((f"UPDATE {table.name} SET {column.name} = ? WHERE id = ?",
                              [(rng.choice(column.values), *one) for one in some]))
        return found
