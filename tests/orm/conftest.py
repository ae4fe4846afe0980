"""Engines on files and in memory; what a test leaves is checked."""

from engines import engine, make_engine

__all__ = ["engine", "make_engine"]
