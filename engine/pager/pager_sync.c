/* Durability: one fdatasync for everybody who waits, the background sync of `normal`, and what a failed sync means.
 *
 * A commit is published before it is synced. Who needs it durable takes the sync mutex; the holder, the leader, notes
 * the number published *before* its fdatasync, and when that returns 0 everything up to the number is durable (I8).
 * Others sleep until that sync has ended. Whose number is covered returns; of the others one leads the next, for all of them.
 * (Who waited for the mutex itself would wait for every sync of those before it in the queue, though it was durable.)
 *
 * A leader may be stopped for long (a debugger, SIGSTOP). Who has waited for LEADER_MS syncs beside it: two syncs at
 * once harm nobody. Each sync announces its number in a word of its own (sh_sync_target) as a reader would, storing
 * it and then loading the published number again, because the free-space rule for pages younger than the durable
 * commit must not overwrite what a sync under way is about to promise (I5).
 *
 * A failed fdatasync leaves it unknown what is on the disk: Linux marks the pages clean, and the next call succeeds.
 * So it poisons the database in shared memory: no commit and no wait succeeds until every process has closed it;
 * recovery then rewrites what the records since the last durable one list. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <time.h>

#include "engine/pager/pager_impl.h"

#define LEADER_MS 500
#define LEADER_SLICE_MS 20          /* so late at most a leader's death is found out */
#define NORMAL_NS 150000000         /* wake often enough that a sync starts well within 200 ms */

int sync_poisoned(const pager *pg)
{
    if (!atomic_load(&pg->pg_shm->sh_poisoned))
        return EDB_OK;
    return edb_fail(EDB_POISONED, "%s: an earlier sync to the disk failed; what was committed since is uncertain. "
                    "Close the database in every process, then reopen it", pg->pg_name);
}

/* Announces a sync, and finds the number it will make durable. */
static _Atomic uint64_t *target_take(shm_area *shm, uint64_t *number)
{
    uint64_t seen = atomic_load(&shm->sh_published);

    for (int i = 0;; i = (i + 1) % SHM_SYNCS) {
        _Atomic uint64_t *target = &shm->sh_sync_target[i];
        uint64_t old = atomic_load(target);
        /* What a killed leader left is free for all once it is durable. */
        if ((old && old > atomic_load(&shm->sh_durable)) || !atomic_compare_exchange_strong(target, &old, seen)) {
            if (i == SHM_SYNCS - 1) {
                struct timespec pause = { 0, 1000000 };
                nanosleep(&pause, NULL);
            }
            continue;
        }
        while (atomic_load(&shm->sh_published) != seen) {
            seen = atomic_load(&shm->sh_published);
            atomic_store(target, seen);
        }
        *number = seen;
        return target;
    }
}

int sync_force(pager *pg)
{
    shm_area *shm = pg->pg_shm;
    uint64_t number;
    _Atomic uint64_t *target = target_take(shm, &number);
    int rc = FAILPOINT("sync:before");

    if (!rc)
        rc = os_sync(pg->pg_fd, pg->pg_name);
    if (rc)
        atomic_store(&shm->sh_poisoned, 1);
    else
        rc = FAILPOINT("sync:after");
    atomic_fetch_add_explicit(&shm->sh_syncs, 1, memory_order_relaxed);
    /* Another descriptor may have been told of the error that this one missed. */
    if (!rc)
        rc = sync_poisoned(pg);
    if (!rc)
        shm_raise(&shm->sh_durable, number);
    uint64_t mine = number;
    atomic_compare_exchange_strong(target, &mine, 0);
    return rc;
}

/* Takes the sync mutex, or sleeps until the sync under way has ended; a leader that was killed is found out a little later.
 * -> 0 or EOWNERDEAD: it is the caller's; EBUSY: look again; another error. */
static int sync_lock(shm_area *shm, uint32_t ended)
{
    int lock = shm_mutex_try(&shm->sh_sync);

    if (lock == EBUSY) {
        atomic_fetch_add(&shm->sh_sync_sleepers, 1);
        shm_sleep(&shm->sh_syncs_ended, ended, LEADER_SLICE_MS);
        atomic_fetch_sub(&shm->sh_sync_sleepers, 1);
    }
    return lock;
}

/* Gives the mutex back, unless it was not got (EBUSY), and everybody who waits looks again. In this order: who found it taken has
 * loaded the count before. Who counts itself a sleeper too late to be seen here finds another count when it goes to sleep, and does
 * not. */
static void sync_unlock(shm_area *shm, int lock)
{
    if (lock != EBUSY)
        pthread_mutex_unlock(&shm->sh_sync);
    atomic_fetch_add(&shm->sh_syncs_ended, 1);
    if (atomic_load(&shm->sh_sync_sleepers))
        shm_wake(&shm->sh_syncs_ended);
}

int sync_run(pager *pg, uint64_t number)
{
    shm_area *shm = pg->pg_shm;
    int64_t until = os_ticks_ns() + LEADER_MS * 1000000LL;

    for (;;) {
        uint32_t ended = atomic_load(&shm->sh_syncs_ended);     /* before the rest: what ends later wakes us */
        if (atomic_load(&shm->sh_durable) >= number)
            return EDB_OK;
        int rc = sync_poisoned(pg);
        if (rc)
            return rc;
        int lock = sync_lock(shm, ended);
        if (lock == EBUSY && os_ticks_ns() < until)
            continue;
        if (lock && lock != EOWNERDEAD && lock != EBUSY)
            return edb_fail(EDB_IO, "%s: the sync lock is broken: %s", pg->pg_name, strerror(lock));
        if (atomic_load(&shm->sh_durable) < number)
            rc = sync_force(pg);
        sync_unlock(shm, lock);
        if (rc)
            return rc;
    }
}

/* ---- the background sync of `normal` --------------------------------------------------------------------------- */

static void *sync_main(void *arg)
{
    pager *pg = arg;

    pthread_mutex_lock(&pg->pg_sync_mutex);
    while (!pg->pg_sync_stop) {
        if (!pg->pg_sync_wanted) {
            pthread_cond_wait(&pg->pg_sync_cond, &pg->pg_sync_mutex);
            continue;
        }
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += NORMAL_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        while (!pg->pg_sync_stop && !pg->pg_sync_at_once
               && pthread_cond_timedwait(&pg->pg_sync_cond, &pg->pg_sync_mutex, &until) != ETIMEDOUT)
            ;
        pg->pg_sync_wanted = pg->pg_sync_at_once = false;
        pthread_mutex_unlock(&pg->pg_sync_mutex);
        (void)FAILPOINT("sync:background");
        sync_run(pg, atomic_load(&pg->pg_shm->sh_published));    /* a failure poisons: the next commit reports it */
        pthread_mutex_lock(&pg->pg_sync_mutex);
    }
    pthread_mutex_unlock(&pg->pg_sync_mutex);
    return NULL;
}

/* at_once: so many commits wait for it that one will soon have to wait itself (I7). */
static int sync_want(pager *pg, bool at_once)
{
    int rc = 0;

    pthread_mutex_lock(&pg->pg_sync_mutex);
    if (!pg->pg_sync_running) {
        rc = pthread_create(&pg->pg_sync_thread, NULL, sync_main, pg);
        pg->pg_sync_running = rc == 0;
    }
    if (!pg->pg_sync_wanted || (at_once && !pg->pg_sync_at_once)) {
        pg->pg_sync_wanted = true;
        pg->pg_sync_at_once = at_once;
        pthread_cond_signal(&pg->pg_sync_cond);
    }
    pthread_mutex_unlock(&pg->pg_sync_mutex);
    return rc;
}

/* The background sync has not begun in time, perhaps for want of a processor. A sync here delays one process; without one the
 * next commits would soon have to sync inside the committer lock (I7), and delay all. */
static int sync_help(pager *pg)
{
    shm_area *shm = pg->pg_shm;
    int rc = sync_poisoned(pg);

    if (rc)
        return rc;
    int lock = shm_mutex_try(&shm->sh_sync);
    if (lock && lock != EOWNERDEAD)
        return EDB_OK;              /* somebody syncs */
    rc = sync_force(pg);
    sync_unlock(shm, lock);
    return rc;
}

void sync_stop(pager *pg)
{
    pthread_mutex_lock(&pg->pg_sync_mutex);
    bool running = pg->pg_sync_running;
    pg->pg_sync_stop = true;
    pthread_cond_signal(&pg->pg_sync_cond);
    pthread_mutex_unlock(&pg->pg_sync_mutex);
    if (running)
        pthread_join(pg->pg_sync_thread, NULL);
}

int pager_wait_durable(pager *pg, uint64_t number, bool force)
{
    int rc = pager_alive(pg);

    if (rc)
        return rc;
    if (!shm_intact(&pg->pg_lock))          /* its numbers mean nothing; what this process wrote is durable then */
        return os_sync(pg->pg_fd, pg->pg_name);
    uint64_t published = atomic_load(&pg->pg_shm->sh_published), durable = atomic_load(&pg->pg_shm->sh_durable);
    if (number > published)
        number = published;
    if (durable >= number)
        return EDB_OK;
    uint64_t behind = number - durable;
    if (force || pg->pg_shm->sh_synchronous != SYNC_NORMAL || sync_want(pg, behind >= ring_half(pg) / 2) != 0)
        return sync_run(pg, number);
    return behind < ring_half(pg) / 4 * 3 ? sync_poisoned(pg) : sync_help(pg);
}
