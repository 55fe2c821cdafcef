/* election.c -- a job manager that does nothing but stand for election, for tests to kill, freeze and cut off.
 *
 *      election file DIR LEASE_MS NAME
 *      election zookeeper QUORUM PATH TIMEOUT_MS NAME [USER:PASSWORD]
 *
 * While it passes election_check it appends lines "EPOCH NAME" to the file named by $ELECTION_LEDGER, with one write
 * each: what a leader shows to the world. Standard output: "leader EPOCH", "candidate EPOCH OF-RPC-ADDRESS", "sure",
 * "unsure", whenever it changes. SIGTERM: it resigns and ends. */
#include "runtime/cluster/election.h"

#include "base/log.h"
#include "base/os.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACT_MS 5

static volatile sig_atomic_t is_stopped;

static void stop(int number)
{
    (void)number;
    is_stopped = 1;
}

static bool act(struct election *election, int ledger, const char *name)
{
    weir_error *error = election_check(election);
    bool is_sure = error == NULL;
    weir_error_free(error);
    if (is_sure && ledger >= 0) {
        char line[128];
        int size = snprintf(line, sizeof(line), "%llu %s\n",
            (unsigned long long)election_view(election)->leader.epoch, name);
        if (write(ledger, line, (size_t)size) != size)
            return false;
    }
    return is_sure;
}

static void show(const struct election_view *view)
{
    if (view->is_leader)
        printf("leader %llu\n", (unsigned long long)view->leader.epoch);
    else
        printf("candidate %llu %s\n", (unsigned long long)view->leader.epoch, view->leader.rpc);
    fflush(stdout);
}

static void run(struct election *election, struct waker *waker, int ledger, const char *name)
{
    bool was_sure = false;
    while (!is_stopped) {
        if (election_step(election, os_monotonic_ns() / 1000000))
            show(election_view(election));
        bool is_sure = act(election, ledger, name);
        if (is_sure != was_sure)
            puts(is_sure ? "sure" : "unsure"), fflush(stdout);
        was_sure = is_sure;
        int64_t wait_ms = election_deadline_ms(election) - os_monotonic_ns() / 1000000;
        wait_ms = is_sure && wait_ms > ACT_MS ? ACT_MS : wait_ms;
        waker_wait(waker, wait_ms < 0 ? 0 : wait_ms > 1000 ? 1000 : wait_ms);
    }
}

int main(int argc, char **argv)
{
    struct election *election;
    char rpc[64], rest[64];
    bool is_file = argc == 5 && strcmp(argv[1], "file") == 0;
    if (!is_file && (argc < 6 || argc > 7 || strcmp(argv[1], "zookeeper") != 0))
        return 2;
    const char *name = is_file ? argv[4] : argv[5];
    snprintf(rpc, sizeof(rpc), "%s:6123", name);
    snprintf(rest, sizeof(rest), "%s:8081", name);
    struct election_options options = { .class = is_file ? &election_file : &election_zookeeper,
        .rpc = rpc,
        .rest = rest,
        .waker = waker_new() };
    if (is_file) {
        options.file.dir = argv[2];
        options.file.lease_ms = strtol(argv[3], NULL, 10);
    } else {
        options.zookeeper.quorum = argv[2];
        options.zookeeper.path = argv[3];
        options.zookeeper.session_timeout_ms = strtol(argv[4], NULL, 10);
        options.zookeeper.auth = argc == 7 ? argv[6] : NULL;
    }
    weir_error *error = election_new(&options, &election);
    if (error != NULL) {
        log_error("election", "%s", weir_error_message(error));
        return weir_code_exit(weir_error_code(error));
    }
    signal(SIGTERM, stop);
    const char *path = getenv("ELECTION_LEDGER");
    int ledger = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    run(election, options.waker, ledger, name);
    election_free(election);
    waker_free(options.waker);
    return 0;
}
