/* CRC-32C (Castagnoli polynomial, RFC 3720 appendix B.4): the checksum of pages and records. */
#ifndef EDB_CRC32C_H
#define EDB_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of `size` bytes, continuing from `crc` (0 to begin): crc32c(crc32c(0, a), b) == crc32c(0, ab). Uses
 * the SSE4.2 or ARMv8 instruction where the processor has it (found out once), else tables. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);
/* The table version, for tests to compare with. */
uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t size);

#endif
