/* edb_verify: whether what commits wrote, and when, is what they wrote then. README.md, "Tamper evidence", has S1 to S6.
 *
 *   1  what commits wrote is computed anew from the versions, in ranges of commits, so that memory is bounded; with its
 *      time it must give the commit's link (S2). Which commit is not as it was is known exactly.
 *   2  the links must give the seals: those that the list keeps, the newest one, and the one that the caller expects (S3).
 *      Links changed together with what they are made of are found here, within a group.
 *
 * Whether a page is sound in itself is not asked here, but by edb_check. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/entity/reduced.h"
#include "engine/pager/links.h"
#include "engine/catalog/catalog.h"
#include "engine/txn/txn_internal.h"

enum { VERIFY_RANGE = 1 << 15 };    /* commits whose contents are computed in one walk */

typedef struct {
    pager *vfy_pager;
    snapshot vfy_root;               /* pinned */
    edb_break_fn vfy_broken;
    edb_progress_fn vfy_progress;
    void *vfy_arg;
    edb_verify_result vfy_result;
    uint64_t vfy_done, vfy_of;        /* trees walked */
    uint8_t *vfy_groups;             /* of each group of links: whether a commit of it is known to be broken */
    bool vfy_is_reduced;
    tree_state vfy_reduced;          /* where vfy_is_reduced */
    tree_masks vfy_masks;
} verification;

/* ---- what is found ------------------------------------------------------------------------------------------------- */

static void name_of_tree(const edb_table *table, uint32_t tree, char *out, size_t room)
{
    const edb_index *index = table_index(table, tree);

    if (table->et_id == tree || index)
        snprintf(out, room, "%s", index ? index->name : table->et_name);
}

/* What the catalog called a tree at the commit; an empty text: it did not know it. */
static void tree_named(verification *vf, uint32_t tree, uint64_t number, char *out, size_t room)
{
    tree_state catalog;
    tree_cursor tc;
    edb_table *table;

    out[0] = 0;
    if (tree_state_get(vf->vfy_pager, &vf->vfy_root, TREE_CATALOG, &catalog)
        || tree_cursor_open(&tc, vf->vfy_pager, &catalog, number))
        return;
    for (int rc = tree_cursor_seek(&tc, NULL, 0); !rc && tc.tc_valid && !out[0]; rc = tree_cursor_next(&tc))
        if (!tc.tc_at.overflow && !table_decode(tc.tc_at.value, tc.tc_at.value_size, &table)) {
            name_of_tree(table, tree, out, room);
            table_unref(table);
        }
    tree_cursor_close(&tc);
}

__attribute__((format(printf, 4, 5)))
static void broken(verification *vf, uint64_t number, const char *table, const char *format, ...)
{
    char sentence[512];
    va_list arguments;
    int64_t ns = 0;

    vf->vfy_result.breaks++;
    if (number && number <= vf->vfy_root.sn_number)
        (void)moment_of(vf->vfy_pager, &vf->vfy_root, number, &ns);
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    if (vf->vfy_broken)
        vf->vfy_broken(vf->vfy_arg, number, ns, table, sentence);
}

/* Damage is a break that names no commit; all else ends the verification. */
static int survive(verification *vf, int rc)
{
    if (rc == EDB_CORRUPT) {
        broken(vf, 0, NULL, "%s", edb_message());
        return EDB_OK;
    }
    return rc;
}

/* ---- contents ------------------------------------------------------------------------------------------------------ */

static void differs(void *arg, uint64_t number, uint32_t tree)
{
    verification *vf = arg;
    char name[300];

    tree_named(vf, tree, number, name, sizeof name);
    broken(vf, number, name[0] ? name : NULL, "what commit %" PRIu64 " wrote to tree %" PRIu32 " was changed where later moments "
           "read it", number, tree);
}

static int walk_tree(void *arg, uint32_t tree)
{
    verification *vf = arg;

    (void)tree;
    if (vf->vfy_progress && vf->vfy_progress(vf->vfy_arg, vf->vfy_done++, vf->vfy_of))
        return edb_fail(EDB_INTERRUPT, "the verification was stopped");
    return EDB_OK;
}

/* S2 and S4 */
static int judge_content(verification *vf, uint64_t number, const uint8_t content[SHA256_SIZE])
{
    uint8_t link[SHA256_SIZE], computed[SHA256_SIZE];
    reduced_content rcn;
    bool reduced = false;
    int64_t ns;
    int rc = moment_of(vf->vfy_pager, &vf->vfy_root, number, &ns);

    if (!rc)
        rc = links_get(vf->vfy_pager, &vf->vfy_root, number, link);
    if (!rc && vf->vfy_is_reduced)
        rc = reduced_get(vf->vfy_pager, &vf->vfy_reduced, vf->vfy_root.sn_number, number, &rcn, &reduced);
    if (rc)
        return survive(vf, rc);
    vf->vfy_result.reduced += reduced;
    link_of(number, ns, reduced ? rcn.rdc_first : content, computed);
    if (memcmp(link, computed, SHA256_SIZE) == 0 && (!reduced || memcmp(rcn.rdc_now, content, SHA256_SIZE) == 0))
        return EDB_OK;
    vf->vfy_groups[(number - vf->vfy_root.sn_links_from) / LINKS_GROUP] = 1;
    broken(vf, number, NULL, "what commit %" PRIu64 " wrote, or its time, is not what it was when it was committed", number);
    return EDB_OK;
}

static int judge_contents(verification *vf, uint64_t after, uint64_t upto)
{
    const contents_watch watch = { differs, walk_tree, vf };
    const contents_source source = { &vf->vfy_root.sn_trees, &vf->vfy_root.sn_cold, vf->vfy_root.sn_horizon, &vf->vfy_masks };
    uint8_t (*contents)[SHA256_SIZE] = malloc((upto - after) * sizeof *contents);
    int rc = contents ? EDB_OK : edb_fail(EDB_NOMEM, "no memory to verify");
    bool whole = false;

    if (!rc) {
        rc = contents_of(vf->vfy_pager, &source, after, upto, &watch, contents);
        whole = !rc;
        rc = survive(vf, rc);
    }
    for (uint64_t n = after + 1; n <= upto && whole && !rc; n++)
        rc = judge_content(vf, n, contents[n - after - 1]);
    free(contents);
    return rc;
}

static int verify_contents(verification *vf)
{
    uint64_t last = vf->vfy_root.sn_number;
    int rc = EDB_OK;

    vf->vfy_of = (last - vf->vfy_result.proved_after + VERIFY_RANGE - 1) / VERIFY_RANGE * vf->vfy_root.sn_trees.ar_count;
    for (uint64_t after = vf->vfy_result.proved_after, upto; after < last && !rc; after = upto) {
        upto = last - after > VERIFY_RANGE ? after + VERIFY_RANGE : last;
        rc = judge_contents(vf, after, upto);
    }
    return rc;
}

/* ---- seals --------------------------------------------------------------------------------------------------------- */

/* S3, S5: of a group of links, or of those behind the last whole one. kept: what its seal must be. */
static void judge_seal(verification *vf, uint64_t last, const uint8_t computed[SHA256_SIZE], const uint8_t kept[SHA256_SIZE])
{
    uint64_t group = (last - vf->vfy_root.sn_links_from) / LINKS_GROUP, first = vf->vfy_root.sn_links_from + group * LINKS_GROUP;

    if (memcmp(computed, kept, SHA256_SIZE) != 0 && !vf->vfy_groups[group])
        broken(vf, first, NULL, "the links of commits %" PRIu64 " to %" PRIu64 ", or the seal kept of them, were changed", first,
               last);
}

static void judge_expected(verification *vf, const edb_verify_options *options, uint64_t number, const uint8_t seal[SHA256_SIZE])
{
    if (number == options->expected && memcmp(seal, options->expected_seal, SHA256_SIZE) != 0)
        broken(vf, number, NULL, "commit %" PRIu64 ", or one before it, is not the one whose hash was expected", number);
}

static int verify_seals(verification *vf, const edb_verify_options *options)
{
    const snapshot *root = &vf->vfy_root;
    /* From the beginning, for what is expected; and from the seal kept last, so that a break is found in its own group. */
    uint8_t seal[SHA256_SIZE] = { 0 }, local[SHA256_SIZE] = { 0 }, link[SHA256_SIZE], kept[SHA256_SIZE];
    int rc = EDB_OK;

    for (uint64_t n = root->sn_links_from; n <= root->sn_number && !rc; n++) {
        bool there = false;
        if ((rc = links_get(vf->vfy_pager, root, n, link)))
            break;
        seal_of(seal, link, seal);
        seal_of(local, link, local);
        judge_expected(vf, options, n, seal);
        if (n == root->sn_number) {
            judge_seal(vf, n, local, root->sn_seal);
        } else if ((n - root->sn_links_from) % LINKS_GROUP == LINKS_GROUP - 1) {
            rc = links_kept_seal(vf->vfy_pager, root, (n - root->sn_links_from) / LINKS_GROUP, kept, &there);
            if (there) {
                judge_seal(vf, n, local, kept);
                memcpy(local, kept, sizeof local);
            }
        }
    }
    memcpy(vf->vfy_result.seal, seal, sizeof seal);
    return survive(vf, rc);
}

/* ---- all of it ----------------------------------------------------------------------------------------------------- */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static int verify(verification *vf, const edb_verify_options *options)
{
    const snapshot *root = &vf->vfy_root;
    edb_verify_result *out = &vf->vfy_result;

    if (options->expected && (options->expected > root->sn_number || options->expected < root->sn_links_from || !root->sn_links_from))
        broken(vf, options->expected, NULL, "commit %" PRIu64 ", whose hash was expected, is missing: hashes are there of %" PRIu64
               " to %" PRIu64, options->expected, root->sn_links_from, root->sn_links_from ? root->sn_number : 0);
    out->proved_after = root->sn_number;
    if (!root->sn_links_from)
        return EDB_OK;
    out->first = root->sn_links_from;
    out->last = root->sn_number;
    out->proved_after = later(later(options->since, root->sn_horizon), root->sn_links_from - 1);
    if (out->proved_after > root->sn_number)
        out->proved_after = root->sn_number;
    if (!(vf->vfy_groups = calloc((root->sn_number - root->sn_links_from) / LINKS_GROUP + 1, 1)))
        return edb_fail(EDB_NOMEM, "no memory to verify");
    int rc = survive(vf, reduced_tree(vf->vfy_pager, root, &vf->vfy_reduced, &vf->vfy_is_reduced));
    if (!rc)
        rc = survive(vf, masks_of(vf->vfy_pager, root, &vf->vfy_masks));
    if (!rc)
        rc = verify_contents(vf);
    return rc ? rc : verify_seals(vf, options);
}

int edb_verify(edb *db, const edb_verify_options *options, edb_break_fn broken_fn, edb_progress_fn progress, void *arg,
               edb_verify_result *out)
{
    verification *vf;
    reader_slot *slot = NULL;
    int rc = pager_alive(db->db_pager);

    if (rc || (rc = pager_slot_take(db->db_pager, &slot)))
        return rc;
    if (!(vf = calloc(1, sizeof *vf))) {
        rc = edb_fail(EDB_NOMEM, "no memory to verify");
        goto done;
    }
    vf->vfy_pager = db->db_pager;
    vf->vfy_broken = broken_fn;
    vf->vfy_progress = progress;
    vf->vfy_arg = arg;
    if (!(rc = pager_pin(db->db_pager, slot, PIN_PUBLISHED, &vf->vfy_root)) && !(rc = verify(vf, options)))
        *out = vf->vfy_result;
    free(vf->vfy_groups);
    tree_masks_free(&vf->vfy_masks);
    free(vf);
    pager_pin_move(db->db_pager, slot, UINT64_MAX);
done:
    pager_slot_give(db->db_pager, slot);
    return rc;
}

int edb_newest_seal(edb *db, uint64_t *number, uint8_t *seal)
{
    reader_slot *slot = NULL;
    snapshot root;
    int rc = pager_alive(db->db_pager);

    if (rc || (rc = pager_slot_take(db->db_pager, &slot)))
        return rc;
    if (!(rc = pager_pin(db->db_pager, slot, pager_pin_of_readers(db->db_pager), &root))) {
        pager_pin_move(db->db_pager, slot, UINT64_MAX);
        /* Else a power loss might take it back, and another commit would get its number. */
        rc = root.sn_links_from ? pager_wait_durable(db->db_pager, root.sn_number, true) : EDB_OK;
    }
    pager_slot_give(db->db_pager, slot);
    if (rc)
        return rc;
    *number = root.sn_links_from ? root.sn_number : 0;
    memcpy(seal, root.sn_seal, SHA256_SIZE);
    return EDB_OK;
}
