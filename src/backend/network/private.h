/* private.h - what the files of the network room share. */
#ifndef BERTH_NETWORK_PRIVATE_H
#define BERTH_NETWORK_PRIVATE_H

#include "ipam.h"
#include <berth/network.h>
#include <netinet/in.h>
#include <pthread.h>

enum { MAC_LENGTH = 6, MAC_TEXT = 18, NAME_TEXT = 16 /* IFNAMSIZ */, ID_TEXT = 65 };

/* How a kind of network takes an endpoint in; both block, on a worker. */
typedef struct network_driver {
    const char *name;
    bool has_netns;
    err *(*attach)(endpoint *ep, const char *netns_path);
    err *(*detach)(endpoint *ep);
} network_driver;

extern const network_driver driver_bridge, driver_host, driver_null;

/* Never changes after network_init, so jobs may read it. */
typedef struct bridge_config {
    char name[NAME_TEXT];
    bool ours; /* made by us when it is missing */
    subnet subnet, range;
    uint32_t address; /* the bridge's own */
    uint32_t gateway; /* of the containers */
    int mtu;
    bool icc, masquerade;
} bridge_config;

struct network {
    char id[ID_TEXT];
    const char *name;
    const network_driver *driver;
    bridge_config bridge; /* of driver_bridge */
    ipam *ipam;
    bool absent; /* --bridge=none */
};

struct endpoint {
    char id[ID_TEXT];
    char *container;
    network *net;
    uint32_t ip; /* 0: none */
    uint8_t mac[MAC_LENGTH];
    char ip_text[IP_TEXT], gateway_text[IP_TEXT], mac_text[MAC_TEXT];
    char veth[NAME_TEXT];
    endpoint *next, *prev;
};

/* What of the daemon every job may read: fixed by network_init. */
typedef struct network_host {
    char *exec_root;
    char table[32];      /* ours in nftables */
    uint32_t group;      /* our veths carry it, */
    uint32_t dead_group; /* and this one once they are detached */
    bool iptables, ip_forward;
} network_host;
extern network_host network_here;

enum { PREDEFINED = 3 };
extern network network_predefined[PREDEFINED]; /* bridge, host, none */

/* ---- bridge.c: blocking ---- */
must_check err *bridge_configure(const network_opts *opts, const char *stored_subnet,
                                 bridge_config *ret);
must_check err *bridge_bury(void);     /* deletes what endpoints were detached from */
must_check err *bridge_firewall(void); /* writes our table anew, if the bridge is in use */

/* ---- endpoint.c: loop ---- */
must_check err *endpoints_load(void);
void endpoints_free(void);
endpoint *endpoints_first(void);

/* ---- network.c: loop ---- */
void bury_later(void); /* detached veths whose namespace does not end */

/* ---- guard.c: loop; our table comes back when someone removes it ---- */
void guard_start(void);
void guard_stop(void);

#endif
