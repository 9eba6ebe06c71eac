/* system.c - what the daemon says of itself and of its host.
 *
 * The host's facts are read once, at start; what changes is counted from memory when asked. */
#include <berth/container.h>
#include <berth/events.h>
#include <berth/flow.h>
#include <berth/image.h>
#include <berth/job.h>
#include <berth/mem.h>
#include <berth/runtime.h>
#include <berth/spec.h>
#include <berth/system.h>
#include <berth/timefmt.h>
#include <berth/tree.h>
#include <berth/volume.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { CAP_SYS_RESOURCE_BIT = 24 };

static system_opts conf;
static struct utsname host;
static char *os_name, *os_version, *engine_id;
static int64_t memory_bytes, cpus;
static const char *backing; /* the file system of the data root */

/* KEY="value" of os-release. */
static char *os_release(const char *text, const char *key)
{
    auto_strv lines = {0};

    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        size_t n = strlen(key);
        char *value = lines.v[i] + n + 1;

        if (strncmp(lines.v[i], key, n) != 0 || lines.v[i][n] != '=')
            continue;
        if (*value == '"' && str_ends(value, "\""))
            return xstrndup(value + 1, strlen(value) - 2);
        return xstrdup(value);
    }
    return xstrdup("");
}

static char *slurp(const char *path)
{
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[8192];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

    return n < 0 ? xstrdup("") : xstrndup(text, (size_t)n);
}

static void read_host(void)
{
    auto_free char *release = slurp("/etc/os-release");
    struct sysinfo si;

    uname(&host);
    os_name = os_release(release, "PRETTY_NAME");
    os_version = os_release(release, "VERSION_ID");
    memory_bytes = sysinfo(&si) < 0 ? 0 : (int64_t)si.totalram * si.mem_unit;
    cpus = sysconf(_SC_NPROCESSORS_ONLN);
}

/* What /proc/filesystems calls the file system of the data root, as dockerd does. */
static void read_backing(void)
{
    static const struct {
        long magic;
        const char *name;
    } known[] = {{EXT4_SUPER_MAGIC, "extfs"},
                 {XFS_SUPER_MAGIC, "xfs"},
                 {BTRFS_SUPER_MAGIC, "btrfs"},
                 {TMPFS_MAGIC, "tmpfs"},
                 {OVERLAYFS_SUPER_MAGIC, "overlayfs"},
                 {F2FS_SUPER_MAGIC, "f2fs"},
                 {NFS_SUPER_MAGIC, "nfs"},
                 {0x2fc12fc1, "zfs"}};
    struct statfs fs;

    backing = "<unknown>";
    if (statfs(conf.data_root, &fs) < 0)
        return;
    for (size_t i = 0; i < COUNT(known); i++)
        if ((long)fs.f_type == known[i].magic)
            backing = known[i].name;
}

/* Enabled when the first container needs it, so it is asked anew. */
static bool is_forwarding(void)
{
    auto_free char *text = slurp("/proc/sys/net/ipv4/ip_forward");

    return *text == '1';
}

/* 8-4-4-4-12 of a random id. */
static char *uuid_made_up(void)
{
    char id[65];

    str_random_id(id);
    return xasprintf("%.8s-%.4s-4%.3s-a%.3s-%.12s", id, id + 8, id + 12, id + 15, id + 18);
}

static err *read_engine_id(const char *data_root)
{
    auto_free char *path = xasprintf("%s/engine-id", data_root);

    engine_id = slurp(path);
    if (*engine_id)
        return NULL;
    free(engine_id);
    engine_id = uuid_made_up();
    return file_write(path, engine_id, strlen(engine_id), 0600);
}

err *system_init(const system_opts *opts)
{
    conf = *opts;
    read_host();
    read_backing();
    return read_engine_id(opts->data_root);
}

void system_reload(const strv *labels, bool debug, bool live_restore)
{
    conf.labels = labels;
    conf.debug = debug;
    conf.live_restore = live_restore;
    system_texts_drop();
}

bool system_is_debug(void)
{
    return conf.debug;
}

void system_done(void)
{
    system_texts_drop();
    free(take(os_name));
    free(take(os_version));
    free(take(engine_id));
}

const char *system_id(void)
{
    return engine_id;
}

const char *system_hostname(void)
{
    return host.nodename;
}

static const char *go_arch(void)
{
    if (str_eq(host.machine, "x86_64"))
        return "amd64";
    return str_eq(host.machine, "aarch64") ? "arm64" : host.machine;
}

static void component(version_answer *v, arena *a, const char *name, const char *version)
{
    version_component *c = json_list_add(&v->components, a, &version_component_json);

    c->name = (char *)name;
    c->version = (char *)version;
}

void system_version(arena *a, version_answer *ret)
{
    version_component *engine;

    ret->platform.name = "Berth";
    component(ret, a, "Engine", ENGINE_VERSION);
    engine = ret->components.v;
    json_map_set(&engine->details, a, "ApiVersion", arena_printf(a, "1.%d", API_MAX));
    json_map_set(&engine->details, a, "MinAPIVersion", arena_printf(a, "1.%d", API_MIN));
    json_map_set(&engine->details, a, "Arch", go_arch());
    json_map_set(&engine->details, a, "Os", "linux");
    json_map_set(&engine->details, a, "KernelVersion", host.release);
    json_map_set(&engine->details, a, "GitCommit", "");
    json_map_set(&engine->details, a, "GoVersion", "");
    json_map_set(&engine->details, a, "BuildTime", "");
    json_map_set(&engine->details, a, "Experimental", "false");
    component(ret, a, "berthd", BERTH_VERSION);
    for (size_t i = 0; i < runtime_count(); i++)
        if (runtime_nth(i)->works)
            component(ret, a, runtime_nth(i)->name, runtime_nth(i)->version);
    ret->version = ENGINE_VERSION;
    ret->api_version = arena_printf(a, "1.%d", API_MAX);
    ret->min_api_version = arena_printf(a, "1.%d", API_MIN);
    ret->os = "linux";
    ret->arch = (char *)go_arch();
    ret->kernel_version = host.release;
}

/* As dockerd: what is configured, whether or not it has been found to work. */
static void runtimes_of(arena *a, info_answer *ret)
{
    for (size_t i = 0; i < runtime_count(); i++) {
        const runtime *rt = runtime_nth(i);

        ((info_runtime *)json_mapof_add(&ret->runtimes, a, &info_runtime_json, rt->name))->path =
            rt->path;
    }
    ret->default_runtime = runtime_default()->name;
}

static void security_of(arena *a, info_answer *ret)
{
    if (access("/sys/kernel/security/apparmor/profiles", F_OK) == 0)
        json_strs_add(&ret->security_options, a, "name=apparmor");
    if (spec_has_seccomp())
        json_strs_add(&ret->security_options, a, "name=seccomp,profile=builtin");
    if (runtime_cgroup_mode() == CGROUP_V2)
        json_strs_add(&ret->security_options, a, "name=cgroupns");
}

/* Runtimes that Debian 12 ships with published, unfixed flaws are named. */
static void warnings_of(arena *a, info_answer *ret)
{
    for (size_t i = 0; i < runtime_count(); i++) {
        const runtime *rt = runtime_nth(i);

        if (rt->works && str_eq(rt->name, "runc") && str_starts(rt->version, "1.1."))
            json_strs_add(&ret->warnings, a,
                          arena_printf(a,
                                       "WARNING: runc %s has known vulnerabilities "
                                       "(CVE-2025-31133, CVE-2025-52565, CVE-2025-52881)",
                                       rt->version));
        if (rt->works && str_eq(rt->name, "crun") && str_starts(rt->version, "1.8"))
            json_strs_add(
                &ret->warnings, a,
                arena_printf(a, "WARNING: crun %s has a known vulnerability (CVE-2026-30892)",
                             rt->version));
    }
    if (!spec_has_seccomp())
        json_strs_add(&ret->warnings, a, "WARNING: no seccomp profile is installed");
    if (prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE_BIT, 0, 0, 0) != 1)
        json_strs_add(
            &ret->warnings, a,
            "WARNING: the daemon lacks CAP_SYS_RESOURCE: limits cannot be raised above its own");
}

/* Which registries may be spoken to without TLS, and the mirrors of Docker Hub. */
static void registries_of(arena *a, info_answer *ret)
{
    const registry_settings *s = images_registry();
    auto_buf all = {0}, mirrors = {0};

    json_strs_add(&ret->registry.insecure_cidrs, a, "::1/128");
    json_strs_add(&ret->registry.insecure_cidrs, a, "127.0.0.0/8");
    for (size_t i = 0; i < s->mirrors.n; i++) {
        if (strchr(s->mirrors.v[i], '='))
            continue;
        json_strs_add(&ret->registry.mirrors, a, s->mirrors.v[i]);
        buf_str(&mirrors, mirrors.len ? "," : "");
        json_quote(s->mirrors.v[i], &mirrors);
    }
    buf_printf(&all,
               "{\"docker.io\":{\"Mirrors\":[%s],\"Name\":\"docker.io\",\"Official\":true,"
               "\"Secure\":true}",
               mirrors.len ? mirrors.data : "");
    for (size_t i = 0; i < s->insecure.n; i++) {
        if (strchr(s->insecure.v[i], '/')) {
            json_strs_add(&ret->registry.insecure_cidrs, a, s->insecure.v[i]);
            continue;
        }
        buf_char(&all, ',');
        json_quote(s->insecure.v[i], &all);
        buf_str(&all, ":{\"Mirrors\":[],\"Name\":");
        json_quote(s->insecure.v[i], &all);
        buf_str(&all, ",\"Official\":false,\"Secure\":false}");
    }
    buf_char(&all, '}');
    ret->registry.index_configs.text = arena_strdup(a, all.data);
}

static void limits_of(info_answer *ret)
{
    bool v2 = runtime_cgroup_mode() == CGROUP_V2;

    ret->memory_limit = ret->cpu_cfs_period = ret->cpu_cfs_quota = ret->cpu_shares = ret->cpu_set =
        true;
    ret->pids_limit = true;
    ret->swap_limit = v2 || access("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", F_OK) == 0;
    ret->oom_kill_disable = !v2;
    ret->cgroup_driver = "cgroupfs";
    ret->cgroup_version = v2 ? "2" : "1";
}

static void plugins_of(arena *a, info_answer *ret)
{
    static const char *const networks[] = {"bridge", "host", "ipvlan", "macvlan", "null"},
                             *const logs[] = {"json-file", "none"};

    json_strs_add(&ret->plugins.volume, a, VOLUME_DRIVER);
    for (size_t i = 0; i < COUNT(networks); i++)
        json_strs_add(&ret->plugins.network, a, networks[i]);
    for (size_t i = 0; i < COUNT(logs); i++)
        json_strs_add(&ret->plugins.log, a, logs[i]);
}

static unsigned descriptors(void)
{
    auto_closedir DIR *d = opendir("/proc/self/fd");
    unsigned n = 0;

    while (d && readdir(d))
        n++;
    return n > 3 ? n - 3 : 0; /* ".", ".." and the one that looks */
}

/* What a daemon in debug mode tells: what runs beside the loop takes the place of goroutines. */
static void debug_of(info_answer *ret)
{
    ret->debug = conf.debug;
    ret->n_events_listener = event_subscribers();
    if (!conf.debug)
        return;
    ret->n_fd = descriptors();
    ret->n_goroutines = jobs_running() + flows_running();
}

static char *program_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return (char *)(slash ? slash + 1 : str_or(path, ""));
}

void system_info(arena *a, info_answer *ret)
{
    containers_count n = containers_counted();
    char now[TIME_TEXT];

    time_rfc3339(time_now_ns(), now);
    ret->id = engine_id;
    ret->containers = n.all;
    ret->running = n.running;
    ret->paused = n.paused;
    ret->stopped = n.stopped;
    ret->images = images_count();
    ret->driver = "overlay2";
    ret->driver_status.text = arena_printf(
        a, "[[\"Backing Filesystem\",\"%s\"],[\"Supports d_type\",\"true\"]]", backing);
    plugins_of(a, ret);
    limits_of(ret);
    ret->ipv4_forwarding = is_forwarding();
    debug_of(ret);
    ret->system_time = arena_strdup(a, now);
    ret->logging_driver = (char *)conf.logging_driver;
    ret->kernel_version = host.release;
    ret->operating_system = os_name;
    ret->os_version = os_version;
    ret->os_type = "linux";
    ret->architecture = host.machine;
    registries_of(a, ret);
    ret->n_cpu = cpus;
    ret->mem_total = memory_bytes;
    ret->index_server = "https://index.docker.io/v1/";
    ret->root_dir = (char *)conf.data_root;
    ret->name = host.nodename;
    for (size_t i = 0; conf.labels && i < conf.labels->n; i++)
        json_strs_add(&ret->labels, a, conf.labels->v[i]);
    ret->server_version = ENGINE_VERSION;
    runtimes_of(a, ret);
    ret->swarm.state = "inactive";
    ret->live_restore = conf.live_restore;
    ret->init_binary = program_name(conf.init_path);
    ret->firewall = arena_alloc(a, sizeof(*ret->firewall));
    ret->firewall->driver = "nftables";
    security_of(a, ret);
    warnings_of(a, ret);
}
