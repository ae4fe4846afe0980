/* From memory to the file: the pages of a commit that began in memory, and those of the redo commits before it.
 *
 * Who knows what refers to what (array.c, the layers above) walks it; each page is written once, whoever refers to it, and
 * pages that refer to it come after it. */
#include <stdlib.h>

#include "engine/pager/pager_impl.h"

static moved_page *moved_find(const pager_commit *pc, uint64_t from)
{
    uint64_t mask = pc->pc_moved_size - 1;
    uint64_t at = from * 0x9e3779b97f4a7c15ULL >> 20 & mask;

    while (pc->pc_moved[at].mv_from && pc->pc_moved[at].mv_from != from)
        at = (at + 1) & mask;
    return &pc->pc_moved[at];
}

static int moved_grow(pager_commit *pc)
{
    moved_page *old = pc->pc_moved;
    uint64_t old_size = pc->pc_moved_size, size = old_size ? 2 * old_size : 64;
    moved_page *table = calloc(size, sizeof *table);

    if (!table)
        return edb_fail(EDB_NOMEM, "no memory for a commit's list of pages");
    pc->pc_moved = table;
    pc->pc_moved_size = size;
    for (uint64_t i = 0; i < old_size; i++)
        if (old[i].mv_from)
            *moved_find(pc, old[i].mv_from) = old[i];
    free(old);
    return EDB_OK;
}

bool pager_stored(const pager_commit *pc, page_ref *ref)
{
    if (!pager_in_memory(ref->page))
        return true;
    const moved_page *mv = pc->pc_moved_size ? moved_find(pc, ref->page) : NULL;
    if (!mv || !mv->mv_from)
        return false;
    *ref = mv->mv_to;
    return true;
}

int pager_store(pager_commit *pc, page_ref *ref, uint8_t *bytes)
{
    uint64_t from = ref->page, page;
    int rc = 2 * pc->pc_moved_used >= pc->pc_moved_size ? moved_grow(pc) : EDB_OK;

    if (!rc)
        rc = pager_alloc(pc, &page);
    if (!rc)
        rc = pager_write(pc, page, bytes, ref);
    if (rc)
        return rc;
    *moved_find(pc, from) = (moved_page){ from, *ref };
    pc->pc_moved_used++;
    return EDB_OK;
}
