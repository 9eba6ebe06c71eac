/* flow_torture_test.c - every flow of the program, failed at each of its steps; before them sample
 * flows with every kind of row.
 *
 * The acts are never run: the fakes stand in for them. */
#include "all_flows.h"
#include "flow_torture.h"

#define DECLARE(name) extern const flow_def name;
#define POINT(name)   &name,
ALL_FLOWS(DECLARE)

static err *never(void *st)
{
    (void)st;
    abort();
}

static void never_argv(void *st, strv *argv)
{
    (void)st;
    (void)argv;
    abort();
}

static uint64_t never_ms(void *st)
{
    (void)st;
    abort();
}

static void never_call(void *st, flow *f)
{
    (void)st;
    (void)f;
    abort();
}

static void *never_next(void *st)
{
    (void)st;
    abort();
}

static bool never_when(void *st)
{
    (void)st;
    abort();
}

static const flow_step item_steps[] = {
    {"fetch", CALL(never_call), NOW(never)},
    {"unpack", SLOW_JOB(never), JOB(never)},
    {0},
};
static const flow_def item_flow = {"sample.item", item_steps, free, HANGUP_UNWIND};

static const flow_step every_kind_steps[] = {
    {"now", NOW(never), NOW(never)},
    {"job", JOB(never), JOB(never)},
    {"slow job", SLOW_JOB(never), SLOW_JOB(never), .when = never_when},
    {"spawn", SPAWN(never_argv), SPAWN(never_argv)},
    {"without undo", NOW(never)},
    {"sleep", SLEEP(never_ms), SLEEP(never_ms)},
    {"call", CALL(never_call), CALL(never_call)},
    {"each", EACH(&item_flow, never_next, 3), EACH(&item_flow, never_next, 1)},
    {"last", JOB(never)},
    {0},
};
static const flow_def every_kind_flow = {"sample.every-kind", every_kind_steps, free,
                                         HANGUP_FINISH};

static const flow_step one_step[] = {{"only", NOW(never)}, {0}};
static const flow_def one_flow = {"sample.one", one_step, NULL, HANGUP_FINISH};

FLOW_TORTURE(&item_flow, &every_kind_flow, &one_flow, ALL_FLOWS(POINT))
