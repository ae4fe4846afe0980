/* A statement's tokens, and its shape: what kind it is and where its parts begin, as far as can be told without a grammar.
 * Never fails; what is not understood has the shape SQL_OTHER. */
#ifndef EDB_SQLSTATEMENT_H
#define EDB_SQLSTATEMENT_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
/* The deciding keyword, behind WITH if there is one. */
enum {
    SQL_NOTHING,        /* white space, comments and semicolons */
    SQL_SELECT, SQL_VALUES, SQL_EXPLAIN, SQL_INSERT, SQL_REPLACE, SQL_UPDATE, SQL_DELETE,
    SQL_OTHER,          /* whatever else */
};

enum {
    SQL_SEVERAL = 1,            /* there is more behind a semicolon, and it is no trigger's body */
    SQL_ROW_IN = 2,             /* a row value, or a subquery of several columns, is on the left of an IN */
    SQL_ASKS_SCHEMA = 4,        /* a name begins with sqlite_ or pragma_ */
    SQL_DEFAULT_VALUES = 8,     /* INSERT ... DEFAULT VALUES */
    SQL_PLAIN_VALUES = 16,      /* INSERT whose rows come from VALUES without a subquery, or from DEFAULT VALUES */
    SQL_OF_COMMIT = 32,         /* the first column of a SELECT is called ENTITYDB_LABEL or ENTITYDB_TRANSACTION_INFO */
    SQL_PLAIN_LIST = 64,        /* the column list is words with commas between, and maybe comments */
    SQL_BOUND_BY_COLUMN = 128,  /* <, <=, >, >= or BETWEEN may compare a column with something that has an affinity */
    SQL_NAMES_MOMENT = 256,     /* SYSTEM_TIME, a name that ends in " history", or arguments of what is read in FROM */
    /* What the driver's rewrites look for; a text without it is none of theirs. */
    SQL_MAY_SHORTEN = 512,      /* COUNT or MIN behind SELECT, or anywhere behind EXPLAIN */
    SQL_MAY_CHAIN = 1024,       /* = may compare one name with two others, and there are three tables or more in FROM */
    SQL_ORDERS_OTHERWISE = 2048,        /* ORDER, and NULLS or COLLATE */
    SQL_UPDATES_FROM = 4096,    /* UPDATE, and FROM */
    SQL_HAS_TERMS = 8192,       /* WHERE, ON, ORDER or GROUP */
    SQL_MAY_FIND_ONE = 16384,   /* ORDER, two tables or more in FROM, and as many equalities of names, one with a constant */
    SQL_EQUAL_BY_COLUMN = 32768,    /* =, IS or IN may compare a column with something that has an affinity */
    SQL_LISTS_QUERY = 65536,    /* IN (SELECT, without NOT */
    SQL_BOUNDS_ROW = 131072,    /* a row value, <, <=, > or >=, and one whose first value is a literal */
    SQL_IS_COLUMN = 262144,     /* IS between two names */
    SQL_SETS_ROWS = 524288,     /* UPDATE without OR, FROM, RETURNING, a query, and =, IN or IS in its WHERE */
    SQL_LIMITS_JOIN = 1048576,  /* ORDER, LIMIT, and two tables or more in FROM */
};

/* Parts are indices of tokens; -1: there is none. */
typedef struct {
    int32_t tokens, words;      /* how many tokens, and how many bytes of words */
    int32_t kind, flags;
    int32_t verb;               /* the deciding keyword's token; the number of tokens if there is none */
    /* Of INSERT, REPLACE, UPDATE and DELETE: */
    int32_t conflict;           /* what stands behind OR */
    int32_t schema, table, alias;   /* of the table that is written to */
    int32_t table_start, table_end; /* offsets of its name; 0 if there is none */
    int32_t columns, columns_end;   /* within the parentheses of an INSERT's column list; the end is excluded */
    int32_t list_start, list_end;   /* their offsets; 0 if they are none */
    int32_t list_behind;        /* the token behind which an INSERT without column list would have it */
    int32_t set;                /* SET of an UPDATE */
    int32_t on_conflict;        /* ON of the first ON CONFLICT (...) DO */
    int32_t returning;
} sql_shape;

/* Writes to room, which has sizeof(sql_shape) + 16 * size bytes, the shape of `size` bytes of UTF-8 and the tokens, one
 * property an array with an entry a token:
 *
 *   int32_t partners    of "(" and ")" the index of the token that closes or opens it; -1: none does, or no such
 *   int32_t starts      offset of the first code point
 *   int32_t ends        offset behind the last one
 *   uint8_t kinds       SQL_..., see sqltokens.h
 *   uint8_t codes       SQL_W_..., see sqlwords.h
 *   char words          of each WORD and OPERATOR the text with its ASCII letters in upper case, of others nothing, with
 *                       '\n' between tokens
 *
 * -> how many bytes. */
size_t sql_read(const char *sql, size_t size, int32_t *room);

/* The shape and the partners of n tokens that are known, likewise. */
void sql_read_tokens(const uint8_t *kinds, const uint8_t *codes, const int32_t *starts, const int32_t *ends, size_t n,
                     const char *words, size_t words_size, int32_t *room);
/* cffi: end */

/* The arrays behind a shape, one entry a token. */
typedef struct {
    const int32_t *tka_starts, *tka_ends;
    const uint8_t *tka_kinds;
} sql_token_arrays;

static inline sql_token_arrays sql_tokens_of(const sql_shape *shape)
{
    const int32_t *starts = (const int32_t *)(shape + 1) + shape->tokens;

    return (sql_token_arrays){ starts, starts + shape->tokens, (const uint8_t *)(starts + 2 * shape->tokens) };
}

#endif
