/* client.c - whoever started an exec and holds its stdio.
 *
 * Stdin that comes before the session is there waits; the stream ends when the exit code can be
 * asked for.  Loop thread only. */
#include "private.h"
#include <berth/loop.h>
#include <berth/mem.h>
#include <stdlib.h>

enum {
    STDIN_WAITING_MAX = 64 << 10,
    EXIT_WAIT_MS = 2000, /* for a process that closed its output and lives on */
};

void exec_client_end(exec_client *cl, err *e)
{
    attach_free(take(cl->a));
    timer_stop(take(cl->exit_wait));
    if (cl->ended) {
        err_free(e);
        return;
    }
    cl->ended = true;
    cl->ev.on_end(cl->arg, e);
}

static void on_output(void *arg, const char *frame, size_t n)
{
    exec_client *cl = arg;

    cl->ev.on_output(cl->arg, frame, n);
}

static void on_exit_overdue(void *arg)
{
    exec_client_end(arg, NULL);
}

/* Whoever sees the stream end asks for the exit code next: it must be known by then. */
static void on_end(void *arg, err *e)
{
    exec_client *cl = arg;

    if (e || cl->x->stage == EXEC_ENDED) {
        exec_client_end(cl, e);
        return;
    }
    attach_free(take(cl->a));
    cl->exit_wait = timer_start("exec.exit", EXIT_WAIT_MS, on_exit_overdue, cl);
}

static void on_stdin_drain(void *arg)
{
    exec_client *cl = arg;

    cl->stalled = false;
    cl->ev.on_stdin_drain(cl->arg);
}

static const attach_events session_events = {on_output, on_end, on_stdin_drain};

bool exec_stdin(exec_client *cl, const char *p, size_t n)
{
    bool flows;

    if (cl->ended)
        return true;
    if (cl->a) {
        flows = attach_stdin(cl->a, p, n);
    } else {
        buf_add(&cl->waiting, p, n);
        flows = cl->waiting.len < STDIN_WAITING_MAX;
    }
    cl->stalled = !flows;
    return flows;
}

void exec_stdin_eof(exec_client *cl)
{
    if (cl->a)
        attach_stdin_eof(cl->a);
    else
        cl->eof_waiting = true;
}

void exec_pause(exec_client *cl, bool paused)
{
    cl->paused = paused;
    if (cl->a)
        attach_pause(cl->a, paused);
}

static void on_client_freed(void *arg)
{
    exec_client *cl = arg;

    exec_unref(cl->x);
    buf_done(&cl->waiting);
    free(cl);
}

void exec_client_free(exec_client *cl)
{
    if (!cl || cl->freed)
        return;
    cl->freed = cl->ended = true;
    attach_free(take(cl->a));
    timer_stop(take(cl->exit_wait));
    if (cl->x->client == cl)
        cl->x->client = NULL;
    loop_defer(on_client_freed, cl);
}

void exec_client_bind(exec_client *cl)
{
    const exec_config *k = &cl->x->config;
    unsigned what = (k->attach_stdin ? ATTACH_STDIN : 0) | (k->attach_stdout ? ATTACH_STDOUT : 0) |
                    (k->attach_stderr ? ATTACH_STDERR : 0);
    bool flows = true;

    cl->a = monitor_attach(container_monitor(cl->x->c), cl->x->id, what, &session_events, cl);
    if (cl->paused)
        attach_pause(cl->a, true);
    if (cl->waiting.len)
        flows = attach_stdin(cl->a, cl->waiting.data, cl->waiting.len);
    buf_done(&cl->waiting);
    if (cl->eof_waiting)
        attach_stdin_eof(cl->a);
    if (cl->stalled && flows)
        on_stdin_drain(cl);
}
