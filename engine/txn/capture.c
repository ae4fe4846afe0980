/* An arena of rows and an array of where they are. */
#include "engine/txn/capture.h"

#include <stdlib.h>
#include <string.h>

#include "native/arena.h"
#include "native/bytes.h"

typedef struct {
    const uint8_t *ci_bytes;        /* in the arena: the row id as a key, 8 bytes, then the row */
    uint32_t ci_size;               /* of the row */
} capture_item;

struct capture {
    uint32_t cp_table;
    arena cp_memory;
    capture_item *cp_items;
    size_t cp_count, cp_room;
};

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory to keep the rows for RETURNING");
}

int capture_new(uint32_t table, capture **out)
{
    capture *cp = calloc(1, sizeof *cp);

    if (!cp)
        return no_memory();
    cp->cp_table = table;
    arena_init(&cp->cp_memory);
    *out = cp;
    return EDB_OK;
}

void capture_free(capture *cp)
{
    if (!cp)
        return;
    arena_free(&cp->cp_memory);
    free(cp->cp_items);
    free(cp);
}

uint32_t capture_table(const capture *cp)
{
    return cp->cp_table;
}

size_t capture_count(const capture *cp)
{
    return cp->cp_count;
}

int capture_add(capture *cp, int64_t rowid, const uint8_t *row, size_t size)
{
    if (cp->cp_count == cp->cp_room) {
        size_t room = 2 * cp->cp_room + 16;
        capture_item *items = realloc(cp->cp_items, room * sizeof *items);
        if (!items)
            return no_memory();
        cp->cp_items = items;
        cp->cp_room = room;
    }
    uint8_t *bytes = arena_alloc(&cp->cp_memory, 8 + size);
    if (!bytes)
        return no_memory();
    rowid_store(bytes, rowid);
    memcpy(bytes + 8, row, size);
    cp->cp_items[cp->cp_count++] = (capture_item){ .ci_bytes = bytes, .ci_size = (uint32_t)size };
    return EDB_OK;
}

void capture_drop(capture *cp, size_t count)
{
    if (count < cp->cp_count)
        cp->cp_count = count;
}

bool capture_entry(const capture *cp, size_t i, edb_entry *out)
{
    if (!cp || i >= cp->cp_count)
        return false;
    const capture_item *item = &cp->cp_items[i];
    *out = (edb_entry){.key = item->ci_bytes, .key_size = 8, .value = item->ci_bytes + 8,
                       .value_size = item->ci_size};
    return true;
}
