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
err *events_run(bench *b);
err *idle_run(bench *b);
err *memory_run(bench *b);
err *start_run(bench *b);
err *spawn_run(bench *b);
err *sweep_run(bench *b);
void sweep_finish(bench *b); /* removes what this run created */

#endif
