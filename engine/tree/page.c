/* Tree nodes in pages. See page.h. */
#include "engine/tree/page.h"

/* ---- structure ------------------------------------------------------------------------------------------------ */

/* A varint of a cell, so short that cell_varint reads it. Most have a byte or two. */
static inline const uint8_t *varint_short(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    if (p < end && *p < 0x80) {
        *out = *p;
        return p + 1;
    }
    if (end - p >= 2 && p[1] < 0x80) {
        *out = (p[0] & 0x7fu) | (uint64_t)p[1] << 7;
        return p + 2;
    }
    const uint8_t *after = varint_load(p, end, out);

    return after && after - p <= 5 ? after : NULL;
}

/* fixed, leaf: constants where it is called, so that the loop decides nothing about them. */
static inline __attribute__((always_inline)) bool cell_valid(const uint8_t *page, const uint8_t *end, unsigned offset,
                                                             unsigned heap, unsigned fixed, bool leaf)
{
    const uint8_t *p = page + offset;
    uint64_t key_size = fixed, info;
    if (offset < heap || p >= end)
        return false;
    if (!fixed && !(p = varint_short(p, end, &key_size)))
        return false;
    if (key_size > (uint64_t)(end - p))
        return false;
    p += key_size;
    if (!leaf)
        return end - p >= (ptrdiff_t)CHILD_SIZE;
    if (!(p = varint_short(p, end, &info)) || info >> 1 > (uint64_t)(end - p))
        return false;
    return !(info & 1) || (info >> 1 == OVERFLOW_SIZE && load64(p) <= UINT32_MAX);  /* sizes of values have 32 bits */
}

static inline __attribute__((always_inline)) bool cells_valid(const uint8_t *page, uint32_t page_size, unsigned heap,
                                                              unsigned fixed, bool leaf)
{
    const uint8_t *end = page + page_size;
    unsigned live = page_live(page), dead = page_dead(page);
    const uint64_t *slot = page_live_slots(page);
    for (unsigned i = 0; i < live; i++)
        if (!cell_valid(page, end, slot_offset(slot[i]), heap, fixed, leaf))
            return false;
    slot = page_dead_slots(page);
    for (unsigned i = 0; i < dead; i++, slot += 2)
        if (!cell_valid(page, end, slot_offset(slot[0]), heap, fixed, leaf) || dead_rank(slot) > live)
            return false;
    return true;
}

bool page_valid(const uint8_t *page, uint32_t page_size)
{
    unsigned live = page_live(page), dead = page_dead(page), heap = load16(page + TP_HEAP);
    unsigned fixed = load16(page + TP_KEY_SIZE);
    bool leaf = page_is_leaf(page);
    uint64_t slots_end = TP_SLOTS + (uint64_t)live * SLOT_LIVE + (uint64_t)dead * SLOT_DEAD;

    if (slots_end > page_size || (fixed != 0 && fixed != 8) || leaf != (page_level(page) == 0))
        return false;
    if (live + dead > 0 && (heap < slots_end || heap >= page_size))
        return false;
    if (!leaf && live == 0)
        return false;
    if (leaf)
        return fixed ? cells_valid(page, page_size, heap, 8, true) : cells_valid(page, page_size, heap, 0, true);
    return fixed ? cells_valid(page, page_size, heap, 8, false) : cells_valid(page, page_size, heap, 0, false);
}

__attribute__((constructor)) static void page_register(void)
{
    pager_validators[PAGE_LEAF] = pager_validators[PAGE_INTERIOR] = page_valid;
}

/* ---- searching ------------------------------------------------------------------------------------------------ */

static unsigned search_fixed(const uint8_t *page, const uint64_t *slots, unsigned n, unsigned stride, uint64_t key,
                             bool after)
{
    unsigned low = 0;

    while (n > 0) {
        unsigned half = n / 2;
        uint64_t at = load64be(page + slot_offset(slots[(low + half) * stride]));
        bool right = after ? at <= key : at < key;
        low = right ? low + half + 1 : low;
        n = right ? n - half - 1 : half;
    }
    return low;
}

unsigned page_search(const uint8_t *page, const uint64_t *slots, unsigned n, unsigned stride, const void *key,
                     size_t key_size, bool after)
{
    if (load16(page + TP_KEY_SIZE) && key_size == 8)
        return search_fixed(page, slots, n, stride, load64be(key), after);
    unsigned fixed = load16(page + TP_KEY_SIZE), low = 0;
    while (n > 0) {
        unsigned half = n / 2;
        const uint8_t *at;
        uint32_t at_size;
        cell_key(page + slot_offset(slots[(low + half) * stride]), fixed, &at, &at_size);
        int c = key_compare(at, at_size, key, key_size);
        if (after ? c <= 0 : c < 0) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

unsigned page_visible(const uint8_t *page, uint64_t moment, uint64_t *seen)
{
    unsigned live = page_live(page), dead = page_dead(page), n = 0, i = 0;
    const uint64_t *slots = page_live_slots(page), *old = page_dead_slots(page);

    for (unsigned j = 0; j < dead; j++, old += 2) {
        if (!dead_visible(old, moment) || dead_is_tombstone(old))
            continue;
        for (unsigned rank = dead_rank(old); i < rank; i++) {
            seen[n] = slots[i];
            n += slot_from(slots[i]) <= moment;
        }
        seen[n++] = old[0];
    }
    for (; i < live; i++) {
        seen[n] = slots[i];
        n += slot_from(slots[i]) <= moment;
    }
    return n;
}

/* ---- walking an interior node at a moment ------------------------------------------------------------------------ */

/* Candidates: a, the nearest visible live entry, and b, the nearest visible dead one, on one side of a place; the
 * current entry becomes whichever comes first on that side. A dead entry comes after live entry a exactly when its
 * rank is greater than a. */

static void walk_take_live(page_walk *w, int a, int dead_next)
{
    uint64_t word = page_live_slots(w->pw_page)[a];

    w->pw_offset = slot_offset(word);
    w->pw_from = slot_from(word);
    w->pw_is_live = true;
    w->pw_live_next = a + 1;
    w->pw_live_prev = a - 1;
    w->pw_dead_next = dead_next;
    w->pw_dead_prev = dead_next - 1;
}

static void walk_take_dead(page_walk *w, int b, int live_next)
{
    uint64_t word = page_dead_slots(w->pw_page)[b * 2];

    w->pw_offset = slot_offset(word);
    w->pw_from = slot_from(word);
    w->pw_is_live = false;
    w->pw_dead_next = b + 1;
    w->pw_dead_prev = b - 1;
    w->pw_live_next = live_next;
    w->pw_live_prev = live_next - 1;
}

static bool walk_forward(page_walk *w, int a, int b)
{
    const uint64_t *live = page_live_slots(w->pw_page), *dead = page_dead_slots(w->pw_page);
    int n_live = (int)page_live(w->pw_page), n_dead = (int)page_dead(w->pw_page);

    if (w->pw_moment >= page_newest(w->pw_page))
        b = n_dead;                     /* nothing in the second directory of an interior node is visible */
    while (a < n_live && slot_from(live[a]) > w->pw_moment)
        a++;
    while (b < n_dead && !dead_visible(dead + 2 * b, w->pw_moment))
        b++;
    if (a < n_live && (b == n_dead || (int)dead_rank(dead + 2 * b) > a))
        walk_take_live(w, a, b);
    else if (b < n_dead)
        walk_take_dead(w, b, a);
    else
        return false;
    return true;
}

static bool walk_backward(page_walk *w, int a, int b)
{
    const uint64_t *live = page_live_slots(w->pw_page), *dead = page_dead_slots(w->pw_page);

    if (w->pw_moment >= page_newest(w->pw_page))
        b = -1;
    while (a >= 0 && slot_from(live[a]) > w->pw_moment)
        a--;
    while (b >= 0 && !dead_visible(dead + 2 * b, w->pw_moment))
        b--;
    if (b >= 0 && (int)dead_rank(dead + 2 * b) > a)
        walk_take_dead(w, b, a + 1);
    else if (a >= 0)
        walk_take_live(w, a, b + 1);
    else
        return false;
    return true;
}

bool walk_find(page_walk *w, const uint8_t *page, uint64_t moment, const void *key, size_t key_size)
{
    w->pw_page = page;
    w->pw_moment = moment;
    int a = (int)page_search(page, page_live_slots(page), page_live(page), 1, key, key_size, true) - 1;
    int b = -1;
    if (moment < page_newest(page))
        b = (int)page_search(page, page_dead_slots(page), page_dead(page), 2, key, key_size, true) - 1;
    return walk_backward(w, a, b);
}

bool walk_first(page_walk *w, const uint8_t *page, uint64_t moment)
{
    w->pw_page = page;
    w->pw_moment = moment;
    return walk_forward(w, 0, 0);
}

bool walk_last(page_walk *w, const uint8_t *page, uint64_t moment)
{
    w->pw_page = page;
    w->pw_moment = moment;
    return walk_backward(w, (int)page_live(page) - 1, (int)page_dead(page) - 1);
}

bool walk_next(page_walk *w)
{
    return walk_forward(w, w->pw_live_next, w->pw_dead_next);
}

bool walk_prev(page_walk *w)
{
    return walk_backward(w, w->pw_live_prev, w->pw_dead_prev);
}

/* ---- taking a node apart and building one ------------------------------------------------------------------------- */

static void entry_load(const uint8_t *page, uint64_t word, page_entry *out)
{
    const uint8_t *cell = page + slot_offset(word);
    unsigned fixed = load16(page + TP_KEY_SIZE);

    *out = (page_entry){ .from = slot_from(word) };
    if (page_is_leaf(page)) {
        tree_version v;
        cell_leaf(cell, fixed, &v);
        out->key = v.key;
        out->key_size = v.key_size;
        out->value = v.value;
        out->value_size = v.value_size;
        out->overflow = v.overflow;
    } else {
        cell_key(cell, fixed, &out->key, &out->key_size);
        out->child = cell_child(cell, fixed);
    }
}

/* Those of the first directory from `live` to live_end, and of the second from `dead` to dead_end, in order. */
static unsigned entries_between(const uint8_t *page, unsigned live, unsigned live_end, unsigned dead, unsigned dead_end,
                                page_entry *out)
{
    unsigned n = 0, j = dead;
    const uint64_t *slots = page_live_slots(page), *old = page_dead_slots(page);

    for (unsigned i = live; i <= live_end; i++) {
        page_entry newest;
        if (i < live_end)
            entry_load(page, slots[i], &newest);
        /* Dead entries of rank i: first those of smaller keys, then the older versions of this key. */
        bool placed = i == live_end;
        for (; j < dead_end && dead_rank(old + 2 * j) == i; j++) {
            page_entry e;
            entry_load(page, old[2 * j], &e);
            e.tombstone = dead_is_tombstone(old + 2 * j);
            if (!placed && key_compare(e.key, e.key_size, newest.key, newest.key_size) >= 0) {
                out[n++] = newest;
                placed = true;
            }
            out[n++] = e;
        }
        if (!placed)
            out[n++] = newest;
    }
    entries_mark(out, n);
    return n;
}

unsigned page_entries(const uint8_t *page, page_entry *out)
{
    return entries_between(page, 0, page_live(page), 0, page_dead(page), out);
}

unsigned page_entries_within(const uint8_t *page, const void *low, size_t low_size, const void *high, size_t high_size,
                             page_entry *out)
{
    const uint64_t *slots = page_live_slots(page), *old = page_dead_slots(page);
    unsigned live = page_live(page), dead = page_dead(page);
    unsigned live_end = high ? page_search(page, slots, live, 1, high, high_size, false) : live;
    unsigned dead_end = high ? page_search(page, old, dead, 2, high, high_size, false) : dead;

    return entries_between(page, page_search(page, slots, live, 1, low, low_size, false), live_end,
                           page_search(page, old, dead, 2, low, low_size, false), dead_end, out);
}

void entries_mark(page_entry *e, size_t n)
{
    for (size_t i = 0; i < n; i++)
        e[i].newest = i == 0 || !entry_same_key(&e[i - 1], &e[i]);
}

static void cell_store(uint8_t *p, const page_entry *e, bool leaf, unsigned fixed)
{
    if (!fixed)
        p = varint_store(p, e->key_size);
    memcpy(p, e->key, e->key_size);
    p += e->key_size;
    if (leaf) {
        p = varint_store(p, (uint64_t)e->value_size << 1 | e->overflow);
        if (e->value_size)
            memcpy(p, e->value, e->value_size);
    } else {
        store40(p, e->child.page);
        store32(p + 5, e->child.tag);
    }
}

void page_build(uint8_t *page, uint32_t page_size, bool leaf, unsigned level, uint32_t owner, unsigned fixed,
                const page_entry *e, size_t n)
{
    unsigned live = 0, dead = 0;
    uint64_t newest = 0, oldest = n ? UINT64_MAX : 0;

    for (size_t i = 0; i < n; i++) {
        if (entry_living(&e[i], leaf))
            live++;
        else
            dead++;
        newest = e[i].from > newest ? e[i].from : newest;
        oldest = e[i].from < oldest ? e[i].from : oldest;
    }
    memset(page, 0, TP_SLOTS);
    page[PH_KIND] = leaf ? PAGE_LEAF : PAGE_INTERIOR;
    page[PH_LEVEL] = (uint8_t)level;
    store32(page + PH_OWNER, owner);
    store16(page + TP_LIVE, (uint16_t)live);
    store16(page + TP_DEAD, (uint16_t)dead);
    store64(page + TP_NEWEST, newest);
    store64(page + TP_OLDEST, oldest);
    store16(page + TP_KEY_SIZE, (uint16_t)fixed);

    /* Cells, in two passes from the end: the dead behind, the living in front, each in key order, so that a scan of
     * the living walks memory upwards. */
    uint64_t *slots = (uint64_t *)(page + TP_SLOTS), *old = slots + live;
    uint32_t heap = page_size;
    unsigned d = dead, l = live;
    for (size_t i = n; i-- > 0;) {
        if (entry_living(&e[i], leaf))
            continue;
        heap -= cell_bytes(&e[i], leaf, fixed);
        cell_store(page + heap, &e[i], leaf, fixed);
        old[--d * 2] = e[i].from << 16 | heap;
    }
    for (size_t i = n; i-- > 0;) {
        if (!entry_living(&e[i], leaf))
            continue;
        heap -= cell_bytes(&e[i], leaf, fixed);
        cell_store(page + heap, &e[i], leaf, fixed);
        slots[--l] = e[i].from << 16 | heap;
    }
    unsigned rank = 0, own = 0;     /* living entries so far; the rank of the key at hand */
    for (size_t i = 0; i < n; i++) {
        if (e[i].newest)
            own = rank;
        if (entry_living(&e[i], leaf)) {
            rank++;
            continue;
        }
        uint64_t to = e[i].newest ? TO_NONE : e[i - 1].from;
        old[d++ * 2 + 1] = to << 16 | (leaf && e[i].tombstone ? RANK_TOMBSTONE : 0) | own;
    }
    uint32_t slots_end = TP_SLOTS + live * SLOT_LIVE + dead * SLOT_DEAD;
    assert(heap >= slots_end);
    memset(page + slots_end, 0, heap - slots_end);
    store16(page + TP_HEAP, (uint16_t)(n ? heap : page_size - 1));
}
