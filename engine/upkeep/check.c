/* edb_check: walks the whole file and names what is broken.
 *
 * One root is pinned and judged: free space, the lists of trees and of commit times, every tree with its history, and
 * what the catalog says of them. Each page below the high-water mark must turn up exactly once, as free, as part of a
 * list, as current or as history. Damage found on the way (a checksum that does not match) is a breach like any other,
 * and the check goes on with the next tree. Writers go on too: the pin keeps what is looked at.
 *
 * The pager's invariants are I1 to I11, the tree's I12 to I29 (tree_check.c), from I30 on those of transactions and of the catalog. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pager/cold.h"
#include "engine/upkeep/check_internal.h"
#include "engine/eval/generate.h"
#include "engine/filters/filters.h"

/* ---- every page once ---------------------------------------------------------------------------------------------- */

static int free_page(void *arg, uint64_t page, int what)
{
    check_mark(arg, page, what == FREE_CHAIN ? PAGE_IS_OTHER : PAGE_IS_FREE);
    return 0;
}

static void record_breach(void *arg, const char *invariant, uint64_t page, const char *sentence)
{
    check_breach(arg, invariant, page, "%s", sentence);
}

static int list_page(void *arg, page_ref ref)
{
    check_mark(arg, ref.page, PAGE_IS_OTHER);
    return 0;
}

static void count_pages(check *ck)
{
    for (uint64_t page = pager_first_page(ck->ck_pager); page < ck->ck_root.sn_pages; page++)
        switch (ck->ck_pages[page] & ~PAGE_HAS_ID) {
        case PAGE_IS_FREE:
            ck->ck_result.pages_free++;
            break;
        case PAGE_IS_OTHER:
            ck->ck_result.pages_other++;
            break;
        case PAGE_IS_LIVE:
            ck->ck_result.pages_live++;
            break;
        case PAGE_IS_HISTORY:
            ck->ck_result.pages_history++;
            break;
        default:
            check_breach(ck, "I36", page, "page %" PRIu64 " is neither in use nor free", page);
        }
}

/* ---- lists -------------------------------------------------------------------------------------------------------- */

/* I31: commit 0 at time 0, then a time for every commit, ascending. */
static int check_times(check *ck)
{
    const snapshot *root = &ck->ck_root;
    uint64_t known = root->sn_stamps.ar_count + root->sn_tail;
    int64_t before = 0, ns;
    int rc;

    if (root->sn_tail > RECORD_STAMPS || known != root->sn_number + 1) {
        check_breach(ck, "I31", 0, "%" PRIu64 " commit times are kept for %" PRIu64 " commits", known,
                     root->sn_number + 1);
        return EDB_OK;
    }
    for (uint64_t n = 0; n <= root->sn_number; n++) {
        if ((rc = moment_of(ck->ck_pager, root, n, &ns)))
            return rc;
        if (n ? ns <= before : ns != 0)
            check_breach(ck, "I31", 0, "the time of commit %" PRIu64 " is not later than the one before", n);
        before = ns;
    }
    if (before != root->sn_time_ns)
        check_breach(ck, "I31", 0, "the newest commit's time is not the last of the commit times");
    return EDB_OK;
}

static int check_lists(check *ck)
{
    const array_state *lists[] = { &ck->ck_root.sn_trees, &ck->ck_root.sn_stamps, &ck->ck_root.sn_links };
    const cold_state *cold = &ck->ck_root.sn_cold;
    int rc = EDB_OK;

    for (size_t i = 0; i < sizeof lists / sizeof *lists && !rc; i++)
        rc = check_damage(ck, array_walk(ck->ck_pager, lists[i], list_page, ck));
    if (!rc)
        rc = check_damage(ck, array_walk_trimmed(ck->ck_pager, &cold->cd_list, COLD_SIZE, cold->cd_first, list_page, ck));
    return rc ? rc : check_damage(ck, check_times(ck));
}

/* ---- trees -------------------------------------------------------------------------------------------------------- */

enum { LEAF_LIVE = 28, LEAF_DEAD = 30 };    /* offsets of the counts of a leaf: docs/format.md, "Trees" */

static int tree_page(void *arg, page_ref ref, int kind, bool history)
{
    check *ck = arg;
    const uint8_t *page;

    check_mark(ck, ref.page, kind == PAGE_ARRAY || kind == PAGE_ARRAY_INTERIOR ? PAGE_IS_OTHER
                       : history ? PAGE_IS_HISTORY : PAGE_IS_LIVE);
    if (kind == PAGE_LEAF && !pager_page(ck->ck_pager, pager_get_view(ck->ck_pager), ref, PAGE_LEAF, &page))
        ck->ck_result.versions += load16(page + LEAF_LIVE) + (uint64_t)load16(page + LEAF_DEAD);
    return 0;
}

static void tree_breach(void *arg, const char *invariant, uint64_t page, const char *sentence)
{
    check_breach(arg, invariant, page, "%s", sentence);
}

/* I30: the state of a tree is one that a commit can have written. */
static void check_state(check *ck, const tree_state *state)
{
    const char *wrong = NULL;

    if (state->ts_key_size != 0 && state->ts_key_size != 8)
        wrong = "its keys have an impossible size";
    else if (state->ts_born == 0 || state->ts_born > ck->ck_root.sn_number)
        wrong = "it was made by a commit that does not exist";
    else if (state->ts_since < state->ts_born || state->ts_since > ck->ck_root.sn_number)
        wrong = "its root answers from a commit that does not exist";
    else if (state->ts_changed < state->ts_born || state->ts_changed > ck->ck_root.sn_number)
        wrong = "it was changed by a commit that does not exist";
    else if (state->ts_next_id > (uint64_t)INT64_MAX + 1)
        wrong = "its next row id is impossible";
    if (wrong)
        check_breach(ck, "I30", state->ts_root.page, "the state of tree %" PRIu32 " is wrong: %s", state->ts_id, wrong);
}

/* I42: the filters that this process keeps do not deny what is there. */
static int check_filter(check *ck, const tree_state *state)
{
    uint64_t denied = 0;
    int rc = filters_check(ck->ck_home, ck->ck_pager, state, ck->ck_root.sn_number, &denied);

    if (!rc && denied)
        check_breach(ck, "I42", 0, "the filter of tree %" PRIu32 " denies %" PRIu64 " keys that it should have", state->ts_id,
                     denied);
    return rc;
}

static int check_trees(check *ck)
{
    const tree_checker checker = { tree_page, check_cold_met, tree_breach, ck };
    const uint64_t room = ck->ck_root.sn_pages * (pager_page_size(ck->ck_pager) / TREE_STATE_SIZE);
    tree_state state;
    int rc = EDB_OK;

    if (ck->ck_root.sn_trees.ar_count > room)       /* more than the file can hold: not to be walked */
        return check_damage(ck, edb_fail(EDB_CORRUPT, "page %" PRIu64 " is damaged: the list of trees is shorter than its "
                                         "count", ck->ck_root.sn_trees.ar_root.page));
    for (uint64_t id = 0; id < ck->ck_root.sn_trees.ar_count && !rc; id++) {
        rc = tree_state_get(ck->ck_pager, &ck->ck_root, (uint32_t)id, &state);
        if (rc == EDB_NOSUCH)
            rc = EDB_OK;            /* made and rolled back: a hole */
        else if (!rc) {
            check_state(ck, &state);
            rc = tree_check(ck->ck_pager, &state, &checker);
            rc = rc ? rc : check_filter(ck, &state);
        }
        rc = check_damage(ck, rc);
    }
    return rc;
}

/* ---- all of it ---------------------------------------------------------------------------------------------------- */

enum { PIN_TRIES = 10 };

/* Pins the newest root and walks its free space, which is remembered only for the last few hundred commits. */
static int check_free(check *ck, reader_slot *slot)
{
    int rc = EDB_BUSY;

    for (int i = 0; i < PIN_TRIES && rc == EDB_BUSY; i++) {
        pager_pin_move(ck->ck_pager, slot, UINT64_MAX);
        if ((rc = pager_pin(ck->ck_pager, slot, PIN_PUBLISHED, &ck->ck_root)))
            return rc;
        free(ck->ck_pages);
        if (!(ck->ck_pages = calloc(ck->ck_root.sn_pages + 1, 1)))
            return edb_fail(EDB_NOMEM, "memory is exhausted: checking takes a byte for each page of the file");
        ck->ck_result.breaches = 0;
        rc = check_damage(ck, pager_free_walk(ck->ck_pager, &ck->ck_root, free_page, ck));
        if (!rc)
            rc = pager_record_judge(ck->ck_pager, &ck->ck_root, record_breach, ck);
    }
    return rc;
}

int edb_check(edb *db, edb_report_fn report, void *arg, edb_check_result *out)
{
    check ck = { .ck_pager = db->db_pager, .ck_home = db->db_home, .ck_report = report, .ck_arg = arg };
    reader_slot *slot = NULL;
    int rc;

    if ((rc = pager_alive(db->db_pager)) || (rc = pager_slot_take(db->db_pager, &slot)))
        return rc;
    if ((rc = check_free(&ck, slot)) || (rc = check_lists(&ck)) || (rc = check_cold_begin(&ck)) || (rc = check_trees(&ck))
        || (rc = check_damage(&ck, check_cold(&ck))))
        goto done;
    count_pages(&ck);
    if ((rc = check_damage(&ck, check_catalog(&ck))))
        goto done;
    *out = ck.ck_result;
done:
    pager_pin_move(db->db_pager, slot, UINT64_MAX);
    pager_slot_give(db->db_pager, slot);
    free(ck.ck_pages);
    free(ck.ck_cold);
    free(ck.ck_strip);
    free(ck.ck_tags);
    generator_free(ck.ck_generator);
    return rc;
}
