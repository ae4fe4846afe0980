/* The eponymous table entitydb_labels: what commits are named (labels.h).
 *
 *     INSERT INTO entitydb_labels(label) VALUES ('release 3')     names the commit of the running transaction
 *     SELECT label, number, moment, place FROM entitydb_labels    at the statement's moment; label = ? is a lookup
 *
 * `number` and `moment` (nanoseconds) are those of the newest commit with the label, NULL while it is an own write;
 * `place` orders the labels of one commit. The driver puts the INSERT in the place of SELECT entitydb_label(...). It is
 * an INSERT because only that gets SQLite's whole transaction protocol. */
#include <stdlib.h>
#include <string.h>

#include "engine/entity/labels.h"
#include "engine/vtab/vtab.h"

enum { LABEL_TEXT, LABEL_NUMBER, LABEL_MOMENT, LABEL_PLACE };
#define LABELS_LOOKUP 1             /* idxNum: one label */

typedef struct {
    sqlite3_vtab_cursor lc_base;
    edb_stmt *lc_stmt;              /* one user is ours; NULL: before xFilter */
    edb_cursor lc_entries;
    bool lc_open, lc_eof, lc_lookup;
    char *lc_only;                  /* when lc_lookup; owned */
    size_t lc_only_size;
    int64_t lc_row;                 /* counts the rows of this scan */
} label_scan;

static int connect_labels(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    vtab_any *vt = calloc(1, sizeof *vt);
    int rc;
    (void)argc, (void)argv, (void)error;
    if (!vt)
        return SQLITE_NOMEM;
    rc = sqlite3_declare_vtab(db, "CREATE TABLE x(label TEXT, number INTEGER, moment INTEGER, place INTEGER)");
    if (rc) {
        free(vt);
        return rc;
    }
    vt->vt_bd = aux;
    vt->vt_bd->bd_refs++;
    *out = &vt->vt_base;
    return SQLITE_OK;
}

static int disconnect(sqlite3_vtab *base)
{
    vtab_any *vt = (vtab_any *)base;
    binding_unref(vt->vt_bd);
    free(vt);
    return SQLITE_OK;
}

static int best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    (void)base;
    info->estimatedCost = 1000;
    info->estimatedRows = 1000;
    for (int i = 0; i < info->nConstraint; i++)
        if (info->aConstraint[i].usable && info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ
            && info->aConstraint[i].iColumn == LABEL_TEXT
            && !sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY")) {
            info->aConstraintUsage[i].argvIndex = 1;
            info->idxNum = LABELS_LOOKUP;
            info->estimatedCost = 10;
            info->estimatedRows = 1;
            break;
        }
    return SQLITE_OK;
}

static int label_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    label_scan *lc = calloc(1, sizeof *lc);
    if (!lc)
        return vtab_no_cursor(base);
    *out = &lc->lc_base;
    return SQLITE_OK;
}

static void label_leave(label_scan *lc)
{
    if (lc->lc_open)
        cursor_close(&lc->lc_entries);
    lc->lc_open = false;
    if (lc->lc_stmt)
        stmt_release(lc->lc_stmt);
    lc->lc_stmt = NULL;
    free(lc->lc_only);
    lc->lc_only = NULL;
}

static int label_close(sqlite3_vtab_cursor *base)
{
    label_leave((label_scan *)base);
    free(base);
    return SQLITE_OK;
}

static void label_stand(label_scan *lc)
{
    const edb_entry *at = &lc->lc_entries.at;
    lc->lc_eof = !lc->lc_entries.valid
                 || (lc->lc_lookup && (at->key_size != lc->lc_only_size
                                       || memcmp(at->key, lc->lc_only, lc->lc_only_size)));
}

static int label_start(label_scan *lc, sqlite3_value *value)
{
    uint32_t tree;
    int rc;
    label_leave(lc);
    lc->lc_row = 0;
    lc->lc_eof = true;
    lc->lc_lookup = value && sqlite3_value_type(value) == SQLITE_TEXT;
    if (lc->lc_lookup) {
        const char *text = (const char *)sqlite3_value_text(value);
        lc->lc_only_size = (size_t)sqlite3_value_bytes(value);
        if (!text || !(lc->lc_only = malloc(lc->lc_only_size + 1)))
            return edb_fail(EDB_NOMEM, "no memory to look up a label");
        memcpy(lc->lc_only, text, lc->lc_only_size);
    }
    rc = vtab_acquire(((vtab_any *)lc->lc_base.pVtab)->vt_bd, false, &lc->lc_stmt);
    if (!rc)
        rc = labels_tree(lc->lc_stmt, &tree);
    if (rc || !tree || (lc->lc_lookup && !lc->lc_only_size))
        return rc;
    rc = cursor_open(lc->lc_stmt, tree, &lc->lc_entries);
    if (rc)
        return rc;
    lc->lc_open = true;
    rc = cursor_seek(&lc->lc_entries, lc->lc_only, lc->lc_lookup ? lc->lc_only_size : 0);
    if (!rc)
        label_stand(lc);
    return rc;
}

static int label_filter(sqlite3_vtab_cursor *base, int number, const char *plan, int argc, sqlite3_value **argv)
{
    (void)plan;
    return vtab_result(base->pVtab,
                       label_start((label_scan *)base, number == LABELS_LOOKUP && argc ? argv[0] : NULL));
}

static int label_next(sqlite3_vtab_cursor *base)
{
    label_scan *lc = (label_scan *)base;
    int rc = cursor_next(&lc->lc_entries);
    lc->lc_row++;
    if (!rc)
        label_stand(lc);
    return vtab_result(base->pVtab, rc);
}

static int label_eof(sqlite3_vtab_cursor *base)
{
    return ((label_scan *)base)->lc_eof;
}

static int label_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    label_scan *lc = (label_scan *)base;
    const edb_entry *at = &lc->lc_entries.at;
    uint64_t place;
    int64_t ns;
    int rc = EDB_OK;
    if (column == LABEL_TEXT) {
        sqlite3_result_text(context, (const char *)at->key, (int)at->key_size, SQLITE_TRANSIENT);
    } else if (column == LABEL_PLACE) {
        if (!(rc = label_place(at, &place)))
            sqlite3_result_int64(context, (int64_t)place);
    } else if (!at->from) {
        sqlite3_result_null(context);
    } else if (column == LABEL_NUMBER) {
        sqlite3_result_int64(context, (int64_t)at->from);
    } else if (!(rc = label_time(lc->lc_stmt, at, &ns))) {
        sqlite3_result_int64(context, ns);
    }
    return vtab_result(base->pVtab, rc);
}

static int label_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
    *rowid = ((label_scan *)base)->lc_row;
    return SQLITE_OK;
}

static int label_update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid)
{
    edb_stmt *stmt;
    int rc;
    if (argc == 1 || sqlite3_value_type(argv[0]) != SQLITE_NULL)
        return vtab_result(base, edb_fail(EDB_MISUSE, "a label stays with its commit: it cannot be changed or deleted"));
    argv += 2;
    if (sqlite3_value_type(argv[LABEL_TEXT]) != SQLITE_TEXT || sqlite3_value_type(argv[LABEL_NUMBER]) != SQLITE_NULL
        || sqlite3_value_type(argv[LABEL_MOMENT]) != SQLITE_NULL
        || sqlite3_value_type(argv[LABEL_PLACE]) != SQLITE_NULL)
        return vtab_result(base, edb_fail(EDB_MISUSE, "a label is a text, and names the commit it is written in"));
    rc = vtab_acquire(((vtab_any *)base)->vt_bd, true, &stmt);
    if (rc)
        return vtab_result(base, rc);
    rc = label_put(stmt, (const char *)sqlite3_value_text(argv[LABEL_TEXT]),
                   (size_t)sqlite3_value_bytes(argv[LABEL_TEXT]));
    if (!rc)
        stmt_count(stmt, 1);
    stmt_release(stmt);
    *rowid = 0;
    return vtab_result(base, rc);
}

const sqlite3_module vtab_labels_module = {
    .iVersion = 2,
    .xConnect = connect_labels,
    .xBestIndex = best_index,
    .xDisconnect = disconnect,
    .xOpen = label_open,
    .xClose = label_close,
    .xFilter = label_filter,
    .xNext = label_next,
    .xEof = label_eof,
    .xColumn = label_column,
    .xRowid = label_rowid,
    .xUpdate = label_update,
    .xBegin = vtab_begin,
    .xSync = vtab_sync,
    .xCommit = vtab_commit,
    .xRollback = vtab_rollback,
    .xSavepoint = vtab_savepoint,
    .xRelease = vtab_release,
    .xRollbackTo = vtab_rollback_to,
};

void function_label(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc, (void)argv;
    sqlite3_result_error(context, "entitydb_label() is a statement: SELECT entitydb_label(text), with no other column",
                         -1);
}
