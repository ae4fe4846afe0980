/* The plan, decoded: from operators and values to ranges of keys.
 *
 * The encoded equalities are a prefix, a bound on the next part an end of the range. A range is [low, end) in bytes, in
 * whichever direction it is walked; that works because the encoding of a part is never a prefix of another's. A list
 * (IN) gives several prefixes, walked one after the other in key order, several lists like the wheels of an odometer.
 *
 *     index (a, b DESC, c)   a IN (1, 3) AND b = 5 AND c > 7   ->   [1 5 7+, 1 5+)  [3 5 7+, 3 5+)
 *                                                                   x+: behind all that begin with x
 *
 * The table's own tree is an index of one part, the row id; in an index it is the last part.
 *
 * Where values turn out not to be decided by keys, the bounds behind that part are given up (kr_inexact): a superset, which
 * SQLite filters. The part's own are given up where it is a TEXT column's beside a number (kr_given_up). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "native/keycode.h"
#include "engine/stats/statistics.h"
#include "engine/vtab/vtab_range.h"

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for the bounds of a scan");
}

/* ---- values to codes ------------------------------------------------------------------------------------------ */

static int item_room(key_range *kr)
{
    if (kr->kr_n_items < kr->kr_items_room)
        return EDB_OK;
    uint32_t room = kr->kr_items_room ? 2 * kr->kr_items_room : 16;
    scan_code *items = realloc(kr->kr_items, room * sizeof *items);
    if (!items)
        return no_memory();
    kr->kr_items = items;
    kr->kr_items_room = room;
    return EDB_OK;
}

static int encode_part(key_range *kr, uint32_t part, const edb_value *v, scan_code *out)
{
    const edb_index_part *p = &kr->kr_index->parts[part];
    uint8_t *at = buffer_reserve(&kr->kr_codes, key_encode_bound(v));
    if (!at)
        return no_memory();
    out->co_at = (uint32_t)kr->kr_codes.bf_size;
    out->co_size = (uint32_t)key_encode(at, v, p->collation, p->descending);
    kr->kr_codes.bf_size += out->co_size;
    return EDB_OK;
}

static int encode_rowid(key_range *kr, int64_t rowid, scan_code *out)
{
    uint8_t *at = buffer_reserve(&kr->kr_codes, 8);
    if (!at)
        return no_memory();
    rowid_store(at, rowid);
    out->co_at = (uint32_t)kr->kr_codes.bf_size;
    out->co_size = 8;
    kr->kr_codes.bf_size += 8;
    return EDB_OK;
}

/* The table's own tree has no other part; in an index it stands behind the others. */
static bool part_rowid(const key_range *kr, uint32_t part)
{
    return !kr->kr_index || part == kr->kr_index->n_parts;
}

static bool part_exact(const key_range *kr, uint32_t part)
{
    return part_rowid(kr, part) || column_exact(&kr->kr_table->et_columns[kr->kr_index->parts[part].column]);
}

static int part_affinity(const key_range *kr, uint32_t part)
{
    return part_rowid(kr, part) ? AFFINITY_INTEGER : kr->kr_table->et_columns[kr->kr_index->parts[part].column].affinity;
}

/* The right side of a comparison with the part. Every numeric column applies NUMERIC affinity to it: an integer stays
 * one beside a REAL column, where not all integers have an equal. A TEXT column makes a number a text where the number
 * is plain, without an affinity of its own; the text lasts until the next range_decode(). */
static int read_side(key_range *kr, uint32_t part, char side, sqlite3_value *in, edb_value *out)
{
    int affinity = part_affinity(kr, part);
    if (affinity >= AFFINITY_NUMERIC)
        return value_convert(&kr->kr_values, in, AFFINITY_NUMERIC, out);
    return affinity == AFFINITY_TEXT && side == 'p' ? value_convert(&kr->kr_values, in, AFFINITY_TEXT, out)
                                                      : value_read(in, out);
}

static bool is_number(const edb_value *v)
{
    return v->type == VALUE_INTEGER || v->type == VALUE_REAL;
}

/* Whether the keys decide the comparison, or at least never lose a row of it. Not for numbers that may be of a numeric
 * column, against text: '012' is not 12 as a text but is then. A text from a numeric column ('2024-01-01' in a DATE
 * column) is not decided either where it is an upper bound: '3000' would be compared as a number, and numbers are
 * smaller than texts. Texts from ':' on are above all that could be read as a number, and a constant text was not made
 * a number. */
static bool keys_decide(const key_range *kr, uint32_t part, char op, char side, const edb_value *v)
{
    if (side == 'p' || part_exact(kr, part) || v->type == VALUE_BLOB || v->type == VALUE_NULL)
        return true;
    if (is_number(v))
        return false;
    return side == 'k' || (op != '<' && op != 'l') || (v->size && *(const uint8_t *)v->bytes >= ':');
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
static int add_equal(key_range *kr, uint32_t part, char op, const edb_value *v)
{
    int64_t rowid;
    int rc = item_room(kr);
    if (rc || (v->type == VALUE_NULL && (op == '=' || op == 'i')))
        return rc;
    scan_code *item = &kr->kr_items[kr->kr_n_items];
    if (!part_rowid(kr, part))
        rc = encode_part(kr, part, v, item);
    else if (equal_rowid(v, &rowid))
        rc = encode_rowid(kr, rowid, item);
    else
        return EDB_OK;
    kr->kr_n_items++;
    return rc;
}

/* All texts, by the byte that they begin with. */
static int add_texts(key_range *kr, uint32_t part)
{
    bool descending = kr->kr_index->parts[part].descending;
    int rc = item_room(kr);
    uint8_t *at = rc ? NULL : buffer_reserve(&kr->kr_codes, 1);
    if (!at)
        return rc ? rc : no_memory();
    *at = descending ? (uint8_t)~KEY_TEXT : KEY_TEXT;
    kr->kr_items[kr->kr_n_items++] = (scan_code){.co_at = (uint32_t)kr->kr_codes.bf_size, .co_size = 1};
    kr->kr_codes.bf_size++;
    return EDB_OK;
}

static int compare_items(const void *a, const void *b, void *codes)
{
    const scan_code *x = a, *y = b;
    const uint8_t *bytes = codes;
    return key_compare(bytes + x->co_at, x->co_size, bytes + y->co_at, y->co_size);
}

/* Whether the items stand in ascending order, each once. */
static bool in_order(const key_range *kr, const scan_code *items, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++)
        if (compare_items(&items[i - 1], &items[i], kr->kr_codes.bf_bytes) >= 0)
            return false;
    return true;
}

/* Whether all that begins with one begins with the other: they are equal, or the other stands for all texts. */
static bool is_within(const key_range *kr, const scan_code *one, const scan_code *other)
{
    const uint8_t *bytes = kr->kr_codes.bf_bytes;
    return one->co_size >= other->co_size && !memcmp(bytes + one->co_at, bytes + other->co_at, other->co_size);
}

/* SQLite hands the values of a list over in its own order, which is most often that of the keys. texts: an item stands for
 * all of them. */
static void sort_wheel(key_range *kr, scan_wheel *wheel, bool texts)
{
    scan_code *items = kr->kr_items + wheel->wh_first;
    uint32_t n = 0;
    if (!texts && in_order(kr, items, wheel->wh_count))
        return;
    qsort_r(items, wheel->wh_count, sizeof *items, compare_items, kr->kr_codes.bf_bytes);
    for (uint32_t i = 0; i < wheel->wh_count; i++)
        if (!n || !is_within(kr, &items[i], &items[n - 1]))
            items[n++] = items[i];
    wheel->wh_count = n;
}

/* What a part is bound to by equalities. */
typedef enum {
    BOUND_BY_KEYS,                  /* the values added are all that is equal */
    BOUND_TO_TEXTS,                 /* texts may be, too */
    UNBOUND,                        /* anything may be */
} bound_to;

/* A value of an equality. A column without affinity holds numbers and texts apart, so that a number that keys do not decide
 * is equal to itself and perhaps to texts; in a TEXT column it is equal to no number. */
static int add_value(key_range *kr, uint32_t part, char op, char side, sqlite3_value *in, bound_to *bound)
{
    edb_value v = {.type = VALUE_NULL};
    int rc = op == 'n' ? EDB_OK : read_side(kr, part, side, in, &v);
    bool decided = keys_decide(kr, part, op, side, &v);
    if (!decided && part_affinity(kr, part) != AFFINITY_BLOB)
        *bound = UNBOUND;
    else if (!decided && *bound == BOUND_BY_KEYS)
        *bound = BOUND_TO_TEXTS;
    if (!rc && *bound != UNBOUND)
        rc = add_equal(kr, part, op, &v);
    return rc;
}

static int add_list(key_range *kr, uint32_t part, char side, sqlite3_value *list, bound_to *bound)
{
    sqlite3_value *member;
    int sqlite = sqlite3_vtab_in_first(list, &member);
    for (; sqlite == SQLITE_OK && member && *bound != UNBOUND; sqlite = sqlite3_vtab_in_next(list, &member)) {
        int rc = add_value(kr, part, 'i', side, member, bound);
        if (rc)
            return rc;
    }
    if (sqlite != SQLITE_OK && sqlite != SQLITE_DONE)
        return edb_fail(EDB_NOMEM, "the list of an IN could not be read (SQLite result %d)", sqlite);
    return EDB_OK;
}

/* ---- the plan, decoded ---------------------------------------------------------------------------------------- */

/* An equality: one more wheel, unless nothing is known of what is equal. */
static int decode_equality(key_range *kr, uint32_t part, char op, char side, sqlite3_value *value)
{
    scan_wheel *wheel = &kr->kr_wheels[kr->kr_n_wheels];
    bound_to bound = BOUND_BY_KEYS;
    int rc;
    wheel->wh_first = kr->kr_n_items;
    if (op == 'i')
        rc = add_list(kr, part, side, value, &bound);
    else
        rc = add_value(kr, part, op, side, value, &bound);
    if (!rc && bound == BOUND_TO_TEXTS)
        rc = add_texts(kr, part);
    if (rc)
        return rc;
    kr->kr_inexact = bound != BOUND_BY_KEYS;
    kr->kr_given_up = bound == UNBOUND;
    if (kr->kr_given_up) {
        kr->kr_n_items = wheel->wh_first;
        return EDB_OK;
    }
    wheel->wh_count = kr->kr_n_items - wheel->wh_first;
    if (op == 'i' || bound == BOUND_TO_TEXTS)
        sort_wheel(kr, wheel, bound == BOUND_TO_TEXTS);
    if (!wheel->wh_count)
        kr->kr_empty = true;
    kr->kr_n_wheels++;
    return EDB_OK;
}

static void rowid_at_least(key_range *kr, double least)
{
    if (least >= 0x1p63)
        kr->kr_empty = true;
    else if (least > -0x1p63 && (int64_t)least > kr->kr_least)
        kr->kr_least = (int64_t)least;
}

static void rowid_at_most(key_range *kr, double most)
{
    if (most < -0x1p63)
        kr->kr_empty = true;
    else if (most < 0x1p63 && (int64_t)most < kr->kr_most)
        kr->kr_most = (int64_t)most;
}

static void bound_by_integer(key_range *kr, char op, int64_t v)
{
    if ((op == '>' && v == INT64_MAX) || (op == '<' && v == INT64_MIN)) {
        kr->kr_empty = true;
    } else if (op == '>' || op == 'g') {
        v += op == '>';
        kr->kr_least = v > kr->kr_least ? v : kr->kr_least;
    } else {
        v -= op == '<';
        kr->kr_most = v < kr->kr_most ? v : kr->kr_most;
    }
}

static void bound_rowid(key_range *kr, char op, const edb_value *v)
{
    if (op == 'N')
        return;
    if (v->type == VALUE_INTEGER) {
        bound_by_integer(kr, op, v->integer);
    } else if (v->type == VALUE_REAL) {
        if (op == '>' || op == 'g') {
            double least = ceil(v->real);
            rowid_at_least(kr, op == '>' && least == v->real ? least + 1 : least);
            /* Beyond 2^53 adding one to a double changes nothing; the integer itself still has a successor. */
            if (op == '>' && least == v->real && fabs(least) >= 0x1p53 && fabs(least) < 0x1p63)
                bound_by_integer(kr, '>', (int64_t)least);
        } else {
            double most = floor(v->real);
            rowid_at_most(kr, op == '<' && most == v->real ? most - 1 : most);
            if (op == '<' && most == v->real && fabs(most) >= 0x1p53 && most < 0x1p63 && most >= -0x1p63)
                bound_by_integer(kr, '<', (int64_t)most);
        }
    } else if (op == '>' || op == 'g') {
        kr->kr_empty = true;          /* numbers are smaller than texts and blobs */
    }
}

static int set_end(key_range *kr, scan_end *end, uint32_t part, const edb_value *v, bool behind)
{
    end->en_set = true;
    end->en_behind = behind;
    return encode_part(kr, part, v, &end->en_code);
}

/* A bound of an index part. In a descending part greater values come first. */
static int bound_part(key_range *kr, uint32_t part, char op, const edb_value *v)
{
    bool descending = kr->kr_index->parts[part].descending;
    bool lower = op == '>' || op == 'g' || op == 'N', strict = op == '>' || op == '<' || op == 'N';
    if (lower != descending)
        return set_end(kr, &kr->kr_from, part, v, strict);
    return set_end(kr, &kr->kr_to, part, v, !strict);
}

static int decode_bound(key_range *kr, uint32_t part, const char *step, sqlite3_value *value)
{
    char side = step[STEP_SIDE];
    edb_value v = {.type = VALUE_NULL};
    int rc = step[STEP_OP] == 'N' ? EDB_OK : read_side(kr, part, side, value, &v);
    if (rc)
        return rc;
    if (step[STEP_OP] != 'N' && v.type == VALUE_NULL)
        kr->kr_empty = true;          /* a comparison with NULL is never true */
    else if (part_rowid(kr, part))
        bound_rowid(kr, step[STEP_OP], &v);
    else if (keys_decide(kr, part, step[STEP_OP], side, &v))
        rc = bound_part(kr, part, step[STEP_OP], &v);
    else
        kr->kr_inexact = true;
    return rc;
}

/* A bounded part is not NULL: NULLs lie before an ascending part's values, behind a descending one's. */
static int exclude_nulls(key_range *kr, uint32_t part)
{
    edb_value null = {.type = VALUE_NULL};
    scan_end *end = kr->kr_index->parts[part].descending ? &kr->kr_to : &kr->kr_from;
    return end->en_set ? EDB_OK : set_end(kr, end, part, &null, !kr->kr_index->parts[part].descending);
}

/* Bounds of the row id as ends of the range. */
static int make_rowid_ends(key_range *kr)
{
    int rc = EDB_OK;
    if (kr->kr_least > kr->kr_most)
        kr->kr_empty = true;
    if (kr->kr_least > INT64_MIN) {
        kr->kr_from = (scan_end){.en_set = true};
        rc = encode_rowid(kr, kr->kr_least, &kr->kr_from.en_code);
    }
    if (!rc && kr->kr_most < INT64_MAX) {
        kr->kr_to = (scan_end){.en_set = true, .en_behind = true};
        rc = encode_rowid(kr, kr->kr_most, &kr->kr_to.en_code);
    }
    return rc;
}

static void range_clear(key_range *kr)
{
    kr->kr_empty = kr->kr_inexact = kr->kr_given_up = false;
    kr->kr_laps = 0;
    kr->kr_n_wheels = kr->kr_n_items = 0;
    kr->kr_codes.bf_size = 0;
    values_drop(&kr->kr_values);
    kr->kr_from.en_set = kr->kr_to.en_set = false;
    kr->kr_least = INT64_MIN;
    kr->kr_most = INT64_MAX;
}

/* The equalities; *i: the argument behind them. */
static int decode_equalities(key_range *kr, const char *step, int argc, sqlite3_value **argv, int *i)
{
    uint32_t part = 0;
    int rc = EDB_OK;

    for (; !rc && *i < argc; ++*i) {
        char op = step[PLAN_STEP * *i + STEP_OP];
        if (plan_is_automatic(op)) {
            if (!kr->kr_automatic)
                continue;
            op = op == 'a' ? '=' : 's';
        }
        if (!plan_is_equality(op))
            break;
        if (kr->kr_inexact)
            continue;               /* parts behind one that was given up are given up too */
        rc = decode_equality(kr, part++, op, step[PLAN_STEP * *i + STEP_SIDE], argv[*i]);
    }
    return rc;
}

int range_decode(key_range *kr, const char *plan, int argc, sqlite3_value **argv)
{
    const char *step = plan + PLAN_HEAD;
    bool bounded = false;
    int i = 0, rc;

    range_clear(kr);
    kr->kr_reverse = plan[PLAN_DIRECTION] == 'r';
    rc = decode_equalities(kr, step, argc, argv, &i);
    if (rc || kr->kr_inexact || kr->kr_automatic)
        return rc;
    uint32_t part = kr->kr_n_wheels;
    for (; !rc && i < argc && !plan_is_aside(step[PLAN_STEP * i]); i++) {
        rc = decode_bound(kr, part, step + PLAN_STEP * i, argv[i]);
        bounded = true;
    }
    if (rc || !bounded)
        return rc;
    return part_rowid(kr, part) ? make_rowid_ends(kr) : exclude_nulls(kr, part);
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

bool range_behind(table_buffer *key)
{
    while (key->bf_size && key->bf_bytes[key->bf_size - 1] == 0xFF)
        key->bf_size--;
    if (!key->bf_size)
        return false;
    key->bf_bytes[key->bf_size - 1]++;
    return true;
}

static int append_end(key_range *kr, table_buffer *out, const scan_end *end)
{
    return append(out, kr->kr_codes.bf_bytes + end->en_code.co_at, end->en_code.co_size);
}

/* The NULLs of the part behind the equalities as a range, or the others. */
static int make_lap(key_range *kr)
{
    bool descending = kr->kr_index->parts[kr->kr_n_wheels].descending;
    uint8_t null = descending ? (uint8_t)~KEY_NULL : KEY_NULL;
    table_buffer *split = kr->kr_at_nulls ? &kr->kr_low : descending ? &kr->kr_end : &kr->kr_low;
    int rc = append(split, &null, 1);
    if (!rc && kr->kr_at_nulls)
        rc = append(&kr->kr_end, &null, 1);
    if (rc)
        return rc;
    if (!kr->kr_at_nulls && !descending)
        range_behind(&kr->kr_low);
    kr->kr_has_end = !kr->kr_at_nulls && descending ? true : range_behind(&kr->kr_end);
    return EDB_OK;
}

int range_make(key_range *kr)
{
    kr->kr_low.bf_size = 0;
    int rc = buffer_reserve(&kr->kr_low, 1) ? EDB_OK : no_memory();     /* an empty end is compared with, too */
    for (uint32_t i = 0; !rc && i < kr->kr_n_wheels; i++) {
        const scan_wheel *wheel = &kr->kr_wheels[i];
        const scan_code *code = &kr->kr_items[wheel->wh_first + wheel->wh_at];
        rc = append(&kr->kr_low, kr->kr_codes.bf_bytes + code->co_at, code->co_size);
    }
    kr->kr_end.bf_size = 0;
    if (!rc)
        rc = append(&kr->kr_end, kr->kr_low.bf_bytes, kr->kr_low.bf_size);
    if (!rc && kr->kr_laps)
        return make_lap(kr);
    if (!rc && kr->kr_from.en_set)
        rc = append_end(kr, &kr->kr_low, &kr->kr_from);
    if (!rc && kr->kr_to.en_set)
        rc = append_end(kr, &kr->kr_end, &kr->kr_to);
    if (rc)
        return rc;
    if (kr->kr_from.en_set && kr->kr_from.en_behind)
        range_behind(&kr->kr_low);
    kr->kr_has_end = kr->kr_to.en_set && !kr->kr_to.en_behind ? true : range_behind(&kr->kr_end);
    return EDB_OK;
}

static void reset_wheel(const key_range *kr, scan_wheel *wheel)
{
    wheel->wh_at = kr->kr_reverse ? wheel->wh_count - 1 : 0;
}

bool range_turn(key_range *kr)
{
    for (uint32_t i = kr->kr_n_wheels; i-- > 0;) {
        scan_wheel *wheel = &kr->kr_wheels[i];
        if (kr->kr_reverse ? wheel->wh_at > 0 : wheel->wh_at + 1 < wheel->wh_count) {
            wheel->wh_at += kr->kr_reverse ? -1 : 1;
            return true;
        }
        reset_wheel(kr, wheel);
    }
    if (!kr->kr_laps || kr->kr_at_nulls == (kr->kr_laps == 'l'))
        return false;
    kr->kr_at_nulls = !kr->kr_at_nulls;
    return true;
}

void range_first(key_range *kr)
{
    kr->kr_at_nulls = kr->kr_laps == 'f';
    for (uint32_t i = 0; i < kr->kr_n_wheels; i++)
        reset_wheel(kr, &kr->kr_wheels[i]);
}

void range_whole(key_range *kr)
{
    kr->kr_n_wheels = 0;
    kr->kr_laps = 0;
    kr->kr_from.en_set = kr->kr_to.en_set = false;
    kr->kr_empty = false;
}

size_t range_count(const key_range *kr)
{
    size_t n = 1;
    for (uint32_t i = 0; i < kr->kr_n_wheels && n < SIZE_MAX / 1024; i++)
        n *= kr->kr_wheels[i].wh_count;
    return n;
}

int range_entries(key_range *kr, double *out)
{
    range_first(kr);
    int rc = range_make(kr);
    if (!rc)
        *out = stats_between(kr->kr_bd->bd_conn, kr->kr_index ? kr->kr_index->tree : kr->kr_table->et_id,
                             kr->kr_low.bf_bytes, kr->kr_low.bf_size, kr->kr_has_end ? kr->kr_end.bf_bytes : NULL,
                             kr->kr_end.bf_size);
    return rc;
}

size_t range_prefix(const key_range *kr)
{
    size_t size = 0;
    for (uint32_t i = 0; i < kr->kr_n_wheels; i++)
        size += kr->kr_items[kr->kr_wheels[i].wh_first + kr->kr_wheels[i].wh_at].co_size;
    return size;
}

const uint8_t *range_rowid(const key_range *kr)
{
    const scan_wheel *wheel = &kr->kr_wheels[0];
    return kr->kr_codes.bf_bytes + kr->kr_items[wheel->wh_first + wheel->wh_at].co_at;
}

void range_set_rowid(key_range *kr, int64_t rowid)
{
    rowid_store(kr->kr_codes.bf_bytes + kr->kr_items[0].co_at, rowid);
}

#define ITEMS_KEPT 256

void range_tidy(key_range *kr)
{
    values_drop(&kr->kr_values);
    buffer_clear(&kr->kr_low);
    buffer_clear(&kr->kr_end);
    buffer_clear(&kr->kr_codes);
    if (kr->kr_items_room > ITEMS_KEPT) {
        free(kr->kr_items);
        kr->kr_items = NULL;
        kr->kr_items_room = 0;
    }
}

void range_free(key_range *kr)
{
    buffer_free(&kr->kr_low);
    buffer_free(&kr->kr_end);
    buffer_free(&kr->kr_codes);
    values_free(&kr->kr_values);
    free(kr->kr_items);
}
