/* sim_disk.h -- a file system in memory that distinguishes what was written from what was synced.
 *
 * Names work like contents (sim_file.h): each directory has its entries as processes see them and the
 * safe ones. What is done to names goes on a list of changes, in order, until the directory is synced:
 *
 *      create a, link a b, rename b c      entries:  a c        safe: (none)      changes: +a +b b->c
 *      sync of the directory               entries:  a c        safe: a c         changes: (none)
 *
 * A power failure applies some of the changes and forgets the rest: the first k (a journal), or any
 * (a file system that orders nothing). A rename is one change: both names or none, whatever the two
 * directories. Changes that are old are safe, as on a disk that is written back now and then.
 * Syncing a file does not sync its name. A name that survives may lead to a file whose bytes did not.
 *
 * Files are inodes: a hard link is a second name, a file without a name lives as long as it is open.
 *
 * Paths are POSIX's: relative ones start at "/", "//" is "/", "." and ".." work, a slash at the end
 * wants a directory. There are no symbolic links. Functions return 0 or what errno would be.
 *
 * Thread: one. Limit: SIM_NAME_MAX bytes a name. */
#ifndef WEIR_TEST_SIM_DISK_H
#define WEIR_TEST_SIM_DISK_H

#include "base/os.h"
#include "test/sim/sim_file.h"

#define SIM_NAME_MAX 255

struct sim_inode {
    struct sim_inode *next;               /* of all inodes of the disk */
    struct sim_inode *parent;             /* of a directory */
    struct sim_names *names, *safe_names; /* of a directory; NULL: a file */
    struct sim_file file;
    uint32_t open_count;
    int64_t modified_ms;
    bool is_marked;
};

struct sim_disk;
struct sim_disk *sim_disk_new(void);
void sim_disk_free(struct sim_disk *disk);

/* Finds or makes the file and counts it as open; what is read and written goes to inode->file. */
int sim_disk_open(struct sim_disk *disk, const char *path, enum os_open_mode mode, int64_t now_ms,
    struct sim_inode **inode);
void sim_disk_close(struct sim_disk *disk, struct sim_inode *inode);
int sim_disk_stat(struct sim_disk *disk, const char *path, struct os_stat *stat);
int sim_disk_make_dir(struct sim_disk *disk, const char *path, int64_t now_ms);
int sim_disk_sync_dir(struct sim_disk *disk, const char *path, bool is_lie);
int sim_disk_rename(struct sim_disk *disk, const char *from, const char *to);
int sim_disk_link(struct sim_disk *disk, const char *from, const char *to);
int sim_disk_remove(struct sim_disk *disk, const char *path);
int sim_disk_list(struct sim_disk *disk, const char *path, char ***names, uint32_t *count);

uint32_t sim_disk_open_count(const struct sim_disk *disk);
uint64_t sim_disk_size(struct sim_disk *disk); /* bytes of all files that have a name */
/* The power fails: nothing is open. */
void sim_disk_lose(struct sim_disk *disk, struct random *random);

#endif
