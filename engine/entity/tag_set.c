/* Entities that a tag expression means (tag_set.h). */
#include "engine/entity/tag_set.h"

#include <stdlib.h>
#include <string.h>

#include "native/gallop.h"
#include "engine/entity/tag_dictionary.h"
#include "engine/entity/tag_walk.h"
#include "engine/stats/statistics.h"
#include "engine/txn/reads.h"

/* What a stream is made of. */
typedef enum {
    STREAM_NONE,                    /* nothing */
    STREAM_POSTINGS,                /* of one tag */
    STREAM_LIST,                    /* ids collected */
    STREAM_ROWS,                    /* all rows of the table */
    STREAM_ALL,                     /* what is in all parts, and in none of those that are excluded */
    STREAM_ANY,                     /* what is in any part */
} stream_kind;

enum { SOME_FIRST = 8, SOME_MOST = WHICH_MOST };

typedef struct {                    /* ascending ids that all parts have, found together */
    int64_t som_ids[SOME_MOST];
    size_t som_n, som_i;
    size_t som_want;                /* so many of the first part are taken next: few where few may be asked for */
} some;

typedef struct stream stream;
struct stream {
    stream_kind str_kind;
    edb_conn *str_conn;             /* ALL: may be interrupted */
    bool str_done;                  /* it has come to its end, and what it is made of may stand anywhere */
    bool str_valid;                 /* it stands on str_at */
    int64_t str_at;
    double str_size;                 /* about how many */
    edb_cursor str_cursor;           /* POSTINGS, ROWS: while str_open, over str_tree */
    uint32_t str_tree;
    bool str_wide;                  /* POSTINGS: tt_wide */
    bool str_open;
    bool str_leaps;                 /* another stream says where it goes on, mostly far ahead */
    uint8_t str_key[TAG_KEY_MOST];        /* POSTINGS: the prefix of its keys, and room for the entity */
    int64_t *str_ids;                /* LIST: ascending, malloc()ed */
    size_t str_n, str_i;
    stream *str_parts, *str_excluded; /* ALL, ANY: lists by str_next; parts of ALL by size */
    some *str_some;                 /* ALL */
    stream *str_next;
};

struct tag_set {
    edb_stmt *tse_stmt;
    uint32_t tse_type;
    tag_trees tse_trees;
    arena tse_memory;                /* of nodes and streams */
    stream *tse_stream;
};


static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory to look for entities by tags");
}

static int interrupted(edb_conn *conn)
{
    return conn_interrupted(conn) ? edb_fail(EDB_INTERRUPT, "looking for entities by tags was interrupted") : EDB_OK;
}

/* ---- moving -------------------------------------------------------------------------------------------------------- */

/* What the cursor of a stream has come to. */
static int stand(stream *sr)
{
    const edb_cursor *cu = &sr->str_cursor;
    const edb_entry *at = &cu->at;
    int rc = EDB_OK;

    if (sr->str_kind == STREAM_POSTINGS) {
        rc = taggings_stand(cu, sr->str_key, TAG_HEAD, &sr->str_valid);
        if (!rc && sr->str_valid
            && entity_load(sr->str_wide, at->key + TAG_HEAD, at->key_size - TAG_HEAD, &sr->str_at) != at->key_size - TAG_HEAD)
            rc = tagging_forged(cu);
        return rc;
    }
    sr->str_valid = cu->valid;
    if (!sr->str_valid)
        return EDB_OK;
    if (at->key_size != 8)
        return edb_fail(EDB_CORRUPT, "a row has a key of %u bytes", at->key_size);
    sr->str_at = rowid_load(at->key);
    return EDB_OK;
}

static int leap(stream *sr, int64_t entity)
{
    uint8_t *key = sr->str_key;
    bool posting = sr->str_kind == STREAM_POSTINGS;
    size_t head = posting ? TAG_HEAD : 0, size = head + entity_store(!posting || sr->str_wide, key + head, entity);

    /* At SERIALIZABLE each leap begins a walk of its own: what lies between does not count as read. */
    int rc = cursor_watched(&sr->str_cursor) ? taggings_seek(&sr->str_cursor, key, size, head)
                                             : cursor_seek_on(&sr->str_cursor, key, size);
    return rc ? rc : stand(sr);
}

/* A walk goes step by step. */
static int seek_cursor(stream *sr, int64_t entity)
{
    int rc = EDB_OK;

    if (!sr->str_open)
        return EDB_OK;
    if (sr->str_valid && !sr->str_leaps) {
        if ((rc = cursor_next(&sr->str_cursor)) || (rc = stand(sr)) || !sr->str_valid || sr->str_at >= entity)
            return rc;
    }
    return leap(sr, entity);
}

static void seek_list(stream *sr, int64_t entity)
{
    sr->str_i = gallop_lower_bound(sr->str_ids, sr->str_n, sr->str_i, entity);
    sr->str_valid = sr->str_i < sr->str_n;
    if (sr->str_valid)
        sr->str_at = sr->str_ids[sr->str_i];
}

static int seek(stream *sr, int64_t entity);

/* The keys of the first of n ascending ids, as many as have the same size. -> how many. */
static size_t posting_keys(const stream *part, const int64_t *ids, size_t n, uint8_t *keys, size_t *size)
{
    uint8_t entity[TAG_ENTITY_MOST];
    size_t i = 0, same = entity_store(part->str_wide, entity, ids[0]);

    *size = TAG_HEAD + same;
    do {
        memcpy(keys, part->str_key, TAG_HEAD);
        memcpy(keys + TAG_HEAD, entity, same);
        keys += *size;
    } while (++i < n && entity_store(part->str_wide, entity, ids[i]) == same);
    return i;
}

/* Marks those of n ascending ids that the part has. */
static int mark_ids(stream *part, const int64_t *ids, size_t n, bool *has)
{
    uint8_t keys[SOME_MOST * TAG_KEY_MOST];
    int rc = EDB_OK;

    if (part->str_kind == STREAM_POSTINGS) {
        for (size_t i = 0, size, some; i < n && !rc; i += some) {
            some = posting_keys(part, ids + i, n - i, keys, &size);
            rc = cursor_which(part->str_cursor.cu_stmt, part->str_tree, keys, size, some, has + i);
        }
        return rc;
    }
    for (size_t i = 0; i < n && !rc; i++) {
        rc = seek(part, ids[i]);
        has[i] = !rc && part->str_valid && part->str_at == ids[i];
    }
    return rc;
}

/* Of these ids only those that the part has stay, or that it has not. */
static int keep_ids(stream *part, some *so, bool those)
{
    bool has[SOME_MOST];
    size_t kept = 0;
    int rc = mark_ids(part, so->som_ids, so->som_n, has);

    for (size_t i = 0; i < so->som_n && !rc; i++)
        if (has[i] == those)
            so->som_ids[kept++] = so->som_ids[i];
    so->som_n = kept;
    return rc;
}

/* The first part goes to where the others let the answer begin, as far as they know by a leap each. */
static int lead_on(stream *sr, int64_t entity)
{
    for (stream *part = sr->str_parts; part; part = part->str_next) {
        int rc = seek(part, entity);
        if (rc)
            return rc;
        if (!part->str_valid) {
            sr->str_parts->str_valid = false;
            sr->str_parts->str_done = true;
            return EDB_OK;
        }
        entity = part->str_at > entity ? part->str_at : entity;
    }
    return seek(sr->str_parts, entity);
}

/* The next ids of the first part. */
static int take_ids(stream *lead, some *so)
{
    int rc = EDB_OK;

    for (so->som_n = 0; !rc && lead->str_valid;) {
        so->som_ids[so->som_n++] = lead->str_at;
        if (so->som_n == so->som_want || lead->str_at == INT64_MAX)
            break;
        rc = seek(lead, lead->str_at + 1);
    }
    so->som_want = so->som_want < SOME_MOST / 2 ? 2 * so->som_want : SOME_MOST;
    return rc;
}

/* Some at or behind the entity that all parts have; none: there are no more. */
static int find_some(stream *sr, int64_t entity)
{
    some *so = sr->str_some;

    so->som_i = so->som_n = 0;
    for (;;) {
        int rc = lead_on(sr, entity);
        if (rc || !sr->str_parts->str_valid || (rc = interrupted(sr->str_conn)) || (rc = take_ids(sr->str_parts, so)))
            return rc;
        int64_t last = so->som_ids[so->som_n - 1];
        for (stream *part = sr->str_parts->str_next; part && so->som_n && !rc; part = part->str_next)
            rc = keep_ids(part, so, true);
        for (stream *part = sr->str_excluded; part && so->som_n && !rc; part = part->str_next)
            rc = keep_ids(part, so, false);
        if (rc || so->som_n || last == INT64_MAX)
            return rc;
        entity = last + 1;
    }
}

/* The smallest part leads: some of its ids at a time are looked for in the others, all at once. */
static int seek_all(stream *sr, int64_t entity)
{
    some *so = sr->str_some;
    int rc = EDB_OK;

    so->som_i = gallop_lower_bound(so->som_ids, so->som_n, so->som_i, entity);
    if (so->som_i == so->som_n)
        rc = find_some(sr, entity);
    sr->str_valid = !rc && so->som_n;
    if (sr->str_valid)
        sr->str_at = so->som_ids[so->som_i];
    return rc;
}

static int seek_any(stream *sr, int64_t entity)
{
    int rc = EDB_OK;

    sr->str_valid = false;
    for (stream *part = sr->str_parts; part && !rc; part = part->str_next) {
        if ((rc = seek(part, entity)) || !part->str_valid || (sr->str_valid && part->str_at >= sr->str_at))
            continue;
        sr->str_valid = true;
        sr->str_at = part->str_at;
    }
    return rc;
}

static int seek_any_kind(stream *sr, int64_t entity)
{
    switch (sr->str_kind) {
    case STREAM_POSTINGS:
    case STREAM_ROWS:
        return seek_cursor(sr, entity);
    case STREAM_LIST:
        seek_list(sr, entity);
        return EDB_OK;
    case STREAM_ALL:
        return seek_all(sr, entity);
    case STREAM_ANY:
        return seek_any(sr, entity);
    default:
        return EDB_OK;
    }
}

/* To the first at or behind the entity, which is never before where the stream stood. */
static int seek(stream *sr, int64_t entity)
{
    int rc;

    if (sr->str_done || (sr->str_valid && sr->str_at >= entity))
        return EDB_OK;
    rc = seek_any_kind(sr, entity);
    sr->str_done = !sr->str_valid;
    return rc;
}

/* ---- making -------------------------------------------------------------------------------------------------------- */

static int stream_new(tag_set *ts, stream_kind kind, stream **out)
{
    if (!(*out = arena_alloc(&ts->tse_memory, sizeof **out)))
        return no_memory();
    memset(*out, 0, sizeof **out);
    (*out)->str_kind = kind;
    (*out)->str_conn = stmt_conn(ts->tse_stmt);
    return EDB_OK;
}

static void stream_close(stream *sr)
{
    for (; sr; sr = sr->str_next) {
        if (sr->str_open)
            cursor_close(&sr->str_cursor);
        free(sr->str_ids);
        stream_close(sr->str_parts);
        stream_close(sr->str_excluded);
    }
}

static double postings_size(const tag_set *ts, uint32_t id)
{
    uint8_t low[TAG_HEAD], high[TAG_HEAD];

    big32_store(low, id);
    big32_store(low + TAG_ID, ts->tse_type);
    memcpy(high, low, sizeof high);
    size_t size = key_behind(high, sizeof high);
    return stats_between(stmt_conn(ts->tse_stmt), ts->tse_trees.tt_postings, low, sizeof low, size ? high : NULL, size);
}

static int make_tag(tag_set *ts, const tag_node *node, stream **out)
{
    bool known = false;
    uint32_t id = 0;
    int rc = EDB_OK;

    if (ts->tse_trees.tt_dictionary)
        rc = tag_id_find(ts->tse_stmt, &ts->tse_trees, node->tn_text, node->tn_size, &id, &known);
    if (rc || (rc = stream_new(ts, known ? STREAM_POSTINGS : STREAM_NONE, out)) || !known)
        return rc;
    big32_store((*out)->str_key, id);
    big32_store((*out)->str_key + TAG_ID, ts->tse_type);
    (*out)->str_size = postings_size(ts, id);
    (*out)->str_tree = ts->tse_trees.tt_postings;
    (*out)->str_wide = ts->tse_trees.tt_wide;
    rc = cursor_open(ts->tse_stmt, (*out)->str_tree, &(*out)->str_cursor);
    (*out)->str_open = !rc;
    return rc;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Sorted, each once. */
static size_t ids_order(int64_t *ids, size_t n)
{
    size_t kept = 0;

    if (n)
        qsort(ids, n, sizeof *ids, compare_ids);
    for (size_t i = 0; i < n; i++)
        if (!kept || ids[kept - 1] != ids[i])
            ids[kept++] = ids[i];
    return kept;
}

static int collect(stream *sr, tag_walk *tw)
{
    size_t room = 0;
    int rc = EDB_OK;

    while (!rc && tw->tw_valid) {
        if (sr->str_n == room) {
            int64_t *more = realloc(sr->str_ids, (room = 2 * room + 16) * sizeof *more);
            if (!more)
                return no_memory();
            sr->str_ids = more;
        }
        sr->str_ids[sr->str_n++] = tw->tw_at.tg_entity;
        if (!(rc = interrupted(stmt_conn(tw->tw_stmt))))
            rc = tag_walk_next(tw);
    }
    return rc;
}

static int make_prefix(tag_set *ts, const tag_node *node, stream **out)
{
    uint8_t *high = arena_copy(&ts->tse_memory, node->tn_text, node->tn_size);
    tag_question question = { .tq_has_type = true, .tq_type = ts->tse_type, .tq_low = node->tn_text,
                              .tq_low_size = (uint32_t)node->tn_size };
    tag_walk *tw = arena_alloc(&ts->tse_memory, sizeof *tw);
    int rc = high && tw ? stream_new(ts, STREAM_LIST, out) : no_memory();

    if (rc)
        return rc;
    /* The text behind all that begin with the prefix; none if there is no such text. */
    question.tq_high_size = (uint32_t)key_behind(high, node->tn_size);
    question.tq_high = question.tq_high_size ? high : NULL;
    if ((rc = tag_walk_open(ts->tse_stmt, &question, tw)))
        return rc;
    rc = collect(*out, tw);
    tag_walk_close(tw);
    (*out)->str_n = ids_order((*out)->str_ids, (*out)->str_n);
    (*out)->str_size = (double)(*out)->str_n;
    return rc;
}

static int make_rows(tag_set *ts, stream **out)
{
    int rc = stream_new(ts, STREAM_ROWS, out);

    if (rc || (rc = cursor_open(ts->tse_stmt, ts->tse_type, &(*out)->str_cursor)))
        return rc;
    (*out)->str_open = true;
    (*out)->str_size = (double)conn_tree_rows(stmt_conn(ts->tse_stmt), ts->tse_type);
    return EDB_OK;
}

/* Small ones first. */
static void part_add(stream *sr, stream *part)
{
    stream **at = &sr->str_parts;

    while (*at && (*at)->str_size <= part->str_size)
        at = &(*at)->str_next;
    part->str_next = *at;
    *at = part;
}

static int make(tag_set *ts, const tag_node *node, stream **out);

/* On failure what was made hangs on `sr`, to be closed with it. */
static int make_all(tag_set *ts, const tag_node *first, const tag_node *end, stream *sr)
{
    stream *part;
    int rc = EDB_OK;

    if (!(sr->str_some = arena_alloc(&ts->tse_memory, sizeof *sr->str_some)))
        return no_memory();
    sr->str_some->som_n = sr->str_some->som_i = 0;
    sr->str_some->som_want = SOME_FIRST;
    for (const tag_node *node = first; node != end && !rc; node = node->tn_next) {
        bool without = node->tn_kind == TAG_NOT;
        part = NULL;
        rc = make(ts, without ? node->tn_first : node, &part);
        if (part && without) {
            part->str_next = sr->str_excluded;
            sr->str_excluded = part;
        } else if (part) {
            part_add(sr, part);
        }
    }
    if (!rc && !sr->str_parts) {
        part = NULL;
        rc = make_rows(ts, &part);
        sr->str_parts = part;
    }
    for (part = sr->str_parts ? sr->str_parts->str_next : NULL; part; part = part->str_next)
        part->str_leaps = true;
    for (part = sr->str_excluded; part; part = part->str_next)
        part->str_leaps = true;
    sr->str_size = sr->str_parts ? sr->str_parts->str_size : 0;
    return rc;
}

static int make_any(tag_set *ts, const tag_node *first, stream *sr)
{
    int rc = EDB_OK;

    for (const tag_node *node = first; node && !rc; node = node->tn_next) {
        stream *part = NULL;
        rc = make(ts, node, &part);
        if (!part)
            continue;
        sr->str_size += part->str_size;
        part->str_next = sr->str_parts;
        sr->str_parts = part;
    }
    return rc;
}

static int make(tag_set *ts, const tag_node *node, stream **out)
{
    int rc;

    switch (node->tn_kind) {
    case TAG_IS:
        return make_tag(ts, node, out);
    case TAG_BEGINS:
        return make_prefix(ts, node, out);
    case TAG_ANY:
        rc = stream_new(ts, STREAM_ANY, out);
        return rc ? rc : make_any(ts, node->tn_first, *out);
    case TAG_ALL:
        rc = stream_new(ts, STREAM_ALL, out);
        return rc ? rc : make_all(ts, node->tn_first, NULL, *out);
    default:
        rc = stream_new(ts, STREAM_ALL, out);
        return rc ? rc : make_all(ts, node, node->tn_next, *out);
    }
}

int tag_set_open(edb_stmt *stmt, uint32_t type, const char *expression, size_t size, tag_set **out)
{
    tag_set *ts = calloc(1, sizeof *ts);
    tag_node *node;
    int rc;

    if (!ts)
        return no_memory();
    ts->tse_stmt = stmt;
    ts->tse_type = type;
    arena_init(&ts->tse_memory);
    if (!(rc = tag_expression_parse(expression, size, &ts->tse_memory, &node))
        && !(rc = tag_trees_find(stmt, &ts->tse_trees)))
        rc = make(ts, node, &ts->tse_stream);
    if (rc)
        tag_set_close(ts);
    else
        *out = ts;
    return rc;
}

void tag_set_close(tag_set *ts)
{
    if (!ts)
        return;
    stream_close(ts->tse_stream);
    arena_free(&ts->tse_memory);
    free(ts);
}

int tag_set_seek(tag_set *ts, int64_t entity)
{
    return seek(ts->tse_stream, entity);
}

int tag_set_next(tag_set *ts)
{
    stream *sr = ts->tse_stream;

    if (!sr->str_valid || sr->str_at == INT64_MAX) {
        sr->str_valid = false;
        return EDB_OK;
    }
    return seek(sr, sr->str_at + 1);
}

bool tag_set_valid(const tag_set *ts)
{
    return ts->tse_stream->str_valid;
}

int64_t tag_set_at(const tag_set *ts)
{
    return ts->tse_stream->str_at;
}

/* ---- estimates ------------------------------------------------------------------------------------------------------ */

static double estimate(const tag_set *ts, const tag_node *node, double rows)
{
    double size = 0, part;

    switch (node->tn_kind) {
    case TAG_IS:
        return postings_size(ts, tag_hash(node->tn_text, node->tn_size));
    case TAG_NOT:
        return rows / 2;
    case TAG_ALL:
        size = rows;
        for (const tag_node *at = node->tn_first; at; at = at->tn_next)
            size = (part = estimate(ts, at, rows)) < size ? part : size;
        return size;
    case TAG_ANY:
        for (const tag_node *at = node->tn_first; at; at = at->tn_next)
            size += estimate(ts, at, rows);
        return size < rows ? size : rows;
    default:
        return rows / 4;
    }
}

int tag_set_collect(tag_set *ts, id_list *out)
{
    int rc = tag_set_seek(ts, INT64_MIN);

    for (; !rc && tag_set_valid(ts); rc = tag_set_next(ts)) {
        if (out->il_n == out->il_room) {
            size_t room = 2 * out->il_room + 64;
            int64_t *more = realloc(out->il_ids, room * sizeof *more);
            if (!more)
                return edb_fail(EDB_NOMEM, "no memory for more than %zu entities", out->il_n);
            out->il_ids = more;
            out->il_room = room;
        }
        out->il_ids[out->il_n++] = tag_set_at(ts);
    }
    return rc;
}

double tag_set_estimate(edb_stmt *stmt, uint32_t type, const char *expression, size_t size)
{
    tag_set ts = { .tse_stmt = stmt, .tse_type = type };
    tag_node *node;
    double out = -1;

    arena_init(&ts.tse_memory);
    if (!tag_trees_find(stmt, &ts.tse_trees) && !tag_expression_parse(expression, size, &ts.tse_memory, &node))
        out = ts.tse_trees.tt_dictionary ? estimate(&ts, node, (double)conn_tree_rows(stmt_conn(stmt), type)) : 0;
    arena_free(&ts.tse_memory);
    return out;
}
