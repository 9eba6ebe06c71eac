/* flow.c - the engine that walks a flow's table: down while all is well, else up through the undo
 * column.
 *
 * flow_walk runs rows until one has to be awaited; whatever was awaited comes back through
 * step_end, and the walk goes on.  It never runs inside flow_begin, flow_resume or flow_cancel:
 * those put it on the reap list, so a flow cannot end under the feet of its caller. Loop thread
 * only; a JOB's fn alone runs on a worker, and the state is its alone meanwhile. */
#include "uvloop.h"
#include <berth/buf.h>
#include <berth/child.h>
#include <berth/flow.h>
#include <berth/job.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/timer.h>
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
    MAX_STEPS = 64,     /* the width of flow.began */
    ROWS_PER_TURN = 64, /* then other events have their turn */
    SPAWN_TIMEOUT_MS = 10 * 60 * 1000,
};

struct flow {
    const flow_def *def;
    void *state;
    flow_done *done;
    void *done_arg;
    flow *prev, *next;              /* of all flows in flight */
    flow *parent;                   /* whose EACH row we are an item of */
    err *error;                     /* the first one: why it unwinds */
    uint64_t began;                 /* bit i: step i began, so it is undone */
    uint64_t flow_ns, step_ns;      /* when the flow and its current step began */
    timer *sleep;                   /* of a SLEEP row */
    void (*on_cancel)(void *state); /* of a CALL row */
    err *each_error;                /* of an EACH row: the first child's */
    unsigned each_running;
    short step; /* the current one; -1 before the first */
    bool undoing, awaiting, cancelled;
    bool walk_due;   /* flow_walk is on the reap list */
    bool each_ended; /* next gave NULL */
};

const size_t flow_bytes = sizeof(struct flow);

static flow *flows; /* newest first */
static unsigned n_flows;
static flow_hook *the_hook;

static void walk_later(flow *f);
static void each_more(flow *f);

static const flow_step *current(const flow *f)
{
    return &f->def->steps[f->step];
}

static const flow_act *current_act(const flow *f)
{
    return f->undoing ? &current(f)->undo : &current(f)->act;
}

static void flow_link(flow *f)
{
    f->next = flows;
    if (flows)
        flows->prev = f;
    flows = f;
    n_flows++;
}

static void flow_unlink(flow *f)
{
    if (f->prev)
        f->prev->next = f->next;
    else
        flows = f->next;
    if (f->next)
        f->next->prev = f->prev;
    n_flows--;
}

static void flow_end(flow *f)
{
    flow_unlink(f);
    log_trace("flow", "flow done", "flow", f->def->name, "us", (uv_hrtime() - f->flow_ns) / 1000,
              "error", err_message(f->error));
    if (f->done)
        f->done(f->done_arg, f->state, take(f->error));
    else if (f->error)
        err_log(take(f->error), f->def->name);
    if (f->def->free_state)
        f->def->free_state(f->state);
    free(f);
}

/* What the current row awaited has ended; consumes e. */
static void step_end(flow *f, err *e)
{
    f->awaiting = false;
    f->on_cancel = NULL;
    log_trace("flow", f->undoing ? "step undone" : "step done", "flow", f->def->name, "step",
              current(f)->name, "us", (uv_hrtime() - f->step_ns) / 1000, "error", err_message(e));
    if (f->undoing && e) {
        log_warn("undo failed", "flow", f->def->name, "step", current(f)->name, "error",
                 err_message(e));
        err_free(e);
        return;
    }
    if (e)
        f->error = e;
}

/* The same from a callback of the loop: then the walk goes on. */
static void step_end_later(flow *f, err *e)
{
    step_end(f, e);
    walk_later(f);
}

/* While it runs, the loop changes nothing of f that is read here. */
static err *job_step(void *arg)
{
    const flow *f = arg;

    return current_act(f)->run(f->state);
}

static void on_step_job_done(void *arg, err *e)
{
    step_end_later(arg, e);
}

static void on_step_child_done(void *arg, err *e, const child_exit *exit)
{
    (void)exit;
    step_end_later(arg, e);
}

static void on_step_slept(void *arg)
{
    flow *f = arg;

    timer_stop(take(f->sleep));
    step_end_later(f, NULL);
}

static void run_spawn(flow *f, const flow_act *act)
{
    auto_strv argv = {0};
    child_opts opts = {.name = current(f)->name, .timeout_ms = SPAWN_TIMEOUT_MS};
    err *e;

    act->argv(f->state, &argv);
    if (!argv.n) {
        step_end(f, NULL);
        return;
    }
    opts.argv = argv.v;
    e = child_spawn(&opts, on_step_child_done, f, NULL);
    if (e)
        step_end(f, e);
}

static void run_each(flow *f)
{
    f->each_ended = false;
    f->each_running = 0;
    each_more(f);
    if (!f->each_running)
        step_end(f, NULL);
}

static void begin_act(flow *f)
{
    const flow_act *act = current_act(f);
    const char *name = current(f)->name;

    switch (act->kind) {
    case FLOW_NOTHING:
        step_end(f, NULL);
        break;
    case FLOW_NOW:
        step_end(f, act->run(f->state));
        break;
    case FLOW_JOB:
        job_begin(name, job_step, f, on_step_job_done);
        break;
    case FLOW_SLOW_JOB:
        job_begin_slow(name, job_step, f, on_step_job_done);
        break;
    case FLOW_SPAWN:
        run_spawn(f, act);
        break;
    case FLOW_SLEEP:
        f->sleep = timer_start(name, act->sleep_ms(f->state), on_step_slept, f);
        break;
    case FLOW_CALL:
        act->call(f->state, f);
        break;
    case FLOW_EACH:
        run_each(f);
        break;
    }
}

static void run_act(flow *f)
{
    const char *name = current(f)->name;
    uint64_t began_ns = watchdog_begin();

    f->step_ns = uv_hrtime();
    f->awaiting = true;
    if (the_hook)
        step_end(f, the_hook(f->def, current(f), f->undoing, f->state));
    else
        begin_act(f);
    watchdog_end(began_ns, name);
}

/* Begin the next row downward; false when there is none. */
static bool step_down(flow *f)
{
    f->step++;
    if (!current(f)->name)
        return false;
    assert(f->step < MAX_STEPS);
    if (!the_hook && current(f)->when && !current(f)->when(f->state))
        return true;
    f->began |= UINT64_C(1) << f->step;
    run_act(f);
    return true;
}

/* Begin the undo of the nearest row above that began; false when there is none. */
static bool step_up(flow *f)
{
    while (f->step >= 0 && !(f->began & UINT64_C(1) << f->step))
        f->step--;
    if (f->step < 0)
        return false;
    f->began &= ~(UINT64_C(1) << f->step);
    if (current(f)->undo.kind != FLOW_NOTHING)
        run_act(f);
    return true;
}

static bool must_unwind(flow *f)
{
    if (f->cancelled && !f->error)
        f->error = err_new(ERR_CANCELLED, "%s: cancelled", f->def->name);
    return f->error != NULL;
}

static void flow_walk(void *arg)
{
    flow *f = arg;

    f->walk_due = false;
    for (int rows = 0; rows < ROWS_PER_TURN; rows++) {
        if (!f->undoing && must_unwind(f))
            f->undoing = true;
        if (!(f->undoing ? step_up(f) : step_down(f))) {
            flow_end(f);
            return;
        }
        if (f->awaiting || f->walk_due)
            return;
    }
    walk_later(f);
}

static void walk_later(flow *f)
{
    assert(!f->walk_due);
    f->walk_due = true;
    loop_defer(flow_walk, f);
}

static flow *flow_new(const flow_def *def, void *state, flow_done *done, void *arg)
{
    flow *f = new0(flow);

    assert(on_loop());
    *f = (flow){.def = def, .state = state, .done = done, .done_arg = arg, .step = -1};
    f->flow_ns = f->step_ns = uv_hrtime();
    flow_link(f);
    walk_later(f);
    return f;
}

static void cancel_children(flow *parent)
{
    for (flow *f = flows; f; f = f->next)
        if (f->parent == parent)
            flow_cancel(f);
}

/* Should an EACH row begin no further child?  An undo row goes through all of its items. */
static bool each_stops(const flow *f)
{
    return f->each_ended || (!f->undoing && (f->each_error || f->cancelled));
}

static void on_each_done(void *arg, void *state, err *e)
{
    flow *f = arg;

    (void)state;
    f->each_running--;
    if (e && !f->each_error) {
        f->each_error = e;
        if (!f->undoing)
            cancel_children(f);
    } else if (e) {
        if (err_kind(e) != ERR_CANCELLED)
            err_log(err_wrap(e, "%s", current(f)->name), f->def->name);
        else
            err_free(e);
    }
    each_more(f);
    if (!f->each_running)
        step_end_later(f, take(f->each_error));
}

static void each_more(flow *f)
{
    const flow_act *act = current_act(f);
    unsigned at_once = act->at_once ? act->at_once : 1;

    while (f->each_running < at_once && !each_stops(f)) {
        void *state = act->next(f->state);

        if (!state) {
            f->each_ended = true;
            return;
        }
        flow_new(act->each, state, on_each_done, f)->parent = f;
        f->each_running++;
    }
}

static uint64_t ms_since(uint64_t ns)
{
    return (uv_hrtime() - ns) / 1000000;
}

static int count_steps(const flow_def *def)
{
    int n = 0;

    while (def->steps[n].name)
        n++;
    return n;
}

static void flow_dump(buf *out)
{
    buf_printf(out, "flows in flight: %u\n", n_flows);
    for (const flow *f = flows; f; f = f->next)
        buf_printf(
            out, "  %s: step %d of %d \"%s\"%s%s, for %" PRIu64 " ms, in all %" PRIu64 " ms%s%s\n",
            f->def->name, f->step + 1, count_steps(f->def), f->step < 0 ? "" : current(f)->name,
            f->undoing ? ", undoing" : "", f->cancelled ? ", cancelled" : "", ms_since(f->step_ns),
            ms_since(f->flow_ns), f->parent ? ", part of " : "",
            f->parent ? f->parent->def->name : "");
}

flow *flow_begin(const flow_def *def, void *state, flow_done *done, void *arg)
{
    loop_on_dump(flow_dump);
    return flow_new(def, state, done, arg);
}

void flow_resume(flow *f, err *e)
{
    assert(on_loop() && f->awaiting && current_act(f)->kind == FLOW_CALL);
    step_end_later(f, e);
}

void flow_cancel(flow *f)
{
    assert(on_loop());
    if (f->cancelled || f->undoing)
        return;
    f->cancelled = true;
    if (!f->awaiting)
        return; /* the walk that is due sees it */
    if (f->sleep) {
        timer_stop(take(f->sleep));
        step_end_later(f, NULL);
    } else if (f->on_cancel) {
        f->on_cancel(f->state);
    } else {
        cancel_children(f);
    }
}

bool flow_is_cancelled(const flow *f)
{
    return f->cancelled;
}

void flow_on_cancel(flow *f, void (*fn)(void *state))
{
    f->on_cancel = fn;
}

void flow_hangup_of(flow *f)
{
    if (f->def->hangup == HANGUP_UNWIND)
        flow_cancel(f);
}

unsigned flows_running(void)
{
    return n_flows;
}

void flow_set_hook(flow_hook *hook)
{
    the_hook = hook;
}
