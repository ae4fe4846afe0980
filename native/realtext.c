/* Real numbers as text (realtext.h). */
#include "native/realtext.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

static locale_t plain;          /* "C"; made while the library is loaded, and never changed */

__attribute__((constructor)) static void plain_load(void)
{
    plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

int real_text(double real, int digits, char out[REAL_TEXT])
{
    locale_t before = uselocale(plain);     /* of this thread alone */
    int size = snprintf(out, REAL_TEXT, "%.*g", digits, real);

    uselocale(before);
    return size;
}

double text_real(const char *text, char **end)
{
    locale_t before = uselocale(plain);
    double real = strtod(text, end);

    uselocale(before);
    return real;
}
