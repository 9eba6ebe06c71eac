/* cycle.h - an operation of several requests, each timed: create, start, wait, delete.
 *
 * A cycle is a table of steps.  A worker walks it on its own connection; after a failure only the
 * tidy steps run, and only when there is something to tidy. */
#ifndef BENCH_CYCLE_H
#define BENCH_CYCLE_H

#include "crew.h"

typedef struct worker {
    slot *slot;
    bench *b;
    void *arg; /* of cycle_run */
    const struct cycle_step *step;
    uint64_t number;    /* of the cycle, over all workers */
    char *id, *exec_id; /* of what was created; NULL: nothing */
    int64_t step_ns;    /* when the step began */
    int64_t total_ns;   /* of the timed steps, with the time it was late */
    uint64_t received;  /* bytes of the last answer's body */
    bool failed;
} worker;

typedef struct cycle_step {
    const char *phase; /* NULL ends the table */
    void (*render)(worker *w, buf *out);
    /* Look at a 2xx answer; false: it is not what was expected.  NULL: 2xx is enough. */
    bool (*check)(worker *w, const char *body);
    bool tidy;                   /* removes what the cycle made: runs after a failure, too */
    bool aside;                  /* not part of the total: a check of ours */
    bool hijacked;               /* on a connection of its own, which the answer ends */
    bool big;                    /* the answer's body is counted, not kept */
    upload (*upload)(worker *w); /* follows the request; NULL: nothing does */
} cycle_step;

/* Histograms by phase, and "total". */
void cycle_run(bench *b, const cycle_step *steps, void *arg);

#endif
