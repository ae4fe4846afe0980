/* Walking a whole tree and judging every node: the invariants I12 to I21 of engine/tree/README.md, and of I1 what a file shows:
 * since no page changes while anything refers to it, none is younger than the page that refers to it.
 *
 * Each root is walked from the top. A page reached through the newest entries of current nodes is current, everything
 * else is history; a history page may be reached many times and is judged once. */
#include <stdlib.h>

#include "engine/tree/page.h"

typedef struct {
    uint8_t *snp_of;                 /* per page: SEEN_... */
    uint64_t snp_n;
} seen_pages;

typedef struct {
    pager *cw_pager;
    const tree_state *cw_state;
    const tree_checker *cw_checker;
    seen_pages cw_seen[2];          /* those of the file, those in memory */
    uint64_t cw_live;               /* living entries of current leaves */
    uint64_t cw_latest;             /* no version may be younger */
    uint64_t cw_newest;             /* the newest version met */
    page_entry *cw_entries;
    uint8_t *cw_page;               /* scratch: the node built anew */
    bool cw_stopped;
} walk_state;

enum { SEEN_CURRENT = 1, SEEN_HISTORY = 2 };

typedef struct {                    /* the range a current node answers for; high NULL: unbounded */
    const uint8_t *low, *high;
    uint32_t low_size, high_size;
} key_range;

static void breach(walk_state *w, const char *invariant, uint64_t page, const char *sentence)
{
    w->cw_checker->breach(w->cw_checker->arg, invariant, page, sentence);
}

/* What is known of a page, in the file or in memory. */
static int seen_page(walk_state *w, uint64_t page, uint8_t **out)
{
    seen_pages *sp = &w->cw_seen[pager_in_memory(page)];
    uint64_t at = pager_in_memory(page) ? page - PAGE_IN_MEMORY_FIRST : page;

    if (at >= sp->snp_n) {
        uint64_t pages = at * 2 + 64;
        uint8_t *seen = realloc(sp->snp_of, pages);
        if (!seen)
            return edb_fail(EDB_NOMEM, "no memory to check the file");
        memset(seen + sp->snp_n, 0, pages - sp->snp_n);
        sp->snp_of = seen;
        sp->snp_n = pages;
    }
    *out = sp->snp_of + at;
    return EDB_OK;
}

/* -> whether the page is to be judged: it was not seen before. */
static int mark(walk_state *w, page_ref ref, int kind, bool history, bool *fresh)
{
    uint8_t *seen;
    int rc = seen_page(w, ref.page, &seen);

    *fresh = false;
    if (rc)
        return rc;
    uint8_t before = *seen, now = history ? SEEN_HISTORY : SEEN_CURRENT;
    if (before && (before != now || !history))
        breach(w, "I14", ref.page, history ? "a current page is entered as history as well"
                                           : "a current page has more than one entry in its parents");
    *seen = before | now;
    *fresh = before == 0;
    if (*fresh && w->cw_checker->page(w->cw_checker->arg, ref, kind, history))
        w->cw_stopped = true;
    return EDB_OK;
}

static void check_writer(walk_state *w, uint64_t number, const uint8_t *page, uint64_t latest)
{
    if (load64(page + PH_WRITER) > latest)
        breach(w, "I1", number, "a page was written by a later commit than what refers to it");
}

/* The chain of a large value is shared by all copies of its version and can never change: it counts as history. */
static int check_overflow(walk_state *w, const page_entry *e, uint64_t leaf, uint64_t writer)
{
    page_ref ref = { load64(e->value + 8), load32(e->value + 16) };
    uint64_t left = load64(e->value);

    while (ref.page && left > 0) {
        const uint8_t *page;
        bool fresh;
        int rc = pager_page(w->cw_pager, pager_get_view(w->cw_pager), ref, PAGE_OVERFLOW, &page);
        if (rc != EDB_OK)
            return rc;
        uint8_t *seen;
        if ((rc = seen_page(w, ref.page, &seen)))
            return rc;
        if (!*seen) {
            rc = mark(w, ref, PAGE_OVERFLOW, true, &fresh);
            if (rc != EDB_OK)
                return rc;
            check_writer(w, ref.page, page, writer);
        }
        uint32_t here = load32(page + PH_COUNT);
        if (here == 0 || here > left || here > pager_page_size(w->cw_pager) - OVERFLOW_DATA) {
            breach(w, "I20", ref.page, "a page of a large value holds an impossible number of bytes");
            return EDB_OK;
        }
        left -= here;
        ref = (page_ref){ load64(page + OVERFLOW_NEXT), load32(page + OVERFLOW_NEXT + 8) };
    }
    if (left > 0 || ref.page)
        breach(w, "I20", leaf, "a large value is longer or shorter than its chain of pages");
    return EDB_OK;
}

static bool same_directories(const uint8_t *a, const uint8_t *b)
{
    unsigned live = page_live(a), dead = page_dead(a);

    if (live != page_live(b) || dead != page_dead(b))
        return false;
    const uint64_t *x = page_live_slots(a), *y = page_live_slots(b);
    for (unsigned i = 0; i < live; i++)
        if (slot_from(x[i]) != slot_from(y[i]))
            return false;
    x += live;
    y += live;
    for (unsigned i = 0; i < dead; i++)
        if (slot_from(x[2 * i]) != slot_from(y[2 * i]) || x[2 * i + 1] != y[2 * i + 1])
            return false;
    return true;
}

/* What can be said of a node by itself. */
static void check_node(walk_state *w, const uint8_t *page, uint64_t number, size_t n)
{
    const page_entry *e = w->cw_entries;
    bool leaf = page_is_leaf(page);
    unsigned fixed = w->cw_state->ts_key_size;
    uint32_t page_size = pager_page_size(w->cw_pager), most = (page_size - TP_SLOTS) / 4;

    if (load32(page + PH_OWNER) != w->cw_state->ts_id)
        breach(w, "I12", number, "a node belongs to another tree");
    uint64_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += entry_bytes(&e[i], leaf, fixed);
        if (e[i].from > w->cw_newest)
            w->cw_newest = e[i].from;
        int order = i ? key_compare(e[i - 1].key, e[i - 1].key_size, e[i].key, e[i].key_size) : -1;
        if (order > 0 || (order == 0 && e[i - 1].from <= e[i].from)) {
            breach(w, "I13", number, "the entries of a node are not in order");
            return;
        }
        if (e[i].from > w->cw_latest)
            breach(w, "I16", number, "a version is younger than the last commit");
        if (e[i].key_size > tree_key_max(page_size) || entry_bytes(&e[i], leaf, fixed) > most)
            breach(w, "I18", number, "an entry is larger than a quarter of a page");
    }
    if (bytes > page_size - TP_SLOTS) {
        breach(w, "I18", number, "the entries of a node take more than a page: their cells overlap");
        return;
    }
    page_build(w->cw_page, page_size, leaf, page_level(page), w->cw_state->ts_id, fixed, e, n);
    if (!same_directories(page, w->cw_page))
        breach(w, "I13", number, "the directories of a node do not say when its entries ended, or where they stand");
    if (page_newest(page) != page_newest(w->cw_page) || load64(page + TP_OLDEST) != load64(w->cw_page + TP_OLDEST))
        breach(w, "I13", number, "a node's header misstates its newest or oldest version");
}

static bool in_range(const page_entry *e, const key_range *r)
{
    return key_compare(e->key, e->key_size, r->low, r->low_size) >= 0
        && (!r->high || key_compare(e->key, e->key_size, r->high, r->high_size) < 0);
}

static int check_page(walk_state *w, page_ref ref, unsigned above, uint64_t writer, bool history,
                      const key_range *range);

static int check_children(walk_state *w, const uint8_t *page, size_t n, bool history)
{
    /* The entries are needed again after the recursion has used the buffer: keep a copy. */
    page_entry *e = malloc(n * sizeof *e);
    if (!e)
        return edb_fail(EDB_NOMEM, "no memory to check the file");
    memcpy(e, w->cw_entries, n * sizeof *e);
    int rc = EDB_OK;
    for (size_t i = 0; i < n && rc == EDB_OK && !w->cw_stopped; i++) {
        if (!e[i].child.page)
            continue;
        key_range range = { .low = e[i].key, .low_size = e[i].key_size };
        for (size_t k = i + 1; k < n; k++)
            if (e[k].newest) {
                range.high = e[k].key;
                range.high_size = e[k].key_size;
                break;
            }
        rc = check_page(w, e[i].child, page_level(page), load64(page + PH_WRITER), history || !e[i].newest, &range);
    }
    free(e);
    return rc;
}

/* `above`, `writer`: level and writer of what refers to the page. */
static int check_page(walk_state *w, page_ref ref, unsigned above, uint64_t writer, bool history,
                      const key_range *range)
{
    const uint8_t *page;
    bool fresh;
    int rc = pager_page(w->cw_pager, pager_get_view(w->cw_pager), ref, 0, &page);

    if (rc != EDB_OK)
        return rc;
    if ((page[PH_KIND] != PAGE_LEAF && page[PH_KIND] != PAGE_INTERIOR) || page_level(page) >= above
        || load16(page + TP_KEY_SIZE) != w->cw_state->ts_key_size) {
        breach(w, "I12", ref.page, "a node's child is not a node of a lower level with keys of the same size");
        return EDB_OK;
    }
    rc = mark(w, ref, page[PH_KIND], history, &fresh);
    if (rc != EDB_OK || !fresh || w->cw_stopped)
        return rc;
    check_writer(w, ref.page, page, writer);
    size_t n = page_entries(page, w->cw_entries);
    check_node(w, page, ref.page, n);
    if (!history) {
        bool outside = false;
        for (size_t i = 0; i < n; i++)
            outside = outside || !in_range(&w->cw_entries[i], range);
        if (outside)
            breach(w, "I15", ref.page, "a current node holds keys outside its range");
        if (!page_is_leaf(page) && (n == 0 || w->cw_entries[0].key_size != range->low_size
                                    || memcmp(w->cw_entries[0].key, range->low, range->low_size) != 0))
            breach(w, "I19", ref.page, "a current interior node does not begin at its range's low end");
    }
    if (!page_is_leaf(page))
        return check_children(w, page, n, history);
    if (!history)
        w->cw_live += page_live(page);
    for (size_t i = 0; i < n && rc == EDB_OK; i++)
        if (w->cw_entries[i].overflow)
            rc = check_overflow(w, &w->cw_entries[i], ref.page, load64(page + PH_WRITER));
    return rc;
}

static const uint8_t lowest_key[8];

static int check_old_roots(walk_state *w, const key_range *all)
{
    const tree_state *s = w->cw_state;
    uint64_t last = 0, count = s->ts_roots.ar_count;
    bool first = true;

    for (uint64_t i = 0; i < count + s->ts_n_recent && !w->cw_stopped; i++) {
        tree_root root;
        if (i < count) {
            const uint8_t *element;
            int rc = array_get(w->cw_pager, &s->ts_roots, TREE_ROOT_SIZE, i, &element);
            if (rc != EDB_OK)
                return rc;
            root = (tree_root){ load64(element), { load64(element + 8), load32(element + 16) } };
        } else {
            root = s->ts_recent[i - count];
        }
        if (!first && root.since <= last)
            breach(w, "I17", root.root.page, "the roots of a tree do not ascend in time");
        first = false;
        last = root.since;
        int rc = check_page(w, root.root, 256, w->cw_latest, true, all);
        if (rc != EDB_OK)
            return rc;
    }
    if (!first && s->ts_since <= last)
        breach(w, "I17", s->ts_root.page, "the roots of a tree do not ascend in time");
    return EDB_OK;
}

static int array_page(void *arg, page_ref ref)
{
    walk_state *w = arg;

    if (w->cw_checker->page(w->cw_checker->arg, ref, PAGE_ARRAY, false))
        w->cw_stopped = true;
    return w->cw_stopped;
}

int tree_check(pager *pg, const tree_state *state, const tree_checker *checker)
{
    walk_state w = { .cw_pager = pg, .cw_state = state, .cw_checker = checker, .cw_latest = pager_published(pg) };
    uint32_t page_size = pager_page_size(pg);

    w.cw_entries = malloc((page_size / SLOT_LIVE + 1) * sizeof *w.cw_entries);
    w.cw_page = aligned_alloc(64, page_size);
    int rc = w.cw_entries && w.cw_page ? EDB_OK : edb_fail(EDB_NOMEM, "no memory to check the file");
    key_range all = { .low = lowest_key, .low_size = state->ts_key_size };
    if (rc == EDB_OK)
        rc = check_page(&w, state->ts_root, 256, w.cw_latest, false, &all);
    if (rc == EDB_OK && w.cw_live != state->ts_live)
        breach(&w, "I21", state->ts_root.page, "a tree's count of living entries is wrong");
    if (rc == EDB_OK)
        rc = check_old_roots(&w, &all);
    if (rc == EDB_OK && !w.cw_stopped) {
        int stop = array_walk(pg, &state->ts_roots, array_page, &w);
        rc = w.cw_stopped ? EDB_OK : stop;
    }
    if (rc == EDB_OK && w.cw_newest > state->ts_changed)    /* commits would miss conflicts */
        breach(&w, "I16", state->ts_root.page, "a tree has versions younger than the commit that is said to have changed it last");
    free(w.cw_entries);
    free(w.cw_page);
    free(w.cw_seen[0].snp_of);
    free(w.cw_seen[1].snp_of);
    return rc;
}
