/* signals.c - Unix signals as loop callbacks.
 *
 * Signals alone never keep the loop alive.  Loop thread only. */
#include "uvloop.h"
#include <berth/mem.h>
#include <berth/signals.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

typedef struct handler {
    uv_signal_t uv;
    void (*fn)(int signo, void *arg);
    void *arg;
} handler;

static handler *handlers[_NSIG];

static void on_signal(uv_signal_t *h, int signo)
{
    handler *s = h->data;
    LOOP_CALLBACK("signal");

    s->fn(signo, s->arg);
}

static void on_signal_closed(uv_handle_t *h)
{
    free(h->data);
}

static err *handler_new(int signo, handler **ret)
{
    handler *s = new0(handler);
    int rc;

    uv_signal_init(loop_uv(), &s->uv);
    s->uv.data = s;
    rc = uv_signal_start(&s->uv, on_signal, signo);
    if (rc) {
        uv_close((uv_handle_t *)&s->uv, on_signal_closed);
        return err_errno(-rc, "signal %d", signo);
    }
    uv_unref((uv_handle_t *)&s->uv);
    *ret = s;
    return NULL;
}

err *signal_on(int signo, void (*fn)(int signo, void *arg), void *arg)
{
    if (signo <= 0 || signo >= _NSIG)
        return err_new(ERR_INVALID, "signal %d does not exist", signo);
    if (!handlers[signo])
        TRY(handler_new(signo, &handlers[signo]));
    handlers[signo]->fn = fn;
    handlers[signo]->arg = arg;
    return NULL;
}

void signals_done(void)
{
    for (int i = 0; i < _NSIG; i++) {
        if (handlers[i])
            uv_close((uv_handle_t *)&handlers[i]->uv, on_signal_closed);
        handlers[i] = NULL;
    }
}
