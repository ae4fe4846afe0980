/* Test builds only: a bare tree in a file, driven from Python and judged there against a model. */
#ifdef EDB_TEST

#include <stdio.h>
#include <stdlib.h>

#include "engine/testing/edb_test.h"
#include "engine/pager/cold.h"
#include "engine/tree/page.h"
#include "engine/tree/tree_events.h"

struct test_tree {
    pager *pg;
    reader_slot *slot;
    snapshot sn;
    tree_state state;
    uint32_t id;
};

static int test_tree_load(test_tree *t)
{
    int rc = pager_pin(t->pg, t->slot, PIN_PUBLISHED, &t->sn);

    if (rc == EDB_OK)
        pager_pin_move(t->pg, t->slot, t->sn.sn_number);        /* what was pinned before is not read any more */
    return rc == EDB_OK ? tree_state_get(t->pg, &t->sn, t->id, &t->state) : rc;
}

static int test_tree_store(pager_commit *pc, const tree_state *state, array_state *trees)
{
    uint8_t element[TREE_STATE_SIZE];

    tree_state_store(element, state);
    return array_set(pc, trees, 0, TREE_STATE_SIZE, state->ts_id, element, 1);
}

int test_tree_open(const char *path, uint32_t page_size, uint8_t key_size, test_tree **out)
{
    test_tree *t = calloc(1, sizeof *t);
    int64_t time_ns;
    pager_options options = { .page_size = page_size, .synchronous = SYNC_NORMAL, .create = true, .busy_ms = 5000 };

    if (!t)
        return EDB_NOMEM;
    int rc = pager_open(path, &options, &t->pg);
    if (rc != EDB_OK) {
        free(t);
        return rc;
    }
    rc = pager_slot_take(t->pg, &t->slot);
    if (rc == EDB_OK)
        rc = pager_pin(t->pg, t->slot, PIN_PUBLISHED, &t->sn);
    if (rc == EDB_OK && t->sn.sn_trees.ar_count == 0) {
        pager_commit *pc;
        array_state trees = t->sn.sn_trees;
        rc = pager_commit_begin(t->pg, NULL, &pc);
        if (rc == EDB_OK) {
            rc = tree_create(pc, 0, key_size, &t->state);
            if (rc == EDB_OK)
                rc = test_tree_store(pc, &t->state, &trees);
            if (rc == EDB_OK)
                rc = pager_commit_prepare(pc, &trees, false);
            if (rc == EDB_OK)
                rc = pager_commit_publish(pc, 0, &time_ns);
            else
                pager_commit_abort(pc);
        }
    }
    if (rc == EDB_OK)
        rc = test_tree_load(t);
    if (rc != EDB_OK) {
        test_tree_close(t);
        return rc;
    }
    *out = t;
    return EDB_OK;
}

void test_tree_close(test_tree *t)
{
    if (t->slot)
        pager_slot_give(t->pg, t->slot);
    pager_close(t->pg);
    free(t);
}

/* batch: n times u8 tombstone, u32 key size, u32 value size, key, value; sorted, in `calls` equal portions. */
int test_tree_apply(test_tree *t, const uint8_t *batch, size_t n, size_t calls, uint64_t *number)
{
    tree_change *changes = malloc((n + 1) * sizeof *changes);

    if (!changes)
        return EDB_NOMEM;
    for (size_t i = 0; i < n; i++) {
        tree_change *c = &changes[i];
        c->tombstone = batch[0];
        c->always = false;
        c->key_size = load32(batch + 1);
        c->value_size = load32(batch + 5);
        c->key = batch + 9;
        c->value = c->key + c->key_size;
        batch = c->value + c->value_size;
    }
    pager_commit *pc;
    int64_t time_ns;
    int rc = pager_commit_begin(t->pg, NULL, &pc);
    if (rc != EDB_OK)
        goto done;
    tree_state state = t->state;
    array_state trees = pager_commit_base(pc)->sn_trees;
    for (size_t i = 0; i < calls && rc == EDB_OK; i++) {
        size_t from = n * i / calls, to = n * (i + 1) / calls;
        rc = tree_apply(pc, &state, changes + from, to - from, NULL);
    }
    if (rc == EDB_OK)
        rc = test_tree_store(pc, &state, &trees);
    if (rc == EDB_OK)
        rc = pager_commit_prepare(pc, &trees, false);
    if (rc == EDB_OK)
        rc = pager_commit_publish(pc, 0, &time_ns);
    else
        pager_commit_abort(pc);
    if (rc == EDB_OK)
        rc = test_tree_load(t);
    if (rc == EDB_OK)
        *number = t->sn.sn_number;
done:
    free(changes);
    return rc;
}

int test_tree_get(test_tree *t, uint64_t moment, const uint8_t *key, size_t key_size, uint8_t *value, size_t room,
                  int64_t *size)
{
    tree_version v;
    bool found;
    int rc = tree_get(t->pg, &t->state, moment, key, key_size, &v, &found);

    if (rc != EDB_OK)
        return rc;
    *size = found ? (int64_t)tree_overflow_size(&v) : -1;
    return found && (uint64_t)*size <= room ? tree_overflow_read(t->pg, &v, 0, value, (size_t)*size) : EDB_OK;
}

/* A version as u8 there, u64 from, u32 size, and up to 32 bytes of its value. */
static int test_put_version(test_tree *t, const tree_version *v, uint8_t *out, size_t room, size_t *used)
{
    uint64_t size = v ? tree_overflow_size(v) : 0;
    uint32_t shown = size < 32 ? (uint32_t)size : 32;

    if (*used + 13 + shown > room)
        return EDB_NOMEM;
    out[*used] = v != NULL;
    store64(out + *used + 1, v ? v->from : 0);
    store32(out + *used + 9, (uint32_t)size);
    *used += 13 + shown;
    return v ? tree_overflow_read(t->pg, v, 0, out + *used - shown, shown) : EDB_OK;
}

/* n visits of keys, each as u8 step, u32 key size, key: looked up by one tree_near, and sought by one cursor, which then
 * takes the step ('n' next, 'p' prev, '-' none). -> for each: the version looked up; the one sought; the one stepped to. *touched: pages. */
int test_tree_visit(test_tree *t, uint64_t moment, const uint8_t *visits, size_t n, uint8_t *out, size_t room,
                    size_t *used, uint64_t *touched)
{
    uint64_t before = tree_touched;
    tree_near near = { .tnr_leaf = NULL };
    tree_cursor tc;
    int rc = tree_cursor_open(&tc, t->pg, &t->state, moment);

    *used = 0;
    for (size_t i = 0; rc == EDB_OK && i < n; i++) {
        uint8_t step = visits[0];
        uint32_t size = load32(visits + 1);
        const uint8_t *key = visits + 5;
        tree_version v;
        bool found;
        visits += 5 + size;
        rc = tree_get_near(t->pg, &t->state, moment, key, size, &near, &v, &found);
        if (rc == EDB_OK)
            rc = test_put_version(t, found ? &v : NULL, out, room, used);
        if (rc == EDB_OK)
            rc = step == 'o' ? tree_cursor_seek_on(&tc, key, size) : tree_cursor_seek(&tc, key, size);
        if (rc == EDB_OK)
            rc = test_put_version(t, tc.tc_valid ? &tc.tc_at : NULL, out, room, used);
        if (rc == EDB_OK && tc.tc_valid && (step == 'n' || step == 'p'))
            rc = step == 'n' ? tree_cursor_next(&tc) : tree_cursor_prev(&tc);
        if (rc == EDB_OK)
            rc = test_put_version(t, tc.tc_valid ? &tc.tc_at : NULL, out, room, used);
    }
    *touched = tree_touched - before;
    tree_cursor_close(&tc);
    return rc;
}

/* Which of n ascending keys of one size the tree has. *touched: pages. */
int test_tree_which(test_tree *t, uint64_t moment, const uint8_t *keys, size_t key_size, size_t n, bool *found,
                    uint64_t *touched)
{
    uint64_t before = tree_touched;
    int rc = tree_which(t->pg, &t->state, moment, keys, key_size, n, found);

    *touched = tree_touched - before;
    return rc;
}

/* Entries from `key` on (NULL: from the end concerned), at most `most`, as u32 key size, u32 value size, u64 from, key,
 * value; values over 32 bytes shortened to their first 32. -> bytes used. turn: step back and forth once at each. */
int test_tree_scan(test_tree *t, uint64_t moment, const uint8_t *key, size_t key_size, bool backward, bool turn,
                   size_t most, uint8_t *out, size_t room, size_t *used)
{
    tree_cursor tc;
    size_t n = 0;
    int rc = tree_cursor_open(&tc, t->pg, &t->state, moment);

    if (rc == EDB_OK)
        rc = backward ? tree_cursor_seek_last(&tc, key, key_size) : tree_cursor_seek(&tc, key, key_size);
    for (*used = 0; rc == EDB_OK && tc.tc_valid && n < most; n++) {
        uint8_t head[32];
        uint64_t size = tree_overflow_size(&tc.tc_at);
        uint32_t shown = size < sizeof head ? (uint32_t)size : sizeof head;
        rc = tree_overflow_read(t->pg, &tc.tc_at, 0, head, shown);
        if (rc != EDB_OK || *used + 16 + tc.tc_at.key_size + shown > room)
            break;
        store32(out + *used, tc.tc_at.key_size);
        store32(out + *used + 4, (uint32_t)size);
        store64(out + *used + 8, tc.tc_at.from);
        memcpy(out + *used + 16, tc.tc_at.key, tc.tc_at.key_size);
        memcpy(out + *used + 16 + tc.tc_at.key_size, head, shown);
        *used += 16 + tc.tc_at.key_size + shown;
        rc = backward ? tree_cursor_prev(&tc) : tree_cursor_next(&tc);
        if (turn && rc == EDB_OK && tc.tc_valid) {
            rc = backward ? tree_cursor_next(&tc) : tree_cursor_prev(&tc);
            if (rc == EDB_OK)
                rc = backward ? tree_cursor_prev(&tc) : tree_cursor_next(&tc);
        }
    }
    tree_cursor_close(&tc);
    return rc;
}

/* high NULL: no upper end */
int test_tree_changed(test_tree *t, uint64_t moment, const uint8_t *low, size_t low_size, const uint8_t *high,
                      size_t high_size, bool keys_alone, bool *changed, uint64_t *touched)
{
    uint64_t before = tree_touched;
    int rc = tree_changed(t->pg, &t->state, moment, low, low_size, high, high_size, keys_alone, changed);

    *touched = tree_touched - before;
    return rc;
}

/* The changes of [low, high) in commits after < n <= upto (high NULL: no upper end), each as u32 key size, key, u64 commit, and the
 * versions before and from then on. -> bytes used. */
int test_tree_events(test_tree *t, uint64_t after, uint64_t upto, const uint8_t *low, size_t low_size, const uint8_t *high,
                     size_t high_size, uint8_t *out, size_t room, size_t *used, uint64_t *touched)
{
    tree_events ev;
    const tree_event *e;
    uint64_t before = tree_touched;
    int rc = tree_events_open(&ev, t->pg, &t->state, after, upto);

    *used = 0;
    if (rc != EDB_OK)
        return rc;
    rc = tree_events_start(&ev, low, low_size, high, high_size);
    while (rc == EDB_OK && (rc = tree_events_next(&ev, &e)) == EDB_OK && e) {
        if (*used + 12 + e->key_size > room) {
            rc = EDB_NOMEM;
            break;
        }
        store32(out + *used, e->key_size);
        memcpy(out + *used + 4, e->key, e->key_size);
        store64(out + *used + 4 + e->key_size, e->at);
        *used += 12 + e->key_size;
        rc = test_put_version(t, e->had ? &e->was : NULL, out, room, used);
        if (rc == EDB_OK)
            rc = test_put_version(t, e->has ? &e->is : NULL, out, room, used);
        if (rc != EDB_OK)
            break;
    }
    tree_events_close(&ev);
    *touched = tree_touched - before;
    return rc;
}

typedef struct {
    uint8_t *out;
    size_t room, used;              /* used may exceed room: then something is left out */
} key_list;

static void list_key(void *arg, const uint8_t *key, uint32_t size)
{
    key_list *list = arg;

    if (list->used + 4 + size <= list->room) {
        store32(list->out + list->used, size);
        memcpy(list->out + list->used + 4, key, size);
    }
    list->used += 4 + size;
}

int test_tree_since(test_tree *t, uint64_t since, uint64_t most_pages, uint8_t *out, size_t room, size_t *used,
                    uint64_t *pages, bool *whole)
{
    key_list list = { .out = out, .room = room };
    int rc = tree_keys_since(t->pg, &t->state, since, most_pages, list_key, &list, pages, whole);

    *used = list.used;
    return rc ? rc : list.used <= room ? EDB_OK : EDB_NOMEM;
}

uint64_t test_tree_pages(test_tree *t, uint64_t moment)
{
    tree_cursor tc;

    tree_touched = 0;
    if (tree_cursor_open(&tc, t->pg, &t->state, moment) == EDB_OK) {
        int rc = tree_cursor_seek(&tc, NULL, 0);
        while (rc == EDB_OK && tc.tc_valid)
            rc = tree_cursor_next(&tc);
        tree_cursor_close(&tc);
    }
    return tree_touched;
}

uint64_t test_tree_live(const test_tree *t)
{
    return t->state.ts_live;
}

struct test_report {
    char *text;
    size_t room, used;
    uint64_t pages;
};

static int test_page(void *arg, page_ref ref, int kind, bool history)
{
    (void)ref, (void)kind, (void)history;
    ((struct test_report *)arg)->pages++;
    return 0;
}

static void test_breach(void *arg, const char *invariant, uint64_t page, const char *sentence)
{
    struct test_report *r = arg;
    int n = snprintf(r->text + r->used, r->room - r->used, "%s page %llu: %s\n", invariant, (unsigned long long)page,
                     sentence);

    if (n > 0 && (size_t)n < r->room - r->used)
        r->used += (size_t)n;
}

/* A step of pruning. */
int test_tree_prune(test_tree *t, uint64_t horizon, uint64_t most_pages, bool *over, uint64_t *pages)
{
    cold_pruned gone = { 0 };
    pager_commit *pc;
    int64_t time_ns;
    int rc = pager_commit_begin(t->pg, NULL, &pc);

    if (rc != EDB_OK)
        return rc;
    rc = cold_prune(pc, horizon, most_pages, &gone, over);
    if (rc == EDB_OK)
        rc = pager_commit_prepare(pc, &pager_commit_base(pc)->sn_trees, false);
    if (rc != EDB_OK) {
        pager_commit_abort(pc);
        return rc;
    }
    rc = pager_commit_publish(pc, 0, &time_ns);
    *pages = gone.cpn_pages;
    return rc == EDB_OK ? test_tree_load(t) : rc;
}

int test_tree_check(test_tree *t, char *text, size_t room, uint64_t *pages)
{
    struct test_report report = { .text = text, .room = room };
    tree_checker checker = { .page = test_page, .breach = test_breach, .arg = &report };

    text[0] = 0;
    int rc = tree_check(t->pg, &t->state, &checker);
    *pages = report.pages;
    return rc;
}

#endif
