/* Keys of a section as bytes. See pack_parts.h.
 *
 * Keys of one size (row ids; entries of most indexes) stand in *planes*: all their first bytes, then all their second bytes,
 * and so on, each plane either as it is or as differences to the key before. Sorted keys have planes that hardly change, and
 * planes of digits that a code of short words takes. Other keys share a beginning with the key before. */
#include "engine/cold/pack_parts.h"

enum { KEYS_PREFIXED = 0 };         /* else size << 1 | the first key is empty, and not in the planes */

static const page_entry *key_at(const section *se, size_t version)
{
    return &section_versions(se)[version].ve_entry;
}

/* The size that all keys have, the first being empty aside; 0: there is none. */
static uint32_t common_size(const section *se, bool *first_empty)
{
    uint32_t size = 0;

    *first_empty = se->sec_versions && key_at(se, 0)->key_size == 0;
    for (size_t i = 0; i < se->sec_versions; i++) {
        uint32_t own = key_at(se, i)->key_size;
        if (section_versions(se)[i].ve_key == 0 && *first_empty)
            continue;
        if (own == 0 || (size && own != size))
            return 0;
        size = own;
    }
    return size;
}

/* Byte `at` of each key in the planes; -> how many. */
static size_t plane_take(const section *se, uint32_t at, bool first_empty, uint8_t *out)
{
    const table_version *table = section_versions(se);
    size_t n = 0;

    for (size_t i = 0; i < se->sec_versions; i++)
        if ((i == 0 || table[i].ve_key != table[i - 1].ve_key) && !(first_empty && table[i].ve_key == 0))
            out[n++] = table[i].ve_entry.key[at];
    return n;
}

/* How alike bytes are: the more, the fewer bits they need. */
static uint64_t likeness(const uint8_t *bytes, size_t n, bool differences)
{
    uint32_t count[256] = { 0 };
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        count[(uint8_t)(bytes[i] - (differences && i ? bytes[i - 1] : 0))]++;
    for (unsigned i = 0; i < 256; i++)
        sum += (uint64_t)count[i] * count[i];
    return sum;
}

static void plane_write(uint8_t *plane, size_t n, stream_out *forms)
{
    uint8_t differs = likeness(plane, n, true) > likeness(plane, n, false);

    out_bytes(forms, &differs, 1);
    for (size_t i = n; differs && i-- > 1;)
        plane[i] = (uint8_t)(plane[i] - plane[i - 1]);
}

static void prefixed_write(const section *se, stream_out *forms, stream_out *bytes)
{
    const table_version *table = section_versions(se);
    const page_entry *before = NULL;

    for (size_t i = 0; i < se->sec_versions; i++) {
        const page_entry *e = &table[i].ve_entry;
        uint32_t same = 0;
        if (i && table[i].ve_key == table[i - 1].ve_key)
            continue;
        while (before && same < before->key_size && same < e->key_size && before->key[same] == e->key[same])
            same++;
        out_varint(forms, same);
        out_varint(forms, e->key_size - same);
        out_bytes(bytes, e->key + same, e->key_size - same);
        before = e;
    }
}

void keys_write(const section *se, stream_out *forms, stream_out *bytes)
{
    bool first_empty;
    uint32_t size = common_size(se, &first_empty);

    out_varint(forms, size ? size << 1 | first_empty : KEYS_PREFIXED);
    if (!size) {
        prefixed_write(se, forms, bytes);
        return;
    }
    for (uint32_t i = 0; i < size; i++) {
        uint8_t *plane = out_room(bytes, se->sec_keys);
        if (!plane)
            return;
        size_t n = plane_take(se, i, first_empty, plane);
        plane_write(plane, n, forms);
        bytes->sot_size += n;
    }
}

bool keys_open(key_reader *kr, stream_in *forms, stream_in *bytes, uint8_t *key, uint32_t most, uint32_t keys)
{
    *kr = (key_reader){ .kyr_forms = forms, .kyr_bytes = bytes, .kyr_key = key, .kyr_most = most };
    uint32_t form = in_most(forms, most << 1 | 1);
    if (form == KEYS_PREFIXED || forms->in_bad)
        return !forms->in_bad;
    kr->kyr_size = form >> 1;
    kr->kyr_first_empty = form & 1;
    kr->kyr_planes_keys = keys - (kr->kyr_first_empty && keys);
    kr->kyr_differs = in_bytes(forms, kr->kyr_size);
    kr->kyr_planes = in_bytes(bytes, (size_t)kr->kyr_size * kr->kyr_planes_keys);
    return kr->kyr_size && kr->kyr_differs && kr->kyr_planes;
}

/* -> whether it comes behind the key before. */
static bool planes_next(key_reader *kr, uint32_t at)
{
    bool more = at == 0 || kr->kyr_key_size == 0, decided = more;

    if (at >= kr->kyr_planes_keys)
        return false;
    const uint8_t *from = kr->kyr_planes + at;
    for (uint32_t i = 0; i < kr->kyr_size; i++, from += kr->kyr_planes_keys) {
        uint8_t was = at ? kr->kyr_key[i] : 0, is = (uint8_t)(*from + (kr->kyr_differs[i] ? was : 0));
        if (!decided && is != was) {
            more = is > was;
            decided = true;
        }
        kr->kyr_key[i] = is;
    }
    kr->kyr_key_size = kr->kyr_size;
    return more;
}

static bool prefixed_next(key_reader *kr)
{
    uint32_t same = in_most(kr->kyr_forms, kr->kyr_key_size), rest = in_most(kr->kyr_forms, kr->kyr_most - same);
    const uint8_t *bytes = in_bytes(kr->kyr_bytes, rest);

    if (kr->kyr_forms->in_bad || !bytes)
        return false;
    /* Where both go on, the first byte behind what they share decides; else the longer is the greater. */
    bool more = kr->kyr_done == 0 || (rest && (same == kr->kyr_key_size || bytes[0] > kr->kyr_key[same]));
    memcpy(kr->kyr_key + same, bytes, rest);
    kr->kyr_key_size = same + rest;
    return more;
}

bool keys_next(key_reader *kr)
{
    bool fine;

    if (!kr->kyr_planes)
        fine = prefixed_next(kr);
    else if (kr->kyr_first_empty && kr->kyr_done == 0)
        fine = true;                /* and kyr_key_size is 0 */
    else
        fine = planes_next(kr, kr->kyr_done - kr->kyr_first_empty);
    kr->kyr_done++;
    return fine;
}
