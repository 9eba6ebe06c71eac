/* update.c - other limits and another restart policy for a container, also while it runs.
 *
 * A flow: the runtime tells the kernel, then the record is written, then it is told.  What is not
 * named (zero, "", null) stays as it was, as with dockerd.  Loop thread only, except job_*. */
#include "private.h"
#include <berth/flow.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/spec.h>
#include <berth/str.h>
#include <berth/tree.h>
#include <stdlib.h>

typedef struct updating {
    container *c; /* referenced */
    arena *arena; /* of the wish */
    host_config wish, before, after;
    container_done *done;
    void *arg;
} updating;

/* ---- what becomes of the two ---- */

static err *cpu_conflict(const host_config *now, const host_config *wish)
{
    const char *set = now->cpu_period ? "Period" : "Quota",
               *asked = wish->cpu_period ? "Period" : "Quota";

    if (wish->nano_cpus > 0 && (now->cpu_period > 0 || now->cpu_quota > 0))
        return err_new(
            ERR_CONFLICT,
            "Conflicting options: Nano CPUs cannot be updated as CPU %s has already been set", set);
    if (now->nano_cpus > 0 && (wish->cpu_period > 0 || wish->cpu_quota > 0))
        return err_new(
            ERR_CONFLICT,
            "Conflicting options: CPU %s cannot be updated as NanoCPUs has already been set",
            asked);
    return NULL;
}

static err *memory_conflict(const host_config *now, const host_config *wish)
{
    if (wish->memory > now->memory_swap && now->memory_swap != -1 && !wish->memory_swap)
        return err_new(ERR_CONFLICT,
                       "Memory limit should be smaller than already set memoryswap limit, update "
                       "the memoryswap at the same time");
    return NULL;
}

static void take_numbers(host_config *h, const host_config *wish)
{
    const struct {
        int64_t *to, from;
    } numbers[] = {
        {&h->cpu_shares, wish->cpu_shares},
        {&h->nano_cpus, wish->nano_cpus},
        {&h->cpu_period, wish->cpu_period},
        {&h->cpu_quota, wish->cpu_quota},
        {&h->memory, wish->memory},
        {&h->memory_swap, wish->memory_swap},
        {&h->memory_reservation, wish->memory_reservation},
    };

    for (size_t i = 0; i < COUNT(numbers); i++)
        if (numbers[i].from)
            *numbers[i].to = numbers[i].from;
}

/* Only a text that differs is copied: the record's arena lives as long as the container. */
static void take_text(char **to, const char *from, arena *a)
{
    if (!str_empty(from) && !str_eq(*to, from))
        *to = arena_strdup(a, from);
}

static err *merge(const container *c, const host_config *wish, host_config *h)
{
    TRY(cpu_conflict(h, wish));
    TRY(memory_conflict(h, wish));
    take_numbers(h, wish);
    take_text(&h->cpuset_cpus, wish->cpuset_cpus, c->arena);
    take_text(&h->cpuset_mems, wish->cpuset_mems, c->arena);
    if (wish->pids_limit.set)
        h->pids_limit = wish->pids_limit;
    if (str_empty(wish->restart_policy.name))
        return NULL;
    if (h->auto_remove && !str_eq(wish->restart_policy.name, "no"))
        return err_new(ERR_CONFLICT, "Restart policy cannot be updated because AutoRemove is "
                                     "enabled for the container");
    take_text(&h->restart_policy.name, wish->restart_policy.name, c->arena);
    h->restart_policy.maximum_retry_count = wish->restart_policy.maximum_retry_count;
    return NULL;
}

/* ---- the flow ---- */

static char *limits_path(const updating *u, const char *which)
{
    return xasprintf("%s/limits-%s.json", u->c->run_dir, which);
}

static err *write_limits(const updating *u, const char *which, const host_config *h)
{
    auto_free char *path = limits_path(u, which);
    auto_buf text = {0};

    spec_build_limits(h, &text);
    return file_write(path, text.data, text.len, 0600);
}

static err *job_write(void *st)
{
    const updating *u = st;

    TRY(write_limits(u, "before", &u->before));
    return write_limits(u, "after", &u->after);
}

static void on_runtime_done(void *arg, err *e, const child_exit *exit)
{
    (void)exit;
    flow_resume(arg, e);
}

static void tell_runtime(const updating *u, const char *which, flow *f)
{
    auto_free char *path = limits_path(u, which), *option = xasprintf("--resources=%s", path);

    runtime_command(u->c, "runtime update", on_runtime_done, f, "update", option, NULL);
}

static void call_runtime(void *st, flow *f)
{
    tell_runtime(st, "after", f);
}

static void call_runtime_back(void *st, flow *f)
{
    tell_runtime(st, "before", f);
}

static void on_written(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_record(void *st, flow *f)
{
    updating *u = st;
    store_batch *b = store_batch_new();

    *u->c->rec.host = u->after;
    container_save(u->c, b);
    store_commit(b, on_written, f);
}

static err *now_unrecord(void *st)
{
    updating *u = st;

    *u->c->rec.host = u->before;
    return NULL;
}

static err *now_announce(void *st)
{
    container_event(((updating *)st)->c, "update", NULL);
    return NULL;
}

static bool is_running(void *st)
{
    return ((updating *)st)->c->state.running;
}

static void updating_free(void *st)
{
    updating *u = st;

    if (!u)
        return;
    container_unref(u->c);
    arena_free(u->arena);
    free(u);
}

static const flow_step update_steps[] = {
    {"limits", JOB(job_write), .when = is_running},
    {"runtime update", CALL(call_runtime), CALL(call_runtime_back), .when = is_running},
    {"record", CALL(call_record), NOW(now_unrecord)},
    {"announce", NOW(now_announce)},
    {0},
};
const flow_def update_flow = {"container.update", update_steps, updating_free, HANGUP_FINISH};

static void update_end(updating *u, err *e)
{
    op_end(u->c);
    u->done(u->arg, err_wrap(e, "Cannot update container %s", u->c->rec.id));
}

static void on_updated(void *arg, void *st, err *e)
{
    (void)arg;
    update_end(st, e);
}

static void update_begin(container *c, void *arg)
{
    updating *u = arg;
    err *e = NULL;

    u->before = u->after = *c->rec.host;
    if (c->removing || c->removed)
        e = err_new(ERR_CONFLICT, "Container is marked for removal and cannot be \"update\".");
    if (!e)
        e = merge(c, &u->wish, &u->after);
    if (!e) {
        flow_begin(&update_flow, u, on_updated, NULL);
        return;
    }
    update_end(u, e);
    updating_free(u);
}

void container_update(container *c, const host_config *wish, container_done *done, void *arg)
{
    updating *u;
    err *e = config_check_update(wish);

    if (e) {
        container_refuse(e, done, arg);
        return;
    }
    u = new0(updating);
    u->c = container_ref(c);
    u->arena = arena_new();
    json_copy(&host_config_json, wish, u->arena, &u->wish);
    u->done = done;
    u->arg = arg;
    op_begin(c, "update", update_begin, u);
}
