/* entitydb_names(connection): which tables were made, renamed and dropped, by commits that the statement sees (commit_list.h):
 *
 *     [[nanoseconds, table id, name before or null, name from then on or null], ...]
 *
 * Those of one table in no order. */
#include "engine/entity/row_json.h"
#include "engine/entity/tables_ever.h"
#include "engine/vtab/commit_list.h"

static int put_name(sqlite3_str *out, const char *name)
{
    table_buffer json = { 0 };
    int rc = name ? json_text(&json, name) : EDB_OK;
    sqlite3_str_appendchar(out, 1, ',');
    if (!name)
        sqlite3_str_appendall(out, "null");
    else if (!rc)
        sqlite3_str_append(out, (const char *)json.bf_bytes, (int)json.bf_size);
    buffer_free(&json);
    return rc;
}

static int put(void *arg, uint64_t commit, uint32_t id, const char *was, const char *is)
{
    commit_list *cml = arg;
    int rc = commit_list_entry(cml, commit, id);
    if (!rc)
        rc = put_name(cml->cml_out, was);
    if (!rc)
        rc = put_name(cml->cml_out, is);
    sqlite3_str_appendchar(cml->cml_out, 1, ']');
    return rc;
}

static int fill(commit_list *cml)
{
    return tables_named(cml->cml_stmt, put, cml);
}

void function_names(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc;
    commit_list_answer(context, argv, "entitydb_names", fill);
}
