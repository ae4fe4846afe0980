/* Writing the temporal tree: one commit's sorted changes, applied node by node.
 *
 * apply_node() takes a node and the changes that fall into its range and answers with *pieces*: what stands in the
 * node's place from now on, each with the separator and the commit number under which its parent enters it. Usually one:
 * the same node, copied. The rules, from Lomet and Salzberg's TSB-tree with free-at-empty:
 *
 *   time split   A leaf too full of ended versions becomes history where it stands; a new page keeps what lives.
 *
 *                  [k1@9 k1@5 k1@2 k2@7 k2@3]  at 12  ->  (k1,2) the old page, unchanged;  (k1,12) [k1@9 k2@7]
 *
 *   key split    Else it is cut between two keys; the right half enters the parent with the oldest `from` in it.
 *   interior     An interior node is split by time no later than its oldest living child allows, so that history refers
 *                only to history; or by key, where a history child that straddles the cut is entered on both sides.
 *   empty        A node in which nothing lives becomes history, and its range *empty*: child page 0. No merging: a
 *                range that widened under old entries would shadow them.
 *   roots        One root per span of time. A root that is split by time is filed, an only child becomes the root.
 *
 * `born` of a node, the oldest commit it answers for, is not stored: it is the `from` of its parent's entry, or the
 * root's `since`.
 *
 * Memory: entries point into pages of the map and into the caller's changes. A page is freed only after everything
 * taken from it was written, because a page made by this commit may be handed out again at once. Separators that go up
 * to a parent are copied into the arena, which lives for one tree_apply(). */
#include <stdlib.h>

#include "../native/arena.h"
#include "page.h"

#define DEAD_SHARE 34       /* percent of a node's bytes a time split must free to be preferred to a key split */
#define FILL_SHARE 75       /* percent: a node fuller than this after a time split is also split by key */
#define ROOT_SIZE 24        /* bytes of an old root in its list */

typedef struct {
    const uint8_t *low;     /* separator, in the arena; NULL: the node's own */
    uint32_t low_size;
    uint64_t from;
    page_ref ref;           /* page 0: empty */
} piece;

typedef struct {
    piece *p;
    size_t n, room;
    bool whole;             /* the first piece is the past of the whole node */
} pieces;

typedef struct {
    page_entry *e;
    size_t room;
} entry_buffer;

typedef struct {
    pager_commit *tw_commit;
    pager *tw_pager;
    const pager_view *tw_view;
    tree_state *tw_state;
    uint64_t tw_now;
    uint32_t tw_page_size;
    uint32_t tw_capacity;   /* bytes of entries a page holds */
    unsigned tw_fixed;
    uint8_t *tw_page;       /* a page under construction */
    entry_buffer tw_old, tw_new, tw_past;   /* leaf entries: as found, merged with the changes, moved to history */
    page_ref tw_leaf;       /* the leaf being applied to; page 0: a new one */
    size_t tw_leaf_n;       /* entries of it after merging */
    bool tw_in_place;       /* all its entries were there before this commit: it can become history as it stands */
    bool tw_kept;           /* it did */
    arena tw_arena;
} writer;

/* ---- small parts -------------------------------------------------------------------------------------------------- */

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory to apply the changes of a commit");
}

static int buffer_room(entry_buffer *b, size_t n)
{
    if (n <= b->room)
        return EDB_OK;
    size_t room = n + n / 2 + 64;
    page_entry *e = realloc(b->e, room * sizeof *e);
    if (!e)
        return no_memory();
    b->e = e;
    b->room = room;
    return EDB_OK;
}

static int piece_add(writer *w, pieces *to, const page_entry *low, uint64_t from, page_ref ref)
{
    if (to->n == to->room) {
        size_t room = to->room ? to->room * 2 : 8;
        piece *p = arena_alloc(&w->tw_arena, room * sizeof *p);
        if (!p)
            return no_memory();
        if (to->n)
            memcpy(p, to->p, to->n * sizeof *p);
        to->p = p;
        to->room = room;
    }
    piece *p = &to->p[to->n];
    *p = (piece){ .from = from, .ref = ref };
    if (low) {
        p->low = arena_copy(&w->tw_arena, low->key, low->key_size);
        p->low_size = low->key_size;
        if (!p->low)
            return no_memory();
    }
    to->n++;
    return EDB_OK;
}

static int node_write(writer *w, bool leaf, unsigned level, const page_entry *e, size_t n, page_ref *out)
{
    uint64_t page;
    page_build(w->tw_page, w->tw_page_size, leaf, level, w->tw_state->ts_id, w->tw_fixed, e, n);
    int rc = pager_alloc(w->tw_commit, &page);
    return rc == EDB_OK ? pager_write(w->tw_commit, page, w->tw_page, out) : rc;
}

static uint64_t range_bytes(const writer *w, bool leaf, const page_entry *e, size_t n)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += entry_bytes(&e[i], leaf, w->tw_fixed);
    return bytes;
}

static bool one_key(const page_entry *e, size_t n)
{
    return entry_same_key(&e[0], &e[n - 1]);
}

static uint64_t oldest_from(const page_entry *e, size_t n)
{
    uint64_t oldest = UINT64_MAX;
    for (size_t i = 0; i < n; i++)
        oldest = e[i].from < oldest ? e[i].from : oldest;
    return oldest;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The key boundary that cuts the bytes most nearly in half: an index in (0, n) where a key begins. */
static size_t middle_cut(const writer *w, bool leaf, const page_entry *e, size_t n, uint64_t bytes)
{
    uint64_t left = 0, best_gap = UINT64_MAX;
    size_t best = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && e[i].newest) {
            uint64_t gap = left * 2 > bytes ? left * 2 - bytes : bytes - left * 2;
            if (gap < best_gap) {
                best_gap = gap;
                best = i;
            }
        }
        left += entry_bytes(&e[i], leaf, w->tw_fixed);
    }
    assert(best > 0);
    return best;
}

/* ---- leaves ------------------------------------------------------------------------------------------------------- */

static bool leaf_alive(const page_entry *e, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (entry_living(&e[i], true))
            return true;
    return false;
}

/* Moves the living entries to the front; -> how many. */
static size_t leaf_keep_living(page_entry *e, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (entry_living(&e[i], true))
            e[kept++] = e[i];
    return kept;
}

/* What of a leaf's range was true before now becomes a history page: the old page itself when it is the whole of it,
 * else a new one. The range ends up in pieces under (low, born). */
static int leaf_file(writer *w, const page_entry *e, size_t n, const page_entry *low, uint64_t born, pieces *out)
{
    page_ref past = w->tw_leaf;
    if (w->tw_in_place && n == w->tw_leaf_n) {
        w->tw_kept = true;
    } else {
        int rc = buffer_room(&w->tw_past, n);
        if (rc != EDB_OK)
            return rc;
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (e[i].from < w->tw_now)
                w->tw_past.e[kept++] = e[i];
        if (kept == 0)
            return EDB_OK;
        entries_mark(w->tw_past.e, kept);
        rc = node_write(w, true, 0, w->tw_past.e, kept, &past);
        if (rc != EDB_OK)
            return rc;
    }
    return piece_add(w, out, low, born, past);
}

static int leaf_split(writer *w, page_entry *e, size_t n, const page_entry *low, uint64_t born, bool append, pieces *out);

/* Cuts a range by key: in an append pattern into full pages from the left, else in half. */
static int leaf_cut(writer *w, page_entry *e, size_t n, const page_entry *low, uint64_t born, bool append,
                    uint64_t bytes, pieces *out)
{
    size_t begin = 0;
    while (begin < n) {
        size_t end = n;
        if (append) {
            uint64_t filled = 0;
            size_t i = begin;
            for (size_t key = begin; i < n; i++) {
                if (e[i].newest)
                    key = i;
                filled += entry_bytes(&e[i], true, w->tw_fixed);
                if (filled > w->tw_capacity && key > begin) {
                    i = key;
                    break;
                }
            }
            end = i;
            /* A single key with a long chain is left to the time split; what comes after it is not. */
            while (end < n && !e[end].newest)
                end++;
        } else if (begin == 0) {
            end = middle_cut(w, true, e, n, bytes);
        }
        page_entry first = e[begin];
        uint64_t from = begin == 0 ? born : later(born, oldest_from(e + begin, end - begin));
        int rc = leaf_split(w, e + begin, end - begin, begin == 0 ? low : &first, from, append, out);
        if (rc != EDB_OK)
            return rc;
        begin = end;
    }
    return EDB_OK;
}

static int leaf_split(writer *w, page_entry *e, size_t n, const page_entry *low, uint64_t born, bool append, pieces *out)
{
    uint64_t now = w->tw_now;
    if (born == now)
        n = leaf_keep_living(e, n);             /* what ended now is in history already */
    uint64_t bytes = range_bytes(w, true, e, n), limit = w->tw_capacity;
    if (bytes > limit && born < now) {
        uint64_t dead = 0;
        for (size_t i = 0; i < n; i++)
            dead += entry_living(&e[i], true) ? 0 : entry_bytes(&e[i], true, w->tw_fixed);
        if (one_key(e, n) || dead * 100 >= bytes * DEAD_SHARE) {
            bool whole = n == w->tw_leaf_n && out->n == 0;
            int rc = leaf_file(w, e, n, low, born, out);
            if (rc != EDB_OK)
                return rc;
            out->whole = whole && out->n == 1;
            n = leaf_keep_living(e, n);
            born = now;
            bytes = range_bytes(w, true, e, n);
            limit = limit * FILL_SHARE / 100;
        }
    }
    if (n > 0 && bytes > limit && !one_key(e, n))
        return leaf_cut(w, e, n, low, born, append, bytes, out);
    if (leaf_alive(e, n)) {
        page_ref ref;
        int rc = node_write(w, true, 0, e, n, &ref);
        return rc == EDB_OK ? piece_add(w, out, low, born, ref) : rc;
    }
    int rc = born < now ? leaf_file(w, e, n, low, born, out) : EDB_OK;
    return rc == EDB_OK ? piece_add(w, out, low, now, (page_ref){ 0, 0 }) : rc;
}

/* Writes a value too large for a leaf as a chain, last page first; entry->value becomes the pointer to it. */
static int overflow_write(writer *w, page_entry *entry)
{
    uint32_t room = w->tw_page_size - OVERFLOW_DATA, size = entry->value_size;
    page_ref next = { 0, 0 };
    for (uint32_t left = size; left > 0;) {
        uint32_t part = left % room ? left % room : room;
        left -= part;
        memset(w->tw_page, 0, w->tw_page_size);
        w->tw_page[PH_KIND] = PAGE_OVERFLOW;
        store32(w->tw_page + PH_OWNER, w->tw_state->ts_id);
        store32(w->tw_page + PH_COUNT, part);
        store64(w->tw_page + OVERFLOW_NEXT, next.page);
        store32(w->tw_page + OVERFLOW_NEXT + 8, next.tag);
        memcpy(w->tw_page + OVERFLOW_DATA, entry->value + left, part);
        uint64_t page;
        int rc = pager_alloc(w->tw_commit, &page);
        if (rc == EDB_OK)
            rc = pager_write(w->tw_commit, page, w->tw_page, &next);
        if (rc != EDB_OK)
            return rc;
    }
    uint8_t *pointer = arena_alloc(&w->tw_arena, OVERFLOW_SIZE);
    if (!pointer)
        return no_memory();
    store64(pointer, size);
    store64(pointer + 8, next.page);
    store32(pointer + 16, next.tag);
    entry->value = pointer;
    entry->value_size = OVERFLOW_SIZE;
    entry->overflow = true;
    return EDB_OK;
}

/* Whether the change would store what the living entry says already. */
static int change_is_same(writer *w, const page_entry *living, const tree_change *c, bool *same)
{
    tree_version v = { .value = living->value, .value_size = living->value_size, .overflow = living->overflow };
    *same = false;
    if (tree_overflow_size(&v) != c->value_size)
        return EDB_OK;
    if (!living->overflow) {
        *same = c->value_size == 0 || memcmp(living->value, c->value, c->value_size) == 0;
        return EDB_OK;
    }
    uint8_t *copy = malloc(c->value_size);
    if (!copy)
        return no_memory();
    int rc = tree_overflow_read(w->tw_pager, &v, 0, copy, c->value_size);
    *same = rc == EDB_OK && memcmp(copy, c->value, c->value_size) == 0;
    free(copy);
    return rc;
}

/* One change against the versions its key has (n of them, newest first). -> *added: it makes a new version. */
static int change_make(writer *w, const page_entry *versions, size_t n, const tree_change *c, page_entry *entry,
                       bool *added)
{
    bool living = n > 0 && !versions[0].tombstone, same = false;
    *added = false;
    if (c->tombstone && !living)
        return EDB_OK;
    if (!c->tombstone && living && !c->always) {
        int rc = change_is_same(w, &versions[0], c, &same);
        if (rc != EDB_OK || same)
            return rc;
    }
    *entry = (page_entry){ .key = c->key, .key_size = c->key_size, .value = c->value, .value_size = c->value_size,
                           .from = w->tw_now, .tombstone = c->tombstone, .newest = true };
    if (c->tombstone)
        entry->value_size = 0;
    w->tw_state->ts_live += (c->tombstone ? 0 : 1);
    w->tw_state->ts_live -= (living ? 1 : 0);
    *added = true;
    if (entry_bytes(entry, true, w->tw_fixed) + SLOT_DEAD - SLOT_LIVE > w->tw_capacity / 4)
        return overflow_write(w, entry);
    return EDB_OK;
}

/* Merges changes into the sorted entries of a leaf. *added: new versions made. */
static int leaf_merge(writer *w, const page_entry *old, size_t n_old, const tree_change *c, size_t n, size_t *n_out,
                      size_t *added)
{
    int rc = buffer_room(&w->tw_new, n_old + n);
    if (rc != EDB_OK)
        return rc;
    page_entry *to = w->tw_new.e;
    size_t i = 0, out = 0;
    *added = 0;
    for (size_t k = 0; k < n; k++) {
        int order = 1;
        while (i < n_old && (order = key_compare(old[i].key, old[i].key_size, c[k].key, c[k].key_size)) < 0)
            to[out++] = old[i++];
        size_t versions = 0;
        if (i < n_old && order == 0)
            for (versions = 1; i + versions < n_old && !old[i + versions].newest; versions++)
                ;
        bool makes;
        rc = change_make(w, old + i, versions, &c[k], &to[out], &makes);
        if (rc != EDB_OK)
            return rc;
        size_t first = out + makes;
        *added += makes;
        for (out = first; versions > 0; versions--)
            to[out++] = old[i++];
        if (makes && first < out)
            to[first].newest = false;
    }
    while (i < n_old)
        to[out++] = old[i++];
    *n_out = out;
    return EDB_OK;
}

/* ref page 0: the range was empty; a new leaf begins here. *changed false: nothing to do after all. */
static int apply_leaf(writer *w, page_ref ref, const uint8_t *page, uint64_t born, const tree_change *c, size_t n,
                      bool is_root, bool rightmost, pieces *out, bool *changed)
{
    size_t n_old = 0, n_new = 0, added = 0;
    int rc = EDB_OK;
    if (page) {
        rc = buffer_room(&w->tw_old, page_live(page) + page_dead(page));
        if (rc != EDB_OK)
            return rc;
        n_old = page_entries(page, w->tw_old.e);
    }
    rc = leaf_merge(w, w->tw_old.e, n_old, c, n, &n_new, &added);
    *changed = added > 0;
    if (rc != EDB_OK || !added)
        return rc;

    page_entry *e = w->tw_new.e;
    bool append = rightmost && e[n_new - 1].from == w->tw_now && e[n_new - 1].newest;
    w->tw_leaf = ref;
    w->tw_leaf_n = n_new;
    w->tw_in_place = page && !pager_is_private(w->tw_commit, page);
    w->tw_kept = false;
    if (is_root && !leaf_alive(e, n_new) && range_bytes(w, true, e, n_new) <= w->tw_capacity) {
        page_ref empty;
        rc = node_write(w, true, 0, e, n_new, &empty);      /* an emptied root stays a leaf */
        if (rc == EDB_OK)
            rc = piece_add(w, out, NULL, born, empty);
    } else {
        rc = leaf_split(w, e, n_new, NULL, born, append, out);
    }
    if (rc == EDB_OK && page && !w->tw_kept)
        rc = pager_free(w->tw_commit, ref);
    return rc;
}

/* ---- interior nodes ------------------------------------------------------------------------------------------------ */

static bool child_living(const page_entry *e)
{
    return e->newest && e->child.page;
}

static bool interior_alive(const page_entry *e, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (child_living(&e[i]))
            return true;
    return false;
}

/* As late as the oldest living child allows. */
static uint64_t interior_moment(const writer *w, const page_entry *e, size_t n)
{
    uint64_t moment = UINT64_MAX;
    for (size_t i = 0; i < n; i++)
        if (child_living(&e[i]) && e[i].from < moment)
            moment = e[i].from;
    return moment == UINT64_MAX ? w->tw_now : moment;
}

/* Whether the current page keeps entry i when what ended by `moment` moves to history: it ends later, and it is not a
 * separator of an empty range (the lowest stays, so that every key has a place). */
static bool interior_survives(const page_entry *e, size_t i, uint64_t moment)
{
    uint64_t end = e[i].newest ? UINT64_MAX : e[i - 1].from;
    return end > moment && (e[i].child.page || e[i].from > moment || entry_same_key(&e[i], &e[0]));
}

static uint64_t interior_freed(const writer *w, const page_entry *e, size_t n, uint64_t moment, uint64_t *past)
{
    uint64_t freed = 0;
    *past = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bytes = entry_bytes(&e[i], false, w->tw_fixed);
        freed += interior_survives(e, i, moment) ? 0 : bytes;
        *past += e[i].from < moment ? bytes : 0;
    }
    return freed;
}

/* How late a history page may end at the most, so that the entries before it fit. */
static uint64_t interior_fitting(const writer *w, const page_entry *e, size_t n, uint64_t moment)
{
    uint64_t fitting = moment;
    for (;;) {
        uint64_t bytes = 0, latest = 0;
        for (size_t i = 0; i < n; i++)
            if (e[i].from < fitting) {
                bytes += entry_bytes(&e[i], false, w->tw_fixed);
                latest = later(latest, e[i].from);
            }
        if (bytes <= w->tw_capacity)
            return fitting;
        fitting = latest;
    }
}

/* The entries before `moment` become history under (low, born): one page, or, where a single key has more of them than
 * a page holds, several that follow each other in time. */
static int interior_file(writer *w, const page_entry *e, size_t n, unsigned level, uint64_t moment,
                         const page_entry *low, uint64_t born, pieces *out)
{
    page_entry *past = arena_alloc(&w->tw_arena, n * sizeof *past);
    if (!past)
        return no_memory();
    for (;;) {
        uint64_t until = interior_fitting(w, e, n, moment);
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (e[i].from < until && (e[i].newest || e[i - 1].from > born))
                past[kept++] = e[i];
        assert(until > born && kept > 0);
        entries_mark(past, kept);
        page_ref ref;
        int rc = node_write(w, false, level, past, kept, &ref);
        if (rc == EDB_OK)
            rc = piece_add(w, out, low, born, ref);
        if (rc != EDB_OK || until == moment)
            return rc;
        page_entry *rest = arena_alloc(&w->tw_arena, n * sizeof *rest);
        if (!rest)
            return no_memory();
        size_t m = 0;
        for (size_t i = 0; i < n; i++)
            if (e[i].newest || e[i - 1].from > until)
                rest[m++] = e[i];
        entries_mark(rest, m);
        e = rest;
        n = m;
        born = until;
    }
}

/* Which history pages answered over time for the key of e[cut], as entries under that key, into `out` (newest first);
 * -> how many. At a moment the largest separator <= key that existed then covers it. Current pages of smaller keys are
 * left out: they hold nothing from the key on. */
static size_t coverage(const page_entry *e, size_t cut, page_entry *out)
{
    const page_entry *middle = &e[cut];
    size_t n = 0;
    uint64_t high = UINT64_MAX;
    /* First the key itself, all its versions; then smaller keys, each for the time before the ones after it existed. */
    for (size_t first = cut; high > 0;) {
        size_t last = first + 1;
        while (!e[first].newest)
            first--;
        if (first == cut)
            for (last = cut + 1; !e[last].newest; last++)
                ;                                       /* a sentinel follows: see interior_cut */
        for (size_t i = first; i < last; i++) {
            if (e[i].from >= high)
                continue;
            out[n] = e[i];
            out[n].key = middle->key;
            out[n].key_size = middle->key_size;
            if (first != cut && child_living(&e[i]))
                out[n].child = (page_ref){ 0, 0 };
            n++;
        }
        high = e[last - 1].from < high ? e[last - 1].from : high;
        if (first == 0)
            break;
        first--;
    }
    /* Of neighbours with the same child the older stays; the oldest ones that say nothing go. */
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (i + 1 == n || out[i].child.page != out[i + 1].child.page)
            out[kept++] = out[i];
    while (kept > 1 && out[kept - 1].child.page == 0)
        kept--;
    return kept;
}

static int interior_split(writer *w, page_entry *e, size_t n, unsigned level, const page_entry *low, uint64_t born,
                          bool whole, pieces *out);

static int interior_cut(writer *w, page_entry *e, size_t n, unsigned level, const page_entry *low, uint64_t born,
                        uint64_t bytes, pieces *out)
{
    size_t cut = middle_cut(w, false, e, n, bytes), after = cut + 1;
    while (after < n && !e[after].newest)
        after++;
    page_entry *right = arena_alloc(&w->tw_arena, (n + 1) * sizeof *right);
    if (!right)
        return no_memory();
    page_entry saved = { 0 };
    if (after < n)
        saved = e[after];
    e[after].newest = true;                             /* the sentinel coverage() stops at: e has room for n + 1 */
    size_t n_right = coverage(e, cut, right);
    if (after < n)
        e[after] = saved;
    memcpy(right + n_right, e + after, (n - after) * sizeof *right);
    n_right += n - after;
    entries_mark(right, n_right);
    page_entry first = right[0];
    uint64_t right_born = later(born, oldest_from(right, n_right));
    int rc = interior_split(w, e, cut, level, low, born, false, out);
    return rc == EDB_OK ? interior_split(w, right, n_right, level, &first, right_born, false, out) : rc;
}

/* e has room for one entry more than n. */
static int interior_split(writer *w, page_entry *e, size_t n, unsigned level, const page_entry *low, uint64_t born,
                          bool whole, pieces *out)
{
    uint64_t bytes = range_bytes(w, false, e, n), limit = w->tw_capacity;
    if (bytes > limit) {
        uint64_t moment = interior_moment(w, e, n), past = 0;
        uint64_t freed = moment > born ? interior_freed(w, e, n, moment, &past) : 0;
        bool alone = one_key(e, n);
        if (moment > born && (alone || (past <= w->tw_capacity && freed * 100 >= bytes * DEAD_SHARE))) {
            int rc = interior_file(w, e, n, level, moment, low, born, out);
            if (rc != EDB_OK)
                return rc;
            out->whole = out->whole || (whole && out->n == 1);
            page_entry *kept = arena_alloc(&w->tw_arena, (n + 1) * sizeof *kept);
            if (!kept)
                return no_memory();
            size_t m = 0;
            for (size_t i = 0; i < n; i++)
                if (interior_survives(e, i, moment))
                    kept[m++] = e[i];
            entries_mark(kept, m);
            e = kept;
            n = m;
            born = moment;
            bytes = range_bytes(w, false, e, n);
            limit = limit * FILL_SHARE / 100;
        }
        if (bytes > limit && !one_key(e, n))
            return interior_cut(w, e, n, level, low, born, bytes, out);
    }
    if (interior_alive(e, n)) {
        page_ref ref;
        int rc = node_write(w, false, level, e, n, &ref);
        return rc == EDB_OK ? piece_add(w, out, low, born, ref) : rc;
    }
    int rc = EDB_OK;
    if (born < w->tw_now) {
        rc = interior_file(w, e, n, level, UINT64_MAX, low, born, out);
        out->whole = out->whole || (whole && out->n == 1);
    }
    return rc == EDB_OK ? piece_add(w, out, low, w->tw_now, (page_ref){ 0, 0 }) : rc;
}

typedef struct {            /* a child that changed: its index in the first directory, and what replaces it */
    unsigned slot;
    pieces with;
} changed_child;

static int entry_order(const page_entry *a, const page_entry *b)
{
    int c = key_compare(a->key, a->key_size, b->key, b->key_size);
    return c ? c : (a->from < b->from) - (a->from > b->from);
}

/* Pieces as entries under the key of the node they replace, sorted: keys ascend already, of one key the newest is last. */
static size_t pieces_entries(const pieces *from, const uint8_t *key, uint32_t key_size, page_entry *out)
{
    size_t n = 0;
    for (size_t i = 0; i < from->n;) {
        size_t end = i + 1;
        while (end < from->n && (from->p[end].low == NULL
                                 || (from->p[i].low && from->p[i].low_size == from->p[end].low_size
                                     && memcmp(from->p[i].low, from->p[end].low, from->p[i].low_size) == 0)))
            end++;
        for (size_t k = end; k-- > i; n++) {
            const piece *p = &from->p[k];
            out[n] = (page_entry){ .key = p->low ? p->low : key, .key_size = p->low ? p->low_size : key_size,
                                   .child = p->ref, .from = p->from };
        }
        i = end;
    }
    return n;
}

/* The entries of a node after its changed children were replaced: old ones and pieces, merged; of two with the same
 * (key, from) the piece stays. Allocated in the arena, with room for one more. */
static int interior_merge(writer *w, const uint8_t *page, const changed_child *changed, size_t n_changed,
                          page_entry **out, size_t *n_out)
{
    size_t n_old = page_live(page) + page_dead(page), n_new = 0, most = 0;
    for (size_t i = 0; i < n_changed; i++)
        most += changed[i].with.n;
    page_entry *old = arena_alloc(&w->tw_arena, n_old * sizeof *old);
    page_entry *new = arena_alloc(&w->tw_arena, (most + 1) * sizeof *new);
    page_entry *all = arena_alloc(&w->tw_arena, (n_old + most + 1) * sizeof *all);
    if (!old || !new || !all)
        return no_memory();
    n_old = page_entries(page, old);
    size_t at = 0, kept = 0, k = 0;
    unsigned living = 0;                                /* index of the next newest entry in the first directory */
    for (; at < n_old; at++) {
        bool replaced = false;
        if (old[at].newest) {
            if (k < n_changed && changed[k].slot == living) {
                n_new += pieces_entries(&changed[k].with, old[at].key, old[at].key_size, new + n_new);
                replaced = old[at].child.page != 0;     /* the mark of an empty range stays, as history */
                k++;
            }
            living++;
        }
        if (!replaced)
            old[kept++] = old[at];
    }
    size_t i = 0, j = 0, n = 0;
    while (i < kept || j < n_new) {
        int c = i == kept ? 1 : j == n_new ? -1 : entry_order(&old[i], &new[j]);
        if (c == 0)
            i++;
        all[n++] = c < 0 ? old[i++] : new[j++];
    }
    entries_mark(all, n);
    *out = all;
    *n_out = n;
    return EDB_OK;
}

static int apply_node(writer *w, page_ref ref, unsigned above, uint64_t born, const tree_change *c, size_t n,
                      bool is_root, bool rightmost, pieces *out, bool *changed);

/* Applies the changes to the children they fall into. *list: those that changed, by slot. */
static int apply_children(writer *w, const uint8_t *page, const tree_change *c, size_t n, bool rightmost,
                          changed_child **list, size_t *n_list)
{
    unsigned live = page_live(page);
    const uint64_t *slots = page_live_slots(page);
    size_t room = n < live ? n : live;
    *list = arena_alloc(&w->tw_arena, room * sizeof **list);
    if (!*list)
        return no_memory();
    *n_list = 0;
    for (size_t i = 0; i < n;) {
        unsigned slot = page_search(page, slots, live, 1, c[i].key, c[i].key_size, true);
        slot -= slot > 0;
        size_t end = i + 1;
        if (slot + 1 < live) {
            const uint8_t *next;
            uint32_t next_size;
            cell_key(page + slot_offset(slots[slot + 1]), w->tw_fixed, &next, &next_size);
            while (end < n && key_compare(c[end].key, c[end].key_size, next, next_size) < 0)
                end++;
        } else {
            end = n;
        }
        page_ref child = cell_child(page + slot_offset(slots[slot]), w->tw_fixed);
        uint64_t born = child.page ? slot_from(slots[slot]) : w->tw_now;
        changed_child *into = &(*list)[*n_list];
        bool changed;
        *into = (changed_child){ .slot = slot };
        int rc = apply_node(w, child, page_level(page), born, c + i, end - i, false, rightmost && slot + 1 == live,
                            &into->with, &changed);
        if (rc != EDB_OK)
            return rc;
        *n_list += changed;
        i = end;
    }
    return EDB_OK;
}

/* The common case: every changed child is one page again, under the entry it had. The node is copied and its pointers
 * are changed in place. */
static bool only_pointers(const uint8_t *page, const changed_child *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const pieces *with = &list[i].with;
        if (with->n != 1 || with->p[0].low || with->p[0].ref.page == 0
            || with->p[0].from != slot_from(page_live_slots(page)[list[i].slot]))
            return false;
    }
    return true;
}

static int copy_pointers(writer *w, const uint8_t *page, const changed_child *list, size_t n, page_ref *out)
{
    memcpy(w->tw_page, page, w->tw_page_size);
    for (size_t i = 0; i < n; i++) {
        unsigned offset = slot_offset(page_live_slots(page)[list[i].slot]);
        const uint8_t *key;
        uint32_t key_size;
        size_t at = (size_t)(cell_key(page + offset, w->tw_fixed, &key, &key_size) - page);
        store40(w->tw_page + at, list[i].with.p[0].ref.page);
        store32(w->tw_page + at + 5, list[i].with.p[0].ref.tag);
    }
    uint64_t number;
    int rc = pager_alloc(w->tw_commit, &number);
    return rc == EDB_OK ? pager_write(w->tw_commit, number, w->tw_page, out) : rc;
}

static int apply_interior(writer *w, page_ref ref, const uint8_t *page, uint64_t born, const tree_change *c, size_t n,
                          bool is_root, bool rightmost, pieces *out, bool *changed)
{
    changed_child *list = NULL;
    size_t n_list = 0;
    unsigned level = page_level(page);
    int rc = apply_children(w, page, c, n, rightmost, &list, &n_list);
    *changed = rc == EDB_OK && n_list > 0;
    if (!*changed)
        return rc;
    if (only_pointers(page, list, n_list)) {
        page_ref copy;
        rc = copy_pointers(w, page, list, n_list, &copy);
        if (rc == EDB_OK)
            rc = piece_add(w, out, NULL, born, copy);
    } else {
        page_entry *e = NULL;
        size_t n_e = 0;
        rc = interior_merge(w, page, list, n_list, &e, &n_e);
        if (rc == EDB_OK)
            rc = interior_split(w, e, n_e, level, NULL, born, is_root, out);
    }
    return rc == EDB_OK ? pager_free(w->tw_commit, ref) : rc;
}

static bool is_node(const writer *w, const uint8_t *page)
{
    return (page[PH_KIND] == PAGE_LEAF || page[PH_KIND] == PAGE_INTERIOR) && load16(page + TP_KEY_SIZE) == w->tw_fixed;
}

static int not_a_node(const writer *w, page_ref ref)
{
    return edb_fail(EDB_CORRUPT, "%s: page %llu is not the tree node that its parent points to; restore a backup",
                    pager_name(w->tw_pager), (unsigned long long)ref.page);
}

static int apply_node(writer *w, page_ref ref, unsigned above, uint64_t born, const tree_change *c, size_t n,
                      bool is_root, bool rightmost, pieces *out, bool *changed)
{
    const uint8_t *page = NULL;
    if (ref.page) {
        int rc = pager_page(w->tw_pager, w->tw_view, ref, 0, &page);
        if (rc != EDB_OK)
            return rc;
        if (!is_node(w, page) || page_level(page) >= above)
            return not_a_node(w, ref);
        if (page[PH_KIND] == PAGE_INTERIOR)
            return apply_interior(w, ref, page, born, c, n, is_root, rightmost, out, changed);
    }
    return apply_leaf(w, ref, page, born, c, n, is_root, rightmost, out, changed);
}

/* ---- roots ---------------------------------------------------------------------------------------------------------- */

static int root_file(writer *w, uint64_t since, page_ref root)
{
    tree_state *s = w->tw_state;
    if (s->ts_n_recent == TREE_ROOTS) {
        uint8_t elements[TREE_ROOTS * ROOT_SIZE] = { 0 };
        for (uint32_t i = 0; i < TREE_ROOTS; i++) {
            store64(elements + i * ROOT_SIZE, s->ts_recent[i].since);
            store64(elements + i * ROOT_SIZE + 8, s->ts_recent[i].root.page);
            store32(elements + i * ROOT_SIZE + 16, s->ts_recent[i].root.tag);
        }
        int rc = array_set(w->tw_commit, &s->ts_roots, s->ts_id, ROOT_SIZE, s->ts_roots.ar_count, elements, TREE_ROOTS);
        if (rc != EDB_OK)
            return rc;
        s->ts_n_recent = 0;
    }
    s->ts_recent[s->ts_n_recent++] = (tree_root){ since, root };
    return EDB_OK;
}

/* A root with a single child that is as old as itself hands the tree over to it. */
static int root_lower(writer *w)
{
    tree_state *s = w->tw_state;
    for (;;) {
        const uint8_t *page;
        int rc = pager_page(w->tw_pager, w->tw_view, s->ts_root, 0, &page);
        if (rc != EDB_OK)
            return rc;
        if (!is_node(w, page))
            return not_a_node(w, s->ts_root);
        if (page_is_leaf(page) || page_live(page) + page_dead(page) != 1)
            return EDB_OK;
        uint64_t slot = page_live_slots(page)[0];
        page_ref child = cell_child(page + slot_offset(slot), w->tw_fixed);
        if (!child.page || slot_from(slot) > s->ts_since)
            return EDB_OK;
        rc = pager_free(w->tw_commit, s->ts_root);
        if (rc != EDB_OK)
            return rc;
        s->ts_root = child;
    }
}

static const uint8_t lowest_key[8];

/* Puts the pieces of a root that was split by key under a new root; it may need splitting itself. */
static int root_grow(writer *w, pieces *split, unsigned level)
{
    tree_state *s = w->tw_state;
    if (split->whole) {                                 /* the past of all of it stays a root of its own time */
        int rc = root_file(w, s->ts_since, split->p[0].ref);
        if (rc != EDB_OK)
            return rc;
        split->p++;
        split->n--;
        uint64_t since = UINT64_MAX;
        for (size_t i = 0; i < split->n; i++)
            if (!split->p[i].low && split->p[i].from < since)
                since = split->p[i].from;
        s->ts_since = since;
    }
    page_entry *e = arena_alloc(&w->tw_arena, (split->n + 1) * sizeof *e);
    if (!e)
        return no_memory();
    size_t n = pieces_entries(split, lowest_key, w->tw_fixed, e);
    entries_mark(e, n);
    *split = (pieces){ 0 };
    return interior_split(w, e, n, level, NULL, s->ts_since, true, split);
}

static int root_replace(writer *w, pieces *split, unsigned level)
{
    tree_state *s = w->tw_state;
    for (;;) {
        bool by_key = false;
        for (size_t i = 0; i < split->n; i++)
            by_key = by_key || split->p[i].low;
        if (!by_key)
            break;
        int rc = root_grow(w, split, ++level);
        if (rc != EDB_OK)
            return rc;
    }
    for (size_t i = 0; i < split->n; i++) {             /* split by time, or not at all */
        if (i > 0) {
            int rc = root_file(w, s->ts_since, s->ts_root);
            if (rc != EDB_OK)
                return rc;
        }
        s->ts_since = split->p[i].from;
        s->ts_root = split->p[i].ref;
        if (!s->ts_root.page) {
            int rc = node_write(w, true, 0, NULL, 0, &s->ts_root);
            if (rc != EDB_OK)
                return rc;
        }
    }
    return root_lower(w);
}

/* ---- entry points --------------------------------------------------------------------------------------------------- */

static int writer_open(writer *w, pager_commit *pc, tree_state *state)
{
    pager *pg = pager_commit_pager(pc);
    *w = (writer){ .tw_commit = pc, .tw_pager = pg, .tw_view = pager_get_view(pg), .tw_state = state,
                   .tw_now = pager_commit_number(pc), .tw_page_size = pager_page_size(pg),
                   .tw_fixed = state->ts_key_size };
    w->tw_capacity = w->tw_page_size - TP_SLOTS;
    arena_init(&w->tw_arena);
    w->tw_page = aligned_alloc(64, w->tw_page_size);
    return w->tw_page ? EDB_OK : no_memory();
}

static void writer_close(writer *w)
{
    arena_free(&w->tw_arena);
    free(w->tw_page);
    free(w->tw_old.e);
    free(w->tw_new.e);
    free(w->tw_past.e);
}

uint32_t tree_key_max(uint32_t page_size)
{
    return (page_size - TP_SLOTS) / 4 - 40;             /* an overflow pointer fits beside the largest key */
}

int tree_create(pager_commit *pc, uint32_t id, uint8_t key_size, tree_state *out)
{
    writer w;
    uint64_t now = pager_commit_number(pc);
    tree_state state = { .ts_id = id, .ts_key_size = key_size, .ts_since = now, .ts_born = now, .ts_changed = now,
                         .ts_next_id = 1 };
    int rc = writer_open(&w, pc, &state);
    if (rc == EDB_OK)
        rc = node_write(&w, true, 0, NULL, 0, &state.ts_root);
    writer_close(&w);
    if (rc == EDB_OK)
        *out = state;
    return rc;
}

int tree_apply(pager_commit *pc, tree_state *state, const tree_change *changes, size_t n)
{
    writer w;
    pieces split = { 0 };
    bool changed = false;
    tree_state before = *state;
    if (n == 0)
        return EDB_OK;
    int rc = writer_open(&w, pc, state);
    if (rc != EDB_OK)
        goto done;
    for (size_t i = 0; i < n; i++) {
        assert(changes[i].key_size <= tree_key_max(w.tw_page_size));
        /* The catalog and the tree's state disagree: one of them is damaged. */
        if (w.tw_fixed && changes[i].key_size != w.tw_fixed) {
            rc = edb_fail(EDB_CORRUPT, "%s: tree %u says that its keys have %u bytes, which those of its index have not; "
                          "restore a backup", pager_name(w.tw_pager), state->ts_id, w.tw_fixed);
            goto done;
        }
    }
    const uint8_t *page;
    rc = pager_page(w.tw_pager, w.tw_view, state->ts_root, 0, &page);
    if (rc != EDB_OK)
        goto done;
    unsigned level = page_level(page);
    rc = apply_node(&w, state->ts_root, 256, state->ts_since, changes, n, true, true, &split, &changed);
    if (rc == EDB_OK && changed) {
        state->ts_changed = w.tw_now;
        rc = root_replace(&w, &split, level);
    }
done:
    writer_close(&w);
    if (rc != EDB_OK)
        *state = before;
    return rc;
}

/* ---- states --------------------------------------------------------------------------------------------------------- */

void tree_state_store(uint8_t out[TREE_STATE_SIZE], const tree_state *s)
{
    memset(out, 0, TREE_STATE_SIZE);
    store64(out, s->ts_root.page);
    store32(out + 8, s->ts_root.tag);
    out[12] = s->ts_key_size;
    out[13] = (uint8_t)s->ts_n_recent;
    store64(out + 16, s->ts_since);
    store64(out + 24, s->ts_born);
    store64(out + 32, s->ts_live);
    store64(out + 40, s->ts_next_id);
    for (uint32_t i = 0; i < s->ts_n_recent; i++) {
        store64(out + 48 + 20 * i, s->ts_recent[i].since);
        store64(out + 56 + 20 * i, s->ts_recent[i].root.page);
        store32(out + 64 + 20 * i, s->ts_recent[i].root.tag);
    }
    store64(out + 88, s->ts_roots.ar_root.page);
    store64(out + 96, s->ts_roots.ar_count);
    store32(out + 104, s->ts_roots.ar_root.tag);
    store32(out + 108, s->ts_roots.ar_levels);
    store64(out + 112, s->ts_changed);
}

void tree_state_load(tree_state *s, uint32_t id, const uint8_t in[TREE_STATE_SIZE])
{
    *s = (tree_state){ .ts_id = id };
    s->ts_root = (page_ref){ load64(in), load32(in + 8) };
    s->ts_key_size = in[12] == 8 ? 8 : 0;
    s->ts_n_recent = in[13] <= TREE_ROOTS ? in[13] : TREE_ROOTS;
    s->ts_since = load64(in + 16);
    s->ts_born = load64(in + 24);
    s->ts_live = load64(in + 32);
    s->ts_next_id = load64(in + 40);
    for (uint32_t i = 0; i < s->ts_n_recent; i++)
        s->ts_recent[i] = (tree_root){ load64(in + 48 + 20 * i), { load64(in + 56 + 20 * i), load32(in + 64 + 20 * i) } };
    s->ts_roots.ar_root = (page_ref){ load64(in + 88), load32(in + 104) };
    s->ts_roots.ar_count = load64(in + 96);
    s->ts_roots.ar_levels = load32(in + 108);
    s->ts_changed = load64(in + 112);
}

int tree_state_get(pager *pg, const snapshot *sn, uint32_t id, tree_state *out)
{
    const uint8_t *element = NULL;
    if (id < sn->sn_trees.ar_count) {
        int rc = array_get(pg, &sn->sn_trees, TREE_STATE_SIZE, id, &element);
        if (rc != EDB_OK)
            return rc;
    }
    if (!element || load64(element) == 0)
        return edb_fail(EDB_NOSUCH, "there is no tree %u at commit %llu", id, (unsigned long long)sn->sn_number);
    tree_state_load(out, id, element);
    return EDB_OK;
}
