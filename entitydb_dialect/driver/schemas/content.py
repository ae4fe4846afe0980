"""What a catalog holds: tables, views and settings by name, and which table has which index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from .. import _catalog


class Declared(NamedTuple):
    """A table as SQLite knows it."""

    name: str
    payload: bytes
    table: _catalog.Table


Declaration: TypeAlias = Declared | _catalog.View


@dataclass
class Content:
    """The entries of a catalog, by lower-case name; settings by their own."""

    tables: dict[str, Declared] = field(default_factory=dict)
    views: dict[str, _catalog.View] = field(default_factory=dict)
    settings: dict[str, _catalog.Setting] = field(default_factory=dict)
    index_tables: dict[str, str] = field(default_factory=dict)  # an index's table, both in lower case

    @classmethod
    def of(cls, rows: Iterable[Any]) -> Content:
        """What a query for payloads gave."""
        made = cls()
        for (payload,) in rows:
            made.add(payload)
        return made

    def copy(self) -> Content:
        return Content(dict(self.tables), dict(self.views), dict(self.settings), dict(self.index_tables))

    def add(self, payload: bytes) -> Declaration | None:
        """A new entry, or one in the place of what has its name. -> what SQLite is to know of it."""
        entry = _catalog.decode(payload)
        if isinstance(entry, _catalog.Table):
            return self._add_table(Declared(entry.name, payload, entry))
        if isinstance(entry, _catalog.View):
            self.views[entry.name.lower()] = entry
            return entry
        if isinstance(entry, _catalog.Setting):
            self.settings[entry.name] = entry
        return None

    def _add_table(self, declared: Declared) -> Declared:
        name, table = declared.name.lower(), declared.table
        last = next(reversed(self.tables.values()), None)
        self.tables[name] = declared
        for index in table.indexes:
            self.index_tables[index.name.lower()] = name
        if last is not None and last.table.id > table.id:  # replaced: tables are in the order in which they were made
            self.tables = dict(sorted(self.tables.items(), key=lambda item: item[1].table.id))
        return declared

    def drop(self, name: str) -> Declaration | None:
        """Takes a view or table out. -> it, if it was there."""
        view = self.views.pop(name.lower(), None)
        if view is not None:
            return view
        declared = self.tables.pop(name.lower(), None)
        for index in declared.table.indexes if declared is not None else ():
            self.index_tables.pop(index.name.lower(), None)
        return declared

    def find_index(self, name: str) -> tuple[_catalog.Table, _catalog.Index] | None:
        """An index and its table."""
        table = self.index_tables.get(name.lower())
        if table is None:
            return None
        found = self.tables[table].table
        return found, next(index for index in found.indexes if index.name.lower() == name.lower())


__all__ = ["Content", "Declaration", "Declared"]
