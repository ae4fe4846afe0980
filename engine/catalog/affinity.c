/* Affinity without SQLite (affinity.h). The rules are SQLite's (documentation "Datatypes", 3). */
#include "engine/catalog/affinity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "native/realtext.h"

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory to convert a value");
}

static int number_of_text(const edb_value *in, arena *memory, edb_value *out)
{
    char *text = arena_alloc(memory, in->size + 1), *end;
    if (!text)
        return no_memory();
    memcpy(text, in->bytes, in->size);
    text[in->size] = 0;
    for (const char *at = text; *at; at++)
        if (!strchr("0123456789+-.eE \t\n\v\f\r", *at))
            return EDB_OK;          /* strtod would read more than SQLite does */
    double real = text_real(text, &end);
    while (end > text && *end && strchr(" \t\n\v\f\r", *end))
        end++;
    if (end == text || *end)
        return EDB_OK;
    if (!strpbrk(text, ".eE") && real > -9.2e18 && real < 9.2e18) {
        out->type = VALUE_INTEGER;
        out->integer = strtoll(text, NULL, 10);
    } else {
        out->type = VALUE_REAL;
        out->real = real;
    }
    return EDB_OK;
}

static int text_of_number(const edb_value *in, arena *memory, edb_value *out)
{
    char *text = arena_alloc(memory, 48);
    if (!text)
        return no_memory();
    int size = in->type == VALUE_INTEGER ? snprintf(text, 48, "%lld", (long long)in->integer)
                                         : real_text(in->real, 15, text);
    if (in->type == VALUE_REAL && !strpbrk(text, ".eEni")) {
        memcpy(text + size, ".0", 3);
        size += 2;
    }
    out->type = VALUE_TEXT;
    out->bytes = text;
    out->size = (size_t)size;
    return EDB_OK;
}

int affinity_apply(const edb_value *in, int affinity, arena *memory, edb_value *out)
{
    *out = *in;
    if (affinity == AFFINITY_BLOB || in->type == VALUE_NULL || in->type == VALUE_BLOB)
        return EDB_OK;
    if (affinity == AFFINITY_TEXT)
        return in->type == VALUE_TEXT ? EDB_OK : text_of_number(in, memory, out);
    int rc = in->type == VALUE_TEXT ? number_of_text(in, memory, out) : EDB_OK;
    if (out->type == VALUE_REAL && affinity != AFFINITY_REAL && out->real > -9223372036854775808.0
        && out->real < 9223372036854775808.0 && (double)(int64_t)out->real == out->real) {
        int64_t integer = (int64_t)out->real;
        out->type = VALUE_INTEGER;
        out->integer = integer;
    } else if (out->type == VALUE_INTEGER && affinity == AFFINITY_REAL) {
        double real = (double)out->integer;
        out->type = VALUE_REAL;
        out->real = real;
    }
    return rc;
}
