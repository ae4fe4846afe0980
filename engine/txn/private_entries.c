/* Private entries in an array, or in a write set; see private_entries.h.
 *
 * An entry in memory is a head (keyed_bytes), its key and its value, in one piece of an arena. */
#include "engine/txn/private_entries.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "native/arena.h"
#include "native/keycode.h"

#define TREE_PRIVATE 1              /* the one tree of the write set */

struct private_entries {
    size_t pe_refs;
    uint64_t pe_spill_bytes;
    arena pe_memory;
    sorted_key *pe_keys;            /* owned */
    size_t pe_count, pe_room;
    bool pe_sorted;
    writeset *pe_spilled;           /* owned; then there is nothing in memory */
};

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for the entries that a statement computes for itself");
}

int private_make(uint64_t spill_bytes, private_entries **out)
{
    private_entries *pe = calloc(1, sizeof *pe);

    if (!pe)
        return no_memory();
    pe->pe_refs = 1;
    pe->pe_spill_bytes = spill_bytes;
    arena_init(&pe->pe_memory);
    *out = pe;
    return EDB_OK;
}

private_entries *private_ref(private_entries *pe)
{
    pe->pe_refs++;
    return pe;
}

static void forget_memory(private_entries *pe)
{
    arena_free(&pe->pe_memory);
    free(pe->pe_keys);
    pe->pe_keys = NULL;
    pe->pe_count = pe->pe_room = 0;
}

void private_unref(private_entries *pe)
{
    if (!pe || --pe->pe_refs)
        return;
    forget_memory(pe);
    ws_unref(pe->pe_spilled);
    free(pe);
}

/* ---- adding --------------------------------------------------------------------------------------------------- */

static int spill(private_entries *pe)
{
    writeset *ws = NULL;
    int rc = ws_new(pe->pe_spill_bytes, &ws);

    for (size_t i = 0; !rc && i < pe->pe_count; i++) {
        const keyed_bytes *kv = pe->pe_keys[i].ks_key;
        rc = ws_put(ws, TREE_PRIVATE, kv->kv_key, kv->kv_key_size, keyed_value(kv), kv->kv_value_size, 0, 0);
    }
    if (rc) {
        ws_unref(ws);
        return rc;
    }
    forget_memory(pe);
    pe->pe_spilled = ws;
    return EDB_OK;
}

static int more_room(private_entries *pe)
{
    size_t room = pe->pe_room ? 2 * pe->pe_room : 64;
    sorted_key *keys = realloc(pe->pe_keys, room * sizeof *keys);

    if (!keys)
        return no_memory();
    pe->pe_keys = keys;
    pe->pe_room = room;
    return EDB_OK;
}

static int add_in_memory(private_entries *pe, const void *key, size_t key_size, const void *value, size_t value_size)
{
    keyed_bytes *kv;
    int rc;

    if (pe->pe_count == pe->pe_room && (rc = more_room(pe)))
        return rc;
    if (key_size > UINT32_MAX || value_size > UINT32_MAX
        || !(kv = arena_alloc(&pe->pe_memory, sizeof *kv + key_size + value_size)))
        return no_memory();
    uint8_t *bytes = (uint8_t *)(kv + 1);
    *kv = (keyed_bytes){ bytes, (uint32_t)key_size, (uint32_t)value_size };
    memcpy(bytes, key, key_size);
    if (value_size)
        memcpy(bytes + key_size, value, value_size);
    pe->pe_keys[pe->pe_count++].ks_key = kv;
    return EDB_OK;
}

int private_add(private_entries *pe, const void *key, size_t key_size, const void *value, size_t value_size)
{
    int rc;

    assert(!pe->pe_sorted);
    if (!pe->pe_spilled && pe->pe_memory.an_bytes + pe->pe_room * sizeof *pe->pe_keys > pe->pe_spill_bytes
        && (rc = spill(pe)))
        return rc;
    if (pe->pe_spilled)
        return ws_put(pe->pe_spilled, TREE_PRIVATE, key, key_size, value, value_size, 0, 0);
    return add_in_memory(pe, key, key_size, value, value_size);
}

/* ---- reading -------------------------------------------------------------------------------------------------- */

int private_ready(private_entries *pe)
{
    if (pe->pe_sorted || pe->pe_count < 2)
        return EDB_OK;
    sorted_key *spare = malloc(pe->pe_count * sizeof *spare);
    if (!spare)
        return no_memory();
    keys_sort(pe->pe_keys, spare, pe->pe_count);
    free(spare);
    pe->pe_sorted = true;
    return EDB_OK;
}

writeset *private_spilled(private_entries *pe, uint32_t *tree)
{
    *tree = TREE_PRIVATE;
    return pe->pe_spilled;
}

size_t private_count(const private_entries *pe)
{
    return pe->pe_count;
}

const keyed_bytes *private_at(const private_entries *pe, size_t i)
{
    return i < pe->pe_count ? pe->pe_keys[i].ks_key : NULL;
}

size_t private_rank(const private_entries *pe, const void *key, size_t key_size, bool upto)
{
    size_t low = 0, high = pe->pe_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const keyed_bytes *kv = pe->pe_keys[middle].ks_key;
        int order = key_compare(kv->kv_key, kv->kv_key_size, key, key_size);
        if (upto ? order <= 0 : order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
