"""The database of now as SQL, for iterdump(), and copied row by row, for backup()."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from .. import _exceptions as ex
from ._catalog import Table, View
from ._dump_tags import Ask, ByHand, by_hand, declarations, literal
from .ddl.unversioned import table_text
from .sql.tokens import quote

if TYPE_CHECKING:
    from ._session import Session


def _begin(session: Session, ask: Ask) -> bool:
    """In a transaction everything is of one moment. -> whether it was opened for this."""
    session.check_open()
    if session.raw.in_transaction:
        return False
    ask("BEGIN").close()
    return True


def _end(session: Session, begun: bool) -> None:
    if begun:
        session.rollback()


def _matches(session: Session, name: str, pattern: str | None) -> bool:
    return pattern is None or bool(session.raw.execute("SELECT ? LIKE ?", (name, pattern)).fetchall()[0][0])


def _stored(ask: Ask, table: Table, tags: ByHand | None) -> list[str]:
    """Names of the columns that are written to, quoted, and of the row id where tags need it."""
    info = ask(f"PRAGMA table_xinfo({quote(table.name)})")
    columns = [quote(row[1]) for row in info if row[6] == 0]
    return columns if tags is None or not tags.carried else [tags.carried, *columns]


def _rows(table: Table, listed: str) -> str:
    order = "" if table.without_rowid else " ORDER BY rowid"
    return f"SELECT {listed} FROM main.{quote(table.name)}{order}"


def iterdump(session: Session, ask: Ask, pattern: str | None = None) -> Iterator[str]:
    begun = _begin(session, ask)
    try:
        yield from _statements(session, ask, pattern)
    finally:
        _end(session, begun)


def _statements(session: Session, ask: Ask, pattern: str | None) -> Iterator[str]:
    ask("SELECT 1")  # fixes the moment
    tables, views = session.catalog()
    yield "BEGIN TRANSACTION;"
    chosen = [t for t in sorted(tables.values(), key=lambda t: t.id) if _matches(session, t.name, pattern)]
    for table in chosen:
        yield table_text(table) + ";"
        yield from (declaration + ";" for declaration in declarations(table))
        tags = by_hand(ask, table)
        columns = _stored(ask, table, tags)
        literals = " || ',' || ".join(literal(name) for name in columns)
        every = len(columns) == len(table.visible) and (tags is None or not tags.carried)
        named = "" if every else "(" + ",".join(columns) + ")"
        for (values,) in ask(_rows(table, literals)):
            yield f"INSERT INTO {quote(table.name)}{named} VALUES({values});"
        if tags is not None:
            yield from (statement + ";" for statement in tags.statements(ask))
    for table in chosen:
        yield from (index.sql + ";" for index in table.indexes if not index.automatic)
    for view in _in_order(views):
        if _matches(session, view.name, pattern):
            yield view.sql + ";"
    yield "COMMIT;"


def _in_order(views: dict[str, View]) -> list[View]:
    return sorted(views.values(), key=lambda view: view.id)


def backup(
    session: Session, ask: Ask, target: Any, progress: Callable[[int, int, int], object] | None
) -> None:
    if not hasattr(target, "in_transaction"):
        raise ex.ProgrammingError(f"backup: {target!r} is neither a connection of ours nor of the sqlite3 module")
    if target.in_transaction:
        raise ex.ProgrammingError("backup: the target has an open transaction")
    enforced = next(iter(target.execute("PRAGMA foreign_keys").fetchall()))[0]
    begun = _begin(session, ask)
    try:
        target.execute("PRAGMA foreign_keys = OFF")
        target.execute("BEGIN")
        _copy(session, ask, target, progress)
        target.commit()
    finally:
        target.rollback()
        target.execute(f"PRAGMA foreign_keys = {int(enforced)}")
        _end(session, begun)


def _copy(session: Session, ask: Ask, target: Any, progress: Callable[[int, int, int], object] | None) -> None:
    ask("SELECT 1")
    tables, views = session.catalog()
    chosen = sorted(tables.values(), key=lambda table: table.id)
    knows_tags = hasattr(target, "set_commit_time")  # else it is SQLite's
    for done, table in enumerate(chosen, 1):
        target.execute(table_text(table) if knows_tags else table.sql)
        tags = by_hand(ask, table) if knows_tags else None
        for declaration in declarations(table) if knows_tags else ():
            target.execute(declaration)
        columns = _stored(ask, table, tags)
        listed = ", ".join(columns)
        insert = f"INSERT INTO {quote(table.name)}({listed}) VALUES ({', '.join('?' * len(columns))})"
        target.executemany(insert, ask(_rows(table, listed)))
        if tags is not None:
            tags.copy(ask, target)
        if progress is not None:
            progress(0, len(chosen) - done, len(chosen))
    for table in chosen:
        for index in table.indexes:
            if not index.automatic:
                target.execute(index.sql)
    for view in _in_order(views):
        target.execute(view.sql)
