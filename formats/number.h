/* number.h -- decimal numbers in text: strict, of their exact range, and independent of the locale.
 *
 *     integer   [-] digits                              "-0" and "007" are numbers, "+1" is not
 *     double    [-] digits [. digits] [e [+-] digits]   or NaN, Infinity, -Infinity
 *
 * Nothing around them, no hexadecimal, no empty parts ("1.", ".5"). What does not fit its type is
 * refused, not clamped; of a double that is what rounds to infinity. A double is the nearest one to
 * the decimal, and is printed with as few digits as read back to the same bits.
 *
 * Cost: a double of up to 19 digits and a small exponent takes a multiplication (Clinger's fast path,
 * exact below 2^53 and 10^22); the others strtod of libc in the C locale.
 * Limit: a double has at most NUMBER_TEXT_MAX bytes. Thread: any. */
#ifndef WEIR_FORMATS_NUMBER_H
#define WEIR_FORMATS_NUMBER_H

#include <weir/connector.h>

#define NUMBER_TEXT_MAX 1000

/* False: not such a number, or out of range; `*value` is unchanged. */
bool number_parse_i64(weir_str text, int64_t min, int64_t max, int64_t *value);
bool number_parse_u64(weir_str text, uint64_t max, uint64_t *value);
bool number_parse_f64(weir_str text, double *value);

void number_print_i64(weir_buffer *out, int64_t value);
void number_print_u64(weir_buffer *out, uint64_t value);
void number_print_f64(weir_buffer *out, double value);

#endif
