/* entitydb_schema_changes(connection): when entries of the catalog were made, changed and dropped, by commits that the statement
 * sees, as JSON:
 *
 *     [[nanoseconds, id], ...]
 *
 * Those of one id in no order. The connection is an edb_conn_id: main's, or that of an attached database. */
#include "engine/entity/tables_ever.h"
#include "engine/vtab/vtab.h"

typedef struct {
    edb_stmt *scw_stmt;
    sqlite3_str *scw_out;
} changes_written;

static int put(void *arg, uint64_t commit, uint32_t id)
{
    const changes_written *scw = arg;
    int64_t ns;
    int rc = commit_time(scw->scw_stmt, commit, &ns);
    if (!rc)
        sqlite3_str_appendf(scw->scw_out, "%s[%lld,%u]", sqlite3_str_length(scw->scw_out) > 1 ? "," : "", (long long)ns, id);
    return rc;
}

void function_schema_changes(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    vtab_binding *bd = binding_of(sqlite3_user_data(context), sqlite3_value_int64(argv[0]));
    changes_written scw = { .scw_out = sqlite3_str_new(sqlite3_context_db_handle(context)) };
    (void)argc;
    int rc = bd ? vtab_acquire_aside(bd, false, &scw.scw_stmt) : edb_fail(EDB_MISUSE, "entitydb_schema_changes: no such connection");
    sqlite3_str_appendchar(scw.scw_out, 1, '[');
    if (!rc) {
        rc = schema_changes(scw.scw_stmt, put, &scw);
        stmt_release(scw.scw_stmt);
    }
    sqlite3_str_appendchar(scw.scw_out, 1, ']');
    char *text = sqlite3_str_finish(scw.scw_out);
    if (rc) {
        sqlite3_result_error(context, edb_message(), -1);
        sqlite3_result_error_code(context, vtab_sqlite_code(rc));
        sqlite3_free(text);
    } else if (text) {
        sqlite3_result_text(context, text, -1, sqlite3_free);
    } else {
        sqlite3_result_error_nomem(context);
    }
}
