/* flow_test.c - the walk through a flow's table: downward, upward, cancelled, in every kind of row.
 */
#include "rig.h"
#include <berth/buf.h>
#include <berth/flow.h>
#include <berth/log.h>
#include <berth/timer.h>
#include <stdatomic.h>

/* The state of the sample flows.  What happens is written into one trace: "a b" for deeds, "-b -a"
 * for undone ones; fail_at names the deed that fails. */
typedef struct sample {
    char trace[512];
    const char *fail_at;
    bool skip_b;
    flow *waiting; /* in a CALL row */
    timer *timer;
    unsigned next, at_once, most_at_once;
    const char *child_fails; /* the name of the item that fails */
    const flow_def *each;
} sample;

typedef struct outcome {
    unsigned n;
    char *message;
    err_class kind;
    char trace[512];
} outcome;

static unsigned states_freed;

static err *say(sample *s, const char *what)
{
    size_t n = strlen(s->trace);

    snprintf(s->trace + n, sizeof(s->trace) - n, "%s%s", n ? " " : "", what);
    if (str_eq(s->fail_at, what))
        return err_new(ERR_CONFLICT, "%s failed", what);
    return NULL;
}

#define DEED(name)                  \
    static err *name(void *st)      \
    {                               \
        return say(st, #name);      \
    }                               \
    static err *un_##name(void *st) \
    {                               \
        return say(st, "-" #name);  \
    }
#define JOB_DEED(name)                  \
    static err *job_##name(void *st)    \
    {                                   \
        assert_false(on_loop());        \
        return say(st, #name);          \
    }                                   \
    static err *job_un_##name(void *st) \
    {                                   \
        return say(st, "-" #name);      \
    }

DEED(a)
JOB_DEED(b)
DEED(c)
JOB_DEED(d)

static bool wants_b(void *st)
{
    return !((sample *)st)->skip_b;
}

static void free_state(void *st)
{
    states_freed++;
    free(st);
}

static const flow_step plain_steps[] = {
    {"a", NOW(a), NOW(un_a)},
    {"b", JOB(job_b), JOB(job_un_b), .when = wants_b},
    {"nothing", {0}, {0}},
    {"c", NOW(c)},
    {"d", SLOW_JOB(job_d), SLOW_JOB(job_un_d)},
    {0},
};
static const flow_def plain_flow = {"test.plain", plain_steps, free_state, HANGUP_UNWIND};
static const flow_def stubborn_flow = {"test.stubborn", plain_steps, free_state, HANGUP_FINISH};

static void on_done(void *arg, void *state, err *e)
{
    outcome *o = arg;

    assert_true(on_loop());
    o->n++;
    o->message = e ? xstrdup(err_message(e)) : NULL;
    o->kind = e ? err_kind(e) : 0;
    if (state)
        memcpy(o->trace, ((sample *)state)->trace, sizeof(o->trace));
    err_free(e);
}

static void outcome_done(outcome *o)
{
    free(o->message);
}
#define auto_outcome __attribute__((cleanup(outcome_done))) outcome

static sample *sample_new(const char *fail_at)
{
    sample *s = new0(sample);

    s->fail_at = fail_at;
    return s;
}

static void run(const flow_def *def, sample *s, outcome *o)
{
    unsigned freed = states_freed;

    flow_begin(def, s, on_done, o);
    assert_int_equal(o->n, 0); /* never from within flow_begin */
    assert_string_equal(s->trace, "");
    assert_int_equal(flows_running(), 1);
    loop_run();
    assert_int_equal(o->n, 1);
    assert_int_equal(flows_running(), 0);
    assert_int_equal(states_freed, freed + 1);
}

static void expect(const flow_def *def, sample *s, const char *trace, const char *message)
{
    auto_outcome o = {0};

    run(def, s, &o);
    assert_string_equal(o.trace, trace);
    if (message)
        assert_string_equal(o.message, message);
    else
        assert_null(o.message);
}

static void test_downward(void **state)
{
    sample *s = sample_new(NULL);

    (void)state;
    expect(&plain_flow, s, "a b c d", NULL);
    s = sample_new(NULL);
    s->skip_b = true;
    expect(&plain_flow, s, "a c d", NULL);
}

/* The undo of a failed deed runs too: it began. */
static void test_upward_is_the_mirror(void **state)
{
    sample *s = sample_new("d");

    (void)state;
    s->skip_b = true;
    expect(&plain_flow, s, "a c d -d -a", "d failed");
    expect(&plain_flow, sample_new("a"), "a -a", "a failed");
    expect(&plain_flow, sample_new("b"), "a b -b -a", "b failed");
    expect(&plain_flow, sample_new("c"), "a b c -b -a", "c failed");
    expect(&plain_flow, sample_new("d"), "a b c d -d -b -a", "d failed");
}

static void fail_undo(void *st)
{
    sample *s = st;

    s->fail_at = "-b"; /* from now on */
}

static err *fail_and_spoil_undo(void *st)
{
    fail_undo(st);
    return err_new(ERR_NOT_FOUND, "the first error");
}

static const flow_step spoilt_steps[] = {
    {"a", NOW(a), NOW(un_a)},
    {"b", JOB(job_b), JOB(job_un_b)},
    {"fail", NOW(fail_and_spoil_undo)},
    {0},
};
static const flow_def spoilt_flow = {"test.spoilt", spoilt_steps, free_state, HANGUP_FINISH};

static void test_a_failing_undo_is_logged_and_the_first_error_kept(void **state)
{
    rig_log log = rig_log_begin();
    auto_free char *logged = NULL;
    auto_outcome o = {0};

    (void)state;
    run(&spoilt_flow, sample_new(NULL), &o);
    logged = rig_log_end(&log);
    assert_string_equal(o.message, "the first error");
    assert_int_equal(o.kind, ERR_NOT_FOUND);
    assert_string_equal(o.trace, "a b -b -a");
    assert_non_null(strstr(logged, "-b failed"));
    assert_non_null(strstr(logged, "test.spoilt"));
}

static const flow_step no_steps[] = {{0}};
static const flow_def empty_flow = {"test.empty", no_steps, NULL, HANGUP_FINISH};

static void test_no_steps_no_state_no_done(void **state)
{
    auto_outcome o = {0};

    (void)state;
    flow_begin(&empty_flow, NULL, on_done, &o);
    flow_begin(&empty_flow, NULL, NULL, NULL);
    loop_run();
    assert_int_equal(o.n, 1);
    assert_null(o.message);
}

/* ---- cancel ---- */

/* Cancelled while deed number at runs (0: before the first), through a row that cancels. */
static flow *to_cancel;

static err *cancel_now(void *st)
{
    flow_cancel(to_cancel);
    assert_true(flow_is_cancelled(to_cancel));
    return say(st, "x");
}

static err *un_x(void *st)
{
    return say(st, "-x");
}

static const flow_step cancel_first[] = {
    {"x", NOW(cancel_now), NOW(un_x)}, {"a", NOW(a), NOW(un_a)}, {0}};
static const flow_step cancel_second[] = {
    {"a", NOW(a), NOW(un_a)}, {"x", NOW(cancel_now), NOW(un_x)}, {"b", JOB(job_b)}, {0}};
static const flow_step cancel_last[] = {{"a", NOW(a), NOW(un_a)},
                                        {"b", JOB(job_b), JOB(job_un_b)},
                                        {"x", NOW(cancel_now), NOW(un_x)},
                                        {0}};

static void expect_cancelled(const flow_step *steps, const char *trace)
{
    flow_def def = {"test.cancel", steps, free_state, HANGUP_UNWIND};
    auto_outcome o = {0};

    to_cancel = flow_begin(&def, sample_new(NULL), on_done, &o);
    loop_run();
    assert_int_equal(o.n, 1);
    assert_int_equal(o.kind, ERR_CANCELLED);
    assert_string_equal(o.trace, trace);
}

static void test_cancel_at_each_step(void **state)
{
    (void)state;
    expect_cancelled(cancel_first, "x -x");
    expect_cancelled(cancel_second, "a x -x -a");
    expect_cancelled(cancel_last, "a b x -x -b -a");
}

static void test_cancel_before_the_first_step(void **state)
{
    auto_outcome o = {0};
    flow *f = flow_begin(&plain_flow, sample_new(NULL), on_done, &o);

    (void)state;
    flow_cancel(f);
    flow_cancel(f);
    loop_run();
    assert_int_equal(o.kind, ERR_CANCELLED);
    assert_string_equal(o.trace, "");
}

static void cancel_it(void *arg)
{
    flow_cancel(arg);
}

static atomic_bool let_go;

/* Runs until it is let go, but not for ever. */
static err *job_slow_b(void *st)
{
    for (int ms = 0; !atomic_load(&let_go) && ms < 20000; ms++)
        rig_sleep_ms(1);
    return say(st, "b");
}

static void cancel_and_let_go(void *arg)
{
    flow_cancel(arg);
    atomic_store(&let_go, true);
}

static const flow_step slow_steps[] = {
    {"a", NOW(a), NOW(un_a)}, {"b", JOB(job_slow_b), JOB(job_un_b)}, {"c", NOW(c)}, {0}};
static const flow_def slow_flow = {"test.slow", slow_steps, free_state, HANGUP_UNWIND};

static void test_cancel_awaits_the_running_job(void **state)
{
    auto_outcome o = {0};
    flow *f = flow_begin(&slow_flow, sample_new(NULL), on_done, &o);
    timer *t = timer_start("test", 10, cancel_and_let_go, f);

    (void)state;
    atomic_store(&let_go, false);
    loop_run();
    assert_int_equal(o.kind, ERR_CANCELLED);
    assert_string_equal(o.trace, "a b -b -a");
    timer_stop(t);
}

static void test_hangup(void **state)
{
    auto_outcome unwound = {0}, finished = {0};

    (void)state;
    flow_hangup_of(flow_begin(&plain_flow, sample_new(NULL), on_done, &unwound));
    flow_hangup_of(flow_begin(&stubborn_flow, sample_new(NULL), on_done, &finished));
    loop_run();
    assert_int_equal(unwound.kind, ERR_CANCELLED);
    assert_null(finished.message);
    assert_string_equal(finished.trace, "a b c d");
}

/* ---- SLEEP ---- */

static uint64_t sleep_ms(void *st)
{
    return ((sample *)st)->skip_b ? 30000 : 20;
}

static const flow_step sleep_steps[] = {
    {"a", NOW(a), NOW(un_a)}, {"sleep", SLEEP(sleep_ms)}, {"c", NOW(c)}, {0}};
static const flow_def sleep_flow = {"test.sleep", sleep_steps, free_state, HANGUP_UNWIND};

static void test_sleep(void **state)
{
    uint64_t before_ms = rig_now_ms();

    (void)state;
    expect(&sleep_flow, sample_new(NULL), "a c", NULL);
    assert_true(rig_now_ms() - before_ms >= 19);
}

static void test_cancel_cuts_a_sleep_short(void **state)
{
    uint64_t before_ms = rig_now_ms();
    sample *s = sample_new(NULL);
    auto_outcome o = {0};
    timer *t;

    (void)state;
    s->skip_b = true; /* thirty seconds */
    t = timer_start("test", 10, cancel_it, flow_begin(&sleep_flow, s, on_done, &o));
    loop_run();
    assert_int_equal(o.kind, ERR_CANCELLED);
    assert_string_equal(o.trace, "a -a");
    assert_true(rig_now_ms() - before_ms < 10000);
    timer_stop(t);
}

/* ---- SPAWN ---- */

static void spawn_argv(void *st, strv *argv)
{
    sample *s = st;

    if (s->skip_b)
        return;
    strv_add(argv, "/bin/sh", "-c", s->child_fails ? "echo no such layer >&2; exit 4" : "exit 0",
             NULL);
}

static void missing_argv(void *st, strv *argv)
{
    (void)st;
    strv_add(argv, "/no/such/program", NULL);
}

static const flow_step spawn_steps[] = {
    {"a", NOW(a), NOW(un_a)}, {"spawn", SPAWN(spawn_argv), SPAWN(spawn_argv)}, {"c", NOW(c)}, {0}};
static const flow_def spawn_flow = {"test.spawn", spawn_steps, free_state, HANGUP_FINISH};
static const flow_step missing_steps[] = {
    {"a", NOW(a), NOW(un_a)}, {"spawn", SPAWN(missing_argv)}, {0}};
static const flow_def missing_flow = {"test.missing", missing_steps, free_state, HANGUP_FINISH};

static void test_spawn(void **state)
{
    rig_log log = rig_log_begin(); /* the undo fails too, and is logged */
    sample *s = sample_new(NULL);

    (void)state;
    expect(&spawn_flow, s, "a c", NULL);
    s = sample_new(NULL);
    s->child_fails = "yes";
    expect(&spawn_flow, s, "a -a", "no such layer");
    s = sample_new(NULL);
    s->skip_b = true;
    expect(&spawn_flow, s, "a c", NULL);
    expect(&missing_flow, sample_new(NULL), "a -a",
           "start /no/such/program: No such file or directory");
    free(rig_log_end(&log));
}

/* ---- CALL ---- */

static void resume_later(void *arg)
{
    sample *s = arg;

    timer_stop(take(s->timer));
    flow_resume(take(s->waiting), say(s, "resumed"));
}

static void call_later(void *st, flow *f)
{
    sample *s = st;

    s->waiting = f;
    s->timer = timer_start("test", 5, resume_later, s);
}

static void call_at_once(void *st, flow *f)
{
    flow_resume(f, say(st, "at-once"));
}

static const flow_step call_steps[] = {
    {"a", NOW(a), NOW(un_a)},
    {"at once", CALL(call_at_once)},
    {"later", CALL(call_later)},
    {"c", NOW(c)},
    {0},
};
static const flow_def call_flow = {"test.call", call_steps, free_state, HANGUP_UNWIND};

static void test_call(void **state)
{
    (void)state;
    expect(&call_flow, sample_new(NULL), "a at-once resumed c", NULL);
    expect(&call_flow, sample_new("at-once"), "a at-once -a", "at-once failed");
    expect(&call_flow, sample_new("resumed"), "a at-once resumed -a", "resumed failed");
}

static void give_up(void *st)
{
    sample *s = st;

    say(s, "told");
    flow_resume(take(s->waiting), err_new(ERR_UNAVAILABLE, "given up"));
}

static void call_for_ever(void *st, flow *f)
{
    ((sample *)st)->waiting = f;
    flow_on_cancel(f, give_up);
}

static const flow_step for_ever_steps[] = {
    {"a", NOW(a), NOW(un_a)}, {"for ever", CALL(call_for_ever)}, {"c", NOW(c)}, {0}};
static const flow_def for_ever_flow = {"test.for-ever", for_ever_steps, free_state, HANGUP_UNWIND};

static void test_cancel_reaches_a_call(void **state)
{
    auto_outcome o = {0};
    flow *f = flow_begin(&for_ever_flow, sample_new(NULL), on_done, &o);
    timer *t = timer_start("test", 5, cancel_it, f);

    (void)state;
    loop_run();
    assert_string_equal(o.message, "given up");
    assert_string_equal(o.trace, "a told -a");
    timer_stop(t);
}

/* ---- EACH ---- */

typedef struct item {
    sample *parent;
    unsigned number;
} item;

static err *item_begin(void *st)
{
    item *i = st;
    char text[8];

    i->parent->at_once++;
    if (i->parent->at_once > i->parent->most_at_once)
        i->parent->most_at_once = i->parent->at_once;
    snprintf(text, sizeof(text), "%u", i->number);
    return say(i->parent, text);
}

static err *item_end(void *st)
{
    item *i = st;
    char text[8];

    snprintf(text, sizeof(text), "-%u", i->number);
    i->parent->at_once--;
    return say(i->parent, text);
}

static uint64_t item_sleep(void *st)
{
    item *i = st;

    if (i->number == 2 && i->parent->child_fails)
        return 5;
    return i->parent->skip_b ? 30000 : 25; /* a sleep that only a cancel ends */
}

static err *item_check(void *st)
{
    item *i = st;
    char text[8];

    snprintf(text, sizeof(text), "%u", i->number);
    if (str_eq(i->parent->child_fails, text))
        return err_new(ERR_CONFLICT, "item %u is bad", i->number);
    i->parent->at_once--;
    return NULL;
}

static const flow_step item_steps[] = {
    {"begin", NOW(item_begin), NOW(item_end)},
    {"sleep", SLEEP(item_sleep)},
    {"check", NOW(item_check)},
    {0},
};
static const flow_def item_flow = {"test.item", item_steps, free_state, HANGUP_FINISH};

static void *next_item(void *st)
{
    sample *s = st;
    item *i;

    if (s->next == 5)
        return NULL;
    i = new0(item);
    i->parent = s;
    i->number = ++s->next;
    return i;
}

static void *no_item(void *st)
{
    (void)st;
    return NULL;
}

static const flow_step each_steps[] = {{"a", NOW(a), NOW(un_a)},
                                       {"each", EACH(&item_flow, next_item, 2), NOW(un_c)},
                                       {"c", NOW(c)},
                                       {0}};
static const flow_def each_flow = {"test.each", each_steps, free_state, HANGUP_UNWIND};

static void check_at_most_two(void *arg, void *state, err *e)
{
    assert_int_equal(((sample *)state)->most_at_once, 2);
    on_done(arg, state, e);
}

static void test_each(void **state)
{
    auto_outcome o = {0};
    unsigned freed = states_freed;

    (void)state;
    flow_begin(&each_flow, sample_new(NULL), check_at_most_two, &o);
    loop_run();
    assert_null(o.message);
    assert_string_equal(o.trace, "a 1 2 3 4 5 c");
    assert_int_equal(states_freed, freed + 6);
}

/* Item 2 fails while 1 sleeps: 1 is cancelled, 3 never begins; what a finished item did is undone
 * by the parent's row, whose undo is -c here. */
static void test_each_first_error_cancels_the_rest(void **state)
{
    auto_outcome o = {0};
    sample *s = sample_new(NULL);
    uint64_t before_ms = rig_now_ms();

    (void)state;
    s->child_fails = "2";
    s->skip_b = true;
    flow_begin(&each_flow, s, on_done, &o);
    loop_run();
    assert_string_equal(o.message, "item 2 is bad");
    assert_string_equal(o.trace, "a 1 2 -2 -1 -c -a");
    assert_true(rig_now_ms() - before_ms < 10000);
}

static void test_each_leaves_finished_items_to_the_parent(void **state)
{
    auto_outcome o = {0};
    sample *s = sample_new(NULL);

    (void)state;
    s->child_fails = "5";
    flow_begin(&each_flow, s, on_done, &o);
    loop_run();
    assert_string_equal(o.message, "item 5 is bad");
    assert_string_equal(o.trace, "a 1 2 3 4 5 -5 -c -a");
}

static void test_each_cancelled(void **state)
{
    auto_outcome o = {0};
    sample *s = sample_new(NULL);
    timer *t = timer_start("test", 20, cancel_it, flow_begin(&each_flow, s, on_done, &o));

    (void)state;
    s->skip_b = true;
    loop_run();
    assert_int_equal(o.kind, ERR_CANCELLED);
    assert_string_equal(o.trace, "a 1 2 -2 -1 -c -a");
    assert_int_equal(flows_running(), 0);
    timer_stop(t);
}

static const flow_step each_undo_steps[] = {
    {"a", NOW(a), EACH(&item_flow, next_item, 5)},
    {"none", EACH(&item_flow, no_item, 0)},
    {"fail", NOW(fail_and_spoil_undo)},
    {0},
};
static const flow_def each_undo_flow = {"test.each-undo", each_undo_steps, free_state,
                                        HANGUP_FINISH};

/* As an undo, EACH goes through all of its items, whatever one of them says. */
static void test_each_as_undo(void **state)
{
    rig_log log = rig_log_begin();
    auto_free char *logged = NULL;
    auto_outcome o = {0};
    sample *s = sample_new(NULL);

    (void)state;
    s->child_fails = "2";
    flow_begin(&each_undo_flow, s, on_done, &o);
    loop_run();
    logged = rig_log_end(&log);
    assert_string_equal(o.message, "the first error");
    assert_string_equal(o.trace, "a 1 2 3 4 5 -2");
    assert_non_null(strstr(logged, "item 2 is bad"));
}

/* ---- fairness, what is said ---- */

static unsigned ticks;

static void tick(void *arg)
{
    (void)arg;
    ticks++;
}

static void *endless_item(void *st)
{
    sample *s = st;

    if (ticks >= 3)
        return NULL;
    s->next++;
    return new0(item);
}

static err *nothing(void *st)
{
    (void)st;
    return NULL;
}

static const flow_step quick_steps[] = {{"quick", NOW(nothing)}, {0}};
static const flow_def quick_flow = {"test.quick", quick_steps, free_state, HANGUP_FINISH};
static const flow_step endless_steps[] = {{"each", EACH(&quick_flow, endless_item, 1)}, {0}};
static const flow_def endless_flow = {"test.endless", endless_steps, free_state, HANGUP_FINISH};

/* Thousands of flows that never wait leave the timers their turn, and the stack its size. */
static void test_quick_flows_do_not_starve_the_loop(void **state)
{
    auto_outcome o = {0};
    timer *t = timer_every("test", 5, tick, NULL);

    (void)state;
    ticks = 0;
    flow_begin(&endless_flow, sample_new(NULL), on_done, &o);
    for (int turns = 0; !o.n && turns < 100; turns++) {
        timer *stopper = timer_start("test", 5, (void (*)(void *))loop_stop, NULL);

        loop_run();
        timer_stop(stopper);
    }
    assert_int_equal(o.n, 1);
    assert_true(ticks >= 3);
    timer_stop(t);
}

static void dump_it(void *arg)
{
    loop_dump(arg);
    atomic_store(&let_go, true);
}

static void test_dump_lists_flows_in_flight(void **state)
{
    auto_outcome o = {0};
    auto_buf text = {0};
    timer *t = timer_start("test", 20, dump_it, &text);

    (void)state;
    atomic_store(&let_go, false);
    flow_begin(&slow_flow, sample_new(NULL), on_done, &o);
    loop_run();
    assert_non_null(strstr(text.data, "flows in flight: 1\n"));
    assert_non_null(strstr(text.data, "test.slow: step 2 of 3 \"b\", for "));
    timer_stop(t);
}

static void test_trace(void **state)
{
    auto_free char *logged = NULL, *silent = NULL;
    rig_log log = rig_log_begin();

    (void)state;
    log_set_trace("flow");
    expect(&plain_flow, sample_new("d"), "a b c d -d -b -a", "d failed");
    log_set_trace("");
    logged = rig_log_end(&log);
    log = rig_log_begin();
    expect(&plain_flow, sample_new(NULL), "a b c d", NULL);
    silent = rig_log_end(&log);
    assert_non_null(strstr(logged, "step done"));
    assert_non_null(strstr(logged, "step undone"));
    assert_non_null(strstr(logged, "d failed"));
    assert_non_null(strstr(logged, "test.plain"));
    assert_string_equal(silent, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        rig_test(test_downward),
        rig_test(test_upward_is_the_mirror),
        rig_test(test_a_failing_undo_is_logged_and_the_first_error_kept),
        rig_test(test_no_steps_no_state_no_done),
        rig_test(test_cancel_at_each_step),
        rig_test(test_cancel_before_the_first_step),
        rig_test(test_cancel_awaits_the_running_job),
        rig_test(test_hangup),
        rig_test(test_sleep),
        rig_test(test_cancel_cuts_a_sleep_short),
        rig_test(test_spawn),
        rig_test(test_call),
        rig_test(test_cancel_reaches_a_call),
        rig_test(test_each),
        rig_test(test_each_first_error_cancels_the_rest),
        rig_test(test_each_leaves_finished_items_to_the_parent),
        rig_test(test_each_cancelled),
        rig_test(test_each_as_undo),
        rig_test(test_quick_flows_do_not_starve_the_loop),
        rig_test(test_dump_lists_flows_in_flight),
        rig_test(test_trace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
