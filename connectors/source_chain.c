/* source_chain.c -- one source after another: history files, then Kafka.
 *
 * Each subtask reads the first source until its own splits of it are finished, then opens the second.
 * Positions of both are in every checkpoint, under a prefix each. Where the second is not open yet
 * nobody can tell which of its splits are whose, so what a restored checkpoint knew of it is carried on
 * as a whole, whoever is open, and the positions of those who are count instead.
 *
 * The second source opens late, so that its splits do not hold back the watermark of the first; that
 * open may block for its bounded time, once.
 *
 * Thread: task. */
#include <weir/job.h>

#include "base/memory.h"

static const char *const scopes[2] = { "1/", "2/" };

/* Thread: immutable after init. */
struct chain_options {
    struct weir_source sources[2];
};

/* Thread: task. */
struct chain_instance {
    const struct chain_options *options;
    void *instances[2];
    bool is_open[2];
    uint32_t active, polled; /* polled: the one that the last poll was for */
};

static const struct weir_source_class *class_of(const struct chain_options *options, uint32_t index)
{
    return options->sources[index].source_class;
}

static const void *options_of(const struct chain_options *options, uint32_t index)
{
    const struct weir_source *source = &options->sources[index];
    return source->options != NULL ? source->options : source->stored;
}

static const struct weir_type *out_type(const void *arg)
{
    const struct chain_options *options = arg;
    return class_of(options, 0)->out_type(options_of(options, 0));
}

static weir_error *validate(const void *arg)
{
    const struct chain_options *options = arg;
    const struct weir_type *types[2];
    for (uint32_t i = 0; i < 2; i++) {
        const struct weir_source_class *class = class_of(options, i);
        if (class->validate != NULL)
            WEIR_TRY(class->validate(options_of(options, i)));
        types[i] = class->out_type(options_of(options, i));
    }
    if (weir_type_fingerprint(types[0]) == weir_type_fingerprint(types[1]))
        return NULL;
    return weir_errorf(WEIR_E_PLAN,
        "the sources of a chain make records of one type, not '%s' and '%s'", types[0]->name,
        types[1]->name);
}

static weir_error *open_inner(weir_ctx *ctx, struct chain_instance *chain, uint32_t index)
{
    const struct weir_source_class *class = class_of(chain->options, index);
    weir_item_scope(ctx, scopes[index]);
    chain->active = index;
    chain->instances[index] = mem_alloc(class->instance_size + 1);
    chain->is_open[index] = true;
    return class->open(ctx, options_of(chain->options, index), chain->instances[index]);
}

static weir_error *open_chain(weir_ctx *ctx, const void *options, void *instance)
{
    struct chain_instance *chain = instance;
    chain->options = options;
    return open_inner(ctx, chain, 0);
}

static weir_error *poll_chain(weir_ctx *ctx, void *instance, enum weir_source_status *status)
{
    struct chain_instance *chain = instance;
    weir_item_scope(ctx, scopes[chain->active]);
    const struct weir_source_class *class = class_of(chain->options, chain->active);
    chain->polled = chain->active;
    WEIR_TRY(class->poll(ctx, chain->instances[chain->active], status));
    if (chain->active == 1 || *status != WEIR_SOURCE_FINISHED)
        return NULL;
    *status = WEIR_SOURCE_MORE;
    return open_inner(ctx, chain, 1);
}

static weir_error *snapshot(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct chain_instance *chain = instance;
    weir_error *error = NULL;
    for (uint32_t i = 0; i < 2 && error == NULL; i++) {
        weir_item_scope(ctx, scopes[i]);
        if (chain->is_open[i])
            error = class_of(chain->options, i)->snapshot(ctx, chain->instances[i], checkpoint);
        if (i == 1)
            weir_item_carry(ctx);
    }
    weir_item_scope(ctx, scopes[chain->active]);
    return error;
}

static weir_error *checkpoint_complete(weir_ctx *ctx, void *instance, uint64_t checkpoint)
{
    struct chain_instance *chain = instance;
    for (uint32_t i = 0; i < 2; i++) {
        const struct weir_source_class *class = class_of(chain->options, i);
        if (chain->is_open[i] && class->checkpoint_complete != NULL)
            WEIR_TRY(class->checkpoint_complete(ctx, chain->instances[i], checkpoint));
    }
    return NULL;
}

static int64_t lag(weir_ctx *ctx, void *instance)
{
    struct chain_instance *chain = instance;
    const struct weir_source_class *class = class_of(chain->options, chain->active);
    return class->lag == NULL ? -1 : class->lag(ctx, chain->instances[chain->active]);
}

static uint32_t positions(const void *instance, struct weir_position *list, uint32_t max)
{
    const struct chain_instance *chain = instance;
    const struct weir_source_class *class = class_of(chain->options, chain->polled);
    return class->positions == NULL ? 0
                                    : class->positions(chain->instances[chain->polled], list, max);
}

static void close_chain(weir_ctx *ctx, void *instance)
{
    struct chain_instance *chain = instance;
    for (uint32_t i = 0; i < 2; i++) {
        if (chain->is_open[i])
            class_of(chain->options, i)->close(ctx, chain->instances[i]);
        mem_free(chain->instances[i]);
    }
}

static const struct weir_source_class source_chain_class = { .name = "chain",
    .options_size = sizeof(struct chain_options),
    .instance_size = sizeof(struct chain_instance),
    .out_type = out_type,
    .validate = validate,
    .open = open_chain,
    .poll = poll_chain,
    .snapshot = snapshot,
    .checkpoint_complete = checkpoint_complete,
    .close = close_chain,
    .lag = lag,
    .positions = positions };

/* Options that lie elsewhere need not live as long as the job. */
static struct weir_source keep(struct weir_job *job, struct weir_source source)
{
    size_t size = source.source_class->options_size;
    if (source.options == NULL || size == 0)
        return source;
    void *copy = weir_job_alloc(job, size);
    memcpy(copy, source.options, size);
    source.options = copy;
    return source;
}

struct weir_source weir_source_chain(struct weir_job *job, struct weir_source first,
    struct weir_source second)
{
    struct chain_options *options = weir_job_alloc(job, sizeof(*options));
    options->sources[0] = keep(job, first);
    options->sources[1] = keep(job, second);
    return (struct weir_source){ .source_class = &source_chain_class, .options = options };
}
