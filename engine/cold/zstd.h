/* Zstandard's C functions (RFC 8878), found when they are first needed: nothing is linked, and no source of it is here.
 *
 * The Python package `zstandard`, which the package requires, carries a library that exports all of them; edb_zstd_library()
 * says where. Where that is missing, or has not all that is used here, the system's libzstd.so.1 is taken. */
#ifndef EDB_ZSTD_H
#define EDB_ZSTD_H

#include <stddef.h>

/* As zstd.h has them; these are stable since 1.4.0. */
typedef struct { const void *src; size_t size, pos; } zstd_in;
typedef struct { void *dst; size_t size, pos; } zstd_out;
enum { ZSTD_LEVEL = 100, ZSTD_MIN_MATCH = 105, ZSTD_STRATEGY = 107, ZSTD_SAYS_SIZE = 200 };     /* ZSTD_cParameter */
enum { ZSTD_FLUSH = 1, ZSTD_END = 2 };                                                          /* ZSTD_EndDirective */
enum { ZSTD_RESET_ALL = 3 };                                                                    /* ZSTD_ResetDirective */

typedef struct zstd_cctx zstd_cctx;
typedef struct zstd_dctx zstd_dctx;

typedef struct {
    unsigned (*zs_version)(void);
    unsigned (*zs_is_error)(size_t code);
    const char *(*zs_error_name)(size_t code);
    size_t (*zs_bound)(size_t size);
    zstd_cctx *(*zs_new_cctx)(void);
    size_t (*zs_free_cctx)(zstd_cctx *cctx);
    size_t (*zs_reset)(zstd_cctx *cctx, int directive);
    size_t (*zs_set)(zstd_cctx *cctx, int parameter, int value);
    size_t (*zs_pledge)(zstd_cctx *cctx, unsigned long long size);
    size_t (*zs_compress)(zstd_cctx *cctx, zstd_out *out, zstd_in *in, int directive);
    zstd_dctx *(*zs_new_dctx)(void);
    size_t (*zs_free_dctx)(zstd_dctx *dctx);
    size_t (*zs_decompress)(zstd_dctx *dctx, void *dst, size_t room, const void *src, size_t size);
} zstd_functions;

/* They stay for ever. EDB_CANNOT: no library has them; the message says what was tried. EDB_NOMEM. Any thread. */
int zstd_find(const zstd_functions **out);
#ifdef EDB_TEST
/* The version that is found when these are the places looked at; minus a code: none. */
int test_zstd(const char *path, const char *system);
#endif

#endif
