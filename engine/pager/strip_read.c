/* Reading strips. See strip.h.
 *
 * A page of a strip is proved by the tag in the element that leads to it, or in the page before. Only the way back to the first page is
 * a bare number; what stands there must be a page of the same strip. */
#include <string.h>

#include "engine/cache/buffers.h"
#include "engine/pager/pager_impl.h"
#include "engine/pager/strip.h"

const pager_unpacker *pager_unpack;

static strip strip_said(const uint8_t *page)
{
    return (strip){ load64(page + STRIP_FIRST), load64(page + STRIP_HEAD), load64(page + STRIP_ENTRIES), load32(page + STRIP_IDS) };
}

static bool same_strip(const strip *a, const strip *b)
{
    return a->stp_first == b->stp_first && a->stp_ids == b->stp_ids && a->stp_head == b->stp_head
        && a->stp_entries == b->stp_entries;
}

bool strip_valid(const uint8_t *page, uint32_t page_size)
{
    uint32_t n = load32(page + PH_COUNT), ids = load32(page + STRIP_IDS);
    uint64_t first = load64(page + STRIP_FIRST);

    return n > 0 && n <= page_size - STRIP_DATA && ids > 0 && ids <= STRIP_IDS_MOST && first < COLD_MOST - ids;
}

__attribute__((constructor)) static void strip_register(void)
{
    pager_validators[PAGE_STRIP] = strip_valid;
}

static int strip_bad(pager *pg, uint64_t page, const char *how)
{
    return edb_fail(EDB_CORRUPT, "%s: page %llu is damaged: %s; restore a backup", pager_name(pg), (unsigned long long)page, how);
}

int strip_of(pager *pg, const cold_element *ce, uint64_t index, strip *out)
{
    const uint8_t *page;
    int rc = pager_page(pg, pager_get_view(pg), ce->cel_ref, PAGE_STRIP, &page);

    if (rc)
        return rc;
    *out = strip_said(page);
    return index - out->stp_first < out->stp_ids ? EDB_OK
           : strip_bad(pg, ce->cel_ref.page, "it is a strip of other cold ids than the one that leads to it");
}

static page_ref strip_next(const uint8_t *page)
{
    return (page_ref){ load64(page + STRIP_NEXT), load32(page + STRIP_NEXT + 8) };
}

int strip_each(pager *pg, const strip *st, strip_page_fn fn, void *arg)
{
    page_ref ref = { st->stp_head, 0 };
    const uint8_t *page;
    int rc = page_untagged(pg, st->stp_head, PAGE_STRIP, &page);

    /* Tags make a circle impossible: each is the checksum of a page that holds the next. */
    while (!rc) {
        strip said = strip_said(page);
        if (!same_strip(&said, st))
            return strip_bad(pg, ref.page, "it is a page of another strip than the one before");
        if (!ref.tag)
            ref.tag = load32(page + PH_CHECKSUM);
        page_ref next = strip_next(page);
        if ((rc = fn(arg, ref, page)) || !next.page)
            break;
        ref = next;
        rc = pager_page(pg, pager_get_view(pg), ref, PAGE_STRIP, &page);
    }
    return rc;
}

/* ---- a pack ------------------------------------------------------------------------------------------------------- */

typedef struct {                    /* a place in a strip */
    pager *sat_pager;
    page_ref sat_ref;
    const uint8_t *sat_page;
    uint32_t sat_offset;            /* in the page */
} strip_at;

/* How many bytes stand here in one piece, *out: at least one. */
static int here(strip_at *at, const uint8_t **out, uint32_t *n)
{
    uint32_t end = STRIP_DATA + load32(at->sat_page + PH_COUNT);

    if (at->sat_offset >= end) {
        const uint64_t before = at->sat_ref.page;
        at->sat_ref = strip_next(at->sat_page);
        int rc = at->sat_ref.page ? pager_page(at->sat_pager, pager_get_view(at->sat_pager), at->sat_ref, PAGE_STRIP, &at->sat_page)
                                  : strip_bad(at->sat_pager, before, "a strip ends within a pack");
        if (rc)
            return rc;
        at->sat_offset = STRIP_DATA;
        end = STRIP_DATA + load32(at->sat_page + PH_COUNT);
    }
    *out = at->sat_page + at->sat_offset;
    *n = end - at->sat_offset;
    return EDB_OK;
}

static int copy_out(strip_at *at, uint8_t *out, uint32_t size)
{
    while (size) {
        const uint8_t *from;
        uint32_t n;
        int rc = here(at, &from, &n);
        if (rc)
            return rc;
        n = n < size ? n : size;
        memcpy(out, from, n);
        out += n;
        size -= n;
        at->sat_offset += n;
    }
    return EDB_OK;
}

int strip_unpack(pager *pg, const cold_element *ce, uint64_t number, uint8_t *out)
{
    const uint64_t place = ce->cel_ref.page;
    strip_at at = { .sat_pager = pg, .sat_ref = ce->cel_ref, .sat_offset = ce->cel_place / PACK_PLACES };
    const pager_unpacker *unpacker = pager_unpack;
    const uint8_t *bytes;
    uint8_t head[4], *copy = NULL;
    uint32_t n;
    size_t room = 0;
    int rc = pager_page(pg, pager_get_view(pg), ce->cel_ref, PAGE_STRIP, &at.sat_page);

    if (!rc && (at.sat_offset < STRIP_DATA || at.sat_offset >= STRIP_DATA + load32(at.sat_page + PH_COUNT)))
        rc = strip_bad(pg, place, "no pack begins where a cold id says");
    if (!rc)
        rc = copy_out(&at, head, sizeof head);
    const uint32_t size = rc ? 0 : load32(head);
    if (!rc && (!size || size > unpacker->most(pg->pg_page_size)))
        rc = strip_bad(pg, place, "a pack in it has an impossible size");
    if (!rc)
        rc = here(&at, &bytes, &n);
    if (!rc && n < size) {          /* it goes on in the next page */
        if (!(copy = buffer_take(size, &room)))
            return edb_fail(EDB_NOMEM, "no memory to unpack history");
        rc = copy_out(&at, copy, size);
        bytes = copy;
    }
    if (!rc)
        rc = unpacker->page(pager_name(pg), place, bytes, size, pg->pg_page_size, ce->cel_place % PACK_PLACES, number, out);
    buffer_give(copy, room);
    return rc;
}
