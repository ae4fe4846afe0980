/* From memory to the file: the pages of a commit that began in memory, and those of the redo commits before it.
 *
 * Who knows what refers to what (array.c, the layers above) walks it; each page is written once, whoever refers to it, and
 * pages that refer to it come after it. */
#include "engine/pager/pager_impl.h"

bool pager_stored(const pager_commit *pc, page_ref *ref)
{
    if (!pager_in_memory(ref->page))
        return true;
    const page_map_entry *moved = page_map_find(&pc->pc_moved, ref->page);
    if (!moved)
        return false;
    *ref = (page_ref){ moved->pme_value, moved->pme_tag };
    return true;
}

int pager_store(pager_commit *pc, page_ref *ref, uint8_t *bytes)
{
    uint64_t page;
    page_map_entry *moved;
    int rc = page_map_put(&pc->pc_moved, ref->page, &moved);

    if (!rc)
        rc = pager_alloc(pc, &page);
    if (!rc)
        rc = pager_write(pc, page, bytes, ref);
    if (rc)
        return rc;
    moved->pme_value = ref->page;
    moved->pme_tag = ref->tag;
    return EDB_OK;
}
