/* Holding unpacked pages. See cold_hold.h.
 *
 * The cache is asked once for each page and reader: what is held already is found here, without a lock. */
#include "engine/pager/cold_hold.h"

#include <stdlib.h>
#include <string.h>

#include "engine/pager/pager_impl.h"
#include "engine/pager/strip.h"

static uint64_t key_first(uint64_t epoch, uint64_t index, uint64_t version)
{
    return (((version + epoch) * 0x9e3779b97f4a7c15ULL ^ index) * 0xd6e8feb86659fd93ULL) >> 1 | 1;
}

/* The page held with this key; NULL: none. */
static held_page *held_at(const cold_holds *ch, uint64_t key)
{
    const page_map_entry *at = page_map_find(&ch->cho_at, key);

    return at && at->pme_value ? &ch->cho_pages[at->pme_value - 1] : NULL;
}

/* NULL: it is not held; *key is what it may have. Two that have the same hash have keys one behind the other. */
static held_page *held(const cold_holds *ch, uint64_t index, uint64_t version, uint64_t *key)
{
    uint64_t unused = 0;

    for (*key = key_first(ch->cho_epoch, index, version); page_map_find(&ch->cho_at, *key); ++*key) {
        held_page *hp = held_at(ch, *key);
        if (hp && hp->hdp_index == index && hp->hdp_version == version)
            return hp;
        if (!hp && !unused)
            unused = *key;
    }
    if (unused)
        *key = unused;
    return NULL;
}

static int place_note(cold_holds *ch, size_t i)
{
    page_map_entry *at;
    int rc = page_map_put(&ch->cho_at, ch->cho_pages[i].hdp_at, &at);

    if (!rc)
        at->pme_value = i + 1;
    return rc;
}

/* Keys of pages that were let go stay in the map; when most are such, it is made anew. */
static int map_tidy(cold_holds *ch)
{
    int rc = EDB_OK;

    if (ch->cho_at.pmp_used < 4 * ch->cho_n + 1024)
        return EDB_OK;
    page_map_free(&ch->cho_at);
    for (size_t i = 0; !rc && i < ch->cho_n; i++)
        rc = place_note(ch, i);
    return rc;
}

static int hold(cold_holds *ch, const held_page *hp)
{
    int rc = list_room((void **)&ch->cho_pages, &ch->cho_room, ch->cho_n, sizeof *hp);

    if (rc)
        return rc;
    ch->cho_pages[ch->cho_n] = *hp;
    if (!(rc = place_note(ch, ch->cho_n)))
        ch->cho_n++;
    return rc;
}

/* From the cache, or unpacked for it. */
static int unpacked(pager *pg, const held_page *hp, const cold_element *ce, cached_page **out)
{
    const cache_key key = { pg->pg_cache_file, hp->hdp_index, hp->hdp_version };

    if (cache_find(key, out))
        return EDB_OK;
    cached_page *page = cache_page_new(pg->pg_page_size);
    int rc = page ? strip_unpack(pg, ce, ce->cel_ref.page, cached_bytes(page)) : edb_fail(EDB_NOMEM, "no memory to unpack history");
    if (rc)
        cache_unpin(page);
    else
        *out = cache_put(page, key);
    return rc;
}

int cold_hold(pager *pg, const cold_state *cd, uint64_t index, const cold_element *ce, const uint8_t **out, uint64_t *held_key)
{
    cold_holds *ch = cd->cd_holds;
    held_page fresh = { .hdp_index = index, .hdp_version = (uint64_t)ce->cel_ref.tag << 32 | ce->cel_place, .hdp_uses = 1 };
    int rc = map_tidy(ch);

    if (rc)
        return rc;
    held_page *hp = held(ch, index, fresh.hdp_version, &fresh.hdp_at);
    if (hp) {
        hp->hdp_uses++;
    } else {
        if ((rc = unpacked(pg, &fresh, ce, &fresh.hdp_page)))
            return rc;
        if ((rc = hold(ch, &fresh))) {
            cache_unpin(fresh.hdp_page);
            return rc;
        }
        hp = &ch->cho_pages[ch->cho_n - 1];
    }
    *out = cached_bytes(hp->hdp_page);
    *held_key = hp->hdp_at;
    return EDB_OK;
}

static void let_go(cold_holds *ch, held_page *hp)
{
    held_page *last = &ch->cho_pages[--ch->cho_n];

    cache_unpin(hp->hdp_page);
    page_map_find(&ch->cho_at, hp->hdp_at)->pme_value = 0;
    if (hp == last)
        return;
    *hp = *last;
    page_map_find(&ch->cho_at, hp->hdp_at)->pme_value = (uint64_t)(hp - ch->cho_pages) + 1;
}

void cold_leave(const cold_state *cd, uint64_t key)
{
    cold_holds *ch = cd->cd_holds;
    held_page *hp = key ? held_at(ch, key) : NULL;

    if (!hp || --hp->hdp_uses)
        return;
    hp->hdp_left = ch->cho_n_left;
    uint64_t *place = &ch->cho_left[ch->cho_n_left++ % COLD_LEFT], before = *place;
    *place = key;
    hp = before ? held_at(ch, before) : NULL;
    if (hp && !hp->hdp_uses && hp->hdp_left + COLD_LEFT < ch->cho_n_left)
        let_go(ch, hp);
}

void cold_let_go(cold_holds *ch)
{
    for (size_t i = 0; i < ch->cho_n; i++)
        cache_unpin(ch->cho_pages[i].hdp_page);
    page_map_free(&ch->cho_at);
    memset(ch->cho_left, 0, sizeof ch->cho_left);
    ch->cho_n = ch->cho_n_left = 0;
    ch->cho_epoch += 1ULL << 52;        /* places in packs and tags do not reach so far together */
}

void cold_holds_free(cold_holds *ch)
{
    if (!ch->cho_room)
        return;
    cold_let_go(ch);
    free(ch->cho_pages);
    ch->cho_pages = NULL;
    ch->cho_room = 0;
}
