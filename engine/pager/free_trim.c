/* Giving the end of the file back: compaction's part of free space.
 *
 * Compaction wants the file to end at a page, the cut. All who commit avoid free pages behind it (pager_avoid), and what is in use
 * there is moved, by commits of few pages each. Free pages behind the cut stay in the queue meanwhile; a last commit, the trim,
 * passes the whole queue through memory once and leaves out those with which the file ends, if nobody can need them: then no page
 * is lost or counted twice (I3), and that their numbers are drawn again later is as good as taking them from the queue (rule (a) of
 * I5).
 *
 * The file is shortened when the trim is durable. Until then recovery may stand at a commit before it, whose record says
 * that the file is longer.
 *
 * Memory: the trim holds the entries of the queue, 24 bytes each and 8 for those behind the cut. */
#include <stdlib.h>

#include "engine/pager/array.h"
#include "engine/pager/pager_impl.h"

#define AVOIDING_MOST 4096          /* entries that a commit of compaction passes over; a patient one: PATIENT_MOST */
#define TRUNCATED_AT_ONCE (4u << 20)    /* bytes; the kernel takes about a millisecond for each MiB that it has in memory */

int pager_avoid(pager *pg, uint64_t cut)
{
    int rc = pager_alive(pg);

    if (!rc)
        rc = pager_writable(pg);
    if (!rc && !shm_cut_set(&pg->pg_lock, cut))
        rc = edb_fail(EDB_BUSY, "%s: another process is compacting it", pg->pg_name);
    return rc;
}

void pager_commit_avoids(pager_commit *pc, bool patient)
{
    pc->pc_put_back_most = patient ? PATIENT_MOST : AVOIDING_MOST;
}

/* ---- entries of the queue ----------------------------------------------------------------------------------------- */

typedef struct {
    free_entry *etk_entries;
    size_t etk_n, etk_room;
} taken_entries;

/* Takes up to n entries off the queue. */
static int queue_take(pager_commit *pc, uint64_t n, taken_entries *out)
{
    int rc = EDB_OK;

    while (!rc && n-- && pc->pc_record.rc_free.fr_chain) {
        free_entry e;
        if ((rc = free_chain_front(pc, &e)) || (rc = free_chain_pop(pc)) || (rc = free_made(pc, &e)))
            break;
        if (!(rc = list_room((void **)&out->etk_entries, &out->etk_room, out->etk_n, sizeof e)))
            out->etk_entries[out->etk_n++] = e;
    }
    return rc;
}

/* Whether a page of the queue itself lies at or behind the cut. */
static int queue_is_behind(pager_commit *pc, uint64_t cut, bool *out)
{
    const free_state *fr = &pc->pc_record.rc_free;
    uint64_t at = fr->fr_head;
    int rc = EDB_OK;

    *out = fr->fr_next >= cut;
    for (uint64_t i = 0; !rc && !*out && i < fr->fr_chain; i++) {
        const uint8_t *page;
        *out = at >= cut;
        rc = chain_load(pc->pc_pager, at, fr->fr_seq + i, pc->pc_record.rc_snapshot.sn_pages, &page);
        if (!rc)
            at = load64(page + FP_NEXT);
    }
    return rc;
}

/* The pages of the queue are written once: passing entries from its front to its end makes new ones. */
static int queue_move(pager_commit *pc, page_moving *mv)
{
    taken_entries taken = { 0 };
    uint64_t room = free_chain_room(pc->pc_pager), n = mv->mov_left * room, written;
    bool behind;
    int rc = queue_is_behind(pc, mv->mov_cut, &behind);

    if (rc || !behind)
        return rc;
    mv->mov_whole = false;
    rc = queue_take(pc, n < AVOIDING_MOST ? n : AVOIDING_MOST, &taken);
    if (!rc)
        rc = free_put_back(pc, taken.etk_entries, taken.etk_n);
    written = (taken.etk_n + room - 1) / room;
    mv->mov_left -= written < mv->mov_left ? written : mv->mov_left;
    mv->mov_moved += written;
    free(taken.etk_entries);
    return rc;
}

/* The reserved page becomes a page of the queue when one is written. */
static int reserved_move(pager_commit *pc, uint64_t cut)
{
    free_state *fr = &pc->pc_record.rc_free;
    uint64_t page, old = fr->fr_next;

    if (old < cut || fr->fr_chain)
        return EDB_OK;
    int rc = pager_alloc(pc, &page);
    if (!rc)
        rc = free_add(pc, old, 0);
    if (!rc)
        fr->fr_next = page;
    return rc;
}

int pager_lists_move(pager_commit *pc, page_moving *mv)
{
    snapshot *sn = &pc->pc_record.rc_snapshot;
    int rc = free_known(pc);

    if (!rc)
        rc = array_store(pc, &sn->sn_stamps, 8, NULL);
    if (!rc)
        rc = array_store(pc, &sn->sn_links, SHA256_SIZE, NULL);
    if (!rc)
        rc = array_move(pc, &sn->sn_stamps, mv);
    if (!rc)
        rc = array_move(pc, &sn->sn_links, mv);
    if (!rc)
        rc = array_move(pc, &pc->pc_cold.cd_list, mv);
    if (!rc)
        rc = queue_move(pc, mv);
    return rc ? rc : reserved_move(pc, mv->mov_cut);
}

/* ---- the trim ----------------------------------------------------------------------------------------------------- */

static int by_page(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The lowest page, at or behind the cut, from which on there are only free pages that nobody can need. */
static int lowest_end(pager_commit *pc, const taken_entries *taken, uint64_t cut, uint64_t *out)
{
    uint64_t n = 0, *pages = malloc((pc->pc_n_young + taken->etk_n + 1) * sizeof *pages);

    *out = pc->pc_record.rc_snapshot.sn_pages;
    if (!pages)
        return edb_fail(EDB_NOMEM, "no memory to give the end of the file back");
    for (uint64_t i = 0; i < pc->pc_n_young; i++)
        if (pc->pc_young[i].fe_page >= cut && free_is_settled(pc, &pc->pc_young[i]))
            pages[n++] = pc->pc_young[i].fe_page;
    for (uint64_t i = 0; i < taken->etk_n; i++)
        if (taken->etk_entries[i].fe_page >= cut && free_is_settled(pc, &taken->etk_entries[i]))
            pages[n++] = taken->etk_entries[i].fe_page;
    qsort(pages, n, sizeof *pages, by_page);
    while (n > 0 && pages[n - 1] == *out - 1) {
        --*out;
        n--;
    }
    free(pages);
    return EDB_OK;
}

static void young_leave_out(pager_commit *pc, uint64_t end)
{
    uint64_t kept = 0, base = pc->pc_n_base;

    for (uint64_t i = 0; i < pc->pc_n_young; i++) {
        if (pc->pc_young[i].fe_page < end)
            pc->pc_young[kept++] = pc->pc_young[i];
        else
            pc->pc_n_base -= i < base;
    }
    pc->pc_n_young = kept;
    pc->pc_scan = 0;
}

static void taken_leave_out(taken_entries *taken, uint64_t end)
{
    size_t kept = 0;

    for (size_t i = 0; i < taken->etk_n; i++)
        if (taken->etk_entries[i].fe_page < end)
            taken->etk_entries[kept++] = taken->etk_entries[i];
    taken->etk_n = kept;
}

int pager_trim(pager_commit *pc, uint64_t cut, bool *done)
{
    taken_entries taken = { 0 };
    uint64_t end;
    int rc = free_known(pc);

    *done = false;
    if (!rc)
        rc = queue_take(pc, UINT64_MAX, &taken);
    if (!rc)
        rc = lowest_end(pc, &taken, cut, &end);
    if (!rc && end < pc->pc_record.rc_snapshot.sn_pages) {
        *done = true;
        young_leave_out(pc, end);
        taken_leave_out(&taken, end);
        pc->pc_record.rc_snapshot.sn_pages = end;
        rc = free_put_back(pc, taken.etk_entries, taken.etk_n);
    }
    free(taken.etk_entries);
    return rc ? rc : FAILPOINT("trim:cut");
}

/* ---- the file ------------------------------------------------------------------------------------------------------ */

int pager_truncate(pager *pg, uint64_t *bytes)
{
    shm_area *shm = pg->pg_shm;
    pager_commit *pc;
    int rc = pager_commit_begin(pg, NULL, &pc);

    *bytes = 0;
    if (rc)
        return rc;
    uint64_t pages = pc->pc_base.sn_pages, file = atomic_load(&shm->sh_file_pages), some = TRUNCATED_AT_ONCE >> pg->pg_page_shift;
    if (pages < file && pc->pc_file_base <= atomic_load(&shm->sh_durable)) {
        if (file - pages > some)
            pages = file - some;
        if (atomic_load(&shm->sh_zeroed) > pages)
            atomic_store(&shm->sh_zeroed, pages);
        atomic_store(&shm->sh_file_pages, pages);
        rc = FAILPOINT("trim:truncate");
        if (!rc)
            rc = os_truncate(pg->pg_fd, pages << pg->pg_page_shift, pg->pg_name);
        if (!rc)
            *bytes = (file - pages) << pg->pg_page_shift;
    }
    pager_commit_abort(pc);
    return rc;
}
