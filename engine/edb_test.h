/* What only tests may call (builds with -DEDB_TEST). Each layer has a marked region of its own below; all become part
 * of the binding of a test build. The primitives' region is in native/native_test.h. */
#ifndef EDB_EDB_TEST_H
#define EDB_EDB_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../native/native_test.h"

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
int test_pager_pin(test_pager *t, int which, uint64_t *number, int64_t *time_ns);
void test_pager_unpin(test_pager *t, uint64_t oldest);
uint64_t test_pager_size(const test_pager *t);
int test_pager_values(test_pager *t, uint64_t *values, uint64_t room);
int test_pager_time(test_pager *t, uint64_t number, int64_t *time_ns);
int test_pager_settle(test_pager *t, int64_t moment_ns);
int test_pager_begin(test_pager *t);
int test_pager_set(test_pager *t, uint64_t index, uint64_t value);
int test_pager_prepare(test_pager *t);
int test_pager_check_time(test_pager *t, int64_t time_ns);
int test_pager_publish(test_pager *t, int64_t time_ns, uint64_t *number, int64_t *time_out);
void test_pager_abort(test_pager *t);
int test_pager_wait(test_pager *t, uint64_t number, bool force);
uint64_t test_pager_id(test_pager *t, uint32_t tree, uint64_t at_least);
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
int test_tree_scan(test_tree *t, uint64_t moment, const uint8_t *key, size_t key_size, bool backward, bool turn,
                   size_t most, uint8_t *out, size_t room, size_t *used);
uint64_t test_tree_pages(test_tree *t, uint64_t moment);
uint64_t test_tree_live(const test_tree *t);
int test_tree_check(test_tree *t, char *text, size_t room, uint64_t *pages);
/* cffi: end */

#endif
