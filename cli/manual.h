/* manual.h -- the pages of the manual, made of the tables: weir(1) of the verbs, weir.yaml(5) of the options of a cluster,
 * weir-jobmanager(8) and weir-taskmanager(8), which have no table. `weir man PAGE` prints one as roff; make man writes
 * them into docs/man, from where they are installed.
 *
 * Prefixes: manual_
 * Thread: one. */
#ifndef WEIR_CLI_MANUAL_H
#define WEIR_CLI_MANUAL_H

#include "cli/verb.h"

/* False: there is no such page. */
bool manual_print(const char *page, weir_buffer *out);
void manual_pages(weir_buffer *out); /* their names */

#endif
