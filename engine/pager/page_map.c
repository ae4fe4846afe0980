/* Pages by number. See page_map.h. */
#include "engine/pager/page_map.h"

#include <stdlib.h>

#include "engine/codes.h"

/* The place of the page, or the empty one where it would stand, in a table that has one. */
static page_map_entry *place(const page_map *map, uint64_t page)
{
    uint64_t mask = map->pmp_room - 1, at = page * 0x9e3779b97f4a7c15ULL >> 20 & mask;

    while (map->pmp_table[at].pme_page && map->pmp_table[at].pme_page != page)
        at = (at + 1) & mask;
    return &map->pmp_table[at];
}

static int grow(page_map *map)
{
    page_map bigger = { .pmp_room = map->pmp_room ? 2 * map->pmp_room : 64, .pmp_used = map->pmp_used };

    bigger.pmp_table = calloc(bigger.pmp_room, sizeof *bigger.pmp_table);
    if (!bigger.pmp_table)
        return edb_fail(EDB_NOMEM, "memory is exhausted");
    for (uint64_t i = 0; i < map->pmp_room; i++)
        if (map->pmp_table[i].pme_page)
            *place(&bigger, map->pmp_table[i].pme_page) = map->pmp_table[i];
    free(map->pmp_table);
    *map = bigger;
    return EDB_OK;
}

page_map_entry *page_map_find(const page_map *map, uint64_t page)
{
    page_map_entry *at = map->pmp_used ? place(map, page) : NULL;

    return at && at->pme_page ? at : NULL;
}

int page_map_put(page_map *map, uint64_t page, page_map_entry **out)
{
    int rc = 2 * map->pmp_used >= map->pmp_room ? grow(map) : EDB_OK;

    if (rc)
        return rc;
    *out = place(map, page);
    map->pmp_used += !(*out)->pme_page;
    (*out)->pme_page = page;
    return EDB_OK;
}

void page_map_free(page_map *map)
{
    free(map->pmp_table);
    *map = (page_map){ 0 };
}
