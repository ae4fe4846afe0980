/* Interior nodes: children that changed replaced by their pieces, and what then stands in the node's place.
 *
 * An interior node is split by time no later than its oldest living child allows, so that history refers only to
 * history; or by key, where a history child that straddles the cut is entered on both sides. tree_write.c has the
 * rules, engine/tree/README.md the drawings. */
#include "engine/tree/tree_pieces.h"

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
        return writer_no_memory();
    for (;;) {
        uint64_t until = interior_fitting(w, e, n, moment);
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (e[i].from < until && (e[i].newest || e[i - 1].from > born))
                past[kept++] = e[i];
        assert(until > born && kept > 0);
        entries_mark(past, kept);
        page_ref ref;
        int rc = writer_node(w, false, level, past, kept, &ref);
        if (rc == EDB_OK)
            rc = cold_give(w->tw_commit, w->tw_state->ts_id, &ref);
        if (rc == EDB_OK)
            rc = pieces_add(w, out, low, born, ref);
        if (rc != EDB_OK || until == moment)
            return rc;
        page_entry *rest = arena_alloc(&w->tw_arena, n * sizeof *rest);
        if (!rest)
            return writer_no_memory();
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

static int interior_cut(writer *w, page_entry *e, size_t n, unsigned level, const page_entry *low, uint64_t born,
                        uint64_t bytes, pieces *out)
{
    size_t cut = entries_middle(w, false, e, n, bytes), after = cut + 1;

    while (after < n && !e[after].newest)
        after++;
    page_entry *right = arena_alloc(&w->tw_arena, (n + 1) * sizeof *right);
    if (!right)
        return writer_no_memory();
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
    uint64_t right_born = later(born, entries_oldest(right, n_right));
    int rc = interior_split(w, e, cut, level, low, born, false, out);
    return rc == EDB_OK ? interior_split(w, right, n_right, level, &first, right_born, false, out) : rc;
}

int interior_split(writer *w, page_entry *e, size_t n, unsigned level, const page_entry *low, uint64_t born,
                   bool whole, pieces *out)
{
    uint64_t bytes = entries_bytes(w, false, e, n), limit = w->tw_capacity;

    if (bytes > limit) {
        uint64_t moment = interior_moment(w, e, n), past = 0;
        uint64_t freed = moment > born ? interior_freed(w, e, n, moment, &past) : 0;
        bool alone = entries_one_key(e, n);
        if (moment > born && (alone || (past <= w->tw_capacity && freed * 100 >= bytes * DEAD_SHARE))) {
            int rc = interior_file(w, e, n, level, moment, low, born, out);
            if (rc != EDB_OK)
                return rc;
            out->whole = out->whole || (whole && out->n == 1);
            page_entry *kept = arena_alloc(&w->tw_arena, (n + 1) * sizeof *kept);
            if (!kept)
                return writer_no_memory();
            size_t m = 0;
            for (size_t i = 0; i < n; i++)
                if (interior_survives(e, i, moment))
                    kept[m++] = e[i];
            entries_mark(kept, m);
            e = kept;
            n = m;
            born = moment;
            bytes = entries_bytes(w, false, e, n);
            limit = limit * FILL_SHARE / 100;
        }
        if (bytes > limit && !entries_one_key(e, n))
            return interior_cut(w, e, n, level, low, born, bytes, out);
    }
    if (interior_alive(e, n)) {
        page_ref ref;
        int rc = writer_node(w, false, level, e, n, &ref);
        return rc == EDB_OK ? pieces_add(w, out, low, born, ref) : rc;
    }
    int rc = EDB_OK;
    if (born < w->tw_now) {
        rc = interior_file(w, e, n, level, UINT64_MAX, low, born, out);
        out->whole = out->whole || (whole && out->n == 1);
    }
    return rc == EDB_OK ? pieces_add(w, out, low, w->tw_now, (page_ref){ 0, 0 }) : rc;
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
        return writer_no_memory();
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

/* Applies the changes to the children they fall into. *list: those that changed, by slot. */
static int apply_children(writer *w, const uint8_t *page, const tree_change *c, size_t n, bool rightmost,
                          changed_child **list, size_t *n_list)
{
    unsigned live = page_live(page);
    const uint64_t *slots = page_live_slots(page);
    size_t room = n < live ? n : live;

    *list = arena_alloc(&w->tw_arena, room * sizeof **list);
    if (!*list)
        return writer_no_memory();
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
        int rc = node_apply(w, child, page_level(page), born, c + i, end - i, false, rightmost && slot + 1 == live,
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
    int rc = page_begin(w);

    if (rc != EDB_OK)
        return rc;
    memcpy(w->tw_page, page, w->tw_page_size);
    for (size_t i = 0; i < n; i++) {
        unsigned offset = slot_offset(page_live_slots(page)[list[i].slot]);
        const uint8_t *key;
        uint32_t key_size;
        size_t at = (size_t)(cell_key(page + offset, w->tw_fixed, &key, &key_size) - page);
        store40(w->tw_page + at, list[i].with.p[0].ref.page);
        store32(w->tw_page + at + 5, list[i].with.p[0].ref.tag);
    }
    return page_end(w, out);
}

int interior_apply(writer *w, page_ref ref, const uint8_t *page, uint64_t born, const tree_change *c, size_t n,
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
            rc = pieces_add(w, out, NULL, born, copy);
    } else {
        page_entry *e = NULL;
        size_t n_e = 0;
        rc = interior_merge(w, page, list, n_list, &e, &n_e);
        if (rc == EDB_OK)
            rc = interior_split(w, e, n_e, level, NULL, born, is_root, out);
    }
    return rc == EDB_OK ? pager_free(w->tw_commit, ref) : rc;
}
