/* Nodes of trees taken apart and built. See pack_parts.h.
 *
 * Everything that packs know of the bytes of nodes stands here, and all of it passes tree/page.h. */
#include "engine/cold/pack_parts.h"

bool node_is(const uint8_t *page)
{
    return page[PH_KIND] == PAGE_LEAF || page[PH_KIND] == PAGE_INTERIOR;
}

node_kind node_kind_of(const uint8_t *page)
{
    return (node_kind){
        .ndk_leaf = page_is_leaf(page),
        .ndk_level = page_level(page),
        .ndk_owner = load32(page + PH_OWNER),
        .ndk_fixed = load16(page + TP_KEY_SIZE),
        .ndk_writer = load64(page + PH_WRITER),
    };
}

int64_t node_take(const uint8_t *page, room *entries, size_t used)
{
    size_t most = page_live(page) + page_dead(page);

    if (!room_for(entries, (used + most + 1) * sizeof(page_entry), used * sizeof(page_entry)))
        return -1;
    return most ? page_entries(page, (page_entry *)entries->rom_at + used) : 0;
}

bool node_fits(uint32_t page_size, const node_kind *kind, page_entry *e, size_t n)
{
    uint64_t bytes = TP_SLOTS;

    entries_mark(e, n);
    for (size_t i = 0; i < n; i++)
        bytes += entry_bytes(&e[i], kind->ndk_leaf, kind->ndk_fixed);
    return bytes <= page_size;
}

void node_build(uint8_t *page, uint32_t page_size, const node_kind *kind, page_entry *e, size_t n)
{
    page_build(page, page_size, kind->ndk_leaf, kind->ndk_level, kind->ndk_owner, kind->ndk_fixed, e, n);
    store64(page + PH_WRITER, kind->ndk_writer);
}
