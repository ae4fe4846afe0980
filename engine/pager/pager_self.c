/* What an open pager is: its fork generation, its sizes and names, the counters of row ids, the checksum of its pages.
 *
 * Everything else in this folder uses these; they use nothing of it. */
#include "native/crc32c.h"
#include "engine/pager/pager_impl.h"

_Atomic unsigned pager_generation;

int pager_alive(const pager *pg)
{
    if (pg->pg_generation == atomic_load_explicit(&pager_generation, memory_order_relaxed))
        return EDB_OK;
    return edb_fail(EDB_FORKED, "%s: this handle was inherited through fork(); open the database anew in the child "
                    "(with SQLAlchemy: engine.dispose(close=False) there)", pg->pg_name);
}

uint32_t pager_ring(const pager *pg)
{
    return pg->pg_ring;
}

uint32_t pager_page_size(const pager *pg)
{
    return pg->pg_page_size;
}

const char *pager_name(const pager *pg)
{
    return pg->pg_name;
}

bool pager_is_memory(const pager *pg)
{
    return pg->pg_memory;
}

int pager_synchronous(const pager *pg)
{
    return pg->pg_synchronous;
}

int pager_pin_of_readers(const pager *pg)
{
    return pager_synchronous(pg) == SYNC_FULL ? PIN_DURABLE : PIN_PUBLISHED;
}

uint64_t pager_published(const pager *pg)
{
    return atomic_load(&pg->pg_shm->sh_published);
}

uint64_t pager_durable(const pager *pg)
{
    return atomic_load(&pg->pg_shm->sh_durable);
}

uint64_t pager_first_page(const pager *pg)
{
    return pg->pg_first_page;
}

uint64_t pager_id_next(pager *pg, uint32_t tree, uint64_t at_least)
{
    _Atomic uint64_t *word = &pg->pg_shm->sh_id[tree % SHM_IDS];
    uint64_t seen = atomic_load(word), id;

    do
        id = seen > at_least ? seen : at_least;
    while (!atomic_compare_exchange_weak(word, &seen, id + 1));
    return id;
}

bool pager_id_drawn(pager *pg, uint32_t tree)
{
    return atomic_load(&pg->pg_shm->sh_id[tree % SHM_IDS]) != 0;
}

void pager_id_raise(pager *pg, uint32_t tree, uint64_t id)
{
    shm_raise(&pg->pg_shm->sh_id[tree % SHM_IDS], id == UINT64_MAX ? id : id + 1);
}

uint32_t page_checksum(const uint8_t *page, uint32_t page_size)
{
    uint32_t crc = crc32c(0, page + 4, page_size - 4);

    return crc ? crc : 1;
}

uint64_t pager_cold_ids(const pager *pg)
{
    return atomic_load(&pg->pg_cold_ids);
}
