/* firewall.h - the nftables tables that are ours, one for each family, made anew in one
 * transaction.
 *
 * Blocks; any thread, but one call at a time for a table. */
#ifndef BERTH_NETWORK_FIREWALL_H
#define BERTH_NETWORK_FIREWALL_H

#include "addr.h"
#include "ports.h"
#include <berth/buf.h>
#include <berth/err.h>

#define FIREWALL_THREAD \
    "berth-nft" /* the thread that makes our transactions, as the kernel tells */

typedef struct firewall_bridge {
    const char *name;
    cidr subnet, subnet6; /* one may be not set */
    bool icc;             /* containers of this bridge may talk to each other */
    bool masquerade;
    bool internal; /* nothing is forwarded out of it or into it */
} firewall_bridge;

typedef struct firewall_rules {
    const char *table; /* its name in both families */
    bool ipv4, ipv6;   /* those that are ours to write; the other is left alone */
    const firewall_bridge *bridges;
    size_t n;
    const port_element *ports;
    size_t n_ports;
    /* What is forwarded neither from nor to a bridge of ours is dropped. */
    bool no_router, no_router6;
} firewall_rules;

void firewall_write(const firewall_rules *rules, buf *out); /* the transaction as text */
must_check err *firewall_apply(const firewall_rules *rules);
/* In one transaction: those that are gone, then those that came, in a table that is there. */
must_check err *firewall_change_ports(const char *table, const port_element *gone, size_t n_gone,
                                      const port_element *came, size_t n_came);
must_check err *firewall_remove(const char *table);
/* Any text of nft, in the namespace of the calling thread. */
must_check err *firewall_transaction(const char *text);

#endif
