/* prune.c - the networks that nobody uses go, one after the other.
 *
 * One that gets an endpoint meanwhile stays.  Loop thread only. */
#include "private.h"
#include <berth/events.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <stdlib.h>

typedef struct pruning {
    strv ids; /* that matched at the start */
    size_t next;
    strv deleted; /* names */
    char *name;   /* of the one that is being removed */
    err *e;
    networks_pruned_fn *done;
    void *arg;
} pruning;

static bool is_pruning;

static void end(pruning *p)
{
    char *keys[] = {"reclaimed"}, *values[] = {"0"};
    json_map attrs = {.keys = keys, .values = values, .n = 1, .set = true};

    if (!p->e)
        event_emit("network", "prune", "", &attrs);
    p->done(p->arg, p->e, &p->deleted);
    strv_done(&p->ids);
    strv_done(&p->deleted);
    free(p->name);
    free(p);
}

static void go_on(void *arg); /* and its callback need each other */

static void on_removed(void *arg, err *e)
{
    pruning *p = arg;

    if (!e)
        strv_push(&p->deleted, p->name);
    err_log(e, "a network could not be pruned");
    go_on(p);
}

static void go_on(void *arg)
{
    pruning *p = arg;

    while (p->next < p->ids.n) {
        network *n = networks_by_id(p->ids.v[p->next++]);

        if (!n || network_is_used(n) || n->removing)
            continue;
        free(p->name);
        p->name = xstrdup(n->name);
        network_remove(n, on_removed, p);
        return;
    }
    is_pruning = false;
    end(p);
}

static void on_refused(void *arg)
{
    end(arg);
}

static err *until_of(const filters *f, int64_t *ret_ns)
{
    *ret_ns = INT64_MAX;
    if (filters_count(f, "until") > 1)
        return err_new(ERR_INVALID, "more than one until filter specified");
    return filters_has(f, "until")
               ? time_parse_filter(filters_nth(f, "until", 0), time_now_ns(), ret_ns)
               : NULL;
}

static bool is_prunable(const network *n, const filters *f, int64_t until_ns)
{
    if (n->predefined || n->coming || n->removing || network_is_used(n) || n->rec.config_only)
        return false;
    if (n->rec.created_ns > until_ns || !filters_match_labels(f, "label", &n->rec.labels))
        return false;
    return !filters_has(f, "label!") || !filters_match_labels(f, "label!", &n->rec.labels);
}

void networks_prune(const filters *f, networks_pruned_fn *done, void *arg)
{
    pruning *p = new0(pruning);
    int64_t until_ns = 0;

    p->done = done;
    p->arg = arg;
    if (is_pruning)
        p->e = err_new(ERR_CONFLICT, "a prune operation is already running");
    else
        p->e = until_of(f, &until_ns);
    if (p->e) {
        loop_defer(on_refused, p);
        return;
    }
    is_pruning = true;
    for (network *n = networks_first(); n; n = n->next)
        if (is_prunable(n, f, until_ns))
            strv_push(&p->ids, n->id);
    loop_defer(go_on, p);
}
