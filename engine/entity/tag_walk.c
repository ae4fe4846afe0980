/* A walk over taggings (tag_walk.h). */
#include "engine/entity/tag_walk.h"

#include <string.h>

#include "native/keycode.h"
#include "engine/entity/tag_dictionary.h"
#include "engine/txn/reads.h"

static int load(tag_walk *tw)
{
    const edb_entry *at = &tw->tw_entries.at;
    int rc = taggings_stand(&tw->tw_entries, tw->tw_prefix, tw->tw_prefix_size, &tw->tw_valid);

    if (rc || !tw->tw_valid)
        return rc;
    bool right = tw->tw_way == TAG_WALK_REVERSE ? reverse_load(&tw->tw_trees, &tw->tw_at, at->key, at->key_size)
                                                : posting_load(&tw->tw_trees, &tw->tw_at, at->key, at->key_size);
    tw->tw_from = at->from;
    return right ? EDB_OK : tagging_forged(&tw->tw_entries);
}

static int begin(tag_walk *tw)
{
    int rc = taggings_seek(&tw->tw_entries, tw->tw_prefix, tw->tw_prefix_size, tw->tw_prefix_size);

    return rc ? rc : load(tw);
}

/* Entities of one tag, of the type asked for or of all. */
static void prefix_of_tag(tag_walk *tw, uint32_t id)
{
    big32_store(tw->tw_prefix, id);
    tw->tw_prefix_size = TAG_ID;
    if (tw->tw_question.tq_has_type) {
        big32_store(tw->tw_prefix + TAG_ID, tw->tw_question.tq_type);
        tw->tw_prefix_size += TAG_TYPE;
    }
}

/* From the text that the dictionary's cursor has come to, to the first that has entries. */
static int pass_empty_texts(tag_walk *tw)
{
    const tag_question *tq = &tw->tw_question;
    int rc = EDB_OK;

    while (!rc && tw->tw_texts.valid) {
        const edb_entry *at = &tw->tw_texts.at;
        uint32_t id;
        if (tq->tq_high && key_compare(at->key, at->key_size, tq->tq_high, tq->tq_high_size) >= 0)
            break;
        if ((rc = tag_id_of_entry(at->value, at->value_size, at->overflow, &id)))
            break;
        prefix_of_tag(tw, id);
        if ((rc = begin(tw)) || tw->tw_valid)
            return rc;
        if (conn_interrupted(stmt_conn(tw->tw_stmt)))
            rc = edb_fail(EDB_INTERRUPT, "looking for tags was interrupted");
        else
            rc = cursor_next(&tw->tw_texts);
    }
    tw->tw_valid = false;
    return rc;
}

static int begin_texts(tag_walk *tw)
{
    const tag_question *tq = &tw->tw_question;
    int rc = cursor_open(tw->tw_stmt, tw->tw_trees.tt_dictionary, &tw->tw_texts);

    if (rc)
        return rc;
    tw->tw_texts_open = true;
    rc = cursor_seek(&tw->tw_texts, tq->tq_low, tq->tq_low_size);
    if (!rc)
        cursor_bounds(&tw->tw_texts, NULL, 0, tq->tq_high, tq->tq_high_size);
    return rc ? rc : pass_empty_texts(tw);
}

static void prefix_of_entity(tag_walk *tw)
{
    const tag_question *tq = &tw->tw_question;

    if (!tq->tq_has_type)
        return;
    big32_store(tw->tw_prefix, tq->tq_type);
    tw->tw_prefix_size = TAG_TYPE;
    if (!tq->tq_has_entity)
        return;
    tw->tw_prefix_size = entity_prefix(&tw->tw_trees, tw->tw_prefix, tq->tq_type, tq->tq_entity);
}

static int keep_question(tag_walk *tw, const tag_question *question)
{
    tag_question *tq = &tw->tw_question;

    *tq = *question;
    if (tq->tq_low)
        tq->tq_low = arena_copy(&tw->tw_memory, tq->tq_low, tq->tq_low_size);
    if (tq->tq_high)
        tq->tq_high = arena_copy(&tw->tw_memory, tq->tq_high, tq->tq_high_size);
    if ((question->tq_low && !tq->tq_low) || (question->tq_high && !tq->tq_high))
        return edb_fail(EDB_NOMEM, "no memory to look for tags");
    return EDB_OK;
}

static int begin_walk(tag_walk *tw)
{
    const tag_question *tq = &tw->tw_question;
    bool of_entity = tq->tq_has_type && tq->tq_has_entity, known = true;
    uint32_t id = 0;
    int rc = EDB_OK;

    tw->tw_way = of_entity || (!tq->tq_low && !tq->tq_high) ? TAG_WALK_REVERSE
                 : tq->tq_one ? TAG_WALK_POSTINGS : TAG_WALK_TEXTS;
    if (tq->tq_one)
        rc = tag_id_find(tw->tw_stmt, &tw->tw_trees, tq->tq_low, tq->tq_low_size, &id, &known);
    if (rc || !known)
        return rc;
    rc = cursor_open(tw->tw_stmt, tw->tw_way == TAG_WALK_REVERSE ? tw->tw_trees.tt_reverse : tw->tw_trees.tt_postings,
                     &tw->tw_entries);
    if (rc)
        return rc;
    tw->tw_open = true;
    if (tw->tw_way == TAG_WALK_TEXTS)
        return begin_texts(tw);
    if (tw->tw_way == TAG_WALK_POSTINGS) {
        prefix_of_tag(tw, id);
    } else {
        prefix_of_entity(tw);
        if (of_entity && tq->tq_one) {
            big32_store(tw->tw_prefix + tw->tw_prefix_size, id);
            tw->tw_prefix_size += TAG_ID;
        }
    }
    return begin(tw);
}

int tag_walk_open(edb_stmt *stmt, const tag_question *question, tag_walk *tw)
{
    int rc;

    tw->tw_stmt = stmt;
    tw->tw_valid = tw->tw_open = tw->tw_texts_open = false;
    tw->tw_prefix_size = 0;
    arena_init(&tw->tw_memory);
    if (!(rc = tag_trees_find(stmt, &tw->tw_trees)) && tw->tw_trees.tt_dictionary && !(rc = keep_question(tw, question)))
        rc = begin_walk(tw);
    if (rc)
        tag_walk_close(tw);
    return rc;
}

void tag_walk_close(tag_walk *tw)
{
    if (tw->tw_open)
        cursor_close(&tw->tw_entries);
    if (tw->tw_texts_open)
        cursor_close(&tw->tw_texts);
    tw->tw_open = tw->tw_texts_open = tw->tw_valid = false;
    arena_free(&tw->tw_memory);
}

int tag_walk_next(tag_walk *tw)
{
    int rc = cursor_next(&tw->tw_entries);

    if (rc || (rc = load(tw)) || tw->tw_valid || tw->tw_way != TAG_WALK_TEXTS)
        return rc;
    rc = cursor_next(&tw->tw_texts);
    return rc ? rc : pass_empty_texts(tw);
}

int tag_walk_text(tag_walk *tw, const uint8_t **text, uint32_t *size)
{
    if (tw->tw_way == TAG_WALK_TEXTS) {
        *text = tw->tw_texts.at.key;
        *size = tw->tw_texts.at.key_size;
        return EDB_OK;
    }
    return tag_text(tw->tw_stmt, &tw->tw_trees, tw->tw_at.tg_id, tw->tw_room, text, size);
}
