/* exec.c - further processes in a running container.
 *
 * An exec is remembered while it may run and for some minutes after its end, so that its exit code
 * can be asked for.  Its start is in start.c, who holds its stdio in client.c.  Loop thread only.
 */
#include "private.h"
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <stdlib.h>

/* As dockerd: whoever wants to know how an exec ended has some minutes to ask. */
enum { KEPT_S = 5 * 60, SWEEP_MS = 60 * 1000 };

static timer *sweep_timer;
static exec *execs;

exec *exec_ref(exec *x)
{
    x->refs++;
    return x;
}

void exec_unref(exec *x)
{
    if (!x || --x->refs)
        return;
    container_unref(x->c);
    arena_free(x->arena);
    free(x);
}

/* ---- create and find ---- */

void exec_announce(exec *x, const char *what)
{
    auto_buf action = {0};

    buf_str(&action, what);
    for (size_t i = 0; i < x->config.cmd.n; i++)
        buf_printf(&action, " %s", x->config.cmd.v[i]);
    container_event(x->c, action.data, "execID", x->id, NULL);
}

err *exec_create(container *c, const exec_config *config, exec **ret_exec)
{
    exec *x;

    TRY(container_check_runs(c));
    if (container_is_paused(c))
        return err_new(ERR_CONFLICT, "Container %s is paused, unpause the container before exec",
                       container_id(c));
    if (!config->cmd.n || str_empty(config->cmd.v[0]))
        return err_new(ERR_INVALID, "No exec command specified");
    x = new0(exec);
    x->refs = 1;
    str_random_id(x->id);
    x->c = container_ref(c);
    x->arena = arena_new();
    json_copy(&exec_config_json, config, x->arena, &x->config);
    HASH_ADD_STR(execs, id, x);
    x->is_known = true;
    exec_announce(x, "exec_create:");
    *ret_exec = x;
    return NULL;
}

err *exec_find(const char *id, exec **ret_exec)
{
    exec *x = NULL;

    HASH_FIND_STR(execs, id, x);
    if (!x)
        return err_new(ERR_NOT_FOUND, "No such exec instance: %s", id);
    *ret_exec = x;
    return NULL;
}

const char *exec_id(const exec *x)
{
    return x->id;
}

container *exec_container(const exec *x)
{
    return x->c;
}

const exec_config *exec_config_of(const exec *x)
{
    return &x->config;
}

err *exec_may_start(const exec *x)
{
    if (x->stage == EXEC_STARTING || x->stage == EXEC_RUNNING)
        return err_new(ERR_CONFLICT, "exec command %s is already running", x->id);
    if (x->stage == EXEC_ENDED)
        return err_new(ERR_CONFLICT, "exec command %s has already run", x->id);
    TRY(container_check_runs(x->c));
    if (container_is_paused(x->c))
        return err_new(ERR_CONFLICT, "Container %s is paused, unpause the container before exec",
                       container_id(x->c));
    return NULL;
}

/* ---- what became of it ---- */

void exec_inspected(const exec *x, arena *a, exec_inspect_answer *ret)
{
    const exec_config *k = &x->config;

    ret->id = (char *)x->id;
    ret->running = x->stage == EXEC_RUNNING || x->stage == EXEC_STARTING;
    ret->exit_code = (json_opt_int){x->stage == EXEC_ENDED, x->exit_code};
    ret->process_config.entrypoint = k->cmd.v[0];
    for (size_t i = 1; i < k->cmd.n; i++)
        json_strs_add(&ret->process_config.arguments, a, k->cmd.v[i]);
    ret->process_config.tty = k->tty;
    ret->process_config.privileged = k->privileged;
    ret->process_config.user = k->user;
    ret->open_stdin = k->attach_stdin;
    ret->open_stdout = k->attach_stdout;
    ret->open_stderr = k->attach_stderr;
    ret->can_remove = x->stage == EXEC_ENDED;
    ret->container_id = (char *)container_id(x->c);
    ret->detach_keys = k->detach_keys;
    ret->pid = x->stage == EXEC_RUNNING ? x->pid : 0;
}

void exec_ended(exec *x, int code)
{
    auto_free char *text = xasprintf("%d", code);

    if (x->stage == EXEC_ENDED)
        return;
    x->stage = EXEC_ENDED;
    x->exit_code = code;
    x->ended_ns = time_mono_ns();
    container_event(x->c, "exec_die", "execID", x->id, "exitCode", text, NULL);
    if (x->client && x->client->exit_wait)
        exec_client_end(x->client, NULL);
    if (x->on_ended)
        x->on_ended(x->on_ended_arg);
}

void exec_forget(exec *x)
{
    if (!x->is_known)
        return;
    x->is_known = false;
    HASH_DEL(execs, x);
    exec_unref(x);
}

static void on_sweep(void *arg)
{
    int64_t now = time_mono_ns();

    (void)arg;
    for (exec *x = execs, *next; x; x = next) {
        next = x->hh.next;
        if (x->stage == EXEC_ENDED && !x->client && now - x->ended_ns > KEPT_S * 1000000000LL)
            exec_forget(x);
    }
}

static void on_exec_ended(container *c, const char *id, const monitor_exit *exit)
{
    exec *x = NULL;

    (void)c;
    HASH_FIND_STR(execs, id, x);
    if (x)
        exec_ended(x, exit->code);
}

/* Init took every process of its pid namespace with it. */
static void on_container_stopped(container *c)
{
    health_stopped(c);
    for (exec *x = execs, *next; x; x = next) {
        next = x->hh.next;
        if (x->c == c && (x->stage == EXEC_RUNNING || x->stage == EXEC_STARTING))
            exec_ended(x, 137);
    }
}

static void on_container_removed(container *c)
{
    health_removed(c);
    for (exec *x = execs, *next; x; x = next) {
        next = x->hh.next;
        if (x->c == c)
            exec_forget(x);
    }
}

static void exec_ids(const container *c, arena *a, json_strs *ret)
{
    for (exec *x = execs; x; x = x->hh.next)
        if (x->c == c && x->stage == EXEC_RUNNING)
            json_strs_add(ret, a, x->id);
}

void execs_init(void)
{
    static const container_hooks hooks = {.exec_ended = on_exec_ended,
                                          .started = health_started,
                                          .stopped = on_container_stopped,
                                          .removed = on_container_removed,
                                          .exec_ids = exec_ids,
                                          .health_status = health_status,
                                          .health_describe = health_describe};

    containers_set_hooks(&hooks);
    sweep_timer = timer_every("execs.sweep", SWEEP_MS, on_sweep, NULL);
}

void execs_done(void)
{
    timer_stop(take(sweep_timer));
    health_done();
    while (execs)
        exec_forget(execs);
}
