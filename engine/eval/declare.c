/* The declaration of a table to SQLite (declare.h). */
#include "engine/eval/declare.h"

#include <stdlib.h>
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

/* ---- columns to sort by ---------------------------------------------------------------------------------------- */

static bool indexed(const edb_table *table, uint32_t column, int collation)
{
    for (uint32_t i = 0; i < table->et_n_indexes; i++)
        for (uint32_t k = 0; k < table->et_indexes[i].n_parts; k++) {
            const edb_index_part *part = &table->et_indexes[i].parts[k];
            if (part->column == column && (collation < 0 || part->collation == collation))
                return true;
        }
    return false;
}

static bool is_there(const edb_table *table, const order_column *oc)
{
    const edb_column *column = &table->et_columns[oc->oc_column];
    if (column->hidden || (int)oc->oc_column == table->et_rowid_column)
        return false;
    if (oc->oc_nulls_last)
        return indexed(table, oc->oc_column, -1);
    return oc->oc_collation != column->collation && indexed(table, oc->oc_column, oc->oc_collation);
}

/* From one to the next: of each column its collations, then its key. -> false: that was the last. */
static bool order_next(const edb_table *table, order_column *oc)
{
    do {
        if (oc->oc_nulls_last) {
            *oc = (order_column){.oc_column = oc->oc_column + 1};
        } else if (oc->oc_collation < COLLATE_RTRIM) {
            oc->oc_collation++;
        } else {
            oc->oc_nulls_last = true;
            oc->oc_collation = oc->oc_column < table->et_n_columns ? table->et_columns[oc->oc_column].collation : 0;
        }
    } while (oc->oc_column < table->et_n_columns && !is_there(table, oc));
    return oc->oc_column < table->et_n_columns;
}

int declared_orders(const edb_table *table, order_columns *out)
{
    static const order_column before_first = {.oc_column = UINT32_MAX, .oc_nulls_last = true};
    order_column oc = before_first;
    uint32_t n = 0;
    while (order_next(table, &oc))
        n++;
    if (table->et_n_columns + n > ORDER_ROOM)
        n = 0;
    *out = (order_columns){.or_first = (int)table->et_n_columns + 1 + table->et_has_partial, .or_n = n,
                           .or_columns = calloc(n + 1, sizeof *out->or_columns)};
    if (!out->or_columns)
        return edb_fail(EDB_NOMEM, "no memory to declare table %s", table->et_name);
    oc = before_first;
    for (uint32_t i = 0; i < n && order_next(table, &oc); i++)
        out->or_columns[i] = oc;
    return EDB_OK;
}

static void declare_orders(const order_columns *orders, sqlite3_str *sql)
{
    for (uint32_t i = 0; i < orders->or_n; i++) {
        const order_column *oc = &orders->or_columns[i];
        sqlite3_str_appendf(sql, ", \"" COLUMN_ORDER " %u %s\" BLOB HIDDEN", oc->oc_column,
                            oc->oc_nulls_last ? "NULLS" : collation_name(oc->oc_collation));
    }
}

void declare_columns(const edb_table *table, sqlite3_str *sql)
{
    for (uint32_t i = 0; i < table->et_n_columns; i++) {
        const edb_column *column = &table->et_columns[i];
        sqlite3_str_appendf(sql, "%s\"%w\" %s%s%s COLLATE %s", i ? ", " : "", column->name, declared_type(column),
                            column->hidden ? " HIDDEN" : "", (int)i == table->et_rowid_column ? " NOT NULL" : "",
                            collation_name(column->collation));
    }
}

int declare_table(sqlite3 *db, const edb_table *table, const order_columns *orders)
{
    sqlite3_str *sql = sqlite3_str_new(db);
    sqlite3_str_appendall(sql, "CREATE TABLE x(");
    declare_columns(table, sql);
    sqlite3_str_appendall(sql, ", \"" COLUMN_RETURNED "\" HIDDEN");
    if (table->et_has_partial)
        sqlite3_str_appendall(sql, ", \"" COLUMN_PARTIAL "\" HIDDEN");
    if (orders)
        declare_orders(orders, sql);
    sqlite3_str_appendall(sql, ")");
    char *text = sqlite3_str_finish(sql);
    int rc = text ? sqlite3_declare_vtab(db, text) : SQLITE_NOMEM;
    sqlite3_free(text);
    return rc;
}
