/* cycle.c - an operation of several requests, each timed.  Loop thread only. */
#include "cycle.h"
#include <berth/mem.h>
#include <berth/timefmt.h>

typedef struct cycle {
    bench *b;
    const cycle_step *steps;
    worker *workers;
    uint64_t begun;
    void *arg;
} cycle;

static void go_on(worker *w);

static void forget_ids(worker *w)
{
    mem_freep(&w->id);
    mem_freep(&w->exec_id);
    w->id = w->exec_id = NULL;
}

static void end_cycle(worker *w)
{
    if (w->slot->counted && !w->failed)
        histogram_record(report_phase(w->b->report, "total"), w->total_ns);
    forget_ids(w);
    slot_done(w->slot, !w->failed);
}

static void take_time(worker *w)
{
    int64_t took_ns = time_mono_ns() - w->step_ns;

    if (!w->step->aside)
        w->total_ns += took_ns;
    if (w->slot->counted)
        histogram_record(report_phase(w->b->report, w->step->phase), took_ns);
}

static void answered(void *arg, const answer *a)
{
    worker *w = arg;

    w->received = a->length;
    if (!bench_note(w->b, a)) {
        w->failed = true;
    } else if (w->step->check && !w->step->check(w, a->body)) {
        auto_free char *why = xasprintf("%s: unexpected answer: %.100s", w->step->phase, a->body);

        report_error(w->b->report, why);
        w->failed = true;
    } else {
        take_time(w);
    }
    w->step++;
    go_on(w);
}

/* The next step that applies. */
static void go_on(worker *w)
{
    auto_buf request = {0};
    client *on;

    while (w->step->phase && w->failed && !(w->step->tidy && w->id))
        w->step++;
    if (!w->step->phase) {
        end_cycle(w);
        return;
    }
    on = w->step->hijacked ? slot_stream(w->slot) : w->slot->client;
    w->step->render(w, &request);
    w->step_ns = time_mono_ns();
    client_ask(on, &(question){.bytes = request.data,
                               .n = request.len,
                               .up = w->step->upload ? w->step->upload(w) : (upload){0},
                               .keep_body = !w->step->big,
                               .done = answered,
                               .arg = w});
}

static void begin(slot *s)
{
    cycle *c = s->arg;
    worker *w = &c->workers[s->index];

    *w = (worker){.slot = s, .b = c->b, .arg = c->arg, .step = c->steps, .number = c->begun++};
    w->total_ns = time_mono_ns() - s->due_ns;
    go_on(w);
}

void cycle_run(bench *b, const cycle_step *steps, void *arg)
{
    cycle c = {.b = b, .steps = steps, .arg = arg};

    c.workers = xcalloc(b->opt->connections, sizeof *c.workers);
    for (const cycle_step *s = steps; s->phase; s++)
        report_phase(b->report, s->phase); /* the table's order is theirs */
    report_phase(b->report, "total");
    crew_run(b, b->opt->connections, 1, begin, &c);
    for (size_t i = 0; i < b->opt->connections; i++)
        forget_ids(&c.workers[i]); /* of a cycle that was not waited for */
    mem_freep(&c.workers);
}
