"""EXPLAIN QUERY PLAN: the words of SQLite for the plans of the engine (engine/vtab/vtab.h has their alphabet)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .entity_plan import AS_OF, explained_entities

if TYPE_CHECKING:
    from .._catalog import Index, Table
    from .._session import Session

_STEPS = "(?:[=isnaANgl<>pPw][pk-][c-])*"
_TAIL = "(?:/[tlf]|/s[0-9a-f]{2}|/g[0-9a-f]{2}(?:[0-9a-f]{4}[ad])+|/a(?:[0-9a-f]{5})+|/w(?:[0-9a-f]{5}[=<l>g])+)*"
_STRING = rf"(\d+):([fr])([omn-])({_STEPS})({_TAIL})\|[a-z]"
_PLAN = re.compile(rf"^(SCAN|SEARCH) (.*) VIRTUAL TABLE INDEX {_STRING}(.*)$", re.DOTALL)
# Of a history table: engine/vtab/history.h.
_DATED = re.compile(r"^(SCAN|SEARCH) (.*) VIRTUAL TABLE INDEX (\d+):([@#])(.*)$", re.DOTALL)
_OF_HISTORY = {"@": AS_OF, "#": ", VERSIONS"}
_SIGNS = {"=": "=?", "i": "=?", "s": " IS ?", "n": " IS NULL", "N": " IS NOT NULL", "a": "=?", "A": " IS ?"}
_SIGNS |= {">": ">?", "g": ">=?", "<": "<?", "l": "<=?"}
_ROWID = 0xFFFF


class _Walk(NamedTuple):
    """One virtual table of a plan: what is walked, and what is done with its entries."""

    table: Table | None
    tree: Index | None  # None: the table's own
    merged: bool
    nothing: bool
    steps: list[str]  # operators, in order
    skips: bool
    sorts: list[str]  # terms by which groups are sorted
    automatic: list[str]  # columns of an automatic index


def _name(table: Table | None, digits: str) -> str:
    """A column's; the hidden ones behind the table's own hold another order of a column."""
    number = int(digits, 16)
    if number == _ROWID:
        return "rowid"
    return table.columns[number].name if table is not None and number < len(table.columns) else "<expr>"


def _read(table: Table | None, index: Index | None, order: str, steps: str, tail: str) -> _Walk:
    sections = {part[0]: part[1:] for part in tail.split("/") if part}
    terms = sections.get("g", "")[2:]
    columns = sections.get("a", "")
    return _Walk(
        table,
        index,
        order == "m",
        order == "n",
        [steps[at] for at in range(0, len(steps) - 2, 3) if steps[at] not in "pPw"],
        "s" in sections,
        [
            _name(table, terms[at : at + 4]) + (" DESC" if terms[at + 4] == "d" else "")
            for at in range(0, len(terms), 5)
        ],
        [_name(table, columns[at : at + 4]) for at in range(0, len(columns), 5)],
    )


def _parts(walk: _Walk) -> list[str]:
    if walk.table is None or walk.tree is None:
        return ["rowid"]
    columns = [walk.table.columns[part.column] for part in walk.tree.parts]
    return ["<expr>" if column.hidden else column.name for column in columns] + ["rowid"]


def _terms(names: list[str], operators: list[str]) -> str:
    words, part = [], 0
    for sign in operators:
        words.append((names[part] if part < len(names) else "?") + _SIGNS[sign])
        part += sign in "=isn"
    return " AND ".join(words)


def _looked_up(walk: _Walk) -> str:
    """What the automatic index is asked for: the equalities of the walk, and its own."""
    bound = [sign for sign in walk.steps if sign in "=isn"]
    own = [sign for sign in walk.steps if sign in "aA"]
    words = [_terms(_parts(walk), bound)] if bound else []
    words += [name + _SIGNS[sign] for name, sign in zip(walk.automatic, own, strict=False)]
    return f"AUTOMATIC INDEX ({' AND '.join(words)})"


def _described(walk: _Walk, name: str, repeated: bool) -> str:
    own = [sign for sign in walk.steps if sign not in "aA"]
    automatic = bool(walk.automatic) and repeated
    verb = "SEARCH" if own or automatic else "SCAN"
    text = f"{verb} {name}"
    if walk.tree is not None:
        text += f" USING INDEX {walk.tree.name}"
    elif own:
        text += " USING INTEGER PRIMARY KEY"
    if own:
        text += f" ({_terms(_parts(walk), own)})"
    if automatic:
        text += (" OR " if walk.tree is not None or own else " USING ") + _looked_up(walk)
    if walk.nothing:
        return f"{text}, NO ROW"
    if walk.merged:
        text += ", MERGING RANGES"
    if walk.sorts:
        text += f", SORTING GROUPS BY {', '.join(walk.sorts)}"
    return text + (", SKIPPING DUPLICATES" if walk.skips else "")


def _explained(row: Any, indexes: list[tuple[str, Table, Index | None]], repeated: bool) -> Any:
    """A row of EXPLAIN QUERY PLAN as SQLite would put it for an ordinary table. Trees are numbered by database: when
    several have the number, the table's name decides."""
    if len(row) != 4 or not isinstance(row[3], str):
        return row
    if (own := explained_entities(row[3])) is not None:
        return (*row[:3], own)
    behind = ""
    detail = row[3]
    if dated := _DATED.match(detail):
        verb, name, tree, sign, rest = dated.groups()
        behind = _OF_HISTORY[sign]
        detail = f"{verb} {name} VIRTUAL TABLE INDEX {tree}:{rest}"
    if not (match := _PLAN.match(detail)):
        return row
    _, name, tree, _, order, steps, tail, rest = match.groups()
    number = int(tree)
    fitting = [one for one in indexes if (one[2].tree if one[2] is not None else one[1].id) == number]
    if len(fitting) > 1:
        written = [one for one in fitting if f"{one[0]}.{one[1].name}".lower() == name.lower()]
        fitting = written or [one for one in fitting if one[1].name.lower() == name.lower()] or fitting
    table, index = fitting[0][1:] if len(fitting) == 1 else (None, None)
    walk = _read(table, index, order, steps, tail)
    return (*row[:3], _described(walk, name, repeated) + behind + rest)


def _is_repeated(rows: list[Any], at: int) -> bool:
    """Whether a loop is run more than once: inside another loop, or in a correlated subquery."""
    parent = rows[at][1]
    if any(row[1] == parent and row[3].startswith(("SCAN", "SEARCH")) for row in rows[:at]):
        return True
    above = {row[0]: row for row in rows}
    while parent in above:
        if above[parent][3].startswith("CORRELATED"):
            return True
        parent = above[parent][1]
    return False


def explained(session: Session, rows: list[Any]) -> list[Any]:
    """The rows of an EXPLAIN as SQLite would put them for ordinary tables."""
    tables = [(schema.name, declared.table) for schema in session.schemas() for declared in schema.declared.values()]
    walks: list[tuple[str, Table, Index | None]] = [(schema, table, None) for schema, table in tables]
    walks += [(schema, table, index) for schema, table in tables for index in table.indexes]
    plan = all(len(row) == 4 and isinstance(row[3], str) for row in rows)
    return [_explained(row, walks, plan and _is_repeated(rows, at)) for at, row in enumerate(rows)]


__all__ = ["explained"]
