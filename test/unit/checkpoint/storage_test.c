/* storage_test.c -- the checkpoint directory: what is promised when all goes well, when bytes are
 * damaged, when directories are the wrong ones. Faults and zombies are in storage_fault_test.c. */
#include "test/unit/checkpoint/storage_kit.h"

#include "base/hash.h"

#include <fcntl.h>
#include <sys/stat.h>

#define PATH_SIZE 128

/* -- the way -------------------------------------------------------------------------------- */

static void what_was_published_is_restored(void **state)
{
    char *root = temp_dir_new();
    struct storage *storage = kit_open(root, 0, "");
    assert_int_equal(storage_attempt(storage), 1);
    assert_int_equal(storage_last_number(storage), 0);
    assert_false(storage_is_temporary(storage));
    assert_true(kit_exists(storage_staging_dir(storage)) && kit_exists(storage_work_dir(storage)));
    assert_ok(kit_try_publish(storage, 1, "one", "segment"));
    kit_publish(storage, 2, "two");
    storage_close(storage);
    assert_false(kit_exists(kit_path(root, "staging-1")) || kit_exists(kit_path(root, "work-1")));

    storage = kit_open(root, 2, "two");
    assert_int_equal(storage_attempt(storage), 2);
    assert_true(storage_last_number(storage) >= 2);
    storage_close(storage);
    temp_dir_free(root);
}

static void numbers_are_never_used_twice(void **state)
{
    char *root = temp_dir_new();
    uint64_t highest = 0, restored = 0;
    for (int i = 0; i < 8; i++) {
        struct storage *storage = kit_open(root, restored, NULL);
        assert_true(storage_last_number(storage) >= highest);
        highest = storage_last_number(storage);
        for (int j = 0; j < i * 40; j++) { /* most of them are never published */
            highest++;
            if (j % 40 != 0)
                continue;
            kit_publish(storage, highest, "x");
            storage_clean(storage);
            restored = highest;
        }
        storage_close(storage);
    }
    temp_dir_free(root);
}

static void all_attempts_of_a_directory_share_an_instance(void **state)
{
    char *root = temp_dir_new(), *other = temp_dir_new();
    struct storage *storage = kit_open(root, 0, ""), *elsewhere = kit_open(other, 0, "");
    uint64_t instance = storage_instance(storage);
    assert_true(instance != 0 && instance != storage_instance(elsewhere));
    storage_close(elsewhere);
    assert_ok(storage_next_attempt(storage)); /* before any checkpoint */
    assert_true(storage_instance(storage) == instance);
    storage_close(storage);
    temp_dir_write(kit_path(root, "attempt-3"), "", 0); /* crashed right behind its claim */
    for (int i = 0; i < 3; i++) {
        storage = kit_open(root, 0, "");
        assert_true(storage_instance(storage) == instance);
        storage_close(storage);
    }
    temp_dir_free(other);
    temp_dir_free(root);
}

static void the_next_attempt_in_a_process_starts_anew(void **state)
{
    char *root = kit_two();
    struct storage *storage = kit_open(root, 2, "two");
    char *staging = mem_strdup(storage_staging_dir(storage));
    uint64_t attempt = storage_attempt(storage);
    uint64_t last = storage_last_number(storage);
    kit_publish(storage, last + 1, "three");
    assert_ok(storage_next_attempt(storage));
    assert_int_equal(storage_attempt(storage), attempt + 1);
    assert_true(storage_last_number(storage) > last + 1);
    assert_false(kit_exists(staging));
    assert_true(kit_exists(storage_staging_dir(storage)));
    struct checkpoint_metadata metadata;
    bool found;
    assert_ok(storage_restore(storage, NULL, &metadata, &found));
    assert_true(found);
    assert_int_equal(metadata.checkpoint, last + 1);
    assert_true(metadata.operators[0].files[0].is_verified);
    checkpoint_metadata_release(&metadata);
    assert_ok(storage_check_attempt(storage));
    storage_close(storage);
    mem_free(staging);
    temp_dir_free(root);
}

static uint32_t syncs;

static int count_sync(void *handle)
{
    syncs++;
    return os_linux.sync(handle);
}

static int count_sync_dir(const char *path)
{
    syncs++;
    return os_linux.sync_dir(path);
}

/* Syncs of two checkpoints and of cleaning, of which the first one goes. */
static void count_syncs(const char *root, uint32_t *publishing, uint32_t *cleaning)
{
    struct checkpoint_metadata metadata;
    struct storage *storage;
    bool found;
    assert_ok(storage_open(root, JOB, 1, &storage));
    assert_ok(storage_restore(storage, NULL, &metadata, &found));
    syncs = 0;
    kit_publish(storage, 1, "one");
    kit_publish(storage, 2, "two");
    *publishing = syncs;
    syncs = 0;
    storage_clean(storage);
    *cleaning = syncs;
    storage_close(storage);
}

static void in_a_temporary_directory_nothing_is_synced_that_nobody_would_read_again(void **state)
{
    static struct os counting;
    char *root = temp_dir_new();
    uint32_t publishing, cleaning, temporary_publishing, temporary_cleaning;
    counting = os_linux;
    counting.sync = count_sync;
    counting.sync_dir = count_sync_dir;
    os_current = &counting;
    count_syncs(root, &publishing, &cleaning);
    count_syncs(NULL, &temporary_publishing, &temporary_cleaning);
    os_current = &os_linux;
    assert_int_equal(publishing - temporary_publishing, 2 * 3); /* the rest are state files */
    assert_int_equal(cleaning, 1);
    assert_int_equal(temporary_cleaning, 0);
    temp_dir_free(root);
}

/* What was stored keeps its length and time, as far as anybody can see: so whoever notices has read it. */
static void damage(const struct storage *storage, const char *path, bool is_silent)
{
    const char *full = temp_dir_path(storage_dir(storage), "%s", path);
    struct stat before;
    assert_int_equal(stat(full, &before), 0);
    const struct timespec changed = { .tv_sec = before.st_mtim.tv_sec + 60 };
    const struct timespec times[] = { before.st_atim, is_silent ? before.st_mtim : changed };
    FILE *stream = fopen(full, "r+");
    assert_non_null(stream);
    assert_int_equal(fputc('X', stream), 'X');
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(utimensat(AT_FDCWD, full, times, 0), 0);
}

/* Which checkpoint the next attempt restores. */
static uint64_t restored_next(struct storage *storage, const char *root, char *path)
{
    struct checkpoint_metadata metadata;
    bool found;
    assert_ok(storage_next_attempt(storage));
    kit_log_begin(root);
    assert_ok(storage_restore(storage, NULL, &metadata, &found));
    mem_free(kit_log_end(root));
    assert_true(found && metadata.operators[0].files[0].is_verified);
    uint64_t number = metadata.checkpoint;
    snprintf(path, PATH_SIZE, "%s", metadata.operators[0].files[0].path);
    checkpoint_metadata_release(&metadata);
    return number;
}

static void what_this_process_has_stored_is_read_again_if_it_was_changed_or_restored_in_vain(
    void **state)
{
    char *root = kit_two(), path[PATH_SIZE];
    struct storage *storage = kit_open(root, 2, "two");
    uint64_t first = storage_last_number(storage) + 1;
    kit_publish(storage, first, "three");
    assert_int_equal(restored_next(storage, root, path), first);
    uint64_t second = storage_last_number(storage) + 1;
    kit_publish(storage, second, "four");
    assert_int_equal(restored_next(storage, root, path), second);
    damage(storage, path, true);
    assert_int_equal(restored_next(storage, root, path),
        first); /* the attempt has published nothing */

    uint64_t third = storage_last_number(storage) + 1;
    char stored[PATH_SIZE];
    kit_publish(storage, third, "five");
    snprintf(stored, sizeof(stored), STATE_FILE_DIR "/%016" PRIx64 "-4-%" PRIu64,
        hash_bytes("five", 4), storage_attempt(storage));
    damage(storage, stored, true);
    assert_int_equal(restored_next(storage, root, path), third);
    assert_string_equal(path, stored);

    uint64_t fourth = storage_last_number(storage) + 1;
    kit_publish(storage, fourth, "six");
    snprintf(stored, sizeof(stored), STATE_FILE_DIR "/%016" PRIx64 "-3-%" PRIu64,
        hash_bytes("six", 3), storage_attempt(storage));
    damage(storage, stored, false);
    kit_publish(storage, fourth + 1, "seven");
    snprintf(stored, sizeof(stored), STATE_FILE_DIR "/%016" PRIx64 "-5-%" PRIu64,
        hash_bytes("seven", 5), storage_attempt(storage));
    damage(storage, stored, false);
    assert_int_equal(restored_next(storage, root, path),
        first); /* the third is damaged, too, and was read */
    storage_close(storage);
    temp_dir_free(root);
}

/* Some tasks of the attempt start again, the others stand on the newest checkpoint. */
static void within_an_attempt_only_the_newest_is_restored_again(void **state)
{
    char *root = kit_two();
    struct storage *storage = kit_open(root, 2, "two");
    struct checkpoint_metadata metadata;
    bool found;
    uint64_t attempt = storage_attempt(storage), last = storage_last_number(storage);
    for (uint64_t number = 2; number <= last + 1; number = number == 2 ? last + 1 : last + 2) {
        if (number > 2)
            kit_publish(storage, number, "three");
        assert_ok(storage_restore_again(storage, NULL, &metadata, &found));
        assert_true(found);
        assert_int_equal(metadata.checkpoint, number);
        checkpoint_metadata_release(&metadata);
    }
    assert_int_equal(storage_attempt(storage), attempt);
    char *newest = mem_printf("chk-%" PRIu64 "/_metadata", last + 1);
    temp_dir_write(kit_path(root, newest), "x", 1);
    kit_log_begin(root);
    weir_error *error = storage_restore_again(storage, NULL, &metadata, &found);
    mem_free(kit_log_end(root));
    assert_code(error, WEIR_E_CORRUPT, newest); /* there are two good ones behind it */
    assert_false(found);
    struct storage *other = kit_open(root, 2, "two"); /* a newer attempt, which may fall back */
    assert_code(storage_restore_again(storage, NULL, &metadata, &found), WEIR_E_FENCED, "");
    storage_close(other);
    storage_close(storage);
    mem_free(newest);
    temp_dir_free(root);
}

static void without_a_checkpoint_there_is_none_to_restore_again(void **state)
{
    struct storage *storage;
    struct checkpoint_metadata metadata;
    bool found;
    assert_ok(storage_open(NULL, JOB, 2, &storage));
    assert_ok(storage_restore(storage, NULL, &metadata, &found));
    assert_ok(storage_restore_again(storage, NULL, &metadata, &found));
    assert_false(found);
    storage_close(storage);
}

static void a_temporary_directory_works_and_is_removed(void **state)
{
    struct storage *storage;
    assert_ok(storage_open(NULL, JOB, 1, &storage));
    assert_true(storage_is_temporary(storage));
    struct checkpoint_metadata metadata;
    bool found;
    assert_ok(storage_restore(storage, NULL, &metadata, &found));
    assert_false(found);
    kit_publish(storage, 1, "one");
    assert_ok(storage_next_attempt(storage));
    assert_ok(storage_restore(storage, NULL, &metadata, &found));
    assert_true(found);
    checkpoint_metadata_release(&metadata);
    char *dir = mem_strdup(storage_dir(storage));
    storage_close(storage);
    assert_false(kit_exists(dir));
    *strrchr(dir, '/') = '\0';
    assert_false(kit_exists(dir));
    mem_free(dir);
}

static void a_fresh_start_needs_an_empty_directory(void **state)
{
    char *root = kit_two();
    struct storage *storage;
    assert_ok(storage_open(root, JOB, 2, &storage));
    assert_code(storage_fresh(storage), WEIR_E_STATE, "has checkpoint 2 in");
    storage_close(storage);
    temp_dir_write(kit_path(root, "chk-2/_metadata"), "broken", 6);
    assert_ok(storage_open(root, JOB, 2, &storage));
    assert_code(storage_fresh(storage), WEIR_E_STATE, "has checkpoint 2 in"); /* to be careful */
    storage_close(storage);
    temp_dir_free(root);

    root = temp_dir_new();
    assert_ok(storage_open(root, JOB, 2, &storage));
    assert_ok(storage_fresh(storage));
    kit_publish(storage, 1, "one");
    storage_close(storage);
    storage_close(kit_open(root, 1, "one"));
    temp_dir_free(root);
}

static void a_checkpoint_whose_file_is_gone_is_not_published(void **state)
{
    char *root = kit_two();
    struct storage *storage = kit_open(root, 2, "two");
    struct state_file file = { .name = "f", .path = "shared/0000000000000000-1-1", .length = 1 };
    struct operator_snapshot operator= { .uid = WEIR_STR("op"),
        .parallelism = 1,
        .files = &file,
        .file_count = 1 };
    struct checkpoint_metadata metadata;
    checkpoint_metadata_init(&metadata);
    metadata.job = WEIR_STR(JOB);
    metadata.checkpoint = storage_last_number(storage) + 1;
    metadata.attempt = storage_attempt(storage);
    metadata.operators = &operator;
    metadata.operator_count = 1;
    assert_code(storage_publish(storage, &metadata), WEIR_E_CORRUPT, "is not in place");
    checkpoint_metadata_release(&metadata);
    storage_close(storage);
    storage_close(kit_open(root, 2, "two"));
    temp_dir_free(root);
}

/* -- the wrong directory -------------------------------------------------------------------- */

static void a_job_name_must_be_able_to_name_a_directory(void **state)
{
    static const char *const names[] = { "", ".", "..", "a/b", "a b", "ä",
        "12345678901234567890123456789012345678901234567890123456789012345" };
    char *root = temp_dir_new();
    for (size_t i = 0; i < COUNT(names); i++) {
        struct storage *storage;
        assert_code(storage_open(root, names[i], 1, &storage), WEIR_E_USAGE, "job name");
    }
    temp_dir_free(root);
}

static void wrong_directories_are_refused_by_name(void **state)
{
    struct storage *storage;
    char *root = kit_two();
    temp_dir_write(temp_dir_path(root, "file"), "x", 1);
    assert_code(storage_open(temp_dir_path(root, "file"), JOB, 1, &storage), WEIR_E_USAGE,
        "file' is not a directory");
    assert_code(storage_open(temp_dir_path(root, "file/x"), JOB, 1, &storage), WEIR_E_IO,
        "Not a directory");
    /* the directory of one job given as the root of all */
    assert_code(storage_open(temp_dir_path(root, JOB), JOB, 1, &storage), WEIR_E_USAGE,
        "is the directory of one job's checkpoints");
    assert_code(storage_open(temp_dir_path(root, JOB), "other", 1, &storage), WEIR_E_STATE,
        "are of job 'wordcount', not of job 'other'");
    /* renamed to another job's name */
    assert_ok(os_rename(temp_dir_path(root, JOB), temp_dir_path(root, "other")));
    assert_code(storage_open(root, "other", 1, &storage), WEIR_E_STATE,
        "are of job 'wordcount', not of job 'other'");
    assert_false(kit_exists(temp_dir_path(root, "other/attempt-2"))); /* not even claimed */
    temp_dir_free(root);
}

static void metadata_of_another_job_stops_the_restore(void **state)
{
    char *root = kit_two();
    static const char *const attempts[] = { "attempt-1" };
    for (size_t i = 0; i < COUNT(attempts); i++)
        assert_ok(os_remove(kit_path(root, attempts[i])));
    assert_ok(os_rename(temp_dir_path(root, JOB), temp_dir_path(root, "other")));
    struct storage *storage;
    assert_ok(storage_open(root, "other", 1, &storage));
    struct checkpoint_metadata metadata;
    bool found;
    assert_code(storage_restore(storage, NULL, &metadata, &found), WEIR_E_STATE,
        "is of job 'wordcount', not of job 'other'");
    storage_close(storage);
    temp_dir_free(root);
}

static void what_is_not_ours_is_left_alone(void **state)
{
    static const char *const files[] = { "README", "chk-", "chk-07", "chk-x", "attempt-1.old",
        "shared/notes", "shared/12-34", "chk-1/notes", "staging-x" };
    char *root = kit_two();
    for (size_t i = 0; i < COUNT(files); i++)
        temp_dir_write(kit_path(root, files[i]), "mine", 4);
    assert_ok(os_make_dirs(kit_path(root, "chk-1x/sub")));
    kit_log_begin(root);
    struct storage *storage = kit_open(root, 2, "two");
    uint64_t last = storage_last_number(storage);
    for (uint64_t n = 1; n <= 4; n++) {
        kit_publish(storage, last + n, "more");
        storage_clean(storage);
    }
    storage_close(storage);
    char *log = kit_log_end(root);
    for (size_t i = 0; i < COUNT(files); i++)
        assert_true(kit_exists(kit_path(root, files[i])));
    assert_true(kit_exists(kit_path(root, "chk-1x/sub")));
    assert_non_null(strstr(log, "/README"));
    assert_non_null(strstr(log, "what is not ours stays in a deleted checkpoint"));
    assert_false(kit_exists(kit_path(root, "chk-1/_metadata")));
    mem_free(log);
    temp_dir_free(root);
}

/* -- damage --------------------------------------------------------------------------------- */

/* The path of a stored file that checkpoint 2 of kit_two lists, by its length's place in the name. */
static const char *stored_path(const char *root, const char *text)
{
    char **names;
    uint32_t count;
    const char *found = NULL;
    assert_ok(os_list(kit_path(root, "shared"), &names, &count));
    for (uint32_t i = 0; i < count; i++) {
        const char *path = temp_dir_path(root, JOB "/shared/%s", names[i]);
        char *bytes;
        size_t size;
        assert_ok(os_read_file(path, 100, &bytes, &size));
        if (strcmp(bytes, text) == 0)
            found = path;
        mem_free(bytes);
    }
    os_names_free(names, count);
    assert_non_null(found);
    return found;
}

static void damage_metadata(const char *root)
{
    char *bytes;
    size_t size;
    assert_ok(os_read_file(kit_path(root, "chk-2/_metadata"), 1 << 20, &bytes, &size));
    bytes[size / 2] ^= 4;
    temp_dir_write(kit_path(root, "chk-2/_metadata"), bytes, size);
    mem_free(bytes);
}

static void truncate_metadata(const char *root)
{
    temp_dir_write(kit_path(root, "chk-2/_metadata"), "", 0);
}

static void put_an_old_copy(const char *root)
{
    assert_ok(os_remove(kit_path(root, "chk-2/_metadata")));
    assert_ok(os_link(kit_path(root, "chk-1/_metadata"), kit_path(root, "chk-2/_metadata")));
}

static void remove_file(const char *root)
{
    assert_ok(os_remove(stored_path(root, "two")));
}

static void damage_file(const char *root)
{
    temp_dir_write(stored_path(root, "two"), "twp", 3);
}

static void shorten_file(const char *root)
{
    temp_dir_write(stored_path(root, "two"), "tw", 2);
}

static void a_broken_checkpoint_is_passed_over_loudly(void **state)
{
    static const struct {
        void (*damage)(const char *root);
        const char *logged;
    } rows[] = { { damage_metadata, "chk-2/_metadata is corrupt: its checksum" },
        { truncate_metadata, "chk-2/_metadata is not checkpoint metadata" },
        { put_an_old_copy, "chk-2/_metadata is corrupt: it is of checkpoint 1" },
        { remove_file, "is missing" }, { damage_file, "has the checksum" },
        { shorten_file, "has 2 bytes instead of 3" } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *root = kit_two();
        rows[i].damage(root);
        kit_log_begin(root);
        struct storage *storage = kit_open(root, 1, "one");
        char *log = kit_log_end(root);
        if (strstr(log, "BROKEN") == NULL || strstr(log, rows[i].logged) == NULL ||
            strstr(log, "FELL BACK") == NULL)
            fail_msg("row %zu: %s", i, log);
        mem_free(log);
        /* from here on 2 is void: what goes on from 1 counts, however 2 may look later */
        uint64_t next = storage_last_number(storage) + 1;
        assert_true(next > 2);
        kit_publish(storage, next, "three");
        storage_clean(storage);
        storage_close(storage);
        assert_false(kit_exists(kit_path(root, "chk-2/_metadata")));
        assert_true(kit_exists(kit_path(root, "chk-1/_metadata")));
        storage_close(kit_open(root, next, "three"));
        temp_dir_free(root);
    }
}

static void all_broken_is_an_error_that_names_all(void **state)
{
    char *root = kit_two();
    damage_file(root);
    temp_dir_write(kit_path(root, "chk-1/_metadata"), "x", 1);
    struct storage *storage;
    uint64_t number;
    char text[16];
    kit_log_begin(root);
    weir_error *error = kit_try_open(root, 2, &storage, &number, text);
    mem_free(kit_log_end(root));
    assert_non_null(error);
    assert_non_null(strstr(weir_error_message(error), "chk-1/_metadata"));
    assert_non_null(strstr(weir_error_message(error), "has the checksum"));
    assert_code(error, WEIR_E_CORRUPT, "all 2 checkpoints in");
    temp_dir_free(root);
}

static void what_cannot_be_read_now_is_no_reason_to_fall_back(void **state)
{
    char *root = kit_two();
    assert_ok(os_remove(kit_path(root, "chk-2/_metadata")));
    assert_ok(os_make_dirs(kit_path(root, "chk-2/_metadata"))); /* EISDIR at the read */
    struct storage *storage;
    uint64_t number;
    char text[16];
    assert_code(kit_try_open(root, 2, &storage, &number, text), WEIR_E_IO,
        "cannot restore checkpoint 2 (to go back");
    assert_ok(os_rename(kit_path(root, "chk-2"), temp_dir_path(root, "away")));
    storage_close(kit_open(root, 1, "one")); /* as the message says */
    temp_dir_free(root);
}

static void a_damaged_attempt_file_is_logged_and_survived(void **state)
{
    char *root = kit_two();
    temp_dir_write(kit_path(root, "attempt-1"), "rubbish", 7);
    kit_log_begin(root);
    struct storage *storage = kit_open(root, 2, "two");
    char *log = kit_log_end(root);
    assert_non_null(strstr(log, "attempt-1"));
    assert_true(storage_last_number(storage) >= 1000); /* it may have used many */
    mem_free(log);
    storage_close(storage);
    temp_dir_free(root);
}

/* -- retention ------------------------------------------------------------------------------ */

static void the_newest_and_their_files_are_kept(void **state)
{
    char *root = temp_dir_new();
    struct storage *storage = kit_open(root, 0, ""); /* keeps two */
    assert_ok(kit_try_publish(storage, 1, "same", "a"));
    assert_ok(kit_try_publish(storage, 2, "same", "b"));
    assert_ok(kit_try_publish(storage, 3, "same", "c"));
    assert_int_equal(kit_count(kit_path(root, "shared")), 4);
    storage_clean(storage);
    assert_false(kit_exists(kit_path(root, "chk-1")));
    assert_true(kit_exists(kit_path(root, "chk-2")) && kit_exists(kit_path(root, "chk-3")));
    assert_int_equal(kit_count(kit_path(root, "shared")), 3); /* same, b, c */
    assert_ok(kit_try_publish(storage, 4, "other", "c"));
    storage_clean(storage);
    assert_int_equal(kit_count(kit_path(root, "shared")), 3); /* same, c, other */
    assert_ok(kit_try_publish(storage, 5, "other", NULL));
    storage_clean(storage);
    assert_int_equal(kit_count(kit_path(root, "shared")), 2); /* c, other */
    storage_close(storage);
    storage_close(kit_open(root, 5, "other"));
    temp_dir_free(root);
}

static void files_of_unfinished_checkpoints_go_and_of_newer_attempts_stay(void **state)
{
    char *root = kit_two();
    struct storage *storage = kit_open(root, 2, "two");
    struct arena arena;
    arena_init(&arena, 1024, 1 << 20);
    struct state_file orphan;
    assert_ok(kit_store(storage, &arena, "orphan", &orphan));
    temp_dir_write(kit_path(root, "shared/0011223344556677-3-9"), "new", 3);
    temp_dir_write(kit_path(root, "shared/tmp-1-0011223344556677"), "old", 3);
    temp_dir_write(kit_path(root, "shared/tmp-2-0011223344556677"), "now", 3);
    assert_ok(os_make_dirs(kit_path(root, "chk-50")));
    uint64_t next = storage_last_number(storage) + 1;
    kit_publish(storage, next, "three");
    storage_clean(storage);
    assert_false(kit_exists(temp_dir_path(storage_dir(storage), "%s", orphan.path)));
    assert_true(kit_exists(kit_path(root, "shared/0011223344556677-3-9")));
    assert_false(kit_exists(kit_path(root, "shared/tmp-1-0011223344556677")));
    assert_true(kit_exists(kit_path(root, "shared/tmp-2-0011223344556677")));
    assert_false(kit_exists(kit_path(root, "chk-50")));
    arena_release(&arena);
    storage_close(storage);
    temp_dir_free(root);
}

static void nothing_shared_is_deleted_when_a_list_cannot_be_read(void **state)
{
    char *root = kit_two();
    struct storage *storage = kit_open(root, 2, "two");
    uint64_t next = storage_last_number(storage) + 1;
    kit_publish(storage, next, "three");
    assert_ok(os_remove(kit_path(root, "chk-2/_metadata")));
    assert_ok(os_make_dirs(kit_path(root, "chk-2/_metadata"))); /* an I/O error */
    kit_log_begin(root);
    storage_clean(storage);
    mem_free(kit_log_end(root));
    assert_int_equal(kit_count(kit_path(root, "shared")), 3);
    storage_close(storage);
    temp_dir_free(root);
}

static void a_thousand_restarts_leave_few_files(void **state)
{
    char *root = temp_dir_new();
    uint64_t restored = 0;
    for (int i = 0; i < 60; i++) {
        fault_os_start(0, FAULT_ONCE, 0); /* only for speed: its syncs do nothing */
        struct storage *storage = kit_open(root, restored, NULL);
        if (i % 3 == 2) {
            restored = storage_last_number(storage) + 1;
            kit_publish(storage, restored, "x");
            storage_clean(storage);
        }
        storage_close(storage);
        fault_os_stop();
    }
    /* two checkpoints, their attempts and the last one, attempts since the last publish, shared */
    assert_true(kit_count(temp_dir_path(root, JOB)) <= 10);
    temp_dir_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_published_is_restored),
        cmocka_unit_test(numbers_are_never_used_twice),
        cmocka_unit_test(all_attempts_of_a_directory_share_an_instance),
        cmocka_unit_test(the_next_attempt_in_a_process_starts_anew),
        cmocka_unit_test(
            what_this_process_has_stored_is_read_again_if_it_was_changed_or_restored_in_vain),
        cmocka_unit_test(within_an_attempt_only_the_newest_is_restored_again),
        cmocka_unit_test(without_a_checkpoint_there_is_none_to_restore_again),
        cmocka_unit_test(a_temporary_directory_works_and_is_removed),
        cmocka_unit_test(in_a_temporary_directory_nothing_is_synced_that_nobody_would_read_again),
        cmocka_unit_test(a_fresh_start_needs_an_empty_directory),
        cmocka_unit_test(a_checkpoint_whose_file_is_gone_is_not_published),
        cmocka_unit_test(a_job_name_must_be_able_to_name_a_directory),
        cmocka_unit_test(wrong_directories_are_refused_by_name),
        cmocka_unit_test(metadata_of_another_job_stops_the_restore),
        cmocka_unit_test(what_is_not_ours_is_left_alone),
        cmocka_unit_test(a_broken_checkpoint_is_passed_over_loudly),
        cmocka_unit_test(all_broken_is_an_error_that_names_all),
        cmocka_unit_test(what_cannot_be_read_now_is_no_reason_to_fall_back),
        cmocka_unit_test(a_damaged_attempt_file_is_logged_and_survived),
        cmocka_unit_test(the_newest_and_their_files_are_kept),
        cmocka_unit_test(files_of_unfinished_checkpoints_go_and_of_newer_attempts_stay),
        cmocka_unit_test(nothing_shared_is_deleted_when_a_list_cannot_be_read),
        cmocka_unit_test(a_thousand_restarts_leave_few_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
