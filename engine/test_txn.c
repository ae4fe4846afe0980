/* Test builds only: write sets and transactions in flat types, driven from Python and judged there against models. */
#ifdef EDB_TEST

#include <stdlib.h>
#include <string.h>

#include "edb_test.h"
#include "os.h"
#include "txn_internal.h"

static void entry_from_write(const ws_entry *w, test_entry *out)
{
    *out = (test_entry){ .key = w->key, .value = w->value, .key_size = w->key_size, .value_size = w->value_size,
                         .tree = w->tree, .flags = w->flags, .seq = w->seq, .seen_from = w->seen_from };
}

bool test_ws_get(const writeset *ws, uint32_t tree, const void *key, size_t key_size, uint64_t seq, test_entry *out)
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

int test_prefix(edb_stmt *stmt, uint32_t tree, const void *prefix, size_t size, test_entry *out, bool *found)
{
    edb_entry entry = { 0 };
    int rc = now_prefix(stmt, tree, prefix, size, &entry, found);

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

#endif
