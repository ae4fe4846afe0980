/* Lists in copy-on-write pages. See array.h; docs/format.md, "Lists".
 *
 * A radix tree: page pages of elements below interior pages of references, every page but the last of its level full.
 * Where an element stands follows from its index alone, so nothing is searched on the way down.
 *
 *      levels 2                 [ r r ]                         interior: refs of 12 bytes (page u64, tag u32)
 *                              /       \
 *      levels 1         [ r r r r ]   [ r r ]
 *                       /  |  | \      |   \
 *      levels 0       [eeee] ...     [eeee][ee]                 elements, `size` bytes each
 *
 * array_set goes down once for each run of elements that share a page, copying what is not yet this commit's; a page
 * of this commit is written again in place. The pages replaced are given to pager_free.
 *
 * Memory: pages of the file are built in one buffer a level on the stack of the recursion (32 KiB at most, nine levels reach any
 * count). Threading: readers under a pin, the writer inside its commit. */
#include "engine/pager/array.h"

#include <assert.h>
#include <string.h>

#define REF_SIZE 12
#define LEVELS_MAX 16

static uint32_t leaf_room(const pager *pg, uint32_t size)
{
    return (pager_page_size(pg) - PH_SIZE) / size;
}

static uint32_t node_room(const pager *pg)
{
    return (pager_page_size(pg) - PH_SIZE) / REF_SIZE;
}

/* Elements below one reference of a page at `level` (1: the pages of elements). Saturates. */
static uint64_t span_below(const pager *pg, uint32_t size, uint32_t level)
{
    uint64_t span = leaf_room(pg, size);

    while (--level && span < UINT64_MAX / node_room(pg))
        span *= node_room(pg);
    return level ? UINT64_MAX : span;
}

static page_ref ref_load(const uint8_t *page, uint32_t i)
{
    const uint8_t *p = page + PH_SIZE + i * REF_SIZE;

    return (page_ref){ load64(p), load32(p + 8) };
}

static void ref_store(uint8_t *page, uint32_t i, page_ref ref)
{
    uint8_t *p = page + PH_SIZE + i * REF_SIZE;

    store64(p, ref.page);
    store32(p + 8, ref.tag);
}

static int list_damaged(pager *pg, uint64_t page)
{
    return edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: a list is shorter than its count", pager_name(pg),
                    (unsigned long long)page);
}

/* A page of the list, of the level and at least the fill that its place demands. */
static int node_get(pager *pg, page_ref ref, uint32_t level, uint32_t fill, const uint8_t **out)
{
    const uint8_t *page;
    int rc = pager_page(pg, pager_get_view(pg), ref, level ? PAGE_ARRAY_INTERIOR : PAGE_ARRAY, &page);

    if (rc)
        return rc;
    if (page[PH_LEVEL] != level || load32(page + PH_COUNT) < fill)
        return list_damaged(pg, ref.page);
    *out = page;
    return EDB_OK;
}

int array_get(pager *pg, const array_state *a, uint32_t size, uint64_t index, const uint8_t **out)
{
    assert(index < a->ar_count);
    if (a->ar_levels > LEVELS_MAX)
        return list_damaged(pg, a->ar_root.page);
    page_ref ref = a->ar_root;
    const uint8_t *page;
    for (uint32_t level = a->ar_levels; level; level--) {
        uint64_t span = span_below(pg, size, level), i = index / span;
        if (i >= node_room(pg))
            return list_damaged(pg, ref.page);
        int rc = node_get(pg, ref, level, (uint32_t)i + 1, &page);
        if (rc)
            return rc;
        ref = ref_load(page, (uint32_t)i);
        index %= span;
    }
    if (index >= leaf_room(pg, size))
        return list_damaged(pg, ref.page);
    int rc = node_get(pg, ref, 0, (uint32_t)index + 1, &page);
    if (!rc)
        *out = page + PH_SIZE + index * size;
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

typedef struct {
    pager_commit *pc;
    pager *pg;
    uint32_t owner, size;
    uint64_t index, n;              /* what is still to be set, relative to the whole list */
    const uint8_t *elements;
} setting;

typedef struct {                    /* a page of the list that is being changed */
    uint64_t at;                    /* where it will stand */
    uint8_t *bytes;
    uint8_t buffer[PAGE_SIZE_MAX];  /* not touched where pages are made in memory */
} open_node;

/* The page at ref, or an empty one, to be changed where it stands if this commit made it, else in a new place. */
static int node_open_for(setting *st, page_ref ref, uint32_t level, open_node *out)
{
    uint32_t page_size = pager_page_size(st->pg);
    const uint8_t *old = NULL;
    int rc = ref.page ? node_get(st->pg, ref, level, 0, &old) : EDB_OK;

    if (rc)
        return rc;
    if (old && load32(old + PH_COUNT) > (level ? node_room(st->pg) : leaf_room(st->pg, st->size)))
        return list_damaged(st->pg, ref.page);
    out->at = ref.page;
    if (!old || !pager_is_private(st->pc, old))
        rc = pager_alloc(st->pc, &out->at);
    if (rc)
        return rc;
    out->bytes = pager_building(st->pc, out->at, out->buffer);
    if (old) {
        if (out->bytes != old)
            memcpy(out->bytes, old, page_size);
        return EDB_OK;
    }
    memset(out->bytes, 0, page_size);
    out->bytes[PH_KIND] = level ? PAGE_ARRAY_INTERIOR : PAGE_ARRAY;
    out->bytes[PH_LEVEL] = (uint8_t)level;
    store32(out->bytes + PH_OWNER, st->owner);
    return EDB_OK;
}

static int node_save(setting *st, page_ref *ref, open_node *node)
{
    int rc = ref->page && ref->page != node->at ? pager_free(st->pc, *ref) : EDB_OK;

    return rc ? rc : pager_write(st->pc, node->at, node->bytes, ref);
}

/* Sets what falls into the subtree whose first element has index `first`. Updates *ref. */
static int subtree_set(setting *st, page_ref *ref, uint32_t level, uint64_t first)
{
    open_node node;
    int rc = node_open_for(st, *ref, level, &node);

    if (rc)
        return rc;
    uint8_t *page = node.bytes;
    uint32_t count = load32(page + PH_COUNT);
    uint32_t room = level ? node_room(st->pg) : leaf_room(st->pg, st->size);
    uint64_t span = level ? span_below(st->pg, st->size, level) : 1;
    while (st->n && (st->index - first) / span < room) {
        uint32_t i = (uint32_t)((st->index - first) / span);
        if (i > count)
            return list_damaged(st->pg, ref->page);
        if (level) {
            page_ref child = i < count ? ref_load(page, i) : (page_ref){ 0, 0 };
            rc = subtree_set(st, &child, level - 1, first + i * span);
            if (rc)
                return rc;
            ref_store(page, i, child);
        } else {
            memcpy(page + PH_SIZE + i * st->size, st->elements, st->size);
            st->elements += st->size;
            st->index++;
            st->n--;
        }
        if (i == count)
            count++;
    }
    store32(page + PH_COUNT, count);
    return node_save(st, ref, &node);
}

/* A page above the root, which is full. */
static int root_raise(setting *st, array_state *a)
{
    open_node node;
    page_ref ref = { 0, 0 };
    int rc = node_open_for(st, ref, a->ar_levels + 1, &node);

    if (rc)
        return rc;
    ref_store(node.bytes, 0, a->ar_root);
    store32(node.bytes + PH_COUNT, 1);
    rc = node_save(st, &ref, &node);
    if (rc)
        return rc;
    a->ar_root = ref;
    a->ar_levels++;
    return EDB_OK;
}

int array_set(pager_commit *pc, array_state *a, uint32_t owner, uint32_t size, uint64_t index, const uint8_t *elements,
              uint64_t n)
{
    assert(index <= a->ar_count);
    array_state result = *a;
    setting st = { pc, pager_commit_pager(pc), owner, size, index, n, elements };
    if (!n)
        return EDB_OK;
    if (a->ar_levels > LEVELS_MAX)
        return list_damaged(st.pg, a->ar_root.page);
    while (index + n > span_below(st.pg, size, result.ar_levels + 1)) {
        if (!result.ar_root.page) {         /* an empty list grows downward: no page to put below the new one yet */
            result.ar_levels++;
            continue;
        }
        int rc = root_raise(&st, &result);
        if (rc)
            return rc;
    }
    int rc = subtree_set(&st, &result.ar_root, result.ar_levels, 0);
    if (rc)
        return rc;
    if (index + n > result.ar_count)
        result.ar_count = index + n;
    *a = result;
    return EDB_OK;
}

/* ---- trimming ---------------------------------------------------------------------------------------------------- */

static int subtree_free(setting *st, page_ref ref, uint32_t level)
{
    const uint8_t *page;
    int rc = ref.page ? node_get(st->pg, ref, level, 0, &page) : EDB_OK;

    if (rc || !ref.page)
        return rc;
    uint32_t count = level ? load32(page + PH_COUNT) : 0;
    if (count > node_room(st->pg))
        return list_damaged(st->pg, ref.page);
    for (uint32_t i = 0; !rc && i < count; i++)
        rc = subtree_free(st, ref_load(page, i), level - 1);
    return rc ? rc : pager_free(st->pc, ref);
}

/* What of the interior page's subtree stands before st->index goes; *ref changes if anything does. The first reference that leads
 * anywhere is the first that is kept, or the first to go. */
static int subtree_trim(setting *st, page_ref *ref, uint32_t level, uint64_t first)
{
    const uint8_t *old;
    int rc = node_get(st->pg, *ref, level, 0, &old);

    if (rc)
        return rc;
    uint64_t span = span_below(st->pg, st->size, level), gone = (st->index - first) / span;
    uint32_t count = load32(old + PH_COUNT), at = 0;
    if (count > node_room(st->pg))
        return list_damaged(st->pg, ref->page);
    while (at < count && !ref_load(old, at).page)
        at++;
    if (gone > count)
        gone = count;
    page_ref edge = gone < count ? ref_load(old, (uint32_t)gone) : (page_ref){ 0, 0 }, before = edge;
    if (edge.page && level > 1)
        rc = subtree_trim(st, &edge, level - 1, first + gone * span);
    if (rc || (at >= gone && edge.page == before.page && edge.tag == before.tag))
        return rc;
    for (uint32_t i = at; !rc && i < gone; i++)
        rc = subtree_free(st, ref_load(old, i), level - 1);
    open_node node;
    if (!rc)
        rc = node_open_for(st, *ref, level, &node);
    if (rc)
        return rc;
    for (uint32_t i = at; i < gone; i++)
        ref_store(node.bytes, i, (page_ref){ 0, 0 });
    if (gone < count)
        ref_store(node.bytes, (uint32_t)gone, edge);
    return node_save(st, ref, &node);
}

int array_trim(pager_commit *pc, array_state *a, uint32_t owner, uint32_t size, uint64_t first)
{
    array_state result = *a;
    setting st = { pc, pager_commit_pager(pc), owner, size, first, 0, NULL };

    assert(first <= a->ar_count);
    if (a->ar_levels > LEVELS_MAX)
        return list_damaged(st.pg, a->ar_root.page);
    int rc = a->ar_count && a->ar_levels ? subtree_trim(&st, &result.ar_root, a->ar_levels, 0) : EDB_OK;
    if (!rc)
        *a = result;
    return rc;
}

/* ---- storing ----------------------------------------------------------------------------------------------------- */

static int subtree_store(pager_commit *pc, page_ref *ref, uint32_t size, uint32_t level, uint64_t first, array_element_fn fn)
{
    pager *pg = pager_commit_pager(pc);
    uint8_t page[PAGE_SIZE_MAX];
    const uint8_t *old;

    if (pager_stored(pc, ref))
        return EDB_OK;
    int rc = node_get(pg, *ref, level, 0, &old);
    if (rc)
        return rc;
    memcpy(page, old, pager_page_size(pg));
    for (uint32_t i = 0; !rc && i < load32(page + PH_COUNT); i++) {
        if (level) {
            page_ref child = ref_load(page, i);
            rc = subtree_store(pc, &child, size, level - 1, first + i * span_below(pg, size, level), fn);
            ref_store(page, i, child);
        } else if (fn) {
            rc = fn(pc, first + i, page + PH_SIZE + i * size);
        }
    }
    return rc ? rc : pager_store(pc, ref, page);
}

int array_store(pager_commit *pc, array_state *a, uint32_t size, array_element_fn fn)
{
    return a->ar_count ? subtree_store(pc, &a->ar_root, size, a->ar_levels, 0, fn) : EDB_OK;
}

/* ---- moving ----------------------------------------------------------------------------------------------------- */

typedef struct {
    pager_commit *amv_commit;
    page_moving *amv_moving;
} list_moving;

/* Pages of elements are looked at only to be moved: where they lie, those above say. */
static int subtree_move(list_moving *lm, page_ref *ref, uint32_t level)
{
    pager *pg = pager_commit_pager(lm->amv_commit);
    page_moving *mv = lm->amv_moving;
    uint8_t page[PAGE_SIZE_MAX];
    const uint8_t *old;
    bool changed = false;

    if (!ref->page)
        return EDB_OK;
    if (!level && (ref->page < mv->mov_cut || !mv->mov_left)) {
        mv->mov_whole = mv->mov_whole && ref->page < mv->mov_cut;
        return EDB_OK;
    }
    int rc = node_get(pg, *ref, level, 0, &old);
    if (rc)
        return rc;
    memcpy(page, old, pager_page_size(pg));
    uint32_t count = level ? load32(page + PH_COUNT) : 0;
    if (count > node_room(pg))
        return list_damaged(pg, ref->page);
    for (uint32_t i = 0; !rc && i < count; i++) {
        page_ref child = ref_load(page, i), before = child;
        rc = subtree_move(lm, &child, level - 1);
        changed = changed || child.page != before.page;
        ref_store(page, i, child);
    }
    return rc ? rc : page_move(lm->amv_commit, mv, ref, page, changed);
}

int array_move(pager_commit *pc, array_state *a, page_moving *mv)
{
    list_moving lm = { pc, mv };

    return a->ar_count ? subtree_move(&lm, &a->ar_root, a->ar_levels) : EDB_OK;
}

/* ---- searching and walking ------------------------------------------------------------------------------------- */

int array_bisect(pager *pg, const array_state *a, uint32_t size, int64_t key, uint64_t *out)
{
    uint64_t low = 0, high = a->ar_count;

    while (low < high) {
        const uint8_t *element;
        uint64_t middle = low + (high - low) / 2;
        int rc = array_get(pg, a, size, middle, &element);
        if (rc)
            return rc;
        if ((int64_t)load64(element) <= key)
            low = middle + 1;
        else
            high = middle;
    }
    *out = low;
    return EDB_OK;
}

typedef struct {
    pager *lwk_pager;
    uint32_t lwk_size;
    uint64_t lwk_first;              /* what holds elements before it alone is not there */
    array_page_fn lwk_fn;
    void *lwk_arg;
} list_walk;

static int subtree_walk(const list_walk *wa, page_ref ref, uint32_t level, uint64_t first)
{
    pager *pg = wa->lwk_pager;
    const uint8_t *page;
    int rc = node_get(pg, ref, level, 0, &page);

    if (!rc)
        rc = wa->lwk_fn(wa->lwk_arg, ref);
    uint32_t count = rc || !level ? 0 : load32(page + PH_COUNT);
    if (count > node_room(pg))
        return list_damaged(pg, ref.page);
    uint64_t span = count ? span_below(pg, wa->lwk_size, level) : 0;
    for (uint32_t i = 0; !rc && i < count; i++) {
        bool gone = first + (i + 1) * span <= wa->lwk_first;
        if (gone != !ref_load(page, i).page)
            return list_damaged(pg, ref.page);
        if (!gone)
            rc = subtree_walk(wa, ref_load(page, i), level - 1, first + i * span);
    }
    return rc;
}

int array_walk(pager *pg, const array_state *a, array_page_fn fn, void *arg)
{
    return array_walk_trimmed(pg, a, 1, 0, fn, arg);
}

int array_walk_trimmed(pager *pg, const array_state *a, uint32_t size, uint64_t first, array_page_fn fn, void *arg)
{
    const list_walk wa = { pg, size, first, fn, arg };

    if (!a->ar_count)
        return EDB_OK;
    if (a->ar_levels > LEVELS_MAX)
        return list_damaged(pg, a->ar_root.page);
    return subtree_walk(&wa, a->ar_root, a->ar_levels, 0);
}
