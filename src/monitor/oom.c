/* oom.c - did the kernel's OOM killer hit this cgroup?
 *
 * The counter file is opened while the process lives (or is not reaped yet) and read after its end,
 * before anyone removes the cgroup.  Version 1 keeps it in memory.oom_control, version 2 in
 * memory.events; both have a line "oom_kill N".  One thread. */
#include "oom.h"
#include <berth/mem.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CGROUP_TEXT = 4096 };

/* Does the comma-separated list between : and : name the memory controller? */
static bool names_memory(const char *list, size_t n)
{
    const char *at = memmem(list, n, "memory", 6);

    return at && (at == list || at[-1] == ',') && (at + 6 == list + n || at[6] == ',');
}

/* Of "N:controllers:path" lines the one of memory, else the unified one; path in *path. */
static char *counter_file(char *text)
{
    char *unified = NULL;

    for (char *line = text, *next; line && *line; line = next) {
        char *list = strchr(line, ':');
        char *path = list ? strchr(list + 1, ':') : NULL;

        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        if (!path)
            continue;
        if (names_memory(list + 1, (size_t)(path - list - 1))) {
            free(unified);
            return xasprintf("/sys/fs/cgroup/memory%s/memory.oom_control", path + 1);
        }
        if (path == list + 1)
            unified = xasprintf("/sys/fs/cgroup%s/memory.events", path + 1);
    }
    return unified;
}

int oom_open(pid_t pid)
{
    auto_free char *name = xasprintf("/proc/%d/cgroup", (int)pid);
    auto_close int fd = open(name, O_RDONLY | O_CLOEXEC);
    auto_free char *text = xcalloc(1, CGROUP_TEXT + 1);
    auto_free char *file = NULL;

    if (fd < 0 || read(fd, text, CGROUP_TEXT) <= 0)
        return -1;
    file = counter_file(text);
    return file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
}

int64_t oom_kills(int fd)
{
    char text[512];
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : -1;
    const char *at;

    if (n <= 0)
        return 0;
    text[n] = '\0';
    at = strstr(text, "oom_kill ");
    return at ? strtoll(at + strlen("oom_kill "), NULL, 10) : 0;
}
