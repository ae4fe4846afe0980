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

static int put_record(edb_stmt *stmt, uint32_t tree, const stats_record *sm)
{
    uint32_t numbers = sm->sm_key.sq_column == WHOLE_INDEX ? 2 * sm->sm_n : KEPT_SHARES;
    uint8_t key[KEPT_KEY], *value = malloc(KEPT_ROWS + numbers * KEPT_NUMBER), *to = value;

    if (!value)
        return edb_fail(EDB_NOMEM, "no memory to keep statistics");
    kept_key(sm->sm_key, key);
    store64(to, sm->sm_rows);
    to += KEPT_ROWS;
    if (sm->sm_key.sq_column != WHOLE_INDEX) {
        to = put_number(to, sm->sm_share.sv_null);
        to = put_number(to, sm->sm_share.sv_mean);
        put_number(to, sm->sm_share.sv_met);
    }
    for (uint32_t i = 0; sm->sm_key.sq_column == WHOLE_INDEX && i < sm->sm_n; i++) {
        to = put_number(to, sm->sm_groups[i].gs_mean);
        to = put_number(to, sm->sm_groups[i].gs_met);
    }
    int rc = txn_put(stmt, tree, key, sizeof key, value, KEPT_ROWS + numbers * KEPT_NUMBER, 0);
    free(value);
    return rc;
}

/* Takes one record anew, and puts it into the tree. index NULL: of a column. */
static int keep(edb_stmt *stmt, stats_book *book, uint32_t tree, const edb_table *table, const edb_index *index,
                uint32_t column)
{
    edb_conn *conn = stmt_conn(stmt);
    stats_key key = { index ? index->tree : table->et_id, index ? WHOLE_INDEX : table->et_columns[column].id };
    tree_look look;
    bool fresh;

    if (!conn_look(conn, key.sq_tree, &look))
        return EDB_OK;              /* made in this very transaction: there is nothing to sample yet */
    stats_record *sm = stats_find(book, key, UINT64_MAX, &fresh);
    if (sm) {
        sm->sm_rows = look.lo_tree.ts_live;
        if (index)
            groups_take(sm, &look, index, GROUPS_MET * ANALYZE_TIMES);
        else
            values_take(sm, &look, table, column, ROWS_MET * ANALYZE_TIMES);
    }
    conn_looked(conn);
    if (!sm)
        return edb_fail(EDB_NOMEM, "no memory for statistics");
    return sm->sm_n ? put_record(stmt, tree, sm) : EDB_OK;
}

int stats_keep(edb_stmt *stmt, const edb_table *table)
{
    uint32_t tree;
    int rc = catalog_tree(stmt, STATISTICS_NAME, &tree);

    if (!rc && !tree)
        rc = ddl_create_tree(stmt, STATISTICS_NAME, KEPT_KEY, &tree);
    if (rc)
        return rc;
    stats_book *book = stats_lock(stmt_conn(stmt));
    if (!book)
        return edb_fail(EDB_NOMEM, "no memory for statistics");
    for (uint32_t i = 0; !rc && i < table->et_n_indexes; i++)
        rc = keep(stmt, book, tree, table, &table->et_indexes[i], 0);
    for (uint32_t i = 0; !rc && i < table->et_n_columns; i++)
        if (!column_virtual(&table->et_columns[i]))
            rc = keep(stmt, book, tree, table, NULL, i);
    stats_unlock(book);
    return rc;
}
