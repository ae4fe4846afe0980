#include "native/sqlscript.h"

#include "native/sqltokens.h"
#include "native/sqlwords.h"

/* Whether an INSERT so far is one of constants alone. */
typedef enum { NO_INSERT, IN_HEAD, IN_VALUES } constants;

/* A statement that is being read. */
typedef struct {
    size_t tokens;
    bool creates, is_trigger;
    size_t depth;           /* BEGIN and CASE inside a trigger's body, waiting for their END */
    constants insert;
} progress;

static void follow_trigger(progress *p, uint8_t code)
{
    if (p->tokens == 0)
        p->creates = code == SQL_W_CREATE;
    if (p->creates && p->tokens < 4 && code == SQL_W_TRIGGER)
        p->is_trigger = true;
    if (!p->is_trigger)
        return;
    if (code == SQL_W_BEGIN || code == SQL_W_CASE)
        p->depth++;
    else if (code == SQL_W_END && p->depth)
        p->depth--;
}

/* In front of VALUES there are names, dots and parentheses. */
static constants in_head(const progress *p, uint8_t kind, uint8_t code)
{
    if (p->tokens == 1)
        return code == SQL_W_INTO ? IN_HEAD : NO_INSERT;
    if (code == SQL_W_VALUES)
        return IN_VALUES;
    if (kind == SQL_QUOTED || kind == SQL_STRING || code == '.' || code == '(' || code == ')' || code == ',')
        return IN_HEAD;
    return kind == SQL_WORD && (code == SQL_W_NONE || code == SQL_W_SCHEMA) ? IN_HEAD : NO_INSERT;
}

static constants in_values(uint8_t kind, uint8_t code)
{
    bool constant = kind == SQL_NUMBER || kind == SQL_STRING || kind == SQL_BLOB || code == SQL_W_NULL;
    bool sign = code == '(' || code == ')' || code == ',' || code == '-' || code == '+';
    return constant || sign ? IN_VALUES : NO_INSERT;
}

static constants follow_insert(const progress *p, uint8_t kind, uint8_t code)
{
    if (p->tokens == 0)
        return code == SQL_W_INSERT ? IN_HEAD : NO_INSERT;
    if (p->insert == IN_HEAD)
        return in_head(p, kind, code);
    return p->insert == IN_VALUES ? in_values(kind, code) : NO_INSERT;
}

bool sql_next(const char *sql, size_t size, size_t at, sql_piece *piece)
{
    const unsigned char *start = (const unsigned char *)sql, *end = start + size, *p = start + at;
    progress now = { 0 };

    *piece = (sql_piece){ 0 };
    while ((p = sql_space_end(p, end)) < end) {
        uint8_t kind;
        const unsigned char *behind = sql_token_end(p, end, &kind);
        uint8_t code = sql_token_code(p, behind, kind);
        if (code == ';' && now.depth == 0) {
            if (now.tokens)
                break;
            p = behind;
            continue;
        }
        if (now.tokens == 0)
            piece->start = (size_t)(p - start);
        follow_trigger(&now, code);
        constants insert = follow_insert(&now, kind, code);
        if (insert == IN_VALUES && now.insert == IN_HEAD)
            piece->head = (size_t)(behind - start);
        now.insert = insert;
        now.tokens++;
        piece->end = (size_t)(behind - start);
        p = behind;
    }
    piece->next = (size_t)(p - start);
    if (now.insert != IN_VALUES)
        piece->head = 0;
    return now.tokens > 0;
}
