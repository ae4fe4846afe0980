/* One commit, from its beginning to its end, however it ends.
 *
 *   begin    takes the committer lock and copies the newest published record
 *   write    pages go straight to the file, into pages that neither a reader nor recovery can need (pager_alloc.c,
 *            pager_free.c); until the record stands there is nothing that knows of them
 *   prepare, publish   pager_publish.c
 *
 * A committer killed anywhere leaves either nothing (the free pages it wrote are free in the published record too) or
 * a published commit. The committer lock says nothing about the state: its next owner starts from the published record.
 *
 * Threading: a commit belongs to the thread that began it (the lock is a mutex). Memory: all of it is pc's. */
#define _GNU_SOURCE
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/pager/cold.h"
#include "engine/pager/links.h"
#include "engine/pager/pager_impl.h"

/* ---- begin ---------------------------------------------------------------------------------------------------- */

static void commit_unlock(pager *pg)
{
    atomic_store(&pg->pg_shm->sh_committer_pid, 0);
    pthread_mutex_unlock(&pg->pg_shm->sh_committer);
}

#define LOCK_SLICE_MS 20            /* so late at most an interrupt ends the wait */
#define SPIN_NS 25000               /* twice what a small commit takes; to sleep and be woken takes longer than one */
#define SPIN_ROUNDS 32              /* between looks at the clock */

/* Takes the committer lock if it becomes free within a moment. EBUSY: it did not. */
static int commit_lock_spinning(shm_area *shm)
{
    int lock = shm_mutex_try(&shm->sh_committer);

    if (lock != EBUSY)
        return lock;
    int64_t until = os_ticks_ns() + SPIN_NS;
    do {
        for (int i = 0; i < SPIN_ROUNDS && atomic_load_explicit(&shm->sh_committer_pid, memory_order_relaxed); i++)
            cpu_pause();
        lock = shm_mutex_try(&shm->sh_committer);
    } while (lock == EBUSY && os_ticks_ns() < until);
    return lock;
}

bool pager_upkeep_begin(pager *pg)
{
    int lock = shm_intact(&pg->pg_lock) ? shm_mutex_try(&pg->pg_shm->sh_upkeep) : EBUSY;

    return lock == 0 || lock == EOWNERDEAD;
}

void pager_upkeep_end(pager *pg)
{
    pthread_mutex_unlock(&pg->pg_shm->sh_upkeep);
}

static int commit_lock(pager *pg, const atomic_bool *interrupted)
{
    shm_area *shm = pg->pg_shm;
    int64_t left_ms = pg->pg_busy_ms;
    int lock = commit_lock_spinning(shm);
    bool waited = lock == EBUSY;

    if (waited)
        while ((lock = shm_mutex_lock(&shm->sh_committer, left_ms < LOCK_SLICE_MS ? left_ms : LOCK_SLICE_MS)) == ETIMEDOUT
               && (left_ms -= LOCK_SLICE_MS) > 0)
            if (interrupted && atomic_load(interrupted))
                return edb_fail(EDB_INTERRUPT, "%s: the wait for process %u to commit was interrupted; nothing was done",
                                pg->pg_name, (unsigned)atomic_load(&shm->sh_committer_pid));
    if (lock == ETIMEDOUT)
        return edb_fail(EDB_BUSY, "%s: process %u has been committing for more than %lld ms; retry", pg->pg_name,
                        (unsigned)atomic_load(&shm->sh_committer_pid), (long long)pg->pg_busy_ms);
    if (lock == EDEADLK)
        return edb_fail(EDB_MISUSE, "%s: this thread is committing already", pg->pg_name);
    if (lock && lock != EOWNERDEAD)
        return edb_fail(EDB_IO, "%s: the committer lock is broken: %s", pg->pg_name, strerror(lock));
    atomic_store(&shm->sh_committer_pid, (uint32_t)getpid());
    if (lock == EOWNERDEAD)
        atomic_store(&shm->sh_unrecovered, 1);
    int rc = files_check_lock(pg);
    if (!rc && waited)
        rc = files_check_path(pg);
    if (!rc && atomic_load(&shm->sh_unrecovered))
        rc = recover_running(pg);
    if (!rc)
        rc = sync_poisoned(pg);
    if (rc)
        commit_unlock(pg);
    return rc;
}

/* What the commit starts from. Free space is learnt when it is needed (free_known). */
static int commit_load(pager_commit *pc)
{
    pager *pg = pc->pc_pager;
    bool stale = false;
    int rc = files_base_record(pg, &pc->pc_record);

    if (rc)
        return rc;
    uint64_t number = pc->pc_record.rc_snapshot.sn_number;
    pc->pc_file_base = pc->pc_record.rc_base;
    if (pc->pc_file_base == number)
        pc->pc_base = pc->pc_record.rc_snapshot;
    else
        rc = replay_snapshot(pg, number, &pc->pc_base, &stale);
    if (!rc && stale)           /* nobody else can have published anything */
        rc = shm_overwritten(&pg->pg_lock);
    if (rc)
        return rc;
    pc->pc_record.rc_snapshot = pc->pc_base;
    pc->pc_base.sn_cold.cd_holds = &pc->pc_holds;
    pc->pc_cold = pc->pc_base.sn_cold;
    pc->pc_number = pc->pc_first = number + 1;
    memcpy(pc->pc_content, content_of_nothing, sizeof pc->pc_content);
    return EDB_OK;
}

int pager_commit_begin(pager *pg, const atomic_bool *interrupted, pager_commit **out)
{
    int rc = pager_alive(pg);

    if (rc)
        return rc;
    if ((rc = pager_writable(pg)) || (rc = shm_check(&pg->pg_lock)) || (rc = files_check_path(pg)))
        return rc;
    rc = sync_poisoned(pg);
    if (rc)
        return rc;
    pager_commit *pc = commit_new(pg);
    if (!pc)
        return edb_fail(EDB_NOMEM, "no memory for a commit");
    rc = commit_lock(pg, interrupted);
    if (rc) {
        commit_free(pc);
        return rc;
    }
    rc = commit_load(pc);
    if (rc)
        pager_commit_abort(pc);
    else
        *out = pc;
    return rc;
}

void pager_commit_abort(pager_commit *pc)
{
    commit_unlock(pc->pc_pager);
    commit_free(pc);
}

uint64_t pager_commit_number(const pager_commit *pc)
{
    return pc->pc_number;
}

const snapshot *pager_commit_base(const pager_commit *pc)
{
    return &pc->pc_base;
}

uint64_t pager_commit_file_base(const pager_commit *pc)
{
    return pc->pc_file_base;
}

void pager_commit_content(pager_commit *pc, const uint8_t content[SHA256_SIZE])
{
    assert(!pc->pc_prepared);
    memcpy(pc->pc_content, content, SHA256_SIZE);
}

/* ---- from memory to the file -------------------------------------------------------------------------------------- */

static int give_back(void *arg, page_ref ref)
{
    return pager_free(arg, ref);
}

int pager_store_begin(pager_commit *pc)
{
    memory_made *mk = &pc->pc_memory;
    int rc = FAILPOINT("commit:to-file");

    assert(!pc->pc_prepared);
    if (!rc)
        rc = cold_flush(pc);
    pc->pc_in_memory = false;
    if (!rc && pc->pc_file_base != pc->pc_base.sn_number)
        rc = replay_dropped(pc->pc_pager, pc->pc_base.sn_number, give_back, pc);
    for (size_t i = 0; !rc && i < mk->mmd_n_dropped; i++)
        rc = pager_free(pc, mk->mmd_dropped[i]);
    return rc;
}
