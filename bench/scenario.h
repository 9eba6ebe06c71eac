/* scenario.h - what can be measured: one row each. */
#ifndef BENCH_SCENARIO_H
#define BENCH_SCENARIO_H

#include <berth/err.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct bench bench;

typedef struct scenario {
    const char *name;
    const char *what;     /* one line for --help */
    const char *headline; /* the phase that the progress line shows */
    double duration_s;    /* when neither --duration nor --count is given; 0: */
    uint64_t count;       /* this many operations */
    uint64_t connections; /* when --connections is not given; 0: one */
    bool serverless;      /* no daemon has to answer before it begins */
    bool needs_command;
    err *(*prepare)(bench *b); /* not measured; NULL: nothing to do */
    err *(*run)(bench *b);     /* measures; runs the loop until it is done */
    void (*finish)(bench *b); /* runs whenever prepare ran, after an interrupt too; NULL: nothing */
} scenario;

extern const scenario scenarios[];               /* ended by a row without a name */
const scenario *scenario_find(const char *name); /* NULL: there is none */

#endif
