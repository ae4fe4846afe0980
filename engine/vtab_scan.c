/* Scans: filter, next, column.
 *
 * A plan (vtab.h) becomes ranges of keys: the encoded equalities are a prefix, a bound on the next part an end of the
 * range. A range is [low, end) in bytes, in whichever direction it is walked; that works because the encoding of a
 * part is never a prefix of another's. A list (IN) gives several prefixes, walked one after the other in key order,
 * several lists like the wheels of an odometer.
 *
 *     index (a, b DESC, c)   a IN (1, 3) AND b = 5 AND c > 7   ->   [1 5 7+, 1 5+)  [3 5 7+, 3 5+)      x+: behind all x...
 *
 * The table's own tree is an index of one part, the row id.
 *
 * Where values turn out not to be decided by keys (a text column against a number), the bounds from that part on are
 * given up: a superset, which SQLite filters. Where the plan promised an order, the superset is sorted in memory.
 *
 * Nothing is fetched before it is asked for: count(*) touches the cursor alone, a covering scan the entry alone. Text
 * and blobs are handed out where they lie in the page; the pinned statement keeps them there.
 *
 * Memory: a cursor owns its buffers and lists; buffers are reused by the next filter. It is a user of its statement. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../native/keycode.h"
#include "vtab.h"

#define WHEELS_MAX 128              /* vtab_plan.c makes no longer plans */

typedef struct {
    uint32_t co_at, co_size;        /* bytes of cu_codes */
} scan_code;

typedef struct {                    /* the values one part is bound to, as encoded; ascending */
    uint32_t wh_first, wh_count;    /* of cu_items */
    uint32_t wh_at;                 /* the one in turn */
} scan_wheel;

typedef struct {                    /* one end of the range of the part behind the equalities */
    bool en_set;
    bool en_behind;                 /* the end lies behind all keys that begin with the code */
    scan_code en_code;
} scan_end;

typedef struct {
    sqlite3_vtab_cursor cu_base;
    /* what next and column touch */
    bool cu_eof, cu_plain;          /* plain: the whole tree, forward */
    bool cu_row_ready, cu_row_copied, cu_entry_ready;
    bool cu_reverse, cu_single, cu_open;
    edb_cursor cu_entries;          /* open if cu_open; its .at and .valid hold the entry in every case */
    row_view cu_row;                /* if cu_row_ready */
    const edb_table *cu_table;      /* counted */
    const edb_index *cu_index;      /* of cu_table; NULL: the table's own tree is walked */
    int16_t *cu_part_of;            /* column -> part of the index that holds it, -1: none */
    uint32_t *cu_part_at;           /* where parts begin in the entry's key; cu_parts_known of them */
    uint32_t cu_parts_known, cu_parts_room;
    row_view cu_entry;              /* if cu_entry_ready: the entry's value */
    edb_stmt *cu_stmt;              /* one user is ours; NULL before the first filter */
    /* the range */
    table_buffer cu_low, cu_end;
    bool cu_has_end;                /* else the range has no upper end; an empty low is no lower end */
    bool cu_inexact;                /* bounds were given up */
    uint32_t cu_n_wheels;
    scan_wheel cu_wheels[WHEELS_MAX];
    scan_end cu_from, cu_to;
    int64_t cu_least, cu_most;      /* bounds of the row id */
    scan_code *cu_items;
    uint32_t cu_n_items, cu_items_room;
    table_buffer cu_codes;
    /* lists */
    entry_list *cu_list;            /* walked instead of a tree: one of the next two, or NULL */
    entry_list *cu_late, *cu_sorted;    /* owned */
    size_t cu_list_at;
    /* bytes that are not in a page */
    table_buffer cu_chain;          /* a row from a chain */
    table_buffer cu_parts;          /* an entry's value from a chain */
    table_buffer cu_decoded;        /* a part out of its key */
} scan;

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for a scan");
}

/* ---- opening and closing -------------------------------------------------------------------------------------- */

int vtab_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    scan *cu = calloc(1, sizeof *cu);
    (void)base;
    if (!cu)
        return SQLITE_NOMEM;
    *out = &cu->cu_base;
    return SQLITE_OK;
}

static void close_entries(scan *cu)
{
    if (cu->cu_open)
        cursor_close(&cu->cu_entries);
    cu->cu_open = false;
    list_free(cu->cu_late);
    list_free(cu->cu_sorted);
    cu->cu_late = cu->cu_sorted = cu->cu_list = NULL;
}

static void leave_statement(scan *cu)
{
    close_entries(cu);
    if (cu->cu_stmt)
        stmt_release(cu->cu_stmt);
    cu->cu_stmt = NULL;
}

int vtab_close(sqlite3_vtab_cursor *base)
{
    scan *cu = (scan *)base;
    leave_statement(cu);
    table_unref(cu->cu_table);
    buffer_free(&cu->cu_low);
    buffer_free(&cu->cu_end);
    buffer_free(&cu->cu_codes);
    buffer_free(&cu->cu_chain);
    buffer_free(&cu->cu_parts);
    buffer_free(&cu->cu_decoded);
    free(cu->cu_items);
    free(cu->cu_part_of);
    free(cu->cu_part_at);
    free(cu);
    return SQLITE_OK;
}

static int enter_statement(scan *cu, vtab_entity *vt)
{
    edb_stmt *stmt;
    int rc = vtab_acquire(vt->vt_any.vt_bd, false, &stmt);
    if (rc)
        return rc;
    if (stmt == cu->cu_stmt) {
        stmt_release(stmt);         /* one user is enough */
    } else {
        leave_statement(cu);
        cu->cu_stmt = stmt;
    }
    return vtab_current(vt, stmt);
}

/* What is walked changed: which of its columns are in the keys. */
static int choose_tree(scan *cu, const edb_table *table, const edb_index *index)
{
    close_entries(cu);
    if (cu->cu_table != table) {
        table_unref(cu->cu_table);
        cu->cu_table = table_ref(table);
        free(cu->cu_part_of);
        cu->cu_part_of = malloc(table->et_n_columns * sizeof *cu->cu_part_of);
        if (!cu->cu_part_of) {
            table_unref(cu->cu_table);
            cu->cu_table = NULL;
            return no_memory();
        }
    }
    cu->cu_index = index;
    if (!index)
        return EDB_OK;
    if (cu->cu_parts_room < index->n_parts) {
        uint32_t *at = realloc(cu->cu_part_at, index->n_parts * sizeof *at);
        if (!at)
            return no_memory();
        cu->cu_part_at = at;
        cu->cu_parts_room = index->n_parts;
    }
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        cu->cu_part_of[i] = -1;
    for (uint32_t i = index->n_parts; i-- > 0;)
        cu->cu_part_of[index->parts[i].column] = (int16_t)i;
    return EDB_OK;
}

/* Whether the tree knows nothing of the statement's moment, because the index was made later. */
static int index_is_late(const scan *cu, const vtab_entity *vt, bool *out)
{
    *out = false;
    if (!cu->cu_index || vt->vt_whole[cu->cu_index - cu->cu_table->et_indexes])
        return EDB_OK;
    uint64_t born;
    int rc = stmt_tree_born(cu->cu_stmt, cu->cu_index->tree, &born);
    if (rc)
        return rc;
    if (born == FOREVER)            /* made in the running transaction, which sees it */
        *out = stmt_is_past(cu->cu_stmt);
    else
        *out = born > edb_stmt_moment(cu->cu_stmt);
    return EDB_OK;
}

static int prepare_scan(scan *cu, vtab_entity *vt, uint32_t tree)
{
    int rc = enter_statement(cu, vt);
    if (rc)
        return rc;
    const edb_table *table = vt->vt_table;
    if (table != cu->cu_table || tree != (cu->cu_index ? cu->cu_index->tree : 0)) {
        const edb_index *index = tree ? table_index(table, tree) : NULL;
        if (tree && !index)
            return edb_fail(EDB_SCHEMA, "an index of table %s was dropped: prepare again", table->et_name);
        rc = choose_tree(cu, table, index);
    }
    bool late = false;
    if (!rc && !cu->cu_late)
        rc = index_is_late(cu, vt, &late);
    if (!rc && late)
        rc = list_from_table(cu->cu_stmt, table, cu->cu_index, &cu->cu_late);
    list_free(cu->cu_sorted);
    cu->cu_sorted = NULL;
    cu->cu_list = cu->cu_late;
    return rc;
}

/* ---- values to codes ------------------------------------------------------------------------------------------ */

static int item_room(scan *cu)
{
    if (cu->cu_n_items < cu->cu_items_room)
        return EDB_OK;
    uint32_t room = cu->cu_items_room ? 2 * cu->cu_items_room : 16;
    scan_code *items = realloc(cu->cu_items, room * sizeof *items);
    if (!items)
        return no_memory();
    cu->cu_items = items;
    cu->cu_items_room = room;
    return EDB_OK;
}

static int encode_part(scan *cu, uint32_t part, const edb_value *v, scan_code *out)
{
    const edb_index_part *p = &cu->cu_index->parts[part];
    uint8_t *at = buffer_reserve(&cu->cu_codes, key_encode_bound(v));
    if (!at)
        return no_memory();
    out->co_at = (uint32_t)cu->cu_codes.bf_size;
    out->co_size = (uint32_t)key_encode(at, v, p->collation, p->descending);
    cu->cu_codes.bf_size += out->co_size;
    return EDB_OK;
}

static int encode_rowid(scan *cu, int64_t rowid, scan_code *out)
{
    uint8_t *at = buffer_reserve(&cu->cu_codes, 8);
    if (!at)
        return no_memory();
    rowid_store(at, rowid);
    out->co_at = (uint32_t)cu->cu_codes.bf_size;
    out->co_size = 8;
    cu->cu_codes.bf_size += 8;
    return EDB_OK;
}

static int part_affinity(const scan *cu, uint32_t part)
{
    return cu->cu_index ? cu->cu_table->et_columns[cu->cu_index->parts[part].column].affinity : AFFINITY_INTEGER;
}

/* The right side of a comparison with the part. Every numeric column applies NUMERIC affinity to it: an integer stays
 * one beside a REAL column, where not all integers have an equal. */
static int read_side(scan *cu, uint32_t part, sqlite3_value *in, edb_value *out)
{
    vtab_binding *bd = ((vtab_any *)cu->cu_base.pVtab)->vt_bd;
    bool numeric = part_affinity(cu, part) >= AFFINITY_NUMERIC;
    return numeric ? value_convert(bd, in, AFFINITY_NUMERIC, out) : value_read(in, out);
}

/* Whether the keys decide the comparison, or at least never lose a row of it. Not for numbers against text: '012' is
 * not 12 as a text but is when 12 came from a numeric column. A text from a numeric column ('2024-01-01' in a DATE
 * column) is not decided either where it is an upper bound: '3000' would be compared as a number, and numbers are
 * smaller than texts. Texts from ':' on are above all that could be read as a number. */
static bool keys_decide(const scan *cu, uint32_t part, char op, bool known, const edb_value *v)
{
    if (part_affinity(cu, part) >= AFFINITY_NUMERIC || v->type == VALUE_BLOB || v->type == VALUE_NULL)
        return true;
    if (v->type != VALUE_TEXT)
        return false;
    return known || (op != '<' && op != 'l') || (v->size && *(const uint8_t *)v->bytes >= ':');
}

/* -> whether a row id can be equal to v. */
static bool equal_rowid(const edb_value *v, int64_t *out)
{
    if (v->type == VALUE_INTEGER) {
        *out = v->integer;
        return true;
    }
    if (v->type != VALUE_REAL || !(v->real >= -0x1p63 && v->real < 0x1p63) || v->real != floor(v->real))
        return false;
    *out = (int64_t)v->real;
    return true;
}

/* One value of an equality; what cannot be equal to anything adds nothing. */
static int add_equal(scan *cu, uint32_t part, char op, const edb_value *v)
{
    int64_t rowid;
    int rc = item_room(cu);
    if (rc || (v->type == VALUE_NULL && (op == '=' || op == 'i')))
        return rc;
    scan_code *item = &cu->cu_items[cu->cu_n_items];
    if (cu->cu_index)
        rc = encode_part(cu, part, v, item);
    else if (equal_rowid(v, &rowid))
        rc = encode_rowid(cu, rowid, item);
    else
        return EDB_OK;
    cu->cu_n_items++;
    return rc;
}

static int compare_bytes(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    int c = memcmp(a, b, a_size < b_size ? a_size : b_size);
    return c ? c : (a_size > b_size) - (a_size < b_size);
}

static int compare_items(const void *a, const void *b, void *codes)
{
    const scan_code *x = a, *y = b;
    const uint8_t *bytes = codes;
    return compare_bytes(bytes + x->co_at, x->co_size, bytes + y->co_at, y->co_size);
}

static void sort_wheel(scan *cu, scan_wheel *wheel)
{
    scan_code *items = cu->cu_items + wheel->wh_first;
    uint32_t n = 0;
    if (wheel->wh_count < 2)
        return;
    qsort_r(items, wheel->wh_count, sizeof *items, compare_items, cu->cu_codes.bf_bytes);
    for (uint32_t i = 0; i < wheel->wh_count; i++)
        if (!n || compare_items(&items[n - 1], &items[i], cu->cu_codes.bf_bytes))
            items[n++] = items[i];
    wheel->wh_count = n;
}

/* A part bound by a list; *decided false: by something that keys do not decide. */
static int add_list(scan *cu, uint32_t part, sqlite3_value *list, bool *decided)
{
    sqlite3_value *member;
    edb_value v;
    int rc = EDB_OK, sqlite;
    for (sqlite = sqlite3_vtab_in_first(list, &member); sqlite == SQLITE_OK && member;
         sqlite = sqlite3_vtab_in_next(list, &member)) {
        rc = read_side(cu, part, member, &v);
        if (!rc && !keys_decide(cu, part, 'i', false, &v)) {
            *decided = false;
            return EDB_OK;
        }
        if (!rc)
            rc = add_equal(cu, part, 'i', &v);
        if (rc)
            return rc;
    }
    if (sqlite != SQLITE_OK && sqlite != SQLITE_DONE)
        return edb_fail(EDB_NOMEM, "the list of an IN could not be read (SQLite result %d)", sqlite);
    return EDB_OK;
}

/* ---- the plan, decoded ---------------------------------------------------------------------------------------- */

/* An equality: one more wheel, unless the keys do not decide it. */
static int decode_equality(scan *cu, uint32_t part, const char *step, sqlite3_value *value)
{
    scan_wheel *wheel = &cu->cu_wheels[cu->cu_n_wheels];
    edb_value v = {.type = VALUE_NULL};
    bool decided = true;
    int rc = EDB_OK;
    wheel->wh_first = cu->cu_n_items;
    if (step[STEP_OP] == 'i') {
        rc = add_list(cu, part, value, &decided);
    } else {
        if (step[STEP_OP] != 'n')
            rc = read_side(cu, part, value, &v);
        decided = keys_decide(cu, part, step[STEP_OP], step[STEP_SIDE] == 'k', &v);
        if (!rc && decided)
            rc = add_equal(cu, part, step[STEP_OP], &v);
    }
    if (rc)
        return rc;
    if (!decided) {
        cu->cu_n_items = wheel->wh_first;
        cu->cu_inexact = true;
        return EDB_OK;
    }
    wheel->wh_count = cu->cu_n_items - wheel->wh_first;
    if (step[STEP_OP] == 'i')
        sort_wheel(cu, wheel);
    if (!wheel->wh_count)
        cu->cu_eof = true;
    cu->cu_n_wheels++;
    return EDB_OK;
}

static void rowid_at_least(scan *cu, double least)
{
    if (least >= 0x1p63)
        cu->cu_eof = true;
    else if (least > -0x1p63 && (int64_t)least > cu->cu_least)
        cu->cu_least = (int64_t)least;
}

static void rowid_at_most(scan *cu, double most)
{
    if (most < -0x1p63)
        cu->cu_eof = true;
    else if (most < 0x1p63 && (int64_t)most < cu->cu_most)
        cu->cu_most = (int64_t)most;
}

static void bound_by_integer(scan *cu, char op, int64_t v)
{
    if ((op == '>' && v == INT64_MAX) || (op == '<' && v == INT64_MIN)) {
        cu->cu_eof = true;
    } else if (op == '>' || op == 'g') {
        v += op == '>';
        cu->cu_least = v > cu->cu_least ? v : cu->cu_least;
    } else {
        v -= op == '<';
        cu->cu_most = v < cu->cu_most ? v : cu->cu_most;
    }
}

static void bound_rowid(scan *cu, char op, const edb_value *v)
{
    if (op == 'N')
        return;
    if (v->type == VALUE_INTEGER) {
        bound_by_integer(cu, op, v->integer);
    } else if (v->type == VALUE_REAL) {
        if (op == '>' || op == 'g') {
            double least = ceil(v->real);
            rowid_at_least(cu, op == '>' && least == v->real ? least + 1 : least);
            /* Beyond 2^53 adding one to a double changes nothing; the integer itself still has a successor. */
            if (op == '>' && least == v->real && fabs(least) >= 0x1p53 && fabs(least) < 0x1p63)
                bound_by_integer(cu, '>', (int64_t)least);
        } else {
            double most = floor(v->real);
            rowid_at_most(cu, op == '<' && most == v->real ? most - 1 : most);
            if (op == '<' && most == v->real && fabs(most) >= 0x1p53 && most < 0x1p63 && most >= -0x1p63)
                bound_by_integer(cu, '<', (int64_t)most);
        }
    } else if (op == '>' || op == 'g') {
        cu->cu_eof = true;          /* numbers are smaller than texts and blobs */
    }
}

static int set_end(scan *cu, scan_end *end, uint32_t part, const edb_value *v, bool behind)
{
    end->en_set = true;
    end->en_behind = behind;
    return encode_part(cu, part, v, &end->en_code);
}

/* A bound of an index part. In a descending part greater values come first. */
static int bound_part(scan *cu, uint32_t part, char op, const edb_value *v)
{
    bool descending = cu->cu_index->parts[part].descending;
    bool lower = op == '>' || op == 'g' || op == 'N', strict = op == '>' || op == '<' || op == 'N';
    if (lower != descending)
        return set_end(cu, &cu->cu_from, part, v, strict);
    return set_end(cu, &cu->cu_to, part, v, !strict);
}

static int decode_bound(scan *cu, uint32_t part, const char *step, sqlite3_value *value)
{
    edb_value v = {.type = VALUE_NULL};
    int rc = EDB_OK;
    if (step[STEP_OP] != 'N') {
        rc = read_side(cu, part, value, &v);
        if (rc)
            return rc;
        if (v.type == VALUE_NULL) {
            cu->cu_eof = true;      /* a comparison with NULL is never true */
            return EDB_OK;
        }
    }
    if (!cu->cu_index) {
        bound_rowid(cu, step[STEP_OP], &v);
        return EDB_OK;
    }
    if (!keys_decide(cu, part, step[STEP_OP], step[STEP_SIDE] == 'k', &v)) {
        cu->cu_inexact = true;
        return EDB_OK;
    }
    return bound_part(cu, part, step[STEP_OP], &v);
}

/* A bounded part is not NULL: NULLs lie before an ascending part's values, behind a descending one's. */
static int exclude_nulls(scan *cu, uint32_t part)
{
    edb_value null = {.type = VALUE_NULL};
    scan_end *end = cu->cu_index->parts[part].descending ? &cu->cu_to : &cu->cu_from;
    return end->en_set ? EDB_OK : set_end(cu, end, part, &null, !cu->cu_index->parts[part].descending);
}

static int decode_plan(scan *cu, const char *plan, int argc, sqlite3_value **argv)
{
    const char *step = plan + PLAN_HEAD;
    uint32_t part = 0;
    bool bounded = false;
    int rc = EDB_OK, i = 0;

    cu->cu_eof = cu->cu_inexact = false;
    cu->cu_n_wheels = cu->cu_n_items = 0;
    cu->cu_codes.bf_size = 0;
    cu->cu_from.en_set = cu->cu_to.en_set = false;
    cu->cu_least = INT64_MIN;
    cu->cu_most = INT64_MAX;
    cu->cu_reverse = plan[PLAN_DIRECTION] == 'r';
    for (; !rc && i < argc && plan_is_equality(step[PLAN_STEP * i]); i++) {
        if (cu->cu_inexact)
            continue;               /* parts behind one that was given up are given up too */
        rc = decode_equality(cu, part, step + PLAN_STEP * i, argv[i]);
        part++;
    }
    if (cu->cu_inexact)
        return rc;
    for (; !rc && i < argc; i++) {
        rc = decode_bound(cu, part, step + PLAN_STEP * i, argv[i]);
        bounded = true;
    }
    return !rc && bounded && cu->cu_index ? exclude_nulls(cu, part) : rc;
}

/* ---- ranges --------------------------------------------------------------------------------------------------- */

static int append(table_buffer *out, const uint8_t *bytes, size_t size)
{
    uint8_t *at = buffer_reserve(out, size);
    if (!at)
        return no_memory();
    memcpy(at, bytes, size);
    out->bf_size += size;
    return EDB_OK;
}

/* Makes it the smallest key behind all that begin with it. -> false: there is none. */
static bool move_behind(table_buffer *key)
{
    while (key->bf_size && key->bf_bytes[key->bf_size - 1] == 0xFF)
        key->bf_size--;
    if (!key->bf_size)
        return false;
    key->bf_bytes[key->bf_size - 1]++;
    return true;
}

static int append_end(scan *cu, table_buffer *out, const scan_end *end)
{
    return append(out, cu->cu_codes.bf_bytes + end->en_code.co_at, end->en_code.co_size);
}

/* cu_low and cu_end for where the wheels stand. */
static int make_range(scan *cu)
{
    cu->cu_low.bf_size = 0;
    int rc = buffer_reserve(&cu->cu_low, 1) ? EDB_OK : no_memory();     /* an empty end is compared with, too */
    for (uint32_t i = 0; !rc && i < cu->cu_n_wheels; i++) {
        const scan_wheel *wheel = &cu->cu_wheels[i];
        const scan_code *code = &cu->cu_items[wheel->wh_first + wheel->wh_at];
        rc = append(&cu->cu_low, cu->cu_codes.bf_bytes + code->co_at, code->co_size);
    }
    cu->cu_end.bf_size = 0;
    if (!rc)
        rc = append(&cu->cu_end, cu->cu_low.bf_bytes, cu->cu_low.bf_size);
    if (!rc && cu->cu_from.en_set)
        rc = append_end(cu, &cu->cu_low, &cu->cu_from);
    if (!rc && cu->cu_to.en_set)
        rc = append_end(cu, &cu->cu_end, &cu->cu_to);
    if (rc)
        return rc;
    if (cu->cu_from.en_set && cu->cu_from.en_behind)
        move_behind(&cu->cu_low);
    cu->cu_has_end = cu->cu_to.en_set && !cu->cu_to.en_behind ? true : move_behind(&cu->cu_end);
    return EDB_OK;
}

/* Bounds of the row id as ends of the range. */
static int make_rowid_ends(scan *cu)
{
    int rc = EDB_OK;
    if (cu->cu_least > cu->cu_most)
        cu->cu_eof = true;
    if (cu->cu_least > INT64_MIN) {
        cu->cu_from = (scan_end){.en_set = true};
        rc = encode_rowid(cu, cu->cu_least, &cu->cu_from.en_code);
    }
    if (!rc && cu->cu_most < INT64_MAX) {
        cu->cu_to = (scan_end){.en_set = true, .en_behind = true};
        rc = encode_rowid(cu, cu->cu_most, &cu->cu_to.en_code);
    }
    return rc;
}

static void reset_wheel(const scan *cu, scan_wheel *wheel)
{
    wheel->wh_at = cu->cu_reverse ? wheel->wh_count - 1 : 0;
}

/* To the next combination, in key order or against it. -> false: that was the last. */
static bool turn_wheels(scan *cu)
{
    for (uint32_t i = cu->cu_n_wheels; i-- > 0;) {
        scan_wheel *wheel = &cu->cu_wheels[i];
        if (cu->cu_reverse ? wheel->wh_at > 0 : wheel->wh_at + 1 < wheel->wh_count) {
            wheel->wh_at += cu->cu_reverse ? -1 : 1;
            return true;
        }
        reset_wheel(cu, wheel);
    }
    return false;
}

/* ---- entries: of a tree or of a list -------------------------------------------------------------------------- */

static void load_item(scan *cu)
{
    const list_item *item;
    cu->cu_entries.valid = cu->cu_list_at < list_count(cu->cu_list);
    if (!cu->cu_entries.valid)
        return;
    item = list_at(cu->cu_list, cu->cu_list_at);
    cu->cu_entries.at = (edb_entry){
        .key = item->li_key, .key_size = item->li_key_size, .value = item->li_value,
        .value_size = item->li_value_size};
}

static int seek_list(scan *cu)
{
    size_t n = list_count(cu->cu_list);
    if (!cu->cu_reverse)
        cu->cu_list_at = list_rank(cu->cu_list, cu->cu_low.bf_bytes, cu->cu_low.bf_size);
    else
        cu->cu_list_at = (cu->cu_has_end ? list_rank(cu->cu_list, cu->cu_end.bf_bytes, cu->cu_end.bf_size) : n) - 1;
    load_item(cu);                  /* -1 wraps to a number that is no item's */
    return EDB_OK;
}

static int seek_tree(scan *cu)
{
    edb_cursor *entries = &cu->cu_entries;
    int rc;
    if (!cu->cu_open) {
        rc = cursor_open(cu->cu_stmt, cu->cu_index ? cu->cu_index->tree : cu->cu_table->et_id, entries);
        if (rc)
            return rc;
        cu->cu_open = true;
    }
    if (!cu->cu_reverse)
        return cursor_seek(entries, cu->cu_low.bf_size ? cu->cu_low.bf_bytes : NULL, cu->cu_low.bf_size);
    if (!cu->cu_has_end)
        return cursor_seek_last(entries, NULL, 0);
    rc = cursor_seek_last(entries, cu->cu_end.bf_bytes, cu->cu_end.bf_size);
    /* The end itself is not in the range. */
    if (!rc && entries->valid && entries->at.key_size == cu->cu_end.bf_size
        && !memcmp(entries->at.key, cu->cu_end.bf_bytes, cu->cu_end.bf_size))
        rc = cursor_prev(entries);
    return rc;
}

static int step(scan *cu)
{
    if (!cu->cu_list)
        return cu->cu_reverse ? cursor_prev(&cu->cu_entries) : cursor_next(&cu->cu_entries);
    cu->cu_list_at += cu->cu_reverse ? (size_t)-1 : 1;
    load_item(cu);
    return EDB_OK;
}

static bool in_range(const scan *cu)
{
    const edb_entry *at = &cu->cu_entries.at;
    if (!cu->cu_entries.valid)
        return false;
    if (cu->cu_reverse)
        return compare_bytes(at->key, at->key_size, cu->cu_low.bf_bytes, cu->cu_low.bf_size) >= 0;
    return !cu->cu_has_end || compare_bytes(at->key, at->key_size, cu->cu_end.bf_bytes, cu->cu_end.bf_size) < 0;
}

/* One row id: no cursor is needed. */
static int get_single(scan *cu)
{
    const scan_wheel *wheel = &cu->cu_wheels[0];
    const scan_code *code = &cu->cu_items[wheel->wh_first + wheel->wh_at];
    bool found;
    int rc = cursor_get(cu->cu_stmt, cu->cu_table->et_id, cu->cu_codes.bf_bytes + code->co_at, code->co_size,
                        &cu->cu_entries.at, &found);
    if (!rc)
        cu->cu_entries.valid = found;
    return rc;
}

static int seek_here(scan *cu)
{
    int rc;
    if (cu->cu_single)
        return get_single(cu);
    rc = make_range(cu);
    if (rc)
        return rc;
    return cu->cu_list ? seek_list(cu) : seek_tree(cu);
}

/* From where the scan stands to the first entry in a range, this one or a later one. */
static int settle(scan *cu)
{
    int rc = EDB_OK;
    while (!rc && !(cu->cu_single ? cu->cu_entries.valid : in_range(cu))) {
        if (!turn_wheels(cu)) {
            cu->cu_eof = true;
            return EDB_OK;
        }
        rc = seek_here(cu);
    }
    return rc;
}

static int start(scan *cu)
{
    int rc;
    if (cu->cu_eof)
        return EDB_OK;
    for (uint32_t i = 0; i < cu->cu_n_wheels; i++)
        reset_wheel(cu, &cu->cu_wheels[i]);
    rc = seek_here(cu);
    return rc ? rc : settle(cu);
}

static int advance(scan *cu)
{
    int rc = EDB_OK;
    if (cu->cu_single)
        cu->cu_entries.valid = false;
    else
        rc = step(cu);
    return rc ? rc : settle(cu);
}

static int load_chain(scan *cu, const edb_entry *entry, table_buffer *buffer, const uint8_t **bytes, size_t *size)
{
    uint64_t n = entry_size(entry);
    buffer->bf_size = 0;
    uint8_t *copy = buffer_reserve(buffer, n);
    int rc = copy ? entry_load(cu->cu_stmt, entry, copy) : no_memory();
    if (rc)
        return rc;
    *bytes = copy;                  /* may be a field of the entry itself, so not before */
    *size = n;
    return EDB_OK;
}

/* The value of the index entry: empty, or a row of the parts. */
static int entry_value(scan *cu, const uint8_t **bytes, size_t *size)
{
    const edb_entry *at = &cu->cu_entries.at;
    if (unlikely(at->overflow))
        return load_chain(cu, at, &cu->cu_parts, bytes, size);
    *bytes = at->value;
    *size = at->value_size;
    return EDB_OK;
}

/* An order was promised that the keys do not have any more: sort what is left by the parts it was promised for. */
static int sort_scan(scan *cu, const char *plan)
{
    const char *step = plan + PLAN_HEAD;
    uint64_t skip = 0;
    int rc = list_new(&cu->cu_sorted);
    for (uint32_t i = 0; i < 64 && plan_is_equality(step[STEP_OP]); i++, step += PLAN_STEP)
        if (step[STEP_ROLE] == 'c')
            skip |= UINT64_C(1) << i;
    if (!rc)
        rc = start(cu);
    while (!rc && !cu->cu_eof) {
        const edb_entry *at = &cu->cu_entries.at;
        const uint8_t *value;
        size_t size;
        rc = entry_value(cu, &value, &size);
        if (!rc)
            rc = list_add(cu->cu_sorted, cu->cu_index, skip, at->key, at->key_size, value, size);
        if (!rc)
            rc = advance(cu);
    }
    if (rc)
        return rc;
    list_sort(cu->cu_sorted);
    cu->cu_list = cu->cu_sorted;
    cu->cu_n_wheels = 0;
    cu->cu_from.en_set = cu->cu_to.en_set = false;
    cu->cu_eof = false;
    return EDB_OK;
}

int vtab_filter(sqlite3_vtab_cursor *base, int tree, const char *plan, int argc, sqlite3_value **argv)
{
    scan *cu = (scan *)base;
    int rc = prepare_scan(cu, (vtab_entity *)base->pVtab, (uint32_t)tree);
    cu->cu_row_ready = cu->cu_entry_ready = false;
    cu->cu_parts_known = 0;
    if (!rc)
        rc = decode_plan(cu, plan, argc, argv);
    if (rc)
        return vtab_result(base->pVtab, rc);
    cu->cu_single = !cu->cu_index && cu->cu_n_wheels;
    if (!cu->cu_index && !cu->cu_single)
        rc = make_rowid_ends(cu);
    if (!rc && cu->cu_inexact && plan[PLAN_ORDERED] == 'o' && !cu->cu_eof)
        rc = sort_scan(cu, plan);
    cu->cu_plain = !cu->cu_list && !cu->cu_single && !cu->cu_n_wheels && !cu->cu_reverse && !cu->cu_to.en_set;
    if (!rc)
        rc = start(cu);
    return vtab_result(base->pVtab, rc);
}

int vtab_next(sqlite3_vtab_cursor *base)
{
    scan *cu = (scan *)base;
    int rc;
    cu->cu_row_ready = cu->cu_entry_ready = false;
    cu->cu_parts_known = 0;
    if (likely(cu->cu_plain)) {
        rc = cursor_next(&cu->cu_entries);
        cu->cu_eof = !cu->cu_entries.valid;
    } else {
        rc = advance(cu);
    }
    return likely(!rc) ? SQLITE_OK : vtab_result(base->pVtab, rc);
}

int vtab_eof(sqlite3_vtab_cursor *base)
{
    return ((scan *)base)->cu_eof;
}

/* ---- columns -------------------------------------------------------------------------------------------------- */

static int damaged_entry(const scan *cu)
{
    return edb_fail(EDB_CORRUPT, "index %s of table %s holds a damaged entry", cu->cu_index->name,
                    cu->cu_table->et_name);
}

static inline int entry_rowid(const scan *cu, int64_t *out)
{
    const edb_entry *at = &cu->cu_entries.at;
    if (unlikely(at->key_size < 8))
        return damaged_entry(cu);
    *out = rowid_load(at->key + at->key_size - 8);
    return EDB_OK;
}

int vtab_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *rowid)
{
    int64_t id = 0;
    int rc = entry_rowid((scan *)base, &id);
    *rowid = id;
    return likely(!rc) ? SQLITE_OK : vtab_result(base->pVtab, rc);
}

/* The row behind an index entry. */
static int find_row(scan *cu, edb_entry *out)
{
    const edb_entry *at = &cu->cu_entries.at;
    bool found;
    if (at->key_size < 8)
        return damaged_entry(cu);
    int rc = cursor_get(cu->cu_stmt, cu->cu_table->et_id, at->key + at->key_size - 8, 8, out, &found);
    if (!rc && !found)
        rc = edb_fail(EDB_CORRUPT, "index %s has an entry for row %lld, which table %s does not hold",
                      cu->cu_index->name, (long long)rowid_load(at->key + at->key_size - 8), cu->cu_table->et_name);
    return rc;
}

static int load_row(scan *cu)
{
    edb_entry row = cu->cu_entries.at;
    int rc = cu->cu_index ? find_row(cu, &row) : EDB_OK;
    if (rc)
        return rc;
    cu->cu_row_copied = row.overflow;
    if (unlikely(row.overflow)) {
        size_t size;
        rc = load_chain(cu, &row, &cu->cu_chain, &row.value, &size);
        if (rc)
            return rc;
        row.value_size = (uint32_t)size;
    }
    if (unlikely(row_open(&cu->cu_row, row.value, row.value_size)))
        return table_damaged(cu->cu_table, rowid_load(row.key + row.key_size - 8));
    cu->cu_row_ready = true;
    return EDB_OK;
}

/* Part `part` of the entry: from the row in its value, else from its key. */
static int entry_column(scan *cu, uint32_t part, edb_value *out, bool *copied)
{
    const edb_entry *at = &cu->cu_entries.at;
    const edb_index *index = cu->cu_index;
    *copied = cu->cu_list || at->overflow;
    if (at->value_size) {
        if (!cu->cu_entry_ready) {
            const uint8_t *value;
            size_t size;
            int rc = entry_value(cu, &value, &size);
            if (rc)
                return rc;
            if (row_open(&cu->cu_entry, value, size))
                return damaged_entry(cu);
            cu->cu_entry_ready = true;
        }
        return part < cu->cu_entry.rw_columns && !row_column(&cu->cu_entry, part, out) ? EDB_OK : damaged_entry(cu);
    }
    if (!cu->cu_parts_known) {
        cu->cu_part_at[0] = 0;
        cu->cu_parts_known = 1;
    }
    if (at->key_size < 8)
        return damaged_entry(cu);
    size_t size = at->key_size - 8;
    while (cu->cu_parts_known <= part) {
        uint32_t last = cu->cu_parts_known - 1, from = cu->cu_part_at[last];
        size_t n = key_part_size(at->key + from, size - from, index->parts[last].descending);
        if (!n)
            return damaged_entry(cu);
        cu->cu_part_at[cu->cu_parts_known++] = from + (uint32_t)n;
    }
    uint32_t from = cu->cu_part_at[part];
    cu->cu_decoded.bf_size = 0;
    uint8_t *scratch = buffer_reserve(&cu->cu_decoded, size - from);
    if (!scratch)
        return no_memory();
    const edb_column *column = &cu->cu_table->et_columns[index->parts[part].column];
    if (!key_decode(at->key + from, size - from, index->parts[part].descending, column_integral(column), scratch, out))
        return damaged_entry(cu);
    if (out->type >= VALUE_TEXT && out->bytes == scratch)
        *copied = true;
    return EDB_OK;
}

int vtab_column(sqlite3_vtab_cursor *base, sqlite3_context *context, int i)
{
    scan *cu = (scan *)base;
    edb_value v;
    bool copied = false;
    int64_t rowid = 0;
    int rc;
    if (sqlite3_vtab_nochange(context))
        return SQLITE_OK;           /* an UPDATE that leaves the column alone: vtab_update() copies it */
    if (cu->cu_index && cu->cu_part_of[i] >= 0 && i != cu->cu_table->et_rowid_column) {
        rc = entry_column(cu, (uint32_t)cu->cu_part_of[i], &v, &copied);
    } else if (i == cu->cu_table->et_rowid_column) {
        rc = entry_rowid(cu, &rowid);
        v.type = VALUE_INTEGER;
        v.integer = rowid;
    } else {
        rc = likely(cu->cu_row_ready) ? EDB_OK : load_row(cu);
        copied = cu->cu_row_copied;
        if (!rc && table_column(cu->cu_table, &cu->cu_row, 0, (uint32_t)i, &v)) {
            rc = entry_rowid(cu, &rowid);
            if (!rc)
                rc = table_damaged(cu->cu_table, rowid);
        }
    }
    if (unlikely(rc))
        return vtab_result(base->pVtab, rc);
    value_result(context, &v, copied);
    return SQLITE_OK;
}
