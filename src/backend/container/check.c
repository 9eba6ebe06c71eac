/* check.c - what create refuses, what it does not do by name, and the defaults dockerd fills in.
 *
 * Loop thread only; looks at the host's devices and bind sources, which are cheap to stat. */
#include "private.h"
#include <berth/mem.h>
#include <berth/netfiles.h>
#include <berth/spec.h>
#include <berth/str.h>
#include <string.h>

#define HEALTH_TIME_MIN_NS 1000000 /* dockerd's MinimumDuration */

static err *unsupported(const char *field)
{
    return err_new(ERR_UNSUPPORTED, "%s is not supported", field);
}

static bool is_one_of(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (str_eq(s, *list))
            return true;
    return false;
}

/* ---- fields that do nothing here: named, not dropped ---- */

static err *lists_supported(const host_config *h)
{
    const struct {
        size_t n;
        const char *field;
    } lists[] = {
        {h->storage_opt.n, "HostConfig.StorageOpt"},
        {h->blkio_weight_device.n, "HostConfig.BlkioWeightDevice"},
        {h->blkio_read_bps.n, "HostConfig.BlkioDeviceReadBps"},
        {h->blkio_write_bps.n, "HostConfig.BlkioDeviceWriteBps"},
        {h->blkio_read_iops.n, "HostConfig.BlkioDeviceReadIOps"},
        {h->blkio_write_iops.n, "HostConfig.BlkioDeviceWriteIOps"},
        {h->device_requests.n, "HostConfig.DeviceRequests"},
    };

    for (size_t i = 0; i < COUNT(lists); i++)
        if (lists[i].n)
            return unsupported(lists[i].field);
    return NULL;
}

static err *numbers_supported(const host_config *h)
{
    const struct {
        int64_t n;
        const char *field;
    } numbers[] = {
        {h->blkio_weight, "HostConfig.BlkioWeight"},
        {h->cpu_realtime_period, "HostConfig.CpuRealtimePeriod"},
        {h->cpu_realtime_runtime, "HostConfig.CpuRealtimeRuntime"},
        {h->kernel_memory, "HostConfig.KernelMemory"},
        {h->kernel_memory_tcp, "HostConfig.KernelMemoryTCP"},
    };

    for (size_t i = 0; i < COUNT(numbers); i++)
        if (numbers[i].n)
            return unsupported(numbers[i].field);
    return NULL;
}

static err *modes_supported(const host_config *h)
{
    static const char *const ipc[] = {"", "private", "none", "host", NULL};
    static const char *const uts[] = {"", "host", NULL};
    static const char *const userns[] = {"", "host", NULL};
    static const char *const cgroupns[] = {"", "host", "private", NULL};
    const struct {
        const char *mode, *field;
        const char *const *known;
    } modes[] = {
        {h->ipc_mode, "HostConfig.IpcMode", ipc},
        {h->pid_mode, "HostConfig.PidMode", uts},
        {h->uts_mode, "HostConfig.UTSMode", uts},
        {h->userns_mode, "HostConfig.UsernsMode", userns},
        {h->cgroupns_mode, "HostConfig.CgroupnsMode", cgroupns},
    };

    for (size_t i = 0; i < COUNT(modes); i++)
        if (!is_one_of(str_or(modes[i].mode, ""), modes[i].known))
            return err_new(ERR_UNSUPPORTED, "%s \"%s\" is not supported", modes[i].field,
                           modes[i].mode);
    if (!str_empty(h->isolation) && !str_eq(h->isolation, "default"))
        return err_new(ERR_INVALID, "invalid isolation: \"%s\" is not supported on linux",
                       h->isolation);
    if (!str_empty(h->cgroup))
        return unsupported("HostConfig.Cgroup");
    return NULL;
}

static err *restart_check(const host_config *h)
{
    static const char *const known[] = {"always", "on-failure", "unless-stopped", NULL};
    const char *name = str_or(h->restart_policy.name, "no");

    if (str_eq(name, "no"))
        return h->restart_policy.maximum_retry_count
                   ? err_new(ERR_INVALID, "invalid restart policy: maximum retry count can only be "
                                          "used with 'on-failure'")
                   : NULL;
    if (!is_one_of(name, known))
        return err_new(ERR_INVALID,
                       "invalid restart policy: unknown policy '%s'; use one of 'no', 'always', "
                       "'on-failure', or "
                       "'unless-stopped'",
                       name);
    if (h->auto_remove)
        return err_new(ERR_INVALID, "can't create 'AutoRemove' container with restart policy");
    if (h->restart_policy.maximum_retry_count < 0)
        return err_new(ERR_INVALID,
                       "invalid restart policy: maximum retry count cannot be negative");
    if (h->restart_policy.maximum_retry_count && !str_eq(name, "on-failure"))
        return err_new(ERR_INVALID, "invalid restart policy: maximum retry count can only be used "
                                    "with 'on-failure'");
    return NULL;
}

static err *log_check(const host_config *h)
{
    static const char *const known[] = {"", "json-file", "none", NULL};
    static const char *const options[] = {"max-size", "max-file", "compress", NULL};
    int64_t n;

    if (!is_one_of(str_or(h->log_config.type, ""), known))
        return err_new(ERR_UNSUPPORTED, "HostConfig.LogConfig.Type \"%s\" is not supported",
                       h->log_config.type);
    for (size_t i = 0; i < h->log_config.config.n; i++) {
        const char *key = h->log_config.config.keys[i], *value = h->log_config.config.values[i];

        if (!is_one_of(key, options))
            return err_new(ERR_INVALID, "unknown log opt '%s' for json-file log driver", key);
        if (str_eq(key, "max-size") && (!str_to_bytes(value, &n) || n <= 0) && !str_eq(value, "-1"))
            return err_new(ERR_INVALID, "max-size must be a positive number: \"%s\"", value);
        if (str_eq(key, "max-file") && (!str_to_int64(value, &n) || n < 1))
            return err_new(ERR_INVALID, "max-file cannot be less than 1: \"%s\"", value);
        if (str_eq(key, "compress") && !str_eq(value, "true") && !str_eq(value, "false"))
            return err_new(ERR_INVALID, "strconv.ParseBool: parsing \"%s\": invalid syntax", value);
    }
    return NULL;
}

static err *healthcheck_check(const healthcheck *h)
{
    const struct {
        const char *name;
        int64_t ns;
    } times[] = {
        {"Interval", h ? h->interval : 0},
        {"Timeout", h ? h->timeout : 0},
        {"StartPeriod", h ? h->start_period : 0},
        {"StartInterval", h ? h->start_interval : 0},
    };

    for (size_t i = 0; i < COUNT(times); i++)
        if (times[i].ns && times[i].ns < HEALTH_TIME_MIN_NS)
            return err_new(ERR_INVALID, "%s in Healthcheck cannot be less than 1ms", times[i].name);
    if (h && h->retries < 0)
        return err_new(ERR_INVALID, "Retries in Healthcheck cannot be negative");
    return NULL;
}

static err *config_supported(const container_config *k)
{
    int signo;

    TRY(healthcheck_check(k->healthcheck));
    if (!str_empty(k->stop_signal))
        TRY(signal_parse(k->stop_signal, &signo));
    for (size_t i = 0; i < k->env.n; i++)
        if (!*k->env.v[i] || k->env.v[i][0] == '=')
            return err_new(ERR_INVALID, "invalid environment variable: %s", k->env.v[i]);
    return NULL;
}

err *config_check(const container_create_opts *o, strv *warnings)
{
    const host_config *h = o->host;
    dns_opts dns = {&h->dns, &h->dns_search, &h->dns_options};

    TRY(config_supported(o->config));
    TRY(lists_supported(h));
    TRY(numbers_supported(h));
    TRY(modes_supported(h));
    TRY(restart_check(h));
    TRY(log_check(h));
    TRY(ports_check(o->config, h, warnings));
    TRY(netfiles_check(&dns, &h->extra_hosts));
    TRY(netfiles_check_hostname(o->config->hostname, o->config->domainname));
    if (!str_empty(h->runtime) && !runtime_find(h->runtime))
        return err_new(ERR_INVALID, "unknown or invalid runtime name: %s", h->runtime);
    return spec_validate(o->config, h, warnings);
}

err *config_check_update(const host_config *wish)
{
    TRY(lists_supported(wish));
    TRY(numbers_supported(wish));
    TRY(restart_check(wish));
    return spec_check_limits(wish);
}

/* ---- merging with the image ---- */

static size_t key_length(const char *pair)
{
    return strcspn(pair, "=");
}

static bool env_has(const json_strs *env, const char *pair)
{
    size_t n = key_length(pair);

    for (size_t i = 0; i < env->n; i++)
        if (key_length(env->v[i]) == n && strncmp(env->v[i], pair, n) == 0)
            return true;
    return false;
}

/* The image's first, what the caller says of the same name instead; an image's bare name says
 * nothing. */
static void merge_env(container_config *c, const json_strs *from, arena *a)
{
    json_strs merged = {0};

    for (size_t i = 0; i < from->n; i++)
        if (strchr(from->v[i], '=') && !env_has(&c->env, from->v[i]))
            json_strs_add(&merged, a, from->v[i]);
    for (size_t i = 0; i < c->env.n; i++)
        json_strs_add(&merged, a, c->env.v[i]);
    if (merged.n)
        c->env = merged;
}

/* Field by field: what the caller does not say is as the image has it. */
static void merge_healthcheck(container_config *c, healthcheck *from)
{
    healthcheck *h = c->healthcheck;

    if (!h || !from) {
        c->healthcheck = h ? h : from;
        return;
    }
    if (!h->test.n)
        h->test = from->test;
    h->interval = h->interval ? h->interval : from->interval;
    h->timeout = h->timeout ? h->timeout : from->timeout;
    h->start_period = h->start_period ? h->start_period : from->start_period;
    h->start_interval = h->start_interval ? h->start_interval : from->start_interval;
    h->retries = h->retries ? h->retries : from->retries;
}

err *config_merge(container_config *c, const image_run_config *from, arena *a)
{
    merge_env(c, &from->env, a);
    if (str_empty(c->user))
        c->user = from->user;
    for (size_t i = 0; i < from->exposed_ports.n; i++)
        json_strs_add(&c->exposed_ports, a, from->exposed_ports.v[i]);
    for (size_t i = 0; i < from->labels.n; i++)
        if (!json_map_get(&c->labels, from->labels.keys[i]))
            json_map_set(&c->labels, a, from->labels.keys[i], from->labels.values[i]);
    if (!c->entrypoint.set) { /* an entrypoint of the caller's own takes the image's command away */
        if (!c->cmd.n)
            c->cmd = from->cmd;
        c->entrypoint = from->entrypoint;
    }
    if (c->entrypoint.n == 1 && !*c->entrypoint.v[0]) /* [""] clears it */
        c->entrypoint = (json_strs){0};
    if (str_empty(c->working_dir))
        c->working_dir = from->working_dir;
    if (str_empty(c->stop_signal))
        c->stop_signal = from->stop_signal;
    merge_healthcheck(c, from->healthcheck);
    for (size_t i = 0; i < from->volumes.n; i++)
        json_strs_add(&c->volumes, a, from->volumes.v[i]);
    if (!c->shell.n)
        c->shell = from->shell;
    if (!c->entrypoint.n && !c->cmd.n)
        return err_new(ERR_INVALID, "no command specified");
    return NULL;
}

static void fill_list(json_strs *list, const char *const *from, arena *a)
{
    if (list->set)
        return;
    list->set = true;
    for (; *from; from++)
        json_strs_add(list, a, *from);
}

err *config_defaults(host_config *h, int api_version, arena *a)
{
    static const char *const nothing[] = {NULL};
    bool open = h->privileged;

    for (size_t i = 0; i < h->security_opt.n; i++)
        open |= str_eq(h->security_opt.v[i], "systempaths=unconfined");
    fill_list(&h->masked_paths, open ? nothing : spec_masked_paths(), a);
    fill_list(&h->readonly_paths, open ? nothing : spec_readonly_paths(), a);
    if (str_empty(h->network_mode) || str_eq(h->network_mode, "default"))
        h->network_mode = arena_strdup(a, "bridge");
    if (str_empty(h->ipc_mode))
        h->ipc_mode = arena_strdup(a, "private");
    if (str_empty(h->cgroupns_mode))
        h->cgroupns_mode = arena_strdup(
            a, api_version >= 41 && runtime_cgroup_mode() == CGROUP_V2 && !h->privileged ? "private"
                                                                                         : "host");
    if (str_empty(h->restart_policy.name))
        h->restart_policy.name = arena_strdup(a, "no");
    if (str_empty(h->runtime))
        h->runtime = arena_strdup(a, runtime_default()->name);
    if (!h->shm_size)
        h->shm_size = 64 << 20;
    if (!h->memory_swap && h->memory)
        h->memory_swap = 2 * h->memory;
    if (!h->console_size.text)
        h->console_size.text = arena_strdup(a, "[0,0]");
    if (str_empty(h->log_config.type)) {
        h->log_config.type = arena_strdup(a, containers_conf.log_driver);
        for (size_t i = 0; containers_conf.log_opts && i < containers_conf.log_opts->n; i++)
            if (!json_map_get(&h->log_config.config, containers_conf.log_opts->keys[i]))
                json_map_set(&h->log_config.config, a, containers_conf.log_opts->keys[i],
                             containers_conf.log_opts->values[i]);
    }
    for (size_t i = 0; containers_conf.default_ulimits && i < containers_conf.default_ulimits->n;
         i++) {
        const ulimit *d = JSON_AT(*containers_conf.default_ulimits, ulimit, i);
        bool has = false;

        for (size_t k = 0; k < h->ulimits.n; k++)
            has |= str_eq(JSON_AT(h->ulimits, ulimit, k)->name, d->name);
        if (!has)
            *(ulimit *)json_list_add(&h->ulimits, a, &ulimit_json) = *d;
    }
    return NULL;
}
