/* json_event.c -- bytes of JSON per second and core into the events of jobs/userprofile.
 *
 * A round decodes 16,384 different valid events, 4 MB, with every member and two or three ids and
 * tags; none is kept. Of several rounds the best counts: the machine is shared. The decoder runs in
 * an operator of the test harness, because it needs a ctx to take scratch from.
 *
 * Output: name TAB value TAB unit TAB goal TAB ok|short|-. */
#include "jobs/userprofile/event.h"

#include <weir/testing.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define EVENTS    16384u
#define EVENT_MAX 512u
#define ROUNDS    15
#define GOAL      700.0

static struct weir_message messages[EVENTS];
static uint64_t corpus_size, bad_count;
static double best_s = 1e9;

static void make_event(uint32_t i, char *text)
{
    static const char *const types[] = { "view", "click", "buy", "repay" };
    static const char *const categories[] = { "loans", "cards", "funds", "insurance" };
    int size = snprintf(text, EVENT_MAX,
        "{\"event_id\":\"e-%09u\",\"ts\":%llu,\"source\":\"app\",\"ids\":{\"user\":\"u%u\","
        "\"phone\":\"+86138%08u\",\"device\":\"a%07x\"},\"type\":\"%s\",\"category\":\"%s\","
        "\"amount\":%u.%02u,\"tags\":{\"city\":\"%s\",\"vip\":%u}}",
        i * 7919, 1716200000123ull + i * 37, i * 31 % 1000000, i * 977, i * 40503, types[i % 4],
        categories[i % 4], i % 100000, i % 100, i % 8 == 0 ? "北京" : "Beijing", i % 10);
    messages[i].value = (weir_str){ .data = text, .size = (uint64_t)size };
    corpus_size += (uint64_t)size;
}

static double thread_cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static weir_error *on_round(weir_ctx *ctx, const void *record)
{
    (void)record;
    struct weir_format format = event_format();
    double started_s = thread_cpu_s();
    for (uint32_t i = 0; i < EVENTS; i++) {
        struct event event = { .ids = { { .data = NULL } } };
        weir_error *error = format.format_class->decode(&format, ctx, &messages[i], &event);
        bad_count += error != NULL;
        weir_error_free(error);
    }
    double elapsed_s = thread_cpu_s() - started_s;
    if (elapsed_s < best_s)
        best_s = elapsed_s;
    return NULL;
}

static const struct weir_operator rounds = { .name = "rounds",
    .in = &weir_message_type,
    .on_record = on_round };

int main(void)
{
    char *corpus = malloc((size_t)EVENTS * EVENT_MAX);
    for (uint32_t i = 0; i < EVENTS; i++)
        make_event(i, corpus + corpus_size);
    weir_harness *harness = weir_harness_new(&rounds, NULL, WEIR_NO_KEY);
    for (int round = 0; round < ROUNDS; round++)
        weir_harness_send(harness, 0, weir_message, &messages[0]);
    weir_harness_free(harness);
    free(corpus);
    if (bad_count > 0)
        return 1;
    double mb_s = (double)corpus_size / best_s / 1e6;
    printf("JSON event to struct\t%.0f\tMB/s\t%.0f\t%s\n", mb_s, GOAL,
        mb_s >= GOAL ? "ok" : "short");
    printf("JSON event to struct\t%.0f\tns/event\t-\t-\n", best_s / EVENTS * 1e9);
    return 0;
}
