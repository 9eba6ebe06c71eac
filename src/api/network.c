/* network.c - the tables behind network.h. */
#include <berth/api/network.h>

JSON_DEFINE(endpoint_ipam_config, ENDPOINT_IPAM_CONFIG)
JSON_DEFINE(endpoint_settings, ENDPOINT_SETTINGS)
JSON_DEFINE(networking_config, NETWORKING_CONFIG)
JSON_DEFINE(secondary_address, SECONDARY_ADDRESS)
JSON_DEFINE(network_settings, NETWORK_SETTINGS)
JSON_DEFINE(ipam_pool_config, IPAM_POOL_CONFIG)
JSON_DEFINE(ipam_settings, IPAM_SETTINGS)
JSON_DEFINE(config_reference, CONFIG_REFERENCE)
JSON_DEFINE(network_create_request, NETWORK_CREATE)
JSON_DEFINE(network_create_answer, NETWORK_CREATED)
JSON_DEFINE(network_container, NETWORK_CONTAINER)
JSON_DEFINE(network_inspect, NETWORK_INSPECT)
JSON_DEFINE(network_connect_request, NETWORK_CONNECT)
JSON_DEFINE(network_disconnect_request, NETWORK_DISCONNECT)
JSON_DEFINE(networks_pruned, NETWORKS_PRUNED)
