/* runtimes.c - which OCI runtimes there are and which one is the default.
 *
 * crun starts a container three times as fast as runc, so it is preferred where it works: it must
 * answer `--version`, and on a hybrid cgroup host it can be called in a mount namespace without the
 * unified mount.  A probe is a program that runs for milliseconds, so a daemon's start does not
 * pay for it: the probes begin when the daemon answers, or when the choice is asked for, and those
 * of one set run side by side.  Another configuration makes another set;
 * the earlier ones stay until the end, because containers point into them.  Blocks while a set is
 * made: before the loop runs, or in a job. */
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/runtime.h>
#include <berth/watch.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROBE_MS = 5000, VERSION_TEXT = 4096 };

#define PROGRAM_NAME "/berth-monitor"

typedef struct probe { /* of the runtime with the same index */
    pid_t pid;         /* 0: not running */
    int fd;
    char text[VERSION_TEXT]; /* what it printed so far */
    size_t len;
    char *version; /* what it found; NULL: the runtime does not work */
    watch *watch;  /* NULL: nobody but collect reads it */
    runtime_set *set;
    size_t index;
} probe;

struct runtime_set {
    runtime *list;
    probe *probes;
    size_t n, first;
    bool asked;  /* the probes were started */
    bool chosen; /* first is the default */
    runtime_set *before;
};

static struct {
    runtime_set *set; /* NULL: none yet */
    char *monitor;
} rt;

static const struct {
    const char *name;
    const char *paths[5];
} builtin[] = {
    {"crun", {"/usr/bin/crun", "/usr/local/bin/crun", "/usr/sbin/crun"}},
    {"runc", {"/usr/bin/runc", "/usr/sbin/runc", "/usr/local/bin/runc", "/usr/local/sbin/runc"}},
};

cgroup_mode runtime_cgroup_mode(void)
{
    struct statfs fs;

    if (statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
        return CGROUP_V2;
    if (statfs("/sys/fs/cgroup/unified", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
        return CGROUP_HYBRID;
    return CGROUP_V1;
}

/* ---- probing ---- */

/* Start path --version with its stdout in *ret_fd. */
static bool start_probe(const char *path, int *ret_fd, pid_t *ret_pid)
{
    char *argv[] = {(char *)path, (char *)"--version", NULL};
    char *env[] = {(char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], rc;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    rc = posix_spawn(ret_pid, path, &actions, NULL, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (rc)
        close(ends[0]);
    *ret_fd = ends[0];
    return rc == 0;
}

/* One piece of what it prints, as soon as there is one; false at the end. */
static bool read_probe(probe *p)
{
    ssize_t n = read(p->fd, p->text + p->len, VERSION_TEXT - 1 - p->len);

    p->len += n > 0 ? (size_t)n : 0;
    p->text[p->len] = '\0';
    return n > 0 && p->len < VERSION_TEXT - 1;
}

/* All of it; false when its time is over. */
static bool await_probe(probe *p)
{
    struct pollfd ready = {.fd = p->fd, .events = POLLIN};

    do {
        if (poll(&ready, 1, PROBE_MS) <= 0)
            return false;
    } while (read_probe(p));
    return true;
}

/* "crun version 1.8.1\ncommit: ..." gives "1.8.1". */
static char *version_of(char *text)
{
    char *at = strstr(text, "version ");
    char *version = at ? at + strlen("version ") : text;

    version[strcspn(version, "\n")] = '\0';
    return xstrdup(version);
}

/* Its output has ended, or its time. */
static void end_probe(probe *p, bool told)
{
    int status = -1;

    watch_stop(take(p->watch));
    close(p->fd);
    if (!told)
        kill(p->pid, SIGKILL);
    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
        ;
    p->pid = 0;
    if (told && status == 0)
        p->version = version_of(p->text);
}

/* Waits for one that was started. */
static void collect(probe *p)
{
    if (p->pid)
        end_probe(p, await_probe(p));
}

/* What the probe found becomes known. */
static void apply(runtime *r, probe *p)
{
    if (!p->version || p->pid || r->works)
        return;
    free(r->version);
    r->version = take(p->version);
    r->works = true;
}

/* ---- the list ---- */

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

static void runtime_done(runtime *r)
{
    for (char **arg = r->args; arg && *arg; arg++)
        free(*arg);
    free(r->args);
    free(r->name);
    free(r->path);
    free(r->version);
}

/* The slot of that name, emptied, or a new one. */
static size_t slot(runtime_set *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++) {
        if (str_eq(s->list[i].name, name)) {
            runtime_done(&s->list[i]);
            return i;
        }
    }
    s->list = xrealloc(s->list, (s->n + 1) * sizeof(*s->list));
    s->probes = xrealloc(s->probes, (s->n + 1) * sizeof(*s->probes));
    return s->n++;
}

static void add(runtime_set *s, const char *root_dir, const char *name, const char *path,
                const char *const *args)
{
    size_t i = slot(s, name);
    auto_strv all = {0};

    strv_pushf(&all, "--root=%s/runtime-%s", root_dir, name);
    while (args && *args)
        strv_push(&all, *args++);
    s->probes[i] = (probe){0};
    s->list[i] = (runtime){
        .name = xstrdup(name),
        .path = xstrdup(path),
        .args = take(all.v),
        .version = xstrdup(""),
        .hide_unified = runtime_cgroup_mode() == CGROUP_HYBRID && str_ends(path, "/crun"),
    };
    all.n = 0;
}

static void add_builtin(runtime_set *s, const char *root_dir, size_t i)
{
    for (const char *const *path = builtin[i].paths; *path; path++) {
        if (is_program(*path)) {
            add(s, root_dir, builtin[i].name, *path, NULL);
            return;
        }
    }
}

static void start_probes(runtime_set *s)
{
    if (s->asked)
        return;
    s->asked = true;
    for (size_t i = 0; i < s->n; i++) {
        probe *p = &s->probes[i];

        if (!start_probe(s->list[i].path, &p->fd, &p->pid)) {
            p->pid = 0;
            log_warn("runtime cannot be run", "name", s->list[i].name, "path", s->list[i].path);
        }
    }
}

/* The named one, whether it works or not, else the first that works; only what the choice needs is
 * waited for. */
err *runtime_set_choose(runtime_set *s, const char *name)
{
    if (str_empty(name))
        start_probes(s);
    for (size_t i = 0; i < s->n; i++) {
        bool chosen = str_eq(s->list[i].name, name);

        if (str_empty(name)) {
            collect(&s->probes[i]);
            apply(&s->list[i], &s->probes[i]);
        }
        if (chosen || (str_empty(name) && s->list[i].works)) {
            s->first = i;
            s->chosen = true;
            return NULL;
        }
    }
    if (str_empty(name))
        return err_new(ERR_SYSTEM, "no OCI runtime works here: install crun or runc");
    return err_new(ERR_INVALID, "specified default runtime '%s' does not exist", name);
}

err *runtime_set_new(const char *root_dir, const runtime_extra *extra, size_t n_extra,
                     runtime_set **ret_set)
{
    runtime_set *s = new0(runtime_set);

    for (size_t i = 0; i < COUNT(builtin); i++)
        add_builtin(s, root_dir, i);
    for (size_t i = 0; i < n_extra; i++) {
        if (str_empty(extra[i].path) || extra[i].path[0] != '/') {
            runtime_set_free(s);
            return err_new(ERR_INVALID, "runtime %s: its path must be absolute", extra[i].name);
        }
        add(s, root_dir, extra[i].name, extra[i].path, extra[i].args);
    }
    *ret_set = s;
    return NULL;
}

void runtime_set_probe(runtime_set *s)
{
    start_probes(s);
    for (size_t i = 0; i < s->n; i++) {
        collect(&s->probes[i]);
        apply(&s->list[i], &s->probes[i]);
    }
}

void runtime_set_free(runtime_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++) {
        collect(&s->probes[i]);
        free(s->probes[i].version);
        runtime_done(&s->list[i]);
    }
    free(s->list);
    free(s->probes);
    free(s);
}

static void on_probe(void *arg, int events)
{
    probe *p = arg;

    (void)events;
    if (read_probe(p))
        return;
    end_probe(p, true);
    apply(&p->set->list[p->index], p);
    if (!p->set->list[p->index].works)
        log_warn("runtime does not work", "name", p->set->list[p->index].name);
}

static void collect_later(runtime_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        probe *p = &s->probes[i];

        p->set = s;
        p->index = i;
        if (p->pid && !p->watch)
            p->watch = watch_start("runtimes.probe", p->fd, WATCH_READ, on_probe, p);
    }
}

void runtimes_adopt(runtime_set *s)
{
    s->before = rt.set;
    rt.set = s;
}

err *runtimes_settle(const char *default_name)
{
    if (!str_empty(default_name))
        TRY(runtime_set_choose(rt.set, default_name));
    if (!rt.set->n)
        return err_new(ERR_SYSTEM, "no OCI runtime is here: install crun or runc");
    return NULL;
}

void runtimes_probe(void)
{
    start_probes(rt.set);
    collect_later(rt.set);
}

err *runtimes_init(const char *root_dir, const runtime_extra *extra, size_t n_extra,
                   const char *default_name)
{
    runtime_set *s = NULL;
    err *e;

    runtimes_done();
    TRY(runtime_set_new(root_dir, extra, n_extra, &s));
    runtime_set_probe(s);
    e = runtime_set_choose(s, default_name);
    if (e)
        runtime_set_free(s);
    else
        runtimes_adopt(s);
    return e;
}

void runtimes_done(void)
{
    for (runtime_set *s = take(rt.set), *before; s; s = before) {
        before = s->before;
        runtime_set_free(s);
    }
}

/* Asked before the probes have answered, it waits for them, which happens only to the very first
 * requests of a daemon.  Where nothing works the first one says why, when it is used. */
const runtime *runtime_default(void)
{
    runtime_set *s = rt.set;

    if (!runtime_count())
        return NULL;
    if (!s->chosen)
        err_log(runtime_set_choose(s, ""), "there is no default runtime");
    s->chosen = true;
    return &s->list[s->first];
}

const runtime *runtime_find(const char *name)
{
    if (str_empty(name))
        return runtime_default();
    for (size_t i = 0; i < runtime_count(); i++) {
        if (str_eq(rt.set->list[i].name, name))
            return &rt.set->list[i];
    }
    return NULL;
}

size_t runtime_count(void)
{
    return rt.set ? rt.set->n : 0;
}

const runtime *runtime_nth(size_t i)
{
    return i < runtime_count() ? &rt.set->list[i] : NULL;
}

void runtime_set_monitor_program(const char *path)
{
    free(rt.monitor);
    rt.monitor = xstrdup(path);
}

/* Beside this very program. */
static char *guess_monitor(void)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - sizeof PROGRAM_NAME);
    char *slash;

    self[n > 0 ? n : 0] = '\0';
    slash = strrchr(self, '/');
    return xasprintf("%.*s" PROGRAM_NAME, slash ? (int)(slash - self) : 0, self);
}

const char *runtime_monitor_program(void)
{
    if (!rt.monitor)
        rt.monitor = guess_monitor();
    return rt.monitor;
}

void runtime_argv(const runtime *r, strv *argv)
{
    if (r->hide_unified)
        strv_add(argv, runtime_monitor_program(), "--runtime-exec", "hide_unified", "--", NULL);
    strv_push(argv, r->path);
    for (char *const *arg = r->args; arg && *arg; arg++)
        strv_push(argv, *arg);
}
