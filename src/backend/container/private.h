/* private.h - what a container is made of, for the files of this room only. */
#ifndef BERTH_CONTAINER_PRIVATE_H
#define BERTH_CONTAINER_PRIVATE_H

#include "mounts.h"
#include <berth/child.h>
#include <berth/container.h>
#include <berth/dns.h>
#include <berth/image.h>
#include <berth/network.h>
#include <berth/ports.h>
#include <berth/runtime.h>
#include <berth/store.h>
#include <berth/timefmt.h>
#include <uthash.h>

/* What is written durably before create answers (table "containers"). */
#define CONTAINER_RECORD(F, T)                              \
    F(T, STR, id, "Id", 0)                                  \
    F(T, STR, name, "Name", 0)                              \
    F(T, INT, created_ns, "Created", 0)                     \
    F(T, STR, image_id, "ImageId", 0)                       \
    F(T, STR, image_arch, "ImageArch", 0)                   \
    F(T, BOOL, own_hostname, "OwnHostname", 0)              \
    F(T, OBJP(container_config), config, "Config", 0)       \
    F(T, OBJP(host_config), host, "HostConfig", 0)          \
    F(T, MAPOF(endpoint_settings), networks, "Networks", 0) \
    F(T, STRS, links, "Links", OMIT_EMPTY)                  \
    F(T, OBJS(mount_record), mount_points, "MountPoints", 0)
JSON_DECLARE(container_record, CONTAINER_RECORD)

/* What changes as it lives (table "container_state"). */
#define CONTAINER_STATE(F, T)                       \
    F(T, BOOL, running, "Running", 0)               \
    F(T, BOOL, paused, "Paused", 0)                 \
    F(T, BOOL, restarting, "Restarting", 0)         \
    F(T, BOOL, stopped_by_hand, "StoppedByHand", 0) \
    F(T, INT, restart_count, "RestartCount", 0)     \
    F(T, BOOL, oom_killed, "OOMKilled", 0)          \
    F(T, BOOL, started_once, "StartedOnce", 0)      \
    F(T, INT, pid, "Pid", 0)                        \
    F(T, INT, exit_code, "ExitCode", 0)             \
    F(T, INT, started_ns, "StartedAt", 0)           \
    F(T, INT, finished_ns, "FinishedAt", 0)         \
    F(T, STR, error, "Error", 0)
JSON_DECLARE(container_state, CONTAINER_STATE)

typedef struct op op;

struct container {
    unsigned refs;
    arena *arena; /* the record's strings */
    container_record rec;
    container_state state;
    char *error; /* backs state.error */
    char *name;  /* backs rec.name once it was renamed */

    char *dir; /* data-root/containers/<id>: log, exit record, hosts, ..., rootfs */
    char *rootfs, *log_path;
    char *run_dir; /* exec-root/containers/<id>: bundle, monitor's socket */
    const runtime *runtime;
    image *image; /* held; NULL when it is gone (only its layers matter then) */

    struct volume **volumes; /* of each mount point, held; NULL where there is none */
    bool *marks;             /* of each: what its creation or removal is at */
    monitor *monitor;        /* while it runs */
    arena *networks_arena;   /* of rec.networks once they were changed */
    endpoint **endpoints;    /* on its networks while it runs */
    size_t n_endpoints;
    port_claim *ports; /* while it runs; NULL: none */
    bool found;        /* made by this daemon, or found again by it: it may be restarted */
    bool dirty;        /* something of a run may be left: teardown is due */
    bool removing, removed;
    struct timer *restart_timer; /* a restart is due */
    unsigned backoff_ms;         /* before the last one */
    bool stay_down;              /* stopped by hand: no restart until it is started */
    void *busy_with; /* what awaits the monitor: a start, or the search at the daemon's start */
    bool starting;   /* an exit that comes now waits in exit_early */
    bool has_exit_early;
    monitor_exit exit_early;

    op *op, *ops_first, **ops_last; /* the running one and those behind it */
    struct container_wait *waits;
    struct container_client *clients;

    UT_hash_handle by_id, by_name;
    struct container *newer, *older;
};

extern containers_opts containers_conf;

/* ---- registry.c ---- */
extern container *containers_newest;
container *container_new(const container_record *rec);
void registry_add(container *c);
void registry_remove(container *c); /* lookups no longer find it */
/* ERR_CONFLICT with dockerd's text when the name is taken. */
must_check err *registry_name_free(const char *name);
void registry_rename(container *c, const char *name);
container *registry_by_id(const char *full_id);
container *registry_by_name(const char *name);
void container_save(container *c, store_batch *b); /* record and state */
void container_save_state(container *c);           /* lazily */
void container_set_error(container *c, const char *text);
char *container_file(const container *c, const char *name); /* below dir; caller frees */
char *container_cgroup(const container *c);                 /* "/docker/<id>"; caller frees */
char *container_netns_path(
    const container *c); /* where its own network namespace is kept; caller frees */

/* ---- op.c: one operation at a time ---- */
/* begin runs when all earlier operations have ended, at once when there are none. */
void op_begin(container *c, const char *name, void (*begin)(container *c, void *arg), void *arg);
/* The same, before those that queue. */
void op_begin_first(container *c, const char *name, void (*begin)(container *c, void *arg),
                    void *arg);
void op_end(container *c);
const char *op_name(const container *c); /* NULL when idle */

/* ---- exit.c ---- */
extern const monitor_events container_monitor_events;
void container_exited(container *c, const monitor_exit *exit);
/* Give back what a run used: the runtime's state, network, mount.  Idempotent; part of an
 * operation. */
extern const struct flow_def teardown_flow;
void container_teardown(container *c, container_done *done, void *arg);
void container_clean_up(
    container *c); /* the teardown as an operation, then what AutoRemove asks for */
void container_auto_remove(container *c); /* where HostConfig says so */
extern container_hooks container_hook;
extern const struct flow_def create_flow, start_flow, remove_flow, connect_flow, disconnect_flow,
    update_flow, archive_flow, changes_flow, container_commit_flow, top_flow, sizes_flow,
    prune_flow, prune_one_flow;

/* ---- runtime_command.c ---- */
/* Runs `RUNTIME words... ID`, at most ten seconds; words end with NULL.  done as child_spawn's,
 * also for one that could not be spawned. */
void runtime_command(const container *c, const char *name, child_done *done, void *arg, ...)
    __attribute__((sentinel));

/* ---- restart.c ---- */
/* Pure: does the policy ask for another run? */
bool restart_is_wanted(const restart_policy *policy, bool by_hand, int64_t exit_code,
                       int64_t restarts);
/* Pure: how long to wait, after a wait of before_ms (0: none) and a run of ran_ns. */
unsigned restart_backoff_ms(unsigned before_ms, int64_t ran_ns);
bool restart_plan(container *c);          /* after an exit: true when there will be another run */
bool restart_cancel(container *c);        /* false when none was due */
void restart_by_hand(container *c);       /* a stop or kill was asked for: the exit is meant */
void restart_forget(container *c);        /* a start was asked for: everything from the beginning */
void restarts_begin(void);                /* once, when what runs has been found again */
void restarts_end(void);                  /* the daemon ends: nothing is restarted any more */
bool container_is_up(const container *c); /* runs, or will again: as clients see it */

/* ---- start.c ---- */
void container_start_again(container *c, container_done *done, void *arg); /* where restarting */

/* ---- ports.c ---- */
must_check err *ports_check(const container_config *k, const host_config *h, strv *warnings);
must_check err *ports_plan(container *c);        /* takes them: c->ports; after networks_join */
must_check err *ports_write(const container *c); /* for the next daemon; blocks, any thread */
void ports_restore(container *c);                /* what ports_write wrote */
void ports_describe(const container *c, arena *a, json_maplist *ret); /* NetworkSettings.Ports */
void ports_summarize(const container *c, arena *a, json_list *ret);   /* of summary_port */
bool ports_match(const container *c, const char *wish, bool published);

/* ---- pause.c ---- */
void container_thaw(container *c);               /* at once: a signal is to end it */
bool container_found_frozen(const container *c); /* what the kernel says */

/* ---- filter.c: the seccomp filter that crun compiled, kept for later starts ---- */
const char *filter_for(const container *c); /* NULL: none yet, or not for this container */
void filter_done(void);
void filter_learn(const container *c); /* after a start without one */

/* ---- check.c ---- */
/* What create refuses, and what it does not do yet, by name; fills in dockerd's defaults. */
must_check err *config_check(const container_create_opts *o, strv *warnings);
must_check err *config_check_update(const host_config *wish);
must_check err *config_merge(container_config *config, const image_run_config *from, arena *a);
must_check err *config_defaults(host_config *h, int api_version, arena *a);

/* ---- networks.c ---- */
enum { CONTAINER_NETWORKS_MAX = 128 };
/* The networks that create asks for, by name, with each wish: dockerd's rules.  Empty for
 * container:X.  Strings in a. */
must_check err *networks_decide(const container_create_opts *o, arena *a, json_mapof *ret,
                                strv *warnings);
/* An endpoint on each; none is left on failure. */
must_check err *networks_join(container *c);
/* An address it asks for is held by a container that has ended and whose network is being taken
 * down: it will be free in a moment. */
bool networks_must_wait(const container *c);
void networks_leave(container *c);         /* gives the endpoints back; after networks_detach */
void networks_restore(container *c);       /* those of the run that a previous daemon began */
bool networks_is_shared(const char *mode); /* NetworkMode is container:X */
bool networks_own_netns(const container *c);
/* Jobs. */
must_check err *networks_attach(endpoint *const *eps, size_t n, const char *netns_path);
void networks_detach(endpoint *const *eps, size_t n);
void networks_begin(void);                    /* at start: names are served from now on */
bool networks_have_names(const container *c); /* one of its endpoints is on a client's network */
void networks_told_start(container *c);       /* events, and who serves names */
void networks_named(container *c);            /* the latter alone */
void networks_told_end(container *c);
void networks_renamed(container *c); /* its endpoints answer to its new name */
void networks_describe(const container *c, arena *a, json_mapof *ret);
/* For /etc/hosts: the addresses in the order of networks. */
void networks_addresses(const container *c, strv *ret_ips);
bool networks_has(const container *c, const network *n);
endpoint *networks_endpoint_on(const container *c, const network *n); /* NULL: none */
/* One more, or one less, of a container that runs. */
must_check err *networks_new_endpoint(container *c, network *n, const endpoint_settings *wish,
                                      endpoint **ret_ep);
void networks_add_endpoint(container *c, endpoint *ep);
void networks_drop_endpoint(container *c, const endpoint *ep);
/* What it is to be on, in memory; wishes are copied. */
void networks_wish(container *c, const char *name, const endpoint_settings *wish);
void networks_unwish(container *c, const char *name);
bool networks_wished(const container *c, const char *name);
void networks_copy_wish(const container *c, const char *name, arena *a, endpoint_settings *ret);
/* dockerd's refusals; *ret_is_there: a stopped one is on it already, which is no error. */
must_check err *networks_may_connect(const container *c, const network *n, bool *ret_is_there);

/* ---- links.c ---- */
must_check err *links_decide(const host_config *h, arena *a, json_strs *ret);
must_check err *links_check(const container *c); /* for start: all of them run */
void links_describe(const container *c, arena *a, json_strs *ret);
void links_hosts(const container *c, strv *ret_lines);
void links_env(const container *c, strv *env);

/* ---- wait.c ---- */
void waits_exited(container *c);
void waits_removed(container *c, const char *error);

/* ---- attach.c ---- */
void clients_bind(container *c); /* the monitor is there: connect those that wait */
void clients_end(container *c);  /* no monitor came or it is gone: end those that wait */

/* ---- signame.c ---- */
/* "SIGKILL", "KILL", "9", "RTMIN+3"; ERR_INVALID "invalid signal: X". */
must_check err *signal_parse(const char *text, int *ret_signo);

/* ---- names.c ---- */
char *name_made_up(unsigned attempt); /* caller frees */
must_check err *name_check(const char *name);

#endif
