/* The table of met keys (met_keys.h). */
#include "engine/table/met_keys.h"

#include <stdlib.h>
#include <string.h>

#include "native/hash.h"

enum { ROOM_FIRST = 128, ROOM_MOST = 65536 };  /* at most 3 MiB */

void met_free(met_keys *mk)
{
    free(mk->mk_keys);
    *mk = (met_keys){ .mk_keys = NULL };
}

void met_forget(met_keys *mk)
{
    mk->mk_told = 0;
    if (!++mk->mk_stamp) {          /* the stamps of 2^32 times ago would hold again */
        if (mk->mk_keys)
            memset(mk->mk_keys, 0, mk->mk_room * sizeof *mk->mk_keys);
        mk->mk_stamp = 1;
    }
}

void met_begin(met_keys *mk, edb_stmt *stmt)
{
    uint64_t stands = txn_stands(stmt_conn(stmt)), moment = edb_stmt_moment(stmt);

    if (mk->mk_stands == stands && mk->mk_moment == moment)
        return;
    met_forget(mk);
    mk->mk_stands = stands;
    mk->mk_moment = moment;
}

/* The pair of places of a key. */
static met_key *pair_of(const met_keys *mk, const uint8_t *name, size_t size)
{
    return &mk->mk_keys[hash_fast(name, size, 0) & (mk->mk_room - 2)];
}

static bool is_here(const met_keys *mk, const met_key *me, const uint8_t *name, size_t size)
{
    return me->me_size == size && me->me_stamp == mk->mk_stamp && !memcmp(me->me_bytes, name, size);
}

bool met_known(const met_keys *mk, const uint8_t *name, size_t size)
{
    if (!mk->mk_keys || size > MET_BYTES)
        return false;
    const met_key *pair = pair_of(mk, name, size);
    return is_here(mk, &pair[0], name, size) || is_here(mk, &pair[1], name, size);
}

static void put(met_keys *mk, const uint8_t *name, size_t size)
{
    met_key *pair = pair_of(mk, name, size);

    pair[1] = pair[0];
    pair[0].me_stamp = mk->mk_stamp;
    pair[0].me_size = (uint8_t)size;
    memcpy(pair[0].me_bytes, name, size);
}

static void grow(met_keys *mk)
{
    uint32_t room = mk->mk_keys ? 4 * mk->mk_room : ROOM_FIRST;
    met_key *keys = calloc(room, sizeof *keys);

    if (!keys)
        return;                     /* the table serves as it is */
    met_keys larger = *mk;
    larger.mk_keys = keys;
    larger.mk_room = room;
    for (uint32_t i = mk->mk_keys ? mk->mk_room : 0; i-- > 0;)
        if (mk->mk_keys[i].me_stamp == mk->mk_stamp)
            put(&larger, mk->mk_keys[i].me_bytes, mk->mk_keys[i].me_size);
    free(mk->mk_keys);
    *mk = larger;
}

void met_note(met_keys *mk, const uint8_t *name, size_t size)
{
    if (size > MET_BYTES)
        return;
    if (!mk->mk_keys || (mk->mk_told >= mk->mk_room / 2 && mk->mk_room < ROOM_MOST))
        grow(mk);
    if (!mk->mk_keys)
        return;
    put(mk, name, size);
    mk->mk_told++;
}
