/* Commit record bytes. See record.h. */
#include "engine/pager/record.h"

#include <string.h>

#include "native/crc32c.h"
#include "engine/pager/links.h"

#define RECORD_MAGIC 0x43455245u    /* "EREC" */
#define FIXED 256                 /* the fixed part */
#define YOUNG_SIZE 17
#define LIST_SIZE 9

enum {                              /* offsets of the fixed part */
    RC_CHECKSUM = 0, RC_MAGIC = 4, RC_SIZE = 8, RC_FLAGS = 12, RC_NUMBER = 16, RC_TIME = 24, RC_DURABLE = 32,
    RC_SCHEMA = 40, RC_HORIZON = 48, RC_PAGES = 56, RC_TREES = 64, RC_STAMPS = 88, RC_FREE_HEAD = 112,
    RC_FREE_SEQ = 120, RC_FREE_CHAIN = 128, RC_FREE_ENTRIES = 136, RC_FREE_NEXT = 144, RC_FREE_INDEX = 152,
    RC_N_YOUNG = 156, RC_N_TAIL = 160, RC_N_LIST = 164, RC_BEFORE = 168, RC_COLD = 172, RC_COLD_FIRST = 196,
    RC_COLD_SINCE = 204, RC_EXTRA = 212,
};

enum { RR_BASE = 40, RR_BEFORE = 48 };      /* in place of what follows RC_DURABLE in a page record */

enum {                              /* behind the fixed part of a linked page record; then the links */
    RL_FROM = FIXED, RL_LIST = RL_FROM + 8, RL_SEAL = RL_LIST + 24, RL_N_LINKS = RL_SEAL + SHA256_SIZE,
    RL_LINKS = RL_N_LINKS + 8,
};

_Static_assert(RL_LINKS + RECORD_LINKS * SHA256_SIZE + RECORD_STAMPS * 8 + RECORD_YOUNG * YOUNG_SIZE + 64 * LIST_SIZE <= RECORD_SIZE,
               "a full record still lists the pages of a small commit");

_Static_assert(RC_NUMBER == 16 && RC_TIME == 24 && RC_FLAGS == 12 && RC_SIZE == 8,
               "record_number, record_time, record_is_redo and record_size read them there");

static void store48(uint8_t *p, uint64_t v)
{
    store32(p, (uint32_t)v);
    store16(p + 4, (uint16_t)(v >> 32));
}

static uint64_t load48(const uint8_t *p)
{
    return load32(p) | (uint64_t)load16(p + 4) << 32;
}

static void array_store(uint8_t *p, const array_state *a)
{
    store64(p, a->ar_root.page);
    store32(p + 8, a->ar_root.tag);
    store32(p + 12, a->ar_levels);
    store64(p + 16, a->ar_count);
}

static void array_load(const uint8_t *p, array_state *a)
{
    a->ar_root.page = load64(p);
    a->ar_root.tag = load32(p + 8);
    a->ar_levels = load32(p + 12);
    a->ar_count = load64(p + 16);
}

static bool is_linked(const uint8_t *bytes) { return load32(bytes + RC_FLAGS) & RECORD_LINKED; }

/* Where the commit times of a page record with so many links begin. */
static uint32_t times_at(bool linked, uint32_t n_links)
{
    return linked ? RL_LINKS + n_links * SHA256_SIZE : FIXED;
}

/* The same of one that is whole. */
static uint32_t times_of(const uint8_t *bytes)
{
    bool linked = is_linked(bytes);

    return times_at(linked, linked ? load32(bytes + RL_N_LINKS) : 0);
}

uint32_t record_list_room(const snapshot *sn, uint32_t n_young)
{
    return (RECORD_SIZE - times_at(true, sn->sn_n_links) - sn->sn_tail * 8 - n_young * YOUNG_SIZE) / LIST_SIZE;
}

static void links_store(uint8_t *out, const snapshot *sn)
{
    store64(out + RL_FROM, sn->sn_links_from);
    array_store(out + RL_LIST, &sn->sn_links);
    store32(out + RL_N_LINKS, sn->sn_n_links);
    memcpy(out + RL_LINKS, sn->sn_link, sn->sn_n_links * SHA256_SIZE);
}

static void links_load(const uint8_t *bytes, snapshot *sn)
{
    sn->sn_links_from = 0;
    sn->sn_n_links = 0;
    sn->sn_links = (array_state){ .ar_count = 0 };
    memset(sn->sn_seal, 0, sizeof sn->sn_seal);
    if (!is_linked(bytes))
        return;
    sn->sn_links_from = load64(bytes + RL_FROM);
    array_load(bytes + RL_LIST, &sn->sn_links);
    memcpy(sn->sn_seal, bytes + RL_SEAL, SHA256_SIZE);
    sn->sn_n_links = load32(bytes + RL_N_LINKS);
    memcpy(sn->sn_link, bytes + RL_LINKS, sn->sn_n_links * SHA256_SIZE);
}

void record_list_store(uint8_t *out, uint64_t page, uint32_t tag)
{
    store40(out, page);
    store32(out + 5, tag);
}

void record_list_load(const uint8_t *in, uint64_t *page, uint32_t *tag)
{
    *page = load40(in);
    *tag = load32(in + 5);
}

void record_store(uint8_t out[RECORD_SIZE], const record *rc)
{
    const snapshot *sn = &rc->rc_snapshot;
    const free_state *fr = &rc->rc_free;
    uint32_t tail_size = sn->sn_tail * 8, young_size = rc->rc_n_young * YOUNG_SIZE,
             list_size = rc->rc_n_list * LIST_SIZE, times = times_at(rc->rc_flags & RECORD_LINKED, sn->sn_n_links);

    memset(out, 0, RECORD_SIZE);
    store32(out + RC_MAGIC, RECORD_MAGIC);
    store32(out + RC_SIZE, times + tail_size + young_size + list_size);
    store32(out + RC_FLAGS, rc->rc_flags);
    store64(out + RC_NUMBER, sn->sn_number);
    store64(out + RC_DURABLE, rc->rc_durable);
    store64(out + RC_SCHEMA, sn->sn_schema);
    store64(out + RC_HORIZON, sn->sn_horizon);
    store64(out + RC_PAGES, sn->sn_pages);
    array_store(out + RC_TREES, &sn->sn_trees);
    array_store(out + RC_STAMPS, &sn->sn_stamps);
    store64(out + RC_FREE_HEAD, fr->fr_head);
    store64(out + RC_FREE_SEQ, fr->fr_seq);
    store64(out + RC_FREE_CHAIN, fr->fr_chain);
    store64(out + RC_FREE_ENTRIES, fr->fr_entries);
    store64(out + RC_FREE_NEXT, fr->fr_next);
    store32(out + RC_FREE_INDEX, fr->fr_index);
    store32(out + RC_N_YOUNG, rc->rc_n_young);
    store32(out + RC_N_TAIL, sn->sn_tail);
    store32(out + RC_N_LIST, rc->rc_n_list);
    store32(out + RC_BEFORE, rc->rc_before);
    array_store(out + RC_COLD, &sn->sn_cold.cd_list);
    store64(out + RC_COLD_FIRST, sn->sn_cold.cd_first);
    store64(out + RC_COLD_SINCE, sn->sn_cold.cd_since);
    if (rc->rc_flags & RECORD_LINKED)
        links_store(out, sn);
    uint8_t *p = out + times;
    for (uint32_t i = 0; i < sn->sn_tail; i++, p += 8)
        store64(p, (uint64_t)sn->sn_tail_ns[i]);
    for (uint32_t i = 0; i < rc->rc_n_young; i++, p += YOUNG_SIZE) {
        store40(p, rc->rc_young[i].fe_page);
        store48(p + 5, rc->rc_young[i].fe_made);
        store48(p + 11, rc->rc_young[i].fe_freed);
    }
    if (list_size)
        memcpy(p, rc->rc_list, list_size);
}

void record_store_redo(uint8_t out[RECORD_SIZE], const record *rc)
{
    memset(out, 0, REDO_HEAD);
    store32(out + RC_MAGIC, RECORD_MAGIC);
    store32(out + RC_SIZE, REDO_HEAD + SHA256_SIZE + rc->rc_changes_size);
    store32(out + RC_FLAGS, RECORD_REDO | RECORD_LINKED);
    store64(out + RC_NUMBER, rc->rc_snapshot.sn_number);
    store64(out + RC_DURABLE, rc->rc_durable);
    store64(out + RR_BASE, rc->rc_base);
    store32(out + RR_BEFORE, rc->rc_before);
    memcpy(out + REDO_HEAD + SHA256_SIZE, rc->rc_changes, rc->rc_changes_size);
}

void record_stamp(uint8_t bytes[RECORD_SIZE], int64_t time_ns, const uint8_t *link, const uint8_t *seal)
{
    store64(bytes + RC_TIME, (uint64_t)time_ns);
    if (record_is_redo(bytes)) {
        memcpy(bytes + REDO_HEAD, link, SHA256_SIZE);
    } else {
        uint32_t times = times_of(bytes);
        store64(bytes + times + (load32(bytes + RC_N_TAIL) - 1) * 8, (uint64_t)time_ns);
        if (link) {
            memcpy(bytes + times - SHA256_SIZE, link, SHA256_SIZE);     /* the last */
            memcpy(bytes + RL_SEAL, seal, SHA256_SIZE);
        }
    }
    store32(bytes, crc32c(0, bytes + 4, load32(bytes + RC_SIZE) - 4));
}

bool record_whole(const uint8_t bytes[RECORD_SIZE], uint64_t *number)
{
    uint32_t size = load32(bytes + RC_SIZE);

    if (load32(bytes + RC_MAGIC) != RECORD_MAGIC || size < REDO_HEAD || size > RECORD_SIZE
        || load32(bytes) != crc32c(0, bytes + 4, size - 4) || load64(bytes + RC_NUMBER) >= COMMIT_LIMIT)
        return false;
    *number = load64(bytes + RC_NUMBER);
    return true;
}

/* Whether the counts of links are possible: each commit from the first linked one on has one. */
static bool links_fit(const uint8_t *bytes)
{
    uint64_t from = load64(bytes + RL_FROM), number = load64(bytes + RC_NUMBER), elements = load64(bytes + RL_LIST + 16);
    uint64_t n = load32(bytes + RL_N_LINKS), links = links_in(elements);

    return from && from <= number && elements < COMMIT_LIMIT && n >= 1 && n <= RECORD_LINKS && links % RECORD_LINKS == 0
        && elements == links + links / LINKS_GROUP && links + n == number - from + 1;
}

/* Whether counts and commit numbers are possible; whatever they say of pages is verified when the pages are touched. */
static bool counts_fit(const uint8_t *bytes)
{
    bool linked = is_linked(bytes);

    if (load32(bytes + RC_SIZE) < times_at(linked, 0) || (linked && !links_fit(bytes)))
        return false;
    uint64_t n_young = load32(bytes + RC_N_YOUNG), n_tail = load32(bytes + RC_N_TAIL);
    uint64_t n_list = load32(bytes + RC_N_LIST), stamps = load64(bytes + RC_STAMPS + 16);

    return n_tail >= 1 && n_tail <= RECORD_STAMPS && n_young <= RECORD_YOUNG && n_list <= RECORD_SIZE
        && times_of(bytes) + n_tail * 8 + n_young * YOUNG_SIZE + n_list * LIST_SIZE <= load32(bytes + RC_SIZE)
        && stamps < COMMIT_LIMIT && stamps + n_tail - 1 == load64(bytes + RC_NUMBER)
        && load64(bytes + RC_DURABLE) <= load64(bytes + RC_NUMBER)
        && load64(bytes + RC_COLD + 16) < COLD_MOST && load64(bytes + RC_COLD_FIRST) <= load64(bytes + RC_COLD + 16)
        && !(load32(bytes + RC_FLAGS) & ~(uint32_t)(RECORD_BIG | RECORD_LINKED));
}

bool record_load_snapshot(const uint8_t bytes[RECORD_SIZE], snapshot *sn)
{
    if (!counts_fit(bytes))
        return false;
    sn->sn_number = load64(bytes + RC_NUMBER);
    sn->sn_time_ns = (int64_t)load64(bytes + RC_TIME);
    sn->sn_schema = load64(bytes + RC_SCHEMA);
    sn->sn_horizon = load64(bytes + RC_HORIZON);
    sn->sn_pages = load64(bytes + RC_PAGES);
    array_load(bytes + RC_TREES, &sn->sn_trees);
    array_load(bytes + RC_STAMPS, &sn->sn_stamps);
    array_load(bytes + RC_COLD, &sn->sn_cold.cd_list);
    sn->sn_cold.cd_first = load64(bytes + RC_COLD_FIRST);
    sn->sn_cold.cd_since = load64(bytes + RC_COLD_SINCE);
    sn->sn_cold.cd_holds = NULL;
    if (!sn->sn_cold.cd_since)          /* written by those who did not know of cold ids yet */
        sn->sn_cold.cd_since = sn->sn_number + 1;
    links_load(bytes, sn);
    sn->sn_tail = load32(bytes + RC_N_TAIL);
    memcpy(sn->sn_tail_ns, bytes + times_of(bytes), sn->sn_tail * 8);
    return true;
}

static bool redo_load(const uint8_t *bytes, record *rc)
{
    uint64_t number = load64(bytes + RC_NUMBER), base = load64(bytes + RR_BASE);
    bool linked = is_linked(bytes);
    uint32_t head = REDO_HEAD + (linked ? SHA256_SIZE : 0);

    if ((load32(bytes + RC_FLAGS) & ~(uint32_t)RECORD_LINKED) != RECORD_REDO || load32(bytes + RC_SIZE) < head || base >= number || number - base > REDO_COMMITS
        || load64(bytes + RC_DURABLE) >= number)
        return false;
    rc->rc_snapshot = (snapshot){ .sn_number = number, .sn_time_ns = (int64_t)load64(bytes + RC_TIME) };
    rc->rc_flags = load32(bytes + RC_FLAGS);
    rc->rc_link = linked ? bytes + REDO_HEAD : NULL;
    rc->rc_before = load32(bytes + RR_BEFORE);
    rc->rc_checksum = load32(bytes);
    rc->rc_durable = load64(bytes + RC_DURABLE);
    rc->rc_base = base;
    rc->rc_changes = bytes + head;
    rc->rc_changes_size = load32(bytes + RC_SIZE) - head;
    rc->rc_n_young = rc->rc_n_list = 0;
    return true;
}

bool record_load(const uint8_t bytes[RECORD_SIZE], record *rc)
{
    if (record_is_redo(bytes))
        return redo_load(bytes, rc);
    if (!record_load_snapshot(bytes, &rc->rc_snapshot))
        return false;
    rc->rc_flags = load32(bytes + RC_FLAGS);
    rc->rc_before = load32(bytes + RC_BEFORE);
    rc->rc_checksum = load32(bytes);
    rc->rc_durable = load64(bytes + RC_DURABLE);
    rc->rc_base = rc->rc_snapshot.sn_number;
    rc->rc_link = rc->rc_changes = NULL;
    rc->rc_changes_size = 0;
    rc->rc_free = (free_state){
        .fr_head = load64(bytes + RC_FREE_HEAD),
        .fr_seq = load64(bytes + RC_FREE_SEQ),
        .fr_chain = load64(bytes + RC_FREE_CHAIN),
        .fr_entries = load64(bytes + RC_FREE_ENTRIES),
        .fr_next = load64(bytes + RC_FREE_NEXT),
        .fr_index = load32(bytes + RC_FREE_INDEX),
    };
    rc->rc_n_young = load32(bytes + RC_N_YOUNG);
    const uint8_t *p = bytes + times_of(bytes) + rc->rc_snapshot.sn_tail * 8;
    for (uint32_t i = 0; i < rc->rc_n_young; i++, p += YOUNG_SIZE)
        rc->rc_young[i] = (free_entry){ load40(p), load48(p + 5), load48(p + 11) };
    rc->rc_list = p;
    rc->rc_n_list = load32(bytes + RC_N_LIST);
    return true;
}
