/* kafka_token.c -- see kafka_token.h. Prefixes: token_ */
#include "connectors/kafka_token.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>

#define MAGIC "weir1"

size_t token_write(const struct token *token, char text[TOKEN_TEXT_MAX])
{
    int size = snprintf(text, TOKEN_TEXT_MAX,
        MAGIC " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32, token->instance,
        token->attempt, token->segment, token->done, token->total);
    ASSERT(size > 0 && size < TOKEN_TEXT_MAX);
    return (size_t)size;
}

/* A space and a number as token_write writes it: digits only, no leading zero, at most `max`. */
static bool take_number(const char **at, const char *end, uint64_t max, uint64_t *number)
{
    if (*at == end || *(*at)++ != ' ')
        return false;
    const char *start = *at;
    *number = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        uint64_t digit = (uint64_t)(**at - '0');
        if (*number > (max - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return *at > start && (*start != '0' || *at == start + 1);
}

static bool take_all(const char *at, const char *end, struct token *token)
{
    uint64_t done, total;
    bool is_good = take_number(&at, end, UINT64_MAX, &token->instance) &&
                   take_number(&at, end, UINT64_MAX, &token->attempt) &&
                   take_number(&at, end, UINT64_MAX, &token->segment) &&
                   take_number(&at, end, UINT32_MAX, &done) &&
                   take_number(&at, end, UINT32_MAX, &total);
    if (!is_good || at != end || done > total)
        return false;
    token->done = (uint32_t)done;
    token->total = (uint32_t)total;
    return true;
}

weir_error *token_parse(weir_str text, struct token *token)
{
    static const size_t magic_size = sizeof(MAGIC) - 1;
    *token = (struct token){ .exists = true };
    if (text.data != NULL && text.size > magic_size && memcmp(text.data, MAGIC, magic_size) == 0 &&
        take_all(text.data + magic_size, text.data + text.size, token))
        return NULL;
    return weir_errorf(WEIR_E_CORRUPT,
        "a progress token is not one of Weir's: '%.*s'; does something else write to the token "
        "topic?",
        (int)(text.size > 64 ? 64 : text.size), text.data == NULL ? "" : text.data);
}

/* The token says that everything up to `number` is published, and nothing behind it. */
static bool is_complete_at(const struct token *token, uint64_t number)
{
    return token->segment == number && token->done == token->total;
}

uint64_t token_expected(const struct token_segment *segments, uint32_t count, uint64_t last)
{
    if (count == 0)
        return last;
    return segments[0].is_published ? segments[0].number : segments[0].previous;
}

static enum token_verdict judge_same(const struct token *token,
    const struct token_segment *segments, uint32_t count, uint64_t last, struct token_place *place)
{
    for (uint32_t i = 0; i < count; i++) {
        if (token->segment != segments[i].number)
            continue;
        bool is_complete = token->done == token->total;
        if (token->total != segments[i].chunk_count || (segments[i].is_published && !is_complete))
            return TOKEN_LOST; /* not the segment that it spoke of */
        *place = (struct token_place){ .index = is_complete ? i + 1 : i,
            .chunk = is_complete ? 0 : token->done };
        return TOKEN_GO_ON;
    }
    uint64_t expected = token_expected(segments, count, last);
    *place = (struct token_place){ .index = 0 };
    if (is_complete_at(token, expected))
        return TOKEN_GO_ON;
    return token->segment > expected ? TOKEN_AHEAD : TOKEN_LOST;
}

enum token_verdict token_judge(const struct token *token, uint64_t instance, uint64_t attempt,
    const struct token_segment *segments, uint32_t count, uint64_t last, struct token_place *place)
{
    *place = (struct token_place){ .index = 0 };
    if (!token->exists || token->instance != instance)
        return token_expected(segments, count, last) == 0 ? TOKEN_GO_ON : TOKEN_LOST;
    if (token->attempt > attempt)
        return TOKEN_FENCED;
    return judge_same(token, segments, count, last, place);
}
