/* bench.h - one measurement: the loop, the server, the report, and what every scenario needs of
 * them.
 *
 * Preparing and cleaning up are plain calls that run the loop until they are answered; only what is
 * measured is asynchronous.  Loop thread only. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "client.h"
#include "options.h"
#include "proc.h"
#include "report.h"
#include <berth/buf.h>
#include <stdbool.h>
#include <uv.h>

enum { RUN_ID_DIGITS = 12 };

struct bench {
    const options *opt;
    uv_loop_t loop;
    endpoint *to;
    report *report;
    client *side;   /* for calls beside what is measured; NULL: no server */
    int interrupts; /* ctrl-C so far: the first ends measuring, the second waiting */
    char run_id[RUN_ID_DIGITS + 1]; /* label of everything this run creates */
    char *subject;                  /* id of the container that prepare made; NULL: none */
    strv subjects;                  /* ids, where it made several */
    upload file;                    /* the tar that is sent; NULL bytes: none */
    void (*beat)(void *arg);        /* ten times a second while the loop runs; NULL: nobody asks */
    void *beat_arg;
    struct bench_clock *clock;
};

must_check err *bench_init(bench *b, const options *opt);
void bench_done(bench *b);       /* also after a bench_init that failed */
void bench_clear_line(bench *b); /* of the progress, which ends */

/* A whole request into out; body NULL: none. */
void bench_render(const bench *b, buf *out, const char *method, const char *path, const char *body);
/* Ask beside the measurement and wait.  An error is a missing or a non-2xx answer (the server's
 * words). *ret_body may be NULL: not wanted; the caller frees it. */
must_check err *bench_call(bench *b, const char *method, const char *path, const char *body,
                           char **ret_body);
/* The head of a request that a tar of n bytes follows, and such a call. */
void bench_render_upload(const bench *b, buf *out, const char *method, const char *path, size_t n);
must_check err *bench_call_upload(bench *b, const char *method, const char *path, upload up);
/* Reports bytes per median time of the phase. */
void bench_throughput(bench *b, const char *phase, uint64_t bytes);
/* Run the loop until *flag, for so long at most, or until ctrl-C came patience times in all. */
bool bench_wait(bench *b, const bool *flag, double seconds, int patience);
void bench_rest(bench *b, double seconds); /* the same for no flag at all */
/* Count the answer's status, or its error; true for 2xx. */
bool bench_note(bench *b, const answer *a);

/* CPU between the two, of the daemon (--pid) and of the machine, per operation. */
void bench_cost_begin(bench *b);
void bench_cost_end(bench *b);
/* Memory of the daemon now; zeros without --pid. */
void bench_daemon_memory(const bench *b, proc_memory *ret);

#endif
