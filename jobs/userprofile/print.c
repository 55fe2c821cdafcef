/* print.c -- see print.h. */
#include "jobs/userprofile/print.h"

#include "jobs/userprofile/decimal.h"

/* -- tags ------------------------------------------------------------------------------------ */

static void add_value(struct text *text, weir_str value)
{
    if (value.size > 0 && value.data[0] == '"')
        text_quote(text, (weir_str){ .data = value.data + 1, .size = value.size - 1 });
    else
        text_add(text, value);
}

static void add_amount(struct text *text, weir_str name, int64_t units)
{
    char digits[DECIMAL_TEXT_MAX];
    text_add(text, name);
    text_add(text, (weir_str){ .data = digits, .size = decimal_print(units, digits) });
    TEXT_ADD(text, ",");
}

static void add_total(struct text *text, weir_str name, int64_t number)
{
    text_add(text, name);
    text_number(text, number);
    TEXT_ADD(text, ",");
}

static weir_str behind_kind(weir_str name)
{
    return (weir_str){ .data = name.data + 1, .size = name.size - 1 };
}

static bool is_of_kind(const struct merge *merge, uint32_t i, char kind)
{
    return i < merge->entry_count && !merge->entries[i].is_tag &&
           merge->entries[i].name.data[0] == kind;
}

/* The counts of one kind, from the entry `i` on; gives the place behind them. */
static uint32_t add_counts(struct text *text, const struct merge *merge, uint32_t i, char kind,
    weir_str start)
{
    for (; is_of_kind(merge, i, kind); i++) {
        text_add(text, start);
        text_escape(text, behind_kind(merge->entries[i].name));
        TEXT_ADD(text, "\":");
        text_number(text, merge->entries[i].count);
        TEXT_ADD(text, ",");
    }
    return i;
}

static void add_tag(struct text *text, const struct merged *tag)
{
    TEXT_ADD(text, "\"tag.");
    text_escape(text, tag->name);
    TEXT_ADD(text, "\":");
    add_value(text, tag->newest.value);
    TEXT_ADD(text, ",");
}

/* The totals stand where their names belong in byte order. Each has a comma behind it, and the last
 * one's becomes the brace. */
static void add_tags(struct text *text, const struct merge *merge)
{
    const struct totals *totals = &merge->totals;
    TEXT_ADD(text, "\"tags\":{");
    if (totals->has_amount) {
        add_amount(text, WEIR_STR("\"amount.max\":"), totals->amount_max);
        add_amount(text, WEIR_STR("\"amount.sum\":"), totals->amount_sum);
    }
    uint32_t i = add_counts(text, merge, 0, FRAGMENT_CATEGORY, WEIR_STR("\"category."));
    if (totals->count > 0)
        add_total(text, WEIR_STR("\"count\":"), totals->count);
    i = add_counts(text, merge, i, FRAGMENT_TYPE, WEIR_STR("\"count."));
    if (totals->count > 0) {
        add_total(text, WEIR_STR("\"first_seen\":"), totals->first_seen);
        add_total(text, WEIR_STR("\"last_seen\":"), totals->last_seen);
    }
    for (; i < merge->entry_count; i++)
        add_tag(text, &merge->entries[i]);
    if (totals->count > 0 || merge->entry_count > 0)
        text->size--;
    TEXT_ADD(text, "}");
}

/* -- what is derived ------------------------------------------------------------------------- */

static int64_t count_of_type(const struct merge *merge, weir_str type)
{
    for (uint32_t i = 0; i < merge->entry_count && !merge->entries[i].is_tag; i++)
        if (is_of_kind(merge, i, FRAGMENT_TYPE) &&
            weir_str_equal(behind_kind(merge->entries[i].name), type))
            return merge->entries[i].count;
    return 0;
}

int64_t print_quality(const struct merge *merge)
{
    int64_t buy = count_of_type(merge, WEIR_STR("buy"));
    int64_t quality = 50 + 5 * count_of_type(merge, WEIR_STR("repay")) + 2 * (buy < 10 ? buy : 10) -
                      20 * count_of_type(merge, WEIR_STR("overdue"));
    return quality < 0 ? 0 : quality > 100 ? 100 : quality;
}

/* Categories come by name, so of equal counts the one that is in stays in front. */
uint32_t print_interest(const struct merge *merge, weir_str top[INTEREST_MAX])
{
    int64_t counts[INTEREST_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; is_of_kind(merge, i, FRAGMENT_CATEGORY); i++) {
        const struct merged *entry = &merge->entries[i];
        uint32_t place = count;
        while (place > 0 && counts[place - 1] < entry->count)
            place--;
        if (place == INTEREST_MAX)
            continue;
        if (count < INTEREST_MAX)
            count++;
        for (uint32_t k = count - 1; k > place; k--) {
            top[k] = top[k - 1];
            counts[k] = counts[k - 1];
        }
        top[place] = behind_kind(entry->name);
        counts[place] = entry->count;
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
        text_add(text,
            merge->totals.flags & FRAGMENT_SHARED ? WEIR_STR("true") : WEIR_STR("false"));
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
