/* scenarios.h - the functions behind the table: ping.c, list.c, lifecycle.c, ... */
#ifndef BENCH_SCENARIOS_H
#define BENCH_SCENARIOS_H

#include "scenario.h"

err *ping_run(bench *b);
err *version_run(bench *b);
err *list_prepare(bench *b);
err *list_run(bench *b);
err *inspect_prepare(bench *b);
err *inspect_run(bench *b);
err *lifecycle_run(bench *b);
err *exec_prepare(bench *b);
err *exec_run(bench *b);
err *log_write_run(bench *b);
err *log_read_prepare(bench *b);
err *log_read_run(bench *b);
err *attach_run(bench *b);
err *archive_prepare(bench *b);
err *archive_get_prepare(bench *b);
err *archive_put_run(bench *b);
err *archive_get_run(bench *b);
void archive_finish(bench *b); /* sweep_finish, and the file itself */
err *running_prepare(bench *b);
err *stats_run(bench *b);
err *health_prepare(bench *b);
err *health_run(bench *b);
err *network_run(bench *b);
err *forward_prepare(bench *b);
err *forward_run(bench *b);
err *load_prepare(bench *b);
err *image_load_run(bench *b);
void load_finish(bench *b);
err *save_run(bench *b);
err *commit_prepare(bench *b);
err *commit_run(bench *b);
err *pull_run(bench *b);
err *events_run(bench *b);
err *idle_run(bench *b);
err *memory_run(bench *b);
err *start_run(bench *b);
err *spawn_run(bench *b);
err *sweep_run(bench *b);
void sweep_finish(bench *b); /* removes what this run created */

#endif
