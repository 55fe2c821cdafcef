/* rest_metrics_test.c -- metrics by REST and for Prometheus: names, labels, values, what is asked for. */
#include "web/rest_metrics.h"

#include "test/support/expect.h"
#include "test/unit/web/dispatcher_double.h"

#define VERTEX "/jobs/" RUNNING_JOB "/vertices/" A_VERTEX

static const char *get(struct client *client, const char *target)
{
    const char *text = client_ask(client, "GET", target, (weir_str){ .data = "" });
    assert_int_equal(client->reply.status, 200);
    return text;
}

static void values_that_are_asked_for_come_as_text_and_others_do_not(void **state)
{
    struct client client = client_new(NULL);
    assert_string_equal(get(&client, VERTEX "/metrics?get=0.numRecordsIn,2.numRecordsIn,9.x,0.num"),
        "[{\"id\":\"0.numRecordsIn\",\"value\":\"100\"},{\"id\":\"2.numRecordsIn\",\"value\":"
        "\"102\"}]");
    assert_string_equal(get(&client, VERTEX "/subtasks/1/metrics?get=currentInputWatermark"),
        "[{\"id\":\"currentInputWatermark\",\"value\":\"-9223372036854775808\"}]");
    assert_string_equal(get(&client, "/jobs/" RUNNING_JOB "/metrics?get=numRestarts"),
        "[{\"id\":\"numRestarts\",\"value\":\"1\"}]");
    assert_string_equal(get(&client, "/jobmanager/metrics?get=taskSlotsTotal,numRunningJobs"),
        "[{\"id\":\"numRunningJobs\",\"value\":\"3\"},{\"id\":\"taskSlotsTotal\",\"value\":\"8\"}"
        "]");
    assert_string_equal(get(&client, "/jobmanager/metrics?get="), "[]");
    client_free(&client);
}

static void an_operators_metric_has_its_name_made_plain(void **state)
{
    struct client client = client_new(NULL);
    const char *text = get(&client, VERTEX "/metrics");
    assert_non_null(strstr(text, "{\"id\":\"0.clicks_<b>&\\\"x\\\".pendingRecords\"}"));
    assert_null(strstr(text, "\"value\""));
    client_free(&client);
}

static void values_of_subtasks_are_put_together(void **state)
{
    struct client client = client_new(NULL);
    assert_string_equal(get(&client,
                            VERTEX "/subtasks/metrics?get=numRecordsIn&agg=min,max,avg,sum"),
        "[{\"id\":\"numRecordsIn\",\"min\":100,\"max\":102,\"avg\":101,\"sum\":303}]");
    assert_string_equal(get(&client,
                            VERTEX "/subtasks/metrics?get=numRecordsIn&agg=sum&subtasks=0,2-9"),
        "[{\"id\":\"numRecordsIn\",\"sum\":202}]");
    assert_string_equal(get(&client,
                            VERTEX "/subtasks/metrics?get=numRecordsIn&agg=sum&subtasks=x"),
        "[{\"id\":\"numRecordsIn\",\"sum\":0}]");
    client.dispatcher->gateways[0].metrics[0].records_in = 0;
    client.dispatcher->gateways[0].metrics[1].records_in = 0;
    client.dispatcher->gateways[0].metrics[2].records_in = 30; /* all in one of three */
    assert_string_equal(get(&client, VERTEX "/subtasks/metrics?get=numRecordsIn&agg=skew"),
        "[{\"id\":\"numRecordsIn\",\"skew\":100}]");
    client_free(&client);
}

/* -- Prometheus ----------------------------------------------------------------------------- */

static void samples_have_flinks_names_and_labels(void **state)
{
    static const char *const expected[] = {
        "# HELP flink_jobmanager_taskSlotsTotal taskSlotsTotal (scope: jobmanager)\n"
        "# TYPE flink_jobmanager_taskSlotsTotal gauge\n"
        "flink_jobmanager_taskSlotsTotal{host=\"jobmanager\"} 8\n",
        "flink_jobmanager_job_numRestarts{host=\"jobmanager\",job_id=\"" RUNNING_JOB
        "\",job_name=\"clicks \\\"<b>\\\"\\n\"} 1\n",
        "flink_jobmanager_job_runningState{host=\"jobmanager\",job_id=\"" RUNNING_JOB
        "\",job_name=\"clicks \\\"<b>\\\"\\n\"} 1\n",
        "flink_jobmanager_job_lastCheckpointSize{host=\"jobmanager\",job_id=\"" RUNNING_JOB
        "\",job_name=\"clicks \\\"<b>\\\"\\n\"} 600\n",
        "flink_taskmanager_Status_JVM_Memory_Heap_Used{host=\"host\",tm_id=\"tm-1\"} 1000\n",
        "\nflink_taskmanager_job_task_numRecordsIn{host=\"host\",job_id=\"" RUNNING_JOB
        "\",job_name=\"clicks \\\"<b>\\\"\\n\",tm_id=\"tm-1\",task_id=\"" A_VERTEX
        "\",task_name=\"clicks <b>&\\\"x\\\"\",task_attempt_id=\"" A_VERTEX
        "_0_2\",task_attempt_num=\"1\",subtask_index=\"0\"} 100\n",
        "\nflink_taskmanager_job_task_operator_pendingRecords{",
    };
    struct client client = client_new(NULL);
    const char *text = get(&client, "/metrics");
    assert_non_null(strstr(client.reply.type, "version=0.0.4"));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        if (strstr(text, expected[i]) == NULL)
            print_error("missing: %s\n", expected[i]);
        assert_non_null(strstr(text, expected[i]));
    }
    assert_null(strstr(text, FINISHED_JOB));
    assert_null(strstr(text, "nan"));
    client_free(&client);
}

/* All samples of a name stand together under one TYPE line; each line is a comment or a sample. */
static void the_text_is_what_prometheus_reads(void **state)
{
    struct client client = client_new(NULL);
    const char *text = get(&client, "/metrics");
    char type[256] = "", seen[65536] = "\n";
    uint32_t samples = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        char name[256];
        if (sscanf(line, "# TYPE %200s gauge", name) == 1) {
            char entry[300];
            snprintf(entry, sizeof(entry), "\n%s\n", name);
            assert_null(strstr(seen, entry));
            size_t used = strlen(seen);
            snprintf(seen + used, sizeof(seen) - used, "%s\n", name);
            memcpy(type, name, sizeof(type));
        } else if (line[0] != '#') {
            size_t size =
                strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");
            assert_int_equal(size, strlen(type));
            assert_memory_equal(line, type, size);
            assert_int_equal(line[size], '{');
            samples++;
        }
    }
    assert_true(samples > 100);
    client_free(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_that_are_asked_for_come_as_text_and_others_do_not),
        cmocka_unit_test(an_operators_metric_has_its_name_made_plain),
        cmocka_unit_test(values_of_subtasks_are_put_together),
        cmocka_unit_test(samples_have_flinks_names_and_labels),
        cmocka_unit_test(the_text_is_what_prometheus_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
