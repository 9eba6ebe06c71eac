/* idle.c - connections that are opened, ping once, and then rest.  Loop thread only. */
#include "bench.h"
#include "scenarios.h"
#include <berth/mem.h>
#include <berth/timefmt.h>

enum { AT_ONCE = 64 }; /* connections being opened at the same time */

typedef struct rester {
    struct resting *resting;
    client *client;
    int64_t began_ns;
} rester;

typedef struct resting {
    bench *b;
    rester *resters;
    buf request;
    histogram *times; /* of the round that runs */
    uint64_t n, begun, ended;
    bool all_ended, again; /* the second round is a check, not what is measured */
} resting;

static void begin_next(resting *g);

static void answered(void *arg, const answer *a)
{
    rester *r = arg;
    resting *g = r->resting;
    bool ok = bench_note(g->b, a);

    if (ok)
        histogram_record(g->times, time_mono_ns() - r->began_ns);
    if (!g->again)
        report_operation(g->b->report, ok);
    g->ended++;
    g->all_ended = g->ended == g->n;
    begin_next(g);
}

static void begin_next(resting *g)
{
    if (g->begun == g->n || g->b->interrupts)
        return;
    rester *r = &g->resters[g->begun++];

    r->began_ns = time_mono_ns();
    client_ask(
        r->client,
        &(question){.bytes = g->request.data, .n = g->request.len, .done = answered, .arg = r});
}

static void expire(void *arg)
{
    resting *g = arg;

    for (size_t i = 0; i < g->n; i++)
        client_expire(g->resters[i].client, time_mono_ns(), (int64_t)(g->b->opt->timeout_s * 1e9));
}

/* Every connection pings once. */
static void run_round(resting *g, const char *phase)
{
    g->times = report_phase(g->b->report, phase);
    g->begun = g->ended = 0;
    g->all_ended = false;
    for (size_t i = 0; i < AT_ONCE; i++)
        begin_next(g);
    bench_wait(g->b, &g->all_ended, g->b->opt->timeout_s * 2, 1);
}

static uint64_t count_open(const resting *g)
{
    uint64_t n = 0;

    for (size_t i = 0; i < g->n; i++)
        n += client_is_connected(g->resters[i].client);
    return n;
}

static void rest(resting *g)
{
    bench *b = g->b;
    proc_memory before = {0}, after = {0};
    int64_t began_ns = time_mono_ns();
    uint64_t open;

    bench_daemon_memory(b, &before);
    run_round(g, "open and ping");
    report_elapsed(b->report, time_mono_ns() - began_ns);
    bench_rest(b, b->opt->hold_s);
    bench_daemon_memory(b, &after);
    open = count_open(g);
    report_number(b->report, "connections open after the rest", "count", (double)open);
    if (open != g->n)
        report_error(b->report, "not every connection stayed open");
    if (before.processes) {
        report_number(b->report, "daemon PSS before", "B", (double)before.pss);
        report_number(b->report, "daemon PSS with connections", "B", (double)after.pss);
        report_number(b->report, "daemon PSS per connection", "B",
                      ((double)after.pss - (double)before.pss) / (double)g->n);
    }
    g->again = true;
    run_round(g, "ping again");
}

err *idle_run(bench *b)
{
    resting g = {.b = b, .n = b->opt->connections};

    g.resters = xcalloc(g.n, sizeof *g.resters);
    for (size_t i = 0; i < g.n; i++)
        g.resters[i] = (rester){&g, client_new(&b->loop, b->to), 0};
    bench_render(b, &g.request, "GET", "/_ping", NULL);
    b->beat = expire;
    b->beat_arg = &g;
    rest(&g);
    b->beat = NULL;
    for (size_t i = 0; i < g.n; i++)
        client_free(g.resters[i].client);
    mem_freep(&g.resters);
    buf_done(&g.request);
    return NULL;
}
