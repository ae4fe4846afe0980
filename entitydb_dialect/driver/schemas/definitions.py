"""The schema of then: what names of tables and views meant as of a moment, with the columns that they had."""

from __future__ import annotations

import json
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from ... import _exceptions as ex
from ..._moments import LAST_NS
from ..._native import lib
from .. import _catalog
from ..rewrite.past_names import view_then
from .content import Content
from .names import then_name

if TYPE_CHECKING:
    from .._session import Session
    from .schema import Schema

_MOST_CONTENTS = 50  # catalogs of the past that are kept, of each database
_NOT_OURS = ("sqlite_", "pragma_", _catalog.OWN_PREFIX)  # what such names begin with has one meaning always


class Definitions:
    """The catalogs of one database, by what was committed.

    Attributes:
        changed: when it last changed; 0: never.
    """

    def __init__(self, schema: Schema) -> None:
        ((told,),) = schema.run(
            "SELECT entitydb_schema_changes(?)", (lib.edb_conn_id(schema.engine),), as_of=LAST_NS
        )
        changes = sorted(json.loads(told))
        self._moments = sorted({ns for ns, _ in changes})
        self._of: dict[int, list[int]] = {}
        for ns, entry in changes:
            self._of.setdefault(entry, []).append(ns)
        self._contents: dict[int, Content] = {}
        self.changed = self._moments[-1] if self._moments else 0

    def content(self, schema: Schema, ns: int) -> Content:
        """The catalog as of a moment."""
        epoch = bisect_right(self._moments, ns)
        found = self._contents.get(epoch)
        if found is None:
            if len(self._contents) >= _MOST_CONTENTS:
                self._contents.clear()
            found = self._contents[epoch] = Content.of(schema.run(schema.catalog_sql, as_of=ns))
        return found

    def last(self, entry: int, ns: int) -> int:
        """The last moment at which an entry is what it is at `ns`; `ns` itself while it is that."""
        moments = self._of.get(entry, [])
        at = bisect_right(moments, ns)
        return moments[at] - 1 if at < len(moments) else ns

    def ends(self, entry: int) -> list[int]:
        """The last moments of an entry's earlier states, the newest first."""
        return [ns - 1 for ns in reversed(self._of.get(entry, [])[1:])]


class Readable(NamedTuple):
    """What a connection can read as of a moment, by lower-case name."""

    tables: dict[str, _catalog.Table]
    views: dict[str, _catalog.View]
    aliases: dict[str, _catalog.Table]  # names that some of the tables had, and may be read by as well


class SchemaThen:
    """Those of a connection's databases, as they are asked for. It is the PastNames of rewrite/past_names.py for
    statements under the schema of then."""

    def __init__(self, session: Session) -> None:
        self._session = ref(session)
        self._definitions: dict[str, Definitions] = {}  # by the database's name

    def _owner(self) -> Session:
        found = self._session()
        assert found is not None
        return found

    def forget(self) -> None:
        """After the catalogs have changed."""
        self._definitions.clear()

    def of(self, schema: Schema) -> Definitions:
        found = self._definitions.get(schema.name)
        if found is None:
            found = self._definitions[schema.name] = Definitions(schema)
        return found

    def changed(self) -> int:
        """From this moment on the schema is what it is now, in all databases; LAST_NS: a transaction is changing it."""
        schemas = self._owner().schemas()
        if any(schema.before_ddl is not None for schema in schemas):
            return LAST_NS
        return max(self.of(schema).changed for schema in schemas)

    # ---- names in statements ----

    def meant_others(self, schema: str | None, name: str) -> bool:
        """Is it a name of ours, that has to be looked up?"""
        return not name.lower().startswith(_NOT_OURS) and self._owner().schema_meant(schema, name) is not None

    def meant_then(self, schema: str | None, name: str, ns: int | None) -> str | None:
        """What to read from instead of a table's or view's name, as of a moment; None: the name itself.

        Args:
            ns: None: several moments, or one that depends on rows. Then the names are those of now.

        Raises:
            OperationalError: there was no such table or view then.
        """
        session = self._owner()
        past = session.past_names
        if ns is None:
            return past.meant_then(schema, name, None) if past.meant_others(schema, name) else None
        found = session.schema_meant(schema, name)
        assert found is not None
        definitions, lowered = self.of(found), name.lower()
        content = definitions.content(found, ns)
        view = content.views.get(lowered)
        if view is not None:
            settled = ns >= self.changed() and found.views.get(lowered) == view
            return None if settled else view_then(view.sql, found.name, self, ns)
        then = content.tables.get(lowered)
        if then is None:
            if lowered in found.declared or lowered in found.views or past.ever(found, name):
                raise ex.OperationalError(past.missing(found, name, ns))
            return None
        now = found.declared.get(lowered)
        if now is not None and _reads_alike(now.table, then.table):
            return None
        return f"{found.sql_name}.{then_name(then.table.id, definitions.last(then.table.id, ns))}"

    # ---- reflection ----

    def readable(self, schema: Schema, ns: int, *, then: bool) -> Readable:
        """What can be read as of a moment, with the columns that reading it gives.

        Args:
            then: under the schema of then; else under today's, in which a table that is no more has the columns that it
                had last.
        """
        session = self._owner()
        session.past_names.follow()
        content = self.of(schema).content(schema, ns)
        if then:
            return Readable({name: one.table for name, one in content.tables.items()}, dict(content.views), {})
        now, views = schema.read_catalog(None)
        current = {table.id: table for table in now.values()}
        found = Readable({}, {name: view for name, view in views.items() if name in content.views}, {})
        for declared in content.tables.values():
            known = found.tables
            present = current.get(declared.table.id, declared.table)
            for name in {present.name.lower(): None, declared.name.lower(): None}:
                table = session.past_names.table_at(schema, name, ns, now)
                if table is not None and table.id == declared.table.id:
                    known[name] = table
                    known = found.aliases
        return found


def _reads_alike(a: _catalog.Table, b: _catalog.Table) -> bool:
    """Do two definitions of a name give the same columns of the same rows?"""
    return (
        (a.id, a.visible, a.rowid_column, a.without_rowid) == (b.id, b.visible, b.rowid_column, b.without_rowid)
        and a.extra.get("foreign_keys") == b.extra.get("foreign_keys")
    )  # fmt: skip


__all__ = ["Definitions", "Readable", "SchemaThen"]
