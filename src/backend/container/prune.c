/* prune.c - removing every container that does not run and that the filters name.
 *
 * One after the other: what it wrote is counted, then it is removed.  One that came to run
 * meanwhile stays.  Loop thread only. */
#include "private.h"
#include <berth/events.h>
#include <berth/flow.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <stdlib.h>

typedef struct pruning {
    container **list; /* each referenced */
    size_t n, at;
    arena *arena; /* the caller's */
    containers_pruned *answer;
    container_done *done;
    void *arg;
} pruning;

typedef struct one {
    pruning *all;
    container *c; /* referenced */
    int64_t bytes;
    flow *flow;
} one;

static bool is_pruning;

static void on_resume(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_count(void *st, flow *f)
{
    one *o = st;

    containers_sizes(&o->c, 1, &o->bytes, on_resume, f);
}

static void on_removed(void *arg, err *e)
{
    one *o = arg;

    if (e) {
        log_warn("container could not be pruned", "id", o->c->rec.id, "error", err_message(e));
        err_free(e);
    } else {
        json_strs_add(&o->all->answer->deleted, o->all->arena, o->c->rec.id);
        o->all->answer->reclaimed += o->bytes;
    }
    flow_resume(o->flow, NULL);
}

static void call_remove(void *st, flow *f)
{
    one *o = st;

    o->flow = f;
    container_remove(o->c, false, false, on_removed, o);
}

static void one_free(void *st)
{
    one *o = st;

    if (!o)
        return;
    container_unref(o->c);
    free(o);
}

static const flow_step one_steps[] = {
    {"count", CALL(call_count)},
    {"remove", CALL(call_remove)},
    {0},
};
const flow_def prune_one_flow = {"container.prune.one", one_steps, one_free, HANGUP_FINISH};

static void *next_one(void *st)
{
    pruning *p = st;
    one *o;

    if (p->at == p->n)
        return NULL;
    o = new0(one);
    o->all = p;
    o->c = container_ref(p->list[p->at++]);
    return o;
}

static err *now_announce(void *st)
{
    pruning *p = st;
    json_map attrs = {0};

    json_map_set(&attrs, p->arena, "reclaimed",
                 arena_printf(p->arena, "%lld", (long long)p->answer->reclaimed));
    event_emit("container", "prune", "", &attrs);
    return NULL;
}

static void pruning_free(void *st)
{
    pruning *p = st;

    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++)
        container_unref(p->list[i]);
    free(p->list);
    free(p);
}

static const flow_step prune_steps[] = {
    {"each container", EACH(&prune_one_flow, next_one, 1)},
    {"announce", NOW(now_announce)},
    {0},
};
const flow_def prune_flow = {"container.prune", prune_steps, pruning_free, HANGUP_FINISH};

static void on_pruned(void *arg, void *st, err *e)
{
    pruning *p = st;

    (void)arg;
    is_pruning = false;
    p->done(p->arg, e);
}

static bool is_named(const container *c, const filters *f, int64_t until_ns)
{
    const json_map *labels = &c->rec.config->labels;

    if (container_is_up(c) || c->removing || c->rec.created_ns >= until_ns)
        return false;
    return filters_match_labels(f, "label", labels) &&
           (!filters_has(f, "label!") || !filters_match_labels(f, "label!", labels));
}

static err *until_of(const filters *f, int64_t *ret_ns)
{
    *ret_ns = INT64_MAX;
    if (!filters_has(f, "until"))
        return NULL;
    if (filters_count(f, "until") > 1)
        return err_new(ERR_INVALID, "more than one until filter specified");
    return time_parse_filter(filters_nth(f, "until", 0), time_now_ns(), ret_ns);
}

void containers_prune(const filters *f, arena *a, containers_pruned *answer, container_done *done,
                      void *arg)
{
    int64_t until_ns;
    err *e = is_pruning ? err_new(ERR_CONFLICT, "a prune operation is already running")
                        : until_of(f, &until_ns);
    pruning *p;

    if (e) {
        container_refuse(e, done, arg);
        return;
    }
    is_pruning = true;
    p = new0(pruning);
    *p = (pruning){.list = xcalloc(containers_counted().all + 1, sizeof(*p->list)),
                   .arena = a,
                   .answer = answer,
                   .done = done,
                   .arg = arg};
    for (container *c = containers_newest; c; c = c->older)
        if (is_named(c, f, until_ns))
            p->list[p->n++] = container_ref(c);
    flow_begin(&prune_flow, p, on_pruned, NULL);
}
