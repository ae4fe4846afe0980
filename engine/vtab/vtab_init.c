/* The extension's entry: bindings, with their modules, and the functions.
 *
 * `SELECT entitydb_bind(id)` ties the SQLite connection to the engine connection of that id, once. The driver holds
 * the engine connection; here it is only counted.
 *
 * An attached database has a binding of its own, and modules whose names end in its suffix: after
 * `SELECT entitydb_bind(id, '_7')` its tables are USING entitydb_7, its catalog is entitydb_catalog_7. Its tags are entitydb_tags_7, which
 * the driver declares in its schema under the name without the suffix; so the modules over entities have xCreate too.
 * `SELECT entitydb_unbind('_7')` takes the names away. */
#include <stdlib.h>

#include "engine/vtab/vtab.h"

static void binding_destroy(void *bd)
{
    binding_unref(bd);
}

static void function_bind(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    vtab_binding *bd = sqlite3_user_data(context);
    (void)argc;
    if (bd->bd_conn) {
        sqlite3_result_error(context, "entitydb_bind: this connection is bound already", -1);
        return;
    }
    bd->bd_conn = conn_by_id(sqlite3_value_int64(argv[0]));
    if (!bd->bd_conn) {
        sqlite3_result_error(context, "entitydb_bind: there is no open engine connection of this id", -1);
        return;
    }
    binding_lend(bd);
}

/* On failure SQLite calls binding_destroy for the reference itself. */
static int module_add(vtab_binding *bd, const char *name, const sqlite3_module *module)
{
    bd->bd_refs++;
    return sqlite3_create_module_v2(bd->bd_db, name, module, bd, binding_destroy);
}

static const struct { const char *name; const sqlite3_module *module; } modules[] = {
    {"entitydb", &vtab_entity_module}, {"entitydb_ddl", &vtab_ddl_module}, {"entitydb_catalog", &vtab_catalog_module},
    {"entitydb_entities", &vtab_entities_module}, {"entitydb_tags", &vtab_tags_module},
    {"entitydb_tagged", &vtab_tagged_module}, {"entitydb_versions", &vtab_versions_module},
    {"entitydb_changes", &vtab_changes_module}, {"entitydb_transactions", &vtab_transactions_module},
};
enum { MODULES = sizeof modules / sizeof modules[0] };

static int modules_add(vtab_binding *bd, const char *suffix)
{
    int rc = SQLITE_OK;
    for (int i = 0; !rc && i < MODULES; i++) {
        char *name = sqlite3_mprintf("%s%s", modules[i].name, suffix);
        rc = name ? module_add(bd, name, modules[i].module) : SQLITE_NOMEM;
        sqlite3_free(name);
    }
    return rc;
}

static void modules_drop(sqlite3 *db, const char *suffix)
{
    for (int i = 0; i < MODULES; i++) {
        char *name = sqlite3_mprintf("%s%s", modules[i].name, suffix);
        if (name)
            sqlite3_create_module_v2(db, name, NULL, NULL, NULL);
        sqlite3_free(name);
    }
}

static void function_bind_more(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    sqlite3 *db = sqlite3_context_db_handle(context);
    const char *suffix = (const char *)sqlite3_value_text(argv[1]);
    vtab_binding *bd = suffix && *suffix ? calloc(1, sizeof *bd) : NULL;
    (void)argc;
    if (!bd) {
        sqlite3_result_error(context, "entitydb_bind: a suffix and some memory are needed", -1);
        return;
    }
    bd->bd_refs = 1;
    bd->bd_db = db;
    bd->bd_main = sqlite3_user_data(context);
    bd->bd_main->bd_refs++;
    bd->bd_next = bd->bd_main->bd_next;
    bd->bd_main->bd_next = bd;
    bd->bd_conn = conn_by_id(sqlite3_value_int64(argv[0]));
    if (!bd->bd_conn) {
        sqlite3_result_error(context, "entitydb_bind: there is no open engine connection of this id", -1);
    } else if (modules_add(bd, suffix)) {
        modules_drop(db, suffix);
        sqlite3_result_error(context, "entitydb_bind: no memory", -1);
    } else {
        binding_lend(bd);
    }
    binding_unref(bd);
}

static void function_unbind(sqlite3_context *context, int argc, sqlite3_value **argv)
{
    const char *suffix = (const char *)sqlite3_value_text(argv[0]);
    (void)argc;
    if (suffix && *suffix)
        modules_drop(sqlite3_context_db_handle(context), suffix);
}

static int function_add(vtab_binding *bd, const char *name, int args, int flags,
                        void (*function)(sqlite3_context *, int, sqlite3_value **))
{
    bd->bd_refs++;
    return sqlite3_create_function_v2(bd->bd_db, name, args, SQLITE_UTF8 | flags, bd, function, NULL, NULL,
                                      binding_destroy);
}

int sqlite3_entitydb_init(sqlite3 *db, char **error, const sqlite3_api_routines *api)
{
    SQLITE_EXTENSION_INIT2(api);
    if (sqlite3_libversion_number() < 3038000) {
        *error = sqlite3_mprintf("EntityDB needs SQLite 3.38 or newer, this is %s", sqlite3_libversion());
        return SQLITE_ERROR;
    }
    vtab_fork_guard();
    vtab_binding *bd = calloc(1, sizeof *bd);
    if (!bd)
        return SQLITE_NOMEM;
    bd->bd_refs = 1;
    bd->bd_db = db;
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    int rc = modules_add(bd, "");
    if (!rc)
        rc = function_add(bd, "entitydb_bind", 1, SQLITE_DIRECTONLY, function_bind);
    if (!rc)
        rc = function_add(bd, "entitydb_bind", 2, SQLITE_DIRECTONLY, function_bind_more);
    if (!rc)
        rc = function_add(bd, "entitydb_unbind", 1, SQLITE_DIRECTONLY, function_unbind);
    if (!rc)
        rc = function_add(bd, "entitydb_names", 1, SQLITE_DIRECTONLY, function_names);
    if (!rc)
        rc = function_add(bd, "entitydb_schema_changes", 1, SQLITE_DIRECTONLY, function_schema_changes);
    if (!rc)
        rc = function_add(bd, "entitydb_history", -1, SQLITE_DIRECTONLY, function_history);
    if (!rc)
        rc = function_add(bd, "entitydb_count", 2, 0, function_count);
    if (!rc)
        rc = function_add(bd, "entitydb_count", 3, 0, function_count);
    if (!rc)
        rc = function_add(bd, "entitydb_planner", 1, SQLITE_DIRECTONLY, function_planner);
    if (!rc)
        rc = function_add(bd, "entitydb_bloom", 1, SQLITE_DIRECTONLY, function_bloom);
    if (!rc)
        rc = function_add(bd, "entitydb_bloom", 2, SQLITE_DIRECTONLY, function_bloom);
    if (!rc)
        rc = function_add(bd, "entitydb_visited", 0, SQLITE_DIRECTONLY, function_visited);
    if (!rc)
        rc = function_add(bd, "entitydb_on_conflict", -1, SQLITE_DIRECTONLY, function_on_conflict);
    if (!rc)
        rc = module_add(bd, "entitydb_labels", &vtab_labels_module);
    if (!rc)
        rc = module_add(bd, "entitydb_erasures", &vtab_erasures_module);
    if (!rc)
        rc = module_add(bd, "entitydb_put", &vtab_put_module);
    if (!rc)
        rc = module_add(bd, "entitydb_set", &vtab_set_module);
    if (!rc)
        rc = function_add(bd, "entitydb_label", -1, SQLITE_DIRECTONLY, function_label);
    if (!rc)
        rc = function_add(bd, "entitydb_transaction_info", -1, SQLITE_DIRECTONLY, function_transaction_info);
    binding_unref(bd);
    return rc;
}
