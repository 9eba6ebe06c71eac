/* stop.c - signals, stop and restart.
 *
 * Signals go to the container's init through the pidfd that its monitor opened: no other process
 * can ever get them.  Kill does not queue, so it also ends an operation that waits for the
 * container to stop. Loop thread only. */
#include "private.h"
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timer.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    STOP_TIMEOUT_S = 10,      /* when neither the request nor the container says */
    KILL_WAIT_MS = 10 * 1000, /* how long an exit may take after SIGKILL */
};

static bool is_stop_signal(const container *c, int signo)
{
    int stops;
    err *e = signal_parse(str_or(c->rec.config->stop_signal, "SIGTERM"), &stops);

    err_free(e);
    return !e && stops == signo;
}

static err *send_signal(container *c, int signo)
{
    auto_free char *number = xasprintf("%d", signo);
    int init = c->monitor ? monitor_init_pidfd(c->monitor) : -1; /* -1: it has ended */

    if (init >= 0 && syscall(SYS_pidfd_send_signal, init, signo, NULL, 0) < 0 && errno != ESRCH)
        return err_errno(errno, "signal container %s", c->rec.id);
    if (signo == SIGKILL || is_stop_signal(c, signo)) {
        restart_by_hand(c);
        container_save_state(c);
    }
    container_event(c, "kill", "signal", number, NULL);
    if (c->state.paused && (signo == SIGKILL || is_stop_signal(c, signo)))
        container_thaw(c); /* who is frozen takes no signal */
    return NULL;
}

err *container_kill(container *c, const char *signal)
{
    int signo = SIGKILL;

    if (!str_empty(signal))
        TRY(signal_parse(signal, &signo));
    if (c->state.restarting) { /* as if it had come a moment later: nothing gets it */
        if (signo == SIGKILL || is_stop_signal(c, signo)) {
            restart_by_hand(c);
            restart_cancel(c);
        }
        return NULL;
    }
    if (!c->state.running)
        return err_new(ERR_CONFLICT, "cannot kill container: %s: container %s is not running",
                       c->rec.name, c->rec.id);
    return send_signal(c, signo);
}

typedef struct stopping {
    container *c; /* held by the operation */
    int signo, timeout_s;
    bool killed;
    timer *timer;
    container_wait *wait;
    container_done *done;
    void *arg;
} stopping;

static void stop_end(stopping *s, err *e)
{
    container *c = s->c;

    timer_stop(s->timer);
    container_wait_cancel(s->wait);
    op_end(c);
    s->done(s->arg, e);
    free(s);
}

static void on_written(void *arg, err *e)
{
    err_log(e, "that a container was stopped by hand could not be written");
    stop_end(arg, NULL);
}

/* Whether it comes back depends on this stop, so it is on the disk before it is told. */
static void stop_told(stopping *s)
{
    store_batch *b;

    if (str_eq(s->c->rec.host->restart_policy.name, "no") || s->c->removed) {
        stop_end(s, NULL);
        return;
    }
    b = store_batch_new();
    container_save(s->c, b);
    store_commit(b, on_written, s);
}

static void on_stopped(void *arg, int status, const char *error)
{
    stopping *s = arg;

    (void)status, (void)error;
    s->wait = NULL;
    timer_stop(take(s->timer));
    container_event(s->c, "stop", NULL);
    stop_told(s);
}

static void on_timeout(void *arg)
{
    stopping *s = arg;

    if (s->killed) {
        stop_end(s, err_new(ERR_SYSTEM,
                            "cannot stop container: %s: tried to kill container, but did not "
                            "receive an exit event",
                            s->c->rec.name));
        return;
    }
    s->killed = true;
    log_info("container did not stop in time, killing it", "id", s->c->rec.id, "seconds",
             s->timeout_s);
    err_log(send_signal(s->c, SIGKILL), "container could not be killed");
    timer_again(s->timer, KILL_WAIT_MS);
}

static void stop_begin(container *c, void *arg)
{
    stopping *s = arg;
    err *e;

    if (c->state.restarting) {
        restart_by_hand(c);
        restart_cancel(c);
        container_event(c, "stop", NULL);
        stop_told(s);
        return;
    }
    if (!c->state.running) {
        stop_end(s, err_new(ERR_NOT_MODIFIED, "container is already stopped"));
        return;
    }
    s->wait = container_wait_for(c, WAIT_NEXT_EXIT, on_stopped, s);
    if (s->timeout_s == 0) {
        s->killed = true;
        s->signo = SIGKILL;
    }
    if ((e = send_signal(c, s->signo))) {
        stop_end(s, e);
        return;
    }
    if (s->timeout_s >= 0)
        s->timer = timer_start("stop", s->killed ? KILL_WAIT_MS : (uint64_t)s->timeout_s * 1000,
                               on_timeout, s);
}

static err *stop_signal(const container *c, const char *asked, int *ret_signo)
{
    const char *text = str_or(asked, str_or(c->rec.config->stop_signal, "SIGTERM"));

    return signal_parse(text, ret_signo);
}

static int stop_timeout(const container *c, int asked)
{
    if (asked != STOP_TIMEOUT_DEFAULT)
        return asked;
    return c->rec.config->stop_timeout.set ? (int)c->rec.config->stop_timeout.n : STOP_TIMEOUT_S;
}

void container_stop(container *c, const char *signal, int timeout_s, container_done *done,
                    void *arg)
{
    stopping *s;
    int signo;
    err *e = stop_signal(c, signal, &signo);

    if (e) {
        container_refuse(e, done, arg);
        return;
    }
    s = new0(stopping);
    *s = (stopping){
        .c = c, .signo = signo, .timeout_s = stop_timeout(c, timeout_s), .done = done, .arg = arg};
    op_begin(c, "stop", stop_begin, s);
}

typedef struct restarting {
    container *c; /* referenced */
    container_done *done;
    void *arg;
} restarting;

static void restart_end(restarting *r, err *e)
{
    if (!e)
        container_event(r->c, "restart", NULL);
    r->done(r->arg, e ? err_wrap(e, "Cannot restart container %s", r->c->rec.name) : NULL);
    container_unref(r->c);
    free(r);
}

static void on_restarted(void *arg, err *e)
{
    if (e && err_kind(e) ==
                 ERR_NOT_MODIFIED) { /* somebody else started it between our stop and our start */
        err_free(e);
        e = NULL;
    }
    restart_end(arg, e);
}

static void on_restart_stopped(void *arg, err *e)
{
    restarting *r = arg;

    if (e && err_kind(e) != ERR_NOT_MODIFIED) {
        restart_end(r, e);
        return;
    }
    err_free(e);
    container_start(r->c, on_restarted, r);
}

/* Stop, then start: the teardown of the old run queues between the two by itself. */
void container_restart(container *c, const char *signal, int timeout_s, container_done *done,
                       void *arg)
{
    restarting *r = new0(restarting);

    *r = (restarting){container_ref(c), done, arg};
    container_stop(c, signal, timeout_s, on_restart_stopped, r);
}

void container_resize(container *c, unsigned rows, unsigned cols, container_done *done, void *arg)
{
    if (!c->state.running || !c->monitor)
        container_refuse(err_new(ERR_CONFLICT, "container %s is not running", c->rec.id), done,
                         arg);
    else
        monitor_resize(c->monitor, "", (unsigned short)rows, (unsigned short)cols, done, arg);
}

/* ---- the daemon's end ---- */

typedef struct shutdown_all {
    unsigned left;
    bool begun;
    void (*done)(void *arg);
    void *arg;
} shutdown_all;

static void shutdown_check(shutdown_all *s)
{
    if (!s->begun || s->left)
        return;
    s->done(s->arg);
    free(s);
}

/* Runs behind the teardown that the exit has queued: then nothing of the run is left. */
static void quiet_begin(container *c, void *arg)
{
    shutdown_all *s = arg;

    op_end(c);
    s->left--;
    shutdown_check(s);
}

static void on_shutdown_stopped(void *arg, err *e)
{
    (void)arg;
    if (e && err_kind(e) == ERR_NOT_MODIFIED)
        err_free(e);
    else
        err_log(e, "container could not be stopped");
}

typedef struct quieting {
    shutdown_all *all;
    container *c; /* referenced */
} quieting;

static void on_quieted(void *arg, err *e)
{
    quieting *q = arg;

    on_shutdown_stopped(NULL, e);
    op_begin(q->c, "shutdown", quiet_begin, q->all);
    container_unref(q->c);
    free(q);
}

/* With live_restore only the operations under way are awaited. */
void containers_shutdown(bool live_restore, void (*done)(void *arg), void *arg)
{
    shutdown_all *s = new0(shutdown_all);

    s->done = done;
    s->arg = arg;
    restarts_end();
    for (container *c = containers_newest; c; c = c->older) {
        if (!c->state.running && !c->op)
            continue;
        s->left++;
        if (live_restore) {
            op_begin(c, "shutdown", quiet_begin, s);
        } else {
            quieting *q = new0(quieting);

            *q = (quieting){s, container_ref(c)};
            container_stop(c, NULL, STOP_TIMEOUT_DEFAULT, on_quieted, q);
        }
    }
    s->begun = true;
    shutdown_check(s);
}
