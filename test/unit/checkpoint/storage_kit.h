/* storage_kit.h -- what the tests of the checkpoint directory share: a job in a few lines.
 *
 * A checkpoint of the kit has one operator whose files hold the text it was given, so that a test can
 * tell by content what was restored. Everything that must work fails the test when it does not. */
#ifndef WEIR_TEST_STORAGE_KIT_H
#define WEIR_TEST_STORAGE_KIT_H

#include "checkpoint/storage.h"

#include "base/log.h"
#include "base/os.h"
#include "checkpoint/attempt.h"
#include "test/support/fault_os.h"
#include "test/support/temp_dir.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array_) (sizeof(array_) / sizeof((array_)[0]))
#define JOB           "wordcount"

static inline void assert_code(weir_error *error, enum weir_code code, const char *part)
{
    assert_non_null(error);
    if (weir_error_code(error) != code || strstr(weir_error_message(error), part) == NULL)
        fail_msg("%s: %s", weir_code_name(weir_error_code(error)), weir_error_message(error));
    weir_error_free(error);
}

static inline void assert_ok(weir_error *error)
{
    if (error != NULL)
        fail_msg("%s", weir_error_message(error));
}

/* -- publishing ------------------------------------------------------------------------------ */

/* Stores `text` as a file of attempt `attempt` and lists it in `file`. */
static inline weir_error *kit_store(const struct storage *storage, struct arena *arena,
    const char *text, struct state_file *file)
{
    const char *from = temp_dir_path(storage_staging_dir(storage), "made");
    struct os_file *made;
    WEIR_TRY(os_open(from, OS_TRUNCATE, &made));
    weir_error *error = os_write(made, text, strlen(text));
    os_close(made);
    if (error == NULL)
        error = state_file_store(from, storage_dir(storage), storage_attempt(storage), "made",
            arena, file);
    return weir_error_join(error, os_remove(from));
}

/* Publishes checkpoint `number` whose operator has `text` and, unless NULL, `more` as files. */
static inline weir_error *kit_try_publish(struct storage *storage, uint64_t number,
    const char *text, const char *more)
{
    struct subtask_snapshot *snapshot = subtask_snapshot_new(number, 0);
    struct state_file files[2];
    struct operator_snapshot operator= { .uid = WEIR_STR("op"),
        .parallelism = 1,
        .backend = WEIR_STR("hashmap"),
        .groups = { 0, 127 },
        .files = files,
        .file_count = 1,
        .staged = &files[1],
        .staged_count = more == NULL ? 0 : 1 };
    weir_error *error = kit_store(storage, &snapshot->arena, text, &files[0]);
    if (error == NULL && more != NULL)
        error = kit_store(storage, &snapshot->arena, more, &files[1]);
    if (error == NULL) {
        struct checkpoint_metadata metadata;
        checkpoint_metadata_init(&metadata);
        metadata.job = WEIR_STR(JOB);
        metadata.checkpoint = number;
        metadata.attempt = storage_attempt(storage);
        metadata.max_parallelism = 128;
        snapshot->operators = &operator;
        snapshot->operator_count = 1;
        checkpoint_metadata_add(&metadata, snapshot);
        error = storage_publish(storage, &metadata);
        checkpoint_metadata_release(&metadata);
    }
    subtask_snapshot_free(snapshot);
    return error;
}

static inline void kit_publish(struct storage *storage, uint64_t number, const char *text)
{
    assert_ok(kit_try_publish(storage, number, text, NULL));
}

/* -- restoring ------------------------------------------------------------------------------- */

/* Not through base/os.h, whose calls a test may make fail. */
static inline void kit_read(const char *path, char *text)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, 15, file)] = '\0';
    fclose(file);
}

/* Opens and restores: the number, 0 if there is none, and in `text` (16 bytes) the first file. */
static inline weir_error *kit_try_open(const char *root, uint32_t retained,
    struct storage **storage, uint64_t *number, char *text)
{
    *number = 0;
    text[0] = '\0';
    WEIR_TRY(storage_open(root, JOB, retained, storage));
    struct checkpoint_metadata metadata;
    bool found;
    weir_error *error = storage_restore(*storage, NULL, &metadata, &found);
    if (error == NULL && found) {
        *number = metadata.checkpoint;
        kit_read(temp_dir_path(storage_dir(*storage), "%s", metadata.operators[0].files[0].path),
            text);
        checkpoint_metadata_release(&metadata);
    }
    if (error != NULL) {
        storage_close(*storage);
        *storage = NULL;
    }
    return error;
}

static inline struct storage *kit_open(const char *root, uint64_t expected, const char *text)
{
    struct storage *storage;
    uint64_t number;
    char found[16];
    assert_ok(kit_try_open(root, 2, &storage, &number, found));
    assert_int_equal(number, expected);
    if (text != NULL)
        assert_string_equal(found, text);
    return storage;
}

/* A directory with checkpoint 1 "one" and 2 "two", both complete. */
static inline char *kit_two(void)
{
    char *root = temp_dir_new();
    struct storage *storage = kit_open(root, 0, "");
    kit_publish(storage, 1, "one");
    kit_publish(storage, 2, "two");
    storage_close(storage);
    return root;
}

static inline const char *kit_path(const char *root, const char *name)
{
    return temp_dir_path(root, JOB "/%s", name);
}

static inline bool kit_exists(const char *path)
{
    struct os_stat stat;
    assert_ok(os_stat(path, &stat));
    return stat.exists;
}

static inline uint32_t kit_count(const char *dir)
{
    char **names;
    uint32_t count;
    assert_ok(os_list(dir, &names, &count));
    os_names_free(names, count);
    return count;
}

/* -- the log --------------------------------------------------------------------------------- */

/* From here to kit_log_end what is logged goes into a file. */
static int kit_stderr = -1;

static inline void kit_log_begin(const char *root)
{
    fflush(stderr);
    kit_stderr = dup(STDERR_FILENO);
    assert_true(kit_stderr >= 0);
    assert_non_null(freopen(temp_dir_path(root, "captured"), "w", stderr));
}

static inline char *kit_log_end(const char *root)
{
    fflush(stderr);
    assert_true(dup2(kit_stderr, STDERR_FILENO) >= 0);
    close(kit_stderr);
    char *bytes;
    size_t size;
    assert_ok(os_read_file(temp_dir_path(root, "captured"), 1 << 24, &bytes, &size));
    assert_ok(os_remove(temp_dir_path(root, "captured")));
    return bytes;
}

#endif
