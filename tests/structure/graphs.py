"""Circles in a graph."""

from __future__ import annotations

from collections.abc import Collection, Mapping

Graph = Mapping[str, Collection[str]]


def reached(graph: Graph, start: str) -> set[str]:
    """What one comes to from `start`, by one step or more."""
    found: set[str] = set()
    work = [start]
    while work:
        fresh = set(graph.get(work.pop(), ())) - found
        found |= fresh
        work += fresh
    return found


def circles(graph: Graph) -> list[tuple[str, ...]]:
    """The largest sets of nodes that all reach one another, each sorted."""
    reach = {node: reached(graph, node) for node in graph}
    return sorted({
        tuple(sorted(other for other in reach[node] if node in reach.get(other, ())))
        for node in graph
        if node in reach[node]
    })  # fmt: skip
