/* spec_mounts.c - the mounts of the OCI spec: the kernel's file systems, /dev, the network files,
 * tmpfs, binds.
 *
 * Any thread. */
#include "spec.h"
#include "jsonw.h"
#include <berth/mem.h>
#include <berth/runtime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHM_DEFAULT (64LL << 20)

static void mount_write(buf *b, const char *destination, const char *type, const char *source,
                        const char *const *options)
{
    jw_open(b, NULL, '{');
    jw_str(b, "destination", destination);
    jw_str(b, "type", type);
    jw_str(b, "source", source);
    jw_strs(b, "options", options);
    jw_close(b, '}');
}

#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

static bool bind_at(const spec_input *in, const char *destination)
{
    for (size_t i = 0; i < in->n_binds; i++)
        if (str_eq(in->binds[i].destination, destination))
            return true;
    return false;
}

static bool is_taken(const spec_input *in, const char *destination)
{
    return bind_at(in, destination) || json_map_get(&in->host->tmpfs, destination);
}

static void shm_write(const spec_input *in, buf *b)
{
    auto_free char *size =
        xasprintf("size=%lld", (long long)(in->host->shm_size ? in->host->shm_size : SHM_DEFAULT));

    if (is_taken(in, "/dev/shm"))
        return;
    if (in->shm_path)
        mount_write(b, "/dev/shm", "bind", in->shm_path, OPTIONS("rbind", "rprivate"));
    else if (mode_is_host(in->host->ipc_mode))
        mount_write(b, "/dev/shm", "bind", "/dev/shm", OPTIONS("rbind", "rprivate"));
    else if (!str_eq(in->host->ipc_mode, "none"))
        mount_write(b, "/dev/shm", "tmpfs", "shm",
                    OPTIONS("nosuid", "noexec", "nodev", "mode=1777", size));
}

static void system_write(const spec_input *in, buf *b)
{
    const char *access = in->host->privileged ? "rw" : "ro";

    mount_write(b, "/proc", "proc", "proc", OPTIONS("nosuid", "noexec", "nodev"));
    mount_write(b, "/dev", "tmpfs", "tmpfs",
                OPTIONS("nosuid", "strictatime", "mode=755", "size=65536k"));
    mount_write(b, "/dev/pts", "devpts", "devpts",
                OPTIONS("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"));
    if (mode_is_host(in->host->ipc_mode))
        mount_write(b, "/dev/mqueue", "bind", "/dev/mqueue", OPTIONS("rbind", "rprivate"));
    else
        mount_write(b, "/dev/mqueue", "mqueue", "mqueue", OPTIONS("nosuid", "noexec", "nodev"));
    mount_write(b, "/sys", "sysfs", "sysfs", OPTIONS("nosuid", "noexec", "nodev", access));
    mount_write(b, "/sys/fs/cgroup", "cgroup", "cgroup",
                OPTIONS("nosuid", "noexec", "nodev", "relatime", access));
    shm_write(in, b);
}

static void network_files_write(const spec_input *in, buf *b)
{
    const char *const *rw = in->host->readonly_rootfs ? OPTIONS("rbind", "rprivate", "ro")
                                                      : OPTIONS("rbind", "rprivate");
    const struct {
        const char *destination, *source;
    } files[] = {
        {"/etc/resolv.conf", in->resolv_conf_path},
        {"/etc/hostname", in->hostname_path},
        {"/etc/hosts", in->hosts_path},
    };

    for (size_t i = 0; i < COUNT(files); i++)
        if (files[i].source && !is_taken(in, files[i].destination))
            mount_write(b, files[i].destination, "bind", files[i].source, rw);
}

/* dockerd's: noexec, nosuid, nodev unless the caller says otherwise. */
static void tmpfs_write(const char *destination, const char *options, buf *b)
{
    static const char *const defaults[][2] = {
        {"noexec", "exec"}, {"nosuid", "suid"}, {"nodev", "dev"}};
    auto_strv asked = {0}, all = {0};

    strv_split(&asked, options, ',');
    for (size_t i = 0; i < COUNT(defaults); i++)
        if (!strv_has(&asked, defaults[i][1]))
            strv_push(&all, defaults[i][0]);
    for (size_t i = 0; i < asked.n; i++)
        strv_push(&all, asked.v[i]);
    mount_write(b, destination, "tmpfs", "tmpfs", (const char *const *)all.v);
}

static void bind_write(const spec_bind *bind, buf *b)
{
    const char *propagation = str_or(bind->propagation, "rprivate");
    const char *how = bind->recursive ? "rbind" : "bind";

    if (bind->tmpfs)
        tmpfs_write(bind->destination, bind->tmpfs, b);
    else
        mount_write(b, bind->destination, "bind", bind->source,
                    bind->readonly ? OPTIONS(how, propagation, bind->deep_readonly ? "rro" : "ro")
                                   : OPTIONS(how, propagation));
}

static int depth_of(const char *path)
{
    int depth = 0;

    for (; *path; path++)
        depth += *path == '/' && path[1];
    return depth;
}

/* A path inside another's mount must come after it, whichever kind the two are. */
static void user_mounts_write(const spec_input *in, buf *b)
{
    const json_map *tmpfs = &in->host->tmpfs;
    int deepest = 0;

    for (size_t i = 0; i < tmpfs->n; i++)
        deepest = depth_of(tmpfs->keys[i]) > deepest ? depth_of(tmpfs->keys[i]) : deepest;
    for (size_t i = 0; i < in->n_binds; i++)
        deepest = depth_of(in->binds[i].destination) > deepest ? depth_of(in->binds[i].destination)
                                                               : deepest;
    for (int depth = 0; depth <= deepest; depth++) {
        for (size_t i = 0; i < tmpfs->n; i++)
            if (depth_of(tmpfs->keys[i]) == depth)
                tmpfs_write(tmpfs->keys[i], str_or(tmpfs->values[i], ""), b);
        for (size_t i = 0; i < in->n_binds; i++)
            if (depth_of(in->binds[i].destination) == depth)
                bind_write(&in->binds[i], b);
    }
}

void mounts_write(const spec_input *in, buf *b)
{
    jw_open(b, "mounts", '[');
    system_write(in, b);
    network_files_write(in, b);
    user_mounts_write(in, b);
    if (in->init_path)
        mount_write(b, "/sbin/docker-init", "bind", in->init_path, OPTIONS("bind", "ro"));
    jw_close(b, ']');
}

/* A shared or slave bind needs a root that passes events on. */
bool mounts_propagate(const spec_input *in, const char **ret_root_propagation)
{
    bool slave = false;

    for (size_t i = 0; i < in->n_binds; i++) {
        const char *p = str_or(in->binds[i].propagation, "");

        if (str_ends(p, "shared")) {
            *ret_root_propagation = "shared";
            return true;
        }
        slave |= str_ends(p, "slave");
    }
    if (slave)
        *ret_root_propagation = "rslave";
    return slave;
}

static const char *const tmpfs_flags[] = {
    "ro",       "rw",         "nosuid",      "suid",
    "nodev",    "dev",        "noexec",      "exec",
    "sync",     "async",      "dirsync",     "remount",
    "mand",     "nomand",     "atime",       "noatime",
    "diratime", "nodiratime", "bind",        "rbind",
    "private",  "rprivate",   "shared",      "rshared",
    "slave",    "rslave",     "unbindable",  "runbindable",
    "relatime", "norelatime", "strictatime", "nostrictatime",
    "defaults",
};
static const char *const tmpfs_values[] = {"mode",      "uid",  "gid", "nr_inodes",
                                           "nr_blocks", "mpol", "size"};

static bool tmpfs_option_is_known(const char *option)
{
    const char *eq = strchr(option, '=');

    for (size_t i = 0; !eq && i < COUNT(tmpfs_flags); i++)
        if (str_eq(tmpfs_flags[i], option))
            return true;
    for (size_t i = 0; eq && i < COUNT(tmpfs_values); i++)
        if (strlen(tmpfs_values[i]) == (size_t)(eq - option) &&
            strncmp(tmpfs_values[i], option, (size_t)(eq - option)) == 0)
            return true;
    return false;
}

err *mounts_check(const host_config *h)
{
    for (size_t i = 0; i < h->tmpfs.n; i++) {
        auto_strv options = {0};

        if (h->tmpfs.keys[i][0] != '/')
            return err_new(ERR_INVALID, "invalid mount path: '%s' mount path must be absolute",
                           h->tmpfs.keys[i]);
        strv_split(&options, str_or(h->tmpfs.values[i], ""), ',');
        for (size_t o = 0; o < options.n; o++)
            if (!tmpfs_option_is_known(options.v[o]))
                return err_new(ERR_INVALID, "invalid tmpfs option \"%s\"", options.v[o]);
    }
    return NULL;
}
