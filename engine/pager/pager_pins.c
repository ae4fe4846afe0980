/* Pins and settled moments: what a reader says to committers.
 *
 * The pin protocol (I4): load number, store slot, load number again, retry if it moved; all four sequentially
 * consistent. A committer stores the number and only then scans the slots (pager_free.c). In the one total order of
 * these operations either the slot's store comes before the scan, or the second load sees the newer number. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/pager/pager_impl.h"

#define SETTLE_NS 2000000           /* how long a live committer may take to publish what was undecided */
#define STALE_MOST 3                /* so often a reader looks for a record before it asks for one with pages */

/* ---- pins ---------------------------------------------------------------------------------------------------- */

int pager_slot_take(pager *pg, reader_slot **out)
{
    int rc = pager_alive(pg);

    if (rc)
        return rc;
    reader_slot *slot = calloc(1, sizeof *slot);
    if (!slot)
        return edb_fail(EDB_NOMEM, "no memory for a reader slot");
    slot->sl_idle = true;
    *out = slot;
    return EDB_OK;
}

static bool slot_resume(pager *pg, reader_slot *slot)
{
    slot->sl_idle = !slot->sl_slot || !shm_slot_resume(&pg->pg_lock, slot->sl_slot);
    return !slot->sl_idle;
}

void pager_slot_give(pager *pg, reader_slot *slot)
{
    if (!slot)
        return;
    /* In a forked child it is the parent's. */
    if (pg->pg_generation == atomic_load(&pager_generation) && (!slot->sl_idle || slot_resume(pg, slot)))
        shm_slot_give(slot->sl_slot);
    cold_holds_free(&slot->sl_holds);
    free(slot);
}

void pager_slot_idle(pager *pg, reader_slot *slot)
{
    if (slot->sl_idle || pg->pg_generation != atomic_load_explicit(&pager_generation, memory_order_relaxed))
        return;
    slot->sl_idle = true;
    shm_slot_idle(slot->sl_slot);
}

static uint64_t pin_load(const pager *pg, int which)
{
    return which == PIN_DURABLE ? atomic_load(&pg->pg_shm->sh_durable) : atomic_load(&pg->pg_shm->sh_published);
}

/* Announces the number, beside what the slot held before. */
static void pin_store(shm_slot *slot, uint64_t number, uint64_t low, uint64_t high)
{
    bool nested = low != SHM_NONE;

    atomic_store(&slot->ss_high, nested && high > number ? high : number);
    atomic_store(&slot->ss_low, nested && low < number ? low : number);
}

/* What commit `number` left; the caller has announced it. */
static int snapshot_load(pager *pg, uint64_t number, snapshot *out, bool *stale)
{
    if (record_is_redo(ring_slot(pg, number)))
        return replay_snapshot(pg, number, out, stale);
    int rc = ring_load(pg, number, NULL, out, stale);
    if (!rc && !*stale)
        replay_base_seen(pg, number);
    return rc;
}

int pager_pin(pager *pg, reader_slot *slot, int which, snapshot *out)
{
    int rc = pager_alive(pg), n_stale = 0;

    assert(which == PIN_PUBLISHED || pager_pin_of_readers(pg) == PIN_DURABLE);
    if (rc)
        return rc;
    if (slot->sl_idle && !slot_resume(pg, slot)) {
        if ((rc = shm_slot_take(&pg->pg_lock, &slot->sl_slot)))
            return rc;
        slot->sl_idle = false;
    }
    shm_slot *shared = slot->sl_slot;
    uint64_t low = atomic_load_explicit(&shared->ss_low, memory_order_relaxed);
    uint64_t high = atomic_load_explicit(&shared->ss_high, memory_order_relaxed);
    for (;;) {
        if (!shm_intact(&pg->pg_lock)) {
            rc = shm_overwritten(&pg->pg_lock);
            break;
        }
        uint64_t number = pin_load(pg, which);
        rc = FAILPOINT("pin:between-loads");
        if (rc)
            break;
        pin_store(shared, number, low, high);
        if (pin_load(pg, which) != number)
            continue;
        if (!slot->sl_cached || slot->sl_snapshot.sn_number != number) {
            bool stale;
            slot->sl_cached = false;
            rc = snapshot_load(pg, number, &slot->sl_snapshot, &stale);
            if (!rc && stale) {             /* commits come faster than this process can follow */
                if (++n_stale == STALE_MOST)
                    atomic_store(&pg->pg_shm->sh_want_pages, 1);
                continue;
            }
            if (rc)
                break;
            slot->sl_cached = true;
        }
        slot->sl_snapshot.sn_cold.cd_holds = &slot->sl_holds;
        snapshot_copy(out, &slot->sl_snapshot);
        return EDB_OK;
    }
    atomic_store(&shared->ss_low, low);     /* as before; a raised ss_high only protects too much */
    return rc;
}

void pager_pin_move(pager *pg, reader_slot *slot, uint64_t oldest)
{
    if (slot->sl_idle || pg->pg_generation != atomic_load_explicit(&pager_generation, memory_order_relaxed))
        return;
    if (oldest == UINT64_MAX && slot->sl_holds.cho_n)
        cold_let_go(&slot->sl_holds);
    atomic_store_explicit(&slot->sl_slot->ss_low, oldest, memory_order_release);
}

void pager_slot_moment(reader_slot *slot, uint64_t number)
{
    if (!slot->sl_idle)
        atomic_store_explicit(&slot->sl_slot->ss_moment, number, memory_order_release);
}

/* ---- settled moments (I6) -------------------------------------------------------------------------------------
 *
 * A committer stores its intent (time, undecided), looks whether the floor is still below, writes its record and then
 * turns the intent to "decided" in one compare-and-swap; what is decided counts as published. A reader raises the
 * floor and then takes back an undecided intent at or before its moment: the committer's swap fails and it draws a
 * later time. So no lock is held anywhere, and a committer stopped at any point delays nobody who reads.
 *
 * Times only grow, so an intent never comes back with the same value. */

static void raise_time(_Atomic int64_t *word, int64_t time_ns)
{
    int64_t now = atomic_load(word);

    while (now < time_ns && !atomic_compare_exchange_weak(word, &now, time_ns))
        ;
}

/* Whether the commit is published within SETTLE_NS. */
static bool published_soon(const pager *pg, uint64_t number)
{
    for (int64_t until = os_ticks_ns() + SETTLE_NS; os_ticks_ns() < until;) {
        if (atomic_load(&pg->pg_shm->sh_published) >= number)
            return true;
        struct timespec pause = { 0, 20000 };
        nanosleep(&pause, NULL);
    }
    return false;
}

/* A record whose time was taken back may stand in the ring, or on the disk under the one that was written over it. A living
 * committer replaces it at once, and syncs that; where none does, the disk is told that it does not count. */
static int settle_void(pager *pg, int64_t moment_ns, uint64_t *until)
{
    shm_area *shm = pg->pg_shm;
    uint64_t number = atomic_load(&shm->sh_void);
    int64_t marked = atomic_load(&shm->sh_void_marked);

    if (pg->pg_memory || number <= atomic_load(&shm->sh_durable) || atomic_load(&shm->sh_void_time) <= marked)
        return EDB_OK;
    int rc = FAILPOINT("settle:taken-back");
    if (rc)
        return rc;
    if (published_soon(pg, number)) {
        *until = number;
        return EDB_OK;
    }
    if (moment_ns < marked)
        moment_ns = marked;
    rc = mark_write_settled(pg, number, moment_ns);
    if (!rc)
        raise_time(&shm->sh_void_marked, moment_ns);
    return rc;
}

/* Takes back the time of a commit that is being published, where it is not later than the moment; lets one that is decided count. */
static void settle_intent(pager *pg, int64_t moment_ns)
{
    shm_area *shm = pg->pg_shm;
    uint64_t intent = atomic_load(&shm->sh_intent);

    while (intent && (int64_t)(intent >> 1) <= moment_ns) {
        uint64_t number = atomic_load(&shm->sh_intent_number);
        if (intent & 1) {                   /* it is in, whether its committer goes on or not */
            if (atomic_load(&shm->sh_intent) == intent)
                shm_raise(&shm->sh_published, number);
            return;
        }
        shm_raise(&shm->sh_void, number);   /* both before the time is taken back: nobody misses it */
        raise_time(&shm->sh_void_time, (int64_t)(intent >> 1));
        if (atomic_compare_exchange_strong(&shm->sh_intent, &intent, 0))
            return;
    }
}

int pager_settle(pager *pg, int64_t moment_ns, uint64_t *until)
{
    shm_area *shm = pg->pg_shm;
    int rc = pager_alive(pg);
    uint64_t number;
    int64_t newest;

    *until = 0;
    if (!rc && !shm_intact(&pg->pg_lock))
        rc = shm_overwritten(&pg->pg_lock);
    if (rc)
        return rc;
    do {
        number = atomic_load(&shm->sh_published);
        newest = record_time(ring_slot(pg, number));
        atomic_thread_fence(memory_order_acquire);
    } while (ring_overwritten(pg, number));
    if (moment_ns > newest) {
        raise_time(&shm->sh_floor, moment_ns);
        settle_intent(pg, moment_ns);
    }
    return settle_void(pg, moment_ns, until);
}
