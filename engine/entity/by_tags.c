/* Many tag expressions (by_tags.h). One that is a tag which the dictionary does not have means nothing, whatever else there is:
 * most of the time of such a question would go into opening a set. */
#include "engine/entity/by_tags.h"

#include "native/marshal.h"
#include "engine/entity/tag_dictionary.h"
#include "engine/entity/tag_expression.h"
#include "engine/entity/tag_set.h"
#include "engine/filters/filters.h"

enum { INTERRUPT_EVERY = 256 };     /* expressions */

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for the entities of tag expressions");
}

static int write_ids(tag_set *ts, marshal_writer *out)
{
    size_t at, n = 0;
    int rc = marshal_begin_list(out, &at) ? tag_set_seek(ts, INT64_MIN) : no_memory();

    for (; !rc && tag_set_valid(ts); rc = tag_set_next(ts), n++) {
        const edb_value id = { .type = VALUE_INTEGER, .integer = tag_set_at(ts) };
        if (n == INT32_MAX)
            return edb_fail(EDB_TOOBIG, "a tag expression means more than %d entities", INT32_MAX);
        if (!marshal_write(out, &id))
            return no_memory();
    }
    if (!rc)
        marshal_end_list(out, at, n);
    return rc;
}

/* Whether the expression is a tag that nobody has. */
static int is_absent(edb_stmt *stmt, const tag_trees *trees, const edb_value *text, bool *absent)
{
    uint32_t id;
    bool found = true;
    int rc = EDB_OK;

    if (tag_expression_is_word(text->bytes, text->size)) {
        found = false;
        if (trees->tt_dictionary)
            rc = tag_id_find(stmt, trees, text->bytes, text->size, &id, &found);
    }
    *absent = !found;
    return rc;
}

static int write_one(edb_stmt *stmt, const tag_trees *trees, uint32_t type, marshal_reader *in, marshal_writer *out)
{
    edb_value text;
    tag_set *ts;
    bool absent;
    int rc;

    if (marshal_read(in, &text) || text.type != VALUE_TEXT)
        return edb_fail(EDB_MISUSE, "a tag expression is no text");
    if ((rc = is_absent(stmt, trees, &text, &absent)))
        return rc;
    if (absent)
        return marshal_write_list(out, 0) ? EDB_OK : no_memory();
    if ((rc = tag_set_open(stmt, type, (const char *)text.bytes, text.size, &ts)))
        return rc;
    rc = write_ids(ts, out);
    tag_set_close(ts);
    return rc;
}

int by_tags(edb_stmt *stmt, edb_tagged_many *tagged)
{
    marshal_reader in = { tagged->expressions, tagged->expressions + tagged->expressions_size };
    marshal_writer out = { 0 };
    tag_trees trees;
    size_t n = 0;
    int rc = tag_trees_find(stmt, &trees);

    if (!rc && marshal_read_list(&in, &n))
        rc = edb_fail(EDB_MISUSE, "the tag expressions are no list of texts");
    if (!rc && !marshal_write_list(&out, n))
        rc = no_memory();
    if (!rc && trees.tt_dictionary)
        (void)filters_of(stmt, trees.tt_dictionary, n, false);  /* so many texts at least */
    for (size_t i = 0; i < n && !rc; i++) {
        if (i % INTERRUPT_EVERY == 0 && conn_interrupted(stmt_conn(stmt)))
            rc = edb_fail(EDB_INTERRUPT, "looking for entities by tags was interrupted");
        else
            rc = write_one(stmt, &trees, tagged->table, &in, &out);
    }
    if (rc) {
        marshal_free(&out);
        return rc;
    }
    tagged->out = out.mw_bytes;
    tagged->out_size = out.mw_size;
    return EDB_OK;
}
