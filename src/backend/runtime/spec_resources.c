/* spec_resources.c - devices, rlimits and sysctls of the OCI spec, and dockerd's
 * checks of what is asked for.  Any thread; devices are looked up on the host. */
#include "spec.h"
#include "jsonw.h"
#include <berth/mem.h>
#include <berth/runtime.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ---- device rules ---- */

static void device_rule(buf *b, bool allow, const char *type, int64_t major, int64_t minor,
                        const char *access)
{
    jw_open(b, NULL, '{');
    jw_bool(b, "allow", allow);
    if (type)
        jw_str(b, "type", type);
    if (major >= 0)
        jw_int(b, "major", major);
    if (minor >= 0)
        jw_int(b, "minor", minor);
    jw_str(b, "access", access);
    jw_close(b, '}');
}

/* "c 10:200 rwm", "a *:* rwm": false when it is not of that form. */
static bool rule_parse(const char *text, char *ret_type, int64_t *ret_major, int64_t *ret_minor,
                       char access[4])
{
    char major[16], minor[16], more;
    uint64_t n;

    if (sscanf(text, "%c %15[0-9*]:%15[0-9*] %3[rwm]%c", ret_type, major, minor, access, &more) !=
            4 ||
        !strchr("acb", *ret_type))
        return false;
    *ret_major = *ret_minor = -1;
    if (strcmp(major, "*") != 0) {
        if (!str_to_uint64(major, &n) || n > UINT32_MAX)
            return false;
        *ret_major = (int64_t)n;
    }
    if (strcmp(minor, "*") != 0) {
        if (!str_to_uint64(minor, &n) || n > UINT32_MAX)
            return false;
        *ret_minor = (int64_t)n;
    }
    return true;
}

static void device_rules_write(const spec_input *in, buf *b)
{
    static const struct {
        const char *type;
        int64_t major, minor;
    } always[] = {
        {"c", 1, 5}, {"c", 1, 3}, {"c", 1, 9},    {"c", 1, 8}, {"c", 5, 0},
        {"c", 5, 1}, {"c", 5, 2}, {"c", 136, -1}, {"c", 1, 7},
    };
    const host_config *h = in->host;

    jw_open(b, "devices", '[');
    if (h->privileged) {
        device_rule(b, true, NULL, -1, -1, "rwm");
        jw_close(b, ']');
        return;
    }
    device_rule(b, false, NULL, -1, -1, "rwm");
    device_rule(b, true, "c", -1, -1, "m");
    device_rule(b, true, "b", -1, -1, "m");
    for (size_t i = 0; i < COUNT(always); i++)
        device_rule(b, true, always[i].type, always[i].major, always[i].minor, "rwm");
    for (size_t i = 0; i < h->devices.n; i++) {
        const device_mapping *d = JSON_AT(h->devices, device_mapping, i);
        struct stat st;

        if (stat(d->path_on_host, &st) == 0)
            device_rule(b, true, S_ISBLK(st.st_mode) ? "b" : "c", major(st.st_rdev),
                        minor(st.st_rdev), str_or(d->cgroup_permissions, "rwm"));
    }
    for (size_t i = 0; i < h->device_cgroup_rules.n; i++) {
        char type[2] = {0}, access[4];
        int64_t maj, min;

        if (rule_parse(h->device_cgroup_rules.v[i], type, &maj, &min, access))
            device_rule(b, true, type, maj, min, access);
    }
    jw_close(b, ']');
}

void resources_write(const spec_input *in, buf *b)
{
    jw_open(b, "resources", '{');
    device_rules_write(in, b);
    limits_write(in->host, b);
    jw_close(b, '}');
}

/* ---- devices ---- */

err *devices_check(const host_config *h)
{
    for (size_t i = 0; i < h->devices.n; i++) {
        const device_mapping *d = JSON_AT(h->devices, device_mapping, i);
        struct stat st;

        if (str_empty(d->path_on_host) || stat(d->path_on_host, &st) < 0)
            return err_new(ERR_INVALID,
                           "error gathering device information while adding custom device \"%s\": "
                           "no such file "
                           "or directory",
                           str_or(d->path_on_host, ""));
        if (!S_ISBLK(st.st_mode) && !S_ISCHR(st.st_mode))
            return err_new(ERR_INVALID,
                           "error gathering device information while adding custom device \"%s\": "
                           "not a device "
                           "node",
                           d->path_on_host);
        if (!str_empty(d->cgroup_permissions) &&
            strspn(d->cgroup_permissions, "rwm") != strlen(d->cgroup_permissions))
            return err_new(ERR_INVALID, "invalid device mode: %s", d->cgroup_permissions);
    }
    for (size_t i = 0; i < h->device_cgroup_rules.n; i++) {
        char type[2] = {0}, access[4];
        int64_t maj, min;

        if (!rule_parse(h->device_cgroup_rules.v[i], type, &maj, &min, access))
            return err_new(ERR_INVALID, "invalid device cgroup rule format: '%s'",
                           h->device_cgroup_rules.v[i]);
    }
    return NULL;
}

static void device_write(buf *b, const char *path, const struct stat *st)
{
    jw_open(b, NULL, '{');
    jw_str(b, "type", S_ISBLK(st->st_mode) ? "b" : "c");
    jw_str(b, "path", path);
    jw_int(b, "major", major(st->st_rdev));
    jw_int(b, "minor", minor(st->st_rdev));
    jw_int(b, "fileMode", st->st_mode & 07777);
    jw_int(b, "uid", st->st_uid);
    jw_int(b, "gid", st->st_gid);
    jw_close(b, '}');
}

enum { DEV_DEPTH_MAX = 3 };

static bool is_own_device(const char *name) /* made by the runtime or mounted over */
{
    static const char *const own[] = {"pts",    "shm",     "fd",     "mqueue", "console",    "ptmx",
                                      "stdin",  "stdout",  "stderr", "null",   "zero",       "full",
                                      "random", "urandom", "tty",    ".lxc",   ".lxd-mounts"};

    for (size_t i = 0; i < COUNT(own); i++)
        if (strcmp(own[i], name) == 0)
            return true;
    return false;
}

/* A privileged container gets every device node of the host. */
static void host_devices_write(buf *b, const char *dir, unsigned depth)
{
    auto_closedir DIR *d = opendir(dir);
    struct dirent *ent;

    while (d && (ent = readdir(d))) {
        auto_free char *path = xasprintf("%s/%s", dir, ent->d_name);
        struct stat st;

        if (ent->d_name[0] == '.' || (depth == 0 && is_own_device(ent->d_name)) ||
            lstat(path, &st) < 0)
            continue;
        if (S_ISBLK(st.st_mode) || S_ISCHR(st.st_mode))
            device_write(b, path, &st);
        else if (S_ISDIR(st.st_mode) && depth < DEV_DEPTH_MAX)
            host_devices_write(b, path, depth + 1);
    }
}

err *devices_write(const spec_input *in, buf *b)
{
    const host_config *h = in->host;

    jw_open(b, "devices", '[');
    if (h->privileged)
        host_devices_write(b, "/dev", 0);
    for (size_t i = 0; !h->privileged && i < h->devices.n; i++) {
        const device_mapping *d = JSON_AT(h->devices, device_mapping, i);
        struct stat st;

        if (stat(d->path_on_host, &st) < 0)
            return err_new(ERR_SYSTEM,
                           "error gathering device information while adding custom device \"%s\": "
                           "no such file or directory",
                           d->path_on_host);
        device_write(b, str_or(d->path_in_container, d->path_on_host), &st);
    }
    jw_close(b, ']');
    return NULL;
}

/* ---- rlimits ---- */

static const struct {
    const char *name;
    int resource;
} rlimits[] = {
    {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},         {"fsize", RLIMIT_FSIZE},
    {"locks", RLIMIT_LOCKS},       {"memlock", RLIMIT_MEMLOCK},
    {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},     {"nproc", RLIMIT_NPROC},
    {"rss", RLIMIT_RSS},           {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK},
};

/* -1 is unlimited.  A daemon without CAP_SYS_RESOURCE cannot raise above its own hard limit. */
static uint64_t within_reach(const char *name, int64_t asked, int resource, strv *warnings)
{
    uint64_t want = asked < 0 ? RLIM_INFINITY : (uint64_t)asked;
    struct rlimit have;

    if (caps_of_daemon() >> 24 & 1 || getrlimit((__rlimit_resource_t)resource, &have) < 0 ||
        want <= have.rlim_max)
        return want;
    if (warnings)
        strv_pushf(warnings, "ulimit %s was lowered to %llu: the daemon itself may not go higher.",
                   name, (unsigned long long)have.rlim_max);
    return have.rlim_max;
}

static err *rlimit_write(const ulimit *u, buf *b, strv *warnings)
{
    for (size_t i = 0; i < COUNT(rlimits); i++) {
        auto_free char *type = NULL;
        uint64_t hard, soft;

        if (!str_eq(rlimits[i].name, u->name))
            continue;
        if (u->hard >= 0 && (u->soft < 0 || u->soft > u->hard))
            return err_new(
                ERR_INVALID,
                "ulimit soft limit must be less than or equal to hard limit: %lld > %lld",
                (long long)u->soft, (long long)u->hard);
        type = xasprintf("RLIMIT_%s", u->name);
        for (char *p = type; *p; p++)
            if (*p >= 'a' && *p <= 'z')
                *p -= 'a' - 'A';
        hard = within_reach(u->name, u->hard, rlimits[i].resource, warnings);
        soft = u->soft < 0 || (uint64_t)u->soft > hard ? hard : (uint64_t)u->soft;
        jw_open(b, NULL, '{');
        jw_str(b, "type", type);
        jw_key(b, "hard");
        buf_printf(b, "%llu", (unsigned long long)hard);
        jw_key(b, "soft");
        buf_printf(b, "%llu", (unsigned long long)soft);
        jw_close(b, '}');
        return NULL;
    }
    return err_new(ERR_INVALID, "invalid ulimit type: %s", str_or(u->name, ""));
}

err *rlimits_write(const json_list *ulimits, buf *b, strv *warnings)
{
    jw_open(b, "rlimits", '[');
    for (size_t i = 0; i < ulimits->n; i++)
        TRY(rlimit_write(JSON_AT(*ulimits, ulimit, i), b, warnings));
    jw_close(b, ']');
    return NULL;
}

/* ---- sysctls ---- */

static bool in_ipc_namespace(const char *key)
{
    static const char *const ipc[] = {"kernel.msgmax", "kernel.msgmnb",         "kernel.msgmni",
                                      "kernel.sem",    "kernel.shmall",         "kernel.shmmax",
                                      "kernel.shmmni", "kernel.shm_rmid_forced"};

    for (size_t i = 0; i < COUNT(ipc); i++)
        if (strcmp(ipc[i], key) == 0)
            return true;
    return str_starts(key, "fs.mqueue.");
}

/* Only what belongs to a namespace of the container's own, spelled so that it can reach nothing
 * else. */
static err *sysctl_check(const host_config *h, const char *key, const char *value)
{
    bool plain = *key && key[0] != '.' && !strstr(key, "..");

    for (const char *p = key; plain && *p; p++)
        plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                strchr("._-", *p);
    for (const char *p = value; plain && *p; p++)
        plain = (unsigned char)*p >= ' ';
    if (!plain)
        return err_new(ERR_INVALID, "invalid sysctl '%s'", key);
    if (in_ipc_namespace(key)) {
        if (mode_is_host(h->ipc_mode))
            return err_new(ERR_INVALID, "sysctl '%s' is not allowed in the host ipc namespace",
                           key);
        return NULL;
    }
    if (str_starts(key, "net.")) {
        if (mode_is_host(h->network_mode))
            return err_new(ERR_INVALID, "sysctl '%s' is not allowed in the host network namespace",
                           key);
        return NULL;
    }
    if (str_eq(key, "kernel.domainname") && !mode_is_host(h->uts_mode))
        return NULL;
    return err_new(ERR_INVALID, "sysctl '%s' is not whitelisted", key);
}

err *sysctls_check(const host_config *h)
{
    for (size_t i = 0; i < h->sysctls.n; i++)
        TRY(sysctl_check(h, h->sysctls.keys[i], h->sysctls.values[i]));
    return NULL;
}

/* Low ports and ping for everyone, where the network is the container's own. */
void sysctls_write(const spec_input *in, buf *b)
{
    static const char *const defaults[][2] = {
        {"net.ipv4.ip_unprivileged_port_start", "0"},
        {"net.ipv4.ping_group_range", "0 2147483647"},
    };

    jw_open(b, "sysctl", '{');
    for (size_t i = 0;
         in->netns_path && !mode_is_container(in->host->network_mode) && i < COUNT(defaults); i++)
        if (!json_map_get(&in->host->sysctls, defaults[i][0]))
            jw_str(b, defaults[i][0], defaults[i][1]);
    for (size_t i = 0; i < in->host->sysctls.n; i++)
        jw_str(b, in->host->sysctls.keys[i], in->host->sysctls.values[i]);
    jw_close(b, '}');
}
