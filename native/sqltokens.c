/* One pass over the bytes. Each `end_of_...` takes where something begins and returns where it ends; all bytes from 0x80
 * on are letters to SQLite. Offsets are counted in code points at the very end of each token, by the continuation bytes
 * (10xxxxxx) met so far. */
#include "native/sqltokens.h"

#include "native/sqlwords.h"

#include <stdbool.h>
#include <string.h>

typedef const unsigned char *at_byte;

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(unsigned char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool is_inner(unsigned char c)
{
    return is_letter(c) || is_digit(c) || c == '$';
}

/* White space and comments; a comment that is not closed reaches to the end. */
at_byte sql_space_end(at_byte p, at_byte end)
{
    for (;;) {
        while (p < end && is_space(*p))
            p++;
        if (end - p >= 2 && p[0] == '-' && p[1] == '-') {
            while (p < end && *p != '\n')
                p++;
        } else if (end - p >= 2 && p[0] == '/' && p[1] == '*') {
            p += 2;
            while (p < end && !(end - p >= 2 && p[0] == '*' && p[1] == '/'))
                p++;
            p = end - p >= 2 ? p + 2 : end;
        } else {
            return p;
        }
    }
}

/* Only white space: what may stand within a list of parameters. */
static at_byte end_of_blank(at_byte p, at_byte end)
{
    while (p < end && is_space(*p))
        p++;
    return p;
}

static at_byte end_of_word(at_byte p, at_byte end)
{
    while (p < end && is_inner(*p))
        p++;
    return p;
}

static at_byte end_of_digits(at_byte p, at_byte end)
{
    while (p < end && (is_digit(*p) || *p == '_'))
        p++;
    return p;
}

static at_byte end_of_number(at_byte p, at_byte end)
{
    if (end - p >= 3 && p[0] == '0' && (p[1] | 0x20) == 'x' && is_hex(p[2])) {
        p += 3;
        while (p < end && is_hex(*p))
            p++;
        return p;
    }
    p = end_of_digits(p, end);
    if (p < end && *p == '.')
        p = end_of_digits(p + 1, end);
    if (p < end && (*p | 0x20) == 'e') {
        at_byte power = p + 1;
        if (power < end && (*power == '+' || *power == '-'))
            power++;
        if (power < end && is_digit(*power)) {
            while (power < end && is_digit(*power))
                power++;
            return power;
        }
    }
    return p;
}

/* Behind the quote that closes the one at p; a doubled one stands for itself. NULL: none does. Where only a doubled one is
 * there, its first half closes. */
static at_byte end_of_quoted(at_byte p, at_byte end)
{
    unsigned char quote = *p++;
    at_byte doubled = NULL;
    for (;;) {
        p = memchr(p, quote, (size_t)(end - p));
        if (!p)
            return doubled;
        p++;
        if (p == end || *p != quote)
            return p;
        doubled = p++;
    }
}

static at_byte end_of_operator(at_byte p, at_byte end)
{
    static const char two[][3] = {"||", "<<", ">>", "<=", ">=", "<>", "!=", "==", "->"};
    if (end - p >= 3 && memcmp(p, "->>", 3) == 0)
        return p + 3;
    for (size_t i = 0; end - p >= 2 && i < sizeof two / sizeof *two; i++)
        if (memcmp(p, two[i], 2) == 0)
            return p + 2;
    return p + 1;
}

/* "?" that is no "?1". */
static bool is_bare(at_byte p, at_byte end)
{
    return p < end && *p == '?' && !(end - p >= 2 && is_digit(p[1]));
}

/* Bare parameters with commas between, the first at p. *n: how many. */
static at_byte end_of_parameters(at_byte p, at_byte end, size_t *n)
{
    *n = 0;
    for (at_byte next = p; is_bare(next, end); next = end_of_blank(next + 1, end)) {
        ++*n;
        p = next + 1;
        next = end_of_blank(p, end);
        if (next == end || *next != ',')
            break;
    }
    return p;
}

/* (?, ?) of any number of parameters; NULL: something else. */
static at_byte end_of_row(at_byte p, at_byte end)
{
    size_t n;
    p = end_of_parameters(end_of_blank(p + 1, end), end, &n);
    p = end_of_blank(p, end);
    return n > 0 && p < end && *p == ')' ? p + 1 : NULL;
}

/* A list that begins at p; NULL: none, or one of too few. */
static at_byte end_of_list(at_byte p, at_byte end)
{
    size_t n = 0;
    at_byte found;
    if (*p == '?') {
        found = end_of_parameters(p, end, &n);
    } else {
        found = NULL;
        for (at_byte next = p; next < end && *next == '('; next = end_of_blank(next + 1, end)) {
            at_byte row = end_of_row(next, end);
            if (!row)
                break;
            n++;
            found = row;
            next = end_of_blank(row, end);
            if (next == end || *next != ',')
                break;
        }
    }
    return n >= SQL_LIST_LEAST ? found : NULL;
}

at_byte sql_token_end(at_byte p, at_byte end, uint8_t *kind)
{
    at_byte found = NULL;
    switch (*p) {
    case '\'':
    case '"':
    case '`':
    case '[':
        *kind = *p == '\'' ? SQL_STRING : SQL_QUOTED;
        if (*p == '[') {
            found = memchr(p, ']', (size_t)(end - p));
            found = found ? found + 1 : NULL;
        } else {
            found = end_of_quoted(p, end);
        }
        if (!found) {
            *kind = SQL_BAD;
            found = end;
        }
        return found;
    case '(':
        *kind = SQL_LIST;
        found = end_of_list(p, end);
        if (found)
            return found;
        break;
    case '?':
        *kind = SQL_LIST;
        found = end_of_list(p, end);
        if (found)
            return found;
        *kind = SQL_VARIABLE;
        for (p++; p < end && is_digit(*p); p++)
            ;
        return p;
    case ':':
    case '@':
    case '#':
    case '$':
        *kind = SQL_VARIABLE;
        found = end_of_word(p + 1, end);
        if (found > p + 1)
            return found;
        break;
    case 'x':
    case 'X':
        *kind = SQL_BLOB;
        if (end - p >= 2 && p[1] == '\'')
            found = memchr(p + 2, '\'', (size_t)(end - p - 2));
        if (found)
            return found + 1;
        break;
    default:
        break;
    }
    if (is_letter(*p)) {
        *kind = SQL_WORD;
        return end_of_word(p, end);
    }
    if (is_digit(*p) || (*p == '.' && end - p >= 2 && is_digit(p[1]))) {
        *kind = SQL_NUMBER;
        return end_of_number(p, end);
    }
    *kind = SQL_OPERATOR;
    return end_of_operator(p, end);
}

/* How many bytes of p .. end begin no code point. */
static size_t continuations(at_byte p, at_byte end)
{
    size_t n = 0;
    for (; p < end; p++)
        n += (*p & 0xc0) == 0x80;
    return n;
}

static bool is_schema_name(at_byte p, at_byte behind, uint8_t kind)
{
    static const char begins[][8] = {"sqlite_", "pragma_"};
    if (kind == SQL_QUOTED || kind == SQL_STRING)
        p++;
    if (behind - p < 7 || p[6] != '_')
        return false;
    for (size_t i = 0; i < sizeof begins / sizeof *begins; i++) {
        size_t same = 0;
        while (same < 6 && (p[same] | 0x20) == begins[i][same])
            same++;
        if (same == 6)
            return true;
    }
    return false;
}

static bool is_history_name(at_byte p, at_byte behind)
{
    static const char ends[] = " history";
    const size_t n = sizeof ends - 1;
    size_t same = 0;
    if ((size_t)(behind - p) < n + 3)
        return false;
    while (same < n && (behind[-1 - (int)n + (int)same] | 0x20) == ends[same])
        same++;
    return same == n;
}

static uint8_t sign_code(at_byte p, size_t size)
{
    if (size == 1)
        return *p < SQL_W_SCHEMA ? *p : SQL_W_NONE;
    if (size == 2 && p[1] == '=')
        return *p == '<' ? SQL_W_AT_MOST : *p == '>' ? SQL_W_AT_LEAST : *p == '=' ? '=' : SQL_W_NONE;
    return SQL_W_NONE;
}

uint8_t sql_token_code(at_byte p, at_byte behind, uint8_t kind)
{
    uint8_t found = SQL_W_NONE;
    if (kind == SQL_OPERATOR)
        return sign_code(p, (size_t)(behind - p));
    if (kind == SQL_WORD)
        found = sql_word((const char *)p, (size_t)(behind - p));
    if (found == SQL_W_NONE && (kind == SQL_WORD || kind == SQL_QUOTED || kind == SQL_STRING)
        && is_schema_name(p, behind, kind))
        found = SQL_W_SCHEMA;
    if (kind == SQL_QUOTED && is_history_name(p, behind))
        found = SQL_W_HISTORY;
    return found;
}

/* A token among the words. -> where the next one goes. */
static char *put_word(char *to, at_byte p, at_byte behind, uint8_t kind)
{
    if (kind == SQL_WORD || kind == SQL_OPERATOR)
        for (; p < behind; p++)
            *to++ = (char)(*p >= 'a' && *p <= 'z' ? *p - 0x20 : *p);
    *to++ = '\n';
    return to;
}

size_t sql_tokens(const char *sql, size_t size, int32_t *starts, int32_t *ends, uint8_t *kinds, uint8_t *codes, char *words,
                  size_t *words_size)
{
    char *word = words;
    at_byte start = (at_byte)sql, end = start + size, p = start, counted = start;
    size_t skipped = 0, n = 0;
    while ((p = sql_space_end(p, end)) < end) {
        at_byte behind = sql_token_end(p, end, &kinds[n]);
        skipped += continuations(counted, p);
        starts[n] = (int32_t)((size_t)(p - start) - skipped);
        skipped += continuations(p, behind);
        ends[n] = (int32_t)((size_t)(behind - start) - skipped);
        counted = behind;
        word = put_word(word, p, behind, kinds[n]);
        codes[n] = sql_token_code(p, behind, kinds[n]);
        p = behind;
        n++;
    }
    *words_size = n ? (size_t)(word - words - 1) : 0;
    return n;
}
