/* start.c - a daemon from its spawn to its first answer, again and again.
 *
 * Until somebody listens, connecting is tried every 200 us; then one GET /_ping waits for its
 * answer. Loop thread only. */
#include "program.h"
#include "scenarios.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { PROBE_NS = 200000, START_LIMIT_S = 60 };

typedef struct samples {
    double *v;
    size_t n;
} samples;

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(samples *s)
{
    qsort(s->v, s->n, sizeof *s->v, compare_double);
    return s->n ? s->v[s->n / 2] : 0;
}

static bool somebody_listens(const endpoint *to)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    const struct sockaddr *address = (const void *)&to->address;
    socklen_t size = sizeof to->address;
    auto_close int fd = -1;

    if (to->path) {
        memcpy(path.sun_path, to->path, strnlen(to->path, sizeof path.sun_path - 1));
        address = (const void *)&path;
        size = sizeof path;
    } else if (address->sa_family == AF_INET) {
        size = sizeof(struct sockaddr_in);
    }
    fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && !connect(fd, address, size);
}

/* Waits for the first answer.  The error tells why there was none. */
must_check static err *await_answer(bench *b, const program *p)
{
    int64_t end_ns = time_mono_ns() + START_LIMIT_S * INT64_C(1000000000);

    while (time_mono_ns() < end_ns && !p->ended && !b->interrupts) {
        if (somebody_listens(b->to)) {
            err *e = bench_call(b, "GET", "/_ping", NULL, NULL);

            if (!e)
                return NULL;
            err_free(e);
        }
        ppoll(NULL, 0, &(struct timespec){.tv_nsec = PROBE_NS}, NULL);
        uv_run(&b->loop, UV_RUN_NOWAIT);
    }
    if (p->ended)
        return err_new(ERR_SYSTEM, "the daemon ended with status %d before it answered", p->status);
    return err_new(ERR_SYSTEM, "the daemon did not answer");
}

static void keep_memory(bench *b, const program *p, samples *s)
{
    auto_proc_table t = {0};
    proc_memory m;

    proc_table_read(&t);
    proc_daemon_memory(&t, p->pid, &b->opt->helpers, &m);
    s->v[s->n++] = (double)m.pss;
}

static void keep_cpu(bench *b, const program *p)
{
    auto_proc_table t = {0};

    proc_table_read(&t);
    histogram_record(report_phase(b->report, "CPU until then"),
                     (int64_t)proc_engine_cpu(&t, p->pid));
}

must_check static err *run_once(bench *b, uint64_t run, samples *memory)
{
    program p = {0};
    int64_t began_ns = time_mono_ns();
    err *e;

    TRY(program_begin(&p, b, b->opt->command, run));
    e = await_answer(b, &p);
    if (!e) {
        histogram_record(report_phase(b->report, "spawn to ping"), time_mono_ns() - began_ns);
        keep_cpu(b, &p);
        bench_rest(b, b->opt->hold_s);
        keep_memory(b, &p, memory);
    }
    began_ns = time_mono_ns();
    program_end(&p);
    if (!e)
        histogram_record(report_phase(b->report, "SIGTERM to exit"), time_mono_ns() - began_ns);
    return e;
}

err *start_run(bench *b)
{
    uint64_t runs = b->opt->count ? b->opt->count : 5;
    samples memory = {xcalloc(runs, sizeof(double)), 0};
    int64_t began_ns = time_mono_ns();
    err *e = NULL;

    if (somebody_listens(b->to))
        e = err_new(ERR_CONFLICT, "%s: somebody answers there already", b->opt->host);
    for (uint64_t run = 0; run < runs && !e && !b->interrupts; run++) {
        e = run_once(b, run, &memory);
        report_operation(b->report, !e);
    }
    report_elapsed(b->report, time_mono_ns() - began_ns);
    if (memory.n)
        report_number(b->report, "idle PSS of the daemon, median", "B", median(&memory));
    mem_freep(&memory.v);
    return e;
}
