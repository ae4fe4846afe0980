/* The list of commit times: the newest stand in the record, older ones in pages. */
#include <string.h>

#include "engine/pager/array.h"
#include "engine/pager/pager_impl.h"

int stamps_add(pager_commit *pc, snapshot *sn, int64_t time_ns)
{
    if (sn->sn_tail == RECORD_STAMPS) {         /* the record's own move to the list, which leaves room for this one */
        uint8_t bytes[RECORD_STAMPS * 8];
        memcpy(bytes, sn->sn_tail_ns, sizeof bytes);
        int rc = array_set(pc, &sn->sn_stamps, 0, 8, sn->sn_stamps.ar_count, bytes, RECORD_STAMPS);
        if (rc)
            return rc;
        sn->sn_tail = 0;
    }
    sn->sn_tail_ns[sn->sn_tail++] = time_ns;
    return EDB_OK;
}
