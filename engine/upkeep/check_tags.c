/* The tags' part of edb_check:
 *
 *   I39  the four trees of tags are there together; every text of the dictionary is a tag, and it and its id lead to each
 *        other
 *   I40  every tagging stands in postings and in reverse, of a tag in the dictionary and of a row that is there
 *   I41  the tags of a declared namespace are the values of its column
 *
 * Where one tree is walked and each entry looked up in the other, equal counts (I21 has counted both) mean that the other
 * has no more. Only what lives now is compared. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/catalog/payload.h"
#include "engine/entity/tag_columns.h"
#include "engine/entity/tag_dictionary.h"
#include "engine/entity/tag_text.h"
#include "engine/upkeep/check_internal.h"

typedef struct tag_states tag_states;
struct tag_states {
    tree_state tas_dictionary, tas_names, tas_postings, tas_reverse;
    tag_trees tas_trees;
};

static int walk(check *ck, const tree_state *state, void *arg, int (*judge)(check *ck, void *arg, const tree_version *v))
{
    tree_cursor tc;
    int rc = tree_cursor_open(&tc, ck->ck_pager, state, ck->ck_root.sn_number);

    if (rc)
        return rc;
    for (rc = tree_cursor_seek(&tc, NULL, 0); !rc && tc.tc_valid; rc = rc ? rc : tree_cursor_next(&tc))
        rc = judge(ck, arg, &tc.tc_at);
    tree_cursor_close(&tc);
    return rc;
}

static int look_up(check *ck, const tree_state *state, const void *key, size_t size, tree_version *out, bool *found)
{
    return tree_get(ck->ck_pager, state, ck->ck_root.sn_number, key, size, out, found);
}

/* ---- I39 ---------------------------------------------------------------------------------------------------------- */

static bool text_is(check *ck, const tree_version *v, const void *text, size_t size)
{
    uint8_t room[TAG_MOST];

    if (!v->overflow)
        return v->value_size == size && !memcmp(v->value, text, size);
    return tree_overflow_size(v) == size && size <= TAG_MOST && !tree_overflow_read(ck->ck_pager, v, 0, room, size)
           && !memcmp(room, text, size);
}

static int judge_text(check *ck, void *arg, const tree_version *v)
{
    const tag_states *cg = arg;
    char shown[TAG_SHOWN];
    uint8_t key[8];
    tree_version name;
    uint32_t id;
    bool found;

    if (tag_judge(v->key, v->key_size, TAG_MOST) || tag_id_of_entry(v->value, v->value_size, v->overflow, &id)) {
        check_breach(ck, "I39", cg->tas_dictionary.ts_root.page, "an entry of the dictionary of tags: %s", edb_message());
        return EDB_OK;
    }
    rowid_store(key, id);
    int rc = look_up(ck, &cg->tas_names, key, sizeof key, &name, &found);
    if (!rc && (!found || !text_is(ck, &name, v->key, v->key_size)))
        check_breach(ck, "I39", cg->tas_names.ts_root.page, "the number %" PRIu32 " of the tag \"%s\" does not lead to it",
                     id, tag_shown(v->key, v->key_size, shown));
    return rc;
}

static int check_dictionary(check *ck, tag_states *cg)
{
    int rc = walk(ck, &cg->tas_dictionary, cg, judge_text);

    if (!rc && cg->tas_dictionary.ts_live != cg->tas_names.ts_live)
        check_breach(ck, "I39", cg->tas_names.ts_root.page, "the dictionary has %" PRIu64 " tags and %" PRIu64 " numbers",
                     cg->tas_dictionary.ts_live, cg->tas_names.ts_live);
    return rc;
}

/* ---- I40 ---------------------------------------------------------------------------------------------------------- */

typedef struct {
    const tag_states *tgg_states;
    uint32_t tgg_type;               /* of the tagging before */
    bool tgg_known;                  /* tgg_type is one, and tgg_rows the state of its tree */
    bool tgg_is_table;
    tree_state tgg_rows;
} taggings;

/* Whether the catalog has a table of the id. */
static int is_table(check *ck, uint32_t id, bool *out)
{
    uint8_t key[8], front[PAYLOAD_FRONT];
    tree_state catalog;
    tree_version v;
    bool found;
    int rc = tree_state_get(ck->ck_pager, &ck->ck_root, TREE_CATALOG, &catalog);

    *out = false;
    rowid_store(key, id);
    if (rc || (rc = look_up(ck, &catalog, key, sizeof key, &v, &found)) || !found)
        return rc;
    if (v.overflow && tree_overflow_size(&v) >= sizeof front)
        rc = tree_overflow_read(ck->ck_pager, &v, 0, front, sizeof front);
    else if (!v.overflow && v.value_size >= sizeof front)
        memcpy(front, v.value, sizeof front);
    else
        return EDB_OK;
    *out = !rc && payload_kind(front) == CATALOG_TABLE;
    return rc;
}

/* What rows there are of the tagging's type; entries of reverse come ordered by it. */
static int enter_type(check *ck, taggings *gs, uint32_t type)
{
    int rc = is_table(ck, type, &gs->tgg_is_table);

    if (!rc && gs->tgg_is_table)
        rc = tree_state_get(ck->ck_pager, &ck->ck_root, type, &gs->tgg_rows);
    gs->tgg_is_table &= !rc && gs->tgg_rows.ts_key_size == 8;   /* else I32 has said it */
    rc = rc == EDB_NOSUCH ? EDB_OK : rc;
    gs->tgg_type = type;
    gs->tgg_known = !rc;
    return rc;
}

static int judge_row(check *ck, taggings *gs, const tagging *tg)
{
    uint8_t key[8];
    tree_version row;
    bool found = false;
    int rc = EDB_OK;

    if (!gs->tgg_known || gs->tgg_type != tg->tg_type)
        rc = enter_type(ck, gs, tg->tg_type);
    rowid_store(key, tg->tg_entity);
    if (!rc && gs->tgg_is_table)
        rc = look_up(ck, &gs->tgg_rows, key, sizeof key, &row, &found);
    if (!rc && !found)
        check_breach(ck, "I40", gs->tgg_states->tas_reverse.ts_root.page, "row %" PRId64 " of table %" PRIu32 " has a tag, and "
                     "does not exist", tg->tg_entity, tg->tg_type);
    return rc;
}

static int judge_tagging(check *ck, void *arg, const tree_version *v)
{
    taggings *gs = arg;
    const tag_states *cg = gs->tgg_states;
    uint8_t key[TAG_KEY_MOST], name[8];
    tree_version other;
    bool found, named;
    tagging tg;
    int rc;

    if (!reverse_load(&cg->tas_trees, &tg, v->key, v->key_size)) {
        check_breach(ck, "I40", cg->tas_reverse.ts_root.page, "a tagging has a key of %" PRIu32 " bytes that is none", v->key_size);
        return EDB_OK;
    }
    size_t size = posting_store(&cg->tas_trees, key, &tg);
    rowid_store(name, tg.tg_id);
    if ((rc = look_up(ck, &cg->tas_postings, key, size, &other, &found))
        || (rc = look_up(ck, &cg->tas_names, name, sizeof name, &other, &named)))
        return rc;
    if (!found)
        check_breach(ck, "I40", cg->tas_postings.ts_root.page, "row %" PRId64 " of table %" PRIu32 " has tag %" PRIu32
                     ", and is not in the tag's postings", tg.tg_entity, tg.tg_type, tg.tg_id);
    if (!named)
        check_breach(ck, "I40", cg->tas_names.ts_root.page, "row %" PRId64 " of table %" PRIu32 " has tag %" PRIu32
                     ", which is not in the dictionary", tg.tg_entity, tg.tg_type, tg.tg_id);
    return judge_row(ck, gs, &tg);
}

static int check_taggings(check *ck, const tag_states *cg)
{
    taggings gs = { .tgg_states = cg };
    int rc = walk(ck, &cg->tas_reverse, &gs, judge_tagging);

    if (!rc && cg->tas_reverse.ts_live != cg->tas_postings.ts_live)
        check_breach(ck, "I40", cg->tas_postings.ts_root.page, "entities have %" PRIu64 " tags, and tags have %" PRIu64
                     " entities", cg->tas_reverse.ts_live, cg->tas_postings.ts_live);
    return rc;
}

/* ---- I41 ---------------------------------------------------------------------------------------------------------- */

/* The number of a text in the dictionary. */
static int number_of(check *ck, const tag_states *cg, const void *text, size_t size, uint32_t *id, bool *found)
{
    tree_version v;
    int rc = look_up(ck, &cg->tas_dictionary, text, size, &v, found);

    return rc || !*found ? rc : tag_id_of_entry(v.value, v.value_size, v.overflow, id);
}

int check_tag_value(check *ck, const edb_table *table, int64_t row, uint32_t column, const edb_value *value,
                    uint64_t *values)
{
    tagging tg = { .tg_type = table->et_id, .tg_entity = row };
    const tag_states *cg = ck->ck_tags;
    uint8_t key[TAG_KEY_MOST];
    bool found = false;
    tree_version v;
    tag_cell cell;
    arena memory;
    int rc;

    arena_init(&memory);
    rc = tag_cell_read(table, column, value, &memory, &cell);
    arena_free(&memory);
    if (rc == EDB_TAG) {
        check_breach(ck, "I41", 0, "row %" PRId64 ": %s", row, edb_message());
        return EDB_OK;
    }
    if (rc || !cell.ce_size)
        return rc;
    ++*values;
    if (cg && !(rc = number_of(ck, cg, cell.ce_bytes, cell.ce_size, &tg.tg_id, &found)) && found) {
        size_t size = posting_store(&cg->tas_trees, key, &tg);
        rc = look_up(ck, &cg->tas_postings, key, size, &v, &found);
    }
    if (!rc && !found)
        check_breach(ck, "I41", cg ? cg->tas_postings.ts_root.page : 0, "row %" PRId64 " of table %s lacks the tag of its "
                     "column %s", row, table->et_name, table->et_columns[column].name);
    return rc;
}

static bool is_declared(const edb_table *table, const uint8_t *text, size_t size)
{
    size_t n = tag_namespace_size(text, size);

    for (uint32_t i = 0; i < table->et_n_columns; i++) {
        const char *ns = table->et_columns[i].tag;
        if (ns && strlen(ns) == n && !memcmp(ns, text, n))
            return true;
    }
    return false;
}

static int is_of_column(check *ck, const edb_table *table, const tagging *tg, bool *out)
{
    uint8_t room[TAG_MOST], key[8];
    tree_version name;
    bool found;

    *out = false;
    rowid_store(key, tg->tg_id);
    int rc = look_up(ck, &ck->ck_tags->tas_names, key, sizeof key, &name, &found);
    if (rc || !found)
        return rc;                  /* I40 says it */
    if (!name.overflow)
        *out = is_declared(table, name.value, name.value_size);
    else if (tree_overflow_size(&name) <= sizeof room
             && !(rc = tree_overflow_read(ck->ck_pager, &name, 0, room, tree_overflow_size(&name))))
        *out = is_declared(table, room, tree_overflow_size(&name));
    return rc;
}

int check_tag_columns(check *ck, const edb_table *table, uint64_t values)
{
    uint8_t prefix[TAG_TYPE];
    uint64_t tags = 0;
    bool counts;
    tree_cursor tc;
    tagging tg;
    int rc;

    if (!ck->ck_tags)
        return EDB_OK;              /* each value has been found to lack its tag */
    if ((rc = tree_cursor_open(&tc, ck->ck_pager, &ck->ck_tags->tas_reverse, ck->ck_root.sn_number)))
        return rc;
    big32_store(prefix, table->et_id);
    for (rc = tree_cursor_seek(&tc, prefix, sizeof prefix);
         !rc && tc.tc_valid && reverse_load(&ck->ck_tags->tas_trees, &tg, tc.tc_at.key, tc.tc_at.key_size)
         && tg.tg_type == table->et_id;
         rc = rc ? rc : tree_cursor_next(&tc)) {
        rc = is_of_column(ck, table, &tg, &counts);
        tags += counts;
    }
    tree_cursor_close(&tc);
    if (!rc && tags != values)
        check_breach(ck, "I41", ck->ck_tags->tas_reverse.ts_root.page, "rows of table %s have %" PRIu64 " tags of its tag "
                     "columns for %" PRIu64 " values", table->et_name, tags, values);
    return rc;
}

/* ---- the four trees ------------------------------------------------------------------------------------------------ */

int check_tags_find(check *ck, const tag_trees *trees)
{
    const struct { uint32_t tree; uint8_t key_size; const char *name; size_t place; } wanted[] = {
        { trees->tt_dictionary, 0, TAGS_DICTIONARY, offsetof(tag_states, tas_dictionary) },
        { trees->tt_names, 8, TAGS_NAMES, offsetof(tag_states, tas_names) },
        { trees->tt_postings, 0, trees->tt_wide ? TAGS_POSTINGS_WIDE : TAGS_POSTINGS, offsetof(tag_states, tas_postings) },
        { trees->tt_reverse, 0, trees->tt_wide ? TAGS_REVERSE_WIDE : TAGS_REVERSE, offsetof(tag_states, tas_reverse) },
    };
    bool whole = true;

    if (!trees->tt_dictionary && !trees->tt_names && !trees->tt_postings && !trees->tt_reverse)
        return EDB_OK;
    if (!(ck->ck_tags = calloc(1, sizeof *ck->ck_tags)))
        return edb_fail(EDB_NOMEM, "memory is exhausted while the file is checked");
    ck->ck_tags->tas_trees = *trees;
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        tree_state *state = (tree_state *)((char *)ck->ck_tags + wanted[i].place);
        int rc = wanted[i].tree ? tree_state_get(ck->ck_pager, &ck->ck_root, wanted[i].tree, state) : EDB_NOSUCH;
        if (rc && rc != EDB_NOSUCH)
            return rc;
        if (rc || state->ts_key_size != wanted[i].key_size)
            check_breach(ck, "I39", 0, "the tree \"%s\" of tags is not there, or has keys of the wrong kind", wanted[i].name);
        whole &= !rc && state->ts_key_size == wanted[i].key_size;
    }
    if (!whole) {
        free(ck->ck_tags);
        ck->ck_tags = NULL;
    }
    return EDB_OK;
}

int check_tags(check *ck)
{
    int rc = EDB_OK;

    if (ck->ck_tags && !(rc = check_dictionary(ck, ck->ck_tags)))
        rc = check_taggings(ck, ck->ck_tags);
    free(ck->ck_tags);
    ck->ck_tags = NULL;
    return rc;
}
