/* Replaying redo records into pages of this process's memory.
 *
 * A *page record* has the roots of everything in pages of the file. A *redo record* says what its commit changes; the newest
 * page record before it is its *base*. What a redo commit left is found by making its changes, and those of every commit
 * between, upon the roots of the base, with the same code that makes them when a transaction commits (pager_replayer). The
 * pages that this changes are copied to memory; all others stay those of the file.
 *
 *      ring      [ 40: pages ] [ 41: redo ] [ 42: redo ] [ 43: redo ] [ 44: pages ]
 *      replay      base 40       41 ->        42 ->        43            ends at 44
 *
 * One `replay` holds what commits behind one base left. Its rules (tests/models/redo.py has them as a model):
 *
 *   R1  A snapshot of commit N is given only to who announces N, or holds the committer lock. It is that of the record in
 *       the ring: each record names the checksum of the one before, from the base on.
 *   R2  A page that commit `made` wrote and commit `freed` dropped is used again when no reader of this process announces a
 *       number in [made, freed), and nobody can pin one from now on: freed is at or below the number that readers pin, which
 *       was loaded before their slots. (The argument is I4's.)
 *   R3  A replay ends as a whole when there is a newer base at or below the number that readers pin, and no reader of this
 *       process announces a number between.
 *   R4  Commits are replayed in one go up to the one that is asked for: what they left in between is not kept. Who asks for
 *       that later (at `full` a reader stands on the durable commit, a writer on the newest) has it replayed anew upon the
 *       base, in a second replay. What a commit left is known in one of them at most.
 *   R5  The commit that is being made is built upon the newest snapshot, and becomes one itself (replay_take) before it is
 *       published. Until then nobody sees its pages.
 *
 * Readers of other numbers than the last one met take a mutex of this process. No lock is shared with other processes. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pager/cold.h"
#include "engine/pager/links.h"
#include "engine/pager/pager_impl.h"

typedef struct {
    bool rpd_known;
    uint32_t rpd_checksum;           /* of its record */
    size_t rpd_n_dropped;            /* of rp_dropped, those of commits up to it */
    snapshot rpd_snapshot;
} replayed;

struct replay {
    replay *rp_next;                /* with an older base */
    uint64_t rp_base, rp_newest;    /* rp_newest: base, or the last commit replayed */
    uint64_t rp_end;                /* the base behind it, as far as anybody here knows; UINT64_MAX */
    replayed *rp_of;                /* [n]: commit base + n, [0]: the base itself */
    size_t rp_room;
    left_page *rp_left;             /* dropped, and to be used again by R2 */
    size_t rp_n_left, rp_left_room, rp_sweep_at;
    page_ref *rp_dropped;           /* pages of the file */
    size_t rp_n_dropped, rp_dropped_room;
};

const pager_replayer *pager_replay;

enum { SWEEP_STEP = 16 };           /* so many more pages must wait before somebody looks again whether they are needed */

/* ---- who reads what ---------------------------------------------------------------------------------------------- */

/* The number that a reader who begins now pins at the least. */
static uint64_t readers_pin(const pager *pg)
{
    return pager_pin_of_readers(pg) == PIN_DURABLE ? pager_durable(pg) : pager_published(pg);
}

typedef struct {
    size_t opn_n;
    pin_range opn_of[SHM_SLOTS];
} pins;

static void pins_of_process(const pager *pg, pins *out)
{
    const shm_area *shm = pg->pg_shm;
    uint32_t used = atomic_load(&shm->sh_slots_used);

    out->opn_n = 0;
    for (uint32_t i = 0; i < used && i < SHM_SLOTS; i++) {
        const shm_slot *slot = &shm->sh_slot[i];
        uint64_t low = atomic_load(&slot->ss_low), high = atomic_load(&slot->ss_high);
        if (low != SHM_NONE && (atomic_load(&slot->ss_owner) & ~SHM_IDLE) == (uint32_t)pg->pg_lock.lk_process + 1)
            out->opn_of[out->opn_n++] = (pin_range){ low, high < low ? low : high };
    }
}

static bool any_pin(const pins *pn, uint64_t first, uint64_t end)
{
    for (size_t i = 0; i < pn->opn_n; i++)
        if (pn->opn_of[i].pin_low < end && pn->opn_of[i].pin_high >= first)
            return true;
    return false;
}

/* ---- giving pages back ------------------------------------------------------------------------------------------- */

static void replay_free(replay *rp)
{
    free(rp->rp_left);
    free(rp->rp_dropped);
    free(rp->rp_of);
    free(rp);
}

/* R2 */
static void sweep_pages(pager *pg, replay *rp, const pins *pn, uint64_t least)
{
    size_t kept = 0;

    for (size_t i = 0; i < rp->rp_n_left; i++) {
        const left_page *lp = &rp->rp_left[i];
        if (lp->lp_freed <= least && !any_pin(pn, lp->lp_made, lp->lp_freed))
            mempage_give(pg, &lp->lp_page, 1);
        else
            rp->rp_left[kept++] = *lp;
    }
    rp->rp_n_left = kept;
    rp->rp_sweep_at = kept + SWEEP_STEP;
}

/* R2 and R3. Under the mutex. */
static void sweep(pager *pg)
{
    uint64_t least = readers_pin(pg);           /* before the pins */
    pins pn;
    bool wanted = false;

    if (!shm_intact(&pg->pg_lock))              /* what it says of pins means nothing any more */
        return;
    for (const replay *rp = pg->pg_replays; rp; rp = rp->rp_next)
        wanted = wanted || rp->rp_end <= least || rp->rp_n_left >= rp->rp_sweep_at;
    if (!wanted)
        return;
    pins_of_process(pg, &pn);
    replay *rp = pg->pg_replays, *kept = NULL;
    pg->pg_replays = NULL;
    for (replay *next; rp; rp = next) {
        next = rp->rp_next;
        if (rp->rp_end <= least && !any_pin(&pn, rp->rp_base + 1, rp->rp_end)) {
            mempage_give_of(pg, rp->rp_base + 1);
            replay_free(rp);
            continue;
        }
        if (rp->rp_n_left >= rp->rp_sweep_at)
            sweep_pages(pg, rp, &pn, least);
        rp->rp_next = NULL;
        if (kept)
            kept->rp_next = rp;
        else
            pg->pg_replays = rp;
        kept = rp;
    }
}

static void base_seen(pager *pg, uint64_t number)
{
    for (replay *rp = pg->pg_replays; rp; rp = rp->rp_next)
        if (rp->rp_base < number && number < rp->rp_end)
            rp->rp_end = number;
}

void replay_base_seen(pager *pg, uint64_t number)
{
    if (!atomic_load_explicit(&pg->pg_replays, memory_order_relaxed))
        return;
    pthread_mutex_lock(&pg->pg_replay_mutex);
    base_seen(pg, number);
    sweep(pg);
    pthread_mutex_unlock(&pg->pg_replay_mutex);
}

/* Takes no mutex: in a forked child another thread of the parent may hold it for ever. */
void replay_close(pager *pg)
{
    replay *rp = pg->pg_replays;

    while (rp) {
        replay *next = rp->rp_next;
        replay_free(rp);
        rp = next;
    }
    pg->pg_replays = NULL;
    mempage_close(pg);
}

/* ---- the list ------------------------------------------------------------------------------------------------------ */

/* The one that knows what the commit left; NULL: none. */
static replay *replay_knowing(const pager *pg, uint64_t number)
{
    replay *rp = pg->pg_replays;

    while (rp && !(rp->rp_base < number && number <= rp->rp_newest && rp->rp_of[number - rp->rp_base].rpd_known))
        rp = rp->rp_next;
    return rp;
}

/* Room for what commit base + n left. */
static int replay_room(replay *rp, size_t n)
{
    size_t room = rp->rp_room;
    int rc = EDB_OK;

    while (!rc && n >= rp->rp_room)
        rc = list_room((void **)&rp->rp_of, &rp->rp_room, rp->rp_room, sizeof *rp->rp_of);
    for (; room < rp->rp_room; room++)
        rp->rp_of[room].rpd_known = false;
    return rc;
}

/* Into the list, which has the newest base first. */
static void replay_enter(pager *pg, replay *rp)
{
    replay *newer = NULL, *older = pg->pg_replays;

    base_seen(pg, rp->rp_base);
    for (; older && older->rp_base > rp->rp_base; older = older->rp_next)
        newer = older;
    rp->rp_end = newer ? newer->rp_base : UINT64_MAX;
    rp->rp_next = older;
    if (newer)
        newer->rp_next = rp;
    else
        pg->pg_replays = rp;
}

static int replay_make(pager *pg, uint64_t base, replay **out, bool *stale)
{
    replay *rp = calloc(1, sizeof *rp);
    record rc;

    if (!rp)
        return edb_fail(EDB_NOMEM, "no memory to replay commits");
    int code = replay_room(rp, 0);
    if (!code)
        code = ring_load(pg, base, &rc, NULL, stale);
    if (!code && !*stale && rc.rc_base != base)
        code = edb_fail(EDB_CORRUPT, "%s: the record of commit %llu, which others are based on, has no pages", pg->pg_name,
                        (unsigned long long)base);
    if (code || *stale) {
        free(rp->rp_of);
        free(rp);
        return code;
    }
    rp->rp_base = rp->rp_newest = base;
    rp->rp_sweep_at = SWEEP_STEP;
    rp->rp_of[0] = (replayed){ true, rc.rc_checksum, 0, rc.rc_snapshot };
    replay_enter(pg, rp);
    *out = rp;
    return EDB_OK;
}

/* The replay of the base that has come nearest to the commit, and not to it; made, if there is none. */
static int replay_before(pager *pg, uint64_t base, uint64_t number, replay **out, bool *stale)
{
    *out = NULL;
    for (replay *rp = pg->pg_replays; rp; rp = rp->rp_next)
        if (rp->rp_base == base && rp->rp_newest < number && (!*out || rp->rp_newest > (*out)->rp_newest))
            *out = rp;
    return *out ? EDB_OK : replay_make(pg, base, out, stale);
}

/* ---- records ------------------------------------------------------------------------------------------------------- */

static int record_bad(const pager *pg, uint64_t number, const char *how)
{
    return edb_fail(EDB_CORRUPT, "%s: the record of commit %llu (byte %llu) is damaged: %s; restore it from a backup",
                    pg->pg_name, (unsigned long long)number,
                    (unsigned long long)ring_offset(pg, number), how);
}

/* A redo record, copied out of the ring. */
static int redo_copy(pager *pg, uint64_t number, uint8_t bytes[RECORD_SIZE], record *rc, bool *stale)
{
    const uint8_t *slot = ring_slot(pg, number);
    uint32_t size = record_size(slot);
    uint64_t found;

    memcpy(bytes, slot, size >= REDO_HEAD && size <= RECORD_SIZE ? size : REDO_HEAD);
    atomic_thread_fence(memory_order_acquire);
    *stale = ring_overwritten(pg, number);
    if (*stale)
        return EDB_OK;
    if (!record_whole(bytes, &found) || found != number || !record_load(bytes, rc) || !(rc->rc_flags & RECORD_REDO))
        return record_bad(pg, number, "it is not the redo record that was written");
    return EDB_OK;
}

/* ---- replaying ----------------------------------------------------------------------------------------------------- */

/* What a commit left becomes known, with the pages that it made. */
static int state_add(pager *pg, replay *rp, pager_commit *pc, const snapshot *sn, uint32_t checksum)
{
    memory_made *mk = &pc->pc_memory;
    int room = replay_room(rp, sn->sn_number - rp->rp_base);

    if (room)
        return room;
    for (size_t i = 0; i < mk->mmd_n_left; i++) {
        int rc = list_room((void **)&rp->rp_left, &rp->rp_left_room, rp->rp_n_left + i, sizeof *rp->rp_left);
        if (rc)
            return rc;
        rp->rp_left[rp->rp_n_left + i] = mk->mmd_left[i];
    }
    for (size_t i = 0; i < mk->mmd_n_dropped; i++) {
        int rc = list_room((void **)&rp->rp_dropped, &rp->rp_dropped_room, rp->rp_n_dropped + i, sizeof *rp->rp_dropped);
        if (rc)
            return rc;
        rp->rp_dropped[rp->rp_n_dropped + i] = mk->mmd_dropped[i];
    }
    mempage_own(pg, mk->mmd_pages, mk->mmd_n, rp->rp_base + 1);
    mempage_give(pg, mk->mmd_reuse, mk->mmd_n_reuse);
    mk->mmd_n = mk->mmd_n_reuse = 0;
    rp->rp_n_left += mk->mmd_n_left;
    rp->rp_n_dropped += mk->mmd_n_dropped;
    rp->rp_of[sn->sn_number - rp->rp_base] = (replayed){ true, checksum, rp->rp_n_dropped, *sn };
    rp->rp_newest = sn->sn_number;
    return EDB_OK;
}

/* The link of a replayed commit. Who knew nothing of links made no commit behind one that has one. */
static int link_again(pager_commit *pc, snapshot *sn, const uint8_t *link)
{
    uint8_t before[SHA256_SIZE];

    if (!link)
        return sn->sn_links_from ? record_bad(pc->pc_pager, pc->pc_number, "it has no link, which the one before has") : EDB_OK;
    int rc = links_add(pc, sn, pc->pc_number);
    if (rc)
        return rc;
    memcpy(before, sn->sn_seal, sizeof before);
    links_set(sn, before, link);
    return EDB_OK;
}

/* One record upon what was replayed before it. */
static int replay_record(replay *rp, pager_commit *pc, void *work, snapshot *sn, uint32_t *checksum, bool *stale)
{
    uint8_t bytes[RECORD_SIZE];
    record rc;
    int code = FAILPOINT("replay:record");

    if (!code)
        code = redo_copy(pc->pc_pager, pc->pc_number, bytes, &rc, stale);
    if (code || *stale)
        return code;
    if (rc.rc_base != rp->rp_base || rc.rc_before != *checksum)
        return record_bad(pc->pc_pager, pc->pc_number, "it does not follow upon the one before");
    *checksum = rc.rc_checksum;
    sn->sn_number = pc->pc_number;
    sn->sn_time_ns = rc.rc_snapshot.sn_time_ns;
    code = pc->pc_pager->pg_replayer->apply(work, rc.rc_changes, rc.rc_changes_size);
    if (!code)
        code = stamps_add(pc, sn, sn->sn_time_ns);
    return code ? code : link_again(pc, sn, rc.rc_link);
}

/* Commits rp_newest + 1 .. last in one go. */
static int replay_run(pager *pg, replay *rp, uint64_t last, bool *stale)
{
    const replayed *before = &rp->rp_of[rp->rp_newest - rp->rp_base];   /* which was replayed last, so it is known */
    pager_commit *pc = commit_new(pg);
    snapshot sn = before->rpd_snapshot;
    uint32_t checksum = before->rpd_checksum;
    void *work = NULL;

    if (!pc)
        return edb_fail(EDB_NOMEM, "no memory to replay commits");
    pc->pc_in_memory = true;
    pc->pc_first = rp->rp_newest + 1;
    pc->pc_cold = sn.sn_cold;
    int rc = pg->pg_replayer->begin(pc, &sn.sn_trees, &work);
    for (uint64_t n = pc->pc_first; !rc && !*stale && n <= last; n++) {
        pc->pc_number = n;
        rc = replay_record(rp, pc, work, &sn, &checksum, stale);
    }
    if (!rc && !*stale)
        rc = pg->pg_replayer->end(work, &sn.sn_trees);
    if (!rc && !*stale)
        rc = cold_flush(pc);
    sn.sn_cold = pc->pc_cold;
    if (!rc && !*stale)
        rc = state_add(pg, rp, pc, &sn, checksum);
    if (work)
        pg->pg_replayer->free(work);
    commit_free(pc);
    return rc;
}

/* Under the mutex: the replay that knows what the commit left. */
static int replay_reach(pager *pg, uint64_t number, replay **out, bool *stale)
{
    uint8_t bytes[RECORD_SIZE];
    record last;
    int rc;

    if ((*out = replay_knowing(pg, number)))
        return EDB_OK;
    if ((rc = redo_copy(pg, number, bytes, &last, stale)) || *stale)
        return rc;
    if ((rc = replay_before(pg, last.rc_base, number, out, stale)) || *stale)
        return rc;
    return replay_run(pg, *out, number, stale);     /* R4 */
}

int replay_snapshot(pager *pg, uint64_t number, snapshot *out, bool *stale)
{
    replay *rp;

    *stale = false;
    if (!pg->pg_replayer)
        return record_bad(pg, number, "nobody here can replay it");
    pthread_mutex_lock(&pg->pg_replay_mutex);
    sweep(pg);
    int rc = replay_reach(pg, number, &rp, stale);
    if (!rc && !*stale)
        snapshot_copy(out, &rp->rp_of[number - rp->rp_base].rpd_snapshot);
    pthread_mutex_unlock(&pg->pg_replay_mutex);
    return rc;
}

int replay_dropped(pager *pg, uint64_t number, dropped_fn fn, void *arg)
{
    replay *rp;
    bool stale = false;

    pthread_mutex_lock(&pg->pg_replay_mutex);
    int rc = replay_reach(pg, number, &rp, &stale);
    if (!rc && stale)
        rc = edb_fail(EDB_BUSY, "%s: commit %llu is too old to find what it dropped; ask for a newer one", pg->pg_name,
                      (unsigned long long)number);
    for (size_t i = 0; !rc && i < rp->rp_of[number - rp->rp_base].rpd_n_dropped; i++)
        rc = fn(arg, rp->rp_dropped[i]);
    pthread_mutex_unlock(&pg->pg_replay_mutex);
    return rc;
}

/* ---- own commits --------------------------------------------------------------------------------------------------- */

void replay_take(pager_commit *pc, int64_t time_ns)
{
    pager *pg = pc->pc_pager;
    snapshot *sn = &pc->pc_record.rc_snapshot;
    uint64_t before = pc->pc_number - 1;
    replay *rp = NULL;
    bool stale = false;

    sn->sn_time_ns = sn->sn_tail_ns[sn->sn_tail - 1] = time_ns;
    pthread_mutex_lock(&pg->pg_replay_mutex);
    /* Where memory is short the commit is replayed from its record, like others'. */
    if (before != pc->pc_file_base)
        rp = replay_knowing(pg, before);
    else if (replay_before(pg, before, pc->pc_number, &rp, &stale) || stale)
        rp = NULL;
    if (rp && rp->rp_newest == before)
        (void)state_add(pg, rp, pc, sn, load32(pc->pc_bytes));
    pthread_mutex_unlock(&pg->pg_replay_mutex);
}
