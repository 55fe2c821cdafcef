/* sim_names.h -- the entries of one directory: names, sorted, to inodes.
 *
 * Thread: one. */
#ifndef WEIR_TEST_SIM_NAMES_H
#define WEIR_TEST_SIM_NAMES_H

#include <stdint.h>

struct sim_inode;
struct sim_name {
    char *text;
    struct sim_inode *inode;
};
struct sim_names {
    struct sim_name *names;
    uint32_t count, capacity;
};

struct sim_names *sim_names_new(void);
void sim_names_free(struct sim_names *names);
struct sim_inode *sim_names_get(const struct sim_names *names, const char *text); /* NULL: none */
void sim_names_put(struct sim_names *names, const char *text,
    struct sim_inode *inode);                                   /* replaces */
void sim_names_drop(struct sim_names *names, const char *text); /* harmless if it is not there */
void sim_names_copy(struct sim_names *to, const struct sim_names *from);

#endif
