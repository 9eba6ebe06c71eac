/* load.c - one request, or several by turns, again and again on every connection.  Loop thread
 * only. */
#include "load.h"
#include "crew.h"
#include <berth/mem.h>
#include <berth/timefmt.h>

typedef struct load {
    histogram *times;
    buf *requests;
    size_t n, next;
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
    const buf *request = &l->requests[l->next++ % l->n];

    client_ask(s->client,
               &(question){.bytes = request->data, .n = request->len, .done = answered, .arg = s});
}

err *load_run_paths(bench *b, const char *phase, const strv *paths)
{
    load l = {.times = report_phase(b->report, phase), .n = paths->n};

    if (!paths->n)
        return err_new(ERR_INVALID, "nothing to ask for");
    l.requests = xcalloc(l.n, sizeof *l.requests);
    for (size_t i = 0; i < l.n; i++)
        bench_render(b, &l.requests[i], "GET", paths->v[i], NULL);
    crew_run(b, b->opt->connections, b->opt->pipeline, begin, &l);
    for (size_t i = 0; i < l.n; i++)
        buf_done(&l.requests[i]);
    mem_freep(&l.requests);
    return NULL;
}

err *load_run(bench *b, const char *phase, const char *path)
{
    auto_strv one = {0};

    strv_push(&one, path);
    return load_run_paths(b, phase, &one);
}
