/* The eponymous table entitydb_changes: what commits did to rows and tags, in their order.
 *
 *     SELECT transaction_id, committed_at, type, entity, operation, tag, old, new FROM entitydb_changes
 *     WHERE transaction_id > ?                                                       what came after a transaction
 *
 * `operation` is 'insert', 'update' or 'delete' of a row, with the row before and after as JSON objects, or 'tag' or 'untag', with the tag's
 * text. The hidden columns old_row and new_row have the rows for Python (entity/row_marshal.h). Within a commit changes come by table, rows before tags, and by row. Found by bounds of transaction_id, by type, by entity;
 * ORDER BY transaction_id is the order they have. idxStr is "changes". */
#include <stdlib.h>

#include "engine/entity/commit_changes.h"
#include "engine/entity/row_versions.h"
#include "engine/entity/tag_dictionary.h"
#include "engine/entity/tag_text.h"
#include "engine/vtab/row_results.h"
#include "engine/vtab/rows_ever.h"

enum { CHANGES_TRANSACTION, CHANGES_TIME, CHANGES_TYPE, CHANGES_ENTITY, CHANGES_OPERATION, CHANGES_TAG, CHANGES_OLD, CHANGES_NEW, CHANGES_OLD_ROW, CHANGES_NEW_ROW };

#define DECLARATION                                                                                                    \
    "CREATE TABLE x(transaction_id INTEGER, committed_at INTEGER, type TEXT COLLATE NOCASE, entity INTEGER, "          \
    "operation TEXT, tag TEXT, old TEXT, new TEXT, old_row BLOB HIDDEN, new_row BLOB HIDDEN, "                         \
    "PRIMARY KEY(transaction_id, type, entity, operation, tag)) WITHOUT ROWID"
#define CHANGES_GUESS 160000.0

typedef struct {
    sqlite3_vtab_cursor chs_base;
    edb_stmt *chs_stmt;             /* one user is ours; NULL: before xFilter */
    ever_arguments chs_given;
    bool chs_open;                  /* chs_walk is */
    commit_changes chs_walk;
    const commit_change *chs_at;    /* NULL: at the end */
    table_buffer chs_row, chs_json;
    marshal_writer chs_out;
    uint8_t chs_tag[TAG_MOST];
} changes_scan;

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    (void)argc, (void)argv, (void)error;
    return vtab_any_connect(db, aux, DECLARATION, sizeof(vtab_any), out);
}

static int best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    static const ever_columns columns = {CHANGES_TYPE, CHANGES_ENTITY, CHANGES_TRANSACTION};
    (void)base;
    ever_plan(&columns, info, CHANGES_GUESS);
    info->orderByConsumed = info->nOrderBy == 1 && info->aOrderBy[0].iColumn == CHANGES_TRANSACTION && !info->aOrderBy[0].desc;
    info->idxStr = "changes";
    return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    return vtab_any_open(base, sizeof(changes_scan), out);
}

static void leave(changes_scan *chs)
{
    if (chs->chs_open)
        changes_end(&chs->chs_walk);
    tables_ever_free(&chs->chs_given.ea_tables);
    if (chs->chs_stmt)
        stmt_release(chs->chs_stmt);
    chs->chs_open = false;
    chs->chs_stmt = NULL;
    chs->chs_at = NULL;
}

static int close_cursor(sqlite3_vtab_cursor *base)
{
    changes_scan *chs = (changes_scan *)base;
    leave(chs);
    buffer_free(&chs->chs_row);
    buffer_free(&chs->chs_json);
    marshal_free(&chs->chs_out);
    free(chs);
    return SQLITE_OK;
}

static int advance(changes_scan *chs)
{
    int rc = changes_next(&chs->chs_walk, &chs->chs_at);
    ((vtab_any *)chs->chs_base.pVtab)->ay_binding->bd_visited += chs->chs_at != NULL;
    return rc;
}

static int start(changes_scan *chs, int plan, sqlite3_value **argv)
{
    const ever_arguments *given = &chs->chs_given;
    int rc = ever_read(chs->chs_stmt, plan, argv, &chs->chs_given);
    if (rc || given->ea_nothing)
        return rc;
    const changes_wanted wanted = {.cx_after = given->ea_after, .cx_upto = given->ea_upto, .cx_one = given->ea_one,
                                   .cx_id = given->ea_id, .cx_tables = &given->ea_tables};
    if ((rc = changes_begin(&chs->chs_walk, chs->chs_stmt, &wanted)))
        return rc;
    chs->chs_open = true;
    return advance(chs);
}

static int filter(sqlite3_vtab_cursor *base, int plan, const char *string, int argc, sqlite3_value **argv)
{
    changes_scan *chs = (changes_scan *)base;
    (void)string, (void)argc;
    leave(chs);
    int rc = vtab_acquire(((vtab_any *)base->pVtab)->ay_binding, false, &chs->chs_stmt);
    return vtab_result(base->pVtab, rc ? rc : start(chs, plan, argv));
}

static int next(sqlite3_vtab_cursor *base)
{
    return vtab_result(base->pVtab, advance((changes_scan *)base));
}

static int eof(sqlite3_vtab_cursor *base)
{
    return !((const changes_scan *)base)->chs_at;
}

static int tag_column(changes_scan *chs, sqlite3_context *context)
{
    const uint8_t *text;
    uint32_t size;
    tagging tg;
    const tree_event *change = &chs->chs_at->cc_change;
    if (!reverse_load(&chs->chs_walk.ccs_tags, &tg, change->key, change->key_size))
        return edb_fail(EDB_CORRUPT, "a tagging has a key of %u bytes", change->key_size);
    int rc = tag_text(chs->chs_stmt, &chs->chs_walk.ccs_tags, tg.tg_id, chs->chs_tag, &text, &size);
    if (!rc)
        sqlite3_result_text(context, (const char *)text, (int)size, SQLITE_TRANSIENT);
    return rc;
}

static int image_column(changes_scan *chs, sqlite3_context *context, bool as_json, bool there, const tree_version *v)
{
    const commit_change *at = chs->chs_at;
    if (!there || at->cc_tagging)
        return EDB_OK;
    edb_entry entry;
    entry_from_version(v, &entry);
    if (as_json)
        return result_row_json(context, chs->chs_stmt, at->cc_table, &entry, at->cc_id, &chs->chs_row, &chs->chs_json);
    return result_row_marshal(context, chs->chs_stmt, at->cc_table, &entry, at->cc_id, &chs->chs_row, &chs->chs_out);
}

static int column_value(changes_scan *chs, sqlite3_context *context, int column)
{
    const commit_change *at = chs->chs_at;
    const tree_event *change = &at->cc_change;
    switch (column) {
    case CHANGES_TRANSACTION:
        sqlite3_result_int64(context, (int64_t)change->at);
        return EDB_OK;
    case CHANGES_TIME:
        return result_commit_time(context, chs->chs_stmt, change->at);
    case CHANGES_TYPE:
        sqlite3_result_text(context, at->cc_table->et_name, -1, SQLITE_TRANSIENT);
        return EDB_OK;
    case CHANGES_ENTITY:
        sqlite3_result_int64(context, at->cc_id);
        return EDB_OK;
    case CHANGES_OPERATION:
        sqlite3_result_text(context, !at->cc_tagging ? operation_name(change->had, change->has)
                                     : change->has   ? "tag"
                                                     : "untag", -1, SQLITE_STATIC);
        return EDB_OK;
    case CHANGES_TAG:
        return at->cc_tagging ? tag_column(chs, context) : EDB_OK;
    case CHANGES_OLD:
    case CHANGES_OLD_ROW:
        return image_column(chs, context, column == CHANGES_OLD, change->had, &change->was);
    default:
        return image_column(chs, context, column == CHANGES_NEW, change->has, &change->is);
    }
}

static int column_of(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    return vtab_result(base->pVtab, column_value((changes_scan *)base, context, column));
}

const sqlite3_module vtab_changes_module = {
    .iVersion = 2,
    .xCreate = connect,
    .xConnect = connect,
    .xBestIndex = best_index,
    .xDisconnect = vtab_any_disconnect,
    .xDestroy = vtab_any_disconnect,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = eof,
    .xColumn = column_of,
};
