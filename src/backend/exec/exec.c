/* exec.c - further processes in a running container.
 *
 * An exec is remembered until its container is gone, so that its exit code can be asked for.  The
 * container's monitor holds its stdio; a client is an attachment made between prepare and run, so
 * it misses nothing.  A start is a flow: resolve the user and write the process file, prepare the
 * session, attach, run.  Loop thread only, except job_*. */
#include <berth/exec.h>
#include <berth/flow.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/spec.h>
#include <berth/str.h>
#include <berth/timer.h>
#include <berth/tree.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

typedef enum exec_stage { EXEC_CREATED, EXEC_STARTING, EXEC_RUNNING, EXEC_ENDED } exec_stage;

struct exec {
    unsigned refs;
    char id[65];
    container *c; /* referenced */
    arena *arena;
    exec_config config;
    exec_stage stage;
    int pid, exit_code;
    exec_client *client;
    UT_hash_handle hh;
};

struct exec_client {
    exec *x; /* referenced */
    attach_events ev;
    void *arg;
    attachment *a;
    buf waiting;      /* stdin from before the session was there */
    timer *exit_wait; /* the output is over, the exit is not told yet */
    bool eof_waiting, stalled, paused, ended, freed;
};

enum {
    STDIN_WAITING_MAX = 64 << 10,
    EXIT_WAIT_MS = 2000, /* for a process that closed its output and lives on */
};

static exec *execs;

static exec *exec_ref(exec *x)
{
    x->refs++;
    return x;
}

static void exec_unref(exec *x)
{
    if (!x || --x->refs)
        return;
    container_unref(x->c);
    arena_free(x->arena);
    free(x);
}

/* ---- create and find ---- */

static void announce(exec *x, const char *what)
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
    announce(x, "exec_create:");
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

/* ---- the client's side ---- */

static void client_end(exec_client *cl, err *e)
{
    attach_free(take(cl->a));
    timer_stop(take(cl->exit_wait));
    if (cl->ended) {
        err_free(e);
        return;
    }
    cl->ended = true;
    cl->ev.on_end(cl->arg, e);
}

static void on_output(void *arg, const char *frame, size_t n)
{
    exec_client *cl = arg;

    cl->ev.on_output(cl->arg, frame, n);
}

static void on_exit_overdue(void *arg)
{
    client_end(arg, NULL);
}

/* Whoever sees the stream end asks for the exit code next: it must be known by then. */
static void on_end(void *arg, err *e)
{
    exec_client *cl = arg;

    if (e || cl->x->stage == EXEC_ENDED) {
        client_end(cl, e);
        return;
    }
    attach_free(take(cl->a));
    cl->exit_wait = timer_start("exec.exit", EXIT_WAIT_MS, on_exit_overdue, cl);
}

static void on_stdin_drain(void *arg)
{
    exec_client *cl = arg;

    cl->stalled = false;
    cl->ev.on_stdin_drain(cl->arg);
}

static const attach_events session_events = {on_output, on_end, on_stdin_drain};

bool exec_stdin(exec_client *cl, const char *p, size_t n)
{
    bool flows;

    if (cl->ended)
        return true;
    if (cl->a) {
        flows = attach_stdin(cl->a, p, n);
    } else {
        buf_add(&cl->waiting, p, n);
        flows = cl->waiting.len < STDIN_WAITING_MAX;
    }
    cl->stalled = !flows;
    return flows;
}

void exec_stdin_eof(exec_client *cl)
{
    if (cl->a)
        attach_stdin_eof(cl->a);
    else
        cl->eof_waiting = true;
}

void exec_pause(exec_client *cl, bool paused)
{
    cl->paused = paused;
    if (cl->a)
        attach_pause(cl->a, paused);
}

static void on_client_freed(void *arg)
{
    exec_client *cl = arg;

    exec_unref(cl->x);
    buf_done(&cl->waiting);
    free(cl);
}

void exec_client_free(exec_client *cl)
{
    if (!cl || cl->freed)
        return;
    cl->freed = cl->ended = true;
    attach_free(take(cl->a));
    timer_stop(take(cl->exit_wait));
    if (cl->x->client == cl)
        cl->x->client = NULL;
    loop_defer(on_client_freed, cl);
}

static void client_bind(exec_client *cl)
{
    const exec_config *k = &cl->x->config;
    unsigned what = (k->attach_stdin ? ATTACH_STDIN : 0) | (k->attach_stdout ? ATTACH_STDOUT : 0) |
                    (k->attach_stderr ? ATTACH_STDERR : 0);
    bool flows = true;

    cl->a = monitor_attach(container_monitor(cl->x->c), cl->x->id, what, &session_events, cl);
    if (cl->paused)
        attach_pause(cl->a, true);
    if (cl->waiting.len)
        flows = attach_stdin(cl->a, cl->waiting.data, cl->waiting.len);
    buf_done(&cl->waiting);
    if (cl->eof_waiting)
        attach_stdin_eof(cl->a);
    if (cl->stalled && flows)
        on_stdin_drain(cl);
}

/* ---- start ---- */

typedef struct starting {
    exec *x;    /* referenced */
    char *path; /* of the process file */
    char *rootfs;
    strv env;
    unsigned short rows, cols;
    flow *flow;
    container_done *done; /* a detached start */
    void *arg;
} starting;

static err *job_write_process(void *st)
{
    starting *s = st;
    const container_config *config = container_config_of(s->x->c);
    const exec_config *k = &s->x->config;
    auto_arena *a = arena_new();
    auto_buf text = {0};
    auto_close int root = open(s->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
    spec_user user = {0};
    spec_exec in = {.env = (const char *const *)s->env.v,
                    .argv = (const char *const *)k->cmd.v,
                    .cwd = str_or(k->working_dir, str_or(config->working_dir, "/")),
                    .user = &user,
                    .tty = k->tty,
                    .privileged = k->privileged,
                    .rows = s->rows,
                    .cols = s->cols,
                    .host = container_host_config(s->x->c)};

    if (root < 0)
        return err_errno(errno, "open %s", s->rootfs);
    TRY(spec_user_resolve(root, str_or(k->user, str_or(config->user, "")), &in.host->group_add, a,
                          &user));
    TRY(spec_build_exec(&in, &text));
    return file_write(s->path, text.data, text.len, 0600);
}

static err *job_remove_process(void *st)
{
    starting *s = st;

    if (unlink(s->path) < 0 && errno != ENOENT)
        return err_errno(errno, "unlink %s", s->path);
    return NULL;
}

static void on_prepared(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_prepare(void *st, flow *f)
{
    starting *s = st;
    const exec_config *k = &s->x->config;
    monitor_exec_spec spec = {.exec_id = s->x->id,
                              .process_path = s->path,
                              .tty = k->tty,
                              .open_stdin = k->attach_stdin,
                              .want_stdout = k->attach_stdout,
                              .want_stderr = k->attach_stderr,
                              .rows = s->rows,
                              .cols = s->cols};
    monitor *m = container_monitor(s->x->c);

    if (m)
        monitor_exec_prepare(m, &spec, on_prepared, f);
    else
        flow_resume(f, err_new(ERR_CONFLICT, "container %s is not running", container_id(s->x->c)));
}

static err *now_bind(void *st)
{
    exec *x = ((starting *)st)->x;

    if (!container_monitor(x->c))
        return err_new(ERR_CONFLICT, "container %s is not running", container_id(x->c));
    if (x->client)
        client_bind(x->client);
    return NULL;
}

static void on_run(void *arg, err *e, const monitor_started *started)
{
    starting *s = arg;

    if (!e) {
        s->x->pid = (int)started->pid;
        if (s->x->stage == EXEC_STARTING) /* its end may have been told first */
            s->x->stage = EXEC_RUNNING;
        announce(s->x, "exec_start:");
    }
    flow_resume(s->flow, e);
}

static void call_run(void *st, flow *f)
{
    starting *s = st;
    monitor *m = container_monitor(s->x->c);

    s->flow = f;
    if (m)
        monitor_exec_run(m, s->x->id, on_run, s);
    else
        flow_resume(f, err_new(ERR_CONFLICT, "container %s is not running", container_id(s->x->c)));
}

static void starting_free(void *st)
{
    starting *s = st;

    if (!s)
        return;
    exec_unref(s->x);
    free(s->path);
    free(s->rootfs);
    strv_done(&s->env);
    free(s);
}

static const flow_step start_steps[] = {
    {"process file", JOB(job_write_process), JOB(job_remove_process)},
    {"prepare", CALL(call_prepare)},
    {"attach", NOW(now_bind)},
    {"run", CALL(call_run)},
    {0},
};
const flow_def exec_start_flow = {"exec.start", start_steps, starting_free, HANGUP_FINISH};

/* What a shell would say: 127 for a command that is not there, 126 for one that may not run. */
static int code_of_failure(const char *text)
{
    if (strstr(text, "executable file not found") || strstr(text, "no such file or directory") ||
        strstr(text, "No such file or directory"))
        return 127;
    return 126;
}

static void on_started(void *arg, void *st, err *e)
{
    starting *s = st;
    exec *x = s->x;

    (void)arg;
    if (e) {
        x->stage = EXEC_ENDED;
        x->exit_code = code_of_failure(err_message(e));
        if (x->client)
            client_end(x->client, err_copy(e));
    }
    if (s->done)
        s->done(s->arg, e);
    else
        err_free(e);
}

static void start(exec *x, const exec_start_options *opts, container_done *done, void *arg)
{
    starting *s = new0(starting);
    const json_raw *size = opts->console_size.text ? &opts->console_size : &x->config.console_size;

    x->stage = EXEC_STARTING;
    s->x = exec_ref(x);
    s->path = xasprintf("%s/exec-%s.json", container_run_dir(x->c), x->id);
    s->rootfs = xstrdup(container_rootfs(x->c));
    container_env(x->c, &x->config.env, x->config.tty, &s->env);
    console_size_parse(size, &s->rows, &s->cols);
    s->done = done;
    s->arg = arg;
    flow_begin(&exec_start_flow, s, on_started, NULL);
}

exec_client *exec_start_attached(exec *x, const exec_start_options *opts, const attach_events *ev,
                                 void *arg)
{
    exec_client *cl = new0(exec_client);

    cl->x = exec_ref(x);
    cl->ev = *ev;
    cl->arg = arg;
    x->client = cl;
    start(x, opts, NULL, NULL);
    return cl;
}

void exec_start_detached(exec *x, const exec_start_options *opts, container_done *done, void *arg)
{
    start(x, opts, done, arg);
}

void exec_resize(exec *x, unsigned rows, unsigned cols, container_done *done, void *arg)
{
    monitor *m = container_monitor(x->c);

    if (x->stage != EXEC_RUNNING || !m)
        container_refuse(err_new(ERR_CONFLICT, "exec process %s is not running", x->id), done, arg);
    else
        monitor_resize(m, x->id, (unsigned short)rows, (unsigned short)cols, done, arg);
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

static void ended(exec *x, int code)
{
    auto_free char *text = xasprintf("%d", code);

    if (x->stage == EXEC_ENDED)
        return;
    x->stage = EXEC_ENDED;
    x->exit_code = code;
    container_event(x->c, "exec_die", "execID", x->id, "exitCode", text, NULL);
    if (x->client && x->client->exit_wait)
        client_end(x->client, NULL);
}

static void on_exec_ended(container *c, const char *id, const monitor_exit *exit)
{
    exec *x = NULL;

    (void)c;
    HASH_FIND_STR(execs, id, x);
    if (x)
        ended(x, exit->code);
}

/* Init took every process of its pid namespace with it. */
static void on_container_stopped(container *c)
{
    for (exec *x = execs, *next; x; x = next) {
        next = x->hh.next;
        if (x->c == c && (x->stage == EXEC_RUNNING || x->stage == EXEC_STARTING))
            ended(x, 137);
    }
}

static void on_container_removed(container *c)
{
    for (exec *x = execs, *next; x; x = next) {
        next = x->hh.next;
        if (x->c != c)
            continue;
        HASH_DEL(execs, x);
        exec_unref(x);
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
    static const container_hooks hooks = {on_exec_ended, on_container_stopped, on_container_removed,
                                          exec_ids};

    containers_set_hooks(&hooks);
}
