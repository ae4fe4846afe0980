#include "native/sqlwords.h"

#include <stdbool.h>

#define WORD(name) { #name, sizeof #name - 1, SQL_W_##name }

/* In alphabetical order: words of one letter stand together. */
static const struct {
    const char *text;
    uint8_t size, code;
} words[] = {
    WORD(ALL), WORD(AND), WORD(AS), WORD(BEGIN), WORD(BETWEEN), WORD(BY), WORD(CASE), WORD(CAST), WORD(COLLATE),
    WORD(CONFLICT), WORD(COUNT), WORD(CREATE), WORD(DEFAULT), WORD(DELETE), WORD(DISTINCT), WORD(DO), WORD(ELSE), WORD(END),
    WORD(ENTITYDB_LABEL), WORD(ENTITYDB_TRANSACTION_INFO), WORD(ESCAPE), WORD(EXPLAIN), WORD(FROM), WORD(GLOB), WORD(GROUP),
    WORD(HAVING), WORD(IN), WORD(INSERT), WORD(INTO), WORD(IS), WORD(JOIN), WORD(LIKE), WORD(LIMIT), WORD(MATCH),
    WORD(MATERIALIZED), WORD(MIN), WORD(NOT), WORD(NULL), WORD(NULLS), WORD(OFFSET), WORD(ON), WORD(OR), WORD(ORDER),
    WORD(RECURSIVE), WORD(REGEXP), WORD(REPLACE), WORD(RETURNING), WORD(SELECT), WORD(SET), WORD(SYSTEM_TIME), WORD(THEN),
    WORD(TRIGGER), WORD(UPDATE), WORD(VALUES), WORD(WHEN), WORD(WHERE), WORD(WITH),
};

/* upper: letters in upper case and underscores; taking bit 5 off makes the one of a letter and leaves the other. */
static bool word_same(const char *text, const char *upper, size_t n)
{
    size_t i = 0;

    while (i < n && (text[i] & 0xdf) == upper[i])
        i++;
    return i == n;
}

uint8_t sql_word(const char *text, size_t n)
{
    /* Where the words of each letter begin; filled by hand, and checked by a test. */
    static const uint8_t first[27] = {
        0, 3, 6, 12, 16, 22, 23, 25, 26, 30, 31, 31, 33, 36, 39, 43, 43, 43, 47, 50, 52, 53, 54, 57, 57, 57, 57,
    };
    unsigned letter = (unsigned)(text[0] & 0xdf) - 'A';
    if (n < 2 || letter > 25)
        return SQL_W_NONE;
    for (size_t i = first[letter]; i < first[letter + 1]; i++)
        if (words[i].size == n && word_same(text, words[i].text, n))
            return words[i].code;
    return SQL_W_NONE;
}
