"""From SQLAlchemy's constructs to SQLite's SQL: what models written for SQLite or PostgreSQL say beyond it.

A construct that has a counterpart is translated; one that SQLite would take for something else, or ignore, is a
CompileError that names it. FOR UPDATE, of which many programs that run on SQLite say more than they need, is left out
with a warning.
"""

# SQLAlchemy's SQLite dialect is not typed.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import re
import sys
import warnings
from typing import Any, NoReturn

from sqlalchemy import String, exc, schema
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler, SQLiteDDLCompiler, SQLiteTypeCompiler

from ._exceptions import RowLockWarning
from ._spans import NotASpan, span_text
from ._types import INSTANT, is_instant
from .temporal import TemporalCompiler

_LIBRARIES = re.compile(r"(sqlalchemy|entitydb_dialect)(\.|$)")

# PostgreSQL's operators on JSONB, arrays, ranges and texts. SQLite has none of them; the parameter's "?" is one.
_POSTGRESQL_OPERATORS = {
    "@>", "<@", "?", "?|", "?&", "&&", "@@", "@?", "#>", "#>>", "#-", "-|-", "&<", "&>", "<<=", ">>=", "~*", "!~*",
    "!~", "%%", "<%", "%>", "<->",
}  # fmt: skip


class EntityCompiler(TemporalCompiler, SQLiteCompiler):  # type: ignore[misc]
    def for_update_clause(self, select: Any, **kw: Any) -> str:
        if self.dialect.name == "sqlite":
            return ""  # as pysqlite compiles it
        asked = select._for_update_arg
        for word, promise in (("nowait", "fail where it would wait"), ("skip_locked", "leave out rows in use")):
            if getattr(asked, word, False):
                raise exc.CompileError(
                    f"SELECT ... FOR UPDATE with {word} is to {promise}: EntityDB has no row locks, so nothing is ever "
                    "in use. Of two transactions that change the same row the later to commit gets "
                    "SerializationFailure; leave the word out, catch that and run it again"
                )
        warnings.warn(
            "SELECT ... FOR UPDATE: EntityDB has no row locks and reads without one. Of two transactions that change "
            "the same row the later to commit gets SerializationFailure; catch that and run it again",
            RowLockWarning,
            stacklevel=_callers_level(),
        )
        return ""

    def visit_custom_op_binary(self, element: Any, operator: Any, **kw: Any) -> str:
        if operator.opstring in _POSTGRESQL_OPERATORS:
            raise exc.CompileError(f"the operator {operator.opstring} of PostgreSQL has no counterpart here")
        # Who uses it has loaded its module; nobody else should have to.
        postgresql = sys.modules.get("sqlalchemy.dialects.postgresql.operators")
        if postgresql is not None and operator == postgresql.ASTEXT:
            # SQLite's ->> gives numbers as numbers and truth as 1; what is asked for is text.
            left, right = self.process(element.left, **kw), self.process(element.right, **kw)
            truth = f"json_type({left} -> {right}) IN ('true', 'false')"
            return f"CASE WHEN {truth} THEN {left} -> {right} ELSE CAST({left} ->> {right} AS TEXT) END"
        return str(super().visit_custom_op_binary(element, operator, **kw))

    def visit_getitem_binary(self, binary: Any, operator: Any, **kw: Any) -> str:
        # SQLite would take the brackets for a quoted name.
        raise exc.CompileError(f"{binary.left.type!r} cannot be subscripted: EntityDB has no arrays; use JSON")

    def visit_slice(self, element: Any, **kw: Any) -> str:
        raise exc.CompileError("a slice of an array: EntityDB has no arrays; use JSON")

    def _on_conflict_target(self, clause: Any, **kw: Any) -> str:
        name = getattr(clause, "constraint_target", None)
        if name is None:
            return str(super()._on_conflict_target(clause, **kw))
        insert: Any = self.stack[-1]["selectable"]
        columns = _columns_of_constraint(insert.table, str(name))
        return f"({', '.join(self.preparer.quote(column) for column in columns)})"


def _callers_level() -> int:
    """The `stacklevel` of warnings.warn(), called by who calls this, that names the program and not a library."""
    level = 1
    frame = sys._getframe(1)
    while frame.f_back is not None and _LIBRARIES.match(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
        level += 1
    return level


def _columns_of_constraint(table: Any, name: str) -> list[str]:
    """The columns of a key by its name, as the table says it or as PostgreSQL makes one for a key without."""
    for key in table.constraints:
        if not isinstance(key, (schema.PrimaryKeyConstraint, schema.UniqueConstraint)) or not len(key.columns):
            continue
        columns = [column.name for column in key.columns]
        if isinstance(key.name, str):
            names = [str(key.name)]
        elif isinstance(key, schema.PrimaryKeyConstraint):
            names = [f"{table.name}_pkey"]
        else:
            names = ["_".join([table.name, *columns, "key"])]
        if name in names:
            return columns
    raise exc.CompileError(
        f"ON CONFLICT ON CONSTRAINT {name}: the table {table.name} of the model has no primary key or unique "
        "constraint of this name; say index_elements"
    )


def tag_namespace(column: Any) -> str | None:
    """The namespace of the tags that a column's values are; None: they are none."""
    namespace = column.info.get("tag")
    if namespace is not None and not isinstance(namespace, str):
        raise exc.CompileError(f"{column}: info['tag'] is {namespace!r}; it is the namespace of the tags, a text")
    return namespace


def is_unversioned(column: Any) -> bool:
    """Has a column no history?"""
    versioned = column.info.get("versioned", True)
    if not isinstance(versioned, bool):
        raise exc.CompileError(f"{column}: info['versioned'] is {versioned!r}; False is of a column without history")
    return not versioned


def retention(table: Any) -> str | None:
    """How long a table's history is to be kept, in its one form; None: its model does not say."""
    said = table.dialect_options["entitydb"].get("retention")
    try:
        return None if said is None else span_text(said)
    except NotASpan as error:
        raise exc.CompileError(f"table {table}: entitydb_retention: {error}") from None


class EntityDDLCompiler(SQLiteDDLCompiler):
    def post_create_table(self, table: Any) -> str:
        text = str(super().post_create_table(table))
        kept = retention(table)
        if kept is None:
            return text
        clause = f"RETENTION {self.sql_compiler.render_literal_value(kept, String())}"
        return f"{text},\n {clause}" if text else f"\n {clause}"

    def define_constraint_deferrability(self, constraint: Any) -> str:
        # PostgreSQL takes INITIALLY alone, and DEFERRED means DEFERRABLE; SQLite wants the word.
        if constraint.deferrable is None and constraint.initially is not None:
            return " DEFERRABLE INITIALLY DEFERRED" if constraint.initially.upper() == "DEFERRED" else ""
        return str(super().define_constraint_deferrability(constraint))

    def get_column_specification(self, column: Any, **kw: Any) -> str:
        text = str(super().get_column_specification(column, **kw))
        # SQLite's grammar has AUTOINCREMENT after INTEGER alone. Here no id is ever given twice, said or not.
        if not text.startswith(f"{self.preparer.format_column(column)} INTEGER "):
            text = text.replace(" PRIMARY KEY AUTOINCREMENT", " PRIMARY KEY")
        namespace = tag_namespace(column)
        if namespace is not None:
            text = f"{text} TAG {self.sql_compiler.render_literal_value(namespace, String())}"
        return f"{text} UNVERSIONED" if is_unversioned(column) else text

    def visit_create_index(self, create: Any, *args: Any, **kw: Any) -> str:
        index = create.element
        text: str = super().visit_create_index(create, *args, **kw)
        where = index.dialect_kwargs.get("postgresql_where")
        # Left out, a unique index meant for some rows would hold for all.
        if where is not None and index.dialect_options["sqlite"]["where"] is None:
            text += " WHERE " + self.sql_compiler.process(where, include_table=False, literal_binds=True)
        return text


class EntityTypeCompiler(SQLiteTypeCompiler):
    def process(self, type_: Any, **kw: Any) -> str:
        return str(super().process(variant(type_, self.dialect.name), **kw))

    def visit_DATETIME(self, type_: Any, **kw: Any) -> str:
        return INSTANT if self._is_instant(type_) else str(super().visit_DATETIME(type_, **kw))

    def visit_TIMESTAMP(self, type_: Any, **kw: Any) -> str:
        return INSTANT if self._is_instant(type_) else str(super().visit_TIMESTAMP(type_, **kw))

    def _is_instant(self, type_: Any) -> bool:
        return self.dialect.name != "sqlite" and is_instant(type_)

    def visit_UUID(self, type_: Any, **kw: Any) -> str:
        # Under the name UUID, SQLite's rules make it NUMERIC, and thirty-two digits a number.
        return "CHAR(32)"

    def visit_JSONB(self, type_: Any, **kw: Any) -> str:
        return "JSONB"

    def visit_BYTEA(self, type_: Any, **kw: Any) -> str:
        return "BLOB"

    def visit_unsupported_compilation(self, element: Any, err: Exception, **kw: Any) -> NoReturn:
        name = type(element).__name__
        raise exc.CompileError(
            f"EntityDB has no type {name}; say what stands for it, as in {name}().with_variant(String(), 'sqlite')"
        ) from err


def variant(type_: Any, name: str) -> Any:
    """A type's variant for SQLite where it has none for us: models written for SQLite mean it."""
    variants = type_._variant_mapping
    if variants and name not in variants and "sqlite" in variants:
        return variants["sqlite"]
    return type_
