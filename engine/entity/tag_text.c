/* What text is a tag (tag_text.h). */
#include "engine/entity/tag_text.h"

#include <string.h>

#include "engine/catalog/catalog.h"

/* Of valid UTF-8. */
static bool is_control(const uint8_t *at, size_t left)
{
    return *at < 0x20 || *at == 0x7f || (*at == 0xc2 && left > 1 && at[1] < 0xa0);
}

const char *tag_shown(const uint8_t *text, size_t size, char out[TAG_SHOWN])
{
    bool whole = size < TAG_SHOWN;
    size_t n = whole ? size : TAG_SHOWN - 4;

    while (!whole && n && (text[n] & 0xc0) == 0x80)
        n--;                        /* not within a character */
    for (size_t i = 0; i < n; i++)
        out[i] = is_control(text + i, n - i) ? '?' : (char)text[i];
    if (!utf8_valid((const uint8_t *)out, n))
        for (size_t i = 0; i < n; i++)
            out[i] = (uint8_t)out[i] < 0x80 ? out[i] : '?';
    strcpy(out + n, whole ? "" : "...");
    return out;
}

int tag_judge(const uint8_t *text, size_t size, uint32_t most)
{
    char shown[TAG_SHOWN];

    if (most > TAG_MOST)
        most = TAG_MOST;
    if (!size)
        return edb_fail(EDB_TAG, "an empty text is no tag");
    if (!utf8_valid(text, size))
        return edb_fail(EDB_TAG, "the tag \"%s\" is not UTF-8", tag_shown(text, size, shown));
    if (size > most)
        return edb_fail(EDB_TAG, "the tag \"%s\" has %zu bytes; at most %u fit", tag_shown(text, size, shown), size,
                        most);
    for (size_t i = 0; i < size; i++)
        if (is_control(text + i, size - i))
            return edb_fail(EDB_TAG, "the tag \"%s\" has a control character at byte %zu", tag_shown(text, size, shown),
                            i);
    if (*text == ':')
        return edb_fail(EDB_TAG, "the tag \"%s\" begins with a colon; one without a namespace has no colon",
                        tag_shown(text, size, shown));
    return EDB_OK;
}

size_t tag_namespace_size(const uint8_t *text, size_t size)
{
    const uint8_t *colon = memchr(text, ':', size);

    return colon ? (size_t)(colon - text) : 0;
}

size_t tag_value_at(const uint8_t *text, size_t size)
{
    const uint8_t *colon = memchr(text, ':', size);

    return colon ? (size_t)(colon - text) + 1 : 0;
}
