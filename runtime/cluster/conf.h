/* conf.h -- the configuration of a cluster: one table of options, the file conf/weir.yaml, and -D.
 *
 *      rest.port: 8081              flat, as in the file that comes with Weir
 *      high-availability:           or nested: names are joined by dots
 *        type: file
 *
 * All processes of a cluster read the same file, each takes from it what it needs. Names are Flink's where
 * Flink has the option. What is given by -D key=value counts instead of what the file says. A key that
 * is not in the table, given twice, or whose value does not fit is an error that says the file, the line
 * and the nearest known key. conf/weir.yaml is made from the table (conf_print; make conf).
 *
 * Nothing listens to the network unprotected: conf_check refuses an address to bind to that is not of
 * this machine alone, unless TLS is on and clients prove themselves by a token or a certificate.
 *
 * An option is a row in conf.c, a member here, a line where it is read.
 *
 * Limits: CONF_FILE_SIZE_MAX bytes of YAML, CONF_DEPTH_MAX levels.
 * Thread: immutable after conf_load. */
#ifndef WEIR_CLUSTER_CONF_H
#define WEIR_CLUSTER_CONF_H

#include "base/config.h"
#include "base/log.h"

#include <stdbool.h>
#include <stdint.h>

#define CONF_FILE_SIZE_MAX ((size_t)1 << 20)
#define CONF_DEPTH_MAX     8u
#define CONF_SLOTS_MAX     1024 /* of a task manager */

enum conf_ha { CONF_HA_NONE, CONF_HA_FILE, CONF_HA_ZOOKEEPER };

/* Texts belong to the conf; one that has no default and was not given is NULL. */
struct conf {
    struct config *config; /* for conf_print and those who list what is set */
    struct {
        const char *rpc_address, *bind_host;
        uint16_t rpc_port;
        uint32_t terminal_jobs_max; /* that are still listed */
    } jobmanager;
    struct {
        const char *address, *bind_address;
        uint16_t port;
        const char *ui_dir; /* NULL: Weir's own page */
    } rest;
    struct {
        const char *host, *bind_host;
        uint16_t data_port; /* 0: any that is free */
        uint32_t slots;
        uint64_t memory_size; /* of all slots together */
        uint32_t
            memory_factor_percent; /* of its share that a worker may use before it is ended; 0: any */
        int64_t watchdog_ms;       /* 0: none */
        int64_t shutdown_timeout_ms; /* 0: jobs are not waited for */
    } taskmanager;
    const char *tmp_dirs; /* comma-separated */
    struct {
        int64_t interval_ms, timeout_ms;
    } heartbeat;
    int64_t slot_timeout_ms;
    const char *checkpoints, *savepoints;
    struct {
        enum conf_ha type;
        const char *storage_dir, *cluster_id;
        int64_t lease_ms;               /* file */
        const char *quorum, *path_root; /* ZooKeeper */
        int64_t session_timeout_ms;     /* ZooKeeper */
    } ha;
    struct {
        bool is_ssl, is_mutual;
        const char *cert, *key, *ca, *token_file;
    } security;
    struct {
        uint64_t size_max, total_max;
    } blob;
    struct {
        const char *dir; /* NULL: see conf.c */
        uint64_t size_max;
    } log;
    bool is_log_json;
    enum log_level log_level;
};

/* The file that is given; else the one that WEIR_CONF names; else conf/weir.yaml, if that is there; else NULL. */
weir_error *conf_find(const char *given, const char **path) WEIR_MUST_USE;
/* Reads the file (NULL: none, all defaults), then the overrides, each "key=value". Does not check what
 * belongs together: conf_check. At an error *conf is released. */
weir_error *conf_load(const char *path, const char *const *overrides, uint32_t count,
    struct conf *conf) WEIR_MUST_USE;
void conf_release(struct conf *conf);
/* "key=value" for an option that nobody has given. */
weir_error *conf_complete(struct conf *conf, const char *text) WEIR_MUST_USE;
/* May a process of the cluster run with this? Addresses and their protection, high availability, times. One
 * clear sentence with the fix. */
weir_error *conf_check(const struct conf *conf) WEIR_MUST_USE;
/* The secret in the file that the option names, in one word, mem_free it; NULL: it names none. A file that others may
 * read is refused. */
weir_error *conf_secret(const struct conf *conf, const char *option, char **secret) WEIR_MUST_USE;
/* Whether only processes of this machine can reach the address: localhost, 127.0.0.0/8, ::1. */
bool conf_is_loopback(const char *address);
/* Of "host", "host:port", "[::1]:port" of so many bytes: how many at its front name this machine so; 0: none do. */
size_t conf_loopback_size(const char *place, size_t size);

/* The table, and conf/weir.yaml as it comes out of it: every option, explained, commented out. */
const struct weir_option *conf_rows(uint32_t *count);
void conf_print(weir_buffer *out);

#endif
