/* contribution.h -- what one event adds to the fragment of its anchor, and its tags as bytes.
 *
 * An event names a person by ids and says something about it: the ids become claims and owners
 * (claim.h, change.h), the rest is a contribution. It travels unchanged from the event through a
 * claim or a change into a fragment (fragment.h), as a member of those records.
 *
 * Tags are packed into one string, in the order of the event, because how many there are is open:
 *
 *      OFFSET  SIZE    of each tag
 *      0       2       size of the name, u16 in the byte order of the machine
 *      2       2       size of the value
 *      4       n       name, unescaped
 *      4 + n   v       value: a number, true or false as written; a string unescaped, with a double
 *                      quote in front (and none behind), which no other value begins with
 *
 * A name may come twice in one event; the last one counts, which is why the order is kept.
 *
 * Ownership: views, as long as the record that holds them. Thread: any. */
#ifndef USERPROFILE_CONTRIBUTION_H
#define USERPROFILE_CONTRIBUTION_H

#include <weir/type.h>

#define TEXT_SIZE_MAX      256u  /* bytes of an event_id, id, type, source, category or tag name */
#define TAG_VALUE_SIZE_MAX 1024u /* bytes of a tag's value, without the quote */

struct contribution {
    weir_str event_id;
    int64_t ts; /* ms since the epoch */
    weir_str type;
    weir_str category; /* NULL: none; may be empty */
    int64_t amount;    /* units of 0.0001 */
    bool has_amount;
    weir_str tags;
};

/* The fields of a contribution that is the member `member_` of the record `type_`; ids from
 * `first_` on, seven of them. */
#define CONTRIBUTION_FIELDS(first_, type_, member_) \
    WEIR_FIELD((first_), type_, member_.event_id), WEIR_FIELD((first_) + 1, type_, member_.ts), \
        WEIR_FIELD((first_) + 2, type_, member_.type), \
        WEIR_FIELD((first_) + 3, type_, member_.category), \
        WEIR_FIELD((first_) + 4, type_, member_.amount), \
        WEIR_FIELD((first_) + 5, type_, member_.has_amount), \
        WEIR_FIELD((first_) + 6, type_, member_.tags)

/* Stamps order events: the greatest (ts, event_id) wins. */
static inline int stamp_compare(int64_t ts, weir_str event_id, int64_t other_ts,
    weir_str other_event_id)
{
    if (ts != other_ts)
        return ts < other_ts ? -1 : 1;
    return weir_str_compare(event_id, other_event_id);
}

struct tag {
    weir_str name, value;
};

#define TAG_HEADER_SIZE 4u

/* Takes the first of the packed tags; false: there is none left. */
static inline bool tag_next(weir_str *tags, struct tag *tag)
{
    if (tags->size == 0)
        return false;
    uint16_t sizes[2];
    memcpy(sizes, tags->data, sizeof(sizes));
    tag->name = (weir_str){ .data = tags->data + TAG_HEADER_SIZE, .size = sizes[0] };
    tag->value = (weir_str){ .data = tag->name.data + sizes[0], .size = sizes[1] };
    uint64_t size = TAG_HEADER_SIZE + (uint64_t)sizes[0] + sizes[1];
    *tags = (weir_str){ .data = tags->data + size, .size = tags->size - size };
    return true;
}

/* Bytes that tag_put writes to `to`. */
static inline size_t tag_put(char *to, weir_str name, bool is_string, weir_str value)
{
    uint16_t sizes[2] = { (uint16_t)name.size, (uint16_t)(value.size + is_string) };
    memcpy(to, sizes, sizeof(sizes));
    char *at = to + TAG_HEADER_SIZE;
    memcpy(at, name.data, name.size);
    at += name.size;
    if (is_string)
        *at++ = '"';
    memcpy(at, value.data, value.size);
    return (size_t)(at - to) + value.size;
}

#endif
