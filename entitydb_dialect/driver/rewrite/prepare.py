"""From a text to what SQLite is asked: the rewrites, in their order.

    parse(sql) -> Statement        once for a text, in all connections
    prepare(statement, schemas)    once for a text and a connection, until its schema moves
        -> Prepared: the text to run, chosen by the values of parameters where it depends on them, and what has to be
           told to the engine besides

A rewrite answers edits of the statement that it is given. Those of IN_TURN see each what the one before has made of the
statement. RETURNING and ON CONFLICT are then taken off, and AT_ONCE change what is left, each in places of its own. A
statement that is not understood passes unchanged, to be refused by SQLite in SQLite's words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ... import _exceptions as ex
from ..sql.statement import WRITE, Statement
from ..sql.terms import is_value
from ..sql.text import Edit, edited
from . import (
    expression_indexes,
    generated_columns,
    implied_equalities,
    order_terms,
    partial_indexes,
    schema_names,
    shortcuts,
    system_time,
    update_from,
)
from .schemas import Schemas
from .upsert_returning import Apart, take_apart

Rewrite: TypeAlias = Callable[[Statement, Schemas], Sequence[Edit]]

IN_TURN: tuple[Rewrite, ...] = (
    system_time.rewrite,
    schema_names.rewrite,
    shortcuts.rewrite,
    generated_columns.rewrite,
    update_from.rewrite,
    order_terms.rewrite,
    implied_equalities.rewrite,
)
AT_ONCE: tuple[Rewrite, ...] = (partial_indexes.rewrite, expression_indexes.rewrite)


UNKNOWN = object()  # not found out yet, where None says that there is nothing


class Variant:
    """A text that SQLite is given.

    Attributes:
        sql: the text.
        description: of its result's columns, as PEP 249 has it; () for none; None until it has run once.
    """

    __slots__ = ("description", "sql")

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.description: tuple[Any, ...] | None = None


class Prepared:
    """A statement as this connection runs it, with the schema as it was declared then.

    Attributes:
        statement: what it is, after the rewrites of IN_TURN.
        is_ours: an INSERT, UPDATE or DELETE changes a table of ours; else one of SQLite's own.
        apart: the pieces of a statement with RETURNING or ON CONFLICT on a table of ours.
        lists_columns: an INSERT was given a column list here.
        shows_schema: it asks for sqlite_master or pragma_...(), so that these have to be there.

    Who executes it keeps here what it finds out:
        supplied: the columns an INSERT names, as edb_stmt_supplied() wants them; None: all, or it is no such statement;
            UNKNOWN until it was asked for.
        conflicts: the ON CONFLICT clauses as entitydb_on_conflict() wants them; None until they were asked for.
        query: the query of RETURNING; None until it was asked for.
    """

    __slots__ = (
        "_choices",
        "_plain",
        "apart",
        "conflicts",
        "is_ours",
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
        self.supplied: Any = UNKNOWN
        self.conflicts: list[Any] | None = None
        self.query: Variant | None = None
        self._plain: Variant | None = None  # the text, where no value of a parameter decides
        self._choices: _Choices | None = None

    @property
    def is_fixed(self) -> bool:
        """Is there one text, whatever the parameters are?"""
        return self._plain is not None

    def variant(self, parameters: Any) -> Variant:
        """The text to run with these parameters; None: whatever they are."""
        if self._plain is not None:
            return self._plain
        assert self._choices is not None
        return self._choices.choose(parameters)


class _Choices:
    """The texts of a statement whose text depends on values of its parameters."""

    def __init__(self, statement: Statement, edits: list[Edit], needs: Iterable[tuple[int, str]]) -> None:
        """Raises OperationalError for a parameter's number that SQLite does not take."""
        self._sql = statement.sql
        self._edits = edits
        numbers = statement.parameters[0]
        names = {number: name[1:] for name, number in statement.parameters[1].items()}
        # What is needed, the parameter's number, and its name.
        self._needs = [(need, numbers[need[0]], names.get(numbers[need[0]], "")) for need in sorted(needs)]
        self._variants: dict[tuple[tuple[int, str], ...], Variant] = {}

    def choose(self, parameters: Any) -> Variant:
        by_number = isinstance(parameters, Sequence)
        by_name = isinstance(parameters, Mapping)
        held = []
        for need, number, name in self._needs:
            if by_number:
                value = parameters[number] if number < len(parameters) else None
            else:
                value = parameters.get(name) if by_name else None
            if is_value(value, need[1]):
                held.append(need)
        key = tuple(held)
        variant = self._variants.get(key)
        if variant is None:
            made = [e for e in self._edits if not e.needs or any(needs.issubset(key) for needs in e.needs)]
            variant = self._variants[key] = Variant(edited(self._sql, made))
        return variant


def prepare(statement: Statement, schemas: Schemas, is_ours: bool = True) -> Prepared:
    """Applies the rewrites.

    Raises:
        OperationalError: a write to a generated column; a clause of ON CONFLICT or RETURNING that is none.
        NotSupportedError: what is not done.
    """
    lists_columns = shows_schema = False
    if statement.asks_schema:
        shows_schema = schema_names.asks(statement)
    for rewrite in IN_TURN:
        edits = rewrite(statement, schemas)
        if edits:
            statement = Statement.of(statement.edited(edits))
            lists_columns |= rewrite is generated_columns.rewrite
    prepared = Prepared(statement, is_ours)
    prepared.lists_columns, prepared.shows_schema = lists_columns, shows_schema
    if is_ours and statement.takes_apart:
        prepared.apart = take_apart(statement)
        generated_columns.refuse_conflicts(statement, prepared.apart.conflicts, schemas)
    if not is_ours and statement.kind is WRITE:
        prepared._plain = Variant(statement.sql)
    else:
        _choose(prepared, schemas)
    return prepared


def _choose(prepared: Prepared, schemas: Schemas) -> None:
    """Applies what changes the statement, or what is left of it, in places of its own."""
    statement, apart = prepared.statement, prepared.apart
    if not schemas.indexes:
        sql = statement.sql if apart is None else apart.change.numbered if apart.shares else apart.change.sql
        prepared._plain = Variant(sql)
        return
    if apart is not None:
        statement = Statement.of(statement.edited(apart.edits))
    edits = [edit for rewrite in AT_ONCE for edit in rewrite(statement, schemas)]
    needs = {need for edit in edits for way in edit.needs for need in way}
    if needs:
        try:
            prepared._choices = _Choices(statement, edits, needs)
        except ex.OperationalError:  # a parameter's number, which SQLite refuses
            prepared._plain = Variant(statement.sql)
    else:
        prepared._plain = Variant(edited(statement.sql, edits))


__all__ = ["AT_ONCE", "IN_TURN", "UNKNOWN", "Prepared", "Variant", "prepare"]
