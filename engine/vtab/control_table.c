/* What control tables have in common (control_table.h). */
#include "engine/vtab/control_table.h"

#include <stdlib.h>
#include <string.h>

#define PLAN_LOOKUP 1               /* idxNum: one key */

typedef struct {
    vtab_any ctv_any;
    const control_table *ctv_control;
} control_vtab;

static const control_table *control_of(const sqlite3_vtab_cursor *base)
{
    return ((control_vtab *)base->pVtab)->ctv_control;
}

int control_connect(const control_table *table, sqlite3 *db, vtab_binding *bd, sqlite3_vtab **out)
{
    int rc = vtab_any_connect(db, bd, table->ctl_declaration, sizeof(control_vtab), out);
    if (!rc)
        ((control_vtab *)*out)->ctv_control = table;
    return rc;
}

int control_best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    const control_table *table = ((control_vtab *)base)->ctv_control;
    info->estimatedCost = table->ctl_tree ? 1000 : 1;
    info->estimatedRows = (sqlite3_int64)table->ctl_rows;
    for (int i = 0; table->ctl_key && i < info->nConstraint; i++) {
        int column = info->aConstraint[i].iColumn;
        if (!info->aConstraint[i].usable || info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ
            || (column && !(column < 0 && table->ctl_rowid))
            || sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY"))
            continue;
        info->aConstraintUsage[i].argvIndex = 1;
        info->idxNum = PLAN_LOOKUP;
        info->estimatedCost = 10;
        info->estimatedRows = 1;
        break;
    }
    return SQLITE_OK;
}

/* ---- scans ---------------------------------------------------------------------------------------------------- */

int control_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    return vtab_any_open(base, sizeof(control_scan), out);
}

static void leave(control_scan *cts)
{
    table_unref(cts->cts_table);
    cts->cts_table = NULL;
    if (cts->cts_open)
        cursor_close(&cts->cts_entries);
    cts->cts_open = false;
    if (cts->cts_stmt)
        stmt_release(cts->cts_stmt);
    cts->cts_stmt = NULL;
    cts->cts_only.bf_size = 0;
}

int control_close(sqlite3_vtab_cursor *base)
{
    control_scan *cts = (control_scan *)base;
    leave(cts);
    buffer_free(&cts->cts_only);
    free(cts);
    return SQLITE_OK;
}

/* The scan has moved: is there a row, and what is it? */
static int stand(control_scan *cts)
{
    const control_table *table = control_of(&cts->cts_base);
    const edb_entry *at = &cts->cts_entries.at;
    const table_buffer *only = &cts->cts_only;
    cts->cts_eof = !cts->cts_entries.valid
                   || (cts->cts_lookup
                       && (at->key_size != only->bf_size || memcmp(at->key, only->bf_bytes, only->bf_size)));
    return cts->cts_eof || !table->ctl_load ? EDB_OK : table->ctl_load(cts);
}

static int start(control_scan *cts, sqlite3_value *value)
{
    const control_table *table = control_of(&cts->cts_base);
    uint32_t tree;
    bool found = false;
    int rc = EDB_OK;
    leave(cts);
    cts->cts_row = 0;
    cts->cts_eof = true;
    cts->cts_lookup = false;
    if (!table->ctl_tree)
        return EDB_OK;
    if (value)
        rc = table->ctl_key(value, &cts->cts_only, &cts->cts_lookup);
    if (!rc)
        rc = vtab_acquire(((vtab_any *)cts->cts_base.pVtab)->ay_binding, false, &cts->cts_stmt);
    if (!rc)
        rc = table->ctl_tree(cts->cts_stmt, &tree, &found);
    if (rc || !found || (cts->cts_lookup && !cts->cts_only.bf_size))
        return rc;
    rc = cursor_open(cts->cts_stmt, tree, &cts->cts_entries);
    if (rc)
        return rc;
    cts->cts_open = true;
    rc = cursor_seek(&cts->cts_entries, cts->cts_lookup ? cts->cts_only.bf_bytes : NULL, cts->cts_only.bf_size);
    return rc ? rc : stand(cts);
}

int control_filter(sqlite3_vtab_cursor *base, int number, const char *plan, int argc, sqlite3_value **argv)
{
    (void)plan;
    return vtab_result(base->pVtab, start((control_scan *)base, number == PLAN_LOOKUP && argc ? argv[0] : NULL));
}

int control_next(sqlite3_vtab_cursor *base)
{
    control_scan *cts = (control_scan *)base;
    int rc = cursor_next(&cts->cts_entries);
    cts->cts_row++;
    return vtab_result(base->pVtab, rc ? rc : stand(cts));
}

int control_eof(sqlite3_vtab_cursor *base)
{
    return ((control_scan *)base)->cts_eof;
}

int control_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    return vtab_result(base->pVtab, control_of(base)->ctl_column((control_scan *)base, context, column));
}

int control_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
    const control_scan *cts = (control_scan *)base;
    const control_table *table = control_of(base);
    *rowid = table->ctl_rowid ? table->ctl_rowid(cts) : cts->cts_row;
    return SQLITE_OK;
}

/* ---- writing -------------------------------------------------------------------------------------------------- */

int control_update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid)
{
    const control_table *table = ((control_vtab *)base)->ctv_control;
    vtab_binding *bd = ((vtab_any *)base)->ay_binding;
    edb_stmt *stmt;
    if (argc == 1 || sqlite3_value_type(argv[0]) != SQLITE_NULL)
        return vtab_result(base, edb_fail(EDB_MISUSE, "%s", table->ctl_only_insert));
    int rc = vtab_acquire(bd, true, &stmt);
    if (rc)
        return vtab_result(base, rc);
    rc = table->ctl_insert(bd, stmt, argv + 2, rowid);
    stmt_release(stmt);
    return vtab_result(base, rc);
}
