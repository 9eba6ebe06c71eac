/* container.h - containers: what they are, what can be done to them.
 *
 * One operation (start, stop, restart, remove) at a time per container, in the order they were
 * asked; reads never wait for one.  Loop thread only. */
#ifndef BERTH_CONTAINER_H
#define BERTH_CONTAINER_H

#include <berth/api/config.h>
#include <berth/api/container.h>
#include <berth/api/network.h>
#include <berth/err.h>
#include <berth/filters.h>
#include <berth/monitor.h>
#include <berth/str.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct container container;

typedef struct containers_opts { /* strings stay the caller's and live as long as the daemon */
    const char *data_root, *exec_root;
    const char *monitor_program; /* absolute path of berth-monitor */
    const char *cgroup_parent;   /* "/docker" when "" */
    const char *init_path;       /* docker-init; "" when there is none */
    bool init;                   /* Init for every container that does not say */
    const char *log_driver;      /* of containers that do not say */
    const json_map *log_opts;
    const json_list *default_ulimits; /* of ulimit */
    unsigned shutdown_timeout_s;
    const struct dns_opts *dns; /* the daemon's, of netfiles.h */
} containers_opts;

/* Reads what the store knows; blocks; before the loop runs. */
must_check err *containers_init(const containers_opts *opts);
/* Finds the monitors that live, records what ended meanwhile, removes what nobody owns; done on the
 * loop. */
void containers_restore(void (*done)(void *arg), void *arg);
/* Stop what runs (each its own signal and time-out), unless live_restore; done when all have ended.
 */
void containers_shutdown(bool live_restore, void (*done)(void *arg), void *arg);
void containers_done(void);

typedef struct containers_count {
    unsigned all, running, paused, stopped;
} containers_count;
containers_count containers_counted(void);

/* Full id, then name, then unique prefix; 404 "No such container: X". */
must_check err *container_find(const char *ref, container **ret_c);
container *container_ref(container *c);
void container_unref(container *c);
const char *container_id(const container *c);
const char *container_name(const container *c); /* without the slash */
/* ERR_CONFLICT "container X is not running" or "Container X is restarting, wait until ...". */
must_check err *container_check_runs(const container *c);
bool container_is_running(const container *c);
bool container_is_paused(const container *c);
bool container_is_restarting(const container *c); /* between two runs */
bool container_has_tty(const container *c);
pid_t container_pid(const container *c);
int64_t container_started_ns(const container *c);
const container_config *container_config_of(const container *c);
const host_config *container_host_config(const container *c);
const char *container_log_path(const container *c); /* "" when nothing is logged to a file */
monitor *container_monitor(const container *c);     /* NULL unless running */
const char *container_rootfs(const container *c);   /* mounted while running */
const char *container_run_dir(const container *c);
void container_event(container *c, const char *action, ...)
    __attribute__((sentinel)); /* key, value, ..., NULL */

/* The environment of a process in it: PATH, HOSTNAME, TERM on a tty, the container's, then extra's;
 * "KEY" alone in either takes KEY away. */
void container_env(const container *c, const json_strs *extra, bool tty, strv *ret_env);
/* "[rows,cols]" as clients send it; zeros when it is not that. */
void console_size_parse(const json_raw *text, unsigned short *ret_rows, unsigned short *ret_cols);

/* What the exec room, which stands on this one, wants to know. */
typedef struct container_hooks {
    void (*exec_ended)(container *c, const char *exec_id, const monitor_exit *exit);
    void (*started)(container *c); /* or found running by a new daemon */
    void (*stopped)(container *c); /* init ended: no exec of it runs any more */
    void (*removed)(container *c);
    void (*exec_ids)(const container *c, arena *a, json_strs *ret);
    const char *(*health_status)(const container *c); /* "" without a health check */
    bool (*health_describe)(const container *c, arena *a, container_health *ret); /* false: none */
} container_hooks;
void containers_set_hooks(const container_hooks *hooks);

/* ---- operations ---- */
typedef struct container_create_opts {
    const char *name; /* "" : one is made up */
    const char *platform;
    int api_version;
    container_config *config; /* as asked; merged with the image's here */
    host_config *host;
    const json_raw *networking; /* NetworkingConfig as asked, or NULL */
} container_create_opts;
/* warnings is done's for the call. */
typedef void container_created(void *arg, err *e, container *c, const strv *warnings);
void container_create(const container_create_opts *opts, container_created *done, void *arg);

typedef void container_done(void *arg, err *e);
/* Answer an operation that does not begin: done runs from the loop, as it would for one that did.
 */
void container_refuse(err *e, container_done *done, void *arg);
void container_start(container *c, container_done *done,
                     void *arg); /* ERR_NOT_MODIFIED when it runs */
enum { STOP_TIMEOUT_DEFAULT = INT32_MIN };
/* timeout_s: STOP_TIMEOUT_DEFAULT takes the container's, -1 waits for ever.  signal "" takes the
 * container's. */
void container_stop(container *c, const char *signal, int timeout_s, container_done *done,
                    void *arg);
void container_restart(container *c, const char *signal, int timeout_s, container_done *done,
                       void *arg);
must_check err *container_kill(container *c, const char *signal); /* at once */
/* 500 "Container X is not paused", 409 for one that does not run or is paused. */
void container_pause(container *c, container_done *done, void *arg);
void container_unpause(container *c, container_done *done, void *arg);
/* 400 for a bad name and for the one it has, 409 for one that is taken. */
void container_rename(container *c, const char *name, container_done *done, void *arg);
/* Limits and restart policy that wish names (zero, "" and unset stay as they are), also in a
 * running container; wish is copied. */
void container_update(container *c, const host_config *wish, container_done *done, void *arg);
void container_remove(container *c, bool force, bool volumes, container_done *done, void *arg);
/* Removes those that do not run and match label, label! and until; 409 while another prune runs.  a
 * and answer live until done. */
void containers_prune(const filters *f, arena *a, containers_pruned *answer, container_done *done,
                      void *arg);
void container_resize(container *c, unsigned rows, unsigned cols, container_done *done, void *arg);

/* network_ref: name, id or prefix of an id.  wish may be NULL; copied. */
void container_connect(container *c, const char *network_ref, const endpoint_settings *wish,
                       container_done *done, void *arg);
/* force: also from a network that is gone. */
void container_disconnect(container *c, const char *network_ref, bool force, container_done *done,
                          void *arg);

typedef struct container_commit_opts { /* strings and lists live until done */
    container_config *config; /* what overrides the container's own; becomes the merged one */
    const char *repo, *tag, *comment, *author;
    const json_strs *changes;
    bool pause;
} container_commit_opts;
typedef void container_committed(void *arg, err *e, const char *image_id);
/* a: the caller's, alive until done. */
void container_commit(container *c, const container_commit_opts *o, arena *a,
                      container_committed *done, void *arg);

typedef enum wait_condition { WAIT_NOT_RUNNING, WAIT_NEXT_EXIT, WAIT_REMOVED } wait_condition;
typedef struct container_wait container_wait;
/* fn runs once, never from within the call. error is "" or why the removal failed. */
container_wait *container_wait_for(container *c, wait_condition cond,
                                   void (*fn)(void *arg, int status, const char *error), void *arg);
void container_wait_cancel(container_wait *w);

/* ---- attach: works before start; the stream then stays until the exit ---- */
typedef struct container_client container_client;
container_client *container_attach(container *c, unsigned what /* ATTACH_* */,
                                   const attach_events *ev, void *arg);
bool client_stdin(container_client *cl, const char *p, size_t n);
void client_stdin_eof(container_client *cl);
void client_pause(container_client *cl, bool paused);
void client_free(container_client *cl);

/* ---- reads ---- */
/* Newest first; stops when fn returns false. */
void containers_each(bool (*fn)(void *arg, container *c), void *arg);
void container_summarize(container *c, arena *a, container_summary *ret);
void container_inspected(container *c, arena *a, container_inspect *ret);
/* Before 1.45 the short id was among the aliases, of inspect and of list. */
void container_legacy_aliases(const container *c, arena *a, json_mapof *networks);
/* What the host's ps shows of it; ps_args NULL or "" is "-ef".  The answer and its strings are in
 * a, which is to live until done. */
void container_top(container *c, const char *ps_args, arena *a, top_answer *answer,
                   container_done *done, void *arg);
/* What each of them has written into its own layer, in bytes; ret_bytes lives until done. */
void containers_sizes(container *const *list, size_t n, int64_t *ret_bytes, container_done *done,
                      void *arg);
int64_t container_image_bytes(const container *c); /* of its image's layers */
/* The list filters of GET /containers/json; *ret_list is of container *, each referenced by nobody
 * else. */
must_check err *containers_list(const filters *f, bool all, int64_t limit, arena *a,
                                container ***ret_list, size_t *ret_n);

#endif
