/* spec.c - the OCI config.json: process, root, namespaces, and what its other files write.
 *
 * The order of checks and the defaults are dockerd's.  Any thread after spec_host_init. */
#include "spec.h"
#include "jsonw.h"
#include "seccomp.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/runtime.h>
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECCOMP_PROFILE_PATH "/usr/share/containers/seccomp.json"

static const char *const readonly_paths[] = {
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL};
static const char *const masked_fixed[] = {
    "/proc/asound",      "/proc/acpi",          "/proc/interrupts", "/proc/kcore",
    "/proc/keys",        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
    "/proc/sched_debug", "/proc/scsi",          "/sys/firmware",    "/sys/devices/virtual/powercap",
};
static strv masked;
static bool has_apparmor;

const char *const *spec_masked_paths(void)
{
    return (const char *const *)masked.v;
}

const char *const *spec_readonly_paths(void)
{
    return readonly_paths;
}

bool spec_has_seccomp(void)
{
    return seccomp_is_there();
}

static void find_masked_paths(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);

    strv_done(&masked);
    for (size_t i = 0; i < COUNT(masked_fixed); i++)
        strv_push(&masked, masked_fixed[i]);
    for (long i = 0; i < cpus; i++) {
        auto_free char *path = xasprintf("/sys/devices/system/cpu/cpu%ld/thermal_throttle", i);

        if (access(path, F_OK) == 0)
            strv_push(&masked, path);
    }
}

err *spec_host_init(const char *seccomp_profile_path)
{
    err *e;

    caps_init();
    limits_init();
    find_masked_paths();
    has_apparmor = access("/sys/kernel/security/apparmor/profiles", F_OK) == 0;
    e = seccomp_init(seccomp_profile_path ? seccomp_profile_path : SECCOMP_PROFILE_PATH);
    if (e && !seccomp_profile_path && err_kind(e) == ERR_NOT_FOUND) {
        log_warn("no seccomp profile is installed: containers run without one", "path",
                 SECCOMP_PROFILE_PATH);
        err_free(e);
        e = NULL;
    }
    return e;
}

void spec_host_done(void)
{
    seccomp_done();
    limits_done();
    strv_done(&masked);
}

bool mode_is_host(const char *mode)
{
    return str_eq(mode, "host");
}

bool mode_is_container(const char *mode)
{
    return mode && str_starts(mode, "container:");
}

/* ---- security options ---- */

static err *security_opt_parse(const char *opt, security_opts *s)
{
    const char *eq = strpbrk(opt, "=:");
    auto_free char *key = xstrndup(opt, eq ? (size_t)(eq - opt) : strlen(opt));
    const char *value = eq ? eq + 1 : NULL;

    if (str_eq(key, "no-new-privileges")) {
        if (value && !str_eq(value, "true") && !str_eq(value, "false"))
            return err_new(ERR_INVALID, "invalid --security-opt 2: \"%s\"", opt);
        s->no_new_privileges = !value || str_eq(value, "true");
    } else if (!value) {
        return err_new(ERR_INVALID, "invalid --security-opt 1: \"%s\"", opt);
    } else if (str_eq(key, "seccomp")) {
        s->seccomp_unconfined = str_eq(value, "unconfined");
        s->seccomp_profile = s->seccomp_unconfined || str_eq(value, "builtin") ? NULL : value;
    } else if (str_eq(key, "apparmor")) {
        s->apparmor = value;
    } else if (str_eq(key, "systempaths") && str_eq(value, "unconfined")) {
        s->systempaths_unconfined = true;
    } else if (str_eq(key, "label")) {
        if (!str_eq(value, "disable"))
            return err_new(ERR_UNSUPPORTED,
                           "security option label=%s is not supported: SELinux is not enabled",
                           value);
    } else {
        return err_new(ERR_INVALID, "invalid --security-opt 2: \"%s\"", opt);
    }
    return NULL;
}

err *security_opts_parse(const json_strs *list, security_opts *ret)
{
    security_opts s = {0};

    for (size_t i = 0; i < list->n; i++)
        TRY(security_opt_parse(list->v[i], &s));
    if (s.apparmor && !has_apparmor && !str_eq(s.apparmor, "unconfined"))
        return err_new(ERR_INVALID,
                       "AppArmor is not enabled on this host, profile \"%s\" cannot be used",
                       s.apparmor);
    *ret = s;
    return NULL;
}

/* ---- process ---- */

static void caps_write(buf *b, const char *key, cap_set set)
{
    jw_open(b, key, '[');
    for (unsigned n = 0; cap_name(n); n++)
        if (set >> n & 1)
            jw_str(b, NULL, cap_name(n));
    jw_close(b, ']');
}

/* A user who is not root starts without effective ones; inheritable and ambient are always empty.
 */
static void capabilities_write(buf *b, cap_set set, uint32_t uid)
{
    jw_open(b, "capabilities", '{');
    caps_write(b, "bounding", set);
    caps_write(b, "effective", uid ? 0 : set);
    caps_write(b, "permitted", uid ? 0 : set);
    caps_write(b, "inheritable", 0);
    caps_write(b, "ambient", 0);
    jw_close(b, '}');
}

static void user_write(buf *b, const spec_user *u)
{
    jw_open(b, "user", '{');
    jw_int(b, "uid", u->uid);
    jw_int(b, "gid", u->gid);
    jw_open(b, "additionalGids", '[');
    for (size_t i = 0; i < u->n_gids; i++)
        jw_int(b, NULL, u->gids[i]);
    jw_close(b, ']');
    jw_close(b, '}');
}

static bool env_has(const char *const *env, const char *key)
{
    size_t n = strlen(key);

    for (; env && *env; env++)
        if (strncmp(*env, key, n) == 0 && (*env)[n] == '=')
            return true;
    return false;
}

static void env_write(buf *b, const char *const *env, const spec_user *u)
{
    jw_open(b, "env", '[');
    for (const char *const *e = env; e && *e; e++)
        jw_str(b, NULL, *e);
    if (!env_has(env, "HOME")) {
        auto_free char *home = xasprintf("HOME=%s", str_or(u->home, "/"));

        jw_str(b, NULL, home);
    }
    jw_close(b, ']');
}

typedef struct process {
    const char *const *env, *const *argv, *const *prefix;
    const char *cwd;
    const spec_user *user;
    const host_config *host;
    const security_opts *security;
    cap_set caps;
    bool tty;
    unsigned rows, cols;
} process;

static err *process_write(buf *b, const char *key, const process *p, strv *warnings)
{
    jw_open(b, key, '{');
    jw_bool(b, "terminal", p->tty);
    if (p->tty && p->rows && p->cols) {
        jw_open(b, "consoleSize", '{');
        jw_int(b, "height", p->rows);
        jw_int(b, "width", p->cols);
        jw_close(b, '}');
    }
    user_write(b, p->user);
    jw_open(b, "args", '[');
    for (const char *const *a = p->prefix; a && *a; a++)
        jw_str(b, NULL, *a);
    for (const char *const *a = p->argv; a && *a; a++)
        jw_str(b, NULL, *a);
    jw_close(b, ']');
    env_write(b, p->env, p->user);
    jw_str(b, "cwd", str_or(p->cwd, "/"));
    capabilities_write(b, p->caps, p->user->uid);
    TRY(rlimits_write(&p->host->ulimits, b, warnings));
    jw_bool(b, "noNewPrivileges", p->security->no_new_privileges);
    jw_int(b, "oomScoreAdj", p->host->oom_score_adj);
    if (p->security->apparmor && has_apparmor)
        jw_str(b, "apparmorProfile", p->security->apparmor);
    jw_close(b, '}');
    return NULL;
}

err *spec_build_exec(const spec_exec *in, buf *out)
{
    security_opts security;
    process p = {.env = in->env,
                 .argv = in->argv,
                 .cwd = in->cwd,
                 .user = in->user,
                 .host = in->host,
                 .security = &security,
                 .tty = in->tty,
                 .rows = in->rows,
                 .cols = in->cols};

    TRY(security_opts_parse(&in->host->security_opt, &security));
    TRY(caps_for(in->host, in->privileged || in->host->privileged, NULL, &p.caps));
    return process_write(out, NULL, &p, NULL);
}

/* ---- linux ---- */

static void namespace_write(buf *b, const char *type, const char *path)
{
    jw_open(b, NULL, '{');
    jw_str(b, "type", type);
    if (path)
        jw_str(b, "path", path);
    jw_close(b, '}');
}

/* dockerd's default: private on v2, the host's on v1. */
static bool cgroupns_is_private(const host_config *h)
{
    if (str_empty(h->cgroupns_mode))
        return runtime_cgroup_mode() == CGROUP_V2 && !h->privileged;
    return str_eq(h->cgroupns_mode, "private");
}

static void namespaces_write(const spec_input *in, buf *b)
{
    jw_open(b, "namespaces", '[');
    namespace_write(b, "mount", NULL);
    if (in->netns_path)
        namespace_write(b, "network", in->netns_path);
    if (!mode_is_host(in->host->uts_mode))
        namespace_write(b, "uts", in->utsns_path);
    if (!mode_is_host(in->host->pid_mode))
        namespace_write(b, "pid", in->pidns_path);
    if (!mode_is_host(in->host->ipc_mode))
        namespace_write(b, "ipc", in->ipcns_path);
    if (cgroupns_is_private(in->host))
        namespace_write(b, "cgroup", NULL);
    jw_close(b, ']');
}

static void paths_write(buf *b, const char *key, const json_strs *asked,
                        const char *const *defaults)
{
    jw_open(b, key, '[');
    if (asked->set)
        for (size_t i = 0; i < asked->n; i++)
            jw_str(b, NULL, asked->v[i]);
    else
        for (; *defaults; defaults++)
            jw_str(b, NULL, *defaults);
    jw_close(b, ']');
}

static err *seccomp_write(const spec_input *in, const security_opts *s, cap_set caps, buf *b)
{
    if (in->host->privileged || s->seccomp_unconfined || in->seccomp_bpf ||
        (!s->seccomp_profile && !seccomp_is_there()))
        return NULL;
    jw_key(b, "seccomp");
    return s->seccomp_profile ? seccomp_custom(s->seccomp_profile, caps, b)
                              : seccomp_builtin(caps, b);
}

static err *linux_write(const spec_input *in, const security_opts *s, cap_set caps, buf *b)
{
    const char *propagation;

    jw_open(b, "linux", '{');
    namespaces_write(in, b);
    jw_str(b, "cgroupsPath", in->cgroups_path);
    resources_write(in, b);
    TRY(devices_write(in, b));
    sysctls_write(in, b);
    if (mounts_propagate(in, &propagation))
        jw_str(b, "rootfsPropagation", propagation);
    if (!in->host->privileged && !s->systempaths_unconfined) {
        paths_write(b, "maskedPaths", &in->host->masked_paths, spec_masked_paths());
        paths_write(b, "readonlyPaths", &in->host->readonly_paths, spec_readonly_paths());
    }
    TRY(seccomp_write(in, s, caps, b));
    jw_close(b, '}');
    return NULL;
}

err *spec_build(const spec_input *in, buf *out, strv *warnings)
{
    static const char *const init_prefix[] = {"/sbin/docker-init", "--", NULL};
    security_opts security;
    process p = {.env = in->env,
                 .argv = in->argv,
                 .prefix = in->init_path ? init_prefix : NULL,
                 .cwd = in->config->working_dir,
                 .user = in->user,
                 .host = in->host,
                 .security = &security,
                 .tty = in->config->tty};

    TRY(security_opts_parse(&in->host->security_opt, &security));
    TRY(caps_for(in->host, in->host->privileged, warnings, &p.caps));
    buf_char(out, '{');
    jw_str(out, "ociVersion", "1.0.2");
    TRY(process_write(out, "process", &p, warnings));
    jw_open(out, "root", '{');
    jw_str(out, "path", in->rootfs);
    jw_bool(out, "readonly", in->host->readonly_rootfs);
    jw_close(out, '}');
    if (!str_empty(in->hostname) && !mode_is_host(in->host->uts_mode))
        jw_str(out, "hostname", in->hostname);
    if (!str_empty(in->config->domainname) && !mode_is_host(in->host->uts_mode))
        jw_str(out, "domainname", in->config->domainname);
    mounts_write(in, out);
    jw_open(out, "annotations", '{');
    for (size_t i = 0; i < in->host->annotations.n; i++)
        jw_str(out, in->host->annotations.keys[i], in->host->annotations.values[i]);
    if (in->seccomp_bpf)
        jw_str(out, "run.oci.seccomp_bpf_data", in->seccomp_bpf);
    jw_close(out, '}');
    TRY(linux_write(in, &security, p.caps, out));
    jw_close(out, '}');
    return NULL;
}

bool spec_is_plain_seccomp(const host_config *host)
{
    security_opts security;
    cap_set caps;
    err *e = security_opts_parse(&host->security_opt, &security);

    if (!e)
        e = caps_for(host, host->privileged, NULL, &caps);
    if (e) {
        err_free(e);
        return false;
    }
    return !host->privileged && !security.seccomp_unconfined && !security.seccomp_profile &&
           seccomp_is_default(caps);
}

err *spec_validate(const container_config *config, const host_config *host, strv *warnings)
{
    security_opts security;
    auto_buf scratch = {0};
    cap_set caps;

    if (!str_empty(config->working_dir) && config->working_dir[0] != '/')
        return err_new(ERR_INVALID,
                       "the working directory '%s' is invalid, it needs to be an absolute path",
                       config->working_dir);
    TRY(security_opts_parse(&host->security_opt, &security));
    TRY(caps_for(host, host->privileged, warnings, &caps));
    if (security.seccomp_profile)
        TRY(seccomp_custom(security.seccomp_profile, caps, &scratch));
    TRY(resources_check(host));
    TRY(rlimits_write(&host->ulimits, &scratch, warnings));
    TRY(devices_check(host));
    TRY(sysctls_check(host));
    return mounts_check(host);
}
