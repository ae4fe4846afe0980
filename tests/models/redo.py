"""A model of commits that write a redo record alone, and of those that write pages.

A *redo record* says what its commit changes; a *page record* has the root of a tree in pages of the file. The newest
page record up to a commit is its *base*. Each process replays the redo records behind the base into pages of its own
memory, and reads there; a commit that writes pages stores them in the file, and is the base of those behind it.

Processes are coroutines that yield wherever another process, a kill or a power loss can come between. What they share
is `Shared`, the lock file; a power loss destroys it.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Any

from . import paged_tree as tree
from .disk import Disk
from .paged_tree import Content, Ref

LISTED = 14         # pages that records behind the durable one may list

Steps = Generator[None, None, Any]
Changes = dict[int, "int | None"]

RULES = frozenset((
    "voided",                   # records that do not count are voided before anything new is written, and the next one
                                # would not follow upon them
    "sync at opening",          # a commit chosen by recovery is made durable
    "pages verify",             # recovery looks at the pages that records list
    "pins",                     # no page that a reader may need is written over
    "syncs announced",          # nor one that a sync under way promises
    "look again",               # a reader looks at the number again once it has announced it
    "validation",               # a row written must be as it was seen
    "intent",                   # a time that somebody asked about is not used
    "settled mark",             # and void, if its record has been written: the disk says so before anybody is told
    "void for all",             # not only who has taken the time back
    "own numbers",              # a version has the number of its own commit, whoever stores its page
))


@dataclass(frozen=True)
class Ring:
    """Record N stands in slot N % slots. What recovery, or a reader of a durable commit, needs is never written over:
    a record is at most `unsynced` commits from the newest durable one, which is at most `small` from its base."""

    slots: int = 16
    unsynced: int = 6
    small: int = 9

    @property
    def holds(self) -> bool:
        return self.unsynced + self.small < self.slots


USUAL = Ring()


class Damaged(Exception):
    """What is read is not what was written."""


@dataclass(frozen=True)
class Page:
    tag: int
    writer: int
    content: Content


@dataclass(frozen=True)
class Record:
    number: int
    time: int
    before: int                 # checksum of the record before
    checksum: int
    durable: int                # a commit that was durable when it was written
    base: int                   # itself, if it has pages
    changes: tuple[tuple[int, int | None], ...] = ()
    root: Ref | None = None
    end: int = 0                # pages of the file
    free: tuple[tuple[int, int, int], ...] = ()     # page, made, freed
    listed: tuple[Ref, ...] = ()
    times: tuple[int, ...] = ()                     # of all commits

    @property
    def has_pages(self) -> bool:
        return self.base == self.number


@dataclass
class Shared:
    """The lock file."""

    published: int = 0
    durable: int = 0
    synced_pages: int = 0       # the newest commit whose pages were synced before its record: recovery stays above it
    pins: dict[int, int] = field(default_factory=dict)
    syncs: dict[int, int] = field(default_factory=dict)
    owner: int | None = None    # of the committer lock
    unrecovered: bool = False   # it died
    intent: tuple[int, int, bool] | None = None     # number, time, decided
    floor: int = 0              # no later commit has this time or an earlier one
    void: int = 0               # the newest commit of which a record with a time that was taken back may be on the disk
    mark: tuple[int, int] = (0, 0)      # what the settled mark is to say: that commit's records up to a time are void
    want_pages: bool = False    # a reader could not follow the records


@dataclass(frozen=True)
class State:
    """What a process knows of a commit: its tree, partly in its own memory."""

    record: Record
    base: Record
    root: Ref
    times: tuple[int, ...]
    dropped: tuple[Ref, ...]    # pages of the file that the base needs and this commit does not


class Truth:
    """What each record ever written means, computed without pages; and what was promised to whom."""

    def __init__(self) -> None:
        self.of: dict[int, tuple[Record, dict[int, int]]] = {}
        self.acknowledged: list[int] = []               # checksums
        self.answered: list[tuple[int, int]] = []       # (moment, checksum of the commit that answers for it)

    def add(self, record: Record, changes: Changes) -> None:
        rows = dict(self.of[record.before][1]) if record.number else {}
        for key, value in changes.items():
            rows.pop(key, None)
            if value is not None:
                rows[key] = value
        self.of[record.checksum] = record, rows

    def chain(self, checksum: int) -> list[Record]:
        """From commit 0 on."""
        found = [self.of[checksum][0]]
        while found[-1].number:
            found.append(self.of[found[-1].before][0])
        return found[::-1]

    def rows(self, checksum: int, number: int) -> dict[int, int]:
        return self.of[self.chain(checksum)[number].checksum][1]


class File:
    def __init__(self, rules: Iterable[str] = RULES, ring: Ring = USUAL, seed: int = 0) -> None:
        self.rules, self.ring = frozenset(rules), ring
        self.rng = random.Random(seed)
        self.disk, self.truth = Disk(frozenset(("settled",))), Truth()
        self.serial = itertools.count(1)
        self.clock = 0
        self.alive: set[int] = set()
        root, leaf = Ref(0, next(self.serial)), Ref(1, next(self.serial))
        self.disk.write(("page", 1), Page(leaf.tag, 0, tree.Leaf(())))
        self.disk.write(("page", 0), Page(root.tag, 0, tree.Root(((tree.LOWEST, leaf),))))
        first = Record(0, 0, 0, next(self.serial), 0, 0, root=root, end=2, times=(0,))
        self.truth.add(first, {})
        self.disk.write(("ring", 0), first)
        self.disk.end_sync(self.disk.begin_sync())
        self.shared = Shared()

    def slot(self, number: int) -> Record | None:
        record: Record | None = self.disk.read(("ring", number % self.ring.slots))
        return record if record and record.number == number else None

    def page(self, ref: Ref) -> Page:
        page: Page | None = self.disk.read(("page", ref.page))
        if page is None or page.tag != ref.tag:
            raise Damaged(f"page {ref.page} is not the one with tag {ref.tag}")
        return page

    # ---- opening ----

    def open(self) -> Steps:
        """Recovery: by the first process after a power loss, or after the last one died."""
        ring = {r.number: r for r in (self.disk.read(("ring", i)) for i in range(self.ring.slots)) if r}
        mark = self.disk.read("settled") or (-1, 0)
        if "settled mark" in self.rules and mark[0] in ring and ring[mark[0]].time <= mark[1]:
            del ring[mark[0]]
        claimed = max(record.durable for record in ring.values())
        last = claimed
        while last + 1 in ring and ("voided" not in self.rules or last not in ring
                                    or ring[last + 1].before == ring[last].checksum):
            last += 1
        while last > claimed and not self._verifies(ring, claimed, last):
            last -= 1
        if last not in ring or any(n not in ring for n in range(ring[last].base, last)):
            raise Damaged(f"records behind the base of commit {last} are missing")
        dirty = last != claimed
        if "voided" in self.rules:
            for number in [n for n in ring if n > last] + [mark[0]] * (mark[0] == last + 1):
                self.disk.write(("ring", number % self.ring.slots), None)
                dirty = True
                yield
        if dirty and "sync at opening" in self.rules:
            begun = self.disk.begin_sync()
            yield
            self.disk.end_sync(begun)
        yield
        floor = max(ring[last].time, mark[1] if mark[0] == last + 1 else 0)
        self.shared = Shared(published=last, durable=last, synced_pages=last, floor=floor)

    def _verifies(self, ring: dict[int, Record], claimed: int, last: int) -> bool:
        newest = {ref.page: ref.tag for n in range(claimed + 1, last + 1) for ref in ring[n].listed}
        for page, tag in newest.items():
            found = self.disk.read(("page", page))
            if "pages verify" in self.rules and tag and (found is None or found.tag != tag):
                return False
        return all(n in ring for n in range(ring[last].base, last))


class Memory:
    """Pages of a process, over those of the file."""

    def __init__(self, file: File) -> None:
        self.file, self.pages = file, dict[int, Content]()
        self.dropped: list[Ref] = []

    def get(self, ref: Ref) -> Content:
        return self.pages[ref.page] if ref.is_private else self.file.page(ref).content

    def put(self, content: Content) -> Ref:
        ref = Ref(-1 - len(self.pages), 1)
        self.pages[ref.page] = content
        return ref

    def drop(self, ref: Ref) -> None:
        if not ref.is_private:
            self.dropped.append(ref)


class Writing:
    """Pages that a commit will write to the file."""

    def __init__(self, file: File, number: int, base: Record) -> None:
        self.file, self.number = file, number
        self.free, self.end = list(base.free), base.end
        self.waiting: list[tuple[Ref, Page]] = []
        shared = file.shared
        self.durable = shared.durable                   # before the pins
        self.floor = max(self.durable, shared.synced_pages)
        self.pins = list(shared.pins.values()) if "pins" in file.rules else []
        syncs = [target for target in shared.syncs.values() if target > self.durable]
        if "syncs announced" in file.rules:
            self.pins += syncs

    def put(self, content: Content) -> Ref:
        ref = Ref(self._take(), next(self.file.serial))
        self.waiting.append((ref, Page(ref.tag, self.number, content)))
        return ref

    def _take(self) -> int:
        for entry in self.free:
            page, made, freed = entry
            needed = any(made <= pin < freed for pin in self.pins)
            if not needed and (freed <= self.durable or made > self.floor):
                self.free.remove(entry)
                return page
        self.end += 1
        return self.end - 1


class Process:
    def __init__(self, file: File, *, full: bool) -> None:
        self.file, self.full = file, full
        self.id = next(file.serial)
        file.alive.add(self.id)
        self.memory = Memory(file)
        self.states: dict[int, State] = {}              # by the checksum of the record

    # ---- reading ----

    def pin(self, *, durable: bool) -> Generator[None, None, tuple[int, State]]:
        """-> a slot, to be given back to unpin(); the newest commit, or the newest durable one"""
        shared, slot, stale = self.file.shared, next(self.file.serial), 0

        def newest() -> int:
            return shared.durable if durable else shared.published

        while True:
            number = newest()
            yield
            shared.pins[slot] = number
            yield
            if "look again" in self.file.rules and newest() != number:
                continue
            yield
            state = yield from self.replay(number)
            if state:
                return slot, state
            stale += 1
            if stale > 2:
                shared.want_pages = True

    def unpin(self, slot: int) -> None:
        self.file.shared.pins.pop(slot, None)

    def replay(self, number: int) -> Generator[None, None, State | None]:
        """The state at a commit that is pinned, or the newest under the committer lock. None: it is not in the ring any
        more."""
        record = self.file.slot(number)
        if record is None:
            return None
        if record.checksum in self.states:
            return self.states[record.checksum]
        records = [record]
        while not records[-1].has_pages and records[-1].checksum not in self.states:
            yield
            before = self.file.slot(records[-1].number - 1)
            if before is None or before.checksum != records[-1].before:
                return None
            records.append(before)
        for one in reversed(records):
            yield
            self.states[one.checksum] = self._step(one)
        return self.states[record.checksum]

    def _step(self, record: Record) -> State:
        if record.checksum in self.states:
            return self.states[record.checksum]
        if record.has_pages:
            assert record.root
            return State(record, record, record.root, record.times, ())
        before = self.states[record.before]
        self.memory.dropped = []
        number = record.number if "own numbers" in self.file.rules else before.base.number
        root = tree.apply(self.memory, before.root, number, dict(record.changes))
        dropped = before.dropped + tuple(self.memory.dropped)
        return State(record, before.base, root, (*before.times, record.time), dropped)

    def rows(self, state: State, moment: int) -> dict[int, int]:
        return dict(tree.read(self.memory, state.root, moment))

    # ---- syncing ----

    def sync(self) -> Steps:
        """Makes durable what is published."""
        shared, slot = self.file.shared, next(self.file.serial)
        while True:
            target = shared.published
            shared.syncs[slot] = target
            yield
            if shared.published == target:
                break
        begun = self.file.disk.begin_sync()
        yield
        self.file.disk.end_sync(begun)
        yield
        shared.durable = max(shared.durable, target)
        del shared.syncs[slot]

    # ---- committing ----

    def commit(self, changes: Changes, seen: dict[int, int], *, pages: bool) -> Generator[None, None, str]:
        """seen: of each key, the commit that wrote its living version; 0: none lived.

        -> "done", "conflict" or "nothing" """
        shared = self.file.shared
        while shared.owner is not None:
            if shared.owner not in self.file.alive:
                shared.owner, shared.unrecovered = None, True
            yield
        shared.owner = self.id
        yield
        if shared.unrecovered:
            yield from self._void()
        state = yield from self.replay(shared.published)
        assert state, "nobody writes records meanwhile"
        net: Changes = {}
        for key, value in changes.items():
            begun, living = tree.newest(self.memory, state.root, key)
            if "validation" in self.file.rules and (begun if living is not None else 0) != seen[key]:
                shared.owner = None
                return "conflict"
            if living != value:
                net[key] = value
        if not net:
            shared.owner = None
            return "nothing"
        record = yield from self._publish(state, net, pages)
        if self.full:
            while shared.durable < record.number:
                yield from self.sync()
            self.file.truth.acknowledged.append(record.checksum)
        return "done"

    def _void(self) -> Steps:
        """What a committer has left that died."""
        file, shared = self.file, self.file.shared
        if shared.intent and shared.intent[2]:
            shared.published = max(shared.published, shared.intent[0])
        shared.intent = None
        yield
        any_ = False
        for i in range(file.ring.slots):
            record = file.disk.read(("ring", i))
            if record and record.number > shared.published and "voided" in file.rules:
                file.disk.write(("ring", i), None)
                any_ = True
                yield
        if any_:
            yield from self.sync()
        shared.unrecovered = False

    def _publish(self, state: State, net: Changes, pages: bool) -> Generator[None, None, Record]:
        file, shared, number = self.file, self.file.shared, state.record.number + 1
        if number - shared.durable > file.ring.unsynced:
            yield from self.sync()
        pages = pages or shared.want_pages or number - state.base.number > file.ring.small
        fields: dict[str, Any] = {"base": state.base.number, "changes": tuple(net.items())}
        if pages:
            fields = yield from self._write_pages(state, number, net)
        fields.setdefault("durable", shared.durable)
        while True:
            file.clock += 1
            time = max(file.clock, state.record.time + 1, shared.floor + 1)
            yield
            shared.intent = number, time, False
            yield
            if "intent" in file.rules and shared.floor >= time:
                shared.intent = None
                continue
            if pages:
                fields["times"] = (*state.times, time)
            record = Record(number, time, state.record.checksum, next(file.serial), **fields)
            file.truth.add(record, net)
            file.disk.write(("ring", number % file.ring.slots), record)
            yield
            if "intent" not in file.rules or shared.intent == (number, time, False):
                break
        shared.intent = number, time, True
        yield
        shared.published = max(shared.published, number)
        yield
        shared.intent, shared.owner = None, None
        return record

    def _write_pages(self, state: State, number: int, net: Changes) -> Generator[None, None, dict[str, Any]]:
        file, shared = self.file, self.file.shared
        shared.want_pages = False
        self.memory.dropped = []
        root = tree.apply(self.memory, state.root, number, net)
        dropped = {*state.dropped, *self.memory.dropped}
        made = {ref: file.page(ref).writer for ref in dropped}
        target = Writing(file, number, state.base)
        stored = tree.store(self.memory, target, root)
        for ref, page in target.waiting:
            file.disk.write(("page", ref.page), page)
            yield
        listed = tuple(ref for ref, _ in target.waiting)
        # Pages that this commit drops may be written over by a later one, although older records list them.
        listed += tuple(Ref(ref.page, 0) for ref in dropped if made[ref] > shared.durable)
        free = (*target.free, *((ref.page, made[ref], number) for ref in dropped))
        fields = {"root": stored, "end": target.end, "free": free, "listed": listed, "base": number}
        before = sum(len(r.listed) for r in map(file.slot, range(shared.durable + 1, number)) if r)
        if len(listed) + before > LISTED:
            yield from self.sync()
            shared.synced_pages = number
            return {**fields, "listed": (), "durable": number}
        return fields

    # ---- moments ----

    def ask(self, moment: int) -> Steps:
        """Which commit answers for a moment is settled before it is told."""
        file, shared = self.file, self.file.shared
        file.clock = max(file.clock, moment)        # nobody asks about the future
        shared.floor = max(shared.floor, moment)
        yield
        intent, mine = shared.intent, 0
        if intent and intent[1] <= moment:
            if intent[2]:
                shared.published = max(shared.published, intent[0])
            else:
                mine = shared.void = intent[0]
                shared.intent = None
        yield
        if "void for all" in file.rules:
            mine = shared.void
        if self.full and mine > shared.durable and "settled mark" in file.rules:
            yield from self._bury(mine, moment, published=shared.published >= mine)
        slot, state = yield from self.pin(durable=False)
        found = max(n for n, time in enumerate(state.times) if time <= moment)
        if self.full:
            while shared.durable < found:
                yield from self.sync()
            file.truth.answered.append((moment, file.truth.chain(state.record.checksum)[found].checksum))
        self.unpin(slot)

    def _bury(self, number: int, moment: int, *, published: bool) -> Steps:
        """A record of the commit with a time up to the moment may be on the disk; afterwards it counts no more.

        published: it has its last time, which may be before the moment."""
        file, shared = self.file, self.file.shared
        for _ in range(file.rng.randrange(6)):          # a living committer writes another over it at once
            yield
        if not published and shared.published < number:
            yield from self.sync()                      # what the mark said before is needed no longer
            shared.mark = max(shared.mark, (number, moment))
        while not published and shared.published < number and shared.mark[0] == number:
            mark = shared.mark
            file.disk.write("settled", mark)
            yield
            begun = file.disk.begin_sync()
            yield
            file.disk.end_sync(begun)
            if shared.mark == mark:                     # else a later one may have been written over
                return
        while shared.durable < number:
            yield from self.sync()
