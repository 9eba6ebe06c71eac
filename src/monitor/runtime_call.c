/* runtime_call.c - one call of the OCI runtime.
 *
 * The runtime gets the process's own pipes as its stdio, because the process inherits them from it;
 * so its words for us come through --log, and what it may have said on stderr is never taken for
 * output of the container.  A terminal comes back through the console socket.  One thread; between
 * fork and exec in the child. */
#include "runtime_call.h"
#include <berth/mem.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEPT_TEXT = 4096, RUNTIME_LIMIT_MS = 10 * 1000 };

#define UNIFIED "/sys/fs/cgroup/unified"

/* Only /sys/fs/cgroup stops propagating: what the runtime mounts elsewhere still reaches the host,
 * as an rshared bind must. */
err *runtime_hide_unified(void)
{
    if (unshare(CLONE_NEWNS) < 0)
        return err_errno(errno, "mount namespace");
    if (mount(NULL, "/sys/fs/cgroup", NULL, MS_PRIVATE, NULL) < 0)
        return err_errno(errno, "make /sys/fs/cgroup private");
    if (umount2(UNIFIED, MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
        return err_errno(errno, "unmount " UNIFIED);
    return NULL;
}

static void child_says(const char *text)
{
    ssize_t ignored = write(2, text, strlen(text));

    (void)ignored; /* the exit status tells the rest */
}

static int null_or(int fd, int flags)
{
    return fd >= 0 ? fd : open("/dev/null", flags | O_CLOEXEC);
}

/* The lease becomes descriptor 3: as long as the runtime lives, so does it.  Were this monitor
 * killed now, the daemon can tell when the runtime is done and what it made can be deleted;
 * runtimes close it before they execute the container's process. */
static bool keep_descriptors(const session *s)
{
    if (dup2(null_or(s->theirs[0], O_RDONLY), 0) < 0 ||
        dup2(null_or(s->theirs[1], O_WRONLY), 1) < 0 || dup2(s->theirs[2], 2) < 0)
        return false;
    if (s->lease < 0)
        return close_range(3, ~0U, 0) == 0;
    if (s->lease == 3)
        return fcntl(3, F_SETFD, 0) == 0 && close_range(4, ~0U, 0) == 0;
    return dup2(s->lease, 3) == 3 && close_range(4, ~0U, 0) == 0;
}

static _Noreturn void child_exec(const session *s, const runtime_spec *spec, char **argv)
{
    sigset_t none;
    err *e = NULL;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int signo = 1; signo < 32; signo++)
        signal(signo, SIG_DFL);
    if (spec->hide_unified)
        e = runtime_hide_unified();
    if (!keep_descriptors(s))
        _exit(126);
    if (!e) {
        execv(spec->runtime, argv);
        e = err_errno(errno, "execute %s", spec->runtime);
    }
    child_says(err_message(e));
    _exit(127);
}

/* The terminal arrives: the runtime connects and sends its master side. */
static void accept_terminal(session *s)
{
    auto_close int conn = accept4(s->console.fd, NULL, NULL, SOCK_CLOEXEC);
    char byte[256];
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {byte, sizeof byte};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    struct cmsghdr *c;
    int master;

    if (conn < 0 || recvmsg(conn, &message, MSG_CMSG_CLOEXEC) <= 0)
        return;
    c = CMSG_FIRSTHDR(&message);
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || s->out[0].fd >= 0)
        return;
    memcpy(&master, CMSG_DATA(c), sizeof master);
    session_set_terminal(s, master);
}

static void on_console(void *owner, uint32_t events)
{
    (void)events;
    accept_terminal(owner);
}

/* A socket address holds 107 bytes, the run directory's name may be longer: name it by descriptor,
 * of this very process, since the runtime is another one. */
static err *listen_console(session *s, const runtime_spec *spec, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    s->console_path = xasprintf("/proc/%d/fd/%d/%s", (int)getpid(), spec->run_dir_fd, name);
    if (fd < 0)
        return err_errno(errno, "console socket");
    if (strlen(s->console_path) >= sizeof address.sun_path)
        return err_new(ERR_SYSTEM, "console socket: name too long");
    memcpy(address.sun_path, s->console_path, strlen(s->console_path));
    (void)unlink(s->console_path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0)
        return err_errno(errno, "console socket");
    source_add(&s->console, take_fd(&fd), EPOLLIN, on_console, s);
    return NULL;
}

static void build_argv(const session *s, const runtime_spec *spec, strv *argv)
{
    strv_push(argv, spec->runtime);
    for (size_t i = 0; i < spec->args->n; i++)
        strv_push(argv, spec->args->v[i]);
    strv_add(argv, "--log", s->log_path, "--log-format", "json", NULL);
    if (session_is_init(s))
        strv_add(argv, "run", "--bundle", spec->bundle, NULL);
    else
        strv_add(argv, "exec", "--process", s->process, NULL);
    strv_add(argv, "--detach", "--pid-file", s->pid_path, NULL);
    if (s->flags & WIRE_TTY)
        strv_add(argv, "--console-socket", s->console_path, NULL);
    strv_push(argv, spec->id);
}

/* A runtime that hangs, or that waits for somebody to read what it shouts, is ended: a start fails,
 * it does not wait for ever. */
static void on_overdue(void *owner)
{
    session *s = owner;

    s->runtime_overdue = true;
    if (s->runtime_pid > 0)
        kill(s->runtime_pid, SIGKILL);
}

err *runtime_begin(session *s, const runtime_spec *spec)
{
    static unsigned calls;
    auto_strv argv = {0};
    auto_free char *console_name = xasprintf("console%u", ++calls);

    s->pid_path = xasprintf("%s/pid%u", spec->run_dir, calls);
    s->log_path = xasprintf("%s/runtime%u.log", spec->run_dir, calls);
    if (s->flags & WIRE_TTY)
        TRY(listen_console(s, spec, console_name));
    build_argv(s, spec, &argv);
    s->runtime_pid = fork();
    if (s->runtime_pid == 0)
        child_exec(s, spec, argv.v);
    if (s->runtime_pid < 0) {
        s->runtime_pid = 0;
        return err_errno(errno, "fork");
    }
    session_hand_over(s);
    deadline_set(&s->runtime_limit, RUNTIME_LIMIT_MS, on_overdue, s);
    return NULL;
}

/* The end of what fd holds, NUL-terminated; "" when there is nothing. */
static void read_tail(int fd, char out[KEPT_TEXT + 1])
{
    off_t size = lseek(fd, 0, SEEK_END);
    ssize_t n;

    if (size > KEPT_TEXT)
        (void)lseek(fd, size - KEPT_TEXT, SEEK_SET);
    else if (size >= 0)
        (void)lseek(fd, 0, SEEK_SET);
    n = read(fd, out, KEPT_TEXT);
    out[n > 0 ? n : 0] = '\0';
}

/* What the runtime said: its log (JSON lines, the daemon reads them), else its stderr, else its
 * status. */
static err *runtime_words(const session *s, int wait_status)
{
    auto_close int log = open(s->log_path, O_RDONLY | O_CLOEXEC);
    char text[KEPT_TEXT + 1] = "";

    if (s->runtime_overdue)
        return err_new(ERR_SYSTEM, "the runtime did not finish within %d s",
                       RUNTIME_LIMIT_MS / 1000);
    if (log >= 0)
        read_tail(log, text);
    if (!*text && s->out[1].fd >= 0)
        read_tail(s->out[1].fd, text);
    if (*text)
        return err_new(ERR_SYSTEM, "%s", text);
    if (WIFSIGNALED(wait_status))
        return err_new(ERR_SYSTEM, "the runtime was killed by signal %d", WTERMSIG(wait_status));
    return err_new(ERR_SYSTEM, "the runtime exited with status %d", WEXITSTATUS(wait_status));
}

static err *read_pid(const char *path, pid_t *ret_pid)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[32];
    ssize_t n;
    int64_t pid;

    if (fd < 0)
        return err_errno(errno, "the runtime's pid file");
    n = read(fd, text, sizeof text - 1);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    text[n > 0 ? n : 0] = '\0';
    if (!str_to_int64(text, &pid) || pid <= 0)
        return err_new(ERR_SYSTEM, "the runtime's pid file says \"%s\"", text);
    *ret_pid = (pid_t)pid;
    return NULL;
}

static void remove_files(session *s)
{
    (void)unlink(s->pid_path);
    (void)unlink(s->log_path);
    if (s->console_path)
        (void)unlink(s->console_path);
    source_close(&s->console);
}

err *runtime_end(session *s, int wait_status, pid_t *ret_pid)
{
    err *e;

    s->runtime_pid = 0;
    deadline_clear(&s->runtime_limit);
    if (s->console.fd >= 0 && s->out[0].fd < 0)
        accept_terminal(s); /* it may be waiting, not yet seen */
    e = wait_status ? runtime_words(s, wait_status) : read_pid(s->pid_path, ret_pid);
    if (!e && (s->flags & WIRE_TTY) && s->out[0].fd < 0)
        e = err_new(ERR_SYSTEM, "the runtime sent no terminal");
    remove_files(s);
    return e;
}
