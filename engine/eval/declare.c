/* The declaration of a table to SQLite (declare.h). */
#include "engine/eval/declare.h"

#include <string.h>

const char *collation_name(int collation)
{
    static const char *const names[] = {"BINARY", "NOCASE", "RTRIM"};
    return names[collation];
}

/* SQLite's rule (documentation "Datatypes", 3.1): by substrings, the first that matches. */
static int type_affinity(const char *type)
{
    static const struct { const char *part; int affinity; } rules[] = {
        {"int", AFFINITY_INTEGER}, {"char", AFFINITY_TEXT}, {"clob", AFFINITY_TEXT}, {"text", AFFINITY_TEXT},
        {"blob", AFFINITY_BLOB}, {"real", AFFINITY_REAL}, {"floa", AFFINITY_REAL}, {"doub", AFFINITY_REAL},
    };
    if (!*type)
        return AFFINITY_BLOB;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        for (const char *at = type; *at; at++)
            if (sqlite3_strnicmp(at, rules[i].part, (int)strlen(rules[i].part)) == 0)
                return rules[i].affinity;
    return AFFINITY_NUMERIC;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Words that end a type, or that make a column of a virtual table hidden. */
static bool word_is_reserved(const char *word, size_t size)
{
    static const char *const reserved[] = {
        "always", "as", "check", "collate", "constraint", "default", "generated", "hidden", "not", "null", "primary",
        "references", "unique",
    };
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (strlen(reserved[i]) == size && sqlite3_strnicmp(word, reserved[i], (int)size) == 0)
            return true;
    return sqlite3_keyword_check(word, (int)size);
}

/* Words, then perhaps one or two numbers in parentheses: "VARCHAR(20)", "DOUBLE PRECISION", "DECIMAL(10, 2)". */
static bool type_is_plain(const char *type)
{
    const char *at = type;
    while (*at == ' ' || is_word(*at)) {
        const char *word = at;
        while (is_word(*at))
            at++;
        if (at > word && ((*word >= '0' && *word <= '9') || word_is_reserved(word, (size_t)(at - word))))
            return false;
        while (*at == ' ')
            at++;
    }
    if (*at == '(') {
        for (int numbers = 0; numbers < 2; numbers++) {
            do
                at++;
            while (*at == ' ');
            if (*at < '0' || *at > '9')
                return false;
            while (*at >= '0' && *at <= '9')
                at++;
            while (*at == ' ')
                at++;
            if (*at != ',')
                break;
        }
        if (*at++ != ')')
            return false;
    }
    return !*at;
}

static const char *declared_type(const edb_column *column)
{
    static const char *const names[] = {"BLOB", "TEXT", "NUMERIC", "INTEGER", "REAL"};
    /* Beside HIDDEN a type has to be there, or SQLite would derive the affinity from that word. */
    if (!column->hidden && type_affinity(column->type) == column->affinity && type_is_plain(column->type))
        return column->type;
    return names[column->affinity - AFFINITY_BLOB];
}

int declare_table(sqlite3 *db, const edb_table *table)
{
    sqlite3_str *sql = sqlite3_str_new(db);
    sqlite3_str_appendall(sql, "CREATE TABLE x(");
    for (uint32_t i = 0; i < table->et_n_columns; i++) {
        const edb_column *column = &table->et_columns[i];
        sqlite3_str_appendf(sql, "%s\"%w\" %s%s COLLATE %s", i ? ", " : "", column->name, declared_type(column),
                            column->hidden ? " HIDDEN" : "", collation_name(column->collation));
    }
    sqlite3_str_appendall(sql, ", \"" COLUMN_RETURNED "\" HIDDEN");
    if (table->et_has_partial)
        sqlite3_str_appendall(sql, ", \"" COLUMN_PARTIAL "\" HIDDEN");
    sqlite3_str_appendall(sql, ")");
    char *text = sqlite3_str_finish(sql);
    int rc = text ? sqlite3_declare_vtab(db, text) : SQLITE_NOMEM;
    sqlite3_free(text);
    return rc;
}
