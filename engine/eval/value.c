/* Values between SQLite and the engine (value.h).
 *
 * Where a text has to become a number or a number a text, a copy of the value is converted by SQLite itself, since its
 * conversions are not the C library's; only plain whole numbers, and texts that cannot be numbers, are judged without
 * that. NaN never arrives: SQLite turns it into NULL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/eval/value.h"

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory to convert a value");
}

/* SQLite gives no address for bytes there are none of. */
static int read_bytes(sqlite3_value *in, edb_value *out)
{
    out->size = (size_t)sqlite3_value_bytes(in);
    if (!out->size)
        out->bytes = "";
    return out->bytes ? EDB_OK : no_memory();
}

static int read_text(sqlite3_value *in, edb_value *out)
{
    out->type = VALUE_TEXT;
    /* Asked as blob, UTF-8 text comes as it is; asked as text it would be copied to get its final zero. */
    out->bytes = sqlite3_value_encoding(in) == SQLITE_UTF8 ? sqlite3_value_blob(in) : sqlite3_value_text(in);
    return read_bytes(in, out);
}

int value_read(sqlite3_value *in, edb_value *out)
{
    switch (sqlite3_value_type(in)) {
    case SQLITE_INTEGER:
        out->type = VALUE_INTEGER;
        out->integer = sqlite3_value_int64(in);
        return EDB_OK;
    case SQLITE_FLOAT:
        out->type = VALUE_REAL;
        out->real = sqlite3_value_double(in);
        return EDB_OK;
    case SQLITE_TEXT:
        return read_text(in, out);
    case SQLITE_BLOB:
        out->type = VALUE_BLOB;
        out->bytes = sqlite3_value_blob(in);
        return read_bytes(in, out);
    default:
        out->type = VALUE_NULL;
        return EDB_OK;
    }
}

/* ---- text to number ------------------------------------------------------------------------------------------- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

/* Space, sign, digits with a point, exponent, space: nothing else is a number to SQLite, which reads up to the first
 * zero byte. Dates end here. */
static bool may_be_number(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    const char *digits = at;
    at = skip_digits(at, end);
    bool any = at > digits;
    if (at < end && *at == '.') {
        digits = ++at;
        at = skip_digits(at, end);
        any |= at > digits;
    }
    if (!any)
        return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '-' || *at == '+'))
            at++;
        at = skip_digits(at, end);
    }
    while (at < end && is_space(*at))
        at++;
    return at == end || !*at;
}

/* "-123": at most 18 digits, so that it fits. */
static bool short_integer(const char *at, const char *end, int64_t *out)
{
    bool negative = at < end && *at == '-';
    int64_t n = 0;
    at += negative;
    if (at == end || end - at > 18)
        return false;
    for (; at < end; at++) {
        if (!is_digit(*at))
            return false;
        n = 10 * n + (*at - '0');
    }
    *out = negative ? -n : n;
    return true;
}

/* Makes out, a text, a number when it is one. */
static int text_to_number(sqlite3_value *in, edb_value *out)
{
    const char *text = out->bytes, *end = text + out->size;
    int64_t integer;
    if (!out->size || !may_be_number(text, end))
        return EDB_OK;
    if (short_integer(text, end, &integer)) {
        out->type = VALUE_INTEGER;
        out->integer = integer;
        return EDB_OK;
    }
    sqlite3_value *copy = sqlite3_value_dup(in);
    if (!copy)
        return no_memory();
    switch (sqlite3_value_numeric_type(copy)) {
    case SQLITE_INTEGER:
        out->type = VALUE_INTEGER;
        out->integer = sqlite3_value_int64(copy);
        break;
    case SQLITE_FLOAT:
        out->type = VALUE_REAL;
        out->real = sqlite3_value_double(copy);
        break;
    }
    sqlite3_value_free(copy);
    return EDB_OK;
}

/* ---- affinity ------------------------------------------------------------------------------------------------- */

/* A real becomes an integer where nothing is lost; the two outermost integers are left out, as in SQLite. */
static void real_to_integer(edb_value *out)
{
    double r = out->real;
    if (r > -9223372036854775808.0 && r < 9223372036854775808.0 && (double)(int64_t)r == r) {
        out->type = VALUE_INTEGER;
        out->integer = (int64_t)r;
    }
}

int value_hold(value_scratch *vs, sqlite3_value *value)
{
    if (vs->vs_n_held == vs->vs_held_room) {
        uint32_t room = 2 * vs->vs_held_room + 8;
        sqlite3_value **held = realloc(vs->vs_held, room * sizeof(*held));
        if (!held) {
            sqlite3_value_free(value);
            return no_memory();
        }
        vs->vs_held = held;
        vs->vs_held_room = room;
    }
    vs->vs_held[vs->vs_n_held++] = value;
    return EDB_OK;
}

static int number_to_text(value_scratch *vs, sqlite3_value *in, edb_value *out)
{
    if (out->type == VALUE_INTEGER && vs->vs_n_digits < vs->vs_digits_room) {
        char *digits = vs->vs_digits[vs->vs_n_digits++];
        out->size = (size_t)snprintf(digits, sizeof vs->vs_digits[0], "%lld", (long long)out->integer);
        out->bytes = digits;
        out->type = VALUE_TEXT;
        return EDB_OK;
    }
    sqlite3_value *copy = sqlite3_value_dup(in);
    int rc = copy ? value_hold(vs, copy) : no_memory();
    if (rc)
        return rc;
    out->type = VALUE_TEXT;
    out->bytes = sqlite3_value_text(copy);
    out->size = (size_t)sqlite3_value_bytes(copy);
    return out->bytes ? EDB_OK : no_memory();
}

int value_convert(value_scratch *vs, sqlite3_value *in, int affinity, edb_value *out)
{
    int rc = value_read(in, out);
    if (rc || affinity == AFFINITY_BLOB || out->type == VALUE_NULL || out->type == VALUE_BLOB)
        return rc;
    if (affinity == AFFINITY_TEXT)
        return out->type == VALUE_TEXT ? EDB_OK : number_to_text(vs, in, out);
    if (out->type == VALUE_TEXT)
        rc = text_to_number(in, out);
    if (out->type == VALUE_REAL)
        real_to_integer(out);
    if (out->type == VALUE_INTEGER && affinity == AFFINITY_REAL) {
        double real = (double)out->integer;
        out->type = VALUE_REAL;
        out->real = real;
    }
    return rc;
}

int values_prepare(value_scratch *vs, uint32_t columns)
{
    if (columns <= vs->vs_digits_room)
        return EDB_OK;
    char (*digits)[32] = realloc(vs->vs_digits, columns * sizeof *digits);
    if (!digits)
        return no_memory();
    vs->vs_digits = digits;
    vs->vs_digits_room = columns;
    return EDB_OK;
}

void values_drop(value_scratch *vs)
{
    while (vs->vs_n_held)
        sqlite3_value_free(vs->vs_held[--vs->vs_n_held]);
    vs->vs_n_digits = 0;
}

void values_free(value_scratch *vs)
{
    values_drop(vs);
    free(vs->vs_held);
    free(vs->vs_digits);
    *vs = (value_scratch){.vs_held = NULL};
}

int value_copy(arena *memory, edb_value *value)
{
    if (value->type != VALUE_TEXT && value->type != VALUE_BLOB)
        return EDB_OK;
    value->bytes = value->size ? arena_copy(memory, value->bytes, value->size) : "";
    return value->bytes ? EDB_OK : no_memory();
}

int value_bind(sqlite3_stmt *stmt, int parameter, const edb_value *value)
{
    switch (value->type) {
    case VALUE_INTEGER:
        return sqlite3_bind_int64(stmt, parameter, value->integer);
    case VALUE_REAL:
        return sqlite3_bind_double(stmt, parameter, value->real);
    /* Bytes of size 0 may have no address, which SQLite would take for NULL. */
    case VALUE_TEXT:
        return sqlite3_bind_text64(stmt, parameter, value->size ? value->bytes : "", value->size, SQLITE_STATIC,
                                   SQLITE_UTF8);
    case VALUE_BLOB:
        return value->size ? sqlite3_bind_blob64(stmt, parameter, value->bytes, value->size, SQLITE_STATIC)
                           : sqlite3_bind_zeroblob(stmt, parameter, 0);
    default:
        return sqlite3_bind_null(stmt, parameter);
    }
}

void value_result(sqlite3_context *context, const edb_value *value, bool copied)
{
    sqlite3_destructor_type life = copied ? SQLITE_TRANSIENT : SQLITE_STATIC;
    switch (value->type) {
    case VALUE_INTEGER:
        sqlite3_result_int64(context, value->integer);
        return;
    case VALUE_REAL:
        sqlite3_result_double(context, value->real);
        return;
    /* Bytes of size 0 may have no address, which SQLite would take for NULL. */
    case VALUE_TEXT:
        sqlite3_result_text64(context, value->size ? value->bytes : "", value->size, life, SQLITE_UTF8);
        return;
    case VALUE_BLOB:
        if (value->size)
            sqlite3_result_blob64(context, value->bytes, value->size, life);
        else
            sqlite3_result_zeroblob(context, 0);
        return;
    default:
        sqlite3_result_null(context);
    }
}
