/* fragment.c -- see fragment.h. A pack is entries, one behind the other, numbers in the byte order
 * of the machine:
 *
 *      OFFSET  SIZE   of a tally                   OFFSET  SIZE   of a tag
 *      0       1      PACK_TALLY                   0       1      PACK_TAG
 *      1       1      part                         1       1      0
 *      2       2      size of the name, n          2       2      size of the name, n
 *      4       2      0                            4       2      size of the event_id, e
 *      6       2      0                            6       2      size of the value, v
 *      8       48     struct tally                 8       8      ts
 *      56      n      name                         16      n+e+v  name, event_id, value
 *
 * Prefixes: fragment_, tally_, latest_ */
#include "jobs/userprofile/fragment.h"

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

static weir_str key_of(struct key *key, char part, weir_str name)
{
    char *at = key->bytes + key->prefix_size;
    if (part != 0)
        *at++ = part;
    if (name.size > 0)
        memcpy(at, name.data, name.size);
    return (weir_str){ .data = key->bytes, .size = (uint64_t)(at - key->bytes) + name.size };
}

struct fragment_entry fragment_tag_entry(weir_str key)
{
    const char *end = memchr(key.data, '\0', key.size);
    uint64_t size = (uint64_t)(end - key.data);
    return (struct fragment_entry){ .member = { .data = key.data, .size = size },
        .name = { .data = end + 1, .size = key.size - size - 1 } };
}

struct fragment_entry fragment_tally_entry(weir_str key)
{
    struct fragment_entry entry = fragment_tag_entry(key);
    if (entry.name.size > 0) {
        entry.part = *entry.name.data++;
        entry.name.size--;
    }
    return entry;
}

/* -- merges ---------------------------------------------------------------------------------- */

static int64_t add_wrapping(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

void tally_merge(struct tally *total, const struct tally *other)
{
    total->flags |= other->flags;
    if (other->count == 0)
        return;
    if (total->count == 0) {
        int64_t flags = total->flags;
        *total = *other;
        total->flags = flags;
        return;
    }
    total->count += other->count;
    if (other->first_seen < total->first_seen)
        total->first_seen = other->first_seen;
    if (other->last_seen > total->last_seen)
        total->last_seen = other->last_seen;
    total->amount_sum = add_wrapping(total->amount_sum, other->amount_sum);
    if (other->amount_max > total->amount_max)
        total->amount_max = other->amount_max;
}

/* An equal stamp is the same event, in which the later of two tags of one name counts. */
void latest_merge(struct latest *newest, const struct latest *other)
{
    if (newest->event_id.data == NULL ||
        stamp_compare(other->ts, other->event_id, newest->ts, newest->event_id) >= 0)
        *newest = *other;
}

/* -- one event ------------------------------------------------------------------------------- */

struct tally *fragment_total(weir_ctx *ctx, const struct fragment_states *states, weir_str member)
{
    struct key key;
    key_init(&key, member);
    return weir_map_edit(ctx, states->tallies, key_prefix(&key), tally);
}

static void count(weir_ctx *ctx, const struct fragment_states *states, struct key *key, char part,
    weir_str name)
{
    struct tally *tally = weir_map_edit(ctx, states->tallies, key_of(key, part, name), tally);
    tally->count += 1;
}

void fragment_add(weir_ctx *ctx, const struct fragment_states *states, weir_str member,
    const struct contribution *body, int64_t flags)
{
    struct key key;
    key_init(&key, member);
    struct tally one = { .count = 1,
        .first_seen = body->ts,
        .last_seen = body->ts,
        .amount_sum = body->amount,
        .amount_max = body->has_amount ? body->amount : FRAGMENT_NO_AMOUNT,
        .flags = flags };
    tally_merge(weir_map_edit(ctx, states->tallies, key_prefix(&key), tally), &one);
    count(ctx, states, &key, FRAGMENT_TYPE, body->type);
    if (body->category.data != NULL)
        count(ctx, states, &key, FRAGMENT_CATEGORY, body->category);
    weir_str tags = body->tags;
    struct tag tag;
    while (tag_next(&tags, &tag)) {
        struct latest *newest = weir_map_edit(ctx, states->tags, key_of(&key, 0, tag.name), latest);
        struct latest value = { .ts = body->ts, .event_id = body->event_id, .value = tag.value };
        latest_merge(newest, &value);
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
    remove_all(ctx, states->tallies, key_prefix(&key));
    remove_all(ctx, states->tags, key_prefix(&key));
}

/* -- packs ----------------------------------------------------------------------------------- */

enum { PACK_TALLY, PACK_TAG };

struct pack_header {
    uint8_t kind, part;
    uint16_t name_size, event_id_size, value_size;
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

static bool pack_tally(weir_ctx *ctx, weir_str key, const void *value, void *arg)
{
    struct packer *packer = arg;
    struct fragment_entry entry = fragment_tally_entry(key);
    struct tally tally = *(const struct tally *)value;
    tally.flags = 0; /* they are the sender's */
    struct pack_header header = { .kind = PACK_TALLY,
        .part = (uint8_t)entry.part,
        .name_size = (uint16_t)entry.name.size };
    pack_start(ctx, packer, sizeof(header) + sizeof(tally) + entry.name.size, &header);
    pack_put(packer, &tally, sizeof(tally));
    pack_put(packer, entry.name.data, entry.name.size);
    return true;
}

static bool pack_tag(weir_ctx *ctx, weir_str key, const void *value, void *arg)
{
    struct packer *packer = arg;
    const struct latest *tag = value;
    weir_str name = fragment_tag_entry(key).name;
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
    weir_str all = { .data = "", .size = 0 };
    weir_map_each(ctx, states->tallies, all, pack_tally, &packer);
    weir_map_each(ctx, states->tags, all, pack_tag, &packer);
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
    latest_merge(weir_map_edit(ctx, states->tags, key_of(key, 0, name), latest), &tag);
}

static void unpack_tally(weir_ctx *ctx, const struct fragment_states *states, struct key *key,
    const struct pack_header *header, const char **at)
{
    struct tally tally;
    memcpy(&tally, *at, sizeof(tally));
    *at += sizeof(tally);
    weir_str name = unpack_str(at, header->name_size);
    weir_str entry = key_of(key, (char)header->part, name);
    tally_merge(weir_map_edit(ctx, states->tallies, entry, tally), &tally);
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
        else
            unpack_tally(ctx, states, &key, &header, &at);
    }
}
