"""What Alembic has to know of EntityDB: its DDL is transactional, and ALTER TABLE does what PostgreSQL's does.

Alembic's own spelling of RENAME, ADD and DROP COLUMN, ALTER COLUMN and of constraints is what the driver reads, so
hardly a statement is written here. Autogenerate compares what the dialect reflects; only server defaults, which SQLite
reports without their parentheses, are brought to one form first.

Alembic finds an implementation by the dialect's name. `sqlite+entitydb://` has the name "sqlite" for the sake of models
and libraries that ask for it, so there Alembic is told to look at the dialect itself; SQLite's own is left alone.
"""

from __future__ import annotations

import sys
from typing import Any

from alembic.ddl.impl import DefaultImpl

from . import _autogenerate, _labels
from ._batch import BatchImpl
from ._recreate import WORDS, is_literal


def _closed(text: str) -> bool:
    """Are the first and the last character one pair of parentheses?"""
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depth, quoted = 0, ""
    for i, character in enumerate(text):
        if quoted:
            quoted = "" if character == quoted else quoted
        elif character in "'\"":
            quoted = character
        else:
            depth += (character == "(") - (character == ")")
            if depth == 0 and i < len(text) - 1:
                return False
    return True


def _one_form(default: str | None) -> str | None:
    """A default without parentheses around it, a quoted text without its quotes: Alembic renders either."""
    if default is None:
        return None
    text = default.strip()
    while _closed(text):
        text = text[1:-1].strip()
    if len(text) > 1 and text[0] == text[-1] == "'" and is_literal(text):
        return text[1:-1].replace("''", "'")
    return text.upper() if text.upper() in WORDS else text


def _collation(index: Any, words: list[str]) -> str | None:
    """The collation, in lower case, that a column has by itself; None: the words are no column."""
    words = [word for word in words if word not in ("(", ")")]
    for column in index.table.columns:
        if words == [column.name.lower()]:
            return str(getattr(column.type, "collation", None) or "BINARY").lower()
    return None


def _elements(index: Any, dialect: Any) -> list[str]:
    """What an index is on, each in one form: white space, case, quotation marks, order, outer parentheses and a
    collation that the column has anyway apart."""
    from entitydb_dialect.driver.sql.tokens import QUOTED, STRING, tokens, unquote

    found = []
    for element in index.expressions:
        compiled = element.compile(dialect=dialect, compile_kwargs={"literal_binds": True, "include_table": False})
        items = tokens(str(compiled))
        while items and items[-1].upper in ("ASC", "DESC"):
            items.pop()
        words = [t.text if t.kind == STRING else unquote(t.text).lower() if t.kind == QUOTED else t.text.lower()
                 for t in items]  # fmt: skip
        if words[-2:-1] == ["collate"] and words[-1] == _collation(index, words[:-2]):
            words = words[:-2]
        text = " ".join(words)
        while _closed(text):
            text = text[1:-1].strip()
        found.append(text)
    return found


class EntityImpl(BatchImpl):
    """Alembic's view of an EntityDB database."""

    __dialect__ = "entitydb"
    transactional_ddl = True

    def _exec(self, construct: Any, *args: Any, **kw: Any) -> Any:
        result = super()._exec(construct, *args, **kw)
        label = _labels.label_for(construct, self.context_opts, self.dialect)
        if label is not None:
            super()._exec(label)
        return result

    def compare_server_default(
        self,
        inspector_column: Any,
        metadata_column: Any,
        rendered_metadata_default: str | None,
        rendered_inspector_default: str | None,
    ) -> bool:
        return _one_form(rendered_inspector_default) != _one_form(rendered_metadata_default)

    def compare_indexes(self, metadata_index: Any, reflected_index: Any) -> Any:
        """Indexes on expressions by their text, in which Alembic itself sees two different objects."""
        told = [_elements(index, self.dialect) for index in (metadata_index, reflected_index)]
        if not any(" " in element for elements in told for element in elements):  # names alone
            return super().compare_indexes(metadata_index, reflected_index)
        from alembic.ddl._autogen import ComparisonResult  # not there in Alembic that does not ask

        found = []
        if bool(metadata_index.unique) != bool(reflected_index.unique):
            found.append(f"unique={reflected_index.unique} to unique={metadata_index.unique}")
        if told[0] != told[1]:
            found.append(f"expression {told[1]} to {told[0]}")
        return ComparisonResult.Different(found) if found else ComparisonResult.Equal()

    def _compare_identity_default(self, metadata_identity: Any, inspector_identity: Any) -> Any:
        """An integer primary key numbers itself; Identity() says nothing more, and there is nothing to compare."""
        return set(), set(), False

    def render_ddl_sql_expr(self, expr: Any, is_server_default: bool = False, **kw: Any) -> str:
        """A default that is an expression has to stand in parentheses."""
        text = str(super().render_ddl_sql_expr(expr, is_server_default=is_server_default, **kw))
        return f"({text})" if is_server_default and not is_literal(text.strip()) and not _closed(text.strip()) else text

    def autogen_column_reflect(self, inspector: Any, table: Any, column_info: Any) -> None:
        """Puts the parentheses back that an expression needs where it is rendered as a default again."""
        default = column_info.get("default")
        if default and not is_literal(default.strip()) and not _closed(default.strip()):
            column_info["default"] = f"({default})"


def _is_ours(dialect: Any) -> bool:
    base = sys.modules.get("entitydb_dialect.base")  # where it is missing, no dialect is ours
    return base is not None and isinstance(dialect, base.EntityDialect)


_base: Any = DefaultImpl
_by_name = DefaultImpl.get_by_dialect


def _get_by_dialect(cls: type[DefaultImpl], dialect: Any) -> type[DefaultImpl]:
    if not _is_ours(dialect):
        return _by_name(dialect)
    _autogenerate.make_known()
    return EntityImpl


_base.get_by_dialect = classmethod(_get_by_dialect)
