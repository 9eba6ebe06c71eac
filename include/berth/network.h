/* network.h - networks, and the endpoints by which a container is on them.
 *
 * Predefined are "bridge", "host" and "none" (driver "null"); clients make others.  Addresses,
 * names and records are of the loop; what touches the kernel blocks and is for a job.  An endpoint
 * handed to a job is that job's until it ends: the loop may only read what the accessors below
 * give, which never changes meanwhile.  Loop thread only, except where said. */
#ifndef BERTH_NETWORK_H
#define BERTH_NETWORK_H

#include <berth/api/network.h>
#include <berth/arena.h>
#include <berth/err.h>
#include <berth/filters.h>
#include <berth/str.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct network network; /* lives while an endpoint is on it, and until it is removed */
typedef struct endpoint endpoint;

/* Subnets that nobody names are parts of base, each of size bits. */
typedef struct network_default_pool {
    char *base; /* "10.10.0.0/16" */
    int size;
} network_default_pool;
bool network_default_pool_is_good(const network_default_pool *p);

/* What networks of a driver have that do not say. */
typedef struct network_default_opt {
    char *driver, *option, *value;
} network_default_opt;

typedef struct network_opts { /* copied */
    const char *exec_root;
    const char *bridge; /* "" or NULL: "docker0", made when needed; "none": no default bridge; else
                           it must exist */
    const char *bip;    /* "172.30.0.1/16", or NULL: the first free of the default pools */
    const char *fixed_cidr;      /* containers get addresses of this part of the subnet only */
    const char *default_gateway; /* another gateway than the bridge */
    int mtu;                     /* 0: 1500 */
    bool ipv6;                   /* on the default bridge too */
    const char *bip6, *fixed_cidr_v6, *default_gateway_v6; /* as their namesakes */
    const network_default_pool *pools; /* a family that is not among them has dockerd's */
    size_t n_pools;
    const network_default_opt *defaults; /* live as long as the daemon */
    size_t n_defaults;
    const strv *host_gateways; /* at most one of each family; NULL or none: the bridge's */
    bool icc, ip_masq, ip_forward, iptables,
        ip6tables; /* all true by default; NETWORK_OPTS_DEFAULT */
} network_opts;
#define NETWORK_OPTS_DEFAULT \
    .icc = true, .ip_masq = true, .ip_forward = true, .iptables = true, .ip6tables = true

/* Reads what the store knows and chooses the subnet; blocks; after store_open, before the loop
 * runs.  The bridge itself is made by the first endpoint_attach. */
must_check err *network_init(const network_opts *opts);
void network_done(void);

/* ---- networks ---- */
/* Id, name, or unique prefix of an id; 404 "network X not found". */
must_check err *network_find(const char *ref, network **ret_n);
/* The predefined ones, then by age; stops when fn returns false; fn may remove n. */
void networks_each(bool (*fn)(void *arg, network *n), void *arg);
const char *network_id(const network *n);
const char *network_name(const network *n);
const char *network_driver_name(const network *n); /* "bridge", "host", "null" */
bool network_is_predefined(const network *n);
/* Made by a client: containers on it know each other by name. */
bool network_is_user(const network *n);
bool network_is_internal(const network *n); /* no way out */
/* True where a container gets a link: not host, not none. */
bool network_is_attached(const network *n);
/* False for host: the container has no namespace of its own. */
bool network_has_netns(const network *n);
/* What host-gateway means in ExtraHosts, one address or two with a blank between; "" without a
 * bridge. */
const char *network_host_gateway(void);
/* GET /networks/{id}; with_containers: those that run on it.  Strings live as long as a and n. */
void network_inspected(const network *n, bool with_containers, arena *a, network_inspect *ret);
/* GET /networks in the order of names: *ret_list is of network *. */
must_check err *networks_list(const filters *f, arena *a, network ***ret_list, size_t *ret_n);

typedef void network_created(void *arg, err *e, network *n);
/* The request is copied.  Durable, with its link on the host, before done. */
void network_create(const network_create_request *want, network_created *done, void *arg);
typedef void network_done_fn(void *arg, err *e);
/* ERR_FORBIDDEN in dockerd's words when it is predefined or has endpoints. */
void network_remove(network *n, network_done_fn *done, void *arg);
/* Removes the networks of clients that match and have no endpoint; ERR_CONFLICT while another prune
 * runs.  deleted has their names and is done's for the call. */
typedef void networks_pruned_fn(void *arg, err *e, const strv *deleted);
void networks_prune(const filters *f, networks_pruned_fn *done, void *arg);

/* What dockerd refuses of a wish for this network (NULL is no wish): for create, connect and
 * start. */
must_check err *network_check_settings(const network *n, const endpoint_settings *wish);

/* ---- endpoints ---- */
typedef struct endpoint_opts { /* copied */
    const char *container_id;
    const char *container_name;
    const char *mac;               /* "" or NULL: 02:42 and the address */
    const endpoint_settings *wish; /* NULL: none */
    const json_strs *names;        /* what it answers to on this network; NULL: nothing */
} endpoint_opts;
/* Takes addresses.  ERR_SYSTEM when a pool is empty, ERR_FORBIDDEN when the one that was asked for
 * is in use.  Works on host and none too: those have no address.  Its link in the container is the
 * first free of eth0, eth1, ... */
must_check err *endpoint_new(network *n, const endpoint_opts *opts, endpoint **ret_ep);
/* Gives the addresses back.  Only after endpoint_detach, or when it was never attached.  NULL does
 * nothing. */
void endpoint_free(endpoint *ep);
/* The endpoints that a container has: the first, then the one behind ep; in the order in which they
 * were made.  After a restart those that the previous daemon made are there after network_init. */
endpoint *endpoint_of(const char *container_id, const endpoint *after);
/* The same for the endpoints of a network. */
endpoint *endpoint_on(const network *n, const endpoint *after);
/* Chooses which of a container's endpoints its default routes go through: the highest GwPriority,
 * then the first name; never an internal one.  True when that changed: endpoint_route is due. */
bool endpoints_choose_gateway(const char *container_id);
/* Its container has another name, and answers to these; both copied. */
void endpoint_rename(endpoint *ep, const char *container_name, const json_strs *names);

/* ---- for a job: these block, and may run on any thread ---- */
/* Writes the endpoint down below exec_root, so that no later daemon takes its link for nobody's;
 * then link, addresses, default routes inside the namespace at netns_path; makes the bridge and the
 * firewall when they are missing.  Nothing is left behind on failure.  host and none need
 * nothing. */
must_check err *endpoint_attach(endpoint *ep, const char *netns_path);
/* Sets the default routes that are this endpoint's, in a namespace that goes on. */
must_check err *endpoint_route(endpoint *ep, const char *netns_path);
/* Idempotent; also after a failed attach.  netns_path: of a container that goes on; NULL: its
 * namespace ends too, which is quicker. */
must_check err *endpoint_detach(endpoint *ep, const char *netns_path);

/* ---- reads ---- */
const char *endpoint_id(const endpoint *ep);
const char *endpoint_container(const endpoint *ep);
const char *endpoint_container_name(const endpoint *ep);
network *endpoint_network(const endpoint *ep);
/* "172.17.0.2"; "" for host and none, as are gateway and mac. */
const char *endpoint_ip(const endpoint *ep);
int endpoint_prefix_len(const endpoint *ep); /* 0 without an address */
const char *endpoint_gateway(const endpoint *ep);
bool endpoint_is_gateway(const endpoint *ep); /* the container's default route is this one's */
const char *endpoint_ip6(const endpoint *ep); /* "" without one */
const char *endpoint_mac(const endpoint *ep);
const char *endpoint_ifname(const endpoint *ep); /* in the container: "eth0" */
/* What it answers to on its network: the container's name, aliases, short id, host name. */
const json_strs *endpoint_names(const endpoint *ep);
/* "container:alias": what this container alone calls others on this network. */
const json_strs *endpoint_links(const endpoint *ep);
/* The lower half of EndpointSettings (and MacAddress); the strings are in a. */
void endpoint_describe(const endpoint *ep, arena *a, endpoint_settings *ret);
/* The network event {container, name, type}: action "connect" or "disconnect". */
void endpoint_event(const endpoint *ep, const char *action);

/* ---- for who serves names ---- */
typedef struct network_hooks { /* any may be NULL */
    /* Its container runs with it, or ran with it before this daemon began. */
    void (*joined)(endpoint *ep, const char *netns_path);
    void (*renamed)(endpoint *ep); /* endpoint_names are others now */
    void (*left)(endpoint *ep); /* it is about to go: of a container that ended, or disconnected */
} network_hooks;
void network_set_hooks(const network_hooks *hooks);         /* copied; NULL: none */
void endpoint_joined(endpoint *ep, const char *netns_path); /* the container room tells */
void endpoint_left(endpoint *ep);                           /* idempotent */
/* An endpoint that has left still holds this address ("" and NULL: none). */
bool network_address_leaves(const network *n, const char *ip);

/* ---- after a restart ---- */
/* Once, when what outlived the last daemon has been found and its ports are known: it gets its
 * bridges and rules back, in case they went missing meanwhile.  Does not wait. */
void network_renew(void);
typedef struct network_sweep network_sweep;
/* One that a previous daemon made and nobody wants: its link goes with the sweep.  Consumes ep. */
void endpoint_abandon(endpoint *ep, const char *netns_path);
/* Forgets the endpoints whose container keep() says does not run any more, and notes what may stay.
 * On the running loop. */
network_sweep *network_sweep_plan(bool (*keep)(void *arg, const char *container_id), void *arg);
/* Removes veths, bridges and netns files of ours (EXEC_ROOT/netns/<container id>) that the plan
 * does not name; consumes s. Blocks; any thread.  Before any new endpoint is attached. */
must_check err *network_sweep_run(network_sweep *s);

#endif
