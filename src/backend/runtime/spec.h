/* spec.h - what the files that build the OCI spec share. */
#ifndef BERTH_RUNTIME_SPEC_H
#define BERTH_RUNTIME_SPEC_H

#include "caps.h"
#include <berth/spec.h>

/* SecurityOpt, taken apart. */
typedef struct security_opts {
    bool no_new_privileges;
    bool seccomp_unconfined;
    const char *seccomp_profile; /* inline JSON; NULL: the built-in one */
    const char *apparmor;        /* NULL: the host's default */
    bool systempaths_unconfined;
} security_opts;
must_check err *security_opts_parse(const json_strs *list, security_opts *ret);

/* spec_limits.c */
void limits_init(void); /* what the host has; blocks */
void limits_done(void);
must_check err *resources_check(const host_config *h);
void limits_write(const host_config *h, buf *b); /* memory, cpu, pids: members of an open object */

/* spec_resources.c */
void resources_write(const spec_input *in, buf *b);
must_check err *rlimits_write(const json_list *ulimits, buf *b, strv *warnings);
must_check err *devices_check(const host_config *h);
must_check err *devices_write(const spec_input *in, buf *b); /* linux.devices */
must_check err *sysctls_check(const host_config *h);
void sysctls_write(const spec_input *in, buf *b);

/* spec_mounts.c */
must_check err *mounts_check(const host_config *h);
void mounts_write(const spec_input *in, buf *b);
bool mounts_propagate(const spec_input *in, const char **ret_root_propagation);

/* "host", "container:x", ... */
bool mode_is_host(const char *mode);
bool mode_is_container(const char *mode);

#endif
