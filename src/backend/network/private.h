/* private.h - what the files of the network room share. */
#ifndef BERTH_NETWORK_PRIVATE_H
#define BERTH_NETWORK_PRIVATE_H

#include "addr.h"
#include "ipam.h"
#include "pool.h"
#include "record.h"
#include <berth/network.h>
#include <netinet/in.h>
#include <pthread.h>

enum { MAC_LENGTH = 6, MAC_TEXT = 18, NAME_TEXT = 16 /* IFNAMSIZ */, ID_TEXT = 65 };

enum {
    NETWORKS_MAX = 4096,       /* of one daemon */
    NETWORK_POOLS_MAX = 32,    /* subnets of one network, both families together */
    NETWORK_AUX_MAX = 256,     /* auxiliary addresses of one subnet */
    NETWORK_NAME_MAX = 255,    /* characters */
    NETWORK_OPTIONS_MAX = 128, /* options, and labels, each */
};

/* How a kind of network is made and takes an endpoint in. */
typedef struct network_driver {
    const char *name;
    bool has_netns;
    bool has_addresses;
    bool can_create;             /* by a client: there is one host and one null */
    bool routes_without_gateway; /* the default route is the link itself */
    err *(*prepare)(network *n); /* loop: reads the options of rec; NULL: none matter */
    err *(*make)(network *n);    /* job: the link here on the host; idempotent; may be NULL */
    err *(*unmake)(network *n);  /* job: idempotent; may be NULL */
    err *(*attach)(endpoint *ep, const char *netns_path); /* job */
    err *(*detach)(endpoint *ep, const char *netns_path); /* job; NULL: the namespace ends too */
} network_driver;

extern const network_driver driver_bridge, driver_host, driver_null, driver_macvlan, driver_ipvlan;
const network_driver *driver_find(const char *name); /* NULL when there is none */

/* Fixed when the network is, so jobs may read it; what follows "lock" is under bridge.c's lock. */
typedef struct bridge_config {
    char name[NAME_TEXT];
    bool ours; /* made by us when it is missing */
    bool user; /* of a client's making: goes with its network */
    bool has_ipv4;
    subnet subnet, range;
    uint32_t address; /* the bridge's own; 0: none */
    uint32_t gateway; /* of the containers; 0: none */
    cidr subnet6;     /* not set: no IPv6 */
    cidr range6;
    addr address6, gateway6;
    int mtu;
    bool icc, masquerade, internal;
    /* lock */
    int known_index; /* of the link that has all it needs */
    bool is_listed, is_gone;
    struct bridge_config *next;
} bridge_config;

/* Fixed when the network is, so jobs may read it. */
typedef struct vlan_config {
    char parent[NAME_TEXT];
    unsigned mode, flags;
    int mtu;          /* 0: the parent's */
    bool is_dummy;    /* no parent was named */
    bool keep_parent; /* another network has it too; set before unmake */
} vlan_config;

typedef struct network_pool {
    pool *pool;
    addr gateway; /* not set: none */
} network_pool;

struct network {
    unsigned refs; /* the registry's, and those of jobs that outlive a request */
    char id[ID_TEXT];
    const char *name;
    const network_driver *driver;
    network_record rec; /* strings in arena */
    arena *arena;
    bridge_config bridge; /* of driver_bridge */
    vlan_config vlan;     /* of driver_macvlan and driver_ipvlan */
    char ifprefix[12];    /* of its containers' links; "": eth */
    bool gatewayless;     /* the default route of its containers is the link itself */
    network_pool pools[NETWORK_POOLS_MAX];
    size_t n_pools;
    bool predefined, absent; /* --bridge=none */
    bool coming;             /* its creation has not ended: nobody finds it */
    bool removing;           /* nobody finds it any more */
    unsigned endpoints;
    struct flow *when_empty; /* resumed when its last endpoint goes */
    network *next;
};

struct endpoint {
    char id[ID_TEXT];
    char *container, *name;
    network *net;
    addr ip, ip6; /* either may be not set */
    int prefix, prefix6;
    uint8_t mac[MAC_LENGTH];
    char ip_text[ADDR_TEXT], gateway_text[ADDR_TEXT], ip6_text[ADDR_TEXT], gateway6_text[ADDR_TEXT],
        mac_text[MAC_TEXT];
    char veth[NAME_TEXT];
    char ifname[NAME_TEXT]; /* in the container */
    int gw_priority;
    bool gw4, gw6; /* the container's default routes go through it */
    bool leaving;  /* its container ended, or is being disconnected */
    bool joined;   /* who serves names was told */
    /* Of one that is abandoned: where it is, and what else its container has. */
    char *netns;
    endpoint **others;
    size_t n_others;
    arena *arena;
    json_strs names, links, sysctls, link_local;
    endpoint *next, *prev;
};

/* What of the daemon every job may read: fixed by network_init. */
typedef struct network_host {
    char *exec_root;
    char table[32];      /* ours in nftables */
    uint32_t group;      /* our veths carry it, */
    uint32_t dead_group; /* and this one once they are detached */
    bool iptables, ip6tables, ip_forward;
    const network_default_opt *defaults;
    size_t n_defaults;
} network_host;
extern network_host network_here;

enum { PREDEFINED = 3 };
extern network network_predefined[PREDEFINED]; /* bridge, host, none */

/* ---- bridge.c: blocking ---- */
must_check err *bridge_configure(const network_opts *opts, const char *stored_subnet,
                                 bridge_config *ret);
must_check err *bridge_bury(void);     /* deletes what endpoints were detached from */
must_check err *bridge_firewall(void); /* writes our table anew, if a bridge is in use */
/* Makes what is missing of these bridges, and the firewall anew. */
must_check err *bridges_up(network *const *all, size_t n);
void bridges_forget(void); /* at the end, when no job runs */

/* ---- bridge_config.c: loop ---- */
must_check err *bridge_prepare(network *n);
/* Options of rec, without their prefix com.docker.network.; *ret stays when it is not there. */
must_check err *option_bool(const network *n, const char *name, bool *ret);
must_check err *option_mtu(const network *n, int *ret);
must_check err *option_ifprefix(network *n);
bool link_name_is_good(const char *name);
must_check err *link_name_check(const char *name);

/* ---- vlan.c: loop ---- */
bool vlan_shares_parent(const network *n); /* another network is on the same link */

/* ---- sandbox.c: job, in the container's namespace ---- */
struct rtnl;
must_check err *sandbox_prepare(void); /* no IPv6 unless an endpoint brings it */
/* The endpoint's link is there: addresses, up, the default routes if they are its. */
must_check err *sandbox_furnish(struct rtnl *inside, const endpoint *ep);

/* ---- networks.c: loop ---- */
network *networks_first(void); /* the predefined ones, then by age; with those that are coming */
void networks_add(network *n);
void networks_unlist(network *n);
network *networks_by_id(const char *id); /* also one that is coming */
bool networks_name_taken(const char *name);
network *network_new(const network_record *rec, const network_driver *driver);
void network_unref(network *n);
must_check err *networks_load(void); /* what clients made, from the store */
void networks_free(void);

/* ---- default_pools.c ---- */
/* asked may be NULL; a family that it does not name gets dockerd's. */
void default_pools_set(const network_default_pool *asked, size_t n, uint64_t of_this_daemon);
void default_pools_done(void);
bool default_pool_nth(bool v6, size_t i, cidr *ret); /* false behind the last */

/* ---- claim.c: loop ---- */
/* Takes the subnets that rec names, and free ones where it names none, into n->pools and rec.ipam.
 * routes are what the host has. */
must_check err *claim_subnets(network *n, const cidr *routes, size_t n_routes);
/* As a record has them already. */
must_check err *claim_recorded(network *n);
void claim_release(network *n);

/* ---- endpoint.c: loop ---- */
void endpoints_free(void);
endpoint *endpoints_first(void);
void endpoint_list(endpoint *ep);
void endpoint_unlist(endpoint *ep);
void endpoint_release(endpoint *ep); /* gives its addresses back */
void endpoint_dispose(endpoint *ep); /* one that is in no list; any thread once it is released */
void endpoint_name_veth(endpoint *ep);
void endpoint_write_texts(endpoint *ep);
must_check err *mac_parse(const char *text, uint8_t mac[MAC_LENGTH]);
/* Any thread: where its default routes lead; not set on an internal network. */
addr endpoint_gateway4(const endpoint *ep);
addr endpoint_gateway6(const endpoint *ep);

/* ---- endpoint_file.c: blocking ---- */
must_check err *endpoints_load(void);
must_check err *endpoint_write_down(const endpoint *ep);
must_check err *endpoint_strike_out(const char *id);

/* ---- network.c: loop ---- */
void bury_later(void); /* detached veths whose namespace does not end */

/* ---- remove.c: loop ---- */
bool network_is_used(const network *n); /* by an endpoint that is to stay */

/* ---- describe.c: loop ---- */
void network_event(const network *n, const char *action); /* {name, type} */

/* ---- guard.c: loop; our table comes back when someone removes it ---- */
void guard_start(void);
void guard_stop(void);

#endif
