/* supervise.c - the container's init, its execs, and their ends.
 *
 * The monitor is the child-subreaper: whatever the runtime leaves behind becomes its child.  While
 * a runtime works, only known children are reaped, so that a process that ended before its pid was
 * read is still there to be asked (cgroup, pidfd).  One thread. */
#include "supervise.h"
#include "control.h"
#include "exit_record.h"
#include "oom.h"
#include "runtime_call.h"
#include "trim.h"
#include <berth/mem.h>
#include <berth/timefmt.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOST_CODE = 137 };

static struct {
    char *id, *run_dir, *exit_path, *bundle, *runtime;
    strv args;
    bool hide_unified;
    int run_dir_fd, oom_fd;
    int64_t oom_before;
    session *sessions; /* the init first */
    logfile *log;
    bool failed;       /* the init did not start */
    bool over;         /* the init's end was dealt with and execs had their time */
    bool disk_trouble; /* of the log, told to the daemon */
    bool record_owed;  /* the exit record could not be written yet */
    int record_tries;
    source signals;
    deadline sweep, idle, linger, strays, retry;
} sv = {.run_dir_fd = -1, .oom_fd = -1, .signals = {.fd = -1}};

enum { RECORD_RETRY_MS = 500, RECORD_TRIES = 10 };

session *supervise_sessions(void)
{
    return sv.sessions;
}

session *supervise_find(const char *id)
{
    session *s = sv.sessions;

    while (s && strcmp(s->id, id) != 0)
        s = s->next;
    return s;
}

bool supervise_is_starting(void)
{
    return sv.sessions && sv.sessions->state == SESSION_STARTING;
}

/* ---- the end ---- */

static void quit(void)
{
    if (sv.run_dir_fd >= 0) {
        control_close(sv.run_dir_fd);
        (void)unlinkat(sv.run_dir_fd, WIRE_PID_NAME, 0);
    }
    if (sv.exit_path && !sv.record_owed)
        exit_record_cancel(sv.exit_path);
    events_stop();
}

static bool has_clients(void)
{
    for (const session *s = sv.sessions; s; s = s->next) {
        if (s->clients)
            return true;
    }
    return false;
}

/* Is there anything left to be done here? */
static bool is_finished(void)
{
    const session *init = sv.sessions;

    if (!init || init->state == SESSION_PREPARED)
        return !control_is_connected();
    if (sv.failed)
        return !control_has_unsent();
    if (init->state != SESSION_ENDED || !sv.over || sv.record_owed || has_clients())
        return false;
    return init->acked || !control_is_connected();
}

/* An exec that is over and known, or that nobody knows of. */
static bool is_forgettable(const session *s)
{
    if (session_is_init(s) || s->clients)
        return false;
    if (s->state == SESSION_PREPARED)
        return !control_is_connected();
    return s->state == SESSION_ENDED && s->acked;
}

static void on_sweep(void *owner)
{
    (void)owner;
    for (session **at = &sv.sessions; *at;) {
        session *s = *at;

        if (is_forgettable(s)) {
            *at = s->next;
            session_free(s);
        } else {
            at = &s->next;
        }
    }
    if (is_finished())
        quit();
}

void supervise_check(void)
{
    if (!sv.sweep.armed)
        deadline_set(&sv.sweep, 0, on_sweep, NULL);
}

void supervise_daemon_gone(void)
{
    for (session *s = sv.sessions; s; s = s->next)
        s->run_request = 0;
    supervise_check();
}

void supervise_ack(session *s)
{
    if (s->state == SESSION_PREPARED && !session_is_init(s)) {
        session_abandon(s); /* it was prepared and is not wanted */
        s->acked = true;
    }
    if (s->announced)
        s->acked = true;
    supervise_check();
}

static void on_linger_over(void *owner)
{
    (void)owner;
    quit();
}

static void end_exec_as_lost(session *s)
{
    s->code = LOST_CODE;
    s->exit_flags = WIRE_EXIT_LOST;
    s->finished_ns = time_now_ns();
    s->is_final = true;
    session_exited(s);
    supervise_announce(s);
}

/* The container is over; an exec that outlived it (shared pid namespace) is given up. */
static void on_strays(void *owner)
{
    (void)owner;
    for (session *s = sv.sessions; s; s = s->next) {
        if (!session_is_init(s) && s->state == SESSION_RUNNING)
            end_exec_as_lost(s);
    }
    sv.over = true;
    supervise_check();
}

static bool has_running_exec(void)
{
    for (const session *s = sv.sessions; s; s = s->next) {
        if (!session_is_init(s) && s->state >= SESSION_STARTING && s->state < SESSION_ENDED)
            return true;
    }
    return false;
}

static void settle_end(void)
{
    if (!sv.sessions || sv.sessions->state != SESSION_ENDED || sv.failed || sv.over)
        return;
    if (has_running_exec()) {
        if (!sv.strays.armed)
            deadline_set(&sv.strays, SESSION_DRAIN_MS, on_strays, NULL);
        return;
    }
    sv.over = true;
    deadline_clear(&sv.strays);
}

void supervise_announce(session *s)
{
    if (s->announced || (session_is_init(s) && sv.record_owed))
        return;
    s->announced = true;
    control_exit(s);
    if (session_is_init(s) && !sv.linger.armed)
        deadline_set(&sv.linger, SUPERVISE_LINGER_MS, on_linger_over, NULL);
}

void supervise_drained(session *s)
{
    supervise_announce(s);
    settle_end();
    supervise_check();
}

/* Written before it is told.  When even the reserved room cannot be written (an I/O error, the
 * directory gone), the daemon is kept waiting for what would be forgotten, but not for ever: a stop
 * of this container must come to an end. */
static void record_exit(void *owner)
{
    session *init = sv.sessions;
    err *e = exit_record_write(sv.exit_path, init->code, init->finished_ns,
                               init->exit_flags & WIRE_EXIT_OOM);

    (void)owner;
    sv.record_owed = e && ++sv.record_tries < RECORD_TRIES;
    if (e)
        control_trouble(err_message(e));
    err_free(e);
    if (sv.record_owed) {
        deadline_set(&sv.retry, RECORD_RETRY_MS, record_exit, NULL);
    } else if (init->state == SESSION_ENDED || init->is_final) {
        supervise_announce(init);
        supervise_check();
    }
}

static void reaped(session *s, int wait_status)
{
    s->code = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
    s->finished_ns = time_now_ns();
    s->pid = 0;
    if (session_is_init(s)) {
        if (oom_kills(sv.oom_fd) > sv.oom_before)
            s->exit_flags |= WIRE_EXIT_OOM;
        record_exit(NULL);
    }
    session_exited(s);
}

/* ---- memory and disk ---- */

static void tell_of_disk(void)
{
    bool trouble = sv.log && logfile_errno(sv.log) != 0;
    auto_free char *text = NULL;

    if (trouble == sv.disk_trouble)
        return;
    sv.disk_trouble = trouble;
    text = trouble ? xasprintf("log records are being lost: %s", strerror(logfile_errno(sv.log)))
                   : xasprintf("%llu log records were lost, writing works again",
                               (unsigned long long)logfile_lost(sv.log));
    control_trouble(text);
}

static void on_idle(void *owner)
{
    (void)owner;
    tell_of_disk();
    chunk_trim();
    if (sv.log)
        logfile_relax(sv.log);
    trim_program();
}

void supervise_active(void)
{
    if (!sv.idle.armed)
        deadline_set(&sv.idle, SUPERVISE_IDLE_MS, on_idle, NULL);
}

/* ---- the beginning ---- */

static void started(session *s, pid_t pid)
{
    s->pid = s->first_pid = pid;
    s->pidfd = pidfd_open(pid, 0);
    s->started_ns = time_now_ns();
    if (session_is_init(s)) {
        sv.oom_fd = oom_open(pid);
        sv.oom_before = oom_kills(sv.oom_fd);
    }
    control_reply(s->run_request, NULL, s);
    session_run(s);
}

static void not_started(session *s, err *e)
{
    s->exit_flags |= WIRE_EXIT_LOST;
    if (session_is_init(s)) {
        sv.failed = true;
        exit_record_cancel(sv.exit_path);
    }
    control_reply(s->run_request, e, NULL);
    s->acked = true;
    session_abandon(s);
}

static void runtime_ended(session *s, int wait_status)
{
    pid_t pid = 0;
    err *e = runtime_end(s, wait_status, &pid);

    supervise_active();
    if (e)
        not_started(s, e);
    else
        started(s, pid);
    s->run_request = 0;
    if (session_is_init(s))
        control_state();
    supervise_check();
}

static err *begin(session *s, uint32_t request)
{
    runtime_spec call = {
        .id = sv.id,
        .bundle = sv.bundle,
        .runtime = sv.runtime,
        .run_dir = sv.run_dir,
        .args = &sv.args,
        .hide_unified = sv.hide_unified,
        .run_dir_fd = sv.run_dir_fd,
    };

    TRY(runtime_begin(s, &call));
    s->run_request = request;
    s->state = SESSION_STARTING;
    return NULL;
}

err *supervise_run(uint32_t request, int *lease)
{
    session *init = sv.sessions;

    if (!init || init->state != SESSION_PREPARED)
        return err_new(ERR_CONFLICT, "the container was already told to run");
    TRY(exit_record_reserve(sv.exit_path));
    init->lease = take_fd(lease);
    return begin(init, request);
}

err *supervise_exec_prepare(const session_opts *opts)
{
    session **last = &sv.sessions;

    if (!sv.sessions || sv.sessions->state != SESSION_RUNNING)
        return err_new(ERR_CONFLICT, "the container is not running");
    if (supervise_find(opts->id))
        return err_new(ERR_CONFLICT, "exec %s exists already", opts->id);
    while (*last)
        last = &(*last)->next;
    return session_new(opts, last);
}

err *supervise_exec_run(session *s, uint32_t request)
{
    if (sv.sessions->state != SESSION_RUNNING)
        return err_new(ERR_CONFLICT, "the container is not running");
    if (session_is_init(s) || s->state != SESSION_PREPARED)
        return err_new(ERR_CONFLICT, "exec %s was already told to run", s->id);
    return begin(s, request);
}

/* ---- children ---- */

static bool is_runtime_at_work(void)
{
    for (const session *s = sv.sessions; s; s = s->next) {
        if (s->runtime_pid)
            return true;
    }
    return false;
}

static void reap_known(session *s)
{
    int status;

    if (s->runtime_pid && waitpid(s->runtime_pid, &status, WNOHANG) == s->runtime_pid)
        runtime_ended(s, status);
    if (s->pid && waitpid(s->pid, &status, WNOHANG) == s->pid)
        reaped(s, status);
}

static session *find_by_pid(pid_t pid)
{
    session *s = sv.sessions;

    while (s && s->pid != pid)
        s = s->next;
    return s;
}

static void reap_others(void)
{
    int status;

    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        session *s = find_by_pid(pid);

        if (s)
            reaped(s, status);
        else if (sv.log && logfile_reaped(sv.log, pid))
            session_resume(sv.sessions);
    }
}

static void on_signal(void *owner, uint32_t events)
{
    struct signalfd_siginfo info;

    (void)owner;
    (void)events;
    while (read(sv.signals.fd, &info, sizeof info) > 0)
        ;
    for (session *s = sv.sessions; s; s = s->next)
        reap_known(s);
    if (!is_runtime_at_work())
        reap_others();
}

/* ---- set-up ---- */

err *supervise_init(void)
{
    static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGXFSZ};
    sigset_t child;
    int fd;

    for (size_t i = 0; i < COUNT(ignored); i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || sigprocmask(SIG_BLOCK, &child, NULL) < 0)
        return err_errno(errno, "become the reaper");
    fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0 || !events_init())
        return err_errno(errno, "set up the event loop");
    source_add(&sv.signals, fd, EPOLLIN, on_signal, NULL);
    return NULL;
}

static err *write_pid_file(void)
{
    auto_close int fd =
        openat(sv.run_dir_fd, WIRE_PID_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    auto_free char *text = xasprintf("%d\n", (int)getpid());

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return err_errno(errno, "write %s/" WIRE_PID_NAME, sv.run_dir);
    return NULL;
}

static void copy_spec(const supervise_spec *spec)
{
    sv.id = xstrdup(spec->id);
    sv.run_dir = xstrdup(spec->run_dir);
    sv.exit_path = xstrdup(spec->exit_path);
    sv.bundle = xstrdup(spec->bundle);
    sv.runtime = xstrdup(spec->runtime);
    sv.hide_unified = spec->flags & WIRE_HIDE_UNIFIED;
    for (size_t i = 0; i < spec->args.n; i++)
        strv_push(&sv.args, spec->args.v[i]);
}

err *supervise_begin(const supervise_spec *spec)
{
    session_opts init = {.id = "", .flags = spec->flags, .rows = spec->rows, .cols = spec->cols};

    if (sv.sessions)
        return err_new(ERR_CONFLICT, "the container is known already");
    copy_spec(spec);
    sv.run_dir_fd = open(sv.run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (sv.run_dir_fd < 0)
        return err_errno(errno, "open %s", sv.run_dir);
    if (str_eq(spec->log_driver, "json-file"))
        TRY(logfile_open(&spec->log, &sv.log));
    init.log = sv.log;
    TRY(session_new(&init, &sv.sessions));
    TRY(write_pid_file());
    return control_listen(sv.run_dir_fd);
}
