/* rest_taskmanager.c -- task managers: who is there, what is free.
 *
 * Memory is one number for all slots of a task manager, shown as managed memory; what Flink knows of a JVM is 0.
 * Prefixes: rest_ */
#include "web/rest_route.h"

#include "base/os.h"

#define MB (1024.0 * 1024.0)

/* "totalResource" and such: `slots` of the task manager's share. */
static void put_resource(struct json *json, const char *name, const struct task_manager *it,
    uint32_t slots)
{
    double memory = it->slot_count == 0
                        ? 0
                        : (double)it->memory_size / MB * (double)slots / (double)it->slot_count;
    json_put_object(json, name);
    json_put_real(json, "cpuCores", slots);
    json_put_int(json, "taskHeapMemory", 0);
    json_put_int(json, "taskOffHeapMemory", 0);
    json_put_int(json, "managedMemory", (int64_t)memory);
    json_put_int(json, "networkMemory", 0);
    json_put_object(json, "extendedResources");
    json_put_end(json);
    json_put_end(json);
}

static void put_memory(struct json *json, const struct task_manager *it)
{
    static const char *const zero[] = { "frameworkHeap", "taskHeap", "frameworkOffHeap",
        "taskOffHeap", "networkMemory", "jvmMetaspace", "jvmOverhead" };
    json_put_object(json, "hardware");
    json_put_uint(json, "cpuCores", it->slot_count);
    json_put_uint(json, "physicalMemory", it->memory_size);
    json_put_uint(json, "freeMemory", it->memory_size);
    json_put_uint(json, "managedMemory", it->memory_size);
    json_put_end(json);
    json_put_object(json, "memoryConfiguration");
    for (uint32_t i = 0; i < sizeof(zero) / sizeof(zero[0]); i++)
        json_put_int(json, zero[i], 0);
    json_put_uint(json, "managedMemory", it->memory_size);
    json_put_uint(json, "totalFlinkMemory", it->memory_size);
    json_put_uint(json, "totalProcessMemory", it->memory_size);
    json_put_end(json);
}

static int64_t heard_ms(const struct call *call, const struct task_manager *it)
{
    if (it->connection == NULL)
        return it->since_ms;
    return call->now_ms - (os_monotonic_ms() - connection_heard_ms(it->connection));
}

static void put_members(struct call *call, const struct task_manager *it)
{
    struct json *json = &call->json;
    json_put_text(json, "id", it->id);
    json_put_text(json, "path", it->host);
    json_put_int(json, "dataPort", 0);
    json_put_int(json, "jmxPort", -1);
    json_put_int(json, "timeSinceLastHeartbeat", heard_ms(call, it));
    json_put_uint(json, "slotsNumber", it->slot_count);
    json_put_uint(json, "freeSlots", resources_slots_free_of(it));
    put_resource(json, "totalResource", it, it->slot_count);
    put_resource(json, "freeResource", it, resources_slots_free_of(it));
    put_memory(json, it);
    json_put_uint(json, "assignedTasks", it->slot_count - it->free_count);
    json_put_bool(json, "blocked", false);
}

void rest_taskmanagers(struct call *call)
{
    const struct resources *resources = dispatcher_resources(call->dispatcher);
    json_put_object(&call->json, NULL);
    json_put_array(&call->json, "taskmanagers");
    for (uint32_t i = 0; i < resources_count(resources); i++) {
        json_put_object(&call->json, NULL);
        put_members(call, resources_at(resources, i));
        json_put_end(&call->json);
    }
    json_put_end(&call->json);
    json_put_end(&call->json);
}

static void put_metrics(struct json *json, const struct task_manager *it)
{
    static const char *const zero[] = { "nonHeapUsed", "nonHeapCommitted", "nonHeapMax",
        "directCount", "directUsed", "directMax", "mappedCount", "mappedUsed", "mappedMax",
        "memorySegmentsAvailable", "memorySegmentsTotal", "nettyShuffleMemorySegmentsAvailable",
        "nettyShuffleMemorySegmentsUsed", "nettyShuffleMemorySegmentsTotal",
        "nettyShuffleMemoryAvailable", "nettyShuffleMemoryUsed", "nettyShuffleMemoryTotal" };
    json_put_object(json, "metrics");
    json_put_uint(json, "heapUsed", it->rss_size);
    json_put_uint(json, "heapCommitted", it->rss_size);
    json_put_uint(json, "heapMax", it->memory_size);
    for (uint32_t i = 0; i < sizeof(zero) / sizeof(zero[0]); i++)
        json_put_int(json, zero[i], 0);
    json_put_array(json, "garbageCollectors");
    json_put_end(json);
    json_put_end(json);
}

static void put_slots_of(struct call *call, const struct task_manager *it, const struct job *job)
{
    uint32_t count = job->gateway == NULL ? 0 : gateway_worker_count(job->gateway);
    for (uint32_t i = 0; i < count; i++) {
        const struct gateway_worker *worker = gateway_worker(job->gateway, i);
        for (uint32_t slot = 0; worker->grant.from == it && slot < worker->grant.slot_count;
             slot++) {
            json_put_object(&call->json, NULL);
            json_put_text(&call->json, "jobId", job->id);
            put_resource(&call->json, "resource", it, 1);
            json_put_end(&call->json);
        }
    }
}

const struct task_manager *rest_find_taskmanager(struct call *call)
{
    const struct task_manager *it =
        resources_find(dispatcher_resources(call->dispatcher), call->text);
    if (it == NULL)
        rest_error(call, 404, "Could not find TaskExecutor with id %s.", call->text);
    return it;
}

void rest_taskmanager(struct call *call)
{
    const struct task_manager *it = rest_find_taskmanager(call);
    if (it == NULL)
        return;
    json_put_object(&call->json, NULL);
    put_members(call, it);
    put_metrics(&call->json, it);
    json_put_array(&call->json, "allocatedSlots");
    for (uint32_t i = 0; i < dispatcher_job_count(call->dispatcher); i++)
        put_slots_of(call, it, dispatcher_job(call->dispatcher, i));
    json_put_end(&call->json);
    json_put_end(&call->json);
}
