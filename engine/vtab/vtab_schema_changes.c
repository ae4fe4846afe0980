/* entitydb_schema_changes(connection): when entries of the catalog were made, changed and dropped, by commits that the statement
 * sees (commit_list.h):
 *
 *     [[nanoseconds, id], ...]
 *
 * Those of one id in no order. */
#include "engine/entity/tables_ever.h"
#include "engine/vtab/commit_list.h"

static int put(void *arg, uint64_t commit, uint32_t id)
{
    commit_list *cml = arg;
    int rc = commit_list_entry(cml, commit, id);
    sqlite3_str_appendchar(cml->cml_out, 1, ']');
    return rc;
}

static int fill(commit_list *cml)
{
    return schema_changes(cml->cml_stmt, put, cml);
}

void function_schema_changes(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    (void)argc;
    commit_list_answer(context, argv, "entitydb_schema_changes", fill);
}
