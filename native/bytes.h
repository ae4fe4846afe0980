/* Little-endian and big-endian loads and stores, and varints.
 *
 * Everything on disk is little-endian, except the integers inside keys, which are big-endian so that memcmp orders
 * them. Only 64-bit little-endian machines are supported (the build refuses others), so a little-endian load is a
 * memcpy. None of these reads past the bytes it names. */
#ifndef EDB_BYTES_H
#define EDB_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if !defined(__LP64__) || !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "EntityDB needs a 64-bit little-endian machine (x86-64 or aarch64)"
#endif

static inline uint16_t load16(const void *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t load32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint64_t load64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline uint64_t load40(const void *p) { return load32(p) | (uint64_t)((const uint8_t *)p)[4] << 32; }
static inline void store16(void *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void store32(void *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void store64(void *p, uint64_t v) { memcpy(p, &v, 8); }
static inline void store40(void *p, uint64_t v) { store32(p, (uint32_t)v); ((uint8_t *)p)[4] = (uint8_t)(v >> 32); }
static inline uint64_t load64be(const void *p) { return __builtin_bswap64(load64(p)); }
static inline void store64be(void *p, uint64_t v) { store64(p, __builtin_bswap64(v)); }

/* Row ids in keys: big-endian with the sign bit flipped, so that memcmp orders them as signed integers. */
static inline void rowid_store(void *p, int64_t id) { store64be(p, (uint64_t)id ^ (1ULL << 63)); }
static inline int64_t rowid_load(const void *p) { return (int64_t)(load64be(p) ^ (1ULL << 63)); }

/* Varints are LEB128: seven bits a byte, least significant first, at most ten bytes. */
#define VARINT_MAX 10

static inline size_t varint_size(uint64_t v)
{
    size_t n = 1;

    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

static inline uint8_t *varint_store(uint8_t *p, uint64_t v)
{
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    return p;
}

/* -> the byte behind the varint, or NULL when it does not end before `end` or is longer than ten bytes. */
static inline const uint8_t *varint_load(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    uint64_t v = 0;

    for (unsigned shift = 0; p < end && shift < 70; shift += 7) {
        uint8_t b = *p++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *out = v;
            return p;
        }
    }
    return NULL;
}

#endif
