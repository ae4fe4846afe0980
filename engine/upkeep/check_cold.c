/* The list of cold ids against what the trees refer to.
 *
 *   I47  Of each page that became history there is one element, which history alone refers to. Elements ascend by the
 *        commits that made history. The chain of a value whose version ended has one too.
 *   I50  A strip stands for consecutive ids, of which at least the first and the last lead into it, and no others do, each to another
 *        place. No leaf in it has a large value in a chain. It counts the entries of its leaves.
 *   I48  What answers for a moment that is kept is there. What is listed and answers only for moments before the horizon
 *        waits to be freed: no tree is asked about it, and the list accounts for its pages. */
#include <inttypes.h>
#include <stdlib.h>

#include "engine/pager/strip.h"
#include "engine/upkeep/check_internal.h"
#include "engine/tree/page.h"

struct check_strip {
    uint64_t cks_first, cks_end, cks_head;      /* its first id, behind its last; its first page */
    uint64_t cks_entries, cks_said; /* met in its leaves; as it says */
    bool cks_whole;                 /* all of its ids were met, so that this is to be compared */
    uint32_t cks_n;
    uint64_t cks_places[STRIP_IDS_MOST];    /* page, offset and which of the pack, in one number */
};

int check_cold_begin(check *ck)
{
    const cold_state *cd = &ck->ck_root.sn_cold;
    const uint64_t pages = ck->ck_root.sn_pages, n = cd->cd_list.ar_count - cd->cd_first;

    if (!n)
        return EDB_OK;
    if (n > pages * (pager_page_size(ck->ck_pager) / COLD_SIZE))     /* more than the file can hold: not to be walked */
        return check_damage(ck, edb_fail(EDB_CORRUPT, "page %" PRIu64 " is damaged: the list of cold ids is shorter than its "
                                         "count", cd->cd_list.ar_root.page));
    if (!(ck->ck_cold = calloc(n, sizeof *ck->ck_cold)) || !(ck->ck_strip = calloc(1, sizeof *ck->ck_strip)))
        return edb_fail(EDB_NOMEM, "memory is exhausted: checking takes two bytes for each page of history");
    return EDB_OK;
}

void check_cold_met(void *arg, uint64_t index, uint32_t entries)
{
    check *ck = arg;
    uint16_t *met = ck->ck_cold ? &ck->ck_cold[index - ck->ck_root.sn_cold.cd_first] : NULL;

    if (!met || *met)
        return;
    *met = (uint16_t)(entries + 1);
    ck->ck_result.versions += entries;
}

/* A page that an element accounts for: history already, of a moment that is kept; else the element alone says what it is. */
static void judge_page(check *ck, uint64_t index, uint64_t page, bool kept)
{
    if (pager_in_memory(page))
        return;
    if (!kept) {
        check_mark(ck, page, PAGE_IS_HISTORY);
        return;
    }
    if (page >= ck->ck_root.sn_pages)
        return;                     /* reported by who was led there */
    if (ck->ck_pages[page] != PAGE_IS_HISTORY)
        check_breach(ck, "I47", page, "page %" PRIu64 ", which cold id %" PRIu64 " leads to, %s", page, index,
                     ck->ck_pages[page] & PAGE_HAS_ID ? "has another one" : "is not history");
    ck->ck_pages[page] |= PAGE_HAS_ID;
}

static int judge_chain(check *ck, uint64_t index, page_ref ref, bool kept)
{
    const uint8_t *page;

    for (uint64_t left = ck->ck_root.sn_pages; ref.page && left; left--) {
        int rc = pager_page(ck->ck_pager, pager_get_view(ck->ck_pager), ref, PAGE_OVERFLOW, &page);
        if (rc)
            return rc;
        judge_page(ck, index, ref.page, kept);
        ref = overflow_next(page);
    }
    return EDB_OK;
}

static int strip_page(void *arg, page_ref ref, const uint8_t *page)
{
    (void)page;
    check_mark(arg, ref.page, PAGE_IS_HISTORY);
    return EDB_OK;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* Behind the last id of a strip. */
static void strip_end(check *ck, bool packed)
{
    struct check_strip *cs = ck->ck_strip;

    if (!packed)
        check_breach(ck, "I50", cs->cks_head, "cold id %" PRIu64 ", with which a strip ends, is not in it", cs->cks_end - 1);
    if (cs->cks_whole && cs->cks_entries != cs->cks_said)
        check_breach(ck, "I50", cs->cks_head, "a strip says that it has %" PRIu64 " entries, and has %" PRIu64, cs->cks_said,
                     cs->cks_entries);
    qsort(cs->cks_places, cs->cks_n, sizeof *cs->cks_places, by_number);
    for (uint32_t i = 1; i < cs->cks_n; i++)
        if (cs->cks_places[i] == cs->cks_places[i - 1])
            check_breach(ck, "I50", cs->cks_places[i] >> 20, "two cold ids lead to the same page of a pack");
}

/* The element is one of those of the strip that the list is walked through. */
static void strip_goes_on(check *ck, uint64_t index, const cold_element *ce, bool kept)
{
    struct check_strip *cs = ck->ck_strip;
    uint16_t met = ck->ck_cold[index - ck->ck_root.sn_cold.cd_first];

    if (ce->cel_ref.page < ck->ck_root.sn_pages && ck->ck_pages[ce->cel_ref.page] != PAGE_IS_HISTORY)
        check_breach(ck, "I50", ce->cel_ref.page, "cold id %" PRIu64 " leads to a page that is not in its strip", index);
    cs->cks_places[cs->cks_n++] = ce->cel_ref.page << 20 | (ce->cel_place & 0xfffff);
    cs->cks_whole = cs->cks_whole && kept && met;
    cs->cks_entries += met ? met - 1 : 0;
}

/* The strip that an element leads to; its pages are accounted for with its first id. */
static int judge_packed(check *ck, uint64_t index, const cold_element *ce, bool kept)
{
    struct check_strip *cs = ck->ck_strip;
    strip st;
    int rc = strip_of(ck->ck_pager, ce, index, &st);

    if (rc) {
        cs->cks_whole = false;
        return rc;
    }
    const bool inside = index < cs->cks_end;
    if (inside ? st.stp_head != cs->cks_head || st.stp_first != cs->cks_first : st.stp_first != index) {
        check_breach(ck, "I50", ce->cel_ref.page, "cold id %" PRIu64 " leads to another strip than the one that stands for it", index);
        cs->cks_whole = false;
    } else {
        if (!inside) {
            cs->cks_end = index + st.stp_ids;
            cs->cks_first = index;
            cs->cks_head = st.stp_head;
            cs->cks_said = st.stp_entries;
            cs->cks_entries = cs->cks_n = 0;
            cs->cks_whole = true;
            if ((rc = strip_each(ck->ck_pager, &st, strip_page, ck))) {
                cs->cks_whole = false;
                return rc;
            }
        }
        strip_goes_on(ck, index, ce, kept);
    }
    if (kept && !ck->ck_cold[index - ck->ck_root.sn_cold.cd_first])
        check_breach(ck, "I47", ce->cel_ref.page, "nothing refers to cold id %" PRIu64, index);
    return EDB_OK;
}

static int judge(check *ck, uint64_t index, const cold_element *ce)
{
    const cold_state *cd = &ck->ck_root.sn_cold;
    bool kept = ce->cel_commit > ck->ck_root.sn_horizon;
    const uint8_t *page;

    if (ce->cel_kind == COLD_CHAIN)
        return judge_chain(ck, index, ce->cel_ref, kept);
    if (ce->cel_kind == COLD_PACKED)
        return judge_packed(ck, index, ce, kept);
    if (ce->cel_kind != COLD_PAGE) {
        check_breach(ck, "I47", 0, "cold id %" PRIu64 " is of an unknown kind", index);
        return EDB_OK;
    }
    int rc = pager_page(ck->ck_pager, pager_get_view(ck->ck_pager), ce->cel_ref, 0, &page);
    if (rc)
        return rc;
    if (kept && !ck->ck_cold[index - cd->cd_first])
        check_breach(ck, "I47", ce->cel_ref.page, "nothing refers to cold id %" PRIu64, index);
    else
        judge_page(ck, index, ce->cel_ref.page, kept);
    return EDB_OK;
}

int check_cold(check *ck)
{
    const cold_state *cd = &ck->ck_root.sn_cold;
    uint64_t before = cd->cd_since;
    cold_element ce;

    if (!ck->ck_cold)
        return EDB_OK;
    for (uint64_t index = cd->cd_first; index < cd->cd_list.ar_count; index++) {
        int rc = cold_get(ck->ck_pager, cd, index, &ce);
        if (rc)
            return rc;
        if (ce.cel_commit < before || ce.cel_commit > ck->ck_root.sn_number)
            check_breach(ck, "I47", 0, "the commit of cold id %" PRIu64 " is before that of the one before, or does not exist",
                         index);
        before = ce.cel_commit;
        if ((rc = check_damage(ck, judge(ck, index, &ce))))
            return rc;
        if (index + 1 == ck->ck_strip->cks_end)
            strip_end(ck, ce.cel_kind == COLD_PACKED);
    }
    if (ck->ck_strip->cks_end > cd->cd_list.ar_count)
        check_breach(ck, "I50", ck->ck_strip->cks_head, "a strip stands for cold ids that were never given");
    return EDB_OK;
}
