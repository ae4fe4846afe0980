"""Tags as SQL, for iterdump(), and copied, for backup(): what is tagged must be the same row there.

Tag columns, and how long history is kept, are declared behind their CREATE TABLE, by ALTER TABLE. So that text stays as
the catalog has it, and one that SQLite reads; a clause in it would be a syntax error to SQLite, or a part of the type.
The table is empty then, and each row brings its tags.

Tags that were given by hand name a row by its row id. Where that is a column the copy has it anyway. Other tables' rows
are given it in the copy, if they have such tags; but those of a WITHOUT ROWID table cannot be, as SQLite refuses
to write it, and are found by their primary key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

from .. import _exceptions as ex
from ._catalog import ROWID_NAMES, Table, rowid_name
from .sql.tokens import quote

# Runs a statement. -> its rows, plain whatever the connection makes of them for its user.
Ask: TypeAlias = Callable[[str], Any]

_INTO = "INSERT INTO entitydb_tags(type, entity, tag)"


def literal(name: str) -> str:
    """An expression for the literal of a column's value; quote() alone ends a text at its first NUL."""
    text = f"'CAST(' || quote(CAST({name} AS BLOB)) || ' AS TEXT)'"
    return f"CASE WHEN typeof({name}) = 'text' AND instr({name}, char(0)) THEN {text} ELSE quote({name}) END"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def declarations(table: Table) -> list[str]:
    """What says of a table just made what its CREATE TABLE does not: tag columns, and how long history is kept."""
    alter = f"ALTER TABLE {quote(table.name)}"
    found = [f"{alter} ALTER COLUMN {quote(c.name)} SET TAG {_text(c.tag)}" for c in table.columns if c.tag is not None]
    if "retention" in table.extra:
        found.append(f"{alter} SET RETENTION {_text(table.extra['retention'])}")
    return found


class ByHand(NamedTuple):
    """The tags of a table's rows that no column gives."""

    type: str  # the table's name, as a literal
    source: str  # FROM and what follows, of a query for them: of t, and of r, the rows, if there are keys
    row_id: str  # a name of the row id; "": a column has it
    keys: tuple[str, ...]  # columns that a row is known by in a copy; none: its row id
    table: str  # quoted

    @property
    def carried(self) -> str:
        """The name under which the rows of a copy have to be given their row ids; "": they need not."""
        return "" if self.keys else self.row_id

    def statements(self, ask: Ask) -> Iterator[str]:
        """INSERTs for a dump."""
        if not self.keys:
            for entity, tag in ask(f"SELECT t.entity, t.tag {self.source}"):
                yield f"{_INTO} VALUES({self.type},{entity},{_text(tag)})"
            return
        terms = [f"{_text(f'{key} IS ')} || {literal(f'r.{key}')}" for key in self.keys]
        for tag, where in ask(f"SELECT t.tag, {' || {} || '.format(_text(' AND ')).join(terms)} {self.source}"):
            yield f"{_INTO} SELECT {self.type}, {self.row_id}, {_text(tag)} FROM {self.table} WHERE {where}"

    def copy(self, ask: Ask, target: Any) -> None:
        """The same into a connection of ours."""
        if not self.keys:
            rows = ask(f"SELECT t.entity, t.tag {self.source}")
            target.executemany(f"{_INTO} VALUES ({self.type}, ?, ?)", rows)
            return
        rows = ask(f"SELECT t.tag, {', '.join(f'r.{key}' for key in self.keys)} {self.source}")
        where = " AND ".join(f"{key} IS ?" for key in self.keys)
        target.executemany(f"{_INTO} SELECT {self.type}, {self.row_id}, ? FROM {self.table} WHERE {where}", rows)


def by_hand(ask: Ask, table: Table) -> ByHand | None:
    """None: there are none.

    Raises NotSupportedError when the rows of a copy could not be told apart.
    """
    columns = [c.tag for c in table.columns if c.tag is not None]
    where = f"t.type = {_text(table.name)}"
    if columns:
        where += f" AND t.namespace NOT IN ({', '.join(map(_text, columns))})"
    if not ask(f"SELECT 1 FROM main.entitydb_tags AS t WHERE {where} LIMIT 1").fetchall():
        return None
    row_id = rows = ""
    keys: tuple[str, ...] = ()
    if table.rowid_column < 0:
        row_id = rowid_name(column.name for column in table.visible) or ""
        if not row_id:
            raise ex.NotSupportedError(
                f"table {table.name} has tags given by hand, and columns named {', '.join(ROWID_NAMES)}, so that rows"
                " have no name by which a copy could say whose tags they are; take the tags away first"
            )
    if table.without_rowid:
        keys = tuple(quote(table.columns[i].name) for i in table.primary_key)
        rows = f" JOIN main.{quote(table.name)} AS r ON r.{row_id} = t.entity"
    source = f"FROM main.entitydb_tags AS t{rows} WHERE {where} ORDER BY t.entity, t.tag"
    return ByHand(_text(table.name), source, row_id, keys, quote(table.name))


__all__ = ["Ask", "ByHand", "by_hand", "declarations", "literal"]
