/* monitor_start.c - how the daemon comes to a monitor: it spawns one, or finds one that lives.
 *
 * A spawned monitor is born with its connection (a socketpair), so there is no name to wait for and
 * nothing to connect to; its name in the run directory is for the daemon after this one.  Loop
 * thread only. */
#include "monitor_private.h"
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* What to tell ready, from the loop. */
typedef struct later {
    monitor *m;
    err *e;
} later;

static void tell_failure(void *arg)
{
    later *l = arg;
    monitor *m = l->m;
    err *e = l->e;
    start_ready *spawned_ready = m->spawn_ready;
    connect_ready *connected_ready = m->connect_ready;

    free(l);
    m->spawn_ready = NULL;
    m->connect_ready = NULL;
    if (!m->freed && spawned_ready)
        spawned_ready(m->arg, e);
    else if (!m->freed && connected_ready)
        connected_ready(m->arg, e, NULL);
    else
        err_free(e);
}

static void fail_later(monitor *m, err *e)
{
    later *l = new0(later);

    *l = (later){m, e};
    loop_defer(tell_failure, l);
}

static void on_monitor_end(void *arg, err *e, const child_exit *exit)
{
    spawned *s = arg;
    monitor *m = s->m;
    start_ready *ready = m ? m->spawn_ready : NULL;

    free(s);
    if (m) {
        m->spawned = NULL;
        m->spawn_ready = NULL;
    }
    if (!ready) {
        err_free(e); /* its connection has told the rest */
        return;
    }
    if (!e)
        e = err_new(ERR_SYSTEM, "exited with status %d", exit->status);
    ready(m->arg, err_wrap(e, "berth-monitor"));
}

static void on_spec_taken(void *arg, err *e)
{
    monitor *m = arg;
    start_ready *ready = m->spawn_ready;

    m->spawn_ready = NULL;
    ready(m->arg, e);
}

static unsigned spec_flags(const monitor_spec *spec)
{
    return (spec->tty ? WIRE_TTY : 0) | (spec->open_stdin ? WIRE_OPEN_STDIN : 0) |
           (spec->stdin_once ? WIRE_STDIN_ONCE : 0) | (spec->hide_unified ? WIRE_HIDE_UNIFIED : 0) |
           (spec->log.compress ? WIRE_COMPRESS : 0);
}

static void build_spec(monitor *m, const monitor_spec *spec, buf *b)
{
    int64_t n = 0;

    wire_begin(b, WIRE_SPEC, monitor_expect(m, on_spec_taken, NULL, m));
    wire_put_str(b, spec->id);
    wire_put_str(b, spec->run_dir);
    wire_put_str(b, spec->exit_path);
    wire_put_str(b, spec->bundle);
    wire_put_str(b, spec->runtime);
    wire_put_int(b, spec_flags(spec));
    wire_put_int(b, spec->rows);
    wire_put_int(b, spec->cols);
    wire_put_str(b, spec->log.driver);
    wire_put_str(b, spec->log.path);
    wire_put_int(b, spec->log.max_size);
    wire_put_int(b, spec->log.max_files);
    wire_put_str(b, spec->log.attrs);
    while (spec->runtime_args && spec->runtime_args[n])
        n++;
    wire_put_int(b, n);
    for (int64_t i = 0; i < n; i++)
        wire_put_str(b, spec->runtime_args[i]);
}

static err *spawn(monitor *m, const monitor_spec *spec, int theirs)
{
    char *argv[] = {(char *)spec->program, (char *)"--supervise", (char *)spec->id, NULL};
    child_opts opts = {.name = "berth-monitor",
                       .argv = argv,
                       .extra_fds = &theirs,
                       .n_extra_fds = 1,
                       .detached = true};
    spawned *s = new0(spawned);
    child *c = NULL;
    err *e;

    s->m = m;
    e = child_spawn(&opts, on_monitor_end, s, &c);
    if (e) {
        free(s);
        return e;
    }
    m->spawned = s;
    m->monitor_pid = child_pid(c);
    return NULL;
}

static err *begin_spawn(monitor *m, const monitor_spec *spec)
{
    auto_close int ours = -1, theirs = -1;
    auto_buf message = {0};
    int pair[2], size = 2 * WIRE_CONTROL_MAX;

    build_spec(m, spec, &message);
    if (message.len > WIRE_CONTROL_MAX)
        return err_new(ERR_INVALID, "the container's log attributes are too long");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return err_errno(errno, "socketpair");
    ours = pair[0];
    theirs = pair[1];
    (void)setsockopt(ours, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    TRY(spawn(m, spec, theirs));
    monitor_open_link(m, take_fd(&ours));
    monitor_hello(m);
    wire_link_send(&m->link, &message, -1);
    return NULL;
}

monitor *monitor_spawn(const monitor_spec *spec, const monitor_events *ev, void *arg,
                       void (*ready)(void *arg, err *e))
{
    monitor *m = monitor_new(spec->id, ev, arg);
    err *e;

    m->spawn_ready = ready;
    m->runtime = xstrdup(spec->runtime);
    e = begin_spawn(m, spec);
    if (e)
        fail_later(m, e);
    return m;
}

/* The directory is named by descriptor: its path may be longer than a socket address. */
static err *open_socket(const char *run_dir, int *ret_fd)
{
    auto_close int dir = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_free char *path = xasprintf("/proc/self/fd/%d/" WIRE_SOCKET_NAME, dir);

    if (dir < 0 || fd < 0)
        return err_errno(errno, "monitor in %s", run_dir);
    memcpy(address.sun_path, path, strlen(path));
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return err_errno(errno, "monitor in %s", run_dir);
    *ret_fd = take_fd(&fd);
    return NULL;
}

monitor *monitor_connect(const char *run_dir, const char *id, const monitor_events *ev, void *arg,
                         void (*ready)(void *arg, err *e, const monitor_started *state))
{
    monitor *m = monitor_new(id, ev, arg);
    int fd = -1;
    err *e = open_socket(run_dir, &fd);

    m->connect_ready = ready;
    if (e) {
        fail_later(m, e);
        return m;
    }
    monitor_open_link(m, fd);
    monitor_hello(m);
    return m;
}
