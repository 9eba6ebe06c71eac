/* load.c - one request, again and again, on every connection.  Loop thread only. */
#include "load.h"
#include "crew.h"
#include <berth/timefmt.h>

typedef struct load {
    histogram *times;
    buf request;
} load;

static void answered(void *arg, const answer *a)
{
    slot *s = arg;
    load *l = s->arg;
    bool ok = a->status / 100 == 2;

    if (s->counted)
        ok = bench_note(s->b, a);
    if (s->counted && ok)
        histogram_record(l->times, time_mono_ns() - s->due_ns);
    slot_done(s, ok);
}

static void begin(slot *s)
{
    load *l = s->arg;

    client_ask(
        s->client,
        &(question){.bytes = l->request.data, .n = l->request.len, .done = answered, .arg = s});
}

err *load_run(bench *b, const char *phase, const char *path)
{
    load l = {.times = report_phase(b->report, phase)};

    bench_render(b, &l.request, "GET", path, NULL);
    crew_run(b, b->opt->connections, b->opt->pipeline, begin, &l);
    buf_done(&l.request);
    return NULL;
}
