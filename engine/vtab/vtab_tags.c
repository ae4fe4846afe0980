/* The eponymous table entitydb_tags: which entities have which tags.
 *
 *     SELECT type, entity, tag, namespace, value, since FROM entitydb_tags       at the statement's moment
 *     SELECT ... FROM entitydb_tags(moment)                                      as of a moment (nanoseconds)
 *     INSERT INTO entitydb_tags(type, entity, tag) VALUES ('article', 5, 'status:live')
 *     DELETE FROM entitydb_tags WHERE type = 'article' AND entity = 5 AND tag = 'status:live'
 *
 * `since` is the time (nanoseconds) of the commit that gave the tag, NULL of one that is not committed. The hidden `key` names
 * a row for DELETE.
 *
 * The plan, idxStr, is "tags:" and one character for each argument of xFilter:
 *
 *     't' type =      'e' entity =      '=' tag =      'g' '>' tag >=, >      'l' '<' tag <=, <      'G' tag GLOB
 *     'n' namespace =      'v' value =, with 'n'      '@' as of a moment, the last one
 *
 * EXPLAIN QUERY PLAN shows it, and the driver makes words of it: it tells from the string alone whose it is.
 *
 * Texts are looked up as they are. A number is compared as SQLite compares it: with the text of it where it stands by itself,
 * and with the number that a tag may be where it comes from a column ('05' = 5). Which it is nobody says, so where a value
 * is a number nothing is looked up by it, and SQLite judges. Bounds that are columns could be numbers too, and are not used.
 * (The values of IN (SELECT ...) SQLite itself compares one by one, as if they stood by themselves.) */
#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/entity/tag_dictionary.h"
#include "engine/entity/tag_walk.h"
#include "engine/entity/tags.h"
#include "engine/stats/statistics.h"
#include "engine/txn/reads.h"
#include "engine/vtab/row_results.h"
#include "engine/vtab/type_names.h"

enum { TAGS_TYPE, TAGS_ENTITY, TAGS_TAG, TAGS_NAMESPACE, TAGS_VALUE, TAGS_SINCE, TAGS_MOMENT, TAGS_KEY };

/* Of `key`: one form, whichever the file's trees have. */
static const tag_trees row_keys = { .tt_wide = true };

#define DECLARATION                                                                                                    \
    "CREATE TABLE x(type TEXT COLLATE NOCASE, entity INTEGER, tag TEXT, namespace TEXT, value TEXT, since INTEGER, "    \
    "\"entitydb moment\" BLOB HIDDEN, key BLOB HIDDEN NOT NULL PRIMARY KEY) WITHOUT ROWID"

typedef struct {
    sqlite3_vtab_cursor tgs_base;
    edb_stmt *tgs_stmt;             /* one user is ours; NULL: before xFilter */
    tag_walk tgs_walk;              /* while tgs_open */
    bool tgs_open;
    int64_t tgs_moment;             /* as of it, where the plan has one */
} tags_scan;

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    (void)argc, (void)argv, (void)error;
    return typed_vtab_connect(db, aux, DECLARATION, out);
}

/* ---- plans ------------------------------------------------------------------------------------------------------------ */

#define PLAN_NAME "tags:"
enum { ARGUMENTS = 9, PLAN_NAME_SIZE = sizeof PLAN_NAME - 1 };

/* What a constraint is to a plan; 0: nothing. */
static char step_of(int column, int op)
{
    if (op == SQLITE_INDEX_CONSTRAINT_EQ)
        return column == TAGS_TYPE ? 't' : column == TAGS_ENTITY ? 'e' : column == TAGS_TAG ? '='
               : column == TAGS_NAMESPACE ? 'n' : column == TAGS_VALUE ? 'v' : column == TAGS_MOMENT ? '@' : 0;
    if (column != TAGS_TAG)
        return 0;
    switch (op) {
    case SQLITE_INDEX_CONSTRAINT_GE: return 'g';
    case SQLITE_INDEX_CONSTRAINT_GT: return '>';
    case SQLITE_INDEX_CONSTRAINT_LE: return 'l';
    case SQLITE_INDEX_CONSTRAINT_LT: return '<';
    case SQLITE_INDEX_CONSTRAINT_GLOB: return 'G';
    default: return 0;
    }
}

typedef struct {                    /* constraints by what they are; -1: there is none */
    int fst_of[128];
} found_steps;

static void find_steps(sqlite3_index_info *info, found_steps *out)
{
    memset(out->fst_of, -1, sizeof out->fst_of);
    for (int i = 0; i < info->nConstraint; i++) {
        char step = info->aConstraint[i].usable ? step_of(info->aConstraint[i].iColumn, info->aConstraint[i].op) : 0;
        const char *wanted = step == 't' ? "NOCASE" : "BINARY";
        if (step && step != 'e' && step != '@' && sqlite3_stricmp(sqlite3_vtab_collation(info, i), wanted))
            continue;
        if (step && out->fst_of[(int)step] < 0)
            out->fst_of[(int)step] = i;
    }
}

/* About how many taggings begin with a prefix of keys. */
static double with_prefix(edb_conn *conn, uint32_t tree, const uint8_t *prefix, size_t size)
{
    uint8_t high[TAG_KEY_MOST];
    memcpy(high, prefix, size);
    size_t high_size = key_behind(high, size);
    return stats_between(conn, tree, prefix, size, high_size ? high : NULL, high_size);
}

typedef struct {
    double es_rows;
    bool es_one;                    /* there is one at most */
} estimate;

/* What there is of one tag, or of a range of tags, in a type or in all. */
static double by_text(edb_conn *conn, const tag_trees *trees, sqlite3_index_info *info, const found_steps *steps,
                      const edb_table *type, bool one)
{
    double all = (double)conn_tree_rows(conn, trees->tt_postings), tags = (double)conn_tree_rows(conn, trees->tt_dictionary);
    uint8_t prefix[TAG_HEAD];
    size_t size;
    const char *text = known_text(info, steps->fst_of['='], &size);
    if (!one)
        return all / 10;
    if (!text)
        return tags > 0 ? all / tags : 0;
    big32_store(prefix, tag_hash(text, size));
    big32_store(prefix + TAG_ID, type ? type->et_id : 0);
    return with_prefix(conn, trees->tt_postings, prefix, type ? sizeof prefix : TAG_ID);
}

static estimate estimate_plan(typed_vtab *vt, edb_stmt *stmt, sqlite3_index_info *info, const found_steps *steps)
{
    const int *of = steps->fst_of;
    bool has_type = of['t'] >= 0, entity = has_type && of['e'] >= 0, one = of['='] >= 0 || (of['n'] >= 0 && of['v'] >= 0);
    bool range = of['n'] >= 0 || of['G'] >= 0 || of['g'] >= 0 || of['>'] >= 0 || of['l'] >= 0 || of['<'] >= 0;
    edb_conn *conn = stmt_conn(stmt);
    const edb_table *type = NULL;
    uint8_t prefix[TAG_TYPE];
    tag_trees trees;
    size_t size;
    const char *name = has_type ? known_text(info, of['t'], &size) : NULL;
    if (tag_trees_find(stmt, &trees) || !trees.tt_dictionary)
        return (estimate){ 1, false };
    if (entity)
        return (estimate){ one ? 1 : 8, one };
    if (name && type_by_name(&vt->tyv_types, stmt, name, size, &type))
        type = NULL;
    if (one || range)
        return (estimate){ by_text(conn, &trees, info, steps, type, one), false };
    if (!type)
        return (estimate){ (double)conn_tree_rows(conn, trees.tt_reverse) / (has_type ? 3 : 1), false };
    big32_store(prefix, type->et_id);
    return (estimate){ with_prefix(conn, trees.tt_reverse, prefix, sizeof prefix), false };
}

static void use(sqlite3_index_info *info, const found_steps *steps, char step, char *plan)
{
    int i = steps->fst_of[(int)step];
    size_t n = strlen(plan), size;
    if (i < 0)
        return;
    plan[n] = step;
    plan[n + 1] = 0;
    info->aConstraintUsage[i].argvIndex = (int)n - PLAN_NAME_SIZE + 1;
    /* Of a text that is known the rows are those that it is looked up by; whether a text lies in a range, SQLite asks again. */
    info->aConstraintUsage[i].omit = step == '@' || ((step == 't' || step == '=') && known_text(info, i, &size));
}

/* Whether the bounds can be texts alone. */
static void drop_doubtful_bounds(sqlite3_index_info *info, edb_stmt *stmt, found_steps *steps)
{
    size_t size;
    for (const char *step = "g>l<"; *step; step++)
        if (!stmt_plain_bounds(stmt) && !known_text(info, steps->fst_of[(int)*step], &size))
            steps->fst_of[(int)*step] = -1;
}

/* Is there a moment that is not known yet in this order of the tables? */
static bool moment_unusable(const sqlite3_index_info *info, const found_steps *steps)
{
    for (int i = 0; i < info->nConstraint; i++)
        if (info->aConstraint[i].iColumn == TAGS_MOMENT && info->aConstraint[i].op == SQLITE_INDEX_CONSTRAINT_EQ
            && steps->fst_of['@'] < 0)
            return true;
    return false;
}

static bool texts_known(sqlite3_index_info *info, const found_steps *steps)
{
    const char *used = steps->fst_of['='] >= 0 ? "t=" : "tnv";
    bool known = true;
    size_t size;
    for (const char *step = used; *step; step++)
        known &= known_text(info, steps->fst_of[(int)*step], &size) != NULL;
    return known;
}

static int best_index(sqlite3_vtab *base, sqlite3_index_info *info)
{
    typed_vtab *vt = (typed_vtab *)base;
    char plan[PLAN_NAME_SIZE + ARGUMENTS + 1] = PLAN_NAME;
    found_steps steps;
    edb_stmt *stmt;
    int rc = vtab_acquire_aside(vt->tyv_any.ay_binding, false, &stmt);
    if (rc)
        return vtab_result(base, rc);
    find_steps(info, &steps);
    if (moment_unusable(info, &steps)) {
        stmt_release(stmt);
        return SQLITE_CONSTRAINT;
    }
    if (steps.fst_of['n'] < 0)
        steps.fst_of['v'] = -1;
    drop_doubtful_bounds(info, stmt, &steps);
    estimate es = estimate_plan(vt, stmt, info, &steps);
    stmt_release(stmt);
    for (const char *step = "te="; *step; step++)
        use(info, &steps, *step, plan);
    if (steps.fst_of['='] < 0)
        for (const char *step = steps.fst_of['n'] >= 0 ? "nv" : "Gg>l<"; *step; step++)
            use(info, &steps, *step, plan);
    use(info, &steps, '@', plan);
    info->estimatedRows = es.es_rows < 1 ? 1 : es.es_rows > 1e15 ? (sqlite3_int64)1e15 : (sqlite3_int64)es.es_rows;
    info->estimatedCost = 10 + 2 * es.es_rows;
    if (es.es_one && texts_known(info, &steps))
        info->idxFlags |= SQLITE_INDEX_SCAN_UNIQUE;
    info->idxStr = sqlite3_mprintf("%s", plan);
    info->needToFreeIdxStr = 1;
    return info->idxStr ? SQLITE_OK : SQLITE_NOMEM;
}

/* ---- scans ------------------------------------------------------------------------------------------------------------ */

static int open_cursor(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    return vtab_any_open(base, sizeof(tags_scan), out);
}

static void leave(tags_scan *tgs)
{
    if (tgs->tgs_open)
        tag_walk_close(&tgs->tgs_walk);
    tgs->tgs_open = false;
    if (tgs->tgs_stmt)
        stmt_release(tgs->tgs_stmt);
    tgs->tgs_stmt = NULL;
}

static int close_cursor(sqlite3_vtab_cursor *base)
{
    leave((tags_scan *)base);
    free(base);
    return SQLITE_OK;
}

/* A question being made of the arguments of xFilter; `impossible`: nothing answers it. */
typedef struct {
    tag_question qu_question;
    table_buffer qu_low, qu_high;
    bool qu_namespace;              /* the texts are those of one */
    bool qu_impossible;
} asked;

static int put_text(table_buffer *out, const char *text, size_t size)
{
    uint8_t *at = buffer_reserve(out, size + 2);
    if (!at)
        return edb_fail(EDB_NOMEM, "no memory to look for tags");
    memcpy(at, text, size);
    out->bf_size += size;
    return EDB_OK;
}

/* Texts that begin with what stands in qu_low: up to the text behind all of them. */
static int end_of_prefix(asked *qu)
{
    qu->qu_high.bf_size = 0;
    int rc = put_text(&qu->qu_high, (const char *)qu->qu_low.bf_bytes, qu->qu_low.bf_size);
    if (!rc)
        qu->qu_high.bf_size = key_behind(qu->qu_high.bf_bytes, qu->qu_high.bf_size);
    return rc;
}

static int ask_text(asked *qu, char step, const char *text, size_t size)
{
    tag_question *tq = &qu->qu_question;
    int rc;
    switch (step) {
    case '=':
        tq->tq_one = true;
        return put_text(&qu->qu_low, text, size);
    case 'g':
    case '>':
        qu->qu_low.bf_size = 0;
        return put_text(&qu->qu_low, text, size);
    case 'l':                       /* not only texts below it: the text itself, too */
    case '<':
        qu->qu_high.bf_size = 0;
        if ((rc = put_text(&qu->qu_high, text, size)) || step == '<')
            return rc;
        qu->qu_high.bf_bytes[qu->qu_high.bf_size++] = 0;
        return EDB_OK;
    case 'G':
        qu->qu_low.bf_size = 0;
        rc = put_text(&qu->qu_low, text, strcspn(text, "*?["));
        return rc ? rc : end_of_prefix(qu);
    case 'n':
        qu->qu_namespace = true;
        if (!size)                  /* tags without a colon are everywhere */
            return EDB_OK;
        if (!(rc = put_text(&qu->qu_low, text, size)) && !(rc = put_text(&qu->qu_low, ":", 1)))
            rc = end_of_prefix(qu);
        return rc;
    default:                        /* 'v': behind 'n' */
        if (!qu->qu_namespace)
            return EDB_OK;
        tq->tq_one = true;
        return put_text(&qu->qu_low, text, size);
    }
}

static int ask(typed_vtab *vt, edb_stmt *stmt, asked *qu, char step, sqlite3_value *value)
{
    tag_question *tq = &qu->qu_question;
    const edb_table *type;
    int rc;
    if (step == '@')
        return EDB_OK;
    if (step == 'e') {
        tq->tq_has_entity = true;
        qu->qu_impossible |= !value_is_entity(value, &tq->tq_entity);
        return EDB_OK;
    }
    int kind = sqlite3_value_type(value);
    if (kind != SQLITE_TEXT) {
        /* Every text is less than a blob, and SQLite judges bounds again. */
        qu->qu_impossible |= kind == SQLITE_NULL || (kind == SQLITE_BLOB && (step == 't' || step == '='));
        return EDB_OK;
    }
    const char *text = (const char *)sqlite3_value_text(value);
    if (!text)
        return edb_fail(EDB_NOMEM, "no memory to look for tags");
    if (step != 't')
        return ask_text(qu, step, text, (size_t)sqlite3_value_bytes(value));
    if ((rc = type_by_name(&vt->tyv_types, stmt, text, (size_t)sqlite3_value_bytes(value), &type)))
        return rc;
    tq->tq_has_type = true;
    qu->qu_impossible |= !type;
    if (type)
        tq->tq_type = type->et_id;
    return EDB_OK;
}

static int start(tags_scan *tgs, const char *plan, int argc, sqlite3_value **argv)
{
    typed_vtab *vt = (typed_vtab *)tgs->tgs_base.pVtab;
    asked qu = { .qu_impossible = false };
    leave(tgs);
    tgs->tgs_walk.tw_valid = false;
    int rc = vtab_acquire(vt->tyv_any.ay_binding, false, &tgs->tgs_stmt);
    if (!rc && argc && plan[argc - 1] == '@')
        rc = vtab_as_of("entitydb_tags", argv[argc - 1], &tgs->tgs_stmt, &tgs->tgs_moment, &qu.qu_impossible);
    for (int i = 0; !rc && i < argc && plan[i]; i++)
        rc = ask(vt, tgs->tgs_stmt, &qu, plan[i], argv[i]);
    tag_question *tq = &qu.qu_question;
    tq->tq_low = qu.qu_low.bf_size ? qu.qu_low.bf_bytes : tq->tq_one ? (const uint8_t *)"" : NULL;
    tq->tq_low_size = (uint32_t)qu.qu_low.bf_size;
    tq->tq_high = qu.qu_high.bf_size ? qu.qu_high.bf_bytes : NULL;
    tq->tq_high_size = (uint32_t)qu.qu_high.bf_size;
    if (!rc && !qu.qu_impossible) {
        rc = tag_walk_open(tgs->tgs_stmt, tq, &tgs->tgs_walk);
        tgs->tgs_open = !rc;
    }
    buffer_free(&qu.qu_low);
    buffer_free(&qu.qu_high);
    return rc;
}

static void visited(tags_scan *tgs)
{
    ((vtab_any *)tgs->tgs_base.pVtab)->ay_binding->bd_visited += tgs->tgs_open && tgs->tgs_walk.tw_valid;
}

static int filter(sqlite3_vtab_cursor *base, int number, const char *plan, int argc, sqlite3_value **argv)
{
    (void)number;
    int rc = start((tags_scan *)base, plan + PLAN_NAME_SIZE, argc, argv);
    visited((tags_scan *)base);
    return vtab_result(base->pVtab, rc);
}

static int next(sqlite3_vtab_cursor *base)
{
    tags_scan *tgs = (tags_scan *)base;
    int rc = tag_walk_next(&tgs->tgs_walk);
    visited(tgs);
    return vtab_result(base->pVtab, rc);
}

static int eof(sqlite3_vtab_cursor *base)
{
    const tags_scan *tgs = (tags_scan *)base;
    return !tgs->tgs_open || !tgs->tgs_walk.tw_valid;
}

static int text_column(tags_scan *tgs, sqlite3_context *context, int column)
{
    const uint8_t *text;
    uint32_t size;
    int rc = tag_walk_text(&tgs->tgs_walk, &text, &size);
    if (!rc && !utf8_valid(text, size))
        rc = edb_fail(EDB_CORRUPT, "tag %u has a text that is not UTF-8", tgs->tgs_walk.tw_at.tg_id);
    if (rc)
        return rc;
    size_t from = column == TAGS_VALUE ? tag_value_at(text, size) : 0;
    size_t to = column == TAGS_NAMESPACE ? tag_namespace_size(text, size) : size;
    sqlite3_result_text(context, (const char *)text + from, (int)(to - from), SQLITE_TRANSIENT);
    return EDB_OK;
}

static int column_value(tags_scan *tgs, sqlite3_context *context, int column)
{
    typed_vtab *vt = (typed_vtab *)tgs->tgs_base.pVtab;
    const tag_walk *tw = &tgs->tgs_walk;
    const edb_table *type;
    uint8_t key[TAG_KEY_MOST];
    int rc;
    switch (column) {
    case TAGS_TYPE:
        if (!(rc = type_by_id(&vt->tyv_types, tgs->tgs_stmt, tw->tw_at.tg_type, &type)))
            sqlite3_result_text(context, type->et_name, -1, SQLITE_TRANSIENT);
        return rc;
    case TAGS_ENTITY:
        sqlite3_result_int64(context, tw->tw_at.tg_entity);
        return EDB_OK;
    case TAGS_SINCE:
        return result_commit_time(context, tgs->tgs_stmt, tw->tw_from);
    case TAGS_MOMENT:
        sqlite3_result_int64(context, tgs->tgs_moment);
        return EDB_OK;
    case TAGS_KEY:
        sqlite3_result_blob(context, key, (int)reverse_store(&row_keys, key, &tw->tw_at), SQLITE_TRANSIENT);
        return EDB_OK;
    default:
        return text_column(tgs, context, column);
    }
}

static int column_of(sqlite3_vtab_cursor *base, sqlite3_context *context, int column)
{
    return vtab_result(base->pVtab, column_value((tags_scan *)base, context, column));
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

static int insert(typed_vtab *vt, edb_stmt *stmt, sqlite3_value **columns)
{
    const edb_table *type;
    int64_t entity;
    bool added;
    for (int i = TAGS_NAMESPACE; i <= TAGS_MOMENT; i++)
        if (sqlite3_value_type(columns[i]) != SQLITE_NULL)
            return edb_fail(EDB_MISUSE, "entitydb_tags takes INSERTs of type, entity and tag; the others follow from them");
    int rc = type_to_write(&vt->tyv_types, stmt, columns[TAGS_TYPE], &type);
    if (rc)
        return rc;
    if (sqlite3_value_type(columns[TAGS_ENTITY]) == SQLITE_NULL || !value_is_entity(columns[TAGS_ENTITY], &entity))
        return edb_fail(EDB_MISMATCH, "the entity to be tagged in table %s is no row id", type->et_name);
    if (sqlite3_value_type(columns[TAGS_TAG]) != SQLITE_TEXT)
        return edb_fail(EDB_TAG, "the tag for row %lld of table %s is no text", (long long)entity, type->et_name);
    const char *text = (const char *)sqlite3_value_text(columns[TAGS_TAG]);
    rc = tag_add(stmt, type, entity, text, (size_t)sqlite3_value_bytes(columns[TAGS_TAG]), &added);
    if (!rc)
        stmt_count(stmt, added);
    return rc;
}

static int delete(typed_vtab *vt, edb_stmt *stmt, sqlite3_value *key)
{
    uint8_t room[TAG_MOST];
    const uint8_t *text;
    const edb_table *type;
    tag_trees trees;
    stmt_view before;
    tagging tg;
    uint32_t size;
    bool removed;
    if (!reverse_load(&row_keys, &tg, sqlite3_value_blob(key), (size_t)sqlite3_value_bytes(key)))
        return edb_fail(EDB_MISUSE, "a row of entitydb_tags has no key of %d bytes", sqlite3_value_bytes(key));
    int rc = type_by_id(&vt->tyv_types, stmt, tg.tg_type, &type);
    if (!rc)
        rc = tag_trees_find(stmt, &trees);
    if (rc)
        return rc;
    stmt_view_widen(stmt, &before);
    rc = tag_text(stmt, &trees, tg.tg_id, room, &text, &size);
    stmt_view_restore(stmt, &before);
    if (!rc && text != room) {
        memcpy(room, text, size);   /* what is written may move it */
        text = room;
    }
    if (!rc)
        rc = tag_remove(stmt, type, tg.tg_entity, text, size, &removed);
    if (!rc)
        stmt_count(stmt, removed);
    return rc;
}

static int update(sqlite3_vtab *base, int argc, sqlite3_value **argv, sqlite3_int64 *rowid)
{
    typed_vtab *vt = (typed_vtab *)base;
    edb_stmt *stmt;
    (void)rowid;
    if (argc > 1 && sqlite3_value_type(argv[0]) != SQLITE_NULL)
        return vtab_result(base, edb_fail(EDB_CANNOT, "entitydb_tags takes no UPDATE: a tag is deleted and another "
                                          "inserted"));
    int rc = vtab_acquire(vt->tyv_any.ay_binding, true, &stmt);
    if (rc)
        return vtab_result(base, rc);
    rc = argc == 1 ? delete(vt, stmt, argv[0]) : insert(vt, stmt, argv + 2);
    stmt_release(stmt);
    return vtab_result(base, rc);
}

const sqlite3_module vtab_tags_module = {
    .iVersion = 2,
    .xCreate = connect,
    .xConnect = connect,
    .xBestIndex = best_index,
    .xDisconnect = typed_vtab_disconnect,
    .xDestroy = typed_vtab_disconnect,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = eof,
    .xColumn = column_of,
    .xUpdate = update,
    .xBegin = vtab_begin,
    .xSync = vtab_sync,
    .xCommit = vtab_commit,
    .xRollback = vtab_rollback,
    .xSavepoint = vtab_savepoint,
    .xRelease = vtab_release,
    .xRollbackTo = vtab_rollback_to,
};
