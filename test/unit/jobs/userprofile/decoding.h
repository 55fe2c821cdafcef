/* decoding.h -- the job's decoder as an operator of a harness: messages in, events and refusals
 * out.
 *
 * The harness brings the ctx that a format needs; a refusal is a dead letter. Thread: one. */
#ifndef USERPROFILE_DECODING_H
#define USERPROFILE_DECODING_H

#include "jobs/userprofile/event.h"
#include <weir/testing.h>

static inline weir_error *decoding_on_message(weir_ctx *ctx, const void *record)
{
    struct weir_format format = event_format();
    struct event event = { .ids = { { .data = NULL } } };
    WEIR_TRY(format.format_class->decode(&format, ctx, record, &event));
    weir_emit(ctx, event, &event);
    return NULL;
}

static const struct weir_operator decoding = { .name = "decoding",
    .in = &weir_message_type,
    .out = &event_type,
    .on_record = decoding_on_message };

#endif
