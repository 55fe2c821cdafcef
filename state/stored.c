/* stored.c -- see stored.h. What is opened comes from a backend whose files were verified when they
 * were restored; the checks here are the second fence, cheap enough to stay up: a comparison for a
 * type without strings, a few for each string. */
#include "state/stored.h"

#include "base/assert.h"

#include <endian.h>

void stored_form_init(struct stored_form *form, const struct weir_state *state)
{
    ASSERT(state->name != NULL && state->type != NULL && state->ttl_ms >= 0);
    *form = (struct stored_form){ .ttl_ms = state->ttl_ms, .ttl_time = state->ttl_time };
    layout_init(&form->layout, state->type);
    form->header_size = state->ttl_ms == 0 ? 0 : STORED_EXPIRY_SIZE;
    form->fixed_size = form->header_size + form->layout.size;
    ASSERT(form->fixed_size >= form->layout.size && form->header_size % LAYOUT_ALIGNMENT == 0);
}

int64_t stored_expiry(const struct stored_form *form, const struct stored_time *time)
{
    DEBUG_ASSERT(form->ttl_ms > 0);
    int64_t stamp = time->now_ms;
    if (form->ttl_time == WEIR_EVENT_TIME)
        stamp = time->timestamp_ms > time->watermark_ms ? time->timestamp_ms : time->watermark_ms;
    int64_t expires_ms;
    return __builtin_add_overflow(stamp, form->ttl_ms, &expires_ms) ? INT64_MAX : expires_ms;
}

void stored_put_expiry(void *bytes, int64_t expires_ms)
{
    uint64_t stored = htole64((uint64_t)expires_ms);
    memcpy(bytes, &stored, sizeof(stored));
}

int64_t stored_get_expiry(const void *bytes)
{
    uint64_t stored;
    memcpy(&stored, bytes, sizeof(stored));
    return (int64_t)le64toh(stored);
}

bool stored_is_expired(const struct stored_form *form, const struct stored_time *time,
    const void *bytes)
{
    if (form->header_size == 0)
        return false;
    int64_t now_ms = form->ttl_time == WEIR_EVENT_TIME ? time->watermark_ms : time->now_ms;
    return now_ms > stored_get_expiry(bytes);
}

weir_error *stored_open(const struct stored_form *form, const struct stored_time *time,
    weir_str value, weir_str *layout)
{
    *layout = (weir_str){ 0 };
    if (value.data == NULL)
        return NULL;
    bool has_strings = form->layout.string_count > 0;
    bool is_whole = has_strings ? value.size >= form->fixed_size : value.size == form->fixed_size;
    if (__builtin_expect(!is_whole, 0))
        return weir_errorf(WEIR_E_CORRUPT,
            "a stored entry has %zu bytes instead of %zu: restore another checkpoint",
            (size_t)value.size, form->fixed_size);
    if (stored_is_expired(form, time, value.data))
        return NULL;
    weir_str bytes = { .data = value.data + form->header_size,
        .size = value.size - form->header_size };
    if (has_strings)
        WEIR_TRY(layout_check(&form->layout, bytes.data, bytes.size));
    *layout = bytes;
    return NULL;
}

size_t stored_size(const struct stored_form *form, const void *record)
{
    size_t size = layout_size(&form->layout, record);
    return size > WEIR_RECORD_SIZE_MAX ? SIZE_MAX : form->header_size + size;
}

void stored_write(const struct stored_form *form, const struct stored_time *time,
    const void *record, void *bytes)
{
    if (form->header_size != 0)
        stored_put_expiry(bytes, stored_expiry(form, time));
    layout_write(&form->layout, record, (char *)bytes + form->header_size);
}
