/* print.c -- see print.h. */
#include "jobs/userprofile/print.h"

#include "jobs/userprofile/decimal.h"

/* -- tags ------------------------------------------------------------------------------------ */

static bool starts_with(weir_str name, weir_str prefix)
{
    return name.size >= prefix.size && memcmp(name.data, prefix.data, prefix.size) == 0;
}

static void add_amount(struct text *text, int64_t units)
{
    char digits[DECIMAL_TEXT_MAX];
    text_add(text, (weir_str){ .data = digits, .size = decimal_print(units, digits) });
}

static void add_value(struct text *text, weir_str value)
{
    if (value.size > 0 && value.data[0] == '"')
        text_quote(text, (weir_str){ .data = value.data + 1, .size = value.size - 1 });
    else
        text_add(text, value);
}

static void add_entry(struct text *text, const struct merged *entry)
{
    text_add(text, entry->is_tag ? WEIR_STR("\"tag.") : WEIR_STR("\""));
    text_escape(text, entry->name);
    TEXT_ADD(text, "\":");
    if (entry->is_tag)
        add_value(text, entry->newest.value);
    else if (starts_with(entry->name, WEIR_STR(FRAGMENT_AMOUNT)))
        add_amount(text, entry->number);
    else
        text_number(text, entry->number);
}

static void add_tags(struct text *text, const struct merge *merge)
{
    TEXT_ADD(text, "\"tags\":{");
    for (uint32_t i = 0; i < merge->entry_count; i++) {
        if (i > 0)
            TEXT_ADD(text, ",");
        add_entry(text, &merge->entries[i]);
    }
    TEXT_ADD(text, "}");
}

/* -- what is derived ------------------------------------------------------------------------- */

static int64_t number_of(const struct merge *merge, weir_str name)
{
    for (uint32_t i = 0; i < merge->entry_count && !merge->entries[i].is_tag; i++)
        if (weir_str_equal(merge->entries[i].name, name))
            return merge->entries[i].number;
    return 0;
}

int64_t print_quality(const struct merge *merge)
{
    int64_t buy = number_of(merge, WEIR_STR(FRAGMENT_TYPE "buy"));
    int64_t quality = 50 + 5 * number_of(merge, WEIR_STR(FRAGMENT_TYPE "repay")) +
                      2 * (buy < 10 ? buy : 10) -
                      20 * number_of(merge, WEIR_STR(FRAGMENT_TYPE "overdue"));
    return quality < 0 ? 0 : quality > 100 ? 100 : quality;
}

/* Categories come by name, so of equal counts the one that is in stays in front. */
uint32_t print_interest(const struct merge *merge, weir_str top[INTEREST_MAX])
{
    const weir_str prefix = WEIR_STR(FRAGMENT_CATEGORY);
    int64_t counts[INTEREST_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < merge->entry_count && !merge->entries[i].is_tag; i++) {
        const struct merged *entry = &merge->entries[i];
        if (!starts_with(entry->name, prefix))
            continue;
        uint32_t place = count;
        while (place > 0 && counts[place - 1] < entry->number)
            place--;
        if (place == INTEREST_MAX)
            continue;
        if (count < INTEREST_MAX)
            count++;
        for (uint32_t k = count - 1; k > place; k--) {
            top[k] = top[k - 1];
            counts[k] = counts[k - 1];
        }
        top[place] = (weir_str){ .data = entry->name.data + prefix.size,
            .size = entry->name.size - prefix.size };
        counts[place] = entry->number;
    }
    return count;
}

static void add_interest(struct text *text, const struct merge *merge)
{
    weir_str top[INTEREST_MAX];
    uint32_t count = print_interest(merge, top);
    TEXT_ADD(text, "\"interest\":[");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            TEXT_ADD(text, ",");
        text_quote(text, top[i]);
    }
    TEXT_ADD(text, "]");
}

/* -- records --------------------------------------------------------------------------------- */

/* Itself and its members, which are in byte order. */
static void add_ids(struct text *text, weir_str yid, const struct merge *merge)
{
    bool is_in = false;
    TEXT_ADD(text, "\"ids\":[");
    for (uint32_t i = 0; i < merge->member_count; i++) {
        if (!is_in && weir_str_compare(yid, merge->members[i]) < 0) {
            text_quote(text, yid);
            TEXT_ADD(text, ",");
            is_in = true;
        }
        text_quote(text, merge->members[i]);
        if (i + 1 < merge->member_count || !is_in)
            TEXT_ADD(text, ",");
    }
    if (!is_in)
        text_quote(text, yid);
    TEXT_ADD(text, "]");
}

static void add_yid(struct text *text, weir_str yid)
{
    TEXT_ADD(text, "{\"yid\":");
    text_quote(text, yid);
    TEXT_ADD(text, ",");
}

/* A record that would be too long is replaced by a short one that says so. */
static void finish(struct text *text, weir_str yid, const struct merge *merge)
{
    if (!text->is_over && !merge->is_over)
        return;
    text_reset(text);
    add_yid(text, yid);
    TEXT_ADD(text, "\"oversize\":true}");
}

void print_profile(struct text *text, weir_str yid, const struct merge *merge)
{
    text_reset(text);
    if (!merge->is_over) {
        add_yid(text, yid);
        add_ids(text, yid, merge);
        TEXT_ADD(text, ",");
        add_tags(text, merge);
        TEXT_ADD(text, ",");
        add_interest(text, merge);
        TEXT_ADD(text, ",\"quality\":");
        text_number(text, print_quality(merge));
        TEXT_ADD(text, ",\"shared\":");
        text_add(text, merge->flags & FRAGMENT_SHARED ? WEIR_STR("true") : WEIR_STR("false"));
        TEXT_ADD(text, "}");
    }
    finish(text, yid, merge);
}

void print_fragment(struct text *text, weir_str yid, const struct merge *merge)
{
    text_reset(text);
    if (!merge->is_over) {
        add_yid(text, yid);
        add_tags(text, merge);
        TEXT_ADD(text, "}");
    }
    finish(text, yid, merge);
}
