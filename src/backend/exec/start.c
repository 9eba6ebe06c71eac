/* start.c - the start of an exec, as a flow: resolve the user and write the process file, prepare
 * the session, attach, run.
 *
 * A client is an attachment made between prepare and run, so it misses nothing.  Loop thread only,
 * except job_*. */
#include "private.h"
#include <berth/flow.h>
#include <berth/mem.h>
#include <berth/spec.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <berth/tree.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
        exec_client_bind(x->client);
    return NULL;
}

static void on_run(void *arg, err *e, const monitor_started *started)
{
    starting *s = arg;

    if (!e) {
        s->x->pid = (int)started->pid;
        if (s->x->stage == EXEC_STARTING) /* its end may have been told first */
            s->x->stage = EXEC_RUNNING;
        exec_announce(s->x, "exec_start:");
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
    {"process file is read", JOB(job_remove_process)},
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
        x->ended_ns = time_mono_ns();
        if (x->client)
            exec_client_end(x->client, err_copy(e));
        if (x->on_ended)
            x->on_ended(x->on_ended_arg);
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
