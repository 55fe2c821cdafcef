/* main.c -- the job: its options, and the graph.
 *
 *      events ----bad----> dead letters         Kafka, or history files, or files and then Kafka
 *        | by event_id
 *      dedupe -- split ---own---------+                      one chain
 *                  | claims, by id    |
 *               identity --fragments--|--+
 *                  | changes          |  |
 *                  +-------union------+  |
 *                            | by yid    |
 *                         profile --fragments-- union --> fragments
 *                            |
 *                         profiles                           chained to profile
 *
 * Event time is the member ts, the out-of-orderness 0: the watermark decides one thing only, when
 * dedupe forgets an id, and "the watermark is a day past" needs no further slack. Nothing is late.
 * */
#include "jobs/userprofile/dedupe.h"
#include "jobs/userprofile/identity.h"
#include "jobs/userprofile/output.h"
#include "jobs/userprofile/profile.h"
#include "jobs/userprofile/split.h"

/* What the command line asked for. */
struct plan {
    const char *brokers, *events, *profiles, *dead_letters, *fragments, *history, *output;
    bool is_bounded, republishes;
    int64_t dedupe_ttl_ms, fanout_limit, emit_interval_ms;
};

static const struct weir_option options[] = {
    { "brokers", WEIR_OPTION_TEXT, "HOST:PORT[,…]", NULL, "Kafka to read from and write to", 0, 0 },
    { "events", WEIR_OPTION_TEXT, "TOPIC", NULL, "topic of the events (events)", 0, 0 },
    { "profiles", WEIR_OPTION_TEXT, "TOPIC", NULL, "topic of the profiles (profiles)", 0, 0 },
    { "dead-letters", WEIR_OPTION_TEXT, "TOPIC", NULL, "topic of what is no event (dead-letters)",
        0, 0 },
    { "fragments", WEIR_OPTION_TEXT, "TOPIC", NULL,
        "also write the fragment of every anchor here; without --brokers the prefix of the files",
        0, 0 },
    { "history", WEIR_OPTION_TEXT, "DIR", NULL, "files of events, read before the topic", 0, 0 },
    { "output", WEIR_OPTION_TEXT, "DIR", NULL, "where to write without --brokers", 0, 0 },
    { "bounded", WEIR_OPTION_FLAG, NULL, NULL, "stop at the end offsets seen at the start", 0, 0 },
    { "republish", WEIR_OPTION_FLAG, NULL, NULL,
        "go on although topics have output from behind the restored checkpoint: it comes twice", 0,
        0 },
    { "dedupe-ttl", WEIR_OPTION_DURATION, "TIME", "24h", "how long an event_id is remembered", 1,
        INT64_MAX },
    { "id-fanout-limit", WEIR_OPTION_NUMBER, "N", "64",
        "an id that more users claim belongs to none of them; part of the state", 1, INT64_MAX },
    { "emit-interval", WEIR_OPTION_DURATION, "TIME", "1s",
        "changes of a profile within this time are one record", 1, INT64_MAX },
};

/* -- the command line ------------------------------------------------------------------------ */

static const char *text_or(weir_job *job, const char *name, const char *fallback)
{
    const char *text = weir_job_text(job, name);
    return text != NULL ? text : fallback;
}

/* An option that means nothing without, or beside, --brokers. */
static void refuse(weir_job *job, const char *name, const char *why)
{
    if (weir_job_text(job, name) != NULL)
        weir_job_fail(job, weir_errorf(WEIR_E_USAGE, "--%s %s", name, why));
}

static void check_files(weir_job *job, const struct plan *plan)
{
    static const char why[] = "names a topic: give --brokers, too";
    refuse(job, "events", why);
    refuse(job, "profiles", why);
    refuse(job, "dead-letters", why);
    if (plan->history == NULL)
        weir_job_fail(job,
            weir_errorf(WEIR_E_USAGE,
                "nothing to read: give --brokers HOST:PORT for Kafka, or --history DIR for files"));
    if (plan->output == NULL)
        weir_job_fail(job,
            weir_errorf(WEIR_E_USAGE,
                "nowhere to write: give --brokers HOST:PORT for Kafka, or --output DIR for files"));
}

/* Two outputs in one place could not be told apart, and the input is no place for any. */
static void check_places(weir_job *job, const struct plan *plan)
{
    const struct {
        const char *option, *place;
    } all[] = { { "events", plan->events }, { "profiles", plan->profiles },
        { "dead-letters", plan->dead_letters }, { "fragments", plan->fragments } };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        for (size_t k = 0; k < i && all[i].place != NULL; k++)
            if (strcmp(all[i].place, all[k].place) == 0)
                weir_job_fail(job,
                    weir_errorf(WEIR_E_USAGE, "--%s and --%s are both '%s': give each its own",
                        all[i].option, all[k].option, all[i].place));
}

static struct plan read_options(weir_job *job)
{
    struct plan plan = { .brokers = weir_job_text(job, "brokers"),
        .events = text_or(job, "events", "events"),
        .profiles = text_or(job, "profiles", "profiles"),
        .dead_letters = text_or(job, "dead-letters", "dead-letters"),
        .fragments = weir_job_text(job, "fragments"),
        .history = weir_job_text(job, "history"),
        .output = weir_job_text(job, "output"),
        .is_bounded = weir_job_flag(job, "bounded"),
        .republishes = weir_job_flag(job, "republish"),
        .dedupe_ttl_ms = weir_job_number(job, "dedupe-ttl"),
        .fanout_limit = weir_job_number(job, "id-fanout-limit"),
        .emit_interval_ms = weir_job_number(job, "emit-interval") };
    if (plan.brokers == NULL)
        check_files(job, &plan);
    else
        refuse(job, "output", "is for jobs without --brokers: with it the output goes to topics");
    check_places(job, &plan);
    return plan;
}

/* -- sources and sinks ----------------------------------------------------------------------- */

static struct weir_source make_source(weir_job *job, const struct plan *plan)
{
    struct weir_source history = { .source_class = NULL }, live = { .source_class = NULL };
    if (plan->history != NULL)
        history = weir_file_source(.path = plan->history, .format = event_format(),
            .line_size_max = EVENT_SIZE_MAX);
    if (plan->brokers == NULL)
        return history;
    live = weir_kafka_source(.brokers = plan->brokers, .topic = plan->events,
        .format = event_format(), .bounded = plan->is_bounded);
    return plan->history == NULL ? live : weir_source_chain(job, history, live);
}

/* `topic` is also the prefix of the files. */
static struct weir_sink make_sink(const struct plan *plan, const char *topic,
    struct weir_format format, bool has_key)
{
    if (plan->brokers != NULL)
        return weir_kafka_sink(.brokers = plan->brokers, .topic = topic, .format = format,
            .republish = plan->republishes);
    return weir_file_sink(.path = plan->output, .prefix = topic, .format = format,
        .with_key = has_key);
}

/* -- the graph ------------------------------------------------------------------------------- */

static void build(weir_job *job)
{
    const struct plan plan = read_options(job);
    if (plan.brokers == NULL && (plan.history == NULL || plan.output == NULL))
        return;
    struct dedupe *dedupe = weir_job_alloc(job, sizeof(*dedupe));
    struct identity *identity = weir_job_alloc(job, sizeof(*identity));
    struct profile_options *profile = weir_job_alloc(job, sizeof(*profile));
    dedupe_init(dedupe, plan.dedupe_ttl_ms);
    identity_init(identity, plan.fanout_limit, plan.emit_interval_ms, plan.fragments != NULL);
    *profile = (struct profile_options){ .emit_interval_ms = plan.emit_interval_ms,
        .has_fragments = plan.fragments != NULL };

    weir_stream *events = weir_source(job, "events", make_source(job, &plan));
    events = weir_event_time(events, event, body.ts, 0);
    weir_sink(weir_dead_letters(events, 0), "dead-letters",
        make_sink(&plan, plan.dead_letters, dead_letter_format(), false));

    weir_stream *first =
        weir_process(weir_key_by(events, WEIR_KEY(event, body.event_id)), &dedupe->operator_, NULL);
    weir_stream *claims = weir_process(first, &split_operator, NULL);
    weir_stream *own = weir_side_output(claims, SPLIT_OWN_NAME);
    weir_stream *moved =
        weir_process(weir_key_by(claims, WEIR_KEY(claim, id)), &identity->operator_, identity);
    weir_stream *changes = weir_union(own, moved);
    weir_stream *profiles =
        weir_process(weir_key_by(changes, WEIR_KEY(change, yid)), &profile_operator, profile);
    weir_sink(profiles, "profiles", make_sink(&plan, plan.profiles, output_format(), true));
    if (plan.fragments != NULL)
        weir_sink(weir_union(weir_side_output(moved, IDENTITY_FRAGMENT_NAME),
                      weir_side_output(profiles, PROFILE_FRAGMENT_NAME)),
            "fragments", make_sink(&plan, plan.fragments, output_format(), true));
}

static const struct weir_program program = { .name = "userprofile",
    .help = "Builds user profiles from events: cleans them, drops duplicates, finds out which ids "
            "belong to which user, and keeps one profile for every user and every id without one.",
    .options = options,
    .option_count = sizeof(options) / sizeof(options[0]),
    .build = build };

int main(int argc, char **argv)
{
    return weir_main_program(argc, argv, &program);
}
