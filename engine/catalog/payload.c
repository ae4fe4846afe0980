/* Payloads of the catalog, decoded and written (docs/format.md, "Catalog").
 *
 * A payload is read by a cursor of bytes that remembers its first failure, so that the decoder is one straight story
 * checked once at its end. A decoded table lives in an arena of its own, the payload's copy included. */
#include "engine/catalog/payload.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "native/arena.h"
#include "native/rowcode.h"

enum { PAYLOAD_FORMAT = 1 };
enum { TABLE_WITHOUT_ROWID = 1, TABLE_STRICT = 2, TABLE_AUTOINCREMENT = 4, TABLE_TAGS = 8, TABLE_UNVERSIONED = 16 };
enum { COLUMN_NOT_NULL = 1, COLUMN_DEFAULT = 2, COLUMN_CONSTANT = 4, COLUMN_VIRTUAL = 8, COLUMN_STORED = 16,
       COLUMN_HIDDEN = 32, COLUMN_ADDED = 64, COLUMN_RETYPED = 128 };
enum { INDEX_UNIQUE = 1, INDEX_PRIMARY_KEY = 2, INDEX_AUTOMATIC = 4, INDEX_PARTIAL = 8 };

typedef struct {
    edb_table tb_table;             /* first: a table is its box */
    _Atomic uint32_t tb_refs;
    arena tb_memory;
} table_box;

/* ---- reading a payload ---------------------------------------------------------------------------------------- */

typedef struct {
    const uint8_t *pr_at, *pr_end;
    arena *pr_memory;
    const char *pr_wrong;           /* what did not fit, the first time; NULL so far */
    bool pr_nomem;
} payload_reader;

static void payload_wrong(payload_reader *pr, const char *what)
{
    if (!pr->pr_wrong)
        pr->pr_wrong = what;
    pr->pr_at = pr->pr_end;         /* everything behind it reads as nothing */
}

static uint64_t payload_varint(payload_reader *pr, uint64_t limit, const char *what)
{
    uint64_t v = 0;
    const uint8_t *next = varint_load(pr->pr_at, pr->pr_end, &v);
    if (!next || v > limit) {
        payload_wrong(pr, what);
        return 0;
    }
    pr->pr_at = next;
    return v;
}

static uint8_t payload_byte(payload_reader *pr, const char *what)
{
    if (pr->pr_at >= pr->pr_end) {
        payload_wrong(pr, what);
        return 0;
    }
    return *pr->pr_at++;
}

static const uint8_t *payload_bytes(payload_reader *pr, size_t *size, const char *what)
{
    uint64_t n = payload_varint(pr, UINT32_MAX, what);
    *size = 0;
    if (n > (uint64_t)(pr->pr_end - pr->pr_at)) {
        payload_wrong(pr, what);
        return pr->pr_end;
    }
    const uint8_t *at = pr->pr_at;
    pr->pr_at += n;
    *size = n;
    return at;
}

static void *payload_alloc(payload_reader *pr, size_t size)
{
    void *memory = arena_alloc(pr->pr_memory, size ? size : 1);
    if (memory)
        memset(memory, 0, size);
    else
        pr->pr_nomem = true;
    return memory;
}

/* The bytes of a character, 0 if they are not UTF-8: cut short, too long a form, a surrogate, above U+10FFFF. */
static size_t utf8_character(const uint8_t *at, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = at[0];
    if (first < 0x80)
        return 1;
    size_t n = first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
    if (!n || n > size)
        return 0;
    uint32_t c = first & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (at[i] & 0x3f);
    }
    return c < least[n] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff ? 0 : n;
}

/* Names and SQL go on to SQLite and into messages, whose readers decode them. */
bool utf8_valid(const uint8_t *at, size_t size)
{
    for (size_t n; size; at += n, size -= n)
        if (!(n = utf8_character(at, size)))
            return false;
    return true;
}

static char *payload_string(payload_reader *pr, const char *what)
{
    size_t size;
    const uint8_t *at = payload_bytes(pr, &size, what);
    if (memchr(at, 0, size) || !utf8_valid(at, size))
        payload_wrong(pr, what);
    char *copy = payload_alloc(pr, size + 1);
    if (copy)
        memcpy(copy, at, size);
    return copy;
}

static void payload_value(payload_reader *pr, edb_value *out, const char *what)
{
    row_view view;
    size_t size;
    const uint8_t *row = payload_bytes(pr, &size, what);
    if (row_open(&view, row, size) || view.rw_columns < 1 || row_column(&view, 0, out))
        payload_wrong(pr, what);
}

/* The ids that a column had before its type got another affinity. */
static void payload_earlier(payload_reader *pr, edb_column *column)
{
    uint64_t n = payload_varint(pr, CATALOG_COLUMNS, "number of earlier ids");
    uint32_t last = column->id;
    if (!n)
        payload_wrong(pr, "number of earlier ids");
    column->earlier = payload_alloc(pr, n * sizeof *column->earlier);
    if (!column->earlier || pr->pr_wrong)
        return;
    column->n_earlier = (uint32_t)n;
    for (uint32_t i = 0; i < n; i++) {
        column->earlier[i] = (uint32_t)payload_varint(pr, UINT16_MAX, "earlier id");
        if (column->earlier[i] >= last)
            payload_wrong(pr, "earlier id");
        last = column->earlier[i];
    }
}

static void payload_column(payload_reader *pr, edb_column *column)
{
    column->id = (uint32_t)payload_varint(pr, UINT16_MAX, "column id");
    column->name = payload_string(pr, "column name");
    column->type = payload_string(pr, "column type");
    column->affinity = payload_byte(pr, "affinity");
    column->collation = payload_byte(pr, "collation");
    uint8_t flags = payload_byte(pr, "column flags");
    if (column->affinity < AFFINITY_BLOB || column->affinity > AFFINITY_REAL)
        payload_wrong(pr, "affinity");
    if (column->collation > COLLATE_RTRIM)
        payload_wrong(pr, "collation");
    column->not_null = flags & COLUMN_NOT_NULL;
    column->has_default = flags & COLUMN_DEFAULT;
    column->default_constant = flags & COLUMN_CONSTANT;
    if (column->has_default)
        column->default_sql = payload_string(pr, "default");
    column->added = flags & COLUMN_ADDED;
    if (column->default_constant)
        payload_value(pr, &column->default_value, "default value");
    if (column->added)
        payload_value(pr, &column->added_value, "value of an added column");
    column->computed = flags & (COLUMN_VIRTUAL | COLUMN_STORED);
    column->stored = flags & COLUMN_STORED;
    column->hidden = flags & COLUMN_HIDDEN;
    if (column->computed)
        column->expression = payload_string(pr, "expression of a generated column");
    if (flags & COLUMN_RETYPED)
        payload_earlier(pr, column);
    column->lazy = column->n_earlier || column_virtual(column);
    if ((flags & COLUMN_VIRTUAL && (column->stored || column->n_earlier)) || (column->hidden && !column_virtual(column))
        || (column->computed && column->has_default))
        payload_wrong(pr, "kind of generated column");
}

/* "t.a, t.b", or "index 'i'" where it has an expression */
static char *index_what(payload_reader *pr, const edb_table *table, const edb_index *index)
{
    size_t size = strlen(index->name) + sizeof "index ''";
    bool expressions = false;
    for (uint32_t i = 0; i < index->n_parts; i++)
        expressions |= table->et_columns[index->parts[i].column].hidden;
    for (uint32_t i = 0; i < index->n_parts; i++)
        size += strlen(table->et_name) + strlen(table->et_columns[index->parts[i].column].name) + 3;
    char *what = payload_alloc(pr, size), *at = what;
    if (what && expressions)
        stpcpy(stpcpy(stpcpy(what, "index '"), index->name), "'");
    for (uint32_t i = 0; what && !expressions && i < index->n_parts; i++) {
        const char *column = table->et_columns[index->parts[i].column].name;
        if (i)
            at = stpcpy(at, ", ");
        at = stpcpy(stpcpy(stpcpy(at, table->et_name), "."), column);
    }
    return what;
}

static void payload_index(payload_reader *pr, const edb_table *table, edb_index *index)
{
    index->tree = (uint32_t)payload_varint(pr, UINT32_MAX, "index tree");
    index->name = payload_string(pr, "index name");
    index->sql = payload_string(pr, "index SQL");
    uint8_t flags = payload_byte(pr, "index flags");
    index->unique = flags & INDEX_UNIQUE;
    index->primary_key = flags & INDEX_PRIMARY_KEY;
    index->automatic = flags & INDEX_AUTOMATIC;
    payload_varint(pr, 0, "reserved field");
    if (flags & INDEX_PARTIAL) {
        index->where = payload_string(pr, "WHERE of an index");
        if ((index->where && !*index->where) || index->primary_key || index->automatic)
            payload_wrong(pr, "WHERE of an index");
    }
    uint64_t n = payload_varint(pr, CATALOG_COLUMNS, "number of index parts");
    if (!n)
        payload_wrong(pr, "number of index parts");
    index->parts = payload_alloc(pr, n * sizeof(edb_index_part));
    if (!index->parts || pr->pr_wrong)
        return;
    index->n_parts = (uint32_t)n;
    for (uint32_t i = 0; i < n; i++) {
        edb_index_part *part = &index->parts[i];
        part->column = (uint32_t)payload_varint(pr, table->et_n_columns - 1, "column of an index part");
        part->collation = payload_byte(pr, "collation of an index part");
        if (part->collation > COLLATE_RTRIM)
            payload_wrong(pr, "collation of an index part");
        part->descending = payload_byte(pr, "index part flags") & 1;
        if (!pr->pr_wrong) {
            table->et_columns[part->column].keyed = true;
            index->computes |= table->et_columns[part->column].hidden;
            index->columns |= column_bit(part->column);
        }
    }
    if (!pr->pr_wrong)
        index->what = index_what(pr, table, index);
}

static void payload_columns(payload_reader *pr, edb_table *table)
{
    uint64_t rowid = payload_varint(pr, CATALOG_COLUMNS, "row id column");
    uint64_t n = payload_varint(pr, CATALOG_COLUMNS, "number of columns");
    if (!n || rowid > n)
        payload_wrong(pr, "number of columns");
    table->et_columns = payload_alloc(pr, n * sizeof(edb_column));
    if (!table->et_columns || pr->pr_wrong)
        return;
    table->et_rowid_column = (int)rowid - 1;
    table->et_n_columns = (uint32_t)n;
    for (uint32_t i = 0; i < n; i++) {
        payload_column(pr, &table->et_columns[i]);
        if (!column_virtual(&table->et_columns[i]) && table->et_columns[i].id >= table->et_width)
            table->et_width = table->et_columns[i].id + 1;
        /* With one change of the type a row is of the type of then or of a later one. */
        table->et_then_differs |= table->et_columns[i].added || table->et_columns[i].n_earlier > 1;
        table->et_then_moves = table->et_then_differs;
        table->et_has_computed |= table->et_columns[i].computed;
        table->et_has_lazy |= table->et_columns[i].lazy;
    }
    if (table->et_rowid_column >= 0 && (table->et_columns[table->et_rowid_column].computed
                                        || table->et_columns[table->et_rowid_column].n_earlier))
        payload_wrong(pr, "kind of row id");
}

static void payload_checks(payload_reader *pr, edb_table *table)
{
    uint64_t n = payload_varint(pr, CATALOG_CONSTRAINTS, "number of CHECK constraints");
    table->et_checks = payload_alloc(pr, n * sizeof(edb_check_constraint));
    for (uint64_t i = 0; i < n && table->et_checks && !pr->pr_wrong; i++) {
        table->et_checks[i].label = payload_string(pr, "name of a CHECK constraint");
        table->et_checks[i].sql = payload_string(pr, "CHECK constraint");
        table->et_n_checks++;
    }
}

enum { FKEY_DEFERRED = 1, FKEY_NAMES = 2 };

static void payload_fkey(payload_reader *pr, const edb_table *table, edb_fkey *key)
{
    key->parent = payload_string(pr, "table of a foreign key");
    uint8_t flags = payload_byte(pr, "foreign key flags");
    key->deferred = flags & FKEY_DEFERRED;
    key->names_columns = flags & FKEY_NAMES;
    key->on_delete = payload_byte(pr, "ON DELETE");
    key->on_update = payload_byte(pr, "ON UPDATE");
    uint64_t n = payload_varint(pr, CATALOG_COLUMNS, "number of columns of a foreign key");
    if (!n || key->on_delete > FK_CASCADE || key->on_update > FK_CASCADE)
        payload_wrong(pr, "foreign key");
    key->columns = payload_alloc(pr, n * sizeof *key->columns);
    key->referred = payload_alloc(pr, n * sizeof *key->referred);
    if (!key->columns || !key->referred || pr->pr_wrong)
        return;
    key->n_columns = (uint32_t)n;
    for (uint64_t i = 0; i < n; i++) {
        key->columns[i] = (uint32_t)payload_varint(pr, table->et_n_columns - 1, "column of a foreign key");
        if (!pr->pr_wrong)
            table->et_columns[key->columns[i]].keyed = true;
        if (key->names_columns)
            key->referred[i] = payload_string(pr, "column referred to");
    }
}

static void payload_fkeys(payload_reader *pr, edb_table *table)
{
    uint64_t n = payload_varint(pr, CATALOG_CONSTRAINTS, "number of foreign keys");
    table->et_fkeys = payload_alloc(pr, n * sizeof(edb_fkey));
    for (uint64_t i = 0; i < n && table->et_fkeys && !pr->pr_wrong; i++) {
        payload_fkey(pr, table, &table->et_fkeys[i]);
        table->et_n_fkeys++;
    }
}

/* A namespace of tags is not empty and has neither colon nor control characters (docs/format.md, "Tags"). */
static bool is_namespace(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        if (*at < 0x20 || *at == ':' || *at == 0x7f || (*at == 0xc2 && at[1] < 0xa0))
            return false;
    return *text;
}

static bool has_namespace(const edb_table *table, const char *text)
{
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        if (table->et_columns[i].tag && !strcmp(table->et_columns[i].tag, text))
            return true;
    return false;
}

static void payload_tags(payload_reader *pr, edb_table *table)
{
    uint64_t n = payload_varint(pr, table->et_n_columns, "number of tag columns");
    if (!n)
        payload_wrong(pr, "number of tag columns");
    for (uint64_t i = 0; i < n && !pr->pr_wrong; i++) {
        edb_column *column = &table->et_columns[payload_varint(pr, table->et_n_columns - 1, "tag column")];
        if (column->tag || column_virtual(column))
            payload_wrong(pr, "tag column");
        char *text = payload_string(pr, "namespace of a tag column");
        if (pr->pr_wrong || pr->pr_nomem)
            return;
        if (!is_namespace(text) || has_namespace(table, text))
            payload_wrong(pr, "namespace of a tag column");
        column->tag = text;
    }
    table->et_has_tags = n > 0;
}

static edb_column *column_with_id(const edb_table *table, uint32_t id)
{
    for (uint32_t i = 0; i < table->et_n_columns; i++)
        if (table->et_columns[i].id == id && !column_virtual(&table->et_columns[i]))
            return &table->et_columns[i];
    return NULL;
}

/* Whether the values of the column would have a history all the same, elsewhere. */
static bool is_told_elsewhere(const edb_table *table, const edb_column *column)
{
    return column->keyed || column->tag || column->computed
           || (table->et_rowid_column >= 0 && column == &table->et_columns[table->et_rowid_column]);
}

static void payload_unversioned(payload_reader *pr, edb_table *table)
{
    uint64_t n = payload_varint(pr, UINT16_MAX + 1, "number of unversioned columns");
    uint32_t *ids = payload_alloc(pr, n * sizeof *ids);

    if (!n)
        payload_wrong(pr, "number of unversioned columns");
    for (uint64_t i = 0; i < n && ids && !pr->pr_wrong; i++) {
        ids[i] = (uint32_t)payload_varint(pr, UINT16_MAX, "unversioned column");
        edb_column *column = column_with_id(table, ids[i]);
        if ((i && ids[i] <= ids[i - 1]) || (column && is_told_elsewhere(table, column)))
            payload_wrong(pr, "unversioned column");
        else if (column)
            column->unversioned = true;
        table->et_then_moves |= column && column->n_earlier;
    }
    if (!pr->pr_wrong && ids)
        table->et_unversioned = (row_mask){ ids, (uint32_t)n };
    table->et_then_differs = true;
}

static void payload_table(payload_reader *pr, edb_table *table)
{
    if (payload_byte(pr, "payload format") != PAYLOAD_FORMAT)
        payload_wrong(pr, "payload format");
    table->et_kind = payload_byte(pr, "payload kind");
    if (table->et_kind < CATALOG_TABLE || table->et_kind > CATALOG_TREE)
        payload_wrong(pr, "payload kind");
    table->et_id = (uint32_t)payload_varint(pr, UINT32_MAX, "table id");
    table->et_name = payload_string(pr, "table name");
    table->et_sql = payload_string(pr, "table SQL");
    table->et_rowid_column = -1;
    if (table->et_kind != CATALOG_TABLE) {
        if (pr->pr_at != pr->pr_end)
            payload_wrong(pr, "length");
        return;
    }
    uint64_t flags = payload_varint(pr, UINT32_MAX, "table flags");
    table->et_without_rowid = flags & TABLE_WITHOUT_ROWID;
    table->et_strict = flags & TABLE_STRICT;
    table->et_autoincrement = flags & TABLE_AUTOINCREMENT;
    payload_columns(pr, table);
    uint64_t n = payload_varint(pr, CATALOG_INDEXES, "number of indexes");
    table->et_indexes = payload_alloc(pr, n * sizeof(edb_index));
    if (!table->et_indexes || pr->pr_wrong)
        return;
    table->et_n_indexes = (uint32_t)n;
    for (uint32_t i = 0; i < n && !pr->pr_wrong && !pr->pr_nomem; i++) {
        payload_index(pr, table, &table->et_indexes[i]);
        table->et_has_partial |= table->et_indexes[i].where != NULL;
    }
    payload_checks(pr, table);
    payload_fkeys(pr, table);
    if (flags & TABLE_TAGS && !pr->pr_wrong && !pr->pr_nomem)
        payload_tags(pr, table);
    if (flags & TABLE_UNVERSIONED && !pr->pr_wrong && !pr->pr_nomem)
        payload_unversioned(pr, table);
    table->et_extra = payload_string(pr, "extra");
    if (pr->pr_at != pr->pr_end)
        payload_wrong(pr, "length");
}

/* ---- decoded tables ------------------------------------------------------------------------------------------- */

static void box_free(table_box *box)
{
    table_unref(box->tb_table.et_past);
    arena_free(&box->tb_memory);
    free(box);
}

int table_decode(const uint8_t *payload, size_t size, edb_table **out)
{
    table_box *box = calloc(1, sizeof *box);
    if (!box)
        return edb_fail(EDB_NOMEM, "no memory to decode a catalog entry of %zu bytes", size);
    arena_init(&box->tb_memory);
    atomic_init(&box->tb_refs, 1);
    const uint8_t *copy = arena_copy(&box->tb_memory, payload, size);
    payload_reader pr = {.pr_at = copy, .pr_end = copy + size, .pr_memory = &box->tb_memory, .pr_nomem = !copy};
    if (copy)
        payload_table(&pr, &box->tb_table);
    if (pr.pr_nomem || pr.pr_wrong) {
        box_free(box);
        if (pr.pr_nomem)
            return edb_fail(EDB_NOMEM, "no memory to decode a catalog entry of %zu bytes", size);
        return edb_fail(EDB_CORRUPT, "a catalog entry of %zu bytes has an impossible %s", size, pr.pr_wrong);
    }
    box->tb_table.et_payload = copy;
    box->tb_table.et_payload_size = size;
    *out = &box->tb_table;
    return EDB_OK;
}

edb_table *table_ref(const edb_table *table)
{
    atomic_fetch_add_explicit(&((table_box *)table)->tb_refs, 1, memory_order_relaxed);
    return (edb_table *)table;
}

void table_unref(const edb_table *table)
{
    table_box *box = (table_box *)table;
    if (box && atomic_fetch_sub_explicit(&box->tb_refs, 1, memory_order_acq_rel) == 1)
        box_free(box);
}

const edb_index *table_index(const edb_table *table, uint32_t tree)
{
    for (uint32_t i = 0; i < table->et_n_indexes; i++)
        if (table->et_indexes[i].tree == tree)
            return &table->et_indexes[i];
    return NULL;
}

bool table_same_columns(const edb_table *a, const edb_table *b)
{
    if (a->et_n_columns != b->et_n_columns || a->et_rowid_column != b->et_rowid_column)
        return false;
    for (uint32_t i = 0; i < a->et_n_columns; i++) {
        const edb_column *x = &a->et_columns[i], *y = &b->et_columns[i];
        if (x->id != y->id || x->affinity != y->affinity || x->collation != y->collation || strcmp(x->name, y->name)
            || strcmp(x->type, y->type) || x->computed != y->computed || x->stored != y->stored
            || x->hidden != y->hidden || x->unversioned != y->unversioned || (x->computed && strcmp(x->expression, y->expression)))
            return false;
    }
    return true;
}

/* ---- writing a payload ----------------------------------------------------------------------------------------- */

typedef struct {                    /* a payload being copied with its ids filled in */
    uint8_t *pk_bytes;
    size_t pk_size;
    const uint8_t *pk_from;         /* next byte of the old payload to copy */
} payload_writer;

/* Copies up to the varint at `at`, puts `value` in its place, goes on behind it. */
static void payload_patch(payload_writer *pw, const uint8_t *at, const uint8_t *behind, uint64_t value)
{
    size_t before = (size_t)(at - pw->pk_from);
    memcpy(pw->pk_bytes + pw->pk_size, pw->pk_from, before);
    pw->pk_size = (size_t)(varint_store(pw->pk_bytes + pw->pk_size + before, value) - pw->pk_bytes);
    pw->pk_from = behind;
}

static void skip_varint(payload_reader *pr) { payload_varint(pr, UINT64_MAX, ""); }

static void skip_bytes(payload_reader *pr)
{
    size_t size;
    payload_bytes(pr, &size, "");
}

int payload_rewrite(const edb_table *table, uint8_t **out, size_t *out_size)
{
    const uint8_t *end = table->et_payload + table->et_payload_size;
    payload_reader pr = {.pr_at = table->et_payload + 2, .pr_end = end};
    payload_writer pw = {.pk_from = table->et_payload};
    const uint8_t *at;

    pw.pk_bytes = malloc(table->et_payload_size + (size_t)VARINT_MAX * (1 + table->et_n_indexes));
    if (!pw.pk_bytes)
        return edb_fail(EDB_NOMEM, "no memory to write the catalog entry of table %s", table->et_name);
    at = pr.pr_at;
    skip_varint(&pr);
    payload_patch(&pw, at, pr.pr_at, table->et_id);
    skip_bytes(&pr);                            /* name */
    skip_bytes(&pr);                            /* SQL */
    skip_varint(&pr);                           /* flags */
    skip_varint(&pr);                           /* row id column */
    skip_varint(&pr);                           /* number of columns */
    for (uint32_t i = 0; i < table->et_n_columns; i++) {
        skip_varint(&pr);
        skip_bytes(&pr);
        skip_bytes(&pr);
        pr.pr_at += 3;
        if (table->et_columns[i].has_default)
            skip_bytes(&pr);
        if (table->et_columns[i].default_constant)
            skip_bytes(&pr);
        if (table->et_columns[i].added)
            skip_bytes(&pr);
        if (table->et_columns[i].computed)
            skip_bytes(&pr);
        if (table->et_columns[i].n_earlier)
            skip_varint(&pr);                   /* how many */
        for (uint32_t k = 0; k < table->et_columns[i].n_earlier; k++)
            skip_varint(&pr);
    }
    skip_varint(&pr);                           /* number of indexes */
    for (uint32_t i = 0; i < table->et_n_indexes; i++) {
        at = pr.pr_at;
        skip_varint(&pr);
        payload_patch(&pw, at, pr.pr_at, table->et_indexes[i].tree);
        skip_bytes(&pr);
        skip_bytes(&pr);
        pr.pr_at += 1;
        skip_varint(&pr);                       /* reserved */
        if (table->et_indexes[i].where)
            skip_bytes(&pr);
        skip_varint(&pr);                       /* number of parts */
        for (uint32_t k = 0; k < table->et_indexes[i].n_parts; k++) {
            skip_varint(&pr);
            pr.pr_at += 2;
        }
    }
    memcpy(pw.pk_bytes + pw.pk_size, pw.pk_from, (size_t)(end - pw.pk_from));
    *out_size = pw.pk_size + (size_t)(end - pw.pk_from);
    *out = pw.pk_bytes;
    return EDB_OK;
}

size_t payload_of_tree(uint8_t out[PAYLOAD_OF_TREE], uint32_t tree, const char *name)
{
    size_t size = strlen(name);
    assert(size < TREE_NAME);
    uint8_t *at = out;
    *at++ = PAYLOAD_FORMAT;
    *at++ = CATALOG_TREE;
    at = varint_store(at, tree);
    at = varint_store(at, size);
    memcpy(at, name, size);
    at = varint_store(at + size, 0);            /* no SQL */
    return (size_t)(at - out);
}

int payload_kind(const uint8_t front[PAYLOAD_FRONT])
{
    return front[0] == PAYLOAD_FORMAT && front[1] >= CATALOG_TABLE && front[1] <= CATALOG_TREE ? front[1] : 0;
}
