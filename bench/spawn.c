/* spawn.c - a program run to its end: the floor under an engine (`crun run`, `runc run`).
 *
 * --connections of them run at the same time.  Loop thread only. */
#include "program.h"
#include "scenarios.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <stdio.h>
#include <sys/resource.h>

typedef struct runner {
    struct running *running;
    program program;
    int64_t began_ns;
} runner;

typedef struct running {
    bench *b;
    runner *runners;
    uint64_t begun, ended, limit;
    int64_t end_ns;
    err *failed; /* the first that could not be spawned */
    bool all_ended;
} running;

static bool is_over(const running *g)
{
    return g->failed || g->b->interrupts || (g->limit && g->begun >= g->limit) ||
           time_mono_ns() >= g->end_ns;
}

static void begin_next(runner *r)
{
    running *g = r->running;

    if (!is_over(g)) {
        r->began_ns = time_mono_ns();
        g->failed = program_begin(&r->program, g->b, g->b->opt->command, g->begun);
        g->begun += !g->failed;
    }
    g->all_ended = g->ended == g->begun && is_over(g);
}

static void program_ended(void *arg)
{
    runner *r = arg;
    running *g = r->running;
    bool ok = !r->program.status && !r->program.signo;
    char why[64];

    g->ended++;
    if (ok) {
        histogram_record(report_phase(g->b->report, "run"), time_mono_ns() - r->began_ns);
    } else {
        snprintf(why, sizeof why, "exit status %d, signal %d", r->program.status, r->program.signo);
        report_error(g->b->report, why);
    }
    report_operation(g->b->report, ok);
    begin_next(r);
}

static double children_cpu_ns(void)
{
    struct rusage u;

    getrusage(RUSAGE_CHILDREN, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
}

static void run_all(running *g)
{
    bench *b = g->b;

    for (size_t i = 0; i < b->opt->connections; i++) {
        runner *r = &g->runners[i];

        r->running = g;
        r->program = (program){.done = program_ended, .arg = r};
        begin_next(r);
    }
    while (!g->all_ended && b->interrupts < 2)
        uv_run(&b->loop, UV_RUN_ONCE);
    for (size_t i = 0; i < b->opt->connections; i++)
        program_end(&g->runners[i].program);
}

err *spawn_run(bench *b)
{
    running g = {.b = b, .limit = b->opt->count, .end_ns = INT64_MAX};
    int64_t began_ns = time_mono_ns();
    double cpu_ns = children_cpu_ns();

    if (b->opt->duration_s > 0)
        g.end_ns = began_ns + (int64_t)(b->opt->duration_s * 1e9);
    g.runners = xcalloc(b->opt->connections, sizeof *g.runners);
    bench_cost_begin(b);
    run_all(&g);
    report_elapsed(b->report, time_mono_ns() - began_ns);
    bench_cost_end(b);
    if (g.ended)
        report_number(b->report, "CPU of the program per run", "ns",
                      (children_cpu_ns() - cpu_ns) / (double)g.ended);
    mem_freep(&g.runners);
    return g.failed;
}
