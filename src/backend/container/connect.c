/* connect.c - a container is put on a network, or taken off one, as an operation of its own.
 *
 * Of one that runs, the link comes or goes at once; of one that does not, only its wish is
 * recorded.  The wish is durable before the answer.  Loop thread only, except job_*. */
#include "private.h"
#include <berth/flow.h>
#include <berth/log.h>
#include <berth/loop.h>
#include <berth/mem.h>
#include <berth/netfiles.h>
#include <berth/str.h>
#include <stdlib.h>

typedef struct change {
    container *c; /* referenced */
    char *ref;    /* of the network: what the client called it, then its name */
    arena *arena;
    endpoint_settings wish;
    bool force;
    endpoint *ep;   /* of a running one */
    endpoint **eps; /* all that stay: their routes may change */
    size_t n_eps;
    char *netns, *hosts_path;
    strv host_lines;  /* of ep, in /etc/hosts */
    bool first_names; /* ep brings the container's first network where names are known */
    char *resolv_path, *resolv_was, *resolv_now; /* which changes its resolv.conf */
    dns_sockets names;
    container_done *done;
    void *arg;
} change;

static bool has_endpoint(void *st)
{
    return ((change *)st)->ep != NULL;
}

static void change_free(void *st)
{
    change *ch = st;

    if (!ch)
        return;
    container_unref(ch->c);
    free(ch->ref);
    free(ch->eps);
    free(ch->netns);
    free(ch->hosts_path);
    free(ch->resolv_path);
    free(ch->resolv_was);
    free(ch->resolv_now);
    dns_sockets_close(&ch->names);
    strv_done(&ch->host_lines);
    arena_free(ch->arena);
    free(ch);
}

/* What the jobs need of the running container, taken on the loop. */
static void note_running(change *ch)
{
    container *c = ch->c;

    ch->netns = container_netns_path(c);
    ch->hosts_path = container_file(c, "hosts");
    netfiles_own_lines(c->rec.config->hostname, c->rec.config->domainname, endpoint_ip(ch->ep),
                       &ch->host_lines);
    netfiles_own_lines(c->rec.config->hostname, c->rec.config->domainname, endpoint_ip6(ch->ep),
                       &ch->host_lines);
}

static void note_others(change *ch)
{
    ch->eps = xcalloc(ch->c->n_endpoints + 1, sizeof(endpoint *));
    for (size_t i = 0; i < ch->c->n_endpoints; i++)
        if (ch->c->endpoints[i] != ch->ep)
            ch->eps[ch->n_eps++] = ch->c->endpoints[i];
}

static err *set_routes(const change *ch)
{
    for (size_t i = 0; i < ch->n_eps; i++)
        TRY(endpoint_route(ch->eps[i], ch->netns));
    return NULL;
}

static void on_recorded(void *arg, err *e)
{
    flow_resume(arg, e);
}

static void record(container *c, flow *f)
{
    store_batch *b = store_batch_new();

    container_save(c, b);
    store_commit(b, on_recorded, f);
}

static void on_changed(void *arg, void *st, err *e)
{
    change *ch = st;

    (void)arg;
    op_end(ch->c);
    ch->done(ch->arg, e);
}

static void refuse(change *ch, err *e)
{
    op_end(ch->c);
    ch->done(ch->arg, e);
    change_free(ch);
}

static err *is_leaving(const container *c)
{
    if (!c->removing && !c->removed)
        return NULL;
    return err_new(ERR_CONFLICT,
                   "Container %s is marked for removal and cannot be connected or disconnected to "
                   "the network",
                   c->rec.id);
}

/* ---- connect ---- */

static err *job_attach(void *st)
{
    change *ch = st;

    TRY(endpoint_attach(ch->ep, ch->netns));
    return set_routes(ch);
}

static err *job_detach(void *st)
{
    change *ch = st;

    return endpoint_detach(ch->ep, ch->netns);
}

/* What its own file says, and what it is to say; the same for a file that it has edited. */
static err *note_resolv(change *ch)
{
    const host_config *h = ch->c->rec.host;
    dns_opts dns = {&h->dns, &h->dns_search, &h->dns_options};
    auto_free char *host = NULL;

    ch->resolv_path = container_file(ch->c, "resolv.conf");
    TRY(netfiles_host_resolv(false, &host));
    TRY(netfiles_resolv_conf(host, false, &dns, containers_conf.dns, &ch->resolv_was));
    return netfiles_resolv_internal(host, &dns, containers_conf.dns, &ch->resolv_now);
}

static bool has_first_names(void *st)
{
    return ((change *)st)->first_names;
}

static err *job_open_names(void *st)
{
    change *ch = st;

    TRY(dns_open(ch->netns, &ch->names));
    return netfile_replace(ch->resolv_path, ch->resolv_was, ch->resolv_now);
}

static err *job_close_names(void *st)
{
    change *ch = st;

    dns_sockets_close(&ch->names);
    return netfile_replace(ch->resolv_path, ch->resolv_now, ch->resolv_was);
}

static err *job_add_hosts(void *st)
{
    change *ch = st;

    return netfile_add_lines(ch->hosts_path, &ch->host_lines);
}

static err *job_drop_hosts(void *st)
{
    change *ch = st;

    err_log(netfile_drop_lines(ch->hosts_path, &ch->host_lines),
            "an address is left in a container's hosts file");
    return NULL;
}

static err *now_wish(void *st)
{
    change *ch = st;

    networks_wish(ch->c, ch->ref, &ch->wish);
    return NULL;
}

static err *now_unwish(void *st)
{
    change *ch = st;

    networks_unwish(ch->c, ch->ref);
    return NULL;
}

static void call_record(void *st, flow *f)
{
    record(((change *)st)->c, f);
}

static err *now_connected(void *st)
{
    change *ch = st;

    networks_add_endpoint(ch->c, ch->ep);
    if (ch->c->state.running) {
        endpoint_event(ch->ep, "connect");
        dns_serve(ch->c->rec.id, &ch->names);
        endpoint_joined(ch->ep, ch->netns);
    }
    return NULL;
}

static err *now_give_back(void *st)
{
    change *ch = st;

    endpoint_free(take(ch->ep));
    return NULL;
}

static err *nothing(void *st)
{
    (void)st;
    return NULL;
}

static const flow_step connect_steps[] = {
    {"endpoint", NOW(nothing), NOW(now_give_back), .when = has_endpoint},
    {"attach", JOB(job_attach), JOB(job_detach), .when = has_endpoint},
    {"names", JOB(job_open_names), JOB(job_close_names), .when = has_first_names},
    {"hosts", JOB(job_add_hosts), JOB(job_drop_hosts), .when = has_endpoint},
    {"wish", NOW(now_wish), NOW(now_unwish)},
    {"record", CALL(call_record)},
    {"announce", NOW(now_connected), .when = has_endpoint},
    {0},
};
const flow_def connect_flow = {"container.connect", connect_steps, change_free, HANGUP_FINISH};

static void use_name(change *ch, const network *n)
{
    free(ch->ref);
    ch->ref = xstrdup(network_name(n));
}

static err *begin_connect(change *ch, bool *ret_is_there)
{
    container *c = ch->c;
    network *n = NULL;

    TRY(is_leaving(c));
    TRY(network_find(ch->ref, &n));
    use_name(ch, n);
    TRY(networks_may_connect(c, n, ret_is_there));
    TRY(network_check_settings(n, &ch->wish));
    if (*ret_is_there || !c->state.running)
        return NULL;
    TRY(networks_new_endpoint(c, n, &ch->wish, &ch->ep));
    note_running(ch);
    note_others(ch);
    ch->first_names = network_is_user(n) && !networks_have_names(c);
    return ch->first_names ? note_resolv(ch) : NULL;
}

static void connect_begin(container *c, void *arg)
{
    change *ch = arg;
    bool is_there = false;
    err *e = begin_connect(ch, &is_there);

    (void)c;
    if (e || is_there)
        refuse(ch, e);
    else
        flow_begin(&connect_flow, ch, on_changed, NULL);
}

static change *change_new(container *c, const char *ref, container_done *done, void *arg)
{
    change *ch = new0(change);

    ch->c = container_ref(c);
    ch->names = DNS_SOCKETS_NONE;
    ch->ref = xstrdup(ref);
    ch->arena = arena_new();
    ch->done = done;
    ch->arg = arg;
    return ch;
}

void container_connect(container *c, const char *network_ref, const endpoint_settings *wish,
                       container_done *done, void *arg)
{
    change *ch = change_new(c, network_ref, done, arg);

    if (wish)
        json_copy(&endpoint_settings_json, wish, ch->arena, &ch->wish);
    op_begin(c, "connect", connect_begin, ch);
}

/* ---- disconnect ---- */

static err *now_take_out(void *st)
{
    change *ch = st;

    networks_copy_wish(ch->c, ch->ref, ch->arena, &ch->wish);
    return now_unwish(st);
}

/* Its address leaves the name service before it leaves the network. */
static err *now_leave(void *st)
{
    endpoint_left(((change *)st)->ep);
    return NULL;
}

static err *job_take_off(void *st)
{
    change *ch = st;

    err_log(endpoint_detach(ch->ep, ch->netns), "link of a disconnected container is left");
    return job_drop_hosts(st);
}

static err *now_forget(void *st)
{
    change *ch = st;

    networks_drop_endpoint(ch->c, ch->ep);
    if (ch->c->state.running)
        endpoint_event(ch->ep, "disconnect");
    endpoint_free(take(ch->ep));
    endpoints_choose_gateway(ch->c->rec.id);
    return NULL;
}

static bool was_running(void *st)
{
    return ((change *)st)->netns != NULL;
}

static err *job_reroute(void *st)
{
    err_log(set_routes(st), "default routes of a container");
    return NULL;
}

static const flow_step disconnect_steps[] = {
    {"wish", NOW(now_take_out), NOW(now_wish)},
    {"record", CALL(call_record)},
    {"leave", NOW(now_leave), .when = has_endpoint},
    {"detach", JOB(job_take_off), .when = has_endpoint},
    {"forget", NOW(now_forget), .when = has_endpoint},
    {"routes", JOB(job_reroute), .when = was_running},
    {0},
};
const flow_def disconnect_flow = {"container.disconnect", disconnect_steps, change_free,
                                  HANGUP_FINISH};

static err *begin_disconnect(change *ch)
{
    container *c = ch->c;
    network *n = NULL;
    err *e = network_find(ch->ref, &n);

    if (e && c->state.running && !ch->force)
        return e;
    err_free(e);
    if (n)
        use_name(ch, n);
    TRY(is_leaving(c));
    if (n && c->state.running && !network_has_netns(n) && networks_has(c, n))
        return err_new(ERR_INVALID, "container cannot be disconnected from host network or "
                                    "connected to host network");
    if (!networks_wished(c, ch->ref))
        return err_new(ERR_SYSTEM, "container %s is not connected to %snetwork %s", c->rec.id,
                       c->state.running ? "" : "the ", ch->ref);
    ch->ep = c->state.running && n ? networks_endpoint_on(c, n) : NULL;
    if (ch->ep) {
        note_running(ch);
        note_others(ch);
    }
    return NULL;
}

static void disconnect_begin(container *c, void *arg)
{
    change *ch = arg;
    err *e = begin_disconnect(ch);

    (void)c;
    if (e)
        refuse(ch, e);
    else
        flow_begin(&disconnect_flow, ch, on_changed, NULL);
}

void container_disconnect(container *c, const char *network_ref, bool force, container_done *done,
                          void *arg)
{
    change *ch = change_new(c, network_ref, done, arg);

    ch->force = force;
    op_begin(c, "disconnect", disconnect_begin, ch);
}
