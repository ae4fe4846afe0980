/* Test builds only: tables made and rows changed under their constraints without SQLite, driven from Python.
 *
 * Nothing here includes or calls SQLite. The connection has no evaluator (eval/evaluator.h), so what only SQLite could
 * evaluate is refused. */
#ifdef EDB_TEST

#include <stdlib.h>

#include "engine/catalog/affinity.h"
#include "engine/eval/evaluator.h"
#include "engine/table/constraints.h"
#include "engine/testing/edb_test.h"

typedef struct {                    /* one change, from its table to its end */
    edb_table *rk_table;
    row_scratch rk_row;
    constraints rk_constraints;
    arena rk_memory;                /* texts that an affinity made */
} row_call;

static int call_begin(row_call *call, edb_stmt *stmt, uint32_t table)
{
    *call = (row_call){.rk_table = NULL};
    arena_init(&call->rk_memory);
    int rc = txn_begin_write(stmt);
    if (!rc)
        rc = catalog_table(stmt, table, &call->rk_table);
    return rc ? rc : scratch_prepare(&call->rk_row, call->rk_table, stmt_conn(stmt));
}

static int call_end(row_call *call, int rc)
{
    scratch_free(&call->rk_row);
    constraints_free(&call->rk_constraints);
    arena_free(&call->rk_memory);
    table_unref(call->rk_table);
    return rc;
}

static edb_value value_of(const test_value *v)
{
    edb_value value = {.type = v->type};
    if (v->type == VALUE_INTEGER) {
        value.integer = v->integer;
    } else if (v->type == VALUE_REAL) {
        value.real = v->real;
    } else if (v->type != VALUE_NULL) {
        value.bytes = v->bytes;
        value.size = v->size;
    }
    return value;
}

/* The values as their columns store them; in the place of the INTEGER PRIMARY KEY the row id. */
static int take_values(row_call *call, int64_t rowid, const test_value *values, size_t n)
{
    const edb_table *table = call->rk_table;
    int rc = n == table->et_n_columns ? EDB_OK : edb_fail(EDB_MISUSE, "a row of another number of columns");
    for (uint32_t i = 0; !rc && i < n; i++) {
        edb_value given = value_of(&values[i]);
        rc = affinity_apply(&given, table->et_columns[i].affinity, &call->rk_memory, &call->rk_row.sw_values[i]);
    }
    if (!rc && table->et_rowid_column >= 0)
        call->rk_row.sw_values[table->et_rowid_column] = (edb_value){.type = VALUE_INTEGER, .integer = rowid};
    return rc;
}

int test_table_insert(edb_stmt *stmt, uint32_t table, int64_t rowid, const test_value *values, size_t n, bool replace)
{
    row_call call;
    int rc = call_begin(&call, stmt, table);
    if (!rc)
        rc = take_values(&call, rowid, values, n);
    if (!rc)
        rc = evaluate_generated(stmt_conn(stmt), call.rk_table, rowid, &call.rk_row.sw_computed, call.rk_row.sw_values);
    if (!rc)
        rc = constraints_insert(&call.rk_constraints, &call.rk_row, stmt, call.rk_table, rowid, false,
                                call.rk_row.sw_values, replace);
    if (!rc)
        txn_id_used(stmt, table, rowid);
    return call_end(&call, rc);
}

int test_table_update(edb_stmt *stmt, uint32_t table, int64_t rowid, int64_t new_rowid, const test_value *values,
                      size_t n, bool *found)
{
    row_call call;
    table_row old;
    int rc = call_begin(&call, stmt, table);
    if (!rc)
        rc = table_row_load(&call.rk_row, stmt, call.rk_table, rowid, &old, found);
    if (rc || !*found)
        return call_end(&call, rc);
    rc = take_values(&call, new_rowid, values, n);
    for (uint32_t i = 0; !rc && i < n; i++)
        call.rk_row.sw_changed[i] = true;
    if (!rc)
        rc = constraints_update(&call.rk_constraints, &call.rk_row, stmt, call.rk_table, &old, new_rowid,
                                call.rk_row.sw_values, call.rk_row.sw_changed, false);
    if (!rc)
        txn_id_used(stmt, table, new_rowid);
    return call_end(&call, rc);
}

int test_table_delete(edb_stmt *stmt, uint32_t table, int64_t rowid, bool *found)
{
    row_call call;
    int rc = call_begin(&call, stmt, table);
    if (!rc)
        rc = constraints_delete(&call.rk_constraints, &call.rk_row, stmt, call.rk_table, rowid, found);
    return call_end(&call, rc);
}

#endif
