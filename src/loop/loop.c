/* loop.c - the one event loop: its life, calls from other threads, the reap list, the watchdog.
 *
 * Nothing is freed under the feet of a callback: what a callback wants gone it puts on the reap
 * list, which is emptied when the callback has returned.  What the emptying itself adds waits for
 * the next turn of the loop, so that a chain of such calls never starves the sockets. Loop thread
 * only, except loop_post and on_loop. */
#include "uvloop.h"
#include <berth/buf.h>
#include <berth/job.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/signals.h>
#include <berth/str.h>
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A callback of the loop that takes longer makes every client wait. */
#define WATCHDOG_DEFAULT_MS 5
#define MAX_PRINTERS        16
#define SETTLE_TURNS        1000 /* of the loop, when it ends */
#define KEPT_CALLS          256  /* a list that grew beyond this gives its memory back */

typedef struct call {
    void (*fn)(void *arg);
    void *arg;
} call;

typedef struct call_list {
    call *v;
    size_t n, cap;
} call_list;

static struct {
    uv_loop_t uv;
    uv_idle_t again; /* active while the reap list waits for the next turn */
    uv_async_t wake; /* for loop_post */
    bool ready, stopping;
    unsigned depth; /* callbacks on the stack */
    call_list deferred;
    call_list spare; /* the other of two lists that take turns */
    pthread_mutex_t lock;
    call_list posted; /* under the lock */
    void (*printers[MAX_PRINTERS])(buf *out);
    size_t n_printers;
    uint64_t watchdog_ns; /* 0: off */
    char read_buffer[LOOP_READ_BUFFER];
} the = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local bool is_loop_thread;

static void calls_add(call_list *l, void (*fn)(void *arg), void *arg)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
    }
    l->v[l->n++] = (call){fn, arg};
}

static void calls_clear(call_list *l, bool release)
{
    l->n = 0;
    if (!release)
        return;
    free(l->v);
    *l = (call_list){0};
}

static void calls_run(const call_list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++) {
        uint64_t began_ns = watchdog_begin();

        l->v[i].fn(l->v[i].arg);
        watchdog_end(began_ns, name);
    }
}

/* Run what is on the reap list now; what that adds is left for the next turn. */
static void reap(void)
{
    call_list batch = the.deferred;

    the.deferred = the.spare;
    the.spare = (call_list){0};
    calls_run(&batch, "deferred call");
    calls_clear(&batch, batch.cap > KEPT_CALLS);
    the.spare = batch;
}

static void on_again(uv_idle_t *h)
{
    if (!the.deferred.n)
        uv_idle_stop(h);
    LOOP_CALLBACK("reap"); /* whose end does it */
}

static void run_posted(void)
{
    call_list batch;

    pthread_mutex_lock(&the.lock);
    batch = the.posted;
    the.posted = (call_list){0};
    pthread_mutex_unlock(&the.lock);
    calls_run(&batch, "posted call");
    calls_clear(&batch, true);
}

static bool has_posted(void)
{
    bool has;

    pthread_mutex_lock(&the.lock);
    has = the.posted.n > 0;
    pthread_mutex_unlock(&the.lock);
    return has;
}

static void on_wake(uv_async_t *h)
{
    (void)h;
    LOOP_CALLBACK("posted calls");
    run_posted();
}

/* SIGUSR1: say what is in flight. */
static void on_dump_signal(int signo, void *arg)
{
    auto_buf text = {0};
    char *rest, *line;

    (void)signo;
    (void)arg;
    loop_dump(&text);
    rest = text.data;
    while ((line = strsep(&rest, "\n")))
        if (*line)
            log_info("in flight", "what", line);
}

static uint64_t watchdog_limit_ns(void)
{
    const char *text = getenv("BERTH_WATCHDOG_MS");
    uint64_t ms = 0;

#ifdef BERTH_WATCHDOG
    ms = WATCHDOG_DEFAULT_MS;
#endif
    if (text && !str_to_uint64(text, &ms))
        log_warn("BERTH_WATCHDOG_MS is not a number", "value", text);
    return ms > UINT64_MAX / 1000000 ? 0 : ms * 1000000;
}

/* Give what is on the lists a chance to free things. */
static void settle(void)
{
    for (int turn = 0; turn < SETTLE_TURNS && (turn == 0 || the.deferred.n || has_posted());
         turn++) {
        LOOP_CALLBACK("posted calls");
        run_posted();
        uv_run(&the.uv, UV_RUN_NOWAIT);
    }
}

static void close_leftover(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

uv_loop_t *loop_uv(void)
{
    assert(on_loop());
    return &the.uv;
}

char *loop_read_buffer(void)
{
    return the.read_buffer;
}

uint64_t watchdog_begin(void)
{
    return the.watchdog_ns ? uv_hrtime() : 0;
}

void watchdog_end(uint64_t began_ns, const char *name)
{
    uint64_t took_ns;

    if (!began_ns)
        return;
    took_ns = uv_hrtime() - began_ns;
    if (took_ns > the.watchdog_ns)
        log_warn("loop was held up", "by", name, "us", took_ns / 1000);
}

loop_callback loop_callback_enter(const char *name)
{
    the.depth++;
    return (loop_callback){name, watchdog_begin()};
}

void loop_callback_leave(loop_callback *cb)
{
    watchdog_end(cb->began_ns, cb->name);
    if (the.depth == 1 && the.deferred.n) {
        reap();
        if (the.deferred.n)
            uv_idle_start(&the.again, on_again);
    }
    the.depth--;
}

err *uv_failed(int rc, const char *what)
{
    return err_errno(-rc, "%s", what);
}

err *loop_init(void)
{
    int rc;

    assert(!the.ready);
    /* A client that hangs up is an error of one write, not the end of the daemon. */
    signal(SIGPIPE, SIG_IGN);
    jobs_init();
    rc = uv_loop_init(&the.uv);
    if (rc)
        return uv_failed(rc, "event loop");
    rc = uv_async_init(&the.uv, &the.wake, on_wake);
    if (rc) {
        uv_loop_close(&the.uv);
        return uv_failed(rc, "event loop");
    }
    uv_unref((uv_handle_t *)&the.wake);
    uv_idle_init(&the.uv, &the.again);
    the.watchdog_ns = watchdog_limit_ns();
    the.ready = is_loop_thread = true;
    return signal_on(SIGUSR1, on_dump_signal, NULL);
}

void loop_run(void)
{
    assert(on_loop());
    the.stopping = false;
    do {
        {
            LOOP_CALLBACK("posted calls");
            run_posted();
        }
        uv_run(&the.uv, UV_RUN_DEFAULT);
    } while (!the.stopping && has_posted());
}

void loop_stop(void)
{
    the.stopping = true;
    uv_stop(loop_uv());
}

void loop_done(void)
{
    int rc;

    assert(on_loop());
    assert(jobs_running() == 0);
    signals_done();
    children_let_go();
    settle();
    uv_walk(&the.uv, close_leftover, NULL);
    uv_run(&the.uv, UV_RUN_DEFAULT);
    rc = uv_loop_close(&the.uv);
    assert(rc == 0);
    (void)rc;
    calls_clear(&the.deferred, true);
    calls_clear(&the.spare, true);
    calls_clear(&the.posted, true);
    the.n_printers = 0;
    the.ready = is_loop_thread = false;
}

bool on_loop(void)
{
    return is_loop_thread;
}

uint64_t loop_now_ms(void)
{
    return uv_now(loop_uv());
}

void loop_defer(void (*fn)(void *arg), void *arg)
{
    assert(on_loop());
    calls_add(&the.deferred, fn, arg);
    if (!the.depth)
        uv_idle_start(&the.again, on_again);
}

void loop_post(void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&the.lock);
    calls_add(&the.posted, fn, arg);
    pthread_mutex_unlock(&the.lock);
    uv_async_send(&the.wake);
}

void loop_on_dump(void (*print)(buf *out))
{
    for (size_t i = 0; i < the.n_printers; i++)
        if (the.printers[i] == print)
            return;
    assert(the.n_printers < MAX_PRINTERS);
    the.printers[the.n_printers++] = print;
}

void loop_dump(buf *out)
{
    for (size_t i = 0; i < the.n_printers; i++)
        the.printers[i](out);
}
