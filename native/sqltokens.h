/* SQL as tokens, by SQLite's lexical rules. Knows no grammar and never fails: what SQLite would reject becomes a token of
 * kind SQL_BAD or a sign by itself. White space and comments make no tokens.
 *
 * A long row of bare parameters is one token, SQL_LIST: "?, ?, ?" of at least SQL_LIST_LEAST parameters, or
 * "(?, ?), (?, ?)" of at least as many rows. So a statement of a thousand parameters has as few tokens as one of three. */
#ifndef EDB_SQLTOKENS_H
#define EDB_SQLTOKENS_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
enum {
    SQL_WORD,           /* a bare identifier or keyword */
    SQL_OPERATOR,       /* one or more signs */
    SQL_QUOTED,         /* "x", [x], `x` */
    SQL_STRING,         /* 'x' */
    SQL_NUMBER,
    SQL_BLOB,           /* x'00' */
    SQL_VARIABLE,       /* ?, ?1, :a, @a, $a, #a */
    SQL_LIST,           /* many bare ? with commas between, or many rows of them */
    SQL_BAD,            /* a quote that is not closed, and all behind it */
};
/* cffi: end */

/* Writes the tokens of `size` bytes of UTF-8, one property an array with room for `size` entries; see sqlstatement.h.
 * words has room for 2 * size bytes; *words_size: how many it has. -> how many tokens. */
size_t sql_tokens(const char *sql, size_t size, int32_t *starts, int32_t *ends, uint8_t *kinds, uint8_t *codes, char *words,
                  size_t *words_size);

/* One token at a time. sql_space_end(): where white space and comments end; sql_token_end(): where the token that begins
 * there ends. sql_token_code(): its number, see sqlwords.h. */
const unsigned char *sql_space_end(const unsigned char *at, const unsigned char *end);
const unsigned char *sql_token_end(const unsigned char *at, const unsigned char *end, uint8_t *kind);
uint8_t sql_token_code(const unsigned char *at, const unsigned char *behind, uint8_t kind);

enum { SQL_LIST_LEAST = 8 };

#endif
