/* Free space: which pages a commit may write, a function of the published record alone (I3).
 *
 * Every free page is an entry (page, made, freed): commit `made` wrote it and commit `freed` stopped needing it. The
 * newest entries stand in the record itself ("young", at most RECORD_YOUNG), the older ones in a queue of immutable
 * chain pages, taken from the front:
 *
 *      record: head, index ──> [ chain page 7: next=412 ] ──> [ chain page 8: next=95 ]    page 95: reserved for
 *              young entries   [ e e e e e e e e        ]     [ e e e                 ]    chain page 9
 *                                    ^ index
 *
 * A chain page must name the next one and can never be changed, so the number of the next is reserved when it is
 * written. A chain page whose entries are all taken becomes a free page itself.
 *
 * The reclamation rule (I5). A commit may write over the page of an entry if
 *   neither a reader nor a sync under way announces a number in [made, freed), and
 *   (a) freed <= durable; or
 *   (b) made > floor, where the floor is the number below which recovery never goes.
 * Under (a) recovery cannot stand at a commit that needs the page. Under (b) it could, but would see by the lists of
 * records that the page is not what the commit wrote, and go further back; nobody was promised anything about commits
 * in between, and a sync that would promise it announces its number.
 *
 * Young entries know `made`. Of the others the page itself says it, in its header, unless somebody has written there since and
 * come to nothing: it had been free to him, so it is still.
 *
 * Here chain pages are read; free_chain.c writes them. Everything works on the commit's private copy; publishing the
 * record makes it true. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pager/pager_impl.h"

uint32_t free_chain_room(const pager *pg)
{
    return (pg->pg_page_size - FP_ENTRIES) / FP_ENTRY_SIZE;
}

free_entry chain_entry(const uint8_t *page, uint32_t index)
{
    const uint8_t *p = page + FP_ENTRIES + index * FP_ENTRY_SIZE;

    return (free_entry){ load40(p), 0, load32(p + 5) | (uint64_t)load16(p + 9) << 32 };
}

static int page_in_use(const pager *pg, uint64_t page, uint64_t pages)
{
    if (page >= pg->pg_first_page && page < pages)
        return EDB_OK;
    return edb_fail(EDB_CORRUPT, "%s: the list of free pages names page %llu, which is not one", pg->pg_name,
                    (unsigned long long)page);
}

int chain_load(pager *pg, uint64_t page, uint64_t seq, uint64_t pages, const uint8_t **out)
{
    const uint8_t *bytes;
    int rc = page_in_use(pg, page, pages);

    if (!rc)
        rc = page_untagged(pg, page, PAGE_FREE, &bytes);
    if (rc)
        return rc;
    uint32_t count = load32(bytes + PH_COUNT);
    if (load64(bytes + FP_SEQ) != seq || count == 0 || count > free_chain_room(pg))
        return edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: it is not part %llu of the list of free pages",
                        pg->pg_name, (unsigned long long)page, (unsigned long long)seq);
    *out = bytes;
    return EDB_OK;
}

/* Entries that a commit puts back, beside one for each page it draws: it is not to pay for all that a reader holds. */
#define PUT_BACK_MOST 32
#define PUT_BACK_AT_ONCE 256

/* ---- what may be reused --------------------------------------------------------------------------------------- */

static int pins_scan(pager_commit *pc)
{
    shm_area *shm = pc->pc_pager->pg_shm;

    if (!shm_intact(&pc->pc_pager->pg_lock))
        return shm_overwritten(&pc->pc_pager->pg_lock);
    pc->pc_durable = atomic_load(&shm->sh_durable);     /* before the slots: I4 */
    uint64_t big = atomic_load(&shm->sh_big);
    pc->pc_floor = big > pc->pc_durable ? big : pc->pc_durable;
    uint32_t used = atomic_load(&shm->sh_slots_used);
    free(pc->pc_pins);
    pc->pc_pins = malloc((used + SHM_SYNCS) * sizeof *pc->pc_pins);
    if (!pc->pc_pins)
        return edb_fail(EDB_NOMEM, "no memory for a commit");
    pc->pc_n_pins = 0;
    pc->pc_oldest = SHM_NONE;
    for (uint32_t i = 0; i < used; i++) {
        uint64_t low = atomic_load(&shm->sh_slot[i].ss_low), high = atomic_load(&shm->sh_slot[i].ss_high);
        if (low == SHM_NONE)
            continue;
        if (low < pc->pc_oldest)
            pc->pc_oldest = low;
        pc->pc_pins[pc->pc_n_pins++] = (pin_range){ low, high < low ? low : high };
    }
    for (int i = 0; i < SHM_SYNCS; i++) {
        uint64_t target = atomic_load(&shm->sh_sync_target[i]);
        if (target <= pc->pc_durable)       /* none, or it came to its end, or to none */
            continue;
        if (target < pc->pc_oldest)
            pc->pc_oldest = target;
        pc->pc_pins[pc->pc_n_pins++] = (pin_range){ target, target };
    }
    return EDB_OK;
}

/* What the newest page record says of free space. */
static int free_load(pager_commit *pc)
{
    pager *pg = pc->pc_pager;
    record *rc = &pc->pc_record;
    uint32_t checksum = rc->rc_checksum;
    bool stale = false;
    int code = EDB_OK;

    if (rc->rc_base != rc->rc_snapshot.sn_number) {
        code = ring_load_pages(pg, rc->rc_snapshot.sn_number, rc, &stale);
        if (!code && stale)         /* nobody else can have published anything */
            code = shm_overwritten(&pg->pg_lock);
        rc->rc_snapshot = pc->pc_base;
        rc->rc_checksum = checksum;
    }
    if (code)
        return code;
    pc->pc_young_room = 2 * RECORD_YOUNG;
    pc->pc_young = malloc(pc->pc_young_room * sizeof *pc->pc_young);
    if (!pc->pc_young)
        return edb_fail(EDB_NOMEM, "no memory for a commit");
    pc->pc_n_young = pc->pc_n_base = rc->rc_n_young;
    memcpy(pc->pc_young, rc->rc_young, pc->pc_n_young * sizeof *pc->pc_young);
    if (rc->rc_free.fr_next < pg->pg_first_page || rc->rc_free.fr_next >= pc->pc_base.sn_pages)
        return edb_fail(EDB_CORRUPT, "%s: commit %llu reserves page %llu, which is not one", pg->pg_name,
                        (unsigned long long)pc->pc_file_base, (unsigned long long)rc->rc_free.fr_next);
    for (uint64_t i = 0; i < pc->pc_n_young; i++)
        if (pc->pc_young[i].fe_page < pg->pg_first_page || pc->pc_young[i].fe_page >= pc->pc_base.sn_pages)
            return edb_fail(EDB_CORRUPT, "%s: commit %llu lists page %llu as free, which is not one", pg->pg_name,
                            (unsigned long long)pc->pc_file_base, (unsigned long long)pc->pc_young[i].fe_page);
    return EDB_OK;
}

/* What the record, pins and the durable number say of free space, once for each commit. */
int free_known(pager_commit *pc)
{
    if (pc->pc_scanned)
        return EDB_OK;
    int rc = pc->pc_young ? EDB_OK : free_load(pc);
    if (!rc)
        rc = pins_scan(pc);
    /* A pin that holds pages back may be a dead process's. */
    if (!rc && pc->pc_oldest < pc->pc_durable && shm_reclaim(&pc->pc_pager->pg_lock, false))
        rc = pins_scan(pc);
    uint64_t cut = atomic_load(&pc->pc_pager->pg_shm->sh_cut);
    pc->pc_cut = cut ? cut : UINT64_MAX;
    if (!pc->pc_put_back_most)
        pc->pc_put_back_most = PUT_BACK_MOST;
    pc->pc_scanned = rc == EDB_OK;
    return rc;
}

static bool is_announced(const pager_commit *pc, uint64_t made, uint64_t freed)
{
    for (uint32_t i = 0; freed > pc->pc_oldest && i < pc->pc_n_pins; i++)
        if (pc->pc_pins[i].pin_low < freed && pc->pc_pins[i].pin_high >= made)
            return true;
    return false;
}

bool free_is_settled(const pager_commit *pc, const free_entry *e)
{
    return e->fe_freed <= pc->pc_durable && !is_announced(pc, e->fe_made, e->fe_freed);
}

static bool reusable(const pager_commit *pc, const free_entry *e)
{
    return (e->fe_freed <= pc->pc_durable || e->fe_made > pc->pc_floor) && !is_announced(pc, e->fe_made, e->fe_freed);
}

int free_made(const pager_commit *pc, free_entry *e)
{
    const pager *pg = pc->pc_pager;
    uint8_t head[PH_SIZE];

    if (e->fe_freed <= pc->pc_oldest)
        return EDB_OK;
    int rc = os_read(pg->pg_fd, head, sizeof head, e->fe_page << pg->pg_page_shift, pg->pg_name);

    if (rc)
        return rc;
    e->fe_made = load64(head + PH_WRITER);
    if (e->fe_made > e->fe_freed)       /* of somebody who came to nothing */
        e->fe_made = e->fe_freed;
    return EDB_OK;
}

/* Whether an entry of the chain is to be left where it is: somebody announces a commit that may need the page, or it lies where
 * pages are avoided. */
static int chain_held(pager_commit *pc, free_entry *e, bool *out)
{
    int rc = free_made(pc, e);

    *out = (e->fe_page >= pc->pc_cut && pc->pc_put_back < pc->pc_put_back_most) || is_announced(pc, e->fe_made, e->fe_freed);
    return rc;
}

/* ---- taking --------------------------------------------------------------------------------------------------- */

/* The page of the first of the young entries of the base, from *at on, that may be used and lies before the cut. */
static uint64_t young_take(pager_commit *pc, uint64_t *at, uint64_t cut)
{
    for (; *at < pc->pc_n_base; ++*at) {
        free_entry *e = &pc->pc_young[*at];
        if (e->fe_page >= cut || !reusable(pc, e))
            continue;
        uint64_t page = e->fe_page;
        memmove(e, e + 1, (pc->pc_n_young - *at - 1) * sizeof *e);
        pc->pc_n_young--;
        pc->pc_n_base--;
        return page;
    }
    return 0;
}

/* One that was to be avoided, where no other is free: better than a longer file. */
static uint64_t young_take_avoided(pager_commit *pc)
{
    uint64_t at = 0, page = pc->pc_cut == UINT64_MAX ? 0 : young_take(pc, &at, UINT64_MAX);

    if (page && at < pc->pc_scan)
        pc->pc_scan--;
    return page;
}

int free_chain_front(pager_commit *pc, free_entry *out)
{
    pager *pg = pc->pc_pager;
    const free_state *fr = &pc->pc_record.rc_free;
    int rc = EDB_OK;

    if (!pc->pc_chain)
        rc = chain_load(pg, fr->fr_head, fr->fr_seq, pc->pc_record.rc_snapshot.sn_pages, &pc->pc_chain);
    if (rc)
        return rc;
    if (fr->fr_index >= load32(pc->pc_chain + PH_COUNT))
        return edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: the list of free pages begins behind its end",
                        pg->pg_name, (unsigned long long)fr->fr_head);
    *out = chain_entry(pc->pc_chain, fr->fr_index);
    return page_in_use(pg, out->fe_page, pc->pc_record.rc_snapshot.sn_pages);
}

int free_chain_pop(pager_commit *pc)
{
    free_state *fr = &pc->pc_record.rc_free;
    const uint8_t *page = pc->pc_chain;

    fr->fr_entries--;
    if (++fr->fr_index < load32(page + PH_COUNT))
        return EDB_OK;
    uint64_t done = fr->fr_head;
    fr->fr_head = load64(page + FP_NEXT);
    fr->fr_seq++;
    fr->fr_chain--;
    fr->fr_index = 0;
    pc->pc_chain = NULL;
    return free_add(pc, done, load64(page + PH_WRITER));
}

int free_put_back(pager_commit *pc, const free_entry *entries, size_t n)
{
    int rc = EDB_OK;

    for (size_t i = 0; !rc && i < n; i++)
        rc = free_young_push(pc, entries[i]);       /* for the room */
    if (rc || !n)
        return rc;
    memmove(pc->pc_young + n, pc->pc_young, (pc->pc_n_young - n) * sizeof *pc->pc_young);
    memcpy(pc->pc_young, entries, n * sizeof *entries);
    pc->pc_n_base += n;
    pc->pc_scan += n;
    return EDB_OK;
}

/* Takes entries off the chain until one is not held, or `most` are; these are in `held`. */
static int chain_take_some(pager_commit *pc, free_entry *held, size_t most, size_t *n, uint64_t *out)
{
    int rc = EDB_OK;

    for (*n = 0; !rc && !*out && *n < most && pc->pc_record.rc_free.fr_chain;) {
        bool left;
        free_entry *e = &held[*n];
        if ((rc = free_chain_front(pc, e)) || e->fe_freed > pc->pc_durable || (rc = chain_held(pc, e, &left)))
            break;
        if (left && pc->pc_put_back++ >= pc->pc_put_back_most + pc->pc_written.pmp_used)
            break;
        if ((rc = free_chain_pop(pc)))
            break;
        if (left)
            ++*n;
        else
            *out = e->fe_page;
    }
    return rc;
}

/* Those that are held go back many at a time: each time all young entries move. */
static int chain_take(pager_commit *pc, uint64_t *out)
{
    free_entry held[PUT_BACK_AT_ONCE];
    size_t n;
    int rc;

    do {
        if (!(rc = chain_take_some(pc, held, PUT_BACK_AT_ONCE, &n, out)))
            rc = free_put_back(pc, held, n);
    } while (!rc && !*out && n == PUT_BACK_AT_ONCE);
    return rc;
}

int free_take(pager_commit *pc, uint64_t *page)
{
    int rc = free_known(pc);

    if (rc)
        return rc;
    *page = young_take(pc, &pc->pc_scan, pc->pc_cut);
    if (!*page)
        rc = chain_take(pc, page);
    if (!rc && !*page)
        *page = young_take_avoided(pc);
    return rc;
}

/* ---- giving --------------------------------------------------------------------------------------------------- */

static int reuse_push(pager_commit *pc, uint64_t page)
{
    int rc = list_room((void **)&pc->pc_reuse, &pc->pc_reuse_room, pc->pc_n_reuse, sizeof *pc->pc_reuse);

    if (!rc)
        pc->pc_reuse[pc->pc_n_reuse++] = page;
    return rc;
}

int free_young_push(pager_commit *pc, free_entry e)
{
    int rc = list_room((void **)&pc->pc_young, &pc->pc_young_room, pc->pc_n_young, sizeof *pc->pc_young);

    if (!rc)
        pc->pc_young[pc->pc_n_young++] = e;
    return rc;
}

int free_add(pager_commit *pc, uint64_t page, uint64_t made)
{
    int rc = free_known(pc);

    if (rc)
        return rc;
    if (made == pc->pc_number) {
        rc = written_set(pc, page, 0);
        return rc ? rc : reuse_push(pc, page);
    }
    /* A page younger than any record that recovery can stand on may be listed by one between: take it off. */
    if (made > pc->pc_durable)
        rc = written_set(pc, page, 0);
    return rc ? rc : free_young_push(pc, (free_entry){ page, made, pc->pc_number });
}
