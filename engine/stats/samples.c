/* Rows met at random: what share of a table's rows has a value, is NULL, lies in a range. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/stats/stats_internal.h"

#define SAMPLE_TEXT 256             /* bytes kept of a text or blob */

/* ---- taking ----------------------------------------------------------------------------------------------------- */

/* Keeps a value; -> false: no memory. */
static bool keep(stats_record *sm, const edb_value *v)
{
    edb_value *to = &sm->sm_values[sm->sm_n];

    *to = *v;
    if (v->type >= VALUE_TEXT) {
        size_t size = v->size < SAMPLE_TEXT ? v->size : SAMPLE_TEXT;
        char *bytes = arena_alloc(&sm->sm_memory, size + 1);
        if (!bytes)
            return false;
        if (size)
            memcpy(bytes, v->bytes, size);
        bytes[size] = 0;
        to->bytes = bytes;
        to->size = size;
    }
    sm->sm_n++;
    return true;
}

/* The column in a stored row; -> false: it cannot be read without computing or following a chain. */
static bool column_of(const edb_table *table, uint32_t column, const tree_version *entry, edb_value *out)
{
    row_view row;

    if (entry->key_size != 8 || entry->overflow || row_open(&row, entry->value, entry->value_size)
        || column_lacks(&table->et_columns[column], row.rw_columns))
        return false;
    if ((int)column == table->et_rowid_column) {
        *out = (edb_value){ .type = VALUE_INTEGER, .integer = rowid_load(entry->key) };
        return true;
    }
    return !row_value(table, &row, rowid_load(entry->key), column, out);
}

static int compare_values(const void *a, const void *b, void *collation)
{
    uint8_t x[2 * SAMPLE_TEXT + 16], y[2 * SAMPLE_TEXT + 16];
    const edb_value *const *one = a, *const *other = b;
    size_t n = key_encode(x, *one, *(int *)collation, false), m = key_encode(y, *other, *(int *)collation, false);

    return key_compare(x, n, y, m);
}

/* From how often values occur in the sample. The likelihood that two rows are equal is the mean over rows. How many
 * values there are is estimated from those seen once and twice (Chao 1984). */
static void share_values(stats_record *sm, const edb_value **sorted, uint32_t n, int collation, double rows)
{
    double pairs = 0, values = 0, once = 0, twice = 0;

    qsort_r(sorted, n, sizeof *sorted, compare_values, &collation);
    for (uint32_t i = 0, run; i < n; i += run) {
        for (run = 1; i + run < n && !compare_values(&sorted[i], &sorted[i + run], &collation); run++)
            ;
        pairs += run * (run - 1.0);
        values++;
        once += run == 1;
        twice += run == 2;
    }
    double present = 1 - sm->sm_share.sv_null, least = present / fmax(rows * present, 1);
    if (n < 2) {
        sm->sm_share.sv_mean = sm->sm_share.sv_met = present;
        return;
    }
    double estimate = once >= n ? rows * present : values + once * once / (2 * twice + 2);
    sm->sm_share.sv_mean = fmax(present / estimate, least);
    sm->sm_share.sv_met = fmax(fmax(present * pairs / (n * (n - 1.0)), sm->sm_share.sv_mean), least);
}

static void share_take(stats_record *sm, int collation, double rows)
{
    const edb_value **sorted = malloc((sm->sm_n + 1) * sizeof *sorted);
    uint32_t n = 0;

    for (uint32_t i = 0; sorted && i < sm->sm_n; i++)
        if (sm->sm_values[i].type != VALUE_NULL)
            sorted[n++] = &sm->sm_values[i];
    sm->sm_share.sv_null = sm->sm_n ? 1 - n / (double)sm->sm_n : 0;
    if (sorted)
        share_values(sm, sorted, n, collation, rows);
    free(sorted);
}

void values_take(stats_record *sm, const tree_look *look, const edb_table *table, uint32_t column, uint32_t met)
{
    edb_value v;

    sm->sm_n = 0;
    sm->sm_values = calloc(met, sizeof *sm->sm_values);
    if (!sm->sm_values)
        return;
    for (uint32_t i = 0; i < met; i++) {
        tree_version entry;
        bool found;
        if (tree_sample(look->lo_pager, &look->lo_tree, stats_place(look->lo_tree.ts_id, i, met), &entry, &found))
            break;
        if (found && column_of(table, column, &entry, &v) && !keep(sm, &v))
            break;
    }
    if (!sm->sm_has_share)
        share_take(sm, table->et_columns[column].collation, (double)look->lo_tree.ts_live);
}

/* ---- asking ----------------------------------------------------------------------------------------------------- */

/* The column's record, its sample taken if need be. NULL: nothing is known of the column. values: the shares that ANALYZE
 * has kept do not do. */
static const stats_record *sample_of(stats_book *book, edb_conn *conn, const edb_table *table, uint32_t column,
                                     bool values)
{
    const edb_column *about = &table->et_columns[column];
    tree_look look;
    bool fresh;

    if (column_virtual(about) || !conn_look(conn, table->et_id, &look))
        return NULL;
    stats_record *sm = stats_find(book, (stats_key){ table->et_id, about->id }, look.lo_tree.ts_live, &fresh);
    if (sm && fresh)
        sm->sm_has_share = kept_load(book, conn, sm, &look);
    if (sm && !sm->sm_values && (values || !sm->sm_has_share))
        values_take(sm, &look, table, column, ROWS_MET);
    conn_looked(conn);
    return sm && (sm->sm_n || (!values && sm->sm_has_share)) ? sm : NULL;
}

column_share stats_column(edb_conn *conn, const edb_table *table, uint32_t column)
{
    stats_book *book = stats_lock(conn);
    column_share found = { 0.05, 0.1, 0.1 };

    if (!book)
        return found;
    const stats_record *sm = sample_of(book, conn, table, column, false);
    if (sm)
        found = sm->sm_share;
    stats_unlock(book);
    return found;
}

/* Neither all nor none is believed of so few rows. */
static double share_of(uint32_t matching, uint32_t n)
{
    return (matching + 0.5) / (n + 1.0);
}

static bool holds(share_op op, int order)
{
    switch (op) {
    case SHARE_EQUAL:
        return order == 0;
    case SHARE_LESS:
        return order < 0;
    case SHARE_LESS_EQUAL:
        return order <= 0;
    case SHARE_GREATER:
        return order > 0;
    default:
        return order >= 0;
    }
}

static double share_in(const stats_record *sm, int collation, share_op op, const edb_value *value)
{
    edb_value bound = *value;
    const edb_value *to = &bound;
    uint32_t matching = 0;

    if (bound.type >= VALUE_TEXT && bound.size > SAMPLE_TEXT)
        bound.size = SAMPLE_TEXT;
    for (uint32_t i = 0; i < sm->sm_n; i++) {
        const edb_value *one = &sm->sm_values[i];
        matching += one->type != VALUE_NULL && holds(op, compare_values(&one, &to, &collation));
    }
    /* A value that the sample has not met is about as frequent as most, or rarer. */
    double share = share_of(matching, sm->sm_n);
    return op == SHARE_EQUAL && !matching ? fmin(share, sm->sm_share.sv_mean) : share;
}

double stats_share(edb_conn *conn, const edb_table *table, uint32_t column, int collation, share_op op,
                   const edb_value *value)
{
    stats_book *book = stats_lock(conn);
    double share = op == SHARE_EQUAL ? 0.1 : 0.25;

    if (!book)
        return share;
    const stats_record *sm = sample_of(book, conn, table, column, true);
    if (sm)
        share = share_in(sm, collation, op, value);
    stats_unlock(book);
    return share;
}

double stats_texts(edb_conn *conn, const edb_table *table, uint32_t column, share_test test, const char *pattern)
{
    stats_book *book = stats_lock(conn);
    uint32_t matching = 0;
    double share = 0.25;

    if (!book)
        return share;
    const stats_record *sm = sample_of(book, conn, table, column, true);
    for (uint32_t i = 0; sm && i < sm->sm_n; i++)
        if (sm->sm_values[i].type == VALUE_TEXT)
            matching += test(sm->sm_values[i].bytes, pattern);
    if (sm)
        share = share_of(matching, sm->sm_n);
    stats_unlock(book);
    return share;
}
