/* What messages call tags (tag_messages.h). */
#include "engine/entity/tag_messages.h"

#include <inttypes.h>
#include <stdio.h>

#include "engine/entity/tag_dictionary.h"
#include "engine/entity/tag_text.h"
#include "engine/entity/tag_trees.h"
#include "engine/txn/hooks.h"

const char *table_named(edb_stmt *stmt, uint32_t table, char out[TABLE_NAME_ROOM])
{
    if (hooks_name_tree(stmt, table, out, TABLE_NAME_ROOM))
        snprintf(out, TABLE_NAME_ROOM, "table %" PRIu32, table);
    return out;
}

static int name_tagging(edb_stmt *stmt, const tag_trees *trees, const tagging *tg, char *out, size_t room)
{
    uint8_t bytes[TAG_MOST];
    char shown[TAG_SHOWN], table[TABLE_NAME_ROOM];
    const uint8_t *text;
    uint32_t size;
    int rc = tag_text(stmt, trees, tg->tg_id, bytes, &text, &size);

    if (!rc)
        snprintf(out, room, "the tag \"%s\" of row %" PRId64 " of %s", tag_shown(text, size, shown), tg->tg_entity,
                 table_named(stmt, tg->tg_type, table));
    return rc;
}

static int name_entry(edb_stmt *stmt, uint32_t tree, const uint8_t *key, size_t key_size, char *out, size_t room)
{
    char shown[TAG_SHOWN];
    tag_trees trees;
    tagging tg;
    int rc = tag_trees_find(stmt, &trees);

    if (rc || !trees.tt_dictionary)
        return EDB_NOSUCH;
    if (tree == trees.tt_dictionary)
        snprintf(out, room, "the tag \"%s\" of the dictionary", tag_shown(key, key_size, shown));
    else if (tree == trees.tt_names)
        snprintf(out, room, "the tag of number %" PRId64 " of the dictionary", rowid_load(key));
    else if (tree != trees.tt_postings && tree != trees.tt_reverse)
        return EDB_NOSUCH;
    if (tree == trees.tt_dictionary || tree == trees.tt_names)
        return EDB_OK;
    if (!(tree == trees.tt_postings ? posting_load : reverse_load)(&trees, &tg, key, key_size))
        return EDB_NOSUCH;
    return name_tagging(stmt, &trees, &tg, out, room);
}

static txn_hooks names_hooks = { .hk_name = "names of tags", .hk_name_entry = name_entry };

__attribute__((constructor)) static void names_register(void)
{
    hooks_register(&names_hooks);
}
