/* The calls of edb.h for many rows without SQL that a statement answers by itself. */
#include <stdlib.h>

#include "engine/entity/by_tags.h"
#include "engine/entity/get_many.h"
#include "engine/entity/row_history.h"
#include "engine/entity/tag_set.h"

void edb_bytes_free(void *bytes)
{
    free(bytes);
}

int edb_stmt_get(edb_stmt *stmt, edb_get *get)
{
    return get_many(stmt, get);
}

int edb_stmt_history(edb_stmt *stmt, edb_history *history)
{
    return row_history(stmt, history);
}

int edb_stmt_ids(edb_stmt *stmt, uint32_t table, const int64_t *after, size_t most, int64_t *ids, size_t *n)
{
    uint8_t key[8];
    edb_cursor cu;
    int rc;

    *n = 0;
    if (after && *after == INT64_MAX)
        return EDB_OK;
    if ((rc = cursor_open(stmt, table, &cu)))
        return rc;
    rowid_store(key, after ? *after + 1 : INT64_MIN);
    for (rc = cursor_seek(&cu, key, sizeof key); !rc && cu.valid && *n < most; rc = cursor_next(&cu))
        ids[(*n)++] = rowid_load(cu.at.key);
    cursor_close(&cu);
    return rc;
}

int edb_stmt_tagged_many(edb_stmt *stmt, edb_tagged_many *tagged)
{
    return by_tags(stmt, tagged);
}

int edb_stmt_tagged(edb_stmt *stmt, edb_tagged *tagged)
{
    id_list found = { 0 };
    tag_set *ts;
    int rc = tag_set_open(stmt, tagged->table, tagged->expression, tagged->expression_size, &ts);

    if (rc)
        return rc;
    rc = tag_set_collect(ts, &found);
    tag_set_close(ts);
    if (rc) {
        free(found.il_ids);
        return rc;
    }
    tagged->ids = found.il_ids;
    tagged->n_ids = found.il_n;
    return EDB_OK;
}
