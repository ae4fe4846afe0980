/* The module `entitydb`: CREATE VIRTUAL TABLE name USING entitydb(table id).
 *
 * The catalog is the only truth; what SQLite holds is a declaration made from it. So DROP of a declaration deletes
 * nothing, and a declaration that the catalog has moved past answers EDB_SCHEMA instead of guessing.
 *
 * Declared are names, types and collations, nothing else. NOT NULL would let SQLite fold `IS NULL` to false, and hide
 * the rows of a day when the column could be NULL. The affinity SQLite derives from the declared type has to be the
 * catalog's, since comparisons are made with it: a type that would give another, or that SQLite reads as something
 * else than a type, is declared as the plain name of the affinity. Generated columns are declared like others, since
 * SQLite has none in virtual tables; the driver keeps statements from writing to them.
 *
 * Transactions: one engine transaction serves all tables of a connection, so each call is forwarded and the engine
 * ignores repetitions. xSync prepares and may fail, with an extended result, on which SQLite rolls back; xCommit
 * publishes and cannot fail. */
#include <stdlib.h>
#include <string.h>

#include "engine/txn/moment.h"
#include "engine/table/constraints.h"

/* For some failures SQLite rolls the transaction back at once, of a statement inside another, too: a subquery of DO UPDATE
 * would end it under the write that asks. So inside a write they are plain errors; the write says what they were. */
static int result_inside(int result)
{
    switch (result & 0xff) {
    case SQLITE_NOMEM:
    case SQLITE_IOERR:
    case SQLITE_FULL:
    case SQLITE_INTERRUPT:
        return SQLITE_ERROR;
    default:
        return result;
    }
}

int vtab_result(sqlite3_vtab *base, int rc)
{
    if (rc == EDB_OK)
        return SQLITE_OK;
    sqlite3_free(base->zErrMsg);
    base->zErrMsg = sqlite3_mprintf("%s", edb_message());
    int result = edb_code_sqlite(rc);
    return ((vtab_any *)base)->vt_bd->bd_writing ? result_inside(result) : result;
}

int vtab_no_cursor(sqlite3_vtab *base)
{
    return vtab_result(base, edb_fail(EDB_NOMEM, "no memory to read a table"));
}

int vtab_acquire(vtab_binding *bd, bool writes, edb_stmt **out)
{
    if (!bd->bd_conn)
        return edb_fail(EDB_MISUSE, "the SQLite connection is not bound to a database: SELECT entitydb_bind(id) first");
    return stmt_acquire(bd->bd_conn, writes, !sqlite3_get_autocommit(bd->bd_db), out);
}

/* ---- declaring ------------------------------------------------------------------------------------------------ */

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

int vtab_declare(sqlite3 *db, const edb_table *table)
{
    static const char *const collations[] = {"BINARY", "NOCASE", "RTRIM"};
    sqlite3_str *sql = sqlite3_str_new(db);
    sqlite3_str_appendall(sql, "CREATE TABLE x(");
    for (uint32_t i = 0; i < table->et_n_columns; i++) {
        const edb_column *column = &table->et_columns[i];
        sqlite3_str_appendf(sql, "%s\"%w\" %s%s COLLATE %s", i ? ", " : "", column->name, declared_type(column),
                            column->hidden ? " HIDDEN" : "", collations[column->collation]);
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

/* ---- which table a statement means ---------------------------------------------------------------------------- */

/* An index as old as its table can be used at every moment, and its uniqueness held at every moment. */
static int find_whole(vtab_entity *vt, edb_stmt *stmt)
{
    const edb_table *table = vt->vt_table;
    uint64_t born, index_born;
    int rc = stmt_tree_born(stmt, table->et_id, &born);
    if (rc)
        return rc;
    bool *whole = calloc(table->et_n_indexes + 1, sizeof *whole);
    if (!whole)
        return edb_fail(EDB_NOMEM, "no memory for table %s", table->et_name);
    for (uint32_t i = 0; i < table->et_n_indexes; i++) {
        rc = stmt_tree_born(stmt, table->et_indexes[i].tree, &index_born);
        if (rc) {
            free(whole);
            return rc;
        }
        whole[i] = index_born == born;
    }
    free(vt->vt_whole);
    vt->vt_whole = whole;
    if (born != FOREVER)
        vt->vt_born = born;
    return EDB_OK;
}

static int schema_changed(const edb_table *table)
{
    return edb_fail(EDB_SCHEMA, "table %s was changed or dropped: its declaration has to be made anew", table->et_name);
}

/* The schema moved: mostly another table's. */
static int refresh(vtab_entity *vt, edb_stmt *stmt)
{
    edb_table *fresh;
    int rc = catalog_table(stmt, vt->vt_table->et_id, &fresh);
    if (rc)
        return rc == EDB_NOSUCH ? schema_changed(vt->vt_table) : rc;
    /* Nor under the feet of a write that a function in a DEFAULT has interrupted. */
    if (!table_same_columns(fresh, vt->vt_table) || vt->vt_writing) {
        table_unref(fresh);
        return schema_changed(vt->vt_table);
    }
    vtab_defaults_free(vt);
    upsert_forget(vt);
    table_unref(vt->vt_table);
    vt->vt_table = fresh;
    vt->vt_schema = stmt_schema(stmt);
    return find_whole(vt, stmt);
}

int vtab_not_yet(edb_stmt *stmt, const char *name, uint64_t born)
{
    char asked[MOMENT_TEXT], first[MOMENT_TEXT];
    int64_t ns;
    moment_text(stmt_moment_ns(stmt), asked);
    if (born == FOREVER)
        return edb_fail(EDB_NOSUCH, "no such table: %s at %s; it was created in the running transaction", name, asked);
    int rc = edb_commit_time(conn_db(stmt_conn(stmt)), born, &ns);
    if (rc)
        return rc;
    return edb_fail(EDB_NOSUCH, "no such table: %s at %s; its first moment is %s", name, asked,
                    moment_text(ns, first));
}

int vtab_current(vtab_entity *vt, edb_stmt *stmt)
{
    if (likely(!stmt_is_past(stmt)))
        return likely(stmt_schema(stmt) == vt->vt_schema) ? EDB_OK : refresh(vt, stmt);
    /* The past is read under today's columns; the table itself must have been there. */
    uint64_t born = vt->vt_born;
    int rc = born ? EDB_OK : stmt_tree_born(stmt, vt->vt_table->et_id, &born);
    if (rc)
        return rc;
    return likely(born <= edb_stmt_moment(stmt)) ? EDB_OK : vtab_not_yet(stmt, vt->vt_table->et_name, born);
}

/* Tables without columns added to existing rows read alike at every moment; for others the last moment is kept. */
int vtab_table(vtab_entity *vt, edb_stmt *stmt, const edb_table **out)
{
    if (likely(!vt->vt_table->et_has_added) || !stmt_is_past(stmt)) {
        *out = vt->vt_table;
        return EDB_OK;
    }
    if (!vt->vt_then || vt->vt_then_of != vt->vt_table || vt->vt_then_moment != edb_stmt_moment(stmt)) {
        edb_table *then;
        int rc = catalog_then(stmt, vt->vt_table, &then);
        if (rc)
            return rc;
        table_unref(vt->vt_then);
        table_unref(vt->vt_then_of);
        vt->vt_then = then;
        vt->vt_then_of = table_ref(vt->vt_table);
        vt->vt_then_moment = edb_stmt_moment(stmt);
    }
    *out = vt->vt_then;
    return EDB_OK;
}

/* ---- connecting ----------------------------------------------------------------------------------------------- */

static void entity_free(vtab_entity *vt)
{
    vtab_defaults_free(vt);
    upsert_forget(vt);
    table_unref(vt->vt_table);
    table_unref(vt->vt_then);
    table_unref(vt->vt_then_of);
    free(vt->vt_whole);
    if (vt->vt_any.vt_bd)
        rules_disconnected(vt->vt_any.vt_bd);
    if (vt->vt_any.vt_bd)
        binding_unref(vt->vt_any.vt_bd);
    free(vt);
}

static int disconnect(sqlite3_vtab *base)
{
    entity_free((vtab_entity *)base);
    return SQLITE_OK;
}

static int connect_table(vtab_entity *vt, const char *argument)
{
    edb_stmt *stmt;
    char *end;
    unsigned long long id = strtoull(argument, &end, 10);
    if (end == argument || *end || id == 0 || id > UINT32_MAX)
        return edb_fail(EDB_MISUSE, "entitydb(%s): the argument is a table id of the catalog", argument);
    int rc = vtab_acquire(vt->vt_any.vt_bd, false, &stmt);
    if (rc)
        return rc;
    rc = catalog_table(stmt, (uint32_t)id, &vt->vt_table);
    if (!rc && vt->vt_table->et_kind != CATALOG_TABLE)
        rc = edb_fail(EDB_NOSUCH, "the catalog's entry %llu is no table", id);
    if (!rc) {
        vt->vt_schema = stmt_schema(stmt);
        rc = find_whole(vt, stmt);
    }
    stmt_release(stmt);
    return rc;
}

static int connect(sqlite3 *db, void *aux, int argc, const char *const *argv, sqlite3_vtab **out, char **error)
{
    vtab_entity *vt = calloc(1, sizeof *vt);
    int rc;
    if (!vt)
        return SQLITE_NOMEM;
    vt->vt_any.vt_bd = aux;
    vt->vt_any.vt_bd->bd_refs++;
    rules_connected(aux);
    rc = argc == 4 ? connect_table(vt, argv[3])
                   : edb_fail(EDB_MISUSE, "USING entitydb(table id): one argument is needed");
    if (rc) {
        *error = sqlite3_mprintf("%s", edb_message());
        rc = edb_code_sqlite(rc);
    } else {
        rc = vtab_declare(db, vt->vt_table);
        if (rc)
            *error = sqlite3_mprintf("table %s cannot be declared: %s", vt->vt_table->et_name, sqlite3_errmsg(db));
    }
    if (!rc)
        rc = sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
    if (!rc)
        rc = sqlite3_vtab_config(db, SQLITE_VTAB_INNOCUOUS);
    if (rc)
        entity_free(vt);
    else
        *out = &vt->vt_any.vt_base;
    return rc;
}

/* ---- transactions --------------------------------------------------------------------------------------------- */

static edb_conn *conn_of(sqlite3_vtab *base)
{
    return ((vtab_any *)base)->vt_bd->bd_conn;
}

int vtab_begin(sqlite3_vtab *base)
{
    edb_stmt *stmt;
    int rc = vtab_acquire(((vtab_any *)base)->vt_bd, true, &stmt);
    if (rc)
        return vtab_result(base, rc);
    rc = txn_begin_write(stmt);
    stmt_release(stmt);
    return vtab_result(base, rc);
}

int vtab_sync(sqlite3_vtab *base)
{
    return conn_of(base) ? vtab_result(base, txn_prepare(conn_of(base))) : SQLITE_OK;
}

int vtab_commit(sqlite3_vtab *base)
{
    if (conn_of(base))
        txn_publish(conn_of(base));
    return SQLITE_OK;
}

int vtab_rollback(sqlite3_vtab *base)
{
    if (conn_of(base))
        txn_rollback(conn_of(base));
    return SQLITE_OK;
}

int vtab_savepoint(sqlite3_vtab *base, int n)
{
    if (conn_of(base))
        txn_savepoint(conn_of(base), n);
    return SQLITE_OK;
}

int vtab_release(sqlite3_vtab *base, int n)
{
    if (conn_of(base))
        txn_release(conn_of(base), n);
    return SQLITE_OK;
}

/* A SAVEPOINT that began the transaction has the number -1, of which no xSavepoint tells. */
int vtab_rollback_to(sqlite3_vtab *base, int n)
{
    edb_conn *conn = conn_of(base);
    if (conn && n < 0) {
        txn_rollback_to(conn, 0);
        txn_release(conn, 0);
    } else if (conn) {
        txn_rollback_savepoint(conn, n);
    }
    return SQLITE_OK;
}

/* ALTER TABLE ... RENAME of the declaration: the name SQLite uses is its own business. */
static int rename_declared(sqlite3_vtab *base, const char *name)
{
    (void)base;
    (void)name;
    return SQLITE_OK;
}

const sqlite3_module vtab_entity_module = {
    .iVersion = 2,                  /* below 2 no savepoint call arrives, silently */
    .xCreate = connect,
    .xConnect = connect,
    .xBestIndex = vtab_best_index,
    .xDisconnect = disconnect,
    .xDestroy = disconnect,         /* never deletes data: only the catalog drops tables */
    .xOpen = vtab_open,
    .xClose = vtab_close,
    .xFilter = vtab_filter,
    .xNext = vtab_next,
    .xEof = vtab_eof,
    .xColumn = vtab_column,
    .xRowid = vtab_rowid,
    .xUpdate = vtab_update,
    .xBegin = vtab_begin,
    .xSync = vtab_sync,
    .xCommit = vtab_commit,
    .xRollback = vtab_rollback,
    .xRename = rename_declared,
    .xSavepoint = vtab_savepoint,
    .xRelease = vtab_release,
    .xRollbackTo = vtab_rollback_to,
};
