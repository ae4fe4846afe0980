"""Tags on objects: the mixin Tagged, criteria over tags, and the values of a namespace.

Every row of every table is an entity of the engine, and tags can be put on it. This package maps them.

    texts.py        what text is a tag
    rows.py         Tag, mapped to the engine's table of tags
    entities.py     which row an object of a mapped class is
    criteria.py     tagged() and its kind, for WHERE
    declared.py     the tags of declared columns
    tag_set.py      the set that `article.tags` is
    past_tags.py    what it is at objects of the past
    property.py     the relationship under it
    mixin.py        the mixin that adds the relationship to a class
    values.py       tag_values()
"""

from __future__ import annotations

from .criteria import tagged, tagged_all, tagged_any, tagged_expression
from .mixin import Tagged
from .rows import Tag
from .tag_set import TagSet
from .texts import TagError, exact_tag
from .values import tag_values

__all__ = [
    "Tag",
    "TagError",
    "TagSet",
    "Tagged",
    "exact_tag",
    "tag_values",
    "tagged",
    "tagged_all",
    "tagged_any",
    "tagged_expression",
]
