"""ALTER TABLE as a new catalog entry of the same table.

What SQLite can do (rename a table or column, add or drop a column) SQLite does: the whole schema is built in a scratch
database, altered there, and read back, so that references in other tables, indexes and views follow and refusals are
SQLite's own. What it cannot do (a column's type, nullability and default, constraints) is an edit of the CREATE TABLE
text. Either way the new text is parsed like any CREATE TABLE, and then meets the old table: columns keep their ids,
which is where stored rows have them, and indexes their trees.

No row is rewritten. Rows older than an added column have its value as of the ALTER from now on; as of a moment before
they have NULL there. A column whose type gets another affinity gets another id too, so that it shows which rows are
older: the engine finds it in them under the old id, and reads it as the new type has it. What is asked of existing rows
(NOT NULL, CHECK, FOREIGN KEY) is a query that must find nothing. Where a constraint might say something else of values
under another type, where there is a USING, in STRICT tables, when a column moves again, and where the default of an
added column is random, rows are written anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import apsw

from ..._exceptions import NotSupportedError, OperationalError
from .._catalog import Column, Index, Part, Table, View, refuse_reserved
from ..sql.tokens import STRING, Token, closing, is_name, quote, tokens, unquote
from . import create as _ddl
from .retention import kept_for
from .scratch import scratch
from .tag_columns import tagged, taken_from_column
from .text import Segment, TableText, default_clause
from .unversioned import bare_column, without_history


@dataclass
class Check:
    """A query that must find no row before the ALTER stands."""

    sql: str
    failed: str  # the message
    integrity: bool = True  # IntegrityError, else OperationalError


@dataclass
class Change:
    """What an ALTER does to the catalog."""

    tables: list[tuple[str, Table]] = field(default_factory=list)  # old name, new entry
    views: list[View] = field(default_factory=list)  # with new texts
    checks: list[Check] = field(default_factory=list)
    before: list[str] = field(default_factory=list)  # statements that store values anew before the edit
    updates: list[str] = field(default_factory=list)  # and after it
    simpler: Table | None = None  # the new entry where no row was ever committed; else the engine refuses it


class _Action:
    """The tokens behind ALTER TABLE name."""

    def __init__(self, sql: str, items: list[Token], at: int) -> None:
        while items and items[-1].text == ";":
            items = items[:-1]
        self.sql, self.items, self.at = sql, items, at

    def take(self, *words: str) -> bool:
        upper = [t.upper for t in self.items[self.at : self.at + len(words)]]
        if upper == list(words):
            self.at += len(words)
            return True
        return False

    def name(self) -> str:
        if self.at >= len(self.items) or not is_name(self.items[self.at]):
            near = self.items[self.at].text if self.at < len(self.items) else "end of statement"
            raise OperationalError(f'near "{near}": syntax error')
        self.at += 1
        return unquote(self.written())

    def written(self) -> str:
        """The name just taken, as it was written."""
        return self.items[self.at - 1].text

    def rest(self) -> str:
        if self.at >= len(self.items):
            raise OperationalError("incomplete input")
        return self.sql[self.items[self.at].start : self.items[-1].end]

    def end(self) -> None:
        if self.at < len(self.items):
            raise OperationalError(f'near "{self.items[self.at].text}": syntax error')


def _action(sql: str) -> _Action:
    items = tokens(sql)
    at = next(i for i, t in enumerate(items) if t.upper == "TABLE") + 1
    action = _Action(sql, items, at)
    action.take("IF", "EXISTS")
    action.name()
    if action.take("."):
        action.name()
    return action


_BEGINS = ("ADD", "ALTER", "DROP", "RENAME", "SET")


def actions(sql: str) -> list[str]:
    """ALTER TABLE t ADD ..., DROP ... as one statement for each."""
    action = _action(sql)
    head = sql[: action.items[action.at - 1].end] if action.at else sql
    starts = [action.at]
    depth = 0
    for i in range(action.at, len(action.items) - 1):
        upper = action.items[i].upper
        depth += (upper == "(") - (upper == ")")
        if upper == "," and depth == 0 and action.items[i + 1].upper in _BEGINS:
            starts.append(i + 1)
    if len(starts) == 1:
        return [sql]
    ends = [start - 2 for start in starts[1:]] + [len(action.items) - 1]
    items = action.items
    found = [sql[items[a].start : items[b].end] for a, b in zip(starts, ends, strict=True)]
    if any(items[start].upper == "RENAME" and items[start + 1].upper == "TO" for start in starts):
        raise NotSupportedError("ALTER TABLE ... RENAME TO: a table's name is changed by a statement of its own")
    return [f"{head} {text}" for text in found]


# ---- the altered text meets the table as it was ----


def _same_index(old: Table, a: Index, new: Table, b: Index) -> bool:
    def parts(table: Table, index: Index) -> list[tuple[int, int, bool]]:
        return [(table.columns[p.column].id, p.collation, p.descending) for p in index.parts]

    return a.unique == b.unique and a.primary_key == b.primary_key and parts(old, a) == parts(new, b)


def _merge(
    old: Table,
    parsed: Table,
    indexes: Iterable[tuple[str, str]],
    renamed: Mapping[str, str],
    *,
    rekeyed: bool = False,
    moves: bool = True,
) -> Table:
    """The parsed table with the old one's ids and trees.

    Args:
        indexes: (old name, CREATE INDEX text) of those made by statements.
        renamed: lower-case new to old column names.
        rekeyed: another column, or none, may be the integer primary key; the caller sees to it that this is right.
        moves: columns whose type has another affinity get another id. Else the caller stores their values anew.
    """
    before = {c.name.lower(): c for c in old.columns}
    following = old.next_column
    columns: list[Column] = []
    for column in parsed.columns:
        key = column.name.lower()
        was = before.get(renamed.get(key, key))
        if was is not None and column.tag is None:
            column = replace(column, tag=was.tag)
        # Said of a column that has a history, it begins to have none, at another place.
        ends = was is not None and column.unversioned and not was.unversioned
        if was is not None:
            column = replace(column, unversioned=column.unversioned or was.unversioned)
        if was is not None and not ends and not (moves and _is_moved(was, column)):
            added = was.added_value
            columns.append(replace(column, id=was.id, added=was.added, added_value=added, earlier=was.earlier))
            continue
        if was is not None:
            # Rows have it under the old id, and are read as under the new type; whoever writes one uses the new id.
            added = _ddl.under_type(was.added_value, column.type) if was.added else None
            earlier = (was.id, *was.earlier)
            columns.append(replace(column, id=following, added=was.added, added_value=added, earlier=earlier))
            following += 1
            continue
        value = column.default if column.default_constant else None
        columns.append(replace(column, id=following, added=value is not None, added_value=value))
        following += 1
    if len(columns) > _ddl.MAX_COLUMNS:
        raise OperationalError(f"too many columns on {old.name}")
    extra = {k: v for k, v in parsed.extra.items() if k != "next_column"}
    if following > max(c.id for c in columns) + 1:
        extra["next_column"] = following
    if "retention" in old.extra:
        extra.setdefault("retention", old.extra["retention"])
    new = replace(
        parsed, id=old.id, columns=tuple(columns), indexes=(), extra=extra, unversioned=old.unversioned_ids
    )
    if not rekeyed and _alias(old) != _alias(new):
        raise NotSupportedError(
            f"ALTER TABLE {old.name}: its integer primary key is what rows are stored by and cannot be changed;"
            " make a new table and copy the rows"
        )
    kept = [i for i in old.indexes if i.automatic]
    computes = _computes_alike(old, new)
    for index in parsed.indexes:
        same = next((i for i in kept if _same_index(old, i, new, index)), None)
        if same is not None:
            kept.remove(same)
            if computes or not _is_computed(new, index):
                index = replace(index, tree=same.tree)
        new = new.with_index(index)
    trees = {i.name.lower(): i.tree for i in old.indexes}
    retyped = _is_retyped(old, new)
    for name, sql in indexes:
        index = _with_old_ids(old, name, new, _ddl.parse_index(sql, new))
        # Under another affinity a WHERE may be true of other rows, and what is computed may be something else: then the
        # index is made anew.
        stays = not (retyped and index.where is not None) and (computes or not _is_computed(new, index))
        if stays and not any(_is_column_retyped(old, new.columns[p.column]) for p in _of_columns(new, index)):
            index = replace(index, tree=trees[name.lower()])
        new = new.with_index(index)
    return new


def _with_old_ids(old: Table, name: str, new: Table, index: Index) -> Index:
    """An index made by a statement, its expressions as the columns that they were before."""
    parts = next(i for i in old.indexes if i.name.lower() == name.lower()).parts
    made = list(index.made)
    for before, part in zip(parts, index.parts, strict=False):
        at = part.column - len(new.columns)
        was = old.columns[before.column]
        if at >= 0 and was.hidden and all(column.id != was.id for column in (*new.columns, *made)):
            made[at] = replace(made[at], id=was.id, name=was.name)
    return replace(index, made=tuple(made))


def _is_computed(table: Table, index: Index) -> bool:
    """Has it a column that no row has?"""
    columns = (*table.columns, *index.made)
    parts = [columns[part.column] for part in index.parts]
    return any(column.expression is not None and not column.stored for column in parts)


def _of_columns(table: Table, index: Index) -> list[Part]:
    """The parts that are columns to SQL."""
    return [part for part in index.parts if part.column < len(table.columns)]


def _is_moved(was: Column, column: Column) -> bool:
    """Has it a type of another affinity, and rows that hold it?"""
    return was.affinity != column.affinity and (column.expression is None or column.stored)


def _is_column_retyped(old: Table, column: Column) -> bool:
    return bool(column.earlier) and all(column.id != was.id for was in old.columns)


def _is_retyped(old: Table, new: Table) -> bool:
    """Has a column a type of another affinity?"""
    before = {c.id: c.affinity for c in old.columns}
    return any(before.get(c.id, c.affinity) != c.affinity or _is_column_retyped(old, c) for c in new.columns)


def _computes_alike(old: Table, new: Table) -> bool:
    """Does what is computed over a row come out as before? Otherwise indexes over virtual columns are filled anew: the
    old entries could not even be found, since that takes the old value."""
    before = {c.id: c.collation for c in old.columns}
    return not _is_retyped(old, new) and all(c.collation == before.get(c.id, c.collation) for c in new.columns)


def _alias(table: Table) -> int | None:
    return table.columns[table.rowid_column].id if table.rowid_column >= 0 else None


def _own_indexes(table: Table) -> list[tuple[str, str]]:
    return [(i.name, i.sql) for i in table.indexes if not i.automatic]


# ---- what SQLite does ----


def _in_scratch(sql: str, tables: Mapping[str, Table], views: Iterable[View]) -> dict[tuple[str, str], str]:
    """Runs an ALTER on a copy of the schema. -> the texts after it, by (type, lower-case name)."""
    with scratch() as db:
        for table in tables.values():
            db.execute(table.sql)
            for _, text in _own_indexes(table):
                db.execute(_ddl.index_text(text, table.name))
        for view in views:
            db.execute(view.sql)
        # A view that does not work would make SQLite refuse whatever is asked of other tables.
        broken = True
        while broken:
            broken = False
            names: list[Any] = db.execute("SELECT name FROM main.sqlite_master WHERE type = 'view'").fetchall()
            for (name,) in names:
                try:
                    db.execute(f"SELECT * FROM main.{quote(name)} LIMIT 0").fetchall()
                except apsw.Error:
                    db.execute(f"DROP VIEW main.{quote(name)}")
                    broken = True
        db.execute(sql)
        rows: list[Any] = db.execute("SELECT type, name, sql FROM main.sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {(kind, name.lower()): text for kind, name, text in rows}


def _like_sqlite(
    sql: str,
    old: Table,
    new_name: str,
    tables: Mapping[str, Table],
    views: Iterable[View],
    renamed: Mapping[str, str],
) -> Change:
    texts = _in_scratch(sql, tables, views)
    change = Change()
    for table in tables.values():
        mine = table.id == old.id
        name = new_name if mine else table.name
        text = texts["table", name.lower()]
        indexes = [(i, texts["index", i.lower()]) for i, _ in _own_indexes(table)]
        # The texts of indexes may differ in form alone; those of the table that is altered are taken over.
        if mine or text != _ddl.table_text(table.sql):
            merged = _merge(table, _ddl.parse_table(text, name), indexes, renamed if mine else {})
            change.tables.append((table.name, merged))
    for view in views:
        text = texts.get(("view", view.name.lower()), view.sql)
        if text != view.sql:
            change.views.append(replace(view, sql=text))
    return change


def _where_not(place: str, table: Table, condition: str) -> str:
    return f"SELECT 1 FROM {place}.{quote(table.name)} WHERE NOT ({condition}) LIMIT 1"


def _add_column(change: Change, place: str, old: Table) -> None:
    (_, new), *_ = change.tables
    column = new.visible[-1]
    some = f"SELECT 1 FROM {place}.{quote(new.name)} LIMIT 1"
    each_row = False  # rows are written, each with a value of its own
    if column.default_sql is not None and not column.default_constant:
        # As PostgreSQL has it: the time is that of the statement, a random value is each row's own.
        value, each_row = _ddl.default_now(column.default_sql, column.type)
        column = replace(column, added=value is not None, added_value=value)
        new = replace(new, columns=tuple(column if c.id == column.id else c for c in new.columns))
        change.tables[0] = old.name, new
        if each_row:
            change.updates.append(f"UPDATE {place}.{quote(new.name)} SET {quote(column.name)} = ({column.default_sql})")
    value = column.added_value if column.added else None
    if column.expression is not None:
        if column.stored:  # rows would have to be rewritten
            change.checks.append(Check(some, "cannot add a STORED column", False))
        elif column.not_null:
            change.checks.append(_not_null_rows(place, new, column))
    elif column.not_null and value is None and not each_row:
        change.checks.append(Check(some, "Cannot add a NOT NULL column with default value NULL", False))
    keys = [k for k in new.extra.get("foreign_keys", []) if [c.lower() for c in k["columns"]] == [column.name.lower()]]
    if keys and (each_row or value is not None):
        change.checks.append(Check(some, "Cannot add a REFERENCES column with non-NULL default value", False))
    known = list(old.extra.get("check", []))
    for check in new.extra.get("check", []):
        if check not in known:
            change.checks.append(_check_rows(place, new, check["sql"], check["name"]))


# ---- what SQLite does not do ----


def _check_rows(place: str, table: Table, condition: str, name: str | None) -> Check:
    return Check(_where_not(place, table, condition), f"CHECK constraint failed: {name or condition}")


def _not_null_rows(place: str, table: Table, column: Column) -> Check:
    return Check(
        f"SELECT 1 FROM {place}.{quote(table.name)} WHERE {quote(column.name)} IS NULL LIMIT 1",
        f"NOT NULL constraint failed: {table.name}.{column.name}",
    )


def _foreign_rows(place: str, table: Table, key: Mapping[str, object], tables: Mapping[str, Table]) -> Check | None:
    """Rows whose key is not in the parent. None: there is no parent, which is found out when rows are written."""
    parent = table if str(key["table"]).lower() == table.name.lower() else tables.get(str(key["table"]).lower())
    columns = list(key["columns"])  # type: ignore[call-overload]
    referred = list(key["referred"])  # type: ignore[call-overload]
    if parent is None:
        return None
    referred = referred or [parent.columns[i].name for i in parent.primary_key]
    if len(referred) != len(columns):
        raise OperationalError(f'foreign key mismatch - "{table.name}" referencing "{parent.name}"')
    present = " AND ".join(f"c.{quote(c)} IS NOT NULL" for c in columns)
    match = " AND ".join(f"p.{quote(r)} = +c.{quote(c)}" for c, r in zip(columns, referred, strict=True))
    return Check(
        f"SELECT 1 FROM {place}.{quote(table.name)} AS c WHERE {present}"
        f" AND NOT EXISTS (SELECT 1 FROM {place}.{quote(parent.name)} AS p WHERE {match}) LIMIT 1",
        "FOREIGN KEY constraint failed",
    )


def _edited(old: Table, text: str, *, moves: bool = True) -> tuple[Change, Table]:
    new = _merge(old, _ddl.parse_table(text, old.name), _own_indexes(old), {}, moves=moves)
    return Change(tables=[(old.name, new)]), new


def _is_null(segment: Segment) -> bool:
    return segment.kind in ("NOT", "NULL")


def _is_default(segment: Segment) -> bool:
    return segment.kind == "DEFAULT"


def _column_of(table: Table, name: str) -> Column:
    for column in table.columns:
        if column.name.lower() == name.lower():
            return column
    raise OperationalError(f'no such column: "{name}"')


def _alter_column(action: _Action, place: str, old: Table, tables: Mapping[str, Table]) -> Change:
    column = _column_of(old, action.name())
    text = TableText(old.sql)
    if action.take("SET", "DATA", "TYPE") or action.take("TYPE"):
        return _alter_type(action, place, old, column, tables)
    if action.take("SET", "NOT", "NULL"):
        action.end()
        if column.not_null:
            return Change()
        edited = TableText(text.without(column.name, _is_null)).with_clause(column.name, "NOT NULL")
        change, new = _edited(old, edited)
        change.checks.append(_not_null_rows(place, new, column))
        return change
    if action.take("DROP", "NOT", "NULL"):
        action.end()
        if _column_of(old, column.name).not_null and old.strict and column in _key_columns(old):
            raise NotSupportedError(f"column {column.name} is in the primary key of a STRICT table: NOT NULL stays")
        return _edited(old, text.without(column.name, _is_null))[0]
    if action.take("SET", "TAG"):
        namespace = _text(action, f"ALTER TABLE {old.name}: SET TAG wants the namespace")
        return Change([(old.name, tagged(old, {column.name.lower(): namespace}))])
    if action.take("DROP", "TAG"):
        action.end()
        return Change([(old.name, tagged(old, {column.name.lower(): None}))])
    if action.take("SET", "UNVERSIONED"):
        action.end()
        if column.unversioned:
            return Change()
        simpler = without_history(old, [column.name.lower()])
        return Change([(old.name, _moved(old, column, unversioned=True))], simpler=simpler)
    if action.take("DROP", "UNVERSIONED"):
        action.end()
        if not column.unversioned:
            return Change()
        # The rows get the values that they have now: as of now, too, nothing is known of others.
        name = quote(column.name)
        change = Change([(old.name, _moved(old, column, unversioned=False))])
        change.updates.append(f"UPDATE {place}.{quote(old.name)} SET {name} = {name}")
        return change
    if action.take("DROP", "DEFAULT"):
        action.end()
        return _edited(old, text.without(column.name, _is_default))[0]
    if action.take("SET", "DEFAULT"):
        bare = TableText(text.without(column.name, _is_default))
        return _edited(old, bare.with_clause(column.name, default_clause(action.rest())))[0]
    raise NotSupportedError(
        f"ALTER TABLE {old.name} ALTER COLUMN {column.name}: EntityDB knows TYPE, SET and DROP NOT NULL,"
        " SET and DROP DEFAULT, SET and DROP TAG, and SET and DROP UNVERSIONED"
    )


def _moved(old: Table, column: Column, *, unversioned: bool) -> Table:
    """The table with a column at another place in stored rows; what was written before has it at the old one."""
    moved = replace(column, id=old.next_column, earlier=(column.id, *column.earlier), unversioned=unversioned)
    columns = tuple(moved if c.id == column.id else c for c in old.columns)
    return replace(old, columns=columns, unversioned=old.unversioned_ids)


def _text(action: _Action, wanted: str) -> str:
    """What stands in quotes at the end of an action."""
    items = tokens(action.rest())
    if len(items) != 1 or items[0].kind != STRING:
        raise OperationalError(f"{wanted}, a text in quotes")
    return unquote(items[0].text)


def _key_columns(table: Table) -> list[Column]:
    return [table.columns[i] for i in table.primary_key]


def _is_judged(table: Table, column: Column, tables: Mapping[str, Table]) -> bool:
    """May a constraint say something else of values under another type? Then rows are written anew, and it is asked."""
    if table.extra.get("check"):
        return True
    name = column.name.lower()
    if any(name in (c.lower() for c in key["columns"]) for key in table.extra.get("foreign_keys", [])):
        return True
    keys = [key for other in tables.values() for key in other.extra.get("foreign_keys", [])]
    return any(key["table"].lower() == table.name.lower() for key in keys)


def _alter_type(
    action: _Action, place: str, old: Table, column: Column, tables: Mapping[str, Table]
) -> Change:
    start = action.at
    at = start
    while at < len(action.items) and action.items[at].upper != "USING":
        at = closing(action.items, at) + 1 if action.items[at].upper == "(" else at + 1
    if at == start:
        raise OperationalError("incomplete input")
    declared = action.sql[action.items[start].start : action.items[at - 1].end]
    using = None
    if at < len(action.items):
        action.at = at + 1
        using = action.rest()
    # USING is asked about the values as they are, and what it says is stored as it is: under the old id.
    change, new = _edited(old, TableText(old.sql).with_type(column.name, declared), moves=using is None)
    altered = _column_of(new, column.name)
    if altered.added and altered.affinity != column.affinity and altered.id == column.id:
        altered = replace(altered, added_value=_ddl.under_type(altered.added_value, altered.type))
        new = replace(new, columns=tuple(altered if c.id == altered.id else c for c in new.columns))
        change.tables = [(old.name, new)]
    if column.expression is not None:
        if using is not None:
            raise OperationalError(f'cannot UPDATE generated column "{column.name}"')
        plain = next(c.name for c in new.columns if c.expression is None)
        if altered.affinity != column.affinity or (new.strict and altered.type != column.type):
            change.updates.append(f"UPDATE {place}.{quote(new.name)} SET {quote(plain)} = {quote(plain)}")
        return change
    name = quote(column.name)
    if altered.earlier and column.earlier:
        # Read under the newest type alone, the oldest rows would miss what the type between made of them.
        change.before.append(f"UPDATE {place}.{quote(old.name)} SET {name} = {name}")
    if (
        using is not None
        or (new.strict and altered.type != column.type)
        or (altered.affinity != column.affinity and _is_judged(old, column, tables))
    ):
        change.updates.append(f"UPDATE {place}.{quote(new.name)} SET {name} = {using or name}")
    return change


def _add_constraint(action: _Action, place: str, old: Table, tables: Mapping[str, Table]) -> Change:
    text = action.rest()
    if action.take("CONSTRAINT"):
        name = action.name()
        if TableText(old.sql).without_constraint(name) is not None:
            raise OperationalError(f"constraint {name} of table {old.name} already exists")
    change, new = _edited(old, TableText(old.sql).with_constraint(text))
    known = old.extra.get("check", [])
    for check in new.extra.get("check", []):
        if check not in known:
            change.checks.append(_check_rows(place, new, check["sql"], check["name"]))
    known = old.extra.get("foreign_keys", [])
    for key in new.extra.get("foreign_keys", []):
        if key not in known:
            missing = _foreign_rows(place, new, key, tables)
            if missing is not None:
                change.checks.append(missing)
    if not old.primary_key and new.primary_key:
        change.checks += [_not_null_rows(place, new, c) for c in _key_columns(new)]
    return change


def _drop_constraint(action: _Action, old: Table) -> Change:
    lenient = action.take("IF", "EXISTS")
    name = action.name()
    action.take("CASCADE")
    action.take("RESTRICT")
    action.end()
    text = TableText(old.sql).without_constraint(name)
    if text is None:
        if lenient:
            return Change()
        raise OperationalError(f"no such constraint: {name}")
    return _edited(old, text)[0]


_CONSTRAINTS = ("CONSTRAINT", "UNIQUE", "CHECK", "FOREIGN", "PRIMARY")


def alter(
    sql: str, old: Table, tables: Mapping[str, Table], views: list[View], place: str = "main"
) -> Change:
    """What an ALTER TABLE does.

    Args:
        place: the table's schema, quoted.

    Raises apsw.Error for what SQLite refuses; OperationalError, NotSupportedError.
    """
    action = _action(sql)
    if action.take("RENAME", "TO"):
        name = action.name()
        plain = f"ALTER TABLE main.{quote(old.name)} RENAME TO {action.written()}"
        action.end()
        refuse_reserved(name)
        return _like_sqlite(plain, old, name, tables, views, {})
    if action.take("RENAME"):
        action.take("COLUMN")
        before = action.name()
        if not action.take("TO"):
            raise OperationalError(f"ALTER TABLE {old.name} RENAME {before}: expected TO and the new name")
        after = action.name()
        plain = f"ALTER TABLE main.{quote(old.name)} RENAME COLUMN {quote(before)} TO {action.written()}"
        action.end()
        return _like_sqlite(plain, old, old.name, tables, views, {after.lower(): before.lower()})
    if action.take("ADD"):
        if action.at < len(action.items) and action.items[action.at].upper in _CONSTRAINTS:
            return _add_constraint(action, place, old, tables)
        action.take("COLUMN")
        lenient = action.take("IF", "NOT", "EXISTS")
        definition = action.rest()
        name = action.name()
        if lenient and any(c.name.lower() == name.lower() for c in old.columns):
            return Change()
        definition, namespace = taken_from_column(definition)
        definition, unversioned = bare_column(definition)
        plain = f"ALTER TABLE main.{quote(old.name)} ADD COLUMN {definition}"
        change = _like_sqlite(plain, old, old.name, {old.name.lower(): old}, [], {})
        if namespace is not None:
            change.tables[0] = old.name, tagged(change.tables[0][1], {name.lower(): namespace})
        if unversioned:
            change.tables[0] = old.name, without_history(change.tables[0][1], [name.lower()])
        _add_column(change, place, old)
        return change
    if action.take("DROP", "CONSTRAINT"):
        return _drop_constraint(action, old)
    if action.take("DROP"):
        action.take("COLUMN")
        lenient = action.take("IF", "EXISTS")
        name = action.name()
        action.take("CASCADE")
        action.take("RESTRICT")
        action.end()
        if lenient and all(c.name.lower() != name.lower() for c in old.columns):
            return Change()
        plain = f"ALTER TABLE main.{quote(old.name)} DROP COLUMN {quote(name)}"
        return _like_sqlite(plain, old, old.name, tables, views, {})
    if action.take("ALTER"):
        action.take("COLUMN")
        return _alter_column(action, place, old, tables)
    if action.take("SET", "RETENTION"):
        return Change([(old.name, kept_for(old, _text(action, f"ALTER TABLE {old.name}: SET RETENTION wants a span")))])
    raise NotSupportedError(
        f"ALTER TABLE {old.name}: EntityDB knows RENAME, ADD, DROP and ALTER COLUMN, ADD and DROP CONSTRAINT, and SET"
        " RETENTION"
    )


__all__ = ["Change", "Check", "actions", "alter"]
