/* SHA-256, in hardware where the processor has the instructions, else as FIPS 180-4 writes it down.
 *
 * Both versions do the same 64 rounds. Intel's instructions keep the eight words as two vectors, ABEF and CDGH, and do two
 * rounds each (Gulley et al., "Intel SHA Extensions", 2013); ARM's keep ABCD and EFGH and do four.
 *
 * The version is chosen by a constructor when the library is loaded, before any thread can call. */
#include "native/sha256.h"

#include <string.h>

#include "native/bytes.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define HARDWARE_TARGET __attribute__((target("sha,sse4.1,ssse3")))
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>
#ifndef HWCAP_SHA2
#define HWCAP_SHA2 (1 << 6)
#endif
#define HARDWARE_TARGET __attribute__((target("+sha2")))
#endif

static const uint32_t rounds[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* ---- as the standard has it ---------------------------------------------------------------------------------------- */

static inline uint32_t turned(uint32_t x, int n) { return x >> n | x << (32 - n); }
static inline uint32_t big32(const uint8_t *p) { return __builtin_bswap32(load32(p)); }

static inline __attribute__((always_inline))
void one_round(const uint32_t *a, const uint32_t *b, const uint32_t *c, uint32_t *d, const uint32_t *e, const uint32_t *f,
               const uint32_t *g, uint32_t *h, uint32_t word)
{
    uint32_t t1 = *h + (turned(*e, 6) ^ turned(*e, 11) ^ turned(*e, 25)) + ((*e & *f) ^ (~*e & *g)) + word;

    *d += t1;
    *h = t1 + (turned(*a, 2) ^ turned(*a, 13) ^ turned(*a, 22)) + ((*a & *b) ^ (*a & *c) ^ (*b & *c));
}

static void blocks_portable(uint32_t state[8], const uint8_t *p, size_t n)
{
    for (; n; n--, p += SHA256_BLOCK) {
        uint32_t w[64], v[8];
        for (int i = 0; i < 16; i++)
            w[i] = big32(p + 4 * i);
        for (int i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + w[i - 7] + (turned(a, 7) ^ turned(a, 18) ^ a >> 3) + (turned(b, 17) ^ turned(b, 19) ^ b >> 10);
        }
        memcpy(v, state, sizeof v);
        for (int i = 0; i < 64; i += 8)
#pragma GCC unroll 8
            for (int k = 0; k < 8; k++)             /* the words stay where they are, and their names go round */
                one_round(&v[-k & 7], &v[(1 - k) & 7], &v[(2 - k) & 7], &v[(3 - k) & 7], &v[(4 - k) & 7], &v[(5 - k) & 7],
                          &v[(6 - k) & 7], &v[(7 - k) & 7], rounds[i + k] + w[i + k]);
        for (int i = 0; i < 8; i++)
            state[i] += v[i];
    }
}

/* ---- in hardware --------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
HARDWARE_TARGET static void blocks_hardware(uint32_t state[8], const uint8_t *p, size_t n)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);             /* CDAB */
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);      /* EFGH */
    __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xf0);

    for (; n; n--, p += SHA256_BLOCK) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * i)), swap);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i now = w[i & 3], k = _mm_add_epi32(now, _mm_load_si128((const __m128i *)(rounds + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0e));
            if (i < 12) {               /* the words of four rounds, 16 rounds later */
                __m128i next = w[(i + 1) & 3], last = w[(i + 3) & 3];
                __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(now, next), _mm_alignr_epi8(last, w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(sum, last);
            }
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    low = _mm_shuffle_epi32(abef, 0x1b);        /* FEBA */
    high = _mm_shuffle_epi32(cdgh, 0xb1);       /* DCHG */
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}

static int hardware_present(void)
{
    uint32_t a, b, c, d;

    __builtin_cpu_init();
    if (!__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("sse4.1"))
        return 0;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(0), "c"(0));
    if (a < 7)
        return 0;
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
    return b >> 29 & 1;
}
#elif defined(__aarch64__)
HARDWARE_TARGET static void blocks_hardware(uint32_t state[8], const uint8_t *p, size_t n)
{
    uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);

    for (; n; n--, p += SHA256_BLOCK) {
        const uint32x4_t abcd_before = abcd, efgh_before = efgh;
        uint32x4_t w[4];
        for (int i = 0; i < 4; i++)
            w[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p + 16 * i)));
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            uint32x4_t k = vaddq_u32(w[i & 3], vld1q_u32(rounds + 4 * i)), before = abcd;
            abcd = vsha256hq_u32(abcd, efgh, k);
            efgh = vsha256h2q_u32(efgh, before, k);
            if (i < 12)
                w[i & 3] = vsha256su1q_u32(vsha256su0q_u32(w[i & 3], w[(i + 1) & 3]), w[(i + 2) & 3], w[(i + 3) & 3]);
        }
        abcd = vaddq_u32(abcd, abcd_before);
        efgh = vaddq_u32(efgh, efgh_before);
    }
    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}

static int hardware_present(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_SHA2) != 0;
}
#endif

static void (*chosen)(uint32_t state[8], const uint8_t *p, size_t n) = blocks_portable;

int sha256_choose(int portable)
{
    chosen = blocks_portable;
#ifdef HARDWARE_TARGET
    if (!portable && hardware_present())
        chosen = blocks_hardware;
#endif
    return chosen != blocks_portable;
}

__attribute__((constructor)) static void choose(void)
{
    (void)sha256_choose(0);
}

/* ---- for callers --------------------------------------------------------------------------------------------------- */

void sha256_init(sha256 *sha)
{
    static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

    memcpy(sha->sha_state, start, sizeof start);
    sha->sha_size = 0;
}

void sha256_add(sha256 *sha, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    size_t rest = sha->sha_size % SHA256_BLOCK, room = SHA256_BLOCK - rest;

    sha->sha_size += size;
    if (size < room) {
        if (size)
            memcpy(sha->sha_rest + rest, p, size);
        return;
    }
    if (rest) {
        memcpy(sha->sha_rest + rest, p, room);
        chosen(sha->sha_state, sha->sha_rest, 1);
        p += room;
        size -= room;
    }
    chosen(sha->sha_state, p, size / SHA256_BLOCK);
    if (size % SHA256_BLOCK)
        memcpy(sha->sha_rest, p + size / SHA256_BLOCK * SHA256_BLOCK, size % SHA256_BLOCK);
}

void sha256_end(sha256 *sha, uint8_t out[SHA256_SIZE])
{
    size_t rest = sha->sha_size % SHA256_BLOCK;

    sha->sha_rest[rest++] = 0x80;
    if (rest > SHA256_BLOCK - 8) {
        memset(sha->sha_rest + rest, 0, SHA256_BLOCK - rest);
        chosen(sha->sha_state, sha->sha_rest, 1);
        rest = 0;
    }
    memset(sha->sha_rest + rest, 0, SHA256_BLOCK - 8 - rest);
    store64(sha->sha_rest + SHA256_BLOCK - 8, __builtin_bswap64(8 * sha->sha_size));
    chosen(sha->sha_state, sha->sha_rest, 1);
    for (int i = 0; i < 8; i++)
        store32(out + 4 * i, __builtin_bswap32(sha->sha_state[i]));
}

void sha256_of(const void *bytes, size_t size, uint8_t out[SHA256_SIZE])
{
    sha256 sha;

    sha256_init(&sha);
    sha256_add(&sha, bytes, size);
    sha256_end(&sha, out);
}
