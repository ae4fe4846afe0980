/* entitydb_names(connection): which tables were made, renamed and dropped, by commits that the statement sees, as JSON:
 *
 *     [[nanoseconds, table id, name before or null, name from then on or null], ...]
 *
 * Those of one table in no order. The connection is an edb_conn_id: main's, or that of an attached database. */
#include "engine/entity/tables_ever.h"
#include "engine/vtab/vtab.h"

static void put_text(sqlite3_str *out, const char *text)
{
    sqlite3_str_appendall(out, text ? "\"" : "null");
    for (const char *at = text; at && *at; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < 0x20)
            sqlite3_str_appendf(out, "\\u%04x", (unsigned)(unsigned char)*at);
        else
            sqlite3_str_appendchar(out, 1, *at);
    if (text)
        sqlite3_str_appendall(out, "\"");
}

typedef struct {
    edb_stmt *ntd_stmt;
    sqlite3_str *ntd_out;
} names_told;

static int put(void *arg, uint64_t commit, uint32_t id, const char *was, const char *is)
{
    const names_told *ntd = arg;
    int64_t ns;
    int rc = commit_time(ntd->ntd_stmt, commit, &ns);
    if (rc)
        return rc;
    sqlite3_str_appendf(ntd->ntd_out, "%s[%lld,%u,", sqlite3_str_length(ntd->ntd_out) > 1 ? "," : "", (long long)ns, id);
    put_text(ntd->ntd_out, was);
    sqlite3_str_appendchar(ntd->ntd_out, 1, ',');
    put_text(ntd->ntd_out, is);
    sqlite3_str_appendchar(ntd->ntd_out, 1, ']');
    return EDB_OK;
}

void function_names(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    vtab_binding *bd = binding_of(sqlite3_user_data(context), sqlite3_value_int64(argv[0]));
    names_told ntd = { .ntd_out = sqlite3_str_new(sqlite3_context_db_handle(context)) };
    (void)argc;
    int rc = bd ? vtab_acquire_aside(bd, false, &ntd.ntd_stmt) : edb_fail(EDB_MISUSE, "entitydb_names: no such connection");
    sqlite3_str_appendchar(ntd.ntd_out, 1, '[');
    if (!rc) {
        rc = tables_named(ntd.ntd_stmt, put, &ntd);
        stmt_release(ntd.ntd_stmt);
    }
    sqlite3_str_appendchar(ntd.ntd_out, 1, ']');
    char *text = sqlite3_str_finish(ntd.ntd_out);
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
