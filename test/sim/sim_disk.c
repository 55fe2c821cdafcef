/* sim_disk.c -- see sim_disk.h.
 *
 * Inodes are never freed one by one: names, safe names, changes and open files may all lead to one, so
 * what nobody leads to any more is swept now and then, by marking. */
#include "test/sim/sim_disk.h"

#include "base/assert.h"
#include "base/memory.h"
#include "test/sim/sim_names.h"

#include <errno.h>
#include <string.h>

#define CHANGES_MAX 256u /* older ones are safe */
#define SWEEP_EVERY 256u /* new inodes */

/* One thing that was done to names: `name` of `dir` leads to `inode` now (or, is_drop, to nothing any
 * more); a rename also took it from `from_name` of `from_dir`. */
struct change {
    struct sim_inode *dir, *from_dir, *inode;
    char *name, *from_name;
    bool is_drop, is_wanted;
};

struct sim_disk {
    struct sim_inode *root, *inodes;
    struct change changes[CHANGES_MAX];
    uint32_t change_count, new_count, open_count;
};

/* -- inodes --------------------------------------------------------------------------------------- */

static void mark_tree(struct sim_inode *inode)
{
    if (inode->is_marked)
        return;
    inode->is_marked = true;
    if (inode->names == NULL)
        return;
    for (uint32_t i = 0; i < inode->names->count; i++)
        mark_tree(inode->names->names[i].inode);
    for (uint32_t i = 0; i < inode->safe_names->count; i++)
        mark_tree(inode->safe_names->names[i].inode);
    if (inode->parent != NULL)
        mark_tree(inode->parent);
}

static void inode_free(struct sim_inode *inode)
{
    sim_names_free(inode->names);
    sim_names_free(inode->safe_names);
    sim_file_release(&inode->file);
    mem_free(inode);
}

static void sweep(struct sim_disk *disk)
{
    mark_tree(disk->root);
    for (uint32_t i = 0; i < disk->change_count; i++) {
        const struct change *change = &disk->changes[i];
        mark_tree(change->dir);
        mark_tree(change->inode);
        if (change->from_dir != NULL)
            mark_tree(change->from_dir);
    }
    for (struct sim_inode *it = disk->inodes; it != NULL; it = it->next)
        if (it->open_count > 0)
            mark_tree(it);
    for (struct sim_inode **at = &disk->inodes; *at != NULL;) {
        struct sim_inode *inode = *at;
        if (inode->is_marked) {
            inode->is_marked = false;
            at = &inode->next;
            continue;
        }
        *at = inode->next;
        inode_free(inode);
    }
    disk->new_count = 0;
}

static struct sim_inode *inode_new(struct sim_disk *disk, struct sim_inode *parent,
    bool is_directory, int64_t now_ms)
{
    if (++disk->new_count > SWEEP_EVERY)
        sweep(disk);
    struct sim_inode *inode = mem_alloc(sizeof(*inode));
    inode->modified_ms = now_ms;
    inode->next = disk->inodes;
    disk->inodes = inode;
    if (!is_directory)
        return inode;
    inode->parent = parent;
    inode->names = sim_names_new();
    inode->safe_names = sim_names_new();
    return inode;
}

struct sim_disk *sim_disk_new(void)
{
    struct sim_disk *disk = mem_alloc(sizeof(*disk));
    disk->root = inode_new(disk, NULL, true, 0);
    return disk;
}

/* -- changes of names ----------------------------------------------------------------------------- */

static void change_release(struct change *change)
{
    mem_free(change->name);
    mem_free(change->from_name);
}

void sim_disk_free(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->change_count; i++)
        change_release(&disk->changes[i]);
    while (disk->inodes != NULL) {
        struct sim_inode *inode = disk->inodes;
        disk->inodes = inode->next;
        inode_free(inode);
    }
    mem_free(disk);
}

static void drop_if(struct sim_names *names, const char *name, const struct sim_inode *inode)
{
    if (sim_names_get(names, name) == inode)
        sim_names_drop(names, name);
}

static void make_safe(const struct change *change)
{
    if (change->is_drop)
        drop_if(change->dir->safe_names, change->name, change->inode);
    else
        sim_names_put(change->dir->safe_names, change->name, change->inode);
    if (change->from_dir != NULL)
        drop_if(change->from_dir->safe_names, change->from_name, change->inode);
}

/* Makes the wanted changes safe, in their order, and keeps the others. */
static void settle(struct sim_disk *disk)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < disk->change_count; i++) {
        struct change *change = &disk->changes[i];
        if (!change->is_wanted) {
            disk->changes[kept++] = *change;
            continue;
        }
        make_safe(change);
        change_release(change);
    }
    disk->change_count = kept;
}

static void note(struct sim_disk *disk, struct change change)
{
    if (disk->change_count == CHANGES_MAX) {
        for (uint32_t i = 0; i < CHANGES_MAX / 4; i++)
            disk->changes[i].is_wanted = true;
        settle(disk);
    }
    change.name = mem_strdup(change.name);
    change.from_name = mem_strdup(change.from_name);
    disk->changes[disk->change_count++] = change;
}

static void put(struct sim_disk *disk, struct sim_inode *dir, char *name, struct sim_inode *inode)
{
    sim_names_put(dir->names, name, inode);
    note(disk, (struct change){ .dir = dir, .name = name, .inode = inode });
}

static bool is_of(const struct change *change, const struct sim_inode *dir)
{
    return change->dir == dir || change->from_dir == dir;
}

/* A rename into the directory is only whole when what the old name was has come that far. */
static bool leads_to(const struct change *change, const struct change *later)
{
    return later->is_wanted && later->from_dir != NULL && change->dir == later->from_dir &&
           strcmp(change->name, later->from_name) == 0;
}

static void sync_names(struct sim_disk *disk, const struct sim_inode *dir)
{
    for (uint32_t i = disk->change_count; i-- > 0;) {
        struct change *change = &disk->changes[i];
        change->is_wanted = is_of(change, dir);
        for (uint32_t j = i + 1; j < disk->change_count && !change->is_wanted; j++)
            change->is_wanted = leads_to(change, &disk->changes[j]);
    }
    settle(disk);
}

/* -- paths ---------------------------------------------------------------------------------------- */

/* Where a path leads: the inode (NULL: the last name is missing), and its place. */
struct place {
    struct sim_inode *dir, *inode;
    char name[SIM_NAME_MAX + 1]; /* empty: "/", or a path that ends with . or .. */
    bool has_slash;              /* at the end */
};

static int step_into(struct place *place, const char *name, size_t size)
{
    if (place->inode == NULL)
        return ENOENT;
    if (place->inode->names == NULL)
        return ENOTDIR;
    if (size > SIM_NAME_MAX)
        return ENAMETOOLONG;
    place->dir = place->inode;
    memcpy(place->name, name, size);
    place->name[size] = '\0';
    if (strcmp(place->name, "..") == 0 && place->dir->parent != NULL)
        place->inode = place->dir->parent;
    else if (strcmp(place->name, ".") != 0 && strcmp(place->name, "..") != 0)
        place->inode = sim_names_get(place->dir->names, place->name);
    if (strcmp(place->name, ".") == 0 || strcmp(place->name, "..") == 0)
        place->name[0] = '\0';
    return 0;
}

static int resolve(struct sim_disk *disk, const char *path, struct place *place)
{
    *place = (struct place){ .dir = disk->root, .inode = disk->root };
    if (path[0] == '\0')
        return ENOENT;
    if (strlen(path) >= OS_PATH_MAX)
        return ENAMETOOLONG;
    const char *at = path + strspn(path, "/");
    while (*at != '\0') {
        size_t size = strcspn(at, "/");
        int error = step_into(place, at, size);
        if (error != 0)
            return error;
        at += size;
        place->has_slash = *at == '/';
        at += strspn(at, "/");
    }
    return 0;
}

/* A slash behind the name of a file. */
static bool is_no_directory(const struct place *place)
{
    return place->inode != NULL && place->inode->names == NULL && place->has_slash;
}

static int resolve_existing(struct sim_disk *disk, const char *path, struct place *place)
{
    int error = resolve(disk, path, place);
    if (error != 0)
        return error;
    if (place->inode == NULL)
        return ENOENT;
    return is_no_directory(place) ? ENOTDIR : 0;
}

static int resolve_directory(struct sim_disk *disk, const char *path, struct place *place)
{
    int error = resolve_existing(disk, path, place);
    return error == 0 && place->inode->names == NULL ? ENOTDIR : error;
}

/* -- files ---------------------------------------------------------------------------------------- */

static int open_missing(struct sim_disk *disk, struct place *place, enum os_open_mode mode,
    int64_t now_ms)
{
    if (mode == OS_READ)
        return ENOENT;
    place->inode = inode_new(disk, NULL, false, now_ms);
    put(disk, place->dir, place->name, place->inode);
    return 0;
}

int sim_disk_open(struct sim_disk *disk, const char *path, enum os_open_mode mode, int64_t now_ms,
    struct sim_inode **inode)
{
    struct place place;
    int error = resolve(disk, path, &place);
    if (error != 0)
        return error;
    if (mode != OS_READ && place.has_slash)
        return EISDIR;
    if (place.inode == NULL) {
        error = open_missing(disk, &place, mode, now_ms);
        if (error != 0)
            return error;
    } else if (mode == OS_CREATE) {
        return EEXIST;
    } else if (is_no_directory(&place)) {
        return ENOTDIR;
    } else if (mode != OS_READ && place.inode->names != NULL) {
        return EISDIR;
    } else if (mode == OS_TRUNCATE) {
        sim_file_truncate(&place.inode->file);
        place.inode->modified_ms = now_ms;
    }
    place.inode->open_count++;
    disk->open_count++;
    *inode = place.inode;
    return 0;
}

void sim_disk_close(struct sim_disk *disk, struct sim_inode *inode)
{
    ASSERT(inode->open_count > 0 && disk->open_count > 0);
    inode->open_count--;
    disk->open_count--;
}

int sim_disk_stat(struct sim_disk *disk, const char *path, struct os_stat *stat)
{
    struct place place;
    *stat = (struct os_stat){ .exists = false };
    int error = resolve_existing(disk, path, &place);
    if (error != 0)
        return error == ENOENT || error == ENOTDIR ? 0 : error;
    bool is_directory = place.inode->names != NULL;
    *stat = (struct os_stat){ .exists = true,
        .is_directory = is_directory,
        .is_regular = !is_directory,
        .size = is_directory ? SIM_PAGE_SIZE : place.inode->file.size,
        .modified_ms = place.inode->modified_ms };
    return 0;
}

/* -- names ---------------------------------------------------------------------------------------- */

int sim_disk_make_dir(struct sim_disk *disk, const char *path, int64_t now_ms)
{
    struct place place;
    int error = resolve(disk, path, &place);
    if (error != 0)
        return error;
    if (place.inode != NULL)
        return EEXIST;
    put(disk, place.dir, place.name, inode_new(disk, place.dir, true, now_ms));
    return 0;
}

int sim_disk_sync_dir(struct sim_disk *disk, const char *path, bool is_lie)
{
    struct place place;
    int error = resolve_directory(disk, path, &place);
    if (error == 0 && !is_lie)
        sync_names(disk, place.inode);
    return error;
}

static bool is_inside(const struct sim_inode *dir, const struct sim_inode *of)
{
    while (dir != NULL && dir != of)
        dir = dir->parent;
    return dir == of;
}

/* What stands at the target may be replaced by what is at the source. */
static int check_rename(const struct place *from, const struct place *to)
{
    bool is_directory = from->inode->names != NULL;
    if (from->name[0] == '\0' || to->name[0] == '\0')
        return EBUSY;
    if (is_directory && is_inside(to->dir, from->inode))
        return EINVAL;
    if (is_no_directory(to))
        return ENOTDIR;
    if (to->inode == NULL)
        return to->has_slash && !is_directory ? ENOTDIR : 0;
    if (is_directory && to->inode->names == NULL)
        return ENOTDIR;
    if (!is_directory && to->inode->names != NULL)
        return EISDIR;
    return is_directory && to->inode->names->count > 0 ? ENOTEMPTY : 0;
}

int sim_disk_rename(struct sim_disk *disk, const char *from_path, const char *to_path)
{
    struct place from, to;
    int error = resolve_existing(disk, from_path, &from);
    if (error == 0)
        error = resolve(disk, to_path, &to);
    if (error == 0)
        error = check_rename(&from, &to);
    if (error != 0 || from.inode == to.inode)
        return error;
    sim_names_drop(from.dir->names, from.name);
    sim_names_put(to.dir->names, to.name, from.inode);
    if (from.inode->names != NULL)
        from.inode->parent = to.dir;
    note(disk, (struct change){ .dir = to.dir,
                   .name = to.name,
                   .inode = from.inode,
                   .from_dir = from.dir,
                   .from_name = from.name });
    return 0;
}

int sim_disk_link(struct sim_disk *disk, const char *from_path, const char *to_path)
{
    struct place from, to;
    int error = resolve_existing(disk, from_path, &from);
    if (error == 0)
        error = resolve(disk, to_path, &to);
    if (error != 0)
        return error;
    if (to.inode != NULL)
        return EEXIST;
    if (from.inode->names != NULL)
        return EPERM;
    if (to.has_slash)
        return ENOENT;
    put(disk, to.dir, to.name, from.inode);
    return 0;
}

int sim_disk_remove(struct sim_disk *disk, const char *path)
{
    struct place place;
    int error = resolve_existing(disk, path, &place);
    if (error != 0)
        return error;
    if (place.name[0] == '\0')
        return place.inode == disk->root ? EBUSY : EINVAL;
    if (place.inode->names != NULL && place.inode->names->count > 0)
        return ENOTEMPTY;
    sim_names_drop(place.dir->names, place.name);
    note(disk, (struct change){ .dir = place.dir,
                   .name = place.name,
                   .inode = place.inode,
                   .is_drop = true });
    return 0;
}

int sim_disk_list(struct sim_disk *disk, const char *path, char ***names, uint32_t *count)
{
    struct place place;
    *names = NULL;
    *count = 0;
    int error = resolve_directory(disk, path, &place);
    if (error != 0)
        return error;
    const struct sim_names *found = place.inode->names;
    if (found->count > 0)
        *names = mem_alloc_array(found->count, sizeof(**names));
    for (*count = 0; *count < found->count; (*count)++)
        (*names)[*count] = mem_strdup(found->names[*count].text);
    return 0;
}

/* -- looking, losing ------------------------------------------------------------------------------ */

uint32_t sim_disk_open_count(const struct sim_disk *disk)
{
    return disk->open_count;
}

uint64_t sim_disk_size(struct sim_disk *disk)
{
    uint64_t size = 0;
    sweep(disk);
    for (const struct sim_inode *it = disk->inodes; it != NULL; it = it->next)
        size += it->file.size;
    return size;
}

/* Which changes have made it: all, none, the first ones, or any. */
static void choose_changes(struct sim_disk *disk, struct random *random)
{
    uint32_t way = random_below(random, 6);
    uint32_t border = random_below(random, disk->change_count + 1);
    uint32_t percent = random_below(random, 101);
    for (uint32_t i = 0; i < disk->change_count; i++) {
        bool *is_wanted = &disk->changes[i].is_wanted;
        if (way < 2)
            *is_wanted = way == 1;
        else if (way < 4)
            *is_wanted = i < border;
        else
            *is_wanted = random_below(random, 100) < percent;
    }
}

static void forget_changes(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->change_count; i++)
        change_release(&disk->changes[i]);
    disk->change_count = 0;
}

/* What is safe is all there is, from here on. */
static void make_real(struct sim_inode *inode)
{
    if (inode->names == NULL)
        return;
    sim_names_copy(inode->names, inode->safe_names);
    for (uint32_t i = 0; i < inode->names->count; i++) {
        struct sim_inode *child = inode->names->names[i].inode;
        if (child->names != NULL)
            child->parent = inode;
        make_real(child);
    }
}

void sim_disk_lose(struct sim_disk *disk, struct random *random)
{
    ASSERT(disk->open_count == 0);
    choose_changes(disk, random);
    settle(disk);
    forget_changes(disk);
    make_real(disk->root);
    sweep(disk);
    for (struct sim_inode *it = disk->inodes; it != NULL; it = it->next)
        if (it->names == NULL)
            sim_file_lose(&it->file, random);
}
