"""What names of tables have meant: a name may have been another table's, which was dropped or has another name now."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from ... import _exceptions as ex
from ..._moments import LAST_NS, from_ns
from ..._native import lib
from .. import _catalog
from .._errors import check

if TYPE_CHECKING:
    from .._session import Session
    from .schema import Schema

# As a name in a statement: the table of an id as it was at a moment (nanoseconds), the last one at which it was that.
_THEN = re.compile("entitydb_then_([0-9]+)_([0-9]+)")


def then_name(table: int, ns: int) -> str:
    return f"entitydb_then_{table}_{ns}"


class Meaning(NamedTuple):
    """That a name meant a table, from `begun` to `ended` (excluded; None: it does so now). Nanoseconds."""

    table: int
    name: str
    begun: int
    ended: int | None

    @property
    def then(self) -> str:
        """What stands for it in a statement, once it is over."""
        assert self.ended is not None
        return then_name(self.table, self.ended - 1)


def _settled(meanings: list[Meaning]) -> int:
    """From when on a name means what it means now."""
    last = max(meanings, key=lambda one: one.begun)
    return last.ended or (last.begun if len(meanings) > 1 else 0)


class Names:
    """Those of one database, by what was committed.

    Attributes:
        changed: from this moment on each name means what it means now.
    """

    def __init__(self, schema: Schema) -> None:
        ((told,),) = schema.run("SELECT entitydb_names(?)", (lib.edb_conn_id(schema.engine),))
        self._meanings: dict[str, list[Meaning]] = {}
        self._tables: dict[int, list[Meaning]] = {}
        open_ones: dict[int, tuple[str, int]] = {}
        for ns, table, was, new in sorted(json.loads(told), key=lambda event: event[:2]):
            if was is not None and table in open_ones:
                name, begun = open_ones.pop(table)
                self._add(Meaning(table, name, begun, ns))
            if new is not None:
                open_ones[table] = new, ns
        for table, (name, begun) in open_ones.items():
            self._add(Meaning(table, name, begun, None))
        self.changed = max(map(_settled, self._meanings.values()), default=0)

    def _add(self, meaning: Meaning) -> None:
        self._meanings.setdefault(meaning.name.lower(), []).append(meaning)
        self._tables.setdefault(meaning.table, []).append(meaning)

    def of(self, name: str) -> list[Meaning]:
        """All that a name has meant, oldest first."""
        return sorted(self._meanings.get(name.lower(), ()), key=lambda one: one.begun)

    def at(self, name: str, ns: int) -> Meaning | None:
        """What a name meant at a moment; None: nothing."""
        return next((one for one in self.of(name) if one.begun <= ns and (one.ended is None or ns < one.ended)), None)

    def dropped(self) -> set[str]:
        """Names of tables that were dropped, and that no table has now."""
        last = (max(one, key=lambda meaning: meaning.begun) for one in self._meanings.values())
        return {one.name for one in last if one.ended is not None and self.behind(one) is None}

    def behind(self, meaning: Meaning) -> str | None:
        """The name that its table had next; None: it was dropped."""
        return next((one.name for one in self._tables[meaning.table] if one.begun == meaning.ended), None)


class PastNames:
    """Those of a connection's databases, as they are asked for."""

    def __init__(self, session: Session) -> None:
        self._session = ref(session)
        self._names: dict[str, Names] = {}  # by the database's name
        self._changed: int | None = None  # None: not asked for yet
        self._followed: list[int] = []  # the numbers of the schemas when they were last followed
        session.names_settled = LAST_NS

    def _owner(self) -> Session:
        found = self._session()
        assert found is not None
        return found

    def forget(self) -> None:
        """After the declarations have changed."""
        self._names.clear()
        self._changed = None
        self._owner().names_settled = LAST_NS

    def changed(self) -> int:
        """From this moment on each name means what it means now, in all databases; 0: none ever meant anything else."""
        if self._changed is None:
            session = self._owner()
            self._changed = max(self.of(schema).changed for schema in session.schemas())
            session.names_settled = self._changed
        return self._changed

    def follow(self) -> None:
        """Has what others did to the schema declared, unless a transaction says what is seen."""
        session = self._owner()
        numbers = []
        for schema in session.schemas():
            check(lib.edb_conn_schema(schema.engine, session.number_out))
            numbers.append(int(session.number_out[0]))
        if numbers != self._followed:
            session.end_statement(session.open_statement(False, None, bool(session.raw.in_transaction)))
            self._followed = numbers
            self.forget()
            session.schema_then.forget()

    def meant_others(self, schema: str | None, name: str) -> bool:
        """Has a name, as it is written, meant another table than it means now?"""
        found = self._owner().schema_meant(schema, name)
        if found is None or name.lower() in found.views:
            return False
        return any(one.ended is not None for one in self.of(found).of(name))

    def meant_then(self, schema: str | None, name: str, ns: int | None) -> str | None:
        """What to read from instead of a table's name; None: the name itself.

        Args:
            ns: as of which moment; None: all of them.

        Raises:
            OperationalError: there was no such table then.
        """
        found = self._owner().schema_meant(schema, name)
        assert found is not None
        names, current = self.of(found), found.declared.get(name.lower())
        meanings = names.of(name)
        meaning = meanings[-1] if ns is None else names.at(name, ns)
        if meaning is None and ns is not None:
            earlier = [one for one in meanings if one.begun <= ns]
            if earlier:
                raise ex.OperationalError(_gone(name, ns, earlier[-1], names.behind(earlier[-1])))
            meaning = meanings[0]  # which says when it was made
        assert meaning is not None
        if current is not None and current.table.id == meaning.table:
            return None  # it had another name in between
        if meaning.ended is None or (current is not None and (ns is None or ns < meanings[0].begun)):
            return None
        return f"{found.sql_name}.{meaning.then}"

    def ever(self, schema: Schema, name: str) -> bool:
        """Did a table ever have a name?"""
        return bool(self.of(schema).of(name))

    def missing(self, schema: Schema, name: str, ns: int) -> str:
        """That there was no table of a name at a moment, as a sentence."""
        names = self.of(schema)
        meanings = names.of(name)
        earlier = [one for one in meanings if one.begun <= ns]
        if earlier:
            return _gone(name, ns, earlier[-1], names.behind(earlier[-1]))
        made = f"; it was made at {moment_text(meanings[0].begun)}" if meanings else ""
        return f"no such table: {name} at {moment_text(ns)}{made}"

    def table_at(self, schema: Schema, name: str, ns: int, now: Mapping[str, _catalog.Table]) -> _catalog.Table | None:
        """What a table's name gives as of a moment, under today's schema; None: there was no such table then.

        Args:
            now: the tables of now by lower-case name.
        """
        if not self.meant_others(schema.name, name):
            return now.get(name.lower())
        try:
            meant = self.meant_then(schema.name, name, ns)
        except ex.OperationalError:
            return None
        if meant is None:
            return now.get(name.lower())
        then = table_then(schema, meant.rpartition(".")[2])
        return None if then is None else then.table

    def of(self, schema: Schema) -> Names:
        found = self._names.get(schema.name)
        if found is None:
            found = self._names[schema.name] = Names(schema)
        return found


def _gone(name: str, ns: int, meaning: Meaning, became: str | None) -> str:
    assert meaning.ended is not None
    done = "dropped" if became is None else f"renamed to {became}"
    return f"no such table: {name} at {moment_text(ns)}; it was {done} at {moment_text(meaning.ended)}"


def moment_text(ns: int) -> str:
    """A moment in words, as the engine has them."""
    return f"{from_ns(ns):%Y-%m-%d %H:%M:%S}.{ns % 10**9:09} UTC" if ns < LAST_NS else "now"


class Then(NamedTuple):
    """A table as it was at the last moment it had a name."""

    table: _catalog.Table
    payload: bytes
    ns: int


def table_then(schema: Schema, name: str) -> Then | None:
    """The table that a Meaning's `then` stands for; None: it is no such name."""
    match = _THEN.fullmatch(name)
    if match is None:
        return None
    table, ns = int(match[1]), int(match[2])
    for (payload,) in schema.run(f"{schema.catalog_sql} WHERE id = ?", (table,), as_of=ns):
        entry = _catalog.decode(payload)
        if isinstance(entry, _catalog.Table):
            return Then(entry, payload, ns)
    return None


__all__ = ["Meaning", "Names", "PastNames", "Then", "moment_text", "table_then", "then_name"]
