"""Names the commits of migrations: each write to the version table is followed by `SELECT entitydb_label('alembic:x')`.

x is the revision that the write reaches, up or down, or `base` when the table has become empty. So as many labels stand
on a commit as revisions ran in its transaction, in their order: by default all of one run, with
transaction_per_migration=True one. Whatever undoes the write undoes the label. Offline the statements are part of the
script, and replaying it labels too.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Delete, Insert, Select, Update, func, literal_column, select

PREFIX = "alembic:"


def _reached(construct: Insert | Update, dialect: Any) -> Any:
    """The label as an SQL literal, from the version that the write puts in; None: it puts in none."""
    values: Any = construct._values or {}
    for column, value in values.items():
        if getattr(column, "key", column) == "version_num":
            literal = str(value.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
            if literal.startswith("'"):
                return literal_column(f"'{PREFIX}{literal[1:]}")
            return literal_column(f"'{PREFIX}' || {literal}")
    return None


def label_for(construct: Any, options: dict[str, Any], dialect: Any) -> Select[Any] | None:
    """The statement that labels what a construct of Alembic's has just done to the version table.

    Args:
        options: those of the migration context; they name the version table.
    """
    if not isinstance(construct, (Insert, Update, Delete)):
        return None
    table: Any = construct.table
    if table.name != options.get("version_table", "alembic_version"):
        return None
    if table.schema != options.get("version_table_schema"):
        return None
    if isinstance(construct, Delete):
        any_left = select(literal_column("1")).select_from(table).exists()
        return select(func.entitydb_label(literal_column(f"'{PREFIX}base'"))).where(~any_left)
    label = _reached(construct, dialect)
    return None if label is None else select(func.entitydb_label(label))


__all__ = ["PREFIX", "label_for"]
