/* network.h - what the API says of networks and of a container's place in them. */
#ifndef BERTH_API_NETWORK_H
#define BERTH_API_NETWORK_H

#include <berth/api/config.h>
#include <berth/json.h>

#define ENDPOINT_IPAM_CONFIG(F, T)                     \
    F(T, STR, ipv4_address, "IPv4Address", OMIT_EMPTY) \
    F(T, STR, ipv6_address, "IPv6Address", OMIT_EMPTY) \
    F(T, STRS, link_local_ips, "LinkLocalIPs", OMIT_EMPTY)
JSON_DECLARE(endpoint_ipam_config, ENDPOINT_IPAM_CONFIG)

/* The upper half is what a client asks for, the lower half what became of it. */
#define ENDPOINT_SETTINGS(F, T)                                    \
    F(T, OBJP(endpoint_ipam_config), ipam_config, "IPAMConfig", 0) \
    F(T, STRS, links, "Links", 0)                                  \
    F(T, STRS, aliases, "Aliases", 0)                              \
    F(T, STR, mac_address, "MacAddress", 0)                        \
    F(T, MAP, driver_opts, "DriverOpts", 0)                        \
    F(T, INT, gw_priority, "GwPriority", SINCE(48))                \
    F(T, STR, network_id, "NetworkID", 0)                          \
    F(T, STR, endpoint_id, "EndpointID", 0)                        \
    F(T, STR, gateway, "Gateway", 0)                               \
    F(T, STR, ip_address, "IPAddress", 0)                          \
    F(T, INT, ip_prefix_len, "IPPrefixLen", 0)                     \
    F(T, STR, ipv6_gateway, "IPv6Gateway", 0)                      \
    F(T, STR, global_ipv6_address, "GlobalIPv6Address", 0)         \
    F(T, INT, global_ipv6_prefix_len, "GlobalIPv6PrefixLen", 0)    \
    F(T, STRS, dns_names, "DNSNames", SINCE(44))
JSON_DECLARE(endpoint_settings, ENDPOINT_SETTINGS)

/* NetworkingConfig of POST /containers/create; keys are names or ids of networks. */
#define NETWORKING_CONFIG(F, T) \
    F(T, MAPOF(endpoint_settings), endpoints_config, "EndpointsConfig", 0)
JSON_DECLARE(networking_config, NETWORKING_CONFIG)

#define SECONDARY_ADDRESS(F, T) \
    F(T, STR, addr, "Addr", 0)  \
    F(T, INT, prefix_len, "PrefixLen", 0)
JSON_DECLARE(secondary_address, SECONDARY_ADDRESS)

/* NetworkSettings of GET /containers/{id}/json.  The fields from EndpointID to MacAddress repeat
 * the default bridge's endpoint. */
#define NETWORK_SETTINGS(F, T)                                                           \
    F(T, STR, bridge, "Bridge", 0)                                                       \
    F(T, STR, sandbox_id, "SandboxID", 0)                                                \
    F(T, STR, sandbox_key, "SandboxKey", 0)                                              \
    F(T, MAPLISTOF(port_binding), ports, "Ports", EMPTY_LIST)                            \
    F(T, BOOL, hairpin_mode, "HairpinMode", 0)                                           \
    F(T, STR, link_local_ipv6_address, "LinkLocalIPv6Address", 0)                        \
    F(T, INT, link_local_ipv6_prefix_len, "LinkLocalIPv6PrefixLen", 0)                   \
    F(T, OBJS(secondary_address), secondary_ip_addresses, "SecondaryIPAddresses", 0)     \
    F(T, OBJS(secondary_address), secondary_ipv6_addresses, "SecondaryIPv6Addresses", 0) \
    F(T, STR, endpoint_id, "EndpointID", 0)                                              \
    F(T, STR, gateway, "Gateway", 0)                                                     \
    F(T, STR, global_ipv6_address, "GlobalIPv6Address", 0)                               \
    F(T, INT, global_ipv6_prefix_len, "GlobalIPv6PrefixLen", 0)                          \
    F(T, STR, ip_address, "IPAddress", 0)                                                \
    F(T, INT, ip_prefix_len, "IPPrefixLen", 0)                                           \
    F(T, STR, ipv6_gateway, "IPv6Gateway", 0)                                            \
    F(T, STR, mac_address, "MacAddress", 0)                                              \
    F(T, MAPOF(endpoint_settings), networks, "Networks", EMPTY_LIST)
JSON_DECLARE(network_settings, NETWORK_SETTINGS)

#endif
