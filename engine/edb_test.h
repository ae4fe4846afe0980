/* What only tests may call (builds with -DEDB_TEST). Each layer has a marked region of its own below; all become part
 * of the binding of a test build. The primitives' region is in native/native_test.h. */
#ifndef EDB_EDB_TEST_H
#define EDB_EDB_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../native/native_test.h"

/* ---- failpoints, clock and log of writes (os.c) ---- */

/* cffi: begin */
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
