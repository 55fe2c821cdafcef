/* decimal.h -- amounts: a JSON number as written, in units of 0.0001, exactly.
 *
 * Money never goes through a double: 0.00005 and 2.675 have none that is equal. The number is read
 * digit by digit as 0.DIGITS times ten to the power of `point`, DIGITS without leading zeros, so
 * its units have point + 4 digits and the digit behind those decides the rounding, half away from
 * zero. Nothing is ever expanded: 1e999999999 only makes `point` large, and a million digits are
 * walked over once.
 *
 * Thread: any. */
#ifndef USERPROFILE_DECIMAL_H
#define USERPROFILE_DECIMAL_H

#include <weir/type.h>

#define DECIMAL_DIGITS    4                          /* behind the point: a unit is 0.0001 */
#define DECIMAL_UNITS_MAX INT64_C(10000000000000000) /* an amount is within plus and minus this */
#define DECIMAL_TEXT_MAX  24                         /* bytes that decimal_print writes at most */

/* `text` is a JSON number . False: out of range, after rounding. */
bool decimal_parse(weir_str text, int64_t *units);

/* The digits of a number, written backwards from `end`; returns where they start. At most 20. */
char *decimal_digits(uint64_t number, char *end);
/* With four decimals: -0.0001, 0.0000; never -0.0000. Returns the size; no terminator. */
size_t decimal_print(int64_t units, char *to);

#endif
