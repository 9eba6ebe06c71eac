/* spec_limits.c - how much memory, CPU and how many processes: checked, and as the runtime reads
 * it.
 *
 * Any thread after limits_init. */
#include "cgroup_files.h"
#include "jsonw.h"
#include "spec.h"
#include <berth/mem.h>
#include <berth/runtime.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEMORY_MIN    (6LL << 20)
#define NANO          1000000000LL
#define CPU_PERIOD_US 100000LL
enum {
    CPUSET_MAX = 8192,
    PIDS_ALL = 4 << 20, /* the kernel's most: crun writes numbers as they are, -1 is none to it */
};

static char *online_cpus, *online_mems; /* "0-1"; NULL where the kernel does not say */

static char *available(const char *file_v1, const char *file_v2)
{
    auto_free char *dir = cgroup_dir("", "cpuset");
    char *text = cgroup_read(dir, cgroup_is_v2() ? file_v2 : file_v1);

    if (text)
        text[strcspn(text, "\n")] = '\0';
    return text;
}

void limits_init(void)
{
    limits_done();
    online_cpus = available("cpuset.cpus", "cpuset.cpus.effective");
    online_mems = available("cpuset.mems", "cpuset.mems.effective");
}

void limits_done(void)
{
    free(take(online_cpus));
    free(take(online_mems));
}

/* ---- what is refused ---- */

static err *memory_check(const host_config *h)
{
    if (h->memory < 0 || (h->memory > 0 && h->memory < MEMORY_MIN))
        return err_new(ERR_INVALID, "Minimum memory limit allowed is 6MB");
    if (h->memory > 0 && h->memory_swap > 0 && h->memory_swap < h->memory)
        return err_new(ERR_INVALID,
                       "Minimum memoryswap limit should be larger than memory limit, see usage");
    if (h->memory == 0 && h->memory_swap > 0)
        return err_new(
            ERR_INVALID,
            "You should always set the Memory limit when using Memoryswap limit, see usage");
    if (h->memory_swappiness.set && (h->memory_swappiness.n < -1 || h->memory_swappiness.n > 100))
        return err_new(ERR_INVALID, "Invalid value: %lld, valid memory swappiness range is 0-100",
                       (long long)h->memory_swappiness.n);
    if (h->memory_reservation > 0 && h->memory_reservation < MEMORY_MIN)
        return err_new(ERR_INVALID, "Minimum memory reservation allowed is 6MB");
    if (h->memory > 0 && h->memory_reservation > 0 && h->memory < h->memory_reservation)
        return err_new(
            ERR_INVALID,
            "Minimum memory limit can not be less than memory reservation limit, see usage");
    return NULL;
}

static err *cpu_check(const host_config *h)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (h->nano_cpus && (h->cpu_period || h->cpu_quota))
        return err_new(ERR_INVALID, "Conflicting options: Nano CPUs and CPU %s cannot both be set",
                       h->cpu_period ? "Period" : "Quota");
    if (h->nano_cpus < 0 || h->nano_cpus > cpus * NANO)
        return err_new(ERR_INVALID,
                       "range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs available",
                       cpus, cpus);
    if (h->cpu_shares < 0)
        return err_new(ERR_INVALID, "invalid CPU shares (%lld): value must be a positive integer",
                       (long long)h->cpu_shares);
    if (h->cpu_period && (h->cpu_period < 1000 || h->cpu_period > 1000000))
        return err_new(
            ERR_INVALID,
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    if (h->cpu_quota > 0 && h->cpu_quota < 1000)
        return err_new(ERR_INVALID, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
    return NULL;
}

/* "0-2,7": numbers below CPUSET_MAX, ranges upward; nothing is expanded. */
static bool cpuset_is_fine(const char *text)
{
    auto_strv parts = {0};

    strv_split(&parts, text, ',');
    for (size_t i = 0; i < parts.n; i++) {
        char *dash = strchr(parts.v[i], '-');
        uint64_t from, to;

        if (dash)
            *dash = '\0';
        if (!str_to_uint64(parts.v[i], &from) || from >= CPUSET_MAX)
            return false;
        if (dash && (!str_to_uint64(dash + 1, &to) || to >= CPUSET_MAX || to < from))
            return false;
    }
    return true;
}

/* Whether every number of text is also in all ("0-3,5"), both as the kernel writes them. */
static bool cpuset_is_within(const char *text, const char *all)
{
    auto_strv parts = {0}, wholes = {0};
    unsigned long from, to, low, high;

    strv_split(&parts, text, ',');
    strv_split(&wholes, all, ',');
    for (size_t i = 0; i < parts.n; i++) {
        char *end;

        from = to = strtoul(parts.v[i], &end, 10);
        if (*end == '-')
            to = strtoul(end + 1, NULL, 10);
        for (size_t k = 0; k < wholes.n && from <= to; k++) {
            low = high = strtoul(wholes.v[k], &end, 10);
            if (*end == '-')
                high = strtoul(end + 1, NULL, 10);
            if (from >= low && from <= high) /* its ranges are apart and go upward */
                from = high + 1;
        }
        if (from <= to)
            return false;
    }
    return true;
}

static err *cpuset_check(const char *what, const char *names, const char *text, const char *all)
{
    if (str_empty(text))
        return NULL;
    if (!cpuset_is_fine(text))
        return err_new(ERR_INVALID, "Invalid value %s for cpuset %s", text, what);
    if (!str_empty(all) && !cpuset_is_within(text, all))
        return err_new(ERR_INVALID, "Requested %s are not available - requested %s, available: %s",
                       names, text, all);
    return NULL;
}

static err *cpusets_check(const host_config *h)
{
    TRY(cpuset_check("cpus", "CPUs", h->cpuset_cpus, online_cpus));
    return cpuset_check("mems", "memory nodes", h->cpuset_mems, online_mems);
}

err *resources_check(const host_config *h)
{
    if (h->shm_size < 0)
        return err_new(ERR_INVALID, "SHM size can not be less than 0");
    if (h->oom_score_adj < -1000 || h->oom_score_adj > 1000)
        return err_new(ERR_INVALID, "Invalid value %lld, range for oom score adj is [-1000, 1000]",
                       (long long)h->oom_score_adj);
    TRY(memory_check(h));
    TRY(cpu_check(h));
    return cpusets_check(h);
}

/* ---- what the runtime reads ---- */

static void memory_write(const host_config *h, buf *b)
{
    jw_open(b, "memory", '{');
    if (h->memory) {
        int64_t swap = h->memory_swap ? h->memory_swap : 2 * h->memory;

        jw_int(b, "limit", h->memory);
        jw_int(b, "swap", swap);
    }
    if (h->memory_reservation)
        jw_int(b, "reservation", h->memory_reservation);
    if (h->memory_swappiness.set && h->memory_swappiness.n >= 0 &&
        runtime_cgroup_mode() != CGROUP_V2)
        jw_int(b, "swappiness", h->memory_swappiness.n);
    if (h->oom_kill_disable.set && h->oom_kill_disable.b && runtime_cgroup_mode() != CGROUP_V2)
        jw_bool(b, "disableOOMKiller", true);
    jw_close(b, '}');
}

static void cpu_write(const host_config *h, buf *b)
{
    int64_t period = h->nano_cpus ? CPU_PERIOD_US : h->cpu_period;
    int64_t quota = h->nano_cpus ? h->nano_cpus * CPU_PERIOD_US / NANO : h->cpu_quota;

    jw_open(b, "cpu", '{');
    if (h->cpu_shares)
        jw_int(b, "shares", h->cpu_shares < 2 ? 2 : h->cpu_shares);
    if (period)
        jw_int(b, "period", period);
    if (quota)
        jw_int(b, "quota", quota);
    if (!str_empty(h->cpuset_cpus))
        jw_str(b, "cpus", h->cpuset_cpus);
    if (!str_empty(h->cpuset_mems))
        jw_str(b, "mems", h->cpuset_mems);
    jw_close(b, '}');
}

static void pids_write(int64_t limit, buf *b)
{
    jw_open(b, "pids", '{');
    jw_int(b, "limit", limit);
    jw_close(b, '}');
}

void limits_write(const host_config *h, buf *b)
{
    memory_write(h, b);
    cpu_write(h, b);
    if (h->pids_limit.set && h->pids_limit.n > 0)
        pids_write(h->pids_limit.n, b);
}

err *spec_check_limits(const host_config *host)
{
    return resources_check(host);
}

void spec_build_limits(const host_config *host, buf *out)
{
    buf_char(out, '{');
    limits_write(host, out);
    if (host->pids_limit.set && host->pids_limit.n <= 0) /* a limit that was is to be lifted */
        pids_write(PIDS_ALL, out);
    jw_close(out, '}');
}
