/* network.h - networks, and the endpoint by which a container is on one.
 *
 * The predefined ones: "bridge", "host" and "none" (driver "null").  Addresses, names and records
 * are of the loop; what touches the kernel blocks and is for a job.  An endpoint handed to a job is
 * that job's until it ends: the loop may only read what the accessors below give, which never
 * changes. Loop thread only, except where said. */
#ifndef BERTH_NETWORK_H
#define BERTH_NETWORK_H

#include <berth/api/network.h>
#include <berth/arena.h>
#include <berth/err.h>
#include <stdbool.h>

typedef struct network network; /* lives as long as the daemon */
typedef struct endpoint endpoint;

typedef struct network_opts { /* copied */
    const char *exec_root;
    const char *bridge; /* "" or NULL: "docker0", made when needed; "none": no default bridge; else
                           it must exist */
    const char *bip;    /* "172.30.0.1/16", or NULL: the first free of the default pools */
    const char *fixed_cidr;      /* containers get addresses of this part of the subnet only */
    const char *default_gateway; /* another gateway than the bridge */
    int mtu;                     /* 0: 1500 */
    bool icc, ip_masq, ip_forward, iptables; /* all true by default; NETWORK_OPTS_DEFAULT */
} network_opts;
#define NETWORK_OPTS_DEFAULT .icc = true, .ip_masq = true, .ip_forward = true, .iptables = true

/* Reads what the store knows and chooses the subnet; blocks; after store_open, before the loop
 * runs.  The bridge itself is made by the first endpoint_attach. */
must_check err *network_init(const network_opts *opts);
void network_done(void);

/* Name, id, or unique prefix of an id; 404 "network X not found". */
must_check err *network_find(const char *ref, network **ret_n);
const char *network_id(const network *n);
const char *network_name(const network *n);
const char *network_driver_name(const network *n); /* "bridge", "host", "null" */
/* False for host: the container has no namespace of its own. */
bool network_has_netns(const network *n);
/* What host-gateway means in ExtraHosts; "" without a bridge. */
const char *network_host_gateway(void);

/* What dockerd refuses of a wish for this network (NULL is no wish): for create and for start. */
must_check err *network_check_settings(const network *n, const endpoint_settings *wish);

typedef struct endpoint_opts { /* copied */
    const char *container_id;
    const char *mac; /* "" or NULL: 02:42 and the address */
} endpoint_opts;
/* Takes an address and a record of it in the store.  ERR_SYSTEM when the pool is empty.  Works on
 * host and none too: those have no address. */
must_check err *endpoint_new(network *n, const endpoint_opts *opts, endpoint **ret_ep);
/* Gives the address and the record back.  Only after endpoint_detach, or when it was never
 * attached.  NULL does nothing. */
void endpoint_free(endpoint *ep);
/* The endpoint of a container that a previous daemon made, after network_init; NULL when there is
 * none. */
endpoint *endpoint_find(const char *container_id);

/* ---- for a job: these block, and may run on any thread ---- */
/* veth, address, default route inside the namespace at netns_path; makes the bridge and the
 * firewall when they are missing.  Nothing is left behind on failure.  host and none need
 * nothing. */
must_check err *endpoint_attach(endpoint *ep, const char *netns_path);
/* Idempotent; also after a failed attach. */
must_check err *endpoint_detach(endpoint *ep);

/* ---- reads ---- */
const char *endpoint_id(const endpoint *ep);
const char *endpoint_container(const endpoint *ep);
const network *endpoint_network(const endpoint *ep);
/* "172.17.0.2"; "" for host and none, as are gateway and mac. */
const char *endpoint_ip(const endpoint *ep);
int endpoint_prefix_len(const endpoint *ep); /* 0 without an address */
const char *endpoint_gateway(const endpoint *ep);
const char *endpoint_mac(const endpoint *ep);
/* The lower half of EndpointSettings (and MacAddress); the strings are in a. */
void endpoint_describe(const endpoint *ep, arena *a, endpoint_settings *ret);
/* The network event {container, name, type}: action "connect" or "disconnect". */
void endpoint_event(const endpoint *ep, const char *action);

/* ---- after a crash ---- */
typedef struct network_sweep network_sweep;
/* Forgets the endpoints whose container keep() says does not run any more, and notes what may stay.
 * On the running loop. */
network_sweep *network_sweep_plan(bool (*keep)(void *arg, const char *container_id), void *arg);
/* Removes veths and netns files of ours (EXEC_ROOT/netns/<container id>) that the plan does not
 * name; consumes s. Blocks; any thread.  Before any new endpoint is attached. */
must_check err *network_sweep_run(network_sweep *s);

#endif
