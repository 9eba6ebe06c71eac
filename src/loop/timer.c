/* timer.c - one-shot and repeating timers.
 *
 * A timer lives until timer_stop, fired or not, so its owner needs no flag for "has it fired".
 * Loop thread only. */
#include "uvloop.h"
#include <berth/mem.h>
#include <berth/timer.h>
#include <stdlib.h>

struct timer {
    uv_timer_t uv;
    const char *name;
    void (*fn)(void *arg);
    void *arg;
};

static void on_timer(uv_timer_t *h)
{
    timer *t = h->data;
    LOOP_CALLBACK(t->name);

    t->fn(t->arg);
}

static void on_timer_closed(uv_handle_t *h)
{
    free(h->data);
}

static timer *timer_new(const char *name, void (*fn)(void *arg), void *arg)
{
    timer *t = new0(timer);

    t->name = name;
    t->fn = fn;
    t->arg = arg;
    uv_timer_init(loop_uv(), &t->uv);
    t->uv.data = t;
    return t;
}

timer *timer_start(const char *name, uint64_t after_ms, void (*fn)(void *arg), void *arg)
{
    timer *t = timer_new(name, fn, arg);

    uv_timer_start(&t->uv, on_timer, after_ms, 0);
    return t;
}

timer *timer_every(const char *name, uint64_t period_ms, void (*fn)(void *arg), void *arg)
{
    timer *t = timer_new(name, fn, arg);

    /* A period of 0 would mean "once" to libuv. */
    uv_timer_start(&t->uv, on_timer, period_ms, period_ms ? period_ms : 1);
    return t;
}

void timer_again(timer *t, uint64_t after_ms)
{
    uv_timer_start(&t->uv, on_timer, after_ms, uv_timer_get_repeat(&t->uv));
}

void timer_stop(timer *t)
{
    if (t)
        uv_close((uv_handle_t *)&t->uv, on_timer_closed);
}
