"""history() tells which tags objects got and lost, beside what became of their columns."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from entitydb_dialect import blame, commit_moment, history, temporal, transaction_info, versions

from .models import Article, Author, Badge, Engineer, Machine, Manager, Note, Person, Setting, Shelf, Shift

Told = tuple[str, set[str], set[str], list[str]]


def told(session: Session, target: Any, **options: Any) -> list[Told]:
    """Of each entry the operation, the tags added and removed, and the attributes that changed."""
    return [
        (entry.operation, set(entry.tags_added), set(entry.tags_removed), list(entry.changed))
        for entry in history(session, target, **options)
    ]


def test_beside_changes_of_the_row_and_alone(session: Session) -> None:
    article = Article(id=1, title="Owls", tags={"status:draft"})
    session.add(article)
    session.commit()
    with transaction_info(actor="ann", reason="ready"):
        article.tags.set_one("status", "live")
        article.tags.add("topic:owls")
        session.commit()
    article.title = "All owls"
    article.tags.discard("topic:owls")
    session.commit()
    article.title = "All the owls"
    session.commit()
    article.tags.add("seen")
    session.commit()
    session.delete(article)
    session.commit()
    entries = list(history(session, (Article, 1)))
    assert [(e.operation, set(e.tags_added), set(e.tags_removed), e.object.title) for e in entries] == [
        ("insert", {"status:draft"}, set(), "Owls"),
        ("tag", {"status:live", "topic:owls"}, {"status:draft"}, "Owls"),
        ("update", set(), {"topic:owls"}, "All owls"),
        ("update", set(), set(), "All the owls"),
        ("tag", {"seen"}, set(), "All the owls"),
        ("delete", set(), {"status:live", "seen"}, "All the owls"),
    ]
    tagging = entries[1]
    assert (tagging.transaction.actor, tagging.transaction.reason) == ("ann", "ready")
    assert tagging.transaction.id == tagging.transaction_id
    assert tagging.transaction.committed_at == tagging.valid_from
    assert (tagging.changed, tagging.key) == ({}, (1,))
    assert tagging.valid_to == entries[0].valid_to == entries[2].valid_from
    assert [entry.valid_from for entry in entries] == sorted({entry.valid_from for entry in entries})
    assert len(set(entries)) == len(entries)


def test_of_a_class_a_select_and_a_time(session: Session) -> None:
    moments = []
    for number in range(1, 5):
        session.add(Article(id=number, title=f"{number}", tags={"new"}))
        session.commit()
    for number in (3, 1, 2):
        session.get_one(Article, number).tags.set_one("turn", f"{number}")
        session.commit()
        moments.append(commit_moment(session))
    inserted: Told = ("insert", {"new"}, set(), ["id", "title", "author_id"])

    def tag(number: int) -> Told:
        return "tag", {f"turn:{number}"}, set(), []

    assert told(session, Article) == [inserted, tag(1), inserted, tag(2), inserted, tag(3), inserted]
    assert told(session, select(Article).where(Article.id > 2)) == [inserted, tag(3), inserted]
    assert told(session, Article, since=moments[1]) == [tag(1), tag(2)]
    assert told(session, Article, until=moments[0]) == [inserted, inserted, inserted, tag(3), inserted]
    assert told(session, (Article, 1), since=moments[0], until=moments[0]) == []
    assert told(session, Article, since=moments[0], until=moments[1]) == [tag(1), tag(3)]


KEYS = (
    (Badge, {"code": "a"}, {"holder": "b"}), (Shift, {"day": "mo", "number": 2}, {"hours": 8}),
    (Setting, {"id": 5}, {"rowid": 9}), (Note, {"text": "n"}, {"stars": 1}),
    (Person, {"id": 4}, {"name": "p"}), (Engineer, {"id": 4}, {"language": "Go"}), (Manager, {"id": 4}, {"name": "m"}),
    (Machine, {"code": "m"}, {"power": 2}),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("model", "key", "change"), KEYS)
def test_of_every_kind_of_key_and_of_inheritance(
    session: Session, model: Any, key: dict[str, Any], change: dict[str, Any]
) -> None:
    other, found = model(**_moved(key)), model(**key)
    session.add_all([other, found])
    session.commit()
    found.tags |= {"one", "two"}
    other.tags.add("other")
    session.commit()
    for name, value in change.items():
        setattr(found, name, value)
    found.tags.discard("one")
    session.commit()
    entries = told(session, found)
    assert [entry[:3] for entry in entries[1:]] == [
        ("tag", {"one", "two"}, set()), ("update" if change else "tag", set(), {"one"}),
    ]  # fmt: skip
    assert (entries[0][0], entries[-1][3]) == ("insert", list(change))
    assert told(session, other)[1:] == [("tag", {"other"}, set(), [])]
    assert sorted(map(str, told(session, model))) == sorted(map(str, entries + told(session, other)))


def _moved(key: dict[str, Any]) -> dict[str, Any]:
    return {name: value + 1 if isinstance(value, int) else f"{value} too" for name, value in key.items()}


def test_a_row_id_that_no_attribute_is_can_be_read_of_versions(session: Session) -> None:
    session.add_all([Badge(code="a"), Badge(code="b")])
    session.commit()
    v = versions(Badge)
    assert sorted(session.scalars(select(v.entity._entitydb_row_id))) == [1, 2]
    assert [sorted(entry.changed) for entry in history(session, Badge)] == [["code", "holder"]] * 2


def test_two_moments_of_a_joined_model_with_such_a_row_id(session: Session) -> None:
    session.add(Machine(code="a", power=1))
    session.commit()
    first = commit_moment(session)
    session.get_one(Machine, "a").power = 2
    session.commit()
    then, later = temporal(Machine, as_of=first), temporal(Machine, as_of=commit_moment(session))
    found = session.execute(select(then, later).join(later, later.code == then.code)).one()
    assert [machine.power for machine in found] == [1, 2]


def test_tags_set_by_sql_and_declared_columns_are_told(session: Session) -> None:
    session.add(Article(id=1, title="x"))
    session.commit()
    session.execute(text("INSERT INTO entitydb_tags(type, entity, tag) VALUES ('article', 1, 'by hand')"))
    session.commit()
    assert told(session, (Article, 1))[1:] == [("tag", {"by hand"}, set(), [])]


def test_blame_is_of_columns(session: Session) -> None:
    article = Article(id=1, title="x")
    session.add(article)
    session.commit()
    first = commit_moment(session)
    article.tags.add("t")
    session.commit()
    assert {found.valid_from for found in blame(session, article).values()} == {first}


def test_a_class_without_tags_costs_no_other_query(session: Session, executed: Callable[..., Any]) -> None:
    session.add_all([Author(id=1, name="a", tags={"t"}), Author(id=2, name="b"), Shelf(id=1)])
    session.commit()
    for target, queries in ((Shelf, 1), (Author, 2)):
        with executed("SELECT") as statements:
            assert list(history(session, target))
        assert len(statements) == queries


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_random_histories_tell_the_tags_at_every_moment(session: Session, rng: random.Random, number: int) -> None:
    """The tags that entries add and remove give those of every moment, over several portions of versions."""
    states: list[tuple[int, dict[int, tuple[str, set[str]]]]] = []
    keys, names = range(1, rng.choice((4, 120))), ["a", "b", "status:live", "status:draft"]
    for _ in range(60):
        for _ in range(rng.choice((1, 3, 40))):
            found = session.get(Article, rng.choice(keys))
            kind = rng.random()
            if found is None:
                session.add(Article(id=rng.choice([k for k in keys if session.get(Article, k) is None]), title="t",
                                    tags=set(rng.sample(names, rng.randrange(3)))))  # fmt: skip
                session.flush()
            elif kind < 0.15:
                session.flush()
                session.delete(found)
                session.flush()
            elif kind < 0.4:
                found.title = f"t{rng.randrange(5)}"
            elif kind < 0.7:
                found.tags.add(rng.choice(names))
            else:
                found.tags.discard(rng.choice(names))
        session.commit()
        if commit_moment(session):
            now = {a.id: (a.title, set(a.tags)) for a in session.scalars(select(Article))}
            states.append((commit_moment(session), now))
    seen: dict[int, tuple[str, set[str]]] = {}
    entries = sorted(history(session, Article), key=lambda entry: entry.valid_from)
    for moment, state in states:
        while entries and entries[0].valid_from <= moment:
            entry = entries.pop(0)
            key = entry.key[0]
            tags = set() if entry.operation == "insert" else seen[key][1]
            assert not tags & entry.tags_added
            assert tags >= entry.tags_removed
            seen[key] = entry.object.title, (tags | entry.tags_added) - entry.tags_removed
            if entry.operation == "delete":
                assert not seen.pop(key)[1]
        assert seen == state
    assert not entries
