/* firewall.h - the one nftables table that is ours, made anew in one transaction.
 *
 * Blocks; any thread, but one call at a time for a table. */
#ifndef BERTH_NETWORK_FIREWALL_H
#define BERTH_NETWORK_FIREWALL_H

#include "ipam.h"
#include "ports.h"
#include <berth/buf.h>
#include <berth/err.h>

#define FIREWALL_THREAD \
    "berth-nft" /* the thread that makes our transactions, as the kernel tells */

typedef struct firewall_bridge {
    const char *name;
    subnet subnet;
    bool icc; /* containers of this bridge may talk to each other */
    bool masquerade;
    bool internal; /* nothing is forwarded out of it or into it */
} firewall_bridge;

typedef struct firewall_rules {
    const char *table;
    const firewall_bridge *bridges;
    size_t n;
    const port_element *ports;
    size_t n_ports;
    bool no_router; /* what is forwarded neither from nor to a bridge of ours is dropped */
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
