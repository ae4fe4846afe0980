/* SQLite's own locks and fork().
 *
 * SQLite guards what its connections share (memory, page caches, the list of file systems) with static mutexes. A thread
 * may hold one while another forks; in the child nobody would ever let go of it, and the child's first connection would
 * wait for ever. So the thread that forks takes them all before and gives them back on both sides, as the C library does
 * with malloc's. SQLite holds each for a moment only and calls no program's code meanwhile.
 *
 * The order is the one in which SQLite itself nests them; what everything else may need, memory, comes last. */
#include "engine/vtab/vtab.h"

#include <pthread.h>
#ifndef SQLITE_MUTEX_STATIC_VFS1
#define SQLITE_MUTEX_STATIC_VFS1 11
#endif

static const int order[] = {
    SQLITE_MUTEX_STATIC_MASTER, SQLITE_MUTEX_STATIC_VFS1, SQLITE_MUTEX_STATIC_OPEN, SQLITE_MUTEX_STATIC_LRU,
    SQLITE_MUTEX_STATIC_PMEM, SQLITE_MUTEX_STATIC_PRNG, SQLITE_MUTEX_STATIC_MEM,
};
enum { MUTEXES = sizeof order / sizeof order[0] };

static sqlite3_mutex *mutexes[MUTEXES];     /* NULL where SQLite was built without threads */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    for (int i = 0; i < MUTEXES; i++)
        sqlite3_mutex_enter(mutexes[i]);
}

static void release(void)
{
    for (int i = MUTEXES; i--;)
        sqlite3_mutex_leave(mutexes[i]);
}

static void guard(void)
{
    for (int i = 0; i < MUTEXES; i++)
        mutexes[i] = sqlite3_mutex_alloc(order[i]);
    /* Without memory for the handlers forks are as they were: a risk, no damage. */
    pthread_atfork(prepare, release, release);
}

void vtab_fork_guard(void)
{
    pthread_once(&once, guard);
}
