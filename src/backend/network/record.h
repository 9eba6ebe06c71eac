/* record.h - how networks and endpoints are written into the store. */
#ifndef BERTH_NETWORK_RECORD_H
#define BERTH_NETWORK_RECORD_H

#include <berth/json.h>

#define NETWORK_RECORD(F, T)   \
    F(T, STR, id, "Id", 0)     \
    F(T, STR, name, "Name", 0) \
    F(T, STR, subnet, "Subnet", OMIT_EMPTY)
JSON_DECLARE(network_record, NETWORK_RECORD)

#define ENDPOINT_RECORD(F, T)            \
    F(T, STR, id, "Id", 0)               \
    F(T, STR, network, "Network", 0)     \
    F(T, STR, container, "Container", 0) \
    F(T, STR, ip, "IP", OMIT_EMPTY)      \
    F(T, STR, mac, "Mac", OMIT_EMPTY)
JSON_DECLARE(endpoint_record, ENDPOINT_RECORD)

#endif
