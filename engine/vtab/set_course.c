/* What the rows that one statement sets have in common (vtab_set.h).
 *
 * Where nothing looks at the values that stay (table_update_alone()), all that decides how a row is changed is the same for
 * all rows of the statement but what this file looks at: the row is not written yet, nobody else can have changed it, it
 * has all columns and no NULL where there may be none. The rest is found out with the first row, which goes the way of
 * every other change. */
#include <stdlib.h>

#include "engine/vtab/vtab_set.h"

uint32_t set_columns(uint64_t packed, uint32_t columns[SET_MOST])
{
    uint32_t n = 0;
    for (; packed & 0xff && n < SET_MOST; packed >>= 8)
        columns[n++] = (uint32_t)(packed & 0xff) - 1;
    return n;
}

/* Are rows of the statement ever changed alone, all values of the columns being judged by themselves? */
static int find_out(set_course *stc, scan *cu)
{
    vtab_binding *bd = ((vtab_any *)cu->cu_base.pVtab)->ay_binding;
    const edb_table *table = stc->stc_table;
    bool alone = false;
    int rc;
    stc->stc_alone = stc->stc_judges_null = false;
    if (table->et_n_columns > SET_WIDEST || stmt_capture(cu->cu_stmt, table->et_id) || stmt_notes_reads(cu->cu_stmt))
        return EDB_OK;
    memset(stc->stc_changed, 0, sizeof stc->stc_changed);
    for (uint32_t k = 0; k < stc->stc_n; k++) {
        uint32_t i = stc->stc_columns[k];
        if (i >= table->et_n_columns || (int)i == table->et_rowid_column)
            return EDB_OK;
        stc->stc_changed[i] = true;
    }
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        stc->stc_judges_null |= table->et_columns[i].not_null && !stc->stc_changed[i] && (int)i != table->et_rowid_column;
    rc = constraints_may_be_alone(&bd->bd_constraints, cu->cu_stmt, table, stc->stc_changed, &alone);
    stc->stc_alone = alone;
    return rc;
}

set_course *set_course_of(scan *cu, uint64_t packed)
{
    vtab_entity *vt = (vtab_entity *)cu->cu_base.pVtab;
    vtab_binding *bd = vt->vt_any.ay_binding;
    set_course *stc = bd->bd_course;
    if (likely(stc && stc->stc_stmt == stmt_id(cu->cu_stmt) && stc->stc_table == vt->vt_table && stc->stc_packed == packed))
        return stc->stc_alone ? stc : NULL;
    if (!stc && !(stc = bd->bd_course = calloc(1, sizeof *stc)))
        return NULL;
    stc->stc_table = vt->vt_table;
    stc->stc_packed = packed;
    stc->stc_n = set_columns(packed, stc->stc_columns);
    stc->stc_stmt = find_out(stc, cu) ? 0 : stmt_id(cu->cu_stmt);
    return NULL;                    /* the first row says what is wrong, and begins to write */
}

/* Whether a row that may not be NULL somewhere is. */
static bool lacks(const set_course *stc, const row_view *view)
{
    for (uint32_t i = 0; i < stc->stc_table->et_n_columns; i++)
        if (stc->stc_table->et_columns[i].not_null && !stc->stc_changed[i] && view->rw_types[i] == ROW_NULL
            && (int)i != stc->stc_table->et_rowid_column)
            return true;
    return false;
}

/* The row, if it is like the others; it lies in the page. */
static bool find_row(const set_course *stc, const scan *cu, table_row *row)
{
    const vtab_binding *bd = ((vtab_any *)cu->cu_base.pVtab)->ay_binding;
    const edb_entry *at = cu->cu_at;
    if (bd->bd_writing || cu->cu_index || at->overflow || sqlite3_vtab_on_conflict(bd->bd_db) != SQLITE_ABORT
        || !stmt_goes_on(bd->bd_conn, cu->cu_stmt) || !stmt_row_stands(cu->cu_stmt, stc->stc_table->et_id, at)
        || row_open(&row->rd_view, at->value, at->value_size) || row->rd_view.rw_columns != stc->stc_table->et_width)
        return false;
    row->rd_rowid = rowid_load(at->key);
    row->rd_seen_from = at->from;
    return !stc->stc_judges_null || !lacks(stc, &row->rd_view);
}

int set_alone(set_course *stc, scan *cu, sqlite3_value **values, bool *done)
{
    vtab_binding *bd = ((vtab_any *)cu->cu_base.pVtab)->ay_binding;
    table_row old;
    int rc = EDB_OK;
    *done = find_row(stc, cu, &old);
    if (!*done)
        return EDB_OK;
    for (uint32_t k = 0; !rc && k < stc->stc_n; k++) {
        uint32_t i = stc->stc_columns[k];
        rc = value_convert(&bd->bd_values, values[k], stc->stc_table->et_columns[i].affinity, &stc->stc_values[i]);
    }
    if (!rc)
        rc = table_update_alone(&bd->bd_row, cu->cu_stmt, stc->stc_table, &old, stc->stc_values, stc->stc_changed);
    values_drop(&bd->bd_values);
    if (!rc)
        stmt_count(cu->cu_stmt, 1);
    return rc;
}
