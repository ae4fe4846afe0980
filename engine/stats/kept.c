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

static bool load_groups(stats_record *sm, const edb_entry *entry)
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

bool kept_load(edb_conn *conn, stats_record *sm, uint64_t rows)
{
    edb_stmt *stmt = conn_current(conn);
    uint8_t key[KEPT_KEY];
    edb_entry entry;
    uint32_t tree;
    bool found;

    if (!stmt || stmt_is_past(stmt) || catalog_tree(stmt, STATISTICS_NAME, &tree) || !tree)
        return false;
    kept_key(sm->sm_key, key);
    if (cursor_get(stmt, tree, key, sizeof key, &entry, &found) || !found || entry.overflow
        || !stats_kept_valid(entry.key, entry.key_size, entry.value, entry.value_size)
        || stats_moved(load64(entry.value), rows))
        return false;
    sm->sm_rows = load64(entry.value);
    if (sm->sm_key.sq_column == WHOLE_INDEX)
        return load_groups(sm, &entry);
    sm->sm_share = (column_share){ number_at(entry.value, 0), number_at(entry.value, 1), number_at(entry.value, 2) };
    return true;
}
