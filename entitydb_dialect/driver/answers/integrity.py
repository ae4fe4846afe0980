"""Whether partial indexes hold what they should. It needs SQL: their WHERE is evaluated for every row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import apsw

from ... import _exceptions as ex
from .._catalog import rowid_name
from .._database import Breach
from ..rewrite.partial_indexes import HIDDEN
from ..sql.tokens import BAD, VARIABLE, quote, tokens

if TYPE_CHECKING:
    from .._session import Session

# Errors that say nothing about the file.
_NOT_OF_THE_FILE = (apsw.SQLITE_NOMEM, apsw.SQLITE_IOERR, apsw.SQLITE_FULL, apsw.SQLITE_INTERRUPT, apsw.SQLITE_BUSY)


def _is_expression(where: str) -> bool:
    """Is it one expression and no more? It may come from a file that somebody has tampered with."""
    depth = 0
    for token in tokens(where):
        depth += (token.upper == "(") - (token.upper == ")")
        if depth < 0 or token.upper == ";" or token.kind in (BAD, VARIABLE):
            return False
    return depth == 0


def misses(session: Session) -> Iterator[tuple[int, str]]:
    """(tree, sentence) of every partial index with entries of other rows than those its WHERE is true of."""
    for table in session.catalog()[0].values():
        for index in table.indexes:
            if index.where is None:
                continue
            if not _is_expression(index.where):
                yield index.tree, f"the WHERE of index {index.name} is no expression"
                continue
            key = rowid_name(column.name for column in table.columns) or "*"
            source = f"FROM main.{quote(table.name)} WHERE"
            # CASE shows the condition to no plan: this one must not be answered from the index.
            due = f"SELECT {key} {source} CASE WHEN ({index.where}\n) THEN 1 END"
            there = f"SELECT {key} {source} {HIDDEN} = {index.tree}"
            try:
                missing = session.run(f"{due} EXCEPT {there} LIMIT 1")
                wrong = session.run(f"{there} EXCEPT {due} LIMIT 1")
            except ex.DatabaseError as error:
                if (error.sqlite_errorcode or 0) & 255 in _NOT_OF_THE_FILE:
                    raise
                yield index.tree, f"the WHERE of index {index.name} cannot be evaluated: {error}"
                continue
            for row in missing:
                yield index.tree, f"row {row[0]} of table {table.name} has no entry in index {index.name}"
            for row in wrong:
                sentence = f"row {row[0]} of table {table.name} has an entry in index {index.name}"
                yield index.tree, f"{sentence}, whose WHERE is not true of it"


def breaches(session: Session) -> list[Breach]:
    """All of them, as `check` reports them."""
    return [Breach("I33", 0, sentence) for _, sentence in misses(session)]


__all__ = ["breaches", "misses"]
