/* SHA-256 (FIPS 180-4): what proves that history was not changed. */
#ifndef EDB_SHA256_H
#define EDB_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32              /* bytes of a hash */
#define SHA256_BLOCK 64

typedef struct {                    /* a hash under way; plain bytes, may be copied */
    uint32_t sha_state[8];
    uint64_t sha_size;               /* bytes so far */
    uint8_t sha_rest[SHA256_BLOCK];  /* those that do not fill a block */
} sha256;

void sha256_init(sha256 *sha);
void sha256_add(sha256 *sha, const void *bytes, size_t size);
/* Spoils *sha: begin anew. */
void sha256_end(sha256 *sha, uint8_t out[SHA256_SIZE]);
void sha256_of(const void *bytes, size_t size, uint8_t out[SHA256_SIZE]);

/* For tests: whether the processor's instructions are used; they are where it has them, unless `portable`. */
int sha256_choose(int portable);

#endif
