/* remove.c - the end of a network: first forgotten durably, then its link goes.
 *
 * A kill between the two leaves a bridge of our group that no record names; the next start removes
 * it.  Loop thread only, except job_*. */
#include "private.h"
#include <berth/events.h>
#include <berth/flow.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/store.h>
#include <berth/str.h>
#include <berth/timefmt.h>
#include <stdlib.h>

typedef struct removal {
    network *n;
    network_done_fn *done;
    void *arg;
} removal;

/* What ended containers still hold of it is about to be given back: a client that saw them end may
 * count on that. */
static void call_wait(void *st, flow *f)
{
    network *n = ((removal *)st)->n;

    if (n->endpoints == 0)
        flow_resume(f, NULL);
    else
        n->when_empty = f;
}

static void on_forgotten(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void call_forget(void *st, flow *f)
{
    store_batch *b = store_batch_new();

    store_delete(b, "networks", ((removal *)st)->n->id);
    store_commit(b, on_forgotten, f);
}

static err *job_unmake(void *st)
{
    network *n = ((removal *)st)->n;

    if (n->driver->unmake && !n->rec.config_only)
        err_log(n->driver->unmake(n), "link of a removed network is left");
    return NULL;
}

static err *now_announce(void *st)
{
    network *n = ((removal *)st)->n;

    networks_unlist(n);
    bury_later();
    network_event(n, "destroy");
    network_unref(n);
    return NULL;
}

static void removal_free(void *st)
{
    free(st);
}

static const flow_step remove_steps[] = {
    {"wait for those that leave", CALL(call_wait)},
    {"forget", CALL(call_forget)},
    {"remove the link", JOB(job_unmake)},
    {"announce", NOW(now_announce)},
    {0},
};
const flow_def network_remove_flow = {"network.remove", remove_steps, removal_free, HANGUP_FINISH};

static void on_removed(void *arg, void *st, err *e)
{
    removal *r = st;

    (void)arg;
    if (e)
        r->n->removing = false;
    r->done(r->arg, e);
}

bool network_is_used(const network *n)
{
    for (const endpoint *ep = endpoint_on(n, NULL); ep; ep = endpoint_on(n, ep))
        if (!ep->leaving)
            return true;
    return false;
}

must_check static err *has_endpoints(const network *n)
{
    auto_buf list = {0};

    for (const endpoint *ep = endpoint_on(n, NULL); ep; ep = endpoint_on(n, ep))
        if (!ep->leaving)
            buf_printf(&list, "%sname:\"%s\" id:\"%.12s\"", list.len ? ", " : "", ep->name, ep->id);
    if (list.len == 0)
        return NULL;
    return err_new(ERR_FORBIDDEN,
                   "error while removing network: network %s has active endpoints (%s)", n->name,
                   list.data);
}

static bool is_config_of_another(const network *n)
{
    for (const network *other = networks_first(); other; other = other->next)
        if (str_eq(other->rec.config_from, n->name))
            return true;
    return false;
}

static err *may_remove(const network *n)
{
    if (n->predefined)
        return err_new(ERR_FORBIDDEN, "%s is a pre-defined network and cannot be removed", n->name);
    if (n->removing)
        return err_new(ERR_NOT_FOUND, "network %s not found", n->name);
    TRY(has_endpoints(n));
    if (n->rec.config_only && is_config_of_another(n))
        return err_new(ERR_FORBIDDEN,
                       "error while removing network: configuration network \"%s\" is in use",
                       n->name);
    return NULL;
}

typedef struct refused {
    network_done_fn *done;
    void *arg;
    err *e;
} refused;

static void on_refused(void *arg)
{
    refused *r = arg;

    r->done(r->arg, r->e);
    free(r);
}

void network_remove(network *n, network_done_fn *done, void *arg)
{
    err *e = may_remove(n);
    removal *r;

    if (e) {
        refused *no = new0(refused);

        *no = (refused){done, arg, e};
        loop_defer(on_refused, no);
        return;
    }
    n->removing = true;
    n->vlan.keep_parent = vlan_shares_parent(n);
    r = new0(removal);
    *r = (removal){n, done, arg};
    flow_begin(&network_remove_flow, r, on_removed, NULL);
}
