/* watermark.c -- see watermark.h. */
#include "runtime/task/watermark.h"

#include "base/assert.h"
#include "base/memory.h"

void watermarks_init(struct watermarks *marks, uint32_t inputs_max)
{
    ASSERT(inputs_max > 0);
    *marks = (struct watermarks){ .count_max = inputs_max, .current = WATERMARK_NONE };
}

void watermarks_release(struct watermarks *marks)
{
    mem_free(marks->inputs);
    marks->inputs = NULL;
    marks->count = 0;
}

/* The result over the active inputs; false: none is active. */
static bool smallest(const struct watermarks *marks, int64_t *watermark)
{
    bool is_any = false;
    *watermark = INT64_MAX;
    for (uint32_t i = 0; i < marks->count; i++) {
        const struct watermark_input *input = &marks->inputs[i];
        if (input->is_idle || input->is_finished)
            continue;
        is_any = true;
        if (input->watermark < *watermark)
            *watermark = input->watermark;
    }
    return is_any;
}

bool watermarks_recompute(struct watermarks *marks)
{
    int64_t watermark;
    bool was_idle = marks->is_idle;
    int64_t before = marks->current;
    marks->is_idle = !smallest(marks, &watermark);
    if (!marks->is_idle && watermark > marks->current)
        marks->current = watermark;
    return marks->is_idle != was_idle || marks->current != before;
}

uint32_t watermarks_add(struct watermarks *marks)
{
    ASSERT(marks->count < marks->count_max);
    if ((marks->count & (marks->count - 1)) == 0) { /* full at each power of two */
        uint32_t room = marks->count == 0 ? 1 : marks->count * 2;
        marks->inputs = mem_realloc(marks->inputs, room * sizeof(*marks->inputs));
    }
    marks->inputs[marks->count] = (struct watermark_input){ .watermark = WATERMARK_NONE };
    marks->is_idle = false;
    return marks->count++;
}

bool watermarks_advance(struct watermarks *marks, uint32_t input, int64_t watermark)
{
    ASSERT(input < marks->count);
    struct watermark_input *it = &marks->inputs[input];
    bool was_idle = it->is_idle;
    it->is_idle = false;
    if (watermark > it->watermark)
        it->watermark = watermark;
    else if (!was_idle)
        return false;
    return watermarks_recompute(marks);
}

bool watermarks_idle(struct watermarks *marks, uint32_t input, bool is_idle)
{
    ASSERT(input < marks->count);
    if (marks->inputs[input].is_idle == is_idle)
        return false;
    marks->inputs[input].is_idle = is_idle;
    return watermarks_recompute(marks);
}

bool watermarks_finish(struct watermarks *marks, uint32_t input)
{
    ASSERT(input < marks->count);
    if (marks->inputs[input].is_finished)
        return false;
    marks->inputs[input].is_finished = true;
    return watermarks_recompute(marks);
}
