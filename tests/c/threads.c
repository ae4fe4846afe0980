/* The tests of threads as a program of its own, for ThreadSanitizer: see `tsan` in tox.ini. An argument is the seed. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/testing/edb_test.h"

static int failed;

static void check(const char *what, int right)
{
    printf("%s: %s\n", what, right ? "right" : "WRONG");
    failed |= !right;
}

int main(int argc, char **argv)
{
    unsigned long seed = argc > 1 ? strtoul(argv[1], NULL, 10) : (unsigned long)time(NULL);

    printf("seed %lu\n", seed);
    check("Bloom filter", test_bloom_threads(4, 20000, seed));
    check("interning table", test_intern_threads(3, 3, 3000, 1 << 30, seed) > 2000);
    check("interning table, full", test_intern_threads(3, 3, 3000, 100000, seed) > 100);
    check("cache of unpacked pages", test_cache_threads(4, 20000, 1 << 20, seed) == 0);
    check("cache of unpacked pages, all of it pinned", test_cache_threads(4, 20000, 1 << 14, seed) == 0);
    return failed;
}
