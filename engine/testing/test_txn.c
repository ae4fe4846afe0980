/* Test builds only: write sets and transactions in flat types, driven from Python and judged there against models. */
#ifdef EDB_TEST

#include <stdlib.h>
#include <string.h>

#include "engine/testing/edb_test.h"
#include "engine/entity/reduced.h"
#include "engine/shared/os.h"
#include "engine/txn/hooks.h"
#include "engine/txn/txn_internal.h"

static void entry_from_write(const ws_entry *w, test_entry *out)
{
    *out = (test_entry){ .key = w->key, .value = w->value, .key_size = w->key_size, .value_size = w->value_size,
                         .tree = w->tree, .flags = w->flags, .seq = w->seq, .seen_from = w->seen_from };
}

bool test_ws_get(writeset *ws, uint32_t tree, const void *key, size_t key_size, uint64_t seq, test_entry *out)
{
    ws_entry entry;

    if (!ws_get(ws, tree, key, key_size, seq, &entry))
        return false;
    entry_from_write(&entry, out);
    return true;
}

bool test_ws_at(const ws_cursor *wc, test_entry *out)
{
    const ws_entry *entry = ws_cursor_at(wc);

    if (entry)
        entry_from_write(entry, out);
    return entry != NULL;
}

double test_ws_speed(uint64_t spill_bytes, uint64_t n, uint64_t step, size_t value_size)
{
    uint8_t key[8], *value = calloc(1, value_size + 1);
    int64_t begin;
    writeset *ws;
    double ns = -1;

    if (!value || ws_new(spill_bytes, &ws)) {
        free(value);
        return -1;
    }
    begin = os_ticks_ns();
    for (uint64_t i = 0; i < n; i++) {
        rowid_store(key, (int64_t)(i * step % n));
        if (ws_put(ws, 1, key, sizeof key, value, value_size, 0, 0))
            goto done;
    }
    ns = (double)(os_ticks_ns() - begin) / (double)n;
done:
    ws_unref(ws);
    free(value);
    return ns;
}

/* ---- transactions ----------------------------------------------------------------------------------------------- */

struct test_cursor {
    edb_cursor cursor;
};

static void entry_from(const edb_entry *entry, test_entry *out)
{
    *out = (test_entry){ .key = entry->key, .value = entry->value, .key_size = entry->key_size,
                         .value_size = entry->value_size, .flags = entry->overflow, .seen_from = entry->seen_from,
                         .from = entry->from };
}

int test_cursor_open(edb_stmt *stmt, uint32_t tree, test_cursor **out)
{
    test_cursor *tc = malloc(sizeof *tc);
    int rc = tc ? cursor_open(stmt, tree, &tc->cursor) : EDB_NOMEM;

    if (rc)
        free(tc);
    else
        *out = tc;
    return rc;
}

void test_cursor_close(test_cursor *tc)
{
    cursor_close(&tc->cursor);
    free(tc);
}

int test_cursor_seek(test_cursor *tc, const void *key, size_t key_size)
{
    return cursor_seek(&tc->cursor, key, key_size);
}

int test_cursor_seek_last(test_cursor *tc, const void *key, size_t key_size)
{
    return cursor_seek_last(&tc->cursor, key, key_size);
}

int test_cursor_next(test_cursor *tc)
{
    return cursor_next(&tc->cursor);
}

int test_cursor_prev(test_cursor *tc)
{
    return cursor_prev(&tc->cursor);
}

bool test_cursor_at(const test_cursor *tc, test_entry *out)
{
    if (tc->cursor.valid)
        entry_from(&tc->cursor.at, out);
    return tc->cursor.valid;
}

int test_get(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, bool now, test_entry *out, bool *found)
{
    edb_entry entry = { 0 };
    int rc = now ? now_get(stmt, tree, key, key_size, &entry, found)
                 : cursor_get(stmt, tree, key, key_size, &entry, found);

    entry_from(&entry, out);
    return rc;
}

int test_get_absent(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, bool now, test_entry *out,
                    bool *found)
{
    edb_entry entry = { 0 };
    int rc = now ? now_peek_absent(stmt, tree, key, key_size, &entry, found)
                 : cursor_get_absent(stmt, tree, key, key_size, &entry, found);

    entry_from(&entry, out);
    return rc;
}

int test_newest(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, test_entry *out, bool *found)
{
    edb_entry entry = { 0 };
    int rc = newest_get(stmt, tree, key, key_size, &entry, found);

    entry_from(&entry, out);
    return rc;
}

int test_prefix(edb_stmt *stmt, uint32_t tree, const void *prefix, size_t size, test_entry *out, bool *found)
{
    edb_entry entry = { 0 };
    int rc = now_prefix(stmt, tree, prefix, size, false, &entry, found);

    entry_from(&entry, out);
    return rc;
}

int test_put(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, const void *value, size_t value_size)
{
    edb_entry entry = { 0 };
    bool found;
    int rc = now_get(stmt, tree, key, key_size, &entry, &found);

    return rc ? rc : txn_put(stmt, tree, key, key_size, value, value_size, entry.seen_from);
}

size_t test_reads(edb_conn *conn, size_t *bytes, size_t *ranges)
{
    readset *rs = &conn->cn_txn.tx_reads;
    size_t whole = 0;

    watches_note(rs);
    *bytes = rs->rs_bytes;
    *ranges = 0;
    for (size_t i = 0; i < rs->rs_n; i++) {
        *ranges += rs->rs_trees[i].tr_n;
        whole += rs->rs_trees[i].tr_whole;
    }
    return whole;
}

/* ---- two features that keep data ----------------------------------------------------------------------------------- */

enum { FEATURES = 2, FREED_MAX = 256 };

static struct {
    bool fd_conn;
    uint64_t fd_number;
} freed[FEATURES][FREED_MAX];
static size_t n_freed[FEATURES];

static void number_free(int feature, bool conn, void *data)
{
    size_t at = n_freed[feature]++ % FREED_MAX;

    freed[feature][at].fd_conn = conn;
    freed[feature][at].fd_number = *(uint64_t *)data;
    free(data);
}

static void first_stmt_free(void *data)
{
    number_free(0, false, data);
}

static void first_conn_free(void *data)
{
    number_free(0, true, data);
}

static void second_stmt_free(void *data)
{
    number_free(1, false, data);
}

static void second_conn_free(void *data)
{
    number_free(1, true, data);
}

/* Data of databases: 1, 2, 3, ... as they are made. */
static _Atomic uint64_t n_made, n_unmade;

static void *made(void)
{
    uint64_t *number = malloc(sizeof *number);

    if (number)
        *number = ++n_made;
    return number;
}

static void unmade(void *data)
{
    n_unmade++;
    free(data);
}

/* What commits have told of databases whose data was made. */
enum { TOLD_MAX = 1024 };
static test_told told[TOLD_MAX];
static size_t n_told;

static void tell(void *data, const test_told *what)
{
    if (n_told < TOLD_MAX) {
        told[n_told] = *what;
        told[n_told].database = *(uint64_t *)data;
    }
    n_told++;
}

static void applied(void *data, uint32_t tree, uint64_t changed, uint64_t number, bool begins,
                    const tree_change *changes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        test_told one = { .tree = tree, .changed = changed, .number = number, .tombstone = changes[i].tombstone,
                          .key_size = changes[i].key_size, .begins = begins };
        memcpy(one.key, changes[i].key, one.key_size < sizeof one.key ? one.key_size : sizeof one.key);
        tell(data, &one);
    }
}

static void published(void *data, uint64_t number)
{
    tell(data, &(test_told){ .number = number, .published = true });
}

size_t test_hooks_told(test_told *out, size_t room)
{
    size_t n = n_told < room ? n_told : room;

    memcpy(out, told, (n < TOLD_MAX ? n : TOLD_MAX) * sizeof *out);
    n_told = 0;
    return n;
}

static txn_hooks features[FEATURES] = {
    { .hk_name = "first test", .hk_stmt_free = first_stmt_free, .hk_conn_free = first_conn_free, .hk_db_make = made,
      .hk_db_free = unmade, .hk_applied = applied, .hk_published = published },
    { .hk_name = "second test", .hk_stmt_free = second_stmt_free, .hk_conn_free = second_conn_free },
};

__attribute__((constructor)) static void features_load(void)
{
    hooks_register(&features[0]);
    hooks_register(&features[1]);
}

/* NULL for 0. */
static int number_new(uint64_t number, uint64_t **out)
{
    *out = NULL;
    if (!number)
        return EDB_OK;
    if (!(*out = malloc(sizeof **out)))
        return EDB_NOMEM;
    **out = number;
    return EDB_OK;
}

int test_hooks_stmt_set(edb_stmt *stmt, int feature, uint64_t number)
{
    uint64_t *data;
    int rc = number_new(number, &data);

    if (!rc)
        stmt_data_set(stmt, &features[feature], data);
    return rc;
}

int test_hooks_conn_set(edb_conn *conn, int feature, uint64_t number)
{
    uint64_t *data;
    int rc = number_new(number, &data);

    if (!rc)
        conn_data_set(conn, &features[feature], data);
    return rc;
}

uint64_t test_hooks_stmt(const edb_stmt *stmt, int feature)
{
    const uint64_t *data = stmt_data(stmt, &features[feature]);

    return data ? *data : 0;
}

uint64_t test_hooks_conn(const edb_conn *conn, int feature)
{
    const uint64_t *data = conn_data(conn, &features[feature]);

    return data ? *data : 0;
}

uint64_t test_hooks_db(const edb_conn *conn, uint64_t *freed_of_all)
{
    const uint64_t *data = db_data(conn, &features[0]);

    *freed_of_all = n_unmade;
    return data ? *data : 0;
}

size_t test_hooks_freed(int feature, bool conn, uint64_t number)
{
    size_t times = 0;

    for (size_t i = 0; i < n_freed[feature] && i < FREED_MAX; i++)
        times += freed[feature][i].fd_conn == conn && freed[feature][i].fd_number == number;
    return times;
}

/* ---- reduced contents --------------------------------------------------------------------------------------------- */

enum { REDUCED_MOST = 16 };
static struct {
    uint64_t number;
    uint8_t hashes[REDUCED_VALUE];
} reduced[REDUCED_MOST];
static size_t n_reduced;

void test_reduce(uint64_t number, const uint8_t *before, const uint8_t *now)
{
    if (n_reduced == REDUCED_MOST)
        return;
    reduced[n_reduced].number = number;
    memcpy(reduced[n_reduced].hashes, before, SHA256_SIZE);
    memcpy(reduced[n_reduced++].hashes + SHA256_SIZE, now, SHA256_SIZE);
}

static int add_reduced(edb_conn *conn, struct commit *cm)
{
    edb_stmt *stmt;
    uint32_t tree = 0;
    int rc = EDB_OK;

    (void)conn;
    if (!n_reduced || (rc = commit_statement(cm, &stmt)))
        return rc;
    for (size_t i = 0; i < n_reduced && !rc; i++)
        rc = reduced_add(cm, stmt, &tree, reduced[i].number, reduced[i].hashes, reduced[i].hashes + SHA256_SIZE);
    base_statement_free(stmt);
    n_reduced = 0;
    return rc;
}

static txn_hooks reduced_hooks = { .hk_name = "reduced contents, by tests", .hk_commit = add_reduced };

__attribute__((constructor)) static void reduced_register(void)
{
    hooks_register(&reduced_hooks);
}

/* ---- forged files ----------------------------------------------------------------------------------------------- */

static int forge_page(pager_commit *pc, uint32_t page_size)
{
    uint8_t *bytes = calloc(1, page_size);
    page_ref ref;
    uint64_t page;
    int rc = bytes ? pager_alloc(pc, &page) : EDB_NOMEM;

    if (!rc) {
        bytes[PH_KIND] = PAGE_LEAF;
        rc = pager_write(pc, page, bytes, &ref);
    }
    free(bytes);
    return rc;
}

static int forge(pager_commit *pc, array_state *trees, int what, tree_state *state, const void *value, size_t size)
{
    uint8_t element[TREE_STATE_SIZE], key[8];
    tree_change change = { .key = key, .value = value, .key_size = sizeof key, .value_size = (uint32_t)size };
    int rc = EDB_OK;

    rowid_store(key, 99);
    if (what == 30)
        state->ts_since = pager_commit_number(pc) + 5;
    else if (what == 34)
        rc = tree_apply(pc, state, &change, 1, NULL);
    else if (what == 36)
        rc = forge_page(pc, pager_page_size(pager_commit_pager(pc)));
    else if (what == 37)
        rc = pager_free(pc, state->ts_root);
    else
        rc = EDB_MISUSE;
    memset(element, 0, sizeof element);
    tree_state_store(element, state);
    return rc ? rc : array_set(pc, trees, 0, TREE_STATE_SIZE, state->ts_id, element, 1);
}

int test_forge(edb *db, int what, uint32_t tree, const void *value, size_t size)
{
    pager_commit *pc;
    array_state trees;
    tree_state state;
    int64_t ns;
    int rc = pager_commit_begin(db->db_pager, NULL, &pc);

    if (rc)
        return rc;
    trees = pager_commit_base(pc)->sn_trees;
    rc = tree_state_get(db->db_pager, pager_commit_base(pc), tree, &state);
    if (!rc)
        rc = forge(pc, &trees, what, &state, value, size);
    if (!rc)
        rc = pager_commit_prepare(pc, &trees, false);
    if (rc)
        pager_commit_abort(pc);
    else
        rc = pager_commit_publish(pc, 0, &ns);
    return rc;
}

#endif
