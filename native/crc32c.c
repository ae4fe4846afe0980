/* CRC-32C, in hardware three streams at a time, else by eight tables.
 *
 * The instruction takes eight bytes, has a latency of three cycles and can start every cycle, so one stream leaves two
 * thirds of it idle. Long inputs are therefore cut into three equal blocks whose checksums run side by side and are
 * then joined: a checksum followed by n zero bytes is a linear map of its 32 bits, kept as four tables of 256 for the
 * two block sizes in use (Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction", Intel
 * 2011; the linear map is Adler's crc32_combine in zlib). The portable version is "slicing by 8" (Kounavis and Berry
 * 2005).
 *
 * Tables and the choice of version are made by a constructor when the library is loaded, before any thread can call;
 * afterwards everything is read only. */
#include "native/crc32c.h"

#include "native/bytes.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#define HARDWARE_TARGET __attribute__((target("sse4.2")))
#define HARDWARE_WORD(crc, word) ((uint32_t)_mm_crc32_u64((crc), (word)))
#define HARDWARE_BYTE(crc, byte) _mm_crc32_u8((crc), (byte))
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1 << 7)
#endif
#define HARDWARE_TARGET __attribute__((target("+crc")))
#define HARDWARE_WORD(crc, word) __crc32cd((crc), (word))
#define HARDWARE_BYTE(crc, byte) __crc32cb((crc), (byte))
#endif

#define POLYNOMIAL 0x82f63b78u      /* Castagnoli's, bits reversed */

static uint32_t slices[8][256];             /* slices[k][b]: checksum of byte b followed by k zero bytes */

uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;

    crc = ~crc;
    for (; size >= 8; p += 8, size -= 8) {
        uint64_t word = load64(p) ^ crc;
        crc = slices[7][word & 0xff] ^ slices[6][word >> 8 & 0xff] ^ slices[5][word >> 16 & 0xff]
            ^ slices[4][word >> 24 & 0xff] ^ slices[3][word >> 32 & 0xff] ^ slices[2][word >> 40 & 0xff]
            ^ slices[1][word >> 48 & 0xff] ^ slices[0][word >> 56];
    }
    for (; size; p++, size--)
        crc = crc >> 8 ^ slices[0][(crc ^ *p) & 0xff];
    return ~crc;
}

static uint32_t (*chosen)(uint32_t crc, const void *bytes, size_t size) = crc32c_portable;

uint32_t crc32c(uint32_t crc, const void *bytes, size_t size)
{
    return chosen(crc, bytes, size);
}

#ifdef HARDWARE_TARGET
/* Block sizes, in bytes, multiples of 8: three long blocks are what a checksum of an 8 KiB page covers but for its
 * last four bytes, three short ones that of a 512-byte page. */
enum { BLOCK_LONG = 2728, BLOCK_SHORT = 168 };

static uint32_t after_long[4][256];         /* byte k of a checksum, carried over BLOCK_LONG zero bytes */
static uint32_t after_short[4][256];

static inline uint32_t carry(uint32_t table[4][256], uint32_t crc)
{
    return table[0][crc & 0xff] ^ table[1][crc >> 8 & 0xff] ^ table[2][crc >> 16 & 0xff] ^ table[3][crc >> 24];
}

/* Three blocks of `block` bytes at p; the compiler unrolls it for the two constant sizes. */
HARDWARE_TARGET static inline __attribute__((always_inline))
uint32_t three_blocks(uint32_t crc, const uint8_t *p, size_t block, uint32_t table[4][256])
{
    uint32_t second = 0, third = 0;

    for (const uint8_t *end = p + block; p < end; p += 8) {
        crc = HARDWARE_WORD(crc, load64(p));
        second = HARDWARE_WORD(second, load64(p + block));
        third = HARDWARE_WORD(third, load64(p + 2 * block));
    }
    return carry(table, carry(table, crc) ^ second) ^ third;
}

HARDWARE_TARGET static uint32_t crc32c_hardware(uint32_t crc, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;

    crc = ~crc;
    for (; size >= 3 * BLOCK_LONG; p += 3 * BLOCK_LONG, size -= 3 * BLOCK_LONG)
        crc = three_blocks(crc, p, BLOCK_LONG, after_long);
    for (; size >= 3 * BLOCK_SHORT; p += 3 * BLOCK_SHORT, size -= 3 * BLOCK_SHORT)
        crc = three_blocks(crc, p, BLOCK_SHORT, after_short);
    for (; size >= 8; p += 8, size -= 8)
        crc = HARDWARE_WORD(crc, load64(p));
    for (; size; p++, size--)
        crc = HARDWARE_BYTE(crc, *p);
    return ~crc;
}

static int hardware_present(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2");
#else
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#endif
}

/* The map is linear: carry each of the 32 bits over `zeros` bytes one byte at a time, then add up per table entry. */
static void make_carry(uint32_t table[4][256], size_t zeros)
{
    uint32_t image[32];

    for (int bit = 0; bit < 32; bit++) {
        uint32_t crc = 1u << bit;
        for (size_t i = 0; i < zeros; i++)
            crc = crc >> 8 ^ slices[0][crc & 0xff];
        image[bit] = crc;
    }
    for (int k = 0; k < 4; k++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t sum = 0;
            for (int bit = 0; bit < 8; bit++)
                if (byte >> bit & 1)
                    sum ^= image[8 * k + bit];
            table[k][byte] = sum;
        }
}
#endif

__attribute__((constructor)) static void make_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        slices[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++)
            slices[k][byte] = slices[k - 1][byte] >> 8 ^ slices[0][slices[k - 1][byte] & 0xff];
#ifdef HARDWARE_TARGET
    if (hardware_present()) {
        make_carry(after_long, BLOCK_LONG);
        make_carry(after_short, BLOCK_SHORT);
        chosen = crc32c_hardware;
    }
#endif
}
