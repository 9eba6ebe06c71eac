/* cgroup_stats.c - the figures of a control group, of v1 and of v2, as the API has them.
 *
 * A file that is not there leaves its figures zero: controllers differ from host to host.  Any
 * thread; small files of the kernel's. */
#include "cgroup_files.h"
#include <berth/buf.h>
#include <berth/cgroup.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NS_PER_US = 1000, NS_PER_S = 1000000000 };

static int64_t number_in(const char *dir, const char *file)
{
    auto_free char *text = cgroup_read(dir, file);

    return text ? (int64_t)strtoull(text, NULL, 10) : 0;
}

/* "name value" lines: the value of one; 0 when it is not among them. */
static int64_t value_of(const char *text, const char *name)
{
    size_t n = strlen(name);

    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, name, n) && line[n] == ' ')
            return (int64_t)strtoull(line + n + 1, NULL, 10);
    }
    return 0;
}

/* All of them, as a JSON object. */
static char *object_of(const char *text, arena *a)
{
    auto_buf out = {0};

    buf_char(&out, '{');
    for (const char *line = str_or(text, ""); *line;) {
        size_t n = strcspn(line, "\n"), name = strcspn(line, " \n");

        if (name < n) {
            auto_free char *key = xstrndup(line, name);

            buf_str(&out, out.len > 1 ? "," : "");
            json_quote(key, &out);
            buf_printf(&out, ":%" PRIu64, (uint64_t)strtoull(line + name + 1, NULL, 10));
        }
        line += n + (line[n] == '\n');
    }
    buf_char(&out, '}');
    return arena_strdup(a, out.data);
}

/* ---- CPU ---- */

static void cpu_v1(const char *path, arena *a, stats_cpu *ret)
{
    auto_free char *acct = cgroup_dir(path, "cpuacct"), *cpu = cgroup_dir(path, "cpu"),
                   *each = cgroup_read(acct, "cpuacct.usage_percpu"),
                   *split = cgroup_read(acct, "cpuacct.stat"),
                   *limits = cgroup_read(cpu, "cpu.stat");
    int64_t tick_ns = NS_PER_S / sysconf(_SC_CLK_TCK);
    auto_buf list = {0};

    ret->usage.total = number_in(acct, "cpuacct.usage");
    ret->usage.user = value_of(split, "user") * tick_ns;
    ret->usage.kernel = value_of(split, "system") * tick_ns;
    for (const char *p = str_or(each, ""); *p;) {
        size_t n = strspn(p, "0123456789");

        if (n)
            buf_printf(&list, "%s%.*s", list.len ? "," : "[", (int)n, p);
        p += n + (p[n] ? 1 : 0);
    }
    if (list.len) {
        buf_char(&list, ']');
        ret->usage.per_cpu.text = arena_strdup(a, list.data);
    }
    ret->throttling.periods = value_of(limits, "nr_periods");
    ret->throttling.throttled = value_of(limits, "nr_throttled");
    ret->throttling.throttled_ns = value_of(limits, "throttled_time");
}

static void cpu_v2(const char *path, stats_cpu *ret)
{
    auto_free char *dir = cgroup_dir(path, ""), *text = cgroup_read(dir, "cpu.stat");

    ret->usage.total = value_of(text, "usage_usec") * NS_PER_US;
    ret->usage.user = value_of(text, "user_usec") * NS_PER_US;
    ret->usage.kernel = value_of(text, "system_usec") * NS_PER_US;
    ret->throttling.periods = value_of(text, "nr_periods");
    ret->throttling.throttled = value_of(text, "nr_throttled");
    ret->throttling.throttled_ns = value_of(text, "throttled_usec") * NS_PER_US;
}

/* ---- memory ---- */

/* Groups without a limit have what the machine has. */
static int64_t limit_in(const char *dir, const char *file, int64_t machine)
{
    auto_free char *text = cgroup_read(dir, file);
    uint64_t limit = text && *text != 'm' ? strtoull(text, NULL, 10) : UINT64_MAX;

    return limit < (uint64_t)machine ? (int64_t)limit : machine;
}

static void memory_v1(const char *path, int64_t machine, arena *a, stats_memory *ret)
{
    auto_free char *dir = cgroup_dir(path, "memory"), *text = cgroup_read(dir, "memory.stat");

    if (!text)
        return;
    ret->usage = number_in(dir, "memory.usage_in_bytes");
    ret->most = number_in(dir, "memory.max_usage_in_bytes");
    ret->failures = number_in(dir, "memory.failcnt");
    ret->limit = limit_in(dir, "memory.limit_in_bytes", machine);
    ret->stats.text = object_of(text, a);
}

static void memory_v2(const char *path, int64_t machine, arena *a, stats_memory *ret)
{
    auto_free char *dir = cgroup_dir(path, ""), *text = cgroup_read(dir, "memory.stat"),
                   *events = cgroup_read(dir, "memory.events");

    if (!text)
        return;
    ret->usage = number_in(dir, "memory.current");
    ret->failures = value_of(events, "oom");
    ret->limit = limit_in(dir, "memory.max", machine);
    ret->stats.text = object_of(text, a);
}

/* ---- block devices ---- */

static void add_entry(json_list *list, arena *a, int64_t major, int64_t minor, const char *op,
                      int64_t value)
{
    *(stats_blkio_entry *)json_list_add(list, a, &stats_blkio_entry_json) =
        (stats_blkio_entry){major, minor, arena_strdup(a, op), value};
}

/* "8:0 Read 4096" lines; "Total 4096" is left out. */
static void blkio_file_v1(const char *dir, const char *file, arena *a, json_list *list)
{
    auto_free char *text = cgroup_read(dir, file);
    char *cursor = text, *line, op[16];
    long long major, minor, value;

    list->set = true;
    while (cursor && (line = strsep(&cursor, "\n")))
        if (sscanf(line, "%lld:%lld %15s %lld", &major, &minor, op, &value) == 4)
            add_entry(list, a, major, minor, op, value);
}

static void blkio_v1(const char *path, arena *a, stats_blkio *ret)
{
    auto_free char *dir = cgroup_dir(path, "blkio");

    blkio_file_v1(dir, "blkio.throttle.io_service_bytes_recursive", a, &ret->bytes);
    blkio_file_v1(dir, "blkio.throttle.io_serviced_recursive", a, &ret->serviced);
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6" */
static void blkio_v2(const char *path, arena *a, stats_blkio *ret)
{
    static const struct {
        const char *key, *op;
        bool bytes;
    } keys[] = {{"rbytes=", "read", true},
                {"wbytes=", "write", true},
                {"rios=", "read", false},
                {"wios=", "write", false}};
    auto_free char *dir = cgroup_dir(path, ""), *text = cgroup_read(dir, "io.stat");
    char *cursor = text, *line;

    ret->bytes.set = ret->serviced.set = true;
    while (cursor && (line = strsep(&cursor, "\n"))) {
        long long major, minor;

        if (sscanf(line, "%lld:%lld", &major, &minor) != 2)
            continue;
        for (size_t i = 0; i < COUNT(keys); i++) {
            const char *at = strstr(line, keys[i].key);

            if (at)
                add_entry(keys[i].bytes ? &ret->bytes : &ret->serviced, a, major, minor, keys[i].op,
                          (int64_t)strtoull(at + strlen(keys[i].key), NULL, 10));
        }
    }
}

/* ---- processes ---- */

static void pids_of(const char *path, arena *a, stats_pids *ret)
{
    auto_free char *dir = cgroup_dir(path, "pids"), *limit = cgroup_read(dir, "pids.max");

    ret->current = number_in(dir, "pids.current");
    if (limit && *limit >= '0' && *limit <= '9')
        ret->limit.text = arena_strndup(a, limit, strspn(limit, "0123456789"));
    else if (limit && cgroup_is_v2())
        ret->limit.text = "18446744073709551615"; /* as dockerd says "max" */
}

bool cgroup_stats_read(const char *path, int64_t machine_memory, arena *a, stats_answer *ret)
{
    auto_free char *dir = cgroup_dir(path, "pids");

    if (access(dir, F_OK) < 0)
        return false;
    pids_of(path, a, &ret->pids);
    if (cgroup_is_v2()) {
        cpu_v2(path, &ret->cpu);
        memory_v2(path, machine_memory, a, &ret->memory);
        blkio_v2(path, a, &ret->blkio);
    } else {
        cpu_v1(path, a, &ret->cpu);
        memory_v1(path, machine_memory, a, &ret->memory);
        blkio_v1(path, a, &ret->blkio);
    }
    return true;
}
