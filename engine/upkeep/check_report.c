/* What a check has found: a breach, or damage that it meets on the way. */
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
