"""From a text to what SQLite is asked: the rewrites, in their order.

    parse(sql) -> Statement        once for a text, in all connections
    prepare(statement, schemas)    once for a text and a connection, until its schema moves
        -> Prepared: the text to run, chosen by the values of parameters where it depends on them, and what has to be
           told to the engine besides

A rewrite answers edits of the statement that it is given. Those of IN_TURN see each what the one before has made of the
statement. RETURNING and ON CONFLICT are then taken off, and AT_ONCE change what is left, each in places of its own. A
statement that is not understood passes unchanged, to be refused by SQLite in SQLite's words. At the end an UPDATE may
become the INSERT by which SQLite runs it in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ... import _exceptions as ex
from ..sql.statement import EDB_SETS_ROWS, WRITE, Statement
from ..sql.text import Edit
from . import (
    bounds,
    equal_by_is,
    expression_indexes,
    generated_columns,
    implied_equalities,
    join_limits,
    join_minimum,
    list_lengths,
    one_row,
    order_terms,
    partial_indexes,
    row_bounds,
    schema_names,
    set_rows,
    shortcuts,
    system_time,
    update_from,
)
from .choices import Choices, Variant
from .indexes import Indexes, mentioned
from .schemas import Schemas
from .upsert_returning import Apart, take_apart

Rewrite: TypeAlias = Callable[[Statement, Schemas], Sequence[Edit]]

IN_TURN: tuple[Rewrite, ...] = (
    system_time.rewrite,
    schema_names.rewrite,
    shortcuts.rewrite,
    join_minimum.rewrite,
    generated_columns.rewrite,
    update_from.rewrite,
    equal_by_is.rewrite,
    one_row.rewrite,
    join_limits.rewrite,
    order_terms.rewrite,
    implied_equalities.rewrite,
    list_lengths.rewrite,
    row_bounds.rewrite,
)
# What they make of a text no literal decides.
KEEP_LITERALS = frozenset((equal_by_is.rewrite, one_row.rewrite, join_limits.rewrite, list_lengths.rewrite))
AT_ONCE: tuple[Callable[[Statement, Indexes], list[Edit]], ...] = (partial_indexes.rewrite, expression_indexes.rewrite)


UNKNOWN = object()  # not found out yet, where None says that there is nothing


class Prepared:
    """A statement as this connection runs it, with the schema as it was declared then.

    Attributes:
        statement: what it is, after the rewrites of IN_TURN.
        is_ours: an INSERT, UPDATE or DELETE changes a table of ours; else one of SQLite's own.
        apart: the pieces of a statement with RETURNING or ON CONFLICT on a table of ours.
        lists_columns: an INSERT was given a column list here.
        shows_schema: it asks for sqlite_master or pragma_...(), so that these have to be there.
        compares: what the engine is told of it; see rewrite/bounds.py.
        choices: what AT_ONCE made of it; None: it has nothing to do with an index.
        keeps_literals: IN_TURN have left it alone, or made of it what they make of all texts that differ from it in
            literals only, and these stand in it in their order.

    Who executes it keeps here what it finds out:
        supplied: the columns an INSERT names, as edb_stmt_supplied() wants them; None: all, or it is no such statement;
            UNKNOWN until it was asked for.
        conflicts: the ON CONFLICT clauses as entitydb_on_conflict() wants them; None until they were asked for.
        query: the query of RETURNING; None until it was asked for.
        each: what executes the text for many sets of parameters; None until it was asked for.
    """

    __slots__ = (
        "_plain",
        "apart",
        "choices",
        "compares",
        "conflicts",
        "each",
        "is_ours",
        "keeps_literals",
        "lists_columns",
        "query",
        "shows_schema",
        "statement",
        "supplied",
    )

    def __init__(self, statement: Statement, is_ours: bool) -> None:
        self.statement = statement
        self.is_ours = is_ours
        self.apart: Apart | None = None
        self.lists_columns = False
        self.shows_schema = False
        self.keeps_literals = True
        self.supplied: Any = UNKNOWN
        self.conflicts: list[Any] | None = None
        self.query: Variant | None = None
        self.each: Any = None
        self.choices: Choices | None = None
        self.compares = 0
        self._plain: Variant | None = None  # the text, where no value of a parameter decides

    @property
    def is_fixed(self) -> bool:
        """Is there one text, whatever the parameters are?"""
        return self._plain is not None

    def variant(self, parameters: Any) -> Variant:
        """The text to run with these parameters; None: whatever they are."""
        if self._plain is not None:
            return self._plain
        assert self.choices is not None
        return self.choices.choose(parameters)


def prepare(statement: Statement, schemas: Schemas, is_ours: bool = True) -> Prepared:
    """Applies the rewrites.

    Raises:
        OperationalError: a write to a generated column; a clause of ON CONFLICT or RETURNING that is none.
        NotSupportedError: what is not done.
    """
    lists_columns = shows_schema = False
    keeps_literals = True
    if statement.asks_schema:
        shows_schema = schema_names.asks(statement)
    for rewrite in IN_TURN:
        edits = rewrite(statement, schemas)
        if edits:
            statement = Statement.of(statement.edited(edits))
            lists_columns |= rewrite is generated_columns.rewrite
            keeps_literals &= rewrite in KEEP_LITERALS
    prepared = Prepared(statement, is_ours)
    prepared.lists_columns, prepared.shows_schema = lists_columns, shows_schema
    prepared.compares = bounds.compares(statement, schemas)
    prepared.keeps_literals = keeps_literals
    if is_ours and statement.takes_apart:
        prepared.apart = take_apart(statement)
        generated_columns.refuse_conflicts(statement, prepared.apart.conflicts, schemas)
    if not is_ours and statement.kind is WRITE:
        prepared._plain = Variant(statement.sql)
    else:
        _choose(prepared, schemas)
    if is_ours and prepared.choices is None and prepared.apart is None:
        _make_one_pass(prepared, schemas)
    return prepared


def _make_one_pass(prepared: Prepared, schemas: Schemas) -> None:
    """Gives SQLite another text of an UPDATE that it would run in two; the statement stays what it is."""
    text = set_rows.one_pass(prepared.statement, schemas)
    if text is not None:
        prepared._plain = Variant(text)
        prepared.compares |= EDB_SETS_ROWS


def _choose(prepared: Prepared, schemas: Schemas) -> None:
    """Applies what changes the statement, or what is left of it, in places of its own."""
    statement, apart = prepared.statement, prepared.apart
    if not schemas.indexes:
        sql = statement.sql if apart is None else apart.change.numbered if apart.shares else apart.change.sql
        prepared._plain = Variant(sql)
        return
    if apart is not None:
        statement = Statement.of(statement.edited(apart.edits))
    found = list(mentioned(statement, schemas))
    if not found:
        prepared._plain = Variant(statement.sql)
        return
    edits = [edit for rewrite in AT_ONCE for indexes in found for edit in rewrite(statement, indexes)]
    try:
        prepared.choices = Choices(statement, edits)
    except ex.OperationalError:  # a parameter's number, which SQLite refuses
        prepared._plain = Variant(statement.sql)
    else:
        prepared._plain = None if prepared.choices.needs else prepared.choices.choose(None)


__all__ = ["AT_ONCE", "IN_TURN", "UNKNOWN", "Prepared", "prepare"]
