"""The history tables that SQLite knows (engine/vtab/history.h): made when a statement first needs them.

Each is an eponymous virtual table under a name of its own, `entitydb_history_7`, so that it is in no schema: no
transaction takes it away, and nothing lists it. It stands for one entry of the catalog, and goes when that entry does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from ..._native import lib

if TYPE_CHECKING:
    from .._catalog import Table
    from .._session import Session
    from .content import Declared
    from .names import Then
    from .schema import Schema

_MAKE = "SELECT entitydb_history(?, ?, ?, ?, ?)"
_DROP = "SELECT entitydb_history(?)"
_MOST_THEN = 100  # of tables that are no more


class _Key(NamedTuple):
    schema: str  # its module suffix
    table: int
    starless: bool
    ns: int | None


class HistoryTable(NamedTuple):
    """A history table, as a rewrite puts it into a statement."""

    name: str  # with its schema, as it is written
    arguments: int  # how many zeros stand before those that are given: history.h


class Histories:
    """Those of one connection."""

    def __init__(self, session: Session) -> None:
        self._session = ref(session)
        self._made: dict[_Key, tuple[str, bytes]] = {}  # its name and the entry it was made from
        self._count = 0

    def of(self, schema: Schema, declared: Declared, starless: bool = False) -> HistoryTable:
        """That of a table that is declared."""
        return self._get(schema, declared.table, declared.payload, starless, None)

    def then(self, schema: Schema, then: Then, starless: bool) -> HistoryTable:
        """That of a table that was dropped or renamed, as it was at its last moment."""
        if sum(key.ns is not None for key in self._made) >= _MOST_THEN:
            self._forget([key for key in self._made if key.ns is not None])
        return self._get(schema, then.table, then.payload, starless, then.ns)

    def _forget(self, keys: list[_Key]) -> None:
        session = self._session()
        assert session is not None
        session.forget_prepared()
        for key in keys:
            session.control.execute(_DROP, (self._made.pop(key)[0],)).fetchall()

    def _get(self, schema: Schema, table: Table, payload: bytes, starless: bool, ns: int | None) -> HistoryTable:
        key = _Key(schema.module_suffix, table.id, starless, ns)
        name, known = self._made.get(key, ("", b""))
        if known != payload:
            session = self._session()
            assert session is not None
            self._count += 1
            name = f"entitydb_history_{self._count}"
            session.control.execute(_MAKE, (name, lib.edb_conn_id(schema.engine), table.id, starless, ns)).fetchall()
            self._made[key] = name, payload
        return HistoryTable(f"main.{name}", sum(column.hidden for column in table.columns))

    def follow(self) -> None:
        """After the declarations have changed."""
        session = self._session()
        if not self._made or session is None:
            return
        declared = {
            (schema.module_suffix, one.table.id): one.payload
            for schema in session.schemas()
            for one in schema.declared.values()
        }
        suffixes = {schema.module_suffix for schema in session.schemas()}
        self._forget([
            key
            for key, (_, payload) in self._made.items()
            if key.schema not in suffixes
            or (key.ns is None and declared.get((key.schema, key.table)) != payload)
        ])  # fmt: skip


__all__ = ["Histories", "HistoryTable"]
