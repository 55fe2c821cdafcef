/* large.c -- a job for tests and benchmarks with more state than memory, or that takes long to restore.
 *
 *      generator -- by key --> recall -- > standard output          {"index":17,"key":…,"nth":2}
 *
 * What   Record i belongs to user i % users, whose key is a scrambled number, so that neighbours in time are none
 *        in the state: every user is as cold as can be. With --hot N nine records in ten are of N users
 *        instead, in turn. Of each user it keeps how many records there were and a page of random bytes,
 *        which no compression makes smaller. From the index follows what both must be: a difference is
 *        counted as `wrong`. Records from --from on leave with what was found.
 * How    --users N --page SIZE: about that much state. */
#include <weir/weir.h>

#include <string.h>

#define PAGE_MAX 4096
#define WARM     10 /* of --hot: one in so many records is of all users */

struct visit {
    uint64_t index, key, nth;
};
WEIR_TYPE(visit, WEIR_FIELD(1, visit, index), WEIR_FIELD(2, visit, key), WEIR_FIELD(3, visit, nth));

struct memory {
    uint64_t nth;
    weir_str page;
};
WEIR_TYPE(memory, WEIR_FIELD(1, memory, nth), WEIR_FIELD(2, memory, page));

struct settings {
    uint64_t users, hot, from, page_size;
};

static struct settings settings;

static uint64_t scramble(uint64_t number)
{
    number = (number ^ number >> 31) * 0x9e3779b97f4a7c15u;
    return (number ^ number >> 29) * 0xbf58476d1ce4e5b9u;
}

/* Hot users have numbers behind those of the others. */
static struct visit visit_of(uint64_t index)
{
    if (settings.hot == 0 || index % WARM == 0) {
        uint64_t turn = settings.hot == 0 ? index : index / WARM;
        return (struct visit){ index, scramble(turn % settings.users), turn / settings.users + 1 };
    }
    uint64_t turn = index - index / WARM - 1;
    return (struct visit){ index, scramble(settings.users + turn % settings.hot),
        turn / settings.hot + 1 };
}

static void generate(uint64_t seed, uint64_t index, void *record, weir_ctx *ctx)
{
    (void)seed, (void)ctx;
    *(struct visit *)record = visit_of(index);
}

static const struct weir_state states[] = { { .name = "memory", .type = &memory_type } };
static const char *const counters[] = { "wrong" };
enum { WRONG };

static weir_error *on_record(weir_ctx *ctx, const void *record)
{
    const struct visit *visit = record;
    struct memory *memory = weir_state_edit(ctx, 0, memory);
    uint64_t page[PAGE_MAX / 8];
    for (uint64_t i = 0; i < settings.page_size / 8; i++)
        page[i] = scramble(visit->key + i);
    if (memory->nth++ == 0) {
        memory->page.data = memcpy(weir_scratch(ctx, settings.page_size), page, settings.page_size);
        memory->page.size = settings.page_size;
    }
    if (memory->nth != visit->nth || memory->page.size != settings.page_size ||
        memcmp(memory->page.data, page, settings.page_size) != 0)
        weir_count(ctx, WRONG, 1);
    if (visit->index >= settings.from)
        weir_emit(ctx, visit, &((struct visit){ visit->index, visit->key, memory->nth }));
    return NULL;
}

static const struct weir_operator recall = { .uid = "recall",
    .in = &visit_type,
    .out = &visit_type,
    .states = states,
    .state_count = 1,
    .counters = counters,
    .counter_count = 1,
    .on_record = on_record };

static void build(weir_job *job)
{
    settings = (struct settings){ .users = (uint64_t)weir_job_number(job, "users"),
        .hot = (uint64_t)weir_job_number(job, "hot"),
        .from = (uint64_t)weir_job_number(job, "from"),
        .page_size = (uint64_t)weir_job_number(job, "page") / 8 * 8 };
    weir_stream *visits = weir_source(job, "visits",
        weir_generator(.type = &visit_type, .generate = generate,
            .count = (uint64_t)weir_job_number(job, "count"),
            .per_second = (uint64_t)weir_job_number(job, "rate")));
    weir_sink(weir_process(weir_key_by(visits, WEIR_KEY(visit, key)), &recall, NULL), "out",
        weir_print());
}

static const struct weir_option options[] = {
    { "users", WEIR_OPTION_NUMBER, "N", "100000", "different keys", 1, INT64_MAX },
    { "hot", WEIR_OPTION_NUMBER, "N", "0", "keys that most records are of; 0: none", 0, INT64_MAX },
    { "page", WEIR_OPTION_SIZE, "SIZE", "96B", "bytes kept of each", 8, PAGE_MAX },
    { "count", WEIR_OPTION_NUMBER, "N", "0", "records; 0: for ever", 0, INT64_MAX },
    { "rate", WEIR_OPTION_NUMBER, "N", "0", "records a second; 0: as fast as it goes", 0,
        INT64_MAX },
    { "from", WEIR_OPTION_NUMBER, "N", "0", "the first record that is to leave", 0, INT64_MAX },
};

int main(int argc, char **argv)
{
    static const struct weir_program program = { .help =
                                                     "Keeps a page of random bytes of each user.",
        .options = options,
        .option_count = sizeof(options) / sizeof(options[0]),
        .build = build };
    return weir_main_program(argc, argv, &program);
}
