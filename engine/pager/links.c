/* The list of links: the newest stand in the record, older ones in pages. See links.h.
 *
 *     list     [ link f ] .. [ link f+255 ] [ seal f+255 ] [ link f+256 ] .. [ link f+511 ] [ seal f+511 ] ..
 *     record   the last 1 to 16 links, and the seal of the newest
 *
 * The record's own move to the list when they are RECORD_LINKS and another one comes. 256 is a multiple of that, so a group ends
 * exactly with such a move, and the seal of the newest commit is then the one to be kept. */
#include "engine/pager/links.h"

#include <assert.h>
#include <string.h>

#include "engine/pager/array.h"
#include "engine/pager/pager_impl.h"

_Static_assert(LINKS_GROUP % RECORD_LINKS == 0, "a group ends with a move");

const uint8_t content_of_nothing[SHA256_SIZE] = {
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
};

void link_of(uint64_t number, int64_t time_ns, const uint8_t content[SHA256_SIZE], uint8_t out[SHA256_SIZE])
{
    uint8_t bytes[16 + SHA256_SIZE];

    store64(bytes, number);
    store64(bytes + 8, (uint64_t)time_ns);
    memcpy(bytes + 16, content, SHA256_SIZE);
    sha256_of(bytes, sizeof bytes, out);
}

void seal_of(const uint8_t before[SHA256_SIZE], const uint8_t link[SHA256_SIZE], uint8_t out[SHA256_SIZE])
{
    uint8_t bytes[2 * SHA256_SIZE];

    memcpy(bytes, before, SHA256_SIZE);
    memcpy(bytes + SHA256_SIZE, link, SHA256_SIZE);
    sha256_of(bytes, sizeof bytes, out);
}

/* Where the i'th link stands in the list. */
static uint64_t link_place(uint64_t i)
{
    return i + i / LINKS_GROUP;
}

int links_add(pager_commit *pc, snapshot *sn, uint64_t number)
{
    uint8_t elements[(RECORD_LINKS + 1) * SHA256_SIZE];
    uint64_t n = RECORD_LINKS;

    if (!sn->sn_links_from)
        sn->sn_links_from = number;
    if (sn->sn_n_links == RECORD_LINKS) {
        memcpy(elements, sn->sn_link, sizeof sn->sn_link);
        if ((links_in(sn->sn_links.ar_count) + n) % LINKS_GROUP == 0)
            memcpy(elements + SHA256_SIZE * n++, sn->sn_seal, SHA256_SIZE);
        int rc = array_set(pc, &sn->sn_links, 0, SHA256_SIZE, sn->sn_links.ar_count, elements, n);
        if (rc)
            return rc;
        sn->sn_n_links = 0;
    }
    memset(sn->sn_link[sn->sn_n_links++], 0, SHA256_SIZE);
    return EDB_OK;
}

void links_set(snapshot *sn, const uint8_t before[SHA256_SIZE], const uint8_t link[SHA256_SIZE])
{
    assert(sn->sn_n_links);
    memcpy(sn->sn_link[sn->sn_n_links - 1], link, SHA256_SIZE);
    seal_of(before, link, sn->sn_seal);
}

int links_get(pager *pg, const snapshot *sn, uint64_t number, uint8_t out[SHA256_SIZE])
{
    const uint8_t *element;

    assert(sn->sn_links_from && number >= sn->sn_links_from && number <= sn->sn_number);
    if (sn->sn_number - number < sn->sn_n_links) {
        memcpy(out, sn->sn_link[sn->sn_n_links - 1 - (sn->sn_number - number)], SHA256_SIZE);
        return EDB_OK;
    }
    int rc = array_get(pg, &sn->sn_links, SHA256_SIZE, link_place(number - sn->sn_links_from), &element);
    if (!rc)
        memcpy(out, element, SHA256_SIZE);
    return rc;
}

int links_kept_seal(pager *pg, const snapshot *sn, uint64_t group, uint8_t out[SHA256_SIZE], bool *there)
{
    uint64_t place = group * (LINKS_GROUP + 1) + LINKS_GROUP;
    const uint8_t *element;

    *there = place < sn->sn_links.ar_count;
    if (!*there)
        return EDB_OK;
    int rc = array_get(pg, &sn->sn_links, SHA256_SIZE, place, &element);
    if (!rc)
        memcpy(out, element, SHA256_SIZE);
    return rc;
}
