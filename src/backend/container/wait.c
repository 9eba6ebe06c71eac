/* wait.c - those who wait for a container's end.
 *
 * A wait answers from the loop, never from within the call that asked.  next-exit and not-running
 * are told as soon as the exit is recorded; removed when the container is gone.  Loop thread only.
 */
#include "private.h"
#include <berth/loop.h>
#include <berth/mem.h>
#include <stdlib.h>
#include <utlist.h>

struct container_wait {
    container *c; /* referenced */
    wait_condition cond;
    void (*fn)(void *arg, int status, const char *error);
    void *arg;
    bool told, cancelled;
    int status;
    char *error;
    container_wait *prev, *next;
};

static void on_told(void *arg)
{
    container_wait *w = arg;

    if (!w->cancelled)
        w->fn(w->arg, w->status, w->error ? w->error : "");
    container_unref(w->c);
    free(w->error);
    free(w);
}

static void tell(container_wait *w, const char *error)
{
    DL_DELETE(w->c->waits, w);
    w->told = true;
    w->status = (int)w->c->state.exit_code;
    w->error = xstrdup(error);
    loop_defer(on_told, w);
}

container_wait *container_wait_for(container *c, wait_condition cond,
                                   void (*fn)(void *arg, int status, const char *error), void *arg)
{
    container_wait *w = new0(container_wait);

    w->c = container_ref(c);
    w->cond = cond;
    w->fn = fn;
    w->arg = arg;
    DL_APPEND(c->waits, w);
    if ((cond == WAIT_NOT_RUNNING && !container_is_up(c)) || (cond == WAIT_REMOVED && c->removed))
        tell(w, NULL);
    return w;
}

void container_wait_cancel(container_wait *w)
{
    if (!w || w->cancelled)
        return;
    w->cancelled = true;
    if (!w->told)
        tell(w, NULL);
}

void waits_exited(container *c)
{
    container_wait *w, *next;

    DL_FOREACH_SAFE (c->waits, w, next)
        if (w->cond != WAIT_REMOVED)
            tell(w, NULL);
}

void waits_removed(container *c, const char *error)
{
    container_wait *w, *next;

    DL_FOREACH_SAFE (c->waits, w, next)
        if (w->cond == WAIT_REMOVED || !error)
            tell(w, error);
}
