/* monitor_client.c - the daemon's side of one berth-monitor: requests, answers, ends.
 *
 * Every callback may free the object, so it goes through loop_defer and `freed` is looked at after
 * each.  A connection that ends while the container runs is a lost monitor: the owner is told once
 * and has the init's pidfd to act on.  Loop thread only. */
#include "monitor_private.h"
#include "runtime_words.h"
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MESSAGES_PER_TURN = 16,
    LOST_CODE = 137,
    LEASE_MS = 10 * 1000, /* a runtime that outlives its monitor for longer is not waited for */
};

/* ---- execs that run ---- */

static running_exec **find_exec(monitor *m, const char *id)
{
    running_exec **at = &m->execs;

    while (*at && !str_eq((*at)->id, id))
        at = &(*at)->next;
    return at;
}

static void add_exec(monitor *m, const char *id, pid_t pid, int pidfd)
{
    running_exec *x = new0(running_exec);

    *x = (running_exec){m->execs, xstrdup(id), pid, pidfd};
    m->execs = x;
}

static void remove_exec(monitor *m, const char *id)
{
    running_exec **at = find_exec(m, id), *x = *at;

    if (!x)
        return;
    *at = x->next;
    if (x->pidfd >= 0)
        close(x->pidfd);
    free(x->id);
    free(x);
}

/* ---- requests ---- */

uint32_t monitor_expect(monitor *m, start_ready *done, monitor_start_done *started, void *arg)
{
    pending *p = new0(pending);

    if (++m->last_request == 0)
        m->last_request = 1; /* 0 asks for no answer */
    *p = (pending){m->pending, m->last_request, done, started, NULL, arg};
    m->pending = p;
    return p->request;
}

static pending *take_pending(monitor *m, uint32_t request)
{
    pending **at = &m->pending, *p;

    while (*at && (*at)->request != request)
        at = &(*at)->next;
    p = *at;
    if (p)
        *at = p->next;
    return p;
}

static void pending_free(pending *p)
{
    free(p->exec_id);
    free(p);
}

static err *gone(void)
{
    return err_new(ERR_UNAVAILABLE, "the container's monitor is gone");
}

static void fail_pending(void *arg)
{
    monitor *m = arg;

    for (pending *p; !m->freed && (p = m->pending);) {
        m->pending = p->next;
        if (p->started)
            p->started(p->arg, gone(), NULL);
        else
            p->done(p->arg, gone());
        pending_free(p);
    }
}

static void send_request(monitor *m, const buf *b, int fd)
{
    if (m->link.fd >= 0)
        wire_link_send(&m->link, b, fd);
    else
        loop_defer(fail_pending, m); /* m lives at least as long: its own free is deferred later */
}

void monitor_hello(monitor *m)
{
    auto_buf b = {0};

    wire_begin(&b, WIRE_HELLO, 0);
    wire_put_int(&b, WIRE_VERSION);
    wire_link_send(&m->link, &b, -1);
}

static void send_ack(monitor *m, const char *session)
{
    auto_buf b = {0};

    wire_begin(&b, WIRE_ACK, 0);
    wire_put_str(&b, session);
    wire_link_send(&m->link, &b, -1);
}

/* ---- the lease ---- */

static void drop_lease(monitor *m)
{
    watch_stop(m->lease_watch);
    timer_stop(m->lease_timer);
    m->lease_watch = NULL;
    m->lease_timer = NULL;
    if (m->lease >= 0)
        close(m->lease);
    m->lease = -1;
}

/* ---- what the monitor says ---- */

static err *reply_error(const monitor *m, enum wire_status status, const char *text,
                        const pending *p)
{
    if (status == WIRE_OK)
        return NULL;
    if (status == WIRE_NO_SESSION)
        return err_new(ERR_NOT_FOUND, "%s", text);
    if (status == WIRE_CONFLICT)
        return err_new(ERR_CONFLICT, "%s", text);
    if (p->started)
        return runtime_words_error(text, str_or(m->runtime, "runtime"), p->exec_id != NULL);
    return err_new(ERR_SYSTEM, "%s", text);
}

static void took_start(monitor *m, const pending *p, const monitor_started *now, int *fd)
{
    if (p->exec_id) {
        add_exec(m, p->exec_id, now->pid, take_fd(fd));
        return;
    }
    m->running = true;
    m->init_pid = now->pid;
    m->started_ns = now->started_ns;
    if (m->init_pidfd < 0)
        m->init_pidfd = take_fd(fd);
}

static void on_reply(monitor *m, wire_in *in, int *fd)
{
    pending *p = take_pending(m, in->request);
    enum wire_status status = (enum wire_status)wire_get_int(in);
    const char *text = wire_get_str(in);
    monitor_started now = {.pid = (pid_t)wire_get_int(in)};
    err *e;

    now.started_ns = wire_get_int(in);
    if (!p)
        return;
    e = in->bad ? err_new(ERR_SYSTEM, "malformed answer of the monitor")
                : reply_error(m, status, text, p);
    if (p->started) {
        if (!p->exec_id)
            drop_lease(m);
        if (!e)
            took_start(m, p, &now, fd);
        p->started(p->arg, e, e ? NULL : &now);
    } else {
        p->done(p->arg, e);
    }
    pending_free(p);
}

static void on_state(monitor *m, wire_in *in, int *fd)
{
    connect_ready *ready = m->connect_ready;
    monitor_started state;

    (void)wire_get_int(in); /* its version: all there is so far is understood */
    m->monitor_pid = (pid_t)wire_get_int(in);
    state.pid = (pid_t)wire_get_int(in);
    state.started_ns = wire_get_int(in);
    for (int64_t n = wire_get_int(in); n > 0 && !in->bad; n--) {
        const char *id = wire_get_str(in);

        add_exec(m, id, (pid_t)wire_get_int(in), -1);
    }
    if (!ready)
        return;
    m->connect_ready = NULL;
    m->running = state.pid != 0;
    m->init_pid = state.pid;
    m->started_ns = state.started_ns;
    m->init_pidfd = take_fd(fd);
    ready(m->arg, NULL, &state);
}

static void on_session_exit(monitor *m, wire_in *in)
{
    const char *session = wire_get_str(in);
    monitor_exit gone_by = {.code = (int)wire_get_int(in)};
    int64_t flags;

    gone_by.finished_ns = wire_get_int(in);
    flags = wire_get_int(in);
    gone_by.oom = flags & WIRE_EXIT_OOM;
    gone_by.lost = flags & WIRE_EXIT_LOST;
    /* It was queued here, in our memory and on disk: from now on the monitor need not keep it. */
    send_ack(m, session);
    if (*session) {
        remove_exec(m, session);
        m->events->on_exec_exit(m->arg, session, &gone_by);
    } else if (m->running) {
        m->running = false;
        m->events->on_exit(m->arg, &gone_by);
    }
}

static void on_message(monitor *m, wire_in *in, int *fd)
{
    switch (in->type) {
    case WIRE_REPLY:
        on_reply(m, in, fd);
        break;
    case WIRE_STATE:
        on_state(m, in, fd);
        break;
    case WIRE_EXIT:
        on_session_exit(m, in);
        break;
    case WIRE_TROUBLE:
        log_warn("monitor", "container", m->id, "trouble", wire_get_str(in));
        break;
    case WIRE_REPLACED:
        log_warn("another daemon took over this container", "container", m->id);
        m->running = false;
        break;
    default: /* of a younger monitor, which can do without our knowing it */
        break;
    }
}

static void lose_execs(monitor *m, const monitor_exit *lost)
{
    while (!m->freed && m->execs) {
        auto_free char *id = xstrdup(m->execs->id);

        remove_exec(m, id);
        m->events->on_exec_exit(m->arg, id, lost);
    }
}

/* The monitor is dead.  While the container runs that leaves it without anybody. */
static void monitor_died(monitor *m)
{
    monitor_exit lost = {.code = LOST_CODE, .finished_ns = time_now_ns(), .lost = true};
    connect_ready *ready = m->connect_ready;

    drop_lease(m);
    m->connect_ready = NULL;
    if (ready)
        ready(m->arg, gone(), NULL);
    fail_pending(m);
    lose_execs(m, &lost);
    if (m->freed || !m->running)
        return;
    m->running = false;
    log_error("monitor lost", "container", m->id, "monitor", m->monitor_pid);
    m->events->on_exit(m->arg, &lost);
}

static void on_lease_end(void *arg, int events)
{
    (void)events;
    monitor_died(arg);
}

static void on_lease_late(void *arg)
{
    monitor_died(arg);
}

/* The connection ended.  A monitor that was killed while the runtime worked is told of when the
 * runtime is done too, so that what it made can be deleted as a whole. */
static void on_link_end(monitor *m)
{
    wire_link_close(&m->link);
    if (m->spawn_ready)
        return; /* the child's end tells why */
    if (m->lease < 0) {
        monitor_died(m);
        return;
    }
    m->lease_watch = watch_start("runtime lease", m->lease, WATCH_READ, on_lease_end, m);
    m->lease_timer = timer_start("runtime lease", LEASE_MS, on_lease_late, m);
}

static void on_link(void *arg, int events)
{
    monitor *m = arg;

    if (events & WATCH_WRITE)
        wire_link_writable(&m->link);
    for (int i = 0; i < MESSAGES_PER_TURN && !m->freed; i++) {
        auto_free char *text = NULL;
        auto_close int fd = -1;
        size_t n = 0;
        int got = wire_link_receive(&m->link, &text, &n, &fd);
        wire_in in;

        if (got == 0)
            return;
        if (got < 0) {
            on_link_end(m);
            return;
        }
        in = wire_open(text, n);
        on_message(m, &in, &fd);
    }
}

/* ---- public ---- */

monitor *monitor_new(const char *id, const monitor_events *ev, void *arg)
{
    monitor *m = new0(monitor);

    m->id = xstrdup(id);
    m->events = ev;
    m->arg = arg;
    m->link.fd = -1;
    m->init_pidfd = -1;
    m->lease = -1;
    return m;
}

void monitor_open_link(monitor *m, int fd)
{
    wire_link_open(&m->link, fd, on_link, m);
}

void monitor_run(monitor *m, monitor_start_done *done, void *arg)
{
    auto_buf b = {0};
    int ends[2] = {-1, -1};

    wire_begin(&b, WIRE_RUN, monitor_expect(m, NULL, done, arg));
    if (m->link.fd >= 0 && pipe2(ends, O_CLOEXEC) == 0)
        m->lease = ends[0];
    send_request(m, &b, ends[1]);
    if (ends[1] >= 0)
        close(ends[1]);
}

pid_t monitor_pid(const monitor *m)
{
    return m->monitor_pid;
}

int monitor_init_pidfd(const monitor *m)
{
    return m->init_pidfd;
}

static void free_now(void *arg)
{
    monitor *m = arg;

    while (m->execs)
        remove_exec(m, m->execs->id);
    for (pending *p; (p = m->pending);) {
        m->pending = p->next;
        pending_free(p);
    }
    if (m->init_pidfd >= 0)
        close(m->init_pidfd);
    free(m->runtime);
    free(m->id);
    free(m);
}

void monitor_free(monitor *m)
{
    if (!m || m->freed)
        return;
    m->freed = true;
    if (m->spawned)
        m->spawned->m = NULL;
    wire_link_close(&m->link);
    drop_lease(m);
    loop_defer(free_now, m);
}

void monitor_abandon(monitor *m)
{
    if (!m)
        return;
    fail_pending(m);
    monitor_free(m);
}

void monitor_exec_prepare(monitor *m, const monitor_exec_spec *spec,
                          void (*ready)(void *arg, err *e), void *arg)
{
    auto_buf b = {0};
    unsigned flags = (spec->tty ? WIRE_TTY : 0) | (spec->open_stdin ? WIRE_OPEN_STDIN : 0) |
                     (spec->want_stdout ? WIRE_WANT_STDOUT : 0) |
                     (spec->want_stderr ? WIRE_WANT_STDERR : 0);

    wire_begin(&b, WIRE_EXEC_PREPARE, monitor_expect(m, ready, NULL, arg));
    wire_put_str(&b, spec->exec_id);
    wire_put_str(&b, spec->process_path);
    wire_put_int(&b, flags);
    wire_put_int(&b, spec->rows);
    wire_put_int(&b, spec->cols);
    send_request(m, &b, -1);
}

void monitor_exec_run(monitor *m, const char *exec_id, monitor_start_done *done, void *arg)
{
    auto_buf b = {0};

    wire_begin(&b, WIRE_EXEC_RUN, monitor_expect(m, NULL, done, arg));
    m->pending->exec_id = xstrdup(exec_id);
    wire_put_str(&b, exec_id);
    send_request(m, &b, -1);
}

void monitor_exec_forget(monitor *m, const char *exec_id)
{
    if (m->link.fd >= 0)
        send_ack(m, exec_id);
}

void monitor_each_exec(const monitor *m, void (*fn)(void *arg, const char *exec_id, pid_t pid),
                       void *arg)
{
    for (const running_exec *x = m->execs; x; x = x->next)
        fn(arg, x->id, x->pid);
}

int monitor_exec_pidfd(const monitor *m, const char *exec_id)
{
    const running_exec *x = m->execs;

    while (x && !str_eq(x->id, exec_id))
        x = x->next;
    return x ? x->pidfd : -1;
}

void monitor_resize(monitor *m, const char *session, unsigned short rows, unsigned short cols,
                    void (*done)(void *arg, err *e), void *arg)
{
    auto_buf b = {0};

    wire_begin(&b, WIRE_RESIZE, monitor_expect(m, done, NULL, arg));
    wire_put_str(&b, session);
    wire_put_int(&b, rows);
    wire_put_int(&b, cols);
    send_request(m, &b, -1);
}
