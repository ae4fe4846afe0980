/* Tags given to many rows (tag_batch.h). */
#include "engine/entity/tag_batch.h"

#include <stdlib.h>

#include "native/intern.h"
#include "engine/entity/tag_dictionary.h"

enum { KNOWN_BYTES = 16 << 20 };    /* of texts that are not looked up again */

struct tag_batch {
    edb_stmt *tgb_stmt;
    const edb_table *tgb_table;      /* the caller's */
    tag_trees tgb_trees;
    intern *tgb_known;               /* texts judged, with their ids; NULL: no memory */
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
    if (tb)
        intern_free(tb->tgb_known);
    free(tb);
}

int tag_batch_add(tag_batch *tb, int64_t entity, const void *text, size_t size, bool fresh, bool *added)
{
    const intern_entry *known;
    uint32_t id;
    int rc = EDB_OK;

    if (tb->tgb_known && intern_find(tb->tgb_known, text, size, &known)) {
        id = (uint32_t)known->ie_id;
    } else {
        if ((rc = tag_judge_by_hand(tb->tgb_stmt, tb->tgb_table, text, size))
            || (rc = tag_id_make(tb->tgb_stmt, &tb->tgb_trees, text, size, &id)))
            return rc;
        if (tb->tgb_known)
            intern_put(tb->tgb_known, text, size, id);
    }
    return tag_put_id(tb->tgb_stmt, &tb->tgb_trees, tb->tgb_table, entity, id, fresh, added);
}
