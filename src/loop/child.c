/* child.c - programs run by absolute path.
 *
 * posix_spawn shares the memory until the exec instead of copying page tables, closes every
 * descriptor that was not named, and never falls back to a shell as execvp does; a pidfd tells the
 * exit of exactly this child.  The pid is reaped here alone, so it cannot be another process when
 * child_kill uses it.  Loop thread only. */
#include <berth/buf.h>
#include <berth/child.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/timer.h>
#include <berth/watch.h>
#include "uvloop.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utlist.h>

enum {
    KEPT_STDERR = 4096,
    STDERR_GRACE_MS = 200,
    MAX_EXTRA_FDS = 64,
};

static char *const default_env[] = {
    (char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};

struct child {
    char *name;
    child_done *done;
    void *arg;
    int pid, pidfd;
    int stderr_fd; /* our end, -1 when it ended or the caller has it */
    watch *exit_watch, *stderr_watch;
    timer *timer; /* first the timeout, after the exit the grace of stderr */
    bool exited, timed_out;
    int wait_status;
    buf tail; /* the end of what stderr said */
    child *prev, *next;
};

static child *children; /* those that run */

/* Everything posix_spawn is told.  Sources are lifted above the range they are copied into, so that
 * no copy overwrites the source of a later one. */
typedef struct plan {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    int above; /* the first number that is not the child's */
    int lifted[3 + MAX_EXTRA_FDS];
    size_t n_lifted;
} plan;

static void plan_init(plan *p, size_t n_extra)
{
    posix_spawn_file_actions_init(&p->actions);
    posix_spawnattr_init(&p->attr);
    p->above = 3 + (int)n_extra;
    p->n_lifted = 0;
}

static void plan_done(plan *p)
{
    for (size_t i = 0; i < p->n_lifted; i++)
        close(p->lifted[i]);
    posix_spawnattr_destroy(&p->attr);
    posix_spawn_file_actions_destroy(&p->actions);
}

static err *plan_fd(plan *p, int fd, int as)
{
    int rc;

    if (fd < p->above) {
        fd = fcntl(fd, F_DUPFD_CLOEXEC, p->above);
        if (fd < 0)
            return err_errno(errno, "descriptor %d of a child", as);
        p->lifted[p->n_lifted++] = fd;
    }
    rc = posix_spawn_file_actions_adddup2(&p->actions, fd, as);
    return rc ? err_errno(rc, "descriptor %d of a child", as) : NULL;
}

static err *plan_fd_or_null(plan *p, int fd, int as)
{
    int rc;

    if (fd)
        return plan_fd(p, fd, as);
    rc =
        posix_spawn_file_actions_addopen(&p->actions, as, "/dev/null", as ? O_WRONLY : O_RDONLY, 0);
    return rc ? err_errno(rc, "/dev/null for a child") : NULL;
}

static err *plan_fds(plan *p, const child_opts *o, int stderr_fd)
{
    int rc;

    TRY(plan_fd_or_null(p, o->stdin_fd, 0));
    TRY(plan_fd_or_null(p, o->stdout_fd, 1));
    TRY(plan_fd(p, stderr_fd, 2));
    for (size_t i = 0; i < o->n_extra_fds; i++)
        TRY(plan_fd(p, o->extra_fds[i], 3 + (int)i));
    rc = posix_spawn_file_actions_addclosefrom_np(&p->actions, p->above);
    return rc ? err_errno(rc, "descriptors of a child") : NULL;
}

static err *plan_attributes(plan *p, const child_opts *o)
{
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    sigset_t all, none;
    int rc;

    /* Not sigfillset: it leaves out two signals that libc keeps for itself and posix_spawn would
     * then have the child ignore for ever. */
    memset(&all, 0xff, sizeof(all));
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&p->attr, &all);
    posix_spawnattr_setsigmask(&p->attr, &none);
    if (o->detached)
        flags |= POSIX_SPAWN_SETSID;
    rc = posix_spawnattr_setflags(&p->attr, flags);
    if (!rc)
        rc = posix_spawn_file_actions_addchdir_np(&p->actions, o->cwd ? o->cwd : "/");
    return rc ? err_errno(rc, "attributes of a child") : NULL;
}

/* Start the program; what stderr_fd names becomes its stderr. */
static err *run(const child_opts *o, int stderr_fd, int *ret_pid)
{
    const char *path = o->file ? o->file : o->argv[0];
    __attribute__((cleanup(plan_done))) plan p;
    int rc;

    plan_init(&p, o->n_extra_fds);
    TRY(plan_fds(&p, o, stderr_fd));
    TRY(plan_attributes(&p, o));
    rc = posix_spawn(ret_pid, path, &p.actions, &p.attr, o->argv, o->env ? o->env : default_env);
    return rc ? err_errno(rc, "start %s", path) : NULL;
}

static void child_free(child *c)
{
    DL_DELETE(children, c);
    if (c->pidfd >= 0)
        close(c->pidfd);
    if (c->stderr_fd >= 0)
        close(c->stderr_fd);
    buf_done(&c->tail);
    free(c->name);
    free(c);
}

/* The last line that says something, in place; control characters would garble a log. */
static const char *last_line(buf *tail)
{
    char *line, *end;

    if (!tail->len)
        return "";
    for (size_t i = 0; i < tail->len; i++)
        if (tail->data[i] == '\r' || tail->data[i] == '\0')
            tail->data[i] = ' ';
    end = tail->data + tail->len;
    while (end > tail->data && strchr(" \t\n", end[-1]))
        *--end = '\0';
    line = strrchr(tail->data, '\n');
    line = line ? line + 1 : tail->data;
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    return line;
}

static err *exit_error(const child *c, const child_exit *x)
{
    if (c->timed_out)
        return err_new(ERR_SYSTEM, "%s: timed out", c->name);
    if (x->status == 0)
        return NULL;
    if (*x->last_line)
        return err_new(ERR_SYSTEM, "%s", x->last_line);
    if (x->signal)
        return err_new(ERR_SYSTEM, "%s: killed by signal %d", c->name, x->signal);
    return err_new(ERR_SYSTEM, "%s: exit status %d", c->name, x->status);
}

static void finish(child *c)
{
    int st = c->wait_status;
    child_exit x = {
        .signal = WIFSIGNALED(st) ? WTERMSIG(st) : 0,
        .status = WIFSIGNALED(st) ? 128 + WTERMSIG(st) : WEXITSTATUS(st),
        .last_line = last_line(&c->tail),
    };

    timer_stop(c->timer);
    watch_stop(c->stderr_watch);
    c->done(c->arg, exit_error(c, &x), &x);
    child_free(c);
}

static void tail_add(buf *tail, const char *p, size_t n)
{
    size_t kept = n > KEPT_STDERR ? KEPT_STDERR : n;

    if (tail->len + kept > KEPT_STDERR)
        buf_consume(tail, tail->len + kept - KEPT_STDERR);
    buf_add(tail, p + n - kept, kept);
}

static void on_stderr(void *arg, int events)
{
    child *c = arg;
    ssize_t n = read(c->stderr_fd, loop_read_buffer(), LOOP_READ_BUFFER);

    (void)events;
    if (n > 0) {
        tail_add(&c->tail, loop_read_buffer(), (size_t)n);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    watch_stop(take(c->stderr_watch));
    close(take_fd(&c->stderr_fd));
    if (c->exited)
        finish(c);
}

static void on_timer(void *arg)
{
    child *c = arg;

    if (c->exited) {
        finish(c); /* somebody else still holds its stderr */
        return;
    }
    c->timed_out = true;
    kill(c->pid, SIGKILL);
}

static void grant_grace(child *c)
{
    if (c->timer)
        timer_again(c->timer, STDERR_GRACE_MS);
    else
        c->timer = timer_start("stderr of a child", STDERR_GRACE_MS, on_timer, c);
}

static void on_exit_ready(void *arg, int events)
{
    child *c = arg;
    pid_t pid = waitpid(c->pid, &c->wait_status, WNOHANG);

    (void)events;
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return;
    assert(pid == c->pid); /* nobody else may reap it */
    c->exited = true;
    watch_stop(take(c->exit_watch));
    close(take_fd(&c->pidfd));
    if (c->stderr_watch)
        grant_grace(c);
    else
        finish(c);
}

static void end_at_once(int pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static child *child_new(const child_opts *o, int pid, int pidfd, int stderr_fd)
{
    child *c = new0(child);

    DL_APPEND(children, c);
    c->name = xstrdup(o->name ? o->name : o->argv[0]);
    c->pid = pid;
    c->pidfd = pidfd;
    c->stderr_fd = stderr_fd;
    c->exit_watch = watch_start("exit of a child", pidfd, WATCH_READ, on_exit_ready, c);
    if (stderr_fd >= 0)
        c->stderr_watch = watch_start("stderr of a child", stderr_fd, WATCH_READ, on_stderr, c);
    if (o->timeout_ms)
        c->timer = timer_start("timeout of a child", o->timeout_ms, on_timer, c);
    return c;
}

static err *check_opts(const child_opts *o)
{
    const char *path = o->file ? o->file : o->argv[0];

    if (!path || path[0] != '/')
        return err_new(ERR_INVALID, "program %s is not an absolute path", path ? path : "");
    if (o->n_extra_fds > MAX_EXTRA_FDS)
        return err_new(ERR_INVALID, "%s: more than %d extra descriptors", path, MAX_EXTRA_FDS);
    return NULL;
}

err *child_spawn(const child_opts *opts, child_done *done, void *arg, child **ret_child)
{
    auto_close int ours = -1, theirs = -1, pidfd = -1;
    int ends[2], pid = 0;
    child *c;

    assert(on_loop());
    TRY(check_opts(opts));
    if (!opts->stderr_fd) {
        if (pipe2(ends, O_CLOEXEC) < 0)
            return err_errno(errno, "stderr of %s", opts->argv[0]);
        ours = ends[0];
        theirs = ends[1];
    }
    TRY(run(opts, opts->stderr_fd ? opts->stderr_fd : theirs, &pid));
    pidfd = pidfd_open(pid, 0);
    if (pidfd < 0) {
        int errnum = errno;

        end_at_once(pid);
        return err_errno(errnum, "watch %s", opts->argv[0]);
    }
    c = child_new(opts, pid, take_fd(&pidfd), take_fd(&ours));
    c->done = done;
    c->arg = arg;
    if (ret_child)
        *ret_child = c;
    return NULL;
}

int child_pid(const child *c)
{
    return c->pid;
}

void child_kill(child *c, int signo)
{
    if (!c->exited)
        kill(c->pid, signo);
}

/* Those that outlive the loop, as a monitor does, are let go; whoever waits for them is told so. */
void children_let_go(void)
{
    static const child_exit unknown = {.last_line = ""};
    child *c, *next;

    DL_FOREACH_SAFE (children, c, next) {
        timer_stop(c->timer);
        watch_stop(c->exit_watch);
        watch_stop(c->stderr_watch);
        c->done(c->arg, err_new(ERR_CANCELLED, "%s: still runs", c->name), &unknown);
        child_free(c);
    }
}
