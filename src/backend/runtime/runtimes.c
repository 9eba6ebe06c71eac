/* runtimes.c - which OCI runtimes there are and which one is the default.
 *
 * crun starts a container three times as fast as runc, so it is preferred where it works: it must
 * answer `--version`, and on a hybrid cgroup host it can be called in a mount namespace without the
 * unified mount.  Filled once before the loop runs, then read only. */
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/runtime.h>
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

enum { PROBE_MS = 5000, VERSION_TEXT = 512 };

#define PROGRAM_NAME "/berth-monitor"

static struct {
    runtime *list;
    size_t n, first;
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

/* What it prints, until it ends or its time is over. */
static bool read_probe(int fd, char text[VERSION_TEXT])
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    size_t len = 0;
    ssize_t n;

    do {
        if (poll(&ready, 1, PROBE_MS) <= 0)
            return false;
        n = read(fd, text + len, VERSION_TEXT - 1 - len);
        len += n > 0 ? (size_t)n : 0;
    } while (n > 0 && len < VERSION_TEXT - 1);
    text[len] = '\0';
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

static void probe(runtime *r)
{
    char text[VERSION_TEXT];
    pid_t pid = 0;
    int fd = -1, status = -1;
    bool told;

    r->version = NULL;
    if (start_probe(r->path, &fd, &pid)) {
        told = read_probe(fd, text);
        close(fd);
        if (!told)
            kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        r->works = told && status == 0;
        if (r->works)
            r->version = version_of(text);
    }
    if (!r->version)
        r->version = xstrdup("");
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
static runtime *slot(const char *name)
{
    for (size_t i = 0; i < rt.n; i++) {
        if (str_eq(rt.list[i].name, name)) {
            runtime_done(&rt.list[i]);
            return &rt.list[i];
        }
    }
    rt.list = xrealloc(rt.list, (rt.n + 1) * sizeof *rt.list);
    return &rt.list[rt.n++];
}

static void add(const char *root_dir, const char *name, const char *path, const char *const *args)
{
    runtime *r = slot(name);
    const char *slash = strrchr(path, '/');
    auto_strv all = {0};

    *r = (runtime){.name = xstrdup(name), .path = xstrdup(path)};
    strv_pushf(&all, "--root=%s/runtime-%s", root_dir, name);
    while (args && *args)
        strv_push(&all, *args++);
    r->args = take(all.v);
    all.n = 0;
    r->hide_unified = runtime_cgroup_mode() == CGROUP_HYBRID && str_eq(slash, "/crun");
    probe(r);
    if (!r->works)
        log_warn("runtime does not work", "name", name, "path", path);
}

static void add_builtin(const char *root_dir, size_t i)
{
    for (const char *const *path = builtin[i].paths; *path; path++) {
        if (is_program(*path)) {
            add(root_dir, builtin[i].name, *path, NULL);
            return;
        }
    }
}

static err *choose_default(const char *name)
{
    for (size_t i = 0; i < rt.n; i++) {
        bool chosen = str_empty(name) ? rt.list[i].works : str_eq(rt.list[i].name, name);

        if (chosen) {
            rt.first = i;
            return NULL;
        }
    }
    if (str_empty(name))
        return err_new(ERR_SYSTEM, "no OCI runtime works here: install crun or runc");
    return err_new(ERR_INVALID, "specified default runtime '%s' does not exist", name);
}

err *runtimes_init(const char *root_dir, const runtime_extra *extra, size_t n_extra,
                   const char *default_name)
{
    runtimes_done();
    for (size_t i = 0; i < COUNT(builtin); i++)
        add_builtin(root_dir, i);
    for (size_t i = 0; i < n_extra; i++) {
        if (str_empty(extra[i].path) || extra[i].path[0] != '/')
            return err_new(ERR_INVALID, "runtime %s: its path must be absolute", extra[i].name);
        add(root_dir, extra[i].name, extra[i].path, extra[i].args);
    }
    return choose_default(default_name);
}

void runtimes_done(void)
{
    for (size_t i = 0; i < rt.n; i++)
        runtime_done(&rt.list[i]);
    free(rt.list);
    rt.list = NULL;
    rt.n = rt.first = 0;
}

const runtime *runtime_default(void)
{
    return rt.n ? &rt.list[rt.first] : NULL;
}

const runtime *runtime_find(const char *name)
{
    if (str_empty(name))
        return runtime_default();
    for (size_t i = 0; i < rt.n; i++) {
        if (str_eq(rt.list[i].name, name))
            return &rt.list[i];
    }
    return NULL;
}

size_t runtime_count(void)
{
    return rt.n;
}

const runtime *runtime_nth(size_t i)
{
    return i < rt.n ? &rt.list[i] : NULL;
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
