/* weir.h -- everything a job needs: include this one.
 *
 * Read job.h first (how a job is written), then operator.h (what an operator may do), type.h (what a
 * record is) and connector.h (sources, sinks, formats). testing.h (tests of operators)
 * and json.h (formats of a job's own) are included on their own. */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <weir/connector.h>
#include <weir/error.h>
#include <weir/job.h>
#include <weir/operator.h>
#include <weir/type.h>

#define WEIR_VERSION "0.1.0"

#endif
