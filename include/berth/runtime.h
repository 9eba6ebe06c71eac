/* runtime.h - which OCI runtime runs a container, and how it is called.
 *
 * crun where it works on this host (also on hybrid cgroup hosts, with a mount namespace that lacks
 * /sys/fs/cgroup/unified), else runc; more by configuration.  Loop thread only unless said. */
#ifndef BERTH_RUNTIME_H
#define BERTH_RUNTIME_H

#include <berth/err.h>
#include <berth/str.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct runtime {
    char *name;        /* "crun", "runc", or the configured name */
    char *path;        /* absolute */
    char **args;       /* global arguments (--root, runtimeArgs), NULL-terminated */
    char *version;     /* as it told when probed; "" when it did not run */
    bool works;        /* probed by `--version` */
    bool hide_unified; /* needs the namespace without the unified mount */
} runtime;

typedef enum cgroup_mode { CGROUP_V1, CGROUP_HYBRID, CGROUP_V2 } cgroup_mode;
cgroup_mode runtime_cgroup_mode(
    void); /* of this host, from the file system type of /sys/fs/cgroup; cached; any thread */

/* Blocks briefly (probes programs); called once before the loop runs.  root_dir is where runtimes
 * keep their state (below exec-root).  extra: name, path, args of --add-runtime, replacing a
 * built-in of that name. */
typedef struct runtime_extra {
    const char *name, *path;
    const char *const *args;
} runtime_extra;
must_check err *runtimes_init(const char *root_dir, const runtime_extra *extra, size_t n_extra,
                              const char *default_name);
void runtimes_done(void);

/* The same in steps, for a start that does not wait and for a reload.  A set is of one thread at a
 * time. */
typedef struct runtime_set runtime_set;
must_check err *runtime_set_new(const char *root_dir, const runtime_extra *extra, size_t n_extra,
                                runtime_set **ret_set); /* any thread */
void runtime_set_probe(runtime_set *s);                 /* asks all of them and waits; any thread */
/* A name is taken as it is; "" starts the probes, takes the first that works and waits for no
 * other probe than that needs.  Any thread. */
must_check err *runtime_set_choose(runtime_set *s, const char *default_name);
/* Loop thread, or before it runs: this is what there is from now on.  What was adopted before stays
 * until runtimes_done. */
void runtimes_adopt(runtime_set *s);
/* A name replaces the choice of the adopted set; "" leaves it to the probes. */
must_check err *runtimes_settle(const char *default_name);
/* Loop thread: the adopted set's probes start, unless they have; nobody waits, the loop takes what
 * they say. */
void runtimes_probe(void);
void runtime_set_free(runtime_set *s); /* one that was not adopted */

/* The path of berth-monitor: where the daemon found it; else beside this program.  Set it before
 * runtimes_init; runtime_argv needs it where a runtime must not see the unified cgroup mount. */
void runtime_set_monitor_program(const char *path);
const char *runtime_monitor_program(void);
const runtime *runtime_default(void);
const runtime *runtime_find(
    const char *name); /* NULL or "" gives the default; NULL when unknown or not there */
size_t runtime_count(void);
const runtime *runtime_nth(size_t i);

/* argv for `delete --force ID`, `kill`, `state`, ... : the caller adds the command.  It begins with
 * `berth-monitor --runtime-exec hide_unified --` where the runtime needs that namespace. */
void runtime_argv(const runtime *rt, strv *argv);

#endif
