/* Cold ids. See cold.h.
 *
 * What a commit gives is gathered in its memory and goes to the list in portions, so that a commit that splits many leaves
 * writes a page of the list once. In between nobody looks for such an id: who writes enters current pages alone.
 *
 * A commit that makes its pages in memory has its part of the list there too, and so has every replay of its record. They
 * need not agree on the numbers, since each refers to them from its own pages; those of the process that stores the pages
 * stay. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pager/cold_hold.h"
#include "engine/pager/pager_impl.h"

enum { CE_PLACE = 0, CE_KIND = 5, CE_COMMIT = 6, CE_TAG = 12, CE_TREE = 16, CE_PLACE_IN_PACK = 20 };

_Static_assert(CE_PLACE_IN_PACK + 4 == COLD_SIZE, "an element ends with its last field");

#define PORTION 1024                /* elements gathered at the most */

void cold_element_store(uint8_t out[COLD_SIZE], const cold_element *ce)
{
    store40(out + CE_PLACE, ce->cel_ref.page);
    out[CE_KIND] = ce->cel_kind;
    store32(out + CE_COMMIT, (uint32_t)ce->cel_commit);
    store16(out + CE_COMMIT + 4, (uint16_t)(ce->cel_commit >> 32));
    store32(out + CE_TAG, ce->cel_ref.tag);
    store32(out + CE_TREE, ce->cel_tree);
    store32(out + CE_PLACE_IN_PACK, ce->cel_place);
}

void cold_element_load(cold_element *ce, const uint8_t in[COLD_SIZE])
{
    *ce = (cold_element){ .cel_ref = { load40(in + CE_PLACE), load32(in + CE_TAG) }, .cel_kind = in[CE_KIND],
                          .cel_commit = load32(in + CE_COMMIT) | (uint64_t)load16(in + CE_COMMIT + 4) << 32,
                          .cel_tree = load32(in + CE_TREE), .cel_place = load32(in + CE_PLACE_IN_PACK) };
}

/* ---- reading ------------------------------------------------------------------------------------------------------ */

static int cold_bad(pager *pg, uint64_t index, const char *how)
{
    return edb_fail(EDB_CORRUPT, "%s: cold id %llu is damaged: %s; restore a backup", pager_name(pg),
                    (unsigned long long)index, how);
}

int cold_get(pager *pg, const cold_state *cd, uint64_t index, cold_element *out)
{
    const uint8_t *element;

    if (index < cd->cd_first || index >= cd->cd_list.ar_count)
        return cold_bad(pg, index, index < cd->cd_first ? "something refers to it, and it was pruned"
                                                        : "something refers to it, and it was never given");
    int rc = array_get(pg, &cd->cd_list, COLD_SIZE, index, &element);
    if (!rc)
        cold_element_load(out, element);
    return rc;
}

int cold_page(pager *pg, const cold_state *cd, page_ref *ref, const uint8_t **out, uint64_t *held)
{
    uint64_t index = ref->page - COLD_FIRST;
    cold_element ce;
    int rc = cold_get(pg, cd, index, &ce);

    *held = 0;
    if (rc)
        return rc;
    *ref = ce.cel_ref;
    if (ce.cel_kind == COLD_PACKED)
        rc = cold_hold(pg, cd, index, &ce, out, held);
    else
        rc = ce.cel_kind == COLD_PAGE ? pager_page(pg, pager_get_view(pg), ce.cel_ref, 0, out)
                                      : cold_bad(pg, index, "a node refers to it, and it is no page's");
    if (rc || (*out)[PH_KIND] == PAGE_LEAF || (*out)[PH_KIND] == PAGE_INTERIOR)
        return rc;
    cold_leave(cd, *held);
    *held = 0;
    return edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: cold id %llu leads to it, and to no page of a tree; restore a backup",
                    pager_name(pg), (unsigned long long)ref->page, (unsigned long long)index);
}

/* ---- writing ------------------------------------------------------------------------------------------------------ */

int cold_flush(pager_commit *pc)
{
    cold_state *cd = &pc->pc_cold;
    uint64_t n = pc->pc_n_cold;

    pc->pc_n_cold = 0;
    return array_set(pc, &cd->cd_list, 0, COLD_SIZE, cd->cd_list.ar_count, pc->pc_cold_new, n);
}

/* -> *index of the element. */
static int cold_add(pager_commit *pc, const cold_element *ce, uint64_t *index)
{
    int rc = pc->pc_n_cold == PORTION ? cold_flush(pc) : EDB_OK;

    if (!rc && !pc->pc_cold_new && !(pc->pc_cold_new = malloc(PORTION * COLD_SIZE)))
        rc = edb_fail(EDB_NOMEM, "no memory for what a commit makes history");
    if (rc)
        return rc;
    *index = pc->pc_cold.cd_list.ar_count + pc->pc_n_cold;
    if (*index >= COLD_MOST)
        return edb_fail(EDB_FULL, "%s: the file has the most history it can have", pager_name(pc->pc_pager));
    cold_element_store(pc->pc_cold_new + COLD_SIZE * pc->pc_n_cold++, ce);
    return EDB_OK;
}

int cold_give(pager_commit *pc, uint32_t tree, page_ref *ref)
{
    const cold_element ce = { .cel_ref = *ref, .cel_commit = pc->pc_number, .cel_tree = tree, .cel_kind = COLD_PAGE };
    uint64_t index;

    if (page_is_cold(ref->page))
        return EDB_OK;
    int rc = cold_add(pc, &ce, &index);
    if (!rc)
        *ref = (page_ref){ COLD_FIRST + index, 0 };
    return rc;
}

int cold_give_chain(pager_commit *pc, uint32_t tree, page_ref first, uint64_t from)
{
    const cold_element ce = { .cel_ref = first, .cel_commit = pc->pc_number, .cel_tree = tree, .cel_kind = COLD_CHAIN };
    uint64_t index;

    /* A version older than the first id may stand in history that has none, and is never pruned. */
    return from >= pc->pc_cold.cd_since ? cold_add(pc, &ce, &index) : EDB_OK;
}

int cold_store(pager_commit *pc, array_element_fn fn)
{
    return array_store(pc, &pc->pc_cold.cd_list, COLD_SIZE, fn);
}

const cold_state *pager_commit_cold(const pager_commit *pc)
{
    return &pc->pc_cold;
}

int cold_set(pager_commit *pc, uint64_t index, const cold_element *ce)
{
    uint8_t element[COLD_SIZE];
    int rc = cold_flush(pc);

    cold_element_store(element, ce);
    return rc ? rc : array_set(pc, &pc->pc_cold.cd_list, 0, COLD_SIZE, index, element, 1);
}
