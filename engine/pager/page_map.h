/* What is known of pages, by their numbers: a hash table with open addressing. */
#ifndef EDB_PAGE_MAP_H
#define EDB_PAGE_MAP_H

#include <stdint.h>

typedef struct {
    uint64_t pme_page;              /* 0: an empty place of the table */
    uint64_t pme_value;             /* whatever is known of it; 0 at first */
    uint32_t pme_tag;               /* likewise */
} page_map_entry;

typedef struct {                    /* all zero: nothing */
    page_map_entry *pmp_table;
    uint64_t pmp_room, pmp_used;    /* room: 0 or a power of two */
} page_map;

/* NULL: it is not there. Valid until the next page_map_put(). */
page_map_entry *page_map_find(const page_map *map, uint64_t page);
/* The page's entry, made if it was not there. EDB_NOMEM. */
int page_map_put(page_map *map, uint64_t page, page_map_entry **out);
void page_map_free(page_map *map);

#endif
