/* Finding zstd. See zstd.h.
 *
 * No lock: threads that come here first at the same time each open the library, which only counts, and one table stays. So a
 * fork at any time is harmless. */
#include "engine/cold/zstd.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/edb.h"
#include "engine/codes.h"

static const char *const system_library = "libzstd.so.1";
static _Atomic(const char *) given;                     /* edb_zstd_library(); never freed, others may be reading it */
static _Atomic(const zstd_functions *) found;

static const struct {
    const char *name;
    size_t place;
} names[] = {
#define PLACE(name, field) { name, offsetof(zstd_functions, field) }
    PLACE("ZSTD_versionNumber", zs_version),
    PLACE("ZSTD_isError", zs_is_error),
    PLACE("ZSTD_getErrorName", zs_error_name),
    PLACE("ZSTD_compressBound", zs_bound),
    PLACE("ZSTD_createCCtx", zs_new_cctx),
    PLACE("ZSTD_freeCCtx", zs_free_cctx),
    PLACE("ZSTD_CCtx_reset", zs_reset),
    PLACE("ZSTD_CCtx_setParameter", zs_set),
    PLACE("ZSTD_CCtx_setPledgedSrcSize", zs_pledge),
    PLACE("ZSTD_compressStream2", zs_compress),
    PLACE("ZSTD_createDCtx", zs_new_dctx),
    PLACE("ZSTD_freeDCtx", zs_free_dctx),
    PLACE("ZSTD_decompressDCtx", zs_decompress),
#undef PLACE
};

void edb_zstd_library(const char *path)
{
    const char *before = atomic_load(&given);

    if (path && before && strcmp(path, before) == 0)
        return;
    atomic_store(&given, path ? strdup(path) : NULL);
}

/* -> whether the library has them all; why[]: else the reason. */
static bool library_try(const char *path, zstd_functions *out, char *why, size_t room)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        snprintf(why, room, "%s", dlerror());
        return false;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *function = dlsym(library, names[i].name);
        if (!function) {
            snprintf(why, room, "%s has no %s", path, names[i].name);
            dlclose(library);
            return false;
        }
        memcpy((char *)out + names[i].place, &function, sizeof function);
    }
    return true;            /* it stays open: its functions are used until the process ends */
}

static int library_open(const char *system, const zstd_functions **out)
{
    const char *path = atomic_load(&given);
    char first[256] = "it was not found", second[256];
    zstd_functions *table = calloc(1, sizeof *table);

    if (!table)
        return edb_fail(EDB_NOMEM, "memory is exhausted");
    if (!(path && library_try(path, table, first, sizeof first))
        && !library_try(system, table, second, sizeof second)) {
        free(table);
        return edb_fail(EDB_CANNOT, "packed history needs zstd, and no library has it: neither the Python package zstandard "
                        "(%s) nor %s (%s); install a wheel of zstandard, or the package libzstd1", first, system, second);
    }
    const zstd_functions *none = NULL;
    if (!atomic_compare_exchange_strong(&found, &none, table)) {
        free(table);
        *out = none;
    } else {
        *out = table;
    }
    return EDB_OK;
}

int zstd_find(const zstd_functions **out)
{
    const zstd_functions *there = atomic_load_explicit(&found, memory_order_acquire);

    if (!there)
        return library_open(system_library, out);
    *out = there;
    return EDB_OK;
}

#ifdef EDB_TEST
int test_zstd(const char *path, const char *system)
{
    const char *before = atomic_load(&given);
    const zstd_functions *had = atomic_load(&found), *now = NULL;

    atomic_store(&found, NULL);
    atomic_store(&given, path);
    int rc = library_open(system, &now);
    atomic_store(&given, before);
    atomic_store(&found, had);
    int version = rc == EDB_OK ? (int)now->zs_version() : -rc;
    free((void *)(uintptr_t)now);
    return version;
}
#endif
