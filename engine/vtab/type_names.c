/* Types of entities by name (type_names.h). */
#include "engine/vtab/type_names.h"

#include <string.h>

int typed_vtab_connect(sqlite3 *db, vtab_binding *bd, const char *declaration, sqlite3_vtab **out)
{
    return vtab_any_connect(db, bd, declaration, sizeof(typed_vtab), out);
}

int typed_vtab_disconnect(sqlite3_vtab *base)
{
    table_unref(((typed_vtab *)base)->tyv_types.ty_table);
    return vtab_any_disconnect(base);
}

static bool holds(const type_names *ty, edb_stmt *stmt)
{
    return ty->ty_table && ty->ty_conn == stmt_conn(stmt) && ty->ty_schema == stmt_schema(stmt) + 1;
}

static void keep(type_names *ty, edb_stmt *stmt, edb_table *table)
{
    table_unref(ty->ty_table);
    *ty = (type_names){ stmt_schema(stmt) + 1, stmt_conn(stmt), table };
}

int type_by_name(type_names *ty, edb_stmt *stmt, const char *name, size_t size, const edb_table **out)
{
    edb_table *table;
    if (memchr(name, 0, size)) {    /* names of tables have none */
        *out = NULL;
        return EDB_OK;
    }
    if (!holds(ty, stmt) || !name_same(ty->ty_table->et_name, name)) {
        int rc = catalog_find(stmt, name, &table);
        if (rc == EDB_NOSUCH || (!rc && table->et_kind != CATALOG_TABLE)) {
            if (!rc)
                table_unref(table);
            *out = NULL;
            return EDB_OK;
        }
        if (rc)
            return rc;
        keep(ty, stmt, table);
    }
    *out = ty->ty_table;
    return EDB_OK;
}

int type_by_id(type_names *ty, edb_stmt *stmt, uint32_t id, const edb_table **out)
{
    edb_table *table;
    if (!holds(ty, stmt) || ty->ty_table->et_id != id) {
        int rc = catalog_table(stmt, id, &table);
        if (!rc && table->et_kind != CATALOG_TABLE) {
            table_unref(table);
            rc = EDB_NOSUCH;
        }
        if (rc)
            return rc == EDB_NOSUCH ? edb_fail(EDB_CORRUPT, "rows of table %u have tags, and there is no such table", id) : rc;
        keep(ty, stmt, table);
    }
    *out = ty->ty_table;
    return EDB_OK;
}

int type_to_write(type_names *ty, edb_stmt *stmt, sqlite3_value *name, const edb_table **out)
{
    const char *text = (const char *)sqlite3_value_text(name);
    int rc = text && sqlite3_value_type(name) == SQLITE_TEXT
                 ? type_by_name(ty, stmt, text, (size_t)sqlite3_value_bytes(name), out)
                 : edb_fail(EDB_MISUSE, "the type of an entity is the name of its table");
    return rc || *out ? rc : edb_fail(EDB_NOSUCH, "there is no table %s whose rows could be tagged", text);
}

const char *known_text(sqlite3_index_info *info, int constraint, size_t *size)
{
    sqlite3_value *value;
    if (constraint < 0 || sqlite3_vtab_rhs_value(info, constraint, &value) || sqlite3_value_type(value) != SQLITE_TEXT)
        return NULL;
    const char *text = (const char *)sqlite3_value_text(value);
    if (size)
        *size = (size_t)sqlite3_value_bytes(value);
    return text;
}

bool value_is_entity(sqlite3_value *value, int64_t *out)
{
    switch (sqlite3_value_numeric_type(value)) {
    case SQLITE_INTEGER:
        *out = sqlite3_value_int64(value);
        return true;
    case SQLITE_FLOAT: {
        double real = sqlite3_value_double(value);
        if (!(real >= -0x1p63 && real < 0x1p63))
            return false;
        *out = (int64_t)real;
        return (double)*out == real;
    }
    default:
        return false;
    }
}
