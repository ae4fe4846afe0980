/* Many tag expressions (by_tags.h). One that is a tag which the dictionary does not have means nothing, whatever else there is:
 * most of the time of such a question would go into opening a set. Which these are is asked of many at once. */
#include "engine/entity/by_tags.h"

#include <stdlib.h>

#include "engine/entity/tag_dictionary.h"
#include "engine/entity/tag_expression.h"
#include "engine/entity/tag_set.h"
#include "engine/filters/filters.h"

enum { AT_ONCE = 64 };              /* expressions */

/* Which of some expressions are tags that nobody has. */
static int find_absent(edb_stmt *stmt, const tag_trees *trees, const edb_text *some, size_t n_some, bool *absent)
{
    edb_value words[AT_ONCE];
    size_t places[AT_ONCE], n = 0;
    bool have_none[AT_ONCE];
    int rc = EDB_OK;

    for (size_t i = 0; i < n_some; i++) {
        const uint8_t *bytes = (const uint8_t *)some[i].bytes;
        absent[i] = false;
        if (!tag_expression_is_word(bytes, some[i].size))
            continue;
        places[n] = i;
        words[n++] = (edb_value){ .type = VALUE_TEXT, .bytes = bytes, .size = some[i].size };
    }
    if (trees->tt_dictionary)
        rc = tag_ids_absent(stmt, trees, words, n, have_none);
    for (size_t i = 0; i < n && !rc; i++)
        absent[places[i]] = !trees->tt_dictionary || have_none[i];
    return rc;
}

static int add_ids(edb_stmt *stmt, uint32_t type, const edb_text *text, id_list *out)
{
    tag_set *ts;
    int rc = tag_set_open(stmt, type, text->bytes, text->size, &ts);

    if (rc)
        return rc;
    rc = tag_set_collect(ts, out);
    tag_set_close(ts);
    return rc;
}

static int find_some(edb_stmt *stmt, const tag_trees *trees, uint32_t type, const edb_text *some, size_t n, size_t *ends,
                     id_list *out)
{
    bool absent[AT_ONCE];
    int rc = find_absent(stmt, trees, some, n, absent);

    for (size_t i = 0; i < n && !rc; i++) {
        if (!absent[i])
            rc = add_ids(stmt, type, &some[i], out);
        ends[i] = out->il_n;
    }
    return rc;
}

int by_tags(edb_stmt *stmt, edb_tagged_many *tagged)
{
    id_list out = { 0 };
    tag_trees trees;
    size_t at = 0, n = tagged->n, some;
    int rc = tag_trees_find(stmt, &trees);

    if (!rc && trees.tt_dictionary)
        (void)filters_of(stmt, trees.tt_dictionary, n, false);  /* so many texts at least */
    for (; at < n && !rc; at += some) {
        some = n - at < AT_ONCE ? n - at : AT_ONCE;
        if (conn_interrupted(stmt_conn(stmt)))
            rc = edb_fail(EDB_INTERRUPT, "looking for entities by tags was interrupted");
        else
            rc = find_some(stmt, &trees, tagged->table, tagged->expressions + at, some, tagged->ends + at, &out);
    }
    if (rc)
        free(out.il_ids);
    else
        tagged->ids = out.il_ids;
    return rc;
}
