/* flow_torture.h - fails a flow at each of its steps, with every act replaced by a fake.
 *
 * Whatever the table says, the trace of the undo column must be the mirror of the deeds that began,
 * the first error must come out, and nothing may be left (LeakSanitizer sees the rest).  A new flow
 * is one line more in all_flows.h; a test of its own may call flow_torture(&that_flow) as well.
 *
 * The fakes never touch the state, which is NULL: so free_state has to accept NULL. */
#ifndef BERTH_TEST_LOOP_FLOW_TORTURE_H
#define BERTH_TEST_LOOP_FLOW_TORTURE_H

#include "rig.h"
#include <berth/flow.h>
#include <berth/job.h>
#include <berth/log.h>

typedef enum torture_how {
    TORTURE_FAIL,       /* the step fails */
    TORTURE_FAIL_TWICE, /* and so does every undo */
    TORTURE_CANCEL,     /* the flow is cancelled while the step runs */
} torture_how;

static struct {
    torture_how how;
    int at; /* the step, from 0; the number of steps for none */
    flow *f;
    const flow_step *deeds[64], *undone[64];
    int n_deeds, n_undone;
    bool ended;
    err *e;
} torture;

static err *torture_hook(const flow_def *def, const flow_step *step, bool undo, void *state)
{
    int n = torture.n_deeds;

    (void)def;
    assert_null(state);
    if (undo) {
        assert_true(torture.n_undone < 64);
        torture.undone[torture.n_undone++] = step;
        return torture.how == TORTURE_FAIL_TWICE ? err_new(ERR_SYSTEM, "undo failed too") : NULL;
    }
    assert_int_equal(torture.n_undone, 0); /* never downward again */
    assert_true(n < 64);
    torture.deeds[torture.n_deeds++] = step;
    if (n != torture.at)
        return NULL;
    if (torture.how == TORTURE_CANCEL) {
        flow_cancel(torture.f);
        return NULL;
    }
    return err_new(ERR_CONFLICT, "%s failed", step->name);
}

static void torture_done(void *arg, void *state, err *e)
{
    (void)arg;
    (void)state;
    assert_false(torture.ended);
    torture.ended = true;
    torture.e = e;
}

static void torture_expect_mirror(void)
{
    int u = 0;

    for (int i = torture.n_deeds - 1; i >= 0; i--)
        if (torture.deeds[i]->undo.kind != FLOW_NOTHING)
            assert_ptr_equal(torture.undone[u++], torture.deeds[i]);
    assert_int_equal(torture.n_undone, u);
}

static void torture_expect_error(const flow_def *def)
{
    auto_free char *message = xasprintf("%s failed", def->steps[torture.at].name);

    if (torture.how == TORTURE_CANCEL)
        assert_int_equal(err_kind(torture.e), ERR_CANCELLED);
    else
        assert_string_equal(err_message(torture.e), message);
}

static void torture_once(const flow_def *def, int n_steps, int at, torture_how how)
{
    memset(&torture, 0, sizeof(torture));
    torture.at = at;
    torture.how = how;
    torture.f = flow_begin(def, NULL, torture_done, NULL);
    loop_run();
    assert_true(torture.ended);
    assert_int_equal(flows_running(), 0);
    assert_int_equal(jobs_running(), 0);
    for (int i = 0; i < torture.n_deeds; i++) /* each step once, in the table's order */
        assert_ptr_equal(torture.deeds[i], &def->steps[i]);
    if (at < n_steps) {
        assert_int_equal(torture.n_deeds, at + 1);
        torture_expect_mirror();
        torture_expect_error(def);
    } else {
        assert_int_equal(torture.n_deeds, n_steps);
        assert_int_equal(torture.n_undone, 0);
        assert_null(torture.e);
    }
    err_free(torture.e);
}

static void torture_check_act(const flow_act *act, bool undo)
{
    assert_in_range(act->kind, FLOW_NOTHING, FLOW_EACH);
    assert_true(undo || act->kind != FLOW_NOTHING); /* a row without a deed is a mistake */
    assert_true(act->kind == FLOW_NOTHING || act->run);
    assert_int_equal(act->kind == FLOW_EACH, act->each != NULL);
}

static int torture_check_table(const flow_def *def)
{
    int n = 0;

    assert_false(str_empty(def->name));
    for (const flow_step *s = def->steps; s->name; s++) {
        assert_false(str_empty(s->name));
        for (const flow_step *before = def->steps; before < s; before++)
            assert_false(str_eq(before->name, s->name));
        torture_check_act(&s->act, false);
        torture_check_act(&s->undo, true);
        n++;
    }
    assert_in_range(n, 1, 64);
    return n;
}

static void flow_torture(const flow_def *def)
{
    int n = torture_check_table(def);
    log_level before = log_get_level();

    log_set_level(LOG_LEVEL_ERROR); /* every failing undo is a warning */
    flow_set_hook(torture_hook);
    for (int at = 0; at <= n; at++) {
        torture_once(def, n, at, TORTURE_FAIL);
        torture_once(def, n, at, TORTURE_FAIL_TWICE);
        torture_once(def, n, at, TORTURE_CANCEL);
    }
    flow_set_hook(NULL);
    log_set_level(before);
}

#define FLOW_TORTURE(...)                                                            \
    static const flow_def *const tortured_flows[] = {__VA_ARGS__};                   \
    static void test_every_flow_at_every_step(void **state)                          \
    {                                                                                \
        (void)state;                                                                 \
        for (size_t i = 0; i < COUNT(tortured_flows); i++)                           \
            flow_torture(tortured_flows[i]);                                         \
    }                                                                                \
    int main(void)                                                                   \
    {                                                                                \
        const struct CMUnitTest tests[] = {rig_test(test_every_flow_at_every_step)}; \
                                                                                     \
        return cmocka_run_group_tests(tests, NULL, NULL);                            \
    }

#endif
