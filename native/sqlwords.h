/* Words and signs of SQL as numbers, for whoever looks at the structure of a statement. */
#ifndef EDB_SQLWORDS_H
#define EDB_SQLWORDS_H

#include <stddef.h>
#include <stdint.h>

/* A sign by itself has its ASCII code, and == that of =; what is no word of these, no such sign and no sign by itself has
 * SQL_W_NONE. */
enum {
    SQL_W_NONE = 0,
    SQL_W_SCHEMA = 0x80,    /* a name, quoted or not, that begins with sqlite_ or pragma_ */
    SQL_W_HISTORY,          /* a quoted name that ends in " history" */
    SQL_W_COUNT, SQL_W_MIN,                 /* names of functions, which tables may have too */
    SQL_W_AT_MOST, SQL_W_AT_LEAST,          /* <= and >= */
    SQL_W_AS, SQL_W_BEGIN, SQL_W_CAST, SQL_W_COLLATE, SQL_W_CONFLICT, SQL_W_CREATE, SQL_W_DEFAULT, SQL_W_DELETE, SQL_W_DO, SQL_W_END,
    SQL_W_ENTITYDB_LABEL, SQL_W_ENTITYDB_TRANSACTION_INFO, SQL_W_EXPLAIN, SQL_W_GROUP, SQL_W_INSERT, SQL_W_INTO, SQL_W_JOIN,
    SQL_W_MATERIALIZED, SQL_W_NULL, SQL_W_NULLS, SQL_W_ORDER, SQL_W_RECURSIVE, SQL_W_REPLACE, SQL_W_SET, SQL_W_SYSTEM_TIME, SQL_W_TRIGGER, SQL_W_UPDATE,
    SQL_W_VALUES, SQL_W_WITH,
    /* An expression can follow these; behind any other word a parenthesis holds a function's arguments. */
    SQL_W_ALL, SQL_W_AND, SQL_W_BETWEEN, SQL_W_BY, SQL_W_CASE, SQL_W_DISTINCT, SQL_W_ELSE, SQL_W_ESCAPE, SQL_W_FROM,
    SQL_W_GLOB, SQL_W_HAVING, SQL_W_IN, SQL_W_IS, SQL_W_LIKE, SQL_W_LIMIT, SQL_W_MATCH, SQL_W_NOT, SQL_W_OFFSET,
    SQL_W_ON, SQL_W_OR, SQL_W_REGEXP, SQL_W_RETURNING, SQL_W_SELECT, SQL_W_THEN, SQL_W_WHEN, SQL_W_WHERE,
};

enum { SQL_W_BEFORE_EXPRESSION = SQL_W_ALL };

/* The number of a word of n bytes, in any case. */
uint8_t sql_word(const char *text, size_t n);

#endif
