/* events.c - the monitor's own small loop.
 *
 * libuv would cost every running container its memory; what is needed here is one epoll and a short
 * list of deadlines.  A source may be closed from within any callback: events already fetched for
 * it are dropped.  One thread. */
#include "events.h"
#include <berth/timefmt.h>
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

enum { BATCH = 8 };

static int epoll_fd = -1;
static bool stopped;
static struct epoll_event batch[BATCH];
static int batch_size;
static deadline *deadlines;

static int64_t now_ms(void)
{
    return time_mono_ns() / 1000000;
}

bool events_init(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    stopped = false;
    return epoll_fd >= 0;
}

static void forget_fetched(const source *s)
{
    for (int i = 0; i < batch_size; i++) {
        if (batch[i].data.ptr == s)
            batch[i].data.ptr = NULL;
    }
}

void source_want(source *s, uint32_t want)
{
    struct epoll_event ev = {.events = want, .data.ptr = s};
    int op = s->want ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (s->fd < 0 || s->want == want)
        return;
    if (!want) {
        op = EPOLL_CTL_DEL;
        forget_fetched(s);
    }
    /* A descriptor that epoll cannot wait for (a file as stdin) does not occur: all are pipes,
     * sockets and terminals.  Out of kernel memory is the only failure left; then this source
     * stays silent until it is asked for again. */
    if (epoll_ctl(epoll_fd, op, s->fd, &ev) == 0)
        s->want = want;
}

void source_add(source *s, int fd, uint32_t want, void (*ready)(void *owner, uint32_t events),
                void *owner)
{
    *s = (source){.fd = fd, .ready = ready, .owner = owner};
    source_want(s, want);
}

void source_close(source *s)
{
    if (s->fd < 0)
        return;
    source_want(s, 0);
    close(s->fd);
    s->fd = -1;
}

void deadline_clear(deadline *d)
{
    for (deadline **at = &deadlines; *at; at = &(*at)->next) {
        if (*at == d) {
            *at = d->next;
            break;
        }
    }
    d->armed = false;
}

void deadline_set(deadline *d, int64_t after_ms, void (*due)(void *owner), void *owner)
{
    deadline_clear(d);
    *d = (deadline){now_ms() + after_ms, due, owner, deadlines, true};
    deadlines = d;
}

/* Milliseconds to the nearest deadline, -1 for none. */
static int patience(void)
{
    int64_t nearest = -1, now = deadlines ? now_ms() : 0;

    for (const deadline *d = deadlines; d; d = d->next) {
        int64_t left = d->at_ms > now ? d->at_ms - now : 0;

        if (nearest < 0 || left < nearest)
            nearest = left;
    }
    return (int)nearest;
}

static deadline *next_due(int64_t now)
{
    for (deadline *d = deadlines; d; d = d->next) {
        if (d->at_ms <= now)
            return d;
    }
    return NULL;
}

static void run_deadlines(void)
{
    int64_t now = deadlines ? now_ms() : 0;

    for (deadline *d; (d = next_due(now));) {
        deadline_clear(d);
        d->due(d->owner);
    }
}

void events_run(void)
{
    while (!stopped) {
        batch_size = epoll_wait(epoll_fd, batch, BATCH, patience());
        for (int i = 0; i < batch_size; i++) {
            source *s = batch[i].data.ptr;

            if (s && s->want)
                s->ready(s->owner, batch[i].events);
        }
        batch_size = 0;
        run_deadlines();
    }
}

void events_stop(void)
{
    stopped = true;
}
