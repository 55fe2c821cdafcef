/* temp_dir.h -- a directory for one test, removed with all that is in it.
 *
 * Thread: its owner. Aborts when the system refuses: a test without a disk is no test. */
#ifndef WEIR_TEST_TEMP_DIR_H
#define WEIR_TEST_TEMP_DIR_H

char *temp_dir_new(void);       /* absolute path; temp_dir_free it */
void temp_dir_free(char *path); /* removes the tree */
/* <dir>/<formatted>, in a ring of 16 static buffers: for use in one expression. */
const char *temp_dir_path(const char *dir, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void temp_dir_write(const char *path, const void *bytes, unsigned long size);

#endif
