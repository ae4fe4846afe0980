/* Tag expressions (tag_expression.h): a parser by recursive descent. */
#include "engine/entity/tag_expression.h"

#include <string.h>

#include "native/bytes.h"
#include "engine/catalog/catalog.h"
#include "engine/entity/tag_text.h"

enum { DEPTH_MOST = 100 };          /* of parentheses and "!" */

typedef struct {
    const uint8_t *psn_text, *psn_at, *psn_end;
    arena *psn_memory;
    int psn_depth;
} parse;

static int unreadable(const parse *ps, const char *wanted)
{
    char shown[TAG_SHOWN];

    return edb_fail(EDB_MISUSE, "the tag expression \"%s\" cannot be read at byte %zu: %s",
                    tag_shown(ps->psn_text, (size_t)(ps->psn_end - ps->psn_text), shown),
                    (size_t)(ps->psn_at - ps->psn_text), wanted);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void pass_blanks(parse *ps)
{
    while (ps->psn_at < ps->psn_end && is_blank(*ps->psn_at))
        ps->psn_at++;
}

/* Whether the next part is the character; passes it. */
static bool take(parse *ps, char c)
{
    pass_blanks(ps);
    if (ps->psn_at == ps->psn_end || *ps->psn_at != (uint8_t)c)
        return false;
    ps->psn_at++;
    return true;
}

static int node_new(parse *ps, tag_kind kind, tag_node **out)
{
    if (!(*out = arena_alloc(ps->psn_memory, sizeof **out)))
        return edb_fail(EDB_NOMEM, "no memory to read a tag expression");
    **out = (tag_node){ .tn_kind = kind };
    return EDB_OK;
}

/* Bytes that end a word, blanks among them; and those of a word that has to be judged as a tag. */
enum { ENDS_WORD = 1, JUDGED = 2 };
static const uint8_t kind_of[256] = {
    [0] = ENDS_WORD, ['&'] = ENDS_WORD, ['|'] = ENDS_WORD, ['!'] = ENDS_WORD, ['('] = ENDS_WORD, [')'] = ENDS_WORD,
    ['"'] = ENDS_WORD, ['*'] = ENDS_WORD, [' '] = ENDS_WORD, ['\t'] = ENDS_WORD, ['\r'] = ENDS_WORD, ['\n'] = ENDS_WORD,
    [1 ... '\t' - 1] = JUDGED, ['\n' + 1 ... '\r' - 1] = JUDGED, ['\r' + 1 ... ' ' - 1] = JUDGED, [0x7f ... 0xff] = JUDGED,
};

/* Where the text ends whose first quote has been passed: at its last quote, or at the end if there is none. */
static const uint8_t *end_of_quoted(const parse *ps)
{
    const uint8_t *at = ps->psn_at;

    while (at < ps->psn_end && (*at != '"' || (ps->psn_end - at > 1 && at[1] == '"')))
        at += *at == '"' ? 2 : 1;
    return at;
}

static const uint8_t *end_of_word(const parse *ps)
{
    const uint8_t *at = ps->psn_at;

    while (at < ps->psn_end && kind_of[*at] != ENDS_WORD)
        at++;
    return at;
}

/* A copy of the text up to the end; of two quotes in it the second is left out. */
static size_t unquote(const uint8_t *at, const uint8_t *end, uint8_t *out)
{
    size_t n = 0;

    while (at < end) {
        out[n++] = *at;
        at += *at == '"' ? 2 : 1;
    }
    return n;
}

static int tag(parse *ps, tag_node **out)
{
    bool in_quotes = take(ps, '"');
    const uint8_t *begin = ps->psn_at, *end = in_quotes ? end_of_quoted(ps) : end_of_word(ps);

    if (in_quotes && end == ps->psn_end) {
        ps->psn_at--;
        return unreadable(ps, "the quote is not closed");
    }
    uint8_t *text = arena_alloc(ps->psn_memory, (size_t)(end - begin));
    int rc = text ? node_new(ps, TAG_IS, out) : edb_fail(EDB_NOMEM, "no memory to read a tag expression");
    if (rc)
        return rc;
    size_t size = unquote(begin, end, text);
    ps->psn_at = end + in_quotes;
    bool begins = ps->psn_at < ps->psn_end && *ps->psn_at == '*';
    if (!size && !in_quotes && !begins)
        return unreadable(ps, "a tag is expected");
    (*out)->tn_text = text;
    (*out)->tn_size = size;
    if (begins) {
        ps->psn_at++;
        (*out)->tn_kind = TAG_BEGINS;
    }
    /* Of a prefix only what it is made of is judged: it may end anywhere. */
    return begins && (!size || size <= TAG_MOST) && utf8_valid(text, size) ? EDB_OK : tag_judge(text, size, TAG_MOST);
}

static int any(parse *ps, tag_node **out);

static int factor(parse *ps, tag_node **out)
{
    int rc;

    if (ps->psn_depth >= DEPTH_MOST)
        return unreadable(ps, "it is nested too deep");
    ps->psn_depth++;
    if (take(ps, '!')) {
        if (!(rc = node_new(ps, TAG_NOT, out)))
            rc = factor(ps, &(*out)->tn_first);
    } else if (take(ps, '(')) {
        if (!(rc = any(ps, out)) && !take(ps, ')'))
            rc = unreadable(ps, "\")\" is expected");
    } else {
        rc = tag(ps, out);
    }
    ps->psn_depth--;
    return rc;
}

/* Parts between the same operator; one alone is itself. */
static int chain(parse *ps, tag_kind kind, char operator, int (*part)(parse *ps, tag_node **out), tag_node **out)
{
    tag_node *first, **next;
    int rc = part(ps, &first);

    if (rc || !take(ps, operator)) {
        *out = rc ? NULL : first;
        return rc;
    }
    if ((rc = node_new(ps, kind, out)))
        return rc;
    (*out)->tn_first = first;
    next = &first->tn_next;
    do {
        if (!(rc = part(ps, next)))
            next = &(*next)->tn_next;
    } while (!rc && take(ps, operator));
    return rc;
}

static int all(parse *ps, tag_node **out)
{
    return chain(ps, TAG_ALL, '&', factor, out);
}

static int any(parse *ps, tag_node **out)
{
    return chain(ps, TAG_ANY, '|', all, out);
}

/* Whether all of eight bytes are from '+' to '{', which none of the kinds above are. Adding and subtracting carry from a byte
 * into the next only where that byte is none of these itself. */
static inline bool eight_plain(const uint8_t *at)
{
    const uint64_t each = 0x0101010101010101ULL;
    uint64_t x = load64(at);

    return !((x | (x - each * '+') | (x + each * (0x80 - '|'))) & each * 0x80);
}

static bool plain(const uint8_t *text, size_t size)
{
    size_t at = 0;

    for (; size - at >= 8; at += 8)
        if (!eight_plain(text + at))
            return false;
    /* What is left is looked at with bytes before it. */
    return at == size || (size >= 8 && eight_plain(text + size - 8));
}

bool tag_expression_is_word(const uint8_t *text, size_t size)
{
    if (!size || size > TAG_MOST || *text == ':')
        return false;
    if (plain(text, size))
        return true;
    for (size_t i = 0; i < size; i++)
        if (kind_of[text[i]])
            return false;
    return true;
}

int tag_expression_parse(const char *text, size_t size, arena *memory, tag_node **out)
{
    parse ps = { .psn_text = (const uint8_t *)text, .psn_at = (const uint8_t *)text,
                 .psn_end = (const uint8_t *)text + size, .psn_memory = memory };
    int rc = any(&ps, out);

    pass_blanks(&ps);
    if (!rc && ps.psn_at != ps.psn_end)
        rc = unreadable(&ps, "\"&\", \"|\" or the end is expected");
    return rc;
}
