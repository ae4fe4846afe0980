"""Random histories of tags through the ORM against a model, at every past moment.

A history is a list of steps, each on one of a few objects; some steps end a transaction. The model is a dictionary from
keys to sets. After the history every moment is read again: the objects there, their tags by each way of loading, the
criteria and the counts.
"""

from __future__ import annotations

import pickle
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session, joinedload, lazyload, selectinload, subqueryload

from entitydb_dialect import at, commit_moment, tag_values, tagged, tagged_all, tagged_any, tagged_expression

from .models import Article, Badge, Base, Engineer, Person

TAGS = ["a", "b", "s:1", "s:2", "s:2:3", "t:*"]
KEYS = [1, 2, 3]
State = dict[int, set[str]]

# How the objects of a kind are made of a number, and the attribute that is their key.
KINDS: dict[str, tuple[Any, str, Callable[[int], Any]]] = {
    "integer": (Article, "id", lambda number: number),
    "text": (Badge, "code", str),
    "subclass": (Engineer, "id", lambda number: number),
}

tags = st.sets(st.sampled_from(TAGS))
one_tag = st.sampled_from(TAGS)
key = st.sampled_from(KEYS)
steps = st.one_of(
    st.tuples(st.just("create"), key, tags),
    st.tuples(st.just("delete"), key),
    st.tuples(st.just("delete by statement"), key),
    st.tuples(st.just("replace"), key, tags),
    st.tuples(st.just("add"), key, one_tag),
    st.tuples(st.just("update"), key, tags),
    st.tuples(st.just("discard"), key, one_tag),
    st.tuples(st.just("difference"), key, tags),
    st.tuples(st.just("symmetric difference"), key, tags),
    st.tuples(st.just("set_one"), key, st.sampled_from(["1", "2", "2:3", None])),
    st.tuples(st.just("clear"), key),
    st.tuples(st.just("expire"), key),
    st.tuples(st.just("load"), key),
    st.tuples(st.just("query"), st.sampled_from([selectinload, joinedload, subqueryload, lazyload])),
    st.tuples(st.just("merge"), key, tags),
    st.tuples(st.just("pickle"), key, one_tag),
    st.tuples(st.just("savepoint")),
    st.tuples(st.just("undo")),
    st.tuples(st.just("commit")),
    st.tuples(st.just("commit")),
    st.tuples(st.just("rollback")),
    st.tuples(st.just("flush")),
    st.tuples(st.just("forget")),
)


class History:
    """A Session and what it should come to."""

    def __init__(self, session: Session, kind: str) -> None:
        self.session = session
        self.cls, self.attribute, self.make_key = KINDS[kind]
        self.state: State = {}
        self.committed: State = {}
        self.savepoints: list[tuple[Any, State]] = []
        self.moments: list[tuple[int, State]] = []

    def play(self, step: tuple[Any, ...]) -> None:
        method = getattr(self, step[0].replace(" ", "_"), None)
        if method is None:
            self._change(*step)
        else:
            method(*step[1:])

    def found(self, number: int) -> Any:
        for one in self.session.new:
            if isinstance(one, self.cls) and getattr(one, self.attribute) == self.make_key(number):
                return one
        return self.session.get(self.cls, self.make_key(number))

    def create(self, number: int, tags: set[str]) -> None:
        if number not in self.state:
            self.session.add(self.cls(**{self.attribute: self.make_key(number)}, tags=tags))
            self.state[number] = set(tags)

    def delete(self, number: int) -> None:
        if self.state.pop(number, None) is not None:
            one = self.found(number)
            if one in self.session.new:
                self.session.expunge(one)
            else:
                self.session.delete(one)

    def delete_by_statement(self, number: int) -> None:
        if self.cls is not Engineer and self.state.pop(number, None) is not None:
            self.session.flush()
            self.session.execute(delete(self.cls).where(getattr(self.cls, self.attribute) == self.make_key(number)))

    def expire(self, number: int) -> None:
        if number in self.state:
            self.session.flush()
            self.session.expire(self.found(number))

    def load(self, number: int) -> None:
        if number in self.state:
            assert set(self.found(number).tags) == self.state[number]

    def query(self, option: Any) -> None:
        """All of them, some of which have been loaded and changed."""
        self.session.flush()
        assert read(self.session, self, option(self.cls.tags)) == self.state

    def merge(self, number: int, tags: set[str]) -> None:
        """Of an object that was changed outside of the Session."""
        if number in self.state:
            self.session.flush()
            one = self.found(number)
            one.tags.load()
            self.session.expunge(one)
            one.tags = tags
            self.session.merge(one)
            self.state[number] = set(tags)

    def pickle(self, number: int, tag: str) -> None:
        if number in self.state:
            self.session.flush()
            one = self.found(number)
            one.tags.load()
            self.session.expunge(one)
            one = pickle.loads(pickle.dumps(one))
            self.session.add(one)
            one.tags ^= {tag}
            self.state[number] ^= {tag}

    def savepoint(self) -> None:
        self.savepoints.append((self.session.begin_nested(), copy(self.state)))

    def undo(self) -> None:
        """Back to the last savepoint."""
        if self.savepoints:
            savepoint, self.state = self.savepoints.pop()
            savepoint.rollback()

    def commit(self) -> None:
        self.savepoints.clear()
        before = self.moments[-1][0] if self.moments else None
        self.session.commit()
        self.committed = copy(self.state)
        try:
            moment = commit_moment(self.session)
        except Exception:
            if self.committed:
                raise
            return
        if moment == before:
            assert self.moments[-1][1] == self.committed  # nothing was written, and nothing had to be
        else:
            self.moments.append((moment, self.committed))

    def rollback(self) -> None:
        self.savepoints.clear()
        self.session.rollback()
        self.state = copy(self.committed)

    def flush(self) -> None:
        self.session.flush()

    def forget(self) -> None:
        self.session.flush()
        self.session.expunge_all()

    def _change(self, name: str, number: int, *given: Any) -> None:
        if number not in self.state:
            return
        one, model = self.found(number), self.state[number]
        if name == "replace":
            one.tags, self.state[number] = given[0], set(given[0])
        elif name == "add":
            one.tags.add(*given), model.add(*given)
        elif name == "update":
            one.tags |= given[0]
            model |= given[0]
        elif name == "discard":
            one.tags.discard(*given), model.discard(*given)
        elif name == "difference":
            one.tags -= given[0]
            model -= given[0]
        elif name == "symmetric difference":
            one.tags ^= given[0]
            model ^= given[0]
        elif name == "set_one":
            one.tags.set_one("s", *given)
            model -= {tag for tag in model if tag.startswith("s:")}
            model |= {f"s:{value}" for value in given if value is not None}
        else:
            assert name == "clear"
            one.tags.clear(), model.clear()


def copy(state: State) -> State:
    return {number: set(tags) for number, tags in state.items()}


def read(session: Session, history: History, *options: Any) -> State:
    back = {history.make_key(number): number for number in KEYS}
    found = session.scalars(select(history.cls).options(*options)).unique()
    return {back[getattr(one, history.attribute)]: set(one.tags) for one in found}


def compare(session: Session, history: History, state: State) -> None:
    """What a Session says of a state."""
    cls = history.cls
    assert read(session, history, selectinload(cls.tags)) == state
    session.expunge_all()
    assert read(session, history) == state
    column = getattr(cls, history.attribute)

    def keys(criterion: Any) -> set[Any]:
        return set(session.scalars(select(column).where(criterion)))

    def wanted(holds: Callable[[set[str]], bool]) -> set[Any]:
        return {history.make_key(number) for number, tags in state.items() if holds(tags)}

    assert keys(tagged(cls, "s:2")) == wanted(lambda tags: "s:2" in tags)
    assert keys(tagged(cls, "s:2*")) == wanted(lambda tags: bool(tags & {"s:2", "s:2:3"}))
    assert keys(tagged_all(cls, ["a", "s:2*"])) == wanted(lambda tags: "a" in tags and bool(tags & {"s:2", "s:2:3"}))
    assert keys(tagged_any(cls, ["b", "t:*"])) == wanted(lambda tags: bool(tags & {"b", "t:*"}))
    assert keys(tagged_expression(cls, 'a & !(s:1 | "t:*")')) == wanted(
        lambda tags: "a" in tags and not tags & {"s:1", "t:*"}
    )
    assert keys(~cls.tags.any()) == wanted(lambda tags: not tags)
    counts = Counter(tag.partition(":")[2] for tags in state.values() for tag in tags if tag.startswith("s:"))
    assert tag_values(session, "s", cls) == counts


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_random_histories(make_engine: Callable[..., Engine], kind: str) -> None:
    engine = make_engine("entitydb://?page_size=512")
    Base.metadata.create_all(engine)
    if kind == "subclass":
        with Session(engine) as session:  # a row of the base table, which is no Engineer
            session.add(Person(id=9, tags=TAGS))
            session.commit()

    @settings(max_examples=60)
    @given(st.lists(steps, max_size=40), st.booleans())
    def play(history_steps: list[tuple[Any, ...]], autoflush: bool) -> None:
        with warnings.catch_warnings(), Session(engine, autoflush=autoflush) as session:
            warnings.simplefilter("error")
            for one in session.scalars(select(KINDS[kind][0])):
                session.delete(one)
            session.commit()
            history = History(session, kind)
            for step in history_steps:
                history.play(step)
            session.flush()
            compare(session, history, history.state)
            session.rollback()
            compare(session, history, history.committed)
            for moment, state in history.moments:
                with at(session, moment) as past:
                    compare(past, history, state)

    play()
