/* What only tests may call (builds with -DEDB_TEST). Each layer has a marked region of its own below; all become part
 * of the binding of a test build. The primitives' region is in native/native_test.h. */
#ifndef EDB_EDB_TEST_H
#define EDB_EDB_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "native/native_test.h"
#include "engine/edb.h"

/* ---- failpoints, clock and log of writes (os.c; docs there) ---- */

/* cffi: begin */
void test_failpoint(int (*fn)(const char *name));   /* NULL: none */
int test_log_start(const char *path);               /* NULL: stop */
void test_log_note(const char *text);
void test_clock_set(int64_t ns);
void test_clock_jump(int64_t ns);
/* cffi: end */

/* ---- a store of numbers upon the bare pager (test_pager.c) ---- */

/* cffi: begin */
typedef struct test_pager test_pager;
/* flags: 1 read-only, 2 do not create, 4 any clock */
int test_pager_open(const char *path, uint32_t page_size, int synchronous, int flags, int64_t busy_ms,
                    test_pager **out);
void test_pager_close(test_pager *t);
int test_pager_alive(test_pager *t);
uint32_t test_pager_page_size(const test_pager *t);
void test_pager_redo(test_pager *t, bool redo);
int test_pager_pin(test_pager *t, int which, uint64_t *number, int64_t *time_ns);
void test_pager_unpin(test_pager *t, uint64_t oldest);
void test_pager_idle(test_pager *t);
uint64_t test_pager_size(const test_pager *t);
int test_pager_values(test_pager *t, uint64_t *values, uint64_t room);
int test_pager_time(test_pager *t, uint64_t number, int64_t *time_ns);
int test_pager_settle(test_pager *t, int64_t moment_ns, uint64_t *until);
int test_pager_begin(test_pager *t);
int test_pager_set(test_pager *t, uint64_t index, uint64_t value);
int test_pager_prepare(test_pager *t);
int test_pager_check_time(test_pager *t, int64_t time_ns);
int test_pager_publish(test_pager *t, int64_t time_ns, uint64_t *number, int64_t *time_out);
void test_pager_abort(test_pager *t);
int test_pager_wait(test_pager *t, uint64_t number, bool force);
uint64_t test_pager_id(test_pager *t, uint32_t tree, uint64_t at_least);
int test_pager_avoid(test_pager *t, uint64_t cut);
int test_pager_move(test_pager *t, uint64_t cut, uint64_t most, bool *whole);
int test_pager_trim(test_pager *t, uint64_t cut, bool *done);
int test_pager_truncate(test_pager *t, uint64_t *bytes);
/* published, durable, pages, free pages, file bytes, syncs, pages read, pages written, oldest pin, first page */
void test_pager_stats(test_pager *t, uint64_t out[10]);
int test_pager_check(test_pager *t, char *text, size_t room, uint64_t *breaches);
double test_pager_pin_cost(test_pager *t, uint64_t n);
/* cffi: end */

/* ---- a bare tree in a file (test_tree.c) ---- */

/* cffi: begin */
typedef struct test_tree test_tree;
int test_tree_open(const char *path, uint32_t page_size, uint8_t key_size, test_tree **out);
void test_tree_close(test_tree *t);
int test_tree_apply(test_tree *t, const uint8_t *batch, size_t n, size_t calls, uint64_t *number);
int test_tree_get(test_tree *t, uint64_t moment, const uint8_t *key, size_t key_size, uint8_t *value, size_t room,
                  int64_t *size);
int test_tree_visit(test_tree *t, uint64_t moment, const uint8_t *visits, size_t n, uint8_t *out, size_t room,
                    size_t *used, uint64_t *touched);
int test_tree_which(test_tree *t, uint64_t moment, const uint8_t *keys, size_t key_size, size_t n, bool *found,
                    uint64_t *touched);
int test_tree_scan(test_tree *t, uint64_t moment, const uint8_t *key, size_t key_size, bool backward, bool turn,
                   size_t most, uint8_t *out, size_t room, size_t *used);
int test_tree_changed(test_tree *t, uint64_t moment, const uint8_t *low, size_t low_size, const uint8_t *high,
                      size_t high_size, bool keys_alone, bool *changed, uint64_t *touched);
int test_tree_events(test_tree *t, uint64_t after, uint64_t upto, const uint8_t *low, size_t low_size, const uint8_t *high,
                     size_t high_size, uint8_t *out, size_t room, size_t *used, uint64_t *touched);
/* Each key as u32 size, key. */
int test_tree_since(test_tree *t, uint64_t since, uint64_t most_pages, uint8_t *out, size_t room, size_t *used,
                    uint64_t *pages, bool *whole);
uint64_t test_tree_pages(test_tree *t, uint64_t moment);
uint64_t test_tree_live(const test_tree *t);
int test_tree_prune(test_tree *t, uint64_t horizon, uint64_t most_pages, bool *over, uint64_t *pages);
int test_tree_check(test_tree *t, char *text, size_t room, uint64_t *pages);
/* cffi: end */

/* ---- write sets and transactions on bare trees (test_txn.c) ---- */

/* cffi: begin */
typedef struct writeset writeset;
typedef struct ws_cursor ws_cursor;
typedef struct {
    const uint8_t *key, *value;
    uint32_t key_size, value_size, tree, flags;
    uint64_t seq, seen_from, from;
} test_entry;

int ws_new(uint64_t spill_bytes, writeset **out);
void ws_unref(writeset *ws);
int ws_put(writeset *ws, uint32_t tree, const void *key, size_t key_size, const void *value, size_t value_size,
           unsigned flags, uint64_t seen_from);
uint64_t ws_seq(const writeset *ws);
void ws_rollback(writeset *ws, uint64_t seq);
size_t ws_trees(const writeset *ws, uint32_t *trees, size_t room);
size_t ws_runs(const writeset *ws);
bool ws_has_prefix(writeset *ws, uint32_t tree, const void *prefix, size_t size);
int ws_cursor_open(writeset *ws, uint32_t tree, uint64_t seq, ws_cursor **out);
void ws_cursor_close(ws_cursor *wc);
bool ws_cursor_seek(ws_cursor *wc, const void *key, size_t key_size);
bool ws_cursor_seek_last(ws_cursor *wc, const void *key, size_t key_size);
bool ws_cursor_next(ws_cursor *wc);
bool ws_cursor_prev(ws_cursor *wc);
bool test_ws_get(writeset *ws, uint32_t tree, const void *key, size_t key_size, uint64_t seq, test_entry *out);
bool test_ws_at(const ws_cursor *wc, test_entry *out);
/* `n` puts of a value of value_size bytes in key order (step 1) or scattered (a larger step). -> nanoseconds a put. */
double test_ws_speed(uint64_t spill_bytes, uint64_t n, uint64_t step, size_t value_size);

/* Two features of hooks.h, numbered 0 and 1, which keep a number on a statement or on a connection. */
int test_hooks_stmt_set(edb_stmt *stmt, int feature, uint64_t number);      /* 0: takes it away */
uint64_t test_hooks_stmt(const edb_stmt *stmt, int feature);                /* 0: none */
int test_hooks_conn_set(edb_conn *conn, int feature, uint64_t number);
uint64_t test_hooks_conn(const edb_conn *conn, int feature);
/* The number that feature 0 keeps with the connection's database, another for each that is made; and how many were freed. */
uint64_t test_hooks_db(const edb_conn *conn, uint64_t *freed_of_all);
/* What commits have told feature 0 of databases with such a number, since the last call; at most 1,024 are kept. */
typedef struct {
    uint64_t database, changed, number;
    uint32_t tree, key_size;
    uint8_t key[8];
    bool tombstone, begins, published;
} test_told;
size_t test_hooks_told(test_told *out, size_t room);
/* How often the number was freed, from a statement or from a connection, by that feature. */
size_t test_hooks_freed(int feature, bool conn, uint64_t number);

/* A commit that breaks one invariant: 30 the state of `tree` answers from a commit to come; 34 an entry of the catalog
 * is written without the schema number; 36 a page is drawn and nobody's; 37 the root page of `tree` is freed. */
/* The next commit of any connection says of commit `number` that its content was reduced (entity/reduced.h). Two hashes. */
void test_reduce(uint64_t number, const uint8_t *before, const uint8_t *now);
int test_forge(edb *db, int what, uint32_t tree, const void *value, size_t size);

/* An entity in the key of a tagging (entity/tag_trees.h). */
size_t test_entity_store(bool wide, int64_t entity, uint8_t *out);
size_t test_entity_load(bool wide, const uint8_t *at, size_t size, int64_t *out);

typedef struct test_cursor test_cursor;
int test_cursor_open(edb_stmt *stmt, uint32_t tree, test_cursor **out);
void test_cursor_close(test_cursor *tc);
int test_cursor_seek(test_cursor *tc, const void *key, size_t key_size);
int test_cursor_seek_last(test_cursor *tc, const void *key, size_t key_size);
int test_cursor_next(test_cursor *tc);
int test_cursor_prev(test_cursor *tc);
bool test_cursor_at(const test_cursor *tc, test_entry *out);
int test_get(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, bool now, test_entry *out, bool *found);
/* Of a key that the tree does not have. */
int test_get_absent(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, bool now, test_entry *out,
                    bool *found);
void stmt_row_absent(edb_stmt *stmt, uint32_t tree, const uint8_t key[8]);
int test_newest(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, test_entry *out, bool *found);
int test_prefix(edb_stmt *stmt, uint32_t tree, const void *prefix, size_t size, test_entry *out, bool *found);
/* As the virtual table writes: seen_from from a look at now. value NULL: delete. */
int test_put(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, const void *value, size_t value_size);
int txn_put_unique(edb_stmt *stmt, uint32_t tree, const void *key, size_t key_size, const void *value,
                   size_t value_size, int code, const char *what);
int txn_begin_write(edb_stmt *stmt);
int txn_expect_unchanged(edb_stmt *stmt, uint32_t tree);
int txn_tree_dropped(edb_stmt *stmt, uint32_t tree);
int txn_tree_new(edb_stmt *stmt, uint8_t key_size, uint32_t *id);
int txn_schema_changed(edb_stmt *stmt);
int txn_id_next(edb_stmt *stmt, uint32_t tree, int64_t *id);
void txn_id_used(edb_stmt *stmt, uint32_t tree, int64_t id);
uint64_t txn_mark(edb_conn *conn);
void txn_rollback_to(edb_conn *conn, uint64_t mark);
void txn_savepoint(edb_conn *conn, int n);
void txn_release(edb_conn *conn, int n);
void txn_rollback_savepoint(edb_conn *conn, int n);
int txn_prepare(edb_conn *conn);
void txn_publish(edb_conn *conn);
void txn_rollback(edb_conn *conn);
/* What the running SERIALIZABLE transaction has noted: bytes, and ranges of all trees; -> whole trees. */
size_t test_reads(edb_conn *conn, size_t *bytes, size_t *ranges);
int stmt_acquire(edb_conn *conn, bool writes, bool in_transaction, edb_stmt **out);
void stmt_release(edb_stmt *stmt);
uint64_t stmt_schema(edb_stmt *stmt);
uint64_t conn_tree_rows(edb_conn *conn, uint32_t tree);
edb_conn *conn_by_id(int64_t id);
void conn_unref(edb_conn *conn);
/* cffi: end */

/* ---- tables and their rows without SQLite (test_table.c) ---- */

/* cffi: begin */
int ddl_create(edb_stmt *stmt, const uint8_t *payload, size_t size, uint32_t *table_id);
/* Values in declared order; affinities are applied to them. A statement that writes, and no SQLite connection. */
int test_table_insert(edb_stmt *stmt, uint32_t table, int64_t rowid, const test_value *values, size_t n, bool replace);
int test_table_update(edb_stmt *stmt, uint32_t table, int64_t rowid, int64_t new_rowid, const test_value *values,
                      size_t n, bool *found);
int test_table_delete(edb_stmt *stmt, uint32_t table, int64_t rowid, bool *found);
/* cffi: end */

/* ---- packs, zstd, the cache of unpacked pages (cold/, cache/, test_cold.c) ---- */

/* cffi: begin */
int test_zstd(const char *path, const char *system);
int64_t retention_span_ns(const char *text);
uint64_t test_pack_bound(unsigned n, uint32_t page_size);
/* n pages, one behind the other. */
int test_pack(const uint8_t *pages, unsigned n, uint32_t page_size, int level, uint8_t *out, size_t *size);
/* Page i, or all of them (-1), one behind the other. */
int test_unpack(const uint8_t *pack, size_t size, uint32_t page_size, int i, uint64_t number, uint8_t *out, unsigned *n);
/* Seconds for packing, and for unpacking one page each time, so many times over. */
int test_pack_speed(const uint8_t *pages, unsigned n, uint32_t page_size, int level, unsigned times, double *pack,
                    double *unpack, double *one_of_open);
/* How many entries two nodes have, if they say the same but for number and checksum; else -1. */
int64_t test_same_node(const uint8_t *a, const uint8_t *b);
/* A node of sorted entries: n times u8 flags (1 tombstone, 2 overflow), u64 from, u64 child, u32 its tag, u32 key size,
 * u32 value size, key, value. EDB_TOOBIG: they do not fit. */
int test_node_make(uint8_t *out, uint32_t page_size, bool leaf, unsigned level, uint32_t owner, unsigned fixed,
                   uint64_t writer, const uint8_t *batch, size_t n);
void pack_readers_forget(void);

typedef struct { uint64_t taken, made, kept_bytes; } test_buffer_counts;
void test_buffers(test_buffer_counts *out);
void *buffer_take(size_t size, size_t *room);
void buffer_give(void *buffer, size_t room);
void buffers_forget(void);

typedef struct cached_page cached_page;
typedef struct { uint64_t hits, misses, evictions, beyond, bytes, pages, limit; } test_cache_counts;
uint64_t cache_file(void);
void cache_limit(size_t bytes);
bool test_cache_find(uint64_t file, uint64_t id, uint64_t version, cached_page **out);
cached_page *cache_page_new(size_t size);
uint8_t *cached_bytes(cached_page *page);
cached_page *test_cache_put(cached_page *page, uint64_t file, uint64_t id, uint64_t version);
void cache_pin(cached_page *page);
void cache_unpin(cached_page *page);
void test_cache_drop(uint64_t file, uint64_t id, uint64_t version);
void cache_drop_file(uint64_t file);
void test_cache_count(test_cache_counts *out);
/* Threads that look for, make, hold and drop pages at random. -> what went wrong: 0, or the line in test_cache.c. */
int test_cache_threads(unsigned threads, unsigned steps, size_t limit, uint64_t seed);
/* cffi: end */

/* ---- filters of keys (test_filters.c) ---- */

/* cffi: begin */
/* Breaks I42: the filters that this process keeps of the connection's database forget all keys. -> how many there are. */
size_t test_filters_forget(edb_conn *conn);
/* cffi: end */

#endif
