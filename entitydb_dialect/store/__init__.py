"""A database without SQL: entities put, read and found by tags, many at once."""

from __future__ import annotations

from .database import Database, Version

__all__ = ["Database", "Version"]
