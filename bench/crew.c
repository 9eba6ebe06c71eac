/* crew.c - connections that are kept busy with operations, at their own speed or by plan.
 *
 * A free slot waits on a stack.  With a plan (--rate) a timerfd wakes the crew to the nanosecond
 * when the next operation is due; libuv's timers know milliseconds only.  Loop thread only. */
#include "crew.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct crew {
    bench *b;
    pace pace;
    client **clients;
    client **streams; /* one per slot, NULL until somebody wants it */
    slot *slots;
    slot **free;
    size_t n_clients, n_slots, n_free;
    void (*begin)(slot *s);
    bool marked; /* the warm-up is over and costs are counted */
    int64_t marked_ns, last_ns;
    int timer;
    uv_poll_t *tick;
};

static void begin_counting(crew *w, int64_t now_ns)
{
    w->marked = true;
    w->marked_ns = now_ns;
    bench_cost_begin(w->b);
}

static void arm(crew *w, int64_t due_ns)
{
    struct itimerspec when = {.it_value = {due_ns / 1000000000, due_ns % 1000000000}};

    timerfd_settime(w->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Begin what may begin now, and be woken for the next. */
static void hand_out(crew *w)
{
    int64_t now_ns = time_mono_ns(), due_ns;

    while (w->n_free && pace_take(&w->pace, now_ns, &due_ns)) {
        slot *s = w->free[--w->n_free];

        s->due_ns = due_ns;
        s->counted = pace_counts(&w->pace, due_ns);
        if (s->counted && !w->marked)
            begin_counting(w, now_ns);
        w->begin(s);
        now_ns = time_mono_ns();
    }
    if (w->n_free && w->pace.rate > 0 && !pace_over(&w->pace, now_ns))
        arm(w, pace_next(&w->pace));
}

static void on_tick(uv_poll_t *p, int status, int events)
{
    crew *w = p->data;
    uint64_t times;

    (void)status;
    (void)events;
    if (read(w->timer, &times, sizeof times) > 0)
        hand_out(w);
}

static void beat(void *arg)
{
    crew *w = arg;
    int64_t now_ns = time_mono_ns(), timeout_ns = (int64_t)(w->b->opt->timeout_s * 1e9);

    for (size_t i = 0; i < w->n_clients; i++)
        client_expire(w->clients[i], now_ns, timeout_ns);
    for (size_t i = 0; i < w->n_slots; i++)
        if (w->streams[i])
            client_expire(w->streams[i], now_ns, timeout_ns);
    w->pace.stopped |= w->b->interrupts > 0;
}

static void crew_begin(crew *w, size_t connections, size_t pipeline, void *arg)
{
    const options *o = w->b->opt;

    w->n_clients = connections;
    w->n_slots = connections * pipeline;
    w->clients = xcalloc(w->n_clients, sizeof(client *));
    w->slots = xcalloc(w->n_slots, sizeof *w->slots);
    w->streams = xcalloc(w->n_slots, sizeof(client *));
    w->free = xcalloc(w->n_slots, sizeof(slot *));
    for (size_t i = 0; i < w->n_clients; i++)
        w->clients[i] = client_new(&w->b->loop, w->b->to);
    for (size_t i = 0; i < w->n_slots; i++) {
        w->slots[i] = (slot){
            .crew = w, .b = w->b, .client = w->clients[i % w->n_clients], .index = i, .arg = arg};
        w->free[w->n_slots - 1 - i] = &w->slots[i];
    }
    w->n_free = w->n_slots;
    w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    w->tick = new0(uv_poll_t);
    uv_poll_init(&w->b->loop, w->tick, w->timer);
    w->tick->data = w;
    uv_poll_start(w->tick, UV_READABLE, on_tick);
    w->b->beat = beat;
    w->b->beat_arg = w;
    pace_init(&w->pace, time_mono_ns(), o->warmup_s, o->duration_s, o->count, o->rate);
}

static void on_tick_closed(uv_handle_t *h)
{
    mem_freep(&h);
}

static void crew_end(crew *w)
{
    w->b->beat = NULL;
    for (size_t i = 0; i < w->n_clients; i++)
        client_free(w->clients[i]);
    for (size_t i = 0; i < w->n_slots; i++)
        client_free(w->streams[i]);
    uv_close((uv_handle_t *)w->tick, on_tick_closed);
    close(w->timer);
    mem_freep(&w->clients);
    mem_freep(&w->streams);
    mem_freep(&w->slots);
    mem_freep(&w->free);
}

void slot_done(slot *s, bool ok)
{
    crew *w = s->crew;

    w->last_ns = time_mono_ns();
    if (s->counted)
        report_operation(w->b->report, ok);
    w->free[w->n_free++] = s;
    hand_out(w);
}

client *slot_stream(slot *s)
{
    client **stream = &s->crew->streams[s->index];

    if (!*stream)
        *stream = client_new(&s->b->loop, s->b->to);
    return *stream;
}

void crew_run(bench *b, size_t connections, size_t pipeline, void (*begin)(slot *s), void *arg)
{
    crew w = {.b = b, .begin = begin};

    crew_begin(&w, connections, pipeline, arg);
    hand_out(&w);
    while (b->interrupts < 2 && (w.n_free < w.n_slots || !pace_over(&w.pace, time_mono_ns())))
        uv_run(&b->loop, UV_RUN_ONCE);
    if (w.marked) {
        report_elapsed(b->report, w.last_ns - w.marked_ns);
        bench_cost_end(b);
    }
    crew_end(&w);
}
