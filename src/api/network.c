/* network.c - the tables behind network.h. */
#include <berth/api/network.h>

JSON_DEFINE(endpoint_ipam_config, ENDPOINT_IPAM_CONFIG)
JSON_DEFINE(endpoint_settings, ENDPOINT_SETTINGS)
JSON_DEFINE(networking_config, NETWORKING_CONFIG)
JSON_DEFINE(secondary_address, SECONDARY_ADDRESS)
JSON_DEFINE(network_settings, NETWORK_SETTINGS)
