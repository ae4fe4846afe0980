/* Many tag expressions (by_tags.h). One that is a tag which the dictionary does not have means nothing, whatever else there is:
 * most of the time of such a question would go into opening a set. Which these are is asked of many at once. */
#include "engine/entity/by_tags.h"

#include "native/marshal.h"
#include "engine/entity/tag_dictionary.h"
#include "engine/entity/tag_expression.h"
#include "engine/entity/tag_set.h"
#include "engine/filters/filters.h"

enum { AT_ONCE = 64 };              /* expressions */

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

typedef struct {
    edb_value batch_texts[AT_ONCE];
    bool batch_absent[AT_ONCE];     /* it is a tag that nobody has */
    size_t batch_n;
} batch;

static int read_some(marshal_reader *in, size_t most, batch *some)
{
    for (some->batch_n = 0; some->batch_n < most; some->batch_n++) {
        edb_value *text = &some->batch_texts[some->batch_n];
        if (marshal_read(in, text) || text->type != VALUE_TEXT)
            return edb_fail(EDB_MISUSE, "a tag expression is no text");
    }
    return EDB_OK;
}

static int find_absent(edb_stmt *stmt, const tag_trees *trees, batch *some)
{
    edb_value words[AT_ONCE];
    bool absent[AT_ONCE];
    size_t places[AT_ONCE], n = 0;
    int rc = EDB_OK;

    for (size_t i = 0; i < some->batch_n; i++) {
        const edb_value *text = &some->batch_texts[i];
        some->batch_absent[i] = false;
        if (!tag_expression_is_word(text->bytes, text->size))
            continue;
        places[n] = i;
        words[n++] = *text;
    }
    if (trees->tt_dictionary)
        rc = tag_ids_absent(stmt, trees, words, n, absent);
    for (size_t i = 0; i < n && !rc; i++)
        some->batch_absent[places[i]] = !trees->tt_dictionary || absent[i];
    return rc;
}

static int write_one(edb_stmt *stmt, uint32_t type, const edb_value *text, marshal_writer *out)
{
    tag_set *ts;
    int rc = tag_set_open(stmt, type, (const char *)text->bytes, text->size, &ts);

    if (rc)
        return rc;
    rc = write_ids(ts, out);
    tag_set_close(ts);
    return rc;
}

static int write_some(edb_stmt *stmt, const tag_trees *trees, uint32_t type, batch *some, marshal_writer *out)
{
    int rc = find_absent(stmt, trees, some);

    for (size_t i = 0; i < some->batch_n && !rc; i++)
        if (!some->batch_absent[i])
            rc = write_one(stmt, type, &some->batch_texts[i], out);
        else if (!marshal_write_list(out, 0))
            rc = no_memory();
    return rc;
}

int by_tags(edb_stmt *stmt, edb_tagged_many *tagged)
{
    marshal_reader in = { tagged->expressions, tagged->expressions + tagged->expressions_size };
    marshal_writer out = { 0 };
    tag_trees trees;
    batch some;
    size_t n = 0;
    int rc = tag_trees_find(stmt, &trees);

    if (!rc && marshal_read_list(&in, &n))
        rc = edb_fail(EDB_MISUSE, "the tag expressions are no list of texts");
    if (!rc && !marshal_write_list(&out, n))
        rc = no_memory();
    if (!rc && trees.tt_dictionary)
        (void)filters_of(stmt, trees.tt_dictionary, n, false);  /* so many texts at least */
    for (size_t left = n; left && !rc; left -= some.batch_n) {
        rc = read_some(&in, left < AT_ONCE ? left : AT_ONCE, &some);
        if (!rc && conn_interrupted(stmt_conn(stmt)))
            rc = edb_fail(EDB_INTERRUPT, "looking for entities by tags was interrupted");
        if (!rc)
            rc = write_some(stmt, &trees, tagged->table, &some, &out);
    }
    if (rc) {
        marshal_free(&out);
        return rc;
    }
    tagged->out = out.mw_bytes;
    tagged->out_size = out.mw_size;
    return EDB_OK;
}
