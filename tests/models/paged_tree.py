"""A small temporal tree in copy-on-write pages: one root over leaves, split by key and by time.

Pages come from whoever holds them: `get(ref)` gives one, `put(content)` stores one and gives its ref, `drop(ref)`
says that the newest state needs it no longer. So the same code works on pages of the file and of a process's memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

KEYS, VERSIONS = 4, 9       # of a leaf, at most

Key = int
Value = "int | None"        # None: a tombstone


@dataclass(frozen=True)
class Ref:
    """page: below 0 in a process's memory, else in the file. tag: what the page there must have."""

    page: int
    tag: int

    @property
    def is_private(self) -> bool:
        return self.page < 0


@dataclass(frozen=True)
class Leaf:
    """Of each key its versions (from, value), newest first; older: a leaf with those that ended before it was split."""

    entries: tuple[tuple[Key, tuple[tuple[int, int | None], ...]], ...]
    older: Ref | None = None


@dataclass(frozen=True)
class Root:
    """Leaves by their lowest key; the first begins below all keys."""

    leaves: tuple[tuple[Key, Ref], ...]


Content = Leaf | Root


class Target(Protocol):
    def put(self, content: Content) -> Ref: ...


class Pages(Target, Protocol):
    def get(self, ref: Ref) -> Content: ...
    def drop(self, ref: Ref) -> None: ...


LOWEST = -1


def leaf_of(root: Root, key: Key) -> int:
    return bisect_right([low for low, _ in root.leaves], key) - 1


def read(pages: Pages, root: Ref, moment: int) -> Iterator[tuple[Key, int]]:
    """The entries living at the moment."""
    top = pages.get(root)
    assert isinstance(top, Root)
    for i, (low, ref) in enumerate(top.leaves):
        high = top.leaves[i + 1][0] if i + 1 < len(top.leaves) else None
        yield from _living(pages, ref, low, high, moment)


def _living(pages: Pages, ref: Ref | None, low: Key, high: Key | None, moment: int) -> Iterator[tuple[Key, int]]:
    """Older leaves may hold more than the range [low, high): a leaf split by key leaves its history to both halves."""
    found: set[Key] = set()
    while ref is not None:
        leaf = pages.get(ref)
        assert isinstance(leaf, Leaf)
        for key, versions in leaf.entries:
            for begun, value in versions:
                if begun <= moment and key not in found and low <= key and (high is None or key < high):
                    found.add(key)
                    if value is not None:
                        yield key, value
        ref = leaf.older


def newest(pages: Pages, root: Ref, key: Key) -> tuple[int, int | None]:
    """(from, value) of the key's newest version; (0, None): it has none."""
    top = pages.get(root)
    assert isinstance(top, Root)
    ref: Ref | None = top.leaves[leaf_of(top, key)][1]
    while ref is not None:
        leaf = pages.get(ref)
        assert isinstance(leaf, Leaf)
        for one, versions in leaf.entries:
            if one == key:
                return versions[0]
        ref = leaf.older
    return 0, None


def apply(pages: Pages, root: Ref, number: int, changes: dict[Key, int | None]) -> Ref:
    """Writes the versions of commit `number`. -> the new root"""
    top = pages.get(root)
    assert isinstance(top, Root)
    leaves = list(top.leaves)
    for place in sorted({leaf_of(top, key) for key in changes}, reverse=True):
        low, ref = leaves[place]
        mine = {key: value for key, value in changes.items() if leaf_of(top, key) == place}
        leaves[place : place + 1] = _write_leaf(pages, low, ref, number, mine)
    pages.drop(root)
    return pages.put(Root(tuple(leaves)))


def _write_leaf(
    pages: Pages, low: Key, ref: Ref, number: int, changes: dict[Key, int | None]
) -> list[tuple[Key, Ref]]:
    leaf = pages.get(ref)
    assert isinstance(leaf, Leaf)
    entries = dict(leaf.entries)
    for key, value in changes.items():
        entries[key] = ((number, value), *entries.get(key, ()))
    older = leaf.older
    if sum(map(len, entries.values())) > VERSIONS:      # by time: what ended before this commit becomes history
        older = pages.put(Leaf(tuple(sorted(entries.items())), older))
        entries = {key: versions[:1] for key, versions in entries.items() if versions[0][1] is not None}
    pages.drop(ref)
    keys = sorted(entries)
    parts = [keys[i : i + KEYS] for i in range(0, len(keys), KEYS)] if len(keys) > KEYS else [keys]
    return [
        (low if i == 0 else part[0], pages.put(Leaf(tuple((key, entries[key]) for key in part), older)))
        for i, part in enumerate(parts)
    ]


def store(source: Pages, target: Target, ref: Ref) -> Ref:
    """Copies what is reached through private pages alone, bottom up. -> where it is in the target"""
    if not ref.is_private:
        return ref
    content = source.get(ref)
    if isinstance(content, Root):
        return target.put(Root(tuple((low, store(source, target, leaf)) for low, leaf in content.leaves)))
    older = store(source, target, content.older) if content.older else None
    return target.put(Leaf(content.entries, older))


def reached(pages: Pages, root: Ref) -> set[Ref]:
    found, waiting = set(), [root]
    while waiting:
        ref = waiting.pop()
        if ref in found:
            continue
        found.add(ref)
        content = pages.get(ref)
        waiting += [leaf for _, leaf in content.leaves] if isinstance(content, Root) else filter(None, [content.older])
    return found
