"""What text is a tag, and how tags are written in the engine's tag expressions.

A tag is `namespace:value`. The first colon ends the namespace, so values may hold colons; a tag without a colon has the
namespace ''. The engine judges each tag (engine/entity/tag_text.h). It is judged here too, by the same rules, so that
the error comes from the line that says the tag and not from a later flush.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from sqlalchemy import exc

MOST_BYTES = 1024
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SHOWN = 60


class TagError(exc.ArgumentError, ValueError):
    """What was given is not a tag: it is empty, too long, not text, or has control characters.

    An ArgumentError as the functions of SQLAlchemy raise, and a ValueError as validators of attributes do.
    """


class exact_tag(str):
    """A tag whose "*" at the end is meant literally: `tagged(Song, exact_tag("rating:*****"))`."""

    __slots__ = ()


def checked(tag: Any) -> str:
    """The tag itself, as a plain str.

    Raises:
        TagError: it is none.
    """
    if not isinstance(tag, str):
        raise TagError(f"{_shown(tag)} is not a tag: a tag is a text such as 'status:live'")
    if not tag:
        raise TagError("an empty text is not a tag")
    if tag.startswith(":"):
        raise TagError(f"{_shown(tag)} is not a tag: it begins with a colon; one without a namespace has no colon")
    _judge(tag)
    return str(tag)


def all_checked(tags: Any) -> set[str]:
    """Tags out of any iterable but a text, whose parts would be its letters.

    Raises:
        TagError: one of them is none, or it is no iterable.
    """
    if isinstance(tags, (str, bytes)) or not isinstance(tags, Iterable):
        raise TagError(f"{_shown(tags)} is not a set of tags: write {{{_shown(tags)}}} for a set of one")
    return {checked(tag) for tag in tags}


def _judge(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise TagError(f"{_shown(text)} is not a tag: it has a surrogate, which UTF-8 cannot say") from None
    if size > MOST_BYTES:
        raise TagError(f"{_shown(text)} is not a tag: it has {size} bytes of UTF-8, and at most {MOST_BYTES} fit")
    if found := _CONTROL.search(text):
        raise TagError(f"{_shown(text)} is not a tag: it has a control character at position {found.start()}")


def _shown(given: Any) -> str:
    text = repr(given)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


def split(tag: str) -> tuple[str, str]:
    """(namespace, value)."""
    namespace, colon, value = tag.partition(":")
    return (namespace, value) if colon else ("", tag)


def joined(namespace: Any, value: Any) -> str:
    """The tag of a namespace and a value.

    Raises:
        TagError: there is none; a namespace has no colon, and without one nor has the value.
    """
    if not isinstance(namespace, str) or not isinstance(value, str):
        wrong = value if isinstance(namespace, str) else namespace
        raise TagError(f"{_shown(wrong)} is not a text, as the namespace and the value of a tag are")
    tag = checked(f"{namespace}:{value}" if namespace else value)
    if split(tag) != (namespace, value):
        raise TagError(f"{_shown(tag)} has the namespace {_shown(split(tag)[0])}, not {_shown(namespace)}")
    return tag


def term(tag: Any) -> str:
    """A tag, or with "*" behind it all that begin with it, as the engine's tag expressions have it.

    Raises:
        TagError: it is not a tag.
    """
    if not isinstance(tag, str) or not tag.endswith("*") or isinstance(tag, exact_tag):
        return _quoted(checked(tag))
    _judge(tag[:-1])
    return _quoted(tag[:-1]) + "*"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


__all__ = ["TagError", "all_checked", "checked", "exact_tag", "joined", "split", "term"]
