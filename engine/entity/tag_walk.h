/* A walk over taggings that answer a question: by entity, by tag, by a range of tags, or all of them. */
#ifndef EDB_TAG_WALK_H
#define EDB_TAG_WALK_H

#include "native/arena.h"
#include "engine/entity/tag_text.h"
#include "engine/entity/tag_trees.h"

typedef struct {                    /* what is asked; everything that is not is left open */
    bool tq_has_type, tq_has_entity;
    uint32_t tq_type;
    int64_t tq_entity;              /* of no use without the type */
    const uint8_t *tq_low, *tq_high;    /* texts from low on, to high, not included; NULL: unbounded */
    uint32_t tq_low_size, tq_high_size;
    bool tq_one;                    /* the text that low is, and no other */
} tag_question;

typedef struct {
    edb_stmt *tw_stmt;
    tag_trees tw_trees;
    bool tw_valid;
    tagging tw_at;                  /* while valid */
    uint64_t tw_from;               /* the commit that gave the tag; 0: an own write */
    enum { TAG_WALK_REVERSE, TAG_WALK_POSTINGS, TAG_WALK_TEXTS } tw_way;
    uint8_t tw_prefix[TAG_KEY_MOST];     /* of the keys walked */
    size_t tw_prefix_size;
    bool tw_open, tw_texts_open;
    edb_cursor tw_entries;          /* while tw_open */
    edb_cursor tw_texts;            /* TAG_WALK_TEXTS, while tw_texts_open: where in the dictionary it stands */
    tag_question tw_question;       /* its texts are copies in tw_memory */
    arena tw_memory;
    uint8_t tw_room[TAG_MOST];      /* for tag_walk_text() */
} tag_walk;

/* By entity it goes in the order of the tags' ids, by tag in that of (type, entity), by range in that of (tag, type,
 * entity), else in that of (type, entity). What is asked and not needed to find the way is not judged. */
int tag_walk_open(edb_stmt *stmt, const tag_question *question, tag_walk *tw);
void tag_walk_close(tag_walk *tw);
int tag_walk_next(tag_walk *tw);
int tag_walk_text(tag_walk *tw, const uint8_t **text, uint32_t *size);      /* until the next call */

#endif
