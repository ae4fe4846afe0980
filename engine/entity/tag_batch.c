/* Tags given to many rows (tag_batch.h). */
#include "engine/entity/tag_batch.h"

#include <stdlib.h>
#include <string.h>

#include "native/intern.h"
#include "engine/entity/tag_dictionary.h"
#include "engine/txn/txn_internal.h"

enum { KNOWN_BYTES = 16 << 20 };    /* of texts that are not looked up again */

struct tag_batch {
    edb_stmt *tgb_stmt;
    const edb_table *tgb_table;      /* the caller's */
    tag_trees tgb_trees;
    intern *tgb_known;               /* texts judged, with their ids; NULL: no memory */
    /* Of the tags noted, ascending, each once: so the entries of a row in the reverse tree are written in order. */
    uint32_t *tgb_ids;
    size_t tgb_n, tgb_room;
};

int tag_batch_new(edb_stmt *stmt, const edb_table *table, tag_batch **out)
{
    tag_batch *tb = calloc(1, sizeof *tb);
    int rc = tb ? tag_trees_make(stmt, &tb->tgb_trees) : edb_fail(EDB_NOMEM, "no memory to tag rows");

    if (rc) {
        free(tb);
        return rc;
    }
    tb->tgb_stmt = stmt;
    tb->tgb_table = table;
    tb->tgb_known = intern_new(KNOWN_BYTES);
    *out = tb;
    return EDB_OK;
}

void tag_batch_free(tag_batch *tb)
{
    if (tb) {
        intern_free(tb->tgb_known);
        free(tb->tgb_ids);
    }
    free(tb);
}

static int find_id(tag_batch *tb, const void *text, size_t size, uint32_t *id)
{
    const intern_entry *known;
    int rc;

    if (tb->tgb_known && intern_find(tb->tgb_known, text, size, &known)) {
        *id = (uint32_t)known->ie_id;
        return EDB_OK;
    }
    if ((rc = tag_judge_by_hand(tb->tgb_stmt, tb->tgb_table, text, size))
        || (rc = tag_id_make(tb->tgb_stmt, &tb->tgb_trees, text, size, id)))
        return rc;
    if (tb->tgb_known)
        intern_put(tb->tgb_known, text, size, *id);
    return EDB_OK;
}

void tag_batch_forget(tag_batch *tb)
{
    tb->tgb_n = 0;
}

int tag_batch_note(tag_batch *tb, const void *text, size_t size)
{
    uint32_t id;
    size_t at = tb->tgb_n;
    int rc = find_id(tb, text, size, &id);

    if (!rc)
        rc = list_room((void **)&tb->tgb_ids, &tb->tgb_room, tb->tgb_n, sizeof *tb->tgb_ids);
    if (rc)
        return rc;
    while (at && tb->tgb_ids[at - 1] > id)
        at--;
    if (at && tb->tgb_ids[at - 1] == id)
        return EDB_OK;
    memmove(tb->tgb_ids + at + 1, tb->tgb_ids + at, (tb->tgb_n - at) * sizeof *tb->tgb_ids);
    tb->tgb_ids[at] = id;
    tb->tgb_n++;
    return EDB_OK;
}

int tag_batch_give(tag_batch *tb, int64_t entity, bool fresh)
{
    bool added;
    int rc = EDB_OK;

    for (size_t i = 0; i < tb->tgb_n && !rc; i++)
        rc = tag_put_id(tb->tgb_stmt, &tb->tgb_trees, tb->tgb_table, entity, tb->tgb_ids[i], fresh, &added);
    return rc;
}
