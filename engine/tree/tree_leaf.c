/* Leaves: a commit's changes merged into the versions of a leaf, and what then stands in its place.
 *
 * A leaf too full of ended versions becomes history where it stands, and a new page keeps what lives; one too full of
 * life is cut by key; one in which nothing lives any more leaves an empty range. Values too large for a leaf go into
 * chains. tree_write.c has the rules, engine/tree/README.md the drawings. */
#include <stdlib.h>

#include "engine/tree/tree_pieces.h"

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
        int rc = entry_room(&w->tw_past, n);
        if (rc != EDB_OK)
            return rc;
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (e[i].from < w->tw_now)
                w->tw_past.e[kept++] = e[i];
        if (kept == 0)
            return EDB_OK;
        entries_mark(w->tw_past.e, kept);
        rc = writer_node(w, true, 0, w->tw_past.e, kept, &past);
        if (rc != EDB_OK)
            return rc;
    }
    int rc = cold_give(w->tw_commit, w->tw_state->ts_id, &past);
    return rc == EDB_OK ? pieces_add(w, out, low, born, past) : rc;
}

static int leaf_split(writer *w, page_entry *e, size_t n, const page_entry *low, uint64_t born, bool append, pieces *out);

/* Cuts a range by key: in an append pattern into full pages from the left, else in half or behind a run of keys. */
static int leaf_cut(writer *w, page_entry *e, size_t n, const page_entry *low, uint64_t born, bool append,
                    uint64_t bytes, pieces *out)
{
    size_t begin = 0, cut = append ? n : leaf_run_end(w, e, n, entries_middle(w, true, e, n, bytes));

    append = cut == n;
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
            end = cut;
        }
        page_entry first = e[begin];
        uint64_t from = begin == 0 ? born : later(born, entries_oldest(e + begin, end - begin));
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
    uint64_t bytes = entries_bytes(w, true, e, n);
    if (bytes > w->tw_capacity && born < now) {
        uint64_t dead = 0;
        for (size_t i = 0; i < n; i++)
            dead += entry_living(&e[i], true) ? 0 : entry_bytes(&e[i], true, w->tw_fixed);
        if (entries_one_key(e, n) || dead * 100 >= bytes * DEAD_SHARE) {
            bool whole = n == w->tw_leaf_n && out->n == 0;
            int rc = leaf_file(w, e, n, low, born, out);
            if (rc != EDB_OK)
                return rc;
            out->whole = whole && out->n == 1;
            n = leaf_keep_living(e, n);
            born = now;
            bytes = entries_bytes(w, true, e, n);
        }
    }
    if (n > 0 && bytes > w->tw_capacity && !entries_one_key(e, n))
        return leaf_cut(w, e, n, low, born, append, bytes, out);
    if (leaf_alive(e, n)) {
        page_ref ref;
        int rc = writer_node(w, true, 0, e, n, &ref);
        return rc == EDB_OK ? pieces_add(w, out, low, born, ref) : rc;
    }
    int rc = born < now ? leaf_file(w, e, n, low, born, out) : EDB_OK;
    return rc == EDB_OK ? pieces_add(w, out, low, now, (page_ref){ 0, 0 }) : rc;
}

/* Writes a value too large for a leaf as a chain, last page first; entry->value becomes the pointer to it. */
static int overflow_write(writer *w, page_entry *entry)
{
    uint32_t room = w->tw_page_size - OVERFLOW_DATA, size = entry->value_size;
    page_ref next = { 0, 0 };

    for (uint32_t left = size; left > 0;) {
        uint32_t part = left % room ? left % room : room;
        left -= part;
        int rc = page_begin(w);
        if (rc != EDB_OK)
            return rc;
        memset(w->tw_page, 0, w->tw_page_size);
        w->tw_page[PH_KIND] = PAGE_OVERFLOW;
        store32(w->tw_page + PH_OWNER, w->tw_state->ts_id);
        store32(w->tw_page + PH_COUNT, part);
        store64(w->tw_page + OVERFLOW_NEXT, next.page);
        store32(w->tw_page + OVERFLOW_NEXT + 8, next.tag);
        memcpy(w->tw_page + OVERFLOW_DATA, entry->value + left, part);
        rc = page_end(w, &next);
        if (rc != EDB_OK)
            return rc;
    }
    uint8_t *pointer = arena_alloc(&w->tw_arena, OVERFLOW_SIZE);
    if (!pointer)
        return writer_no_memory();
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
        return writer_no_memory();
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
    content_queue_add(&w->tw_made, c);
    if (living && versions[0].overflow) {
        int rc = cold_give_chain(w->tw_commit, w->tw_state->ts_id, overflow_first(versions[0].value), versions[0].from);
        if (rc != EDB_OK)
            return rc;
    }
    if (entry_bytes(entry, true, w->tw_fixed) + SLOT_DEAD - SLOT_LIVE > w->tw_capacity / 4)
        return overflow_write(w, entry);
    return EDB_OK;
}

/* Merges changes into the sorted entries of a leaf. *added: new versions made. */
static int leaf_merge(writer *w, const page_entry *old, size_t n_old, const tree_change *c, size_t n, size_t *n_out,
                      size_t *added)
{
    int rc = entry_room(&w->tw_new, n_old + n);

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

/* The page under construction takes the leaf's place. */
static int leaf_edited(writer *w, page_ref ref, uint64_t born, pieces *out)
{
    page_ref copy;
    int rc = page_end(w, &copy);

    if (rc == EDB_OK)
        rc = pieces_add(w, out, NULL, born, copy);
    return rc == EDB_OK ? pager_free(w->tw_commit, ref) : rc;
}

int leaf_apply(writer *w, page_ref ref, const uint8_t *page, uint64_t born, const tree_change *c, size_t n,
               bool is_root, bool rightmost, pieces *out, bool *changed)
{
    size_t n_old = 0, n_new = 0, added = 0;
    int rc = EDB_OK;

    if (page && n == 1) {
        rc = leaf_edit_one(w, page, born, c, changed);
        if (rc != EDB_OK || *changed)
            return rc != EDB_OK ? rc : leaf_edited(w, ref, born, out);
    }
    if (page) {
        rc = entry_room(&w->tw_old, page_live(page) + page_dead(page));
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
    if (is_root && !leaf_alive(e, n_new) && entries_bytes(w, true, e, n_new) <= w->tw_capacity) {
        page_ref empty;
        rc = writer_node(w, true, 0, e, n_new, &empty);      /* an emptied root stays a leaf */
        if (rc == EDB_OK)
            rc = pieces_add(w, out, NULL, born, empty);
    } else {
        rc = leaf_split(w, e, n_new, NULL, born, append, out);
    }
    if (rc == EDB_OK && page && !w->tw_kept)
        rc = pager_free(w->tw_commit, ref);
    return rc;
}
