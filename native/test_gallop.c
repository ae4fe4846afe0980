/* Test builds only: the operations on sets of ids in flat types. */
#ifdef EDB_TEST
#include "native/native_test.h"

#include <assert.h>
#include <string.h>

#include "native/gallop.h"

enum { LISTS = 256 };

static void spread(gallop_list *lists, const int64_t *ids, const size_t *starts, size_t k)
{
    assert(k <= LISTS);
    for (size_t i = 0; i < k; i++)
        lists[i] = (gallop_list){ ids + starts[i], starts[i + 1] - starts[i] };
}

size_t test_gallop_intersect(int64_t *ids, const size_t *starts, size_t k, int64_t *out, bool in_place)
{
    gallop_list lists[LISTS];
    size_t shortest = 0, n;

    spread(lists, ids, starts, k);
    if (!in_place || !k)
        return gallop_intersect(lists, k, out);
    for (size_t i = 1; i < k; i++)
        if (lists[i].ga_count < lists[shortest].ga_count)
            shortest = i;
    n = gallop_intersect(lists, k, ids + starts[shortest]);
    memcpy(out, ids + starts[shortest], n * sizeof *out);
    return n;
}

size_t test_gallop_union(int64_t *ids, const size_t *starts, size_t k, int64_t *out)
{
    gallop_list lists[LISTS];

    spread(lists, ids, starts, k);
    return gallop_union(lists, k, out);
}

size_t test_gallop_difference(int64_t *ids, const size_t *starts, int64_t *out, bool in_place)
{
    gallop_list lists[LISTS];
    size_t n;

    spread(lists, ids, starts, 2);
    n = gallop_difference(lists[0], lists[1], in_place ? ids + starts[0] : out);
    if (in_place)
        memcpy(out, ids + starts[0], n * sizeof *out);
    return n;
}
#else
typedef int test_gallop_is_empty;       /* ISO C wants something in a file */
#endif
