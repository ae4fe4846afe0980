/* Lists of what commits did (commit_list.h). */
#include "engine/vtab/commit_list.h"

int commit_list_entry(commit_list *cml, uint64_t commit, uint32_t id)
{
    int64_t ns;
    int rc = commit_time(cml->cml_stmt, commit, &ns);
    if (!rc)
        sqlite3_str_appendf(cml->cml_out, "%s[%lld,%u", sqlite3_str_length(cml->cml_out) > 1 ? "," : "", (long long)ns, id);
    return rc;
}

void commit_list_answer(sqlite3_context *context, sqlite3_value **argv, const char *name, int (*fill)(commit_list *cml))
{
    vtab_binding *bd = binding_of(sqlite3_user_data(context), sqlite3_value_int64(argv[0]));
    commit_list cml = { .cml_out = sqlite3_str_new(sqlite3_context_db_handle(context)) };
    int rc = bd ? vtab_acquire_aside(bd, false, &cml.cml_stmt) : edb_fail(EDB_MISUSE, "%s: no such connection", name);
    sqlite3_str_appendchar(cml.cml_out, 1, '[');
    if (!rc) {
        rc = fill(&cml);
        stmt_release(cml.cml_stmt);
    }
    sqlite3_str_appendchar(cml.cml_out, 1, ']');
    char *text = sqlite3_str_finish(cml.cml_out);
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
