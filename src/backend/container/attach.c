/* attach.c - clients on a container's stdio, before and while it runs.
 *
 * A client may come before the container starts: it waits in c->clients and is bound to the monitor
 * before the process begins, so it misses nothing.  After on_end no callback follows; the client is
 * still to be freed by whoever attached it.  Loop thread only. */
#include "private.h"
#include <berth/logs.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <utlist.h>

enum {
    STDIN_WAITING_MAX = 64 << 10
}; /* typed before the start: more is not read from the client */

struct container_client {
    container *c; /* referenced */
    unsigned what;
    attach_events ev;
    void *arg;
    attachment *a;    /* NULL until bound */
    buf waiting;      /* stdin from before the start */
    log_position log; /* of an ATTACH_REPLAY that no monitor answers */
    bool eof_waiting, stdin_stalled, paused;
    bool ended, freed;
    container_client *prev, *next;
};

static void on_output(void *arg, const char *frame, size_t n)
{
    container_client *cl = arg;

    cl->ev.on_output(cl->arg, frame, n);
}

static void client_end(container_client *cl, err *e)
{
    attach_free(cl->a);
    cl->a = NULL;
    cl->ended = true;
    cl->ev.on_end(cl->arg, e);
}

static void on_end(void *arg, err *e)
{
    client_end(arg, e);
}

static void on_stdin_drain(void *arg)
{
    container_client *cl = arg;

    cl->stdin_stalled = false;
    cl->ev.on_stdin_drain(cl->arg);
}

static void on_log_position(void *arg, int64_t size, uint64_t inode)
{
    container_client *cl = arg;

    cl->ev.on_log_position(cl->arg, size, inode);
}

static const attach_events bound_events = {on_output, on_end, on_stdin_drain, on_log_position};

static void bind(container_client *cl)
{
    bool flows = true;

    cl->a = monitor_attach(cl->c->monitor, "", cl->what, &bound_events, cl);
    if (cl->paused)
        attach_pause(cl->a, true);
    if (cl->waiting.len)
        flows = attach_stdin(cl->a, cl->waiting.data, cl->waiting.len);
    buf_done(&cl->waiting);
    if (cl->eof_waiting)
        attach_stdin_eof(cl->a);
    if (cl->stdin_stalled && flows)
        on_stdin_drain(cl);
}

void clients_bind(container *c)
{
    container_client *cl, *next;

    DL_FOREACH_SAFE (c->clients, cl, next)
        if (!cl->a && !cl->ended)
            bind(cl);
}

void clients_end(container *c)
{
    container_client *cl, *next;

    DL_FOREACH_SAFE (c->clients, cl, next)
        if (!cl->a && !cl->ended)
            client_end(cl, NULL);
}

/* What is in the log of a container that does not run is all of it, whatever it writes from its
 * next start on. */
static void note_log_position(container_client *cl)
{
    struct stat st;

    cl->what &= ~(unsigned)ATTACH_REPLAY;
    if (stat(container_log_path(cl->c), &st) == 0)
        cl->log = (log_position){.size = st.st_size, .inode = st.st_ino};
}

static void tell_log_position(void *arg)
{
    container_client *cl = arg;

    if (!cl->freed && !cl->ended)
        on_log_position(cl, cl->log.size, cl->log.inode);
}

container_client *container_attach(container *c, unsigned what, const attach_events *ev, void *arg)
{
    container_client *cl = new0(container_client);

    cl->c = container_ref(c);
    cl->what = what;
    cl->ev = *ev;
    cl->arg = arg;
    DL_APPEND(c->clients, cl);
    if (c->monitor && c->state.running) {
        bind(cl);
    } else if (what & ATTACH_REPLAY) {
        note_log_position(cl);
        loop_defer(tell_log_position, cl);
    }
    return cl;
}

bool client_stdin(container_client *cl, const char *p, size_t n)
{
    bool flows;

    if (cl->ended)
        return true; /* nobody reads it any more: as the kernel drops what is written to a dead tty
                      */
    if (cl->a) {
        flows = attach_stdin(cl->a, p, n);
    } else {
        buf_add(&cl->waiting, p, n);
        flows = cl->waiting.len < STDIN_WAITING_MAX;
    }
    cl->stdin_stalled = !flows;
    return flows;
}

void client_stdin_eof(container_client *cl)
{
    if (cl->a)
        attach_stdin_eof(cl->a);
    else
        cl->eof_waiting = true;
}

void client_pause(container_client *cl, bool paused)
{
    cl->paused = paused;
    if (cl->a)
        attach_pause(cl->a, paused);
}

static void on_freed(void *arg)
{
    container_client *cl = arg;

    container_unref(cl->c);
    buf_done(&cl->waiting);
    free(cl);
}

/* The memory goes from the loop: a client may be freed by its own callback. */
void client_free(container_client *cl)
{
    if (!cl || cl->freed)
        return;
    cl->freed = true;
    cl->ended = true;
    attach_free(cl->a);
    cl->a = NULL;
    DL_DELETE(cl->c->clients, cl);
    loop_defer(on_freed, cl);
}
