/* Partial indexes in plans (partial_plan.h). */
#include "engine/vtab/partial_plan.h"

#include <string.h>

#include "engine/eval/declare.h"

/* ---- what the driver says ------------------------------------------------------------------------------------- */

int partial_column(const edb_table *table)
{
    return table->et_has_partial ? (int)table->et_n_columns + 1 : -1;
}

/* The tree that a constraint on the hidden column names; 0: none. */
static uint32_t tree_named(const edb_table *table, sqlite3_index_info *info, int i, int op)
{
    sqlite3_value *value = NULL;
    if (info->aConstraint[i].iColumn != partial_column(table) || info->aConstraint[i].op != op
        || !info->aConstraint[i].usable || sqlite3_vtab_rhs_value(info, i, &value) || !value
        || sqlite3_value_type(value) != SQLITE_INTEGER)
        return 0;
    sqlite3_int64 tree = sqlite3_value_int64(value);
    return tree > 0 && tree <= UINT32_MAX ? (uint32_t)tree : 0;
}

bool partial_told(const edb_table *table, sqlite3_index_info *info, int i)
{
    return table->et_has_partial && tree_named(table, info, i, SQLITE_INDEX_CONSTRAINT_ISNOT);
}

int partial_asked(const edb_table *table, sqlite3_index_info *info, bool *asked, int *constraint,
                  const edb_index **index)
{
    *asked = false;
    for (int i = 0; table->et_has_partial && i < info->nConstraint; i++) {
        if (info->aConstraint[i].iColumn != partial_column(table)
            || info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_EQ)
            continue;
        uint32_t tree = tree_named(table, info, i, SQLITE_INDEX_CONSTRAINT_EQ);
        *asked = true;
        *constraint = i;
        *index = tree ? table_index(table, tree) : NULL;
        if (!*index || !(*index)->where)
            return edb_fail(EDB_MISUSE, "table %s has no such partial index", table->et_name);
        break;
    }
    return EDB_OK;
}

/* ---- what constraints prove ----------------------------------------------------------------------------------- */

/* Terms of the form `column op constant`, joined by AND, in any parentheses; nothing else is understood.
 *
 * A comparison with a constant is proved by the query's own with the same constant: the same column, operator and
 * collation, and a constant that both sides read alike. That leaves out numbers beside columns of no numeric affinity,
 * because a query might have written CAST('5' AS INTEGER), which looks like 5 here and compares otherwise. */
typedef struct {
    const edb_table *pf_table;
    sqlite3_index_info *pf_info;
    uint64_t pf_unsure, pf_evidence;        /* constraints not to be used; used */
    const char *pf_at;
} proof;

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$'
           || (unsigned char)c >= 0x80;
}

static void skip_space(proof *pf)
{
    while (*pf->pf_at == ' ' || (*pf->pf_at >= '\t' && *pf->pf_at <= '\r'))
        pf->pf_at++;
}

static bool take_word(proof *pf, const char *word)
{
    size_t size = strlen(word);
    skip_space(pf);
    if (sqlite3_strnicmp(pf->pf_at, word, (int)size) != 0 || is_word(pf->pf_at[size]))
        return false;
    pf->pf_at += size;
    return true;
}

static bool take_sign(proof *pf, const char *sign)
{
    size_t size = strlen(sign);
    skip_space(pf);
    if (strncmp(pf->pf_at, sign, size) != 0)
        return false;
    pf->pf_at += size;
    return true;
}

/* A bare or quoted name as it is meant; false: there is none, or it is longer than `room`. */
static bool take_name(proof *pf, char *name, size_t room)
{
    size_t size = 0;
    skip_space(pf);
    char first = *pf->pf_at, close = first == '[' ? ']' : first;
    if (first == '"' || first == '`' || first == '[') {
        for (pf->pf_at++; *pf->pf_at; pf->pf_at++) {
            if (*pf->pf_at == close && (close == ']' || pf->pf_at[1] != close))
                break;
            pf->pf_at += *pf->pf_at == close;
            if (size + 1 == room)
                return false;
            name[size++] = *pf->pf_at;
        }
        if (!*pf->pf_at++)
            return false;
    } else {
        if (!is_word(first) || (first >= '0' && first <= '9'))
            return false;
        for (; is_word(*pf->pf_at); pf->pf_at++) {
            if (size + 1 == room)
                return false;
            name[size++] = *pf->pf_at;
        }
    }
    name[size] = 0;
    return true;
}

/* [table.]column -> its position, -1: it is something else. */
static int take_column(proof *pf)
{
    char name[256];
    if (!take_name(pf, name, sizeof name))
        return -1;
    if (take_sign(pf, ".") && (sqlite3_stricmp(name, pf->pf_table->et_name) || !take_name(pf, name, sizeof name)))
        return -1;
    for (uint32_t i = 0; i < pf->pf_table->et_n_columns; i++)
        if (sqlite3_stricmp(pf->pf_table->et_columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

typedef struct {                    /* a constant; text with its quotes doubled as written */
    bool ct_is_text;
    int64_t ct_integer;
    const char *ct_text;
    size_t ct_size;
} constant;

static bool take_constant(proof *pf, constant *out)
{
    skip_space(pf);
    out->ct_is_text = *pf->pf_at == '\'';
    if (out->ct_is_text) {
        out->ct_text = ++pf->pf_at;
        while (*pf->pf_at && (*pf->pf_at != '\'' || pf->pf_at[1] == '\''))
            pf->pf_at += *pf->pf_at == '\'' ? 2 : 1;
        out->ct_size = (size_t)(pf->pf_at - out->ct_text);
        return *pf->pf_at && pf->pf_at++;
    }
    bool negative = take_sign(pf, "-");
    skip_space(pf);
    const char *first = pf->pf_at;
    for (out->ct_integer = 0; *pf->pf_at >= '0' && *pf->pf_at <= '9' && pf->pf_at - first < 18; pf->pf_at++)
        out->ct_integer = 10 * out->ct_integer + (*pf->pf_at - '0');
    out->ct_integer = negative ? -out->ct_integer : out->ct_integer;
    return pf->pf_at > first && !is_word(*pf->pf_at) && *pf->pf_at != '.';
}

static bool text_is(const constant *ct, const unsigned char *text, size_t size)
{
    size_t at = 0;
    for (size_t i = 0; i < ct->ct_size; i++, at++) {
        if (at == size || text[at] != (unsigned char)ct->ct_text[i])
            return false;
        i += ct->ct_text[i] == '\'';
    }
    return at == size;
}

/* Whether constraint i compares with the constant just as the index's WHERE does. */
static bool same_constant(const proof *pf, int i, const constant *ct)
{
    const edb_column *column = &pf->pf_table->et_columns[pf->pf_info->aConstraint[i].iColumn];
    sqlite3_value *value = NULL;
    if (sqlite3_vtab_rhs_value(pf->pf_info, i, &value) || !value)
        return false;
    if (sqlite3_stricmp(sqlite3_vtab_collation(pf->pf_info, i), collation_name(column->collation)) != 0)
        return false;
    if (ct->ct_is_text)
        return sqlite3_value_type(value) == SQLITE_TEXT
               && text_is(ct, sqlite3_value_text(value), (size_t)sqlite3_value_bytes(value));
    return column->affinity >= AFFINITY_NUMERIC && sqlite3_value_type(value) == SQLITE_INTEGER
           && sqlite3_value_int64(value) == ct->ct_integer;
}

enum { ASKS_NOT_NULL = -1, ASKS_NULL = -2 };        /* else an operator of best-index */

static bool is_constraint(const proof *pf, int i, int column)
{
    int about = pf->pf_info->aConstraint[i].iColumn;
    if (!pf->pf_info->aConstraint[i].usable)
        return false;
    return about == column || (about < 0 && column == pf->pf_table->et_rowid_column);
}

static bool implies(const proof *pf, int i, int op, const constant *ct)
{
    int given = pf->pf_info->aConstraint[i].op;
    if (op == ASKS_NOT_NULL)
        return refuses_null(given);
    if (op == ASKS_NULL)
        return given == SQLITE_INDEX_CONSTRAINT_ISNULL;
    /* `=` and IS say the same of a constant that is not NULL. */
    if (given == SQLITE_INDEX_CONSTRAINT_IS)
        given = SQLITE_INDEX_CONSTRAINT_EQ;
    return given == op && pf->pf_info->aConstraint[i].iColumn >= 0 && same_constant(pf, i, ct);
}

/* Whether a constraint of the query implies `column op constant`. */
static bool proved(proof *pf, int column, int op, const constant *ct)
{
    for (int i = 0; i < pf->pf_info->nConstraint && i < 64; i++) {
        uint64_t bit = UINT64_C(1) << i;
        if (pf->pf_unsure & bit || !is_constraint(pf, i, column) || !implies(pf, i, op, ct))
            continue;
        pf->pf_evidence |= bit;
        return true;
    }
    return false;
}

static int take_operator(proof *pf)
{
    static const struct { const char *sign; int op; } signs[] = {
        {"==", SQLITE_INDEX_CONSTRAINT_EQ}, {"=", SQLITE_INDEX_CONSTRAINT_EQ}, {"<>", SQLITE_INDEX_CONSTRAINT_NE},
        {"!=", SQLITE_INDEX_CONSTRAINT_NE}, {"<=", SQLITE_INDEX_CONSTRAINT_LE}, {">=", SQLITE_INDEX_CONSTRAINT_GE},
        {"<", SQLITE_INDEX_CONSTRAINT_LT}, {">", SQLITE_INDEX_CONSTRAINT_GT},
    };
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (take_sign(pf, signs[i].sign))
            return signs[i].op;
    if (take_word(pf, "NOTNULL") || (take_word(pf, "NOT") && take_word(pf, "NULL")))
        return ASKS_NOT_NULL;
    if (take_word(pf, "ISNULL"))
        return ASKS_NULL;
    if (!take_word(pf, "IS"))
        return 0;
    if (take_word(pf, "NULL"))
        return ASKS_NULL;
    if (!take_word(pf, "NOT"))
        return SQLITE_INDEX_CONSTRAINT_EQ;
    return take_word(pf, "NULL") ? ASKS_NOT_NULL : 0;
}

static bool prove_terms(proof *pf, int depth);

static bool prove_term(proof *pf, int depth)
{
    constant ct = {.ct_is_text = false};
    if (take_sign(pf, "("))
        return depth < 20 && prove_terms(pf, depth + 1) && take_sign(pf, ")");
    int column = take_column(pf);
    int op = column < 0 ? 0 : take_operator(pf);
    if (!op || (op > 0 && !take_constant(pf, &ct)))
        return false;
    return proved(pf, column, op, &ct);
}

static bool prove_terms(proof *pf, int depth)
{
    do
        if (!prove_term(pf, depth))
            return false;
    while (take_word(pf, "AND"));
    return true;
}

bool partial_allowed(const edb_table *table, const edb_index *index, sqlite3_index_info *info, uint64_t unsure,
                     uint64_t *evidence)
{
    proof pf = {.pf_table = table, .pf_info = info, .pf_unsure = unsure, .pf_at = index->where};
    *evidence = 0;
    for (int i = 0; i < info->nConstraint; i++)
        if (tree_named(table, info, i, SQLITE_INDEX_CONSTRAINT_ISNOT) == index->tree)
            return true;
    bool all = prove_terms(&pf, 0);
    skip_space(&pf);
    *evidence = pf.pf_evidence;
    return all && !*pf.pf_at;
}
