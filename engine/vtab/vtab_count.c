/* entitydb_count(table id, name [, engine connection]): the number of a table's rows as the statement sees them.
 *
 * SQLite counts a virtual table row by row. The tree knows its living entries, and counts those of the past by leaves,
 * so the driver puts this function in the place of a bare `SELECT count(*) FROM t`. The name is for messages; the
 * third argument, the id of an attached database's connection. */
#include "engine/vtab/vtab.h"

static int count_rows(edb_stmt *stmt, uint32_t tree, const char *name, uint64_t *out)
{
    if (stmt_is_past(stmt)) {
        uint64_t born;
        int rc = stmt_tree_born(stmt, tree, &born);
        if (rc)
            return rc;
        if (born > edb_stmt_moment(stmt))
            return vtab_not_yet(stmt, name, born);
    }
    return cursor_count(stmt, tree, out);
}

void function_count(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    vtab_binding *bd = sqlite3_user_data(context);
    const char *name = (const char *)sqlite3_value_text(argv[1]);
    uint64_t rows = 0;
    edb_stmt *stmt;
    edb_conn *conn = bd->bd_conn;
    if (conn && argc == 3)
        conn = conn_member(conn, sqlite3_value_int64(argv[2]));
    int rc = conn ? stmt_acquire(conn, false, !sqlite3_get_autocommit(bd->bd_db), &stmt)
                  : edb_fail(EDB_MISUSE, "entitydb_count: there is no such database");
    if (!rc) {
        rc = count_rows(stmt, (uint32_t)sqlite3_value_int64(argv[0]), name ? name : "", &rows);
        stmt_release(stmt);
    }
    if (rc) {
        sqlite3_result_error(context, edb_message(), -1);
        sqlite3_result_error_code(context, vtab_sqlite_code(rc));
    } else {
        sqlite3_result_int64(context, (int64_t)rows);
    }
}
