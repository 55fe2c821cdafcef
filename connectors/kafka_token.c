/* kafka_token.c -- see kafka_token.h. Prefixes: token_ */
#include "connectors/kafka_token.h"

#include "base/assert.h"

#include <inttypes.h>
#include <stdio.h>

size_t token_write(const struct token *token, char text[TOKEN_TEXT_MAX])
{
    int size = snprintf(text, TOKEN_TEXT_MAX,
        "weir1 %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu32, token->instance,
        token->attempt, token->segment, token->done, token->total);
    ASSERT(size > 0 && size < TOKEN_TEXT_MAX);
    return (size_t)size;
}

weir_error *token_parse(weir_str text, struct token *token)
{
    char copy[TOKEN_TEXT_MAX];
    int used = 0;
    *token = (struct token){ .exists = true };
    if (text.data != NULL && text.size < sizeof(copy)) {
        memcpy(copy, text.data, text.size);
        copy[text.size] = '\0';
        int count = sscanf(copy,
            "weir1 %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNu32 "%n", &token->instance,
            &token->attempt, &token->segment, &token->done, &token->total, &used);
        if (count == 5 && (size_t)used == text.size && token->done <= token->total)
            return NULL;
    }
    return weir_errorf(WEIR_E_CORRUPT,
        "a progress token is not one of Weir's: '%.*s'; does something "
        "else write to the token topic?",
        (int)(text.size > 64 ? 64 : text.size), text.data == NULL ? "" : text.data);
}

/* The token says that everything up to `number` is published, and nothing behind it. */
static bool is_complete_at(const struct token *token, uint64_t number)
{
    return token->segment == number && token->done == token->total;
}

static enum token_verdict judge_same(const struct token *token,
    const struct token_segment *segments, uint32_t count, uint64_t last, struct token_place *place)
{
    for (uint32_t i = 0; i < count; i++) {
        if (token->segment != segments[i].number)
            continue;
        if (token->total != segments[i].chunk_count)
            return TOKEN_LOST; /* not the segment that it spoke of */
        bool is_complete = token->done == token->total;
        *place = (struct token_place){ .index = is_complete ? i + 1 : i,
            .chunk = is_complete ? 0 : token->done };
        return TOKEN_GO_ON;
    }
    uint64_t expected = count == 0 ? last : segments[0].previous;
    *place = (struct token_place){ .index = 0 };
    if (is_complete_at(token, expected))
        return TOKEN_GO_ON;
    return token->segment > expected ? TOKEN_AHEAD : TOKEN_LOST;
}

enum token_verdict token_judge(const struct token *token, uint64_t instance, uint64_t attempt,
    const struct token_segment *segments, uint32_t count, uint64_t last, struct token_place *place)
{
    *place = (struct token_place){ .index = 0 };
    if (!token->exists || token->instance != instance) {
        uint64_t expected = count == 0 ? last : segments[0].previous;
        return expected == 0 ? TOKEN_GO_ON : TOKEN_LOST;
    }
    if (token->attempt > attempt)
        return TOKEN_FENCED;
    return judge_same(token, segments, count, last, place);
}
