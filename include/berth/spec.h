/* spec.h - from Config and HostConfig to the OCI runtime's config.json.
 *
 * Everything an image says is data: only the fields named here reach the spec, annotations come
 * from HostConfig alone.  The runtime gets numeric ids, never names.  Any thread; spec_user_resolve
 * and spec_host_init read files. */
#ifndef BERTH_SPEC_H
#define BERTH_SPEC_H

#include <berth/api/config.h>
#include <berth/arena.h>
#include <berth/buf.h>
#include <berth/err.h>
#include <berth/str.h>
#include <stdint.h>

typedef struct spec_user {
    uint32_t uid, gid;
    uint32_t *gids; /* supplementary, the primary one first */
    size_t n_gids;
    const char *home; /* from passwd; "/" when there is none */
} spec_user;

/* "", "name", "uid", "name:group", "uid:gid" looked up in etc/passwd and etc/group below rootfs_fd
 * (through openat2 RESOLVE_IN_ROOT, regular files only, at most 10 MiB read); numbers are never
 * looked up as names. ERR_INVALID "unable to find user x: no matching entries in passwd file" and
 * its like for groups. Blocks. */
must_check err *spec_user_resolve(int rootfs_fd, const char *user, const json_strs *group_add,
                                  arena *a, spec_user *ret);

/* What of the host shapes every spec: capabilities the daemon itself has, seccomp's profile, masked
 * thermal paths, cgroup mode, whether apparmor is there.  Blocks; once, at start. */
must_check err *spec_host_init(const char *seccomp_profile_path /* NULL: the packaged default */);
void spec_host_done(void);
bool spec_has_seccomp(void);

typedef struct spec_bind { /* one mount point, checked, its source ready */
    const char *source, *destination;
    const char *tmpfs;       /* not NULL: a tmpfs with these options instead; no source */
    const char *propagation; /* "rprivate" when NULL or "" */
    bool readonly;
    bool recursive;     /* rbind */
    bool deep_readonly; /* readonly holds for the mounts below as well */
} spec_bind;

typedef struct spec_input {
    const char *id;
    const char *rootfs;             /* mounted, absolute */
    const char *hostname;           /* as the container sees it; "" in a shared UTS namespace */
    const container_config *config; /* merged with the image's */
    const host_config *host;
    const char *const *env;  /* complete, NULL-terminated */
    const char *const *argv; /* Entrypoint + Cmd, NULL-terminated */
    const spec_user *user;
    const spec_bind *binds; /* sorted by the depth of their destination */
    size_t n_binds;
    const char *resolv_conf_path, *hosts_path, *hostname_path; /* NULL: not mounted */
    const char *shm_path;   /* host directory for /dev/shm; NULL: a tmpfs of its own */
    const char *netns_path; /* NULL: the host's */
    const char *ipcns_path, *pidns_path,
        *utsns_path;          /* to share; NULL: own, or the host's where the mode says so */
    const char *cgroups_path; /* "/docker/<id>" */
    const char *init_path;    /* docker-init on the host when Init is wanted, else NULL */
    const char *seccomp_bpf;  /* the compiled built-in profile in base64, for crun, or NULL */
} spec_input;

/* Does this container get the built-in profile for the default capabilities?  Compiling it is most
 * of what a start costs crun, so one compiled filter serves all of these (see
 * spec_input.seccomp_bpf). */
bool spec_is_plain_seccomp(const host_config *host);

/* Appends config.json.  Warnings (capabilities the daemon lacks, rlimits it may not raise) are
 * added to *warnings.  ERR_INVALID for what dockerd refuses (unknown capability, bad sysctl, ...).
 */
must_check err *spec_build(const spec_input *in, buf *out, strv *warnings);

/* The checks of spec_build that need nothing but the request: for create. */
must_check err *spec_validate(const container_config *config, const host_config *host,
                              strv *warnings);

/* The part of spec_validate that an update needs, and the object that the runtime's `update` reads:
 * memory, cpu and pids. */
must_check err *spec_check_limits(const host_config *host);
void spec_build_limits(const host_config *host, buf *out);

typedef struct spec_exec {
    const char *const *env, *const *argv;
    const char *cwd;
    const spec_user *user;
    bool tty, privileged;
    unsigned short rows, cols;
    const host_config *host; /* the container's: capabilities, no-new-privileges, ulimits */
} spec_exec;
/* Appends the process object that `exec --process` reads. */
must_check err *spec_build_exec(const spec_exec *in, buf *out);

/* The lists dockerd fills into HostConfig at create (MaskedPaths, ReadonlyPaths); NULL-terminated.
 */
const char *const *spec_masked_paths(void);
const char *const *spec_readonly_paths(void);

#endif
