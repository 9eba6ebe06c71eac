/* restore.c - a new daemon finds the containers of the one before it.
 *
 * What the store knows is read at start.  Then each container that may have run is asked for by its
 * monitor's socket: who answers goes on as before, who does not has ended, and its exit record
 * tells how. What nobody owns any more is removed.  Loop thread only, except where said. */
#include "private.h"
#include <berth/job.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/rootfs.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/tree.h>
#include <berth/volume.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOST_CODE = 137 };

typedef struct restoring {
    unsigned left;
    network_sweep *sweep;
    void (*done)(void *arg);
    void *arg;
} restoring;

static err *load_record(void *arg, const char *key, const char *body)
{
    auto_arena *a = arena_new();
    container_record rec = {0};
    container *c;

    (void)arg;
    TRY(json_decode(&container_record_json, body, strlen(body), JSON_ANY_VERSION, a, &rec));
    if (!rec.config || !rec.host || !str_eq(rec.id, key)) {
        log_error("a container's record is damaged and left out", "id", key);
        return NULL;
    }
    c = container_new(&rec);
    err_free(
        image_find(rec.image_id, &c->image)); /* without its image it is listed, but cannot start */
    if (c->image) {
        image_ref(c->image);
        image_hold(c->image, c->rec.id);
    }
    mounts_bind(c);
    registry_add(c);
    container_unref(c);
    return NULL;
}

static err *load_state(void *arg, const char *key, const char *body)
{
    container *c = registry_by_id(key);

    (void)arg;
    if (!c)
        return NULL;
    TRY(json_decode(&container_state_json, body, strlen(body), JSON_ANY_VERSION, c->arena,
                    &c->state));
    container_set_error(c, c->state.error);
    return NULL;
}

/* Directories of containers that the store does not know: a create that was cut, a removal that
 * was. */
static err *sweep_directories(const char *root)
{
    auto_free char *dir = xasprintf("%s/containers", root);
    auto_closedir DIR *d = opendir(dir);
    struct dirent *ent;

    while (d && (ent = readdir(d))) {
        auto_free char *path = xasprintf("%s/%s", dir, ent->d_name),
                       *merged = xasprintf("%s/merged", path);

        if (ent->d_name[0] == '.' || registry_by_id(ent->d_name))
            continue;
        err_log(rootfs_unmount(merged), "a left mount could not be removed");
        err_log(tree_remove(path), "a left directory could not be removed");
    }
    return NULL;
}

static bool is_running_by_id(const char *id)
{
    const container *c = registry_by_id(id);

    return c && c->state.running;
}

static bool is_known_by_id(const char *id)
{
    return registry_by_id(id) != NULL;
}

err *containers_init(const containers_opts *opts)
{
    auto_free char *data = xasprintf("%s/containers", opts->data_root),
                   *run = xasprintf("%s/containers", opts->exec_root);

    containers_conf = *opts;
    TRY(tree_make(data, 0710));
    TRY(tree_make(run, 0700));
    TRY(store_each("containers", load_record, NULL));
    TRY(store_each("container_state", load_state, NULL));
    images_set_running_hook(is_running_by_id);
    mounts_sweep(is_known_by_id);
    networks_begin();
    return sweep_directories(opts->data_root);
}

/* ---- who still runs ---- */

static err *job_sweep(void *arg)
{
    restoring *r = arg;

    return network_sweep_run(take(r->sweep));
}

static void on_swept(void *arg, err *e)
{
    restoring *r = arg;

    if (e)
        err_log(e, "what an earlier daemon left of networks could not be removed");
    for (container *c = containers_newest; c; c = c->older)
        c->found = true;
    restarts_begin();
    r->done(r->arg);
    free(r);
}

static bool keeps_network(void *arg, const char *id)
{
    const container *c = registry_by_id(id);

    (void)arg;
    return c && (c->state.running || c->dirty);
}

static void one_less(restoring *r)
{
    if (--r->left)
        return;
    volumes_settle();
    network_renew();
    r->sweep = network_sweep_plan(keeps_network, NULL);
    job_begin("restore.sweep", job_sweep, r, on_swept);
}

static void goes_on(container *c, const monitor_started *state)
{
    c->state.running = true;
    c->state.paused = container_found_frozen(c);
    c->state.started_once = true;
    c->state.pid = state->pid;
    c->state.started_ns = state->started_ns;
    networks_restore(c);
    mounts_use_again(c);
    c->dirty = true;
    ports_restore(c);
    networks_named(c);
    if (container_hook.started)
        container_hook.started(c);
    log_info("container runs on", "id", c->rec.id, "pid", c->state.pid);
}

/* No monitor: the exit record knows, or the monitor was killed with the daemon and its container is
 * ended by the teardown. */
static void has_ended(container *c)
{
    auto_free char *path = container_file(c, "exit");
    monitor_exit exit = {.code = LOST_CODE, .finished_ns = time_now_ns(), .lost = true};
    err *e = monitor_read_exit(path, &exit);
    bool began = c->state.running || !e;

    if (e)
        exit = (monitor_exit){.code = LOST_CODE, .finished_ns = time_now_ns(), .lost = true};
    err_free(e);
    networks_restore(c);
    c->dirty = true;
    if (!began) { /* cut off while it started: nothing was promised, but something may be left */
        container_clean_up(c);
        return;
    }
    c->state.running = c->state.started_once = true;
    if (c->state.started_ns == TIME_ZERO || c->state.started_ns > exit.finished_ns)
        c->state.started_ns = exit.finished_ns;
    container_exited(c, &exit);
}

static void on_found(void *arg, err *e, const monitor_started *state)
{
    container *c = arg;
    restoring *all = c->busy_with;

    if (!e && state->pid) {
        goes_on(c, state);
    } else {
        monitor_free(take(c->monitor));
        has_ended(c);
    }
    err_free(e);
    one_less(all);
    container_unref(c);
}

/* Its run directory is there from before the monitor until after the teardown. */
static bool may_have_run(const container *c)
{
    return c->state.running || access(c->run_dir, F_OK) == 0;
}

void containers_restore(void (*done)(void *arg), void *arg)
{
    restoring *r = new0(restoring);

    r->done = done;
    r->arg = arg;
    r->left = 1;
    for (container *c = containers_newest; c; c = c->older) {
        if (!may_have_run(c)) {
            if (c->state.started_once)
                container_auto_remove(c);
            continue;
        }
        c->busy_with = r;
        container_ref(c);
        r->left++;
        c->monitor = monitor_connect(c->run_dir, c->rec.id, &container_monitor_events, c, on_found);
    }
    one_less(r);
}

void containers_done(void)
{
    container *next;

    filter_done();
    dns_done();
    for (container *c = containers_newest; c; c = next) {
        next = c->older;
        monitor_free(take(c->monitor));
        image_unref(take(c->image));
        registry_remove(c);
    }
}
