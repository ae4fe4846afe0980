/* ANALYZE: statistics from fuller samples, written into the tree "statistics". */
#include <stdlib.h>
#include <string.h>

#include "engine/stats/stats_internal.h"
#include "engine/table/ddl.h"

static uint8_t *put_number(uint8_t *to, double number)
{
    memcpy(to, &number, KEPT_NUMBER);
    return to + KEPT_NUMBER;
}

/* A record as it is written, malloc()ed; NULL: no memory. */
static uint8_t *encode(const stats_record *sm, size_t *size)
{
    bool groups = sm->sm_key.sq_column == WHOLE_INDEX;
    uint32_t numbers = groups ? 2 * sm->sm_n : KEPT_SHARES;
    uint8_t *value = malloc(KEPT_ROWS + numbers * KEPT_NUMBER), *to = value;

    if (!value)
        return NULL;
    *size = KEPT_ROWS + numbers * KEPT_NUMBER;
    store64(to, sm->sm_rows);
    to += KEPT_ROWS;
    for (uint32_t i = 0; groups && i < sm->sm_n; i++) {
        to = put_number(to, sm->sm_groups[i].gs_mean);
        to = put_number(to, sm->sm_groups[i].gs_met);
    }
    if (!groups) {
        to = put_number(to, sm->sm_share.sv_null);
        to = put_number(to, sm->sm_share.sv_mean);
        put_number(to, sm->sm_share.sv_met);
    }
    return value;
}

/* Takes one record anew. *value: what is to be written, NULL if there is nothing. index NULL: of a column. */
static int take(edb_conn *conn, stats_key key, const edb_table *table, const edb_index *index, uint32_t column,
                uint8_t **value, size_t *size)
{
    stats_book *book = stats_lock(conn);
    tree_look look;
    bool fresh, there = book && conn_look(conn, key.sq_tree, &look);
    stats_record *sm = there ? stats_find(book, key, UINT64_MAX, &fresh) : NULL;

    *value = NULL;
    if (sm) {
        sm->sm_rows = look.lo_tree.ts_live;
        if (index)
            groups_take(sm, &look, index, GROUPS_MET * ANALYZE_TIMES);
        else
            values_take(sm, &look, table, column, ROWS_MET * ANALYZE_TIMES);
        if (sm->sm_n)
            *value = encode(sm, size);
    }
    bool failed = !book || (there && (!sm || (sm->sm_n && !*value)));
    if (there)
        conn_looked(conn);
    if (book)
        stats_unlock(book);
    return failed ? edb_fail(EDB_NOMEM, "no memory for statistics of table %s", table->et_name) : EDB_OK;
}

/* Of a tree that was made in this very transaction there is nothing to sample yet. */
static int keep(edb_stmt *stmt, uint32_t tree, const edb_table *table, const edb_index *index, uint32_t column)
{
    stats_key key = { index ? index->tree : table->et_id, index ? WHOLE_INDEX : table->et_columns[column].id };
    uint8_t at[KEPT_KEY], *value;
    size_t size = 0;
    int rc = take(stmt_conn(stmt), key, table, index, column, &value, &size);

    kept_key(key, at);
    if (!rc && value)
        rc = txn_put(stmt, tree, at, sizeof at, value, size, 0);
    free(value);
    return rc;
}

int stats_keep(edb_stmt *stmt, const edb_table *table)
{
    uint32_t tree;
    int rc = catalog_tree(stmt, STATISTICS_NAME, &tree);

    if (!rc && !tree)
        rc = ddl_create_tree(stmt, STATISTICS_NAME, KEPT_KEY, &tree);
    for (uint32_t i = 0; !rc && i < table->et_n_indexes; i++)
        rc = keep(stmt, tree, table, &table->et_indexes[i], 0);
    for (uint32_t i = 0; !rc && i < table->et_n_columns; i++)
        if (!column_virtual(&table->et_columns[i]))
            rc = keep(stmt, tree, table, NULL, i);
    return rc;
}
