/* The chains of large values that are taken out of a tree, or of which a part is.
 *
 * All copies of a version refer to one chain, and when the version has ended an element of the list of cold ids does. A chain that
 * the list does not have any more was pruned: what still refers to it answers for no moment that is kept. One whose version lives is
 * not taken. An element whose chain went stays, and leads nowhere. */
#include "engine/tree/tree_erasure.h"

#include <stdlib.h>

static int by_page(const void *a, const void *b)
{
    uint64_t x = ((const erased_chain *)a)->erc_ref.page, y = ((const erased_chain *)b)->erc_ref.page;

    return (x > y) - (x < y);
}

int erase_chains_read(erasure *er)
{
    const cold_state *cd = pager_commit_cold(er->era_commit);
    int rc = EDB_OK;

    for (uint64_t i = cd->cd_first; !rc && i < cd->cd_list.ar_count; i++) {
        cold_element ce;
        rc = cold_get(er->era_pager, cd, i, &ce);
        if (rc || ce.cel_kind != COLD_CHAIN || ce.cel_tree != er->era_state->ts_id || !ce.cel_ref.page)
            continue;
        rc = list_room((void **)&er->era_chains, &er->era_chains_room, er->era_n_chains, sizeof *er->era_chains);
        if (!rc)
            er->era_chains[er->era_n_chains++] = (erased_chain){ .erc_ref = ce.cel_ref, .erc_index = i };
    }
    if (er->era_n_chains)
        qsort(er->era_chains, er->era_n_chains, sizeof *er->era_chains, by_page);
    return rc;
}

/* NULL: it was pruned, or its version lives. */
static erased_chain *chain_of(erasure *er, const page_entry *e)
{
    erased_chain wanted = { .erc_ref = overflow_first(e->value) };
    erased_chain *found = er->era_n_chains ? bsearch(&wanted, er->era_chains, er->era_n_chains, sizeof wanted, by_page) : NULL;

    return found && found->erc_ref.tag == wanted.erc_ref.tag ? found : NULL;
}

static int is_listed(const erasure *er, const page_entry *e)
{
    if (e->from >= er->era_reading.ts_cold.cd_since)
        return EDB_OK;
    return edb_fail(EDB_CANNOT, "%s: a large value was written by a version without cold ids, and cannot be erased; copy the "
                    "database to a new file", pager_name(er->era_pager));
}

int erase_chain_drop(erasure *er, const page_entry *e)
{
    erased_chain *erc = chain_of(er, e);

    if (!erc)
        return is_listed(er, e);
    erc->erc_met = true;
    return EDB_OK;
}

/* ---- a value reduced ------------------------------------------------------------------------------------------------- */

/* Last page first, as they refer to each other. */
static int chain_write(erasure *er, const uint8_t *value, uint64_t size, page_ref *out)
{
    uint32_t room = er->era_page_size - OVERFLOW_DATA;
    uint8_t *page = aligned_alloc(64, er->era_page_size);
    page_ref next = { 0, 0 };
    uint64_t left = size, at;
    int rc = page ? EDB_OK : erase_no_memory();

    while (!rc && left > 0) {
        uint32_t part = left % room ? (uint32_t)(left % room) : room;
        left -= part;
        memset(page, 0, er->era_page_size);
        page[PH_KIND] = PAGE_OVERFLOW;
        store32(page + PH_OWNER, er->era_state->ts_id);
        store32(page + PH_COUNT, part);
        store64(page + OVERFLOW_NEXT, next.page);
        store32(page + OVERFLOW_NEXT + 8, next.tag);
        memcpy(page + OVERFLOW_DATA, value + left, part);
        rc = pager_alloc(er->era_commit, &at);
        if (!rc)
            rc = pager_write(er->era_commit, at, page, &next);
    }
    free(page);
    *out = next;
    return rc;
}

static int chain_reduce(erasure *er, erased_chain *erc, const page_entry *e)
{
    const tree_erasing *what = er->era_what;
    tree_version version = { .value = e->value, .value_size = e->value_size, .overflow = true };
    size_t size = tree_overflow_size(&version), now = 0;
    uint8_t *value = malloc(2 * size + 2);
    int rc = value ? tree_overflow_read(er->era_pager, &version, 0, value, size) : erase_no_memory();

    if (!rc)
        rc = what->ter_value(what->ter_arg, value, size, value + size, &now);
    erc->erc_now = erc->erc_ref;
    erc->erc_size = now;
    if (!rc && (now != size || memcmp(value, value + size, size)))
        rc = chain_write(er, value + size, now, &erc->erc_now);
    erc->erc_met = rc == EDB_OK;
    free(value);
    return rc;
}

int erase_chain_reduce(erasure *er, page_entry *e, bool *changed)
{
    erased_chain *erc = chain_of(er, e);
    int rc = !erc ? is_listed(er, e) : erc->erc_met ? EDB_OK : chain_reduce(er, erc, e);

    if (rc || !erc || erc->erc_now.page == erc->erc_ref.page)
        return rc;
    uint8_t *pointer = arena_alloc(&er->era_page_arena, OVERFLOW_SIZE);
    if (!pointer)
        return erase_no_memory();
    store64(pointer, erc->erc_size);
    store64(pointer + 8, erc->erc_now.page);
    store32(pointer + 16, erc->erc_now.tag);
    e->value = pointer;
    *changed = true;
    return EDB_OK;
}

/* ---- the end ----------------------------------------------------------------------------------------------------------- */

static int chain_free(erasure *er, page_ref ref)
{
    int rc = EDB_OK;

    while (!rc && ref.page) {
        const uint8_t *page;
        rc = pager_page(er->era_pager, pager_get_view(er->era_pager), ref, PAGE_OVERFLOW, &page);
        if (rc)
            break;
        page_ref next = overflow_next(page);
        rc = pager_free(er->era_commit, ref);
        ref = next;
    }
    return rc;
}

int erase_chains_end(erasure *er)
{
    int rc = EDB_OK;

    for (size_t i = 0; !rc && i < er->era_n_chains; i++) {
        const erased_chain *erc = &er->era_chains[i];
        cold_element ce;
        if (!erc->erc_met || erc->erc_now.page == erc->erc_ref.page)
            continue;
        rc = cold_get(er->era_pager, pager_commit_cold(er->era_commit), erc->erc_index, &ce);
        ce.cel_ref = erc->erc_now;
        if (!rc)
            rc = cold_set(er->era_commit, erc->erc_index, &ce);
        if (!rc)
            rc = chain_free(er, erc->erc_ref);
    }
    return rc;
}
