"""The plans of a query that can be forced: each order of the tables, and for each table one index, the row id or none.

CROSS JOIN keeps the order of FROM. A unary plus before a column keeps indexes from it; so the plan by one index is
forced by a plus before every column that this index has not.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from .queries import Place, Query, Source

MOST = 48       # plans of one query


def choices(source: Source) -> list[frozenset[str] | None]:
    """The columns that are left without a plus; None: all."""
    found: list[frozenset[str] | None] = [None, frozenset(), frozenset(("id",))]
    for index in source.table.indexes:
        columns = frozenset((*index.columns, *filter(None, (index.where_column,))))
        found += [columns, columns | {"id"}]
    return list(dict.fromkeys(found))


def plans(query: Query, rng: random.Random) -> Iterator[tuple[frozenset[int], tuple[Source, ...]]]:
    """Arguments for Query.text(): each order of the tables, each choice for one table, then both at random."""
    orders = list(itertools.permutations(query.sources))
    rng.shuffle(orders)
    ordering = frozenset(order.place.number for order in query.order) | {place.number for place in query.group}
    free: dict[str, frozenset[str] | None] = {source.alias: None for source in query.all_sources}
    several = len(query.sources) > 1
    if several:
        for order in orders:
            yield plus(query, free), order
    for source in query.all_sources:
        for choice in choices(source)[1:]:
            yield plus(query, {**free, source.alias: choice}), ()
    yield plus(query, free) | ordering, ()
    for _ in range(MOST):
        picked = {source.alias: rng.choice(choices(source)) for source in query.all_sources}
        found = plus(query, picked) | (ordering if rng.random() < 0.3 else frozenset())
        yield found, rng.choice(orders) if several else ()


def plus(query: Query, picked: dict[str, Any]) -> frozenset[int]:
    def hidden(place: Place) -> bool:
        columns = picked[place.alias]
        return columns is not None and place.column not in columns
    return frozenset(place.number for place in query.places() if hidden(place))


def texts(query: Query, rng: random.Random) -> list[tuple[frozenset[int], tuple[Source, ...]]]:
    """At most MOST plans, none with the text of another or of the query as it is."""
    seen, found = {query.text()[0]}, []
    for one in plans(query, rng):
        text = query.text(*one)[0]
        if text not in seen:
            seen.add(text)
            found.append(one)
    return found[:MOST]
