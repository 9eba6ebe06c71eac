/* watch.c - readiness of a descriptor that libuv has no handle for.
 *
 * Level-triggered, as poll(2) is: an error of the descriptor is told as readable and writable, and
 * the next read or write of the owner finds out what it is.  Loop thread only. */
#include "uvloop.h"
#include <berth/mem.h>
#include <berth/watch.h>
#include <assert.h>
#include <stdlib.h>

struct watch {
    uv_poll_t uv;
    const char *name;
    int events;
    bool stopped;
    void (*fn)(void *arg, int events);
    void *arg;
};

static void on_poll(uv_poll_t *h, int status, int events);

static void arm(watch *w)
{
    int uv_events =
        (w->events & WATCH_READ ? UV_READABLE : 0) | (w->events & WATCH_WRITE ? UV_WRITABLE : 0);

    if (uv_events)
        uv_poll_start(&w->uv, uv_events, on_poll);
    else
        uv_poll_stop(&w->uv);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    watch *w = h->data;
    LOOP_CALLBACK(w->name);

    if (status >= 0) {
        w->fn(w->arg,
              (events & UV_READABLE ? WATCH_READ : 0) | (events & UV_WRITABLE ? WATCH_WRITE : 0));
        return;
    }
    /* libuv stops watching at an error; but an overrun netlink socket, say, goes on. */
    w->fn(w->arg, w->events);
    if (!w->stopped)
        arm(w);
}

static void on_poll_closed(uv_handle_t *h)
{
    free(h->data);
}

watch *watch_start(const char *name, int fd, int events, void (*fn)(void *arg, int events),
                   void *arg)
{
    watch *w = new0(watch);
    int rc = uv_poll_init(loop_uv(), &w->uv, fd);

    /* Fails for a descriptor that cannot be polled or is watched already: bugs of the caller. */
    assert(rc == 0);
    (void)rc;
    w->name = name;
    w->fn = fn;
    w->arg = arg;
    w->events = events;
    w->uv.data = w;
    arm(w);
    return w;
}

void watch_set(watch *w, int events)
{
    assert(!w->stopped);
    if (w->events == events)
        return;
    w->events = events;
    arm(w);
}

void watch_stop(watch *w)
{
    if (!w)
        return;
    assert(!w->stopped);
    w->stopped = true;
    uv_close((uv_handle_t *)&w->uv, on_poll_closed);
}
