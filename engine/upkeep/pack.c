/* edb_pack: history into packs, a window of cold ids at a time.
 *
 * A window is read under a pin, sorted so that pages of one key range at successive times stand together, packed in memory, and
 * published by a commit that changes nothing anybody reads (engine/pager/strip_write.c). That commit looks again: where the list of
 * cold ids is not what was read, it does nothing, so that nothing that was erased meanwhile comes back, and two who pack the same are
 * harmless. Killed anywhere, the window is packed or it is not.
 *
 * The longer the stretch of time that a window covers, the more versions its pages share. So windows of PACK_WINDOW ids are packed
 * at first, and strips that follow one another are packed together, up to STRIP_IDS_MOST ids: those of fewer than 4 windows
 * when they make 4 windows together, those of fewer than 16 when they make 16, and MERGED of them in any case. So an id is packed
 * three or four times. A window begins and ends with a page that is packed, so that pruning never ends within one.
 *
 * Memory: 40 bytes for each id of a window, its packs, and the pages of one pack. */
#include "engine/upkeep/pack.h"

#include <stdlib.h>
#include <string.h>

#include "engine/cold/pack.h"
#include "engine/pager/strip.h"
#include "engine/shared/lists.h"
#include "engine/shared/os.h"
#include "engine/tree/page.h"
#include "engine/txn/commit_trees.h"
#include "engine/txn/hooks.h"
#include "engine/txn/txn_internal.h"

#define GROWTH 4                    /* how many times more ids a strip has after it was merged */
#define MERGED 8
#define PACK_PAGES 8
#define KEY_BYTES 32                /* of a page's first key, to sort by */

typedef struct {                    /* a page to be packed */
    uint64_t ptp_index;
    uint32_t ptp_tree;
    uint8_t ptp_level, ptp_key_size;
    uint8_t ptp_key[KEY_BYTES];
} page_to_pack;

typedef struct {
    pager *pck_pager;
    hooks_home *pck_home;
    const atomic_bool *pck_stop;    /* NULL: nobody stops it */
    reader_slot *pck_slot;
    snapshot pck_root;              /* under a pin while a window is read */
    masks_known pck_masks;          /* by its catalog */
    uint64_t pck_end;               /* the first id that is not packed yet, as an index */
    pack_writer *pck_writer;
    packed_ids pck_ids;             /* the window; what it refers to stands below */
    uint8_t *pck_before;            /* STRIP_IDS_MOST elements */
    uint64_t *pck_place;
    page_to_pack *pck_pages;
    size_t pck_n_pages;
    uint8_t *pck_bytes;
    size_t pck_size, pck_room;
    uint8_t *pck_pack;              /* one pack */
    uint64_t pck_raw;               /* pages of the file that the window takes now */
} packing;

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory to pack history");
}

static int stopped(const packing *pk)
{
    return pk->pck_stop && atomic_load_explicit(pk->pck_stop, memory_order_relaxed)
        ? edb_fail(EDB_INTERRUPT, "packing was interrupted; what is left goes with the next call") : EDB_OK;
}

/* ---- reading a window ----------------------------------------------------------------------------------------------- */

/* Whether a leaf refers to chains of large values. */
static bool has_chains(const uint8_t *page)
{
    const uint64_t *live = page_live_slots(page), *dead = page_dead_slots(page);
    unsigned fixed = load16(page + TP_KEY_SIZE), n = page_live(page) + page_dead(page);
    tree_version version = { .overflow = false };

    for (unsigned i = 0; page_is_leaf(page) && i < n && !version.overflow; i++)
        cell_leaf(page + slot_offset(i < page_live(page) ? live[i] : dead[2 * (i - page_live(page))]), fixed, &version);
    return version.overflow;
}

/* Notes the page of an element, if it can be packed. */
static int page_look(packing *pk, uint64_t index, const cold_element *ce)
{
    page_to_pack *ptp = &pk->pck_pages[pk->pck_n_pages];
    page_ref ref = { COLD_FIRST + index, 0 };
    const uint8_t *page, *key = NULL;
    uint32_t size = 0;
    uint64_t held;
    int rc = cold_page(pk->pck_pager, &pk->pck_root.sn_cold, &ref, &page, &held);

    if (rc)
        return rc;
    *ptp = (page_to_pack){ .ptp_index = index, .ptp_tree = ce->cel_tree, .ptp_level = page[PH_LEVEL] };
    const uint64_t *slots = page_live(page) ? page_live_slots(page) : page_dead_slots(page);
    if (page_live(page) + page_dead(page))
        cell_key(page + slot_offset(slots[0]), load16(page + TP_KEY_SIZE), &key, &size);
    ptp->ptp_key_size = (uint8_t)(size < KEY_BYTES ? size : KEY_BYTES);
    if (size)
        memcpy(ptp->ptp_key, key, ptp->ptp_key_size);
    if (!has_chains(page)) {
        pk->pck_n_pages++;
        pk->pck_ids.spk_entries += page_is_leaf(page) ? page_live(page) + page_dead(page) : 0;
    }
    cold_leave(&pk->pck_root.sn_cold, held);
    return EDB_OK;
}

/* Without what cannot be packed in front and behind. */
static void window_trim(packing *pk)
{
    packed_ids *ids = &pk->pck_ids;
    uint64_t first = pk->pck_pages[0].ptp_index, last = pk->pck_pages[pk->pck_n_pages - 1].ptp_index;

    ids->spk_before += (first - ids->spk_first) * COLD_SIZE;
    ids->spk_first = first;
    ids->spk_ids = (uint32_t)(last - first) + 1;
}

/* Which pages the ids first .. first + ids - 1 have, and what their elements are. */
static int window_read(packing *pk)
{
    int rc = EDB_OK;

    pk->pck_n_pages = 0;
    for (uint32_t i = 0; !rc && !(rc = stopped(pk)) && i < pk->pck_ids.spk_ids; i++) {
        uint64_t index = pk->pck_ids.spk_first + i;
        const uint8_t *element;
        cold_element ce;
        if ((rc = array_get(pk->pck_pager, &pk->pck_root.sn_cold.cd_list, COLD_SIZE, index, &element)))
            break;
        memcpy(pk->pck_before + (size_t)i * COLD_SIZE, element, COLD_SIZE);
        cold_element_load(&ce, element);
        pk->pck_place[i] = NOT_PACKED;
        if (ce.cel_kind != COLD_CHAIN)
            rc = page_look(pk, index, &ce);
    }
    if (!rc && pk->pck_n_pages)
        window_trim(pk);
    return rc;
}

static int by_range(const void *a, const void *b)
{
    const page_to_pack *x = a, *y = b;

    if (x->ptp_tree != y->ptp_tree)
        return x->ptp_tree < y->ptp_tree ? -1 : 1;
    if (x->ptp_level != y->ptp_level)
        return x->ptp_level < y->ptp_level ? -1 : 1;
    int order = key_compare(x->ptp_key, x->ptp_key_size, y->ptp_key, y->ptp_key_size);
    return order ? order : (x->ptp_index > y->ptp_index) - (x->ptp_index < y->ptp_index);
}

/* ---- packing it ------------------------------------------------------------------------------------------------------- */

static int pack_put(packing *pk, size_t from, unsigned n, size_t size)
{
    size_t needed = pk->pck_size + 4 + size;

    if (needed > pk->pck_room) {
        size_t room = needed + needed / 2;
        uint8_t *bytes = realloc(pk->pck_bytes, room);
        if (!bytes)
            return no_memory();
        pk->pck_bytes = bytes;
        pk->pck_room = room;
    }
    for (unsigned i = 0; i < n; i++)
        pk->pck_place[pk->pck_pages[from + i].ptp_index - pk->pck_ids.spk_first] = pk->pck_size * PACK_PLACES + i;
    store32(pk->pck_bytes + pk->pck_size, (uint32_t)size);
    memcpy(pk->pck_bytes + pk->pck_size + 4, pk->pck_pack, size);
    pk->pck_size = needed;
    return EDB_OK;
}

/* Pages from .. from + n - 1 as one pack, or as two where they are too much. */
static int pack_these(packing *pk, size_t from, unsigned n)
{
    const uint8_t *pages[PACK_PAGES];
    uint64_t held[PACK_PAGES] = { 0 };
    size_t size;
    int rc = EDB_OK;

    for (unsigned i = 0; !rc && i < n; i++) {
        page_ref ref = { COLD_FIRST + pk->pck_pages[from + i].ptp_index, 0 };
        rc = cold_page(pk->pck_pager, &pk->pck_root.sn_cold, &ref, &pages[i], &held[i]);
    }
    if (!rc)
        rc = pack_pages(pk->pck_writer, pages, n, pager_page_size(pk->pck_pager), PACK_LEVEL, pk->pck_pack, &size);
    for (unsigned i = 0; i < n; i++)
        cold_leave(&pk->pck_root.sn_cold, held[i]);
    if (rc == EDB_TOOBIG && n > 1) {
        unsigned half = n / 2;
        rc = pack_these(pk, from, half);
        return rc ? rc : pack_these(pk, from + half, n - half);
    }
    return rc ? rc : pack_put(pk, from, n, size);
}

static int window_pack(packing *pk)
{
    int rc = EDB_OK;

    pk->pck_size = 0;
    qsort(pk->pck_pages, pk->pck_n_pages, sizeof *pk->pck_pages, by_range);
    for (size_t from = 0, n; !rc && !(rc = stopped(pk)) && from < pk->pck_n_pages; from += n) {
        const page_to_pack *first = &pk->pck_pages[from];
        for (n = 1; n < PACK_PAGES && from + n < pk->pck_n_pages; n++)
            if (first[n].ptp_tree != first->ptp_tree || first[n].ptp_level != first->ptp_level)
                break;
        rc = pack_these(pk, from, (unsigned)n);
    }
    return rc;
}

/* ---- publishing it ---------------------------------------------------------------------------------------------------- */

/* ids NULL: nothing is packed; what lies in memory since the last page record goes to the file, if there is anything. */
static int publish(packing *pk, const packed_ids *ids, bool *done)
{
    pager_commit *pc;
    int64_t ns;
    int rc = pager_commit_begin(pk->pck_pager, NULL, &pc);

    *done = false;
    if (rc)
        return rc;
    uint64_t number = pager_commit_number(pc);
    bool small = pager_commit_small(pc), stale = !ids && !small;
    commit_trees trees = commit_trees_of(pc, &pager_commit_base(pc)->sn_trees);
    if (small)
        rc = commit_trees_to_file(&trees);
    pager_commit_avoids(pc, false);
    pager_commit_aside(pc);
    if (!rc && ids)
        rc = strip_store(pc, ids, &stale);
    if (!rc && !stale && !(rc = pager_commit_prepare(pc, &trees.cmt_list, false)))
        rc = FAILPOINT("pack:prepared");
    commit_trees_free(&trees);
    if (rc || stale) {
        pager_commit_abort(pc);
        return rc;
    }
    if ((rc = pager_commit_publish(pc, 0, &ns)))
        return rc;
    *done = true;
    hooks_published(pk->pck_home, number);
    return FAILPOINT("pack:published");
}

/* Packs n ids from `first` on. *done: they, or some of them, were packed. */
static int window(packing *pk, uint64_t first, uint32_t n, bool *done)
{
    uint32_t page_size = pager_page_size(pk->pck_pager);

    pk->pck_ids = (packed_ids){ .spk_first = first, .spk_ids = n, .spk_before = pk->pck_before, .spk_place = pk->pck_place };
    int rc = window_read(pk);
    if (!rc)
        rc = window_pack(pk);
    pk->pck_ids.spk_bytes = pk->pck_bytes;
    pk->pck_ids.spk_size = pk->pck_size;
    *done = false;
    if (rc || pk->pck_size / (page_size - STRIP_DATA) >= pk->pck_n_pages)    /* not worth it */
        return rc;
    rc = FAILPOINT("pack:packed");
    return rc ? rc : publish(pk, &pk->pck_ids, done);
}

/* ---- which windows ---------------------------------------------------------------------------------------------------- */

static int element_at(const packing *pk, uint64_t index, cold_element *out)
{
    return cold_get(pk->pck_pager, &pk->pck_root.sn_cold, index, out);
}

static uint64_t list_end(const packing *pk)
{
    return pk->pck_end;
}

/* A strip of which the id is one, or the id alone. */
static int strip_around(const packing *pk, uint64_t index, strip *out)
{
    cold_element ce;
    int rc = element_at(pk, index, &ce);

    *out = (strip){ .stp_first = index, .stp_ids = 1 };
    return rc || ce.cel_kind != COLD_PACKED ? rc : strip_of(pk->pck_pager, &ce, index, out);
}

/* The next ids for which no strip stands, from *index on, which becomes what comes behind them; *n 0: there are none. *memory: what
 * some of them stand for is not in the file yet. */
static int window_raw(const packing *pk, uint64_t *index, uint64_t *first, uint32_t *n, bool *memory)
{
    int rc = EDB_OK;

    *memory = false;
    for (*n = 0; !rc && *index < list_end(pk) && *n < PACK_WINDOW;) {
        strip st;
        cold_element ce;
        if ((rc = element_at(pk, *index, &ce)) || (rc = strip_around(pk, *index, &st)))
            break;
        if (ce.cel_kind == COLD_PACKED) {
            if (*n)
                break;
            *index = st.stp_first + st.stp_ids;
            continue;
        }
        if (!*n)
            *first = *index;
        *n = (uint32_t)(++*index - *first);
        *memory = *memory || pager_in_memory(ce.cel_ref.page);
    }
    return rc;
}

/* The next of at least `least` ids, likewise. What is less stays between the strips: large values, which are not packed. *n 0: there are none, and
 * what is less stands at the end, from *index on. */
static int window_least(const packing *pk, uint32_t least, uint64_t *index, uint64_t *first, uint32_t *n, bool *memory)
{
    uint64_t behind = *index;
    int rc;

    while (!(rc = window_raw(pk, &behind, first, n, memory)) && *n && *n < least && behind < list_end(pk))
        *index = behind;
    if (*n < least)
        *n = 0;
    else
        *index = behind;
    return rc;
}

typedef struct {                    /* strips that follow one another */
    uint64_t run_first;
    uint64_t run_behind;
    unsigned run_strips;
} run;

/* Adds the strips in front of the run that have fewer than `ids` ids. */
static int run_extend(const packing *pk, uint32_t ids, run *r)
{
    strip st;
    cold_element ce;
    int rc = EDB_OK;

    for (uint64_t at = r->run_first; !rc && at > pk->pck_root.sn_cold.cd_first;) {
        if ((rc = element_at(pk, at - 1, &ce)) || (rc = strip_around(pk, at - 1, &st)))
            break;
        at = st.stp_first;
        if (ce.cel_kind != COLD_PACKED && r->run_first - at < PACK_WINDOW)
            continue;
        if (ce.cel_kind != COLD_PACKED || st.stp_ids >= ids || r->run_behind - at > 2 * STRIP_IDS_MOST)
            break;
        r->run_first = at;
        r->run_strips++;
    }
    return rc;
}

/* Leaves the newest strips of the run away, until it fits one. */
static int run_fit(const packing *pk, run *r)
{
    strip st;
    int rc = EDB_OK;

    while (!rc && r->run_strips && r->run_behind - r->run_first > STRIP_IDS_MOST) {
        cold_element ce;
        if ((rc = element_at(pk, r->run_behind - 1, &ce)) || (rc = strip_around(pk, r->run_behind - 1, &st)))
            break;
        r->run_behind = st.stp_first;
        r->run_strips -= ce.cel_kind == COLD_PACKED;
    }
    return rc;
}

/* Strips to be merged, of which `index` is in the last or behind it. *n 0: there are none. */
static int window_merge(const packing *pk, uint64_t index, uint64_t *first, uint32_t *n)
{
    run r = { index + 1, index + 1, 0 };

    *n = 0;
    for (uint32_t ids = GROWTH * PACK_WINDOW; ids <= STRIP_IDS_MOST; ids *= GROWTH) {
        int rc = run_extend(pk, ids, &r);
        if (rc)
            return rc;
        if (r.run_behind - r.run_first < ids && r.run_strips < MERGED)
            continue;
        if ((rc = run_fit(pk, &r)))
            return rc;
        if (r.run_strips > 1) {
            *first = r.run_first;
            *n = (uint32_t)(r.run_behind - r.run_first);
        }
        return EDB_OK;
    }
    return EDB_OK;
}

/* In packs columns without history have no values. So what a transaction may still read as it was waits, where there are such columns:
 * it reads at its moment in the newest root. Reads as of a moment do not see these values anyway. */
static int find_end(packing *pk)
{
    const cold_state *cold = &pk->pck_root.sn_cold;
    uint64_t oldest = pk->pck_root.sn_number;
    int rc = masks_refresh(&pk->pck_masks, pk->pck_pager, &pk->pck_root);

    pk->pck_end = cold->cd_list.ar_count;
    if (rc || !pk->pck_masks.mkn_masks.tms_n)
        return rc;
    pack_writer_masks(pk->pck_writer, &pk->pck_masks.mkn_masks);
    rc = cold_horizon_limit(pk->pck_pager, true, &oldest);
    return rc ? rc : cold_bound(pk->pck_pager, cold, oldest, &pk->pck_end);
}

static int pin(packing *pk)
{
    pager_pin_move(pk->pck_pager, pk->pck_slot, UINT64_MAX);
    int rc = pager_pin(pk->pck_pager, pk->pck_slot, PIN_PUBLISHED, &pk->pck_root);
    return rc ? rc : find_end(pk);
}

/* The window from *index on, under a pin; *index becomes what comes behind it. Its elements would change under the packer when
 * what they stand for goes to the file, so that goes there before. *n 0: there is none. */
static int window_next(packing *pk, uint32_t least, uint64_t *index, uint64_t *first, uint32_t *n)
{
    bool memory = true, stored = false, published;
    int rc = EDB_OK;

    for (uint64_t from = *index; !rc && memory;) {
        if ((rc = pin(pk)))
            break;
        *index = from < pk->pck_root.sn_cold.cd_first ? pk->pck_root.sn_cold.cd_first : from;
        rc = window_least(pk, least, index, first, n, &memory);
        if (rc || !memory || stored || !*n)
            break;                  /* a second time it would be others' doing: they are waited for no more */
        stored = true;
        rc = publish(pk, NULL, &published);
    }
    return rc;
}

/* Packs the next window from *index on, and merges what it completes. *index becomes what comes behind it; *over: there was none. */
static int step(packing *pk, uint64_t *index, uint32_t least, bool *over, edb_pack_result *out)
{
    uint64_t first = 0;
    uint32_t n = 0;
    bool done;
    int rc = window_next(pk, least, index, &first, &n);

    *over = !n;
    for (done = true; !rc && n;) {
        if ((rc = window(pk, first, n, &done)) || !done)
            break;
        out->windows++;
        out->pages += pk->pck_n_pages;
        rc = pin(pk);
        if (!rc)
            rc = window_merge(pk, pk->pck_ids.spk_first + pk->pck_ids.spk_ids - 1, &first, &n);
    }
    return rc;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------- */

static void packing_free(packing *pk)
{
    if (pk->pck_slot) {
        pager_pin_move(pk->pck_pager, pk->pck_slot, UINT64_MAX);
        pager_slot_give(pk->pck_pager, pk->pck_slot);
    }
    pack_writer_free(pk->pck_writer);
    tree_masks_free(&pk->pck_masks.mkn_masks);
    free(pk->pck_before);
    free(pk->pck_place);
    free(pk->pck_pages);
    free(pk->pck_bytes);
    free(pk->pck_pack);
    free(pk);
}

static int packing_new(pager *pg, hooks_home *home, const atomic_bool *stop, packing **out)
{
    packing *pk = calloc(1, sizeof *pk);
    int rc = pk ? EDB_OK : no_memory();

    *out = NULL;
    if (rc)
        return rc;
    pk->pck_pager = pg;
    pk->pck_home = home;
    pk->pck_stop = stop;
    pk->pck_before = malloc((size_t)STRIP_IDS_MOST * COLD_SIZE);
    pk->pck_place = malloc((size_t)STRIP_IDS_MOST * sizeof *pk->pck_place);
    pk->pck_pages = malloc((size_t)STRIP_IDS_MOST * sizeof *pk->pck_pages);
    pk->pck_pack = malloc(pack_bound(PACK_PAGES, pager_page_size(pg)));
    if (!pk->pck_before || !pk->pck_place || !pk->pck_pages || !pk->pck_pack)
        rc = no_memory();
    if (!rc)
        rc = pack_writer_new(&pk->pck_writer);
    if (!rc)
        rc = pager_slot_take(pg, &pk->pck_slot);
    if (rc)
        packing_free(pk);
    else
        *out = pk;
    return rc;
}

int pack_from(pager *pg, hooks_home *home, const pack_run *run, uint64_t *index, edb_pack_result *out)
{
    packing *pk;
    bool over = false;
    int rc = packing_new(pg, home, run->prn_stop, &pk);

    while (!rc && !over) {
        rc = step(pk, index, run->prn_least, &over, out);
        if (!rc && !over && run->prn_pace && run->prn_pace(run->prn_arg, *index, list_end(pk)))
            break;
    }
    if (pk)
        packing_free(pk);
    return rc;
}

typedef struct {
    edb_pack_progress prg_fn;
    void *prg_arg;
    uint64_t prg_end;               /* ids that there were after the first window; 0: it was not packed yet */
    edb_pack_result *prg_out;
} progress;

/* What others make history of meanwhile is left to the next call, or it would never end. */
static bool tell(void *arg, uint64_t at, uint64_t end)
{
    progress *pr = arg;

    if (!pr->prg_end)
        pr->prg_end = end;
    at = at < pr->prg_end ? at : pr->prg_end;
    pr->prg_out->stopped = pr->prg_fn && pr->prg_fn(pr->prg_arg, at, pr->prg_end);
    return pr->prg_out->stopped || at == pr->prg_end;
}

int edb_pack(edb *db, edb_pack_progress fn, void *arg, edb_pack_result *out)
{
    progress pr = { fn, arg, 0, out };
    const pack_run run = { .prn_least = 1, .prn_pace = tell, .prn_arg = &pr };
    uint64_t index = 0;
    int rc = pager_alive(db->db_pager);

    *out = (edb_pack_result){ 0 };
    if (!rc)
        rc = pager_writable(db->db_pager);
    if (!rc && pager_has(db->db_pager, PAGER_UNVERSIONED))
        rc = pager_wait_durable(db->db_pager, pager_published(db->db_pager), true);      /* or the newest would be left (find_end) */
    if (!rc)
        rc = pack_from(db->db_pager, db->db_home, &run, &index, out);
    return rc ? rc : pager_wait_durable(db->db_pager, pager_published(db->db_pager), false);
}
