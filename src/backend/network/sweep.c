/* sweep.c - after a crash: what nobody owns goes, and only what is ours.
 *
 * Planned on the loop, where it is known who lives; done on a worker. */
#include "link.h"
#include "private.h"
#include <berth/log.h>
#include <berth/mem.h>
#include <berth/netns.h>
#include <berth/str.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

struct network_sweep {
    strv links;   /* veths and bridges that stay */
    strv netns;   /* paths that go */
    strv records; /* ids of endpoints that go */
    strv doomed;  /* links that go, gathered while listing */
    endpoint *abandoned;
};

static endpoint *abandoned; /* by next */

void endpoint_abandon(endpoint *ep, const char *netns_path)
{
    endpoint_unlist(ep);
    endpoint_release(ep);
    ep->netns = xstrdup(netns_path);
    ep->next = abandoned;
    abandoned = ep;
}

/* Those of its container that stay lead out now. */
static void reroute(const endpoint *gone)
{
    for (size_t i = 0; i < gone->n_others; i++)
        err_log(endpoint_route(gone->others[i], gone->netns), "default routes of a container");
}

static void note_others(endpoint *gone)
{
    endpoints_choose_gateway(gone->container);
    for (endpoint *ep = endpoint_of(gone->container, NULL); ep;
         ep = endpoint_of(gone->container, ep)) {
        gone->others = xrealloc(gone->others, (gone->n_others + 1) * sizeof(endpoint *));
        gone->others[gone->n_others++] = ep;
    }
}

static void take_off(endpoint *first)
{
    for (endpoint *ep = first, *next; ep; ep = next) {
        next = ep->next;
        log_info("connection that was cut off is undone", "container", ep->container, "network",
                 ep->net->name);
        err_log(endpoint_detach(ep, ep->netns), "link of a running container is left");
        reroute(ep);
        endpoint_dispose(ep);
    }
}

static void sweep_free(network_sweep *s)
{
    strv_done(&s->links);
    strv_done(&s->netns);
    strv_done(&s->records);
    strv_done(&s->doomed);
    free(s);
}

static void plan_endpoints(network_sweep *s, bool (*keep)(void *arg, const char *container_id),
                           void *arg)
{
    for (endpoint *ep = endpoints_first(), *next; ep; ep = next) {
        next = ep->next;
        if (keep(arg, ep->container)) {
            strv_push(&s->links, ep->veth);
            continue;
        }
        strv_push(&s->records, ep->id);
        endpoint_free(ep);
    }
    for (const network *n = networks_first(); n; n = n->next)
        strv_push(&s->links, n->driver == &driver_bridge ? n->bridge.name : n->vlan.parent);
}

static void plan_netns(network_sweep *s, bool (*keep)(void *arg, const char *container_id),
                       void *arg)
{
    auto_free char *dir = xasprintf("%s/netns", network_here.exec_root);
    auto_closedir DIR *d = opendir(dir);

    for (struct dirent *entry; d && (entry = readdir(d));)
        if (entry->d_name[0] != '.' && !keep(arg, entry->d_name))
            strv_pushf(&s->netns, "%s/%s", dir, entry->d_name);
}

network_sweep *network_sweep_plan(bool (*keep)(void *arg, const char *container_id), void *arg)
{
    network_sweep *s = new0(network_sweep);

    s->abandoned = take(abandoned);
    for (endpoint *ep = s->abandoned; ep; ep = ep->next)
        note_others(ep);
    plan_endpoints(s, keep, arg);
    plan_netns(s, keep, arg);
    return s;
}

static void note_doomed(void *arg, const char *name)
{
    network_sweep *s = arg;

    if (!strv_has(&s->links, name))
        strv_push(&s->doomed, name);
}

static err *sweep_links(network_sweep *s)
{
    auto_rtnl *r = NULL;

    TRY(rtnl_open(&r));
    TRY(link_each_veth(r, network_here.group, note_doomed, s));
    TRY(link_each_made(r, network_here.group, note_doomed, s));
    for (size_t i = 0; i < s->doomed.n; i++) {
        log_info("link without an owner removed", "name", s->doomed.v[i]);
        TRY(link_delete(r, s->doomed.v[i], network_here.group));
    }
    return link_delete_group(r, network_here.dead_group);
}

/* One that cannot be removed does not keep the others. */
err *network_sweep_run(network_sweep *s)
{
    err *e;

    take_off(s->abandoned);
    e = sweep_links(s);
    for (size_t i = 0; i < s->netns.n; i++) {
        log_info("network namespace without a container removed", "path", s->netns.v[i]);
        err_log(netns_remove(s->netns.v[i]), "network namespace is left");
    }
    for (size_t i = 0; i < s->records.n; i++)
        err_log(endpoint_strike_out(s->records.v[i]), "record of an endpoint is left");
    sweep_free(s);
    return e;
}
