/* print.c -- see print.h. */
#include "jobs/userprofile/print.h"

#include "jobs/userprofile/decimal.h"

/* -- tags ------------------------------------------------------------------------------------ */

/* Starts a member of tags; `fixed` has its opening quote and, where the name has a second part, its
 * dot. */
static void start(struct text *text, weir_str fixed)
{
    if (text->size > 0 && text->bytes[text->size - 1] != '{')
        TEXT_ADD(text, ",");
    text_add(text, fixed);
}

static void add_amount(struct text *text, weir_str name, int64_t units)
{
    char digits[DECIMAL_TEXT_MAX];
    start(text, name);
    text_add(text, (weir_str){ .data = digits, .size = decimal_print(units, digits) });
}

static void add_number(struct text *text, weir_str name, int64_t number)
{
    start(text, name);
    text_number(text, number);
}

static void add_value(struct text *text, weir_str value)
{
    if (value.size > 0 && value.data[0] == '"')
        text_quote(text, (weir_str){ .data = value.data + 1, .size = value.size - 1 });
    else
        text_add(text, value);
}

/* The entries of one part from `*index` on, which is moved behind them. */
static void add_part(struct text *text, const struct merge *merge, uint32_t *index, char part,
    weir_str prefix)
{
    for (; *index < merge->entry_count && merge->entries[*index].part == part; (*index)++) {
        const struct merged *entry = &merge->entries[*index];
        start(text, prefix);
        text_escape(text, entry->name);
        TEXT_ADD(text, "\":");
        if (part == MERGE_TAG)
            add_value(text, entry->newest.value);
        else
            text_number(text, entry->count);
    }
}

static void add_tags(struct text *text, const struct merge *merge)
{
    const struct tally *total = &merge->total;
    uint32_t index = 0;
    TEXT_ADD(text, "\"tags\":{");
    if (total->count > 0 && total->amount_max != FRAGMENT_NO_AMOUNT) {
        add_amount(text, WEIR_STR("\"amount.max\":"), total->amount_max);
        add_amount(text, WEIR_STR("\"amount.sum\":"), total->amount_sum);
    }
    add_part(text, merge, &index, FRAGMENT_CATEGORY, WEIR_STR("\"category."));
    if (total->count > 0)
        add_number(text, WEIR_STR("\"count\":"), total->count);
    add_part(text, merge, &index, FRAGMENT_TYPE, WEIR_STR("\"count."));
    if (total->count > 0) {
        add_number(text, WEIR_STR("\"first_seen\":"), total->first_seen);
        add_number(text, WEIR_STR("\"last_seen\":"), total->last_seen);
    }
    add_part(text, merge, &index, MERGE_TAG, WEIR_STR("\"tag."));
    TEXT_ADD(text, "}");
}

/* -- what is derived ------------------------------------------------------------------------- */

static int64_t count_of(const struct merge *merge, weir_str type)
{
    for (uint32_t i = 0; i < merge->entry_count; i++)
        if (merge->entries[i].part == FRAGMENT_TYPE && weir_str_equal(merge->entries[i].name, type))
            return merge->entries[i].count;
    return 0;
}

int64_t print_quality(const struct merge *merge)
{
    int64_t buy = count_of(merge, WEIR_STR("buy"));
    int64_t quality = 50 + 5 * count_of(merge, WEIR_STR("repay")) + 2 * (buy < 10 ? buy : 10) -
                      20 * count_of(merge, WEIR_STR("overdue"));
    return quality < 0 ? 0 : quality > 100 ? 100 : quality;
}

/* Categories come by name, so of equal counts the one that is in stays in front. */
uint32_t print_interest(const struct merge *merge, const struct merged *top[INTEREST_MAX])
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < merge->entry_count; i++) {
        const struct merged *entry = &merge->entries[i];
        if (entry->part != FRAGMENT_CATEGORY)
            break; /* they come first */
        uint32_t place = count;
        while (place > 0 && top[place - 1]->count < entry->count)
            place--;
        if (place == INTEREST_MAX)
            continue;
        if (count < INTEREST_MAX)
            count++;
        for (uint32_t k = count - 1; k > place; k--)
            top[k] = top[k - 1];
        top[place] = entry;
    }
    return count;
}

static void add_interest(struct text *text, const struct merge *merge)
{
    const struct merged *top[INTEREST_MAX];
    uint32_t count = print_interest(merge, top);
    TEXT_ADD(text, "\"interest\":[");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            TEXT_ADD(text, ",");
        text_quote(text, top[i]->name);
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
        text_add(text, merge->total.flags & FRAGMENT_SHARED ? WEIR_STR("true") : WEIR_STR("false"));
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
