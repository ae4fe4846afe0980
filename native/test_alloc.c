/* Test builds only: every allocation of this library, counted, and failing when a test wants it.
 *
 * The linker leads the library's calls of malloc and its kin here (--wrap in build_native.py), under their own names
 * with __wrap_ before; __real_ is what they would have been. So no source knows of it, and what SQLite, Python and libc
 * allocate by themselves is not counted.
 *
 * Failing is a matter of the thread, blocks in use are of the process. */
#ifdef EDB_TEST

#include <stdatomic.h>
#include <stddef.h>

#include "native/native_test.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *block);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *block);

static atomic_int_fast64_t live;        /* blocks in use */
static _Thread_local int64_t passed;    /* allocations since test_alloc_fail() */
static _Thread_local int64_t failing;   /* which of them fails; 0: none */
static _Thread_local bool failing_on;   /* and all behind it */

void test_alloc_fail(int64_t nth, bool on)
{
    passed = 0;
    failing = nth;
    failing_on = on;
}

int64_t test_alloc_passed(void)
{
    return passed;
}

int64_t test_alloc_live(void)
{
    return atomic_load(&live);
}

static bool fails(void)
{
    passed++;
    return failing && (passed == failing || (failing_on && passed > failing));
}

static void *counted(void *block)
{
    if (block)
        atomic_fetch_add(&live, 1);
    return block;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    if (fails())
        return NULL;
    void *moved = __real_realloc(block, size);
    return block ? moved : counted(moved);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(__real_aligned_alloc(alignment, size));
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : counted(__real_strdup(text));
}

void __wrap_free(void *block)
{
    if (block)
        atomic_fetch_sub(&live, 1);
    __real_free(block);
}

#endif
