"""Cold ids, packing and pruning: history that moves and goes while others read, write, erase, die and lose power.

A file of numbered pages. Each key has a current leaf with its newest versions; a leaf that is full becomes history
where it stands. A root has the current leaves and of each key the history leaves; a long root is filed, a page of
history too, which is never written again. A large value is a page of its own, which every leaf with its version
refers to.

What becomes history gets an id, and is referred to by that. A snapshot has a list: id -> (place, tag, commit that
made it history, kind). Packers put the pages of a window of ids into a strip, a chain of pages that stands for them,
and strips that follow one another into one; a strip goes as a whole. Each rule below is one that the design fell
without; `Attack(seed, RULES - {one})` shows it.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

RULES = frozenset({
    "ids in references",            # not place and tag
    "chains end",                   # a large value is listed when its version ends, not when it is written
    "at or before",                 # pruned is what became history at or before the horizon, and no more
    "oldest moment",                # no horizon beyond a transaction's moment
    "readers pin", "packers pin",
    "second look",                  # a strip is published only where the list is still as it was when the packer read
    "pages under the lock",         # strips are written to pages drawn by the commit that publishes them
    "trimmed windows",              # a strip begins and ends with an id that leads into it
    "strips whole",                 # a strip is pruned when all its ids may go
    "erasing dissolves",            # where something of a strip is erased, all of it is written anew
    "durable first",                # a page is used again when the commit that freed it is durable
})
VERSIONS, ENTRIES, KEYS = 3, 4, 3
WINDOW, ROOM = 4, 2                 # ids of a strip at first, pages of history in a page of it
PAGE, CHAIN, STRIP = "page", "chain", "strip"


class Wrong(Exception):
    """The model broke a promise."""


class Pruned(Exception):
    """The moment is before the horizon."""


@dataclass(frozen=True)
class Ref:
    place: int                      # below 0: an id
    tag: int = 0


@dataclass(frozen=True)
class Leaf:
    key: int
    versions: tuple[tuple[int, Any], ...]       # (from, value, or the Ref of a large one), newest first


@dataclass(frozen=True)
class Root:
    leaves: tuple[tuple[int, Ref], ...]         # (key, current leaf)
    past: tuple[tuple[int, int, int, Ref], ...]     # (key, since, until, history leaf)
    older: Ref | None = None                    # answers for moments before those in past


@dataclass(frozen=True)
class Cold:
    ref: Ref
    commit: int
    kind: str
    at: int = -1                    # where in a page of a strip


@dataclass(frozen=True)
class StripPage:
    first: int                      # id of the strip
    ids: int
    head: int                       # place of its first page
    after: Ref | None
    contents: tuple[Any, ...]


@dataclass(frozen=True)
class Snapshot:
    number: int = 0
    root: Root = Root((), ())
    cold: tuple[Cold, ...] = ()     # from id `first` on
    first: int = 0
    horizon: int = 0
    pages: int = 0
    free: tuple[tuple[int, int, int], ...] = ()     # (page, made, freed)
    erased: frozenset[int] = frozenset()

    def listed(self, id_: int) -> Cold:
        if not 0 <= id_ - self.first < len(self.cold):
            raise Wrong(f"id {id_} is asked for, and was pruned")
        return self.cold[id_ - self.first]

    def bound(self, rules: frozenset[str]) -> int:
        """The first id that answers for a moment at or behind the horizon."""
        limit = self.horizon + ("at or before" not in rules)
        return self.first + sum(cold.commit <= limit for cold in self.cold)


@dataclass
class File:
    rules: frozenset[str]
    rng: random.Random
    page: dict[int, tuple[int, Any]] = field(default_factory=dict)      # place -> (tag, content)
    commits: list[Snapshot] = field(default_factory=lambda: [Snapshot()])
    durable: int = 0
    pins: dict[object, int] = field(default_factory=dict)
    moments: dict[object, int] = field(default_factory=dict)
    truth: list[dict[int, int]] = field(default_factory=lambda: [{}])
    tags: int = 0
    writing: object = None          # who has the committer lock

    @property
    def newest(self) -> Snapshot:
        return self.commits[-1]

    def get(self, ref: Ref) -> Any:
        tag, content = self.page.get(ref.place, (0, None))
        if tag != ref.tag:
            raise Wrong(f"page {ref.place} was written over")
        return content

    def history(self, sn: Snapshot, ref: Ref) -> Any:
        if ref.place >= 0:
            return self.get(ref)
        cold = sn.listed(~ref.place)
        content = self.get(cold.ref)
        return content.contents[cold.at] if cold.kind == STRIP else content

    def strip(self, cold: Cold) -> list[Ref]:
        """Where the pages are of the strip that an element leads into."""
        inside = self.get(cold.ref)
        at: Ref | None = Ref(inside.head, self.page[inside.head][0])
        found = []
        while at is not None:
            page = self.get(at)
            if (page.first, page.ids, page.head) != (inside.first, inside.ids, inside.head):
                raise Wrong(f"page {at.place} is one of another strip")
            found.append(at)
            at = page.after
        return found

    def row(self, sn: Snapshot, key: int, moment: int) -> int | None:
        if moment < sn.horizon:
            raise Pruned
        root = sn.root
        for one, since, end, ref in root.past:
            if one == key and since <= moment < end:
                return self._in_leaf(sn, self.history(sn, ref), moment)
        for one, ref in root.leaves:
            if one == key and any(begun <= moment for begun, _ in self.get(ref).versions):
                return self._in_leaf(sn, self.get(ref), moment)
        while root.older is not None:
            root = self.history(sn, root.older)
            for one, since, end, ref in root.past:
                if one == key and since <= moment < end:
                    return self._in_leaf(sn, self.history(sn, ref), moment)
        return None

    def _in_leaf(self, sn: Snapshot, leaf: Leaf, moment: int) -> int | None:
        for begun, value in leaf.versions:
            if begun <= moment:
                return self.get(value) if isinstance(value, Ref) else value
        return None


class Commit:
    """Under the lock: starts from the newest snapshot, and publishes the next."""

    def __init__(self, file: File) -> None:
        self.file, self.sn = file, file.newest
        self.number = self.sn.number + 1
        self.freed: list[tuple[int, int, int]] = []

    def draw(self) -> int:
        file = self.file
        for entry in self.sn.free:
            page, made, freed = entry
            if "durable first" in file.rules and freed > file.durable:
                continue
            if not any(made <= pin < freed for pin in file.pins.values()):
                self.sn = replace(self.sn, free=tuple(e for e in self.sn.free if e != entry))
                return page
        self.sn = replace(self.sn, pages=self.sn.pages + 1)
        return self.sn.pages - 1

    def write(self, content: Any, place: int | None = None) -> Ref:
        self.file.tags += 1
        place = self.draw() if place is None else place
        self.file.page[place] = (self.file.tags, content)
        return Ref(place, self.file.tags)

    def write_strip(self, window: list[int], contents: dict[int, Any]) -> dict[int, tuple[Ref, int]]:
        """-> where the content of each id stands"""
        ids = list(contents)
        parts = [ids[i : i + ROOM] for i in range(0, len(ids), ROOM)]
        places = [self.draw() for _ in parts]
        after, found = None, {}
        for part, place in zip(reversed(parts), reversed(places), strict=True):
            inside = tuple(contents[id_] for id_ in part)
            after = self.write(StripPage(window[0], len(window), places[0], after, inside), place)
            found.update({id_: (after, at) for at, id_ in enumerate(part)})
        return found

    def element(self, id_: int, cold: Cold) -> None:
        at = id_ - self.sn.first
        self.sn = replace(self.sn, cold=(*self.sn.cold[:at], cold, *self.sn.cold[at + 1 :]))

    def drop(self, ref: Ref, made: int) -> None:
        self.freed.append((ref.place, made, self.number))

    def give(self, ref: Ref, kind: str = PAGE) -> Ref:
        id_ = self.sn.first + len(self.sn.cold)
        self.sn = replace(self.sn, cold=(*self.sn.cold, Cold(ref, self.number, kind)))
        return Ref(~id_) if "ids in references" in self.file.rules else ref

    def change(self, key: int, value: int, large: bool) -> None:
        root, file = self.sn.root, self.file
        old = dict(root.leaves).get(key)
        leaf = file.get(old) if old else Leaf(key, ())
        stored: Any = self.write(value) if large else value
        if large and "chains end" not in file.rules:
            self.give(stored, CHAIN)
        if leaf.versions and isinstance(leaf.versions[0][1], Ref) and "chains end" in file.rules:
            self.give(leaf.versions[0][1], CHAIN)
        past, kept = root.past, leaf.versions
        if len(kept) == VERSIONS:           # by time: the leaf is history as it stands
            assert old
            past, kept = (*past, (key, kept[-1][0], self.number, self.give(old))), ()
        elif old:
            self.drop(old, kept[0][0])
        new = self.write(Leaf(key, ((self.number, stored), *kept)))
        leaves = tuple(sorted({**dict(root.leaves), key: new}.items()))
        root = Root(leaves, past, root.older)
        if len(past) > ENTRIES:
            root = Root(leaves, (), self.give(self.write(Root((), past, root.older))))
        self.sn = replace(self.sn, root=root)

    def publish(self) -> None:
        file = self.file
        free = (*self.sn.free, *self.freed)
        file.commits.append(replace(self.sn, number=self.number, free=free))


def reached(file: File, sn: Snapshot) -> Iterator[int]:
    """Every page that is not free."""
    yield from {ref.place for cold in sn.cold for ref in (file.strip(cold) if cold.kind == STRIP else [cold.ref])}
    for _, ref in sn.root.leaves:
        yield ref.place
        newest = file.get(ref).versions[0][1]
        if isinstance(newest, Ref):
            yield newest.place


Steps = Generator[None, None, Any]


class Attack:
    def __init__(self, seed: int, rules: Iterable[str] = RULES) -> None:
        self.rng = random.Random(seed)
        self.file = File(frozenset(rules), self.rng)
        self.done = dict.fromkeys(
            ("commits", "packed", "merged", "dissolved", "pruned", "erased", "refused", "read"), 0
        )

    def run(self, steps: int = 1500) -> dict[str, int]:
        work = (self.writer, self.writer, self.reader, self.transaction, self.packer, self.packer, self.pruner,
                self.eraser)
        tasks = [(one, one(object())) for one in work]
        for _ in range(steps):
            i = self.rng.randrange(len(tasks))
            if self.rng.random() < 0.01:                # a process dies: its pins lapse, its lock is taken over
                self._forget(tasks[i][1])
                tasks[i] = (tasks[i][0], tasks[i][0](object()))
            elif next(tasks[i][1], "over") == "over":
                tasks[i] = (tasks[i][0], tasks[i][0](object()))
            if self.rng.random() < 0.05:
                self.file.durable = self.file.newest.number
            if self.rng.random() < 0.003:
                self._lose_power()
                tasks = [(one, one(object())) for one in work]
        self.judge()
        return self.done

    def _forget(self, task: Any) -> None:
        me = task.gi_frame.f_locals["me"] if task.gi_frame else None
        self.file.pins.pop(me, None)
        self.file.moments.pop(me, None)
        if self.file.writing is me:
            self.file.writing = None

    def _lose_power(self) -> None:
        file = self.file
        number = self.rng.randint(file.durable, file.newest.number)
        del file.commits[number + 1 :], file.truth[number + 1 :]
        file.durable = number
        file.pins.clear()
        file.moments.clear()
        file.writing = None
        self.judge()

    def _lock(self, me: object) -> Steps:
        while self.file.writing is not None:
            yield
        self.file.writing = me

    def _publish(self, commit: Commit, rows: dict[int, int] | None = None) -> None:
        file = self.file
        commit.publish()
        file.truth.append(file.truth[-1] if rows is None else rows)
        file.writing = None
        self.done["commits"] += 1

    # ---- what processes do

    def writer(self, me: object) -> Steps:
        yield from self._lock(me)
        commit, file = Commit(self.file), self.file
        rows = dict(file.truth[-1])
        for key in self.rng.sample(range(KEYS), self.rng.choice((1, 1, 2))):
            rows[key] = self.rng.getrandbits(40)
            commit.change(key, rows[key], self.rng.random() < 0.3)
            yield
        self._publish(commit, rows)

    def reader(self, me: object) -> Steps:
        """What is pinned is read, at each moment that it keeps."""
        file = self.file
        sn = file.newest
        if "readers pin" in file.rules:
            file.pins[me] = sn.number
        for _ in range(self.rng.randrange(8)):
            yield
            self._read(sn, self.rng.randint(sn.horizon, sn.number))
        file.pins.pop(me, None)

    def transaction(self, me: object) -> Steps:
        """Each statement reads at the transaction's moment in the newest snapshot."""
        file = self.file
        moment = file.moments[me] = file.newest.number
        for _ in range(self.rng.randrange(12)):
            yield
            try:
                self._read(file.newest, moment)
            except Pruned:
                raise Wrong(f"moment {moment} of a transaction was pruned under it") from None
        file.moments.pop(me, None)

    def _read(self, sn: Snapshot, moment: int) -> None:
        file = self.file
        for key in range(KEYS):
            found, true = file.row(sn, key, moment), file.truth[moment].get(key)
            if found != true and not (found == -1 and true in file.newest.erased):
                raise Wrong(f"key {key} at {moment} reads {found} in commit {sn.number}, and was {true}")
            if found != -1 and true in sn.erased:
                raise Wrong(f"key {key} at {moment}: what was erased is back")
        self.done["read"] += 1

    def _window(self, sn: Snapshot) -> list[int]:
        """Ids that one strip is to stand for."""
        file, strips = self.file, dict[int, int]()      # first id -> ids
        for cold in sn.cold:
            if cold.kind == STRIP:
                page = file.get(cold.ref)
                strips[page.first] = page.ids
        if len(strips) > 1 and self.rng.random() < 0.4:
            at = self.rng.randrange(len(strips) - 1)
            first, last = sorted(strips)[at : at + 2]
            return list(range(first, last + strips[last]))
        taken = {id_ for first, ids in strips.items() for id_ in range(first, first + ids)}
        free = [sn.first + i for i in range(len(sn.cold)) if sn.first + i not in taken]
        if not free:
            return []
        first = self.rng.choice(free)
        window = []
        while first in free and len(window) < WINDOW:
            window.append(first)
            first += 1
        for end in (0, -1) if "trimmed windows" in file.rules else ():
            while window and sn.listed(window[end]).kind == CHAIN:
                del window[end]
        return window

    def packer(self, me: object) -> Steps:
        file = self.file
        sn = file.newest
        if "packers pin" in file.rules:
            file.pins[me] = sn.number
        window = self._window(sn)
        seen, contents = [sn.listed(id_) for id_ in window], {}
        for id_, cold in zip(window, seen, strict=True):
            if cold.kind != CHAIN:
                yield
                contents[id_] = file.history(sn, Ref(~id_))     # damaged, where it was written over
        early = None
        if "pages under the lock" not in file.rules and contents:
            early = Commit(file)
            early_places = early.write_strip(window, contents)
            yield
        yield from self._lock(me)
        commit, now = Commit(file), file.newest
        if contents and now.first <= window[0] and (
                "second look" not in file.rules or [now.listed(id_) for id_ in window] == seen):
            if early is None:
                places = commit.write_strip(window, contents)
            else:
                places = early_places
                drawn = {ref.place for ref, _ in places.values()}
                commit.sn = replace(commit.sn, pages=max(commit.sn.pages, *(place + 1 for place in drawn)),
                                    free=tuple(e for e in commit.sn.free if e[0] not in drawn))
            gone = {ref for id_ in contents for ref in self._pages_of(now.listed(id_))}
            for ref in sorted(gone, key=lambda ref: ref.place):
                commit.drop(ref, 0)
            for id_, (ref, at) in places.items():
                commit.element(id_, Cold(ref, now.listed(id_).commit, STRIP, at))
            yield
            self._publish(commit)
            self.done["merged" if seen[0].kind == STRIP else "packed"] += 1
        else:
            file.writing = None
        file.pins.pop(me, None)

    def _pages_of(self, cold: Cold) -> list[Ref]:
        return self.file.strip(cold) if cold.kind == STRIP else [cold.ref]

    def eraser(self, me: object) -> Steps:
        """A value of history goes, from its leaf, wherever that is."""
        yield from self._lock(me)
        file, commit = self.file, Commit(self.file)
        sn = commit.sn
        ids = [sn.first + i for i, cold in enumerate(sn.cold)
               if cold.kind != CHAIN and isinstance(file.history(sn, Ref(~(sn.first + i))), Leaf)]
        if not ids or self.rng.random() >= 0.3:
            file.writing = None
            return
        id_ = self.rng.choice(ids)
        cold, leaf = sn.listed(id_), file.history(sn, Ref(~id_))
        gone = {value for begun, value in leaf.versions[1:] if not isinstance(value, Ref)} - {-1}
        changed = {id_: replace(leaf, versions=tuple((b, -1 if v in gone else v) for b, v in leaf.versions))}
        if cold.kind == STRIP and "erasing dissolves" in file.rules:
            page = file.get(cold.ref)
            for other in range(page.first, page.first + page.ids):
                if sn.listed(other).kind == STRIP and other != id_:
                    changed[other] = file.history(sn, Ref(~other))
            self.done["dissolved"] += 1
        if cold.kind != STRIP or "erasing dissolves" in file.rules:
            for ref in self._pages_of(cold):
                commit.drop(ref, 0)
        for other, content in changed.items():
            commit.element(other, Cold(commit.write(content), sn.listed(other).commit, PAGE))
        commit.sn = replace(commit.sn, erased=commit.sn.erased | gone)
        yield
        self._publish(commit)
        self.done["erased"] += 1

    def pruner(self, me: object) -> Steps:
        """The horizon first; then what it lets go, in steps, each a commit."""
        file = self.file
        if self.rng.random() < 0.8:
            return
        yield from self._lock(me)
        commit = Commit(file)
        horizon = max(commit.sn.horizon, self.rng.randint(0, file.newest.number))
        if "oldest moment" in file.rules:
            horizon = max(commit.sn.horizon, min(horizon, file.durable, *file.moments.values(), horizon))
        commit.sn = replace(commit.sn, horizon=horizon)
        yield
        self._publish(commit)
        while True:
            yield from self._lock(me)
            commit = Commit(file)
            n = self._prune_step(commit)
            if not n:
                file.writing = None
                return
            yield
            self._publish(commit)
            self.done["pruned"] += n

    def _prune_step(self, commit: Commit) -> int:
        """What comes first on the list, and may go: an element, or a strip. -> how many elements"""
        file, sn = self.file, commit.sn
        left, n = sn.bound(file.rules) - sn.first, 1
        if left < 1:
            return 0
        gone = self._pages_of(sn.cold[0])
        if sn.cold[0].kind == STRIP:
            page = file.get(sn.cold[0].ref)
            if page.first != sn.first:
                raise Wrong(f"the first part of the strip of id {sn.first} was pruned")
            if "strips whole" in file.rules:
                if page.ids > left:
                    return 0
                n = page.ids
                gone = [*gone, *(cold.ref for cold in sn.cold[:n] if cold.kind != STRIP)]
        for ref in gone:
            commit.drop(ref, 0)
        commit.sn = replace(sn, cold=sn.cold[n:], first=sn.first + n)
        return n

    # ---- what must hold

    def judge(self) -> None:
        file, sn = self.file, self.file.newest
        for moment in range(sn.horizon, sn.number + 1):
            self._read(sn, moment)
        for cold in sn.cold:
            page = file.get(cold.ref)
            for leaf in page.contents if isinstance(page, StripPage) else [page]:
                if isinstance(leaf, Leaf) and any(value in sn.erased for _, value in leaf.versions):
                    raise Wrong("what was erased is still in the file")
        used = [*reached(file, sn), *(page for page, _, _ in sn.free)]
        if sorted(used) != list(range(sn.pages)):
            raise Wrong(f"pages are lost, or used twice: {sorted(used)} of {sn.pages}")


FAILURES = (Wrong, Pruned, KeyError, AttributeError, TypeError, IndexError, AssertionError)
