/* program.h - a child process of the measurement.  Loop thread only. */
#ifndef BENCH_PROGRAM_H
#define BENCH_PROGRAM_H

#include "bench.h"

typedef struct program {
    bench *b;
    uv_process_t *process; /* NULL: none runs */
    int pid, status, signo;
    bool ended;
    void (*done)(void *arg); /* when it has ended; NULL: nobody asks */
    void *arg;
} program;

/* command with every "{run}" in it replaced by run; its output goes to /dev/null.  p stays where it
 * is until it has ended. */
must_check err *program_begin(program *p, bench *b, char *const *command, uint64_t run);
/* SIGTERM, and SIGKILL when it takes longer than 15 s. */
void program_end(program *p);

#endif
