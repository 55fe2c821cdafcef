/* kafka_token.h -- the progress token of a sink subtask, and what it says about what to publish.
 *
 * A token is the last record in the subtask's own partition of a compacted topic. It is written in the
 * same transaction as the output it speaks of, so both are visible or neither:
 *
 *      token = (instance, attempt, segment, done, total)
 *              segment `segment` of this instance has `done` of its `total` chunks published
 *
 * token_judge compares it with the list of segments that the restored (or running) sink still holds,
 * oldest first, each knowing the one before it (`previous`). It is pure, and it insists on an exact
 * match: "at least" would accept a token that is newer than the restored state, and publish twice.
 *
 *      token                                        verdict
 *      segment i of the list, complete              go on with i + 1
 *      segment i of the list, partial               go on with i at chunk `done`
 *      == previous of the first, complete           go on with the first, unless that is known to be published
 *      of another instance, or none; previous = 0   the same (a fresh start)
 *      attempt higher than mine                     FENCED: a newer attempt is at work
 *      none or older than that                      LOST: or the read was stale; the caller proves which
 *      newer than the last of the list              AHEAD: output behind the restored checkpoint exists
 *
 * Source of the protocol: docs/KAFKA.md. Thread: any, pure. Prefixes: token_ */
#ifndef WEIR_CONNECTORS_KAFKA_TOKEN_H
#define WEIR_CONNECTORS_KAFKA_TOKEN_H

#include <weir/connector.h>

#define TOKEN_TEXT_MAX 128

/* Thread: its holder. */
struct token {
    bool exists;
    uint64_t instance, attempt, segment;
    uint32_t done, total; /* chunks */
};

/* "weir1 <instance> <attempt> <segment> <done> <total>", numbers in decimal: readable with any
 * console consumer. Returns the length. */
size_t token_write(const struct token *token, char text[TOKEN_TEXT_MAX]);
weir_error *token_parse(weir_str text, struct token *token) WEIR_MUST_USE;

/* A segment as the judge sees it. Thread: its holder. */
struct token_segment {
    uint64_t number, previous;
    uint32_t chunk_count;
    bool is_published; /* of the first only: the restored checkpoint knew that it was */
};

enum token_verdict { TOKEN_GO_ON, TOKEN_FENCED, TOKEN_LOST, TOKEN_AHEAD };
/* Where to go on: index == count: everything is published. Thread: its holder. */
struct token_place {
    uint32_t index, chunk;
};
/* Up to where everything is published for certain: the token says that, or more. 0: nothing was. */
uint64_t token_expected(const struct token_segment *segments, uint32_t count, uint64_t last);
/* `last`: number of the newest segment that was ever published or is in the list; it is `previous` of
 * the next one, and what the token must be when the list is empty. */
enum token_verdict token_judge(const struct token *token, uint64_t instance, uint64_t attempt,
    const struct token_segment *segments, uint32_t count, uint64_t last, struct token_place *place);

#endif
