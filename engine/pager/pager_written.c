/* The pages that a commit allocated or dropped, with their tags: a hash table with open addressing.
 *
 * The commit's record lists them, so that recovery can tell whether all of them reached the disk (I7). */
#include <stdlib.h>

#include "engine/pager/pager_impl.h"

written_page *written_find(const pager_commit *pc, uint64_t page)
{
    uint64_t mask = pc->pc_table_size - 1;
    uint64_t at = page * 0x9e3779b97f4a7c15ULL >> 20 & mask;

    while (pc->pc_table[at].wp_page && pc->pc_table[at].wp_page != page)
        at = (at + 1) & mask;
    return &pc->pc_table[at];
}

static int written_grow(pager_commit *pc)
{
    written_page *old = pc->pc_table;
    uint64_t old_size = pc->pc_table_size;
    uint64_t size = old_size ? 2 * old_size : 64;
    written_page *table = calloc(size, sizeof *table);

    if (!table)
        return edb_fail(EDB_NOMEM, "no memory for a commit's list of pages");
    pc->pc_table = table;
    pc->pc_table_size = size;
    for (uint64_t i = 0; i < old_size; i++)
        if (old[i].wp_page)
            *written_find(pc, old[i].wp_page) = old[i];
    free(old);
    return EDB_OK;
}

int written_set(pager_commit *pc, uint64_t page, uint32_t tag)
{
    if (2 * pc->pc_table_used >= pc->pc_table_size) {
        int rc = written_grow(pc);
        if (rc)
            return rc;
    }
    written_page *at = written_find(pc, page);
    if (!at->wp_page)
        pc->pc_table_used++;
    *at = (written_page){ page, tag };
    return EDB_OK;
}
