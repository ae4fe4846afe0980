"""Tags on rows as Python sets, and tag expressions over them: what the engine is compared with."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TypeAlias

Tagging: TypeAlias = tuple[str, int, str]  # type, entity, tag
# ("is", tag) | ("begins", prefix) | ("not", node) | ("all", [nodes]) | ("any", [nodes])
Node: TypeAlias = tuple[str, "str | Node | list[Node]"]


@dataclass
class State:
    """One state of the database."""

    rows: dict[str, dict[int, str]] = field(default_factory=dict)  # by table: value by row id
    tags: set[Tagging] = field(default_factory=set)

    def copy(self) -> State:
        return State({name: dict(rows) for name, rows in self.rows.items()}, set(self.tags))

    def delete(self, table: str, entity: int) -> None:
        del self.rows[table][entity]
        self.tags = {t for t in self.tags if t[:2] != (table, entity)}

    def move(self, table: str, old: int, new: int) -> None:
        self.rows[table][new] = self.rows[table].pop(old)
        self.tags = {(a, new, c) if (a, b) == (table, old) else (a, b, c) for a, b, c in self.tags}

    def of(self, table: str, entity: int) -> set[str]:
        return {tag for a, b, tag in self.tags if (a, b) == (table, entity)}

    def meant(self, table: str, node: Node) -> list[int]:
        """The entities of a table that an expression means."""
        return sorted(entity for entity in self.rows[table] if holds(node, self.of(table, entity)))


def holds(node: Node, tags: set[str]) -> bool:
    kind, what = node
    if kind == "is":
        return what in tags
    if kind == "begins":
        return any(tag.startswith(str(what)) for tag in tags)
    if kind == "not":
        return not holds(what, tags)  # type: ignore[arg-type]
    parts = [holds(part, tags) for part in what]  # type: ignore[arg-type]
    return all(parts) if kind == "all" else any(parts)


def text_of(node: Node, rng: random.Random) -> str:
    """The expression as text, with blanks, quotes and parentheses where they may be and not only where they must."""
    kind, what = node
    if kind in ("is", "begins"):
        tag = str(what)
        bare = tag and not any(c in ' \t\r\n&|!()"*' for c in tag)
        text = tag if bare and rng.random() < 0.7 else '"' + tag.replace('"', '""') + '"'
        return text + "*" * (kind == "begins")
    if kind == "not":
        inner_text = text_of(what, rng)  # type: ignore[arg-type]
        return f"! {inner_text}" if what[0] in ("is", "begins", "not") else f"!({inner_text})"
    inner = []
    for part in what:
        text = text_of(part, rng)  # type: ignore[arg-type]
        deeper = part[0] in ("all", "any") and not (kind == "any" and part[0] == "all")
        inner.append(f"({text})" if deeper or rng.random() < 0.2 else text)
    return (" & " if kind == "all" else "|").join(inner)


def random_node(rng: random.Random, tags: list[str], depth: int = 3) -> Node:
    kind = rng.choice(["is", "is", "begins", "not", "all", "any"]) if depth else "is"
    if kind == "is":
        return "is", rng.choice(tags)
    if kind == "begins":
        tag = rng.choice(tags)
        return "begins", tag[: rng.randrange(len(tag) + 1)]
    if kind == "not":
        return "not", random_node(rng, tags, depth - 1)
    return kind, [random_node(rng, tags, depth - 1) for _ in range(rng.randrange(2, 4))]


__all__ = ["Node", "State", "Tagging", "holds", "random_node", "text_of"]
