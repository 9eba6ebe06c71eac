/* link.h - links, addresses and routes by netlink, one message per wish.
 *
 * Each call works in the network namespace in which its socket was opened.  Blocks; any thread, one
 * thread per socket. */
#ifndef BERTH_NETWORK_LINK_H
#define BERTH_NETWORK_LINK_H

#include "addr.h"
#include "ipam.h"
#include <berth/err.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rtnl rtnl;
must_check err *rtnl_open(rtnl **ret_r); /* in the calling thread's namespace */
void rtnl_close(rtnl *r);
static inline void rtnl_closep(rtnl **r)
{
    rtnl_close(*r);
}
#define auto_rtnl __attribute__((cleanup(rtnl_closep))) rtnl

typedef struct veth_wish {
    const char *name; /* here, up, a port of the bridge */
    int bridge_index;
    const char *peer;   /* in the namespace peer_ns, down: a half-made pair cannot be brought up */
    const uint8_t *mac; /* of the peer; 6 bytes */
    int peer_ns;        /* descriptor */
    int mtu;
    uint32_t group; /* of the near end: how ours are told from others' */
} veth_wish;

must_check err *link_add_bridge(rtnl *r, const char *name, const uint8_t mac[6], int mtu,
                                uint32_t group);
/* What of this name is there: *ret_group is 0 when nothing is. */
must_check err *link_look(rtnl *r, const char *name, bool *ret_is_bridge, uint32_t *ret_group);
must_check err *link_add_veth(rtnl *r, const veth_wish *w);
must_check err *link_set_up(rtnl *r, int index);
must_check err *link_isolate_port(
    rtnl *r, int index); /* a bridge port that talks to no other isolated one */
must_check err *link_hairpin_port(rtnl *r, int index); /* what it sends may come back to it */
typedef enum link_kind { LINK_DUMMY, LINK_VLAN, LINK_MACVLAN, LINK_IPVLAN } link_kind;
typedef struct link_wish {
    const char *name;
    link_kind kind;
    unsigned mode, flags; /* of a VLAN its id; IFLA_MACVLAN_MODE; IFLA_IPVLAN_MODE and _FLAGS */
    int parent_index;     /* 0: none */
    const uint8_t *mac;   /* NULL: the kernel's choice */
    int mtu;              /* 0: its parent's */
    uint32_t group;
    int ns; /* descriptor of the namespace it is made in; -1: here */
} link_wish;
must_check err *link_add(rtnl *r, const link_wish *w); /* down; link_kind.c */

/* Deletes the link of this name if it carries the group; idempotent. */
must_check err *link_delete(rtnl *r, const char *name, uint32_t group);
/* Cuts a bridge port of this name and group off at once and gives it the group dead; idempotent. */
must_check err *link_retire(rtnl *r, const char *name, uint32_t group, uint32_t dead);
/* Takes a bridge of this name and group down and gives it the group dead; idempotent. */
must_check err *link_retire_bridge(rtnl *r, const char *name, uint32_t group, uint32_t dead);
must_check err *link_delete_group(rtnl *r,
                                  uint32_t group); /* all of them at the price of one; idempotent */
/* fn for every veth end here with this group. */
must_check err *link_each_veth(rtnl *r, uint32_t group, void (*fn)(void *arg, const char *name),
                               void *arg);
/* The same for what networks are made of: bridges, VLANs, dummies. */
must_check err *link_each_made(rtnl *r, uint32_t group, void (*fn)(void *arg, const char *name),
                               void *arg);
/* Dumps routes of a family: fn for the destination of each. */
must_check err *rtnl_each_route(rtnl *r, int family, void (*fn)(void *arg, cidr to), void *arg);
/* A message of ours: asked until the kernel has taken or refused it; msg is consumed. */
struct nl_msg;
must_check err *rtnl_ask(rtnl *r, struct nl_msg *msg, const char *what, const char *name);

must_check err *addr_add(rtnl *r, int index, uint32_t ip,
                         subnet s); /* one that is there already is fine */
must_check err *addr_delete(rtnl *r, int index, uint32_t ip, subnet s);
/* The first IPv4 address of a link; *ret_found false when it has none. */
must_check err *addr_first(rtnl *r, int index, uint32_t *ret_ip, subnet *ret_s, bool *ret_found);

/* ---- address.c: of either family ---- */
/* Every route here of both families but defaults and link-local ones; the caller frees *ret_v. */
must_check err *routes_here(rtnl *r, cidr **ret_v, size_t *ret_n);
/* One that is there already is fine; an IPv6 one is used at once, without asking the others. */
must_check err *address_add(rtnl *r, int index, addr a, int prefix);
/* Replaces a default route of its family; no gateway: everything is on the link. */
must_check err *default_route_set(rtnl *r, int index, addr gateway, bool v6);
/* Every IPv4 route here but those through except_index and the default; the caller frees *ret_v. */
must_check err *route_subnets(rtnl *r, int except_index, subnet **ret_v, size_t *ret_n);

#endif
