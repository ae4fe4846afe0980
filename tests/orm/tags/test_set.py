"""article.tags is a set of texts."""

from __future__ import annotations

import pickle
from collections.abc import Callable, MutableSet
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entitydb_dialect import TagError, TagSet

from .models import Article, Badge, Note

TAGS = ["status:live", "status:draft", "topic:owls", "topic:a:b", "plain", "ünï"]


def test_a_new_object_has_none() -> None:
    article = Article()
    assert article.tags == set()
    assert not article.tags
    assert isinstance(article.tags, MutableSet)
    assert repr(article.tags) == "TagSet()"


def test_the_constructor_and_assignment_take_any_iterable() -> None:
    article = Article(title="Owls", tags=["b", "a", "b"])
    assert article.tags == {"a", "b"}
    article.tags = (letter for letter in "xyz")
    assert article.tags == {"x", "y", "z"}
    article.tags = Article(tags={"other"}).tags
    assert article.tags == {"other"}
    del article.tags
    assert article.tags == set()


def test_iteration_is_sorted_by_code_points() -> None:
    article = Article(tags=["b", "a", "é", "B", "a:b", "𝄞", "\uffff"])
    assert list(article.tags) == ["B", "a", "a:b", "b", "é", "\uffff", "𝄞"]
    assert repr(article.tags).startswith("TagSet({'B', 'a', 'a:b', ")


def test_it_may_be_changed_while_it_is_walked() -> None:
    article = Article(tags={"a", "b"})
    for tag in article.tags:
        article.tags.add(f"{tag}{tag}")
        article.tags.discard(tag)
    assert article.tags == {"aa", "bb"}


def test_values_by_namespace() -> None:
    article = Article(tags=["status:live", "topic:owls", "topic:a:b", "plain", "x:"])
    assert article.tags["status"] == {"live"}
    assert article.tags["topic"] == {"owls", "a:b"}
    assert article.tags[""] == {"plain"}
    assert article.tags["x"] == {""}
    assert article.tags["none"] == set()
    assert list(article.tags.by_namespace().items()) == [
        ("", {"plain"}), ("status", {"live"}), ("topic", {"owls", "a:b"}), ("x", {""}),
    ]  # fmt: skip
    with pytest.raises(TypeError):
        article.tags[0]  # type: ignore[index]


def test_set_one_replaces_the_value_of_a_namespace() -> None:
    article = Article(tags=["status:draft", "status:new", "plain", "topic:owls"])
    article.tags.set_one("status", "live")
    assert article.tags == {"status:live", "plain", "topic:owls"}
    article.tags.set_one("status", "live")
    article.tags.set_one("topic", None)
    article.tags.set_one("lang", "en:GB")
    assert article.tags == {"status:live", "plain", "lang:en:GB"}
    article.tags.set_one("", "other")
    assert article.tags == {"status:live", "other", "lang:en:GB"}


@pytest.mark.parametrize(
    ("namespace", "value"), [("a:b", "c"), ("", "a:b"), ("", ""), ("a", "\n"), (None, "a"), ("a", 5)]
)
def test_set_one_refuses_what_is_no_namespace_or_value(namespace: Any, value: Any) -> None:
    article = Article(tags=["a:1"])
    with pytest.raises(TagError):
        article.tags.set_one(namespace, value)
    assert article.tags == {"a:1"}


def test_what_is_not_there_cannot_be_removed() -> None:
    article = Article(tags=["a"])
    with pytest.raises(KeyError, match="b"):
        article.tags.remove("b")
    article.tags.discard("b")
    assert article.tags.pop() == "a"
    with pytest.raises(KeyError):
        article.tags.pop()


def test_in_place_operators_of_the_attribute() -> None:
    article = Article(tags={"a", "b"})
    article.tags |= {"c"}
    article.tags -= {"a", "z"}
    article.tags ^= {"b", "d"}
    article.tags &= {"c", "d", "e"}
    assert article.tags == {"c", "d"}
    article.tags -= article.tags
    assert article.tags == set()


def test_a_set_of_one_object_is_no_part_of_another() -> None:
    one, other = Article(tags={"a"}), Article()
    other.tags = one.tags
    one.tags.add("b")
    assert (one.tags, other.tags) == ({"a", "b"}, {"a"})
    assert {"a", "b"} == one.tags
    assert one.tags > other.tags
    with pytest.raises(TypeError):
        hash(one.tags)


def test_a_dataclass_takes_its_fields_and_not_the_tags() -> None:
    note = Note("owls", stars=5)
    note.tags.add("a")
    assert (note, list(note.tags)) == (Note("owls", stars=5), ["a"])
    with pytest.raises(TypeError):
        Note("owls", tags={"a"})  # type: ignore[call-arg]


def test_objects_are_pickled_with_their_tags() -> None:
    badge = pickle.loads(pickle.dumps(Badge(code="B", tags={"a", "b"})))
    badge.tags.discard("a")
    assert badge.tags == {"b"}
    tags = pickle.loads(pickle.dumps(badge.tags))
    assert isinstance(tags, TagSet)
    assert tags == {"b"}


# Each does one thing to a set and returns something. What sets refuse, both refuse with the same class.
OPERATIONS: dict[str, Callable[[Any, str, set[str]], Any]] = {
    "add": lambda s, tag, tags: s.add(tag),
    "discard": lambda s, tag, tags: s.discard(tag),
    "remove": lambda s, tag, tags: s.remove(tag),
    "clear": lambda s, tag, tags: s.clear(),
    "update": lambda s, tag, tags: s.update(tags, [tag]),
    "update nothing": lambda s, tag, tags: s.update(),
    "difference_update": lambda s, tag, tags: s.difference_update(tags, [tag]),
    "intersection_update": lambda s, tag, tags: s.intersection_update(tags | {tag}, tags),
    "intersection_update nothing": lambda s, tag, tags: s.intersection_update(),
    "symmetric_difference_update": lambda s, tag, tags: s.symmetric_difference_update(tags),
    "in": lambda s, tag, tags: (tag in s, 5 in s),
    "len": lambda s, tag, tags: (len(s), bool(s)),
    "iter": lambda s, tag, tags: (sorted(s), set(s)),
    "compare": lambda s, tag, tags: (s == tags, s != tags, s <= tags, s < tags, s >= tags, s > tags, tags <= s),
    "operators": lambda s, tag, tags: (s | tags, s & tags, s - tags, s ^ tags, tags | s, tags & s, tags - s, tags ^ s),
    "methods": lambda s, tag, tags: (
        s.union(tags, [tag]), s.intersection(tags), s.difference(tags), s.symmetric_difference(tags), s.copy(),
        s.issubset(tags), s.issuperset(tags), s.isdisjoint(tags),
    ),
}  # fmt: skip


@pytest.mark.slow
@given(
    st.sets(st.sampled_from(TAGS)),
    st.lists(st.tuples(st.sampled_from(list(OPERATIONS)), st.sampled_from(TAGS), st.sets(st.sampled_from(TAGS)))),
)
def test_it_does_what_a_set_does(begin: set[str], steps: list[tuple[str, str, set[str]]]) -> None:
    article, model = Article(tags=begin), set(begin)
    for name, tag, tags in steps:
        results = []
        for subject in (article.tags, model):
            try:
                results.append(OPERATIONS[name](subject, tag, tags))
            except KeyError as error:
                results.append(error.args)
        assert results[0] == results[1], name
        assert set(article.tags) == model
