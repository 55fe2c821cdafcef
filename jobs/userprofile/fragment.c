/* fragment.c -- see fragment.h. A pack is entries, one behind the other, numbers in the byte order
 * of the machine:
 *
 *      OFFSET  SIZE   of a count                   OFFSET  SIZE   of a tag
 *      0       2      PACK_COUNT                   0       2      PACK_TAG
 *      2       2      size of the name, n          2       2      size of the name, n
 *      4       2      0                            4       2      size of the event_id, e
 *      6       2      0                            6       2      size of the value, v
 *      8       8      value                        8       8      ts
 *      16      n      name                         16      n+e+v  name, event_id, value
 *
 * and PACK_TOTALS, three zeros, struct totals without its flags. Prefixes: fragment_, totals_,
 * latest_ */
#include "jobs/userprofile/fragment.h"

static const weir_str none = { .data = "", .size = 0 };

/* -- names of entries ------------------------------------------------------------------------ */

/* Names of one member's entries, one at a time. */
struct key {
    size_t prefix_size;
    char bytes[IDENTITY_SIZE_MAX + 2 + TEXT_SIZE_MAX];
};

static void key_init(struct key *key, weir_str member)
{
    if (member.size > 0)
        memcpy(key->bytes, member.data, member.size);
    key->bytes[member.size] = '\0';
    key->prefix_size = member.size + 1;
}

static weir_str key_prefix(const struct key *key)
{
    return (weir_str){ .data = key->bytes, .size = key->prefix_size };
}

static weir_str key_of(struct key *key, weir_str name)
{
    if (name.size > 0)
        memcpy(key->bytes + key->prefix_size, name.data, name.size);
    return (weir_str){ .data = key->bytes, .size = key->prefix_size + name.size };
}

static weir_str key_of_count(struct key *key, char kind, weir_str name)
{
    char *at = key->bytes + key->prefix_size;
    *at++ = kind;
    if (name.size > 0)
        memcpy(at, name.data, name.size);
    return (weir_str){ .data = key->bytes, .size = key->prefix_size + 1 + name.size };
}

struct fragment_entry fragment_entry(weir_str key)
{
    const char *end = key.data[0] == '\0' ? key.data : memchr(key.data, '\0', key.size);
    uint64_t size = (uint64_t)(end - key.data);
    return (struct fragment_entry){ .member = { .data = key.data, .size = size },
        .tag = { .data = end + 1, .size = key.size - size - 1 } };
}

/* -- merges ---------------------------------------------------------------------------------- */

static int64_t sum(int64_t left, int64_t right)
{
    return (int64_t)((uint64_t)left + (uint64_t)right); /* modulo 2^64 */
}

static int64_t least(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

static int64_t greatest(int64_t left, int64_t right)
{
    return left > right ? left : right;
}

/* Totals without an event are zero, which is nothing to a sum, but might be the least or greatest
 * value. */
void totals_merge(struct totals *into, const struct totals *other)
{
    bool is_first = into->count == 0, is_first_amount = !into->has_amount;
    if (other->count == 0)
        return;
    into->first_seen = is_first ? other->first_seen : least(into->first_seen, other->first_seen);
    into->last_seen = is_first ? other->last_seen : greatest(into->last_seen, other->last_seen);
    into->count += other->count;
    if (!other->has_amount)
        return;
    into->amount_max =
        is_first_amount ? other->amount_max : greatest(into->amount_max, other->amount_max);
    into->amount_sum = sum(into->amount_sum, other->amount_sum);
    into->has_amount = true;
}

/* An equal stamp is the same event, in which the later of two tags of one name counts. */
void latest_merge(struct latest *newest, const struct latest *other)
{
    if (newest->event_id.data == NULL ||
        stamp_compare(other->ts, other->event_id, newest->ts, newest->event_id) >= 0)
        *newest = *other;
}

/* -- one event ------------------------------------------------------------------------------- */

static void add_count(weir_ctx *ctx, const struct fragment_states *states, weir_str key,
    int64_t value)
{
    weir_map_edit(ctx, states->counts, key, count)->value += value;
}

void fragment_join(weir_ctx *ctx, const struct fragment_states *states, weir_str member)
{
    struct key key;
    key_init(&key, member);
    weir_map_edit(ctx, states->counts, key_of_count(&key, FRAGMENT_MEMBER, none), count)->value = 1;
}

void fragment_flag(weir_ctx *ctx, const struct fragment_states *states, int32_t flags)
{
    weir_map_edit(ctx, states->totals, none, totals)->flags |= flags;
}

void fragment_unflag(weir_ctx *ctx, const struct fragment_states *states, int32_t flags)
{
    weir_map_edit(ctx, states->totals, none, totals)->flags &= ~flags;
}

void fragment_add(weir_ctx *ctx, const struct fragment_states *states, weir_str member,
    const struct contribution *body)
{
    struct totals one = { .count = 1,
        .first_seen = body->ts,
        .last_seen = body->ts,
        .amount_sum = body->amount,
        .amount_max = body->amount,
        .has_amount = body->has_amount };
    totals_merge(weir_map_edit(ctx, states->totals, member, totals), &one);
    struct key key;
    key_init(&key, member);
    if (body->category.data != NULL)
        add_count(ctx, states, key_of_count(&key, FRAGMENT_CATEGORY, body->category), 1);
    add_count(ctx, states, key_of_count(&key, FRAGMENT_TYPE, body->type), 1);
    weir_str tags = body->tags;
    struct tag tag;
    while (tag_next(&tags, &tag)) {
        weir_str name = key_of(&key, tag.name);
        struct latest value = { .ts = body->ts, .event_id = body->event_id, .value = tag.value };
        latest_merge(weir_map_edit(ctx, states->tags, name, latest), &value);
    }
}

/* -- removing -------------------------------------------------------------------------------- */

/* Names of entries to be removed: a map must not be changed while it is walked over. */
struct doomed {
    struct doomed *next;
    weir_str name;
};

static bool doom(weir_ctx *ctx, weir_str key, const void *value, void *arg)
{
    (void)value;
    struct doomed **list = arg;
    struct doomed *doomed = weir_scratch(ctx, sizeof(*doomed) + key.size);
    memcpy(doomed + 1, key.data, key.size);
    *doomed = (struct doomed){ .next = *list,
        .name = { .data = (const char *)(doomed + 1), .size = key.size } };
    *list = doomed;
    return true;
}

static void remove_all(weir_ctx *ctx, uint32_t state, weir_str prefix)
{
    struct doomed *list = NULL;
    weir_map_each(ctx, state, prefix, doom, &list);
    for (; list != NULL; list = list->next)
        weir_map_remove(ctx, state, list->name);
}

void fragment_remove(weir_ctx *ctx, const struct fragment_states *states, weir_str member)
{
    struct key key;
    key_init(&key, member);
    weir_map_remove(ctx, states->counts, key_of_count(&key, FRAGMENT_MEMBER, none));
    if (weir_map_read(ctx, states->totals, member, totals) == NULL)
        return; /* without a fragment, as most are */
    weir_map_remove(ctx, states->totals, member);
    remove_all(ctx, states->counts, key_prefix(&key));
    remove_all(ctx, states->tags, key_prefix(&key));
}

/* -- packs ----------------------------------------------------------------------------------- */

enum { PACK_TOTALS, PACK_COUNT, PACK_TAG };

struct pack_header {
    uint16_t kind, name_size, event_id_size, value_size;
};
_Static_assert(sizeof(struct pack_header) == 8, "as in the table above");

struct packer {
    char *room;
    size_t size;
    bool is_first;
    fragment_pack_fn *take;
    void *arg;
};

static void pack_flush(weir_ctx *ctx, struct packer *packer)
{
    weir_str pack = { .data = packer->room, .size = packer->size };
    packer->take(ctx, pack, packer->is_first, packer->arg);
    packer->is_first = false;
    packer->size = 0;
}

static void pack_put(struct packer *packer, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(packer->room + packer->size, bytes, size);
    packer->size += size;
}

/* Starts an entry that is `size` bytes in all. */
static void pack_start(weir_ctx *ctx, struct packer *packer, size_t size,
    const struct pack_header *header)
{
    if (packer->size + size > FRAGMENT_PACK_MAX)
        pack_flush(ctx, packer);
    pack_put(packer, header, sizeof(*header));
}

/* Flags stay: they are the sender's. */
static void pack_totals(weir_ctx *ctx, struct packer *packer, const struct totals *totals)
{
    struct pack_header header = { .kind = PACK_TOTALS };
    struct totals sent = *totals;
    sent.flags = 0;
    pack_start(ctx, packer, sizeof(header) + sizeof(sent), &header);
    pack_put(packer, &sent, sizeof(sent));
}

static bool pack_count(weir_ctx *ctx, weir_str key, const void *value, void *arg)
{
    struct packer *packer = arg;
    const struct count *count = value;
    weir_str name = fragment_entry(key).tag;
    struct pack_header header = { .kind = PACK_COUNT, .name_size = (uint16_t)name.size };
    pack_start(ctx, packer, sizeof(header) + sizeof(count->value) + name.size, &header);
    pack_put(packer, &count->value, sizeof(count->value));
    pack_put(packer, name.data, name.size);
    return true;
}

static bool pack_tag(weir_ctx *ctx, weir_str key, const void *value, void *arg)
{
    struct packer *packer = arg;
    const struct latest *tag = value;
    weir_str name = fragment_entry(key).tag;
    struct pack_header header = { .kind = PACK_TAG,
        .name_size = (uint16_t)name.size,
        .event_id_size = (uint16_t)tag->event_id.size,
        .value_size = (uint16_t)tag->value.size };
    size_t size =
        sizeof(header) + sizeof(tag->ts) + name.size + tag->event_id.size + tag->value.size;
    pack_start(ctx, packer, size, &header);
    pack_put(packer, &tag->ts, sizeof(tag->ts));
    pack_put(packer, name.data, name.size);
    pack_put(packer, tag->event_id.data, tag->event_id.size);
    pack_put(packer, tag->value.data, tag->value.size);
    return true;
}

void fragment_pack(weir_ctx *ctx, const struct fragment_states *states, char *room,
    fragment_pack_fn *take, void *arg)
{
    struct packer packer = { .room = room, .is_first = true, .take = take, .arg = arg };
    const struct totals *totals = weir_map_read(ctx, states->totals, none, totals);
    if (totals != NULL)
        pack_totals(ctx, &packer, totals);
    weir_map_each(ctx, states->counts, none, pack_count, &packer);
    weir_map_each(ctx, states->tags, none, pack_tag, &packer);
    if (packer.is_first || packer.size > 0)
        pack_flush(ctx, &packer);
}

static weir_str unpack_str(const char **at, uint16_t size)
{
    weir_str text = { .data = *at, .size = size };
    *at += size;
    return text;
}

static void unpack_tag(weir_ctx *ctx, const struct fragment_states *states, struct key *key,
    const struct pack_header *header, const char **at)
{
    struct latest tag;
    memcpy(&tag.ts, *at, sizeof(tag.ts));
    *at += sizeof(tag.ts);
    weir_str name = unpack_str(at, header->name_size);
    tag.event_id = unpack_str(at, header->event_id_size);
    tag.value = unpack_str(at, header->value_size);
    latest_merge(weir_map_edit(ctx, states->tags, key_of(key, name), latest), &tag);
}

static void unpack_count(weir_ctx *ctx, const struct fragment_states *states, struct key *key,
    const struct pack_header *header, const char **at)
{
    int64_t value;
    memcpy(&value, *at, sizeof(value));
    *at += sizeof(value);
    weir_str name = unpack_str(at, header->name_size);
    add_count(ctx, states, key_of(key, name), value);
}

static void unpack_totals(weir_ctx *ctx, const struct fragment_states *states, weir_str member,
    const char **at)
{
    struct totals totals;
    memcpy(&totals, *at, sizeof(totals));
    *at += sizeof(totals);
    totals_merge(weir_map_edit(ctx, states->totals, member, totals), &totals);
}

void fragment_unpack(weir_ctx *ctx, const struct fragment_states *states, weir_str member,
    weir_str pack)
{
    struct key key;
    key_init(&key, member);
    const char *at = pack.data, *end = pack.data + pack.size;
    while (at < end) {
        struct pack_header header;
        memcpy(&header, at, sizeof(header));
        at += sizeof(header);
        if (header.kind == PACK_TAG)
            unpack_tag(ctx, states, &key, &header, &at);
        else if (header.kind == PACK_COUNT)
            unpack_count(ctx, states, &key, &header, &at);
        else
            unpack_totals(ctx, states, member, &at);
    }
}
