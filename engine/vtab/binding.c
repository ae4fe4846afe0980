/* Bindings (vtab.h). */
#include <stdlib.h>

#include "engine/vtab/vtab.h"

void binding_unref(vtab_binding *bd)
{
    if (--bd->bd_refs)
        return;
    if (bd->bd_main) {
        vtab_binding **at = &bd->bd_main->bd_next;
        while (*at != bd)
            at = &(*at)->bd_next;
        *at = bd->bd_next;
        binding_unref(bd->bd_main);
    }
    scratch_free(&bd->bd_row);
    values_free(&bd->bd_values);
    free(bd->bd_course);
    constraints_free(&bd->bd_constraints);
    conflict_clauses_forget(&bd->bd_clauses);
    sqlite_evaluator_end(&bd->bd_evaluator);
    conn_unref(bd->bd_conn);
    free(bd);
}

vtab_binding *binding_of(vtab_binding *main, int64_t conn)
{
    vtab_binding *bd = main;
    while (bd && (!bd->bd_conn || edb_conn_id(bd->bd_conn) != conn))
        bd = bd->bd_next;
    return bd;
}

void binding_lend(vtab_binding *bd)
{
    sqlite_evaluator_lend(&bd->bd_evaluator, bd->bd_conn, bd->bd_db);
}

void binding_forget(vtab_binding *bd)
{
    if (!bd->bd_tables)
        sqlite_evaluator_forget(&bd->bd_evaluator);
}

/* For some failures of a step SQLite rolls the whole transaction back, and not the statement. So they are plain errors
 * to it; the driver knows the code from edb_last_code(). */
int vtab_sqlite_code(int rc)
{
    int result = edb_code_sqlite(rc);
    switch (result & 0xff) {
    case SQLITE_NOMEM:
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_INTERRUPT:
        return SQLITE_ERROR;
    default:
        return result;
    }
}

int vtab_result(sqlite3_vtab *base, int rc)
{
    if (rc == EDB_OK)
        return SQLITE_OK;
    sqlite3_free(base->zErrMsg);
    base->zErrMsg = sqlite3_mprintf("%s", edb_message());
    return vtab_sqlite_code(rc);
}

int vtab_moment(const char *what, sqlite3_value *value, int64_t *ns, bool *nothing)
{
    int kind = sqlite3_value_type(value);
    *nothing = kind == SQLITE_NULL;
    *ns = sqlite3_value_int64(value);
    if (kind == SQLITE_INTEGER || kind == SQLITE_NULL || (kind == SQLITE_FLOAT && (double)*ns == sqlite3_value_double(value)))
        return EDB_OK;
    return edb_fail(EDB_MISUSE, "%s: a moment is int nanoseconds since 1970 UTC; FOR SYSTEM_TIME takes texts, too", what);
}

int vtab_as_of(const char *what, sqlite3_value *value, edb_stmt **stmt, int64_t *ns, bool *nothing)
{
    edb_stmt *now = *stmt;
    int rc = vtab_moment(what, value, ns, nothing);
    if (rc || *nothing || (rc = stmt_at(now, *ns, stmt)))
        return rc;
    stmt_release(now);
    return EDB_OK;
}

int vtab_no_cursor(sqlite3_vtab *base)
{
    return vtab_result(base, edb_fail(EDB_NOMEM, "no memory to read a table"));
}

int vtab_any_open(sqlite3_vtab *base, size_t size, sqlite3_vtab_cursor **out)
{
    *out = calloc(1, size);
    return *out ? SQLITE_OK : vtab_no_cursor(base);
}

int vtab_any_connect(sqlite3 *db, vtab_binding *bd, const char *declaration, size_t size, sqlite3_vtab **out)
{
    vtab_any *vt = calloc(1, size);
    int rc = vt ? sqlite3_declare_vtab(db, declaration) : SQLITE_ERROR;
    if (rc) {
        free(vt);
        return rc;
    }
    vt->ay_binding = bd;
    bd->bd_refs++;
    *out = &vt->ay_base;
    return SQLITE_OK;
}

int vtab_any_disconnect(sqlite3_vtab *base)
{
    binding_unref(((vtab_any *)base)->ay_binding);
    free(base);
    return SQLITE_OK;
}

int vtab_acquire(vtab_binding *bd, bool writes, edb_stmt **out)
{
    int rc = writes || !bd->bd_conn ? EDB_OK : stmt_run_begins(bd->bd_conn);
    return rc ? rc : vtab_acquire_aside(bd, writes, out);
}

int vtab_acquire_aside(vtab_binding *bd, bool writes, edb_stmt **out)
{
    if (!bd->bd_conn)
        return edb_fail(EDB_MISUSE, "the SQLite connection is not bound to a database: SELECT entitydb_bind(id) first");
    return stmt_acquire(bd->bd_conn, writes, !sqlite3_get_autocommit(bd->bd_db), out);
}
