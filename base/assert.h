/* assert.h -- belief, checked: ASSERT stays on in release, DEBUG_ASSERT is for per-record paths.
 *
 * A failed ASSERT is a defect of Weir or of a caller, never bad input. It prints the expression and
 * the place and aborts: the job restarts from its last checkpoint, which is safe, where going on
 * with a broken invariant is not. What cannot be reached: ASSERT(false && "why"). */
#ifndef WEIR_BASE_ASSERT_H
#define WEIR_BASE_ASSERT_H

_Noreturn void assert_failed(const char *expression, const char *file, int line);

#define ASSERT(expression_) \
    (__builtin_expect(!!(expression_), 1) ? (void)0 \
                                          : assert_failed(#expression_, __FILE__, __LINE__))

#ifdef WEIR_DEBUG
#define DEBUG_ASSERT(expression_) ASSERT(expression_)
#else
#define DEBUG_ASSERT(expression_) ((void)sizeof(!!(expression_)))
#endif

#endif
