/* archive.c - files of a container, in and out.
 *
 * Of a running container the helper gets its own root, as it is mounted for it.  Of another one the
 * overlay is opened, not yet mounted anywhere, and what is to be mounted there as well; the helper
 * puts them together in a mount namespace of its own, so that nothing is left when it ends however
 * it ends.  That is an operation, so that no start mounts the same beside it.  Loop thread only,
 * except job_*. */
#include "private.h"
#include <berth/archive.h>
#include <berth/archiver.h>
#include <berth/child.h>
#include <berth/container_mounts.h>
#include <berth/flow.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/rootfs.h>
#include <berth/sock.h>
#include <berth/spec.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <linux/mount.h>
#include <unistd.h>

enum { UNSENT_MAX = 1 << 20, STAT_MAX = 32 << 10, FDS_MAX = 1 + 128, SOCKET_BUFFER = 1 << 20 };

struct archiving {
    container *c; /* referenced */
    archive_operation operation;
    char *path, *asked, *user; /* clean; as it was asked for; "archive-N" */
    bool keep_kinds, own;
    archive_events ev;
    void *arg;
    bool running, is_operation;
    int64_t pid; /* of a running one, */
    int pidfd;   /* which tells that it was that one all the time; -1: none */
    strv lowers;
    arena *arena;
    container_mount *mounts;
    size_t n_mounts;
    int fds[FDS_MAX]; /* for the helper: root, mounts */
    size_t n_fds;
    strv words;
    flow *flow, *step;
    child *child;
    sock *in, *out;
    buf stat; /* until its line has ended */
    bool told, ended_out, exited, cancelled, stalled, write_ended;
    int status;
    err *failure;
    unsigned open; /* socks whose on_closed is due, and the flow */
};

/* ---- the words of dockerd ---- */

static err *word(const archiving *a, int status, err *e)
{
    auto_err *inner = e;

    switch (status) {
    case ARCHIVER_NOT_THERE:
        return err_new(ERR_NOT_FOUND, "Could not find the file %s in container %s", a->asked,
                       a->c->rec.id);
    case ARCHIVER_NO_DIRECTORY:
        return err_new(ERR_INVALID, "extraction point is not a directory");
    case ARCHIVER_READ_ONLY_ROOT:
        return err_new(ERR_INVALID, "container rootfs is marked read-only");
    case ARCHIVER_READ_ONLY_VOLUME:
        return err_new(ERR_INVALID, "mounted volume is marked read-only");
    case ARCHIVER_REFUSED:
        return err_new(ERR_INVALID, "%s", err_message(inner));
    default:
        return err_new(ERR_SYSTEM, "%s", err_message(inner));
    }
}

/* ---- jobs ---- */

static err *open_mount(const container_mount *m, int *ret_fd)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    auto_close int source = open(m->source, O_PATH | O_CLOEXEC), sub = -1;

    if (source >= 0 && !str_empty(m->subpath)) {
        sub = (int)syscall(SYS_openat2, source, m->subpath, &how, sizeof how);
        mem_closep(&source);
        source = take_fd(&sub);
    }
    if (source < 0)
        return err_errno(errno, "open %s", m->source);
    *ret_fd = (int)syscall(SYS_open_tree, source, "",
                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
    return *ret_fd < 0 ? err_errno(errno, "open %s", m->source) : NULL;
}

static err *open_mounts(archiving *a)
{
    strv_add(&a->words, "--", a->c->rootfs, NULL);
    for (size_t i = 0; i < a->n_mounts && a->n_fds < FDS_MAX; i++) {
        const container_mount *m = &a->mounts[i];

        if (str_empty(m->source))
            continue; /* a tmpfs is there while the container runs */
        TRY(open_mount(m, &a->fds[a->n_fds]));
        a->n_fds++;
        strv_add(&a->words, m->rw ? "rw" : "ro", m->destination, NULL);
    }
    return NULL;
}

static err *open_root(archiving *a, const char *path)
{
    a->fds[0] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (a->fds[0] < 0)
        return err_errno(errno, "open the container's root");
    a->n_fds = 1;
    return NULL;
}

static err *resolve_owner(archiving *a)
{
    spec_user user = {0};

    if (!a->own)
        return NULL;
    TRY(spec_user_resolve(a->fds[0], str_or(a->c->rec.config->user, ""), NULL, a->arena, &user));
    strv_pushf(&a->words, "owner=%u:%u", (unsigned)user.uid, (unsigned)user.gid);
    return NULL;
}

/* Its number may be another process's by now, whose root is another, too: what was opened counts
 * only if the container's own process is still there. */
static err *check_process(const archiving *a)
{
    if (a->pidfd < 0 || syscall(SYS_pidfd_send_signal, a->pidfd, 0, NULL, 0) < 0)
        return err_new(ERR_CONFLICT, "container %s is not running", a->c->rec.id);
    return NULL;
}

static err *job_open(void *st)
{
    archiving *a = st;
    auto_free char *seen = xasprintf("/proc/%lld/root", (long long)a->pid);

    if (a->running) {
        TRY(open_root(a, a->operation == ARCHIVE_EXPORT ? a->c->rootfs : seen));
        TRY(check_process(a));
    } else {
        TRY(rootfs_open_writable((const char *const *)a->lowers.v, a->c->dir, &a->fds[0]));
        a->n_fds = 1;
    }
    TRY(resolve_owner(a));
    if (a->running)
        return NULL;
    return open_mounts(a);
}

static err *job_close(void *st)
{
    archiving *a = st;

    while (a->n_fds)
        mem_closep(&a->fds[--a->n_fds]);
    return NULL;
}

/* ---- the helper ---- */

static void end_if_over(archiving *a)
{
    if (!a->exited || !a->ended_out || !a->step)
        return;
    flow_resume(take(a->step), take(a->failure));
}

static void on_exit_seen(void *arg, err *e, const child_exit *exit)
{
    archiving *a = arg;

    a->child = NULL;
    a->exited = true;
    if (e && !a->failure)
        a->failure = word(a, exit ? exit->status : ARCHIVER_HOST_FAILED, e);
    else
        err_free(e);
    if (a->in)
        sock_close(take(a->in));
    if (a->stalled && a->ev.on_drain && !a->cancelled) {
        a->stalled = false;
        a->ev.on_drain(a->arg); /* nobody reads any more: the rest is dropped */
    }
    end_if_over(a);
}

static void give(archiving *a, const char *p, size_t n)
{
    if (n && !a->cancelled && a->ev.on_data && !a->ev.on_data(a->arg, p, n) && a->out)
        sock_read(a->out, false);
}

static void on_out(void *arg, const char *p, size_t n)
{
    archiving *a = arg;
    const char *nl;

    if (a->told) {
        give(a, p, n);
        return;
    }
    nl = memchr(p, '\n', n);
    buf_add(&a->stat, p, nl ? (size_t)(nl - p) : n);
    if (!nl && a->stat.len < STAT_MAX)
        return;
    a->told = true;
    if (a->ev.on_stat && !a->cancelled)
        a->ev.on_stat(a->arg, a->stat.data);
    if (nl)
        give(a, nl + 1, n - (size_t)(nl + 1 - p));
}

static void on_out_eof(void *arg, err *e)
{
    archiving *a = arg;

    err_free(e);
    a->ended_out = true;
    if (a->out)
        sock_close(take(a->out));
    end_if_over(a);
}

static void on_drain(void *arg)
{
    archiving *a = arg;

    if (!a->stalled)
        return;
    a->stalled = false;
    if (a->ev.on_drain && !a->cancelled)
        a->ev.on_drain(a->arg);
}

static void no_data(void *arg, const char *p, size_t n)
{
    (void)arg, (void)p, (void)n;
}

static void on_in_eof(void *arg, err *e)
{
    (void)arg;
    err_free(e);
}

static void archiving_free_now(archiving *a)
{
    container_unref(a->c);
    mem_closep(&a->pidfd);
    free(a->path);
    free(a->asked);
    free(a->user);
    strv_done(&a->lowers);
    strv_done(&a->words);
    buf_done(&a->stat);
    arena_free(a->arena);
    err_free(a->failure);
    free(a);
}

static void let_go(void *arg)
{
    archiving *a = arg;

    if (!--a->open)
        archiving_free_now(a);
}

static const sock_events out_events = {on_out, on_out_eof, on_drain, let_go},
                         in_events = {no_data, on_in_eof, on_drain, let_go};

static err *open_pair(int pair[2])
{
    int size = SOCKET_BUFFER;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_errno(errno, "socketpair");
    for (int i = 0; i < 2; i++) /* fewer turns for the same bytes */
        (void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    return NULL;
}

static err *adopt(archiving *a, int fd, const sock_events *events, sock **ret)
{
    err *e = sock_adopt(fd, ret);

    if (e) {
        close(fd);
        return e;
    }
    sock_set(*ret, events, a);
    sock_read(*ret, true);
    a->open++;
    return NULL;
}

static err *spawn(archiving *a)
{
    static const char *const words[] = {"stat", "get", "put", "export"};
    auto_strv argv = {0};
    int out[2] = {-1, -1}, in[2] = {-1, -1};
    child_opts o = {
        .name = "archive", .file = "/proc/self/exe", .extra_fds = a->fds, .n_extra_fds = a->n_fds};
    err *e;

    strv_add(&argv, ARCHIVER_ARG0, words[a->operation], a->path, NULL);
    if (a->keep_kinds)
        strv_push(&argv, "keep-kinds");
    for (size_t i = 0; i < a->words.n; i++)
        strv_push(&argv, a->words.v[i]);
    o.argv = argv.v;
    TRY(open_pair(out));
    e = a->operation == ARCHIVE_PUT ? open_pair(in) : NULL;
    o.stdout_fd = out[1];
    o.stdin_fd = in[1] < 0 ? 0 : in[1];
    if (!e)
        e = child_spawn(&o, on_exit_seen, a, &a->child);
    mem_closep(&out[1]);
    mem_closep(&in[1]);
    if (e) {
        mem_closep(&out[0]);
        mem_closep(&in[0]);
        a->exited = a->ended_out = true;
        return e;
    }
    e = adopt(a, out[0], &out_events, &a->out);
    if (!e && in[0] >= 0)
        e = adopt(a, in[0], &in_events, &a->in);
    if (e && !a->failure)
        a->failure = e;
    if (e)
        child_kill(a->child, SIGKILL);
    a->ended_out |= !a->out;
    return NULL;
}

static void cut(void *st)
{
    archiving *a = st;

    if (!a->failure)
        a->failure = err_new(ERR_CANCELLED, "the client closed the connection");
    if (a->child)
        child_kill(a->child, SIGKILL);
    if (a->out)
        sock_read(a->out, true);
}

static void call_helper(void *st, flow *f)
{
    archiving *a = st;
    err *e;

    a->step = f;
    e = spawn(a);
    if (e) {
        a->step = NULL;
        flow_resume(f, e);
        return;
    }
    if (a->write_ended && a->in)
        sock_shutdown(a->in);
    flow_on_cancel(f, cut);
}

/* ---- the flow ---- */

static bool wants_volumes(void *st)
{
    const archiving *a = st;

    return !a->running && a->operation != ARCHIVE_EXPORT;
}

static void on_volumes(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_use(void *st, flow *f)
{
    archiving *a = st;

    container_mounts_use(a->c, a->user, on_volumes, f);
}

static void call_unuse(void *st, flow *f)
{
    archiving *a = st;

    container_mounts_unuse(a->c, a->user, on_volumes, f);
}

/* What the helper mounts is there only once the volumes are. */
static err *now_note_mounts(void *st)
{
    archiving *a = st;

    container_mounts(a->c, a->arena, &a->mounts, &a->n_mounts);
    return NULL;
}

static const flow_step archive_steps[] = {
    {"use volumes", CALL(call_use), CALL(call_unuse), .when = wants_volumes},
    {"note mounts", NOW(now_note_mounts), .when = wants_volumes},
    {"open", JOB(job_open), JOB(job_close)},
    {"helper", CALL(call_helper)},
    {"close", JOB(job_close)},
    {"unuse volumes", CALL(call_unuse), .when = wants_volumes},
    {0},
};
const flow_def archive_flow = {"container.archive", archive_steps, NULL, HANGUP_UNWIND};

static void tell_event(const archiving *a)
{
    static const char *const actions[] = {NULL, "archive-path", "extract-to-dir", "export"};

    if (actions[a->operation])
        container_event(a->c, actions[a->operation], NULL);
}

static void on_archived(void *arg, void *st, err *e)
{
    archiving *a = arg;

    (void)st;
    a->flow = NULL;
    if (a->is_operation)
        op_end(a->c);
    if (!e)
        tell_event(a);
    if (a->cancelled)
        err_free(e);
    else
        a->ev.on_end(a->arg, e);
    loop_defer(let_go, a);
}

static void note_process(archiving *a)
{
    int pidfd = a->running && a->c->monitor ? monitor_init_pidfd(a->c->monitor) : -1;

    a->pid = a->c->state.pid;
    a->pidfd = pidfd < 0 ? -1 : fcntl(pidfd, F_DUPFD_CLOEXEC, 0);
}

static void on_refused(void *arg)
{
    archiving *a = arg;
    const container *c = a->c;

    if (!a->cancelled)
        a->ev.on_end(a->arg, c->removed
                                 ? err_new(ERR_NOT_FOUND, "No such container: %s", c->rec.id)
                                 : err_new(ERR_NOT_FOUND, "No such image: %s", c->rec.image_id));
    let_go(a);
}

static void begin(container *c, void *arg)
{
    archiving *a = arg;

    if (a->cancelled || c->removed || (!c->image && !c->state.running)) {
        op_end(c);
        loop_defer(on_refused, a); /* whoever asks does not know us yet */
        return;
    }
    if (c->state.running) { /* meanwhile */
        op_end(c);
        a->is_operation = false;
        a->running = true;
    } else {
        image_layer_dirs(c->image, &a->lowers);
    }
    note_process(a);
    a->flow = flow_begin(&archive_flow, a, on_archived, a);
}

/* Without "." and ".." and doubled slashes; a slash at the end stays, as it means what a link leads
 * to. */
static char *clean(const char *path)
{
    auto_strv parts = {0}, kept = {0};
    size_t n = strlen(path);
    bool through = n && (path[n - 1] == '/' || (n > 1 && str_eq(path + n - 2, "/.")));
    auto_buf out = {0};

    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.n; i++) {
        if (str_eq(parts.v[i], "..") && kept.n)
            strv_pop(&kept);
        else if (str_eq(parts.v[i], ".."))
            continue;
        else if (*parts.v[i] && !str_eq(parts.v[i], "."))
            strv_push(&kept, parts.v[i]);
    }
    for (size_t i = 0; i < kept.n; i++)
        buf_printf(&out, "/%s", kept.v[i]);
    if (!out.len || through)
        buf_char(&out, '/');
    return buf_take(&out);
}

archiving *archive_begin(container *c, const archive_opts *o, const archive_events *ev, void *arg)
{
    static unsigned number;
    archiving *a = new0(archiving);

    a->c = container_ref(c);
    a->operation = o->operation;
    a->path = clean(o->path);
    a->asked = xstrdup(o->path);
    a->user = xasprintf("archive-%u", number++);
    a->keep_kinds = o->keep_kinds;
    a->own = o->own && !str_empty(c->rec.config->user);
    a->ev = *ev;
    a->arg = arg;
    a->arena = arena_new();
    a->open = 1;
    for (size_t i = 0; i < FDS_MAX; i++)
        a->fds[i] = -1;
    a->running = c->state.running;
    a->pidfd = -1;
    a->told = o->operation == ARCHIVE_EXPORT; /* it begins with the archive */
    a->is_operation = !a->running;
    if (a->running) {
        note_process(a);
        a->flow = flow_begin(&archive_flow, a, on_archived, a);
    } else {
        op_begin(c, "archive", begin, a);
    }
    return a;
}

bool archive_write(archiving *a, const char *p, size_t n)
{
    if (!a->in)
        return true; /* its helper has ended: what comes is dropped */
    sock_write(a->in, p, n);
    a->stalled = sock_unsent(a->in) >= UNSENT_MAX;
    return !a->stalled;
}

void archive_write_end(archiving *a)
{
    a->write_ended = true;
    if (a->in)
        sock_shutdown(a->in);
}

void archive_resume(archiving *a)
{
    if (a->out)
        sock_read(a->out, true);
}

void archive_cancel(archiving *a)
{
    a->cancelled = true;
    if (a->flow)
        flow_cancel(a->flow);
}
