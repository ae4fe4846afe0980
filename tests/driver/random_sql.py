"""Random schemas, changes and queries that mean one thing only, so that two databases must agree about them.

Left out is what SQL leaves open: rows in no order, which of several matching rows an UPDATE ... FROM takes, in which
order rows are changed where that shows (rows are found by plain scans, or by their key alone), and ids drawn by the
database, which SQLite uses again and EntityDB does not.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

TYPES = ("INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", "", "VARCHAR(10)", "BOOLEAN", "FLOATING POINT", "BIGINT")
STRICT = ("INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY")
ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
BEYOND_REAL = "9007199254740993"  # 2 ** 53 + 1
LITERALS = (
    *("NULL", "0", "1", "2", "3", "4", "-1", "7", "'1'", "'2'", "'03'", "'a'", "'A'", "'b'", "'b '", "''", "'1.0'"),
    *("2.0", "2.5", "-0.0", "1e20", "'1e2'", "x'61'", "x''", BEYOND_REAL, "' 3'", "'ab'", "'ß'"),
)
DEFAULTS = ("NULL", "1", "-2", "'d'", "2.5", "(1 + 1)", "(lower('X'))", "x'00'", "'3'", "TRUE", "(NULL)")


@dataclass
class Column:
    name: str
    type: str
    collation: str = ""
    not_null: bool = False
    default: str = ""
    check: str = ""
    generated: str = ""                             # its expression
    stored: bool = False


@dataclass
class Table:
    name: str
    columns: list[Column]
    key: list[str]                                  # the primary key; empty: none
    rowid: str = ""                                 # the column that is the row id
    without_rowid: bool = False
    strict: bool = False
    unique: list[list[str]] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Of the columns that are written to."""
        return [column.name for column in self.columns if not column.generated]

    @property
    def readable(self) -> list[str]:
        return [column.name for column in self.columns]

    def sql(self) -> str:
        parts = []
        for column in self.columns:
            text = f"{column.name} {column.type}"
            if column.name == self.rowid:
                parts.append(f"{column.name} INTEGER PRIMARY KEY")
                continue
            text += f" COLLATE {column.collation}" if column.collation else ""
            text += " NOT NULL" if column.not_null else ""
            text += f" DEFAULT {column.default}" if column.default else ""
            text += f" CHECK ({column.check})" if column.check else ""
            text += f" AS ({column.generated}) {'STORED' if column.stored else ''}" if column.generated else ""
            parts.append(text)
        if self.key and not self.rowid:
            parts.append(f"PRIMARY KEY ({', '.join(self.key)})")
        parts += [f"UNIQUE ({', '.join(columns)})" for columns in self.unique]
        parts += [f"CONSTRAINT rule{i} CHECK ({check})" for i, check in enumerate(self.checks)]
        parts += self.foreign
        options = [word for word, on in (("STRICT", self.strict), ("WITHOUT ROWID", self.without_rowid)) if on]
        return f"CREATE TABLE {self.name}({', '.join(parts)}) {', '.join(options)}".rstrip()


class Maker:
    """Makes statements over tables of its own."""

    def __init__(self, rng: random.Random, tables: int = 3, *, foreign: bool = False) -> None:
        self.rng = rng
        self.foreign = foreign
        self.tables: list[Table] = []
        for i in range(tables):
            self.tables.append(self._table(f"t{i}"))
        if foreign:
            for table in self.tables:
                self._refer(table)

    def schema(self) -> list[str]:
        found = [table.sql() for table in self.tables]
        for table in self.tables:
            for i in range(self.rng.choice((0, 0, 1, 2))):
                columns = self.rng.sample(table.readable, self.rng.randint(1, 2))
                terms = [self.term(c) if self.rng.random() < 0.3 else c for c in columns]
                parts = ", ".join(f"{c} {self.rng.choice(('', 'DESC', 'COLLATE NOCASE', 'COLLATE RTRIM'))}".rstrip()
                                  for c in terms)
                unique = self.rng.choice(("", "", "UNIQUE "))
                where = f" WHERE {self.proof(self.rng.choice(table.readable))}" if self.rng.random() < 0.3 else ""
                found.append(f"CREATE {unique}INDEX {table.name}_i{i} ON {table.name}({parts}){where}")
        return found

    def term(self, name: str) -> str:
        """An expression that indexes and queries have in common."""
        return self.rng.choice((f"lower({name})", f"{name} || ''", f"length({name})", f"abs({name})", f"({name} + 1)"))

    def proof(self, name: str) -> str:
        """A condition that partial indexes and queries have in common."""
        return f"{name} " + self.rng.choice(("IS NOT NULL", "= 1", "> 1", "IS NULL", "<> 'a'"))

    # ---- schema ----

    def _table(self, name: str) -> Table:
        rng = self.rng
        strict = rng.random() < 0.2
        columns = []
        for i in range(rng.randint(2, 5)):
            column = Column(f"c{i}", rng.choice(STRICT if strict else TYPES))
            column.collation = rng.choice(("", "", "", "NOCASE", "RTRIM", "BINARY"))
            column.not_null = rng.random() < 0.25
            column.default = rng.choice(DEFAULTS) if rng.random() < 0.4 and not strict else ""
            if rng.random() < 0.15:
                column.check = rng.choice((f"c{i} <> 3", f"c{i} IS NOT 'b'", f"length(c{i}) < 3"))
            columns.append(column)
        table = Table(name, columns, [], strict=strict)
        shape = rng.randrange(6)
        if shape <= 1:
            table.rowid = "c0"
            columns[0] = Column("c0", "INTEGER")
            table.key = ["c0"]
        elif shape <= 3:
            table.key = rng.sample(table.names, rng.randint(1, 2))
            if len(table.key) == 1 and table.columns[int(table.key[0][1])].type.upper() in ("INTEGER", "INT", "BIGINT"):
                table.columns[int(table.key[0][1])].type = "TEXT"      # else it is the row id, here also as BIGINT
            table.without_rowid = rng.random() < 0.4
        for i in range(len(columns), len(columns) + rng.choice((0, 0, 0, 1, 2))):
            names = table.names
            forms = ("{} || 'g'", "length({})", "coalesce({}, 7)", "{}", "upper({})", "{} IS NULL")
            text = rng.choice(forms).format(rng.choice(names))
            kind = "ANY" if strict else rng.choice(("", "TEXT", "INTEGER", "NUMERIC"))
            collation, stored = rng.choice(("", "", "NOCASE")), rng.random() < 0.5
            columns.append(Column(f"c{i}", kind, collation, generated=text, stored=stored))
        for _ in range(rng.choice((0, 1, 1, 2))):
            table.unique.append(rng.sample(table.names, rng.randint(1, 2)))
        if rng.random() < 0.2:
            table.checks.append(rng.choice(("c0 IS NOT c1", "c0 < 5 OR c1 > 0", "typeof(c1) <> 'blob'")))
        return table

    def _refer(self, table: Table) -> None:
        rng = self.rng
        parent = rng.choice(self.tables)
        target = rng.choice([u for u in [*parent.unique, parent.key] if u] or [[]])
        if not target or len(target) > len(table.names) or parent.strict != table.strict:
            return
        columns = rng.sample(table.names, len(target))
        # SQLite looks for the children with other conversions than for the parent, where their types differ.
        for column, other in self._pairs(table, columns, parent, target):
            if column.name not in (*table.key, table.rowid):
                column.type, column.collation = other.type, other.collation
        if any((a.type, a.collation) != (b.type, b.collation) for a, b in self._pairs(table, columns, parent, target)):
            return
        actions = f"ON DELETE {rng.choice(ACTIONS)} ON UPDATE {rng.choice(ACTIONS)}"
        deferred = rng.choice(("", "", " DEFERRABLE INITIALLY DEFERRED"))
        table.foreign.append(f"FOREIGN KEY ({', '.join(columns)}) REFERENCES {parent.name}({', '.join(target)}) "
                             f"{actions}{deferred}")

    @staticmethod
    def _pairs(table: Table, columns: list[str], parent: Table, target: list[str]) -> list[tuple[Column, Column]]:
        child, parents = ({c.name: c for c in t.columns} for t in (table, parent))
        return [(child[a], parents[b]) for a, b in zip(columns, target, strict=True)]

    # ---- expressions ----

    def literal(self) -> str:
        found = self.rng.choice(LITERALS)
        # Whether SQLite finds the parent of an integer that no REAL equals depends on how it stored the parent's REAL.
        return "7" if self.foreign and found == BEYOND_REAL else found

    def expression(self, names: list[str], depth: int = 2) -> str:
        rng = self.rng
        if depth == 0 or rng.random() < 0.3:
            return rng.choice(names) if names and rng.random() < 0.7 else self.literal()
        one, two = (self.expression(names, depth - 1) for _ in range(2))
        return rng.choice((
            *(f"{one} {sign} {two}" for sign in ("+", "-", "||", "*")),
            f"coalesce({one}, {two})", f"CASE WHEN {one} < {two} THEN {one} ELSE {two} END", f"typeof({one})",
            f"length({one})", f"CAST({one} AS {rng.choice(('INTEGER', 'TEXT', 'REAL', 'NUMERIC', 'BLOB'))})",
            f"nullif({one}, {two})", f"abs({one})", f"substr({one}, 1, 1)", f"({one} = {two})",
        ))

    def condition(self, names: list[str], depth: int = 1) -> str:
        rng = self.rng
        one, two = self.expression(names, depth), self.expression(names, depth)
        name = rng.choice(names)
        return rng.choice((
            *(f"{one} {sign} {two}" for sign in ("=", "<", ">=", "<>", "IS", "IS NOT")),
            f"{one} IS NULL", f"{one} IN ({two}, {self.literal()})", f"{one} LIKE {two}", f"{one} BETWEEN {two} AND 4",
            f"{one} = {two} COLLATE NOCASE", f"{self.term(name)} = {two}", f"{self.proof(name)} AND {one} = {two}",
            f"{self.proof(name)} AND {self.term(name)} < {two}", f"NOT ({one} > {two})", f"({one}, {two}) > (1, 'a')",
        ))

    # ---- sources of rows ----

    def source(self, width: int, tables: list[Table] | None = None) -> str:
        """A query of `width` columns over one table, in an order of its own."""
        table = self.rng.choice(tables or self.tables)
        chosen = ", ".join(self.expression(table.names, 1) for _ in range(width))
        order = ", ".join(f"quote({name})" for name in table.readable)
        where = f"WHERE {self.condition(table.readable)}" if self.rng.random() < 0.4 else ""
        return f"SELECT {chosen} FROM {table.name} {where} ORDER BY {order} LIMIT {self.rng.randint(1, 6)}"

    def scalar(self, outer: list[str], tables: list[Table] | None = None) -> str:
        """A subquery of one value."""
        table = self.rng.choice(tables or self.tables)
        name = self.rng.choice(table.names)
        condition = f"s.{self.rng.choice(table.names)} = {self.rng.choice(outer)}" if outer else "1"
        return self.rng.choice((
            f"(SELECT count(*) FROM {table.name} AS s WHERE {condition})",
            f"(SELECT max(quote(s.{name})) FROM {table.name} AS s WHERE {condition})",
            f"(SELECT sum(length(s.{name})) FROM {table.name} AS s)",
            f"EXISTS (SELECT 1 FROM {table.name} AS s WHERE {condition})",
        ))

    # ---- statements ----

    def statement(self) -> str:
        kind = self.rng.random()
        if kind < 0.5:
            return self.insert()
        return self.update() if kind < 0.8 else self.delete()

    def _or(self, table: Table) -> str:
        clauses = ("", "", "", "OR ABORT", "OR REPLACE", "OR FAIL", "OR IGNORE", "OR ROLLBACK")
        return self.rng.choice(clauses[:4] if table.strict else clauses)

    def insert(self) -> str:
        rng = self.rng
        table = rng.choice(self.tables)
        upsert = rng.random() < 0.35 and not table.strict
        head = f"INSERT {'' if upsert else self._or(table)} INTO {table.name}"
        if not table.rowid and rng.random() < 0.04:
            return f"{head} DEFAULT VALUES" + self.returning(table)
        chosen = rng.sample(table.names, rng.randint(1, len(table.names)))
        if rng.random() < 0.6:
            chosen = list(table.names)
        if table.rowid and table.rowid not in chosen:
            chosen.append(table.rowid)
        # A value of a wrong type aborts, and SQLite has no savepoint then where it thinks that it needs none.
        if rng.random() < 0.25 and not table.strict:
            query = self.source(len(chosen))
            if table.rowid:                         # a NULL would draw an id
                at = chosen.index(table.rowid)
                values = ", ".join(f"coalesce({c}, 5)" if i == at else c for i, c in
                                   enumerate(f"x{k}" for k in range(len(chosen))))
                names = ", ".join(f"x{k}" for k in range(len(chosen)))
                query = f"WITH s({names}) AS MATERIALIZED ({query}) SELECT {values} FROM s WHERE true"
            body = f"({', '.join(chosen)}) {query}"
        else:
            rows = []
            for _ in range(1 if table.strict else rng.choice((1, 1, 1, 2, 4))):
                row = [str(rng.randint(1, 9)) if name == table.rowid else
                       self.scalar([]) if rng.random() < 0.05 else self.literal() for name in chosen]
                rows.append(f"({', '.join(row)})")
            body = f"({', '.join(chosen)}) VALUES {', '.join(rows)}"
        return f"{head}{body}" + (self.upsert(table) if upsert else "") + self.returning(table)

    def upsert(self, table: Table) -> str:
        rng = self.rng
        # SQLite takes no target of several columns one of which is the row id.
        targets = [u for u in [table.key, *table.unique] if u and (len(u) == 1 or table.rowid not in u)]
        rng.shuffle(targets)
        found = ""
        for target in targets[: rng.choice((0, 1, 1, 2))]:
            found += f" ON CONFLICT ({', '.join(rng.sample(target, len(target)))}) DO {self.action(table)}"
        if not found or rng.random() < 0.3:
            found += f" ON CONFLICT DO {self.action(table)}"
        return found

    def action(self, table: Table) -> str:
        rng = self.rng
        if rng.random() < 0.3:
            return "NOTHING"
        # SQLite shows excluded's columns mostly without their affinities, and generated ones as NULL; not so here.
        excluded = [f"+excluded.{c.name}" for c in table.columns if c.type in ("", "BLOB") and not c.generated]
        names = [f"{table.name}.{c}" for c in table.names] + excluded + table.names
        sets = [f"{c} = {self.expression(names, 1)}" for c in rng.sample(table.names, rng.randint(1, 2))
                if c != table.rowid]
        if not sets:
            return "NOTHING"
        where = f" WHERE {self.condition(names)}" if rng.random() < 0.3 else ""
        return f"UPDATE SET {', '.join(sets)}{where}"

    def where(self, table: Table, *, one: bool = False) -> str:
        """one: at most one row by the primary key, for tables whose rows are found in another order than in SQLite."""
        rng = self.rng
        if one and table.key:
            return "WHERE " + " AND ".join(f"{name} = {self.literal()}" for name in table.key)
        if one:
            return f"WHERE rowid = (SELECT {rng.choice(('min', 'max'))}(rowid) FROM {table.name})"
        if rng.random() < 0.3:
            return ""
        return "WHERE " + self.condition([f"+{name}" for name in table.readable])

    def update(self) -> str:
        rng = self.rng
        table = rng.choice(self.tables)
        changed = rng.sample(table.names, rng.randint(1, min(3, len(table.names))))
        clause = self._or(table)
        unique = {name for columns in (table.key, *table.unique) for name in columns}
        one = table.without_rowid or table.strict or (bool(clause) and bool(unique & set(changed)))
        head = f"UPDATE {clause} {table.name} SET "
        form = rng.random()
        names = [f"{table.name}.{c}" for c in table.names]
        # SQLite shows a subquery the rows that the statement has changed already; the standard, and EntityDB, do not.
        others = [other for other in self.tables if other is not table]
        values = [self.scalar(names, others) if rng.random() < 0.1 else self.expression(names) for _ in changed]
        if table.rowid in changed:
            values[changed.index(table.rowid)] = rng.choice((f"{table.rowid} + 1", "3", f"{table.rowid} - 2"))
        if form < 0.15 and len(changed) > 1:
            sets = f"({', '.join(changed)}) = ({', '.join(values)})"
        elif form < 0.3 and table.rowid not in changed:
            sets = f"({', '.join(changed)}) = ({self.source(len(changed), others).rsplit('LIMIT', 1)[0]} LIMIT 1)"
        else:
            sets = ", ".join(f"{c} = {v}" for c, v in zip(changed, values, strict=True))
        if 0.3 < form < 0.45 and not one:
            other = rng.choice(self.tables)
            k, v = rng.choice(other.names), rng.choice(other.names)
            sets = f"{changed[0]} = " + ("f.n + 10" if changed[0] == table.rowid else rng.choice(("f.v", "f.n", "f.k")))
            source = f"(SELECT quote({k}) AS k, max(quote({v})) AS v, count(*) AS n FROM {other.name} GROUP BY 1) AS f"
            condition = f"f.k = quote({table.name}.{rng.choice(table.names)})"
            return f"{head}{sets} FROM {source} WHERE {condition}{self.returning(table)}"
        return f"{head}{sets} {self.where(table, one=one)}{self.returning(table)}"

    def delete(self) -> str:
        table = self.rng.choice(self.tables)
        # A row that a cascade took away before its turn is not returned: the order of rows shows.
        one = table.without_rowid and bool(table.foreign)
        where = self.where(table, one=one)
        if self.rng.random() < 0.2 and not one:
            other = self.rng.choice(self.tables)
            where = f"WHERE quote({self.rng.choice(table.names)}) IN (SELECT quote({self.rng.choice(other.names)})" \
                    f" FROM {other.name})"
        return f"DELETE FROM {table.name} {where or 'WHERE ' + self.condition(table.names)}{self.returning(table)}"

    def returning(self, table: Table) -> str:
        rng = self.rng
        if rng.random() < 0.6:
            return ""
        # SQLite shows whole numbers in REAL columns as integers to expressions of this list.
        names = [column.name for column in table.columns if "REAL" not in column.type and not column.generated]
        parts = ["*", *(self.expression(names) for _ in range(2)), "5 AS five"]
        if not table.without_rowid and table.rowid:
            parts.append("rowid")
        return f" RETURNING {', '.join(rng.sample(parts, rng.randint(1, 3)))}"

    def query(self) -> str:
        """A query with one answer, up to the order of its rows."""
        rng = self.rng
        one, two = rng.choice(self.tables), rng.choice(self.tables)
        left = [f"a.{name}" for name in one.readable]
        right = [f"b.{name}" for name in two.readable]
        both = left + right
        joined = f"{one.name} AS a {rng.choice(('JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN'))} {two.name} AS b" \
                 f" ON {rng.choice(left)} {rng.choice(('=', '=', 'IS', '<'))} {rng.choice(right)}"
        condition = self.condition(left)
        kind = rng.randrange(9)
        if kind == 0:
            return f"SELECT {', '.join(self.expression(both) for _ in range(3))} FROM {joined} WHERE" \
                   f" {self.condition(both)}"
        if kind == 1:
            return f"SELECT quote({left[0]}), count(*), max({rng.choice(left)}), min(quote({rng.choice(left)}))," \
                   f" count(DISTINCT {rng.choice(left)}) FROM {one.name} AS a WHERE {condition} GROUP BY 1 HAVING" \
                   f" count(*) > 0"
        if kind == 2:
            compound = rng.choice(("UNION", "EXCEPT", "INTERSECT", "UNION ALL"))
            return f"SELECT quote({rng.choice(left)}) FROM {one.name} AS a {compound}" \
                   f" SELECT quote({rng.choice(right)}) FROM {two.name} AS b"
        if kind == 3:
            return f"SELECT * FROM {one.name} AS a WHERE {rng.choice(left)} IN (SELECT {rng.choice(right)} FROM" \
                   f" {two.name} AS b WHERE {self.condition(right)})"
        if kind == 4:
            return f"SELECT {left[0]}, EXISTS (SELECT 1 FROM {two.name} AS b WHERE {rng.choice(right)} =" \
                   f" {rng.choice(left)}) FROM {one.name} AS a WHERE {condition}"
        if kind == 5:
            order = ", ".join(f"quote({name})" for name in left)
            return f"SELECT row_number() OVER (ORDER BY {order}), sum(length({rng.choice(left)})) OVER (ORDER BY" \
                   f" {order} ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM {one.name} AS a"
        if kind == 6:
            return f"SELECT * FROM {one.name} AS a WHERE {condition} {rng.choice(('AND', 'OR'))} {self.condition(left)}"
        if kind == 7:
            name = rng.choice(left)
            return f"SELECT min({name}) IS NULL, typeof(max({name})), total(length({name})) FROM {one.name} AS a" \
                   f" WHERE {name} IS NOT NULL"
        order = ", ".join(f"{name} {rng.choice(('', 'DESC', 'NULLS LAST'))}" for name in rng.sample(left, 1))
        order += ", " + ", ".join(f"quote({name})" for name in left)
        return f"SELECT * FROM {one.name} AS a WHERE {condition} ORDER BY {order} LIMIT {rng.randint(1, 5)}" \
               f" OFFSET {rng.randint(0, 2)}"
