/* layout_test.c -- records survive the way through bytes, and damaged bytes are found. */
#include "types/layout.h"

#include "test/support/expect.h"

#include <stdlib.h>

struct visit {
    weir_str page;
    uint64_t user_id;
    bool is_paid;
    weir_str referrer;
};
WEIR_TYPE(visit, WEIR_FIELD(1, visit, page), WEIR_FIELD(2, visit, user_id),
    WEIR_FIELD(3, visit, is_paid), WEIR_FIELD(4, visit, referrer));

struct point {
    int64_t x;
    double y;
};
WEIR_TYPE(point, WEIR_FIELD(1, point, x), WEIR_FIELD(2, point, y));

/* Every meeting of NULL, empty, short and long strings, bytes of all values included. */
static char long_text[3000];
static const weir_str texts[] = { { NULL, 0 }, { "", 0 }, { "a", 1 }, { "\0\xff", 2 },
    { long_text, sizeof(long_text) } };

static void expect_visit(const struct visit *got, const struct visit *sent)
{
    assert_int_equal(got->user_id, sent->user_id);
    assert_int_equal(got->is_paid, sent->is_paid);
    assert_true(weir_str_equal(got->page, sent->page));
    assert_true(weir_str_equal(got->referrer, sent->referrer));
    assert_int_equal(got->page.data == NULL, sent->page.data == NULL);
    assert_int_equal(got->referrer.data == NULL, sent->referrer.data == NULL);
}

static void a_record_survives_the_way_through_bytes(void **state)
{
    struct layout layout;
    layout_init(&layout, &visit_type);
    assert_int_equal(layout.string_count, 2);
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        for (size_t j = 0; j < COUNT_OF(texts); j++) {
            struct visit sent = { .page = texts[i],
                .user_id = 7,
                .is_paid = true,
                .referrer = texts[j] };
            struct visit got;
            size_t size = layout_size(&layout, &sent);
            assert_int_equal(size, sizeof(sent) + texts[i].size + texts[j].size);
            char *bytes = malloc(size); /* exactly, so that ASan sees a byte too many */
            layout_write(&layout, &sent, bytes);
            expect_ok(layout_check(&layout, bytes, size));
            layout_read(&layout, bytes, &got);
            expect_visit(&got, &sent);
            layout_read(&layout, bytes, &got); /* reading changes nothing */
            expect_visit(&got, &sent);
            expect_visit(layout_open(&layout, bytes), &sent);
            free(bytes);
        }
}

static void equal_records_have_equal_bytes(void **state)
{
    struct layout layout;
    layout_init(&layout, &visit_type);
    char a[] = "page", b[] = "page", one[100], other[100];
    struct visit visit;
    memset(&visit, 0, sizeof(visit));
    visit.page = weir_str_of(a);
    layout_write(&layout, &visit, one);
    visit.page = weir_str_of(b);
    visit.referrer.size = 12345; /* means nothing without data */
    layout_write(&layout, &visit, other);
    assert_memory_equal(one, other, layout_size(&layout, &visit));
}

static void a_type_without_strings_is_a_copy(void **state)
{
    struct layout layout;
    layout_init(&layout, &point_type);
    assert_int_equal(layout.string_count, 0);
    struct point sent = { .x = -1, .y = 2.5 }, copied, written;
    assert_int_equal(layout_size(&layout, &sent), sizeof(sent));
    layout_copy_fixed(&layout, &sent, &copied);
    layout_write(&layout, &sent, &written);
    assert_memory_equal(&copied, &sent, sizeof(sent));
    assert_memory_equal(&written, &sent, sizeof(sent));
    assert_ptr_equal(layout_open(&layout, &written), &written);
}

static void a_string_over_the_limit_is_told_by_its_size(void **state)
{
    struct layout layout;
    layout_init(&layout, &visit_type);
    struct visit visit = { .page = { "x", UINT64_MAX }, .referrer = { "x", 2 } };
    assert_true(layout_size(&layout, &visit) > WEIR_RECORD_SIZE_MAX);
    assert_int_equal(layout_align(0), 0);
    assert_int_equal(layout_align(1), 8);
    assert_int_equal(layout_align(64), 64);
}

static void damaged_bytes_are_found(void **state)
{
    static const struct {
        size_t at; /* u64 to overwrite */
        uint64_t value;
        bool is_fine;
    } cases[] = {
        { offsetof(struct visit, page), 0, false }, /* NULL, but a size */
        { offsetof(struct visit, page), 8, false }, /* into the struct */
        { offsetof(struct visit, page), sizeof(struct visit), true },
        { offsetof(struct visit, page), sizeof(struct visit) + 3,
            true }, /* overlapping: harmless */
        { offsetof(struct visit, page), sizeof(struct visit) + 4, false },
        { offsetof(struct visit, page), UINT64_MAX, false },
        { offsetof(struct visit, page) + 8, 7, true },
        { offsetof(struct visit, page) + 8, 8, false },
        { offsetof(struct visit, page) + 8, UINT64_MAX, false },
        { offsetof(struct visit, referrer), UINT64_MAX - 3, false },
        { offsetof(struct visit, is_paid), 2, false },
        { offsetof(struct visit, is_paid), 1, true },
    };
    struct layout layout;
    layout_init(&layout, &visit_type);
    struct visit visit = { .page = WEIR_STR("page"), .referrer = WEIR_STR("ref") };
    char good[200], bytes[200];
    size_t size = layout_size(&layout, &visit);
    layout_write(&layout, &visit, good);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        memcpy(bytes, good, size);
        memcpy(bytes + cases[i].at, &cases[i].value, sizeof(cases[i].value));
        weir_error *error = layout_check(&layout, bytes, size);
        if (cases[i].is_fine)
            expect_ok(error);
        else
            expect_error(error, WEIR_E_CORRUPT, "of a stored record of type 'visit'");
    }
    for (size_t cut = 0; cut < sizeof(visit); cut++)
        expect_error(layout_check(&layout, good, cut), WEIR_E_CORRUPT, "less than its struct's");
    expect_error(layout_check(&layout, good, size - 1), WEIR_E_CORRUPT, "points outside");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_survives_the_way_through_bytes),
        cmocka_unit_test(equal_records_have_equal_bytes),
        cmocka_unit_test(a_type_without_strings_is_a_copy),
        cmocka_unit_test(a_string_over_the_limit_is_told_by_its_size),
        cmocka_unit_test(damaged_bytes_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
