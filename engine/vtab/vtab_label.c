/* The eponymous table entitydb_labels: what commits are named (entity/labels.h).
 *
 *     INSERT INTO entitydb_labels(label) VALUES ('release 3')     names the commit of the running transaction
 *     SELECT label, number, moment, place FROM entitydb_labels    at the statement's moment; label = ? is a lookup
 *
 * `number` and `moment` (nanoseconds) are those of the newest commit with the label, NULL while it is an own write;
 * `place` orders the labels of one commit. The driver puts the INSERT in the place of SELECT entitydb_label(...). */
#include <string.h>

#include "engine/entity/labels.h"
#include "engine/vtab/control_table.h"

enum { LABEL_TEXT, LABEL_NUMBER, LABEL_MOMENT, LABEL_PLACE };

static int label_tree(edb_stmt *stmt, uint32_t *tree, bool *found)
{
    int rc = labels_tree(stmt, tree);
    *found = !rc && *tree;
    return rc;
}

static int label_key(sqlite3_value *value, table_buffer *key, bool *found)
{
    *found = sqlite3_value_type(value) == SQLITE_TEXT;
    if (!*found)
        return EDB_OK;
    const char *text = (const char *)sqlite3_value_text(value);
    size_t size = (size_t)sqlite3_value_bytes(value);
    uint8_t *at = text ? buffer_reserve(key, size) : NULL;
    if (!at)
        return edb_fail(EDB_NOMEM, "no memory to look up a label");
    memcpy(at, text, size);
    key->bf_size = size;
    return EDB_OK;
}

static int label_column(control_scan *cts, sqlite3_context *context, int column)
{
    const edb_entry *at = &cts->cts_entries.at;
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
    } else if (!(rc = label_time(cts->cts_stmt, at, &ns))) {
        sqlite3_result_int64(context, ns);
    }
    return rc;
}

static int label_insert(vtab_binding *bd, edb_stmt *stmt, sqlite3_value **columns, sqlite3_int64 *rowid)
{
    (void)bd;
    if (sqlite3_value_type(columns[LABEL_TEXT]) != SQLITE_TEXT
        || sqlite3_value_type(columns[LABEL_NUMBER]) != SQLITE_NULL
        || sqlite3_value_type(columns[LABEL_MOMENT]) != SQLITE_NULL
        || sqlite3_value_type(columns[LABEL_PLACE]) != SQLITE_NULL)
        return edb_fail(EDB_MISUSE, "a label is a text, and names the commit it is written in");
    int rc = label_put(stmt, (const char *)sqlite3_value_text(columns[LABEL_TEXT]),
                       (size_t)sqlite3_value_bytes(columns[LABEL_TEXT]));
    if (!rc)
        stmt_count(stmt, 1);
    *rowid = 0;
    return rc;
}

static const control_table control = {
    .ctl_declaration = "CREATE TABLE x(label TEXT, number INTEGER, moment INTEGER, place INTEGER)",
    .ctl_rows = 1000,
    .ctl_tree = label_tree,
    .ctl_key = label_key,
    .ctl_column = label_column,
    .ctl_insert = label_insert,
    .ctl_only_insert = "a label stays with its commit: it cannot be changed or deleted",
};

CONTROL_MODULE(vtab_labels_module, control, control_update);

void function_label(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc, (void)argv;
    sqlite3_result_error(context, "entitydb_label() is a statement: SELECT entitydb_label(text), with no other column",
                         -1);
}
