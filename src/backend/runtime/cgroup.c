/* cgroup.c - reading a control group.  Any thread. */
#include "cgroup_files.h"
#include <berth/buf.h>
#include <berth/cgroup.h>
#include <berth/mem.h>
#include <berth/runtime.h>
#include <berth/str.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 1 << 20, DEPTH_MAX = 16, PIDS_MAX = 1 << 20 };

static const char *root = "/sys/fs/cgroup";
static bool forced, forced_v2;

void cgroup_set_root(const char *other, bool v2)
{
    root = other;
    forced = true;
    forced_v2 = v2;
}

bool cgroup_is_v2(void)
{
    return forced ? forced_v2 : runtime_cgroup_mode() == CGROUP_V2;
}

char *cgroup_dir(const char *path, const char *controller)
{
    return cgroup_is_v2() ? xasprintf("%s%s", root, path)
                          : xasprintf("%s/%s%s", root, controller, path);
}

char *cgroup_read(const char *dir, const char *file)
{
    auto_free char *path = xasprintf("%s/%s", dir, file);
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    auto_buf text = {0};
    char block[4096];
    ssize_t n;

    if (fd < 0)
        return NULL;
    while ((n = read(fd, block, sizeof(block))) > 0 && text.len < FILE_MAX_BYTES)
        buf_add(&text, block, (size_t)n);
    return n < 0 ? NULL : buf_take(&text);
}

bool cgroup_is_frozen(const char *path)
{
    auto_free char *dir = cgroup_dir(path, "freezer");
    auto_free char *text = cgroup_read(dir, cgroup_is_v2() ? "cgroup.freeze" : "freezer.state");

    return text && (str_starts(text, "FROZEN") || str_starts(text, "FREEZING") || *text == '1');
}

typedef struct pids {
    arena *a;
    pid_t *v;
    size_t n, cap;
} pids;

static void add_pid(pids *list, pid_t pid)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 16;
        pid_t *grown = arena_alloc(list->a, cap * sizeof(*grown));

        if (list->n)
            memcpy(grown, list->v, list->n * sizeof(*grown));
        list->v = grown;
        list->cap = cap;
    }
    list->v[list->n++] = pid;
}

static void collect(const char *dir, unsigned depth, pids *list)
{
    auto_free char *text = cgroup_read(dir, "cgroup.procs");
    auto_closedir DIR *d = opendir(dir);
    char *cursor = text, *line;
    struct dirent *ent;

    while (cursor && (line = strsep(&cursor, "\n")) && list->n < PIDS_MAX)
        if (*line)
            add_pid(list, (pid_t)strtol(line, NULL, 10));
    while (d && depth < DEPTH_MAX && (ent = readdir(d))) {
        if (ent->d_type == DT_DIR && ent->d_name[0] != '.') {
            auto_free char *below = xasprintf("%s/%s", dir, ent->d_name);

            collect(below, depth + 1, list);
        }
    }
}

size_t cgroup_pids(const char *path, arena *a, pid_t **ret_pids)
{
    auto_free char *dir = cgroup_dir(path, "pids");
    pids list = {.a = a};

    collect(dir, 0, &list);
    *ret_pids = list.v;
    return list.n;
}
