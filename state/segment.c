/* segment.c -- see segment.h for the format. */
#include "state/segment.h"

#include "base/assert.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/os.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME_START "segment-"

/* As on disk. Thread: its owner. */
struct list_header {
    uint64_t magic, size, row_count, cell_count, cleared_count;
};
_Static_assert(sizeof(struct list_header) == 40, "as in the table");

/* -- writing -------------------------------------------------------------------------------- */

void segment_log_init(struct segment_log *log, const struct backend_options *options)
{
    *log = (struct segment_log){ .directory = mem_strdup(options->directory),
        .checkpoint_dir =
            options->checkpoint_dir == NULL ? NULL : mem_strdup(options->checkpoint_dir),
        .attempt = options->attempt };
}

static void forget_stored(struct segment *segment)
{
    mem_free((char *)(uintptr_t)segment->stored.path);
    segment->stored = (struct state_file){ 0 };
}

static void segment_release(struct segment *segment)
{
    forget_stored(segment);
    mem_free(segment->name);
    mem_free(segment->path);
}

void segment_log_release(struct segment_log *log)
{
    os_close(log->open);
    checksum_free(log->checksum);
    for (uint32_t i = 0; i < log->count; i++)
        segment_release(&log->segments[i]);
    mem_free(log->segments);
    mem_free(log->directory);
    mem_free(log->checkpoint_dir);
    *log = (struct segment_log){ 0 };
}

static char *path_of(const struct segment_log *log, uint64_t segment)
{
    return mem_printf("%s/" NAME_START "%010" PRIu64, log->directory, segment);
}

static weir_error *open_segment(struct segment_log *log)
{
    char *path = path_of(log, ++log->opened);
    char *name = mem_strdup(strrchr(path, '/') + 1);
    weir_error *error = os_open(path, OS_CREATE, &log->open);
    if (error != NULL) {
        mem_free(name);
        mem_free(path);
        return error;
    }
    if (log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 8 : log->capacity * 2;
        log->segments = mem_realloc(log->segments, log->capacity * sizeof(*log->segments));
    }
    log->segments[log->count++] = (struct segment){ .name = name, .path = path };
    log->checksum = checksum_new();
    return NULL;
}

static weir_error *append(struct segment_log *log, const struct changes *changes,
    struct segment_place *place)
{
    struct list_header header = { .magic = SEGMENT_MAGIC,
        .size = changes->size,
        .row_count = changes->row_count,
        .cell_count = changes->cell_count,
        .cleared_count = changes->cleared_count };
    ASSERT(changes->size <= SEGMENT_LIST_MAX);
    if (log->open == NULL)
        WEIR_TRY(open_segment(log));
    WEIR_TRY(os_write(log->open, &header, sizeof(header)));
    WEIR_TRY(os_write(log->open, changes->bytes, changes->size));
    struct segment *segment = &log->segments[log->count - 1];
    *place = (struct segment_place){ .segment = log->opened,
        .offset = segment->content.length + sizeof(header) };
    checksum_add(log->checksum, &header, sizeof(header));
    checksum_add(log->checksum, changes->bytes, changes->size);
    segment->content.length += sizeof(header) + changes->size;
    log->size += sizeof(header) + changes->size;
    return NULL;
}

/* The system tells once that it could not write: the pages count as clean then, so a second sync of them succeeds,
 * and they are gone with the power. After an error the log is only good for being read. */
static weir_error *note_failure(struct segment_log *log, weir_error *error)
{
    log->is_broken = log->is_broken || error != NULL;
    return error;
}

weir_error *segment_log_append(struct segment_log *log, uint64_t number,
    const struct changes *changes, struct segment_place *place)
{
    ASSERT(log->count == 0 || log->segments[log->count - 1].last < number);
    if (changes->row_count == 0)
        return NULL;
    WEIR_TRY(note_failure(log, FAULT_STEP(SEGMENT_APPEND, append(log, changes, place))));
    log->segments[log->count - 1].last = number;
    return NULL;
}

weir_error *segment_log_sync(struct segment_log *log)
{
    return log->open == NULL ? NULL : note_failure(log, os_sync(log->open));
}

weir_error *segment_log_read(const struct segment_log *log, struct segment_place place,
    struct changes *changes)
{
    struct os_file *file;
    size_t got = 0;
    char *path = path_of(log, place.segment);
    weir_error *error = os_open(path, OS_READ, &file);
    mem_free(path);
    WEIR_TRY(error);
    changes_make_room(changes);
    error = os_read_at(file, place.offset, changes->bytes, changes->size, &got);
    os_close(file);
    if (error == NULL && got != changes->size)
        error = weir_errorf(WEIR_E_CORRUPT, "segment %" PRIu64 " in '%s' is too short",
            place.segment, log->directory);
    if (error != NULL)
        changes_unload(changes); /* half a list must not pass for one that has been read */
    return error;
}

void segment_log_seal(struct segment_log *log)
{
    if (log->open == NULL)
        return;
    os_close(log->open);
    log->open = NULL;
    log->segments[log->count - 1].content.checksum = checksum_value(log->checksum);
    checksum_free(log->checksum);
    log->checksum = NULL;
}

/* -- storing -------------------------------------------------------------------------------- */

static weir_error *store_one(const struct segment_log *log, struct segment *segment,
    struct arena *arena)
{
    if (segment->stored.path != NULL && state_file_exists(log->checkpoint_dir, &segment->stored))
        return NULL;
    struct state_file file;
    forget_stored(segment);
    WEIR_TRY(state_file_add(segment->path, &segment->content, log->checkpoint_dir, log->attempt,
        segment->name, arena, &file));
    segment->stored = file;
    segment->stored.name = segment->name;
    segment->stored.path = mem_strdup(file.path);
    return NULL;
}

weir_error *segment_log_store(struct segment_log *log, uint64_t number, struct arena *arena,
    struct state_file *files, uint32_t *count)
{
    ASSERT(!log->is_broken && log->checkpoint_dir != NULL);
    if (log->count == 0)
        return NULL;
    WEIR_TRY(state_file_begin(log->checkpoint_dir));
    for (uint32_t i = 0; i < log->count && log->segments[i].last <= number; i++) {
        ASSERT(i + 1 < log->count || log->open == NULL);
        WEIR_TRY(note_failure(log, store_one(log, &log->segments[i], arena)));
        struct state_file *file = &files[(*count)++];
        *file = log->segments[i].stored;
        file->name = arena_strdup(arena, file->name);
        file->path = arena_strdup(arena, file->path);
    }
    return state_file_end(log->checkpoint_dir);
}

void segment_log_drop(struct segment_log *log, uint64_t number)
{
    uint32_t dropped = 0;
    if (number == UINT64_MAX) {
        segment_log_seal(log);
        log->is_broken = false;
    }
    while (dropped < log->count && log->segments[dropped].last <= number &&
           (dropped + 1 < log->count || log->open == NULL)) {
        struct segment *segment = &log->segments[dropped++];
        weir_error_free(os_remove(segment->path)); /* rubbish at worst, in a work directory */
        log->size -= segment->content.length;
        segment_release(segment);
    }
    log->count -= dropped;
    if (dropped > 0 && log->count > 0)
        memmove(log->segments, log->segments + dropped, log->count * sizeof(*log->segments));
}

/* -- reading -------------------------------------------------------------------------------- */

bool segment_is_name(const char *name)
{
    return strncmp(name, NAME_START, strlen(NAME_START)) == 0;
}

/* Where a list is read to, one after the other: memory that was used is cheaper than new one. Thread: its holder. */
struct room {
    char *bytes;
    size_t size;
};

/* Thread: its owner. */
struct replay {
    const char *path;
    struct os_file *file;
    uint64_t left; /* bytes not read yet */
    struct group_range groups;
    segment_apply_fn *apply;
    void *arg;
    struct room *room;
};

static weir_error *not_sound(const struct replay *replay, const char *what)
{
    return weir_errorf(WEIR_E_CORRUPT,
        "the segment '%s' of keyed state %s: restore another checkpoint", replay->path, what);
}

static weir_error *check_header(const struct replay *replay, const struct list_header *header)
{
    if (header->magic != SEGMENT_MAGIC)
        return not_sound(replay, "does not start like one");
    if (header->size > replay->left || header->row_count > header->size ||
        header->cell_count > header->size || header->cleared_count > header->row_count)
        return not_sound(replay, "has impossible counts");
    return NULL;
}

/* Copies the rows of the wanted groups. */
static void clip(const struct changes *all, struct group_range groups, struct changes *clipped)
{
    const struct change_row *row = NULL;
    while ((row = changes_next(all, row)) != NULL) {
        struct row_key key = change_row_key(row);
        if (!group_range_has(groups, key.group))
            continue;
        weir_str name, value;
        struct change_cells cells = change_cells(row);
        changes_begin(clipped, &key, row->is_cleared);
        while (change_cells_next(&cells, &name, &value))
            changes_add(clipped, name, value);
        changes_end(clipped);
    }
}

static weir_error *apply(const struct replay *replay, const struct changes *all)
{
    bool is_whole = true;
    const struct change_row *row = NULL;
    while (is_whole && (row = changes_next(all, row)) != NULL)
        is_whole = group_range_has(replay->groups, row->group);
    if (is_whole)
        return replay->apply(replay->arg, all);
    struct changes clipped = { 0 };
    clip(all, replay->groups, &clipped);
    weir_error *error = clipped.row_count == 0 ? NULL : replay->apply(replay->arg, &clipped);
    changes_release(&clipped);
    return error;
}

static weir_error *replay_list(const struct replay *replay, const struct list_header *header)
{
    struct room *room = replay->room;
    if (room->size < header->size) {
        mem_free(room->bytes);
        room->bytes = mem_alloc(header->size);
        room->size = header->size;
    }
    const struct changes changes = { .bytes = room->bytes,
        .size = header->size,
        .capacity = room->size,
        .row_count = header->row_count,
        .cell_count = header->cell_count,
        .cleared_count = header->cleared_count };
    size_t got;
    weir_error *error = os_read(replay->file, changes.bytes, header->size, &got);
    if (error == NULL && got != header->size)
        error = not_sound(replay, "ends in the middle of a list");
    if (error == NULL && !changes_are_sound(&changes))
        error = not_sound(replay, "has a list that does not add up");
    if (error == NULL)
        error = apply(replay, &changes);
    return error;
}

static weir_error *replay_all(struct replay *replay)
{
    for (;;) {
        struct list_header header;
        size_t got;
        WEIR_TRY(os_read(replay->file, &header, sizeof(header), &got));
        if (got == 0)
            return NULL;
        if (got != sizeof(header) || replay->left < got)
            return not_sound(replay, "ends in the middle of a header");
        replay->left -= sizeof(header);
        WEIR_TRY(check_header(replay, &header));
        replay->left -= header.size;
        WEIR_TRY(replay_list(replay, &header));
    }
}

static weir_error *replay_file(struct replay *replay)
{
    struct os_stat stat;
    WEIR_TRY(os_stat(replay->path, &stat));
    replay->left = stat.size;
    WEIR_TRY(os_open(replay->path, OS_READ, &replay->file));
    weir_error *error = replay_all(replay);
    os_close(replay->file);
    return error;
}

weir_error *segment_replay(const char *path, struct group_range groups, segment_apply_fn *apply_fn,
    void *arg)
{
    struct room room = { .size = 0 };
    struct replay replay = { .path = path,
        .groups = groups,
        .apply = apply_fn,
        .arg = arg,
        .room = &room };
    weir_error *error = replay_file(&replay);
    mem_free(room.bytes);
    return error;
}

static weir_error *restore_one(const struct segment_home *home, const struct state_file *file,
    struct replay *replay)
{
    WEIR_TRY(state_file_check_name(file));
    WEIR_TRY(state_file_verify(home->checkpoint_dir, file));
    char *path = mem_printf("%s/restore-%s", home->directory, file->name);
    weir_error *error = state_file_fetch(home->checkpoint_dir, file, path, true);
    replay->path = path;
    if (error == NULL)
        error = replay_file(replay);
    if (error == NULL)
        error = os_remove(path);
    mem_free(path);
    return error;
}

weir_error *segment_restore(const struct segment_home *home, const struct backend_source *source,
    segment_apply_fn *apply_fn, void *arg)
{
    struct room room = { .size = 0 };
    struct replay replay = { .groups = home->groups, .apply = apply_fn, .arg = arg, .room = &room };
    weir_error *error = NULL;
    for (uint32_t i = 0; i < source->file_count && error == NULL; i++)
        if (segment_is_name(source->files[i].name))
            error = FAULT_STEP(SEGMENT_REPLAY, restore_one(home, &source->files[i], &replay));
    mem_free(room.bytes);
    return error;
}
