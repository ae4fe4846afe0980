"""What autogenerate says of tag columns, of columns without history and of retention: a model's info["tag"],
info["versioned"] and entitydb_retention beside what the database has.

Alembic renders a Column without its info. So behind a new column or table stand operations that declare its tag
columns, and those without history, and in front of one that goes, operations whose reverse declares them again.
"""

from __future__ import annotations

import logging
from typing import Any

from alembic.autogenerate import render
from alembic.operations.ops import CreateTableOp, ModifyTableOps

from ._retention import SetRetentionOp
from ._tags import DropTagOp, SetTagOp, TagImpl
from ._unversioned import DropUnversionedOp, SetUnversionedOp, UnversionedGoesOp

_log = logging.getLogger("alembic.autogenerate.entitydb")  # below Alembic's, whose configuration decides

_known = False  # to Alembic, by a plug-in's name or among all


def _has_tag_columns(autogen_context: Any) -> bool:
    return isinstance(autogen_context.migration_context.impl, TagImpl)


# ---- comparing ----


def _namespaces(table: Any) -> dict[str, str]:
    """By column name. Raises CompileError for one that is no text."""
    from entitydb_dialect._compilers import tag_namespace

    found = {c.name: tag_namespace(c) for c in table.columns if not c.system} if table is not None else {}
    return {name: namespace for name, namespace in found.items() if namespace is not None}


def _is_compared(autogen_context: Any, schema: str | None, name: str, conn_table: Any, metadata_table: Any) -> bool:
    """Does Alembic compare a column at all, by the filters of the user's configuration?"""
    if conn_table is None or metadata_table is None:
        return True  # it does with all columns of tables that come and go
    there, wanted = conn_table.c.get(name), metadata_table.c.get(name)
    parents = {"table_name": conn_table.name, "schema_name": schema}
    if there is not None and not autogen_context.run_name_filters(name, "column", parents):
        return False
    column, other = (there, None) if wanted is None else (wanted, there)
    return bool(autogen_context.run_object_filters(column, name, "column", wanted is None, other))


def compare_tags(
    autogen_context: Any, modify_table_ops: Any, schema: str | None, tname: str, conn_table: Any, metadata_table: Any
) -> None:
    """A comparator for "table". No namespace belongs to two columns of a table, so those that go, or are to be another
    column's, go before everything else."""
    if not _has_tag_columns(autogen_context):
        return
    there, wanted = _namespaces(conn_table), _namespaces(metadata_table)
    changed = [
        name
        for name in [*there, *(name for name in wanted if name not in there)]
        if there.get(name) != wanted.get(name)
        and _is_compared(autogen_context, schema, name, conn_table, metadata_table)
    ]
    drops = []
    for name in changed:
        if name not in there:
            continue
        # What makes a dropped column or table again must not declare it too early, either.
        conn_table.c[name].info.pop("tag")
        if name not in wanted or there[name] in wanted.values():
            namespace = there.pop(name)
            drops.append(DropTagOp(tname, name, existing_namespace=namespace, schema=schema))
            _log.info("Detected that column '%s.%s' gives no tags of %r any more", tname, name, namespace)
    modify_table_ops.ops[:0] = drops
    for name in changed:
        if name in wanted:
            operation = SetTagOp(tname, name, wanted[name], existing_namespace=there.get(name), schema=schema)
            modify_table_ops.ops.append(operation)
            _log.info("Detected that column '%s.%s' gives tags of %r", tname, name, wanted[name])


def _unversioned(table: Any) -> list[str]:
    """Raises CompileError for what is no bool."""
    from entitydb_dialect._compilers import is_unversioned

    return [c.name for c in table.columns if not c.system and is_unversioned(c)] if table is not None else []


def compare_unversioned(
    autogen_context: Any, modify_table_ops: Any, schema: str | None, tname: str, conn_table: Any, metadata_table: Any
) -> None:
    """A comparator for "table". What goes is said first, so that the reverse says it last."""
    if not _has_tag_columns(autogen_context):
        return
    there, wanted = _unversioned(conn_table), _unversioned(metadata_table)
    for name in [*there, *(name for name in wanted if name not in there)]:
        if (name in there) == (name in wanted):
            continue
        if not _is_compared(autogen_context, schema, name, conn_table, metadata_table):
            continue
        if name in wanted:
            operation = SetUnversionedOp(tname, name, schema=schema)
            operation.comes = conn_table is None or name not in conn_table.c
            modify_table_ops.ops.append(operation)
            _log.info("Detected that column '%s.%s' has no history", tname, name)
            continue
        conn_table.c[name].info.pop("versioned")
        if metadata_table is None or name not in metadata_table.c:
            modify_table_ops.ops.insert(0, UnversionedGoesOp(tname, name, schema=schema))
            continue
        modify_table_ops.ops.append(DropUnversionedOp(tname, name, schema=schema))
        _log.info("Detected that column '%s.%s' has a history", tname, name)


def leave_out_own_tables(autogen_context: Any, upgrade_ops: Any, schemas: Any) -> None:
    """A comparator for "schema", behind those for tables: a model may name entitydb_tags, which is always there.

    So is the row id, which `Tagged` adds to a table without an integer key. CREATE TABLE passes over it, and Alembic
    before 1.14 would write a line for it that Python cannot run.
    """
    if not _has_tag_columns(autogen_context):
        return
    from entitydb_dialect.driver._catalog import OWN_TABLES

    upgrade_ops.ops[:] = [
        operation
        for operation in upgrade_ops.ops
        if not (isinstance(operation, (CreateTableOp, ModifyTableOps)) and operation.table_name.lower() in OWN_TABLES)
    ]
    for operation in upgrade_ops.ops:
        if isinstance(operation, CreateTableOp):
            _write_spans(operation)
            operation.columns = [one for one in operation.columns if not getattr(one, "system", False)]


# ---- retention ----


def _write_spans(operation: CreateTableOp) -> None:
    """A timedelta would be rendered as code that a migration does not import."""
    from entitydb_dialect._spans import span_text

    if operation.kw.get("entitydb_retention") is not None:
        operation.kw["entitydb_retention"] = span_text(operation.kw["entitydb_retention"])


def _span(table: Any) -> str:
    from entitydb_dialect._compilers import retention
    from entitydb_dialect._spans import FOREVER

    return retention(table) or FOREVER


def compare_retention(
    autogen_context: Any, modify_table_ops: Any, schema: str | None, tname: str, conn_table: Any, metadata_table: Any
) -> None:
    """A comparator for "table"."""
    if not _has_tag_columns(autogen_context) or conn_table is None or metadata_table is None:
        return
    there, wanted = _span(conn_table), _span(metadata_table)
    if there != wanted:
        operation = SetRetentionOp(tname, wanted, existing_retention=there, schema=schema)
        modify_table_ops.ops.append(operation)
        _log.info("Detected that the history of %r is to be kept %s, not %s", tname, wanted, there)


def make_known_by(plugin: Any) -> None:
    """To Alembic from 1.18 on, which lets env.py choose among plug-ins."""
    from alembic.util import DispatchPriority

    global _known
    _known = True
    plugin.add_autogenerate_comparator(compare_tags, "table", "tags")
    plugin.add_autogenerate_comparator(compare_retention, "table", "retention")
    plugin.add_autogenerate_comparator(compare_unversioned, "table", "unversioned")
    plugin.add_autogenerate_comparator(leave_out_own_tables, "schema", "own tables", priority=DispatchPriority.LAST)


def make_known() -> None:
    """To Alembic when it has not loaded the plug-in itself. It must be whole by then; calling twice is harmless."""
    global _known
    if _known:
        return
    _known = True
    from alembic import util
    from alembic.autogenerate import comparators

    priority = getattr(util, "DispatchPriority", None)  # before 1.18 the order of registration counts
    comparators.dispatch_for("table")(compare_tags)
    comparators.dispatch_for("table")(compare_retention)
    comparators.dispatch_for("table")(compare_unversioned)
    last: dict[str, Any] = {} if priority is None else {"priority": priority.LAST}
    comparators.dispatch_for("schema", **last)(leave_out_own_tables)


# ---- rendering ----


def _rendered(autogen_context: Any, name: str, operation: Any, arguments: list[str]) -> str:
    in_batch = autogen_context._has_batch
    prefix = "batch_op." if in_batch else autogen_context.opts["alembic_module_prefix"] or ""
    table = [] if in_batch else [repr(str(operation.table_name))]
    options = []
    if operation.existing_namespace is not None:
        options.append(f"existing_namespace={operation.existing_namespace!r}")
    if operation.schema and not in_batch:
        options.append(f"schema={str(operation.schema)!r}")
    return f"{prefix}{name}({', '.join([*table, *arguments, *options])})"


@render.renderers.dispatch_for(SetTagOp)
def _render_set(autogen_context: Any, operation: SetTagOp) -> str:
    arguments = [repr(str(operation.column_name)), repr(str(operation.namespace))]
    return _rendered(autogen_context, "set_tag", operation, arguments)


@render.renderers.dispatch_for(SetRetentionOp)
def _render_retention(autogen_context: Any, operation: SetRetentionOp) -> str:
    in_batch = autogen_context._has_batch
    prefix = "batch_op." if in_batch else autogen_context.opts["alembic_module_prefix"] or ""
    arguments = [] if in_batch else [repr(str(operation.table_name))]
    arguments += [repr(operation.retention), f"existing_retention={operation.existing_retention!r}"]
    if operation.schema and not in_batch:
        arguments.append(f"schema={str(operation.schema)!r}")
    return f"{prefix}set_retention({', '.join(arguments)})"


@render.renderers.dispatch_for(UnversionedGoesOp)
def _render_nothing(autogen_context: Any, operation: UnversionedGoesOp) -> list[str]:
    return ["pass"] if autogen_context._has_batch else []  # a batch may have nothing else


@render.renderers.dispatch_for(SetUnversionedOp)
@render.renderers.dispatch_for(DropUnversionedOp)
def _render_unversioned(autogen_context: Any, operation: SetUnversionedOp | DropUnversionedOp) -> str:
    name = "set_unversioned" if operation.unversioned else "drop_unversioned"
    in_batch = autogen_context._has_batch
    prefix = "batch_op." if in_batch else autogen_context.opts["alembic_module_prefix"] or ""
    arguments = [] if in_batch else [repr(str(operation.table_name))]
    arguments.append(repr(str(operation.column_name)))
    if operation.schema and not in_batch:
        arguments.append(f"schema={str(operation.schema)!r}")
    return f"{prefix}{name}({', '.join(arguments)})"


@render.renderers.dispatch_for(DropTagOp)
def _render_drop(autogen_context: Any, operation: DropTagOp) -> str:
    return _rendered(autogen_context, "drop_tag", operation, [repr(str(operation.column_name))])


__all__ = [
    "compare_retention", "compare_tags", "compare_unversioned", "leave_out_own_tables", "make_known", "make_known_by",
]  # fmt: skip
