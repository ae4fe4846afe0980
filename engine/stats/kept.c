/* Statistics in the file: what a later connection finds of an ANALYZE (analyze.c).
 *
 * They stand in a tree of their own, "statistics", made with the first ANALYZE. docs/format.md, "Statistics", gives the
 * bytes. The count they were taken at is kept with them, so that they are passed over when the table has moved on. */
#include <stdlib.h>
#include <string.h>

#include "engine/stats/stats_internal.h"

void kept_key(stats_key key, uint8_t out[KEPT_KEY])
{
    store64be(out, (uint64_t)key.sq_tree << 32 | key.sq_column);
}

static double number_at(const uint8_t *value, size_t i)
{
    double number;

    memcpy(&number, value + KEPT_ROWS + i * KEPT_NUMBER, KEPT_NUMBER);
    return number;
}

bool stats_kept_valid(const void *key, size_t key_size, const void *value, size_t value_size)
{
    if (key_size != KEPT_KEY || value_size < KEPT_ROWS + 2 * KEPT_NUMBER || (value_size - KEPT_ROWS) % KEPT_NUMBER)
        return false;
    size_t numbers = (value_size - KEPT_ROWS) / KEPT_NUMBER;
    bool groups = load64be(key) << 32 >> 32 == WHOLE_INDEX;
    for (size_t i = 0; i < numbers; i++)
        if (!(number_at(value, i) >= 0))
            return false;
    return groups ? numbers % 2 == 0 && numbers <= 2 * CATALOG_COLUMNS : numbers == KEPT_SHARES;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static bool load_groups(stats_record *sm, const tree_version *entry)
{
    uint32_t parts = (entry->value_size - KEPT_ROWS) / (2 * KEPT_NUMBER);

    sm->sm_groups = malloc(parts * sizeof *sm->sm_groups);
    if (!sm->sm_groups)
        return false;
    for (uint32_t i = 0; i < parts; i++)
        sm->sm_groups[i] = (group_size){ number_at(entry->value, 2 * i), number_at(entry->value, 2 * i + 1) };
    sm->sm_n = parts;
    return true;
}

/* Reads without noting it: no transaction depends on statistics. */
static bool find(edb_stmt *stmt, uint32_t tree, stats_key wanted, const tree_look *look, tree_version *out)
{
    uint8_t key[KEPT_KEY];
    tree_state state;
    bool found;

    kept_key(wanted, key);
    return !tree_state_get(look->lo_pager, stmt_snapshot(stmt), tree, &state)
           && !tree_get(look->lo_pager, &state, FOREVER, key, sizeof key, out, &found) && found && !out->overflow
           && stats_kept_valid(out->key, out->key_size, out->value, out->value_size);
}

bool kept_load(stats_book *book, edb_conn *conn, stats_record *sm, const tree_look *look)
{
    edb_stmt *stmt = conn_current(conn);
    uint32_t tree = stmt && !stmt_is_past(stmt) ? stats_tree(book, stmt) : 0;
    tree_version entry;

    if (!tree || !find(stmt, tree, sm->sm_key, look, &entry) || stats_moved(load64(entry.value), look->lo_tree.ts_live))
        return false;
    sm->sm_rows = load64(entry.value);
    if (sm->sm_key.sq_column == WHOLE_INDEX)
        return load_groups(sm, &entry);
    sm->sm_share = (column_share){ number_at(entry.value, 0), number_at(entry.value, 1), number_at(entry.value, 2) };
    return true;
}
