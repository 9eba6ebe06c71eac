/* load.h - one request, again and again, on every connection. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench.h"

/* phase names its histogram. */
err *load_run(bench *b, const char *phase, const char *path);
/* The same, the paths by turns. */
err *load_run_paths(bench *b, const char *phase, const strv *paths);

#endif
