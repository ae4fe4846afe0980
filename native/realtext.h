/* Real numbers as text and back, with a point whatever the locale of the process is.
 *
 * printf() and strtod() take the decimal sign of LC_NUMERIC, which any part of a program may set. What is stored, or compared
 * with what is stored, must not depend on that. */
#ifndef EDB_REALTEXT_H
#define EDB_REALTEXT_H

enum { REAL_TEXT = 32 };        /* bytes that are enough for 17 digits */

/* As "%.*g" writes it. -> its size, without the zero behind it */
int real_text(double real, int digits, char out[REAL_TEXT]);
/* As strtod(). */
double text_real(const char *text, char **end);

#endif
