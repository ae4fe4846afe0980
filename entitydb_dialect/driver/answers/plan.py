"""EXPLAIN QUERY PLAN: the names of indexes for the numbers of trees."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .._catalog import Index, Table
    from .._session import Session

_STEPS = "(?:[=isnNgl<>pP][k-][c-])*"
_PLAN = re.compile(rf"^(SCAN|SEARCH) (.*) VIRTUAL TABLE INDEX (\d+):([fr][o-])({_STEPS})(.*)$", re.DOTALL)
_SIGNS = {"=": "=?", "i": "=?", "s": " IS ?", "n": " IS NULL", "N": " IS NOT NULL"}
_SIGNS |= {">": ">?", "g": ">=?", "<": "<?", "l": "<=?"}


def _terms(names: list[str], steps: str) -> str:
    words, part = [], 0
    for at in range(0, len(steps) - 2, 3):
        sign = steps[at]
        words.append((names[part] if part < len(names) else "?") + _SIGNS.get(sign, "?"))
        part += sign in "=isn"
    return " AND ".join(words)


def _explained(row: Any, indexes: list[tuple[int, str, Table, Index]]) -> Any:
    """A row of EXPLAIN QUERY PLAN as SQLite would put it for an ordinary table. Trees are numbered by database: when
    several have the number, the table's name decides."""
    if len(row) != 4 or not isinstance(row[3], str) or not (match := _PLAN.match(row[3])):
        return row
    _, name, tree, _, steps, rest = match.groups()
    steps = re.sub("(?:[pP]k-)+$", "", steps)  # terms of the driver's about partial indexes
    fitting = [(schema, table, index) for number, schema, table, index in indexes if number == int(tree)]
    if len(fitting) > 1:
        written = [one for one in fitting if f"{one[0]}.{one[1].name}".lower() == name.lower()]
        fitting = written or [one for one in fitting if one[1].name.lower() == name.lower()] or fitting
    found = fitting[0][1:] if len(fitting) == 1 else None
    if found is None:
        text = f"SEARCH {name} USING INTEGER PRIMARY KEY ({_terms(['rowid'], steps)})" if steps else f"SCAN {name}"
        if fitting:
            text = f"{'SEARCH' if steps else 'SCAN'} {name} USING INDEX"
    else:
        table, index = found
        columns = [table.columns[part.column] for part in index.parts]
        names = ["<expr>" if column.hidden else column.name for column in columns]
        what = f"{name} USING INDEX {index.name}"
        text = f"SEARCH {what} ({_terms(names, steps)})" if steps else f"SCAN {what}"
    return (*row[:3], text + rest)


def explained(session: Session, rows: list[Any]) -> list[Any]:
    """The rows of an EXPLAIN as SQLite would put them for ordinary tables."""
    indexes = [
        (index.tree, schema.name, declared.table, index)
        for schema in session.schemas()
        for declared in schema.declared.values()
        for index in declared.table.indexes
    ]
    return [_explained(row, indexes) for row in rows]


__all__ = ["explained"]
