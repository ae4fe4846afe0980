/* A leaf with one version more: edited in a copy of the page, where there is room between its directories and its cells.
 *
 * That is what most commits of a row or two do to a leaf, and much less work than building it anew from its entries. The
 * edit leaves the same directories as page_build() would; only the cells stand in the order in which they came. Whatever
 * else there is to be done (a key that comes back, the last row of a leaf deleted, a full page) is left to leaf_apply(). */
#include "engine/tree/tree_pieces.h"

typedef struct {
    uint8_t *le_page;
    unsigned le_live, le_dead;
    unsigned le_at;                 /* place of the key in the first directory */
    unsigned le_dead_at;            /* the first place in the second whose key is not smaller */
    uint32_t le_heap;               /* where the new cell begins */
    uint64_t le_word;               /* its slot word */
} leaf_edit;

static bool key_stands(const uint8_t *page, const uint64_t *slots, unsigned n, unsigned stride, unsigned at, const tree_change *c)
{
    const uint8_t *key;
    uint32_t key_size;

    if (at >= n)
        return false;
    cell_key(page + slot_offset(slots[at * stride]), load16(page + TP_KEY_SIZE), &key, &key_size);
    return key_compare(key, key_size, c->key, c->key_size) == 0;
}

/* The living version becomes the newest in the second directory. */
static void replace_living(leaf_edit *le, uint64_t now)
{
    uint64_t *live = (uint64_t *)(le->le_page + TP_SLOTS), *dead = live + le->le_live, *at = dead + 2 * le->le_dead_at;

    memmove(at + 2, at, (le->le_dead - le->le_dead_at) * SLOT_DEAD);
    at[0] = live[le->le_at];
    at[1] = now << 16 | le->le_at;
    live[le->le_at] = le->le_word;
    store16(le->le_page + TP_DEAD, (uint16_t)(le->le_dead + 1));
}

/* A key more: all behind it in the second directory have a living entry more before them. */
static void insert_living(leaf_edit *le)
{
    uint64_t *live = (uint64_t *)(le->le_page + TP_SLOTS), *at = live + le->le_at;

    memmove(at + 1, at, (le->le_live - le->le_at) * SLOT_LIVE + le->le_dead * SLOT_DEAD);
    *at = le->le_word;
    uint64_t *dead = live + le->le_live + 1;
    for (unsigned i = le->le_dead_at; i < le->le_dead; i++)
        dead[2 * i + 1]++;          /* the rank stands in the lowest bits */
    store16(le->le_page + TP_LIVE, (uint16_t)(le->le_live + 1));
}

/* The living version and a tombstone become the newest in the second directory. after: the first place there behind the key. */
static void delete_living(leaf_edit *le, uint64_t now, unsigned after)
{
    uint64_t *live = (uint64_t *)(le->le_page + TP_SLOTS), *dead = live + le->le_live - 1, word = live[le->le_at];
    uint64_t *at = dead + 2 * le->le_dead_at;

    memmove(at + 4, at + 1, (le->le_dead - le->le_dead_at) * SLOT_DEAD);
    memmove(live + le->le_at, live + le->le_at + 1,
            (le->le_live - 1 - le->le_at) * SLOT_LIVE + le->le_dead_at * SLOT_DEAD);
    at[0] = le->le_word;
    at[1] = TO_NONE << 16 | RANK_TOMBSTONE | le->le_at;
    at[2] = word;
    at[3] = now << 16 | le->le_at;
    for (unsigned i = after + 2; i < le->le_dead + 2; i++)
        dead[2 * i + 1]--;          /* a living entry less before them */
    store16(le->le_page + TP_LIVE, (uint16_t)(le->le_live - 1));
    store16(le->le_page + TP_DEAD, (uint16_t)(le->le_dead + 2));
}

static void cell_append(leaf_edit *le, const page_entry *e, unsigned fixed)
{
    uint8_t *p = le->le_page + le->le_heap;

    if (!fixed)
        p = varint_store(p, e->key_size);
    memcpy(p, e->key, e->key_size);
    p = varint_store(p + e->key_size, (uint64_t)e->value_size << 1);
    if (e->value_size)
        memcpy(p, e->value, e->value_size);
}

/* Whether the living entry under the key has the value already, or one that is not looked at here. */
static bool says_it(const uint8_t *page, uint64_t word, unsigned fixed, const tree_change *c)
{
    tree_version v;

    cell_leaf(page + slot_offset(word), fixed, &v);
    return v.overflow || (v.value_size == c->value_size && (!v.value_size || memcmp(v.value, c->value, v.value_size) == 0));
}

/* Whether the value stands in a chain, which somebody must be told of when the version ends. */
static bool is_large(const uint8_t *page, uint64_t word, unsigned fixed)
{
    tree_version v;

    cell_leaf(page + slot_offset(word), fixed, &v);
    return v.overflow;
}

int leaf_edit_one(writer *w, const uint8_t *page, uint64_t born, const tree_change *c, bool *edited)
{
    const uint64_t *live = page_live_slots(page), *dead = page_dead_slots(page);
    leaf_edit le = { .le_live = page_live(page), .le_dead = page_dead(page) };
    const page_entry new = { .key = c->key, .key_size = c->key_size, .value = c->value,
                             .value_size = c->tombstone ? 0 : c->value_size, .newest = true };
    uint32_t cell = cell_bytes(&new, true, w->tw_fixed), heap = load16(page + TP_HEAP);
    uint64_t slots_end = TP_SLOTS + le.le_live * SLOT_LIVE + le.le_dead * SLOT_DEAD;

    *edited = false;
    if (born >= w->tw_now || page_newest(page) >= w->tw_now || le.le_live < 2 || cell + SLOT_DEAD > w->tw_capacity / 4
        || slots_end + 2 * SLOT_DEAD + cell > heap)
        return EDB_OK;
    le.le_at = page_search(page, live, le.le_live, 1, c->key, c->key_size, false);
    le.le_dead_at = page_search(page, dead, le.le_dead, 2, c->key, c->key_size, false);
    bool living = key_stands(page, live, le.le_live, 1, le.le_at, c);
    if (living ? c->tombstone || c->always ? is_large(page, live[le.le_at], w->tw_fixed)
                                           : says_it(page, live[le.le_at], w->tw_fixed, c)
               : c->tombstone || key_stands(page, dead, le.le_dead, 2, le.le_dead_at, c))
        return EDB_OK;
    int rc = page_begin(w);
    if (rc != EDB_OK)
        return rc;
    *edited = true;
    le.le_page = w->tw_page;
    memcpy(le.le_page, page, w->tw_page_size);
    le.le_heap = heap - cell;
    le.le_word = w->tw_now << 16 | le.le_heap;
    cell_append(&le, &new, w->tw_fixed);
    if (!living)
        insert_living(&le);
    else if (c->tombstone)
        delete_living(&le, w->tw_now, page_search(page, dead, le.le_dead, 2, c->key, c->key_size, true));
    else
        replace_living(&le, w->tw_now);
    store16(le.le_page + TP_HEAP, (uint16_t)le.le_heap);
    store64(le.le_page + TP_NEWEST, w->tw_now);
    content_queue_add(&w->tw_made, c);
    w->tw_state->ts_live += !living;
    w->tw_state->ts_live -= c->tombstone;
    return EDB_OK;
}
