/* An interning table; see intern.h. Two hash tables with open addressing, by text and by id, over entries in an arena.
 *
 * Invariants:
 *  1. A slot goes from empty to an entry once and stays so, while its map is in use. So does the map of a table go to a
 *     larger one, never back. So a reader that walks a chain of slots never misses one that was before it.
 *  2. Writing happens under it_mutex. What an entry and the key of its slot hold is written before the entry is stored into
 *     the slot, and the slots of a map before the map is stored into the table, both with release order. A reader loads both
 *     with acquire order, so it sees them whole.
 *  3. A map always has empty slots, so every chain ends.
 *  4. it_bytes is at most it_most.
 *
 * A map that was replaced may still be walked by a reader, for as long as the reader's thread does not run. It is kept until
 * the table is freed: all replaced maps together are smaller than the one in use. A reader in an old map may miss what was
 * put since it began, which is no more than having asked a little earlier. */
#include "native/intern.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "native/arena.h"
#include "native/hash.h"

enum { SLOTS_MIN = 64 };        /* a power of two */

/* The key lies beside the pointer, so that an entry is touched only if it is the right one (or, of 2^64 hashes, by chance). */
typedef struct {
    _Atomic(const intern_entry *) io_entry;     /* NULL: empty */
    _Atomic uint64_t io_key;    /* the hash of its text, or its id; written before io_entry */
} intern_slot;

typedef struct intern_map {
    struct intern_map *im_older;        /* what this one replaced */
    size_t im_slots;            /* of each of both; a power of two */
    intern_slot im_slot[];      /* those by text, then those by id */
} intern_map;

/* Counters in cache lines of their own. Each thread has one of them (with more threads than shards, some share one), so
 * counting makes no line travel between processors. */
enum { SHARDS = 32 };
typedef struct {
    _Alignas(64) atomic_uint_fast64_t ih_hits;
    atomic_uint_fast64_t ih_misses;
} intern_shard;

struct intern {
    _Atomic(intern_map *) it_map;
    /* A line of its own for what puts write, so that they do not take it_map away from readers. */
    _Alignas(64) arena it_arena;        /* entries; guarded by the mutex */
    size_t it_most;
    atomic_size_t it_bytes;     /* taken: this struct, all maps and the arena; written under the mutex */
    atomic_size_t it_entries;   /* as it_bytes */
    atomic_uint_fast64_t it_refused;    /* as it_bytes */
    pthread_mutex_t it_mutex;
    intern_shard it_shards[SHARDS];
};

/* ---- counting ---- */

static intern_shard *own_shard(intern *table)
{
    static atomic_uint threads;
    static _Thread_local unsigned own;      /* 0: not chosen yet */

    if (!own)
        own = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % SHARDS;
    return &table->it_shards[own - 1];
}

static inline bool counted(intern *table, const intern_entry *found, const intern_entry **entry)
{
    intern_shard *shard = own_shard(table);

    atomic_fetch_add_explicit(found ? &shard->ih_hits : &shard->ih_misses, 1, memory_order_relaxed);
    if (found)
        *entry = found;
    return found;
}

void intern_count(const intern *table, intern_counts *out)
{
    *out = (intern_counts){
        .entries = atomic_load_explicit(&table->it_entries, memory_order_relaxed),
        .refused = atomic_load_explicit(&table->it_refused, memory_order_relaxed),
        .bytes = atomic_load_explicit(&table->it_bytes, memory_order_relaxed),
    };
    for (unsigned i = 0; i < SHARDS; i++) {
        out->hits += atomic_load_explicit(&table->it_shards[i].ih_hits, memory_order_relaxed);
        out->misses += atomic_load_explicit(&table->it_shards[i].ih_misses, memory_order_relaxed);
    }
}

/* ---- maps ---- */

static inline size_t map_bytes(size_t slots)
{
    return sizeof(intern_map) + 2 * slots * sizeof(intern_slot);
}

static inline uint64_t text_key(const void *text, size_t size)
{
    return hash_fast(text, size, 0);
}

/* Where the chain of an id begins: Fibonacci hashing (Knuth, TAOCP volume 3, 6.4), the high end of a product with 2^64 over
 * the golden ratio. Ids are often dense, or multiples of something, and it spreads both evenly. */
static inline size_t id_start(const intern_map *map, uint64_t id)
{
    return (size_t)((unsigned __int128)(id * 0x9e3779b97f4a7c15ULL) * map->im_slots >> 64);
}

static const intern_entry *by_text(const intern_map *map, uint64_t key, const void *text, size_t size)
{
    for (size_t at = key;; at++) {
        const intern_slot *slot = &map->im_slot[at & (map->im_slots - 1)];
        const intern_entry *entry = atomic_load_explicit(&slot->io_entry, memory_order_acquire);
        if (!entry)
            return NULL;
        if (atomic_load_explicit(&slot->io_key, memory_order_relaxed) == key && entry->ie_size == size
            && (!size || !memcmp(entry->ie_text, text, size)))
            return entry;
    }
}

static const intern_entry *by_id(const intern_map *map, uint64_t id)
{
    for (size_t at = id_start(map, id);; at++) {
        const intern_slot *slot = &map->im_slot[map->im_slots + (at & (map->im_slots - 1))];
        const intern_entry *entry = atomic_load_explicit(&slot->io_entry, memory_order_acquire);
        if (!entry || atomic_load_explicit(&slot->io_key, memory_order_relaxed) == id)
            return entry;
    }
}

static void fill(intern_slot *slots, size_t n, size_t start, uint64_t key, const intern_entry *entry)
{
    intern_slot *slot;

    do
        slot = &slots[start++ & (n - 1)];
    while (atomic_load_explicit(&slot->io_entry, memory_order_relaxed));
    atomic_store_explicit(&slot->io_key, key, memory_order_relaxed);
    atomic_store_explicit(&slot->io_entry, entry, memory_order_release);
}

static void map_add(intern_map *map, uint64_t key, const intern_entry *entry)
{
    fill(map->im_slot, map->im_slots, key, key, entry);
    fill(map->im_slot + map->im_slots, map->im_slots, id_start(map, entry->ie_id), entry->ie_id, entry);
}

static intern_map *map_new(size_t slots)
{
    size_t bytes = map_bytes(slots);
    intern_map *map;

    assert(bytes > slots);      /* that many slots have been in memory before: their size is no overflow */
    map = calloc(1, bytes);
    if (map)
        map->im_slots = slots;
    return map;
}

static inline intern_map *map_now(intern *table)
{
    return atomic_load_explicit(&table->it_map, memory_order_acquire);
}

/* ---- the table ---- */

static inline size_t bytes_left(const intern *table)
{
    size_t bytes = atomic_load_explicit(&table->it_bytes, memory_order_relaxed);

    return table->it_most > bytes ? table->it_most - bytes : 0;
}

/* Puts a map of twice the slots in the place of the present one. -> whether there was memory for it. */
static bool grow(intern *table)
{
    intern_map *map = map_now(table), *larger;
    size_t slots = 2 * map->im_slots;

    if (map_bytes(slots) > bytes_left(table) || !(larger = map_new(slots)))
        return false;
    for (size_t i = 0; i < map->im_slots; i++) {
        const intern_entry *entry = atomic_load_explicit(&map->im_slot[i].io_entry, memory_order_relaxed);
        if (entry)
            map_add(larger, atomic_load_explicit(&map->im_slot[i].io_key, memory_order_relaxed), entry);
    }
    larger->im_older = map;
    atomic_fetch_add_explicit(&table->it_bytes, map_bytes(slots), memory_order_relaxed);
    atomic_store_explicit(&table->it_map, larger, memory_order_release);
    return true;
}

/* Room for one more in both tables of slots. They grow when two thirds are in use; where they cannot, they are filled to
 * seven eighths, at which a chain of a text that is not there has 32 slots, eight cache lines. */
static bool has_slot(intern *table)
{
    size_t used = atomic_load_explicit(&table->it_entries, memory_order_relaxed), slots = map_now(table)->im_slots;

    return used < slots / 3 * 2 || grow(table) || used < slots / 8 * 7;
}

static intern_entry *entry_new(intern *table, const void *text, size_t size, uint64_t id)
{
    size_t before = table->it_arena.an_bytes;
    intern_entry *entry;

    if (size > SIZE_MAX - sizeof *entry || arena_takes(&table->it_arena, sizeof *entry + size) > bytes_left(table)
        || !(entry = arena_alloc(&table->it_arena, sizeof *entry + size)))
        return NULL;
    atomic_fetch_add_explicit(&table->it_bytes, table->it_arena.an_bytes - before, memory_order_relaxed);
    entry->ie_id = id;
    entry->ie_size = size;
    if (size)
        memcpy(entry->ie_text, text, size);
    return entry;
}

static const intern_entry *put(intern *table, const void *text, size_t size, uint64_t id)
{
    uint64_t key = text_key(text, size);
    const intern_entry *there = by_text(map_now(table), key, text, size);
    intern_entry *entry;

    if (there)
        return there->ie_id == id ? there : NULL;
    if (by_id(map_now(table), id) || !has_slot(table) || !(entry = entry_new(table, text, size, id)))
        return NULL;
    map_add(map_now(table), key, entry);
    atomic_fetch_add_explicit(&table->it_entries, 1, memory_order_relaxed);
    return entry;
}

const intern_entry *intern_put(intern *table, const void *text, size_t size, uint64_t id)
{
    const intern_entry *entry;

    pthread_mutex_lock(&table->it_mutex);
    entry = put(table, text, size, id);
    if (!entry)
        atomic_fetch_add_explicit(&table->it_refused, 1, memory_order_relaxed);
    assert(atomic_load_explicit(&table->it_bytes, memory_order_relaxed) <= table->it_most || !entry);
    pthread_mutex_unlock(&table->it_mutex);
    return entry;
}

bool intern_find(intern *table, const void *text, size_t size, const intern_entry **entry)
{
    return counted(table, by_text(map_now(table), text_key(text, size), text, size), entry);
}

bool intern_find_id(intern *table, uint64_t id, const intern_entry **entry)
{
    return counted(table, by_id(map_now(table), id), entry);
}

intern *intern_new(size_t bytes)
{
    intern *table = aligned_alloc(_Alignof(intern), sizeof *table);
    intern_map *map = map_new(SLOTS_MIN);

    if (!table || !map || pthread_mutex_init(&table->it_mutex, NULL)) {
        free(table);
        free(map);
        return NULL;
    }
    arena_init(&table->it_arena);
    atomic_init(&table->it_map, map);
    table->it_most = bytes;
    atomic_init(&table->it_bytes, sizeof *table + map_bytes(SLOTS_MIN));
    atomic_init(&table->it_entries, 0);
    atomic_init(&table->it_refused, 0);
    for (unsigned i = 0; i < SHARDS; i++) {
        atomic_init(&table->it_shards[i].ih_hits, 0);
        atomic_init(&table->it_shards[i].ih_misses, 0);
    }
    return table;
}

void intern_free(intern *table)
{
    if (!table)
        return;
    for (intern_map *map = map_now(table), *older; map; map = older) {
        older = map->im_older;
        free(map);
    }
    arena_free(&table->it_arena);
    pthread_mutex_destroy(&table->it_mutex);
    free(table);
}
