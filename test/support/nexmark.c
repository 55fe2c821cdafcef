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
#define POOL_SIZE     (1 << 20)
#define POOL_LEFT_OUT 1024 /* more than any slice */
#define HOT_CHANNELS  4
#define COLD_CHANNELS 10000
#define CHANNEL_SIZE  20
#define URL_SIZE      96
#define FIRST_NAMES   11
#define LAST_NAMES    9
#define NAME_SIZE     24

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

/* -- ids ------------------------------------------------------------------------------------------------ */

/* Of the newest person and auction at event `number`, counted from 0. */
static int64_t last_person(int64_t number)
{
    return number / EPOCH;
}

static int64_t last_auction(int64_t number)
{
    int64_t epoch = number / EPOCH, offset = number % EPOCH;
    int64_t made = offset > AUCTIONS ? AUCTIONS : offset; /* in this epoch */
    return epoch * AUCTIONS + made - 1;
}

static int64_t any_person(uint64_t *state, int64_t number)
{
    int64_t people = last_person(number) + 1;
    int64_t active = people < PEOPLE ? people : PEOPLE;
    return people - active + nexmark_below(state, active + LEAD);
}

static int64_t any_auction(uint64_t *state, int64_t number)
{
    int64_t last = last_auction(number), first = last > IN_FLIGHT ? last - IN_FLIGHT : 0;
    return first + nexmark_below(state, last - first + 1 + LEAD);
}

static int64_t price(uint64_t *state)
{
    int64_t octave = INT64_C(100) << nexmark_below(state, OCTAVES);
    return octave + nexmark_below(state, octave);
}

/* -- events --------------------------------------------------------------------------------------------- */

static weir_str slice(uint64_t *state, char **text, int64_t size)
{
    weir_str made = { .data = *text, .size = (uint64_t)size };
    memcpy(*text, tables.pool + nexmark_below(state, POOL_SIZE - POOL_LEFT_OUT), (size_t)size);
    *text += size;
    return made;
}

/* `size` on average, a fifth more or less. */
static weir_str extra(uint64_t *state, char **text, int64_t size)
{
    int64_t least = size - size / 5;
    return slice(state, text, least + nexmark_below(state, 2 * (size - least) + 1));
}

static weir_str one_of(uint64_t *state, const char *const *texts, int64_t count)
{
    return weir_str_of(texts[nexmark_below(state, count)]);
}

static void make_person(int64_t number, uint64_t *state, struct nexmark_event *event, char *text)
{
    event->id = FIRST_ID + last_person(number);
    event->name = weir_str_of(tables.names[nexmark_below(state, FIRST_NAMES * LAST_NAMES)]);
    event->text = slice(state, &text, 7);
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

static void make_auction(int64_t number, uint64_t *state, struct nexmark_event *event, char *text)
{
    event->id = FIRST_ID + last_auction(number);
    event->party = FIRST_ID + (nexmark_below(state, 4) > 0 ? last_person(number) / HOT * HOT
                                                           : any_person(state, number));
    event->price = price(state);
    event->reserve = event->price + price(state);
    event->expires_ms = event->at_ms + 1 + nexmark_below(state, 2 * HORIZON_MS);
    event->category = 10 + nexmark_below(state, CATEGORIES);
    event->name = slice(state, &text, 20);
    event->text = slice(state, &text, 100);
    event->extra = extra(state, &text, 320);
}

/* Without a branch: half of them would be guessed wrong, which costs as much as all the rest of the draw. */
static int64_t either(bool is_first, int64_t first, int64_t second)
{
    int64_t mask = -(int64_t)is_first;
    return (first & mask) | (second & ~mask);
}

static void make_bid(int64_t number, uint64_t *state, struct nexmark_event *event, char *text)
{
    bool is_hot = nexmark_below(state, 2) > 0;
    uint64_t drawn = *state;
    int64_t cold = any_auction(&drawn, number);
    event->id = FIRST_ID + either(is_hot, last_auction(number) / HOT * HOT, cold);
    *state = (uint64_t)either(is_hot, (int64_t)*state, (int64_t)drawn);
    is_hot = nexmark_below(state, 4) > 0;
    drawn = *state;
    cold = any_person(&drawn, number);
    event->party = FIRST_ID + either(is_hot, last_person(number) / HOT * HOT + 1, cold);
    *state = (uint64_t)either(is_hot, (int64_t)*state, (int64_t)drawn);
    event->price = price(state);
    is_hot = nexmark_below(state, 2) > 0;
    const struct channel *channel =
        &tables.channels[either(!is_hot, HOT_CHANNELS, 0) +
                         nexmark_below(state, either(is_hot, HOT_CHANNELS, COLD_CHANNELS))];
    event->name = channel->name;
    event->text = channel->url;
    event->extra = extra(state, &text, 68);
}

void nexmark_make(uint64_t index, struct nexmark_event *event, char *text)
{
    uint64_t state = nexmark_start(tables.seed, index);
    int64_t number = (int64_t)index + 1; /* there is an auction to bid for from 1 on */
    int64_t offset = number % EPOCH;
    event->at_ms = BASE_MS + (int64_t)(index / EVENTS_PER_MS);
    event->kind = offset == 0 ? NEXMARK_PERSON : offset <= AUCTIONS ? NEXMARK_AUCTION : NEXMARK_BID;
    if (event->kind == NEXMARK_PERSON)
        make_person(number, &state, event, text);
    else if (event->kind == NEXMARK_AUCTION)
        make_auction(number, &state, event, text);
    else
        make_bid(number, &state, event, text);
}

/* -- digests -------------------------------------------------------------------------------------------- */

uint64_t digest_text(uint64_t digest, weir_str text, bool is_full)
{
    digest = digest_number(digest, (int64_t)text.size);
    for (uint64_t at = 0; is_full && at < text.size; at += 8) {
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
