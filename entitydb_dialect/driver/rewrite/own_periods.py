"""FOR SYSTEM_TIME over an interval, of entitydb_tags and entitydb_entities: queries of what commits did to tags, and of
the versions of rows.

They have the table's columns, as they were at the begin of each version, and behind them `valid_from`, `valid_to`
(NULL while it is current), `operation` and `transaction_id`. `*` has these too, since a query has no hidden columns.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..sql.periods import ALL, BETWEEN, CONTAINED_IN, FROM_TO

_TAGS = """(SELECT type, entity, tag,
 CASE WHEN instr(tag, ':') THEN substr(tag, 1, instr(tag, ':') - 1) ELSE '' END AS namespace,
 substr(tag, instr(tag, ':') + 1) AS value, valid_from AS since, valid_from, valid_to, 'insert' AS operation,
 transaction_id
 FROM (SELECT type, entity, tag, committed_at AS valid_from, operation, transaction_id,
 lead(committed_at) OVER (PARTITION BY type, entity, tag ORDER BY transaction_id) AS valid_to
 FROM {changes} WHERE operation IN ('tag', 'untag')) WHERE operation = 'tag'{condition})"""

# A life goes from an INSERT to the DELETE of the row, which is a version of its own there.
_ENTITIES = """(SELECT type, entity AS id,
 created_at, valid_from AS updated_at, versions, content, valid_from, valid_to, operation, transaction_id
 FROM (SELECT *, first_value(valid_from) OVER each AS created_at, row_number() OVER each AS versions
 FROM (SELECT *, sum(operation = 'insert') OVER (PARTITION BY type, entity ORDER BY valid_from) AS life
 FROM {versions} WHERE operation <> 'delete') WINDOW each AS (PARTITION BY type, entity, life ORDER BY valid_from))
 WHERE 1{condition})"""

# As engine/vtab/history.h has them; an interval from a to b.
_CONDITIONS = {
    ALL: "",
    FROM_TO: " AND valid_from < {b} AND ifnull(valid_to > {a}, {a} IS NOT NULL)",
    BETWEEN: " AND valid_from <= {b} AND ifnull(valid_to > {a}, {a} IS NOT NULL)",
    CONTAINED_IN: " AND valid_from >= {a} AND valid_to <= {b}",
}


def tags_over(changes: str, kind: str, moments: Sequence[str]) -> str:
    """The taggings of an interval, as a query in parentheses.

    Args:
        changes: entitydb_changes, with its schema.
        kind: one of periods.py, but AS OF.
        moments: the first and the last, as SQL that gives nanoseconds.
    """
    return _TAGS.format(changes=changes, condition=_condition(kind, moments))


def entities_over(versions: str, kind: str, moments: Sequence[str]) -> str:
    """The versions of all rows of an interval; versions: entitydb_versions, with its schema."""
    return _ENTITIES.format(versions=versions, condition=_condition(kind, moments))


def _condition(kind: str, moments: Sequence[str]) -> str:
    first, last = moments or ("", "")
    return _CONDITIONS[kind].format(a=first, b=last)


__all__ = ["entities_over", "tags_over"]
