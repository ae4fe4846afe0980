/* Versions that differ in columns without history alone (alike.h). */
#include "engine/entity/alike.h"

#include <string.h>

#include "native/keycode.h"
#include "engine/txn/txn_internal.h"

void alike_begin(alike *alk, edb_stmt *stmt, const edb_table *table)
{
    *alk = (alike){ .alk_stmt = stmt, .alk_table = table };
}

int alike_find(alike *alk, edb_stmt *stmt, uint32_t id)
{
    alike_begin(alk, stmt, NULL);
    if (!pager_has(stmt->st_conn->cn_pager, PAGER_UNVERSIONED))
        return EDB_OK;
    int rc = catalog_table(stmt, id, &alk->alk_own);
    alk->alk_table = alk->alk_own;
    return rc == EDB_NOSUCH ? EDB_OK : rc;
}

void alike_end(alike *alk)
{
    table_unref(alk->alk_own);
    buffer_free(&alk->alk_rows[0]);
    buffer_free(&alk->alk_rows[1]);
    *alk = (alike){ .alk_stmt = NULL };
}

/* ---- two rows ---------------------------------------------------------------------------------------------------- */

static const edb_column *column_of_id(const edb_table *table, uint32_t id)
{
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        if (table->et_columns[i].id == id)
            return &table->et_columns[i];
    return NULL;
}

/* What a row has at a place; where it is shorter, what that means. *known false: that takes more than the row's bytes. -1: damaged. */
static int value_at(const edb_table *table, const row_view *row, uint32_t id, edb_value *out, bool *known)
{
    if (id < row->rw_columns)
        return row_column(row, id, out);
    const edb_column *column = column_of_id(table, id);
    *known = *known && !(column && column->lazy);
    out->type = VALUE_NULL;
    if (column && column->added)
        *out = column->added_value;
    return 0;
}

static bool same_value(const edb_value *a, const edb_value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case VALUE_NULL:
        return true;
    case VALUE_INTEGER:
        return a->integer == b->integer;
    case VALUE_REAL:
        return memcmp(&a->real, &b->real, sizeof a->real) == 0;
    default:
        return a->size == b->size && (!a->size || memcmp(a->bytes, b->bytes, a->size) == 0);
    }
}

static int same_rows(const edb_table *table, int64_t rowid, const row_view *a, const row_view *b, bool *out)
{
    const row_mask *mask = &table->et_unversioned;
    uint32_t n = a->rw_columns > b->rw_columns ? a->rw_columns : b->rw_columns, masked = 0;
    bool known = true, same = true;

    for (uint32_t id = 0; id < n && same; id++) {
        edb_value x, y;
        while (masked < mask->rmk_n && mask->rmk_ids[masked] < id)
            masked++;
        if (masked < mask->rmk_n && mask->rmk_ids[masked] == id)
            continue;
        if (value_at(table, a, id, &x, &known) || value_at(table, b, id, &y, &known))
            return row_damaged(table, rowid);
        same = known && same_value(&x, &y);
    }
    *out = same;
    return EDB_OK;
}

static int open_row(alike *alk, int which, const tree_version *v, int64_t rowid, row_view *row)
{
    edb_entry entry;

    entry_from_version(v, &entry);
    return row_of_entry(&alk->alk_rows[which], alk->alk_stmt, alk->alk_table, &entry, rowid, row);
}

int alike_versions(alike *alk, const tree_version *a, const tree_version *b, bool *out)
{
    row_view x, y;
    int rc;

    *out = false;
    if (!alike_any(alk) || a->key_size != 8)
        return EDB_OK;
    int64_t rowid = rowid_load(a->key);
    if ((rc = open_row(alk, 0, a, rowid, &x)) || (rc = open_row(alk, 1, b, rowid, &y)))
        return rc;
    return same_rows(alk->alk_table, rowid, &x, &y, out);
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

int alike_begun(alike *alk, const tree_state *state, const tree_version *v, uint64_t *begun)
{
    tree_version at = *v, before;
    uint64_t since;
    bool found = true, same = alike_any(alk);
    int rc = EDB_OK;

    *begun = v->from;
    while (same && !rc && at.from > state->ts_born && at.from > state->ts_horizon) {
        rc = tree_version_at(alk->alk_stmt->st_conn->cn_pager, state, at.from - 1, v->key, v->key_size, &before, &found, &since);
        if (rc || !found || (rc = alike_versions(alk, &at, &before, &same)) || !same)
            break;
        *begun = before.from;
        at = before;
        if (conn_interrupted(alk->alk_stmt->st_conn))
            rc = edb_fail(EDB_INTERRUPT, "reading the versions of a row was interrupted");
    }
    return rc;
}
