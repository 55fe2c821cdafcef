/* msgpack_fuzz.c -- no bytes make the reader read or write out of bounds, allocate more than it
 * says, or accept a record that does not survive being written again. Layout's check gets the same
 * bytes: what it lets pass may be opened. */
#include "base/buffer.h"
#include "types/layout.h"
#include "types/msgpack.h"

struct all {
    bool truth;
    int32_t i32;
    uint32_t u32;
    int64_t i64;
    uint64_t u64;
    double f64;
    weir_str text;
    weir_str more;
};
WEIR_TYPE(all, WEIR_FIELD(1, all, truth), WEIR_FIELD(2, all, i32), WEIR_FIELD(3, all, u32),
    WEIR_FIELD(4, all, i64), WEIR_FIELD(5, all, u64), WEIR_FIELD(6, all, f64),
    WEIR_FIELD(7, all, text), WEIR_FIELD(200, all, more));

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_str(weir_str a, weir_str b)
{
    ASSERT((a.data == NULL) == (b.data == NULL));
    ASSERT(weir_str_equal(a, b)); /* reads every byte of both */
}

static void check_equal(const struct all *a, const struct all *b)
{
    ASSERT(a->truth == b->truth && a->i32 == b->i32 && a->u32 == b->u32);
    ASSERT(a->i64 == b->i64 && a->u64 == b->u64);
    ASSERT(memcmp(&a->f64, &b->f64, sizeof(a->f64)) == 0);
    check_str(a->text, b->text);
    check_str(a->more, b->more);
}

static void check_msgpack(weir_str bytes)
{
    static weir_buffer *again;
    if (again == NULL)
        again = weir_buffer_new(1 << 22);
    struct arena arena;
    arena_init(&arena, 64, bytes.size + 16 * 64 + 64);
    struct all got, copied, reread;
    weir_error *error = msgpack_decode(&all_type, bytes, NULL, &got);
    weir_error *other = msgpack_decode(&all_type, bytes, &arena, &copied);
    ASSERT((error == NULL) == (other == NULL));
    if (error == NULL) {
        check_equal(&got, &copied);
        weir_buffer_reset(again);
        msgpack_encode(&all_type, &got, again);
        ASSERT(!weir_buffer_overflowed(again));
        ASSERT(msgpack_decode(&all_type, weir_buffer_view(again), NULL, &reread) == NULL);
        check_equal(&got, &reread);
    }
    weir_error_free(error);
    weir_error_free(other);
    arena_release(&arena);
}

static void check_layout(weir_str bytes)
{
    struct layout layout;
    layout_init(&layout, &all_type);
    weir_error *error = layout_check(&layout, bytes.data, bytes.size);
    if (error == NULL) {
        struct all got;
        layout_read(&layout, bytes.data, &got);
        check_equal(&got, &got);
    }
    weir_error_free(error);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    weir_str view = { .data = (const char *)bytes, .size = size };
    check_msgpack(view);
    check_layout(view);
    return 0;
}
