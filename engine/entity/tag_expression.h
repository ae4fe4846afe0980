/* Tag expressions: which entities are meant, as text.
 *
 *     any     =  all { "|" all }
 *     all     =  factor { "&" factor }
 *     factor  =  "!" factor  |  "(" any ")"  |  tag [ "*" ]
 *     tag     =  word  |  '"' text '"', a quote in it doubled
 *
 * A word is what has no blank and none of & | ! ( ) " * in it. A tag with "*" directly behind it means all tags that begin
 * with it. Blanks between the parts are of no account. */
#ifndef EDB_TAG_EXPRESSION_H
#define EDB_TAG_EXPRESSION_H

#include "native/arena.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum { TAG_IS, TAG_BEGINS, TAG_ALL, TAG_ANY, TAG_NOT } tag_kind;

typedef struct tag_node tag_node;
struct tag_node {
    tag_kind tn_kind;
    const uint8_t *tn_text;         /* of TAG_IS and TAG_BEGINS */
    size_t tn_size;
    tag_node *tn_first;             /* of the others: the first of the parts; TAG_NOT has one */
    tag_node *tn_next;              /* the next part of what it is a part of */
};

/* Into memory; the text may go. EDB_MISUSE: it cannot be read, with the place; EDB_TAG: a part of it can be no tag. */
int tag_expression_parse(const char *text, size_t size, arena *memory, tag_node **out);
/* Whether it is one tag and nothing else, written as a word of ASCII: the most usual, and what need not be read. */
bool tag_expression_is_word(const uint8_t *text, size_t size);

#endif
