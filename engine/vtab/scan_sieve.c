/* Rows that a walk of the whole table passes over, because an equality of the plan cannot hold for them.
 *
 * Where an automatic index may be made, the walks before it is there have the values that it would look up. SQLite judges
 * every row that it gets; what is left out here need not go through it. Left out is only what is sure: an integer beside
 * another one, a text beside another one that are compared byte by byte, and NULL. */
#include <string.h>

#include "engine/vtab/scan.h"

#define LOOKS 256                   /* rows between two looks for an interrupt */

static bool is_sure(const edb_value *value, bool bytewise)
{
    return value->type == VALUE_INTEGER || (value->type == VALUE_TEXT && bytewise);
}

int sieve_read(scan *cu, const char *plan, int argc, sqlite3_value **argv)
{
    const char *column = cu->cu_plain && !cu->cu_index ? plan_section(plan, argc, "/a") : NULL;
    cu->cu_n_sieve = 0;
    if (!column)
        return EDB_OK;
    arena_reset(&cu->cu_sieve_texts);
    for (int i = 0; i < argc && cu->cu_n_sieve < AUTOMATIC_COLUMNS; i++) {
        if (!plan_is_automatic(plan[PLAN_HEAD + PLAN_STEP * i + STEP_OP]))
            continue;
        sieve *sv = &cu->cu_sieve[cu->cu_n_sieve];
        bool bytewise = column[4] - '0' == COLLATE_BINARY;
        sv->svt_column = plan_number(column, 4);
        column += 5;
        int rc = value_read(argv[i], &sv->svt_value);
        if (!rc && is_sure(&sv->svt_value, bytewise)) {
            rc = value_copy(&cu->cu_sieve_texts, &sv->svt_value);
            cu->cu_n_sieve++;
        }
        if (rc)
            return rc;
    }
    return EDB_OK;
}

static bool surely_differs(const edb_value *value, const edb_value *wanted)
{
    if (value->type == VALUE_NULL)
        return true;
    if (value->type != wanted->type)
        return false;
    if (value->type == VALUE_INTEGER)
        return value->integer != wanted->integer;
    return value->size != wanted->size || memcmp(value->bytes, wanted->bytes, value->size);
}

/* Whether the row that the scan stands on is left out. */
static int is_out(scan *cu, bool *out)
{
    *out = false;
    for (uint32_t i = 0; i < cu->cu_n_sieve && !*out; i++) {
        edb_value value;
        bool lasting, computed;
        int rc = scan_value(cu, cu->cu_sieve[i].svt_column, &value, &lasting, &computed);
        if (rc)
            return rc;
        *out = !computed && surely_differs(&value, &cu->cu_sieve[i].svt_value);
    }
    return EDB_OK;
}

int sieve_pass(scan *cu)
{
    bool out = true;
    int rc = EDB_OK;
    for (uint32_t passed = 1; !rc && cu->cu_entries.valid; passed++) {
        rc = is_out(cu, &out);
        if (rc || !out)
            break;
        if (passed % LOOKS == 0 && conn_interrupted(stmt_conn(cu->cu_stmt)))
            return edb_fail(EDB_INTERRUPT, "reading table %s was interrupted", cu->cu_table->et_name);
        scan_moved(cu);
        ++*cu->cu_visited;
        rc = cursor_next(&cu->cu_entries);
    }
    cu->cu_eof = !cu->cu_entries.valid;
    return rc;
}
