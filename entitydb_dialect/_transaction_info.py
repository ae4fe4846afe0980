"""What is said of transactions: who, why, and whatever else.

It is kept as members: of `actor` and `reason` the text, None for none; of any other key its value as JSON. So a value
that is changed afterwards changes nothing, and to merge is to merge dictionaries.

The variable `current` is what the blocks around the running code say. It is a context variable: each asyncio task and
each thread has its own, and a task that is started inside a block has the block's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeAlias

from . import _exceptions as ex

Members: TypeAlias = Mapping[str, "str | None"]

_TEXTS = ("actor", "reason")
_to_json = partial(json.dumps, ensure_ascii=False, allow_nan=False, separators=(",", ":"))

current: ContextVar[Members | None] = ContextVar("transaction_info", default=None)


def members_of(info: Any) -> dict[str, str | None]:
    """The members of what somebody says.

    Raises:
        ProgrammingError: it is no mapping, or has a value that cannot be kept.
    """
    if not isinstance(info, Mapping):
        raise ex.ProgrammingError(
            f"transaction_info: {info!r} is not a dictionary, as {{'actor': 'ann', 'reason': 'typo', 'ticket': 7}} is"
        )
    return {_key(key): _member(key, value) for key, value in info.items()}


def _key(key: Any) -> str:
    if not isinstance(key, str) or not _is_text(key):
        raise ex.ProgrammingError(f"transaction_info: a key is a text, not {key!r}")
    return key


def _is_text(value: str) -> bool:
    """Has it no half of a character, which UTF-8 cannot write?"""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _member(key: str, value: Any) -> str | None:
    if key in _TEXTS:
        if value is None:
            return None
        if not isinstance(value, str) or not _is_text(value):
            raise ex.ProgrammingError(f"transaction_info: {key} is a text or None, not {value!r}")
        if key == "actor" and (not value or "\0" in value):
            raise ex.ProgrammingError(f"transaction_info: an actor has one character or more, and no NUL: {value!r}")
        return value
    try:
        text = _to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ex.ProgrammingError(f"transaction_info: {key} is not JSON: {error}") from error
    if not _is_text(text):
        raise ex.ProgrammingError(f"transaction_info: {key} has a text that UTF-8 cannot write: {value!r}")
    return text


def members_of_text(text: Any) -> dict[str, str | None]:
    """The members of what is said in SQL, a JSON object.

    Raises:
        ProgrammingError: it is none.
    """
    if not isinstance(text, str):
        raise ex.ProgrammingError(f"entitydb_transaction_info(): what is said is a JSON object, not {text!r}")
    try:
        info = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ex.ProgrammingError(f"entitydb_transaction_info(): not JSON: {error}") from error
    if not isinstance(info, dict):
        raise ex.ProgrammingError(f"entitydb_transaction_info(): what is said is a JSON object, not {text}")
    return members_of(info)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a value of JSON")


def metadata_of(members: Members) -> str | None:
    """The JSON object of all but actor and reason; None: there is nothing else."""
    parts = [f"{_to_json(key)}:{value}" for key, value in members.items() if key not in _TEXTS]
    return f"{{{','.join(parts)}}}" if parts else None


__all__ = ["Members", "current", "members_of", "members_of_text", "metadata_of"]
