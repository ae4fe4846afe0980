/* Streams put together, and zstd over all of them. See pack_parts.h.
 *
 * Bytes of one kind have few different values, those of another kind other ones. zstd makes a code for each of its blocks, so
 * a block ends where a large stream begins or ends. That is the writer's choice: to a reader it is one frame. */
#include "engine/cold/pack_parts.h"

#define BLOCK_LEAST 400             /* bytes of streams that get a block of their own */
#define MATCH_LEAST 6               /* bytes. Digits and hashes have many shorter ones by chance, which cost a reader more than they save */

void squeeze_begin(squeezer *sq)
{
    sq->sqz_body.sot_size = sq->sqz_sizes.sot_size = sq->sqz_plain.sot_size = 0;
    sq->sqz_body.sot_failed = sq->sqz_sizes.sot_failed = sq->sqz_plain.sot_failed = false;
}

void squeeze_stream(squeezer *sq, const void *bytes, size_t size)
{
    out_bytes(&sq->sqz_body, bytes, size);
    out_bytes(&sq->sqz_sizes, &size, sizeof size);
}

/* The streams' sizes, and then the streams. */
static int plain_make(squeezer *sq, size_t most)
{
    const size_t *sizes = sq->sqz_sizes.sot_room.rom_at;
    size_t n = sq->sqz_sizes.sot_size / sizeof *sizes;

    out_varint(&sq->sqz_plain, n);
    for (size_t i = 0; i < n; i++)
        out_varint(&sq->sqz_plain, sizes[i]);
    out_bytes(&sq->sqz_plain, sq->sqz_body.sot_room.rom_at, sq->sqz_body.sot_size);
    if (sq->sqz_body.sot_failed || sq->sqz_sizes.sot_failed || sq->sqz_plain.sot_failed)
        return edb_fail(EDB_NOMEM, "memory is exhausted");
    if (sq->sqz_plain.sot_size > most)
        return edb_fail(EDB_TOOBIG, "the pages take %zu bytes in a pack, %zu are allowed", sq->sqz_plain.sot_size, most);
    return EDB_OK;
}

static int zstd_failed(const squeezer *sq, size_t code)
{
    return edb_fail(EDB_NOMEM, "zstd %u: %s", sq->sqz_zstd->zs_version(), sq->sqz_zstd->zs_error_name(code));
}

static int frame_begin(squeezer *sq, int level)
{
    const zstd_functions *zs = sq->sqz_zstd;
    size_t code = 0;

    if (sq->sqz_level != level) {
        sq->sqz_level = 0;
        code = zs->zs_reset(sq->sqz_cctx, ZSTD_RESET_ALL);
        if (!zs->zs_is_error(code))
            code = zs->zs_set(sq->sqz_cctx, ZSTD_LEVEL, level);
        if (!zs->zs_is_error(code))
            code = zs->zs_set(sq->sqz_cctx, ZSTD_MIN_MATCH, MATCH_LEAST);
        if (!zs->zs_is_error(code))
            code = zs->zs_set(sq->sqz_cctx, ZSTD_SAYS_SIZE, 0);
        if (zs->zs_is_error(code))
            return zstd_failed(sq, code);
        sq->sqz_level = level;
    }
    code = zs->zs_pledge(sq->sqz_cctx, sq->sqz_plain.sot_size);
    return zs->zs_is_error(code) ? zstd_failed(sq, code) : EDB_OK;
}

static int frame_add(squeezer *sq, size_t upto, zstd_in *in, zstd_out *out, int directive)
{
    const zstd_functions *zs = sq->sqz_zstd;

    in->size = upto;
    for (;;) {
        size_t code = zs->zs_compress(sq->sqz_cctx, out, in, directive);
        if (zs->zs_is_error(code)) {
            sq->sqz_level = 0;       /* the frame stays unfinished: begin with a reset */
            return zstd_failed(sq, code);
        }
        if (code == 0)
            return EDB_OK;
        if (out->pos == out->size) {
            sq->sqz_level = 0;
            return edb_fail(EDB_TOOBIG, "a pack does not fit its room of %zu bytes", out->size);
        }
    }
}

int squeeze_end(squeezer *sq, unsigned n, uint32_t page_size, int level, uint8_t *out, size_t room, size_t *size)
{
    int rc = plain_make(sq, PACK_PLAIN_MOST(n, page_size));
    if (rc == EDB_OK)
        rc = frame_begin(sq, level);
    if (rc != EDB_OK)
        return rc;
    const size_t *sizes = sq->sqz_sizes.sot_room.rom_at;
    size_t streams = sq->sqz_sizes.sot_size / sizeof *sizes;
    size_t plain = sq->sqz_plain.sot_size, at = plain - sq->sqz_body.sot_size, cut = 0;
    zstd_in from = { sq->sqz_plain.sot_room.rom_at, 0, 0 };
    zstd_out to = { out, room, PACK_HEADER };

    for (size_t i = 0; i < streams && rc == EDB_OK; at += sizes[i++]) {
        bool begins = sizes[i] >= BLOCK_LEAST;
        bool ends = i && sizes[i - 1] >= BLOCK_LEAST && plain - at >= BLOCK_LEAST;
        if (at - cut >= BLOCK_LEAST && (begins || ends)) {
            rc = frame_add(sq, at, &from, &to, ZSTD_FLUSH);
            cut = at;
        }
    }
    if (rc == EDB_OK)
        rc = frame_add(sq, plain, &from, &to, ZSTD_END);
    if (rc != EDB_OK)
        return rc;
    out[0] = PACK_FORMAT;
    out[1] = (uint8_t)n;
    out[2] = (uint8_t)__builtin_ctz(page_size);
    out[3] = 0;
    store32(out + 4, (uint32_t)plain);
    *size = to.pos;
    return EDB_OK;
}
