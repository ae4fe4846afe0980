/* What a check has found: a breach, or damage that it meets on the way. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/upkeep/check_internal.h"

void check_breach(check *ck, const char *invariant, uint64_t page, const char *format, ...)
{
    char sentence[512];
    va_list arguments;

    ck->ck_result.breaches++;
    if (!ck->ck_report)
        return;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    ck->ck_report(ck->ck_arg, invariant, page, sentence);
}

int check_damage(check *ck, int rc)
{
    const char *message = edb_message(), *at = strstr(message, "page ");
    uint64_t page = at ? strtoull(at + 5, NULL, 10) : 0;

    if (rc != EDB_CORRUPT)
        return rc;
    check_breach(ck, "I9", page, "%s", message);
    return EDB_OK;
}

static const char *const page_words[] = { "nothing", "free", "part of a list", "current", "history" };

void check_mark(check *ck, uint64_t page, uint8_t what)
{
    uint8_t before;

    if (pager_in_memory(page))      /* it stands for pages of the file that were dropped, which free space accounts for */
        return;
    if (page < pager_first_page(ck->ck_pager) || page >= ck->ck_root.sn_pages) {
        check_breach(ck, "I36", page, "page %" PRIu64 " is used as %s but lies outside the file's pages", page,
                     page_words[what]);
        return;
    }
    before = ck->ck_pages[page];
    ck->ck_pages[page] = what;
    if (before != PAGE_UNKNOWN)
        check_breach(ck, "I36", page, "page %" PRIu64 " is %s and %s at once", page, page_words[before],
                     page_words[what]);
}
