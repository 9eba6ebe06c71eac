/* pace.h - when the next operation begins, and from when its time counts.
 *
 * Without a rate an operation begins as soon as a connection is free.  With one, operation i is due
 * at start + i/rate whether a connection is free or not, and its time counts from then: a server
 * that stalls is charged for everything that would have been asked meanwhile (coordinated
 * omission). */
#ifndef BENCH_PACE_H
#define BENCH_PACE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct pace {
    int64_t start_ns, counts_ns, end_ns; /* begin of the warm-up, end of it, end of all */
    double rate;                         /* 0: none */
    uint64_t limit;                      /* operations after the warm-up; 0: until end_ns */
    uint64_t issued, counted;
    bool stopped;
} pace;

void pace_init(pace *p, int64_t now_ns, double warmup_s, double duration_s, uint64_t limit,
               double rate);
/* Whether an operation begins now; its time counts from *ret_due_ns. */
bool pace_take(pace *p, int64_t now_ns, int64_t *ret_due_ns);
int64_t pace_next(const pace *p);                /* when the next one is due; 0: there is no plan */
bool pace_over(const pace *p, int64_t now_ns);   /* no operation will begin any more */
bool pace_counts(const pace *p, int64_t due_ns); /* not part of the warm-up */

#endif
