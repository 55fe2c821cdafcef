#include "test/support/nexmark.h"

#include "base/assert.h"

#include <stdio.h>

#define BASE_MS       INT64_C(1700000000000)
#define EVENTS_PER_MS 100
#define FIRST_ID      1000
#define AUCTIONS      3 /* of each EPOCH events; one is a person, the others are bids */
#define EPOCH         50
#define HOT           100 /* ids from one hot one to the next */
#define PEOPLE        1000
#define IN_FLIGHT     100
#define LEAD          10 /* ids that do not exist yet */
#define CATEGORIES    5
#define HORIZON_MS    17 /* in which the next 100 auctions are made */
#define OCTAVES       20
#define POOL_SIZE     (1 << 16)
#define POOL_LEFT_OUT 1024 /* more than any slice */
#define HOT_CHANNELS  4
#define COLD_CHANNELS 10000
#define CHANNEL_SIZE  20
#define URL_SIZE      96
#define FIRST_NAMES   11
#define LAST_NAMES    9
#define NAME_SIZE     24
#define BID_EXTRA     68                          /* on average */
#define BID_TEXT_MAX  (BID_EXTRA + BID_EXTRA / 5) /* see extra() */

static const char *const hot_channels[HOT_CHANNELS] = { "Google", "Facebook", "Baidu", "Apple" };
static const char *const first_names[FIRST_NAMES] = { "Peter", "Paul", "Luke", "John", "Saul",
    "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter" };
static const char *const last_names[LAST_NAMES] = { "Shultz", "Abrams", "Spencer", "White",
    "Bartels", "Walton", "Smith", "Jones", "Noris" };
static const char *const states[] = { "AZ", "CA", "ID", "OR", "WA", "WY" };
static const char *const cities[] = { "Phoenix", "Los Angeles", "San Francisco", "Boise",
    "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne" };

struct channel {
    weir_str name, url;
};

struct channel_text {
    char name[CHANNEL_SIZE], url[URL_SIZE];
};

/* Thread: immutable after init. */
static struct {
    uint64_t seed;
    char pool[POOL_SIZE]; /* of letters, of which random texts are slices */
    struct channel channels[HOT_CHANNELS +
                            COLD_CHANNELS]; /* apart from what they view: they stay in the cache */
    struct channel_text texts[HOT_CHANNELS + COLD_CHANNELS];
    char names[FIRST_NAMES * LAST_NAMES][NAME_SIZE];
} tables;

/* -- tables --------------------------------------------------------------------------------------------- */

static void make_pool(uint64_t *state)
{
    for (uint32_t i = 0; i < POOL_SIZE; i++)
        tables.pool[i] = (char)('a' + nexmark_below(state, 26));
}

/* The first four are the hot ones. Nine of ten of the others say their id in the URL. */
static void make_channel(uint64_t *state, uint32_t index)
{
    struct channel_text *text = &tables.texts[index];
    uint32_t cold = index - HOT_CHANNELS;
    const char *parts[3];
    for (int i = 0; i < 3; i++)
        parts[i] = tables.pool + nexmark_below(state, POOL_SIZE - POOL_LEFT_OUT);
    int size = snprintf(text->url, URL_SIZE,
        "https://www.nexmark.com/%.5s/%.5s/%.5s/item.htm?query=1", parts[0], parts[1], parts[2]);
    if (index < HOT_CHANNELS)
        snprintf(text->name, CHANNEL_SIZE, "%s", hot_channels[index]);
    else
        snprintf(text->name, CHANNEL_SIZE, "channel-%u", cold);
    if (index >= HOT_CHANNELS && nexmark_below(state, 10) > 0)
        snprintf(text->url + size, (size_t)(URL_SIZE - size), "&channel_id=%u",
            cold * 2654435761u >> 1);
    tables.channels[index] =
        (struct channel){ .name = weir_str_of(text->name), .url = weir_str_of(text->url) };
}

void nexmark_init(uint64_t seed)
{
    uint64_t state = nexmark_mix(seed);
    tables.seed = seed;
    make_pool(&state);
    for (uint32_t i = 0; i < HOT_CHANNELS + COLD_CHANNELS; i++)
        make_channel(&state, i);
    for (int i = 0; i < FIRST_NAMES * LAST_NAMES; i++)
        snprintf(tables.names[i], NAME_SIZE, "%s %s", first_names[i / LAST_NAMES],
            last_names[i % LAST_NAMES]);
}

/* Inline: what is drawn from stays in a register. */

/* -- ids ------------------------------------------------------------------------------------------------ */

/* The newest person and auction that there are at an event. */
struct newest {
    int64_t person, auction;
};

/* At event `number`, counted from 0; it has offset number % EPOCH. */
static inline struct newest newest_at(uint64_t number, uint64_t offset)
{
    uint64_t epoch = number / EPOCH;
    uint64_t made = offset > AUCTIONS ? AUCTIONS : offset; /* auctions, in this epoch */
    return (struct newest){ .person = (int64_t)epoch,
        .auction = (int64_t)(epoch * AUCTIONS + made - 1) };
}

/* The newest hot one. */
static inline int64_t hot(int64_t id)
{
    return (int64_t)((uint64_t)id / HOT * HOT);
}

static inline int64_t any_person(uint64_t *state, struct newest newest)
{
    int64_t people = newest.person + 1;
    int64_t active = people < PEOPLE ? people : PEOPLE;
    return people - active + nexmark_below(state, active + LEAD);
}

static inline int64_t any_auction(uint64_t *state, struct newest newest)
{
    int64_t last = newest.auction, first = last > IN_FLIGHT ? last - IN_FLIGHT : 0;
    return first + nexmark_below(state, last - first + 1 + LEAD);
}

static inline int64_t price(uint64_t *state)
{
    int64_t octave = INT64_C(100) << nexmark_below(state, OCTAVES);
    return octave + nexmark_below(state, octave);
}

/* -- events --------------------------------------------------------------------------------------------- */

/* Copies `most` bytes, as far as a text may reach: a copy of a known size has no branches, and those of memcpy
 * are guessed wrong where the size is any. */
static inline weir_str slice(uint64_t *state, char **text, int64_t size, size_t most)
{
    weir_str made = { .data = *text, .size = (uint64_t)size };
    memcpy(*text, tables.pool + nexmark_below(state, POOL_SIZE - POOL_LEFT_OUT), most);
    *text += size;
    return made;
}

/* `size` on average, a fifth more or less. */
static inline weir_str extra(uint64_t *state, char **text, int64_t size)
{
    int64_t least = size - size / 5, spread = 2 * (size - least);
    return slice(state, text, least + nexmark_below(state, spread + 1), (size_t)(least + spread));
}

static weir_str one_of(uint64_t *state, const char *const *texts, int64_t count)
{
    return weir_str_of(texts[nexmark_below(state, count)]);
}

static void make_person(struct newest newest, uint64_t *state, struct nexmark_event *event,
    char *text)
{
    event->id = FIRST_ID + newest.person;
    event->name = weir_str_of(tables.names[nexmark_below(state, FIRST_NAMES * LAST_NAMES)]);
    event->text = slice(state, &text, 7, 7);
    memcpy(text, "@nexmark.com", 12);
    event->text.size += 12;
    text += 12;
    event->card = (weir_str){ .data = text, .size = 19 };
    for (int i = 0; i < 19; i++)
        *text++ = i % 5 == 4 ? ' ' : (char)('0' + nexmark_below(state, 10));
    event->city = one_of(state, cities, sizeof(cities) / sizeof(cities[0]));
    event->state = one_of(state, states, sizeof(states) / sizeof(states[0]));
    event->extra = extra(state, &text, 120);
}

static void make_auction(struct newest newest, uint64_t *state, struct nexmark_event *event,
    char *text)
{
    event->id = FIRST_ID + newest.auction;
    event->party =
        FIRST_ID + (nexmark_below(state, 4) > 0 ? hot(newest.person) : any_person(state, newest));
    event->price = price(state);
    event->reserve = event->price + price(state);
    event->expires_ms = event->at_ms + 1 + nexmark_below(state, 2 * HORIZON_MS);
    event->category = 10 + nexmark_below(state, CATEGORIES);
    event->name = slice(state, &text, 20, 20);
    event->text = slice(state, &text, 100, 100);
    event->extra = extra(state, &text, 320);
}

/* Without a branch: half of them would be guessed wrong, which costs as much as all the rest of the draw. */
static int64_t either(bool is_first, int64_t first, int64_t second)
{
    int64_t mask = -(int64_t)is_first;
    return (first & mask) | (second & ~mask);
}

static inline void make_bid(struct newest newest, uint64_t *state, struct nexmark_event *event,
    char *text)
{
    bool is_hot = nexmark_below(state, 2) > 0;
    int64_t cold = any_auction(state, newest);
    event->id = FIRST_ID + either(is_hot, hot(newest.auction), cold);
    is_hot = nexmark_below(state, 4) > 0;
    cold = any_person(state, newest);
    event->party = FIRST_ID + either(is_hot, hot(newest.person) + 1, cold);
    event->price = price(state);
    is_hot = nexmark_below(state, 2) > 0;
    const struct channel *channel =
        &tables.channels[either(!is_hot, HOT_CHANNELS, 0) +
                         nexmark_below(state, either(is_hot, HOT_CHANNELS, COLD_CHANNELS))];
    event->name = channel->name;
    event->text = channel->url;
    event->extra = extra(state, &text, BID_EXTRA);
}

/* There is an auction to bid for from number 1 on, which is that of event 0. */
static enum nexmark_kind kind_at(uint64_t offset)
{
    return offset == 0 ? NEXMARK_PERSON : offset <= AUCTIONS ? NEXMARK_AUCTION : NEXMARK_BID;
}

size_t nexmark_text_max(uint64_t index)
{
    return kind_at((index + 1) % EPOCH) == NEXMARK_BID ? BID_TEXT_MAX : NEXMARK_TEXT_MAX;
}

void nexmark_make(uint64_t index, struct nexmark_event *event, char *text)
{
    uint64_t state = nexmark_start(tables.seed, index);
    uint64_t number = index + 1, offset = number % EPOCH;
    struct newest newest = newest_at(number, offset);
    event->at_ms = BASE_MS + (int64_t)(index / EVENTS_PER_MS);
    event->kind = kind_at(offset);
    if (event->kind == NEXMARK_PERSON)
        make_person(newest, &state, event, text);
    else if (event->kind == NEXMARK_AUCTION)
        make_auction(newest, &state, event, text);
    else
        make_bid(newest, &state, event, text);
}

/* -- digests -------------------------------------------------------------------------------------------- */

uint64_t digest_bytes(uint64_t digest, weir_str text)
{
    for (uint64_t at = 0; at < text.size; at += 8) {
        uint64_t word = 0; /* little endian; what the text does not fill is 0 */
        memcpy(&word, text.data + at, text.size - at < 8 ? text.size - at : 8);
        digest = digest_number(digest, (int64_t)word);
    }
    return digest;
}

uint64_t nexmark_digest(const struct nexmark_event *event)
{
    const int64_t numbers[] = { event->at_ms, event->id, event->party, event->price, event->reserve,
        event->expires_ms, event->category, event->kind };
    const weir_str texts[] = { event->name, event->text, event->card, event->city, event->state,
        event->extra };
    uint64_t digest = 0;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        digest = digest_number(digest, numbers[i]);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        digest = digest_text(digest, texts[i], true);
    return digest;
}
