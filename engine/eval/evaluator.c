/* The connection's evaluator asked, or its absence told (evaluator.h). */
#include "engine/eval/evaluator.h"

#include <string.h>

#include "engine/catalog/affinity.h"
#include "engine/txn/hooks.h"

static txn_hooks evaluator_hooks = {.hk_name = "evaluator"};

__attribute__((constructor)) static void evaluator_load(void)
{
    hooks_register(&evaluator_hooks);
}

void evaluator_lend(edb_conn *conn, const evaluator *ev)
{
    conn_data_set(conn, &evaluator_hooks, (evaluator *)ev);
}

void evaluator_take_back(edb_conn *conn, const evaluator *ev)
{
    if (evaluator_of(conn) == ev)
        conn_data_set(conn, &evaluator_hooks, NULL);
}

const evaluator *evaluator_of(edb_conn *conn)
{
    return conn_data(conn, &evaluator_hooks);
}

/* what: "a CHECK constraint" */
static int needed(edb_conn *conn, const edb_table *table, const char *what, const evaluator **out)
{
    *out = evaluator_of(conn);
    return *out ? EDB_OK : edb_fail(EDB_MISUSE, "table %s has %s, and no SQLite connection is bound that could evaluate "
                                    "it", table->et_name, what);
}

/* ---- generated columns ---------------------------------------------------------------------------------------- */

static const char *const GENERATED = "a generated column, an expression in an index or a column of an earlier type";

int evaluate_column(edb_conn *conn, const edb_table *table, const row_view *row, int64_t rowid, uint32_t i,
                    arena *memory, edb_value *out)
{
    const generate_row over = {.gr_table = table, .gr_stored = row, .gr_rowid = rowid};
    const evaluator *ev;
    if (!column_lacks(&table->et_columns[i], row->rw_columns))
        return row_value(table, row, rowid, i, out) ? row_damaged(table, rowid) : EDB_OK;
    int rc = needed(conn, table, GENERATED, &ev);
    return rc ? rc : ev->ev_generate(ev->ev_arg, &over, i, memory, out);
}

int evaluate_generated(edb_conn *conn, const edb_table *table, int64_t rowid, arena *memory, edb_value *values)
{
    const generate_row over = {.gr_table = table, .gr_values = values, .gr_rowid = rowid};
    const evaluator *ev;
    if (!table->et_has_computed)
        return EDB_OK;
    int rc = needed(conn, table, GENERATED, &ev);
    return rc ? rc : ev->ev_generate_all(ev->ev_arg, &over, memory, values);
}

static bool same_value(const edb_value *a, const edb_value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case VALUE_INTEGER:
        return a->integer == b->integer;
    case VALUE_REAL:
        return !memcmp(&a->real, &b->real, sizeof a->real);
    case VALUE_TEXT:
    case VALUE_BLOB:
        return a->size == b->size && !memcmp(a->bytes, b->bytes, a->size);
    default:
        return true;
    }
}

int evaluate_changed(edb_conn *conn, const edb_table *table, const row_view *old, int64_t old_rowid, int64_t rowid,
                     arena *memory, edb_value *values, bool *changed)
{
    int rc = evaluate_generated(conn, table, rowid, memory, values);
    for (uint32_t i = 0; !rc && table->et_has_computed && i < table->et_n_columns; i++) {
        const edb_column *column = &table->et_columns[i];
        edb_value before;
        if (!column->computed || column->hidden)
            continue;
        changed[i] = true;
        if (!column->keyed)
            continue;               /* then nobody asks */
        rc = evaluate_column(conn, table, old, old_rowid, i, memory, &before);
        changed[i] = rc || !same_value(&before, &values[i]);
    }
    return rc;
}

/* ---- indexes -------------------------------------------------------------------------------------------------- */

static const char *index_has(const edb_index *index)
{
    return index->where ? "a partial index" : GENERATED;
}

int evaluate_index(edb_conn *conn, const edb_table *table, const edb_index *index, const row_view *stored,
                   int64_t rowid, arena *memory, edb_value *values, bool *covered)
{
    const generate_row over = {.gr_table = table, .gr_stored = stored, .gr_values = values, .gr_whole = true,
                               .gr_rowid = rowid};
    const evaluator *ev = NULL;
    *covered = true;
    if (!index->where && !table->et_has_computed)
        return EDB_OK;
    int rc = index->where || index->computes ? needed(conn, table, index_has(index), &ev) : EDB_OK;
    if (!rc && index->where)
        rc = ev->ev_covers(ev->ev_arg, &over, (uint32_t)(index - table->et_indexes), memory, covered);
    for (uint32_t i = 0; !rc && *covered && i < index->n_parts; i++) {
        uint32_t column = index->parts[i].column;
        if (stored && column_virtual(&table->et_columns[column]))
            rc = evaluate_column(conn, table, stored, rowid, column, memory, &values[column]);
        else if (ev && table->et_columns[column].hidden)
            rc = ev->ev_generate(ev->ev_arg, &over, column, memory, &values[column]);
    }
    return rc;
}

int evaluate_looks_at(edb_conn *conn, const edb_table *table, const edb_index *index, uint64_t *columns)
{
    const evaluator *ev;
    uint64_t more = 0;
    int rc = EDB_OK;
    if (index->where || index->computes)
        rc = needed(conn, table, index_has(index), &ev);
    if (!rc && (index->where || index->computes))
        rc = ev->ev_looks_at(ev->ev_arg, table, (uint32_t)(index - table->et_indexes), &more);
    *columns = index->columns | more;
    return rc;
}

/* ---- CHECK and DEFAULT ---------------------------------------------------------------------------------------- */

int evaluate_checks(edb_conn *conn, const edb_table *table, int64_t rowid, const edb_value *values)
{
    const evaluator *ev;
    if (!table->et_n_checks)
        return EDB_OK;
    int rc = needed(conn, table, "a CHECK constraint", &ev);
    return rc ? rc : ev->ev_checks(ev->ev_arg, table, rowid, values);
}

/* Whether the constant is what the column would make of it. */
static bool default_fits(const edb_column *column)
{
    switch (column->default_value.type) {
    case VALUE_INTEGER:
        return column->affinity == AFFINITY_INTEGER || column->affinity == AFFINITY_NUMERIC
               || column->affinity == AFFINITY_BLOB;
    case VALUE_TEXT:
        return column->affinity == AFFINITY_TEXT || column->affinity == AFFINITY_BLOB;
    case VALUE_REAL:
        return column->affinity == AFFINITY_BLOB;
    default:
        return true;
    }
}

int evaluate_default(edb_conn *conn, const edb_table *table, uint32_t i, arena *memory, edb_value *out)
{
    const edb_column *column = &table->et_columns[i];
    const evaluator *ev = evaluator_of(conn);
    if (column->default_constant && default_fits(column)) {
        *out = column->default_value;
        return EDB_OK;
    }
    if (!ev && column->default_constant)
        return affinity_apply(&column->default_value, column->affinity, memory, out);
    int rc = ev ? EDB_OK : needed(conn, table, "a DEFAULT that is an expression", &ev);
    return rc ? rc : ev->ev_default(ev->ev_arg, table, i, memory, out);
}

bool evaluate_setting(edb_conn *conn, int setting)
{
    const evaluator *ev = evaluator_of(conn);
    return ev ? ev->ev_setting(ev->ev_arg, setting) : setting == SETTING_FOREIGN_KEYS;
}
