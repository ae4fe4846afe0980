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

static free_entry chain_entry(const uint8_t *page, uint32_t index)
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

/* A chain page, with the sequence number it must have. */
static int chain_load(pager *pg, uint64_t page, uint64_t seq, uint64_t pages, const uint8_t **out)
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

/* ---- what may be reused --------------------------------------------------------------------------------------- */

static int pins_scan(pager_commit *pc)
{
    shm_area *shm = pc->pc_pager->pg_shm;

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

/* Looks at pins and the durable number, once for each commit. */
static int pins_scan_once(pager_commit *pc)
{
    if (pc->pc_scanned)
        return EDB_OK;
    int rc = pins_scan(pc);
    /* A pin that holds pages back may be a dead process's. */
    if (!rc && pc->pc_oldest < pc->pc_durable && shm_reclaim(&pc->pc_pager->pg_lock, false))
        rc = pins_scan(pc);
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

static bool reusable(const pager_commit *pc, const free_entry *e)
{
    return (e->fe_freed <= pc->pc_durable || e->fe_made > pc->pc_floor) && !is_announced(pc, e->fe_made, e->fe_freed);
}

/* Whether somebody announces a commit that may need the page of an entry of the chain. */
static int chain_announced(pager_commit *pc, free_entry *e, bool *out)
{
    const pager *pg = pc->pc_pager;
    uint8_t head[PH_SIZE];

    *out = false;
    if (e->fe_freed <= pc->pc_oldest)
        return EDB_OK;
    int rc = os_read(pg->pg_fd, head, sizeof head, e->fe_page << pg->pg_page_shift, pg->pg_name);
    if (!rc) {
        e->fe_made = load64(head + PH_WRITER);
        *out = is_announced(pc, e->fe_made, e->fe_freed);
    }
    return rc;
}

#define PUT_BACK_MOST 32            /* entries that one commit puts back: it is not to pay for all that a reader holds */

/* ---- taking --------------------------------------------------------------------------------------------------- */

static uint64_t young_take(pager_commit *pc)
{
    for (; pc->pc_scan < pc->pc_n_base; pc->pc_scan++) {
        free_entry *e = &pc->pc_young[pc->pc_scan];
        if (!reusable(pc, e))
            continue;
        uint64_t page = e->fe_page;
        memmove(e, e + 1, (pc->pc_n_young - pc->pc_scan - 1) * sizeof *e);
        pc->pc_n_young--;
        pc->pc_n_base--;
        return page;
    }
    return 0;
}

/* The first entry of the chain, which is not empty. */
static int chain_front(pager_commit *pc, free_entry *out)
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

/* Takes the first entry off the chain, and the page it stood in, if it was the last there. */
static int chain_pop(pager_commit *pc)
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

/* An entry that a reader holds back goes to the end of the queue, as the oldest of the young ones, which go there first. */
static int chain_put_back(pager_commit *pc, free_entry e)
{
    int rc = free_young_push(pc, e);

    if (rc)
        return rc;
    memmove(pc->pc_young + 1, pc->pc_young, (pc->pc_n_young - 1) * sizeof *pc->pc_young);
    pc->pc_young[0] = e;
    pc->pc_n_base++;
    pc->pc_scan++;
    return EDB_OK;
}

static int chain_take(pager_commit *pc, uint64_t *out)
{
    free_entry e;
    bool held;
    int rc = EDB_OK;

    while (!rc && pc->pc_record.rc_free.fr_chain) {
        if ((rc = chain_front(pc, &e)) || e.fe_freed > pc->pc_durable || (rc = chain_announced(pc, &e, &held)))
            break;
        if (held && pc->pc_put_back++ >= PUT_BACK_MOST)
            break;
        if ((rc = chain_pop(pc)))
            break;
        if (!held) {
            *out = e.fe_page;
            break;
        }
        rc = chain_put_back(pc, e);
    }
    return rc;
}

int free_take(pager_commit *pc, uint64_t *page)
{
    int rc = pins_scan_once(pc);

    if (rc)
        return rc;
    *page = young_take(pc);
    return *page ? EDB_OK : chain_take(pc, page);
}

/* ---- giving --------------------------------------------------------------------------------------------------- */

static int reuse_push(pager_commit *pc, uint64_t page)
{
    if (pc->pc_n_reuse == pc->pc_reuse_room) {
        uint64_t room = pc->pc_reuse_room ? 2 * pc->pc_reuse_room : 32;
        uint64_t *grown = realloc(pc->pc_reuse, room * sizeof *grown);
        if (!grown)
            return edb_fail(EDB_NOMEM, "no memory for a commit's free pages");
        pc->pc_reuse = grown;
        pc->pc_reuse_room = room;
    }
    pc->pc_reuse[pc->pc_n_reuse++] = page;
    return EDB_OK;
}

int free_young_push(pager_commit *pc, free_entry e)
{
    if (pc->pc_n_young == pc->pc_young_room) {
        uint64_t room = pc->pc_young_room ? 2 * pc->pc_young_room : 2 * RECORD_YOUNG;
        free_entry *grown = realloc(pc->pc_young, room * sizeof *grown);
        if (!grown)
            return edb_fail(EDB_NOMEM, "no memory for a commit's free pages");
        pc->pc_young = grown;
        pc->pc_young_room = room;
    }
    pc->pc_young[pc->pc_n_young++] = e;
    return EDB_OK;
}

int free_add(pager_commit *pc, uint64_t page, uint64_t made)
{
    int rc = pins_scan_once(pc);

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

/* ---- for check ------------------------------------------------------------------------------------------------ */

int pager_free_walk(pager *pg, const snapshot *sn, pager_free_fn fn, void *arg)
{
    bool stale;
    record *rc_copy = malloc(sizeof *rc_copy);

    if (!rc_copy)
        return edb_fail(EDB_NOMEM, "no memory to walk the free pages");
    int rc = ring_load(pg, sn->sn_number, rc_copy, NULL, &stale);
    if (!rc && stale)
        rc = edb_fail(EDB_BUSY, "%s: commit %llu is too old to walk its free pages; ask for a newer one", pg->pg_name,
                      (unsigned long long)sn->sn_number);
    const free_state *fr = &rc_copy->rc_free;
    for (uint32_t i = 0; !rc && i < rc_copy->rc_n_young; i++)
        rc = fn(arg, rc_copy->rc_young[i].fe_page, FREE_LISTED);
    uint64_t at = fr->fr_head, index = fr->fr_index;
    for (uint64_t i = 0; !rc && i < fr->fr_chain; i++) {
        const uint8_t *page;
        rc = chain_load(pg, at, fr->fr_seq + i, sn->sn_pages, &page);
        if (!rc)
            rc = fn(arg, at, FREE_CHAIN);
        for (uint32_t k = (uint32_t)index; !rc && k < load32(page + PH_COUNT); k++)
            rc = fn(arg, chain_entry(page, k).fe_page, FREE_LISTED);
        if (!rc)
            at = load64(page + FP_NEXT);
        index = 0;
    }
    if (!rc)
        rc = fn(arg, fr->fr_next, FREE_RESERVED);
    free(rc_copy);
    return rc;
}

int pager_record_judge(pager *pg, const snapshot *sn, pager_breach_fn breach, void *arg)
{
    bool stale;
    record *rc_copy = malloc(sizeof *rc_copy);

    if (!rc_copy)
        return edb_fail(EDB_NOMEM, "no memory to judge a commit record");
    int rc = ring_load(pg, sn->sn_number, rc_copy, NULL, &stale);
    if (!rc && stale)
        rc = edb_fail(EDB_BUSY, "%s: commit %llu is too old to judge its record; ask for a newer one", pg->pg_name,
                      (unsigned long long)sn->sn_number);
    for (uint32_t i = 0; !rc && i < rc_copy->rc_n_young; i++) {
        const free_entry *e = &rc_copy->rc_young[i];
        if (e->fe_made > e->fe_freed || e->fe_freed > sn->sn_number)
            breach(arg, "I5", e->fe_page, "a free page was made after it was freed, or freed by a commit yet to come");
    }
    if (!rc && rc_copy->rc_durable <= sn->sn_number && sn->sn_number - rc_copy->rc_durable > UNSYNCED_COMMITS)
        breach(arg, "I7", 0, "the record is too far from the commit that it says was durable");
    free(rc_copy);
    return rc;
}
