"""Models through time: temporal() and versions() in any select().

It knows SQLAlchemy and no database. A dialect takes part with `TemporalCompiler` among the bases of its compiler.

    tables.py        the history table of a Table, and references to it
    expressions.py   expressions over tables, as expressions over history tables
    guards.py        what keeps past and present objects apart
    comparing.py     criteria over the relationships of past classes
    relations.py     their relationships
    twins.py         past_class(): a model's class of past objects, mapped
    lineage.py       the versions of models with several tables
    entities.py      temporal(), versions()
    criteria.py      with_loader_criteria() for past classes
    joins.py         joins that would mix past and present
    compiling.py     from these constructs to SQL
    tag_events.py    when objects got their tags and lost them
    reading.py       history(), blame(), previous(), next_version(): versions of single objects
    session.py       TemporalSession; aio.py: the same for asyncio
"""

from __future__ import annotations

from .compiling import TemporalCompiler
from .entities import Temporal, Versions, temporal, versions
from .reading import Blame, HistoryEntry, blame, history, next_version, previous
from .session import TemporalSession, moment_of
from .twins import past_class

__all__ = [
    "Blame",
    "HistoryEntry",
    "Temporal",
    "TemporalCompiler",
    "TemporalSession",
    "Versions",
    "blame",
    "history",
    "moment_of",
    "next_version",
    "past_class",
    "previous",
    "temporal",
    "versions",
]
