/* Control tables: eponymous virtual tables that show a tree which is no table's, or that are written to do something.
 *
 * What they do is an INSERT because only that gets SQLite's whole transaction protocol: a CREATE VIRTUAL TABLE never
 * calls xBegin, and a DROP calls nothing at COMMIT. Eponymous, so that none is in sqlite_master.
 *
 * A table says in a control_table what is its own; control_table.c has the rest. A scan walks the tree at the
 * statement's moment, or looks up one key. */
#ifndef EDB_CONTROL_TABLE_H
#define EDB_CONTROL_TABLE_H

#include "engine/vtab/vtab.h"

typedef struct control_table control_table;

typedef struct {
    sqlite3_vtab_cursor cts_base;
    edb_stmt *cts_stmt;             /* one user is ours; NULL: before xFilter */
    edb_cursor cts_entries;         /* if cts_open */
    bool cts_open, cts_eof;
    table_buffer cts_only;          /* the key looked up, if cts_lookup */
    bool cts_lookup;
    int64_t cts_row;                /* counts the rows of this scan */
    edb_table *cts_table;           /* entitydb_catalog: counted; where the scan stands */
} control_scan;

struct control_table {
    const char *ctl_declaration;
    double ctl_rows;                /* a guess, for plans */
    /* The tree shown; *found false: there is none yet. NULL: reading finds nothing. */
    int (*ctl_tree)(edb_stmt *stmt, uint32_t *tree, bool *found);
    /* The key of the row whose first column equals the value; *found false: no key can, and all rows are walked. */
    int (*ctl_key)(sqlite3_value *value, table_buffer *key, bool *found);
    int (*ctl_load)(control_scan *cts);     /* where the scan has come to stand; NULL: nothing to do */
    int (*ctl_column)(control_scan *cts, sqlite3_context *context, int column);
    int64_t (*ctl_rowid)(const control_scan *cts);      /* NULL: the row's number in the scan */
    /* columns: as declared. NULL: the table is not written. */
    int (*ctl_insert)(vtab_binding *bd, edb_stmt *stmt, sqlite3_value **columns, sqlite3_int64 *rowid);
    const char *ctl_only_insert;    /* what UPDATE and DELETE are told */
};

int control_connect(const control_table *table, sqlite3 *db, vtab_binding *bd, sqlite3_vtab **out);
int control_best_index(sqlite3_vtab *base, sqlite3_index_info *info);
int control_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out);
int control_close(sqlite3_vtab_cursor *base);
int control_filter(sqlite3_vtab_cursor *base, int number, const char *plan, int argc, sqlite3_value **argv);
int control_next(sqlite3_vtab_cursor *base);
int control_eof(sqlite3_vtab_cursor *base);
int control_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int column);
int control_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid);
int control_update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid);

/* Module `name` of `table`; update: control_update, or NULL where nothing is written. */
#define CONTROL_MODULE(name, table, update)                                                                            \
    static int name##_connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out,           \
                              char **error)                                                                            \
    {                                                                                                                  \
        (void)argc, (void)argv, (void)error;                                                                           \
        return control_connect(&table, db, aux, out);                                                                  \
    }                                                                                                                  \
    const sqlite3_module name = {                                                                                      \
        .iVersion = 2,                                                                                                 \
        .xConnect = name##_connect,                                                                                    \
        .xBestIndex = control_best_index,                                                                              \
        .xDisconnect = vtab_any_disconnect,                                                                            \
        .xOpen = control_open,                                                                                         \
        .xClose = control_close,                                                                                       \
        .xFilter = control_filter,                                                                                     \
        .xNext = control_next,                                                                                         \
        .xEof = control_eof,                                                                                           \
        .xColumn = control_column,                                                                                     \
        .xRowid = control_rowid,                                                                                       \
        .xUpdate = update,                                                                                             \
        .xBegin = vtab_begin,                                                                                          \
        .xSync = vtab_sync,                                                                                            \
        .xCommit = vtab_commit,                                                                                        \
        .xRollback = vtab_rollback,                                                                                    \
        .xSavepoint = vtab_savepoint,                                                                                  \
        .xRelease = vtab_release,                                                                                      \
        .xRollbackTo = vtab_rollback_to,                                                                               \
    }

#endif
