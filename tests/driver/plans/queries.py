"""Queries as parts, so that they can be written again with other plans forced.

A *place* is a column written somewhere in the query. Behind a unary plus it means the same value, but no index serves
it. What it loses is its affinity, so values are only ever compared with values of their own kind.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .worlds import INT, TEXT, Column, Table, World


@dataclass(frozen=True)
class Place:
    alias: str
    column: str
    number: int

    def text(self, plus: frozenset[int]) -> str:
        return f"{'+' if self.number in plus else ''}{self.alias}.{self.column}"


@dataclass(frozen=True)
class Value:
    """A literal or a parameter. As a parameter it has several values in turn."""

    draws: tuple[Any, ...]
    table: str
    column: str
    how: tuple[str | float, ...]    # each was drawn

    def again(self, asker: Asker) -> Value:
        """Of the asker's world, and never one that no row has."""
        column = asker.world.table(self.table).column(self.column)
        return replace(self, draws=tuple(asker.drawn(column, "row" if how == "absent" else how) for how in self.how))


Part = str | Place | Value
Parts = Sequence[Part]


@dataclass(frozen=True)
class Source:
    alias: str
    table: Table
    on: tuple[Parts, ...] = ()      # of a LEFT JOIN

    def text(self) -> str:
        return f"{self.table.name} AS {self.alias}"


@dataclass(frozen=True)
class Order:
    place: Place
    words: str                      # " COLLATE NOCASE DESC NULLS LAST"
    nocase: bool


@dataclass(frozen=True)
class Query:
    sources: tuple[Source, ...]     # inner joins
    lefts: tuple[Source, ...]
    inside: tuple[Source, ...]      # of subqueries
    select: tuple[Parts, ...]
    terms: tuple[Parts, ...]
    distinct: bool = False
    group: tuple[Place, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    parameters: bool = False
    more: Query | None = None       # UNION ALL: it has neither order nor limit

    # ---- what it says of its answer ----

    @property
    def all_sources(self) -> tuple[Source, ...]:
        return self.sources + self.lefts + self.inside + (self.more.all_sources if self.more else ())

    def unlimited(self) -> Query:
        return replace(self, limit=None, offset=0)

    def places(self) -> Iterator[Place]:
        lists = [*self.select, *self.terms, *(on for left in self.lefts for on in left.on)]
        for part in itertools.chain(*lists, self.group, (order.place for order in self.order)):
            if isinstance(part, Place):
                yield part
        if self.more:
            yield from self.more.places()

    # ---- text ----

    def text(self, plus: frozenset[int] = frozenset(), sources: Sequence[Source] = (), draw: int = 0
             ) -> tuple[str, list[Any]]:
        """sources: in the order to be forced. -> the statement and its parameters."""
        values: list[Any] = []

        def written(parts: Parts) -> str:
            return "".join(self._part(part, plus, draw, values) for part in parts)

        joined = (" CROSS JOIN " if sources else ", ").join(source.text() for source in sources or self.sources)
        text = f"SELECT {'DISTINCT ' if self.distinct else ''}{', '.join(written(parts) for parts in self.select)}"
        text += f" FROM {joined}"
        for left in self.lefts:
            text += f" LEFT JOIN {left.text()} ON {' AND '.join(written(on) for on in left.on)}"
        if self.terms:
            text += f" WHERE {' AND '.join(written(term) for term in self.terms)}"
        if self.group:
            text += f" GROUP BY {', '.join(place.text(plus) for place in self.group)}"
        if self.more:
            other, others = self.more.text(plus, draw=draw)
            text += f" UNION ALL {other}"
            values += others
        if self.order:
            # A compound is ordered by the numbers of its columns: those of the order are the first.
            terms = [f"{number if self.more else order.place.text(plus)}{order.words}"
                     for number, order in enumerate(self.order, 1)]
            text += f" ORDER BY {', '.join(terms)}"
        if self.limit is not None:
            text += f" LIMIT {self.limit}" + (f" OFFSET {self.offset}" if self.offset else "")
        return text, values

    def _part(self, part: Part, plus: frozenset[int], draw: int, values: list[Any]) -> str:
        if isinstance(part, str):
            return part
        if isinstance(part, Place):
            return part.text(plus)
        if not self.parameters:
            value = part.draws[draw]
            return "'{}'".format(value.replace("'", "''")) if isinstance(value, str) else \
                   "NULL" if value is None else repr(value)
        values.append(part.draws[draw])
        return "?"

    def again(self, asker: Asker) -> Query:
        """The same query with values of the asker's world."""
        def parts(found: Parts) -> Parts:
            return tuple(part.again(asker) if isinstance(part, Value) else part for part in found)

        lefts = tuple(replace(left, on=tuple(map(parts, left.on))) for left in self.lefts)
        more = self.more.again(asker) if self.more else None
        return replace(self, terms=tuple(map(parts, self.terms)), lefts=lefts, more=more)

    # ---- simpler ones, for a failure to be told shortly ----

    def simpler(self) -> Iterator[Query]:
        if self.more:
            yield replace(self, more=None)
        for i in range(len(self.lefts)):
            yield self._without(self.lefts[i], lefts=self.lefts[:i] + self.lefts[i + 1:])
        for i in range(len(self.sources) if len(self.sources) > 1 else 0):
            yield self._without(self.sources[i], sources=self.sources[:i] + self.sources[i + 1:])
        for i in range(len(self.terms)):
            # Tables without the term that joins them would be another kind of query.
            if len({part.alias for part in self.terms[i] if isinstance(part, Place)}) < 2:
                yield replace(self, terms=self.terms[:i] + self.terms[i + 1:])
        if self.offset:
            yield replace(self, offset=0)
        if self.distinct:
            yield replace(self, distinct=False)
        if len(self.select) > len(self.order) + 1 and not self.group and not self.more:
            yield replace(self, select=self.select[:-1])
        if len(self.order) > 1 and not self.more:
            yield replace(self, order=self.order[:-1])

    def _without(self, source: Source, **changed: Any) -> Query:
        def kept(parts: Parts) -> bool:
            return not any(isinstance(part, Place) and part.alias == source.alias for part in parts)

        lefts = tuple(replace(left, on=tuple(on for on in left.on if kept(on)) or (("1",),))
                      for left in changed.get("lefts", self.lefts))
        return replace(self, **{
            "sources": self.sources, **changed, "lefts": lefts,
            "select": tuple(parts for parts in self.select if kept(parts)) or (("1",),),
            "terms": tuple(parts for parts in self.terms if kept(parts)),
            "order": tuple(order for order in self.order if kept([order.place])),
            "group": tuple(place for place in self.group if kept([place])),
        })


class Asker:
    """Makes queries over a world."""

    DRAWS = 5                       # of each parameter

    def __init__(self, rng: random.Random, world: World) -> None:
        self.rng, self.world = rng, world
        self.numbers = itertools.count()
        self.aliases = itertools.count()

    def query(self) -> Query:
        rng = self.rng
        sources = tuple(self._source() for _ in range(rng.choice((1, 1, 1, 2, 2, 2, 3, 3, 4))))
        made = Query(sources, (), (), (), tuple(self._join(sources)))
        if rng.random() < 0.15:
            left = self._source()
            on = [self._edge(rng.choice(sources), left)]
            if rng.random() < 0.3:
                on.append(self._condition(left))
            made = replace(made, lefts=(replace(left, on=tuple(on)),))
        for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3))):
            made = replace(made, terms=(*made.terms, self._condition(rng.choice(sources))))
        if rng.random() < 0.25:
            inner = self._source()
            term = self._subquery(rng.choice(sources), inner, alone=len(sources) == 1)
            made = replace(made, terms=(*made.terms, term), inside=(inner,))
        made = self._shape(made)
        if rng.random() < 0.25:
            made = replace(made, parameters=True)
        return made

    # ---- sources, places and values ----

    def _source(self) -> Source:
        return Source(f"s{next(self.aliases)}", self.rng.choice(self.world.tables))

    def _place(self, source: Source, column: Column) -> Place:
        return Place(source.alias, column.name, next(self.numbers))

    def _some(self, source: Source, *, exact: bool = False) -> Column:
        """exact: equal values look the same."""
        indexed = [name for index in source.table.indexes for name in index.columns]
        if indexed and self.rng.random() < 0.6:
            column = source.table.column(self.rng.choice(indexed))
        else:
            column = self.rng.choice(source.table.columns)
        return source.table.columns[0] if exact and column.collation else column

    def _value(self, source: Source, column: Column) -> Value:
        """Mostly of a row met at random, so that frequent values are frequent here."""
        how = tuple(self.rng.choice(("rare", "absent", *("row",) * 8)) for _ in range(self.DRAWS))
        return self._made(source, column, how)

    def _bound(self, source: Source, column: Column) -> Value:
        def one() -> str | float:
            if self.rng.random() < 0.2:
                return self.rng.choice(("rare", "absent", "row"))
            return self.rng.choice((0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, self.rng.random()))
        return self._made(source, column, tuple(one() for _ in range(self.DRAWS)))

    def _made(self, source: Source, column: Column, how: tuple[str | float, ...]) -> Value:
        return Value(tuple(self.drawn(column, one) for one in how), source.table.name, column.name, how)

    def drawn(self, column: Column, how: str | float) -> Any:
        """how: a row's, any of the values, one that no row has, or that at a part of the way from least to greatest."""
        rng = self.rng
        if not column.known:
            return 5 if column.type == INT else "none" if column.type == TEXT else 0.5
        if how == "rare":
            return rng.choice(sorted(set(column.known)))
        if how == "absent":
            return "absent" if column.type == TEXT else rng.choice((-3, column.known[-1] + 1))
        if how == "row":
            return rng.choice(column.known)
        return column.known[int(float(how) * len(column.known))]

    # ---- conditions ----

    def _join(self, sources: Sequence[Source]) -> Iterator[Parts]:
        for i in range(1, len(sources)):
            yield self._edge(self.rng.choice(sources[:i]), sources[i])
            if self.rng.random() < 0.15:
                yield self._edge(self.rng.choice(sources[:i]), sources[i])

    def _edge(self, one: Source, two: Source) -> Parts:
        pairs = []
        for left, right in itertools.product(one.table.columns, two.table.columns):
            weight = self._affinity(one.table, left, two.table, right)
            if weight:
                pairs.append(((left, right), weight))
        left, right = self.rng.choices([pair for pair, _ in pairs], [weight for _, weight in pairs])[0]
        sign = self.rng.choice((" = ",) * 12 + (" IS ",))
        return (self._place(one, left), sign, self._place(two, right))

    @staticmethod
    def _affinity(one: Table, left: Column, two: Table, right: Column) -> int:
        """How likely it is that they are compared. That values of unlike kinds never meet, no planner can foresee."""
        keys = "id" in (left.name, right.name)
        if (left.other, right.name) == (two.name, "id") or (right.other, left.name) == (one.name, "id"):
            return 40
        if left.kind == right.kind:
            return 3
        return int(keys and {left.kind, right.kind} & {"zipf", "few", "giant", "refers", "prefers", "follows"} != set())

    def _condition(self, source: Source) -> Parts:
        rng = self.rng
        partial = [index for index in source.table.indexes if index.where]
        if partial and rng.random() < 0.3:
            index = rng.choice(partial)
            place = self._place(source, source.table.column(index.where_column))
            return (place, index.where.removeprefix(index.where_column))
        column = self._some(source)
        place, kind = self._place(source, column), rng.randrange(15)
        if kind < 5:
            return (place, " = ", self._value(source, column))
        if kind < 8:
            return (place, rng.choice((" < ", " <= ", " > ", " >= ")), self._bound(source, column))
        if kind == 8:
            return (place, " BETWEEN ", self._bound(source, column), " AND ", self._bound(source, column))
        if kind < 11:
            values = [self._value(source, column) for _ in range(rng.choice((2, 2, 3, 4, 5, 60)))]
            return (place, " IN (", *self._listed(values), ")")
        if kind == 11:
            return (place, rng.choice((" IS NULL", " IS NOT NULL")))
        if kind == 12:
            other = self._some(source)
            return ("(", place, " = ", self._value(source, column), " OR ", self._place(source, other), " = ",
                    self._value(source, other), ")")
        if kind == 13 and column.type == TEXT:
            return (place, rng.choice((" LIKE 'c1%'", " GLOB 'c1*'", " LIKE 'name 1%'", " COLLATE NOCASE = 'NAME 1'")))
        if kind == 13:
            return (place, " <> ", self._value(source, column))
        other = self._some(source)
        return ("(", place, ", ", self._place(source, other), rng.choice((") > (", ") < (", ") >= (")),
                self._bound(source, column), ", ", self._bound(source, other), ")")

    @staticmethod
    def _listed(values: Sequence[Value]) -> Iterator[Part]:
        for i, value in enumerate(values):
            yield from ((", ", value) if i else (value,))

    def _subquery(self, outer: Source, inner: Source, *, alone: bool) -> Parts:
        """alone: there is no join. In joins SQLite places correlated subqueries without regard to what they cost."""
        rng = self.rng
        edge = self._edge(outer, inner)
        condition: Parts = ("1",) if rng.random() < 0.4 else self._condition(inner)
        left, _, right = edge
        kind = rng.randrange(5) if alone else 2
        if kind < 2:
            word = "EXISTS" if kind == 0 or rng.random() < 0.6 else "NOT EXISTS"
            return (f"{word} (SELECT 1 FROM {inner.text()} WHERE ", *edge, " AND ", *condition, ")")
        if kind < 4:
            return (left, " IN (SELECT ", right, f" FROM {inner.text()} WHERE ", *condition, ")")
        return ("(SELECT count(*) FROM ", inner.text(), " WHERE ", *edge, " AND ", *condition, ") > ",
                rng.choice(("0", "1", "5")))

    # ---- what is asked for ----

    def _shape(self, query: Query) -> Query:
        rng, sources = self.rng, query.sources + query.lefts
        shape = rng.random()
        if shape < 0.5:
            return self._rows(query)
        if shape < 0.62:
            source = rng.choice(sources)
            columns = [self._some(source, exact=True) for _ in range(rng.choice((1, 1, 2)))]
            select = tuple((self._place(source, column),) for column in columns)
            made = replace(query, select=select, distinct=True)
            return self._limited(self._ordered_by_select(made)) if rng.random() < 0.5 else made
        if shape < 0.75:
            source = rng.choice(sources)
            column = self._some(source, exact=True)
            total = self._some(source, exact=True)
            what = rng.choice(("count(*)", "min", "max", "count"))
            aggregate: Parts = (what,) if what == "count(*)" else (f"{what}(", self._place(source, total), ")")
            place = self._place(source, column)
            made = replace(query, select=((replace(place, number=next(self.numbers)),), aggregate), group=(place,))
            return self._limited(self._ordered_by_select(made)) if rng.random() < 0.5 else made
        if shape < 0.9:
            source = rng.choice(sources)
            place = self._place(source, self._some(source, exact=True))
            what = rng.choice(("min", "max", "count", "count(DISTINCT "))
            aggregate = (what if what.endswith(" ") else f"{what}(", place, ")")
            return replace(query, select=(aggregate,) if rng.random() < 0.7 else (aggregate, ("count(*)",)))
        return self._union(query)

    def _ordered_by_select(self, query: Query) -> Query:
        """Only what is selected as a bare column."""
        places = [parts[0] for parts in query.select if len(parts) == 1 and isinstance(parts[0], Place)]
        order = tuple(Order(replace(place, number=next(self.numbers)), self._words(), False) for place in places)
        return replace(query, order=order)

    def _words(self) -> str:
        return self.rng.choice(("", "", " DESC", " DESC", " NULLS LAST", " DESC NULLS FIRST"))

    def _rows(self, query: Query) -> Query:
        rng, sources = self.rng, query.sources + query.lefts
        order: list[Order] = []
        if rng.random() < 0.75:
            main = rng.choice(sources)
            for _ in range(rng.choice((1, 1, 2, 2, 3))):
                source = main if rng.random() < 0.85 else rng.choice(sources)
                column = self._some(source)
                if column.name not in [o.place.column for o in order if o.place.alias == source.alias]:
                    own = rng.choice(("", "NOCASE", "BINARY")) if column.type == TEXT else ""
                    words = f" COLLATE {own}{self._words()}" if own else self._words()
                    order.append(Order(self._place(source, column), words, (own or column.collation) == "NOCASE"))
            if rng.random() < 0.3:
                column = main.table.columns[0]
                order.append(Order(self._place(main, column), rng.choice(("", " DESC")), False))
        select: list[Parts] = [(replace(one.place, number=next(self.numbers)),) for one in order]
        for _ in range(rng.choice((0, 1, 2)) if select else 2):
            source = rng.choice(sources)
            select.append((self._place(source, self._some(source)),))
        made = replace(query, select=tuple(select), order=tuple(order))
        return self._limited(made) if rng.random() < 0.7 else made

    def _limited(self, query: Query) -> Query:
        limit = self.rng.choice((1, 5, 20, 20, 50))
        return replace(query, limit=limit, offset=self.rng.choice((0, 0, 0, 3, 30)))

    def _union(self, query: Query) -> Query:
        rng = self.rng
        source, other = query.sources[0], self._source()
        one = self._some(source, exact=True)
        alike = [c for c in other.table.columns if c.type == one.type and not c.collation] or other.table.columns[:1]
        two = rng.choice(alike)
        more = Query((other,), (), (), ((self._place(other, two),),), (self._condition(other),))
        place = self._place(source, one)
        made = replace(query, select=((place,),), more=more)
        if rng.random() < 0.7:
            made = self._limited(replace(made, order=(Order(place, self._words(), False),)))
        return made
