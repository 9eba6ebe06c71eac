/* record.h - how networks and endpoints are written down. */
#ifndef BERTH_NETWORK_RECORD_H
#define BERTH_NETWORK_RECORD_H

#include <berth/api/network.h>
#include <berth/json.h>

/* In the store.  Of a predefined network only its id, its name and the subnet that was chosen. */
#define NETWORK_RECORD(F, T)                            \
    F(T, STR, id, "Id", 0)                              \
    F(T, STR, name, "Name", 0)                          \
    F(T, STR, subnet, "Subnet", OMIT_EMPTY)             \
    F(T, INT, created_ns, "Created", OMIT_EMPTY)        \
    F(T, STR, driver, "Driver", OMIT_EMPTY)             \
    F(T, BOOL, ipv4, "EnableIPv4", OMIT_EMPTY)          \
    F(T, BOOL, ipv6, "EnableIPv6", OMIT_EMPTY)          \
    F(T, BOOL, internal, "Internal", OMIT_EMPTY)        \
    F(T, BOOL, attachable, "Attachable", OMIT_EMPTY)    \
    F(T, BOOL, config_only, "ConfigOnly", OMIT_EMPTY)   \
    F(T, STR, config_from, "ConfigFrom", OMIT_EMPTY)    \
    F(T, BOOL, own_subnets, "OwnSubnets", OMIT_EMPTY)   \
    F(T, BOOL, own_subnets6, "OwnSubnets6", OMIT_EMPTY) \
    F(T, OBJP(ipam_settings), ipam, "IPAM", OMIT_UNSET) \
    F(T, MAP, options, "Options", OMIT_EMPTY)           \
    F(T, MAP, labels, "Labels", OMIT_EMPTY)
JSON_DECLARE(network_record, NETWORK_RECORD)

/* A file of exec-root/endpoints while the kernel has the endpoint's link. */
#define ENDPOINT_RECORD(F, T)                        \
    F(T, STR, id, "Id", 0)                           \
    F(T, STR, network, "Network", 0)                 \
    F(T, STR, container, "Container", 0)             \
    F(T, STR, name, "Name", OMIT_EMPTY)              \
    F(T, STR, ip, "IP", OMIT_EMPTY)                  \
    F(T, STR, ip6, "IP6", OMIT_EMPTY)                \
    F(T, STR, mac, "Mac", OMIT_EMPTY)                \
    F(T, STR, ifname, "Interface", OMIT_EMPTY)       \
    F(T, INT, gw_priority, "GwPriority", OMIT_EMPTY) \
    F(T, STRS, names, "Names", OMIT_EMPTY)           \
    F(T, STRS, links, "Links", OMIT_EMPTY)
JSON_DECLARE(endpoint_record, ENDPOINT_RECORD)

#endif
