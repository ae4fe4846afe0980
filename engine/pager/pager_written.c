/* The pages that a commit allocated or dropped, with their tags.
 *
 * The commit's record lists them, so that recovery can tell whether all of them reached the disk (I7). */
#include "engine/pager/pager_impl.h"

int written_set(pager_commit *pc, uint64_t page, uint32_t tag)
{
    page_map_entry *at;
    int rc = page_map_put(&pc->pc_written, page, &at);

    if (!rc)
        at->pme_tag = tag;
    return rc;
}
