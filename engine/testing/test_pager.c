/* A store of numbers upon the bare pager, for tests (builds with -DEDB_TEST).
 *
 * The list that the record knows as the list of trees holds elements of 16 bytes (page u64, tag u32, 0 u32) here. Each
 * points to a page of its own that holds a value, so that every change exercises what a tree does to the pager:
 * copying, freeing, and pages found by (page, tag). test_pager_check() accounts for every page exactly once. */
#ifdef EDB_TEST

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pager/array.h"
#include "engine/testing/edb_test.h"
#include "engine/shared/os.h"
#include "engine/pager/pager_impl.h"

#define ELEMENT 16

struct test_pager {
    pager *pg;
    reader_slot *slot;
    snapshot sn;
    pager_commit *pc;
    array_state trees;              /* of the commit */
    bool redo;                      /* commits write redo records where they can */
    bool in_memory;                 /* this one may still */
    size_t changes_size;
    uint8_t changes[REDO_CHANGES_MOST];     /* pairs of (index u64, value u64) */
};

static const pager_replayer *test_pager_replayer(void);

void test_failpoint(int (*fn)(const char *name))
{
    os_failpoint_set(fn);
}

int test_log_start(const char *path)
{
    return os_log_start(path);
}

void test_log_note(const char *text)
{
    os_log_note(text);
}

void test_clock_set(int64_t ns)
{
    os_clock_set(ns);
}

void test_clock_jump(int64_t ns)
{
    os_clock_jump(ns);
}

int test_pager_open(const char *path, uint32_t page_size, int synchronous, int flags, int64_t busy_ms,
                    test_pager **out)
{
    pager_options options = {
        .page_size = page_size, .synchronous = synchronous, .read_only = flags & 1, .create = !(flags & 2),
        .busy_ms = busy_ms, .any_clock = flags & 4,
    };
    test_pager *t = calloc(1, sizeof *t);

    if (!t)
        return edb_fail(EDB_NOMEM, "no memory");
    int rc = pager_open(path, &options, &t->pg);
    if (!rc)
        rc = pager_slot_take(t->pg, &t->slot);
    if (!rc) {
        t->pg->pg_replayer = test_pager_replayer();
        *out = t;
        return EDB_OK;
    }
    if (t->pg)
        pager_close(t->pg);
    free(t);
    return rc;
}

void test_pager_close(test_pager *t)
{
    pager_slot_give(t->pg, t->slot);
    pager_close(t->pg);
    free(t);
}

int test_pager_alive(test_pager *t)
{
    return pager_alive(t->pg);
}

uint32_t test_pager_page_size(const test_pager *t)
{
    return pager_page_size(t->pg);
}

int test_pager_pin(test_pager *t, int which, uint64_t *number, int64_t *time_ns)
{
    int rc = pager_pin(t->pg, t->slot, which, &t->sn);

    if (!rc) {
        *number = t->sn.sn_number;
        *time_ns = t->sn.sn_time_ns;
    }
    return rc;
}

void test_pager_unpin(test_pager *t, uint64_t oldest)
{
    pager_pin_move(t->pg, t->slot, oldest);
}

void test_pager_idle(test_pager *t)
{
    pager_slot_idle(t->pg, t->slot);
}

uint64_t test_pager_size(const test_pager *t)
{
    return t->sn.sn_trees.ar_count;
}

static int value_read(pager *pg, const array_state *a, uint64_t index, page_ref *ref, uint64_t *value)
{
    const uint8_t *element, *page;
    int rc = array_get(pg, a, ELEMENT, index, &element);

    if (rc)
        return rc;
    *ref = (page_ref){ load64(element), load32(element + 8) };
    *value = 0;
    if (!ref->page)
        return EDB_OK;
    rc = pager_page(pg, pager_get_view(pg), *ref, PAGE_OVERFLOW, &page);
    if (rc)
        return rc;
    *value = load64(page + PH_SIZE);
    for (uint32_t at = PH_SIZE; at + 8 <= pager_page_size(pg); at += 8)
        if (load64(page + at) != *value)
            return edb_fail(EDB_CORRUPT, "page %llu holds two values", (unsigned long long)ref->page);
    return EDB_OK;
}

/* All values of the pinned commit. */
int test_pager_values(test_pager *t, uint64_t *values, uint64_t room)
{
    for (uint64_t i = 0; i < t->sn.sn_trees.ar_count && i < room; i++) {
        page_ref ref;
        int rc = value_read(t->pg, &t->sn.sn_trees, i, &ref, &values[i]);
        if (rc)
            return rc;
    }
    return EDB_OK;
}

/* The commit time of commit `number`, as the pinned record tells it. */
int test_pager_time(test_pager *t, uint64_t number, int64_t *time_ns)
{
    uint64_t kept = t->sn.sn_stamps.ar_count;
    const uint8_t *element;

    if (number >= kept) {
        *time_ns = t->sn.sn_tail_ns[number - kept];
        return EDB_OK;
    }
    int rc = array_get(t->pg, &t->sn.sn_stamps, 8, number, &element);
    if (!rc)
        *time_ns = (int64_t)load64(element);
    return rc;
}

int test_pager_settle(test_pager *t, int64_t moment_ns, uint64_t *until)
{
    return pager_settle(t->pg, moment_ns, until);
}

/* Value 0 drops the element's page. */
static int value_set(pager_commit *pc, array_state *trees, uint64_t index, uint64_t value)
{
    pager *pg = pager_commit_pager(pc);
    uint8_t element[ELEMENT] = {0}, page[PAGE_SIZE_MAX];
    page_ref ref = { 0, 0 };
    uint64_t before = 0, at;
    int rc = index < trees->ar_count ? value_read(pg, trees, index, &ref, &before) : EDB_OK;

    if (!rc && ref.page)
        rc = pager_free(pc, ref);
    if (!rc && value) {
        rc = pager_alloc(pc, &at);
        memset(page, 0, PH_SIZE);
        page[PH_KIND] = PAGE_OVERFLOW;
        for (uint32_t i = PH_SIZE; i + 8 <= pager_page_size(pg); i += 8)
            store64(page + i, value);
        if (!rc)
            rc = pager_write(pc, at, page, &ref);
        if (rc)
            return rc;
        store64(element, ref.page);
        store32(element + 8, ref.tag);
    }
    return rc ? rc : array_set(pc, trees, 0, ELEMENT, index, element, 1);
}

/* ---- redo records ---- */

typedef struct {
    pager_commit *pc;
    array_state trees;
} rework;

static int replay_begin(pager_commit *pc, const array_state *trees, void **work)
{
    rework *rw = calloc(1, sizeof *rw);

    if (!rw)
        return edb_fail(EDB_NOMEM, "no memory");
    *rw = (rework){ pc, *trees };
    *work = rw;
    return EDB_OK;
}

static int replay_apply(void *work, const uint8_t *changes, size_t size)
{
    rework *rw = work;
    int rc = size % 16 ? edb_fail(EDB_CORRUPT, "half a change") : EDB_OK;

    for (size_t at = 0; !rc && at < size; at += 16)
        rc = value_set(rw->pc, &rw->trees, load64(changes + at), load64(changes + at + 8));
    return rc;
}

static int replay_end(void *work, array_state *trees)
{
    *trees = ((rework *)work)->trees;
    return EDB_OK;
}

static const pager_replayer replayer = { replay_begin, replay_apply, replay_end, free };

static const pager_replayer *test_pager_replayer(void)
{
    return &replayer;
}

static int value_store(pager_commit *pc, uint64_t index, uint8_t *element)
{
    page_ref ref = { load64(element), load32(element + 8) };
    uint8_t copy[PAGE_SIZE_MAX];
    const uint8_t *page;

    (void)index;
    if (!ref.page || pager_stored(pc, &ref))
        return EDB_OK;
    int rc = pager_page(pager_commit_pager(pc), pager_get_view(pager_commit_pager(pc)), ref, PAGE_OVERFLOW, &page);
    if (rc)
        return rc;
    memcpy(copy, page, pager_page_size(pager_commit_pager(pc)));
    rc = pager_store(pc, &ref, copy);
    store64(element, ref.page);
    store32(element + 8, ref.tag);
    return rc;
}

static int to_file(test_pager *t)
{
    int rc = pager_store_begin(t->pc);

    t->in_memory = false;
    return rc ? rc : array_store(t->pc, &t->trees, ELEMENT, value_store);
}

/* Whether commits write redo records where they can. */
void test_pager_redo(test_pager *t, bool redo)
{
    t->redo = redo;
}

/* ---- commits ---- */

int test_pager_begin(test_pager *t)
{
    int rc = pager_commit_begin(t->pg, NULL, &t->pc);

    if (rc)
        return rc;
    t->trees = pager_commit_base(t->pc)->sn_trees;
    t->changes_size = 0;
    t->in_memory = t->redo && pager_commit_small(t->pc);
    rc = t->in_memory ? EDB_OK : to_file(t);
    if (rc)
        test_pager_abort(t);
    return rc;
}

int test_pager_set(test_pager *t, uint64_t index, uint64_t value)
{
    int rc = t->in_memory && t->changes_size + 16 > sizeof t->changes ? to_file(t) : EDB_OK;

    if (!rc && t->in_memory) {
        store64(t->changes + t->changes_size, index);
        store64(t->changes + t->changes_size + 8, value);
        t->changes_size += 16;
    }
    return rc ? rc : value_set(t->pc, &t->trees, index, value);
}

int test_pager_prepare(test_pager *t)
{
    if (t->in_memory && pager_commit_may_redo(t->pc))
        return pager_commit_prepare_redo(t->pc, &t->trees, t->changes, t->changes_size);
    int rc = t->in_memory ? to_file(t) : EDB_OK;
    return rc ? rc : pager_commit_prepare(t->pc, &t->trees, false);
}

int test_pager_check_time(test_pager *t, int64_t time_ns)
{
    return pager_commit_check_time(t->pc, time_ns);
}

int test_pager_publish(test_pager *t, int64_t time_ns, uint64_t *number, int64_t *time_out)
{
    pager_commit *pc = t->pc;

    *number = pager_commit_number(pc);
    t->pc = NULL;
    return pager_commit_publish(pc, time_ns, time_out);
}

void test_pager_abort(test_pager *t)
{
    pager_commit_abort(t->pc);
    t->pc = NULL;
}

int test_pager_wait(test_pager *t, uint64_t number, bool force)
{
    return pager_wait_durable(t->pg, number, force);
}

/* ---- compaction ---- */

int test_pager_avoid(test_pager *t, uint64_t cut)
{
    return pager_avoid(t->pg, cut);
}

static int values_move(test_pager *t, page_moving *mv)
{
    int rc = EDB_OK;

    for (uint64_t i = 0; !rc && i < t->trees.ar_count; i++) {
        page_ref ref;
        uint64_t value;
        rc = value_read(t->pg, &t->trees, i, &ref, &value);
        if (rc || ref.page < mv->mov_cut)
            continue;
        mv->mov_whole = false;
        if (mv->mov_left && !(rc = value_set(t->pc, &t->trees, i, value))) {
            mv->mov_left--;
            mv->mov_moved++;
        }
    }
    return rc;
}

/* Of the commit that was begun, which goes to the file. */
int test_pager_move(test_pager *t, uint64_t cut, uint64_t most, bool *whole)
{
    page_moving mv = { .mov_cut = cut, .mov_left = most, .mov_whole = true };
    int rc = t->in_memory ? to_file(t) : EDB_OK;

    pager_commit_avoids(t->pc, false);
    pager_commit_aside(t->pc);
    if (!rc)
        rc = values_move(t, &mv);
    if (!rc)
        rc = array_move(t->pc, &t->trees, &mv);
    if (!rc)
        rc = pager_lists_move(t->pc, &mv);
    *whole = mv.mov_whole;
    return rc;
}

int test_pager_trim(test_pager *t, uint64_t cut, bool *done)
{
    int rc = t->in_memory ? to_file(t) : EDB_OK;

    return rc ? rc : pager_trim(t->pc, cut, done);
}

int test_pager_truncate(test_pager *t, uint64_t *bytes)
{
    return pager_truncate(t->pg, bytes);
}

uint64_t test_pager_id(test_pager *t, uint32_t tree, uint64_t at_least)
{
    return pager_id_next(t->pg, tree, at_least);
}

void test_pager_stats(test_pager *t, uint64_t out[10])
{
    pager_stats st;

    pager_get_stats(t->pg, &st);
    uint64_t all[10] = {st.ps_published, st.ps_durable, st.ps_pages, st.ps_free_pages, st.ps_file_bytes, st.ps_syncs,
                        st.ps_pages_read, st.ps_pages_written, st.ps_oldest_pin, pager_first_page(t->pg)};
    memcpy(out, all, sizeof all);
}

/* ---- check ------------------------------------------------------------------------------------------------------ */

typedef struct {
    uint8_t *seen;
    uint64_t first, pages, breaches;
    char *text;
    size_t room, used;
} accounting;

static int account(accounting *ac, uint64_t page, const char *as)
{
    if (pager_in_memory(page))
        return EDB_OK;
    if (page >= ac->first && page < ac->pages && !ac->seen[page]) {
        ac->seen[page] = 1;
        return EDB_OK;
    }
    ac->breaches++;
    if (ac->used < ac->room)
        ac->used += (size_t)snprintf(ac->text + ac->used, ac->room - ac->used, "page %llu, as %s: %s\n",
                                     (unsigned long long)page, as,
                                     page >= ac->first && page < ac->pages ? "accounted for twice" : "no page");
    return EDB_OK;
}

static int account_list(void *arg, page_ref ref)
{
    return account(arg, ref.page, "list");
}

static int account_free(void *arg, uint64_t page, int what)
{
    return account(arg, page, what == FREE_LISTED ? "free" : what == FREE_CHAIN ? "chain" : "reserved");
}

/* Of the pinned commit: every page below the high-water mark is used, free or the queue's, exactly once. */
int test_pager_check(test_pager *t, char *text, size_t room, uint64_t *breaches)
{
    const snapshot *sn = &t->sn;
    accounting ac = { calloc(sn->sn_pages, 1), pager_first_page(t->pg), sn->sn_pages, 0, text, room, 0 };

    text[0] = 0;
    int rc = ac.seen ? array_walk(t->pg, &sn->sn_trees, account_list, &ac) : edb_fail(EDB_NOMEM, "no memory");
    if (!rc)
        rc = array_walk(t->pg, &sn->sn_stamps, account_list, &ac);
    if (!rc)
        rc = array_walk(t->pg, &sn->sn_links, account_list, &ac);
    for (uint64_t i = 0; !rc && i < sn->sn_trees.ar_count; i++) {
        page_ref ref;
        uint64_t value;
        rc = value_read(t->pg, &sn->sn_trees, i, &ref, &value);
        if (!rc && ref.page)
            rc = account(&ac, ref.page, "value");
    }
    if (!rc)
        rc = pager_free_walk(t->pg, sn, account_free, &ac);
    for (uint64_t page = ac.first; !rc && page < ac.pages; page++) {
        if (ac.seen[page])
            continue;
        ac.breaches++;
        if (ac.used < room)
            ac.used += (size_t)snprintf(text + ac.used, room - ac.used, "page %llu is lost\n",
                                        (unsigned long long)page);
    }
    free(ac.seen);
    *breaches = ac.breaches;
    return rc;
}

/* Nanoseconds of one pin of the newest commit, over n of them. */
double test_pager_pin_cost(test_pager *t, uint64_t n)
{
    int64_t start = os_ticks_ns();

    for (uint64_t i = 0; i < n; i++) {
        (void)pager_pin(t->pg, t->slot, PIN_PUBLISHED, &t->sn);
        pager_pin_move(t->pg, t->slot, UINT64_MAX);
    }
    return (double)(os_ticks_ns() - start) / (double)n;
}

#else
typedef int test_pager_is_empty;    /* ISO C wants a declaration */
#endif
