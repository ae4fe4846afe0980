/* Rows that a walk of the whole table passes over, because a condition of the query cannot hold for them.
 *
 * SQLite judges every row that it gets; what is left out here need not go through it. The conditions are those of the plan
 * with values that are there when the walk begins, and, where an automatic index may be made, the equalities that it would
 * look up. Left out is only what is sure: numbers beside numbers, texts beside texts that are compared byte by byte, and
 * NULL. */
#include <math.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/vtab/scan.h"

#define LOOKS 256                   /* rows between two looks for an interrupt */

static bool is_number(const edb_value *value)
{
    return value->type == VALUE_INTEGER || value->type == VALUE_REAL;
}

/* A column of numbers compares with texts that look like numbers as with numbers. */
static bool compares_texts(const scan *cu, uint32_t column, char collation)
{
    int affinity = cu->cu_table->et_columns[column].affinity;
    return collation - '0' == COLLATE_BINARY && (affinity == AFFINITY_TEXT || affinity == AFFINITY_BLOB);
}

static uint32_t place_of(const edb_table *table, uint32_t column)
{
    const edb_column *stored = &table->et_columns[column];
    return stored->lazy || (int)column == table->et_rowid_column ? UINT32_MAX : stored->id;
}

/* at: the column, four digits, and its collation, one. */
static int add(scan *cu, const char *at, char op, sqlite3_value *value)
{
    sieve *sv = &cu->cu_sieve[cu->cu_n_sieve];
    *sv = (sieve){.svt_column = plan_number(at, 4), .svt_op = op};
    sv->svt_place = place_of(cu->cu_table, sv->svt_column);
    sv->svt_texts = compares_texts(cu, sv->svt_column, at[4]);
    int rc = value_read(value, &sv->svt_value);
    if (rc || !(is_number(&sv->svt_value) || (sv->svt_value.type == VALUE_TEXT && sv->svt_texts)))
        return rc;
    cu->cu_n_sieve++;
    return value_copy(&cu->cu_sieve_texts, &sv->svt_value);
}

int sieve_read(scan *cu, const char *plan, int argc, sqlite3_value **argv)
{
    bool walks = cu->cu_plain && !cu->cu_index;
    const char *column = walks ? plan_section(plan, argc, "/a") : NULL;
    const char *condition = walks ? plan_section(plan, argc, "/w") : NULL;
    int rc = EDB_OK;
    cu->cu_n_sieve = 0;
    if (!column && !condition)
        return EDB_OK;
    arena_reset(&cu->cu_sieve_texts);
    for (int i = 0; !rc && i < argc; i++) {
        char op = plan[PLAN_HEAD + PLAN_STEP * i + STEP_OP];
        if (plan_is_automatic(op)) {
            rc = add(cu, column, '=', argv[i]);
            column += 5;
        } else if (op == 'w') {
            rc = add(cu, condition, condition[5], argv[i]);
            condition += 6;
        }
    }
    return rc;
}

/* -1, 0, 1; 2: it is not sure. Beyond 2^53 an integer and a real are left to SQLite. */
static int compare(const edb_value *value, const sieve *sv)
{
    const edb_value *wanted = &sv->svt_value;
    if (value->type == VALUE_INTEGER && wanted->type == VALUE_INTEGER)
        return (value->integer > wanted->integer) - (value->integer < wanted->integer);
    if (is_number(value) && is_number(wanted)) {
        double a = value->type == VALUE_REAL ? value->real : (double)value->integer;
        double b = wanted->type == VALUE_REAL ? wanted->real : (double)wanted->integer;
        bool exact = value->type == wanted->type || (fabs(a) < 0x1p53 && fabs(b) < 0x1p53);
        return exact ? (a > b) - (a < b) : 2;
    }
    if (value->type != VALUE_TEXT || wanted->type != VALUE_TEXT || !sv->svt_texts)
        return 2;
    int order = key_compare(value->bytes, value->size, wanted->bytes, wanted->size);
    return (order > 0) - (order < 0);
}

static bool surely_fails(const edb_value *value, const sieve *sv)
{
    if (value->type == VALUE_NULL)
        return true;
    int order = compare(value, sv);
    switch (sv->svt_op) {
    case '=':
        return order != 0 && order != 2;
    case '<':
        return order == 0 || order == 1;
    case 'l':
        return order == 1;
    case '>':
        return order == 0 || order == -1;
    default:
        return order == -1;
    }
}

enum { ROW_STAYS, ROW_IS_OUT, ROW_IS_OPEN };

/* What the bytes of the row tell at once. Open: a column is not in them, or they are damaged, which is_out() says. */
static inline int look(const scan *cu)
{
    const edb_entry *at = &cu->cu_entries.at;
    row_view row;
    if (unlikely(at->overflow || row_open(&row, at->value, at->value_size)))
        return ROW_IS_OPEN;
    for (uint32_t i = 0; i < cu->cu_n_sieve; i++) {
        const sieve *sv = &cu->cu_sieve[i];
        edb_value value;
        if (unlikely(sv->svt_place >= row.rw_columns || row_column(&row, sv->svt_place, &value)))
            return ROW_IS_OPEN;
        if (surely_fails(&value, sv))
            return ROW_IS_OUT;
    }
    return ROW_STAYS;
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
        *out = !computed && surely_fails(&value, &cu->cu_sieve[i]);
    }
    return EDB_OK;
}

int sieve_pass(scan *cu)
{
    int rc = EDB_OK;
    for (uint32_t passed = 1; !rc && cu->cu_entries.valid; passed++) {
        int seen = look(cu);
        bool out = seen == ROW_IS_OUT;
        if (seen == ROW_IS_OPEN)
            rc = is_out(cu, &out);
        if (rc || !out)
            break;
        if (passed % LOOKS == 0 && conn_interrupted(stmt_conn(cu->cu_stmt)))
            return edb_fail(EDB_INTERRUPT, "reading table %s was interrupted", cu->cu_table->et_name);
        scan_moved(cu);
        cu->cu_visited++;
        rc = cursor_next(&cu->cu_entries);
    }
    cu->cu_eof = !cu->cu_entries.valid;
    return rc;
}
