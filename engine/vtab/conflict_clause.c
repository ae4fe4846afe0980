#include "engine/vtab/conflict_clause.h"

#include <stdlib.h>
#include <string.h>

#include "engine/codes.h"
#include "engine/eval/rowexpr.h"

#define KEPT_MOST 16

static int no_memory(void)
{
    return edb_fail(EDB_NOMEM, "no memory for ON CONFLICT");
}

void conflict_clause_unref(conflict_clause *cl)
{
    if (!cl || --cl->ccl_refs)
        return;
    for (int i = 0; i < CLAUSE_TEXTS; i++)
        free(cl->ccl_texts[i]);
    free(cl->ccl_trees);
    free(cl->ccl_sets);
    free(cl);
}

void conflict_clauses_forget(conflict_clause **kept)
{
    while (*kept) {
        conflict_clause *next = (*kept)->ccl_next;
        conflict_clause_unref(*kept);
        *kept = next;
    }
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static int read_numbers(const char *at, uint32_t **out, uint32_t *n)
{
    size_t room = 1;
    for (const char *c = at; c && *c; c++)
        room += *c == ',';
    *out = calloc(room, sizeof **out);
    if (!*out)
        return no_memory();
    for (*n = 0; at && *at; at += *at == ',') {
        char *end;
        (*out)[(*n)++] = (uint32_t)strtoul(at, &end, 10);
        if (end == at || (*end && *end != ','))
            return edb_fail(EDB_MISUSE, "entitydb_on_conflict: '%s' is no list of numbers", at);
        at = end;
    }
    return EDB_OK;
}

/* Each expression stands in a SELECT over the row; is there a SELECT more? A string or name with the word in it counts
 * too, which costs time only. */
static bool has_subquery(const char *text)
{
    size_t selects = 0, rows = 0;
    for (const char *at = text; at && *at; at++) {
        selects += !sqlite3_strnicmp(at, "select", 6) || !sqlite3_strnicmp(at, "values", 6);
        rows += !strncmp(at, ROWEXPR_ROW, strlen(ROWEXPR_ROW));
    }
    return selects > rows;
}

static int read_clause(conflict_clause *cl, sqlite3_value **values)
{
    for (int i = 0; i < CLAUSE_TEXTS; i++) {
        const char *text = (const char *)sqlite3_value_text(values[i]);
        if (text && !(cl->ccl_texts[i] = strdup(text)))
            return no_memory();
        cl->ccl_sizes[i] = text ? strlen(text) : 0;
    }
    cl->ccl_any = !cl->ccl_texts[CLAUSE_CONSTRAINTS];
    cl->ccl_updates = cl->ccl_texts[CLAUSE_COLUMNS];
    cl->ccl_asks = has_subquery(cl->ccl_texts[CLAUSE_LIST]) || has_subquery(cl->ccl_texts[CLAUSE_TAIL]);
    int rc = read_numbers(cl->ccl_texts[CLAUSE_CONSTRAINTS], &cl->ccl_trees, &cl->ccl_n_trees);
    return rc ? rc : read_numbers(cl->ccl_texts[CLAUSE_COLUMNS], &cl->ccl_sets, &cl->ccl_n_sets);
}

/* ---- finding --------------------------------------------------------------------------------------------------- */

/* The bytes of a text are compared as a blob: as a text SQLite would copy it, to end it with a NUL. */
static bool says(const conflict_clause *cl, sqlite3_value **values)
{
    for (int i = 0; i < CLAUSE_TEXTS; i++) {
        const char *mine = cl->ccl_texts[i];
        if (!mine != (sqlite3_value_type(values[i]) == SQLITE_NULL))
            return false;
        size_t size = cl->ccl_sizes[i];
        if (mine && (size != (size_t)sqlite3_value_bytes(values[i])
                     || (size && memcmp(sqlite3_value_blob(values[i]), mine, size))))
            return false;
    }
    return true;
}

static void put_first(conflict_clause **kept, conflict_clause *cl)
{
    cl->ccl_next = *kept;
    *kept = cl;
}

/* -> the one that says the values, now the first; NULL: none is kept */
static conflict_clause *find_kept(conflict_clause **kept, sqlite3_value **values)
{
    for (conflict_clause **at = kept, *cl; (cl = *at); at = &cl->ccl_next)
        if (says(cl, values)) {
            *at = cl->ccl_next;
            put_first(kept, cl);
            return cl;
        }
    return NULL;
}

static void forget_oldest(conflict_clause **kept)
{
    for (int i = 0; *kept && i < KEPT_MOST; i++)
        kept = &(*kept)->ccl_next;
    conflict_clauses_forget(kept);
}

static int make(sqlite3_value **values, conflict_clause **out)
{
    conflict_clause *cl = calloc(1, sizeof *cl);
    if (!cl)
        return no_memory();
    cl->ccl_refs = 1;
    int rc = read_clause(cl, values);
    if (rc)
        conflict_clause_unref(cl);
    else
        *out = cl;
    return rc;
}

conflict_clause *conflict_clause_ref(conflict_clause *cl)
{
    cl->ccl_refs++;
    return cl;
}

int conflict_clause_find(conflict_clause **kept, sqlite3_value **values, conflict_clause **out)
{
    conflict_clause *cl = find_kept(kept, values);
    if (!cl) {
        int rc = make(values, &cl);
        if (rc)
            return rc;
        put_first(kept, cl);
        forget_oldest(kept);
    }
    *out = conflict_clause_ref(cl);
    return EDB_OK;
}
