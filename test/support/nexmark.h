/* nexmark.h -- the events of Nexmark, an on-line auction: event i = f(seed, i), and nothing else.
 *
 * Why not the generator of nexmark/nexmark: it has no seed, so no two runs of it agree and there is nothing to
 * compare results with. This one keeps its shape (1 person, 3 auctions and 46 bids of each 50; the ids in flight, the
 * hot auctions, sellers and bidders; the four hot channels beside 10,000 others; the sizes of the texts) and
 * is made of whole numbers only, so that a twin in another language gives the same bytes:
 * bench/flink/src/main/java/weir/bench/Nexmark.java, which test/flink/ compares with this file.
 *
 * Differences that a reader of Nexmark would look for: event time is 10 us an event from a constant on; a
 * price is log-linear between 100 and 2^20 times that (not 10^(6u)); a bidder's id is offset once, not twice.
 *
 * Ownership: an event's texts lie in `text`, or in tables that live as long as the process.
 * Thread: nexmark_init once, before any other; then any. */
#ifndef WEIR_TEST_NEXMARK_H
#define WEIR_TEST_NEXMARK_H

#include <weir/type.h>

enum nexmark_kind { NEXMARK_PERSON, NEXMARK_AUCTION, NEXMARK_BID };

#define NEXMARK_TEXT_MAX 512 /* bytes of texts of one event that are not in tables */

/* All three kinds in one row; what a kind does not have is 0 or no value. */
struct nexmark_event {
    int64_t at_ms;
    int64_t id;    /* of the person, of the auction; of a bid: its auction */
    int64_t party; /* seller of an auction, bidder of a bid */
    int64_t price; /* of a bid; initial bid of an auction */
    int64_t reserve, expires_ms, category; /* auction */
    weir_str name;                         /* person, item; of a bid: channel */
    weir_str text;                         /* e-mail address, description; of a bid: URL */
    weir_str card, city, state;            /* person */
    weir_str extra;
    int32_t kind;
};
WEIR_TYPE(nexmark_event, WEIR_FIELD(1, nexmark_event, at_ms), WEIR_FIELD(2, nexmark_event, id),
    WEIR_FIELD(3, nexmark_event, party), WEIR_FIELD(4, nexmark_event, price),
    WEIR_FIELD(5, nexmark_event, reserve), WEIR_FIELD(6, nexmark_event, expires_ms),
    WEIR_FIELD(7, nexmark_event, category), WEIR_FIELD(8, nexmark_event, name),
    WEIR_FIELD(9, nexmark_event, text), WEIR_FIELD(10, nexmark_event, card),
    WEIR_FIELD(11, nexmark_event, city), WEIR_FIELD(12, nexmark_event, state),
    WEIR_FIELD(13, nexmark_event, extra), WEIR_FIELD(14, nexmark_event, kind));

/* Makes the tables of `seed`. */
void nexmark_init(uint64_t seed);
/* Of event `index`: at most NEXMARK_TEXT_MAX, but most events are bids and need a sixth of that. */
size_t nexmark_text_max(uint64_t index);
/* Fills a zeroed event; `text` has room for nexmark_text_max bytes. */
void nexmark_make(uint64_t index, struct nexmark_event *event, char *text);

/* -- random numbers: begun anew for each event, and cheap, since both sides of a comparison pay for them ------
 * Each draw is a step and one multiplication of 64 by 64 bits, after wyrand (Wang Yi, 2019), but signed, as Java
 * multiplies. Events begin a stride apart that is another one than the step. */

#define NEXMARK_GOLDEN UINT64_C(0x9e3779b97f4a7c15)
#define NEXMARK_STEP   UINT64_C(0xa0761d6478bd642f)
#define NEXMARK_STRIDE UINT64_C(0xbf58476d1ce4e5b9) /* from one seed to the next */
#define NEXMARK_TWIST  INT64_C(-0x18fc812e5f4bd725) /* 0xe7037ed1a0b428db */

__extension__ typedef __int128 nexmark_wide;

/* The finalizer of SplitMix64 (Steele et al., 2014). */
static inline uint64_t nexmark_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* `state` of event `index`. */
static inline uint64_t nexmark_start(uint64_t seed, uint64_t index)
{
    return seed * NEXMARK_STRIDE + (index + 1) * NEXMARK_GOLDEN;
}

static inline uint64_t nexmark_next(uint64_t *state)
{
    int64_t x = (int64_t)(*state += NEXMARK_STEP);
    nexmark_wide product = (nexmark_wide)x * (x ^ NEXMARK_TWIST);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Below `limit`, which is below 2^31. */
static inline int64_t nexmark_below(uint64_t *state, int64_t limit)
{
    return (int64_t)((nexmark_next(state) >> 32) * (uint64_t)limit >> 32);
}

/* -- digests: of a set of records, whatever their order: add up those of all ------------------------------- */

static inline uint64_t digest_number(uint64_t digest, int64_t number)
{
    digest = (digest ^ (uint64_t)number) * NEXMARK_GOLDEN;
    return digest ^ (digest >> 32);
}

uint64_t digest_bytes(uint64_t digest, weir_str text); /* eight at a time */
/* `is_full`: its bytes count; else only its length, which costs next to nothing. */
static inline uint64_t digest_text(uint64_t digest, weir_str text, bool is_full)
{
    digest = digest_number(digest, (int64_t)text.size);
    return is_full ? digest_bytes(digest, text) : digest;
}

uint64_t nexmark_digest(const struct nexmark_event *event);

#endif
