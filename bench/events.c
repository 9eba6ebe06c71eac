/* events.c - subscribers of /events while containers are created and removed.
 *
 * Every container's name tells when its create was asked, so that the way from the request to the
 * delivery is measured with our clock alone; "event lag" is against the server's own time stamp.
 * Events are searched for their few words, not parsed: with many subscribers parsing would be what
 * is measured.  Loop thread only. */
#include "container.h"
#include "docker.h"
#include "scenarios.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { RING = 1 << 16, LINE_MAX_BYTES = 64 << 10 };

typedef struct subscriber {
    struct watching *watching;
    client *client;
    buf line;
    bool counted; /* it was told that the stream began, or has ended */
} subscriber;

typedef struct watching {
    container_args args; /* first: container_create wants it */
    bench *b;
    char *prefix; /* of the containers' names */
    subscriber *subscribers;
    uint64_t ready, lost;
    uint64_t made, expected, delivered;
    int64_t asked_ns[RING]; /* by the number of the cycle */
    histogram *lag, *way;
    bool all_ready, all_delivered;
} watching;

static void take_event(watching *g, const char *line)
{
    const char *name = strstr(line, g->prefix), *stamp = strstr(line, "\"timeNano\":");
    bool create = strstr(line, "\"Action\":\"create\"");
    uint64_t number;

    if (!name || !(create || strstr(line, "\"Action\":\"destroy\"")))
        return;
    number = strtoull(name + strlen(g->prefix), NULL, 10);
    if (stamp)
        histogram_record(g->lag, time_now_ns() - strtoll(stamp + 11, NULL, 10));
    if (create)
        histogram_record(g->way, time_mono_ns() - g->asked_ns[number % RING]);
    g->delivered++;
    g->all_delivered = g->delivered >= g->expected;
}

/* A line that never ends is dropped: memory stays bounded. */
static void take_piece(void *arg, const char *p, size_t n)
{
    subscriber *s = arg;
    char *end;

    buf_add(&s->line, p, n);
    while (s->line.len && (end = memchr(s->line.data, '\n', s->line.len))) {
        *end = '\0';
        take_event(s->watching, s->line.data);
        buf_consume(&s->line, (size_t)(end + 1 - s->line.data));
    }
    if (s->line.len > LINE_MAX_BYTES)
        buf_truncate(&s->line, 0);
}

static void count_ready(subscriber *s)
{
    watching *g = s->watching;

    if (s->counted)
        return;
    s->counted = true;
    g->all_ready = ++g->ready == g->b->opt->subscribers;
}

static void take_head(void *arg, int status)
{
    (void)status;
    count_ready(arg);
}

static void stream_ended(void *arg, const answer *a)
{
    subscriber *s = arg;

    if (!a->error)
        report_error(s->watching->b->report, "an event stream ended");
    bench_note(s->watching->b, a);
    s->watching->lost++;
    count_ready(s);
}

static void subscribe(watching *g)
{
    auto_buf request = {0};

    bench_render(g->b, &request, "GET", "/events?filters=%7B%22type%22:%5B%22container%22%5D%7D",
                 NULL);
    g->subscribers = xcalloc(g->b->opt->subscribers, sizeof *g->subscribers);
    for (size_t i = 0; i < g->b->opt->subscribers; i++) {
        subscriber *s = &g->subscribers[i];

        s->watching = g;
        s->client = client_new(&g->b->loop, g->b->to);
        client_ask(s->client, &(question){.bytes = request.data,
                                          .n = request.len,
                                          .endless = true,
                                          .head = take_head,
                                          .piece = take_piece,
                                          .done = stream_ended,
                                          .arg = s});
    }
    g->all_ready = !g->b->opt->subscribers;
}

static void unsubscribe(watching *g)
{
    for (size_t i = 0; i < g->b->opt->subscribers; i++) {
        client_free(g->subscribers[i].client);
        buf_done(&g->subscribers[i].line);
    }
    mem_freep(&g->subscribers);
}

static void render_create(worker *w, buf *out)
{
    watching *g = w->arg;

    g->asked_ns[w->number % RING] = time_mono_ns();
    container_create(w, out);
}

static void expect_event(watching *g)
{
    g->made++;
    g->expected = g->made * g->b->opt->subscribers;
    g->all_delivered = g->delivered >= g->expected;
}

static bool created(worker *w, const char *body)
{
    expect_event(w->arg);
    return container_created(w, body);
}

static bool deleted(worker *w, const char *body)
{
    (void)body;
    expect_event(w->arg);
    return true;
}

static const cycle_step steps[] = {
    {"create", render_create, created},
    {"delete", container_delete, deleted, .tidy = true},
    {0},
};

static void report_events(watching *g, const proc_memory *before, const proc_memory *after)
{
    report *r = g->b->report;

    report_number(r, "subscribers", "count", (double)g->b->opt->subscribers);
    report_number(r, "subscribers lost", "count", (double)g->lost);
    report_number(r, "events made", "count", (double)g->made);
    report_number(r, "deliveries expected", "count", (double)g->expected);
    report_number(r, "deliveries", "count", (double)g->delivered);
    if (before->processes && g->b->opt->subscribers)
        report_number(r, "daemon PSS per subscriber", "B",
                      ((double)after->pss - (double)before->pss) / (double)g->b->opt->subscribers);
    if (g->delivered != g->expected)
        report_error(r, "deliveries are not as many as expected");
}

err *events_run(bench *b)
{
    watching *g = new0(watching);
    proc_memory before = {0}, after = {0};

    g->b = b;
    g->args.create_body = docker_create_body(b, (const char *const[]){"true", NULL});
    g->prefix = xasprintf("\"berth-bench-%s-", b->run_id);
    g->lag = report_phase(b->report, "event lag");
    g->way = report_phase(b->report, "create asked to event");
    bench_daemon_memory(b, &before);
    subscribe(g);
    bench_wait(b, &g->all_ready, 5, 1);
    if (b->opt->pid)
        bench_rest(b, b->opt->hold_s);
    bench_daemon_memory(b, &after);
    cycle_run(b, steps, g);
    bench_wait(b, &g->all_delivered, 10, b->interrupts + 1);
    unsubscribe(g);
    report_events(g, &before, &after);
    mem_freep(&g->args.create_body);
    mem_freep(&g->prefix);
    mem_freep(&g);
    return NULL;
}
