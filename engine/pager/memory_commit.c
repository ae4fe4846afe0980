/* The pages of a commit that makes them in memory (memory_pages.c): drawing, writing and dropping them.
 *
 * A commit that will write a redo record makes its pages there, and so does a replay of such records. Readers in this
 * process may stand on the commits before, so a page that another commit made is copied, not changed; who drops it says so,
 * and replay.c finds out when nobody needs it. A page of the file that is dropped stays as it is: the next commit that
 * writes to the file gives it back (pager_store_begin). */
#include <stdlib.h>
#include <string.h>

#include "engine/pager/pager_impl.h"

/* The memory of a commit that has ended, kept for the next one with the lists that most commits need. Two threads may begin
 * one at the same time, before either has the committer lock. */
enum { KEPT_MOST = 256 };           /* elements of a list */

pager_commit *commit_new(pager *pg)
{
    pager_commit *pc = atomic_exchange_explicit(&pg->pg_spare_commit, NULL, memory_order_acquire);
    memory_made lists = { 0 };

    if (pc)
        lists = pc->pc_memory;
    else if (!(pc = malloc(sizeof *pc)))
        return NULL;
    memset(pc, 0, offsetof(pager_commit, pc_record));
    pc->pc_memory = lists;
    pc->pc_pager = pg;
    return pc;
}

static void lists_free(memory_made *mk)
{
    free(mk->mmd_pages);
    free(mk->mmd_reuse);
    free(mk->mmd_left);
    free(mk->mmd_dropped);
}

static bool keep(pager_commit *pc)
{
    memory_made *mk = &pc->pc_memory;
    pager_commit *none = NULL;

    if (mk->mmd_room > KEPT_MOST || mk->mmd_reuse_room > KEPT_MOST || mk->mmd_left_room > KEPT_MOST
        || mk->mmd_dropped_room > KEPT_MOST)
        return false;
    mk->mmd_n = mk->mmd_n_reuse = mk->mmd_n_left = mk->mmd_n_dropped = 0;
    return atomic_compare_exchange_strong_explicit(&pc->pc_pager->pg_spare_commit, &none, pc, memory_order_release,
                                                   memory_order_relaxed);
}

void commit_free(pager_commit *pc)
{
    memory_made *mk = &pc->pc_memory;

    if (mk->mmd_n)
        mempage_give(pc->pc_pager, mk->mmd_pages, mk->mmd_n);
    page_map_free(&pc->pc_written);
    free(pc->pc_reuse);
    free(pc->pc_young);
    free(pc->pc_pins);
    page_map_free(&pc->pc_moved);
    free(pc->pc_cold_new);
    cold_holds_free(&pc->pc_holds);
    if (keep(pc))
        return;
    lists_free(mk);
    free(pc);
}

void commit_spare_free(pager *pg)
{
    pager_commit *pc = atomic_load(&pg->pg_spare_commit);

    if (pc)
        lists_free(&pc->pc_memory);
    free(pc);
    atomic_store(&pg->pg_spare_commit, NULL);
}

int memory_alloc(pager_commit *pc, uint64_t *page)
{
    memory_made *mk = &pc->pc_memory;

    if (mk->mmd_n_reuse) {
        *page = mk->mmd_reuse[--mk->mmd_n_reuse];
        return EDB_OK;
    }
    int rc = list_room((void **)&mk->mmd_pages, &mk->mmd_room, mk->mmd_n, sizeof *mk->mmd_pages);
    if (!rc)
        rc = list_room((void **)&mk->mmd_reuse, &mk->mmd_reuse_room, mk->mmd_n, sizeof *mk->mmd_reuse);
    if (!rc)
        rc = mempage_take(pc->pc_pager, page);
    if (!rc)
        mk->mmd_pages[mk->mmd_n++] = *page;
    return rc;
}

void memory_write(pager_commit *pc, uint64_t page, uint8_t *bytes, page_ref *out)
{
    store64(bytes + PH_WRITER, pc->pc_number);
    mempage_write(pc->pc_pager, page, bytes, out);
}

int memory_free(pager_commit *pc, page_ref ref, uint64_t made)
{
    memory_made *mk = &pc->pc_memory;
    int rc;

    if (!pager_in_memory(ref.page)) {
        rc = list_room((void **)&mk->mmd_dropped, &mk->mmd_dropped_room, mk->mmd_n_dropped, sizeof *mk->mmd_dropped);
        if (!rc)
            mk->mmd_dropped[mk->mmd_n_dropped++] = ref;
        return rc;
    }
    if (made >= pc->pc_first) {
        mk->mmd_reuse[mk->mmd_n_reuse++] = ref.page;      /* there is room for each page that was made */
        return EDB_OK;
    }
    rc = list_room((void **)&mk->mmd_left, &mk->mmd_left_room, mk->mmd_n_left, sizeof *mk->mmd_left);
    if (!rc)
        mk->mmd_left[mk->mmd_n_left++] = (left_page){ ref.page, made, pc->pc_number };
    return rc;
}
