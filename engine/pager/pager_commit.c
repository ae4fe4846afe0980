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

#include "engine/pager/pager_impl.h"

/* ---- begin ---------------------------------------------------------------------------------------------------- */

static void commit_free(pager_commit *pc)
{
    if (!pc)
        return;
    free(pc->pc_table);
    free(pc->pc_reuse);
    free(pc->pc_young);
    free(pc->pc_pins);
    free(pc);
}

static void commit_unlock(pager *pg)
{
    atomic_store(&pg->pg_shm->sh_committer_pid, 0);
    pthread_mutex_unlock(&pg->pg_shm->sh_committer);
}

#define LOCK_SLICE_MS 20            /* so late at most an interrupt ends the wait */

static int commit_lock(pager *pg, const atomic_bool *interrupted)
{
    shm_area *shm = pg->pg_shm;
    int64_t left_ms = pg->pg_busy_ms;
    int lock;

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
    int rc = files_check(pg);
    if (!rc && atomic_load(&shm->sh_unrecovered))
        rc = recover_running(pg);
    if (!rc)
        rc = sync_poisoned(pg);
    if (rc)
        commit_unlock(pg);
    return rc;
}

static int commit_load(pager_commit *pc)
{
    pager *pg = pc->pc_pager;
    int rc = files_base_record(pg, &pc->pc_record);

    if (rc)
        return rc;
    pc->pc_base = pc->pc_record.rc_snapshot;
    pc->pc_number = pc->pc_base.sn_number + 1;
    pc->pc_young_room = 2 * RECORD_YOUNG;
    pc->pc_young = malloc(pc->pc_young_room * sizeof *pc->pc_young);
    if (!pc->pc_young)
        return edb_fail(EDB_NOMEM, "no memory for a commit");
    pc->pc_n_young = pc->pc_n_base = pc->pc_record.rc_n_young;
    memcpy(pc->pc_young, pc->pc_record.rc_young, pc->pc_n_young * sizeof *pc->pc_young);
    if (pc->pc_record.rc_free.fr_next < pg->pg_first_page || pc->pc_record.rc_free.fr_next >= pc->pc_base.sn_pages)
        return edb_fail(EDB_CORRUPT, "%s: commit %llu reserves page %llu, which is not one", pg->pg_name,
                        (unsigned long long)pc->pc_base.sn_number, (unsigned long long)pc->pc_record.rc_free.fr_next);
    for (uint64_t i = 0; i < pc->pc_n_young; i++)
        if (pc->pc_young[i].fe_page < pg->pg_first_page || pc->pc_young[i].fe_page >= pc->pc_base.sn_pages)
            return edb_fail(EDB_CORRUPT, "%s: commit %llu lists page %llu as free, which is not one", pg->pg_name,
                            (unsigned long long)pc->pc_base.sn_number, (unsigned long long)pc->pc_young[i].fe_page);
    return EDB_OK;
}

int pager_commit_begin(pager *pg, const atomic_bool *interrupted, pager_commit **out)
{
    int rc = pager_alive(pg);

    if (rc)
        return rc;
    if ((rc = pager_writable(pg)) || (rc = shm_check(&pg->pg_lock)))
        return rc;
    rc = sync_poisoned(pg);
    if (rc)
        return rc;
    pager_commit *pc = calloc(1, sizeof *pc);
    if (!pc)
        return edb_fail(EDB_NOMEM, "no memory for a commit");
    pc->pc_pager = pg;
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
