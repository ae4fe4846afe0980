/* Writing strips. See strip.h.
 *
 * Pages refer to the next one by its tag, so the last is written first. Their numbers are drawn before any is written, because each says
 * where the strip begins. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pager/pager_impl.h"
#include "engine/pager/strip.h"

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory to write packed history");
}

static int elements_read(pager_commit *pc, uint64_t first, uint32_t n, uint8_t *out)
{
    const cold_state *cd = pager_commit_cold(pc);
    int rc = EDB_OK;

    for (uint32_t i = 0; !rc && i < n; i++) {
        const uint8_t *element;
        rc = array_get(pc->pc_pager, &cd->cd_list, COLD_SIZE, first + i, &element);
        if (!rc)
            memcpy(out + (size_t)i * COLD_SIZE, element, COLD_SIZE);
    }
    return rc;
}

static int elements_write(pager_commit *pc, uint64_t first, uint32_t n, const uint8_t *elements)
{
    return array_set(pc, &pc->pc_cold.cd_list, 0, COLD_SIZE, first, elements, n);
}

/* ---- freeing ------------------------------------------------------------------------------------------------------ */

typedef struct {
    pager_commit *fre_commit;
    uint64_t fre_pages;
} freeing;

static int page_drop(void *arg, page_ref ref, const uint8_t *page)
{
    freeing *fr = arg;

    (void)page;
    fr->fre_pages++;
    return pager_free(fr->fre_commit, ref);
}

int strip_free(pager_commit *pc, const strip *st, uint64_t *pages)
{
    freeing fr = { pc, 0 };
    int rc = strip_each(pc->pc_pager, st, page_drop, &fr);

    *pages = fr.fre_pages;
    return rc;
}

static int strip_bad(const pager *pg, uint64_t page, const char *how)
{
    return edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: %s; restore a backup", pager_name(pg), (unsigned long long)page, how);
}

/* Frees what the elements led to that are packed now. A strip is freed where its first id is met. */
static int before_free(pager_commit *pc, const packed_ids *pk, const uint8_t *elements)
{
    const uint64_t first = pk->spk_first;
    uint64_t pages, known = 0;      /* ids before it are those of a strip that was freed */
    int rc = EDB_OK;

    for (uint32_t i = 0; !rc && i < pk->spk_ids; i++) {
        cold_element ce;
        strip st;
        if (pk->spk_place[i] == NOT_PACKED)
            continue;
        cold_element_load(&ce, elements + (size_t)i * COLD_SIZE);
        if (ce.cel_kind == COLD_PAGE)
            rc = pager_free(pc, ce.cel_ref);
        if (rc || ce.cel_kind != COLD_PACKED || first + i < known || (rc = strip_of(pc->pc_pager, &ce, first + i, &st)))
            continue;
        if (st.stp_first < first || st.stp_first + st.stp_ids > first + pk->spk_ids) {
            rc = strip_bad(pc->pc_pager, ce.cel_ref.page, "its strip stands for cold ids of another, too");
            continue;
        }
        known = st.stp_first + st.stp_ids;
        rc = strip_free(pc, &st, &pages);
    }
    return rc;
}

/* ---- a new one ---------------------------------------------------------------------------------------------------- */

/* Writes the strip's bytes to the n pages. */
static int pages_write(pager_commit *pc, const packed_ids *pk, const uint64_t *numbers, page_ref *refs, size_t n)
{
    uint32_t page_size = pc->pc_pager->pg_page_size, room = page_size - STRIP_DATA;
    uint8_t *page = aligned_alloc(64, page_size);
    page_ref next = { 0, 0 };
    int rc = page ? EDB_OK : no_memory();

    for (size_t i = n; !rc && i-- > 0; next = refs[i]) {
        size_t from = i * room, size = pk->spk_size - from < room ? pk->spk_size - from : room;
        memset(page, 0, page_size);
        page[PH_KIND] = PAGE_STRIP;
        store32(page + PH_COUNT, (uint32_t)size);
        store64(page + STRIP_NEXT, next.page);
        store32(page + STRIP_NEXT + 8, next.tag);
        store32(page + STRIP_IDS, pk->spk_ids);
        store64(page + STRIP_FIRST, pk->spk_first);
        store64(page + STRIP_HEAD, numbers[0]);
        store64(page + STRIP_ENTRIES, pk->spk_entries);
        memcpy(page + STRIP_DATA, pk->spk_bytes + from, size);
        rc = pager_write(pc, numbers[i], page, &refs[i]);
    }
    free(page);
    return rc;
}

/* Makes the elements lead into the strip. */
static void elements_lead(const packed_ids *pk, const page_ref *refs, uint32_t room, uint8_t *elements)
{
    for (uint32_t i = 0; i < pk->spk_ids; i++) {
        uint64_t at = pk->spk_place[i] / PACK_PLACES;
        cold_element ce;
        if (pk->spk_place[i] == NOT_PACKED)
            continue;
        cold_element_load(&ce, elements + (size_t)i * COLD_SIZE);
        ce.cel_kind = COLD_PACKED;
        ce.cel_ref = refs[at / room];
        ce.cel_place = (uint32_t)(STRIP_DATA + at % room) * PACK_PLACES + (uint32_t)(pk->spk_place[i] % PACK_PLACES);
        cold_element_store(elements + (size_t)i * COLD_SIZE, &ce);
    }
}

static int strip_make(pager_commit *pc, const packed_ids *pk, uint8_t *elements)
{
    uint32_t room = pc->pc_pager->pg_page_size - STRIP_DATA;
    size_t n = (pk->spk_size + room - 1) / room;
    uint64_t *numbers = malloc(n * sizeof *numbers);
    page_ref *refs = malloc(n * sizeof *refs);
    int rc = numbers && refs ? EDB_OK : no_memory();

    for (size_t i = 0; !rc && i < n; i++)
        rc = pager_alloc(pc, &numbers[i]);
    if (!rc)
        rc = pages_write(pc, pk, numbers, refs, n);
    if (!rc) {
        elements_lead(pk, refs, room, elements);
        rc = elements_write(pc, pk->spk_first, pk->spk_ids, elements);
    }
    free(numbers);
    free(refs);
    return rc;
}

int strip_store(pager_commit *pc, const packed_ids *pk, bool *stale)
{
    const cold_state *cd = pager_commit_cold(pc);
    size_t bytes = (size_t)pk->spk_ids * COLD_SIZE;
    uint8_t *elements = malloc(bytes);

    assert(!pc->pc_in_memory && !pc->pc_n_cold);
    *stale = pk->spk_first < cd->cd_first;
    int rc = elements ? EDB_OK : no_memory();
    if (!rc && !*stale)
        rc = elements_read(pc, pk->spk_first, pk->spk_ids, elements);
    *stale = !rc && (*stale || memcmp(elements, pk->spk_before, bytes) != 0);
    if (!rc && !*stale && !(rc = before_free(pc, pk, elements))) {
        pc->pc_strips = true;
        rc = strip_make(pc, pk, elements);
    }
    free(elements);
    return rc ? rc : FAILPOINT("pack:stored");
}

/* ---- changing one --------------------------------------------------------------------------------------------------- */

static int strip_at_index(pager_commit *pc, uint64_t index, strip *out)
{
    cold_element ce;
    int rc = cold_flush(pc);

    if (!rc)
        rc = cold_get(pc->pc_pager, pager_commit_cold(pc), index, &ce);
    if (!rc)
        rc = strip_of(pc->pc_pager, &ce, index, out);
    if (rc || (out->stp_first >= pc->pc_cold.cd_first && out->stp_first + out->stp_ids <= pc->pc_cold.cd_list.ar_count))
        return rc;
    return strip_bad(pc->pc_pager, ce.cel_ref.page, "its strip stands for cold ids that are not there");
}

/* Each page of history to a page of its own. */
static int pages_out(pager_commit *pc, const strip *st, uint8_t *elements)
{
    uint8_t *page = aligned_alloc(64, pc->pc_pager->pg_page_size);
    int rc = page ? EDB_OK : no_memory();

    for (uint32_t i = 0; !rc && i < st->stp_ids; i++) {
        cold_element ce;
        uint64_t at;
        cold_element_load(&ce, elements + (size_t)i * COLD_SIZE);
        if (ce.cel_kind != COLD_PACKED)
            continue;
        rc = strip_unpack(pc->pc_pager, &ce, 0, page);
        if (!rc)
            rc = pager_alloc(pc, &at);
        if (!rc)
            rc = pager_write(pc, at, page, &ce.cel_ref);
        ce.cel_kind = COLD_PAGE;
        ce.cel_place = 0;
        cold_element_store(elements + (size_t)i * COLD_SIZE, &ce);
    }
    free(page);
    return rc;
}

int strip_dissolve(pager_commit *pc, uint64_t index)
{
    strip st;
    uint64_t pages;
    int rc = strip_at_index(pc, index, &st);

    if (rc)
        return rc;
    uint8_t *elements = malloc((size_t)st.stp_ids * COLD_SIZE);
    rc = elements ? elements_read(pc, st.stp_first, st.stp_ids, elements) : no_memory();
    if (!rc)
        rc = pages_out(pc, &st, elements);
    if (!rc)
        rc = strip_free(pc, &st, &pages);
    if (!rc)
        rc = elements_write(pc, st.stp_first, st.stp_ids, elements);
    free(elements);
    return rc;
}

/* ---- moving --------------------------------------------------------------------------------------------------------- */

typedef struct {                    /* a page of a strip, and where in the strip's bytes its own begin */
    uint64_t spg_page, spg_begin;
    uint32_t spg_size;
} strip_page;

typedef struct {                    /* the bytes of a strip, and where its pages were */
    strip_page *scp_pages;
    size_t scp_n, scp_pages_room;
    uint8_t *scp_bytes;
    size_t scp_size;
    uint32_t scp_room;              /* bytes of data in a page */
    uint64_t scp_cut;
    size_t scp_before;              /* so many of its pages lie before the cut */
} strip_copy;

static int page_collect(void *arg, page_ref ref, const uint8_t *page)
{
    strip_copy *sc = arg;
    uint32_t size = load32(page + PH_COUNT);
    size_t room = sc->scp_n * sc->scp_room;
    int rc = list_room((void **)&sc->scp_pages, &sc->scp_pages_room, sc->scp_n, sizeof *sc->scp_pages);
    uint8_t *bytes = rc ? NULL : realloc(sc->scp_bytes, room + sc->scp_room);

    if (!bytes)
        return rc ? rc : no_memory();
    sc->scp_bytes = bytes;
    memcpy(bytes + sc->scp_size, page + STRIP_DATA, size);
    sc->scp_pages[sc->scp_n++] = (strip_page){ ref.page, sc->scp_size, size };
    sc->scp_size += size;
    sc->scp_before += ref.page < sc->scp_cut;
    return EDB_OK;
}

/* Where in the strip's bytes the pack stands that an element leads to. */
static int place_of(const pager *pg, const strip_copy *sc, const cold_element *ce, uint64_t *out)
{
    const uint64_t offset = ce->cel_place / PACK_PLACES;

    for (size_t i = 0; i < sc->scp_n; i++)
        if (sc->scp_pages[i].spg_page == ce->cel_ref.page && offset - STRIP_DATA < sc->scp_pages[i].spg_size) {
            *out = (sc->scp_pages[i].spg_begin + offset - STRIP_DATA) * PACK_PLACES + ce->cel_place % PACK_PLACES;
            return EDB_OK;
        }
    return strip_bad(pg, ce->cel_ref.page, "a cold id leads to it, and to no pack of its strip");
}

static int move_it(pager_commit *pc, page_moving *mv, const strip *st, strip_copy *sc)
{
    size_t n = st->stp_ids;
    uint8_t *elements = malloc(n * COLD_SIZE);
    uint64_t *places = calloc(n, sizeof *places), pages;
    packed_ids pk = { .spk_first = st->stp_first, .spk_ids = st->stp_ids, .spk_bytes = sc->scp_bytes, .spk_size = sc->scp_size,
                      .spk_place = places, .spk_entries = st->stp_entries };
    int rc = elements && places ? elements_read(pc, st->stp_first, st->stp_ids, elements) : no_memory();

    for (size_t i = 0; !rc && i < n; i++) {
        cold_element ce;
        cold_element_load(&ce, elements + i * COLD_SIZE);
        places[i] = NOT_PACKED;
        if (ce.cel_kind == COLD_PACKED)
            rc = place_of(pc->pc_pager, sc, &ce, &places[i]);
    }
    if (!rc)
        rc = strip_free(pc, st, &pages);
    if (!rc)
        rc = strip_make(pc, &pk, elements);
    mv->mov_moved += sc->scp_n;
    mv->mov_left -= mv->mov_left < sc->scp_n ? mv->mov_left : sc->scp_n;
    free(elements);
    free(places);
    return rc;
}

int strip_move(pager_commit *pc, page_moving *mv, uint64_t index, uint64_t *end)
{
    strip_copy sc = { .scp_room = pc->pc_pager->pg_page_size - STRIP_DATA, .scp_cut = mv->mov_cut };
    bool room = false;
    strip st;
    int rc = strip_at_index(pc, index, &st);

    if (!rc)
        rc = strip_each(pc->pc_pager, &st, page_collect, &sc);
    if (!rc && sc.scp_before < sc.scp_n)
        rc = move_room(pc, mv, sc.scp_n, sc.scp_before, &room);
    if (!rc && room)
        rc = move_it(pc, mv, &st, &sc);
    free(sc.scp_pages);
    free(sc.scp_bytes);
    *end = st.stp_first + st.stp_ids;
    return rc;
}
