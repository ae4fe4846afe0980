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

/* Writes the tokens of `size` bytes of UTF-8 to room, one property an array with room for `size` entries. -> how many
 * there are. room has 4 * size + 1 numbers:
 *
 *   [0]             how many bytes of words there are
 *   1               starts: offset of the first code point
 *   1 + size        ends: offset behind the last one
 *   1 + 2 * size    partners: of "(" and ")" the index of the token that closes or opens it; -1: none does, or no such
 *   1 + 3 * size    bytes: `size` of kinds (SQL_...), then the words: of each WORD and OPERATOR the text with its ASCII
 *                   letters in upper case, of others nothing, with '\n' between tokens */
size_t sql_tokens(const char *sql, size_t size, int32_t *room);
/* cffi: end */

enum { SQL_LIST_LEAST = 8 };

#endif
