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

/* ---- networks themselves ---- */

#define IPAM_POOL_CONFIG(F, T)                 \
    F(T, STR, subnet, "Subnet", OMIT_EMPTY)    \
    F(T, STR, ip_range, "IPRange", OMIT_EMPTY) \
    F(T, STR, gateway, "Gateway", OMIT_EMPTY)  \
    F(T, MAP, aux, "AuxiliaryAddresses", OMIT_EMPTY)
JSON_DECLARE(ipam_pool_config, IPAM_POOL_CONFIG)

#define IPAM_SETTINGS(F, T)          \
    F(T, STR, driver, "Driver", 0)   \
    F(T, MAP, options, "Options", 0) \
    F(T, OBJS(ipam_pool_config), config, "Config", 0)
JSON_DECLARE(ipam_settings, IPAM_SETTINGS)

#define CONFIG_REFERENCE(F, T) F(T, STR, network, "Network", 0)
JSON_DECLARE(config_reference, CONFIG_REFERENCE)

/* Body of POST /networks/create. */
#define NETWORK_CREATE(F, T)                                   \
    F(T, STR, name, "Name", 0)                                 \
    F(T, BOOL, check_duplicate, "CheckDuplicate", 0)           \
    F(T, STR, driver, "Driver", 0)                             \
    F(T, STR, scope, "Scope", 0)                               \
    F(T, OPT_BOOL, enable_ipv4, "EnableIPv4", SINCE(48))       \
    F(T, OPT_BOOL, enable_ipv6, "EnableIPv6", 0)               \
    F(T, OBJP(ipam_settings), ipam, "IPAM", 0)                 \
    F(T, BOOL, internal, "Internal", 0)                        \
    F(T, BOOL, attachable, "Attachable", 0)                    \
    F(T, BOOL, ingress, "Ingress", 0)                          \
    F(T, BOOL, config_only, "ConfigOnly", 0)                   \
    F(T, OBJP(config_reference), config_from, "ConfigFrom", 0) \
    F(T, MAP, options, "Options", 0)                           \
    F(T, MAP, labels, "Labels", 0)
JSON_DECLARE(network_create_request, NETWORK_CREATE)

#define NETWORK_CREATED(F, T) \
    F(T, STR, id, "Id", 0)    \
    F(T, STR, warning, "Warning", 0)
JSON_DECLARE(network_create_answer, NETWORK_CREATED)

/* A container as a network sees it. */
#define NETWORK_CONTAINER(F, T)               \
    F(T, STR, name, "Name", 0)                \
    F(T, STR, endpoint_id, "EndpointID", 0)   \
    F(T, STR, mac_address, "MacAddress", 0)   \
    F(T, STR, ipv4_address, "IPv4Address", 0) \
    F(T, STR, ipv6_address, "IPv6Address", 0)
JSON_DECLARE(network_container, NETWORK_CONTAINER)

#define NETWORK_INSPECT(F, T)                                            \
    F(T, STR, name, "Name", 0)                                           \
    F(T, STR, id, "Id", 0)                                               \
    F(T, STR, created, "Created", 0)                                     \
    F(T, STR, scope, "Scope", 0)                                         \
    F(T, STR, driver, "Driver", 0)                                       \
    F(T, BOOL, enable_ipv4, "EnableIPv4", SINCE(48))                     \
    F(T, BOOL, enable_ipv6, "EnableIPv6", 0)                             \
    F(T, OBJ(ipam_settings), ipam, "IPAM", 0)                            \
    F(T, BOOL, internal, "Internal", 0)                                  \
    F(T, BOOL, attachable, "Attachable", 0)                              \
    F(T, BOOL, ingress, "Ingress", 0)                                    \
    F(T, OBJ(config_reference), config_from, "ConfigFrom", 0)            \
    F(T, BOOL, config_only, "ConfigOnly", 0)                             \
    F(T, MAPOF(network_container), containers, "Containers", EMPTY_LIST) \
    F(T, MAP, options, "Options", EMPTY_LIST)                            \
    F(T, MAP, labels, "Labels", EMPTY_LIST)
JSON_DECLARE(network_inspect, NETWORK_INSPECT)

#define NETWORK_CONNECT(F, T)            \
    F(T, STR, container, "Container", 0) \
    F(T, OBJP(endpoint_settings), endpoint_config, "EndpointConfig", 0)
JSON_DECLARE(network_connect_request, NETWORK_CONNECT)

#define NETWORK_DISCONNECT(F, T)         \
    F(T, STR, container, "Container", 0) \
    F(T, BOOL, force, "Force", 0)
JSON_DECLARE(network_disconnect_request, NETWORK_DISCONNECT)

#define NETWORKS_PRUNED(F, T) F(T, STRS, deleted, "NetworksDeleted", 0)
JSON_DECLARE(networks_pruned, NETWORKS_PRUNED)

#endif
