/* stored.h -- one record as stored bytes: an expiry if its state has a time to live, then its layout.
 *
 *      OFFSET SIZE  MEANING
 *           0    8  only with a TTL: i64, little-endian, the time in ms after which it is gone
 *      0 or 8    n  layout bytes (types/layout.h)
 *
 * A write stamps the record: processing time with the clock, event time with the larger of the
 * record's timestamp and the watermark. Both may still be unknown (INT64_MIN): then the first
 * watermark ends it. It is gone when the clock, or the watermark, is past stamp + TTL.
 *
 * Thread: a form is immutable after init. */
#ifndef WEIR_STATE_STORED_H
#define WEIR_STATE_STORED_H

#include "types/layout.h"
#include <weir/operator.h>

#define STORED_EXPIRY_SIZE sizeof(uint64_t)

/* How the records of one state are stored. Thread: immutable after init. */
struct stored_form {
    struct layout layout;
    int64_t ttl_ms; /* 0: none */
    enum weir_time ttl_time;
    uint32_t header_size; /* STORED_EXPIRY_SIZE with a TTL, else 0 */
    size_t fixed_size;    /* header and struct */
};

/* Thread: its owner. */
struct stored_time {
    int64_t now_ms, watermark_ms, timestamp_ms;
};

void stored_form_init(struct stored_form *form, const struct weir_state *state);

/* When what is written now expires; only with a TTL. */
int64_t stored_expiry(const struct stored_form *form, const struct stored_time *time);
void stored_put_expiry(void *bytes, int64_t expires_ms);
int64_t stored_get_expiry(const void *bytes);
/* Of bytes with a header, if the form has one. */
bool stored_is_expired(const struct stored_form *form, const struct stored_time *time,
    const void *bytes);

/* The layout bytes in `value`; NULL data when it has none (no value) or has expired.
 * WEIR_E_CORRUPT when they cannot be opened: wrong size, strings outside. */
weir_error *stored_open(const struct stored_form *form, const struct stored_time *time,
    weir_str value, weir_str *layout) WEIR_MUST_USE;

/* Bytes that stored_write writes; SIZE_MAX: larger than WEIR_RECORD_SIZE_MAX. */
size_t stored_size(const struct stored_form *form, const void *record);
void stored_write(const struct stored_form *form, const struct stored_time *time,
    const void *record, void *bytes);

#endif
