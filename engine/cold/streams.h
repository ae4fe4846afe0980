/* Streams of bytes within a pack: reading them without leaving them, writing them without knowing their length. */
#ifndef EDB_STREAMS_H
#define EDB_STREAMS_H

#include "native/bytes.h"
#include "engine/cache/buffers.h"

/* What is read. Reading past the end gives zeros and sets in_bad, which is looked at now and then: after each step whose
 * results decide how much is read, copied or looped over. */
typedef struct {
    const uint8_t *in_at, *in_end;
    bool in_bad;
} stream_in;

static inline size_t in_left(const stream_in *in) { return (size_t)(in->in_end - in->in_at); }

static inline uint64_t in_varint(stream_in *in)
{
    uint64_t v;

    if (in->in_at < in->in_end && *in->in_at < 0x80)
        return *in->in_at++;
    const uint8_t *after = varint_load(in->in_at, in->in_end, &v);
    if (!after) {
        in->in_bad = true;
        in->in_at = in->in_end;
        return 0;
    }
    in->in_at = after;
    return v;
}

/* A varint of at most `most`; larger is bad. */
static inline uint32_t in_most(stream_in *in, uint32_t most)
{
    uint64_t v = in_varint(in);

    if (v > most) {
        in->in_bad = true;
        return 0;
    }
    return (uint32_t)v;
}

/* -> where `size` bytes stand; NULL: there are fewer. */
static inline const uint8_t *in_bytes(stream_in *in, size_t size)
{
    const uint8_t *at = in->in_at;

    if (size > in_left(in)) {
        in->in_bad = true;
        in->in_at = in->in_end;
        return NULL;
    }
    in->in_at += size;
    return at;
}

/* What is written. Without memory nothing more is, and sot_failed stays set. Begins zeroed; kept from pack to pack. */
typedef struct {
    room sot_room;
    size_t sot_size;
    bool sot_failed;
} stream_out;

static inline uint8_t *out_room(stream_out *out, size_t size)
{
    if (out->sot_failed || !room_for(&out->sot_room, out->sot_size + size, out->sot_size)) {
        out->sot_failed = true;
        return NULL;
    }
    return (uint8_t *)out->sot_room.rom_at + out->sot_size;
}

static inline void out_varint(stream_out *out, uint64_t v)
{
    uint8_t *at = out_room(out, VARINT_MAX);

    if (at)
        out->sot_size += (size_t)(varint_store(at, v) - at);
}

static inline void out_bytes(stream_out *out, const void *bytes, size_t size)
{
    uint8_t *at = size ? out_room(out, size) : NULL;

    if (at) {
        memcpy(at, bytes, size);
        out->sot_size += size;
    }
}

static inline uint64_t zigzag(int64_t v) { return (uint64_t)v << 1 ^ (uint64_t)(v >> 63); }
static inline int64_t unzigzag(uint64_t v) { return (int64_t)(v >> 1) ^ -(int64_t)(v & 1); }

#endif
