/* proc.c - what processes cost, read from /proc.
 *
 * Processes come and go while the table is read: whatever cannot be read is not there. */
#include "proc.h"
#include <berth/mem.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 8192 };

/* The file's beginning, NUL-terminated; false when there is none. */
static bool read_file(const char *path, char out[FILE_MAX])
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, FILE_MAX - 1);

    out[n < 0 ? 0 : n] = '\0';
    return n > 0;
}

static uint64_t ticks_ns(uint64_t ticks)
{
    return ticks * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
}

static uint64_t pid_namespace(int pid)
{
    char path[64];
    struct stat st;

    snprintf(path, sizeof path, "/proc/%d/ns/pid", pid);
    return stat(path, &st) ? 0 : st.st_ino;
}

/* "pid (name) state ppid ..."; a name may hold blanks and brackets. */
static bool parse_stat(const char *text, proc *p)
{
    const char *open = strchr(text, '('), *shut = strrchr(text, ')');
    uint64_t user, system;
    int64_t waited_user, waited_system;

    if (!open || !shut || shut < open)
        return false;
    snprintf(p->name, sizeof p->name, "%.*s", (int)(shut - open - 1), open + 1);
    if (sscanf(shut + 1,
               " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNd64
               " %" SCNd64,
               &p->parent, &user, &system, &waited_user, &waited_system) != 5)
        return false;
    p->cpu_ns = ticks_ns(user + system + (uint64_t)waited_user + (uint64_t)waited_system);
    return true;
}

static bool is_helper(const proc *p, const strv *helpers)
{
    for (size_t i = 0; i < helpers->n; i++)
        if (!strncmp(p->name, helpers->v[i], strnlen(helpers->v[i], sizeof p->name - 1)))
            return true;
    return false;
}

/* Whether p is root or below it; a chain is never longer than the table. */
static bool is_below(const proc_table *t, const proc *p, int root)
{
    for (size_t steps = 0; p && steps <= t->n; steps++) {
        if (p->pid == root)
            return true;
        p = proc_table_find(t, p->parent);
    }
    return false;
}

void proc_table_read(proc_table *ret)
{
    auto_closedir DIR *dir = opendir("/proc");
    struct dirent *entry;
    char path[64], text[FILE_MAX];
    uint64_t pid;

    *ret = (proc_table){0};
    while (dir && (entry = readdir(dir))) {
        proc p = {0};

        if (!str_to_uint64(entry->d_name, &pid))
            continue;
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        if (!read_file(path, text) || !parse_stat(text, &p))
            continue;
        p.pid = (int)pid;
        p.pid_ns = pid_namespace(p.pid);
        if (!(ret->n & (ret->n - 1)))
            ret->v = xrealloc(ret->v, (ret->n ? ret->n * 2 : 1) * sizeof *ret->v);
        ret->v[ret->n++] = p;
    }
}

void proc_table_done(proc_table *t)
{
    mem_freep(&t->v);
    *t = (proc_table){0};
}

const proc *proc_table_find(const proc_table *t, int pid)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->v[i].pid == pid)
            return &t->v[i];
    return NULL;
}

/* The topmost process of pid's own pid namespace above it, where that namespace is not ours. */
static int engine_root(const proc_table *t, int pid)
{
    const proc *p = proc_table_find(t, pid);
    uint64_t ours = pid_namespace(getpid());

    if (!p || p->pid_ns == ours)
        return pid;
    for (const proc *up = p; up && up->pid_ns == p->pid_ns; up = proc_table_find(t, up->parent))
        pid = up->pid;
    return pid;
}

uint64_t proc_engine_cpu(const proc_table *t, int pid)
{
    int root = engine_root(t, pid);
    uint64_t sum = 0;

    for (size_t i = 0; i < t->n; i++)
        if (is_below(t, &t->v[i], root))
            sum += t->v[i].cpu_ns;
    return sum;
}

void proc_memory_of(int pid, proc_memory *add)
{
    char path[64], text[FILE_MAX];
    const char *pss, *rss;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
    if (!read_file(path, text) || !(rss = strstr(text, "\nRss:")) ||
        !(pss = strstr(text, "\nPss:")))
        return;
    add->rss += strtoull(rss + 5, NULL, 10) * 1024;
    add->pss += strtoull(pss + 5, NULL, 10) * 1024;
    add->processes++;
}

void proc_daemon_memory(const proc_table *t, int pid, const strv *helpers, proc_memory *ret)
{
    const proc *daemon = proc_table_find(t, pid);

    *ret = (proc_memory){0};
    for (size_t i = 0; daemon && i < t->n; i++) {
        const proc *p = &t->v[i];

        if (p->pid_ns == daemon->pid_ns && !is_helper(p, helpers) && is_below(t, p, pid))
            proc_memory_of(p->pid, ret);
    }
}

void proc_helper_memory(const proc_table *t, const proc_table *before, int pid, const strv *helpers,
                        proc_memory *ret)
{
    const proc *daemon = proc_table_find(t, pid);

    *ret = (proc_memory){0};
    for (size_t i = 0; daemon && i < t->n; i++) {
        const proc *p = &t->v[i];

        if (p->pid_ns == daemon->pid_ns && is_helper(p, helpers) &&
            !proc_table_find(before, p->pid))
            proc_memory_of(p->pid, ret);
    }
}

uint64_t proc_machine_cpu(void)
{
    char text[FILE_MAX];
    uint64_t user, nice, system, idle, iowait, irq, softirq;

    if (!read_file("/proc/stat", text) ||
        sscanf(text,
               "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64,
               &user, &nice, &system, &idle, &iowait, &irq, &softirq) != 7)
        return 0;
    return ticks_ns(user + nice + system + irq + softirq);
}

uint64_t proc_own_cpu(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * UINT64_C(1000000000) +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}
