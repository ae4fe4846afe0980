/* A row as JSON (row_json.h). */
#include "engine/entity/row_json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native/arena.h"
#include "native/realtext.h"
#include "engine/eval/evaluator.h"

enum { NUMBER_ROOM = 40 };

static int put(table_buffer *out, const void *bytes, size_t size)
{
    uint8_t *at = buffer_reserve(out, size);

    if (!at)
        return edb_fail(EDB_NOMEM, "no memory for a row as JSON");
    memcpy(at, bytes, size);
    out->bf_size += size;
    return EDB_OK;
}

static int put_text(table_buffer *out, const uint8_t *text, size_t size)
{
    size_t from = 0;
    int rc = put(out, "\"", 1);

    for (size_t i = 0; i < size && !rc; i++) {
        char escaped[8];
        if (text[i] >= 0x20 && text[i] != '"' && text[i] != '\\')
            continue;
        if (text[i] < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", text[i]);
        else
            snprintf(escaped, sizeof escaped, "\\%c", text[i]);
        if (!(rc = put(out, text + from, i - from)))
            rc = put(out, escaped, strlen(escaped));
        from = i + 1;
    }
    if (!rc)
        rc = put(out, text + from, size - from);
    return rc ? rc : put(out, "\"", 1);
}

static int put_blob(table_buffer *out, const uint8_t *bytes, size_t size)
{
    uint8_t *at = buffer_reserve(out, 2 * size + 2);

    if (!at)
        return edb_fail(EDB_NOMEM, "no memory for a row as JSON");
    *at++ = '"';
    for (size_t i = 0; i < size; i++) {
        *at++ = (uint8_t)"0123456789ABCDEF"[bytes[i] >> 4];
        *at++ = (uint8_t)"0123456789ABCDEF"[bytes[i] & 15];
    }
    *at = '"';
    out->bf_size += 2 * size + 2;
    return EDB_OK;
}

/* JSON has no infinity: 9e999 is read as one. A whole number stays a real by its ".0". */
static int put_real(table_buffer *out, double real)
{
    char text[NUMBER_ROOM];

    if (isinf(real))
        return put(out, real < 0 ? "-9e999" : "9e999", real < 0 ? 6 : 5);
    for (int digits = 15; digits <= 17; digits++) {
        real_text(real, digits, text);
        if (text_real(text, NULL) == real)
            break;
    }
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
    return put(out, text, strlen(text));
}

static int put_value(table_buffer *out, const edb_value *value)
{
    char text[NUMBER_ROOM];

    switch (value->type) {
    case VALUE_INTEGER:
        return put(out, text, (size_t)snprintf(text, sizeof text, "%" PRId64, value->integer));
    case VALUE_REAL:
        return put_real(out, value->real);
    case VALUE_TEXT:
        return put_text(out, value->bytes, value->size);
    case VALUE_BLOB:
        return put_blob(out, value->bytes, value->size);
    default:
        return put(out, "null", 4);
    }
}

int row_json(edb_stmt *stmt, const edb_table *table, const row_view *row, int64_t id, table_buffer *out)
{
    const char *before = "{";
    arena memory;
    int rc = EDB_OK;

    arena_init(&memory);
    for (uint32_t i = 0; i < table->et_n_columns && !rc; i++) {
        edb_value value;
        if (table->et_columns[i].hidden)
            continue;
        rc = evaluate_column(stmt_conn(stmt), table, row, id, i, &memory, &value);
        if (!rc)
            rc = put(out, before, 1);
        if (!rc)
            rc = put_text(out, (const uint8_t *)table->et_columns[i].name, strlen(table->et_columns[i].name));
        if (!rc && !(rc = put(out, ":", 1)))
            rc = put_value(out, &value);
        before = ",";
    }
    arena_free(&memory);
    return rc ? rc : put(out, "}", 1);
}

int json_text(table_buffer *out, const char *text)
{
    return put_text(out, (const uint8_t *)text, strlen(text));
}
