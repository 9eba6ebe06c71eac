/* config.c - the tables behind config.h. */
#include <berth/api/config.h>

JSON_DEFINE(healthcheck, HEALTHCHECK)
JSON_DEFINE(container_config, CONTAINER_CONFIG)
JSON_DEFINE(log_config, LOG_CONFIG)
JSON_DEFINE(port_binding, PORT_BINDING)
JSON_DEFINE(restart_policy, RESTART_POLICY)
JSON_DEFINE(weight_device, WEIGHT_DEVICE)
JSON_DEFINE(throttle_device, THROTTLE_DEVICE)
JSON_DEFINE(device_mapping, DEVICE_MAPPING)
JSON_DEFINE(device_request, DEVICE_REQUEST)
JSON_DEFINE(ulimit, ULIMIT)
JSON_DEFINE(host_config, HOST_CONFIG)
