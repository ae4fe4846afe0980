/* Storing a tree: the pages of it that lie in memory go to the file, from the leaves up (pager_store).
 *
 * A commit that writes a redo record makes its pages in memory; a later commit stores what became of them. A page of the file
 * refers to the file alone, so only pages in memory are entered, and each is written once, though two parents may share a
 * page of history, and two versions a chain. What has become history is found by the list of cold ids. */
#include <stdlib.h>

#include "engine/shared/lists.h"
#include "engine/tree/page.h"
#include "engine/tree/tree_pieces.h"

typedef struct {
    pager_commit *sto_commit;
    pager *sto_pager;
    uint32_t sto_page_size;
    uint64_t sto_file_base;
} storing;

static int node_store(const storing *so, page_ref *ref);

/* A copy of a page in memory, to be changed and written. */
static int page_copy(const storing *so, page_ref ref, uint8_t **out)
{
    const uint8_t *page;
    int rc = pager_page(so->sto_pager, pager_get_view(so->sto_pager), ref, 0, &page);

    if (rc)
        return rc;
    if (!(*out = aligned_alloc(64, so->sto_page_size)))
        return edb_fail(EDB_NOMEM, "memory is exhausted at commit; nothing was done");
    memcpy(*out, page, so->sto_page_size);
    return EDB_OK;
}

/* ---- chains of large values --------------------------------------------------------------------------------------- */

typedef struct {
    page_ref *chp_refs;
    size_t chp_n, chp_room;
} chain_pages;

/* The pages of the chain that lie in memory; the first that does not is *rest. */
static int chain_collect(const storing *so, page_ref ref, chain_pages *out, page_ref *rest)
{
    const uint8_t *page;

    for (; ref.page && !pager_stored(so->sto_commit, &ref); ref = overflow_next(page)) {
        int rc = list_room((void **)&out->chp_refs, &out->chp_room, out->chp_n, sizeof ref);
        if (rc)
            return rc;
        out->chp_refs[out->chp_n++] = ref;
        rc = pager_page(so->sto_pager, pager_get_view(so->sto_pager), ref, PAGE_OVERFLOW, &page);
        if (rc)
            return rc;
    }
    *rest = ref;
    return EDB_OK;
}

/* Last page first, as they refer to each other. */
static int chain_store(const storing *so, page_ref *ref)
{
    chain_pages pages = { 0 };
    page_ref next = *ref;
    int rc = chain_collect(so, *ref, &pages, &next);

    while (!rc && pages.chp_n) {
        page_ref at = pages.chp_refs[--pages.chp_n];
        uint8_t *page = NULL;
        rc = page_copy(so, at, &page);
        if (!rc) {
            store64(page + OVERFLOW_NEXT, next.page);
            store32(page + OVERFLOW_NEXT + 8, next.tag);
            rc = pager_store(so->sto_commit, &at, page);
        }
        next = at;
        free(page);
    }
    *ref = next;
    free(pages.chp_refs);
    return rc;
}

/* ---- nodes ---------------------------------------------------------------------------------------------------------- */

static int child_store(const storing *so, uint8_t *at)
{
    page_ref ref = { load40(at), load32(at + 5) };

    if (!ref.page || page_is_cold(ref.page))    /* history is stored by the list of cold ids */
        return EDB_OK;
    int rc = node_store(so, &ref);
    store40(at, ref.page);
    store32(at + 5, ref.tag);
    return rc;
}

/* The reference of an entry: an interior node's child, or a large value's chain. */
static int cell_store_reference(const storing *so, uint8_t *page, unsigned offset)
{
    unsigned fixed = load16(page + TP_KEY_SIZE);
    const uint8_t *key;
    uint32_t key_size;

    if (!page_is_leaf(page))
        return child_store(so, page + (cell_key(page + offset, fixed, &key, &key_size) - page));
    tree_version v;
    cell_leaf(page + offset, fixed, &v);
    if (!v.overflow)
        return EDB_OK;
    uint8_t *pointer = page + (v.value - page);
    page_ref ref = { load64(pointer + 8), load32(pointer + 16) };
    int rc = chain_store(so, &ref);
    store64(pointer + 8, ref.page);
    store32(pointer + 16, ref.tag);
    return rc;
}

/* A leaf's version that is not newer than the pages of the file has its chain there. */
static int entry_store(const storing *so, uint8_t *page, uint64_t word)
{
    if (page_is_leaf(page) && slot_from(word) <= so->sto_file_base)
        return EDB_OK;
    return cell_store_reference(so, page, slot_offset(word));
}

static int node_store(const storing *so, page_ref *ref)
{
    uint8_t *page;

    if (pager_stored(so->sto_commit, ref))
        return EDB_OK;
    int rc = page_copy(so, *ref, &page);
    if (rc)
        return rc;
    const uint64_t *slot = page_live_slots(page);
    for (unsigned i = 0; !rc && i < page_live(page); i++)
        rc = entry_store(so, page, slot[i]);
    slot = page_dead_slots(page);
    for (unsigned i = 0; !rc && i < page_dead(page); i++, slot += 2)
        rc = entry_store(so, page, slot[0]);
    if (!rc)
        rc = pager_store(so->sto_commit, ref, page);
    free(page);
    return rc;
}

/* ---- the tree ------------------------------------------------------------------------------------------------------- */

static storing storing_of(pager_commit *pc)
{
    pager *pg = pager_commit_pager(pc);

    return (storing){ pc, pg, pager_page_size(pg), pager_commit_file_base(pc) };
}

static int cold_element_stored(pager_commit *pc, uint64_t index, uint8_t *element)
{
    storing so = storing_of(pc);
    cold_element ce;

    (void)index;
    cold_element_load(&ce, element);
    if (ce.cel_kind == COLD_PACKED)             /* it is in the file */
        return EDB_OK;
    int rc = ce.cel_kind == COLD_CHAIN ? chain_store(&so, &ce.cel_ref) : node_store(&so, &ce.cel_ref);
    cold_element_store(element, &ce);
    return rc;
}

int tree_store_history(pager_commit *pc)
{
    return cold_store(pc, cold_element_stored);
}

int tree_store(pager_commit *pc, tree_state *state)
{
    storing so = storing_of(pc);
    int rc = node_store(&so, &state->ts_root);

    return rc ? rc : array_store(pc, &state->ts_roots, TREE_ROOT_SIZE, NULL);
}
