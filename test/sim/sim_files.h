/* sim_files.h -- connectors of the simulated job: a source and a sink of files on the simulated disk.
 *
 * There are two pairs: the engine's own file source and sink, with formats of the simulator's, and a
 * small pair that belongs to the simulator, so that a defect of the first pair and one of the engine
 * are not mistaken for each other, and because mutants are planted in it.
 *
 * The small source reads files of frames (an index and its hash), each file a split, its position the bytes
 * read so far. The small sink writes rows (sim_event.h) exactly once, by the protocol of connector.h:
 *
 *      write      rows into memory
 *      snapshot   rows into <staging>/<uid>-<n>-<subtask>, synced, part of checkpoint n
 *      complete   a worker links it to <directory>/<prefix>-<n>-<subtask> and syncs the directory
 *      open       links what the restored checkpoint has, whoever wrote it: nobody knows if that was done
 *
 * Linking what is there already is harmless, so each file appears once, whole, under one name.
 *
 * Thread: task, but for what runs on a worker. */
#ifndef WEIR_TEST_SIM_FILES_H
#define WEIR_TEST_SIM_FILES_H

#include "test/sim/sim_event.h"
#include <weir/connector.h>

struct sim_files_options {
    const struct sim_shape *shape;
    const char *directory; /* with files "0", "1", ... */
};
struct sim_sink_options {
    const char *directory;
    const char *prefix;
};
struct weir_source sim_files_source(const struct sim_files_options *options);
struct weir_sink sim_files_sink(const struct sim_sink_options *options);
/* The engine's. */
struct weir_source sim_text_source(const struct sim_files_options *options);
struct weir_sink sim_text_sink(const struct sim_sink_options *options);
/* Makes the input files, durably: the records that the generator does not make. */
void sim_files_make_input(const struct sim_shape *shape, const char *directory);

#endif
