/* file_list.h -- which files a file source reads: one list for all of its subtasks.
 *
 * Each file is read by one subtask, which is found by the file's place in the list. So subtasks that
 * listed the directory on their own, a moment apart, could disagree as soon as somebody puts a file
 * in between: a file would be read twice, or by nobody. Therefore the subtask that is first writes what
 * it has found into the attempt's staging directory, which they share, and all read that:
 *
 *      1. list the directory, write the list under a name of one's own;
 *      2. link it to the common name: works for one of them only;
 *      3. read what is there under the common name.
 *
 * Regular files directly in the directory, sorted by bytes; names that start with a dot are left out.
 * A path of a file is a list of one. What is put into the directory later is found at the next start.
 *
 * Thread: any. Limit: 1,000,000 files. */
#ifndef WEIR_CONNECTORS_FILE_LIST_H
#define WEIR_CONNECTORS_FILE_LIST_H

#include <weir/type.h>

/* Thread: its holder. */
struct file_list {
    char *directory; /* where the names are */
    char **names;
    uint32_t count;
};
/* `common` names the list within `staging_dir`; the same for all subtasks of one source. */
weir_error *file_list_read(const char *path, const char *staging_dir, uint64_t common,
    struct file_list *list) WEIR_MUST_USE;
void file_list_release(struct file_list *list);
bool file_list_has(const struct file_list *list, weir_str name);

#endif
