/* What the parts of erasing share (tree_erasure.h). */
#include "engine/tree/tree_erasure.h"

#include <stdlib.h>

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, 8);
}

bool erase_is_key(const erasure *er, const uint8_t *key, uint32_t key_size)
{
    const tree_erasing *what = er->era_what;

    if (!er->era_state->ts_key_size)
        return what->ter_is_key(what->ter_arg, key, key_size);
    return key_size == 8 && bsearch(key, what->ter_keys, what->ter_n_keys, 8, by_bytes);
}
