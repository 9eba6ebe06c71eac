/* registry.c - the set of containers: by id, by name, newest first, and in the store.
 *
 * A container is in the registry from its creation until its removal is durable; references may
 * keep the memory longer.  Loop thread only. */
#include "private.h"
#include <berth/events.h>
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/volume.h>
#include <berth/timer.h>
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

JSON_DEFINE(container_record, CONTAINER_RECORD)
JSON_DEFINE(container_state, CONTAINER_STATE)

containers_opts containers_conf;
container *containers_newest;
static container *by_id, *by_name;
static container *oldest;

container *container_new(const container_record *rec)
{
    container *c = new0(container);

    c->refs = 1;
    c->arena = arena_new();
    json_copy(&container_record_json, rec, c->arena, &c->rec);
    c->dir = xasprintf("%s/containers/%s", containers_conf.data_root, rec->id);
    c->run_dir = xasprintf("%s/containers/%s", containers_conf.exec_root, rec->id);
    c->rootfs = container_file(c, "merged");
    if (str_eq(c->rec.host->log_config.type, "json-file"))
        c->log_path = xasprintf("%s/%s-json.log", c->dir, rec->id);
    else
        c->log_path = xstrdup("");
    c->runtime = runtime_find(c->rec.host->runtime);
    c->state.started_ns = c->state.finished_ns = TIME_ZERO;
    return c;
}

container *container_ref(container *c)
{
    c->refs++;
    return c;
}

void container_unref(container *c)
{
    if (!c || --c->refs)
        return;
    assert(!c->op && !c->ops_first && !c->waits && !c->clients);
    timer_stop(c->restart_timer);
    monitor_free(c->monitor);
    image_unref(c->image);
    for (size_t i = 0; c->volumes && i < c->rec.mount_points.n; i++)
        volume_unref(c->volumes[i]);
    free(c->volumes);
    free(c->marks);
    free(c->endpoints);
    arena_free(c->networks_arena);
    free(c->error);
    free(c->name);
    free(c->dir);
    free(c->rootfs);
    free(c->log_path);
    free(c->run_dir);
    arena_free(c->arena);
    free(c);
}

/* Newest first; almost always the front. */
static void order_insert(container *c)
{
    container *after = NULL;

    for (container *i = containers_newest; i && i->rec.created_ns > c->rec.created_ns; i = i->older)
        after = i;
    c->newer = after;
    c->older = after ? after->older : containers_newest;
    if (c->older)
        c->older->newer = c;
    else
        oldest = c;
    if (after)
        after->older = c;
    else
        containers_newest = c;
}

static void order_remove(container *c)
{
    if (c->newer)
        c->newer->older = c->older;
    else
        containers_newest = c->older;
    if (c->older)
        c->older->newer = c->newer;
    else
        oldest = c->newer;
    c->newer = c->older = NULL;
}

void registry_add(container *c)
{
    container_ref(c);
    HASH_ADD_KEYPTR(by_id, by_id, c->rec.id, strlen(c->rec.id), c);
    HASH_ADD_KEYPTR(by_name, by_name, c->rec.name, strlen(c->rec.name), c);
    order_insert(c);
}

void registry_remove(container *c)
{
    HASH_DELETE(by_id, by_id, c);
    HASH_DELETE(by_name, by_name, c);
    order_remove(c);
    container_unref(c);
}

/* The hash holds a pointer to the name, so it is out of the table while the name changes. */
void registry_rename(container *c, const char *name)
{
    char *before = c->name;

    HASH_DELETE(by_name, by_name, c);
    c->rec.name = c->name = xstrdup(name);
    HASH_ADD_KEYPTR(by_name, by_name, c->rec.name, strlen(c->rec.name), c);
    free(before);
}

container *registry_by_id(const char *full_id)
{
    container *c = NULL;

    HASH_FIND(by_id, by_id, full_id, strlen(full_id), c);
    return c;
}

container *registry_by_name(const char *name)
{
    container *c = NULL;

    HASH_FIND(by_name, by_name, name, strlen(name), c);
    return c;
}

err *registry_name_free(const char *name)
{
    const container *holder = registry_by_name(name);

    if (holder)
        return err_new(ERR_CONFLICT,
                       "Conflict. The container name \"/%s\" is already in use by container "
                       "\"%s\". You have to remove (or "
                       "rename) that container to be able to reuse that name.",
                       name, holder->rec.id);
    return NULL;
}

static err *find_by_prefix(const char *ref, container **ret_c)
{
    size_t n = strlen(ref);
    container *found = NULL;

    for (container *c = containers_newest; c; c = c->older) {
        if (strncmp(c->rec.id, ref, n) != 0)
            continue;
        if (found)
            return err_new(ERR_INVALID, "multiple IDs found with provided prefix: %s", ref);
        found = c;
    }
    if (!found)
        return err_new(ERR_NOT_FOUND, "No such container: %s", ref);
    *ret_c = found;
    return NULL;
}

err *container_find(const char *ref, container **ret_c)
{
    container *c;

    if (str_empty(ref))
        return err_new(ERR_INVALID, "invalid name or ID supplied: \"\"");
    if ((c = registry_by_id(ref)) || (c = registry_by_name(*ref == '/' ? ref + 1 : ref))) {
        *ret_c = c;
        return NULL;
    }
    return find_by_prefix(ref, ret_c);
}

void containers_each(bool (*fn)(void *arg, container *c), void *arg)
{
    for (container *c = containers_newest, *next; c; c = next) {
        next = c->older;
        if (!fn(arg, c))
            return;
    }
}

containers_count containers_counted(void)
{
    containers_count n = {0};

    for (const container *c = containers_newest; c; c = c->older) {
        n.all++;
        if (c->state.paused)
            n.paused++;
        else if (container_is_up(c))
            n.running++;
        else
            n.stopped++;
    }
    return n;
}

static void put_state(container *c, store_batch *b)
{
    auto_buf text = {0};

    json_encode(&container_state_json, &c->state, JSON_ANY_VERSION, &text);
    store_put(b, "container_state", c->rec.id, text.data);
}

void container_save(container *c, store_batch *b)
{
    auto_buf text = {0};

    json_encode(&container_record_json, &c->rec, JSON_ANY_VERSION, &text);
    store_put(b, "containers", c->rec.id, text.data);
    put_state(c, b);
}

void container_save_state(container *c)
{
    store_batch *b = store_batch_new();

    put_state(c, b);
    store_commit_lazy(b);
}

void container_set_error(container *c, const char *text)
{
    free(c->error);
    c->error = xstrdup(str_or(text, NULL));
    c->state.error = c->error;
}

char *container_file(const container *c, const char *name)
{
    return xasprintf("%s/%s", c->dir, name);
}

char *container_cgroup(const container *c)
{
    return xasprintf(
        "%s/%s",
        str_or(c->rec.host->cgroup_parent, str_or(containers_conf.cgroup_parent, "/docker")),
        c->rec.id);
}

char *container_netns_path(const container *c)
{
    return xasprintf("%s/netns/%s", containers_conf.exec_root, c->rec.id);
}

container_hooks container_hook;

void containers_set_hooks(const container_hooks *hooks)
{
    container_hook = *hooks;
}

const char *container_id(const container *c)
{
    return c->rec.id;
}
const char *container_name(const container *c)
{
    return c->rec.name;
}
bool container_is_up(const container *c)
{
    return c->state.running || c->state.restarting;
}
err *container_check_runs(const container *c)
{
    if (c->state.restarting)
        return err_new(ERR_CONFLICT,
                       "Container %s is restarting, wait until the container is running",
                       c->rec.id);
    if (!c->state.running)
        return err_new(ERR_CONFLICT, "container %s is not running", c->rec.id);
    return NULL;
}
bool container_is_restarting(const container *c)
{
    return c->state.restarting;
}
bool container_is_running(const container *c)
{
    return c->state.running;
}
bool container_is_paused(const container *c)
{
    return c->state.paused;
}
bool container_has_tty(const container *c)
{
    return c->rec.config->tty;
}
int64_t container_started_ns(const container *c)
{
    return c->state.started_ns;
}
pid_t container_pid(const container *c)
{
    return (pid_t)c->state.pid;
}
const container_config *container_config_of(const container *c)
{
    return c->rec.config;
}
const host_config *container_host_config(const container *c)
{
    return c->rec.host;
}
monitor *container_monitor(const container *c)
{
    return c->monitor;
}
const char *container_run_dir(const container *c)
{
    return c->run_dir;
}
const char *container_rootfs(const container *c)
{
    return c->rootfs;
}
const char *container_log_path(const container *c)
{
    return c->log_path;
}

/* Attributes are the labels, then what every container event tells, then the event's own. */
void container_event(container *c, const char *action, ...)
{
    auto_arena *a = arena_new();
    json_map attrs = {0};
    va_list ap;
    const char *key;

    for (size_t i = 0; i < c->rec.config->labels.n; i++)
        json_map_set(&attrs, a, c->rec.config->labels.keys[i], c->rec.config->labels.values[i]);
    json_map_set(&attrs, a, "image", str_or(c->rec.config->image, ""));
    json_map_set(&attrs, a, "name", c->rec.name);
    va_start(ap, action);
    while ((key = va_arg(ap, const char *)))
        json_map_set(&attrs, a, key, va_arg(ap, const char *));
    va_end(ap);
    event_emit("container", action, c->rec.id, &attrs);
}
