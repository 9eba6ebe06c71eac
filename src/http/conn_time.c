/* conn_time.c - time limits: one sweep for all connections, nothing at all for an idle daemon.
 *
 * A deadline is a number in the connection; while there is one, a timer looks through the list.
 * Loop thread only. */
#include "conn.h"
#include <berth/loop.h>
#include <berth/timer.h>
#include <poll.h>
#include <utlist.h>

/* How many connections are too many for comfort: nine tenths of all places are taken. */
static unsigned excess(const http_server *s)
{
    unsigned comfortable = s->limits.connections - s->limits.connections / 10;

    return s->n_conns > comfortable ? s->n_conns - comfortable : 0;
}

/* Who has not asked for long gives his place up, the longest idle first. */
static void shed_idle(http_server *s, uint64_t now_ms)
{
    unsigned n = excess(s);
    conn *c;

    for (c = s->conns; c && n; c = c->next) {
        if (c->state != CONN_IDLE || c->closed || now_ms - c->idle_ms < s->limits.idle_spared_ms)
            continue;
        conn_close(c);
        n--;
    }
}

static void on_sweep(void *arg)
{
    http_server *s = arg;
    uint64_t now_ms = loop_now_ms();
    conn *c, *next;

    s->sweeping = false;
    DL_FOREACH_SAFE (s->conns, c, next)
        if (c->deadline_set && !c->closed && c->deadline_ms <= now_ms)
            conn_overdue(c);
    shed_idle(s, now_ms);
    if (s->n_deadlines || excess(s))
        sweep_begin(s);
}

void sweep_begin(http_server *s)
{
    if (s->sweeping)
        return;
    s->sweeping = true;
    if (s->sweep)
        timer_again(s->sweep, s->limits.sweep_ms);
    else
        s->sweep = timer_start("http.sweep", s->limits.sweep_ms, on_sweep, s);
}

void deadline_set(conn *c, uint64_t after_ms)
{
    if (!c->deadline_set)
        c->server->n_deadlines++;
    c->deadline_set = true;
    c->deadline_ms = loop_now_ms() + after_ms;
    sweep_begin(c->server);
}

void deadline_clear(conn *c)
{
    if (c->deadline_set)
        c->server->n_deadlines--;
    c->deadline_set = false;
}

void deadline_idle(conn *c)
{
    http_server *s = c->server;

    c->idle_ms = loop_now_ms();
    if (s->conns->prev != c) { /* the list is in the order of idling */
        DL_DELETE(s->conns, c);
        DL_APPEND(s->conns, c);
    }
    if (excess(s))
        sweep_begin(s);
    if (c->is_unix)
        deadline_clear(c);
    else
        deadline_set(c, s->limits.keepalive_ms);
}

bool peer_hung_up(const conn *c)
{
    struct pollfd p = {.fd = sock_fd(c->sock)};

    return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}
